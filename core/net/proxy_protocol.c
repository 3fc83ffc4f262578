/* The PROXY protocol: parsing and writing of its headers. */

#include "core/net/proxy_protocol.h"

#include <stddef.h>

#include "core/base/cursor.h"
#include "core/base/number.h"

static weir_str proxy_signature(void)
{
    return WEIR_STR("\r\n\r\n\0\r\nQUIT\n");
}

/* Whether `bytes`, as far as there are any, agree with `text`. */
static bool proxy_may_become(weir_str bytes, weir_str text)
{
    return weir_str_starts(text, weir_str_slice(bytes, 0, text.len));
}

/* ---- version 1 */

/* A number of the text form has no leading zeros. */
static bool proxy_v1_port(weir_str text, weir_addr *addr)
{
    uint64_t port;

    if (!weir_parse_uint(text, UINT16_MAX, &port) || (text.len > 1 && text.data[0] == '0')) {
        return false;
    }
    weir_addr_set_port(addr, (uint16_t) port);
    return true;
}

static bool proxy_v1_addr(weir_cursor *line, sa_family_t family, weir_addr *addr)
{
    weir_str text;

    return weir_cursor_take_until(line, ' ', &text) && weir_addr_parse_ip(text, addr)
           && addr->sa.sa_family == family;
}

/* What stands between "PROXY " and CR LF. */
static bool proxy_v1_line(weir_str text, weir_proxy_header *header)
{
    weir_cursor line = weir_cursor_of(text);
    weir_addr peer, local;
    sa_family_t family;
    weir_str port;

    if (weir_cursor_skip(&line, WEIR_STR("UNKNOWN"))) {
        return weir_cursor_left(&line) == 0 || *line.at == ' ';
    }

    if (weir_cursor_skip(&line, WEIR_STR("TCP4 "))) {
        family = AF_INET;
    } else if (weir_cursor_skip(&line, WEIR_STR("TCP6 "))) {
        family = AF_INET6;
    } else {
        return false;
    }

    if (!proxy_v1_addr(&line, family, &peer) || !proxy_v1_addr(&line, family, &local)
        || !weir_cursor_take_until(&line, ' ', &port) || !proxy_v1_port(port, &peer)
        || !proxy_v1_port(weir_cursor_rest(&line), &local)) {
        return false;
    }

    header->peer = peer;
    header->local = local;
    return true;
}

static weir_result proxy_v1_parse(weir_str bytes, weir_proxy_header *header)
{
    const weir_str begin = WEIR_STR("PROXY ");
    weir_str line = weir_str_slice(bytes, 0, WEIR_PROXY_V1_MAX);
    const char *end = weir_str_find_byte(line, '\n');

    if (end == NULL) {
        /* A CR may only be the last byte so far. */
        const char *cr = weir_str_find_byte(line, '\r');

        return line.len < WEIR_PROXY_V1_MAX && (cr == NULL || cr == line.data + line.len - 1)
                   ? WEIR_WAIT
                   : WEIR_FAIL;
    }

    line = weir_str_of(line.data, (size_t) (end - line.data));
    if (!weir_str_ends(line, WEIR_STR("\r"))) {
        return WEIR_FAIL;
    }
    header->len = line.len + 1;
    line = weir_str_slice(line, begin.len, line.len - 1);
    return weir_str_find_byte(line, '\r') == NULL && proxy_v1_line(line, header) ? WEIR_OK
                                                                                 : WEIR_FAIL;
}

/* ---- version 2 */

enum {
    PROXY_V2_LOCAL = 0x20, /* version and command */
    PROXY_V2_PROXY = 0x21,

    PROXY_V2_INET = 0x10, /* the family, over the transport */
    PROXY_V2_INET6 = 0x20,
    PROXY_V2_UNIX = 0x30,
    PROXY_V2_STREAM = 0x01,

    PROXY_V2_UNIX_PATH_BYTES = 108,
};

