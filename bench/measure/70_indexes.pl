# What each index costs, alone on an empty copy of its table.
use strict;
use warnings;

# The table's indexes: name and definition, made to fit bench.copy.
sub index_definitions
{
	my ($cluster, $table) = @_;
	my @rows = map { [ split /\t/ ] } split /\n/, $cluster->sql(
		"SELECT indexrelid::regclass, pg_get_indexdef(indexrelid) FROM pg_index"
		. " WHERE indrelid = '$table'::regclass ORDER BY indexrelid");

	for my $row (@rows)
	{
		$row->[0] =~ s/.*\.//;
		$row->[1] =~ s/ INDEX \S+ ON \S+ / INDEX ON bench.copy /;
	}
	return @rows;
}

sub measure_side
{
	my ($cluster, $data, $report, %side) = @_;
	my $file = $data->dir . '/rows';
	my @indexes = index_definitions($cluster, $side{table});
	my @sets = ([ 'none (the heap)', '' ], (map { [ "`$_->[0]`", $_->[1] ] } @indexes),
		[ 'all of them', join ";\n", map { $_->[1] } @indexes ]);
	my $limit = $data->{copy};

	$cluster->sql("COPY (SELECT * FROM $side{from} WHERE created_at > now() - interval '3 days'"
		  . " ORDER BY created_at LIMIT $limit) TO '$file'");
	my ($rows) = $cluster->command('wc', '-l', $file) =~ /(\d+)/;
	push @sets, [ 'none, with the row trigger', $side{trigger} ] if $side{trigger};
	my @costs = $report->interleave($report->{quick} ? 2 : 3, map
		{
			my $set = $_;
			sub {
				$cluster->sql("DROP TABLE IF EXISTS bench.copy;"
					  . " CREATE TABLE bench.copy (LIKE $side{table} INCLUDING DEFAULTS);\n$set->[1];");
				my $cost = $cluster->cost("COPY bench.copy FROM '$file'");
				$cost->{bytes} = $cluster->sql("SELECT pg_total_relation_size('bench.copy')");
				return $cost;
			}
		} @sets);
	$cluster->sql('DROP TABLE bench.copy');
	unlink $file;

	my $of = sub { Bench::Report::median(map { $_->{ $_[1] } / $rows } @{ $costs[ $_[0] ] }) };
	$report->note("$side{name}, $rows logs copied into an empty table:");
	$report->table('index', 'CPU µs a log', 'over the heap', 'WAL bytes a log', 'over the heap',
		'disk bytes a log', 'over the heap');
	for my $i (0 .. $#sets)
	{
		my @cells = $sets[$i][0];
		for my $field (qw(cpu wal bytes))
		{
			my $scale = $field eq 'cpu' ? 1e6 : 1;
			push @cells, sprintf('%.*f', $field eq 'cpu' ? 2 : 0, $of->($i, $field) * $scale),
			  $i == 0 ? '' : sprintf('%.*f', $field eq 'cpu' ? 2 : 0,
				($of->($i, $field) - $of->(0, $field)) * $scale);
		}
		$report->row(@cells);
	}
	return;
}

sub measure_indexes
{
	my ($cluster, $data, $report) = @_;

	measure_side($cluster, $data, $report, name => 'S1', table => 's1.workflow_execution_logs',
		from => 's1.workflow_execution_logs');
	measure_side($cluster, $data, $report, name => 'wflog', table => 'wflog.workflow_execution_logs_default',
		from => 'wflog.workflow_execution_logs',
		trigger => 'CREATE TRIGGER log_row BEFORE INSERT ON bench.copy'
		  . ' FOR EACH ROW EXECUTE FUNCTION wflog.log_row()');
	return;
}

# What the tables take on disk as they have grown.
sub measure_disk
{
	my ($cluster, $data, $report) = @_;
	my $sizes = sub {
		my ($tables, $logs) = @_;
		return map { [ split /\t/ ] } split /\n/, $cluster->sql(qq{
			WITH t AS ($tables), n AS (SELECT count(*) AS n FROM $logs),
			parts AS (
			  SELECT 'heap' AS part, pg_table_size(relid) AS bytes FROM t
			  UNION ALL
			  SELECT CASE WHEN indisprimary THEN 'primary key, ' ELSE '' END
			           || regexp_replace(pg_get_indexdef(indexrelid), '.* USING ', ''),
			         pg_relation_size(indexrelid)
			  FROM pg_index JOIN t ON indrelid = relid)
			SELECT part, round(sum(bytes) / min(n), 1) FROM parts, n
			GROUP BY ROLLUP (part) ORDER BY part IS NULL, part <> 'heap', part});
	};

	for my $side ([ 'S1', "SELECT 's1.workflow_execution_logs'::regclass::oid AS relid",
			's1.workflow_execution_logs' ],
		[ 'wflog', "SELECT relid::oid FROM pg_partition_tree('wflog.workflow_execution_logs') WHERE isleaf",
			'wflog.workflow_execution_logs' ])
	{
		$report->note("$side->[0], as grown:");
		$report->table('part', 'bytes a log');
		$report->row($_->[0] || 'together', $_->[1]) for $sizes->($side->[1], $side->[2]);
	}
	return;
}

return (
	{ name => 'indexes', title => 'Index by index', run => \&measure_indexes },
	{ name => 'disk', title => 'Disk', run => \&measure_disk });
