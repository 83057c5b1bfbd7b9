# Who is told that he has missed something, and who is not: workflows when hints
# are lost, executions whose partition lacks its index, gateways, and everybody
# when PostgreSQL's queue of notifications is full.  What has been missed is
# told even if the worker that knows of it goes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

BEGIN
{
	eval { require DBD::Pg; 1 } or plan skip_all => 'DBD::Pg is not there (Debian: libdbd-pg-perl)';
}
use StreamClient;
use WflogNode;

my $node = new_node('missed', 'wflog.queue_size = 16kB', 'autovacuum = off', 'wflog.maintenance_interval = 0');
my $timeout = $PostgreSQL::Test::Utils::timeout_default;
$node->safe_psql('postgres', q(CREATE EXTENSION wflog; CALL wflog.maintain()));
wait_for_workers($node, 'there is a worker', 'postgres');
my $writer = StreamClient::connection($node);

sub value { return scalar $writer->selectrow_array(@_) }
sub worker_pid { return value('SELECT worker_pid FROM wflog.stat') }
sub start { $writer->do('SELECT wflog.start_execution(?, ?)', undef, @_); return }

# Logs of an execution, one transaction.
sub write_logs
{
	my ($execution, @messages) = @_;
	$writer->do(q(INSERT INTO wflog.workflow_execution_logs (execution_id, message) SELECT ?, m FROM unnest(?::text[]) m),
		undef, $execution, \@messages);
	return;
}

# Follow an execution that has a log, so that tail() tells the batch.
sub follow
{
	my ($execution) = @_;
	start($execution, 'w');
	write_logs($execution, 'first');
	return StreamClient->new($node, $execution)->start_informed;
}

# What has come on channels, as lists by channel, until the condition holds.
sub receive
{
	my ($connection, $got, $condition) = @_;
	my $end = time() + $timeout;
	do
	{
		while (my $notification = $connection->pg_notifies)
		{
			push @{ $got->{ $notification->[0] } }, decode_json($notification->[2]);
		}
		return 1 if $condition->();
		sleep(0.002);
	} until time() > $end;
	return 0;
}

# ---- workflows, when hints are lost ----

my $listener = StreamClient::connection($node);
my (%got, %channel);
start("in_$_", $_) foreach qw(wa wb);
# a worker that begins tells whoever has asked before that he may have missed something
$node->poll_query_until('postgres', 'SELECT queue_depth = 0 FROM wflog.stat') or die 'the queue is not read';
foreach my $workflow (qw(wa wb))
{
	$channel{$workflow} = value('SELECT wflog.workflow_channel(?)', undef, $workflow);
	$listener->do(qq(LISTEN "$channel{$workflow}"));
	$got{ $channel{$workflow} } = [];
}

# Whether the workflow hears of a change of status; what else it was told.
sub told_before_status
{
	my ($workflow, $status) = @_;
	my $events = $got{ $channel{$workflow} };
	@$events = ();
	$writer->do('SELECT wflog.set_execution_status(?, ?)', undef, "in_$workflow", $status);
	receive($listener, \%got, sub { grep { $_->{kind} eq 'status' && $_->{status} eq $status } @$events })
	  or return 'nothing';
	return join ' ', map { $_->{kind} } grep { $_->{kind} ne 'status' && $_->{kind} ne 'start' } @$events;
}

is(told_before_status('wa', 'PAUSED'), '', 'a workflow hears of a change of status');

my $client = follow('logs_only');
my $catch_ups = $client->{catch_ups};
# a transaction that is too large to note what it has touched
$writer->do(q(INSERT INTO wflog.workflow_execution_logs (execution_id, message)
	SELECT CASE i WHEN 1400 THEN 'logs_only' ELSE 'many' || i END, 'm' || i FROM generate_series(1, 1500) i));
ok($client->wait_for('m1400'), 'one log of a large transaction');
is($client->{catch_ups}, $catch_ups, 'by notification');
is(told_before_status('wa', 'RUNNING'), '', 'has not made a workflow read anything');

