# wflog serve: the log API's endpoints, their shapes, parameters and limits; who
# may see what; errors; what happens when the database is away; its own end.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Gateway;
use IO::Select;
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WflogCommand;

plan skip_all => 'wflog was built without serve' unless Gateway::is_built();

my $node = Gateway::new_server('max_connections = 60');
$node->safe_psql('postgres', 'CREATE ROLE outsider LOGIN');

# ---- the start

my ($status, $out, $err) = wflog('serve');
is($status, 2, 'no key: a usage error');
my $short = PostgreSQL::Test::Utils::tempdir() . '/short';
append_to_file($short, 'too short');
($status, $out, $err) = wflog('serve', '-U', 'gateway', "--jwt-secret-file=$short");
is($status, 1, 'a short secret is refused');
like($err, qr/has 9 bytes; HS256 needs at least 32/, 'and why');
($status, $out, $err) = wflog('serve', '-U', 'outsider', '--jwt-secret-file=' . Gateway::secret_file());
is($status, 1, 'a role that is no gateway is refused');
like($err, qr/not a member of wflog_gateway/, 'and why');

my $log = PostgreSQL::Test::Utils::tempdir() . '/access.log';
my $gateway = Gateway->start("--access-log=$log", '--pool=3');

# ---- data: two people's executions

$node->safe_psql(
	'postgres', q{
	SELECT wflog.start_execution('e1', 'w1', user_id => 'alice');
	SELECT wflog.log('e1', 'started', event_type => 'workflow_started', is_milestone => true);
	SELECT wflog.log('e1', 'm' || i, level => CASE WHEN i % 10 = 0 THEN 'ERROR' ELSE 'INFO' END, node_id => 'n', node_name => 'Node',
		step_number => 1, data => jsonb_build_object('i', i)) FROM generate_series(1, 1199) i;
	SELECT wflog.start_execution('done', 'w1');
	SELECT wflog.log('done', 'only', user_friendly_message => 'Only one');
	SELECT wflog.set_execution_status('done', 'SUCCESS');
	SELECT wflog.start_execution('e2', 'w2', user_id => 'bob');
	SELECT wflog.log('e2', 'of bob');
	SELECT wflog.start_execution('a/b c', 'w1');
	SELECT wflog.log('a/b c', 'odd')});
my $alice = token('alice');
my $bob = token('bob');
my $api = '/api/v1/app/executions';

# The kinds of the values that an interface of S1 names: s string, n number, b boolean, o object, a array.
sub kind
{
	my ($value) = @_;
	return !defined $value ? '-' : JSON::PP::is_bool($value) ? 'b' : ref $value eq 'HASH' ? 'o' : ref $value eq 'ARRAY' ? 'a' :
	  JSON::PP->new->allow_nonref->encode($value) =~ /^"/ ? 's' : 'n';
}

