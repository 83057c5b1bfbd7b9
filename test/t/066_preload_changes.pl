# A server that stops preloading the library, and preloads it again: what has
# been rolled up meanwhile stays of use, nobody gets a wrong answer though nobody
# looks after the roll-ups, and who follows goes on, without a worker by polling
# or by notifications from the writing transactions.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

BEGIN
{
	eval { require DBD::Pg; 1 } or plan skip_all => 'DBD::Pg is not there (Debian: libdbd-pg-perl)';
}
use StreamClient;
use WflogNode;

my $node = new_node('changes', 'autovacuum = off');
$node->safe_psql('postgres', 'CREATE EXTENSION wflog');
wait_for_workers($node, 'preloaded', 'postgres');

my $number = 0;

# A transaction of logs of several days, some of which have partitions.
sub write_logs
{
	my ($count) = @_;
	my $from = $number + 1;
	$number += $count;
	$node->safe_psql('postgres', <<SQL);
INSERT INTO wflog.workflow_execution_logs (execution_id, message, level, event_type, node_id, is_milestone, created_at)
SELECT 'e', i, CASE WHEN i % 7 = 0 THEN 'ERROR' ELSE 'INFO' END::wflog.log_level_enum,
	CASE WHEN i % 5 = 0 THEN 'step_completed' ELSE 'log' END::wflog.log_event_type_enum, 'n' || i % 3, i % 10 = 0,
	now() - (i % 4) * interval '1 day'
FROM generate_series($from, $number) i
SQL
	return;
}

# Test that what is said is what counting says, for the totals as for each item.
sub exact_ok
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($node->safe_psql('postgres', <<'SQL'), 't|t|t|t|0', $name);
SELECT (summary->>'total_logs')::int = count, (page->>'total_count')::int = count,
	(errors->>'total_count')::int = errors_count, (execution->>'total_logs')::int = count,
	(SELECT count(*) FROM wflog.verify('e'))
FROM (SELECT count(*), count(*) FILTER (WHERE level = 'ERROR') AS errors_count
	  FROM wflog.workflow_execution_logs WHERE execution_id = 'e') c,
	 wflog.summary('e') summary, wflog.logs_json('e', 5) page, wflog.logs_json('e', 5, level => 'error') errors,
	 wflog.execution('e') execution
SQL
}

# Change logs that may have been rolled up.
sub change
{
	$node->safe_psql('postgres', <<'SQL');
UPDATE wflog.workflow_execution_logs SET level = 'ERROR' WHERE execution_id = 'e' AND message::int % 11 = 0;
DELETE FROM wflog.workflow_execution_logs WHERE execution_id = 'e' AND message::int % 13 = 0;
SQL
	return;
}

sub preload
{
	my ($library, @rest) = @_;
	$node->append_conf('postgresql.conf', join "\n", "shared_preload_libraries = '$library'", @rest, '');
	$node->restart;
	return;
}

# What the follower lacks of what it should have; changed and deleted logs it has as they were.
sub follower_ok
{
	my ($client, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($client->wait_for($number), $name);
	return is(join(' ', @{ $client->{messages} }), join(' ', 1 .. $number), '... everything once and in order');
}

# ---- preloaded ----

$node->safe_psql('postgres', q(SELECT wflog.start_execution('e', 'w')));
write_logs(100);
$node->safe_psql('postgres', 'CALL wflog.maintain()');
my $client = StreamClient->new($node, 'e')->start;
write_logs(50);
follower_ok($client, 'a worker notifies');
$client->stop;
ok($node->poll_query_until('postgres', 'SELECT logs_folded >= 150 FROM wflog.stat'), 'the keeper rolls up');
exact_ok('exact');
write_logs(20);

# ---- not preloaded ----

preload('');
is($node->safe_psql('postgres', 'SELECT running, hint FROM wflog.stat'),
	'f|wflog is not preloaded: add it to shared_preload_libraries and restart the server', 'not preloaded: it says so');
exact_ok('not preloaded: exact');
write_logs(30);
exact_ok('... with new logs');
$node->psql('postgres', q(SELECT wflog.channel('e')), stderr => \my $warning);
like($warning, qr/WARNING:  nothing will be notified, because wflog is not preloaded\n.*HINT:.*shared_preload_libraries/s, 'who wants to listen is told');
$client->start;
is(scalar @{ $client->{messages} }, $number, 'tail() goes on from a notification\'s cursor');
change();
exact_ok('... with changed and deleted ones');
write_logs(10);
$client->catch_up;
is(join(' ', @{ $client->{messages} }), join(' ', 1 .. $number), 'and is polled: everything once and in order');
$node->safe_psql('postgres', 'SET client_min_messages = warning; CALL wflog.maintain()');
exact_ok('... maintained by hand');
$client->stop;

# notifications from the writing transaction
$node->append_conf('postgresql.conf', "wflog.notify = transaction\n");
$node->reload;
$node->poll_query_until('postgres', q(SELECT current_setting('wflog.notify') = 'transaction'));
$client->start;
write_logs(5);
write_logs(1);
follower_ok($client, 'wflog.notify = transaction: writers notify');
$client->stop;
write_logs(15);

# ---- preloaded again ----

preload('wflog', 'wflog.notify = on');
wait_for_workers($node, 'preloaded again: worker and keeper start', 'postgres');
exact_ok('preloaded again: exact');
$client->start;
write_logs(40);
follower_ok($client, 'preloaded again: a worker notifies');
exact_ok('... with new logs');
ok($node->poll_query_until('postgres', 'SELECT logs_folded >= 40 FROM wflog.stat'), 'the keeper rolls up');
change();
exact_ok('... with changed and deleted ones');
$node->restart;
wait_for_workers($node, 'restarted', 'postgres');
exact_ok('restarted: exact');
is(log_errors($node), '', 'no error of ours');

$client->stop;
$node->stop;
done_testing();
