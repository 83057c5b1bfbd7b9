# Streams of wflog serve while gateway, server, backends and clients are killed:
# at the end each client must have got every committed log of its execution once,
# and what one session wrote in the order in which it wrote it.
#
# Writers are pgbench with scripts of several kinds.  A client comes back with the
# id of the last event it got, as EventSource does.

package GatewayTorture;

use strict;
use warnings;

use Gateway;
use IO::Select;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WflogCommand;
use WflogNode qw(pid_of);

# What can be done, and how.
my %mischief = (
	kill_gateway    => sub { my ($self) = @_; $self->end_gateway('KILL') },
	stop_gateway    => sub { my ($self) = @_; $self->end_gateway('TERM') },
	end_listener    => sub { my ($self) = @_; $self->end_sessions("= 'wflog serve listen'") },
	end_connections => sub { my ($self) = @_; $self->end_sessions("= 'wflog serve'") },
	end_worker      => sub {
		my ($self) = @_;
		$self->sql('SELECT pg_terminate_backend(' . pid_of($self->{node}, 'worker', 'postgres') . ')');
	},
	crash           => sub { my ($self) = @_; $self->restart_server('immediate') },
	restart         => sub { my ($self) = @_; $self->restart_server('fast') },
	cut_clients     => sub {
		my ($self) = @_;
		$self->cut($self->{clients}[ int rand @{ $self->{clients} } ]) foreach 1 .. 1 + @{ $self->{clients} } / 3;
	});
our @ways = sort keys %mischief;

# Messages are RUN:CLIENT:NUMBER:PART, then anything; the numbers of a session's
# logs rise.  "size" makes a few too long for a notification.
my %scripts = (
	rows => q{INSERT INTO wflog.workflow_execution_logs (execution_id, message)
		SELECT 'EXECUTION' || :e, concat(:run, ':', :client_id, ':', :n, ':', i, ' ', repeat('m', CASE WHEN :size = 1 THEN 9000 ELSE :size END))
		FROM generate_series(1, :parts) i;},
	log => q{SELECT wflog.log('EXECUTION' || :e, concat(:run, ':', :client_id, ':', :n, ':1'));},
	append => q{SELECT wflog.append(jsonb_agg(jsonb_build_object('execution_id', 'EXECUTION' || :e,
			'message', concat(:run, ':', :client_id, ':', :n, ':', i)) ORDER BY i)) FROM generate_series(1, :parts) i;},
	savepoint => q{BEGIN;
		SELECT wflog.log('EXECUTION' || :e, concat(:run, ':', :client_id, ':', :n, ':1'));
		SAVEPOINT s;
		SELECT wflog.log('EXECUTION' || :e, 'never');
		ROLLBACK TO s;
		SELECT wflog.log('EXECUTION' || :e, concat(:run, ':', :client_id, ':', :n, ':2'));
		COMMIT;},
	rollback => q{BEGIN;
		SELECT wflog.log('EXECUTION' || :e, 'never');
		ROLLBACK;},
	prepared => q{BEGIN;
		SELECT wflog.log('EXECUTION' || :e, concat(:run, ':', :client_id, ':', :n, ':1'));
		PREPARE TRANSACTION 'torture:client_id';
		COMMIT PREPARED 'torture:client_id';},
	asynchronous => q{BEGIN;
		SET LOCAL synchronous_commit = off;
		SELECT wflog.log('EXECUTION' || :e, concat(:run, ':', :client_id, ':', :n, ':1'));
		COMMIT;});
my $writers = 4;

# Options: node; gateway, its options; prefix of the executions; how many
# executions and clients; rate, transactions a second.
sub new
{
	my ($class, %opt) = @_;
	my $self = bless { executions => 3, clients => 9, rate => 300, runs => 0, kills => 0, gateway_options => $opt{gateway}, %opt }, $class;

	$self->{names} = [ map { "$self->{prefix}$_" } 1 .. $self->{executions} ];
	$self->sql("SELECT wflog.start_execution('$_', 'torture', user_id => 'alice')") foreach @{ $self->{names} };
	$self->{gateway} = Gateway->start(@{ $opt{gateway} });
	$self->{clients} = [ map { { execution => $self->{names}[ $_ % $self->{executions} ], got => [], connections => 0 } } 1 .. $self->{clients} ];
	$self->{folder} = PostgreSQL::Test::Utils::tempdir();
	foreach my $name (keys %scripts)
	{
		my $script = "\\set n :n + 1\n\\set e random(1, $self->{executions})\n\\set parts random(1, 4)\n\\set size random(1, 40)\n$scripts{$name}\n";
		$script =~ s/EXECUTION/$self->{prefix}/g;
		append_to_file("$self->{folder}/$name.sql", $script);
	}
	$self->begin_writing;
	return $self;
}

