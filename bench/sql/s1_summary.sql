-- S1's LogsSummaryResponse in one statement: its logs read once.
WITH l AS MATERIALIZED (
  SELECT level, event_type, node_id, node_name, step_number, is_milestone, created_at,
         coalesce(user_friendly_message, message) AS message
  FROM s1.workflow_execution_logs WHERE execution_id = EXECUTION)
SELECT json_build_object(
  'execution_id', EXECUTION::text,
  'total_logs', (SELECT count(*) FROM l),
  'log_levels', (SELECT json_object_agg(lower(level::text), n)
                 FROM (SELECT level, count(*) AS n FROM l GROUP BY level) AS s),
  'event_types', (SELECT json_object_agg(event_type, n)
                  FROM (SELECT event_type, count(*) AS n FROM l GROUP BY event_type) AS s),
  'milestones', (SELECT json_agg(json_build_object('timestamp', created_at, 'message', message,
                                                   'event_type', event_type) ORDER BY created_at)
                 FROM l WHERE is_milestone),
  'nodes', (SELECT json_object_agg(node_id, json_build_object('node_name', node_name,
              'logs_count', n, 'step_number', step_number,
              'status', CASE WHEN failed THEN 'failed' WHEN completed THEN 'completed'
                             ELSE 'running' END))
            FROM (SELECT node_id, max(node_name) AS node_name, count(*) AS n,
                         max(step_number) AS step_number,
                         bool_or(event_type = 'step_error') AS failed,
                         bool_or(event_type = 'step_completed') AS completed
                  FROM l WHERE node_id IS NOT NULL GROUP BY node_id) AS s),
  'timeline', (SELECT json_build_object('first_log', min(created_at), 'last_log', max(created_at),
                 'duration_estimate', extract(epoch FROM max(created_at) - min(created_at)))
               FROM l));
