# wflog: workflow execution logs in PostgreSQL
#
#   make                build the library, the install script and the command
#   make install        install into the PostgreSQL that PG_CONFIG belongs to
#   make installcheck   run every test in temporary instances; nothing needs to
#                       be running, but "make install" must have been done
#   make coverage       line coverage of src/ (after a build with COVERAGE=1 and
#                       a run of the tests)
#   make bench          run the benchmarks
#   make dist           a release for PGXN, from what is committed
#
# "./dev check" does all of it in a folder of its own, without touching the
# system; COPT=-Werror turns warnings into errors.

EXTENSION = wflog

# The version stands in wflog.control and nowhere else.
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" $(EXTENSION).control)

MODULE_big = wflog
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
PG_CPPFLAGS = -Isrc -DWFLOG_VERSION='"$(EXTVERSION)"'
# Callbacks of fixed shape leave parameters unused; int against lengthof() is idiom.
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare
# PGXS hands over the options and attributes of the compiler PostgreSQL was built with.
ifneq (,$(findstring clang,$(CC)))
PG_CFLAGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument \
	-Wno-ignored-attributes
endif

# The install script is the parts of sql/ in order; upgrade scripts are files.
SQL_PARTS = $(sort $(wildcard sql/[0-9]*_*.sql))
EXTENSION_SQL = $(EXTENSION)--$(EXTVERSION).sql
DATA_built = $(EXTENSION_SQL)
DATA = $(wildcard sql/$(EXTENSION)--*--*.sql)

# Each kind of test is there as soon as there is a file of it.  PRELOAD=1 has
# pg_regress and the isolation tester preload the library.
TEMP_CONFIG = --temp-config=test/postgresql.conf
ifdef PRELOAD
TEMP_CONFIG += --temp-config=test/preload.conf
endif
REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test --load-extension=$(EXTENSION) \
	--temp-instance=./tmp_check_regress $(TEMP_CONFIG) \
	--encoding=UTF8 --no-locale
ISOLATION = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --load-extension=$(EXTENSION) \
	--temp-instance=./tmp_check_iso $(TEMP_CONFIG) \
	--encoding=UTF8 --no-locale
REGRESS_PREP = isolation-expected
ifneq (,$(wildcard test/t/*.pl))
TAP_TESTS = 1
endif
PROVE_TESTS = test/t/*.pl

EXTRA_CLEAN = tmp_check_regress output_iso $(EXTENSION)--*.sql \
	src/*.gcno src/*.gcda *.gcov

# Places where tests can make things go wrong (src/fault.c).
ifdef FAULTS
PG_CPPFLAGS += -DWFLOG_FAULTS
endif

ifdef COVERAGE
PG_CFLAGS += -O0 --coverage
SHLIB_LINK += --coverage
endif

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(OBJS): $(wildcard src/*.h) $(EXTENSION).control

$(EXTENSION_SQL): $(SQL_PARTS) $(EXTENSION).control Makefile
	{ printf '%s\n' '\echo Use "CREATE EXTENSION $(EXTENSION)" to load this file. \quit'; \
	  cat $(SQL_PARTS) /dev/null; } > $@.tmp
	mv $@.tmp $@

# The command has a Makefile of its own.
.PHONY: client client-install client-uninstall client-clean
client client-install client-uninstall client-clean:
	+$(MAKE) -C src/client PG_CONFIG="$(PG_CONFIG)" $(patsubst client-%,%,$(@:client=all))
all: client
install: client-install
client-install: client
uninstall: client-uninstall
clean: client-clean

# pg_isolation_regress of PostgreSQL 15 looks for expected/ where it writes.
.PHONY: isolation-expected
isolation-expected:
	@mkdir -p output_iso && rm -rf output_iso/expected && ln -s ../expected output_iso/expected

# Prints a line per file and a total.
.PHONY: coverage
coverage:
	@scripts/coverage

# META.json names no version until it is released.
.PHONY: dist
dist: DIST = $(EXTENSION)-$(EXTVERSION)
dist:
	@mkdir -p $(DIST)
	sed 's/@VERSION@/$(EXTVERSION)/' META.json > $(DIST)/META.json
	git archive --format=zip --prefix=$(DIST)/ --add-file=$(DIST)/META.json \
		--output=$(DIST).zip HEAD . ':(exclude)META.json'
	rm -rf $(DIST)

.PHONY: bench
bench:
	PG_CONFIG="$(PG_CONFIG)" bench/run
