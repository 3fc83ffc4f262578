#include "modules/http/proxy/proxy_internal.h"

/* What origins say about themselves, made true for clients: Location and Refresh; and the rules that do it. */

/* ---- reading */

/* "~regex", "~*regex" or text, and what it is replaced by. */
static bool rule_read(weir_conf *conf, const weir_statement *statement, bool nocase,
                      proxy_rule *rule)
{
    weir_space *space = weir_space_of(conf, "http");
    weir_str pattern = statement->args[1];

    if (pattern.len > 0 && pattern.data[0] == '~') {
        bool is_nocase = pattern.len > 1 && pattern.data[1] == '*';

        rule->regex = weir_regex_new(conf, space, weir_str_from(pattern, is_nocase ? 2 : 1),
                                     is_nocase || nocase);
        if (rule->regex == NULL) {
            return false;
        }
    } else {
        rule->pattern = weir_template_new(conf, space, pattern);
        if (rule->pattern == NULL) {
            return false;
        }
    }
    rule->replacement = weir_template_new(conf, space, statement->args[2]);
    return rule->replacement != NULL;
}

bool proxy_rules_add(weir_conf *conf, proxy_rules *rules, size_t offset, size_t rule_bytes,
                     const weir_statement *statement, void **rule)
{
    weir_str name = statement->args[0];

    *rule = NULL;
    if (!weir_level_has_set(weir_conf_level(conf), &weir_http_proxy.base, offset)) {
        *rules = (proxy_rules){.is_off = false};
    }
    if (rules->is_off) {
        return weir_conf_refuse(conf, "\"%.*s\" directive is duplicate", WEIR_STR_ARG(name));
    }
    if (statement->count == 2 && weir_str_eq(statement->args[1], WEIR_STR("off"))) {
        rules->is_off = true;
        return rules->rules == NULL
               || weir_conf_refuse(conf, "\"%.*s\" directive is duplicate", WEIR_STR_ARG(name));
    }

    if (rules->rules == NULL) {
        rules->rules = WEIR_NEW(weir_conf_pool(conf), weir_array);
        if (rules->rules == NULL) {
            return weir_conf_refuse(conf, "no memory for \"%.*s\"", WEIR_STR_ARG(name));
        }
        weir_array_init(rules->rules, weir_conf_pool(conf), rule_bytes, 2);
    }
    *rule = weir_array_push(rules->rules);
    return *rule != NULL || weir_conf_refuse(conf, "no memory for \"%.*s\"", WEIR_STR_ARG(name));
}

static bool rules_call(weir_conf *conf, proxy_rules *rules, size_t offset, bool has_default,
                       bool nocase, const weir_statement *statement)
{
    weir_str first = statement->args[1];
    void *rule;

    if (statement->count == 2 && !weir_str_eq(first, WEIR_STR("off"))
        && !(has_default && weir_str_eq(first, WEIR_STR("default")))) {
        return weir_conf_refuse_arg(conf, statement, 1, "invalid parameter \"%.*s\"",
                                    WEIR_STR_ARG(first));
    }
    if (!proxy_rules_add(conf, rules, offset, sizeof(proxy_rule), statement, &rule)) {
        return false;
    }
    return rule == NULL || statement->count == 2 || rule_read(conf, statement, nocase, rule);
}

bool proxy_redirect_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return rules_call(conf, &((proxy_conf *) settings)->redirects, offsetof(proxy_conf, redirects),
                      true, false, statement);
}

bool proxy_cookie_domain_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return rules_call(conf, &((proxy_conf *) settings)->cookie_domains,
                      offsetof(proxy_conf, cookie_domains), false, true, statement);
}

bool proxy_cookie_path_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return rules_call(conf, &((proxy_conf *) settings)->cookie_paths,
                      offsetof(proxy_conf, cookie_paths), false, false, statement);
}

/* "http://origin/two/" is the location's "/one/"; an origin without a path is the whole of us. */
static bool default_rule(weir_conf *conf, const proxy_pass *pass, proxy_rule *rule)
{
    weir_builder text;

    weir_builder_open(&text, weir_conf_pool(conf), SIZE_MAX);
    weir_builder_add(&text, pass->url.whole);
    weir_builder_add(&text, pass->url.has_uri ? pass->url.uri : WEIR_STR("/"));
    rule->replacement_text = pass->url.has_uri ? pass->location->name : WEIR_STR("/");
    return weir_builder_close(&text, &rule->pattern_text)
           || weir_conf_refuse(conf, "no memory for \"proxy_redirect\"");
}

