# Maintenance in the background: at start and at intervals, with its result to
# be seen, in nobody's way, and ended at once when the server stops.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);
use WflogNode;

my $node = new_node('keeper');
my $leaves = q{SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
	WHERE i.inhparent = 'wflog.workflow_execution_logs_rows'::regclass AND c.relname ~ '_\d{8}$'};
my $due = $leaves . q{ AND to_date(right(c.relname, 8), 'YYYYMMDD') < (now() AT TIME ZONE 'UTC')::date - 30};
my $default = 'SELECT count(*) FROM wflog.workflow_execution_logs_default';

# Have the keeper run maintenance now, perhaps several times; the last result.
sub run_now
{
	my $since = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
	my $interval = $node->safe_psql('postgres', 'SHOW wflog.maintenance_interval');
	$node->safe_psql('postgres', $_) foreach ('ALTER SYSTEM SET wflog.maintenance_interval = 1', 'SELECT pg_reload_conf()');
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(wait_for($node, 'postgres', "SELECT maintenance_started > '$since' AND maintenance_result <> 'running' FROM wflog.stat", 't'),
		'maintenance has run');
	$node->safe_psql('postgres', $_) foreach ("ALTER SYSTEM SET wflog.maintenance_interval = '$interval'", 'SELECT pg_reload_conf()');
	# another run may have begun meanwhile
	wait_for($node, 'postgres', q{SELECT maintenance_result <> 'running' AND maintenance_next - maintenance_ended > interval '1 second' FROM wflog.stat}, 't');
	return $node->safe_psql('postgres', 'SELECT maintenance_result FROM wflog.stat');
}

# ---- at start

# in one transaction, as it leaves for later what somebody is writing to
$node->safe_psql('postgres', q{
	BEGIN;
	CREATE EXTENSION wflog;
	INSERT INTO wflog.workflow_execution_logs (execution_id, message) SELECT 'e', 'x' FROM generate_series(1, 1000);
	COMMIT});
ok(wait_for($node, 'postgres', 'SELECT maintenance_result FROM wflog.stat', 'done'), 'maintenance runs by itself');
is($node->safe_psql('postgres', $leaves), '4', 'partitions are there');
is($node->safe_psql('postgres', $default), '0', 'the default one is empty');
is( $node->safe_psql('postgres', 'SELECT maintenance_next - maintenance_ended, maintenance_ended >= maintenance_started, last_error FROM wflog.stat'),
	'1 day|t|', 'the next is due in a day');
my $last = $node->safe_psql('postgres', 'SELECT maintenance_started FROM wflog.stat');
my $pid = pid_of($node, 'keeper');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
restarted($node, 'keeper', 'postgres', $pid, 'another keeper');
sleep(0.5);
is($node->safe_psql('postgres', 'SELECT maintenance_started FROM wflog.stat'), $last, 'does not begin anew');

# ---- what it does

$node->safe_psql('postgres', q{
	INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
	SELECT 'e', 'old', now() - make_interval(days => i % 40) FROM generate_series(1, 4000) i});
is(run_now(), 'done', 'all of it');
is($node->safe_psql('postgres', $default), '0', 'the default partition is drained');
is($node->safe_psql('postgres', $due), '0', 'what is past its time is gone');
is($node->safe_psql('postgres', q{SELECT count(*) FROM wflog.workflow_execution_logs WHERE message = 'old'}), '3000', 'and nothing else');
cmp_ok($node->safe_psql('postgres', q{SELECT reltuples FROM pg_class WHERE oid = 'wflog.workflow_execution_logs'::regclass}), '>=', 3000,
	'the partitioned table is analyzed');
$node->safe_psql('postgres', q{INSERT INTO wflog.workflow_execution_logs (execution_id, message) SELECT 'e', 'x' FROM generate_series(1, 2000)});
run_now();
cmp_ok($node->safe_psql('postgres', q{SELECT reltuples FROM pg_class WHERE oid = 'wflog.workflow_execution_logs'::regclass}), '>=', 5000,
	'also when no partition has changed');

# ---- partitions that would run out before the interval is over

$node->safe_psql('postgres', q{ALTER DATABASE postgres SET wflog.partition_interval = 'hour'});
ok(wait_for($node, 'postgres', 'SELECT running AND maintenance_next - maintenance_ended <= interval \'90 minutes\' FROM wflog.stat', 't'),
	'short partitions: maintenance runs more often');
