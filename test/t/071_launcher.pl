# The launcher: finds every database that has the extension, when it is created
# and when it goes, and keeps a worker and a keeper there, whatever happens to
# them, to itself and to the server.

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

my $node = new_node('launcher', 'wflog.max_databases = 3', 'allow_in_place_tablespaces = on');

# ---- CREATE and DROP EXTENSION

$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'wflog launcher'});
wait_for_workers($node, 'nothing runs where the extension is not');
$node->safe_psql('postgres', 'CREATE EXTENSION wflog');
my $took = wait_for_workers($node, 'CREATE EXTENSION', 'postgres');
note("they were there after $took s");
ok($took < 30, 'and not only when databases are looked for, each minute');
ok(wait_for($node, 'postgres', 'SELECT maintenance_result FROM wflog.stat', 'done'), 'maintenance runs at once');
ok( wait_for($node, 'postgres', q{
	SELECT string_agg(concat_ws(' ', backend_type, application_name, coalesce(datname, '-'), state, wait_event_type), E'\n' ORDER BY backend_type)
	FROM pg_stat_activity WHERE backend_type LIKE 'wflog%'},
	"wflog keeper wflog keeper postgres idle Extension\nwflog launcher wflog launcher - idle Extension\nwflog worker wflog worker postgres idle Extension"),
	'they tell what they are');
$node->safe_psql('postgres', 'DROP EXTENSION wflog');
is(processes($node), '', 'DROP EXTENSION: gone when it returns');

$node->safe_psql('postgres', 'BEGIN; CREATE EXTENSION wflog; ROLLBACK');
$node->safe_psql('postgres', 'BEGIN; SAVEPOINT a; CREATE EXTENSION wflog; ROLLBACK TO a; COMMIT');
sleep(0.5);
is(processes($node), '', 'CREATE EXTENSION rolled back, also to a savepoint: nothing');
$node->safe_psql('postgres', 'BEGIN; SAVEPOINT a; CREATE EXTENSION wflog; RELEASE a; COMMIT');
wait_for_workers($node, 'in a savepoint', 'postgres');

# what a slot knows tells whether it is the same one
my $reset = q{SELECT coalesce(stats_reset::text, 'new') FROM wflog.stat};
$node->safe_psql('postgres', 'SELECT wflog.stat_reset()');
my $before = $node->safe_psql('postgres', $reset);
my ($worker, $keeper) = map { pid_of($node, $_) } qw(worker keeper);
$node->safe_psql('postgres', 'BEGIN; DROP EXTENSION wflog; ROLLBACK');
$node->safe_psql('postgres', 'BEGIN; SAVEPOINT a; DROP EXTENSION wflog; ROLLBACK TO a; COMMIT');
restarted($node, 'worker', 'postgres', $worker, 'DROP EXTENSION rolled back: the worker is back');
restarted($node, 'keeper', 'postgres', $keeper, 'and the keeper');
is($node->safe_psql('postgres', $reset), $before, 'in the same slot');
$node->safe_psql('postgres', 'BEGIN; DROP EXTENSION wflog; CREATE EXTENSION wflog; COMMIT');
wait_for_workers($node, 'dropped and created in one transaction', 'postgres');
ok(wait_for($node, 'postgres', $reset, 'new'), 'in a new slot');

$node->safe_psql('postgres', 'CREATE TABLE t (level wflog.log_level_enum); DROP EXTENSION wflog CASCADE; CREATE EXTENSION wflog');
wait_for_workers($node, 'CASCADE, and created again', 'postgres');
$node->safe_psql('postgres', 'DROP EXTENSION wflog');
$node->safe_psql('postgres', 'CREATE ROLE boss SUPERUSER; SET ROLE boss; CREATE EXTENSION wflog');
wait_for_workers($node, 'created by another', 'postgres');
$node->safe_psql('postgres', 'DROP OWNED BY boss');
is(processes($node), '', 'DROP OWNED');

# ---- prepared transactions

$node->safe_psql('postgres', q{BEGIN; CREATE EXTENSION wflog; PREPARE TRANSACTION 'create'});
$node->restart;
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'wflog launcher'});
$node->safe_psql('postgres', q{COMMIT PREPARED 'create'});
wait_for_workers($node, 'COMMIT PREPARED after a restart', 'postgres');
# the first maintenance may be over by then, and there shall be another, which has patience
$node->safe_psql('postgres', $_) foreach ('ALTER SYSTEM SET wflog.maintenance_interval = 1',
	q{ALTER SYSTEM SET wflog.maintenance_lock_timeout = '60s'}, 'SELECT pg_reload_conf()');
$node->safe_psql('postgres', q{BEGIN; DROP EXTENSION wflog; PREPARE TRANSACTION 'drop'});
# it has begun its work, and waits for the transaction that is going to take that away
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'wflog keeper' AND wait_event_type = 'Lock'}),
	'the keeper is at work when the extension goes');
