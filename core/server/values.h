#ifndef WEIR_SERVER_VALUES_H
#define WEIR_SERVER_VALUES_H

#include "core/net/connection.h"
#include "core/script/script.h"

/* What variables of several families are made of: each is the end of a weir_variable_get. */

static inline bool weir_give(weir_value *value, weir_str text)
{
    value->text = text;
    value->found = true;
    return true;
}

/* Into the script's pool.  False: no memory. */
bool weir_give_copy(weir_script *script, weir_value *value, weir_str text);
bool weir_give_uint(weir_script *script, weir_value *value, uint64_t number);
/* Seconds, with milliseconds behind the point. */
bool weir_give_ms(weir_script *script, weir_value *value, uint64_t ms);

/* "192.0.2.1", "unix:..." */
bool weir_give_addr(weir_script *script, weir_value *value, const weir_addr *addr);
/* Empty for unix: */
bool weir_give_port(weir_script *script, weir_value *value, const weir_addr *addr);
/* 4 or 16 bytes, borrowed from `addr`. */
bool weir_give_binary_addr(weir_value *value, const weir_addr *addr);

/* $proxy_protocol_addr, _port, _server_addr, _server_port */
typedef enum {
    WEIR_PROXY_PROTOCOL_ADDR,
    WEIR_PROXY_PROTOCOL_PORT,
    WEIR_PROXY_PROTOCOL_SERVER_ADDR,
    WEIR_PROXY_PROTOCOL_SERVER_PORT,
} weir_proxy_protocol_part;
bool weir_give_proxy_protocol(weir_script *script, weir_value *value,
                              const weir_connection *connection, weir_proxy_protocol_part part);
/* $proxy_protocol_tlv_NAME */
bool weir_give_proxy_protocol_tlv(weir_script *script, weir_value *value,
                                  const weir_connection *connection, weir_str name);

/*
 * At load, of a directive that takes bytes a second, or variables that say so: without these it
 * must be a size, which is `*rate`; with them that is 0.  False: refused.
 */
bool weir_rate_check(weir_conf *conf, const weir_template *text, const char *directive,
                     uint64_t *rate) WEIR_MUST_USE;

/* Of the process and the clock: $pid, $hostname, $nginx_version, $msec, $time_local ... */
extern const weir_variable weir_process_variables[];

#endif