static bool proxy_v2_ip(weir_cursor *body, sa_family_t family, weir_addr *addr)
{
    weir_str ip;

    memset(addr, 0, sizeof(*addr));
    if (family == AF_INET) {
        if (!weir_cursor_take(body, sizeof(addr->in.sin_addr), &ip)) {
            return false;
        }
        addr->len = sizeof(addr->in);
        memcpy(&addr->in.sin_addr, ip.data, ip.len);
    } else {
        if (!weir_cursor_take(body, sizeof(addr->in6.sin6_addr), &ip)) {
            return false;
        }
        addr->len = sizeof(addr->in6);
        memcpy(&addr->in6.sin6_addr, ip.data, ip.len);
    }
    addr->sa.sa_family = family;
    return true;
}

static bool proxy_v2_ips(weir_cursor *body, sa_family_t family, weir_proxy_header *header)
{
    weir_addr peer, local;
    uint16_t peer_port, local_port;

    if (!proxy_v2_ip(body, family, &peer) || !proxy_v2_ip(body, family, &local)
        || !weir_cursor_take_u16(body, &peer_port) || !weir_cursor_take_u16(body, &local_port)) {
        return false;
    }

    weir_addr_set_port(&peer, peer_port);
    weir_addr_set_port(&local, local_port);
    header->peer = peer;
    header->local = local;
    return true;
}

static void proxy_v2_unix_path(weir_str path, weir_addr *addr)
{
    memset(addr, 0, sizeof(*addr));
    addr->un.sun_family = AF_UNIX;
    memcpy(addr->un.sun_path, path.data, path.len);
    addr->len = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + strnlen(path.data, path.len));
}

static bool proxy_v2_unix(weir_cursor *body, weir_proxy_header *header)
{
    weir_str peer, local;

    _Static_assert(sizeof(header->peer.un.sun_path) >= PROXY_V2_UNIX_PATH_BYTES, "a path fits");
    if (!weir_cursor_take(body, PROXY_V2_UNIX_PATH_BYTES, &peer)
        || !weir_cursor_take(body, PROXY_V2_UNIX_PATH_BYTES, &local)) {
        return false;
    }
    proxy_v2_unix_path(peer, &header->peer);
    proxy_v2_unix_path(local, &header->local);
    return true;
}

/* Each a type, two bytes of length, and so many bytes. */
static bool proxy_v2_tlvs(weir_str tlvs)
{
    weir_cursor cursor = weir_cursor_of(tlvs);
    uint8_t type;
    uint16_t len;
    weir_str value;

    while (weir_cursor_left(&cursor) != 0) {
        if (!weir_cursor_take_u8(&cursor, &type) || !weir_cursor_take_u16(&cursor, &len)
            || !weir_cursor_take(&cursor, len, &value)) {
            return false;
        }
    }
    return true;
}

static bool proxy_v2_addrs(weir_cursor *body, uint8_t protocol, weir_proxy_header *header)
{
    switch (protocol) {
    case PROXY_V2_INET | PROXY_V2_STREAM:
        return proxy_v2_ips(body, AF_INET, header);

    case PROXY_V2_INET6 | PROXY_V2_STREAM:
        return proxy_v2_ips(body, AF_INET6, header);

    case PROXY_V2_UNIX | PROXY_V2_STREAM:
        return proxy_v2_unix(body, header);

    case 0:
        return true;

    default:
        /* Datagrams do not come over a stream, and others are not assigned: "must drop". */
        return false;
    }
}

