-- Who is asking, outside of any test harness: the functions and tables as
-- real statements of sessions of several roles, with what they say.  The
-- contracts in test/pgtap go further.
\pset null (null)
CREATE ROLE regress_owner LOGIN IN ROLE wflog_reader;
CREATE ROLE regress_other LOGIN IN ROLE wflog_reader;
CREATE ROLE regress_service LOGIN IN ROLE wflog_writer;
CREATE ROLE regress_boss LOGIN IN ROLE wflog_admin;
CREATE ROLE regress_nobody LOGIN;
CREATE ROLE regress_door LOGIN IN ROLE wflog_gateway;

SELECT wflog.uid() = session_user AS uid, wflog.role();
SET SESSION AUTHORIZATION regress_service;
SELECT wflog.uid(), wflog.role();
SELECT wflog.start_execution('identity 1', 'identity', user_id => 'regress_owner');
SELECT count(wflog.log('identity 1', 'log ' || i, level => CASE i WHEN 3 THEN 'ERROR' ELSE 'INFO' END)) FROM generate_series(1, 5) AS i;
SELECT wflog.log('identity stray', 'of no execution') IS NOT NULL AS logged;
-- a writer cannot COPY past row level security, but append
\copy wflog.workflow_execution_logs (execution_id, message) FROM '/dev/null'
SELECT wflog.append('[{"execution_id": "identity 1", "message": "appended"}]');
DELETE FROM wflog.workflow_execution_logs;
TRUNCATE wflog.workflow_execution_logs;

-- The owner
SET SESSION AUTHORIZATION regress_owner;
SELECT wflog.uid(), wflog.role();
SELECT message FROM wflog.workflow_execution_logs WHERE execution_id LIKE 'identity%' ORDER BY xact, seq;
SELECT count(*) FROM wflog.logs('identity 1');
SELECT count(*) FROM wflog.tail('identity 1');
SELECT wflog.logs_json('identity 1') ->> 'total_count' AS total, wflog.summary('identity 1') -> 'log_levels' AS levels, wflog.execution('identity 1') ->> 'status' AS status;
SELECT event_type, actor FROM wflog.execution_audit_events;
SELECT count(*) AS problems FROM wflog.verify_audit('identity 1');
COPY (SELECT id, user_id FROM wflog.workflows) TO stdout;
INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('identity 1', 'x');
SELECT wflog.log('identity 1', 'x');
UPDATE wflog.workflows SET user_id = 'regress_other';
CALL wflog.maintain();
SELECT * FROM wflog.workflow_execution_logs_default;

-- Another: nothing, and not a word about what there is
SET SESSION AUTHORIZATION regress_other;
SELECT count(*) FROM wflog.workflow_execution_logs;
SELECT count(*) FROM wflog.workflows;
SELECT count(*) FROM wflog.logs('identity 1');
SELECT count(*) FROM wflog.tail('identity 1');
SELECT wflog.logs_json('identity 1');
SELECT wflog.logs_json('identity none');
SELECT wflog.summary('identity 1');
SELECT wflog.recent_logs('identity');
SELECT wflog.recent_logs('none');
SELECT wflog.executions_json();
SELECT wflog.logs_json('identity stray');
-- cursors give no access: those of the owner's pages and stream
RESET SESSION AUTHORIZATION;
SELECT wflog.logs_json('identity 1', 2) -> 'pagination' ->> 'next_cursor' AS page, wflog.logs_json('identity 1', 2) -> 'pagination' ->> 'stream_cursor' AS stream \gset
SET SESSION AUTHORIZATION regress_other;
SELECT count(*) FROM wflog.logs('identity 1', after => :'page');
SELECT wflog.logs_json('identity 1', after => :'page');
SELECT count(*) FROM wflog.tail('identity 1', :'stream');

-- No role of ours
SET SESSION AUTHORIZATION regress_nobody;
SELECT wflog.uid();
SELECT * FROM wflog.workflow_execution_logs;
SELECT wflog.logs('identity 1');

-- A gateway: who the claims say
SET SESSION AUTHORIZATION regress_door;
SELECT wflog.uid(), wflog.role();
SELECT count(*) FROM wflog.workflow_execution_logs;
BEGIN;
SET LOCAL request.jwt.claims = '{"sub": "regress_owner", "role": "authenticated"}';
SELECT wflog.uid(), wflog.role(), (SELECT count(*) FROM wflog.workflow_execution_logs) AS logs, (SELECT count(*) FROM wflog.logs('identity 1')) AS by_function, (SELECT count(*) FROM wflog.tail('identity 1')) AS by_tail;
INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('identity 1', 'x');
ROLLBACK;
SELECT wflog.uid(), (SELECT count(*) FROM wflog.workflow_execution_logs) AS logs;
BEGIN;
SET LOCAL request.jwt.claims = '{"role": "service_role"}';
SELECT wflog.uid(), wflog.role(), (SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id LIKE 'identity%') AS logs, (SELECT count(*) FROM wflog.tail('identity stray')) AS by_tail;
SELECT wflog.log('identity 1', 'by service') IS NOT NULL AS logged;
SELECT wflog.set_execution_status('identity 1', 'SUCCESS');
COMMIT;
-- an open cursor follows the claims
BEGIN;
SET LOCAL request.jwt.claims = '{"role": "service_role"}';
DECLARE d CURSOR FOR SELECT message FROM wflog.workflow_execution_logs WHERE execution_id IN ('identity 1', 'identity stray');
FETCH d \gset first_
SET LOCAL request.jwt.claims = '{"sub": "regress_other"}';
FETCH ALL FROM d;
ROLLBACK;
SET request.jwt.claims = '{"sub": ';
SELECT count(*) FROM wflog.workflow_execution_logs;
SELECT wflog.uid();
RESET request.jwt.claims;

-- Claims of a session that is none are not looked at
SET SESSION AUTHORIZATION regress_other;
SET request.jwt.claims = '{"sub": "regress_owner", "role": "service_role"}';
SELECT wflog.uid(), wflog.role(), (SELECT count(*) FROM wflog.workflow_execution_logs) AS logs;
SET request.jwt.claims = 'no JSON';
SELECT wflog.uid();
RESET request.jwt.claims;

-- The admin deletes; the audit trail stays
SET SESSION AUTHORIZATION regress_boss;
SELECT wflog.uid(), wflog.role();
DELETE FROM wflog.workflow_execution_logs WHERE execution_id LIKE 'identity%';
DELETE FROM wflog.workflow_executions WHERE workflow_id = 'identity';
SELECT event_type, actor, metadata ->> 'from' AS from, metadata ->> 'to' AS to FROM wflog.execution_audit_events WHERE execution_id = 'identity 1' ORDER BY position;
DELETE FROM wflog.execution_audit_events;
DELETE FROM wflog.workflows WHERE id = 'identity';

-- Roles of ours that somebody has dropped or renamed give nobody anything
RESET SESSION AUTHORIZATION;
ALTER ROLE wflog_gateway RENAME TO regress_renamed;
SET SESSION AUTHORIZATION regress_door;
SET request.jwt.claims = '{"role": "service_role"}';
SELECT wflog.uid(), wflog.role(), wflog.can_write();
RESET request.jwt.claims;
RESET SESSION AUTHORIZATION;
ALTER ROLE regress_renamed RENAME TO wflog_gateway;
SET SESSION AUTHORIZATION regress_door;
SELECT wflog.uid();
RESET SESSION AUTHORIZATION;
DROP ROLE regress_owner, regress_other, regress_service, regress_boss, regress_nobody, regress_door;
