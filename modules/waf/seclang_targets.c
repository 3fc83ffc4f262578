#include "modules/waf/program_internal.h"

/* The first word of a rule: what it looks at. */

static bool is_separator(char c)
{
    return c == '|' || c == ',';
}

/* Up to the separator behind a target; those within /regex/ or quotes are part of it. */
static size_t target_end(weir_str text)
{
    const char *colon = weir_str_find_byte(text, ':');
    size_t i = 0;

    while (i < text.len && !is_separator(text.data[i])
           && (colon == NULL || text.data + i <= colon)) {
        i++;
    }
    if (i < text.len && is_separator(text.data[i])) {
        return i;
    }
    if (i < text.len && (text.data[i] == '/' || text.data[i] == '\'')) {
        char quote = text.data[i];
        bool is_expression = quote == '\'' || weir_str_find_byte(weir_str_from(text, i + 1), '/');

        for (size_t j = i + 1; is_expression && j < text.len; j++) {
            if (text.data[j] == '\\') {
                j++;
            } else if (text.data[j] == quote
                       && (j + 1 == text.len || is_separator(text.data[j + 1])
                           || (quote == '/' && text.data[j + 1] == '\''))) {
                i = j + 1;
                break;
            }
        }
    }
    while (i < text.len && !is_separator(text.data[i])) {
        i++;
    }
    return i;
}

/* "\/" in slashes is a slash. */
static weir_str undo_slashes(weir_pool *pool, weir_str pattern)
{
    weir_builder plain;
    weir_str text;

    if (weir_str_find(pattern, WEIR_STR("\\/")) == NULL) {
        return pattern;
    }
    weir_builder_open(&plain, pool, pattern.len);
    for (size_t i = 0; i < pattern.len; i++) {
        if (pattern.data[i] == '\\' && i + 1 < pattern.len && pattern.data[i + 1] == '/') {
            i++;
        }
        weir_builder_add_byte(&plain, pattern.data[i]);
    }
    return weir_builder_close(&plain, &text) ? text : pattern;
}

static bool read_selector(weir_waf_reader *reader, weir_str selector, weir_waf_target *target)
{
    if (selector.len >= 2 && selector.data[0] == '\'' && selector.data[selector.len - 1] == '\'') {
        selector = weir_str_slice(selector, 1, selector.len - 1);
    }
    if (selector.len == 0) {
        return weir_waf_refuse(reader, selector.data, "a selector is missing behind \":\"");
    }
    if (target->variable == WEIR_WAF_VAR_XML) {
        if (!weir_str_eq(selector, WEIR_STR("/*")) && !weir_str_eq(selector, WEIR_STR("//@*"))) {
            return weir_waf_refuse(reader, selector.data,
                                   "of XPath, only XML:/* and XML://@* are supported");
        }
        target->selector = selector;
        return true;
    }
    if (!weir_waf_variable_is_collection(target->variable)) {
        weir_str name = weir_waf_variable_name(target->variable);

        return weir_waf_refuse(reader, selector.data, "%.*s has no members to select",
                               WEIR_STR_ARG(name));
    }
    if (selector.len > 2 && selector.data[0] == '/' && selector.data[selector.len - 1] == '/') {
        target->pattern = weir_waf_read_pattern(
            reader, undo_slashes(reader->pool, weir_str_slice(selector, 1, selector.len - 1)),
            true);
        if (target->pattern == NULL) {
            return false;
        }
        /* CRS asks such of each TX variable in each request. */
        target->prefix = weir_waf_operator_prefix(target->pattern);
        target->selector = selector;
        return true;
    }
    target->selector = selector;
    if (target->variable == WEIR_WAF_VAR_TX) {
        target->slot = weir_waf_slot(reader->library, selector);
        return target->slot != WEIR_WAF_NONE || weir_waf_refuse(reader, NULL, "no memory");
    }
    return true;
}

/* What rules may name, and never find anything in; and what is made only for those that name it. */
static void note_variable(weir_waf_reader *reader, weir_waf_variable variable)
{
    static const char no_upload[] = "uploaded files are not kept";
    static const struct {
        weir_waf_variable variable;
        const char *why;
    } empty[] = {
        {WEIR_WAF_VAR_FILES_TMPNAMES, no_upload},
        {WEIR_WAF_VAR_FILES_TMP_CONTENT, no_upload},
        {WEIR_WAF_VAR_GEO, "there is no @geoLookup"},
        {WEIR_WAF_VAR_WEBSERVER_ERROR_LOG, "the error log is not read"},
    };

    if (variable == WEIR_WAF_VAR_FULL_REQUEST || variable == WEIR_WAF_VAR_FULL_REQUEST_LENGTH) {
        reader->program->names_full_request = true;
    }
    for (size_t i = 0; i < WEIR_COUNT(empty); i++) {
        if (variable == empty[i].variable) {
            weir_waf_say(reader, "the variable %.*s is always empty here: %s",
                         WEIR_STR_ARG(weir_waf_variable_name(variable)), empty[i].why);
        }
    }
}

