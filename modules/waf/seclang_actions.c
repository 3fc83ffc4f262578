#include "core/base/number.h"
#include "modules/waf/program_internal.h"

/* The third word of a rule: its actions. */

typedef struct {
    weir_waf_reader *reader;
    weir_waf_rule *rule;
    weir_waf_link *link;
    weir_str name, value;
} action_reading;

typedef enum {
    TAKES_NOTHING,
    TAKES_VALUE,
    TAKES_EITHER,
} action_takes;

typedef struct {
    const char *name;
    action_takes takes;
    bool (*read)(const action_reading *action, unsigned choice);
    unsigned choice;
} action_row;

static const char *at_of(const action_reading *action)
{
    return action->value.len != 0 ? action->value.data : action->name.data;
}

static bool no_memory(const action_reading *action)
{
    return weir_waf_refuse(action->reader, NULL, "no memory for the rules");
}

static weir_waf_effect *add_effect(const action_reading *action, weir_waf_effect_kind kind)
{
    weir_waf_effect *effect = weir_array_push(&action->link->effects);

    if (effect == NULL) {
        (void) no_memory(action);
        return NULL;
    }
    effect->kind = kind;
    effect->slot = WEIR_WAF_NONE;
    return effect;
}

/* ---- what a rule is */

static bool read_id(const action_reading *action, unsigned choice)
{
    (void) choice;
    if (!weir_parse_uint(action->value, INT64_MAX, &action->rule->id) || action->rule->id == 0) {
        return weir_waf_refuse(action->reader, at_of(action), "\"%.*s\" is no rule id",
                               WEIR_STR_ARG(action->value));
    }
    action->reader->rule_id = action->rule->id;
    return true;
}

static bool read_phase(const action_reading *action, unsigned choice)
{
    static const struct {
        weir_str name;
        unsigned phase;
    } names[] = {
        {WEIR_STR_INIT("1"), 1},        {WEIR_STR_INIT("2"), 2},
        {WEIR_STR_INIT("3"), 3},        {WEIR_STR_INIT("4"), 4},
        {WEIR_STR_INIT("5"), 5},        {WEIR_STR_INIT("request"), 2},
        {WEIR_STR_INIT("response"), 4}, {WEIR_STR_INIT("logging"), 5},
    };

    (void) choice;
    for (size_t i = 0; i < WEIR_COUNT(names); i++) {
        if (weir_str_eq_nocase(names[i].name, action->value)) {
            action->rule->phase = names[i].phase;
            action->rule->says_phase = true;
            return true;
        }
    }
    return weir_waf_refuse(action->reader, at_of(action),
                           "\"%.*s\" is no phase: 1 to 5, request, response or logging",
                           WEIR_STR_ARG(action->value));
}

static bool read_severity(const action_reading *action, unsigned choice)
{
    static const char *const names[] = {"EMERGENCY", "ALERT",  "CRITICAL", "ERROR",
                                        "WARNING",   "NOTICE", "INFO",     "DEBUG"};
    uint64_t number;

    (void) choice;
    for (size_t i = 0; i < WEIR_COUNT(names); i++) {
        if (weir_str_eq_nocase(weir_str_from_z(names[i]), action->value)) {
            action->rule->severity = (int) i;
            return true;
        }
    }
    if (weir_parse_uint(action->value, 255, &number)) {
        action->rule->severity = (int) number;
        return true;
    }
    return weir_waf_refuse(action->reader, at_of(action), "\"%.*s\" is no severity",
                           WEIR_STR_ARG(action->value));
}

static bool read_macro_of_rule(const action_reading *action, unsigned choice)
{
    weir_waf_macro *macro;

    if (choice == 't') {
        macro = weir_array_push(&action->rule->tags);
        if (macro == NULL) {
            return no_memory(action);
        }
    } else {
        macro = choice == 'm' ? &action->rule->message : &action->rule->data;
    }
    return weir_waf_read_macro(action->reader, action->value, macro);
}

