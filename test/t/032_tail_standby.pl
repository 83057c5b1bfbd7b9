# tail() on a standby, resumed with cursors of the primary and back: exactly
# once, whatever the standby's lag, in the middle of a transaction, with
# transactions and subtransactions in flight, while synchronous replication
# keeps a commit waiting that the standby shows already, and after promotion.
# "Try again" (40001) and "gap" (WF002) are answers; a log lost or twice is not.
#
# Seen to fail when the set of running transactions of a standby's snapshot is
# looked for where a primary has it (lost); when the next cursor is what the
# server shows instead of the union with what had been seen (twice); when it is
# not checked that the server shows the transaction the cursor stands in (lost);
# when a cursor of another timeline is taken as it is (lost).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamReader;
use Test::More;

my $steps = $ENV{WFLOG_TEST_STANDBY_STEPS} // 250;
my $seed = $ENV{WFLOG_TEST_SEED} // int(rand(2**31));

diag("WFLOG_TEST_SEED=$seed WFLOG_TEST_STANDBY_STEPS=$steps");
srand($seed);

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<CONF);
max_prepared_transactions = 10
autovacuum = off
CONF
$primary->start;
$primary->safe_psql('postgres', <<'SQL');
CREATE EXTENSION wflog;
CREATE FUNCTION state_of_tail(execution text, cursor text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM * FROM wflog.tail(execution, cursor);
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
SQL
$primary->backup('backup');

sub new_standby
{
	my ($name) = @_;
	my $standby = PostgreSQL::Test::Cluster->new($name);
	$standby->init_from_backup($primary, 'backup', has_streaming => 1);
	$standby->append_conf('postgresql.conf', "max_standby_streaming_delay = -1\n");
	$standby->start;
	return $standby;
}

my $standby = new_standby('standby');
my $other_standby = new_standby('other');

sub between
{
	my ($from, $to) = @_;
	return $from + int(rand($to - $from + 1));
}

sub pick
{
	return $_[ int(rand(@_)) ];
}

my $log_number = 0;

# SQL that writes logs
sub write_logs
{
	my ($count, $execution) = @_;
	$execution //= 'e';
	my $from = $log_number + 1;
	$log_number += $count;
	return "INSERT INTO wflog.workflow_execution_logs (execution_id, message) "
	  . "SELECT '$execution', i FROM generate_series($from, $log_number) i;";
}

# Many subtransactions, of which the last stays: more than a snapshot lists
sub many_subtransactions
{
	return join '', map { "SAVEPOINT s; " . write_logs(1) . ($_ < 70 ? 'ROLLBACK TO s; ' : 'RELEASE s; ') } 1 .. 70;
}

sub page_cursor
{
	my ($node) = @_;
	return $node->safe_psql('postgres', q(SELECT wflog.logs_json('ended', 1)->'pagination'->>'stream_cursor'));
}

sub catch_up
{
	$_->safe_psql('postgres', 'SELECT pg_wal_replay_resume()') foreach $standby, $other_standby;
	$primary->wait_for_catchup($_) foreach $standby, $other_standby;
	return;
}

# ---- at random ----

my @servers = ($primary, $standby, $other_standby);
my @readers = map { StreamReader->new('e') } 1 .. 3;
my @writers = map { { session => $primary->background_psql('postgres'), busy => 0 } } 1 .. 3;
my @prepared;
my ($retries, $twice) = (0, 0);

foreach my $step (1 .. $steps)
{
	my $what = rand();
	if ($what < 0.25)
	{
		$primary->safe_psql('postgres', write_logs(between(1, 5)));
	}
	elsif ($what < 0.4)
	{
		my $writer = pick(@writers);
		if (!$writer->{busy})
		{
			$writer->{session}->query_safe('BEGIN');
			$writer->{session}->query_safe(rand() < 0.3 ? many_subtransactions() : write_logs(between(1, 5)));
			$writer->{busy} = 1;
		}
		elsif (rand() < 0.3)
		{
			$writer->{session}->query_safe("PREPARE TRANSACTION 'step $step'");
			push @prepared, "step $step";
			$writer->{busy} = 0;
		}
		else
		{
			$writer->{session}->query_safe(pick('COMMIT', 'COMMIT', 'ROLLBACK'));
			$writer->{busy} = 0;
		}
		if (@prepared > 3)
		{
			my $gid = splice @prepared, int(rand(@prepared)), 1;
			$primary->safe_psql('postgres', pick('COMMIT', 'COMMIT', 'ROLLBACK') . " PREPARED '$gid'");
		}
	}
	elsif ($what < 0.5)
	{
		pick($standby, $other_standby)
		  ->safe_psql('postgres', 'SELECT ' . pick('pg_wal_replay_pause()', 'pg_wal_replay_resume()'));
	}
	else
	{
		my $page = pick(between(1, 5), between(5, 50));
		my $arrived = eval {
			pick(@readers)->read(pick(@servers), $page, rand() < 0.3 ? between(0, $page) : $page) // -1;
		};
		$twice++, diag("step $step: $@") unless defined $arrived;
		$retries++ if ($arrived // 0) < 0;
	}
}
is($twice, 0, "$steps steps: nothing came twice");
note("$retries times: try again");

foreach my $writer (@writers)
{
	$writer->{session}->query_safe('COMMIT') if $writer->{busy};
	$writer->{session}->quit;
}
$primary->safe_psql('postgres', "COMMIT PREPARED '$_'") foreach @prepared;
catch_up();
$readers[$_]->drained_ok($servers[ $_ % 3 ], "reader $_ has all") foreach 0 .. $#readers;

# ---- in the middle of a transaction, on a standby that is behind ----

$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$standby->poll_query_until('postgres', "SELECT pg_get_wal_replay_pause_state() = 'paused'");
my $reader = StreamReader->new('middle');
$primary->safe_psql('postgres', write_logs(5, 'middle') . write_logs(2, 'middle'));
is($reader->read($primary, 3), 3, 'three of five logs from the primary');
is($reader->read($standby, 3), undef, 'the standby cannot go on');
is($reader->{error}, '40001', 'but says that this may change');
my $at_end = $reader->clone;
is($at_end->read($primary, 2), 2, 'the other two from the primary');
is($at_end->read($standby, 10), 0, 'the standby has nothing for a reader who is ahead of it');
catch_up();
$reader->drained_ok($standby, 'then it goes on');
$at_end->drained_ok($standby, 'and has the next transaction');

# ---- a snapshot that is older than the cursor ----

my $old = $primary->background_psql('postgres');
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$old->query_safe('SELECT 1');
$primary->safe_psql('postgres', write_logs(2, 'middle') . write_logs(3, 'middle'));
$reader->read($primary, 2);
is($old->query_safe("SELECT count(*) FROM wflog.tail('middle', '$reader->{cursor}')"),
	'0', 'an older snapshot shows a reader nothing twice');
$reader->read($primary, 1);
is($old->query_safe("SELECT state_of_tail('middle', '$reader->{cursor}')"),
	'40001', 'nor can it go on inside a transaction that it does not show');
$old->quit;

# ---- synchronous replication waits, the standby does not ----

catch_up();
my $first = StreamReader->new('sync');
$primary->safe_psql('postgres', write_logs(1, 'sync'));
$primary->wait_for_catchup($standby);
$first->read($standby, 1);
my $inside = $first->clone;
my $behind = $first->clone;

$primary->append_conf('postgresql.conf', "synchronous_standby_names = 'nobody'\n");
$primary->reload;
$primary->poll_query_until('postgres', "SELECT current_setting('synchronous_standby_names') = 'nobody'");
my $waiting = $primary->background_psql('postgres');
$waiting->query_until(qr/waits/, "\\echo waits\n" . write_logs(3, 'sync') . "\n");
$primary->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
$standby->poll_query_until('postgres', "SELECT count(*) = 4 FROM wflog.workflow_execution_logs WHERE execution_id = 'sync'");
is($primary->safe_psql('postgres', "SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id = 'sync'"),
	'1', 'the standby shows a transaction that the primary does not');

is($first->read($standby, 10), 3, 'the standby delivers it');
is($first->read($primary, 10), 0, 'the primary has nothing to add');
is($inside->read($standby, 2), 2, 'a second reader stops in it');
is($inside->read($primary, 2), undef, 'the primary cannot go on');
is($inside->{error}, '40001', 'but says that this may change');

# Others commit in the meantime.
$primary->safe_psql('postgres', 'SET synchronous_commit = local; ' . write_logs(2, 'sync') . write_logs(1, 'sync'));
is($first->read($primary, 1), 1, 'the first reader goes on with what came later');
is($first->read($standby, 1), 1, 'on either');
is($behind->read($primary, 2), 2, 'a third reads on the primary only');
my $unready = $first->clone;

$primary->append_conf('postgresql.conf', "synchronous_standby_names = ''\n");
$primary->reload;
$primary->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
$waiting->quit;
$primary->poll_query_until('postgres', "SELECT count(*) = 7 FROM wflog.workflow_execution_logs WHERE execution_id = 'sync'");
$primary->wait_for_catchup($standby);
$first->drained_ok($primary, 'first reader: all once');
$inside->drained_ok($primary, 'second reader: all once');
$behind->drained_ok($standby, 'third reader: all once');
$unready->drained_ok($standby, 'first reader on the standby: all once');

# ---- promotion ----

# Until here everything reaches the standby.
$primary->safe_psql('postgres', write_logs(4, 'promotion') . write_logs(6, 'promotion'));
catch_up();
my %reader = map { $_ => StreamReader->new('promotion') } qw(begun inside done over lost lost_inside elsewhere standby prepared);
# A page of an ended execution: its cursor does not say where the server stood.
$primary->safe_psql('postgres', q(SELECT wflog.start_execution('ended', 'w')) . "; " . write_logs(3, 'ended')
	. q(SELECT wflog.set_execution_status('ended', 'SUCCESS')));
my %page = (known => page_cursor($primary), lost => undef);
my $prepared = $primary->background_psql('postgres');
$prepared->query_safe($_) foreach ('BEGIN', write_logs(2, 'promotion'), "PREPARE TRANSACTION 'promotion'");
$prepared->quit;
catch_up();
$reader{begun}->read($primary, 2);
$reader{inside}->read($primary, 7);
$reader{done}->drain($primary);
$reader{standby}->read($standby, 7);

# From here on nothing does.
$standby->append_conf('postgresql.conf', "primary_conninfo = ''\n");
$standby->reload;
$other_standby->stop;
$primary->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_stat_replication');
$primary->safe_psql('postgres', write_logs(1, 'ended'));
$page{lost} = page_cursor($primary);
# Ids are used up without logs of this execution, then logs are written.
$primary->safe_psql('postgres', write_logs(1, 'other')) foreach 1 .. 5;
$reader{over}->drain($primary);
$primary->safe_psql('postgres', write_logs(1, 'promotion')) foreach 1 .. 5;
$primary->safe_psql('postgres', write_logs(5, 'promotion'));
$reader{lost}->drain($primary);
$reader{lost_inside}->read($primary, 18);
$reader{elsewhere}->read($primary, 12);
$primary->safe_psql('postgres', "COMMIT PREPARED 'promotion'");
$reader{prepared}->drain($primary);
my $naive = $primary->safe_psql('postgres', 'SELECT pg_current_snapshot()');
is(scalar @{ $reader{lost}{order} }, 20, 'a reader has logs that the standby has not');
is(scalar @{ $reader{prepared}{order} }, 22, 'another has those of a prepared transaction too');

$primary->stop('immediate');
$standby->promote;
$standby->safe_psql('postgres', write_logs(1, 'promotion')) foreach 1 .. 5;
$standby->safe_psql('postgres', write_logs(3, 'promotion'));
cmp_ok(
	$standby->safe_psql('postgres', <<SQL), '>', 0, 'a cursor that is the snapshot would lose logs here');
SELECT count(*) FROM wflog.workflow_execution_logs
WHERE execution_id = 'promotion' AND message::int > 0 AND pg_visible_in_snapshot(xact, '$naive')
AND message NOT IN (SELECT unnest(string_to_array('@{ $reader{lost}{order} }', ' ')))
SQL

# Cursors from before the switch, and those from after it that had only been
# where the new primary was too, go on.
$reader{$_}->drained_ok($standby, "promoted: reader \"$_\" goes on")
  foreach qw(begun inside done standby);
# For the others the right answer is possible, or to say so.
foreach my $name (qw(over lost lost_inside elsewhere prepared))
{
	my $r = $reader{$name};
	if ($r->drain($standby))
	{
		is_deeply([ $r->missing($standby) ], [], "promoted: reader \"$name\" misses nothing");
	}
	else
	{
		is($r->{error}, 'WF002', "promoted: reader \"$name\" is told of the gap");
	}
}
is($reader{$_}{error}, 'WF002', "reader \"$_\" must have been") foreach qw(lost lost_inside prepared);

is($standby->safe_psql('postgres', "SELECT state_of_tail('ended', '$page{known}')"), 'ok',
	'promoted: the cursor of a page goes on if its last log is here,');
is($standby->safe_psql('postgres', "SELECT count(*) FROM wflog.tail('ended', '$page{known}')"), '0', 'behind it');
is($standby->safe_psql('postgres', "SELECT state_of_tail('ended', '$page{lost}')"), 'WF002',
	'promoted: and if it is not, its reader is told');

# The prepared transaction goes on here.
my $once_more = $reader{done}->clone;
$standby->safe_psql('postgres', "COMMIT PREPARED 'promotion'");
$once_more->drained_ok($standby, 'promoted: a transaction that had been prepared before');

# A cursor of the new primary on a server that is still on the old timeline
$other_standby->start;
$other_standby->poll_query_until('postgres', 'SELECT pg_is_in_recovery()');
is($once_more->read($other_standby, 1), undef, 'a standby on the old timeline cannot go on');
is($once_more->{error}, '40001', 'but may when it has followed');

# A crash of the new primary, and cursors of both timelines
my $late = $reader{begun}->clone;
$standby->stop('immediate');
$standby->start;
$standby->safe_psql('postgres', write_logs(3, 'promotion'));
$late->drained_ok($standby, 'promoted and crashed: nothing is lost');
StreamReader->new('promotion')->drained_ok($standby, 'promoted: all from the start');

$other_standby->stop;
$standby->stop;
done_testing();
