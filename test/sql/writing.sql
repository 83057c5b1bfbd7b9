-- Writing logs: log() and append().
\pset null (null)

CREATE FUNCTION pg_temp.failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;

-- A log with every default, and what they are
SELECT wflog.log('writing-1', 'hello') AS id \gset
SELECT id = :'id' AS same_id, execution_id, log_category, event_type, level, message, data, node_id, node_name,
    node_type, step_number, total_steps, progress_percentage, duration_seconds, user_friendly_message,
    display_priority, is_milestone, technical_details, stack_trace, performance_metrics,
    created_at BETWEEN now() - interval '1 minute' AND clock_timestamp() AS now, source, attempt, trace_id,
    span_id, original_size, storage
FROM wflog.workflow_execution_logs WHERE execution_id = 'writing-1' \gx

-- The function's defaults are the columns'
SELECT count(*) FROM wflog.workflow_execution_logs l
WHERE execution_id = 'writing-1'
  AND (log_category, event_type, level, data, display_priority, is_milestone, technical_details, performance_metrics) IS NOT DISTINCT FROM
      ('technical', 'log'::wflog.log_event_type_enum, 'INFO'::wflog.log_level_enum, '{}'::jsonb, 5, false, '{}'::jsonb, '{}'::jsonb);

-- Every argument by name
SELECT wflog.log(execution_id => 'writing-2', message => 'all', level => 'warn', event_type => 'STEP_OUTPUT',
    log_category => 'business', data => '{"a": 1}', node_id => 'n', node_name => 'Node', node_type => 'sql',
    step_number => 2, total_steps => 5, progress_percentage => 33.335, duration_seconds => 7,
    user_friendly_message => 'All', display_priority => 9, is_milestone => true,
    technical_details => '{"b": 2}', stack_trace => 'at x', performance_metrics => '{"c": 3}',
    created_at => '2026-01-02 03:04:05.678901+00', source => 'worker', attempt => 2, trace_id => 't',
    span_id => 's', id => '0192f0c1-2345-7000-8000-000000000001');
SELECT id, log_category, event_type, level, message, data, node_id, node_name, node_type, step_number, total_steps,
    progress_percentage, duration_seconds, user_friendly_message, display_priority, is_milestone, technical_details,
    stack_trace, performance_metrics, created_at, source, attempt, trace_id, span_id
FROM wflog.workflow_execution_logs WHERE execution_id = 'writing-2' \gx

-- NULL is the default where the column takes no NULL, and NULL elsewhere
SELECT wflog.log('writing-3', 'nulls', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) IS NOT NULL AS written;
SELECT log_category, event_type, level, data, display_priority, is_milestone, technical_details, performance_metrics,
    created_at > now() - interval '1 minute' AS now
FROM wflog.workflow_execution_logs WHERE execution_id = 'writing-3';

-- Ids of one session rise, and so does the time within a transaction
SELECT count(*), count(DISTINCT created_at) > 1 AS times_differ,
    bool_and(id > previous) AS ids_rise
FROM (SELECT id, created_at, lag(id, 1, '00000000-0000-0000-0000-000000000000') OVER (ORDER BY xact, seq) AS previous
      FROM wflog.workflow_execution_logs
      WHERE execution_id IN ('writing-1', 'writing-3')) AS l;

-- log()'s errors
SELECT pg_temp.failure($$SELECT wflog.log(NULL, 'm')$$);
SELECT pg_temp.failure($$SELECT wflog.log('e', NULL)$$);
SELECT pg_temp.failure($$SELECT wflog.log('', 'm')$$);
SELECT pg_temp.failure($$SELECT wflog.log(repeat('x', 256), 'm')$$);
SELECT pg_temp.failure($$SELECT wflog.log('e', 'm', 'loud')$$);
SELECT pg_temp.failure($$SELECT wflog.log('e', 'm', '')$$);
SELECT pg_temp.failure($$SELECT wflog.log('e', 'm', event_type => 'boom')$$);
SELECT pg_temp.failure($$SELECT wflog.log('e', 'm', log_category => 'other')$$);
SELECT pg_temp.failure($$SELECT wflog.log('e', 'm', data => '[1]')$$);
SELECT pg_temp.failure($$SELECT wflog.log('e', 'm', technical_details => '"x"')$$);
SELECT pg_temp.failure($$SELECT wflog.log('e', 'm', performance_metrics => '1')$$);
SELECT pg_temp.failure($$SELECT wflog.log('e', 'm', node_id => repeat('x', 256))$$);
SELECT pg_temp.failure($$SELECT wflog.log('e', 'm', node_name => repeat('ä', 256))$$);
SELECT pg_temp.failure($$SELECT wflog.log('e', 'm', node_type => repeat('x', 101))$$);
SELECT pg_temp.failure($$SELECT wflog.log('e', 'm', progress_percentage => 100.5)$$);
SELECT pg_temp.failure($$SELECT wflog.log('e', 'm', progress_percentage => -0.5)$$);
SELECT pg_temp.failure($$SELECT wflog.log('e', 'm', progress_percentage => 1e300)$$);
SELECT pg_temp.failure($$SELECT wflog.log('e', 'm', progress_percentage => 'NaN')$$);
SELECT pg_temp.failure($$SELECT wflog.log('e', 'm', display_priority => 11)$$);
SELECT pg_temp.failure($$SELECT wflog.log('e', 'm', attempt => 0)$$);
SELECT pg_temp.failure($$SELECT wflog.log('e', 'm', step_number => -1)$$);
SELECT pg_temp.failure($$SELECT wflog.log('e', 'm', created_at => 'infinity')$$);
SELECT pg_temp.failure($$SELECT wflog.batch_rows()$$);
SELECT pg_temp.failure($$SELECT * FROM wflog.batch_rows()$$);
SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id = 'e';

