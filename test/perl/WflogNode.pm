# A cluster that preloads wflog, and what its processes are doing.

package WflogNode;

use strict;
use warnings;

use Exporter qw(import);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

our @EXPORT = qw(new_node processes wait_for_workers wait_for pid_of elapsed log_since log_errors restarted);

# A running server; the rest is configuration.
sub new_node
{
	my ($name, @configuration) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(allows_streaming => 1, extra => [ '--encoding=UTF8', '--no-locale' ]);
	$node->append_conf('postgresql.conf', join "\n",
		"shared_preload_libraries = 'wflog'", "timezone = 'UTC'", 'max_worker_processes = 20',
		'max_prepared_transactions = 5', 'restart_after_crash = on', "log_statement = 'none'", "log_line_prefix = '%m [%p] %b: '", @configuration, '');
	$node->start;
	return $node;
}

# Who works where, such as "a: keeper, a: worker"; without the launcher and probes.
sub processes
{
	my ($node) = @_;
	return $node->safe_psql('postgres', q{
		SELECT string_agg(datname || ': ' || right(backend_type, 6), ', ' ORDER BY datname, backend_type)
		FROM pg_stat_activity WHERE backend_type IN ('wflog worker', 'wflog keeper')});
}

# Ask until the answer is as wanted; returns whether it is.
sub wait_for
{
	my ($node, $database, $query, $wanted, $seconds) = @_;
	my $end = time() + ($seconds // $PostgreSQL::Test::Utils::timeout_default);
	my $answer;
	while (1)
	{
		$answer = $node->safe_psql($database, $query);
		return 1 if $answer eq $wanted;
		last if time() > $end;
		sleep(0.05);
	}
	diag("waited in vain for \"$wanted\", last had \"$answer\"");
	return 0;
}

# Test that worker and keeper run in these databases and nowhere else, or soon do.
sub wait_for_workers
{
	my ($node, $name, @databases) = @_;
	my $wanted = join ', ', map { ("$_: keeper", "$_: worker") } sort @databases;
	my $started = time();
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $got = '';
	while (time() < $started + $PostgreSQL::Test::Utils::timeout_default)
	{
		$got = processes($node);
		last if $got eq $wanted;
		sleep(0.02);
	}
	is($got, $wanted, $name);
	return time() - $started;
}

# The process of a kind: launcher, worker or keeper; 0: there is none.
sub pid_of
{
	my ($node, $kind, $database) = @_;
	my $where = defined $database ? "datname = '$database'" : 'true';
	return $node->safe_psql('postgres',
		"SELECT coalesce(min(pid), 0) FROM pg_stat_activity WHERE backend_type = 'wflog $kind' AND $where");
}

# Test that a process of the kind is there again, under another id.
sub restarted
{
	my ($node, $kind, $database, $before, $name) = @_;
	my $pid = 0;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	while (time() < $end)
	{
		$pid = eval { pid_of($node, $kind, $database) } // 0;
		last if $pid && $pid != $before;
		sleep(0.05);
	}
	ok($pid && $pid != $before, $name);
	return $pid;
}

# How long something takes, in seconds.
sub elapsed
{
	my ($code) = @_;
	my $started = time();
	$code->();
	return time() - $started;
}

# What the server has logged since a place in its log.
sub log_since
{
	my ($node, $place) = @_;
	return substr(slurp_file($node->logfile), $place // 0);
}

# Errors of our processes in the log.
sub log_errors
{
	my ($node, $place) = @_;
	return join "\n", log_since($node, $place) =~ /^.*wflog (?:\w+): (?:ERROR|FATAL|PANIC|WARNING):.*$/mg;
}

1;
