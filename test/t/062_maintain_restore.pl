# Dump and restore with leaves in every way pg_dump offers: leaves arrive
# attached, with their indexes, the row trigger and row level security, rows
# in the leaf they were in; then maintain() has nothing to do.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SameDay;
use Test::More;

my $source = PostgreSQL::Test::Cluster->new('source');
$source->init;
$source->start;
$source->safe_psql(
	'postgres', q{
	CREATE EXTENSION wflog;
	CREATE VIEW public.leaves AS
		SELECT c.oid, c.relname, c.relrowsecurity, pg_get_userbyid(c.relowner) AS owner, c.relacl,
			pg_get_expr(c.relpartbound, c.oid) AS bound,
			(SELECT string_agg(pg_get_indexdef(i.indexrelid), '; ' ORDER BY i.indexrelid::regclass::text)
				FROM pg_index i WHERE i.indrelid = c.oid) AS indexes,
			(SELECT string_agg(t.tgname || ' ' || t.tgenabled::text, '; ' ORDER BY t.tgname)
				FROM pg_trigger t WHERE t.tgrelid = c.oid) AS triggers,
			EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
				AND d.objid = c.oid AND d.deptype = 'e') AS member
		FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
		WHERE h.inhparent = 'wflog.workflow_execution_logs_rows'::regclass;
	INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
	SELECT 'e' || i % 7, 'm' || i, now() - (i % 50) * interval '12 hours' FROM generate_series(1, 1000) i;
	CALL wflog.maintain();
	INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
	VALUES ('future', 'm', now() + interval '1 year');
	INSERT INTO wflog.retention_policies VALUES ('tier', 'gold', 365);
});

my $target = PostgreSQL::Test::Cluster->new('target');
$target->init;
$target->start;

my %contents = (
	leaves => 'SELECT relname, relrowsecurity, owner, relacl, bound, indexes, triggers, member FROM leaves ORDER BY relname',
	logs => 'SELECT tableoid::regclass, id, execution_id, message, created_at, execution_hash FROM wflog.workflow_execution_logs ORDER BY id',
	policies => 'SELECT * FROM wflog.retention_policies',
);
my %expected = map { $_ => $source->safe_psql('postgres', $contents{$_}) } keys %contents;
like($expected{leaves}, qr/workflow_execution_logs_\d{8}\|t\|.*log_row A; mark_log A\|f$/m, 'the source has leaves as they should be');
my $leaves = () = $expected{leaves} =~ /\n/g;
cmp_ok($leaves, '>', 25, 'and many');

my $dumps = PostgreSQL::Test::Utils::tempdir();
$source->command_ok([ 'pg_dump', '-f', "$dumps/plain.sql", 'postgres' ], 'plain dump');
$source->command_ok([ 'pg_dump', '-Fc', '-f', "$dumps/custom", 'postgres' ], 'custom dump');
$source->command_ok([ 'pg_dump', '-Fd', '-j', '2', '-f', "$dumps/directory", 'postgres' ], 'directory dump');
$source->command_ok(
	[ 'pg_dump', '--load-via-partition-root', '-f', "$dumps/root.sql", 'postgres' ],
	'dump by way of the root');

my %restores = (
	plain => [ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-q', '-f', "$dumps/plain.sql" ],
	single => [ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-1', '-q', '-f', "$dumps/plain.sql" ],
	custom => [ 'pg_restore', '-e', "$dumps/custom", ],
	directory => [ 'pg_restore', '-e', '-j', '2', "$dumps/directory" ],
	root => [ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-q', '-f', "$dumps/root.sql" ],
);

foreach my $way (sort keys %restores)
{
	$target->safe_psql('postgres', "CREATE DATABASE $way");
	$target->command_ok([ @{ $restores{$way} }, '-d', $way ], "$way: restored");
	foreach my $what (sort keys %contents)
	{
		is($target->safe_psql($way, $contents{$what}), $expected{$what}, "$way: $what");
	}
	my $marks = q{SELECT string_agg(c.oid || ' ' || pg_relation_filenode(c.oid), ', ' ORDER BY c.oid)
		FROM leaves l JOIN pg_class c USING (oid)};
	my $before = $target->safe_psql($way, $marks);
	is($target->safe_psql($way, 'SELECT count(*) FROM wflog.retention_preview()'), '0', "$way: nothing is due");
	my ($status, $out, $err) = $target->psql($way, 'CALL wflog.maintain()');
	is("$status$err", '0', "$way: maintain()");
	is($target->safe_psql($way, $marks), $before, "$way: has nothing to do");
	is($target->safe_psql($way, $contents{leaves}), $expected{leaves}, "$way: and does nothing");
	$target->safe_psql($way, q{INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('new', 'm')});
	is( $target->safe_psql($way, q{SELECT tableoid = 'wflog.workflow_execution_logs_default'::regclass, xact <> '0'
			FROM wflog.workflow_execution_logs WHERE execution_id = 'new'}),
		'f|t', "$way: new logs have a leaf and a stamp");
}

# DROP EXTENSION takes the leaves along
$target->safe_psql('plain', 'DROP VIEW leaves; DROP EXTENSION wflog CASCADE');
is($target->safe_psql('plain', q{SELECT count(*) FROM pg_class WHERE relname LIKE 'workflow_execution_logs%'}),
	'0', 'DROP EXTENSION leaves no leaf');
$target->safe_psql('plain', 'CREATE EXTENSION wflog; CALL wflog.maintain()');

$source->stop;
$target->stop;
done_testing();
