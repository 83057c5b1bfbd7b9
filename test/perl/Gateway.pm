# wflog serve, and clients of it: whole requests, raw bytes, streams of events.

package Gateway;

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WflogCommand;
use WflogNode qw(new_node);

use Exporter 'import';
our @EXPORT = qw(token json_of);

our $secret = 'a secret for tests that is long enough';

# Is "serve" part of this build?
sub is_built
{
	my ($status, $out) = wflog('--help');
	return $out =~ /^  serve /m;
}

# A server with the extension and a role to connect as, and the key; the
# arguments are configuration.
sub new_server
{
	my $node = new_node('main', @_);
	WflogCommand::use_server($node);
	$node->safe_psql('postgres', 'CREATE EXTENSION wflog; CREATE ROLE gateway LOGIN; GRANT wflog_gateway TO gateway');
	append_to_file(secret_file(), $secret);
	return $node;
}

my $secret_file;

sub secret_file
{
	$secret_file //= PostgreSQL::Test::Utils::tempdir() . '/secret';
	return $secret_file;
}

# Start it, on a free port, on the one given as "port=N", or where "--listen" says.
sub start
{
	my ($class, @options) = @_;
	my $self = bless {}, $class;
	my $listen;
	@options = grep { !/^port=(\d+)$/ || do { $listen = $1; 0 } } @options;
	# not one of those that the system gives to clients, which could take it in between
	$listen //= PostgreSQL::Test::Cluster::get_free_port();
	push @options, "--listen=127.0.0.1:$listen" unless grep { /^--listen/ } @options;
	push @options, '--jwt-secret-file=' . secret_file() unless grep { /^--(jwt|jwks)/ } @options;
	$self->{run} = wflog_start('serve', '-U', 'gateway', @options);
	eval {
		$self->{run}{handle}->pump while $self->{run}{err} !~ /listening on .*\n/;
		1;
	} or die "the gateway did not start: $self->{run}{err}";
	($self->{port}) = $self->{run}{err} =~ m{listening on \w+://\S+:(\d+)};
	($self->{path}) = $self->{run}{err} =~ m{listening on unix:(\S+)};
	return $self;
}

# Its process.
sub pid
{
	my ($self) = @_;
	return $self->{run}{handle}{KIDS}[0]{PID};
}

# End it by a signal; its exit status.
sub stop
{
	my ($self, $signal) = @_;
	return wflog_end($self->{run}, $signal // 'TERM');
}

# What it has said on stderr.
sub said
{
	my ($self) = @_;
	# whoever waits for something has a limit of his own
	$self->{run}{timer}->start;
	$self->{run}{handle}->pump_nb;
	return $self->{run}{err};
}

# Wait until it has said something.
sub says
{
	my ($self, $pattern) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	sleep 0.02 while $self->said !~ $pattern && time() < $end;
	return $self->{run}{err} =~ $pattern;
}

# A token of HS256, for an hour unless the claims say otherwise.
sub token
{
	my ($subject, %claims) = @_;
	return signed({ alg => 'HS256', typ => 'JWT' },
		{ sub => $subject, role => 'authenticated', exp => int(time()) + 3600, %claims }, $secret);
}

sub signed
{
	my ($header, $claims, $key) = @_;
	my $json = JSON::PP->new->canonical;
	my $text = join '.', map { encode_base64url(ref $_ ? $json->encode($_) : $_) } $header, $claims;
	return $text . '.' . encode_base64url(hmac_sha256($text, $key));
}

# A whole request by an ordinary client: {status, headers, content}.
sub get
{
	my ($self, $path, $token, %headers) = @_;
	$headers{Authorization} = "Bearer $token" if defined $token;
	my $method = delete $headers{method} // 'GET';
	my $body = delete $headers{body};
	$self->{http} //= HTTP::Tiny->new(timeout => $PostgreSQL::Test::Utils::timeout_default);
	return $self->{http}->request($method, "http://127.0.0.1:$self->{port}$path",
		{ headers => \%headers, defined $body ? (content => $body) : () });
}

# The JSON of an answer.
sub json_of
{
	my ($answer) = @_;
	return JSON::PP->new->utf8->decode($answer->{content});
}

# A connection, for bytes of one's own.
sub connect
{
	my ($self, %options) = @_;
	return $self->{connect}->() if $self->{connect};
	my $socket = $self->{path} ? IO::Socket::UNIX->new(Peer => $self->{path}) : IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}, %options)
	  or die "could not connect: $@";
	$socket->autoflush(1);
	return $socket;
}

