-- What a restore with triggers disabled leaves behind, and how maintain() mends it.
SELECT wflog.log('alien', 'own') IS NOT NULL AS logged;
SELECT tableoid::regclass AS leaf FROM wflog.workflow_execution_logs WHERE execution_id = 'alien' \gset

ALTER TABLE :leaf DISABLE TRIGGER ALL;
INSERT INTO :leaf (execution_id, message, xact, seq, execution_hash)
SELECT l.execution_id, 'restored ' || i, (1000000000 + i)::text::xid8, 1, l.execution_hash
FROM wflog.workflow_execution_logs l, generate_series(1, 3) i
WHERE l.execution_id = 'alien';
ALTER TABLE :leaf ENABLE TRIGGER ALL;
ALTER TABLE wflog.execution_audit_events DISABLE TRIGGER ALL;
ALTER TABLE wflog.execution_audit_events ENABLE TRIGGER ALL;

-- pages have them, the stream cannot tell where they belong
SELECT message FROM wflog.logs('alien') ORDER BY message;
SELECT log->>'message' FROM wflog.tail('alien');

CALL wflog.maintain();
SELECT log->>'message' AS message FROM wflog.tail('alien');
SELECT count(*) AS not_always FROM pg_trigger
WHERE tgfoid IN ('wflog.log_row()'::regprocedure, 'wflog.guard_audit()'::regprocedure)
  AND tgenabled <> 'A';

-- rules hold without triggers, too
ALTER TABLE wflog.workflow_execution_logs DISABLE TRIGGER ALL;
INSERT INTO wflog.workflow_execution_logs (execution_id, message, step_number) VALUES ('alien', 'x', -1);
INSERT INTO wflog.workflow_execution_logs (execution_id, message, data) VALUES ('alien', 'x', '[1]');
ALTER TABLE wflog.workflow_execution_logs ENABLE ALWAYS TRIGGER log_row;
ALTER TABLE wflog.workflow_execution_logs ENABLE ALWAYS TRIGGER mark_log;
