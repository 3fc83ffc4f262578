#include "modules/http/proxy/directives.h"

#include "core/base/clock.h"
#include "core/server/values.h"

/* The directives of proxy_pass, and the content handler that begins. */

static const weir_choice version_choices[] = {
    {"1.0", WEIR_HTTP_10},
    {"1.1", WEIR_HTTP_11},
    {"2", WEIR_HTTP_20},
    {NULL, 0},
};

const weir_choice proxy_next_choices[] = {
    {"error", PROXY_NEXT_ERROR},
    {"timeout", PROXY_NEXT_TIMEOUT},
    {"invalid_header", PROXY_NEXT_INVALID_HEADER},
    {"http_500", PROXY_NEXT_500},
    {"http_502", PROXY_NEXT_502},
    {"http_503", PROXY_NEXT_503},
    {"http_504", PROXY_NEXT_504},
    {"http_403", PROXY_NEXT_403},
    {"http_404", PROXY_NEXT_404},
    {"http_429", PROXY_NEXT_429},
    {"non_idempotent", PROXY_NEXT_NON_IDEMPOTENT},
    {"denied", PROXY_NEXT_DENIED},
    {"off", PROXY_NEXT_OFF},
    {NULL, 0},
};

const weir_choice proxy_ignore_choices[] = {
    {"X-Accel-Redirect", PROXY_IGNORE_REDIRECT},
    {"X-Accel-Expires", PROXY_IGNORE_EXPIRES},
    {"X-Accel-Limit-Rate", PROXY_IGNORE_LIMIT_RATE},
    {"X-Accel-Buffering", PROXY_IGNORE_BUFFERING},
    {"X-Accel-Charset", PROXY_IGNORE_CHARSET},
    {"Expires", PROXY_IGNORE_OTHER},
    {"Cache-Control", PROXY_IGNORE_OTHER},
    {"Set-Cookie", PROXY_IGNORE_OTHER},
    {"Vary", PROXY_IGNORE_OTHER},
    {NULL, 0},
};

static bool temp_path_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return weir_http_temp_path(conf, statement, &((proxy_conf *) settings)->temp_path);
}

/* proxy_allow_upstream STRING ... */
bool proxy_allow_upstream_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    proxy_conf *proxy = settings;
    weir_pool *pool = weir_conf_pool(conf);

    proxy->allow_upstream = WEIR_NEW(pool, weir_array);
    if (proxy->allow_upstream == NULL) {
        return weir_conf_refuse(conf, "no memory for a condition");
    }
    weir_array_init(proxy->allow_upstream, pool, sizeof(const weir_template *),
                    statement->count - 1);
    for (size_t i = 1; i < statement->count; i++) {
        const weir_template **condition = weir_array_push(proxy->allow_upstream);

        if (condition == NULL) {
            return weir_conf_refuse(conf, "no memory for a condition");
        }
        *condition = weir_template_new(conf, weir_space_of(conf, "http"), statement->args[i]);
        if (*condition == NULL) {
            return false;
        }
    }
    return true;
}

bool proxy_bind_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return weir_bind_call(conf, &((proxy_conf *) settings)->bind, "http", statement);
}

const proxy_kind proxy_http = {
    .module = &weir_http_proxy,
    .pass = "proxy_pass",
    .plain = WEIR_STR_INIT("http"),
    .tls = WEIR_STR_INIT("https"),
    .tls_prefix = "proxy_ssl_",
    .plain_port = WEIR_STR_INIT("80"),
    .tls_port = WEIR_STR_INIT("443"),
    .needs_scheme = true,
    .takes_uri = true,
};

static bool pass_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return proxy_pass_call(conf, settings, statement, &proxy_http);
}

static bool set_header_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return proxy_set_header_call(conf, settings, statement, &weir_http_proxy);
}

