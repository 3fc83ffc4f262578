# Builds BoringSSL's two static libraries; run by auto/boringssl in its source tree.
#
# libssl is C++ without exceptions, run-time types and libstdc++: it links into a C program.

include debian/sources.mk

machine := $(shell $(CC) -dumpmachine)
assembly := $(or $(if $(filter x86_64-%,$(machine)),$(linux_x86_64_sources)), \
                 $(if $(filter aarch64-%,$(machine)),$(linux_aarch64_sources)))
ifeq ($(strip $(assembly)),)
$(error no assembly for $(machine): name a BoringSSL of your own, see configure --help)
endif

hardening := -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
ifneq ($(filter x86_64-%,$(machine)),)
hardening += -fcf-protection -fstack-clash-protection
endif

flags := -O2 -g1 -fPIC -fvisibility=hidden -fno-common -ffunction-sections -fdata-sections \
    -DNDEBUG -DBORINGSSL_IMPLEMENTATION -Isrc/include -Wa,--noexecstack $(hardening)
cflags := -std=gnu11 -D_XOPEN_SOURCE=700
cxxflags := -std=gnu++14 -fno-exceptions -fno-rtti

# X25519 is generic C, and a third of what a resumed handshake costs: -O3 takes 14 % off it.
$(OUT)/objs/src/crypto/curve25519/%.o: flags += -O3

objects = $(patsubst %,$(OUT)/objs/%.o,$(1))

all: $(OUT)/lib/libssl.a $(OUT)/lib/libcrypto.a

$(OUT)/lib/libssl.a: $(call objects,$(ssl_sources))
$(OUT)/lib/libcrypto.a: $(call objects,$(crypto_sources) $(assembly))

%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

$(OUT)/objs/%.c.o: %.c
	@mkdir -p $(@D)
	$(CC) $(cflags) $(flags) -c -o $@ $<

$(OUT)/objs/%.cc.o: %.cc
	@mkdir -p $(@D)
	$(CXX) $(cxxflags) $(flags) -c -o $@ $<

$(OUT)/objs/%.S.o: %.S
	@mkdir -p $(@D)
	$(CC) $(flags) -c -o $@ $<
