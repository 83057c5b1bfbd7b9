-- logs() and logs_json(): what is in the answer, and what is refused.
\pset null (null)
CREATE FUNCTION pg_temp.failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    hint text;
    detail text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' | ', SQLSTATE || ' ' || SQLERRM, nullif(detail, ''), nullif(hint, ''));
END
$$;
SELECT wflog.start_execution('reading', 'reading', user_id => 'somebody');

/*
 * The answer for an execution without logs, then with two.
 */
SELECT regexp_replace(wflog.logs_json('reading')::text, 's1\.[A-Za-z0-9_-]+', 's1.…');
SELECT count(*) FROM wflog.logs('reading');
INSERT INTO wflog.workflow_execution_logs (id, execution_id, message, created_at) VALUES
    ('01000000-0000-7000-8000-000000000001', 'reading', 'least', '2026-01-02 03:04:05.6789+00');
INSERT INTO wflog.workflow_execution_logs (id, execution_id, log_category, event_type, level, message, data, node_id, node_name, node_type, step_number,
    total_steps, progress_percentage, duration_seconds, user_friendly_message, display_priority, is_milestone, technical_details, stack_trace,
    performance_metrics, created_at, source, attempt, trace_id, span_id)
VALUES ('01000000-0000-7000-8000-000000000002', 'reading', 'business', 'step_completed', 'CRITICAL', 'most', '{"b": [1, 2.50, null, true], "a": {"ä": "ö"}}', 'n1', 'Node', 'sql', 2,
    5, 40.5, 7, 'Most of all', 9, true, '{"t": 1}', E'at x\n\tat y', '{"ms": 12.5}', '2026-01-02 03:04:06+00', 'worker', 3, 'trace', 'span');
SELECT regexp_replace(wflog.logs_json('reading')::text, 's1\.[A-Za-z0-9_-]+', 's1.…');
SELECT regexp_replace(wflog.logs_json('reading', detail => true)::text, 's1\.[A-Za-z0-9_-]+', 's1.…');
SELECT jsonb_pretty(to_jsonb(l) - 'xact' - 'created_at') FROM wflog.logs('reading', 1) AS l;
SELECT (SELECT array_agg(l) FROM wflog.logs('reading') AS l) = (SELECT array_agg(l ORDER BY created_at, id) FROM wflog.workflow_execution_logs AS l WHERE execution_id = 'reading') AS rows_are_whole;

/*
 * LogEntry against one that SQL builds, over logs with everything that needs
 * care: every control character, quotes, backslashes, characters of two to
 * four bytes, empty and null fields, long ones.
 */
CREATE FUNCTION pg_temp.entry(l wflog.workflow_execution_logs, detail boolean) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
            'id', l.id, 'timestamp', to_char(l.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'node_name', l.node_name, 'event_type', l.event_type,
            'message', coalesce(nullif(l.user_friendly_message, ''), l.message), 'level', lower(l.level::text),
            'node_id', l.node_id, 'node_type', l.node_type, 'step_number', l.step_number, 'total_steps', l.total_steps, 'display_priority', l.display_priority,
            'is_milestone', l.is_milestone, 'log_category', l.log_category, 'technical_message', l.message, 'user_friendly_message', l.user_friendly_message,
            'source', l.source, 'attempt', l.attempt, 'progress_percentage', l.progress_percentage, 'duration_seconds', l.duration_seconds,
            'trace_id', l.trace_id, 'span_id', l.span_id, 'original_size', l.original_size))
        || jsonb_build_object('data', coalesce(l.data, '{}'))
        || CASE WHEN detail THEN
            CASE WHEN l.stack_trace IS NULL THEN '{}' ELSE jsonb_build_object('stack_trace', l.stack_trace) END ||
            CASE WHEN l.technical_details IS NULL THEN '{}' ELSE jsonb_build_object('technical_details', l.technical_details) END ||
            CASE WHEN l.performance_metrics IS NULL THEN '{}' ELSE jsonb_build_object('performance_metrics', l.performance_metrics) END
           ELSE '{}' END