static const weir_directive proxy_directives[] = {
    {
        .name = "proxy_pass",
        .where = WEIR_HTTP_LOCATION | WEIR_HTTP_LOCATION_IF | WEIR_HTTP_LIMIT_EXCEPT,
        .slot = WEIR_SLOT_CALL(proxy_conf, pass, pass_call),
        .takes = WEIR_TAKES(1, 1),
        .syntax = "URL",
        .doc = "Passes requests on: to a group of servers, a host, or a unix socket.",
    },
    PROXY_SHARED_DIRECTIVES("proxy_", set_header_call),

    /* ---- the request */
    PROXY_ROW("proxy_method", PROXY_TEMPLATE(method), NULL,
              "The method to use instead of the client's."),
    PROXY_ROW("proxy_set_body", PROXY_TEMPLATE(set_body), NULL,
              "The body to send instead of the client's."),
    PROXY_ROW(
        "proxy_http_version", WEIR_SLOT_ENUM(proxy_conf, http_version, version_choices), "1.1",
        "The version of HTTP that origins are spoken to with; 1.0 keeps no connections, unless "
        "\"proxy_set_header Connection keep-alive\" asks for it and the origin says so; 2 needs no "
        "negotiation (h2c), and is asked for by ALPN over TLS."),
    PROXY_ROW("proxy_pass_request_headers", PROXY_FLAG(pass_request_headers), "on",
              "Passes the fields of the client's request on."),
    PROXY_ROW("proxy_pass_request_body", PROXY_FLAG(pass_request_body), "on",
              "Passes the body of the client's request on."),
    PROXY_ROW(
        "proxy_pass_request_trailers", PROXY_FLAG(pass_request_trailers), "off",
        "Passes trailer fields of the client's request on, over HTTP/1.1, but for those that mean "
        "something in a head; weir's own.  Rules of the firewall see them where it reads bodies."),
    PROXY_ROW("proxy_upgrade", PROXY_FLAG(upgrade), "off",
              "Passes Upgrade and Connection of a client that asks for another protocol on, as "
              "WebSockets "
              "do; weir's own."),
    PROXY_ROW("proxy_request_buffering", PROXY_FLAG(request_buffering), "on",
              "Reads the whole request body before an origin is asked."),

    /* ---- the response */
    PROXY_ROW("proxy_buffering", PROXY_FLAG(buffering), "on",
              "Reads responses ahead of the client, so that the origin is free soon."),
    PROXY_ROW(
        "proxy_limit_rate", PROXY_TEMPLATE(limit_rate), NULL,
        "Bytes a second that a response is read from an origin with, where it is buffered; 0 is no "
        "limit."),
    PROXY_ROW("proxy_buffers", WEIR_SLOT_SIZES(proxy_conf, buffers), "8 4k",
              "Number and size of buffers: their sum is read ahead into memory."),
    PROXY_ROW("proxy_busy_buffers_size", PROXY_SIZE(busy_buffers_size), NULL,
              "Checked against the other sizes; what is being sent needs no limit of its own."),
    {
        .name = "proxy_temp_path",
        .where = PROXY_WHERE,
        .takes = WEIR_TAKES(1, 4),
        .syntax = "path [level1 [level2 [level3]]]",
        .slot = WEIR_SLOT_CALL(proxy_conf, temp_path, temp_path_call),
        .preset = "proxy_temp",
        .doc = "The folder of temporary files with responses.",
    },
    PROXY_ROW("proxy_max_temp_file_size", WEIR_SLOT_OFFSET(proxy_conf, max_temp_file_size), "1024m",
              "How much of a response is read ahead into a temporary file; 0 is nothing."),
    PROXY_ROW("proxy_temp_file_write_size", PROXY_SIZE(temp_file_write_size), NULL,
              "Checked against the other sizes: what has come is written at once."),
    {
        .name = "proxy_store",
        .where = PROXY_WHERE,
        .takes = WEIR_TAKES(1, 1),
        .syntax = "on | off | string",
        .slot = WEIR_SLOT_CALL(proxy_conf, store, proxy_store_call),
        .preset = "off",
        .doc = "Leaves whole responses with status 200 in files: where root or alias say, or here.",
    },
    {
        .name = "proxy_store_access",
        .where = PROXY_WHERE,
        .takes = WEIR_TAKES(1, 3),
        .syntax = "users:permissions ...",
        .slot = WEIR_SLOT_CALL(proxy_conf, store_access, proxy_store_access_call),
        .preset = "user:rw",
        .doc = "Who may read and write these files: user, group, all; r or rw.",
    },
    PROXY_ROW("proxy_ignore_client_abort", PROXY_FLAG(ignore_client_abort), "off",
              "Goes on with an origin when the client has gone."),
    PROXY_ROW("proxy_force_ranges", PROXY_FLAG(force_ranges), "off",
              "Cuts ranges out of responses whose origin does not."),
    PROXY_ROW("proxy_pass_trailers", PROXY_FLAG(pass_trailers), "off", "Passes trailer fields on."),
    {
        .name = "proxy_redirect",
        .where = PROXY_WHERE,
        .takes = WEIR_TAKES(1, 2),
        .slot = WEIR_SLOT_CALL(proxy_conf, redirects, proxy_redirect_call),
        .syntax = "default | off | redirect replacement",
        .repeatable = true,
        .doc = "Changes what Location and Refresh of responses say.",
    },
    {
        .name = "proxy_cookie_domain",
        .where = PROXY_WHERE,
        .takes = WEIR_TAKES(1, 2),
        .slot = WEIR_SLOT_CALL(proxy_conf, cookie_domains, proxy_cookie_domain_call),
        .preset = "off",
        .syntax = "off | domain replacement",
        .repeatable = true,
        .doc = "Changes the Domain of cookies.",
    },
    {
        .name = "proxy_cookie_path",
        .where = PROXY_WHERE,
        .takes = WEIR_TAKES(1, 2),
        .slot = WEIR_SLOT_CALL(proxy_conf, cookie_paths, proxy_cookie_path_call),
        .preset = "off",
        .syntax = "off | path replacement",
        .repeatable = true,
        .doc = "Changes the Path of cookies.",
    },
    {
        .name = "proxy_cookie_flags",
        .where = PROXY_WHERE,
        .takes = WEIR_TAKES_SOME,
        .slot = WEIR_SLOT_CALL(proxy_conf, cookie_flags, proxy_cookie_flags_call),
        .preset = "off",
        .syntax = "off | cookie [flag ...]",
        .repeatable = true,
        .doc =
            "Sets or takes away flags of cookies: secure, httponly, samesite=strict|lax|none, and "
            "nosecure, nohttponly, nosamesite.",
    },

    /* ---- without an effect */
    {.name = "proxy_send_lowat",
     .where = PROXY_WHERE,
     .warning = "Linux knows no low-water mark for sending",
     .doc = "Accepted."},
    {.name = "proxy_headers_hash_max_size",
     .where = PROXY_WHERE,
     .doc = "Accepted: tables grow by themselves."},
    {.name = "proxy_headers_hash_bucket_size",
     .where = PROXY_WHERE,
     .doc = "Accepted: tables grow by themselves."},

    {0},
};