sub sql
{
	my ($self, $statement) = @_;
	return $self->{node}->safe_psql('postgres', $statement);
}

# ---- writers

sub begin_writing
{
	my ($self) = @_;
	$self->{runs}++;
	$self->{pgbench} = IPC::Run::start(
		[ 'pgbench', '-n', '-c', $writers, '-T', 86400, '-R', $self->{rate}, '-D', "run=$self->{runs}", '-D', 'n=0',
			(map { ('-f', "$self->{folder}/$_.sql" . ($_ eq 'rows' ? '@6' : '')) } sort keys %scripts), 'postgres' ],
		'<', \'', '>', \my $out, '2>', \my $err);
	return;
}

sub end_writing
{
	my ($self, $signal) = @_;
	$self->{pgbench}->signal($signal);
	eval { $self->{pgbench}->finish };
	return;
}

# What sessions were doing when their client was ended they do to its end.
sub wait_for_sessions
{
	my ($self) = @_;
	$self->{node}->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pgbench'})
	  or die 'writers do not come to their end';
	return;
}

# ---- clients

sub cut
{
	my ($self, $client) = @_;
	close $client->{stream}{socket} if $client->{stream};
	delete $client->{stream};
	return;
}

# Come back, or try to.
sub connect_client
{
	my ($self, $client) = @_;
	$client->{stream} = eval { $self->{gateway}->begin_stream($client->{path} // "/api/v1/app/executions/$client->{execution}/logs/stream",
		token('alice'), defined $client->{id} ? ('Last-Event-ID' => $client->{id}) : ()) };
	$client->{connections}++ if $client->{stream};
	return;
}

# Take what has come for a client.
sub take_events
{
	my ($self, $client) = @_;
	my $stream = $client->{stream};

	if (!defined $stream->{head})
	{
		$stream->{closed} = 1 unless sysread($stream->{socket}, $stream->{buffer}, 1 << 20, length $stream->{buffer});
		if (!Gateway::take_head($stream))
		{
			$self->cut($client) if $stream->{closed};
			return;
		}
		if ($stream->{status} != 200)
		{
			$client->{refusals}{ $stream->{status} }++;
			$self->cut($client);
			return;
		}
	}
	Gateway::take($stream, 0);
	$self->take_event($client, $_) foreach splice @{ $stream->{events} };
	$client->{id} = $stream->{id} if defined $stream->{id};
	$self->cut($client) if $stream->{closed};
	return;
}

