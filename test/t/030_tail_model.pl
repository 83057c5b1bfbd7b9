# Random model test of tail(): many sessions write, read, do both in one
# transaction, prepare, roll back to savepoints, while maintain() makes leaves
# and moves rows into them.  The model knows what has been committed.  A reader
# never gets a log before its commit, gets each committed log exactly once
# whatever the sizes of its pages, and the logs of a writer in the writer's
# order.  Retention removes logs while readers stand somewhere before, in or after
# them: who has not got all of them is told (WF002) and begins anew, and whoever
# begins anew gets to the end.
#
# The steps are drawn beforehand from a seed and run by one session that drives
# the others through dblink, so a failure repeats:
#
#   WFLOG_TEST_SEED    the seed; at random if unset
#   WFLOG_TEST_STEPS   how many steps; 10000
#
# Seen to fail when tail() delivers a transaction's own logs, does not look up
# the transactions a cursor has hidden, takes what is in progress for seen, does
# not know that it stands inside a transaction, forgets what was seen before the
# batch, merges leaves without regard to seq, jumps over what retention has
# removed, or tells again who has begun after that.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use TailModel;
use Test::More;

my $seed = $ENV{WFLOG_TEST_SEED} // int(rand(2**31));
my $steps = $ENV{WFLOG_TEST_STEPS} // 10000;
my $session_count = 8;
my $max_prepared = 6;
my @executions = ('model-1', 'model-2', 'model-3', 'model-4');

diag("WFLOG_TEST_SEED=$seed WFLOG_TEST_STEPS=$steps");
srand($seed);

my $node = PostgreSQL::Test::Cluster->new('model');
$node->init;
$node->append_conf('postgresql.conf', <<CONF);
max_prepared_transactions = 20
max_connections = 40
autovacuum_naptime = 1s
CONF
$node->start;
if ($node->safe_psql('postgres', q(SELECT count(*) FROM pg_available_extensions WHERE name = 'dblink')) eq '0')
{
	plan skip_all => 'this installation of PostgreSQL has no dblink';
}

$node->safe_psql('postgres', 'CREATE EXTENSION wflog; CREATE EXTENSION dblink');
TailModel::create($node);
$node->safe_psql('postgres', "SELECT wflog.start_execution('$_', 'model')") foreach @executions;

# ---- drawing the steps ----

my @script;
my $step = 0;
my $log_number = 0;
my %committed_count = map { $_ => 0 } @executions;
my @sessions = map { { id => $_, transaction => undef } } 1 .. $session_count;
my @prepared;
my $transaction_number = 0;
my %done;

# One of these
sub pick
{
	return $_[ int(rand(@_)) ];
}

# A random integer from .. to
sub between
{
	my ($from, $to) = @_;
	return $from + int(rand($to - $from + 1));
}

sub add
{
	my ($line) = @_;
	push @script, $line;
	return;
}

# Run a command, or a query of one value, in a session.
sub run_in
{
	my ($session, $command) = @_;
	add("SELECT dblink_exec('s$session->{id}', \$run\$$command\$run\$);");
	return;
}

sub query_in
{
	my ($session, $query) = @_;
	add("SELECT * FROM dblink('s$session->{id}', \$run\$$query\$run\$) AS r(value text);");
	return;
}

# Tell the model what has been committed.
sub committed
{
	my ($stream, @logs) = @_;
	return unless @logs;
	add('INSERT INTO model.committed VALUES '
		  . join(', ', map { "($_->{n}, '$_->{execution}', '$stream')" } @logs)
		  . ';');
	$committed_count{ $_->{execution} }++ foreach @logs;
	return;
}

# Days whence logs come: a window that moves into the past, so that there is
# always something for which there is no leaf, and the far future.
sub created_at
{
	my $kind = rand();
	return 'clock_timestamp()' if $kind < 0.4;
	return "now() + interval '" . between(300, 5000) . " days'" if $kind < 0.5;
	my $back = int($step * 40 / $steps) + between(0, 6);
	return "now() - interval '$back days " . between(0, 86399) . " seconds'";
}

