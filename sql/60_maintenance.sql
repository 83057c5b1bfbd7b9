/*
 * Partitions and retention (src/maintain.c, src/partitions.c, src/make_leaf.c,
 * src/retention.c, src/preview.c).
 */
CREATE PROCEDURE wflog.maintain(retention_days pg_catalog.int4 DEFAULT NULL)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wflog_maintain_procedure';
COMMENT ON PROCEDURE wflog.maintain(pg_catalog.int4) IS
    'makes partitions ahead, empties the default one and removes old logs; outside a transaction block, in several short transactions';

CREATE FUNCTION wflog.retention_preview(retention_days pg_catalog.int4 DEFAULT NULL)
    RETURNS TABLE (action pg_catalog.text, target pg_catalog.text, day pg_catalog.date,
                   logs pg_catalog.int8, bytes pg_catalog.int8)
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'wflog_retention_preview';
COMMENT ON FUNCTION wflog.retention_preview(pg_catalog.int4) IS
    'what maintain() with the same argument would remove';
