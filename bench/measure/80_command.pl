# The command: reading a million logs through a pipe, and how soon a log that
# has been committed stands on the terminal of somebody who follows.
use strict;
use warnings;

my $most_memory = 32 * 1024;	# kB
my $most_p99 = 20;				# ms

# Build the measuring program once.
sub build_command_program
{
	my ($cluster) = @_;
	my $program = $cluster->{dir} . '/command';
	my $config = $cluster->program('pg_config');
	my ($include, $lib) = map { chomp(my $dir = `$config $_`); $dir } qw(--includedir --libdir);

	$cluster->command($ENV{CC} || 'cc', '-O2', "-I$include", '-I/usr/include/postgresql',
		'-o', $program, "$cluster->{here}/command/command.c", "-L$lib", qw(-lpq -lutil))
	  unless -x $program;
	return $program;
}

# The command's options for the cluster.
sub connection
{
	my ($cluster) = @_;
	return ('-h', $cluster->{dir}, '-U', 'postgres', '-d', 'bench');
}

# wflog logs of the giant, in each form.
sub measure_read
{
	my ($cluster, $data, $report) = @_;
	my $program = build_command_program($cluster);
	my $giant = $data->giant;

	$report->table('wflog logs, of the giant, into a pipe', 'logs', 'rows/s', 'peak memory, MB', 'CPU of the command, s',
		'target', 'met?');
	for my $form ([ '-o', 'text' ], [ '-o', 'raw' ], [ '-o', 'ndjson' ], [ '-o', 'csv' ], [ '-o', 'text', '-l', 'error' ])
	{
		my (@rate, @memory, @cpu, $lines);
		for (1 .. $report->repetitions)
		{
			my ($seconds, $count, $peak, $cpu) = split q{ },
			  $cluster->command($program, 'read', $cluster->program('wflog'), 'logs', $giant, @$form, connection($cluster));
			push @rate, $count / $seconds;
			push @memory, $peak / 1024;
			push @cpu, $cpu;
			$lines = $count;
		}
		my ($peak) = sort { $b <=> $a } @memory;
		my $met = $peak * 1024 <= $most_memory ? 'yes' : 'NO';
		$report->row("@$form", $lines, Bench::Report::spread(@rate), Bench::Report::number($peak),
			Bench::Report::spread(@cpu), '≤ 32 MB', $met);
		push @{ $report->{missed} }, "wflog logs @$form: peak memory " . Bench::Report::number($peak) . ' MB'
		  if $met eq 'NO';
	}
	return;
}

# From commit to terminal.
sub measure_follow
{
	my ($cluster, $data, $report) = @_;
	my $program = build_command_program($cluster);
	my $seconds = $report->{quick} ? 2 : 15;
	my $number = 0;

	$report->table('wflog logs --follow, in a terminal', 'written/s', 'logs', 'came', 'p50, ms', 'p99, ms', 'greatest, ms',
		'target', 'met?');
	for my $rate (100, 1000, 3000)
	{
		my @runs;
		for (1 .. 3)
		{
			my $execution = 'followed-' . ++$number . "-$$";
			$cluster->sql("SELECT wflog.start_execution('$execution', 'follow')");
			push @runs, [
				split q{ }, $cluster->command($program, 'follow', "host=$cluster->{dir} user=postgres dbname=bench",
					$execution, $rate, $seconds, $cluster->program('wflog'), 'logs', $execution, '-f', '-n', '0',
					connection($cluster)) ];
		}
		my $median = sub { my ($field) = @_; Bench::Report::median(map { $_->[$field] } @runs) };
		my $p99 = $median->(3);
		my $target = $rate == 1000;
		my $met = !$target ? '' : $p99 <= $most_p99 ? 'yes' : 'NO';
		$report->row("$rate logs/s, each committed by itself", Bench::Report::number($median->(5)), $median->(0), $median->(1),
			(map { Bench::Report::number($_) } $median->(2), $p99, $median->(4)), $target ? "p99 ≤ $most_p99" : '', $met);
		push @{ $report->{missed} }, "follow at $rate/s: p99 " . Bench::Report::number($p99) . ' ms' if $met eq 'NO';
	}
	return;
}

return (
	{ name => 'read', title => 'The command: a million logs', run => \&measure_read },
	{ name => 'follow', title => 'The command: from commit to terminal', run => \&measure_follow });
