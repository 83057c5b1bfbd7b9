/*
 * Types and roles.
 *
 * The schema is created here and not by the control file, so that it is a
 * member of the extension: it goes with it, and CREATE EXTENSION fails when
 * somebody has prepared a schema of that name.
 */
CREATE SCHEMA wflog;

CREATE TYPE wflog.log_level_enum AS ENUM ('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL');

CREATE TYPE wflog.log_event_type_enum AS ENUM (
    'workflow_started', 'workflow_completed', 'workflow_progress',
    'step_started', 'step_input', 'step_output', 'step_completed', 'step_error',
    'separator', 'log');

-- The terminal ones stand last; src/execution.c relies on the order.
CREATE TYPE wflog.execution_status_enum AS ENUM (
    'NEW', 'PENDING', 'RUNNING', 'PAUSED', 'WAITING_FOR_HUMAN',
    'SUCCESS', 'FAILED', 'CANCELLED');

/*
 * Roles belong to the cluster, not to a database: another database may have
 * made them already, and they stay when the extension goes.
 */
DO $roles$
DECLARE
    role_name pg_catalog.text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['wflog_reader', 'wflog_writer', 'wflog_admin', 'wflog_gateway']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles r
                       WHERE r.rolname OPERATOR(pg_catalog.=) role_name) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', role_name);
        END IF;
    END LOOP;
END
$roles$;
