-- Who may do what: the contract of roles, policies and identity.
--
-- privileges_supabase.sql runs the same with Supabase's roles and schema.
\ir cast.psql

/*
 * Reading.
 */
INSERT INTO attempts (login, claims, become, statements, expected, description) VALUES
('regress_alice', NULL, NULL, ARRAY[:'logs'], '3 a1', 'an owner sees the logs of his executions and no others'),
('regress_bob', NULL, NULL, ARRAY[:'logs'], '2 b1', 'another owner sees his'),
('regress_alice', NULL, NULL, ARRAY[:'workflows'], 'wa', 'an owner sees his workflows'),
('regress_alice', NULL, NULL, ARRAY[$$SELECT wflog.statistics() -> 'logs' ->> 'total'$$], '3', 'and their figures'),
('regress_alice', NULL, NULL, ARRAY[:'executions'], 'a1', 'an owner sees his executions'),
('regress_alice', NULL, NULL, ARRAY[:'events'], 'a1', 'an owner sees his audit trail'),
('regress_outsider', NULL, NULL, ARRAY[:'logs'], '42501 permission denied for schema wflog', 'who has no role of ours gets nowhere'),
('regress_writer', NULL, NULL, ARRAY[:'logs'], '11 a1,b1,c1,n1,stray', 'a writer reads every execution, those not registered too'),
('regress_writer', NULL, NULL, ARRAY[:'tables'], '11 4 4 4', 'a writer reads all tables'),
('regress_admin', NULL, NULL, ARRAY[:'logs'], '11 a1,b1,c1,n1,stray', 'an admin reads every execution'),
('regress_admin', NULL, NULL, ARRAY[:'tables'], '11 4 4 4', 'an admin reads all tables'),
('regress_bypass', NULL, NULL, ARRAY[:'logs'], '11 a1,b1,c1,n1,stray', 'BYPASSRLS reads every execution'),
('regress_super', NULL, NULL, ARRAY[:'logs'], '11 a1,b1,c1,n1,stray', 'a superuser reads every execution'),
('regress_watcher', NULL, NULL, ARRAY[:'logs'], '42501 permission denied for schema wflog', 'NOINHERIT: a role that is not in use counts for nothing'),
('regress_watcher', NULL, 'wflog_reader', ARRAY[:'logs'], '0 none', 'NOINHERIT: as reader'),
('regress_watcher', NULL, 'wflog_writer', ARRAY[:'logs'], '11 a1,b1,c1,n1,stray', 'NOINHERIT: as writer'),
('regress_monitor', NULL, NULL, ARRAY[:'tables'], '0 0 0 0', 'pg_read_all_data gets at the tables but not past the policies'),
('regress_alice', NULL, NULL, ARRAY[:'logs' || ' WHERE level >= ''ERROR'''], '1 a1', 'the index of errors shows no others'''),
('regress_alice', NULL, NULL, ARRAY['SET LOCAL row_security = off', :'logs'],
    '42501 query would be affected by row-level security policy for table "workflow_execution_logs"', 'row_security = off does not help'),

/*
 * Writing.
 */
('regress_alice', NULL, NULL, ARRAY[$$INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('a1', 'x')$$],
    '42501 permission denied for table workflow_execution_logs', 'a reader inserts no log'),
('regress_alice', NULL, NULL, ARRAY[$$UPDATE wflog.workflow_execution_logs SET message = 'x'$$],
    '42501 permission denied for table workflow_execution_logs', 'a reader updates no log'),
('regress_alice', NULL, NULL, ARRAY[$$DELETE FROM wflog.workflow_execution_logs$$],
    '42501 permission denied for table workflow_execution_logs', 'a reader deletes no log'),
('regress_alice', NULL, NULL, ARRAY[$$UPDATE wflog.workflows SET user_id = 'regress_alice'$$],
    '42501 permission denied for table workflows', 'a reader gives himself no workflow'),
('regress_alice', NULL, NULL, ARRAY[$$INSERT INTO wflog.workflows (id, user_id) VALUES ('x', 'regress_alice')$$],
    '42501 permission denied for table workflows', 'a reader makes no workflow'),
('regress_alice', NULL, NULL, ARRAY[$$UPDATE wflog.workflow_executions SET status = 'FAILED'$$],
    '42501 permission denied for table workflow_executions', 'a reader changes no execution'),
('regress_alice', NULL, NULL, ARRAY[$$SELECT 1 FROM wflog.workflow_execution_logs FOR UPDATE$$],
    '42501 permission denied for table workflow_execution_logs', 'a reader locks no log'),
