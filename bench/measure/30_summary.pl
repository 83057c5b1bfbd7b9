# Summaries, and recent logs.
use strict;
use warnings;

# A statement file of S1's side with the execution put in.
sub s1_summary
{
	my ($cluster, $file, $execution) = @_;
	my $text = do { local (@ARGV, $/) = "$cluster->{here}/sql/$file"; <> };

	$text =~ s/^--.*\n//mg;
	$text =~ s/EXECUTION/$execution/g;
	return $text;
}

sub measure_summary
{
	my ($cluster, $data, $report) = @_;
	my $giant = $data->giant;
	my $many = $report->{quick} ? 30 : 200;
	my $latency = sub {
		my ($script, %opt) = @_;
		return sub { $cluster->pgbench($script, %opt)->{ms} };
	};

	my @executions = map { "bench.eid($_)" } (map { 10 * $_ } 0 .. 19), -1;
	$data->fold(@executions);
	summary_of_900($report, 'summary of 900 logs', $many, 4, $latency, $cluster);
	summary_of_giant($report, 'summary of the giant', $latency, $cluster, $giant);

	# What it costs to count: no roll-ups, and nobody who makes any.
	$cluster->without_keeper(sub {
		$cluster->sql('TRUNCATE wflog.rollup_heads');
		summary_of_900($report, 'a recount of 900 logs', $many, undef, $latency, $cluster);
		summary_of_giant($report, 'a recount of the giant', $latency, $cluster, $giant);
	});
	$data->fold(@executions);
	return;
}

# 900 logs, as owner and under RLS, against both of S1's ways.
sub summary_of_900
{
	my ($report, $what, $transactions, $target, $latency, $cluster) = @_;
	my $pick = '\set n 10 * random(0, 19)';
	my $n = 'bench.eid(:n)';

	for my $user ('postgres', 'bench_user')
	{
		my $who = $user eq 'postgres' ? 'as owner' : 'under RLS';
		my %opt = (transactions => $transactions, user => $user);
		my ($statement, $queries, $wflog) = $report->interleave($report->repetitions,
			$latency->("$pick\n" . s1_summary($cluster, 's1_summary.sql', $n), %opt),
			$latency->("$pick\n" . s1_summary($cluster, 's1_summary_queries.sql', $n), %opt),
			$latency->("$pick\nSELECT wflog.summary($n);\n", %opt));

		$report->line(what => "$what, $who, S1 in one statement",
			unit => 'ms', s1 => $statement, wflog => $wflog, target => $target);
		$report->line(what => "$what, $who, S1 in five queries",
			unit => 'ms', s1 => $queries, wflog => $wflog);
	}
	return;
}

# The giant, against both of S1's ways.
sub summary_of_giant
{
	my ($report, $what, $latency, $cluster, $giant) = @_;
	my %few = (transactions => 3, set => { e => $giant });
	my ($statement, $queries, $wflog) = $report->interleave(3,
		$latency->(s1_summary($cluster, 's1_summary.sql', ':e'), %few),
		$latency->(s1_summary($cluster, 's1_summary_queries.sql', ':e'), %few),
		$latency->("SELECT wflog.summary(:e);\n", %few));
	$report->line(what => "$what, S1 in one statement",
		unit => 'ms', s1 => $statement, wflog => $wflog);
	$report->line(what => "$what, S1 in five queries",
		unit => 'ms', s1 => $queries, wflog => $wflog);
	return;
}

return ({ name => 'summary', title => 'Summaries', run => \&measure_summary });
