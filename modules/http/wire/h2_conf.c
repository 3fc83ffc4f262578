#include "modules/http/wire/h2_internal.h"

/* The http2 directives, and $http2. */

/* Directives of earlier nginx versions: what they bounded is bounded otherwise now. */
static const struct {
    const char *name;
    const char *instead; /* NULL: nothing */
} gone[] = {
    {"http2_max_field_size", "large_client_header_buffers"},
    {"http2_max_header_size", "large_client_header_buffers"},
    {"http2_max_requests", "keepalive_requests"},
    {"http2_idle_timeout", "keepalive_timeout"},
    {"http2_recv_timeout", "client_header_timeout"},
    {"http2_push", NULL},
    {"http2_push_preload", NULL},
    {"http2_max_concurrent_pushes", NULL},
    {"http2_pool_size", NULL},
    {"http2_streams_index_size", NULL},
};

static bool gone_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    for (size_t i = 0; i < WEIR_COUNT(gone); i++) {
        if (!weir_str_eq(statement->args[0], weir_str_from_z(gone[i].name))) {
            continue;
        }
        if (gone[i].instead != NULL) {
            weir_conf_warn(
                conf, "the \"%s\" directive is obsolete, use the \"%s\" directive instead, ignored",
                gone[i].name, gone[i].instead);
        } else {
            weir_conf_warn(conf, "the \"%s\" directive is obsolete, ignored", gone[i].name);
        }
    }
    return true;
}

#define GONE(name_, where_, doc_)                                                                  \
    {                                                                                              \
        .name = (name_), .where = (where_), .slot = WEIR_SLOT_ONLY_CALL(gone_call),                \
        .repeatable = true, .doc = (doc_)                                                          \
    }

static const weir_directive h2_directives[] = {
    {
        .name = "http2",
        .where = WEIR_HTTP_MAIN | WEIR_HTTP_SERVER,
        .slot = WEIR_SLOT_FLAG(h2_conf, on),
        .preset = "off",
        .doc = "Whether clients may speak HTTP/2: by ALPN over TLS, by its preface without.",
    },
    {
        .name = "http2_max_concurrent_streams",
        .where = WEIR_HTTP_MAIN | WEIR_HTTP_SERVER,
        .slot = WEIR_SLOT_UINT(h2_conf, max_concurrent_streams, 1, H2_STREAMS_MAX),
        .preset = "128",
        .doc = "The number of requests that one connection may have at the same time.",
    },
    {
        .name = "http2_chunk_size",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_SIZE(h2_conf, chunk_size),
        .preset = "8k",
        .doc = "The largest part of a response's body that one frame carries.",
    },
    {
        .name = "http2_body_preread_size",
        .where = WEIR_HTTP_MAIN | WEIR_HTTP_SERVER,
        .slot = WEIR_SLOT_SIZE(h2_conf, body_preread_size),
        .preset = "64k",
        .doc = "How much of each request's body a client may send before anybody wants it.",
    },
    {
        .name = "http2_recv_buffer_size",
        .where = WEIR_HTTP_MAIN,
        .slot = WEIR_SLOT_SIZE(h2_conf, recv_buffer_size),
        .preset = "256k",
        .doc = "Accepted; input is taken in blocks of 16 KiB as it comes.",
    },
    GONE("http2_max_field_size", WEIR_HTTP_MAIN | WEIR_HTTP_SERVER,
         "Obsolete, ignored with a warning: see large_client_header_buffers."),
    GONE("http2_max_header_size", WEIR_HTTP_MAIN | WEIR_HTTP_SERVER,
         "Obsolete, ignored with a warning: see large_client_header_buffers."),
    GONE("http2_max_requests", WEIR_HTTP_MAIN | WEIR_HTTP_SERVER,
         "Obsolete, ignored with a warning: see keepalive_requests."),
    GONE("http2_idle_timeout", WEIR_HTTP_MAIN | WEIR_HTTP_SERVER,
         "Obsolete, ignored with a warning: see keepalive_timeout."),
    GONE("http2_recv_timeout", WEIR_HTTP_MAIN | WEIR_HTTP_SERVER,
         "Obsolete, ignored with a warning: see client_header_timeout."),
    GONE("http2_push", WEIR_HTTP_ANYWHERE, "Obsolete, ignored with a warning: nothing is pushed."),
    GONE("http2_push_preload", WEIR_HTTP_ANYWHERE,
         "Obsolete, ignored with a warning: nothing is pushed."),
    GONE("http2_max_concurrent_pushes", WEIR_HTTP_MAIN | WEIR_HTTP_SERVER,
         "Obsolete, ignored with a warning: nothing is pushed."),
    GONE("http2_pool_size", WEIR_HTTP_MAIN | WEIR_HTTP_SERVER,
         "Obsolete, ignored with a warning: pools grow by themselves."),
    GONE("http2_streams_index_size", WEIR_HTTP_MAIN | WEIR_HTTP_SERVER,
         "Obsolete, ignored with a warning: tables grow by themselves."),
    {0},
};

static bool h2_check(weir_conf *conf, const void *settings)
{
    const h2_conf *h2 = settings;

    if (h2->chunk_size == 0) {
        return weir_conf_refuse(conf, "\"http2_chunk_size\" value cannot be zero");
    }
    if (h2->body_preread_size > INT32_MAX) {
        return weir_conf_refuse(conf, "\"http2_body_preread_size\" is over 2 GiB");
    }
    return true;
}

/* "h2", "h2c"; empty for HTTP/1. */
static bool get_http2(weir_script *script, uintptr_t arg, weir_value *value)
{
    const weir_http_exchange *ex = script->subject;

    (void) arg;
    value->found = true;
    if (ex->main->wire == &weir_http_h2) {
        value->text = ex->client->is_tls ? WEIR_STR("h2") : WEIR_STR("h2c");
    }
    return true;
}

static const weir_variable h2_variables[] = {
    {.name = "http2", .get = get_http2},
    {0},
};

const weir_http_module weir_http_v2 = {
    .name = "http_v2",
    .directives = h2_directives,
    .conf_size = sizeof(h2_conf),
    .check = h2_check,
    .variables = h2_variables,
};

const h2_conf *h2_conf_of(const weir_http_server *server)
{
    return weir_level_settings(server->level, &weir_http_v2.base);
}

bool weir_http_h2_is_on(const weir_http_server *server)
{
    return h2_conf_of(server)->on;
}
