/* Messages of the DNS: what is asked, and what is believed of the answers. */

#include "t/unit/unit.h"

#include <stdlib.h>

#include "core/net/dns_message.h"

/* Query and answer for "www.example.com", A, without mixed letters. */
typedef struct {
    char query_bytes[WEIR_DNS_QUERY_MAX], answer_bytes[4096];
    weir_str query;
    weir_builder answer;
    unsigned records;
} exchange;

static void ask(exchange *x, const char *name, weir_dns_type type)
{
    weir_dns_name wanted;
    weir_builder builder;

    assert_true(weir_dns_name_of(weir_str_from_z(name), &wanted));
    weir_builder_over(&builder, x->query_bytes, sizeof(x->query_bytes));
    weir_dns_write(&builder, 0xbeef, &wanted, type, false);
    assert_true(weir_builder_close(&builder, &x->query));

    weir_builder_over(&x->answer, x->answer_bytes, sizeof(x->answer_bytes));
    weir_builder_add(&x->answer, x->query);
    x->answer_bytes[2] = (char) 0x81;
    x->records = 0;
}

static void add_u16(exchange *x, unsigned number)
{
    weir_builder_add_byte(&x->answer, (char) (number >> 8));
    weir_builder_add_byte(&x->answer, (char) (number & 0xff));
}

static void add_name(exchange *x, const char *name)
{
    weir_str rest = weir_str_from_z(name), label;

    while (weir_str_split(&rest, '.', &label)) {
        weir_builder_add_byte(&x->answer, (char) label.len);
        weir_builder_add(&x->answer, label);
    }
    weir_builder_add_byte(&x->answer, 0);
}

static void add_record(exchange *x, const char *owner, unsigned type, unsigned ttl_s, weir_str data)
{
    add_name(x, owner);
    add_u16(x, type);
    add_u16(x, 1);
    add_u16(x, ttl_s >> 16);
    add_u16(x, ttl_s & 0xffff);
    add_u16(x, (unsigned) data.len);
    weir_builder_add(&x->answer, data);
    x->answer_bytes[7] = (char) ++x->records;
}

#define ADDRESS WEIR_STR("\x0a\x01\x02\x03")

static weir_dns_verdict read_it(exchange *x, unsigned how, weir_dns_answer *answer)
{
    return weir_dns_read(x->query, weir_builder_text(&x->answer), how, answer);
}

static void asks_for_recursion_with_one_question(void **state)
{
    exchange x;

    (void) state;
    ask(&x, "Www.Example.com.", WEIR_DNS_AAAA);
    assert_int_equal(x.query.len, 12 + 17 + 4);
    assert_memory_equal(x.query.data,
                        "\xbe\xef\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
                        "\x03www\x07"
                        "example\x03"
                        "com\x00\x00\x1c\x00\x01",
                        x.query.len);
}

static void mixes_the_case_of_letters(void **state)
{
    char bytes[WEIR_DNS_QUERY_MAX], first[WEIR_DNS_QUERY_MAX];
    weir_dns_name name;
    weir_str text;
    bool differs = false;

    (void) state;
    assert_true(weir_dns_name_of(WEIR_STR("abcdefghijklmnopqrstuvwxyz.0-9"), &name));
    for (int i = 0; i < 20; i++) {
        weir_builder builder;

        weir_builder_over(&builder, bytes, sizeof(bytes));
        weir_dns_write(&builder, 1, &name, WEIR_DNS_A, true);
        assert_true(weir_builder_close(&builder, &text));
        differs = differs || (i != 0 && memcmp(first, bytes, text.len) != 0);
        memcpy(first, bytes, text.len);
        assert_memory_equal(bytes + 12 + 27,
                            "\x03"
                            "0-9",
                            4);
    }
    assert_true(differs);
}

static void names_must_be_such(void **state)
{
    static const char *const bad[] = {"", ".", "a..b", ".a", "a b", "a\tb", "a/b", "a\x80"};
    char label[65], name[256];
    weir_dns_name parsed;

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(bad); i++) {
        assert_false(weir_dns_name_of(weir_str_from_z(bad[i]), &parsed));
    }
    memset(label, 'a', 64);
    assert_true(weir_dns_name_of(weir_str_of(label, 63), &parsed));
    assert_false(weir_dns_name_of(weir_str_of(label, 64), &parsed));
    for (size_t i = 0; i < sizeof(name); i++) {
        name[i] = i % 2 == 0 ? 'a' : '.';
    }
    assert_true(weir_dns_name_of(weir_str_of(name, 253), &parsed));
    assert_false(weir_dns_name_of(weir_str_of(name, 255), &parsed));
}

