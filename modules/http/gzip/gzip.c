/*
 * gzip: compresses responses for clients that take it.
 *
 *     gzip on;
 *     gzip_types text/css application/json;
 *     gzip_vary on;
 */

#include "modules/http/engine/core_conf.h"
#include "modules/http/gzip/gzip_internal.h"

#include <zlib.h>

#include "core/base/clock.h"

/* Of the dictionary, beside the bytes themselves, that zlib keeps for matches. */
#define LOOKAHEAD 262

enum {
    PROXIED_EXPIRED = 1 << 0,
    PROXIED_NO_CACHE = 1 << 1,
    PROXIED_NO_STORE = 1 << 2,
    PROXIED_PRIVATE = 1 << 3,
    PROXIED_NO_LAST_MODIFIED = 1 << 4,
    PROXIED_NO_ETAG = 1 << 5,
    PROXIED_AUTH = 1 << 6,
    PROXIED_ANY = 1 << 7,
};

typedef struct {
    bool is_on, vary;
    uint64_t level;
    size_t min_length;
    unsigned http_version; /* weir_http_version */
    unsigned proxied;
    weir_array types;     /* weir_str */
    weir_array *disabled; /* const weir_regex *; NULL: none */
    weir_count_size buffers;
} gzip_conf;

/* Of one response. */
typedef struct {
    z_stream z;
    bool is_open;
    uint64_t in, out;
} gzip_state;

extern const weir_http_module weir_http_gzip;

/* ---- reading */

static const weir_choice proxied_choices[] = {
    {"off", 0},
    {"expired", PROXIED_EXPIRED},
    {"no-cache", PROXIED_NO_CACHE},
    {"no-store", PROXIED_NO_STORE},
    {"private", PROXIED_PRIVATE},
    {"no_last_modified", PROXIED_NO_LAST_MODIFIED},
    {"no_etag", PROXIED_NO_ETAG},
    {"auth", PROXIED_AUTH},
    {"any", PROXIED_ANY},
    {NULL, 0},
};

static const weir_choice version_choices[] = {
    {"1.0", WEIR_HTTP_10},
    {"1.1", WEIR_HTTP_11},
    {NULL, 0},
};

/* gzip_disable REGEX ..., over User-Agent; "msie6" is short for the one that everybody means. */
static bool disable_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    gzip_conf *gzip = settings;
    weir_pool *pool = weir_conf_pool(conf);

    if (gzip->disabled == NULL) {
        gzip->disabled = WEIR_NEW(pool, weir_array);
        if (gzip->disabled == NULL) {
            return weir_conf_refuse(conf, "no memory for \"gzip_disable\"");
        }
        weir_array_init(gzip->disabled, pool, sizeof(const weir_regex *), 2);
    }
    for (size_t i = 1; i < statement->count; i++) {
        weir_str pattern = statement->args[i];
        const weir_regex **regex = weir_array_push(gzip->disabled);

        if (regex == NULL) {
            return weir_conf_refuse(conf, "no memory for \"gzip_disable\"");
        }
        if (weir_str_eq(pattern, WEIR_STR("msie6"))) {
            pattern = WEIR_STR("MSIE [4-6]\\.(?!.*SV1)");
        }
        *regex = weir_regex_new(conf, NULL, pattern, true);
        if (*regex == NULL) {
            return false;
        }
    }
    return true;
}

#define NO_EFFECT(name_)                                                                           \
    {                                                                                              \
        .name = name_, .where = WEIR_HTTP_ANYWHERE, .takes = WEIR_TAKES(1, 1),                     \
        .warning = "zlib is used with its own sizes", .doc = "Accepted.",                          \
    }