$node->safe_psql('postgres', q{ALTER DATABASE postgres RESET wflog.partition_interval});
ok(wait_for($node, 'postgres', 'SELECT running AND maintenance_next - maintenance_ended = interval \'1 day\' FROM wflog.stat', 't'), 'as before');

# ---- off and on

$node->safe_psql('postgres', $_) foreach ('ALTER SYSTEM SET wflog.maintenance_interval = 0', 'SELECT pg_reload_conf()');
ok(wait_for($node, 'postgres', 'SELECT maintenance_next FROM wflog.stat', ''), 'interval 0: there is no next run');
$node->safe_psql('postgres', q{INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at) VALUES ('e', 'x', now() - interval '35 days')});
$node->restart;
wait_for_workers($node, 'restart', 'postgres');
sleep(0.5);
is($node->safe_psql('postgres', 'SELECT maintenance_started, maintenance_result FROM wflog.stat'), '|', 'nor a first one');
is($node->safe_psql('postgres', $default), '1', 'nothing has been done');
$node->safe_psql('postgres', $_) foreach ('ALTER SYSTEM RESET wflog.maintenance_interval', 'SELECT pg_reload_conf()');
ok(wait_for($node, 'postgres', 'SELECT maintenance_result FROM wflog.stat', 'done'), 'on again');
is($node->safe_psql('postgres', $default), '0', 'done');

# ---- beside others

my $other = $node->background_psql('postgres');
$other->query_safe($_) foreach ('BEGIN', 'CALL wflog.maintain()');
is(run_now(), 'another run was active', 'another run');
ok( $node->safe_psql('postgres', q{SELECT maintenance_next - maintenance_ended <= interval '10 minutes' FROM wflog.stat}) eq 't',
	'it tries again soon');
$other->query_safe('COMMIT');
is(run_now(), 'done', 'when that is over');

# A writer that stays, a reader that stays, and one who writes without end:
# nobody waits longer than the lock timeout, and some, for leaves being dropped.
$node->safe_psql('postgres', q{
	INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
	SELECT 'e' || i % 100, 'due', date_trunc('day', now(), 'UTC') - make_interval(days => 31 + i % 3) + interval '1 hour' FROM generate_series(1, 30000) i;
	CALL wflog.maintain(1000)});
is($node->safe_psql('postgres', $due), '3', 'three partitions are due');
my $writer = $node->background_psql('postgres');
$writer->query_safe($_) foreach ('BEGIN', q{INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('writer', 'x')});
my $script = $node->basedir . '/insert.sql';
append_to_file($script, "INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('other', 'x');\n");
my $prefix = $node->basedir . '/latency';
my $bench = IPC::Run::start(
	[
		'pgbench', '-h', $node->host, '-p', $node->port, '-n', '-f', $script, '-c', '1', '-T', '600', '-l', "--log-prefix=$prefix", 'postgres'
	],
	'>', \my $out, '2>', \my $err);
ok(wait_for($node, 'postgres', q{SELECT count(*) > 100 FROM wflog.workflow_execution_logs WHERE execution_id = 'other'}, 't'), 'somebody writes');
my $place = -s $node->logfile;
my $result = run_now();
like($result, qr/^done, but [1-9]\d* left for the next run$/, 'what cannot be locked is left');
like(log_since($node, $place), qr/wflog keeper: LOG:  could not drop partition/, 'and told of in the log');
is($node->safe_psql('postgres', q{SELECT count(*) FROM wflog.workflow_execution_logs WHERE message = 'due'}), '0', 'what is due is gone all the same');
is($node->safe_psql('postgres', $due), '3', 'but for the partitions');
ok(wait_for($node, 'postgres', q{SELECT maintenance_next - maintenance_ended = interval '10 minutes' FROM wflog.stat}, 't'), 'the next run is due sooner');
my $reader = $node->background_psql('postgres');
$reader->query_safe($_) foreach ('BEGIN', 'SELECT count(*) FROM wflog.workflow_execution_logs');
like(run_now(), qr/left for the next run/, 'also with a reader');
$bench->signal('ALRM');			# as its own time limit would
$bench->finish;
my ($longest, $inserts) = (0, 0);
foreach my $line (map { split /\n/, slurp_file($_) } glob("$prefix*"))
{
	my $latency = (split / /, $line)[2] / 1000;
	$longest = $latency if $latency > $longest;
	$inserts++;
}
note("longest insert: $longest ms");
ok($inserts > 100, "inserts: $inserts");
# some: what a session may have to wait for a processor; of those who stay there would be no end
cmp_ok($longest, '<', 50 + 2000, "no insert took longer than the timeout and some: $longest ms");
foreach my $session ($writer, $reader)
{
	$session->query_safe('COMMIT');
	$session->quit;
}
is(run_now(), 'done', 'without them');
is($node->safe_psql('postgres', $due), '0', 'the partitions are dropped');

