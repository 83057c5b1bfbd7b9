-- The same as the queries an application would send.
SELECT level, count(*) FROM s1.workflow_execution_logs WHERE execution_id = EXECUTION GROUP BY level;
SELECT event_type, count(*) FROM s1.workflow_execution_logs WHERE execution_id = EXECUTION GROUP BY event_type;
SELECT created_at, coalesce(user_friendly_message, message), event_type FROM s1.workflow_execution_logs
  WHERE execution_id = EXECUTION AND is_milestone = TRUE ORDER BY created_at;
SELECT node_id, max(node_name), count(*), max(step_number), bool_or(event_type = 'step_error'),
  bool_or(event_type = 'step_completed') FROM s1.workflow_execution_logs
  WHERE execution_id = EXECUTION AND node_id IS NOT NULL GROUP BY node_id;
SELECT count(*), min(created_at), max(created_at) FROM s1.workflow_execution_logs WHERE execution_id = EXECUTION;
