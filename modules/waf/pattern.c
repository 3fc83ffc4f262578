/* Reads patterns of PCRE2: a small parser of the dialect that rules are written in. */

#include "modules/waf/pattern.h"

#include "core/base/builder.h"

#include "modules/waf/transform_internal.h"

#define DEPTH_MAX 100
#define COUNT_MAX 65535 /* of a quantifier, as PCRE2 has it */

typedef struct {
    weir_pool *pool;
    weir_str text;
    size_t at;
    unsigned depth;
    bool ignores_case; /* (?i) stands somewhere in it */
    bool has_lines;    /* (?m) does */
    bool has_ends;     /* ^ or $ does */
} pattern;

typedef weir_waf_pattern node;

static bool pattern_either(pattern *p, node **part);

static bool node_new(pattern *p, weir_waf_pattern_kind kind, node **made)
{
    *made = WEIR_NEW(p->pool, node);
    if (*made != NULL) {
        (*made)->kind = kind;
    }
    return *made != NULL;
}

static bool node_bytes(pattern *p, const weir_waf_bytes *bytes, node **made)
{
    if (!node_new(p, WEIR_WAF_PATTERN_BYTES, made)) {
        return false;
    }

    (*made)->bytes = *bytes;
    return true;
}

static bool node_any(pattern *p, size_t min, node **made)
{
    if (!node_new(p, WEIR_WAF_PATTERN_ANY, made)) {
        return false;
    }

    (*made)->min = min;
    return true;
}

static int peek(const pattern *p, size_t ahead)
{
    return weir_waf_byte_at(p->text, p->at + ahead);
}

static bool skip(pattern *p, const char *text)
{
    if (!weir_str_starts(weir_str_from(p->text, p->at), weir_str_from_z(text))) {
        return false;
    }

    p->at += strlen(text);
    return true;
}

/* ---- classes */

static void set_range(weir_waf_bytes *set, int from, int to)
{
    for (int byte = from; byte <= to; byte++) {
        weir_waf_bytes_add(set, (uint8_t) byte);
    }
}

static void set_merge(weir_waf_bytes *set, const weir_waf_bytes *other)
{
    for (size_t i = 0; i < 4; i++) {
        set->bits[i] |= other->bits[i];
    }
}

static void set_invert(weir_waf_bytes *set)
{
    for (size_t i = 0; i < 4; i++) {
        set->bits[i] = ~set->bits[i];
    }
}

/* \d \w \s \h \v and their opposites; false: another letter. */
static bool class_letter(int letter, weir_waf_bytes *set)
{
    *set = (weir_waf_bytes){{0}};
    switch (letter | 0x20) {
    case 'd':
        set_range(set, '0', '9');
        break;
    case 'w':
        set_range(set, '0', '9');
        set_range(set, 'A', 'Z');
        set_range(set, 'a', 'z');
        weir_waf_bytes_add(set, '_');
        break;
    case 's':
        set_range(set, '\t', '\r');
        weir_waf_bytes_add(set, ' ');
        break;
    case 'h':
        weir_waf_bytes_add(set, '\t');
        weir_waf_bytes_add(set, ' ');
        weir_waf_bytes_add(set, 0xa0);
        break;
    case 'v':
        set_range(set, '\n', '\r');
        weir_waf_bytes_add(set, 0x85);
        break;
    default:
        return false;
    }

    if (letter >= 'A' && letter <= 'Z') {
        set_invert(set);
    }
    return true;
}

/* [:alpha:]; false: it is none that is known. */
static bool class_posix(pattern *p, weir_waf_bytes *set)
{
    static const struct {
        const char *name;
        const char *ranges; /* pairs */
    } classes[] = {
        {"alnum", "09AZaz"}, {"alpha", "AZaz"}, {"blank", "\t\t  "},  {"digit", "09"},
        {"graph", "!~"},     {"lower", "az"},   {"print", " ~"},      {"punct", "!/:@[`{~"},
        {"space", "\t\r  "}, {"upper", "AZ"},   {"word", "09AZaz__"}, {"xdigit", "09AFaf"},
    };
    bool is_inverted;

    p->at += 2;
    is_inverted = skip(p, "^");
    for (size_t i = 0; i < WEIR_COUNT(classes); i++) {
        weir_waf_bytes named = {{0}};

        if (!skip(p, classes[i].name)) {
            continue;
        }
        for (const char *range = classes[i].ranges; *range != '\0'; range += 2) {
            set_range(&named, range[0], range[1]);
        }
        if (is_inverted) {
            set_invert(&named);
        }
        set_merge(set, &named);
        return skip(p, ":]");
    }

    return false;
}

