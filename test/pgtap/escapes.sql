-- Ways around the policies, each of which must lead nowhere: functions, views,
-- code of one's own that others run, traps on the search_path.
--
-- escapes_supabase.sql runs the same with Supabase's roles and schema.
\ir cast.psql

/*
 * Functions: an execution that does not exist and one that the asker may not
 * read are answered alike.
 */
CREATE FUNCTION pg_temp.alike(login text, claims text, become text, statement text, unseen text, unknown text)
RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    one text := pg_temp.attempt(login, claims, become, ARRAY[format(statement, unseen)]);
    two text := pg_temp.attempt(login, claims, become, ARRAY[format(statement, unknown)]);
BEGIN
    RETURN NEXT is(replace(one, unseen, '?'), replace(two, unknown, '?'),
                   login || ': unseen and unknown are alike: ' || statement);
    RETURN NEXT ok(one ~ '^(P0002|22023|42501|WF001) |^0$', login || ': nothing is told by ' || statement)
             || CASE WHEN one ~ '^(P0002|22023|42501|WF001) |^0$' THEN '' ELSE E'\n' || diag(one) END;
END
$$;
CREATE TEMP TABLE calls (subject text, statement text);
INSERT INTO calls VALUES
('execution', 'SELECT count(*) FROM wflog.logs(''%s'')'),
('execution', 'SELECT count(*) FROM wflog.logs(''%s'', 10, 1, level => ''ERROR'', search => ''secret'')'),
('execution', 'SELECT count(*) FROM wflog.logs(''%s'', 0)'),
('execution', 'SELECT count(*) FROM wflog.logs(''%s'', level => ''loud'')'),
('execution', 'SELECT count(*) FROM wflog.logs(''%s'', after => ''p1.x'')'),
('execution', 'SELECT wflog.logs_json(''%s'')'),
('execution', 'SELECT wflog.logs_json(''%s'', 0)'),
('execution', 'SELECT wflog.logs_json(''%s'', level => ''loud'')'),
('execution', 'SELECT wflog.logs_json(''%s'', 5, skip => 100, after => ''p1.x'', from_end => true, with_total => false)'),
('execution', 'SELECT wflog.summary(''%s'')'),
('execution', 'SELECT wflog.execution(''%s'')'),
('execution', 'SELECT count(*) FROM wflog.tail(''%s'')'),
('execution', 'SELECT count(*) FROM wflog.tail(''%s'', max_rows => 10001)'),
('execution', 'SELECT count(*) FROM wflog.verify_audit(''%s'')'),
('execution', 'SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id = ''%s'''),
('execution', 'SELECT count(*) FROM wflog.workflow_executions WHERE execution_id = ''%s'''),
('execution', 'SELECT count(*) FROM wflog.execution_audit_events WHERE execution_id = ''%s'''),
('execution', 'SELECT wflog.can_read_execution(''%s'')::int'),
('workflow', 'SELECT wflog.recent_logs(''%s'')'),
('workflow', 'SELECT wflog.recent_logs(''%s'', 5, true)'),
('workflow', 'SELECT wflog.recent_logs(''%s'', 0)'),
('workflow', 'SELECT wflog.executions_json(''%s'')'),
('workflow', 'SELECT wflog.executions_json(''%s'', ''RUNNING'', 0)'),
('workflow', 'SELECT wflog.workflow_summary(''%s'')'),
('workflow', 'SELECT wflog.workflow_summary(''%s'', bucket => ''1 month'')'),
('workflow', 'SELECT wflog.statistics(''%s'')'),
('workflow', 'SELECT wflog.workflow_logs_json(''%s'')'),
('workflow', 'SELECT wflog.workflow_logs_json(''%s'', 0)'),
('workflow', 'SELECT count(*) FROM wflog.workflows WHERE id = ''%s'''),
('workflow', 'SELECT wflog.can_read_workflow(''%s'')::int');
-- what a gateway session may call, but not do
CREATE TEMP TABLE gateway_calls (LIKE calls);
INSERT INTO gateway_calls VALUES
('execution', 'SELECT wflog.set_execution_status(''%s'', ''FAILED'')'),
('execution', 'SELECT wflog.start_execution(''%s'', ''wc'')'),
('execution', 'SELECT wflog.log(''%s'', ''x'')'),
('execution', 'INSERT INTO wflog.workflow_executions (execution_id, workflow_id) VALUES (''%s'', ''wc'') RETURNING 1'),
('execution', 'INSERT INTO wflog.workflow_executions (execution_id, workflow_id) VALUES (''%s'', ''wc'') ON CONFLICT DO NOTHING RETURNING 1'),
('execution', 'INSERT INTO wflog.workflow_executions (execution_id, workflow_id) VALUES (''%s'', ''wc'') ON CONFLICT (execution_id) DO UPDATE SET status = ''FAILED'' RETURNING 1'),
('execution', 'SELECT count(*) FROM (SELECT FROM wflog.workflow_executions WHERE execution_id = ''%s'' FOR UPDATE) AS l'),
('execution', 'WITH u AS (UPDATE wflog.workflow_execution_logs SET message = ''x'' WHERE execution_id = ''%s'' RETURNING 1) SELECT count(*) FROM u'),
('workflow', 'SELECT wflog.start_execution(''new'', ''%s'')'),
('workflow', 'INSERT INTO wflog.workflow_executions (execution_id, workflow_id) VALUES (''new'', ''%s'') RETURNING 1'),
('workflow', 'INSERT INTO wflog.workflows (id) VALUES (''%s'') RETURNING 1'),
('workflow', 'INSERT INTO wflog.workflows (id) VALUES (''%s'') ON CONFLICT DO NOTHING RETURNING 1'),
('workflow', 'INSERT INTO wflog.workflows (id) VALUES (''%s'') ON CONFLICT (id) DO UPDATE SET name = ''x'' RETURNING 1'),
('workflow', 'INSERT INTO wflog.producer_batches (producer_key, sequence, result) VALUES (''%s'', 1, 1) RETURNING 1');