('regress_alice', NULL, NULL, ARRAY[$$SELECT wflog.log('a1', 'x')$$], '42501 permission denied for function log', 'a reader does not log()'),
('regress_alice', NULL, NULL, ARRAY[$$SELECT wflog.append('[]')$$], '42501 permission denied for function append', 'a reader does not append()'),
('regress_alice', NULL, NULL, ARRAY[$$SELECT wflog.append_lines('')$$], '42501 permission denied for function append_lines', 'a reader does not append_lines()'),
('regress_alice', NULL, NULL, ARRAY[$$SELECT wflog.start_execution('x', 'wa')$$], '42501 permission denied for function start_execution', 'a reader starts no execution'),
('regress_alice', NULL, NULL, ARRAY[$$SELECT wflog.set_execution_status('a1', 'FAILED')$$], '42501 permission denied for function set_execution_status', 'a reader sets no status'),
('regress_alice', NULL, NULL, ARRAY[$$CALL wflog.maintain()$$], '42501 permission denied for procedure maintain', 'a reader runs no maintenance'),
('regress_alice', NULL, NULL, ARRAY[$$SELECT wflog.retention_preview()$$], '42501 permission denied for function retention_preview', 'a reader previews no maintenance'),
('regress_alice', NULL, NULL, ARRAY[$$TABLE wflog.stat$$], '42501 permission denied for view stat', 'a reader sees no statistics'),
('regress_alice', NULL, NULL, ARRAY[$$SELECT wflog.stat_get()$$], '42501 permission denied for function stat_get', 'nor by the function'),
('regress_alice', NULL, NULL, ARRAY[$$TABLE wflog.retention_policies$$], '42501 permission denied for table retention_policies', 'a reader sees no policies'),
('regress_alice', NULL, NULL, ARRAY[$$TABLE wflog.secrets$$], '42501 permission denied for table secrets', 'a reader sees no keys'),
('regress_alice', NULL, NULL, ARRAY[$$TRUNCATE wflog.workflow_execution_logs$$], '42501 permission denied for table workflow_execution_logs', 'a reader truncates no logs'),

('regress_writer', NULL, NULL, ARRAY[$$INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('a1', 'x')$$], '1 rows', 'a writer inserts'),
('regress_writer', NULL, NULL, ARRAY[$$INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('nowhere', 'x') RETURNING message$$], 'x', 'a writer inserts into an execution that is not registered, and sees it'),
('regress_writer', NULL, NULL, ARRAY[$$UPDATE wflog.workflow_execution_logs SET message = 'x' WHERE execution_id = 'b1'$$], '2 rows', 'a writer updates'),
('regress_writer', NULL, NULL, ARRAY[$$DELETE FROM wflog.workflow_execution_logs$$], '42501 permission denied for table workflow_execution_logs', 'a writer deletes no log'),
('regress_writer', NULL, NULL, ARRAY[$$DELETE FROM wflog.workflows$$], '42501 permission denied for table workflows', 'a writer deletes no workflow'),
('regress_writer', NULL, NULL, ARRAY[$$DELETE FROM wflog.workflow_executions$$], '42501 permission denied for table workflow_executions', 'a writer deletes no execution'),
('regress_writer', NULL, NULL, ARRAY[$$TRUNCATE wflog.workflow_execution_logs$$], '42501 permission denied for table workflow_execution_logs', 'a writer truncates no logs'),
('regress_writer', NULL, NULL, ARRAY[$$SELECT wflog.log('a1', 'x') IS NOT NULL$$], 'true', 'a writer logs'),
('regress_writer', NULL, NULL, ARRAY[$$SELECT wflog.append('[{"execution_id": "a1", "message": "x"}]', 'key', 1)$$], '1', 'a writer appends'),
('regress_writer', NULL, NULL, ARRAY[$$SELECT wflog.append_lines('{"execution_id": "a1", "message": "x"}')$$], '1', 'a writer appends lines'),
('regress_writer', NULL, NULL, ARRAY[$$SELECT wflog.start_execution('a2', 'wa')$$, :'executions'], 'a1,a2,b1,c1,n1', 'a writer starts executions'),
('regress_writer', NULL, NULL, ARRAY[$$SELECT wflog.set_execution_status('a1', 'FAILED')$$], 'RUNNING', 'a writer sets a status'),
('regress_writer', NULL, NULL, ARRAY[$$TABLE wflog.stat$$], '42501 permission denied for view stat', 'a writer sees no statistics'),
('regress_writer', NULL, NULL, ARRAY[$$SELECT wflog.stat_reset()$$], '42501 permission denied for function stat_reset', 'a writer resets no statistics'),
('regress_writer', NULL, NULL, ARRAY[$$CALL wflog.maintain()$$], '42501 permission denied for procedure maintain', 'a writer runs no maintenance'),
('regress_writer', NULL, NULL, ARRAY[$$INSERT INTO wflog.retention_policies VALUES ('default', '', 1)$$], '42501 permission denied for table retention_policies', 'a writer sets no policy'),
('regress_writer', NULL, NULL, ARRAY[$$INSERT INTO wflog.execution_audit_events (execution_id, event_type, actor, position, seal) VALUES ('a1', 'FAILED', 'x', 9, '')$$], '42501 permission denied for table execution_audit_events', 'a writer forges no audit event'),
('regress_writer', NULL, NULL, ARRAY[$$UPDATE wflog.execution_audit_events SET actor = 'x'$$], '42501 permission denied for table execution_audit_events', 'a writer changes no audit event'),
('regress_writer', NULL, NULL, ARRAY[$$TABLE wflog.execution_audit_heads$$], '42501 permission denied for table execution_audit_heads', 'a writer sees no heads'),
('regress_writer', NULL, NULL, ARRAY[$$SELECT * FROM wflog.batch_rows()$$], '55000', 'a writer calls what is internal in vain'),
('regress_watcher', NULL, 'wflog_writer', ARRAY[$$INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('a1', 'x')$$], '1 rows', 'SET ROLE to a writer writes'),

