# What "wflog run" and "wflog ingest" are made of, without a server: their
# readers on known input (test/client/capture.c) and on random input
# (test/fuzz/capture.c), and the spool of a wrapper that is killed at any byte
# of any write (test/client/spool.c), all under the address and
# undefined-behaviour sanitizers.
use strict;
use warnings FATAL => 'all';

use File::Temp qw(tempdir);
use Test::More;

my $cc = $ENV{CC} || 'cc';
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
my $dir = tempdir(CLEANUP => 1);

# Build a program; a compiler without the sanitizers' libraries still runs it.
sub build
{
	my ($program, @command) = @_;
	my $line = "$cc -g -O1 -D_GNU_SOURCE -Isrc/client -Isrc -Itest/fuzz -o $dir/$program @command";
	my $sanitized =
	  system("$line -fsanitize=address,undefined -fno-sanitize-recover=all 2>/dev/null") == 0;

	note($sanitized ? "$program with sanitizers" : "$program without sanitizers");
	return $sanitized || system($line) == 0;
}

sub sources
{
	return map { "src/client/$_.c" } @_;
}

my @readers = (
	sources(qw(lines redact structured csv columns convert unescape encode buffer)),
	'src/ndjson.c', 'src/ndjson_string.c');

plan skip_all => "no working C compiler ($cc)"
  unless build('readers', 'test/client/capture.c', @readers);

my $output = `$dir/readers 2>&1`;
is($?, 0, 'the readers read what is known as it should be read')
  or diag(join '', grep { /^not ok|^#|ERROR|error/ } split /^/, $output);
like($output, qr/^1\.\.\d+$/m, 'all of it was read');

ok(build('model', 'test/fuzz/capture.c', @readers), 'the model is built');
my $rounds = $ENV{WFLOG_FUZZ_ROUNDS} || 20_000;
$output = `$dir/model $rounds 2>&1`;
is($?, 0, 'whatever is printed keeps the rules') or diag($output);
like($output, qr/^$rounds rounds/, 'all rounds were run');

SKIP:
{
	chomp(my $include = `$pg_config --includedir-server 2>/dev/null`);
	chomp(my $more = `$pg_config --includedir 2>/dev/null`);
	chomp(my $lib = `$pg_config --pkglibdir 2>/dev/null`);
	skip 'no pg_config', 3 unless $include;

	ok( build(
			'spool', 'test/client/spool.c',
			'-Dpwrite=test_pwrite -Dftruncate=test_ftruncate -Dfallocate=test_fallocate',
			'-Wno-format-truncation', "-I$include -I$more",
			sources(qw(spool spool_read spool_write encode buffer)),
			"-L$lib -lpgport"),
		'the model of the spool is built');
	my $kills = $ENV{WFLOG_TEST_SPOOL_ROUNDS} || 60;
	$output = `$dir/spool $kills $dir 2>&1`;
	is($?, 0, 'a spool gives each line once, wherever its writer was killed') or diag($output);
	like($output, qr/^$kills rounds, [1-9]\d* batches sent again/, 'batches were sent again');
}

done_testing();
