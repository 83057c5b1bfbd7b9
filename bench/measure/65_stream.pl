# What notifications cost writers, and how soon they come.
use strict;
use warnings;

use IO::Handle;

my $executions = 16;
my $idle_listeners = 300;

# Build the listening program once.
sub build_program
{
	my ($cluster) = @_;
	my $program = $cluster->{dir} . '/stream';
	my $config = $cluster->program('pg_config');
	my ($include, $lib) = map { chomp(my $dir = `$config $_`); $dir } qw(--includedir --libdir);

	$cluster->command($ENV{CC} || 'cc', '-O2', "-I$include", '-I/usr/include/postgresql',
		'-o', $program, "$cluster->{here}/stream/stream.c", "-L$lib", '-lpq')
	  unless -x $program;
	return $program;
}

sub conninfo
{
	my ($cluster) = @_;
	return "host=$cluster->{dir} user=postgres dbname=bench";
}

# Start the program in the background and wait until it listens.
sub start_program
{
	my ($cluster, @arguments) = @_;
	my $pid = open(my $out, '-|', build_program($cluster), @arguments) // die "cannot fork: $!\n";
	my $line = <$out> // '';

	die "the listening program does not start\n" unless $line eq "ready\n";
	return { pid => $pid, out => $out };
}

# End it; returns what it printed last.
sub stop_program
{
	my ($running) = @_;

	kill 'TERM', $running->{pid};
	my $printed = readline $running->{out};
	close $running->{out};
	chomp $printed if defined $printed;
	return $printed;
}

# Turn notifications on or off, and wait until the worker knows.
sub set_notify
{
	my ($cluster, $value) = @_;

	$cluster->sql("ALTER SYSTEM SET wflog.notify = $value");
	$cluster->sql('SELECT pg_reload_conf()');
	sleep 1;
	return;
}

# Ids of executions that are asked for, or not.
sub ids
{
	my ($kind) = @_;
	return map { "stream-$kind-$_" } 1 .. $executions;
}

# The channels of the executions, which makes them asked for.
sub channels
{
	my ($cluster) = @_;
	return split /\n/, $cluster->sql(join ';', map { "SELECT wflog.channel('$_')" } ids('asked'));
}

# Register executions of both kinds.
sub register
{
	my ($cluster) = @_;

	$cluster->sql("SELECT wflog.start_execution('$_', 'stream')") for ids('asked'), ids('quiet');
	return;
}

my $row = "'step_output', 'INFO', 'Fetched page ' || :client_id || ' of the customer export from"
  . " upstream in 812 ms, going on', '{\"rows\": 1300, \"host\": \"worker-7\", \"bytes\": 409900,"
  . " \"cached\": false}', 'node-3', 'Fetch customers 3', 'http_request', 3, 12";
my $list = 'execution_id, event_type, level, message, data, node_id, node_name, node_type,'
  . ' step_number, total_steps';

sub single_row
{
	my ($kind) = @_;
	return "\\set k random(1, $executions)\n"
	  . "INSERT INTO wflog.workflow_execution_logs ($list) VALUES ('stream-$kind-' || :k, $row);\n";
}

sub batch
{
	my ($kind) = @_;
	return "\\set k random(1, $executions)\n"
	  . "INSERT INTO wflog.workflow_execution_logs ($list)"
	  . " SELECT 'stream-$kind-' || :k, $row FROM generate_series(1, 100);\n";
}

# The trigger people write by hand, on our table, with our worker silent.
my $trigger = q{
	CREATE FUNCTION bench.notify_row() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_notify('by_hand', json_build_object('execution_id', NEW.execution_id, 'id', NEW.id,
			'level', NEW.level, 'message', NEW.message, 'data', NEW.data,
			'created_at', NEW.created_at)::text);
		RETURN NULL;
	END $$;
	CREATE TRIGGER by_hand AFTER INSERT ON wflog.workflow_execution_logs
		FOR EACH ROW EXECUTE FUNCTION bench.notify_row();};
my $drop_trigger = q{
	DROP TRIGGER IF EXISTS by_hand ON wflog.workflow_execution_logs;
	DROP FUNCTION IF EXISTS bench.notify_row();};

