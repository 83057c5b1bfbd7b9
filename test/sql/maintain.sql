-- Maintenance: leaves are made, completed, filled from the default leaf; idempotent.
-- In a database of its own: the partitions of the shared one are none of our business.
CREATE DATABASE regress_maintain;
\c regress_maintain
\set VERBOSITY terse
\pset null (null)
CREATE EXTENSION wflog;
SET timezone = 'UTC';
-- midnight must not come in between
SELECT CASE WHEN now()::time > '23:59:00' THEN pg_sleep(61) END IS NULL AS waited \gset

-- leaves by day from today, so that output does not depend on the date
CREATE VIEW leaves AS
    SELECT c.relname AS name, c.oid,
        CASE WHEN c.relname ~ '_default$' THEN 'default'
             ELSE to_char(to_date(substring(c.relname FROM '_(\d{8})'), 'YYYYMMDD')
                          - (now() AT TIME ZONE 'UTC')::date, 'FMSG99') || substring(c.relname FROM '_\d{8}(.*)')
        END AS day
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'wflog.workflow_execution_logs_rows'::regclass;
CREATE VIEW rows AS
    SELECT l.day, r.execution_id, r.message, r.xact, r.seq, r.execution_hash
    FROM wflog.workflow_execution_logs r JOIN leaves l ON l.oid = r.tableoid;
CREATE FUNCTION failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN SQLSTATE || ' ' || SQLERRM || CASE WHEN detail <> '' THEN ' | ' || detail ELSE '' END;
END
$$;

-- CREATE EXTENSION makes no leaf but the default one
SELECT day FROM leaves ORDER BY 1;

-- rows stray before the first run
INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
SELECT e, e || ' ' || d, now() - make_interval(days => d)
FROM unnest(ARRAY['a', 'b']) e, unnest(ARRAY[0, 1, 2, 29, 40, -2, -9]) d;
CREATE TABLE before AS SELECT * FROM rows;
SELECT day, count(*) FROM rows GROUP BY 1;
CALL wflog.maintain();
SELECT day, (SELECT count(*) FROM rows r WHERE r.day = l.day) AS rows FROM leaves l ORDER BY 1;
SELECT count(*) AS stamps_kept FROM before b JOIN rows r USING (execution_id, message, xact, seq, execution_hash);
SELECT execution_id, last_xact = (SELECT xact FROM before b WHERE b.message = r.execution_id || ' 40') AS right_xact
FROM wflog.removed_logs r ORDER BY 1;

-- a second run does nothing
CREATE TABLE marks AS SELECT oid, name, pg_relation_filenode(oid) AS file FROM leaves;
CALL wflog.maintain();
SELECT count(*) AS changes FROM marks m FULL JOIN leaves l ON l.oid = m.oid AND pg_relation_filenode(l.oid) = m.file
WHERE m.oid IS NULL OR l.oid IS NULL;

