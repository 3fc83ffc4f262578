#include "core/base/log_sink.h"

#include "core/base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "t/unit/base_unit.h"

static char folder[] = P_tmpdir "/base_log_sink_XXXXXX";

/* A path in a folder of this test's own; valid until the next call. */
static weir_str path_of(const char *name)
{
    static char path[256];

    return weir_str_of(path, (size_t) snprintf(path, sizeof(path), "%s/%s", folder, name));
}

static void move(const char *from, const char *to)
{
    char old[256];
    weir_str path = path_of(from);

    memcpy(old, path.data, path.len + 1);
    assert_int_equal(rename(old, path_of(to).data), 0);
}

static const char *content(const char *name)
{
    static char text[512];
    FILE *file = fopen(path_of(name).data, "r");
    size_t len;

    assert_non_null(file);
    len = fread(text, 1, sizeof(text) - 1, file);
    text[len] = '\0';
    fclose(file);
    return text;
}

static void write_line(weir_log_file *file, const char *line)
{
    (void) weir_log_file_write(file, weir_str_from_z(line));
}

static void equal_paths_share_a_file(void **state)
{
    weir_log_files *files = weir_log_files_new(*state);
    weir_log_file *a = weir_log_files_get(files, path_of("a"));
    weir_log_file *b = weir_log_files_get(files, path_of("b"));

    assert_non_null(a);
    assert_ptr_not_equal(a, b);
    assert_ptr_equal(weir_log_files_get(files, path_of("a")), a);
    assert_str_eq(weir_log_file_path(a), path_of("a"));

    assert_ptr_equal(weir_log_files_next(files, NULL), a);
    assert_ptr_equal(weir_log_files_next(files, a), b);
    assert_null(weir_log_files_next(files, b));
}

static void a_path_with_a_nul_is_refused(void **state)
{
    weir_log_files *files = weir_log_files_new(*state);

    assert_null(weir_log_files_get(files, WEIR_STR("/a\0b")));
    assert_null(weir_log_files_next(files, NULL));
}

static void files_are_created_and_appended_to(void **state)
{
    for (int round = 0; round < 2; round++) {
        weir_log_files *files = weir_log_files_new(*state);
        weir_log_file *file = weir_log_files_get(files, path_of("appended"));
        struct stat stat;

        assert_int_equal(weir_log_file_fd(file), STDERR_FILENO);
        assert_true(weir_log_files_open(files, NULL));
        assert_int_not_equal(weir_log_file_fd(file), STDERR_FILENO);
        assert_true(fcntl(weir_log_file_fd(file), F_GETFL) & O_APPEND);
        assert_true(fcntl(weir_log_file_fd(file), F_GETFD) & FD_CLOEXEC);
        assert_int_equal(fstat(weir_log_file_fd(file), &stat), 0);
        assert_int_equal(stat.st_mode & 0777, 0644);
        write_line(file, "a line\n");
        weir_log_files_close(files);
        assert_int_equal(weir_log_file_fd(file), STDERR_FILENO);
    }

    assert_string_equal(content("appended"), "a line\na line\n");
}

static void opening_twice_opens_the_new_ones_alone(void **state)
{
    weir_log_files *files = weir_log_files_new(*state);
    weir_log_file *old = weir_log_files_get(files, path_of("old")), *new;
    int fd;

    assert_true(weir_log_files_open(files, NULL));
    fd = weir_log_file_fd(old);
    new = weir_log_files_get(files, path_of("new"));
    assert_true(weir_log_files_open(files, NULL));
    assert_int_equal(weir_log_file_fd(old), fd);
    assert_int_not_equal(weir_log_file_fd(new), fd);
    assert_int_not_equal(weir_log_file_fd(new), STDERR_FILENO);
}

