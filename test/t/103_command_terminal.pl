# The command in a terminal: widths, colours, control sequences, Ctrl-C, a window
# that is watched.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use WflogCommand;

plan skip_all => 'no IO::Pty (Debian: libio-pty-perl)' unless have_terminal();

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
WflogCommand::use_server($node);
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION wflog;
	SELECT wflog.start_execution('e1', 'nightly', user_id => 'alice');
	INSERT INTO wflog.workflow_execution_logs
		(execution_id, level, message, event_type, node_id, attempt, is_milestone, created_at, stack_trace)
	VALUES
		('e1', 'INFO', 'begin', 'step_started', 'extract', 1, true, '2026-11-20 23:59:59.9Z', NULL),
		('e1', 'DEBUG', 'the quick brown fox jumps over the lazy dog and runs away from it', 'log', 'extract', 1, false, '2026-11-21 00:00:00.1Z', NULL),
		('e1', 'WARNING', E'evil \x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m \x1b]52;c;cm0gLXJm\x07\u202Etxt \u009B31mx', 'log', E'no\x1b[1mde', 1, false, '2026-11-21 00:00:00.2Z', NULL),
		('e1', 'ERROR', E'漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字', 'log', 'load', 2, false, '2026-11-21 00:00:00.3Z', E'at load.c:42\n\x1b[2Jat main.c:7'),
		('e1', 'CRITICAL', 'averyveryverylongwordthatcannotbebrokenatablankandmustbebrokensomewhereelse', 'log', 'load', 2, false, '2026-11-21 00:00:00.4Z', NULL);
});