('regress_admin', NULL, NULL, ARRAY[$$DELETE FROM wflog.workflow_execution_logs WHERE execution_id <> 'a1'$$], '8 rows', 'an admin deletes logs'),
('regress_admin', NULL, NULL, ARRAY[$$INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('a1', 'x')$$], '1 rows', 'an admin inserts'),
('regress_admin', NULL, NULL, ARRAY[$$UPDATE wflog.workflow_execution_logs SET message = 'x'$$], '11 rows', 'an admin updates'),
('regress_admin', NULL, NULL, ARRAY[$$DELETE FROM wflog.workflow_executions$$], '4 rows', 'an admin deletes executions'),
('regress_admin', NULL, NULL, ARRAY[$$INSERT INTO wflog.retention_policies VALUES ('default', '', 1)$$], '1 rows', 'an admin sets policies'),
('regress_admin', NULL, NULL, ARRAY[$$SELECT running FROM wflog.stat$$], 'false', 'an admin sees statistics'),
('regress_admin', NULL, NULL, ARRAY[$$SELECT wflog.stat_reset()$$], '', 'an admin resets statistics'),
('regress_admin', NULL, NULL, ARRAY[$$CALL wflog.maintain()$$], '0 rows', 'an admin runs maintenance'),
('regress_admin', NULL, NULL, ARRAY[$$DELETE FROM wflog.execution_audit_events$$], '42501 permission denied for table execution_audit_events', 'an admin deletes no audit event'),
('regress_admin', NULL, NULL, ARRAY[$$TRUNCATE wflog.execution_audit_events$$], '42501 permission denied for table execution_audit_events', 'an admin truncates no audit trail'),
('regress_admin', NULL, NULL, ARRAY[$$TRUNCATE wflog.workflow_execution_logs$$], '42501 permission denied for table workflow_execution_logs', 'an admin does not truncate: the policies do not guard that'),
('regress_admin', NULL, NULL, ARRAY[$$TABLE wflog.secrets$$], '42501 permission denied for table secrets', 'an admin sees no keys'),
('regress_admin', NULL, NULL, ARRAY[$$CREATE TABLE wflog.mine ()$$], '42501 permission denied for schema wflog', 'an admin makes nothing in our schema'),

('regress_monitor', NULL, NULL, ARRAY[$$INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('a1', 'x')$$],
    '42501 new row violates row-level security policy for table "workflow_execution_logs"', 'pg_write_all_data does not insert'),
('regress_monitor', NULL, NULL, ARRAY[$$UPDATE wflog.workflow_execution_logs SET message = 'x'$$], '0 rows', 'pg_write_all_data does not update'),
('regress_monitor', NULL, NULL, ARRAY[$$DELETE FROM wflog.workflow_execution_logs$$], '0 rows', 'pg_write_all_data does not delete'),
('regress_monitor', NULL, NULL, ARRAY[$$DELETE FROM wflog.execution_audit_events$$], '42501 cannot delete from table "execution_audit_events"', 'pg_write_all_data does not touch the audit trail'),
('regress_monitor', NULL, NULL, ARRAY[$$SELECT count(*) FROM wflog.secrets$$], '0', 'pg_read_all_data reads no keys'),
('regress_monitor', NULL, NULL, ARRAY[$$SELECT count(*) FROM wflog.database_identity$$], '0', 'pg_read_all_data does not learn the database''s identity'),
('regress_monitor', NULL, NULL, ARRAY[$$INSERT INTO wflog.secrets VALUES ('x', '')$$], '42501 new row violates row-level security policy for table "secrets"', 'pg_write_all_data writes no keys'),

/*
 * Deleting is guarded by policy as well, should somebody grant more.
 */
