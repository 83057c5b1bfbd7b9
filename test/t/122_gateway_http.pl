# wflog serve, as HTTP/1.1: requests that could be read in two ways are refused,
# connections are kept and pipelined, limits and deadlines hold.  The reader of
# requests by itself (test/gateway/parser.c), then the whole.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::RealBin/../perl";
use BadRequests;
use Gateway;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WflogCommand;

# ---- the reader of requests, under sanitizers; needs no libraries

my $root = "$FindBin::RealBin/../..";
my $cc = $ENV{CC} || 'cc';
my $dir = tempdir(CLEANUP => 1);
my @build = ($cc, '-g', '-O1', "-I$root/src/gateway", '-o', "$dir/parser", "$root/test/gateway/parser.c",
	map { "$root/src/gateway/http_$_.c" } qw(parser chunks));
SKIP:
{
	skip "no working C compiler ($cc)", 2
	  if system("@build -fsanitize=address,undefined -fno-sanitize-recover=all 2>/dev/null") != 0 && system("@build") != 0;
	my $rounds = $ENV{WFLOG_FUZZ_ROUNDS} || 30_000;
	my $seed = $ENV{WFLOG_TEST_SEED} || time() * 1000 % 1_000_000;
	my $output = `$dir/parser $rounds $seed 2>&1`;
	is($?, 0, "requests are read, or refused, as they should be (WFLOG_TEST_SEED=$seed)") or diag($output);
	like($output, qr/^$rounds rounds/, 'all rounds were run');
}
if (!Gateway::is_built())
{
	note('wflog was built without serve');
	done_testing();
	exit;
}

my $node = Gateway::new_server('max_connections = 60');
$node->safe_psql('postgres', q{SELECT wflog.start_execution('e', 'w', user_id => 'u'); SELECT wflog.log('e', 'm')});
my $gateway = Gateway->start('--max-body=1000');

# ---- what could be read in two ways: refused, and the connection closed

my $host = "Host: x\r\n";
my $post = "POST /health HTTP/1.1\r\n$host";
foreach my $case (BadRequests::all())
{
	my ($expected, $name, $bytes) = @$case;
	# a second request behind it must not be answered
	my ($got, $closed) = $gateway->raw($bytes . "GET /health HTTP/1.1\r\n$host\r\n");
	is(Gateway::statuses($got) . ($closed ? ' closed' : ''), "$expected closed", "$name: refused");
}

# ---- what is good

my $get = "GET /health HTTP/1.1\r\n$host\r\n";
my $close = "GET /health HTTP/1.1\r\n${host}Connection: close\r\n\r\n";
sub answers
{
	my ($bytes, $expected, $name) = @_;
	my ($got, $closed) = $gateway->raw($bytes);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(Gateway::statuses($got) . ($closed ? ' closed' : ''), $expected, $name);
	return $got;
}
answers("$get$get$close", '200 200 200 closed', 'three of a pipeline are answered, in order');
answers("$close$get", '200 closed', 'nothing after Connection: close');
answers("GET /health HTTP/1.0\r\n\r\n", '200 closed', 'HTTP/1.0 closes');
answers("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n$close", '200 200 closed', 'unless it is asked not to');
answers("GET http://x/health HTTP/1.1\r\n$host\r\n$close", '200 200 closed', 'an absolute address');
answers("${post}Content-Length: 5\r\n\r\nabcde$close", '405 200 closed', 'a body that nobody wants is passed over');
answers("${post}Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nabcde\r\n0\r\nX-Trailer: y\r\n\r\n$close", '405 200 closed', 'in chunks, too');
answers("GET /health HTTP/1.1\r\n${host}Content-Length: 3\r\n\r\nabc$close", '200 200 closed', 'the body of a GET');
my $got = answers("HEAD /health HTTP/1.1\r\n$host\r\n$close", '200 200 closed', 'HEAD');
like($got, qr/\r\n\r\nHTTP/, 'has no body');
answers("${post}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", '405 closed', 'who asks before is told at once');