static bool read_text(const action_reading *action, unsigned choice)
{
    switch (choice) {
    case 'r':
        action->rule->revision = action->value;
        break;
    case 'v':
        action->rule->version = action->value;
        break;
    case 'm':
        action->rule->maturity = action->value;
        break;
    default:
        action->rule->accuracy = action->value;
        break;
    }
    return true;
}

static bool read_status(const action_reading *action, unsigned choice)
{
    uint64_t status;

    (void) choice;
    if (!weir_parse_uint(action->value, 999, &status) || status < 100) {
        return weir_waf_refuse(action->reader, at_of(action), "\"%.*s\" is no status",
                               WEIR_STR_ARG(action->value));
    }
    action->rule->actions.status = (unsigned) status;
    return true;
}

/* ---- what it does in the end */

static bool read_disruption(const action_reading *action, unsigned choice)
{
    weir_waf_defaults *actions = &action->rule->actions;

    actions->disruption = (weir_waf_disruption) choice;
    actions->says_disruption = true;
    if (choice == WEIR_WAF_REDIRECT) {
        return weir_waf_read_macro(action->reader, action->value, &actions->redirect);
    }
    if (choice == WEIR_WAF_ALLOW) {
        if (weir_str_eq_nocase(action->value, WEIR_STR("phase"))) {
            actions->allow = WEIR_WAF_ALLOW_PHASE;
        } else if (weir_str_eq_nocase(action->value, WEIR_STR("request"))) {
            actions->allow = WEIR_WAF_ALLOW_REQUEST;
        } else if (action->value.len != 0) {
            return weir_waf_refuse(action->reader, at_of(action),
                                   "\"allow\" takes \"phase\" or \"request\"");
        } else {
            actions->allow = WEIR_WAF_ALLOW_ALL;
        }
    }
    return true;
}

/* "nolog" means that the audit log is not told either, unless it is said behind it. */
static bool read_log(const action_reading *action, unsigned choice)
{
    weir_waf_defaults *actions = &action->rule->actions;

    switch (choice) {
    case 'l':
        actions->log = WEIR_WAF_YES;
        break;
    case 'n':
        actions->log = WEIR_WAF_NO;
        actions->audit = WEIR_WAF_NO;
        break;
    case 'a':
        actions->audit = WEIR_WAF_YES;
        break;
    default:
        actions->audit = WEIR_WAF_NO;
        break;
    }
    return true;
}

static bool read_skip(const action_reading *action, unsigned choice)
{
    uint64_t count;

    if (choice != 0) {
        action->rule->skip_after = action->value;
        return true;
    }
    if (!weir_parse_uint(action->value, 1000000, &count)) {
        return weir_waf_refuse(action->reader, at_of(action), "\"skip\" takes a number of rules");
    }
    action->rule->skip = (unsigned) count;
    return true;
}

static bool read_flag(const action_reading *action, unsigned choice)
{
    switch (choice) {
    case 'c':
        action->link->captures = true;
        break;
    case 'm':
        action->link->is_multi_match = true;
        break;
    default:
        action->rule->expects_link = true;
        break;
    }
    return true;
}

static bool read_transformation(const action_reading *action, unsigned choice)
{
    const weir_waf_transform *transform = weir_waf_transform_find(action->value);
    const weir_waf_transform **added;

    (void) choice;
    if (transform == NULL) {
        return weir_waf_refuse(action->reader, at_of(action), "unknown transformation \"%.*s\"",
                               WEIR_STR_ARG(action->value));
    }
    if (weir_waf_transform_is_none(transform)) {
        action->link->list.count = 0;
        action->link->has_own_list = true;
        return true;
    }
    added = weir_array_push(&action->link->list);
    if (added == NULL) {
        return no_memory(action);
    }
    *added = transform;
    return true;
}

/* ---- variables */

