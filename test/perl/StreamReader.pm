# A client that follows an execution with tail(): keeps its cursor and what it
# has got, and dies when something comes twice.

package StreamReader;

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

# A reader of an execution that has read nothing yet.
sub new
{
	my ($class, $execution, $database) = @_;
	return bless {
		execution => $execution,
		database => $database // 'postgres',
		cursor => undef,
		delivered => {},
		order => []
	}, $class;
}

# One that stands where this one does.
sub clone
{
	my ($self) = @_;
	return bless {
		%$self,
		delivered => { %{ $self->{delivered} } },
		order => [ @{ $self->{order} } ]
	}, ref $self;
}

# Read a page on a server, of which only the first $keep logs arrive.  Returns
# how many did, or undef after an error, whose SQLSTATE is then in {error}.
sub read
{
	my ($self, $node, $max_rows, $keep) = @_;
	my $cursor = defined $self->{cursor} ? "'$self->{cursor}'" : 'NULL';
	my ($status, $out, $err) = $node->psql(
		$self->{database},
		"SELECT t.cursor || ' ' || (t.log->>'message') FROM wflog.tail('$self->{execution}', $cursor, $max_rows) t",
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	if ($status)
	{
		($self->{error}) = $err =~ /ERROR:\s+(\w{5}): / or die "tail() failed: $err";
		$self->{message} = $err;
		return;
	}
	my @logs = split /\n/, $out;
	splice @logs, $keep if defined $keep;
	foreach my $log (@logs)
	{
		my ($next, $message) = split / /, $log, 2;
		die "log \"$message\" of $self->{execution} was delivered twice\n"
		  if exists $self->{delivered}{$message};
		$self->{delivered}{$message} = @{ $self->{order} };
		push @{ $self->{order} }, $message;
		$self->{cursor} = $next;
	}
	return scalar @logs;
}

# Read to the end by pages of random sizes; undef after an error.
sub drain
{
	my ($self, $node) = @_;
	for (;;)
	{
		my $arrived = $self->read($node, 1 + int(rand(20)));
		return unless defined $arrived;
		return 1 if $arrived == 0;
	}
}

# The logs that the server has.
sub logs_of
{
	my ($self, $node) = @_;
	return split /\n/, $node->safe_psql($self->{database},
		"SELECT message FROM wflog.workflow_execution_logs WHERE execution_id = '$self->{execution}'");
}

# Those of them that have not been delivered.
sub missing
{
	my ($self, $node) = @_;
	return grep { !exists $self->{delivered}{$_} } $self->logs_of($node);
}

# Those that have been delivered and that the server has not.
sub vanished
{
	my ($self, $node) = @_;
	my %there = map { $_ => 1 } $self->logs_of($node);
	return grep { !$there{$_} } @{ $self->{order} };
}

# Read to the end; then the reader has all that is there, and nothing else.
sub drained_ok
{
	my ($self, $node, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $done = eval { $self->drain($node) };
	return ok($done, $name) || diag($@ || $self->{message}) unless $done;
	my @missing = $self->missing($node);
	my @vanished = $self->vanished($node);
	return ok(!@missing && !@vanished, $name)
	  || diag("missing: @missing\nnot there: @vanished");
}

1;
