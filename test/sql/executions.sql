-- Executions: starting, changing the status, direct changes.
\pset null (null)

CREATE FUNCTION failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN SQLSTATE || ' ' || SQLERRM || CASE WHEN hint <> '' THEN ' | ' || hint ELSE '' END;
END
$$;

-- start_execution makes the workflow, and changes neither on a repeat
SELECT wflog.start_execution('exec-e1', 'exec-w1', user_id => 'ann', workflow_name => 'first', tier => 'gold');
SELECT wflog.start_execution('exec-e1', 'exec-w1', 'FAILED', user_id => 'bob', workflow_name => 'other', tier => 'lead');
SELECT wflog.start_execution('exec-e2', 'exec-w1', 'new', user_id => 'bob');
SELECT id, user_id, name, tier FROM wflog.workflows WHERE id LIKE 'exec-%' ORDER BY id;
SELECT execution_id, workflow_id, status, start_time IS NULL AS no_start, end_time IS NULL AS no_end
FROM wflog.workflow_executions WHERE workflow_id = 'exec-w1' ORDER BY execution_id;

-- named and positional arguments, status in any case
SELECT wflog.start_execution(execution_id => 'exec-e3', workflow_id => 'exec-w2', status => 'Waiting_For_Human');
SELECT wflog.start_execution('exec-e4', 'exec-w2', 'success');
SELECT execution_id, status, start_time IS NOT NULL AS started, end_time = start_time AS ended
FROM wflog.workflow_executions WHERE workflow_id = 'exec-w2' ORDER BY 1;

-- bad arguments
SELECT failure($$SELECT wflog.start_execution('exec-e1', 'exec-w2')$$);
SELECT failure($$SELECT wflog.start_execution('', 'exec-w1')$$);
SELECT failure($$SELECT wflog.start_execution(NULL, 'exec-w1')$$);
SELECT failure($$SELECT wflog.start_execution(repeat('x', 256), 'exec-w1')$$);
SELECT failure($$SELECT wflog.start_execution(repeat('ä', 256), 'exec-w1')$$);
SELECT failure($$SELECT wflog.start_execution('exec-e5', '')$$);
SELECT failure($$SELECT wflog.start_execution('exec-e5', NULL)$$);
SELECT failure($$SELECT wflog.start_execution('exec-e5', 'exec-w1', 'DONE')$$);
SELECT failure($$SELECT wflog.start_execution('exec-e5', 'exec-w1', NULL)$$);
SELECT wflog.start_execution(rpad('exec-', 255, 'ä'), 'exec-w1');
-- nothing is left of what failed
SELECT count(*) FROM wflog.workflow_executions WHERE execution_id = 'exec-e5';
SELECT id FROM wflog.workflows WHERE id LIKE 'exec-%' ORDER BY id;

-- set_execution_status gives the previous status; the same again is a no-op
SELECT wflog.set_execution_status('exec-e2', 'pending');
SELECT wflog.set_execution_status('exec-e2', 'Running');
SELECT xmin AS before_noop FROM wflog.workflow_executions WHERE execution_id = 'exec-e2' \gset
SELECT wflog.set_execution_status('exec-e2', 'RUNNING', 'not written');
SELECT xmin = :'before_noop'::xid AS untouched, error_message
FROM wflog.workflow_executions WHERE execution_id = 'exec-e2';
SELECT wflog.set_execution_status('exec-e2', 'FAILED', 'it broke');
SELECT status, error_message, start_time IS NOT NULL AS started, end_time >= start_time AS ended
FROM wflog.workflow_executions WHERE execution_id = 'exec-e2';

-- an error message stays unless there is a new one
SELECT wflog.start_execution('exec-e6', 'exec-w1');
UPDATE wflog.workflow_executions SET error_message = 'a warning' WHERE execution_id = 'exec-e6';
SELECT wflog.set_execution_status('exec-e6', 'PAUSED');
SELECT error_message FROM wflog.workflow_executions WHERE execution_id = 'exec-e6';
SELECT wflog.set_execution_status('exec-e6', 'CANCELLED', 'enough');
SELECT error_message FROM wflog.workflow_executions WHERE execution_id = 'exec-e6';

