# wflog serve: writing.  Batches in every form, all or nothing, errors by element,
# Idempotency-Key, traces, limits, who may; starting executions and their status.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Gateway;
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WflogCommand;
use WflogNode qw(wait_for);

plan skip_all => 'wflog was built without serve' unless Gateway::is_built();

# some logs are of a certain day
my $node = Gateway::new_server('max_connections = 60', 'wflog.retention_days = 36500');
my $gateway = Gateway->start('--pool=4', '--max-body=20000', '--cors-origin=https://app.test');
my $robot = token('robot', role => 'service_role');
my $api = '/api/v1/app/executions';
my $json = JSON::PP->new->canonical->utf8;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Send a body, JSON unless the headers say otherwise.
sub post
{
	my ($path, $body, %headers) = @_;
	my $token = exists $headers{token} ? delete $headers{token} : $robot;
	return $gateway->get($path, $token, method => 'POST', 'Content-Type' => 'application/json', %headers,
		body => ref $body ? $json->encode($body) : $body);
}

# Status and the fields of the answer that matter.
sub outcome
{
	my ($answer) = @_;
	my $content = json_of($answer);
	return join ' ', $answer->{status}, map { "$_=$content->{$_}" } grep { exists $content->{$_} } qw(execution_id count);
}

sub messages_of
{
	my ($execution) = @_;
	return sql("SELECT string_agg(message, ' ' ORDER BY created_at, id) FROM wflog.workflow_execution_logs WHERE execution_id = '$execution'");
}

# ---- starting, and the status

my %run = (execution_id => 'e1', workflow_id => 'w', user_id => 'alice', workflow_name => 'W', tier => 'gold');
my $answer = post($api, \%run);
is("$answer->{status} " . json_of($answer)->{status}, '201 RUNNING', 'an execution is started');
is(sql('SELECT user_id, name, tier FROM wflog.workflows'), 'alice|W|gold', 'with its workflow');
is(post($api, \%run)->{status}, 200, 'again: it is there');
is(post($api, { execution_id => 'e1', workflow_id => 'other' })->{status}, 422, 'not in another workflow');
is(json_of(post($api, { %run, colour => 'red' }))->{parameter}, 'colour', 'a field that there is not is named');
is(json_of(post($api, { %run, tier => 5 }))->{parameter}, 'tier', 'so is one of another kind');
is(post($api, $_)->{status}, 400, "not an object: $_") foreach '', '[]', 'x', '{"execution_id":"e9","workflow_id":"w"';
is(post($api, $_)->{status}, 422, "not well-formed: $_") foreach '{"execution_id":"e9" "workflow_id":"w"}', '{"execution_id":"a\u0000","workflow_id":"w"}';
is(post($api, { workflow_id => 'w' })->{status}, 422, 'no id');
is(post($api, \%run, 'Content-Type' => 'text/plain')->{status}, 415, 'another type');

