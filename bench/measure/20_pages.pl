# Pages of a 900-log execution and of the giant.
use strict;
use warnings;

# Complete executions of user 0, read in turn so that they are warm on both
# sides: numbers that end in 0, so all of workflow 0, 10, ..., 90.
my $pick = '\set n 10 * random(0, 19)';

# S1's two queries, as its implementation sends them.
sub s1_page
{
	my ($execution, $rest, $filter) = @_;
	return "SELECT * FROM s1.workflow_execution_logs WHERE execution_id = $execution $filter"
	  . " ORDER BY created_at $rest;\n";
}

sub s1_count
{
	my ($execution, $filter) = @_;
	return "SELECT count(*) FROM s1.workflow_execution_logs WHERE execution_id = $execution $filter;\n";
}

# A comparison of two scripts.  wflog_transactions: more than S1's where S1
# takes seconds.  The first of a session fill its caches and do not count.
sub page_line
{
	my ($cluster, $report, %opt) = @_;
	my $side = sub {
		my ($script, $transactions) = @_;
		return sub {
			$cluster->pgbench($script, transactions => $transactions, user => $opt{user},
				set => $opt{set}, skip => $transactions >= 40 ? 10 : 1)->{ms};
		};
	};

	return $report->compare(%opt, unit => 'ms',
		s1    => $side->($opt{s1}, $opt{transactions}),
		wflog => $side->($opt{wflog}, $opt{wflog_transactions} || $opt{transactions}));
}

sub measure_pages
{
	my ($cluster, $data, $report) = @_;
	my $n = 'bench.eid(:n)';
	my %common = (transactions => $report->{quick} ? 50 : 200);

	$data->fold(map { 'bench.eid(' . 10 * $_ . ')' } 0 .. 19);

	for my $user ('postgres', 'bench_user')
	{
		my $who = $user eq 'postgres' ? 'as owner' : 'under RLS';

		page_line($cluster, $report, %common,
			what   => "first page of 100, exact total, 900 logs, $who",
			user   => $user,
			target => 4,
			s1     => "$pick\n" . s1_page($n, 'LIMIT 100', '') . s1_count($n, ''),
			wflog  => "$pick\nSELECT wflog.logs_json($n, 100);\n");
		page_line($cluster, $report, %common,
			what  => "the same without the total, $who",
			user  => $user,
			s1    => "$pick\n" . s1_page($n, 'LIMIT 100', ''),
			wflog => "$pick\nSELECT wflog.logs_json($n, 100, with_total => false);\n");
	}
	page_line($cluster, $report, %common,
		what  => 'page of 100 at offset 800, exact total, 900 logs, as owner',
		s1    => "$pick\n" . s1_page($n, 'LIMIT 100 OFFSET 800', '') . s1_count($n, ''),
		wflog => "$pick\nSELECT wflog.logs_json($n, 100, 800);\n");
	page_line($cluster, $report, %common,
		what  => 'first page of errors, exact total, 900 logs, as owner',
		s1    => "$pick\n" . s1_page($n, 'LIMIT 100', "AND level = 'ERROR'")
		  . s1_count($n, "AND level = 'ERROR'"),
		wflog => "$pick\nSELECT wflog.logs_json($n, 100, level => 'ERROR');\n");
	return;
}

