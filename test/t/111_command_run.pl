# wflog run: what becomes of a command's output, exit codes, signals, secrets,
# and that neither a flood nor a database that is away or dies holds it up.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use POSIX qw(:sys_wait_h);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WflogCommand;

my $node = WflogCommand::new_server();

my $dir = PostgreSQL::Test::Utils::tempdir();
$ENV{WFLOG_SPOOL_DIR} = "$dir/spool";

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub spools { my @found = glob "$dir/spool/*.spool"; return @found; }

# ---- what is written

my ($status, $out, $err) = wflog('run', '--execution', 'e1', '--task', 't', '--attempt', '2',
	'--source', 'plugin:a/b.c', '--', 'sh', '-c', 'echo out; echo err >&2; printf "cr\r\n\tend"; exit 3');
is($status, 3, 'the status of the command');
is($out, '', 'nothing is passed on without --tee');
is( sql(q{SELECT event_type, level, message, coalesce(data->>'stream', '-'), coalesce(data->>'partial', '-'),
          node_id, attempt, source FROM wflog.logs('e1') WHERE event_type = 'step_output' ORDER BY level, message}),
	"step_output|INFO|\tend|stdout|unterminated|t|2|plugin:a/b.c\n"
	  . "step_output|INFO|cr|stdout|-|t|2|plugin:a/b.c\n"
	  . "step_output|INFO|out|stdout|-|t|2|plugin:a/b.c\n"
	  . 'step_output|WARNING|err|stderr|-|t|2|plugin:a/b.c',
	'lines, streams, levels, the end without line feed');
is( sql(q{SELECT string_agg(event_type::text, ' ' ORDER BY created_at, id) FROM wflog.logs('e1')
          WHERE event_type <> 'step_output'}),
	'step_started step_input step_error', 'what frames them, in the order of time');
is(sql(q{SELECT data->'argv' FROM wflog.logs('e1', event_type => 'step_input')}),
	'["sh", "-c", "echo out; echo err >&2; printf \"cr\\\\r\\\\n\\\\tend\"; exit 3"]', 'the argument vector');
is(sql(q{SELECT level, data->>'exit_code', data->>'stdout_bytes', data->>'stderr_bytes', stack_trace
         FROM wflog.logs('e1', event_type => 'step_error')}), 'ERROR|3|12|4|err', 'how it ended');

($status, $out, $err) = wflog('run', '--execution', 'tee', '--tee', '--task', 't', '--',
	'perl', '-e', 'binmode STDOUT; print "\0\xff\e[31mred\n", "x" x 20000, "\n"; print STDERR "to stderr"');
is($status, 0, 'success');
is($out, "\0\xff\e[31mred\n" . 'x' x 20000 . "\n", '--tee passes every byte on');
is($err, 'to stderr', 'to the stream it came from');
is( sql(q{SELECT string_agg(coalesce(data->>'partial', '-') || ':' || octet_length(message), ' ' ORDER BY created_at)
          FROM wflog.logs('tee') WHERE data->>'stream' = 'stdout'}),
	'-:16 begin:8192 middle:8192 end:3616', 'a long line in parts; NUL and a bad byte as escapes');
is(sql(q{SELECT count(*) FROM wflog.workflow_execution_logs WHERE original_size IS NOT NULL}), 0, 'nothing was cut');
is(sql(q{SELECT wflog.unescape(message) = '\x00ff1b5b33316d726564' FROM wflog.logs('tee') WHERE message LIKE '%red'}),
	't', 'the bytes come back');

wflog('run', '--execution', 'nuls', '--task', 't', '--', 'perl', '-e', 'print "\0" x 20000, "\n"');
is( sql(q{SELECT count(*) > 1, count(original_size), sum(octet_length(wflog.unescape(message))) FROM wflog.logs('nuls')
          WHERE event_type = 'step_output'}), 't|0|20000', 'bytes that take more room once stored are not cut either');

