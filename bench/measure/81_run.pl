# wflog run: what a child that prints a million lines notices of it, against a
# pipe into cat; and how long its logs take to be in the database.
use strict;
use warnings;

use Time::HiRes qw(time);

my $child = <<'END';
use Time::HiRes qw(time);
my ($lines, $file) = @ARGV;
my $began = time;
my $text = 'x' x 60;
print "$_ $text\n" for 1 .. $lines;
close STDOUT;
open my $out, '>', $file or die;
print $out time - $began;
END

sub measure_run
{
	my ($cluster, $data, $report) = @_;
	my $lines = $report->{quick} ? 100_000 : 1_000_000;
	my $script = "$cluster->{dir}/child.pl";
	my $took = "$cluster->{dir}/took";
	my $round = 0;
	my %total;

	local $ENV{WFLOG_SPOOL_DIR} = "$cluster->{dir}/spool";
	local @ENV{qw(PGHOST PGUSER PGDATABASE)} = ($cluster->{dir}, 'postgres', 'bench');
	open my $out, '>', $script or die "$script: $!\n";
	print $out $child;
	close $out;

	# seconds that the child needed, by its own clock
	my $run = sub {
		my (@command) = @_;
		unlink $took;
		$cluster->command(@command);
		return Bench::Cluster::slurp($took);
	};
	my $wflog = sub {
		my ($name, @options) = @_;
		my $began = time;
		my $seconds = $run->($cluster->program('wflog'), 'run', '-q', '--wait', '120', '--execution',
			"bench-$name-" . ++$round, '--task', 't', @options, '--', 'perl', $script, $lines, $took);
		push @{ $total{$name} }, time - $began;
		return $seconds;
	};
	my ($cat, $capped, $all) = $report->interleave($report->{quick} ? 3 : 5,
		sub { $run->('sh', '-c', "perl '$script' $lines '$took' | cat >'$cluster->{dir}/cat.out'") },
		sub { $wflog->('capped') },
		sub { $wflog->('all', '--max-bytes', 0) });
	unlink "$cluster->{dir}/cat.out";

	$report->table('what', '| cat > file', 'wflog run', 'ratio', 'target', 'met?');
	$report->line(what => "a child that prints $lines lines, 10 MB of them kept", unit => 's of the child',
		s1 => $cat, wflog => $capped);
	$report->line(what => "a child that prints $lines lines, all kept", unit => 's of the child',
		s1 => $cat, wflog => $all);
	$report->note(sprintf 'Until all of them were in the database: %s s with 10 MB kept, %s s with all.',
		map { Bench::Report::spread(@{ $total{$_} }) } qw(capped all));
	return;
}

({ name => 'run', title => 'wflog run: overhead of capturing', run => \&measure_run });
