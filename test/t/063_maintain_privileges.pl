# Who may run maintenance, as whom it works, and where it cannot: real logins,
# owners other than the bootstrap superuser, a standby.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SameDay;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('primary');
$node->init(allows_streaming => 1);
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE ROLE boss SUPERUSER LOGIN;
	SET ROLE boss;
	CREATE EXTENSION wflog;
	CREATE ROLE keeper LOGIN IN ROLE wflog_admin;
	CREATE ROLE scribe LOGIN IN ROLE wflog_writer;
	CREATE ROLE nobody LOGIN;
	INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
	SELECT 'e', 'old', now() - interval '40 days';
});

sub as
{
	my ($role, $sql) = @_;
	my ($status, $out, $err) =
	  $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", on_error_stop => 0, extra_params => [ '-U', $role ]);
	return "$out$err";
}

like(as('nobody', 'CALL wflog.maintain()'), qr/42501/, 'nobody may not maintain');
like(as('scribe', 'CALL wflog.maintain()'), qr/42501/, 'nor a writer');
like(as('scribe', 'SELECT * FROM wflog.retention_preview()'), qr/42501/, 'nor preview');
like(as('keeper', 'SELECT action FROM wflog.retention_preview()'), qr/^delete from default leaf$/, 'an admin may preview');
is(as('keeper', 'CALL wflog.maintain()'), '', 'and maintain');
is( $node->safe_psql(
		'postgres', q{SELECT count(*), count(*) FILTER (WHERE pg_get_userbyid(relowner) = 'boss')
		FROM pg_class WHERE relname LIKE 'workflow\_execution\_logs%' AND relkind IN ('r', 'p')}),
	'7|7', 'the leaves belong to the owner of the parent');
like(as('keeper', q{SELECT * FROM wflog.workflow_execution_logs_default}), qr/42501/, 'and are no way in for an admin');
is(as('keeper', q{CALL wflog.maintain(); SELECT current_user, current_setting('search_path')}),
	'keeper|"$user", public', 'the caller is himself afterwards');
like(as('keeper', q{CALL wflog.maintain(0)}), qr/22023/, 'also after an error');
like(as('keeper', q{SELECT wflog.uuid_v7(); SET wflog.retention_days = 1}), qr/42501/, 'an admin cannot change the setting for himself');

# An event trigger of somebody else sees the owner; what a caller has in his
# schemas is not called.
is( as( 'keeper', q{
		CREATE TEMP TABLE pg_class (a int);
		CREATE TEMP TABLE retention_policies (scope text, target text, keep_days int);
		INSERT INTO retention_policies VALUES ('default', '', 1);
		SET search_path = pg_temp, pg_catalog;
		CALL wflog.maintain()}),
	'', 'temporary tables are not taken for others');

# A subtransaction cannot be committed; in a function the work is the caller's.
is( as( 'keeper', q{
		DO $$ BEGIN BEGIN CALL wflog.maintain(); EXCEPTION WHEN division_by_zero THEN NULL; END; END $$}),
	'', 'inside a block with an exception clause');

# An error in a step that no later run could mend is an error.
$node->safe_psql('postgres', q{
	CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no tables today'; END $$;
	CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION refuse()});
like(as('keeper', "SET client_min_messages = error; CALL wflog.maintain(); "), qr/^$/, 'nothing to make, nothing to refuse');
my $leaf = $node->safe_psql('postgres', q{SELECT max(relname) FROM pg_class WHERE relname ~ '^workflow_execution_logs_\d{8}$'});
$node->safe_psql('postgres', "DROP TABLE wflog.$leaf");
like(as('keeper', "CALL wflog.maintain();\nSELECT current_user"), qr/^keeper.*no tables today/s, 'what an event trigger refuses is an error, and nothing stays behind');
$node->safe_psql('postgres', 'DROP EVENT TRIGGER refuse');
is(as('keeper', 'CALL wflog.maintain()'), '', 'and the next run does it');

# On a standby.
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
my ($status, $out, $err) = $standby->psql('postgres', "\\set VERBOSITY verbose\nCALL wflog.maintain()");
like($err, qr/25006: cannot execute CALL wflog.maintain\(\) during recovery/, 'maintain() is refused on a standby');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM wflog.retention_preview()'), '0', 'but not the preview');
$standby->stop;

# In the script of another extension the leaves would become its members.
my $sharedir = $node->config_data('--sharedir');
SKIP:
{
	skip 'cannot write to the extension folder', 1 unless -w "$sharedir/extension";
	append_to_file("$sharedir/extension/wflog_regress.control", "default_version = '1'\n");
	append_to_file("$sharedir/extension/wflog_regress--1.sql", "CALL wflog.maintain();\n");
	($status, $out, $err) = $node->psql('postgres', 'CREATE EXTENSION wflog_regress');
	like($err, qr/maintenance cannot run in an extension's script/, 'not in the script of an extension');
	unlink "$sharedir/extension/wflog_regress.control", "$sharedir/extension/wflog_regress--1.sql";
}

$node->stop;
done_testing();
