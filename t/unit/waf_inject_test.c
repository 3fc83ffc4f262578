/*
 * @detectSQLi and @detectXSS: what they say of known texts and, where Debian's libmodsecurity is there, whether they agree with
 * the functions that it exports for the two, on texts made here and on those of the file that WEIR_INJECT_TEXTS names, one a
 * line with "%XX" for bytes.  The library is called, and nothing else of it is used.
 */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/builder.h"
#include "core/base/number.h"
#include "modules/waf/sqli.h"
#include "modules/waf/xss.h"
#include "t/unit/waf_unit.h"

#define MADE 100000
#define AGREED_PERMILLE 990

/* ---- known texts */

static void sql_that_is_injected_tells(void **state)
{
    static const struct {
        const char *text, *fingerprint;
    } samples[] = {
        {"1 or 1=1 -- x", "1&1c"},
        {"1' or '1'='1", "s&sos"},
        {"x\" or \"a\"=\"a", "s&sos"},
        {"sleep(5)", "f(1)"},
        {"1 union all select 1,2 from users", "1UE1k"},
        {"/*! select */", "X"},
        {"ascii(substring(version() from 1 for 1))", "f(f(f"},
        {"'; drop table users --", "s;Tnn"},
    };
    char fingerprint[WEIR_WAF_SQLI_TOKENS + 1];
    size_t tokens;

    (void) state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        print_message("%s\n", samples[i].text);
        assert_true(weir_waf_is_sqli(weir_str_from_z(samples[i].text), fingerprint, &tokens));
        assert_string_equal(fingerprint, samples[i].fingerprint);
    }
}

static void what_people_write_is_no_sql(void **state)
{
    static const char *const samples[] = {
        "",
        "this is not isqli",
        "O'Neil",
        "select a colour or two",
        "3.5e-7",
        "union station",
        "12#3",
        "a@example.com",
        "It's 5 o'clock, isn't it?",
    };
    char fingerprint[WEIR_WAF_SQLI_TOKENS + 1];
    size_t tokens;

    (void) state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        print_message("%s\n", samples[i]);
        assert_false(weir_waf_is_sqli(weir_str_from_z(samples[i]), fingerprint, &tokens));
    }
}

static void script_tells_wherever_it_is_put(void **state)
{
    static const char *const samples[] = {
        "<script>alert(1)</script>",
        "<sCrIpT",
        "<img src=x onerror=alert(1)>",
        "\" onload=\"x",
        "' onload='x",
        "x onload=x",
        "<a href=\" &#106;ava&#x0a;script:x\">",
        "<!--[if IE]><-->",
        "<svg/onload=x",
        "<!DOCTYPE html>",
        "</x style=y>",
    };

    (void) state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        print_message("%s\n", samples[i]);
        assert_true(weir_waf_is_xss(weir_str_from_z(samples[i])));
    }
}

static void harmless_markup_does_not_tell(void **state)
{
    static const char *const samples[] = {
        "",    "a < b and c > d", "<b>bold</b>", "<a href=\"/page?x=1\">",
        "x=1", "on = off",        "I <3 it",
    };

    (void) state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        print_message("%s\n", samples[i]);
        assert_false(weir_waf_is_xss(weir_str_from_z(samples[i])));
    }
}

/* ---- beside the library */

typedef struct {
    int (*sqli)(const char *text, size_t len, char *fingerprint);
    int (*xss)(const char *text, size_t len);
} library;

typedef struct {
    size_t texts, sqli_agreed, xss_agreed, sqli_told, xss_told;
} agreement;

static bool library_open(library *other)
{
    void *handle = dlopen("libmodsecurity.so.3", RTLD_NOW | RTLD_LOCAL);

    if (handle == NULL) {
        return false;
    }

    /* POSIX has it that a function's address fits. */
    *(void **) &other->sqli = dlsym(handle, "libinjection_sqli");
    *(void **) &other->xss = dlsym(handle, "libinjection_xss");
    return other->sqli != NULL && other->xss != NULL;
}

static void compare(const library *other, agreement *a, weir_str text)
{
    char mine[16] = {0}, theirs[16] = {0};
    size_t tokens;
    bool sqli = other->sqli(text.data, text.len, theirs) != 0;
    bool xss = other->xss(text.data, text.len) != 0;

    a->texts++;
    a->sqli_told += sqli;
    a->xss_told += xss;
    a->sqli_agreed += weir_waf_is_sqli(text, mine, &tokens) == sqli;
    a->xss_agreed += weir_waf_is_xss(text) == xss;
}

static void report(const char *what, const agreement *a)
{
    print_message("%s: %zu texts; SQL: %zu tell, %zu agree; script: %zu tell, %zu agree\n", what,
                  a->texts, a->sqli_told, a->sqli_agreed, a->xss_told, a->xss_agreed);
    assert_true(a->sqli_agreed * 1000 >= a->texts * AGREED_PERMILLE);
    assert_true(a->xss_agreed * 1000 >= a->texts * AGREED_PERMILLE);
}

