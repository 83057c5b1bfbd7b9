-- summary(), execution(), recent_logs(), executions_json(), workflow_summary()
-- and workflow_logs_json() against plain SQL over random executions and logs.
\pset null (null)
SELECT setseed(0.21) \gset
CREATE FUNCTION pg_temp.pick(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE AS
$$ SELECT choices[1 + floor(random() * cardinality(choices))::int] $$;
CREATE FUNCTION pg_temp.failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', SQLSTATE || ' ' || SQLERRM, nullif(hint, ''));
END
$$;
CREATE TEMP TABLE clock AS SELECT date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + interval '6 hours' AS t;

-- Three workflows, one without executions; executions in every status, some
-- registered at the same moment, some without logs or without times.
INSERT INTO wflog.workflows (id, name) VALUES ('sum 1', 'One'), ('sum 2', NULL), ('sum 3', 'None');
INSERT INTO wflog.workflow_executions (execution_id, workflow_id, status, start_time, end_time, error_message, created_at)
SELECT 'sum ' || i, 'sum ' || CASE WHEN i <= 14 THEN 1 ELSE 2 END, status,
       CASE WHEN status::text NOT IN ('NEW', 'PENDING') THEN t - i * interval '7 hours' END,
       CASE WHEN status::text IN ('SUCCESS', 'FAILED', 'CANCELLED') THEN t - i * interval '7 hours' + random() * interval '3 hours' END,
       CASE WHEN status::text = 'FAILED' THEN E'it "failed"\n' END, t - (i / 2) * interval '14 hours'
FROM clock, generate_series(1, 20) AS i,
     LATERAL (SELECT (enum_range(NULL::wflog.execution_status_enum))[1 + (i + i / 8) % 8] AS status) AS s;
DO $$
BEGIN
    FOR i IN 1 .. 1500 LOOP
        INSERT INTO wflog.workflow_execution_logs (id, execution_id, event_type, level, message, user_friendly_message, node_id, node_name, step_number, total_steps,
            progress_percentage, attempt, is_milestone, log_category, display_priority, created_at)
        SELECT gen_random_uuid(), 'sum ' || CASE WHEN i < 400 THEN 3 ELSE 1 + floor(random() * 18)::int END,
            pg_temp.pick('log', 'log', 'step_started', 'step_completed', 'step_error', 'separator', 'workflow_progress')::wflog.log_event_type_enum,
            pg_temp.pick('DEBUG', 'INFO', 'INFO', 'INFO', 'WARNING', 'ERROR', 'CRITICAL')::wflog.log_level_enum,
            pg_temp.pick('disk full', 'disk full', 'time out', 'é"\', repeat('long ', 50) || 'a', repeat('long ', 50) || 'b', repeat('ä', 120), 'x' || repeat('ä', 120), 'number ' || floor(random() * 20)),
            pg_temp.pick(NULL, NULL, '', 'friendly'), pg_temp.pick(NULL, 'n1', 'n2', 'n3', 'n4', 'n"5', ''), pg_temp.pick(NULL, 'Node', 'Another'),
            pg_temp.pick(NULL, NULL, '0', '1', '2', '7')::int, pg_temp.pick(NULL, '0', '3', '7')::int, pg_temp.pick(NULL, NULL, NULL, NULL, '0', '33.3', '99.99')::numeric,
            pg_temp.pick(NULL, '1', '1', '2', '3')::int, random() < 0.05, pg_temp.pick('technical', 'business'), 1 + floor(random() * 10)::int,
            CASE WHEN random() < 0.3 THEN date_trunc('hour', t - random() * interval '6 days') ELSE t - random() * interval '6 days' END
        FROM clock;
        IF i = 750 THEN
            SET LOCAL client_min_messages = warning;
            CALL wflog.maintain();
        END IF;
    END LOOP;
    -- an execution whose logs say nothing about nodes or progress, and some years away
    PERFORM wflog.log('sum 19', 'plain', created_at => '2101-01-01Z');
    PERFORM wflog.log('sum 18', 'more steps than there are', step_number => 5, total_steps => 3, created_at => '2101-01-02Z');
    PERFORM wflog.log('sum unregistered', 'nobody''s', progress_percentage => 5);
END
$$;

CREATE FUNCTION pg_temp.z(t timestamptz) RETURNS text LANGUAGE sql AS $$ SELECT to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;
CREATE FUNCTION pg_temp.counts(VARIADIC names text[]) RETURNS jsonb LANGUAGE sql AS $$
    SELECT coalesce(jsonb_object_agg(name, n), '{}') FROM (SELECT name, count(*) AS n FROM unnest(names) AS name WHERE name IS NOT NULL GROUP BY name) AS c
$$;

/* summary() */
CREATE FUNCTION pg_temp.summary(execution text) RETURNS jsonb LANGUAGE sql STABLE AS $$
    WITH logs AS (SELECT * FROM wflog.workflow_execution_logs WHERE execution_id = execution),
         nodes AS (SELECT node_id, jsonb_build_object(
                'node_name', coalesce((array_agg(node_name ORDER BY created_at DESC, logs.id DESC) FILTER (WHERE node_name IS NOT NULL))[1], node_id),
                'logs_count', count(*),
                'step_number', (array_agg(step_number ORDER BY created_at DESC, logs.id DESC) FILTER (WHERE step_number IS NOT NULL))[1],
                'attempt', max(coalesce(attempt, 1)),
                'status', CASE (SELECT l.event_type FROM logs l WHERE l.node_id = logs.node_id AND l.event_type IN ('step_started', 'step_completed', 'step_error')
                                  AND coalesce(l.attempt, 1) = (SELECT max(coalesce(a.attempt, 1)) FROM logs a WHERE a.node_id = logs.node_id)
                                ORDER BY l.created_at DESC, l.id DESC LIMIT 1)
                          WHEN 'step_completed' THEN 'completed' WHEN 'step_error' THEN 'failed' ELSE 'running' END) AS node
            FROM logs WHERE node_id IS NOT NULL GROUP BY node_id)
    SELECT jsonb_build_object('execution_id', execution, 'total_logs', (SELECT count(*) FROM logs),
        'log_levels', pg_temp.counts(VARIADIC (SELECT coalesce(array_agg(lower(level::text)), '{}') FROM logs)),
        'event_types', pg_temp.counts(VARIADIC (SELECT coalesce(array_agg(event_type::text), '{}') FROM logs)),
        'milestones', (SELECT coalesce(jsonb_agg(jsonb_build_object('timestamp', pg_temp.z(created_at), 'message', coalesce(nullif(user_friendly_message, ''), message), 'event_type', event_type) ORDER BY created_at, logs.id), '[]') FROM logs WHERE is_milestone),
        'nodes', (SELECT coalesce(jsonb_object_agg(node_id, node), '{}') FROM nodes),
        'timeline', (SELECT jsonb_build_object('first_log', pg_temp.z(min(created_at)), 'last_log', pg_temp.z(max(created_at)), 'duration_estimate', extract(epoch FROM max(created_at) - min(created_at))::float) FROM logs))
$$;
SELECT count(*) AS executions, count(*) FILTER (WHERE wflog.summary(execution_id)::jsonb = pg_temp.summary(execution_id)) AS same
FROM (SELECT execution_id FROM wflog.workflow_executions WHERE execution_id LIKE 'sum %' UNION ALL VALUES ('sum unregistered')) AS e;
SELECT DISTINCT node ->> 'status' AS status FROM wflog.workflow_executions e, json_each(wflog.summary(execution_id) -> 'nodes') AS n (id, node) WHERE execution_id LIKE 'sum %' ORDER BY 1;
SELECT wflog.summary('sum 20');
SELECT wflog.summary('sum 19');
-- nodes are in the order in which they first appear
SELECT count(*) FROM wflog.workflow_executions e
WHERE workflow_id = 'sum 1' AND (SELECT array_agg(key ORDER BY n) FROM json_object_keys(wflog.summary(e.execution_id) -> 'nodes') WITH ORDINALITY AS k (key, n))
    IS DISTINCT FROM (SELECT array_agg(node_id::text ORDER BY created_at, id) FROM (SELECT DISTINCT ON (node_id) node_id, created_at, id FROM wflog.workflow_execution_logs l
        WHERE l.execution_id = e.execution_id AND node_id IS NOT NULL ORDER BY node_id, created_at, id) AS firsts);

/* execution() */
CREATE FUNCTION pg_temp.execution_fields(e wflog.workflow_executions) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object('execution_id', e.execution_id, 'status', e.status, 'is_terminal', e.status >= 'SUCCESS',
        'start_time', pg_temp.z(coalesce(e.start_time, e.created_at)), 'end_time', pg_temp.z(e.end_time), 'error_message', e.error_message))
$$;
SELECT count(*) AS executions, count(*) FILTER (WHERE x::jsonb - 'duration' = pg_temp.execution_fields(e) || jsonb_build_object('workflow_id', e.workflow_id, 'total_logs', (SELECT count(*) FROM wflog.workflow_execution_logs l WHERE l.execution_id = e.execution_id),
        'progress', CASE WHEN e.status = 'SUCCESS' THEN 100 ELSE (SELECT coalesce(l.progress_percentage, trunc(10000.0 * l.step_number / l.total_steps) / 100)
             FROM wflog.workflow_execution_logs l WHERE l.execution_id = e.execution_id AND (l.progress_percentage IS NOT NULL OR (l.total_steps > 0 AND l.step_number <= l.total_steps))
             ORDER BY l.created_at DESC, l.id DESC LIMIT 1) END)) AS same,
       count(*) FILTER (WHERE (x ->> 'duration')::interval IS NOT DISTINCT FROM e.end_time - e.start_time) AS same_duration, count(e.end_time) AS ended
FROM wflog.workflow_executions e, wflog.execution(e.execution_id) AS x WHERE e.execution_id LIKE 'sum %';
SELECT wflog.execution('sum unregistered');

/* recent_logs() */
SELECT w.id, n, others,
    nullif(r -> 'latest_execution', 'null') IS NOT DISTINCT FROM (SELECT pg_temp.execution_fields(e) || CASE WHEN e.end_time IS NULL THEN '{}' ELSE jsonb_build_object('duration', r -> 'latest_execution' -> 'duration') END FROM wflog.workflow_executions e WHERE e.workflow_id = w.id ORDER BY e.created_at DESC, e.execution_id DESC LIMIT 1) AS latest,
    (SELECT array_agg(log ->> 'id' ORDER BY o) FROM jsonb_array_elements(r -> 'logs') WITH ORDINALITY AS l (log, o)) IS NOT DISTINCT FROM
    (SELECT array_agg(id::text ORDER BY created_at, id) FROM (SELECT l.* FROM wflog.workflow_execution_logs l WHERE l.execution_id = r -> 'latest_execution' ->> 'execution_id' ORDER BY created_at DESC, id DESC LIMIT n) AS last) AS logs,
    r -> 'summary' = (SELECT jsonb_build_object('total_logs', count(*), 'error_count', count(*) FILTER (WHERE level >= 'ERROR'), 'warning_count', count(*) FILTER (WHERE level = 'WARNING'), 'milestone_count', count(*) FILTER (WHERE is_milestone))
        FROM wflog.workflow_execution_logs l WHERE l.execution_id = r -> 'latest_execution' ->> 'execution_id') AS summary,
    (SELECT array_agg(x ->> 'execution_id' ORDER BY o) FROM jsonb_array_elements(r -> 'other_executions') WITH ORDINALITY AS l (x, o)) IS NOT DISTINCT FROM
    CASE WHEN others THEN (SELECT array_agg(execution_id::text ORDER BY created_at DESC, execution_id DESC) FROM (SELECT * FROM wflog.workflow_executions e WHERE e.workflow_id = w.id ORDER BY created_at DESC, execution_id DESC OFFSET 1 LIMIT 10) AS o) END AS other_executions,
    (r ->> 'total_executions')::int IS NOT DISTINCT FROM CASE WHEN others THEN (SELECT count(*) FROM wflog.workflow_executions e WHERE e.workflow_id = w.id) END AS total
FROM wflog.workflows w, unnest(ARRAY[1, 7, 1000]) AS n, unnest(ARRAY[false, true]) AS others, LATERAL (SELECT wflog.recent_logs(w.id, n, others)::jsonb AS r) AS recent
WHERE w.id LIKE 'sum %' ORDER BY 1, 2, 3;
SELECT wflog.recent_logs('sum 3', include_all_executions => true);
SELECT json_array_length(wflog.recent_logs('sum 1') -> 'logs') <= 100 AS default_limit;

/* executions_json(), whole and by the page */
CREATE FUNCTION pg_temp.all_pages(workflow text, status text, n int) RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
DECLARE
    page jsonb;
    cursor text;
BEGIN
    FOR i IN 1 .. 100 LOOP
        page := wflog.executions_json(workflow, status, n, cursor);
        RETURN QUERY SELECT jsonb_array_elements(page -> 'executions');
        IF jsonb_array_length(page -> 'executions') > n OR (page -> 'pagination' ->> 'limit')::int <> n
            OR (page -> 'pagination' ->> 'has_more')::boolean <> (page -> 'pagination' ->> 'next_cursor' IS NOT NULL) THEN
            RAISE 'wrong page: %', page;
        END IF;
        cursor := page -> 'pagination' ->> 'next_cursor';
        EXIT WHEN cursor IS NULL;
    END LOOP;
END
$$;
SELECT count(*) AS lists, count(*) FILTER (WHERE got IS NOT DISTINCT FROM wanted) AS same, sum(cardinality(wanted)) AS executions
FROM unnest(ARRAY['sum 1', 'sum 2', 'sum 3']) AS w, unnest(ARRAY[NULL, 'running', 'SUCCESS', 'Failed', 'NEW']) AS s, unnest(ARRAY[1, 2, 3, 7, 1000]) AS n,
    LATERAL (SELECT array_agg(x - 'duration' ORDER BY o) AS got FROM pg_temp.all_pages(w, s, n) WITH ORDINALITY AS p (x, o)) AS g,
    LATERAL (SELECT array_agg(pg_temp.execution_fields(e) || jsonb_strip_nulls(jsonb_build_object('workflow_id', w, 'workflow_name', f.name, 'total_logs', (SELECT count(*) FROM wflog.workflow_execution_logs l WHERE l.execution_id = e.execution_id))) ORDER BY e.created_at DESC, e.execution_id DESC) AS wanted
             FROM wflog.workflow_executions e JOIN wflog.workflows f ON f.id = e.workflow_id WHERE e.workflow_id = w AND (s IS NULL OR e.status::text = upper(s))) AS x;
SELECT (SELECT array_agg(x ->> 'execution_id') FROM pg_temp.all_pages(NULL, NULL, 3) AS x) = (SELECT array_agg(execution_id::text ORDER BY created_at DESC, execution_id DESC) FROM wflog.workflow_executions) AS of_all_workflows;

/* workflow_summary() */
CREATE FUNCTION pg_temp.workflow_summary(w text, since timestamptz, until timestamptz) RETURNS jsonb LANGUAGE sql STABLE AS $$
    WITH executions AS (SELECT e.*, (SELECT count(*) FROM wflog.workflow_execution_logs l WHERE l.execution_id = e.execution_id AND l.created_at >= coalesce(since, '-infinity') AND l.created_at <= coalesce(until, 'infinity')) AS logs
            FROM wflog.workflow_executions e WHERE (w IS NULL OR e.workflow_id = w) AND e.created_at >= coalesce(since, '-infinity') AND e.created_at <= coalesce(until, 'infinity')),
         logs AS (SELECT l.* FROM wflog.workflow_execution_logs l JOIN wflog.workflow_executions e USING (execution_id) WHERE (w IS NULL OR e.workflow_id = w) AND l.created_at >= coalesce(since, '-infinity') AND l.created_at <= coalesce(until, 'infinity')),
         durations AS (SELECT extract(epoch FROM end_time - start_time)::float AS d FROM executions WHERE end_time IS NOT NULL AND start_time IS NOT NULL),
         cut AS (SELECT *, (SELECT max(left(message, n)) FROM generate_series(greatest(0, least(length(message), 200) - 200), least(length(message), 200)) AS n WHERE octet_length(left(message, n)) <= 200) AS short FROM logs WHERE level >= 'ERROR'),
         errors AS (SELECT short, count(*) AS n, max(created_at) AS last FROM cut GROUP BY short ORDER BY n DESC, last DESC, short LIMIT 10)
    SELECT jsonb_build_object('workflow_id', w, 'since', pg_temp.z(since), 'until', pg_temp.z(until),
        'executions', jsonb_build_object('total', (SELECT count(*) FROM executions), 'by_status', pg_temp.counts(VARIADIC (SELECT coalesce(array_agg(status::text), '{}') FROM executions)),
            'with_logs', (SELECT count(*) FROM executions WHERE logs > 0), 'share_with_logs', (SELECT count(*) FILTER (WHERE logs > 0) / nullif(count(*), 0)::float FROM executions), 'mean_logs', (SELECT sum(logs) / nullif(count(*), 0)::float FROM executions),
            'duration_seconds', (SELECT jsonb_strip_nulls(jsonb_build_object('count', count(*), 'min', min(d), 'max', max(d), 'p50', round((percentile_cont(0.5) WITHIN GROUP (ORDER BY d))::numeric, 6), 'p95', round((percentile_cont(0.95) WITHIN GROUP (ORDER BY d))::numeric, 6), 'mean', round(avg(d)::numeric, 6))) FROM durations)),
        'logs', jsonb_build_object('total', (SELECT count(*) FROM logs), 'log_levels', pg_temp.counts(VARIADIC (SELECT coalesce(array_agg(lower(level::text)), '{}') FROM logs))),
        'errors', jsonb_build_object('total', (SELECT count(*) FROM cut), 'event_types', pg_temp.counts(VARIADIC (SELECT coalesce(array_agg(event_type::text), '{}') FROM cut)),
            'most_frequent', (SELECT coalesce(jsonb_agg(jsonb_build_object('message', short, 'count', n, 'last_seen', pg_temp.z(last)) ORDER BY n DESC, last DESC, short), '[]') FROM errors)))
$$;
-- figures with fractions are compared to a millionth
CREATE FUNCTION pg_temp.rounded(j jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN j -> 'executions' -> 'duration_seconds' -> 'p50' IS NULL THEN j ELSE
        jsonb_set(j, '{executions,duration_seconds}', (SELECT jsonb_object_agg(key, round(value::numeric, 6)::float) FROM jsonb_each_text(j -> 'executions' -> 'duration_seconds'))) END
$$;
SELECT count(*) AS summaries, count(*) FILTER (WHERE pg_temp.rounded(wflog.workflow_summary(w, since, until)::jsonb) = pg_temp.rounded(pg_temp.workflow_summary(w, since, until))) AS same
FROM clock, unnest(ARRAY['sum 1', 'sum 2', 'sum 3']) AS w, unnest(ARRAY[NULL, t - interval '100 hours', t - interval '3 days 5 minutes']) AS since, unnest(ARRAY[NULL, t, t - interval '28 hours']) AS until;
-- statistics(): the same of all, or of one
SELECT count(*) AS statistics, count(*) FILTER (WHERE pg_temp.rounded(wflog.statistics(w, since, until)::jsonb) = pg_temp.rounded(pg_temp.workflow_summary(w, since, until))) AS same
FROM clock, unnest(ARRAY[NULL, 'sum 1']) AS w, unnest(ARRAY[NULL, t - interval '100 hours']) AS since, unnest(ARRAY[NULL, t - interval '28 hours']) AS until;
SELECT wflog.workflow_summary('sum 3');
SELECT wflog.workflow_summary('sum 3', bucket => '1 hour') -> 'series' AS series;
-- a series: each bucket by SQL, and all of them together the whole
SELECT b AS bucket, (s ->> 'bucket_seconds')::float = extract(epoch FROM b::interval) AS seconds,
    (SELECT bool_and((x ->> 'logs')::int = (SELECT count(*) FROM wflog.workflow_execution_logs l JOIN wflog.workflow_executions e USING (execution_id) WHERE e.workflow_id = 'sum 1' AND l.created_at >= greatest(start, since) AND l.created_at < start + b::interval AND l.created_at <= t)
                 AND (x ->> 'executions')::int = (SELECT count(*) FROM wflog.workflow_executions e WHERE e.workflow_id = 'sum 1' AND e.created_at >= greatest(start, since) AND e.created_at < start + b::interval AND e.created_at <= t)
                 AND (x ->> 'failed')::int = (SELECT count(*) FROM wflog.workflow_executions e WHERE e.workflow_id = 'sum 1' AND e.status = 'FAILED' AND e.created_at >= greatest(start, since) AND e.created_at < start + b::interval AND e.created_at <= t)
                 AND (x ->> 'succeeded')::int = (SELECT count(*) FROM wflog.workflow_executions e WHERE e.workflow_id = 'sum 1' AND e.status = 'SUCCESS' AND e.created_at >= greatest(start, since) AND e.created_at < start + b::interval AND e.created_at <= t)
                 AND mod(extract(epoch FROM start - '2000-01-01Z'::timestamptz), extract(epoch FROM b::interval)) = 0)
     FROM json_array_elements(s -> 'series') AS x, LATERAL (SELECT (x ->> 'start')::timestamptz AS start) AS st) AS buckets,
    (SELECT sum((x ->> 'logs')::int) FROM json_array_elements(s -> 'series') AS x) = (s -> 'logs' ->> 'total')::int AS logs,
    (SELECT sum((x ->> 'executions')::int) FROM json_array_elements(s -> 'series') AS x) = (s -> 'executions' ->> 'total')::int AS executions,
    (SELECT sum(v::int) FROM json_array_elements(s -> 'series') AS x, json_each_text(x -> 'log_levels') AS l (k, v)) = (s -> 'logs' ->> 'total')::int AS levels
FROM clock, unnest(ARRAY['1 day', '1 hour', '7 minutes', '36 hours', '30 days']) AS b, LATERAL (SELECT t - interval '3 days' AS since) AS since_then, LATERAL (SELECT wflog.workflow_summary('sum 1', since, t, b::interval) AS s) AS summary;

/* workflow_logs_json() */
CREATE FUNCTION pg_temp.ids(page json) RETURNS uuid[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg((log.value ->> 'id')::uuid ORDER BY log.ordinality), '{}') FROM json_array_elements(page -> 'logs') WITH ORDINALITY AS log
$$;
CREATE TEMP TABLE differences (what text);
CREATE PROCEDURE pg_temp.try(w text, n int, lev text, min_lev text, since timestamptz, until timestamptz, cat text, ev text, node text, att int, mile boolean, prio int, find text) LANGUAGE plpgsql AS $$
DECLARE
    wanted uuid[] := (SELECT coalesce(array_agg(id ORDER BY l.created_at, id), '{}') FROM wflog.workflow_execution_logs l JOIN wflog.workflow_executions e USING (execution_id) WHERE e.workflow_id = w
        AND (lev IS NULL OR level = lev::wflog.log_level_enum) AND (min_lev IS NULL OR level >= min_lev::wflog.log_level_enum) AND (since IS NULL OR l.created_at >= since) AND (until IS NULL OR l.created_at <= until)
        AND (cat IS NULL OR log_category = cat) AND (ev IS NULL OR event_type = ev::wflog.log_event_type_enum) AND (node IS NULL OR node_id = node) AND (att IS NULL OR attempt = att) AND (mile IS NOT TRUE OR is_milestone)
        AND (prio IS NULL OR display_priority >= prio) AND (find IS NULL OR strpos(message, find) > 0 OR strpos(user_friendly_message, find) > 0));
    seen uuid[] := '{}';
    page json;
    cursor text;
BEGIN
    FOR i IN 1 .. 200 LOOP
        page := wflog.workflow_logs_json(w, n, lev, min_lev, since, until, cat, ev, node, NULL, att, mile, prio, find, after => cursor);
        seen := seen || pg_temp.ids(page);
        IF (page -> 'pagination' ->> 'has_more')::boolean <> (cardinality(seen) < cardinality(wanted)) OR json_array_length(page -> 'logs') > n THEN
            INSERT INTO differences VALUES ('has_more forward');
        END IF;
        cursor := page -> 'pagination' ->> 'next_cursor';
        EXIT WHEN cursor IS NULL;
    END LOOP;
    IF seen <> wanted THEN INSERT INTO differences VALUES ('forward'); END IF;
    seen := pg_temp.ids(page);
    cursor := page -> 'pagination' ->> 'prev_cursor';
    WHILE cursor IS NOT NULL AND cardinality(seen) <= cardinality(wanted) LOOP
        page := wflog.workflow_logs_json(w, n, lev, min_lev, since, until, cat, ev, node, NULL, att, mile, prio, find, before => cursor);
        seen := pg_temp.ids(page) || seen;
        cursor := page -> 'pagination' ->> 'prev_cursor';
    END LOOP;
    IF seen <> wanted THEN INSERT INTO differences VALUES ('backward'); END IF;
    IF pg_temp.ids(wflog.workflow_logs_json(w, n, lev, min_lev, since, until, cat, ev, node, NULL, att, mile, prio, find, from_end => true)) <> coalesce(wanted[greatest(1, cardinality(wanted) - n + 1) :], '{}') THEN
        INSERT INTO differences VALUES ('from_end');
    END IF;
END
$$;
DO $$
DECLARE
    t timestamptz := (SELECT clock.t FROM clock);
    d float;
BEGIN
    FOR i IN 1 .. 60 LOOP
        d := CASE WHEN i < 30 THEN 0.1 ELSE 0.25 END;
        CALL pg_temp.try(pg_temp.pick('sum 1', 'sum 1', 'sum 2', 'sum 3'), 25 + floor(random() * 400)::int,
            CASE WHEN random() < d THEN pg_temp.pick('INFO', 'ERROR') END, CASE WHEN random() < d THEN pg_temp.pick('INFO', 'WARNING', 'ERROR') END,
            CASE WHEN random() < d THEN date_trunc('hour', t - random() * interval '6 days') END, CASE WHEN random() < d THEN date_trunc('hour', t) END,
            CASE WHEN random() < d THEN 'business' END, CASE WHEN random() < d THEN 'step_started' END, CASE WHEN random() < d THEN 'n1' END, CASE WHEN random() < d THEN 2 END, random() < d, CASE WHEN random() < d THEN 5 END,
            CASE WHEN random() < d THEN pg_temp.pick('disk', 'friendly', 'nothing') END);
    END LOOP;
END
$$;
SELECT what, count(*) FROM differences GROUP BY what;
-- a log is a LogEntry with its execution
SELECT count(*) > 3 AS some, bool_and(log.value::jsonb - 'execution_id' = entry.value::jsonb AND log.value ->> 'execution_id' = 'sum 3') AS same
FROM json_array_elements(wflog.logs_json('sum 3', 1000, detail => true) -> 'logs') AS entry
JOIN LATERAL (SELECT value FROM json_array_elements(wflog.workflow_logs_json('sum 1', 1000, detail => true) -> 'logs')) AS log ON log.value ->> 'id' = entry.value ->> 'id' AND entry.value ->> 'timestamp' < pg_temp.z((SELECT t FROM clock) - interval '5 days 20 hours');
SELECT json_object_keys(wflog.workflow_logs_json('sum 3'));
SELECT wflog.workflow_logs_json('sum 3') -> 'pagination' AS pagination;

/* What is refused. */
CREATE TEMP TABLE refused (n serial, call text);
INSERT INTO refused (call) VALUES
    ('summary(NULL)'), ('summary('''')'), ('summary(repeat(''x'', 256))'), ('summary(''sum none'')'), ('execution(NULL)'), ('execution('''')'), ('execution(''sum none'')'),
    ('recent_logs(NULL)'), ('recent_logs('''')'), ('recent_logs(''sum none'')'), ('recent_logs(''sum 1'', 0)'), ('recent_logs(''sum 1'', 1001)'), ('recent_logs(''sum 1'', -1)'),
    ('executions_json('''')'), ('executions_json(''sum none'')'), ('executions_json(''sum 1'', ''done'')'), ('executions_json(''sum 1'', '''')'), ('executions_json(''sum 1'', NULL, 0)'), ('executions_json(''sum 1'', NULL, 1001)'), ('executions_json(''sum 1'', after => ''x'')'),
    ('executions_json(''sum 1'', after => wflog.executions_json(''sum 2'', max_rows => 1) -> ''pagination'' ->> ''next_cursor'')'), ('executions_json(''sum 1'', after => wflog.logs_json(''sum 3'', 1) -> ''pagination'' ->> ''next_cursor'')'),
    ('logs_json(''sum 3'', after => wflog.executions_json(''sum 2'', max_rows => 1) -> ''pagination'' ->> ''next_cursor'')'), ('executions_json(after => wflog.executions_json(''sum 2'', max_rows => 1) -> ''pagination'' ->> ''next_cursor'')'),
    ('workflow_summary(NULL)'), ('workflow_summary('''')'), ('workflow_summary(''sum none'')'), ('statistics('''')'), ('statistics(''sum none'')'), ('workflow_summary(''sum 1'', ''2026-01-02Z'', ''2026-01-01Z'')'), ('workflow_summary(''sum 1'', bucket => ''1 month'')'), ('workflow_summary(''sum 1'', bucket => ''0'')'),
    ('workflow_summary(''sum 1'', bucket => ''0.9 s'')'), ('workflow_summary(''sum 1'', bucket => ''-1 day'')'), ('workflow_summary(''sum 1'', bucket => ''1 s'')'), ('workflow_summary(''sum 1'', bucket => ''150000000 days'')'), ('workflow_summary(''sum 1'', bucket => ''2147483647 days'')'), ('workflow_summary(''sum 1'', bucket => ''-2147483648 days'')'),
    ('workflow_logs_json(NULL)'), ('workflow_logs_json('''')'), ('workflow_logs_json(''sum none'')'), ('workflow_logs_json(''sum 1'', 0)'), ('workflow_logs_json(''sum 1'', 1001)'), ('workflow_logs_json(''sum 1'', level => ''loud'')'), ('workflow_logs_json(''sum 1'', after => ''x'')'),
    ('workflow_logs_json(''sum 1'', after => wflog.logs_json(''sum 3'', 1) -> ''pagination'' ->> ''next_cursor'')'), ('workflow_logs_json(''sum 1'', after => wflog.workflow_logs_json(''sum 2'', 1) -> ''pagination'' ->> ''next_cursor'')'),
    ('workflow_logs_json(''sum 1'', start_time => ''2026-01-02Z'', end_time => ''2026-01-01Z'')');
SELECT call, regexp_replace(pg_temp.failure('SELECT wflog.' || call), '"[pl]1\.[^"]{5,}"', '"…"') AS verdict FROM refused ORDER BY n;

DELETE FROM wflog.workflow_execution_logs WHERE execution_id LIKE 'sum %';
DELETE FROM wflog.workflow_executions WHERE workflow_id LIKE 'sum %';
DELETE FROM wflog.workflows WHERE id LIKE 'sum %';
