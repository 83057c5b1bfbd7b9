# A temporary cluster, and psql and pgbench on it.
package Bench::Cluster;

use strict;
use warnings;

use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use POSIX ();
use Time::HiRes qw(time);

# Parallel query and autovacuum are off because both make a run on two cores
# differ from the next one; neither side gains or loses by it otherwise.
our @settings = (
	[ listen_addresses                => "''" ],
	[ shared_buffers                  => '2GB' ],
	[ max_wal_size                    => '8GB' ],
	[ checkpoint_timeout              => '30min' ],
	[ jit                             => 'off' ],
	[ wal_compression                 => 'off' ],
	[ fsync                           => 'on' ],
	[ synchronous_commit              => 'on' ],
	[ full_page_writes                => 'on' ],
	[ max_parallel_workers_per_gather => '0' ],
	[ max_parallel_maintenance_workers => '0' ],
	[ autovacuum                      => 'off' ],
	[ maintenance_work_mem            => '512MB' ],
	[ work_mem                        => '16MB' ],
	[ max_connections                 => '450' ],
	[ timezone                        => "'UTC'" ],
	[ 'wflog.retention_days'          => '400' ],
	[ shared_preload_libraries        => "'wflog'" ],
);

sub new
{
	my ($class, %opt) = @_;
	my $self = bless {%opt}, $class;

	$self->{keep} = 1 if $opt{reuse};
	$self->{dir} = $opt{reuse}
	  || tempdir('wflog-bench-XXXXXX', DIR => $opt{dir} || $ENV{TMPDIR} || '/var/tmp');
	$self->{pgdata} = "$self->{dir}/data";
	$self->{running} = 0;
	# What the environment says about servers is about others.
	delete @ENV{qw(PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGSERVICE PGOPTIONS PGDATA)};
	$ENV{LC_ALL} = 'C.UTF-8';
	chdir $self->{dir} or die "cannot enter $self->{dir}: $!\n";
	return $self;
}

sub program { return "$_[0]{bindir}/$_[1]" }

