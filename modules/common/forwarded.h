#ifndef WEIR_COMMON_FORWARDED_H
#define WEIR_COMMON_FORWARDED_H

#include "core/conf/conf.h"
#include "core/net/addr.h"

/*
 * X-Forwarded-For and its like: a list to which each proxy adds whom it talked to.  Only its end can be believed, as far
 * as those who wrote it are trusted.
 */

/* set_real_ip_from ADDRESS | CIDR | HOST | unix: adds to `*networks` (of weir_network), made at first use. */
bool weir_networks_call(weir_conf *conf, weir_array **networks, const weir_statement *statement);
/* Whether one of `networks` (of weir_network; NULL: none) has it. */
bool weir_networks_have(const weir_array *networks, const weir_addr *addr);
/*
 * The last address of the list; with `is_recursive` the last that is no trusted one, or the first of all if all are.
 * False: there is none.
 */
bool weir_forwarded_addr(weir_str list, const weir_array *trusted, bool is_recursive,
                         weir_addr *addr);

#endif