# Read until the pattern matches or the other side closes; what came, and whether it closed.
sub read_until
{
	my ($socket, $pattern, $seconds) = @_;
	my $select = IO::Select->new($socket);
	my $got = '';
	my $end = time() + ($seconds // $PostgreSQL::Test::Utils::timeout_default);
	until ($got =~ $pattern)
	{
		my $left = $end - time();
		return ($got, 0) if $left <= 0;
		# a child that ends may interrupt either
		next unless $select->can_read($left);
		my $read = sysread($socket, $got, 65536, length $got);
		return ($got, 1) unless $read || (!defined $read && $!{EINTR});
	}
	return ($got, 0);
}

# Send bytes and read until the connection is closed, or for so long.
sub raw
{
	my ($self, $bytes, $seconds) = @_;
	my $socket = $self->connect;
	local $SIG{PIPE} = 'IGNORE';
	print $socket $bytes;
	return read_until($socket, qr/(?!)/, $seconds);
}

# The statuses of the answers in what came.
sub statuses
{
	my ($bytes) = @_;
	return join ' ', $bytes =~ m{HTTP/1\.1 (\d{3}) }g;
}

# Ask for a stream: {socket, head, status, events, id of the last, retry, comments, closed}.
sub begin_stream
{
	my ($self, $path, $token, %headers) = @_;
	my $stream = { socket => $self->connect, buffer => '', events => [], closed => 0, comments => 0 };
	my $head = "GET $path HTTP/1.1\r\nHost: test\r\n";
	$head .= "Authorization: Bearer $token\r\n" if defined $token;
	$head .= "$_: $headers{$_}\r\n" foreach sort keys %headers;
	print { $stream->{socket} } "$head\r\n";
	return $stream;
}

# Take the head of the answer off what has come; whether it is there.
sub take_head
{
	my ($stream) = @_;
	return 0 unless $stream->{buffer} =~ s/\A(.*?\r\n\r\n)//s;
	$stream->{head} = $1;
	($stream->{status}) = $stream->{head} =~ m{^HTTP/1\.1 (\d+)};
	return 1;
}

# Open one, and wait for the head.
sub stream
{
	my $stream = begin_stream(@_);
	($stream->{buffer}) = read_until($stream->{socket}, qr/\r\n\r\n/);
	take_head($stream);
	return $stream;
}

# Take what has come on a stream, waiting at most so long for something.
sub take
{
	my ($stream, $seconds) = @_;
	if (!$stream->{closed} && IO::Select->new($stream->{socket})->can_read($seconds))
	{
		my $read = sysread($stream->{socket}, $stream->{buffer}, 1 << 20, length $stream->{buffer});
		$stream->{closed} = 1 unless $read || (!defined $read && $!{EINTR});
	}
	my $end = rindex $stream->{buffer}, "\n\n";
	return if $end < 0;
	foreach my $block (split /\n\n/, substr $stream->{buffer}, 0, $end + 2, '')
	{
		my %event;
		foreach my $line (split /\n/, $block)
		{
			$stream->{comments}++ if $line =~ /^:/;
			$event{$1} = $2 if $line =~ /^(\w+): ?(.*)$/;
		}
		$stream->{retry} = $event{retry} if defined $event{retry};
		# as in EventSource, an id counts without an event, too
		$stream->{id} = $event{id} if defined $event{id};
		next unless defined $event{data};
		$event{raw} = delete $event{data};
		push @{ $stream->{events} }, \%event;
	}
	return;
}

# What kind of event it is, and the id of its log; without decoding it, which takes long.
sub event_type
{
	my ($event) = @_;
	return $event->{raw} =~ /^\{"event_type":"(\w+)"/ ? $1 : die "not an event: $event->{raw}";
}

sub log_id
{
	my ($event) = @_;
	return $event->{raw} =~ /"data":\{"id":"([^"]+)"/ ? $1 : die "not a log: $event->{raw}";
}

# An event's data, decoded, which then is in {data}, too.
sub data
{
	my ($event) = @_;
	$event->{data} //= JSON::PP->new->utf8->decode($event->{raw});
	return $event->{data};
}

# Take events until the condition holds or the stream is closed; whether it holds.
sub take_until
{
	my ($stream, $condition) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	until ($condition->($stream))
	{
		return 0 if $stream->{closed} || time() > $end;
		take($stream, 0.5);
	}
	return 1;
}

# The messages of the logs that have come; COMPLETE and ERROR in brackets.
sub messages
{
	my ($stream) = @_;
	return join ' ', map {
		my $data = data($_);
		$data->{event_type} eq 'LOG' ? $data->{data}{message} :
		  '(' . $data->{event_type} . ' ' . ($data->{data}{status} // $data->{data}{error_type}) . ')'
	} @{ $stream->{events} };
}

# To the end of the stream.
sub finish
{
	my ($stream) = @_;
	take_until($stream, sub { $_[0]{closed} });
	return messages($stream);
}

1;
