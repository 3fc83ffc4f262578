#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "t/unit/unit.h"

#include "modules/waf/audit.h"
#include "modules/waf/program.h"
#include "modules/waf/transaction.h"

/* Rules, from their text to what they do with a request. */

typedef struct {
    weir_pool *pool, *temp;
    weir_waf_library *library;
    weir_waf_worker *worker;
    weir_waf_transaction *tx;
    weir_waf_fault fault;
    char log[65536];
    size_t log_len;
} rules_unit;

static void keep_line(void *subject, weir_str line, bool is_disruptive)
{
    rules_unit *unit = subject;
    int len = snprintf(unit->log + unit->log_len, sizeof(unit->log) - unit->log_len, "%.*s\n",
                       WEIR_STR_ARG(line));

    (void) is_disruptive;
    unit->log_len += (size_t) len;
    assert_true(unit->log_len < sizeof(unit->log));
}

/* Instead of the library's: this machine has no name. */
int gethostname(char *name, size_t len)
{
    (void) name;
    (void) len;
    return -1;
}

static int setup(void **state)
{
    rules_unit *unit = calloc(1, sizeof(*unit));

    unit->pool = weir_pool_new(16384, 0);
    unit->temp = weir_pool_new(16384, 0);
    unit->library = weir_waf_library_new(unit->pool, unit->temp, NULL, NULL);
    unit->worker = weir_waf_worker_new();
    *state = unit;
    return 0;
}

static int teardown(void **state)
{
    rules_unit *unit = *state;

    weir_waf_transaction_free(unit->tx);
    weir_waf_worker_free(unit->worker);
    weir_pool_free(unit->temp);
    weir_pool_free(unit->pool);
    free(unit);
    return 0;
}

static const weir_waf_program *read_rules(rules_unit *unit, const weir_waf_program *outer,
                                          const char *text)
{
    weir_waf_part part = {
        .text = weir_str_from_z(text),
        .name = WEIR_STR("test.conf"),
        .folder = WEIR_STR("./"),
        .line = 1,
    };

    return weir_waf_program_get(unit->library, outer, &part, 1, &unit->fault);
}

static void run_phase(rules_unit *unit, weir_waf_phase phase)
{
    while (weir_waf_run_phase(unit->tx, phase) == WEIR_WAIT) {
    }
}

/* A request for `target` with one header and, unless NULL, a form: phases 1 and 2. */
static const weir_waf_intervention *ask_program(rules_unit *unit, const weir_waf_program *program,
                                                const char *target, const char *form)
{
    weir_waf_options options = {
        .log = keep_line,
        .subject = unit,
        .unique_id = WEIR_STR("12345"),
    };
    weir_waf_connection connection = {
        .client_addr = WEIR_STR("192.0.2.1"),
        .client_port = 1234,
        .server_addr = WEIR_STR("192.0.2.2"),
        .server_port = 80,
    };
    weir_waf_request_line line = {
        .line = WEIR_STR("GET / HTTP/1.1"),
        .method = WEIR_STR("GET"),
        .target = weir_str_from_z(target),
        .protocol = WEIR_STR("HTTP/1.1"),
    };

    weir_waf_transaction_free(unit->tx);
    unit->log_len = 0;
    unit->log[0] = '\0';
    unit->tx = weir_waf_transaction_new(program, unit->worker, &options);
    assert_non_null(unit->tx);
    weir_waf_set_connection(unit->tx, &connection);
    weir_waf_set_request_line(unit->tx, &line);
    weir_waf_add_request_header(unit->tx, WEIR_STR("Host"), WEIR_STR("a.test:80"));
    weir_waf_add_request_header(unit->tx, WEIR_STR("Cookie"), WEIR_STR("one=1; two=2;three"));
    if (form != NULL) {
        weir_waf_add_request_header(unit->tx, WEIR_STR("Content-Type"),
                                    WEIR_STR("application/x-www-form-urlencoded"));
    }
    run_phase(unit, WEIR_WAF_PHASE_REQUEST_HEAD);
    if (form != NULL) {
        weir_waf_set_request_body(unit->tx, weir_str_from_z(form), false);
    }
    run_phase(unit, WEIR_WAF_PHASE_REQUEST_BODY);
    return weir_waf_intervened(unit->tx);
}

static const weir_waf_intervention *ask(rules_unit *unit, const char *rules, const char *target,
                                        const char *form)
{
    char text[8192];
    const weir_waf_program *program;

    /* Nothing can be read into a library that is closed. */
    unit->library = weir_waf_library_new(unit->pool, unit->temp, NULL, NULL);
    snprintf(text, sizeof(text), "SecRuleEngine On\nSecRequestBodyAccess On\n%s", rules);
    program = read_rules(unit, NULL, text);
    if (program == NULL) {
        fail_msg("%s\n%s", unit->fault.message, unit->fault.further);
    }
    assert_true(weir_waf_library_close(unit->library, &unit->fault));
    return ask_program(unit, program, target, form);
}

static void assert_denied(const weir_waf_intervention *intervention, uint64_t id)
{
    assert_int_equal(intervention->deed, WEIR_WAF_DO_DENY);
    assert_int_equal(intervention->rule_id, id);
}

static void assert_passed(const weir_waf_intervention *intervention)
{
    assert_int_equal(intervention->deed, WEIR_WAF_DO_NOTHING);
}

static void assert_logged(const rules_unit *unit, const char *text)
{
    if (strstr(unit->log, text) == NULL) {
        fail_msg("not in the log: %s\n%s", text, unit->log);
    }
}

/* ---- reading */

static void lines_go_on_and_quotes_are_undone(void **state)
{
    assert_denied(ask(*state,
                      "SecRule ARGS:q \\\n  \"@streq a\\\"b\" \\\n  \"id:1,phase:1,\\\n  deny\"\n",
                      "/?q=a%22b", NULL),
                  1);
}

