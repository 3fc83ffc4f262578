#ifndef WEIR_HTTP_WIRE_LINGER_H
#define WEIR_HTTP_WIRE_LINGER_H

#include "modules/http/engine/core_conf.h"

typedef enum {
    WEIR_HTTP_END_AT_ONCE,
    WEIR_HTTP_END_BRIEFLY, /* for a client that is sent away: so that it sees why, and does not keep us busy */
    WEIR_HTTP_END_LINGERING, /* as lingering_close has it */
} weir_http_ending;

/*
 * The end of a client's connection: ours is said, and then what the client still sends is read and dropped
 * for a while, so that no reset eats the response (RFC 9112, 9.6).  Takes over the connection and its owner; it may be
 * closed when this returns.
 */
void weir_http_end_connection(weir_connection *connection, const weir_http_core_conf *core,
                              weir_http_ending ending);

#endif
