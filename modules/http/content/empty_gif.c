/*
 * empty_gif: the smallest transparent picture, for what a page asks for only to be counted.
 *
 *     location = /pixel.gif { empty_gif; }
 */

#include "modules/http/engine/core_conf.h"

/* Mon, 28 Sep 1970 06:00:00 GMT, as nginx says: a picture that never changes. */
#define GIF_MODIFIED_S 23349600

typedef struct {
    const weir_http_location *location; /* that answers so; NULL: none */
} gif_conf;

static bool empty_gif_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) statement;
    ((gif_conf *) settings)->location = weir_http_conf_location(conf);
    return true;
}

static const weir_directive gif_directives[] = {
    {
        .name = "empty_gif",
        .where = WEIR_HTTP_LOCATION,
        .takes = WEIR_TAKES_NONE,
        .slot = WEIR_SLOT_CALL(gif_conf, location, empty_gif_call),
        .repeatable = true,
        .doc = "Answers with a transparent picture of one pixel.",
    },
    {0},
};

/* clang-format off */
static const char gif[] =
    "GIF89a"
    "\1\0\1\0\x80\1\0"          /* 1 by 1, a table of two colours, the second is the background */
    "\0\0\0\xff\xff\xff"        /* black, white */
    "\x21\xf9\4\1\0\0\1\0"      /* the second is transparent */
    "\x2c\0\0\0\0\1\0\1\0\0"    /* the picture has all of the room, and no table of its own */
    "\2\2\x4c\1\0"              /* its pixel: clear, 1, end */
    ";";
/* clang-format on */

static weir_http_verdict gif_judge(weir_http_exchange *ex, const void *location)
{
    weir_http_verdict verdict;

    if (!weir_http_is_content_of(ex, ((const gif_conf *) location)->location)) {
        return WEIR_HTTP_PASS;
    }
    if (ex->request.method != WEIR_HTTP_GET && ex->request.method != WEIR_HTTP_HEAD) {
        return weir_http_answer_because(ex, 405, "the picture is read only");
    }
    verdict =
        weir_http_answer_text(ex, 200, WEIR_STR("image/gif"), weir_str_of(gif, sizeof(gif) - 1));
    ex->response.last_modified_s = GIF_MODIFIED_S;
    return verdict;
}

static bool gif_applies(const void *location)
{
    return ((const gif_conf *) location)->location != NULL;
}

const weir_http_module weir_http_empty_gif = {
    .name = "http_empty_gif",
    .directives = gif_directives,
    .conf_size = sizeof(gif_conf),
    .phases = 1u << WEIR_HTTP_PHASE_CONTENT,
    .judge = gif_judge,
    .applies = gif_applies,
};
