# The clients in docs/streaming.md, run as they are printed there: both follow
# an execution from its first log to its end and print every log once and in
# order, whether it was there before, is notified, or comes by reference.

use strict;
use warnings;

use File::Basename qw(dirname);
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WflogNode;

my $guide = slurp_file(dirname(__FILE__) . '/../../docs/streaming.md');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = new_node('examples');
$node->safe_psql('postgres', 'CREATE EXTENSION wflog');
wait_for_workers($node, 'there is a worker', 'postgres');

# an address that both understand
my $uri = 'postgresql:///postgres?host=' . $node->host . '&port=' . $node->port . '&user=' . getpwuid($<);

# Debian's modules, whoever packaged the interpreter
local $ENV{NODE_PATH} = join ':', grep { defined } $ENV{NODE_PATH}, '/usr/share/nodejs', '/usr/lib/nodejs';
local $ENV{PYTHONIOENCODING} = 'UTF-8';

sub works { return eval { IPC::Run::run([@_], '<', \undef, '>', \my $out, '2>', \my $err) } }

for (
	[ 'python', 'py', ['python3'], sub { works('python3', '-c', 'import psycopg') }, 'python3-psycopg' ],
	[ 'js', 'js', ['node'], sub { works('node', '-e', q{require('pg')}) }, 'nodejs, node-pg' ])
{
	my ($language, $suffix, $command, $is_there, $packages) = @$_;
  SKIP:
	{
		my ($code) = $guide =~ /^```$language\n(.*?)^```$/ms;
		ok($code, "the guide has a client in $language") or next;
		if (!$is_there->())
		{
			diag("THE CLIENT IN $language IS NOT TESTED: its library is missing (Debian: $packages)");
			skip 'no library', 3;
		}
		my $execution = "in $language";
		my $program = "$dir/follow.$suffix";
		append_to_file($program, $code);
		$node->safe_psql('postgres', qq{SELECT wflog.start_execution('$execution', 'w');
			SELECT wflog.log('$execution', 'early ' || i) FROM generate_series(1, 2500) i});

		my ($out, $err) = ('', '');
		my $run = IPC::Run::start([ @$command, $program, $uri, $execution ],
			'<', \undef, '>', \$out, '2>', \$err,
			my $timer = IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default));
		$run->pump until $out =~ /early 2500$/m || !$run->pumpable || $timer->is_expired;
		# from here on by notification; each its transaction
		$node->safe_psql('postgres', join '', map { "SELECT wflog.log('$execution', 'late $_');\n" } 1 .. 50);
		$node->safe_psql('postgres', qq{
			SELECT wflog.log('$execution', 'large ' || repeat('x', 9000));
			SELECT wflog.log('$execution', 'last');
			SELECT wflog.set_execution_status('$execution', 'SUCCESS')});
		$run->pump while $run->pumpable && !$timer->is_expired;
		is($timer->is_expired ? 'too late' : $run->finish && 'done', 'done', "$language: ends with the execution");
		is($err, '', 'without a complaint');
		my @messages = map { /^\S+ info (\w+(?: \d+)?)/ ? $1 : $_ } split /\n/, $out;
		is_deeply(\@messages, [ (map { "early $_" } 1 .. 2500), (map { "late $_" } 1 .. 50), 'large', 'last' ],
			'every log once and in order');
	}
}

$node->stop;
done_testing();
