# wflog serve behind proxies: whose word on the client's address is believed, and how
# far; connections counted by it; Unix-domain sockets and IPv6; what systemd is told;
# and contrib/nginx.conf as it stands, with Debian's nginx and curl by HTTP/2.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use BadRequests;
use Certificates;
use Gateway;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket qw(:DEFAULT IN6ADDR_LOOPBACK pack_sockaddr_in6);
use Test::More;
use Time::HiRes qw(sleep time);
use WflogCommand;

plan skip_all => 'wflog was built without serve' unless Gateway::is_built();

my $root = "$FindBin::RealBin/../..";
# short, for sockets
my $dir = PostgreSQL::Test::Utils::tempdir_short();
my $node = Gateway::new_server('max_connections = 60');
sub sql { return $node->safe_psql('postgres', $_[0]) }
sql(q{SELECT wflog.start_execution('e', 'w', user_id => 'u'); SELECT wflog.log('e', 'a')});
my $token = token('u');
my $path = '/api/v1/app/executions/e/logs/stream';

# The line of the access log of the request with an id.
sub logged
{
	my ($file, $id) = @_;
	my $line;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	until (($line) = slurp_file($file) =~ /^(.*"request_id":"$id".*)$/m or time() > $end) { sleep 0.02 }
	return $line // '';
}

# ---- who is asking

my $requests = 0;

