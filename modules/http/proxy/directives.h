#ifndef WEIR_HTTP_PROXY_DIRECTIVES_H
#define WEIR_HTTP_PROXY_DIRECTIVES_H

#include "modules/http/proxy/proxy_internal.h"

/*
 * The directives that proxy_pass, grpc_pass and tunnel_pass share, under prefixes of their own:
 * rows over a proxy_conf.
 */

#define PROXY_WHERE WEIR_HTTP_ANYWHERE
#define PROXY_ROW(name_, slot_, preset_, doc_)                                                     \
    {                                                                                              \
        .name = name_, .where = PROXY_WHERE, .slot = slot_, .preset = preset_, .doc = doc_         \
    }
/* A list that each directive adds one to: what follows is a directive whose ";" before it was forgotten. */
#define PROXY_ROW_OF_ONE(name_, slot_, doc_)                                                       \
    {                                                                                              \
        .name = name_, .where = PROXY_WHERE, .slot = slot_, .takes = WEIR_TAKES(1, 1),             \
        .syntax = "field", .doc = doc_                                                             \
    }
#define PROXY_FLAG(member) WEIR_SLOT_FLAG(proxy_conf, member)
#define PROXY_SIZE(member) WEIR_SLOT_SIZE(proxy_conf, member)
#define PROXY_MS(member) WEIR_SLOT_MS(proxy_conf, member)
#define PROXY_TEMPLATE(member) WEIR_SLOT_TEMPLATE(proxy_conf, member)

extern const weir_choice proxy_next_choices[];
extern const weir_choice proxy_ignore_choices[];

/* Those that tunnel_pass has, too.  PREFIX is "proxy_", say; NEXT_CHOICES what may make a request go on. */
#define PROXY_CONNECTING_DIRECTIVES(PREFIX, NEXT_CHOICES)                                          \
    PROXY_ROW(PREFIX "connect_timeout", PROXY_MS(connect_timeout_ms), "60s",                       \
              "How long connecting to an origin may take."),                                       \
        PROXY_ROW(PREFIX "socket_keepalive", PROXY_FLAG(socket_keepalive), "off",                  \
                  "Has the kernel probe connections to origins (SO_KEEPALIVE)."),                  \
        PROXY_ROW(PREFIX "socket_rcvbuf", PROXY_SIZE(socket_rcvbuf), NULL,                         \
                  "The kernel's receive buffer."),                                                 \
        PROXY_ROW(PREFIX "socket_sndbuf", PROXY_SIZE(socket_sndbuf), NULL,                         \
                  "The kernel's send buffer."),                                                    \
        {                                                                                          \
            .name = PREFIX "bind",                                                                 \
            .where = PROXY_WHERE,                                                                  \
            .slot = WEIR_SLOT_CALL(proxy_conf, bind, proxy_bind_call),                             \
            .takes = WEIR_TAKES(1, 2),                                                             \
            .syntax = "address [transparent] | off",                                               \
            .doc = "The local address of connections to origins.",                                 \
        },                                                                                         \
        PROXY_ROW(PREFIX "bind_dynamic", PROXY_FLAG(bind_dynamic), "off",                          \
                  "Asks for that address anew at each try, as $upstream_last_addr may be a part "  \
                  "of it."),                                                                       \
        {                                                                                          \
            .name = PREFIX "allow_upstream",                                                       \
            .where = PROXY_WHERE,                                                                  \
            .slot = WEIR_SLOT_CALL(proxy_conf, allow_upstream, proxy_allow_upstream_call),         \
            .takes = WEIR_TAKES_SOME,                                                              \
            .syntax = "string ...",                                                                \
            .doc = "Asks a server only if all of these, with $upstream_last_addr as its address, " \
                   "are neither empty nor \"0\"; else the client is told 403.",                    \
        },                                                                                         \
        PROXY_ROW(PREFIX "next_upstream", WEIR_SLOT_BITS(proxy_conf, next_upstream, NEXT_CHOICES), \
                  "error timeout", "What makes a request go on to the next server of its group."), \
        PROXY_ROW(PREFIX "next_upstream_tries",                                                    \
                  WEIR_SLOT_UINT(proxy_conf, next_tries, 0, UINT32_MAX), "0",                      \
                  "How many servers may be tried; 0 is all."),                                     \
        PROXY_ROW(PREFIX "next_upstream_timeout", PROXY_MS(next_timeout_ms), "0",                  \
                  "How long a request may go on to further servers; 0 is no limit.")

/* PREFIX as above; SET_HEADER its module's call for PREFIX "set_header". */
#define PROXY_SHARED_DIRECTIVES(PREFIX, SET_HEADER)                                                \
    {                                                                                              \
        .name = PREFIX "set_header",                                                               \
        .where = PROXY_WHERE,                                                                      \
        .slot = WEIR_SLOT_CALL(proxy_conf, set_headers, SET_HEADER),                               \
        .takes = WEIR_TAKES(2, 2),                                                                 \
        .syntax = "field value",                                                                   \
        .repeatable = true,                                                                        \
        .doc = "Sets a field of the request that goes out; an empty value leaves it out.",         \
    },                                                                                             \
        PROXY_ROW(PREFIX "request_dynamic", PROXY_FLAG(request_dynamic), "off",                    \
                  "Makes the request anew for each server that is tried, as "                      \
                  "$upstream_last_server_name or $upstream_last_addr may be a part of it."),       \
        PROXY_CONNECTING_DIRECTIVES(PREFIX, proxy_next_choices),                                   \
        PROXY_ROW(PREFIX "send_timeout", PROXY_MS(send_timeout_ms), "60s",                         \
                  "The time between two writes of a request."),                                    \
        PROXY_ROW(PREFIX "read_timeout", PROXY_MS(read_timeout_ms), "60s",                         \
                  "The time between two reads of a response."),                                    \
        PROXY_ROW(PREFIX "buffer_size", PROXY_SIZE(buffer_size), "4k",                             \
                  "The largest head of a response."),                                              \
        PROXY_ROW_OF_ONE(PREFIX "hide_header", WEIR_SLOT_LIST(proxy_conf, hide_headers),           \
                         "A field of responses that does not pass."),                              \
        PROXY_ROW_OF_ONE(                                                                          \
            PREFIX "pass_header", WEIR_SLOT_LIST(proxy_conf, pass_headers),                        \
            "A field that passes, though it would not by itself: Date, Server, X-Accel-..."),      \
        PROXY_ROW(PREFIX "ignore_headers",                                                         \
                  WEIR_SLOT_BITS(proxy_conf, ignore_headers, proxy_ignore_choices), NULL,          \
                  "Fields of responses that have no effect here."),                                \
        PROXY_ROW(PREFIX "intercept_errors", PROXY_FLAG(intercept_errors), "off",                  \
                  "Shows the error_page for statuses of origins, too."),                           \
        WEIR_TLS_CLIENT_DIRECTIVES(PREFIX "ssl_", proxy_conf, tls, PROXY_WHERE)

#endif
