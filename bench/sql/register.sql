-- Workflows, their owners, executions: in both.  Workflow 100 is the giant's
-- and has an owner of its own.
INSERT INTO s1.workflows
  SELECT 'wf-' || w, CASE WHEN w = 100 THEN md5('giant')::uuid ELSE bench.user_id(w) END, 'Workflow ' || w
  FROM generate_series(0, 100) AS w;

CREATE TABLE bench.executions AS
  SELECT n, bench.eid(n) AS execution_id,
         'wf-' || CASE WHEN n = -1 THEN 100 WHEN n < 0 THEN 0 ELSE n % 100 END AS workflow_id
  FROM generate_series(-1 - :thousand, :executions - 1) AS n;

INSERT INTO s1.workflow_executions
  SELECT execution_id, workflow_id, 'RUNNING' FROM bench.executions ORDER BY n;

SELECT count(wflog.start_execution(e.execution_id, e.workflow_id, 'RUNNING', w.user_id::text, w.name))
  FROM (SELECT * FROM bench.executions ORDER BY n) AS e JOIN s1.workflows AS w ON w.id = e.workflow_id;

-- Who asks: user 0, who owns a tenth of the executions, through a gateway's
-- login role whose claims wflog believes; S1 reads the same claims.
CREATE ROLE bench_user LOGIN IN ROLE wflog_gateway;
SELECT format('ALTER ROLE bench_user SET request.jwt.claims = %L',
              json_build_object('sub', bench.user_id(0), 'role', 'authenticated'))
\gexec
GRANT USAGE ON SCHEMA bench TO bench_user;
GRANT SELECT ON ALL TABLES IN SCHEMA bench TO bench_user;
