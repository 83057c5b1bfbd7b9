# A standby of a server whose worker notifies: nothing of ours runs there, but
# what the keeper has rolled up serves readers, and cursors from notifications go
# on there by tail().  When it is promoted, worker and keeper start, and who
# followed the primary goes on with the new one: every log once.

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

my $primary = new_node('primary', 'autovacuum = off');
$primary->safe_psql('postgres', 'CREATE EXTENSION wflog');
wait_for_workers($primary, 'the primary has a worker', 'postgres');
$primary->safe_psql('postgres', q(SELECT wflog.start_execution('e', 'w'), wflog.log('e', 'first')));
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

my $number = 0;

# Write transactions of so many logs each.
sub write_logs
{
	my ($node, @sizes) = @_;
	$node->safe_psql('postgres', join ';', map {
		my $from = $number + 1;
		$number += $_;
		"INSERT INTO wflog.workflow_execution_logs (execution_id, message, level, node_id, is_milestone)
		SELECT 'e', i, CASE WHEN i % 7 = 0 THEN 'ERROR' ELSE 'INFO' END::wflog.log_level_enum, 'n' || i % 3, i % 10 = 0
		FROM generate_series($from, $number) i"
	} @sizes);
	return;
}

# What readers say of the execution, but for what changes with the time.
my $said = q(SELECT wflog.summary('e'), wflog.logs_json('e', 5)->>'total_count', wflog.execution('e')->>'total_logs',
	(SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id = 'e'), (SELECT count(*) FROM wflog.verify('e')));

# Test that a server tells the same by roll-up as by counting.
sub exact_ok
{
	my ($node, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $count = $number + 1;
	is($node->safe_psql('postgres', q(SELECT wflog.summary('e')->>'total_logs', wflog.execution('e')->>'total_logs',
		(SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id = 'e'), (SELECT count(*) FROM wflog.verify('e')))),
		"$count|$count|$count|0", $name);
	return;
}

# ---- beside the primary ----

my %client = map { $_ => StreamClient->new($primary, 'e')->start } qw(end middle reader);
write_logs($primary, 5, 20, 1);
ok($client{$_}->wait_for($number), "$_: notified") foreach sort keys %client;
ok($primary->poll_query_until('postgres', 'SELECT logs_folded > 20 FROM wflog.stat'), 'the keeper has rolled up');
# this one's cursor is that of a notification in the middle of a transaction
my $middle;
my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
until ($middle || time() > $end)
{
	$client{middle}->poll;
	($middle) = map { $_->{event}{cursor} } grep { ($_->{event}{log}{message} // '') eq '12' } @{ $client{middle}{payloads} };
}
$client{$_}->stop foreach qw(middle reader);
@{ $client{middle} }{qw(cursor messages got)} = ($middle, [ 'first', 1 .. 12 ], {});

$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', q(SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'wflog%')), '0', 'nothing of ours runs on the standby');
exact_ok($standby, 'it says what the primary says');
is($standby->safe_psql('postgres', $said), $primary->safe_psql('postgres', $said), 'word for word');
$standby->psql('postgres', q(SELECT wflog.channel('e')), stderr => \my $error);
like($error, qr/a standby cannot notify/, 'nobody is told a channel there');

# cursors of notifications, by tail() on the standby
is($standby->safe_psql('postgres', "SELECT string_agg(log->>'message', ' ') FROM wflog.tail('e', '$middle')"),
	join(' ', 13 .. 26), 'a notification\'s cursor goes on there');
write_logs($primary, 3, 4);
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SELECT count(*), count(batch) FROM wflog.tail('e', '$client{reader}{cursor}')"), '7|0',
	'what was written since too, and no batch, for there are none');
exact_ok($standby, 'what is not rolled up yet counts as well');

# ---- promoted ----

# one that is open, and one that is prepared
my $prepared = StreamClient::connection($primary);
$prepared->do('BEGIN');
$prepared->do(q(INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('e', 'prepared')));
$prepared->do(q(PREPARE TRANSACTION 'p'));
$prepared->do('BEGIN');
$prepared->do(q(INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('e', 'never')));
$client{end}->wait_for($number);
$_->stop foreach values %client;
$primary->wait_for_catchup($standby);
$primary->stop('immediate');
$standby->promote;
wait_for_workers($standby, 'promoted: worker and keeper start', 'postgres');
$_->{node} = $standby foreach values %client;
write_logs($standby, 2);
$_->start foreach values %client;
write_logs($standby, 1, 6);
ok($client{$_}->wait_for($number), "promoted: $_ goes on") foreach sort keys %client;
note("$client{end}{by_notification} logs by notification");
$standby->safe_psql('postgres', q(COMMIT PREPARED 'p'));
ok($client{$_}->wait_for('prepared'), "promoted: $_ hears of a transaction prepared before") foreach sort keys %client;
$client{$_}->complete_ok("promoted: $_ has every log once") foreach sort keys %client;
is(join(' ', grep { /^\d+$/ } @{ $client{middle}{messages} }), join(' ', 1 .. $number), 'in order');
$number++;
exact_ok($standby, 'promoted: exact');
my $folded = $standby->safe_psql('postgres', 'SELECT logs_folded FROM wflog.stat');
write_logs($standby, 10);
ok($standby->poll_query_until('postgres', "SELECT logs_folded > $folded FROM wflog.stat"), 'promoted: the keeper goes on rolling up');
exact_ok($standby, 'and exact');
is(log_errors($standby), '', 'no error of ours');

$_->stop foreach values %client;
$standby->stop;
done_testing();
