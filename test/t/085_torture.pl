# Exactly once, whatever happens: writers of every kind, subscribers of every
# kind, and meanwhile processes are killed, the server is stopped in every way,
# the queue is too small.  See test/torture and test/README.md.
#
#   WFLOG_TEST_SEED      the seed; at random if unset (scheduling is not in it)
#   WFLOG_TEST_KILLS     cycles in which something is killed; 5
#   WFLOG_TEST_WRITERS   8 to 32; 8
#   WFLOG_TEST_SUBSCRIBERS   12
#   WFLOG_TEST_MISCHIEF  which kinds, of those in test/perl/Torture.pm; all
#   WFLOG_TEST_FAULTS    in a build with FAULTS=1: what wflog.fault is, or random; nothing

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Utils;
use Test::More;
use Torture;

my $seed = $ENV{WFLOG_TEST_SEED} // int(rand(2**31));
my $kills = $ENV{WFLOG_TEST_KILLS} // 5;

my ($program, $errors) = Torture::build();
plan skip_all => "the client cannot be built: $errors" unless $program;

diag("WFLOG_TEST_SEED=$seed WFLOG_TEST_KILLS=$kills");
my $torture = Torture->new(
	program => $program, seed => $seed,
	writers => $ENV{WFLOG_TEST_WRITERS} // 8,
	subscribers => $ENV{WFLOG_TEST_SUBSCRIBERS} // 12,
	sabotage => $ENV{WFLOG_TEST_SABOTAGE},
	faults => $ENV{WFLOG_TEST_FAULTS},
	only => $ENV{WFLOG_TEST_MISCHIEF} ? [ split ' ', $ENV{WFLOG_TEST_MISCHIEF} ] : undef);

my $good = ok($torture->barrier, 'all is delivered before any harm is done');
# a short run shall have these
my @first = $ENV{WFLOG_TEST_MISCHIEF} ? () :
  $torture->{channels} ? qw(kill_worker restart_immediate terminate_worker kill_writer) :
  qw(restart_immediate kill_writer);
my $cycles = 0;
# not all mischief kills
while ($good && $torture->{kills} < $kills && $cycles < 3 * $kills)
{
	my ($complete, $what) = $torture->cycle(shift @first);
	$good = ok($complete, 'cycle ' . ++$cycles . ": $what");
}
ok($torture->finish, "exactly once, committed, in order: $torture->{kills} kills in $cycles cycles")
  or $torture->report;
$torture->print_totals;
cmp_ok($torture->{totals}{'deliveries'} // 0, '>', 1000, 'there was something to deliver');
cmp_ok($torture->{totals}{'by notification'} // 0, '>', 100, 'and notifications delivered a good part of it')
  if $torture->{channels};
$torture->{node}->stop;
done_testing();