static void a_mistake_is_told_with_its_place(void **state)
{
    static const struct {
        const char *rules, *message, *caret;
    } cases[] = {
        {"SecRule ARGS \"@rx (\" \"id:5,deny\"", "rule id 5", "^"},
        {"SecRule ARGS \"@none x\" \"id:5,deny\"", "@none", "^"},
        {"SecRule NOTHING x \"id:5,deny\"", "unknown variable \"NOTHING\"", "        ^"},
        {"SecRule ARGS x \"id:5,deny,t:nope\"", "unknown transformation \"nope\"", "^"},
        {"SecRule ARGS x \"id:5,denyy\"", "unknown action \"denyy\"", "^"},
        {"SecRule ARGS x \"deny\"", "the rule has no id", "^"},
        {"SecRule ARGS x \"id:5,deny\nSecMarker a", "the quoted text does not end", "^"},
        {"SecNothing On", "unknown directive \"SecNothing\"", "^"},
        {"SecRule ARGS x \"id:5,deny,chain\"", "is not finished", ""},
        {"SecRule ARGS x \"id:5,deny\"\nSecRule ARGS x \"id:5,deny\"", "is taken by test.conf:1",
         "^"},
        {"SecRule ARGS x \"id:5,msg:'a,deny\"", "a single quote is missing", "^"},
        {"SecAction \"id:5,setvar:'args.x=1'\"", "cannot be written to", "^"},
        {"SecAction \"id:5,ctl:nope=1\"", "unknown ctl option \"nope\"", "^"},
        {"SecRule XML:/a/b x \"id:5\"", "of XPath", "^"},
    };
    rules_unit *unit = *state;

    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        assert_null(read_rules(unit, NULL, cases[i].rules));
        if (strstr(unit->fault.message, cases[i].message) == NULL
            || strstr(unit->fault.message, "in test.conf:") == NULL
            || strstr(unit->fault.further, cases[i].caret) == NULL) {
            fail_msg("%s\n%s\n%s", cases[i].rules, unit->fault.message, unit->fault.further);
        }
    }
}

static void the_same_text_is_the_same_program(void **state)
{
    const char *text = "SecRule ARGS evil \"id:1,deny\"";
    const weir_waf_program *outer = read_rules(*state, NULL, text);
    const weir_waf_program *inner = read_rules(*state, outer, "SecRuleRemoveById 1");

    assert_ptr_equal(read_rules(*state, NULL, text), outer);
    assert_ptr_equal(read_rules(*state, outer, "SecRuleRemoveById 1"), inner);
    assert_int_equal(weir_waf_program_rule_count(outer), 1);
    assert_int_equal(weir_waf_program_rule_count(inner), 0);
}

/* ---- what rules look at */

static void values_are_decoded_selected_excluded_and_counted(void **state)
{
    static const struct {
        const char *rule, *target;
        bool matches;
    } cases[] = {
        {"SecRule ARGS:a \"@streq 1 2\" \"id:1,phase:1,deny\"", "/?a=1+2", true},
        {"SecRule ARGS:A \"@streq 1\" \"id:1,phase:1,deny\"", "/?a=1", true},
        {"SecRule ARGS:/^x/ \"@streq 1\" \"id:1,phase:1,deny\"", "/?y=1&X2=1", true},
        {"SecRule ARGS|!ARGS:a \"@streq 1\" \"id:1,phase:1,deny\"", "/?a=1", false},
        {"SecRule ARGS|!ARGS:/^a/ \"@streq 1\" \"id:1,phase:1,deny\"", "/?ab=1", false},
        {"SecRule &ARGS \"@eq 3\" \"id:1,phase:1,deny\"", "/?a=1&a=2&b", true},
        {"SecRule &ARGS:none \"@eq 0\" \"id:1,phase:1,deny\"", "/?a=1", true},
        {"SecRule ARGS:none \"!@streq x\" \"id:1,phase:1,deny\"", "/?a=1", false},
        {"SecRule ARGS_NAMES \"@streq b c\" \"id:1,phase:1,deny\"", "/?a=1&b%20c=2", true},
        {"SecRule ARGS_COMBINED_SIZE \"@eq 4\" \"id:1,phase:1,deny\"", "/?a=1&b=2", true},
        {"SecRule REQUEST_COOKIES:two \"@streq 2\" \"id:1,phase:1,deny\"", "/", true},
        {"SecRule REQUEST_COOKIES_NAMES \"@streq three\" \"id:1,phase:1,deny\"", "/", true},
        {"SecRule SERVER_NAME \"@streq a.test\" \"id:1,phase:1,deny\"", "/", true},
        {"SecRule REQUEST_FILENAME \"@streq /a b\" \"id:1,phase:1,deny\"", "/a%20b?c", true},
        {"SecRule REQUEST_BASENAME \"@streq b\" \"id:1,phase:1,deny\"", "/a/b?c", true},
        {"SecRule REQUEST_BASENAME \"!@endsWith .pdf\" \"id:1,phase:1,deny\"", "/a/", true},
        {"SecRule ARGS:b \"@streq 1\" \"id:1,phase:1,deny\"", "http://a.test?b=1", true},
        {"SecRule ARGS:b \"@streq /1/\" \"id:1,phase:1,deny\"", "http://a.test?b=/1/", true},
        {"SecRule REQUEST_FILENAME \"@streq /a\" \"id:1,phase:1,deny\"", "http://a.test/a?b", true},
        {"SecRule QUERY_STRING \"@streq c%20d#e\" \"id:1,phase:1,deny\"", "/?c%20d#e", true},
        {"SecRule REQUEST_FILENAME \"@streq /a\" \"id:1,phase:1,deny\"", "/a#/b?c", true},
        {"SecRule ARGS:c \"@streq 1\" \"id:1,phase:1,deny\"", "/a#/b?c=1", true},
        {"SecRule REMOTE_ADDR \"@ipMatch 192.0.2.0/24\" \"id:1,phase:1,deny\"", "/", true},
        {"SecRule ARGS \"@streq abc\" \"id:1,phase:1,t:lowercase,deny\"", "/?a=ABC", true},
        {"SecRule ARGS \"@streq abc\" \"id:1,phase:1,t:lowercase,t:none,deny\"", "/?a=ABC", false},
        {"SecRule ARGS \"^$\" \"id:1,phase:1,deny\"", "/?a=", true},
        {"SecRule URLENCODED_ERROR \"@eq 1\" \"id:1,phase:1,deny\"", "/?a=%zz", true},
    };

    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        const weir_waf_intervention *done = ask(*state, cases[i].rule, cases[i].target, NULL);

        if ((done->deed == WEIR_WAF_DO_DENY) != cases[i].matches) {
            fail_msg("%s with %s", cases[i].rule, cases[i].target);
        }
    }
}

