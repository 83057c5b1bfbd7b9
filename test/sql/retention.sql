-- Retention: policies, what the preview says and what maintain() does, gap records.
-- In a database of its own, as maintain.sql.
CREATE DATABASE regress_retention;
\c regress_retention
\set VERBOSITY terse
\pset null (null)
CREATE EXTENSION wflog;
SET timezone = 'UTC';
-- midnight must not come in between
SELECT CASE WHEN now()::time > '23:59:00' THEN pg_sleep(61) END IS NULL AS waited \gset

-- days as distance from today
CREATE FUNCTION age(day date) RETURNS int LANGUAGE sql AS $$ SELECT (now() AT TIME ZONE 'UTC')::date - day $$;
CREATE FUNCTION leaf_age(name text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(age(to_date(substring(name FROM '_(\d{8})'), 'YYYYMMDD'))::text, 'default') $$;
CREATE VIEW leaves AS
    SELECT leaf_age(c.relname) AS leaf FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'wflog.workflow_execution_logs_rows'::regclass;
CREATE VIEW held AS
    SELECT leaf_age(c.relname) AS leaf, string_agg(r.execution_id || ':' || n, ' ' ORDER BY r.execution_id) AS logs
    FROM (SELECT tableoid, execution_id, count(*) AS n FROM wflog.workflow_execution_logs GROUP BY 1, 2) r
    JOIN pg_class c ON c.oid = r.tableoid GROUP BY 1 ORDER BY lpad(leaf_age(c.relname), 8);
CREATE VIEW preview AS
    SELECT action, leaf_age(target) AS leaf, age(day) AS age, logs, bytes > 0 AS bytes
    FROM wflog.retention_preview() WHERE target LIKE 'workflow_execution_logs%' ORDER BY lpad(leaf_age(target), 8), age;

-- one execution of each kind, and one that nobody has registered
SELECT wflog.start_execution(e, w, tier => t) FROM (VALUES
    ('free1', 'wf_free', 'free'), ('gold1', 'wf_gold', 'gold'), ('keep1', 'wf_keep', 'free'),
    ('plain', 'wf_plain', NULL), ('other', 'wf_other', 'unknown')) v(e, w, t);
CREATE PROCEDURE fill(days int[]) LANGUAGE sql AS $$
    INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
    SELECT e, 'm' || i, date_trunc('day', now()) - make_interval(days => d) + interval '12 hours' + i * interval '1 second'
    FROM unnest(ARRAY['free1', 'gold1', 'keep1', 'nobody', 'other', 'plain']) e, unnest(days) d, generate_series(1, 3) i
$$;
CALL fill('{2,5,9,20,40,100,400}');
CALL wflog.maintain(10000);
SELECT * FROM held;

-- without policies: leaves as a whole, after 30 days
SELECT * FROM preview;
SELECT leaf_age(target) AS leaf, age(day), logs FROM wflog.retention_preview(99) ORDER BY 2;
SELECT leaf_age(target) AS leaf, age(day), logs FROM wflog.retention_preview(10000) ORDER BY 2;

-- with policies: workflow before tier before default; unregistered executions have the default
INSERT INTO wflog.retention_policies VALUES
    ('tier', 'free', 7), ('tier', 'gold', 365), ('workflow', 'wf_keep', 50), ('workflow', 'gone', 1);
SELECT * FROM preview;
-- what was said is what happens
CREATE TABLE said AS SELECT leaf, sum(logs) AS logs FROM preview GROUP BY 1;
CREATE TABLE had AS SELECT leaf_age(c.relname) AS leaf, r.execution_id, r.xact
    FROM wflog.workflow_execution_logs r JOIN pg_class c ON c.oid = r.tableoid;
CALL wflog.maintain();
SELECT * FROM held;
SELECT leaf, s.logs AS said, d.logs AS done FROM said s FULL JOIN (
    SELECT leaf, count(*) - (SELECT count(*) FROM wflog.workflow_execution_logs r JOIN pg_class c ON c.oid = r.tableoid
                             WHERE leaf_age(c.relname) = h.leaf) AS logs
    FROM had h GROUP BY leaf) d USING (leaf)
WHERE s.logs IS DISTINCT FROM nullif(d.logs, 0);
SELECT * FROM preview;
SELECT leaf FROM leaves ORDER BY lpad(leaf, 8);
SELECT execution_id, last_xact = (SELECT max(xact) FROM had h WHERE h.execution_id = r.execution_id) AS right_xact
FROM wflog.removed_logs r ORDER BY 1;
CALL wflog.maintain();
SELECT * FROM held;

-- the default policy goes before the setting, the argument before both
INSERT INTO wflog.retention_policies VALUES ('default', '', 15);
SELECT * FROM preview;
SELECT action, leaf_age(target) AS leaf, age(day), logs FROM wflog.retention_preview(4) ORDER BY 3;
CALL wflog.maintain(4);
SELECT * FROM held;
DELETE FROM wflog.retention_policies WHERE scope = 'default';
SET wflog.retention_days = 3;
CALL wflog.maintain();
SELECT * FROM held;
RESET wflog.retention_days;
DELETE FROM wflog.retention_policies;

-- rows in the default leaf are deleted, the rest moves
CALL fill('{3,50,60}');
INSERT INTO wflog.retention_policies VALUES ('tier', 'gold', 365);
SELECT * FROM preview;
CALL wflog.maintain();
SELECT * FROM held;
SELECT count(*) FROM ONLY wflog.workflow_execution_logs_default;

-- far in the past, far in the future
INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at) VALUES
    ('plain', 'bc', '4000-01-01 BC'), ('plain', 'far', '9999-01-01');
