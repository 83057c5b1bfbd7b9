# Drives test/torture: a server, the client program on it, and what the server
# has to suffer.  The client says whether anything was lost, came twice, out of
# order or too early; here is only the mischief.

package Torture;

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# How often each kind of mischief is drawn, and whether it kills something.
my %mischief = (
	kill_writer => { weight => 3, kills => 1 },
	kill_subscriber => { weight => 2, kills => 1 },
	kill_worker => { weight => 5, kills => 1 },
	kill_keeper => { weight => 1, kills => 1 },
	kill_launcher => { weight => 1, kills => 1 },
	terminate_worker => { weight => 4, kills => 1 },
	terminate_clients => { weight => 2, kills => 1 },
	restart_fast => { weight => 3, kills => 1 },
	restart_immediate => { weight => 4, kills => 1 },
	kill_postmaster => { weight => 2, kills => 1 },
	stop_worker => { weight => 3, kills => 0 },
	maintain => { weight => 3, kills => 0 },
	change_owner => { weight => 3, kills => 0 },
	other_settings => { weight => 2, kills => 0 },
	other_faults => { weight => 0, kills => 0 });

# Where a build with FAULTS=1 (src/fault.c) can be made to linger or to fail,
# and what errors are tolerable in: whatever the worker has begun, it begins anew.
my @slow = qw(queue-push queue-pushed queue-committed round-snapshot round-drained round-renewed
  round-publish round-published round-committed tail-read);
my @failing = qw(round-snapshot round-drained round-published round-committed);

# What does not take effect without a worker.
my %needs_worker = map { $_ => 1 }
  qw(kill_worker kill_keeper kill_launcher terminate_worker stop_worker change_owner);

# Compile a program out of sources in test/torture.  Returns its path, or undef
# and why not.
sub compile
{
	my ($name, @sources) = @_;
	my $dir = tempdir(CLEANUP => 1);
	my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
	my $cc = $ENV{CC} || 'cc';
	my $include = `$pg_config --includedir`;
	my $lib = `$pg_config --libdir`;
	chomp($include, $lib);
	my $sources = join ' ', map { "$FindBin::RealBin/../torture/$_" } @sources;
	my $errors = `$cc -std=gnu11 -g -O1 -Wall -Wextra -I$include -o $dir/$name $sources -L$lib -lpq -ljansson -lpthread 2>&1`;
	return ($? == 0 ? "$dir/$name" : undef, $errors);
}

# The client.
sub build
{
	return compile('torture', '*.c');
}

