# pg_upgrade keeps transaction ids, and the database keeps its identity: the
# cursors from before go on where they stood, also those of a server that has
# been promoted, whose timeline begins anew.  The second time both servers
# preload the library: nothing of ours is in the way, and what has been rolled up
# before the upgrade is right after it.

use strict;
use warnings;

use Cwd;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamReader;
use Test::More;

my $old = PostgreSQL::Test::Cluster->new('old');
my @init = (extra => [ '--encoding=UTF8', '--no-locale' ]);
$old->init(allows_streaming => 1, @init);
$old->start;

my $bindir = $old->config_data('--bindir');
plan skip_all => 'this installation of PostgreSQL has no pg_upgrade' unless -x "$bindir/pg_upgrade";

my $log_number = 0;

# Write logs, in the past too, so that they are in several leaves.
sub write_logs
{
	my ($node, $count) = @_;
	my $from = $log_number + 1;
	$log_number += $count;
	$node->safe_psql('postgres', <<SQL);
INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
SELECT 'e', i, now() - (i % 5) * interval '1 day' FROM generate_series($from, $log_number) i
SQL
	return;
}

sub upgrade
{
	my ($from, $to) = @_;

	$from->stop if -e $from->data_dir . '/postmaster.pid';
	my $cwd = getcwd();
	chdir(PostgreSQL::Test::Utils::tempdir()) or die;
	$to->command_ok(
		[
			'pg_upgrade', '--no-sync', '-d', $from->data_dir, '-D', $to->data_dir, '-b', $bindir, '-B', $bindir,
			'-s', $to->host, '-p', $from->port, '-P', $to->port
		],
		'pg_upgrade');
	chdir($cwd) or die;
	$to->start;
	return;
}

# Everything that makes up the extension, and what maintain() has made
my $objects = q(SELECT c.oid::regclass, c.relkind, c.relrowsecurity, d.deptype,
	(SELECT string_agg(tgname || tgenabled::text, ' ' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal)
	FROM pg_class c LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
	WHERE c.relnamespace = 'wflog'::regnamespace ORDER BY c.relname);

$old->safe_psql('postgres', "CREATE EXTENSION wflog; SELECT wflog.start_execution('e', 'w')");
write_logs($old, 10);
$old->safe_psql('postgres', 'CALL wflog.maintain()');
write_logs($old, 7);
write_logs($old, 8);
my %reader = map { $_ => StreamReader->new('e') } qw(begun inside done page);
$reader{begun}->read($old, 10);
$reader{inside}->read($old, 13);
$reader{done}->drain($old);
$reader{page}->drain($old);
$reader{page}{cursor} = $old->safe_psql('postgres', "SELECT wflog.logs_json('e')->'pagination'->>'stream_cursor'");
my $page = $old->safe_psql('postgres', "SELECT wflog.logs_json('e', 5)->'pagination'->>'next_cursor'");
my $rest = $old->safe_psql('postgres', "SELECT * FROM wflog.logs('e', after => '$page')");
my $before = $old->safe_psql('postgres', $objects);
my $identity = $old->safe_psql('postgres', 'SELECT id FROM wflog.database_identity');

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init(allows_streaming => 1, @init);
upgrade($old, $new);
is($new->safe_psql('postgres', $objects), $before, 'upgraded: the same objects');
is($new->safe_psql('postgres', 'SELECT id FROM wflog.database_identity'), $identity, 'upgraded: the same database');
is($new->safe_psql('postgres', "SELECT * FROM wflog.logs('e', after => '$page')"), $rest, 'upgraded: a page cursor stands where it stood');
write_logs($new, 4);
$reader{$_}->drained_ok($new, "upgraded: reader \"$_\" goes on") foreach sort keys %reader;
$new->safe_psql('postgres', 'CALL wflog.maintain()');
write_logs($new, 3);
$reader{$_}->drained_ok($new, "upgraded and maintained: reader \"$_\" goes on") foreach sort keys %reader;
StreamReader->new('e')->drained_ok($new, 'upgraded: from the start');
is($new->safe_psql('postgres', 'SELECT count(*) FROM wflog.verify_audit()'), '0', 'upgraded: the audit trail verifies');

# ---- a server that has been promoted, with workers ----

my $preload = "shared_preload_libraries = 'wflog'\nmax_worker_processes = 12\n";

# The execution's summary counts all its logs, and roll-ups are as a recount is.
sub exact_ok
{
	my ($node, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($node->safe_psql('postgres', q(SELECT wflog.summary('e')->>'total_logs', (SELECT count(*) FROM wflog.verify('e')))),
		"$log_number|0", $name);
}

$new->backup('backup');
my $promoted = PostgreSQL::Test::Cluster->new('promoted');
$promoted->init_from_backup($new, 'backup', has_streaming => 1);
$promoted->append_conf('postgresql.conf', $preload);
$promoted->start;
$new->wait_for_catchup($promoted);
$new->stop;
$promoted->promote;
ok($promoted->poll_query_until('postgres', 'SELECT running FROM wflog.stat'), 'promoted: there is a worker');
write_logs($promoted, 5);
write_logs($promoted, 6);
$reader{begun}->read($promoted, 2);
$reader{inside}->read($promoted, 8);
$reader{done}->drain($promoted);
delete $reader{page};
ok($promoted->poll_query_until('postgres', "SELECT logs_folded >= $log_number FROM wflog.stat"), 'promoted: rolled up');
exact_ok($promoted, 'promoted: exact');

my $newest = PostgreSQL::Test::Cluster->new('newest');
$newest->init(@init);
$newest->append_conf('postgresql.conf', $preload);
upgrade($promoted, $newest);
exact_ok($newest, 'promoted and upgraded: exact');
ok($newest->poll_query_until('postgres', 'SELECT running FROM wflog.stat'), 'promoted and upgraded: there is a worker');
write_logs($newest, 4);
$reader{$_}->drained_ok($newest, "promoted and upgraded: reader \"$_\" goes on") foreach sort keys %reader;
write_logs($newest, 4);
$reader{$_}->drained_ok($newest, "and on: reader \"$_\"") foreach sort keys %reader;

ok($newest->poll_query_until('postgres', 'SELECT logs_folded >= 8 FROM wflog.stat'), 'the keeper goes on rolling up');
exact_ok($newest, 'and exact');

$newest->stop;
done_testing();
