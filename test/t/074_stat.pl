# wflog.stat: one row, wherever it is asked for, which says what runs, and if
# not, why and what to do; and who may see and reset it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);
use WflogNode;

# ---- not preloaded

my $plain = PostgreSQL::Test::Cluster->new('plain');
$plain->init;
$plain->start;
$plain->safe_psql('postgres', 'CREATE EXTENSION wflog');
is( $plain->safe_psql('postgres', 'SELECT running, hint FROM wflog.stat'),
	'f|wflog is not preloaded: add it to shared_preload_libraries and restart the server', 'not preloaded');
is($plain->safe_psql('postgres', 'SELECT count(*) FROM wflog.stat s, jsonb_each_text(to_jsonb(s)) j WHERE j.value IS NULL'), '28', 'the rest is null');
is($plain->safe_psql('postgres', 'SELECT wflog.stat_reset()'), '', 'there is nothing to reset');
$plain->stop;

# ---- running

my $node = new_node('stat', 'wflog.queue_size = 16kB', 'wflog.max_databases = 1');
$node->safe_psql('postgres', 'CREATE EXTENSION wflog');
ok(wait_for($node, 'postgres', q{SELECT running AND maintenance_result = 'done' FROM wflog.stat}, 't'), 'all runs');
is( $node->safe_psql('postgres', q{
	SELECT hint, scope, asked, queue_size, overflows, fold_lag, last_error, last_error_in, last_error_at, stats_reset,
		(SELECT count(*) FROM pg_stat_activity WHERE (pid, backend_type) IN
			((s.launcher_pid, 'wflog launcher'), (s.worker_pid, 'wflog worker'), (s.keeper_pid, 'wflog keeper')))
	FROM wflog.stat s}),
	'|asked|0|512|0|00:00:00|||||3', 'what it shows of a new installation');

# The queue, with a worker that does not get to it
my $worker = pid_of($node, 'worker');
kill 'STOP', $worker;
$node->safe_psql('postgres', q{INSERT INTO wflog.workflow_execution_logs (execution_id, message) SELECT 'e' || i, 'x' FROM generate_series(1, 100) i});
is($node->safe_psql('postgres', 'SELECT queue_depth, queue_high_water >= 100, overflows FROM wflog.stat'), '100|t|0', 'what waits in the queue');
$node->safe_psql('postgres', q{INSERT INTO wflog.workflow_execution_logs (execution_id, message) SELECT 'e' || i, 'x' FROM generate_series(1, 500) i});
is($node->safe_psql('postgres', 'SELECT queue_depth, overflows FROM wflog.stat'), '100|1', 'what found no place');
$node->safe_psql('postgres', 'SELECT wflog.stat_reset()');
is( $node->safe_psql('postgres', q{SELECT queue_depth, queue_high_water, overflows, stats_reset > now() - interval '1 minute', maintenance_result FROM wflog.stat}),
	'100|100|0|t|done', 'reset: what is, stays');
kill 'CONT', $worker;
ok(wait_for($node, 'postgres', 'SELECT queue_depth FROM wflog.stat', '0'), 'and the worker goes on');

# ---- the lag, as a client sees it

my $channel = $node->safe_psql('postgres', q{SELECT wflog.start_execution('seen', 'w'); SELECT wflog.channel('seen')});
$channel =~ s/\s//g;
is($node->safe_psql('postgres', 'SELECT asked, notify_lag_max FROM wflog.stat'), '1|', 'somebody has asked');
$node->safe_psql('postgres', q{SELECT wflog.log('seen', 'x')}) foreach 1 .. 20;
ok(wait_for($node, 'postgres', q{SELECT logs_notified >= 20 AND notifications >= 20 AND batches > 0 FROM wflog.stat}, 't'), 'notifications are counted');
is( $node->safe_psql('postgres', q{
	SELECT notify_lag_mean > interval '0' AND notify_lag_mean <= notify_lag_p99 AND notify_lag_p99 <= notify_lag_max AND notify_lag_max < interval '1 minute'
	FROM wflog.stat}),
	't', 'and their lag');

# ---- who may see it

$node->safe_psql('postgres', q{
	CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
	CREATE ROLE janitor LOGIN IN ROLE wflog_admin;
	CREATE ROLE engine LOGIN IN ROLE wflog_writer;
	CREATE ROLE alice LOGIN IN ROLE wflog_reader});
my %may = (
	watcher => [ 't', 'permission denied for function stat_reset' ],
	janitor => [ 't', '' ],
	engine => [ 'permission denied for view stat', 'permission denied for function stat_reset' ],
	alice => [ 'permission denied for view stat', 'permission denied for function stat_reset' ]);
foreach my $role (sort keys %may)
{
	my @queries = ('SELECT running FROM wflog.stat', 'SELECT wflog.stat_reset()');
	foreach my $i (0, 1)
	{
		my ($status, $out, $err) = $node->psql('postgres', $queries[$i], extra_params => [ '-U', $role ]);
		like($err . $out, $may{$role}[$i] =~ / / ? qr/\Q$may{$role}[$i]\E/ : qr/^\Q$may{$role}[$i]\E$/, "$role: $queries[$i]");
	}
}
my ($status, $out, $err) = $node->psql('postgres', 'SELECT count(*) FROM wflog.workflow_executions', extra_params => [ '-U', 'watcher' ]);
like($err, qr/permission denied for table workflow_executions/, 'pg_monitor does not get at the tables');

# ---- what is missing

$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION wflog');
is($node->safe_psql('other', 'SELECT running, worker_pid, queue_depth, hint FROM wflog.stat'),
	'f|||there are more databases with wflog than slots: increase wflog.max_databases', 'no slot');
# in one session, as it is back soon
my $hints = $node->safe_psql('postgres', q{
	CREATE FUNCTION end_process(kind text) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE ended int;
	BEGIN
		SELECT pid INTO STRICT ended FROM pg_stat_activity WHERE backend_type = kind;
		PERFORM pg_terminate_backend(ended, 60000);
	END $$;
	SELECT end_process('wflog launcher');
	SELECT running, hint FROM wflog.stat;
	SELECT end_process('wflog worker');
	SELECT running, worker_pid, hint FROM wflog.stat});
is($hints, "\nt|\n\nf||the launcher does not run: it should be back in some seconds, else see the server's log",
	'without a launcher the others run, until one of them is gone');
ok(wait_for($node, 'postgres', 'SELECT running, hint FROM wflog.stat', 't|'), 'and then comes back');

$node->stop;
done_testing();
