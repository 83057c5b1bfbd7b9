# Runs the command, wflog, as users run it: with pipes, or in a pseudo-terminal.

package WflogCommand;

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX ();
use Test::More;
use Time::HiRes ();

use Exporter 'import';
our @EXPORT = qw(wflog wflog_ok wflog_start wflog_until wflog_end wflog_background wflog_terminal have_terminal
  wait_until ids_of);

# Every run connects by the environment, which this sets to a server.
sub use_server
{
	my ($node, $database) = @_;
	$ENV{PGHOST} = $node->host;
	$ENV{PGPORT} = $node->port;
	$ENV{PGDATABASE} = $database // 'postgres';
	delete @ENV{qw(PGAPPNAME PGUSER PGSERVICE PGPASSWORD PGPASSFILE NO_COLOR AUTOKESTRA_LOG_RETENTION_DAYS COLUMNS)};
	$ENV{LC_ALL} = 'C.UTF-8';
	$ENV{TZ} = 'UTC';
	$ENV{TERM} = 'xterm';
	# in the background of a shell they may be ignored, and what we start would, too
	$SIG{INT} = $SIG{HUP} = 'DEFAULT';
	return;
}

# A server of its own with the extension, which every run connects to.
sub new_server
{
	my $node = PostgreSQL::Test::Cluster->new('main');
	$node->init;
	$node->start;
	use_server($node);
	$node->safe_psql('postgres', 'CREATE EXTENSION wflog');
	return $node;
}

# Run it to its end: exit status, stdout, stderr.
sub wflog
{
	my (@arguments) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'wflog', @arguments ], '<', \'', '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	my $status = $?;
	return ($status & 127 ? 128 + ($status & 127) : $status >> 8, $out, $err);
}

# Run it, and fail the test unless it ends with 0 and says nothing; its stdout.
sub wflog_ok
{
	my (@arguments) = @_;
	my ($status, $out, $err) = wflog(@arguments);
	is("$status $err", '0 ', "wflog @arguments") or diag($out);
	return $out;
}

# Run it in the background, its output in files of that folder; returns the pid.
sub wflog_background
{
	my ($dir, @arguments) = @_;
	my $pid = fork // die "cannot fork: $!";

	if ($pid == 0)
	{
		open STDIN, '<', '/dev/null';
		open STDOUT, '>', "$dir/background.out";
		open STDERR, '>', "$dir/background.err";
		exec('wflog', @arguments) or POSIX::_exit(99);
	}
	return $pid;
}

# Test that something comes to be.
sub wait_until
{
	my ($what, $code) = @_;
	my $end = Time::HiRes::time() + $PostgreSQL::Test::Utils::timeout_default;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	until ($code->())
	{
		if (Time::HiRes::time() > $end) { fail("waited in vain: $what"); return; }
		Time::HiRes::sleep(0.02);
	}
	pass($what);
	return;
}

# Begin to run it.
sub wflog_start
{
	my (@arguments) = @_;
	my $run = { out => '', err => '', name => "wflog @arguments" };
	$run->{timer} = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);
	$run->{handle} =
	  IPC::Run::start([ 'wflog', @arguments ], '<', \'', '>', \$run->{out}, '2>', \$run->{err}, $run->{timer});
	return $run;
}

# Let it run until its stdout or stderr matches.
sub wflog_until
{
	my ($run, $stream, $pattern) = @_;
	# it may have run for long already
	$run->{timer}->start;
	eval {
		while ($run->{$stream} !~ $pattern)
		{
			$run->{handle}->pump;
		}
		1;
	} or diag("$run->{name}: $@\nstdout: $run->{out}\nstderr: $run->{err}");
	return ok($run->{$stream} =~ $pattern, "$run->{name}: $pattern");
}

# Let it come to its end, after a signal if one is given; its exit status.
sub wflog_end
{
	my ($run, $signal) = @_;
	$run->{timer}->start;
	$run->{handle}->signal($signal) if $signal;
	eval { $run->{handle}->finish; 1 }
	  or do { diag("$run->{name}: $@\nstdout: $run->{out}\nstderr: $run->{err}"); $run->{handle}->kill_kill };
	my $status = $run->{handle}->full_result(0);
	return $status & 127 ? 128 + ($status & 127) : $status >> 8;
}

# Can a pseudo-terminal be opened?
sub have_terminal
{
	# where there is no devpts, none can be opened; the warnings would say it four times
	local $SIG{__WARN__} = sub { };
	return eval { require IO::Pty; IO::Pty->new or die; 1 };
}

# Run it in a pseudo-terminal so many columns wide; what it has written there,
# and its exit status.  $meanwhile is called with the terminal and what has been
# written so far, whenever something has been, and may write to it.
sub wflog_terminal
{
	my ($columns, $arguments, $meanwhile) = @_;
	my $terminal = IO::Pty->new or die "no pseudo-terminal: $!";
	my $written = '';
	my $until = time + $PostgreSQL::Test::Utils::timeout_default;

	$terminal->slave->set_winsize(24, $columns, 0, 0);
	my $child = fork // die "fork: $!";
	if ($child == 0)
	{
		$terminal->make_slave_controlling_terminal;
		my $slave = $terminal->slave;
		close $terminal;
		open(STDIN, '<&', $slave) && open(STDOUT, '>&', $slave) && open(STDERR, '>&', $slave) or die $!;
		close $slave;
		exec('wflog', @$arguments) or die "exec: $!";
	}
	$terminal->close_slave;
	while (1)
	{
		my $bits = '';
		vec($bits, fileno($terminal), 1) = 1;
		my $ready = select($bits, undef, undef, 1);
		die "$columns columns, @$arguments: does not end; it has written:\n$written" if time > $until;
		next unless $ready && $ready > 0;
		my $read = sysread($terminal, my $piece, 65536);
		last unless $read;
		$written .= $piece;
		$meanwhile->($terminal, $written, $child) if $meanwhile;
	}
	waitpid($child, 0);
	my $status = $?;
	$written =~ s/\r\n/\n/g;
	return ($written, $status & 127 ? 128 + ($status & 127) : $status >> 8);
}

# The values of a field of JSON lines, in order.
sub ids_of
{
	my ($lines, $field) = @_;
	$field //= 'id';
	my @values = $lines =~ /"$field":"([^"]*)"/g;
	return @values;
}

1;