/* Pieces of both languages, of prose, and single bytes, put together at random. */
static weir_str made_text(char *buffer, size_t size, unsigned *seed)
{
    static const char *const pieces[] = {
        "select",   " from ",  "union all", " where ", "or",        "and",     "1",
        "0x41",     "'",       "\"",        "`",       "--",        "-- ",     "#",
        "/*",       "*/",      "(",         ")",       ",",         ";",       "=",
        "<",        ">",       "<>",        "!",       "@@x",       "@",       "$",
        "$1.5",     "sleep(",  "user()",    "null",    "like",      "in (",    "not ",
        "group by", "limit 1", "name",      "table",   "drop ",     "<script", "<img ",
        "<a ",      "</b>",    "src=",      "href=",   "style=",    "onload=", "javascript:",
        "data:",    "&#106;",  "<!--",      "-->",     "<!doctype", "<?xml ",  "x",
        " the ",    " quick ", "fox",       "O'Neil",  ".",         ":",       "\\",
        "[a]",      "{",       "}",         "%",       "&&",        "||",      "\n",
        "\t",       " ",
    };
    unsigned count;
    weir_builder text;

    weir_builder_over(&text, buffer, size);
    *seed = *seed * 1103515245 + 12345;
    count = 1 + (*seed >> 16) % 12;
    for (unsigned i = 0; i < count; i++) {
        *seed = *seed * 1103515245 + 12345;
        if ((*seed >> 16) % 16 == 0) {
            weir_builder_add_byte(&text, (char) (*seed >> 24));
        } else {
            weir_builder_add(
                &text, weir_str_from_z(pieces[(*seed >> 16) % (sizeof(pieces) / sizeof(*pieces))]));
        }
        if ((*seed >> 8 & 3) == 0) {
            weir_builder_add_byte(&text, ' ');
        }
    }
    return weir_builder_cut(&text);
}

static void they_agree_with_the_library_on_made_texts(void **state)
{
    char buffer[512];
    unsigned seed = 42;
    agreement a = {0};
    library other;

    (void) state;
    if (!library_open(&other)) {
        skip();
    }

    for (size_t i = 0; i < MADE; i++) {
        compare(&other, &a, made_text(buffer, sizeof(buffer), &seed));
    }
    assert_true(a.sqli_told > MADE / 100 && a.xss_told > MADE / 100);
    report("made", &a);
}

static weir_str decoded_line(char *line)
{
    weir_str text = weir_str_from_z(line);
    weir_builder out;
    uint64_t byte;

    text.len -= weir_str_ends(text, WEIR_STR("\n")) ? 1 : 0;
    weir_builder_over(&out, line, text.len);
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '%' && text.len - i > 2
            && weir_parse_hex(weir_str_slice(text, i + 1, i + 3), 255, &byte)) {
            weir_builder_add_byte(&out, (char) byte);
            i += 2;
        } else {
            weir_builder_add_byte(&out, text.data[i]);
        }
    }
    return weir_builder_cut(&out);
}

static void they_agree_with_the_library_on_the_texts_of_a_file(void **state)
{
    static char line[65536];
    const char *path = getenv("WEIR_INJECT_TEXTS");
    agreement a = {0};
    library other;
    FILE *file;

    (void) state;
    if (path == NULL || !library_open(&other)) {
        skip();
    }

    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        compare(&other, &a, decoded_line(line));
    }
    assert_int_equal(fclose(file), 0);
    report(path, &a);
}

/* What it is counted as: a piece takes longer than a byte of a word. */
static void tells_into_how_many_pieces_it_cut_the_text(void **state)
{
    static char text[4000];
    char fingerprint[WEIR_WAF_SQLI_TOKENS + 1];
    size_t tokens;

    (void) state;
    memset(text, 'a', sizeof(text));
    assert_false(weir_waf_is_sqli(weir_str_of(text, sizeof(text)), fingerprint, &tokens));
    assert_int_equal(tokens, 1);
    memset(text + 1, '^', sizeof(text) - 2);
    assert_false(weir_waf_is_sqli(weir_str_of(text, sizeof(text)), fingerprint, &tokens));
    assert_int_equal(tokens, sizeof(text));
    assert_false(weir_waf_is_sqli(WEIR_STR_EMPTY, fingerprint, &tokens));
    assert_int_equal(tokens, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sql_that_is_injected_tells),
        cmocka_unit_test(what_people_write_is_no_sql),
        cmocka_unit_test(tells_into_how_many_pieces_it_cut_the_text),
        cmocka_unit_test(script_tells_wherever_it_is_put),
        cmocka_unit_test(harmless_markup_does_not_tell),
        cmocka_unit_test(they_agree_with_the_library_on_made_texts),
        cmocka_unit_test(they_agree_with_the_library_on_the_texts_of_a_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
