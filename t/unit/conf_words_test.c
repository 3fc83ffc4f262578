#include "t/unit/conf_unit.h"

/* What `written` comes to as an argument; what nginx makes of each was tried. */
static void means(const char *written, const char *expected)
{
    char text[8300];
    const conf_unit_values *values;

    snprintf(text, sizeof(text), "http { text %s; }", written);
    if (!conf_unit_read(text)) {
        fail_msg("%s: %s", text, unit.messages);
    }

    values = conf_unit_at(0);
    if (!weir_str_eq(values->text, weir_str_from_z(expected))) {
        fail_msg("%s came to \"%.*s\"", written, WEIR_STR_ARG(values->text));
    }
}

static void refused(const char *text, const char *part)
{
    if (strstr(conf_unit_refusal(text), part) == NULL) {
        fail_msg("%s: %s", text, unit.messages);
    }
}

static void a_word_ends_at_space_semicolon_or_brace(void **state)
{
    (void) state;
    means("a", "a");
    means("a\r\n", "a");
    means("a\t", "a");
    means("a}b", "a}b");
    means("a}", "a}");
    means("(a)", "(a)");
    means("a\v\fb", "a\v\fb");
    means("\xc3\xbc", "\xc3\xbc");
    refused("http { text a{b; }", "directive \"text\" is not terminated by \";\"");
}

static void a_quote_only_opens_at_the_beginning(void **state)
{
    (void) state;
    means("a'b", "a'b");
    means("a\"b\"", "a\"b\"");
    means("'a b;{}#'", "a b;{}#");
    means("\"it's\"", "it's");
    means("'a\nb'", "a\nb");
    means("'a\rb'", "a\rb");
    means("''", "");
    refused("http { text a\"b c\"; }", "invalid number of arguments");
}

static void a_bracket_may_follow_a_quote_and_begins_a_word(void **state)
{
    (void) state;
    assert_true(conf_unit_read("http { list ( 'a'); }"));
    assert_int_equal(conf_unit_at(0)->list.count, 3);
}

static void escapes_are_undone_or_kept(void **state)
{
    (void) state;
    means("a\\tb\\rc\\nd", "a\tb\rc\nd");
    means("'a\\tb'", "a\tb");
    means("\\\"a", "\"a");
    means("'a\\'b'", "a'b");
    means("'a\\\"b'", "a\"b");
    means("a\\\\b", "a\\b");
    means("\"a\\qb\"", "a\\qb");
    means("a\\;b", "a\\;b");
    means("a\\{b", "a\\{b");
    means("a\\ b", "a\\ b");
    means("a\\\nb", "a\\\nb");
    means("\\#a", "\\#a");
    means("\\\\\\;", "\\\\;");
    means("\"\\$\"", "\\$");
}

static void braces_after_a_dollar_belong_to_the_word(void **state)
{
    (void) state;
    means("${a}b", "${a}b");
    means("a${b}c", "a${b}c");
    means("a${{b", "a${{b");
    means("$${a", "$${a");
    means("${", "${");
    means("\"a${b\"", "a${b");
    means("a$", "a$");
    means("a$\"b", "a$\"b");
    refused("http { text ${a}{; }", "not terminated");
    refused("http { text a\\${b}; }", "not terminated");
    refused("http { text a$b{c}; }", "not terminated");
    refused("http { text $ {a}; }", "not terminated");
}

static void comments_begin_where_words_could(void **state)
{
    (void) state;
    means("a#b", "a#b");
    means("# no\n a # {'\n", "a");
    assert_true(conf_unit_read("# plain a;\n#\nplain b; # ;\n#"));
    assert_string_equal(seen.trace, "call b");
}

static void a_byte_order_mark_is_skipped(void **state)
{
    (void) state;
    assert_true(conf_unit_read("\xef\xbb\xbfplain a;"));
    refused("plain a;\xef\xbb\xbfplain a;", "unknown directive");
}

static void bytes_of_zero_are_bytes(void **state)
{
    static const char text[] = "http { text a\0b; path 'a\0b'; }";

    (void) state;
    assert_false(conf_unit_read_bytes(text, sizeof(text) - 1));
    assert_non_null(strstr(unit.messages, "a path with a NUL byte in weir.conf:1"));
    assert_true(conf_unit_read_bytes("http { text a\0b; }", 18));
    assert_memory_equal(conf_unit_at(0)->text.data, "a\0b", 3);
}

