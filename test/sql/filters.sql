-- logs() and logs_json() with every filter, alone and combined, against plain
-- SQL over the same random logs.  Nothing is printed but what differs.
\pset null (null)
SELECT setseed(0.42) \gset
CREATE FUNCTION pg_temp.pick(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE AS
$$ SELECT choices[1 + floor(random() * cardinality(choices))::int] $$;

CREATE TEMP TABLE clock AS SELECT date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + interval '6 hours' AS t;

-- How to make n random logs between two times.  Many share their time, ids are
-- in no order, and every column that a filter looks at is sometimes null.
CREATE PROCEDURE pg_temp.make_logs(n int, since_then interval, until_then interval) LANGUAGE plpgsql AS $$
DECLARE
    since timestamptz := (SELECT t FROM clock) + since_then;
    until timestamptz := (SELECT t FROM clock) + until_then;
BEGIN
    FOR i IN 1 .. n LOOP
        INSERT INTO wflog.workflow_execution_logs (id, execution_id, log_category, event_type, level, message, user_friendly_message,
            node_id, source, attempt, is_milestone, display_priority, created_at)
        VALUES (gen_random_uuid(), 'filters ' || pg_temp.pick('1', '1', '1', '1', '2', '2', '3', '4', '5'),
            pg_temp.pick('technical', 'technical', 'business'),
            pg_temp.pick('log', 'log', 'log', 'step_started', 'step_completed', 'separator')::wflog.log_event_type_enum,
            pg_temp.pick('DEBUG', 'DEBUG', 'INFO', 'INFO', 'INFO', 'INFO', 'WARNING', 'ERROR', 'CRITICAL')::wflog.log_level_enum,
            pg_temp.pick('alpha', 'Beta', 'GAMMA', 'delta 100%', 'é_psilon', '') || ' ' || pg_temp.pick('one', 'Two', 'alphabet', 'back\slash', 'ünder'),
            pg_temp.pick(NULL, NULL, '', 'one and two', 'Alpha gamma', 'ÉPSILON'),
            pg_temp.pick(NULL, 'n1', 'n2', 'N1', ''), pg_temp.pick(NULL, NULL, 'worker', 'scheduler', 'plugin:a/b.c'),
            pg_temp.pick(NULL, '1', '1', '2', '3')::int, random() < 0.1, 1 + floor(random() * 10)::int,
            CASE WHEN random() < 0.3 THEN date_trunc('hour', since + random() * (until - since)) + interval '30 minutes'
                 ELSE since + random() * (until - since) END);
    END LOOP;
END
$$;
-- 1,600 logs of five days, which maintain() puts into a leaf a day; a leaf
-- whose columns are in another order; then logs that fall into leaves and
-- into gaps, for which there is only the default leaf; some are rolled back,
-- deleted and updated.
CALL pg_temp.make_logs(1600, '-5 days', '0');
DO $$
DECLARE
    day timestamptz := (SELECT t FROM clock) - interval '6 hours' + interval '20 days';
BEGIN
    EXECUTE (SELECT format('CREATE TABLE wflog.filters_leaf (gone int, %s)',
                           string_agg(format('%I %s %s', attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'NOT NULL' END), ', ' ORDER BY attname))
             FROM pg_attribute WHERE attrelid = 'wflog.workflow_execution_logs'::regclass AND attnum > 0 AND NOT attisdropped);
    ALTER TABLE wflog.filters_leaf DROP COLUMN gone;
    EXECUTE (SELECT format('ALTER TABLE wflog.filters_leaf ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid))
             FROM pg_constraint WHERE conrelid = 'wflog.workflow_execution_logs'::regclass AND contype = 'c');
    EXECUTE format('ALTER TABLE wflog.workflow_execution_logs_rows ATTACH PARTITION wflog.filters_leaf FOR VALUES FROM (%L) TO (%L)', day, day + interval '1 day');
END
$$;
SET client_min_messages = warning;
CALL wflog.maintain();
RESET client_min_messages;
CALL pg_temp.make_logs(400, '-5 days', '2 days');
CALL pg_temp.make_logs(300, '-20 days', '-5 days');
CALL pg_temp.make_logs(200, '10 days', '15 days');
CALL pg_temp.make_logs(300, '20 days', '20 days 12 hours');
BEGIN;
CALL pg_temp.make_logs(200, '-5 days', '0');
ROLLBACK;
CALL pg_temp.make_logs(300, '-5 days', '15 days');
DELETE FROM wflog.workflow_execution_logs WHERE execution_id LIKE 'filters _' AND random() < 0.03;
UPDATE wflog.workflow_execution_logs SET level = 'ERROR', created_at = created_at + interval '1 day' WHERE execution_id LIKE 'filters _' AND random() < 0.03;
SELECT count(DISTINCT tableoid) > 6 AS several_leaves, count(*) > 2500 AS enough, count(*) FILTER (WHERE tableoid = 'wflog.workflow_execution_logs_default'::regclass) > 300 AS in_default_leaf,
       count(*) FILTER (WHERE tableoid = 'wflog.filters_leaf'::regclass) > 200 AS in_other_order, count(DISTINCT execution_id) AS executions
FROM wflog.workflow_execution_logs WHERE execution_id LIKE 'filters _';

-- What one call asks for, and the same as SQL
CREATE TYPE pg_temp.request AS (execution_id text, level text, min_level text, start_time timestamptz, end_time timestamptz, category text,
    event_type text, node_id text, source text, attempt int, milestones_only boolean, min_priority int, search text);
CREATE FUNCTION pg_temp.random_request(density float) RETURNS pg_temp.request LANGUAGE plpgsql AS $$
DECLARE
    r pg_temp.request;
    any_time timestamptz;
BEGIN
    r.execution_id := 'filters ' || pg_temp.pick('1', '1', '2', '3', '4', '5', 'none');
    IF random() < density THEN r.level := pg_temp.pick('debug', 'INFO', 'warn', 'Warning', 'error', 'CRITICAL', 'fatal', 'trace'); END IF;
    IF random() < density THEN r.min_level := pg_temp.pick('DEBUG', 'info', 'WARN', 'ERROR', 'error', 'critical'); END IF;
    IF random() < density THEN r.category := pg_temp.pick('technical', 'business'); END IF;
    IF random() < density THEN r.event_type := pg_temp.pick('log', 'STEP_STARTED', 'separator', 'step_error'); END IF;
    IF random() < density THEN r.node_id := pg_temp.pick('n1', 'N1', 'n2', 'n3'); END IF;
    IF random() < density THEN r.source := pg_temp.pick('worker', 'scheduler', 'plugin:a/b.c', 'work'); END IF;
    IF random() < density THEN r.attempt := pg_temp.pick('1', '2', '9'); END IF;
    IF random() < density THEN r.milestones_only := random() < 0.8; END IF;
    IF random() < density THEN r.min_priority := 1 + floor(random() * 10); END IF;
    IF random() < density THEN r.search := pg_temp.pick('alpha', 'ALPHA one', '  two   alpha ', 'gamma', '100%', '_', 'back\slash', 'psilon', 'é', 'nothing', E'one\ttwo', 'a e'); END IF;
    -- bounds are sometimes exactly those of a log, or a microsecond beside it
    IF random() < density THEN
        SELECT created_at INTO any_time FROM wflog.workflow_execution_logs WHERE execution_id LIKE 'filters _' ORDER BY random() LIMIT 1;
        r.start_time := any_time + pg_temp.pick('0', '0', '1 microsecond', '-1 microsecond', '-3 days')::interval;
    END IF;
    IF random() < density THEN
        SELECT created_at INTO any_time FROM wflog.workflow_execution_logs WHERE execution_id LIKE 'filters _' AND created_at >= coalesce(r.start_time, '-infinity') ORDER BY random() LIMIT 1;
        r.end_time := greatest(r.start_time, any_time + pg_temp.pick('0', '0', '1 microsecond', '-1 microsecond', '2 days')::interval);
    END IF;
    RETURN r;
END
$$;
CREATE FUNCTION pg_temp.by_sql(r pg_temp.request) RETURNS uuid[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(l.id ORDER BY l.created_at, l.id), '{}')
    FROM wflog.workflow_execution_logs l
    WHERE l.execution_id = r.execution_id
      AND (r.level IS NULL OR l.level::text = CASE upper(r.level) WHEN 'WARN' THEN 'WARNING' WHEN 'FATAL' THEN 'CRITICAL' WHEN 'TRACE' THEN 'DEBUG' ELSE upper(r.level) END)
      AND (r.min_level IS NULL OR l.level >= (CASE upper(r.min_level) WHEN 'WARN' THEN 'WARNING' ELSE upper(r.min_level) END)::wflog.log_level_enum)
      AND (r.start_time IS NULL OR l.created_at >= r.start_time)
      AND (r.end_time IS NULL OR l.created_at <= r.end_time)
      AND (r.category IS NULL OR l.log_category = r.category)
      AND (r.event_type IS NULL OR l.event_type::text = lower(r.event_type))
      AND (r.node_id IS NULL OR l.node_id = r.node_id)
      AND (r.source IS NULL OR l.source = r.source)
      AND (r.attempt IS NULL OR l.attempt = r.attempt)
      AND (r.milestones_only IS NOT TRUE OR l.is_milestone)
      AND (r.min_priority IS NULL OR l.display_priority >= r.min_priority)
      AND (r.search IS NULL OR NOT EXISTS (
            SELECT FROM regexp_split_to_table(trim(both E' \t' from lower(r.search)), '\s+') AS word
            WHERE strpos(lower(l.message), word) = 0 AND strpos(lower(coalesce(l.user_friendly_message, '')), word) = 0))
$$;
CREATE FUNCTION pg_temp.by_rows(r pg_temp.request, max_rows int DEFAULT NULL, skip bigint DEFAULT 0, after text DEFAULT NULL, before text DEFAULT NULL) RETURNS uuid[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(l.id ORDER BY l.ordinality), '{}')
    FROM wflog.logs(r.execution_id, max_rows, skip, r.level, r.min_level, r.start_time, r.end_time, r.category, r.event_type, r.node_id, r.source, r.attempt, r.milestones_only, r.min_priority, r.search, after, before) WITH ORDINALITY AS l
$$;
CREATE FUNCTION pg_temp.by_page(r pg_temp.request, max_rows int DEFAULT 100, skip bigint DEFAULT 0, after text DEFAULT NULL, before text DEFAULT NULL, from_end boolean DEFAULT false, with_total boolean DEFAULT true) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT wflog.logs_json(r.execution_id, max_rows, skip, r.level, r.min_level, r.start_time, r.end_time, r.category, r.event_type, r.node_id, r.source, r.attempt, r.milestones_only, r.min_priority, r.search, after, before, from_end, false, with_total)
$$;
CREATE FUNCTION pg_temp.ids(page json) RETURNS uuid[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg((log.value ->> 'id')::uuid ORDER BY log.ordinality), '{}') FROM json_array_elements(page -> 'logs') WITH ORDINALITY AS log
$$;

CREATE TEMP TABLE differences (what text, request text);
CREATE PROCEDURE pg_temp.compare(what text, got anyelement, wanted anyelement, r pg_temp.request) LANGUAGE plpgsql AS $$
BEGIN
    IF got IS DISTINCT FROM wanted THEN
        INSERT INTO differences VALUES (format('%s: got %s, wanted %s', what, left(got::text, 200), left(wanted::text, 200)), r::text);
    END IF;
END
$$;
CREATE PROCEDURE pg_temp.try(r pg_temp.request) LANGUAGE plpgsql AS $$
DECLARE
    wanted uuid[] := pg_temp.by_sql(r);
    n int := cardinality(wanted);
    size int := greatest(1 + floor(random() * greatest(5, n / 3)), n / 25)::int;
    skip int := floor(random() * (n + 3));
    page json;
    cursor text;
    back text;
    seen uuid[] := '{}';
    pages int := 0;
BEGIN
    CALL pg_temp.compare('logs()', pg_temp.by_rows(r), wanted, r);
    CALL pg_temp.compare('logs(max_rows, skip)', pg_temp.by_rows(r, size, skip), coalesce(wanted[skip + 1 : skip + size], '{}'), r);
    CALL pg_temp.compare('logs(skip)', pg_temp.by_rows(r, NULL, skip), coalesce(wanted[skip + 1 :], '{}'), r);
    IF r.execution_id = 'filters none' THEN
        RETURN;
    END IF;

    -- one page, from the start and by offset
    size := least(size, 1000);
    page := pg_temp.by_page(r, size, skip);
    CALL pg_temp.compare('page by offset', pg_temp.ids(page), coalesce(wanted[skip + 1 : skip + size], '{}'), r);
    CALL pg_temp.compare('total_count', (page ->> 'total_count')::int, n, r);
    CALL pg_temp.compare('has_more', (page -> 'pagination' ->> 'has_more')::boolean, skip + size < n, r);
    CALL pg_temp.compare('limit, offset', concat_ws(' ', page -> 'pagination' ->> 'limit', page -> 'pagination' ->> 'offset'), concat_ws(' ', size, skip), r);
    CALL pg_temp.compare('total_count null', (pg_temp.by_page(r, size, skip, with_total => false) -> 'total_count')::text, 'null', r);
    page := pg_temp.by_page(r, size, skip, from_end => true);
    CALL pg_temp.compare('page from the end', pg_temp.ids(page), coalesce(wanted[greatest(n - skip - size + 1, 1) : n - skip], '{}'), r);
    CALL pg_temp.compare('total_count from the end', (page ->> 'total_count')::int, n, r);
    CALL pg_temp.compare('has_more from the end', (page -> 'pagination' ->> 'has_more')::boolean, skip + size < n, r);

    -- forward by cursor to the end
    LOOP
        page := pg_temp.by_page(r, size, after => cursor);
        CALL pg_temp.compare('cursor page equals offset page', pg_temp.ids(page), pg_temp.ids(pg_temp.by_page(r, size, cardinality(seen))), r);
        seen := seen || pg_temp.ids(page);
        CALL pg_temp.compare('total_count of a cursor page', (page ->> 'total_count')::int, n, r);
        CALL pg_temp.compare('has_more of a cursor page', (page -> 'pagination' ->> 'has_more')::boolean, cardinality(seen) < n, r);
        CALL pg_temp.compare('prev_cursor of a cursor page', (page -> 'pagination' ->> 'prev_cursor') IS NOT NULL, pages > 0 AND pg_temp.ids(page) <> '{}', r);
        CALL pg_temp.compare('next_cursor and has_more', (page -> 'pagination' ->> 'next_cursor') IS NOT NULL, (page -> 'pagination' ->> 'has_more')::boolean, r);
        pages := pages + 1;
        cursor := page -> 'pagination' ->> 'next_cursor';
        EXIT WHEN cursor IS NULL OR pages > 5000;
        back := cursor;
    END LOOP;
    CALL pg_temp.compare('forward', seen, wanted, r);

    -- and back to the start from the end
    seen := pg_temp.ids(page);
    cursor := page -> 'pagination' ->> 'prev_cursor';
    WHILE cursor IS NOT NULL AND pages > 0 LOOP
        page := pg_temp.by_page(r, size, before => cursor);
        CALL pg_temp.compare('logs(before) equals the page', pg_temp.by_rows(r, size, before => cursor), pg_temp.ids(page), r);
        seen := pg_temp.ids(page) || seen;
        CALL pg_temp.compare('has_more backward', (page -> 'pagination' ->> 'has_more')::boolean, cardinality(seen) < n, r);
        CALL pg_temp.compare('next_cursor backward', (page -> 'pagination' ->> 'next_cursor') IS NOT NULL, pg_temp.ids(page) <> '{}', r);
        cursor := page -> 'pagination' ->> 'prev_cursor';
        pages := pages - 1;
    END LOOP;
    CALL pg_temp.compare('backward', seen, wanted, r);

    -- from the end by its own cursors
    seen := '{}';
    cursor := NULL;
    FOR i IN 1 .. 5000 LOOP
        page := pg_temp.by_page(r, size, before => cursor, from_end => true);
        seen := pg_temp.ids(page) || seen;
        cursor := page -> 'pagination' ->> 'prev_cursor';
        EXIT WHEN cursor IS NULL;
    END LOOP;
    CALL pg_temp.compare('backward from the end', seen, wanted, r);

    -- a window between two cursors
    IF n >= 3 THEN
        page := pg_temp.by_page(r, 1);
        cursor := page -> 'pagination' ->> 'next_cursor';
        back := pg_temp.by_page(r, 1, from_end => true) -> 'pagination' ->> 'prev_cursor';
        CALL pg_temp.compare('after and before', pg_temp.by_rows(r, after => cursor, before => back), wanted[2 : n - 1], r);
        CALL pg_temp.compare('after, before and from_end', pg_temp.ids(pg_temp.by_page(r, size, after => cursor, before => back, from_end => true)), wanted[greatest(2, n - size) : n - 1], r);
        CALL pg_temp.compare('after, before and skip', pg_temp.by_rows(r, size, 1, cursor, back), coalesce(wanted[3 : least(n - 1, 2 + size)], '{}'), r);
    END IF;
END
$$;

-- Each filter alone, then combinations of a few and of many
DO $$
BEGIN
    FOR i IN 1 .. 5 LOOP
        CALL pg_temp.try(ROW('filters ' || i, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::pg_temp.request);
    END LOOP;
    FOR i IN 1 .. 60 LOOP
        CALL pg_temp.try(pg_temp.random_request(0.08));
    END LOOP;
    FOR i IN 1 .. 100 LOOP
        CALL pg_temp.try(pg_temp.random_request(0.18));
    END LOOP;
    FOR i IN 1 .. 60 LOOP
        CALL pg_temp.try(pg_temp.random_request(0.5));
    END LOOP;
END
$$;
SELECT * FROM differences LIMIT 10;

-- The same when all is vacuumed, so that counting and skipping do without the rows
VACUUM (FREEZE) wflog.workflow_execution_logs;
DO $$
BEGIN
    FOR i IN 1 .. 50 LOOP
        CALL pg_temp.try(pg_temp.random_request(CASE WHEN i < 30 THEN 0.07 ELSE 0.2 END));
    END LOOP;
END
$$;
SELECT * FROM differences LIMIT 10;

-- and after more changes, within the transaction that makes them
BEGIN;
DELETE FROM wflog.workflow_execution_logs WHERE execution_id LIKE 'filters _' AND random() < 0.1;
UPDATE wflog.workflow_execution_logs SET is_milestone = true WHERE execution_id LIKE 'filters _' AND random() < 0.1;
CALL pg_temp.make_logs(200, '-20 days', '20 days');
DO $$
BEGIN
    FOR i IN 1 .. 50 LOOP
        CALL pg_temp.try(pg_temp.random_request(CASE WHEN i < 30 THEN 0.07 ELSE 0.2 END));
    END LOOP;
END
$$;
SELECT * FROM differences LIMIT 10;
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
DO $$
BEGIN
    FOR i IN 1 .. 20 LOOP
        CALL pg_temp.try(pg_temp.random_request(0.1));
    END LOOP;
END
$$;
SELECT * FROM differences LIMIT 10;
COMMIT;

-- The comparison notices a difference
CALL pg_temp.compare('test', 1, 2, NULL);
SELECT what FROM differences;

DELETE FROM wflog.workflow_execution_logs WHERE execution_id LIKE 'filters _';
DROP TABLE wflog.filters_leaf;
