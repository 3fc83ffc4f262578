/* @verifyCC, @verifySSN, @verifyCPF, @verifySVNR: what the regex finds must have the right check digits. */

#include "modules/waf/operator_internal.h"

#define DIGITS_MAX 32

/* A number may begin at any digit of a long run: only so many beginnings are tried. */
#define TRIES_MAX 1024

typedef struct {
    unsigned digit[DIGITS_MAX];
    size_t count; /* more than DIGITS_MAX: more than there is room for */
} digits;

typedef bool verify(const digits *number);

static void digits_of(weir_str text, digits *number)
{
    number->count = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            continue;
        }
        if (number->count < DIGITS_MAX) {
            number->digit[number->count] = (unsigned) (text.data[i] - '0');
        }
        number->count++;
    }
}

/* Where a match fails the check, a later one may begin inside of it. */
static weir_waf_matched search_and_verify(const weir_waf_operator *op, weir_str value,
                                          weir_waf_run *run, verify *verified)
{
    size_t offset = 0, start, end;
    digits number;

    for (unsigned tries = 0; offset <= value.len; tries++) {
        int found = weir_waf_regex_search(op, value, offset, run, &start, &end);

        if (found == 0) {
            return WEIR_WAF_NO_MATCH;
        }
        if (found < 0 || tries == TRIES_MAX) {
            return WEIR_WAF_LIMIT;
        }

        digits_of(weir_str_slice(value, start, end), &number);
        if (number.count <= DIGITS_MAX && verified(&number)) {
            if (run->wants_captures) {
                weir_waf_capture(run, 0, weir_str_slice(value, start, end));
            }
            return WEIR_WAF_MATCH;
        }
        offset = start + 1;
    }

    return WEIR_WAF_NO_MATCH;
}

static bool all_are_equal(const digits *number)
{
    for (size_t i = 1; i < number->count; i++) {
        if (number->digit[i] != number->digit[0]) {
            return false;
        }
    }

    return true;
}

/* Luhn's sum (ISO/IEC 7812-1, annex B). */
static bool is_card_number(const digits *number)
{
    unsigned sum = 0;

    for (size_t i = 0; i < number->count; i++) {
        unsigned digit = number->digit[number->count - 1 - i];

        if (i % 2 == 1) {
            digit = digit > 4 ? digit * 2 - 9 : digit * 2;
        }
        sum += digit;
    }

    return number->count > 1 && sum % 10 == 0;
}

weir_waf_matched weir_waf_run_verify_cc(const weir_waf_operator *op, weir_str value,
                                        weir_waf_run *run)
{
    return search_and_verify(op, value, run, is_card_number);
}

static bool is_a_sequence(const digits *number)
{
    for (size_t i = 1; i < number->count; i++) {
        if (number->digit[i] != number->digit[i - 1] + 1) {
            return false;
        }
    }

    return true;
}

/* Area, group and serial number as the United States gave them until 2011: area below 740, none of them zero. */
static bool is_social_security_number(const digits *number)
{
    const unsigned *d = number->digit;
    unsigned area, group, serial;

    if (number->count != 9) {
        return false;
    }

    area = d[0] * 100 + d[1] * 10 + d[2];
    group = d[3] * 10 + d[4];
    serial = d[5] * 1000 + d[6] * 100 + d[7] * 10 + d[8];
    return area != 0 && area < 740 && area != 666 && group != 0 && serial != 0
           && !all_are_equal(number) && !is_a_sequence(number);
}

weir_waf_matched weir_waf_run_verify_ssn(const weir_waf_operator *op, weir_str value,
                                         weir_waf_run *run)
{
    return search_and_verify(op, value, run, is_social_security_number);
}

/* The check digit of the first `count` digits of a CPF: weights fall to 2. */
static unsigned cpf_check(const digits *number, size_t count)
{
    unsigned sum = 0;

    for (size_t i = 0; i < count; i++) {
        sum += number->digit[i] * (unsigned) (count + 1 - i);
    }

    return sum % 11 < 2 ? 0 : 11 - sum % 11;
}

/* Brazil's register of persons. */
static bool is_cpf(const digits *number)
{
    return number->count == 11 && !all_are_equal(number) && cpf_check(number, 9) == number->digit[9]
           && cpf_check(number, 10) == number->digit[10];
}

weir_waf_matched weir_waf_run_verify_cpf(const weir_waf_operator *op, weir_str value,
                                         weir_waf_run *run)
{
    return search_and_verify(op, value, run, is_cpf);
}

/* Austria's insurance number: a serial, its check digit, and a date. */
static bool is_svnr(const digits *number)
{
    static const unsigned weights[10] = {3, 7, 9, 0, 5, 8, 4, 2, 1, 6};
    unsigned sum = 0;

    if (number->count != WEIR_COUNT(weights) || all_are_equal(number)) {
        return false;
    }

    for (size_t i = 0; i < WEIR_COUNT(weights); i++) {
        sum += number->digit[i] * weights[i];
    }
    return sum % 11 == number->digit[3];
}

weir_waf_matched weir_waf_run_verify_svnr(const weir_waf_operator *op, weir_str value,
                                          weir_waf_run *run)
{
    return search_and_verify(op, value, run, is_svnr);
}