# more transactions than the queue has room for
my $pid = worker_pid();
my $overflows = value('SELECT overflows FROM wflog.stat');
kill 'STOP', $pid;
write_logs('logs_only', "o$_") foreach 1 .. 600;
cmp_ok(value('SELECT overflows FROM wflog.stat'), '>', $overflows, 'hints are lost');
kill 'CONT', $pid;
ok($client->wait_for('o600'), 'logs are found all the same');
is($client->{catch_ups}, $catch_ups, 'and notified');
is(told_before_status('wa', 'PAUSED'), '', 'lost hints of logs do not make a workflow read anything either');

# hints of status among them
$overflows = value('SELECT overflows FROM wflog.stat');
kill 'STOP', $pid;
write_logs('logs_only', "p$_") foreach 1 .. 600;
$writer->do(q(SELECT wflog.set_execution_status('in_wb', 'PAUSED')));
cmp_ok(value('SELECT overflows FROM wflog.stat'), '>', $overflows, 'one of a change of status is lost');
kill 'CONT', $pid;
ok(receive($listener, \%got, sub { grep { $_->{kind} eq 'reference' } @{ $got{ $channel{wb} } } }),
	'a workflow is told that it has missed something');
my @large = map { "large$_" } 1 .. 1200;
@{ $got{ $channel{wb} } } = ();
$writer->do(q(SELECT count(wflog.start_execution(e, 'wb')) FROM unnest(?::text[]) e), undef, \@large);
ok(receive($listener, \%got, sub { grep { $_->{kind} eq 'reference' } @{ $got{ $channel{wb} } } }),
	'also when a large transaction has changed more than it could note');
$client->complete_ok('nothing twice, nothing missing');
$client->stop;

# ---- a partition without the index by which its logs are read ----

my $broken = follow('broken');
my $sound = follow('sound');

# A log of another day.
sub write_tomorrow
{
	my ($execution, $message) = @_;
	$writer->do(q(INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at) VALUES (?, ?, now() + '25 hours')),
		undef, $execution, $message);
	return;
}

write_logs('broken', 'b1');
write_tomorrow('sound', 's1');
ok($broken->wait_for('b1') && $sound->wait_for('s1'), 'two executions, in two partitions');
is(value(q(SELECT count(DISTINCT tableoid) FROM wflog.workflow_execution_logs WHERE message IN ('b1', 's1'))), 2,
	'of different days');
my ($index, $leaf) = $writer->selectrow_array(q(SELECT indexrelid::regclass, relname FROM pg_index JOIN pg_class c ON c.oid = indrelid
	WHERE indrelid = (SELECT tableoid FROM wflog.workflow_execution_logs WHERE message = 'b1')
	AND indexrelid::regclass::text LIKE '%stream%'));
