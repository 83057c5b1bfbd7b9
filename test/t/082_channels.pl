# Who may know a channel: for real logins, owners, writers, gateways.  An owner
# change moves it and tells the old listeners; the gateway's channel is told
# to gateways only, and carries what they ask for, in batches; what a listener
# gets comes from the worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

BEGIN
{
	eval { require DBD::Pg; 1 } or plan skip_all => 'DBD::Pg is not there (Debian: libdbd-pg-perl)';
}
use StreamClient;
use WflogNode;

my $node = new_node('channels', 'max_connections = 40');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION wflog;
CREATE ROLE alice LOGIN IN ROLE wflog_reader;
CREATE ROLE bob LOGIN IN ROLE wflog_reader;
CREATE ROLE nobody LOGIN;
CREATE ROLE writer LOGIN IN ROLE wflog_writer;
CREATE ROLE admin LOGIN IN ROLE wflog_admin;
CREATE ROLE gate LOGIN IN ROLE wflog_gateway;
CREATE ROLE super LOGIN SUPERUSER;
SELECT wflog.start_execution('a1', 'wa', user_id => 'alice');
SELECT wflog.start_execution('b1', 'wb', user_id => 'bob');
SELECT wflog.start_execution('n1', 'wn');
SELECT wflog.log('loose', 'of no registered execution');
SQL
wait_for_workers($node, 'there is a worker', 'postgres');

my %connection = map { $_ => StreamClient::connection($node, user => $_) }
  qw(alice bob nobody writer admin gate super);