sub measure_notify
{
	my ($cluster, $data, $report) = @_;
	my $conninfo = conninfo($cluster);
	my $seconds = $report->{quick} ? 1 : 2;
	my $repetitions = $report->{quick} ? 2 : 15;
	my $few = $report->{quick} ? 1 : 3;
	my %against_trigger;

	$cluster->sql($drop_trigger);
	register($cluster);
	my @channels = channels($cluster);

	# One state: who listens, what is written, by whom it is told.
	my $state = sub {
		my ($name, $clients, $script, %opt) = @_;
		return sub {
			my @running;

			set_notify($cluster, $opt{notify} || 'on');
			$cluster->sql($trigger) if $opt{trigger};
			push @running, start_program($cluster, 'idle', $conninfo, $idle_listeners) if $opt{idle};
			push @running, start_program($cluster, 'listen', $conninfo,
				$opt{trigger} ? 'by_hand' : @channels) if $opt{listener};
			my $result = $cluster->pgbench($script, clients => $clients, seconds => $seconds);
			my @printed = map { stop_program($_) } reverse @running;
			$cluster->sql($drop_trigger) if $opt{trigger};
			die "nothing was notified in \"$name\"\n"
			  if $opt{listener} && ($printed[0] // '') !~ /^[1-9]/;
			return $result->{tps};
		};
	};

	# each is compared with the same listeners and connections, and wflog.notify off
	$report->table('what', 'notify = off', 'wflog', 'ratio', 'target', 'met?');
	for my $clients (32, 64)
	{
		my $single = sub {
			my ($kind, %there) = @_;
			return $state->('single rows', $clients, single_row($kind), %there);
		};
		my ($off, $on, $idle_off, $idle_on, $idle_asked) = $report->interleave($repetitions,
			$single->('asked', notify => 'off'),
			$single->('asked', listener => 1),
			$single->('asked', notify => 'off', idle => 1),
			$single->('quiet', idle => 1),
			$single->('asked', idle => 1, listener => 1));
		my ($trigger, $idle_trigger) = $report->interleave($few,
			$single->('asked', notify => 'off', trigger => 1, listener => 1),
			$single->('asked', notify => 'off', trigger => 1, idle => 1, listener => 1));

		for ([ 'one listener', 0.85, $off, $on ],
			[ "$idle_listeners idle listeners, nobody asks", 0.95, $idle_off, $idle_on ],
			[ "$idle_listeners idle listeners and one that asks", 0.55, $idle_off, $idle_asked ])
		{
			my ($name, $target, @sides) = @$_;
			$report->line(what => "single rows, $clients clients, $name", unit => 'commits/s', higher => 1,
				paired => 1, target => $target, s1 => $sides[0], wflog => $sides[1]);
		}
		$report->line(what => "single rows, $clients clients, $_->[0]", unit => 'commits/s', higher => 1,
			s1 => $_->[1], wflog => $_->[2])
		  for [ 'trigger alone', $off, $trigger ], [ "trigger, $idle_listeners idle and one", $idle_off, $idle_trigger ];
		$against_trigger{$clients} = [ $idle_trigger, $idle_asked ];
	}
	my @batches = $report->interleave($repetitions,
		$state->('off', 8, batch('asked'), notify => 'off'),
		$state->('one listener', 8, batch('asked'), listener => 1));
	$report->line(what => 'batches of 100, 8 clients, one listener', unit => 'commits/s', higher => 1,
		paired => 1, target => 0.85, s1 => $batches[0], wflog => $batches[1]);

	$report->table('what', 'trigger', 'wflog', 'ratio', 'target', 'met?');
	$report->line(what => "single rows, $_ clients, 300 idle listeners and one that asks",
		unit => 'commits/s', higher => 1, target => 10, s1 => $against_trigger{$_}[0], wflog => $against_trigger{$_}[1])
	  for 32, 64;
	set_notify($cluster, 'on');
	return;
}

# S1's stream looks once a second for what is newer than the newest it has seen.
my $poll = q{SELECT message, created_at FROM s1.workflow_execution_logs
	WHERE execution_id = $1 AND created_at > coalesce($2::timestamptz, '-infinity') ORDER BY created_at};

# From the reply to a commit to its notification, or until polling finds it.
sub measure_latency
{
	my ($cluster, $data, $report) = @_;
	my $conninfo = conninfo($cluster);
	my $seconds = $report->{quick} ? 2 : 10;
	my $insert = 'INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ($1, $2)';
	my $insert_s1 = 'INSERT INTO s1.workflow_execution_logs (execution_id, event_type, message)'
	  . " VALUES (\$1, 'step_output', \$2)";

	register($cluster);
	my $program = build_program($cluster);
	my %by = (
		wflog => sub {
			my ($rate, $sessions) = @_;
			return ('latency', $conninfo, $rate, $seconds, $sessions, $insert, ids('asked'), '--', channels($cluster));
		},
		trigger => sub {
			my ($rate, $sessions) = @_;
			return ('latency', $conninfo, $rate, $seconds, $sessions, $insert, ids('asked'), '--', 'by_hand');
		},
		polling => sub {
			my ($rate, $sessions) = @_;
			$cluster->sql(q(DELETE FROM s1.workflow_execution_logs WHERE execution_id LIKE 'stream-asked-%'));
			return ('poll', $conninfo, $rate, $seconds, $sessions, $insert_s1, $poll, ids('asked'));
		});

	$report->table('what', 'logs/s reached', 'lost', 'twice', 'p50 ms', 'p99 ms', 'max ms');
	for ([ 1000, 32 ], [ 5000, 32 ], [ 5000, 8 ], [ 10_000, 32 ])
	{
		my ($rate, $sessions) = @$_;
		for my $by ('wflog', 'trigger', 'polling')
		{
			next if $by ne 'wflog' && ($rate > 5000 || $sessions < 32);
			set_notify($cluster, $by eq 'wflog' ? 'on' : 'off');
			$cluster->sql($trigger) if $by eq 'trigger';
			my @runs = map { [ split q{ }, $cluster->command($program, $by{$by}->($rate, $sessions)) ] } 1 .. 3;
			$cluster->sql($drop_trigger) if $by eq 'trigger';
			my $median = sub { my ($field) = @_; Bench::Report::median(map { $_->[$field] } @runs) };
			$report->row("$by, $rate logs/s from $sessions sessions", Bench::Report::number($median->(3)),
				(map { Bench::Report::median(@$_) } [ map { $_->[0] - $_->[1] } @runs ], [ map { $_->[2] } @runs ]),
				map { Bench::Report::number($median->($_) / 1000) } 4, 5, 6);
		}
	}
	set_notify($cluster, 'on');
	return;
}

# How many logs the worker has notified.
sub logs_notified
{
	my ($cluster) = @_;
	return $cluster->sql('SELECT logs_notified FROM wflog.stat');
}

# How long the worker takes until it has notified so many logs, in seconds, from
# the end of what comes first; then it is let go.
sub time_until
{
	my ($cluster, $logs, $first, $go) = @_;

	return $cluster->sql(qq{$first;
		SELECT clock_timestamp() AS began \\gset
		$go
		DO \$\$ BEGIN
			WHILE (SELECT logs_notified FROM wflog.stat) < $logs LOOP
				PERFORM pg_sleep(0.005);
			END LOOP;
		END \$\$;
		SELECT extract(epoch FROM clock_timestamp() - :'began');});
}

# What the worker and one listener manage, with nobody writing meanwhile.
sub measure_flood
{
	my ($cluster, $data, $report) = @_;
	my $conninfo = conninfo($cluster);
	my $rows = $report->{quick} ? 20_000 : 400_000;
	my $transactions = $report->{quick} ? 4000 : 40_000;

	set_notify($cluster, 'on');
	register($cluster);
	my @channels = channels($cluster);
	my $listener = start_program($cluster, 'listen', $conninfo, @channels);
	my $written = 0;

	$report->table('what', 'logs', 'logs/s');
	my @seconds = map {
		$written += $rows;
		time_until($cluster, logs_notified($cluster) + $rows, qq{INSERT INTO wflog.workflow_execution_logs (execution_id, message)
			SELECT 'stream-asked-' || 1 + i % $executions, 'Fetched page ' || i FROM generate_series(1, $rows) AS i}, '')
	} 1 .. $report->repetitions;
	$report->row('one transaction, from its commit on', $rows, Bench::Report::number($rows / Bench::Report::median(@seconds)));

	# a backlog: the worker is held while it is written
	for ([ 'single rows', 1, $transactions, single_row('asked') ],
		[ 'batches of 100', 100, $transactions / 20, batch('asked') ])
	{
		my ($what, $size, $count, $script) = @$_;
		@seconds = map {
			my $pid = $cluster->sql('SELECT worker_pid FROM wflog.stat');

			sleep 1;
			kill 'STOP', $pid;
			my $until = logs_notified($cluster) + $size * $count;
			$cluster->pgbench($script, clients => 8, transactions => $count / 8);
			$written += $size * $count;
			time_until($cluster, $until, '', "\\! kill -CONT $pid");
		} 1 .. $report->repetitions;
		$report->row("a backlog of $what", $size * $count,
			Bench::Report::number($size * $count / Bench::Report::median(@seconds)));
	}
	sleep 2;
	my ($notifications) = split q{ }, stop_program($listener);
	die "$written logs were written, $notifications notifications came\n" if $notifications < $written;
	return;
}

return (
	{ name => 'notify', title => 'What notifications cost writers', run => \&measure_notify },
	{ name => 'latency', title => 'From commit to notification', run => \&measure_latency },
	{ name => 'flood', title => 'How fast the worker notifies', run => \&measure_flood });
