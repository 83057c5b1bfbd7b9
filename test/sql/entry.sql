-- What one log must be: its rules, the limit of its size, the stamp.
\pset null (null)
CREATE FUNCTION pg_temp.failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN SQLSTATE || ' ' || SQLERRM || CASE WHEN detail <> '' AND detail !~ '^Failing row' THEN ' | ' || detail ELSE '' END;
END
$$;
INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('entry-1', 'a log');

-- Rules: the value that breaks each, by INSERT and by UPDATE, with the same words
CREATE TEMP TABLE broken (n serial, col text, value text);
INSERT INTO broken (col, value) VALUES
    ('execution_id', $$''$$), ('execution_id', 'NULL'), ('execution_id', $$repeat('x', 256)$$), ('execution_id', $$repeat('ä', 256)$$),
    ('log_category', $$''$$), ('log_category', $$'Technical'$$), ('log_category', $$'technical '$$), ('log_category', $$'büro'$$), ('log_category', 'NULL'), ('log_category', $$repeat('x', 21)$$),
    ('event_type', 'NULL'), ('event_type', $$'boom'$$), ('level', 'NULL'), ('level', $$'info'$$), ('message', 'NULL'),
    ('data', $$'[1, 2]'$$), ('data', $$'null'$$), ('data', $$'"text"'$$), ('data', '1::text::jsonb'), ('data', 'to_jsonb(true)'), ('data', $$to_jsonb(repeat('ä', 60))$$),
    ('technical_details', $$'[]'$$), ('performance_metrics', $$'[{}]'$$),
    ('node_id', $$repeat('x', 256)$$), ('node_name', $$repeat('x', 256)$$), ('node_type', $$repeat('x', 101)$$),
    ('step_number', '-1'), ('step_number', '-2147483648'), ('total_steps', '-1'), ('duration_seconds', '-1'),
    ('progress_percentage', '-0.01'), ('progress_percentage', '100.01'), ('progress_percentage', '999.99'), ('progress_percentage', '1000'), ('progress_percentage', $$'NaN'$$), ('progress_percentage', '-100'),
    ('display_priority', '0'), ('display_priority', '11'), ('display_priority', '-5'), ('display_priority', 'NULL'),
    ('is_milestone', 'NULL'), ('attempt', '0'), ('attempt', '-1'),
    ('created_at', $$'infinity'$$), ('created_at', $$'-infinity'$$), ('created_at', 'NULL'), ('id', 'NULL');
CREATE TEMP TABLE verdicts AS
SELECT n, col, value,
       pg_temp.failure(CASE WHEN col = 'execution_id' THEN format('INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES (%s, ''x'')', value)
                            WHEN col = 'message' THEN format('INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES (''entry-1'', %s)', value)
                            ELSE format('INSERT INTO wflog.workflow_execution_logs (execution_id, message, %I) VALUES (''entry-1'', ''x'', %s)', col, value) END) AS inserted,
       pg_temp.failure(format('UPDATE wflog.workflow_execution_logs SET %I = %s', col, value)) AS updated
FROM broken;
SELECT col, value, regexp_replace(inserted, '_\d{8}"|_default"', '_..."') AS verdict FROM verdicts ORDER BY n;
SELECT * FROM verdicts WHERE inserted <> updated AND inserted !~ 'null value|no partition';
SELECT message FROM wflog.workflow_execution_logs WHERE execution_id LIKE 'entry%';

-- They hold where triggers are disabled, and on a leaf
SET session_replication_role = replica;
SELECT pg_temp.failure($$INSERT INTO wflog.workflow_execution_logs (execution_id, message, progress_percentage) VALUES ('entry-1', 'x', 101)$$);
SELECT pg_temp.failure($$INSERT INTO wflog.workflow_execution_logs_default (execution_id, message, data, created_at) VALUES ('entry-1', 'x', '[]', '2999-01-01')$$);
RESET session_replication_role;

-- What is allowed to the border
INSERT INTO wflog.workflow_execution_logs (execution_id, log_category, message, data, technical_details, performance_metrics, node_id, node_name, node_type, step_number, total_steps,
    progress_percentage, duration_seconds, display_priority, attempt, created_at)
