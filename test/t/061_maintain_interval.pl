# wflog.partition_interval is changed time and again while there are logs:
# ranges never overlap, no range of the near future is missing, no log is lost
# or out of its leaf.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('interval');
$node->init;
$node->append_conf('postgresql.conf', "timezone = 'Pacific/Chatham'\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION wflog');

my $logs = 0;

# Logs of every hour of 20 days back and 70 ahead
sub insert_logs
{
	$node->safe_psql(
		'postgres', q{
		INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
		SELECT 'e', 'm', now() + i * interval '1 hour' FROM generate_series(-20 * 24, 70 * 24) i});
	$logs += 90 * 24 + 1;
}

# What ranges there should be must not change while it is looked at: none begins
# but with an hour.
sub away_from_the_hour
{
	sleep(1) while time() % 3600 >= 3570;
	return;
}

my $ranges = q{
	SELECT c.oid, c.relname,
		substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \(''([^'']*)')::timestamptz AS lower,
		substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']*)')::timestamptz AS upper
	FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
	WHERE i.inhparent = 'wflog.workflow_execution_logs_rows'::regclass AND c.relname !~ '_default$'};

my %lengths = (hour => '1 hour', day => '1 day', week => '7 days', month => '1 mon');

foreach my $interval (qw(day hour week day month hour MONTH day))
{
	away_from_the_hour();
	insert_logs();
	my ($status, $out, $err) = $node->psql('postgres', "SET wflog.partition_interval = '$interval'; CALL wflog.maintain()");
	is($status, 0, "$interval: maintain()") or diag($err);
	is($err, '', "$interval: nothing is left for later");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM wflog.workflow_execution_logs'), $logs, "$interval: no log is lost");
	is( $node->safe_psql(
			'postgres', "SET timezone = 'UTC';
			WITH r AS ($ranges)
			SELECT count(*) FROM wflog.workflow_execution_logs_default l
			WHERE created_at < date_trunc('$interval', now(), 'UTC') + 4 * interval '$lengths{lc $interval}'"),
		'0', "$interval: none strays");
	is( $node->safe_psql(
			'postgres', "SET timezone = 'UTC';
			WITH r AS ($ranges), g AS (
				SELECT generate_series(date_trunc('$interval', now(), 'UTC'),
					date_trunc('$interval', now(), 'UTC') + 4 * interval '$lengths{lc $interval}' - interval '1 hour', interval '1 hour') AS t)
			SELECT count(*) FROM g WHERE NOT EXISTS (SELECT FROM r WHERE g.t >= r.lower AND g.t < r.upper)"),
		'0', "$interval: leaves ahead without a gap");

	my $leaves = $node->safe_psql('postgres', "SELECT string_agg(oid::text, ' ' ORDER BY oid) FROM ($ranges) r");
	$node->safe_psql('postgres', "SET wflog.partition_interval = '$interval'; CALL wflog.maintain()");
	is($node->safe_psql('postgres', "SELECT string_agg(oid::text, ' ' ORDER BY oid) FROM ($ranges) r"),
		$leaves, "$interval: a second run changes nothing");
}

# aligned as PostgreSQL aligns
is( $node->safe_psql(
		'postgres', "SET timezone = 'UTC';
		SELECT count(*) FROM ($ranges) r WHERE NOT (lower = date_trunc('hour', lower) AND upper = date_trunc('hour', upper))"),
	'0', 'bounds are whole hours of UTC');

my ($status, $out, $err) = $node->psql('postgres', "SELECT wflog.uuid_v7(); SET wflog.partition_interval = 'year'");
like($err, qr/invalid value for parameter "wflog.partition_interval"/, 'other intervals are refused');

# a new database for each: the leaves' names and lengths
foreach my $interval (sort keys %lengths)
{
	$node->safe_psql('postgres', "CREATE DATABASE db_$interval");
	$node->safe_psql("db_$interval", 'CREATE EXTENSION wflog');
	away_from_the_hour();
	$node->safe_psql("db_$interval", "SET wflog.partition_interval = '$interval'; CALL wflog.maintain()");
	is( $node->safe_psql(
			"db_$interval", "SET timezone = 'UTC';
			SELECT count(*), bool_and(upper = lower + interval '$lengths{$interval}'),
				bool_and(lower = date_trunc('$interval', lower)),
				bool_and(relname = 'workflow_execution_logs_' || to_char(lower,
					CASE '$interval' WHEN 'hour' THEN 'YYYYMMDDHH24' ELSE 'YYYYMMDD' END)),
				min(lower) = date_trunc('$interval', now())
			FROM ($ranges) r"),
		'4|t|t|t|t', "$interval: four leaves from now on, aligned and named by their start");
}

$node->stop;
done_testing();
