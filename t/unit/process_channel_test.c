/* The line between the master and a child. */

#include "t/unit/process_unit.h"

#include "core/process/channel_internal.h"

typedef struct {
    weir_loop *loop;
    weir_channel *a, *b;
    unsigned count; /* of messages that b received */
    unsigned wrong; /* of those, out of order or damaged */
    size_t last_len;
    char last_kind[32];
    bool has_ended, free_when_received;
} line;

/* Message n is n bytes long, modulo a prime, and each byte is n. */
static size_t pattern_len(unsigned n)
{
    return (size_t) n * 997 % 40009;
}

static void line_received(weir_channel *channel, weir_str kind, weir_str bytes, void *subject)
{
    line *l = subject;

    snprintf(l->last_kind, sizeof(l->last_kind), "%.*s", WEIR_STR_ARG(kind));
    l->last_len = bytes.len;

    if (weir_str_eq(kind, WEIR_STR("pattern"))) {
        l->wrong += bytes.len != pattern_len(l->count);
        for (size_t i = 0; i < bytes.len; i++) {
            l->wrong += (unsigned char) bytes.data[i] != (l->count & 255);
        }
    }
    l->count++;

    if (l->free_when_received) {
        weir_channel_free(channel);
        l->b = NULL;
    }
}

static void line_ended(weir_channel *channel, void *subject)
{
    line *l = subject;

    *(channel == l->a ? &l->a : &l->b) = NULL;
    weir_channel_free(channel);
    l->has_ended = true;
}

static int line_setup(void **state)
{
    line *l = calloc(1, sizeof(*l));
    const weir_channel_owner owner = {line_received, line_ended, l};
    int fds[2];

    if (l == NULL || (l->loop = weir_loop_new(&unit.log)) == NULL
        || !weir_channel_pair(fds, &unit.log)) {
        return -1;
    }
    l->a = weir_channel_new(l->loop, fds[0], &owner);
    l->b = weir_channel_new(l->loop, fds[1], &owner);
    *state = l;
    return l->a == NULL || l->b == NULL ? -1 : 0;
}

static int line_teardown(void **state)
{
    line *l = *state;

    weir_channel_free(l->a);
    weir_channel_free(l->b);
    weir_loop_free(l->loop);
    free(l);
    return 0;
}

static void line_turn_until(line *l, unsigned count)
{
    for (unsigned turns = 0; l->count < count && turns < 10000; turns++) {
        weir_loop_turn(l->loop, 1000);
    }
    assert_int_equal(l->count, count);
}

static void a_message_has_a_kind_and_bytes(void **state)
{
    line *l = *state;

    assert_true(weir_channel_send(l->a, WEIR_STR("greeting"), WEIR_STR("he\0lo")));
    line_turn_until(l, 1);
    assert_string_equal(l->last_kind, "greeting");
    assert_int_equal(l->last_len, 5);
    assert_true(weir_channel_send(l->a, WEIR_STR("empty"), WEIR_STR_EMPTY));
    line_turn_until(l, 2);
    assert_string_equal(l->last_kind, "empty");
    assert_int_equal(l->last_len, 0);
}

/* Far more than the kernel takes while nobody reads; small ones behind large ones. */
static void many_messages_arrive_whole_and_in_order(void **state)
{
    line *l = *state;
    char *bytes = malloc(40009);

    for (unsigned n = 0; n < 1000; n++) {
        memset(bytes, (int) (n & 255), pattern_len(n));
        assert_true(
            weir_channel_send(l->a, WEIR_STR("pattern"), weir_str_of(bytes, pattern_len(n))));
    }
    line_turn_until(l, 1000);
    assert_int_equal(l->wrong, 0);
    free(bytes);
}

static void a_message_may_have_16_mib(void **state)
{
    line *l = *state;
    char *bytes = calloc(1, WEIR_CHANNEL_MESSAGE_MAX + 1);

    assert_true(
        weir_channel_send(l->a, WEIR_STR("large"), weir_str_of(bytes, WEIR_CHANNEL_MESSAGE_MAX)));
    line_turn_until(l, 1);
    assert_int_equal(l->last_len, WEIR_CHANNEL_MESSAGE_MAX);
    assert_false(weir_channel_send(l->a, WEIR_STR("larger"),
                                   weir_str_of(bytes, WEIR_CHANNEL_MESSAGE_MAX + 1)));
    free(bytes);
}

static void who_never_reads_costs_a_bounded_amount(void **state)
{
    line *l = *state;
    char *bytes = calloc(1, 1 << 20);
    unsigned sent = 0;

    while (sent < 10000 && weir_channel_send(l->a, WEIR_STR("x"), weir_str_of(bytes, 1 << 20))) {
        sent++;
    }
    assert_in_range(sent, 32, 1000);
    line_turn_until(l, sent);
    assert_true(weir_channel_send(l->a, WEIR_STR("x"), weir_str_of(bytes, 1 << 20)));
    free(bytes);
}

static void the_end_is_told_after_what_was_sent(void **state)
{
    line *l = *state;

    assert_true(weir_channel_send(l->a, WEIR_STR("last"), WEIR_STR("word")));
    weir_channel_free(l->a);
    l->a = NULL;
    line_turn_until(l, 1);
    for (unsigned turns = 0; !l->has_ended && turns < 100; turns++) {
        weir_loop_turn(l->loop, 100);
    }
    assert_true(l->has_ended);
}

static void a_channel_may_be_freed_by_its_message(void **state)
{
    line *l = *state;

    l->free_when_received = true;
    assert_true(weir_channel_send(l->a, WEIR_STR("one"), WEIR_STR_EMPTY));
    assert_true(weir_channel_send(l->a, WEIR_STR("two"), WEIR_STR_EMPTY));
    line_turn_until(l, 1);
    weir_loop_turn(l->loop, 0);
    assert_int_equal(l->count, 1);
}

#define line_test(test) cmocka_unit_test_setup_teardown(test, line_setup, line_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        line_test(a_message_has_a_kind_and_bytes),
        line_test(many_messages_arrive_whole_and_in_order),
        line_test(a_message_may_have_16_mib),
        line_test(who_never_reads_costs_a_bounded_amount),
        line_test(the_end_is_told_after_what_was_sent),
        line_test(a_channel_may_be_freed_by_its_message),
    };

    return cmocka_run_group_tests(tests, process_setup, process_teardown);
}
