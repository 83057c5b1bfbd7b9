--
-- Roll-ups: what is said by them is what the logs say, whatever is done to the
-- logs.  Nothing is rolled up unless the library is preloaded; the output is
-- the same with it and without.  Folds at awkward moments: t/064_rollup_fold.pl.
--
\set VERBOSITY terse
CREATE TEMP TABLE clock AS SELECT date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS today;

-- what the functions say of an execution, and what plain SQL counts
CREATE VIEW pg_temp.said AS
SELECT execution_id, (s ->> 'total_logs')::int AS logs, s -> 'log_levels' AS levels, s -> 'event_types' AS event_types,
    (SELECT jsonb_agg(m ->> 'message' ORDER BY o) FROM jsonb_array_elements(s -> 'milestones') WITH ORDINALITY AS x (m, o)) AS milestones,
    (SELECT jsonb_object_agg(key, value -> 'logs_count') FROM jsonb_each(s -> 'nodes')) AS nodes,
    (wflog.logs_json(execution_id, 1) ->> 'total_count')::int AS page,
    (wflog.logs_json(execution_id, 1, min_level => 'ERROR') ->> 'total_count')::int AS errors,
    (wflog.execution(execution_id) ->> 'total_logs')::int AS execution
FROM (SELECT execution_id, wflog.summary(execution_id)::jsonb AS s FROM wflog.workflow_executions WHERE workflow_id = 'rollups') AS x;
CREATE VIEW pg_temp.counted AS
SELECT e.execution_id, count(l.id)::int AS logs,
    (SELECT coalesce(jsonb_object_agg(lower(level::text), n), '{}') FROM (SELECT level, count(*) AS n FROM wflog.workflow_execution_logs WHERE execution_id = e.execution_id GROUP BY 1) AS x) AS levels,
    (SELECT coalesce(jsonb_object_agg(event_type, n), '{}') FROM (SELECT event_type, count(*) AS n FROM wflog.workflow_execution_logs WHERE execution_id = e.execution_id GROUP BY 1) AS x) AS event_types,
    jsonb_agg(l.message ORDER BY l.created_at, l.id) FILTER (WHERE l.is_milestone) AS milestones,
    (SELECT jsonb_object_agg(node_id, n) FROM (SELECT node_id, count(*) AS n FROM wflog.workflow_execution_logs WHERE execution_id = e.execution_id AND node_id IS NOT NULL GROUP BY 1) AS x) AS nodes,
    count(l.id)::int AS page, (count(l.id) FILTER (WHERE l.level >= 'ERROR'))::int AS errors, count(l.id)::int AS execution
FROM wflog.workflow_executions e LEFT JOIN wflog.workflow_execution_logs l USING (execution_id)
WHERE e.workflow_id = 'rollups' GROUP BY 1;

-- how many executions there are, and how many are described rightly; a verify() without rows is right
CREATE VIEW pg_temp.checked AS
SELECT count(*) AS executions, sum(c.logs) AS logs, count(*) FILTER (WHERE s IS NOT DISTINCT FROM c) AS same,
    (SELECT count(*) FROM pg_temp.counted AS x, wflog.verify(x.execution_id)) AS differences
FROM pg_temp.counted AS c LEFT JOIN pg_temp.said AS s USING (execution_id);

