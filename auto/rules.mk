# The build itself.  Included by BUILDDIR/Makefile, which configure writes and which sets
#
#   BUILDDIR CC CFLAGS CPPFLAGS PROGRAM_CFLAGS SHARED_CFLAGS LDFLAGS PROGRAM_LDFLAGS
#   UNIT_LDFLAGS SHARED_LDFLAGS LIBS BORINGSSL_PREREQUISITE LEFT_OUT ADD_ON_SOURCES ADD_ON_MODULES
#   DYNAMIC_MODULES and the paths for install; with --with-lto also LTO_CFLAGS LTO_LDFLAGS LTO_NONE
#
# Every .c below core/ is built, and what auto/modules lists; objects mirror the tree.  A file
# named main.c goes into the program only: libweir.a, which the tests link, has all the others.

.SUFFIXES:
.DELETE_ON_ERROR:

CORE_SOURCES := $(shell find core -name '*.c' 2> /dev/null | LC_ALL=C sort)
MAIN_SOURCES := $(filter %/main.c,$(CORE_SOURCES))
MODULE_SOURCES := $(shell auto/module-list sources $(LEFT_OUT))
ifneq ($(.SHELLSTATUS),0)
$(error auto/modules and the tree disagree)
endif
SOURCES := $(filter-out $(MAIN_SOURCES),$(sort $(CORE_SOURCES) $(MODULE_SOURCES)))

in_builddir = $(patsubst %.c,$(BUILDDIR)/%.o,$(1))

OBJECTS := $(call in_builddir,$(SOURCES)) $(BUILDDIR)/weir_modules.o
MAIN_OBJECTS := $(call in_builddir,$(MAIN_SOURCES))
ADD_ON_OBJECTS := $(patsubst /%,$(BUILDDIR)/add-on/%,$(ADD_ON_SOURCES:.c=.o))
LIBRARY := $(BUILDDIR)/libweir.a

PROGRAM := $(if $(MAIN_SOURCES),$(BUILDDIR)/weir)

# Short lines, which cost no process; the whole commands with "make V=1".
empty :=
space := $(empty) $(empty)
Q := $(if $(V),,@)
say = $(if $(V)$(findstring s,$(firstword -$(MAKEFLAGS))),,$(info $(space) $(1)))

COMPILE = $(Q)$(CC) $(CFLAGS) $(CPPFLAGS) -I. -I$(BUILDDIR) -MMD -MP

.PHONY: all program library unit FORCE
all: program dynamic
program: $(LIBRARY) $(PROGRAM)

define newline


endef

# Objects.

# The warnings of an author's own module are no errors of ours.
$(BUILDDIR)/add-on/%.o: /%.c $(BUILDDIR)/Makefile
	$(call say,cc    $<)
	$(COMPILE) $(PROGRAM_CFLAGS) $(ADD_ON_CPPFLAGS) -c -o $@ $<

$(BUILDDIR)/weir_modules.o: $(BUILDDIR)/weir_modules.c $(BUILDDIR)/Makefile
	$(call say,cc    $<)
	$(COMPILE) $(WERROR) $(PROGRAM_CFLAGS) -c -o $@ $<

$(BUILDDIR)/%.o: %.c $(BUILDDIR)/Makefile
	$(call say,cc    $<)
	$(COMPILE) $(WERROR) $(PROGRAM_CFLAGS) -c -o $@ $<

# What the program is linked of; the tests' own objects gain nothing by it.
$(OBJECTS) $(MAIN_OBJECTS) $(ADD_ON_OBJECTS): PROGRAM_CFLAGS += $(LTO_CFLAGS)

# The array of modules, and what a dynamic module is checked against.  Rewritten only when they
# differ, so that nothing else is built again.

$(BUILDDIR)/weir_modules.c: FORCE
	@auto/module-list array $(LEFT_OUT) -- $(ADD_ON_MODULES) > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(BUILDDIR)/weir_abi.h: FORCE
	@auto/abi $(BUILDDIR) > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(OBJECTS) $(MAIN_OBJECTS) $(ADD_ON_OBJECTS): | $(BUILDDIR)/weir_abi.h

# The list of objects changes when a file is removed, which no time stamp tells.

$(BUILDDIR)/objects: FORCE
	@echo $(OBJECTS) $(ADD_ON_OBJECTS) > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(LIBRARY): $(OBJECTS) $(ADD_ON_OBJECTS) $(BUILDDIR)/objects
	@rm -f $@
	$(call say,ar    $@)
	$(Q)$(AR) rcs $@ $(OBJECTS) $(ADD_ON_OBJECTS)

ifneq ($(BORINGSSL_PREREQUISITE),)
$(BORINGSSL_PREREQUISITE):
	+auto/boringssl build $(BORINGSSL_PREREQUISITE:/lib/libssl.a=)
endif

# Dynamic modules see weir's own symbols, and none of the libraries linked in.

$(BUILDDIR)/weir: $(MAIN_OBJECTS) $(OBJECTS) $(ADD_ON_OBJECTS) $(BUILDDIR)/objects \
    auto/exports $(BORINGSSL_PREREQUISITE)
	$(call say,link  $@)
	$(Q)$(CC) $(CFLAGS) $(LTO_LDFLAGS) $(PROGRAM_LDFLAGS) $(LDFLAGS) \
	    -Wl,--dynamic-list=auto/exports -o $@ \
	    $(MAIN_OBJECTS) $(OBJECTS) $(ADD_ON_OBJECTS) $(LIBS)

# Dynamic modules: their rules are written by configure.

include $(DYNAMIC_MODULES:$(BUILDDIR)/%.so=$(BUILDDIR)/dynamic/%.mk)

.PHONY: dynamic
dynamic: $(DYNAMIC_MODULES)