sub insert_statement
{
	my @logs = @_;
	return 'INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at) VALUES '
	  . join(', ', map { "('$_->{execution}', '$_->{n}', " . created_at() . ')' } @logs);
}

sub new_logs
{
	my ($count) = @_;
	return map { { n => ++$log_number, execution => pick(@executions) } } 1 .. $count;
}

sub page_sizes
{
	return join(', ', map { between(1, 50) } 1 .. between(1, 8));
}

# Steps of a session; each returns false if it is not possible now.
my %steps = (
	insert => sub {
		my ($s) = @_;
		my @logs = new_logs(rand() < 0.05 ? between(50, 150) : between(1, 5));
		run_in($s, insert_statement(@logs));
		if ($s->{transaction})
		{
			push @{ $s->{transaction}{logs} }, @logs;
		}
		else
		{
			committed("s$s->{id}", @logs);
		}
		return 1;
	},
	# many subtransactions, half of which roll back: more than a snapshot lists
	subtransactions => sub {
		my ($s) = @_;
		return 0 if $step % 10;
		my @kept;
		my $body = '';
		foreach my $i (1 .. 70)
		{
			my ($log) = new_logs(1);
			$body .= 'BEGIN ' . insert_statement($log) . '; ';
			if ($i % 2)
			{
				push @kept, $log;
				$body .= "EXCEPTION WHEN division_by_zero THEN NULL; END;\n";
			}
			else
			{
				$body .= "PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN NULL; END;\n";
			}
		}
		run_in($s, "DO \$\$ BEGIN $body END \$\$");
		if ($s->{transaction})
		{
			push @{ $s->{transaction}{logs} }, @kept;
		}
		else
		{
			committed("s$s->{id}", @kept);
		}
		return 1;
	},
	begin => sub {
		my ($s) = @_;
		return 0 if $s->{transaction};
		run_in($s, 'BEGIN ISOLATION LEVEL ' . pick('READ COMMITTED', 'READ COMMITTED', 'REPEATABLE READ'));
		$s->{transaction} = { logs => [], savepoints => [], has_read => 0 };
		return 1;
	},
	savepoint => sub {
		my ($s) = @_;
		my $t = $s->{transaction} or return 0;
		push @{ $t->{savepoints} }, scalar @{ $t->{logs} };
		run_in($s, 'SAVEPOINT p' . scalar @{ $t->{savepoints} });
		return 1;
	},
	release => sub {
		my ($s) = @_;
		my $t = $s->{transaction};
		return 0 unless $t && @{ $t->{savepoints} };
		my $which = between(1, scalar @{ $t->{savepoints} });
		run_in($s, "RELEASE p$which");
		splice @{ $t->{savepoints} }, $which - 1;
		return 1;
	},
	rollback_to => sub {
		my ($s) = @_;
		my $t = $s->{transaction};
		return 0 unless $t && @{ $t->{savepoints} };
		my $which = between(1, scalar @{ $t->{savepoints} });
		run_in($s, "ROLLBACK TO p$which");
		splice @{ $t->{logs} }, $t->{savepoints}[ $which - 1 ];
		splice @{ $t->{savepoints} }, $which;
		return 1;
	},
	commit => sub {
		my ($s) = @_;
		my $t = $s->{transaction} or return 0;
		run_in($s, 'COMMIT');
		committed("s$s->{id}", @{ $t->{logs} });
		$s->{transaction} = undef;
		return 1;
	},
	rollback => sub {
		my ($s) = @_;
		return 0 unless $s->{transaction};
		run_in($s, 'ROLLBACK');
		$s->{transaction} = undef;
		return 1;
	},
	prepare => sub {
		my ($s) = @_;
		my $t = $s->{transaction};
		# a reader's own state must not be locked away
		return 0 if !$t || $t->{has_read} || @prepared >= $max_prepared;
		$t->{name} = 'model' . ++$transaction_number;
		run_in($s, "PREPARE TRANSACTION '$t->{name}'");
		push @prepared, $t;
		$s->{transaction} = undef;
		return 1;
	},
	commit_prepared => sub {
		my ($s) = @_;
		return 0 if $s->{transaction} || !@prepared;
		my ($t) = splice @prepared, int(rand(@prepared)), 1;
		run_in($s, "COMMIT PREPARED '$t->{name}'");
		committed($t->{name}, @{ $t->{logs} });
		return 1;
	},
	rollback_prepared => sub {
		my ($s) = @_;
		return 0 if $s->{transaction} || !@prepared;
		my ($t) = splice @prepared, int(rand(@prepared)), 1;
		run_in($s, "ROLLBACK PREPARED '$t->{name}'");
		return 1;
	},
	read => sub {
		my ($s) = @_;
		my $page = between(1, 50);
		query_in($s, "SELECT model.read($s->{id}, '" . pick(@executions) . "', $page, "
			  . (rand() < 0.3 ? between(0, $page) : $page) . ')');
		$s->{transaction}{has_read} = 1 if $s->{transaction};
		return 1;
	},
	drain => sub {
		my ($s) = @_;
		query_in($s, "SELECT model.drain($s->{id}, '" . pick(@executions) . "', ARRAY[" . page_sizes() . '])');
		$s->{transaction}{has_read} = 1 if $s->{transaction};
		return 1;
	},
	restart => sub {
		my ($s) = @_;
		query_in($s, "SELECT model.restart($s->{id}, '" . pick(@executions) . "', " . pick('true', 'false') . ')');
		$s->{transaction}{has_read} = 1 if $s->{transaction};
		return 1;
	},
	# An UPDATE leaves a log where it is in the stream.
	update => sub {
		my $execution = pick(@executions);
		add("UPDATE wflog.workflow_execution_logs SET data = '{\"step\": $step}' WHERE execution_id = '$execution' "
			  . 'AND message::int % 97 = ' . between(0, 96) . ';');
		return 1;
	},
	# It gives up if sessions are at work in the default leaf.
	maintain => sub {
		add("SELECT dblink_exec('maintenance', 'CALL wflog.maintain(3650)');");
		return 1;
	},
	# So sometimes everybody has ended before.
	quiet_maintain => sub {
		end_all();
		add("SELECT dblink_exec('maintenance', 'CALL wflog.maintain(3650)');");
		return 1;
	},
	# What is old goes, while nobody has a snapshot from before.
	retention => sub {
		end_all();
		remove_old(int($step * 40 / $steps));
		return 1;
	});