# Run a program; die with what it printed if it fails, else return that.
sub command
{
	my ($self, @command) = @_;
	my $output;
	my $pid = open(my $pipe, '-|') // die "cannot fork: $!\n";

	if ($pid == 0)
	{
		open STDERR, '>&', \*STDOUT;
		exec @command;
		die "cannot run $command[0]: $!\n";
	}
	{ local $/; $output = <$pipe> // q{}; }
	close $pipe;
	die "failed: @command\n$output" if $?;
	return $output;
}

sub start
{
	my ($self) = @_;

	if (!$self->{reuse})
	{
		$self->command($self->program('initdb'), '-D', $self->{pgdata}, '-U', 'postgres',
			'-A', 'trust', '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync');
		open my $conf, '>>', "$self->{pgdata}/postgresql.conf" or die "postgresql.conf: $!\n";
		print $conf "$_->[0] = $_->[1]\n" for @settings;
		print $conf "unix_socket_directories = '$self->{dir}'\n", "include_if_exists 'set.conf'\n";
		close $conf;
	}
	# what this run is to have beside them
	open my $set, '>', "$self->{pgdata}/set.conf" or die "set.conf: $!\n";
	for (@{ $self->{set} || [] })
	{
		my ($name, $value) = split /=/, $_, 2;
		die "\"$_\" is not of the form NAME=VALUE\n" unless defined $value;
		print $set "$name = '", $value =~ s/'/''/gr, "'\n";
	}
	close $set;
	# pg_ctl's output goes to a file: the server would hold a pipe open.
	system($self->program('pg_ctl')
		  . " -D '$self->{pgdata}' -l '$self->{dir}/log' -w -t 120 start >'$self->{dir}/start.log' 2>&1") == 0
	  or die "the server does not start, see $self->{dir}/log:\n" . `tail -20 '$self->{dir}/log'`;
	$self->{running} = 1;
	$self->{owner_pid} = $$;
	($self->{postmaster}) = slurp("$self->{pgdata}/postmaster.pid") =~ /^(\d+)/;
	return;
}

sub stop
{
	my ($self) = @_;

	return if $self->{owner_pid} && $self->{owner_pid} != $$;
	if ($self->{keep} && $self->{running})
	{
		print "\nThe cluster runs on; reach it and end it with\n"
		  . "  " . $self->program('psql') . " -h $self->{dir} -U postgres bench\n"
		  . "  " . $self->program('pg_ctl') . " -D $self->{pgdata} -m fast stop; rm -rf $self->{dir}\n"
		  . "bench/run --reuse $self->{dir} measures on it again (after pg_ctl stop).\n";
		$self->{running} = 0;
		return;
	}
	if ($self->{running})
	{
		$self->{running} = 0;
		system($self->program('pg_ctl')
			  . " -D '$self->{pgdata}' -m immediate -w stop >/dev/null 2>&1");
	}
	chdir '/';
	remove_tree($self->{dir}) if -d $self->{dir} && !$self->{keep};
	return;
}

# Run SQL text; returns what it printed, unaligned and without the last newline.
sub sql
{
	my ($self, $sql, %opt) = @_;
	my $file = "$self->{dir}/sql.$$";

	open my $out, '>', $file or die "$file: $!\n";
	print $out $sql;
	close $out;
	my $result = $self->file($file, %opt);
	unlink $file;
	return $result;
}

# Run a file of SQL.
sub file
{
	my ($self, $file, %opt) = @_;
	my @set = map { ('-v', "$_=$opt{set}{$_}") } sort keys %{ $opt{set} || {} };
	my $result = $self->command($self->program('psql'), '-X', '-q', '-A', '-t', '-F', "\t",
		'-h', $self->{dir}, '-U', $opt{user} || 'postgres', '-v', 'ON_ERROR_STOP=1', @set,
		'-f', $file, $opt{db} || 'bench');

	chomp $result;
	return $result;
}

# The error a statement fails with.
sub error
{
	my ($self, $sql) = @_;
	my $result = eval { $self->sql($sql); 1 };

	return $result ? 'no error' : $@ =~ /(ERROR:[^\n]*)/ ? $1 : $@;
}

# Run several pieces of code at once, each in a process of its own.
sub parallel
{
	my ($self, @code) = @_;
	my @pids;

	for my $code (@code)
	{
		my $pid = fork // die "cannot fork: $!\n";
		if ($pid == 0)
		{
			my $done = eval { $code->(); 1 };
			print STDERR $@ unless $done;
			POSIX::_exit($done ? 0 : 1);
		}
		push @pids, $pid;
	}
	my $failed = 0;
	for my $pid (@pids)
	{
		waitpid $pid, 0;
		$failed ||= $?;
	}
	die "a parallel step failed\n" if $failed;
	return;
}

# Run a statement alone in a session and return what it cost: wall and CPU
# seconds of the backend, bytes of WAL.
sub cost
{
	my ($self, $statement, %opt) = @_;
	my $probe = q{SELECT extract(epoch FROM clock_timestamp()),
	  split_part(pg_read_file('/proc/self/schedstat'), ' ', 1),
	  pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0');};
	my @lines = split /\n/, $self->sql("$probe\n\\o /dev/null\n$statement;\n\\o\n$probe\n", %opt);
	my @before = split /\t/, $lines[0];
	my @after = split /\t/, $lines[-1];

	return {
		wall => $after[0] - $before[0],
		cpu  => ($after[1] - $before[1]) / 1e9,
		wal  => $after[2] - $before[2],
	};
}

sub slurp
{
	my ($file) = @_;
	open my $in, '<', $file or die "$file: $!\n";
	local $/;
	return scalar <$in>;
}

# Processes of the server.
sub children
{
	my ($self) = @_;
	return scalar split q{ }, slurp("/proc/$self->{postmaster}/task/$self->{postmaster}/children");
}

# Count the processes that are there when nobody is connected.
sub count_idle
{
	my ($self) = @_;

	$self->quiesce;
	sleep 1;
	$self->{idle_children} = $self->children;
	return;
}

# CPU seconds of all backends that have ended, as the postmaster counts them;
# waits until it has seen the end of every session.
sub ended_cpu
{
	my ($self) = @_;

	for (1 .. 100)
	{
		last if $self->children <= $self->{idle_children};
		select undef, undef, undef, 0.02;
	}
	my $stat = slurp("/proc/$self->{postmaster}/stat");
	$stat =~ s/.*\) //s;
	my @field = split q{ }, $stat;
	return ($field[13] + $field[14]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# Wait until wflog's processes have notified and folded all that was written, so
# that what one side has left to them does not take the other's time.
sub quiesce
{
	my ($self) = @_;
	my $end = time + 900;
	my $idle = $self->{held} ? 2 : 0;

	while ($idle < 2)
	{
		my $left = $self->sql('SELECT queue_depth + fold_hints FROM wflog.stat');
		$idle = $left eq '0' || $left eq '' ? $idle + 1 : 0;
		die "wflog does not come to rest: $left\n" if time > $end;
		select undef, undef, undef, 0.1;
	}
	return;
}

# The process of a kind that works for the database, such as 'keeper'.
sub pid_of
{
	my ($self, $kind) = @_;
	return $self->sql("SELECT ${kind}_pid FROM wflog.stat");
}

# Run code while the keeper does nothing.
sub without_keeper
{
	my ($self, $code) = @_;
	my $keeper = $self->pid_of('keeper');

	kill 'STOP', $keeper or die "cannot stop process $keeper: $!\n";
	local $self->{held} = 1;
	my $done = eval { $code->(); 1 };
	my $error = $@;
	kill 'CONT', $keeper;
	die $error unless $done;
	return;
}

# CPU seconds that a process has used.
sub cpu_of
{
	my ($pid) = @_;
	return (split q{ }, slurp("/proc/$pid/schedstat"))[0] / 1e9;
}

# Run a pgbench script.  Options: clients, transactions (each client's) or
# seconds, user, mode, set, skip.  Returns the median latency in ms, transactions per second,
# and transactions per second of CPU time of the backends.
sub pgbench
{
	my ($self, $script, %opt) = @_;
	my $clients = $opt{clients} || 1;
	my $file = "$self->{dir}/script.sql";

	open my $out, '>', $file or die "$file: $!\n";
	print $out $script;
	close $out;
	unlink glob "$self->{dir}/latency.*";
	my @set = map { ('-D', "$_=$opt{set}{$_}") } sort keys %{ $opt{set} || {} };
	my $cpu = $opt{transactions} ? $self->ended_cpu : 0;
	my $printed = $self->command($self->program('pgbench'), '-n', '-h', $self->{dir},
		'-U', $opt{user} || 'postgres', '-M', $opt{mode} || 'prepared', '-c', $clients,
		'-j', $clients > 1 ? 2 : 1, $opt{seconds} ? ('-T', $opt{seconds}) : ('-t', $opt{transactions}), @set, '-f', $file,
		'-l', '--log-prefix', "$self->{dir}/latency", 'bench');
	my ($tps) = $printed =~ /^tps = ([\d.]+)/m or die "pgbench printed:\n$printed";
	$cpu = $self->ended_cpu - $cpu if $opt{transactions};
	die "pgbench lost transactions:\n$printed" if $printed =~ /number of failed transactions: [1-9]/;

	# client, number, microseconds, ...: the first few fill caches
	my @latencies;
	for my $log (glob "$self->{dir}/latency.*")
	{
		open my $in, '<', $log or die "$log: $!\n";
		while (my $line = <$in>)
		{
			my @field = split q{ }, $line;
			push @latencies, $field[2] / 1000 if $field[1] >= ($opt{skip} // 1);
		}
	}
	@latencies = sort { $a <=> $b } @latencies;
	return {
		tps     => $tps,
		cpu_tps => $cpu > 0 && $opt{transactions} ? $clients * $opt{transactions} / $cpu : undef,
		ms      => $latencies[ $#latencies / 2 ],
	};
}

1;
