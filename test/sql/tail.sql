-- tail(): an execution's logs in the order they were committed.
\pset null (null)

CREATE FUNCTION pg_temp.failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN SQLSTATE || ' ' || SQLERRM || coalesce(E'\n' || nullif(hint, ''), '');
END
$$;

CREATE FUNCTION pg_temp.old_log(execution_id text, message text) RETURNS void LANGUAGE sql AS $$
    SELECT wflog.log(execution_id, message, created_at => now() - interval '40 days') $$;

-- Committed first, delivered first, whatever created_at says
SELECT wflog.start_execution('tail-1', 'tail');
SELECT wflog.log('tail-1', 'first', created_at => '2126-01-01') IS NOT NULL AS written;
SELECT wflog.log('tail-1', 'second', created_at => '1970-01-01') IS NOT NULL AS written;
BEGIN;
SELECT wflog.log('tail-1', 'third', created_at => '2026-02-01') IS NOT NULL AS written;
SELECT wflog.log('tail-other', 'of another execution') IS NOT NULL AS written;
SELECT wflog.log('tail-1', 'fourth', created_at => '2026-01-01') IS NOT NULL AS written;
COMMIT;
SELECT log->>'message' AS message, batch FROM wflog.tail('tail-1');

-- The log is a LogEntry without its details
SELECT wflog.log('tail-entry', 'm', level => 'error', data => '{"a": 1}', user_friendly_message => 'u', stack_trace => 's',
    technical_details => '{"b": 2}', created_at => '2026-01-01 00:00:00+01', id => '0192f0c1-2345-7000-8000-000000000001');
SET timezone = 'Asia/Kathmandu';
SELECT log FROM wflog.tail('tail-entry');
RESET timezone;

-- From each cursor on come the logs after it
SELECT t.log->>'message' AS cursor_of, string_agg(r.log->>'message', ', ' ORDER BY r.i) AS then
FROM wflog.tail('tail-1') WITH ORDINALITY AS t(cursor, log, batch, i)
    LEFT JOIN LATERAL wflog.tail('tail-1', t.cursor) WITH ORDINALITY AS r(cursor, log, batch, i) ON true
GROUP BY t.i, 1 ORDER BY t.i;

-- and from each of those, by pages of every size
SELECT size, string_agg(message, ', ' ORDER BY n)
FROM generate_series(1, 5) AS size, LATERAL (
    WITH RECURSIVE pages AS (
        (SELECT t.cursor, t.log->>'message' AS message, t.i AS n, t.i AS place
         FROM wflog.tail('tail-1', NULL, size) WITH ORDINALITY AS t(cursor, log, batch, i))
        UNION ALL
        SELECT t.cursor, t.log->>'message', p.n + t.i, t.i
        FROM pages p, LATERAL wflog.tail('tail-1', p.cursor, size) WITH ORDINALITY AS t(cursor, log, batch, i)
        WHERE p.place = size)
    SELECT * FROM pages) AS p
GROUP BY size ORDER BY size;

-- A cursor without a log behind it gives nothing, then what comes
SELECT cursor FROM wflog.tail('tail-1') OFFSET 3 \gset
SELECT count(*) FROM wflog.tail('tail-1', :'cursor');
SELECT wflog.log('tail-1', 'fifth') IS NOT NULL AS written;
SELECT log->>'message' AS message FROM wflog.tail('tail-1', :'cursor');

-- An UPDATE does not deliver again, and a log of another execution is delivered there
SELECT cursor FROM wflog.tail('tail-1') OFFSET 4 \gset
UPDATE wflog.workflow_execution_logs SET message = 'first, corrected' WHERE execution_id = 'tail-1' AND message = 'first';
UPDATE wflog.workflow_execution_logs SET execution_id = 'tail-1' WHERE execution_id = 'tail-other';
SELECT log->>'message' AS message FROM wflog.tail('tail-1', :'cursor');
SELECT log->>'message' AS message FROM wflog.tail('tail-1');

-- Rows of one's own transaction come after its commit
BEGIN;
SELECT cursor FROM wflog.tail('tail-1') OFFSET 5 \gset
SELECT wflog.log('tail-1', 'own') IS NOT NULL AS written;
SELECT count(*) FROM wflog.tail('tail-1', :'cursor');
SELECT count(*) FROM wflog.tail('tail-1');
-- and so with the cursor of a page, which does show them
SELECT json_array_length(page->'logs') AS on_page, page->'pagination'->>'stream_cursor' AS page_cursor
FROM wflog.logs_json('tail-1') AS page \gset
SELECT :on_page AS on_page;
SELECT count(*) FROM wflog.tail('tail-1', :'page_cursor');
COMMIT;
SELECT log->>'message' AS message FROM wflog.tail('tail-1', :'cursor');
SELECT log->>'message' AS message FROM wflog.tail('tail-1', :'page_cursor');