-- leaves are like the default one: owner, indexes, RLS, the row trigger, no grants, no membership
SELECT l.day, c.relowner = p.relowner AS owner, c.relacl, c.relrowsecurity AS rls,
    (SELECT count(*) FROM pg_index i WHERE i.indrelid = c.oid) AS indexes,
    (SELECT string_agg(t.tgname || ' ' || t.tgenabled::text, ', ') FROM pg_trigger t WHERE t.tgrelid = c.oid) AS triggers,
    (SELECT count(*) FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') AS member,
    (SELECT count(*) FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c')
        = (SELECT count(*) FROM pg_constraint k WHERE k.conrelid = p.oid AND k.contype = 'c') AS same_checks
FROM leaves l JOIN pg_class c USING (oid), pg_class p
WHERE p.oid = 'wflog.workflow_execution_logs'::regclass ORDER BY 1;

-- indexes are called like those of the default leaf
SELECT l.day, string_agg(replace(x.relname, l.name, ''), ' ' ORDER BY x.relname) AS indexes
FROM leaves l JOIN pg_index i ON i.indrelid = l.oid JOIN pg_class x ON x.oid = i.indexrelid
WHERE l.day IN ('+0', 'default') GROUP BY 1;

-- bounds are UTC whatever the session says; rows of today go to today's leaf
SET timezone = 'Asia/Kolkata';
SET datestyle = 'German, DMY';
INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('a', 'now');
SELECT day, message, xact = pg_current_xact_id_if_assigned() AS own FROM rows WHERE message = 'now';
SELECT oid::regclass AS leaf FROM leaves WHERE day = '+1' \gset
DROP TABLE :leaf;
CALL wflog.maintain();
SELECT DISTINCT regexp_replace(pg_get_expr(relpartbound, oid), '.*FROM \(''.{10} (.*)''\) TO \(''.{10} (.*)''\)', '\1, \2') AS bounds
FROM pg_class WHERE oid IN (SELECT oid FROM leaves WHERE day <> 'default');
SET timezone = 'UTC';
RESET datestyle;

-- a hand-made leaf without indexes is completed
SELECT ((now() AT TIME ZONE 'UTC')::date - 100)::text || ' 00:00+00' AS lower, ((now() AT TIME ZONE 'UTC')::date - 90)::text || ' 00:00+00' AS upper \gset
CREATE TABLE wflog.handmade PARTITION OF wflog.workflow_execution_logs_rows FOR VALUES FROM (:'lower') TO (:'upper');
CALL wflog.maintain(200);
CREATE VIEW definitions AS
    SELECT tablename, regexp_replace(indexdef, 'INDEX .* USING', 'INDEX USING') AS definition FROM pg_indexes WHERE schemaname = 'wflog';
SELECT count(*) FROM definitions WHERE tablename = 'handmade';
SELECT definition FROM definitions WHERE tablename = 'workflow_execution_logs_default'
EXCEPT SELECT definition FROM definitions WHERE tablename = 'handmade';
SELECT relrowsecurity FROM pg_class WHERE oid = 'wflog.handmade'::regclass;
DROP TABLE wflog.handmade;
-- and one that has lost an index
SELECT name FROM leaves WHERE day = '+0' \gset
SELECT indexrelid::regclass AS index FROM pg_index
WHERE indrelid = ('wflog.' || :'name')::regclass AND pg_get_indexdef(indexrelid) LIKE '% (execution_id%' \gset
DROP INDEX :index;
SELECT count(*) FROM definitions WHERE tablename = :'name';
CALL wflog.maintain();
SELECT count(*) FROM definitions WHERE tablename = :'name';

-- options of the default leaf are taken over, default privileges are not
CREATE ROLE regress_grantee;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO regress_grantee;
ALTER TABLE wflog.workflow_execution_logs_default
    SET (fillfactor = 90, autovacuum_vacuum_insert_threshold = 12345, toast.autovacuum_enabled = off);
SELECT oid::regclass AS leaf FROM leaves WHERE day = '+2' \gset
DELETE FROM wflog.workflow_execution_logs WHERE tableoid = :'leaf'::regclass;
DROP TABLE :leaf;
CALL wflog.maintain();
SELECT c.reloptions, t.reloptions AS toast_options,
    (SELECT count(*) FROM aclexplode(c.relacl) a WHERE a.grantee <> c.relowner) AS grants
FROM leaves l JOIN pg_class c USING (oid) LEFT JOIN pg_class t ON t.oid = c.reltoastrelid WHERE day = '+2';
ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM regress_grantee;
DROP ROLE regress_grantee;
ALTER TABLE wflog.workflow_execution_logs_default
    RESET (fillfactor, autovacuum_vacuum_insert_threshold, toast.autovacuum_enabled);

-- a name that is taken gets a suffix
SELECT name, oid::regclass AS leaf FROM leaves WHERE day = '+3' \gset
DROP TABLE :leaf;
CREATE TABLE wflog.:"name" (a int);
CALL wflog.maintain();
SELECT day FROM leaves ORDER BY 1;
DROP TABLE wflog.:"name";

-- in a transaction block, in every isolation level, and rolled back
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM leaves;
SET LOCAL wflog.partitions_ahead = 5;
CALL wflog.maintain();
SELECT count(*) FROM leaves;
ROLLBACK;
SELECT count(*) FROM leaves;
SET default_transaction_isolation = 'repeatable read';
SET wflog.partitions_ahead = 4;
CALL wflog.maintain();
SELECT count(*) FROM leaves;
RESET default_transaction_isolation;
RESET wflog.partitions_ahead;
DO 'BEGIN CALL wflog.maintain(); END';
SELECT failure('CALL wflog.maintain()');

-- what the caller has set stays as it was
SHOW lock_timeout;
SHOW search_path;
SHOW timezone;
SELECT current_user = session_user AS same_user;

-- nothing resolves to what a caller has put in the way
CREATE SCHEMA trap;
CREATE FUNCTION trap.format(text, VARIADIC "any") RETURNS text LANGUAGE internal AS 'text_format';
CREATE FUNCTION trap.trapped(timestamptz, timestamptz) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE ''trapped''; END';
CREATE OPERATOR trap.< (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = trap.trapped);
SET search_path = trap, pg_catalog, public;
CALL wflog.maintain();
SELECT count(*) FROM wflog.retention_preview();
RESET search_path;
DROP SCHEMA trap CASCADE;

-- errors
SELECT failure('CALL wflog.maintain(0)');
SELECT failure('CALL wflog.maintain(-5)');
SELECT failure('SELECT * FROM wflog.retention_preview(0)');
CREATE ROLE regress_writer IN ROLE wflog_writer;
CREATE ROLE regress_admin IN ROLE wflog_admin;
GRANT EXECUTE ON PROCEDURE wflog.maintain TO regress_writer;
GRANT EXECUTE ON FUNCTION wflog.retention_preview TO regress_writer;
SET SESSION AUTHORIZATION regress_writer;
SELECT failure('CALL wflog.maintain()');
SELECT failure('SELECT * FROM wflog.retention_preview()');
SET SESSION AUTHORIZATION regress_admin;
CALL wflog.maintain();
SELECT count(*) FROM wflog.retention_preview();
SELECT current_user;
-- the error of a step leaves the caller himself
RESET SESSION AUTHORIZATION;
BEGIN READ ONLY;
CALL wflog.maintain();
ROLLBACK;
\c postgres
DROP DATABASE regress_maintain;
DROP ROLE regress_writer, regress_admin;
