# wflog serve: logs as lines by Accept, and export: the bytes of "wflog export",
# in little memory whatever the size and however slow the client is, and known
# to be cut off when something has gone wrong.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Gateway;
use IO::Select;
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WflogCommand;
use WflogNode qw(wait_for);

plan skip_all => 'wflog was built without serve' unless Gateway::is_built();

# logs are of a certain day
my $node = Gateway::new_server('max_connections = 60', 'autovacuum = off', 'wflog.retention_days = 36500');
my $access = PostgreSQL::Test::Utils::tempdir() . '/access.log';
my $gateway = Gateway->start('--pool=3', '--write-timeout=600', '--drain-timeout=600', "--access-log=$access");
my $alice = token('alice');
my $api = '/api/v1/app/executions';

sub sql { return $node->safe_psql('postgres', $_[0]); }

# some with everything in them, several at each point in time, and one that fills the pipes
sql(q{
	SELECT wflog.start_execution('e1', 'w', user_id => 'alice');
	INSERT INTO wflog.workflow_execution_logs (execution_id, message, level, node_id, data, stack_trace, created_at, source, attempt, is_milestone)
	SELECT 'e1', CASE i % 5 WHEN 0 THEN E'two\nlines, "quoted"' WHEN 1 THEN '' WHEN 2 THEN '\.' ELSE 'plain ' || i || repeat(' é', i % 50) END,
		(ARRAY['DEBUG', 'INFO', 'ERROR'])[1 + i % 3]::wflog.log_level_enum, 'n' || i % 7, jsonb_build_object('i', i, 'text', E'a"b\\\\c\n'),
		CASE WHEN i % 9 = 0 THEN repeat('frame' || chr(10), i % 100) END, timestamptz '2026-11-22 06:00:00Z' + (i / 3) * interval '1 ms', 'worker', 1 + i % 2, i % 100 = 0
	FROM generate_series(1, 2500) i;
	SELECT wflog.start_execution('a/b"c', 'w'), wflog.log('a/b"c', 'odd');
	SELECT wflog.start_execution('empty', 'w');
	SELECT wflog.start_execution('bobs', 'wb', user_id => 'bob'), wflog.log('bobs', 'secret');
	SELECT wflog.start_execution('big', 'w');
	INSERT INTO wflog.workflow_execution_logs (execution_id, message) SELECT 'big', repeat('x', 8000) FROM generate_series(1, 2000);
});

# ---- lines by Accept

my $page = json_of($gateway->get("$api/e1/logs?limit=7&level=error", $alice));
my $answer = $gateway->get("$api/e1/logs?limit=7&level=error", $alice, Accept => 'application/x-ndjson');
is($answer->{headers}{'content-type'}, 'application/x-ndjson', 'lines, if they are asked for');
my $decoder = JSON::PP->new->utf8;
is_deeply([ map { $decoder->decode($_) } split /^/, $answer->{content} ], $page->{logs}, 'each of a log, those of the page');
like($answer->{headers}{link}, qr/after=p1\.[^>]*>; rel="next"/, 'with a link to the next page');
is(join(', ', sort @{ $answer->{headers}{vary} }), 'Accept, Authorization', 'which depends on Accept');
foreach my $case ([ 'application/json', 'json' ], [ '*/*', 'json' ], [ 'text/html, application/*;q=0.9', 'json' ], [ 'application/json;q=0.5, application/x-ndjson', 'x-ndjson' ],
	[ 'application/x-ndjson;q=0.8, application/json;q=0.9', 'json' ], [ 'application/json;q=0, */*', 'x-ndjson' ], [ 'Application/X-NDJSON', 'x-ndjson' ], [ ' ;, application/x-ndjson ; v="a,b" ; q=1.000', 'x-ndjson' ])
{
	is($gateway->get("$api/e1/logs?limit=1", $alice, Accept => $case->[0])->{headers}{'content-type'}, "application/$case->[1]", "Accept: $case->[0]");
}
is($gateway->get("$api/e1/logs", $alice, Accept => $_)->{status}, 406, "Accept: $_") foreach 'text/csv', 'application/json;q=0, application/x-ndjson;q=0.0', 'application/xml, text/*';
is($gateway->get("$api/bobs/logs", $alice, Accept => 'application/x-ndjson')->{status}, 404, 'not those of others');
sql(q{SELECT wflog.set_execution_status('empty', 'SUCCESS')});
my %etags = map { $_ => $gateway->get("$api/empty/logs", $alice, Accept => $_)->{headers}{etag} } 'application/json', 'application/x-ndjson';
isnt($etags{'application/json'}, $etags{'application/x-ndjson'}, 'each form has an ETag of its own');
is($gateway->get("$api/empty/logs", $alice, Accept => 'application/x-ndjson', 'If-None-Match' => $etags{'application/x-ndjson'})->{status}, 304, 'that can be asked for');

