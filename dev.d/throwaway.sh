# Other majors of PostgreSQL: a Debian that ships them, in a folder, made by
# debootstrap from its default mirror and kept for the next time.

throwaway_home=/var/cache/wflog-dev

check_throwaway()
{
	local major=$1 quick=$2 result=$3 suite debian status=0 inside=/srv/wflog

	suite=$(debian_of_major "$major") || die "no Debian is known to ship PostgreSQL $major"
	is_root || die "PostgreSQL $major is tested in a Debian of its own ($suite), which only root can make"
	debian=$throwaway_home/$suite
	make_throwaway "$suite" || die "could not make a Debian $suite for PostgreSQL $major"

	exec 8>"$debian.lock"
	flock -n 8 || die "another ./dev is at work in $debian"
	rm -rf "${debian:?}$inside"
	mkdir -p "$debian$inside"
	tar -C "$root" -cf - --exclude=./.git --exclude=./.wflog-dev . |
		tar -C "$debian$inside" --no-same-owner -xf -

	in_throwaway "$debian" "$inside/dev" packages 8>&- ||
		die "could not get PostgreSQL $major's packages from Debian $suite"
	[ -z "$result" ] || touch "$result.begun"
	in_throwaway "$debian" "$inside/dev" check --pg "$major" ${quick:+--quick} \
		${result:+--result /srv/result} 8>&- || status=$?
	if [ -n "$result" ]; then
		mv "$debian/srv/result" "$result" 2>/dev/null || true
	fi
	return "$status"
}

# Make a Debian unless it is there.
make_throwaway()
{
	local suite=$1 dir=$throwaway_home/$1 args

	[ ! -e "$dir/etc/debian_version" ] || return 0
	need_packages debootstrap
	say "making a Debian $suite in $dir"
	args=("$suite" "$dir.new")
	# An older debootstrap does not know newer releases by name, but how to make
	# them: as it makes sid. The empty argument stands for its default mirror.
	[ -e "/usr/share/debootstrap/scripts/$suite" ] ||
		args+=("" /usr/share/debootstrap/scripts/sid)
	rm -rf "$dir.new"
	mkdir -p "$throwaway_home"
	if ! debootstrap --variant=minbase "${args[@]}" </dev/null >"$dir.log" 2>&1; then
		tail -n 20 "$dir.log" >&2
		return 1
	fi
	# The index of a release in the making is valid for a week; a mirror that lags
	# behind, or a clock that does not, must not be in the way of a test.
	echo 'Acquire::Check-Valid-Until "false";' >"$dir.new/etc/apt/apt.conf.d/90wflog"
	mv "$dir.new" "$dir"
}

# Run a command in it, with /proc, /dev/shm and terminals if they can be mounted, in
# namespaces of its own so that nothing stays mounted and no process is left.
in_throwaway()
{
	local debian=$1
	shift
	cat /etc/resolv.conf >"$debian/etc/resolv.conf" 2>/dev/null || true
	local enter='
		debian=$1; shift
		mount -t proc proc "$debian/proc" 2>/dev/null || true
		mount -t tmpfs -o mode=1777 tmpfs "$debian/dev/shm" 2>/dev/null || true
		mount -t devpts -o newinstance,gid=5,mode=620,ptmxmode=666 devpts "$debian/dev/pts" 2>/dev/null || true
		unset WFLOG_DEV_STATE WFLOG_DEV_USER TMPDIR
		export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
		exec chroot "$debian" "$@"'
	if unshare --mount --pid --fork --kill-child true 2>/dev/null; then
		unshare --mount --pid --fork --kill-child bash -c "$enter" - "$debian" "$@" </dev/null
	else
		# No namespaces here: do without the mounts rather than leave them behind.
		bash -c "${enter//mount -t/false}" - "$debian" "$@" </dev/null
	fi
}

throwaway_clean()
{
	is_root || die "only root can remove $throwaway_home"
	if grep -q " $throwaway_home/" /proc/mounts; then
		die "something is mounted under $throwaway_home"
	fi
	rm -rf "$throwaway_home"
	echo "removed $throwaway_home"
}
