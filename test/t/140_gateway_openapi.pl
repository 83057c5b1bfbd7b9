# wflog serve: /openapi.json is what it does. Every route is in it and nothing
# else; each answer it tells of is provoked, and is held against its schemas,
# which let no member be missing or too many; parameters take what it says and
# refuse what it does not; and the shapes of the log API design hold as that
# writes them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Digest::SHA qw(sha256_hex);
use Gateway;
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WflogCommand;

plan skip_all => 'wflog was built without serve' unless Gateway::is_built();

my $node = Gateway::new_server('max_connections = 60');
my $gateway = Gateway->start('--print-link=alice');
my $answer = $gateway->get('/openapi.json');
is("$answer->{status} $answer->{headers}{'content-type'}", '200 application/json', 'the document');
my $file = PostgreSQL::Test::Utils::tempdir() . '/openapi.json';
append_to_file($file, $answer->{content});
my $document = json_of($answer);
is($document->{info}{version}, json_of($gateway->get('/health'))->{version}, 'is of this version');

# ---- routes

my $router = slurp_file("$FindBin::RealBin/../../src/gateway/router.c");
my @routes = $router =~ m{^\t\{"([A-Z]+)", "(/[^"]*)", ACCESS_}mg;
my (%routed, %described);
while (my ($method, $path) = splice @routes, 0, 2)
{
	$routed{ "$method " . $path =~ s/\{\w+\}/{}/gr }++;
}
foreach my $path (keys %{ $document->{paths} })
{
	$described{ uc($_) . ' ' . $path =~ s/\{\w+\}/{}/gr }++ foreach grep { /^(get|post|put|patch|delete)$/ } keys %{ $document->{paths}{$path} };
}
cmp_ok(scalar(keys %routed), '>', 15, 'there are routes');
is(join("\n", sort keys %described), join("\n", sort keys %routed), 'every route is described, and nothing else');

# What a reference leads to.
sub resolved
{
	my ($value) = @_;
	while (ref $value eq 'HASH' && $value->{'$ref'})
	{
		my $at = $document;
		$at = $at->{$_} foreach grep { $_ ne '#' } split m{/}, $value->{'$ref'};
		$value = $at;
	}
	return $value;
}

# ---- data

# the keeper's first maintenance must not remove what is to be removed later
$node->poll_query_until('postgres', 'SELECT maintenance_ended IS NOT NULL FROM wflog.stat') or die 'no maintenance';
$node->safe_psql(
	'postgres', q{
	SELECT wflog.start_execution('live', 'w1', user_id => 'alice', workflow_name => 'First');
	SELECT wflog.log('live', 'begun', 'INFO', 'workflow_started', is_milestone => true);
	SELECT wflog.start_execution('done', 'w1');
	SELECT wflog.log('done', 'everything', 'ERROR', 'step_error', 'business', '{"a": {"b": [1, null]}}', 'n', 'Node', 'kind', 1, 2, 33.5, 7,
		'In words', 9, true, '{"t": 1}', 'at line 1', '{"p": 1}', now() - interval '1 hour', 'worker', 2, 'trace', 'span');
	SELECT wflog.log('done', repeat('long ', 5000), 'WARNING', 'step_completed', node_id => 'm', node_name => 'Other', step_number => 2);
	SELECT wflog.log('done', 'm' || i) FROM generate_series(1, 8) i;
	SELECT wflog.set_execution_status('done', 'FAILED', 'it broke');
	SELECT wflog.start_execution('empty', 'w2');
	SELECT wflog.start_execution('changing', 'w1');
	SELECT wflog.start_execution('old', 'w1');
	SELECT wflog.log('old', 'first', created_at => now() - interval '40 days')});
my $alice = token('alice');
my $robot = token('robot', role => 'service_role');
my $before_removal = $node->safe_psql('postgres', q{SELECT cursor FROM wflog.tail('old')});
$node->safe_psql('postgres', q{SELECT wflog.log('old', 'second', created_at => now() - interval '40 days'); CALL wflog.maintain()});

