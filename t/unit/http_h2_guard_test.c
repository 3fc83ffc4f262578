#include "t/unit/unit.h"

#include "modules/http/wire/h2_guard.h"

/* What a client's frames cost, looked at as they come. */

#define HEAD_MAX 250 /* and four times that at most */

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static h2_guard begun(void)
{
    h2_guard guard;

    h2_guard_begin(&guard, 1000);
    assert_int_equal(
        h2_guard_look(&guard, weir_str_of(preface, sizeof(preface) - 1), HEAD_MAX, 1000),
        H2_GUARD_FINE);
    return guard;
}

static h2_guard_verdict frame(h2_guard *guard, unsigned type, unsigned flags, unsigned len,
                              uint64_t now_ms)
{
    static const char payload[20000];
    char head[9] = {(char) (len >> 16), (char) (len >> 8), (char) len, (char) type, (char) flags};
    h2_guard_verdict verdict;

    head[8] = 1;
    verdict = h2_guard_look(guard, weir_str_of(head, sizeof(head)), HEAD_MAX, now_ms);
    return verdict != H2_GUARD_FINE
               ? verdict
               : h2_guard_look(guard, weir_str_of(payload, len), HEAD_MAX, now_ms);
}

/* How many frames are let pass before the flood is seen. */
static unsigned borne(unsigned type, unsigned len)
{
    h2_guard guard = begun();
    unsigned count = 0;

    while (count < 100000 && frame(&guard, type, 0, len, 1000) == H2_GUARD_FINE) {
        count++;
    }
    return count;
}

static void frames_that_only_make_work_use_the_credit_up(void **state)
{
    (void) state;
    assert_in_range(borne(6, 8), 500, 1500);   /* PING */
    assert_in_range(borne(4, 6), 200, 1000);   /* SETTINGS */
    assert_in_range(borne(2, 5), 1000, 4000);  /* PRIORITY */
    assert_in_range(borne(0, 0), 1000, 4000);  /* DATA without content */
    assert_in_range(borne(9, 0), 500, 1500);   /* CONTINUATION */
    assert_in_range(borne(66, 9000), 10, 200); /* unknown, and long */
}

static void bodies_cost_nothing(void **state)
{
    (void) state;
    assert_int_equal(borne(0, 16384), 100000);
    assert_int_equal(borne(0, H2_BODY_FRAME_MIN), 100000);
    /* Many small messages of gRPC may come at once. */
    assert_int_equal(borne(0, 5), 100000);
}

static void bytes_of_an_origins_body_cost_nothing_one_by_one(void **state)
{
    h2_guard guard;

    (void) state;
    h2_guard_begin_server(&guard, 1000);
    for (unsigned i = 0; i < 100000; i++) {
        assert_int_equal(frame(&guard, 0, 0, 1, 1000), H2_GUARD_FINE);
    }
    for (unsigned i = 0; i < 1000; i++) {
        (void) frame(&guard, 0, 0, 0, 1000);
    }
    assert_true(guard.credit < 2000);
}

static void time_fills_the_credit(void **state)
{
    h2_guard guard = begun();
    uint64_t now_ms = 1000;

    (void) state;
    /* A hundred PING frames a second, for ever. */
    for (unsigned i = 0; i < 20000; i++) {
        now_ms += 10;
        assert_int_equal(frame(&guard, 6, 0, 8, now_ms), H2_GUARD_FINE);
    }
}

static void what_is_earned_is_bounded(void **state)
{
    h2_guard guard = begun();
    unsigned count = 0;

    (void) state;
    for (unsigned i = 0; i < 1000000; i++) {
        h2_guard_earn(&guard, H2_EARN_RESPONSE);
    }
    while (frame(&guard, 6, 0, 8, 1000) == H2_GUARD_FINE) {
        count++;
    }
    assert_in_range(count, 2000, 5000);
}

static void a_charge_counts_as_frames_do(void **state)
{
    h2_guard guard = begun();

    (void) state;
    for (unsigned i = 0; i < 1000; i++) {
        h2_guard_charge(&guard, H2_COST_CANCEL);
    }
    assert_int_equal(frame(&guard, 6, 0, 8, 1000), H2_GUARD_FLOOD);
}

static void field_sections_cost_by_their_bytes_until_they_are_taken(void **state)
{
    h2_guard guard = begun();
    int64_t whole = guard.credit;

    (void) state;
    assert_int_equal(frame(&guard, 1, 0, 256, 1000), H2_GUARD_FINE);
    assert_int_equal(whole - guard.credit, 1 + 2);
    assert_int_equal(frame(&guard, 9, 4, 640, 1000), H2_GUARD_FINE);
    assert_int_equal(whole - guard.credit, 1 + 2 + 2 + 5);
    h2_guard_head_taken(&guard, 256 + 640);
    assert_int_equal(whole - guard.credit, 1 + 2);
}

