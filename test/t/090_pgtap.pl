# Runs the pgTAP contracts, test/pgtap/*.sql, each in a new database that has
# wflog and pgtap, and passes their assertions on one by one.

use strict;
use warnings;

use File::Basename qw(basename dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @contracts = sort glob(dirname(__FILE__) . '/../pgtap/*.sql');
plan skip_all => 'no contracts in test/pgtap' unless @contracts;

my $node = PostgreSQL::Test::Cluster->new('pgtap');
$node->init;
$node->append_conf('postgresql.conf', "max_prepared_transactions = 20\n");
$node->start;

if ($node->safe_psql('postgres',
		q(SELECT count(*) FROM pg_available_extensions WHERE name = 'pgtap')) eq '0')
{
	plan skip_all => 'pgTAP is not installed';
}
$node->safe_psql('postgres', 'CREATE DATABASE contract');
$node->safe_psql('contract', 'CREATE EXTENSION pgtap; CREATE EXTENSION wflog');

foreach my $contract (@contracts)
{
	my $name = basename($contract, '.sql');
	my ($planned, $seen) = (undef, 0);

	$node->safe_psql('postgres', "CREATE DATABASE \"$name\" TEMPLATE contract");
	my ($status, $out, $err) = (
		$node->psql(
			$name, undef,
			on_error_stop => 1,
			extra_params => [ '-f', $contract ]));
	foreach my $line (split /\n/, $out // '')
	{
		if ($line =~ /^1\.\.(\d+)/)
		{
			$planned = $1;
		}
		elsif ($line =~ /^ok \d+\s*(?:- )?(.*)/)
		{
			$seen++;
			pass("$name: $1");
		}
		elsif ($line =~ /^not ok \d+\s*(?:- )?(.*)/)
		{
			my $description = $1;
			$seen++;
		  TODO:
			{
				local $TODO = $1 if $description =~ s/# TODO\s*(.*)//;
				fail("$name: $description");
			}
		}
		elsif ($line =~ /^#/)
		{
			diag($line);
		}
	}
	ok($status == 0 && defined $planned && $planned == $seen,
		"$name: ran to its end")
	  or diag("planned " . ($planned // 'nothing') . ", ran $seen\n$err");
	$node->safe_psql('postgres', "DROP DATABASE \"$name\"");
}

$node->stop;
done_testing();