/* The byte that an escape of one stands for, from the letter on, which is taken; -1: it is not known here. */
static int escaped_byte(pattern *p, bool in_class)
{
    static const char letters[] = "aefnrt", bytes[] = "\a\033\f\n\r\t";
    int letter = peek(p, 0);
    const char *found;
    uint32_t value = 0;

    if (letter < 0 || letter > 0x7f) {
        return -1;
    }
    p->at++;
    if (letter == 'x') {
        bool is_braced = skip(p, "{");
        unsigned digits = 0;

        while (weir_waf_hex_digit(peek(p, 0)) >= 0 && digits < (is_braced ? 4u : 2u)) {
            value = value << 4 | (uint32_t) weir_waf_hex_digit(peek(p, 0));
            p->at++;
            digits++;
        }
        return (is_braced && (digits == 0 || !skip(p, "}"))) || value > 0xff ? -1 : (int) value;
    }
    if (letter == '0') {
        for (unsigned digits = 0; digits < 2 && peek(p, 0) >= '0' && peek(p, 0) <= '7'; digits++) {
            value = value * 8 + (uint32_t) (peek(p, 0) - '0');
            p->at++;
        }
        return (int) value;
    }
    if (letter == 'b' && in_class) {
        return '\b';
    }

    found = letter == '\0' ? NULL : strchr(letters, letter);
    if (found != NULL) {
        return (uint8_t) bytes[found - letters];
    }
    return weir_waf_is_alnum(letter) ? -1 : letter;
}

/* One item of a class: a set, or the byte that a range may begin with (in `*byte`; -1: a set). */
static bool class_item(pattern *p, weir_waf_bytes *set, int *byte)
{
    weir_waf_bytes named;

    *byte = -1;
    if (peek(p, 0) == '[' && peek(p, 1) == ':') {
        return class_posix(p, set);
    }
    if (peek(p, 0) == '[' && (peek(p, 1) == '.' || peek(p, 1) == '=')) {
        return false;
    }
    if (peek(p, 0) != '\\') {
        *byte = peek(p, 0);
        p->at++;
        return *byte >= 0;
    }

    p->at++;
    if (class_letter(peek(p, 0), &named)) {
        p->at++;
        set_merge(set, &named);
        return true;
    }
    *byte = escaped_byte(p, true);
    return *byte >= 0;
}

/* From behind the "[" on. */
static bool pattern_class(pattern *p, node **part)
{
    weir_waf_bytes set = {{0}};
    bool is_inverted = skip(p, "^"), is_first = true;

    while (is_first || peek(p, 0) != ']') {
        int from, to;

        is_first = false;
        if (!class_item(p, &set, &from)) {
            return false;
        }
        if (peek(p, 0) != '-' || peek(p, 1) == ']' || peek(p, 1) < 0) {
            if (from >= 0) {
                weir_waf_bytes_add(&set, (uint8_t) from);
            }
            continue;
        }

        /* Beside a set, "-" stands for itself. */
        p->at++;
        if (from < 0) {
            weir_waf_bytes_add(&set, '-');
            continue;
        }
        if (!class_item(p, &set, &to)) {
            return false;
        }
        if (to < 0) {
            weir_waf_bytes_add(&set, '-');
            to = from;
        }
        if (to < from) {
            return false;
        }
        set_range(&set, from, to);
    }
    p->at++;

    if (is_inverted) {
        set_invert(&set);
    }
    if (weir_waf_bytes_are_empty(&set)) {
        return false;
    }
    return node_bytes(p, &set, part);
}

/* ---- groups */

/* Behind "(?": options, "i" or "i-s:"; x changes what blanks mean, so it ends the reading. */
static bool group_options(pattern *p, bool *is_group)
{
    while (peek(p, 0) >= 0) {
        int c = peek(p, 0);

        p->at++;
        if (c == ')' || c == ':') {
            *is_group = c == ':';
            return true;
        }
        p->ignores_case = p->ignores_case || c == 'i';
        p->has_lines = p->has_lines || c == 'm';
        if (c != 'i' && c != 's' && c != 'm' && c != '-' && c != 'U' && c != 'J') {
            return false;
        }
    }

    return false;
}

/* Up to the group's end; what it says counts, unless it looks around. */
static bool group_rest(pattern *p, node **part, bool looks_around)
{
    if (!pattern_either(p, part) || !skip(p, ")")) {
        return false;
    }
    return !looks_around || node_new(p, WEIR_WAF_PATTERN_EMPTY, part);
}

