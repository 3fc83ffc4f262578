/*
 * gunzip: decompresses responses for clients that do not take gzip.
 *
 *     gunzip on;
 */

#include "modules/http/engine/core_conf.h"
#include "modules/http/gzip/gzip_internal.h"

#include <zlib.h>

typedef struct {
    bool is_on;
    weir_count_size buffers;
} gunzip_conf;

/* How much is made at a time: a few bytes may become very many. */
#define TURN_BYTES (8 * WEIR_BLOCK_BYTES)

/* Of one response. */
typedef struct {
    z_stream z;
    bool is_open;
    bool is_full;   /* the last block: there may be more to come */
    bool is_at_end; /* of a member: nothing, or another one, may follow (RFC 1952, 2.2) */
} gunzip_state;

extern const weir_http_module weir_http_gunzip;

static const weir_directive gunzip_directives[] = {
    {
        .name = "gunzip",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_FLAG(gunzip_conf, is_on),
        .preset = "off",
        .doc = "Decompresses gzip responses for clients that do not take them.",
    },
    {
        .name = "gunzip_buffers",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_SIZES(gunzip_conf, buffers),
        .preset = "32 4k",
        .doc = "Accepted: output goes into blocks as the client takes it.",
    },
    {0},
};

static void gunzip_close(void *subject)
{
    gunzip_state *state = subject;

    if (state->is_open) {
        state->is_open = false;
        (void) inflateEnd(&state->z);
    }
}

static bool gunzip_open(weir_http_exchange *ex)
{
    gunzip_state *state = weir_http_state(ex, &weir_http_gunzip, sizeof(*state));

    if (state == NULL || inflateInit2(&state->z, MAX_WBITS + 16) != Z_OK) {
        weir_log_line(&ex->log, WEIR_LOG_ALERT, 0, "inflateInit2() failed");
        return false;
    }
    state->is_open = true;
    if (weir_pool_on_free(ex->pool, gunzip_close, state) == NULL) {
        gunzip_close(state);
        return false;
    }
    return weir_http_filter_body(ex, &weir_http_gunzip);
}

static weir_result gunzip_head(weir_http_exchange *ex, const void *location)
{
    weir_http_response *response = &ex->response;
    weir_str encoding = weir_http_fields_value(&response->fields, WEIR_HTTP_CONTENT_ENCODING);

    (void) location;
    if (!weir_str_eq_nocase(encoding, WEIR_STR("gzip")) || response->is_upgrade) {
        return WEIR_OK;
    }
    if (!weir_http_gzip_vary(ex)) {
        return WEIR_FAIL;
    }
    if (weir_http_gzip_is_welcome(ex)) {
        return WEIR_OK;
    }
    if (ex->request.method != WEIR_HTTP_HEAD && !gunzip_open(ex)) {
        return WEIR_FAIL;
    }
    weir_http_fields_remove(&response->fields, WEIR_HTTP_CONTENT_ENCODING);
    weir_http_fields_remove(&response->fields, WEIR_HTTP_ACCEPT_RANGES);
    response->content_length = -1;
    response->allow_ranges = false;
    return weir_http_weaken_etag(ex) ? WEIR_OK : WEIR_FAIL;
}

/* Into what is left of the block, from the first span.  False: it is no gzip. */
static bool inflate_span(weir_http_exchange *ex, gunzip_state *state, weir_chain *in)
{
    const weir_span *span = in->first;
    size_t len = span == NULL ? 0 : span->len < UINT32_MAX ? span->len : UINT32_MAX;
    int result;

    if (state->is_at_end) {
        (void) inflateReset(&state->z);
    }
    state->z.next_in = span == NULL ? NULL : (Bytef *) (uintptr_t) span->data;
    state->z.avail_in = (uInt) len;
    result = inflate(&state->z, Z_NO_FLUSH);
    state->is_at_end = result == Z_STREAM_END;
    state->is_full = state->z.avail_out == 0 && !state->is_at_end;
    weir_chain_consume(in, len - state->z.avail_in);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "inflate() failed: %d", result);
        return false;
    }
    return true;
}

/*
 * A block of what comes out of the first spans, as many as fill it: there may be one for each byte.  False: it is no gzip, or
 * there is no memory.
 */
static bool gunzip_step(weir_http_exchange *ex, gunzip_state *state, weir_chain *in,
                        weir_chain *out)
{
    weir_block *block = weir_block_get();
    bool is_gzip, is_added;

    if (block == NULL) {
        return false;
    }
    state->z.next_out = (Bytef *) block->data;
    state->z.avail_out = WEIR_BLOCK_BYTES;
    do {
        is_gzip = inflate_span(ex, state, in);
    } while (is_gzip && state->z.avail_out != 0 && !weir_chain_is_empty(in));
    is_added = weir_chain_add_block(out, block, block->data, WEIR_BLOCK_BYTES - state->z.avail_out);
    weir_block_unref(block);
    return is_gzip && is_added;
}

static weir_result gunzip_body(weir_http_exchange *ex, const void *location, weir_chain *in,
                               weir_chain *out, bool is_last)
{
    gunzip_state *state = weir_http_state_find(ex, &weir_http_gunzip);
    uint64_t before = out->len;

    (void) location;
    while (state->is_full || !weir_chain_is_empty(in)) {
        if (out->len - before >= TURN_BYTES) {
            return WEIR_WAIT;
        }
        if (!gunzip_step(ex, state, in, out)) {
            return WEIR_FAIL;
        }
    }
    if (is_last && !state->is_at_end) {
        /* The client must not take what it has for the whole. */
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "inflate() failed: the response ends too early");
        return WEIR_FAIL;
    }
    return WEIR_OK;
}

static bool gunzip_applies(const void *location)
{
    return ((const gunzip_conf *) location)->is_on;
}

const weir_http_module weir_http_gunzip = {
    .name = "http_gunzip",
    .directives = gunzip_directives,
    .conf_size = sizeof(gunzip_conf),
    .applies = gunzip_applies,
    .stage = WEIR_HTTP_STAGE_DECODE,
    .response_head = gunzip_head,
    .response_body = gunzip_body,
};