static void a_name_and_patterns_of_the_same_letters_are_not_the_same(void **state)
{
    static const char rules[] = "SecRule ARGS:d \"@rx evil\" \"id:1,phase:2,deny\"\n"
                                "SecRule ARGS:/d/ \"@rx evil\" \"id:2,phase:2,deny\"\n"
                                "SecRule ARGS:/^\\d/ \"@rx evil\" \"id:3,phase:2,deny\"\n"
                                "SecRule ARGS:/^\\D/ \"@rx evil\" \"id:4,phase:2,deny\"\n";
    rules_unit *unit = *state;

    assert_denied(ask(unit, rules, "/?d=evil", NULL), 1);
    assert_denied(ask(unit, rules, "/?ed=evil", NULL), 2);
    assert_denied(ask(unit, rules, "/?1=evil", NULL), 3);
    assert_denied(ask(unit, rules, "/?x=evil", NULL), 4);
}

static void a_form_is_seen_in_phase_2(void **state)
{
    const char *rule = "SecRule ARGS_POST:a \"@streq 1 2\" \"id:1,phase:2,deny\"";

    assert_denied(ask(*state, rule, "/", "a=1+2"), 1);
    assert_passed(ask(*state, rule, "/?a=1+2", NULL));
}

static void the_raw_body_is_there_for_forms_only(void **state)
{
    assert_denied(
        ask(*state, "SecRule REQUEST_BODY \"@streq a=1\" \"id:1,phase:2,deny\"", "/", "a=1"), 1);
}

/* ---- what rules do */

static void scores_add_up_for_each_value_that_matches(void **state)
{
    assert_denied(ask(*state,
                      "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.each=5\"\n"
                      "SecRule ARGS bad \"id:2,phase:1,pass,setvar:tx.score=+%{tx.each}\"\n"
                      "SecRule TX:SCORE \"@eq 10\" \"id:3,phase:1,deny,msg:'score %{tx.score}'\"",
                      "/?a=bad&b=bad&c=good", NULL),
                  3);
    assert_logged(*state, "[id \"2\"]");
    assert_logged(*state, "[msg \"score 10\"]");
}

static void variables_are_set_changed_and_removed(void **state)
{
    assert_denied(
        ask(*state,
            "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.a=7,setvar:tx.a=-2,"
            "setvar:'tx.name_%{ARGS.q}=x',setvar:tx.gone=1,setvar:!tx.gone,setvar:tx.one\"\n"
            "SecRule TX:a \"@eq 5\" \"id:2,phase:1,deny,chain\"\n"
            "SecRule TX:/^name_/ \"@streq x\" \"chain\"\n"
            "SecRule &TX:gone \"@eq 0\" \"chain\"\n"
            "SecRule TX:one \"@eq 1\"",
            "/?q=z", NULL),
        2);
}

static void a_pattern_selects_members_by_their_names(void **state)
{
    const char *rules = "SecAction \"id:1,phase:1,pass,nolog,setvar:'tx.made_%{ARGS.q}=x',"
                        "setvar:tx.MADE_too=y,setvar:tx.unmade_1=z\"\n"
                        "SecRule TX:/^made_/ \"@streq x\" \"id:2,phase:1,deny,chain\"\n"
                        "SecRule TX:/^Made_T/ \"@streq y\" \"chain\"\n"
                        "SecRule &TX:/^made_/ \"@eq 2\"\n"
                        "SecRule TX:/^made_/ \"@streq z\" \"id:3,phase:1,deny\"\n"
                        "SecRule ARGS:/^ab/ \"@streq v\" \"id:4,phase:1,deny\"\n"
                        "SecRule ARGS:/^a.c$/ \"@streq w\" \"id:5,phase:1,deny\"\n"
                        "SecRule ARGS|!ARGS:/^xy/ \"@streq u\" \"id:6,phase:1,deny\"";

    assert_denied(ask(*state, rules, "/?q=z", NULL), 2);
    /* made_too is made once more: there is one that begins so. */
    assert_passed(ask(*state, rules, "/?q=TOO&xab=v&xyz=u&abc=u2", NULL));
    assert_denied(ask(*state, rules, "/?q=TOO&AB1=v", NULL), 4);
    assert_denied(ask(*state, rules, "/?q=TOO&axc=w", NULL), 5);
    assert_denied(ask(*state, rules, "/?q=TOO&axy=u", NULL), 6);
}

