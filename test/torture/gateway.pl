# wflog serve while everything is killed: exactly once, for as long as one likes.
# "./dev torture --gateway" runs it; t/121_gateway_sse.pl has a short form.
#
#   WFLOG_TEST_SEED      the seed; at random if unset (scheduling is not in it)
#   WFLOG_TEST_KILLS     how often something is killed; 50
#   WFLOG_TEST_MISCHIEF  which kinds, of those in test/perl/GatewayTorture.pm; all

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Gateway;
use GatewayTorture;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'wflog was built without serve' unless Gateway::is_built();

my $seed = $ENV{WFLOG_TEST_SEED} // int(rand(2**31));
my $kills = $ENV{WFLOG_TEST_KILLS} // 50;
my @of = split ' ', $ENV{WFLOG_TEST_MISCHIEF} // '';
diag("WFLOG_TEST_SEED=$seed WFLOG_TEST_KILLS=$kills");
srand($seed);

my $node = Gateway::new_server('max_connections = 60');
my $torture = GatewayTorture->new(node => $node, prefix => 'torture', executions => 4, clients => 16,
	gateway => [ '--pool=4', '--stream-buffer=20000' ]);
$torture->serve(1);
while ($torture->{kills} < $kills)
{
	note('kill ' . ($torture->{kills} + 1) . ': ' . $torture->harm(@of));
	$torture->serve(0.3 + rand 1.2);
}
$torture->finish;
diag($torture->totals);
cmp_ok($torture->{logs}, '>', $kills, 'there was something to deliver');
$node->stop;
done_testing();
