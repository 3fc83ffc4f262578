/* Variables and templates in configurations that core/conf reads. */

#include "t/unit/conf_unit.h"

#include "core/base/log_sink.h"
#include "core/script/script.h"

static bool who_get(weir_script *script, uintptr_t arg, weir_value *value)
{
    (void) arg;
    value->text = *(const weir_str *) script->subject;
    value->found = true;
    return true;
}

static const weir_variable script_variables[] = {
    {.name = "who", .get = who_get},
    {.name = NULL},
};

static weir_space *space;

static bool script_prepare(weir_conf *conf)
{
    space = weir_space_of(conf, "http");
    return space != NULL && weir_space_add(conf, space, script_variables);
}

static bool script_configured(weir_conf *conf)
{
    return weir_space_close(conf, space);
}

static const weir_module script_module = {
    .name = "script",
    .prepare = script_prepare,
    .configured = script_configured,
};

static const weir_module_entry script_modules[] = {
    {"core", &unit_core_module},
    {"http", &conf_unit_values_module},
    {"http", &script_module},
    {NULL, NULL},
};

static char said[2048]; /* while reading */

static bool reads(const char *text)
{
    int messages = memfd_create("messages", MFD_CLOEXEC);
    weir_log log = {.connection = 0};
    weir_conf_options options = {.make_template = weir_template_make};
    weir_conf_home home = {.log = &log};
    weir_log_target *target;
    weir_log_files *files;
    weir_log_file *file;
    char path[512];

    unit_forget();
    home.pool = unit.pool = weir_pool_new(16384, 0);
    assert_non_null(home.pool);

    files = weir_log_files_new(home.pool);
    target = weir_log_target_new(home.pool);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", messages);
    file = weir_log_files_get(files, weir_str_from_z(path));
    assert_true(weir_log_files_open(files, NULL));
    assert_true(weir_log_target_add_file(target, file, WEIR_LOG_NOTICE));
    log.target = target;

    conf_unit_write("weir.conf", text, strlen(text));
    snprintf(path, sizeof(path), "%s/weir.conf", unit.folder);
    options.conf_file = weir_str_from_z(path);
    options.prefix = weir_str_slice(options.conf_file, 0, strlen(unit.folder) + 1);
    home.modules = weir_modules_new_of(home.pool, script_modules);
    assert_non_null(home.modules);
    unit.main = weir_conf_read(&home, &options);

    memset(said, 0, sizeof(said));
    assert_true(pread(messages, said, sizeof(said) - 1, 0) >= 0);
    close(messages);
    return unit.main != NULL;
}

static void a_slot_holds_a_text_with_variables(void **state)
{
    weir_str subject = WEIR_STR("Ann"), text;
    weir_script script;

    (void) state;
    assert_true(reads("http { template \"dear ${Who}, $who\"; server { } }"));

    weir_script_begin(&script, space, &subject, unit.pool, NULL);
    assert_true(weir_template_text(conf_unit_at(1)->template, &script, &text));
    assert_true(weir_str_eq(text, WEIR_STR("dear Ann, Ann")));
}

static void an_unknown_name_is_shown_with_a_caret(void **state)
{
    (void) state;
    assert_false(reads("http {\n  server {\n    template dear-$whoo;\n  }\n}\n"));
    assert_non_null(strstr(said, "[emerg]"));
    assert_non_null(strstr(said, "unknown \"whoo\" variable in "));
    assert_non_null(strstr(said, "weir.conf:3\n"));
    assert_non_null(strstr(said, "    template dear-$whoo;\n"));
    assert_non_null(strstr(said, "             ^\n"));
    assert_non_null(strstr(said, "did you mean \"$who\"?"));
}

static void a_malformed_text_is_refused_where_it_stands(void **state)
{
    (void) state;
    assert_false(reads("http {\n  template \"${who\";\n}\n"));
    assert_non_null(strstr(said, "the closing bracket in \"who\" variable is missing in "));
    assert_non_null(strstr(said, "weir.conf:2\n"));
}

static void each_reading_has_spaces_of_its_own(void **state)
{
    (void) state;
    assert_true(reads("http { template $who; }"));
    assert_int_equal(weir_space_slot_count(space), 1);
    assert_true(reads("http { template none; }"));
    assert_int_equal(weir_space_slot_count(space), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_holds_a_text_with_variables),
        cmocka_unit_test(an_unknown_name_is_shown_with_a_caret),
        cmocka_unit_test(a_malformed_text_is_refused_where_it_stands),
        cmocka_unit_test(each_reading_has_spaces_of_its_own),
    };

    return cmocka_run_group_tests(tests, conf_unit_setup, conf_unit_teardown);
}