static const weir_directive gzip_directives[] = {
    {
        .name = "gzip",
        .where = WEIR_HTTP_ANYWHERE | WEIR_HTTP_LOCATION_IF,
        .slot = WEIR_SLOT_FLAG(gzip_conf, is_on),
        .preset = "off",
        .doc = "Compresses responses.",
    },
    {
        .name = "gzip_types",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_LIST(gzip_conf, types),
        .preset = "text/html",
        .syntax = "type ...",
        .doc = "Media types that are compressed beside text/html; * is any.",
    },
    {
        .name = "gzip_comp_level",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_UINT(gzip_conf, level, 1, 9),
        .preset = "1",
        .doc = "How hard it is tried, from 1 to 9.",
    },
    {
        .name = "gzip_min_length",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_SIZE(gzip_conf, min_length),
        .preset = "20",
        .doc = "Responses whose Content-Length is below are left alone.",
    },
    {
        .name = "gzip_http_version",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_ENUM(gzip_conf, http_version, version_choices),
        .preset = "1.1",
        .doc = "The least version of requests whose responses are compressed.",
    },
    {
        .name = "gzip_vary",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_FLAG(gzip_conf, vary),
        .preset = "off",
        .doc = "Tells caches, by Vary, that there is more than one form.",
    },
    {
        .name = "gzip_proxied",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_BITS(gzip_conf, proxied, proxied_choices),
        .preset = "off",
        .doc = "What is compressed for requests that came by a proxy (Via).",
    },
    {
        .name = "gzip_disable",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES_SOME,
        .syntax = "regex ...",
        .slot = WEIR_SLOT_CALL(gzip_conf, disabled, disable_call),
        .repeatable = true,
        .doc = "User agents that get nothing compressed.",
    },
    {
        .name = "gzip_buffers",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_SIZES(gzip_conf, buffers),
        .preset = "32 4k",
        .doc = "Accepted: output goes into blocks as the client takes it.",
    },
    NO_EFFECT("gzip_window"),
    NO_EFFECT("gzip_hash"),
    NO_EFFECT("gzip_no_buffer"),
    NO_EFFECT("postpone_gzipping"),
    {0},
};

/* ---- whether */

/* "gzip", "gzip;q=0.5"; "gzip;q=0" is none (RFC 9110, 12.5.3). */
static bool item_is_gzip(weir_str item)
{
    weir_str name, q;

    item = weir_str_trim(item);
    if (!weir_str_split(&item, ';', &name)
        || !weir_str_eq_nocase(weir_str_trim(name), WEIR_STR("gzip"))) {
        return false;
    }
    item = weir_str_trim(item);
    if (!weir_str_starts_nocase(item, WEIR_STR("q="))) {
        return true;
    }
    q = weir_str_from(item, 2);
    for (size_t i = 0; i < q.len; i++) {
        if (q.data[i] >= '1' && q.data[i] <= '9') {
            return true;
        }
    }
    return false;
}

static bool client_takes_gzip(const weir_http_exchange *ex)
{
    const weir_http_fields *fields = &ex->request.fields;

    for (const weir_http_field *field = weir_http_fields_find(fields, WEIR_HTTP_ACCEPT_ENCODING);
         field != NULL; field = weir_http_fields_next(fields, field)) {
        weir_str rest = field->value;
        weir_str item;

        while (weir_str_split(&rest, ',', &item)) {
            if (item_is_gzip(item)) {
                return true;
            }
        }
    }
    return false;
}

static bool is_expired(const weir_http_exchange *ex, const weir_http_field *field)
{
    const weir_http_fields *fields = &ex->response.fields;
    int64_t expires, date;

    if (!weir_clock_parse_http(field->value, &expires)) {
        return false;
    }
    field = weir_http_fields_find(fields, WEIR_HTTP_DATE);
    if (field == NULL || !weir_clock_parse_http(field->value, &date)) {
        date = weir_clock_now()->wall_s;
    }
    return expires < date;
}

/*
 * gzip_proxied: a proxy is given compressed what it may not keep for clients that take no gzip, as far as its fields tell:
 * Expires, or else Cache-Control, or else what the proxy could revalidate by.
 */
static bool proxy_may_have(const weir_http_exchange *ex, unsigned proxied)
{
    const weir_http_fields *fields = &ex->response.fields;
    const weir_http_field *expires = weir_http_fields_find(fields, WEIR_HTTP_EXPIRES);

    static const struct {
        unsigned bit;
        weir_str token;
    } controls[] = {
        {PROXIED_NO_CACHE, WEIR_STR_INIT("no-cache")},
        {PROXIED_NO_STORE, WEIR_STR_INIT("no-store")},
        {PROXIED_PRIVATE, WEIR_STR_INIT("private")},
    };

    if (weir_http_fields_find(&ex->request.fields, WEIR_HTTP_VIA) == NULL
        || (proxied & PROXIED_ANY) != 0) {
        return true;
    }
    if (proxied == 0) {
        return false;
    }
    if ((proxied & PROXIED_AUTH) != 0
        && weir_http_fields_find(&ex->request.fields, WEIR_HTTP_AUTHORIZATION) != NULL) {
        return true;
    }
    if (expires != NULL) {
        return (proxied & PROXIED_EXPIRED) != 0 && is_expired(ex, expires);
    }
    for (size_t i = 0; i < WEIR_COUNT(controls); i++) {
        if ((proxied & controls[i].bit) != 0
            && weir_http_fields_have_token(fields, WEIR_HTTP_CACHE_CONTROL, controls[i].token)) {
            return true;
        }
    }
    if (weir_http_fields_find(fields, WEIR_HTTP_CACHE_CONTROL) != NULL) {
        return false;
    }
    if ((proxied & PROXIED_NO_LAST_MODIFIED) != 0
        && (ex->response.last_modified_s >= 0
            || weir_http_fields_find(fields, WEIR_HTTP_LAST_MODIFIED) != NULL)) {
        return false;
    }
    return (proxied & PROXIED_NO_ETAG) == 0
           || weir_http_fields_find(fields, WEIR_HTTP_ETAG) == NULL;
}

