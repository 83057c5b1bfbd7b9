# wflog ingest and export: formats, bad lines, following a file that is rotated,
# nothing twice, and that what one writes the other reads.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WflogCommand;

my $node = WflogCommand::new_server();

my $dir = PostgreSQL::Test::Utils::tempdir();
chdir $dir or die "$dir: $!";

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub write_file
{
	my ($name, $text) = @_;
	open my $out, '>', $name or die "$name: $!";
	print $out $text;
	close $out;
	return $name;
}

sub append_file
{
	my ($name, $text) = @_;
	open my $out, '>>', $name or die "$name: $!";
	print $out $text;
	close $out;
	return;
}

# ---- JSON lines, good and bad

my $bad = <<'END';
{"execution_id":"i1","message":5}
{"message":"no execution"}
nonsense
{"execution_id":"i1","message":"lvl","level":"loud"}
{"execution_id":"i1","message":"bad attempt","attempt":0}
{"execution_id":"i1","message":"bad uuid","id":"x"}
{"execution_id":"i1","message":"bad time","created_at":"soon"}
END
my @bad = split /^/, $bad;
write_file('a.ndjson', join '', qq({"execution_id":"i1","message":"one","level":"ERROR","created_at":"2026-11-22T00:00:00Z"}\n),
	@bad[ 0 .. 3 ], qq(\n{"execution_id":"i1","msg":"two","severity":"warn","time":1795327200.5,"x":{"a":1}}\r\n),
	@bad[ 4 .. 6 ], qq({"execution_id":"i1","message":"three","level":30}\n{"execution_id":"i1","message":"four"}));
my ($status, $out, $err) = wflog('ingest', 'a.ndjson');
is($status, 1, 'bad lines make it a failure');
like($err, qr/a\.ndjson, line 2: message: "5" must be a string/, 'which are told with number and reason');
like($err, qr/a\.ndjson, line 10: created_at: "soon" is not a time/, 'those that the server refuses, too');
like($err, qr/7 lines could not become logs; they are in a\.ndjson\.rejects/, 'counted');
like($err, qr/^wflog: 4 logs in [\d.]+ s, [\d.]+\/s/m, 'and the throughput');
is(join('', sort split /^/, slurp_file('a.ndjson.rejects')), join('', sort @bad), 'they are kept as they came');
is(sql(q{SELECT string_agg(message || ' ' || level || ' ' || data, ', ' ORDER BY created_at) FROM wflog.logs('i1')}),
	'one ERROR {}, two WARNING {"x": {"a": 1}}, three INFO {}, four INFO {}', 'the good ones are logs, in order');
is(sql(q{SELECT created_at = '2026-11-22 06:00:00.5Z' FROM wflog.logs('i1') WHERE message = 'two'}), 't', 'a time as a number');
($status) = wflog('ingest', '-q', '--max-rejects', '2', '--rejects', 'none', 'a.ndjson');
is($status, 1, 'more bad lines than are allowed');
ok(!-e 'none', '"none" is no file');

# ---- mapping

write_file('m.ndjson', qq({"what":"mapped","message":"other","lvl":"err","n":"x"}\n));
($status, $out, $err) = wflog('ingest', '-q', '--map', 'message=what', '--map', 'node_id=n', '--execution', 'm1',
	'--set', 'attempt=3', '--set', 'data={"s":1}', 'm.ndjson');
is("$status $err", '0 ', 'mapped and set');
is(sql(q{SELECT message, level, node_id, attempt, data FROM wflog.logs('m1')}), 'mapped|ERROR|x|3|{"s": 1, "message": "other"}',
	'fields, and what is none of them');
($status) = wflog('ingest', '-q', '--rest', 'drop', '--map', 'message=what', '--execution', 'm2', 'm.ndjson');
is(sql(q{SELECT data FROM wflog.logs('m2')}), '{}', 'the rest is dropped');
($status, $out, $err) = wflog('ingest', '-q', '--rest', 'error', '--execution', 'm3', 'm.ndjson');
is($status, 1, 'or is an error');
for my $case ([ '--map', 'nothing=x' ], [ '--map', 'message' ], [ '--set', 'attempt=x' ], [ '--set', 'level=loud' ],
	[ '--set', 'data=[1]' ], [ '--format', 'xml' ], ['--from-end'], ['-f'], [ '-j', '0' ], [ '--delimiter', 'ab' ])
{
	($status) = wflog('ingest', @$case);
	is($status, 2, "usage: @$case");
}
($status, $out, $err) = wflog('ingest', 'nowhere.ndjson');
is($status, 1, 'no such file');
($status) = wflog('ingest', '-d', 'template1', 'm.ndjson');
is($status, 5, 'no extension');
($status) = wflog('ingest', '-p', '1', 'm.ndjson');
is($status, 3, 'no server');

# ---- CSV

write_file('c.csv', qq(\xEF\xBB\xBFexecution_id,level,message,data,is_milestone,step_number,colour\r\n)
	  . qq(c1,info,"hello, ""you""","{""a"": 1}",t,3,red\r\nc1,warn,"two\nlines",,no,,""\n)
	  . qq(c1,loud,x,,,,\nc1,error,"bad"x,,,,\nc1,error,short\nc1,error,num,,,x,\nc1,error,object,"{} x",,,\n)
	  . 'c1,error,last,,,,');