# ---- structured lines

wflog('run', '--execution', 's1', '--task', 't', '--', 'sh', '-c', q(
	echo '{"level":"error","message":"m1","data":{"a":1},"k":"v"}' >&2
	echo '{"severity":30,"msg":"m2","progress_percentage":40,"is_milestone":true}' >&2
	echo '{"level":"loud","message":"m3","progress_percentage":400,"display_priority":"x","stream":"mine"}' >&2
	echo '{"message":"m4","n":1e999999}' >&2
	echo '{"message":"m5"' >&2
	echo '{"level":"error","message":"on stdout"}'));
is( sql(q{SELECT message, level, data - 'stream', progress_percentage, is_milestone FROM wflog.logs('s1')
          WHERE event_type = 'step_output' AND data->>'stream' = 'stderr' ORDER BY created_at LIMIT 3}),
	qq(m1|ERROR|{"a": 1, "k": "v"}||f\nm2|INFO|{}|40.00|t\n)
	  . 'm3|WARNING|{"level": "loud", "stream_": "mine", "display_priority": "x", "progress_percentage": 400}||f',
	'level, message and fields; what the server would refuse is data');
is( sql(q(SELECT string_agg(message, ' ' ORDER BY message COLLATE "C") FROM wflog.logs('s1')
          WHERE event_type = 'step_output' AND message LIKE '{%')),
	'{"level":"error","message":"on stdout"} {"message":"m4","n":1e999999} {"message":"m5"',
	'a number too large, half an object, and stdout are text');

# ---- exit codes

for my $case (
	[ 127, 'not found', '/nonexistent/command' ],
	[ 126, 'not executable', '/etc/passwd' ],
	[ 126, 'a directory', '/' ],
	[ 137, 'killed', 'sh', '-c', 'kill -9 $$' ],
	[ 143, 'terminated', 'sh', '-c', 'kill $$' ],
	[ 255, 'the largest', 'sh', '-c', 'exit 255' ])
{
	my ($expected, $name, @command) = @$case;
	($status) = wflog('run', '-q', '--execution', 'codes', '--task', 't', '--', @command);
	is($status, $expected, "exit status: $name");
}
for my $case ([], ['--task', ''], ['--bad-option', '--', 'true'], [ '--attempt', '0', '--', 'true' ],
	[ '--redact', '(', '--', 'true' ], [ '--structured', 'x', '--', 'true' ],
	[ '--step', '3', '--total-steps', '2', '--', 'true' ], [ '-d', 'nonsense=1', '--', 'true' ],
	[ '--execution', 'x' x 256, '--', 'true' ])
{
	($status, $out, $err) = wflog('run', @$case);
	is($status, 125, "usage is the wrapper's failure: " . substr("@$case", 0, 40));
	like($err, qr/^wflog: error: [^\n]+\nwflog: hint: [^\n]+\n\z/, 'one line, and a hint');
}

# ---- an execution of its own

($status, $out, $err) = wflog('run', '--workflow', 'w1', '--', 'true');
like($err, qr/^wflog: execution (run-\S+)\n\z/, 'its id is told');
my ($id) = $err =~ /execution (\S+)/;
is(sql("SELECT workflow_id, status FROM wflog.workflow_executions WHERE execution_id = '$id'"), 'w1|SUCCESS', 'and it is ended');
($status, $out, $err) = wflog('run', '--', 'false');
($id) = $err =~ /execution (\S+)/;
is(sql("SELECT workflow_id, status, error_message FROM wflog.workflow_executions WHERE execution_id = '$id'"),
	'false|FAILED|false failed with exit status 1', 'by the outcome');

# ---- secrets

