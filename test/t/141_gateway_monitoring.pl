# wflog serve: business figures; /metrics as Prometheus reads it, with what has
# happened in it and no series more for whatever clients ask; /ready and the
# worker; and that alert rules, dashboard and runbook speak of what there is.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Gateway;
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WflogCommand;
use WflogNode;

plan skip_all => 'wflog was built without serve' unless Gateway::is_built();

my $root = "$FindBin::RealBin/../..";
my $node = Gateway::new_server();
wait_for_workers($node, 'worker and keeper run', 'postgres');
my $gateway = Gateway->start;
my $api = '/api/v1/app';
my $alice = token('alice');

sub waits_for
{
	my ($condition) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	sleep 0.05 until $condition->() || time() > $end;
	return $condition->();
}

# ---- business figures

$node->safe_psql(
	'postgres', q{
	SELECT wflog.start_execution('a' || i, 'w' || i % 2, user_id => 'alice') FROM generate_series(1, 4) i;
	SELECT wflog.start_execution('b1', 'bobs', user_id => 'bob');
	SELECT wflog.log('b1', 'of bob', 'ERROR');
	SELECT wflog.log('a1', 'm') FROM generate_series(1, 9);
	SELECT wflog.log('a2', 'broke', 'ERROR', 'step_error') FROM generate_series(1, 2);
	SELECT wflog.log('a3', 'failed', 'CRITICAL', 'log');
	SELECT wflog.set_execution_status('a3', 'FAILED')});

# The three figures of the design: share, mean, errors by event type.
sub business
{
	my ($query, $who) = @_;
	my $figures = json_of($gateway->get("$api/statistics$query", $who));
	return join ' ', $figures->{workflow_id} // '(all)', $figures->{executions}{total}, $figures->{executions}{share_with_logs} // '-',
	  $figures->{executions}{mean_logs} // '-', map { "$_:$figures->{errors}{event_types}{$_}" } sort keys %{ $figures->{errors}{event_types} };
}
is(business('', $alice), '(all) 4 0.75 3 log:1 step_error:2', 'figures of all that is mine');
is(business('', token('bob')), '(all) 1 1 1 log:1', 'of another');
is(business('', token('robot', role => 'service_role')), '(all) 5 0.8 2.6 log:2 step_error:2', 'of everything');
is(business('', token('nobody')), '(all) 0 - -', 'of nothing');
is(business('?workflow_id=w0', $alice), 'w0 2 0.5 1 step_error:2', 'of one workflow');
is(business('?since=2020-01-01&until=2020-01-02', $alice), '(all) 0 - -', 'of a time');
is($gateway->get("$api/statistics?workflow_id=bobs", $alice)->{status}, 404, "not of another's");
my $series = json_of($gateway->get("$api/statistics?bucket=1+day", $alice));
my $sum = 0;
$sum += $_->{logs} foreach @{ $series->{series} };
is("$series->{bucket_seconds} $sum", '86400 12', 'as a series');

# ---- what happens, and is counted

my $stream = $gateway->stream("$api/executions/a1/logs/stream", $alice);
Gateway::take_until($stream, sub { @{ $_[0]{events} } == 9 });
$node->safe_psql('postgres', q{SELECT wflog.log('a1', 'live') FROM generate_series(1, 5)});
Gateway::take_until($stream, sub { @{ $_[0]{events} } == 14 });
$node->safe_psql('postgres', q{SELECT wflog.set_execution_status('a1', 'SUCCESS')});
like(Gateway::finish($stream), qr/COMPLETE SUCCESS/, 'a stream, to its end');
$gateway->get("$api/executions/a1/logs") foreach 1 .. 3;
my $leaving = $node->background_psql('postgres');
$leaving->query_safe('BEGIN; LOCK TABLE wflog.workflow_executions');
my $left = $gateway->connect;
print $left "GET $api/executions/a1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $alice\r\n\r\n";
ok(waits_for(sub { $gateway->get('/metrics')->{content} =~ /^wflog_pool_busy [1-9]/m }), 'a request waits');
close $left;
$leaving->query_safe('ROLLBACK');
$leaving->quit;

# ---- /metrics, read strictly: {family => {type, samples => {name with labels => value}}}

