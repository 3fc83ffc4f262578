/* What in a page runs a script: tags, attributes, schemes of addresses, and comments that old browsers read. */

#include "modules/waf/xss_internal.h"

#include "core/base/result.h"
#include "modules/waf/transform_internal.h"

/* What a value of an attribute may do. */
typedef enum {
    ATTRIBUTE_HARMLESS,
    ATTRIBUTE_SCRIPT,  /* any value is one: onclick */
    ATTRIBUTE_ADDRESS, /* one with a scheme that runs scripts is */
    ATTRIBUTE_STYLE,   /* styles can run scripts */
    ATTRIBUTE_NAMES,   /* the value names an attribute that it sets */
} attribute_kind;

/* In the order of the alphabet, as `tags`: most names have none with their first letter. */
static const struct {
    weir_str name;
    attribute_kind kind;
} attributes[] = {
    {WEIR_STR_INIT("ACTION"), ATTRIBUTE_ADDRESS},
    {WEIR_STR_INIT("ATTRIBUTENAME"), ATTRIBUTE_NAMES},
    {WEIR_STR_INIT("BACKGROUND"), ATTRIBUTE_ADDRESS},
    {WEIR_STR_INIT("BY"), ATTRIBUTE_ADDRESS},
    {WEIR_STR_INIT("DATAFORMATAS"), ATTRIBUTE_SCRIPT},
    {WEIR_STR_INIT("DATASRC"), ATTRIBUTE_SCRIPT},
    {WEIR_STR_INIT("DYNSRC"), ATTRIBUTE_ADDRESS},
    {WEIR_STR_INIT("FILTER"), ATTRIBUTE_STYLE},
    {WEIR_STR_INIT("FOLDER"), ATTRIBUTE_ADDRESS},
    {WEIR_STR_INIT("FORMACTION"), ATTRIBUTE_ADDRESS},
    {WEIR_STR_INIT("FROM"), ATTRIBUTE_ADDRESS},
    {WEIR_STR_INIT("HANDLER"), ATTRIBUTE_ADDRESS},
    {WEIR_STR_INIT("HREF"), ATTRIBUTE_ADDRESS},
    {WEIR_STR_INIT("LOWSRC"), ATTRIBUTE_ADDRESS},
    {WEIR_STR_INIT("POSTER"), ATTRIBUTE_ADDRESS},
    {WEIR_STR_INIT("SRC"), ATTRIBUTE_ADDRESS},
    {WEIR_STR_INIT("STYLE"), ATTRIBUTE_STYLE},
    {WEIR_STR_INIT("TO"), ATTRIBUTE_ADDRESS},
    {WEIR_STR_INIT("VALUES"), ATTRIBUTE_ADDRESS},
};

static const weir_str tags[] = {
    WEIR_STR_INIT("APPLET"),  WEIR_STR_INIT("BASE"),     WEIR_STR_INIT("COMMENT"),
    WEIR_STR_INIT("EMBED"),   WEIR_STR_INIT("FRAME"),    WEIR_STR_INIT("FRAMESET"),
    WEIR_STR_INIT("HANDLER"), WEIR_STR_INIT("IFRAME"),   WEIR_STR_INIT("IMPORT"),
    WEIR_STR_INIT("ISINDEX"), WEIR_STR_INIT("LINK"),     WEIR_STR_INIT("LISTENER"),
    WEIR_STR_INIT("META"),    WEIR_STR_INIT("NOSCRIPT"), WEIR_STR_INIT("OBJECT"),
    WEIR_STR_INIT("SCRIPT"),  WEIR_STR_INIT("STYLE"),    WEIR_STR_INIT("VMLFRAME"),
    WEIR_STR_INIT("XML"),     WEIR_STR_INIT("XSS"),
};

/* Addresses that begin so, once their references are resolved. */
static const weir_str schemes[] = {
    WEIR_STR_INIT("DATA"),
    WEIR_STR_INIT("JAVA"), /* javascript: */
    WEIR_STR_INIT("VBSCRIPT"),
    WEIR_STR_INIT("VIEW-SOURCE"),
};

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char) (c - 0x20) : c;
}

/* NULs do not count; `whole`: nothing may follow. */
static bool is_word(weir_str text, weir_str word, bool whole)
{
    size_t matched = 0, i = 0;

    for (; i < text.len && matched < word.len; i++) {
        if (text.data[i] == '\0') {
            continue;
        }
        if (upper(text.data[i]) != word.data[matched]) {
            return false;
        }
        matched++;
    }
    for (; whole && i < text.len; i++) {
        if (text.data[i] != '\0') {
            return false;
        }
    }

    return matched == word.len;
}

/* NULs do not count. */
static char first_letter(weir_str name)
{
    size_t i = 0;

    while (i < name.len && name.data[i] == '\0') {
        i++;
    }
    return i < name.len ? upper(name.data[i]) : '\0';
}

static bool tag_tells(weir_str name)
{
    char first = first_letter(name);

    if (name.len < 3) {
        return false;
    }

    for (size_t i = 0; i < WEIR_COUNT(tags) && tags[i].data[0] <= first; i++) {
        if (tags[i].data[0] == first && is_word(name, tags[i], true)) {
            return true;
        }
    }
    return weir_str_starts_nocase(name, WEIR_STR("SVG"))
           || weir_str_starts_nocase(name, WEIR_STR("XSL"));
}

