/*
 * Reads patterns of PCRE2, as far as facts can be had of them.
 *
 * What it does not know for certain ends the reading, and there are no facts: a fact too few costs time, a wrong one
 * lets an attack pass.
 */

#include "modules/waf/prefilter_facts.h"

#include "modules/waf/transform_internal.h"

#define DEPTH_MAX 100
#define COUNT_MAX 65535 /* of a quantifier, as PCRE2 has it */

typedef struct {
    weir_pool *pool;
    weir_str text;
    size_t at;
    unsigned depth;
} pattern;

static bool pattern_either(pattern *p, weir_waf_part *part);

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
static bool pattern_class(pattern *p, weir_waf_part *part)
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

    /* What is not in the class under (?i) may be in it here, never the other way round. */
    if (is_inverted) {
        set_invert(&set);
    }
    if (weir_waf_bytes_are_empty(&set)) {
        return false;
    }
    return weir_waf_part_bytes(p->pool, &set, part);
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
        if (c != 'i' && c != 's' && c != 'm' && c != '-' && c != 'U' && c != 'J') {
            return false;
        }
    }

    return false;
}

/* Up to the group's end; what it says counts, unless it looks around. */
static bool group_rest(pattern *p, weir_waf_part *part, bool looks_around)
{
    if (!pattern_either(p, part) || !skip(p, ")")) {
        return false;
    }
    return !looks_around || weir_waf_part_empty(p->pool, part);
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
static bool pattern_group(pattern *p, weir_waf_part *part)
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
        return skip(p, ")") && weir_waf_part_empty(p->pool, part);
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
    return is_group ? group_rest(p, part, false) : weir_waf_part_empty(p->pool, part);
}

/* ---- atoms */

/* From behind the backslash on. */
static bool pattern_escape(pattern *p, weir_waf_part *part)
{
    weir_waf_bytes set;
    int letter = peek(p, 0), byte;

    if (class_letter(letter, &set)) {
        p->at++;
        return weir_waf_part_bytes(p->pool, &set, part);
    }

    switch (letter) {
    case 'b':
    case 'B':
    case 'A':
    case 'z':
    case 'Z':
    case 'G':
    case 'K':
        p->at++;
        return weir_waf_part_empty(p->pool, part);
    case 'N':
        if (peek(p, 1) == '{') {
            return false;
        }
        p->at++;
        weir_waf_part_any(1, part);
        return true;
    case 'C':
    case 'R':
        p->at++;
        weir_waf_part_any(1, part);
        return true;
    default:
        break;
    }
    if (letter >= '1' && letter <= '9') {
        if (peek(p, 1) >= '0' && peek(p, 1) <= '9') {
            return false; /* of a group, or octal */
        }
        p->at++;
        weir_waf_part_any(0, part);
        return true;
    }

    byte = escaped_byte(p, false);
    if (byte < 0) {
        return false;
    }
    set = (weir_waf_bytes){{0}};
    weir_waf_bytes_add(&set, (uint8_t) byte);
    return weir_waf_part_bytes(p->pool, &set, part);
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

static bool pattern_atom(pattern *p, weir_waf_part *part)
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
        weir_waf_part_any(1, part);
        return true;
    case '^':
    case '$':
        return weir_waf_part_empty(p->pool, part);
    case '*':
    case '+':
    case '?':
        return false;
    default:
        if (c == '{' && !is_plain_brace(p)) {
            return false;
        }
        weir_waf_bytes_add(&set, (uint8_t) c);
        return weir_waf_part_bytes(p->pool, &set, part);
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

static bool pattern_quantified(pattern *p, weir_waf_part *part)
{
    size_t min = 1, max = 1;

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
    return max >= min && weir_waf_part_repeat(p->pool, part, min, max);
}

static bool pattern_sequence(pattern *p, weir_waf_part *part)
{
    weir_waf_sequence sequence;

    if (!weir_waf_sequence_begin(&sequence, p->pool)) {
        return false;
    }

    while (peek(p, 0) >= 0 && peek(p, 0) != '|' && peek(p, 0) != ')') {
        weir_waf_part next;

        if (!pattern_quantified(p, &next) || !weir_waf_sequence_add(&sequence, &next)) {
            return false;
        }
    }

    weir_waf_sequence_end(&sequence, part);
    return true;
}

/* Alternatives, up to the group's end. */
static bool pattern_either(pattern *p, weir_waf_part *part)
{
    weir_waf_part other;

    if (++p->depth > DEPTH_MAX || !pattern_sequence(p, part)) {
        return false;
    }
    while (skip(p, "|")) {
        if (!pattern_sequence(p, &other) || !weir_waf_part_either(p->pool, part, &other)) {
            return false;
        }
    }

    p->depth--;
    return true;
}

void weir_waf_pattern_facts(weir_pool *pool, weir_str text, weir_waf_facts *facts)
{
    pattern p = {.pool = pool, .text = text};
    weir_waf_part part;

    *facts = (weir_waf_facts){0};
    if (pattern_either(&p, &part) && p.at == text.len) {
        weir_waf_part_facts(pool, &part, facts);
    }
}
