/*
 * application/x-www-form-urlencoded: split at the separator, then at the first "="; "+" is a blank, "%XX" a byte, and an
 * escape that is none stays.  Empty pieces are no arguments.
 */

#include "modules/waf/body_internal.h"
#include "modules/waf/transform_internal.h"

typedef struct {
    weir_waf_gathered pending; /* of an argument whose end has not come */
} urlencoded;

static bool decoded(weir_waf_body *body, weir_str text, weir_str *out)
{
    static const weir_waf_bytes coded = {{UINT64_C(1) << '%' | UINT64_C(1) << '+', 0, 0, 0}};
    weir_builder builder;
    char *room;

    if (weir_waf_bytes_find(&coded, text, 0) == text.len) {
        return weir_waf_body_keep(body, text, out);
    }

    room = weir_waf_body_memory(body, text.len);
    if (room == NULL) {
        return false;
    }

    weir_builder_over(&builder, room, text.len);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (c == '%' && weir_waf_has_hex(text, i + 1, 2)) {
            c = (char) weir_waf_hex_value(text, i + 1, 2);
            i += 2;
        } else if (c == '%') {
            body->report.urlencoded_error = true;
        } else if (c == '+') {
            c = ' ';
        }
        weir_builder_add_byte(&builder, c);
    }

    *out = weir_builder_text(&builder);
    return true;
}

static bool urlencoded_argument(weir_waf_body *body, weir_str piece)
{
    weir_str name, value;

    if (weir_str_is_empty(piece)) {
        return true;
    }

    (void) weir_str_split(&piece, '=', &name);
    return decoded(body, name, &name) && decoded(body, piece, &value)
           && weir_waf_body_argument(body, name, value);
}

static bool urlencoded_begin(weir_waf_body *body, weir_str content_type)
{
    (void) content_type;
    body->state = weir_waf_body_memory(body, sizeof(urlencoded));
    return body->state != NULL;
}

static bool urlencoded_feed(weir_waf_body *body, weir_str piece)
{
    urlencoded *state = body->state;
    const char *end;

    while ((end = weir_str_find_byte(piece, body->limits.separator)) != NULL) {
        size_t len = (size_t) (end - piece.data);
        weir_str argument = weir_str_slice(piece, 0, len);

        if (state->pending.len > 0) {
            if (!weir_waf_gather(body, &state->pending, argument)) {
                return false;
            }
            argument = weir_waf_gathered_text(&state->pending);
            state->pending.len = 0;
        }
        if (!urlencoded_argument(body, argument)) {
            return false;
        }
        piece = weir_str_from(piece, len + 1);
    }

    return weir_waf_gather(body, &state->pending, piece);
}

static bool urlencoded_end(weir_waf_body *body)
{
    urlencoded *state = body->state;
    bool is_told = true;

    if (state != NULL && !body->report.failed) {
        is_told = urlencoded_argument(body, weir_waf_gathered_text(&state->pending));
        state->pending.len = 0;
    }

    return is_told;
}

const weir_waf_body_type weir_waf_body_urlencoded = {
    .name = WEIR_STR_INIT("URLENCODED"),
    .turn_bytes = (size_t) 256 * 1024,
    .begin = urlencoded_begin,
    .feed = urlencoded_feed,
    .end = urlencoded_end,
};