static weir_result proxy_v2_parse(weir_str bytes, weir_proxy_header *header)
{
    weir_cursor cursor = weir_cursor_of(bytes);
    weir_cursor body;
    uint8_t command, protocol;
    uint16_t len;
    weir_str text;

    if (!weir_cursor_skip(&cursor, proxy_signature())) {
        return WEIR_WAIT;
    }

    if (!weir_cursor_take_u8(&cursor, &command)) {
        return WEIR_WAIT;
    }
    if (command != PROXY_V2_LOCAL && command != PROXY_V2_PROXY) {
        return WEIR_FAIL;
    }

    if (!weir_cursor_take_u8(&cursor, &protocol) || !weir_cursor_take_u16(&cursor, &len)) {
        return WEIR_WAIT;
    }
    header->len = proxy_signature().len + 4 + len;
    if (header->len > WEIR_PROXY_V2_MAX) {
        return WEIR_FAIL;
    }

    if (!weir_cursor_take(&cursor, len, &text)) {
        return WEIR_WAIT;
    }
    /* The balancer's own connection, as for a check: whatever else stands there is to be ignored. */
    if (command == PROXY_V2_LOCAL) {
        return WEIR_OK;
    }

    body = weir_cursor_of(text);
    if (!proxy_v2_addrs(&body, protocol, header)) {
        return WEIR_FAIL;
    }
    /* Of what follows an address that is not specified nothing is known. */
    if (protocol == 0) {
        return WEIR_OK;
    }

    header->tlvs = weir_cursor_rest(&body);
    return proxy_v2_tlvs(header->tlvs) ? WEIR_OK : WEIR_FAIL;
}

weir_result weir_proxy_protocol_parse(weir_str bytes, weir_proxy_header *header)
{
    weir_proxy_header parsed = {.len = 0};
    weir_result result;

    if (proxy_may_become(bytes, WEIR_STR("PROXY "))) {
        result = proxy_v1_parse(bytes, &parsed);
    } else if (proxy_may_become(bytes, proxy_signature())) {
        result = proxy_v2_parse(bytes, &parsed);
    } else {
        return WEIR_FAIL;
    }

    if (result == WEIR_OK) {
        *header = parsed;
    }
    return result;
}

/* ---- values in a header of version 2 */

#define TLV_SSL 0x20
#define TLV_SSL_FIXED_BYTES 5 /* client, verify */

static const struct {
    weir_str name;
    uint8_t type;
    bool is_ssl;
} tlv_names[] = {
    {WEIR_STR_INIT("alpn"), 0x01, false},       {WEIR_STR_INIT("authority"), 0x02, false},
    {WEIR_STR_INIT("unique_id"), 0x05, false},  {WEIR_STR_INIT("ssl"), TLV_SSL, false},
    {WEIR_STR_INIT("netns"), 0x30, false},      {WEIR_STR_INIT("ssl_version"), 0x21, true},
    {WEIR_STR_INIT("ssl_cn"), 0x22, true},      {WEIR_STR_INIT("ssl_cipher"), 0x23, true},
    {WEIR_STR_INIT("ssl_sig_alg"), 0x24, true}, {WEIR_STR_INIT("ssl_key_alg"), 0x25, true},
};

static bool tlv_type(weir_str name, uint8_t *type, bool *is_ssl)
{
    uint64_t number;

    for (size_t i = 0; i < WEIR_COUNT(tlv_names); i++) {
        if (weir_str_eq(tlv_names[i].name, name)) {
            *type = tlv_names[i].type;
            *is_ssl = tlv_names[i].is_ssl;
            return true;
        }
    }
    *is_ssl = weir_str_starts(name, WEIR_STR("ssl_"));
    if (*is_ssl) {
        name = weir_str_from(name, 4);
    }
    if (!weir_str_starts(name, WEIR_STR("0x"))
        || !weir_parse_hex(weir_str_from(name, 2), UINT8_MAX, &number)) {
        return false;
    }
    *type = (uint8_t) number;
    return true;
}