/* ---- checks */

static bool check_sizes(weir_conf *conf, const proxy_conf *proxy)
{
    size_t largest =
        proxy->buffer_size > proxy->buffers.size ? proxy->buffer_size : proxy->buffers.size;
    size_t all = proxy->buffers.count * proxy->buffers.size;

    if (proxy->buffers.count < 2) {
        return weir_conf_refuse(conf, "there must be at least 2 \"proxy_buffers\"");
    }
    if (proxy->busy_buffers_size != 0) {
        if (proxy->busy_buffers_size < largest) {
            return weir_conf_refuse(conf,
                                    "\"proxy_busy_buffers_size\" must be equal to or greater than "
                                    "the maximum of the value of \"proxy_buffer_size\" and one of "
                                    "the \"proxy_buffers\"");
        }
        if (proxy->busy_buffers_size > all - proxy->buffers.size) {
            return weir_conf_refuse(conf, "\"proxy_busy_buffers_size\" must be less than the size "
                                          "of all \"proxy_buffers\" minus one buffer");
        }
    } else if (largest > all - proxy->buffers.size) {
        return weir_conf_refuse(conf, "\"proxy_busy_buffers_size\" must be less than the size of "
                                      "all \"proxy_buffers\" minus one buffer");
    }
    if (proxy->temp_file_write_size != 0 && proxy->temp_file_write_size < largest) {
        return weir_conf_refuse(conf,
                                "\"proxy_temp_file_write_size\" must be equal to or greater than "
                                "the maximum of the value of \"proxy_buffer_size\" and one of the "
                                "\"proxy_buffers\"");
    }
    if (proxy->max_temp_file_size != 0 && proxy->max_temp_file_size < largest) {
        return weir_conf_refuse(conf,
                                "\"proxy_max_temp_file_size\" must be equal to zero to disable "
                                "temporary files usage or must be equal to or greater than the "
                                "maximum of the value of \"proxy_buffer_size\" and one of the "
                                "\"proxy_buffers\"");
    }
    return true;
}

