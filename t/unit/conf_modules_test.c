#include "t/unit/conf_unit.h"

/* ---- tables that contradict themselves or others */

static bool call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) conf;
    (void) settings;
    (void) statement;
    return true;
}

/* Whether such a row, and a second one, are taken. */
static bool takes(const weir_directive *one, const weir_directive *two)
{
    const weir_directive rows[] = {*one, two == NULL ? (weir_directive){0} : *two, {0}};
    const weir_module module = {
        .name = "odd", .directives = rows, .conf_size = sizeof(conf_unit_values)};
    const weir_module_entry entries[] = {{"core", &module}, {NULL, NULL}};
    weir_pool *pool = weir_pool_new(4096, 0);
    int stderr_copy = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    bool is_taken;

    dup2(null, STDERR_FILENO);
    is_taken = weir_modules_new_of(pool, entries) != NULL;
    dup2(stderr_copy, STDERR_FILENO);
    close(stderr_copy);
    close(null);
    weir_pool_free(pool);
    return is_taken;
}

static void rows_may_share_a_member_but_not_overlap(void **state)
{
    const weir_directive text = {
        .name = "a", .where = WEIR_MAIN, .slot = WEIR_SLOT_STR(conf_unit_values, text)};
    weir_directive other = text;

    (void) state;
    assert_true(takes(&text, NULL));

    other.name = "b";
    assert_true(takes(&text, &other));

    other.inherit = WEIR_INHERIT_NONE;
    assert_false(takes(&text, &other));

    other.inherit = WEIR_INHERIT_REPLACE;
    other.slot.bytes = 4;
    assert_false(takes(&text, &other));
}

static void a_name_has_one_row_in_a_context(void **state)
{
    weir_directive one = {
        .name = "a", .where = WEIR_MAIN, .slot = WEIR_SLOT_STR(conf_unit_values, text)};
    weir_directive two = {
        .name = "a", .where = WEIR_MAIN, .slot = WEIR_SLOT_FLAG(conf_unit_values, flag)};

    (void) state;
    assert_false(takes(&one, &two));
    two.where = WEIR_EVENTS;
    assert_true(takes(&one, &two));
    two.where |= WEIR_MAIN;
    assert_false(takes(&one, &two));
}

static void rows_that_make_no_sense_are_refused(void **state)
{
    const weir_slot call_only = WEIR_SLOT_ONLY_CALL(call);
    const weir_slot flag = WEIR_SLOT_FLAG(conf_unit_values, flag);
    weir_slot outside = flag;

    outside.offset = sizeof(conf_unit_values);

    const weir_directive rows[] = {
        {.name = "a", .slot = call_only, .preset = "x"},
        {.name = "a", .slot = outside},
        {.name = "a", .slot = flag, .inherit = WEIR_INHERIT_APPEND},
        {.name = "a", .slot = {.kind = WEIR_KIND_CALL}},
        {.name = "a", .slot = flag, .block = WEIR_BLOCK_RAW},
        {.name = "a", .slot = call_only, .block = WEIR_BLOCK_LEVEL},
        {.name = "a", .slot = call_only, .opens = WEIR_EVENTS},
        {.name = "a", .where = WEIR_EVENTS, .slot = call_only, .at_once = true},
    };

    (void) state;
    for (size_t i = 0; i < WEIR_COUNT(rows); i++) {
        if (takes(&rows[i], NULL)) {
            fail_msg("row %zu was taken", i);
        }
    }
}

static weir_level *enter(weir_conf *conf, weir_level *outer, const weir_statement *statement)
{
    (void) statement;
    return weir_level_new(conf, outer, NULL);
}