static bool agent_is_disabled(const weir_http_exchange *ex, const gzip_conf *gzip)
{
    const weir_http_field *agent = weir_http_fields_find(&ex->request.fields, WEIR_HTTP_USER_AGENT);

    if (gzip->disabled == NULL || agent == NULL) {
        return false;
    }
    for (WEIR_ARRAY_EACH(gzip->disabled, const weir_regex *const, regex)) {
        if (weir_regex_test(*regex, agent->value, &ex->log) == WEIR_REGEX_MATCH) {
            return true;
        }
    }
    return false;
}

/* Whether some client would get this compressed: then Vary is due. */
static bool is_compressible(const weir_http_exchange *ex, const gzip_conf *gzip)
{
    const weir_http_response *response = &ex->response;

    if ((response->status != 200 && response->status != 403 && response->status != 404)
        || ex->parent != NULL || response->is_upgrade) {
        return false;
    }
    if (response->content_length >= 0
        && (uint64_t) response->content_length < (uint64_t) gzip->min_length) {
        return false;
    }
    return weir_http_fields_find(&response->fields, WEIR_HTTP_CONTENT_ENCODING) == NULL
           && weir_http_type_is_listed(&gzip->types, response->content_type);
}

/* ---- doing it */

static void gzip_close(void *subject)
{
    gzip_state *state = subject;

    if (state->is_open) {
        state->is_open = false;
        (void) deflateEnd(&state->z);
    }
}

static bool gzip_open(weir_http_exchange *ex, const gzip_conf *gzip, gzip_state *state)
{
    int window = MAX_WBITS;
    int memory = MAX_MEM_LEVEL - 1;
    int64_t length = ex->response.content_length;

    /* A small response needs no quarter of a megabyte. */
    while (length >= 0 && window > 9 && length < (1 << (window - 1)) - LOOKAHEAD) {
        window--;
        memory = memory > 1 ? memory - 1 : 1;
    }
    if (deflateInit2(&state->z, (int) gzip->level, Z_DEFLATED, window + 16, memory,
                     Z_DEFAULT_STRATEGY)
        != Z_OK) {
        weir_log_line(&ex->log, WEIR_LOG_ALERT, 0, "deflateInit2() failed");
        return false;
    }
    state->is_open = true;
    if (weir_pool_on_free(ex->pool, gzip_close, state) == NULL) {
        gzip_close(state);
        return false;
    }
    return true;
}

/* ---- for all of the folder */

bool weir_http_gzip_is_welcome(const weir_http_exchange *ex)
{
    const gzip_conf *gzip = weir_http_settings(ex, &weir_http_gzip);

    return (unsigned) ex->request.version >= gzip->http_version && client_takes_gzip(ex)
           && !agent_is_disabled(ex, gzip) && proxy_may_have(ex, gzip->proxied);
}

bool weir_http_gzip_vary(weir_http_exchange *ex)
{
    const gzip_conf *gzip = weir_http_settings(ex, &weir_http_gzip);
    weir_http_fields *fields = &ex->response.fields;

    return !gzip->vary
           || weir_http_fields_have_token(fields, WEIR_HTTP_VARY, WEIR_STR("Accept-Encoding"))
           || weir_http_fields_add(fields, WEIR_HTTP_VARY, WEIR_STR("Accept-Encoding"));
}

/* ---- heads and bodies */