/* "tx.name" */
static bool read_member(const action_reading *action, weir_str text, weir_waf_effect *effect)
{
    const char *dot = weir_str_find_byte(text, '.');
    weir_str collection = dot == NULL ? text : weir_str_slice(text, 0, (size_t) (dot - text.data));
    weir_waf_variable_source source;

    if (dot == NULL || text.len == collection.len + 1) {
        return weir_waf_refuse(action->reader, text.data,
                               "\"%.*s\" takes COLLECTION.NAME, as tx.score",
                               WEIR_STR_ARG(action->name));
    }
    if (!weir_waf_variable_find(collection, &effect->variable)) {
        return weir_waf_refuse(action->reader, text.data, "unknown collection \"%.*s\"",
                               WEIR_STR_ARG(collection));
    }
    source = weir_waf_variable_source_of(effect->variable);
    if (source != WEIR_WAF_SOURCE_TX && source != WEIR_WAF_SOURCE_KEPT) {
        return weir_waf_refuse(action->reader, text.data, "\"%.*s\" cannot be written to",
                               WEIR_STR_ARG(collection));
    }
    text = weir_str_from(text, collection.len + 1);
    if (!weir_waf_read_macro(action->reader, text, &effect->name)) {
        return false;
    }
    if (source == WEIR_WAF_SOURCE_TX && effect->name.is_constant) {
        effect->slot = weir_waf_slot(action->reader->library, text);
        return effect->slot != WEIR_WAF_NONE || no_memory(action);
    }
    return true;
}

/* tx.a=5, tx.a=+5, tx.a=-%{tx.b}, !tx.a, tx.a */
static bool read_setvar(const action_reading *action, unsigned choice)
{
    weir_waf_effect *effect = add_effect(action, WEIR_WAF_SETVAR);
    weir_str text = action->value;
    weir_str value = WEIR_STR("1");
    const char *equals;

    (void) choice;
    if (effect == NULL) {
        return false;
    }
    effect->assignment = WEIR_WAF_ASSIGN;
    if (text.len > 0 && text.data[0] == '!') {
        effect->assignment = WEIR_WAF_UNSET;
        return read_member(action, weir_str_from(text, 1), effect);
    }
    equals = weir_str_find_byte(text, '=');
    if (equals != NULL) {
        value = weir_str_from(text, (size_t) (equals - text.data) + 1);
        text = weir_str_slice(text, 0, (size_t) (equals - text.data));
    }
    if (value.len > 1 && (value.data[0] == '+' || value.data[0] == '-')) {
        effect->assignment = value.data[0] == '+' ? WEIR_WAF_ADD : WEIR_WAF_SUBTRACT;
        value = weir_str_from(value, 1);
    }
    effect->is_number = weir_parse_int(value, INT64_MIN / 2, INT64_MAX / 2, &effect->number);
    return read_member(action, text, effect)
           && weir_waf_read_macro(action->reader, value, &effect->value);
}

static bool read_expiry(const action_reading *action, unsigned choice)
{
    weir_waf_effect *effect = add_effect(action, (weir_waf_effect_kind) choice);
    weir_str text = action->value;
    const char *equals = weir_str_find_byte(text, '=');
    weir_str number = WEIR_STR_EMPTY;

    if (effect == NULL) {
        return false;
    }
    if (equals != NULL) {
        number = weir_str_from(text, (size_t) (equals - text.data) + 1);
        text = weir_str_slice(text, 0, (size_t) (equals - text.data));
    }
    if (choice == WEIR_WAF_DEPRECATEVAR) {
        const char *slash = weir_str_find_byte(number, '/');
        uint64_t amount;

        if (slash == NULL
            || !weir_parse_uint(weir_str_slice(number, 0, (size_t) (slash - number.data)),
                                INT32_MAX, &amount)) {
            return weir_waf_refuse(action->reader, at_of(action),
                                   "\"deprecatevar\" takes COLLECTION.NAME=AMOUNT/SECONDS");
        }
        effect->number = (int64_t) amount;
        number = weir_str_from(number, (size_t) (slash - number.data) + 1);
    }
    if (choice == WEIR_WAF_EXPIREVAR && number.len != 0) {
        return weir_waf_read_macro(action->reader, number, &effect->value)
               && read_member(action, text, effect);
    }
    if (!weir_parse_uint(number, INT32_MAX, &effect->seconds) || effect->seconds == 0) {
        return weir_waf_refuse(action->reader, at_of(action), "\"%.*s\" takes seconds behind \"=\"",
                               WEIR_STR_ARG(action->name));
    }
    return read_member(action, text, effect);
}