# Unit tests: each t/unit/*_test.c is a program; what else is there is linked to all of them.

UNIT_TESTS := $(shell find t/unit -name '*_test.c' 2> /dev/null | LC_ALL=C sort)
UNIT_HELPERS := $(filter-out $(UNIT_TESTS),$(shell find t/unit -name '*.c' 2> /dev/null))
UNIT_PROGRAMS := $(patsubst %.c,$(BUILDDIR)/%,$(UNIT_TESTS))

unit: $(UNIT_PROGRAMS)

# UNIT_CFLAGS and UNIT_LINK, where make is told some: for the tests' own objects, and for their programs.
$(UNIT_PROGRAMS:=.o) $(call in_builddir,$(UNIT_HELPERS)): PROGRAM_CFLAGS += $(UNIT_CFLAGS)

$(UNIT_PROGRAMS): $(BUILDDIR)/%_test: $(BUILDDIR)/%_test.o $(call in_builddir,$(UNIT_HELPERS)) \
    $(LIBRARY) $(BORINGSSL_PREREQUISITE)
	$(call say,link  $@)
	$(Q)$(CC) $(CFLAGS) $(LTO_NONE) $(UNIT_LDFLAGS) $(UNIT_LINK) $(LDFLAGS) -o $@ $< $(call in_builddir,$(UNIT_HELPERS)) \
	    $(LIBRARY) $(LIBS) -lcmocka

.SECONDARY: $(UNIT_PROGRAMS:=.o)

# What a pick of an upstream's peer costs: for "make bench-picks".

PICKS := $(BUILDDIR)/t/bench/picks

bench-picks: $(PICKS)

$(PICKS): %: %.o $(LIBRARY) $(BORINGSSL_PREREQUISITE)
	$(call say,link  $@)
	$(Q)$(CC) $(CFLAGS) $(PROGRAM_LDFLAGS) $(LDFLAGS) -o $@ $< $(LIBRARY) $(LIBS)

# The threaded ones, for ThreadSanitizer.
.PHONY: unit-tsan
unit-tsan: $(filter %_tsan_test,$(UNIT_PROGRAMS))

# Fuzz targets: each t/fuzz/*_fuzz.c, in a folder configured --with-sanitizers=fuzzer.

FUZZ_PROGRAMS := $(patsubst %.c,$(BUILDDIR)/%,$(sort $(wildcard t/fuzz/*_fuzz.c)))

.PHONY: fuzz
fuzz: $(FUZZ_PROGRAMS)

$(FUZZ_PROGRAMS): $(BUILDDIR)/%_fuzz: $(BUILDDIR)/%_fuzz.o $(LIBRARY) $(BORINGSSL_PREREQUISITE)
	$(call say,link  $@)
	$(Q)$(CC) $(CFLAGS) $(PROGRAM_LDFLAGS) $(LDFLAGS) -fsanitize=fuzzer -o $@ $< $(LIBRARY) $(LIBS)

.SECONDARY: $(FUZZ_PROGRAMS:=.o)

# Makes the certificate of "make run".

$(BUILDDIR)/self-signed: auto/self-signed.c $(BORINGSSL_PREREQUISITE) $(BUILDDIR)/Makefile
	$(call say,cc    $<)
	$(COMPILE) $(WERROR) $(PROGRAM_CFLAGS) $(PROGRAM_LDFLAGS) $(LDFLAGS) -o $@ $< $(LIBS)

# Installation.  A configuration that is there is left alone: the new one goes beside it.

CONF_DIR := $(dir $(CONF_PATH))

.PHONY: install
install: all
	install -d '$(DESTDIR)$(dir $(SBIN_PATH))' '$(DESTDIR)$(MODULES_PATH)' '$(DESTDIR)$(CONF_DIR)' \
	    '$(DESTDIR)$(dir $(PID_PATH))' '$(DESTDIR)$(dir $(ERROR_LOG_PATH))' \
	    '$(DESTDIR)$(dir $(HTTP_LOG_PATH))'
	@# Renamed into place: the old file may be running.
	install -m 755 $(BUILDDIR)/weir '$(DESTDIR)$(SBIN_PATH).new'
	mv -f '$(DESTDIR)$(SBIN_PATH).new' '$(DESTDIR)$(SBIN_PATH)'
	$(foreach module,$(DYNAMIC_MODULES),install -m 644 $(module) '$(DESTDIR)$(MODULES_PATH)'$(newline))
	auto/install-conf '$(DESTDIR)$(CONF_DIR)' '$(DESTDIR)$(CONF_PATH)'
	auto/install-headers $(BUILDDIR) '$(DESTDIR)$(INCLUDE_PATH)'
	$(foreach page,$(wildcard doc/*.8),install -D -m 644 -t '$(DESTDIR)$(MAN_PATH)' $(page)$(newline))

# What clang-tidy and auto/check-clang are given.
.PHONY: print-flags print-compile
print-compile:
	@echo $(CC) $(CFLAGS) $(CPPFLAGS) -I. -I$(BUILDDIR) $(PROGRAM_CFLAGS)
print-flags:
	@echo $(CPPFLAGS) -I. -I$(BUILDDIR)

# Once for all objects: a process for each would cost more than some of them.
$(shell mkdir -p $(sort $(dir $(OBJECTS) $(MAIN_OBJECTS) $(ADD_ON_OBJECTS) $(UNIT_PROGRAMS) $(PICKS) $(FUZZ_PROGRAMS))))

# Other build folders may lie in this one.
-include $(BUILDDIR)/weir_modules.d
-include $(shell find $(BUILDDIR)/core $(BUILDDIR)/modules $(BUILDDIR)/t $(BUILDDIR)/dynamic $(BUILDDIR)/add-on \
    -name '*.d' 2> /dev/null)
