/*
 * Writing logs.  The caller's privileges and row level security decide.
 */
CREATE FUNCTION wflog.log(
    execution_id          pg_catalog.varchar,
    message               pg_catalog.text,
    level                 pg_catalog.text DEFAULT 'INFO',
    event_type            pg_catalog.text DEFAULT 'log',
    log_category          pg_catalog.text DEFAULT 'technical',
    data                  pg_catalog.jsonb DEFAULT '{}',
    node_id               pg_catalog.text DEFAULT NULL,
    node_name             pg_catalog.text DEFAULT NULL,
    node_type             pg_catalog.text DEFAULT NULL,
    step_number           pg_catalog.int4 DEFAULT NULL,
    total_steps           pg_catalog.int4 DEFAULT NULL,
    progress_percentage   pg_catalog.numeric DEFAULT NULL,
    duration_seconds      pg_catalog.int4 DEFAULT NULL,
    user_friendly_message pg_catalog.text DEFAULT NULL,
    display_priority      pg_catalog.int4 DEFAULT 5,
    is_milestone          pg_catalog.bool DEFAULT false,
    technical_details     pg_catalog.jsonb DEFAULT '{}',
    stack_trace           pg_catalog.text DEFAULT NULL,
    performance_metrics   pg_catalog.jsonb DEFAULT '{}',
    created_at            pg_catalog.timestamptz DEFAULT NULL,
    source                pg_catalog.text DEFAULT NULL,
    attempt               pg_catalog.int4 DEFAULT NULL,
    trace_id              pg_catalog.text DEFAULT NULL,
    span_id               pg_catalog.text DEFAULT NULL,
    id                    pg_catalog.uuid DEFAULT NULL
) RETURNS pg_catalog.uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'wflog_log';
COMMENT ON FUNCTION wflog.log IS
    'writes one log and returns its id; NULL means the column''s default where the column takes no NULL';

CREATE FUNCTION wflog.append(
    logs         pg_catalog.jsonb,
    producer_key pg_catalog.text DEFAULT NULL,
    sequence     pg_catalog.int8 DEFAULT NULL
) RETURNS pg_catalog.int8
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'wflog_append';
COMMENT ON FUNCTION wflog.append IS
    'writes a JSON array of logs, all or none, and returns how many; a batch repeated under the same producer_key and sequence is answered with the first result';

CREATE FUNCTION wflog.append_lines(
    lines        pg_catalog.bytea,
    producer_key pg_catalog.text DEFAULT NULL,
    sequence     pg_catalog.int8 DEFAULT NULL
) RETURNS pg_catalog.int8
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'wflog_append_lines';
COMMENT ON FUNCTION wflog.append_lines IS
    'writes logs from lines of JSON, all or none, and returns how many; NUL and bytes that are not UTF-8 are escaped';

CREATE FUNCTION wflog.unescape(escaped pg_catalog.text) RETURNS pg_catalog.bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'wflog_unescape';
COMMENT ON FUNCTION wflog.unescape IS
    'the bytes behind a text that append_lines() escaped';

-- Feeds the INSERT that the functions above run; by itself it fails.
CREATE FUNCTION wflog.batch_rows()
    RETURNS SETOF wflog.workflow_execution_logs
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000
    AS 'MODULE_PATHNAME', 'wflog_batch_rows';
COMMENT ON FUNCTION wflog.batch_rows IS
    'internal: the rows of the batch that is being written';
