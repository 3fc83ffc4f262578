#include "modules/balance/health.h"

#include "core/base/number.h"
#include "modules/http/proxy/proxy_internal.h"

/*
 * match NAME { … }: conditions for the answer to a health check.
 *
 *     status [!] CODE | FROM-TO …;
 *     header NAME;  header ! NAME;  header NAME = | != TEXT;  header NAME ~ | !~ REGEX;
 *     body ~ | !~ REGEX;
 *     require $VARIABLE …;
 *
 * Each line is a condition of its own, and all must be met.
 */

typedef struct {
    unsigned first, last;
} status_range;

typedef struct condition condition;
struct condition {
    proxy_health_match_part part;
    bool (*is_met)(const condition *self, const proxy_health_match_answer *answer);
    const char *failure;     /* for the log */
    bool is_negated;         /* "!" before what follows */
    weir_array list;         /* status_range, or slots of variables */
    weir_str name;           /* of a header */
    const weir_regex *regex; /* NULL: compare with text */
    weir_str text;
};

struct proxy_health_match {
    weir_array conditions; /* condition */
};

/* ---- what is met */

static bool status_is_met(const condition *self, const proxy_health_match_answer *answer)
{
    bool is_listed = false;

    for (WEIR_ARRAY_EACH(&self->list, const status_range, range)) {
        is_listed |= answer->status >= range->first && answer->status <= range->last;
    }
    return is_listed != self->is_negated;
}

static bool text_fits(const condition *self, weir_str text, const weir_log *log)
{
    return self->regex != NULL ? weir_regex_test(self->regex, text, log) == WEIR_REGEX_MATCH
                               : weir_str_eq(text, self->text);
}

static bool header_is_there(const condition *self, const proxy_health_match_answer *answer)
{
    return (weir_http_fields_find_text(answer->fields, self->name) != NULL) != self->is_negated;
}

/* Of several lines one must fit; negated, there must be lines, and none of them may. */
static bool header_is_met(const condition *self, const proxy_health_match_answer *answer)
{
    bool is_there = false;
    bool fits = false;

    for (size_t i = 0; i < answer->fields->count; i++) {
        const weir_http_field *field = &answer->fields->items[i];

        if (weir_str_eq_nocase(field->text, self->name)) {
            is_there = true;
            fits |= text_fits(self, field->value, answer->log);
        }
    }
    return is_there && fits != self->is_negated;
}

static bool body_is_met(const condition *self, const proxy_health_match_answer *answer)
{
    return text_fits(self, answer->body, answer->log) != self->is_negated;
}

static bool variables_are_met(const condition *self, const proxy_health_match_answer *answer)
{
    for (WEIR_ARRAY_EACH(&self->list, const int, slot)) {
        weir_value value;

        if (!weir_script_get(answer->script, *slot, &value) || value.text.len == 0
            || weir_str_eq(value.text, WEIR_STR("0"))) {
            return false;
        }
    }
    return true;
}

bool proxy_health_match_looks_at(const proxy_health_match *match, proxy_health_match_part part)
{
    for (WEIR_ARRAY_EACH(&match->conditions, const condition, each)) {
        if (each->part == part) {
            return true;
        }
    }
    return false;
}

const char *proxy_health_match_judge(const proxy_health_match *match, proxy_health_match_part part,
                                     const proxy_health_match_answer *answer)
{
    for (WEIR_ARRAY_EACH(&match->conditions, const condition, each)) {
        if (each->part == part && !each->is_met(each, answer)) {
            return each->failure;
        }
    }
    return NULL;
}

/* ---- reading */

static bool count_is_wrong(weir_conf *conf, const weir_statement *line)
{
    return weir_conf_refuse_arg(conf, line, 0, "invalid number of arguments in \"%.*s\"",
                                WEIR_STR_ARG(line->args[0]));
}

static bool status_is_read(weir_str text, status_range *range)
{
    bool is_range = weir_str_find(text, WEIR_STR("-")) != NULL;
    weir_str part = WEIR_STR_EMPTY;
    uint64_t first, last;

    if (!weir_str_split(&text, '-', &part) || !weir_parse_uint(part, 999, &first)
        || !weir_parse_uint(is_range ? text : part, 999, &last) || first < 100 || first > last) {
        return false;
    }
    *range = (status_range){(unsigned) first, (unsigned) last};
    return true;
}

static bool status_read(weir_conf *conf, condition *made, const weir_statement *line)
{
    size_t first = 1;

    made->is_met = status_is_met;
    made->failure = "the status does not match";
    weir_array_init(&made->list, weir_conf_pool(conf), sizeof(status_range), 2);
    if (line->count > 1 && weir_str_eq(line->args[1], WEIR_STR("!"))) {
        made->is_negated = true;
        first = 2;
    }
    for (size_t i = first; i < line->count; i++) {
        status_range *range = weir_array_push(&made->list);

        if (range == NULL) {
            return weir_conf_refuse(conf, "no memory for \"match\"");
        }
        if (!status_is_read(line->args[i], range)) {
            return weir_conf_refuse_arg(conf, line, i, "invalid status \"%.*s\"",
                                        WEIR_STR_ARG(line->args[i]));
        }
    }
    return made->list.count != 0 || count_is_wrong(conf, line);
}

