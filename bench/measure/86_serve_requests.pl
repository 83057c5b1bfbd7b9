# wflog serve: requests, the log API design's poll loop beside its streams, and
# the design's service levels.
use strict;
use warnings;

use Bench::Gateway;

# Complete executions of user 0, as in the measurement of pages.
sub pages_of_user
{
	my ($cluster) = @_;
	return split /\n/, $cluster->sql('SELECT bench.eid(10 * n) FROM generate_series(0, 19) AS n');
}

sub user_of_pages
{
	my ($cluster) = @_;
	return $cluster->sql('SELECT bench.user_id(0)');
}

# What HTTP adds to the function that makes a page.
sub measure_page
{
	my ($cluster, $data, $report) = @_;
	my $user = user_of_pages($cluster);
	my @executions = pages_of_user($cluster);
	my $gateway = Bench::Gateway->start($cluster);
	my $settings = "SELECT set_config('request.jwt.claims', '{\"sub\":\"$user\",\"role\":\"authenticated\"}', true),"
	  . " set_config('statement_timeout', '90000', true), set_config('timezone', 'UTC', true)";
	my %names = (
		sql      => 'the bare function',
		settings => 'with who asks and the time limit, in one pipeline',
		http     => 'GET …/logs',
		health   => 'GET /health');

	$data->fold(map { "'$_'" } @executions);
	for my $limit (100, 10)
	{
		my %took;
		for ($gateway->client('page', $user, Bench::Gateway::conninfo($cluster, 'bench_user'), $report->{quick} ? 3 : 15,
				$report->{quick} ? 50 : 200, "SELECT wflog.logs_json(\$1, max_rows => $limit)", $settings,
				"/api/v1/app/executions/%s/logs?limit=$limit", @executions))
		{
			my ($side, $microseconds) = split;
			push @{ $took{$side} }, $microseconds / 1000;
		}
		$report->table("a page of $limit logs", 'the bare function', 'this', 'ratio', 'target', 'met?');
		for my $side ('settings', 'http', 'health')
		{
			$report->line(what => $names{$side}, unit => 'ms', s1 => $took{sql}, wflog => $took{$side},
				$side eq 'http' && $limit == 100 ? (most => 2) : (higher => 1));
		}
	}
	return;
}

# How many requests a second, and how long they take.
sub measure_requests
{
	my ($cluster, $data, $report) = @_;
	my $user = user_of_pages($cluster);
	my @executions = pages_of_user($cluster);
	my $gateway = Bench::Gateway->start($cluster);
	my $path = sub { my ($rest) = @_; map { "/api/v1/app/executions/$_$rest" } @executions };

	$data->fold(map { "'$_'" } @executions);
	$report->table('requests, 8 connections', 'bytes', 'requests/s', 'p50, ms', 'p95, ms', 'p99, ms', 'CPU of the gateway, ms');
	for my $case (
		[ 'the page of the last 10 logs', $path->('/logs?limit=10&from_end=true') ],
		[ 'the first page of 100, with its total', $path->('/logs') ],
		[ 'a summary', $path->('/logs/summary') ],
		[ 'an execution', $path->('') ],
		[ '/health', '/health' ])
	{
		my ($what, @paths) = @$case;
		my @runs;
		for (1 .. 3)
		{
			my $cpu = $gateway->cpu;
			my $got = Bench::Gateway::figures($gateway->client('requests', $user, 8, $report->{quick} ? 1 : 4, @paths));
			die "$got->{bad} answers were not 200\n" if $got->{bad};
			push @runs, [ $got->{bytes}, $got->{requests}, (map { $_ / 1000 } @{ $got->{took} }[ 1 .. 3 ]),
				($gateway->cpu - $cpu) * 1000 / $got->{took}[0] ];
		}
		$report->row($what, map { my $field = $_; Bench::Report::number(Bench::Report::median(map { $_->[$field] } @runs)) } 0 .. 5);
	}
	return;
}