SELECT a.* FROM calls, pg_temp.alike('regress_alice', NULL, NULL, statement,
    CASE subject WHEN 'execution' THEN 'b1' ELSE 'wb' END, CASE subject WHEN 'execution' THEN 'z1' ELSE 'wz' END) AS a;
SELECT a.* FROM calls, pg_temp.alike(:'gateway', :'as_carol', :'user_role', statement,
    CASE subject WHEN 'execution' THEN 'b1' ELSE 'wb' END, CASE subject WHEN 'execution' THEN 'z1' ELSE 'wz' END) AS a;
SELECT a.* FROM calls, pg_temp.alike(:'gateway', NULL, :'user_role', statement,
    CASE subject WHEN 'execution' THEN 'n1' ELSE 'wn' END, CASE subject WHEN 'execution' THEN 'z1' ELSE 'wz' END) AS a;
\if :supabase
    -- authenticated may not even try
\else
SELECT a.* FROM gateway_calls, pg_temp.alike(:'gateway', :'as_carol', :'user_role', statement,
    CASE subject WHEN 'execution' THEN 'b1' ELSE 'wb' END, CASE subject WHEN 'execution' THEN 'z1' ELSE 'wz' END) AS a;
SELECT a.* FROM gateway_calls, pg_temp.alike(:'gateway', :'as_carol', :'user_role', statement,
    CASE subject WHEN 'execution' THEN 'c1' ELSE 'wc' END, CASE subject WHEN 'execution' THEN 'z1' ELSE 'wz' END) AS a
WHERE statement !~ 'set_execution_status|producer|FOR UPDATE';
\endif
SELECT a.* FROM calls, pg_temp.alike('regress_alice', NULL, NULL, statement, 'stray', 'unregistered') AS a WHERE subject = 'execution';

