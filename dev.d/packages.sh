# What is needed from Debian, and getting it.

# The major version this Debian ships, or else the newest one installed.
native_major()
{
	local codename
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	case $codename in
		bookworm)	echo 15 ;;
		trixie)		echo 17 ;;
		forky)		echo 18 ;;
		*)	ls -d /usr/lib/postgresql/*/bin/pg_config 2>/dev/null |
				cut -d/ -f5 | sort -n | tail -1 ;;
	esac
}

# The release of Debian that ships a major version.
debian_of_major()
{
	case $1 in
		15)	echo bookworm ;;
		17)	echo trixie ;;
		18)	echo forky ;;
		*)	return 1 ;;
	esac
}

missing_packages()
{
	local package
	for package; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			echo "$package"
	done
}

# Make sure that packages are installed.
need_packages()
{
	local missing sudo=()

	command -v dpkg-query >/dev/null || {
		echo "dev: not a Debian: taking it that everything needed is there" >&2
		return 0
	}
	mapfile -t missing < <(missing_packages "$@")
	[ ${#missing[@]} -gt 0 ] || return 0

	if ! is_root; then
		sudo -n true 2>/dev/null ||
			die "packages are missing; as root: apt-get install --no-install-recommends ${missing[*]}"
		sudo=(sudo -n)
	fi
	say "installing ${missing[*]}"
	"${sudo[@]}" bash -s -- "${missing[@]}" <<'END'
		set -euo pipefail
		export DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1
		# Debian makes and starts a cluster when PostgreSQL is installed, unless told
		# otherwise; the setting is put back as it was, or as the package has it.
		conf=/etc/postgresql-common/createcluster.conf
		shipped=/usr/share/postgresql-common/createcluster.conf
		saved=
		restore()
		{
			if [ -n "$saved" ]; then
				cat "$saved" >"$conf"
				rm -f "$saved"
			elif [ -e "$shipped" ]; then
				cat "$shipped" >"$conf"
			else
				rm -f "$conf"
			fi
		}
		if [ -e "$conf" ]; then
			saved=$(mktemp)
			cat "$conf" >"$saved"
		fi
		trap restore EXIT
		mkdir -p "${conf%/*}"
		echo "create_main_cluster = false" >>"$conf"

		log=$(mktemp)
		apt-get -qq -o Acquire::Retries=3 update </dev/null
		if ! apt-get -qq -y -o Acquire::Retries=3 -o Dpkg::Options::=--force-confold \
			install --no-install-recommends "$@" </dev/null >"$log" 2>&1; then
			tail -n 30 "$log" >&2
			exit 1
		fi
		rm -f "$log"
END
}

# What building and testing on a major version takes.
need_postgres()
{
	local service=() more=()
	# The command is tested with a pooler, too, and the gateway behind nginx; but
	# installing them would start a service and have it started at each boot, where
	# there is somebody to do that.
	[ -d /run/systemd/system ] || service=(pgbouncer)
	if [ "$1" = 15 ]; then
		more=(curl)
		[ -d /run/systemd/system ] || service+=(nginx)
	fi
	need_packages make gcc libc6-dev clang perl patch libipc-run-perl libdbd-pg-perl "postgresql-$1" \
		"postgresql-server-dev-$1" "postgresql-$1-pgtap" libpq-dev libjansson-dev \
		pkgconf libevent-dev libcjose-dev libssl-dev openssl \
		libio-pty-perl python3-jsonschema "${more[@]+"${more[@]}"}" "${service[@]+"${service[@]}"}"
}