static bool read_initcol(const action_reading *action, unsigned choice)
{
    weir_waf_effect *effect = add_effect(action, WEIR_WAF_INITCOL);
    const char *equals = weir_str_find_byte(action->value, '=');
    weir_str name;

    (void) choice;
    if (effect == NULL) {
        return false;
    }
    name = equals == NULL
               ? action->value
               : weir_str_slice(action->value, 0, (size_t) (equals - action->value.data));
    if (equals == NULL || !weir_waf_variable_find(name, &effect->variable)
        || weir_waf_variable_source_of(effect->variable) != WEIR_WAF_SOURCE_KEPT) {
        return weir_waf_refuse(action->reader, at_of(action),
                               "\"initcol\" takes global, ip, resource, session or user, as "
                               "ip=%%{REMOTE_ADDR}");
    }
    action->reader->program->keeps_collections = true;
    return weir_waf_read_macro(action->reader, weir_str_from(action->value, name.len + 1),
                               &effect->value);
}

static bool read_setid(const action_reading *action, unsigned choice)
{
    weir_waf_effect *effect = add_effect(action, WEIR_WAF_SETID);

    if (effect == NULL) {
        return false;
    }
    effect->variable = (weir_waf_variable) choice;
    action->reader->program->keeps_collections = true;
    return weir_waf_read_macro(action->reader, action->value, &effect->value);
}

static bool read_setenv(const action_reading *action, unsigned choice)
{
    weir_waf_effect *effect = add_effect(action, WEIR_WAF_SETENV);
    const char *equals = weir_str_find_byte(action->value, '=');
    weir_str name = action->value;
    weir_str value = WEIR_STR("1");

    (void) choice;
    if (effect == NULL) {
        return false;
    }
    if (equals != NULL) {
        name = weir_str_slice(action->value, 0, (size_t) (equals - action->value.data));
        value = weir_str_from(action->value, name.len + 1);
    }
    return weir_waf_read_macro(action->reader, name, &effect->name)
           && weir_waf_read_macro(action->reader, value, &effect->value);
}

/* ---- those that exist elsewhere */

static bool read_without_effect(const action_reading *action, unsigned choice)
{
    (void) choice;
    weir_waf_say(action->reader, "the action \"%.*s\" has no effect here",
                 WEIR_STR_ARG(action->name));
    return true;
}

static bool read_unsupported(const action_reading *action, unsigned choice)
{
    (void) choice;
    return weir_waf_refuse(action->reader, action->name.data,
                           "the action \"%.*s\" is not supported", WEIR_STR_ARG(action->name));
}

/* ---- ctl */

static const weir_waf_word on_off[] = {{"On", true}, {"Off", false}, {NULL, 0}};

const weir_waf_word weir_waf_engines[] = {
    {"On", WEIR_WAF_ENGINE_ON},
    {"Off", WEIR_WAF_ENGINE_OFF},
    {"DetectionOnly", WEIR_WAF_ENGINE_DETECTION},
    {NULL, 0},
};
const weir_waf_word weir_waf_audit_modes[] = {
    {"On", WEIR_WAF_AUDIT_ON},
    {"Off", WEIR_WAF_AUDIT_OFF},
    {"RelevantOnly", WEIR_WAF_AUDIT_RELEVANT},
    {NULL, 0},
};
const weir_waf_word weir_waf_xml_modes[] = {
    {"On", WEIR_WAF_XML_IN_BOTH},
    {"Off", WEIR_WAF_XML_IN_XML},
    {"OnlyArgs", WEIR_WAF_XML_IN_ARGS},
    {NULL, 0},
};

bool weir_waf_word_find(const weir_waf_word *words, weir_str name, unsigned *value)
{
    for (; words->name != NULL; words++) {
        if (weir_str_eq_nocase(weir_str_from_z(words->name), name)) {
            *value = words->value;
            return true;
        }
    }
    return false;
}

