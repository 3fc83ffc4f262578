#include "core/server/values.h"

#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/cursor.h"
#include "core/base/number.h"
#include "core/base/version.h"
#include "core/net/proxy_protocol.h"

bool weir_give_copy(weir_script *script, weir_value *value, weir_str text)
{
    value->found = true;
    return weir_str_copy(script->pool, text, &value->text);
}

bool weir_give_uint(weir_script *script, weir_value *value, uint64_t number)
{
    weir_builder builder;

    weir_builder_open(&builder, script->pool, 20);
    weir_builder_add_uint(&builder, number);
    value->found = true;
    return weir_builder_close(&builder, &value->text);
}

bool weir_give_ms(weir_script *script, weir_value *value, uint64_t ms)
{
    weir_builder builder;

    weir_builder_open(&builder, script->pool, 24);
    weir_builder_add_uint(&builder, ms / 1000);
    weir_builder_add_byte(&builder, '.');
    weir_builder_add_padded(&builder, ms % 1000, 3);
    value->found = true;
    return weir_builder_close(&builder, &value->text);
}

/* ---- addresses */

bool weir_give_addr(weir_script *script, weir_value *value, const weir_addr *addr)
{
    char text[WEIR_ADDR_TEXT_MAX];

    return weir_give_copy(script, value, weir_addr_text(addr, false, text));
}

bool weir_give_port(weir_script *script, weir_value *value, const weir_addr *addr)
{
    /* An address that a field or PROXY header told may have none. */
    return weir_addr_is_unix(addr) || weir_addr_port(addr) == 0
               ? weir_give(value, WEIR_STR_EMPTY)
               : weir_give_uint(script, value, weir_addr_port(addr));
}

bool weir_give_binary_addr(weir_value *value, const weir_addr *addr)
{
    switch (addr->sa.sa_family) {
    case AF_INET:
        return weir_give(value, weir_str_of((const char *) &addr->in.sin_addr, 4));
    case AF_INET6:
        return weir_give(value, weir_str_of((const char *) &addr->in6.sin6_addr, 16));
    default:
        return weir_give(value, WEIR_STR("unix:"));
    }
}

bool weir_give_proxy_protocol(weir_script *script, weir_value *value,
                              const weir_connection *connection, weir_proxy_protocol_part part)
{
    bool is_of_client = part == WEIR_PROXY_PROTOCOL_ADDR || part == WEIR_PROXY_PROTOCOL_PORT;
    const weir_addr *addr = is_of_client ? connection->proxy_peer : connection->proxy_local;

    if (addr == NULL) {
        return true;
    }
    return part == WEIR_PROXY_PROTOCOL_PORT || part == WEIR_PROXY_PROTOCOL_SERVER_PORT
               ? weir_give_port(script, value, addr)
               : weir_give_addr(script, value, addr);
}

bool weir_give_proxy_protocol_tlv(weir_script *script, weir_value *value,
                                  const weir_connection *connection, weir_str name)
{
    weir_cursor cursor;
    uint32_t number;
    weir_str bytes;

    if (!weir_proxy_protocol_tlv(connection->proxy_tlvs, name, &bytes)) {
        return true;
    }
    cursor = weir_cursor_of(bytes);
    if (weir_str_eq(name, WEIR_STR("ssl_verify")) && weir_cursor_take_u32(&cursor, &number)) {
        return weir_give_uint(script, value, number);
    }
    return weir_give(value, bytes);
}

/* ---- the process */

static bool get_pid(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_uint(script, value, (uint64_t) getpid());
}

static bool get_hostname(weir_script *script, uintptr_t arg, weir_value *value)
{
    char host[256] = "";

    (void) arg;
    (void) gethostname(host, sizeof(host) - 1);
    return weir_give_copy(script, value, weir_str_from_z(host));
}

static bool get_version(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) script;
    (void) arg;
    return weir_give(value, WEIR_STR(WEIR_VERSION));
}

static bool get_msec(weir_script *script, uintptr_t arg, weir_value *value)
{
    const weir_clock *clock = weir_clock_now();
    weir_builder builder;

    (void) arg;
    weir_builder_open(&builder, script->pool, 32);
    weir_builder_add_int(&builder, clock->wall_s);
    weir_builder_add_byte(&builder, '.');
    weir_builder_add_padded(&builder, clock->wall_ms, 3);
    value->found = true;
    return weir_builder_close(&builder, &value->text);
}

static bool get_time(weir_script *script, uintptr_t arg, weir_value *value)
{
    return weir_give_copy(script, value,
                          arg != 0 ? weir_clock_iso8601_text() : weir_clock_access_text());
}

/* 2026-11-21T10:00:00.123+00:00 */
static bool get_time_ms(weir_script *script, uintptr_t arg, weir_value *value)
{
    weir_str text = weir_clock_iso8601_text();
    size_t seconds = sizeof("2026-11-21T10:00:00") - 1;
    weir_builder builder;

    (void) arg;
    weir_builder_open(&builder, script->pool, 32);
    weir_builder_add(&builder, weir_str_slice(text, 0, seconds));
    weir_builder_add_byte(&builder, '.');
    weir_builder_add_padded(&builder, weir_clock_now()->wall_ms, 3);
    weir_builder_add(&builder, weir_str_from(text, seconds));
    value->found = true;
    return weir_builder_close(&builder, &value->text);
}

bool weir_rate_check(weir_conf *conf, const weir_template *text, const char *directive,
                     uint64_t *rate)
{
    weir_str constant;

    *rate = 0;
    return !weir_template_is_constant(text, &constant)
           || weir_parse_size(constant, true, INT64_MAX / 4096, rate)
           || weir_conf_refuse(conf, "\"%s\" directive invalid value", directive);
}

const weir_variable weir_process_variables[] = {
    {.name = "pid", .get = get_pid},
    {.name = "hostname", .get = get_hostname},
    {.name = "nginx_version", .get = get_version},
    {.name = "weir_version", .get = get_version},
    {.name = "msec", .get = get_msec, .is_volatile = true},
    {.name = "time_local", .get = get_time, .arg = 0, .is_volatile = true},
    {.name = "time_iso8601", .get = get_time, .arg = 1, .is_volatile = true},
    {.name = "time_iso8601_ms", .get = get_time_ms, .is_volatile = true},
    {0},
};
