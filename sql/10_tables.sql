/*
 * Functions that the tables' defaults need.
 */
CREATE FUNCTION wflog.uuid_v7() RETURNS pg_catalog.uuid
    LANGUAGE c VOLATILE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'wflog_uuid_v7';
COMMENT ON FUNCTION wflog.uuid_v7() IS
    'a version 7 UUID; those of one session rise strictly';

CREATE FUNCTION wflog.check_log(
    execution_id        pg_catalog.varchar,
    log_category        pg_catalog.varchar,
    data                pg_catalog.jsonb,
    step_number         pg_catalog.int4,
    total_steps         pg_catalog.int4,
    progress_percentage pg_catalog.numeric,
    duration_seconds    pg_catalog.int4,
    display_priority    pg_catalog.int4,
    technical_details   pg_catalog.jsonb,
    performance_metrics pg_catalog.jsonb,
    created_at          pg_catalog.timestamptz,
    attempt             pg_catalog.int4
) RETURNS pg_catalog.bool
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'wflog_check_log';
COMMENT ON FUNCTION wflog.check_log(pg_catalog.varchar, pg_catalog.varchar, pg_catalog.jsonb,
    pg_catalog.int4, pg_catalog.int4, pg_catalog.numeric, pg_catalog.int4, pg_catalog.int4,
    pg_catalog.jsonb, pg_catalog.jsonb, pg_catalog.timestamptz, pg_catalog.int4) IS
    'constraint: fails with a message that names the column, the rule and the value';

/*
 * Which database this is.  A stream cursor names its database by this value
 * together with the database's OID; it is not dumped on purpose, so a
 * restored copy is another database.
 */
CREATE TABLE wflog.database_identity (
    only_row pg_catalog.bool PRIMARY KEY DEFAULT true CHECK (only_row),
    id       pg_catalog.uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid()
);
INSERT INTO wflog.database_identity DEFAULT VALUES;

/*
 * Keys for keyed hashes.  Dumped, because the audit chain is sealed with it:
 * a restored trail must still verify.  The row is made by the first use and
 * not here, or restoring the dumped one would collide with it.
 */
CREATE TABLE wflog.secrets (
    name  pg_catalog.text PRIMARY KEY,
    value pg_catalog.bytea NOT NULL
);

