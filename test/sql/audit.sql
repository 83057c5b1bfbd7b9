-- The audit trail: its events, its guard, and what verify_audit() finds.
\pset null (null)

CREATE FUNCTION failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE VIEW trail AS
SELECT execution_id, position, event_type, metadata FROM wflog.execution_audit_events
WHERE execution_id LIKE 'audit-%';

-- what is wrong with this file's executions; other tests have theirs
CREATE VIEW problems AS
SELECT * FROM wflog.verify_audit() WITH ORDINALITY AS v (event_id, problem, n)
WHERE problem LIKE 'execution "audit-%';

-- the six kinds
SELECT wflog.start_execution('audit-1', 'audit', 'NEW');
SELECT wflog.set_execution_status('audit-1', 'PENDING');
SELECT wflog.set_execution_status('audit-1', 'RUNNING');
SELECT wflog.set_execution_status('audit-1', 'PAUSED');
SELECT wflog.set_execution_status('audit-1', 'RUNNING');
SELECT wflog.set_execution_status('audit-1', 'WAITING_FOR_HUMAN');
SELECT wflog.set_execution_status('audit-1', 'SUCCESS');
SELECT wflog.start_execution('audit-2', 'audit', 'NEW');
SELECT wflog.set_execution_status('audit-2', 'RUNNING');
SELECT wflog.set_execution_status('audit-2', 'FAILED', E'line 1\n"quoted" \\ ü');
SELECT wflog.start_execution('audit-3', 'audit', 'PENDING');
SELECT wflog.set_execution_status('audit-3', 'CANCELLED', 'no longer wanted');
SELECT wflog.start_execution('audit-4', 'audit');
SELECT position, event_type, metadata FROM trail WHERE execution_id = 'audit-1' ORDER BY position;
SELECT execution_id, position, event_type, metadata FROM trail WHERE execution_id > 'audit-1'
ORDER BY execution_id, position;

-- no change of status, no event
SELECT wflog.set_execution_status('audit-4', 'RUNNING');
SELECT wflog.start_execution('audit-4', 'audit', 'FAILED');
UPDATE wflog.workflow_executions SET error_message = 'x' WHERE execution_id = 'audit-4';
SELECT count(*) FROM trail WHERE execution_id = 'audit-4';

-- direct changes of many rows at once, and COPY
INSERT INTO wflog.workflow_executions (execution_id, workflow_id, status)
VALUES ('audit-5', 'audit', 'NEW'), ('audit-6', 'audit', 'FAILED');
COPY wflog.workflow_executions (execution_id, workflow_id, status) FROM stdin;
audit-7	audit	PENDING
\.
UPDATE wflog.workflow_executions SET status = 'RUNNING' WHERE execution_id IN ('audit-5', 'audit-7');
SELECT execution_id, position, event_type, metadata FROM trail
WHERE execution_id BETWEEN 'audit-5' AND 'audit-7' ORDER BY execution_id, position;

-- who and when
SELECT count(*) AS events, bool_and(actor = session_user) AS by_session_user,
       bool_and(created_at BETWEEN now() - interval '1 minute' AND clock_timestamp()) AS clock,
       bool_and(substr(id::text, 15, 1) = '7') AS version_7, bool_and(length(seal) = 32) AS sealed
FROM wflog.execution_audit_events WHERE execution_id LIKE 'audit-%';
SELECT count(*) AS keys, length(value) FROM wflog.secrets WHERE name = 'audit' GROUP BY value;

-- a savepoint's rollback takes the event along and the chain goes on
BEGIN;
SAVEPOINT s;
SELECT wflog.set_execution_status('audit-5', 'FAILED');
ROLLBACK TO s;
SELECT wflog.set_execution_status('audit-5', 'PAUSED');
COMMIT;
-- so does an error's
SELECT failure($$SELECT wflog.set_execution_status('audit-5', 'SUCCESS'), 1 / 0$$);
SELECT wflog.set_execution_status('audit-5', 'SUCCESS');
SELECT position, event_type, metadata FROM trail WHERE execution_id = 'audit-5' ORDER BY position;