static const weir_waf_word processors[] = {
    {"URLENCODED", 0}, {"MULTIPART", 1}, {"XML", 2}, {"JSON", 3}, {NULL, 0},
};

static const struct {
    const char *name;
    weir_waf_effect_kind kind;
    const weir_waf_word *choices; /* NULL: read otherwise */
} ctls[] = {
    {"ruleEngine", WEIR_WAF_CTL_ENGINE, weir_waf_engines},
    {"auditEngine", WEIR_WAF_CTL_AUDIT_ENGINE, weir_waf_audit_modes},
    {"auditLogParts", WEIR_WAF_CTL_AUDIT_PARTS, NULL},
    {"forceRequestBodyVariable", WEIR_WAF_CTL_FORCE_BODY, on_off},
    {"requestBodyAccess", WEIR_WAF_CTL_REQUEST_BODY_ACCESS, on_off},
    {"responseBodyAccess", WEIR_WAF_CTL_RESPONSE_BODY_ACCESS, on_off},
    {"requestBodyProcessor", WEIR_WAF_CTL_BODY_PROCESSOR, processors},
    {"parseXmlIntoArgs", WEIR_WAF_CTL_XML_ARGUMENTS, weir_waf_xml_modes},
    {"ruleRemoveById", WEIR_WAF_CTL_REMOVE_ID, NULL},
    {"ruleRemoveByTag", WEIR_WAF_CTL_REMOVE_TAG, NULL},
    {"ruleRemoveByMsg", WEIR_WAF_CTL_REMOVE_MSG, NULL},
    {"ruleRemoveTargetById", WEIR_WAF_CTL_REMOVE_TARGET_ID, NULL},
    {"ruleRemoveTargetByTag", WEIR_WAF_CTL_REMOVE_TARGET_TAG, NULL},
    {"ruleRemoveTargetByMsg", WEIR_WAF_CTL_REMOVE_TARGET_MSG, NULL},
};

static bool read_ctl_choice(const action_reading *action, weir_str value,
                            const weir_waf_word *choices, weir_waf_effect *effect)
{
    return weir_waf_word_find(choices, value, &effect->choice)
           || weir_waf_refuse(action->reader, at_of(action), "\"%.*s\" does not take \"%.*s\"",
                              WEIR_STR_ARG(action->value), WEIR_STR_ARG(value));
}

/* ID[-ID] or an expression, and behind ";" a target. */
static bool read_ctl_rules(const action_reading *action, weir_str value, weir_waf_effect *effect)
{
    bool is_by_id =
        effect->kind == WEIR_WAF_CTL_REMOVE_ID || effect->kind == WEIR_WAF_CTL_REMOVE_TARGET_ID;
    weir_str which = value;

    if (effect->kind >= WEIR_WAF_CTL_REMOVE_TARGET_ID) {
        const char *semicolon = weir_str_find_byte(value, ';');

        if (semicolon == NULL) {
            return weir_waf_refuse(action->reader, at_of(action),
                                   "a target is missing, as ruleRemoveTargetById=1;ARGS:name");
        }
        which = weir_str_slice(value, 0, (size_t) (semicolon - value.data));
        value = weir_str_from(value, which.len + 1);
        if (value.len != 0 && value.data[0] == '!') {
            value = weir_str_from(value, 1);
        }
        if (!weir_waf_read_target(action->reader, value, &effect->target)) {
            return false;
        }
    }
    if (is_by_id) {
        return weir_waf_read_ranges(action->reader, which, &effect->rules);
    }
    effect->rules.pattern = weir_waf_read_pattern(action->reader, which, false);
    return effect->rules.pattern != NULL;
}