-- errors
SELECT failure($$SELECT wflog.set_execution_status('exec-nobody', 'FAILED')$$);
SELECT failure($$SELECT wflog.set_execution_status('', 'FAILED')$$);
SELECT failure($$SELECT wflog.set_execution_status(NULL, 'FAILED')$$);
SELECT failure($$SELECT wflog.set_execution_status('exec-e1', 'ended')$$);
SELECT failure($$SELECT wflog.set_execution_status('exec-e1', NULL)$$);
SELECT failure($$SELECT wflog.set_execution_status('exec-e2', 'RUNNING')$$);
SELECT failure($$SELECT wflog.set_execution_status('exec-e1', 'NEW')$$);
SELECT failure($$SELECT wflog.set_execution_status('exec-e1', 'PENDING')$$);

-- every transition, by function and by UPDATE
CREATE FUNCTION attempt(from_status wflog.execution_status_enum, to_status wflog.execution_status_enum,
                        direct boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    id text := 'exec-' || from_status || '>' || to_status || direct;
BEGIN
    PERFORM wflog.start_execution(id, 'exec-transitions', from_status::text);
    IF direct THEN
        UPDATE wflog.workflow_executions SET status = to_status WHERE execution_id = id;
    ELSE
        PERFORM wflog.set_execution_status(id, to_status::text);
    END IF;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;
SELECT f AS "from",
       max(r) FILTER (WHERE t = 'NEW') AS "NEW", max(r) FILTER (WHERE t = 'PENDING') AS "PENDING",
       max(r) FILTER (WHERE t = 'RUNNING') AS "RUNNING", max(r) FILTER (WHERE t = 'PAUSED') AS "PAUSED",
       max(r) FILTER (WHERE t = 'WAITING_FOR_HUMAN') AS "HUMAN", max(r) FILTER (WHERE t = 'SUCCESS') AS "SUCCESS",
       max(r) FILTER (WHERE t = 'FAILED') AS "FAILED", max(r) FILTER (WHERE t = 'CANCELLED') AS "CANCELLED"
FROM (SELECT f, t, attempt(f, t, false) AS r
      FROM unnest(enum_range(NULL::wflog.execution_status_enum)) f,
           unnest(enum_range(NULL::wflog.execution_status_enum)) t) s
GROUP BY f ORDER BY f;
SELECT count(*) AS pairs, count(*) FILTER (WHERE attempt(f, t, true) <> attempt(f, t, false)) AS different
FROM unnest(enum_range(NULL::wflog.execution_status_enum)) f,
     unnest(enum_range(NULL::wflog.execution_status_enum)) t;
-- what started has a start, what ended has an end, nothing else has
SELECT status, bool_and(start_time IS NOT NULL) AS all_started, bool_or(start_time IS NOT NULL) AS some_started,
       bool_and(end_time IS NOT NULL) AS all_ended, bool_or(end_time IS NOT NULL) AS some_ended
FROM wflog.workflow_executions WHERE workflow_id = 'exec-transitions' GROUP BY status ORDER BY status;
SELECT v.* FROM wflog.workflow_executions e, wflog.verify_audit(e.execution_id) v
WHERE e.workflow_id = 'exec-transitions';

-- times that are given are kept, and cannot be lost
INSERT INTO wflog.workflow_executions (execution_id, workflow_id, status, start_time, end_time)
VALUES ('exec-times', 'exec-w1', 'RUNNING', '2020-01-01 00:00+00', NULL);
SELECT wflog.set_execution_status('exec-times', 'PAUSED');
UPDATE wflog.workflow_executions SET start_time = NULL WHERE execution_id = 'exec-times';
SELECT start_time, end_time FROM wflog.workflow_executions WHERE execution_id = 'exec-times';
UPDATE wflog.workflow_executions SET status = 'SUCCESS', end_time = '2020-01-02 00:00+00' WHERE execution_id = 'exec-times';
UPDATE wflog.workflow_executions SET start_time = NULL, end_time = NULL WHERE execution_id = 'exec-times';
SELECT start_time, end_time FROM wflog.workflow_executions WHERE execution_id = 'exec-times';

-- direct changes that are refused
SELECT failure($$UPDATE wflog.workflow_executions SET status = 'RUNNING' WHERE execution_id = 'exec-e2'$$);
SELECT failure($$UPDATE wflog.workflow_executions SET execution_id = 'exec-e9' WHERE execution_id = 'exec-e1'$$);
SELECT failure($$UPDATE wflog.workflow_executions SET workflow_id = 'exec-w2' WHERE execution_id = 'exec-e1'$$);
SELECT failure($$UPDATE wflog.workflow_executions SET status = NULL WHERE execution_id = 'exec-e1'$$);
SELECT failure($$UPDATE wflog.workflow_executions SET workflow_id = NULL WHERE execution_id = 'exec-e1'$$);
SELECT failure($$INSERT INTO wflog.workflow_executions (execution_id, workflow_id) VALUES ('exec-e9', 'no such workflow')$$);
SELECT failure($$INSERT INTO wflog.workflow_executions (execution_id, workflow_id) VALUES ('', 'exec-w1')$$);
SELECT failure($$INSERT INTO wflog.workflow_executions (execution_id, workflow_id, status) VALUES ('exec-e9', 'exec-w1', NULL)$$);

-- a BEFORE trigger that fires after ours does not get round the rules
CREATE FUNCTION revive() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.status := 'NEW';
    RETURN NEW;
END
$$;
CREATE TRIGGER zz_revive BEFORE UPDATE ON wflog.workflow_executions FOR EACH ROW EXECUTE FUNCTION revive();
SELECT failure($$SELECT wflog.set_execution_status('exec-e1', 'PAUSED')$$);
DROP TRIGGER zz_revive ON wflog.workflow_executions;

-- nor does one that suppresses rows make start_execution() loop
CREATE FUNCTION suppress() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
CREATE TRIGGER suppress BEFORE INSERT ON wflog.workflow_executions FOR EACH ROW EXECUTE FUNCTION suppress();
SELECT failure($$SELECT wflog.start_execution('exec-e9', 'exec-w1')$$);
DROP TRIGGER suppress ON wflog.workflow_executions;

-- a workflow and its executions hold together, as by a foreign key
SELECT failure($$DELETE FROM wflog.workflows WHERE id = 'exec-w1'$$);
SELECT failure($$UPDATE wflog.workflows SET id = 'exec-w9' WHERE id = 'exec-w1'$$);
SELECT failure($$TRUNCATE wflog.workflows$$);
UPDATE wflog.workflows SET name = 'renamed' WHERE id = 'exec-w1';
WITH w AS (INSERT INTO wflog.workflows (id) VALUES ('exec-w8'))
INSERT INTO wflog.workflow_executions (execution_id, workflow_id) VALUES ('exec-e8', 'exec-w8');
WITH e AS (DELETE FROM wflog.workflow_executions WHERE execution_id = 'exec-e8')
DELETE FROM wflog.workflows WHERE id = 'exec-w8';
INSERT INTO wflog.workflows (id) VALUES ('exec-w8');
UPDATE wflog.workflows SET id = 'exec-w9' WHERE id = 'exec-w8';
DELETE FROM wflog.workflows WHERE id = 'exec-w9';

-- prepared transactions
BEGIN;
SELECT wflog.start_execution('exec-e13', 'exec-w3');
SELECT wflog.set_execution_status('exec-e13', 'PAUSED');
PREPARE TRANSACTION 'wflog executions';
SELECT count(*) FROM wflog.workflow_executions WHERE execution_id = 'exec-e13';
COMMIT PREPARED 'wflog executions';
SELECT status FROM wflog.workflow_executions WHERE execution_id = 'exec-e13';
SELECT * FROM wflog.verify_audit('exec-e13');

-- the trigger functions serve no other table
CREATE TABLE imitation (LIKE wflog.workflow_executions);
CREATE TRIGGER imitation AFTER INSERT ON imitation FOR EACH ROW EXECUTE FUNCTION wflog.audit_execution();
SELECT failure($$INSERT INTO imitation VALUES ('exec-e1', 'exec-w1', 'FAILED', NULL, NULL, NULL, now())$$);
DROP TRIGGER imitation ON imitation;
CREATE TRIGGER imitation BEFORE INSERT ON imitation FOR EACH ROW EXECUTE FUNCTION wflog.check_execution();
SELECT failure($$INSERT INTO imitation VALUES ('exec-e1', 'exec-w1', 'FAILED', NULL, NULL, NULL, now())$$);
DROP TABLE imitation;

-- who may
CREATE ROLE regress_exec_writer;
CREATE ROLE regress_exec_reader;
GRANT wflog_writer TO regress_exec_writer;
GRANT wflog_reader TO regress_exec_reader;
SELECT wflog.start_execution('exec-mine', 'exec-reader''s', user_id => 'regress_exec_reader');
CREATE FUNCTION failure_as(role name, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role);
    BEGIN
        EXECUTE statement INTO result;
        result := coalesce('ok ' || result, 'ok');
    EXCEPTION WHEN OTHERS THEN
        result := SQLSTATE || ' ' || SQLERRM;
    END;
    RESET ROLE;
    RETURN result;
END
$$;
SELECT failure_as('regress_exec_writer', $$SELECT wflog.start_execution('exec-by-writer', 'exec-w4')$$);
SELECT failure_as('regress_exec_writer', $$SELECT wflog.set_execution_status('exec-by-writer', 'SUCCESS')$$);
SELECT failure_as('regress_exec_writer', $$SELECT wflog.set_execution_status('exec-mine', 'PAUSED')$$);
SELECT failure_as('regress_exec_writer', $$SELECT count(*) FROM wflog.verify_audit('exec-mine')$$);
SELECT failure_as('regress_exec_writer', $$DELETE FROM wflog.workflow_executions WHERE execution_id = 'exec-mine'$$);
-- the mark of a restored row counts from the owner only: others get their event
SELECT failure_as('regress_exec_writer', $$INSERT INTO wflog.workflow_executions (execution_id, workflow_id, audit_mark) VALUES ('exec-mark', 'exec-w4', 1) RETURNING execution_id$$);
SELECT failure_as('regress_exec_writer', $$UPDATE wflog.workflow_executions SET audit_mark = 1 WHERE execution_id = 'exec-mark' RETURNING execution_id$$);
SELECT audit_mark = 1 AS changed FROM wflog.workflow_executions WHERE execution_id = 'exec-mark';
SELECT * FROM wflog.verify_audit('exec-mark');
BEGIN;
INSERT INTO wflog.workflow_executions (execution_id, workflow_id, audit_mark) VALUES ('exec-restored', 'exec-w4', 1);
SELECT * FROM wflog.verify_audit('exec-restored');
ROLLBACK;
SELECT failure_as('regress_exec_reader', $$SELECT wflog.start_execution('exec-by-reader', 'exec-w4')$$);
SELECT failure_as('regress_exec_reader', $$SELECT wflog.set_execution_status('exec-mine', 'FAILED')$$);
-- without EXECUTE in the way, the table's privileges still decide
GRANT EXECUTE ON FUNCTION wflog.start_execution, wflog.set_execution_status TO regress_exec_reader;
SELECT failure_as('regress_exec_reader', $$SELECT wflog.start_execution('exec-by-reader', 'exec-w4')$$);
SELECT failure_as('regress_exec_reader', $$SELECT wflog.set_execution_status('exec-mine', 'FAILED')$$);
-- and the policies after them: an id that is taken is not disclosed by its workflow
GRANT INSERT, UPDATE ON wflog.workflows, wflog.workflow_executions TO regress_exec_reader;
SELECT failure_as('regress_exec_reader', $$SELECT wflog.start_execution('exec-e1', 'exec-w1')$$);
SELECT failure_as('regress_exec_reader', $$SELECT wflog.set_execution_status('exec-e1', 'FAILED')$$);
SELECT failure_as('regress_exec_reader', $$SELECT wflog.set_execution_status('exec-nobody', 'FAILED')$$);

DELETE FROM wflog.workflow_executions WHERE workflow_id LIKE 'exec-%';
DELETE FROM wflog.workflows WHERE id LIKE 'exec-%';
DROP OWNED BY regress_exec_reader, regress_exec_writer;
DROP ROLE regress_exec_reader, regress_exec_writer;
DROP FUNCTION failure, failure_as, attempt, revive, suppress;