static bool proxy_check(weir_conf *conf, const void *settings)
{
    /* These settings are not shared yet: what is made of them is kept with them. */
    proxy_conf *proxy = (proxy_conf *) (uintptr_t) settings;
    uint64_t rate;

    return check_sizes(conf, proxy)
           && (proxy->limit_rate == NULL
               || weir_rate_check(conf, proxy->limit_rate, "proxy_limit_rate", &rate))
           && (proxy->pass.location == NULL || proxy_settle(conf, proxy, &proxy_http));
}

bool proxy_settle(weir_conf *conf, proxy_conf *proxy, const proxy_kind *kind)
{
    proxy->wire = proxy->http_version == WEIR_HTTP_20 ? &proxy_h2 : &proxy_h1;
    proxy->headers = proxy_headers_make(conf, proxy);
    proxy->hidden = proxy_hidden_make(conf, proxy);
    if (proxy->headers == NULL || proxy->hidden == NULL) {
        return weir_conf_refuse(conf, "no memory for \"%s\"", kind->pass);
    }
    if (proxy->wire->framing != NULL && (proxy->upgrade || proxy->headers->sets_upgrade)) {
        weir_conf_warn(conf, "an origin of HTTP/2 is not asked to upgrade: WebSockets need "
                             "\"proxy_http_version 1.1\"");
    }
    if (proxy->pass.url.is_tls || proxy->pass.template != NULL) {
        proxy->tls_client = weir_tls_client_new(conf, &proxy->tls, kind->tls_prefix, "http");
        if (proxy->tls_client == NULL) {
            return false;
        }
    }
    return proxy_rules_settle(conf, proxy);
}

static bool proxy_prepare(weir_conf *conf)
{
    return weir_space_add(conf, weir_space_of(conf, "http"), proxy_variables);
}

bool proxy_applies(const void *location)
{
    return ((const proxy_conf *) location)->pass.location != NULL;
}

/* ---- the content */

/* The exchange ends first: by itself, or because its client has gone. */
static void proxy_cancel(weir_http_exchange *ex, weir_http_hold *hold)
{
    proxy_state *proxy = WEIR_OWNER(hold, proxy_state, hold);

    (void) ex;
    proxy_let_go(proxy);
    if (proxy->is_gone != NULL) {
        *proxy->is_gone = true;
    }
}

static void proxy_free(void *subject)
{
    proxy_head_release(subject);
}

