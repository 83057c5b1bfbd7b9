# Everything works without the library being preloaded, whichever function a
# session begins with, and with it the same; and a query that is run in
# parallel under row level security counts what it counts alone, for real
# logins, under SET SESSION AUTHORIZATION and with a gateway's claims.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# What a user does, each in a session of its own
my @steps = (
	[ start_execution => q(SELECT wflog.start_execution('e', 'w', user_id => 'regress_owner', workflow_name => 'W', tier => 'gold')) ],
	[ log => q(SELECT wflog.log('e', 'hello', created_at => '2026-01-01', id => '0192f0c1-2345-7000-8000-000000000001')) ],
	[ append => q(SELECT wflog.append('[{"execution_id": "e", "message": "m", "level": "error", "created_at": "2026-01-02",
		"id": "0192f0c1-2345-7000-8000-000000000002"}]', 'p', 1)) ],
	[ append_lines => q(SELECT wflog.append_lines('{"execution_id": "e", "message": "l", "created_at": "2026-01-03", "is_milestone": true, "id": "0192f0c1-2345-7000-8000-000000000003"}')) ],
	[ insert => q(INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at, id)
		VALUES ('e', repeat('long ', 10000), '2026-01-04', '0192f0c1-2345-7000-8000-000000000004')
		RETURNING length(message) < 11000, original_size) ],
	[ update => q(UPDATE wflog.workflow_execution_logs SET data = '{"a": 1}' WHERE message = 'hello') ],
	[ setting => q(SET wflog.max_entry_size = '1kB'; INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
		VALUES ('short', repeat('long ', 10000), '2026-01-04') RETURNING length(message) < 1100) ],
	[ bad_setting => q(SET wflog.retention_days = 'none'; SELECT wflog.uid()) ],
	[ select => q(SELECT execution_id, left(message, 20), created_at FROM wflog.workflow_execution_logs ORDER BY 1, 3) ],
	[ logs => q(SELECT left(message, 20) FROM wflog.logs('e', min_level => 'error')) ],
	[ logs_json => q(SELECT left(wflog.logs_json('e', 2)::text, 400)) ],
	[ tail => q(SELECT left(log->>'message', 20), batch FROM wflog.tail('e')) ],
	[ summary => q(SELECT wflog.summary('e')::jsonb - 'execution' - 'duration') ],
	[ recent_logs => q(SELECT json_array_length(wflog.recent_logs('w')->'logs')) ],
	[ execution => q(SELECT wflog.execution('e')->>'total_logs') ],
	[ executions_json => q(SELECT json_array_length(wflog.executions_json('w')->'executions')) ],
	[ workflow_logs_json => q(SELECT json_array_length(wflog.workflow_logs_json('w')->'logs')) ],
	[ workflow_summary => q(SELECT wflog.workflow_summary('w') IS NOT NULL) ],
	[ maintain => q(CALL wflog.maintain(36500)) ],
	[ leaves => q(SELECT count(*) > 3 FROM pg_inherits WHERE inhparent = 'wflog.workflow_execution_logs_rows'::regclass) ],
	[ tail_of_leaves => q(SELECT left(log->>'message', 20), batch FROM wflog.tail('e')) ],
	[ retention_preview => q(SELECT count(*) > 0 FROM wflog.retention_preview(30)) ],
	[ set_execution_status => q(SELECT wflog.set_execution_status('e', 'SUCCESS')) ],
	[ transition => q(SELECT wflog.set_execution_status('e', 'RUNNING')) ],
	[ audit => q(SELECT event_type FROM wflog.execution_audit_events ORDER BY position) ],
	[ verify_audit => q(SELECT count(*) FROM wflog.verify_audit()) ],
	[ guard => q(DELETE FROM wflog.execution_audit_events) ],
	[ owner => q(SET SESSION AUTHORIZATION regress_owner; SELECT wflog.uid(), count(*) FROM wflog.workflow_execution_logs) ],
	[ other => q(SET SESSION AUTHORIZATION regress_other; SELECT wflog.uid(), count(*) FROM wflog.workflow_execution_logs) ],
	[ predicate => q(SELECT wflog.can_read_execution('e'), wflog.role()) ],
	[ rollback => q(BEGIN; SELECT wflog.log('e', 'never') IS NOT NULL; ROLLBACK; SELECT count(*) FROM wflog.tail('e')) ]);

my $roles = <<SQL;
CREATE ROLE regress_owner LOGIN IN ROLE wflog_reader;
CREATE ROLE regress_other LOGIN IN ROLE wflog_reader;
CREATE ROLE regress_writer LOGIN IN ROLE wflog_writer;
CREATE ROLE regress_gateway LOGIN IN ROLE wflog_gateway;
SQL

my %node;
my %answers;
foreach my $how (qw(plain preloaded))
{
	my $node = $node{$how} = PostgreSQL::Test::Cluster->new($how);
	$node->init;
	$node->append_conf('postgresql.conf', "timezone = 'UTC'\nwflog.retention_days = 36500\n");
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'wflog'\n") if $how eq 'preloaded';
	$node->start;
	$node->safe_psql('postgres', "CREATE EXTENSION wflog; $roles");
	# beside which another run would say that it is not alone
	$node->poll_query_until('postgres', q(SELECT maintenance_result = 'done' FROM wflog.stat)) or die 'no maintenance'
	  if $how eq 'preloaded';
	foreach my $step (@steps)
	{
		my ($name, $sql) = @$step;
		my ($status, $out, $err) = $node->psql('postgres', $sql);
		$err =~ s/psql:<stdin>:\d+: //g;
		$err =~ s/^(CONTEXT|LINE|LOCATION):.*//ms;
		$answers{$how}{$name} = "$out\n$err";
	}
	is($node->safe_psql('postgres', 'SELECT wflog.uid(); SHOW wflog.retention_days'),
		$node->safe_psql('postgres', 'SELECT current_user') . "\n36500", "$how: a setting of the server's file");
}