static void gives_the_addresses_of_the_name(void **state)
{
    exchange x;
    weir_dns_answer answer;
    weir_dns_record record;
    char text[WEIR_ADDR_TEXT_MAX];

    (void) state;
    ask(&x, "www.example.com", WEIR_DNS_A);
    add_record(&x, "WWW.example.COM", WEIR_DNS_A, 300, ADDRESS);
    add_record(&x, "other.example.com", WEIR_DNS_A, 5, WEIR_STR("\x01\x01\x01\x01"));
    add_record(&x, "www.example.com", WEIR_DNS_A, 200, WEIR_STR("\x0a\x01\x02\x04"));
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_ANSWERED);
    assert_int_equal(answer.ttl_s, 200);
    assert_true(weir_dns_next(&answer, &record));
    assert_true(weir_str_eq(weir_addr_text(&record.addr, false, text), WEIR_STR("10.1.2.3")));
    assert_true(weir_dns_next(&answer, &record));
    assert_true(weir_str_eq(weir_addr_text(&record.addr, false, text), WEIR_STR("10.1.2.4")));
    assert_false(weir_dns_next(&answer, &record));
}

static void aliases_lead_on_in_any_order(void **state)
{
    exchange x;
    weir_dns_answer answer;
    weir_dns_record record;

    (void) state;
    ask(&x, "www.example.com", WEIR_DNS_A);
    add_record(&x, "c.example", WEIR_DNS_A, 300, ADDRESS);
    add_record(&x, "b.example", WEIR_DNS_CNAME, 60,
               WEIR_STR("\x01"
                        "c\x07"
                        "example\x00"));
    add_record(&x, "www.example.com", WEIR_DNS_CNAME, 90,
               WEIR_STR("\x01"
                        "b\x07"
                        "example\x00"));
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_ANSWERED);
    assert_int_equal(answer.links, 2);
    assert_int_equal(answer.ttl_s, 60);
    assert_true(weir_dns_next(&answer, &record));

    ask(&x, "www.example.com", WEIR_DNS_A);
    add_record(&x, "www.example.com", WEIR_DNS_CNAME, 90,
               WEIR_STR("\x01"
                        "b\x07"
                        "example\x00"));
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_ELSEWHERE);
    assert_true(weir_str_eq(weir_dns_name_text(&answer.name), WEIR_STR("b.example")));

    /* With a start of authority: there is nothing, and no reason to ask on. */
    add_record(&x, "example", WEIR_DNS_SOA, 90, WEIR_STR(""));
    x.answer_bytes[7] = 1;
    x.answer_bytes[9] = 1;
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_ANSWERED);
    assert_false(weir_dns_next(&answer, &record));
}

static void aliases_in_a_circle_are_broken(void **state)
{
    exchange x;
    weir_dns_answer answer;

    (void) state;
    ask(&x, "a.example", WEIR_DNS_A);
    add_record(&x, "a.example", WEIR_DNS_CNAME, 90,
               WEIR_STR("\x01"
                        "b\x07"
                        "example\x00"));
    add_record(&x, "b.example", WEIR_DNS_CNAME, 90,
               WEIR_STR("\x01"
                        "a\x07"
                        "example\x00"));
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_BROKEN);
}

static void pointers_lead_back_only(void **state)
{
    exchange x;
    weir_dns_answer answer;
    weir_dns_record record;
    size_t owner;

    (void) state;
    /* To the question's name: as servers write it. */
    ask(&x, "www.example.com", WEIR_DNS_A);
    owner = x.query.len;
    add_record(&x, "", WEIR_DNS_A, 300, ADDRESS);
    memmove(x.answer_bytes + owner + 2, x.answer_bytes + owner + 1, 14);
    weir_builder_add_byte(&x.answer, '\x03');
    x.answer_bytes[owner] = (char) 0xc0;
    x.answer_bytes[owner + 1] = 12;
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_ANSWERED);
    assert_true(weir_dns_next(&answer, &record));

    /* To itself, and past the end. */
    x.answer_bytes[owner + 1] = (char) owner;
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_BROKEN);
    x.answer_bytes[owner + 1] = (char) 0xff;
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_BROKEN);
}

static void services_have_targets(void **state)
{
    exchange x;
    weir_dns_answer answer;
    weir_dns_record record;

    (void) state;
    ask(&x, "_http._tcp.example.com", WEIR_DNS_SRV);
    add_record(&x, "_http._tcp.example.com", WEIR_DNS_SRV, 300,
               WEIR_STR("\x00\x0a\x00\x05\x1f\x90\x04"
                        "node\x07"
                        "example\x00"));
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_ANSWERED);
    assert_true(weir_dns_next(&answer, &record));
    assert_int_equal(record.priority, 10);
    assert_int_equal(record.weight, 5);
    assert_int_equal(record.port, 8080);
    assert_true(weir_str_eq(weir_dns_name_text(&record.target), WEIR_STR("node.example")));

    ask(&x, "_http._tcp.example.com", WEIR_DNS_SRV);
    add_record(&x, "_http._tcp.example.com", WEIR_DNS_SRV, 300,
               WEIR_STR("\x00\x0a\x00\x05\x1f\x90\x04"
                        "node\x07"
                        "example\x00"
                        "more"));
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_BROKEN);
}

