/*
 * Where to LISTEN (src/channel.c).  VOLATILE, because the worker notifies only
 * what has been asked for.
 */
CREATE FUNCTION wflog.channel(execution_id pg_catalog.varchar) RETURNS pg_catalog.text
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'wflog_channel';
COMMENT ON FUNCTION wflog.channel(pg_catalog.varchar) IS
    'the channel on which an execution''s logs and status are notified; call it each time before LISTEN';

CREATE FUNCTION wflog.workflow_channel(workflow_id pg_catalog.text) RETURNS pg_catalog.text
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'wflog_workflow_channel';
COMMENT ON FUNCTION wflog.workflow_channel(pg_catalog.text) IS
    'the channel on which starts, status and ends of a workflow''s executions are notified; call it each time before LISTEN';

CREATE FUNCTION wflog.gateway_channel(
    execution_id pg_catalog.varchar DEFAULT NULL,
    workflow_id  pg_catalog.text DEFAULT NULL
) RETURNS pg_catalog.text
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'wflog_gateway_channel';
COMMENT ON FUNCTION wflog.gateway_channel(pg_catalog.varchar, pg_catalog.text) IS
    'the one channel for all that gateways ask for, in batches; adds an execution or a workflow to it';
