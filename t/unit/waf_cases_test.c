/*
 * Runs the cases for operators and transformations of a folder that WEIR_SECLANG_CASES names, as
 * owasp-modsecurity/secrules-language-tests has them; without it, the few at the end of this file.
 *
 * A case is an object: "type" tfn or op, "name", "param", "input", "output" or "ret", "re_groups"; one with a "resource"
 * is passed over.  After JSON, "\xHH" and "\uHHHH" in input and output are bytes.  Their JSON is read by the
 * body processor.
 */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/builder.h"
#include "core/base/number.h"
#include "modules/waf/body.h"
#include "modules/waf/operator.h"
#include "modules/waf/transform.h"
#include "t/unit/waf_unit.h"

#define GROUPS_MAX 10

typedef struct {
    weir_pool *pool;
    weir_str folder;
    weir_str item; /* "json.array_3": whose members are being read */
    weir_str type, name, param, input, output, ret, resource;
    weir_str groups[GROUPS_MAX];
    size_t group_count;
    size_t passed, passed_over, failed;
} cases;

static weir_str bytes_of(weir_pool *pool, weir_str text)
{
    weir_builder out;
    weir_str bytes;
    uint64_t byte;

    weir_builder_open(&out, pool, text.len + 1);
    for (size_t i = 0; i < text.len;) {
        size_t digits = text.data[i] != '\\' || i + 1 >= text.len ? 0
                        : text.data[i + 1] == 'x'                 ? 2
                        : text.data[i + 1] == 'u'                 ? 4
                                                                  : 0;

        if (digits != 0 && text.len - i >= 2 + digits
            && weir_parse_hex(weir_str_slice(text, i + 2, i + 2 + digits), 255, &byte)) {
            weir_builder_add_byte(&out, (char) byte);
            i += 2 + digits;
        } else {
            weir_builder_add_byte(&out, text.data[i++]);
        }
    }
    assert_true(weir_builder_close(&out, &bytes));
    return bytes;
}

static weir_str cut(weir_str text)
{
    return weir_str_slice(text, 0, 200);
}

static bool passes_transform(const cases *c)
{
    weir_str name = weir_str_eq(c->name, WEIR_STR("cmd_line")) ? WEIR_STR("cmdLine") : c->name;
    const weir_waf_transform *transform = weir_waf_transform_find(name);
    weir_str input = bytes_of(c->pool, c->input), output = bytes_of(c->pool, c->output),
             out = input;

    if (transform == NULL
        || weir_waf_transform_apply(transform, c->pool, NULL, NULL, input, &out)
               == WEIR_WAF_NO_MEMORY) {
        print_error("t:%.*s: there is none\n", WEIR_STR_ARG(name));
        return false;
    }
    if (!weir_str_eq(out, output)) {
        print_error("t:%.*s of \"%.*s\" is \"%.*s\", ought to be \"%.*s\"\n", WEIR_STR_ARG(name),
                    WEIR_STR_ARG(cut(c->input)), WEIR_STR_ARG(cut(out)), WEIR_STR_ARG(cut(output)));
        return false;
    }
    return true;
}

/* Files are named from the folder of another project; here they lie beside the cases. */
static weir_str param_of(const cases *c)
{
    const char *op = weir_str_find(c->param, WEIR_STR("operators/op/"));

    return op == NULL ? c->param : weir_str_from(c->param, (size_t) (op - c->param.data) + 10);
}

static bool passes_operator(const cases *c)
{
    weir_waf_operator_build build = {.pool = c->pool, .folder = c->folder};
    const weir_waf_operator *op = weir_waf_operator_new(&build, c->name, param_of(c));
    weir_waf_run run = {.matcher = weir_waf_matcher_new(c->pool), .wants_captures = true};
    bool ought = weir_str_eq(c->ret, WEIR_STR("1"));

    assert_non_null(run.matcher);
    if (op == NULL && weir_str_eq(c->name, WEIR_STR("ipMatch"))) {
        return !ought; /* "10.0.0.0/100": a mistake here, and a network without addresses there */
    }
    if (op == NULL) {
        print_error("@%.*s: %s\n", WEIR_STR_ARG(c->name), build.message);
        return false;
    }
    if ((weir_waf_operator_run(op, bytes_of(c->pool, c->input), &run) == WEIR_WAF_MATCH) != ought) {
        print_error("@%.*s %.*s of \"%.*s\" ought to be %d\n", WEIR_STR_ARG(c->name),
                    WEIR_STR_ARG(c->param), WEIR_STR_ARG(cut(c->input)), ought);
        return false;
    }
    for (size_t i = 0; i < c->group_count; i++) {
        if ((run.captured >> i & 1) == 0 || !weir_str_eq(run.captures[i], c->groups[i])) {
            print_error("@%.*s %.*s of \"%.*s\": group %zu\n", WEIR_STR_ARG(c->name),
                        WEIR_STR_ARG(c->param), WEIR_STR_ARG(cut(c->input)), i);
            return false;
        }
    }
    return true;
}

