# The worker's memory does not grow with what it notifies, nor the keeper's:
# single commits, batches, one huge transaction, executions that come and go,
# hints that are lost.  A listener counts.
#
#   WFLOG_TEST_LOGS   how many logs; 200000 (10000000 takes some ten minutes)

use strict;
use warnings;

use FindBin;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use lib "$FindBin::RealBin/../perl";
use Torture;

my $logs = $ENV{WFLOG_TEST_LOGS} // 200_000;
# kB, from the first tenth on: 300 bytes for each of the 4,000 executions, which
# the worker knows for ten minutes, and what malloc keeps of a batch of 3,000
# executions (some 4 MB) or gives back as it likes.  A leak of 32 bytes a log is
# more than that.
my $allowed = 6 * 1024;

plan skip_all => 'there is no /proc' unless -r "/proc/$$/status";
my ($program, $errors) = Torture::compile('sink', 'tools/sink.c');
plan skip_all => "the listener cannot be built: $errors" unless $program;

my $node = PostgreSQL::Test::Cluster->new('memory');
$node->init;
$node->append_conf('postgresql.conf', <<CONF);
shared_preload_libraries = 'wflog'
wflog.queue_size = 256kB
max_wal_size = 4GB
synchronous_commit = off
autovacuum = off
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION wflog');
$node->poll_query_until('postgres', 'SELECT running FROM wflog.stat') or die 'no worker';
$node->safe_psql('postgres', q(SELECT wflog.start_execution('e', 'w')));
# or its status may be told to who has asked after it
$node->poll_query_until('postgres', 'SELECT queue_depth = 0 FROM wflog.stat') or die 'the queue is not read';

my ($in, $out, $err) = ('', '', '');
my $sink = IPC::Run::start([ $program, $node->connstr('postgres'), 'e' ], '<', \$in, '>', \$out,
	'2>', \$err, IPC::Run::timer(3600));
IPC::Run::pump $sink until $out =~ /listening\n/;

# How many notifications have arrived?
sub arrived
{
	$out = '';
	$in .= "\n";
	IPC::Run::pump $sink until $out =~ /(\d+)\n/;
	return $1;
}

# kB of its own memory that a process has; shared memory does not count.
sub memory_of
{
	my ($type) = @_;
	my $pid = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = '$type'");
	return slurp_file("/proc/$pid/status") =~ /^RssAnon:\s*(\d+) kB/m ? $1 : die 'no RssAnon';
}

my $written = 0;

# Write a share of the logs in all the ways there are.
sub write_share
{
	my ($share) = @_;
	my $single = int($share / 20);
	my $huge = int($share / 4);
	my $batches = int(($share - $single - $huge) / 1000);
	my $rest = $share - $single - $huge - $batches * 1000;
	$node->safe_psql('postgres', <<SQL);
DO \$\$ BEGIN FOR i IN 1 .. $single LOOP
	INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('e', 'one');
	COMMIT;
END LOOP; END \$\$;
DO \$\$ BEGIN FOR i IN 1 .. $batches LOOP
	INSERT INTO wflog.workflow_execution_logs (execution_id, message) SELECT 'e', 'batch' FROM generate_series(1, 1000);
	COMMIT;
END LOOP; END \$\$;
INSERT INTO wflog.workflow_execution_logs (execution_id, message) SELECT 'e', 'huge' FROM generate_series(1, $huge + $rest);
-- more executions in a transaction than it notes, and some that come and go
INSERT INTO wflog.workflow_execution_logs (execution_id, message) SELECT 'x' || i, 'many' FROM generate_series(1, 3000) i;
DO \$\$ BEGIN FOR i IN 1 .. 100 LOOP
	PERFORM wflog.start_execution('short ' || $written || ' ' || i, 'w');
	PERFORM wflog.channel('short ' || $written || ' ' || i);
	PERFORM wflog.log('short ' || $written || ' ' || i, 'once');
	PERFORM wflog.set_execution_status('short ' || $written || ' ' || i, 'SUCCESS');
	COMMIT;
END LOOP; END \$\$;
SQL
	$written += $share;
	return;
}

my @tenths;
foreach my $tenth (1 .. 10)
{
	write_share($logs / 10);
	for (1 .. 6000)
	{
		last if arrived() >= $written;
		select(undef, undef, undef, 0.1);
	}
	push @tenths, { worker => memory_of('wflog worker'), keeper => memory_of('wflog keeper') };
	note("$written logs: worker $tenths[-1]{worker} kB, keeper $tenths[-1]{keeper} kB");
}
is(arrived(), $written, 'every log was notified, once');
foreach my $who ('worker', 'keeper')
{
	my $first = $tenths[0]{$who};
	my ($most) = sort { $b <=> $a } map { $_->{$who} } @tenths;
	cmp_ok($most - $first, '<', $allowed,
		"the $who has $first kB after a tenth of $logs logs and never more than $most kB");
}
note('overflows: ', $node->safe_psql('postgres', 'SELECT overflows FROM wflog.stat'));
$in = '';
$sink->kill_kill;
$node->stop;
done_testing();
