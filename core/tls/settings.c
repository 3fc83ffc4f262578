/* The directives that need more than a slot. */

#include "core/tls/settings.h"

#include "core/base/number.h"
#include "core/tls/session_internal.h"

const weir_choice weir_tls_protocol_choices[] = {
    {"SSLv2", WEIR_TLS_VERSION_SSL},
    {"SSLv3", WEIR_TLS_VERSION_SSL},
    {"TLSv1", WEIR_TLS_VERSION_10},
    {"TLSv1.1", WEIR_TLS_VERSION_11},
    {"TLSv1.2", WEIR_TLS_VERSION_12},
    {"TLSv1.3", WEIR_TLS_VERSION_13},
    {NULL, 0},
};

const weir_choice weir_tls_verify_choices[] = {
    {"off", WEIR_TLS_VERIFY_OFF},
    {"on", WEIR_TLS_VERIFY_ON},
    {"optional", WEIR_TLS_VERIFY_OPTIONAL},
    {"optional_no_ca", WEIR_TLS_VERIFY_OPTIONAL_NO_CA},
    {NULL, 0},
};

static void *member_of(void *settings, const weir_statement *statement)
{
    return (char *) settings + statement->directive->slot.offset;
}

/* ---- ssl_session_cache */

/* "NAME:SIZE" */
static bool cache_shared(weir_conf *conf, const weir_statement *statement, size_t arg,
                         weir_str parameters, weir_tls_session_cache *cache)
{
    weir_str rest = parameters, name;
    uint64_t bytes;

    if (!weir_str_split(&rest, ':', &name) || name.len == 0
        || !weir_parse_size(rest, false, SIZE_MAX / 4, &bytes)) {
        return weir_conf_refuse_arg(conf, statement, arg, "invalid session cache \"%.*s\"",
                                    WEIR_STR_ARG(statement->args[arg]));
    }
    cache->sessions = weir_tls_sessions_of(conf, name, (size_t) bytes);
    cache->kind = WEIR_TLS_CACHE_SHARED;
    return cache->sessions != NULL;
}

bool weir_tls_set_session_cache(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_tls_session_cache *cache = member_of(settings, statement);

    *cache = (weir_tls_session_cache){.kind = WEIR_TLS_CACHE_NONE};
    for (size_t i = 1; i < statement->count; i++) {
        weir_str arg = statement->args[i], parameters;
        uint64_t count;

        if (weir_str_eq(arg, WEIR_STR("off")) || weir_str_eq(arg, WEIR_STR("none"))
            || weir_str_eq(arg, WEIR_STR("builtin"))) {
            continue; /* nothing is gained by a cache that one worker alone has */
        }
        if (weir_conf_parameter(arg, "builtin:", &parameters)
            && weir_parse_uint(parameters, INT32_MAX, &count)) {
            continue;
        }
        if (!weir_conf_parameter(arg, "shared:", &parameters)) {
            return weir_conf_refuse_arg(conf, statement, i, "invalid session cache \"%.*s\"",
                                        WEIR_STR_ARG(arg));
        }
        if (!cache_shared(conf, statement, i, parameters, cache)) {
            return false;
        }
    }
    return true;
}

/* ---- ssl_certificate_cache */

bool weir_tls_set_certificate_cache(weir_conf *conf, void *settings,
                                    const weir_statement *statement)
{
    weir_tls_certificate_cache *cache = member_of(settings, statement);

    *cache = (weir_tls_certificate_cache){.inactive_ms = 10000, .valid_ms = 60000};
    if (statement->count == 2 && weir_str_eq(statement->args[1], WEIR_STR("off"))) {
        return true;
    }
    for (size_t i = 1; i < statement->count; i++) {
        weir_str arg = statement->args[i], value;
        bool good = false;

        if (weir_conf_parameter(arg, "max=", &value)) {
            good = weir_parse_uint(value, INT32_MAX, &cache->max) && cache->max != 0;
        } else if (weir_conf_parameter(arg, "inactive=", &value)) {
            good = weir_parse_time_ms(value, INT64_MAX, &cache->inactive_ms);
        } else if (weir_conf_parameter(arg, "valid=", &value)) {
            good = weir_parse_time_ms(value, INT64_MAX, &cache->valid_ms);
        }
        if (!good) {
            return weir_conf_refuse_arg(conf, statement, i, "invalid parameter \"%.*s\"",
                                        WEIR_STR_ARG(arg));
        }
    }
    return cache->max != 0
           || weir_conf_refuse(conf, "\"%.*s\" must have the \"max\" parameter",
                               WEIR_STR_ARG(statement->args[0]));
}

/* ---- what is not there */

bool weir_tls_refuse_unless_off(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;

    if (statement->count == 2 && weir_str_eq(statement->args[1], WEIR_STR("off"))) {
        return true;
    }
    return weir_conf_refuse(conf, "\"%.*s\" is not supported: what it asks for would not be done",
                            WEIR_STR_ARG(statement->args[0]));
}

/* ---- paths */

bool weir_tls_path(weir_conf *conf, weir_str name, weir_str *path)
{
    *path = WEIR_STR_EMPTY;
    if (name.len == 0) {
        return true;
    }
    if (weir_tls_name_is_data(name)) {
        *path = name;
        return true;
    }
    if (weir_str_starts(name, WEIR_STR("engine:")) || weir_str_starts(name, WEIR_STR("store:"))) {
        return weir_conf_refuse(conf, "\"%.*s\": BoringSSL has neither engines nor stores",
                                WEIR_STR_ARG(name));
    }
    return weir_conf_file_path(conf, name, path);
}

bool weir_tls_alpn_make(weir_conf *conf, const weir_array *names, weir_str *wire)
{
    weir_builder builder;

    *wire = WEIR_STR_EMPTY;
    if (names->count == 0) {
        return true;
    }
    weir_builder_open(&builder, weir_conf_pool(conf), UINT16_MAX);
    for (WEIR_ARRAY_EACH(names, const weir_str, name)) {
        if (name->len == 0 || name->len > UINT8_MAX) {
            return weir_conf_refuse(conf, "the name of a protocol is empty or over 255 bytes");
        }
        weir_builder_add_byte(&builder, (char) name->len);
        weir_builder_add(&builder, *name);
    }
    return weir_builder_close(&builder, wire)
           || weir_conf_refuse(conf, "the list of protocols is too long");
}