$ENV{SECRET_ONE} = 'hunter"2';
$ENV{SECRET_KEY} = "-----BEGIN-----\nAAAABBBBCCCC\n-----END-----";
wflog('run', '--execution', 'secret', '--task', 't', '--redact-env', 'SECRET_ONE', '--redact-env', 'SECRET_KEY',
	'--redact', 'token=[^ ]+', '--', 'perl', '-e', q($| = 1;
		for (split //, qq(pw $ENV{SECRET_ONE} token=abcdef end\n)) { print; select undef, undef, undef, 0.002 }
		(my $quoted = $ENV{SECRET_ONE}) =~ s/"/\\\\"/;
		print STDERR "{\"level\":\"info\",\"message\":\"json $quoted\"}\n$ENV{SECRET_KEY}\n";
		print "y" x (65536 - 4), $ENV{SECRET_ONE}, "z" x 70000, " token=", "Q" x 200000, " tail\n"; exit 1),
	'argument hunter"2');
is(sql(q{SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id = 'secret' AND
	(message || data || coalesce(stack_trace, '')) ~ 'hunter|abcdef|BBBB|QQ|r"2'}), 0, 'no secret is stored');
is(sql(q{SELECT message FROM wflog.logs('secret') WHERE message LIKE 'pw %'}), 'pw *** *** end',
	'they are masked, also when they come byte by byte');
is(sql(q{SELECT data->'argv'->>-1 FROM wflog.logs('secret', event_type => 'step_input')}), 'argument ***', 'in the arguments, too');
is( sql(q{SELECT string_agg(message, '' ORDER BY created_at) = repeat('y', 65532) || '***' || repeat('z', 70000) || ' *** tail'
          FROM wflog.logs('secret') WHERE data ? 'partial'}), 't', 'across the borders of a long line');

# ---- signals and process groups

my $pid = wflog_background($dir, 'run', '--execution', 'sig', '--task', 't', '--', 'sh', '-c',
	'trap "echo got usr1" USR1; trap "echo got term; exit 7" TERM; echo ready; while :; do sleep 0.05; done');
wait_until('the command runs', sub { sql(q{SELECT count(*) FROM wflog.logs('sig') WHERE message = 'ready'}) });
kill 'USR1', $pid;
sleep 0.3;
kill 'TERM', $pid;
waitpid $pid, 0;
is($? >> 8, 7, 'a signal is passed on, and the status with which the command answers it');
is(sql(q{SELECT string_agg(message, ' ' ORDER BY created_at) FROM wflog.logs('sig', event_type => 'step_output')}),
	'ready got usr1 got term', 'both came');

$pid = wflog_background($dir, 'run', '--workflow', 'cancelled', '--', 'sleep', '60');
wait_until('it is registered', sub { sql(q{SELECT count(*) FROM wflog.workflow_executions WHERE workflow_id = 'cancelled'}) });
kill 'INT', $pid;
waitpid $pid, 0;
is($? >> 8, 130, '128 and the signal');
is(sql(q{SELECT status FROM wflog.workflow_executions WHERE workflow_id = 'cancelled'}), 'CANCELLED', 'who ends it cancels it');

my $began = time;
my $mark = $$;					# another run of this test may have such processes, too
wflog('run', '--execution', 'group', '--task', 't', '--grace', '1', '--', 'sh', '-c',
	"(trap '' TERM; echo \$\$ >$dir/pid; exec sleep 61.${mark}) & (sleep 62.${mark}) & echo done");
cmp_ok(time - $began, '<', 50, 'what a command leaves running does not keep us');
my $left;
# who is killed is gone when he has been given a processor
sleep 0.1 while ($left = `ps -eo args | grep -c '[s]leep 6[12][.]${mark}'` + 0) && time - $began < 55;
is($left, 0, 'nor does it stay');

# ---- whoever reads has gone

$began = time;
# the tests' framework ignores SIGPIPE, and its children with it
$SIG{PIPE} = 'DEFAULT';
my $lines = `wflog run --execution pipe --task t --tee -- yes 2>/dev/null | head -n 3`;
is($lines, "y\ny\ny\n", 'a reader that takes three lines');
cmp_ok(time - $began, '<', 120, 'ends the command, as it would without us');
is(sql(q{SELECT data->>'signal' FROM wflog.logs('pipe', event_type => 'step_error')}), 'SIGPIPE', 'by SIGPIPE');
$SIG{PIPE} = 'IGNORE';

# ---- floods

$began = time;
($status) = wflog('run', '--execution', 'flood', '--task', 't', '--', 'perl', '-e',
	'my $l = ("x" x 99) . "\n"; print $l for 1 .. 200_000');
is($status, 0, 'a flood of 20 MB');
is(sql(q{SELECT count(*) FILTER (WHERE message LIKE 'xxx%'), count(*) FILTER (WHERE data ? 'truncated' AND event_type = 'step_output')
         FROM wflog.logs('flood')}), '104857|1', '10 MB of it are kept, and the cut is marked');
is(sql(q{SELECT data->>'stdout_bytes', data->>'truncated' FROM wflog.logs('flood', event_type => 'step_completed')}),
	'20000000|true', 'how much there was is told');

SKIP:
{
	skip 'a flood of 10 GB takes WFLOG_TEST_LONG=1', 2 unless $ENV{WFLOG_TEST_LONG};
	($status) = wflog('run', '--execution', 'long', '--task', 't', '--', 'perl', '-e',
		'my $l = (("x" x 99) . "\n") x 10000; for (1 .. 10_000) { my $t = time; print $l; die "stalled" if time - $t > 3 }');
	is($status, 0, 'a flood of 10 GB whose writer never stalled');
	is(sql(q{SELECT data->>'stdout_bytes' FROM wflog.logs('long', event_type => 'step_completed')}), '10000000000', 'all of it was read');
}

# ---- the database is away

is(join(' ', spools()), '', 'no spool is left so far');
$node->stop('immediate');
$began = time;
($status, $out, $err) = wflog('run', '--wait', '1', '--workflow', 'away', '--task', 't', '--', 'perl', '-e',
	'my $b = time; print "line $_\n" for 1 .. 50_000; print STDERR "took ", time - $b, "\n"');
is($status, 0, 'a command runs although the database is away');
like($err, qr/the database is away/, 'which is told');
like($err, qr/they wait in \S+\.spool$/m, 'and where the logs wait');
is(scalar(my @left = spools()), 1, 'there is a spool');
is((stat $left[0])[2] & 0777, 0600, 'for its owner alone');
($status, $out, $err) = wflog('ingest', '--spool');
is($status, 3, 'it cannot be brought over yet');
$node->start;
($status, $out, $err) = wflog('ingest', '--spool');
is($status, 0, 'it is brought over');
like($err, qr/50006 logs of 1 spools/, 'and counted') or diag($err);
my $away = q{(SELECT execution_id FROM wflog.workflow_executions WHERE workflow_id = 'away')};
is(sql("SELECT count(*), count(DISTINCT message) FROM wflog.logs($away) WHERE message LIKE 'line %'"), '50000|50000', 'each line once');
is(sql("SELECT status FROM wflog.workflow_executions WHERE execution_id = $away"), 'SUCCESS', 'the outcome, too');
is(sql("SELECT bool_and(message = 'line ' || n) FROM (SELECT message, row_number() OVER (ORDER BY created_at, id) AS n
        FROM wflog.logs($away) WHERE message LIKE 'line %') AS l"), 't', 'in the order of printing');
is(join(' ', spools()), '', 'and the spool is gone');

# ---- the server dies in mid-run

$pid = wflog_background($dir, 'run', '--execution', 'crash', '--task', 't', '--max-bytes', '0', '--', 'perl', '-e',
	'$| = 1; for (1 .. 400) { print "line $_\n"; select undef, undef, undef, 0.01 }');
wait_until('some of it is there', sub { sql(q{SELECT count(*) > 50 FROM wflog.logs('crash')}) eq 't' });
$node->stop('immediate');
sleep 0.5;
$node->start;
waitpid $pid, 0;
is($? >> 8, 0, 'a server that dies and comes back');
wflog('ingest', '--spool', '-q');
is(sql(q{SELECT count(*), count(DISTINCT message) FROM wflog.logs('crash') WHERE message LIKE 'line %'}), '400|400', 'costs no line, and none comes twice');

# a backend that is killed again and again while it writes
$pid = wflog_background($dir, 'run', '--execution', 'kills', '--task', 't', '--max-bytes', '0', '--', 'perl', '-e',
	'$| = 1; for (1 .. 3000) { print "line $_\n"; select undef, undef, undef, 0.001 }');
while (waitpid($pid, WNOHANG) == 0)
{
	sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'wflog run'});
	sleep 0.15;
}
wflog('ingest', '--spool', '-q');
is(sql(q{SELECT count(*), count(DISTINCT message) FROM wflog.logs('kills') WHERE message LIKE 'line %'}), '3000|3000',
	'a connection that is lost again and again: every line once');