static void lines_count_where_a_match_is_an_attack(void **state)
{
    const char *rules =
        "SecRule ARGS:way \"@rx ^let$\" \"id:1,phase:1,pass,nolog,ctl:ruleRemoveById=2\"\n"
        "SecRule ARGS:a \"@rx ^who$\" \"id:2,phase:1,deny\"\n"
        "SecRule ARGS:b \"!@rx ^[a-z]+$\" \"id:3,phase:1,deny\"\n"
        "SecRule ARGS:c \"@rx ^ok$\" \"id:4,phase:1,pass,nolog,skipAfter:END\"\n"
        "SecRule ARGS:c \"@rx .\" \"id:5,phase:1,deny\"\n"
        "SecMarker END\n"
        "SecRule ARGS:d \"@rx ^who$\" "
        "\"id:6,phase:1,deny,ctl:auditLogParts=+E,ctl:auditEngine=On\"";

    assert_denied(ask(*state, rules, "/?a=who%0A", NULL), 2);
    assert_denied(ask(*state, rules, "/?a=x%0Awho", NULL), 2);
    assert_denied(ask(*state, rules, "/?a=x%0Awho%0Ay", NULL), 2);
    assert_passed(ask(*state, rules, "/?a=x%0Awhose", NULL));
    assert_passed(ask(*state, rules, "/?a=who&way=let", NULL));
    assert_denied(ask(*state, rules, "/?a=who&way=let%0A", NULL), 2);
    assert_passed(ask(*state, rules, "/?b=fine", NULL));
    assert_denied(ask(*state, rules, "/?b=fine%0A", NULL), 3);
    assert_passed(ask(*state, rules, "/?c=ok", NULL));
    assert_denied(ask(*state, rules, "/?c=ok%0A", NULL), 5);
    assert_denied(ask(*state, rules, "/?d=x%0Awho", NULL), 6);
}

static void lines_count_wherever_an_end_stands(void **state)
{
    static const char *const patterns[] = {
        "^who$",
        "^who[(*]?$",
        "^who\\(*$",
        "(*LIMIT_MATCH=1000)^who$",
        "(?=^who$)who",
        "[[:^lower:]]{9}|^who$",
        "[]^$]|^who$",
        "\\Q[\\E|^who$",
        "(?#[)^who$",
        "(?x)^who$ # [^]",
        "(?i:^WHO)$|[^\\x00-\\xff]",
        "(*NO_JIT)(*LIMIT_DEPTH=99)^who",
    };
    char rules[256];

    for (size_t i = 0; i < WEIR_COUNT(patterns); i++) {
        for (unsigned global = 0; global < 2; global++) {
            (void) snprintf(rules, sizeof(rules),
                            "SecRule ARGS:a \"@rx%s %s\" \"id:1,phase:1,deny\"",
                            global ? "Global" : "", patterns[i]);
            assert_denied(ask(*state, rules, "/?a=who", NULL), 1);
            assert_denied(ask(*state, rules, "/?a=x%0Awho%0Ay", NULL), 1);
            assert_passed(ask(*state, rules, "/?a=xwho%0Ay", NULL));
        }
    }
}

static void lines_count_by_what_a_rule_does_once_it_is_amended(void **state)
{
    static const char *const letting[] = {"allow", "ctl:ruleRemoveById=2", "skip:1"};
    rules_unit *unit = *state;
    const weir_waf_program *lets[WEIR_COUNT(letting)], *outer, *allows, *denies, *moved;

    outer = read_rules(unit, NULL,
                       "SecRule ARGS:way \"@rx ^let$\" \"id:1,phase:1,pass,nolog\"\n"
                       "SecRule ARGS:a \"@rx ^who$\" \"id:2,phase:1,deny\"");
    for (size_t i = 0; i < WEIR_COUNT(letting); i++) {
        char text[128];

        (void) snprintf(text, sizeof(text), "SecRuleUpdateActionById 1 \"%s\"", letting[i]);
        lets[i] = read_rules(unit, outer, text);
        assert_non_null(lets[i]);
    }
    allows = read_rules(unit, outer, "SecRuleUpdateActionById 2 \"allow\"");
    denies = read_rules(unit, allows, "SecRuleUpdateActionById 2 \"deny\"");
    moved = read_rules(unit, outer, "SecRuleUpdateTargetById 2 ARGS:b");
    assert_true(allows != NULL && denies != NULL && moved != NULL);
    assert_true(weir_waf_library_close(unit->library, &unit->fault));

    assert_denied(ask_program(unit, outer, "/?a=who%0A", NULL), 2);
    for (size_t i = 0; i < WEIR_COUNT(letting); i++) {
        assert_passed(ask_program(unit, lets[i], "/?a=who&way=let", NULL));
        assert_denied(ask_program(unit, lets[i], "/?a=who&way=let%0A", NULL), 2);
    }
    assert_passed(ask_program(unit, allows, "/?a=who%0A", NULL));
    assert_denied(ask_program(unit, denies, "/?a=who%0A", NULL), 2);
    assert_denied(ask_program(unit, moved, "/?b=x%0Awho", NULL), 2);
}

