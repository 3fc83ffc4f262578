/*
 * A tokenizer of HTML (HTML Standard, 13.2.5).  A NUL between attributes is a blank, as some browsers had it, and
 * backticks quote values, as in old ones.
 */

#include "modules/waf/xss_internal.h"

#include "modules/waf/transform_internal.h"

/* The standard's states: each takes a token, and sets the one that comes next. */
typedef bool html_state(html_reading *r, html_token *token);
static html_state html_data, html_before_name, html_after_name, html_before_value, html_tag_end,
    html_end;

static int html_byte(const html_reading *r, size_t at)
{
    return weir_waf_byte_at(r->text, at);
}

static bool is_html_blank(int byte)
{
    return weir_waf_is_space(byte) || byte == 0;
}

static bool is_letter(int byte)
{
    return (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
}

static void html_take(html_reading *r, html_token *token, html_token_type type, size_t to,
                      size_t next, html_state *state)
{
    *token = (html_token){type, weir_str_slice(r->text, r->at, to)};
    r->at = next;
    r->state = state;
}

/* Up to `end`, which is passed, or all that there is. */
static void html_take_until(html_reading *r, html_token *token, html_token_type type, weir_str end)
{
    weir_str rest = weir_str_from(r->text, r->at);
    const char *found = weir_str_find(rest, end);

    if (found == NULL) {
        html_take(r, token, type, r->text.len, r->text.len, html_end);
    } else {
        size_t to = r->at + (size_t) (found - rest.data);

        html_take(r, token, type, to, to + end.len, html_data);
    }
}

static bool html_end(html_reading *r, html_token *token)
{
    (void) r;
    (void) token;
    return false;
}

/* ---- what "<!", "<?" and "<%" begin */

static size_t skip_nuls(const html_reading *r, size_t at)
{
    while (html_byte(r, at) == 0) {
        at++;
    }

    return at;
}

/* "-->" or "--!>", with NULs in between */
static bool html_comment(html_reading *r, html_token *token)
{
    for (size_t dash = r->at; dash < r->text.len; dash++) {
        size_t at;

        if (r->text.data[dash] != '-') {
            continue;
        }
        at = skip_nuls(r, dash + 1);
        if (html_byte(r, at) != '-' && html_byte(r, at) != '!') {
            dash = at - 1;
            continue;
        }
        if (html_byte(r, at + 1) == '>') {
            html_take(r, token, HTML_COMMENT, dash, at + 2, html_data);
            return true;
        }
    }

    html_take(r, token, HTML_COMMENT, r->text.len, r->text.len, html_end);
    return true;
}

static bool html_markup(html_reading *r, html_token *token)
{
    weir_str rest = weir_str_from(r->text, r->at);

    if (weir_str_starts_nocase(rest, WEIR_STR("doctype"))) {
        html_take_until(r, token, HTML_DOCTYPE, WEIR_STR(">"));
    } else if (weir_str_starts(rest, WEIR_STR("[CDATA["))) {
        r->at += 7;
        html_take_until(r, token, HTML_TEXT, WEIR_STR("]]>"));
    } else if (weir_str_starts(rest, WEIR_STR("--"))) {
        r->at += 2;
        return html_comment(r, token);
    } else {
        html_take_until(r, token, HTML_COMMENT, WEIR_STR(">"));
    }
    return true;
}

/* ---- tags */

static bool html_tag_name(html_reading *r, html_token *token, html_token_type type)
{
    size_t to = r->at;

    while (to < r->text.len && !weir_waf_is_space(html_byte(r, to)) && r->text.data[to] != '/'
           && r->text.data[to] != '>') {
        to++;
    }

    /* An end tag that goes on behind its name is suspect as a start tag is. */
    if (to < r->text.len && r->text.data[to] != '>') {
        type = HTML_TAG;
    }
    html_take(r, token, type, to, to, html_before_name);
    return true;
}

/* What the "<" at r->at - 1 begins. */
static bool html_tag(html_reading *r, html_token *token)
{
    int c = html_byte(r, r->at);

    if (c == '!') {
        r->at++;
        return html_markup(r, token);
    }
    if (c == '?' || c == '%') {
        r->at++;
        html_take_until(r, token, HTML_COMMENT, c == '?' ? WEIR_STR(">") : WEIR_STR("%>"));
        return true;
    }
    if (c == '/') {
        r->at++;
        c = html_byte(r, r->at);
        if (is_letter(c)) {
            return html_tag_name(r, token, HTML_END_TAG);
        }
        if (c == '>') {
            return html_data(r, token);
        }
        html_take_until(r, token, HTML_COMMENT, WEIR_STR(">"));
        return true;
    }
    if (is_letter(c) || c == 0) {
        return html_tag_name(r, token, HTML_TAG);
    }
    return html_data(r, token);
}

static bool html_data(html_reading *r, html_token *token)
{
    weir_str rest = weir_str_from(r->text, r->at);
    const char *found = weir_str_find_byte(rest, '<');
    size_t to = found == NULL ? r->text.len : r->at + (size_t) (found - rest.data);

    if (to >= r->text.len) {
        if (to == r->at) {
            return false;
        }
        html_take(r, token, HTML_TEXT, to, to, html_end);
        return true;
    }

    html_take(r, token, HTML_TEXT, to, to + 1, html_tag);
    return true;
}

/* ---- attributes */

static size_t skip_html_blanks(const html_reading *r, size_t at)
{
    while (is_html_blank(html_byte(r, at))) {
        at++;
    }

    return at;
}

/* The ">" or "/>" at r->at */
static bool html_tag_end(html_reading *r, html_token *token)
{
    size_t to = r->at + (html_byte(r, r->at) == '/' ? 2 : 1);

    html_take(r, token, HTML_TAG_END, to, to, html_data);
    return true;
}

static bool html_name(html_reading *r, html_token *token)
{
    size_t to = r->at + 1;

    while (to < r->text.len && !is_html_blank(html_byte(r, to)) && r->text.data[to] != '/'
           && r->text.data[to] != '=' && r->text.data[to] != '>') {
        to++;
    }

    html_take(r, token, HTML_ATTRIBUTE, to, to, html_after_name);
    return true;
}

static bool html_before_name(html_reading *r, html_token *token)
{
    for (;;) {
        r->at = skip_html_blanks(r, r->at);
        if (r->at >= r->text.len) {
            return false;
        }
        if (r->text.data[r->at] == '>'
            || weir_str_starts(weir_str_from(r->text, r->at), WEIR_STR("/>"))) {
            return html_tag_end(r, token);
        }
        if (r->text.data[r->at] != '/') {
            return html_name(r, token);
        }
        r->at++;
    }
}

static bool html_after_name(html_reading *r, html_token *token)
{
    r->at = skip_html_blanks(r, r->at);
    if (html_byte(r, r->at) == '=') {
        r->at++;
        return html_before_value(r, token);
    }
    return html_before_name(r, token);
}

/* Up to the quote, after which the next attribute may follow at once. */
static bool html_quoted(html_reading *r, html_token *token, char quote)
{
    weir_str rest = weir_str_from(r->text, r->at);
    const char *found = weir_str_find_byte(rest, quote);

    if (found == NULL) {
        html_take(r, token, HTML_VALUE, r->text.len, r->text.len, html_end);
    } else {
        size_t to = r->at + (size_t) (found - rest.data);

        html_take(r, token, HTML_VALUE, to, to + 1, html_before_name);
    }
    return true;
}

static bool html_before_value(html_reading *r, html_token *token)
{
    size_t to;
    int c;

    r->at = skip_html_blanks(r, r->at);
    c = html_byte(r, r->at);
    if (c < 0) {
        return false;
    }
    if (c == '"' || c == '\'' || c == '`') {
        r->at++;
        return html_quoted(r, token, (char) c);
    }

    to = r->at;
    while (to < r->text.len && !is_html_blank(html_byte(r, to)) && r->text.data[to] != '>') {
        to++;
    }
    html_take(r, token, HTML_VALUE, to, to, html_before_name);
    return true;
}

/* ---- places */

static bool html_in_single_quotes(html_reading *r, html_token *token)
{
    return html_quoted(r, token, '\'');
}

static bool html_in_double_quotes(html_reading *r, html_token *token)
{
    return html_quoted(r, token, '"');
}

static bool html_in_backticks(html_reading *r, html_token *token)
{
    return html_quoted(r, token, '`');
}

void weir_waf_html_begin(html_reading *reading, weir_str text, html_place place)
{
    static html_state *const first[HTML_PLACES] = {
        [HTML_BETWEEN_TAGS] = html_data,
        [HTML_IN_TAG] = html_before_name,
        [HTML_IN_SINGLE_QUOTES] = html_in_single_quotes,
        [HTML_IN_DOUBLE_QUOTES] = html_in_double_quotes,
        [HTML_IN_BACKTICKS] = html_in_backticks,
    };

    *reading = (html_reading){.text = text, .state = first[place]};
}
