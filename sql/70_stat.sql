/*
 * Monitoring (src/stat.c).
 */
CREATE FUNCTION wflog.stat_get(
    OUT running               pg_catalog.bool,
    OUT hint                  pg_catalog.text,
    OUT launcher_pid          pg_catalog.int4,
    OUT worker_pid            pg_catalog.int4,
    OUT keeper_pid            pg_catalog.int4,
    OUT scope                 pg_catalog.text,
    OUT asked                 pg_catalog.int8,
    OUT queue_size            pg_catalog.int8,
    OUT queue_depth           pg_catalog.int8,
    OUT queue_high_water      pg_catalog.int8,
    OUT overflows             pg_catalog.int8,
    OUT batches               pg_catalog.int8,
    OUT logs_notified         pg_catalog.int8,
    OUT notifications         pg_catalog.int8,
    OUT batches_skipped       pg_catalog.int8,
    OUT notify_lag_mean       pg_catalog.interval,
    OUT notify_lag_p99        pg_catalog.interval,
    OUT notify_lag_max        pg_catalog.interval,
    OUT fold_lag              pg_catalog.interval,
    OUT fold_hints            pg_catalog.int8,
    OUT folds                 pg_catalog.int8,
    OUT logs_folded           pg_catalog.int8,
    OUT maintenance_started   pg_catalog.timestamptz,
    OUT maintenance_ended     pg_catalog.timestamptz,
    OUT maintenance_result    pg_catalog.text,
    OUT maintenance_next      pg_catalog.timestamptz,
    OUT last_error            pg_catalog.text,
    OUT last_error_in         pg_catalog.text,
    OUT last_error_at         pg_catalog.timestamptz,
    OUT stats_reset           pg_catalog.timestamptz
) LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'wflog_stat_get';
COMMENT ON FUNCTION wflog.stat_get() IS
    'the row of the view wflog.stat';

CREATE VIEW wflog.stat AS SELECT * FROM wflog.stat_get();
COMMENT ON VIEW wflog.stat IS
    'what the worker and the keeper of this database are doing; always one row';

CREATE FUNCTION wflog.stat_reset() RETURNS pg_catalog.void
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'wflog_stat_reset';
COMMENT ON FUNCTION wflog.stat_reset() IS
    'sets the counters in wflog.stat to zero';