-- a deletion is on record, and the trail of what comes after it goes on
SELECT wflog.start_execution('audit-8', 'audit');
DELETE FROM wflog.workflow_executions WHERE execution_id = 'audit-8';
SELECT * FROM wflog.verify_audit('audit-8');
SELECT wflog.start_execution('audit-8', 'audit');
SELECT position, event_type, metadata FROM trail WHERE execution_id = 'audit-8' ORDER BY position;
-- even by TRUNCATE
BEGIN;
TRUNCATE wflog.workflow_executions;
SELECT DISTINCT ON (execution_id) execution_id, event_type, metadata FROM trail
ORDER BY execution_id, position DESC;
SELECT count(*) FROM problems;
ROLLBACK;

SELECT * FROM problems;
SELECT failure($$SELECT * FROM wflog.verify_audit('audit-nobody')$$);
SELECT failure($$SELECT * FROM wflog.verify_audit('')$$);
SELECT failure($$SELECT * FROM wflog.verify_audit(repeat('x', 256))$$);

-- nobody changes the trail, whatever session_replication_role is
CREATE FUNCTION attempts() RETURNS TABLE (result text) LANGUAGE plpgsql AS $$
DECLARE
    name text;
    statement text;
BEGIN
    FOREACH name IN ARRAY ARRAY['execution_audit_events', 'execution_audit_heads'] LOOP
        FOREACH statement IN ARRAY ARRAY[
            'UPDATE wflog.%s SET seal = seal', 'UPDATE wflog.%s SET seal = seal WHERE false',
            'DELETE FROM wflog.%s', 'DELETE FROM wflog.%s WHERE false',
            'WITH d AS (DELETE FROM wflog.%s RETURNING 1) SELECT count(*) FROM d',
            'MERGE INTO wflog.%s t USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE',
            'TRUNCATE wflog.%s', 'TRUNCATE wflog.%s CASCADE'] LOOP
            RETURN QUERY SELECT format(statement, name) || ': ' || failure(format(statement, name));
        END LOOP;
    END LOOP;
    RETURN QUERY SELECT 'upsert: ' || failure($u$
        INSERT INTO wflog.execution_audit_heads VALUES ('audit-1', 1, 'NEW', '')
        ON CONFLICT (execution_id) DO UPDATE SET events = 1$u$);
END
$$;
SELECT * FROM attempts();
SET session_replication_role = replica;
SELECT * FROM attempts();
RESET session_replication_role;
SELECT failure($$UPDATE wflog.execution_audit_events SET actor = 'x'$$);
DELETE FROM wflog.execution_audit_events;
-- a table that they inherit from is no way round
CREATE TABLE ancestor (seal bytea NOT NULL);
BEGIN;
ALTER TABLE wflog.execution_audit_events INHERIT ancestor;
SELECT failure($$UPDATE ancestor SET seal = ''$$);
SELECT failure($$DELETE FROM ancestor$$);
ROLLBACK;
DROP TABLE ancestor;
SELECT * FROM problems;

-- What is done with the triggers disabled is found.  The key stays out of it.
CREATE FUNCTION tamper(description text, VARIADIC statements text[]) RETURNS TABLE (problem text)
LANGUAGE plpgsql AS $$
DECLARE
    statement text;
BEGIN
    RETURN QUERY SELECT '-- ' || description;
    BEGIN
        ALTER TABLE wflog.execution_audit_events DISABLE TRIGGER ALL;
        ALTER TABLE wflog.execution_audit_heads DISABLE TRIGGER ALL;
        ALTER TABLE wflog.workflow_executions DISABLE TRIGGER ALL;
        FOREACH statement IN ARRAY statements LOOP
            EXECUTE statement;
        END LOOP;
        RETURN QUERY SELECT coalesce('event ' || e.position || ': ', '') || v.problem
                     FROM problems v
                     LEFT JOIN wflog.execution_audit_events e ON e.id = v.event_id
                     ORDER BY v.n;
        RAISE EXCEPTION USING ERRCODE = 'P0001', MESSAGE = 'undo';
    EXCEPTION WHEN raise_exception THEN
        NULL;
    END;