-- the workflow as a whole, by the day
CREATE VIEW pg_temp.days AS
SELECT (SELECT jsonb_object_agg(left(b ->> 'start', 10), b -> 'log_levels') FROM jsonb_array_elements(w -> 'series') AS b WHERE b ->> 'logs' <> '0') IS NOT DISTINCT FROM
    (SELECT jsonb_object_agg(day, levels) FROM (SELECT day, jsonb_object_agg(level, n) AS levels FROM (
        SELECT to_char(l.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day, lower(level::text) AS level, count(*) AS n
        FROM wflog.workflow_execution_logs l JOIN wflog.workflow_executions USING (execution_id) WHERE workflow_id = 'rollups' GROUP BY 1, 2) AS x GROUP BY 1) AS y) AS same_days,
    (w #>> '{errors,total}')::int = (SELECT count(*) FROM wflog.workflow_execution_logs JOIN wflog.workflow_executions USING (execution_id) WHERE workflow_id = 'rollups' AND level >= 'ERROR') AS same_errors
FROM (SELECT wflog.workflow_summary('rollups', bucket => '1 day')::jsonb AS w) AS x;

-- Wait until everything is rolled up: every execution that has logs has a head,
-- and no mark is left.  Without preload that is never, and there is no waiting.
CREATE PROCEDURE pg_temp.fold() LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('shared_preload_libraries') !~ 'wflog' THEN
        RETURN;
    END IF;
    FOR i IN 1 .. 1800 LOOP
        PERFORM count(*) FROM pg_temp.said;
        COMMIT;
        IF NOT EXISTS (SELECT FROM pg_temp.counted c WHERE logs > 0 AND NOT EXISTS (SELECT FROM wflog.rollup_heads h WHERE h.execution_id = c.execution_id
                       AND NOT EXISTS (SELECT FROM wflog.rollup_marks m WHERE m.execution_hash = h.execution_hash))) THEN
            RETURN;
        END IF;
        COMMIT;
        PERFORM pg_sleep(0.1);
    END LOOP;
    RAISE EXCEPTION 'the keeper does not fold';
END
$$;

CREATE PROCEDURE pg_temp.fill(execution text, first int, last int) LANGUAGE sql AS $$
    INSERT INTO wflog.workflow_execution_logs (execution_id, message, level, event_type, node_id, is_milestone, created_at)
    SELECT execution, 'log ' || i, (ARRAY['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'])[i % 5 + 1]::wflog.log_level_enum,
        (ARRAY['log', 'step_started', 'step_error'])[i % 3 + 1]::wflog.log_event_type_enum, 'node ' || nullif(i % 4, 0), i % 7 = 0,
        today - i % 3 * interval '1 day' + i * interval '1 second'
    FROM pg_temp.clock, generate_series(first, last) AS i
$$;

SELECT wflog.start_execution('rollup ' || i, 'rollups') FROM generate_series(1, 4) AS i;
-- partitions for the days
CALL pg_temp.fill('rollup days', 1, 3);
CALL wflog.maintain();

-- before folding, after it, and with more since; if there is no folding, all that follows is in vain
\set ON_ERROR_STOP on
SELECT count(*) AS not_tracked FROM pg_trigger WHERE tgname IN ('log_row', 'mark_log') AND tgenabled <> 'A';
CALL pg_temp.fill('rollup 1', 1, 100);
CALL pg_temp.fill('rollup 2', 1, 200);
CALL pg_temp.fill('rollup 3', 1, 300);
SELECT * FROM pg_temp.checked;
CALL pg_temp.fold();
SELECT * FROM pg_temp.checked;
CALL pg_temp.fill('rollup 1', 101, 110);
CALL pg_temp.fill('rollup 3', 301, 400);
SELECT * FROM pg_temp.checked;
SELECT * FROM pg_temp.days;

-- what a transaction has written itself, and rolls back
BEGIN;
CALL pg_temp.fill('rollup 2', 201, 230);
SAVEPOINT a;
CALL pg_temp.fill('rollup 2', 231, 240);
SELECT * FROM pg_temp.checked;
ROLLBACK TO a;
SELECT * FROM pg_temp.checked;
ROLLBACK;
SELECT * FROM pg_temp.checked;

-- an older snapshot sees what it saw
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM pg_temp.checked;
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT * FROM pg_temp.checked;
COMMIT;

-- changed by hand
CALL pg_temp.fold();
UPDATE wflog.workflow_execution_logs SET level = 'CRITICAL', is_milestone = true WHERE execution_id = 'rollup 1' AND message ~ '5$';
SELECT * FROM pg_temp.checked;
UPDATE wflog.workflow_execution_logs SET execution_id = 'rollup 4' WHERE execution_id = 'rollup 1' AND message ~ '6$';
SELECT * FROM pg_temp.checked;
CALL pg_temp.fold();
SELECT * FROM pg_temp.checked;
-- ... to another partition
UPDATE wflog.workflow_execution_logs SET created_at = created_at - interval '1 day' WHERE execution_id = 'rollup 2' AND message ~ '7$';
DELETE FROM wflog.workflow_execution_logs WHERE execution_id = 'rollup 3' AND message ~ '[12]$';
SELECT * FROM pg_temp.checked;
SELECT * FROM pg_temp.days;
CALL pg_temp.fold();
SELECT * FROM pg_temp.checked;
-- ... and not after all
BEGIN;
DELETE FROM wflog.workflow_execution_logs WHERE execution_id = 'rollup 3';
SELECT * FROM pg_temp.checked;
ROLLBACK;
SELECT * FROM pg_temp.checked;

-- partitions emptied, rewritten, detached and dropped
CREATE PROCEDURE pg_temp.on_leaf(days_ago int, command text) LANGUAGE plpgsql AS $$
DECLARE
    leaf oid := (SELECT c.oid FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid, pg_temp.clock
        WHERE i.inhparent = 'wflog.workflow_execution_logs_rows'::regclass AND c.relname ~ to_char(today AT TIME ZONE 'UTC' - days_ago * interval '1 day', '_YYYYMMDD$'));
BEGIN
    EXECUTE replace(replace(command, 'LEAF', leaf::regclass::text), 'KEY', (SELECT c.relname FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = leaf AND indisprimary));
END
$$;
CALL pg_temp.on_leaf(1, 'CLUSTER LEAF USING KEY');
SELECT * FROM pg_temp.checked;
CALL pg_temp.fold();
CALL pg_temp.on_leaf(2, 'TRUNCATE LEAF');
SELECT executions, same, differences, logs BETWEEN 1 AND 599 AS fewer FROM pg_temp.checked;
SELECT * FROM pg_temp.days;
CALL pg_temp.fold();
BEGIN;
CALL pg_temp.on_leaf(1, 'DROP TABLE LEAF');
SELECT executions, same, differences, logs BETWEEN 1 AND 399 AS fewer FROM pg_temp.checked;
ROLLBACK;
SELECT executions, same, differences FROM pg_temp.checked;
CALL pg_temp.on_leaf(1, 'DROP TABLE LEAF');
SELECT executions, same, differences FROM pg_temp.checked;
SELECT * FROM pg_temp.days;
CALL wflog.maintain();
CALL pg_temp.fold();
SELECT executions, same, differences FROM pg_temp.checked;

-- thrown away
TRUNCATE wflog.rollup_heads;
SELECT executions, same, differences FROM pg_temp.checked;
CALL pg_temp.fold();
SELECT executions, same, differences FROM pg_temp.checked;

-- all logs of an execution deleted
DELETE FROM wflog.workflow_execution_logs WHERE execution_id = 'rollup 2';
SELECT wflog.summary('rollup 2');
SELECT executions, same, differences FROM pg_temp.checked;

-- who may ask
\set ON_ERROR_STOP off
CREATE ROLE regress_rollup_other LOGIN IN ROLE wflog_reader;
SET SESSION AUTHORIZATION regress_rollup_other;
SELECT * FROM wflog.verify('rollup 1');
SELECT * FROM wflog.rollup_heads;
RESET SESSION AUTHORIZATION;
SELECT * FROM wflog.verify(NULL);
SELECT * FROM wflog.verify('rollup none');

DROP ROLE regress_rollup_other;
DELETE FROM wflog.workflow_execution_logs WHERE execution_id LIKE 'rollup %';
CALL wflog.maintain();