# Send headers in a request; the client and the proxy that the access log has.
sub client_of
{
	my ($gateway, $file, @headers) = @_;
	my $id = 'r' . ++$requests;
	my ($got) = $gateway->raw(join "\r\n", 'GET /health HTTP/1.1', 'Host: x', 'Connection: close', "X-Request-ID: $id", @headers, '', '');
	my ($client, $proxy) = logged($file, $id) =~ /"client":"([^"]*)"(?:,"proxy":"([^"]*)")?/;
	return ($client // 'nobody') . (defined $proxy ? " by $proxy" : '') . ($got =~ /^Strict-Transport-Security/m ? ' https' : '');
}

my @networks = map { "--trusted-proxy=$_" } qw(127.0.0.0/8 10.1.0.0/16 192.0.2.7 2001:db8:1::/48);
my $gateway = Gateway->start(@networks, "--access-log=$dir/log", '--max-body=1000', '--max-per-address=2', '--hsts-max-age=0');
my $proxy = ' by 127.0.0.1';
foreach my $case (
	[ '127.0.0.1', 'nothing said' ],
	[ "198.51.100.1$proxy", 'an address', 'X-Forwarded-For: 198.51.100.1' ],
	[ "198.51.100.1$proxy", 'the rightmost one', 'X-Forwarded-For: 6.6.6.6, 198.51.100.1' ],
	[ "198.51.100.1$proxy", 'that is no proxy', 'X-Forwarded-For: 6.6.6.6, 198.51.100.1, 10.1.2.3,192.0.2.7' ],
	[ "192.0.2.8$proxy", 'a neighbour of a proxy is none', 'X-Forwarded-For: 198.51.100.1, 192.0.2.8' ],
	[ "10.2.0.1$proxy", 'nor is one of the next network', 'X-Forwarded-For: 198.51.100.1, 10.2.0.1' ],
	[ "10.1.0.1$proxy", 'nobody but proxies', 'X-Forwarded-For: 10.1.0.1, 10.1.0.2' ],
	[ "198.51.100.1$proxy", 'several lines are one', 'X-Forwarded-For: 6.6.6.6', 'X-Forwarded-For: 198.51.100.1', 'x-forwarded-for: 10.1.0.1' ],
	[ "198.51.100.1$proxy", 'a port', 'X-Forwarded-For: 198.51.100.1:8080' ],
	[ "2001:db8::5$proxy", 'IPv6', 'X-Forwarded-For: 2001:db8::5' ],
	[ "2001:db8::5$proxy", 'in brackets', 'X-Forwarded-For: [2001:DB8:0::5]' ],
	[ "2001:db8::5$proxy", 'with a port, through a proxy of IPv6', 'X-Forwarded-For: [2001:db8::5]:8080, 2001:db8:1:2::3' ],
	[ "198.51.100.1$proxy", 'IPv4 in IPv6', 'X-Forwarded-For: ::ffff:198.51.100.1' ],
	[ "198.51.100.1$proxy", 'empty entries', 'X-Forwarded-For: ,198.51.100.1, ,', 'X-Forwarded-For:' ],
	[ '127.0.0.1', 'no address', 'X-Forwarded-For: 198.51.100.1, unknown' ],
	[ "10.1.0.1$proxy", 'no address behind a proxy', 'X-Forwarded-For: 198.51.100.1, "x", 10.1.0.1' ],
	[ '127.0.0.1', 'too large a number', 'X-Forwarded-For: 198.51.100.256' ],
	[ '127.0.0.1', 'a port that is none', 'X-Forwarded-For: 198.51.100.1:' ],
	[ '127.0.0.1', 'a name in brackets', 'X-Forwarded-For: [198.51.100.1]' ],
	[ '127.0.0.1', 'a bracket that does not close', 'X-Forwarded-For: [2001:db8::5' ],
	[ '127.0.0.1', 'something behind the bracket', 'X-Forwarded-For: [2001:db8::5]x' ],
	[ '127.0.0.1', 'quotes', "X-Forwarded-For: 198.51.100.1'\"" ],
	[ '127.0.0.1', 'much', 'X-Forwarded-For: ' . '1' x 4000 ],
	[ "198.51.100.1$proxy", 'a thousand entries', 'X-Forwarded-For: ' . '6.6.6.6,' x 900 . '198.51.100.1' ],
	[ '127.0.0.1', 'the other header', 'Forwarded: for=198.51.100.1' ],
	[ "198.51.100.1$proxy https", 'by HTTPS', 'X-Forwarded-For: 198.51.100.1', 'X-Forwarded-Proto: HTTPS' ],
	[ "198.51.100.1$proxy", 'of several the last', 'X-Forwarded-For: 198.51.100.1', 'X-Forwarded-Proto: https, http' ],
	[ '127.0.0.1', 'something else', 'X-Forwarded-Proto: httpsx' ])
{
	my ($expected, $name, @headers) = @$case;
	is(client_of($gateway, "$dir/log", @headers), $expected, "X-Forwarded-For, $name: $expected");
}

# ---- bad requests, as without a proxy

foreach my $case (BadRequests::all())
{
	my ($expected, $name, $bytes) = @$case;
	$bytes =~ s/\r\nHost: x\r\n/\r\nHost: x\r\nX-Forwarded-For: 198.51.100.1\r\n/;
	my ($got, $closed) = $gateway->raw($bytes . "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
	is(Gateway::statuses($got) . ($closed ? ' closed' : ''), "$expected closed", "$name: refused");
}

# ---- connections are counted by client, while they are being answered

my @first = map { $gateway->stream($path, $token, 'X-Forwarded-For' => '198.51.100.1') } 1 .. 2;
is(join(' ', map { $_->{status} } @first), '200 200', 'two streams of a client');
my $third = $gateway->stream($path, $token, 'X-Forwarded-For' => '198.51.100.1');
is($third->{status}, 503, 'the third is refused');
like($third->{head}, qr/^Retry-After: 5\r$/m, 'and is told when to come back');
is($gateway->stream($path, $token, 'X-Forwarded-For' => '198.51.100.2')->{status}, 200, 'another client is not');
is($gateway->stream($path, $token, 'X-Forwarded-For' => '6.6.6.6, 198.51.100.1')->{status}, 503, 'nor does a made-up address help');
close $first[0]{socket};
my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
my $status = 503;
$status = $gateway->stream($path, $token, 'X-Forwarded-For' => '198.51.100.1')->{status} while $status == 503 && time() < $end;
is($status, 200, 'when one is closed there is room for another');
# connections that a proxy keeps are nobody's
my @kept = map { $gateway->connect } 1 .. 5;
foreach my $socket (@kept)
{
	print $socket "GET /health HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.3\r\n\r\n";
	like((Gateway::read_until($socket, qr/"timestamp".*\n/))[0], qr/ 200 /, 'one after the other, on connections that stay');
}
is($gateway->stop, 0, 'it ends');

# ---- of others nothing is believed

$gateway = Gateway->start('--trusted-proxy=127.0.0.2', "--access-log=$dir/log2", '--hsts-max-age=0');
is(client_of($gateway, "$dir/log2", 'X-Forwarded-For: 198.51.100.1', 'Forwarded: for=198.51.100.1', 'X-Forwarded-Proto: https'), '127.0.0.1',
	'of who is no proxy nothing is believed');
is($gateway->stop, 0, 'it ends');

# ---- Forwarded, by a Unix-domain socket

my $socket_path = "$dir/http.sock";
$gateway = Gateway->start("--listen=unix:$socket_path", '--trusted-proxy=unix', '--trusted-proxy=10.1.0.0/16', '--forwarded-header=forwarded', "--access-log=$dir/log3", '--hsts-max-age=0');
is(sprintf('%o', (stat $socket_path)[2] & 07777), 660, 'a Unix-domain socket, for owner and group');
$proxy = ' by unix';
foreach my $case (
	[ 'unix', 'nothing said' ],
	[ "198.51.100.1$proxy", 'an address', 'Forwarded: for=198.51.100.1' ],
	[ "198.51.100.1$proxy https", 'with more', 'Forwarded: by=10.1.0.9; For=198.51.100.1;proto=https;host=x' ],
	[ "198.51.100.1$proxy", 'through a proxy', 'Forwarded: for=6.6.6.6, for=198.51.100.1, for=10.1.0.1' ],
	[ "2001:db8::5$proxy", 'IPv6', 'Forwarded: for="[2001:db8::5]:8080"' ],
	[ "198.51.100.1$proxy", 'quotes and several lines', 'Forwarded: for=6.6.6.6', 'Forwarded: for="198.51.100.1"' ],
	[ 'unix', 'unknown', 'Forwarded: for=unknown' ],
	[ 'unix', 'a hidden one', 'Forwarded: for=198.51.100.1, for=_hidden' ],
	[ 'unix', 'two in one', 'Forwarded: for=198.51.100.1;for=198.51.100.2' ],
	[ 'unix', 'none', 'Forwarded: proto=https' ],
	[ 'unix', 'malformed', 'Forwarded: for=198.51.100.1;;x' ],
	[ 'unix', 'a comma in quotes', 'Forwarded: for=198.51.100.1;x="a,b"' ],
	[ "198.51.100.2$proxy", 'a quote that does not close, before a proxy\'s', 'Forwarded: for="198.51.100.1, for=198.51.100.2' ],
	[ 'unix', 'the other header', 'X-Forwarded-For: 198.51.100.1', 'X-Forwarded-Proto: https' ])
{
	my ($expected, $name, @headers) = @$case;
	is(client_of($gateway, "$dir/log3", @headers), $expected, "Forwarded, $name: $expected");
}
my $stream = $gateway->stream($path, $token);
ok(Gateway::take_until($stream, sub { Gateway::messages($_[0]) eq 'a' }), 'a stream by it');
my ($code, $out, $err) = wflog('serve', '-U', 'gateway', '--jwt-secret-file=' . Gateway::secret_file(), "--listen=unix:$socket_path");
is($code, 1, 'a second one does not take the socket away');
like($err, qr/could not listen on unix:.*: Address already in use/, 'and says why');
is(client_of($gateway, "$dir/log3"), 'unix', 'the first is still there');
$gateway->stop('KILL');
ok(-S $socket_path, 'one that is killed leaves its socket behind');
$gateway = Gateway->start("--listen=unix:$socket_path");
is(Gateway::statuses(($gateway->raw("GET /health HTTP/1.0\r\n\r\n"))[0]), 200, 'which is not in the way of the next');
is($gateway->stop, 0, 'which ends');
ok(!-e $socket_path, 'and removes it');

# ---- addresses

foreach my $case (
	[ qr/--listen must be ADDRESS:PORT/, '--listen=::1:8000' ],
	[ qr/--listen must be ADDRESS:PORT/, '--listen=[::1]' ],
	[ qr/the path in --listen must have/, '--listen=unix:' . 'x' x 200 ],
	[ qr/must be an address, ADDRESS\/BITS or "unix"/, '--trusted-proxy=proxy.example' ],
	[ qr/must be between 0 and 32, not 33/, '--trusted-proxy=10.0.0.0/33' ],
	[ qr/must be X-Forwarded-For or Forwarded/, '--forwarded-header=X-Real-IP' ])
{
	my ($pattern, $option) = @$case;
	($code, $out, $err) = wflog('serve', '-U', 'gateway', '--jwt-secret-file=' . Gateway::secret_file(), $option);
	is($code, 2, "$option is refused");
	like($err, $pattern, 'and why');
}
SKIP:
{
	my $probe;
	skip 'no IPv6 here', 3 unless socket($probe, AF_INET6, SOCK_STREAM, 0) && bind($probe, pack_sockaddr_in6(0, IN6ADDR_LOOPBACK));
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	$gateway = Gateway->start("--listen=[::]:$port", "--access-log=$dir/log4");
	like($gateway->said, qr{listening on http://\[::\]:$port}, 'an address of IPv6');
	is(client_of($gateway, "$dir/log4"), '127.0.0.1', 'IPv4 on a socket for both is IPv4');
	is($gateway->stop, 0, 'it ends');
}

# ---- what systemd is told

my $manager = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "$dir/notify") or die $!;
sub told
{
	my $text = '';
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	until (length $text || time() > $end)
	{
		$manager->recv($text, 1000) if IO::Select->new($manager)->can_read(1);
	}
	return $text;
}
{
	local $ENV{NOTIFY_SOCKET} = "$dir/notify";
	$gateway = Gateway->start;
}
is(told(), 'READY=1', 'systemd is told that it is ready');
kill 'HUP', $gateway->pid;
is(told() . ' ' . told(), 'RELOADING=1 READY=1', 'that it reads its files anew');
is($gateway->stop, 0, 'it ends');
is(told(), 'STOPPING=1', 'which it said before');

SKIP:
{
	skip 'no systemd-analyze', 1 if system('systemd-analyze --version >/dev/null 2>&1') != 0;
	# what is not there on this machine does not matter, what systemd does not understand does
	unlike(`systemd-analyze verify "$root/contrib/wflog-serve.service" 2>&1`, qr/Unknown|Failed to parse|[Ii]nvalid|Missing '='/, 'systemd understands the unit');
}

# ---- nginx

my ($nginx) = grep { -x } map { "$_/nginx" } split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin';
my $curl_version = `curl --version 2>/dev/null`;
my $missing = !$nginx ? 'nginx' : $curl_version !~ /\bHTTP2\b/ ? 'curl with HTTP/2' : `openssl version 2>/dev/null` eq '' ? 'openssl' : undef;
if (defined $missing)
{
	diag("contrib/nginx.conf IS NOT TESTED: there is no $missing");
	SKIP: { skip "no $missing", 1 }
	$node->stop;
	done_testing();
	exit;
}

Certificates::make($dir, 'logs', 'logs.example.org', undef, '-addext', 'subjectAltName=DNS:logs.example.org');
my ($http, $https, $other_port, $inner) = map { PostgreSQL::Test::Cluster::get_free_port() } 1 .. 4;
my $conf = slurp_file("$root/contrib/nginx.conf");
my %instead = (
	'server unix:/run/wflog/http.sock;' => "server unix:$socket_path; server 127.0.0.1:$other_port;",
	'proxy_pass http://unix:/run/wflog/http.sock;' => "proxy_pass http://unix:$socket_path;",
	'listen 127.0.0.1:8001;' => "listen 127.0.0.1:$inner;",
	'listen 80;' => "listen 127.0.0.1:$http;",
	'listen 443 ssl http2;' => "listen 127.0.0.1:$https ssl http2;",
	'listen [::]:80;' => '',
	'listen [::]:443 ssl http2;' => '',
	'/etc/ssl/logs.example.org.crt' => "$dir/logs.crt",
	'/etc/ssl/private/logs.example.org.key' => "$dir/logs.key",
	'/var/log/nginx/wflog.log' => "$dir/nginx-access.log");
foreach my $text (sort keys %instead)
{
	ok($conf =~ s/\Q$text\E/$instead{$text}/, "contrib/nginx.conf has $text");
}
append_to_file("$dir/wflog.conf", $conf);
append_to_file("$dir/nginx.conf", <<"END");
daemon off;
worker_processes 1;
pid $dir/nginx.pid;
error_log $dir/nginx-error.log;
events { worker_connections 256; }
http {
	@{[ map { "$_\_temp_path $dir/$_;" } qw(client_body proxy fastcgi uwsgi scgi) ]}
	include $dir/wflog.conf;
}
END
my @gateways = (Gateway->start("--listen=unix:$socket_path", '--trusted-proxy=unix', "--access-log=$dir/one", '--heartbeat=1', '--max-per-address=20'),
	Gateway->start("port=$other_port", '--trusted-proxy=127.0.0.1', "--access-log=$dir/two", '--heartbeat=1', '--max-per-address=20'));
my $server = IPC::Run::start([ $nginx, '-p', $dir, '-e', "$dir/nginx-error.log", '-c', "$dir/nginx.conf" ], '<', \'', '>&', \my $nginx_said);
my $nginx_pid = $server->{KIDS}[0]{PID};
END { local $?; kill 'TERM', $nginx_pid if $nginx_pid; $server->finish if $server }
wait_until('nginx runs', sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $https) });

my $site = "https://logs.example.org:$https";
# from an address that can be told from nginx's
my @curl = ('curl', '-sS', '--interface', '127.0.0.5', '--http2', '--cacert', "$dir/logs.crt", '--connect-to', "logs.example.org:$https:127.0.0.1:$https", '--noproxy', '*');

# A request by curl: status, version of HTTP, headers, content.
sub curl
{
	my ($address, @options) = @_;
	my ($got, $problem) = ('', '');
	IPC::Run::run([ @curl, '-i', '-w', "\n%{http_code} %{http_version}", @options, $address ], '<', \'', '>', \$got, '2>', \$problem,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	$got =~ s/\n(\d+) (\S+)\z//;
	my ($answer, $version) = ($1 // $problem, $2 // '');
	my ($head, $content) = split /\r\n\r\n/, $got, 2;
	return ($answer, $version, $head // '', $content // '');
}
my @bearer = ('-H', "Authorization: Bearer $token");
my ($got, $version, $head, $content) = curl("$site/api/v1/app/executions/e", @bearer, '-H', 'X-Forwarded-For: 6.6.6.6', '-H', 'Forwarded: for=6.6.6.6');
is("$got $version", '200 2', 'a request by HTTP/2');
like($content, qr/"execution_id":"e"/, 'and its answer');
my ($id) = $head =~ /^x-request-id: (\S+)\r?$/mi;
my $line = join '', map { grep { /"request_id":"$id"/ } split /\n/, -e $_ ? slurp_file($_) : '' } "$dir/one", "$dir/two";
like($line, qr/"client":"127\.0\.0\.5","proxy":"(unix|127\.0\.0\.1)"/, "the client's own address is in the access log");
unlike($line, qr/6\.6\.6\.6/, 'not what it says of itself');
# which it writes when it has answered
wait_until('with the same id in that of nginx', sub { slurp_file("$dir/nginx-access.log") =~ / 200 .* $id$/m });
foreach my $hidden ('/metrics', '/metrics?x', '//metrics', '/x/../metrics', '/%6detrics', '/ready')
{
	($got, $version, $head, $content) = curl("$site$hidden", '--path-as-is');
	is($got, 404, "$hidden is not passed on");
	unlike($content, qr/wflog_|"database"/, 'nothing of it');
}
# --interface 127.0.0.5 is not among those allowed
my $monitor = "http://127.0.0.1:$inner";
is((curl("$monitor/metrics"))[0], 403, 'for Prometheus there is another server, not for all');
($got, $version, $head, $content) = curl("$monitor/metrics", '--interface', '127.0.0.1');
is($got, 200, 'for it, there is');
like($content, qr/^wflog_streams 0$/m, "the gateway's figures");
is((curl("$monitor/api/v1/app/executions/e", @bearer, '--interface', '127.0.0.1'))[0], 404, 'and nothing else');
is((curl("http://logs.example.org:$http/", '--connect-to', "logs.example.org:$http:127.0.0.1:$http"))[0], 301, 'plain HTTP is sent to HTTPS');

# A stream by curl, in the background.
sub curl_stream
{
	my ($execution, @options) = @_;
	my $run = { out => '', err => '', name => 'curl' };
	$run->{timer} = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);
	$run->{handle} = IPC::Run::start([ @curl, '-N', '-i', @bearer, @options, "$site/api/v1/app/executions/$execution/logs/stream" ],
		'<', \'', '>', \$run->{out}, '2>', \$run->{err}, $run->{timer});
	return $run;
}
sql(q{SELECT wflog.start_execution('s', 'w', user_id => 'u'); SELECT wflog.log('s', 'one')});
my @streams = map { curl_stream('s') } 1 .. 4;
wflog_until($_, 'out', qr/"message":"one"/) foreach @streams;
like($streams[0]{out}, qr/\AHTTP\/2 200/, 'streams by HTTP/2');
sql(q{SELECT wflog.log('s', 'two')});
wflog_until($_, 'out', qr/"message":"two"/) foreach @streams;
pass('events arrive while the stream is open');
wflog_until($streams[0], 'out', qr/"two".*^:\n/ms);
my ($last) = $streams[0]{out} =~ /.*^id: (\S+)$/ms;
$streams[0]{handle}->kill_kill;
sql(q{SELECT wflog.log('s', 'three')});
my $resumed = curl_stream('s', '-H', "Last-Event-ID: $last");
wflog_until($resumed, 'out', qr/"message":"three"/);
unlike($resumed->{out}, qr/"message":"(one|two)"/, 'a stream goes on where it was, and nowhere else');

# one of two gateways ends: its streams end by themselves, the others and all requests go on
is($gateways[0]->stop, 0, 'one gateway ends');
is(join(' ', map { (curl("$site/health"))[0] } 1 .. 4), '200 200 200 200', 'the other answers');
$resumed = curl_stream('s', '-H', "Last-Event-ID: $last");
wflog_until($resumed, 'out', qr/"message":"three"/);
sql(q{SELECT wflog.set_execution_status('s', 'SUCCESS')});
wflog_until($resumed, 'out', qr/"event_type":"COMPLETE"/);
is($gateways[1]->stop, 0, 'it ends');
like((curl("$site/health"))[0], qr/^50[24]$/, 'without a gateway that is said');

$node->stop;
done_testing();