sub change
{
	my ($id, $body, $token) = @_;
	return $gateway->get("$api/$id", $token // $robot, method => 'PATCH', 'Content-Type' => 'application/json', body => $json->encode($body));
}
is(json_of(change('e1', { status => 'PAUSED' }))->{status}, 'PAUSED', 'its status is changed');
is(change('e1', { status => 'paused' })->{status}, 200, 'again: it is so');
is(change('e1', { status => 'gone' })->{status}, 422, 'to one that there is not');
is(change('e1', {})->{status}, 422, 'to none');
is(change('nothing', { status => 'FAILED' })->{status}, 404, 'of one that there is not');
is(json_of(change('e1', { status => 'FAILED', error_message => 'no' }))->{error_message}, 'no', 'with a message');
$answer = change('e1', { status => 'RUNNING' });
is($answer->{status}, 409, 'not back from the end');
like(json_of($answer)->{detail}, qr/cannot go from FAILED to RUNNING/, 'and why');

# ---- every form of a batch

is(outcome(post("$api/f1/logs", [ { message => 'a' }, { message => 'b', level => 'error' } ])), '201 execution_id=f1 count=2', 'an array');
is(outcome(post("$api/f1/logs", { logs => [ { message => 'c' } ] })), '201 execution_id=f1 count=1', 'an object with logs');
is(outcome(post("$api/f1/logs", { message => 'd', data => { x => [ 1, { y => '}]"' } ] } })), '201 execution_id=f1 count=1', 'one log');
is(outcome(post("$api/f1/logs", qq(\xEF\xBB\xBF{"message":"e"}\r\n\n  {"message":"f","execution_id":"f1"} \n{"message":"g"}), 'Content-Type' => 'application/x-ndjson; charset=UTF-8')),
	'201 execution_id=f1 count=3', 'lines');
is(outcome(post("$api/f1/logs", qq( [\n {\n"message"\n:\n"h" , "data" : { "a"\n:\n"\\" }\\\\" }\n} ,\n{"message":"i"} ] \n))), '201 execution_id=f1 count=2', 'JSON of several lines');
is(outcome(post("$api/f1/logs", qq({ "logs" : [ ] }))), '200 execution_id=f1 count=0', 'none');
is(outcome(post("$api/f1/logs", '', 'Content-Type' => 'application/x-ndjson')), '200 execution_id=f1 count=0', 'no lines');
is(messages_of('f1'), 'a b c d e f g h i', 'all of them are there');
is(sql(q{SELECT data FROM wflog.workflow_execution_logs WHERE execution_id = 'f1' AND message IN ('d', 'h') ORDER BY message}),
	qq({"x": [1, {"y": "}]\\""}]}\n{"a": "\\" }\\\\"}), 'as they were');
is(outcome(post('/api/v1/app/logs', [ { execution_id => 'g1', message => 'x' }, { execution_id => 'g2', message => 'y' } ])), '201 count=2', 'of several executions');
is(messages_of('g1') . messages_of('g2'), 'xy', 'each to its own');
is(outcome(post("$api/a%2Fb%20%22%C3%A9/logs", { message => 'odd' })), qq(201 execution_id=a/b "\xe9 count=1), 'an id with odd characters');
is(messages_of('a/b "é'), 'odd', 'which is that');
post("$api/f2/logs", "{\"message\":\"nul \\u0000 raw \x00 bad \xff\"}", 'Content-Type' => 'application/x-ndjson');
is(messages_of('f2'), 'nul \u0000 raw \x00 bad \xff', 'bytes that text cannot hold are kept as escapes');

# ---- what is refused, and that nothing is written then

sub refused
{
	my ($path, $body, $status, $index, $field, $detail, %headers) = @_;
	my $got = post($path, $body, %headers);
	my $problem = json_of($got);
	my $error = $problem->{errors}[0] // {};
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(join(' ', $got->{status}, $error->{index} // '-', $error->{field} // '-'), "$status $index $field", "$detail: $status at $index $field");
	like($error->{detail} // $problem->{detail}, qr/$detail/, 'and what it is');
	is($got->{headers}{'content-type'}, 'application/problem+json', 'as a problem document');
	return;
}
my $good = { message => 'good' };
my @lines = ('Content-Type' => 'application/x-ndjson');
refused("$api/r/logs", [ $good, { message => 'x', level => 'loud' } ], 422, 1, 'level', '^level: "loud" is not a log level');
refused("$api/r/logs", [ $good, $good, { message => 'x', attempt => 0 } ], 422, 2, 'attempt', '^attempt must be at least 1, not 0');
refused("$api/r/logs", [ { level => 'info' } ], 422, 0, 'message', '^message is missing');
refused("$api/r/logs", [ { message => 'x', colour => 1 } ], 422, 0, 'colour', '"colour" is no field of a log');
refused("$api/r/logs", [ { message => 'x', created_at => 'soon' } ], 422, 0, 'created_at', '"soon" is not a time');
refused("$api/r/logs", [ $good, { message => 'x', execution_id => 'other' } ], 422, 1, 'execution_id', 'not the one in the address');
refused('/api/v1/app/logs', [ $good ], 422, 0, 'execution_id', 'execution_id is missing');
refused("$api/r/logs", [ $good, 5 ], 422, 1, '-', 'must be a JSON object');
refused("$api/r/logs", qq({"message":"good"}\n\n{"message":"x"\n), 422, 1, '-', 'one JSON object', @lines);
refused("$api/r/logs", qq({"message":"good"}\n[1]), 422, 1, '-', 'must be a JSON object', @lines);
refused("$api/r/logs", qq({"message":"good"}\n{"message":"x"} {}), 422, 1, '-', 'one JSON object', @lines);
refused("$api/r/logs", qq([{"message":"a\nb"}]), 422, 0, '-', 'line feed');
like(post("$api/r/logs", "[{\"message\":\"good\"},$_]")->{status}, qr/^(400|422)$/, "not well-formed: $_")
  foreach '{"message":"x",}', '{,"message":"x"}', '{"message":"x" "level":"info"}', '{"message":tru}', '{"message":"x","data":{]}', '{"message":"x","data":"}', '{"message":"\q"}', '{"message":"x"]', '{"message":"\}';
is(post("$api/r/logs", $_)->{status}, 400, "no batch: $_") foreach '', 'x', '5', '"x"', 'null', '[', '[{"message":"a"}', '[{"message":"a"}] x', '[{"message":"a"},]', '[{"message":"a"} {"message":"b"}]',
  '{"logs":[{"message":"a"}],"more":1}', '{"logs":[{"message":"a"}]';
is(post("$api/r/logs", '[]', 'Content-Type' => $_)->{status}, 415, "type $_") foreach 'text/plain', 'application/x-www-form-urlencoded', 'application/json; charset=latin1', '';
is(post("$api/r/logs", '[]', 'Content-Encoding' => 'gzip')->{status}, 415, 'compressed');
is(post("$api/$_/logs", $good)->{status}, 422, "id $_") foreach '%ff', 'x' x 256, 'a%5Cx41';
my $id = '01a2015c-229a-756e-a43f-ae2377e0cec2';
my %dated = (message => 'x', id => $id, created_at => '2026-11-22T00:00:00Z');
is(post("$api/dup/logs", \%dated)->{status}, 201, 'a log with an id');
refused("$api/dup/logs", [ $good, \%dated ], 409, '-', '-', 'already');
is(messages_of('dup'), 'x', 'of which there is still one');
is(sql(q{SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id = 'r'}), 0, 'nothing of all that has been written');

# bodies made from good ones, and changed: whatever is taken goes to the execution in the address
my $seed = $ENV{WFLOG_TEST_SEED} || int(time() * 1000) % 1_000_000;
srand($seed);
my @pieces = ('"', '\\', '{', '}', '[', ']', ',', ':', ' ', "\n", "\r", 'a', 'execution_id', '"execution_id":"other"', '"message":', '\u0065xecution_id', "\0", "\xff");
my %seen;
foreach my $round (1 .. $ENV{WFLOG_FUZZ_REQUESTS} || 150)
{
	my $body = '[{"message":"a","data":{"x":["}",1]}},{"execution_id":"z","message":"b\\"}","level":"info"}]';
	my $is_lines = rand() < 0.4;
	$body =~ s/^\[|\]$//g, $body =~ s/\}\},\{/}}\n{/ if $is_lines;
	substr($body, int rand(1 + length $body), int rand 4) = $pieces[ int rand @pieces ] foreach 1 .. int rand 4;
	$seen{ post("$api/z/logs", $body, $is_lines ? @lines : ())->{status} }++;
}
is(join(' ', grep { !/^(200|201|400|422)$/ } keys %seen), '', 'bodies at random are taken or refused (' . join(', ', map { "$seen{$_} times $_" } sort keys %seen) . ", WFLOG_TEST_SEED=$seed)");
is(sql(q{SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id ~ 'other|^a'}), 1, 'and go nowhere else');

# ---- who may

my $alice = token('alice');
sql(q{SELECT wflog.start_execution('bobs', 'wb', user_id => 'bob')});
foreach my $case ([ "$api/e1/logs", 'her own' ], [ "$api/bobs/logs", 'somebody else\'s' ], [ "$api/nobodys/logs", 'none' ], [ '/api/v1/app/logs', 'whatever' ])
{
	foreach my $body ([ { message => 'x', execution_id => 'e1' } ], [], [ { message => 5, execution_id => 'e1' } ])
	{
		$body->[0]{execution_id} = ($case->[0] =~ m{executions/(\w+)})[0] // 'e1' if @$body;
		my $first = post($case->[0], $body, token => $alice, 'X-Request-ID' => 'same');
		is($first->{status}, 403, "who may read does not write: $case->[1]");
		is(post($case->[0], $body, token => $alice, 'Idempotency-Key' => 'k')->{status}, 403, 'nor with a key') if @$body;
	}
}
is(post($api, { execution_id => $_, workflow_id => 'wb' }, token => $alice)->{status}, 403, "nor starts $_") foreach 'bobs', 'new';
is(change($_, { status => 'PAUSED' }, $alice)->{status}, 403, "nor changes $_") foreach 'e1', 'bobs', 'none';
is(post("$api/e1/logs", $good, token => undef)->{status}, 401, 'without a token');
is(sql('SELECT count(*) FROM wflog.producer_batches'), 0, 'no key has been taken');

# ---- Idempotency-Key

my @batch = ("$api/i1/logs", [ { message => 'once' }, { message => 'twice' } ]);
my @answers = map { post(@batch, 'Idempotency-Key' => $_) } 'key-1', 'key-1', '"key-1"';
is(outcome($answers[0]), '201 execution_id=i1 count=2', 'a batch with a key');
is("$_->{status} $_->{content}", "201 $answers[0]{content}", 'again: the same answer') foreach @answers[ 1, 2 ];
is(join(' ', map { $_->{headers}{'idempotent-replayed'} // '-' } @answers), '- true true', 'which says so');
is(messages_of('i1'), 'once twice', 'and was written once');
is(post("$api/i1/logs", [ { message => 'other' } ], 'Idempotency-Key' => 'key-1')->{status}, 422, 'the key with other content');
is(post("$api/i2/logs", $batch[1], 'Idempotency-Key' => 'key-1')->{status}, 422, 'or to another execution');
is(post("$api/i1/logs", [ { message => 'thrice' } ], 'Idempotency-Key' => 'key-1', token => token('other', role => 'service_role'))->{status}, 201, 'but keys are each caller\'s own');
is(post("$api/i1/logs", [ { message => 5 } ], 'Idempotency-Key' => 'key-2')->{status}, 422, 'a batch that is refused');
is(post("$api/i1/logs", [ { message => 'well' } ], 'Idempotency-Key' => 'key-2')->{status}, 201, 'does not use its key up');
is(post("$api/i1/logs", $good, 'Idempotency-Key' => $_)->{status}, 400, 'a bad key') foreach '""', 'x' x 256, '';
is(messages_of('i1'), 'once twice thrice well', 'what is there in the end');

# the same at the same time: one writes, the others wait for it, each on a connection of the pool
my $blocker = $node->background_psql('postgres');
$blocker->query_safe('BEGIN; LOCK TABLE wflog.workflow_execution_logs');
my @sockets = map {
	my $body = $json->encode([ { message => $_ % 4 ? 'race' : 'rival' } ]);
	my $socket = $gateway->connect;
	print $socket "POST $api/i3/logs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $robot\r\nContent-Type: application/json\r\n"
	  . "Idempotency-Key: race\r\nConnection: close\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
	$socket;
} 1 .. 4;
ok(wait_for($node, 'postgres', q{SELECT count(*) > 2 FROM pg_stat_activity WHERE application_name = 'wflog serve' AND wait_event_type = 'Lock'}, 't'), 'several wait');
$blocker->query_safe('COMMIT');
$blocker->quit;
my @got = map { Gateway::statuses((Gateway::read_until($_, qr/(?!)/))[0]) } @sockets;
my $winner = messages_of('i3');
like($winner, qr/^(race|rival)$/, 'of the same key at the same time one has been written');
is(join(' ', sort @got), join(' ', sort map { ($_ % 4 ? 'race' : 'rival') eq $winner ? 201 : 422 } 1 .. 4), 'and the others hear of it, or that theirs is another');

# ---- where it comes from

my $parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
my @trace = ([ 't1', { traceparent => $parent } ], [ 't2', { 'X-Trace-ID' => 'trace-2', traceparent => $parent } ], [ 't3', { 'X-Request-ID' => 'request-3' } ], [ 't4', {} ]);
foreach my $case (@trace)
{
	post("$api/$case->[0]/logs", [ { message => 'a' }, { message => 'b', trace_id => 'mine' }, { message => 'c', span_id => 'mine' } ], %{ $case->[1] });
}
is(sql(q{SELECT execution_id || ' ' || string_agg(coalesce(trace_id, '-') || '/' || coalesce(span_id, '-'), ' ' ORDER BY message)
	FROM wflog.workflow_execution_logs WHERE execution_id ~ '^t\d$' GROUP BY execution_id ORDER BY execution_id}),
	join("\n", 't1 0af7651916cd43dd8448eb211c80319c/b7ad6b7169203331 mine/- 0af7651916cd43dd8448eb211c80319c/mine',
		't2 trace-2/- mine/- trace-2/mine', 't3 request-3/- mine/- request-3/mine', 't4 -/- mine/- -/mine'),
	'trace and span of the request are those of logs that have none; an id of the request that was given stands in for a trace');

# ---- limits, and HTTP

my $auth = "Host: x\r\nAuthorization: Bearer $robot\r\nContent-Type: application/x-ndjson\r\n";
my $post = "POST $api/h/logs HTTP/1.1\r\n$auth";
my $close = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
sub answers
{
	my ($bytes, $expected, $name) = @_;
	my ($bytes_got, $closed) = $gateway->raw($bytes);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(Gateway::statuses($bytes_got) . ($closed ? ' closed' : ''), $expected, $name);
	return $bytes_got;
}
my $line = '{"message":"h"}';
answers("${post}Content-Length: 15\r\n\r\n$line${post}Transfer-Encoding: chunked\r\n\r\n7\r\n" . substr($line, 0, 7) . "\r\n8\r\n" . substr($line, 7) . "\r\n0\r\n\r\n$close",
	'201 201 200 closed', 'requests behind a batch, and one in chunks');
answers("${post}Content-Length: 15\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n$line", '100 201 closed', 'who asks before sending');
answers("POST $api/h/logs HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\nExpect: 100-continue\r\n\r\n", '401 closed', 'is told at once that he may not');
answers("POST $api/h/logs HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n$line$close", '401 closed', 'who may not is not listened to');
answers("${post}Content-Length: 20001\r\n\r\n", '413 closed', 'a body that is too large');
answers("${post}Transfer-Encoding: chunked\r\n\r\n5000\r\n" . 'x' x 20480 . "\r\n0\r\n\r\n", '413 closed', 'also in chunks');
is(messages_of('h'), 'h h h', 'those that were taken are there');
$answer = $gateway->get("$api/h/logs", $robot, method => 'DELETE');
is("$answer->{status} $answer->{headers}{allow}", '405 GET, HEAD, POST', 'what else can be done at this address');
is($gateway->get('/api/v1/app/logs', $robot)->{headers}{allow}, 'POST', 'and at one where nothing can be read');
$answer = $gateway->get("$api/h/logs", undef, method => 'OPTIONS', Origin => 'https://app.test', 'Access-Control-Request-Method' => 'POST', 'Access-Control-Request-Headers' => 'content-type,idempotency-key');
is($answer->{status}, 204, 'a browser asks');
like("$answer->{headers}{'access-control-allow-methods'}: $answer->{headers}{'access-control-allow-headers'}", qr/\bPOST\b.*: .*Content-Type, Idempotency-Key/, 'and may');

# too much at a time: bodies that do not come to their end
sub begin_body { my $socket = $gateway->connect; print $socket "${post}Content-Length: 20000\r\n\r\n" . ' ' x 19999; return $socket }
my @slow = map { begin_body() } 1 .. 64;
my $full = '';
my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
until (($full = post("$api/h/logs", [ map { { message => 'x' x 100 } } 1 .. 20 ])->{status}) eq '503' || time() > $end)
{
	# one that came to its end beside such a batch has been refused in its place
	push @slow, begin_body();
}
is($full, 503, 'more than so much is not kept of bodies');
close $_ foreach @slow;
$end = time() + $PostgreSQL::Test::Utils::timeout_default;
$full = post("$api/h/logs", [ map { { message => 'x' x 100 } } 1 .. 20 ])->{status} until $full eq '201' || time() > $end;
is($full, 201, 'until it is less');

# ---- deadlines, and a database that goes away

my $lock = $node->background_psql('postgres');
$lock->query_safe('BEGIN; LOCK TABLE wflog.workflow_execution_logs');
my $hasty = Gateway->start('--query-timeout=1');
my %request = (method => 'POST', 'Content-Type' => 'application/json', 'Idempotency-Key' => 'late', body => '[{"message":"late"}]');
is($hasty->get("$api/late/logs", $robot, %request)->{status}, 504, 'a batch that takes too long');
my $socket = $gateway->connect;
print $socket "POST $api/late/logs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $robot\r\nContent-Type: application/json\r\nIdempotency-Key: late\r\nContent-Length: 20\r\n\r\n$request{body}";
ok(wait_for($node, 'postgres', q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'wflog serve' AND wait_event_type = 'Lock'}, 1), 'one that waits');
sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'wflog serve' AND wait_event_type = 'Lock'});
my ($lost) = Gateway::read_until($socket, qr/\r\n\r\n.*\}\n/s);
like($lost, qr/ 503 .*Retry-After.*same Idempotency-Key/s, 'when the database goes away, what to do is said');
$lock->query_safe('ROLLBACK');
$lock->quit;
my $late = 504;
$end = time() + $PostgreSQL::Test::Utils::timeout_default;
$late = $hasty->get("$api/late/logs", $robot, %request)->{status} until $late == 201 || time() > $end;
is($late, 201, 'then it is written, sooner or later');
is($gateway->get("$api/late/logs", $robot, %request)->{headers}{'idempotent-replayed'}, 'true', 'also by another gateway, once');
is(messages_of('late'), 'late', 'which is so');
sql('ALTER ROLE gateway SET default_transaction_read_only = on');
my $reading = Gateway->start();
$answer = $reading->get("$api/late/logs", $robot, %request, 'Idempotency-Key' => 'new');
is("$answer->{status} " . json_of($answer)->{detail}, '503 The database can only be read.', 'one that can only be read');
is($reading->stop, 0, 'that one ends');
is($hasty->stop, 0, 'that one ends');
is($gateway->stop, 0, 'it ends');
unlike($gateway->{run}{err}, qr/request .* failed/, 'it had no errors');

$node->stop;
done_testing();
