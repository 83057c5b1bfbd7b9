# Interleaved repetitions, medians, and the table.
package Bench::Report;

use strict;
use warnings;

sub new
{
	my ($class, %opt) = @_;
	return bless { %opt, lines => [] }, $class;
}

sub repetitions { return $_[0]{quick} ? 3 : 5 }

sub emit
{
	my ($self, $line) = @_;
	print "$line\n";
	push @{ $self->{lines} }, $line;
	return;
}

sub section
{
	my ($self, $title) = @_;
	$self->emit('');
	$self->emit("## $title");
	$self->{in_table} = 0;
	return;
}

# A line of text between tables.
sub note
{
	my ($self, $text) = @_;
	$self->emit('') if $self->{in_table} // 1;
	$self->emit($text);
	$self->{in_table} = 0;
	return;
}

sub median
{
	my @sorted = sort { $a <=> $b } @_;
	my $middle = $#sorted / 2;
	return ($sorted[ int $middle ] + $sorted[ int($middle + 0.5) ]) / 2;
}

# Three significant digits, and thousands set apart.
sub number
{
	my ($value) = @_;
	return 'n/a' unless defined $value;
	my $text =
	    abs $value >= 100 ? sprintf('%.0f', $value)
	  : abs $value >= 10  ? sprintf('%.1f', $value)
	  : abs $value >= 1   ? sprintf('%.2f', $value)
	  :                     sprintf('%.3f', $value);
	1 while $text =~ s/^(-?\d+)(\d{3})/$1,$2/;
	return $text;
}

# Median and range of one side's repetitions.
sub spread
{
	my (@values) = @_;
	my @sorted = sort { $a <=> $b } @values;
	return number(median(@sorted)) . ' (' . number($sorted[0]) . '–' . number($sorted[-1]) . ')';
}

# Run the sides in turn, each repetition in the opposite order of the one
# before, and return the values of each.
sub interleave
{
	my ($self, $repetitions, @sides) = @_;
	my @values = map { [] } @sides;

	for my $repetition (0 .. $repetitions - 1)
	{
		my @order = $repetition % 2 ? reverse 0 .. $#sides : 0 .. $#sides;
		for my $side (@order)
		{
			$self->{cluster}->quiesce;
			push @{ $values[$side] }, $sides[$side]->($repetition);
		}
	}
	return @values;
}

sub table
{
	my ($self, @head) = @_;
	$self->emit('');
	$self->emit('| ' . join(' | ', @head) . ' |');
	$self->emit('|' . join('|', map { '---' } @head) . '|');
	$self->{in_table} = 1;
	return;
}

sub row
{
	my ($self, @cells) = @_;
	$self->emit('| ' . join(' | ', @cells) . ' |');
	return;
}

# One line of a comparison: wflog against S1.  Options: what, s1 and wflog
# (code that returns one value), higher (true if more is better), target (the
# least ratio), most (the greatest, where it is wflog's cost that is limited),
# unit, repetitions.
sub compare
{
	my ($self, %opt) = @_;
	my ($s1, $wflog) =
	  $self->interleave($opt{repetitions} || $self->repetitions, $opt{s1}, $opt{wflog});
	return $self->line(%opt, s1 => $s1, wflog => $wflog);
}

# The same with the values already there.  With "paired", the ratio is not that
# of the medians but the median of each repetition's: what the machine does from
# one minute to the next then counts for both sides alike.
sub line
{
	my ($self, %opt) = @_;
	my @turned = $opt{higher} || $opt{most} ? ($opt{wflog}, $opt{s1}) : ($opt{s1}, $opt{wflog});
	my @pairs = map { $turned[0][$_] / $turned[1][$_] } $opt{paired} ? 0 .. $#{ $turned[0] } : ();
	my $ratio = $opt{paired} ? median(@pairs) : median(@{ $turned[0] }) / median(@{ $turned[1] });
	my ($target, $met) = ('', '');

	if ($opt{target})
	{
		$target = "≥ $opt{target}";
		$met = $ratio >= $opt{target} ? 'yes' : 'NO';
	}
	elsif ($opt{most})
	{
		$target = "≤ $opt{most}";
		$met = $ratio <= $opt{most} ? 'yes' : 'NO';
	}
	$self->table('what', $opt{heads} ? @{ $opt{heads} } : ('S1', 'wflog'), 'ratio', 'target', 'met?')
	  unless $self->{in_table};
	$self->row("$opt{what}, $opt{unit}", spread(@{ $opt{s1} }), spread(@{ $opt{wflog} }),
		$opt{paired} ? spread(@pairs) : number($ratio), $target, $met);
	push @{ $self->{missed} }, "$opt{what}: $opt{unit}, ratio " . number($ratio) . ", target $target"
	  if $met eq 'NO';
	return $ratio;
}

# Median of something with no other side, as text with its range.
sub median_of
{
	my ($self, $code) = @_;
	return spread(map { $code->() } 1 .. $self->repetitions);
}

sub finish
{
	my ($self, $data) = @_;
	my @missed = @{ $self->{missed} || [] };

	$self->section('Targets');
	$self->emit('');
	$self->emit('This was a quick run: too little data for the targets to mean anything.')
	  if $self->{quick};
	$self->emit(@missed ? 'Missed: ' . scalar(@missed) : 'Every target of this run is met.');
	$self->emit("- $_") for @missed;
	if ($self->{output})
	{
		open my $out, '>', $self->{output} or die "$self->{output}: $!\n";
		print $out map { "$_\n" } @{ $self->{lines} };
		close $out;
	}
	return;
}

1;