my $place = -s $node->logfile;
$pid = worker_pid();
$writer->do("DROP INDEX $index");
write_logs('broken', 'b2');
write_tomorrow('sound', 's2');
ok($sound->wait_for('s2'), 'when one of them loses its index, logs in others are notified');
write_logs('broken', 'b3');
write_tomorrow('sound', 's3');
ok($sound->wait_for('s3'), 'and so they go on');
is($sound->{by_notification}, 3, 'by notifications');
is(worker_pid(), $pid, 'of the same worker');
is(scalar(() = log_since($node, $place) =~ /wflog worker: partition "\Q$leaf\E" has no index/g), 1, 'which has said it once');
like(value('SELECT last_error FROM wflog.stat'), qr/\Q$leaf\E/, 'and so does wflog.stat');
$writer->do('SELECT pg_terminate_backend(?)', undef, $pid);
restarted($node, 'worker', 'postgres', $pid, 'another worker');
$writer->do('CALL wflog.maintain()');
ok($broken->wait_for('b3'), 'maintenance makes the index, and the listener is told to read');
write_logs('broken', 'b4');
$_->complete_ok('nothing twice, nothing missing') foreach $broken, $sound;
ok((grep { ($_->{event}{kind} // '') eq 'log' && $_->{event}{log}{message} eq 'b4' } @{ $broken->{payloads} })
	|| $broken->wait_for('b4'), 'and goes on');
$_->stop foreach $broken, $sound;

# ---- the queue of notifications full: only where it can be made small ----

SKIP:
{
	skip 'the queue of notifications is of one size before PostgreSQL 17', 11 if $node->pg_version < 17;
	$node->append_conf('postgresql.conf', 'max_notify_queue_pages = 64');
	$_->disconnect foreach $writer, $listener;
	$node->restart;
	wait_for_workers($node, 'restarted with a small queue', 'postgres');
	$writer = StreamClient::connection($node);
	$writer->do('CREATE ROLE gate LOGIN IN ROLE wflog_gateway');
	my $gate = StreamClient::connection($node, user => 'gate');
	$gate->do(q(SET request.jwt.claims = '{"role": "service_role"}'));
	start('g', 'w');
	my $gateway = $gate->selectrow_array(q(SELECT wflog.gateway_channel('g')));
	$gate->do(qq(LISTEN "$gateway"));
	my @batches;
	my $hear = sub {
		my ($condition) = @_;
		my %heard;
		my $ok = receive($gate, \%heard, sub { @batches = @{ $heard{$gateway} // [] }; $condition->() });
		return $ok;
	};
	my $has_log = sub { my ($text) = @_; return grep { ($_->{log}{message} // '') eq $text } map { @{ $_->{events} } } @batches };
	write_logs('g', 'g1');
	ok($hear->(sub { $has_log->('g1') }), 'a gateway hears');
	$client = follow('full');
	write_logs('full', 'f1');
	ok($client->wait_for('f1'), 'and a follower');

	# somebody listens and sleeps in a transaction, somebody else sends a lot
	my $sleeper = StreamClient::connection($node);
	$sleeper->do('LISTEN nothing');
	my $sender = StreamClient::connection($node);
	my $fill = sub {
		$sleeper->do('BEGIN');
		$sleeper->do('SELECT 1');
		1 while eval { $sender->do(q(SELECT pg_notify('nothing', repeat('x', 7900)))) };
		return $@;
	};
	my $make_room = sub {
		$sleeper->do('COMMIT');
		$node->poll_query_until('postgres', 'SELECT pg_notification_queue_usage() < 0.1') or die 'the queue is not emptied';
	};
	my $skipped = value('SELECT batches_skipped FROM wflog.stat');
	like($fill->(), qr/too many notifications/, 'the queue is full to the last');
	ok(eval { write_logs('full', "f$_") foreach 2 .. 50; write_logs('g', 'g2'); 1 }, 'writers do not notice') or diag($@);
	ok($node->poll_query_until('postgres', "SELECT batches_skipped > $skipped FROM wflog.stat"), 'wflog.stat does');
	# there is room, and something new, when the worker looks again
	kill 'STOP', worker_pid();
	$make_room->();
	write_logs('g', 'g3');
	kill 'CONT', worker_pid();
	ok($hear->(sub { grep { !@{ $_->{events} } } @batches }), 'the gateway is told that it has missed something');
	my ($empty) = grep { !@{ $_->{events} } } @batches;
	is($empty && $empty->{prev}, undef, 'by a batch whose prev is not known, whatever else it has been told of it');
	# without another log
	$client->complete_ok('the follower is told, and has everything');

	# the worker that knows who has missed something goes when there is room again
	$fill->();
	$skipped = value('SELECT batches_skipped FROM wflog.stat');
	write_logs('full', "f$_") foreach 51 .. 60;
	ok($node->poll_query_until('postgres', "SELECT batches_skipped > $skipped FROM wflog.stat"), 'full once more');
	$pid = worker_pid();
	kill 'STOP', $pid;
	$make_room->();
	$writer->do('SELECT pg_terminate_backend(?)', undef, $pid);
	kill 'CONT', $pid;
	restarted($node, 'worker', 'postgres', $pid, 'another worker');
	$client->complete_ok('tells the follower, who has everything');
	$client->stop;
	$_->disconnect foreach $gate, $sleeper, $sender;
}

$_->disconnect foreach $writer, $listener;
$node->stop;
done_testing();
