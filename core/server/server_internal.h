#ifndef WEIR_SERVER_INTERNAL_H
#define WEIR_SERVER_INTERNAL_H

#include "core/server/server.h"

/* What weir_server_address.regexes holds. */
typedef struct {
    const weir_regex *regex;
    weir_server *server;
} weir_server_name_regex;

/* Puts a server's names into the look-ups of an address; what another server has there is a warning. */
bool weir_server_names_put(weir_conf *conf, weir_server_address *address,
                           weir_server *server) WEIR_MUST_USE;

#endif
