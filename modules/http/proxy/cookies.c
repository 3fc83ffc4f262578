#include "modules/http/proxy/proxy_internal.h"

/* Set-Cookie of origins: Domain, Path and flags, as proxy_cookie_domain, _path and _flags say. */

/* ---- proxy_cookie_flags COOKIE [FLAG ...] */

enum {
    FLAG_SECURE = 1u << 0,
    FLAG_SECURE_OFF = 1u << 1,
    FLAG_HTTPONLY = 1u << 2,
    FLAG_HTTPONLY_OFF = 1u << 3,
    FLAG_SAMESITE_STRICT = 1u << 4,
    FLAG_SAMESITE_LAX = 1u << 5,
    FLAG_SAMESITE_NONE = 1u << 6,
    FLAG_SAMESITE_OFF = 1u << 7,
};

static const weir_choice flag_names[] = {
    {"secure", FLAG_SECURE},
    {"nosecure", FLAG_SECURE_OFF},
    {"httponly", FLAG_HTTPONLY},
    {"nohttponly", FLAG_HTTPONLY_OFF},
    {"samesite=strict", FLAG_SAMESITE_STRICT},
    {"samesite=lax", FLAG_SAMESITE_LAX},
    {"samesite=none", FLAG_SAMESITE_NONE},
    {"nosamesite", FLAG_SAMESITE_OFF},
    {NULL, 0},
};

/* 0: no such flag. */
static unsigned flag_of(weir_str text)
{
    for (const weir_choice *flag = flag_names; flag->name != NULL; flag++) {
        if (weir_str_eq_nocase(text, weir_str_from_z(flag->name))) {
            return flag->value;
        }
    }
    return 0;
}

static bool flags_read(weir_conf *conf, const weir_statement *statement, proxy_flag_rule *rule)
{
    weir_space *space = weir_space_of(conf, "http");

    weir_array_init(&rule->flags, weir_conf_pool(conf), sizeof(const weir_template *), 2);
    for (size_t i = 2; i < statement->count; i++) {
        const weir_template **flag = weir_array_push(&rule->flags);
        weir_str text = statement->args[i];

        if (weir_str_find_byte(text, '$') == NULL && flag_of(text) == 0) {
            return weir_conf_refuse_arg(conf, statement, i, "invalid parameter \"%.*s\"",
                                        WEIR_STR_ARG(text));
        }
        if (flag == NULL) {
            return weir_conf_refuse(conf, "no memory for \"proxy_cookie_flags\"");
        }
        *flag = weir_template_new(conf, space, text);
        if (*flag == NULL) {
            return false;
        }
    }
    return true;
}

bool proxy_cookie_flags_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    proxy_conf *proxy = settings;
    weir_space *space = weir_space_of(conf, "http");
    weir_str name = statement->args[1];
    proxy_flag_rule *rule;
    void *added;

    if (!proxy_rules_add(conf, &proxy->cookie_flags, offsetof(proxy_conf, cookie_flags),
                         sizeof(*rule), statement, &added)) {
        return false;
    }
    if (added == NULL) {
        return true;
    }
    rule = added;
    if (weir_str_starts(name, WEIR_STR("~"))) {
        rule->regex = weir_regex_new(conf, space, weir_str_from(name, 1), true);
        return rule->regex != NULL && flags_read(conf, statement, rule);
    }
    rule->name = weir_template_new(conf, space, name);
    return rule->name != NULL && flags_read(conf, statement, rule);
}

/* Of the first rule that is for this cookie; those that are no flags, by a variable, count for nothing. */
static bool flags_of_rule(proxy_state *proxy, const proxy_flag_rule *rule, unsigned *flags)
{
    for (WEIR_ARRAY_EACH(&rule->flags, const weir_template *const, flag)) {
        weir_str text;

        if (!weir_template_text(*flag, &proxy->ex->script, &text)) {
            return false;
        }
        *flags |= flag_of(text);
    }
    return true;
}

/* False: no memory. */
static bool find_flags(proxy_state *proxy, weir_str cookie, unsigned *flags)
{
    const weir_array *rules = proxy->conf->cookie_flags.rules;
    weir_script *script = &proxy->ex->script;

    *flags = 0;
    for (WEIR_ARRAY_EACH(rules, const proxy_flag_rule, rule)) {
        weir_str name;

        if (rule->regex != NULL) {
            if (weir_regex_match(rule->regex, script, cookie) != WEIR_REGEX_MATCH) {
                continue;
            }
        } else if (!weir_template_text(rule->name, script, &name)) {
            return false;
        } else if (!weir_str_eq_nocase(name, cookie)) {
            continue;
        }
        return flags_of_rule(proxy, rule, flags);
    }
    return true;
}

/* ---- one cookie on its way */

typedef struct {
    proxy_state *proxy;
    weir_builder text;
    unsigned flags; /* still to be set */
    unsigned asked; /* all that the rule says */
    bool is_changed;
} cookie;

