# Exactly once, when things happen between two steps of a commit or of the
# worker's round: the server is held there (src/fault.c), so each case is the
# same every time.  What is random is in 081 and 085.
#
# Each test has a name; test/torture/broken has builds in which one of them fails.
#
# Followers do as docs/streaming.md says.  They hear by notification, and are
# not told to read the table unless the worker tells them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
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

my @places = qw(round-snapshot round-drained round-renewed round-published round-committed notify-full);

my $node = PostgreSQL::Test::Cluster->new('moments');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', <<CONF);
shared_preload_libraries = 'wflog'
wflog.queue_size = 16kB
max_worker_processes = 20
max_prepared_transactions = 5
restart_after_crash = on
autovacuum = off
wal_writer_delay = 10s
checkpoint_timeout = 1h
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION wflog');
if ($node->safe_psql('postgres', q(SELECT count(*) FROM pg_settings WHERE name = 'wflog.fault')) eq '0')
{
	$node->stop;
	plan skip_all => 'needs a build with FAULTS=1';
}
$node->append_conf('postgresql.conf', "wflog.fault = '" . join(', ', map { "$_=file" } @places) . "'");
$node->reload;
wait_for_workers($node, 'there is a worker', 'postgres');
# it makes partitions, in its time
ok(wait_for($node, 'postgres', 'SELECT maintenance_result FROM wflog.stat', 'done'), 'and the keeper has nothing to do');

# ---- what happens where ----

sub fault_file { return $node->data_dir . "/wflog.fault.$_[0]" }

# What is to happen at a place: wait, error (once), or something else.
sub set_fault
{
	my ($place, $what) = @_;
	append_to_file(fault_file('new'), $what);
	rename fault_file('new'), fault_file($place) or die "cannot set a fault: $!";
	return;
}

sub clear_fault
{
	my ($place) = @_;
	unlink fault_file($place);
	return;
}

# Does something become so?
sub becomes
{
	my ($is_so) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	until ($is_so->())
	{
		return 0 if time() > $end;
		sleep(0.002);
	}
	return 1;
}

# Hold whoever comes to a place, from now on.
sub hold { return set_fault($_[0], 'wait') }

# Somebody is held there.
sub held
{
	my ($place) = @_;
	my $waits = fault_file($place) . '.waits';
	becomes(sub { -e $waits }) or die "nobody comes to $place\n";
	return;
}

sub release
{
	my ($place) = @_;
	my $waits = fault_file($place) . '.waits';
	clear_fault($place);
	becomes(sub { !-e $waits }) or die "nobody goes on from $place\n";
	return;
}

# ---- writers, followers ----

my $writer;

sub connection { return StreamClient::connection($node) }
sub stat_value { return scalar $writer->selectrow_array("SELECT $_[0] FROM wflog.stat") }

sub write_log
{
	my ($execution, $message) = @_;
	$writer->do('INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES (?, ?)', undef, $execution, $message);
	return;
}

# Begin to write a log; pg_result() waits for the end.
sub begin_write
{
	my ($connection, $execution, $message) = @_;
	$connection->do(
		"INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('$execution', '$message')",
		{ pg_async => DBD::Pg::PG_ASYNC() });
	return;
}

# Write a log; does it commit, or wait for a standby?
sub commits
{
	my ($connection, $execution) = @_;
	my $pid = $connection->{pg_pid};
	begin_write($connection, $execution, 'a');
	until ($writer->selectrow_array("SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = $pid"))
	{
		return $connection->pg_result if $connection->pg_ready;
		sleep(0.002);
	}
	return 0;
}

# Follow an execution from now on.  It has a log, so that tail() tells the batch.
sub follow
{
	my ($execution) = @_;
	$node->safe_psql('postgres', "SELECT wflog.start_execution('$execution', 'w'), wflog.log('$execution', 'first')");
	return StreamClient->new($node, $execution)->start_informed;
}

# Make the worker do a round, for another execution that somebody listens for.
sub ring
{
	write_log('bell', 'ding');
	return;
}

