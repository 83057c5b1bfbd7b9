# wflog ingest against \copy of the same rows, into wflog's table and into S1's.
use strict;
use warnings;

use Time::HiRes qw(time);

# The rows of a COPY file as JSON lines and CSV, with what COPY leaves to defaults.
sub make_files
{
	my ($cluster, $data, $name) = @_;
	my $file = $data->today_file($name);
	my $columns = Bench::Data::columns();
	my $typed = $columns =~ s/\bdata\b/data::json/r;

	$cluster->sql("CREATE UNLOGGED TABLE bench.rows AS SELECT * FROM bench.today(0, 0, 1);"
		  . " COPY bench.rows FROM '$file';"
		  . " COPY (SELECT $columns FROM bench.rows) TO '$file.csv' (FORMAT csv, HEADER)");
	# COPY's text format doubles backslashes, which plain output does not
	open my $out, '>', "$file.ndjson" or die "$file.ndjson: $!\n";
	print $out $cluster->sql("SELECT row_to_json(r) FROM (SELECT $typed FROM bench.rows) AS r"), "\n";
	close $out;
	$cluster->sql('DROP TABLE bench.rows');
	return $file;
}

sub measure_ingest
{
	my ($cluster, $data, $report) = @_;
	my $rows = $data->{copy};
	my $columns = Bench::Data::columns();
	my $file = make_files($cluster, $data, 'ingest');

	local @ENV{qw(PGHOST PGUSER PGDATABASE)} = ($cluster->{dir}, 'postgres', 'bench');
	my $rate = sub {
		my (@command) = @_;
		my $began = time;
		$cluster->command(@command);
		return $rows / (time - $began);
	};
	my $copy = sub {
		my ($table) = @_;
		return $rate->($cluster->program('psql'), '-X', '-q', '-c', "\\copy $table ($columns) from '$file'");
	};
	my $ingest = sub { $rate->($cluster->program('wflog'), 'ingest', '-q', @_) };
	my ($s1, $same, $two, $one, $csv) = $report->interleave($report->repetitions,
		sub { $copy->('s1.workflow_execution_logs') },
		sub { $copy->('wflog.workflow_execution_logs') },
		sub { $ingest->("$file.ndjson") },
		sub { $ingest->('-j', 1, "$file.ndjson") },
		sub { $ingest->("$file.csv") });

	$report->table('what', '\copy', 'wflog ingest', 'ratio', 'target', 'met?');
	$report->line(what => "$rows logs, JSON lines, against \\copy into wflog's table", unit => 'rows/s',
		higher => 1, target => 0.8, s1 => $same, wflog => $two);
	$report->line(what => 'against \copy into S1\'s table', unit => 'rows/s', higher => 1, target => 1.6,
		s1 => $s1, wflog => $two);
	$report->line(what => 'CSV, against \copy into wflog\'s table', unit => 'rows/s', higher => 1,
		s1 => $same, wflog => $csv);
	$report->line(what => 'JSON lines by one connection, against \copy into wflog\'s table',
		unit => 'rows/s', higher => 1, s1 => $same, wflog => $one);
	unlink glob "$file*";
	return;
}

({ name => 'ingest', title => 'wflog ingest against \copy', run => \&measure_ingest });
