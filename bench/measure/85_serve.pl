# wflog serve, its streams: what an idle one takes, how soon what is committed
# is at the clients, and what clients that never read do to the others.
use strict;
use warnings;

use Bench::Gateway;

my $most_idle = 10;    # kB of the process for an idle stream

# A figure with a limit, as a line of a table.
sub limited
{
	my ($report, $what, $value, $limit, $unit, @more) = @_;
	my $met = $value <= $limit ? 'yes' : 'NO';

	$report->row($what, @more, Bench::Report::number($value) . " $unit", "≤ $limit $unit", $met);
	push @{ $report->{missed} }, "$what: " . Bench::Report::number($value) . " $unit, target ≤ $limit $unit" if $met eq 'NO';
	return;
}

# Memory of the process, before and with streams that nothing is sent on.
sub measure_memory
{
	my ($cluster, $data, $report) = @_;
	my $streams = $report->{quick} ? 1000 : 10_000;

	$report->table('idle streams', 'private memory before, MB', 'with them, MB', 'opened in, s', 'least, kB a stream',
		'median, kB a stream', 'target', 'met?');
	for my $executions ($streams, $streams / 10)
	{
		my (@before, @with, @each, @seconds);
		for (1 .. 3)
		{
			my $gateway = Bench::Gateway->start($cluster);
			$gateway->client('requests', undef, 4, 1, '/api/v1/app/executions');
			push @before, $gateway->private_bytes;
			my $open = $gateway->open_streams([ "$executions:" . $streams / $executions . ':0' ]);
			sleep 2;
			push @with, $gateway->private_bytes;
			push @each, ($with[-1] - $before[-1]) / $streams / 1024;
			push @seconds, $open->{opened}{opened};
			Bench::Gateway::close_streams($open);
		}
		my ($least) = sort { $a <=> $b } @each;
		limited($report, "$streams of $executions executions", Bench::Report::median(@each), $most_idle, 'kB',
			(map { Bench::Report::number(Bench::Report::median(@$_) / 1024 / 1024) } \@before, \@with),
			Bench::Report::number(Bench::Report::median(@seconds)), Bench::Report::number($least));
	}
	return;
}

# From the reply to a commit to the clients' having read the event.
sub measure_serve_latency
{
	my ($cluster, $data, $report) = @_;
	my $scale = $report->{quick} ? 0.1 : 1;
	my $seconds = $report->{quick} ? 2 : 10;
	my @cases = (
		[ '10,000 streams, 5 on each execution', 100, 2000 * $scale . ':5:1' ],
		[ '10,000 streams, 1,000 of them on one', 100, '1:' . 1000 * $scale . ':5', 1800 * $scale . ':5:0.5556' ],
		[ '1,000 streams, 5 on each execution', 50, 200 * $scale . ':5:5' ]);

	$report->table('from commit to client', 'logs/s', 'events/s', 'p50, ms', 'greatest, ms',
		'CPU of the gateway, µs an event', 'memory, MB', 'p99', 'target', 'met?');
	for my $case (@cases)
	{
		my ($what, $most, @groups) = @$case;
		my @runs;
		for (1 .. 3)
		{
			my $gateway = Bench::Gateway->start($cluster);
			my $open = $gateway->open_streams(\@groups, seconds => $seconds);
			my $cpu = $gateway->cpu;
			my $came = Bench::Gateway::write_logs($open);
			push @runs, [ $came->{rate}, $came->{deliveries}, (map { $_ / 1000 } @{ $came->{latency} }[ 1, 4 ]),
				($gateway->cpu - $cpu) / $came->{received} * 1e6, $gateway->private_bytes / 1024 / 1024,
				$came->{latency}[3] / 1000 ];
			Bench::Gateway::close_streams($open);
		}
		my @median = map { my $field = $_; Bench::Report::median(map { $_->[$field] } @runs) } 0 .. 6;
		limited($report, $what, $median[6], $most, 'ms', map { Bench::Report::number($_) } @median[ 0 .. 5 ]);
	}
	$report->note('Every stream got each log of its execution once.');
	return;
}

# Twenty clients that ask for a stream and never read it.
sub measure_slow
{
	my ($cluster, $data, $report) = @_;
	my $seconds = $report->{quick} ? 3 : 12;
	my (@grown, @laps);
	my $side = sub {
		my ($deaf) = @_;
		return sub {
			my $gateway = Bench::Gateway->start($cluster);
			my $open = $gateway->open_streams([ "1:20:100:5000:$deaf", '40:5:5' ], seconds => $seconds);
			my $before = $gateway->private_bytes;
			my $came = Bench::Gateway::write_logs($open);
			push @grown, ($gateway->private_bytes - $before) / 1024 / 1024 if $deaf;
			push @laps, $gateway->metric('stream_laps_total') if $deaf;
			Bench::Gateway::close_streams($open);
			return $came->{latency};
		};
	};
	my ($alone, $beside) = $report->interleave(3, $side->(0), $side->(20));

	$report->table('220 streams that read', 'alone', 'beside 20 that never do', 'ratio', 'target', 'met?');
	for ([ 'p50', 1 ], [ 'p99', 3 ])
	{
		my ($name, $field) = @$_;
		$report->line(what => "$name from commit to client", unit => 'ms', most => 1.5,
			s1 => [ map { $_->[$field] / 1000 } @$alone ], wflog => [ map { $_->[$field] / 1000 } @$beside ]);
	}
	$report->note(sprintf 'What the 20 never took, %s MB each, had the gateway grow by %s MB in all, with the events kept for those that read.',
		Bench::Report::number(100 * 5600 * $seconds / 1024 / 1024), Bench::Report::spread(@grown));
	return;
}

return (
	{ name => 'serve-memory', title => 'The gateway: idle streams', run => \&measure_memory },
	{ name => 'serve-latency', title => 'The gateway: from commit to client', run => \&measure_serve_latency },
	{ name => 'serve-slow', title => 'The gateway: clients that never read', run => \&measure_slow });