# The same streams by the design's loop, once a second as its text says and ten
# times as its code does, and by the gateway.  A log a second each, so that no
# execution comes to the hundred logs behind which the loop sees nothing.
sub measure_serve_poll
{
	my ($cluster, $data, $report) = @_;
	my $streams = 100;
	my $seconds = $report->{quick} ? 3 : 15;
	my $polls = sub {
		my ($interval) = @_;
		return sub {
			my $prefix = "poll-$interval-" . int(1e9 * rand);
			$cluster->sql("INSERT INTO s1.workflow_executions"
				  . " SELECT '$prefix-' || n, 'wf-0', 'RUNNING' FROM generate_series(0, $streams - 1) AS n");
			my $got = Bench::Gateway::figures(split /\n/, $cluster->command(Bench::Gateway::build_client($cluster), 'poll',
				Bench::Gateway::conninfo($cluster, 'bench_user'), Bench::Gateway::conninfo($cluster),
				'INSERT INTO s1.workflow_execution_logs (execution_id, event_type, message)'
				  . " VALUES (\$1, 'step_output', \$2)",
				$prefix, $seconds, 4, $interval, 10, $streams, 1,
				'SELECT * FROM s1.workflow_execution_logs WHERE execution_id = $1 ORDER BY created_at LIMIT 100 OFFSET 0',
				'SELECT count(*) FROM s1.workflow_execution_logs WHERE execution_id = $1',
				'SELECT status FROM s1.workflow_executions WHERE execution_id = $1'));
			return [ $got->{queries}, 0, (map { $_ / 1000 } @{ $got->{latency} }[ 1, 3, 4 ]), $got->{written} - $got->{received} ];
		};
	};
	my $serve = sub {
		my $gateway = Bench::Gateway->start($cluster);
		my $open = $gateway->open_streams([ "$streams:1:1" ], seconds => $seconds, writers => 4);
		my $counts = sub { ($gateway->metric('database_transactions_total'), $cluster->sql('SELECT notifications FROM wflog.stat')) };
		my @before = $counts->();
		my $got = Bench::Gateway::write_logs($open);
		my @after = $counts->();
		Bench::Gateway::close_streams($open);
		return [ (map { ($after[$_] - $before[$_]) / $seconds } 0, 1),
			(map { $_ / 1000 } @{ $got->{latency} }[ 1, 3, 4 ]), $got->{expected} - $got->{received} ];
	};
	my @values = $report->interleave(3, $polls->(1000), $polls->(100), $serve);

	$report->table("$streams streams, $streams logs/s", 'queries/s', 'notifications/s', 'p50, ms', 'p99, ms', 'greatest, ms', 'lost');
	for (0 .. 2)
	{
		my @runs = @{ $values[$_] };
		$report->row(('the loop, once a second', 'the loop, every 100 ms', 'wflog serve')[$_],
			map { my $field = $_; Bench::Report::number(Bench::Report::median(map { $_->[$field] } @runs)) } 0 .. 5);
	}
	return;
}

# The design's service levels, all at once: a hundred streams with a hundred
# logs a second, others that connect, and requests of every kind as fast as
# four connections have them answered.
sub measure_levels
{
	my ($cluster, $data, $report) = @_;
	my $user = user_of_pages($cluster);
	my $seconds = $report->{quick} ? 3 : 15;
	my @executions = pages_of_user($cluster);
	my @thousands = split /\n/, $cluster->sql('SELECT bench.eid(-2 - n) FROM generate_series(0, 7) AS n');
	my $gateway = Bench::Gateway->start($cluster);
	my $open = $gateway->open_streams([ '100:1:1' ], seconds => $seconds);
	my %file = map { $_ => "$cluster->{dir}/levels.$_" } qw(rest thousand);
	my $into = sub {
		my ($name, @arguments) = @_;
		return sub {
			open my $out, '>', $file{$name} or die "$file{$name}: $!\n";
			print $out map { "$_\n" } $gateway->client('requests', $user, @arguments);
			close $out;
		};
	};
	my $pid = fork // die "cannot fork: $!\n";
	if ($pid == 0)
	{
		eval {
			$cluster->parallel(
				$into->('rest', 3, $seconds, map { my $e = $_; map { "/api/v1/app/executions/$e$_" } '', '/logs', '/logs/summary', '/logs?level=error' } @executions),
				$into->('thousand', 1, $seconds, map { "/api/v1/app/executions/$_/logs?limit=1000" } @thousands));
		};
		POSIX::_exit($@ ? 1 : 0);
	}
	my $second = $gateway->open_streams([ '200:1:0' ]);
	my $came = Bench::Gateway::write_logs($open);
	waitpid $pid, 0;
	die "the requests failed\n" if $?;
	Bench::Gateway::close_streams($_) for $open, $second;
	my %got = map { $_ => Bench::Gateway::figures(split /\n/, Bench::Cluster::slurp($file{$_})) } keys %file;

	$report->table('service level of the log API design', 'p50, ms', 'greatest, ms', 'p95', 'target', 'met?');
	for my $level (
		[ 'requests', 1000, $got{rest}{took} ],
		[ 'a stream, from connecting to its head', 2000, $second->{opened}{connect} ],
		[ 'from commit to client', 1000, $came->{latency} ],
		[ '1,000 logs', 500, $got{thousand}{took} ])
	{
		my ($what, $limit, $took) = @$level;
		limited($report, $what, $took->[2] / 1000, $limit, 'ms', map { Bench::Report::number($took->[$_] / 1000) } 1, 4);
	}
	$report->note(sprintf 'Meanwhile %s requests/s, of which %s for 1,000 logs.',
		map { Bench::Report::number($_) } $got{rest}{requests} + $got{thousand}{requests}, $got{thousand}{requests});
	return;
}

return (
	{ name => 'serve-page', title => 'The gateway: a page, against the bare function', run => \&measure_page },
	{ name => 'serve-requests', title => 'The gateway: requests', run => \&measure_requests },
	{ name => 'serve-poll', title => 'The gateway: against polling', run => \&measure_serve_poll },
	{ name => 'serve-levels', title => 'The gateway: service levels', run => \&measure_levels });
