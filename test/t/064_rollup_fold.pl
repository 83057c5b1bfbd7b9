# Folding at awkward moments, which the random test seldom meets: what others
# commit between a fold's snapshot and its end, transactions that are open
# meanwhile, slices, and what is left over when all was declared void.
#
# Prepared transactions hold what others wait for, so no session is kept open.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WflogNode;

my $node = new_node('fold', 'wflog.maintenance_interval = 0', "wflog.maintenance_lock_timeout = '60s'");

# Two days that are over, so that no partition changes at midnight.
my ($day, $day_before) = map { $node->safe_psql('postgres', "SELECT quote_literal((current_date - $_ + time '12:00') AT TIME ZONE 'UTC')") } 1, 2;

sub sql { return $node->safe_psql('postgres', $_[0]) }

# Write logs, milestones among them, in a transaction.
sub write_logs
{
	sql(insert_logs(@_));
	return;
}

sub insert_logs
{
	my ($execution, $count, $at) = @_;
	return "INSERT INTO wflog.workflow_execution_logs (execution_id, message, node_id, is_milestone, created_at) "
	  . "SELECT '$execution', 'm ' || i, 'n' || i % 3, i % 10 = 0, timestamptz $at FROM generate_series(1, $count) i";
}

sub delete_logs
{
	my ($execution, $last_digit) = @_;
	return "DELETE FROM wflog.workflow_execution_logs WHERE execution_id = '$execution' AND message ~ '$last_digit\$'";
}

# What is said of an execution is what its logs say.
sub is_right
{
	my ($execution, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is( sql("SELECT count(*) - (wflog.summary('$execution')->>'total_logs')::int, "
			  . "(SELECT string_agg(v::text, ' ') FROM wflog.verify('$execution') v) "
			  . "FROM wflog.workflow_execution_logs WHERE execution_id = '$execution'"),
		'0|', $name);
	return;
}

# Have an execution folded; returns when it has a head and no mark.
sub fold
{
	my ($execution) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	sql("SELECT wflog.summary('$execution')");
	ok( wait_for($node, 'postgres', "SELECT execution_id FROM wflog.rollup_heads h WHERE execution_id = '$execution' "
			  . 'AND NOT EXISTS (SELECT FROM wflog.rollup_marks m WHERE m.execution_hash = h.execution_hash)', $execution),
		"$execution: is folded");
	return;
}

# Write logs of an execution, and have it folded while others do something
# between the fold's snapshot and its end: a row that the fold wants to write is
# held by somebody.
sub fold_during
{
	my ($execution, $before, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	sql('BEGIN; ' . insert_logs($execution, 1, $day) . '; INSERT INTO wflog.rollups SELECT execution_hash, tableoid, execution_id, 0, 0, '
		  . "'' FROM wflog.workflow_execution_logs WHERE execution_id = '$execution'; PREPARE TRANSACTION 'hold'");
	write_logs($execution, 20, $day);
	sql($before);
	sql("SELECT wflog.summary('$execution')");
	ok(keeper_waits('transactionid'), "$execution: the fold has its snapshot and waits");
	sql($what);
	sql(q{ROLLBACK PREPARED 'hold'});
	ok( wait_for($node, 'postgres', "SELECT execution_id FROM wflog.rollup_heads WHERE execution_id = '$execution'", $execution),
		"$execution: it is folded");
	return;
}

sub keeper_waits
{
	my ($locktype) = @_;
	return wait_for($node, 'postgres', "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
		  . "WHERE backend_type = 'wflog keeper' AND locktype = '$locktype' AND NOT granted", '1');
}

sql('CREATE EXTENSION wflog');
ok(wait_for($node, 'postgres', 'SELECT keeper_pid IS NOT NULL FROM wflog.stat', 't'), 'the keeper runs');
write_logs('other', 1, $_) foreach $day, $day_before;
sql('CALL wflog.maintain()') foreach 1, 2;
is(sql(q{SELECT count(DISTINCT tableoid) FILTER (WHERE tableoid::regclass::text !~ 'default') FROM wflog.workflow_execution_logs}),
	'2', 'both days have partitions');

# ---- committed after the snapshot

fold_during('late', '', insert_logs('late', 7, $day));
is_right('late', 'late: logs that the fold did not see count all the same');
fold_during('late 2', '', insert_logs('late 2', 7, $day_before));
is_right('late 2', 'late: also in another partition');
fold_during('late 3', 'BEGIN; ' . insert_logs('late 3', 7, $day) . q{; PREPARE TRANSACTION 'late'}, q{COMMIT PREPARED 'late'});
is_right('late 3', 'late: also of a transaction that is older than the fold');

# Of the two changes the fold sees one, and deletes its mark.
fold_during('changed', delete_logs('changed', 1), delete_logs('changed', 3));
is_right('changed', 'changed: logs deleted while they were folded do not count');

# ---- open meanwhile

sql(q{BEGIN; } . insert_logs('open', 5, $day) . q{; PREPARE TRANSACTION 'open'});
write_logs('open', 20, $day);
fold('open');
is_right('open', 'open: what is not committed does not count');
sql(q{COMMIT PREPARED 'open'});
is_right('open', 'open: and does when it is');

# The last writer of one partition is older than what is rolled up of the other.
sql(q{BEGIN; } . insert_logs('open 2', 5, $day_before) . q{; PREPARE TRANSACTION 'open'});
write_logs('open 2', 20, $day);
fold('open 2');
write_logs('open 2', 1, $day);
sql(q{COMMIT PREPARED 'open'});
is_right('open 2', 'open: also in a partition where nothing else is new');

# ---- slices

my $before = sql('SELECT logs_folded FROM wflog.stat');
write_logs('large', 26000, $day) foreach 1 .. 3;
fold('large');
is_right('large', 'large: right after a slice');
write_logs('large', 3, $day);
ok( wait_for($node, 'postgres', "SELECT logs_folded >= $before + 78000 FROM wflog.stat, LATERAL (SELECT wflog.summary('large')) s", 't'),
	'large: is folded to its end');
is_right('large', 'large: right then');

# ---- left over

write_logs('void', 20, $_) foreach $day, $day_before;
fold('void');
sql('TRUNCATE wflog.rollup_heads');
sql("DELETE FROM wflog.workflow_execution_logs WHERE execution_id = 'void' AND created_at = $day");
is_right('void', 'void: counted');
fold('void');
is_right('void', 'void: what was rolled up before is forgotten');

# ---- ids: a fold's is greater than all that its snapshot shows

sql(q{BEGIN; CALL wflog.maintain(); PREPARE TRANSACTION 'maintenance'});
write_logs('order', 20, $day);
sql(q{SELECT wflog.summary('order')});
ok(keeper_waits('object'), 'order: the fold waits for its turn');
write_logs('order', 1, $day);
sql(q{COMMIT PREPARED 'maintenance'});
fold('order');
is_right('order', 'order: right');
is(sql('SELECT last_error FROM wflog.stat'), '', 'no fold has failed');

fold('changed');
is_right('changed', 'changed: right when the mark has been dealt with');

# ---- all of it survives a crash

$node->stop('immediate');
$node->start;
is_right($_, "$_: right after a crash") foreach 'late', 'late 2', 'late 3', 'changed', 'open', 'open 2', 'large', 'void', 'order';
write_logs('large', 2, $day);
is_right('large', 'large: and for what is written then');
$node->stop;
done_testing();