static void lines_do_not_count_where_a_match_lets_by_and_never_less_matches(void **state)
{
    const char *inherits = "SecDefaultAction \"phase:1,allow,nolog\"\n"
                           "SecRule ARGS:way \"@rx ^let$\" \"id:1,phase:1,block\"\n"
                           "SecRule ARGS:way \"@rx ^go$\" \"id:2,phase:1\"\n"
                           "SecRule ARGS:a x \"id:3,phase:1,deny\"";
    const char *less = "SecRule ARGS:a \"@rx ^(?!(GET|POST)$)\" \"id:1,phase:1,deny\"\n"
                       "SecRule ARGS:b \"@rx (?<!^)X\" \"id:2,phase:1,deny\"\n"
                       "SecRule ARGS:c \"@rx ^a(?:$|\\nb)++\\nc\" \"id:3,phase:1,deny\"\n"
                       "SecRule ARGS:d \"@rx ^a(?:$|\\nb){1,9}+\\nc\" \"id:4,phase:1,deny\"\n"
                       "SecRule ARGS:e \"@rx ^a(*atomic:$|\\nb)\\nc\" \"id:5,phase:1,deny\"\n"
                       "SecRule ARGS:f \"@rx (?=(^b|bc))\\1d\" \"id:6,phase:1,deny\"\n"
                       "SecRule ARGS:g \"@rx (\\w+)$\" \"id:7,phase:1,deny,capture,chain\"\n"
                       "SecRule TX:1 \"@streq evil\"";

    assert_passed(ask(*state, inherits, "/?a=x&way=let", NULL));
    assert_denied(ask(*state, inherits, "/?a=x&way=let%0A", NULL), 3);
    assert_passed(ask(*state, inherits, "/?a=x&way=go", NULL));
    assert_denied(ask(*state, inherits, "/?a=x&way=go%0A", NULL), 3);

    assert_passed(ask(*state, less, "/?a=GET", NULL));
    assert_denied(ask(*state, less, "/?a=GET%0A", NULL), 1);
    assert_denied(ask(*state, less, "/?a=POST&b=x%0AX", NULL), 2);
    assert_denied(ask(*state, less, "/?c=a%0Ab%0Ac", NULL), 3);
    assert_denied(ask(*state, less, "/?d=a%0Ab%0Ac", NULL), 4);
    assert_denied(ask(*state, less, "/?e=a%0Ab%0Ac", NULL), 5);
    assert_denied(ask(*state, less, "/?f=x%0Abcd", NULL), 6);
    assert_denied(ask(*state, less, "/?g=harmless%20evil", NULL), 7);
    assert_denied(ask(*state, less, "/?g=harmless%0Aevil", NULL), 7);
}

/* By what the directive, or ctl for one request, says. */
static void xml_is_looked_at_as_arguments_where_it_is_asked_for(void **state)
{
    static const struct {
        const char *set, *target;
        uint64_t rule;
    } cases[] = {
        {"", "/", 3},
        {"SecParseXmlIntoArgs On", "/", 2},
        {"SecParseXmlIntoArgs On", "/?out", 3},
        {"SecParseXmlIntoArgs OnlyArgs", "/", 2},
        {"SecParseXmlIntoArgs OnlyArgs\nSecRuleUpdateTargetById 2 !ARGS", "/", 4},
        {"SecParseXmlIntoArgs Off", "/?in", 2},
    };
    char rules[1024];

    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        (void) snprintf(rules, sizeof(rules),
                        "SecAction \"id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=XML\"\n"
                        "SecRule ARGS_NAMES \"@streq out\" "
                        "\"id:5,phase:1,pass,nolog,ctl:parseXmlIntoArgs=Off\"\n"
                        "SecRule ARGS_NAMES \"@streq in\" "
                        "\"id:6,phase:1,pass,nolog,ctl:parseXmlIntoArgs=OnlyArgs\"\n"
                        "SecRule ARGS:xml.a.b \"@streq x\" \"id:2,phase:2,deny\"\n"
                        "SecRule XML:/* \"@contains x\" \"id:3,phase:2,deny\"\n"
                        "SecRule XML://@* \"@streq y\" \"id:4,phase:2,deny\"\n%s\n",
                        cases[i].set);
        assert_denied(ask(*state, rules, cases[i].target, "<a><b>x</b><c d='y'/></a>"),
                      cases[i].rule);
    }
}

static void a_chain_matches_if_each_link_does(void **state)
{
    const char *rules = "SecRule ARGS:a x \"id:1,phase:1,deny,chain\"\n"
                        "SecRule ARGS:b y \"chain,setvar:tx.seen=1\"\n"
                        "SecRule ARGS:c z\n"
                        "SecRule TX:seen \"@eq 1\" \"id:2,phase:1,deny\"";

    assert_denied(ask(*state, rules, "/?a=x&b=y&c=z", NULL), 1);
    /* What a link says is done although a later link does not match. */
    assert_denied(ask(*state, rules, "/?a=x&b=y&c=no", NULL), 2);
    assert_passed(ask(*state, rules, "/?a=x&b=no&c=z", NULL));
}

static void captures_go_to_the_next_link(void **state)
{
    assert_denied(ask(*state,
                      "SecRule ARGS:a \"@rx (\\d+)-(\\d+)\" \"id:1,phase:1,capture,deny,chain\"\n"
                      "SecRule TX:1 \"!@eq %{tx.2}\"",
                      "/?a=x12-13", NULL),
                  1);
    assert_passed(ask(*state,
                      "SecRule ARGS:a \"@rx (\\d+)-(\\d+)\" \"id:2,phase:1,capture,deny,chain\"\n"
                      "SecRule TX:1 \"!@eq %{tx.2}\"",
                      "/?a=x12-12", NULL));
}

static void matched_vars_are_those_of_the_chain(void **state)
{
    assert_denied(ask(*state,
                      "SecRule ARGS \"@contains a\" "
                      "\"id:1,phase:1,deny,chain,logdata:'%{MATCHED_VAR_NAME}'\"\n"
                      "SecRule MATCHED_VARS \"@contains b\"",
                      "/?one=a&two=ab&three=b", NULL),
                  1);
    assert_logged(*state, "[data \"MATCHED_VARS:two\"]");
}

static void markers_are_jumped_to(void **state)
{
    const char *rules = "SecRule ARGS:skip 1 \"id:1,phase:1,pass,nolog,skipAfter:END\"\n"
                        "SecRule ARGS:a x \"id:2,phase:1,deny\"\n"
                        "SecMarker END\n"
                        "SecRule ARGS:a x \"id:3,phase:1,deny\"";

    assert_denied(ask(*state, rules, "/?a=x", NULL), 2);
    assert_denied(ask(*state, rules, "/?a=x&skip=1", NULL), 3);
}

