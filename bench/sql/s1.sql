-- S1's schema as its document gives it: table, enums, all its indexes, its
-- policies.  What the document takes for granted (workflows, executions,
-- Supabase's auth functions) is here in its usual form.

CREATE SCHEMA auth;
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$
  SELECT coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')
  )::uuid
$$;
CREATE FUNCTION auth.role() RETURNS text LANGUAGE sql STABLE AS $$
  SELECT coalesce(
    nullif(current_setting('request.jwt.claim.role', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role')
  )::text
$$;
GRANT USAGE ON SCHEMA auth TO PUBLIC;

CREATE SCHEMA s1;
GRANT USAGE ON SCHEMA s1 TO PUBLIC;
SET search_path = s1;

CREATE TYPE log_level_enum AS ENUM ('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL');
CREATE TYPE log_event_type_enum AS ENUM (
    'workflow_started', 'workflow_completed', 'workflow_progress', 'step_started',
    'step_input', 'step_output', 'step_completed', 'step_error', 'separator');

CREATE TABLE workflows (
    id text PRIMARY KEY,
    user_id uuid NOT NULL,
    name text
);
CREATE INDEX ON workflows (user_id);
CREATE TABLE workflow_executions (
    execution_id varchar(255) PRIMARY KEY,
    workflow_id text NOT NULL REFERENCES workflows,
    status text
);
CREATE INDEX ON workflow_executions (workflow_id);

CREATE TABLE workflow_execution_logs (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    execution_id VARCHAR(255) NOT NULL,
    log_category VARCHAR(20) NOT NULL DEFAULT 'technical',
    event_type log_event_type_enum NOT NULL,
    level log_level_enum NOT NULL DEFAULT 'INFO',
    message TEXT NOT NULL,
    data JSONB DEFAULT '{}',
    node_id VARCHAR(255),
    node_name VARCHAR(255),
    node_type VARCHAR(100),
    step_number INTEGER,
    total_steps INTEGER,
    progress_percentage DECIMAL(5,2),
    duration_seconds INTEGER,
    user_friendly_message TEXT,
    display_priority INTEGER NOT NULL DEFAULT 5,
    is_milestone BOOLEAN NOT NULL DEFAULT FALSE,
    technical_details JSONB DEFAULT '{}',
    stack_trace TEXT,
    performance_metrics JSONB DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);

CREATE INDEX idx_execution_logs_execution_id ON workflow_execution_logs (execution_id);
CREATE INDEX idx_execution_logs_category ON workflow_execution_logs (log_category);
CREATE INDEX idx_execution_logs_event_type ON workflow_execution_logs (event_type);
CREATE INDEX idx_execution_logs_level ON workflow_execution_logs (level);
CREATE INDEX idx_execution_logs_priority ON workflow_execution_logs (display_priority);
CREATE INDEX idx_execution_logs_milestone ON workflow_execution_logs (is_milestone);
CREATE INDEX idx_execution_logs_created_at ON workflow_execution_logs (created_at);

CREATE INDEX idx_execution_logs_business_query
ON workflow_execution_logs(execution_id, log_category, display_priority)
WHERE log_category = 'business';

CREATE INDEX idx_execution_logs_technical_query
ON workflow_execution_logs(execution_id, log_category, level)
WHERE log_category = 'technical';

CREATE INDEX idx_execution_logs_milestones
ON workflow_execution_logs(execution_id, is_milestone, display_priority)
WHERE is_milestone = TRUE;

ALTER TABLE workflow_execution_logs ENABLE ROW LEVEL SECURITY;

CREATE POLICY "Users can view their own execution logs" ON workflow_execution_logs
FOR SELECT USING (
    EXISTS (
        SELECT 1
        FROM workflow_executions we
        JOIN workflows w ON w.id = we.workflow_id
        WHERE we.execution_id = workflow_execution_logs.execution_id
        AND w.user_id = auth.uid()
    )
);
CREATE POLICY "Service can insert execution logs" ON workflow_execution_logs
FOR INSERT WITH CHECK (auth.role() = 'service_role');
CREATE POLICY "Service can update execution logs" ON workflow_execution_logs
FOR UPDATE USING (auth.role() = 'service_role');

GRANT SELECT ON ALL TABLES IN SCHEMA s1 TO PUBLIC;

-- The reference: the same table without any index.
CREATE TABLE bare (LIKE workflow_execution_logs INCLUDING DEFAULTS);
