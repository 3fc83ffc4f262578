# make          builds objs/weir
# make run      serves a demo over HTTPS on this machine
# make test     runs everything there is to run, and installs what that takes
# make check    the quick part of it: before each commit
#
# See doc/building.md.  With "configure --builddir=DIR": make BUILDDIR=DIR.

BUILDDIR ?= objs

BUILD = $(MAKE) --no-print-directory -f $(BUILDDIR)/Makefile

.PHONY: reference all run test check unit check-clang check-layers check-format check-banned format tidy \
    bench bench-picks fuzz install clean distclean

all: $(BUILDDIR)/configured
	+@$(BUILD) all

# What configure read has changed: run it again, as it was run before.
$(BUILDDIR)/configured: configure auto/modules auto/options auto/probe auto/compiler \
    auto/libraries auto/boringssl-probe auto/boringssl auto/add-ons auto/write
	@if [ -f $(BUILDDIR)/configure-again ]; then sh $(BUILDDIR)/configure-again; \
	else ./configure $(if $(filter-out objs,$(BUILDDIR)),--builddir=$(BUILDDIR)); fi

unit: $(BUILDDIR)/configured
	+@$(BUILD) unit
	@auto/run-unit $(BUILDDIR)

# One make at a time in a build folder: what it builds, then what is run.
check: $(BUILDDIR)/configured
	+@$(BUILD) unit check-clang
	@auto/run-unit $(BUILDDIR)
	@auto/check-layers
	@auto/check-format
	@auto/check-banned

check-clang: $(BUILDDIR)/configured
	+@$(BUILD) check-clang

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
