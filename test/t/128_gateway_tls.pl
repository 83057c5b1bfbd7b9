# wflog serve by TLS, with openssl's own client: what is negotiated; requests and
# streams as without it, bad ones refused as without it; clients that are slow, cut
# off, silent, or speak no TLS; certificates that cannot be used, and new ones.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use BadRequests;
use Certificates;
use Gateway;
use IO::Handle;
use IO::Socket::INET;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket;
use Test::More;
use WflogCommand;

plan skip_all => 'wflog was built without serve' unless Gateway::is_built();
plan skip_all => 'no program openssl' if system('openssl version >/dev/null 2>&1') != 0;

my $dir = PostgreSQL::Test::Utils::tempdir();
Certificates::make($dir, 'ca', 'authority');
Certificates::make($dir, $_, $_, 'ca', '-addext', 'subjectAltName=DNS:logs.example,IP:127.0.0.1') foreach qw(first second);
Certificates::make($dir, 'stranger', 'stranger');

# The pair in use, which can be replaced.
sub use_pair
{
	my ($certificate, $key) = @_;
	system('cp', '-p', "$dir/$certificate.crt", "$dir/server.crt") == 0 && system('cp', '-p', "$dir/$key.key", "$dir/server.key") == 0 or die;
	return;
}
use_pair('first', 'first');
my @pair = ("--tls-cert-file=$dir/server.crt", "--tls-key-file=$dir/server.key");

my $node = Gateway::new_server('max_connections = 60');
sub sql { return $node->safe_psql('postgres', $_[0]) }
sql(q{SELECT wflog.start_execution('e', 'w', user_id => 'u'); SELECT wflog.log('e', 'a')});
my $token = token('u');

# ---- what it does not start with

