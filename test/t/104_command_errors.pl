# The command when something is wrong: one clear line, a hint, and an exit status
# that says what kind of thing; and ls, inspect and maintain.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SameDay;
use Test::More;
use WflogCommand;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
WflogCommand::use_server($node);

# It fails so: exit status, and the messages on stderr; nothing on stdout.
sub fails
{
	my ($status, $pattern, @arguments) = @_;
	my ($got, $out, $err) = wflog(@arguments);
	is($got, $status, "wflog @arguments: status $status") or diag($err);
	like($err, $pattern, "wflog @arguments: says why");
	is($out, '', "wflog @arguments: nothing on stdout");
	is(scalar(grep { !/^wflog: / } split /\n/, $err), 0, "wflog @arguments: whole lines") or diag($err);
	return;
}

# ---- help and version

my ($help) = wflog_ok('--help');
my @subcommands = $help =~ /^  (\w+) {2,}\S/mg;
is(scalar(grep { /^(logs|ls|inspect|maintain)$/ } @subcommands), 4, 'the subcommands are listed');
like(wflog_ok('--version'), qr/^wflog \d+\.\d+\.\d+$/, '--version');
foreach my $text ($help, map { wflog_ok($_, '--help') } @subcommands)
{
	my ($first) = $text =~ /^(.*)/;
	cmp_ok(scalar(split /\n/, $text), '<=', 24, "a screen has the lines of: $first");
	is(join("\n", grep { length > 80 } split /\n/, $text), '', "and the columns of: $first");
}
is(wflog_ok('help', 'logs'), wflog_ok('logs', '--help'), 'wflog help SUBCOMMAND');

# ---- usage

fails(2, qr/subcommand is missing\n.*hint: /);
fails(2, qr/no subcommand "frobnicate"\n.*hint: /, 'frobnicate');
fails(2, qr/which execution/, 'logs');
fails(2, qr/no option --frobnicate.*\n.*"wflog logs --help"/, 'logs', 'e', '--frobnicate');
fails(2, qr/no option -z/, 'logs', 'e', '-z');
fails(2, qr/option --tail needs an argument/, 'logs', 'e', '--tail');
fails(2, qr/option -n needs an argument/, 'logs', 'e', '-n');
fails(2, qr/option --follow takes no argument/, 'logs', 'e', '--follow=yes');
fails(2, qr/--tail must be a whole number, not "ten"/, 'logs', 'e', '-n', 'ten');
fails(2, qr/--tail must be between 0 and \d+, not -1/, 'logs', 'e', '-n', '-1');
fails(2, qr/--attempt must be between 1/, 'logs', 'e', '--attempt=0');
fails(2, qr/no such level/, 'logs', 'e', '-l', 'loud');
fails(2, qr/--level-exact needs --level/, 'logs', 'e', '--level-exact');
fails(2, qr/--since: "soon" is not a time/, 'logs', 'e', '--since', 'soon');
fails(2, qr/--until: "5" lacks a unit/, 'logs', 'e', '--until', '5');
fails(2, qr/--since is after that of --until/, 'logs', 'e', '--since', '1m', '--until', '1h');
fails(2, qr/no output format "yaml"/, 'logs', 'e', '-o', 'yaml');
fails(2, qr/--color is auto, always or never/, 'logs', 'e', '--color', 'pink');
fails(2, qr/technical or business/, 'logs', 'e', '--category', 'x');
fails(2, qr/no word/, 'logs', 'e', '-g', ' ');
fails(2, qr/cursor begins with/, 'logs', 'e', '--after-cursor', 'xyz');
fails(2, qr/either executions or --workflow/, 'logs', 'e', '--workflow', 'w');
fails(2, qr/--until has no meaning/, 'logs', 'e', '-f', '--until', '1m');
fails(2, qr/cannot be empty/, 'logs', '');
fails(2, qr/which execution/, 'inspect');
fails(2, qr/"f" is too much/, 'inspect', 'e', 'f');
fails(2, qr/"x" is too much/, 'ls', 'x');
fails(2, qr/--retention-days must be between 1 and 365000, not 0/, 'maintain', '--retention-days', '0');
fails(2, qr/--retention-days must be a whole number, not "1.5"/, 'maintain', '--retention-days=1.5');
{
	local $ENV{AUTOKESTRA_LOG_RETENTION_DAYS} = 'a month';
	fails(2, qr/AUTOKESTRA_LOG_RETENTION_DAYS must be a whole number, not "a month"/, 'maintain');
}