('regress_super', NULL, NULL, ARRAY['GRANT DELETE ON ALL TABLES IN SCHEMA wflog TO wflog_writer', 'SET LOCAL SESSION AUTHORIZATION regress_writer', 'DELETE FROM wflog.workflow_execution_logs'], '0 rows', 'a writer who was granted DELETE deletes no logs'),
('regress_super', NULL, NULL, ARRAY['GRANT DELETE ON ALL TABLES IN SCHEMA wflog TO wflog_writer', 'SET LOCAL SESSION AUTHORIZATION regress_writer', 'DELETE FROM wflog.workflow_executions'], '0 rows', 'nor executions'),
('regress_super', NULL, NULL, ARRAY['GRANT DELETE ON ALL TABLES IN SCHEMA wflog TO wflog_writer', 'SET LOCAL SESSION AUTHORIZATION regress_writer', 'DELETE FROM wflog.workflows'], '0 rows', 'nor workflows'),
('regress_super', NULL, NULL, ARRAY['GRANT INSERT ON ALL TABLES IN SCHEMA wflog TO wflog_reader', 'SET LOCAL SESSION AUTHORIZATION regress_alice', $$INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('a1', 'x')$$],
    '42501 new row violates row-level security policy for table "workflow_execution_logs"', 'a reader who was granted INSERT inserts nothing'),
('regress_super', NULL, NULL, ARRAY['GRANT UPDATE ON ALL TABLES IN SCHEMA wflog TO wflog_reader', 'SET LOCAL SESSION AUTHORIZATION regress_alice', $$UPDATE wflog.workflow_execution_logs SET message = 'x'$$], '0 rows', 'or UPDATE, updates nothing'),
('regress_super', NULL, NULL, ARRAY['GRANT UPDATE ON ALL TABLES IN SCHEMA wflog TO wflog_reader', 'SET LOCAL SESSION AUTHORIZATION regress_alice', $$UPDATE wflog.workflows SET name = 'x'$$], '0 rows', 'not even his workflows'),
('regress_super', NULL, NULL, ARRAY['GRANT UPDATE ON ALL TABLES IN SCHEMA wflog TO wflog_reader', 'SET LOCAL SESSION AUTHORIZATION regress_alice', $$UPDATE wflog.workflow_executions SET status = 'FAILED'$$], '0 rows', 'nor his executions'),
('regress_super', NULL, NULL, ARRAY['GRANT EXECUTE ON ALL ROUTINES IN SCHEMA wflog TO wflog_writer', 'SET LOCAL SESSION AUTHORIZATION regress_writer', 'CALL wflog.maintain()'], '42501 permission denied for maintenance', 'maintain() asks itself'),
('regress_super', NULL, NULL, ARRAY['GRANT EXECUTE ON ALL ROUTINES IN SCHEMA wflog TO wflog_writer', 'SET LOCAL SESSION AUTHORIZATION regress_writer', 'SELECT wflog.stat_reset()'], '42501 permission denied to reset statistics', 'stat_reset() asks itself'),
('regress_super', NULL, NULL, ARRAY['GRANT EXECUTE ON ALL ROUTINES IN SCHEMA wflog TO wflog_writer', 'SET LOCAL SESSION AUTHORIZATION regress_writer', 'SELECT count(*) FROM wflog.retention_preview()'], '42501 permission denied for maintenance', 'retention_preview() too'),
('regress_writer', NULL, NULL, ARRAY['SELECT wflog.can_write() || '' '' || wflog.can_administer()'], 'true false', 'the predicates for a writer'),
('regress_admin', NULL, NULL, ARRAY['SELECT wflog.can_write() || '' '' || wflog.can_administer()'], 'true true', 'the predicates for an admin'),
('regress_alice', NULL, NULL, ARRAY['SELECT wflog.can_write() || '' '' || wflog.can_administer()'], 'false false', 'the predicates for a reader'),

/*
 * Leaves named directly.
 */
