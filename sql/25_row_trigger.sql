/*
 * The row trigger (src/row_trigger.c).  ALWAYS, so that rows applied by
 * replication get this cluster's stamp; leaves get it when they are attached.
 */
CREATE FUNCTION wflog.log_row() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wflog_log_row';
COMMENT ON FUNCTION wflog.log_row() IS
    'trigger: stamps a log, and cuts one that is over wflog.max_entry_size';

CREATE TRIGGER log_row
    BEFORE INSERT OR UPDATE ON wflog.workflow_execution_logs
    FOR EACH ROW EXECUTE FUNCTION wflog.log_row();
ALTER TABLE wflog.workflow_execution_logs ENABLE ALWAYS TRIGGER log_row;
