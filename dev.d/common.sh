# Shared by all commands: where things are, and who runs them.

say()
{
	printf '\n== %s\n' "$*"
}

die()
{
	printf 'dev: %s\n' "$*" >&2
	exit 1
}

is_root()
{
	[ "$(id -u)" -eq 0 ]
}

# PostgreSQL refuses to run as root, so root runs everything that is not a
# package manager as a user of its own, who owns the state folder and nothing
# else: not the system's clusters either.
run_user=${WFLOG_DEV_USER:-wflog-dev}

slug=${root#/}
slug=${slug//\//-}
if [ -n "${WFLOG_DEV_STATE:-}" ]; then
	state=$WFLOG_DEV_STATE
elif is_root; then
	state=/var/lib/wflog-dev/$slug
elif [ -w "$root" ]; then
	state=$root/.wflog-dev
else
	state=${XDG_STATE_HOME:-$HOME/.local/state}/wflog-dev/$slug
fi
case $state in
	/*)	;;
	*)	state=$PWD/$state ;;
esac

# Messages of compilers and of PostgreSQL are matched and stored: no surprises.
export LC_ALL=C.UTF-8
unset PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGSERVICE PGOPTIONS PGDATA MAKEFLAGS

jobs=$(nproc)

# Create the state folder, and for root the user who owns it.
prepare_state()
{
	if is_root; then
		if ! id "$run_user" >/dev/null 2>&1; then
			useradd --system --user-group --no-create-home --home-dir /var/lib/wflog-dev \
				--shell /usr/sbin/nologin "$run_user"
		fi
		mkdir -p "$state"
		chown "$run_user:" "$state"
	else
		mkdir -p "$state"
	fi
}

# Run a command as the user who owns the state folder.
as_user()
{
	if is_root; then
		runuser -u "$run_user" -- env HOME="$state" "$@"
	else
		"$@"
	fi
}

# Run a command in a folder as that user.
as_user_in()
{
	local dir=$1
	shift
	as_user env -C "$dir" "$@"
}

# One command at a time works in the state folder.
lock_state()
{
	exec 9>"$state/.lock"
	flock -n 9 || die "another ./dev is at work in $state"
}

clean()
{
	if [ -d "$state" ]; then
		demo_stop
		rm -rf "$state"
		echo "removed $state"
	fi
	if [ "${1:-}" = --all ]; then
		throwaway_clean
	fi
}