($status, $out, $err) = wflog('ingest', 'c.csv');
is($status, 1, 'CSV with bad records');
like($err, qr/c\.csv, line 5: level: "loud" is not a log level/, 'whose lines are counted in spite of a line feed in a field');
is(() = $err =~ /warning: c\.csv, line [5-9]:/g, 5, 'five of them');
is(sql(q{SELECT string_agg(concat_ws('|', message, level, data, is_milestone, step_number), '/' ORDER BY created_at) FROM wflog.logs('c1')}),
	qq(hello, "you"|INFO|{"a": 1, "colour": "red"}|t|3/two\nlines|WARNING|{"colour": ""}|f/last|ERROR|{}|f), 'the good ones');
like(slurp_file('c.csv.rejects'), qr/\A\xEF\xBB\xBFexecution_id,[^\n]*\nc1,loud/, 'rejects have the header, so that they can be mended');
($status) = wflog('ingest', '-q', '--format', 'csv', '--delimiter', ';', '--columns', 'execution_id,message',
	write_file('d.txt', "c2;a,b\nc2;c\n"));
is(sql(q{SELECT string_agg(message, '|' ORDER BY created_at) FROM wflog.logs('c2')}), 'a,b|c', 'another delimiter, no header');

# ---- much, and nothing twice

write_file('big.ndjson', join '', map { qq({"execution_id":"big","message":"line $_","created_at":"2026-11-22T00:00:00Z"}\n) } 1 .. 20000);
($status) = wflog('ingest', '-q', '--producer-key', 'k1', 'big.ndjson');
($status) = wflog('ingest', '-q', '--producer-key', 'k1', 'big.ndjson');
is(sql(q{SELECT count(*), count(DISTINCT message) FROM wflog.logs('big')}), '20000|20000', 'the same input under the same key is there once');
my $feed = IPC::Run::start([ 'sh', '-c', q(i=0; while [ $i -lt 300 ]; do echo '{"execution_id":"kill","message":"'$i'"}'; i=$((i+1)); sleep 0.01; done | wflog ingest -q) ]);
for (1 .. 12)
{
	sleep 0.3;
	sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'wflog'});
}
$feed->finish;
is(sql(q{SELECT count(*), count(DISTINCT message) FROM wflog.logs('kill')}), '300|300', 'connections that are lost cost nothing');
write_file('dup.ndjson', join '', map { qq({"id":"01a20000-0000-7000-8000-0000000000$_","execution_id":"dup","message":"$_","created_at":"2026-11-22T00:00:00Z"}\n) } 10 .. 19);
wflog('ingest', '-q', write_file('dup1.ndjson', (split /^/, slurp_file('dup.ndjson'))[4]));
($status, $out, $err) = wflog('ingest', 'dup.ndjson');
like($err, qr/dup\.ndjson, line 5: there is such a log already/, 'a log that is there already is found');
is(sql(q{SELECT count(*) FROM wflog.logs('dup')}), 10, 'and the others are written');

# ---- following

write_file('f.log', qq({"execution_id":"f","message":"1"}\n));
my @follow = ('ingest', '-q', '-f', '--state', 'f.state', 'f.log');
my $run = wflog_start(@follow);
wait_until('the first line', sub { sql(q{SELECT count(*) FROM wflog.logs('f')}) == 1 });
append_file('f.log', qq({"execution_id":"f","message":"2"}\n{"execution_id":"f",));
wait_until('a line that was added', sub { sql(q{SELECT count(*) FROM wflog.logs('f')}) == 2 });
append_file('f.log', qq("message":"3"}\n));
rename 'f.log', 'f.log.1';
append_file('f.log.1', qq({"execution_id":"f","message":"4"}\n));
write_file('f.log', qq({"execution_id":"f","message":"5"}\n));
wait_until('half a line that was completed, and the next file', sub { sql(q{SELECT count(*) FROM wflog.logs('f')}) == 5 });
is(wflog_end($run, 'TERM'), 143, 'it ends when it is told to');
append_file('f.log', qq({"execution_id":"f","message":"6"}\n));
rename 'f.log', 'f.log.1';
# longer than the next one, so that the cut is seen though there be something again when it is looked at
write_file('f.log', qq({"execution_id":"f","message":"7","source":"rotated"}\n));
$run = wflog_start(@follow);
wait_until('started again, it goes on where it was, in the file that was rotated meanwhile', sub { sql(q{SELECT count(*) FROM wflog.logs('f')}) == 7 });
sleep 0.3;
write_file('f.log', '');
sleep 0.3;
append_file('f.log', qq({"execution_id":"f","message":"8"}\n));
wait_until('also when the file is cut to nothing', sub { sql(q{SELECT count(*) FROM wflog.logs('f')}) == 8 });
$run->{handle}->signal('KILL');
eval { $run->{handle}->finish };
is(sql(q{SELECT string_agg(message, '' ORDER BY created_at) FROM wflog.logs('f') }), '12345678', 'each line once, in order');

