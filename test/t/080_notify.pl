# What is notified: fields and their order, kinds, batches and prev, cursors
# from which the stream goes on exactly, references for what is too long or by
# setting, scope, off, and notifications from the writing transaction.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Encode qw(encode_utf8 decode_utf8);
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

my $node = new_node('notify');
$node->safe_psql('postgres', 'CREATE EXTENSION wflog');
wait_for_workers($node, 'there is a worker', 'postgres');
my $writer = StreamClient::connection($node);

sub value { return scalar $writer->selectrow_array(@_) }

# The keys of a JSON object in their order, one level deep.
sub keys_of
{
	my ($text) = @_;
	my ($depth, $string, @keys) = (0, 0);
	while ($text =~ /\G("(?:[^"\\]|\\.)*"\s*(:)?|[\[{]|[\]}]|[^"\[\]{}]+)/g)
	{
		my ($token, $colon) = ($1, $2);
		$depth++ if $token =~ /^[\[{]$/;
		$depth-- if $token =~ /^[\]}]$/;
		push @keys, $token =~ /^"(.*)"/ if $colon && $depth == 1;
	}
	return join ' ', @keys;
}

# Wait for that many notifications.
sub notifications
{
	my ($client, $count) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	while (@{ $client->{payloads} } < $count && time() <= $end)
	{
		$client->poll or Time::HiRes::sleep(0.002);
	}
	return $client->payloads;
}

$writer->do("SELECT wflog.start_execution('e', 'w')");
# or its status may be told to who has asked after it
$node->poll_query_until('postgres', 'SELECT queue_depth = 0 FROM wflog.stat') or die 'the queue is not read';
my $client = StreamClient->new($node, 'e')->start;
my $worker = value('SELECT worker_pid FROM wflog.stat');

# ---- a log ----

my $id = value(q(SELECT wflog.log('e', 'one "quoted"', data => '{"a": [1, 2]}', level => 'warn')));
my ($first) = notifications($client, 1);
is(keys_of($first->{text}), 'v kind execution_id batch prev cursor log', 'a log: fields and their order');
is($first->{pid}, $worker, 'the worker notifies');
is($first->{channel}, $client->{channel}, 'on the channel');
is($first->{event}{v}, 1, 'version');
is($first->{event}{execution_id}, 'e', 'execution');
like($first->{event}{batch}, qr/^[0-9a-f]{12}-[0-9a-f]{12}$/, 'a batch is of fixed width');
my ($cursor, $log) = $writer->selectrow_array(q(SELECT "cursor", log FROM wflog.tail('e')));
is($first->{text} =~ /"log":(.*)\}$/ ? $1 : '', $log, 'the log is as tail() gives it, to the letter');
is($first->{event}{log}{id}, $id, 'and the one that was written');

# ---- batches ----

$writer->do(q(BEGIN; SELECT wflog.log('e', 'b1'); SAVEPOINT s; SELECT wflog.log('e', 'gone'); ROLLBACK TO s;
	SELECT wflog.log('e', 'b2'); SELECT wflog.log('e', 'b3'); COMMIT));
my @batch = notifications($client, 3);
is(join(' ', map { $_->{event}{log}{message} } @batch), 'b1 b2 b3', 'a transaction in its order, without what was rolled back');
is(scalar(grep { $_->{event}{batch} eq $batch[0]{event}{batch} } @batch), 3, 'is one batch');
is(scalar(grep { $_->{event}{prev} eq $first->{event}{batch} } @batch), 3, 'whose prev is the batch before');
cmp_ok($batch[0]{event}{batch}, 'gt', $first->{event}{batch}, 'batches rise');
$writer->do(q(BEGIN; SELECT wflog.log('e', 'never'); ROLLBACK));
$writer->do(q(SELECT wflog.log('e', 'after'); SELECT wflog.log('other', 'of another')));
my ($after) = notifications($client, 1);
is($after->{event}{log}{message}, 'after', 'what is rolled back or of another execution is not notified');
is($after->{event}{prev}, $batch[0]{event}{batch}, 'nor does it break the chain');

# ---- cursors ----

