-- Retention of executions and their audit trails: wflog.audit_retention_days.

CREATE VIEW left_over AS
SELECT h.execution_id, h.status, e.execution_id IS NOT NULL AS execution,
       (SELECT count(*) FROM wflog.execution_audit_events a WHERE a.execution_id = h.execution_id) AS events
FROM wflog.execution_audit_heads h LEFT JOIN wflog.workflow_executions e USING (execution_id)
WHERE h.execution_id LIKE 'old-%' ORDER BY 1;

INSERT INTO wflog.workflows (id) VALUES ('old');
INSERT INTO wflog.workflow_executions (execution_id, workflow_id, status, start_time, end_time)
VALUES ('old-success', 'old', 'SUCCESS', now() - interval '101 days', now() - interval '100 days'),
       ('old-failed', 'old', 'FAILED', now() - interval '101 days', now() - interval '91 days'),
       ('old-recent', 'old', 'CANCELLED', now() - interval '101 days', now() - interval '89 days'),
       ('old-running', 'old', 'RUNNING', now() - interval '101 days', NULL),
       ('old-logs', 'old', 'SUCCESS', now() - interval '101 days', now() - interval '100 days'),
       ('old-deleted', 'old', 'SUCCESS', now() - interval '101 days', now() - interval '100 days');
INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('old-logs', 'still here');
DELETE FROM wflog.workflow_executions WHERE execution_id = 'old-deleted';

-- by default the trail is kept for ever
SHOW wflog.audit_retention_days;
CALL wflog.maintain();
SELECT * FROM left_over;

-- ended more than 90 days ago, and no logs are left
SET wflog.audit_retention_days = 90;
CALL wflog.maintain();
SELECT * FROM left_over;
SELECT problem FROM wflog.verify_audit() WHERE problem LIKE 'execution "old-%';

-- rolled back as anything else
DELETE FROM wflog.workflow_execution_logs WHERE execution_id = 'old-logs';
BEGIN;
CALL wflog.maintain();
SELECT * FROM left_over;
ROLLBACK;
SELECT * FROM left_over;
CALL wflog.maintain();
SELECT * FROM left_over;

-- the guard is closed again
DELETE FROM wflog.execution_audit_events;
DELETE FROM wflog.execution_audit_heads;

-- a purged execution may be started anew, with a new trail
SELECT wflog.start_execution('old-success', 'old');
SELECT * FROM left_over;
SELECT problem FROM wflog.verify_audit() WHERE problem LIKE 'execution "old-%';

-- the trail of a deleted execution goes as many days after the deletion
BEGIN;
ALTER TABLE wflog.execution_audit_events DISABLE TRIGGER ALL;
UPDATE wflog.execution_audit_events SET created_at = created_at - interval '91 days' WHERE execution_id = 'old-deleted';
ALTER TABLE wflog.execution_audit_events ENABLE TRIGGER ALL;
CALL wflog.maintain();
SELECT * FROM left_over;
ROLLBACK;

-- a writer cannot set it
CREATE ROLE regress_old_writer;
GRANT wflog_writer TO regress_old_writer;
SET ROLE regress_old_writer;
SET wflog.audit_retention_days = 1;
RESET ROLE;
DROP ROLE regress_old_writer;

RESET wflog.audit_retention_days;
DELETE FROM wflog.workflow_executions WHERE workflow_id = 'old';
DELETE FROM wflog.workflows WHERE id = 'old';
DROP VIEW left_over;