('regress_alice', NULL, NULL, ARRAY['SELECT count(*) FROM ' || :'leaf'], '42501', 'a reader names no leaf'),
('regress_writer', NULL, NULL, ARRAY['SELECT count(*) FROM ' || :'leaf'], '42501', 'a writer reads no leaf'),
('regress_writer', NULL, NULL, ARRAY['INSERT INTO ' || :'leaf' || ' (execution_id, message) VALUES (''a1'', ''x'')'], '42501', 'a writer inserts into no leaf'),
('regress_admin', NULL, NULL, ARRAY['DELETE FROM ' || :'leaf'], '42501', 'an admin deletes from no leaf'),
('regress_admin', NULL, NULL, ARRAY['TRUNCATE ' || :'leaf'], '42501', 'an admin truncates no leaf'),
('regress_alice', NULL, NULL, ARRAY['SELECT count(*) FROM wflog.workflow_execution_logs_default'], '42501', 'nor the default leaf'),
('regress_alice', NULL, NULL, ARRAY['SELECT count(*) FROM wflog.workflow_execution_logs_rows'], '42501', 'nor the partition of rows'),
('regress_monitor', NULL, NULL, ARRAY['SELECT count(*) FROM ' || :'leaf'], '0', 'pg_read_all_data sees nothing in a leaf'),
('regress_writer', NULL, NULL, ARRAY[$$SELECT wflog.log('a1', 'far', created_at => '2999-01-01')$$, 'SET LOCAL SESSION AUTHORIZATION regress_super', 'SELECT count(*) FROM wflog.workflow_execution_logs_default'], '1', 'what has no leaf is in the default leaf'),
('regress_writer', NULL, NULL, ARRAY[$$SELECT wflog.log('a1', 'far', created_at => '2999-01-01')$$, 'SET LOCAL SESSION AUTHORIZATION regress_monitor', 'SELECT count(*) FROM wflog.workflow_execution_logs_default'], '0', 'and pg_read_all_data sees nothing there'),
('regress_monitor', NULL, NULL, ARRAY['SELECT count(*) FROM wflog.workflow_execution_logs_rows'], '0', 'nor in the partition of rows'),
('regress_monitor', NULL, NULL, ARRAY['DELETE FROM ' || :'leaf'], '0 rows', 'pg_write_all_data deletes nothing in a leaf'),
('regress_monitor', NULL, NULL, ARRAY['INSERT INTO ' || :'leaf' || ' (execution_id, message) VALUES (''a1'', ''x'')'], '42501', 'pg_write_all_data inserts into no leaf'),
('regress_monitor', NULL, NULL, ARRAY['COPY ' || :'leaf' || ' TO ''/dev/null'''], '42501', 'COPY of a leaf to a file'),
('regress_monitor', NULL, NULL, ARRAY['SELECT count(*) FROM pg_stats WHERE tablename LIKE ''workflow_execution%'''], '0', 'statistics show no values'),

/*
 * Gateway sessions: the claims decide, and nothing else.
 */