my %weights = (
	insert => 300, begin => 150, savepoint => 60, release => 20, rollback_to => 40,
	commit => 90, rollback => 25, prepare => 20, commit_prepared => 12, rollback_prepared => 4,
	read => 250, drain => 7, restart => 4, update => 6, subtransactions => 15,
	maintain => 2, quiet_maintain => 2, retention => 1);
my @lots = map { ($_) x $weights{$_} } sort keys %weights;

# Some sessions are slow to end what they have begun.
sub take_step
{
	my ($what) = @_;
	my $s = pick(@sessions);
	$what //= pick(@lots);
	return if $s->{id} <= 2 && $what =~ /^(commit|rollback|prepare)$/ && rand() < 0.9;
	my $before = @script;
	return unless $steps{$what}->($s);
	$script[$before] = "\\set step '$step: $what'\n" . $script[$before];
	$done{$what}++;
	$step++;
	return;
}

# Apply retention, and tell the model what is gone.
sub remove_old
{
	my ($days) = @_;
	add("SELECT dblink_exec('maintenance', 'CALL wflog.maintain(" . ($days + 2) . ")');");
	add("UPDATE model.committed c SET removed = r.number FROM (SELECT nextval('model.removals') AS number) r "
		  . 'WHERE removed IS NULL AND NOT EXISTS (SELECT FROM wflog.workflow_execution_logs l '
		  . 'WHERE l.execution_id = c.execution AND l.message = c.n::text);');
	return;
}

