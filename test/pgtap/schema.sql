-- The schema contract: types, tables, columns, defaults, indexes, functions
-- with their arguments, settings, and what is granted of them.  The columns
-- of workflow_execution_logs down to created_at are S1's.
\set ON_ERROR_STOP on
BEGIN;
SELECT * FROM no_plan();

/* The schema and the extension. */
SELECT has_schema('wflog');
SELECT is((SELECT extname FROM pg_extension e JOIN pg_depend d ON d.refobjid = e.oid AND d.refclassid = 'pg_extension'::regclass
           WHERE d.classid = 'pg_namespace'::regclass AND d.objid = 'wflog'::regnamespace AND d.deptype = 'e'),
          'wflog', 'schema wflog belongs to the extension');
SELECT is((SELECT extrelocatable FROM pg_extension WHERE extname = 'wflog'), false, 'the extension cannot be moved to another schema');
SELECT is((SELECT nspacl IS NOT NULL AND NOT EXISTS (SELECT FROM aclexplode(nspacl) WHERE grantee = 0) FROM pg_namespace WHERE nspname = 'wflog'), true, 'PUBLIC has no access to the schema');
SELECT is_empty($$SELECT relname FROM pg_class c WHERE relnamespace = 'wflog'::regnamespace AND relkind IN ('r', 'p', 'v', 'S')
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')$$,
    'every relation belongs to the extension');
SELECT is_empty($$SELECT relname FROM pg_class WHERE relnamespace = 'wflog'::regnamespace AND relkind = 'S'$$, 'there are no sequences');

/* Types. */
SELECT types_are('wflog', ARRAY['log_level_enum', 'log_event_type_enum', 'execution_status_enum']);
SELECT enum_has_labels('wflog', 'log_level_enum', ARRAY['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL']);
SELECT enum_has_labels('wflog', 'log_event_type_enum', ARRAY['workflow_started', 'workflow_completed', 'workflow_progress',
    'step_started', 'step_input', 'step_output', 'step_completed', 'step_error', 'separator', 'log']);
SELECT enum_has_labels('wflog', 'execution_status_enum', ARRAY['NEW', 'PENDING', 'RUNNING', 'PAUSED', 'WAITING_FOR_HUMAN',
    'SUCCESS', 'FAILED', 'CANCELLED']);

/* Tables.  Leaves are made by maintain(), which has not run. */
SELECT is_empty($$SELECT relname FROM pg_class WHERE relnamespace = 'wflog'::regnamespace AND relkind IN ('r', 'p')
    EXCEPT SELECT unnest(ARRAY['database_identity', 'secrets', 'workflows', 'workflow_executions', 'execution_audit_heads',
        'execution_audit_events', 'workflow_execution_logs', 'workflow_execution_logs_rows', 'workflow_execution_logs_default',
        'retention_policies', 'removed_logs', 'producer_batches',
        'rollup_heads', 'rollups', 'rollup_milestones', 'rollup_marks', 'rollup_leaves'])$$, 'there are no other tables');