proxy_state *proxy_new(weir_http_exchange *ex, const proxy_conf *conf)
{
    proxy_state *proxy = WEIR_NEW(ex->pool, proxy_state);

    if (proxy == NULL || weir_pool_on_free(ex->pool, proxy_free, proxy) == NULL) {
        return NULL;
    }
    proxy->ex = ex;
    proxy->conf = conf;
    /* A tunnel has none, and says nothing. */
    proxy->wire = conf->wire != NULL ? conf->wire : &proxy_h1;
    proxy->temp_file = -1;
    proxy->started_ms = weir_clock_now()->monotonic_ms;
    proxy->go_on.name = "proxied response";
    proxy->go_on.run = proxy_body_go_on;
    weir_list_init(&proxy->go_on.link);
    weir_http_response_head_init(&proxy->answer, ex->pool, PROXY_FIELDS_MAX);
    if (ex->upstream != NULL) {
        /* What was tried before an internal redirect is told, too. */
        proxy->attempts = ex->upstream->attempts;
    } else {
        weir_array_init(&proxy->attempts, ex->pool, sizeof(proxy_attempt), 1);
    }
    ex->upstream = proxy;
    weir_http_hold_add(ex, &proxy->hold, "proxy", proxy_cancel);
    return proxy;
}

static void body_collected(weir_http_exchange *ex)
{
    proxy_start(ex->upstream);
}

/* The body, as a whole or as it comes. */
static weir_http_verdict proxy_begin(proxy_state *proxy)
{
    weir_http_exchange *ex = proxy->ex;
    const proxy_conf *conf = proxy->conf;
    bool is_chunked = ex->request.content_length < 0;

    if (ex->request.has_body && (conf->pass_request_body || conf->set_body != NULL)
        && !ex->request.body_is_collected) {
        /* HTTP/1.0 has no frame for a body of unknown length; and what takes its place may be made of it ($request_body). */
        if (!conf->request_buffering && conf->set_body == NULL
            && !(is_chunked && conf->http_version == WEIR_HTTP_10)) {
            proxy->body_is_streamed = true;
        } else {
            switch (weir_http_collect_body(ex, body_collected)) {
            case WEIR_OK:
                break;
            case WEIR_WAIT:
                return WEIR_HTTP_WAITING;
            case WEIR_FAIL:
                weir_http_hold_drop(ex, &proxy->hold);
                return WEIR_HTTP_ANSWERED;
            }
        }
    }
    proxy_start(proxy);
    return proxy->is_answered ? WEIR_HTTP_ANSWERED : WEIR_HTTP_WAITING;
}

/*
 * Locations inside of one that passes on do not pass on for that; blocks without a name do, unless they pass on themselves.
 */
bool proxy_is_here(const weir_http_exchange *ex, const proxy_conf *conf)
{
    const weir_http_location *here = ex->location;

    while (here->kind == WEIR_HTTP_LOCATION_UNNAMED && here != conf->pass.location) {
        if (here->passes_by != NULL) {
            return false;
        }
        here = here->outer;
    }
    return here == conf->pass.location && here->passes_by == conf->pass.kind->module;
}

weir_http_verdict proxy_judge(weir_http_exchange *ex, const void *location)
{
    const proxy_conf *conf = location;
    proxy_state *proxy;

    if (!proxy_is_here(ex, conf)) {
        return WEIR_HTTP_PASS;
    }
    if (ex->request.protocol.len != 0 && conf->wire->framing != NULL) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0,
                      "an origin of HTTP/2 is not asked for a %.*s: that needs "
                      "\"proxy_http_version 1.1\"",
                      WEIR_STR_ARG(ex->request.protocol));
        return weir_http_answer_because(ex, 501, "no WebSockets toward origins of HTTP/2");
    }

    proxy = proxy_new(ex, conf);
    if (proxy == NULL) {
        return WEIR_HTTP_FAILED;
    }
    ex->ignores_client_abort = conf->ignore_client_abort;
    if (!proxy_find(proxy)) {
        return WEIR_HTTP_ANSWERED;
    }
    return proxy_begin(proxy);
}

const weir_http_module weir_http_proxy = {
    .name = "http_proxy",
    .directives = proxy_directives,
    .conf_size = sizeof(proxy_conf),
    .check = proxy_check,
    .prepare = proxy_prepare,
    .phases = 1u << WEIR_HTTP_PHASE_CONTENT,
    .takes_body = true,
    .judge = proxy_judge,
    .applies = proxy_applies,
};
