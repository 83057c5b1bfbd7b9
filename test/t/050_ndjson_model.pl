# Model test of the reader of JSON lines (test/fuzz/ndjson.c) under the
# address and undefined-behaviour sanitizers, which needs no server.
use strict;
use warnings FATAL => 'all';

use File::Temp qw(tempdir);
use Test::More;

my $cc = $ENV{CC} || 'cc';
my $dir = tempdir(CLEANUP => 1);
my @build = ($cc, qw(-g -O1 -Isrc -o), "$dir/model",
	qw(test/fuzz/ndjson.c src/ndjson.c src/ndjson_string.c));

# A compiler without the sanitizers' libraries still runs the model.
my $sanitized = system("@build -fsanitize=address,undefined -fno-sanitize-recover=all 2>/dev/null") == 0;
if (!$sanitized && system("@build") != 0)
{
	plan skip_all => "no working C compiler ($cc)";
}
note($sanitized ? 'with sanitizers' : 'without sanitizers');

my $rounds = $ENV{WFLOG_FUZZ_ROUNDS} || 50_000;
my $output = `$dir/model $rounds 2>&1`;
is($?, 0, 'every line keeps the rules') or diag($output);
like($output, qr/^$rounds rounds/, 'all rounds were run');

done_testing();