# ---- export: what the command writes

sub export { return $gateway->get("$api/$_[0]/logs/export$_[1]", $alice, @_[ 2 .. $#_ ]); }

foreach my $format ('ndjson', 'csv')
{
	foreach my $execution ('e1', 'a/b"c', 'empty')
	{
		my $path = $execution =~ s{([/"])}{sprintf '%%%02X', ord $1}ger;
		$answer = export($path, "?format=$format");
		ok($answer->{content} eq wflog_ok('export', "--format=$format", '-q', $execution), "$format of $execution is what the command writes");
	}
	is($answer->{headers}{'content-disposition'}, "attachment; filename=\"empty.$format\"", 'to be kept as a file');
	ok(export('e1', "?format=$format&min_level=error&node_id=n3&start_time=2026-11-22T06:00:00.1Z")->{content} eq
		  wflog_ok('export', "--format=$format", '-q', '-l', 'error', '--task=n3', '--since=2026-11-22T06:00:00.1Z', 'e1'), 'filters are the same');
}
is(export('a%2Fb%22c', '')->{headers}{'content-disposition'}, 'attachment; filename="a_b_c.ndjson"', 'a harmless name');
is(export('e1', '', Accept => $_->[0])->{headers}{'content-type'}, $_->[1], "by Accept: $_->[0]") foreach [ 'text/csv', 'text/csv; charset=utf-8' ], [ '*/*', 'application/x-ndjson' ];
is(export('e1', '', Accept => 'text/html')->{status}, 406, 'there is no other');
is(export('e1', "?$_")->{status}, 422, $_) foreach 'format=xml', 'level=loud', 'milestones_only=x', 'after=p1.AAAA', 'after=x', 'after=2026-11-22T06:00:00Z,x', "after=soon,$page->{logs}[0]{id}", 'after=,';
is(export($_, '')->{status}, 404, "none of $_") foreach 'bobs', 'nothing';
is($gateway->get("$api/e1/logs/export")->{status}, 401, 'none without a token');

# going on, behind any line, in either format, and behind a page
my @lines = split /^/, export('e1', '')->{content};
my $csv = export('e1', '?format=csv')->{content};
is(scalar(@lines), 2500, 'all lines');
foreach my $at (0, 1, 2, 998, 999, 1000, 2498, 2499)
{
	my $log = $decoder->decode($lines[$at]);
	my $after = "after=$log->{created_at},$log->{id}";
	ok(export('e1', "?$after")->{content} eq join('', @lines[ $at + 1 .. $#lines ]), "going on behind line $at");
	my $rest = export('e1', "?$after&format=csv")->{content};
	ok(substr($csv, length($csv) - length $rest) eq $rest && ($rest eq '' || index($rest, $decoder->decode($lines[ $at + 1 ])->{id}) == 0), 'as CSV, without a second header') if $at == 999 || $at == 2499;
}
my $cursor = json_of($gateway->get("$api/e1/logs?limit=1000", $alice))->{pagination}{next_cursor};
ok(export('e1', "?after=$cursor")->{content} eq join('', @lines[ 1000 .. $#lines ]), 'going on behind a page');

# ---- as HTTP

my $host = "Host: x\r\nAuthorization: Bearer $alice\r\n";
my $close = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
my ($got, $closed) = $gateway->raw("GET $api/e1/logs/export HTTP/1.1\r\n$host\r\nHEAD $api/e1/logs/export HTTP/1.1\r\n$host\r\n$close");
is(Gateway::statuses($got), '200 200 200', 'requests behind an export are answered');
like($got, qr/\r\n0\r\n\r\nHTTP.*Transfer-Encoding: chunked\r\n\r\nHTTP/s, 'it has an end, and to HEAD there is no body');
($got, $closed) = $gateway->raw("GET $api/e1/logs/export HTTP/1.0\r\n$host\r\n");
like($got, qr/^Connection: close\r$/m, 'HTTP/1.0');
unlike($got, qr/^Transfer-Encoding/mi, 'knows no chunks');
ok((split /\r\n\r\n/, $got, 2)[1] eq join('', @lines), 'and gets it whole');

# ---- a client that does not read: no connection to the database is held, and little memory

my $want = 2000;
my @stopped = map {
	my $socket = $gateway->connect;
	print $socket "GET $api/big/logs/export HTTP/1.1\r\n${host}X-Request-ID: $_\r\nConnection: close\r\n\r\n";
	my ($begin) = Gateway::read_until($socket, qr/\r\n\r\n/);
	[ $socket, $begin ];
} 'reader', 'leaver', 'loser', 'drained', 'more1', 'more2';
ok(wait_for($node, 'postgres', q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'wflog serve' AND (state <> 'idle' OR backend_xmin IS NOT NULL)}, 0), 'the database has nothing to do for clients that do not read');
is($gateway->get('/ready')->{status}, 200, 'others are served');
my ($kilobytes) = slurp_file('/proc/' . $gateway->pid . '/status') =~ /^VmRSS:\s+(\d+)/m;
cmp_ok($kilobytes, '<', 90_000, "six of them, of 16 MB each, take little memory ($kilobytes kB in all)");

# Read one to its end: how many logs, and whether its last chunk came.
sub rest_of
{
	my ($stopped) = @_;
	my ($socket, $bytes) = @$stopped;
	my $until = time() + $PostgreSQL::Test::Utils::timeout_default;
	1 while time() < $until && IO::Select->new($socket)->can_read($until - time()) && sysread($socket, $bytes, 1 << 20, length $bytes);
	return (scalar(() = $bytes =~ /^\{"id":/mg), substr($bytes, -7) eq "\r\n0\r\n\r\n" ? 'whole' : 'cut off', $bytes);
}
my ($count, $end) = rest_of($stopped[0]);
is("$count $end", "$want whole", 'one that goes on reading gets all');
close $stopped[1][0];
wait_until('who leaves is noticed, says the access log', sub { slurp_file($access) =~ /"leaver".*"status":499/ });
like(slurp_file($access), qr/"reader".*"status":200,"bytes":1[67]\d{6},/, 'where the other has all its bytes');
close $_->[0] foreach @stopped[ 4, 5 ];

# ---- the end, with an export under way: it is brought to its end

kill 'TERM', $gateway->pid;
ok($gateway->says(qr/ending/), 'SIGTERM');
my $all;
($count, $end, $all) = rest_of($stopped[3]);
is("$count $end", "$want whole", 'an export under way is brought to its end');

# ---- the database goes away in the middle

undef @stopped[ 0, 1, 3, 4, 5 ];
$node->stop('immediate');
($count, $end, $all) = rest_of($stopped[2]);
is($end, 'cut off', 'without the database it ends without its end');
cmp_ok($count, '<', $want, 'and is known not to be whole');
is(wflog_end($gateway->{run}), 0, 'the gateway ends');
$node->start;
$gateway = Gateway->start('--pool=3');
my ($body) = $all =~ /\r\n\r\n(.*)\z/s;
my $text = '';
while ($body =~ /\G([0-9a-f]+)\r\n/gc)
{
	my $size = hex $1;
	$text .= substr($body, pos $body, $size);
	last if length $body < pos($body) + $size + 2;
	pos($body) += $size + 2;
}
$text =~ s/[^\n]*\z//;
my @have = split /^/, $text;
my $last = $decoder->decode($have[-1]);
my $more = export('big', "?after=$last->{created_at},$last->{id}")->{content};
ok($text . $more eq wflog_ok('export', '-q', 'big'), 'what is missing can be had behind the last whole line');
is($gateway->stop, 0, 'it ends');

$node->stop;
done_testing();