static void a_block_s_context_must_be_registered(void **state)
{
    const weir_directive rows[] = {{.name = "odd",
                                    .where = WEIR_MAIN,
                                    .takes = WEIR_TAKES_NONE,
                                    .block = WEIR_BLOCK_LEVEL,
                                    .opens = 1u << 31,
                                    .enter = enter},
                                   {0}};
    const weir_module module = {.name = "odd", .directives = rows};
    const weir_module_entry entries[] = {{"core", &module}, {NULL, NULL}};

    (void) state;
    conf_unit_read_with_modules = entries;
    assert_non_null(
        strstr(conf_unit_refusal("odd { x; }"),
               "no module has registered the context inside of \"odd\" in weir.conf:1"));
    conf_unit_read_with_modules = conf_unit_modules;
}

/* ---- the register */

static void modules_are_counted_by_family(void **state)
{
    const weir_module *const *found;
    size_t count;

    (void) state;
    assert_true(conf_unit_read(""));
    found = weir_modules_of(unit.modules, "http", &count);
    assert_int_equal(count, 2);
    assert_ptr_equal(found[1], &conf_unit_lone_module);
    assert_non_null(weir_modules_of(unit.modules, "core", &count));
    assert_int_equal(count, 1);
    assert_null(weir_modules_of(unit.modules, "stream", &count));
    assert_int_equal(count, 0);
    assert_int_equal(weir_modules_index(unit.modules, &conf_unit_lone_module), 1);
    assert_ptr_equal(weir_modules_all(unit.modules, 2)->module, &conf_unit_lone_module);
    assert_null(weir_modules_all(unit.modules, 3));
}

/* ---- load_module */

static void a_file_that_is_no_module_is_refused(void **state)
{
    (void) state;
    assert_non_null(strstr(conf_unit_refusal("load_module none.so;"),
                           "dlopen() \"none.so\" failed (none.so: cannot open shared object file: "
                           "No such file or directory) in weir.conf:1\n"));
    conf_unit_write("text.so", "text", 4);
    assert_non_null(strstr(conf_unit_refusal("load_module text.so;"), "failed (text.so: file too"));
    assert_non_null(strstr(conf_unit_refusal("load_module /lib/x86_64-linux-gnu/libz.so.1;"),
                           "libz.so.1\" is no module of weir in weir.conf:1"));
}

static void modules_of_nginx_are_not_loaded(void **state)
{
    (void) state;
    assert_true(conf_unit_read("load_module modules/ngx_http_geoip_module.so;"));
    assert_non_null(
        strstr(unit.messages, "[warn] nginx's module \"ngx_http_geoip_module\" is not"));
    assert_true(conf_unit_read("load_module modules/ndk_http_module.so;"));
    assert_non_null(strstr(unit.messages, "[warn] nginx's module \"ndk_http_module\" is not"));
    /* `allow` and `deny` are there, but they are not what names that module alone has. */
    assert_true(conf_unit_read("load_module ngx_mail_module.so;"));
    assert_non_null(strstr(unit.messages, "[warn] nginx's module \"ngx_mail_module\" is not"));
}

static void a_weir_without_stream_can_do_without_its_module(void **state)
{
    (void) state;
    assert_true(conf_unit_read("load_module modules/ngx_stream_module.so;"));
    assert_non_null(
        strstr(unit.messages, "[warn] nginx's module \"ngx_stream_module\" is not loaded"));
    assert_non_null(strstr(conf_unit_refusal("load_module ngx_stream_module.so; stream {}"),
                           "unknown directive \"stream\""));
}

static void what_is_built_in_need_not_be_loaded(void **state)
{
    const weir_directive rows[] = {
        {.name = "autoindex", .where = WEIR_MAIN, .slot = WEIR_SLOT_ONLY_CALL(call)}, {0}};
    const weir_module module = {.name = "autoindex", .directives = rows};
    weir_module_entry entries[] = {
        conf_unit_modules[0], conf_unit_modules[1], {"http", &module}, {NULL, NULL}};

    (void) state;
    conf_unit_read_with_modules = entries;
    assert_true(conf_unit_read("load_module modules/ngx_http_autoindex_module.so;"));
    assert_string_equal(unit.messages,
                        "weir: [notice] nginx's module \"ngx_http_autoindex_module\" is "
                        "built in, and not loaded in weir.conf:1\n");
    conf_unit_read_with_modules = conf_unit_modules;
}

