/*
 * Who may do what.  Policies a user adds to these tables are not dumped, so
 * access is data (workflows.user_id and role membership) and the policies are
 * fixed.  Predicates are functions, not subqueries.
 *
 * A policy on the parent does not guard a leaf named directly; leaves have no
 * grants, and row level security without a policy for whoever reads them by
 * pg_read_all_data.
 */
ALTER TABLE wflog.workflow_execution_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE wflog.workflow_execution_logs_rows ENABLE ROW LEVEL SECURITY;
ALTER TABLE wflog.workflow_execution_logs_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE wflog.workflows ENABLE ROW LEVEL SECURITY;
ALTER TABLE wflog.workflow_executions ENABLE ROW LEVEL SECURITY;
ALTER TABLE wflog.execution_audit_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE wflog.execution_audit_heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE wflog.retention_policies ENABLE ROW LEVEL SECURITY;
ALTER TABLE wflog.producer_batches ENABLE ROW LEVEL SECURITY;
ALTER TABLE wflog.removed_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE wflog.rollup_heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE wflog.rollups ENABLE ROW LEVEL SECURITY;
ALTER TABLE wflog.rollup_milestones ENABLE ROW LEVEL SECURITY;
ALTER TABLE wflog.rollup_marks ENABLE ROW LEVEL SECURITY;
ALTER TABLE wflog.rollup_leaves ENABLE ROW LEVEL SECURITY;
ALTER TABLE wflog.secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE wflog.database_identity ENABLE ROW LEVEL SECURITY;

CREATE POLICY read_own ON wflog.workflow_execution_logs
    FOR SELECT USING (wflog.can_read_execution(execution_id));
CREATE POLICY service_inserts ON wflog.workflow_execution_logs
    FOR INSERT WITH CHECK (wflog.can_write());
CREATE POLICY service_updates ON wflog.workflow_execution_logs
    FOR UPDATE USING (wflog.can_write());
CREATE POLICY admin_deletes ON wflog.workflow_execution_logs
    FOR DELETE USING (wflog.can_administer());

CREATE POLICY read_own ON wflog.workflows
    FOR SELECT USING (wflog.can_read_workflow(id));
CREATE POLICY service_inserts ON wflog.workflows
    FOR INSERT WITH CHECK (wflog.can_write());
CREATE POLICY service_updates ON wflog.workflows
    FOR UPDATE USING (wflog.can_write());
CREATE POLICY admin_deletes ON wflog.workflows
    FOR DELETE USING (wflog.can_administer());

CREATE POLICY read_own ON wflog.workflow_executions
    FOR SELECT USING (wflog.can_read_workflow(workflow_id));
CREATE POLICY service_inserts ON wflog.workflow_executions
    FOR INSERT WITH CHECK (wflog.can_write());
CREATE POLICY service_updates ON wflog.workflow_executions
    FOR UPDATE USING (wflog.can_write());
CREATE POLICY admin_deletes ON wflog.workflow_executions
    FOR DELETE USING (wflog.can_administer());

CREATE POLICY read_own ON wflog.execution_audit_events
    FOR SELECT USING (wflog.can_read_execution(execution_id));

CREATE POLICY service_reads ON wflog.retention_policies
    FOR SELECT USING (wflog.can_write());
CREATE POLICY admin_changes ON wflog.retention_policies
    USING (wflog.can_administer());

CREATE POLICY service_reads ON wflog.producer_batches
    FOR SELECT USING (wflog.can_write());
CREATE POLICY service_inserts ON wflog.producer_batches
    FOR INSERT WITH CHECK (wflog.can_write());
CREATE POLICY service_updates ON wflog.producer_batches
    FOR UPDATE USING (wflog.can_write());

GRANT USAGE ON SCHEMA wflog TO wflog_reader, wflog_writer, wflog_admin, wflog_gateway, pg_monitor;

GRANT SELECT ON wflog.workflow_execution_logs, wflog.workflows, wflog.workflow_executions,
    wflog.execution_audit_events
    TO wflog_reader, wflog_writer, wflog_admin, wflog_gateway;
GRANT INSERT, UPDATE ON wflog.workflow_execution_logs, wflog.workflows, wflog.workflow_executions
    TO wflog_writer, wflog_admin, wflog_gateway;
GRANT SELECT, INSERT, UPDATE ON wflog.producer_batches
    TO wflog_writer, wflog_admin, wflog_gateway;
GRANT SELECT ON wflog.retention_policies TO wflog_writer, wflog_gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON wflog.retention_policies TO wflog_admin;
GRANT DELETE ON wflog.workflow_execution_logs, wflog.workflows, wflog.workflow_executions
    TO wflog_admin;

GRANT SELECT ON wflog.stat TO wflog_admin, wflog_gateway, pg_monitor;

/*
 * Functions: nothing to PUBLIC but the predicates, which the policies of
 * whoever reads the tables call.  The others check who asks themselves, as
 * the grants alone would not tell one owner from another.
 */
REVOKE ALL ON ALL ROUTINES IN SCHEMA wflog FROM PUBLIC;
GRANT EXECUTE ON FUNCTION wflog.uid(), wflog.role(), wflog.can_read_execution(pg_catalog.varchar),
    wflog.can_read_workflow(pg_catalog.text), wflog.can_write(), wflog.can_administer(),
    wflog.uuid_v7()
    TO PUBLIC;
GRANT EXECUTE ON FUNCTION wflog.check_log(pg_catalog.varchar, pg_catalog.varchar, pg_catalog.jsonb,
    pg_catalog.int4, pg_catalog.int4, pg_catalog.numeric, pg_catalog.int4, pg_catalog.int4,
    pg_catalog.jsonb, pg_catalog.jsonb, pg_catalog.timestamptz, pg_catalog.int4)
    TO PUBLIC;

DO $grants$
DECLARE
    routine pg_catalog.record;
    roles   pg_catalog.text;
BEGIN
    FOR routine IN
        SELECT p.oid::pg_catalog.regprocedure AS signature, p.proname AS name
        FROM pg_catalog.pg_proc p
        WHERE p.pronamespace OPERATOR(pg_catalog.=) 'wflog'::pg_catalog.regnamespace
    LOOP
        roles := CASE
            WHEN routine.name OPERATOR(pg_catalog.=) ANY (ARRAY[
                'logs', 'logs_json', 'summary', 'recent_logs', 'execution', 'executions_json',
                'workflow_summary', 'statistics', 'workflow_logs_json', 'tail', 'verify', 'verify_audit',
                'unescape', 'channel', 'workflow_channel'])
            THEN 'wflog_reader, wflog_writer, wflog_admin, wflog_gateway'
            WHEN routine.name OPERATOR(pg_catalog.=) ANY (ARRAY[
                'log', 'append', 'append_lines', 'batch_rows', 'start_execution',
                'set_execution_status'])
            THEN 'wflog_writer, wflog_admin, wflog_gateway'
            WHEN routine.name OPERATOR(pg_catalog.=) 'gateway_channel'
            THEN 'wflog_gateway'
            WHEN routine.name OPERATOR(pg_catalog.=) ANY (ARRAY['maintain', 'retention_preview',
                'stat_reset'])
            THEN 'wflog_admin'
            WHEN routine.name OPERATOR(pg_catalog.=) 'stat_get'
            THEN 'wflog_admin, wflog_gateway, pg_monitor'
        END;
        IF roles IS NOT NULL THEN
            EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO %s', routine.signature, roles);
        END IF;
    END LOOP;
END
$grants$;
