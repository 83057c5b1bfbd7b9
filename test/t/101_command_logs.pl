# wflog logs: what there is, in every form, through every filter.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WflogCommand;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
WflogCommand::use_server($node);
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION wflog;
	SELECT wflog.start_execution('e1', 'nightly', user_id => 'alice');
	INSERT INTO wflog.workflow_execution_logs
		(execution_id, level, message, user_friendly_message, log_category, event_type, node_id, source, attempt,
		 is_milestone, created_at, data)
	VALUES
		('e1', 'DEBUG', 'one', NULL, 'technical', 'log', NULL, 'scheduler', NULL, false, '2026-11-20 10:00:00Z', '{}'),
		('e1', 'INFO', 'two', 'Reading', 'business', 'step_started', 'extract', 'worker', 1, true, '2026-11-20 10:00:01.5Z', '{"a": [1, "x,y"]}'),
		('e1', 'WARNING', E'three, "quoted"\nsecond line', NULL, 'technical', 'log', 'extract', NULL, 1, false, '2026-11-20 10:00:02Z', '{}'),
		('e1', 'ERROR', E'four \x1b[31mred\x1b[0m', NULL, 'technical', 'step_error', 'load', 'plugin:core/db.load', 2, false, '2026-11-20 10:00:03Z', '{}'),
		('e1', 'CRITICAL', 'Grüße fünf', NULL, 'technical', 'log', 'load', NULL, 2, false, '2026-11-20 10:00:04Z', '{}'),
		('e2', 'INFO', 'other', NULL, 'technical', 'log', NULL, NULL, NULL, false, '2026-11-20 10:00:01.7Z', '{}');
});

# The numbers that stand in the messages of e1, through filters.
sub numbers
{
	my ($status, $out, $err) = wflog('logs', 'e1', '-o', 'ndjson', @_);
	is("$status $err", '0 ', "logs e1 @_");
	my %number = (one => 1, two => 2, three => 3, four => 4, 'Gr' => 5);
	return join ' ', map { /^(one|two|three|four|Gr)/ ? $number{$1} : "?$_" } ids_of($out, 'technical_message');
}

# ---- filters

is(numbers(), '1 2 3 4 5', 'all');
is(numbers('-l', 'warning'), '3 4 5', 'a level and above');
is(numbers('--level=WARN', '--level-exact'), '3', 'a level alone, by its other name');
is(numbers('-l', 'fatal'), '5', 'the other name of critical');
is(numbers('--task', 'extract'), '2 3', 'a task');
is(numbers('--attempt', '2'), '4 5', 'an attempt');
is(numbers('--category', 'business'), '2', 'a category');
is(numbers('--source', 'plugin:core/db.load'), '4', 'a source');
is(numbers('--event-type', 'step_error'), '4', 'an event type');
is(numbers('--milestones'), '2', 'milestones');
is(numbers('-g', 'RED fo'), '4', 'words in any order and case');
is(numbers('-g', 'nowhere'), '', 'no such word');
is(numbers('--grep=reading'), '2', 'a word of the friendly message');
is(numbers('--since', '2026-11-20T10:00:02Z'), '3 4 5', 'since');
is(numbers('--since', '2026-11-20 10:00:01.5', '--until', '2026-11-20 10:00:03', '--utc'), '2 3 4', 'since and until, both included');
{
	local $ENV{TZ} = 'CET-1';
	is(numbers('--since', '2026-11-20 11:00:03'), '4 5', 'a time without zone is local');
	is(numbers('--since', '2026-11-20 10:00:03', '--utc'), '4 5', 'or UTC');
}
is(numbers('--since', '5m'), '', 'a duration');
is(numbers('-n', '2'), '4 5', 'the last');
is(numbers('-n', '0'), '', 'none');
is(numbers('-n', '9'), '1 2 3 4 5', 'more than there are');
is(numbers('-n', '1', '-l', 'info', '--task', 'extract'), '3', 'the last of those that pass');
is(numbers('-n1', '--until=2026-11-20T10:00:02Z'), '3', 'the last up to a time');

# ---- forms

is(wflog_ok('logs', 'e1', '--task', 'extract'), <<'END', 'text in a pipe');
2026-11-20T10:00:01.500000Z INFO     [extract] * Reading
2026-11-20T10:00:02.000000Z WARNING  [extract] three, "quoted"
    second line