INSERT INTO attempts (login, claims, become, statements, expected, description) VALUES
('regress_alice', NULL, NULL, ARRAY[$$SELECT string_agg(e ->> 'execution_id', ',') FROM json_array_elements(wflog.executions_json() -> 'executions') AS e$$], 'a1', 'executions_json() lists one''s own'),
('regress_writer', NULL, NULL, ARRAY[$$SELECT count(*) FROM json_array_elements(wflog.executions_json() -> 'executions') AS e$$], '4', 'executions_json() lists all to a writer'),
(:'gateway', :'as_carol', :'user_role', ARRAY[$$SELECT string_agg(e ->> 'execution_id', ',') FROM json_array_elements(wflog.executions_json() -> 'executions') AS e$$], 'c1', 'executions_json() lists the subject''s'),
(:'gateway', NULL, :'user_role', ARRAY[$$SELECT count(*) FROM json_array_elements(wflog.executions_json() -> 'executions') AS e$$], '0', 'executions_json() lists nothing to nobody'),
('regress_alice', NULL, NULL, ARRAY[$$SELECT count(*) FROM wflog.logs('a1')$$], '3', 'logs() of one''s own'),
('regress_alice', NULL, NULL, ARRAY[$$SELECT wflog.summary('a1') ->> 'total_logs'$$], '3', 'summary() of one''s own'),
('regress_writer', NULL, NULL, ARRAY[$$SELECT count(*) FROM wflog.logs('stray')$$], '1', 'a writer reads what is not registered'),
('regress_writer', NULL, NULL, ARRAY[$$SELECT wflog.logs_json('stray') ->> 'total_count'$$], '1', 'as a page too'),
('regress_writer', NULL, NULL, ARRAY[$$SELECT wflog.logs_json('nowhere')$$], 'P0002 execution "nowhere" does not exist', 'what has neither registration nor logs does not exist'),
('regress_alice', NULL, NULL, ARRAY[$$SELECT count(*) FROM wflog.verify_audit()$$], '0', 'verify_audit() of all tells one''s own only'),
('regress_outsider', NULL, NULL, ARRAY[$$SELECT count(*) FROM wflog.logs('a1')$$], '42501 permission denied for schema wflog', 'without a role of ours no function can be called'),

/*
 * Code of one's own in a query with the policies: it sees nothing before they
 * have decided.
 */
('regress_alice', NULL, NULL, ARRAY[
    'CREATE TEMP TABLE leaked (message text)',
    'CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS ''BEGIN INSERT INTO pg_temp.leaked VALUES ($1); RETURN true; END''',
    'SELECT count(*) FROM wflog.workflow_execution_logs WHERE pg_temp.leak(message)',
    'SELECT count(*) FROM wflog.workflow_execution_logs WHERE pg_temp.leak(execution_id) OR level = ''ERROR''',
    'SELECT count(*) FROM wflog.workflow_execution_logs l JOIN wflog.workflow_executions e USING (execution_id) JOIN wflog.workflows w ON w.id = e.workflow_id AND pg_temp.leak(w.id || l.execution_id)',
    'SELECT count(*) FROM wflog.execution_audit_events WHERE pg_temp.leak(execution_id)',
    'SELECT string_agg(DISTINCT message, '','' ORDER BY message) FROM leaked'],
    'a1,a1 secret 1,a1 secret 2,a1 secret 3,waa1', 'a leaking function gets one''s own rows only'),
('regress_alice', NULL, NULL, ARRAY[
    'CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE sql LEAKPROOF AS ''SELECT true'''], '42501', 'and cannot be declared leakproof'),
('regress_alice', NULL, NULL, ARRAY['SELECT message::int FROM wflog.workflow_execution_logs WHERE message::int > 0 AND message LIKE ''b%'''], 'null', 'errors show no other''s values'),
('regress_alice', NULL, NULL, ARRAY['SELECT count(*) FROM wflog.workflow_execution_logs WHERE message::int > 0'], '22P02 invalid input syntax for type integer: "a1 secret 1"', 'but one''s own'),
('regress_alice', NULL, NULL, ARRAY['SELECT count(*) FROM wflog.workflow_execution_logs a, wflog.workflow_execution_logs b WHERE a.execution_id <> b.execution_id'], '0', 'self-joins'),
('regress_alice', NULL, NULL, ARRAY['SELECT count(*) FROM wflog.workflow_execution_logs TABLESAMPLE BERNOULLI (100)'], '3', 'TABLESAMPLE'),
('regress_alice', NULL, NULL, ARRAY['SELECT max(xact::text) IS NOT NULL FROM wflog.workflow_execution_logs WHERE tableoid <> 0'], 'true', 'system columns'),

/*
 * Parallel workers know who asks.
 */
('regress_alice', NULL, NULL, ARRAY['SELECT set_config(name, ''on'', true) FROM pg_settings WHERE name IN (''force_parallel_mode'', ''debug_parallel_query'')',
    'SET LOCAL parallel_setup_cost = 0', 'SET LOCAL parallel_tuple_cost = 0', 'SET LOCAL min_parallel_table_scan_size = 0', 'SET LOCAL min_parallel_index_scan_size = 0',
    'SELECT count(*) FROM wflog.workflow_execution_logs'], '3', 'in parallel'),
