# COPY and batches with the preload already there.
use strict;
use warnings;

my @tables = ('s1.workflow_execution_logs', 'wflog.workflow_execution_logs', 's1.bare');

sub measure_copy
{
	my ($cluster, $data, $report) = @_;
	my $columns = Bench::Data::columns();
	my $rows = $data->{copy};
	my @files = map { $data->today_file("today.$_") } 1 .. $report->repetitions;
	my @folding;
	my @costs = $report->interleave($report->repetitions, map
		{
			my $table = $_;
			sub {
				my ($number) = @_;
				my $keeper = $cluster->pid_of('keeper');
				my $used = Bench::Cluster::cpu_of($keeper);
				my $cost = $cluster->cost("COPY $table ($columns) FROM '$files[$number]'");
				if ($table =~ /^wflog/)
				{
					$cluster->quiesce;
					push @folding, (Bench::Cluster::cpu_of($keeper) - $used) / $rows * 1e6;
				}
				return $cost;
			}
		} @tables);
	my $of = sub {
		my ($side, $field) = @_;
		return [ map { $field eq 'wal' ? $_->{wal} / $rows : $rows / $_->{$field} } @{ $costs[$side] } ];
	};

	$report->line(what => "COPY of $rows logs", unit => 'rows/s', higher => 1, target => 2,
		s1 => $of->(0, 'wall'), wflog => $of->(1, 'wall'));
	$report->line(what => 'the same per second of the backend\'s CPU time', unit => 'rows/s', higher => 1,
		s1 => $of->(0, 'cpu'), wflog => $of->(1, 'cpu'));
	$report->line(what => 'WAL of it', unit => 'bytes/log', s1 => $of->(0, 'wal'), wflog => $of->(1, 'wal'));
	$report->table('what', 'bare heap', 'wflog', 'ratio', 'target', 'met?');
	$report->line(what => "COPY of $rows logs", unit => 'rows/s', higher => 1,
		s1 => $of->(2, 'wall'), wflog => $of->(1, 'wall'));
	$report->line(what => 'the same per second of the backend\'s CPU time', unit => 'rows/s', higher => 1,
		s1 => $of->(2, 'cpu'), wflog => $of->(1, 'cpu'));
	$report->note('Folding them afterwards takes the keeper ' . Bench::Report::spread(@folding)
		  . ' µs of CPU time a log.');
	unlink @files;
	return;
}

# What a batch of 100 is made from.
sub make_batch
{
	my ($cluster, $data) = @_;

	$cluster->sql(q{
		DROP TABLE IF EXISTS bench.batch;
		CREATE TABLE bench.batch AS SELECT * FROM bench.entries(7000, 7100);
		GRANT SELECT ON bench.batch TO PUBLIC;
	});
	return;
}

my @unnested = qw(log_category event_type level message data node_id node_name node_type
  step_number total_steps display_priority is_milestone);
my %typed = (step_number => 'int', total_steps => 'int', display_priority => 'int', is_milestone => 'bool');

# The types a column must be cast to in this schema.
sub cast_of
{
	my ($schema, $column) = @_;
	return $column eq 'event_type' ? "::$schema.log_event_type_enum"
	  : $column eq 'level' ? "::$schema.log_level_enum"
	  : $column eq 'data'  ? '::jsonb'
	  :                      '';
}

# The schema of a table; the bare heap has S1's types.
sub schema_of
{
	my ($table) = @_;
	return $table =~ /^(\w+)\./;
}

# Arrays as parameters, as drivers send a batch: one array a column.
sub batch_unnest
{
	my ($table, $base) = @_;
	my ($schema) = schema_of($table);
	my $gset = join ', ', map { "array_agg($_)::text AS a_$_" } @unnested;
	my $list = join ', ', @unnested;
	my $selected = join ', ', map { "u.$_" . cast_of($schema, $_) } @unnested;
	my $arrays = join ', ', map { ":a_$_\::" . ($typed{$_} || 'text') . '[]' } @unnested;

	return "\\if :ready\n\\else\nSELECT $gset FROM bench.batch \\gset\n\\set ready 1\n\\endif\n"
	  . "\\set k $base + random(1, 64)\n"
	  . "INSERT INTO $table (execution_id, $list) SELECT (SELECT bench.eid(:k)), $selected"
	  . " FROM unnest($arrays) AS u($list);\n";
}