PREPARE columns AS
    SELECT a.attname::text COLLATE "default", format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid) COLLATE "default"
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum;
SELECT results_eq($$EXECUTE columns('wflog.workflow_execution_logs')$$, $$VALUES
    ('id', 'uuid', true, 'wflog.uuid_v7()'),
    ('execution_id', 'character varying(255)', true, NULL),
    ('log_category', 'character varying(20)', true, '''technical''::character varying'),
    ('event_type', 'wflog.log_event_type_enum', true, '''log''::wflog.log_event_type_enum'),
    ('level', 'wflog.log_level_enum', true, '''INFO''::wflog.log_level_enum'),
    ('message', 'text', true, NULL),
    ('data', 'jsonb', false, '''{}''::jsonb'),
    ('node_id', 'character varying(255)', false, NULL),
    ('node_name', 'character varying(255)', false, NULL),
    ('node_type', 'character varying(100)', false, NULL),
    ('step_number', 'integer', false, NULL),
    ('total_steps', 'integer', false, NULL),
    ('progress_percentage', 'numeric(5,2)', false, NULL),
    ('duration_seconds', 'integer', false, NULL),
    ('user_friendly_message', 'text', false, NULL),
    ('display_priority', 'integer', true, '5'),
    ('is_milestone', 'boolean', true, 'false'),
    ('technical_details', 'jsonb', false, '''{}''::jsonb'),
    ('stack_trace', 'text', false, NULL),
    ('performance_metrics', 'jsonb', false, '''{}''::jsonb'),
    ('created_at', 'timestamp with time zone', true, 'clock_timestamp()'),
    ('source', 'text', false, NULL),
    ('attempt', 'integer', false, NULL),
    ('trace_id', 'text', false, NULL),
    ('span_id', 'text', false, NULL),
    ('original_size', 'integer', false, NULL),
    ('execution_hash', 'bigint', true, '0'),
    ('xact', 'xid8', true, '''0''::xid8'),
    ('seq', 'integer', true, '0'),
    ('storage', '"char"', true, '''r''::"char"')$$, 'columns of workflow_execution_logs');
SELECT results_eq(format('EXECUTE columns(%L)', leaf), $$EXECUTE columns('wflog.workflow_execution_logs')$$, leaf || ' has the same columns')
FROM unnest(ARRAY['wflog.workflow_execution_logs_rows', 'wflog.workflow_execution_logs_default']) AS leaf;
SELECT results_eq($$EXECUTE columns('wflog.workflows')$$, $$VALUES
    ('id', 'text', true, NULL),
    ('user_id', 'text', false, NULL),
    ('name', 'text', false, NULL),
    ('tier', 'text', false, NULL),
    ('created_at', 'timestamp with time zone', true, 'clock_timestamp()')$$, 'columns of workflows');
SELECT results_eq($$EXECUTE columns('wflog.workflow_executions')$$, $$VALUES
    ('execution_id', 'character varying(255)', true, NULL),
    ('workflow_id', 'text', true, NULL),
    ('status', 'wflog.execution_status_enum', true, '''RUNNING''::wflog.execution_status_enum'),
    ('start_time', 'timestamp with time zone', false, NULL),
    ('end_time', 'timestamp with time zone', false, NULL),
    ('error_message', 'text', false, NULL),
    ('created_at', 'timestamp with time zone', true, 'clock_timestamp()'),
    ('audit_mark', 'bigint', false, NULL)$$, 'columns of workflow_executions');
SELECT results_eq($$EXECUTE columns('wflog.execution_audit_events')$$, $$VALUES
    ('id', 'uuid', true, 'wflog.uuid_v7()'),
    ('execution_id', 'character varying(255)', true, NULL),
    ('event_type', 'text', true, NULL),
    ('created_at', 'timestamp with time zone', true, 'clock_timestamp()'),
    ('metadata', 'jsonb', true, '''{}''::jsonb'),
    ('actor', 'text', true, NULL),
    ('position', 'bigint', true, NULL),
    ('seal', 'bytea', true, NULL)$$, 'columns of execution_audit_events');
SELECT results_eq($$EXECUTE columns('wflog.execution_audit_heads')$$, $$VALUES
    ('execution_id', 'character varying(255)', true, NULL),
    ('events', 'bigint', true, NULL),
    ('status', 'wflog.execution_status_enum', false, NULL),
    ('seal', 'bytea', true, NULL)$$, 'columns of execution_audit_heads');
SELECT results_eq($$EXECUTE columns('wflog.retention_policies')$$, $$VALUES
    ('scope', 'text', true, NULL),
    ('target', 'text', true, '''''::text'),
    ('keep_days', 'integer', true, NULL)$$, 'columns of retention_policies');
SELECT results_eq($$EXECUTE columns('wflog.producer_batches')$$, $$VALUES
    ('producer_key', 'text', true, NULL),
    ('sequence', 'bigint', true, NULL),
    ('result', 'bigint', true, NULL),
    ('created_at', 'timestamp with time zone', true, 'clock_timestamp()')$$, 'columns of producer_batches');
SELECT is_empty($$SELECT attrelid::regclass, attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
    WHERE relnamespace = 'wflog'::regnamespace AND relkind IN ('r', 'p') AND attnum > 0 AND atttypid = 'timestamp'::regtype$$,
    'every time has a zone');

/* Partitions, as docs/decisions/0001-partitions.md has them. */
SELECT is((SELECT partstrat::text FROM pg_partitioned_table WHERE partrelid = 'wflog.workflow_execution_logs'::regclass), 'l', 'the logs are partitioned by list');
SELECT is(pg_get_partkeydef('wflog.workflow_execution_logs'::regclass), 'LIST (storage)', 'of storage');
SELECT is(pg_get_partkeydef('wflog.workflow_execution_logs_rows'::regclass), 'RANGE (created_at)', 'and the rows by time');
SELECT results_eq($$SELECT c.relname::text COLLATE "default", pg_get_expr(c.relpartbound, c.oid) COLLATE "default" FROM pg_class c
    WHERE c.relnamespace = 'wflog'::regnamespace AND c.relispartition AND c.relkind IN ('r', 'p') ORDER BY 1$$,
    $$VALUES ('workflow_execution_logs_default', 'DEFAULT'), ('workflow_execution_logs_rows', 'FOR VALUES IN (''r'')')$$,
    'there are no leaves but the default one before maintain() has run');
SELECT is_empty($$SELECT indexrelid::regclass FROM pg_index WHERE indrelid IN ('wflog.workflow_execution_logs'::regclass, 'wflog.workflow_execution_logs_rows'::regclass)$$,
    'the parents have no index');
SELECT is_empty($$SELECT conname FROM pg_constraint WHERE conrelid IN ('wflog.workflow_execution_logs'::regclass, 'wflog.workflow_execution_logs_rows'::regclass) AND contype IN ('p', 'u', 'f', 'x')$$,
    'nor a key');
PREPARE leaf_indexes AS
    SELECT i.indisprimary, i.indisunique,
           regexp_replace(pg_get_indexdef(i.indexrelid), '^CREATE (UNIQUE )?INDEX \S+ ON \S+ ', '')
    FROM pg_index i WHERE i.indrelid = to_regclass($1) ORDER BY 1 DESC, 3;
SELECT results_eq($$EXECUTE leaf_indexes('wflog.workflow_execution_logs_default')$$, $$VALUES
    (true, true, 'USING btree (execution_hash, created_at, id)'),
    (false, false, 'USING btree (execution_hash, created_at, id) WHERE (level >= ''ERROR''::wflog.log_level_enum)'),
    (false, false, 'USING btree (execution_hash, created_at, id) WHERE is_milestone'),
    (false, false, 'USING btree (execution_id varchar_pattern_ops, xact, ((seq >> 6)))')$$, 'indexes of the default leaf');
CALL wflog.maintain();
SELECT cmp_ok((SELECT count(*) FROM pg_class WHERE relname ~ '^workflow_execution_logs_\d{8}$'), '>=', 4::bigint, 'maintain() makes leaves: today''s and three more');
SELECT results_eq(format('EXECUTE leaf_indexes(%L)', 'wflog.' || relname), $$EXECUTE leaf_indexes('wflog.workflow_execution_logs_default')$$, relname || ' has the same indexes')
FROM pg_class WHERE relname ~ '^workflow_execution_logs_\d{8}$' ORDER BY 1;
SELECT results_eq(format('EXECUTE columns(%L)', 'wflog.' || relname), $$EXECUTE columns('wflog.workflow_execution_logs')$$, relname || ' has the same columns')
FROM pg_class WHERE relname ~ '^workflow_execution_logs_\d{8}$' ORDER BY 1;
SELECT is(pg_get_expr(relpartbound, oid),
          format('FOR VALUES FROM (%L) TO (%L)', to_date(right(relname, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC', (to_date(right(relname, 8), 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC'),
          relname || ' is a day in UTC')
FROM pg_class WHERE relname ~ '^workflow_execution_logs_\d{8}$' ORDER BY relname;
SELECT is_empty($$SELECT c.relname FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
    WHERE c.relname ~ '^workflow_execution_logs_\d{8}$'$$, 'leaves are no members of the extension');
SELECT is_empty($$SELECT relname, relowner, relacl FROM pg_class WHERE relname ~ '^workflow_execution_logs_\d{8}$'
    AND (relowner <> (SELECT relowner FROM pg_class WHERE oid = 'wflog.workflow_execution_logs'::regclass) OR relacl IS NOT NULL OR NOT relrowsecurity)$$,
    'leaves belong to the owner of the parent, have row level security and no grants');
SELECT is_empty($$SELECT c.relname FROM pg_class c WHERE c.relname ~ '^workflow_execution_logs_(\d{8}|default)$' AND
    (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgfoid = 'wflog.log_row'::regproc AND t.tgenabled = 'A' AND t.tgtype = 1 | 2 | 4 | 16) <> 1$$,
    'every leaf has the row trigger, always enabled');

/* The view. */
SELECT views_are('wflog', ARRAY['stat']);
SELECT results_eq($$SELECT attname::text COLLATE "default", format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'wflog.stat'::regclass AND attnum > 0 ORDER BY attnum$$, $$VALUES
    ('running', 'boolean'),
    ('hint', 'text'),
    ('launcher_pid', 'integer'),
    ('worker_pid', 'integer'),
    ('keeper_pid', 'integer'),
    ('scope', 'text'),
    ('asked', 'bigint'),
    ('queue_size', 'bigint'),
    ('queue_depth', 'bigint'),
    ('queue_high_water', 'bigint'),
    ('overflows', 'bigint'),
    ('batches', 'bigint'),
    ('logs_notified', 'bigint'),
    ('notifications', 'bigint'),
    ('batches_skipped', 'bigint'),
    ('notify_lag_mean', 'interval'),
    ('notify_lag_p99', 'interval'),
    ('notify_lag_max', 'interval'),
    ('fold_lag', 'interval'),
    ('fold_hints', 'bigint'),
    ('folds', 'bigint'),
    ('logs_folded', 'bigint'),
    ('maintenance_started', 'timestamp with time zone'),
    ('maintenance_ended', 'timestamp with time zone'),
    ('maintenance_result', 'text'),
    ('maintenance_next', 'timestamp with time zone'),
    ('last_error', 'text'),
    ('last_error_in', 'text'),
    ('last_error_at', 'timestamp with time zone'),
    ('stats_reset', 'timestamp with time zone')$$, 'columns of stat');
SELECT isnt(obj_description('wflog.stat'::regclass), NULL, 'stat has a comment');
SELECT is((SELECT count(*) FROM wflog.stat), 1::bigint, 'stat has one row');

/* Other keys and indexes. */
SELECT set_eq($$SELECT i.indrelid::regclass::text COLLATE "default", regexp_replace(pg_get_indexdef(i.indexrelid), '^CREATE (UNIQUE )?INDEX \S+ ON \S+ USING btree ', ''), i.indisprimary
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = 'wflog'::regnamespace AND c.relname !~ '^workflow_execution_logs' ORDER BY 1, 2$$,
    $$VALUES
    ('wflog.database_identity', '(only_row)', true),
    ('wflog.execution_audit_events', '(execution_id, "position")', true),
    ('wflog.execution_audit_heads', '(execution_id)', true),
    ('wflog.producer_batches', '(created_at)', false),
    ('wflog.producer_batches', '(producer_key, sequence)', true),
    ('wflog.removed_logs', '(execution_id)', true),
    ('wflog.retention_policies', '(scope, target)', true),
    ('wflog.rollup_heads', '(execution_hash, execution_id)', true),
    ('wflog.rollup_leaves', '(leaf)', true),
    ('wflog.rollup_marks', '(execution_hash)', false),
    ('wflog.rollup_milestones', '(execution_hash, leaf, number, execution_id)', true),
    ('wflog.rollups', '(execution_hash, leaf, execution_id)', true),
    ('wflog.secrets', '(name)', true),
    ('wflog.workflow_executions', '(created_at, execution_id)', false),
    ('wflog.workflow_executions', '(execution_id)', true),
    ('wflog.workflow_executions', '(workflow_id, created_at, execution_id)', false),
    ('wflog.workflows', '(id)', true),
    ('wflog.workflows', '(user_id)', false)$$, 'indexes of the other tables');
SELECT is_empty($$SELECT conname FROM pg_constraint WHERE connamespace = 'wflog'::regnamespace AND contype = 'f'$$, 'no foreign keys: a dump restores in any order');
SELECT set_eq($$SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'wflog.workflow_execution_logs'::regclass AND contype = 'c'$$, ARRAY[
    'CHECK (wflog.check_log(execution_id, log_category, data, step_number, total_steps, progress_percentage, duration_seconds, display_priority, technical_details, performance_metrics, created_at, attempt))'], 'rules of a log');

/* Row level security: everywhere, and forced on nobody. */
SELECT is_empty($$SELECT relname FROM pg_class WHERE relnamespace = 'wflog'::regnamespace AND relkind IN ('r', 'p') AND (NOT relrowsecurity OR relforcerowsecurity)$$,
    'every table has row level security');
SELECT set_eq($$SELECT tablename::text COLLATE "default", policyname::text COLLATE "default", permissive, roles::text COLLATE "default", cmd, qual COLLATE "default", with_check COLLATE "default" FROM pg_policies WHERE schemaname = 'wflog' ORDER BY 1, 2$$, $$VALUES
    ('execution_audit_events', 'read_own', 'PERMISSIVE', '{public}', 'SELECT', 'wflog.can_read_execution(execution_id)', NULL),
    ('producer_batches', 'service_inserts', 'PERMISSIVE', '{public}', 'INSERT', NULL, 'wflog.can_write()'),
    ('producer_batches', 'service_reads', 'PERMISSIVE', '{public}', 'SELECT', 'wflog.can_write()', NULL),
    ('producer_batches', 'service_updates', 'PERMISSIVE', '{public}', 'UPDATE', 'wflog.can_write()', NULL),
    ('retention_policies', 'admin_changes', 'PERMISSIVE', '{public}', 'ALL', 'wflog.can_administer()', NULL),
    ('retention_policies', 'service_reads', 'PERMISSIVE', '{public}', 'SELECT', 'wflog.can_write()', NULL),
    ('workflow_execution_logs', 'admin_deletes', 'PERMISSIVE', '{public}', 'DELETE', 'wflog.can_administer()', NULL),
    ('workflow_execution_logs', 'read_own', 'PERMISSIVE', '{public}', 'SELECT', 'wflog.can_read_execution(execution_id)', NULL),
    ('workflow_execution_logs', 'service_inserts', 'PERMISSIVE', '{public}', 'INSERT', NULL, 'wflog.can_write()'),
    ('workflow_execution_logs', 'service_updates', 'PERMISSIVE', '{public}', 'UPDATE', 'wflog.can_write()', NULL),
    ('workflow_executions', 'admin_deletes', 'PERMISSIVE', '{public}', 'DELETE', 'wflog.can_administer()', NULL),
    ('workflow_executions', 'read_own', 'PERMISSIVE', '{public}', 'SELECT', 'wflog.can_read_workflow(workflow_id)', NULL),
    ('workflow_executions', 'service_inserts', 'PERMISSIVE', '{public}', 'INSERT', NULL, 'wflog.can_write()'),
    ('workflow_executions', 'service_updates', 'PERMISSIVE', '{public}', 'UPDATE', 'wflog.can_write()', NULL),
    ('workflows', 'admin_deletes', 'PERMISSIVE', '{public}', 'DELETE', 'wflog.can_administer()', NULL),
    ('workflows', 'read_own', 'PERMISSIVE', '{public}', 'SELECT', 'wflog.can_read_workflow(id)', NULL),
    ('workflows', 'service_inserts', 'PERMISSIVE', '{public}', 'INSERT', NULL, 'wflog.can_write()'),
    ('workflows', 'service_updates', 'PERMISSIVE', '{public}', 'UPDATE', 'wflog.can_write()', NULL)$$, 'the policies');

/* Triggers: row stamp, audit trail, guards. */
SELECT set_eq($$SELECT c.relname::text COLLATE "default", t.tgname::text COLLATE "default", p.proname::text COLLATE "default", t.tgenabled::text, t.tgtype::int
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE c.relnamespace = 'wflog'::regnamespace AND NOT t.tgisinternal AND t.tgparentid = 0 ORDER BY 1, 2$$, $$VALUES
    ('execution_audit_events', 'guard_rows', 'guard_audit', 'A', 1 | 2 | 8 | 16),
    ('execution_audit_events', 'guard_statements', 'guard_audit', 'A', 2 | 8 | 16 | 32),
    ('execution_audit_heads', 'guard_rows', 'guard_audit', 'A', 1 | 2 | 8 | 16),
    ('execution_audit_heads', 'guard_statements', 'guard_audit', 'A', 2 | 8 | 16 | 32),
    ('workflow_execution_logs', 'log_row', 'log_row', 'A', 1 | 2 | 4 | 16),
    ('workflow_execution_logs', 'mark_log', 'mark_log', 'A', 1 | 2 | 8 | 16),
    ('workflow_executions', 'audit_execution', 'audit_execution', 'O', 1 | 4 | 8 | 16),
    ('workflow_executions', 'audit_truncation', 'audit_execution', 'O', 2 | 32),
    ('workflow_executions', 'check_execution', 'check_execution', 'O', 1 | 2 | 4 | 16),
    ('workflows', 'keep_workflow', 'keep_workflow', 'O', 1 | 8 | 16),
    ('workflows', 'keep_workflows', 'keep_workflow', 'O', 2 | 32)$$, 'the triggers');

/*
 * Functions: name, arguments with names and defaults, result, volatility,
 * parallel safety.  Types of defaults are left out to keep it readable.
 */
\set filters 'level text = NULL, min_level text = NULL, start_time timestamp with time zone = NULL, end_time timestamp with time zone = NULL, category text = NULL, event_type text = NULL, node_id text = NULL, source text = NULL, attempt integer = NULL, milestones_only boolean = false, min_priority integer = NULL, search text = NULL'
CREATE TEMP TABLE contract (name text, arguments text, result text, volatility text, parallel text);
INSERT INTO contract VALUES
('start_execution', 'execution_id character varying, workflow_id text, status text = ''RUNNING'', user_id text = NULL, workflow_name text = NULL, tier text = NULL', 'void', 'v', 'u'),
('set_execution_status', 'execution_id character varying, status text, error_message text = NULL', 'text', 'v', 'u'),
('log', 'execution_id character varying, message text, level text = ''INFO'', event_type text = ''log'', log_category text = ''technical'', data jsonb = ''{}'', node_id text = NULL, node_name text = NULL, node_type text = NULL, step_number integer = NULL, total_steps integer = NULL, progress_percentage numeric = NULL, duration_seconds integer = NULL, user_friendly_message text = NULL, display_priority integer = 5, is_milestone boolean = false, technical_details jsonb = ''{}'', stack_trace text = NULL, performance_metrics jsonb = ''{}'', created_at timestamp with time zone = NULL, source text = NULL, attempt integer = NULL, trace_id text = NULL, span_id text = NULL, id uuid = NULL', 'uuid', 'v', 'u'),
('append', 'logs jsonb, producer_key text = NULL, sequence bigint = NULL', 'bigint', 'v', 'u'),
('append_lines', 'lines bytea, producer_key text = NULL, sequence bigint = NULL', 'bigint', 'v', 'u'),
('logs', 'execution_id character varying, max_rows integer = NULL, skip bigint = 0, ' || :'filters' || ', after text = NULL, before text = NULL', 'SETOF wflog.workflow_execution_logs', 's', 'r'),
('logs_json', 'execution_id character varying, max_rows integer = 100, skip bigint = 0, ' || :'filters' || ', after text = NULL, before text = NULL, from_end boolean = false, detail boolean = false, with_total boolean = true', 'json', 's', 'r'),
('summary', 'execution_id character varying', 'json', 's', 'r'),
('recent_logs', 'workflow_id text, max_rows integer = 100, include_all_executions boolean = false', 'json', 's', 'u'),
('execution', 'execution_id character varying', 'json', 's', 'r'),
('executions_json', 'workflow_id text = NULL, status text = NULL, max_rows integer = 100, after text = NULL', 'json', 's', 'u'),
('workflow_summary', 'workflow_id text, since timestamp with time zone = NULL, until timestamp with time zone = NULL, bucket interval = NULL', 'json', 's', 'u'),
('statistics', 'workflow_id text = NULL, since timestamp with time zone = NULL, until timestamp with time zone = NULL, bucket interval = NULL', 'json', 's', 'u'),
('workflow_logs_json', 'workflow_id text, max_rows integer = 100, ' || :'filters' || ', after text = NULL, before text = NULL, from_end boolean = false, detail boolean = false', 'json', 's', 'u'),
('tail', 'execution_id character varying, cursor text = NULL, max_rows integer = 1000', 'TABLE(cursor text, log json, batch text)', 's', 'r'),
('channel', 'execution_id character varying', 'text', 'v', 'u'),
('workflow_channel', 'workflow_id text', 'text', 'v', 'u'),
('gateway_channel', 'execution_id character varying = NULL, workflow_id text = NULL', 'text', 'v', 'u'),
('verify', 'execution_id character varying', 'TABLE(day date, item text, rolled_up bigint, counted bigint)', 's', 'r'),
('verify_audit', 'execution_id character varying = NULL, OUT event_id uuid, OUT problem text', 'SETOF record', 's', 'u'),
('retention_preview', 'retention_days integer = NULL', 'TABLE(action text, target text, day date, logs bigint, bytes bigint)', 's', 'u'),
('maintain', 'IN retention_days integer = NULL', NULL, 'v', 'u'),
('stat_reset', '', 'void', 'v', 'r'),
('uid', '', 'text', 's', 's'),
('role', '', 'text', 's', 's'),
('can_read_execution', 'execution_id character varying', 'boolean', 's', 's'),
('can_read_workflow', 'workflow_id text', 'boolean', 's', 's'),
('can_write', '', 'boolean', 's', 's'),
('can_administer', '', 'boolean', 's', 's'),
('uuid_v7', '', 'uuid', 'v', 's'),
('unescape', 'escaped text', 'bytea', 'i', 's'),
-- internal
('stat_get', 'OUT running boolean, OUT hint text, OUT launcher_pid integer, OUT worker_pid integer, OUT keeper_pid integer, OUT scope text, OUT asked bigint, OUT queue_size bigint, OUT queue_depth bigint, OUT queue_high_water bigint, OUT overflows bigint, OUT batches bigint, OUT logs_notified bigint, OUT notifications bigint, OUT batches_skipped bigint, OUT notify_lag_mean interval, OUT notify_lag_p99 interval, OUT notify_lag_max interval, OUT fold_lag interval, OUT fold_hints bigint, OUT folds bigint, OUT logs_folded bigint, OUT maintenance_started timestamp with time zone, OUT maintenance_ended timestamp with time zone, OUT maintenance_result text, OUT maintenance_next timestamp with time zone, OUT last_error text, OUT last_error_in text, OUT last_error_at timestamp with time zone, OUT stats_reset timestamp with time zone', 'record', 'v', 'r'),
('check_log', 'execution_id character varying, log_category character varying, data jsonb, step_number integer, total_steps integer, progress_percentage numeric, duration_seconds integer, display_priority integer, technical_details jsonb, performance_metrics jsonb, created_at timestamp with time zone, attempt integer', 'boolean', 'i', 's'),
('log_row', '', 'trigger', 'v', 'u'),
('mark_log', '', 'trigger', 'v', 'u'),
('check_execution', '', 'trigger', 'v', 'u'),
('audit_execution', '', 'trigger', 'v', 'u'),
('keep_workflow', '', 'trigger', 'v', 'u'),
('guard_audit', '', 'trigger', 'v', 'u'),
('batch_rows', '', 'SETOF wflog.workflow_execution_logs', 'v', 'u');
CREATE TEMP VIEW routines AS
    SELECT p.oid, p.proname::text AS name,
           regexp_replace(replace(pg_get_function_arguments(p.oid), ' DEFAULT ', ' = '), '::(character varying|timestamp with time zone|[a-z_.]+)', '', 'g') AS arguments,
           pg_get_function_result(p.oid) AS result, p.provolatile::text AS volatility, p.proparallel::text AS parallel
    FROM pg_proc p WHERE p.pronamespace = 'wflog'::regnamespace;
SELECT is(r.arguments, c.arguments, format('arguments of %s()', c.name)) FROM contract c LEFT JOIN routines r USING (name) ORDER BY c.name;
SELECT is(r.result, c.result, format('result of %s()', c.name)) FROM contract c LEFT JOIN routines r USING (name) ORDER BY c.name;
SELECT is(r.volatility || r.parallel, c.volatility || c.parallel, format('volatility and parallel safety of %s()', c.name)) FROM contract c LEFT JOIN routines r USING (name) ORDER BY c.name;
SELECT is((SELECT count(*) FROM routines r WHERE r.name = c.name), 1::bigint, format('%s() is there once', c.name)) FROM contract c ORDER BY 1;
SELECT is_empty('SELECT name FROM routines EXCEPT SELECT name FROM contract', 'there are no other routines');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace = 'wflog'::regnamespace AND (prosecdef AND (proconfig IS NULL OR NOT 'search_path=pg_catalog, pg_temp' = ANY (proconfig)))$$,
    'what runs with its owner''s privileges has a search_path of its own');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace = 'wflog'::regnamespace AND proleakproof$$, 'nothing is leakproof');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE pronamespace = 'wflog'::regnamespace AND lanname <> 'c'$$, 'everything is in C');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace = 'wflog'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL$$, 'every routine has a comment');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace = 'wflog'::regnamespace AND prosrc NOT LIKE 'wflog\_%'$$, 'the library''s symbols have a prefix');
SELECT set_eq($$SELECT proname::text COLLATE "default" FROM pg_proc WHERE pronamespace = 'wflog'::regnamespace AND proisstrict ORDER BY 1$$,
    $$VALUES ('can_read_execution'), ('can_read_workflow'), ('unescape')$$, 'strict are those for which null is no question');
-- D10: a function that concerns one execution takes it first
SELECT is_empty($$SELECT name FROM routines WHERE arguments ~ 'execution_id' AND arguments !~ '^execution_id character varying'$$, 'execution_id is the first argument');

/* Who may call and do what. */
SELECT ok(EXISTS (SELECT FROM pg_roles WHERE rolname = r AND NOT rolcanlogin AND NOT rolsuper AND NOT rolbypassrls AND NOT rolcreaterole AND NOT rolcreatedb AND NOT rolreplication),
          format('role %s is there and can do nothing by itself', r))
FROM unnest(ARRAY['wflog_reader', 'wflog_writer', 'wflog_admin', 'wflog_gateway']) AS r;
SELECT is_empty($$SELECT roleid::regrole, member::regrole FROM pg_auth_members WHERE member IN ('wflog_reader'::regrole, 'wflog_writer'::regrole, 'wflog_admin'::regrole, 'wflog_gateway'::regrole)$$,
    'our roles are members of nothing');
SELECT set_eq($$SELECT p.proname::text COLLATE "default" FROM pg_proc p WHERE p.pronamespace = 'wflog'::regnamespace AND (p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) WHERE grantee = 0)) ORDER BY 1$$,
    $$VALUES ('can_administer'), ('can_read_execution'), ('can_read_workflow'), ('can_write'), ('check_log'), ('role'), ('uid'), ('uuid_v7')$$, 'PUBLIC may call the predicates, and what the log table''s default and constraint call');
PREPARE callable AS
    SELECT p.proname::text COLLATE "default" FROM pg_proc p, aclexplode(p.proacl) a
    WHERE p.pronamespace = 'wflog'::regnamespace AND a.grantee = $1::regrole ORDER BY 1;
SELECT set_eq($$EXECUTE callable('wflog_reader')$$, $$VALUES ('channel'), ('execution'), ('executions_json'), ('logs'), ('logs_json'), ('recent_logs'),
    ('statistics'), ('summary'), ('tail'), ('unescape'), ('verify'), ('verify_audit'), ('workflow_channel'), ('workflow_logs_json'), ('workflow_summary')$$, 'what readers may call');
SELECT set_eq(format('EXECUTE callable(%L)', r), format($$VALUES %s('append'), ('append_lines'), ('batch_rows'), ('channel'), ('execution'), ('executions_json'), ('log'), ('logs'), ('logs_json'), ('recent_logs'),
    ('set_execution_status'), ('start_execution'), ('statistics'), ('summary'), ('tail'), ('unescape'), ('verify'), ('verify_audit'), ('workflow_channel'), ('workflow_logs_json'), ('workflow_summary')$$, also), 'what ' || r || ' may call')
FROM (VALUES ('wflog_writer', ''), ('wflog_gateway', '(''gateway_channel''), (''stat_get''), ')) AS v (r, also);
SELECT set_eq($$EXECUTE callable('wflog_admin')$$, $$VALUES ('append'), ('append_lines'), ('batch_rows'), ('channel'), ('execution'), ('executions_json'), ('log'), ('logs'), ('logs_json'), ('maintain'), ('recent_logs'),
    ('retention_preview'), ('set_execution_status'), ('start_execution'), ('stat_get'), ('stat_reset'), ('statistics'), ('summary'), ('tail'), ('unescape'), ('verify'), ('verify_audit'), ('workflow_channel'), ('workflow_logs_json'), ('workflow_summary')$$, 'what admins may call');
SELECT set_eq($$EXECUTE callable('pg_monitor')$$, $$VALUES ('stat_get')$$, 'what pg_monitor may call');
SELECT set_eq($$SELECT c.relname::text COLLATE "default", a.grantee::regrole::text COLLATE "default", string_agg(a.privilege_type, ' ' ORDER BY a.privilege_type)
    FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace = 'wflog'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND a.grantee <> c.relowner GROUP BY 1, 2 ORDER BY 1, 2$$, $$VALUES
    ('execution_audit_events', 'wflog_admin', 'SELECT'),
    ('execution_audit_events', 'wflog_gateway', 'SELECT'),
    ('execution_audit_events', 'wflog_reader', 'SELECT'),
    ('execution_audit_events', 'wflog_writer', 'SELECT'),
    ('producer_batches', 'wflog_admin', 'INSERT SELECT UPDATE'),
    ('producer_batches', 'wflog_gateway', 'INSERT SELECT UPDATE'),
    ('producer_batches', 'wflog_writer', 'INSERT SELECT UPDATE'),
    ('retention_policies', 'wflog_admin', 'DELETE INSERT SELECT UPDATE'),
    ('retention_policies', 'wflog_gateway', 'SELECT'),
    ('retention_policies', 'wflog_writer', 'SELECT'),
    ('stat', 'pg_monitor', 'SELECT'),
    ('stat', 'wflog_gateway', 'SELECT'),
    ('stat', 'wflog_admin', 'SELECT'),
    ('workflow_execution_logs', 'wflog_admin', 'DELETE INSERT SELECT UPDATE'),
    ('workflow_execution_logs', 'wflog_gateway', 'INSERT SELECT UPDATE'),
    ('workflow_execution_logs', 'wflog_reader', 'SELECT'),
    ('workflow_execution_logs', 'wflog_writer', 'INSERT SELECT UPDATE'),
    ('workflow_executions', 'wflog_admin', 'DELETE INSERT SELECT UPDATE'),
    ('workflow_executions', 'wflog_gateway', 'INSERT SELECT UPDATE'),
    ('workflow_executions', 'wflog_reader', 'SELECT'),
    ('workflow_executions', 'wflog_writer', 'INSERT SELECT UPDATE'),
    ('workflows', 'wflog_admin', 'DELETE INSERT SELECT UPDATE'),
    ('workflows', 'wflog_gateway', 'INSERT SELECT UPDATE'),
    ('workflows', 'wflog_reader', 'SELECT'),
    ('workflows', 'wflog_writer', 'INSERT SELECT UPDATE')$$, 'what is granted on tables');
SELECT is_empty($$SELECT attrelid::regclass, attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'wflog'::regnamespace AND attacl IS NOT NULL$$, 'nothing on columns');

/* Settings, which are there once the library is. */
SELECT set_eq($$SELECT name COLLATE "default", setting, unit, vartype, context, boot_val, min_val, max_val FROM pg_settings WHERE name LIKE 'wflog.%' AND name <> 'wflog.fault' ORDER BY 1$$, $$VALUES
    ('wflog.audit_retention_days', '0', NULL, 'integer', 'superuser', '0', '0', '365000'),
    ('wflog.maintenance_interval', '86400', 's', 'integer', 'superuser', '86400', '0', '2147483647'),
    ('wflog.maintenance_lock_timeout', '50', 'ms', 'integer', 'superuser', '50', '1', '60000'),
    ('wflog.max_databases', '8', NULL, 'integer', 'sighup', '8', '1', '1024'), -- postmaster where preloaded
    ('wflog.max_entry_size', '10240', 'B', 'integer', 'superuser', '10240', '1024', '268435456'),
    ('wflog.notify', 'on', NULL, 'enum', 'superuser', 'on', NULL, NULL),
    ('wflog.notify_payload', 'full', NULL, 'enum', 'superuser', 'full', NULL, NULL),
    ('wflog.notify_scope', 'asked', NULL, 'enum', 'superuser', 'asked', NULL, NULL),
    ('wflog.partition_interval', 'day', NULL, 'string', 'superuser', 'day', NULL, NULL),
    ('wflog.partitions_ahead', '3', NULL, 'integer', 'superuser', '3', '1', '100'),
    ('wflog.queue_size', '2048', 'kB', 'integer', 'sighup', '2048', '16', '1048576'), -- likewise
    ('wflog.retention_days', '30', NULL, 'integer', 'superuser', '30', '1', '365000')$$, 'the settings');
SELECT is(current_setting('wflog.max_entry_size'), '10kB', 'max_entry_size is shown in kB');
SELECT is_empty($$SELECT name FROM pg_settings WHERE name LIKE 'wflog.%' AND short_desc = ''$$, 'every setting is described');
SELECT throws_ok('SET wflog.max_entrysize = 1', '42602', NULL, 'a misspelt setting is refused');
SELECT throws_ok('SET wflog.max_entry_size = 100', '22023', NULL, 'a value out of range is refused');
SELECT throws_ok('SET wflog.partition_interval = ''year''', '22023', NULL, 'an interval that cannot be is refused');

/* What a dump carries over. */
SELECT set_eq($$SELECT unnest(extconfig)::regclass::text FROM pg_extension WHERE extname = 'wflog'$$, ARRAY[
    'wflog.secrets', 'wflog.workflows', 'wflog.execution_audit_heads', 'wflog.workflow_executions', 'wflog.execution_audit_events',
    'wflog.workflow_execution_logs_default', 'wflog.retention_policies', 'wflog.producer_batches'], 'tables whose rows are dumped');

SELECT * FROM finish();
ROLLBACK;