my %refused = (
	bad_setting => qr/invalid value for parameter "wflog\.retention_days"/,
	transition => qr/SUCCESS.*RUNNING/,
	guard => qr/cannot delete from table "execution_audit_events"/);
foreach my $step (@steps)
{
	my $name = $step->[0];
	# a bad setting is an error, or a warning when the library comes after it
	is($answers{plain}{$name}, $answers{preloaded}{$name}, "$name: the same with and without preloading")
	  unless $name eq 'bad_setting';
	if ($refused{$name})
	{
		like($answers{plain}{$name}, $refused{$name}, "$name: refused");
	}
	else
	{
		unlike($answers{plain}{$name}, qr/ERROR|FATAL|WARNING/, "$name: no error");
	}
}
like($answers{plain}{tail}, qr/^hello\|\nm\|\nl\|\nlong/, 'tail() gives the logs');
is($answers{plain}{tail_of_leaves}, $answers{plain}{tail}, 'and so it does when they have leaves');
is($answers{plain}{owner}, "regress_owner|4\n", 'the owner sees his own');
is($answers{plain}{other}, "regress_other|0\n", 'another nothing');

# ---- in parallel ----

my $node = $node{plain};
$node->safe_psql('postgres', <<'SQL');
SELECT wflog.start_execution('p' || i, 'p' || i % 10, user_id => CASE WHEN i % 10 < 3 THEN 'regress_owner' ELSE 'someone' END)
FROM generate_series(1, 100) i;
INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at, level)
SELECT 'p' || 1 + i % 120, i, now() - (i % 8) * interval '1 day', (ARRAY['INFO', 'ERROR'])[1 + i % 2]::wflog.log_level_enum
FROM generate_series(1, 24000) i;
CALL wflog.maintain(36500);
VACUUM ANALYZE;
SQL

my $mode = $node->safe_psql('postgres',
	q(SELECT name FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')));
my $parallel = <<SQL;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET min_parallel_index_scan_size = 0;
SET max_parallel_workers_per_gather = 3;
SET $mode = on;
SQL
my $serial = "SET max_parallel_workers_per_gather = 0;\n";
my %queries = (
	logs => 'SELECT count(*), sum(length(message)) FROM wflog.workflow_execution_logs',
	errors => "SELECT execution_id, count(*) FROM wflog.workflow_execution_logs WHERE level = 'ERROR' GROUP BY 1 ORDER BY 1",
	executions => 'SELECT count(*) FROM wflog.workflow_executions',
	workflows => 'SELECT count(*) FROM wflog.workflows',
	joined => 'SELECT count(*) FROM wflog.workflow_executions e JOIN wflog.workflow_execution_logs l USING (execution_id)',
	who => 'SELECT DISTINCT wflog.uid(), wflog.role() FROM generate_series(1, 3)',
	tail => q(SELECT count(*) FROM wflog.tail('p11', max_rows => 10000)),
	cursor => q(SELECT count(*), count(r.cursor) FROM wflog.tail('p11') t, LATERAL wflog.tail('p11', t.cursor) r),
	page => q(SELECT count(p) FROM wflog.workflow_executions e, LATERAL wflog.logs_json(e.execution_id) p),
	functions => q(SELECT sum((SELECT count(*) FROM wflog.logs(e.execution_id))) FROM wflog.workflow_executions e));

# Each of these asks by a login of its own and by SET SESSION AUTHORIZATION.
my %askers = (
	superuser => [ undef, '' ],
	owner => [ 'regress_owner', '' ],
	other => [ 'regress_other', '' ],
	writer => [ 'regress_writer', '' ],
	'gateway without claims' => [ 'regress_gateway', '' ],
	'gateway with claims' =>
	  [ 'regress_gateway', q(SET request.jwt.claims = '{"sub": "regress_owner", "role": "authenticated"}';) ],
	'gateway as a service' => [ 'regress_gateway', q(SET request.jwt.claims = '{"role": "service_role"}';) ],
	'claims without gateway' =>
	  [ 'regress_other', q(SET request.jwt.claims = '{"sub": "regress_owner", "role": "service_role"}';) ]);

foreach my $asker (sort keys %askers)
{
	my ($role, $claims) = @{ $askers{$asker} };
	foreach my $way ($role ? ('login', 'session authorization') : 'login')
	{
		my @params = $role && $way eq 'login' ? (extra_params => [ '-U', $role ]) : ();
		my $begin = $role && $way ne 'login' ? "SET SESSION AUTHORIZATION $role;\n$claims\n" : "$claims\n";
		foreach my $query (sort keys %queries)
		{
			my @answers = map { [ $node->psql('postgres', "$begin$_$queries{$query}", @params) ] } $serial, $parallel;
			is($answers[1][1] . $answers[1][2], $answers[0][1] . $answers[0][2], "$asker, $way: $query");
		}
		my ($status, $plan) = $node->psql('postgres', "$begin${parallel}EXPLAIN (COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF) $queries{logs}", @params);
		like($plan, qr/Workers Launched: [1-9]/, "$asker, $way: that was in parallel");
	}
}
is($node->safe_psql('postgres', "SET SESSION AUTHORIZATION regress_owner; $parallel $queries{logs}"),
	$node->safe_psql('postgres', "SELECT count(*), sum(length(message)) FROM wflog.workflow_execution_logs l JOIN wflog.workflow_executions USING (execution_id) JOIN wflog.workflows w ON w.id = workflow_id WHERE user_id = 'regress_owner'"),
	'and it is the owner\'s');

$_->stop foreach values %node;
done_testing();
