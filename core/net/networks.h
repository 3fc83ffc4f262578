#ifndef WEIR_NET_NETWORKS_H
#define WEIR_NET_NETWORKS_H

#include "core/conf/conf.h"
#include "core/net/addr.h"

/* Lists of whom a directive speaks of: set_real_ip_from, debug_connection. */

/* ADDRESS | CIDR | HOST | unix: adds to `*networks` (of weir_network), made at first use. */
bool weir_networks_call(weir_conf *conf, weir_array **networks,
                        const weir_statement *statement) WEIR_MUST_USE;
/* Whether one of `networks` (of weir_network; NULL: none) has it. */
bool weir_networks_have(const weir_array *networks, const weir_addr *addr);

#endif
