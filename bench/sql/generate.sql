-- The generator of both sides' data.  Executions run 64 at a time, 900 logs
-- each; one giant runs beside them for a while and logs more than all others.
CREATE SCHEMA bench;

CREATE FUNCTION bench.eid(n bigint) RETURNS varchar LANGUAGE sql IMMUTABLE AS
  $$ SELECT md5('execution ' || n::text)::uuid::varchar $$;

-- Workflows have numbers 0 to 99, ten for each of ten users.
CREATE FUNCTION bench.user_id(workflow bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
  $$ SELECT md5('user ' || (workflow % 10)::text)::uuid $$;

-- What log number n of an execution's stream says, whoever writes it.
CREATE FUNCTION bench.entries(lo bigint, hi bigint)
RETURNS TABLE (n bigint, log_category text, event_type text, level text, message text, data text,
               node_id text, node_name text, node_type text, step_number int, total_steps int,
               duration_seconds int, user_friendly_message text, display_priority int,
               is_milestone bool)
LANGUAGE sql STABLE AS $$
  SELECT i,
         CASE WHEN kind < 100 THEN 'business' ELSE 'technical' END,
         CASE WHEN kind < 10 THEN 'workflow_progress' WHEN kind < 30 THEN 'step_error'
              WHEN kind < 400 THEN 'step_output' WHEN kind < 500 THEN 'step_input'
              WHEN kind < 550 THEN 'step_started' WHEN kind < 600 THEN 'step_completed'
              ELSE 'workflow_progress' END,
         CASE WHEN kind BETWEEN 10 AND 29 THEN 'ERROR' WHEN kind BETWEEN 30 AND 79 THEN 'WARNING'
              WHEN kind < 400 THEN 'DEBUG' ELSE 'INFO' END,
         'Fetched page ' || i % 1000 || ' of the customer export from upstream in ' || kind
           || ' ms, next cursor ' || digest || ', going on',
         '{"rows": ' || kind * 13 || ', "host": "worker-' || i % 17 || '", "bytes": ' || kind * 4099
           || ', "cached": false, "took_ms": ' || kind || ', "shard": "s' || i % 64 || '"}',
         'node-' || step, 'Fetch customers ' || step, 'http_request', step, 12,
         CASE WHEN kind BETWEEN 550 AND 599 THEN kind / 10 END,
         CASE WHEN kind < 10 THEN 'Imported page ' || i % 1000 || ' of your customers' END,
         CASE WHEN kind < 100 THEN 7 ELSE 5 END,
         kind < 10
  FROM (SELECT i, md5(i::text) AS digest, ('x' || substr(md5(i::text), 1, 7))::bit(28)::int % 1000 AS kind,
               (i / 5000 % 12)::int AS step
        FROM generate_series(lo, hi - 1) AS i OFFSET 0) AS s
$$;

-- Number of the execution that normal log m belongs to.
CREATE FUNCTION bench.execution_of(m bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
  $$ SELECT m / 57600 * 64 + (m % 57600 + m % 57600 / 64 * 7) % 64 $$;

-- How many of the first n logs are the giant's: 5 of 7 from log giant_from on,
-- until it has giant_logs.
CREATE FUNCTION bench.giants_before(n bigint, giant_from bigint, giant_logs bigint)
RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT least(greatest(n - giant_from, 0), giant_logs * 7 / 5) / 7 * 5
         + least(least(greatest(n - giant_from, 0), giant_logs * 7 / 5) % 7, 5)
$$;

-- The log stream, from number lo to hi - 1, of both sides' preload.
CREATE FUNCTION bench.stream(lo bigint, hi bigint, giant_from bigint, giant_logs bigint,
                             first timestamptz, step interval)
RETURNS TABLE (execution_id varchar, log_category text, event_type text, level text, message text,
               data text, node_id text, node_name text, node_type text, step_number int,
               total_steps int, duration_seconds int, user_friendly_message text,
               display_priority int, is_milestone bool, created_at timestamptz)
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN giants_after > giants THEN bench.eid(-1)
              ELSE bench.eid(bench.execution_of(e.n - giants)) END,
         log_category, event_type, level, message, data, node_id, node_name, node_type, step_number,
         total_steps, duration_seconds, user_friendly_message, display_priority, is_milestone,
         first + e.n * step
  FROM (SELECT *, bench.giants_before(n, giant_from, giant_logs) AS giants,
               bench.giants_before(n + 1, giant_from, giant_logs) AS giants_after
        FROM bench.entries(lo, hi) OFFSET 0) AS e
$$;

-- Logs of today for the write measurements: no created_at, executions from
-- number first_execution on, 64 at a time.
CREATE FUNCTION bench.today(lo bigint, hi bigint, first_execution bigint)
RETURNS TABLE (execution_id varchar, log_category text, event_type text, level text, message text,
               data text, node_id text, node_name text, node_type text, step_number int,
               total_steps int, duration_seconds int, user_friendly_message text,
               display_priority int, is_milestone bool)
LANGUAGE sql STABLE AS $$
  SELECT bench.eid(first_execution + bench.execution_of(n)), log_category, event_type, level, message,
         data, node_id, node_name, node_type, step_number, total_steps, duration_seconds,
         user_friendly_message, display_priority, is_milestone
  FROM bench.entries(lo, hi)
$$;
