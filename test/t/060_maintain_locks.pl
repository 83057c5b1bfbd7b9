# While maintain() drops a leaf beside an open writer and an open reader, no
# other session's INSERT waits longer than wflog.maintenance_lock_timeout.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SameDay;
use Test::More;
use Time::HiRes qw(time sleep);

my $node = PostgreSQL::Test::Cluster->new('locks');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION wflog');
$node->safe_psql(
	'postgres', q{
	INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
	SELECT 'e' || i % 100, 'old', date_trunc('day', now(), 'UTC') - make_interval(days => 31 + i % 3) + interval '1 hour'
	FROM generate_series(1, 30000) i;
	CALL wflog.maintain(1000);
});

my $due = q{
	SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
	WHERE i.inhparent = 'wflog.workflow_execution_logs_rows'::regclass
	AND c.relname ~ '_\d{8}$'
	AND to_date(right(c.relname, 8), 'YYYYMMDD') < (now() AT TIME ZONE 'UTC')::date - 30};
is($node->safe_psql('postgres', $due), '3', 'three leaves are due');

# A session that stays, and in it an open transaction.
sub open_session
{
	my ($sql) = @_;
	my $session = $node->background_psql('postgres');
	$session->query_safe($_) foreach ('BEGIN', $sql);
	return $session;
}

# The longest that an insert may take, in ms: the lock timeout, and what a session
# may have to wait for a processor.  If it waited for those who stay, it would not
# come to an end at all.
sub at_most { return $_[0] + 2000 }

# Run maintain() while another session inserts one log after the other.
# Returns what maintain() said and the longest an insert took, in ms.
sub maintain_beside_inserts
{
	my ($timeout) = @_;
	my $script = $node->basedir . '/insert.sql';
	append_to_file($script,
		"INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('other', 'x');\n")
	  unless -e $script;
	my $prefix = $node->basedir . '/latency';
	unlink glob("$prefix*");

	# -R: the same rate throughout, so that a wait is not hidden by rest
	my $bench = IPC::Run::start(
		[
			$node->installed_command('pgbench'), '-h', $node->host, '-p', $node->port,
			'-n', '-f', $script, '-c', '1', '-T', '600', '-l', "--log-prefix=$prefix", 'postgres'
		],
		'>', \my $out, '2>', \my $err);
	my $more = sub {
		my $count = $node->safe_psql('postgres', "SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id = 'other'");
		ok( $node->poll_query_until('postgres', "SELECT count(*) > $count + 200 FROM wflog.workflow_execution_logs WHERE execution_id = 'other'"),
			'the other session inserts');
	};
	$more->();
	my $started = time();
	my ($status, $stdout, $stderr) = $node->psql('postgres',
		"SET wflog.maintenance_lock_timeout = $timeout; CALL wflog.maintain()");
	my $lasted = time() - $started;
	is($status, 0, 'maintain() is not an error');
	$more->();
	$bench->signal('ALRM');		# as its own time limit would
	$bench->finish;

	my ($longest, $inserts) = (0, 0);
	foreach my $file (glob("$prefix*"))
	{
		foreach my $line (split /\n/, slurp_file($file))
		{
			my $latency = (split / /, $line)[2] / 1000;
			$longest = $latency if $latency > $longest;
			$inserts++;
		}
	}
	ok($inserts > 400, "inserts: $inserts");
	note("longest insert: $longest ms, maintain(): $lasted s");
	return ($stderr, $longest);
}

my $writer = open_session(
	q{INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('writer', 'x')});
my ($said, $longest) = maintain_beside_inserts(50);
like($said, qr/could not drop partition/, 'the drop is left for the next run');
is($node->safe_psql('postgres', $due), '3', 'the leaves are still there');
is($node->safe_psql('postgres', q{SELECT count(*) FROM wflog.workflow_execution_logs WHERE message = 'old'}),
	'0', 'but empty');
cmp_ok($longest, '<', at_most(50), "no insert took longer than the timeout and some: $longest ms");

my $reader = open_session(q{SELECT count(*) FROM wflog.workflow_execution_logs});
($said, $longest) = maintain_beside_inserts(20);
cmp_ok($longest, '<', at_most(20), "nor with a reader and a shorter timeout: $longest ms");

$writer->query_safe('COMMIT');
$reader->query_safe('COMMIT');
$writer->quit;
$reader->quit;
$node->safe_psql('postgres', 'CALL wflog.maintain()');
is($node->safe_psql('postgres', $due), '0', 'dropped when they are gone');
is( $node->safe_psql('postgres', q{SELECT reltuples FROM pg_class WHERE oid = 'wflog.workflow_execution_logs'::regclass}),
	'30000', 'that alone is no reason to analyze');

# A run that is cancelled or killed leaves nothing behind.
$node->safe_psql(
	'postgres', q{
	INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
	SELECT 'e', 'stray', now() - interval '20 days' FROM generate_series(1, 10)});
$writer = open_session(
	q{INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at) VALUES ('e', 'stray', now() - interval '20 days')});
foreach my $way ('pg_cancel_backend', 'pg_terminate_backend')
{
	my $run = IPC::Run::start(
		[
			$node->installed_command('psql'), '-X', '-h', $node->host, '-p', $node->port,
			'-c', q{SET application_name = 'run'; SET wflog.maintenance_lock_timeout = 10000},
			'-c', 'CALL wflog.maintain()', 'postgres'
		],
		'>', \my $out, '2>', \my $err);
	$node->poll_query_until('postgres',
		q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'run' AND wait_event_type = 'Lock')});
	$node->safe_psql('postgres', "SELECT $way(pid) FROM pg_stat_activity WHERE application_name = 'run'");
	$run->finish;
	is( $node->safe_psql('postgres', q{SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND objsubid = 1}),
		'0', "$way: the lock of the run is not left");
}
$writer->query_safe('COMMIT');
$writer->quit;
$node->safe_psql('postgres', 'CALL wflog.maintain()');
is($node->safe_psql('postgres', q{SELECT count(*), count(DISTINCT tableoid) FROM wflog.workflow_execution_logs WHERE message = 'stray'}),
	'11|1', 'and no log is lost');
is($node->safe_psql('postgres', q{SELECT count(*) FROM wflog.workflow_execution_logs_default}), '0', 'nor stray');

# A day gets its partition while it is being written, again and again: nobody's
# log may be refused because the default partition was chosen for it just before.
my $today = $node->safe_psql('postgres', q{
	SELECT i.inhrelid::regclass FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
	WHERE i.inhparent = 'wflog.workflow_execution_logs_rows'::regclass
	AND c.relname LIKE '%' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')});
my $rounds = 20;
my $writers = IPC::Run::start(
	[
		$node->installed_command('pgbench'), '-h', $node->host, '-p', $node->port, '-n',
		'-f', $node->basedir . '/insert.sql', '-c', '8', '-T', '600', 'postgres'
	],
	'>', \my $out, '2>', \my $err);
my $made = 0;
foreach (1 .. $rounds)
{
	$node->safe_psql('postgres', "DROP TABLE $today");
	sleep(0.02);
	$node->safe_psql('postgres', 'CALL wflog.maintain()');
	$made += $node->safe_psql('postgres', "SELECT count(to_regclass('$today'))");
}
$writers->signal('TERM');	# INT may be ignored here, and so there
$writers->finish;
cmp_ok($made, '>', $rounds / 2, "today's partition was made $made times of $rounds beside its writers");
unlike($err, qr/ERROR/, 'and no writer was refused');

$node->stop;
done_testing();