VALUES (repeat('ä', 255), 'business', '', NULL, NULL, NULL, repeat('ä', 255), repeat('ö', 255), repeat('ü', 100), 0, 0, 0, 0, 1, 1, '4713-01-01 BC'),
       (repeat('ä', 255), 'technical', '', '{}', '{}', '{}', '', '', '', 2147483647, 2147483647, 100, 2147483647, 10, 2147483647, '294276-12-31'),
       (repeat('ä', 255), 'technical', '', '{}', '{}', '{}', '', '', '', 1, 1, 99.994, 1, 5, 1, '2026-01-01');
SELECT log_category, length(node_id) AS node_id, progress_percentage, display_priority, original_size FROM wflog.workflow_execution_logs WHERE execution_id = repeat('ä', 255) ORDER BY created_at;
DELETE FROM wflog.workflow_execution_logs WHERE execution_id = repeat('ä', 255);

-- Values that are compressed or out of line in the table they come from
CREATE TABLE entry_source (id varchar(255), category varchar(20), data jsonb, progress numeric(5,2), message text);
ALTER TABLE entry_source SET (toast_tuple_target = 128);
ALTER TABLE entry_source ALTER id SET STORAGE EXTERNAL, ALTER data SET STORAGE EXTERNAL;
INSERT INTO entry_source VALUES (repeat('é', 250), 'technical', jsonb_build_object('a', repeat('b', 5000)), 5, repeat('m', 5000));
INSERT INTO wflog.workflow_execution_logs (execution_id, log_category, data, progress_percentage, message) SELECT * FROM entry_source;
SELECT length(l.execution_id) AS id, l.data = s.data AS data, l.message = s.message AS message, original_size, (SELECT count(*) FROM wflog.logs(s.id)) AS found
FROM wflog.workflow_execution_logs l JOIN entry_source s ON s.id = l.execution_id;
UPDATE entry_source SET category = repeat('日', 20), message = 'm', data = '{}';
SELECT pg_temp.failure('INSERT INTO wflog.workflow_execution_logs (execution_id, log_category, data, progress_percentage, message) SELECT * FROM entry_source');
DELETE FROM wflog.workflow_execution_logs WHERE execution_id = repeat('é', 250);
DROP TABLE entry_source;

/*
 * The limit of the size: 10 kB over all fields that have no limit of their own.
 */
CREATE FUNCTION pg_temp.size(l wflog.workflow_execution_logs) RETURNS bigint LANGUAGE sql AS $$
    SELECT octet_length(l.message) + coalesce(octet_length(l.user_friendly_message), 0) + coalesce(octet_length(l.stack_trace), 0) +
           coalesce(octet_length(l.source), 0) + coalesce(octet_length(l.trace_id), 0) + coalesce(octet_length(l.span_id), 0) +
           coalesce(pg_column_size(l.data || '{}') - 4, 0) + coalesce(pg_column_size(l.technical_details || '{}') - 4, 0) + coalesce(pg_column_size(l.performance_metrics || '{}') - 4, 0)
$$;
CREATE PROCEDURE pg_temp.fill(id text, VARIADIC sizes int[]) LANGUAGE plpgsql AS $$
BEGIN
    -- message, user_friendly_message, stack_trace, source, trace_id, span_id, data, technical_details, performance_metrics
    INSERT INTO wflog.workflow_execution_logs (execution_id, message, user_friendly_message, stack_trace, source, trace_id, span_id, data, technical_details, performance_metrics)
    VALUES (id, repeat('m', sizes[1]), repeat('u', sizes[2]), repeat('s', sizes[3]), repeat('o', sizes[4]), repeat('t', sizes[5]), repeat('p', sizes[6]),
            CASE WHEN sizes[7] > 0 THEN jsonb_build_object('k', repeat('d', sizes[7])) ELSE '{}' END,
            CASE WHEN sizes[8] > 0 THEN jsonb_build_object('k', repeat('d', sizes[8])) ELSE '{}' END,
            CASE WHEN sizes[9] > 0 THEN jsonb_build_object('k', repeat('d', sizes[9])) ELSE '{}' END);
