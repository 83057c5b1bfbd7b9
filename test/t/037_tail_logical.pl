# Logs that logical replication brings have the stamps of the server they are
# applied on, and tail() there gives each once, in the order of their arrival;
# cursors of the publisher are another database's.
#
# Seen to fail when the row trigger does not fire always: the logs arrive with
# the publisher's stamps, and tail() refuses them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamReader;
use Test::More;

my $publisher = PostgreSQL::Test::Cluster->new('publisher');
$publisher->init(allows_streaming => 'logical');
$publisher->start;
my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
$subscriber->init;
$subscriber->start;

my $log_number = 0;

# Write logs of several days.
sub write_logs
{
	my ($count) = @_;
	my $from = $log_number + 1;
	$log_number += $count;
	$publisher->safe_psql('postgres', <<SQL);
INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
SELECT 'e', i, now() - (i % 3) * interval '1 day' FROM generate_series($from, $log_number) i
SQL
	return;
}

# The publisher's ids are ahead of the subscriber's.
$publisher->safe_psql('postgres', <<'SQL');
CREATE EXTENSION wflog;
CREATE TABLE burnt (n int);
DO $$
BEGIN
	FOR i IN 1 .. 5000 LOOP
		BEGIN
			INSERT INTO burnt VALUES (i);
		EXCEPTION WHEN division_by_zero THEN
		END;
	END LOOP;
END $$;
SQL
write_logs(10);
$publisher->safe_psql('postgres', 'CALL wflog.maintain()');
write_logs(20);
$publisher->safe_psql('postgres', <<'SQL');
CREATE PUBLICATION logs FOR TABLE wflog.workflow_execution_logs
	WITH (publish = 'insert', publish_via_partition_root = true)
SQL

$subscriber->safe_psql('postgres', 'CREATE EXTENSION wflog');
$subscriber->safe_psql('postgres', <<SQL);
INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('e', 'local')
SQL
my $reader = StreamReader->new('e');
$reader->drained_ok($subscriber, 'before the subscription');
$subscriber->safe_psql('postgres',
	"CREATE SUBSCRIPTION logs CONNECTION '" . $publisher->connstr . " dbname=postgres' PUBLICATION logs");
$subscriber->wait_for_subscription_sync($publisher, 'logs');
$reader->drained_ok($subscriber, 'the logs that were there');
is(scalar @{ $reader->{order} }, 31, 'are all of them');

foreach my $round (1 .. 5)
{
	write_logs($round * 3);
	$reader->read($subscriber, 4);
	$subscriber->safe_psql('postgres', 'CALL wflog.maintain()') if $round == 3;
}
$publisher->wait_for_catchup('logs');
$reader->drained_ok($subscriber, 'and what comes');
is(scalar @{ $reader->{order} }, 76, 'is all, too');
StreamReader->new('e')->drained_ok($subscriber, 'from the start');

my $stranger = StreamReader->new('e');
$stranger->read($publisher, 5);
is($stranger->read($subscriber, 5), undef, 'a cursor of the publisher');
is($stranger->{error}, 'WF001', 'is not the subscriber\'s');

# The transactions that wrote them are local ones: of the first sync, and one each
is($subscriber->safe_psql('postgres', 'SELECT count(DISTINCT xact) FROM wflog.workflow_execution_logs'),
	'7', 'stamps are the subscriber\'s');
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM wflog.workflow_execution_logs WHERE NOT pg_visible_in_snapshot(xact, pg_current_snapshot())'),
	'0', 'and of the past');

$subscriber->stop;
$publisher->stop;
done_testing();
