#ifndef WEIR_NET_ADDR_H
#define WEIR_NET_ADDR_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/base/pool.h"
#include "core/base/result.h"
#include "core/base/str.h"

/* A socket address of any family weir speaks. */
typedef struct {
    socklen_t len; /* 0: none */
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
} weir_addr;

#define WEIR_ADDR_TEXT_MAX (sizeof("unix:") + sizeof(struct sockaddr_un) + 8)

/*
 * A literal: "127.0.0.1", "[::1]:80", "unix:/path", "*:80"; no names are
 * looked up.  `default_port` stands in when the text has none.  A port alone is none of them.
 */
bool weir_addr_parse(weir_str text, uint16_t default_port, weir_addr *addr) WEIR_MUST_USE;
/* An IP address without brackets or port. */
bool weir_addr_parse_ip(weir_str text, weir_addr *addr) WEIR_MUST_USE;

/* "name:port", "[address]:port", a name alone: what stands before the port. */
weir_str weir_addr_host(weir_str text);
/*
 * Both of such a text; `default_port` stands in when it has none.  False: no host, or a port that is none of 1 to
 * 65535.  That the host is a name, or an address, is not looked at.
 */
bool weir_addr_split(weir_str text, uint16_t default_port, weir_str *host,
                     uint16_t *port) WEIR_MUST_USE;

/* Into `text`; with_port gives "127.0.0.1:80", "[::1]:80", "unix:/path". */
weir_str weir_addr_text(const weir_addr *addr, bool with_port,
                        char text[static WEIR_ADDR_TEXT_MAX]);

uint16_t weir_addr_port(const weir_addr *addr); /* 0 for unix: */
void weir_addr_set_port(weir_addr *addr, uint16_t port);
bool weir_addr_eq(const weir_addr *a, const weir_addr *b);
/*
 * An order of IPv4, IPv6 and unix addresses, as of strcmp(): by family, address, port.  0 exactly
 * where weir_addr_eq() is true.
 */
int weir_addr_compare(const weir_addr *a, const weir_addr *b);
bool weir_addr_is_wildcard(const weir_addr *addr);
static inline bool weir_addr_is_unix(const weir_addr *addr)
{
    return addr->len != 0 && addr->sa.sa_family == AF_UNIX;
}

/* A network: address and prefix length; "10.0.0.0/8", "::1", "unix:", as allow, deny and set_real_ip_from take it. */
typedef struct {
    sa_family_t family;
    unsigned prefix_bits;
    uint8_t bytes[16];
    /* The text had bits beyond the prefix, which are cleared: worth a warning. */
    bool has_host_bits;
} weir_network;
bool weir_network_parse(weir_str text, weir_network *network) WEIR_MUST_USE;
/* IPv4-mapped IPv6 addresses match IPv4 networks. */
bool weir_network_has(const weir_network *network, const weir_addr *addr);

/*
 * Looks a host name up with the system's resolver: in the master, at load, only.  "host",
 * "host:port", or any literal.  All lookups of a load, between weir_lookup_begin() and
 * weir_lookup_end(), share a budget of time, and what came of a name holds for all of it.
 * Returns how many addresses there are (in `*list`, from the pool), 0 with `*why` set if none.
 */
void weir_lookup_begin(uint64_t budget_ms);
void weir_lookup_end(void);
/* Whether the text is one that weir_lookup() can look up at all; false: `*why` says what is wrong with it. */
bool weir_lookup_takes(weir_str host, const char **why);
size_t weir_lookup(weir_pool *pool, weir_str host, uint16_t default_port, weir_addr **list,
                   const char **why);

#endif