# ---- connections

fails(3, qr/could not connect: .*No such file or directory.*\n.*hint: /, 'ls', '-h', '/nowhere');
fails(3, qr/database "nowhere" does not exist\n.*hint: /, 'ls', '-d', 'nowhere');
fails(3, qr/role "nobody" does not exist\n.*hint: /, 'ls', '-U', 'nobody');
fails(3, qr/could not connect: .*URI/, 'ls', '-d', 'postgresql://[');
{
	local $ENV{PGSERVICE} = 'none';
	fails(3, qr/definition of service "none" not found/, 'ls');
}

# ---- the extension

fails(5, qr/"postgres" does not have the extension wflog\n.*hint: .*CREATE EXTENSION wflog;/, 'ls');
$node->safe_psql('postgres', 'CREATE EXTENSION wflog');
$node->safe_psql('postgres', q{UPDATE pg_extension SET extversion = '0.0.9' WHERE extname = 'wflog'});
fails(5, qr/is version 0\.0\.9; this program needs .*\n.*hint: .*ALTER EXTENSION wflog UPDATE;/, 'logs', 'e');
$node->safe_psql('postgres', q{UPDATE pg_extension SET extversion = default_version FROM pg_available_extensions a
	WHERE extname = 'wflog' AND a.name = 'wflog'});

# ---- what does not exist, and what one may not do

fails(4, qr/execution "e" does not exist/, 'logs', 'e');
fails(4, qr/execution "e\^\[\[2J" does not exist|execution "e" does not exist/, 'logs', "e\e[2J");
fails(4, qr/execution "e" does not exist/, 'inspect', 'e');
fails(4, qr/workflow "w" does not exist/, 'logs', '--workflow', 'w');
fails(4, qr/workflow "w" does not exist/, 'ls', '--workflow', 'w');
$node->safe_psql('postgres', q{
	CREATE ROLE nobody LOGIN; CREATE ROLE alice LOGIN IN ROLE wflog_reader; CREATE ROLE bob LOGIN IN ROLE wflog_reader;
	SELECT wflog.start_execution('e', 'w', user_id => 'alice'), wflog.log('e', 'of alice');
	SELECT wflog.start_execution('p', 'w', status => 'PENDING');
	SELECT wflog.start_execution('x', 'other', user_id => 'bob'), wflog.set_execution_status('x', 'FAILED', 'no luck')});
fails(1, qr/permission denied.*\n.*hint: .*GRANT wflog_reader/, 'logs', 'e', '-U', 'nobody');
fails(4, qr/execution "e" does not exist/, 'logs', 'e', '-U', 'bob');
is(wflog_ok('logs', 'e', '-U', 'alice', '-o', 'raw'), "of alice\n", 'what is hers, she may read');
fails(1, qr/permission denied|not allowed|must be|may not/, 'maintain', '-U', 'alice');
fails(2, qr/"loud" is not an execution status\n.*hint: Statuses/, 'ls', '--status', 'loud');
my $foreign = $node->safe_psql('postgres', q{SELECT wflog.log('x', 'm'); SELECT cursor FROM wflog.tail('x')}) =~ s/.*\n//r;
fails(2, qr/cursor.*\n.*hint: Begin again without/s, 'logs', 'e', '--after-cursor', $foreign);
is((wflog('logs', 'e', '--exit-status'))[0], 12, 'still running');
SKIP:
{
	skip 'no /dev/full', 1 unless -e '/dev/full';
	is(system('wflog logs e >/dev/full 2>/dev/null') >> 8, 1, 'a full disk');
}

# ---- connections, made in every way that psql knows