/* What follows a field's name, or "body": "= text", "~ regex", and their opposites. */
static bool operator_read(weir_conf *conf, condition *made, const weir_statement *line, size_t i,
                          bool takes_text)
{
    weir_str sign = line->args[i];

    if (i + 2 != line->count) {
        return count_is_wrong(conf, line);
    }
    made->is_negated = sign.len == 2 && sign.data[0] == '!';
    if (weir_str_eq(sign, WEIR_STR("~")) || weir_str_eq(sign, WEIR_STR("!~"))) {
        made->regex = weir_regex_new(conf, NULL, line->args[i + 1], false);
        return made->regex != NULL;
    }
    if (takes_text && (weir_str_eq(sign, WEIR_STR("=")) || weir_str_eq(sign, WEIR_STR("!=")))) {
        made->text = line->args[i + 1];
        return true;
    }
    return weir_conf_refuse_arg(conf, line, i, "invalid condition \"%.*s\"", WEIR_STR_ARG(sign));
}

static bool header_read(weir_conf *conf, condition *made, const weir_statement *line)
{
    made->failure = "a header does not match";
    made->is_met = header_is_there;
    if (line->count == 2 && !weir_str_eq(line->args[1], WEIR_STR("!"))) {
        made->name = line->args[1];
        return true;
    }
    if (line->count == 3 && weir_str_eq(line->args[1], WEIR_STR("!"))) {
        made->name = line->args[2];
        made->is_negated = true;
        return true;
    }
    if (line->count < 3) {
        return count_is_wrong(conf, line);
    }
    made->name = line->args[1];
    made->is_met = header_is_met;
    return operator_read(conf, made, line, 2, true);
}

static bool body_read(weir_conf *conf, condition *made, const weir_statement *line)
{
    made->part = PROXY_HEALTH_BODY;
    made->failure = "the body does not match";
    made->is_met = body_is_met;
    return line->count > 1 ? operator_read(conf, made, line, 1, false) : count_is_wrong(conf, line);
}

static bool require_read(weir_conf *conf, condition *made, const weir_statement *line)
{
    weir_space *space = weir_space_of(conf, "http");

    made->part = PROXY_HEALTH_VARIABLES;
    made->failure = "a required variable is empty or 0";
    made->is_met = variables_are_met;
    weir_array_init(&made->list, weir_conf_pool(conf), sizeof(int), 2);
    for (size_t i = 1; space != NULL && i < line->count; i++) {
        int *slot = weir_array_push(&made->list);
        weir_str name;

        if (slot == NULL) {
            return weir_conf_refuse(conf, "no memory for \"match\"");
        }
        if (!weir_variable_name(conf, line->args[i], &name)) {
            return false;
        }
        *slot = weir_space_slot(conf, space, name);
        if (*slot == -1) {
            return false;
        }
    }
    return space != NULL && (made->list.count != 0 || count_is_wrong(conf, line));
}

static const struct {
    const char *name;
    bool (*read)(weir_conf *conf, condition *made, const weir_statement *line);
} readers[] = {
    {"status", status_read},
    {"header", header_read},
    {"body", body_read},
    {"require", require_read},
};

static bool line_read(weir_conf *conf, proxy_health_match *match, const weir_statement *line)
{
    for (size_t i = 0; i < WEIR_COUNT(readers); i++) {
        if (weir_str_eq(line->args[0], weir_str_from_z(readers[i].name))) {
            condition *made = weir_array_push(&match->conditions);

            weir_conf_point_at(conf, line);
            return made == NULL ? weir_conf_refuse(conf, "no memory for \"match\"")
                                : readers[i].read(conf, made, line);
        }
    }
    return weir_conf_refuse_arg(conf, line, 0, "unknown condition \"%.*s\" in \"match\"",
                                WEIR_STR_ARG(line->args[0]));
}

bool proxy_health_match_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    proxy_health_match *made = WEIR_NEW(weir_conf_pool(conf), proxy_health_match);

    (void) settings;
    if (made == NULL) {
        return weir_conf_refuse(conf, "no memory for \"match\"");
    }
    weir_array_init(&made->conditions, weir_conf_pool(conf), sizeof(condition), 4);
    for (const weir_statement *line = statement->first_child; line != NULL; line = line->next) {
        if (!line_read(conf, made, line)) {
            return false;
        }
    }
    return weir_balance_match_add(conf, &proxy_family, statement, made);
}