# killed at any moment and started again
write_file('g.log', '');
my $written = 0;
for my $round (1 .. 6)
{
	$run = wflog_start('ingest', '-q', '-f', '--state', 'g.state', 'g.log');
	my $end = time + 0.5 + rand 1.5;
	while (time < $end)
	{
		append_file('g.log', join '', map { qq({"execution_id":"g","message":"@{[ ++$written ]}"}\n) } 1 .. 40);
		sleep 0.01;
	}
	$run->{handle}->signal('KILL');
	eval { $run->{handle}->finish };
}
$run = wflog_start('ingest', '-q', '-f', '--state', 'g.state', 'g.log');
wait_until('all lines are there', sub { sql(q{SELECT count(DISTINCT message) FROM wflog.logs('g')}) == $written });
wflog_end($run, 'TERM');
is(sql(q{SELECT count(*) FROM wflog.logs('g')}), $written, "killed six times: each of $written lines once");

# ---- export

sql(q{SELECT wflog.start_execution('x1', 'w', 'SUCCESS'), wflog.start_execution('x2', 'w')});
sql(q{SELECT count(wflog.log('x1', 'm' || n, level => 'WARNING', data => '{"a": "b,\"c\""}', stack_trace => E'a\nb', user_friendly_message => '',
		technical_details => '{"t": 1}', performance_metrics => '{"p": 2}', attempt => 2, progress_percentage => 12.5, is_milestone => true))
	FROM generate_series(1, 2500) n});
write_file('esc.ndjson', qq({"execution_id":"x2","message":"a\\u0000b\\ud800c\\\\x00d\xff\x00e\\\\x5c \\\\ud800 \\\\y"}\n));
wflog('ingest', '-q', 'esc.ndjson');
sql('CREATE DATABASE copy');
$node->safe_psql('copy', 'CREATE EXTENSION wflog');
my $everything = q{SELECT md5(string_agg((to_jsonb(l) - 'xact' - 'seq' - 'storage')::text, ',' ORDER BY created_at, id)) FROM
	(SELECT * FROM wflog.logs('x1') UNION ALL SELECT * FROM wflog.logs('x2')) AS l};
for my $format (qw(ndjson csv))
{
	$node->safe_psql('copy', 'TRUNCATE wflog.workflow_execution_logs');
	wflog('export', '-q', '--format', $format, '--workflow', 'w', '-O', "x.$format");
	($status, $out, $err) = wflog('ingest', '-q', '-d', 'copy', '--exported', "x.$format");
	is("$status $err", '0 ', "$format is read again");
	is($node->safe_psql('copy', $everything), sql($everything), "$format: every column of every log is the same");
}
is(() = slurp_file('x.ndjson') =~ /\n/g, 2501, 'all logs of the workflow');
my ($one) = wflog_ok('export', 'x1', '--level', 'error');
is($one, '', 'a filter');
($status) = wflog('export', 'nobody');
is($status, 4, 'no such execution');
for my $case ([], [ 'x1', '--all' ], [ '--format', 'parquet', 'x1' ], [ '--format', 'x', 'x1' ], [ 'x1', '--status', 'FAILED' ])
{
	($status) = wflog('export', @$case);
	is($status, 2, "usage: export @$case");
}
is(`wflog export x1 | head -n 1 | wc -l` + 0, 1, 'a reader that goes away');

# going on where it was interrupted
for my $cut (0, 100, 5000)
{
	unlink 'r.ndjson', 'r.cursor';
	wflog('export', '-q', '-O', 'r.ndjson', '--cursor-file', 'r.cursor', 'x1');
	my $whole = slurp_file('r.ndjson');
	my @places = split /^/, slurp_file('r.cursor');
	cmp_ok(scalar @places, '>', 2, 'several pages') if $cut == 0;
	# as if it had been killed behind the first page, some bytes of the next written
	write_file('r.cursor', $places[0] . substr($places[1], 0, 5));
	truncate 'r.ndjson', (split / /, $places[0])[0] + $cut;
	wflog('export', '-q', '-O', 'r.ndjson', '--cursor-file', 'r.cursor', 'x1');
	ok(slurp_file('r.ndjson') eq $whole, "interrupted $cut bytes behind a page: the same in the end");
	wflog('export', '-q', '-O', 'r.ndjson', '--cursor-file', 'r.cursor', 'x1');
	ok(slurp_file('r.ndjson') eq $whole, 'once more: nothing is added');
}
unlink 'r.ndjson', 'r.cursor';
wflog('export', '-q', '-O', 'r.ndjson', '--cursor-file', 'r.cursor', 'x2');
sql(q{SELECT wflog.log('x2', 'later')});
wflog('export', '-q', '-O', 'r.ndjson', '--cursor-file', 'r.cursor', 'x2');
is(() = slurp_file('r.ndjson') =~ /"message":"later"/g, 1, 'what has come since is added');
is(() = slurp_file('r.ndjson') =~ /\n/g, 2, 'to what there was');

$node->stop;
done_testing();
