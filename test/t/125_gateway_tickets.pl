# wflog serve: tickets, which open one stream in place of a token; and links to the
# page, whose ticket opens a session.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Browser;
use Gateway;
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WflogCommand;

plan skip_all => 'wflog was built without serve' unless Gateway::is_built();

my $node = Gateway::new_server();
my $access_log = PostgreSQL::Test::Utils::tempdir() . '/access.log';
my $gateway = Gateway->start("--access-log=$access_log", '--cors-origin=https://app.example.org');
my $alice = token('alice');

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub path { return "/api/v1/app/executions/$_[0]/logs/stream?follow=false" . ($_[1] // '') }
sub of_many { return '/api/v1/app/logs/stream?follow=false&' . $_[0] }
sub ask { my ($body, $token, %headers) = @_; return $gateway->get('/api/v1/app/stream-tickets', $token // $alice, method => 'POST', body => $body // '', %headers) }
my @tickets;
sub ticket { my $answer = ask(@_); push @tickets, json_of($answer)->{ticket} // die $answer->{content}; return $tickets[-1] }
sub status { return $gateway->stream(@_)->{status} }

sql(q{SELECT wflog.start_execution('e1', 'w', user_id => 'alice'), wflog.start_execution('e2', 'w'), wflog.start_execution('e3', 'other', user_id => 'bob')});
sql(q{SELECT wflog.log('e1', 'a'), wflog.log('e2', 'b'), wflog.log('e3', 'c')});

# ---- one stream

my $answer = ask();
is($answer->{status}, 201, 'a ticket');
is($answer->{headers}{'cache-control'}, 'no-store', 'which nobody keeps');
is(join(' ', sort keys %{ json_of($answer) }), 'expires_in ticket', 'the answer');
is(json_of($answer)->{expires_in}, 30, 'for a short while');
my $ticket = json_of($answer)->{ticket};
push @tickets, $ticket;
like($ticket, qr/^[\w-]{43}$/, '256 bits');
my $stream = $gateway->stream(path('e1', "&ticket=$ticket"));
is(Gateway::finish($stream), 'a (COMPLETE RUNNING)', 'it opens a stream');
is(status(path('e1', "&ticket=$ticket")), 401, 'once');
is(status(path('e1', "&ticket=$_")), 401, 'made up') foreach 'x' x 43, '', substr(ticket(), 1), ticket() =~ tr/A-Za-z/B-ZAb-za/r;
is(status(path('e3', '&ticket=' . ticket())), 404, 'it is of who asked for it');
is($gateway->get('/api/v1/app/executions/e1/logs?ticket=' . ticket())->{status}, 401, 'and for streams alone');
is($gateway->get('/api/v1/app/executions/e1/logs', ticket())->{status}, 401, 'not a token');
is($gateway->get('/api/v1/app/stream-tickets', undef, method => 'POST', body => '')->{status}, 401, 'none without a token');
is(ask('', token('alice', exp => int(time()) - 60))->{status}, 401, 'none with an old one');
$answer = $gateway->get('/api/v1/app/stream-tickets', $alice);
is("$answer->{status} $answer->{headers}{allow}", '405 POST', 'they are asked for by POST');

# ---- for what is named

$ticket = ticket('{"execution_ids":["e1"]}');
is(status(path('e2', "&ticket=$ticket")), 403, 'not for another execution');
is(status(path('e1', "&ticket=$ticket")), 401, 'and used up by that');
is(status(path('e1', '&ticket=' . ticket('{"execution_ids":["e1"]}'))), 200, 'for the one');
is(status(of_many('execution_id=e1&execution_id=e2&ticket=' . ticket('{"execution_ids":["e1"]}'))), 403, 'not for more');
is(status(of_many('execution_id=e1&execution_id=e2&ticket=' . ticket('{"execution_ids":["e2","e1"]}'))), 200, 'for both');
is(status(of_many('workflow_id=w&ticket=' . ticket('{"workflow_id":"w"}'))), 200, 'for a workflow');
is(status(of_many('workflow_id=other&ticket=' . ticket('{"workflow_id":"w"}'))), 403, 'not for another');
is(status(of_many('execution_id=e1&ticket=' . ticket('{"workflow_id":"w"}'))), 403, 'nor for an execution');
is(ask($_)->{status}, 422, "refused: $_") foreach '{"execution_ids":[]}', '{"execution_ids":"e1"}', '{"execution_ids":[1]}', '{"execution_ids":[""]}',
  '{"workflow_id":""}', '{"workflow_id":"w","execution_ids":["e1"]}', '{"execution":"e1"}', '{"execution_ids":[' . join(',', map { qq{"$_"} } 1 .. 51) . ']}';
is(ask($_)->{status}, 400, "no object: $_") foreach '[]', '{', '"e1"', '{"workflow_id":"w","workflow_id":"x"}';

# ---- not longer than the token

$answer = ask('', token('alice', exp => int(time()) + 5));
# the gateway's clock of seconds may be a tick behind ours
cmp_ok(json_of($answer)->{expires_in}, '<=', 6, 'a ticket is no longer good than its token');
$stream = $gateway->stream('/api/v1/app/executions/e1/logs/stream?ticket=' . json_of($answer)->{ticket});
is(Gateway::finish($stream), 'a (ERROR token_expired)', 'nor is the stream');
my $other = $gateway;
$gateway = Gateway->start('--ticket-lifetime=1');
is(status(path('e1', '&ticket=' . json_of($other->get('/api/v1/app/stream-tickets', $alice, method => 'POST', body => ''))->{ticket})),
	401, 'another gateway knows nothing of it');
my $old = ticket();
is(json_of(ask())->{expires_in}, 1, 'its tickets may be good for less');
sleep 1.1;
is(status(path('e1', "&ticket=$old")), 401, 'and have expired then');
is($gateway->stop, 0, 'it ends');
$gateway = $other;

# ---- bounded

my $greedy = token('greedy');
is(scalar(grep { ask('', $greedy)->{status} == 201 } 1 .. 101), 100, 'a hundred for everybody');
$answer = ask('', $greedy);
is($answer->{status}, 429, 'no more than that');
like($answer->{headers}{'retry-after'}, qr/^\d+$/, 'for a while');
is(ask()->{status}, 201, 'which is nothing to others');

# ---- browsers of other origins

$answer = $gateway->get('/api/v1/app/stream-tickets', undef, method => 'OPTIONS', Origin => 'https://app.example.org',
	'Access-Control-Request-Method' => 'POST', 'Access-Control-Request-Headers' => 'authorization, content-type');
is($answer->{status}, 204, 'pages of other origins may ask');
like($answer->{headers}{'access-control-allow-methods'}, qr/\bPOST\b/, 'by POST');
like($answer->{headers}{'access-control-allow-headers'}, qr/Content-Type/, 'with a body');

# ---- nothing of that is written down

$gateway->stop;
my $written = slurp_file($access_log) . $gateway->{run}{err};
like($written, qr{/api/v1/app/stream-tickets}, 'requests are in the access log');
is(join(' ', grep { index($written, $_) >= 0 } @tickets), '', 'tickets are not');

# ---- links

my ($status, $out, $err) = wflog('serve', '-U', 'gateway', '--listen=0.0.0.0:0', '--jwt-secret-file=' . Gateway::secret_file(), '--print-link=alice');
is($status, 2, 'no links where others can connect');
like($err, qr/loopback only/, 'which is said');
is($out, '', 'and none is printed');

$gateway = Gateway->start('--print-link=alice', "--access-log=$access_log");
my @links;
sub next_link
{
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	my $seen = @links;
	until (@links > $seen || time() > $end)
	{
		$gateway->{run}{handle}->pump_nb;
		@links = $gateway->{run}{out} =~ m{^http://127\.0\.0\.1:$gateway->{port}/#ticket=([\w-]{43})$}mg;
		sleep 0.02;
	}
	return $links[-1];
}
sub session { return $gateway->get('/api/v1/app/sessions', undef, method => 'POST', body => $_[0]) }
my $link = next_link();
is(status(path('e1', "&ticket=$link")), 401, 'the ticket of a link opens no stream');
is($gateway->get('/api/v1/app/executions/e1', $link)->{status}, 401, 'and is no token');
is(session('{"ticket":"' . ticket() . '"}')->{status}, 401, 'that of a stream opens no session');
is(session($_)->{status}, 422, "refused: $_") foreach '{}', '{"ticket":1}', qq({"ticket":"$link","more":1});
is(session('')->{status}, 400, 'nor nothing');
$answer = session(qq({"ticket":"$link"}));
is($answer->{status}, 201, 'a session');
my $session = json_of($answer);
is(join(' ', sort keys %$session), 'expires_in sub token', 'the answer');
is($session->{sub}, 'alice', 'of the one whom the link was for');
is(session(qq({"ticket":"$link"}))->{status}, 401, 'a link is good once');
is(json_of($gateway->get('/api/v1/app/executions/e1', $session->{token}))->{execution_id}, 'e1', 'the session reads what is hers');
is($gateway->get('/api/v1/app/executions/e3', $session->{token})->{status}, 404, 'and no more');
is(Gateway::finish($gateway->stream(path('e1'), $session->{token})), 'a (COMPLETE RUNNING)', 'streams, too');
is(Gateway::finish($gateway->stream(path('e1', '&ticket=' . ticket('', $session->{token})))), 'a (COMPLETE RUNNING)', 'also by tickets');
kill 'USR1', $gateway->pid;
isnt(next_link(), $link, 'a signal has another link printed');

SKIP:
{
	skip 'no Chromium', 6 unless Browser::program();
	my $browser = Browser->start;
	$browser->tab(1000, 800);
	$browser->go("http://127.0.0.1:$gateway->{port}/#/e/e1?ticket=$links[-1]");
	ok($browser->wait(q{document.querySelectorAll('.row').length === 1}), 'the page shows what the link is for, and asks for nothing');
	is($browser->js('location.hash'), '#/e/e1', 'the ticket is out of the address');
	is($browser->js(q{document.getElementById('who').innerText}), 'alice', 'who one is');
	is(session(qq({"ticket":"$links[-1]"}))->{status}, 401, 'it has been used');
	$browser->go("http://127.0.0.1:$gateway->{port}/#/?ticket=$links[-1]");
	ok($browser->wait(q{document.body.innerText.includes('e2')}), 'again in the same tab: the session goes on');
	is($browser->js(q{document.querySelector('dialog') ? 'asked' : 'not asked'}), 'not asked', 'without a question');
	$browser->stop;
}
is($gateway->stop, 0, 'the gateway ends');
$written = slurp_file($access_log) . $gateway->{run}{err};
is(join(' ', grep { index($written, $_) >= 0 } @tickets, @links, $session->{token}), '', 'nothing of that is written down, either');

$node->stop;
done_testing();
