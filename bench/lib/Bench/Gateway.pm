# wflog serve on the cluster, and the clients of bench/gateway/.
package Bench::Gateway;

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use IO::Handle;
use IO::Socket::INET;
use IPC::Open2;
use MIME::Base64 qw(encode_base64url);
use POSIX ();

my $secret = 'a secret for benchmarks that is long enough';

# Who follows streams: an end user who owns their executions.
our $user = 'serve';

my $prefixes = 0;

# Start a gateway with these options more; it runs until stop().
sub start
{
	my ($class, $cluster, @options) = @_;
	my $self = bless { cluster => $cluster }, $class;
	my $file = "$cluster->{dir}/secret";

	$self->{program} = build_client($cluster);
	$cluster->sql(q{DO $$ BEGIN
		IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'bench_gateway') THEN
			CREATE ROLE bench_gateway LOGIN IN ROLE wflog_gateway;
		END IF; END $$});
	open my $out, '>', $file or die "$file: $!\n";
	print $out $secret;
	close $out;

	my $said = "$cluster->{dir}/gateway.log";
	unlink $said;
	my $pid = fork // die "cannot fork: $!\n";
	if ($pid == 0)
	{
		open STDERR, '>', $said;
		exec($cluster->program('wflog'), 'serve', '-h', $cluster->{dir}, '-U', 'bench_gateway', '-d', 'bench',
			'--listen=127.0.0.1:0', "--jwt-secret-file=$file", @options) or POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	for (1 .. 500)
	{
		($self->{port}) = -e $said ? Bench::Cluster::slurp($said) =~ m{listening on http://127\.0\.0\.1:(\d+)} : ();
		last if $self->{port};
		select undef, undef, undef, 0.02;
	}
	die "the gateway does not start:\n" . Bench::Cluster::slurp($said) unless $self->{port};
	$self->first_notification;
	return $self;
}

# Who has just begun to listen cannot know what was before the first notification:
# after it each stream reads the table once more.  That is over before anything
# is measured.
sub first_notification
{
	my ($self) = @_;
	my $stream = $self->open_streams(['1:1:1']);

	write_logs($stream);
	close_streams($stream);
	return;
}

sub stop
{
	my ($self) = @_;
	my $pid = delete $self->{pid} // return;

	kill 'TERM', $pid;
	waitpid $pid, 0;
	return;
}

# A bench that dies leaves none behind.
sub DESTROY { local $?; return $_[0]->stop }

# Build the clients once.
sub build_client
{
	my ($cluster) = @_;
	my $program = "$cluster->{dir}/gateway-client";
	my $config = $cluster->program('pg_config');
	my ($include, $lib) = map { chomp(my $dir = `$config $_`); $dir } qw(--includedir --libdir);

	$cluster->command($ENV{CC} || 'cc', qw(-O2 -pthread), "-I$include", '-I/usr/include/postgresql',
		'-o', $program, glob("$cluster->{here}/gateway/*.c"), "-L$lib", '-lpq')
	  unless -x $program;
	return $program;
}

# A token for a day.
sub token
{
	my ($subject) = @_;
	my $text = join '.', map { encode_base64url($_) } '{"alg":"HS256","typ":"JWT"}',
	  sprintf '{"sub":"%s","role":"authenticated","exp":%d}', $subject // $user, time + 86_400;
	return $text . '.' . encode_base64url(hmac_sha256($text, $secret));
}

# What a client has printed: its name, and one value or a list of them.
sub figures
{
	my (@lines) = @_;
	my %figures;

	for my $line (@lines)
	{
		my ($name, @values) = split q{ }, $line;
		$figures{$name} = @values > 1 ? \@values : $values[0];
	}
	return \%figures;
}

# Run a client to its end, with a token for that user; the lines it has printed.
sub client
{
	my ($self, $mode, $subject, @arguments) = @_;
	return split /\n/, $self->{cluster}->command($self->{program}, $mode, $self->{port}, token($subject), @arguments);
}

# Open streams of new executions, which the groups describe; see the head of
# bench/gateway/main.c.  Options: seconds, writers.
sub open_streams
{
	my ($self, $groups, %opt) = @_;
	my $cluster = $self->{cluster};
	my $executions = 0;
	my $prefix = 'serve-' . time . "-$$-" . ++$prefixes;

	$executions += (split /:/)[0] for @$groups;
	$cluster->sql("SELECT count(wflog.start_execution('$prefix-' || n, 'serve', user_id => '$user'))"
		  . " FROM generate_series(0, $executions - 1) AS n");
	my $pid = open2(my $from, my $to, $self->{program}, 'streams', $self->{port}, token(), conninfo($cluster),
		'INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ($1, $2)',
		$prefix, $opt{seconds} || 1, $opt{writers} || 16, @$groups);
	my $streams = { pid => $pid, from => $from, to => $to };
	$streams->{opened} = until_line($streams, 'ready');
	return $streams;
}

# What a client prints until it says that word.
sub until_line
{
	my ($streams, $word) = @_;
	my @lines;

	while (my $line = readline $streams->{from})
	{
		chomp $line;
		return figures(@lines) if $line eq $word;
		push @lines, $line;
	}
	die "the streams' client has ended before it said \"$word\"\n";
}

# Have the logs written; what came of it.
sub write_logs
{
	my ($streams) = @_;

	$streams->{to}->autoflush(1);
	print { $streams->{to} } "go\n";
	my $figures = until_line($streams, 'done');
	die "$figures->{wrong} streams have not got each log once: $figures->{received} of $figures->{expected} came\n"
	  if $figures->{wrong};
	return $figures;
}

sub close_streams
{
	my ($streams) = @_;

	close $streams->{to};
	close $streams->{from};
	waitpid $streams->{pid}, 0;
	return;
}

sub conninfo
{
	my ($cluster, $role) = @_;
	return "host=$cluster->{dir} dbname=bench user=" . ($role // 'postgres');
}

# Bytes that are the process's own.
sub private_bytes
{
	my ($self) = @_;
	my ($clean, $dirty) = Bench::Cluster::slurp("/proc/$self->{pid}/smaps_rollup") =~
	  /^Private_Clean:\s+(\d+).*^Private_Dirty:\s+(\d+)/ms;
	return 1024 * ($clean + $dirty);
}

sub cpu { return Bench::Cluster::cpu_of($_[0]{pid}) }

# A figure of /metrics.
sub metric
{
	my ($self, $name) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port})
	  or die "cannot connect: $@\n";

	print $socket "GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
	local $/;
	my ($value) = readline($socket) =~ /^wflog_$name (\S+)\r?$/m;
	return $value;
}

1;