# A server that is ready, and the client running on it.  Options: seed,
# program, writers, subscribers, executions, think, queue_size, preload,
# patience, sabotage, conf, faults (a list, or random), only (mischief).
sub new
{
	my ($class, %options) = @_;
	my $self = bless {
		writers => 12, subscribers => 12, executions => 6, patience => 60,
		queue_size => '16kB', preload => 1, kills => 0, %options
	}, $class;
	$self->{think} //= 4 * $self->{writers};		# ms; so more of them do not write more
	srand($self->{seed});

	my $node = $self->{node} = PostgreSQL::Test::Cluster->new($self->{name} // 'torture');
	$node->init;
	$node->append_conf('postgresql.conf', <<CONF);
restart_after_crash = on
max_connections = 250
max_prepared_transactions = 100
max_worker_processes = 16
max_wal_size = 2GB
checkpoint_timeout = 30s
wal_writer_delay = 10s
log_min_duration_statement = -1
log_statement = none
log_checkpoints = off
log_autovacuum_min_duration = -1
log_connections = off
log_disconnections = off
CONF
	$node->append_conf('postgresql.conf', <<CONF) if $self->{preload};
shared_preload_libraries = 'wflog'
wflog.queue_size = $self->{queue_size}
CONF
	$node->append_conf('postgresql.conf', $self->{conf}) if $self->{conf};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION wflog; CALL wflog.maintain()');
	if ($self->{faults})
	{
		my $random = $self->{faults} eq 'random';
		die "faults need a build with FAULTS=1\n"
		  if $node->safe_psql('postgres', "SELECT count(*) FROM pg_settings WHERE name = 'wflog.fault'") == 0;
		$mischief{other_faults}{weight} = $random ? 4 : 0;
		$self->set_faults($random ? $self->random_faults : $self->{faults});
	}
	$node->safe_psql('postgres', 'CREATE ROLE torture_gateway LOGIN IN ROLE wflog_gateway, wflog_reader');
	$self->{channels} = $self->{preload} && $node->safe_psql('postgres',
		q(SELECT to_regprocedure('wflog.channel(varchar)') IS NOT NULL)) eq 't';
	$self->run_client;
	return $self;
}

sub run_client
{
	my ($self) = @_;
	my @command = ($self->{program},
		'--conninfo' => $self->{node}->connstr('postgres'), '--seed' => $self->{seed},
		map { ("--$_" => $self->{$_}) } qw(writers subscribers executions think patience));
	push @command, '--channels', '--gateway' => 'torture_gateway' if $self->{channels};
	push @command, '--sabotage' => $self->{sabotage} if $self->{sabotage};
	$self->{in} = $self->{out} = $self->{err} = '';
	$self->{timer} = IPC::Run::timer(1800);
	$self->{run} = IPC::Run::start(\@command, '<', \$self->{in}, '>', \$self->{out},
		'2>', \$self->{err}, $self->{timer});
	return;
}

# Ask the client for something; is its answer "ok"?
sub ask
{
	my ($self, $what) = @_;
	$self->{out} = '';
	$self->{in} .= "$what\n";
	# it has patience of its own, and knows when the machine is slow
	$self->{timer}->start(1800);
	my $answer = eval {
		IPC::Run::pump $self->{run} until $self->{out} =~ /^$what (\w+)$/m;
		$self->{out} =~ /^$what (\w+)$/m ? $1 : 'none';
	} // "no answer: $@";
	return $answer eq 'ok';
}

sub barrier
{
	my ($self) = @_;
	return $self->ask('barrier');
}

# Compare everything.  The totals are then in {totals}.
sub finish
{
	my ($self) = @_;
	my $good = $self->ask('finish');
	$self->{totals} = { $self->{out} =~ /^total (.*): (\d+)$/mg };
	eval { IPC::Run::finish($self->{run}) };
	return $good;
}

# What the client has found, and how to get it again.
sub report
{
	my ($self) = @_;
	diag("WFLOG_TEST_SEED=$self->{seed}\n$self->{err}");
	return;
}

sub print_totals
{
	my ($self) = @_;
	note("$_: $self->{totals}{$_}") foreach sort keys %{ $self->{totals} };
	note("mischief: ", join ', ', map { "$_ $self->{done}{$_}" } sort keys %{ $self->{done} // {} });
	return;
}

# ---- faults ----

# Some places to linger at, and now and then one to fail at.
sub random_faults
{
	my @faults = map { $_ . '=' . between(1, 15) . '%' . between(5, 50) } grep { rand() < 0.4 } @slow;
	push @faults, 'notify-full=0%' . between(1, 10) if rand() < 0.3;
	push @faults, $failing[ int(rand(@failing)) ] . '=error%1' if rand() < 0.3;
	return join ', ', @faults;
}

sub set_faults
{
	my ($self, $faults) = @_;
	note("faults: $faults");
	$self->try_query("ALTER SYSTEM SET wflog.fault = '$faults'");
	$self->try_query('SELECT pg_reload_conf()');
	return 1;
}

# ---- mischief ----

sub between
{
	my ($from, $to) = @_;
	return $from + int(rand($to - $from + 1));
}

# A query whose answer may fail to come.
sub try_query
{
	my ($self, $sql) = @_;
	my ($out, $err, $timed_out) = ('', '', 0);

	# when it cannot connect, it may be gone before the query has been written to it
	eval
	{
		$self->{node}->psql('postgres', $sql, stdout => \$out, stderr => \$err,
			timeout => 60, timed_out => \$timed_out, on_error_stop => 0);
	};
	return $out;
}

# Wait until the server lets us in, and the worker is there.
sub wait_until_up
{
	my ($self) = @_;
	foreach (1 .. 600)
	{
		return 1 if $self->try_query('SELECT 1') eq '1';
		sleep(0.1);
	}
	die "the server does not come up again\n";
}

# Kill processes of a kind; returns how many there were.
sub signal_processes
{
	my ($self, $signal, $condition, $most) = @_;
	my @pids = split /\n/, $self->try_query(
		"SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND ($condition) ORDER BY application_name, pid");
	while (@pids > ($most // 1))
	{
		splice @pids, int(rand(@pids)), 1;
	}
	return kill($signal, @pids);
}

# Start it again, as soon as what a kill has orphaned has gone.
sub start_again
{
	my ($self) = @_;
	my $tries = 0;
	until ($self->{node}->start(fail_ok => 1))
	{
		die "the server does not start again\n" if ++$tries > 60;
		sleep(1);
		$self->{node}->stop('fast', fail_ok => 1);
	}
	return 1;
}

my %do = (
	kill_writer => sub { $_[0]->signal_processes('KILL', "application_name LIKE 'torture writer%'") },
	kill_subscriber => sub { $_[0]->signal_processes('KILL', "application_name LIKE 'torture subscriber%'") },
	kill_worker => sub { $_[0]->signal_processes('KILL', "backend_type = 'wflog worker'") },
	kill_keeper => sub { $_[0]->signal_processes('KILL', "backend_type = 'wflog keeper'") },
	kill_launcher => sub { $_[0]->signal_processes('KILL', "backend_type = 'wflog launcher'") },
	terminate_worker => sub { $_[0]->signal_processes('TERM', "backend_type = 'wflog worker'") },
	terminate_clients => sub {
		$_[0]->signal_processes('TERM', "application_name ~ '^torture [wsf]'", between(1, 8));
	},
	restart_fast => sub { $_[0]->{node}->stop('fast'); $_[0]->start_again },
	restart_immediate => sub { $_[0]->{node}->stop('immediate'); $_[0]->start_again },
	kill_postmaster => sub { $_[0]->{node}->kill9; $_[0]->start_again },
	# long enough for a small queue to overflow
	stop_worker => sub {
		my ($self) = @_;
		my $stopped = $self->signal_processes('STOP', "backend_type = 'wflog worker'");
		sleep(between(5, 30) / 10);
		$self->signal_processes('CONT', "backend_type = 'wflog worker'");
		return $stopped;
	},
	maintain => sub {
		my ($self) = @_;
		$self->try_query("INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at) "
			  . "SELECT 'old', 'old', now() - interval '200 days' - i * interval '1 day' FROM generate_series(1, 3) i");
		$self->try_query('SET client_min_messages = error; CALL wflog.maintain(100)');
		return 1;
	},
	change_owner => sub {
		my ($self) = @_;
		$self->try_query("UPDATE wflog.workflows SET user_id = 'owner ' || random() WHERE id = 'torture-a'");
		return 1;
	},
	other_settings => sub {
		my ($self) = @_;
		my $payload = between(0, 3) ? 'full' : 'reference';
		my $scope = between(0, 3) ? 'asked' : 'all';
		$self->try_query("ALTER SYSTEM SET wflog.notify_payload = $payload");
		$self->try_query("ALTER SYSTEM SET wflog.notify_scope = $scope");
		$self->try_query('SELECT pg_reload_conf()');
		return 1;
	},
	other_faults => sub { $_[0]->set_faults($_[0]->random_faults) });

# Do something, by name or at random.
sub harm
{
	my ($self, $what) = @_;
	my @lots = map { ($_) x $mischief{$_}{weight} }
	  grep { $self->{channels} || !$needs_worker{$_} }
	  sort($self->{only} ? @{ $self->{only} } : keys %mischief);
	$what //= $lots[ int(rand(@lots)) ];
	my $count = $do{$what}->($self);
	$self->{done}{$what} += $count ? 1 : 0;
	$self->{kills}++ if $count && $mischief{$what}{kills};
	$self->wait_until_up;
	return $what;
}

# Load, mischief, load, and everybody has everything.
sub cycle
{
	my ($self, $what) = @_;
	sleep(between(3, 20) / 10);
	my @done = $self->harm($what);
	push @done, $self->harm if between(0, 2) == 0;
	sleep(between(2, 12) / 10);
	return ($self->barrier, join ' and ', @done);
}

1;
