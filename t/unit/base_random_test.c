#include "core/base/random.h"

#include <sys/wait.h>
#include <unistd.h>

#include "t/unit/base_unit.h"

static void two_keys_differ(void **state)
{
    unsigned char one[32] = {0}, other[32] = {0};

    (void) state;

    weir_random_bytes(one, sizeof(one));
    weir_random_bytes(other, sizeof(other));
    assert_memory_not_equal(one, other, sizeof(one));
}

static void no_bytes_past_the_end_are_written(void **state)
{
    unsigned char bytes[20];

    (void) state;

    for (size_t len = 0; len < 16; len++) {
        memset(bytes, 0x5a, sizeof(bytes));
        weir_random_bytes(bytes, len);
        for (size_t i = len; i < sizeof(bytes); i++) {
            assert_int_equal(bytes[i], 0x5a);
        }
    }
}

/* Of a million each bit is set in half, give or take 500: ten times that is allowed. */
static void fast_numbers_use_all_bits(void **state)
{
    unsigned set[64] = {0};

    (void) state;

    for (unsigned i = 0; i < 1000000; i++) {
        uint64_t number = weir_random_fast();

        for (unsigned bit = 0; bit < 64; bit++) {
            set[bit] += number >> bit & 1;
        }
    }

    for (unsigned bit = 0; bit < 64; bit++) {
        assert_in_range(set[bit], 500000 - 5000, 500000 + 5000);
    }
}

static void a_worker_goes_its_own_way_after_a_reseed(void **state)
{
    uint64_t mine, theirs = 0;
    int pipes[2], status;
    pid_t child;

    (void) state;
    weir_random_fast();
    assert_int_equal(pipe(pipes), 0);

    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        weir_random_reseed();
        theirs = weir_random_fast();
        _exit(write(pipes[1], &theirs, sizeof(theirs)) != sizeof(theirs));
    }

    mine = weir_random_fast();
    assert_int_equal(read(pipes[0], &theirs, sizeof(theirs)), sizeof(theirs));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(mine != theirs);
    close(pipes[0]);
    close(pipes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_keys_differ),
        cmocka_unit_test(no_bytes_past_the_end_are_written),
        cmocka_unit_test(fast_numbers_use_all_bits),
        cmocka_unit_test(a_worker_goes_its_own_way_after_a_reseed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