/* With the byte that ends it, as nginx counts. */
static void a_word_has_at_most_4096_bytes(void **state)
{
    char word[4200];

    (void) state;
    memset(word, 'a', sizeof(word));
    word[4095] = '\0';
    means(word, word);

    memset(word, 'a', sizeof(word));
    word[0] = '"';
    word[4095] = '"';
    word[4096] = '\0';
    assert_true(strlen(word) == 4096);
    {
        char text[4300];

        snprintf(text, sizeof(text), "http { text %s; }", word);
        assert_true(conf_unit_read(text));
        assert_int_equal(conf_unit_at(0)->text.len, 4094);

        word[4095] = 'a';
        snprintf(text, sizeof(text), "http {\n text %s\"; }", word);
        refused(text, "too long parameter, probably missing terminating \"\"\" character in "
                      "weir.conf:2");

        word[0] = 'a';
        snprintf(text, sizeof(text), "http { text %s; }", word);
        refused(text, "too long parameter \"aaaaaaaaaa...\" started in weir.conf:1");
    }
}

static const char sample[] = "\xef\xbb\xbf# all there is\r\n"
                             "plain \"a\\tb\" ; early 'x';\r\n"
                             "idle one two;\n"
                             "events {}\n"
                             "http {\n"
                             "    flag on; number 5; size 1k; offset 2g; time_ms 1h30m;\n"
                             "    text ${a}b\\;c; list a 'b c' \"d\"; added e;\n"
                             "    pairs { a b; 'c d' e; }\n"
                             "    upstream u { server a b=c; }\n"
                             "    server one {\n"
                             "        allow all; deny all; # both\n"
                             "        location / { template \"$x/$y\"; location /a { alone 4; } }\n"
                             "    }\n"
                             "}\n";

static unsigned count(const char *text, const char *part)
{
    unsigned found = 0;

    while ((text = strstr(text, part)) != NULL) {
        found++;
        text++;
    }

    return found;
}

static void every_beginning_of_a_file_is_taken_or_refused_once(void **state)
{
    unsigned taken = 0;

    (void) state;
    for (size_t len = 0; len < sizeof(sample); len++) {
        bool is_taken = conf_unit_read_bytes(sample, len);

        taken += is_taken;
        if (count(unit.messages, "[emerg]") != !is_taken) {
            fail_msg("%zu bytes: %s", len, unit.messages);
        }
    }

    assert_true(taken > 0);
    assert_true(conf_unit_read_bytes(sample, sizeof(sample) - 1));
}

static void every_byte_of_a_file_may_be_another(void **state)
{
    static const char others[] = "{};\\'\"$#\n\0x";
    char changed[sizeof(sample)];

    (void) state;
    for (size_t at = 0; at < sizeof(sample) - 1; at++) {
        for (size_t i = 0; i < sizeof(others) - 1; i++) {
            memcpy(changed, sample, sizeof(sample));
            changed[at] = others[i];
            if (count(conf_unit_read_bytes(changed, sizeof(sample) - 1) ? "[emerg]" : unit.messages,
                      "[emerg]")
                != 1) {
                fail_msg("%zu as %c: %s", at, others[i], unit.messages);
            }
        }
    }
}

static void memory_may_end_anywhere(void **state)
{
    unsigned refusals = 0;

    (void) state;
    for (conf_unit_memory_max = 512; !conf_unit_read(sample); conf_unit_memory_max += 16) {
        if (unit.modules != NULL && count(unit.messages, "[emerg]") != 1) {
            fail_msg("%zu bytes: %s", conf_unit_memory_max, unit.messages);
        }
        refusals += unit.modules != NULL;
    }

    assert_true(refusals > 100);
    conf_unit_memory_max = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_ends_at_space_semicolon_or_brace),
        cmocka_unit_test(a_quote_only_opens_at_the_beginning),
        cmocka_unit_test(a_bracket_may_follow_a_quote_and_begins_a_word),
        cmocka_unit_test(escapes_are_undone_or_kept),
        cmocka_unit_test(braces_after_a_dollar_belong_to_the_word),
        cmocka_unit_test(comments_begin_where_words_could),
        cmocka_unit_test(a_byte_order_mark_is_skipped),
        cmocka_unit_test(bytes_of_zero_are_bytes),
        cmocka_unit_test(a_word_has_at_most_4096_bytes),
        cmocka_unit_test(every_beginning_of_a_file_is_taken_or_refused_once),
        cmocka_unit_test(every_byte_of_a_file_may_be_another),
        cmocka_unit_test(memory_may_end_anywhere),
    };

    return cmocka_run_group_tests(tests, conf_unit_setup, conf_unit_teardown);
}