(:'gateway', :'as_carol', :'user_role', ARRAY['SELECT set_config(name, ''on'', true) FROM pg_settings WHERE name IN (''force_parallel_mode'', ''debug_parallel_query'')',
    'SET LOCAL parallel_setup_cost = 0', 'SET LOCAL parallel_tuple_cost = 0', 'SET LOCAL min_parallel_table_scan_size = 0', 'SET LOCAL min_parallel_index_scan_size = 0',
    'SELECT count(*) FROM wflog.workflow_execution_logs'], '4', 'claims in parallel'),
(:'gateway', :'as_carol', :'user_role', ARRAY['SELECT set_config(name, ''on'', true) FROM pg_settings WHERE name IN (''force_parallel_mode'', ''debug_parallel_query'')',
    'SELECT wflog.can_read_execution(''c1'') AND NOT wflog.can_read_execution(''a1'') AND wflog.uid() IS NOT NULL'], 'true', 'the predicates in a worker');

/*
 * COPY, views, and functions that run with another's privileges.
 */
GRANT pg_write_server_files TO regress_alice, regress_writer;
CREATE SCHEMA regress_shared;
GRANT USAGE, CREATE ON SCHEMA regress_shared TO public;
INSERT INTO attempts (login, claims, become, statements, expected, description) VALUES
('regress_alice', NULL, NULL, ARRAY['COPY wflog.workflow_executions TO ''/dev/null'''], '1 rows', 'COPY of a table writes one''s own rows'),
('regress_alice', NULL, NULL, ARRAY['COPY (TABLE wflog.workflow_execution_logs) TO ''/dev/null'''], '3 rows', 'COPY of a query too'),
('regress_alice', NULL, NULL, ARRAY['COPY wflog.workflows FROM ''/dev/null'''], '42501', 'COPY FROM'),
('regress_writer', NULL, NULL, ARRAY['CREATE VIEW regress_shared.v AS TABLE wflog.workflow_execution_logs', 'GRANT SELECT ON regress_shared.v TO public',
    'SET LOCAL SESSION AUTHORIZATION regress_alice', 'SELECT count(*) FROM regress_shared.v'], '3', 'a writer''s view shows an owner his own'),
('regress_writer', NULL, NULL, ARRAY['CREATE VIEW regress_shared.v AS TABLE wflog.workflow_execution_logs', 'GRANT SELECT ON regress_shared.v TO public',
    'SET LOCAL SESSION AUTHORIZATION regress_outsider', 'SELECT count(*) FROM regress_shared.v'], '0', 'and nothing to who owns none'),
('regress_alice', NULL, NULL, ARRAY['CREATE VIEW regress_shared.v WITH (security_invoker) AS TABLE wflog.workflow_execution_logs', 'GRANT SELECT ON regress_shared.v TO public',
    'SET LOCAL SESSION AUTHORIZATION regress_bob', 'SELECT count(*) FROM regress_shared.v'], '2', 'a view that asks as its invoker'),
('regress_alice', NULL, NULL, ARRAY['CREATE FUNCTION regress_shared.f() RETURNS bigint SECURITY DEFINER LANGUAGE sql AS ''SELECT count(*) FROM wflog.workflow_execution_logs''',
    'SET LOCAL SESSION AUTHORIZATION regress_bob', 'SELECT regress_shared.f()'], '2', 'SECURITY DEFINER lends privileges, not identity'),
('regress_alice', NULL, NULL, ARRAY['CREATE FUNCTION regress_shared.f() RETURNS bigint SECURITY DEFINER LANGUAGE sql AS ''SELECT count(*) FROM wflog.workflow_execution_logs''',
    'SET LOCAL SESSION AUTHORIZATION regress_writer', 'SELECT regress_shared.f()'], '0', 'and takes them, too'),
('regress_writer', NULL, NULL, ARRAY['CREATE FUNCTION regress_shared.f() RETURNS bigint SECURITY DEFINER LANGUAGE sql AS ''SELECT count(*) FROM wflog.workflow_execution_logs''',
    'SET LOCAL SESSION AUTHORIZATION regress_alice', 'SELECT regress_shared.f()'], '11', 'a writer may lend his'),
