#ifndef WEIR_COMMON_GEO_H
#define WEIR_COMMON_GEO_H

#include "core/script/script.h"

/*
 * geo [$ADDRESS] $NAME { 10.0.0.0/8 one; 10.1.0.1-10.1.0.9 two; default three; }: a variable whose value depends on an
 * IP address, by the smallest network that has it.
 *
 * `address` and `forwarded` are the variables that stand for the client's address and for what proxies say of
 * it; empty: there are no proxies here.
 */
bool weir_geo_block_call(weir_conf *conf, weir_space *space, weir_str address, weir_str forwarded,
                         const weir_statement *statement);

#endif