END
$$;
SELECT * FROM tamper('nothing', 'SELECT 1');
SELECT * FROM tamper('an event''s actor', $$UPDATE wflog.execution_audit_events SET actor = 'x' WHERE execution_id = 'audit-1' AND position = 3$$);
SELECT * FROM tamper('its kind', $$UPDATE wflog.execution_audit_events SET event_type = 'STATE_CHANGE' WHERE execution_id = 'audit-1' AND position = 3$$);
SELECT * FROM tamper('its time', $$UPDATE wflog.execution_audit_events SET created_at = created_at + interval '1 us' WHERE execution_id = 'audit-1' AND position = 3$$);
SELECT * FROM tamper('its metadata', $$UPDATE wflog.execution_audit_events SET metadata = metadata || '{"x": 1}' WHERE execution_id = 'audit-1' AND position = 3$$);
SELECT * FROM tamper('its id', $$UPDATE wflog.execution_audit_events SET id = wflog.uuid_v7() WHERE execution_id = 'audit-1' AND position = 3$$);
SELECT * FROM tamper('its seal', $$UPDATE wflog.execution_audit_events SET seal = '\x00' WHERE execution_id = 'audit-1' AND position = 3$$);
SELECT * FROM tamper('two events exchanged',
    $$UPDATE wflog.execution_audit_events SET position = 99 WHERE execution_id = 'audit-1' AND position = 3$$,
    $$UPDATE wflog.execution_audit_events SET position = 3 WHERE execution_id = 'audit-1' AND position = 4$$,
    $$UPDATE wflog.execution_audit_events SET position = 4 WHERE execution_id = 'audit-1' AND position = 99$$);
SELECT * FROM tamper('moved to another execution', $$UPDATE wflog.execution_audit_events SET execution_id = 'audit-4', position = 2 WHERE execution_id = 'audit-1' AND position = 7$$);
SELECT * FROM tamper('the first removed', $$DELETE FROM wflog.execution_audit_events WHERE execution_id = 'audit-1' AND position = 1$$);
SELECT * FROM tamper('one in the middle removed', $$DELETE FROM wflog.execution_audit_events WHERE execution_id = 'audit-1' AND position = 4$$);
SELECT * FROM tamper('some in the middle removed', $$DELETE FROM wflog.execution_audit_events WHERE execution_id = 'audit-1' AND position IN (3, 4, 5)$$);
SELECT * FROM tamper('a hole closed again',
    $$DELETE FROM wflog.execution_audit_events WHERE execution_id = 'audit-1' AND position = 4$$,
    $$UPDATE wflog.execution_audit_events SET position = position + 100 WHERE execution_id = 'audit-1' AND position > 4$$,
    $$UPDATE wflog.execution_audit_events SET position = position - 101 WHERE execution_id = 'audit-1' AND position > 100$$,
    $$UPDATE wflog.execution_audit_heads SET events = 6 WHERE execution_id = 'audit-1'$$);
SELECT * FROM tamper('the newest removed', $$DELETE FROM wflog.execution_audit_events WHERE execution_id = 'audit-1' AND position = 7$$);
SELECT * FROM tamper('the two newest removed', $$DELETE FROM wflog.execution_audit_events WHERE execution_id = 'audit-1' AND position > 5$$);
SELECT * FROM tamper('the newest removed, head and status turned back',
    $$DELETE FROM wflog.execution_audit_events WHERE execution_id = 'audit-1' AND position = 7$$,
    $$UPDATE wflog.execution_audit_heads h SET events = 6, status = 'WAITING_FOR_HUMAN', seal = e.seal
      FROM wflog.execution_audit_events e WHERE h.execution_id = 'audit-1' AND e.execution_id = 'audit-1' AND e.position = 6$$,
    $$UPDATE wflog.workflow_executions SET status = 'WAITING_FOR_HUMAN' WHERE execution_id = 'audit-1'$$);
SELECT * FROM tamper('all events removed', $$DELETE FROM wflog.execution_audit_events WHERE execution_id = 'audit-1'$$);
SELECT * FROM tamper('all events and the head removed',
    $$DELETE FROM wflog.execution_audit_events WHERE execution_id = 'audit-1'$$,
    $$DELETE FROM wflog.execution_audit_heads WHERE execution_id = 'audit-1'$$);
SELECT * FROM tamper('the head removed', $$DELETE FROM wflog.execution_audit_heads WHERE execution_id = 'audit-1'$$);
SELECT * FROM tamper('the head''s seal', $$UPDATE wflog.execution_audit_heads SET seal = '\x00' WHERE execution_id = 'audit-1'$$);
SELECT * FROM tamper('the head''s status', $$UPDATE wflog.execution_audit_heads SET status = 'FAILED' WHERE execution_id = 'audit-1'$$);
SELECT * FROM tamper('the head''s count', $$UPDATE wflog.execution_audit_heads SET events = 3 WHERE execution_id = 'audit-1'$$);
SELECT * FROM tamper('an event added', $$INSERT INTO wflog.execution_audit_events (execution_id, event_type, metadata, actor, position, seal)
    SELECT execution_id, 'STATE_CHANGE', '{"from": "SUCCESS", "to": "SUCCESS"}', actor, 8, seal FROM wflog.execution_audit_events WHERE execution_id = 'audit-1' AND position = 7$$);