static bool group_name(pattern *p, char end)
{
    while (weir_waf_is_alnum(peek(p, 0)) || peek(p, 0) == '_') {
        p->at++;
    }
    if (peek(p, 0) != end) {
        return false;
    }

    p->at++;
    return true;
}

/* From behind the "(" on. */
static bool pattern_group(pattern *p, node **part)
{
    bool is_group = true;

    if (peek(p, 0) == '*') {
        return false;
    }
    if (!skip(p, "?")) {
        return group_rest(p, part, false);
    }

    if (skip(p, "#")) {
        while (peek(p, 0) >= 0 && peek(p, 0) != ')') {
            p->at++;
        }
        return skip(p, ")") && node_new(p, WEIR_WAF_PATTERN_EMPTY, part);
    }
    if (skip(p, ":") || skip(p, ">") || skip(p, "|")) {
        return group_rest(p, part, false);
    }
    if (skip(p, "=") || skip(p, "!") || skip(p, "<=") || skip(p, "<!")) {
        return group_rest(p, part, true);
    }
    if (skip(p, "P<") || skip(p, "<")) {
        return group_name(p, '>') && group_rest(p, part, false);
    }
    if (skip(p, "'")) {
        return group_name(p, '\'') && group_rest(p, part, false);
    }

    if (!group_options(p, &is_group)) {
        return false;
    }
    return is_group ? group_rest(p, part, false) : node_new(p, WEIR_WAF_PATTERN_EMPTY, part);
}

/* ---- atoms */

/* From behind the backslash on. */
static bool pattern_escape(pattern *p, node **part)
{
    weir_waf_bytes set;
    int letter = peek(p, 0), byte;

    if (class_letter(letter, &set)) {
        p->at++;
        return node_bytes(p, &set, part);
    }

    switch (letter) {
    case 'b':
        p->at++;
        return node_new(p, WEIR_WAF_PATTERN_EDGE, part);
    case 'B':
        p->at++;
        return node_new(p, WEIR_WAF_PATTERN_NO_EDGE, part);
    case 'A':
        p->at++;
        return node_new(p, WEIR_WAF_PATTERN_START, part);
    case 'z':
        p->at++;
        return node_new(p, WEIR_WAF_PATTERN_END, part);
    case 'Z':
    case 'G':
    case 'K':
        p->at++;
        return node_new(p, WEIR_WAF_PATTERN_EMPTY, part);
    case 'N':
        if (peek(p, 1) == '{') {
            return false;
        }
        p->at++;
        return node_any(p, 1, part);
    case 'C':
    case 'R':
        p->at++;
        return node_any(p, 1, part);
    default:
        break;
    }
    if (letter >= '1' && letter <= '9') {
        if (peek(p, 1) >= '0' && peek(p, 1) <= '9') {
            return false; /* of a group, or octal */
        }
        p->at++;
        return node_any(p, 0, part);
    }

    byte = escaped_byte(p, false);
    if (byte < 0) {
        return false;
    }
    set = (weir_waf_bytes){{0}};
    weir_waf_bytes_add(&set, (uint8_t) byte);
    return node_bytes(p, &set, part);
}

static bool take_braces(pattern *p, size_t *min, size_t *max);

/*
 * A brace that is a text; not one that repeats what is repeated already, nor one that newer versions of PCRE2 take for
 * a quantifier.
 */
static bool is_plain_brace(pattern *p)
{
    pattern from_brace = *p;
    size_t min, max;

    from_brace.at--;
    return !take_braces(&from_brace, &min, &max) && peek(p, 0) != ',' && peek(p, 0) != ' '
           && peek(p, 0) != '\t';
}

static bool pattern_atom(pattern *p, node **part)
{
    weir_waf_bytes set = {{0}};
    int c = peek(p, 0);

    p->at++;
    switch (c) {
    case '(':
        return pattern_group(p, part);
    case '[':
        return pattern_class(p, part);
    case '\\':
        return pattern_escape(p, part);
    case '.':
        set_range(&set, 0, 255);
        return node_bytes(p, &set, part);
    case '^':
        p->has_ends = true;
        return node_new(p, WEIR_WAF_PATTERN_START, part);
    case '$':
        p->has_ends = true;
        return node_new(p, WEIR_WAF_PATTERN_END, part);
    case '*':
    case '+':
    case '?':
        return false;
    default:
        if (c == '{' && !is_plain_brace(p)) {
            return false;
        }
        weir_waf_bytes_add(&set, (uint8_t) c);
        return node_bytes(p, &set, part);
    }
}

/* ---- quantifiers */

