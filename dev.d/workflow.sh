# The demo's workflow: it builds and tests this very extension.
#
# A small engine, as any would: it registers the execution, runs each step through
# "wflog run", tries a failed one again, and ends it. It connects as a role that may
# write. Meanwhile a user who may read what is hers follows with "wflog logs --follow".

# Quote as an SQL literal.
lit()
{
	printf "'%s'" "${1//\'/\'\'}"
}

# A statement of the engine.
engine()
{
	demo_connect engine -q -v ON_ERROR_STOP=1 -c "$1" >/dev/null 9>&-
}

# The command, as a user given first. What it runs is a superuser of the cluster.
demo_wflog()
{
	local user=$1 subcommand=$2
	shift 2
	as_user_in "$demo_dir/work" env PATH="$demo_bin:$PATH" WFLOG_SPOOL_DIR="$demo_dir/spool" \
		PGHOST="$demo_socket" PGUSER=postgres wflog "$subcommand" -U "$user" -d postgres "$@" 9>&-
}

# What a user who is no engineer is told.
engine_tell()
{
	local message=$1
	shift
	engine "SELECT wflog.log($(lit "$execution"), $(lit "$message"), log_category => 'business',
		is_milestone => true, display_priority => 8, source => 'scheduler'$(printf ', %s' "$@"));"
}

engine_status()
{
	local status=$1
	shift
	engine "SELECT wflog.set_execution_status($(lit "$execution"), '$status'$(
		[ $# -eq 0 ] || printf ', %s' "$@"));"
}

# Run a command as a step: demo_step NUMBER ID NAME ATTEMPT COMMAND...
demo_step()
{
	local number=$1 id=$2 name=$3 attempt=$4
	shift 4
	demo_wflog engine run --execution "$execution" --task "$id" --name "$name" --attempt "$attempt" \
		--source "plugin:demo/shell.$id" --step "$number" --total-steps "$steps" --milestone -- \
		"$@" </dev/null
}

# Log the end of a file as a batch of its own. The key makes it safe to send again;
# so it is sent twice, and stored once.
demo_ingest_file()
{
	local file=$1 try
	for try in 1 2; do
		as_user tail -n 8 "$file" | awk '
			{
				gsub(/\\/, "\\\\"); gsub(/"/, "\\\""); gsub(/[\001-\037]/, " ")
				printf "{\"message\":\"%s\"}\n", $0
			}' | demo_wflog engine ingest -q --execution "$execution" --set level=DEBUG \
			--set node_id=test --set source=worker --producer-key "$execution/postmaster.log"
	done
}

demo_workflow()
{
	local steps=6 work=$demo_dir/work tests='' test follower outcome=SUCCESS
	execution=build-$(date -u +%Y%m%d-%H%M%S)

	copy_tree "$work"
	for test in executions audit writing reading; do
		[ ! -e "$root/test/sql/$test.sql" ] || tests+="$test "
	done

	say "running the workflow: building and testing wflog, execution $execution"
	echo "(as alice sees it: wflog logs $execution --follow)"
	echo
	engine "SELECT wflog.start_execution($(lit "$execution"), 'build-wflog', status => 'PENDING',
		user_id => 'alice', workflow_name => 'Build and test wflog', tier => 'free');"
	demo_wflog alice logs "$execution" --follow &
	follower=$!
	# shellcheck disable=SC2064
	trap "kill $follower 2>/dev/null || true" EXIT
	engine_status RUNNING
	engine_tell "workflow started by ./dev demo" "event_type => 'workflow_started'" \
		"user_friendly_message => 'Your build has started'" "progress_percentage => 0"

	demo_step 1 configure "Look around" 1 sh -c '
		"$1" --version; gcc --version | head -n 1; clang --version | head -n 1
		echo "$(ls src/*.c | wc -l) C files, $(cat src/*.c src/*.h | wc -l) lines"
		echo "$(ls sql/*.sql | wc -l) SQL files, $(cat sql/*.sql | wc -l) lines"' - "$demo_pg_config" &&
	demo_step 2 compile "Compile" 1 sh -euc '
		pg_config=$1 jobs=$2
		printf "%s\n" src/*.c | xargs -P "$jobs" -I{} sh -euc "
			make -s with_llvm=no COPT=-Werror PG_CONFIG=\$2 \${1%.c}.o
			echo \"compiled \$1, \$(wc -l <\$1) lines\"" - {} "$pg_config"
		make -s with_llvm=no COPT=-Werror PG_CONFIG="$pg_config" all
		ls -s --block-size=1 wflog.so wflog--*.sql src/client/wflog' - "$demo_pg_config" "$jobs" &&
	demo_step 3 lint "Lint" 1 sh -euc '
		headers=$("$1" --includedir-server)
		for f in src/*.c; do
			said=$(clang -fsyntax-only -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare \
				-Wno-ignored-attributes -D_GNU_SOURCE -Isrc -I"$headers" "$f" 2>&1) || true
			echo "${said:-$f: nothing to complain about}"
		done' - "$demo_pg_config" &&
	demo_step 4 package "Package" 1 sh -euc '
		make -s with_llvm=no PG_CONFIG="$1" DESTDIR="$PWD/stage" install
		find stage -type f -printf "%8s bytes  %f\n"' - "$demo_pg_config" &&
	demo_step 5 test "Test" 1 make -s installcheck with_llvm=no PG_CONFIG="$demo_pg_config" \
		REGRESS="$tests" ISOLATION= TAP_TESTS= &&
	demo_ingest_file "$work/log/postmaster.log" &&
	demo_accept || outcome=FAILED

	engine_tell "workflow ended: $outcome" "event_type => 'workflow_completed'" \
		"user_friendly_message => $(lit "Your build has ended: $outcome")" "progress_percentage => 100"
	if [ "$outcome" = SUCCESS ]; then
		engine_status SUCCESS
	else
		engine_status FAILED "error_message => 'a step failed for good'"
	fi
	wait "$follower" || die "following $execution has failed, see above"
	trap - EXIT
}

# The last step really fails: nobody has created the extension in the staging
# database. The engine mends that and tries again, as attempt 2.
demo_accept()
{
	local try=(psql -XAt -d staging -v ON_ERROR_STOP=1
		-c "SELECT wflog.start_execution('smoke', 'smoke-test')"
		-c "SELECT wflog.log('smoke', 'is anybody there?')"
		-c "SELECT wflog.summary('smoke')")

	demo_step 6 accept "Smoke test" 1 "${try[@]}" && return 0
	engine "SELECT wflog.log($(lit "$execution"),
		'attempt 1 failed: creating the extension in staging before attempt 2',
		level => 'WARNING', source => 'scheduler', node_id => 'accept', attempt => 2);"
	engine_status PAUSED
	demo_connect postgres -q -d staging -c "CREATE EXTENSION wflog" &&
		engine_status RUNNING &&
		demo_step 6 accept "Smoke test" 2 "${try[@]}"
}
