/* The directives of the main level and of events, and what they make of a process. */

#include "t/unit/process_unit.h"

#include "core/process/pid_file.h"
#include "core/process/privileges_internal.h"
#include "core/process/slots_internal.h"
#include "core/process/zone.h"

static void assert_refusal(const char *main_level, const char *message)
{
    weir_cycle *cycle = process_read(main_level);

    if (cycle != NULL) {
        fail_msg("accepted: %s", main_level);
    }
    assert_said(message);
}

static weir_cycle *accepted(const char *main_level)
{
    weir_cycle *cycle = process_read(main_level);

    if (cycle == NULL) {
        fail_msg("refused: %s: %s", main_level, unit.said);
    }
    return cycle;
}

static void has_presets(void **state)
{
    weir_cycle *cycle = accepted("");
    const weir_core_conf *core = cycle->core;

    (void) state;
    assert_true(core->daemon);
    assert_true(core->master_process);
    assert_int_equal(core->worker_processes, 1);
    assert_int_equal(core->rlimit_nofile, 0);
    assert_false(core->rlimit_core.given);
    assert_null(core->affinity.masks);
    assert_int_equal(weir_core_events(core)->worker_connections, 512);
    assert_false(weir_core_events(core)->multi_accept);
    assert_string_equal(unit.said, "");
    weir_cycle_free(cycle);
}

static void refuses_what_is_wrong(void **state)
{
    static const char *const rows[][2] = {
        {"worker_processes 0;", "\"worker_processes\" takes \"auto\" or a number"},
        {"worker_processes many;", "invalid value \"many\""},
        {"worker_cpu_affinity 012;", "invalid character \"2\""},
        {"worker_cpu_affinity auto 00;", "names no CPU"},
        {"worker_cpu_affinity auto 01 10;", "invalid number of arguments"},
        {"worker_priority x;", "invalid number \"x\""},
        {"worker_rlimit_nofile 0;", "invalid number \"0\""},
        {"worker_rlimit_core x;", "invalid value \"x\""},
        {"working_directory /nonexistent/folder;", "(2: No such file or directory)"},
        {"thread_pool a;", "invalid number of arguments"},
        {"thread_pool a max_queue=1;", "needs \"threads=\""},
        {"thread_pool a threads=0;", "invalid parameter \"threads=0\""},
        {"env =x;", "needs the name of a variable"},
        {"ssl_engine x;", "BoringSSL has no engines"},
        {"error_log x loud;", "invalid log level \"loud\""},
        {"error_log memory:32m debug;", "logs in memory are not supported"},
        {"error_log syslog:server=127.0.0.1,facility=x;", "facility"},
        {"events {}", "is duplicate"},
    };

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(rows); i++) {
        assert_refusal(rows[i][0], rows[i][1]);
    }
}

static void refuses_what_is_wrong_in_events(void **state)
{
    static const char *const rows[][2] = {
        {"events { use kqueue; }", "invalid event type \"kqueue\""},
        {"events { worker_connections 0; }", "worker_connections"},
        {"events { accept_mutex maybe; }", "must be \"on\" or \"off\""},
        {"events { debug_connection no.invalid; }",
         "host not found in debug_connection \"no.invalid\""},
        {"", "no \"events\" section in configuration"},
    };

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(rows); i++) {
        weir_conf_options options = process_options(rows[i][0], true);

        process_catch();
        assert_null(weir_cycle_read(&options));
        process_caught();
        assert_said(rows[i][1]);
    }
}

static void warns_of_what_has_no_effect(void **state)
{
    static const char *const rows[] = {"lock_file x;", "timer_resolution 100ms;",
                                       "debug_points abort;", "pcre_jit off;"};

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(rows); i++) {
        weir_cycle_free(accepted(rows[i]));
        assert_said("[warn]");
    }
    weir_cycle_free(accepted("pcre_jit on;"));
    assert_string_equal(unit.said, "");
}

static void workers_take_turns_on_processors(void **state)
{
    weir_cycle *masks = accepted("worker_processes 3; worker_cpu_affinity 0101 10;");
    weir_cycle *automatic;
    cpu_set_t set;

    (void) state;
    assert_said("using last mask for remaining worker processes");
    assert_true(weir_affinity_of(&masks->core->affinity, 0, &set));
    assert_true(CPU_ISSET(0, &set) && CPU_ISSET(2, &set) && CPU_COUNT(&set) == 2);
    for (size_t i = 1; i < 3; i++) {
        assert_true(weir_affinity_of(&masks->core->affinity, i, &set));
        assert_true(CPU_ISSET(1, &set) && CPU_COUNT(&set) == 1);
    }
    weir_cycle_free(masks);

    automatic = accepted("worker_cpu_affinity auto 1010;");
    for (size_t i = 0; i < 4; i++) {
        assert_true(weir_affinity_of(&automatic->core->affinity, i, &set));
        assert_true(CPU_ISSET(i % 2 == 0 ? 1 : 3, &set) && CPU_COUNT(&set) == 1);
    }
    weir_cycle_free(automatic);
}