static void only_what_was_asked_is_answered(void **state)
{
    exchange x;
    weir_dns_answer answer;

    (void) state;
    ask(&x, "www.example.com", WEIR_DNS_A);
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_ANSWERED);

    x.answer_bytes[0] ^= 1; /* the id */
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_NOT_OURS);
    x.answer_bytes[0] ^= 1;
    x.answer_bytes[2] ^= (char) 0x80; /* a query */
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_NOT_OURS);
    x.answer_bytes[2] ^= (char) 0x80;
    x.answer_bytes[5] = 2; /* two questions */
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_NOT_OURS);
    x.answer_bytes[5] = 1;
    x.answer_bytes[14] ^= 1; /* another name */
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_NOT_OURS);
    x.answer_bytes[14] ^= 1;
    x.answer_bytes[x.query.len - 3] ^= 1; /* another type */
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_NOT_OURS);
    x.answer_bytes[x.query.len - 3] ^= 1;

    x.answer_bytes[14] ^= 0x20;
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_OTHER_CASE);
    assert_int_equal(read_it(&x, WEIR_DNS_ANY_CASE, &answer), WEIR_DNS_ANSWERED);
    assert_int_equal(weir_dns_read(x.query, WEIR_STR(""), 0, &answer), WEIR_DNS_NOT_OURS);
}

static void tells_refusals_and_truncation(void **state)
{
    exchange x;
    weir_dns_answer answer;

    (void) state;
    ask(&x, "www.example.com", WEIR_DNS_A);
    x.answer_bytes[3] = (char) 0x83;
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_REFUSED);
    assert_int_equal(answer.code, WEIR_DNS_NO_SUCH_NAME);

    x.answer_bytes[3] = 0;
    x.answer_bytes[2] = (char) 0x83;
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_TRUNCATED);
    assert_int_equal(read_it(&x, WEIR_DNS_BY_TCP, &answer), WEIR_DNS_ANSWERED);
}

/* Each prefix is in memory of its own, so that a sanitizer sees what is read past it. */
static void a_message_that_is_cut_anywhere_is_no_answer(void **state)
{
    exchange x;
    weir_dns_answer answer;
    weir_str whole;

    (void) state;
    ask(&x, "www.example.com", WEIR_DNS_A);
    add_record(&x, "www.example.com", WEIR_DNS_CNAME, 90,
               WEIR_STR("\x01"
                        "b\x07"
                        "example\x00"));
    add_record(&x, "b.example", WEIR_DNS_A, 300, ADDRESS);
    whole = weir_builder_text(&x.answer);
    for (size_t len = 0; len < whole.len; len++) {
        char *copy = malloc(len == 0 ? 1 : len);
        weir_dns_verdict verdict;

        memcpy(copy, whole.data, len);
        verdict = weir_dns_read(x.query, weir_str_of(copy, len), 0, &answer);
        assert_int_equal(verdict, len < x.query.len ? WEIR_DNS_NOT_OURS : WEIR_DNS_BROKEN);
        free(copy);
    }
}

static void addresses_have_their_length(void **state)
{
    exchange x;
    weir_dns_answer answer;

    (void) state;
    ask(&x, "www.example.com", WEIR_DNS_A);
    add_record(&x, "www.example.com", WEIR_DNS_A, 300, WEIR_STR("\x0a\x01\x02"));
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_BROKEN);
    ask(&x, "www.example.com", WEIR_DNS_AAAA);
    add_record(&x, "www.example.com", WEIR_DNS_AAAA, 300, ADDRESS);
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_BROKEN);
}

/* RFC 2181, 8 */
static void a_time_to_live_with_its_highest_bit_is_zero(void **state)
{
    exchange x;
    weir_dns_answer answer;

    (void) state;
    ask(&x, "www.example.com", WEIR_DNS_A);
    add_record(&x, "www.example.com", WEIR_DNS_A, 0x80000001, ADDRESS);
    assert_int_equal(read_it(&x, 0, &answer), WEIR_DNS_ANSWERED);
    assert_int_equal(answer.ttl_s, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_for_recursion_with_one_question),
        cmocka_unit_test(mixes_the_case_of_letters),
        cmocka_unit_test(names_must_be_such),
        cmocka_unit_test(gives_the_addresses_of_the_name),
        cmocka_unit_test(aliases_lead_on_in_any_order),
        cmocka_unit_test(aliases_in_a_circle_are_broken),
        cmocka_unit_test(pointers_lead_back_only),
        cmocka_unit_test(services_have_targets),
        cmocka_unit_test(only_what_was_asked_is_answered),
        cmocka_unit_test(tells_refusals_and_truncation),
        cmocka_unit_test(a_message_that_is_cut_anywhere_is_no_answer),
        cmocka_unit_test(addresses_have_their_length),
        cmocka_unit_test(a_time_to_live_with_its_highest_bit_is_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
