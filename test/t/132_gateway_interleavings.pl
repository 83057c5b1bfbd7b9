# wflog serve, things that come between one step and the next: retention, kills,
# removals and changes of owner, the extension made anew, a database that is away, and
# more clients than connections.  What takes its time goes on behind the rest.

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
use WflogNode qw(wait_for);

plan skip_all => 'wflog was built without serve' unless Gateway::is_built();

my $node = Gateway::new_server('max_connections = 80', 'max_prepared_transactions = 300');
my $alice = token('alice');
my $robot = token('robot', role => 'service_role');
my $api = '/api/v1/app/executions';
my $json = JSON::PP->new->canonical->utf8;

sub sql { my ($sql, $database) = @_; return $node->safe_psql($database // 'postgres', $sql) }
sub start { my ($database, @executions) = @_; return sql(join(';', map { "SELECT wflog.start_execution('$_', 'w-$_', user_id => 'alice')" } @executions), $database) }
sub logs { my ($message, @executions) = @_; return sql(join ';', map { "SELECT wflog.log('$_', '$message')" } @executions) }
sub ended { return sql("SELECT wflog.set_execution_status('$_[0]', 'SUCCESS')") }
sub path { return "$api/$_[0]/logs/stream" }
sub of { return '/api/v1/app/logs/stream?' . join '&', map { "execution_id=$_" } @_ }
sub has { my ($wanted) = @_; return sub { Gateway::messages($_[0]) eq $wanted } }
sub figure { my ($gateway, $name) = @_; return ($gateway->get('/metrics')->{content} =~ /^wflog_\Q$name\E (\S+)$/m)[0] }
sub written { return sql("SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id = '$_[0]'") }

# Wait for the head of a stream's answer, and take what came with it; its status.
sub begun
{
	my ($stream) = @_;
	($stream->{buffer}) = Gateway::read_until($stream->{socket}, qr/\r\n\r\n/);
	Gateway::take_head($stream);
	Gateway::take($stream, 0);
	return $stream->{status};
}

# The bytes of a request; a body is JSON, and complete.
sub request
{
	my ($method, $path, $token, $body, @headers) = @_;
	my $text = defined $body ? $json->encode($body) : '';
	return join "\r\n", "$method $path HTTP/1.1", 'Host: x', "Authorization: Bearer $token", @headers,
	  defined $body ? ('Content-Type: application/json', 'Content-Length: ' . length $text) : (), '', $text;
}

# Send it, and leave the answer to be read.
sub sent { my ($gateway, @request) = @_; my $socket = $gateway->connect; print $socket request(@request); return $socket }
sub answer_of { my ($socket) = @_; my ($bytes) = Gateway::read_until($socket, qr/(?!)/); return $bytes }
sub post { my ($gateway, $execution, $body, $key) = @_; return $gateway->get("$api/$execution/logs", $robot, method => 'POST', 'Content-Type' => 'application/json', 'Idempotency-Key' => $key, body => $json->encode($body)) }
sub replayed { my ($answer) = @_; return join ' ', $answer->{status}, $answer->{headers}{'idempotent-replayed'} // 'new' }

# A session that holds up whoever uses these tables, until it is told to end.
sub lock_tables
{
	my ($database, @tables) = @_;
	my $session = $node->background_psql($database);
	# it may have to wait for long
	$session->set_query_timer_restart();
	$session->query_safe('BEGIN; LOCK TABLE ' . join ', ', map { "wflog.$_" } @tables);
	return $session;
}
sub unlock { my ($session) = @_; $session->query_safe('ROLLBACK'); return $session->quit }
sub gateway_waits { return wait_for($node, 'postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'postgres' AND usename = 'gateway' AND wait_event_type = 'Lock'}, 't') }

# ---- behind the rest: the extension is made anew under live streams

sql("CREATE DATABASE $_") foreach 'renewed', 'crowded';
sql('CREATE EXTENSION wflog', $_) foreach 'renewed', 'crowded';
start('renewed', 'r1', 'r2');
sql(q{SELECT wflog.log('r1', 'a')}, 'renewed');
my $renewed = Gateway->start('-d', 'renewed');
my @lost = map { $renewed->stream($_, $alice) } path('r1'), path('r2'), of('r1', 'r2');
ok(Gateway::take_until($lost[0], has('a')), 'a stream');
sql('DROP EXTENSION wflog', 'renewed');
my $answer = $renewed->get("$api/r1", $alice);
is("$answer->{status} " . json_of($answer)->{detail}, '503 There is no wflog in the database.', 'the extension is gone');
my $early = Gateway::begin_stream($renewed, path('r1'), $alice);
sql('CREATE EXTENSION wflog', 'renewed');
is($renewed->get("$api/r1", $alice)->{status}, 404, 'it is back, without what there was');

# ---- behind the rest: more clients than connections, of which none comes free

start('crowded', 'c');
sql(q{SELECT wflog.log('c', 'a')}, 'crowded');
my $crowded = Gateway->start('-d', 'crowded', '--pool=2', '--query-timeout=600', '--logs-timeout=600');
my $blocker = lock_tables('crowded', 'workflow_executions');
my @asking = map { sent($crowded, 'GET', "$api/c", $alice, undef, 'Connection: close') } 1 .. 12;
my @waiting = map { Gateway::begin_stream($crowded, path('c'), $alice) } 1 .. 8;
close sent($crowded, 'GET', "$api/c", $alice) foreach 1 .. 5;

# ---- streams of executions without logs are not made to read again by the first batch

sub reads { my ($gateway) = @_; return figure($gateway, 'database_duration_seconds_count{for="stream"}') }
my @gateways;
# whose worker begins later would be told to read
wait_for($node, 'postgres', q{SELECT count(*) FROM pg_stat_activity WHERE datname = 'postgres' AND backend_type = 'wflog worker' AND query LIKE 'notifying%'}, 1);
foreach my $round (1, 2)
{
	my @quiet = map { "quiet$round-$_" } 1 .. 10;
	start('postgres', @quiet);
	push @gateways, Gateway->start();
	wait_until('it listens', sub { figure($gateways[-1], 'listening') && !figure($gateways[-1], 'polling') });
	my @streams = map { $gateways[-1]->stream(path($_), $alice) } @quiet;
	is(reads($gateways[-1]), 10, 'ten streams have read');
	# what is told first is of none of them
	start('postgres', "other$round");
	foreach my $i (0 .. $#quiet)
	{
		logs('a', $quiet[$i]);
		ok(Gateway::take_until($streams[$i], has('a')), "$quiet[$i] has its first log");
	}
	is(reads($gateways[-1]), 10, 'and nobody has had to read again');
	close $_->{socket} foreach @streams;
}
my ($first, $second) = @gateways;

# ---- a batch is sent again while retention forgets its key

# not by the run of maintenance that comes at the beginning
wait_for($node, 'postgres', 'SELECT maintenance_ended IS NOT NULL FROM wflog.stat', 't');
my $old = "DELETE FROM wflog.producer_batches WHERE created_at < now() - interval '30 days'";
my $aged = q{UPDATE wflog.producer_batches SET created_at = now() - interval '40 days'};
my @batch = ({ message => 'a' }, { message => 'b' });
my $given = post($first, 'k1', \@batch, 'key');
is(replayed($given), '201 new', 'a batch');
sql($aged);
my $retention = $node->background_psql('postgres');
$retention->query_safe("BEGIN; $old");
my $socket = sent($first, 'POST', "$api/k1/logs", $robot, \@batch, 'Idempotency-Key: key', 'Connection: close');
ok(gateway_waits(), 'again, while it is being forgotten: that is waited for');
$retention->query_safe('ROLLBACK');
like(answer_of($socket), qr/ 201 .*Idempotent-Replayed: true.*\Q$given->{content}\E/s, 'it has not been: the first answer');
is(written('k1'), 2, 'and nothing is written');
$retention->query_safe("BEGIN; $old");
$socket = sent($second, 'POST', "$api/k1/logs", $robot, \@batch, 'Idempotency-Key: key', 'Connection: close');
ok(gateway_waits(), 'the same');
$retention->query_safe('COMMIT');
my $bytes = answer_of($socket);
like($bytes, qr/ 201 .*"count":2/s, 'it has been: written anew');
unlike($bytes, qr/Replayed/, 'and not said to have been there');
is(written('k1'), 4, 'as a whole');

# between the look for the key and the look at what it was used for
sql(q{CREATE FUNCTION public.pause() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END';
	CREATE TRIGGER pause AFTER INSERT ON wflog.producer_batches FOR EACH STATEMENT EXECUTE FUNCTION public.pause()});
sql($aged);
$retention->query_safe('SELECT pg_advisory_lock(1)');
$socket = sent($first, 'POST', "$api/k1/logs", $robot, \@batch, 'Idempotency-Key: key', 'Connection: close');
ok(gateway_waits(), 'the key has been found');
$retention->query_safe("$old; SELECT pg_advisory_unlock(1)");
$retention->quit;
$bytes = answer_of($socket);
like($bytes, qr/ 503 .*Retry-After: 1\r\n.*has just been forgotten/s, 'and is forgotten then: try again');
is(written('k1'), 4, 'nothing has been written');
is(replayed(post($first, 'k1', \@batch, 'key')), '201 new', 'which it is now');
is(written('k1'), 6, 'as a whole');
sql('DROP TRIGGER pause ON wflog.producer_batches; DROP FUNCTION public.pause()');

# it forgets one of the two rows before the other
sql('DELETE FROM wflog.producer_batches WHERE sequence = 0');
is(replayed(post($first, 'k1', \@batch, 'key')), '201 true', 'the key forgotten, not what was written under it: the first answer');
is(written('k1'), 6, 'nothing is written');
sql('DELETE FROM wflog.producer_batches WHERE sequence <> 0');
is(replayed(post($first, 'k1', \@batch, 'key')), '201 new', 'the other way round: written anew, and said so');
is(written('k1'), 8, 'as a whole');
is(post($first, 'k1', [ $batch[0] ], 'key')->{status}, 422, 'the key is still that of this batch');

# ---- the gateway is killed between commit and answer

my $lock = lock_tables('postgres', 'workflow_execution_logs');
my $victim = Gateway->start();
$socket = sent($victim, 'POST', "$api/k2/logs", $robot, \@batch, 'Idempotency-Key: other');
ok(gateway_waits(), 'a batch is about to be written');
kill 'STOP', $victim->pid;
unlock($lock);
ok(wait_for($node, 'postgres', q{SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id = 'k2'}, 2), 'it is written');
is($victim->stop('KILL'), 137, 'and the gateway killed, before it could say so');
is(answer_of($socket), '', 'no answer');
is(replayed(post($first, 'k2', \@batch, 'other')), '201 true', 'another gateway has it');
is(written('k2'), 2, 'once');

# ---- it is killed between the use of a ticket and the stream's head

start('postgres', 't');
logs('a', 't');
$victim = Gateway->start();
my @tickets = map { json_of($victim->get('/api/v1/app/stream-tickets', $alice, method => 'POST', body => ''))->{ticket} } 1, 2;
$lock = lock_tables('postgres', 'workflow_executions');
my $stream = Gateway::begin_stream($victim, path('t') . "?ticket=$tickets[0]");
ok(gateway_waits(), 'a stream is about to begin');
is($victim->stop('KILL'), 137, 'and the gateway is killed');
is(Gateway::finish($stream) . $stream->{buffer}, '', 'nothing has come');
unlock($lock);
$victim = Gateway->start("port=$victim->{port}");
is($victim->stream(path('t') . "?ticket=$_")->{status}, 401, 'its tickets are gone with it, used or not') foreach @tickets;
my $ticket = json_of($victim->get('/api/v1/app/stream-tickets', $alice, method => 'POST', body => ''))->{ticket};
$stream = $victim->stream(path('t') . "?ticket=$ticket");
ok(Gateway::take_until($stream, has('a')), 'with another one the stream begins');
close $stream->{socket};
is($victim->stop, 0, 'it ends');

# ---- an id that has become too large

my @large = map { "large$_" } 1 .. 50;
start('postgres', @large);
sql(join ';', map { "BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'open$_'" } 1 .. 165);
logs('a', @large);
$stream = $first->stream(of(@large), $alice);
Gateway::finish($stream);
my @errors = grep { $_->{event_type} eq 'ERROR' } map { Gateway::data($_) } @{ $stream->{events} };
is(join(' ', map { $_->{data}{error_type} } @errors), join(' ', ('too_large') x 50), 'many transactions are open, and the place in all executions is too long for an id');
is(scalar(grep { $_->{is_final} } @errors), 1, 'of which one is the last event');
note('the id has ' . length($stream->{id}) . ' bytes');
cmp_ok(length $stream->{id}, '>', 12_000, 'as is documented');
logs('b', $large[0]);
$stream = $first->stream(of(@large[ 0 .. 9 ]), $alice, 'Last-Event-ID' => $stream->{id});
ok(Gateway::take_until($stream, has('b')), 'with fewer executions it goes on from there');
close $stream->{socket};
sql(join ';', map { "ROLLBACK PREPARED 'open$_'" } 1 .. 165);

# ---- of several executions, some are lost on the way

start('postgres', map { "m$_" } 1 .. 5);
logs('a', map { "m$_" } 1 .. 5);
my %came;
sub came
{
	my ($stream) = @_;
	%came = ();
	foreach my $data (map { Gateway::data($_) } @{ $stream->{events} })
	{
		push @{ $came{ $data->{session_id} } }, $data->{data}{message} // ();
		push @{ $came{ $data->{session_id} } }, $data->{data}{error_type} // (), $data->{is_final} ? 'final' : () if $data->{event_type} ne 'LOG';
	}
	return join '; ', map { "$_: @{ $came{$_} }" } sort keys %came;
}
sub wanted { my ($wanted) = @_; return sub { came($_[0]) eq $wanted } }
$stream = $first->stream(of(map { "m$_" } 1 .. 5), $alice);
ok(Gateway::take_until($stream, wanted('m1: a; m2: a; m3: a; m4: a; m5: a')), 'five are followed');
sql(q{DELETE FROM wflog.workflow_executions WHERE execution_id = 'm1'; UPDATE wflog.workflows SET user_id = 'bob' WHERE id = 'w-m2'});
ok(Gateway::take_until($stream, wanted("m1: a not_found; m2: a not_found; m3: a; m4: a; m5: a")), 'one is deleted, one becomes another\'s') or diag(came($stream));
logs('b', map { "m$_" } 2 .. 5);
ok(Gateway::take_until($stream, wanted("m1: a not_found; m2: a not_found; m3: a b; m4: a b; m5: a b")), 'the others go on') or diag(came($stream));
sql('REVOKE EXECUTE ON FUNCTION wflog.execution(varchar) FROM wflog_gateway, wflog_reader');
ended('m3');
ok(Gateway::take_until($stream, wanted("m1: a not_found; m2: a not_found; m3: a b forbidden; m4: a b; m5: a b")), 'one is no longer allowed') or diag(came($stream));
sql('GRANT EXECUTE ON FUNCTION wflog.execution(varchar) TO wflog_gateway, wflog_reader');
my $id = $stream->{id};
close $stream->{socket};
logs('c', 'm4');
sql(q{UPDATE wflog.workflows SET user_id = 'alice' WHERE id = 'w-m2'});
$stream = $first->stream(of(map { "m$_" } 1 .. 5), $alice, 'Last-Event-ID' => $id);
ok(Gateway::take_until($stream, wanted('m4: c')), 'who comes back is not told of them again') or diag(came($stream));
sql(q{DELETE FROM wflog.workflow_executions WHERE execution_id IN ('m4', 'm5')});
Gateway::finish($stream);
like(came($stream), qr/^m4: c not_found(?: final)?; m5: not_found(?: final)?$/, 'the last ones are deleted at once');
is(scalar(grep { Gateway::data($_)->{is_final} } @{ $stream->{events} }), 1, 'and there is one end');

# ---- a slow body, while the database is away

sql('CREATE ROLE fragile LOGIN; GRANT wflog_gateway TO fragile');
my $fragile = Gateway->start('-U', 'fragile');
wait_until('it has its database', sub { figure($fragile, 'database_up') && figure($fragile, 'listening') });
my $slow = request('POST', "$api/slow/logs", $robot, \@batch, 'Idempotency-Key: slow', 'Expect: 100-continue');
$slow =~ s/(.*\r\n\r\n)//s;
my $head = $1;
$socket = $fragile->connect;
print $socket $head;
like((Gateway::read_until($socket, qr/\r\n\r\n/))[0], qr/^HTTP\/1\.1 100 /, 'the body may come');
sql(q{ALTER ROLE fragile NOLOGIN});
sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'fragile'});
print $socket substr $slow, 0, 10;
wait_until('the database is away', sub { !figure($fragile, 'database_up') });
print $socket substr $slow, 10;
like((Gateway::read_until($socket, qr/\}\n/))[0], qr/^HTTP\/1\.1 503 .*\r\nRetry-After: 2\r\n.*cannot be reached/s, 'when it is there, the database is not');
sql('ALTER ROLE fragile LOGIN');
wait_until('the database is back', sub { figure($fragile, 'database_up') });
print $socket $head;
like((Gateway::read_until($socket, qr/\r\n\r\n/))[0], qr/^HTTP\/1\.1 100 /, 'again, on the same connection');
print $socket $slow;
like((Gateway::read_until($socket, qr/\}\n/))[0], qr/^HTTP\/1\.1 201 /, 'it is written');
is(written('slow'), 2, 'once');
is($fragile->stop, 0, 'it ends');

# ---- the end of an execution, as its client comes

my @short = map { "short$_" } 1 .. 40;
start('postgres', @short);
logs('a', @short);
my (@ends, @streams);
foreach my $i (0 .. $#short)
{
	my @steps = (sub { push @streams, Gateway::begin_stream($first, path($short[$i]), $alice) },
		sub { push @ends, sent($second, 'PATCH', "$api/$short[$i]", $robot, { status => 'SUCCESS' }, 'Connection: close') });
	$_->() foreach $i % 2 ? @steps : reverse @steps;
}
is(join(' ', map { Gateway::statuses(answer_of($_)) } @ends), join(' ', (200) x @short), 'all of them end');
my %ends;
foreach my $i (0 .. $#short)
{
	begun($streams[$i]);
	$ends{ Gateway::finish($streams[$i]) . ' ' . ($streams[$i]{events}[-1]{data}{data}{total_logs} // '') }++;
}
is_deeply(\%ends, { 'a (COMPLETE SUCCESS) 1' => scalar @short }, 'and each stream has all, and its end, once');

# ---- what has gone on behind all this

my $select = IO::Select->new(@asking);
my (%bytes_of, %answers);
my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
while ($select->count > 2 && time() < $end)
{
	foreach my $socket ($select->can_read(1))
	{
		my $read = sysread $socket, $bytes_of{$socket}, 65536, length($bytes_of{$socket} // '');
		$select->remove($socket) unless $read || (!defined $read && $!{EINTR});
	}
}
unlock($blocker);
my @refused = values %bytes_of;
$answers{ Gateway::statuses($_) }++ foreach @refused, map { answer_of($_) } $select->handles;
is(($answers{503} // 0) + ($answers{200} // 0), 12, 'who asks while no connection comes free is answered') or diag(join ', ', map { "$_: $answers{$_}" } sort keys %answers);
cmp_ok($answers{503} // 0, '>=', 10, 'most of them after a while');
is(scalar(grep { / 503 / && !/\r\nRetry-After: 1\r\n.*Too many requests are waiting/s } @refused), 0, 'by being told to try again');
cmp_ok(figure($crowded, 'pool_exhausted_total'), '>=', 10, 'which is counted');
foreach my $stream (@waiting)
{
	is(begun($stream), 200, 'a stream waits as long as it takes, and begins');
	ok(Gateway::take_until($stream, has('a')), 'with what there is');
	close $stream->{socket};
}
wait_until('nobody waits any more', sub { figure($crowded, 'pool_waiting') == 0 });
is($crowded->stop, 0, 'it ends');

foreach my $stream (@lost)
{
	Gateway::finish($stream);
	like(Gateway::messages($stream), qr/^(?:a )*(?:\(ERROR not_found\) ?){1,2}$/, 'streams of what is no more end');
	is(scalar(grep { Gateway::data($_)->{is_final} } @{ $stream->{events} }), 1, 'for good');
}
is(begun($early), 404, 'one that came in between hears of it');
start('renewed', 'r3');
$stream = $renewed->stream(path('r3'), $alice);
is($stream->{status}, 200, 'others begin');
sql(q{SELECT wflog.log('r3', 'a')}, 'renewed');
ok(Gateway::take_until($stream, has('a')), 'and hear of what is written');
is(figure($renewed, 'polling'), 0, 'by notifications');
close $stream->{socket};
is($_->stop, 0, 'the gateway ends') foreach $renewed, $first, $second;

$node->stop;
done_testing();
