# The commit queue: whatever a transaction does, its logs are notified once if
# it commits and never if it does not; a queue that is too small, a transaction
# that is too large, and a worker that is not there cost time, but no log.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Listener;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WflogNode;

# Wait until the worker has got to work, and has nobody to tell that it has not.
sub worker_works
{
	my ($server) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok( wait_for($server, 'postgres', q{SELECT count(*) FROM pg_stat_activity
			WHERE backend_type = 'wflog worker' AND query LIKE 'notifying%'}, '1'), 'the worker works');
	return;
}

my $node = new_node('queue', 'wflog.queue_size = 16kB', 'max_connections = 60', 'fsync = off',
	'max_wal_size = 4GB');
$node->safe_psql('postgres', 'CREATE EXTENSION wflog');
worker_works($node);
$node->safe_psql('postgres', "CALL wflog.maintain(); SELECT wflog.start_execution(e, 'w') FROM unnest('{e,f}'::text[]) e");
# or their status may be told to who has asked after it
$node->poll_query_until('postgres', 'SELECT queue_depth = 0 FROM wflog.stat') or die 'the queue is not read';
my $listener = Listener->new($node, 'postgres', 'e');

sub sql { return $node->safe_psql('postgres', join ";\n", @_); }
sub psql { return $node->psql('postgres', join ";\n", @_); }
sub insert { return "INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('e', '$_[0]')"; }
sub stat_of { return sql("SELECT $_[0] FROM wflog.stat"); }

# Test which messages have been notified since the last time, in order.
my $count = 0;
sub notified
{
	my ($name, @wanted) = @_;
	my $last = 'last ' . ++$count;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	sql(insert($last));
	is_deeply([ $listener->messages_before($last) ], \@wanted, $name);
	return;
}

# Stop the worker for as long as something takes.
sub without_worker
{
	my ($code) = @_;
	my $pid = pid_of($node, 'worker', 'postgres');
	kill 'STOP', $pid;
	eval { $code->($pid) };
	kill 'CONT', $pid;
	die $@ if $@;
	return;
}

# End the worker, and wait for the next one.
sub restart_worker
{
	my ($worker) = @_;
	$worker //= pid_of($node, 'worker', 'postgres');
	sql("SELECT pg_terminate_backend($worker)");
	kill 'CONT', $worker;
	restarted($node, 'worker', 'postgres', $worker, 'another worker is there');
	worker_works($node);
	return;
}

# ---- transactions

sql(insert('a'));
notified('a log', 'a');
sql('BEGIN', insert('a'), insert('b'), 'COMMIT');
notified('two', 'a', 'b');
sql('BEGIN', insert('a'), 'ROLLBACK');
notified('rolled back');
psql('BEGIN', insert('a'), 'SELECT 1/0', 'COMMIT');
notified('failed');
psql(insert('a') . ', (NULL, NULL)');
notified('failed in the statement that writes it');

# ---- savepoints

sql('BEGIN', insert('a'), 'SAVEPOINT s', insert('b'), 'ROLLBACK TO s', insert('c'), 'SAVEPOINT t',
	insert('d'), 'RELEASE t', 'COMMIT');
notified('savepoints', 'a', 'c', 'd');
sql('BEGIN', 'SAVEPOINT s', insert('a'), 'ROLLBACK TO s', 'COMMIT');
notified('nothing but what is rolled back');
sql(q{DO $$ BEGIN FOR i IN 1..3 LOOP BEGIN INSERT INTO wflog.workflow_execution_logs (execution_id, message)
	VALUES ('e', 'a'); PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$});
notified('caught errors');
sql('BEGIN', (map { ("SAVEPOINT s$_", insert("in $_")) } 1 .. 80), 'COMMIT');
notified('80 savepoints deep', map { "in $_" } 1 .. 80);
sql('BEGIN', (map { ("SAVEPOINT s$_", insert("in $_")) } 1 .. 80), 'ROLLBACK TO s41', insert('after'), 'COMMIT');
notified('half of 80 rolled back', (map { "in $_" } 1 .. 40), 'after');
sql('BEGIN', (map { ("SAVEPOINT s$_", insert("in $_"), $_ % 2 ? "RELEASE s$_" : "ROLLBACK TO s$_") } 1 .. 80), 'COMMIT');
notified('every second rolled back', map { 'in ' . (2 * $_ - 1) } 1 .. 40);

# ---- rows that are not inserted after all

