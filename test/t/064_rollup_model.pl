# Random model test of roll-ups, on a server with the library preloaded: sessions
# write, roll back, prepare, change and delete logs, empty, detach and attach
# leaves, run maintenance; the keeper folds meanwhile, whenever it likes; the
# server is stopped, also at once and without warning.  At any moment, in any
# session and any isolation level, what is said by roll-up equals what plain SQL
# counts under the same snapshot, and verify() has no row.
#
# The steps are drawn beforehand from a seed and run by one session that drives
# the others through dblink:
#
#   WFLOG_TEST_SEED    the seed; at random if unset
#   WFLOG_TEST_STEPS   how many steps; 3000

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{WFLOG_TEST_SEED} // int(rand(2**31));
my $steps = $ENV{WFLOG_TEST_STEPS} // 3000;
my $segments = 6;
my $session_count = 5;
my @executions = map { "roll-$_" } 1 .. 5;

diag("WFLOG_TEST_SEED=$seed WFLOG_TEST_STEPS=$steps");
srand($seed);

my $node = PostgreSQL::Test::Cluster->new('rollups');
$node->init;
$node->append_conf('postgresql.conf', <<CONF);
shared_preload_libraries = 'wflog'
max_prepared_transactions = 20
max_worker_processes = 20
wflog.maintenance_interval = 0
log_statement = none
autovacuum_naptime = 1s
CONF
$node->start;
if ($node->safe_psql('postgres', q(SELECT count(*) FROM pg_available_extensions WHERE name = 'dblink')) eq '0')
{
	plan skip_all => 'this installation of PostgreSQL has no dblink';
}

$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION wflog;
CREATE EXTENSION dblink;
CREATE SCHEMA model;

