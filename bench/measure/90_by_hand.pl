# The best anyone gets by hand: S1 plus an index on (execution_id, created_at)
# and without the one on created_at alone, which the planner would take for the
# giant's first page and read a third of the table.  Last, because it changes
# S1's table meanwhile.
use strict;
use warnings;

sub measure_by_hand
{
	my ($cluster, $data, $report) = @_;
	my $pick = '\set n 10 * random(0, 19)';
	my $n = 'bench.eid(:n)';
	my $many = $report->{quick} ? 50 : 200;
	my %few = (transactions => 40, set => { e => $data->giant },
		repetitions => $report->{quick} ? 2 : 3);
	my $deep = int($data->{giant} * 0.9);
	my %heads = (heads => [ 'S1 by hand', 'wflog' ]);

	$cluster->sql('CREATE INDEX IF NOT EXISTS by_hand ON s1.workflow_execution_logs (execution_id, created_at);'
		  . ' DROP INDEX IF EXISTS s1.idx_execution_logs_created_at');
	$data->settle;
	$data->fold(map { 'bench.eid(' . 10 * $_ . ')' } 0 .. 19);
	for my $user ('postgres', 'bench_user')
	{
		my $who = $user eq 'postgres' ? 'as owner' : 'under RLS';
		page_line($cluster, $report, %heads, transactions => $many, user => $user,
			what  => "first page of 100, exact total, 900 logs, $who",
			s1    => "$pick\n" . s1_page($n, 'LIMIT 100', '') . s1_count($n, ''),
			wflog => "$pick\nSELECT wflog.logs_json($n, 100);\n");
	}
	page_line($cluster, $report, %heads, %few, what => 'giant: first page of 100, without total',
		s1 => s1_page(':e', 'LIMIT 100', ''),
		wflog => "SELECT wflog.logs_json(:e, 100, with_total => false);\n");
	page_line($cluster, $report, %heads, %few, what => 'giant: first page of 100, exact total',
		s1 => s1_page(':e', 'LIMIT 100', '') . s1_count(':e', ''),
		wflog => "SELECT wflog.logs_json(:e, 100);\n");
	page_line($cluster, $report, %heads, %few, what => "giant: page at offset $deep, without total",
		transactions => 6, wflog_transactions => 40,
		s1 => s1_page(':e', "LIMIT 100 OFFSET $deep", ''),
		wflog => "SELECT wflog.logs_json(:e, 100, $deep, with_total => false);\n");
	page_line($cluster, $report, %heads, %few, what => 'giant: first page of errors, without total',
		s1 => s1_page(':e', 'LIMIT 100', "AND level = 'ERROR'"),
		wflog => "SELECT wflog.logs_json(:e, 100, level => 'ERROR', with_total => false);\n");
	page_line($cluster, $report, %heads, transactions => $many / 2,
		what  => 'summary of 900 logs, as owner',
		s1    => "$pick\n" . s1_summary($cluster, 's1_summary.sql', $n),
		wflog => "$pick\nSELECT wflog.summary($n);\n");

	my $columns = Bench::Data::columns();
	my @files = map { $data->today_file("today.$_") } 1 .. 3;
	my $copy = sub {
		my ($table) = @_;
		return sub { $data->{copy} / $cluster->cost("COPY $table ($columns) FROM '$files[$_[0]]'")->{wall} };
	};
	$report->compare(%heads, what => "COPY of $data->{copy} logs", unit => 'rows/s', higher => 1,
		repetitions => 3, s1 => $copy->('s1.workflow_execution_logs'),
		wflog => $copy->('wflog.workflow_execution_logs'));
	unlink @files;
	# as it was, for whoever goes on with this cluster
	$cluster->sql('CREATE INDEX idx_execution_logs_created_at ON s1.workflow_execution_logs (created_at);'
		  . ' DROP INDEX s1.by_hand');
	return;
}

return ({ name => 'by-hand', title => 'Against the best by hand', run => \&measure_by_hand });
