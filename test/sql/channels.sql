--
-- Channels: their arguments and errors.  The library is not preloaded here;
-- what is notified is in t/080_notify.pl.
--
\set VERBOSITY terse

-- the SQLSTATE and message of what fails, or the shape of the answer
CREATE FUNCTION pg_temp.outcome(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE query INTO answer;
    RETURN CASE WHEN answer ~ '^wflog_[A-Za-z0-9_-]{24}$' THEN 'a channel' ELSE coalesce(answer, 'null') END;
EXCEPTION WHEN others THEN
    RETURN sqlstate || ' ' || sqlerrm;
END
$$;

CREATE ROLE regress_channel_owner LOGIN IN ROLE wflog_reader;
CREATE ROLE regress_channel_gateway LOGIN IN ROLE wflog_gateway;
SELECT wflog.start_execution('channel-1', 'channels', user_id => 'regress_channel_owner');
SELECT wflog.log('channel-loose', 'of no registered execution') IS NOT NULL AS logged;

-- who asks is warned that he will wait in vain
SELECT wflog.channel('channel-1') ~ '^wflog_[A-Za-z0-9_-]{24}$' AS ok;
SELECT wflog.workflow_channel('channels') ~ '^wflog_[A-Za-z0-9_-]{24}$' AS ok;
SET wflog.notify = transaction;
-- now not
SELECT wflog.channel('channel-1') ~ '^wflog_[A-Za-z0-9_-]{24}$' AS ok;

-- the same each time, another for each
SELECT wflog.channel('channel-1') = wflog.channel('channel-1') AS same,
       wflog.channel('channel-1') <> wflog.channel('channel-loose') AS other,
       wflog.channel('channel-1') <> wflog.workflow_channel('channels') AS kinds;

-- arguments
SELECT pg_temp.outcome(query) FROM unnest(ARRAY[
    'SELECT wflog.channel(NULL)',
    'SELECT wflog.channel('''')',
    'SELECT wflog.channel(repeat(''x'', 256))',
    'SELECT wflog.channel(''missing'')',
    'SELECT wflog.channel(''channel-loose'')',
    'SELECT wflog.workflow_channel(NULL)',
    'SELECT wflog.workflow_channel('''')',
    'SELECT wflog.workflow_channel(''missing'')',
    'SELECT wflog.gateway_channel()']) AS query;

-- who asks
SET SESSION AUTHORIZATION regress_channel_owner;
SET wflog.notify = off;
SELECT wflog.channel('channel-1') ~ '^wflog_' AS ok;
SELECT pg_temp.outcome(query) FROM unnest(ARRAY[
    'SELECT wflog.channel(''channel-loose'')',
    'SELECT wflog.gateway_channel(''channel-1'')']) AS query;
SET SESSION AUTHORIZATION regress_channel_gateway;
SELECT pg_temp.outcome(query) FROM unnest(ARRAY[
    'SELECT wflog.channel(''channel-1'')',
    'SELECT wflog.gateway_channel()',
    'SELECT wflog.gateway_channel(''channel-1'')',
    'SELECT wflog.gateway_channel(workflow_id => ''channels'')']) AS query;
SET request.jwt.claims = '{"sub": "regress_channel_owner"}';
SELECT pg_temp.outcome(query) FROM unnest(ARRAY[
    'SELECT wflog.channel(''channel-1'')',
    'SELECT wflog.gateway_channel(''channel-1'')',
    'SELECT wflog.gateway_channel(workflow_id => ''channels'')',
    'SELECT wflog.gateway_channel(''channel-1'', ''channels'')',
    'SELECT wflog.gateway_channel('''')',
    'SELECT wflog.gateway_channel(NULL, ''missing'')']) AS query;
RESET request.jwt.claims;
RESET SESSION AUTHORIZATION;

-- an owner change changes both
SELECT wflog.channel('channel-1') AS before, wflog.workflow_channel('channels') AS workflow_before \gset
UPDATE wflog.workflows SET user_id = 'somebody' WHERE id = 'channels';
SELECT wflog.channel('channel-1') <> :'before' AS moved, wflog.workflow_channel('channels') <> :'workflow_before' AS workflow_moved;
UPDATE wflog.workflows SET user_id = NULL WHERE id = 'channels';
SELECT wflog.channel('channel-1') <> :'before' AS moved;
UPDATE wflog.workflows SET user_id = '' WHERE id = 'channels';
SELECT wflog.channel('channel-1') <> :'before' AS moved;

-- the key: one for all, made at the first use, and undone with it
SELECT count(*) FROM wflog.secrets WHERE name = 'channel';
BEGIN;
DELETE FROM wflog.secrets WHERE name = 'channel';
SELECT wflog.channel('channel-1') <> :'before' AS another_key;
ROLLBACK;

-- reads nothing but asks in a read only transaction, too
BEGIN READ ONLY;
SELECT wflog.channel('channel-1') ~ '^wflog_' AS ok;
ROLLBACK;

-- an unknown value
SET wflog.notify = sometimes;

RESET wflog.notify;

DELETE FROM wflog.workflow_execution_logs WHERE execution_id LIKE 'channel-%';
DELETE FROM wflog.workflow_executions WHERE execution_id LIKE 'channel-%';
DELETE FROM wflog.workflows WHERE id = 'channels';
DROP ROLE regress_channel_owner, regress_channel_gateway;