sql(q{INSERT INTO wflog.workflow_execution_logs (execution_id, message, id, created_at)
	SELECT 'e', m, '01900000-0000-7000-8000-000000000001', now() FROM unnest('{a,b}'::text[]) m
	ON CONFLICT DO NOTHING});
notified('ON CONFLICT DO NOTHING', 'a');
sql(q{CREATE FUNCTION drop_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$},
	q{CREATE TRIGGER zzz BEFORE INSERT ON wflog.workflow_execution_logs FOR EACH ROW
	  WHEN (NEW.message = 'drop me') EXECUTE FUNCTION drop_it()});
sql(insert('drop me'));
notified('dropped by a later trigger');
sql('DROP TRIGGER zzz ON wflog.workflow_execution_logs');
sql('BEGIN', insert('a'), insert('b'), "DELETE FROM wflog.workflow_execution_logs WHERE execution_id = 'e' AND message = 'a'", 'COMMIT');
notified('deleted in the same transaction', 'b');

# ---- what is written last of all

sql('CREATE TABLE t (i int)',
	q{CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN } . insert('late') . q{; RETURN NULL; END $$},
	'CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()');
sql('INSERT INTO t VALUES (1)');
notified('by a deferred trigger', 'late');
sql(q{CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1..4 LOOP
	INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('e', i);
	IF i % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF; END LOOP; END $$}, 'CALL p()');
notified('by a procedure that commits', 2, 4);

# ---- prepared transactions

sql('BEGIN', insert('a'), "PREPARE TRANSACTION 'p'");
notified('prepared');
sql("COMMIT PREPARED 'p'");
notified('committed', 'a');
sql('BEGIN', insert('a'), "PREPARE TRANSACTION 'p'", "ROLLBACK PREPARED 'p'");
notified('prepared and rolled back');
sql('BEGIN', 'INSERT INTO t VALUES (1)', "PREPARE TRANSACTION 'p'", "COMMIT PREPARED 'p'");
notified('deferred trigger, prepared', 'late');

# It has the greatest id there is, and is in no snapshot's list of running ones.
sql('BEGIN', insert('a'), "PREPARE TRANSACTION 'p'");
restart_worker();
sql("COMMIT PREPARED 'p'");
notified('prepared, then another worker', 'a');

sql('BEGIN', insert('a'), "PREPARE TRANSACTION 'p'");
notified('another one');
restart_worker();
sql(insert('b'));
# in one round with it, the prepared one would come first
notified('others in between', 'b');
sql("COMMIT PREPARED 'p'");
notified('likewise, with others in between', 'a');

# ---- the worker comes late

without_worker(sub {
	my ($worker) = @_;
	sql(insert('a'));
	sql('BEGIN', insert('b'), insert('b'), 'COMMIT');
	restart_worker($worker);
});
notified('written before another worker came', 'a', 'b', 'b');

# ---- large transactions

sql(q{INSERT INTO wflog.workflow_execution_logs (execution_id, message)
	SELECT CASE WHEN i IN (1, 300, 600) THEN 'e' ELSE 'other ' || i END, i FROM generate_series(1, 600) i});
notified('600 executions in a transaction, more than the queue has room for', 1, 300, 600);
my $overflows = stat_of('overflows');
cmp_ok($overflows, '>', 0, 'which was noticed');
sql(q{INSERT INTO wflog.workflow_execution_logs (execution_id, message)
	SELECT CASE WHEN i IN (1, 1500, 3000) THEN 'e' ELSE 'other ' || i END, i FROM generate_series(1, 3000) i});
notified('3000 executions in a transaction', 1, 1500, 3000);
is(stat_of('overflows'), $overflows, 'they are noted as one');
sql('BEGIN', q{INSERT INTO wflog.workflow_execution_logs (execution_id, message)
	SELECT CASE WHEN i IN (1, 1500, 3000) THEN 'e' ELSE 'other ' || i END, i FROM generate_series(1, 3000) i}, 'ROLLBACK');
notified('3000 rolled back');
sql('BEGIN', q{INSERT INTO wflog.workflow_execution_logs (execution_id, message)
	SELECT CASE WHEN i IN (1, 1500, 3000) THEN 'e' ELSE 'other ' || i END, i FROM generate_series(1, 3000) i},
	"PREPARE TRANSACTION 'p'");
