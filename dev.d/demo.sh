# ./dev demo: a cluster of its own, a real workflow (workflow.sh), and a look at
# its logs, also by the gateway.

demo_place()
{
	demo_dir=$state/demo
	demo_major=$(native_major)
	demo_pg=$demo_dir/pg
	demo_bin=$demo_pg/lib/postgresql/$demo_major/bin
	demo_socket=$demo_dir/run
	# The path of a socket has room for 107 bytes.
	if [ ${#demo_socket} -gt 85 ]; then
		demo_socket=/tmp/wflog-dev-$(id -u)-$(printf %s "$state" | cksum | cut -d' ' -f1)
	fi
}

demo()
{
	[ $# -eq 0 ] || die "demo takes no argument"
	need_postgres "$(native_major)"
	prepare_state
	lock_state
	demo_place
	demo_stop

	say "building wflog"
	as_user rm -rf "$demo_dir"
	as_user mkdir -p "$demo_dir"
	private_postgres "$demo_major" "$demo_pg"
	copy_tree "$demo_dir/tree"
	demo_pg_config=$(private_pg_config "$demo_major" "$demo_pg")
	private_make "$demo_dir/tree" "$demo_pg_config" -s -j"$jobs" install 9>&-
	echo ok

	say "making a cluster in $demo_dir"
	demo_cluster
	demo_sql postgres <<-'END'
		CREATE EXTENSION wflog;
		-- Three users: an engine that writes, and two people who read.
		CREATE ROLE engine LOGIN;
		GRANT wflog_writer TO engine;
		CREATE ROLE alice LOGIN;
		CREATE ROLE bob LOGIN;
		GRANT wflog_reader TO alice, bob;
		-- And "wflog serve", which speaks for whoever shows it a token.
		CREATE ROLE gateway LOGIN;
		GRANT wflog_gateway TO gateway;
		CREATE DATABASE staging;	-- the workflow's own, for its last step
		SET client_min_messages = warning;	-- the keeper may be at it already
		CALL wflog.maintain();
	END
	echo "wflog $(demo_ask postgres "SELECT extversion FROM pg_extension WHERE extname = 'wflog'") on $("$demo_pg_config" --version)"

	demo_workflow
	demo_look
	demo_show_gateway
	demo_farewell
}

# Make and start the cluster.
demo_cluster()
{
	local preload=wflog
	[ "${WFLOG_DEV_PRELOAD:-1}" != 0 ] || preload=

	as_user mkdir -p -m 700 "$demo_socket"
	as_user_in "$demo_dir" "$demo_bin/initdb" -D data -U postgres -A trust -E UTF8 \
		--locale=C.UTF-8 -N >/dev/null
	as_user tee -a "$demo_dir/data/postgresql.conf" >/dev/null <<-END
		listen_addresses = ''
		unix_socket_directories = '$demo_socket'
		unix_socket_permissions = 0700
		max_prepared_transactions = 20
		shared_preload_libraries = '$preload'
	END
	demo_start
}

demo_start()
{
	as_user_in "$demo_dir" "$demo_bin/pg_ctl" -D data -l server.log -s -w start 9>&- >/dev/null || {
		as_user tail -n 20 "$demo_dir/server.log" >&2
		die "the cluster in $demo_dir does not start"
	}
}

demo_running()
{
	[ -x "$demo_bin/pg_ctl" ] &&
		as_user_in "$demo_dir" "$demo_bin/pg_ctl" -D data status >/dev/null 2>&1
}

demo_stop()
{
	demo_place
	demo_gateway_stop
	if demo_running; then
		as_user_in "$demo_dir" "$demo_bin/pg_ctl" -D data -m fast -s stop
		echo "stopped the cluster in $demo_dir"
	fi
}

# ---- the gateway, beside the cluster ------------------------------------------

# Was "wflog serve" built? Its libraries may not be there.
demo_has_gateway()
{
	"$demo_bin/wflog" --help | grep -q '^  serve '
}

# The gateway's process, if it runs.
demo_gateway_pid()
{
	local pid

	pid=$(as_user cat "$demo_dir/gateway.pid" 2>/dev/null) &&
		[ "$(readlink "/proc/$pid/exe" 2>/dev/null)" = "$demo_bin/wflog" ] && echo "$pid"
}

# Start it on loopback, at a port that is free; it prints links into gateway.out.
demo_gateway_start()
{
	local tries

	as_user_in "$demo_dir" sh -euc '
		umask 077
		[ -s secret ] || head -c 48 /dev/urandom | base64 >secret
		: >gateway.out
		: >gateway.log'
	as_user_in "$demo_dir" env PGHOST="$demo_socket" setsid --fork sh -c '
		echo $$ >gateway.pid
		exec "$1" serve -U gateway -d postgres --listen=127.0.0.1:0 --jwt-secret-file=secret \
			--print-link=alice </dev/null >gateway.out 2>gateway.log' - "$demo_bin/wflog" 9>&-
	for ((tries = 0; tries < 100; tries++)); do
		! as_user grep -q ticket= "$demo_dir/gateway.out" || return 0
		sleep 0.1
	done
	as_user cat "$demo_dir/gateway.log" >&2
	die "the gateway in $demo_dir does not start"
}

demo_gateway_stop()
{
	local pid tries

	pid=$(demo_gateway_pid) || return 0
	kill "$pid"
	for ((tries = 0; tries < 150; tries++)); do
		demo_gateway_pid >/dev/null || return 0
		sleep 0.1
	done
	kill -KILL "$pid"
}

# Another link to the page, which is good once.
demo_new_link()
{
	local pid before tries

	pid=$(demo_gateway_pid) || die "the gateway in $demo_dir does not run"
	before=$(as_user wc -l <"$demo_dir/gateway.out")
	kill -USR1 "$pid"
	for ((tries = 0; tries < 100; tries++)); do
		if [ "$(as_user wc -l <"$demo_dir/gateway.out")" -gt "$before" ]; then
			as_user tail -n 1 "$demo_dir/gateway.out"
			return 0
		fi
		sleep 0.1
	done
	die "the gateway prints no link"
}

# What curl can show: the token of a session, for the ticket of a link.
demo_new_token()
{
	local link body
	link=$(demo_new_link)
	body="{\"ticket\":\"${link##*ticket=}\"}"
	exec 3<>"/dev/tcp/127.0.0.1/$(demo_port "$link")"
	printf 'POST /api/v1/app/sessions HTTP/1.0\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s' \
		"${#body}" "$body" >&3
	sed -n 's/.*"token":"\([^"]*\)".*/\1/p' <&3
	exec 3>&-
}

demo_port()
{
	local rest=${1#http://127.0.0.1:}
	echo "${rest%%/*}"
}

# A link to the page, and a stream for curl.
demo_show_gateway()
{
	local link

	if ! demo_has_gateway; then
		say "In a browser"
		echo "not here: wflog was built without \"wflog serve\" (libevent, cjose, jansson)"
		return
	fi
	demo_gateway_start
	link=$(demo_new_link)
	say "In a browser, as alice: a link that is good once, within 15 minutes"
	echo "${link%%#*}#/e/$execution?${link##*#}"
	say "As a stream of events, for an hour"
	cat <<-END
		curl -N -H 'Authorization: Bearer $(demo_new_token)' \\
		  ${link%%/#*}/api/v1/app/executions/$execution/logs/stream
	END
}

# ./dev link: another one, also after ./dev stop.
demo_link()
{
	demo_place
	[ -d "$demo_dir/data" ] || die "there is no cluster yet: ./dev demo makes it"
	demo_has_gateway || die "wflog was built without \"wflog serve\""
	demo_running || demo_start
	demo_gateway_pid >/dev/null || demo_gateway_start
	demo_new_link
}

# psql on the cluster, as a user given first.
demo_connect()
{
	local user=$1
	shift
	as_user_in "$demo_dir" "$demo_bin/psql" -X -h "$demo_socket" -U "$user" -d postgres "$@"
}

demo_sql()
{
	demo_connect "$1" -q -v ON_ERROR_STOP=1 >/dev/null
}

demo_ask()
{
	demo_connect "$1" -qAt -v ON_ERROR_STOP=1 -c "$2"
}

demo_psql()
{
	demo_place
	[ -d "$demo_dir/data" ] || die "there is no cluster yet: ./dev demo makes it"
	demo_running || demo_start
	# Later options win: "./dev psql -U alice" is alice.
	as_user_in "$demo_dir" "$demo_bin/psql" -h "$demo_socket" -U postgres -d postgres "$@"
}

# ---- what it has left behind --------------------------------------------------

# Show a statement and its result: show HEADING USER SQL
show()
{
	[ -z "$1" ] || say "$1"
	printf '%s=> %s\n' "$2" "$3"
	demo_connect "$2" -P pager=off -P footer=off -c "$3"
}

# Show what the command says: show_command HEADING USER SUBCOMMAND [ARGUMENT...]
show_command()
{
	local user=$2
	say "$1"
	shift 2
	printf '%s$ wflog %s\n' "$user" "$*"
	demo_wflog "$user" "$@"
}

demo_look()
{
	local e
	e=$(lit "$execution")

	show_command "Executions" alice ls
	show_command "What became of it" alice inspect "$execution"
	show_command "The errors" alice logs "$execution" --level error
	show "The live table: its last rows" alice \
"SELECT created_at::time(3), level, node_id, attempt, left(message, 60) AS message
   FROM wflog.workflow_execution_logs WHERE execution_id = $e
  ORDER BY created_at DESC, id DESC LIMIT 8;"
	show "A page, as JSON: business logs, two of them" alice \
"SELECT jsonb_pretty(wflog.logs_json($e, max_rows => 2, category => 'business')::jsonb) AS page;"
	show "What the user is told: milestones" alice \
"SELECT created_at::time(0), progress_percentage AS percent, user_friendly_message
   FROM wflog.logs($e, milestones_only => true);"
	show "The summary" alice \
"SELECT jsonb_pretty(wflog.summary($e)::jsonb - 'nodes' - 'milestones') AS summary;"
	show "" alice \
"SELECT node->>'step_number' AS step, node->>'node_name' AS node, node->>'status' AS status,
        node->>'attempt' AS attempt, node->>'logs_count' AS logs
   FROM json_each(wflog.summary($e)->'nodes') AS nodes (id, node) ORDER BY 1;"
	show "The audit trail, and whether anybody has touched it (no row: nobody)" postgres \
"SELECT created_at::time(3), event_type, metadata
   FROM wflog.execution_audit_events WHERE execution_id = $e ORDER BY position;"
	show "" postgres "SELECT * FROM wflog.verify_audit($e);"
	show "Bob, whose workflow it is not" bob \
"SELECT count(*) FROM wflog.workflow_execution_logs WHERE execution_id = $e;"
}

demo_farewell()
{
	cat <<-END

		The cluster is running, in $demo_dir
		  ./dev psql             a session as its superuser; -U alice, -U bob, -U engine: as one of them
		  ./dev demo             all of this again, on a new cluster
		  ./dev link             another link to the page
		  ./dev stop             stop it; ./dev psql starts it again
		  ./dev clean            stop it and remove everything
		To begin with: SELECT * FROM wflog.tail('$execution');
		The command:   export PGHOST=$demo_socket PGDATABASE=postgres PGUSER=alice
		               $demo_bin/wflog logs $execution
	END
}
