/*
 * Executions, their status, and the audit trail.
 */

CREATE FUNCTION wflog.start_execution(
        execution_id pg_catalog.varchar,
        workflow_id pg_catalog.text,
        status pg_catalog.text DEFAULT 'RUNNING',
        user_id pg_catalog.text DEFAULT NULL,
        workflow_name pg_catalog.text DEFAULT NULL,
        tier pg_catalog.text DEFAULT NULL)
    RETURNS pg_catalog.void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'wflog_start_execution';
COMMENT ON FUNCTION wflog.start_execution(pg_catalog.varchar, pg_catalog.text, pg_catalog.text,
                                          pg_catalog.text, pg_catalog.text, pg_catalog.text) IS
    'registers an execution, and its workflow if there is none; a repeat is a no-op';

CREATE FUNCTION wflog.set_execution_status(
        execution_id pg_catalog.varchar,
        status pg_catalog.text,
        error_message pg_catalog.text DEFAULT NULL)
    RETURNS pg_catalog.text
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'wflog_set_execution_status';
COMMENT ON FUNCTION wflog.set_execution_status(pg_catalog.varchar, pg_catalog.text,
                                               pg_catalog.text) IS
    'changes the status of an execution and returns the previous one';

CREATE FUNCTION wflog.verify_audit(
        execution_id pg_catalog.varchar DEFAULT NULL,
        OUT event_id pg_catalog.uuid,
        OUT problem pg_catalog.text)
    RETURNS SETOF pg_catalog.record
    LANGUAGE c STABLE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'wflog_verify_audit';
COMMENT ON FUNCTION wflog.verify_audit(pg_catalog.varchar) IS
    'what is wrong with the audit trail of an execution, or of all; no row means untouched';

/*
 * Not ENABLE ALWAYS: where session_replication_role is replica, rows come
 * with the trail that was written where they come from.
 */
CREATE FUNCTION wflog.check_execution() RETURNS pg_catalog.trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'wflog_check_execution';
COMMENT ON FUNCTION wflog.check_execution() IS
    'allows legal status transitions only and sets start and end times';

CREATE TRIGGER check_execution BEFORE INSERT OR UPDATE ON wflog.workflow_executions
    FOR EACH ROW EXECUTE FUNCTION wflog.check_execution();

CREATE FUNCTION wflog.audit_execution() RETURNS pg_catalog.trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'wflog_audit_execution';
COMMENT ON FUNCTION wflog.audit_execution() IS
    'writes the audit event of a change of an execution''s status';

CREATE TRIGGER audit_execution AFTER INSERT OR UPDATE OR DELETE ON wflog.workflow_executions
    FOR EACH ROW EXECUTE FUNCTION wflog.audit_execution();
CREATE TRIGGER audit_truncation BEFORE TRUNCATE ON wflog.workflow_executions
    FOR EACH STATEMENT EXECUTE FUNCTION wflog.audit_execution();

CREATE FUNCTION wflog.keep_workflow() RETURNS pg_catalog.trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'wflog_keep_workflow';
COMMENT ON FUNCTION wflog.keep_workflow() IS
    'refuses to remove a workflow that has executions';

CREATE TRIGGER keep_workflow AFTER UPDATE OR DELETE ON wflog.workflows
    FOR EACH ROW EXECUTE FUNCTION wflog.keep_workflow();
CREATE TRIGGER keep_workflows BEFORE TRUNCATE ON wflog.workflows
    FOR EACH STATEMENT EXECUTE FUNCTION wflog.keep_workflow();

CREATE FUNCTION wflog.guard_audit() RETURNS pg_catalog.trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'wflog_guard_audit';
COMMENT ON FUNCTION wflog.guard_audit() IS
    'refuses to change or remove what is in the audit trail';

CREATE TRIGGER guard_rows BEFORE UPDATE OR DELETE ON wflog.execution_audit_events
    FOR EACH ROW EXECUTE FUNCTION wflog.guard_audit();
CREATE TRIGGER guard_statements BEFORE UPDATE OR DELETE OR TRUNCATE ON wflog.execution_audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION wflog.guard_audit();
CREATE TRIGGER guard_rows BEFORE UPDATE OR DELETE ON wflog.execution_audit_heads
    FOR EACH ROW EXECUTE FUNCTION wflog.guard_audit();
CREATE TRIGGER guard_statements BEFORE UPDATE OR DELETE OR TRUNCATE ON wflog.execution_audit_heads
    FOR EACH STATEMENT EXECUTE FUNCTION wflog.guard_audit();

ALTER TABLE wflog.execution_audit_events ENABLE ALWAYS TRIGGER guard_rows;
ALTER TABLE wflog.execution_audit_events ENABLE ALWAYS TRIGGER guard_statements;
ALTER TABLE wflog.execution_audit_heads ENABLE ALWAYS TRIGGER guard_rows;
ALTER TABLE wflog.execution_audit_heads ENABLE ALWAYS TRIGGER guard_statements;