my ($host, $port) = ($node->host, $node->port);
{
	local %ENV = %ENV;
	delete @ENV{qw(PGHOST PGPORT PGDATABASE)};
	like(wflog_ok('ls', '-d', "host=$host port=$port dbname=postgres"), qr/^e /m, 'by a connection string');
	like(wflog_ok('ls', '-d', "postgresql:///postgres?host=$host&port=$port"), qr/^e /m, 'by a URI');
	like(wflog_ok('ls', '-d', "host=/nowhere,$host port=$port dbname=postgres connect_timeout=3"), qr/^e /m, 'by the second of two hosts');
	like(wflog_ok('ls', '-h', $host, '-p', $port, '-d', 'postgres', '-w'), qr/^e /m, 'by options');
	my $service = PostgreSQL::Test::Utils::tempdir() . '/service.conf';
	append_to_file($service, "[mine]\nhost=$host\nport=$port\ndbname=postgres\n");
	$ENV{PGSERVICEFILE} = $service;
	like(wflog_ok('ls', '-d', 'service=mine'), qr/^e /m, 'by a service');
}
$node->safe_psql('postgres', q{SET password_encryption = 'scram-sha-256'; CREATE ROLE carol LOGIN PASSWORD 'sesame' IN ROLE wflog_writer});
unlink($node->data_dir . '/pg_hba.conf');
$node->append_conf('pg_hba.conf', "local all carol scram-sha-256\nlocal all all trust\n");
$node->reload;
fails(3, qr/no password supplied.*\n.*hint: /, 'ls', '-U', 'carol', '-w');
{
	my $passwords = PostgreSQL::Test::Utils::tempdir() . '/pgpass';
	append_to_file($passwords, "*:*:*:carol:sesame\n");
	chmod 0600, $passwords;
	local $ENV{PGPASSFILE} = $passwords;
	like(wflog_ok('ls', '-U', 'carol'), qr/^e /m, 'with a password file');
	local $ENV{PGPASSWORD} = 'wrong';
	fails(3, qr/password authentication failed/, 'ls', '-U', 'carol');
}
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'wflog'}), 'no session is left behind');

# ---- ls

my $list = wflog_ok('ls');
like($list, qr/^EXECUTION +STATUS +AGE +DURATION +LOGS +WORKFLOW\nx +FAILED +\S+ +\S+ +1 +other\np +PENDING .*\ne +RUNNING +\S+ +\S+\+ +1 +w\n$/,
	'ls: the latest first, with status, age and counts');
is(join(' ', wflog_ok('ls', '--status', 'failed') =~ /^(\w+) /mg), 'EXECUTION x', 'of a status');
is(join(' ', wflog_ok('ls', '--workflow', 'w') =~ /^(\w+) /mg), 'EXECUTION p e', 'of a workflow');
is(join(' ', wflog_ok('ls', '-n', '1') =~ /^(\w+) /mg), 'EXECUTION x', 'the latest');
is(join(' ', map { $_->{execution_id} } @{ decode_json(wflog_ok('ls', '--json')) }), 'x p e', 'as JSON');
like(wflog_ok('ls', '--times', '--utc'), qr/^EXECUTION +STATUS +STARTED.*\n.*\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/, 'with times');
$node->safe_psql('postgres', q{SELECT wflog.start_execution('n' || i, 'numbers') FROM generate_series(1, 250) i});
is(scalar(split /\n/, wflog_ok('ls', '-n', '0', '--workflow', 'numbers')), 251, 'all, in pages');
is(scalar(@{ decode_json(wflog_ok('ls', '-n', '120', '--json')) }), 120, 'many, in pages');
is((wflog('ls', '-U', 'bob', '--status', 'paused'))[2], "wflog: no executions that you may see\n", 'none');

# ---- inspect

$node->safe_psql(
	'postgres', q{
	SELECT wflog.start_execution('i', 'w', user_id => 'alice');
	SELECT wflog.log('i', 'Your import has started', event_type => 'workflow_started', is_milestone => true);
	SELECT wflog.log('i', 'go', event_type => 'step_started', node_id => 'extract', node_name => 'Read the source', step_number => 1, total_steps => 4, attempt => 1);
	SELECT wflog.log('i', 'in', event_type => 'step_input', node_id => 'extract', attempt => 1, data => '{"argv": ["curl", "x"]}');
	SELECT wflog.log('i', 'line ' || i, event_type => 'step_output', node_id => 'extract', attempt => 1) FROM generate_series(1, 5) i;
	SELECT wflog.log('i', 'ok', event_type => 'step_completed', node_id => 'extract', attempt => 1, data => '{"rows": 1000}', progress_percentage => 25);
	SELECT wflog.log('i', 'go', event_type => 'step_started', node_id => 'load', step_number => 2, total_steps => 4, attempt => 1);
	SELECT wflog.log('i', 'disk full', level => 'ERROR', event_type => 'step_error', node_id => 'load', attempt => 1, stack_trace => E'load.c:42\nmain.c:7');
	SELECT wflog.log('i', 'go', event_type => 'step_started', node_id => 'load', step_number => 2, total_steps => 4, attempt => 2);
	SELECT wflog.log('i', 'just a line', node_id => 'cleanup')});
