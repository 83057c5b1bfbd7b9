# JSON of 1,000 logs: logs_json() against SQL that builds the same from the
# same table.
use strict;
use warnings;

# LogEntry as logs_json() writes it, field by field.
my $entry = q{
  'id', id, 'timestamp', to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24":"MI":"SS.US"Z"'),
  'node_name', node_name, 'event_type', event_type,
  'message', coalesce(user_friendly_message, message), 'level', lower(level::text), 'data', data,
  'node_id', node_id, 'node_type', node_type, 'step_number', step_number,
  'total_steps', total_steps, 'display_priority', display_priority, 'is_milestone', is_milestone,
  'log_category', log_category, 'technical_message', message,
  'user_friendly_message', user_friendly_message, 'source', source, 'attempt', attempt,
  'progress_percentage', progress_percentage, 'duration_seconds', duration_seconds,
  'trace_id', trace_id, 'span_id', span_id};

sub measure_json
{
	my ($cluster, $data, $report) = @_;
	my $pick = "\\set n -2 - random(0, $data->{thousand} - 1)";
	my $many = $report->{quick} ? 20 : 60;
	my %source = (
		'the table'    => 'SELECT * FROM wflog.workflow_execution_logs WHERE execution_id = bench.eid(:n)'
		  . ' ORDER BY created_at, id LIMIT 1000',
		'wflog.logs()' => 'SELECT * FROM wflog.logs(bench.eid(:n), 1000)');
	my $latency = sub {
		my ($script) = @_;
		return sub { $cluster->pgbench("$pick\n$script;\n", transactions => $many, skip => 6)->{ms} };
	};
	my $fields = $entry =~ s/\s+/ /gr;
	my @sides;

	for my $from ('the table', 'wflog.logs()')
	{
		for my $kind ('jsonb', 'json')
		{
			push @sides, [ "${kind}_agg(${kind}_build_object(...)) over $from",
				"SELECT ${kind}_agg(${kind}_build_object($fields)) FROM ($source{$from}) AS l" ];
		}
	}
	my @values = $report->interleave($report->repetitions, (map { $latency->($_->[1]) } @sides),
		$latency->('SELECT wflog.logs_json(bench.eid(:n), 1000, with_total => false)'),
		$latency->('SELECT wflog.logs_json(bench.eid(:n), 1000)'));
	my $with_total = pop @values;
	my $wflog = pop @values;

	for my $i (0 .. $#sides)
	{
		$report->line(what => $sides[$i][0], unit => 'ms', heads => [ 'SQL', 'logs_json' ],
			s1 => $values[$i], wflog => $wflog, target => $sides[$i][0] =~ /^jsonb/ ? 3 : undef);
	}
	$report->line(what => "$sides[0][0]; logs_json with total", unit => 'ms', s1 => $values[0],
		wflog => $with_total);
	return;
}

return ({ name => 'json', title => 'JSON of 1,000 logs', run => \&measure_json });