CREATE TABLE wflog.workflows (
    id         pg_catalog.text PRIMARY KEY CHECK (id OPERATOR(pg_catalog.<>) ''),
    user_id    pg_catalog.text,
    name       pg_catalog.text,
    tier       pg_catalog.text,
    created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
CREATE INDEX workflows_user_id_idx ON wflog.workflows (user_id);

/*
 * Head of each execution's audit chain: how many events it has, the status
 * after the last one (NULL: the execution was deleted), and a seal of its
 * own.  It is what makes the removal of the newest event detectable.
 */
CREATE TABLE wflog.execution_audit_heads (
    execution_id pg_catalog.varchar(255) PRIMARY KEY,
    events       pg_catalog.int8 NOT NULL,
    status       wflog.execution_status_enum,
    seal         pg_catalog.bytea NOT NULL
);

/*
 * No foreign keys between tables that are dumped: pg_restore --jobs loads
 * tables in any order, and an extension's constraints are there before its
 * rows.  Triggers (src/workflow.c) do what the one to workflows would do.
 */
CREATE TABLE wflog.workflow_executions (
    execution_id  pg_catalog.varchar(255) PRIMARY KEY
                  CHECK (execution_id OPERATOR(pg_catalog.<>) ''),
    workflow_id   pg_catalog.text NOT NULL,
    status        wflog.execution_status_enum NOT NULL DEFAULT 'RUNNING',
    start_time    pg_catalog.timestamptz,
    end_time      pg_catalog.timestamptz,
    error_message pg_catalog.text,
    created_at    pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    -- internal: tells a restored row, whose trail is restored too, from a new one
    audit_mark    pg_catalog.int8
);
CREATE INDEX workflow_executions_workflow_idx
    ON wflog.workflow_executions (workflow_id, created_at, execution_id);
CREATE INDEX workflow_executions_created_idx
    ON wflog.workflow_executions (created_at, execution_id);

CREATE TABLE wflog.execution_audit_events (
    id           pg_catalog.uuid NOT NULL DEFAULT wflog.uuid_v7(),
    execution_id pg_catalog.varchar(255) NOT NULL,
    event_type   pg_catalog.text NOT NULL
                 CHECK (event_type OPERATOR(pg_catalog.=) ANY
                        (ARRAY['CREATED', 'STARTED', 'STATE_CHANGE', 'COMPLETED', 'FAILED', 'CANCELLED'])),
    created_at   pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    metadata     pg_catalog.jsonb NOT NULL DEFAULT '{}',
    actor        pg_catalog.text NOT NULL,
    position     pg_catalog.int8 NOT NULL,
    seal         pg_catalog.bytea NOT NULL,
    PRIMARY KEY (execution_id, position)
);

/*
 * The logs (docs/decisions/0001-partitions.md).  The parents carry no index:
 * a parent that belongs to an extension and has one cannot be restored from
 * pg_dump's output.  S1's columns come first, in S1's order.
 *
 * The parents have a dropped column that the leaves have not: this makes the
 * executor turn each row into a tuple of the leaf's own before the row trigger
 * sees it, which can be stamped in place and is stored as it is, in place of a
 * copy that is taken apart and put together again, twice
 * (docs/decisions/0008-writing.md).
 */
CREATE TABLE wflog.workflow_execution_logs (
    id                    pg_catalog.uuid NOT NULL DEFAULT wflog.uuid_v7(),
    execution_id          pg_catalog.varchar(255) NOT NULL,
    log_category          pg_catalog.varchar(20) NOT NULL DEFAULT 'technical',
    event_type            wflog.log_event_type_enum NOT NULL DEFAULT 'log',
    level                 wflog.log_level_enum NOT NULL DEFAULT 'INFO',
    message               pg_catalog.text NOT NULL,
    data                  pg_catalog.jsonb DEFAULT '{}',
    node_id               pg_catalog.varchar(255),
    node_name             pg_catalog.varchar(255),
    node_type             pg_catalog.varchar(100),
    step_number           pg_catalog.int4,
    total_steps           pg_catalog.int4,
    progress_percentage   pg_catalog.numeric(5,2),
    duration_seconds      pg_catalog.int4,
    user_friendly_message pg_catalog.text,
    display_priority      pg_catalog.int4 NOT NULL DEFAULT 5,
    is_milestone          pg_catalog.bool NOT NULL DEFAULT false,
    technical_details     pg_catalog.jsonb DEFAULT '{}',
    stack_trace           pg_catalog.text,
    performance_metrics   pg_catalog.jsonb DEFAULT '{}',
    created_at            pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    source                pg_catalog.text,
    attempt               pg_catalog.int4,
    trace_id              pg_catalog.text,
    span_id               pg_catalog.text,
    -- internal, set by the row trigger
    original_size         pg_catalog.int4,
    execution_hash        pg_catalog.int8 NOT NULL DEFAULT 0,
    xact                  pg_catalog.xid8 NOT NULL DEFAULT '0',
    seq                   pg_catalog.int4 NOT NULL DEFAULT 0,
    storage               pg_catalog."char" NOT NULL DEFAULT 'r',
    dropped               pg_catalog.bool,
    CONSTRAINT log_is_valid CHECK (wflog.check_log(
        execution_id, log_category, data, step_number, total_steps, progress_percentage,
        duration_seconds, display_priority, technical_details, performance_metrics,
        created_at, attempt))
) PARTITION BY LIST (storage);
ALTER TABLE wflog.workflow_execution_logs DROP COLUMN dropped;

CREATE TABLE wflog.workflow_execution_logs_rows (
    LIKE wflog.workflow_execution_logs INCLUDING ALL,
    dropped pg_catalog.bool
) PARTITION BY RANGE (created_at);
ALTER TABLE wflog.workflow_execution_logs_rows DROP COLUMN dropped;
ALTER TABLE wflog.workflow_execution_logs
    ATTACH PARTITION wflog.workflow_execution_logs_rows FOR VALUES IN ('r');

/*
 * The default leaf takes what no daily leaf takes, so that no insert fails
 * for want of a leaf; it is also the pattern that daily leaves are made like.
 */
CREATE TABLE wflog.workflow_execution_logs_default
    PARTITION OF wflog.workflow_execution_logs_rows DEFAULT;
ALTER TABLE wflog.workflow_execution_logs_default
    ADD PRIMARY KEY (execution_hash, created_at, id);
-- For the stream, and for whoever asks by execution_id (docs/decisions/0008-writing.md).
-- pattern_ops compare bytes and do not ask the locale; equality is served all the same.
-- Up to 64 logs of a transaction share a key, which is stored once (src/leaves.h).
CREATE INDEX workflow_execution_logs_default_stream_idx
    ON wflog.workflow_execution_logs_default
    (execution_id pg_catalog.varchar_pattern_ops, xact, (seq OPERATOR(pg_catalog.>>) 6));
CREATE INDEX workflow_execution_logs_default_errors_idx
    ON wflog.workflow_execution_logs_default (execution_hash, created_at, id)
    WHERE level OPERATOR(pg_catalog.>=) 'ERROR';
CREATE INDEX workflow_execution_logs_default_milestones_idx
    ON wflog.workflow_execution_logs_default (execution_hash, created_at, id)
    WHERE is_milestone;

CREATE TABLE wflog.retention_policies (
    scope     pg_catalog.text NOT NULL
              CHECK (scope OPERATOR(pg_catalog.=) ANY (ARRAY['default', 'tier', 'workflow'])),
    target    pg_catalog.text NOT NULL DEFAULT '',
    keep_days pg_catalog.int4 NOT NULL CHECK (keep_days OPERATOR(pg_catalog.>) 0),
    PRIMARY KEY (scope, target),
    CHECK ((scope OPERATOR(pg_catalog.=) 'default') OPERATOR(pg_catalog.=) (target OPERATOR(pg_catalog.=) ''))
);

/*
 * Up to where retention has removed an execution's logs, in stream order:
 * what lets tail() answer "gap" instead of jumping over what is gone.
 */
CREATE TABLE wflog.removed_logs (
    execution_id pg_catalog.varchar(255) PRIMARY KEY,
    last_xact    pg_catalog.xid8 NOT NULL,
    removed_at   pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

/*
 * Batches that producers have handed in under a key, for as long as logs are
 * kept: the same batch again is answered with the first result.
 */
CREATE TABLE wflog.producer_batches (
    producer_key pg_catalog.text NOT NULL,
    sequence     pg_catalog.int8 NOT NULL,
    result       pg_catalog.int8 NOT NULL,
    created_at   pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (producer_key, sequence)
);
CREATE INDEX producer_batches_created_idx ON wflog.producer_batches (created_at);

SELECT pg_catalog.pg_extension_config_dump('wflog.secrets', '');
SELECT pg_catalog.pg_extension_config_dump('wflog.workflows', '');
SELECT pg_catalog.pg_extension_config_dump('wflog.execution_audit_heads', '');
SELECT pg_catalog.pg_extension_config_dump('wflog.workflow_executions', '');
SELECT pg_catalog.pg_extension_config_dump('wflog.execution_audit_events', '');
SELECT pg_catalog.pg_extension_config_dump('wflog.workflow_execution_logs_default', '');
SELECT pg_catalog.pg_extension_config_dump('wflog.retention_policies', '');
SELECT pg_catalog.pg_extension_config_dump('wflog.producer_batches', '');
