# wflog run when things go badly: floods, a database that is slow or away, a disk
# that is full, and SIGKILL of the server, of the wrapper, of who brings its spool
# over, and of the command, at random moments.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use POSIX qw(:sys_wait_h);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WflogCommand;

my $seed = $ENV{WFLOG_TEST_SEED} || time ^ $$;
srand $seed;
note("WFLOG_TEST_SEED=$seed");

my $node = WflogCommand::new_server();

my $dir = PostgreSQL::Test::Utils::tempdir();
$ENV{WFLOG_SPOOL_DIR} = "$dir/spool";

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub spools { my @found = glob "$dir/spool/*.spool"; return @found; }

# A command that prints so many megabytes as fast as it can, and then says so.
sub flood
{
	my ($megabytes, $mark) = @_;
	return ('perl', '-e', qq(my \$b = (("x" x 99) . "\\n") x 10000; print \$b for 1 .. $megabytes; close STDOUT;
		open my \$f, '>', '$mark' or die));
}

# What is kept of a flood, and what is told of it.
sub is_cut
{
	my ($execution, $megabytes, $name) = @_;
	is( sql(qq{SELECT count(*) FILTER (WHERE message LIKE 'xxx%'), count(*) FILTER (WHERE data ? 'truncated' AND level = 'WARNING')
		FROM wflog.logs('$execution', event_type => 'step_output')}), '104857|1', "$name: 10 MB are kept, and the cut is marked");
	is(sql(qq{SELECT data->>'stdout_bytes', data->>'captured_bytes' FROM wflog.logs('$execution', event_type => 'step_completed')}),
		"${megabytes}000000|10485700", "$name: how much there was is told");
	return;
}

# ---- floods

my ($status, $out, $err) = wflog('run', '--wait', '120', '--execution', 'flood', '--task', 't', '--', flood(300, "$dir/mark0"));
is("$status $err", '0 ', 'a flood of 300 MB');
is_cut('flood', 300, 'a flood');

# the database holds up whoever writes: the command must come to its end all the same
my $lock = $node->background_psql('postgres');
$lock->query_safe('BEGIN; LOCK TABLE wflog.workflow_execution_logs');
my $pid = wflog_background($dir, 'run', '--wait', '120', '--execution', 'locked', '--task', 't', '--', flood(200, "$dir/mark1"));
wait_until('a flood that nobody takes ends while the table is locked', sub { -e "$dir/mark1" });
is(waitpid($pid, WNOHANG), 0, 'its logs are waited for');
$lock->query_safe('COMMIT');
waitpid $pid, 0;
is($?, 0, 'they are taken when the lock has gone');
is_cut('locked', 200, 'while the table was locked');

# it holds up until we have left: what was sent may be committed without us
$lock->query_safe('BEGIN; LOCK TABLE wflog.workflow_execution_logs');
($status, $out, $err) = wflog('run', '--wait', '1', '--execution', 'late', '--task', 't', '--', 'perl', '-e', 'print "line $_\n" for 1 .. 500');
is($status, 0, 'a lock that outlives the command');
like($err, qr/they wait in \S+\.spool$/m, 'its logs wait');
$lock->query_safe('COMMIT');
$lock->quit;
wait_until('the session that was left alone ends',
	sub { sql(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'wflog run'}) eq '0' });
is((wflog('ingest', '--spool', '-q'))[0], 0, 'what waits is brought over');
is(sql(q{SELECT count(*), count(DISTINCT message) FROM wflog.logs('late') WHERE message LIKE 'line %'}), '500|500', 'each line once');

# ---- the command is killed

wflog('run', '-q', '--execution', 'child', '--task', 't', '--', 'sh', '-c', 'echo before; kill -9 $$');
is(sql(q{SELECT level, data->>'exit_code', data->>'signal' FROM wflog.logs('child', event_type => 'step_error')}), 'ERROR|137|SIGKILL',
	'SIGKILL of the command is told');
is(sql(q{SELECT count(*) FROM wflog.logs('child') WHERE message = 'before'}), '1', 'with what it said before');

# ---- the wrapper is killed, and whoever brings over what it has left

my $brought = 0;
for my $round (1 .. 6)
{
	my $after = 0.05 + rand 0.8;

	$pid = wflog_background($dir, 'run', '--execution', "self$round", '--task', 't', '--max-bytes', '0', '--', 'perl', '-e',
		'$SIG{PIPE} = "DEFAULT"; my $n = 0; while (1) { print "line ", ++$n, "\n"; select undef, undef, undef, 0.001 if $n % 200 == 0 }');
	# once at least it must have got somewhere, however slow the machine is
	wait_until('there are lines in the spool', sub { grep { -s $_ > 30_000 } spools() }) if $round == 1;
	sleep $after;
	kill 'KILL', $pid;
	waitpid $pid, 0;
	$brought += spools();
	for my $try (1 .. int rand 4)
	{
		$pid = wflog_background($dir, 'ingest', '--spool', '-q');
		sleep rand 0.15;
		kill 'KILL', $pid;
		waitpid $pid, 0;
	}
	# sessions of the dead may still be at work, and their batches are waited for
	is((wflog('ingest', '--spool', '-q'))[0], 0, 'what is left is brought over');
	my ($count, $distinct, $last) = split /\|/, sql(qq{SELECT count(*), count(DISTINCT message),
		coalesce(max(substr(message, 6)::int), 0) FROM wflog.logs('self$round') WHERE message LIKE 'line %'});
	is("$count $distinct", "$last $last", sprintf 'killed after %.2f s: none of %d lines missing, none twice', $after, $last);
	is(join(' ', spools()), '', 'and no spool is left');
}
cmp_ok($brought, '>', 0, 'there was something to bring over');

