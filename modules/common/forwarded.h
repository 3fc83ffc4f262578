#ifndef WEIR_COMMON_FORWARDED_H
#define WEIR_COMMON_FORWARDED_H

#include "core/base/array.h"
#include "core/net/addr.h"

/*
 * X-Forwarded-For and its like: a list to which each proxy adds whom it talked to.  Only its end
 * can be believed, as far as those who wrote it are trusted.
 */

/*
 * The last address of the list; with `is_recursive` the last that is no trusted one, or the first of all if all are.
 * False: there is none.
 */
bool weir_forwarded_addr(weir_str list, const weir_array *trusted, bool is_recursive,
                         weir_addr *addr);

#endif
