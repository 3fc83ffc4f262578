/* Symbolic links to files that the master watches. */

#include "t/unit/process_watch_unit.h"

static void link_to(const char *target, const char *name)
{
    char temporary[512];

    snprintf(temporary, sizeof(temporary), "%s", process_path("link.new"));
    assert_int_equal(symlink(target, temporary), 0);
    assert_int_equal(rename(temporary, process_path(name)), 0);
}

/* certbot: live/name/fullchain.pem leads to ../../archive/name/fullchainN.pem. */
static void a_link_that_leads_elsewhere_is_a_change(void **state)
{
    static const char *const names[] = {"live/a.crt"};
    scene s;

    (void) state;
    assert_int_equal(mkdir(process_path("live"), 0755), 0);
    assert_int_equal(mkdir(process_path("archive"), 0755), 0);
    process_write("archive/a1.crt", "1");
    process_write("archive/a2.crt", "2");
    link_to("../archive/a1.crt", "live/a.crt");
    scene_begin(&s, names, 1);
    link_to("../archive/a2.crt", "live/a.crt");
    scene_wait(&s, 1);
    /* What it leads to is watched, too. */
    process_write("archive/a2.crt", "22");
    scene_wait(&s, 2);
    scene_end(&s);
}

/* Kubernetes: tls.crt leads to ..data/tls.crt, and ..data to a folder with a date. */
static void a_folder_that_leads_elsewhere_is_a_change(void **state)
{
    static const char *const names[] = {"k8s/tls.crt"};
    scene s;

    (void) state;
    assert_int_equal(mkdir(process_path("k8s"), 0755), 0);
    assert_int_equal(mkdir(process_path("k8s/..1"), 0755), 0);
    assert_int_equal(mkdir(process_path("k8s/..2"), 0755), 0);
    process_write("k8s/..1/tls.crt", "1");
    process_write("k8s/..2/tls.crt", "2");
    link_to("..1", "k8s/..data");
    link_to("..data/tls.crt", "k8s/tls.crt");
    scene_begin(&s, names, 1);
    link_to("..2", "k8s/..data");
    scene_wait(&s, 1);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_that_leads_elsewhere_is_a_change),
        cmocka_unit_test(a_folder_that_leads_elsewhere_is_a_change),
    };

    return cmocka_run_group_tests(tests, process_setup, process_teardown);
}