sub metrics
{
	my $answer = $gateway->get('/metrics');
	my (%families, $family, @problems);
	is($answer->{headers}{'content-type'}, 'text/plain; version=0.0.4; charset=utf-8', '/metrics, of the format\'s type,');
	push @problems, 'no line feed at the end' unless $answer->{content} =~ /\n\z/;
	foreach my $line (split /\n/, $answer->{content})
	{
		if ($line =~ /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) \S.*$/)
		{
			push @problems, "$1 is there twice" if $families{$1};
			$family = $families{$1} = { name => $1, samples => {}, order => [] };
		}
		elsif ($line =~ /^# TYPE (\S+) (counter|gauge|histogram)$/)
		{
			push @problems, "TYPE of $1 is not behind its HELP" unless $family && $family->{name} eq $1 && !$family->{type} && !%{ $family->{samples} };
			$family->{type} = $2;
		}
		elsif ($line =~ /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)+(?<!,)\})? (-?\d+(?:\.\d+)?(?:e[+-]\d+)?)$/)
		{
			my ($name, $labels, $value) = ($1, $2 // '', $3);
			my $base = $family->{type} eq 'histogram' ? $name =~ s/_(bucket|sum|count)$//r : $name;
			push @problems, "$name is not below its TYPE" unless $base eq $family->{name};
			push @problems, "$name$labels is there twice" if exists $family->{samples}{"$name$labels"};
			push @problems, "counter $name does not end in _total" if $family->{type} eq 'counter' && $name !~ /_total$/;
			push @problems, "counter $name is below zero" if $family->{type} ne 'gauge' && $value < 0;
			$family->{samples}{"$name$labels"} = $value;
			push @{ $family->{order} }, "$name$labels";
		}
		else { push @problems, "what is this: $line" }
	}
	foreach my $histogram (grep { $_->{type} eq 'histogram' } values %families)
	{
		my ($name, %last, %bound) = ($histogram->{name});
		foreach my $sample (grep { /^\Q$name\E_bucket/ } @{ $histogram->{order} })
		{
			my ($series, $le) = $sample =~ /^(.*?),?le="([^"]+)"/;
			my $limit = $le eq '+Inf' ? 9**9**9 : $le;
			push @problems, "$sample is not cumulative" if $histogram->{samples}{$sample} < ($last{$series} // 0) || $limit <= ($bound{$series} // -1);
			($last{$series}, $bound{$series}) = ($histogram->{samples}{$sample}, $limit);
		}
		foreach my $series (keys %last)
		{
			my $count = $series =~ s/_bucket\{(.+)$/_count{$1}/r =~ s/_bucket\{$/_count/r;
			push @problems, "$series has no +Inf" if $bound{$series} != 9**9**9;
			push @problems, "$count is not what the buckets have" if ($histogram->{samples}{$count} // -1) != $last{$series};
			push @problems, "$series has no sum" unless exists $histogram->{samples}{ $count =~ s/_count/_sum/r };
		}
	}
	is(join("\n", @problems), '', 'can be read');
	return \%families;
}

sub value
{
	my ($families, $sample) = @_;
	my ($name) = $sample =~ /^(\w+)/;
	my $family = $families->{$name} // $families->{ $name =~ s/_(bucket|sum|count)$//r };
	return $family->{samples}{$sample};
}
# the worker is asked for every 10 s, and may have been about to begin
waits_for(sub { my $text = $gateway->get('/metrics')->{content}; $text =~ /^wflog_requests_abandoned_total 1$/m && $text =~ /^wflog_worker_running 1$/m });
my $metrics = metrics();
is(value($metrics, 'wflog_requests_abandoned_total'), 1, 'a client that left');
is(value($metrics, 'wflog_requests_unauthorized_total'), 3, 'requests without a token');
is(value($metrics, 'wflog_http_requests_total{route="logs",code="4xx"}'), 3, 'by route and class');
is(value($metrics, 'wflog_http_requests_total{route="statistics",code="2xx"}'), 7, 'as this');
is(value($metrics, 'wflog_http_request_duration_seconds_count{route="statistics"}'), 8, 'and how long they took');
is(value($metrics, 'wflog_http_requests_total{route="summary",code="5xx"}'), 0, 'what has not happened yet is there, too');
is(value($metrics, 'wflog_stream_events_total'), 14, 'logs sent');
is(value($metrics, 'wflog_stream_delivery_seconds_count'), 5, 'those that were live have their delay');
is(value($metrics, 'wflog_stream_completions_total'), 1, 'an end');
is(value($metrics, 'wflog_streams'), 0, 'no stream is open');
cmp_ok(value($metrics, 'wflog_notifications_total'), '>=', 1, 'notifications');
is(value($metrics, 'wflog_database_transactions_total'),
	value($metrics, 'wflog_database_duration_seconds_count{for="request"}') + value($metrics, 'wflog_database_duration_seconds_count{for="stream"}'),
	'transactions have their time');
is(join(' ', map { value($metrics, "wflog_$_") } qw(database_up listening polling pool_size worker_running)), '1 1 0 10 1', 'database, listener, pool, worker');
cmp_ok(value($metrics, 'wflog_worker_queue_size'), '>', 0, 'the worker\'s queue');
cmp_ok(value($metrics, 'process_resident_memory_bytes'), '>', 1e6, 'memory');
my $version = json_of($gateway->get('/health'))->{version};
is(value($metrics, qq{wflog_build_info{version="$version"}}), 1, 'the version');

# whatever clients ask for, there are no more series
sub series_of { my ($families) = @_; return join "\n", sort map { keys %{ $_->{samples} } } grep { $_->{name} !~ /^wflog_(worker|maintenance)/ } values %$families }
my $before = series_of($metrics);
my $errors = value($metrics, 'wflog_database_errors_total');
foreach my $i (1 .. 30)
{
	$gateway->get("/nothing/$i");
	$gateway->get("$api/executions/x$i$_", $alice) foreach '', '/logs', '/logs/summary';
	$gateway->get("$api/executions?status=$i", $alice, method => "M$i");
}
$metrics = metrics();
is(series_of($metrics), $before, 'unknown addresses, ids and methods make no series');
is(value($metrics, 'wflog_http_requests_total{route="none",code="4xx"}'), 60, 'but are counted');
is(value($metrics, 'wflog_database_errors_total'), $errors, 'and are no errors of the database');

# ---- the worker's figures do not grow old while it is busy

sub logs_notified { return ($gateway->get('/metrics')->{content} =~ /^wflog_worker_logs_notified_total (\d+)$/m)[0] // 0 }
my $busy = $gateway->stream("$api/executions/a2/logs/stream", $alice);
my $first = logs_notified();
ok(waits_for(sub { $node->safe_psql('postgres', q{SELECT wflog.log('a2', 'm')}); logs_notified() > $first }), 'they are asked for while notifications come all the time');
close $busy->{socket};

# ---- the worker, as /ready tells

my $ready = json_of($gateway->get('/ready'));
is("$ready->{status} $ready->{worker}{running}", 'ready 1', '/ready');
cmp_ok($ready->{worker}{queue_size}, '>', $ready->{worker}{queue_depth}, 'and the worker\'s queue');
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', undef);
$node->restart;
ok(waits_for(sub { my $answer = $gateway->get('/ready'); $answer->{status} == 200 && $answer->{content} =~ /"polling":true.*"running":false/ }), 'without a worker: polling, and ready');
$metrics = metrics();
is(join(' ', map { value($metrics, "wflog_$_") // '-' } qw(polling worker_running worker_queue_depth)), '1 0 -', 'as metrics say; what is not known has no sample');
$node->stop('fast');
$ready = $gateway->get('/ready');
is("$ready->{status} " . json_of($ready)->{status}, '503 not ready', 'without a database');
ok(waits_for(sub { $gateway->get('/metrics')->{content} =~ /^wflog_database_up 0$/m }), 'which metrics tell without waiting for it');

# ---- rules, dashboard, runbook

my $rules = slurp_file("$root/contrib/prometheus/wflog.rules.yml");
my $dashboard = JSON::PP->new->utf8->decode(slurp_file("$root/contrib/grafana/wflog.json"));
my @targets = map { @{ $_->{targets} // [] } } @{ $dashboard->{panels} };
my @expressions = map { $_->{expr} } @targets;
cmp_ok(scalar(@targets), '>', 30, 'the dashboard has panels');
my %panels = map { $_->{id} => 1 } @{ $dashboard->{panels} };
is(scalar(keys %panels), scalar(@{ $dashboard->{panels} }), 'each with an id of its own');

# the rules without comments and words to people
my $code = join "\n", grep { !/^\s*#/ && !/^\s+(summary|runbook):/ } split /\n/, $rules;
my %recorded = map { $_ => 1 } $code =~ /- record: (\S+)/g;
my %known = map { $_ => 1 } map { my $f = $_; $f->{type} eq 'histogram' ? map { "$f->{name}_$_" } qw(bucket sum count) : $f->{name} } values %$metrics;
my @named = map { /\b((?:wflog|process)[_:][\w:]+)/g } $code, @expressions, slurp_file("$root/contrib/prometheus/wflog.tests.yml") =~ /series: '(\w+)/g;
my @unknown = grep { !$known{$_} && !$recorded{$_} } @named;
is(join(' ', @unknown), '', 'every metric that rules and dashboard name is there');
my @routes = map { /route="(\w+)"/ } keys %{ $metrics->{wflog_http_requests_total}{samples} };
my @selected = map { split /\|/ } map { /route(?:!~|=~|=)"([^"]+)"/g } $code, @expressions;
is(join(' ', grep { my $pattern = $_; !grep { /^$pattern$/ } @routes } @selected), '', 'and every route');
is(join(' ', grep { my $used = $_; $rules !~ /(?<!record: )\Q$used\E/ } keys %recorded), '', 'and what is recorded is used');

my @alerts = $code =~ /- alert: (\w+)/g;
cmp_ok(scalar(@alerts), '>=', 20, 'alerts');
my $runbook = slurp_file("$root/docs/runbook.md");
is(join(' ', sort $runbook =~ /^### (\w+)$/mg), join(' ', sort @alerts), 'each has a section in the runbook, and each section an alert');
is(join(' ', $rules =~ m{runbook: "docs/runbook\.md#(\w+)"}g), join(' ', map { lc } @alerts), 'to which it leads');
is(scalar(() = $rules =~ /^        labels: \{severity: (?:critical|warning)\}$/mg), scalar(@alerts), 'each says how severe it is');

SKIP:
{
	skip 'promtool (of the package prometheus) is not there', 2 unless eval { IPC::Run::run([ 'promtool', '--version' ], '>&', \my $ignored) };
	chdir "$root/contrib/prometheus";
	foreach my $command ([qw(check rules wflog.rules.yml)], [qw(test rules wflog.tests.yml)])
	{
		my $out = '';
		ok(IPC::Run::run([ 'promtool', @$command ], '>&', \$out), "promtool @$command") or diag($out);
	}
}

is($gateway->stop, 0, 'it ends');
done_testing();