('regress_writer', NULL, NULL, ARRAY['CREATE FUNCTION regress_shared.f() RETURNS bigint SECURITY DEFINER LANGUAGE sql AS ''SELECT count(*) FROM wflog.logs(''''b1'''')''',
    'SET LOCAL SESSION AUTHORIZATION regress_alice', 'SELECT regress_shared.f()'], '2', 'also by our functions'),

/*
 * PostgreSQL runs a table owner's code in the session of whoever maintains
 * the table; that session's identity is not his to use.
 */
('regress_alice', NULL, NULL, ARRAY[
    'CREATE TABLE regress_shared.seen (message text)',
    'CREATE FUNCTION regress_shared.keep(m text) RETURNS void LANGUAGE sql AS ''INSERT INTO regress_shared.seen VALUES (m)''',
    'CREATE FUNCTION regress_shared.look(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS ''BEGIN PERFORM regress_shared.keep(wflog.uid() || '''' '''' || coalesce(wflog.role(), ''''-'''') || '''' '''' || (SELECT count(*) FROM wflog.workflow_execution_logs)); RETURN i; END''',
    'CREATE TABLE regress_shared.bait (i int)', 'CREATE INDEX ON regress_shared.bait (regress_shared.look(i))',
    'INSERT INTO regress_shared.bait VALUES (1)', 'TRUNCATE regress_shared.seen',
    'SET LOCAL SESSION AUTHORIZATION regress_super', 'ANALYZE regress_shared.bait',
    'SELECT string_agg(DISTINCT message, '','') FROM regress_shared.seen'], 'regress_alice wflog_reader 3', 'an index''s function under a superuser''s ANALYZE'),
('regress_alice', NULL, NULL, ARRAY[
    'CREATE TABLE regress_shared.seen (message text)',
    'CREATE FUNCTION regress_shared.keep(m text) RETURNS void LANGUAGE sql AS ''INSERT INTO regress_shared.seen VALUES (m)''',
    'CREATE FUNCTION regress_shared.look(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS ''BEGIN PERFORM regress_shared.keep(wflog.uid() || '''' '''' || coalesce(wflog.role(), ''''-'''') || '''' '''' || (SELECT count(*) FROM wflog.logs(''''c1''''))); RETURN i; END''',
    'CREATE TABLE regress_shared.bait (i int)', 'CREATE INDEX bait_idx ON regress_shared.bait (regress_shared.look(i))',
    'INSERT INTO regress_shared.bait VALUES (1)', 'TRUNCATE regress_shared.seen',
    'SET LOCAL SESSION AUTHORIZATION ' || :'gateway', 'SET LOCAL ROLE regress_alice', 'ANALYZE regress_shared.bait',
    'SELECT string_agg(DISTINCT message, '','') FROM regress_shared.seen'],
    '42501 permission denied to set role "regress_alice"', 'a gateway is not let in that way at all'),
('regress_alice', NULL, NULL, ARRAY[
    'CREATE MATERIALIZED VIEW regress_shared.mine AS SELECT execution_id FROM wflog.workflow_execution_logs',
    'SET LOCAL SESSION AUTHORIZATION regress_super', 'REFRESH MATERIALIZED VIEW regress_shared.mine',
    'SELECT count(*) || string_agg(DISTINCT execution_id, '','') FROM regress_shared.mine'], '3a1', 'a materialized view that a superuser refreshes holds its owner''s rows'),
('regress_alice', NULL, NULL, ARRAY['CREATE MATERIALIZED VIEW regress_shared.mine AS SELECT execution_id FROM wflog.workflow_execution_logs', 'SELECT count(*) FROM regress_shared.mine'], '3', 'and when he makes it');

/*
 * Changes within a transaction: the next statement follows.
 */
