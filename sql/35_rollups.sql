/*
 * Roll-ups (docs/decisions/0011-rollups.md): what has been added up of each
 * execution's logs, so that a summary need not count them.  They can be thrown
 * away at any time, and so are not dumped; nobody but our functions reads or
 * writes them.
 *
 * A head says which transactions' logs are rolled up of an execution: all ids
 * below seen_xmax but those in seen_hidden.  Without a head nothing is.
 */
CREATE TABLE wflog.rollup_heads (
    execution_hash pg_catalog.int8 NOT NULL,
    execution_id   pg_catalog.text COLLATE "C" NOT NULL,
    seen_xmax      pg_catalog.xid8 NOT NULL,
    seen_hidden    pg_catalog.xid8[],
    folded_at      pg_catalog.timestamptz NOT NULL,
    PRIMARY KEY (execution_hash, execution_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.2);

/*
 * The logs of an execution in a leaf.  filenode and trigger tell whether it is
 * still the same leaf with the same contents: TRUNCATE and rewriting change
 * the one, detaching and attaching the other.
 */
CREATE TABLE wflog.rollups (
    execution_hash pg_catalog.int8 NOT NULL,
    leaf           pg_catalog.oid NOT NULL,
    execution_id   pg_catalog.text COLLATE "C" NOT NULL,
    filenode       pg_catalog.oid NOT NULL,
    trigger        pg_catalog.oid NOT NULL,
    totals         pg_catalog.bytea NOT NULL,
    PRIMARY KEY (execution_hash, leaf, execution_id)
) WITH (fillfactor = 50, toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.05,
        autovacuum_analyze_scale_factor = 0.2);

/*
 * The milestones among them, written out as JSON, as many in a row as fit on
 * a page.
 */
CREATE TABLE wflog.rollup_milestones (
    execution_hash pg_catalog.int8 NOT NULL,
    leaf           pg_catalog.oid NOT NULL,
    number         pg_catalog.int4 NOT NULL,
    execution_id   pg_catalog.text COLLATE "C" NOT NULL,
    entries        pg_catalog.bytea NOT NULL,
    PRIMARY KEY (execution_hash, leaf, number, execution_id)
) WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.05,
        autovacuum_analyze_scale_factor = 0.2);

/*
 * Executions whose logs somebody has changed or deleted: their roll-ups do not
 * count for whom the mark is visible.  Only inserted by writers, so that none
 * waits for another or for the keeper, which deletes what it has dealt with.
 */
CREATE TABLE wflog.rollup_marks (
    execution_hash pg_catalog.int8 NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX rollup_marks_execution_idx ON wflog.rollup_marks (execution_hash);

/*
 * The leaves all of whose logs came by way of their triggers, or were there
 * when the oldest roll-up was begun.  In others anything may be.
 */
CREATE TABLE wflog.rollup_leaves (
    leaf    pg_catalog.oid PRIMARY KEY,
    trigger pg_catalog.oid NOT NULL
);

CREATE FUNCTION wflog.mark_log() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wflog_mark_log';
COMMENT ON FUNCTION wflog.mark_log() IS
    'trigger: marks the roll-ups of an execution whose logs are changed or deleted';

CREATE TRIGGER mark_log
    BEFORE UPDATE OR DELETE ON wflog.workflow_execution_logs
    FOR EACH ROW EXECUTE FUNCTION wflog.mark_log();
ALTER TABLE wflog.workflow_execution_logs ENABLE ALWAYS TRIGGER mark_log;

INSERT INTO wflog.rollup_leaves
SELECT t.tgrelid, t.oid FROM pg_catalog.pg_trigger t
WHERE t.tgrelid OPERATOR(pg_catalog.=) 'wflog.workflow_execution_logs_default'::pg_catalog.regclass
    AND t.tgname OPERATOR(pg_catalog.=) 'mark_log';

CREATE FUNCTION wflog.verify(execution_id pg_catalog.varchar)
    RETURNS TABLE (day pg_catalog.date, item pg_catalog.text,
                   rolled_up pg_catalog.int8, counted pg_catalog.int8)
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'wflog_verify';
COMMENT ON FUNCTION wflog.verify(pg_catalog.varchar) IS
    'where an execution''s roll-up, with what is not rolled up yet, differs from its logs; no row: nowhere';