# byte by byte
my $socket = $gateway->connect;
foreach my $byte (split //, "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
{
	syswrite($socket, $byte);
}
is(Gateway::statuses((Gateway::read_until($socket, qr/(?!)/))[0]), 200, 'a request byte by byte');

# a pipeline of many, with answers by the database in between, is answered in order
my $token = token('u');
my $page = "GET /api/v1/app/executions/e HTTP/1.1\r\n${host}Authorization: Bearer $token\r\nX-Request-ID: %d\r\n\r\n";
$got = answers(join('', map { $_ % 3 ? sprintf($page, $_) : "GET /health HTTP/1.1\r\n${host}X-Request-ID: $_\r\n\r\n" } 1 .. 200) . $close,
	join(' ', (200) x 201, 'closed'), 'a pipeline of 200');
is(join(' ', $got =~ /^X-Request-ID: (\d{1,3})\r$/mg), join(' ', 1 .. 200), 'in order');

# ---- addresses, queries, tokens and cursors at random: each is answered, none by an error of ours

my $storm = $ENV{WFLOG_FUZZ_REQUESTS} || 400;
my $storm_seed = $ENV{WFLOG_TEST_SEED} || int(time() * 1000) % 1_000_000;
srand($storm_seed);
my ($cursor) = (Gateway::read_until($gateway->stream('/api/v1/app/executions/e/logs/stream?follow=false', $token)->{socket}, qr/(?!)/))[0] =~ /^id: (s1\S+)/m;
$cursor //= 's1.';
my @names = qw(limit offset level min_level start_time end_time category event_type node_id source attempt milestones_only
  min_priority search after before from_end detail with_total workflow_id status since until bucket follow access_token x);
my @values = ('', 1, 0, -1, '1e9', 'error', 'DEBUG', 'true', 'x', '2026-01-01', '2026-01-01T00:00:00Z', 'infinity', '-infinity', 'now', 'technical',
  'log', '1 day', '-1 s', '%00', '%ff', '%', '%2', '%zz', '%F0%9F%98%80', '%ED%A0%80', "'", '"', '%5C', '%0d%0aX:y', 'a' x 300, $cursor, $token);
my @paths = ('/api/v1/app/executions/%s/logs', '/v2/workflows/executions/%s/logs', '/api/v1/app/executions/%s/logs/summary', '/api/v1/app/executions/%s',
  '/api/v1/app/executions', '/api/v1/app/executions/recent_logs', '/api/v1/app/workflows/%s/logs', '/api/v1/app/workflows/%s/summary',
  '/api/v1/app/executions/%s/logs/stream');
sub one { return $_[ int rand @_ ] }
sub bent
{
	my ($text) = @_;
	return $text if rand() < 0.7;
	substr($text, int rand(1 + length $text), int rand 3) = one('', chr(33 + int rand 94), 'A', '.', '=', '_') foreach 1 .. 1 + int rand 3;
	return $text =~ s/\s//gr;
}
my @odd;
foreach my $i (1 .. $storm)
{
	my $path = sprintf one(@paths), bent(one('e', 'w', '', '%00', '%2F', '..', 'a' x 256, '%ff', "e'"));
	my $query = join '&', map { one(@names) . one('=', '=', '=', '') . bent(one(@values)) } 1 .. int rand 5;
	# a stream that follows would not end
	$query .= '&follow=false' if $path =~ /stream/;
	my $bytes = "GET $path" . (length $query ? "?$query" : '') . " HTTP/1.1\r\n${host}Connection: close\r\n";
	$bytes .= 'Authorization: ' . one('Bearer ', 'Bearer ', 'Bearer ', 'Bearer ', 'Basic ', '') . bent($token) . "\r\n" if rand() < 0.9;
	$bytes .= 'Last-Event-ID: ' . one('', 'e.', 'e.e.') . bent($cursor) . "\r\n" if rand() < 0.5;
	my ($answer) = $gateway->raw("$bytes\r\n");
	push @odd, "$path?$query: " . ($answer =~ /\A(.*)/)[0] unless $answer =~ m{\AHTTP/1\.1 (200|204|304|400|401|404|405|410|422) };
}
is(join("\n", @odd), '', "every request is answered (WFLOG_TEST_SEED=$storm_seed)");
is($gateway->get('/health')->{status}, 200, 'and the gateway lives');
unlike($gateway->said, qr/stream of .* failed|request .* failed/, 'without an error of its own');

# ---- deadlines

my $patient = $gateway;
$gateway = Gateway->start('--head-timeout=1', '--body-timeout=1');
foreach my $case ([ 'a head that does not end', "GET /health HTTP/1.1\r\n$host", 408 ], [ 'a body that does not come', "${post}Content-Length: 5\r\n\r\nab", 408 ], [ 'who says nothing', '', '' ])
{
	my ($bytes, $closed) = $gateway->raw($case->[1]);
	is(Gateway::statuses($bytes), $case->[2], "$case->[0]: $case->[2]");
	ok($closed, 'and closed');
}
# bytes that trickle do not move the deadline
$socket = $gateway->connect;
my $begun = time();
print $socket "GET /health HTTP/1.1\r\n$host";
my ($trickled, $over) = ('', 0);
until ($over || time() > $begun + $PostgreSQL::Test::Utils::timeout_default)
{
	local $SIG{PIPE} = 'IGNORE';
	syswrite($socket, "X: y\r\n");
	my ($more, $closed) = Gateway::read_until($socket, qr/./s, 0.2);
	$trickled .= $more;
	$over = $closed || length $more;
}
is(Gateway::statuses($trickled), 408, 'bytes that trickle do not move the deadline');
is($gateway->stop, 0, 'that one ends');
$gateway = $patient;

# ---- a client that does not read its answers is not read from, either

$socket = $gateway->connect;
$socket->blocking(0);
my $sent = 0;
my $idle = 0;
while ($sent < 50_000_000 && $idle < 20)
{
	my $wrote = syswrite($socket, $get x 1000);
	if ($wrote) { $sent += $wrote; $idle = 0 }
	else { $idle++; sleep 0.05 }
}
cmp_ok($sent, '<', 50_000_000, 'who sends and does not read is not read from');
my ($kilobytes) = slurp_file('/proc/' . $gateway->pid . '/status') =~ /^VmRSS:\s+(\d+)/m;
cmp_ok($kilobytes, '<', 60_000, "and takes little memory ($kilobytes kB in all)");
close $socket;
is($gateway->get('/health')->{status}, 200, 'others are served');
is($gateway->stop, 0, 'it ends');

# ---- caps

$gateway = Gateway->start('--max-per-address=5');
my @open = map { $gateway->connect } 1 .. 5;
print { $open[4] } $get;
like((Gateway::read_until($open[4], qr/\r\n\r\n/))[0], qr/ 200 /, 'five connections of an address');
is(Gateway::statuses(($gateway->raw($get))[0]), 503, 'the sixth is refused');
close pop @open;
my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
my $status = 503;
while ($status != 200 && time() < $end)
{
	$status = Gateway::statuses(($gateway->raw($close))[0]) || 503;
}
is($status, 200, 'until one is closed');
is($gateway->stop, 0, 'it ends');

# file descriptors run out: it pauses, and goes on when there are some
my $few = Gateway->start('--max-per-address=10000', '--pool=2');
my $pid = $few->pid;
SKIP:
{
	skip 'no prlimit', 3 if system("prlimit --pid $pid --nofile=40:40 >/dev/null 2>&1") != 0;
	my @many = map { $few->connect } 1 .. 60;
	ok($few->says(qr/could not accept a connection: Too many open files/), 'file descriptors have run out');
	my ($before) = slurp_file("/proc/$pid/stat") =~ /\) \S+(?: \S+){10} (\d+ \d+)/;
	sleep 1;
	my ($after) = slurp_file("/proc/$pid/stat") =~ /\) \S+(?: \S+){10} (\d+ \d+)/;
	my @spent = map { my ($user, $system) = split / /; $user + $system } $before, $after;
	cmp_ok($spent[1] - $spent[0], '<', 30, 'it does not spin meanwhile');
	close $_ foreach @many;
	is($few->get('/health')->{status}, 200, 'it goes on');
}
is($few->stop, 0, 'it ends');

$node->stop;
done_testing();
