# The command over TLS: a server whose certificate is signed by nobody known,
# verified by its root certificate; large answers, notifications and what "run"
# and "ingest" send; a service file, a password file, a certificate of the user.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Certificates;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WflogCommand;

chomp(my $configured = `pg_config --configure 2>&1`);
plan skip_all => 'PostgreSQL without TLS' unless $configured =~ /--with-(?:openssl|ssl=openssl)/;
plan skip_all => 'no program openssl' if system('openssl version >/dev/null 2>&1') != 0;

my $dir = PostgreSQL::Test::Utils::tempdir();

Certificates::make($dir, 'server', 'db.example', undef, '-addext', 'subjectAltName=DNS:db.example');
Certificates::make($dir, 'other', 'db.example', undef, '-addext', 'subjectAltName=DNS:db.example');
Certificates::make($dir, 'people', 'people');
Certificates::make($dir, 'carol', 'carol', 'people');

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<"END");
shared_preload_libraries = 'wflog'
listen_addresses = '127.0.0.1'
ssl = on
ssl_cert_file = '$dir/server.crt'
ssl_key_file = '$dir/server.key'
ssl_ca_file = '$dir/people.crt'
END
unlink $node->data_dir . '/pg_hba.conf';
$node->append_conf('pg_hba.conf', <<'END');
local all all trust
hostssl all carol 127.0.0.1/32 cert
hostssl all all 127.0.0.1/32 scram-sha-256
END
$node->start;
WflogCommand::use_server($node);
$node->safe_psql('postgres', q{
	CREATE EXTENSION wflog;
	SET password_encryption = 'scram-sha-256';
	CREATE ROLE dora LOGIN PASSWORD 'sesame' IN ROLE wflog_writer;
	CREATE ROLE carol LOGIN IN ROLE wflog_writer});
$ENV{WFLOG_SPOOL_DIR} = "$dir/spool";

my $port = $node->port;
append_to_file("$dir/passwords", "db.example:$port:*:dora:sesame\n");
chmod 0600, "$dir/passwords";
append_to_file("$dir/services", <<"END");
[far]
host=db.example
hostaddr=127.0.0.1
port=$port
dbname=postgres
user=dora
sslmode=verify-full
sslrootcert=$dir/server.crt
END
delete @ENV{qw(PGHOST PGPORT PGDATABASE)};
$ENV{PGPASSFILE} = "$dir/passwords";
$ENV{PGSERVICEFILE} = "$dir/services";
$ENV{PGSERVICE} = 'far';

# By the socket, whatever the environment says.
sub sql
{
	local %ENV = %ENV;
	delete $ENV{PGSERVICE};
	return $node->safe_psql('postgres', $_[0]);
}

# ---- who is let in, and whom we believe

sql(q{SELECT wflog.start_execution('e', 'w')});
like(wflog_ok('ls'), qr/^e +RUNNING/m, 'a certificate that is known, by a service and with a password file');
my $uri = "postgresql://dora\@db.example:$port/postgres?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert";
for my $case (
	[ "$uri=$dir/other.crt", qr/certificate verify failed/, 'a certificate of somebody else' ],
	[ "$uri=$dir/nothing.crt", qr/root certificate file .* does not exist/, 'a root certificate that is not there' ],
	[ ($uri =~ s/db\.example/db2.example/r) . "=$dir/server.crt", qr/does not match host name "db2\.example"/, 'a host of another name' ],
	[ "$uri=$dir/server.crt&user=carol", qr/certificate/, 'a person without certificate' ])
{
	my ($where, $pattern, $name) = @$case;
	my ($status, $out, $err) = wflog('ls', '-d', $where, '-w');
	is($status, 3, "$name: no connection");
	like($err, $pattern, "$name: why");
}
like(wflog_ok('ls', '-d', "$uri=$dir/server.crt"), qr/^e +RUNNING/m, 'by a URI');
like(wflog_ok('ls', '-d', "$uri=$dir/server.crt&user=carol&sslcert=$dir/carol.crt&sslkey=$dir/carol.key"), qr/^e +RUNNING/m,
	'with a certificate of the user');

# ---- much in one answer: records of TLS that libpq takes in parts

sql(q{SELECT count(wflog.log('big', repeat(md5(n::text), 180) || n, data => jsonb_build_object('n', n))) FROM generate_series(1, 1500) n});
my @lines = split /\n/, wflog_ok('logs', 'big', '-o', 'ndjson');
is(scalar @lines, 1500, 'pages of half a megabyte');
is(join(' ', grep { $lines[ $_ - 1 ] !~ /"n": $_\}/ } 1 .. 1500), '', 'all of them, in order');
is(scalar(split /\n/, wflog_ok('export', '-q', 'big')), 1500, 'exported');

# ---- following

sql(q{SELECT wflog.start_execution('f', 'w')});
my $run = wflog_start('logs', 'f', '-f', '-o', 'raw');
sql(q{SELECT wflog.log('f', 'first')});
wflog_until($run, 'out', qr/first\n/);
# large notifications, many in one transaction
sql(q{SELECT count(wflog.log('f', n || repeat('x', 7000))) FROM generate_series(1, 400) n});
wflog_until($run, 'out', qr/^400x+\n/m);
sql(q{SELECT wflog.set_execution_status('f', 'SUCCESS')});
is(wflog_end($run), 0, 'followed to the end');
is(join(' ', $run->{out} =~ /^(\d+)x/mg), join(' ', 1 .. 400), 'each once, in order');
unlike($run->{err}, qr/asking/, 'by notifications');

# ---- writing

my ($status, $out, $err) = wflog('run', '--wait', '60', '--execution', 'r', '--task', 't', '--', 'perl', '-e',
	'print "line $_ ", "y" x 3000, "\n" for 1 .. 1000');
is("$status $err", '0 ', 'run');
is(sql(q{SELECT count(DISTINCT message) FROM wflog.logs('r') WHERE message LIKE 'line %'}), '1000', 'all lines are there');
append_to_file("$dir/in.ndjson", join '', map { qq({"execution_id":"i","message":"$_ ) . 'z' x 2000 . qq("}\n) } 1 .. 3000);
($status, $out, $err) = wflog('ingest', '-q', "$dir/in.ndjson");
is("$status $err", '0 ', 'ingest');
is(sql(q{SELECT count(DISTINCT message) FROM wflog.logs('i')}), '3000', 'all of it is there');

$node->stop;
done_testing();
