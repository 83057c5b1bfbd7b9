-- append_lines(): logs from bytes.
\pset null (null)

CREATE FUNCTION pg_temp.failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN SQLSTATE || ' ' || SQLERRM || CASE WHEN detail <> '' THEN ' | ' || detail ELSE '' END;
END
$$;
CREATE FUNCTION pg_temp.lines(VARIADIC lines text[]) RETURNS bytea LANGUAGE sql AS
    $$SELECT convert_to(array_to_string(lines, E'\n'), 'UTF8')$$;
CREATE FUNCTION pg_temp.written(execution text) RETURNS SETOF text LANGUAGE sql AS
    $$SELECT message FROM wflog.workflow_execution_logs WHERE execution_id = execution ORDER BY xact, seq$$;

-- Every field
SELECT wflog.append_lines(pg_temp.lines($json$
{"execution_id": "lines-1", "message": "all", "level": "FATAL", "event_type": "step_error", "log_category": "business", "data": {"a": [1, {"b": null}]}, "node_id": "n", "node_name": "Node", "node_type": "sql", "step_number": 2, "total_steps": 5.0, "progress_percentage": 33.335, "duration_seconds": 7e0, "user_friendly_message": "All", "display_priority": 9, "is_milestone": true, "technical_details": {"b": 2}, "stack_trace": "at x", "performance_metrics": {"c": 3}, "created_at": "2026-01-02T03:04:05.678901+01:00", "source": "worker", "attempt": 2, "trace_id": "t", "span_id": "s", "id": "0192f0c1-2345-7000-8000-000000000004"}
{"execution_id": "lines-1", "message": "nulls", "level": null, "event_type": null, "log_category": null, "data": null, "node_id": null, "step_number": null, "progress_percentage": null, "display_priority": null, "is_milestone": null, "technical_details": null, "stack_trace": null, "performance_metrics": null, "created_at": null, "attempt": null, "id": null}
{"message": "first", "execution_id": "lines-1", "level": "Trace", "data": {}, "message": "the last of two counts"}$json$));
SELECT event_type, level, message, data, node_id, node_name, node_type, step_number, total_steps,
    progress_percentage, duration_seconds, user_friendly_message, display_priority, is_milestone, technical_details,
    stack_trace, performance_metrics, source, attempt, trace_id, span_id, seq
FROM wflog.workflow_execution_logs WHERE execution_id = 'lines-1' ORDER BY xact, seq \gx

-- Line ends, blank lines, a byte order mark
SELECT wflog.append_lines('');
SELECT wflog.append_lines(E'\n\r\n \t \n'::text::bytea);
SELECT wflog.append_lines('{"execution_id": "lines-2", "message": "no newline"}');
SELECT wflog.append_lines(convert_to(E'{"execution_id": "lines-2", "message": "LF"}\n', 'UTF8'));
SELECT wflog.append_lines(convert_to(E'\n\r\n{"execution_id": "lines-2", "message": "CRLF"}\r\n  \r\n\n  { "execution_id" :\t"lines-2" , "message":"spaces" } \r\n', 'UTF8'));
SELECT wflog.append_lines('\xefbbbf'::bytea || '{"execution_id": "lines-2", "message": "byte order mark"}'::bytea);
SELECT * FROM pg_temp.written('lines-2');

-- JSON's escapes, and control characters as they are
SELECT wflog.append_lines(convert_to(
    $json${"execution_id": "lines-3", "message": "\"\\\/\b\f\n\r\t\u00e4\u20ac\ud83d\ude00", "data": {"k\ud83d\ude00\n": "\"\\\u0041"}}$json$, 'UTF8'));
SELECT wflog.append_lines(convert_to(E'{"execution_id": "lines-3", "message": "tab \t, escape \x1b[31mred", "data": {"tab\t": "\x1b"}}', 'UTF8'));
SELECT to_jsonb(message), data FROM wflog.workflow_execution_logs WHERE execution_id = 'lines-3' ORDER BY xact, seq;

-- What text cannot hold is escaped, reversibly
SELECT wflog.append_lines('{"execution_id": "lines-4", "message": "'::bytea || bytes || '", "data": {"'::bytea || bytes || '": ["'::bytea || bytes || '"]}}'::bytea)
FROM (VALUES (1, '\x61006200'::bytea), (2, '\x61ff62'), (3, '\xc3a4c3'), (4, '\xeda080'), (5, '\xf4908080'), (6, '\xc0af'),
    (7, convert_to('a\u0000b', 'UTF8')), (8, convert_to('\ud800', 'UTF8')), (9, convert_to('\uDC00x\uD83d\uD83D\uDE00', 'UTF8')),
    -- a backslash that would be read as an escape, and others
    (10, convert_to('\\x00', 'UTF8')), (11, convert_to('\\xff \\u0000 \\udfff \\x5c', 'UTF8')),
    (12, convert_to('C:\\temp\\x86 \\x41 \\u0041 \\xFF \\x8', 'UTF8')),
    (13, convert_to('\\\\x00', 'UTF8')), (14, convert_to('\\', 'UTF8') || '\x00'::bytea), (15, convert_to('\\\u0078\u0030\u0030', 'UTF8'))) AS v(n, bytes)
