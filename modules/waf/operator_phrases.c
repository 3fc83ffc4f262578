/* @pm and @pmFromFile: any of a list of phrases, ASCII case ignored. */

#include "modules/waf/operator_internal.h"

#include "core/base/array.h"
#include "modules/waf/transform_internal.h"

static bool phrases_add(weir_waf_operator_build *build, weir_array *list, weir_str text)
{
    weir_str *added;

    if (weir_str_is_empty(text)) {
        return true;
    }

    added = weir_array_push(list);
    if (added == NULL) {
        return weir_waf_operator_refuse_memory(build);
    }
    *added = text;
    return true;
}

static bool phrases_compile(weir_waf_operator_build *build, weir_waf_operator *op, weir_array *list)
{
    weir_waf_phrase *phrases;

    if (list->count == 0) {
        return weir_waf_operator_refuse(build, 0, "there is no phrase to look for");
    }

    phrases = WEIR_NEW_ARRAY(build->pool, weir_waf_phrase, list->count);
    if (phrases == NULL) {
        return weir_waf_operator_refuse_memory(build);
    }

    op->phrases.texts = list->items;
    op->phrases.count = list->count;
    for (size_t i = 0; i < list->count; i++) {
        phrases[i] = (weir_waf_phrase){.text = op->phrases.texts[i], .number = (uint32_t) i};
    }

    op->phrases.automaton =
        weir_waf_automaton_new(build->pool, phrases, list->count, WEIR_WAF_AUTOMATON_SMALL);
    return op->phrases.automaton != NULL || weir_waf_operator_refuse_memory(build);
}

/* "|41 42|" are the bytes "AB", as Snort writes them; a bar that begins no such list is a bar. */
static bool hex_part(weir_str text, size_t at, size_t *past, weir_builder *out)
{
    size_t i = at + 1, before = out->len;

    for (; i < text.len && text.data[i] != '|'; i += 2) {
        while (i < text.len && text.data[i] == ' ') {
            i++;
        }
        if (!weir_waf_has_hex(text, i, 2)) {
            out->len = before;
            return false;
        }
        weir_builder_add_byte(out, (char) weir_waf_hex_value(text, i, 2));
    }

    if (i >= text.len || i == at + 1) {
        out->len = before;
        return false;
    }
    *past = i + 1;
    return true;
}

bool weir_waf_pm_compile(weir_waf_operator_build *build, weir_waf_operator *op)
{
    weir_str text = op->parameter;
    weir_array list;
    size_t at = 0;

    weir_array_init(&list, build->pool, sizeof(weir_str), 16);
    while (at < text.len) {
        weir_builder word;
        weir_str phrase;

        weir_builder_open(&word, build->pool, text.len);
        while (at < text.len && !weir_waf_is_space((uint8_t) text.data[at])) {
            if (text.data[at] != '|' || !hex_part(text, at, &at, &word)) {
                weir_builder_add_byte(&word, text.data[at++]);
            }
        }
        if (!weir_builder_close(&word, &phrase)) {
            return weir_waf_operator_refuse_memory(build);
        }
        if (!phrases_add(build, &list, phrase)) {
            return false;
        }
        at++;
    }

    return phrases_compile(build, op, &list);
}

/* One phrase a line, blanks and all; "#" begins a comment line. */
static bool phrases_of_file(weir_waf_operator_build *build, weir_str text, weir_array *list)
{
    weir_str line;

    while (weir_str_split(&text, '\n', &line)) {
        if (weir_str_ends(line, WEIR_STR("\r"))) {
            line.len--;
        }
        if (!weir_str_starts(line, WEIR_STR("#")) && !phrases_add(build, list, line)) {
            return false;
        }
    }

    return true;
}

bool weir_waf_pm_file_compile(weir_waf_operator_build *build, weir_waf_operator *op)
{
    weir_str rest = op->parameter, name, text;
    weir_array list;

    weir_array_init(&list, build->pool, sizeof(weir_str), 256);
    while (weir_str_split(&rest, ' ', &name)) {
        if (weir_str_is_empty(name)) {
            continue;
        }
        if (!weir_waf_operator_file(build, name, (size_t) (name.data - op->parameter.data), &text)
            || !phrases_of_file(build, text, &list)) {
            return false;
        }
    }

    return phrases_compile(build, op, &list);
}

weir_waf_matched weir_waf_run_pm(const weir_waf_operator *op, weir_str value, weir_waf_run *run)
{
    uint32_t phrase;

    if (!weir_waf_automaton_find(op->phrases.automaton, value, &phrase)) {
        return WEIR_WAF_NO_MATCH;
    }

    if (run->wants_captures) {
        weir_waf_capture(run, 0, op->phrases.texts[phrase]);
    }
    return WEIR_WAF_MATCH;
}
