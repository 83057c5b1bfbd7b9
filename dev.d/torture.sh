# ./dev torture: exactly once, for longer than a check can take; and that the
# tests notice when it does not hold.

torture()
{
	local faults='' kills='' test=test/t/085_torture.pl
	while [ $# -gt 0 ]; do
		case $1 in
			--faults)	faults=1 ;;
			--gateway)	test=test/torture/gateway.pl ;;
			--broken)	shift; torture_broken "$@"; return ;;
			[0-9]*)		kills=$1 ;;
			*)			die "torture: unknown argument: $1" ;;
		esac
		shift
	done
	torture_prepare
	say "${kills:-50} kills${faults:+, with faults}; WFLOG_TEST_SEED repeats what is drawn"
	torture_build ${faults:+FAULTS=1}
	torture_test "$test" WFLOG_TEST_KILLS="${kills:-50}" \
		${faults:+WFLOG_TEST_FAULTS="${WFLOG_TEST_FAULTS:-random}"} \
		WFLOG_TEST_WRITERS="${WFLOG_TEST_WRITERS:-24}" \
		WFLOG_TEST_SUBSCRIBERS="${WFLOG_TEST_SUBSCRIBERS:-20}" \
		${WFLOG_TEST_SEED:+WFLOG_TEST_SEED="$WFLOG_TEST_SEED"}
}

torture_prepare()
{
	major=$(native_major)
	need_postgres "$major"
	prepare_state
	lock_state
	dir=$state/torture/tree pg=$state/torture/pg
	stop_strays "$state/torture"
	as_user mkdir -p "$state/torture"
	# shellcheck disable=SC2064
	trap "stop_strays '$state/torture'" EXIT
	private_postgres "$major" "$pg"
	pg_config=$(private_pg_config "$major" "$pg")
	copy_tree "$dir"
}

torture_build()
{
	private_make "$dir" "$pg_config" -s -j"$jobs" "$@" all install 9>&-
}

# Run a TAP program with settings of its environment.
torture_test()
{
	local test=$1
	shift
	as_user_in "$dir" env "$@" make --no-print-directory PG_CONFIG="$pg_config" with_llvm=no -s \
		installcheck REGRESS= ISOLATION= PROVE_TESTS="$test" PROVE_FLAGS="-v --timer" 9>&-
}

# Build each of test/torture/broken, or those named, and see the test fail that
# the patch names.  First that test must pass on the tree as it is.  Prints the
# table of which test fails on which.
torture_broken()
{
	local name patch test with log passed='' survivors=0
	local -a names=("$@")

	torture_prepare
	if [ ${#names[@]} -eq 0 ]; then
		for patch in "$root"/test/torture/broken/*.patch; do
			names+=("$(basename "$patch" .patch)")
		done
	fi
	log=$state/torture/log
	for name in "${names[@]}"; do
		patch=$dir/test/torture/broken/$name.patch
		as_user test -e "$patch" || die "torture: there is no $name.patch"
		test=$(as_user sed -n 's/^Test: //p' "$patch")
		with=$(as_user sed -n 's/^With: //p' "$patch")

		if [[ $passed != *"<$test $with>"* ]]; then
			torture_build FAULTS=1
			if ! torture_broken_test; then
				as_user cat "$log"
				die "torture: $test fails though nothing is broken (for $name)"
			fi
			passed+="<$test $with>"
		fi
		as_user patch -s -F0 -d "$dir" -p1 -i "$patch" || die "torture: $name.patch does not apply"
		torture_build FAULTS=1
		if torture_broken_test; then
			survivors=$((survivors + 1))
			echo "NOT NOTICED  $name"
		else
			echo "noticed      $name"
			as_user sed -nE 's/^not ok [0-9]+ - ([^.])/\1/p' "$log" | head -n 3 |
				sed "s|^|             ${test##*/}: |" | cut -c1-160
		fi
		as_user patch -s -F0 -R -d "$dir" -p1 -i "$patch"
	done
	echo "${#names[@]} broken builds, $survivors not noticed"
	[ "$survivors" -eq 0 ]
}

# Run $test with the settings of $with; what is waited for in vain is waited for shortly.
torture_broken_test()
{
	eval "torture_test '$test' PG_TEST_TIMEOUT_DEFAULT=20 $with" 2>&1 | as_user tee "$log" >/dev/null
}
