#ifndef WEIR_WAF_XSS_INTERNAL_H
#define WEIR_WAF_XSS_INTERNAL_H

#include "modules/waf/xss.h"

typedef enum {
    HTML_TEXT,
    HTML_TAG,       /* the name of a start tag */
    HTML_END_TAG,   /* of an end tag */
    HTML_TAG_END,   /* ">" or "/>" */
    HTML_ATTRIBUTE, /* a name */
    HTML_VALUE,
    HTML_COMMENT, /* and what is read as one: "<!x>", "<?x>", "<%x%>" */
    HTML_DOCTYPE,
} html_token_type;

typedef struct {
    html_token_type type;
    weir_str text;
} html_token;

/* Where in a page the text stands. */
typedef enum {
    HTML_BETWEEN_TAGS,
    HTML_IN_TAG,
    HTML_IN_SINGLE_QUOTES,
    HTML_IN_DOUBLE_QUOTES,
    HTML_IN_BACKTICKS,
} html_place;
#define HTML_PLACES 5

typedef struct html_reading html_reading;
struct html_reading {
    weir_str text;
    size_t at;
    /* Takes the next token; false at the end. */
    bool (*state)(html_reading *reading, html_token *token);
};

void weir_waf_html_begin(html_reading *reading, weir_str text, html_place place);

static inline bool weir_waf_html_next(html_reading *reading, html_token *token)
{
    return reading->state(reading, token);
}

#endif
