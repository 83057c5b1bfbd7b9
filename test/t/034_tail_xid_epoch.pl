# Transaction ids beyond 32 bits.  The epoch is raised by pg_resetwal, as a
# cluster has that was upgraded or repaired, and the ids come round to zero
# again while a transaction and a reader's snapshot from before are open.
# Stamps are full ids, and cursors from before deliver what follows, once.
#
# Seen to fail when the ids of a snapshot are taken to be of epoch 0 (an
# error), or all of the epoch that the next id has (logs lost).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamReader;
use Test::More;

srand($ENV{WFLOG_TEST_SEED} // 1);

my $node = PostgreSQL::Test::Cluster->new('epoch');
$node->init;
$node->append_conf('postgresql.conf', <<CONF);
max_prepared_transactions = 10
autovacuum = off
autovacuum_freeze_max_age = 2000000000
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION wflog; ALTER DATABASE template0 ALLOW_CONNECTIONS true');

my $log_number = 0;

# SQL that writes logs
sub write_logs
{
	my ($count) = @_;
	my $from = $log_number + 1;
	$log_number += $count;
	return "INSERT INTO wflog.workflow_execution_logs (execution_id, message) "
	  . "SELECT 'e', i FROM generate_series($from, $log_number) i;\n";
}

sub next_id
{
	return $node->safe_psql('postgres', 'SELECT pg_current_xact_id()');
}

# Set the next transaction id of the stopped cluster.
sub reset_ids
{
	my ($epoch, $xid) = @_;

	# the page of pg_xact that the server will look for
	my $segment = sprintf('%s/pg_xact/%04X', $node->data_dir, int($xid / (32 * 32768)));
	append_to_file($segment, "\0" x (32 * 8192)) unless -e $segment;
	$node->command_ok([ 'pg_resetwal', '-e', $epoch, '-x', $xid, $node->data_dir ],
		"next transaction is $xid of epoch $epoch");
	return;
}

my %reader = map { $_ => StreamReader->new('e') } qw(follower inside page);
$node->safe_psql('postgres', write_logs(3) . write_logs(7));
$reader{follower}->drain($node);
$reader{inside}->read($node, 5);
$reader{page}{cursor} = $node->safe_psql('postgres', "SELECT wflog.logs_json('e')->'pagination'->>'stream_cursor'");
$reader{page}{delivered} = { %{ $reader{follower}{delivered} } };

# ---- another epoch, the ids go on ----

my $before = next_id();
my @lasting = map { $reader{$_}->clone } sort keys %reader;
$node->stop;
reset_ids(5, $before + 100);
$node->start;
$node->safe_psql('postgres', write_logs(2) . write_logs(4));
is($node->safe_psql('postgres', 'SELECT count(DISTINCT xact) FROM wflog.workflow_execution_logs WHERE xact::text::numeric > 5 * 2::numeric ^ 32'),
	'2', 'stamps are full ids');
$reader{$_}->drained_ok($node, "epoch 5: reader \"$_\"") foreach sort keys %reader;
StreamReader->new('e')->drained_ok($node, 'epoch 5: from the start');

# A prepared transaction and a crash in this epoch
$node->safe_psql('postgres', 'BEGIN; ' . write_logs(2) . "PREPARE TRANSACTION 'epoch'");
$node->safe_psql('postgres', write_logs(3));
$reader{follower}->read($node, 2);
$node->stop('immediate');
$node->start;
$node->safe_psql('postgres', "COMMIT PREPARED 'epoch'");
$node->safe_psql('postgres', write_logs(3));
$reader{$_}->drained_ok($node, "epoch 5, crashed: reader \"$_\"") foreach sort keys %reader;

# ---- the ids come round ----

# In steps that freezing allows, as a server comes there by itself
foreach my $xid (2_000_000_000, 4_000_000_000, 2**32 - 60)
{
	$node->command_ok([ 'vacuumdb', '--all', '--freeze', '--quiet' ], 'all is frozen');
	$node->stop;
	reset_ids(5, $xid);
	$node->start;
	$node->safe_psql('postgres', write_logs(2));
	$reader{follower}->drained_ok($node, "$xid: follower");
}
push @lasting, $reader{follower}->clone;

# From here on transactions are open: one that will be committed when the ids
# have come round, one prepared, and a reader whose snapshot is from before.
my $long = $node->background_psql('postgres');
$long->query_safe($_) foreach ('BEGIN', write_logs(2), 'SAVEPOINT s', write_logs(1));
my $old = $node->background_psql('postgres');
$old->query_safe($_) foreach ('BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT 1');
$node->safe_psql('postgres', 'BEGIN; ' . write_logs(2) . "PREPARE TRANSACTION 'round'");
my $middle = StreamReader->new('e');
my $last_old = $node->safe_psql('postgres', "SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id = 'e'");
my $round = 0;
while (next_id() < 6 * 2**32 + 40)
{
	$node->safe_psql('postgres', write_logs(1 + $round % 3)) foreach 1 .. 3;
	$reader{$_}->read($node, 1 + ($round * 7) % 11) // die $reader{$_}{message} foreach sort keys %reader;
	$middle->read($node, 4);
	push @lasting, $reader{follower}->clone if $round % 5 == 0;
	die 'the ids do not come round' if ++$round > 100;
}
cmp_ok($round, '>', 10, "the ids have come round, in $round steps");
is($old->query_safe("SELECT count(*) FROM wflog.tail('e', max_rows => 10000)"),
	$last_old, 'a snapshot from before shows what it showed');
$old->quit;

$reader{follower}->drain($node);
my @waiting = $reader{follower}->missing($node);
is_deeply(\@waiting, [], 'nothing else is missing');
$long->query_safe($_) foreach (write_logs(2), 'COMMIT');
$long->quit;
$node->safe_psql('postgres', "COMMIT PREPARED 'round'");
$node->safe_psql('postgres', write_logs(2));
$reader{$_}->drained_ok($node, "come round: reader \"$_\"") foreach sort keys %reader;
$middle->drained_ok($node, 'come round: a slow reader');
StreamReader->new('e')->drained_ok($node, 'come round: from the start');
$lasting[$_]->drained_ok($node, "come round: old cursor $_") foreach 0 .. $#lasting;

# ... and after a crash
$node->stop('immediate');
$node->start;
$node->safe_psql('postgres', write_logs(3));
$_->drained_ok($node, 'crashed: goes on') foreach values %reader;

$node->stop;
done_testing();