my $report = wflog_ok('inspect', 'i');
like($report, qr/^Status     RUNNING: still running, \S+.* so far$/m, 'inspect says that it is still running');
like($report, qr/^Progress   .* \d+%$/m, 'how far it is');
like($report, qr/^Logs       13: 1 error, 12 info$/m, 'counts');
like($report, qr/^  \S+ 1\/4 extract  Read the source  completed in \S+, 8 logs\n {6}input   \{"argv": \["curl", "x"\]\}\n {6}output  line 3\n {14}line 4\n {14}line 5\n {6}result  \{"rows": 1000\}$/m,
	'a step with input, last lines of output, result, duration and outcome') or diag($report);
like($report, qr/^  \S+ 2\/4 load  failed after .*\n {6}error   disk full\n  \S+ 2\/4 load#2  running for .+, 3 logs in all attempts$/m, 'attempts apart') or diag($report);
like($report, qr/^    cleanup  1 log$/m, 'a step without events');
like($report, qr/^Last error\n  \S+ load: disk full\n    load\.c:42\n    main\.c:7$/m, 'the last error with its stack trace');
like($report, qr/^Milestones\n  \S+  Your import has started$/m, 'milestones');
like($report, qr/^Audit trail\n  \S+  CREATED +RUNNING  by \S+$/m, 'the audit trail');
my $json = decode_json(wflog_ok('inspect', 'i', '--json'));
is($json->{execution}{status}, 'RUNNING', 'as JSON: the execution');
is(join(' ', map { "$_->{node_id}#$_->{attempt}:$_->{status}" } @{ $json->{steps} }), 'extract#1:completed load#1:failed load#2:running', 'steps');
is_deeply($json->{steps}[0]{input}, { argv => [ 'curl', 'x' ] }, 'input');
is_deeply([ map { $_->{message} } @{ $json->{steps}[0]{last_lines} } ], [ 'line 3', 'line 4', 'line 5' ], 'output');
is($json->{last_error}{stack_trace}, "load.c:42\nmain.c:7", 'error');
is($json->{audit}[0]{event_type}, 'CREATED', 'audit');
my $watch = wflog_start('inspect', 'i', '--watch', '--json');
wflog_until($watch, 'out', qr/\n/);
$node->safe_psql('postgres', q{SELECT wflog.set_execution_status('i', 'FAILED', 'gave up')});
is(wflog_end($watch), 0, '--watch --json ends with the execution');
is(join(' ', map { decode_json($_)->{execution}{status} } split /\n/, $watch->{out}), 'RUNNING FAILED', 'an object for each change');
like(wflog_ok('inspect', 'i'), qr/^Status     FAILED after .*^Error      gave up\n.*FAILED +RUNNING -> FAILED  by \S+: gave up$/ms, 'when it has ended');
like(wflog_ok('inspect', 'p'), qr/^Status     PENDING: not started yet$/m, 'one that has not started');
$node->safe_psql('postgres', q{SELECT wflog.log('unregistered', 'm')});
like(wflog_ok('inspect', 'unregistered'), qr/^Status     not registered/m, 'one that is not registered');

# ---- maintain

$node->safe_psql('postgres', q{
	INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
	SELECT 'old', 'm', now() - i * interval '1 day' FROM generate_series(1, 60) i;
	CALL wflog.maintain(365)});
sub old_logs { $node->safe_psql('postgres', q{SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id = 'old'}) }
my ($status, $preview, $err) = wflog('maintain', '--dry-run', '--retention-days', '50');
is($status, 0, '--dry-run');
like($preview, qr/action.*target.*logs.*\n.*drop leaf/s, 'shows what would go');
is(old_logs(), '60', 'and removes nothing');
{
	local $ENV{AUTOKESTRA_LOG_RETENTION_DAYS} = '40';
	is((wflog('maintain', '--retention-days', '50'))[0], 0, 'the option');
	is(old_logs(), '50', 'comes before the environment');
	is((wflog('maintain'))[0], 0, 'the environment');
	is(old_logs(), '40', 'comes before the setting');
}
is((wflog('maintain'))[0], 0, 'the setting');
is(old_logs(), '30', 'is what is left');
is((wflog('maintain', '--dry-run'))[2], "wflog: nothing is past its time\n", 'nothing left to do');

# ---- a server that goes away, and will not come back

my $run = wflog_start('logs', 'e', '-f');
wflog_until($run, 'out', qr/of alice/);
$node->stop('fast');
wflog_until($run, 'err', qr/connection was lost; trying to connect again/);
is(wflog_end($run, 'INT'), 130, 'Ctrl-C while connecting again');

done_testing();