append_to_file("$dir/garbage.crt", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n");
append_to_file("$dir/empty.key", '');
system('cp', "$dir/first.key", "$dir/$_.key") foreach qw(group world);
chmod 0640, "$dir/group.key";
chmod 0604, "$dir/world.key";
chmod 0600, "$dir/empty.key";
system("openssl ec -in $dir/first.key -aes128 -passout pass:sesame -out $dir/passphrase.key 2>/dev/null");
chmod 0600, "$dir/passphrase.key";
foreach my $case (
	[ 'no certificate', 'nothing.crt', 'first.key', qr/error: could not open the certificate file ".*nothing\.crt": No such file/ ],
	[ 'no key', 'first.crt', 'nothing.key', qr/error: could not open the key file ".*nothing\.key": No such file/ ],
	[ 'a certificate that is none', 'garbage.crt', 'first.key', qr/error: could not use the certificate in ".*garbage\.crt": \S/ ],
	[ 'a key that is none', 'first.crt', 'empty.key', qr/error: could not use the key in ".*empty\.key": \S/ ],
	[ 'the key of another', 'first.crt', 'second.key', qr/error: could not use the key in ".*second\.key": key values mismatch/ ],
	[ 'a key with a passphrase', 'first.crt', 'passphrase.key', qr/error: could not use the key in ".*passphrase\.key": it has a passphrase/ ],
	[ 'a key for the group', 'first.crt', 'group.key', qr/error: the key file ".*group\.key" can be read by others\nwflog: hint: .*0600/ ],
	[ 'a key for the world', 'first.crt', 'world.key', qr/error: the key file ".*world\.key" can be read by others/ ],
	[ 'a folder for a key', 'first.crt', '.', qr/error: the key file ".*" is not a regular file/ ])
{
	my ($name, $certificate, $key, $pattern) = @$case;
	my ($status, $out, $err) = wflog('serve', '-U', 'gateway', '--jwt-secret-file=' . Gateway::secret_file(),
		"--tls-cert-file=$dir/$certificate", "--tls-key-file=$dir/$key");
	is($status, 1, "$name: no start");
	like($err, $pattern, 'and why');
}
foreach my $case (
	[ qr/need one another/, "--tls-cert-file=$dir/first.crt" ],
	[ qr/must be 1\.2 or 1\.3, not "1\.1"/, @pair, '--tls-min-version=1.1' ])
{
	my ($pattern, @options) = @$case;
	my ($status, $out, $err) = wflog('serve', '--jwt-secret-file=' . Gateway::secret_file(), @options);
	is($status, 2, 'bad options');
	like($err, $pattern, 'and why');
}

# ---- clients

my @trust = ('-CAfile', "$dir/ca.crt", '-verify_return_error', '-verify_hostname', 'logs.example', '-servername', 'logs.example');

# What openssl says of a connection that is closed at once.
sub negotiated
{
	my ($gateway, @options) = @_;
	my $out = '';
	IPC::Run::run([ 'openssl', 's_client', '-connect', "127.0.0.1:$gateway->{port}", @trust, @options ], '<', \'', '>&', \$out,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return $out;
}

my $last_client;

# A connection through openssl's client, which says what it thinks in $dir/said.
sub client
{
	my ($gateway, @options) = @_;
	@options = ('-quiet') unless @options;
	socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die $!;
	unlink "$dir/said";
	$last_client = fork // die $!;
	if ($last_client == 0)
	{
		open STDIN, '<&', $theirs;
		open STDOUT, '>&', $theirs;
		open STDERR, '>', "$dir/said";
		close $ours;
		exec('openssl', 's_client', '-connect', "127.0.0.1:$gateway->{port}", @trust, @options) or POSIX::_exit(99);
	}
	close $theirs;
	$ours->autoflush(1);
	return $ours;
}
sub client_said { return slurp_file("$dir/said") }
sub client_says
{
	my ($pattern) = @_;
	wait_until("openssl says $pattern", sub { -e "$dir/said" && client_said() =~ $pattern });
	return;
}

my $host = "Host: logs.example\r\n";
my $get = "GET /health HTTP/1.1\r\n$host\r\n";
sub figure
{
	my ($gateway, $name) = @_;
	return (($gateway->raw("GET /metrics HTTP/1.1\r\n${host}Connection: close\r\n\r\n"))[0] =~ /^wflog_$name (\S+)$/m)[0];
}

sub tls_gateway
{
	my $gateway = Gateway->start(@pair, @_);
	$gateway->{connect} = sub { client($gateway) };
	return $gateway;
}

my $gateway = tls_gateway('--max-body=1000', '--write-timeout=120');
like($gateway->said, qr{listening on https://127\.0\.0\.1:\d+}, 'it says that it speaks HTTPS');

# ---- what is negotiated

my $said = negotiated($gateway);
like($said, qr/^New, TLSv1\.3, /m, 'TLS 1.3');
like($said, qr/^Verify return code: 0 \(ok\)/m, 'its certificate is good');
unlike($said, qr/^Compression: (?!NONE)/m, 'no compression');
like(negotiated($gateway, '-tls1_2'), qr/^New, TLSv1\.2, /m, 'TLS 1.2');
unlike(negotiated($gateway, '-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0'), qr/^New, TLSv/m, 'not 1.1');
like(negotiated($gateway, '-alpn', 'h2,http/1.1'), qr/^ALPN protocol: http\/1\.1/m, 'HTTP/1.1 is chosen');
like(negotiated($gateway, '-alpn', 'h2'), qr/no application protocol/, 'who wants HTTP/2 alone is refused');
negotiated($gateway, '-tls1_2', '-sess_out', "$dir/session");
like(negotiated($gateway, '-tls1_2', '-sess_in', "$dir/session"), qr/^Reused, TLSv1\.2, /m, 'a session is resumed');

# ---- bad requests, as without TLS

foreach my $case (BadRequests::all())
{
	my ($expected, $name, $bytes) = @$case;
	my ($got, $closed) = $gateway->raw($bytes . "GET /health HTTP/1.1\r\n$host\r\n");
	is(Gateway::statuses($got) . ($closed ? ' closed' : ''), "$expected closed", "$name: refused");
}

# ---- good ones; keys that change meanwhile; no renegotiation

my ($got, $closed) = $gateway->raw($get x 3 . "GET /health HTTP/1.1\r\n${host}Connection: close\r\n\r\n");
is(Gateway::statuses($got) . ($closed ? ' closed' : ''), '200 200 200 200 closed', 'a pipeline');
unlike(client_said(), qr/unexpected eof/, 'its end is said by TLS');
unlike($got, qr/Strict-Transport-Security/, 'browsers are not told to stay with HTTPS');
my $socket = client($gateway, '-tls1_3');
print $socket $get;
like((Gateway::read_until($socket, qr/"timestamp".*\n/))[0], qr/ 200 OK/, 'an answer');
print $socket "K\n";
client_says(qr/KEYUPDATE/);
print $socket $get;
like((Gateway::read_until($socket, qr/ 200 OK.*"timestamp"/s))[0], qr/ 200 OK/, 'another one with new keys');
$socket = client($gateway, '-tls1_2');
print $socket $get;
like((Gateway::read_until($socket, qr/"timestamp".*\n/))[0], qr/ 200 OK/, 'an answer by TLS 1.2');
print $socket "R\n";
client_says(qr/RENEGOTIATING/);
ok((Gateway::read_until($socket, qr/(?!)/))[1], 'there is no renegotiation');
like(client_said(), qr/no renegotiation/, 'and the client is told');

# ---- streams, and much at once

my $path = '/api/v1/app/executions/e/logs';
my $stream = $gateway->stream("$path/stream", $token);
ok(Gateway::take_until($stream, sub { Gateway::messages($_[0]) eq 'a' }), 'a stream: history');
sql(q{SELECT wflog.log('e', 'b')});
ok(Gateway::take_until($stream, sub { Gateway::messages($_[0]) eq 'a b' }), 'live');
my $vanishing = $gateway->stream("$path/stream", $token);
my $vanished = $last_client;
wait_until('two streams', sub { figure($gateway, 'streams') == 2 });
kill 'KILL', $vanished;
wait_until('a client that is cut off is noticed', sub { figure($gateway, 'streams') == 1 });

# 100 logs of 9 kB, which are there twice, for a client that lets them wait
sql(q{SELECT count(wflog.log('big', repeat(md5(n::text), 280) || ' ' || n)), wflog.start_execution('big', 'w', user_id => 'u') FROM generate_series(1, 100) n});
my @slow = map { client($gateway) } 1 .. 2;
print { $_ } "GET /api/v1/app/executions/big/logs?limit=1000 HTTP/1.1\r\n${host}Authorization: Bearer $token\r\nConnection: close\r\n\r\n" foreach @slow;
# meanwhile others are served, and the first has got all that it could
is(Gateway::statuses(($gateway->raw("GET /api/v1/app/executions/big HTTP/1.1\r\n${host}Authorization: Bearer $token\r\nConnection: close\r\n\r\n"))[0]), 200,
	'who does not read is not in the way');
foreach my $client (@slow)
{
	($got) = Gateway::read_until($client, qr/(?!)/);
	my ($length) = $got =~ /^Content-Length: (\d+)/m;
	cmp_ok($length, '>', 1_500_000, 'a large page');
	is(length($got =~ s/\A.*?\r\n\r\n//sr), $length, 'comes whole');
	is(join(' ', $got =~ /"message":"[0-9a-f]+ (\d+)"/g), join(' ', 1 .. 100), 'and in order');
}
is(figure($gateway, 'streams'), 1, 'the stream goes on');

# ---- no TLS

my $plain = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $gateway->{port}) or die $@;
syswrite($plain, $get);
($got, $closed) = Gateway::read_until($plain, qr/(?!)/);
like($got, qr/\AHTTP\/1\.1 400 Bad Request\r\nContent-Type: text\/plain\r\n.*\r\n\r\nHTTPS is spoken here, and this was not HTTPS\n\z/s, 'plain HTTP is told so');
is(length($got =~ s/\A.*?\r\n\r\n//sr), ($got =~ /^Content-Length: (\d+)/m)[0], 'in full');
ok($closed, 'and the connection closed');
my $failures = figure($gateway, 'tls_failures_total');
foreach my $case ([ 'half a record', "\x16\x03\x01\x02\x00\x01", 1 ], [ 'garbage', "\x16\x03\x01\x00\x40" . 'x' x 64, 0 ])
{
	my ($name, $bytes, $leave) = @$case;
	$plain = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $gateway->{port}) or die $@;
	syswrite($plain, $bytes);
	shutdown $plain, 1 if $leave;
	ok((Gateway::read_until($plain, qr/(?!)/))[1], "$name: closed");
}
is(figure($gateway, 'tls_failures_total'), $failures + 2, 'both are counted');

# ---- new certificates

like(negotiated($gateway), qr/subject=CN ?= ?first/, 'the first certificate');
my ($expires) = `openssl x509 -in $dir/first.crt -noout -enddate -dateopt iso_8601 2>/dev/null` =~ /notAfter=(.*)Z/;
SKIP:
{
	skip 'an older openssl', 1 unless defined $expires;
	is(POSIX::strftime('%Y-%m-%d %H:%M:%S', gmtime figure($gateway, 'tls_certificate_expires_seconds')), $expires, 'its end is in the metrics');
}
use_pair('second', 'second');
kill 'HUP', $gateway->pid;
ok($gateway->says(qr/the certificate has been read anew/), 'after SIGHUP');
like(negotiated($gateway), qr/subject=CN ?= ?second/, 'the second');
use_pair('stranger', 'first');
kill 'HUP', $gateway->pid;
ok($gateway->says(qr/could not use the key in .*key values mismatch.*\n.*the certificate stays what it was/), 'a pair that is none is complained of');
like(negotiated($gateway), qr/subject=CN ?= ?second/, 'and the second stays');
sql(q{SELECT wflog.log('e', 'c'); SELECT wflog.set_execution_status('e', 'SUCCESS')});
is(Gateway::finish($stream), 'a b c (COMPLETE SUCCESS)', 'the stream has gone on all the while, to its end');
is($gateway->stop, 0, 'it ends');

# ---- only 1.3; browsers are told; large bodies, and how streams end

use_pair('first', 'first');
$gateway = tls_gateway('--tls-min-version=1.3', '--hsts-max-age=600');
unlike(negotiated($gateway, '-tls1_2'), qr/^New, TLSv/m, 'TLS 1.2 can be refused');
like(($gateway->raw("GET /health HTTP/1.1\r\n${host}Connection: close\r\n\r\n"))[0], qr/^Strict-Transport-Security: max-age=600\r$/m, 'HSTS, if it is asked for');
my $engine = "${host}Connection: close\r\nAuthorization: Bearer " . token('engine', role => 'service_role') . "\r\n";
my $lines = join '', map { qq({"message":"$_ ) . 'x' x 250 . qq("}\n) } 1 .. 3000;
($got) = $gateway->raw("POST /api/v1/app/executions/d/logs HTTP/1.1\r\n${engine}Content-Type: application/x-ndjson\r\nContent-Length: " . length($lines) . "\r\n\r\n$lines");
is(Gateway::statuses($got), 201, 'a large body');
($got) = $gateway->raw("GET /api/v1/app/executions/d/logs/export?format=ndjson HTTP/1.1\r\n$engine\r\n");
my ($chunks, $exported) = ($got =~ s/\A.*?\r\n\r\n//sr, '');
while ($chunks =~ s/\A([0-9a-f]+)\r\n//i)
{
	$exported .= substr $chunks, 0, hex $1, '';
	substr $chunks, 0, 2, '';
}
is(join(' ', $exported =~ /"message":"(\d+) x/g), join(' ', 1 .. 3000), 'a download');
# whoever is killed cannot say that it was the end, and clients know
$stream = $gateway->stream("$path/stream?access_token=" . token('u'));
Gateway::finish($stream);
unlike(client_said(), qr/unexpected eof/, 'the end of a stream is said by TLS');
sql(q{SELECT wflog.start_execution('k', 'w', user_id => 'u')});
$stream = $gateway->stream('/api/v1/app/executions/k/logs/stream', $token);
is($stream->{status}, 200, 'a stream');
$gateway->stop('KILL');
Gateway::finish($stream);
like(client_said(), qr/unexpected eof/, 'is cut off by SIGKILL, which can be told from that');

# ---- who says nothing

$gateway = tls_gateway('--head-timeout=1');
foreach my $bytes ("\x16\x03\x01\x02\x00\x01", '')
{
	$plain = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $gateway->{port}) or die $@;
	syswrite($plain, $bytes) if length $bytes;
	($got, $closed) = Gateway::read_until($plain, qr/(?!)/);
	is($got . ($closed ? 'closed' : ''), 'closed', length $bytes ? 'a handshake that does not go on has its time' : 'and one that does not begin');
}
is($gateway->stop, 0, 'it ends');

$node->stop;
done_testing();