static void the_largest_head_that_is_taken_is_borne(void **state)
{
    static const char payload[16384];
    static const size_t head_max = 4 << 20;
    h2_guard guard = begun();

    (void) state;
    for (size_t i = 0; i < head_max / sizeof(payload); i++) {
        const char head[9] = {0, 0x40, 0, i == 0 ? 1 : 9, 0, 0, 0, 0, 1};

        assert_int_equal(h2_guard_look(&guard, weir_str_of(head, sizeof(head)), head_max, 1000),
                         H2_GUARD_FINE);
        assert_int_equal(
            h2_guard_look(&guard, weir_str_of(payload, sizeof(payload)), head_max, 1000),
            H2_GUARD_FINE);
    }
}

static void a_field_section_is_bounded_over_its_frames(void **state)
{
    h2_guard guard = begun();

    (void) state;
    assert_int_equal(frame(&guard, 1, 0, 600, 1000), H2_GUARD_FINE);
    assert_int_equal(frame(&guard, 9, 0, 400, 1000), H2_GUARD_FINE);
    assert_int_equal(frame(&guard, 9, 4, 1, 1000), H2_GUARD_TOO_LARGE);

    guard = begun();
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(frame(&guard, 1, 4, 1000, 1000), H2_GUARD_FINE);
    }
}

static h2_guard_verdict priority_of(h2_guard *guard, char stream, char depends_on)
{
    const char bytes[] = {0, 0, 5, 2, 0, 0, 0, 0, stream, (char) 0x80, 0, 0, depends_on, 16};

    return h2_guard_look(guard, weir_str_of(bytes, sizeof(bytes)), HEAD_MAX, 1000);
}

static void it_asks_for_what_nghttp2_does_not_look_at(void **state)
{
    h2_guard guard = begun();

    (void) state;
    assert_int_equal(frame(&guard, 9, 4, 16385, 1000), H2_GUARD_FRAME_SIZE);
    guard = begun();
    assert_int_equal(priority_of(&guard, 0, 3), H2_GUARD_PRIORITY);
    guard = begun();
    assert_int_equal(priority_of(&guard, 3, 1), H2_GUARD_FINE);
    assert_int_equal(priority_of(&guard, 3, 3), H2_GUARD_PRIORITY);
}

static void data_on_a_stream_that_has_ended_is_seen(void **state)
{
    h2_guard guard = begun();

    (void) state;
    assert_int_equal(frame(&guard, 0, 1, 10, 1000), H2_GUARD_FINE);
    assert_int_equal(frame(&guard, 3, 0, 4, 1000), H2_GUARD_FINE);
    assert_int_equal(frame(&guard, 0, 1, 10, 1000), H2_GUARD_ENDED);

    guard = begun();
    h2_guard_ended(&guard, 1);
    assert_int_equal(frame(&guard, 0, 1, 10, 1000), H2_GUARD_ENDED);
    for (unsigned i = 0; i < H2_ENDED_KEPT; i++) {
        h2_guard_ended(&guard, 3 + 2 * i);
    }
    assert_int_equal(frame(&guard, 0, 1, 10, 1000), H2_GUARD_FINE);
}

static void frames_may_be_cut_anywhere(void **state)
{
    char bytes[3 * 17 + 14] = "\0\0\5\2\0\0\0\0\1\0\0\0\3\20";
    size_t len = 14;

    (void) state;
    for (unsigned i = 0; i < 3; i++) {
        memcpy(bytes + len,
               "\0\0\10\6\0\0\0\0\0"
               "12345678",
               17);
        len += 17;
    }
    for (size_t at = 0; at <= len; at++) {
        h2_guard whole = begun();
        h2_guard cut = begun();

        (void) h2_guard_look(&whole, weir_str_of(bytes, len), HEAD_MAX, 1000);
        (void) h2_guard_look(&cut, weir_str_of(bytes, at), HEAD_MAX, 1000);
        (void) h2_guard_look(&cut, weir_str_of(bytes + at, len - at), HEAD_MAX, 1000);
        assert_int_equal(cut.credit, whole.credit);
        assert_int_equal(cut.left, 0);
        assert_int_equal(cut.head_len, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_that_only_make_work_use_the_credit_up),
        cmocka_unit_test(bodies_cost_nothing),
        cmocka_unit_test(bytes_of_an_origins_body_cost_nothing_one_by_one),
        cmocka_unit_test(time_fills_the_credit),
        cmocka_unit_test(what_is_earned_is_bounded),
        cmocka_unit_test(a_charge_counts_as_frames_do),
        cmocka_unit_test(field_sections_cost_by_their_bytes_until_they_are_taken),
        cmocka_unit_test(the_largest_head_that_is_taken_is_borne),
        cmocka_unit_test(a_field_section_is_bounded_over_its_frames),
        cmocka_unit_test(it_asks_for_what_nghttp2_does_not_look_at),
        cmocka_unit_test(data_on_a_stream_that_has_ended_is_seen),
        cmocka_unit_test(frames_may_be_cut_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
