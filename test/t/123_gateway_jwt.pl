# wflog serve, tokens: HS256, RS256 and ES256, keys of a JWKS that are read anew
# at SIGHUP; and every way to forge one that is known, refused.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Digest::SHA qw(hmac_sha256 hmac_sha512);
use Gateway;
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64url);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WflogCommand;

plan skip_all => 'wflog was built without serve' unless Gateway::is_built();
plan skip_all => 'no openssl' unless `openssl version 2>/dev/null`;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $json = JSON::PP->new->canonical->utf8;

# ---- keys

sub openssl
{
	my (@arguments) = @_;
	open my $pipe, '-|', 'openssl', @arguments or die;
	binmode $pipe;
	local $/;
	my $out = <$pipe>;
	close $pipe or die "openssl @arguments";
	return $out;
}

sub make_key
{
	my ($name, @how) = @_;
	openssl('genpkey', @how, '-out', "$dir/$name.pem");
	openssl('pkey', '-in', "$dir/$name.pem", '-pubout', '-out', "$dir/$name.pub");
	return;
}
make_key('rsa', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-quiet');
make_key('other', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-quiet');
make_key('small', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024', '-quiet');
make_key($_, '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256') foreach 'ec', 'ec2';
make_key('p384', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384');

sub rsa_jwk
{
	my ($name, %more) = @_;
	my ($modulus) = openssl('rsa', '-in', "$dir/$name.pem", '-noout', '-modulus') =~ /=([0-9A-F]+)/;
	return { kty => 'RSA', n => encode_base64url(pack 'H*', $modulus), e => 'AQAB', %more };
}

sub ec_jwk
{
	my ($name, $curve, %more) = @_;
	my $der = openssl('pkey', '-in', "$dir/$name.pem", '-pubout', '-outform', 'DER');
	my $size = $curve eq 'P-256' ? 32 : 48;
	return { kty => 'EC', crv => $curve, x => encode_base64url(substr $der, -2 * $size, $size),
		y => encode_base64url(substr $der, -$size), %more };
}

sub write_file
{
	my ($name, $text) = @_;
	open my $file, '>', "$dir/$name" or die;
	print $file $text;
	close $file or die;
	return "$dir/$name";
}

# ---- tokens

sub signing_input
{
	return join '.', map { encode_base64url(ref $_ ? $json->encode($_) : $_) } @_;
}

sub with_rsa
{
	my ($header, $claims, $name) = @_;
	my $text = signing_input($header, $claims);
	return "$text." . encode_base64url(openssl('dgst', '-sha256', '-sign', "$dir/$name.pem", write_file('input', $text)));
}

sub with_ec
{
	my ($header, $claims, $name) = @_;
	my $text = signing_input($header, $claims);
	my $der = openssl('dgst', '-sha256', '-sign', "$dir/$name.pem", write_file('input', $text));
	# SEQUENCE of two INTEGERs
	my ($r_len) = unpack 'x3 C', $der;
	my $r = substr $der, 4, $r_len;
	my $s = substr $der, 6 + $r_len;
	my $raw = join '', map { my $n = $_; $n =~ s/^\0+//; ("\0" x (32 - length $n)) . $n } $r, $s;
	return "$text." . encode_base64url($raw);
}

sub with_hmac
{
	my ($header, $claims, $key) = @_;
	return Gateway::signed($header, ref $claims ? $json->encode($claims) : $claims, $key);
}
my $later = time() + 3600;
my %claims = (sub => 'alice', role => 'authenticated', exp => $later);

# ---- a gateway that knows all three kinds

my $node = Gateway::new_server('max_connections = 60');
$node->safe_psql('postgres', q{SELECT wflog.start_execution('e', 'w', user_id => 'alice')});
my $jwks = write_file('jwks', $json->encode({ keys => [
	rsa_jwk('rsa', kid => 'r1', use => 'sig'), ec_jwk('ec', 'P-256', kid => 'e1', alg => 'ES256'),
	{ kty => 'oct', k => encode_base64url('k' x 32), kid => 'o1' }, rsa_jwk('other', use => 'enc', kid => 'enc'),
	rsa_jwk('other', key_ops => [ 'encrypt' ], kid => 'ops') ] }));
my $gateway = Gateway->start("--jwks-file=$jwks", '--jwt-secret-file=' . Gateway::secret_file(), '--audience=wflog', '--issuer=here');
%claims = (%claims, aud => 'wflog', iss => 'here');
my $path = '/api/v1/app/executions/e';

sub accepted
{
	my ($token, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $answer = $gateway->get($path, $token);
	return is($answer->{status}, 200, "taken: $name") || diag($answer->{content});
}

sub refused
{
	my ($token, $why, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $answer = $gateway->get($path, $token);
	is($answer->{status}, 401, "refused: $name");
	like($answer->{headers}{'www-authenticate'}, qr/^Bearer error="invalid_token", error_description="[^"]*$why/, 'and why');
	return;
}
my %hs = (alg => 'HS256', typ => 'JWT');
my $secret = $Gateway::secret;
my $public = slurp_file("$dir/rsa.pub");
my $good = with_hmac(\%hs, \%claims, $secret);

accepted($good, 'HS256');
accepted(with_hmac({ %hs, kid => 'o1' }, \%claims, 'k' x 32), 'HS256 by a key of the JWKS');
accepted(with_rsa({ alg => 'RS256', kid => 'r1' }, \%claims, 'rsa'), 'RS256');
accepted(with_rsa({ alg => 'RS256' }, \%claims, 'rsa'), 'RS256 without kid');
accepted(with_ec({ alg => 'ES256', kid => 'e1' }, \%claims, 'ec'), 'ES256') foreach 1 .. 5;
accepted(with_hmac(\%hs, { %claims, aud => [ 'x', 'wflog' ] }, $secret), 'one of several audiences');
accepted(with_hmac(\%hs, { %claims, nbf => time() - 10 }, $secret), 'valid since a moment');
accepted(with_hmac(\%hs, { %claims, exp => time() - 10 }, $secret), 'expired within the tolerance of clocks');

# ---- signatures

my $unknown = 'signature is not by a key';
my ($head, $payload, $signature) = split /\./, $good;
refused(with_hmac(\%hs, \%claims, 'x' x 40), $unknown, 'another secret');
refused("$head.$payload." . encode_base64url('x' x 32), $unknown, 'another signature');
refused("$head." . encode_base64url($json->encode({ %claims, sub => 'bob' })) . ".$signature", $unknown, 'other claims');
refused("$head.$payload." . substr($signature, 0, 20), $unknown, 'half a signature');
refused(with_rsa({ alg => 'RS256', kid => 'r1' }, \%claims, 'other'), $unknown, 'another RSA key');
refused(with_rsa({ alg => 'RS256', kid => $_ }, \%claims, 'other'), $unknown, 'a key that is for encryption') foreach 'enc', 'ops';
refused(with_rsa({ alg => 'RS256', kid => 'r2' }, \%claims, 'rsa'), $unknown, 'an id that is not known');
refused(with_ec({ alg => 'ES256', kid => 'e1' }, \%claims, 'ec2'), $unknown, 'another EC key');
refused(with_ec({ alg => 'ES256', kid => 'e1' }, \%claims, 'ec') . $_, $unknown, 'a signature that is too long') foreach 'A', 'AAAA';
refused(signing_input({ alg => 'ES256', kid => 'e1' }, \%claims) . '.' . encode_base64url("\0" x 64), $unknown, 'a signature of zeros');
refused(with_hmac(\%hs, \%claims, $_), $unknown, 'HMAC by a public key') foreach $public, decode_base64($public =~ s/-----.*-----//gr);
refused(with_hmac({ %hs, kid => $_ }, \%claims, $public), $unknown, "the same, with the key's id") foreach 'r1', 'e1';
refused(with_hmac({ %hs, kid => 'r1' }, \%claims, $json->encode(rsa_jwk('rsa'))), $unknown, 'HMAC by the JWK');
refused(with_hmac(\%hs, \%claims, ''), $unknown, 'an empty HMAC key');
refused(signing_input({ alg => $_ }, \%claims) . '.AAAA', $unknown, "alg $_") foreach 'none', 'None', 'NONE', '', 'HS1', 'hs256', 'HS256 ';
refused(signing_input({ typ => 'JWT' }, \%claims) . '.AAAA', $unknown, 'no alg');
refused(signing_input({ alg => [ 'HS256' ] }, \%claims) . '.AAAA', $unknown, 'an array as alg');
my $hs512 = signing_input({ alg => 'HS512' }, \%claims);
refused("$hs512." . encode_base64url(hmac_sha512($hs512, $secret)), $unknown, 'an algorithm that the key is not for');
refused(with_rsa({ alg => 'PS256' }, \%claims, 'rsa'), $unknown, 'another one');
refused(with_hmac({ %hs, jwk => { kty => 'oct', k => encode_base64url('evil' x 8) } }, \%claims, 'evil' x 8), $unknown, 'a key of its own');
refused(with_hmac({ %hs, jku => 'http://127.0.0.1/', x5u => 'http://127.0.0.1/' }, \%claims, 'evil' x 8), $unknown, 'an address for a key');

# ---- form

my $malformed = 'malformed';
refused(signing_input({ alg => 'none' }, \%claims) . '.', $malformed, 'alg none, no signature');
refused($_, $malformed, "form: $_") foreach 'x', '.', '..', '...', 'a.b', "$head.$payload", "$head..$signature", ".$payload.$signature",
  "$good.x", "$head=.$payload.$signature", "$head.$payload.$signature=", encode_base64url('[]') . ".$payload.$signature",
  encode_base64url('{"alg":"HS256"') . ".$payload.$signature", encode_base64url('{"alg":"HS256","alg":"none"}') . ".$payload.$signature";
refused(with_hmac({ %hs, kid => 1 }, \%claims, $secret), $malformed, 'an id that is no text');
refused('a' x 9000, 'too long|malformed', 'a long one');
refused(with_hmac({ %hs, crit => [ 'exp' ], exp => 1 }, \%claims, $secret), 'critical', 'crit');
refused(with_hmac({ %hs, crit => [] }, \%claims, $secret), 'critical', 'an empty crit');
refused(with_hmac({ %hs, b64 => JSON::PP::false }, \%claims, $secret), 'critical', 'b64');

# ---- claims

refused(with_hmac(\%hs, { %claims, exp => time() - 60 }, $secret), 'expired', 'expired');
my %forever = %claims;
delete $forever{exp};
refused(with_hmac(\%hs, \%forever, $secret), 'no exp', 'without end');
refused(with_hmac(\%hs, { %claims, exp => $_ }, $secret), 'not a time', 'an odd end') foreach "$later", [], -1, 1e300;
refused(with_hmac(\%hs, { %claims, nbf => time() + 60 }, $secret), 'not valid yet', 'not valid yet');
refused(with_hmac(\%hs, { %claims, nbf => 'x' }, $secret), 'not a time', 'an odd beginning');
refused(with_hmac(\%hs, { %claims, aud => $_ }, $secret), 'another audience', 'another audience') foreach 'other', [], [ 'other' ], { wflog => 1 }, undef;
refused(with_hmac(\%hs, { %claims, iss => $_ }, $secret), 'another issuer', 'another issuer') foreach 'there', [ 'here' ], undef;
refused(with_hmac(\%hs, { %claims, sub => 5 }, $secret), 'sub is not', 'a subject that is no text');
refused(with_hmac(\%hs, $_, $secret), 'no JSON object', "claims: $_") foreach '[]', '"x"', 'x', '{"sub":"alice"', '{"sub":"bob","sub":"alice"}', "{\"sub\":\"a\\u0000\"}";

# ---- where a token may stand

foreach my $header ("bearer $good", "BEARER $good", "Bearer  $good")
{
	is($gateway->get($path, undef, Authorization => $header)->{status}, 200, 'the scheme in any case');
}
is($gateway->get($path, undef, Authorization => $_)->{status}, 401, 'another scheme') foreach 'Basic YTpi', $good, 'Bearer', 'Bearer ';

# ---- keys are read anew

$jwks = write_file('jwks', $json->encode({ keys => [ rsa_jwk('other', kid => 'r2') ] }));
my $old = with_rsa({ alg => 'RS256', kid => 'r1' }, \%claims, 'rsa');
kill 'HUP', $gateway->pid;
ok($gateway->says(qr/keys have been read anew/), 'SIGHUP');
accepted(with_rsa({ alg => 'RS256', kid => 'r2' }, \%claims, 'other'), 'the new key');
refused($old, $unknown, 'the old one');

my @bad = (
	[ 'not JSON', '{', qr/is not JSON/ ],
	[ 'no keys', '{}', qr/not a key set/ ],
	[ 'a small RSA key', { keys => [ rsa_jwk('small') ] }, qr/2048 bits/ ],
	[ 'an RSA key of 2047 bits', { keys => [ rsa_jwk('other', n => encode_base64url("\x7f" . 'n' x 255)) ] }, qr/2048 bits/ ],
	[ 'an RSA key without a modulus', { keys => [ { kty => 'RSA', e => 'AQAB' } ] }, qr/2048 bits/ ],
	[ 'a short secret', { keys => [ { kty => 'oct', k => encode_base64url('short') } ] }, qr/256 bits/ ],
	[ 'an empty secret', { keys => [ { kty => 'oct', k => '' } ] }, qr/cannot be (read|used)/ ],
	[ 'another curve', { keys => [ ec_jwk('p384', 'P-384') ] }, qr/P-256/ ],
	[ 'an alg that does not go with the key', { keys => [ rsa_jwk('other', alg => 'HS256') ] }, qr/does not go with/ ],
	[ 'an alg that is no text', { keys => [ rsa_jwk('other', alg => [ 'none' ]) ] }, qr/of the wrong type/ ],
	[ 'a number that is not base64url', { keys => [ { kty => 'oct', k => 'k' x 61 . '=' } ] }, qr/not base64url/ ],
	[ 'an exponent with which everybody could sign', { keys => [ rsa_jwk('other', e => 'AQ') ] }, qr/no exponent/ ],
	[ 'a point that is on no curve', { keys => [ { %{ ec_jwk('ec', 'P-256') }, x => encode_base64url('x' x 32) } ] }, qr/cannot be read/ ],
	[ 'a private number without its point', { keys => [ { kty => 'EC', crv => 'P-256', d => encode_base64url('d' x 32) } ] }, qr/x and y/ ],
	[ 'a good and a bad one', { keys => [ rsa_jwk('other', kid => 'r2'), { kty => 'OKP' } ] }, qr/key 2 .* cannot be used/ ],);
foreach my $case (@bad)
{
	my ($name, $content, $pattern) = @$case;
	write_file('jwks', ref $content ? $json->encode($content) : $content);
	my $before = length $gateway->said;
	kill 'HUP', $gateway->pid;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	select undef, undef, undef, 0.02 until substr($gateway->said, $before) =~ /keys stay as they were/ || time() > $end;
	like(substr($gateway->said, $before), $pattern, "$name is refused");
}
accepted(with_rsa({ alg => 'RS256', kid => 'r2' }, \%claims, 'other'), 'and the keys stay as they were');
is($gateway->stop, 0, 'it ends');

my ($status, undef, $err) = wflog('serve', '-U', 'gateway', "--jwks-file=$jwks");
is($status, 1, 'it does not start with a bad key');
($status, undef, $err) = wflog('serve', '-U', 'gateway', "--jwt-secret-file=$dir/rsa.pub");
is($status, 1, 'nor with a public key as a secret');
like($err, qr/PEM key, not a secret/, 'and why');
($status, undef, $err) = wflog('serve', '-U', 'gateway', "--jwt-secret-file=$dir/none");
like($err, qr/could not open/, 'nor without the file');

$node->stop;
done_testing();
