# What tail() should give, as a model in the database that is tested: what has
# been committed and removed, and what each reader has got.  The functions of
# schema "model" read for a reader, as whoever calls them sees it, and raise an
# exception when it gets what it should not, or has not what it should.

package TailModel;

use strict;
use warnings;

# Make it, in a database that has the extension.
sub create
{
	my ($node) = @_;
	$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA model;

-- What is committed; order is kept among the logs of one stream.  Retention has
-- removed what has a number in removed.
CREATE TABLE model.committed (n int PRIMARY KEY, execution text, stream text, removed int);
CREATE SEQUENCE model.removals;
CREATE INDEX ON model.committed (execution, n);
-- Where each reader is, and what it got as its how manieth log.  It has begun
-- after the removals up to born.
CREATE TABLE model.cursors (reader int, execution text, cursor text, got int, born int DEFAULT 0,
	gaps int DEFAULT 0, PRIMARY KEY (reader, execution));
CREATE TABLE model.delivered (reader int, execution text, n int, place int, PRIMARY KEY (reader, n));
CREATE INDEX ON model.delivered (reader, execution);

-- Read a page, of which only the first logs arrive.  Returns how many did.
CREATE FUNCTION model.read(who int, what text, page int, keep int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	at model.cursors;
	early int[];
	arrived int;
	next_cursor text;
BEGIN
	SELECT * INTO at FROM model.cursors WHERE reader = who AND execution = what;
	IF at.cursor IS NULL THEN	-- begins only now
		UPDATE model.cursors SET born = (SELECT coalesce(max(removed), 0) FROM model.committed)
		WHERE reader = who AND execution = what;
	END IF;
	WITH page AS MATERIALIZED (
		SELECT t.cursor, (t.log->>'message')::int AS n, t.i
		FROM wflog.tail(what, at.cursor, page) WITH ORDINALITY AS t(cursor, log, batch, i)),
	kept AS (
		INSERT INTO model.delivered SELECT who, what, p.n, at.got + p.i FROM page p WHERE p.i <= keep)
	SELECT array_agg(p.n) FILTER (WHERE NOT EXISTS (SELECT FROM model.committed c WHERE c.n = p.n AND c.execution = what)),
		count(*) FILTER (WHERE p.i <= keep), max(p.cursor) FILTER (WHERE p.i = least(keep, total))
	INTO early, arrived, next_cursor FROM page p, LATERAL (SELECT count(*) AS total FROM page) t;
	IF early IS NOT NULL THEN
		RAISE EXCEPTION 'reader % of %: not committed: %', who, what, early;
	END IF;
	IF arrived > 0 THEN
		UPDATE model.cursors SET cursor = next_cursor, got = got + arrived WHERE reader = who AND execution = what;
	END IF;
	RETURN arrived;
EXCEPTION WHEN SQLSTATE 'WF002' THEN
	-- Only who was there before a removal can have missed something by it.
	IF NOT EXISTS (SELECT FROM model.committed c WHERE c.execution = what AND c.removed > at.born) THEN
		RAISE EXCEPTION 'reader % of %: told of a gap where there is none', who, what;
	END IF;
	DELETE FROM model.delivered WHERE reader = who AND execution = what;
	UPDATE model.cursors SET cursor = NULL, got = 0, gaps = gaps + 1 WHERE reader = who AND execution = what;
	RETURN 1;
END $$;

-- Read to the end by pages of these sizes: now all that is committed is here.
CREATE FUNCTION model.drain(who int, what text, sizes int[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	i int := 0;
	lost int[];
	disordered int[];
BEGIN
	WHILE model.read(who, what, sizes[1 + i % cardinality(sizes)], 10000) > 0 LOOP
		i := i + 1;
	END LOOP;
	SELECT array_agg(c.n) INTO lost FROM model.committed c
	WHERE c.execution = what AND NOT EXISTS (SELECT FROM model.delivered d WHERE d.reader = who AND d.n = c.n)
		AND NOT coalesce(c.removed <= (SELECT born FROM model.cursors WHERE reader = who AND execution = what), false);
	IF lost IS NOT NULL THEN
		RAISE EXCEPTION 'reader % of %: lost: %', who, what, lost;
	END IF;
	SELECT array_agg(o.n) INTO disordered FROM (
		SELECT c.n, lag(c.n) OVER (PARTITION BY c.stream ORDER BY d.place) AS before
		FROM model.delivered d JOIN model.committed c USING (n) WHERE d.reader = who AND d.execution = what) o
	WHERE o.before > o.n;
	IF disordered IS NOT NULL THEN
		RAISE EXCEPTION 'reader % of %: out of order: %', who, what, disordered;
	END IF;
END $$;

-- Forget everything and begin anew: with tail(), or with a page of the other
-- order, if all fits on it, and the stream from there.
CREATE FUNCTION model.restart(who int, what text, by_page bool) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	page json;
BEGIN
	DELETE FROM model.delivered WHERE reader = who AND execution = what;
	DELETE FROM model.cursors WHERE reader = who AND execution = what;
	IF by_page THEN
		page := wflog.logs_json(what, 1000, with_total => false);
	END IF;
	IF NOT by_page OR (page->'pagination'->>'has_more')::bool THEN
		INSERT INTO model.cursors VALUES (who, what, NULL, 0);
		RETURN;
	END IF;
	-- A page shows one's own uncommitted logs; the stream will bring them.
	INSERT INTO model.delivered
	SELECT who, what, (e->>'message')::int, row_number() OVER (ORDER BY (e->>'message')::int)
	FROM json_array_elements(page->'logs') e
	WHERE (e->>'message')::int IN (SELECT n FROM model.committed);
	INSERT INTO model.cursors VALUES (who, what, page->'pagination'->>'stream_cursor',
		(SELECT count(*) FROM model.delivered WHERE reader = who AND execution = what),
		(SELECT coalesce(max(removed), 0) FROM model.committed));
END $$;
SQL
	return;
}

1;