# A query's value, or its SQLSTATE.
sub ask
{
	my ($who, $query, $claims) = @_;
	my $connection = $connection{$who};
	$connection->do("SELECT set_config('request.jwt.claims', ?, false)", undef, $claims // '');
	my $answer = eval { scalar $connection->selectrow_array($query) };
	return defined $answer ? $answer : $@ ? $connection->state : undef;
}

# ---- who may know ----

my %channel = map { $_ => ask('super', "SELECT wflog.channel('$_')") } qw(a1 b1 n1 loose);
like($channel{$_}, qr/^wflog_[A-Za-z0-9_-]{24}$/, "the channel of $_") foreach sort keys %channel;
is(scalar keys %{ { map { $_ => 1 } values %channel } }, 4, 'all are different');
isnt(ask('super', q(SELECT wflog.workflow_channel('wa'))), $channel{a1}, 'a workflow has another');

my $alice = '{"sub": "alice"}';
foreach my $case (
	[ alice => a1 => 1 ], [ alice => b1 => 0 ], [ alice => n1 => 0 ], [ alice => loose => 0 ], [ alice => missing => 0 ],
	[ bob => a1 => 0 ], [ writer => a1 => 1 ], [ writer => loose => 1 ], [ admin => b1 => 1 ], [ writer => missing => 0 ],
	[ gate => a1 => 0 ], [ gate => a1 => 1, $alice ], [ gate => b1 => 0, $alice ],
	[ gate => b1 => 1, '{"role": "service_role"}' ])
{
	my ($who, $execution, $may, $claims) = @$case;
	is(ask($who, "SELECT wflog.channel('$execution')", $claims), $may ? $channel{$execution} : 'P0002',
		"$who" . ($claims ? " with $claims" : '') . ($may ? ' knows' : ' does not know') . " the channel of $execution");
}
is(ask('nobody', q(SELECT wflog.channel('a1'))), '42501', 'who has no role of ours may not ask');
is(ask('alice', q(SELECT wflog.workflow_channel('wa'))), ask('super', q(SELECT wflog.workflow_channel('wa'))), 'the owner knows a workflow\'s');
is(ask('alice', q(SELECT wflog.workflow_channel('wb'))), 'P0002', 'and no other\'s');
is(ask('alice', q(SELECT wflog.gateway_channel())), '42501', 'a reader does not know the gateway\'s');
is(ask('writer', q(SELECT wflog.gateway_channel())), '42501', 'nor a writer');
is(ask('super', q(SELECT wflog.gateway_channel())), '42501', 'nor a superuser, who is no gateway unless made one');
like(ask('gate', q(SELECT wflog.gateway_channel())), qr/^wflog_[A-Za-z0-9_-]{24}$/, 'a gateway does, without claims');
is(ask('gate', q(SELECT wflog.gateway_channel('b1')), $alice), 'P0002', 'but adds nothing that who asks may not read');
is(ask('gate', q(SELECT wflog.gateway_channel(NULL, 'wb')), $alice), 'P0002', 'no workflow either');

# the tables' policies hold for who knows the name only of somebody else's
is(ask('alice', q(SELECT count(*) FROM wflog.secrets)), '42501', 'keys cannot be read');

# ---- an owner change ----

my $old = StreamClient->new($node, 'a1', user => 'alice')->start;
my $admin = StreamClient->new($node, 'a1', user => 'admin')->start;
is($old->{channel}, $channel{a1}, 'before');
ask('super', q(SELECT wflog.log('a1', 'hers')));
ok($old->wait_for('hers'), 'the owner hears');
ask('super', q(UPDATE wflog.workflows SET user_id = 'bob' WHERE id = 'wa' RETURNING id));
is(ask('alice', q(SELECT wflog.channel('a1'))), 'P0002', 'no more the owner');
isnt(ask('bob', q(SELECT wflog.channel('a1'))), $channel{a1}, 'a new owner, a new channel');
my $moved = $old->wait_for_event('moved');
is($moved && $moved->{event}{execution_id}, 'a1', 'listeners of the old channel are told, without any log');
my $new = StreamClient->new($node, 'a1', user => 'bob')->start;
ask('super', q(SELECT wflog.log('a1', 'his')));
ok($new->wait_for('his'), 'the new owner hears');
$old->poll;
ok(!(grep { $_->{text} =~ /his/ } @{ $old->{payloads} }), 'the old one does not');
ok($admin->wait_for_event('moved'), 'an admin is told to ask again');
$admin->stop->start;
is($admin->{channel}, $new->{channel}, 'and gets the new one');
$admin->complete_ok('with everything');

# changed behind the triggers' back, as replication does
ask('super', q(SET session_replication_role = replica));
ask('super', q(UPDATE wflog.workflows SET user_id = 'carol' WHERE id = 'wa' RETURNING id));
ask('super', q(SET session_replication_role = origin));
Time::HiRes::sleep(1.2);
ask('super', q(SELECT wflog.log('a1', 'hers, carol is')));
ok($new->wait_for_event('moved'), 'a change that no trigger has seen is noticed within a second');
$new->poll;
ok(!(grep { $_->{text} =~ /carol/ } @{ $new->{payloads} }), 'before anything is told');

# an execution that is registered when it has been listened to for long
my $loose = StreamClient->new($node, 'loose', user => 'writer')->start;
ask('super', q(SELECT wflog.start_execution('loose', 'wb')));
ok($loose->wait_for_event('moved'), 'registration moves the channel');

# ---- the gateway's channel ----

my $gate = StreamClient::connection($node, user => 'gate');
my $gateway = $gate->selectrow_array('SELECT wflog.gateway_channel()');
$gate->do(qq(LISTEN "$gateway"));
my @batches;

# The events of a kind on the gateway's channel, until there are that many.
sub gateway_events
{
	my ($count, $seconds) = @_;
	my $end = time() + ($seconds // $PostgreSQL::Test::Utils::timeout_default);
	my @events;
	do
	{
		while (my $notification = $gate->pg_notifies)
		{
			my $batch = decode_json($notification->[2]);
			push @batches, { %$batch, pid => $notification->[1], bytes => length $notification->[2] };
			push @events, @{ $batch->{events} };
		}
		Time::HiRes::sleep(0.002);
	} until @events >= $count || time() > $end;
	return @events;
}

# others have asked for it: when they have been told, the gateway comes too late for it
my $notified = ask('super', 'SELECT logs_notified FROM wflog.stat');
ask('super', q(SELECT wflog.log('b1', 'not asked for by the gateway')));
ok(wait_for($node, 'postgres', "SELECT logs_notified > $notified FROM wflog.stat", 't'), 'a log before the gateway asks');
ask('gate', q(SELECT wflog.gateway_channel('b1')), '{"sub": "bob"}');
ask('super', q(SELECT count(wflog.log('b1', 'g' || i)) FROM generate_series(1, 100) i));
my @events = gateway_events(100);
is(join(' ', map { $_->{log}{message} } @events), join(' ', map { "g$_" } 1 .. 100), 'all logs of a transaction, in order');
cmp_ok(scalar @batches, '<', 20, 'in few notifications: ' . @batches);
is(scalar(grep { $_->{bytes} > 7999 } @batches), 0, 'none of which is too long');
is_deeply([ sort keys %{ $events[0] } ], [ qw(cursor execution_id kind log) ], 'an event has no batch of its own');
is(scalar(grep { $_->{batch} ne $batches[0]{batch} || $_->{prev} ne $batches[0]{prev} } @batches), 0, 'one batch, one prev');
is($batches[0]{pid}, ask('super', 'SELECT worker_pid FROM wflog.stat'), 'from the worker');
my $last = $batches[-1];
is(ask('super', "SELECT count(*) FROM wflog.tail('b1', '$events[49]{cursor}')"), 50, 'an event\'s cursor goes on behind it');
@batches = ();
ask('gate', q(SELECT wflog.channel('n1')), '{"role": "service_role"}');
ask('super', q(SELECT wflog.log('n1', 'by channel()')));
@events = gateway_events(1);
is($events[0]{execution_id}, 'n1', 'channel() in a gateway\'s session adds an execution');
is($batches[0]{prev}, $last->{batch}, 'the batches of the gateway are a chain');
ask('super', q(SELECT wflog.log('n1', repeat('x', 8500))));
@events = gateway_events(1);
is($events[0]{kind}, 'reference', 'what does not fit is a reference');
ask('gate', q(SELECT wflog.gateway_channel(NULL, 'wb')), '{"sub": "bob"}');
ask('super', q(SELECT wflog.start_execution('b2', 'wb')));
ask('super', q(SELECT wflog.log('b2', 'not asked for')));
ask('super', q(SELECT wflog.set_execution_status('b2', 'SUCCESS')));
@events = gateway_events(3);
is(join(' ', map { "$_->{kind} $_->{execution_id}" } @events), 'start b2 status b2 end b2', 'a workflow');

# the owner changes when the gateway has asked, and the worker has not heard of it
ask('super', q(SELECT wflog.start_execution('b3', 'wb3', user_id => 'bob')));
ok(wait_for($node, 'postgres', 'SELECT queue_depth = 0 FROM wflog.stat', 't'), 'the worker has nothing to do');
my $worker = ask('super', 'SELECT worker_pid FROM wflog.stat');
kill 'STOP', $worker;
ask('gate', q(SELECT wflog.gateway_channel('b3', 'wb3')), '{"sub": "bob"}');
ask('super', q(UPDATE wflog.workflows SET user_id = 'alice' WHERE id = 'wb3' RETURNING id));
kill 'CONT', $worker;
@events = gateway_events(1);
is(join(' ', map { "$_->{kind} $_->{execution_id}" } @events), 'moved b3', 'the gateway is told of an owner who has changed meanwhile');

# an id for which there is no room makes all count as asked for: the worker knows not whom to tell
my $long = "\N{U+20AC}" x 100;
is(ask('super', "SELECT octet_length('$long') + 0 * length(wflog.start_execution('$long', 'wl', user_id => 'bob')::text)"), 300, 'a long id');
ask('gate', "SELECT wflog.gateway_channel('$long')", '{"sub": "bob"}');
ask('super', q(UPDATE wflog.workflows SET user_id = 'alice' WHERE id = 'wl' RETURNING id));
my $told = 0;
my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
until ($told || time() > $end)
{
	while (my $notification = $gate->pg_notifies)
	{
		# characters, where the id is one of its events
		my $batch = JSON::PP->new->decode($notification->[2]);
		$told = 1 if !@{ $batch->{events} } && !defined $batch->{prev};
	}
	Time::HiRes::sleep(0.002);
}
ok($told, 'then the gateway is told that it has missed something, and asks for all anew');

is(log_errors($node), '', 'no process of ours had an error');
$_->disconnect foreach values %connection, $gate;
$_->stop foreach $old, $admin, $new, $loose;
$node->stop;
done_testing();
