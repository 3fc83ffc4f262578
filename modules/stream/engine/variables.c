#include "modules/stream/engine/engine_internal.h"

#include "core/base/clock.h"
#include "core/server/values.h"

/* The variables that nginx's core stream module has; those of the process are the core's. */

static weir_stream_session *subject(const weir_script *script)
{
    return script->subject;
}

static bool get_remote_addr(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_addr(script, value, &subject(script)->client->peer);
}

static bool get_remote_port(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_port(script, value, &subject(script)->client->peer);
}

static bool get_binary_remote_addr(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_binary_addr(value, &subject(script)->client->peer);
}

static bool get_server_addr(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_addr(script, value, weir_connection_local(subject(script)->client));
}

static bool get_server_port(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_port(script, value, weir_connection_local(subject(script)->client));
}

static bool get_server_name(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give(value, subject(script)->server->name);
}

static bool get_proxy_protocol(weir_script *script, uintptr_t arg, weir_value *value)
{
    return weir_give_proxy_protocol(script, value, subject(script)->client,
                                    (weir_proxy_protocol_part) arg);
}

static bool get_proxy_protocol_tlv(weir_script *script, uintptr_t arg, weir_value *value)
{
    return weir_give_proxy_protocol_tlv(script, value, subject(script)->client,
                                        *(const weir_str *) arg);
}

static bool get_connection(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_uint(script, value, subject(script)->client->number);
}

static bool get_bytes_received(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_uint(script, value, subject(script)->client->received);
}

static bool get_bytes_sent(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_uint(script, value, subject(script)->client->sent);
}

static bool get_session_time(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    return weir_give_ms(script, value,
                        weir_clock_now()->monotonic_ms - subject(script)->client->started_ms);
}

static bool get_status(weir_script *script, uintptr_t arg, weir_value *value)
{
    weir_builder builder;

    (void) arg;
    weir_builder_open(&builder, script->pool, 8);
    weir_builder_add_padded(&builder, subject(script)->status, 3);
    value->found = true;
    return weir_builder_close(&builder, &value->text);
}

static bool get_protocol(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) script;
    (void) arg;
    return weir_give(value, WEIR_STR("TCP"));
}

const weir_variable weir_stream_core_variables[] = {
    {.name = "remote_addr", .get = get_remote_addr},
    {.name = "remote_port", .get = get_remote_port},
    {.name = "binary_remote_addr", .get = get_binary_remote_addr},
    {.name = "server_addr", .get = get_server_addr},
    {.name = "server_port", .get = get_server_port},
    {.name = "server_name", .get = get_server_name, .is_volatile = true},
    {.name = "proxy_protocol_addr", .get = get_proxy_protocol, .arg = WEIR_PROXY_PROTOCOL_ADDR},
    {.name = "proxy_protocol_port", .get = get_proxy_protocol, .arg = WEIR_PROXY_PROTOCOL_PORT},
    {.name = "proxy_protocol_server_addr",
     .get = get_proxy_protocol,
     .arg = WEIR_PROXY_PROTOCOL_SERVER_ADDR},
    {.name = "proxy_protocol_server_port",
     .get = get_proxy_protocol,
     .arg = WEIR_PROXY_PROTOCOL_SERVER_PORT},
    {.name = "proxy_protocol_tlv_", .get = get_proxy_protocol_tlv, .is_prefix = true},
    {.name = "connection", .get = get_connection},
    {.name = "bytes_received", .get = get_bytes_received, .is_volatile = true},
    {.name = "bytes_sent", .get = get_bytes_sent, .is_volatile = true},
    {.name = "session_time", .get = get_session_time, .is_volatile = true},
    {.name = "status", .get = get_status, .is_volatile = true},
    {.name = "protocol", .get = get_protocol},
    {0},
};