# Without colours.
sub plain
{
	my ($text) = @_;
	$text =~ s/\e\[[0-9;]*m//g;
	return $text;
}

# Columns of the widest line; no character here is wider than two.
sub widest
{
	my ($text) = @_;
	my $widest = 0;
	utf8::decode($text);
	foreach my $line (split /\n/, $text)
	{
		my $wide = () = $line =~ /[\x{4E00}-\x{9FFF}]/g;
		$widest = length($line) + $wide if length($line) + $wide > $widest;
	}
	return $widest;
}

# ---- widths

my ($out, $status) = wflog_terminal(100, [ 'logs', 'e1', '--utc' ]);
is($status, 0, 'logs in a window of 100 columns');
is(plain($out) =~ s/^.*evil.*\n//mr, <<'END', 'are aligned, wrapped, with dates and milestones');
── 2026-11-20 ──
23:59:59.900 INFO ◆extract begin
── 2026-11-21 ──
00:00:00.100 DEBUG extract the quick brown fox jumps over the lazy dog and runs away from it
00:00:00.300 ERROR load#2  漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字
00:00:00.400 CRIT  load#2  averyveryverylongwordthatcannotbebrokenatablankandmustbebrokensomewhereel
                           se
END
like($out, qr/^\e\[2m00:00:00\.300\e\[0m \e\[31mERROR\e\[0m /m, 'levels have colours');

foreach my $columns (80, 60, 59, 40, 20, 10)
{
	($out, $status) = wflog_terminal($columns, [ 'logs', 'e1', '--utc' ]);
	is($status, 0, "logs in a window of $columns columns");
	cmp_ok(widest(plain($out)), '<=', $columns > 19 ? $columns : 19, 'nothing is wider') or diag(plain($out));
	like(plain($out) =~ s/\s//gr, qr/averyveryverylongwordthat/, 'and nothing lost');
}
($out) = wflog_terminal(40, [ 'logs', 'e1', '--utc' ]);
like(plain($out), qr/^00:00:00 D extract the quick brown fox\n {19}jumps over the lazy\n {19}dog and runs away\n/m, '40 columns: short times and levels, wrapped with indent')
  or diag(plain($out));
foreach my $columns (100, 40)
{
	foreach my $arguments ([ 'ls' ], [ 'inspect', 'e1' ])
	{
		($out, $status) = wflog_terminal($columns, $arguments);
		is($status, 0, "@$arguments in a window of $columns columns");
		cmp_ok(widest(plain($out)), '<=', $columns, 'nothing is wider') or diag(plain($out));
	}
}

# ---- control sequences

foreach my $arguments ([ 'logs', 'e1' ], [ 'logs', 'e1', '--color=never' ], [ 'logs', 'e1', '-t' ], [ 'inspect', 'e1' ])
{
	($out) = wflog_terminal(100, $arguments);
	unlike(plain($out), qr/[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8b-\x8f\xa8-\xae]/,
		"@$arguments: no control character but our colours");
}
($out) = wflog_terminal(100, [ 'logs', 'e1', '-g', 'evil' ]);
like(plain($out), qr/node  *evil red \\u202etxt x$/m, 'what was coloured stays readable');
($out) = wflog_terminal(100, [ 'logs', 'e1', '-o', 'raw', '-g', 'evil' ]);
like($out, qr/\e\]0;owned\x07/, 'raw is raw');

# ---- colours

{
	local $ENV{NO_COLOR} = '1';
	($out) = wflog_terminal(100, [ 'logs', 'e1', '-l', 'error' ]);
	unlike($out, qr/\e/, 'NO_COLOR');
	($out) = wflog_terminal(100, [ 'logs', 'e1', '-l', 'error', '--color', 'always' ]);
	like($out, qr/\e\[31m/, 'which --color=always outdoes');
	($out) = wflog_terminal(100, [ $_ eq 'ls' ? 'ls' : ('inspect', 'e1') ]), unlike($out, qr/\e/, "NO_COLOR of $_") for qw(ls inspect);
	local $ENV{NO_COLOR} = '';
	($out) = wflog_terminal(100, [ 'logs', 'e1', '-l', 'error' ]);
	like($out, qr/\e\[31m/, 'an empty NO_COLOR says nothing');
}
{
	local $ENV{TERM} = 'dumb';
	($out) = wflog_terminal(100, [ 'logs', 'e1' ]);
	unlike($out, qr/\e/, 'a dumb terminal');
}
($out) = wflog_terminal(100, [ 'logs', 'e1', '--color=never' ]);
unlike($out, qr/\e/, '--color=never');
{
	local $ENV{LC_ALL} = 'C';
	($out) = wflog_terminal(100, [ 'logs', 'e1' ]);
	unlike($out, qr/[\x80-\xff]/, 'a terminal without UTF-8 gets ASCII');
	like(plain($out), qr/INFO \*extract begin/, 'marks, too');
}

# ---- progress

my $input = PostgreSQL::Test::Utils::tempdir() . '/in.ndjson';
append_to_file($input, qq({"execution_id":"in","message":"m $_"}\n)) for 1 .. 500;
foreach my $columns (100, 40)
{
	($out, $status) = wflog_terminal($columns, [ 'ingest', $input ]);
	is($status, 0, "ingest in a window of $columns columns");
	my @drawn = $out =~ /\r([^\r\n\e]+)\e\[K/g;
	like($drawn[0] // '', $columns == 100 ? qr/^\[[#.]{24}\] +\d+%  \d+ logs  \d+\/s/ : qr/^ *\d+%  \d+ logs  \d+\/s/, 'how far it is');
	is(join('', grep { length >= $columns } @drawn), '', 'on one line');
	like($out, qr/\r\e\[Kwflog: 500 logs in \d+\.\d s, \d+\/s, \d+\.\d MB\/s\n\z/, 'and what was done, in its place');
}
($out) = wflog_terminal(100, [ 'ingest', '-q', $input ]);
is($out, '', '--quiet');

# ---- following

($out, $status) = wflog_terminal(
	80,
	[ 'logs', 'e1', '-f', '-n', '1' ],
	sub {
		my ($terminal, $written) = @_;
		print $terminal "\cC" if $written =~ /averyvery.*\n/s && $written !~ /\^C/;
	});
is($status, 130, 'Ctrl-C is 130');

my $resized = 0;
$node->safe_psql('postgres', q{SELECT wflog.start_execution('e2', 'nightly')});
($out, $status) = wflog_terminal(
	120,
	[ 'logs', 'e2', '-f' ],
	sub {
		my ($terminal, $written, $child) = @_;
		if ($written =~ /one/ && !$resized++)
		{
			$terminal->slave->set_winsize(24, 40, 0, 0);
			$terminal->close_slave;		# newer versions keep it, and there would be no end
			kill 'WINCH', $child;
			$node->safe_psql('postgres', q{SELECT wflog.log('e2', repeat('two ', 30)), wflog.set_execution_status('e2', 'SUCCESS')});
		}
		$node->safe_psql('postgres', q{SELECT wflog.log('e2', repeat('one ', 24))}) if $written =~ /asking/ && $written !~ /one/;
	});
is($status, 0, 'an execution is followed in a window');
like(plain($out), qr/^\S+ INFO  (one ){23}one $/m, 'of 120 columns');
like(plain($out), qr/^\S+ I (two ){6}two$/m, 'and of 40, when it is made smaller') or diag($out);

# ---- watching

$node->safe_psql('postgres', q{
	SELECT wflog.start_execution('e3', 'nightly');
	SELECT wflog.log('e3', 'started', event_type => 'step_started', node_id => 'a')});
my ($failed, $ended) = (0, 0);
($out, $status) = wflog_terminal(
	80,
	[ 'inspect', 'e3', '--watch' ],
	sub {
		my ($terminal, $written) = ($_[0], plain($_[1]));
		$node->safe_psql('postgres', q{SELECT wflog.log('e3', 'boom', level => 'ERROR', event_type => 'step_error', node_id => 'a', stack_trace => 'a.c:1')})
		  if $written =~ /a  running/ && !$failed++;
		$node->safe_psql('postgres', q{SELECT wflog.set_execution_status('e3', 'FAILED', 'gave up')})
		  if $written =~ /a  failed/ && !$ended++;
	});
is($status, 0, 'inspect --watch ends when the execution does');
like(plain($out), qr/^\e\[\?1049h.*RUNNING: still running/s, 'takes the screen, and says that it is still running')
  or diag($out);
like(plain($out), qr/\e\[\?1049l.*Status     FAILED after .*a\.c:1.*FAILED  *RUNNING -> FAILED/s, 'gives it back with the last word')
  or diag($out);

$node->safe_psql('postgres', q{SELECT wflog.start_execution('e4', 'nightly')});
($out, $status) = wflog_terminal(80, [ 'inspect', 'e4', '--watch' ], sub { $_[0]->print("\cC") if $_[1] =~ /still running/ && $_[1] !~ /\^C/ });
is($status, 130, 'Ctrl-C while watching');
like($out, qr/\e\[\?25h\e\[\?1049l/, 'gives the screen back');
# The second may come at any moment of what the first one sets going.  Not from the
# keyboard: for each ^C the terminal throws away what has not been read yet.
my @kept;
for (1 .. 15)
{
	my $sent = 0;
	($out, $status) = wflog_terminal(80, [ 'inspect', 'e4', '--watch' ], sub { kill 'INT', $_[2], $_[2] if $_[1] =~ /still running/ && !$sent++ });
	push @kept, "$status: $out" unless $status == 130 && $out =~ /\e\[\?25h\e\[\?1049l/;
}
is("@kept", '', 'a second signal: the screen is given back, too');

# ---- a password is asked for in the terminal

$node->safe_psql('postgres', q{SET password_encryption = 'scram-sha-256'; CREATE ROLE alice LOGIN PASSWORD 'sesame' IN ROLE wflog_reader});
unlink($node->data_dir . '/pg_hba.conf');
$node->append_conf('pg_hba.conf', "local all alice scram-sha-256\nlocal all all trust\n");
$node->reload;
my $asked = 0;
($out, $status) = wflog_terminal(80, [ 'ls', '-U', 'alice' ], sub { $_[0]->print("sesame\n") if $_[1] =~ /Password for user alice: $/ && !$asked++ });
is($status, 0, 'a password is asked for');
like(plain($out), qr/e1 +RUNNING/, 'and used');
unlike($out, qr/sesame/, 'and not shown');
$asked = 0;
($out, $status) = wflog_terminal(80, [ 'ls', '-U', 'alice', '-W' ], sub { $_[0]->print("wrong\n") if $_[1] =~ /Password for user alice: $/ && !$asked++ });
is($status, 3, 'a wrong one');
like($out, qr/password authentication failed for user "alice"/, 'is said to be wrong');

$node->stop;
done_testing();
