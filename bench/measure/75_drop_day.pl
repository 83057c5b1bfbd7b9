# Removing a day of logs while others write: wflog drops the day's leaf, S1
# deletes and vacuums.
use strict;
use warnings;

use Time::HiRes qw(sleep time);

my $days_ago = 450;    # the bench keeps 400 days

# Fill one old day of a table.
sub fill_day
{
	my ($cluster, $schema, $rows) = @_;
	my $columns = Bench::Data::columns();
	my $values = $columns;

	$values =~ s/execution_id/bench.eid(-100 - n % 64)/;
	$values =~ s/event_type/event_type::$schema.log_event_type_enum/;
	$values =~ s/\blevel\b/level::$schema.log_level_enum/;
	$values =~ s/\bdata\b/data::jsonb/;
	$cluster->sql("INSERT INTO $schema.workflow_execution_logs ($columns, created_at)"
		  . " SELECT $values, date_trunc('day', now(), 'UTC') - interval '$days_ago days'"
		  . " + n * interval '20 milliseconds' FROM bench.entries(0, $rows)");
	return;
}

# Sessions that write single rows; returns the longest and the 99th percentile
# of an INSERT in milliseconds, while $code runs.
sub beside_writers
{
	my ($cluster, $table, $seconds, $code) = @_;
	my $file = "$cluster->{dir}/took";

	unlink $file;
	$cluster->parallel(
		sub {
			$cluster->pgbench("INSERT INTO $table (execution_id, message, event_type)"
				  . " VALUES (bench.eid(2000000 + :client_id), 'Fetched a page', 'step_output');\n",
				clients => 4, seconds => $seconds);
		},
		sub {
			sleep 2;
			my $start = time;
			$code->();
			open my $out, '>', $file or die "$file: $!\n";
			print $out time - $start;
			close $out;
		});
	my @ms;
	for my $log (glob "$cluster->{dir}/latency.*")
	{
		open my $in, '<', $log or die "$log: $!\n";
		while (my $line = <$in>)
		{
			my @field = split q{ }, $line;
			push @ms, $field[2] / 1000 if $field[1] > 1;
		}
	}
	@ms = sort { $a <=> $b } @ms;
	return (Bench::Cluster::slurp($file), $ms[ $#ms * 0.99 ], $ms[-1]);
}

sub measure_drop_day
{
	my ($cluster, $data, $report) = @_;
	my $rows = $report->{quick} ? 50_000 : 3_000_000;
	my $seconds = $report->{quick} ? 6 : 60;
	my %table = map { $_ => "$_.workflow_execution_logs" } qw(s1 wflog);
	my $count = "count(*) FROM %s WHERE created_at < now() - interval '400 days'";

	# one log asks for the day's leaf; a run of the keeper's may be in the way
	$cluster->sql(qq{INSERT INTO $table{wflog} (execution_id, message, created_at)
		VALUES ('leaf', 'leaf', date_trunc('day', now(), 'UTC') - interval '$days_ago days')});
	for (my $end = time + 60;; sleep 0.5)
	{
		$cluster->sql('CALL wflog.maintain(1000)');
		last if $cluster->sql(qq{SELECT count(*) FROM wflog.workflow_execution_logs_default}) == 0;
		die "the day gets no leaf\n" if time > $end;
	}
	$cluster->parallel(map { my $schema = $_; sub { fill_day($cluster, $schema, $rows) } } keys %table);
	my @undisturbed = beside_writers($cluster, $table{wflog}, $report->{quick} ? 4 : 20, sub { });

	my @wflog = beside_writers($cluster, $table{wflog}, $report->{quick} ? 4 : 20,
		sub { $cluster->sql('CALL wflog.maintain(400)') });
	my @s1 = beside_writers($cluster, $table{s1}, $seconds, sub {
		$cluster->sql("DELETE FROM $table{s1} WHERE created_at < now() - interval '400 days';"
			  . " VACUUM $table{s1}");
	});
	for my $table (values %table)
	{
		my $left = $cluster->sql('SELECT ' . sprintf($count, $table));
		die "$table still has $left logs of the day\n" if $left > 0;
	}

	my @ms = map { [ map { Bench::Report::number($_) } @$_ ] } \@undisturbed, \@wflog, \@s1;
	$report->table('what', 'seconds', 'INSERT beside it, p99 ms', 'longest ms');
	$report->row('wflog, nothing removed', '', @{ $ms[0] }[ 1, 2 ]);
	$report->row("wflog, a day of $rows logs by maintain() (target: 1 s)", @{ $ms[1] });
	$report->row("S1, the same by DELETE and VACUUM", @{ $ms[2] });
	return;
}

return { name => 'dropday', title => 'Removing a day of logs', run => \&measure_drop_day };