static bool has(char *const *environment, const char *variable)
{
    for (; *environment != NULL; environment++) {
        if (strcmp(*environment, variable) == 0) {
            return true;
        }
    }
    return false;
}

static void only_named_variables_stay(void **state)
{
    static char variable[] = "MORE=1";
    char *const more[] = {variable, NULL};
    weir_cycle *cycle = accepted("env KEPT; env GIVEN=value; env NONE_SUCH;");
    char **environment;
    size_t count = 0;

    (void) state;
    setenv("KEPT", "here", 1);
    setenv("DROPPED", "x", 1);
    setenv("KEPT_NOT", "x", 1);
    setenv("TZ", "UTC", 1);
    environment = weir_privileges_environment(cycle->core, more);
    while (environment[count] != NULL) {
        count++;
    }
    assert_int_equal(count, 4);
    assert_true(has(environment, "KEPT=here"));
    assert_true(has(environment, "GIVEN=value"));
    assert_true(has(environment, "TZ=UTC"));
    assert_true(has(environment, "MORE=1"));
    free(environment);
    weir_cycle_free(cycle);
}

static void a_reload_keeps_zones_and_fails_without_harm(void **state)
{
    weir_cycle *one = process_load("", NULL), *two;
    const void *memory;

    (void) state;
    assert_non_null(one);
    assert_int_equal(one->generation, 1);
    memory = weir_zone_memory(one->zone);
    assert_non_null(memory);
    assert_null(process_load("bogus;", one));
    assert_null(process_load("error_log /nonexistent/folder/log;", one));

    two = process_load("worker_processes 2;", one);
    assert_non_null(two);
    assert_int_equal(two->generation, 2);
    assert_null(two->previous);
    assert_ptr_equal(weir_zone_memory(two->zone), memory);
    weir_cycle_free(one);
    weir_cycle_free(two);
}

static void no_generation_has_the_number_of_one_that_was_taken_back(void **state)
{
    weir_cycle *one = process_load("", NULL), *other, *three;

    (void) state;
    other = process_load("", one);
    assert_int_equal(other->generation, 2);
    other->generation = 7; /* as that of a new binary, which read its configuration again */
    weir_slots_note_generation(other);
    weir_cycle_free(other);

    three = process_load("", one);
    assert_int_equal(three->generation, 8);
    weir_cycle_free(one);
    weir_cycle_free(three);
}

static void a_pid_file_goes_only_with_its_process(void **state)
{
    const char *path = process_path("test.pid");
    pid_t pid = 0;

    (void) state;
    assert_true(weir_pid_file_write(path, &unit.log));
    assert_true(weir_pid_file_read(path, &pid, &unit.log));
    assert_int_equal(pid, getpid());
    weir_pid_file_remove(path, &unit.log);
    assert_int_equal(access(path, F_OK), -1);

    process_write("test.pid", "1\n");
    weir_pid_file_remove(path, &unit.log);
    assert_int_equal(access(path, F_OK), 0);
}

static void a_pid_file_without_a_number_is_refused(void **state)
{
    static const char *const texts[] = {"", "\n", "x\n", "0\n", "-1\n", "12x\n", "99999999999\n"};
    pid_t pid;

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(texts); i++) {
        process_write("test.pid", texts[i]);
        process_catch();
        assert_false(weir_pid_file_read(process_path("test.pid"), &pid, &unit.log));
        process_caught();
        assert_said("invalid PID number");
    }
    process_catch();
    assert_false(weir_pid_file_read(process_path("none.pid"), &pid, &unit.log));
    process_caught();
    assert_said("failed (2: No such file or directory)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_presets),
        cmocka_unit_test(refuses_what_is_wrong),
        cmocka_unit_test(refuses_what_is_wrong_in_events),
        cmocka_unit_test(warns_of_what_has_no_effect),
        cmocka_unit_test(workers_take_turns_on_processors),
        cmocka_unit_test(only_named_variables_stay),
        cmocka_unit_test(a_reload_keeps_zones_and_fails_without_harm),
        cmocka_unit_test(no_generation_has_the_number_of_one_that_was_taken_back),
        cmocka_unit_test(a_pid_file_goes_only_with_its_process),
        cmocka_unit_test(a_pid_file_without_a_number_is_refused),
    };

    return cmocka_run_group_tests(tests, process_setup, process_teardown);
}
