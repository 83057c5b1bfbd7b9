/*
 * Reading (src/read_*.c, src/stream.c).  The functions check once per call
 * who asks, and read leaves and indexes directly.
 */
CREATE FUNCTION wflog.logs(
    execution_id    pg_catalog.varchar,
    max_rows        pg_catalog.int4 DEFAULT NULL,
    skip            pg_catalog.int8 DEFAULT 0,
    level           pg_catalog.text DEFAULT NULL,
    min_level       pg_catalog.text DEFAULT NULL,
    start_time      pg_catalog.timestamptz DEFAULT NULL,
    end_time        pg_catalog.timestamptz DEFAULT NULL,
    category        pg_catalog.text DEFAULT NULL,
    event_type      pg_catalog.text DEFAULT NULL,
    node_id         pg_catalog.text DEFAULT NULL,
    source          pg_catalog.text DEFAULT NULL,
    attempt         pg_catalog.int4 DEFAULT NULL,
    milestones_only pg_catalog.bool DEFAULT false,
    min_priority    pg_catalog.int4 DEFAULT NULL,
    search          pg_catalog.text DEFAULT NULL,
    after           pg_catalog.text DEFAULT NULL,
    before          pg_catalog.text DEFAULT NULL
) RETURNS SETOF wflog.workflow_execution_logs
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'wflog_logs';
COMMENT ON FUNCTION wflog.logs(pg_catalog.varchar, pg_catalog.int4, pg_catalog.int8, pg_catalog.text,
    pg_catalog.text, pg_catalog.timestamptz, pg_catalog.timestamptz, pg_catalog.text,
    pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.bool,
    pg_catalog.int4, pg_catalog.text, pg_catalog.text, pg_catalog.text) IS
    'an execution''s logs as rows, in order of (created_at, id)';

CREATE FUNCTION wflog.logs_json(
    execution_id    pg_catalog.varchar,
    max_rows        pg_catalog.int4 DEFAULT 100,
    skip            pg_catalog.int8 DEFAULT 0,
    level           pg_catalog.text DEFAULT NULL,
    min_level       pg_catalog.text DEFAULT NULL,
    start_time      pg_catalog.timestamptz DEFAULT NULL,
    end_time        pg_catalog.timestamptz DEFAULT NULL,
    category        pg_catalog.text DEFAULT NULL,
    event_type      pg_catalog.text DEFAULT NULL,
    node_id         pg_catalog.text DEFAULT NULL,
    source          pg_catalog.text DEFAULT NULL,
    attempt         pg_catalog.int4 DEFAULT NULL,
    milestones_only pg_catalog.bool DEFAULT false,
    min_priority    pg_catalog.int4 DEFAULT NULL,
    search          pg_catalog.text DEFAULT NULL,
    after           pg_catalog.text DEFAULT NULL,
    before          pg_catalog.text DEFAULT NULL,
    from_end        pg_catalog.bool DEFAULT false,
    detail          pg_catalog.bool DEFAULT false,
    with_total      pg_catalog.bool DEFAULT true
) RETURNS pg_catalog.json
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'wflog_logs_json';
COMMENT ON FUNCTION wflog.logs_json(pg_catalog.varchar, pg_catalog.int4, pg_catalog.int8, pg_catalog.text,
    pg_catalog.text, pg_catalog.timestamptz, pg_catalog.timestamptz, pg_catalog.text,
    pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.bool,
    pg_catalog.int4, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.bool,
    pg_catalog.bool, pg_catalog.bool) IS
    'a page of an execution''s logs as JSON, with total and cursors';

CREATE FUNCTION wflog.tail(
    execution_id pg_catalog.varchar,
    cursor       pg_catalog.text DEFAULT NULL,
    max_rows     pg_catalog.int4 DEFAULT 1000
) RETURNS TABLE (cursor pg_catalog.text, log pg_catalog.json, batch pg_catalog.text)
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'wflog_tail';
COMMENT ON FUNCTION wflog.tail(pg_catalog.varchar, pg_catalog.text, pg_catalog.int4) IS
    'an execution''s logs in the order they were committed, from a cursor on';

CREATE FUNCTION wflog.summary(execution_id pg_catalog.varchar) RETURNS pg_catalog.json
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'wflog_summary';
COMMENT ON FUNCTION wflog.summary(pg_catalog.varchar) IS
    'an execution''s logs counted by level and event type, its milestones, nodes and time line';