static bool read_ctl(const action_reading *action, unsigned choice)
{
    const char *equals = weir_str_find_byte(action->value, '=');
    weir_str option =
        equals == NULL ? action->value
                       : weir_str_slice(action->value, 0, (size_t) (equals - action->value.data));
    weir_str value = weir_str_from(action->value, option.len + 1);

    (void) choice;
    for (size_t i = 0; i < WEIR_COUNT(ctls); i++) {
        weir_waf_effect *effect;

        if (!weir_str_eq_nocase(weir_str_from_z(ctls[i].name), option)) {
            continue;
        }
        effect = add_effect(action, ctls[i].kind);
        if (effect == NULL) {
            return false;
        }
        if (ctls[i].choices != NULL) {
            if (!read_ctl_choice(action, value, ctls[i].choices, effect)) {
                return false;
            }
            action->reader->program->settings.audit.may_be_turned_on |=
                ctls[i].kind == WEIR_WAF_CTL_AUDIT_ENGINE && effect->choice != WEIR_WAF_AUDIT_OFF;
            return true;
        }
        if (ctls[i].kind == WEIR_WAF_CTL_AUDIT_PARTS) {
            return weir_waf_read_macro(action->reader, value, &effect->value);
        }
        return read_ctl_rules(action, value, effect);
    }
    if (weir_str_eq_nocase(option, WEIR_STR("debugLogLevel"))
        || weir_str_eq_nocase(option, WEIR_STR("hashEngine"))
        || weir_str_eq_nocase(option, WEIR_STR("hashEnforcement"))) {
        weir_waf_say(action->reader, "ctl:%.*s has no effect here", WEIR_STR_ARG(option));
        return true;
    }
    return weir_waf_refuse(action->reader, at_of(action), "unknown ctl option \"%.*s\"",
                           WEIR_STR_ARG(option));
}

static const action_row rows[] = {
    {"accuracy", TAKES_VALUE, read_text, 'a'},
    {"allow", TAKES_EITHER, read_disruption, WEIR_WAF_ALLOW},
    {"auditlog", TAKES_NOTHING, read_log, 'a'},
    {"block", TAKES_NOTHING, read_disruption, WEIR_WAF_BLOCK},
    {"capture", TAKES_NOTHING, read_flag, 'c'},
    {"chain", TAKES_NOTHING, read_flag, 'n'},
    {"ctl", TAKES_VALUE, read_ctl, 0},
    {"deny", TAKES_NOTHING, read_disruption, WEIR_WAF_DENY},
    {"deprecatevar", TAKES_VALUE, read_expiry, WEIR_WAF_DEPRECATEVAR},
    {"drop", TAKES_NOTHING, read_disruption, WEIR_WAF_DROP},
    {"expirevar", TAKES_VALUE, read_expiry, WEIR_WAF_EXPIREVAR},
    {"id", TAKES_VALUE, read_id, 0},
    {"initcol", TAKES_VALUE, read_initcol, 0},
    {"log", TAKES_NOTHING, read_log, 'l'},
    {"logdata", TAKES_VALUE, read_macro_of_rule, 'd'},
    {"maturity", TAKES_VALUE, read_text, 'm'},
    {"msg", TAKES_VALUE, read_macro_of_rule, 'm'},
    {"multiMatch", TAKES_NOTHING, read_flag, 'm'},
    {"noauditlog", TAKES_NOTHING, read_log, 0},
    {"nolog", TAKES_NOTHING, read_log, 'n'},
    {"pass", TAKES_NOTHING, read_disruption, WEIR_WAF_PASS},
    {"phase", TAKES_VALUE, read_phase, 0},
    {"redirect", TAKES_VALUE, read_disruption, WEIR_WAF_REDIRECT},
    {"rev", TAKES_VALUE, read_text, 'r'},
    {"setenv", TAKES_VALUE, read_setenv, 0},
    {"setrsc", TAKES_VALUE, read_setid, WEIR_WAF_VAR_RESOURCE},
    {"setsid", TAKES_VALUE, read_setid, WEIR_WAF_VAR_SESSION},
    {"setuid", TAKES_VALUE, read_setid, WEIR_WAF_VAR_USER},
    {"setvar", TAKES_VALUE, read_setvar, 0},
    {"severity", TAKES_VALUE, read_severity, 0},
    {"skip", TAKES_VALUE, read_skip, 0},
    {"skipAfter", TAKES_VALUE, read_skip, 1},
    {"status", TAKES_VALUE, read_status, 0},
    {"t", TAKES_VALUE, read_transformation, 0},
    {"tag", TAKES_VALUE, read_macro_of_rule, 't'},
    {"ver", TAKES_VALUE, read_text, 'v'},
    {"pause", TAKES_VALUE, read_without_effect, 0},
    {"sanitiseArg", TAKES_VALUE, read_without_effect, 0},
    {"sanitiseMatched", TAKES_NOTHING, read_without_effect, 0},
    {"sanitiseMatchedBytes", TAKES_EITHER, read_without_effect, 0},
    {"sanitiseRequestHeader", TAKES_VALUE, read_without_effect, 0},
    {"sanitiseResponseHeader", TAKES_VALUE, read_without_effect, 0},
    {"append", TAKES_VALUE, read_unsupported, 0},
    {"exec", TAKES_VALUE, read_unsupported, 0},
    {"prepend", TAKES_VALUE, read_unsupported, 0},
    {"proxy", TAKES_VALUE, read_unsupported, 0},
    {"xmlns", TAKES_VALUE, read_unsupported, 0},
};