(:'gateway', :'as_carol', :'user_role', ARRAY[:'logs'], '4 c1', 'claims: the subject sees his'),
(:'gateway', :'as_carol', :'user_role', ARRAY['SELECT wflog.uid() || '' '' || wflog.role()'], :'carol' || ' authenticated', 'claims: uid() and role()'),
(:'gateway', :'as_carol', :'user_role', ARRAY[:'workflows'], 'wc', 'claims: his workflows'),
(:'gateway', :'as_carol', :'user_role', ARRAY[:'executions'], 'c1', 'claims: his executions'),
(:'gateway', :'as_carol', :'user_role', ARRAY[:'events'], 'c1', 'claims: his audit trail'),
(:'gateway', :'as_dave', :'user_role', ARRAY[:'tables'], '0 0 0 0', 'claims: another sees nothing'),
(:'gateway', NULL, :'user_role', ARRAY[:'tables'], '0 0 0 0', 'no claims: nothing'),
(:'gateway', NULL, :'user_role', ARRAY['SELECT wflog.uid() IS NULL AND wflog.role() IS NULL'], 'true', 'no claims: nobody'),
(:'gateway', '', :'user_role', ARRAY[:'tables'], '0 0 0 0', 'empty claims: nothing'),
(:'gateway', '{}', :'user_role', ARRAY[:'tables'], '0 0 0 0', 'claims without sub: nothing'),
(:'gateway', '{"sub": ""}', :'user_role', ARRAY['SELECT wflog.uid() IS NULL'], 'true', 'an empty sub is nobody'),
(:'gateway', '{"sub": null}', :'user_role', ARRAY[:'tables'], '0 0 0 0', 'sub null: nothing'),
(:'gateway', '{"sub": 1}', :'user_role', ARRAY['SELECT wflog.uid() IS NULL'], 'true', 'a sub that is a number is nobody'),
(:'gateway', format('{"sub": ["%s"]}', :'carol'), :'user_role', ARRAY[:'tables'], '0 0 0 0', 'a sub that is an array is nobody'),
(:'gateway', format('{"sub": {"sub": "%s"}}', :'carol'), :'user_role', ARRAY[:'tables'], '0 0 0 0', 'a sub further down is none'),
(:'gateway', format('{"SUB": "%s"}', :'carol'), :'user_role', ARRAY[:'tables'], '0 0 0 0', 'keys have their case'),
(:'gateway', format('{"sub": "%s "}', :'carol'), :'user_role', ARRAY[:'tables'], '0 0 0 0', 'a sub is compared exactly'),
(:'gateway', format('{"sub": "%s"', :'carol'), :'user_role', ARRAY[:'logs'], '22023 setting "request.jwt.claims" is not a JSON object', 'claims cut short are an error'),
(:'gateway', 'null', :'user_role', ARRAY[:'logs'], '22023 setting "request.jwt.claims" is not a JSON object', 'claims null are an error'),
(:'gateway', '["sub"]', :'user_role', ARRAY[:'logs'], '22023 setting "request.jwt.claims" is not a JSON object', 'claims that are an array are an error'),
(:'gateway', format('[{"sub": "%s", "role": "service_role"}]', :'carol'), :'user_role', ARRAY[:'logs'], '22023 setting "request.jwt.claims" is not a JSON object', 'claims in an array are an error'),
(:'gateway', '"sub"', :'user_role', ARRAY['SELECT wflog.uid()'], '22023 setting "request.jwt.claims" is not a JSON object', 'claims that are a string are an error'),
(:'gateway', '{"sub": "\u0000"}', :'user_role', ARRAY['SELECT wflog.uid()'], '22023 setting "request.jwt.claims" is not a JSON object', 'claims that jsonb cannot hold are an error'),
(:'gateway', repeat('[', 100000), :'user_role', ARRAY['SELECT wflog.uid()'], '22023 setting "request.jwt.claims" is not a JSON object', 'claims nested without end are an error'),
(:'gateway', format('{"sub": "%s"', :'carol'), :'user_role', ARRAY[$$SELECT count(*) FROM wflog.logs('c1')$$], '22023 setting "request.jwt.claims" is not a JSON object', 'functions see them too'),
(:'gateway', :'as_service', :'service_role', ARRAY[:'logs'], '11 a1,b1,c1,n1,stray', 'the claim service_role reads every execution'),
(:'gateway', :'as_service', :'service_role', ARRAY[:'tables'], '11 4 4 4', 'and all tables'),
(:'gateway', :'as_service', :'service_role', ARRAY[$$INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('a1', 'x')$$], '1 rows', 'and inserts'),
(:'gateway', :'as_service', :'service_role', ARRAY[$$UPDATE wflog.workflow_execution_logs SET message = 'x'$$], '11 rows', 'and updates'),
(:'gateway', :'as_service', :'service_role', ARRAY[$$DELETE FROM wflog.workflow_execution_logs$$], '42501 permission denied for table workflow_execution_logs', 'and deletes nothing'),
(:'gateway', :'as_service', :'service_role', ARRAY[$$SELECT wflog.log('a1', 'x') IS NOT NULL$$], 'true', 'and logs'),
(:'gateway', :'as_service', :'service_role', ARRAY[$$SELECT wflog.append('[{"execution_id": "a1", "message": "x"}]', 'key', 1)$$], '1', 'and appends'),
(:'gateway', :'as_service', :'service_role', ARRAY[$$SELECT wflog.set_execution_status('a1', 'FAILED')$$,
    $$SELECT actor FROM wflog.execution_audit_events WHERE execution_id = 'a1' AND event_type = 'FAILED'$$], :'gateway', 'the audit trail names the login role where claims name nobody'),
(:'gateway', format('{"sub": "%s", "role": "service_role"}', :'carol'), :'service_role', ARRAY[$$SELECT wflog.set_execution_status('a1', 'FAILED')$$,
    $$SELECT actor FROM wflog.execution_audit_events WHERE execution_id = 'a1' AND event_type = 'FAILED'$$], :'carol', 'the audit trail names the subject'),
(:'gateway', '{"role": ["service_role"]}', :'user_role', ARRAY[:'tables'], '0 0 0 0', 'a role that is an array is none'),
(:'gateway', '{"role": "SERVICE_ROLE"}', :'user_role', ARRAY[:'tables'], '0 0 0 0', 'service_role has its case'),
(:'gateway', '{"role": "wflog_admin"}', :'user_role', ARRAY[:'tables'], '0 0 0 0', 'no other role is anything'),
(:'gateway', '{"role": "wflog_writer"}', :'user_role', ARRAY['SELECT wflog.can_write()'], 'false', 'not even ours'),
(:'gateway', '{"sub": "regress_super", "role": "regress_super"}', :'user_role', ARRAY[:'tables'], '0 0 0 0', 'nor a superuser''s name'),
(:'gateway', :'as_carol', :'user_role', ARRAY['SELECT wflog.can_write() || '' '' || wflog.can_administer() || '' '' || wflog.can_read_execution(''c1'') || '' '' || wflog.can_read_execution(''a1'') || '' '' || wflog.can_read_workflow(''wc'') || '' '' || wflog.can_read_workflow(''wa'')'], 'false false true false true false', 'the predicates'),
(:'gateway', :'as_carol', :'user_role', ARRAY[$$SELECT set_config('request.jwt.claims', '', true)$$, :'tables'], '0 0 0 0', 'claims taken back'),
(:'gateway', :'as_carol', :'user_role', ARRAY[:'logs', format($$SELECT set_config('request.jwt.claims', %L, true)$$, :'as_dave'), :'logs'], '0 none', 'claims changed within a transaction'),
(:'gateway', :'as_carol', :'user_role', ARRAY[format('PREPARE q AS %s', :'logs'), 'EXECUTE q', format($$SELECT set_config('request.jwt.claims', %L, true)$$, :'as_dave'), 'EXECUTE q'], '0 none', 'a prepared statement follows the claims'),
(:'gateway', :'as_carol', :'user_role', ARRAY['SET LOCAL plan_cache_mode = force_generic_plan', format('PREPARE q AS %s', :'logs'), 'EXECUTE q', format($$SELECT set_config('request.jwt.claims', %L, true)$$, :'as_service'), 'EXECUTE q'], '11 a1,b1,c1,n1,stray', 'so does a generic plan');

