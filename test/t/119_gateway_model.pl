# What wflog serve reads from others, without a server: requests, queries, batches,
# tokens, keys, what proxies say, ids of streams, notifications.  The targets of
# test/fuzz/ on their corpus and on what is made of it at random, under the address
# and undefined-behaviour sanitizers.
use strict;
use warnings FATAL => 'all';

use File::Temp qw(tempdir);
use Test::More;
use Time::HiRes qw(time);

my $cc = $ENV{CC} || 'cc';
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
my $dir = tempdir(CLEANUP => 1);
my $libraries = 'libevent_core cjose jansson';
my $seed = $ENV{WFLOG_TEST_SEED} || int(time() * 1000) % 1_000_000;

# How many inputs; that of requests needs nothing but a C library.
my %rounds = (http => 3_000, query => 20_000, batch => 20_000, token => 10_000, signature => 2_000, jwks => 10_000,
	forwarded => 10_000, stream_id => 20_000, notification => 10_000);

chomp(my $flags = `pkg-config --cflags $libraries 2>/dev/null`);
my $have_libraries = $? == 0;
chomp(my $linked = `pkg-config --libs $libraries 2>/dev/null`);
chomp(my ($server, $include, $lib) = map { scalar `$pg_config $_ 2>/dev/null` } qw(--includedir-server --includedir --pkglibdir));

sub slurp
{
	my ($file) = @_;
	open my $in, '<', $file or die "$file: $!";
	local $/;
	return scalar <$in>;
}

# A compiler without the sanitizers' libraries still runs the targets.
sub build
{
	my ($name) = @_;
	my ($sources) = slurp("test/fuzz/$name.c") =~ /^ \* Sources: (.*)$/m;
	my $line = "$cc -g -O1 -D_GNU_SOURCE -Isrc/gateway -Isrc/client -Isrc -o $dir/$name test/fuzz/driver.c test/fuzz/$name.c $sources";
	$line .= " -I$server -I$include $flags -Wno-format-truncation $linked -lcrypto -L$lib -lpgcommon -lpgport" if $name ne 'http';
	my $sanitized = system("$line -fsanitize=address,undefined -fno-sanitize-recover=all 2>/dev/null") == 0;
	note("$name: " . ($sanitized ? 'with sanitizers' : 'without sanitizers'));
	return $sanitized || system($line) == 0;
}

plan skip_all => "no working C compiler ($cc)" if system("echo 'int main(void) { return 0; }' | $cc -x c -o $dir/c - 2>/dev/null") != 0;
foreach my $name (sort keys %rounds)
{
	my $rounds = $ENV{WFLOG_FUZZ_ROUNDS} || $rounds{$name};
	SKIP:
	{
		skip "wflog is built without serve here: $libraries", 3 unless $have_libraries || $name eq 'http';
		ok(build($name), "$name is built");
		my $output = `$dir/$name $rounds test/fuzz/corpus/$name $seed 2>&1`;
		is($?, 0, "whatever is read keeps the rules (WFLOG_TEST_SEED=$seed)") or diag($output);
		like($output, qr/^$rounds rounds/m, 'all rounds were run');
		note($output);
	}
}
done_testing();