static void run_case(cases *c)
{
    if (!weir_str_is_empty(c->resource) || weir_str_is_empty(c->type)
        || weir_str_eq(c->name, WEIR_STR("phpArgsNames"))) {
        c->passed_over += weir_str_is_empty(c->type) ? 0 : 1;
    } else if (weir_str_eq(c->type, WEIR_STR("tfn")) ? passes_transform(c) : passes_operator(c)) {
        c->passed++;
    } else {
        c->failed++;
    }

    c->type = c->name = c->param = c->input = c->output = c->ret = c->resource = WEIR_STR_EMPTY;
    c->group_count = 0;
}

/* "json.array_3.input": a member of item "json.array_3". */
static bool take_member(void *owner, weir_str name, weir_str value)
{
    cases *c = owner;
    const char *dot = weir_str_find_byte(weir_str_from(name, 5), '.');
    weir_str item = dot == NULL ? name : weir_str_slice(name, 0, (size_t) (dot - name.data));
    weir_str member = weir_str_from(name, item.len + 1);
    struct {
        const char *name;
        weir_str *slot;
    } members[] = {
        {"type", &c->type},         {"name", &c->name},     {"param", &c->param},
        {"input", &c->input},       {"output", &c->output}, {"ret", &c->ret},
        {"resource", &c->resource},
    };

    if (!weir_str_eq(item, c->item)) {
        run_case(c);
        c->item = item;
    }

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (weir_str_eq(member, weir_str_from_z(members[i].name))) {
            *members[i].slot = value;
        }
    }
    if (weir_str_starts(member, WEIR_STR("re_groups.")) && c->group_count < GROUPS_MAX) {
        c->groups[c->group_count++] = value;
    }
    return true;
}

static void run_cases(cases *c, weir_str text)
{
    weir_waf_body_limits limits = {.pool = c->pool, .memory_max = (size_t) 1 << 30};
    weir_waf_body_sink sink = {.argument = take_member};
    weir_waf_body *body = weir_waf_body_new(WEIR_WAF_JSON, &limits, &sink, c, WEIR_STR_EMPTY);

    assert_non_null(body);
    weir_waf_body_feed(body, text);
    weir_waf_body_end(body);
    run_case(c);
    if (weir_waf_body_report_of(body)->failed) {
        print_error("%.*s\n", WEIR_STR_ARG(weir_waf_body_report_of(body)->message));
        c->failed++;
    }
    c->item = WEIR_STR_EMPTY;
}

static weir_str file_text(weir_pool *pool, const char *path)
{
    FILE *file = fopen(path, "r");
    size_t size = 4 * 1024 * 1024, len;
    char *text = weir_pool_bytes(pool, size);

    assert_non_null(file);
    assert_non_null(text);
    len = fread(text, 1, size, file);
    assert_true(len < size);
    assert_int_equal(fclose(file), 0);
    return weir_str_of(text, len);
}

static void run_folder(cases *c, const char *folder, const char *kind)
{
    char path[1024];
    DIR *list;

    (void) snprintf(path, sizeof(path), "%s/%s/", folder, kind);
    c->folder = weir_str_from_z(path);
    assert_true(weir_str_copy(c->pool, c->folder, &c->folder));
    list = opendir(path);
    assert_non_null(list);
    for (struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list)) {
        if (weir_str_ends(weir_str_from_z(entry->d_name), WEIR_STR(".json"))) {
            (void) snprintf(path, sizeof(path), "%s/%s/%s", folder, kind, entry->d_name);
            run_cases(c, file_text(c->pool, path));
        }
    }
    (void) closedir(list);
}

static void the_cases_pass(void **state)
{
    static const char own[] =
        "[{\"type\":\"tfn\",\"name\":\"urlDecodeUni\",\"input\":\"%u0041%42\\u00e9\",\"output\":"
        "\"AB\\u00e9\"},"
        "{\"type\":\"tfn\",\"name\":\"removeNulls\",\"input\":\"a\\\\x00b\",\"output\":\"ab\"},"
        "{\"type\":\"tfn\",\"name\":\"cmd_line\",\"input\":\"A ;\\\"b\",\"output\":\"a b\"},"
        "{\"type\":\"op\",\"name\":\"rx\",\"param\":\"(a)(b)\",\"input\":\"xab\",\"ret\":1,"
        "\"re_groups\":[\"ab\",\"a\",\"b\"]},"
        "{\"type\":\"op\",\"name\":\"within\",\"param\":\"abc\",\"input\":\"bcd\",\"ret\":0}]";
    const char *folder = getenv("WEIR_SECLANG_CASES");
    cases c = {.pool = *state};

    if (folder == NULL) {
        run_cases(&c, weir_str_of(own, sizeof(own) - 1));
        assert_int_equal(c.passed, 5);
    } else {
        run_folder(&c, folder, "transformations");
        run_folder(&c, folder, "operators");
        assert_true(c.passed > 0);
        print_message("%zu passed, %zu passed over\n", c.passed, c.passed_over);
    }
    assert_int_equal(c.failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {WAF_TEST(the_cases_pass)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
