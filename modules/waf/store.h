#ifndef WEIR_WAF_STORE_H
#define WEIR_WAF_STORE_H

#include "core/base/log.h"
#include "core/base/pool.h"

/*
 * Where collections that outlive requests are kept: memory that all workers share.  Each collection, such as IP of
 * one address, is one entry of a table, at most WEIR_WAF_KEPT_MAX bytes; the one not used for longest makes room.
 */
typedef struct weir_waf_store weir_waf_store;

#define WEIR_WAF_KEPT_MAX 32768
#define WEIR_WAF_STORE_LAYOUT "waf collections 2"

/* In the master, before it forks; see weir_table_open().  NULL: too few bytes, or no memory. */
weir_waf_store *weir_waf_store_open(weir_pool *pool, void *memory, size_t bytes, bool is_new,
                                    weir_str name, const weir_log *log);

#endif