END
$$;
-- At the border: the empty objects take four bytes each
CALL pg_temp.fill('size border', 10228, 0, 0, 0, 0, 0, 0, 0, 0);
CALL pg_temp.fill('size border', 10229, 0, 0, 0, 0, 0, 0, 0, 0);
SELECT length(message) AS length, right(message, 30) AS ends, original_size, pg_temp.size(l) AS size FROM wflog.workflow_execution_logs l WHERE execution_id = 'size border' ORDER BY seq, xact;
-- Each field alone, and all together
CALL pg_temp.fill('size 1', 50000, 0, 0, 0, 0, 0, 0, 0, 0);
CALL pg_temp.fill('size 2', 1, 50000, 0, 0, 0, 0, 0, 0, 0);
CALL pg_temp.fill('size 3', 1, 0, 50000, 0, 0, 0, 0, 0, 0);
CALL pg_temp.fill('size 4', 1, 0, 0, 50000, 0, 0, 0, 0, 0);
CALL pg_temp.fill('size 5', 1, 0, 0, 0, 50000, 0, 0, 0, 0);
CALL pg_temp.fill('size 6', 1, 0, 0, 0, 0, 50000, 0, 0, 0);
CALL pg_temp.fill('size 7', 1, 0, 0, 0, 0, 0, 50000, 0, 0);
CALL pg_temp.fill('size 8', 1, 0, 0, 0, 0, 0, 0, 50000, 0);
CALL pg_temp.fill('size 9', 1, 0, 0, 0, 0, 0, 0, 0, 50000);
CALL pg_temp.fill('size all', 50000, 50000, 50000, 50000, 50000, 50000, 50000, 50000, 50000);
CALL pg_temp.fill('size mixed', 100, 4000, 50000, 20, 32, 16, 60, 3000, 9000);
SELECT execution_id, original_size, pg_temp.size(l) <= 10240 AS fits, pg_temp.size(l) > 9900 AS not_too_small,
       length(message) AS m, length(user_friendly_message) AS u, length(stack_trace) AS s, length(source) AS o, length(trace_id) AS t, length(span_id) AS p,
       jsonb_typeof(data) || length(data::text) AS d, jsonb_typeof(technical_details) || length(technical_details::text) AS td, jsonb_typeof(performance_metrics) || length(performance_metrics::text) AS pm
FROM wflog.workflow_execution_logs l WHERE execution_id ~ '^size (\d|all|mixed)' ORDER BY 1;
-- How a cut object looks, and that its preview is how its text began
SELECT data - 'preview' AS data, left(data ->> 'preview', 20) AS preview FROM wflog.workflow_execution_logs WHERE execution_id = 'size 7';
SELECT data = (data || jsonb_build_object('preview', left(jsonb_build_object('k', repeat('d', 50000))::text, length(data ->> 'preview')))) AS same FROM wflog.workflow_execution_logs WHERE execution_id = 'size 7';
-- A cut text is how it began, then the mark
SELECT message = repeat('m', length(message) - 27) || '... [truncated, 50000 bytes]' OR message = repeat('m', length(message) - 28) || '... [truncated, 50000 bytes]' AS same FROM wflog.workflow_execution_logs WHERE execution_id = 'size 1';

