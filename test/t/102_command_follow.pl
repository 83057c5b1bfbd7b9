# wflog logs --follow: nothing lost and nothing twice, whatever happens to the
# server meanwhile; executions that have not begun; where LISTEN does not work.
#
# The server has the library preloaded, so notifications come from the worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WflogCommand;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'wflog'
max_worker_processes = 20
max_connections = 60
CONF
$node->start;
WflogCommand::use_server($node);
$node->safe_psql('postgres', 'CREATE EXTENSION wflog');

sub start { $node->safe_psql('postgres', "SELECT wflog.start_execution('$_[0]', '" . ($_[1] // 'w') . "')") }
sub finish { $node->safe_psql('postgres', "SELECT wflog.set_execution_status('$_[0]', '" . ($_[1] // 'SUCCESS') . "')") }

# So many logs of an execution, each a transaction of its own, from several sessions.
sub write_logs
{
	my ($execution, $count, $sessions) = @_;
	my $script = PostgreSQL::Test::Utils::tempdir() . '/write.sql';
	append_to_file($script, "\\set n random(1, 3)\n"
		. "INSERT INTO wflog.workflow_execution_logs (execution_id, message) SELECT '$execution', 'm' FROM generate_series(1, :n);\n");
	return IPC::Run::start(
		[ 'pgbench', '-n', '-c', $sessions, '-t', int($count / $sessions), '-f', $script, 'postgres' ],
		'>', \my $out, '2>', \my $err);
}

# What an execution's logs are in the table, in any order.
sub logged
{
	my ($execution) = @_;
	return $node->safe_psql('postgres',
		"SELECT id FROM wflog.workflow_execution_logs WHERE execution_id = '$execution' ORDER BY id");
}

sub shown
{
	my ($out) = @_;
	return join "\n", sort(ids_of($out));
}

# ---- a quiet one: the tail first, then what comes, then the end

start('e1');
$node->safe_psql('postgres', q{SELECT wflog.log('e1', 'm' || i) FROM generate_series(1, 5) i});
my $run = wflog_start('logs', 'e1', '-f', '-n', '2', '-o', 'raw', '--exit-status');
wflog_until($run, 'out', qr/m5\n/);
$node->safe_psql('postgres', q{SELECT wflog.log('e1', 'live')});
wflog_until($run, 'out', qr/live\n/);
$node->safe_psql('postgres', q{SELECT wflog.log('e1', 'last words', level => 'ERROR'), wflog.set_execution_status('e1', 'FAILED', 'no luck')});
is(wflog_end($run), 10, 'the outcome is the exit status');
is($run->{out}, "m4\nm5\nlive\nlast words\n", 'the last two, then what came');
like($run->{err}, qr/^wflog: e1 ended: FAILED, 7 logs; no luck$/m, 'the total is said');
unlike($run->{err}, qr/asking/, 'by notifications');

$run = wflog_start('logs', 'e1', '-f', '-o', 'raw', '-l', 'error');
is(wflog_end($run), 0, 'one that has ended already');
is($run->{out}, "last words\n", 'is shown, filtered');
$run = wflog_start('logs', 'e1', '--json', '-f');
wflog_end($run);
is(scalar(split /\n/, $run->{out}), 7, '--json with --follow is an object a line');

# ---- filters while following

start('filters');
$run = wflog_start('logs', 'filters', '-f', '-o', 'raw', '-l', 'warn', '--task', 'a', '--attempt', '2', '-g', 'GO ahead', '--since', '1h');
wflog_until($run, 'err', qr/^/);
sleep 0.5;
$node->safe_psql(
	'postgres', q{
	SELECT wflog.log('filters', 'ahead we go 1', level => 'ERROR', node_id => 'a', attempt => 2),
		wflog.log('filters', 'ahead we go 2', level => 'INFO', node_id => 'a', attempt => 2),
		wflog.log('filters', 'ahead we go 3', level => 'ERROR', node_id => 'b', attempt => 2),
		wflog.log('filters', 'ahead we go 4', level => 'ERROR', node_id => 'a', attempt => 1),
		wflog.log('filters', 'ahead we run 5', level => 'ERROR', node_id => 'a', attempt => 2),
		wflog.log('filters', 'ahead we go 6', level => 'ERROR', node_id => 'a', attempt => 2, created_at => now() - interval '2 hours'),
		wflog.log('filters', 'x', user_friendly_message => 'Ahead, GO 7', level => 'ERROR', node_id => 'a', attempt => 2)});
finish('filters');
is(wflog_end($run), 0, 'an execution is followed through filters');
is($run->{out}, "ahead we go 1\nAhead, GO 7\n", 'which let the same pass as those of pages');

# ---- exactly once: a long history, writers, and a server that restarts

foreach my $mode ('fast', 'immediate', 'terminate')
{
	my $execution = "busy-$mode";
	start($execution);
	# a history of many pages, of which a writer that is late adds to the middle
	$node->safe_psql('postgres', qq{
		INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
		SELECT '$execution', 'm', now() - interval '1 hour' + i * interval '1 ms' FROM generate_series(1, 6000) i});
	my $late = $node->background_psql('postgres');
	$late->query_safe("BEGIN; INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
		SELECT '$execution', 'late', now() - interval '1 hour' + i * interval '10 ms' FROM generate_series(1, 300) i");
	my @runs = map { wflog_start('logs', $execution, '-f', '-o', 'ndjson', @$_) } ([], ['-n', '1000'], []);
	my $writers = write_logs($execution, 2000, 4);
	# one of them is in the midst of the history when this is committed
	wflog_until($runs[0], 'out', qr/\n/);
	$late->query_safe('COMMIT');
	$late->quit;
	wflog_until($runs[1], 'out', qr/(.*\n){1010}/);
	wflog_until($runs[2], 'out', qr/\n/);
	if ($mode eq 'terminate')
	{
		$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'wflog'});
	}
	else
	{
		$node->stop($mode);
		sleep 0.7;
		$node->start;
	}
	$writers->finish;
	write_logs($execution, 600, 3)->finish;
	finish($execution);
	is(join(' ', map { wflog_end($_) } @runs), '0 0 0', "$mode: all followers come to the end");
	my $logged = logged($execution);
	foreach my $i (0, 2)
	{
		is(shown($runs[$i]{out}), $logged, "$mode: every log once, and none twice")
		  or diag("stderr: $runs[$i]{err}");
		like($runs[$i]{err}, qr/connection was lost.*connected again/s, "$mode: which is said");
	}
	my @ids = ids_of($runs[1]{out});
	my %once = map { $_ => 1 } @ids;
	is(scalar(@ids), scalar(keys %once), "$mode: of the last thousand and what came, none twice");
}

# ---- one that has not begun

$run = wflog_start('logs', 'later', '-f', '--wait', '-o', 'raw');
sleep 0.5;
start('later');
$node->safe_psql('postgres', q{SELECT wflog.log('later', 'here I am')});
finish('later');
is(wflog_end($run), 0, '--wait waits for what does not exist');
is($run->{out}, "here I am\n", 'and shows it');
is((wflog('logs', 'never', '-f'))[0], 4, 'without it, that is an error');

# ---- several, and those of a workflow

start($_) for qw(a b);
$run = wflog_start('logs', 'a', 'b', '-f', '--exit-status');
sleep 0.3;
$node->safe_psql('postgres', qq{SELECT wflog.log('$_', 'of $_')}) for qw(a b);
finish('a', 'CANCELLED');
wflog_until($run, 'err', qr/a ended: CANCELLED, 1 logs/);
$node->safe_psql('postgres', q{SELECT wflog.log('b', 'more of b')});
finish('b');
is(wflog_end($run), 11, 'two are followed until both have ended');
is(join('|', $run->{out} =~ /(\w+) INFO     \[\] (.*)/g), 'a|of a|b|of b|b|more of b', 'and told apart');

start('w-1', 'wf');
$node->safe_psql('postgres', q{SELECT wflog.log('w-1', 'first')});
$run = wflog_start('logs', '--workflow', 'wf', '-f', '-o', 'ndjson');
wflog_until($run, 'out', qr/"first"/);
start('w-2', 'wf');
$node->safe_psql('postgres', q{SELECT wflog.log('w-2', 'second')});
wflog_until($run, 'out', qr/"second"/);
finish('w-1');
finish('w-2');
wflog_until($run, 'err', qr/w-2 ended/);
start('w-3', 'wf');
$node->safe_psql('postgres', q{SELECT wflog.log('w-3', 'third')});
wflog_until($run, 'out', qr/"third"/);
is(wflog_end($run, 'INT'), 130, 'a workflow is followed until Ctrl-C, which is 130');
is(join(' ', ids_of($run->{out}, 'execution_id')), 'w-1 w-2 w-3', 'each execution as it starts');

# ---- a cursor file that is kept while following

my $cursors = PostgreSQL::Test::Utils::tempdir() . '/cursors';
start('kept');
$node->safe_psql('postgres', q{SELECT wflog.log('kept', 'm' || i) FROM generate_series(1, 3) i});
$run = wflog_start('logs', 'kept', '-f', '-o', 'raw', '--cursor-file', $cursors);
wflog_until($run, 'out', qr/m3\n/);
$node->safe_psql('postgres', q{SELECT wflog.log('kept', 'm4')});
wflog_until($run, 'out', qr/m4\n/);
is(wflog_end($run, 'TERM'), 143, 'SIGTERM');
like(slurp_file($cursors), qr/^s1\.\S+ kept\n$/, 'leaves the cursor in the file');
$node->safe_psql('postgres', q{SELECT wflog.log('kept', 'm5')});
is(wflog_ok('logs', 'kept', '-o', 'raw', '--cursor-file', $cursors), "m5\n", 'goes on where it was stopped');

# ---- where LISTEN does not work

my $standby;
{
	$node->backup('backup');
	$standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($node, 'backup', has_streaming => 1);
	$standby->start;
	start('s1');
	$node->safe_psql('postgres', q{SELECT wflog.log('s1', 'before')});
	$node->wait_for_catchup($standby);
	WflogCommand::use_server($standby);
	$run = wflog_start('logs', 's1', '-f', '-o', 'raw');
	wflog_until($run, 'err', qr/standby.*asking for new logs every 100 ms/);
	WflogCommand::use_server($node);
	$node->safe_psql('postgres', q{SELECT wflog.log('s1', 'after')});
	wflog_until($run, 'out', qr/after\n/);
	$node->safe_psql('postgres', q{SELECT wflog.log('s1', 'at the end')});
	finish('s1');
	is(wflog_end($run), 0, 'on a standby an execution is followed to its end');
	is($run->{out}, "before\nafter\nat the end\n", 'by asking');
	$standby->stop;
}

SKIP:
{
	my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin';
	skip 'no pgbouncer', 8 unless $pgbouncer;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $user = getpwuid($<);
	foreach my $mode ('transaction', 'session')
	{
		append_to_file("$dir/users.$mode", qq{"$user" ""\n});
		append_to_file("$dir/$mode.ini", <<"INI");
[databases]
* = host=${\$node->host} port=${\$node->port}
[pgbouncer]
listen_addr =
listen_port = $port
unix_socket_dir = $dir
auth_type = trust
auth_file = $dir/users.$mode
pool_mode = $mode
pidfile = $dir/$mode.pid
logfile = $dir/$mode.log
INI
		my $pooler = IPC::Run::start([ $pgbouncer, '-q', "$dir/$mode.ini" ], '<', \'', '>', \my $out, '2>', \my $err);
		for (1 .. 100) { last if -S "$dir/.s.PGSQL.$port"; sleep 0.1 }
		my $execution = "pooled-$mode";
		start($execution);
		$node->safe_psql('postgres', "SELECT wflog.log('$execution', 'before')");
		$run = wflog_start('logs', $execution, '-f', '-o', 'raw', '-h', $dir, '-p', $port);
		wflog_until($run, 'out', qr/before/);
		wflog_until($run, 'err', qr/pooler.*asking for new logs every 100 ms/) if $mode eq 'transaction';
		sleep 0.5;
		$node->safe_psql('postgres', "SELECT wflog.log('$execution', 'after')");
		wflog_until($run, 'out', qr/after/);
		finish($execution);
		is(wflog_end($run), 0, "behind a pooler of $mode mode an execution is followed to its end");
		unlike($run->{err}, qr/pooler/, 'a session pooler is no obstacle') if $mode eq 'session';
		is($run->{out}, "before\nafter\n", 'with all logs');
		$pooler->signal('TERM');
		$pooler->finish;
	}
}

# ---- a server that sends no notifications

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
start('unpreloaded');
$run = wflog_start('logs', 'unpreloaded', '-f', '-o', 'raw');
wflog_until($run, 'err', qr/not preloaded; asking for new logs every 100 ms/);
$node->safe_psql('postgres', "SELECT wflog.log('unpreloaded', 'm$_')") for 1 .. 3;
wflog_until($run, 'out', qr/m3/);
finish('unpreloaded');
is(wflog_end($run), 0, 'without the worker it asks, too');
is($run->{out}, "m1\nm2\nm3\n", 'and shows all');

$node->stop;
done_testing();
