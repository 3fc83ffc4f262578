/*
 * sub_filter: replaces texts in responses.
 *
 *     sub_filter      "http://backend/" "https://$host/";     whatever the letters' case
 *     sub_filter_once off;
 *
 * At each place the first of them that matches is replaced; what was put in is not looked at again.  A text is found
 * wherever the response was cut: bytes that may be its beginning wait for the next ones.
 */

#include "modules/http/engine/core_conf.h"

typedef struct {
    const weir_template *match, *replacement;
} sub_pair;

typedef struct {
    weir_array *pairs; /* sub_pair; NULL: none */
    bool once;
    bool keeps_last_modified;
    weir_array types; /* weir_str */
} sub_conf;

/* A pair, for one response. */
typedef struct {
    weir_str match; /* in lower case */
    weir_str replacement;
    bool has_replacement; /* it is made at the first match */
    bool is_done;         /* it is not looked for any more */
} sub_text;

typedef struct {
    sub_text *texts;
    size_t count;
    size_t longest;        /* of those that are looked for; 0: none is */
    uint8_t begins[256];   /* FIRST, SECOND: bytes that matches begin with, in either case */
    char *seam;            /* bytes before and behind a cut */
    bool has_single_bytes; /* then there is no second byte to go by */
} sub_state;

enum {
    FIRST = 1,
    SECOND = 2,
};

extern const weir_http_module weir_http_sub_filter;

/* ---- reading */

static bool sub_filter_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    sub_conf *sub = settings;
    weir_pool *pool = weir_conf_pool(conf);
    weir_space *space = weir_space_of(conf, "http");
    sub_pair *pair;

    if (statement->args[1].len == 0) {
        return weir_conf_refuse_arg(conf, statement, 1, "empty search pattern");
    }
    if (sub->pairs == NULL) {
        sub->pairs = WEIR_NEW(pool, weir_array);
        if (sub->pairs == NULL) {
            return weir_conf_refuse(conf, "no memory for \"sub_filter\"");
        }
        weir_array_init(sub->pairs, pool, sizeof(sub_pair), 2);
    }
    pair = weir_array_push(sub->pairs);
    if (pair == NULL) {
        return weir_conf_refuse(conf, "no memory for \"sub_filter\"");
    }
    pair->match = weir_template_new(conf, space, statement->args[1]);
    pair->replacement = weir_template_new(conf, space, statement->args[2]);
    return pair->match != NULL && pair->replacement != NULL;
}

static const weir_directive sub_directives[] = {
    {
        .name = "sub_filter",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(2, 2),
        .syntax = "string replacement",
        .slot = WEIR_SLOT_CALL(sub_conf, pairs, sub_filter_call),
        .repeatable = true,
        .doc = "Replaces a text in responses, whatever the case of its letters.",
    },
    {
        .name = "sub_filter_once",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_FLAG(sub_conf, once),
        .preset = "on",
        .doc = "Replaces each text once only.",
    },
    {
        .name = "sub_filter_last_modified",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_FLAG(sub_conf, keeps_last_modified),
        .preset = "off",
        .doc = "Keeps Last-Modified, and ETag as a weak one, which else are left out.",
    },
    {
        .name = "sub_filter_types",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_LIST(sub_conf, types),
        .preset = "text/html",
        .syntax = "type ...",
        .doc = "Media types in which texts are replaced, beside text/html; * is any.",
    },
    {0},
};

/* ---- heads */

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char) (c & ~0x20) : c;
}

static void mark(sub_state *state, char byte, uint8_t as)
{
    state->begins[(unsigned char) byte] |= as;
    state->begins[(unsigned char) upper(byte)] |= as;
}

/* What is looked for from now on. */
static void texts_arm(sub_state *state)
{
    state->longest = 0;
    state->has_single_bytes = false;
    memset(state->begins, 0, sizeof(state->begins));
    for (size_t i = 0; i < state->count; i++) {
        const sub_text *text = &state->texts[i];

        if (text->is_done) {
            continue;
        }
        mark(state, text->match.data[0], FIRST);
        if (text->match.len == 1) {
            state->has_single_bytes = true;
        } else {
            mark(state, text->match.data[1], SECOND);
        }
        if (text->match.len > state->longest) {
            state->longest = text->match.len;
        }
    }
}