# ---- errors

$node->safe_psql('postgres', 'ALTER TABLE wflog.producer_batches RENAME COLUMN created_at TO gone');
$place = -s $node->logfile;
$pid = pid_of($node, 'keeper');
like(run_now(), qr/column .*created_at.* does not exist/, 'an error is the result');
is( $node->safe_psql('postgres', q{SELECT last_error ~ 'does not exist', last_error_in, last_error_at > now() - interval '1 minute',
		maintenance_next - maintenance_ended <= interval '10 minutes' FROM wflog.stat}),
	't|keeper|t|t', 'and noted, and it tries again soon');
like(log_since($node, $place), qr/wflog keeper: ERROR:  column .*created_at.* does not exist/, 'and logged');
is(pid_of($node, 'keeper'), $pid, 'the keeper lives on');
$node->safe_psql('postgres', 'ALTER TABLE wflog.producer_batches RENAME COLUMN gone TO created_at');
is(run_now(), 'done', 'mended');

# ---- cancelled, and the server stopped, in mid-run

# Much to move, so that it takes a while
sub much_to_do
{
	$node->safe_psql('postgres', q{
		INSERT INTO wflog.workflow_execution_logs_default (execution_id, message, created_at)
		SELECT 'e' || i % 1000, repeat('x', 200), now() + interval '40 days' + i * interval '1 second' FROM generate_series(1, 400000) i});
	$node->safe_psql('postgres', $_) foreach ('ALTER SYSTEM SET wflog.maintenance_interval = 1', 'SELECT pg_reload_conf()');
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(wait_for($node, 'postgres', 'SELECT maintenance_result FROM wflog.stat', 'running'), 'maintenance runs');
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET wflog.maintenance_interval');
	sleep(0.2);
	return;
}
$node->safe_psql('postgres', q{ALTER SYSTEM SET wflog.retention_days = 36500});

much_to_do();
$pid = pid_of($node, 'keeper');
# it runs every second still, as a run may be over before it is cancelled
my ($cancelled, $end) = ('', time() + $PostgreSQL::Test::Utils::timeout_default);
until ($cancelled || time() > $end)
{
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid) FROM wflog.stat WHERE maintenance_result = 'running'");
	$cancelled = $node->safe_psql('postgres', q{SELECT true FROM wflog.stat WHERE last_error = 'canceling statement due to user request'});
}
ok($cancelled, 'it can be cancelled');
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
is(pid_of($node, 'keeper'), $pid, 'which does not end the keeper');
my %seconds;
foreach my $mode ('fast', 'immediate')
{
	$node->restart unless $mode eq 'fast';
	much_to_do() if $mode eq 'fast';
	ok(wait_for($node, 'postgres', 'SELECT maintenance_result FROM wflog.stat', 'running'), "$mode: maintenance runs");
	$seconds{$mode} = elapsed(sub { $node->stop($mode) });
	note("$mode: $seconds{$mode} s");
	cmp_ok($seconds{$mode}, '<', 30, "$mode shutdown in mid-run: no waiting");
	$node->start;
}
unlike(log_errors($node, $place) =~ s/.*(column|canceling statement due to user request|created_at).*//gr, qr/\S/, 'no other errors of ours');

# ---- the postmaster dies

ok(wait_for($node, 'postgres', 'SELECT maintenance_result FROM wflog.stat', 'running'), 'once more');
my @pids = split /\n/, $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'wflog%'});
is(scalar @pids, 3, 'launcher, worker and keeper');
my ($postmaster) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');
kill 'KILL', $postmaster;
my $started = time();
my $alive = 3;
while ($alive && time() < $started + 30)
{
	sleep(0.05);
	$alive = grep { kill 0, $_ } @pids;
}
note('all gone after ' . (time() - $started) . ' s');
is($alive, 0, 'the postmaster is killed: they go, too');
# so that nobody tries to stop what is not there
unlink $node->data_dir . '/postmaster.pid';
$node->_update_pid(0);

done_testing();