INSERT INTO attempts (login, claims, become, statements, expected, description) VALUES
('regress_writer', NULL, NULL, ARRAY['UPDATE wflog.workflows SET user_id = ''regress_bob'' WHERE id = ''wa''', 'SET LOCAL SESSION AUTHORIZATION regress_alice', :'logs'], '0 none', 'a workflow''s former owner sees it no longer'),
('regress_writer', NULL, NULL, ARRAY['UPDATE wflog.workflows SET user_id = ''regress_bob'' WHERE id = ''wa''', 'SET LOCAL SESSION AUTHORIZATION regress_bob', :'logs'], '5 a1,b1', 'the new one does'),
('regress_writer', NULL, NULL, ARRAY['UPDATE wflog.workflows SET user_id = NULL WHERE id = ''wa''', 'SET LOCAL SESSION AUTHORIZATION regress_alice', :'logs'], '0 none', 'no owner, no reader'),
('regress_alice', NULL, NULL, ARRAY[format('PREPARE q AS %s', :'logs'), 'EXECUTE q', 'SET LOCAL SESSION AUTHORIZATION regress_writer', 'UPDATE wflog.workflows SET user_id = ''regress_bob'' WHERE id = ''wa''', 'SET LOCAL SESSION AUTHORIZATION regress_alice', 'EXECUTE q'], '0 none', 'a prepared statement sees the change'),
('regress_alice', NULL, NULL, ARRAY[
    $$CREATE FUNCTION regress_shared.asked() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN wflog.can_read_execution(''a1'') || '' '' || wflog.can_read_workflow(''wa''); END'$$,
    'SELECT regress_shared.asked()', 'SET LOCAL SESSION AUTHORIZATION regress_writer', 'UPDATE wflog.workflows SET user_id = ''regress_bob'' WHERE id = ''wa''',
    'SET LOCAL SESSION AUTHORIZATION regress_alice', 'SELECT regress_shared.asked()'], 'false false', 'an expression of plpgsql sees it'),
('regress_alice', NULL, NULL, ARRAY[
    $$CREATE FUNCTION regress_shared.asked() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN wflog.can_read_execution(''a1'') || '' '' || wflog.can_read_workflow(''wa''); END'$$,
    'SELECT regress_shared.asked()', 'SET LOCAL SESSION AUTHORIZATION regress_bob', 'SELECT regress_shared.asked()'], 'false false', 'and who asks'),
('regress_alice', NULL, NULL, ARRAY['DECLARE c CURSOR FOR SELECT execution_id FROM wflog.workflow_execution_logs', 'FETCH c', 'SET LOCAL SESSION AUTHORIZATION regress_bob', 'FETCH c'], 'b1', 'an open cursor answers who fetches'),
('regress_super', NULL, NULL, ARRAY['DECLARE c CURSOR FOR SELECT count(*) FROM wflog.logs(''b1'')', 'SET LOCAL SESSION AUTHORIZATION regress_alice', 'FETCH c'], '0', 'also by our functions'),
('regress_writer', NULL, NULL, ARRAY['SELECT wflog.log(''a1'', ''x'')', 'SET LOCAL SESSION AUTHORIZATION regress_alice', 'SELECT wflog.log(''a1'', ''x'')'], '42501 permission denied for function log', 'kept plans of our functions'),
('regress_writer', NULL, NULL, ARRAY['UPDATE wflog.workflow_execution_logs SET execution_id = ''a1'' WHERE execution_id = ''b1''', 'SET LOCAL SESSION AUTHORIZATION regress_alice',
    'SELECT (SELECT count(*) FROM wflog.workflow_execution_logs) || '' '' || (SELECT count(*) FROM wflog.logs(''a1''))'], '5 5', 'a log that is moved is its new execution''s'),
('regress_writer', NULL, NULL, ARRAY['UPDATE wflog.workflow_execution_logs SET execution_id = ''a1'' WHERE execution_id = ''b1''', 'SET LOCAL SESSION AUTHORIZATION regress_bob',
    'SELECT (SELECT count(*) FROM wflog.workflow_execution_logs) || '' '' || (SELECT count(*) FROM wflog.logs(''b1''))'], '0 0', 'and no longer its old one''s');
\if :supabase
\else
INSERT INTO attempts (login, claims, become, statements, expected, description) VALUES
(:'gateway', :'as_service', NULL, ARRAY['SELECT wflog.log(''c1'', ''x'')', format($$SELECT set_config('request.jwt.claims', %L, true)$$, :'as_carol'), 'SELECT wflog.log(''c1'', ''x'')'],
    '42501 new row violates row-level security policy for table "workflow_execution_logs"', 'log() after service_role''s claims have gone'),
(:'gateway', :'as_service', NULL, ARRAY['SELECT wflog.append(''[]'', ''k'', 1)', format($$SELECT set_config('request.jwt.claims', %L, true)$$, :'as_carol'), 'SELECT wflog.append(''[]'', ''k'', 2)'],
    '42501 new row violates row-level security policy for table "producer_batches"', 'append() likewise'),