# Have the worker held at a place.
sub hold_worker
{
	my ($place) = @_;
	hold($place);
	ring();
	held($place);
	return;
}

# Transactions of which the queue has not room for all hints.
sub overflow
{
	my $before = stat_value('overflows');
	$writer->do('SET synchronous_commit = off');
	$writer->do(q(DO $$ BEGIN FOR i IN 1 .. 600 LOOP
		INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('nobody listens', i); COMMIT; END LOOP; END $$));
	$writer->do('RESET synchronous_commit');
	cmp_ok(stat_value('overflows'), '>', $before, '... hints are lost');
	return;
}

# Test that the follower gets a log, and then that what it has got is exactly this.
sub gets_ok
{
	my ($follower, $name, @messages) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $came = eval { $follower->wait_for($messages[-1]) };
	return fail("$name: $@") unless defined $came;
	# what comes too much would come now
	eval { stat_value('batches'); $follower->poll; 1 } or return fail("$name: $@");
	return is(join(' ', @{ $follower->{messages} }), join(' ', 'first', @messages), $name);
}

sub begin
{
	$writer = connection();
	$writer->do(q(SELECT wflog.start_execution('bell', 'w')));
	$writer->do(q(SELECT wflog.channel('bell')));
	return;
}
begin();

# ---- a commit ----

my $c = follow('commit');
my $slow = connection();
$slow->do(q(SET wflog.fault = 'queue-committed=file'));
hold('queue-committed');
begin_write($slow, 'commit', 'a');
held('queue-committed');
write_log('commit', 'b');
gets_ok($c, 'a transaction can be seen before it wakes the worker', 'a', 'b');
release('queue-committed');
$slow->pg_result;
write_log('commit', 'c');
gets_ok($c, 'and goes on', 'a', 'b', 'c');
$c->stop;

$c = follow('push');
$slow->do(q(SET wflog.fault = 'queue-pushed=file'));
hold('queue-pushed');
begin_write($slow, 'push', 'a');
held('queue-pushed');
write_log('push', 'b');
gets_ok($c, 'a transaction has pushed its hints and is not over', 'b');
release('queue-pushed');
$slow->pg_result;
gets_ok($c, 'then it is', 'b', 'a');
$slow->disconnect;
$c->stop;

# ---- a round ----

$c = follow('drained');
hold_worker('round-drained');
write_log('drained', 'a');
release('round-drained');
gets_ok($c, 'a commit after the worker has emptied the queue', 'a');
$c->stop;

$c = follow('snapshot');
hold_worker('round-snapshot');
write_log('snapshot', 'a');
release('round-snapshot');
gets_ok($c, 'a commit between the snapshot and the queue', 'a');
$c->stop;

# Leaves change under the hints
$c = follow('moved');
hold_worker('round-snapshot');
$writer->do(q(INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at) VALUES ('moved', 'a', now() - interval '5 days')));
my $leaf = q(SELECT tableoid::regclass::text FROM wflog.workflow_execution_logs WHERE execution_id = 'moved' AND message = 'a');
like($writer->selectrow_array($leaf), qr/_default$/, '... a log of a day that has no partition');
$writer->do('SET client_min_messages = error');
# which gives way to readers of the default partition
ok(becomes(sub { $writer->do('CALL wflog.maintain()'); $writer->selectrow_array($leaf) !~ /_default$/ }),
	'... is moved to one of its own');
release('round-snapshot');
gets_ok($c, 'maintenance moves a log before the worker looks for it', 'a');
$c->stop;

# ---- another owner, another channel ----

sub change_owner
{
	my ($owner) = @_;
	$writer->do(q(UPDATE wflog.workflows SET user_id = ? WHERE id = 'owned'), undef, $owner);
	return;
}

# Follow an execution of a workflow that changes hands.
sub follow_owned
{
	my ($execution) = @_;
	$node->safe_psql('postgres', "SELECT wflog.start_execution('$execution', 'owned', user_id => 'one'); SELECT wflog.log('$execution', 'first')");
	return StreamClient->new($node, $execution)->start;
}