static void freeing_the_pool_closes_the_files(void **state)
{
    weir_pool *pool = weir_pool_new(512, 0);
    weir_log_files *files = weir_log_files_new(pool);
    weir_log_file *file = weir_log_files_get(files, path_of("freed"));
    int fd;

    (void) state;
    assert_true(weir_log_files_open(files, NULL));
    fd = weir_log_file_fd(file);
    assert_int_not_equal(fcntl(fd, F_GETFD), -1);
    weir_pool_free(pool);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void one_that_cannot_be_opened_is_named(void **state)
{
    weir_log_files *files = weir_log_files_new(*state), *bad = weir_log_files_new(*state);
    weir_log_target *target = weir_log_target_new(*state);
    weir_log log = {.target = target};

    assert_true(weir_log_target_add_file(target, weir_log_files_get(files, path_of("errors")),
                                         WEIR_LOG_EMERG));
    assert_true(weir_log_files_open(files, NULL));

    assert_non_null(weir_log_files_get(bad, path_of("no/folder")));
    assert_false(weir_log_files_open(bad, &log));
    assert_non_null(strstr(content("errors"), "[emerg]"));
    assert_non_null(strstr(content("errors"), "open() \""));
    assert_non_null(
        strstr(content("errors"), "/no/folder\" failed (2: No such file or directory)\n"));
}

static void reopening_follows_the_name_and_keeps_the_number(void **state)
{
    weir_log_files *files = weir_log_files_new(*state);
    weir_log_file *file = weir_log_files_get(files, path_of("rotated"));
    int fd;

    assert_true(weir_log_files_open(files, NULL));
    fd = weir_log_file_fd(file);
    write_line(file, "before\n");

    move("rotated", "rotated.1");
    write_line(file, "between\n");
    weir_log_files_reopen(files, (unsigned) -1, NULL);
    write_line(file, "after\n");

    assert_int_equal(weir_log_file_fd(file), fd);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_string_equal(content("rotated.1"), "before\nbetween\n");
    assert_string_equal(content("rotated"), "after\n");
}

static void reopening_leaves_no_descriptor_behind(void **state)
{
    weir_log_files *files = weir_log_files_new(*state);
    int lowest_before, lowest_after;

    assert_non_null(weir_log_files_get(files, path_of("counted")));
    assert_true(weir_log_files_open(files, NULL));
    lowest_before = dup(STDOUT_FILENO);
    close(lowest_before);
    weir_log_files_reopen(files, (unsigned) -1, NULL);
    lowest_after = dup(STDOUT_FILENO);
    close(lowest_after);
    assert_int_equal(lowest_after, lowest_before);
}

static void one_that_cannot_be_reopened_goes_on(void **state)
{
    weir_log_files *files = weir_log_files_new(*state);
    weir_log_file *file;

    assert_int_equal(mkdir(path_of("gone").data, 0755), 0);
    file = weir_log_files_get(files, path_of("gone/log"));
    assert_true(weir_log_files_open(files, NULL));
    move("gone", "here");
    write_line(file, "a\n");
    weir_log_files_reopen(files, (unsigned) -1, &(weir_log){.target = weir_log_target_new(*state)});
    write_line(file, "b\n");
    assert_string_equal(content("here/log"), "a\nb\n");
}

static void reopened_files_are_given_to_the_workers_user(void **state)
{
    weir_log_files *files = weir_log_files_new(*state);
    weir_log_file *file = weir_log_files_get(files, path_of("given"));
    weir_log_file *null = weir_log_files_get(files, WEIR_STR("/dev/null"));
    struct stat stat;

    if (getuid() != 0) {
        skip();
    }

    assert_true(weir_log_files_open(files, NULL));
    weir_log_files_reopen(files, 33, NULL);
    assert_int_equal(fstat(weir_log_file_fd(file), &stat), 0);
    assert_int_equal(stat.st_uid, 33);

    /* What is no regular file belongs to everybody. */
    assert_int_equal(fstat(weir_log_file_fd(null), &stat), 0);
    assert_int_equal(stat.st_uid, 0);
}

static void a_full_disk_is_no_reason_to_wait(void **state)
{
    weir_log_files *files = weir_log_files_new(*state);
    weir_log_file *full = weir_log_files_get(files, WEIR_STR("/dev/full"));

    assert_true(weir_log_files_open(files, NULL));
    for (int i = 0; i < 1000; i++) {
        write_line(full, "lost\n");
    }
}

static void what_the_disk_has_half_room_for_leaves_nothing(void **state)
{
    weir_log_files *files = weir_log_files_new(*state);
    weir_log_file *file = weir_log_files_get(files, path_of("half"));
    struct rlimit before, small;

    assert_true(weir_log_files_open(files, NULL));
    write_line(file, "one\n");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){.rlim_cur = 8, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    write_line(file, "is too long\n");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_string_equal(content("half"), "one\n");

    /* It is left alone for a second. */
    for (int i = 0; i < 400 && strcmp(content("half"), "one\n") == 0; i++) {
        const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};

        (void) nanosleep(&pause, NULL);
        weir_clock_update();
        write_line(file, "two\n");
    }
    assert_string_equal(content("half"), "one\ntwo\n");
}

static bool set_up_logs(weir_pool *pool)
{
    weir_log_files *files = weir_log_files_new(pool);
    weir_log_target *target = weir_log_target_new(pool);
    weir_log_file *file;

    if (files == NULL || target == NULL) {
        return false;
    }

    file = weir_log_files_get(files, WEIR_STR("/dev/null"));
    if (file == NULL) {
        assert_null(weir_log_files_next(files, NULL));
        return false;
    }

    return weir_log_target_add_file(target, file, WEIR_LOG_INFO)
           && weir_log_target_add_stderr(target, WEIR_LOG_ERR)
           && weir_log_target_add_console(target, WEIR_LOG_ERR) && weir_log_files_open(files, NULL)
           && target->level == WEIR_LOG_INFO;
}

static void every_allocation_may_fail(void **state)
{
    (void) state;
    assert_true(unit_fail_each_allocation(set_up_logs) > 100);
}

static int make_folder(void **state)
{
    (void) state;
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    const char *names[] = {"appended",  "old",     "new",      "freed", "errors", "rotated",
                           "rotated.1", "counted", "here/log", "given", "half"};

    (void) state;

    for (size_t i = 0; i < WEIR_COUNT(names); i++) {
        unlink(path_of(names[i]).data);
    }
    rmdir(path_of("here").data);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_with_pool(equal_paths_share_a_file),
        unit_test_with_pool(a_path_with_a_nul_is_refused),
        unit_test_with_pool(files_are_created_and_appended_to),
        unit_test_with_pool(opening_twice_opens_the_new_ones_alone),
        cmocka_unit_test(freeing_the_pool_closes_the_files),
        unit_test_with_pool(one_that_cannot_be_opened_is_named),
        unit_test_with_pool(reopening_follows_the_name_and_keeps_the_number),
        unit_test_with_pool(reopening_leaves_no_descriptor_behind),
        unit_test_with_pool(one_that_cannot_be_reopened_goes_on),
        unit_test_with_pool(reopened_files_are_given_to_the_workers_user),
        unit_test_with_pool(a_full_disk_is_no_reason_to_wait),
        unit_test_with_pool(what_the_disk_has_half_room_for_leaves_nothing),
        cmocka_unit_test(every_allocation_may_fail),
    };

    umask(022);
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