# ---- we are killed ourselves

for my $round (1 .. 5)
{
	$pid = wflog_background($dir, 'run', '--execution', "self$round", '--task', 't', '--max-bytes', '0', '--', 'perl', '-e',
		"\$| = 1; for (1 .. 100000) { print qq(line \$_\\n) or exit; open my \$f, '>', '$dir/at'; print \$f \$_; close \$f }");
	# once at least it must have got somewhere, however slow the machine is
	wait_until('there are lines in the spool', sub { grep { -s $_ > 20_000 } spools() }) if $round == 1;
	sleep 0.1 + 0.17 * $round;
	kill 'KILL', $pid;
	waitpid $pid, 0;
	sleep 0.2;
	# another run brings over what is left, or two, if there is much of it
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;
	do { wflog('run', '-q', '--execution', 'after', '--task', 't', '--', 'true') } while spools() && time < $end;
	my ($count, $distinct, $last) = split /\|/, sql(qq{SELECT count(*), count(DISTINCT message),
		coalesce(max(substr(message, 6)::int), 0) FROM wflog.logs('self$round') WHERE message LIKE 'line %'});
	is("$count $distinct", "$last $last", "killed after " . (0.1 + 0.17 * $round) . " s: $last lines, none missing, none twice");
	is(join(' ', spools()), '', 'the later run leaves no spool');
}
cmp_ok(sql(q{SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id LIKE 'self%'}), '>', 5, 'there was something to bring over');

