# Notifications when things happen at bad moments: who asks while a round goes
# on, transactions that are prepared, open or rolled back in part, hints that
# are lost, a worker that is terminated or fails, listeners that are away or
# asleep, an extension that goes and comes back.  Followers do as
# docs/streaming.md says, with a connection that listens and another that
# queries, and must have every committed log once.
#
#   WFLOG_TEST_SEED   the seed of the random part

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use POSIX ();
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

my $seed = $ENV{WFLOG_TEST_SEED} // int(rand(2**31));
diag("WFLOG_TEST_SEED=$seed");
srand($seed);

my $node = new_node('races', 'max_connections = 60', 'wflog.queue_size = 16kB', 'max_prepared_transactions = 10',
	'autovacuum = off');
$node->safe_psql('postgres', 'CREATE EXTENSION wflog');
wait_for_workers($node, 'there is a worker', 'postgres');
my $writer = StreamClient::connection($node);

sub value { return scalar $writer->selectrow_array(@_) }
sub worker_pid { return value('SELECT worker_pid FROM wflog.stat') }

# Logs of an execution, one transaction.
sub write_logs
{
	my ($execution, @messages) = @_;
	$writer->do(q(INSERT INTO wflog.workflow_execution_logs (execution_id, message) SELECT ?, m FROM unnest(?::text[]) m),
		undef, $execution, \@messages);
	return;
}

# Follow an execution from now on.  It has a log, so that tail() tells the batch.
sub follow
{
	my ($execution, %options) = @_;
	$node->safe_psql('postgres', "SELECT wflog.start_execution('$execution', 'w'), wflog.log('$execution', 'first')");
	return StreamClient->new($node, $execution, %options)->start_informed;
}

# ---- prepared transactions ----

my $client = follow('prepared');
$writer->do('BEGIN');
write_logs('prepared', 'p1', 'p2');
$writer->do(q(PREPARE TRANSACTION 'one'));
write_logs('prepared', 'meanwhile');
ok($client->wait_for('meanwhile'), 'a prepared transaction holds up nobody');
is(scalar @{ $client->{messages} }, 2, 'and is not told of');
$writer->do(q(COMMIT PREPARED 'one'));
ok($client->wait_for('p2'), 'when it is committed, it is, without anything else being written');
$writer->do('BEGIN');
write_logs('prepared', 'never');
$writer->do(q(PREPARE TRANSACTION 'two'));
$writer->do(q(ROLLBACK PREPARED 'two'));

# prepared before the worker was there, committed after
$writer->do('BEGIN');
write_logs('prepared', 'older than the worker');
$writer->do(q(PREPARE TRANSACTION 'three'));
my $pid = worker_pid();
$writer->do('SELECT pg_terminate_backend(?)', undef, $pid);
restarted($node, 'worker', 'postgres', $pid, 'the worker is terminated and comes back');
$writer->do(q(COMMIT PREPARED 'three'));
ok($client->wait_for('older than the worker'), 'prepared before the worker, committed after');

# and before the server was
$writer->do('BEGIN');
write_logs('prepared', 'older than the server');
$writer->do(q(PREPARE TRANSACTION 'four'));
$writer->disconnect;
$client->stop;
$node->stop('immediate');
$node->start;
wait_for_workers($node, 'after a crash', 'postgres');
$writer = StreamClient::connection($node);
$client->start;
$writer->do(q(COMMIT PREPARED 'four'));
ok($client->wait_for('older than the server'), 'prepared before a crash, committed after');
$client->complete_ok('nothing twice, nothing missing');

# ---- hints that are lost ----

$client = follow('overflow');
my $open = StreamClient::connection($node);
$open->do('BEGIN');
$open->do(q(INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('overflow', 'open all the while')));
$pid = worker_pid();
my $overflows = value('SELECT overflows FROM wflog.stat');
kill 'STOP', $pid;
# 512 places: one entry each, and then there is no room
write_logs('overflow', "o$_") foreach 1 .. 700;
write_logs('overflow', map { "batch $_" } 1 .. 50);
$writer->do('BEGIN');
write_logs('overflow', 'prepared without a hint');
$writer->do(q(PREPARE TRANSACTION 'five'));
cmp_ok(value('SELECT overflows FROM wflog.stat'), '>', $overflows, 'hints are lost');
kill 'CONT', $pid;
ok($client->wait_for('batch 50'), 'but not the logs');
is($client->{catch_ups}, 1, 'for which the follower need not read the table');
# its id is greater than that of any transaction that was over when the worker looked
$writer->do(q(COMMIT PREPARED 'five'));
ok($client->wait_for('prepared without a hint'), 'a prepared one is found when it is committed');
$open->do('COMMIT');
ok($client->wait_for('open all the while'), 'and one that was open');
$client->complete_ok('nothing twice, nothing missing');