static void transformations_are_tested_one_by_one_with_multi_match(void **state)
{
    assert_denied(
        ask(*state,
            "SecRule ARGS \"@streq A\" \"id:1,phase:1,t:urlDecodeUni,t:lowercase,multiMatch,deny\"",
            "/?a=%2541", NULL),
        1);
}

static void multi_match_stays_with_a_value_that_its_rule_changes(void **state)
{
    const char *grows =
        "SecRule ARGS X \"id:1,phase:1,deny,chain\"\n"
        "SecRule MATCHED_VARS \"@rx ^[Xx]$\" \"t:lowercase,multiMatch,setvar:tx.n=+1,chain\"\n"
        "SecRule TX:n \"@eq 1200\"";
    char target[2 + 600 * 4 + 1] = "/?";

    /* "A%41" and "AA", not what the rule writes over it. */
    assert_denied(ask(*state,
                      "SecAction \"id:1,phase:1,pass,nolog,setvar:'tx.%{ARGS.n}=%{ARGS.v}'\"\n"
                      "SecRule TX:/^own/ \"@rx ^A\" \"id:2,phase:1,pass,nolog,t:none,t:urlDecode,"
                      "multiMatch,setvar:tx.%{ARGS.n}=Z,setvar:tx.times=+1\"\n"
                      "SecRule TX:times \"@eq 2\" \"id:3,phase:1,deny\"",
                      "/?n=owner&v=A%2541", NULL),
                  3);
    for (size_t i = 0; i < 600; i++) {
        memcpy(target + 2 + i * 4, "a=X&", 5);
    }
    assert_denied(ask(*state, grows, target, NULL), 1);
}

static void ctl_takes_rules_and_targets_out(void **state)
{
    static const char *const rules[] = {
        "SecAction \"id:1,phase:1,pass,nolog,ctl:ruleRemoveById=2-9\"\n",
        "SecAction \"id:1,phase:1,pass,nolog,ctl:ruleRemoveByTag=^one$\"\n",
        "SecAction \"id:1,phase:1,pass,nolog,ctl:ruleRemoveTargetById=2;ARGS:a\"\n",
        "SecAction \"id:1,phase:1,pass,nolog,ctl:ruleRemoveTargetByTag=one;ARGS\"\n",
        "SecAction \"id:1,phase:1,pass,nolog,ctl:ruleEngine=DetectionOnly\"\n",
        "SecRuleRemoveByTag one\n",
        "SecRuleUpdateTargetById 2 !ARGS:a\n",
        "SecRuleUpdateTargetByTag one \"!ARGS:/^A$/\"\n",
        "SecRuleUpdateActionById 2 \"pass\"\n",
    };
    char text[1024];

    for (size_t i = 0; i < WEIR_COUNT(rules); i++) {
        snprintf(text, sizeof(text), "%sSecRule ARGS x \"id:2,phase:1,deny,tag:'one'\"", rules[i]);
        if (ask(*state, text, "/?a=x", NULL)->deed != WEIR_WAF_DO_NOTHING) {
            fail_msg("%s", text);
        }
    }
}

static void block_does_what_the_default_action_says(void **state)
{
    const char *rule = "SecRule ARGS x \"id:2,phase:1,block\"";
    char text[512];

    assert_passed(ask(*state, rule, "/?a=x", NULL));
    snprintf(text, sizeof(text), "SecDefaultAction \"phase:1,log,deny,status:418\"\n%s", rule);
    assert_int_equal(ask(*state, text, "/?a=x", NULL)->status, 418);
}

static void allow_ends_what_would_have_denied(void **state)
{
    assert_passed(ask(*state,
                      "SecRule ARGS:a x \"id:1,phase:1,allow\"\n"
                      "SecRule ARGS:a x \"id:2,phase:1,deny\"",
                      "/?a=x", NULL));
}

static void a_line_of_the_log_has_modsecuritys_form(void **state)
{
    (void) ask(
        *state,
        "SecRule ARGS:q \"@contains \\\"x\" \"id:1,phase:1,deny,status:400,msg:'m %{MATCHED_VAR}',"
        "logdata:'d',severity:'CRITICAL',tag:'t1',tag:'t2',ver:'v',rev:'r'\"",
        "/path?q=a%22x%01", NULL);
    assert_string_equal(
        ((rules_unit *) *state)->log,
        "[client 192.0.2.1] ModSecurity: Access denied with code 400 (phase 1). Matched \"Operator "
        "`Contains' with "
        "parameter `\"x' against variable `ARGS:q' (Value: `a\\x22x\\x01' ) [file \"test.conf\"] "
        "[line \"3\"] [id \"1\"] [rev \"r\"] [msg \"m a\\x22x\\x01\"] [data \"d\"] [severity "
        "\"2\"] "
        "[ver \"v\"] [maturity \"0\"] [accuracy \"0\"] [tag \"t1\"] [tag \"t2\"] [hostname "
        "\"192.0.2.2\"] [uri \"/path\"] [unique_id \"12345\"] [ref \"\"]\n");
}

/* ---- bounds */

static void a_budget_that_is_used_up_is_a_verdict(void **state)
{
    rules_unit *unit = *state;
    const weir_waf_program *program = read_rules(
        unit, NULL, "SecRuleEngine On\nSecRule ARGS \"@rx ^(a+)+$\" \"id:1,phase:1,deny\"");
    weir_waf_options options = {
        .log = keep_line,
        .subject = unit,
        .unique_id = WEIR_STR("1"),
        .budget = {.work = 20000},
    };
    weir_waf_request_line line = {
        .line = WEIR_STR("GET / HTTP/1.1"),
        .method = WEIR_STR("GET"),
        .target =
            WEIR_STR("/?a=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab&b=aaaaaaaaaaaaaaaaaaaaaab"),
        .protocol = WEIR_STR("HTTP/1.1"),
    };

    assert_true(weir_waf_library_close(unit->library, &unit->fault));
    unit->tx = weir_waf_transaction_new(program, unit->worker, &options);
    weir_waf_set_request_line(unit->tx, &line);
    run_phase(unit, WEIR_WAF_PHASE_REQUEST_HEAD);
    assert_int_equal(weir_waf_intervened(unit->tx)->deed, WEIR_WAF_DO_DENY);
    assert_logged(unit, "budget of work is used up");
}