END
is(wflog_ok('logs', 'e1', '-l', 'error'), <<'END', 'text in a pipe has no control sequence');
2026-11-20T10:00:03.000000Z ERROR    [load#2] four red
2026-11-20T10:00:04.000000Z CRITICAL [load#2] Grüße fünf
END
{
	local $ENV{TZ} = 'IST-5:30';
	like(wflog_ok('logs', 'e1', '-n1'), qr/^2026-11-20T15:30:04\.000000\+05:30 /, 'local time, with its zone');
	like(wflog_ok('logs', 'e1', '-n1', '--utc'), qr/^2026-11-20T10:00:04\.000000Z /, 'UTC');
}
is(wflog_ok('logs', 'e1', '-o', 'raw', '-l', 'warn'), "three, \"quoted\"\nsecond line\nfour \x1b[31mred\x1b[0m\nGrüße fünf\n",
	'raw is what was logged');
like(wflog_ok('logs', 'e1', '-o', 'raw', '-t', '-n1'), qr/^2026-11-20T10:00:04\.000000Z Grüße fünf\n$/, 'raw with times');
like(wflog_ok('logs', 'e1', '-l', 'error', '--color=always'), qr/\e\[31mERROR   \e\[0m/, 'colours are there if asked for');

my $logs = decode_json(wflog_ok('logs', 'e1', '--json'));
is(scalar(@$logs), 5, '--json is one JSON array');
is($logs->[3]{message}, "four \x1b[31mred\x1b[0m", 'of whole logs');
is_deeply(decode_json(wflog_ok('logs', 'e1', '--json', '--since=1s')), [], 'an empty one if there are none');
is_deeply([ map { decode_json($_) } split /\n/, wflog_ok('logs', 'e1', '-o', 'ndjson') ], $logs, 'ndjson has the same, a line each');

my $csv = wflog_ok('logs', 'e1', '-o', 'csv');
like($csv, qr/^timestamp,level,event_type,execution_id,node_id,attempt,source,message,/, 'CSV has a header');
like($csv, qr/^2026-11-20T10:00:02\.000000Z,warning,log,e1,extract,1,,"three, ""quoted""\nsecond line",/m, 'and quotes');
$node->safe_psql('postgres', 'CREATE TABLE back (' . join(', ', map { "$_ text" } split /,/, ($csv =~ /^(.*)\n/)[0]) . ')');
my $file = PostgreSQL::Test::Utils::tempdir() . '/logs.csv';
append_to_file($file, $csv);
$node->safe_psql('postgres', "COPY back FROM '$file' (FORMAT csv, HEADER)");
is( $node->safe_psql('postgres', q{SELECT count(*) FROM back JOIN wflog.workflow_execution_logs l
		ON l.id = back.id::uuid AND l.message = technical_message AND l.data = back.data::jsonb
		AND l.created_at = back.timestamp::timestamptz AND l.execution_id = back.execution_id}),
	'5', 'PostgreSQL reads the same from it');

# ---- several executions

is(wflog_ok('logs', 'e1', 'e2', '-l', 'info', '--until', '2026-11-20T10:00:02Z'), <<'END', 'two executions, merged by time');
2026-11-20T10:00:01.500000Z e1 INFO     [extract] * Reading
2026-11-20T10:00:01.700000Z e2 INFO     [] other
2026-11-20T10:00:02.000000Z e1 WARNING  [extract] three, "quoted"
    second line
END
is(join(' ', ids_of(wflog_ok('logs', 'e2', 'e1', 'e2', '-o', 'ndjson'), 'execution_id')), 'e1 e1 e2 e1 e1 e1',
	'JSON says which execution; one named twice is shown once');

is(wflog_ok('logs', '--workflow', 'nightly', '-n1', '-o', 'raw'), "Grüße fünf\n", 'the latest execution of a workflow');

# ---- pages: more logs than one has, of very different sizes

$node->safe_psql(
	'postgres', q{
	INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at, level, node_id)
	SELECT 'many', i || ' ' || repeat('x', CASE WHEN i % 1500 < 700 THEN 10 ELSE 9000 END),
		'2026-11-21Z'::timestamptz + i % 977 * interval '1 ms', CASE WHEN i % 3 = 0 THEN 'ERROR' ELSE 'INFO' END::wflog.log_level_enum,
		'n' || i % 7
	FROM generate_series(1, 5000) i});
foreach my $arguments ([], ['-l', 'error'], ['--task=n3'], ['-n', '1234'], ['-n', '600', '-l', 'error'], ['-n', '4999'], ['-n', '5000'])
{
	my $out = wflog_ok('logs', 'many', '-o', 'ndjson', @$arguments);
	my $where = "execution_id = 'many'"
	  . ("@$arguments" =~ /error/ ? " AND level = 'ERROR'" : '')
	  . ("@$arguments" =~ /n3/ ? " AND node_id = 'n3'" : '');
	my ($last) = "@$arguments" =~ /-n (\d+)/;
	my $wanted = $node->safe_psql('postgres',
		"SELECT id FROM (SELECT id, created_at FROM wflog.workflow_execution_logs WHERE $where"
		  . ' ORDER BY created_at DESC, id DESC' . ($last ? " LIMIT $last" : '') . ') l ORDER BY created_at, id');
	is(join("\n", ids_of($out)), $wanted, "pages of 5,000 logs: @$arguments");
}
is(scalar(ids_of(wflog_ok('logs', 'many', 'e1', '-o', 'ndjson'))), 5005, 'pages of two executions');

# ---- cursors

my $page = $node->safe_psql('postgres', q{SELECT wflog.logs_json('e1', 3)->'pagination'->>'next_cursor'});
is(numbers('--after-cursor', $page), '4 5', 'after a page cursor');
my $stream = $node->safe_psql('postgres', q{SELECT cursor FROM wflog.tail('e1', NULL, 2) OFFSET 1});
is(numbers('--after-cursor', $stream), '3 4 5', 'after a stream cursor');
is(numbers('--after-cursor', $stream, '-l', 'critical'), '5', 'with a filter');

my $cursors = PostgreSQL::Test::Utils::tempdir() . '/cursors';
is(scalar(ids_of(wflog_ok('logs', 'many', '--cursor-file', $cursors, '-o', 'ndjson'))), 5000, 'a cursor file: all at first');
is(wflog_ok('logs', 'many', '--cursor-file', $cursors), '', 'nothing then');
$node->safe_psql('postgres', q{SELECT wflog.log('many', 'late', created_at => '2026-11-21Z')});
is(wflog_ok('logs', 'many', '--cursor-file', $cursors, '-o', 'raw'), "late\n", 'and what is new, though its time is old');
like(slurp_file($cursors), qr/^s1\.\S+ many\n$/, 'the file has a line for the execution');
is((wflog('logs', 'e1', '--cursor-file', '/nowhere/x'))[0], 1, 'a cursor file that cannot be written');
append_to_file("$cursors.bad", "something else\n");
is((wflog('logs', 'e1', '--cursor-file', "$cursors.bad"))[0], 1, 'a file that is none');
{
	# what never reached anybody is not remembered
	my $lost = "$cursors.lost";
	system("wflog logs many --cursor-file $lost -o ndjson | head -n 1 >/dev/null");
	is(scalar(ids_of(wflog_ok('logs', 'many', '--cursor-file', $lost, '-o', 'ndjson'))), 5001, 'a reader that went away has not read');
}

# ---- memory and a reader that goes away

system(q{bash -c 'set -o pipefail; wflog logs many | head -n 3 >/dev/null; exit ${PIPESTATUS[0]}'});
is($? >> 8, 0, 'a reader that goes away ends it quietly');
like((wflog('logs', 'e1', '--exit-status'))[0], qr/^12$/, '--exit-status of one that runs');
$node->safe_psql('postgres', q{SELECT wflog.set_execution_status('e1', 'CANCELLED')});
is((wflog('logs', 'e1', '--exit-status'))[0], 11, 'of one that was cancelled');
$node->safe_psql('postgres', q{SELECT wflog.start_execution('f1', 'nightly'), wflog.set_execution_status('f1', 'FAILED')});
is((wflog('logs', 'e1', 'f1', '--exit-status'))[0], 10, 'of one that failed, and one that was cancelled');
$node->safe_psql('postgres', q{SELECT wflog.start_execution('s1', 'nightly'), wflog.set_execution_status('s1', 'SUCCESS')});
is((wflog('logs', 's1', '--exit-status'))[0], 0, 'of one that succeeded');
is((wflog('logs', 'e1', 's1', '--wait'))[0], 0, '--wait does not wait for what is there');

$node->stop;
done_testing();