# Take an event.
sub take_event
{
	my ($self, $client, $event) = @_;
	my $type = Gateway::event_type($event);

	if ($type eq 'LOG')
	{
		push @{ $client->{got} }, Gateway::log_id($event);
		my ($session, $n, $part) = $event->{raw} =~ /"message":"(\d+:\d+):(\d+):(\d+)/;
		if (!defined $session) { $client->{unknown}++ }
		elsif (($client->{last}{$session} // 0) >= $n * 10 + $part) { $client->{disorder}++ }
		else { $client->{last}{$session} = $n * 10 + $part }
	}
	$client->{complete} = Gateway::data($event)->{data} if $type eq 'COMPLETE';
	$client->{error} = Gateway::data($event)->{data}{error_type} if $type eq 'ERROR';
	return;
}

# Serve all clients for so long.
sub serve
{
	my ($self, $seconds) = @_;
	my $until = time() + $seconds;
	do
	{
		my @open;
		foreach my $client (grep { !$_->{complete} } @{ $self->{clients} })
		{
			$self->connect_client($client) unless $client->{stream};
			push @open, $client if $client->{stream};
		}
		my %of = map { (fileno $_->{stream}{socket} => $_) } @open;
		my @ready = IO::Select->new(map { $_->{stream}{socket} } @open)->can_read(0.05);
		$self->take_events($_) foreach map { $of{ fileno $_ } } @ready;
		# where nobody can be connected to, not all the time
		sleep 0.05 unless @open;
	} while (time() < $until);
	return;
}

# ---- mischief

sub end_gateway
{
	my ($self, $signal) = @_;
	my $gateway = $self->{gateway};

	kill $signal, $gateway->pid;
	my $status = wflog_end($gateway->{run});
	is($status, 0, 'the gateway ends as it should') if $signal eq 'TERM';
	$self->{said} .= $gateway->{run}{err};
	$self->serve(0);
	$self->{gateway} = Gateway->start("port=$gateway->{port}", @{ $self->{gateway_options} });
	return;
}

sub end_sessions
{
	my ($self, $which) = @_;
	$self->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name $which");
	return;
}

sub restart_server
{
	my ($self, $mode) = @_;

	$self->{node}->stop($mode);
	$self->end_writing('KILL');
	$self->serve(0.3);
	$self->{node}->start;
	$self->end_prepared;
	$self->begin_writing;
	return;
}

# Commit what a session that is no more had prepared.
sub end_prepared
{
	my ($self) = @_;
	foreach my $name (split /\n/, $self->sql('SELECT gid FROM pg_prepared_xacts'))
	{
		$self->sql("COMMIT PREPARED '$name'");
	}
	return;
}

# Do something bad, of these or of everything; what it was.
sub harm
{
	my ($self, @of) = @_;
	@of = @ways unless @of;
	my $way = $of[ int rand @of ];

	$mischief{$way}->($self);
	$self->{kills}++;
	$self->{done}{$way}++;
	return $way;
}

# The short form that tests have: WFLOG_TEST_KILLS kills, 3, and in a few each kind
# has its turn, by the seed; then the end.
sub run_short
{
	my ($self, $seed) = @_;
	my $kills = $ENV{WFLOG_TEST_KILLS} || 3;

	$self->serve(1);
	foreach my $kill (1 .. $kills)
	{
		note('killed: ' . $self->harm($kills < @ways ? $ways[ ($kill + $seed) % @ways ] : ()));
		$self->serve(0.7);
	}
	return $self->finish;
}

# ---- the end

# End the executions, let the clients come to the end, and compare.
sub finish
{
	my ($self) = @_;
	my @clients = @{ $self->{clients} };
	my (%logged, %refusals);
	my $twice = 0;
	my $wrong = 0;

	$self->end_writing('TERM');
	$self->wait_for_sessions;
	$self->end_prepared;
	$self->serve(0.5);
	$self->sql("SELECT wflog.set_execution_status('$_', 'SUCCESS')") foreach @{ $self->{names} };
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	$self->serve(0.2) while time() < $end && grep { !$_->{complete} } @clients;

	foreach my $client (@clients)
	{
		$refusals{$_} += $client->{refusals}{$_} foreach keys %{ $client->{refusals} };
	}
	is(join(' ', map { $_->{complete}{status} // 'none' } @clients), join(' ', ('SUCCESS') x @clients), 'all clients have come to the end');
	is(join(' ', map { $_->{error} // () } @clients), '', 'without an error');
	is(join(' ', grep { $_ != 503 } keys %refusals), '', 'and were refused only while the database was away');
	is(join(' ', map { $_->{disorder} // () } @clients), '', 'the logs of each session came in its order');
	is(join(' ', map { $_->{unknown} // () } @clients), '', 'and none that was rolled back');
	foreach my $name (@{ $self->{names} })
	{
		$logged{$name} = $self->sql("SELECT string_agg(id::text, ' ' ORDER BY id) FROM wflog.workflow_execution_logs WHERE execution_id = '$name'");
	}
	foreach my $client (@clients)
	{
		my %times;
		$times{$_}++ foreach @{ $client->{got} };
		$twice += grep { $_ > 1 } values %times;
		$wrong++ if join(' ', sort keys %times) ne $logged{ $client->{execution} }
		  || $client->{complete}{total_logs} != keys %times;
	}
	is($twice, 0, 'nothing came twice');
	is($wrong, 0, 'each client has got all logs of its execution, no others, and been told how many they are');
	is($self->{gateway}->stop, 0, 'the gateway ends');
	unlike(($self->{said} // '') . $self->{gateway}{run}{err}, qr/stream of .* failed|request .* failed/, 'it had no errors of its own');
	$self->{logs} = 0;
	$self->{logs} += split / / foreach values %logged;
	$self->{refused} = \%refusals;
	return;
}

# What has been done, in a line or two.
sub totals
{
	my ($self) = @_;
	my ($deliveries, $connections) = (0, 0);

	foreach my $client (@{ $self->{clients} })
	{
		$deliveries += @{ $client->{got} };
		$connections += $client->{connections};
	}
	return "$self->{kills} kills (" . join(', ', map { "$_ $self->{done}{$_}" } sort keys %{ $self->{done} }) . "); $self->{logs} logs committed"
	  . " in " . @{ $self->{names} } . " executions, $deliveries delivered to " . @{ $self->{clients} } . " clients over $connections connections, "
	  . ($self->{refused}{503} // 0) . ' times refused with 503';
}

1;