/* Sessions that are no gateway's, with claims. */
INSERT INTO attempts (login, claims, become, statements, expected, description) VALUES
('regress_alice', :'as_carol', NULL, ARRAY[:'logs'], '3 a1', 'claims of a session that is no gateway''s are ignored'),
('regress_alice', :'as_service', NULL, ARRAY[:'logs'], '3 a1', 'also service_role'),
('regress_alice', :'as_service', NULL, ARRAY['SELECT wflog.uid() || '' '' || wflog.role()'], 'regress_alice wflog_reader', 'you are your login role'),
('regress_alice', '{"sub": ', NULL, ARRAY[:'logs'], '3 a1', 'also malformed ones'),
('regress_writer', :'as_carol', NULL, ARRAY['SELECT wflog.uid() || '' '' || wflog.role()'], 'regress_writer wflog_writer', 'a writer stays one'),
('regress_admin', :'as_carol', NULL, ARRAY['SELECT wflog.uid() || '' '' || wflog.role()'], 'regress_admin wflog_admin', 'an admin stays one'),
('regress_super', :'as_carol', NULL, ARRAY['SELECT wflog.uid()'], 'regress_super', 'a superuser is no gateway'),
('regress_super', :'as_carol', NULL, ARRAY[:'logs'], '11 a1,b1,c1,n1,stray', 'a superuser''s claims are ignored'),
('regress_alice', NULL, NULL, ARRAY['SELECT set_config(''request.jwt.claims'', ''{"role": "service_role"}'', false)', :'logs'], '3 a1', 'set in the session');

/* SET ROLE: another's privileges, but not another's identity. */
GRANT regress_bob TO regress_alice;
INSERT INTO attempts (login, claims, become, statements, expected, description) VALUES
('regress_alice', NULL, 'regress_bob', ARRAY[:'logs'], '3 a1', 'SET ROLE to another owner: still oneself'),
('regress_alice', NULL, 'regress_bob', ARRAY['SELECT wflog.uid() || '' '' || current_user'], 'regress_alice regress_bob', 'SET ROLE: uid() stays'),
('regress_alice', NULL, 'wflog_writer', ARRAY[:'logs'], '42501 permission denied to set role "wflog_writer"', 'SET ROLE only where membership allows'),
('regress_alice', NULL, 'wflog_gateway', ARRAY[:'logs'], '42501 permission denied to set role "wflog_gateway"', 'nor to the gateway'),
('regress_super', :'as_carol', 'wflog_gateway', ARRAY[:'logs'], '0 none', 'SET ROLE to the gateway believes no claims'),
('regress_super', NULL, 'regress_bob', ARRAY[:'logs'], '0 none', 'a superuser in another''s role is himself, without privileges'),
('regress_writer', NULL, NULL, ARRAY['SET LOCAL ROLE wflog_writer', :'logs', 'RESET ROLE', :'logs'], '11 a1,b1,c1,n1,stray', 'there and back'),
('regress_watcher', NULL, 'wflog_writer', ARRAY[format('PREPARE q AS %s', :'logs'), 'EXECUTE q', 'SET LOCAL ROLE wflog_reader', 'EXECUTE q'], '0 none', 'a prepared statement follows SET ROLE'),
('regress_watcher', NULL, 'wflog_reader', ARRAY[format('PREPARE q AS %s', :'logs'), 'EXECUTE q', 'SET LOCAL ROLE wflog_writer', 'EXECUTE q'], '11 a1,b1,c1,n1,stray', 'in both directions'),
('regress_watcher', NULL, 'wflog_writer', ARRAY['DECLARE c CURSOR FOR SELECT execution_id FROM wflog.workflow_execution_logs', 'FETCH c', 'SET LOCAL ROLE wflog_reader', 'FETCH c'], 'null', 'an open cursor follows SET ROLE'),
('regress_watcher', NULL, 'wflog_writer', ARRAY[
    $$CREATE FUNCTION pg_temp.asked() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN wflog.can_read_execution(''a1'') || '' '' || wflog.can_read_workflow(''wa'') || '' '' || wflog.can_write(); END'$$,
    'GRANT ALL ON FUNCTION pg_temp.asked() TO public', 'SELECT pg_temp.asked()', 'SET LOCAL ROLE wflog_reader', 'SELECT pg_temp.asked()'], 'false false false', 'answers kept by an expression of plpgsql follow SET ROLE');