# ---- the server is killed, while somebody follows

sql(q{SELECT wflog.start_execution('server', 'w')});
my $follower = wflog_start('logs', 'server', '-f', '-o', 'raw');
$pid = wflog_background($dir, 'run', '--wait', '120', '--execution', 'server', '--task', 't', '--max-bytes', '0', '--', 'perl', '-e',
	'$| = 1; for (1 .. 400) { print "line $_\n"; select undef, undef, undef, 0.01 }');
wait_until('some of it is there', sub { sql(q{SELECT count(*) > 20 FROM wflog.logs('server')}) eq 't' });
$node->kill9;
sleep 0.2 + rand 0.8;
# shared memory is in use until the last session has noticed; start() would not try twice
wait_until('it starts again', sub {
	system('pg_ctl -w -s -D "' . $node->data_dir . '" -l "' . $node->logfile . '" start >/dev/null 2>&1') == 0 });
$node->_update_pid(1);
waitpid $pid, 0;
is($?, 0, 'SIGKILL of the server');
is((wflog('ingest', '--spool', '-q'))[0], 0, 'nothing in the way of what may be left');
is(sql(q{SELECT count(*), count(DISTINCT message) FROM wflog.logs('server') WHERE message LIKE 'line %'}), '400|400',
	'costs no line, and none comes twice');
sql(q{SELECT wflog.set_execution_status('server', 'SUCCESS')});
is(wflog_end($follower), 0, 'who follows gets on');
is(join(' ', $follower->{out} =~ /^line (\d+)$/mg), join(' ', 1 .. 400), 'and sees each line once, in order');

# ---- the database is away

$node->stop;
($status, $out, $err) = wflog('run', '--wait', '0', '--execution', 'away', '--task', 't', '--', flood(300, "$dir/mark2"));
is($status, 0, 'a flood without a database');
cmp_ok(-s (spools())[0], '<', 20_000_000, 'of which no more than its part is kept on the disk');

# ---- the disk is full: as much as a file may have, by a limit that fails like it

my $limited = join ' ', 'ulimit -f 1000 && exec wflog run --wait 0 --max-bytes 0 --execution full --task t --',
	q(perl -e 'print "y" x 99, "\n" for 1 .. 150_000; exit 3' 2>&1);
$out = `sh -c '@{[ $limited =~ s/'/'\\''/gr ]}'`;
is($? >> 8, 3, 'a full disk does not hold up the command');
like($out, qr/could not write to the spool: File too large; lines may be lost/, 'it is told');
my ($lost) = $out =~ /(\d+) lines are lost: the spool was full/;
ok($lost, 'and how many lines are lost') or diag($out);

$node->start;
is((wflog('ingest', '--spool', '-q'))[0], 0, 'what was kept is brought over');
is_cut('away', 300, 'without a database');
my $kept = sql(q{SELECT count(*) FROM wflog.logs('full') WHERE message LIKE 'yyy%'});
is($kept + ($lost // 0), 150_000, 'a full disk: what is kept and what is lost add up');
cmp_ok($kept, '>', 1000, 'something is kept');
is(sql(q{SELECT sum((data->>'lost_lines')::int) FROM wflog.logs('full', event_type => 'step_output')}), $lost, 'the logs tell of what is lost');
is(sql(q{SELECT data->>'exit_code' FROM wflog.logs('full', event_type => 'step_error')}), '3', 'and how the command ended');

# with a database there is a way past the disk
$out = `sh -c '@{[ $limited =~ s/--wait 0/--wait 120/r =~ s/full/passed/r =~ s/'/'\\''/gr ]}'`;
is($? >> 8, 3, 'a full disk, and a database');
($lost) = $out =~ /(\d+) lines are lost/;
is(sql(q{SELECT count(*) FROM wflog.logs('passed') WHERE message LIKE 'yyy%'}) + ($lost // 0), 150_000, 'adds up as well');
is(sql(q{SELECT data->>'exit_code' FROM wflog.logs('passed', event_type => 'step_error')}), '3', 'and comes to its end');
unlike($out, qr/they wait in/, 'nothing is left behind');

$node->stop;
done_testing();
