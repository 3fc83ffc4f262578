/* Socket addresses and networks: from text, to text, compared. */

#include "core/net/addr.h"

#include <arpa/inet.h>
#include <stddef.h>

#include "core/base/builder.h"
#include "core/base/cursor.h"
#include "core/base/number.h"

#define ADDR_UNIX_PREFIX WEIR_STR("unix:")
#define ADDR_UNIX_PATH_OFFSET offsetof(struct sockaddr_un, sun_path)

/* ---- from text */

/* An initialiser need not clear all members of a union. */
static void addr_clear(weir_addr *addr, socklen_t len)
{
    memset(addr, 0, sizeof(*addr));
    addr->len = len;
}

static void addr_set_ipv4(weir_addr *addr, struct in_addr ip, uint16_t port)
{
    addr_clear(addr, sizeof(addr->in));
    addr->in.sin_family = AF_INET;
    addr->in.sin_addr = ip;
    addr->in.sin_port = htons(port);
}

static void addr_set_ipv6(weir_addr *addr, struct in6_addr ip, uint16_t port)
{
    addr_clear(addr, sizeof(addr->in6));
    addr->in6.sin6_family = AF_INET6;
    addr->in6.sin6_addr = ip;
    addr->in6.sin6_port = htons(port);
}

bool weir_addr_parse_ip(weir_str text, weir_addr *addr)
{
    char z[INET6_ADDRSTRLEN];
    struct in_addr ipv4;
    struct in6_addr ipv6;

    if (text.len >= sizeof(z) || memchr(text.data, '\0', text.len) != NULL) {
        return false;
    }
    memcpy(z, text.data, text.len);
    z[text.len] = '\0';

    if (inet_pton(AF_INET, z, &ipv4) == 1) {
        addr_set_ipv4(addr, ipv4, 0);
        return true;
    }
    if (inet_pton(AF_INET6, z, &ipv6) == 1) {
        addr_set_ipv6(addr, ipv6, 0);
        return true;
    }
    return false;
}

static bool addr_parse_unix(weir_str path, weir_addr *addr)
{
    if (path.len == 0 || path.len >= sizeof(addr->un.sun_path)
        || memchr(path.data, '\0', path.len) != NULL) {
        return false;
    }

    addr_clear(addr, (socklen_t) (ADDR_UNIX_PATH_OFFSET + path.len + 1));
    addr->un.sun_family = AF_UNIX;
    memcpy(addr->un.sun_path, path.data, path.len);
    return true;
}

/* ":80", or nothing for the preset. */
static bool addr_parse_port(weir_str text, uint16_t *port)
{
    uint64_t number;

    if (weir_str_is_empty(text)) {
        return true;
    }
    if (text.data[0] != ':' || !weir_parse_uint(weir_str_from(text, 1), UINT16_MAX, &number)
        || number == 0) {
        return false;
    }
    *port = (uint16_t) number;
    return true;
}

bool weir_addr_parse(weir_str text, uint16_t default_port, weir_addr *addr)
{
    uint16_t port = default_port;
    const char *end;
    bool is_ipv6 = weir_str_starts(text, WEIR_STR("["));
    weir_addr parsed;
    weir_str ip, rest;

    if (weir_str_starts(text, ADDR_UNIX_PREFIX)) {
        return addr_parse_unix(weir_str_from(text, ADDR_UNIX_PREFIX.len), addr);
    }

    if (is_ipv6) {
        end = weir_str_find_byte(text, ']');
        if (end == NULL) {
            return false;
        }
        ip = weir_str_of(text.data + 1, (size_t) (end - text.data) - 1);
        rest = weir_str_from(text, ip.len + 2);
    } else {
        end = weir_str_find_byte(text, ':');
        ip = end == NULL ? text : weir_str_of(text.data, (size_t) (end - text.data));
        rest = weir_str_from(text, ip.len);
    }

    if (!addr_parse_port(rest, &port)) {
        return false;
    }

    if (!is_ipv6 && weir_str_eq(ip, WEIR_STR("*"))) {
        addr_set_ipv4(addr, (struct in_addr){INADDR_ANY}, port);
        return true;
    }
    if (!weir_addr_parse_ip(ip, &parsed) || parsed.sa.sa_family != (is_ipv6 ? AF_INET6 : AF_INET)) {
        return false;
    }

    weir_addr_set_port(&parsed, port);
    *addr = parsed;
    return true;
}