-- Compare what is said of an execution with its logs, all under one snapshot.
CREATE FUNCTION model.check(e text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	said jsonb := wflog.summary(e)::jsonb;
	counted jsonb;
	wrong text;
BEGIN
	SELECT string_agg(v::text, ' ') INTO wrong FROM wflog.verify(e) v;
	IF wrong IS NOT NULL THEN
		RAISE EXCEPTION 'verify(%): %', e, wrong;
	END IF;
	SELECT jsonb_build_object('total_logs', count(*),
		'milestones', coalesce(jsonb_agg(message ORDER BY created_at, id) FILTER (WHERE is_milestone), '[]'),
		'info', count(*) FILTER (WHERE level = 'INFO'), 'errors', count(*) FILTER (WHERE level >= 'ERROR'),
		'steps', count(*) FILTER (WHERE event_type = 'step_started'),
		'in_nodes', count(node_id), 'nodes', count(DISTINCT node_id))
	INTO counted FROM wflog.workflow_execution_logs WHERE execution_id = e;
	said := jsonb_build_object('total_logs', said->'total_logs',
		'milestones', (SELECT coalesce(jsonb_agg(m->'message' ORDER BY o), '[]')
			FROM jsonb_array_elements(said->'milestones') WITH ORDINALITY AS a(m, o)),
		'info', coalesce((said #> '{log_levels,info}')::int, 0),
		'errors', (wflog.logs_json(e, 1, min_level => 'ERROR')->>'total_count')::int,
		'steps', (wflog.logs_json(e, 1, event_type => 'step_started')->>'total_count')::int,
		'in_nodes', (SELECT coalesce(sum((value->>'logs_count')::int), 0) FROM jsonb_each(said->'nodes')),
		'nodes', (SELECT count(*) FROM jsonb_each(said->'nodes')));
	IF said <> counted THEN
		RAISE EXCEPTION '%: said % counted %', e, said, counted;
	END IF;
	IF (wflog.logs_json(e, 2)->>'total_count')::int <> (counted->>'total_logs')::int
		OR (wflog.execution(e)->>'total_logs')::int <> (counted->>'total_logs')::int THEN
		RAISE EXCEPTION '%: total of a page or of execution() differs', e;
	END IF;
	RETURN 'ok';
END $$;

-- The same of the workflow of them all, in a time span and by buckets.
CREATE FUNCTION model.check_workflow(since timestamptz, until timestamptz, bucket interval)
RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	summary jsonb := wflog.workflow_summary('model', since, until, bucket)::jsonb;
	said jsonb;
	counted jsonb;
BEGIN
	WITH logs AS MATERIALIZED (
		SELECT l.*, date_bin(bucket, l.created_at, '2000-01-01Z') AS start
		FROM wflog.workflow_execution_logs l JOIN wflog.workflow_executions USING (execution_id)
		WHERE workflow_id = 'model' AND l.created_at BETWEEN since AND until),
	levels AS (SELECT start, lower(level::text) AS level, count(*) AS n FROM logs GROUP BY 1, 2),
	texts AS (SELECT message, count(*) AS n, max(created_at) AS last FROM logs WHERE level >= 'ERROR' GROUP BY 1)
	SELECT jsonb_build_object('total', (SELECT count(*) FROM logs),
		'levels', (SELECT jsonb_object_agg(level, n) FROM (SELECT level, sum(n) AS n FROM levels GROUP BY 1) x),
		'error_types', (SELECT jsonb_object_agg(event_type, n) FROM (SELECT event_type, count(*) AS n
			FROM logs WHERE level >= 'ERROR' GROUP BY 1) x),
		'messages', (SELECT jsonb_agg(m ORDER BY o) FROM (SELECT message AS m,
			row_number() OVER (ORDER BY n DESC, last DESC, message) AS o FROM texts) x WHERE o <= 10),
		'series', (SELECT jsonb_object_agg(to_char(start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || level, n)
			FROM levels))
	INTO counted;
	said := jsonb_build_object('total', summary #> '{logs,total}',
		'levels', nullif(summary #> '{logs,log_levels}', '{}'),
		'error_types', nullif(summary #> '{errors,event_types}', '{}'),
		'messages', (SELECT jsonb_agg(m->'message' ORDER BY o)
			FROM jsonb_array_elements(summary #> '{errors,most_frequent}') WITH ORDINALITY AS a(m, o)),
		'series', (SELECT jsonb_object_agg(to_char((b->>'start')::timestamptz AT TIME ZONE 'UTC',
				'YYYY-MM-DD HH24:MI:SS') || level, n)
			FROM jsonb_array_elements(summary->'series') b, jsonb_each(b->'log_levels') AS l(level, n)));
	IF said <> counted THEN
		RAISE EXCEPTION 'workflow_summary(%, %, %): said % counted %', since, until, bucket, said, counted;
	END IF;
	RETURN 'ok';
END $$;

-- The days that have leaves, oldest first.
CREATE FUNCTION model.leaf(n int) RETURNS text LANGUAGE sql AS $$
	SELECT inhrelid::regclass::text FROM pg_inherits
	WHERE inhparent = 'wflog.workflow_execution_logs_rows'::regclass
	ORDER BY inhrelid::regclass::text OFFSET n % greatest((SELECT count(*) FROM pg_inherits
		WHERE inhparent = 'wflog.workflow_execution_logs_rows'::regclass)::int, 1) LIMIT 1
$$;
SQL
$node->safe_psql('postgres', "SELECT wflog.start_execution('$_', 'model')") foreach @executions;

sub pick { return $_[ int(rand(@_)) ] }
sub between { my ($from, $to) = @_; return $from + int(rand($to - $from + 1)) }

my $n = 0;

sub created_at
{
	return rand() < 0.6 ? 'clock_timestamp()'
	  : "now() - interval '" . between(0, 6) . ' days ' . between(0, 86399) . " seconds'";
}

sub insert_logs
{
	my ($count) = @_;
	my @rows;
	for (1 .. $count)
	{
		my $node_id = rand() < 0.7 ? "'node " . between(1, 6) . "'" : 'NULL';
		push @rows, '(' . join(', ', "'" . pick(@executions) . "'", "'m" . ++$n . "'",
			"'" . pick(qw(DEBUG INFO WARNING ERROR CRITICAL)) . "'",
			"'" . pick(qw(log step_started step_completed step_error separator)) . "'",
			$node_id, pick('NULL', between(1, 9)), pick('NULL', between(1, 3)),
			rand() < 0.2 ? 'true' : 'false', created_at()) . ')';
	}
	return 'INSERT INTO wflog.workflow_execution_logs (execution_id, message, level, event_type, node_id,'
	  . ' step_number, attempt, is_milestone, created_at) VALUES ' . join(', ', @rows);
}

sub where_logs
{
	return "execution_id = '" . pick(@executions) . "' AND message ~ '" . between(0, 9) . between(0, 9) . "\$'";
}

# Whole days and parts of them.
sub span
{
	my $from = between(0, 7);
	my $since = pick("now() - interval '$from days " . between(0, 86399) . " seconds'", "date_trunc('day', now()) - interval '$from days'");
	return "$since, greatest($since, " . pick('clock_timestamp()', "now() - interval '1 day' * " . rand($from),
		"date_trunc('day', now()) - interval '1 microsecond'") . ')' if rand() < 0.5;
	return "$since, $since + interval '" . between(0, 200) . " hours'";
}

my @open = (0) x ($session_count + 1);    # 1: in a transaction
my @prepared;
my $prepared_number = 0;

# One step as lines for the driving session.
sub step
{
	my $s = between(1, $session_count);
	my $run = sub { return "SELECT dblink_exec('s$s', \$run\$$_[0]\$run\$, true);" };
	my $ask = sub { return "SELECT * FROM dblink('s$s', \$run\$$_[0]\$run\$) AS r(value text);" };
	my $what = rand();

	return $run->(insert_logs(rand() < 0.1 ? between(50, 150) : between(1, 6))) if $what < 0.30;
	return $ask->("SELECT model.check('" . pick(@executions) . "')") if $what < 0.49;
	return $ask->('SELECT model.check_workflow(' . span() . ", '" . pick('30 days', '36 hours', '1 day', '1 hour', '7 minutes') . "')")
	  if $what < 0.55;
	if ($what < 0.68)
	{
		if (!$open[$s])
		{
			$open[$s] = 1;
			return $run->('BEGIN ISOLATION LEVEL ' . pick('READ COMMITTED', 'REPEATABLE READ'));
		}
		$open[$s] = 0;
		return $run->('ROLLBACK') if rand() < 0.25;
		if (@prepared < 4 && rand() < 0.3)
		{
			push @prepared, 'p' . ++$prepared_number;
			return $run->("PREPARE TRANSACTION '$prepared[-1]'");
		}
		return $run->('COMMIT');
	}
	if ($what < 0.72)
	{
		return if $open[$s] || !@prepared;
		return $run->(pick('COMMIT', 'COMMIT', 'ROLLBACK') . " PREPARED '" . shift(@prepared) . "'");
	}
	# what changes rows must not wait for another session, which could not go on
	my $alone = !grep { $_ } @open;
	return $run->('SAVEPOINT a; ' . insert_logs(3) . '; ROLLBACK TO a') if $open[$s] && $what < 0.76;
	return unless $alone && !@prepared;
	return $run->('UPDATE wflog.workflow_execution_logs SET level = \'' . pick(qw(INFO ERROR)) . "' WHERE " . where_logs())
	  if $what < 0.80;
	return $run->("UPDATE wflog.workflow_execution_logs SET execution_id = '" . pick(@executions) . "' WHERE " . where_logs())
	  if $what < 0.82;
	return $run->('DELETE FROM wflog.workflow_execution_logs WHERE ' . where_logs()) if $what < 0.86;
	return $run->('BEGIN; DELETE FROM wflog.workflow_execution_logs WHERE ' . where_logs() . '; ROLLBACK') if $what < 0.88;
	return $run->("DO \$do\$ BEGIN EXECUTE 'TRUNCATE ' || model.leaf(" . between(0, 20) . '); END $do$') if $what < 0.90;
	return "SELECT dblink_exec('s$s', 'VACUUM FULL ' || model.leaf(" . between(0, 20) . '), true);' if $what < 0.905;
	return $run->("DO \$do\$ DECLARE l text := model.leaf(" . between(0, 20) . "); BEGIN EXECUTE 'CLUSTER ' || l || ' USING ' || "
		  . "(SELECT relname FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = l::regclass AND indisprimary); END \$do\$")
	  if $what < 0.93;
	# detach a leaf, change it unseen, and attach it again
	return $run->("DO \$do\$ DECLARE l text; b text; BEGIN SELECT c.oid::regclass::text, pg_get_expr(relpartbound, c.oid) INTO l, b "
		  . "FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid WHERE i.inhparent = 'wflog.workflow_execution_logs_rows'::regclass "
		  . "AND pg_get_expr(relpartbound, c.oid) <> 'DEFAULT' ORDER BY random() LIMIT 1; IF l IS NULL THEN RETURN; END IF; "
		  . "EXECUTE 'ALTER TABLE wflog.workflow_execution_logs_rows DETACH PARTITION ' || l; "
		  . "EXECUTE 'DELETE FROM ' || l || ' WHERE message ~ ''[" . between(0, 9) . "]\$'''; "
		  . "EXECUTE 'INSERT INTO ' || l || ' SELECT (r).* FROM (SELECT l #= hstore(''id'', gen_random_uuid()::text) AS r FROM ' || l || ' l LIMIT 3) x'; "
		  . "EXECUTE 'ALTER TABLE wflog.workflow_execution_logs_rows ATTACH PARTITION ' || l || ' ' || b; END \$do\$")
	  if $what < 0.95;
	return $run->('DELETE FROM wflog.retention_policies; INSERT INTO wflog.retention_policies VALUES (\'workflow\', \'model\', '
		  . between(1, 5) . ')') if $what < 0.96;
	return "CALL wflog.maintain();";
}

my $failed = 0;
$node->safe_psql('postgres', 'CREATE EXTENSION hstore');
for my $segment (1 .. $segments)
{
	my @script = ('\set ON_ERROR_STOP on', 'SET client_min_messages = error;');
	my $name = $node->connstr('postgres');

	@open = (0) x ($session_count + 1);
	push @script, "SELECT dblink_connect('s$_', \$\$$name\$\$);" for 1 .. $session_count;
	push @script, "SELECT dblink_exec('s$_', \$\$SET client_min_messages = error\$\$);" for 1 .. $session_count;
	for (1 .. $steps / $segments)
	{
		my $line = step();
		push @script, $line if defined $line;
	}
	my $file = $node->basedir . "/steps$segment.sql";
	append_to_file($file, join("\n", @script) . "\n");
	my ($status, $out, $err) = $node->psql('postgres', "\\i $file", timeout => 600);
	if ($status)
	{
		$failed = 1;
		fail("segment $segment");
		diag($err);
		last;
	}
	pass("segment $segment: every check holds");
	$node->stop($segment % 2 ? 'immediate' : 'fast');
	$node->start;
}
if (!$failed)
{
	$node->safe_psql('postgres', "ROLLBACK PREPARED '$_'") for @prepared;
	is($node->safe_psql('postgres', "SELECT DISTINCT model.check(e) FROM unnest(ARRAY['" . join("', '", @executions) . "']) e"),
		'ok', 'and at the end');
	is($node->safe_psql('postgres', "SELECT DISTINCT model.check_workflow(now() - s * interval '1 hour', now(), b::interval) "
			  . "FROM generate_series(1, 200, 9) s, unnest(ARRAY['1 hour', '1 day', '30 days']) b"),
		'ok', 'of the workflow too');
	$node->poll_query_until('postgres', "SELECT count(*) = " . scalar(@executions) . " FROM wflog.rollup_heads, "
		  . "LATERAL (SELECT wflog.summary(execution_id)) s")
	  or $node->poll_query_until('postgres', 'SELECT count(*) > 0 FROM wflog.rollup_heads');
	is($node->safe_psql('postgres', 'SELECT count(*) > 0 FROM wflog.rollup_heads'), 't', 'there are roll-ups');
}
$node->stop;
done_testing();