-- Characters stay whole: of two, three and four bytes, shifted byte by byte
INSERT INTO wflog.workflow_execution_logs (execution_id, message, stack_trace, data)
SELECT 'characters', repeat('x', shift) || repeat(c, 12000 / octet_length(c)), repeat('x', shift) || repeat(c, 12000 / octet_length(c)), jsonb_build_object(repeat('x', shift), repeat(c, 12000 / octet_length(c)))
FROM unnest(ARRAY['ä', '日', '🙂', 'e', '"', '\', E'\x01']) AS c, generate_series(0, 4) AS shift;
SELECT count(*), bool_and(pg_temp.size(l) <= 10240) AS fit, bool_and(original_size > 36000) AS sizes,
       bool_and(convert_from(convert_to(message, 'UTF8'), 'UTF8') = message) AS valid,
       bool_and(message ~ ('^x*' || CASE WHEN left(ltrim(message, 'x'), 1) = '\' THEN '\\' ELSE left(ltrim(message, 'x'), 1) END || '+\.\.\. \[truncated, \d+ bytes\]$')) AS whole,
       bool_and(jsonb_typeof(data) = 'object' AND data::text::jsonb = data AND data @> '{"truncated": true}') AS objects
FROM wflog.workflow_execution_logs l WHERE execution_id = 'characters';
-- and so does the JSON that clients get
SELECT count(*), bool_and(log ->> 'technical_message' = l.message AND (log -> 'data')::jsonb = l.data AND (log ->> 'original_size')::int = l.original_size) AS same
FROM wflog.workflow_execution_logs l, json_array_elements(wflog.logs_json('characters', detail => true) -> 'logs') AS log
WHERE l.id = (log ->> 'id')::uuid;

-- The limit can be changed; what is in stays as it is
SET wflog.max_entry_size = '1kB';
CALL pg_temp.fill('limit 1 kB', 2000, 2000, 2000, 2000, 2000, 2000, 2000, 2000, 2000);
SET wflog.max_entry_size = '1MB';
CALL pg_temp.fill('limit 1 MB', 500000, 0, 0, 0, 0, 0, 0, 0, 0);
CALL pg_temp.fill('limit 1 MB', 5000000, 0, 0, 0, 0, 0, 0, 500000, 0);
RESET wflog.max_entry_size;
SELECT execution_id, original_size, pg_temp.size(l) AS size FROM wflog.workflow_execution_logs l WHERE execution_id LIKE 'limit%' ORDER BY execution_id, original_size NULLS FIRST;
SHOW wflog.max_entry_size;
\set VERBOSITY sqlstate
SET wflog.max_entry_size = '1023B';
SET wflog.max_entry_size = '257MB';
\set VERBOSITY default
-- An update is cut as well; a log that was cut keeps the size it had
UPDATE wflog.workflow_execution_logs SET is_milestone = true WHERE execution_id = 'size 1';
UPDATE wflog.workflow_execution_logs SET stack_trace = repeat('x', 20000) WHERE execution_id = 'size 2';
UPDATE wflog.workflow_execution_logs SET message = 'short' WHERE execution_id = 'size 3';
SELECT execution_id, is_milestone, length(message) AS m, length(stack_trace) AS s, original_size, pg_temp.size(l) AS size FROM wflog.workflow_execution_logs l WHERE execution_id IN ('size 1', 'size 2', 'size 3') ORDER BY 1;
-- A log that was cut is not cut again when it is copied
INSERT INTO wflog.workflow_execution_logs (execution_id, message, data, original_size) SELECT 'copied', message, data, original_size FROM wflog.workflow_execution_logs WHERE execution_id IN ('size 1', 'size 7');
SELECT count(*) FROM wflog.workflow_execution_logs a JOIN wflog.workflow_execution_logs b ON b.message = a.message AND b.data = a.data AND b.original_size = a.original_size AND b.execution_id LIKE 'size _' WHERE a.execution_id = 'copied';

/*
 * Internal columns: nobody can set the stamp, the hash or the storage.
 */
BEGIN;
INSERT INTO wflog.workflow_execution_logs (execution_id, message, execution_hash, xact, seq) VALUES ('stamp', 'forged', 42, '7', 99), ('stamp', 'second', NULL, NULL, NULL);
INSERT INTO wflog.workflow_execution_logs (execution_id, message, execution_hash, xact, seq) VALUES ('stamp', 'third', -1, '18446744073709551615', -1);
SELECT message, execution_hash = ('x' || encode(substr(sha256('stamp'), 1, 8), 'hex'))::bit(64)::bigint AS hash, xact = pg_current_xact_id() AS xact, seq FROM wflog.workflow_execution_logs WHERE execution_id = 'stamp' ORDER BY seq;
COMMIT;
UPDATE wflog.workflow_execution_logs SET xact = '1', seq = 1000, execution_hash = 0, message = message || ', updated' WHERE execution_id = 'stamp' AND message <> 'third';
SELECT message, execution_hash = ('x' || encode(substr(sha256('stamp'), 1, 8), 'hex'))::bit(64)::bigint AS hash, xact = (SELECT xact FROM wflog.workflow_execution_logs WHERE message = 'third' AND execution_id = 'stamp') AS same_xact, seq
FROM wflog.workflow_execution_logs WHERE execution_id = 'stamp' ORDER BY seq;
-- moved to another execution, it gets a new place in that one's stream
WITH moved AS (UPDATE wflog.workflow_execution_logs SET execution_id = 'stamp 2' WHERE execution_id = 'stamp' AND message = 'third' RETURNING *)
SELECT message, execution_hash = ('x' || encode(substr(sha256('stamp 2'), 1, 8), 'hex'))::bit(64)::bigint AS hash, xact = pg_current_xact_id_if_assigned() AS xact, seq FROM moved;
SELECT (SELECT count(*) FROM wflog.logs('stamp')) AS stamp, (SELECT count(*) FROM wflog.logs('stamp 2')) AS stamp_2;
-- numbers go on over savepoints
BEGIN;
INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('savepoints', 'a');
SAVEPOINT s;
INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('savepoints', 'gone');
ROLLBACK TO s;
INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('savepoints', 'b');
SAVEPOINT s;
INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('savepoints', 'c');
COMMIT;
SELECT string_agg(message, ' ' ORDER BY seq) AS messages, count(DISTINCT xact) AS xacts, bool_and(seq > 0) AS seq FROM wflog.workflow_execution_logs WHERE execution_id = 'savepoints';
-- session_replication_role does not keep the stamp away
SET session_replication_role = replica;
INSERT INTO wflog.workflow_execution_logs (execution_id, message, xact, seq) VALUES ('replica', 'x', '3', 3);
RESET session_replication_role;
SELECT xact <> '3' AS stamped, (SELECT count(*) FROM wflog.logs('replica')) FROM wflog.workflow_execution_logs WHERE execution_id = 'replica';
-- storage
SELECT pg_temp.failure($$INSERT INTO wflog.workflow_execution_logs (execution_id, message, storage) VALUES ('storage', 'x', 's')$$);
SELECT pg_temp.failure($$INSERT INTO wflog.workflow_execution_logs (execution_id, message, storage) VALUES ('storage', 'x', NULL)$$);
SELECT pg_temp.failure($$UPDATE wflog.workflow_execution_logs SET storage = 's' WHERE execution_id = 'stamp'$$);
SELECT pg_temp.failure($$INSERT INTO wflog.workflow_execution_logs_default (execution_id, message, storage, created_at) VALUES ('storage', 'x', 's', '2999-01-01')$$);
-- the trigger function by itself
SELECT pg_temp.failure('SELECT wflog.log_row()');
CREATE TABLE entry_other (LIKE wflog.workflow_execution_logs INCLUDING DEFAULTS);
CREATE TRIGGER t AFTER INSERT ON entry_other FOR EACH ROW EXECUTE FUNCTION wflog.log_row();
SELECT pg_temp.failure($$INSERT INTO entry_other (execution_id, message) VALUES ('x', 'x')$$);
DROP TABLE entry_other;

-- Times are those of the insert, not of the transaction; ids rise
BEGIN;
INSERT INTO wflog.workflow_execution_logs (execution_id, message) SELECT 'clock', i::text FROM generate_series(1, 1000) AS i;
SELECT count(*), count(DISTINCT created_at) > 10 AS times, min(created_at) > now() AS after_start,
       bool_and(id > previous) AS rise, bool_and(substr(id::text, 15, 1) = '7' AND substr(id::text, 20, 1) ~ '[89ab]') AS version_7
FROM (SELECT *, lag(id, 1, '00000000-0000-0000-0000-000000000000') OVER (ORDER BY seq) AS previous FROM wflog.workflow_execution_logs WHERE execution_id = 'clock') AS l;
ROLLBACK;

DELETE FROM wflog.workflow_execution_logs;