# What stands for the variable parts of a path, and for required parameters; and bodies.
my %typical = (execution_id => 'done', workflow_id => 'w1', file => 'main.js');
my %body_of = (
	ingest => '[{"message": "m"}]',
	ingest_many => '[{"message": "m", "execution_id": "changing"}]',
	start_execution => '{"execution_id": "started", "workflow_id": "w1"}',
	change_execution => '{"status": "PAUSED"}');

# ---- answers

my %shape_of = (logs => 'LogsResponse', recent_logs => 'RecentLogsResponse', summary => 'LogsSummaryResponse');
my @exchanges;
my %provoked;

sub operation { my ($method, $path) = @_; return $document->{paths}{$path}{ lc $method } }
sub is_stream { my ($operation) = @_; return resolved($operation->{responses}{200})->{content}{'text/event-stream'} }

# Keep an answer, to be checked with all others.
sub keep
{
	my ($method, $path, $got, %more) = @_;
	my $operation = operation($method, $path);
	my $shape = $got->{status} == 200 && $shape_of{ $operation->{operationId} =~ s/_v2$//r };
	my %headers = map { $_ => $got->{headers}{$_} } keys %{ $got->{headers} };
	push @exchanges, { method => $method, path => $path, status => $got->{status}, type => $headers{'content-type'} // '', headers => \%headers,
		body => $got->{content} // '', $shape && !$more{not_of_the_design} ? (shape => $shape) : (), map { $more{$_} ? ($_ => $more{$_}) : () } qw(events sent sent_type) };
	$provoked{"$method $path $got->{status}"} = 1;
	return $got->{status};
}

# The address of an operation: a path, and a query of the parameters given and the required ones.
sub address
{
	my ($path, %parameters) = @_;
	foreach my $parameter (map { resolved($_) } @{ (operation('GET', $path) // {})->{parameters} })
	{
		next unless $parameter->{required} && $parameter->{in} eq 'query';
		$parameters{ $parameter->{name} } = $typical{ $parameter->{name} } unless exists $parameters{ $parameter->{name} };
	}
	$parameters{follow} //= 'false' if $path =~ /stream/;
	# one of the two is required
	$parameters{execution_id} //= $typical{execution_id} if $path =~ m{/logs/stream$} && $path !~ /execution_id/ && !exists $parameters{workflow_id};
	my $target = $path =~ s/\{(\w+)\}/delete $parameters{$1} \/\/ $typical{$1}/ger;
	my $query = join '&', map { "$_=" . $parameters{$_} =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ger } grep { defined $parameters{$_} } sort keys %parameters;
	return $query eq '' ? $target : "$target?$query";
}

# The headers in the bytes of a head.
sub headers_of
{
	my ($head) = @_;
	my %headers;
	$headers{ lc $1 } = $2 while $head =~ /^([\w-]+): (.*?)\r?$/mg;
	return \%headers;
}

# The events of a stream that has ended, as their fields.
sub events_of
{
	my ($text) = @_;
	return [ grep { exists $_->{data} } map { +{ /^(\w+): ?(.*)$/mg } } split /\n\n/, $text ];
}

sub ask
{
	my ($path, $parameters, %options) = @_;
	my $got = $gateway->get(address($path, %$parameters), exists $options{token} ? delete $options{token} : $alice, map { $_ => $options{$_} } grep { !/^not_/ } keys %options);
	my $events = ($got->{headers}{'content-type'} // '') =~ m{^text/event-stream} && events_of($got->{content});
	keep($options{method} // 'GET', $path, $got, $events ? (events => $events) : (), not_of_the_design => $options{not_of_the_design});
	return $got;
}

my @reads = grep { operation('GET', $_) } sort keys %{ $document->{paths} };
my @guarded = grep { @{ operation('GET', $_)->{security} // [1] } } @reads;
foreach my $path (@reads)
{
	my $operation = operation('GET', $path);
	my $got = ask($path, {});
	is($got->{status}, 200, "GET $path");
	ask($path, {}, 'If-None-Match' => $got->{headers}{etag}) if $operation->{responses}{304};
	ask($path, {}, 'X-Request-ID' => 'mine', traceparent => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
	my $allowed = join ', ', map { uc } grep { $document->{paths}{$path}{$_} } qw(get post patch);
	$allowed =~ s/GET/GET, HEAD/ unless is_stream($operation);
	$got = $gateway->get(address($path), $alice, method => 'DELETE');
	is("$got->{status} $got->{headers}{allow}", "405 $allowed", '  and no other method');
	keep('GET', $path, { %$got, status => 405 });
}
foreach my $path (@guarded)
{
	is(ask($path, {}, token => $_)->{status}, 401, "GET $path needs a token") foreach undef, 'x.y.z', token('alice', exp => int(time()) - 100);
}
# every way of an answer
foreach my $path (grep { /logs$|recent_logs$|export$/ } @guarded)
{
	ask($path, { detail => 'true', limit => 3, from_end => 'true' });
	ask($path, { with_total => 'false', limit => 1 }, not_of_the_design => 1);
	my %names = map { $_->{name} => 1 } map { resolved($_) } @{ operation('GET', $path)->{parameters} };
	ask($path, { after => json_of(ask($path, { limit => 1 }))->{pagination}{next_cursor} }) if $names{after} && $path !~ /export/;
	ask($path, { include_all_executions => 'true' }) if $names{include_all_executions};
	next unless $names{Accept};
	ask($path, {}, Accept => $_, not_of_the_design => 1) foreach 'application/x-ndjson', 'application/json;q=0.5, text/csv', 'image/png';
}
foreach my $path (grep { /summary|statistics/ } @guarded)
{
	ask($path, { since => '2020-01-01T00:00:00Z', until => '2030-01-01', bucket => '365 days' });
}
ask($_, { execution_id => 'empty' }, token => $robot, not_of_the_design => 1) foreach grep { /execution_id/ } @guarded;
ask('/api/v1/app/executions', { limit => 1 });
ask('/api/v1/app/executions/{execution_id}', { execution_id => 'live' });
ask('/api/v1/app/workflows/{workflow_id}/summary', { workflow_id => 'w2' }, token => $robot);
ask('/page/{file}', { file => $_ }, token => undef) foreach 'index.html', 'base.css', 'icon.svg', 'openapi.json', 'nothing';

# what is not there, by each parameter that names something
foreach my $path (@guarded)
{
	my %names = map { $_->{name} => 1 } map { resolved($_) } @{ operation('GET', $path)->{parameters} };
	is(ask($path, { $_ => 'nobody-s' })->{status}, 404, "GET $path of no such $_") foreach grep { $names{$_} } qw(execution_id workflow_id);
}

# ---- writing

my @others = map { my $path = $_; map { [ uc $_, $path ] } grep { $document->{paths}{$path}{$_} } qw(post patch) } sort keys %{ $document->{paths} };
my @writes = grep { $_->[1] !~ m{/(stream-tickets|sessions)$} } @others;

# Send a body; the typical one unless another is given.
sub write_to
{
	my ($method, $path, %options) = @_;
	my $type = $options{type} // 'application/json';
	my $body = $options{body} // $body_of{ operation($method, $path)->{operationId} };
	my $target = $path =~ s/\{execution_id\}/$options{execution_id} \/\/ 'changing'/er;
	my $got = $gateway->get($target, exists $options{token} ? $options{token} : $robot, method => $method, body => $body, 'Content-Type' => $type,
		defined $options{key} ? ('Idempotency-Key' => $options{key}) : ());
	keep($method, $path, $got, sent => $body, sent_type => $type);
	return $got;
}
foreach my $write (@writes)
{
	my ($method, $path) = @$write;
	my $id = operation($method, $path)->{operationId};
	is(write_to(@$write)->{status}, $method eq 'PATCH' ? 200 : 201, "$method $path");
	is(write_to(@$write, token => undef)->{status}, 401, '  needs a token');
	is(write_to(@$write, token => $alice)->{status}, 403, '  of the service');
	is(write_to(@$write, body => '{')->{status}, 400, '  malformed');
	is(write_to(@$write, type => 'text/plain')->{status}, 415, '  of another type');
	is(write_to(@$write, body => '{"colour": "red"}')->{status}, 422, '  a field that there is not');
	if ($id =~ /^ingest/)
	{
		my $same = '[{"id": "01a202a6-dfed-7a9b-8e0f-5a1c3a6f9d21", "created_at": "2026-11-22T10:00:00Z", "message": "m", "execution_id": "changing"}]';
		is(write_to(@$write, body => '[]')->{status}, 200, '  nothing');
		write_to(@$write, body => $same);
		is(write_to(@$write, body => $same)->{status}, 409, '  what is there already');
		is(write_to(@$write, key => "k $id")->{headers}{'idempotent-replayed'}, $_, '  once, with a key') foreach undef, 'true';
		is(write_to(@$write, type => 'application/x-ndjson', body => '{"message": "m", "execution_id": "changing"}')->{status}, 201, '  as lines');
		# every field at its limits
		my $fields = $document->{components}{schemas}{NewLog}{properties};
		foreach my $field (sort keys %$fields)
		{
			my $schema = $fields->{$field};
			next unless defined $schema->{minimum};
			my @statuses = map { write_to(@$write, body => qq([{"message": "m", "execution_id": "changing", "$field": $_}]))->{status} }
			  $schema->{minimum}, $schema->{minimum} - 1, defined $schema->{maximum} ? ($schema->{maximum}, $schema->{maximum} + 1) : ();
			like("@statuses", qr/^201 422( 201 422)?$/, "  $field at its limits");
		}
	}
	is(write_to(@$write)->{status}, 200, '  again') if $id eq 'start_execution';
	is(write_to(@$write, execution_id => 'nobody-s')->{status}, 404, '  of no such execution') if operation($method, $path)->{responses}{404};
	is(write_to(@$write, execution_id => 'done')->{status}, 409, '  one that has ended') if $method eq 'PATCH';
}
my $got = $gateway->get('/api/v1/app/logs');
is("$got->{status} $got->{headers}{allow}", '405 POST', 'where one can only write');

# ---- streams

my ($stream) = grep { /^\/api/ && is_stream(operation('GET', $_)) } @guarded;
my $expiring = $gateway->stream(address($stream, execution_id => 'empty', follow => 'true'), token('robot', role => 'service_role', exp => int(time()) + 2));
foreach my $path (grep { is_stream(operation('GET', $_)) && /execution_id/ } @guarded)
{
	my $got = $gateway->get(address($path, access_token => $alice));
	is(keep('GET', $path, $got, events => events_of($got->{content})), 200, "GET $path with the token as a parameter");
	my ($last) = $got->{content} =~ /^id: (e\.\S+)$/m;
	is(ask($path, { follow => 'true' }, 'Last-Event-ID' => $last)->{status}, 204, '  the end has been told');
	is(ask($path, { execution_id => 'old', after => $before_removal })->{status}, 410, '  logs that were not sent yet have gone');
	is(ask($path, { after => 'x' })->{status}, 422, '  no cursor');
}
my $live = $gateway->stream(address($stream, execution_id => 'live', follow => 'true'), $alice);
Gateway::take_until($live, sub { @{ $_[0]{events} } == 1 });
$node->safe_psql('postgres', q{SELECT wflog.log('live', 'now'); SELECT wflog.set_execution_status('live', 'SUCCESS')});
is(Gateway::finish($live), 'begun now (COMPLETE SUCCESS)', 'a live stream');
is(Gateway::finish($expiring), '(ERROR token_expired)', 'one whose token expires');
foreach my $followed ($live, $expiring)
{
	keep('GET', $stream, { status => 200, headers => headers_of($followed->{head}), content => '' },
		events => [ map { { event => $_->{event}, data => $_->{raw}, defined $_->{id} ? (id => $_->{id}) : () } } @{ $followed->{events} } ]);
}

foreach my $path (grep { is_stream(operation('GET', $_)) && !/execution_id/ } @guarded)
{
	my $got = ask($path, {});
	my ($last) = (reverse split /\n/, $got->{content} =~ s/^(?!id: ).*\n//mgr)[0] =~ /^id: (.*)/;
	is(ask($path, { follow => 'true' }, 'Last-Event-ID' => $last)->{status}, 204, 'the end of all has been told');
	my $gone = 'm1~' . substr(sha256_hex('old'), 0, 12) . "o$before_removal";
	is(ask($path, { execution_id => 'old', after => $gone })->{status}, 410, '  logs that were not sent yet have gone');
	is(ask($path, { after => 'x' })->{status}, 422, '  no id');
	is(ask($path, { workflow_id => 'w1' })->{status}, 200, '  those of a workflow');
}

# ---- tickets and sessions

# Send a body, perhaps with a token.
sub post_to
{
	my ($path, $body, $token) = @_;
	my $got = $gateway->get($path, $token, method => 'POST', body => $body, 'Content-Type' => 'application/json');
	keep('POST', $path, $got, sent => $body, sent_type => 'application/json');
	return $got->{status};
}
my $tickets = '/api/v1/app/stream-tickets';
is(join(' ', map { post_to($tickets, $_, $alice) } '{}', '{"execution_ids":["a","b"]}', '{"workflow_id":"w"}', '[]', '{"workflow_id":""}', '{"x":1}'),
	'201 201 201 400 422 422', 'tickets');
is(post_to($tickets, '{}'), 401, 'not without token');
is(join(' ', sort { $a <=> $b } map { post_to($tickets, '{}', token('greedy')) } 1 .. 101), join(' ', (201) x 100, 429), 'not too many');
$gateway->{run}{handle}->pump while $gateway->{run}{out} !~ /#ticket=[\w-]+\n/;
my ($link) = $gateway->{run}{out} =~ /#ticket=([\w-]+)/;
is(join(' ', map { post_to('/api/v1/app/sessions', $_) } '[]', '{}', '{"ticket":"x"}', qq({"ticket":"$link"})), '400 422 401 201', 'sessions');

# ---- parameters: what they take, and what they do not

sub takes { my ($path, $name, $value) = @_; return ask($path, { $name => $value }, not_of_the_design => 1)->{status} != 422 }
foreach my $path (@guarded)
{
	foreach my $parameter (map { resolved($_) } @{ operation('GET', $path)->{parameters} })
	{
		my ($name, $schema) = ($parameter->{name}, resolved($parameter->{schema}));
		my (@good, @bad);
		next unless $parameter->{in} eq 'query' || $name eq 'execution_id';
		if ($schema->{type} eq 'integer')
		{
			@good = grep { defined } $schema->{minimum}, $schema->{maximum}, $schema->{default};
			@bad = ($schema->{minimum} - 1, 'x', '1.5', defined $schema->{maximum} ? $schema->{maximum} + 1 : ());
		}
		elsif ($schema->{type} eq 'boolean') { @good = qw(true false); @bad = qw(perhaps 2); }
		elsif ($schema->{enum}) { @good = (@{ $schema->{enum} }, map { lc } @{ $schema->{enum} }); @bad = ('no-such'); }
		elsif (($schema->{format} // '') eq 'date-time') { @good = ('2026-11-22T10:00:00Z', '2026-11-22T10:00:00.5+02:00', '2026-11-22'); @bad = ('soon', '2026-13-01'); }
		elsif ($schema->{maxLength}) { @good = ('x' x $schema->{maxLength}, 'x' x $schema->{minLength}); @bad = ('x' x ($schema->{maxLength} + 1)); }
		elsif ($schema->{minLength}) { @good = ('x' x $schema->{minLength}); @bad = (''); }
		elsif ($schema->{examples}) { @good = @{ $schema->{examples} }; @bad = ('soon', '1 month'); }
		push @bad, undef if $parameter->{required} && $parameter->{in} eq 'query';
		is(join(' ', map { $_ // '(none)' } (grep { !takes($path, $name, $_) } @good), (grep { takes($path, $name, $_) } @bad)),
			'', "$path: $name takes what it says, and nothing else");
	}
}

# ---- the database is busy, is away, the gateway ends

my $blocker = $node->background_psql('postgres');
$blocker->query_safe('BEGIN; LOCK TABLE wflog.workflow_executions, wflog.workflow_execution_logs');
my $hasty = Gateway->start('--query-timeout=1', '--logs-timeout=1', '--pool=20');

# Whole answers to requests, each a method and a path, that are sent at once.
sub ask_at_once
{
	my ($from, @requests) = @_;
	my @sockets = map {
		my ($method, $path) = @$_;
		my $body = $method eq 'GET' ? '' : $body_of{ operation($method, $path)->{operationId} };
		my $socket = $from->connect;
		print $socket "$method " . address($path) . " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer $robot\r\n"
		  . ($body eq '' ? '' : "Content-Type: application/json\r\nContent-Length: " . length($body) . "\r\n") . "\r\n$body";
		$socket
	} @requests;
	return sub {
		foreach my $request (@requests)
		{
			my ($method, $path) = @$request;
			my ($bytes) = Gateway::read_until(shift @sockets, qr/(?!)/);
			my ($head, $body) = split /\r\n\r\n/, $bytes, 2;
			keep($method, $path, { status => ($head =~ m{^HTTP/1\.1 (\d+)})[0], headers => headers_of($head), content => $body });
		}
	};
}
ask_at_once($hasty, @writes, map { [ 'GET', $_ ] } grep { operation('GET', $_)->{responses}{504} } @reads)->();
$blocker->query_safe('ROLLBACK');
$blocker->quit;
is($hasty->stop, 0, 'the hasty one ends');
$node->stop('fast');
ask($_, {}) foreach grep { operation('GET', $_)->{responses}{503} && !is_stream(operation('GET', $_)) } @reads;
# streams wait for the database, but not for this
my @streams = grep { is_stream(operation('GET', $_)) } @reads;
write_to(@$_) foreach @writes;
my $answers = ask_at_once($gateway, map { [ 'GET', $_ ] } @streams);
my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
sleep 0.05 while $gateway->get('/metrics')->{content} !~ /^wflog_streams ${\ scalar @streams}$/m && time() < $end;
kill 'TERM', $gateway->pid;
$answers->();
is(wflog_end($gateway->{run}), 0, 'it ends');

# ---- all together

my @missing;
foreach my $operation (@others, map { [ 'GET', $_ ] } @reads)
{
	my ($method, $path) = @$operation;
	push @missing, grep { !$provoked{$_} } map { "$method $path $_" } grep { $_ ne 'default' } sort keys %{ operation($method, $path)->{responses} };
}
is(join("\n", @missing), '', 'every answer that is described has been had');
cmp_ok(scalar(@exchanges), '>', 500, 'answers to check');

SKIP:
{
	my ($out, $err) = ('', '');
	my $there = eval { IPC::Run::run([ 'python3', '-c', 'import jsonschema; jsonschema.Draft202012Validator' ], '>', \$out, '2>', \$err) };
	if (!$there)
	{
		diag('*** without python3-jsonschema /openapi.json and the answers are NOT checked against its schemas');
		skip 'python3-jsonschema is missing', 4;
	}
	my $input = JSON::PP->new->utf8->encode(\@exchanges);
	ok(IPC::Run::run([ 'python3', "$FindBin::RealBin/../gateway/check_openapi.py", $file, "$FindBin::RealBin/../gateway/log_api.d.ts" ], '<', \$input, '>', \$out, '2>', \$err), 'they are checked')
	  or diag($err);
	my $verdict = eval { JSON::PP->new->utf8->decode($out) } // {};
	is(join("\n", @{ $verdict->{document} // ['none'] }), '', 'the document is one of OpenAPI 3.1');
	is(join("\n", @{ $verdict->{answers} // ['none'] }), '', 'answers are what it says');
	# nothing but what writers of logs make up may have members that are not described
	is(join("\n", grep { !m{(/data|/technical_details|/performance_metrics)(/|$)} && !m{^/openapi\.json|^/page/} } @{ $verdict->{loose} // ['none'] }), '', 'in full');
}

done_testing();