SELECT action, day, logs FROM wflog.retention_preview() WHERE leaf_age(target) = 'default';
CALL wflog.maintain();
SELECT message FROM wflog.workflow_execution_logs_default ORDER BY 1;

-- more rows than a batch; the gap record is a maximum, whatever comes in which order
DELETE FROM wflog.workflow_execution_logs;
DELETE FROM wflog.removed_logs;
INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
SELECT CASE WHEN i % 3 = 0 THEN 'free1' ELSE 'plain' END, 'm', date_trunc('day', now()) - interval '20 days' + i * interval '1 ms'
FROM generate_series(1, 30000) i;
INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
VALUES ('free1', 'later', date_trunc('day', now()) - interval '20 days');
SELECT max(xact) AS last_xact FROM wflog.workflow_execution_logs \gset
CALL wflog.maintain();
INSERT INTO wflog.retention_policies VALUES ('tier', 'free', 7);
SELECT * FROM preview;
CALL wflog.maintain();
SELECT * FROM held;
SELECT execution_id, last_xact = :'last_xact'::xid8 AS right_xact FROM wflog.removed_logs;
BEGIN;
CALL wflog.maintain(10);
SELECT * FROM held;
ROLLBACK;
SELECT * FROM held;

-- a time to keep that leaves the range of timestamps
UPDATE wflog.retention_policies SET keep_days = 2147483647;
CALL wflog.maintain(2147483647);
SELECT * FROM held;
SELECT * FROM wflog.retention_preview(2147483647);

-- something depends on a leaf: said, not an error
DELETE FROM wflog.retention_policies;
SELECT c.oid::regclass AS leaf FROM pg_class c WHERE relname LIKE 'workflow_execution_logs_2%' AND leaf_age(relname) = '20' AND relkind = 'r' \gset
CREATE VIEW depends AS SELECT execution_id FROM :leaf;
SET client_min_messages = error;
CALL wflog.maintain(10);
SET client_min_messages = notice;
SELECT count(*) FROM :leaf;
DROP VIEW depends;
CALL wflog.maintain(10);
SELECT leaf FROM leaves WHERE leaf = '20';

-- producers' batches are kept as long as logs
INSERT INTO wflog.producer_batches (producer_key, sequence, result, created_at)
SELECT 'p', d, 1, now() - make_interval(days => d) FROM unnest(ARRAY[1, 29, 31, 60]) d;
SELECT action, target, age(day), logs FROM wflog.retention_preview();
CALL wflog.maintain();
SELECT sequence FROM wflog.producer_batches ORDER BY 1;

\c postgres
DROP DATABASE regress_retention;