weir_str weir_addr_host(weir_str text)
{
    weir_cursor rest = weir_cursor_of(text);
    weir_str bracketed;
    const char *colon;

    (void) !weir_cursor_take_until(&rest, ']', &bracketed);
    colon = weir_str_find_byte(weir_cursor_rest(&rest), ':');
    return colon == NULL ? text : weir_str_slice(text, 0, (size_t) (colon - text.data));
}

bool weir_addr_split(weir_str text, uint16_t default_port, weir_str *host, uint16_t *port)
{
    weir_str before = weir_addr_host(text);
    uint64_t number = default_port;

    if (before.len != text.len
        && (!weir_parse_uint(weir_str_from(text, before.len + 1), UINT16_MAX, &number)
            || number == 0)) {
        return false;
    }
    /* "[::1]80" */
    if (before.len == 0
        || (weir_str_find_byte(before, ':') != NULL && !weir_str_ends(before, WEIR_STR("]")))) {
        return false;
    }
    *host = before;
    *port = (uint16_t) number;
    return true;
}

/* ---- to text */

static void addr_add_ipv4(weir_builder *text, struct in_addr ip)
{
    const uint8_t *byte = (const uint8_t *) &ip;

    for (int i = 0; i < 4; i++) {
        if (i != 0) {
            weir_builder_add_byte(text, '.');
        }
        weir_builder_add_uint(text, byte[i]);
    }
}

static weir_str addr_unix_path(const weir_addr *addr)
{
    size_t len = addr->len <= ADDR_UNIX_PATH_OFFSET ? 0 : addr->len - ADDR_UNIX_PATH_OFFSET;

    return weir_str_of(addr->un.sun_path, strnlen(addr->un.sun_path, len));
}

weir_str weir_addr_text(const weir_addr *addr, bool with_port, char text[static WEIR_ADDR_TEXT_MAX])
{
    weir_builder builder;
    char ipv6[INET6_ADDRSTRLEN];

    weir_builder_over(&builder, text, WEIR_ADDR_TEXT_MAX);
    if (addr->len == 0) {
        return weir_builder_cut(&builder);
    }

    switch (addr->sa.sa_family) {
    case AF_INET:
        addr_add_ipv4(&builder, addr->in.sin_addr);
        break;

    case AF_INET6:
        inet_ntop(AF_INET6, &addr->in6.sin6_addr, ipv6, sizeof(ipv6));
        if (with_port) {
            weir_builder_add_byte(&builder, '[');
        }
        weir_builder_add(&builder, weir_str_from_z(ipv6));
        if (with_port) {
            weir_builder_add_byte(&builder, ']');
        }
        break;

    case AF_UNIX:
        weir_builder_add(&builder, ADDR_UNIX_PREFIX);
        weir_builder_add(&builder, addr_unix_path(addr));
        return weir_builder_cut(&builder);

    default:
        return weir_builder_cut(&builder);
    }

    if (with_port) {
        weir_builder_add_byte(&builder, ':');
        weir_builder_add_uint(&builder, weir_addr_port(addr));
    }
    return weir_builder_cut(&builder);
}

/* ---- parts */

uint16_t weir_addr_port(const weir_addr *addr)
{
    if (addr->len == 0) {
        return 0;
    }
    switch (addr->sa.sa_family) {
    case AF_INET:
        return ntohs(addr->in.sin_port);
    case AF_INET6:
        return ntohs(addr->in6.sin6_port);
    default:
        return 0;
    }
}

void weir_addr_set_port(weir_addr *addr, uint16_t port)
{
    if (addr->len == 0) {
        return;
    }
    if (addr->sa.sa_family == AF_INET) {
        addr->in.sin_port = htons(port);
    } else if (addr->sa.sa_family == AF_INET6) {
        addr->in6.sin6_port = htons(port);
    }
}

bool weir_addr_eq(const weir_addr *a, const weir_addr *b)
{
    if (a->len == 0 || b->len == 0) {
        return a->len == b->len;
    }
    if (a->sa.sa_family != b->sa.sa_family) {
        return false;
    }

    switch (a->sa.sa_family) {
    case AF_INET:
        return a->in.sin_port == b->in.sin_port && a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
    case AF_INET6:
        return a->in6.sin6_port == b->in6.sin6_port && a->in6.sin6_scope_id == b->in6.sin6_scope_id
               && memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr)) == 0;
    case AF_UNIX:
        return weir_str_eq(addr_unix_path(a), addr_unix_path(b));
    default:
        return false;
    }
}

