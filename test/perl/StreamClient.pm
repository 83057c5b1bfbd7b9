# A client that follows an execution as docs/streaming.md tells clients to: two
# connections, one that listens and one that queries, a cursor, and the batch
# up to which it has everything.  It dies when a log comes twice.

package StreamClient;

use strict;
use warnings;

use DBI;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new;

# A connection as DBI makes it.
sub connection
{
	my ($node, %options) = @_;
	my $dsn = 'dbi:Pg:' . join ';', 'dbname=' . ($options{database} // 'postgres'), 'host=' . $node->host, 'port=' . $node->port;
	my $connection = DBI->connect($dsn, $options{user} // '', '',
		{ RaiseError => 1, PrintError => 0, PrintWarn => 0, AutoCommit => 1, pg_server_prepare => 0 });
	$connection->do("SET client_encoding = 'UTF8'");
	return $connection;
}

# A follower that has got nothing yet.
sub new
{
	my ($class, $node, $execution, %options) = @_;
	my $self = bless {
		node => $node, execution => $execution, options => \%options,
		cursor => undef, messages => [], got => {}, payloads => [], statuses => [],
		catch_ups => 0, by_notification => 0
	}, $class;
	return $self;
}

# Connect, listen, and catch up.
sub start
{
	my ($self) = @_;
	$self->{listener} = connection($self->{node}, %{ $self->{options} });
	$self->{reader} = connection($self->{node}, %{ $self->{options} });
	return $self->listen;
}

# Start, from the beginning, and again until tail() has told the batch: it waits for
# the worker for a moment only, and what comes then has to be read once more.
sub start_informed
{
	my ($self) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	until (defined $self->start->{have} || time() > $end)
	{
		$self->stop;
		%$self = (%$self, cursor => undef, messages => [], got => {}, payloads => [], statuses => [], catch_ups => 0);
	}
	return $self;
}

# Listen to the present channel, and catch up; also after an event "moved".
sub listen
{
	my ($self) = @_;
	my $channel = '';
	# the owner may change before we listen
	while ((my $present = $self->{listener}->selectrow_array('SELECT wflog.channel(?)', undef, $self->{execution})) ne $channel)
	{
		$self->{listener}->do(qq(LISTEN "$present"));
		$channel = $self->{channel} = $present;
	}
	$self->catch_up;
	return $self;
}

# Lose the connections, and what is known of batches.
sub stop
{
	my ($self) = @_;
	foreach my $connection (qw(listener reader))
	{
		eval { $self->{$connection}->disconnect } if $self->{$connection};
		delete $self->{$connection};
	}
	delete @$self{qw(have receiving)};
	return $self;
}

# Handle a log.
sub take
{
	my ($self, $log, $cursor) = @_;
	die "log \"$log->{technical_message}\" came twice\n" if $self->{got}{ $log->{id} }++;
	push @{ $self->{messages} }, $log->{technical_message};
	$self->{cursor} = $cursor;
	return;
}

# Read tail() to its end.
sub catch_up
{
	my ($self) = @_;
	$self->{catch_ups}++;
	delete @$self{qw(have receiving)};
	while (1)
	{
		my $rows = $self->{reader}->selectall_arrayref('SELECT * FROM wflog.tail(?, ?, ?)', undef,
			$self->{execution}, $self->{cursor}, $self->{options}{page} // 1000);
		last unless @$rows;
		$self->take($json->decode($_->[1]), $_->[0]) foreach @$rows;
		last if defined($self->{have} = $rows->[-1][2]);
	}
	return;
}

# Handle a notification.
sub receive
{
	my ($self, $event) = @_;
	push @{ $self->{statuses} }, $event if $event->{kind} =~ /^(?:status|end)$/;
	my ($batch, $prev) = @$event{qw(batch prev)};
	if (!defined $self->{receiving} || $batch ne $self->{receiving})
	{
		return if defined $self->{have} && $batch le $self->{have};
		return $self->catch_up
		  unless defined $self->{have} && defined $prev && $prev le $self->{have};
		$self->{have} = $self->{receiving} = $batch;
	}
	if ($event->{kind} eq 'log')
	{
		$self->{by_notification}++;
		$self->take($event->{log}, $event->{cursor});
	}
	elsif ($event->{kind} eq 'reference')
	{
		$self->catch_up;
	}
	return;
}

# Handle what has arrived; returns how many notifications.
sub poll
{
	my ($self) = @_;
	my $count = 0;
	while (my $notification = $self->{listener}->pg_notifies)
	{
		my ($channel, $pid, $payload) = @$notification;
		my $event = $json->decode($payload);
		push @{ $self->{payloads} }, { channel => $channel, pid => $pid, text => $payload, event => $event };
		$self->receive($event);
		$count++;
	}
	return $count;
}

# Go on until a log of that message has come, or the time is over.
sub wait_for
{
	my ($self, $message, $seconds) = @_;
	my $end = time() + ($seconds // $PostgreSQL::Test::Utils::timeout_default);
	while (1)
	{
		$self->poll;
		return 1 if grep { $_ eq $message } @{ $self->{messages} };
		return 0 if time() > $end;
		sleep(0.002);
	}
}

# Go on until an event of a kind has come; returns it.
sub wait_for_event
{
	my ($self, $kind, $seconds) = @_;
	my $end = time() + ($seconds // $PostgreSQL::Test::Utils::timeout_default);
	while (1)
	{
		$self->poll;
		my ($found) = grep { $_->{event}{kind} eq $kind } @{ $self->{payloads} };
		return $found if $found;
		return if time() > $end;
		sleep(0.002);
	}
}

# Forget the notifications so far, and return them.
sub payloads
{
	my ($self) = @_;
	return splice @{ $self->{payloads} };
}

# Test that it has all that is there, and nothing else, without reading the table itself.
sub complete_ok
{
	my ($self, $name, $seconds) = @_;
	my $end = time() + ($seconds // $PostgreSQL::Test::Utils::timeout_default);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @there;
	while (1)
	{
		$self->poll;
		@there = map { $_->[0] } @{ $self->{reader}->selectall_arrayref(
			'SELECT message FROM wflog.workflow_execution_logs WHERE execution_id = ?', undef, $self->{execution}) };
		last if @there == @{ $self->{messages} } || time() > $end;
		sleep(0.01);
	}
	return is_deeply([ sort @{ $self->{messages} } ], [ sort @there ], $name);
}

1;
