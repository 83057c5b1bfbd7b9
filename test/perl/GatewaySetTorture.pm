# Streams of several executions and of a workflow while gateway, server, backends
# and clients are killed: at the end each client must have got every committed log
# of each of its executions once, and one end of each, with its total.
#
# Some executions are there all the time; those of the workflow come and go, some of
# them within one transaction.  What is done to all of it: GatewayTorture.

package GatewaySetTorture;

use strict;
use warnings;

use parent 'GatewayTorture';

use Gateway;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# What is written, and how many transactions a second.
my %scripts = (
	log => [ 100, q{
\set e random(1, 4)
\set size random(1, 30)
INSERT INTO wflog.workflow_execution_logs (execution_id, message)
SELECT 'listed' || :e, repeat('m', CASE WHEN :size = 1 THEN 9000 ELSE :size END) FROM generate_series(1, 2);
} ],
	run => [ 15, q{
\set n random(1, 1000000000)
\set pause random(1, 100)
SELECT wflog.start_execution('run' || :n, 'busy');
SELECT wflog.log('run' || :n, 'first');
\sleep :pause ms
SELECT wflog.log('run' || :n, 'last'), wflog.set_execution_status('run' || :n, 'SUCCESS');
} ],
	once => [ 10, q{
\set n random(1, 1000000000)
\set pause random(1, 100)
BEGIN;
SELECT wflog.start_execution('once' || :n, 'busy');
\sleep :pause ms
SELECT wflog.log('once' || :n, 'all'), wflog.set_execution_status('once' || :n, 'SUCCESS');
COMMIT;
} ]);

# Options: node; gateway, its options.
sub new
{
	my ($class, %opt) = @_;
	my $self = bless { kills => 0, gateway_options => $opt{gateway}, %opt }, $class;
	my @listed = map { "listed$_" } 1 .. 4;

	$self->sql("SELECT wflog.start_execution('$_', 'listed', user_id => 'alice')") foreach @listed;
	$self->sql(q{SELECT wflog.start_execution('first', 'busy', user_id => 'alice')});
	$self->{gateway} = Gateway->start(@{ $opt{gateway} });
	$self->{clients} = [ map { { path => "/api/v1/app/logs/stream?$_", got => {}, ended => {} } }
		  (join '&', map { "execution_id=$_" } @listed) x 2, 'execution_id=listed1&execution_id=listed2', ('workflow_id=busy') x 3 ];
	# they are all there when executions begin to come and go
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	$self->serve(0) while time() < $end && grep { $_->{path} =~ /workflow/ && !defined $_->{id} } @{ $self->{clients} };
	$self->{folder} = PostgreSQL::Test::Utils::tempdir();
	append_to_file("$self->{folder}/$_.sql", $scripts{$_}[1]) foreach keys %scripts;
	$self->begin_writing;
	return $self;
}

sub begin_writing
{
	my ($self) = @_;
	$self->{pgbenches} = [ map { IPC::Run::start(
		[ 'pgbench', '-n', '-c', 2, '-T', 86400, '-R', $scripts{$_}[0], '-f', "$self->{folder}/$_.sql", 'postgres' ],
		'<', \'', '>', \my $out, '2>', \my $err) } sort keys %scripts ];
	return;
}

sub end_writing
{
	my ($self, $signal) = @_;
	foreach my $pgbench (@{ $self->{pgbenches} })
	{
		$pgbench->signal($signal);
		eval { $pgbench->finish };
	}
	return;
}

sub take_event
{
	my ($self, $client, $event) = @_;
	my $data = Gateway::data($event);

	push @{ $client->{got}{ $data->{session_id} } }, $data->{data}{id} if $data->{event_type} eq 'LOG';
	push @{ $client->{ended}{ $data->{session_id} } }, $data->{data}{total_logs} if $data->{event_type} eq 'COMPLETE';
	$client->{errors} .= " $data->{session_id} $data->{data}{error_type}" if $data->{event_type} eq 'ERROR';
	$client->{complete} = 1 if $data->{is_final};
	return;
}

# End the executions, let the clients come to the end, and compare.
sub finish
{
	my ($self) = @_;
	my %logged;

	$self->end_writing('TERM');
	$self->wait_for_sessions;
	$self->sql(q{SELECT wflog.set_execution_status(execution_id, 'SUCCESS') FROM wflog.workflow_executions
		WHERE workflow_id IN ('busy', 'listed') AND end_time IS NULL});
	foreach my $line (split /\n/, $self->sql(q{SELECT execution_id, coalesce(string_agg(l.id::text, ' ' ORDER BY l.id), '')
		FROM wflog.workflow_executions e LEFT JOIN wflog.workflow_execution_logs l USING (execution_id)
		WHERE workflow_id IN ('busy', 'listed') GROUP BY 1}))
	{
		my ($execution, $ids) = split /\|/, $line, 2;
		$logged{$execution} = $ids;
	}
	my @runs = grep { !/^listed/ } keys %logged;
	cmp_ok(scalar(@runs), '>', 10, 'there were executions that came and went: ' . @runs);
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	$self->serve(0.2)
	  while time() < $end && grep { $_->{path} =~ /workflow/ ? keys %{ $_->{ended} } < @runs : !$_->{complete} } @{ $self->{clients} };

	foreach my $i (0 .. $#{ $self->{clients} })
	{
		my $client = $self->{clients}[$i];
		my @wanted = $client->{path} =~ /workflow/ ? @runs : $client->{path} =~ /execution_id=(\w+)/g;
		is(join(' ', sort keys %{ $client->{ended} }), join(' ', sort @wanted), "client $i has come to the end of each");
		is(join(' ', grep { join(' ', sort @{ $client->{got}{$_} // [] }) ne $logged{$_} } @wanted), '', 'nothing lost and nothing twice');
		is(join(' ', grep { "@{ $client->{ended}{$_} // [] }" ne split / /, $logged{$_} } @wanted), '', 'each has one end, with its total');
		is($client->{errors}, undef, 'without an error');
		is(join(' ', grep { $_ != 503 } keys %{ $client->{refusals} }), '', 'and was refused only while the database was away');
		$self->cut($client);
	}
	is($self->{gateway}->stop, 0, 'the gateway ends');
	unlike(($self->{said} // '') . $self->{gateway}{run}{err}, qr/stream of .* failed|request .* failed/, 'it had no errors of its own');
	return;
}

1;