$node->safe_psql('postgres', q{COMMIT PREPARED 'drop'});
wait_for_workers($node, 'dropped by COMMIT PREPARED');
$node->safe_psql('postgres', $_) foreach ('ALTER SYSTEM RESET ALL', 'SELECT pg_reload_conf()');
$node->safe_psql('postgres', q{BEGIN; CREATE EXTENSION wflog; PREPARE TRANSACTION 'create'; ROLLBACK PREPARED 'create'; CREATE EXTENSION wflog});
wait_for_workers($node, 'ROLLBACK PREPARED', 'postgres');

# ---- as fast as can be, under load

my $place = -s $node->logfile;
my $script = $node->basedir . '/write.sql';
append_to_file($script, "INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('e', 'x');\n");
my @load = map {
	IPC::Run::start([ 'sh', '-c', join ' ', 'while :; do', $node->installed_command('pgbench'), '-h', $node->host, '-p', $node->port,
			'-n', '-f', $script, '-c', 2, '-T', 30, 'postgres', '; done' ], '>', '/dev/null', '2>', '/dev/null')
} 1 .. 2;
my $rounds = 15;
my $slowest = 0;
foreach my $round (1 .. $rounds)
{
	my $lasted = elapsed(sub { $node->safe_psql('postgres', 'DROP EXTENSION wflog') });
	$slowest = $lasted if $lasted > $slowest;
	$node->safe_psql('postgres', 'CREATE EXTENSION wflog');
	sleep(0.1) if $round % 5 == 0;
}
$_->signal('KILL') foreach @load;
$_->finish foreach @load;
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgbench'});
wait_for_workers($node, 'created and dropped in a tight loop under load', 'postgres');
note("slowest DROP EXTENSION: $slowest s");
is(log_errors($node, $place), '', 'without an error of ours');
unlike(log_since($node, $place), qr/deadlock detected/, 'nor a deadlock');

# ---- databases

$node->safe_psql('postgres', 'CREATE DATABASE a');
$node->safe_psql('a', 'CREATE EXTENSION wflog');
wait_for_workers($node, 'a second database', 'a', 'postgres');
$node->safe_psql('template1', 'CREATE EXTENSION wflog');
wait_for_workers($node, 'template1', 'a', 'postgres', 'template1');
$place = -s $node->logfile;
$node->safe_psql('postgres', 'CREATE DATABASE b');
ok($node->wait_for_log(qr/no slot left for wflog in database "b".*HINT:\s+Increase wflog.max_databases, which is 3/s, $place),
	'a database too many is told of');
is($node->safe_psql('b', 'SELECT running, hint FROM wflog.stat'),
	'f|there are more databases with wflog than slots: increase wflog.max_databases', 'and there, too');
is($node->safe_psql('b', q{SELECT wflog.log('e', 'x') IS NOT NULL}), 't', 'where logs are written all the same');
$node->safe_psql('template1', 'DROP EXTENSION wflog');
wait_for_workers($node, 'one less: it gets its place', 'a', 'b', 'postgres');
$node->safe_psql('postgres', 'DROP DATABASE b');
$node->safe_psql('postgres', 'CREATE DATABASE b TEMPLATE a');
wait_for_workers($node, 'one that begins with the extension', 'a', 'b', 'postgres');
$node->safe_psql('postgres', 'ALTER DATABASE b ALLOW_CONNECTIONS false');
wait_for_workers($node, 'closed to connections', 'a', 'postgres');
$node->safe_psql('postgres', 'ALTER DATABASE b ALLOW_CONNECTIONS true');
wait_for_workers($node, 'and open again', 'a', 'b', 'postgres');
$node->safe_psql('postgres', 'DROP DATABASE b');

# ---- dump and restore

my $dump = $node->basedir . '/dump';
$node->safe_psql('a', q{SELECT wflog.start_execution('e', 'w'); SELECT wflog.log('e', 'line ' || i) FROM generate_series(1, 100) i});
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('a') ], 'dump');
$node->safe_psql('postgres', 'CREATE DATABASE b');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('b'), $dump ], 'restore');
wait_for_workers($node, 'restored', 'a', 'b', 'postgres');
is($node->safe_psql('b', 'SELECT count(*) FROM wflog.workflow_execution_logs'), '100', 'with its logs');
ok(wait_for($node, 'b', 'SELECT maintenance_result FROM wflog.stat', 'done'), 'and maintained thereafter');

