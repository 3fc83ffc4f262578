#ifndef WEIR_BALANCE_STICKY_INTERNAL_H
#define WEIR_BALANCE_STICKY_INTERNAL_H

#include <openssl/sha.h>

#include "core/shared/table.h"
#include "modules/balance/balance_internal.h"

typedef enum {
    STICKY_COOKIE,
    STICKY_ROUTE,
    STICKY_LEARN,
} sticky_kind;

struct balance_sticky {
    sticky_kind kind;
    weir_array lookup; /* const weir_template *: of the value; the first that is not empty counts */

    /* cookie */
    weir_str name;
    weir_str attributes;                    /* "; path=/; httponly" */
    const weir_template *domain, *samesite; /* of variables; NULL: none, or among the attributes */
    bool has_expires, expires_at_the_end_of_time;
    uint64_t expires_s;
    uint8_t key[SHA256_DIGEST_LENGTH];

    /* learn */
    weir_array create;
    weir_str zone_name;
    struct weir_zone *zone;
    weir_table *table;
    weir_pool *pool;
    const weir_log *log;
    uint64_t timeout_ms;
    bool learns_at_head;
};

/* Of a cookie's attribute: no control bytes, and no ";". */
bool balance_sticky_attribute_is_good(weir_str value);

#endif