/* Digits, or -1. */
static int take_count(pattern *p)
{
    int count = -1;

    while (peek(p, 0) >= '0' && peek(p, 0) <= '9') {
        count = (count < 0 ? 0 : count) * 10 + (peek(p, 0) - '0');
        p->at++;
        if (count > COUNT_MAX) {
            return COUNT_MAX + 1;
        }
    }

    return count;
}

/* "{2}", "{2,}" or "{2,5}"; else it is a text. */
static bool take_braces(pattern *p, size_t *min, size_t *max)
{
    size_t start = p->at;
    int from, to;

    p->at++;
    from = take_count(p);
    to = from;
    if (from >= 0 && skip(p, ",")) {
        to = take_count(p);
    }
    if (from < 0 || from > COUNT_MAX || to > COUNT_MAX || !skip(p, "}")) {
        p->at = start;
        return false;
    }

    *min = (size_t) from;
    *max = to < 0 ? SIZE_MAX : (size_t) to;
    return true;
}

static bool pattern_quantified(pattern *p, node **part)
{
    size_t min = 1, max = 1;
    node *repeat;

    if (!pattern_atom(p, part)) {
        return false;
    }

    if (skip(p, "*")) {
        min = 0;
        max = SIZE_MAX;
    } else if (skip(p, "+")) {
        max = SIZE_MAX;
    } else if (skip(p, "?")) {
        min = 0;
    } else if (peek(p, 0) != '{' || !take_braces(p, &min, &max)) {
        return true;
    }

    /* Lazy or possessive: the same texts, or fewer. */
    if (!skip(p, "?")) {
        (void) skip(p, "+");
    }
    if (max < min || !node_new(p, WEIR_WAF_PATTERN_REPEAT, &repeat)) {
        return false;
    }
    repeat->min = min;
    repeat->max = max;
    repeat->first = *part;
    *part = repeat;
    return true;
}

static bool pattern_sequence(pattern *p, node **part)
{
    node **next;

    if (!node_new(p, WEIR_WAF_PATTERN_SEQUENCE, part)) {
        return false;
    }

    next = &(*part)->first;
    while (peek(p, 0) >= 0 && peek(p, 0) != '|' && peek(p, 0) != ')') {
        if (!pattern_quantified(p, next)) {
            return false;
        }
        next = &(*next)->next;
    }
    return true;
}

/* Alternatives, up to the group's end. */
static bool pattern_either(pattern *p, node **part)
{
    node **next;

    if (++p->depth > DEPTH_MAX || !node_new(p, WEIR_WAF_PATTERN_EITHER, part)) {
        return false;
    }

    next = &(*part)->first;
    do {
        if (!pattern_sequence(p, next)) {
            return false;
        }
        next = &(*next)->next;
    } while (skip(p, "|"));

    p->depth--;
    return true;
}

/* Options may be switched on and off within: what they make wider, they make so everywhere. */
static void apply_options(const pattern *p, node *n)
{
    for (; n != NULL; n = n->next) {
        if (n->kind == WEIR_WAF_PATTERN_BYTES && p->ignores_case) {
            for (unsigned lower = 'a'; lower <= 'z'; lower++) {
                unsigned upper = lower - 0x20;

                if (weir_waf_bytes_has(&n->bytes, (uint8_t) lower)
                    || weir_waf_bytes_has(&n->bytes, (uint8_t) upper)) {
                    weir_waf_bytes_add(&n->bytes, (uint8_t) lower);
                    weir_waf_bytes_add(&n->bytes, (uint8_t) upper);
                }
            }
        }
        if (p->has_lines
            && (n->kind == WEIR_WAF_PATTERN_START || n->kind == WEIR_WAF_PATTERN_END)) {
            n->kind = WEIR_WAF_PATTERN_EMPTY;
        }
        apply_options(p, n->first);
    }
}

/* All of the text. */
static bool pattern_all(pattern *p, node **root)
{
    return pattern_either(p, root) && p->at == p->text.len;
}

const weir_waf_pattern *weir_waf_pattern_read(weir_pool *pool, weir_str text)
{
    pattern p = {.pool = pool, .text = text};
    node *root;

    if (!pattern_all(&p, &root)) {
        return NULL;
    }

    apply_options(&p, root);
    return root;
}

bool weir_waf_pattern_has_ends(weir_str text)
{
    weir_pool *pool = weir_pool_new(16384, 0);
    pattern p = {.pool = pool, .text = text};
    node *root;
    bool is_read = pool != NULL && pattern_all(&p, &root);

    weir_pool_free(pool);
    return is_read ? p.has_ends
                   : weir_str_find_byte(text, '^') != NULL || weir_str_find_byte(text, '$') != NULL;
}