-- 255 characters are not 255 bytes
SELECT wflog.log(rpad('writing-', 255, 'ä'), 'm', node_id => repeat('ä', 255), node_type => repeat('ä', 100)) IS NOT NULL AS written;

-- append(): every field, JSON null, and fields left out
SELECT wflog.append('[]');
SELECT wflog.append($json$[
    {"execution_id": "writing-4", "message": "all", "level": "FATAL", "event_type": "step_error",
     "log_category": "business", "data": {"a": [1, {"b": null}]}, "node_id": "n", "node_name": "Node",
     "node_type": "sql", "step_number": 2, "total_steps": 5.0, "progress_percentage": 33.335, "duration_seconds": 7,
     "user_friendly_message": "All", "display_priority": 9, "is_milestone": true, "technical_details": {"b": 2},
     "stack_trace": "at x", "performance_metrics": {"c": 3}, "created_at": "2026-01-02T03:04:05.678901+01:00",
     "source": "worker", "attempt": 2, "trace_id": "t", "span_id": "s", "id": "0192f0c1-2345-7000-8000-000000000002"},
    {"execution_id": "writing-4", "message": "nulls", "level": null, "event_type": null, "log_category": null,
     "data": null, "node_id": null, "step_number": null, "progress_percentage": null, "display_priority": null,
     "is_milestone": null, "technical_details": null, "stack_trace": null, "performance_metrics": null,
     "created_at": null, "attempt": null, "id": null},
    {"message": "", "execution_id": "writing-4", "level": "Trace", "data": {}}
]$json$);
SELECT event_type, level, message, data, node_id, node_name, node_type, step_number, total_steps,
    progress_percentage, duration_seconds, user_friendly_message, display_priority, is_milestone, technical_details,
    stack_trace, performance_metrics, source, attempt, trace_id, span_id, seq
FROM wflog.workflow_execution_logs WHERE execution_id = 'writing-4' ORDER BY xact, seq \gx

-- A time without zone is UTC whatever TimeZone says
SET TimeZone = 'Asia/Tokyo';
SELECT wflog.append('[{"execution_id": "writing-5", "message": "m", "created_at": "2026-01-02 03:04:05"},
                      {"execution_id": "writing-5", "message": "m", "created_at": "2026-01-02T03:04:05Z"},
                      {"execution_id": "writing-5", "message": "m", "created_at": "2026-01-02T04:04:05+01"}]');
RESET TimeZone;
SELECT DISTINCT created_at FROM wflog.workflow_execution_logs WHERE execution_id = 'writing-5';

-- append()'s errors name the element, the field, the value and the rule
CREATE FUNCTION pg_temp.bad(field text) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.failure(format('SELECT wflog.append(%L)',
        '[{"execution_id": "e", "message": "good"}, {"execution_id": "e", "message": "m", ' || field || '}]'))
$$;
SELECT pg_temp.bad(f) FROM unnest(ARRAY[
    '"level": "loud"', '"level": 3', '"level": ["INFO"]', '"event_type": "boom"', '"event_type": true',
    '"message": 17', '"message": {"a": 1}', '"message": null', '"execution_id": ""', '"execution_id": null',
    '"execution_id": 5', '"step_number": 1.5', '"step_number": "1"', '"step_number": 2147483648', '"step_number": 1e400',
    '"step_number": -1', '"total_steps": false', '"duration_seconds": []', '"attempt": 0', '"display_priority": 0',
    '"progress_percentage": 100.5', '"progress_percentage": -1', '"progress_percentage": 12345',
    '"progress_percentage": "50"', '"is_milestone": 1', '"is_milestone": "true"', '"data": [1, 2]', '"data": "x"',
    '"technical_details": 4', '"performance_metrics": true', '"created_at": "yesterday-ish"', '"created_at": "infinity"',
    '"created_at": 1700000000', '"id": "no-uuid"', '"id": 4', '"log_category": "other"', '"nonsense": 1', '"": 1',
    '"xact": 5', '"Level": "INFO"', '"source": {"a": 1}', '"trace_id": 5', '"span_id": []']) AS f;