static int addr_order(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

int weir_addr_compare(const weir_addr *a, const weir_addr *b)
{
    int order;

    if (a->len == 0 || b->len == 0) {
        return addr_order(a->len, b->len);
    }
    if (a->sa.sa_family != b->sa.sa_family) {
        return addr_order(a->sa.sa_family, b->sa.sa_family);
    }

    switch (a->sa.sa_family) {
    case AF_INET:
        order = addr_order(ntohl(a->in.sin_addr.s_addr), ntohl(b->in.sin_addr.s_addr));
        return order != 0 ? order : addr_order(ntohs(a->in.sin_port), ntohs(b->in.sin_port));
    case AF_INET6:
        order = memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr));
        if (order == 0) {
            order = addr_order(a->in6.sin6_scope_id, b->in6.sin6_scope_id);
        }
        return order != 0 ? order : addr_order(ntohs(a->in6.sin6_port), ntohs(b->in6.sin6_port));
    case AF_UNIX:
        return weir_str_compare(addr_unix_path(a), addr_unix_path(b));
    default:
        return -1;
    }
}

bool weir_addr_is_wildcard(const weir_addr *addr)
{
    if (addr->len == 0) {
        return false;
    }
    switch (addr->sa.sa_family) {
    case AF_INET:
        return addr->in.sin_addr.s_addr == htonl(INADDR_ANY);
    case AF_INET6:
        return IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr);
    default:
        return false;
    }
}

/* ---- networks */

/* The mask of the prefix in byte `i`. */
static uint8_t network_mask(unsigned prefix_bits, unsigned i)
{
    if (prefix_bits >= (i + 1) * 8) {
        return 0xff;
    }
    if (prefix_bits <= i * 8) {
        return 0;
    }
    return (uint8_t) (0xff00u >> prefix_bits % 8);
}

bool weir_network_parse(weir_str text, weir_network *network)
{
    weir_network parsed = {.family = AF_UNSPEC};
    weir_addr addr;
    weir_str rest = text, ip;
    uint64_t prefix_bits;
    unsigned bytes;

    if (weir_str_eq(text, ADDR_UNIX_PREFIX)) {
        *network = (weir_network){.family = AF_UNIX};
        return true;
    }

    if (!weir_str_split(&rest, '/', &ip) || !weir_addr_parse_ip(ip, &addr)) {
        return false;
    }

    parsed.family = addr.sa.sa_family;
    bytes = parsed.family == AF_INET ? 4 : 16;
    if (parsed.family == AF_INET) {
        memcpy(parsed.bytes, &addr.in.sin_addr, bytes);
    } else {
        memcpy(parsed.bytes, &addr.in6.sin6_addr, bytes);
    }

    prefix_bits = bytes * 8;
    if (ip.len != text.len
        && !weir_parse_uint(weir_str_from(text, ip.len + 1), bytes * 8, &prefix_bits)) {
        return false;
    }
    parsed.prefix_bits = (unsigned) prefix_bits;

    for (unsigned i = 0; i < bytes; i++) {
        uint8_t masked = parsed.bytes[i] & network_mask(parsed.prefix_bits, i);

        parsed.has_host_bits = parsed.has_host_bits || masked != parsed.bytes[i];
        parsed.bytes[i] = masked;
    }

    *network = parsed;
    return true;
}

static bool network_has_bytes(const weir_network *network, const uint8_t *bytes)
{
    unsigned whole = network->prefix_bits / 8;

    return memcmp(network->bytes, bytes, whole) == 0
           && (network->prefix_bits % 8 == 0
               || (bytes[whole] & network_mask(network->prefix_bits, whole))
                      == network->bytes[whole]);
}

bool weir_network_has(const weir_network *network, const weir_addr *addr)
{
    if (addr->len == 0) {
        return false;
    }

    switch (addr->sa.sa_family) {
    case AF_INET:
        return network->family == AF_INET
               && network_has_bytes(network, (const uint8_t *) &addr->in.sin_addr);
    case AF_INET6:
        if (network->family == AF_INET) {
            return IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr)
                   && network_has_bytes(network, addr->in6.sin6_addr.s6_addr + 12);
        }
        return network->family == AF_INET6
               && network_has_bytes(network, addr->in6.sin6_addr.s6_addr);
    case AF_UNIX:
        return network->family == AF_UNIX;
    default:
        return false;
    }
}