SELECT * FROM tamper('an event before the first', $$INSERT INTO wflog.execution_audit_events (execution_id, event_type, actor, position, seal) VALUES ('audit-1', 'CREATED', 'x', 0, '')$$);
SELECT * FROM tamper('a trail made up', $$INSERT INTO wflog.execution_audit_events (execution_id, event_type, metadata, actor, position, seal) VALUES ('audit-x', 'CREATED', '{"to": "NEW"}', 'x', 1, '')$$);
SELECT * FROM tamper('a status changed', $$UPDATE wflog.workflow_executions SET status = 'FAILED' WHERE execution_id = 'audit-1'$$);
SELECT * FROM tamper('an execution added', $$INSERT INTO wflog.workflow_executions (execution_id, workflow_id) VALUES ('audit-x', 'audit')$$);
SELECT * FROM tamper('an execution removed', $$DELETE FROM wflog.workflow_executions WHERE execution_id = 'audit-1'$$);
SELECT count(*) > 0 AS found FROM tamper('the key replaced', $$UPDATE wflog.secrets SET value = '\x00' WHERE name = 'audit'$$) WHERE problem LIKE '%seal does not match';
SELECT count(*) > 0 AS found FROM tamper('the key removed', $$DELETE FROM wflog.secrets WHERE name = 'audit'$$) WHERE problem LIKE '%key in wflog.secrets is missing';

-- and it stays found when the chain goes on, which it does
SELECT * FROM tamper('a status changed, then a regular change',
    $$UPDATE wflog.workflow_executions SET status = 'PAUSED' WHERE execution_id = 'audit-4'$$,
    $$ALTER TABLE wflog.workflow_executions ENABLE TRIGGER ALL$$,
    $$SELECT wflog.set_execution_status('audit-4', 'SUCCESS')$$);
SELECT * FROM tamper('the head removed, then a regular change',
    $$DELETE FROM wflog.execution_audit_heads WHERE execution_id = 'audit-4'$$,
    $$ALTER TABLE wflog.workflow_executions ENABLE TRIGGER ALL$$,
    $$SELECT wflog.set_execution_status('audit-4', 'SUCCESS')$$);
SELECT * FROM tamper('all removed, then a regular change',
    $$DELETE FROM wflog.execution_audit_heads WHERE execution_id = 'audit-4'$$,
    $$DELETE FROM wflog.execution_audit_events WHERE execution_id = 'audit-4'$$,
    $$ALTER TABLE wflog.workflow_executions ENABLE TRIGGER ALL$$,
    $$SELECT wflog.set_execution_status('audit-4', 'SUCCESS')$$);
SELECT * FROM tamper('an event added, then a regular change',
    $$INSERT INTO wflog.execution_audit_events (execution_id, event_type, actor, position, seal) VALUES ('audit-4', 'STATE_CHANGE', 'x', 2, '')$$,
    $$ALTER TABLE wflog.workflow_executions ENABLE TRIGGER ALL$$,
    $$SELECT wflog.set_execution_status('audit-4', 'SUCCESS')$$);
SELECT * FROM tamper('an execution removed, then started again',
    $$DELETE FROM wflog.workflow_executions WHERE execution_id = 'audit-4'$$,
    $$ALTER TABLE wflog.workflow_executions ENABLE TRIGGER ALL$$,
    $$SELECT wflog.start_execution('audit-4', 'audit', 'NEW')$$);
SELECT * FROM problems;