CREATE FUNCTION wflog.recent_logs(
    workflow_id            pg_catalog.text,
    max_rows               pg_catalog.int4 DEFAULT 100,
    include_all_executions pg_catalog.bool DEFAULT false
) RETURNS pg_catalog.json
    LANGUAGE c STABLE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'wflog_recent_logs';
COMMENT ON FUNCTION wflog.recent_logs(pg_catalog.text, pg_catalog.int4, pg_catalog.bool) IS
    'the latest execution of a workflow with its last logs';

CREATE FUNCTION wflog.execution(execution_id pg_catalog.varchar) RETURNS pg_catalog.json
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'wflog_execution';
COMMENT ON FUNCTION wflog.execution(pg_catalog.varchar) IS
    'an execution''s status, times, error, number of logs and progress';

CREATE FUNCTION wflog.executions_json(
    workflow_id pg_catalog.text DEFAULT NULL,
    status      pg_catalog.text DEFAULT NULL,
    max_rows    pg_catalog.int4 DEFAULT 100,
    after       pg_catalog.text DEFAULT NULL
) RETURNS pg_catalog.json
    LANGUAGE c STABLE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'wflog_executions_json';
COMMENT ON FUNCTION wflog.executions_json(pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.text) IS
    'executions, the newest first, by the page';

CREATE FUNCTION wflog.workflow_summary(
    workflow_id pg_catalog.text,
    since       pg_catalog.timestamptz DEFAULT NULL,
    until       pg_catalog.timestamptz DEFAULT NULL,
    bucket      pg_catalog.interval DEFAULT NULL
) RETURNS pg_catalog.json
    LANGUAGE c STABLE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'wflog_workflow_summary';
COMMENT ON FUNCTION wflog.workflow_summary(pg_catalog.text, pg_catalog.timestamptz, pg_catalog.timestamptz,
    pg_catalog.interval) IS
    'a workflow''s executions, durations, logs and errors in figures, as a series if a bucket is given';

CREATE FUNCTION wflog.statistics(
    workflow_id pg_catalog.text DEFAULT NULL,
    since       pg_catalog.timestamptz DEFAULT NULL,
    until       pg_catalog.timestamptz DEFAULT NULL,
    bucket      pg_catalog.interval DEFAULT NULL
) RETURNS pg_catalog.json
    LANGUAGE c STABLE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'wflog_statistics';
COMMENT ON FUNCTION wflog.statistics(pg_catalog.text, pg_catalog.timestamptz, pg_catalog.timestamptz,
    pg_catalog.interval) IS
    'what workflow_summary() tells of a workflow, of all workflows that one may read';

CREATE FUNCTION wflog.workflow_logs_json(
    workflow_id     pg_catalog.text,
    max_rows        pg_catalog.int4 DEFAULT 100,
    level           pg_catalog.text DEFAULT NULL,
    min_level       pg_catalog.text DEFAULT NULL,
    start_time      pg_catalog.timestamptz DEFAULT NULL,
    end_time        pg_catalog.timestamptz DEFAULT NULL,
    category        pg_catalog.text DEFAULT NULL,
    event_type      pg_catalog.text DEFAULT NULL,
    node_id         pg_catalog.text DEFAULT NULL,
    source          pg_catalog.text DEFAULT NULL,
    attempt         pg_catalog.int4 DEFAULT NULL,
    milestones_only pg_catalog.bool DEFAULT false,
    min_priority    pg_catalog.int4 DEFAULT NULL,
    search          pg_catalog.text DEFAULT NULL,
    after           pg_catalog.text DEFAULT NULL,
    before          pg_catalog.text DEFAULT NULL,
    from_end        pg_catalog.bool DEFAULT false,
    detail          pg_catalog.bool DEFAULT false
) RETURNS pg_catalog.json
    LANGUAGE c STABLE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'wflog_workflow_logs_json';
COMMENT ON FUNCTION wflog.workflow_logs_json(pg_catalog.text, pg_catalog.int4, pg_catalog.text,
    pg_catalog.text, pg_catalog.timestamptz, pg_catalog.timestamptz, pg_catalog.text,
    pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.bool,
    pg_catalog.int4, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.bool,
    pg_catalog.bool) IS
    'a page of the logs of all executions of a workflow';
