#include "modules/http/engine/core_conf.h"

#include "t/unit/base_unit.h"

static bool parse(void **state, const char *target, bool merge_slashes, weir_http_request *request)
{
    memset(request, 0, sizeof(*request));
    return weir_http_parse_target(request, weir_str_from_z(target), merge_slashes, *state);
}

#define assert_path(target, wanted)                                                                \
    do {                                                                                           \
        weir_http_request request_;                                                                \
        assert_true(parse(state, target, true, &request_));                                        \
        assert_str(request_.path, wanted);                                                         \
    } while (0)

static void a_plain_path_is_a_slice_of_the_target(void **state)
{
    static const char target[] = "/a/b.html?c=d&e";
    weir_http_request request;

    assert_true(parse(state, target, true, &request));
    assert_str(request.path, "/a/b.html");
    assert_ptr_equal(request.path.data, target);
    assert_str(request.args, "c=d&e");
    assert_str(request.extension, "html");
    assert_false(request.has_complex_target);
}

static void dot_segments_are_removed(void **state)
{
    assert_path("/a/./b", "/a/b");
    assert_path("/a/../b", "/b");
    assert_path("/a/b/../../c", "/c");
    assert_path("/a/b/..", "/a/");
    assert_path("/a/b/.", "/a/b/");
    assert_path("/./", "/");
    assert_path("/a/...", "/a/...");
    assert_path("/a/.b/..c", "/a/.b/..c");
    assert_path("/a/..?x/../y", "/");
}

static void escapes_are_decoded_and_then_count_as_plain(void **state)
{
    assert_path("/%61%2Fb", "/a/b");
    assert_path("/a/%2e%2E/b", "/b");
    assert_path("/a%2f..%2fb", "/b");
    assert_path("/%25%3f%23", "/%?#");
    assert_path("/a%20b", "/a b");
    assert_path("/%2561", "/%61");
}

static void slashes_are_merged_where_asked(void **state)
{
    weir_http_request request;

    assert_path("//a///b//", "/a/b/");
    assert_path("/a%2f%2fb", "/a/b");
    assert_true(parse(state, "//a///b", false, &request));
    assert_str(request.path, "//a///b");
    assert_true(parse(state, "/a//./b", false, &request));
    assert_str(request.path, "/a//b");
    assert_true(parse(state, "/a//../b", false, &request));
    assert_str(request.path, "/a/b");
}

static void a_fragment_is_dropped(void **state)
{
    weir_http_request request;

    assert_true(parse(state, "/a?b#c", true, &request));
    assert_str(request.path, "/a");
    assert_str(request.args, "b");
}

static void what_leads_above_the_root_or_nowhere_is_refused(void **state)
{
    static const char *const targets[] = {
        "",         "a",  "*",   "/..",  "/../", "/a/../..",
        "/%2e%2e/", "/%", "/%4", "/%zz", "/%00", "/a%2f..%2f..",
    };
    weir_http_request request;

    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        if (parse(state, targets[i], true, &request)) {
            fail_msg("taken: \"%s\"", targets[i]);
        }
    }
}

static void a_nul_is_refused_as_it_is_and_escaped(void **state)
{
    weir_http_request request = {0};

    assert_false(weir_http_parse_target(&request, WEIR_STR("/a\0b"), true, *state));
    assert_false(weir_http_parse_target(&request, WEIR_STR("/a%00b"), true, *state));
}

static void the_extension_is_of_the_last_segment(void **state)
{
    weir_http_request request;

    assert_true(parse(state, "/a.b/c", true, &request));
    assert_str(request.extension, "");
    assert_true(parse(state, "/a.b/c.tar.gz", true, &request));
    assert_str(request.extension, "gz");
}

static void a_target_that_an_origin_names_may_not_climb(void **state)
{
    static const char *const refused[] = {"/a/../b", "/a/%2e%2E/b", "/a/..", "/a%2f..", "/..", "a",
                                          "",        "/%zz",        "/a%00"};
    weir_str path, args;

    for (size_t i = 0; i < WEIR_COUNT(refused); i++) {
        if (weir_http_split_target(weir_str_from_z(refused[i]), true, *state, &path, &args)) {
            fail_msg("taken: \"%s\"", refused[i]);
        }
    }
    assert_true(
        weir_http_split_target(WEIR_STR("/a/./..b//%63#d?e=%20"), true, *state, &path, &args));
    assert_str(path, "/a/..b/c#d");
    assert_str(args, "e=%20");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_with_pool(a_plain_path_is_a_slice_of_the_target),
        unit_test_with_pool(dot_segments_are_removed),
        unit_test_with_pool(escapes_are_decoded_and_then_count_as_plain),
        unit_test_with_pool(slashes_are_merged_where_asked),
        unit_test_with_pool(a_fragment_is_dropped),
        unit_test_with_pool(what_leads_above_the_root_or_nowhere_is_refused),
        unit_test_with_pool(a_nul_is_refused_as_it_is_and_escaped),
        unit_test_with_pool(the_extension_is_of_the_last_segment),
        unit_test_with_pool(a_target_that_an_origin_names_may_not_climb),
    };

    return cmocka_run_group_tests_name("http target", tests, NULL, NULL);
}