bool weir_waf_read_target(weir_waf_reader *reader, weir_str text, weir_waf_target *target)
{
    const char *colon;
    weir_str name;

    *target = (weir_waf_target){.kind = WEIR_WAF_TARGET_VALUES, .slot = WEIR_WAF_NONE};
    if (text.len > 0 && (text.data[0] == '!' || text.data[0] == '&')) {
        target->kind = text.data[0] == '!' ? WEIR_WAF_TARGET_EXCLUDE : WEIR_WAF_TARGET_COUNT;
        text = weir_str_from(text, 1);
    }
    colon = weir_str_find_byte(text, ':');
    name = colon == NULL ? text : weir_str_slice(text, 0, (size_t) (colon - text.data));
    if (!weir_waf_variable_find(name, &target->variable)) {
        static const char *const absent[] = {"GSB", "PERF_ALL", "STREAM_INPUT_BODY"};

        for (size_t i = 0; i < WEIR_COUNT(absent); i++) {
            if (weir_str_eq_nocase(name, weir_str_from_z(absent[i]))) {
                return weir_waf_refuse(reader, name.data, "the variable %s does not exist here",
                                       absent[i]);
            }
        }
        return weir_waf_refuse(reader, name.data, "unknown variable \"%.*s\"", WEIR_STR_ARG(name));
    }
    if (colon == NULL) {
        if (target->variable == WEIR_WAF_VAR_XML && target->kind != WEIR_WAF_TARGET_EXCLUDE) {
            target->selector = WEIR_STR("/*");
        }
        return true;
    }
    return read_selector(reader, weir_str_from(text, name.len + 1), target);
}

bool weir_waf_read_targets(weir_waf_reader *reader, weir_str text, weir_array *targets)
{
    while (text.len > 0) {
        size_t end = target_end(text);
        weir_str one = weir_str_trim(weir_str_slice(text, 0, end));
        weir_waf_target *target;

        if (one.len == 0) {
            return weir_waf_refuse(reader, text.data, "a variable is missing");
        }
        target = weir_array_push(targets);
        if (target == NULL) {
            return weir_waf_refuse(reader, NULL, "no memory for the rules");
        }
        if (!weir_waf_read_target(reader, one, target)) {
            return false;
        }
        if (target->kind != WEIR_WAF_TARGET_EXCLUDE) {
            note_variable(reader, target->variable);
        }
        if (end + 1 == text.len) {
            return weir_waf_refuse(reader, text.data + end, "a variable is missing behind \"%c\"",
                                   text.data[end]);
        }
        text = weir_str_from(text, end + 1);
    }
    return true;
}

/* ---- macros */

static bool add_part(weir_waf_reader *reader, weir_array *parts, weir_waf_macro_part part)
{
    weir_waf_macro_part *added = weir_array_push(parts);

    if (added == NULL) {
        return weir_waf_refuse(reader, NULL, "no memory for the rules");
    }
    *added = part;
    return true;
}

/* The inside of %{...}: NAME, or NAME.member. */
static bool read_reference(weir_waf_reader *reader, weir_str text, weir_waf_macro_part *part)
{
    size_t end = 0;
    weir_str name;

    while (end < text.len && text.data[end] != '.' && text.data[end] != ':') {
        end++;
    }
    name = weir_str_slice(text, 0, end);
    *part = (weir_waf_macro_part){.is_variable = true, .slot = WEIR_WAF_NONE};
    if (!weir_waf_variable_find(name, &part->variable)) {
        return weir_waf_refuse(reader, text.data, "unknown variable in the macro %%{%.*s}",
                               WEIR_STR_ARG(text));
    }
    note_variable(reader, part->variable);
    part->selector = weir_str_from(text, end + 1);
    if (part->variable == WEIR_WAF_VAR_TX && part->selector.len != 0) {
        part->slot = weir_waf_slot(reader->library, part->selector);
        return part->slot != WEIR_WAF_NONE || weir_waf_refuse(reader, NULL, "no memory");
    }
    return true;
}

bool weir_waf_read_macro(weir_waf_reader *reader, weir_str text, weir_waf_macro *macro)
{
    weir_array parts;
    weir_str rest = text;

    weir_array_init(&parts, reader->pool, sizeof(weir_waf_macro_part), 2);
    while (rest.len > 0) {
        const char *begin = weir_str_find(rest, WEIR_STR("%{"));
        const char *end =
            begin == NULL
                ? NULL
                : weir_str_find_byte(weir_str_from(rest, (size_t) (begin - rest.data)), '}');
        weir_waf_macro_part part = {.slot = WEIR_WAF_NONE};
        size_t literal = end == NULL ? rest.len : (size_t) (begin - rest.data);

        if (literal != 0) {
            part.literal = weir_str_slice(rest, 0, literal);
            if (!add_part(reader, &parts, part)) {
                return false;
            }
        }
        if (end == NULL) {
            break;
        }
        if (!read_reference(reader, weir_str_of(begin + 2, (size_t) (end - begin) - 2), &part)
            || !add_part(reader, &parts, part)) {
            return false;
        }
        rest = weir_str_from(rest, (size_t) (end - rest.data) + 1);
    }
    macro->text = text;
    macro->parts = parts.items;
    macro->count = (unsigned) parts.count;
    macro->is_constant = parts.count == 0 || (parts.count == 1 && !macro->parts[0].is_variable);
    return true;
}