-- The stream goes on where the page's snapshot ended, on whichever page
SELECT page->'pagination'->>'stream_cursor' AS page_cursor FROM wflog.logs_json('tail-1', 2) AS page \gset
SELECT count(*) FROM wflog.tail('tail-1', :'page_cursor');
-- also of an execution without logs
SELECT wflog.start_execution('tail-empty', 'tail');
SELECT page->'pagination'->>'stream_cursor' AS page_cursor FROM wflog.logs_json('tail-empty') AS page \gset
SELECT count(*) FROM wflog.tail('tail-empty', :'page_cursor');
SELECT wflog.log('tail-empty', 'no longer') IS NOT NULL AS written;
SELECT log->>'message' AS message FROM wflog.tail('tail-empty', :'page_cursor');

-- The cursor of an ended execution's pages is the same one as long as nothing changes
SELECT wflog.start_execution('tail-ended', 'tail');
SELECT wflog.log('tail-ended', 'first') IS NOT NULL AND wflog.log('tail-ended', 'last') IS NOT NULL AS written;
SELECT wflog.set_execution_status('tail-ended', 'SUCCESS');
SELECT page->'pagination'->>'stream_cursor' AS page_cursor FROM wflog.logs_json('tail-ended') AS page \gset
SELECT wflog.log('tail-1', 'meanwhile') IS NOT NULL AS written;
SELECT page->'pagination'->>'stream_cursor' = :'page_cursor' AS same FROM wflog.logs_json('tail-ended', 1) AS page;
SELECT count(*) FROM wflog.tail('tail-ended', :'page_cursor');
SELECT wflog.log('tail-ended', 'late') IS NOT NULL AS written;
SELECT log->>'message' AS message FROM wflog.tail('tail-ended', :'page_cursor');
-- but it needs the log that it stands behind
DELETE FROM wflog.workflow_execution_logs WHERE execution_id = 'tail-ended' AND message = 'last';
SELECT pg_temp.failure(format('SELECT wflog.tail(%L, %L)', 'tail-ended', :'page_cursor'));

-- Savepoints do not change the order
BEGIN;
SELECT wflog.log('tail-savepoints', '1') IS NOT NULL AS written;
SAVEPOINT a;
SELECT wflog.log('tail-savepoints', 'undone') IS NOT NULL AS written;
ROLLBACK TO a;
SELECT wflog.log('tail-savepoints', '2') IS NOT NULL AS written;
SAVEPOINT b;
SELECT wflog.log('tail-savepoints', '3') IS NOT NULL AS written;
RELEASE b;
SELECT wflog.log('tail-savepoints', '4') IS NOT NULL AS written;
COMMIT;
SELECT log->>'message' AS message FROM wflog.tail('tail-savepoints');

-- max_rows
SELECT wflog.append(jsonb_agg(jsonb_build_object('execution_id', 'tail-many', 'message', i::text)))
FROM generate_series(1, 10001) i;
SELECT count(*) FROM wflog.tail('tail-many');
SELECT count(*) FROM wflog.tail('tail-many', NULL, NULL);
SELECT count(*) FROM wflog.tail('tail-many', max_rows => 10000);
SELECT cursor FROM wflog.tail('tail-many', max_rows => 10000) OFFSET 9999 \gset
SELECT log->>'message' AS message FROM wflog.tail('tail-many', :'cursor');
SELECT pg_temp.failure($$SELECT wflog.tail('tail-1', max_rows => 0)$$);
SELECT pg_temp.failure($$SELECT wflog.tail('tail-1', max_rows => -1)$$);
SELECT pg_temp.failure($$SELECT wflog.tail('tail-1', max_rows => 10001)$$);

-- No execution, impossible ones, and unknown ones
SELECT pg_temp.failure($$SELECT wflog.tail(NULL)$$);
SELECT pg_temp.failure($$SELECT wflog.tail('')$$);
SELECT pg_temp.failure($$SELECT wflog.tail(repeat('x', 256))$$);
SELECT count(*) FROM wflog.tail(repeat('x', 255));
SELECT count(*) FROM wflog.tail('tail-unknown');