static bool read_one(const action_reading *action)
{
    for (size_t i = 0; i < WEIR_COUNT(rows); i++) {
        if (!weir_str_eq_nocase(weir_str_from_z(rows[i].name), action->name)) {
            continue;
        }
        if (rows[i].takes == TAKES_VALUE && action->value.len == 0) {
            return weir_waf_refuse(action->reader, action->name.data,
                                   "the action \"%s\" takes a value", rows[i].name);
        }
        if (rows[i].takes == TAKES_NOTHING && action->value.len != 0) {
            return weir_waf_refuse(action->reader, action->value.data,
                                   "the action \"%s\" takes no value", rows[i].name);
        }
        return rows[i].read(action, rows[i].choice);
    }
    return weir_waf_refuse(action->reader, action->name.data, "unknown action \"%.*s\"",
                           WEIR_STR_ARG(action->name));
}

bool weir_waf_read_actions(weir_waf_reader *reader, weir_str text, weir_waf_rule *rule,
                           weir_waf_link *link)
{
    weir_waf_action_list list = {.rest = text, .pool = reader->pool};
    action_reading action = {.reader = reader, .rule = rule, .link = link};

    rule->expects_link = false;
    while (weir_waf_next_action(&list, &action.name, &action.value)) {
        if (!read_one(&action)) {
            return false;
        }
    }
    return list.broken == NULL || weir_waf_refuse(reader, list.rest.data, "%s", list.broken);
}

bool weir_waf_read_ranges(weir_waf_reader *reader, weir_str text, weir_waf_rule_choice *choice)
{
    weir_array ranges;

    weir_array_init(&ranges, reader->pool, sizeof(weir_waf_id_range), 2);
    while (text.len > 0) {
        weir_waf_id_range *range;
        weir_str from, to;
        size_t end = 0;

        while (end < text.len && text.data[end] != ',' && text.data[end] != ' ') {
            end++;
        }
        from = weir_str_slice(text, 0, end);
        text = weir_str_from(text, end + 1);
        if (from.len == 0) {
            continue;
        }
        if (from.len >= 2 && (from.data[0] == '"' || from.data[0] == '\'')) {
            from = weir_str_slice(from, 1, from.len - 1);
        }
        to = from;
        (void) weir_str_split(&to, '-', &from);
        range = weir_array_push(&ranges);
        if (range == NULL) {
            return weir_waf_refuse(reader, NULL, "no memory for the rules");
        }
        if (!weir_parse_uint(from, INT64_MAX, &range->from)
            || (to.len != 0 && !weir_parse_uint(to, INT64_MAX, &range->to))) {
            return weir_waf_refuse(reader, from.data, "\"%.*s\" is no rule id or range of them",
                                   WEIR_STR_ARG(from));
        }
        if (to.len == 0) {
            range->to = range->from;
        }
    }
    choice->ranges = ranges.items;
    choice->count = ranges.count;
    return ranges.count != 0 || weir_waf_refuse(reader, text.data, "a rule id is missing");
}
