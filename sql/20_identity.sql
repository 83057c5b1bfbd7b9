/*
 * Who is asking, and what they may read (src/identity.c, src/policy.c).
 */
CREATE FUNCTION wflog.uid() RETURNS pg_catalog.text
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'wflog_uid';
COMMENT ON FUNCTION wflog.uid() IS
    'who is asking: the subject of request.jwt.claims in a session of wflog_gateway, else the login role';

CREATE FUNCTION wflog.role() RETURNS pg_catalog.text
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'wflog_role';
COMMENT ON FUNCTION wflog.role() IS
    'as what: the role in request.jwt.claims in a session of wflog_gateway, else the greatest wflog role held';

CREATE FUNCTION wflog.can_read_execution(execution_id pg_catalog.varchar) RETURNS pg_catalog.bool
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'wflog_can_read_execution';
COMMENT ON FUNCTION wflog.can_read_execution(pg_catalog.varchar) IS
    'whether the asker may read an execution: its workflow''s owner, writers and admins may';

CREATE FUNCTION wflog.can_read_workflow(workflow_id pg_catalog.text) RETURNS pg_catalog.bool
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'wflog_can_read_workflow';
COMMENT ON FUNCTION wflog.can_read_workflow(pg_catalog.text) IS
    'whether the asker may read a workflow: its owner, writers and admins may';

CREATE FUNCTION wflog.can_write() RETURNS pg_catalog.bool
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'wflog_can_write';
COMMENT ON FUNCTION wflog.can_write() IS
    'whether the asker may insert and update: members of wflog_writer and wflog_admin, and service_role in a gateway session';

CREATE FUNCTION wflog.can_administer() RETURNS pg_catalog.bool
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'wflog_can_administer';
COMMENT ON FUNCTION wflog.can_administer() IS
    'whether the asker may delete logs and run maintenance: members of wflog_admin';