/* What reports is asked for more than is left. */
static void rules_of_phase_5_have_memory_of_their_own(void **state)
{
    rules_unit *unit = *state;
    const weir_waf_program *program = read_rules(
        unit, NULL,
        "SecRuleEngine On\nSecArgumentsLimit 0\nSecRule ARGS \"@streq x\" \"id:1,phase:1,deny\"\n"
        "SecRule REQUEST_METHOD GET \"id:2,phase:5,pass,log,logdata:'of %{REQUEST_URI}'\"");
    weir_waf_options options = {
        .log = keep_line,
        .subject = unit,
        .unique_id = WEIR_STR("1"),
        .budget = {.bytes = 96 * 1024},
    };
    char *target = weir_pool_bytes(unit->pool, 32768);
    weir_waf_request_line line = {
        .line = WEIR_STR("GET / HTTP/1.1"),
        .method = WEIR_STR("GET"),
        .target = weir_str_of(target, 32768),
        .protocol = WEIR_STR("HTTP/1.1"),
    };

    assert_true(weir_waf_library_close(unit->library, &unit->fault));
    memset(target, '&', 32768);
    memcpy(target, "/?", 2);
    for (size_t i = 2; i + 1 < 32768; i += 2) {
        target[i] = 'a';
    }
    for (int round = 0; round < 2; round++) {
        unit->log_len = 0;
        weir_waf_transaction_free(unit->tx);
        unit->tx = weir_waf_transaction_new(program, unit->worker, &options);
        weir_waf_set_request_line(unit->tx, &line);
        run_phase(unit, WEIR_WAF_PHASE_REQUEST_HEAD);
        assert_int_equal(weir_waf_intervened(unit->tx)->deed, WEIR_WAF_DO_DENY);
        assert_logged(unit, "budget of memory is used up in phase 1");
        run_phase(unit, WEIR_WAF_PHASE_LOGGING);
        assert_logged(unit, "[id \"2\"]");
        assert_logged(unit, "[data \"of /?a&a&a");
    }
}

typedef struct {
    const char *target;
    uint64_t denied_by; /* 0: none */
} known_request;

/* Texts are kept when they come again, and known after that. */
static void ask_again_and_again(rules_unit *unit, const char *rules, const known_request *requests,
                                size_t count)
{
    const weir_waf_program *program;
    char text[4096];

    unit->library = weir_waf_library_new(unit->pool, unit->temp, NULL, NULL);
    snprintf(text, sizeof(text), "SecRuleEngine On\n%s", rules);
    program = read_rules(unit, NULL, text);
    if (program == NULL) {
        fail_msg("%s\n%s", unit->fault.message, unit->fault.further);
    }
    assert_true(weir_waf_library_close(unit->library, &unit->fault));
    for (unsigned turn = 0; turn < 4; turn++) {
        for (size_t i = 0; i < count; i++) {
            uint64_t rule_id = ask_program(unit, program, requests[i].target, NULL)->rule_id;

            if (rule_id != requests[i].denied_by) {
                fail_msg("turn %u, %s: rule %u", turn, requests[i].target, (unsigned) rule_id);
            }
        }
    }
}

static void a_text_that_was_seen_before_gets_the_same_verdict(void **state)
{
    static const known_request requests[] = {
        {"/?x=aaab", 1},   {"/?x=aaac", 0},    {"/?x=b", 0},
        {"/?x=NEEDLE", 2}, {"/?x=a+needl", 0}, {"/?x=%2541", 3},
        {"/?y=aaab", 1},   {"/?aaab=x", 0},    {"/?x=unlike%20%25", 0},
    };
    ask_again_and_again(
        *state,
        "SecRule ARGS \"@rx ^a+b$\" \"id:1,phase:2,deny,t:none\"\n"
        "SecRule ARGS \"@rx ne+dle\" \"id:2,phase:2,deny,t:none,t:lowercase\"\n"
        "SecRule ARGS \"@streq A\" \"id:3,phase:2,deny,t:none,t:urlDecode,multiMatch\"\n"
        "SecRule ARGS \"!@rx ^[a-zA-Z0-9%+ ]*$\" \"id:4,phase:2,deny,t:none\"\n",
        requests, WEIR_COUNT(requests));
}