SELECT pg_temp.bad(format('"%s": "%s"', f, repeat('x', 300))) FROM unnest(ARRAY['execution_id', 'node_id', 'level', 'step_number']) AS f;
SELECT pg_temp.bad(format('"%s": 1', repeat('key', 100)));
SELECT pg_temp.failure($$SELECT wflog.append('[{"execution_id": "e"}]')$$);
SELECT pg_temp.failure($$SELECT wflog.append('[{"message": "m"}]')$$);
SELECT pg_temp.failure($$SELECT wflog.append('[{}]')$$);
SELECT pg_temp.failure($$SELECT wflog.append('[1]')$$);
SELECT pg_temp.failure($$SELECT wflog.append('[[]]')$$);
SELECT pg_temp.failure($$SELECT wflog.append('[null]')$$);
SELECT pg_temp.failure($$SELECT wflog.append('{"execution_id": "e", "message": "m"}')$$);
SELECT pg_temp.failure($$SELECT wflog.append('"text"')$$);
SELECT pg_temp.failure($$SELECT wflog.append('null')$$);
SELECT pg_temp.failure($$SELECT wflog.append(NULL)$$);

-- All or nothing: an error behind the first chunk leaves nothing of it
SELECT pg_temp.failure($$SELECT wflog.append(jsonb_agg(jsonb_build_object('execution_id', 'e', 'message', 'm',
    'display_priority', CASE WHEN n = 2500 THEN 0 ELSE 5 END) ORDER BY n)) FROM generate_series(0, 2999) AS n$$);
-- A duplicate shows only when it is inserted
\set VERBOSITY default
SELECT wflog.append('[{"execution_id": "e", "message": "m", "id": "0192f0c1-2345-7000-8000-000000000003", "created_at": "2026-01-01Z"},
                      {"execution_id": "e", "message": "m", "id": "0192f0c1-2345-7000-8000-000000000003", "created_at": "2026-01-01Z"}]');
-- A fault of the content has the caller's context and not the INSERT's
DO $$BEGIN PERFORM wflog.append('[{"execution_id": "e", "message": "m", "level": "loud"}]'); END$$;
SELECT wflog.append('[{"execution_id": "e", "message": "m", "Level": "loud"}]');
\set VERBOSITY terse
BEGIN;
SELECT wflog.append('[{"execution_id": "e", "message": "m"}]');
ROLLBACK;
SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id = 'e';

-- Many at once, in order
SELECT wflog.append(jsonb_agg(jsonb_build_object('execution_id', 'writing-6', 'message', n::text) ORDER BY n))
FROM generate_series(1, 5000) AS n;
SELECT count(*), bool_and(message::int = seq) AS in_order, count(DISTINCT id)
FROM wflog.workflow_execution_logs WHERE execution_id = 'writing-6';

-- The producer's key and number: a repeat is answered with the first result
SELECT wflog.append('[{"execution_id": "writing-7", "message": "a"}, {"execution_id": "writing-7", "message": "b"}]', 'p', 7);
SELECT wflog.append('[{"execution_id": "writing-7", "message": "a"}, {"execution_id": "writing-7", "message": "b"}]', 'p', 7);
SELECT wflog.append('[]', producer_key => 'p', sequence => 7);
SELECT wflog.append('[{"execution_id": "writing-7", "message": "c"}]', 'p', 3); -- out of order
SELECT wflog.append('[{"execution_id": "writing-7", "message": "d"}]', 'q', 7); -- another's
SELECT wflog.append_lines('{"execution_id": "writing-7", "message": "e"}', 'p', 7);
SELECT wflog.append('[]', 'p', 0);
SELECT wflog.append('[{"execution_id": "writing-7", "message": "f"}]', 'p', 0);
-- twice in one transaction, and once more after a rollback
BEGIN;
SELECT wflog.append('[{"execution_id": "writing-7", "message": "g"}]', 'p', 8);
SELECT wflog.append('[{"execution_id": "writing-7", "message": "g"}]', 'p', 8);
ROLLBACK;
SELECT wflog.append('[{"execution_id": "writing-7", "message": "h"}]', 'p', 8);
-- a failed batch is not on record
SELECT pg_temp.failure($$SELECT wflog.append('[{"execution_id": "writing-7", "message": "i"}, {}]', 'p', 9)$$);
SELECT wflog.append('[{"execution_id": "writing-7", "message": "j"}]', 'p', 9);
SELECT string_agg(message, ' ' ORDER BY xact, seq) FROM wflog.workflow_execution_logs WHERE execution_id = 'writing-7';
SELECT producer_key, sequence, result FROM wflog.producer_batches WHERE producer_key IN ('p', 'q') ORDER BY 1, 2;
SELECT pg_temp.failure($$SELECT wflog.append('[]', 'p')$$);
SELECT pg_temp.failure($$SELECT wflog.append('[]', sequence => 5)$$);
SELECT pg_temp.failure($$SELECT wflog.append('[]', '', 5)$$);
SELECT pg_temp.failure($$SELECT wflog.append('[]', repeat('ä', 256), 5)$$);
SELECT pg_temp.failure($$SELECT wflog.append('[]', 'p', -1)$$);
SELECT wflog.append('[]', repeat('ä', 255), 9223372036854775807);

