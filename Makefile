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

.PHONY: reference all run test check unit run-unit check-clang check-layers check-format check-banned format tidy \
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

# What is tested is compiled as ever, the tests themselves in a hurry; auto/test spares neither.
QUICK = UNIT_CFLAGS="-O0 -U_FORTIFY_SOURCE"

# Most unit tests wait, for time or for another process: meanwhile the sources are looked at.
check: $(BUILDDIR)/configured
	+@$(BUILD) $(QUICK) unit
	+@$(MAKE) --no-print-directory -O $(JOBS) run-unit check-clang check-layers check-format check-banned

# auto/test kills for longer.
run-unit:
	@WEIR_KILL_SECONDS=1 auto/run-unit $(BUILDDIR)

check-clang: $(BUILDDIR)/configured
	+@$(BUILD) $(BUILDDIR)/weir_abi.h
	@auto/check-clang $(BUILDDIR)

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
