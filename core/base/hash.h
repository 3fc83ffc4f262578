#ifndef WEIR_BASE_HASH_H
#define WEIR_BASE_HASH_H

#include "core/base/str.h"

/*
 * A hash that nobody who does not know the key can make collide: for tables whose keys peers choose.  Never 0.  With
 * `nocase`, strings that differ only in the case of ASCII letters have the same.
 */
uint64_t weir_hash_keyed(weir_str s, bool nocase, const uint64_t key[static 2]);

#endif