# Test that a follower is told to ask for the channel again, which it does.
sub moves_ok
{
	my ($follower, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($follower->wait_for_event('moved'), $name);
	return $follower->listen;
}

$c = follow_owned('owner');
hold_worker('round-committed');
my $d = follow_owned('owner-new');
change_owner('two');
release('round-committed');
moves_ok($_, "the owner changes when the worker has not heard of a listener: $_->{execution}") foreach $d, $c;
write_log($_->{execution}, 'a') foreach $c, $d;
gets_ok($_, "... $_->{execution}", 'a') foreach $c, $d;
$_->payloads foreach $c, $d;

my $gone = stat_value('worker_pid');
$writer->do('SELECT pg_terminate_backend(?)', undef, $gone);
ok(becomes(sub { (stat_value('worker_pid') // 0) != $gone }), '... there is no worker');
change_owner('three');
# who asks now is told another name than those who have asked before
my $e = StreamClient->new($node, 'owner')->start;
change_owner('four');
moves_ok($_, "the owner changes while there is no worker: $_->{execution}") foreach $c, $d, $e;
write_log($_->{execution}, 'b') foreach $c, $d;
gets_ok($_, "... $_->{execution}", 'a', 'b') foreach $c, $d, $e;
ok(becomes(sub { stat_value('asked') == 8 }), '... of names that are no more none is left');
$_->stop foreach $c, $d, $e;

# ---- hints that are lost ----

$c = follow('overflow');
hold_worker('round-committed');
overflow();
write_log('overflow', 'a');
release('round-committed');
gets_ok($c, 'a log whose hint is lost', 'a');
$c->stop;

$c = follow('overflow-late');
hold_worker('round-snapshot');
overflow();
write_log('overflow-late', 'a');
release('round-snapshot');
gets_ok($c, 'a log whose hint is lost after the snapshot', 'a');
$c->stop;

$c = follow('overflow-twice');
hold_worker('round-committed');
overflow();
hold('round-renewed');
release('round-committed');
held('round-renewed');
overflow();
write_log('overflow-twice', 'a');
release('round-renewed');
gets_ok($c, 'a log whose hint is lost while the worker makes up for lost hints', 'a');
$c->stop;

$c = follow('overflow-open');
hold_worker('round-committed');
overflow();
$writer->do('BEGIN');
write_log('overflow-open', 'open');
$writer->do(q(PREPARE TRANSACTION 'open'));
write_log('overflow-open', 'a');
release('round-committed');
gets_ok($c, '... others are told of', 'a');
# until the worker is not making up for anything any more
write_log('overflow-open', $_) foreach 'b', 'c';
gets_ok($c, '... and later ones', 'a', 'b', 'c');
$writer->do(q(COMMIT PREPARED 'open'));
gets_ok($c, 'a transaction that is open when its hint is lost', 'a', 'b', 'c', 'open');
$c->stop;

# ---- the queue of notifications is full ----

$c = follow('full');
my $skipped = stat_value('batches_skipped');
set_fault('notify-full', 'so');
write_log('full', 'a');
ok(becomes(sub { stat_value('batches_skipped') > $skipped }), '... nothing can be sent');
clear_fault('notify-full');
gets_ok($c, 'what could not be sent is told of, without anything else being written', 'a');
$c->stop;

# The first thing that can be sent comes before the worker says so.
$c = follow('full-next');
$skipped = stat_value('batches_skipped');
set_fault('notify-full', 'so');
write_log('full-next', 'a');
ok(becomes(sub { stat_value('batches_skipped') > $skipped }), '... nothing can be sent');
hold('round-snapshot');
held('round-snapshot');
clear_fault('notify-full');
write_log('full-next', 'b');
release('round-snapshot');
gets_ok($c, 'the next log tells by its prev that something could not be sent', 'a', 'b');
$c->stop;

# ---- a worker that ends ----

# Before it has told: all its hints are gone with it.
$c = follow('ends-drained');
set_fault('round-drained', 'error');
write_log('ends-drained', 'a');
gets_ok($c, 'the worker fails when it has emptied the queue', 'a');
$c->stop;

$c = follow('ends-published');
set_fault('round-published', 'error');
write_log('ends-published', 'a');
gets_ok($c, 'the worker fails when it has published what it has not told yet', 'a');
$c->stop;

$c = follow('ends-committed');
set_fault('round-committed', 'error');
write_log('ends-committed', 'a');
gets_ok($c, '... and when it has told', 'a');
ok(becomes(sub { !-e fault_file('round-committed') }), '... it has failed');
write_log('ends-committed', 'b');
gets_ok($c, 'the worker fails when it has told', 'a', 'b');
$c->stop;

# ---- a server that crashes ----

# From now on nobody writes the log to disk but who commits.  The keeper does,
# a second after there is something to add up; it has done so, and does not
# again before the crash.  (If it does, a broken build may go unnoticed.)
sub stop_flushing
{
	sleep(1.5);
	my $pid = $writer->selectrow_array(q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'));
	kill 'STOP', $pid;
	return $pid;
}

sub crash
{
	my ($pid) = @_;
	my $place = -s $node->logfile;
	kill 'KILL', $pid;
	$node->wait_for_log(qr/all server processes terminated; reinitializing/, $place);
	$node->poll_query_until('postgres', 'SELECT true');
	wait_for_workers($node, '... a crash', 'postgres');
	begin();
	return;
}

$c = follow('asynchronous');
my $victim = stop_flushing();
$writer->do('SET synchronous_commit = off');
write_log('asynchronous', 'a');
gets_ok($c, '... a log whose commit does not wait for the disk', 'a');
crash($victim);
is( $writer->selectrow_array(q(SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id = 'asynchronous' AND message = 'a')),
	1, 'what has been told is not lost by a crash');
$c->stop;

# Ids that were handed out before the crash, and of which nothing is on disk,
# are handed out again.  "late" is committed and flushed before them, but told
# after a round that has seen them; the other in that round.
my %reuse = map { $_ => follow("reuse-$_") } qw(now late);
$victim = stop_flushing();
$node->append_conf('postgresql.conf', "synchronous_standby_names = 'nobody'");
$node->reload;
my $late = connection();
ok(becomes(sub { !commits($late, 'nobody listens') }), '... commits wait');
$late->pg_cancel;
ok(!commits($late, 'reuse-late'), '... one does that is listened for');
$writer->do('SET synchronous_commit = local');
hold_worker('round-committed');
write_log('reuse-now', 'a');
my $ids = q(DO $$ BEGIN FOR i IN 1 .. 200 LOOP PERFORM pg_current_xact_id(); ROLLBACK; END LOOP; END $$);
$writer->do($ids);
my $handed_out = $writer->selectrow_array('SELECT pg_snapshot_xmax(pg_current_snapshot())');
release('round-committed');
gets_ok($reuse{now}, '... a log after which ids were handed out', 'a');
foreach (1 .. 2)
{
	# another round, which looks whether the open one is over
	hold('round-snapshot');
	held('round-snapshot');
	release('round-snapshot');
}
$node->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$node->reload;
gets_ok($reuse{late}, '... one that can be seen after that', 'a');
$late->pg_result;
$_->stop foreach values %reuse;
crash($victim);
note("ids were handed out up to $handed_out, now from ", $writer->selectrow_array('SELECT pg_snapshot_xmax(pg_current_snapshot())'));
foreach my $which (qw(now late))
{
	$writer->do(qq(DO \$\$ BEGIN FOR i IN 1 .. 80 LOOP
		INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('reuse-$which', i); COMMIT; END LOOP; END \$\$));
}
gets_ok($reuse{now}->start, 'a cursor from before a crash does not cover ids that are handed out again', 'a', 1 .. 80);
gets_ok($reuse{late}->start, 'nor does one of a log that was told late', 'a', 1 .. 80);
$_->stop foreach values %reuse;

$writer->disconnect;
$node->stop;
done_testing();
