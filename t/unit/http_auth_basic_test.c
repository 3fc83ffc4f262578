/* What the work of an answer tells of the names that a password file has: instructions are counted, not time. */

#include "t/unit/http_unit.h"
#include "t/unit/step_unit.h"

#define LINES 10

extern const weir_http_module weir_http_auth_basic;

typedef struct {
    weir_http_exchange *ex;
    const void *location;
} question;

/* "user000" and so on, with the SHA-1 of "secret", one of them in a comment. */
static void write_passwords(const http_unit *unit)
{
    char path[128];
    FILE *file;

    (void) snprintf(path, sizeof(path), "%s/file", unit->folder);
    file = fopen(path, "w");
    assert_non_null(file);
    for (unsigned i = 0; i < LINES; i++) {
        fprintf(file, "%suser%03u:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n", i == 7 ? "# " : "", i);
    }
    fprintf(file, "user008:{PLAIN}another\n");
    assert_int_equal(fclose(file), 0);
}

/* `credentials` is "name:password" in base64.  Until the next one is asked. */
static question asked(void **state, const void *location, const char *credentials)
{
    static char head[256];

    (void) snprintf(head, sizeof(head),
                    "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic %s\r\n\r\n", credentials);
    return (question){unit_request(state, head), location};
}

static weir_http_verdict judge(const question *asking)
{
    return weir_http_auth_basic.judge(asking->ex, asking->location);
}

static void judge_stepped(void *subject)
{
    const question *asking = subject;

    (void) judge(asking);
}

static uint64_t work_of(void **state, const void *location, const char *credentials)
{
    question asking = asked(state, location, credentials);

    assert_int_equal(judge(&asking), WEIR_HTTP_ANSWERED);
    assert_int_equal(asking.ex->response.status, 401);
    asking = asked(state, location, credentials);
    return step_count(judge_stepped, &asking);
}

static const void *location_of(void **state)
{
    const void *location = unit_location(state, &weir_http_auth_basic,
                                         "auth_basic closed; auth_basic_user_file file;");

    write_passwords(*state);
    return location;
}

static void a_name_costs_the_same_wherever_its_line_is_or_is_not(void **state)
{
    static const char *const wrong[] = {
        "dXNlcjAwMDp3cm9uZw==", /* user000:wrong, the first */
        "dXNlcjAwOTp3cm9uZw==", /* user009:wrong, the last */
        "dXNlcjAwNzp3cm9uZw==", /* user007:wrong, in a comment */
    };
    const void *location = location_of(state);
    uint64_t least = UINT64_MAX, most = 0;

    for (size_t i = 0; i < WEIR_COUNT(wrong); i++) {
        uint64_t work = work_of(state, location, wrong[i]);

        least = work < least ? work : least;
        most = work > most ? work : most;
    }
    /* The lines of the log are different ones. */
    print_message("%llu to %llu instructions\n", (unsigned long long) least,
                  (unsigned long long) most);
    assert_true(most - least < most / 10);
}

static void the_first_line_of_a_name_holds(void **state)
{
    const void *location = location_of(state);
    question first = asked(state, location, "dXNlcjAwODpzZWNyZXQ="); /* user008:secret */

    assert_int_equal(judge(&first), WEIR_HTTP_SETTLED);
    question second = asked(state, location, "dXNlcjAwODphbm90aGVy"); /* user008:another */
    assert_int_equal(judge(&second), WEIR_HTTP_ANSWERED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_name_costs_the_same_wherever_its_line_is_or_is_not,
                                        unit_setup, unit_teardown),
        cmocka_unit_test_setup_teardown(the_first_line_of_a_name_holds, unit_setup, unit_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