/* ---- the reference */

static char printed[65536];

static const char *print(bool (*function)(const weir_modules *, weir_str, int), weir_str name)
{
    int fd = memfd_create("printed", MFD_CLOEXEC);
    ssize_t len;

    assert_true(conf_unit_read(""));
    assert_true(function(unit.modules, name, fd));
    len = pread(fd, printed, sizeof(printed) - 1, 0);
    assert_true(len >= 0);
    printed[len] = '\0';
    close(fd);
    return printed;
}

static bool print_all(const weir_modules *modules, weir_str name, int fd)
{
    (void) name;
    return weir_conf_print_reference(modules, fd);
}

static void a_directive_explains_itself(void **state)
{
    (void) state;
    assert_string_equal(print(weir_conf_print_directive, WEIR_STR("flag")),
                        "Syntax:   flag on | off;\n"
                        "Default:  on\n"
                        "Context:  http, server, location\n"
                        "Module:   values (http)\n"
                        "\n"
                        "A switch.\n");
    assert_non_null(
        strstr(print(weir_conf_print_directive, WEIR_STR("bits")), "bits red | green | blue ...;"));
    assert_non_null(strstr(print(weir_conf_print_directive, WEIR_STR("http")), "http { ... }"));
    assert_non_null(strstr(print(weir_conf_print_directive, WEIR_STR("idle")),
                           "It has no effect: nobody waits for it\n"));
}

static void a_name_with_several_rows_explains_all_of_them(void **state)
{
    const char *text = print(weir_conf_print_directive, WEIR_STR("server"));

    (void) state;
    assert_non_null(strstr(text, "Context:  http\n"));
    assert_non_null(strstr(text, "\n\nSyntax:   server ...;\n"));
    assert_non_null(strstr(text, "Context:  upstream\n"));
    assert_false(weir_conf_print_directive(unit.modules, WEIR_STR("none"), STDERR_FILENO));
}

static void the_reference_has_every_directive(void **state)
{
    const char *text = print(print_all, WEIR_STR_EMPTY);
    const weir_module_entry *entry;

    (void) state;
    for (size_t i = 0; (entry = weir_modules_all(unit.modules, i)) != NULL; i++) {
        for (const weir_directive *row = entry->module->directives; row->name != NULL; row++) {
            char heading[64];

            snprintf(heading, sizeof(heading), "\n### %s\n", row->name);
            assert_non_null(strstr(text, heading));
        }
    }

    assert_non_null(strstr(text, "## http: values\n"));
    assert_non_null(strstr(text, "### time_s\n\n"
                                 "- syntax: `time_s time;`\n"
                                 "- default: `time_s \"1h 30m\";`\n"
                                 "- context: http, server, location\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_may_share_a_member_but_not_overlap),
        cmocka_unit_test(a_name_has_one_row_in_a_context),
        cmocka_unit_test(rows_that_make_no_sense_are_refused),
        cmocka_unit_test(a_block_s_context_must_be_registered),
        cmocka_unit_test(modules_are_counted_by_family),
        cmocka_unit_test(a_file_that_is_no_module_is_refused),
        cmocka_unit_test(modules_of_nginx_are_not_loaded),
        cmocka_unit_test(a_weir_without_stream_can_do_without_its_module),
        cmocka_unit_test(what_is_built_in_need_not_be_loaded),
        cmocka_unit_test(a_directive_explains_itself),
        cmocka_unit_test(a_name_with_several_rows_explains_all_of_them),
        cmocka_unit_test(the_reference_has_every_directive),
    };

    return cmocka_run_group_tests(tests, conf_unit_setup, conf_unit_teardown);
}