/* The same text, as a member that rules name, exclude or leave to a pattern. */
static void what_is_known_of_a_text_is_no_verdict_for_other_members(void **state)
{
    static const known_request requests[] = {
        {"/?x=evil", 1},      {"/?free=evil", 0}, {"/?freedom=evil", 0}, {"/?evil=x", 2},
        {"/?named=bad", 3},   {"/?other=bad", 0}, {"/?NAMED=bad", 3},    {"/?n=x&n=bad", 4},
        {"/?level=7", 5},     {"/?level=3", 0},   {"/?levels=7", 0},     {"/?word=abc", 6},
        {"/?word=123", 0},    {"/?words=abc", 0}, {"/?x=a.test", 7},     {"/?x=b.test", 0},
        {"/?processor=x", 8}, {"/?x=fine", 0},
    };

    ask_again_and_again(
        *state,
        "SecRule ARGS|!ARGS:free|!ARGS:/^freed/ \"@rx evi+l\" \"id:1,phase:1,deny,t:none\"\n"
        "SecRule ARGS_NAMES \"@rx evi+l\" \"id:2,phase:1,deny,t:none\"\n"
        "SecRule ARGS:named \"@rx ba+d\" \"id:3,phase:1,deny,t:none\"\n"
        "SecRule ARGS_GET:/^n$/ \"@rx ba+d\" \"id:4,phase:1,deny,t:none\"\n"
        "SecRule ARGS:level \"@gt 5\" \"id:5,phase:1,deny,t:none\"\n"
        "SecRule ARGS:word \"!@rx ^\\d+$\" \"id:6,phase:1,deny,t:none\"\n"
        "SecRule ARGS \"@streq %{SERVER_NAME}\" \"id:7,phase:1,deny,t:none\"\n"
        /* What the first link changes the second looks at. */
        "SecRule ARGS_NAMES \"@streq processor\" "
        "\"id:8,phase:1,deny,t:none,ctl:requestBodyProcessor=XML,chain\"\n"
        "SecRule REQBODY_PROCESSOR \"@rx XM+L\" \"t:none\"\n",
        requests, WEIR_COUNT(requests));
}

/* More texts than are kept: what is full begins anew, and nothing else changes.  Long ones are kept elsewhere. */
static void more_texts_than_are_kept_do_no_harm(void **state)
{
    static const struct {
        unsigned count, digits;
    } rounds[] = {{12000, 900}, {1200, 9000}, {40, 20000}};
    rules_unit *unit = *state;
    const weir_waf_program *program;
    char target[20100];

    unit->library = weir_waf_library_new(unit->pool, unit->temp, NULL, NULL);
    program = read_rules(unit, NULL,
                         "SecRuleEngine On\n"
                         "SecRule ARGS \"@rx x9+8z\" \"id:1,phase:2,deny,t:none\"\n");
    assert_non_null(program);
    assert_true(weir_waf_library_close(unit->library, &unit->fault));
    for (size_t round = 0; round < WEIR_COUNT(rounds); round++) {
        for (unsigned i = 0; i < rounds[round].count; i++) {
            bool denied = i % 7 == 0;

            snprintf(target, sizeof(target), "/?x=%0*u%s", (int) rounds[round].digits, i / 2,
                     denied ? "x998z" : "x99z");
            for (unsigned turn = 0; turn < 3; turn++) {
                assert_int_equal(ask_program(unit, program, target, NULL)->rule_id, denied ? 1 : 0);
            }
        }
    }
}

static void arguments_over_the_limit_are_not_taken(void **state)
{
    assert_denied(ask(*state,
                      "SecArgumentsLimit 3\n"
                      "SecRule &ARGS \"@ge 3\" \"id:1,phase:1,deny\"",
                      "/?a&b&c&d&e", NULL),
                  1);
}

static void an_audit_entry_has_no_server_id_where_there_is_no_host_name(void **state)
{
    rules_unit *unit = *state;
    weir_str entry;

    (void) ask(unit, "SecAuditEngine On\nSecAuditLogFormat JSON", "/", NULL);
    assert_true(weir_waf_audit_entry(unit->tx, unit->temp, &entry));
    assert_non_null(weir_str_find(entry, WEIR_STR("\"time_stamp\":")));
    assert_null(weir_str_find(entry, WEIR_STR("server_id")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_go_on_and_quotes_are_undone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_mistake_is_told_with_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(the_same_text_is_the_same_program, setup, teardown),
        cmocka_unit_test_setup_teardown(values_are_decoded_selected_excluded_and_counted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_name_and_patterns_of_the_same_letters_are_not_the_same,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_form_is_seen_in_phase_2, setup, teardown),
        cmocka_unit_test_setup_teardown(the_raw_body_is_there_for_forms_only, setup, teardown),
        cmocka_unit_test_setup_teardown(scores_add_up_for_each_value_that_matches, setup, teardown),
        cmocka_unit_test_setup_teardown(variables_are_set_changed_and_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pattern_selects_members_by_their_names, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_count_where_a_match_is_an_attack, setup, teardown),
        cmocka_unit_test_setup_teardown(xml_is_looked_at_as_arguments_where_it_is_asked_for, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(lines_count_wherever_an_end_stands, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_count_by_what_a_rule_does_once_it_is_amended, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            lines_do_not_count_where_a_match_lets_by_and_never_less_matches, setup, teardown),
        cmocka_unit_test_setup_teardown(a_chain_matches_if_each_link_does, setup, teardown),
        cmocka_unit_test_setup_teardown(captures_go_to_the_next_link, setup, teardown),
        cmocka_unit_test_setup_teardown(matched_vars_are_those_of_the_chain, setup, teardown),
        cmocka_unit_test_setup_teardown(markers_are_jumped_to, setup, teardown),
        cmocka_unit_test_setup_teardown(transformations_are_tested_one_by_one_with_multi_match,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(multi_match_stays_with_a_value_that_its_rule_changes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(ctl_takes_rules_and_targets_out, setup, teardown),
        cmocka_unit_test_setup_teardown(block_does_what_the_default_action_says, setup, teardown),
        cmocka_unit_test_setup_teardown(allow_ends_what_would_have_denied, setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_of_the_log_has_modsecuritys_form, setup, teardown),
        cmocka_unit_test_setup_teardown(a_budget_that_is_used_up_is_a_verdict, setup, teardown),
        cmocka_unit_test_setup_teardown(rules_of_phase_5_have_memory_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(a_text_that_was_seen_before_gets_the_same_verdict, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_known_of_a_text_is_no_verdict_for_other_members,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(more_texts_than_are_kept_do_no_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(arguments_over_the_limit_are_not_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(an_audit_entry_has_no_server_id_where_there_is_no_host_name,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