static bool tlv_find(weir_str tlvs, uint8_t wanted, weir_str *value)
{
    weir_cursor cursor = weir_cursor_of(tlvs);
    weir_str found;
    uint8_t type;
    uint16_t len;

    while (weir_cursor_take_u8(&cursor, &type) && weir_cursor_take_u16(&cursor, &len)
           && weir_cursor_take(&cursor, len, &found)) {
        if (type == wanted) {
            *value = found;
            return true;
        }
    }
    return false;
}

bool weir_proxy_protocol_tlv(weir_str tlvs, weir_str name, weir_str *value)
{
    bool is_verify = weir_str_eq(name, WEIR_STR("ssl_verify"));
    bool is_ssl = true;
    uint8_t type = 0;
    weir_str ssl;

    if (!is_verify && !tlv_type(name, &type, &is_ssl)) {
        return false;
    }
    if (!is_ssl) {
        return tlv_find(tlvs, type, value);
    }
    if (!tlv_find(tlvs, TLV_SSL, &ssl) || ssl.len < TLV_SSL_FIXED_BYTES) {
        return false;
    }
    if (is_verify) {
        *value = weir_str_slice(ssl, 1, TLV_SSL_FIXED_BYTES);
        return true;
    }
    return tlv_find(weir_str_from(ssl, TLV_SSL_FIXED_BYTES), type, value);
}

/* ---- writing */

static bool addrs_are_known(const weir_addr *peer, const weir_addr *local)
{
    return peer->len != 0 && local->len != 0 && peer->sa.sa_family == local->sa.sa_family
           && !weir_addr_is_unix(peer);
}

static weir_str addr_bytes(const weir_addr *addr)
{
    return addr->sa.sa_family == AF_INET ? weir_str_of((const char *) &addr->in.sin_addr, 4)
                                         : weir_str_of((const char *) &addr->in6.sin6_addr, 16);
}

static void add_u16(weir_builder *builder, uint16_t number)
{
    weir_builder_add_byte(builder, (char) (number >> 8));
    weir_builder_add_byte(builder, (char) (number & 0xff));
}

void weir_proxy_protocol_write_v2(weir_builder *builder, const weir_addr *peer,
                                  const weir_addr *local)
{
    bool is_known = addrs_are_known(peer, local);
    bool is_v4 = peer->sa.sa_family == AF_INET;

    weir_builder_add(builder, proxy_signature());
    weir_builder_add_byte(builder, PROXY_V2_PROXY);
    if (!is_known) {
        weir_builder_add_byte(builder, 0);
        add_u16(builder, 0);
        return;
    }
    weir_builder_add_byte(builder, (is_v4 ? PROXY_V2_INET : PROXY_V2_INET6) | PROXY_V2_STREAM);
    add_u16(builder, (uint16_t) (2 * addr_bytes(peer).len + 4));
    weir_builder_add(builder, addr_bytes(peer));
    weir_builder_add(builder, addr_bytes(local));
    add_u16(builder, weir_addr_port(peer));
    add_u16(builder, weir_addr_port(local));
}

void weir_proxy_protocol_write_v1(weir_builder *builder, const weir_addr *peer,
                                  const weir_addr *local)
{
    char text[WEIR_ADDR_TEXT_MAX];

    if (!addrs_are_known(peer, local)) {
        weir_builder_add(builder, WEIR_STR("PROXY UNKNOWN\r\n"));
        return;
    }

    weir_builder_add(builder, peer->sa.sa_family == AF_INET ? WEIR_STR("PROXY TCP4 ")
                                                            : WEIR_STR("PROXY TCP6 "));
    weir_builder_add(builder, weir_addr_text(peer, false, text));
    weir_builder_add_byte(builder, ' ');
    weir_builder_add(builder, weir_addr_text(local, false, text));
    weir_builder_add_byte(builder, ' ');
    weir_builder_add_uint(builder, weir_addr_port(peer));
    weir_builder_add_byte(builder, ' ');
    weir_builder_add_uint(builder, weir_addr_port(local));
    weir_builder_add(builder, WEIR_STR("\r\n"));
}