static weir_result gzip_head(weir_http_exchange *ex, const void *location)
{
    const gzip_conf *gzip = location;
    weir_http_response *response = &ex->response;
    gzip_state *state;

    if (!is_compressible(ex, gzip)) {
        return WEIR_OK;
    }
    if (!weir_http_gzip_vary(ex)) {
        return WEIR_FAIL;
    }
    if (!weir_http_gzip_is_welcome(ex)) {
        return WEIR_OK;
    }

    if (ex->request.method != WEIR_HTTP_HEAD) {
        state = weir_http_state(ex, &weir_http_gzip, sizeof(*state));
        if (state == NULL || !gzip_open(ex, gzip, state)
            || !weir_http_filter_body(ex, &weir_http_gzip)) {
            return WEIR_FAIL;
        }
    }
    response->content_length = -1;
    response->allow_ranges = false;
    weir_http_fields_remove(&response->fields, WEIR_HTTP_ACCEPT_RANGES);
    return weir_http_fields_add(&response->fields, WEIR_HTTP_CONTENT_ENCODING, WEIR_STR("gzip"))
                   && weir_http_weaken_etag(ex)
               ? WEIR_OK
               : WEIR_FAIL;
}

/* Runs zlib over what is set as its input, until it wants no more room. */
static bool gzip_run(weir_http_exchange *ex, gzip_state *state, int flush, weir_chain *out)
{
    for (;;) {
        weir_block *block = weir_block_get();
        size_t made;
        int result;
        bool is_added;

        if (block == NULL) {
            return false;
        }
        state->z.next_out = (Bytef *) block->data;
        state->z.avail_out = WEIR_BLOCK_BYTES;
        result = deflate(&state->z, flush);
        made = WEIR_BLOCK_BYTES - state->z.avail_out;
        state->out += made;
        is_added = weir_chain_add_block(out, block, block->data, made);
        weir_block_unref(block);
        if (!is_added) {
            return false;
        }
        if (result == Z_STREAM_END) {
            return true;
        }
        if (result != Z_OK && result != Z_BUF_ERROR) {
            weir_log_line(&ex->log, WEIR_LOG_ALERT, 0, "deflate() failed: %d", result);
            return false;
        }
        if (state->z.avail_out != 0) {
            return true;
        }
    }
}

static weir_result gzip_body(weir_http_exchange *ex, const void *location, weir_chain *in,
                             weir_chain *out, bool is_last)
{
    gzip_state *state = weir_http_state_find(ex, &weir_http_gzip);

    (void) location;
    while (!weir_chain_is_empty(in)) {
        const weir_span *span = in->first;
        size_t len = span->len < UINT32_MAX ? span->len : UINT32_MAX;

        state->z.next_in = (Bytef *) (uintptr_t) span->data;
        state->z.avail_in = (uInt) len;
        if (!gzip_run(ex, state, Z_NO_FLUSH, out)) {
            return WEIR_FAIL;
        }
        state->in += len;
        weir_chain_consume(in, len);
    }
    state->z.next_in = NULL;
    state->z.avail_in = 0;
    if (is_last) {
        if (!gzip_run(ex, state, Z_FINISH, out)) {
            return WEIR_FAIL;
        }
        gzip_close(state);
    } else if (ex->response.must_flush && !gzip_run(ex, state, Z_SYNC_FLUSH, out)) {
        return WEIR_FAIL;
    }
    return WEIR_OK;
}

/* $gzip_ratio: how many bytes one has become, "3.42". */
static bool get_ratio(weir_script *script, uintptr_t arg, weir_value *value)
{
    const gzip_state *state = weir_http_state_find(script->subject, &weir_http_gzip);
    weir_builder builder;
    uint64_t hundredths;

    (void) arg;
    if (state == NULL || state->out == 0) {
        return true;
    }
    hundredths = (state->in * 100 + state->out / 2) / state->out;
    weir_builder_open(&builder, script->pool, 32);
    weir_builder_add_uint(&builder, hundredths / 100);
    weir_builder_add_byte(&builder, '.');
    weir_builder_add_padded(&builder, hundredths % 100, 2);
    value->found = true;
    return weir_builder_close(&builder, &value->text);
}

static const weir_variable gzip_variables[] = {
    {.name = "gzip_ratio", .get = get_ratio, .is_volatile = true},
    {0},
};

static bool gzip_applies(const void *location)
{
    return ((const gzip_conf *) location)->is_on;
}

const weir_http_module weir_http_gzip = {
    .name = "http_gzip",
    .directives = gzip_directives,
    .conf_size = sizeof(gzip_conf),
    .applies = gzip_applies,
    .stage = WEIR_HTTP_STAGE_ENCODE,
    .response_head = gzip_head,
    .response_body = gzip_body,
    .variables = gzip_variables,
};
