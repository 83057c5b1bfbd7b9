# wflog serve, streams: history and live in one, resumed by the id of an event;
# the end; who may follow; slow and vanished clients; and nothing lost and nothing
# twice, whatever is killed meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Gateway;
use GatewayTorture;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WflogCommand;

plan skip_all => 'wflog was built without serve' unless Gateway::is_built();

my $node = Gateway::new_server('max_connections = 60');
my $gateway = Gateway->start('--heartbeat=1', '--write-timeout=5', '--stream-buffer=100000');
my $alice = token('alice');

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub start { return sql("SELECT wflog.start_execution('$_[0]', 'w', user_id => 'alice')") }
sub logs { my ($execution, @messages) = @_; sql("SELECT wflog.log('$execution', '$_')") foreach @messages; return }
sub finished { return sql("SELECT wflog.set_execution_status('$_[0]', '" . ($_[1] // 'SUCCESS') . "')") }
sub path { return "/api/v1/app/executions/$_[0]/logs/stream" . ($_[1] // '') }
sub has { my ($wanted) = @_; return sub { Gateway::messages($_[0]) eq $wanted } }
sub figure { my ($name) = @_; return ($gateway->get('/metrics')->{content} =~ /^wflog_$name (\S+)$/m)[0] }

# ---- history, then live, then the end

start('e1');
logs('e1', 'a', 'b');
my $stream = $gateway->stream(path('e1'), $alice);
is($stream->{status}, 200, 'a stream');
like($stream->{head}, qr{^Content-Type: text/event-stream}m, 'of events');
like($stream->{head}, qr{^Cache-Control: no-cache, no-transform\r$}m, 'that no proxy may change');
like($stream->{head}, qr{^X-Accel-Buffering: no\r$}m, 'or keep');
ok(Gateway::take_until($stream, has('a b')), 'history comes first');
is($stream->{retry}, 2000, 'with how soon to come back');
logs('e1', 'c');
sql(q{SELECT wflog.log('e1', 'd'), wflog.log('e1', 'e')});
ok(Gateway::take_until($stream, has('a b c d e')), 'then what is written');
sql("SELECT wflog.log('e1', repeat('f', 9000))");
ok(Gateway::take_until($stream, sub { Gateway::messages($_[0]) =~ /e f{9000}$/ }), 'also what is too long for a notification');
my $second = $gateway->stream("/v2/executions/e1/logs/stream?access_token=$alice");
ok(Gateway::take_until($second, sub { @{ $_[0]{events} } == 6 }), 'another one, with its token in the address, as EventSource does it');
finished('e1', 'FAILED');
like(Gateway::finish($stream), qr/^a b c d e f{9000} \(COMPLETE FAILED\)$/, 'the end');
like(Gateway::finish($second), qr/f \(COMPLETE FAILED\)$/, 'of both');

my ($first, $live, $last) = @{ $stream->{events} }[ 0, 2, -1 ];
is(join(' ', sort keys %{ $first->{data} }), 'data event_type is_final session_id timestamp', 'an event has the fields of EventData');
is($first->{event}, 'message', 'and is a message');
is($first->{data}{session_id}, 'e1', 'of the execution');
ok(!$first->{data}{is_final}, 'not the last');
like($first->{data}{timestamp}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/, 'with a time');
is(join(' ', grep { !exists $first->{data}{data}{$_} } qw(id timestamp event_type message level data)), '', 'its log has the fields of LogData');
ok(!$first->{data}{data}{is_realtime} && $live->{data}{data}{is_realtime}, 'and says whether it is live');
is(join(' ', sort keys %{ $last->{data}{data} }), 'execution_id message status total_logs', 'the end has the fields of CompletionData');
is($last->{data}{data}{total_logs}, 6, 'with the exact total');
ok($last->{data}{is_final}, 'and is the last');
is(scalar(grep { !defined $_->{id} } @{ $stream->{events} }), 0, 'every event has an id');

# ---- to go on from an event

my @ids = map { $_->{id} } @{ $stream->{events} };
foreach my $from (0 .. 5)
{
	my $rest = join ' ', (qw(b c d e), 'f' x 9000)[ $from .. 4 ], '(COMPLETE FAILED)';
	$rest =~ s/^ //;
	is(Gateway::finish($gateway->stream(path('e1'), $alice, 'Last-Event-ID' => $ids[$from])), $rest, "from event $from on, by Last-Event-ID");
	is(Gateway::finish($gateway->stream(path('e1', "?after=$ids[$from]"), $alice)), $rest, 'and by after');
}
is(Gateway::finish($gateway->stream(path('e1', "?after=$ids[0]"), $alice, 'Last-Event-ID' => $ids[4])), 'f' x 9000 . ' (COMPLETE FAILED)',
	'the header counts, with which EventSource comes back');
is($gateway->stream(path('e1'), $alice, 'Last-Event-ID' => $ids[-1])->{status}, 204, 'after the end there is nothing: 204');
sql("SELECT wflog.log('e1', 'late')");
$stream = $gateway->stream(path('e1'), $alice, 'Last-Event-ID' => $ids[-1]);
is(Gateway::finish($stream), 'late (COMPLETE FAILED)', 'unless something came late');
is($stream->{events}[-1]{data}{data}{total_logs}, 7, 'which is counted');
my $cursor = json_of($gateway->get('/api/v1/app/executions/e1/logs?limit=3', $alice))->{pagination}{stream_cursor};
is(Gateway::finish($gateway->stream(path('e1', "?after=$cursor"), $alice)), '(COMPLETE FAILED)', 'from a page to the stream');
start('none');
finished('none');
$stream = $gateway->stream(path('none'), $alice);
is(Gateway::finish($stream), '(COMPLETE SUCCESS)', 'one without logs');
is($gateway->stream(path('none'), $alice, 'Last-Event-ID' => $stream->{id})->{status}, 204, 'ends, too');

# ---- without following

start('running');
logs('running', 'one');
is(Gateway::finish($gateway->stream(path('running', '?follow=false'), $alice)), 'one (COMPLETE RUNNING)', 'follow=false: what there is');
is($gateway->stream(path('running', '?follow=maybe'), $alice)->{status}, 422, 'or nothing else');

# ---- who may

is($gateway->stream(path('running'), token('bob'))->{status}, 404, 'not another');
is($gateway->stream(path('running'))->{status}, 401, 'not without token');
is($gateway->stream(path('missing'), $alice)->{status}, 404, 'not what there is not');
is($gateway->stream(path('running', '?after=s1.xxxx'), $alice)->{status}, 422, 'not from a bad cursor');
is($gateway->stream(path('running', "?after=$ids[0]"), $alice)->{status}, 422, 'nor from that of another execution');
$stream = $gateway->stream(path('running'), token('alice', exp => int(time()) + 4));
is(Gateway::finish($stream), 'one (ERROR token_expired)', 'not longer than the token');
ok($stream->{events}[-1]{data}{is_final}, 'which is final');

sql(q{SELECT wflog.start_execution('sold', 'sold', user_id => 'alice')});
logs('sold', 'a');
my $owner = $gateway->stream(path('sold'), $alice);
my $service = $gateway->stream(path('sold'), token('s', role => 'service_role'));
ok(Gateway::take_until($_, has('a')), 'two follow') foreach $owner, $service;
sql(q{UPDATE wflog.workflows SET user_id = 'bob' WHERE id = 'sold'});
logs('sold', 'b');
is(Gateway::finish($owner) =~ s/ b / /r, 'a (ERROR not_found)', 'a change of owner ends the stream of the old one');
ok(Gateway::take_until($service, has('a b')), 'and no other');
logs('sold', 'c');
ok(Gateway::take_until($service, has('a b c')), 'which goes on');
close $service->{socket};

# ---- quiet ones are kept alive; clients that leave are noticed

$stream = $gateway->stream(path('running'), $alice);
ok(Gateway::take_until($stream, sub { $_[0]{comments} >= 2 }), 'heartbeats');
is(Gateway::messages($stream), 'one', 'which are no events');
close $stream->{socket};
my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
sleep 0.05 while figure('streams') > 0 && time() < $end;
is(figure('streams'), 0, 'who has left is no longer served');
is(figure('executions_followed'), 0, 'and nothing is left of it');

# ---- clients that take nothing, beside one that does

start('flood');
my @deaf = map { $gateway->stream(path('flood'), $alice) } 1 .. 20;
my $reader = $gateway->stream(path('flood'), $alice);
my ($before) = slurp_file('/proc/' . $gateway->pid . '/status') =~ /^VmRSS:\s+(\d+)/m;
my $flood = PostgreSQL::Test::Utils::tempdir() . '/flood.sql';
append_to_file($flood, "SELECT count(wflog.log('flood', repeat('x', 5000) || i)) FROM generate_series(1, 200) i\n");
my $flooding = IPC::Run::start([ 'pgbench', '-n', '-t', 20, '-f', $flood, 'postgres' ], '<', \'', '>', \my $out, '2>', \my $err);
ok(Gateway::take_until($reader, sub { @{ $_[0]{events} } == 4000 }), 'who reads gets everything');
$flooding->finish;
$end = time() + $PostgreSQL::Test::Utils::timeout_default;
sleep 0.1 while figure('streams') > 1 && time() < $end;
is(figure('streams'), 1, 'who does not is disconnected');
my ($after) = slurp_file('/proc/' . $gateway->pid . '/status') =~ /^VmHWM:\s+(\d+)/m;
cmp_ok($after - $before, '<', 100_000, 'and has cost little: ' . ($after - $before) . ' kB for 20, of 20 MB each');
# one of them comes back from where it was
my $back = shift @deaf;
Gateway::take($back, 0) until $back->{closed};
$stream = $gateway->stream(path('flood'), $alice, $back->{id} ? ('Last-Event-ID' => $back->{id}) : ());
my $missing = 4000 - @{ $back->{events} };
ok(Gateway::take_until($stream, sub { @{ $_[0]{events} } == $missing }), 'it resumes');
my @all = map { Gateway::log_id($_) } @{ $back->{events} }, @{ $stream->{events} };
is(join(' ', sort @all), sql(q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM wflog.workflow_execution_logs WHERE execution_id = 'flood'}),
	'with nothing lost and nothing twice');
close $_->{socket} foreach $reader, $stream, @deaf;

# ---- the gateway ends: streams are told to come back, and lose nothing

start('moving');
logs('moving', 'a');
$stream = $gateway->stream(path('moving'), $alice);
ok(Gateway::take_until($stream, has('a')), 'a stream');
kill 'TERM', $gateway->pid;
is(Gateway::finish($stream), 'a', 'ends with the gateway, without an end');
isnt($stream->{retry}, 2000, 'and is told when to come back');
is(wflog_end($gateway->{run}), 0, 'the gateway ends at once');
logs('moving', 'b');

# ---- exactly once: clients that come back, while everything is killed

$gateway = Gateway->start("port=$gateway->{port}");
is(Gateway::messages(do { my $s = $gateway->stream(path('moving'), $alice, 'Last-Event-ID' => $stream->{id});
	Gateway::take_until($s, has('b')); close $s->{socket}; $s }), 'b', 'another gateway goes on from there');

is($gateway->stop, 0, 'it ends');
my $seed = $ENV{WFLOG_TEST_SEED} || int(time() * 1000) % 1_000_000;
srand($seed);
note("WFLOG_TEST_SEED=$seed");
my $torture = GatewayTorture->new(node => $node, prefix => 'busy', gateway => [ '--pool=4', '--stream-buffer=20000' ]);
$torture->run_short($seed);
note($torture->totals);

# ---- where nothing is notified, streams poll

sql(q{ALTER SYSTEM SET wflog.notify = off});
$node->reload;
$gateway = Gateway->start();
start('quiet');
logs('quiet', 'a');
$stream = $gateway->stream(path('quiet'), $alice);
ok($gateway->says(qr/nothing is notified here/), 'nothing is notified, which is said');
ok(Gateway::take_until($stream, has('a')), 'history');
logs('quiet', 'b');
ok(Gateway::take_until($stream, has('a b')), 'what is written comes all the same');
finished('quiet');
is(Gateway::finish($stream), 'a b (COMPLETE SUCCESS)', 'and the end');
is($gateway->stop, 0, 'the gateway ends');

$node->stop;
done_testing();