bool proxy_rules_settle(weir_conf *conf, proxy_conf *settings)
{
    static const proxy_rule only_default;
    const weir_array *said = settings->redirects.rules;
    size_t count = said == NULL ? 1 : said->count;

    weir_array_init(&settings->redirect_rules, weir_conf_pool(conf), sizeof(proxy_rule), 1);
    if (settings->redirects.is_off) {
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        const proxy_rule *rule = said == NULL ? &only_default : WEIR_ARRAY_AT(said, proxy_rule, i);
        proxy_rule *settled;

        if (rule->replacement == NULL && settings->pass.template != NULL) {
            if (said == NULL) {
                return true;
            }
            return weir_conf_refuse(conf, "\"proxy_redirect default\" cannot be used with "
                                          "\"proxy_pass\" directive with variables");
        }
        settled = weir_array_push(&settings->redirect_rules);
        if (settled == NULL) {
            return weir_conf_refuse(conf, "no memory for \"proxy_redirect\"");
        }
        *settled = *rule;
        if (rule->replacement == NULL && !default_rule(conf, &settings->pass, settled)) {
            return false;
        }
    }
    return true;
}

/* ---- applying */

static weir_str without_dot(weir_str domain)
{
    return domain.len > 0 && domain.data[0] == '.' ? weir_str_from(domain, 1) : domain;
}

bool proxy_rules_apply(proxy_state *proxy, const weir_array *rules, proxy_match match,
                       weir_str *value, bool *is_changed)
{
    weir_http_exchange *ex = proxy->ex;

    for (WEIR_ARRAY_EACH(rules, const proxy_rule, rule)) {
        weir_str pattern = rule->pattern_text;
        weir_str replacement = rule->replacement_text;
        weir_str rest = WEIR_STR_EMPTY;
        weir_builder builder;

        if (rule->regex != NULL) {
            if (weir_regex_match(rule->regex, &ex->script, *value) != WEIR_REGEX_MATCH) {
                continue;
            }
        } else {
            if (rule->pattern != NULL
                && !weir_template_text(rule->pattern, &ex->script, &pattern)) {
                return false;
            }
            if (match == PROXY_MATCH_DOMAIN
                    ? !weir_str_eq_nocase(without_dot(*value), without_dot(pattern))
                    : !weir_str_starts(*value, pattern)) {
                continue;
            }
            rest =
                match == PROXY_MATCH_DOMAIN ? WEIR_STR_EMPTY : weir_str_from(*value, pattern.len);
        }
        if (rule->replacement != NULL
            && !weir_template_text(rule->replacement, &ex->script, &replacement)) {
            return false;
        }

        weir_builder_open(&builder, ex->pool, SIZE_MAX);
        if (match == PROXY_MATCH_DOMAIN && rule->regex == NULL) {
            /* The dot says nothing (RFC 6265, 5.2.3): it stays if it was there. */
            weir_builder_add(&builder,
                             weir_str_slice(*value, 0, value->len - without_dot(*value).len));
            replacement = without_dot(replacement);
        }
        weir_builder_add(&builder, replacement);
        weir_builder_add(&builder, rest);
        *is_changed = true;
        return weir_builder_close(&builder, value);
    }
    return true;
}

bool proxy_value_is_sound(const proxy_state *proxy, weir_str value, const char *name)
{
    if (weir_http_is_field_value(value)) {
        return true;
    }
    weir_log_line(&proxy->ex->log, WEIR_LOG_ERR, 0, "the rewritten \"%s\" cannot be sent", name);
    return false;
}

bool proxy_rewrite_location(proxy_state *proxy, weir_str *value)
{
    bool is_changed = false;

    if (!proxy_rules_apply(proxy, &proxy->conf->redirect_rules, PROXY_MATCH_PREFIX, value,
                           &is_changed)) {
        return false;
    }
    return !is_changed
           || (weir_http_make_absolute(proxy->ex, value)
               && proxy_value_is_sound(proxy, *value, "Location"));
}

/* "5; url=http://origin/" */
bool proxy_rewrite_refresh(proxy_state *proxy, weir_str *value)
{
    weir_str rest = *value;
    bool is_changed = false;
    weir_builder builder;
    size_t place = 0;

    while (!weir_str_starts_nocase(rest, WEIR_STR("url="))) {
        if (rest.len == 0) {
            return true;
        }
        rest = weir_str_from(rest, 1);
        place++;
    }
    place += 4;
    rest = weir_str_from(*value, place);
    if (!proxy_rules_apply(proxy, &proxy->conf->redirect_rules, PROXY_MATCH_PREFIX, &rest,
                           &is_changed)) {
        return false;
    }
    if (!is_changed) {
        return true;
    }
    weir_builder_open(&builder, proxy->ex->pool, SIZE_MAX);
    weir_builder_add(&builder, weir_str_slice(*value, 0, place));
    weir_builder_add(&builder, rest);
    return weir_builder_close(&builder, value) && proxy_value_is_sound(proxy, *value, "Refresh");
}
