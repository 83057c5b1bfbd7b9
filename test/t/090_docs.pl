# Keeps the documentation honest:
#
# - the reference names every function with its arguments, every setting with
#   its default and range, every table's columns and every SQLSTATE of the
#   sources, and nothing of that kind that does not exist;
# - blocks of SQL that follow <!-- test --> run without error, one file's
#   blocks in order in one psql session on a new database, and those that
#   follow <!-- test: error --> fail;
# - links between documents lead somewhere.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = File::Spec->rel2abs(dirname(__FILE__) . '/../..');
my @documents = map { File::Spec->abs2rel($_, $root) } grep { -f }
  glob("$root/*.md $root/docs/*.md $root/docs/decisions/*.md $root/bench/*.md $root/test/*.md");
my %text = map { $_ => slurp_file("$root/$_") } @documents;
my $reference = $text{'docs/reference.md'};
ok($reference, 'there is a reference') or BAIL_OUT('docs/reference.md is missing');

my $node = PostgreSQL::Test::Cluster->new('docs');
$node->init;
$node->append_conf('postgresql.conf', "max_prepared_transactions = 5\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION wflog');

# Rows of a query, each a list.
sub rows
{
	my ($query) = @_;
	my $out = $node->safe_psql('postgres', $query);
	return map { [ split /\|/, $_, -1 ] } split /\n/, $out;
}

# What is in one set and not in the other.
sub missing
{
	my ($wanted, $there) = @_;
	my %there = map { $_ => 1 } @$there;
	return join ' ', sort grep { !$there{$_} } @$wanted;
}

# The text below a heading, up to the next one of its level or above.
sub section
{
	my ($text, $heading) = @_;
	return '' unless $text =~ /^(#+) \Q$heading\E[ \t]*\n/m;
	my ($level, $rest) = (length $1, substr($text, $+[0]));
	$rest =~ s/^#{1,$level} .*//ms;
	return $rest;
}

sub unique
{
	my %seen = map { $_ => 1 } @_;
	return sort keys %seen;
}

# ---- functions

my @functions = rows(q{SELECT proname, array_to_string(proargnames[1:pronargs], ' ')
	FROM pg_proc WHERE pronamespace = 'wflog'::regnamespace});
my @names = unique(map { $_->[0] } @functions);
my @described = unique($reference =~ /wflog\.(\w+)\(/g);
is(missing(\@names, \@described), '', 'every function is in the reference');
foreach my $document (@documents)
{
	my @named = unique($text{$document} =~ /\bwflog\.(\w+)\((?!255)/g);
	my @relations = map { $_->[0] }
	  rows(q{SELECT relname FROM pg_class WHERE relnamespace = 'wflog'::regnamespace});
	# "INSERT INTO wflog.table(columns)" is no function
	is(missing([ grep { my $name = $_; !grep { $_ eq $name } @relations } @named ], \@names),
		'', "$document names functions that exist");
}

my ($filters) = section($reference, 'Reading') =~ /^(FILTERS.*?)^### /ms;
foreach my $function (@functions)
{
	my ($name, $arguments) = @$function;
	next unless $arguments;
	my ($signature) = $reference =~ /^((?:CALL |\| `|`)?wflog\.$name\(.*?\))(?:\s+→| *\n)/ms;
	$signature //= '';
	$signature .= $filters if $signature =~ /FILTERS/;
	is(missing([ split / /, $arguments ], [ $signature =~ /(\w+)/g ]),
		'', "every argument of $name() is in its signature");
}

# ---- settings

my @settings = rows(q{LOAD 'wflog'; SELECT name, boot_val, min_val, max_val FROM pg_settings
	WHERE name LIKE 'wflog.%' AND name <> 'wflog.fault'});	# which only builds for tests have
my $table = section($reference, 'Settings');
is( missing([ map { $_->[0] } @settings ], [ $table =~ /^\| `(wflog\.\w+)` \|/mg ]),
	'', 'every setting is in the reference');
is( missing([ $table =~ /^\| `(wflog\.\w+)` \|/mg ], [ map { $_->[0] } @settings ]),
	'', 'every setting of the reference exists');
foreach my $setting (@settings)
{
	my ($name, $default, $min, $max) = @$setting;
	my $row = qr/^\| `\Q$name\E` \| \Q$default\E \| /m;
	$row = qr/$row\Q$min\E – \Q$max\E \| / if $min ne '';
	like($table, $row, "default and range of $name");
}

# ---- tables and types

foreach my $relation (
	rows(q{SELECT c.relname, string_agg(a.attname, ' ') FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = 'wflog'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
		AND c.relname NOT LIKE 'workflow\_execution\_logs\__%' GROUP BY 1}))
{
	my ($name, $columns) = @$relation;
	my $part = section($reference, $name);
	($part) = $reference =~ /^(\| `$name` \|.*)/m unless $part;
	is(missing([ split / /, $columns ], [ ($part // '') =~ /`(\w+)`/g ]),
		'', "every column of $name is in the reference");
}
foreach my $enum (
	rows(q{SELECT typname, string_agg(enumlabel, ', ' ORDER BY enumsortorder)
		FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid WHERE typnamespace = 'wflog'::regnamespace GROUP BY 1}))
{
	like($reference, qr/^\| `wflog\.$enum->[0]` \| \Q$enum->[1]\E \|/m, "values of $enum->[0]");
}

# ---- SQLSTATEs

SKIP:
{
	my ($stdout, $stderr) = run_command([ 'pg_config', '--sharedir' ]);
	chomp $stdout;
	skip 'PostgreSQL came without errcodes.txt', 3 unless -f "$stdout/errcodes.txt";
	my %sqlstate = reverse slurp_file("$stdout/errcodes.txt") =~ /^(\w{5})\s+\w\s+(ERRCODE_\w+)/mg;
	my @raised;
	foreach my $file (glob("$root/src/*.c $root/src/*.h"))
	{
		my $source = slurp_file($file);
		while ($source =~ /#define\s+(ERRCODE_\w+)\s+MAKE_SQLSTATE\(([^)]*)\)/g)
		{
			my ($name, $letters) = ($1, $2);
			$sqlstate{$name} = $letters =~ s/\W//gr;
		}
	}
	foreach my $file (glob("$root/src/*.c"))
	{
		push @raised, slurp_file($file) =~ /errcode\((ERRCODE_\w+)\)/g;
	}
	is(join(' ', unique(grep { !$sqlstate{$_} } @raised)), '', 'every error code is known');
	my @codes = unique(map { $sqlstate{$_} // () } @raised);
	my @documented = section($reference, 'Errors') =~ /^\| `(\w{5})` \|/mg;
	is(missing(\@codes, \@documented), '', 'every SQLSTATE of the sources is in the reference');
	is(missing(\@documented, \@codes), '', 'every SQLSTATE of the reference is in the sources');
}

# ---- SQL that must run

# What sqlite3 exports by the commands in docs/importing.md.
my %files = (
	'execution_logs.csv' => <<'CSV',
1,e7,\N,1731900000123,INFO,scheduler,started,\N
2,e7,fetch,1731900001000,WARN,plugin:core/http.get,"slow, ""very""
second line","{""attempt"": 2, ""ms"": 900}"
3,e7,fetch,1731900002000,ERROR,worker,failed,"{""attempt"": ""2"", ""error"": {""stack"":""x""}}"
4,e7,fetch,1731900002500,DEBUG,worker,"","not json"
CSV
	'execution_audit_events.csv' => <<'CSV');
1,e7,CREATED,1731899999000,"{""to"":""PENDING""}"
2,e7,STARTED,1731900000000,"{""from"":""PENDING"",""to"":""RUNNING""}"
3,e7,FAILED,1731900003000,"{""from"":""RUNNING"",""to"":""FAILED""}"
CSV

foreach my $document (@documents)
{
	my @blocks;
	push @blocks, [ $1 // '', $2 ]
	  while $text{$document} =~ /^<!-- test(: error)? -->\s*\n```sql\n(.*?)^```/msg;
	next unless @blocks;

	my $script = "\\set ON_ERROR_STOP on\n";
	my $number = 0;
	foreach my $block (@blocks)
	{
		my ($fails, $sql) = @$block;
		$number++;
		$script .= "\\echo block $number\n";
		if ($fails)
		{
			# the last statement is the one that fails
			$script .= "\\set ON_ERROR_STOP off\n$sql"
			  . "\\if :ERROR\n\\else\n\\warn block $number did not fail\n\\quit\n\\endif\n"
			  . "\\set ON_ERROR_STOP on\n";
		}
		else
		{
			$script .= $sql;
		}
	}
	$script .= "\\echo end\n";
	$node->safe_psql('postgres', 'CREATE DATABASE document');
	my $work = PostgreSQL::Test::Utils::tempdir();
	append_to_file("$work/script.sql", $script);
	append_to_file("$work/$_", $files{$_}) foreach keys %files;
	my ($stdout, $stderr);
	IPC::Run::run(
		[ 'psql', '-X', '-q', '-d', $node->connstr('document'), '-f', "$work/script.sql" ],
		'>', \$stdout, '2>', \$stderr,
		init => sub { chdir $work });
	like($stdout, qr/^end$/m, "$document: $number blocks of SQL run")
	  or diag("$stdout\n$stderr");
	$node->safe_psql('postgres', 'DROP DATABASE document');
	# roles belong to the cluster and would be in the next document's way
	foreach my $role (rows(q{SELECT quote_ident(rolname) FROM pg_roles WHERE rolname !~ '^(pg_|wflog_)' AND oid >= 16384}))
	{
		$node->safe_psql('postgres', "DROP ROLE $role->[0]");
	}
}

# ---- links

# The anchor GitHub makes of a heading.
sub anchor
{
	my ($heading) = @_;
	$heading = lc $heading;
	$heading =~ s/[^\w\s-]//g;
	$heading =~ s/\s/-/g;
	return $heading;
}

foreach my $document (@documents)
{
	my $prose = $text{$document} =~ s/^```.*?^```//msgr;
	my @dead;
	while ($prose =~ /\]\(([^)\s]+)\)/g)
	{
		my ($path, $anchor) = split /#/, $1, 2;
		next if $path =~ /^[a-z]+:/;
		my $target = $path eq '' ? $document
		  : File::Spec->abs2rel(
			File::Spec->catfile($root, dirname($document), $path), $root);
		1 while $target =~ s{(^|/)(?!\.\./)[^/]+/\.\./}{$1};
		if (!-e "$root/$target")
		{
			push @dead, $path;
		}
		elsif (defined $anchor && defined $text{$target})
		{
			my @anchors = map { anchor($_) } $text{$target} =~ /^#+ +(.*?)\s*$/mg;
			push @dead, "$path#$anchor" unless grep { $_ eq $anchor } @anchors;
		}
	}
	is(join(' ', @dead), '', "links of $document");
}

done_testing();