static bool names(weir_str attribute, weir_str name)
{
    size_t end = 0;

    while (end < attribute.len && attribute.data[end] != '=') {
        end++;
    }
    return weir_str_eq_nocase(weir_str_trim(weir_str_slice(attribute, 0, end)), name);
}

static void add_samesite(cookie *c)
{
    weir_builder_add(&c->text, (c->asked & FLAG_SAMESITE_STRICT) ? WEIR_STR(" SameSite=Strict")
                               : (c->asked & FLAG_SAMESITE_LAX)  ? WEIR_STR(" SameSite=Lax")
                                                                 : WEIR_STR(" SameSite=None"));
}

#define FLAG_SAMESITE_ANY (FLAG_SAMESITE_STRICT | FLAG_SAMESITE_LAX | FLAG_SAMESITE_NONE)

/* A flag that is there: it stays as it is, goes, or gets another value.  True: done with it. */
static bool take_flag(cookie *c, weir_str attribute)
{
    if ((names(attribute, WEIR_STR("secure")) && (c->asked & FLAG_SECURE_OFF))
        || (names(attribute, WEIR_STR("httponly")) && (c->asked & FLAG_HTTPONLY_OFF))
        || (names(attribute, WEIR_STR("samesite")) && (c->asked & FLAG_SAMESITE_OFF))) {
        c->is_changed = true;
        return true;
    }
    if (names(attribute, WEIR_STR("samesite")) && (c->asked & FLAG_SAMESITE_ANY)) {
        weir_builder_add_byte(&c->text, ';');
        add_samesite(c);
        c->flags &= ~(unsigned) FLAG_SAMESITE_ANY;
        c->is_changed = true;
        return true;
    }
    if (names(attribute, WEIR_STR("secure"))) {
        c->flags &= ~(unsigned) FLAG_SECURE;
    } else if (names(attribute, WEIR_STR("httponly"))) {
        c->flags &= ~(unsigned) FLAG_HTTPONLY;
    }
    return false;
}

static void add_flags(cookie *c)
{
    if (c->flags & FLAG_SECURE) {
        weir_builder_add(&c->text, WEIR_STR("; Secure"));
        c->is_changed = true;
    }
    if (c->flags & FLAG_HTTPONLY) {
        weir_builder_add(&c->text, WEIR_STR("; HttpOnly"));
        c->is_changed = true;
    }
    if (c->flags & FLAG_SAMESITE_ANY) {
        weir_builder_add_byte(&c->text, ';');
        add_samesite(c);
        c->is_changed = true;
    }
}

/* One attribute, behind a ";". False: no memory. */
static bool add_attribute(cookie *c, weir_str part)
{
    const proxy_conf *conf = c->proxy->conf;
    weir_str attribute = weir_str_trim(part);
    const weir_array *rules = NULL;
    proxy_match match = PROXY_MATCH_PREFIX;
    weir_str text;

    if (take_flag(c, attribute)) {
        return true;
    }
    if (names(attribute, WEIR_STR("domain"))) {
        rules = conf->cookie_domains.rules;
        match = PROXY_MATCH_DOMAIN;
    } else if (names(attribute, WEIR_STR("path"))) {
        rules = conf->cookie_paths.rules;
    }

    const char *equals = rules == NULL ? NULL : weir_str_find_byte(attribute, '=');

    weir_builder_add_byte(&c->text, ';');
    if (equals == NULL) {
        weir_builder_add(&c->text, part);
        return true;
    }
    size_t name = (size_t) (equals - attribute.data) + 1;

    text = weir_str_from(attribute, name);
    if (!proxy_rules_apply(c->proxy, rules, match, &text, &c->is_changed)) {
        return false;
    }
    weir_builder_add_byte(&c->text, ' ');
    weir_builder_add(&c->text, weir_str_slice(attribute, 0, name));
    weir_builder_add(&c->text, text);
    return true;
}

bool proxy_rewrite_cookie(proxy_state *proxy, weir_str *value)
{
    const proxy_conf *conf = proxy->conf;
    cookie c = {.proxy = proxy};
    weir_str rest = *value;
    weir_str part;
    const char *equals;

    if (conf->cookie_domains.rules == NULL && conf->cookie_paths.rules == NULL
        && conf->cookie_flags.rules == NULL) {
        return true;
    }
    if (!weir_str_split(&rest, ';', &part)) {
        return true;
    }
    equals = weir_str_find_byte(part, '=');
    if (equals != NULL && conf->cookie_flags.rules != NULL
        && !find_flags(proxy, weir_str_trim(weir_str_slice(part, 0, (size_t) (equals - part.data))),
                       &c.asked)) {
        return false;
    }
    c.flags = c.asked;

    weir_builder_open(&c.text, proxy->ex->pool, SIZE_MAX);
    weir_builder_add(&c.text, part);
    while (weir_str_split(&rest, ';', &part)) {
        if (!add_attribute(&c, part)) {
            return false;
        }
    }
    add_flags(&c);
    return !c.is_changed
           || (weir_builder_close(&c.text, value)
               && proxy_value_is_sound(proxy, *value, "Set-Cookie"));
}