/* False: no memory. */
static bool texts_make(weir_http_exchange *ex, const sub_conf *sub, sub_state *state)
{
    state->texts = WEIR_NEW_ARRAY(ex->pool, sub_text, sub->pairs->count);
    if (state->texts == NULL) {
        return false;
    }
    for (WEIR_ARRAY_EACH(sub->pairs, const sub_pair, pair)) {
        sub_text *text = &state->texts[state->count++];
        weir_str match;

        if (!weir_template_text(pair->match, &ex->script, &match)
            || !weir_str_lower(ex->pool, match, &text->match)) {
            return false;
        }
        text->is_done = match.len == 0;
    }
    texts_arm(state);
    state->seam = state->longest < 2 ? NULL : weir_pool_bytes(ex->pool, 2 * state->longest - 2);
    return state->longest < 2 || state->seam != NULL;
}

static weir_result sub_head(weir_http_exchange *ex, const void *location)
{
    const sub_conf *sub = location;
    weir_http_response *response = &ex->response;
    sub_state *state;

    if (response->content_length == 0 || response->is_upgrade
        || !weir_http_type_is_listed(&sub->types, response->content_type)) {
        return WEIR_OK;
    }
    state = weir_http_state(ex, &weir_http_sub_filter, sizeof(*state));
    if (state == NULL || !texts_make(ex, sub, state)) {
        return WEIR_FAIL;
    }
    if (state->longest == 0) {
        return WEIR_OK;
    }
    if (ex->request.method != WEIR_HTTP_HEAD && !weir_http_filter_body(ex, &weir_http_sub_filter)) {
        return WEIR_FAIL;
    }
    response->content_length = -1;
    response->allow_ranges = false;
    weir_http_fields_remove(&response->fields, WEIR_HTTP_ACCEPT_RANGES);
    if (sub->keeps_last_modified) {
        return weir_http_weaken_etag(ex) ? WEIR_OK : WEIR_FAIL;
    }
    response->last_modified_s = -1;
    weir_http_fields_remove(&response->fields, WEIR_HTTP_LAST_MODIFIED);
    weir_http_fields_remove(&response->fields, WEIR_HTTP_ETAG);
    return WEIR_OK;
}

/* ---- bodies */

static bool matches_at(weir_str bytes, size_t at, weir_str match)
{
    if (match.len > bytes.len - at) {
        return false;
    }
    for (size_t i = 0; i < match.len; i++) {
        if (weir_byte_lower(bytes.data[at + i]) != match.data[i]) {
            return false;
        }
    }
    return true;
}

/* The first match that begins before `end`, and where; NULL: there is none. */
static sub_text *find(const sub_state *state, weir_str bytes, size_t end, size_t *at)
{
    const uint8_t *begins = state->begins;

    for (size_t i = 0; i < end; i++) {
        if ((begins[(unsigned char) bytes.data[i]] & FIRST) == 0
            || (!state->has_single_bytes
                && (i + 1 == bytes.len
                    || (begins[(unsigned char) bytes.data[i + 1]] & SECOND) == 0))) {
            continue;
        }
        for (size_t t = 0; t < state->count; t++) {
            sub_text *text = &state->texts[t];

            if (!text->is_done && matches_at(bytes, i, text->match)) {
                *at = i;
                return text;
            }
        }
    }
    return NULL;
}

/* The bytes up to the match go on, then what stands for it. */
static bool replace(weir_http_exchange *ex, const sub_conf *sub, sub_state *state, sub_text *text,
                    size_t at, weir_chain *in, weir_chain *out)
{
    const sub_pair *pair = WEIR_ARRAY_AT(sub->pairs, const sub_pair, text - state->texts);

    if (!text->has_replacement) {
        if (!weir_template_text(pair->replacement, &ex->script, &text->replacement)) {
            return false;
        }
        text->has_replacement = true;
    }
    if (!weir_chain_move(out, in, at) || !weir_chain_add_memory(out, text->replacement)) {
        return false;
    }
    weir_chain_consume(in, text->match.len);
    if (sub->once) {
        text->is_done = true;
        texts_arm(state);
    }
    return true;
}