/* Other ways to be a gateway's session, and what else such a role may be. */
CREATE ROLE regress_both LOGIN IN ROLE wflog_gateway, wflog_admin, wflog_writer, wflog_reader;
CREATE ROLE regress_team NOLOGIN IN ROLE wflog_gateway;
CREATE ROLE regress_app LOGIN IN ROLE regress_team;
CREATE ROLE regress_supergate LOGIN SUPERUSER IN ROLE wflog_gateway;
CREATE ROLE regress_quiet LOGIN NOINHERIT IN ROLE wflog_gateway, wflog_reader;
INSERT INTO attempts (login, claims, become, statements, expected, description) VALUES
('regress_both', NULL, NULL, ARRAY[:'tables'], '0 0 0 0', 'in a gateway''s session memberships count for nothing: no claims'),
('regress_both', :'as_carol', NULL, ARRAY[:'logs'], '4 c1', 'with claims, what they allow'),
('regress_both', :'as_carol', NULL, ARRAY['SELECT wflog.can_write() || '' '' || wflog.can_administer()'], 'false false', 'and no more'),
('regress_both', :'as_carol', NULL, ARRAY['DELETE FROM wflog.workflow_execution_logs'], '0 rows', 'such an admin deletes nothing'),
('regress_both', :'as_service', NULL, ARRAY['DELETE FROM wflog.workflow_execution_logs'], '0 rows', 'not even as service_role'),
('regress_both', :'as_service', NULL, ARRAY['CALL wflog.maintain()'], '42501 permission denied for maintenance', 'nor runs maintenance'),
('regress_both', :'as_carol', NULL, ARRAY['SELECT wflog.log(''c1'', ''x'')'], '42501', 'such a writer logs nothing'),
('regress_both', :'as_carol', 'wflog_writer', ARRAY[:'logs'], '4 c1', 'SET ROLE does not change that'),
('regress_app', :'as_carol', NULL, ARRAY[:'logs'], '4 c1', 'a gateway through another role'),
('regress_quiet', :'as_carol', NULL, ARRAY[:'logs'], '42501 permission denied for schema wflog', 'NOINHERIT: no privileges'),
('regress_quiet', :'as_carol', 'wflog_reader', ARRAY[:'logs'], '4 c1', 'NOINHERIT: but claims are believed'),
('regress_supergate', :'as_carol', NULL, ARRAY['SELECT wflog.uid()'], :'carol', 'a superuser who was made a gateway'),
('regress_supergate', :'as_carol', 'wflog_reader', ARRAY[:'logs'], '4 c1', 'is whom the claims say'),
('regress_supergate', :'as_carol', NULL, ARRAY[:'logs'], '11 a1,b1,c1,n1,stray', 'but policies do not hold a superuser');

\if :supabase
INSERT INTO attempts (login, claims, become, statements, expected, description) VALUES
(:'gateway', :'as_carol', 'authenticated', ARRAY['SELECT wflog.uid() = auth.uid()::text AND wflog.role() = auth.role()'], 'true', 'uid() and role() are auth.uid() and auth.role()'),
(:'gateway', '{"role": "anon"}', 'anon', ARRAY[:'tables'], '0 0 0 0', 'anon sees nothing'),
(:'gateway', '{"role": "anon"}', 'anon', ARRAY['SELECT wflog.log(''a1'', ''x'')'], '42501', 'anon logs nothing'),
(:'gateway', :'as_service', 'authenticated', ARRAY['SELECT wflog.log(''a1'', ''x'')'], '42501 permission denied for function log', 'authenticated logs nothing, whatever the claims'),
(:'gateway', :'as_carol', NULL, ARRAY['RESET ROLE', :'logs'], '42501 permission denied for schema wflog', 'authenticator itself has no access'),
(:'gateway', :'as_carol', 'authenticated', ARRAY['SET LOCAL ROLE anon', :'logs'], '4 c1', 'the claims decide, not the role'),
(:'gateway', '{"role": "anon"}', 'service_role', ARRAY[:'logs'], '11 a1,b1,c1,n1,stray', 'service_role has BYPASSRLS'),
(:'gateway', :'as_carol', 'authenticated', ARRAY['SELECT count(*) FROM wflog.workflow_execution_logs WHERE wflog.uid() = auth.uid()::text'], '4', 'both in one statement');
\endif

SELECT * FROM pg_temp.run_attempts();
SELECT * FROM finish();
ROLLBACK;
