/*
 * Base64 (RFC 4648, 4).
 */

#ifndef WEIR_BASE_BASE64_H
#define WEIR_BASE_BASE64_H

#include <stdbool.h>

#include "core/base/pool.h"
#include "core/base/str.h"

/*
 * Decodes the text into memory of the pool.  Padding may be missing, as some
 * senders leave it out; anything else outside the alphabet is refused.
 * Returns false, also, when the pool is used up.
 */
bool weir_base64_decode(weir_pool *pool, weir_str text, weir_str *bytes);

#endif
