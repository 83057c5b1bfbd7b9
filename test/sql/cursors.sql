-- Page cursors and stream cursors: what is not one of the right kind, of the
-- right execution and undamaged is refused, and the error says why.
\pset null (null)

-- SQLSTATE and detail; the cursor itself differs from run to run.
CREATE FUNCTION pg_temp.refusal(statement text, VARIADIC arguments text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    EXECUTE format(statement, VARIADIC arguments);
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN SQLSTATE || ' ' || coalesce(nullif(detail, ''), SQLERRM);
END
$$;

SELECT wflog.start_execution('cursors-1', 'cursors');
SELECT wflog.start_execution('cursors-2', 'cursors');
SELECT wflog.append(jsonb_agg(jsonb_build_object('execution_id', 'cursors-1', 'message', i::text)))
FROM generate_series(1, 5) i;
SELECT wflog.log('cursors-2', 'one') IS NOT NULL AS written;
SELECT cursor AS stream FROM wflog.tail('cursors-1', max_rows => 2) OFFSET 1 \gset
SELECT wflog.logs_json('cursors-1', 2)->'pagination'->>'next_cursor' AS page \gset
SELECT wflog.workflow_logs_json('cursors', 2)->'pagination'->>'next_cursor' AS workflow_page \gset

-- Both kinds are URL-safe and short
SELECT :'stream' ~ '^s1\.[A-Za-z0-9_-]+$' AS stream, length(:'stream') < 100 AS short;
SELECT :'page' ~ '^p1\.[A-Za-z0-9_-]+$' AS page, length(:'page') < 100 AS short;
SELECT count(*) FROM wflog.tail('cursors-1', :'stream');
SELECT count(*) FROM wflog.logs('cursors-1', after => :'page');
SELECT count(*) FROM wflog.logs('cursors-1', before => :'page');

-- Each is refused where the other belongs
SELECT pg_temp.refusal('SELECT wflog.tail(%L, %L)', 'cursors-1', :'page');
SELECT pg_temp.refusal('SELECT wflog.logs(%L, after => %L)', 'cursors-1', :'stream');
SELECT pg_temp.refusal('SELECT wflog.logs(%L, before => %L)', 'cursors-1', :'stream');
SELECT pg_temp.refusal('SELECT wflog.logs_json(%L, after => %L)', 'cursors-1', :'stream');
SELECT pg_temp.refusal('SELECT wflog.logs_json(%L, before => %L)', 'cursors-1', :'stream');
SELECT pg_temp.refusal('SELECT wflog.workflow_logs_json(%L, after => %L)', 'cursors', :'stream');

-- and for another execution or workflow
SELECT pg_temp.refusal('SELECT wflog.tail(%L, %L)', 'cursors-2', :'stream');
SELECT pg_temp.refusal('SELECT wflog.logs(%L, after => %L)', 'cursors-2', :'page');
SELECT pg_temp.refusal('SELECT wflog.logs_json(%L, before => %L)', 'cursors-2', :'page');
SELECT pg_temp.refusal('SELECT wflog.workflow_logs_json(%L, after => %L)', 'cursors', :'page');
SELECT pg_temp.refusal('SELECT wflog.logs(%L, after => %L)', 'cursors-1', :'workflow_page');

-- The message quotes the cursor, but not without end
DO $$ BEGIN PERFORM wflog.tail('cursors-1', 'nonsense'); EXCEPTION WHEN OTHERS THEN RAISE INFO '% %', SQLSTATE, SQLERRM; END $$;
DO $$ BEGIN PERFORM wflog.tail('cursors-1', repeat('é', 50)); EXCEPTION WHEN OTHERS THEN RAISE INFO '% %', SQLSTATE, SQLERRM; END $$;

DO $$ BEGIN PERFORM wflog.tail('cursors-1', 'x' || repeat('é', 50)); EXCEPTION WHEN OTHERS THEN RAISE INFO '% %', SQLSTATE, SQLERRM; END $$;

-- What is no cursor
CREATE TEMP TABLE bad (what text, cursor text);
INSERT INTO bad VALUES
    ('empty', ''), ('space', ' '), ('a kind alone', 's1.'), ('the other kind alone', 'p1.'), ('no kind', 'abc'),
    ('a later version', replace(:'stream', 's1.', 's2.')), ('upper case', replace(:'stream', 's1.', 'S1.')),
    ('kind twice', 's1.' || :'stream'), ('the right kind on the wrong body', replace(:'page', 'p1.', 's1.')),
    ('space before', ' ' || :'stream'), ('space after', :'stream' || ' '), ('line feed after', :'stream' || E'\n'),
    ('padding after', :'stream' || '='), ('twice', :'stream' || :'stream'),
    ('not ASCII', :'stream' || 'é'), ('standard base64', overlay(:'stream' placing '+/' from 10)),
    ('SQL', $$s1.' OR true --$$), ('percent', 's1.%s%n%d'), ('300 kB', 's1.' || repeat('A', 300000)),
    ('300 kB of nothing', repeat(' ', 300000)), ('256 kB', 's1.' || repeat('A', 256 * 1024 - 3));
SELECT what, pg_temp.refusal('SELECT wflog.tail(%L, %L)', 'cursors-1', cursor) AS tail
FROM bad ORDER BY what COLLATE "C";
SELECT what, pg_temp.refusal('SELECT wflog.logs(%L, after => %L)', 'cursors-1', regexp_replace(cursor, '^s1', 'p1')) AS logs
FROM bad WHERE what NOT IN ('the other kind alone', 'the right kind on the wrong body') ORDER BY what COLLATE "C";
-- the same from logs_json, which takes a page's cursor by text too
SELECT bool_and(pg_temp.refusal('SELECT wflog.logs_json(%L, before => %L)', 'cursors-1', cursor) ~ '^WF001 ') AS refused
FROM bad;

-- Lengthened
SELECT bool_and(pg_temp.refusal('SELECT wflog.tail(%L, %L)', 'cursors-1', :'stream' || repeat('A', n)) ~ '^WF001 ') AS refused
FROM generate_series(1, 8) n;

-- Cut short anywhere
SELECT kind, count(*) > 40 AS many, count(*) FILTER (WHERE refusal !~ '^WF001 ') AS accepted
FROM (SELECT 'stream' AS kind, pg_temp.refusal('SELECT wflog.tail(%L, %L)', 'cursors-1', left(:'stream', n)) AS refusal
      FROM generate_series(0, length(:'stream') - 1) n
      UNION ALL
      SELECT 'page', pg_temp.refusal('SELECT wflog.logs(%L, after => %L)', 'cursors-1', left(:'page', n))
      FROM generate_series(0, length(:'page') - 1) n) r
GROUP BY kind ORDER BY kind;

-- Every bit flipped: the bytes between kind and end
CREATE FUNCTION pg_temp.decode_cursor(cursor text) RETURNS bytea LANGUAGE sql AS $$
    SELECT decode(translate(substr(cursor, 4), '-_', '+/') || repeat('=', (4 - (length(cursor) - 3) % 4) % 4), 'base64') $$;
CREATE FUNCTION pg_temp.encode_cursor(kind text, bytes bytea) RETURNS text LANGUAGE sql AS $$
    SELECT kind || rtrim(translate(replace(encode(bytes, 'base64'), E'\n', ''), '+/', '-_'), '=') $$;
SELECT pg_temp.encode_cursor('s1.', pg_temp.decode_cursor(:'stream')) = :'stream' AS stream,
    pg_temp.encode_cursor('p1.', pg_temp.decode_cursor(:'page')) = :'page' AS page;
SELECT pg_temp.refusal('SELECT wflog.tail(%L, %L)', 'cursors-1',
        pg_temp.encode_cursor('s1.', set_bit(b.bytes, n, 1 - get_bit(b.bytes, n)))) AS stream, count(*) > 200 AS many
FROM (SELECT pg_temp.decode_cursor(:'stream') AS bytes) b, generate_series(0, 8 * length(b.bytes) - 1) n
GROUP BY 1 ORDER BY 1;
SELECT pg_temp.refusal('SELECT wflog.logs(%L, after => %L)', 'cursors-1',
        pg_temp.encode_cursor('p1.', set_bit(b.bytes, n, 1 - get_bit(b.bytes, n)))) AS page, count(*) > 200 AS many
FROM (SELECT pg_temp.decode_cursor(:'page') AS bytes) b, generate_series(0, 8 * length(b.bytes) - 1) n
GROUP BY 1 ORDER BY 1;

-- Every character replaced by every other that a cursor may have
SELECT count(*) FILTER (WHERE refusal !~ '^WF001 ') AS accepted, count(*) > 2000 AS many
FROM (SELECT pg_temp.refusal('SELECT wflog.tail(%L, %L)', 'cursors-1', overlay(:'stream' placing c from n)) AS refusal
      FROM generate_series(4, length(:'stream')) n,
          regexp_split_to_table('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_', '') AS c
      WHERE overlay(:'stream' placing c from n) <> :'stream') r;

-- Forged with the right checksum: refused, or some other place in the stream,
-- but never a failure within
CREATE FUNCTION pg_temp.crc32c(bytes bytea) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    crc bigint := x'ffffffff'::bigint;
BEGIN
    FOR i IN 0 .. length(bytes) - 1 LOOP
        crc := crc # get_byte(bytes, i);
        FOR bit IN 1 .. 8 LOOP
            crc := CASE WHEN crc & 1 = 1 THEN (crc >> 1) # x'82f63b78'::bigint ELSE crc >> 1 END;
        END LOOP;
    END LOOP;
    crc := crc # x'ffffffff'::bigint;
    RETURN set_byte(set_byte(set_byte(set_byte('\x00000000'::bytea, 0, (crc & 255)::int), 1, (crc >> 8 & 255)::int),
        2, (crc >> 16 & 255)::int), 3, (crc >> 24)::int);
END $$;
CREATE FUNCTION pg_temp.forge(kind text, body bytea) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.encode_cursor(kind, body || pg_temp.crc32c(kind::bytea || body)) $$;
CREATE FUNCTION pg_temp.body(cursor text) RETURNS bytea LANGUAGE sql AS $$
    SELECT substr(pg_temp.decode_cursor(cursor), 1, length(pg_temp.decode_cursor(cursor)) - 4) $$;
SELECT pg_temp.forge('s1.', pg_temp.body(:'stream')) = :'stream' AS stream, pg_temp.forge('p1.', pg_temp.body(:'page')) = :'page' AS page;

SELECT pg_temp.refusal('SELECT wflog.tail(%L, %L)', 'cursors-1', pg_temp.forge('s1.', substr(b.body, 1, n))) AS stream_cut
FROM (SELECT pg_temp.body(:'stream') AS body) b, generate_series(0, length(b.body) - 1) n
GROUP BY 1 ORDER BY 1;
SELECT pg_temp.refusal('SELECT wflog.logs(%L, after => %L)', 'cursors-1', pg_temp.forge('p1.', substr(b.body, 1, n))) AS page_cut
FROM (SELECT pg_temp.body(:'page') AS body) b, generate_series(0, length(b.body) - 1) n
GROUP BY 1 ORDER BY 1;
SELECT pg_temp.refusal('SELECT wflog.tail(%L, %L)', 'cursors-1', pg_temp.forge('s1.', pg_temp.body(:'stream') || '\x00')) AS stream_lengthened,
    pg_temp.refusal('SELECT wflog.logs(%L, after => %L)', 'cursors-1', pg_temp.forge('p1.', pg_temp.body(:'page') || '\x00')) AS page_lengthened;
-- an endless number, more hidden transactions than there are bytes, one hidden beyond what is seen
SELECT pg_temp.refusal('SELECT wflog.tail(%L, %L)', 'cursors-1',
        pg_temp.forge('s1.', substr(pg_temp.body(:'stream'), 1, 9) || forged)) AS stream_forged
FROM (VALUES (1, '\xffffffffffffffffffffffffff'::bytea), (2, '\x010100648080808010000000'::bytea),
        (3, '\x0101006402016401640000000000'::bytea), (4, '\x01010064017f640000000000'::bytea)) AS f(i, forged)
ORDER BY i;
SELECT count(*) > 500 AS many, count(*) FILTER (WHERE refusal !~ '^(WF001|WF002|40001|no error)') AS failures
FROM (SELECT pg_temp.refusal('SELECT wflog.tail(%L, %L)', 'cursors-1',
            pg_temp.forge('s1.', set_byte(b.body, n, (get_byte(b.body, n) + step) % 256))) AS refusal
      FROM (SELECT pg_temp.body(:'stream') AS body) b, generate_series(0, length(b.body) - 1) n,
          generate_series(1, 255, 7) step) r;
SELECT count(*) > 500 AS many, count(*) FILTER (WHERE refusal !~ '^(WF001|no error)') AS failures
FROM (SELECT pg_temp.refusal('SELECT wflog.logs(%L, after => %L)', 'cursors-1',
            pg_temp.forge('p1.', set_byte(b.body, n, (get_byte(b.body, n) + step) % 256))) AS refusal
      FROM (SELECT pg_temp.body(:'page') AS body) b, generate_series(0, length(b.body) - 1) n,
          generate_series(1, 255, 7) step) r;

-- Nothing of this needs an execution with logs, and none may be learnt from it:
-- an execution one may not see refuses a bad cursor as one that does not exist.
CREATE ROLE regress_cursors IN ROLE wflog_reader;
SET SESSION AUTHORIZATION regress_cursors;
DO $$
DECLARE
    id text;
    cursor text;
BEGIN
    FOREACH id IN ARRAY ARRAY['cursors-1', 'cursors-unknown'] LOOP
        FOREACH cursor IN ARRAY ARRAY['', 'p1.AAAA', 's1.AAAA', 's1.AAAAAAAAAAAAAAAAAAAAAA'] LOOP
            BEGIN
                PERFORM wflog.tail(id, cursor);
                RAISE INFO '%: no error', id;
            EXCEPTION WHEN SQLSTATE 'WF001' THEN
                RAISE INFO '%: %', id, SQLERRM;
            END;
        END LOOP;
    END LOOP;
END $$;
RESET SESSION AUTHORIZATION;
DROP ROLE regress_cursors;
