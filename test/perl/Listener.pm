# A session that listens to executions as any client does: asks for the
# channel, listens, and collects what it is notified of.

package Listener;

use strict;
use warnings;

use JSON::PP qw(decode_json);
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time);

# Listener->new($node, $database, execution, ...)
sub new
{
	my ($class, $node, $database, @executions) = @_;
	my $self = bless { psql => $node->background_psql($database), payloads => [] }, $class;
	$self->{psql}->query_safe("SET timezone = 'UTC'");
	$self->listen($_) foreach @executions;
	return $self;
}

# Begin to listen to an execution.
sub listen
{
	my ($self, $execution) = @_;
	my ($channel) = $self->query("SELECT wflog.channel('$execution')") =~ /(wflog_\S+)/;
	$self->query("LISTEN \"$channel\"");
	return $channel;
}

# Run a query; notifications that come along are kept.
sub query
{
	my ($self, $query) = @_;
	my $out = $self->{psql}->query_safe($query);
	push @{ $self->{payloads} }, $1
	  while $out =~ s/^Asynchronous notification "\S+" with payload "(.*)" received from server process with PID \d+\.\n?//m;
	return $out;
}

# All events so far, decoded.
sub events
{
	my ($self) = @_;
	$self->query('SELECT 1');
	return map { decode_json($_) } @{ $self->{payloads} };
}

# The messages of all logs that are notified before one that says $last,
# which is waited for; everything up to it is forgotten.  Other kinds of events
# are given as "(kind)".
sub messages_before
{
	my ($self, $last) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	while (1)
	{
		my @events = $self->events;
		foreach my $i (0 .. $#events)
		{
			next unless ($events[$i]{log}{message} // '') eq $last;
			splice @{ $self->{payloads} }, 0, $i + 1;
			return map { $_->{kind} eq 'log' ? $_->{log}{message} : "($_->{kind})" }
			  @events[ 0 .. $i - 1 ];
		}
		die "waited in vain for \"$last\", had " . join ' ', map { $_->{log}{message} // "($_->{kind})" } @events
		  if time() > $end;
		sleep(0.02);
	}
}

sub quit
{
	my ($self) = @_;
	$self->{psql}->quit;
	return;
}

1;
