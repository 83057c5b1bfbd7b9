# ./dev check: build, test, measure coverage.

coverage_wanted=80		# percent of the lines of src/

check()
{
	local major='' quick='' result=''
	while [ $# -gt 0 ]; do
		case $1 in
			--pg)		major=${2:?--pg needs a major version}; shift ;;
			--pg=*)		major=${1#*=} ;;
			--quick)	quick=yes ;;
			--result)	result=${2:?--result needs a file}; shift ;;	# for .ci/run
			*)			die "check: unknown argument: $1" ;;
		esac
		shift
	done
	: "${major:=$(native_major)}"

	if [ "$major" = "$(native_major)" ]; then
		check_here "$major" "$quick" "$result"
	else
		check_throwaway "$major" "$quick" "$result"
	fi
}

# Counts of everything run so far, and what went wrong, in words.
passed=0
failed=0
skipped=0
problems=()

problem()
{
	failed=$((failed + 1))
	problems+=("$1")
	printf '*** %s\n' "$1"
}

check_here()
{
	local major=$1 quick=$2 result=$3 dir pg compiler
	local started=$SECONDS

	need_postgres "$major"
	if [ -n "$quick" ]; then
		# What runs for as long as one likes runs for less.
		export WFLOG_TEST_LOGS="${WFLOG_TEST_LOGS:-100000}" WFLOG_TEST_STEPS="${WFLOG_TEST_STEPS:-3000}" \
			WFLOG_FUZZ_ROUNDS="${WFLOG_FUZZ_ROUNDS:-3000}"
	fi
	# The page is tested in a browser, and the guide's Python client with the library
	# it is for. These are large: once is enough.
	[ "$quick$major" != 15 ] || need_packages chromium-headless-shell python3-psycopg
	prepare_state
	lock_state
	dir=$state/check
	pg=$dir/pg
	logs=$dir/logs
	stop_strays "$dir"
	as_user rm -rf "$dir"
	as_user mkdir -p "$logs"
	# shellcheck disable=SC2064
	trap "stop_strays '$dir'" EXIT
	trap 'exit 143' TERM INT HUP
	private_postgres "$major" "$pg"
	pg_config=$(private_pg_config "$major" "$pg")
	echo "wflog on $("$pg_config" --version), in $dir"

	for compiler in gcc clang; do
		[ "$quick$compiler" != yesclang ] || continue
		say "build with $compiler, no warning allowed"
		check_build "$dir/$compiler" CC="$compiler" COPT=-Werror
	done

	# The build that gcov watches serves for all the tests. In it they can make
	# things go wrong (src/fault.c).
	say "build with gcov"
	check_build "$dir/gcov" COVERAGE=1 FAULTS=1
	if as_user test -e "$dir/gcov/wflog.so"; then
		private_make "$dir/gcov" "$pg_config" -s COVERAGE=1 FAULTS=1 install 9>&-
		check_regress "$dir/gcov" regress "pg_regress"
		check_regress "$dir/gcov" isolation "isolation"
		check_tap "$dir/gcov"
		check_coverage "$dir/gcov"
	fi
	# And what users will run once more, optimised and preloaded as they will run it.
	if [ -z "$quick" ] && as_user test -e "$dir/gcc/wflog.so"; then
		private_make "$dir/gcc" "$pg_config" -s install 9>&-
		check_regress "$dir/gcc" regress "pg_regress, preloaded" PRELOAD=1
		check_regress "$dir/gcc" isolation "isolation, preloaded" PRELOAD=1
	fi

	[ $((passed + failed)) -gt 0 ] || problem "nothing was run"
	say "PostgreSQL $major: $((SECONDS - started)) s"
	[ "$skipped" -eq 0 ] || echo "$skipped skipped"
	finish "$result"
}

# Stop what servers a broken test has left running in a folder.
stop_strays()
{
	local file pid
	[ -d "$1" ] || return 0
	while read -r file; do
		pid=$(head -n 1 "$file")
		case $(readlink "/proc/$pid/cwd" 2>/dev/null) in
			"$1"/*)	kill -QUIT "$pid" 2>/dev/null || true ;;
		esac
	done < <(find "$1" -name postmaster.pid)
}

# Print what failed and the closing line; fail if anything did.
finish()
{
	local p
	for p in "${problems[@]+"${problems[@]}"}"; do
		echo "*** $p"
	done
	if [ -n "$1" ]; then
		echo "$passed $failed" >"$1"
	else
		echo "$passed passed, $failed failed"
	fi
	[ "$failed" -eq 0 ]
}

# Copy the tree and compile it. No build is a pass; one that fails is a failure.
check_build()
{
	local dir=$1 log
	log=$logs/build-${dir##*/}.log
	shift
	copy_tree "$dir"
	if private_make "$dir" "$pg_config" -s -j"$jobs" "$@" all 2>&1 9>&- | as_user tee "$log" >/dev/null; then
		echo ok
	else
		# One mistake in a header can fill a screen for each file.
		as_user grep -m 20 -A 2 -E 'error:|warning:|\*\*\*' "$log" || as_user tail -n 20 "$log"
		problem "build failed: $*"
	fi
}

