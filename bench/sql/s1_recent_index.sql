-- The eleventh index of S1.
CREATE INDEX idx_execution_logs_recent
ON s1.workflow_execution_logs(execution_id, created_at, log_category)
WHERE created_at >= NOW() - INTERVAL '30 days';