ORDER BY n;
SELECT message, wflog.unescape(message), data FROM wflog.workflow_execution_logs WHERE execution_id = 'lines-4' ORDER BY xact, seq;

-- Every byte there is
SELECT wflog.append_lines('{"execution_id": "lines-5", "message": "'::bytea ||
    (SELECT string_agg(CASE WHEN b IN (34, 92) THEN '\\'::bytea ELSE '' END || CASE WHEN b = 10 THEN '\\n'::bytea ELSE set_byte('\x00', 0, b) END, '' ORDER BY b)
     FROM generate_series(0, 255) AS b) || '"}'::bytea);
SELECT wflog.unescape(message) = (SELECT string_agg(set_byte('\x00', 0, b), '' ORDER BY b) FROM generate_series(0, 255) AS b) AS reversible
FROM wflog.workflow_execution_logs WHERE execution_id = 'lines-5';
SELECT wflog.unescape(NULL), wflog.unescape(''), wflog.unescape('\'), wflog.unescape('\x'), wflog.unescape('\u000'), wflog.unescape('\u0041');

-- Errors name the line, the field, the value and the rule
CREATE FUNCTION pg_temp.bad(line text) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.failure(format('SELECT wflog.append_lines(%L)',
        convert_to(E'{"execution_id": "e", "message": "good"}\r\n\n' || line || E'\n{"execution_id": "e", "message": "good"}', 'UTF8')))
$$;
SELECT pg_temp.bad('{"execution_id": "e", "message": "m", ' || f || '}') FROM unnest(ARRAY[
    '"level": "loud"', '"level": 3', '"level": ["INFO"]', '"event_type": "boom"', '"event_type": true',
    '"message": 17', '"message": {"a": 1}', '"message": null', '"execution_id": ""', '"execution_id": 5',
    '"step_number": 1.5', '"step_number": "1"', '"step_number": 2147483648', '"step_number": 1e400',
    '"step_number": -1', '"total_steps": false', '"duration_seconds": []', '"attempt": 0', '"display_priority": 0',
    '"progress_percentage": 100.5', '"progress_percentage": 12345', '"progress_percentage": "50"', '"is_milestone": 1',
    '"data": [1, 2]', '"data": "x"', '"data": {"a": 1e999999}', '"technical_details": 4', '"created_at": "yesterday-ish"',
    '"created_at": 1700000000', '"id": "no-uuid"', '"log_category": "other"', '"nonsense": 1', '"": 1', '"Level": "INFO"']) AS f;
SELECT pg_temp.bad(line) FROM unnest(ARRAY[
    '1', 'null', '"text"', '[]', 'log line', '{', '{}', '{"execution_id": "e"}', '{"message": "m"}',
    '{"execution_id": "e", "message": "m"', '{"execution_id": "e", "message": "m"} x', '{"execution_id": "e", "message": "m"}{}',
    '{"execution_id": "e", "message": "m",}', '{"execution_id": "e" "message": "m"}', '{"execution_id" "e"}', '{execution_id: "e"}',
    '{"message": "m}', '{"message": "\q"}', '{"message": "\u12"}', '{"message": "\u12g4"}', '{"message": "\ud800\u12"}', '{"message": "\',
    '{"message": }', '{"message": tru}', '{"step_number": 01}', '{"step_number": -}', '{"step_number": 1.}', '{"step_number": 1e}', '{"step_number": +1}', '{"step_number": .5}',
    '{"data": {"a" 1}}', '{"data": {"a": 1,}}', '{"data": {1: 1}}', '{"data": [1 2]}', '{"data": [1,]}', '{"data": {"a": [}}', '{"data": {"a": "x}', '{"data": {"a": 1']) AS line;
SELECT pg_temp.failure($$SELECT wflog.append_lines('{"execution_id": "e", "data": '::bytea || '\x00'::bytea || '}'::bytea)$$);
SELECT pg_temp.bad('{"data": ' || repeat('{"a":', 511) || '1' || repeat('}', 511) || '}');
SELECT pg_temp.bad('{"data": ' || repeat('{"a":', 512) || '1' || repeat('}', 512) || '}');
SELECT pg_temp.bad('{"data": ' || repeat('{"a":', 513) || '1' || repeat('}', 513) || '}');
SELECT pg_temp.failure($$SELECT wflog.append_lines(NULL)$$);
SELECT pg_temp.failure($$SELECT wflog.append_lines('', 'p')$$);
SELECT pg_temp.failure($$SELECT wflog.append_lines('', NULL, 4)$$);
SELECT pg_temp.failure($$SELECT wflog.append_lines('', '', 4)$$);
SELECT pg_temp.failure($$SELECT wflog.append_lines('', 'p', -4)$$);
-- the line number counts every line, and nothing is left of those before
SELECT pg_temp.failure($$SELECT wflog.append_lines(convert_to(string_agg(CASE WHEN n % 10 = 0 THEN '' ELSE
    format('{"execution_id": "e", "message": "m", "step_number": %s}', CASE WHEN n = 3456 THEN '"no"' ELSE n::text END) END, E'\n' ORDER BY n), 'UTF8'))
    FROM generate_series(1, 5000) AS n$$);
SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id = 'e';
-- the same grammar as the server's own JSON: what one takes the other does
SELECT count(*) AS texts, count(*) FILTER (WHERE theirs) > 100 AS enough_good_ones, count(*) FILTER (WHERE ours <> theirs) AS differ
FROM (SELECT pg_temp.failure(format('SELECT wflog.append_lines(%L)', convert_to('{"execution_id": "e", "message": "m", "data": {"a":' || t || '}, "level": "none"}', 'UTF8'))) LIKE '%level: %' AS ours,
             pg_temp.failure(format('SELECT %L::jsonb', '{"a":' || t || '}')) = 'no error' AS theirs
      FROM (SELECT string_agg(p, '' ORDER BY o) AS t
            FROM generate_series(1, 3000) AS g,
                 LATERAL (SELECT (ARRAY['{', '}', '[', ']', ',', ':', '"a"', '"\n"', '1', '-0.5', '1e2', '01', 'true', 'null', ' ', '"a":1', '[]', '{}', '[1,2]', '"b":{}'])[1 + abs(hashint4(g * 31 + o)) % 20] AS p, o
                          FROM generate_series(1, 1 + g % 7) AS o) AS parts
            GROUP BY g) AS texts) AS verdicts;

-- Under a producer's key
SELECT wflog.append_lines(pg_temp.lines('{"execution_id": "lines-6", "message": "a"}', '', ' ', '{"execution_id": "lines-6", "message": "b"}'), 'lines', 1);
SELECT wflog.append_lines(pg_temp.lines('{"execution_id": "lines-6", "message": "c"}'), 'lines', 1);
SELECT result FROM wflog.producer_batches WHERE producer_key = 'lines';
SELECT * FROM pg_temp.written('lines-6');

-- One line of 10 MB, of plain text, of NUL bytes, and nested: each is cut to the limit
SELECT wflog.append_lines('{"execution_id": "lines-7", "message": "'::bytea || convert_to(repeat('0123456789', 1048576), 'UTF8') || '"}'::bytea);
SELECT wflog.append_lines('{"execution_id": "lines-7", "message": "'::bytea || decode(repeat('00', 10485760), 'hex') || '"}'::bytea);
SELECT wflog.append_lines('{"execution_id": "lines-7", "message": "m", "data": {"a": "'::bytea || decode(repeat('fe', 10485760), 'hex') || '"}}'::bytea);
SELECT original_size, length(message) < 10300 AS cut, left(message, 12) AS start, length(data->>'preview') < 10300 AS data_cut
FROM wflog.workflow_execution_logs WHERE execution_id = 'lines-7' ORDER BY xact, seq;

-- 100,000 lines in one call: memory is bounded by the chunk, apart from the input
CREATE TEMP TABLE input AS
SELECT convert_to(string_agg(format('{"execution_id": "lines-8", "message": "number %s", "step_number": %s, "data": {"n": %s}}', n, n, n), E'\n' ORDER BY n), 'UTF8') AS lines
FROM generate_series(1, 100000) AS n;
CREATE FUNCTION pg_temp.memory_probe() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('wflog_test.most', greatest(current_setting('wflog_test.most')::bigint, sum(total_bytes))::text, false)
    FROM pg_backend_memory_contexts;
    RETURN NULL;
END
$$;
SELECT octet_length(lines) > 7000000 AS large FROM input;
SET wflog_test.most = 0;
CREATE TRIGGER memory_probe AFTER INSERT ON wflog.workflow_execution_logs
    FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.memory_probe();
SELECT wflog.append_lines(lines) FROM input;
DROP TRIGGER memory_probe ON wflog.workflow_execution_logs;
SELECT current_setting('wflog_test.most')::bigint - octet_length(lines) BETWEEN 0 AND 16 * 1024 * 1024 AS bounded FROM input;
SELECT count(*), bool_and(seq = step_number AND message = 'number ' || step_number) AS in_order
FROM wflog.workflow_execution_logs WHERE execution_id = 'lines-8';