# Values computed by the server from generate_series.
sub batch_series
{
	my ($table, $base) = @_;
	my ($schema) = schema_of($table);

	return "\\set k $base + random(1, 64)\n"
	  . "INSERT INTO $table (execution_id, event_type, level, message, data, node_id, node_name,"
	  . " node_type, step_number, total_steps) SELECT (SELECT bench.eid(:k)),"
	  . " 'step_output', CASE WHEN i % 50 = 0 THEN 'ERROR' ELSE 'INFO' END::$schema.log_level_enum,"
	  . " 'Fetched page ' || i || ' of the customer export from upstream in 812 ms,"
	  . " next cursor 5d41402abc4b2a76b9719d911017c592, going on',"
	  . " '{\"rows\": 1300, \"host\": \"worker-7\", \"bytes\": 409900, \"cached\": false,"
	  . " \"took_ms\": 812}'::jsonb, 'node-3', 'Fetch customers 3', 'http_request', 3, 12"
	  . " FROM generate_series(1, 100) AS i;\n";
}

# One statement of text with 100 literal rows, parsed each time.
sub batch_literal
{
	my ($cluster, $table, $base) = @_;
	my $list = join ', ', @unnested;
	my $rows = $cluster->sql('SELECT string_agg(format('
		  . "'(%L, " . join(', ', map { '%L' } @unnested)
		  . ")', 'EID', " . join(', ', @unnested) . "), ', ') FROM bench.batch");
	my $eid = $cluster->sql("SELECT bench.eid($base)");

	# pgbench would take a colon followed by a letter for a variable; ours are
	# followed by a space.
	$rows =~ s/EID/$eid/g;
	return "INSERT INTO $table (execution_id, $list) VALUES $rows;\n";
}

# A JSON array: append() against what one writes on S1's schema.
sub batch_json
{
	my ($table, $base) = @_;
	my ($schema) = schema_of($table);
	my $list = join ', ', @unnested;
	my $get = "\\if :ready\n\\else\n\\set k $base + :client_id\n"
	  . "SELECT json_agg(json_build_object('execution_id', bench.eid(:k), "
	  . join(', ', map { "'$_', $_" . ($_ eq 'data' ? '::json' : '') } @unnested)
	  . "))::text AS logs FROM bench.batch \\gset\n\\set ready 1\n\\endif\n";

	return "${get}SELECT wflog.append(:logs::jsonb);\n" if $schema eq 'wflog';
	my $record = join ', ', 'execution_id varchar', map {
		my $cast = cast_of($schema, $_);
		"$_ " . ($cast ? substr($cast, 2) : $typed{$_} || 'text')
	} @unnested;
	return "${get}INSERT INTO $table (execution_id, $list) SELECT * FROM"
	  . " jsonb_to_recordset(:logs::jsonb) AS r($record);\n";
}

sub measure_batches
{
	my ($cluster, $data, $report) = @_;
	my $quick = $report->{quick};
	my @kinds = (
		[ 'unnest of array parameters', \&batch_unnest, 'prepared', 2 ],
		[ 'generate_series', \&batch_series, 'prepared', 2 ],
		[ 'append(jsonb) against jsonb_to_recordset', \&batch_json, 'prepared' ],
		[ 'literal rows in the text', sub { batch_literal($cluster, @_) }, 'simple' ],
	);

	my @bare;

	make_batch($cluster, $data);
	for my $kind (@kinds)
	{
		my ($what, $script, $mode, $target) = @$kind;
		for my $clients (1, 8)
		{
			# Each commit waits for the disk, whose speed changes from one second
			# to the next: so many short repetitions, close to each other.
			my $transactions = ($quick ? 40 : 200) / ($clients == 1 ? 1 : 4);
			my @runs = $report->interleave(($quick || !$target ? 1 : 3) * $report->repetitions, map
				{
					my $table = $_;
					sub {
						my $base = $data->{next_execution} += 1000;
						$cluster->pgbench($script->($table, $base), clients => $clients,
							mode => $mode, transactions => $transactions, set => { ready => 0 });
					}
				} @tables);
			my $of = sub {
				my ($side, $field) = @_;
				return [ map { $_->{$field} * 100 } @{ $runs[$side] } ];
			};
			my $name = "$what, " . ($clients == 1 ? '1 client' : "$clients clients");

			$report->line(what => $name, unit => 'rows/s', higher => 1, target => $target,
				s1 => $of->(0, 'tps'), wflog => $of->(1, 'tps'));
			$report->line(what => 'the same per second of the backends\' CPU time', unit => 'rows/s',
				higher => 1, s1 => $of->(0, 'cpu_tps'), wflog => $of->(1, 'cpu_tps'));
			push @bare, [ what => $name, unit => 'rows/s', higher => 1, s1 => $of->(2, 'tps'),
				wflog => $of->(1, 'tps') ];
		}
	}
	$report->table('what', 'bare heap', 'wflog', 'ratio', 'target', 'met?');
	$report->line(@$_) for @bare;
	return;
}

return (
	{ name => 'copy', title => 'COPY, with the preload there', run => \&measure_copy },
	{ name => 'batches', title => 'Batches of 100, with the preload there', run => \&measure_batches });
