# The torture's client notices what it is there to notice: subscribers that lose
# a log now and then, take one twice, or two in the wrong order, are found out.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Utils;
use Test::More;
use Torture;

my $seed = $ENV{WFLOG_TEST_SEED} // int(rand(2**31));
my %noticed = (
	'l:500' => [ 'lost', qr/has not got log/ ],
	't:500' => [ 'delivered twice', qr/twice/ ],
	's:500' => [ 'in the wrong order', qr/got log \S+ after/ ]);

my ($program, $errors) = Torture::build();
plan skip_all => "the client cannot be built: $errors" unless $program;

diag("WFLOG_TEST_SEED=$seed");
foreach my $sabotage (sort keys %noticed)
{
	my ($what, $words) = @{ $noticed{$sabotage} };
	my $torture = Torture->new(
		name => 'notices_' . substr($sabotage, 0, 1), program => $program, seed => $seed,
		writers => 4, subscribers => 4, executions => 2, patience => 3, sabotage => $sabotage);
	# on a slow machine the five hundredth log may be late
	foreach (1 .. 3) { last unless $torture->barrier }
	ok(!$torture->finish, "a log that is $what is a failure");
	like($torture->{err}, $words, 'and the report says so');
	$torture->{node}->stop('immediate');
}
done_testing();
