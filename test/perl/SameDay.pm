# "use SameDay;" in a test that compares days: it does not begin in the last
# minute and a half of one (UTC), so that the day it began on is still today
# when it looks.
package SameDay;

use strict;
use warnings;

sub import
{
	my $left = 86_400 - time % 86_400;

	sleep $left + 1 if $left < 90;
	return;
}

1;