notified('3000 prepared');
sql("COMMIT PREPARED 'p'");
notified('and committed', 1, 1500, 3000);
sql(q{BEGIN; SELECT count(wflog.start_execution(repeat('x', 200) || i, 'w')) FROM generate_series(1, 300) i}, insert('a'), 'COMMIT');
notified('with more status changes than can be noted', 'a');

SKIP:
{
	skip 'no /proc', 3 unless -r '/proc/self/status';

	my $file = "$PostgreSQL::Test::Utils::tmp_check/rows.tsv";
	open(my $out, '>', $file) or die $!;
	print $out join("\t", 'copy ' . $_ % 3, "row $_"), "\n" foreach 1 .. 1_000_000;
	print $out "e\tthe last of them\n";
	close $out;

	my $session = $node->background_psql('postgres');
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	my $anonymous = sub { return slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m ? $1 : 0; };
	my $copy = "COPY wflog.workflow_execution_logs (execution_id, message) FROM";
	$session->query_safe("BEGIN; $copy PROGRAM 'head -n 20000 $file'");
	my $before = $anonymous->();
	sql('SELECT wflog.stat_reset()');
	$session->query_safe("$copy '$file'");
	my $after = $anonymous->();
	$session->query_safe('COMMIT');
	note("$before kB, then $after kB");
	cmp_ok($after - $before, '<', 4096, 'COPY of a million rows: memory of the backend, in kB');
	notified('its one log of the execution', 'the last of them');
	cmp_ok(stat_of('queue_high_water'), '<', 10 * 32, 'and it takes a few places in the queue');
	$session->quit;
}

# ---- a full queue

my $writes = 700;
without_worker(sub {
	sql("DO \$\$ BEGIN FOR i IN 1..$writes LOOP INSERT INTO wflog.workflow_execution_logs (execution_id, message)
		VALUES (CASE WHEN i % 10 = 0 THEN 'e' ELSE 'f' END, i); COMMIT; END LOOP; END \$\$");
});
notified('the queue was full', map { 10 * $_ } 1 .. $writes / 10);

# One transaction has had no room for its hints, and is open when the worker
# learns of that: with the greatest id, or with others above it.
foreach my $above (0, 1)
{
	without_worker(sub {
		sql("DO \$\$ BEGIN FOR i IN 1..$writes LOOP INSERT INTO wflog.workflow_execution_logs (execution_id, message)
			VALUES ('f', i); COMMIT; END LOOP; END \$\$");
		sql('BEGIN', insert('a'), "PREPARE TRANSACTION 'p'");
		sql(insert('b')) if $above;
	});
	notified('the queue was full, and is not any more', $above ? 'b' : ()) if $above;
	ok(wait_for($node, 'postgres', 'SELECT queue_depth FROM wflog.stat', '0'), 'the worker has caught up');
	sql("COMMIT PREPARED 'p'");
	notified('a transaction that had no room for hints', 'a');
}

# A session that waits between its writing and its commit, likewise.
my $open = $node->background_psql('postgres');
$open->query_safe('BEGIN; ' . insert('before'));
without_worker(sub {
	sql("DO \$\$ BEGIN FOR i IN 1..$writes LOOP INSERT INTO wflog.workflow_execution_logs (execution_id, message)
		VALUES ('f', i); COMMIT; END LOOP; END \$\$");
});
ok(wait_for($node, 'postgres', 'SELECT queue_depth FROM wflog.stat', '0'), 'the worker has caught up');
$open->query_safe(insert('after'));
$open->query_safe('COMMIT');
$open->quit;
notified('a transaction that was open meanwhile', 'before', 'after');

# ---- a crash

sql('BEGIN', insert('a'), "PREPARE TRANSACTION 'p'");
$listener->quit;
$node->stop('immediate');
$node->start;
worker_works($node);
$listener = Listener->new($node, 'postgres', 'e');
sql("COMMIT PREPARED 'p'");
notified('prepared before a crash, committed after it', 'a');

# ---- a database without a slot

$node->append_conf('postgresql.conf', "wflog.max_databases = 1");
$node->restart;
$node->safe_psql('template1', 'CREATE DATABASE other');
wait_for_workers($node, 'one database has a worker', 'postgres');
$node->safe_psql('other', q{CREATE EXTENSION wflog; SELECT wflog.log('x', 'y')});
is($node->safe_psql('other', q{SELECT log->>'message' FROM wflog.tail('x')}), 'y', 'the other one is written to and read');

is(log_errors($node, 0), '', 'no error in the log');
$node->stop;
done_testing();
