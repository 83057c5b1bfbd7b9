# wflog serve: streams of several executions, and of a workflow: one id for all of
# them, each with its end; who may follow; and nothing lost and nothing twice,
# whatever is killed meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Gateway;
use GatewaySetTorture;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WflogCommand;

plan skip_all => 'wflog was built without serve' unless Gateway::is_built();

my $node = Gateway::new_server('max_connections = 60');
my $gateway = Gateway->start('--heartbeat=1');
my $alice = token('alice');

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub start { my ($execution, $workflow) = @_; $workflow //= 'w'; return sql("SELECT wflog.start_execution('$execution', '$workflow', user_id => 'alice')") }
sub logs { my ($execution, @messages) = @_; sql(join ';', map { "SELECT wflog.log('$execution', '$_')" } @messages); return }
sub finished { return sql("SELECT wflog.set_execution_status('$_[0]', '" . ($_[1] // 'SUCCESS') . "')") }
sub of { return '/api/v1/app/logs/stream?' . join '&', map { "execution_id=$_" } @_ }
sub of_workflow { return "/api/v1/app/logs/stream?workflow_id=$_[0]" . ($_[1] // '') }

# An event in short: EXECUTION:MESSAGE, EXECUTION=STATUS, EXECUTION!ERROR; with a full stop if it is the last.
sub brief
{
	my ($event) = @_;
	my $data = Gateway::data($event);
	my ($sign, $word) =
	  $data->{event_type} eq 'LOG' ? (':', $data->{data}{message}) :
	  $data->{event_type} eq 'COMPLETE' ? ('=', $data->{data}{status}) : ('!', $data->{data}{error_type});
	$word =~ s/x{9000}/X/;
	return $data->{session_id} . $sign . $word . ($data->{is_final} ? '.' : '');
}
# Those of executions come in one order each, of which nothing is said to one another.
sub briefs { my ($stream) = @_; return join ' ', sort map { brief($_) } @{ $stream->{events} } }
sub has { my (@wanted) = @_; my $wanted = join ' ', sort @wanted; return sub { briefs($_[0]) eq $wanted } }
# The rest of a stream to its end, which one event is; that may be another one each time.
sub rest_ok
{
	my ($stream, $wanted, $name) = @_;
	Gateway::finish($stream);
	is(briefs($stream) =~ tr/.//dr, $wanted =~ tr/.//dr, $name);
	return is(join(' ', map { Gateway::data($_)->{is_final} ? 1 : 0 } @{ $stream->{events} }) =~ s/0 //gr, 1, 'with one end');
}

# ---- history, then live, then the ends

start($_) foreach qw(a b);
logs('a', 'a1', 'a2');
logs('b', 'b1');
my $stream = $gateway->stream(of(qw(a b a)), $alice);
is($stream->{status}, 200, 'a stream of two');
ok(Gateway::take_until($stream, has(qw(a:a1 a:a2 b:b1))), 'history of both');
logs('b', 'b2');
logs('a', 'x' x 9000);
ok(Gateway::take_until($stream, has(qw(a:a1 a:a2 a:X b:b1 b:b2))), 'then what is written, also what is too long for a notification');
finished('a', 'FAILED');
ok(Gateway::take_until($stream, sub { briefs($_[0]) =~ /a=FAILED / }), 'the end of one, which is not that of the stream');
logs('b', 'b3');
finished('b');
Gateway::finish($stream);
is(join(' ', map { brief($_) } @{ $stream->{events} }[ -2, -1 ]), 'b:b3 b=SUCCESS.', 'the other goes on, and ends it');
my @all = @{ $stream->{events} };
is(scalar(grep { !defined $_->{id} } @all), 0, 'every event has an id');
is(scalar(@all), 8, 'nothing came twice');
is(Gateway::data($all[-1])->{data}{total_logs}, 3, 'the total is that of the one');
foreach my $from (0 .. $#all)
{
	my $wanted = join ' ', sort map { brief($_) } @all[ $from + 1 .. $#all ];
	if ($wanted eq '')
	{
		is($gateway->stream(of(qw(a b)), $alice, 'Last-Event-ID' => $all[$from]{id})->{status}, 204, 'after the end there is nothing: 204');
		next;
	}
	rest_ok($gateway->stream(of(qw(b a)), $alice, 'Last-Event-ID' => $all[$from]{id}), $wanted, "from event $from on");
	rest_ok($gateway->stream("/v2/logs/stream?execution_id=a&execution_id=b&after=$all[$from]{id}", $alice), $wanted, 'and by after');
}
logs('a', 'late');
$stream = $gateway->stream(of(qw(a b)), $alice, 'Last-Event-ID' => $all[-1]{id});
Gateway::finish($stream);
like(briefs($stream), qr/^a:late a=FAILED\.?(?: b=SUCCESS\.)?$/, 'unless something came late');
is(scalar(grep { Gateway::data($_)->{is_final} } @{ $stream->{events} }), 1, 'and there is one last event');

start('c');
logs('c', 'c1');
rest_ok($gateway->stream(of(qw(a c)) . '&follow=false', $alice), 'a:X a:a1 a:a2 a:late a=FAILED c:c1 c=RUNNING', 'follow=false: what there is');

# ---- who may

sql(q{SELECT wflog.start_execution('hers', 'hers', user_id => 'bob')});
foreach my $other (qw(hers missing))
{
	$stream = $gateway->stream(of('c', $other), $alice);
	ok(Gateway::take_until($stream, has('c:c1', "$other!not_found")), "what is not to be seen fails alone: $other");
	is($gateway->stream(of($other, "${other}2"), $alice)->{status}, 404, 'if nothing is, it is 404');
	my $id = $stream->{id};
	close $stream->{socket};
	logs('c', "after-$other");
	$stream = $gateway->stream(of('c', $other), $alice, 'Last-Event-ID' => $id);
	ok(Gateway::take_until($stream, sub { briefs($_[0]) =~ /^c:after-$other$/ }), 'and is not told again') or diag(briefs($stream));
	close $stream->{socket};
	sql("DELETE FROM wflog.workflow_execution_logs WHERE message = 'after-$other'");
}
sql(q{SELECT wflog.start_execution('sold', 'sold', user_id => 'alice')});
$stream = $gateway->stream(of(qw(c sold)), $alice);
logs('sold', 's1');
ok(Gateway::take_until($stream, has(qw(c:c1 sold:s1))), 'two are followed');
sql(q{UPDATE wflog.workflows SET user_id = 'bob' WHERE id = 'sold'});
logs('sold', 's2');
ok(Gateway::take_until($stream, sub { briefs($_[0]) =~ /sold!not_found/ }), 'a change of owner ends one');
unlike(briefs($stream), qr/s2/, 'without its logs');
logs('c', 'c2');
ok(Gateway::take_until($stream, sub { briefs($_[0]) =~ /c:c2/ }), 'and not the other');
ok(Gateway::take_until($stream, sub { $_[0]{comments} > 0 }), 'there are heartbeats');
close $stream->{socket};
start('c3');
$stream = $gateway->stream(of(qw(c c3)), token('alice', exp => int(time()) + 5));
Gateway::finish($stream);
like(join(' ', map { brief($_) } @{ $stream->{events} }), qr/^c:c1 c:c2 c!token_expired c3!token_expired\.$/, 'the end of the token is that of all');

my $many = join '&', map { "execution_id=e$_" } 1 .. 51;
is($gateway->stream("/api/v1/app/logs/stream$_", $alice)->{status}, 422, "refused: $_")
  foreach '', '?execution_id=', '?workflow_id=', '?execution_id=c&workflow_id=w', "?$many", '?execution_id=c&follow=perhaps',
  map { "?execution_id=c&after=$_" } 'm1~', 'm1x', 's1.xxxx', 'w1.5', "m1~0123456789abo~0123456789abo", 'm1~0123456789abq';
is($gateway->stream('/api/v1/app/logs/stream?workflow_id=w&after=' . $all[0]{id}, $alice)->{status}, 422, 'nor that of the other kind');
is($gateway->stream(of('c'))->{status}, 401, 'not without token');

# ---- a workflow

start('old', 'flow');
finished('old');
start('f1', 'flow');
logs('f1', 'm1');
$stream = $gateway->stream(of_workflow('flow'), $alice);
ok(Gateway::take_until($stream, has('f1:m1')), 'what runs, and not what has ended');
start('f2', 'flow');
logs('f2', 'm1');
ok(Gateway::take_until($stream, has(qw(f1:m1 f2:m1))), 'what starts meanwhile');
my ($first, $second) = map { Gateway::data($_)->{data} } @{ $stream->{events} };
ok(!$first->{is_realtime} && $second->{is_realtime}, 'which is no history');
finished('f2');
ok(Gateway::take_until($stream, has(qw(f1:m1 f2:m1 f2=SUCCESS))), 'an end, which is not that of the stream');
sql(q{BEGIN; SELECT wflog.start_execution('f3', 'flow'); SELECT wflog.log('f3', 'm1'); SELECT wflog.set_execution_status('f3', 'SUCCESS'); COMMIT});
ok(Gateway::take_until($stream, has(qw(f1:m1 f2:m1 f2=SUCCESS f3:m1 f3=SUCCESS))), 'one that has ended when it is first seen');
my @flow = @{ $stream->{events} };
close $stream->{socket};
logs('f1', 'm2');
start('f4', 'flow');
logs('f4', 'm1');
finished('f4');
start('f5', 'flow');
foreach my $from (0 .. $#flow)
{
	$stream = $gateway->stream(of_workflow('flow'), $alice, 'Last-Event-ID' => $flow[$from]{id});
	my @wanted = ((map { brief($_) } @flow[ $from + 1 .. $#flow ]), qw(f1:m2 f4:m1 f4=SUCCESS));
	ok(Gateway::take_until($stream, has(@wanted)), "from event $from on, with those that came and went meanwhile") or diag(briefs($stream));
	close $stream->{socket};
}
# more ends than an id remembers one by one
$stream = $gateway->stream(of_workflow('flow'), $alice, 'Last-Event-ID' => $flow[-1]{id});
sql(join ';', map { "SELECT wflog.start_execution('short$_', 'flow'); SELECT wflog.log('short$_', 'm'); SELECT wflog.set_execution_status('short$_', 'SUCCESS')" } 1 .. 60);
ok(Gateway::take_until($stream, sub { @{ $_[0]{events} } == 123 }), 'many short ones') or diag(scalar @{ $stream->{events} });
is(scalar(grep { length($_->{id}) > 5000 } @{ $stream->{events} }), 0, 'whose ids stay short');
my %seen;
$seen{ brief($_) }++ foreach @{ $stream->{events} };
is(join(' ', grep { $seen{$_} > 1 } keys %seen), '', 'nothing twice');
close $stream->{socket};
@all = @{ $stream->{events} };
foreach my $from (40, 80, 122)
{
	my $again = $gateway->stream(of_workflow('flow'), $alice, 'Last-Event-ID' => $all[$from]{id});
	logs('f5', "then$from");
	ok(Gateway::take_until($again, sub { grep { brief($_) eq "f5:then$from" } @{ $_[0]{events} } }), "from event $from on");
	my $rest = sub { my ($stream) = @_; return grep { !/^f5:/ } map { brief($_) } @{ $stream->{events} } };
	ok(Gateway::take_until($again, sub { $rest->($_[0]) >= $#all - $from }), 'there is the rest');
	is(join(' ', sort $rest->($again)), join(' ', sort map { brief($_) } @all[ $from + 1 .. $#all ]), 'and nothing else');
	close $again->{socket};
}
$stream = $gateway->stream(of_workflow('flow', '&follow=false'), $alice);
Gateway::finish($stream);
like(briefs($stream), qr/^f1:m1 f1:m2 f1=RUNNING\.? f5:\S+ f5:\S+ f5:\S+ f5=RUNNING\.?$/, 'follow=false: what runs');
is(Gateway::data($stream->{events}[-1])->{is_final}, JSON::PP::true, 'to its end');

is($gateway->stream(of_workflow($_), $alice)->{status}, 404, "not to be seen: $_") foreach qw(hers missing);
$stream = $gateway->stream(of_workflow('flow'), $alice);
ok(Gateway::take_until($stream, sub { @{ $_[0]{events} } >= 5 }), 'it can be seen');
sql(q{UPDATE wflog.workflows SET user_id = 'bob' WHERE id = 'flow'});
logs('f1', 'sold');
Gateway::finish($stream);
like(briefs($stream), qr/ flow!not_found\.$/, 'until the owner changes');
unlike(briefs($stream), qr/sold/, 'without what comes then');
sql(join ';', map { "SELECT wflog.start_execution('r$_', 'crowd', user_id => 'alice')" } 1 .. 51);
is($gateway->stream(of_workflow('crowd'), $alice)->{status}, 422, 'not more than 50 at a time');
finished('r51');
$stream = $gateway->stream(of_workflow('crowd'), $alice);
is($stream->{status}, 200, 'but 50');
start('r52', 'crowd');
logs('r52', 'waited');
sleep 0.2;
finished('r1');
ok(Gateway::take_until($stream, has(qw(r1=SUCCESS r52:waited))), 'another one waits for a place');
sql(join ';', map { "SELECT wflog.start_execution('x$_', 'crowd'); SELECT wflog.log('x$_', 'm'); SELECT wflog.set_execution_status('x$_', 'SUCCESS')" } 1 .. 45);
finished('r2');
logs('r52', 'after');
my @crowd = ('r1=SUCCESS', 'r52:waited', 'r2=SUCCESS', 'r52:after', map { ("x$_:m", "x$_=SUCCESS") } 1 .. 45);
ok(Gateway::take_until($stream, sub { @{ $_[0]{events} } >= @crowd }), 'many wait for one place');
is(briefs($stream), join(' ', sort @crowd), 'and each has it once');
kill 'TERM', $gateway->pid;
Gateway::finish($stream);
isnt($stream->{retry}, 2000, 'when the gateway ends, clients are told when to come back');
close $stream->{socket};
is(wflog_end($gateway->{run}), 0, 'and it ends at once');

# ---- exactly once: clients that come back, while everything is killed

my $seed = $ENV{WFLOG_TEST_SEED} || int(time() * 1000) % 1_000_000;
srand($seed);
note("WFLOG_TEST_SEED=$seed");
my $torture = GatewaySetTorture->new(node => $node, gateway => [ '--pool=4', '--stream-buffer=20000' ]);
$torture->run_short($seed);

# ---- where nothing is notified, streams poll

sql(q{ALTER SYSTEM SET wflog.notify = off});
$node->reload;
$gateway = Gateway->start();
start('q1', 'quiet');
$stream = $gateway->stream(of_workflow('quiet'), $alice);
ok($gateway->says(qr/nothing is notified here/), 'nothing is notified, which is said');
logs('q1', 'a');
start('q2', 'quiet');
logs('q2', 'b');
ok(Gateway::take_until($stream, has(qw(q1:a q2:b))), 'what is written and started comes all the same');
close $stream->{socket};
is($gateway->stop, 0, 'the gateway ends');

$node->stop;
done_testing();
