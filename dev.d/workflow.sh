# The demo's workflow: it builds and tests this very extension.
#
# It is run by a small engine (demo_step) which, as any engine would, connects as
# a role that may write and logs each line as it appears. Meanwhile a second
# session, a user who may read what is hers, follows by cursor.

# Quote as an SQL literal.
lit()
{
	printf "'%s'" "${1//\'/\'\'}"
}

# Hand a statement to the engine's session, which is a psql at the end of a pipe.
engine()
{
	printf '%s\n' "$1" >&7
}

engine_log()
{
	local message=$1
	shift
	engine "SELECT wflog.log($(lit "$execution"), $(lit "$message")$(printf ', %s' "$@"));"
}

# What a user who is no engineer is told.
engine_tell()
{
	local message=$1
	shift
	engine_log "$message" "log_category => 'business'" "is_milestone => true" \
		"display_priority => 8" "source => 'scheduler'" "$@"
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
	local number=$1 id=$2 name=$3 attempt=$4 status=0 line level again='' began=$SECONDS
	local node="node_id => $(lit "$id"), node_name => $(lit "$name"), node_type => 'command'"
	node+=", step_number => $number, total_steps => $steps, attempt => $attempt"
	shift 4
	local command="technical_details => jsonb_build_object('command', $(lit "$*"))"
	[ "$attempt" -eq 1 ] || again=" (attempt $attempt)"

	engine_tell "$id started" "$node" "$command" "event_type => 'step_started'" \
		"user_friendly_message => $(lit "$name: started$again")" \
		"progress_percentage => $((100 * (number - 1) / steps))"
	while IFS= read -r line; do
		case $line in
			status=[0-9]*)	status=${line#status=}; continue ;;
			*[![:space:]]*)	;;
			*)	continue ;;
		esac
		case $line in
			*ERROR:* | *' error: '* | *FAILED* | 'not ok'*)	level=ERROR ;;
			*arning:*)	level=WARNING ;;
			*)	level=INFO ;;
		esac
		engine_log "$line" "$node" "event_type => 'step_output'" "level => '$level'" \
			"source => $(lit "plugin:demo/shell.$id")"
	done < <(as_user_in "$work" env PATH="$demo_bin:$PATH" PGHOST="$demo_socket" \
		PGUSER=postgres "$@" 2>&1 </dev/null 7>&- 9>&- || echo "status=$?")
	node+=", duration_seconds => $((SECONDS - began))"

	if [ "$status" -eq 0 ]; then
		engine_tell "$id finished" "$node" "event_type => 'step_completed'" \
			"user_friendly_message => $(lit "$name: done$again")" \
			"progress_percentage => $((100 * number / steps))"
	else
		engine_tell "$id ended with exit status $status" "$node" "event_type => 'step_error'" \
			"level => 'ERROR'" "user_friendly_message => $(lit "$name: failed$again")" \
			"technical_details => jsonb_build_object('exit_status', $status)"
	fi
	return "$status"
}

# Log the end of a file as one batch: NDJSON, as bytes. The key and number make it safe to
# send again; so it is sent twice, and stored once.
demo_append_file()
{
	local file=$1 ndjson call
	ndjson=$(as_user tail -n 8 "$file" | awk -v execution="$execution" '
		{
			gsub(/\\/, "\\\\"); gsub(/"/, "\\\""); gsub(/[\001-\037]/, " ")
			printf "{\"execution_id\":\"%s\",\"message\":\"%s\",\"level\":\"DEBUG\",", execution, $0
			printf "\"node_id\":\"test\",\"source\":\"worker\"}\n"
		}' | od -An -v -tx1 | tr -d ' \n')
	[ -n "$ndjson" ] || return 0
	call="SELECT wflog.append_lines('\\x$ndjson'::bytea, producer_key => '$execution/test', sequence => 1);"
	engine "$call"
	engine "$call"
}

# Follow an execution as alice until it has ended: what "tail" has after the
# cursor, print it, remember the last row's cursor.
demo_follow()
{
	local cursor='' rows row ended='' width
	width=$(tput cols 2>/dev/null || echo 110)
	[ -t 1 ] || width=110
	while :; do
		[ "$(demo_ask alice "SELECT wflog.execution($(lit "$execution"))->>'is_terminal'" \
			2>/dev/null)" != true ] || ended=yes
		rows=$(demo_ask alice "
			SELECT cursor || ' ' || format('%s  %-8s %-10s %s',
			           substr(log->>'timestamp', 12, 8), log->>'level', log->>'node_id',
			           translate(log->>'message', E'\n\t', '  '))
			FROM wflog.tail($(lit "$execution"), $([ -n "$cursor" ] && lit "$cursor" || echo NULL))")
		if [ -n "$rows" ]; then
			while IFS= read -r row; do
				cursor=${row%% *}
				row=${row#* }
				printf '%s\n' "${row:0:width}"
			done <<<"$rows"
		elif [ -n "$ended" ]; then
			break
		fi
		sleep 0.2
	done
}

demo_workflow()
{
	local steps=6 work=$demo_dir/work tests='' test follower engine_session outcome=SUCCESS
	execution=build-$(date -u +%Y%m%d-%H%M%S)

	copy_tree "$work"
	for test in executions audit writing reading; do
		[ ! -e "$root/test/sql/$test.sql" ] || tests+="$test "
	done

	say "running the workflow: building and testing wflog, execution $execution"
	echo "(as alice sees it: SELECT * FROM wflog.tail('$execution', CURSOR), again and again)"
	echo
	mkfifo_as_user "$demo_dir/engine"
	demo_connect engine -q -v ON_ERROR_STOP=1 <"$demo_dir/engine" >/dev/null 9>&- &
	engine_session=$!
	exec 7>"$demo_dir/engine"
	trap 'die "the session of the engine has failed"' PIPE

	engine "SELECT wflog.start_execution($(lit "$execution"), 'build-wflog', status => 'PENDING',
		user_id => 'alice', workflow_name => 'Build and test wflog', tier => 'free');"
	engine_status RUNNING
	demo_follow 7>&- 9>&- &
	follower=$!
	# shellcheck disable=SC2064
	trap "kill $follower 2>/dev/null || true" EXIT
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
		ls -s --block-size=1 wflog.so wflog--*.sql' - "$demo_pg_config" "$jobs" &&
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
	demo_append_file "$work/log/postmaster.log" &&
	demo_accept || outcome=FAILED

	engine_tell "workflow ended: $outcome" "event_type => 'workflow_completed'" \
		"user_friendly_message => $(lit "Your build has ended: $outcome")" "progress_percentage => 100"
	if [ "$outcome" = SUCCESS ]; then
		engine_status SUCCESS
	else
		engine_status FAILED "error_message => 'a step failed for good'"
	fi
	exec 7>&-
	wait "$engine_session" || die "the session of the engine has failed, see above"
	wait "$follower"
	trap - EXIT PIPE
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
	engine_log "attempt 1 failed: creating the extension in staging before attempt 2" \
		"level => 'WARNING'" "source => 'scheduler'" "node_id => 'accept'" "attempt => 2"
	engine_status PAUSED
	demo_connect postgres -q -d staging -c "CREATE EXTENSION wflog" &&
		engine_status RUNNING &&
		demo_step 6 accept "Smoke test" 2 "${try[@]}"
}

mkfifo_as_user()
{
	as_user rm -f "$1"
	as_user mkfifo -m 600 "$1"
}