-- writers have no say over the trail, and no way to it by search_path
CREATE ROLE regress_audit_writer;
GRANT wflog_writer TO regress_audit_writer;
CREATE SCHEMA trap AUTHORIZATION regress_audit_writer;
SET ROLE regress_audit_writer;
CREATE TABLE trap.log (who text);
CREATE FUNCTION trap.trapped(text, text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trap.log VALUES (current_user);
    RETURN true;
END
$$;
CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.trapped);
CREATE FUNCTION trap.max(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint';
CREATE DOMAIN trap.jsonb AS text;
CREATE TEMP TABLE execution_audit_heads (execution_id text);
CREATE TEMP TABLE secrets (name text, value bytea);
SET search_path = trap, pg_temp, pg_catalog;
SELECT wflog.start_execution('audit-trap', 'audit');
SELECT wflog.set_execution_status('audit-trap', 'SUCCESS');
SELECT pg_catalog.count(*) FROM wflog.verify_audit('audit-trap');
SELECT pg_catalog.count(*) FROM trap.log;
SHOW search_path;
RESET search_path;
SELECT current_user;
SELECT failure($$SELECT * FROM wflog.secrets$$);
SELECT failure($$SELECT * FROM wflog.execution_audit_heads$$);
SELECT failure($$INSERT INTO wflog.execution_audit_events (execution_id, event_type, actor, position, seal) VALUES ('audit-1', 'CREATED', 'x', 8, '')$$);
SELECT failure($$UPDATE wflog.execution_audit_events SET actor = 'x'$$);
SELECT failure($$TRUNCATE wflog.execution_audit_events$$);
RESET ROLE;
DROP SCHEMA trap CASCADE;
DROP TABLE pg_temp.execution_audit_heads, pg_temp.secrets;

-- owners read their trail, others are told that there is none
CREATE ROLE regress_audit_ann LOGIN;
CREATE ROLE regress_audit_bob LOGIN;
GRANT wflog_reader TO regress_audit_ann, regress_audit_bob;
SELECT wflog.start_execution('audit-ann', 'audit-ann', user_id => 'regress_audit_ann');
SET SESSION AUTHORIZATION regress_audit_ann;
SELECT execution_id, event_type FROM wflog.execution_audit_events;
SELECT * FROM wflog.verify_audit('audit-ann');
SELECT * FROM wflog.verify_audit();
SELECT failure($$SELECT * FROM wflog.verify_audit('audit-1')$$);
SELECT failure($$SELECT * FROM wflog.verify_audit('audit-nobody')$$);
SET SESSION AUTHORIZATION regress_audit_bob;
SELECT execution_id, event_type FROM wflog.execution_audit_events;
SELECT failure($$SELECT * FROM wflog.verify_audit('audit-ann')$$);
RESET SESSION AUTHORIZATION;
-- without an argument each sees the problems of his own executions only
BEGIN;
SET session_replication_role = replica;
UPDATE wflog.workflow_executions SET status = 'FAILED' WHERE execution_id IN ('audit-1', 'audit-ann');
RESET session_replication_role;
SET SESSION AUTHORIZATION regress_audit_ann;
SELECT problem FROM wflog.verify_audit();
SET SESSION AUTHORIZATION regress_audit_bob;
SELECT problem FROM wflog.verify_audit();
ROLLBACK;
RESET SESSION AUTHORIZATION;

-- in a gateway session the actor is the user whom the claims name
CREATE ROLE regress_audit_gateway LOGIN;
GRANT wflog_gateway TO regress_audit_gateway;
SET SESSION AUTHORIZATION regress_audit_gateway;
SET request.jwt.claims = '{"sub": "some engine", "role": "service_role"}';
SELECT wflog.start_execution('audit-gateway', 'audit');
SET request.jwt.claims = '{"role": "service_role"}';
SELECT wflog.set_execution_status('audit-gateway', 'SUCCESS');
RESET SESSION AUTHORIZATION;
RESET request.jwt.claims;
SELECT position, actor FROM wflog.execution_audit_events WHERE execution_id = 'audit-gateway' ORDER BY 1;

-- the guard is enabled always
SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger
WHERE tgfoid = 'wflog.guard_audit()'::regprocedure ORDER BY 1, 2;

DELETE FROM wflog.workflow_executions WHERE workflow_id LIKE 'audit%';
DELETE FROM wflog.workflows WHERE id LIKE 'audit%';
SELECT * FROM problems;
DROP OWNED BY regress_audit_writer, regress_audit_ann, regress_audit_bob, regress_audit_gateway;
DROP ROLE regress_audit_writer, regress_audit_ann, regress_audit_bob, regress_audit_gateway;
DROP VIEW trail, problems;
DROP FUNCTION attempts, tamper, failure;