static attribute_kind attribute_kind_of(weir_str name)
{
    char first = first_letter(name);

    if (name.len >= 5
        && (weir_str_starts_nocase(name, WEIR_STR("ON")) || is_word(name, WEIR_STR("XMLNS"), false)
            || is_word(name, WEIR_STR("XLINK"), false))) {
        return ATTRIBUTE_SCRIPT;
    }

    for (size_t i = 0; i < WEIR_COUNT(attributes) && attributes[i].name.data[0] <= first; i++) {
        if (attributes[i].name.data[0] == first && is_word(name, attributes[i].name, true)) {
            return attributes[i].kind;
        }
    }
    return ATTRIBUTE_HARMLESS;
}

/* ---- addresses */

#define REFERENCE_MAX 0x1000ff /* a larger number is a text */

/* The character at `*at`, or what the numeric reference there stands for; `*at` is behind it then. */
static uint32_t address_character(weir_str text, size_t *at)
{
    size_t i = *at + 2;
    bool is_hex = (weir_waf_byte_at(text, i) | 0x20) == 'x';
    uint32_t value = 0;
    int digit;

    if (text.data[*at] != '&' || weir_waf_byte_at(text, *at + 1) != '#') {
        return (uint8_t) text.data[(*at)++];
    }

    i += is_hex ? 1 : 0;
    digit = weir_waf_hex_digit(weir_waf_byte_at(text, i));
    if (digit < 0 || (!is_hex && digit > 9)) {
        (*at)++;
        return '&';
    }

    for (; i < text.len; i++) {
        digit = weir_waf_hex_digit((uint8_t) text.data[i]);
        if (digit < 0 || (!is_hex && digit > 9)) {
            break;
        }
        value = value * (is_hex ? 16 : 10) + (uint32_t) digit;
        if (value > REFERENCE_MAX) {
            (*at)++;
            return '&';
        }
    }
    *at = i + (weir_waf_byte_at(text, i) == ';' ? 1 : 0);
    return value;
}

/* NULs and line feeds, which browsers drop, do not count. */
static bool address_begins(weir_str text, weir_str scheme)
{
    size_t at = 0, matched = 0;

    while (at < text.len && matched < scheme.len) {
        uint32_t c = address_character(text, &at);

        if (c == 0 || c == '\n') {
            continue;
        }
        if (c >= 0x80 || upper((char) c) != scheme.data[matched]) {
            return false;
        }
        matched++;
    }

    return matched == scheme.len;
}

static bool address_tells(weir_str text)
{
    size_t blanks = 0;

    while (blanks < text.len
           && ((uint8_t) text.data[blanks] <= ' ' || (uint8_t) text.data[blanks] >= 0x7f)) {
        blanks++;
    }

    text = weir_str_from(text, blanks);
    for (size_t i = 0; i < WEIR_COUNT(schemes); i++) {
        if (address_begins(text, schemes[i])) {
            return true;
        }
    }
    return false;
}

/* ---- tokens */

static bool value_tells(attribute_kind kind, weir_str value)
{
    switch (kind) {
    case ATTRIBUTE_HARMLESS:
        return false;
    case ATTRIBUTE_SCRIPT:
    case ATTRIBUTE_STYLE:
        return true;
    case ATTRIBUTE_ADDRESS:
        return address_tells(value);
    case ATTRIBUTE_NAMES:
        return attribute_kind_of(value) != ATTRIBUTE_HARMLESS;
    }

    return false;
}

/* Conditional comments and processing instructions that old browsers obey. */
static bool comment_tells(weir_str text)
{
    if (weir_str_find_byte(text, '`') != NULL) {
        return true;
    }
    if (text.len > 3
        && (weir_str_starts_nocase(text, WEIR_STR("[if"))
            || weir_str_starts_nocase(text, WEIR_STR("xml")))) {
        return true;
    }
    return text.len > 5
           && (is_word(text, WEIR_STR("IMPORT"), false)
               || is_word(text, WEIR_STR("ENTITY"), false));
}

static bool place_tells(weir_str text, html_place place)
{
    attribute_kind kind = ATTRIBUTE_HARMLESS;
    html_reading reading;
    html_token token;

    weir_waf_html_begin(&reading, text, place);
    while (weir_waf_html_next(&reading, &token)) {
        bool tells = false;

        if (token.type != HTML_VALUE) {
            kind = ATTRIBUTE_HARMLESS;
        }

        switch (token.type) {
        case HTML_DOCTYPE:
            tells = true;
            break;
        case HTML_TAG:
            tells = tag_tells(token.text);
            break;
        case HTML_ATTRIBUTE:
            kind = attribute_kind_of(token.text);
            break;
        case HTML_VALUE:
            tells = value_tells(kind, token.text);
            kind = ATTRIBUTE_HARMLESS;
            break;
        case HTML_COMMENT:
            tells = comment_tells(token.text);
            break;
        case HTML_TEXT:
        case HTML_END_TAG:
        case HTML_TAG_END:
            break;
        }
        if (tells) {
            return true;
        }
    }

    return false;
}

bool weir_waf_is_xss(weir_str text)
{
    /* Between tags nothing tells without a "<"; in one, without a value, or a "<" after its end. */
    bool has_tag = weir_str_find_byte(text, '<') != NULL;

    if (has_tag && place_tells(text, HTML_BETWEEN_TAGS)) {
        return true;
    }
    if (!has_tag && weir_str_find_byte(text, '=') == NULL) {
        return false;
    }

    return place_tells(text, HTML_IN_TAG)
           || (weir_str_find_byte(text, '\'') != NULL && place_tells(text, HTML_IN_SINGLE_QUOTES))
           || (weir_str_find_byte(text, '"') != NULL && place_tells(text, HTML_IN_DOUBLE_QUOTES))
           || (weir_str_find_byte(text, '`') != NULL && place_tells(text, HTML_IN_BACKTICKS));
}
