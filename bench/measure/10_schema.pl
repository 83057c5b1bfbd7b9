# S1's impossible index.
use strict;
use warnings;

sub measure_schema
{
	my ($cluster, $data, $report) = @_;
	my $statement = do { local (@ARGV, $/) = "$cluster->{here}/sql/s1_recent_index.sql"; <> };

	$report->note('S1 asks for an eleventh index, `idx_execution_logs_recent`. PostgreSQL answers:');
	$report->note('    ' . $cluster->error($statement));
	return;
}

return ({ name => 'schema', title => 'S1\'s impossible index', run => \&measure_schema });
