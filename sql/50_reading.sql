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