# End all transactions, one way or another.
sub end_all
{
	foreach my $s (grep { $_->{transaction} } @sessions)
	{
		$steps{ rand() < 0.8 ? 'commit' : 'rollback' }->($s);
	}
	while (@prepared)
	{
		$steps{ rand() < 0.8 ? 'commit_prepared' : 'rollback_prepared' }->($sessions[0]);
	}
	return;
}

add("SELECT dblink_connect(name, 'dbname=postgres host=" . $node->host . ' port=' . $node->port
	  . "') FROM (VALUES ('maintenance'), " . join(', ', map { "('s$_->{id}')" } @sessions) . ') AS s(name);');
add("SELECT dblink_exec('maintenance', 'SET client_min_messages = error; SET wflog.maintenance_lock_timeout = 1');");
foreach my $s (@sessions)
{
	run_in($s, "INSERT INTO model.cursors SELECT $s->{id}, unnest(ARRAY['" . join("', '", @executions) . "']), NULL, 0");
}
# Retention is seldom drawn, and a short run shall have it, too.
my $removals = 0;
while ($step < $steps)
{
	my $due = $step >= $steps * ($removals + 1) / 6;
	$removals++ if $due;
	take_step($due ? 'retention' : undef);
}
end_all();

# Everybody reads to the end, what has been moved is found, and so does a new
# reader, who begins now.
add("\\set step 'the end'");
add("SELECT dblink_exec('maintenance', 'CALL wflog.maintain(3650)');");
foreach my $s (@sessions)
{
	query_in($s, "SELECT model.drain($s->{id}, '$_', ARRAY[" . page_sizes() . '])') foreach @executions;
}
foreach my $execution (@executions)
{
	query_in($sessions[0], "SELECT model.restart(1, '$execution', false)");
	query_in($sessions[0], "SELECT model.drain(1, '$execution', ARRAY[" . page_sizes() . '])');
}

# ---- running them ----

my $file = PostgreSQL::Test::Utils::tempdir() . '/steps.sql';
append_to_file($file, "\\set VERBOSITY default\n" . join("\n", @script) . "\n");
my ($out, $err);
my $ok = IPC::Run::run(
	[ 'psql', '-X', '-q', '-t', '-A', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', $file ],
	'>', \$out, '2>', \$err);
ok($ok, "$step steps: exactly once, committed, in order") or diag("seed $seed: $err");
if (!$ok && $err =~ /steps\.sql:(\d+):/)
{
	my $line = $1;
	my @lines = split /\n/, slurp_file($file);
	my ($failed) = grep { /^\\set step/ } reverse @lines[ 0 .. $line - 1 ];
	diag("at $failed\n$lines[$line - 1]");
}
note(join ', ', map { "$_ $done{$_}" } sort keys %done);

my $left = $node->safe_psql('postgres', 'SELECT count(*) FROM model.committed WHERE removed IS NULL');
is($node->safe_psql('postgres', 'SELECT count(*) FROM wflog.workflow_execution_logs'),
	$left, 'the table holds what the model knows');
is( $node->safe_psql('postgres', 'SELECT count(*) FROM model.delivered JOIN model.committed USING (n) WHERE removed IS NULL'),
	$session_count * $left, "each of $session_count readers has all of it");
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM model.committed WHERE removed > 0'),
	'>', 100, 'and retention has removed others');
cmp_ok($node->safe_psql('postgres', 'SELECT sum(gaps) FROM model.cursors'),
	'>', 0, 'of which readers were told');

# It is no test of maintenance if all stayed where it was.
cmp_ok(
	$node->safe_psql('postgres',
		'SELECT count(DISTINCT tableoid) FROM wflog.workflow_execution_logs'),
	'>', 10, 'logs are in many leaves');
isnt(
	$node->safe_psql('postgres', 'SELECT count(*) FROM wflog.workflow_execution_logs_default'),
	'0', 'and some are in the default leaf');

$node->stop;
done_testing();