my @all = map { $_->[0] } @{ $writer->selectall_arrayref(q(SELECT log->>'technical_message' FROM wflog.tail('e'))) };
foreach my $notification ($first, @batch, $after)
{
	my $message = $notification->{event}{log}{technical_message};
	my @rest = map { $_->[0] } @{ $writer->selectall_arrayref(
		q(SELECT log->>'technical_message' FROM wflog.tail('e', ?)), undef, $notification->{event}{cursor}) };
	my ($at) = grep { $all[$_] eq $message } 0 .. $#all;
	is_deeply(\@rest, [ @all[ $at + 1 .. $#all ] ], "tail() goes on exactly behind \"$message\"");
}

# ---- what tail() says of batches ----

# it waits for the worker for a moment only
sub tail_says
{
	my ($query, $wanted, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(wait_for($node, 'postgres', $query, $wanted), $name);
}
tail_says(q(SELECT max(batch) FROM wflog.tail('e')), $after->{event}{batch}, 'tail() covers the last batch');
tail_says(q(SELECT count(batch) FROM wflog.tail('e')), 1, 'which stands on its last row');
is(value(q(SELECT count(batch) FROM wflog.tail('e', max_rows => 3))), 0, 'a page that is not the last covers none');
tail_says(q(SELECT count(batch) FROM wflog.tail('e', max_rows => 5)), 1, 'a full one that is the last does');
is(value(q(SELECT count(batch) FROM wflog.tail('other'))), 0, 'an execution nobody has asked for has none');
# not once too long, unless the machine is slow
my ($fresh, $covered) = (0, undef);
until (defined $covered || $fresh == 5)
{
	$writer->do(q(SELECT wflog.log('e', 'fresh')));
	$fresh++;
	$covered = value(q(SELECT max(batch) FROM wflog.tail('e')));
}
cmp_ok($covered, 'gt', $after->{event}{batch}, 'tail() waits for the batch of what it delivers');
is(value(q(SELECT count(*) FROM wflog.tail('e') WHERE log->>'message' = 'fresh')), $fresh, 'and delivers what was committed before it');
notifications($client, $fresh);
my $there = 5 + $fresh;
$writer->do('BEGIN ISOLATION LEVEL REPEATABLE READ');
is(value(q(SELECT count(*) FROM wflog.tail('e'))), $there, 'in REPEATABLE READ');
$node->safe_psql('postgres', q(SELECT wflog.log('e', 'later')));
notifications($client, 1);
is(value(q(SELECT count(*) || ' ' || count(batch) FROM wflog.tail('e'))), "$there 0",
	'a batch beyond the snapshot is not claimed');
$writer->do('COMMIT');

# ---- status and end ----

$client->payloads;
my $workflow_channel = value(q(SELECT wflog.workflow_channel('w')));
$client->{listener}->do(qq(LISTEN "$workflow_channel"));
$writer->do(q(SELECT wflog.set_execution_status('e', 'PAUSED')));
my @status = sort { ($a->{channel} ne $client->{channel}) <=> ($b->{channel} ne $client->{channel}) } notifications($client, 2);
is(keys_of($status[0]{text}), 'v kind execution_id batch prev status previous timestamp workflow_id', 'a status: fields');
is("$status[0]{event}{kind} $status[0]{event}{previous} $status[0]{event}{status}", 'status RUNNING PAUSED', 'and what they say');
is($status[1]{channel}, $workflow_channel, 'the workflow hears of it too');
$writer->do(q(BEGIN; SELECT wflog.log('e', 'last'); SELECT wflog.set_execution_status('e', 'SUCCESS'); COMMIT));
my @end = grep { $_->{channel} eq $client->{channel} } notifications($client, 5);
is(join(' ', map { $_->{event}{kind} } @end), 'log status end', 'the end comes after the logs');
is(keys_of($end[2]{text}), 'v kind execution_id batch prev status total_logs timestamp workflow_id', 'an end: fields');

# asked for, and over before the worker has got round to it
$writer->do("SELECT wflog.start_execution('short', 'brief'), wflog.log('short', 'all there is')");
$node->poll_query_until('postgres', 'SELECT queue_depth = 0 FROM wflog.stat') or die 'the queue is not read';
kill 'STOP', $worker;
my $short = StreamClient->new($node, 'short')->start;
$writer->do("SELECT wflog.set_execution_status('short', 'SUCCESS')");
kill 'CONT', $worker;
ok($short->wait_for_event('end'), 'who has asked before the end is told it, even if the worker hears of both at once');
$short->stop;
is($end[2]{event}{total_logs}, value(q(SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id = 'e')), 'the total');
$writer->do(q(SELECT wflog.start_execution('e2', 'w')));
my ($start) = notifications($client, 1);
is(keys_of($start->{text}), 'v kind execution_id batch prev status timestamp workflow_id', 'a start: fields');
is("$start->{event}{kind} $start->{event}{execution_id} $start->{event}{workflow_id}", 'start e2 w', 'and what they say');
is_deeply([ map { "$_->{kind} $_->{status}" } @{ $client->{statuses} } ],
	[ 'status PAUSED', 'status PAUSED', 'status SUCCESS', 'status SUCCESS', 'end SUCCESS', 'end SUCCESS' ],
	'all changes of status') or diag(explain($client->{statuses}));

# ---- length, in bytes ----

$client = StreamClient->new($node, 'e')->start;
my ($longest, $reference) = (0, 0);
foreach my $text ('ä', '€', '😀', '"', "\x01", 'x')
{
	# near the limit, one character more each time
	my $bytes = length(encode_utf8($text)) * ($text eq '"' ? 2 : $text eq "\x01" ? 6 : 1);
	my $near = int(3650 / $bytes);
	foreach my $count (map { $near + $_ } 0 .. 4)
	{
		$writer->do(q(SELECT wflog.log('e', ?)), undef, $text x $count);
	}
}
my @long = notifications($client, 30);
foreach my $notification (@long)
{
	my $bytes = length $notification->{text};
	$bytes = length encode_utf8($notification->{text}) if utf8::is_utf8($notification->{text});
	fail("a payload of $bytes bytes") if $bytes > 7999;
	$longest = $bytes if $bytes > $longest;
	$reference++ if $notification->{event}{kind} eq 'reference';
}
cmp_ok($longest, '<=', 7999, "no payload is too long ($longest bytes)");
$writer->do(q(SELECT wflog.log('e', repeat('ä', 1) || ?)), undef, 'x' x $_ x 1) foreach map { 3680 + $_ * 4 } 0 .. 60;
my @edge = notifications($client, 61);
my @full = grep { $_->{event}{kind} eq 'log' } @edge;
my @references = grep { $_->{event}{kind} eq 'reference' } @edge;
ok(@full && @references, 'near the limit there are logs and references: ' . @full . ' and ' . @references);
my ($largest) = sort { $b <=> $a } map { length encode_utf8(decode_utf8(encode_utf8($_->{text}))) } @full;
cmp_ok($largest, '>', 7999 - 40, "the limit is used: $largest bytes");
cmp_ok($largest, '<=', 7999, 'and kept');
is(keys_of($references[0]{text}), 'v kind execution_id batch prev cursor id', 'a reference: fields');
is(value(q(SELECT length(message) > 3600 FROM wflog.workflow_execution_logs WHERE id = ?), undef, $references[0]{event}{id}), 1,
	'whose id is the log\'s');
$client->complete_ok('who gets references has everything all the same');

# ---- settings ----

sub setting
{
	my ($setting) = @_;
	$node->append_conf('postgresql.conf', "$setting\n");
	$node->reload;
	return;
}

setting('wflog.notify_payload = reference');
my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
my $got;
do
{
	$writer->do(q(SELECT wflog.log('e', 'referred to')));
	($got) = reverse notifications($client, 1);
} until $got->{event}{kind} eq 'reference' || time() > $end;
is($got->{event}{kind}, 'reference', 'reference mode');
ok(!exists $got->{event}{log}, 'without the log');
$client->complete_ok('and everything comes');
setting('wflog.notify_payload = full');

# all executions: the channel's name need not be asked for, if one knows it
$writer->do(q(SELECT wflog.start_execution('unasked', 'w')));
my $unasked = value(q(SELECT wflog.channel('unasked')));
$node->restart;
wait_for_workers($node, 'after a restart', 'postgres');
$writer = StreamClient::connection($node);
my $knower = StreamClient::connection($node);
$knower->do(qq(LISTEN "$unasked"));
$writer->do(q(SELECT wflog.log('unasked', 'not notified')));
setting('wflog.notify_scope = all');
wait_for($node, 'postgres', 'SELECT scope FROM wflog.stat', 'all');
my $notification;
$end = time() + $PostgreSQL::Test::Utils::timeout_default;
$writer->do(q(SELECT wflog.log('unasked', 'notified')));
until (($notification = $knower->pg_notifies) || time() > $end) { Time::HiRes::sleep(0.01) }
is($notification && decode_json($notification->[2])->{log}{message}, 'notified', 'scope all, and nothing before it');
setting('wflog.notify_scope = asked');
wait_for($node, 'postgres', 'SELECT scope FROM wflog.stat', 'asked');

# off, and on again: listeners learn that they have missed something
$client = StreamClient->new($node, 'e')->start;
setting('wflog.notify = off');
$writer->do(q(SELECT wflog.log('e', 'to nudge')));
wait_for($node, 'postgres', 'SELECT scope FROM wflog.stat', 'none');
$writer->do(q(SELECT wflog.log('e', 'missed')));
my $off = StreamClient::connection($node);
my $warned = '';
$off->{PrintWarn} = 1;
local $SIG{__WARN__} = sub { $warned .= "@_" };
$off->do(q(SELECT wflog.channel('e')));
like($warned, qr/nothing will be notified, because wflog\.notify is off/, 'off: channel() warns');
is(value(q(SELECT count(batch) FROM wflog.tail('e'))), 0, 'and tail() covers no batch');
Time::HiRes::sleep(0.3);
$client->poll;
ok(!(grep { $_ eq 'missed' } @{ $client->{messages} }), 'nothing is notified');
setting('wflog.notify = on');
ok($client->wait_for('missed'), 'on again: listeners read what they have missed, without another log');
$client->complete_ok('and all else');

# ---- from the writing transaction, without preload ----

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\nwflog.notify = transaction\n");
$_->disconnect foreach $writer, $knower, $off;
$client->stop;
$node->restart;
$writer = StreamClient::connection($node);
$client = StreamClient->new($node, 'e2')->start;
is(scalar @{ $client->{messages} }, 0, 'transaction: nothing yet');
$writer->do(q(BEGIN; SELECT wflog.log('e2', 't1'); SELECT wflog.log('e2', 't2'); SAVEPOINT s;
	SELECT wflog.set_execution_status('e2', 'PAUSED'); ROLLBACK TO s; SELECT wflog.log('other', 'x'); COMMIT));
ok($client->wait_for('t2'), 'a reference tells, and tail() gives the logs');
my @told = $client->payloads;
is(scalar @told, 1, 'one for each execution');
is($told[0]{text}, '{"v":1,"kind":"reference","execution_id":"e2","batch":null,"prev":null,"cursor":null,"id":null}', 'and this it is');
is($told[0]{pid}, value('SELECT pg_backend_pid()'), 'from the writer');
$writer->do(q(BEGIN; SELECT wflog.log('e2', 't3'); PREPARE TRANSACTION 'p'));
$writer->do(q(COMMIT PREPARED 'p'));
$writer->do(q(SELECT wflog.set_execution_status('e2', 'FAILED')));
my $ended = $client->wait_for_event('end');
is($ended && $ended->{event}{total_logs}, 3, 'status and end are notified; a prepared transaction is not, and its logs are there');
$writer->do('SET wflog.notify = off');
$writer->do(q(SELECT wflog.log('e2', 'quiet')));
$writer->do(q(SET wflog.notify = transaction; SELECT wflog.log('e2', 'loud')));
ok($client->wait_for('loud'), 'a session of its own value');
$client->complete_ok('transaction: everything');

is(log_errors($node), '', 'no process of ours had an error');
$node->stop;
done_testing();