/* The end of the first span and the beginning of what follows, side by side. */
static weir_str seam_of(const sub_state *state, const weir_chain *in, size_t tail)
{
    const weir_span *first = in->first;
    size_t len = tail;

    memcpy(state->seam, first->data + first->len - tail, tail);
    for (const weir_span *span = first->next; span != NULL && len < tail + state->longest - 1;
         span = span->next) {
        size_t wanted = tail + state->longest - 1 - len;
        size_t part = span->len < wanted ? span->len : wanted;

        memcpy(state->seam + len, span->data, part);
        len += part;
    }
    return weir_str_of(state->seam, len);
}

/*
 * Deals with the front of `in`: a match in the first span, or one that it only begins. OK: something was moved;
 * WAIT: what is left may begin a match, and more is needed to tell.
 */
static weir_result take_front(weir_http_exchange *ex, const sub_conf *sub, sub_state *state,
                              weir_chain *in, weir_chain *out, bool is_last)
{
    const weir_span *first = in->first;
    weir_str bytes = weir_str_of(first->data, first->len);
    size_t tail = bytes.len < state->longest - 1 ? bytes.len : state->longest - 1;
    bool is_all = in->len == first->len;
    size_t safe = bytes.len - tail; /* matches that begin before lie in this span as a whole */
    sub_text *text;
    size_t at;

    text = find(state, bytes, is_all && is_last ? bytes.len : safe, &at);
    if (text != NULL) {
        return replace(ex, sub, state, text, at, in, out) ? WEIR_OK : WEIR_FAIL;
    }
    if (is_all || tail == 0) {
        if (!weir_chain_move(out, in, is_all && is_last ? bytes.len : safe)) {
            return WEIR_FAIL;
        }
        return is_all && !is_last ? WEIR_WAIT : WEIR_OK;
    }

    weir_str seam = seam_of(state, in, tail);
    /* Without all that a match may need, those that begin late cannot be told. */
    bool has_all = is_last || in->len - safe >= tail + state->longest - 1;
    size_t end = tail;

    if (!has_all) {
        end = seam.len < state->longest ? 0 : seam.len - state->longest + 1;
        end = end < tail ? end : tail;
    }
    text = find(state, seam, end, &at);
    if (text != NULL) {
        return replace(ex, sub, state, text, safe + at, in, out) ? WEIR_OK : WEIR_FAIL;
    }
    if (!weir_chain_move(out, in, safe + end)) {
        return WEIR_FAIL;
    }
    return has_all || safe + end != 0 ? WEIR_OK : WEIR_WAIT;
}

static weir_result sub_body(weir_http_exchange *ex, const void *location, weir_chain *in,
                            weir_chain *out, bool is_last)
{
    const sub_conf *sub = location;
    sub_state *state = weir_http_state_find(ex, &weir_http_sub_filter);

    while (!weir_chain_is_empty(in)) {
        if (state->longest == 0) {
            weir_chain_append(out, in);
            return WEIR_OK;
        }
        switch (take_front(ex, sub, state, in, out, is_last)) {
        case WEIR_OK:
            break;
        case WEIR_WAIT:
            return WEIR_OK;
        case WEIR_FAIL:
            return WEIR_FAIL;
        }
    }
    return WEIR_OK;
}

static bool sub_applies(const void *location)
{
    return ((const sub_conf *) location)->pairs != NULL;
}

const weir_http_module weir_http_sub_filter = {
    .name = "http_sub_filter",
    .directives = sub_directives,
    .conf_size = sizeof(sub_conf),
    .applies = sub_applies,
    .stage = WEIR_HTTP_STAGE_REWRITE,
    .response_head = sub_head,
    .response_body = sub_body,
};
