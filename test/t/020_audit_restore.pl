# Dump and restore of executions and their audit trail into a new cluster, in
# every way pg_dump offers: the trail arrives as it was, verifies, has no
# event of the restore itself, and goes on.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = PostgreSQL::Test::Cluster->new('source');
$source->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
$source->start;
$source->safe_psql('postgres', <<'SQL');
CREATE EXTENSION wflog;
SELECT wflog.start_execution('new', 'w', 'NEW', user_id => 'ann', tier => 'gold');
SELECT wflog.start_execution('running', 'w');
SELECT wflog.start_execution('broken', 'w', 'PENDING');
SELECT wflog.set_execution_status('broken', 'RUNNING');
SELECT wflog.set_execution_status('broken', 'FAILED', E'it broke:\n\ttab, "quote", \\ and ü');
SELECT wflog.start_execution('done from the start', 'w', 'SUCCESS');
SELECT wflog.start_execution('deleted', 'w');
DELETE FROM wflog.workflow_executions WHERE execution_id = 'deleted';
SELECT wflog.start_execution('again', 'w', 'NEW');
DELETE FROM wflog.workflow_executions WHERE execution_id = 'again';
SELECT wflog.start_execution('again', 'w', 'NEW');
SELECT wflog.start_execution('exec ' || n, 'many') FROM generate_series(1, 500) n;
UPDATE wflog.workflow_executions SET status = 'CANCELLED' WHERE workflow_id = 'many';
SQL

my $target = PostgreSQL::Test::Cluster->new('target');
$target->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
$target->start;

# Everything that has to arrive.
my %contents = (
	events => 'SELECT * FROM wflog.execution_audit_events ORDER BY execution_id, position',
	heads => 'SELECT * FROM wflog.execution_audit_heads ORDER BY execution_id',
	executions => 'SELECT * FROM wflog.workflow_executions ORDER BY execution_id',
	workflows => 'SELECT * FROM wflog.workflows ORDER BY id',
	key => 'SELECT name, value FROM wflog.secrets ORDER BY name',
);
my %expected = map { $_ => $source->safe_psql('postgres', $contents{$_}) } keys %contents;
is($source->safe_psql('postgres', 'SELECT count(*) FROM wflog.verify_audit()'),
	'0', 'the source verifies');

my $dumps = PostgreSQL::Test::Utils::tempdir();
my $plain = "$dumps/plain.sql";
my $custom = "$dumps/custom.dump";
my $directory = "$dumps/directory";
my $data = "$dumps/data.sql";
my $data_disabled = "$dumps/data_disabled.sql";
$source->command_ok([ 'pg_dump', '-f', $plain, 'postgres' ], 'plain dump');
$source->command_ok([ 'pg_dump', '-Fc', '-f', $custom, 'postgres' ], 'custom dump');
$source->command_ok([ 'pg_dump', '-Fd', '-j', '2', '-f', $directory, 'postgres' ],
	'directory dump');
$source->command_ok([ 'pg_dump', '--data-only', '-f', $data, 'postgres' ], 'data-only dump');
$source->command_ok(
	[ 'pg_dump', '--data-only', '--disable-triggers', '-f', $data_disabled, 'postgres' ],
	'data-only dump that disables triggers');

# An empty database, with the extension or without.
sub new_database
{
	my ($name, $extension, $options) = @_;

	$target->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE template0 " . ($options // ''));
	$target->safe_psql($name, 'CREATE EXTENSION wflog') if $extension;
	return;
}

# Restore a script, stopping at the first error.
sub restore_script
{
	my ($name, $file) = @_;

	$target->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $file, $name ],
		"$name: restored");
	return;
}

# The restored database is the same, verifies, and goes on.
sub check_restored
{
	my ($name) = @_;

	foreach my $what (sort keys %contents)
	{
		# as UTF-8, whatever the database's encoding
		is( $target->safe_psql($name, "SET client_encoding = 'UTF8'; $contents{$what}"),
			$expected{$what}, "$name: same $what");
	}
	is($target->safe_psql($name, 'SELECT count(*) FROM wflog.verify_audit()'),
		'0', "$name: verifies");

	is( $target->safe_psql(
			$name, q(SELECT wflog.set_execution_status('running', 'SUCCESS');
				SELECT wflog.start_execution('again', 'w');
				DELETE FROM wflog.workflow_executions WHERE execution_id = 'broken';
				SELECT wflog.start_execution('deleted', 'w'))),
		"RUNNING\n\n", "$name: executions go on");
	is( $target->safe_psql(
			$name, q(SELECT execution_id, position, event_type FROM wflog.execution_audit_events
				WHERE execution_id IN ('running', 'deleted', 'again', 'broken')
				ORDER BY execution_id, position)),
		join("\n",
			'again|1|CREATED', 'again|2|STATE_CHANGE', 'again|3|CREATED',
			'broken|1|CREATED', 'broken|2|STARTED', 'broken|3|FAILED', 'broken|4|STATE_CHANGE',
			'deleted|1|CREATED', 'deleted|2|STATE_CHANGE', 'deleted|3|CREATED',
			'running|1|CREATED', 'running|2|COMPLETED'),
		"$name: so do their trails");
	is($target->safe_psql($name, 'SELECT count(*) FROM wflog.verify_audit()'),
		'0', "$name: verifies still");
	foreach my $table (qw(execution_audit_events execution_audit_heads))
	{
		my ($status, undef, $error) = $target->psql($name, "DELETE FROM wflog.$table");
		like($error, qr/cannot delete from table "$table"/, "$name: $table is guarded");
	}
	return;
}

new_database('plain', 0);
restore_script('plain', $plain);
check_restored('plain');

new_database('custom', 0);
$target->command_ok([ 'pg_restore', '--exit-on-error', '-j', '2', '-d', 'custom', $custom ],
	'custom: restored by two jobs');
check_restored('custom');

new_database('directory', 0);
$target->command_ok(
	[ 'pg_restore', '--exit-on-error', '-j', '4', '-d', 'directory', $directory ],
	'directory: restored by four jobs');
check_restored('directory');

new_database('single', 0);
$target->command_ok(
	[ 'pg_restore', '--exit-on-error', '--single-transaction', '-d', 'single', $custom ],
	'single: restored in one transaction');
check_restored('single');

new_database('data', 1);
restore_script('data', $data);
check_restored('data');

new_database('data_disabled', 1);
restore_script('data_disabled', $data_disabled);
check_restored('data_disabled');

# The chain is sealed in UTF-8, so it verifies in another encoding.
new_database('latin1', 0, q(ENCODING 'LATIN1' LOCALE 'C'));
restore_script('latin1', $plain);
check_restored('latin1');

# A dump that somebody has edited does not pass.
my $script = slurp_file($plain);
ok($script =~ s/it broke/it worked/g > 1, 'dump edited');
append_to_file("$dumps/edited.sql", $script);
new_database('edited', 0);
restore_script('edited', "$dumps/edited.sql");
is( $target->safe_psql('edited', 'SELECT problem FROM wflog.verify_audit()'),
	'execution "broken": the event at position 3 was altered or forged: its seal does not match',
	'edited: found');

$source->stop;
$target->stop;
done_testing();
