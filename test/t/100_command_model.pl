# The command's parsers, which need no server: known input (test/client/parsers.c)
# and random input (test/fuzz/command.c), both under the address and
# undefined-behaviour sanitizers.
use strict;
use warnings FATAL => 'all';

use File::Temp qw(tempdir);
use Test::More;

my $cc = $ENV{CC} || 'cc';
my $dir = tempdir(CLEANUP => 1);
my @sources = map { "src/client/$_.c" } qw(timeparse calendar text jsonscan buffer);

# Build a program; a compiler without the sanitizers' libraries still runs it.
sub build
{
	my ($program, $source) = @_;
	my @command = ($cc, qw(-g -O1 -Isrc/client -o), "$dir/$program", $source, @sources);
	my $sanitized =
	  system("@command -fsanitize=address,undefined -fno-sanitize-recover=all 2>/dev/null") == 0;
	note($sanitized ? 'with sanitizers' : 'without sanitizers');
	return $sanitized || system("@command") == 0;
}

plan skip_all => "no working C compiler ($cc)" unless build('parsers', 'test/client/parsers.c');

my $output = `$dir/parsers 2>&1`;
is($?, 0, 'the parsers read what is known as it should be read')
  or diag(join '', grep { /^not ok|^#|ERROR|error/ } split /^/, $output);
like($output, qr/^1\.\.\d+$/m, 'all of it was read');

my $rounds = $ENV{WFLOG_FUZZ_ROUNDS} || 20_000;
ok(build('model', 'test/fuzz/command.c'), 'the model is built');
$output = `$dir/model $rounds 2>&1`;
is($?, 0, 'whatever is read keeps the rules') or diag($output);
like($output, qr/^$rounds rounds/, 'all rounds were run');

done_testing();
