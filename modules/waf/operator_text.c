/* Operators that compare texts, and numbers written as text. */

#include "modules/waf/operator_internal.h"

static weir_waf_matched matched(bool is_match)
{
    return is_match ? WEIR_WAF_MATCH : WEIR_WAF_NO_MATCH;
}

weir_waf_matched weir_waf_run_contains(const weir_waf_operator *op, weir_str value,
                                       weir_waf_run *run)
{
    return matched(weir_str_find(value, weir_waf_operand(op, run)) != NULL);
}

/* Digits and underscores end a word, as ModSecurity has it. */
static bool is_letter(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

weir_waf_matched weir_waf_run_contains_word(const weir_waf_operator *op, weir_str value,
                                            weir_waf_run *run)
{
    weir_str word = weir_waf_operand(op, run);
    size_t from = 0;

    if (weir_str_is_empty(word)) {
        return WEIR_WAF_MATCH;
    }

    for (;;) {
        weir_str rest = weir_str_from(value, from);
        const char *found = weir_str_find(rest, word);
        size_t start, end;

        if (found == NULL) {
            return WEIR_WAF_NO_MATCH;
        }

        start = from + (size_t) (found - rest.data);
        end = start + word.len;
        if ((start == 0 || !is_letter(value.data[start - 1]))
            && (end == value.len || !is_letter(value.data[end]))) {
            return WEIR_WAF_MATCH;
        }
        from = start + 1;
    }
}

weir_waf_matched weir_waf_run_begins(const weir_waf_operator *op, weir_str value, weir_waf_run *run)
{
    return matched(weir_str_starts(value, weir_waf_operand(op, run)));
}

weir_waf_matched weir_waf_run_ends(const weir_waf_operator *op, weir_str value, weir_waf_run *run)
{
    return matched(weir_str_ends(value, weir_waf_operand(op, run)));
}

weir_waf_matched weir_waf_run_equals(const weir_waf_operator *op, weir_str value, weir_waf_run *run)
{
    return matched(weir_str_eq(value, weir_waf_operand(op, run)));
}

/* The value is in the parameter; an empty one is in any. */
weir_waf_matched weir_waf_run_within(const weir_waf_operator *op, weir_str value, weir_waf_run *run)
{
    return matched(weir_str_find(weir_waf_operand(op, run), value) != NULL);
}

/* ---- numbers */

int64_t weir_waf_number_of(weir_str text)
{
    bool is_negative = false;
    int64_t number = 0;
    size_t i = 0;

    while (i < text.len
           && (text.data[i] == ' ' || (text.data[i] >= '\t' && text.data[i] <= '\r'))) {
        i++;
    }
    if (i < text.len && (text.data[i] == '-' || text.data[i] == '+')) {
        is_negative = text.data[i++] == '-';
    }

    for (; i < text.len && text.data[i] >= '0' && text.data[i] <= '9'; i++) {
        if (__builtin_mul_overflow(number, 10, &number)
            || __builtin_add_overflow(number, text.data[i] - '0', &number)) {
            number = INT64_MAX;
            break;
        }
    }

    return is_negative ? -number : number;
}

bool weir_waf_number_compile(weir_waf_operator_build *build, weir_waf_operator *op)
{
    (void) build;
    op->number = weir_waf_number_of(op->parameter);
    return true;
}

static int64_t number_operand(const weir_waf_operator *op, const weir_waf_run *run)
{
    return run->expanded != NULL ? weir_waf_number_of(*run->expanded) : op->number;
}

weir_waf_matched weir_waf_run_eq(const weir_waf_operator *op, weir_str value, weir_waf_run *run)
{
    return matched(weir_waf_number_of(value) == number_operand(op, run));
}

weir_waf_matched weir_waf_run_ge(const weir_waf_operator *op, weir_str value, weir_waf_run *run)
{
    return matched(weir_waf_number_of(value) >= number_operand(op, run));
}

weir_waf_matched weir_waf_run_gt(const weir_waf_operator *op, weir_str value, weir_waf_run *run)
{
    return matched(weir_waf_number_of(value) > number_operand(op, run));
}

weir_waf_matched weir_waf_run_le(const weir_waf_operator *op, weir_str value, weir_waf_run *run)
{
    return matched(weir_waf_number_of(value) <= number_operand(op, run));
}

weir_waf_matched weir_waf_run_lt(const weir_waf_operator *op, weir_str value, weir_waf_run *run)
{
    return matched(weir_waf_number_of(value) < number_operand(op, run));
}

weir_waf_matched weir_waf_run_never(const weir_waf_operator *op, weir_str value, weir_waf_run *run)
{
    (void) op;
    (void) value;
    (void) run;
    return WEIR_WAF_NO_MATCH;
}

weir_waf_matched weir_waf_run_always(const weir_waf_operator *op, weir_str value, weir_waf_run *run)
{
    (void) op;
    (void) value;
    (void) run;
    return WEIR_WAF_MATCH;
}
