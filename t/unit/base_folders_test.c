#include "core/base/folders.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "t/unit/base_unit.h"

static void the_folders_on_the_way_are_made_and_the_last_name_is_not(void **state)
{
    char root[] = "/tmp/weir-folders-XXXXXX";
    char path[64];
    struct stat found;

    (void) state;
    assert_non_null(mkdtemp(root));

    (void) snprintf(path, sizeof(path), "%s/a/b/c", root);
    assert_true(weir_folders_make(path, 0750));
    assert_true(weir_folders_make(path, 0750));
    assert_int_equal(stat(path, &found), -1);

    (void) snprintf(path, sizeof(path), "%s/a/b", root);
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode, S_IFDIR | 0750);

    assert_int_equal(rmdir(path), 0);
    (void) snprintf(path, sizeof(path), "%s/a/b//", root);
    assert_true(weir_folders_make(path, 0750));
    assert_int_equal(stat(path, &found), -1);

    (void) snprintf(path, sizeof(path), "%s/a", root);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(root), 0);
}

static void what_is_in_the_way_is_an_error(void **state)
{
    (void) state;
    errno = 0;
    assert_false(weir_folders_make("/dev/null/a/b", 0700));
    assert_int_equal(errno, ENOTDIR);
}

static void a_path_has_an_end(void **state)
{
    char path[PATH_MAX + 2];

    (void) state;
    for (size_t i = 0; i < sizeof(path) - 1; i++) {
        path[i] = i % 2 == 0 ? '/' : '.';
    }
    path[sizeof(path) - 1] = '\0';
    errno = 0;
    assert_false(weir_folders_make(path, 0700));
    assert_int_equal(errno, ENAMETOOLONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_folders_on_the_way_are_made_and_the_last_name_is_not),
        cmocka_unit_test(what_is_in_the_way_is_an_error),
        cmocka_unit_test(a_path_has_an_end),
    };

    umask(022);

    return cmocka_run_group_tests(tests, NULL, NULL);
}
