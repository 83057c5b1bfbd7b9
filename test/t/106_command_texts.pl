# What is written about the command agrees with it: every option of each
# subcommand's help is in docs/command.md (or its own document) and, for those
# that the manual page lists, there; the manual page is good roff; bash completes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Utils;
use Test::More;
use WflogCommand;

my $root = "$FindBin::RealBin/../..";
my $document = join '', map { slurp_file($_) } glob("$root/docs/command*.md $root/docs/capture*.md");
my $manual = slurp_file("$root/docs/wflog.1");
my @subcommands = wflog_ok('--help') =~ /^  (\w+) {2,}\S/mg;
my $connection = join '|', map { "--$_" } qw(dbname host port username no-password password help);

foreach my $subcommand (@subcommands)
{
	like($document, qr/^## $subcommand$/m, "$subcommand has a section");
	like($manual, qr/^\.SS $subcommand$/m, "and one in the manual page");
	my %options = map { $_ => 1 } grep { !/^($connection)$/ } wflog_ok($subcommand, '--help') =~ /(?<![\w-])(--[a-z][a-z-]+)/g;
	is(join(' ', grep { $document !~ /\Q$_\E(?![a-z-])/ } sort keys %options), '', "docs/command.md has the options of $subcommand");
	is(join(' ', grep { $manual !~ /\Q$_\E(?![a-z-])/ } sort keys %options), '', "the manual page has the options of $subcommand");
}

# What the documents say of options exists.
foreach my $subcommand (@subcommands)
{
	my ($section) = $document =~ /^## $subcommand\n(.*?)^## /ms;
	my $help = wflog_ok($subcommand, '--help');
	my %named = map { $_ => 1 } map { /(?<![\w-])(--[a-z][a-z-]+)/g } $section =~ /^\| (.*?) \|/mg;
	is(join(' ', grep { $help !~ /\Q$_\E/ } sort keys %named), '', "$subcommand has the options that docs/command.md lists");
}

SKIP:
{
	skip 'no groff', 1 unless `groff --version 2>/dev/null`;
	is(`groff -man -Tutf8 -ww -z "$root/docs/wflog.1" 2>&1`, '', 'the manual page is good roff');
}

# Completion, without a server.
sub completed
{
	my (@words) = @_;
	my $words = join ' ', map { "'$_'" } @words;
	my $out = `bash -c '. "$root/src/client/wflog.bash"; COMP_WORDS=("\$@"); COMP_CWORD=\$((\$# - 1)); _wflog; echo "\${COMPREPLY[*]}"' bash $words 2>&1`;
	chomp $out;
	return $out;
}
SKIP:
{
	skip 'no bash', 6 unless `bash -c 'echo \$BASH_VERSION'`;
	local $ENV{PGHOST} = '/nowhere';
	is(completed('wflog', 'mai'), 'maintain', 'bash completes a subcommand');
	is(completed('wflog', 'logs', '--foll'), '--follow', 'an option');
	is(completed('wflog', 'logs', '--lev'), '--level-exact --level=', 'options');
	is(completed('wflog', 'logs', '--level', 'w'), 'warning', 'a value');
	is(completed('wflog', 'logs', '--output', '=', 'nd'), 'ndjson', 'a value behind =');
	is(completed('wflog', 'logs', 'x'), '', 'no execution without a server');
}

done_testing();
