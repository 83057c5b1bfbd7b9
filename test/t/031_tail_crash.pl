# Crashes between two calls of tail().  Ids of transactions that left nothing
# durable behind are handed out anew, so the logs that are written after the
# crash carry ids from below the xmax of the snapshots before it: they must not
# be taken for delivered.  And what has been delivered is not lost by a crash,
# not even what was committed with synchronous_commit off.
#
# That the crashes do what they are for is tested too: a cursor that is nothing
# but the snapshot loses logs here, and logs that were committed asynchronously
# and not delivered are lost.
#
# Seen to fail when a cursor's seen is not cut after the last delivered
# transaction (logs lost in nearly every round), and when tail() does not flush
# (delivered logs vanish).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamReader;
use Test::More;

my $rounds = $ENV{WFLOG_TEST_CRASHES} // 12;
my $seed = $ENV{WFLOG_TEST_SEED} // int(rand(2**31));

diag("WFLOG_TEST_SEED=$seed WFLOG_TEST_CRASHES=$rounds");
srand($seed);

my $node = PostgreSQL::Test::Cluster->new('crash');
$node->init;
# fsync off loses nothing in these crashes; the WAL writer must not flush for us.
$node->append_conf('postgresql.conf', <<CONF);
max_prepared_transactions = 10
wal_writer_delay = 10s
bgwriter_delay = 10s
autovacuum = off
checkpoint_timeout = 1h
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION wflog');

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

sub between
{
	my ($from, $to) = @_;
	return $from + int(rand($to - $from + 1));
}

# SQL that uses ids and leaves nothing durable behind
sub burn_ids
{
	my ($count) = @_;
	return "BEGIN; SELECT pg_current_xact_id(); ROLLBACK;\n" x ($count - 1)
	  . "BEGIN; SAVEPOINT s; " . write_logs(1) . "ROLLBACK;\n";
}

# Readers that stand at different places
my @readers = map { StreamReader->new('e') } 1 .. 3;
my ($lost_by_snapshot, $lost_by_crash) = (0, 0);

foreach my $round (1 .. $rounds)
{
	# a prepared transaction outlives the crash
	$node->safe_psql('postgres',
		'BEGIN; ' . write_logs(2) . "PREPARE TRANSACTION 'round $round'") if $round % 3 == 0;

	# A transaction is in flight; a few logs have been committed.
	my $in_flight = $node->background_psql('postgres');
	$in_flight->query_safe($_) foreach ('BEGIN', write_logs(1));
	$node->safe_psql('postgres', write_logs(between(1, 10)) . write_logs(between(1, 5)));
	$node->safe_psql('postgres', 'SET synchronous_commit = off; ' . write_logs(between(1, 8)))
	  if $round % 2;

	# Now transactions come to nothing, and then the readers read.
	$node->safe_psql('postgres', burn_ids(between(3, 30)));
	my $naive = $node->safe_psql('postgres', 'SELECT pg_current_snapshot()');
	$readers[0]->drain($node);
	$readers[1]->read($node, between(1, 12));
	$readers[2]->read($node, 10, between(0, 5));

	# What nobody reads may be lost.
	my $unread = $log_number + 1;
	$node->safe_psql('postgres', 'SET synchronous_commit = off; ' . write_logs(3)) if $round % 2;
	my $last = $log_number;

	if ($round % 4 == 0)
	{
		$node->kill9;
	}
	else
	{
		$node->stop('immediate');
	}
	eval { $in_flight->quit };
	# Backends that a kill -9 has orphaned must have noticed.
	my $tries = 0;
	until ($node->start(fail_ok => 1) || ++$tries > 60)
	{
		sleep(1);
		$node->stop('fast', fail_ok => 1);
	}

	foreach my $i (0 .. $#readers)
	{
		is_deeply([ $readers[$i]->vanished($node) ], [],
			"round $round: what reader $i has got is still there");
	}
	$lost_by_crash += $last - $unread + 1
	  - $node->safe_psql('postgres',
		"SELECT count(*) FROM wflog.workflow_execution_logs WHERE message::int BETWEEN $unread AND $last");

	# New logs with those ids.  A cursor that is the snapshot takes them for seen.
	my $first_new = $log_number + 1;
	$node->safe_psql('postgres', write_logs(1) . write_logs(2)) foreach 1 .. 2;
	$lost_by_snapshot += $node->safe_psql('postgres', <<SQL);
SELECT count(*) FROM wflog.workflow_execution_logs
WHERE execution_id = 'e' AND message::int >= $first_new AND pg_visible_in_snapshot(xact, '$naive')
SQL
	# A reader that leaves its cursor before these logs, and one that stays there
	my $early = $readers[0]->clone;
	foreach my $i (0 .. $#readers)
	{
		$readers[$i]->read($node, between(1, 3)) if rand() < 0.5;
	}
	$node->safe_psql('postgres', "COMMIT PREPARED 'round $round'") if $round % 3 == 0;
	$early->drained_ok($node, "round $round: all once from the cursor before the crash");
	$readers[ $round % 3 ]->drained_ok($node, "round $round: a reader that stopped in between");
}

$readers[$_]->drained_ok($node, "reader $_ has all once, $rounds crashes later") foreach 0 .. $#readers;
StreamReader->new('e')->drained_ok($node, 'so has one that begins now');

cmp_ok($lost_by_snapshot, '>', 0,
	"a cursor that is the snapshot would have lost $lost_by_snapshot logs");
cmp_ok($lost_by_crash, '>', 0, "$lost_by_crash logs that were not delivered were lost");

$node->stop;
done_testing();