# ---- no place for a spool

($status, $out, $err) = wflog('run', '--spool-dir', '/proc/nowhere', '--execution', 'nospool', '--task', 't', '--', 'echo', 'hi');
is($status, 0, 'without a spool it works, too');
like($err, qr/^wflog: warning: there can be no spool in \/proc\/nowhere/, 'and says so');
is(sql(q{SELECT count(*) FROM wflog.logs('nospool') WHERE message = 'hi'}), 1, 'the log is there');

# a spool that is full loses lines, and says how many
$node->stop;
($status, $out, $err) = wflog('run', '--wait', '0', '--max-bytes', '0', '--spool-size', '1', '--execution', 'full', '--task', 't',
	'--', 'perl', '-e', 'print "x" x 99, "\n" for 1 .. 50000');
is($status, 0, 'a full spool does not hold up the command');
like($err, qr/warning: (\d+) lines are lost: the spool was full/, 'how many lines are lost is told');
my ($lost) = $err =~ /(\d+) lines are lost/;
$node->start;
wflog('ingest', '--spool', '-q');
is(sql(q{SELECT count(*) FROM wflog.logs('full') WHERE message LIKE 'xxx%'}) + $lost, 50000, 'and that adds up');
is(sql(q{SELECT data->>'lost_lines' FROM wflog.logs('full', event_type => 'step_completed')}), $lost, 'it is in the logs as well');

$node->stop;
done_testing();