# a change of owner, prepared when its hint was lost, and nothing else is written
$node->safe_psql('postgres', q(SELECT wflog.start_execution('owned', 'owned', user_id => 'one'), wflog.log('owned', 'first')));
my $owned = StreamClient->new($node, 'owned')->start_informed;
$pid = worker_pid();
$overflows = value('SELECT overflows FROM wflog.stat');
kill 'STOP', $pid;
write_logs('overflow', "p$_") foreach 1 .. 600;
$writer->do('BEGIN');
$writer->do(q(UPDATE wflog.workflows SET user_id = 'two' WHERE id = 'owned'));
$writer->do(q(PREPARE TRANSACTION 'six'));
cmp_ok(value('SELECT overflows FROM wflog.stat'), '>', $overflows, 'hints are lost again');
kill 'CONT', $pid;
ok(wait_for($node, 'postgres', 'SELECT queue_depth = 0 FROM wflog.stat', 't'), 'the worker has caught up');
$writer->do(q(COMMIT PREPARED 'six'));
ok($owned->wait_for_event('moved'), 'a change of owner is found, too');
$owned->stop;

# more executions than a transaction notes
my @many = map { follow("many$_") } 1, 700, 1400;
$writer->do(q(INSERT INTO wflog.workflow_execution_logs (execution_id, message) SELECT 'many' || i, 'm' || i FROM generate_series(1, 1500) i));
ok($_->wait_for('m' . ($_->{execution} =~ s/many//r)), "$_->{execution} of 1500 in one transaction") foreach @many;
$_->stop foreach @many;

# a transaction that is larger than what is sent at once
$client = follow('large');
$writer->do(q(INSERT INTO wflog.workflow_execution_logs (execution_id, message) SELECT 'large', i FROM generate_series(1, 40000) i));
ok($client->wait_for('40000'), 'a large transaction');
is(scalar @{ $client->{messages} }, 40001, 'whole');
is(join(' ', @{ $client->{messages} }[ 1, 20001, 40000 ]), '1 20001 40000', 'and in order');
is($client->{by_notification}, 40000, 'by notifications');
# a place in the middle of it, where one notified transaction ends and another begins
my ($middle) = grep { ($_->{event}{log}{message} // '') eq '16384' } @{ $client->{payloads} };
is(value(q(SELECT log->>'message' FROM wflog.tail('large', ?, 1)), undef, $middle->{event}{cursor}), 16385, 'cursors in it');
$client->stop;

# ---- savepoints ----

$client = follow('savepoints');
$writer->do('BEGIN');
foreach my $i (1 .. 80)
{
	$writer->do("SAVEPOINT s$i");
	write_logs('savepoints', "s$i");
	$writer->do("ROLLBACK TO s$i") if $i % 3 == 0;
}
$writer->do('COMMIT');
ok($client->wait_for('s80'), '80 savepoints');
is(scalar @{ $client->{messages} }, 55, 'without what was rolled back');
$writer->do(q(INSERT INTO wflog.workflow_execution_logs (execution_id, message, id, created_at)
	SELECT 'savepoints', 'same', id, created_at FROM wflog.workflow_execution_logs WHERE message = 's80' ON CONFLICT DO NOTHING));
$client->complete_ok('ON CONFLICT DO NOTHING tells of nothing');

# ---- a listener that is asleep in a transaction ----

$client = follow('asleep');
$client->{listener}->do('BEGIN');
$client->{listener}->do('SELECT 1');
write_logs('asleep', "a$_") foreach 1 .. 20;
my $other = StreamClient->new($node, 'asleep')->start;
write_logs('asleep', 'b');
ok($other->wait_for('b'), 'others hear');
is($client->poll, 0, 'it does not, while it is in a transaction');
$client->{listener}->do('COMMIT');
ok($client->wait_for('b'), 'and all of it after');
$client->complete_ok('nothing twice, nothing missing');

# the queue of notifications full: only where it can be made small
SKIP:
{
	skip 'the queue of notifications is of one size before PostgreSQL 17', 4 if $node->pg_version < 17;
	$node->append_conf('postgresql.conf', 'max_notify_queue_pages = 64');
	$_->stop foreach $client, $other;
	$writer->disconnect;
	$node->restart;
	wait_for_workers($node, 'restarted with a small queue', 'postgres');
	$writer = StreamClient::connection($node);
	$_->start foreach $client, $other;
	$client->{listener}->do('BEGIN');
	$client->{listener}->do('SELECT 1');
	foreach my $i (1 .. 60)
	{
		write_logs('asleep', map { "full $i.$_ " . 'x' x 500 } 1 .. 20);
		$other->poll;
	}
	cmp_ok(value('SELECT batches_skipped FROM wflog.stat'), '>', 0, 'the queue of notifications is full');
	$client->{listener}->do('COMMIT');
	# not another log: the worker says by itself that there is something to be read
	$_->complete_ok('everybody has everything') foreach $client, $other;
}
$_->stop foreach $client, $other;

# ---- a worker that fails ----

$client = follow('failing');
write_logs('failing', 'before');
ok($client->wait_for('before'), 'before');
my $place = -s $node->logfile;
# it looks up changes of status by this key
my ($key, $definition) = $writer->selectrow_array(q(SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
	WHERE conrelid = 'wflog.execution_audit_events'::regclass AND contype = 'p'));
$writer->do('BEGIN');
$writer->do(q(SELECT wflog.set_execution_status('failing', 'PAUSED')));
write_logs('failing', 'while it fails');
$writer->do("ALTER TABLE wflog.execution_audit_events DROP CONSTRAINT $key");
$writer->do('COMMIT');
$node->wait_for_log(qr/wflog worker: ERROR/, $place);
$writer->do("ALTER TABLE wflog.execution_audit_events ADD CONSTRAINT $key $definition");
ok($client->wait_for('while it fails'), 'a round that fails is made up for');
$client->complete_ok('nothing twice, nothing missing');
$client->stop;

# ---- an extension that goes and comes back ----

my $mute = follow('gone');
$writer->do('DROP EXTENSION wflog CASCADE');
$writer->do('CREATE EXTENSION wflog');
wait_for_workers($node, 'dropped and created', 'postgres');
$client = follow('gone');
isnt($client->{channel}, $mute->{channel}, 'another extension, another channel');
write_logs('gone', 'new');
ok($client->wait_for('new'), 'it notifies');
is($mute->poll, 0, 'old channels are silent');
$_->stop foreach $mute, $client;

# ---- all at once, at random ----

# A process that writes transactions of all kinds.
sub writer_process
{
	my ($number, $transactions) = @_;
	my $child = fork // die "cannot fork: $!";
	return $child if $child;
	srand($seed + $number);
	my $status = eval {
		my $connection = StreamClient::connection($node);
		my $insert = q(INSERT INTO wflog.workflow_execution_logs (execution_id, message) SELECT ?, ? || i FROM generate_series(1, ?) i);
		foreach my $i (1 .. $transactions)
		{
			my $execution = 'r' . int(rand(6));
			my $kind = rand();
			my @log = ($execution, "$number.$i.");
			$connection->do('BEGIN');
			$connection->do($insert, undef, @log, 1 + int(rand(3)));
			if ($kind < 0.2)
			{
				$connection->do('SAVEPOINT s');
				$connection->do($insert, undef, $execution, "$number.$i.rolled back.", 2);
				$connection->do('ROLLBACK TO s');
			}
			if ($kind > 0.9) { $connection->do('ROLLBACK') }
			elsif ($kind > 0.8)
			{
				$connection->do("PREPARE TRANSACTION 'w$number'");
				sleep(rand(0.05));
				$connection->do("COMMIT PREPARED 'w$number'");
			}
			else
			{
				sleep(rand(0.02)) if $kind > 0.6;
				$connection->do('COMMIT');
			}
		}
		$connection->disconnect;
		1;
	};
	warn $@ unless $status;
	# without perl's end, which would stop the server
	POSIX::_exit($status ? 0 : 1);
}

$_->{InactiveDestroy} = 1 foreach $writer;
my @executions = map { "r$_" } 0 .. 5;
$node->safe_psql('postgres', join ';', map { "SELECT wflog.start_execution('$_', 'w')" } @executions);
my $writers = 6;
my @children = map { writer_process($_, 500) } 1 .. $writers;
my @clients;
my $notified = 0;
my ($terminated, $reconnected) = (0, 0);
my $next = time();
my $next_end = time() + 0.5;
while (@children)
{
	# followers begin while logs are written, and lose their connections
	if (time() > $next)
	{
		$next = time() + rand(0.15);
		if (@clients < 18 && rand() < 0.5)
		{
			push @clients, StreamClient->new($node, $executions[ rand @executions ], page => 10 + int(rand(200)))->start;
		}
		elsif (@clients && rand() < 0.5)
		{
			$clients[ rand @clients ]->stop->start;
			$reconnected++;
		}
		if (time() > $next_end)
		{
			$next_end = time() + 0.5 + rand();
			$writer->do('SELECT pg_terminate_backend(worker_pid) FROM wflog.stat WHERE worker_pid IS NOT NULL');
			$terminated++;
		}
	}
	$_->poll foreach @clients;
	@children = grep { waitpid($_, POSIX::WNOHANG()) == 0 } @children;
	if (!@children && $writers < 60)
	{
		# a fast machine may be done before the followers have begun
		$notified = 0;
		$notified += $_->{by_notification} foreach @clients;
		push @children, map { writer_process($writers + $_, 500) } 1 .. 6 if $notified <= 200;
		$writers += @children;
	}
	sleep(0.002);
}
$node->poll_query_until('postgres', 'SELECT worker_pid IS NOT NULL FROM wflog.stat');
$_->complete_ok("a follower of $_->{execution} has everything once") foreach @clients;
$notified = 0;
$notified += $_->{by_notification} foreach @clients;
diag("worker terminated $terminated times, $reconnected reconnections, $notified logs by notification");
cmp_ok($notified, '>', 200, 'a good part of it by notification');
cmp_ok($terminated, '>', 0, 'and the worker was terminated');
my $fresh = StreamClient->new($node, 'r0')->start;
is_deeply([ sort @{ $fresh->{messages} } ], [ sort @{ (grep { $_->{execution} eq 'r0' } @clients)[0]{messages} } ],
	'who reads the table has the same') if grep { $_->{execution} eq 'r0' } @clients;

$_->stop foreach @clients, $fresh;
$writer->disconnect;
$node->stop;
done_testing();