-- A trigger of the user's sees every row, may keep some out and may write logs itself
CREATE FUNCTION public.writing_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.message = 'secret' THEN
        PERFORM wflog.log('writing-9', 'kept one out');
        RETURN NULL;
    END IF;
    RETURN new;
END
$$;
CREATE TRIGGER writing_guard BEFORE INSERT ON wflog.workflow_execution_logs
    FOR EACH ROW WHEN (new.execution_id = 'writing-8') EXECUTE FUNCTION public.writing_guard();
SELECT wflog.append('[{"execution_id": "writing-8", "message": "a"}, {"execution_id": "writing-8", "message": "secret"},
                      {"execution_id": "writing-8", "message": "b"}]', 'r', 1);
SELECT wflog.append('[]', 'r', 1);
SELECT execution_id, message FROM wflog.workflow_execution_logs
WHERE execution_id IN ('writing-8', 'writing-9') ORDER BY execution_id, xact, seq;
DROP FUNCTION public.writing_guard() CASCADE;

-- Privileges and row level security are the caller's
CREATE ROLE writing_writer IN ROLE wflog_writer;
CREATE ROLE writing_reader IN ROLE wflog_reader;
SET ROLE writing_writer;
SELECT wflog.log('writing-10', 'm') IS NOT NULL AS written;
SELECT wflog.append('[{"execution_id": "writing-10", "message": "m"}]', 'w', 1);
SELECT wflog.append('[{"execution_id": "writing-10", "message": "m"}]', 'w', 1);
SELECT wflog.append_lines('{"execution_id": "writing-10", "message": "m"}');
SET ROLE writing_reader;
SELECT pg_temp.failure($$SELECT wflog.log('writing-10', 'm')$$);
SELECT pg_temp.failure($$SELECT wflog.append('[{"execution_id": "writing-10", "message": "m"}]')$$);
RESET ROLE;
-- even one who may call the function needs the table's policy
GRANT EXECUTE ON FUNCTION wflog.append, wflog.batch_rows TO writing_reader;
GRANT INSERT ON wflog.workflow_execution_logs TO writing_reader;
SET ROLE writing_reader;
SELECT pg_temp.failure($$SELECT wflog.append('[{"execution_id": "writing-10", "message": "m"}]')$$);
SELECT wflog.append('[]');
RESET ROLE;
SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id = 'writing-10';
REVOKE ALL ON FUNCTION wflog.append, wflog.batch_rows FROM writing_reader;
REVOKE INSERT ON wflog.workflow_execution_logs FROM writing_reader;
DROP ROLE writing_writer, writing_reader;

-- The kept plan follows the table
ALTER TABLE wflog.workflow_execution_logs DISABLE ROW LEVEL SECURITY;
SELECT wflog.log('writing-11', 'm') IS NOT NULL AS written;
ALTER TABLE wflog.workflow_execution_logs ENABLE ROW LEVEL SECURITY;
SELECT wflog.log('writing-11', 'm') IS NOT NULL AS written;

-- Hostile objects on the search path are not met
CREATE SCHEMA writing_evil;
CREATE FUNCTION writing_evil.evil(text, text) RETURNS bool LANGUAGE plpgsql AS $$BEGIN RAISE 'evil'; END$$;
CREATE OPERATOR writing_evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = writing_evil.evil);
SET search_path = writing_evil, pg_catalog;
SELECT wflog.append('[{"execution_id": "writing-11", "message": "m"}]', 's', 1);
SELECT wflog.append('[{"execution_id": "writing-11", "message": "m"}]', 's', 1);
RESET search_path;
DROP SCHEMA writing_evil CASCADE;
