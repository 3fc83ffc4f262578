/* The keeper: its chores are run by one process, whatever becomes of the others. */

#include "t/unit/process_unit.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "core/process/worker_internal.h"

#define PATIENCE_MS 30000

/* A keeper in a process of its own. */
typedef struct {
    pid_t pid;
    int heard; /* what its chore tells: 's' started, 'e' stopped */
    int line;  /* the master's end of its channel */
} keeper;

static int chore_tells; /* in the keeper */

static void chore_tell(char what)
{
    if (write(chore_tells, &what, 1) != 1) {
        _exit(99);
    }
}

static bool chore_start(weir_worker *worker, weir_chore *chore)
{
    (void) chore;
    chore_tell(worker->is_keeper ? 's' : '?');
    return true;
}

static void chore_stop(weir_worker *worker, weir_chore *chore)
{
    (void) worker;
    (void) chore;
    chore_tell('e');
}

static weir_chore chore = {.name = "telling", .start = chore_start, .stop = chore_stop};

static weir_cycle *cycle_with_chore(weir_cycle *previous)
{
    weir_cycle *cycle = process_load("", previous);

    assert_non_null(cycle);
    assert_true(weir_chore_register(cycle, &chore));
    return cycle;
}

static keeper keeper_begin(weir_cycle *cycle)
{
    int heard[2], line[2];
    keeper k;

    assert_int_equal(pipe2(heard, O_CLOEXEC), 0);
    assert_true(weir_channel_pair(line, &unit.log));
    k = (keeper){.pid = fork(), .heard = heard[0], .line = line[0]};
    assert_int_not_equal(k.pid, -1);

    if (k.pid == 0) {
        close(line[0]);
        chore_tells = heard[1];
        _exit(weir_keeper_main(cycle, 0, line[1]));
    }
    close(heard[1]);
    close(line[1]);
    return k;
}

/* '\0' after `wait_ms` of silence, or at its end. */
static char keeper_hear(const keeper *k, int wait_ms)
{
    struct pollfd wait = {.fd = k->heard, .events = POLLIN};
    char what = '\0';

    return poll(&wait, 1, wait_ms) == 1 && read(k->heard, &what, 1) == 1 ? what : '\0';
}

static int keeper_end(keeper *k, int signal)
{
    int status = -1;

    kill(k->pid, signal);
    assert_int_equal(waitpid(k->pid, &status, 0), k->pid);
    close(k->line);
    return status;
}

static void one_works_and_the_next_takes_over(void **state)
{
    weir_cycle *one = cycle_with_chore(NULL), *two = cycle_with_chore(one);
    keeper first = keeper_begin(one), second;

    (void) state;
    assert_int_equal(keeper_hear(&first, PATIENCE_MS), 's');
    second = keeper_begin(two);
    assert_int_equal(keeper_hear(&second, 300), '\0');

    assert_int_equal(keeper_end(&first, SIGTERM), 0);
    assert_int_equal(keeper_hear(&first, PATIENCE_MS), 'e');
    assert_int_equal(keeper_hear(&second, PATIENCE_MS), 's');
    assert_int_equal(keeper_end(&second, SIGTERM), 0);
    close(first.heard);
    close(second.heard);
    weir_cycle_free(one);
    weir_cycle_free(two);
}

static void one_that_is_killed_leaves_the_work_to_the_next(void **state)
{
    weir_cycle *cycle = cycle_with_chore(NULL);
    keeper first = keeper_begin(cycle), second;

    (void) state;
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(keeper_hear(&first, PATIENCE_MS), 's');
        second = keeper_begin(cycle);
        keeper_end(&first, SIGKILL);
        close(first.heard);
        first = second;
    }
    assert_int_equal(keeper_hear(&first, PATIENCE_MS), 's');
    assert_int_equal(keeper_end(&first, SIGTERM), 0);
    close(first.heard);
    weir_cycle_free(cycle);
}

static void it_ends_when_it_is_told_to(void **state)
{
    weir_cycle *cycle = cycle_with_chore(NULL);
    keeper k = keeper_begin(cycle);
    weir_loop *loop = weir_loop_new(&unit.log);
    const weir_channel_owner owner = {NULL, NULL, NULL};
    weir_channel *channel;
    int status;

    (void) state;
    assert_int_equal(keeper_hear(&k, PATIENCE_MS), 's');
    channel = weir_channel_new(loop, k.line, &owner);
    assert_true(weir_channel_send(channel, WEIR_SAY_DRAIN, WEIR_STR_EMPTY));
    assert_int_equal(waitpid(k.pid, &status, 0), k.pid);
    assert_int_equal(status, 0);
    assert_int_equal(keeper_hear(&k, PATIENCE_MS), 'e');
    close(k.heard);
    weir_channel_free(channel);
    weir_loop_free(loop);
    weir_cycle_free(cycle);
}

static void it_goes_on_without_a_master(void **state)
{
    weir_cycle *cycle = cycle_with_chore(NULL);
    keeper k = keeper_begin(cycle);

    (void) state;
    assert_int_equal(keeper_hear(&k, PATIENCE_MS), 's');
    close(k.line);
    assert_int_equal(keeper_hear(&k, 300), '\0');
    assert_int_equal(kill(k.pid, 0), 0);
    k.line = -1;
    assert_int_equal(keeper_end(&k, SIGQUIT), 0);
    close(k.heard);
    weir_cycle_free(cycle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_works_and_the_next_takes_over),
        cmocka_unit_test(one_that_is_killed_leaves_the_work_to_the_next),
        cmocka_unit_test(it_ends_when_it_is_told_to),
        cmocka_unit_test(it_goes_on_without_a_master),
    };

    return cmocka_run_group_tests(tests, process_setup, process_teardown);
}