# Run pg_regress or the isolation tester on all there is of its kind; what is
# left of the arguments is for make.
check_regress()
{
	local dir=$1 kind=$2 name=$3 log ok bad only
	shift 3
	say "$name"
	case $kind in
		regress)
			only="ISOLATION= TAP_TESTS="
			compgen -G "$dir/test/sql/*.sql" >/dev/null || { echo "none"; return 0; } ;;
		isolation)
			only="REGRESS= TAP_TESTS="
			compgen -G "$dir/test/specs/*.spec" >/dev/null || { echo "none"; return 0; } ;;
	esac
	log=$logs/${name//[^a-z_]/-}.log
	# shellcheck disable=SC2086
	private_make "$dir" "$pg_config" -s installcheck $only "$@" 2>&1 9>&- |
		as_user tee "$log" | grep -E '^(test|ok|not ok|#|psql|ERROR|FATAL|  +[^ ]+ +\.\.\.|.*(failed|rror:))' ||
		true
	# Up to 15: "test NAME ... ok"; from 16 on: "ok 1 - NAME".
	ok=$(as_user grep -cE '^(test)? +[^ ]+ +\.\.\. ok|^ok [0-9]+' "$log" || true)
	bad=$(as_user grep -cE '^(test)? +[^ ]+ +\.\.\. FAILED|^not ok [0-9]+' "$log" || true)
	passed=$((passed + ok))
	echo "$name: $ok passed, $bad failed"
	if [ "$bad" -gt 0 ]; then
		failed=$((failed + bad))
		problems+=("$name: $bad failed")
	elif ! as_user grep -qE 'All [0-9]+ tests passed' "$log"; then
		problem "$name did not come to its end"
		as_user tail -n 40 "$log"
	else
		return 0
	fi
	[ "$kind" != isolation ] || dir=$dir/output_iso
	as_user_in "$dir" bash -c 'if [ -s regression.diffs ]; then head -n 400 regression.diffs; fi
		grep -E "PANIC|TRAP|terminated by signal|FATAL" log/postmaster.log || true'
}

# Run the TAP programs, pgTAP's contracts among them, and count their assertions.
check_tap()
{
	local dir=$1 status=0 file ok bad skip
	say "TAP and pgTAP"
	compgen -G "$dir/test/t/*.pl" >/dev/null || { echo "none"; return 0; }
	as_user mkdir -p "$logs/tap"
	# one more than there are processors: they wait a good deal
	private_make "$dir" "$pg_config" -s installcheck REGRESS= ISOLATION= \
		PROVE_FLAGS="-j$((jobs < 4 ? jobs + 1 : 4)) --timer" \
		PERL_TEST_HARNESS_DUMP_TAP="$logs/tap" 9>&- || status=$?
	for file in "$dir"/test/t/*.pl; do
		file=test/t/${file##*/}
		if ! as_user test -e "$logs/tap/$file"; then
			problem "$file did not run"
			continue
		fi
		read -r ok bad skip < <(as_user awk '
			/^not ok/ && !/# TODO/	{ bad++; next }
			/^ok [0-9]+ *# *[Ss][Kk][Ii][Pp]/ || /^ok .* # [Ss][Kk][Ii][Pp]/	{ skip++; next }
			/^(not )?ok/			{ ok++ }
			/^1\.\.0 # [Ss][Kk][Ii][Pp]/	{ skip++ }
			/^1\.\.[0-9]+/			{ plan = substr($1, 4) + 0; planned = 1 }
			END {
				if (!planned || plan != ok + bad + (plan ? skip : 0)) bad++
				print ok + 0, bad + 0, skip + 0
			}' "$logs/tap/$file")
		passed=$((passed + ok)) skipped=$((skipped + skip))
		if [ "$bad" -gt 0 ]; then
			failed=$((failed + bad))
			problems+=("$file: $bad failed")
			as_user_in "$dir" bash -c 'for f in tmp_check/log/regress_log_$1*; do
				if [ -e "$f" ]; then echo "--- $f"; tail -n 40 "$f"; fi; done' - \
				"$(basename "$file" .pl)"
		fi
		[ "$skip" -eq 0 ] || echo "$file: $skip skipped"
		[ "$status$bad" = "${status}0" ] || status=0	# the failure has been counted
	done
	[ "$status" -eq 0 ] || problem "prove failed"
}

check_coverage()
{
	local total
	say "line coverage of src/"
	as_user_in "$1" scripts/coverage | as_user tee "$logs/coverage.log" || true
	total=$(as_user awk '$1 == "total" { print $2 + 0 }' "$logs/coverage.log")
	if ! awk -v t="${total:-0}" -v w="$coverage_wanted" 'BEGIN { exit !(t >= w) }'; then
		problem "line coverage is ${total:-unknown}%, and $coverage_wanted% are wanted"
	fi
}