(:'gateway', :'as_service', NULL, ARRAY['SELECT wflog.set_execution_status(''c1'', ''PAUSED'')', format($$SELECT set_config('request.jwt.claims', %L, true)$$, :'as_carol'), 'SELECT wflog.set_execution_status(''c1'', ''RUNNING'')'],
    'P0002 execution "c1" does not exist', 'set_execution_status() likewise');
\endif

/*
 * What is ours is not for others' tables, and settings are not for everybody.
 */
INSERT INTO attempts (login, claims, become, statements, expected, description) VALUES
('regress_writer', NULL, NULL, ARRAY['CREATE TABLE regress_shared.t (LIKE wflog.workflow_execution_logs)', 'CREATE TRIGGER x BEFORE INSERT ON regress_shared.t FOR EACH ROW EXECUTE FUNCTION wflog.log_row()'],
    '42501 permission denied for function wflog.log_row', 'our trigger function on another table'),
('regress_super', NULL, NULL, ARRAY['CREATE TABLE regress_shared.t (a int)', 'CREATE TRIGGER x BEFORE INSERT ON regress_shared.t FOR EACH ROW EXECUTE FUNCTION wflog.log_row()', 'INSERT INTO regress_shared.t VALUES (1)'],
    '42703 column "id" does not exist', 'it refuses tables that are not logs'),
('regress_super', NULL, NULL, ARRAY['CREATE TABLE regress_shared.t (a int)', 'CREATE TRIGGER x BEFORE INSERT ON regress_shared.t FOR EACH ROW EXECUTE FUNCTION wflog.check_execution()', 'INSERT INTO regress_shared.t VALUES (1)'], '39P01', 'check_execution() too'),
('regress_super', NULL, NULL, ARRAY['CREATE TABLE regress_shared.t (a int)', 'CREATE TRIGGER x AFTER INSERT ON regress_shared.t FOR EACH ROW EXECUTE FUNCTION wflog.audit_execution()', 'INSERT INTO regress_shared.t VALUES (1)'], '39P01', 'audit_execution() too'),
('regress_super', NULL, NULL, ARRAY['CREATE TABLE regress_shared.t (a int)', 'CREATE TRIGGER x BEFORE DELETE ON regress_shared.t FOR EACH ROW EXECUTE FUNCTION wflog.guard_audit()', 'INSERT INTO regress_shared.t VALUES (1)', 'DELETE FROM regress_shared.t'], '42501', 'guard_audit() refuses everything'),
('regress_super', NULL, NULL, ARRAY['CREATE TABLE regress_shared.t (a int)', 'CREATE TRIGGER x AFTER DELETE ON regress_shared.t FOR EACH ROW EXECUTE FUNCTION wflog.keep_workflow()', 'INSERT INTO regress_shared.t VALUES (1)', 'DELETE FROM regress_shared.t'], '39P01', 'keep_workflow() too'),
('regress_writer', NULL, NULL, ARRAY['SET LOCAL wflog.max_entry_size = ''1GB'''], '42501', 'the size limit is not the writer''s to set'),
('regress_admin', NULL, NULL, ARRAY['SET LOCAL wflog.retention_days = 1'], '42501', 'nor retention the admin''s, but by policy'),
('regress_writer', NULL, NULL, ARRAY['SET LOCAL session_replication_role = replica'], '42501', 'nor can triggers be avoided'),
('regress_writer', NULL, NULL, ARRAY['ALTER TABLE wflog.workflow_execution_logs DISABLE ROW LEVEL SECURITY'], '42501', 'or policies'),
('regress_admin', NULL, NULL, ARRAY['ALTER TABLE wflog.workflow_execution_logs DISABLE TRIGGER log_row'], '42501', 'or triggers'),
('regress_admin', NULL, NULL, ARRAY['CREATE POLICY p ON wflog.workflow_execution_logs USING (true)'], '42501', 'or others made'),
('regress_admin', NULL, NULL, ARRAY['CREATE RULE r AS ON INSERT TO wflog.workflows DO INSTEAD NOTHING'], '42501', 'or rules');
SELECT * FROM pg_temp.run_attempts();

\ir traps.psql
SELECT * FROM finish();
ROLLBACK;