# While a dump is restored, maintenance does not make what the dump is going to.
foreach my $how ('psql', 'pg_restore', 'pg_restore --jobs=2', 'pg_restore --single-transaction')
{
	$node->safe_psql('postgres', 'DROP DATABASE b; CREATE DATABASE b');
	my @format = $how eq 'psql' ? '-Fp' : '-Fc';
	$node->command_ok([ 'pg_dump', @format, '-f', $dump, '-d', $node->connstr('a') ], "dump for $how");
	if ($how eq 'psql')
	{
		# with time for the keeper to come in between
		my $sql = slurp_file($dump);
		$sql =~ s/^(CREATE EXTENSION .*;|ALTER TABLE ONLY .* ATTACH PARTITION .*;)$/$1\nSELECT pg_sleep(0.3);/mg;
		unlink $dump;
		append_to_file($dump, $sql);
		$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', $dump, '-d', $node->connstr('b') ], $how);
	}
	else
	{
		my @command = split / /, $how;
		$node->command_ok([ @command, '--exit-on-error', '-d', $node->connstr('b'), $dump ], $how);
	}
	is($node->safe_psql('b', 'SELECT count(*) FROM wflog.workflow_execution_logs'), '100', "$how: all logs");
	ok(wait_for($node, 'b', 'SELECT maintenance_result FROM wflog.stat', 'done'), "$how: maintained thereafter");
}
$node->safe_psql('postgres', 'DROP DATABASE b');

# ---- somebody stops them

foreach my $kind (qw(worker keeper launcher))
{
	my $database = $kind eq 'launcher' ? undef : 'a';
	$before = pid_of($node, $kind, $database);
	my $lasted = elapsed(sub {
		$node->safe_psql('postgres', "SELECT pg_terminate_backend($before)");
		restarted($node, $kind, $database, $before, "$kind terminated: it is back");
	});
	note("after $lasted s");
	ok($lasted > 0.3, 'not at once');
}
$node->safe_psql('a', 'DROP EXTENSION wflog');
wait_for_workers($node, 'a new launcher knows of the processes of the last', 'postgres');
$node->safe_psql('a', 'CREATE EXTENSION wflog');
wait_for_workers($node, 'and starts its own', 'a', 'postgres');

# without a launcher nothing is in the way, and nothing is forgotten
$before = pid_of($node, 'launcher');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($before)");
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'wflog launcher'});
$node->safe_psql('postgres', 'DROP EXTENSION wflog; CREATE DATABASE c TEMPLATE a; ALTER DATABASE a RENAME TO d');
my $none = processes($node);
SKIP:
{
	# on a slow machine
	skip 'the launcher is back already', 1 if pid_of($node, 'launcher');
	is($none, '', 'while there is no launcher');
}
restarted($node, 'launcher', undef, $before, 'then there is');
wait_for_workers($node, 'and it learns all', 'c', 'd');
$node->safe_psql('postgres', 'CREATE EXTENSION wflog; DROP DATABASE c; ALTER DATABASE d RENAME TO a');
wait_for_workers($node, 'as before', 'a', 'postgres');

# a cancellation of nothing changes nothing
$before = pid_of($node, 'worker', 'a');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($before)") foreach 1 .. 3;
sleep(0.3);
is(pid_of($node, 'worker', 'a'), $before, 'cancelled while idle');

# ---- settings

$node->safe_psql('postgres', 'ALTER DATABASE a SET wflog.maintenance_interval = 0');
ok(wait_for($node, 'a', q{SELECT running AND maintenance_next IS NULL FROM wflog.stat}, 't'), 'ALTER DATABASE SET is heeded');
is($node->safe_psql('postgres', 'SELECT maintenance_next IS NULL FROM wflog.stat'), 'f', 'in that database');
$node->safe_psql('postgres', 'ALTER DATABASE a RESET ALL');
ok(wait_for($node, 'a', q{SELECT running AND maintenance_next IS NOT NULL FROM wflog.stat}, 't'), 'RESET too');
ok(wait_for($node, 'postgres', q{SELECT maintenance_result FROM wflog.stat}, 'done'), 'maintenance has run');
$before = pid_of($node, 'keeper', 'postgres');
$node->append_conf('postgresql.conf', 'wflog.maintenance_interval = 100s');
$node->reload;
ok(wait_for($node, 'postgres', q{SELECT maintenance_next - maintenance_ended FROM wflog.stat}, '00:01:40'), 'SIGHUP is heeded');
is(pid_of($node, 'keeper', 'postgres'), $before, 'without a restart');

