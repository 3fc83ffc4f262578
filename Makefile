# make          builds objs/weir
# make run      serves a demo over HTTPS on this machine
# make test     runs everything there is to run, and installs what that takes
# make check    the quick part of it: before each commit
#
# See doc/building.md.  With "configure --builddir=DIR": make BUILDDIR=DIR.

BUILDDIR ?= objs

# As many jobs as there are processors, unless make was told how many.
JOBS = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))
BUILD = $(MAKE) --no-print-directory $(JOBS) -f $(BUILDDIR)/Makefile

.PHONY: reference all run test check unit check-unit check-clang check-layers check-format check-banned format tidy \
    bench bench-picks fuzz install clean distclean

all: $(BUILDDIR)/configured
	+@$(BUILD) all

# What configure read has changed: run it again, as it was run before.
$(BUILDDIR)/configured: configure auto/modules auto/options auto/probe auto/compiler \
    auto/libraries auto/boringssl-probe auto/boringssl auto/add-ons auto/write
	@if [ -f $(BUILDDIR)/configure-again ]; then sh $(BUILDDIR)/configure-again; \
	else ./configure $(if $(filter-out objs,$(BUILDDIR)),--builddir=$(BUILDDIR)); fi

unit: $(BUILDDIR)/configured
	+@$(BUILD) $(QUICK) unit
	@auto/run-unit $(BUILDDIR)

# What is tested is compiled as ever, the tests themselves in a hurry, and linked without what debuggers
# want (most of a link is copying it; "make unit QUICK=" for one); auto/test spares neither.
QUICK = UNIT_CFLAGS="-O0 -g0 -U_FORTIFY_SOURCE" UNIT_LINK=-Wl,-S

check:
	+@$(MAKE) --no-print-directory -O $(JOBS) check-unit check-layers check-format check-banned

# If anything has changed all is compiled, as it was configured but by clang and without optimization: with many files to
# a compiler that takes no longer than a few of them do otherwise.
CHECK = $(BUILDDIR)/check
CHECK_BUILD = $(MAKE) --no-print-directory -s $(JOBS) -f $(CHECK)/Makefile BUILDDIR=$(CHECK)

$(CHECK)/configured: configure $(wildcard auto/*) $(wildcard $(BUILDDIR)/configured)
	@auto/deps test
	@sh $(firstword $(wildcard $(BUILDDIR)/configure-again) configure) --builddir=$(CHECK) --with-cc=clang \
	    --without-lto --with-cc-opt="-O0 -g0 -U_FORTIFY_SOURCE"

$(CHECK)/compiled: $(CHECK)/configured auto/check-clang $(shell find core modules t/unit -name '*.[ch]')
	+@$(CHECK_BUILD) $(CHECK)/weir_abi.h
	@auto/check-clang $(CHECK)
	@touch $@

check-clang: $(CHECK)/compiled

# auto/test kills for longer.
check-unit: $(CHECK)/compiled
	+@$(CHECK_BUILD) UNIT_LINK=-Wl,-S unit
	@WEIR_KILL_SECONDS=1 auto/run-unit $(CHECK)

check-layers:
	@auto/check-layers

check-format:
	@auto/check-format

check-banned:
	@auto/check-banned

format:
	@auto/check-format --apply

tidy: all
	@auto/tidy $(BUILDDIR)

run:
	@auto/run

test:
	@auto/test

fuzz:
	@auto/fuzz

bench: all
	@t/bench/run

bench-picks: $(BUILDDIR)/configured
	+@$(BUILD) bench-picks
	@$(BUILDDIR)/t/bench/picks

# The reference of directives is printed by weir itself, from its tables.
reference: all
	$(BUILDDIR)/weir -h all > doc/directives.md

install: all
	+@$(BUILD) install DESTDIR=$(DESTDIR)

# BoringSSL is kept: it takes longest.
clean:
	@if [ -d $(BUILDDIR) ]; then \
	    find $(BUILDDIR) -mindepth 1 -maxdepth 1 ! -name boringssl -exec rm -rf {} +; fi

distclean:
	rm -rf objs $(BUILDDIR)