sub has_shape
{
	my ($object, $shape, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(join(' ', map { "$_:" . kind($object->{$_}) } sort keys %$shape),
		join(' ', map { "$_:$shape->{$_}" } sort keys %$shape), $name);
}

# ---- LogsResponse

foreach my $path ("$api/e1/logs", '/v2/workflows/executions/e1/logs')
{
	my $answer = $gateway->get($path, $alice);
	is($answer->{status}, 200, $path);
	is($answer->{headers}{'content-type'}, 'application/json', 'is JSON');
	my $page = json_of($answer);
	has_shape($page, { execution_id => 's', logs => 'a', total_count => 'n', pagination => 'o' }, 'LogsResponse');
	has_shape($page->{pagination}, { limit => 'n', offset => 'n', has_more => 'b' }, 'PaginationInfo');
	has_shape($page->{logs}[1], { id => 's', timestamp => 's', node_name => 's', event_type => 's', message => 's',
		level => 's', data => 'o', node_id => 's', step_number => 'n', display_priority => 'n', is_milestone => 'b' }, 'LogEntry');
	is(scalar(@{ $page->{logs} }), 100, '100 of them');
	is($page->{total_count}, 1200, 'of so many');
	ok($page->{pagination}{has_more}, 'there are more');
	is($page->{logs}[1]{level}, 'info', 'levels are in lower case');
}
my $page = json_of($gateway->get("$api/e1/logs?limit=1000&offset=1195", $alice));
is(scalar(@{ $page->{logs} }), 5, 'the last page by offset');
ok(!$page->{pagination}{has_more}, 'is the last');
is("$page->{pagination}{limit} $page->{pagination}{offset}", '1000 1195', 'limit and offset are told back');
is(json_of($gateway->get("$api/e1/logs?level=error", $alice))->{total_count}, 119, 'by level, in any case');
is(json_of($gateway->get("$api/e1/logs?level=", $alice))->{total_count}, 1200, 'an empty filter is none');
my $middle = json_of($gateway->get("$api/e1/logs?limit=1&offset=600", $alice))->{logs}[0]{timestamp};
is(json_of($gateway->get("$api/e1/logs?start_time=$middle", $alice))->{total_count}, 600, 'from a time on');
is(json_of($gateway->get("$api/e1/logs?end_time=$middle", $alice))->{total_count}, 601, 'up to a time, which counts');
is(json_of($gateway->get("$api/e1/logs?start_time=$middle&end_time=$middle", $alice))->{total_count}, 1, 'both');
(my $plus = $middle) =~ s/Z$/%2B00:00/;
is(json_of($gateway->get("$api/e1/logs?start_time=$plus", $alice))->{total_count}, 600, 'with a zone');
(my $local = $middle) =~ s/Z$//;
is(json_of($gateway->get("$api/e1/logs?start_time=$local", $alice))->{total_count}, 600, 'without a zone it is UTC');
is(json_of($gateway->get("$api/e1/logs?milestones_only=true", $alice))->{total_count}, 1, 'our own filters: milestones');
is(json_of($gateway->get("$api/e1/logs?search=M77&min_level=debug&node_id=n", $alice))->{total_count}, 11, 'search, node, least level');
is(json_of($gateway->get("$api/e1/logs?from_end=1&limit=1", $alice))->{logs}[0]{message}, 'm1199', 'from the end');
is(json_of($gateway->get("$api/e1/logs?with_total=false", $alice))->{total_count}, undef, 'without counting');
is(json_of($gateway->get("$api/a%2Fb%20c/logs", $alice))->{logs}[0]{message}, 'odd', 'an id with odd characters');

# all pages by their links
my ($next, @seen) = ("$api/e1/logs?limit=500&level=info&offset=0");
while ($next)
{
	my $answer = $gateway->get($next, $alice);
	push @seen, map { $_->{message} } @{ json_of($answer)->{logs} };
	($next) = ($answer->{headers}{link} // '') =~ /<([^>]*)>; rel="next"/;
	last if @seen > 2000;
}
is(join(' ', @seen), join(' ', 'started', map { "m$_" } grep { $_ % 10 } 1 .. 1199), 'following the links gives every log once, in order');

# ---- the other endpoints

foreach my $path ("$api/e1/logs/summary", '/v2/executions/e1/logs/summary')
{
	my $summary = json_of($gateway->get($path, $alice));
	has_shape($summary, { execution_id => 's', total_logs => 'n', log_levels => 'o', event_types => 'o', milestones => 'a',
		nodes => 'o', timeline => 'o' }, "LogsSummaryResponse of $path");
	is($summary->{log_levels}{error}, 119, 'with counts');
	has_shape($summary->{milestones}[0], { timestamp => 's', message => 's', event_type => 's' }, 'Milestone');
	has_shape($summary->{nodes}{n}, { node_name => 's', logs_count => 'n', step_number => 'n', status => 's' }, 'NodeSummary');
	has_shape($summary->{timeline}, { first_log => 's', last_log => 's', duration_estimate => 'n' }, 'timeline');
}
my $recent = json_of($gateway->get("$api/recent_logs?workflow_id=w1&limit=3&include_all_executions=true", $alice));
has_shape($recent, { workflow_id => 's', latest_execution => 'o', logs => 'a', summary => 'o', other_executions => 'a',
	total_executions => 'n' }, 'RecentLogsResponse');
has_shape($recent->{latest_execution}, { execution_id => 's', status => 's', start_time => 's' }, 'latest_execution');
has_shape($recent->{summary}, { total_logs => 'n', error_count => 'n', warning_count => 'n', milestone_count => 'n' }, 'its summary');
is($recent->{total_executions}, 3, 'of all executions');
ok(!exists json_of($gateway->get("$api/recent_logs?workflow_id=w1", $alice))->{other_executions}, 'which one has to ask for');
is(json_of($gateway->get("$api/e1", $alice))->{status}, 'RUNNING', 'an execution');
is(join(' ', map { $_->{execution_id} } @{ json_of($gateway->get("$api?limit=2", $alice))->{executions} }), 'a/b c done', 'executions');
is(scalar(@{ json_of($gateway->get('/api/v1/app/workflows/w1/logs?min_level=error&limit=7', $alice))->{logs} }), 7, 'logs of a workflow');
is(json_of($gateway->get('/api/v1/app/workflows/w1/summary', $alice))->{executions}{total}, 3, 'figures of a workflow');
foreach my $path ('/health', '/api/v1/public/health')
{
	is(json_of($gateway->get($path))->{status}, 'healthy', $path);
}
is($gateway->get('/ready')->{status}, 200, '/ready');
my $metrics = $gateway->get('/metrics')->{content};
like($metrics, qr/^wflog_http_requests_total\{route="logs",code="2xx"\} [1-9]/m, '/metrics counts');
is(join("\n", grep { !/^(# (HELP|TYPE) (?:wflog|process)_\w+ \S.*|(?:wflog|process)_\w+(\{[^}]*\})? [-+.e\d]+)$/ } split /\n/, $metrics), '', 'as Prometheus reads it');

# ---- who may see what

is($gateway->get("$api/e2/logs", $bob)->{status}, 200, 'bob sees his');
my @hidden = map { $gateway->get("$api/$_/logs", $alice, 'X-Request-ID' => 'same') } 'e2', 'nobody-s';
is($hidden[0]{status}, 404, "alice does not see bob's");
is($hidden[0]{content}, $hidden[1]{content}, 'which looks as if there were none');
is($gateway->get("$api/e2$_", $alice)->{status}, 404, "nor $_") foreach '', '/logs/summary', '/logs/stream';
is($gateway->get("$api/recent_logs?workflow_id=w2", $alice)->{status}, 404, 'nor a workflow');
is($gateway->get("/api/v1/app/workflows/w2/$_", $alice)->{status}, 404, "nor its $_") foreach 'logs', 'summary';
is(scalar(@{ json_of($gateway->get($api, $bob))->{executions} }), 1, 'lists have only what is one\'s own');
is($gateway->get("$api/e2/logs", token('robot', role => 'service_role'))->{status}, 200, 'the service sees everything');
is($gateway->get("$api/e1/logs", token(''))->{status}, 404, 'nobody sees nothing');
foreach my $path ("$api/e1/logs", "$api/e1/logs/stream", $api, "$api/recent_logs?workflow_id=w1")
{
	my $answer = $gateway->get($path);
	is($answer->{status}, 401, "no token: $path");
	like($answer->{headers}{'www-authenticate'}, qr/^Bearer/, 'says what is missing');
}
is($gateway->get("$api/e1/logs?access_token=$alice")->{status}, 401, 'a token in an address is for streams only');

# ---- bad requests

sub problem_is
{
	my ($path, $expected, $detail, $parameter) = @_;
	my $answer = $gateway->get($path, $alice);
	my $problem = eval { json_of($answer) } // {};
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($answer->{status}, $expected, $path);
	is($answer->{headers}{'content-type'}, 'application/problem+json', 'is a problem document');
	is($problem->{status}, $expected, 'with its status');
	like($problem->{detail}, $detail, 'and what is wrong');
	is($problem->{parameter}, $parameter, 'with what') if $parameter;
	is($problem->{request_id}, $answer->{headers}{'x-request-id'}, 'and the id of the request');
	return;
}
problem_is("$api/e1/logs?limit=$_", 422, qr/limit must be a whole number between 1 and 1000/, 'limit') foreach 0, 1001, -1, 'x', '1x', '', '99999999999999999999', '%201', '1.5';
problem_is("$api/e1/logs?offset=$_", 422, qr/offset must be/, 'offset') foreach -1, 'x', '99999999999999999999';
problem_is("$api/e1/logs?detail=perhaps", 422, qr/detail must be true or false/, 'detail');
problem_is("$api/e1/logs?level=loud", 422, qr/"loud" is not a log level/);
problem_is("$api/e1/logs?start_time=soon", 422, qr/soon/);
problem_is("$api/e1/logs?start_time=2026-01-02&end_time=2026-01-01", 422, qr/./);
problem_is("$api/e1/logs?attempt=x", 422, qr/x/);
problem_is("$api/e1/logs?after=$_", 422, qr/cursor/) foreach 'x', 'p1.AAAA', 's1.AAAA';
problem_is("$api/e1/logs?search=%ff", 422, qr/./);
problem_is("$api/e1/logs?a=%zz", 400, qr/query/);
problem_is("$api/e1/logs?a=%00", 400, qr/query/);
problem_is("$api/%00/logs", 400, qr/path/);
problem_is("$api/recent_logs", 422, qr/workflow_id is missing/, 'workflow_id');
problem_is('/nothing', 404, qr/nothing at this address/);
problem_is("$api/" . ('x' x 256) . '/logs', 422, qr/255|long/);
my $answer = $gateway->get("$api/e1/logs", $alice, method => 'DELETE');
is("$answer->{status} $answer->{headers}{allow}", '405 GET, HEAD, POST', 'another method');

# ---- headers

$answer = $gateway->get("$api/e1/logs", $alice, 'X-Request-ID' => 'mine-1', 'X-Trace-ID' => 'trace.2');
is("$answer->{headers}{'x-request-id'} $answer->{headers}{'x-trace-id'}", 'mine-1 trace.2', 'ids are passed on');
$answer = $gateway->get("$api/e1/logs", $alice, 'X-Request-ID' => "no good \"", traceparent => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
like($answer->{headers}{'x-request-id'}, qr/^[0-9a-f]{24}$/, 'unless they are odd');
is($answer->{headers}{'x-trace-id'}, '0af7651916cd43dd8448eb211c80319c', 'the trace of a traceparent');
is($answer->{headers}{etag}, undef, 'one that runs has no ETag');

$answer = $gateway->get("$api/done/logs", $alice);
my $etag = $answer->{headers}{etag};
like($etag, qr/^"[0-9a-f]{32}"$/, 'a finished one has a strong ETag');
like($gateway->get("$api/done/logs/summary", $alice)->{headers}{etag}, qr/^"[0-9a-f]{32}"$/, 'so has its summary');
foreach ([ '0', 0 ], [ '50 minutes', 300 ], [ '-1 hour', 0 ], [ '1 year', 86400 ])
{
	my ($ago, $seconds) = @$_;
	$node->safe_psql('postgres', "UPDATE wflog.workflow_executions SET end_time = now() - interval '$ago' WHERE execution_id = 'done'");
	my ($age) = $gateway->get("$api/done/logs", $alice)->{headers}{'cache-control'} =~ /^private, max-age=(\d+), must-revalidate$/;
	cmp_ok(abs($age - $seconds), '<=', 3, "ended $ago ago, it may be kept by the client for $seconds s");
}
is(join(', ', @{ $answer->{headers}{vary} }), 'Accept, Authorization', 'of this user');
# other transactions at work do not change a byte
my $other = $node->background_psql('postgres');
$other->query_safe(q{BEGIN; SELECT wflog.log('e2', 'not yet')});
$node->safe_psql('postgres', q{SELECT wflog.log('e2', 'meanwhile')});
is($gateway->get("$api/done/logs", $alice)->{content}, $answer->{content}, 'a page of it is the same each time');
is($gateway->get("$api/done/logs", $alice, 'If-None-Match' => $_)->{status}, 304, "it need not come again: $_")
  foreach "\"x\", $etag", "W/$etag", '*';
$other->query_safe('ROLLBACK');
$other->quit;
$answer = $gateway->get("$api/done/logs", $alice, method => 'HEAD');
is("$answer->{status} $answer->{headers}{etag}", "200 $etag", 'HEAD says so too');
$node->safe_psql('postgres', q{UPDATE wflog.workflow_execution_logs SET user_friendly_message = '(removed)' WHERE execution_id = 'done'});
$answer = $gateway->get("$api/done/logs", $alice, 'If-None-Match' => $etag);
is($answer->{status}, 200, 'after a redaction it does');
isnt($answer->{headers}{etag}, $etag, 'with another ETag');

# ---- pages of other origins: only those on the list

my $elsewhere = Gateway->start('--cors-origin=https://app.test', '--cors-origin=http://localhost:3000');
$answer = $elsewhere->get("$api/e1/logs", $alice, Origin => 'http://localhost:3000');
is($answer->{headers}{'access-control-allow-origin'}, 'http://localhost:3000', 'a page of an origin on the list may read');
like(join(' ', map { ref $_ ? @$_ : $_ } $answer->{headers}{vary}), qr/Origin/, 'which depends on the origin');
is($elsewhere->get("$api/e1/logs", undef, Origin => 'https://app.test')->{headers}{'access-control-allow-origin'}, 'https://app.test', 'errors, too');
my %ask = (method => 'OPTIONS', 'Access-Control-Request-Method' => 'GET', 'Access-Control-Request-Headers' => 'authorization,last-event-id');
$answer = $elsewhere->get("$api/e1/logs", undef, %ask, Origin => 'https://app.test');
is($answer->{status}, 204, 'a browser that asks first needs no token');
like($answer->{headers}{'access-control-allow-headers'}, qr/Authorization.*Last-Event-ID/, 'and is told what it may send');
foreach my $origin ('https://app.test.evil', 'https://APP.test:1', 'null', 'https://app.tes')
{
	is($elsewhere->get("$api/e1/logs", $alice, Origin => $origin)->{headers}{'access-control-allow-origin'}, undef, "not $origin");
}
is($elsewhere->get("$api/e1/logs", undef, %ask, Origin => 'null')->{status}, 405, 'nor may it ask');
is($elsewhere->stop, 0, 'that one ends');
is($gateway->get("$api/e1/logs", $alice, Origin => 'https://app.test')->{headers}{'access-control-allow-origin'}, undef, 'without a list nobody');

# ---- time limits: a lock that somebody holds

my $blocker = $node->background_psql('postgres');
$blocker->query_safe('BEGIN; LOCK TABLE wflog.workflow_executions');
my $hasty = Gateway->start('--query-timeout=1');
$answer = $hasty->get("$api/e1", $alice);
is($answer->{status}, 504, 'a query that takes too long');
like(json_of($answer)->{detail}, qr/too long/, 'is given up');
$blocker->query_safe('ROLLBACK');
$blocker->quit;
is($gateway->get("$api/e1", $alice)->{status}, 200, 'then it goes on');
like($hasty->get('/metrics')->{content}, qr/^wflog_database_timeouts_total 1$/m, 'and was counted');
is($hasty->stop, 0, 'that one ends');

# ---- the database is away

my $begun = json_of($gateway->get("$api/e1/logs", $alice))->{total_count};
$node->stop('fast');
$answer = $gateway->get("$api/e1/logs", $alice);
is($answer->{status}, 503, 'no database: 503');
like($answer->{headers}{'retry-after'}, qr/^\d+$/, 'and when to try again');
is($gateway->get('/health')->{status}, 200, 'the process is healthy');
is($gateway->get('/ready')->{status}, 503, 'but not ready');
$node->start;
my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
sleep 0.1 while $gateway->get('/ready')->{status} != 200 && time() < $end;
is($gateway->get('/ready')->{status}, 200, 'it comes back by itself');
is(json_of($gateway->get("$api/e1/logs", $alice))->{total_count}, $begun, 'and serves');

# ---- claims do not stay on a connection: requests of several people at a time

my %of = (alice => 'e1', bob => 'e2');
my @sockets;
foreach my $i (1 .. 60)
{
	my $who = $i % 3 ? 'alice' : 'bob';
	my $socket = $gateway->connect;
	my $wanted = $i % 2 ? $of{$who} : $of{ $who eq 'alice' ? 'bob' : 'alice' };
	print $socket "GET $api/$wanted/logs?limit=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " . token($who) . "\r\n\r\n";
	push @sockets, [ $socket, $i % 2 ? 200 : 404 ];
}
is(join(' ', map { (Gateway::read_until($_->[0], qr/(?!)/))[0] =~ m{^HTTP/1\.1 (\d+)}; $1 } @sockets),
	join(' ', map { $_->[1] } @sockets), 'each request has the rights of who asks');

# ---- SIGHUP, access log, the end

rename $log, "$log.1";
kill 'HUP', $gateway->pid;
ok($gateway->says(qr/keys have been read anew/), 'SIGHUP');
is($gateway->get("$api/e1/logs?limit=1&search=secret-word", $alice, 'X-Request-ID' => 'last')->{status}, 200, 'the same key is good');
my ($line) = grep { /"last"/ } split /\n/, slurp_file($log);
my $entry = JSON::PP->new->utf8->decode($line // '{}');
is("$entry->{method} $entry->{path} $entry->{status} $entry->{user}", "GET $api/e1/logs 200 alice", 'the access log goes on in a new file');
ok($entry->{ms} > 0 && $entry->{database_ms} > 0, 'with times');
my $all = slurp_file("$log.1") . slurp_file($log);
is(scalar(grep { !eval { JSON::PP->new->utf8->decode($_) } } split /\n/, $all), 0, 'every line is JSON');
unlike($all, qr/\Q$alice\E|secret-word/, 'without tokens and queries');

my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK TABLE wflog.workflow_executions');
my $slow = $gateway->connect;
print $slow "GET $api/e1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $alice\r\n\r\n";
$end = time() + $PostgreSQL::Test::Utils::timeout_default;
sleep 0.02 while $gateway->get('/metrics')->{content} !~ /^wflog_pool_busy [1-9]/m && time() < $end;
my $idle = $gateway->connect;
kill 'TERM', $gateway->pid;
ok($gateway->says(qr/ending/), 'SIGTERM');
my ($rest, $closed) = Gateway::read_until($idle, qr/(?!)/);
ok($closed, 'idle connections are closed');
$locker->query_safe('ROLLBACK');
$locker->quit;
($rest) = Gateway::read_until($slow, qr/(?!)/);
like($rest, qr{^HTTP/1\.1 200 .*Connection: close}s, 'a request under way is answered');
is(wflog_end($gateway->{run}), 0, 'then it ends');
unlike($gateway->{run}{err}, qr/request .* failed|stream .* failed/, 'it had no errors');

$node->stop;
done_testing();