-- One that is not the asker's answers like one that does not exist
SELECT wflog.start_execution('tail-owned', 'tail-owned', user_id => 'regress_tail_owner');
SELECT wflog.log('tail-owned', 'mine') IS NOT NULL AS written;
SELECT cursor FROM wflog.tail('tail-owned') \gset
CREATE ROLE regress_tail_owner IN ROLE wflog_reader;
CREATE ROLE regress_tail_other IN ROLE wflog_reader;
SET SESSION AUTHORIZATION regress_tail_owner;
SELECT log->>'message' AS message FROM wflog.tail('tail-owned');
SET SESSION AUTHORIZATION regress_tail_other;
SELECT count(*) FROM wflog.tail('tail-owned');
SELECT count(*) FROM wflog.tail('tail-owned', :'cursor');
SELECT count(*) FROM wflog.tail('tail-many');
RESET SESSION AUTHORIZATION;
DROP ROLE regress_tail_owner, regress_tail_other;

-- Retention: nothing that is gone is jumped over.  CALL outside a function.
SET client_min_messages = error;
SELECT wflog.log('tail-gap', '1') IS NOT NULL AS written;
SELECT wflog.log('tail-gap', '2') IS NOT NULL AS written;
SELECT pg_temp.old_log('tail-gap', '3'), pg_temp.old_log('tail-gap', '4');
SELECT wflog.log('tail-gap', '5') IS NOT NULL AS written;
CREATE TEMP TABLE gap AS
    SELECT log->>'message' AS message, cursor FROM wflog.tail('tail-gap');
INSERT INTO gap SELECT 'page', page->'pagination'->>'stream_cursor' FROM wflog.logs_json('tail-gap') AS page;
CALL wflog.maintain(30);
SELECT message AS cursor_of,
    pg_temp.failure(format('SELECT wflog.tail(%L, %L)', 'tail-gap', cursor)) AS outcome
FROM gap ORDER BY message;
-- From the start there is no gap, on no page
SELECT cursor, log->>'message' AS message FROM wflog.tail('tail-gap', max_rows => 1) \gset
SELECT :'message' AS message;
SELECT cursor, log->>'message' AS message FROM wflog.tail('tail-gap', :'cursor', 1) \gset
SELECT :'message' AS message;
SELECT cursor, log->>'message' AS message FROM wflog.tail('tail-gap', :'cursor', 1) \gset
SELECT :'message' AS message;
SELECT page->'pagination'->>'stream_cursor' AS page_cursor FROM wflog.logs_json('tail-gap') AS page \gset
SELECT count(*) FROM wflog.tail('tail-gap', :'page_cursor');
-- What comes and goes before the reader comes is a gap again
SELECT pg_temp.old_log('tail-gap', '6');
CALL wflog.maintain(30);
SELECT pg_temp.failure(format('SELECT wflog.tail(%L, %L)', 'tail-gap', :'cursor'));
-- When everything has gone, too
SELECT pg_temp.old_log('tail-gone', '1'), pg_temp.old_log('tail-gone', '2');
SELECT cursor FROM wflog.tail('tail-gone', max_rows => 1) \gset
CALL wflog.maintain(30);
SELECT pg_temp.failure(format('SELECT wflog.tail(%L, %L)', 'tail-gone', :'cursor'));
SELECT count(*) FROM wflog.tail('tail-gone');
SELECT wflog.log('tail-gone', '3') IS NOT NULL AS written;
SELECT log->>'message' AS message FROM wflog.tail('tail-gone');
RESET client_min_messages;

-- A stamp that is not this cluster's is an error and not a log out of order
ALTER TABLE wflog.workflow_execution_logs DISABLE TRIGGER log_row;
INSERT INTO wflog.workflow_execution_logs (execution_id, message, execution_hash, xact, seq)
SELECT 'tail-savepoints', 'restored', execution_hash, '4611686018427387904', 1
FROM wflog.workflow_execution_logs WHERE execution_id = 'tail-savepoints' LIMIT 1;
ALTER TABLE wflog.workflow_execution_logs ENABLE ALWAYS TRIGGER log_row;
SELECT pg_temp.failure($$SELECT wflog.tail('tail-savepoints')$$);
DELETE FROM wflog.workflow_execution_logs WHERE execution_id = 'tail-savepoints' AND message = 'restored';
SELECT count(*) FROM wflog.tail('tail-savepoints');