$$;
INSERT INTO wflog.workflow_execution_logs (execution_id, message, user_friendly_message, node_id, node_name, node_type, source, trace_id, span_id, stack_trace, data, technical_details, performance_metrics, created_at)
SELECT 'escaping', t, t, left(t, 255), left(t, 255), left(t, 100), t, t, t, t, jsonb_build_object(t, t), jsonb_build_object('k', jsonb_build_array(t, NULL, jsonb_build_object(t, 1.10))), jsonb_build_object('x', t),
       '2026-01-01'::timestamptz + n * interval '1.000001 s'
FROM (SELECT row_number() OVER () AS n, t FROM (
    SELECT chr(i) || 'x' || chr(i) FROM generate_series(1, 160) AS i
    UNION ALL SELECT repeat('y', i) || E'\x01"\\\n' || repeat('z', 9 - i) FROM generate_series(0, 9) AS i
    UNION ALL SELECT unnest(ARRAY['', ' ', '"', '\', '\\"', '\u0041', '/', '</script>', 'ä', '日本', '🙂🙂', E'\u2028\u2029', E'a\tb\rc\nd\be\ff', E'\x7f\u0080', U&'\FEFF', repeat(E'\x1f', 300), repeat('"', 300)])
    UNION ALL SELECT repeat('plain text ', 90)) AS texts (t)) AS numbered;
INSERT INTO wflog.workflow_execution_logs (execution_id, message, data, technical_details, performance_metrics, step_number, total_steps, progress_percentage, duration_seconds, attempt, user_friendly_message)
VALUES ('escaping', 'nulls', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), ('escaping', 'empty', '{}', '{}', '{}', 0, 0, 0, 0, 1, ''),
       ('escaping', 'large', '{"n": 12345678901234567890.123456789, "e": 1e-300}', '{}', '{}', 2147483647, 2147483647, 99.99, 2147483647, 2147483647, 'x'),
       ('escaping', repeat('cut ', 10000), '{}', '{}', '{}', 0, 0, 0, 0, 1, '');
SELECT count(*), count(*) FILTER (WHERE pg_temp.entry(l, false) = (log.value)::jsonb) AS same
FROM json_array_elements(wflog.logs_json('escaping', 1000) -> 'logs') AS log JOIN wflog.workflow_execution_logs l ON l.id = (log.value ->> 'id')::uuid;
SELECT count(*), count(*) FILTER (WHERE pg_temp.entry(l, true) = (log.value)::jsonb) AS same
FROM json_array_elements(wflog.logs_json('escaping', 1000, detail => true, from_end => true) -> 'logs') AS log JOIN wflog.workflow_execution_logs l ON l.id = (log.value ->> 'id')::uuid;
-- no key twice, and always in the same order
SELECT DISTINCT string_agg(key, ' ' ORDER BY ordinality) AS keys FROM json_array_elements(wflog.logs_json('escaping', 1000, detail => true) -> 'logs') WITH ORDINALITY AS log (value, n), json_object_keys(log.value) WITH ORDINALITY AS k (key, ordinality)
GROUP BY n ORDER BY 1;
-- an execution_id that needs care
SELECT wflog.start_execution(E'"\\\x01ä/', 'reading');
SELECT wflog.logs_json(E'"\\\x01ä/') ->> 'execution_id' = E'"\\\x01ä/' AS same;

/*
 * Times do not depend on settings, in either direction.
 */
CREATE TEMP TABLE times AS SELECT log ->> 'id' AS id, log ->> 'timestamp' AS t FROM json_array_elements(wflog.logs_json('escaping', 1000) -> 'logs') AS log;
SET TimeZone = 'America/St_Johns'; SET DateStyle = 'German, DMY'; SET IntervalStyle = 'iso_8601'; SET extra_float_digits = -10; SET lc_numeric = 'C';
SELECT count(*) FILTER (WHERE t IS DISTINCT FROM log ->> 'timestamp') AS differ, count(*) FROM times RIGHT JOIN json_array_elements(wflog.logs_json('escaping', 1000) -> 'logs') AS log ON id = log ->> 'id';
SELECT wflog.logs_json('reading', start_time => '02.01.2026 03:04:06 UTC') -> 'logs' -> 0 ->> 'timestamp';
RESET TimeZone; RESET DateStyle; RESET IntervalStyle; RESET extra_float_digits; RESET lc_numeric;
INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at) VALUES ('times', '1', '1969-12-31 23:59:59.999999+00'), ('times', '2', '2000-01-01 00:00:00+00'), ('times', '3', '1999-12-31 23:59:59.000001+00'), ('times', '4', '2026-06-01 00:00:00.1+02'), ('times', '5', '0001-01-01 00:00:00+00'), ('times', '6', '9999-12-31 23:59:59.999999+00'), ('times', '7', '2024-02-29 12:00:00+00'), ('times', '8', '10000-01-01 12:34:56.5+00'), ('times', '9', '0044-03-15 12:34:56.5+00 BC');
SELECT log ->> 'message' AS message, log ->> 'timestamp' AS timestamp FROM json_array_elements(wflog.logs_json('times') -> 'logs') AS log;
-- whatever they are, a cursor finds its place
SELECT json_array_length(wflog.logs_json('times', after => wflog.logs_json('times', n) -> 'pagination' ->> 'next_cursor') -> 'logs') AS rest FROM generate_series(1, 8) AS n;

/*
 * Null arguments are as if they were left out.
 */
SELECT (wflog.logs_json('reading', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::jsonb) = wflog.logs_json('reading')::jsonb AS same;
SELECT count(*) FROM wflog.logs('reading', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT wflog.logs_json('escaping', NULL) -> 'pagination' ->> 'limit' AS default_limit;
SELECT json_array_length(wflog.logs_json('escaping', 1000) -> 'logs') > 100 AS page_of_1000, (SELECT count(*) FROM wflog.logs('escaping', 2147483647)) > 100 AS rows;
-- infinite times are no bounds, or let nothing pass
SELECT count(*) FROM wflog.logs('reading', start_time => '-infinity', end_time => 'infinity');
SELECT count(*) FROM wflog.logs('reading', start_time => 'infinity');
SELECT count(*) FROM wflog.logs('reading', end_time => '-infinity');
SELECT wflog.logs_json('reading', start_time => 'infinity') ->> 'total_count' AS total, wflog.logs_json('reading', end_time => '-infinity') ->> 'total_count' AS total;
SELECT count(*) FROM wflog.logs('reading', skip => 9223372036854775807);
SELECT wflog.logs_json('reading', 5, 9223372036854775807) ->> 'total_count' AS total;
-- levels by every name
SELECT l, wflog.logs_json('reading', level => l) ->> 'total_count' AS level, wflog.logs_json('reading', min_level => l) ->> 'total_count' AS min_level
FROM unnest(ARRAY['debug', 'DEBUG', 'Trace', 'info', 'WARNING', 'warn', 'error', 'CRITICAL', 'fatal']) AS l;
-- in a query, as rows, joined and limited
SELECT l.message, e.status FROM wflog.workflow_executions e, wflog.logs(e.execution_id, level => 'CRITICAL') AS l WHERE e.workflow_id = 'reading';
SELECT (wflog.logs('reading')).message LIMIT 1;
SELECT message FROM wflog.logs('reading') LIMIT 1;

/*
 * What is refused.
 */
CREATE TEMP TABLE cursors AS SELECT wflog.logs_json('escaping', 1) -> 'pagination' ->> 'next_cursor' AS other, wflog.logs_json('reading', 1) -> 'pagination' ->> 'next_cursor' AS page, wflog.logs_json('reading', 1) -> 'pagination' ->> 'stream_cursor' AS stream;
CREATE TEMP TABLE refused (n serial, arguments text);
INSERT INTO refused (arguments) VALUES
    ('NULL'), (''''''), ('repeat(''x'', 256)'), ('repeat(''ä'', 256)'), ('''reading'', 0'), ('''reading'', -1'), ('''reading'', -2147483648'), ('''reading'', skip => -1'), ('''reading'', skip => -9223372036854775808'),
    ('''reading'', level => ''loud'''), ('''reading'', level => '''''), ('''reading'', level => '' INFO'''), ('''reading'', level => ''informational'''), ('''reading'', min_level => ''warnings'''), ('''reading'', min_level => '''''),
    ('''reading'', event_type => ''boom'''), ('''reading'', event_type => '''''), ('''reading'', category => ''other'''), ('''reading'', category => ''Business'''), ('''reading'', category => '''''),
    ('''reading'', node_id => '''''), ('''reading'', source => '''''), ('''reading'', attempt => 0'), ('''reading'', attempt => -2147483648'), ('''reading'', min_priority => 0'), ('''reading'', min_priority => 11'),
    ('''reading'', search => '''''), ('''reading'', search => E'' \t\n'''), ('''reading'', search => repeat(''word '', 21)'),
    ('''reading'', start_time => ''2026-01-02 00:00:00.000001Z'', end_time => ''2026-01-02Z'''), ('''reading'', start_time => ''infinity'', end_time => ''2026-01-02Z'''), ('''reading'', start_time => ''2026-01-02Z'', end_time => ''-infinity'''),
    ('''reading'', start_time => ''yesterday at noon'''), ('''reading'', end_time => ''2026-01-02 25:00'''), ('''reading'', 1, ''x'''),
    ('''reading'', after => '''''), ('''reading'', after => ''x'''), ('''reading'', after => ''p1.'''), ('''reading'', after => ''p1.AAAA'''), ('''reading'', after => ''p1.?!'''), ('''reading'', after => ''p2.AAAA'''), ('''reading'', before => ''p1.'' || repeat(''A'', 200000)'),
    ('''reading'', after => (SELECT stream FROM cursors)'), ('''reading'', before => (SELECT stream FROM cursors)'), ('''reading'', after => (SELECT other FROM cursors)'), ('''reading'', before => (SELECT other FROM cursors)'),
    ('''reading'', after => (SELECT left(page, 43) FROM cursors)'), ('''reading'', after => (SELECT page || ''A'' FROM cursors)'), ('''reading'', after => (SELECT overlay(page placing CASE WHEN substr(page, 20, 1) = ''A'' THEN ''B'' ELSE ''A'' END FROM 20 FOR 1) FROM cursors)'), ('''reading'', after => (SELECT upper(page) FROM cursors)'), ('''reading'', after => ''xx'' || repeat(''日'', 30)');
CREATE TEMP TABLE verdicts AS SELECT n, arguments, pg_temp.failure(format('SELECT count(*) FROM wflog.logs(%s)', arguments)) AS rows, pg_temp.failure(format('SELECT wflog.logs_json(%s)', arguments)) AS page FROM refused;
SELECT arguments, regexp_replace(regexp_replace(rows, '"[psP]1\.[^"]{5,}"', '"…"'), 'LINE.*', '') AS verdict FROM verdicts ORDER BY n;
SELECT arguments, rows, page FROM verdicts WHERE rows <> page ORDER BY n;
SELECT pg_temp.failure('SELECT wflog.logs_json(''reading'', 1001)');
SELECT pg_temp.failure('SELECT wflog.logs_json(''nowhere'')');
SELECT pg_temp.failure('SELECT wflog.logs_json(''nowhere'', max_rows => 0)');
SELECT count(*) FROM wflog.logs('nowhere');
-- an id of 255 characters of four bytes is one
SELECT count(*) FROM wflog.logs(repeat('🙂', 255));

-- data is written as PostgreSQL shows it
INSERT INTO wflog.workflow_execution_logs (execution_id, message, data) SELECT 'escaping', 'data', d::jsonb FROM (VALUES
    ('{"": "", "a": [1, 2.50, -1.5e10, 1e-7], "b": [[], {}, [{}], null], "c": {"d": {"e": true, "f": false}}}'),
    ('{"quoted\"\\": "\u0001\t\n/ü🙂", "empty": {}, "none": []}')) v(d);
SELECT data, (wflog.logs_json('escaping', 1, from_end => true, search => 'data', skip => n - 1) -> 'logs' -> 0 -> 'data')::text = data::text AS same
FROM (SELECT data, row_number() OVER (ORDER BY created_at DESC, id DESC) AS n FROM wflog.workflow_execution_logs WHERE execution_id = 'escaping' AND message = 'data') x ORDER BY n;

DELETE FROM wflog.workflow_execution_logs WHERE execution_id IN ('reading', 'escaping', 'times');
DELETE FROM wflog.workflow_executions WHERE workflow_id = 'reading';
DELETE FROM wflog.workflows WHERE id = 'reading';
