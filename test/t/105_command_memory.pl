# A million logs through a pipe in constant memory: all of them, in order, and
# never more than 32 MB; also where entries are as large as they may be, and in
# every form.  WFLOG_TEST_LOGS sets another number.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use WflogCommand;

plan skip_all => 'needs /proc' unless -r '/proc/self/status';

my $logs = $ENV{WFLOG_TEST_LOGS} // 1_000_000;
my $large = 20_000;
my $most = 32 * 1024;			# kB

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nmax_wal_size = 4GB\nlog_statement = none\n");
$node->start;
WflogCommand::use_server($node);
$node->safe_psql(
	'postgres', qq{
	CREATE EXTENSION wflog;
	SELECT wflog.start_execution('million', 'w'), wflog.start_execution('large', 'w');
	INSERT INTO wflog.workflow_execution_logs (execution_id, message, node_id, created_at, data)
	SELECT 'million', 'log number ' || i || ' of very many', 'node' || i % 10, now() - interval '1 hour' + i * interval '1 ms', '{"k": 1}'
	FROM generate_series(1, $logs) i;
	INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
	SELECT 'large', i || E' \\x01"' || repeat('x', CASE WHEN i % 2000 < 1000 THEN 20 ELSE 10000 END), now() - interval '1 hour' + i * interval '1 ms'
	FROM generate_series(1, $large) i;
	SELECT wflog.set_execution_status('million', 'SUCCESS'), wflog.set_execution_status('large', 'SUCCESS')});

# Run it and read what it writes: the lines, how many, and its peak memory in kB.
sub read_all
{
	my ($each, @arguments) = @_;
	my ($lines, $peak) = (0, 0);
	my $began = time;
	my $pid = open(my $pipe, '-|', 'wflog', @arguments) or die "wflog: $!";
	while (my $line = <$pipe>)
	{
		$each->($line, $lines) if $each;
		if (++$lines % 2000 == 0)
		{
			my ($now) = slurp_file("/proc/$pid/status") =~ /^VmHWM:\s+(\d+) kB/m;
			$peak = $now if ($now // 0) > $peak;
		}
	}
	close $pipe;
	is($? >> 8, 0, "wflog @arguments");
	cmp_ok($peak, '<=', $most, sprintf('%s: %d lines in %.1f s, peak memory %d kB', "@arguments", $lines, time - $began, $peak));
	cmp_ok($peak, '>', 1000, 'which was measured');
	return $lines;
}

my $wrong = 0;
is(read_all(sub { $wrong++ if $_[0] !~ /\] log number (\d+) of/ || $1 != $_[1] + 1 }, 'logs', 'million'), $logs, 'all are there');
is($wrong, 0, 'in order');
is(read_all(undef, 'logs', 'million', '-o', 'ndjson'), $logs, 'as JSON lines');
is(read_all(undef, 'logs', 'million', '-o', 'csv'), $logs + 1, 'as CSV');
my $last = int($logs * 0.3);
is(read_all(undef, 'logs', 'million', '--json', '-n', $last), $last + 2, 'as one JSON array, the last of them');
is(read_all(undef, 'logs', 'million', '-f', '-o', 'raw'), $logs, 'with --follow');
is(read_all(undef, 'logs', 'large', '-o', 'ndjson'), $large, 'the largest entries');
is(read_all(undef, 'logs', 'large', 'million', '-o', 'ndjson'), $large + $logs, 'two executions');

$node->stop;
done_testing();
