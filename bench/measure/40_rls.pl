# count(*) over all logs by a user who owns a tenth of the executions.
use strict;
use warnings;

sub measure_rls
{
	my ($cluster, $data, $report) = @_;
	my $count = sub {
		my ($table, $user) = @_;
		return sub {
			return $cluster->pgbench("SELECT count(*) FROM $table;\n",
				transactions => 2, user => $user)->{ms};
		};
	};
	my ($s1_owner, $s1_user, $wflog_owner, $wflog_user) = $report->interleave(
		$report->{quick} ? 2 : 3,
		$count->('s1.workflow_execution_logs', 'postgres'),
		$count->('s1.workflow_execution_logs', 'bench_user'),
		$count->('wflog.workflow_execution_logs', 'postgres'),
		$count->('wflog.workflow_execution_logs', 'bench_user'));
	my @seen = map { $cluster->sql("SELECT count(*) FROM $_.workflow_execution_logs", user => 'bench_user') }
	  qw(s1 wflog);

	die "the user sees $seen[0] logs of S1 and $seen[1] of wflog\n" if $seen[0] != $seen[1];
	$report->note("Of all logs, the user sees $seen[0] on both sides.");
	$report->line(what => 'wflog: count(*) of all logs', unit => 'ms', most => 1.5,
		heads => [ 'superuser', 'user under RLS' ], s1 => $wflog_owner, wflog => $wflog_user);
	$report->line(what => 'S1: count(*) of all logs', unit => 'ms', most => undef, higher => 1,
		s1 => $s1_owner, wflog => $s1_user);
	$report->table('what', 'S1', 'wflog', 'ratio', 'target', 'met?');
	$report->line(what => 'count(*) under RLS', unit => 'ms', s1 => $s1_user, wflog => $wflog_user);
	return;
}

return ({ name => 'rls', title => 'Row level security', run => \&measure_rls });
