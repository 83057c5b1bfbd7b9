# Private copies: of the installation of PostgreSQL, and of the source tree.

# The programs of a major version.
pg_bindir()
{
	echo "/usr/lib/postgresql/$1/bin"
}

# Make an installation of PostgreSQL that is ours to install into: links to the
# system's files, beside real copies of the programs. Those find the rest by
# where they are themselves, and so does pg_config.
private_postgres()
{
	local major=$1 dest=$2
	local lib=/usr/lib/postgresql/$major share=/usr/share/postgresql/$major

	[ -x "$lib/bin/pg_config" ] || die "no PostgreSQL $major in $lib"
	as_user bash -euc '
		major=$1 dest=$2 lib=$3 share=$4
		rm -rf "$dest"
		mkdir -p "$dest/lib/postgresql" "$dest/share/postgresql"
		cp -as "$lib" "$dest/lib/postgresql/"
		cp -as "$share" "$dest/share/postgresql/"
		rm -rf "$dest/lib/postgresql/$major/bin"
		cp -a "$lib/bin" "$dest/lib/postgresql/$major/"
		ln -s /usr/include "$dest/include"
		# A wflog installed on the system is not the one to be tested.
		rm -rf "$dest/share/postgresql/$major/extension"/wflog[.-]* \
			"$dest/lib/postgresql/$major/lib"/wflog.so \
			"$dest/lib/postgresql/$major/lib/bitcode"/wflog*
	' - "$major" "$dest" "$lib" "$share"
}

# pg_config of such an installation.
private_pg_config()
{
	echo "$2/lib/postgresql/$1/bin/pg_config"
}

# Copy the source tree, without what a build or a test has left in it.
copy_tree()
{
	local dest=$1

	as_user rm -rf "$dest"
	as_user mkdir -p "$dest"
	tar -C "$root" -cf - --exclude=./.git --exclude=./.wflog-dev \
		--exclude="./${state#"$root"/}" --exclude='*.o' \
		--exclude='*.bc' --exclude='*.so' --exclude=./src/client/wflog --exclude='*.gcno' --exclude='*.gcda' \
		--exclude='./wflog--*.sql' --exclude='./tmp_check*' --exclude=./results \
		--exclude=./output_iso --exclude=./log --exclude='./regression.*' . |
		as_user tar -C "$dest" --no-same-owner -xf -
}

# make in a folder, with a private installation.
private_make()
{
	local dir=$1 pg_config=$2
	shift 2
	as_user_in "$dir" make --no-print-directory PG_CONFIG="$pg_config" with_llvm=no "$@"
}

bench()
{
	local major pg dir
	major=$(native_major)
	need_postgres "$major"
	prepare_state
	lock_state
	pg=$state/bench/pg dir=$state/bench/tree
	as_user mkdir -p "$state/bench"
	private_postgres "$major" "$pg"
	copy_tree "$dir"
	private_make "$dir" "$(private_pg_config "$major" "$pg")" -s -j"$jobs" install
	as_user_in "$dir" env PG_CONFIG="$(private_pg_config "$major" "$pg")" bench/run "$@" 9>&-
}
