# The data: the same logs in S1's table and in wflog's.
package Bench::Data;

use strict;
use warnings;

use Time::HiRes qw(time);

# What both sides are given; id and, when writing today's logs, created_at are
# left to each table's own default.
our @columns = qw(execution_id log_category event_type level message data node_id node_name
  node_type step_number total_steps duration_seconds user_friendly_message display_priority
  is_milestone);

sub columns { return join ', ', @columns }

sub new
{
	my ($class, %opt) = @_;
	my $self = bless {%opt}, $class;
	my $scale = $opt{quick} ? 0.06 : 1;

	$self->{rows} = 5_000_000 * $scale;    # the preload, the giant's included
	$self->{giant} = 1_000_000 * $scale;
	$self->{chunk} = 250_000 * $scale;     # rows of one COPY of the preload
	$self->{copy} = $opt{quick} ? 20_000 : 200_000;    # rows of one measured COPY
	$self->{days} = 30;

	# Executions that have all their 900 logs.
	$self->{complete} = int(($self->{rows} - $self->{giant}) / 57_600) * 64;
	$self->{executions} = $self->{complete} + 64;
	$self->{thousand} = 16;                # executions of exactly 1,000 logs
	$self->{next_execution} = int(time);        # a later run with --reuse begins beyond
	return $self;
}

sub dir { return $_[0]{cluster}{dir} }

sub build
{
	my ($self) = @_;
	my $cluster = $self->{cluster};
	my $sql = "$cluster->{here}/sql";
	my $start = time;

	print "Building $self->{rows} logs in " . $self->dir . " ...\n";
	$cluster->sql('CREATE DATABASE bench', db => 'postgres');
	$cluster->file("$sql/s1.sql");
	$cluster->sql('CREATE EXTENSION wflog');
	$cluster->file("$sql/generate.sql");
	$cluster->file("$sql/register.sql",
		set => { executions => $self->{executions}, thousand => $self->{thousand} });
	$self->make_leaves;
	my $generated = $self->write_preload;
	printf "  generated after %.0f s\n", time - $start;
	$cluster->parallel(map
		{
			my $table = $_;
			sub { $self->load($table, 'created_at', @$generated) }
		} 's1.workflow_execution_logs', 'wflog.workflow_execution_logs');
	unlink @$generated;
	printf "  loaded after %.0f s\n", time - $start;
	$self->add_thousands;
	$cluster->quiesce;
	printf "  folded after %.0f s\n", time - $start;
	$self->settle;
	printf "  ready after %.0f s\n", time - $start;
	return;
}

# One leaf a day for the whole preload.  maintain() makes the leaves that rows
# in the default leaf ask for, so each day asks with one.
sub make_leaves
{
	my ($self) = @_;

	$self->{cluster}->sql(qq{
		INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at)
		SELECT 'leaf', 'leaf', now() - d * interval '1 day' FROM generate_series(0, $self->{days}) AS d;
		CALL wflog.maintain();
		DELETE FROM wflog.workflow_execution_logs WHERE execution_id = 'leaf';
	});
	return;
}

# Generate the preload into files, two at a time.
sub write_preload
{
	my ($self) = @_;
	my $giant_from = int($self->{rows} * 0.4);
	my $step = $self->{days} * 86_400 / $self->{rows};
	my $first = $self->{cluster}->sql("SELECT now() - interval '$self->{days} days'");
	my @files;

	for (my $lo = 0; $lo < $self->{rows}; $lo += $self->{chunk})
	{
		push @files, [ sprintf('%s/preload.%09d', $self->dir, $lo), $lo ];
	}
	$self->{cluster}->parallel(map
		{
			my $half = $_;
			sub {
				for my $i (grep { $_ % 2 == $half } 0 .. $#files)
				{
					my ($file, $lo) = @{ $files[$i] };
					my $hi = $lo + $self->{chunk};
					$self->{cluster}->sql("COPY (SELECT * FROM bench.stream($lo, $hi, $giant_from,"
						  . " $self->{giant}, '$first', '$step seconds')) TO '$file'");
				}
			}
		} 0, 1);
	return [ map { $_->[0] } @files ];
}

sub load
{
	my ($self, $table, $more, @files) = @_;
	my $columns = columns() . ($more ? ", $more" : '');

	$self->{cluster}->sql("COPY $table ($columns) FROM '$_'") for @files;
	return;
}

# Executions of exactly 1,000 logs, for the measurement of JSON.
sub add_thousands
{
	my ($self) = @_;
	my $columns = columns();
	my $enums = sub {
		my ($schema) = @_;
		my $list = $columns;
		$list =~ s/execution_id/bench.eid(-2 - n % $self->{thousand})/;
		$list =~ s/event_type/event_type::$schema.log_event_type_enum/;
		$list =~ s/level/level::$schema.log_level_enum/;
		$list =~ s/data/data::jsonb/;
		return $list;
	};
	my $hi = $self->{thousand} * 1000;

	for my $schema ('s1', 'wflog')
	{
		$self->{cluster}->sql("INSERT INTO $schema.workflow_execution_logs ($columns, created_at)"
			  . ' SELECT ' . $enums->($schema) . ", now() - interval '1 hour' + n * interval '1 ms'"
			  . " FROM bench.entries(0, $hi)");
	}
	return;
}

# Vacuum and analyse both sides, and write everything out.
sub settle
{
	my ($self) = @_;
	my $leaves = $self->{cluster}->sql(q{
		SELECT string_agg(format('%s', relid::regclass), ', ')
		FROM pg_partition_tree('wflog.workflow_execution_logs') WHERE isleaf});

	$self->{cluster}->parallel(
		sub { $self->{cluster}->sql("VACUUM ANALYZE $leaves; ANALYZE wflog.workflow_execution_logs") },
		sub { $self->{cluster}->sql('VACUUM ANALYZE s1.workflow_execution_logs') });
	$self->{cluster}->sql('VACUUM ANALYZE wflog.rollup_heads, wflog.rollups, wflog.rollup_milestones,'
		  . ' wflog.rollup_marks, wflog.rollup_leaves');
	$self->{cluster}->sql('VACUUM ANALYZE s1.workflows, s1.workflow_executions,'
		  . ' wflog.workflows, wflog.workflow_executions; CHECKPOINT');
	return;
}

# A file of today's logs of executions that nothing has been logged for yet.
sub today_file
{
	my ($self, $name) = @_;
	my $file = $self->dir . "/$name";

	$self->{cluster}->sql("COPY (SELECT * FROM bench.today(0, $self->{copy}, $self->{next_execution})) TO '$file'");
	$self->{next_execution} += 100_000;
	return $file;
}

# Have executions folded that were not: their readers ask for it.
sub fold
{
	my ($self, @executions) = @_;

	$self->{cluster}->sql("SELECT length(wflog.summary($_)::text)") for @executions;
	$self->{cluster}->quiesce;
	return;
}

sub giant { return $_[0]{cluster}->sql('SELECT bench.eid(-1)') }

1;
