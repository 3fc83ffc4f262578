#include "core/base/clock.h"
#include "t/unit/conf_unit.h"

/*
 * Big configurations: ten thousand servers with a location each, a hundred thousand lines, and as
 * many modules as a whole weir has.
 */

#define SERVERS 10000
#define OTHER_MODULES 100
#define LEVEL_MAX 2048 /* bytes that a level may take beside its own settings */

static const char server[] = "server {\n"
                             "    number 5;\n"
                             "    size 16k;\n"
                             "    time_ms 30s;\n"
                             "    text \"server-%05u.example\";\n"
                             "    location / {\n"
                             "        template \"http://backend-%05u$request_uri\";\n"
                             "        added one two three;\n"
                             "    }\n"
                             "}\n";

static weir_module others[OTHER_MODULES];
static weir_module_entry entries[OTHER_MODULES + 4];
static char names[OTHER_MODULES][8];

static void make_modules(void)
{
    size_t count = 0;

    while (conf_unit_modules[count].module != NULL) {
        entries[count] = conf_unit_modules[count];
        count++;
    }

    for (size_t i = 0; i < OTHER_MODULES; i++) {
        snprintf(names[i], sizeof(names[i]), "m%zu", i);
        others[i] = (weir_module){.name = names[i], .conf_size = 64};
        entries[count++] = (weir_module_entry){"http", &others[i]};
    }

    conf_unit_read_with_modules = entries;
}

static char *make_text(void)
{
    size_t size = SERVERS * (sizeof(server) + 16) + 64, len;
    char *text = malloc(size);

    assert_non_null(text);
    len = (size_t) snprintf(text, size, "http {\n");
    for (unsigned i = 0; i < SERVERS; i++) {
        len += (size_t) snprintf(text + len, size - len, server, i, i);
    }
    snprintf(text + len, size - len, "}\n");
    return text;
}

static void ten_thousand_servers_take_little_memory(void **state)
{
    char *text = make_text();
    uint64_t began_us;
    size_t used, own;

    (void) state;
    make_modules();
    began_us = weir_clock_monotonic_us();
    if (!conf_unit_read(text)) {
        fail_msg("%s", unit.messages);
    }

    used = weir_pool_used(unit.pool);
    own = 2 * SERVERS * sizeof(conf_unit_values);
    print_message("%zu KiB of text: %ju ms, %zu KiB, %zu of them own settings\n",
                  strlen(text) / 1024, (uintmax_t) (weir_clock_monotonic_us() - began_us) / 1000,
                  used / 1024, own / 1024);
    assert_true(used - strlen(text) - own < (size_t) 2 * SERVERS * LEVEL_MAX);

    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_servers_take_little_memory),
    };

    return cmocka_run_group_tests(tests, conf_unit_setup, conf_unit_teardown);
}