# The giant.  S1's keyset page is what one would write on its schema: it has no
# cursor, so (created_at, id) of the last log seen.
sub measure_giant
{
	my ($cluster, $data, $report) = @_;
	my $giant = $data->giant;
	my $logs = $data->{giant};
	my $deep = int($logs * 0.9);
	my %few = (transactions => 6, wflog_transactions => 40, set => { e => $giant }, repetitions => $report->{quick} ? 2 : 3);
	my ($middle_time, $middle_id) = split /\t/, $cluster->sql(
		"SELECT created_at, id FROM s1.workflow_execution_logs WHERE execution_id = '$giant'"
		. " ORDER BY created_at, id LIMIT 1 OFFSET " . int($logs / 2));
	$data->fold("'$giant'");
	my $cursor = $cluster->sql("SELECT wflog.logs_json('$giant', 1, " . int($logs / 2)
		  . ", with_total => false) #>> '{pagination,next_cursor}'");
	my $wflog_keyset = { e => $giant, cursor => $cursor };
	my $s1_keyset = { e => $giant, t => $middle_time, id => $middle_id };

	page_line($cluster, $report, %few,
		what   => 'first page of 100, without total',
		target => 300,
		s1     => s1_page(':e', 'LIMIT 100', ''),
		wflog  => "SELECT wflog.logs_json(:e, 100, with_total => false);\n");
	page_line($cluster, $report, %few,
		what   => 'first page of 100, exact total',
		target => 15,
		s1     => s1_page(':e', 'LIMIT 100', '') . s1_count(':e', ''),
		wflog  => "SELECT wflog.logs_json(:e, 100);\n");
	page_line($cluster, $report, %few,
		what   => "page of 100 at offset $deep, without total",
		target => 20,
		s1     => s1_page(':e', "LIMIT 100 OFFSET $deep", ''),
		wflog  => "SELECT wflog.logs_json(:e, 100, $deep, with_total => false);\n");
	page_line($cluster, $report, %few,
		what   => "page of 100 at offset $deep, exact total",
		s1     => s1_page(':e', "LIMIT 100 OFFSET $deep", '') . s1_count(':e', ''),
		wflog  => "SELECT wflog.logs_json(:e, 100, $deep);\n");
	page_line($cluster, $report, %few,
		what  => 'first page of errors, without total',
		s1    => s1_page(':e', 'LIMIT 100', "AND level = 'ERROR'"),
		wflog => "SELECT wflog.logs_json(:e, 100, level => 'ERROR', with_total => false);\n");
	page_line($cluster, $report, %few,
		what  => 'first page of errors, exact total',
		s1    => s1_page(':e', 'LIMIT 100', "AND level = 'ERROR'") . s1_count(':e', "AND level = 'ERROR'"),
		wflog => "SELECT wflog.logs_json(:e, 100, level => 'ERROR');\n");
	my $fast = sub {
		my ($script, $set) = @_;
		return sub { $cluster->pgbench($script, transactions => 100, set => $set, skip => 10)->{ms} };
	};
	$report->compare(
		what  => 'page of 100 after a cursor in the middle',
		unit  => 'ms',
		repetitions => $few{repetitions},
		s1    => $fast->('SELECT * FROM s1.workflow_execution_logs WHERE execution_id = :e'
			  . " AND created_at >= :t::timestamptz AND (created_at, id) > (:t::timestamptz, :id::uuid)"
			  . " ORDER BY created_at, id LIMIT 100;\n", $s1_keyset),
		wflog => $fast->("SELECT wflog.logs_json(:e, 100, after => :cursor, with_total => false);\n",
			$wflog_keyset));
	my $stream_cursor = middle_of_stream($cluster, $giant, $logs);
	my $tail = $report->median_of(sub {
		$cluster->pgbench("SELECT * FROM wflog.tail(:e, :cursor, 100);\n", transactions => 100,
			set => { e => $giant, cursor => $stream_cursor }, skip => 10)->{ms} });
	$report->note("`tail` of 100 logs from a stream cursor in the middle: $tail ms (S1 has nothing to compare it with).");
	return;
}

# A stream cursor half way through the giant.
sub middle_of_stream
{
	my ($cluster, $giant, $logs) = @_;
	my $cursor = 'NULL';

	for (my $seen = 0; $seen < $logs / 2; $seen += 10_000)
	{
		my $next = $cluster->sql("SELECT cursor FROM wflog.tail('$giant', $cursor, 10000) OFFSET 9999");
		last unless $next;
		$cursor = "'$next'";
	}
	$cursor =~ s/'//g;
	return $cursor;
}

return (
	{ name => 'pages', title => 'Pages of a 900-log execution', run => \&measure_pages },
	{ name => 'giant', title => 'Pages of the giant execution', run => \&measure_giant });