# settings of a database that would be in the way
$node->safe_psql('postgres', 'CREATE ROLE nobody');
$node->safe_psql('postgres', "ALTER DATABASE a SET $_")
  foreach ('default_transaction_read_only = on', 'role = nobody', 'search_path = nowhere', 'statement_timeout = 1',
	'default_transaction_isolation = serializable');
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'a' AND backend_type = 'wflog keeper'});
$node->safe_psql('postgres', 'ALTER DATABASE a SET wflog.maintenance_interval = 1');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_activity WHERE datname = 'a' AND backend_type LIKE 'wflog%'}), 'odd settings');
{
	local $ENV{PGOPTIONS} = '-c role=none -c statement_timeout=0';
	my $since = $node->safe_psql('postgres', 'SELECT now()');
	ok( wait_for(
			$node, 'a',
			"SELECT last_error IS NULL AND maintenance_result = 'done' AND maintenance_started > '$since' FROM wflog.stat", 't'),
		'are not in the way of maintenance');
}
$node->safe_psql('postgres', 'ALTER DATABASE a RESET ALL');
is(log_errors($node), '', 'no errors of ours in the log until now');

# ---- idle

# Only where the kernel tells
SKIP:
{
	wait_for_workers($node, 'all is quiet', 'a', 'postgres');
	sleep(4);
	my %pids = map { split /\|/ }
	  split /\n/, $node->safe_psql('postgres', q{SELECT pid, backend_type FROM pg_stat_activity WHERE backend_type LIKE 'wflog%'});
	my $switches = sub {
		my ($pid) = @_;
		open my $file, '<', "/proc/$pid/status" or return undef;
		return (join '', <$file>) =~ /^voluntary_ctxt_switches:\s+(\d+)/m ? $1 : undef;
	};
	my %count = map { $_ => $switches->($_) } keys %pids;
	skip 'no /proc', 5 if grep { !defined } values %count;
	my %woken;
	# maintenance may come in between, and wait for a disk
	foreach (1 .. 10)
	{
		sleep(5);
		%woken = map { my ($then, $now) = ($count{$_}, $switches->($_)); $count{$_} = $now; ($_ => $now - $then) } keys %pids;
		last unless grep { $_ > 5 } values %woken;
	}
	ok($woken{$_} <= 5, "an idle $pids{$_} woke up $woken{$_} times in 5 s") foreach sort { $a <=> $b } keys %pids;
}

# ---- crash

$before = pid_of($node, 'launcher');
my $victim = $node->background_psql('postgres');
my $pid = $victim->query_safe('SELECT pg_backend_pid()');
$place = -s $node->logfile;
kill 'KILL', $pid;
$node->wait_for_log(qr/all server processes terminated; reinitializing/, $place);
$victim->{run}->finish;
$node->poll_query_until('postgres', 'SELECT true');
wait_for_workers($node, 'after a crash', 'a', 'postgres');

# ---- single-user mode

$node->stop;
my ($in, $out) = ("SELECT wflog.log('e', 'alone');\nSELECT running AS runs FROM wflog.stat;\n", '');
IPC::Run::run([ 'postgres', '--single', '-D', $node->data_dir, 'a' ], '<', \$in, '>', \$out, '2>', \$out);
like($out, qr/runs = "f"/, 'single-user mode works');
unlike($out, qr/ERROR|FATAL|PANIC/, 'without errors');
$in = "DROP EXTENSION wflog;\nCREATE EXTENSION wflog;\n";
IPC::Run::run([ 'postgres', '--single', '-D', $node->data_dir, 'a' ], '<', \$in, '>', \$out, '2>', \$out);
unlike($out, qr/ERROR|FATAL|PANIC/, 'also DDL');
$node->start;
wait_for_workers($node, 'and the server after it', 'a', 'postgres');

# ---- standby

$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'wflog%'}), '0', 'nothing runs on a standby');
is($standby->safe_psql('postgres', 'SELECT running, hint FROM wflog.stat'), 'f|this is a standby: the worker runs on the primary', 'and it says so');
$node->stop;
$standby->promote;
wait_for_workers($standby, 'until it is promoted', 'a', 'postgres');

# ---- too few processes

$standby->append_conf('postgresql.conf', 'max_worker_processes = 4');
$place = -s $standby->logfile;
$standby->restart;
ok($standby->wait_for_log(qr/no free background process for wflog.*3 for those.*HINT:\s+Increase max_worker_processes, which is 4/s, $place),
	'too few processes are told of');
$standby->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type IN ('wflog worker', 'wflog keeper')});
my ($lacks) = grep { $standby->safe_psql($_, 'SELECT running FROM wflog.stat') eq 'f' } qw(a postgres);
my ($has) = grep { $_ ne $lacks } qw(a postgres);
is($standby->safe_psql($lacks, 'SELECT hint FROM wflog.stat'), 'there are too few processes: increase max_worker_processes', 'and there, too');
sleep(1);
is(() = log_since($standby, $place) =~ /no free background process/g, 1, 'once');
$standby->safe_psql($has, 'DROP EXTENSION wflog');
wait_for_workers($standby, 'free ones are used', $lacks);
ok($standby->wait_for_log(qr/wflog has got the background processes it lacked/, $place), 'and that is told');
$standby->stop;

done_testing();
