# What needs a database for itself gets it at once while our processes run
# there, they come back whatever becomes of it, and nobody can use that to keep
# them away.

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

my $node = new_node('park', 'allow_in_place_tablespaces = on', "log_min_messages = 'debug1'");
$node->safe_psql('postgres', q{CREATE TABLESPACE t LOCATION ''; CREATE ROLE nobody LOGIN; CREATE ROLE maker LOGIN CREATEDB;});
$node->safe_psql('postgres', 'CREATE DATABASE a');
$node->safe_psql('a', q{CREATE EXTENSION wflog; SELECT wflog.log('e', 'line')});
wait_for_workers($node, 'one database', 'a');

# ---- each statement, again and again

my %longest;

# Run a statement; it must work.
sub at_once
{
	my ($kind, $sql) = @_;
	my $lasted = elapsed(sub { $node->safe_psql('postgres', $sql) });
	$longest{$kind} = $lasted if $lasted > ($longest{$kind} // 0);
	return;
}

my $place = -s $node->logfile;
foreach my $round (1 .. 8)
{
	# sometimes wait for the processes, sometimes meet them as they start
	my $name = "b$round";
	at_once(template => "CREATE DATABASE $name TEMPLATE a");
	wait_for_workers($node, "round $round", 'a', $name) if $round % 3 == 1;
	at_once(rename => "ALTER DATABASE $name RENAME TO c$round");
	sleep(0.03 * $round) if $round % 3 == 2;
	at_once(tablespace => "ALTER DATABASE c$round SET TABLESPACE t");
	at_once(drop => "DROP DATABASE c$round");
}
wait_for_workers($node, 'the template still has its own', 'a');
note(join ', ', map { sprintf '%s: %.3f s', $_, $longest{$_} } sort keys %longest);
# PostgreSQL itself would wait 5 s for others to leave, and give up
cmp_ok($longest{$_}, '<', 5, "the longest of $_") foreach sort keys %longest;
is(log_errors($node, $place), '', 'no errors of ours');
unlike(log_since($node, $place), qr/terminating background worker/, 'nor complaints that processes have been stopped');

# several sessions at once
my $script = $node->basedir . '/copies.sql';
append_to_file($script, "SELECT 'x' || pg_backend_pid() AS name \\gset\nCREATE DATABASE :name TEMPLATE a;\nDROP DATABASE :name;\n");
$node->command_ok([ 'pgbench', '-n', '-f', $script, '-c', 4, '-t', 5, '-h', $node->host, '-p', $node->port, 'postgres' ],
	'several sessions copy and drop at once');
wait_for_workers($node, 'and the template still has its own', 'a');

# as the server starts, while probes run
foreach my $round (1 .. 3)
{
	$node->restart;
	$node->safe_psql('postgres', "CREATE DATABASE d$round TEMPLATE $_; DROP DATABASE d$round") foreach ('a', 'postgres', 'template1', 'a');
}
wait_for_workers($node, 'as the server starts', 'a');

# ---- when the statement fails

my %failing = (
	rename => 'ALTER DATABASE a RENAME TO postgres',
	template => 'CREATE DATABASE postgres TEMPLATE a',
	tablespace => 'ALTER DATABASE a SET TABLESPACE nowhere',
	'drop in a transaction' => 'BEGIN; DROP DATABASE a',
	'rename rolled back' => 'BEGIN; ALTER DATABASE a RENAME TO z; ROLLBACK',
	'rename rolled back to a savepoint' => 'BEGIN; SAVEPOINT s; ALTER DATABASE a RENAME TO z; ROLLBACK TO s; COMMIT');
foreach my $what (sort keys %failing)
{
	my $before = pid_of($node, 'worker', 'a');
	$node->psql('postgres', $failing{$what});
	restarted($node, 'worker', 'a', $before, "$what: the worker is back");
}
my $before = pid_of($node, 'keeper', 'a');
my $session = $node->background_psql('a');
$node->psql('postgres', 'DROP DATABASE a');
restarted($node, 'keeper', 'a', $before, 'a drop fails because of somebody else: the keeper is back');
$session->quit;

# ---- parks

$session = $node->background_psql('postgres');
$session->query_safe($_) foreach ('BEGIN', 'ALTER DATABASE a RENAME TO a2');
sleep(1.5);
is(processes($node), '', 'a park lasts as long as the transaction');
$session->query_safe('COMMIT');
wait_for_workers($node, 'and no longer', 'a2');

$session = $node->background_psql('postgres');
my $pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_safe($_) foreach ('BEGIN', 'ALTER DATABASE a2 RENAME TO a3');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
$session->{run}->finish;
wait_for_workers($node, 'who holds it is terminated', 'a2');

# two at a time: the park of the one outlives that of the other
my @both = map { $node->background_psql('postgres') } 1 .. 2;
$both[0]->query_safe($_) foreach ('BEGIN', 'ALTER DATABASE a2 RENAME TO a4');
$both[1]->{stdin} .= "BEGIN;\nSET LOCAL lock_timeout = '1s';\nALTER DATABASE a2 RENAME TO a5;\n";
$both[1]->{run}->pump_nb;
sleep(1.5);
$both[1]->{run}->pump_nb;
is(processes($node), '', 'the second gave up, the first still holds its park');
$both[0]->query_safe('COMMIT');
$_->{run}->kill_kill foreach $both[1];
$both[0]->quit;
wait_for_workers($node, 'both are over', 'a4');

$session = $node->background_psql('a4');
$pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_safe($_) foreach ('BEGIN', 'DROP EXTENSION wflog');
is(processes($node), '', 'DROP EXTENSION, not committed yet');
kill 'KILL', $pid;
$node->wait_for_log(qr/all server processes terminated; reinitializing/, $place);
$session->{run}->finish;
$node->poll_query_until('postgres', 'SELECT true');
wait_for_workers($node, 'who holds it is killed, and the server restarts', 'a4');

# the extension may be renamed with its database while it is busy
foreach my $sql ('ALTER DATABASE a4 RENAME TO a', 'ALTER DATABASE a SET TABLESPACE t', 'ALTER DATABASE a SET TABLESPACE pg_default')
{
	$node->safe_psql('postgres', $sql);
}
wait_for_workers($node, 'moved', 'a');

# ---- who may not, does not

my ($worker, $keeper) = map { pid_of($node, $_, 'a') } qw(worker keeper);
foreach my $role ('nobody', 'maker')
{
	foreach my $sql ('DROP DATABASE a', 'ALTER DATABASE a RENAME TO z', 'ALTER DATABASE a SET TABLESPACE t', 'CREATE DATABASE z TEMPLATE a')
	{
		my ($status, $out, $err) = $node->psql('postgres', "SET ROLE $role; $sql");
		like($err, qr/must be owner|permission denied/, "$role: $sql");
	}
	my ($status, $out, $err) = $node->psql('a', "SET ROLE $role; DROP EXTENSION wflog");
	like($err, qr/must be owner/, "$role: DROP EXTENSION");
}
is(join(' ', map { pid_of($node, $_, 'a') } qw(worker keeper)), "$worker $keeper", 'and the processes stay');
$node->safe_psql('postgres', 'ALTER DATABASE a IS_TEMPLATE true; SET ROLE maker; CREATE DATABASE z TEMPLATE a; DROP DATABASE z');
restarted($node, 'worker', 'a', $worker, 'who may copy a template, does');

# ---- while our processes are busy

$node->safe_psql('postgres', 'ALTER DATABASE a IS_TEMPLATE false');
$node->safe_psql('a', q{
	INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
	SELECT 'e' || i % 1000, repeat('x', 200), now() - interval '10 days' - i * interval '1 second' FROM generate_series(1, 200000) i});
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'wflog keeper'}) foreach 1;
$node->restart;
ok(wait_for($node, 'a', 'SELECT maintenance_result FROM wflog.stat', 'running'), 'maintenance runs');
my $lasted = elapsed(sub { $node->safe_psql('postgres', 'ALTER DATABASE a RENAME TO b') });
note("renamed after $lasted s");
cmp_ok($lasted, '<', 5, 'and makes way');
wait_for_workers($node, 'busy', 'b');
ok(wait_for($node, 'b', 'SELECT maintenance_result FROM wflog.stat', 'running'), 'it begins again');
is(log_errors($node, $place), '', 'no errors of ours until now');
$lasted = elapsed(sub { $node->safe_psql('b', 'DROP EXTENSION wflog') });
note("dropped after $lasted s");
cmp_ok($lasted, '<', 5, 'and makes way for DROP EXTENSION');
is(processes($node), '', 'gone');

$node->stop;
done_testing();
