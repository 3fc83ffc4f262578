#include "core/base/clock.h"
#include "modules/waf/json.h"
#include "modules/waf/transaction_internal.h"
#include "modules/waf/verdict.h"

/* Why a request was blocked, and what would let it pass. */

/* A line is written at once, while others wait: from ROOMY_BYTES on it has less of each rule. */
#define LINE_MAX_BYTES ((size_t) 4 * 1024 * 1024)
#define ROOMY_BYTES ((size_t) 512 * 1024)
#define MATCHES_SHOWN 16 /* of a rule */
#define SHOWN_MAX 512
#define MATCHES_SHOWN_LATER 1
#define SHOWN_MAX_LATER 64
#define EXCLUSIONS_MAX ((size_t) 512 * 1024)
#define EXCLUSION_RULES_MAX 1024

bool weir_waf_verdict_is_due(const weir_waf_transaction *tx)
{
    return tx->would_be_blocked;
}

/* ---- exclusions */

/* Whether the rule looks at the values of the variable: what is only counted cannot be taken out of it. */
static bool looks_at_values(const weir_waf_link *link, weir_waf_variable variable)
{
    for (WEIR_ARRAY_EACH(&link->targets, const weir_waf_target, target)) {
        if (target->kind == WEIR_WAF_TARGET_VALUES && target->variable == variable) {
            return true;
        }
    }
    return false;
}

static bool is_of_request(const weir_waf_find *find)
{
    weir_waf_variable_source source = weir_waf_variable_source_of(find->variable);

    return (source == WEIR_WAF_SOURCE_STORED || source == WEIR_WAF_SOURCE_BOTH)
           && looks_at_values(find->link, find->variable);
}

/* A name that would not be read back as it is becomes an expression. */
static bool is_plain_name(weir_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'
              || c == '-' || c == '.' || c == '[' || c == ']')) {
            return false;
        }
    }
    return name.len != 0;
}

static void add_target(weir_builder *text, const weir_waf_find *find)
{
    static const char hex[] = "0123456789abcdef";

    weir_builder_add(text, WEIR_STR("\"!"));
    weir_builder_add(text, weir_waf_variable_name(find->variable));
    if (find->variable == WEIR_WAF_VAR_XML || is_plain_name(find->name)) {
        weir_builder_add_byte(text, ':');
        weir_builder_add(text, find->name);
    } else if (weir_waf_variable_is_collection(find->variable)) {
        weir_builder_add(text, WEIR_STR(":/^"));
        for (size_t i = 0; i < find->name.len; i++) {
            unsigned char c = (unsigned char) find->name.data[i];

            if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
                weir_builder_add_byte(text, (char) c);
            } else {
                weir_builder_add(text, WEIR_STR("\\x"));
                weir_builder_add_byte(text, hex[c >> 4]);
                weir_builder_add_byte(text, hex[c & 15]);
            }
        }
        weir_builder_add(text, WEIR_STR("$/"));
    }
    weir_builder_add_byte(text, '"');
}

/* The same target was named for this rule before.  `*seen` has a bit for some of those that were: most need no comparing. */
static bool was_named(const weir_waf_match *match, uint32_t number, uint64_t *seen)
{
    const weir_waf_find *find = &match->finds[number];
    uint64_t bit = UINT64_C(1) << (weir_str_hash_nocase(find->name) + find->variable) % 64;
    bool may_be_seen = (*seen & bit) != 0;

    *seen |= bit;
    for (uint32_t i = 0; may_be_seen && i < number; i++) {
        if (match->finds[i].variable == find->variable
            && weir_str_eq_nocase(match->finds[i].name, find->name)) {
            return true;
        }
    }
    return false;
}

static void add_exclusions(weir_builder *text, const weir_waf_match *match)
{
    const weir_waf_link *head = WEIR_ARRAY_AT(&match->rule->links, weir_waf_link, 0);
    bool is_named = false;
    uint64_t seen = 0;

    for (uint32_t i = 0; i < match->find_count; i++) {
        if (match->finds[i].link == head && is_of_request(&match->finds[i])) {
            is_named = true;
            if (!was_named(match, i, &seen)) {
                weir_builder_printf(text, "SecRuleUpdateTargetById %llu ",
                                    (unsigned long long) match->rule->id);
                add_target(text, &match->finds[i]);
                weir_builder_add_byte(text, '\n');
            }
        }
    }
    if (!is_named || match->find_count == WEIR_WAF_FINDS_MAX) {
        weir_builder_printf(text, "SecRuleRemoveById %llu\n", (unsigned long long) match->rule->id);
    }
}

/* What sums up the others blocks because of them, and is no reason of its own. */
static bool is_reason(const weir_waf_match *match)
{
    const weir_waf_link *head = WEIR_ARRAY_AT(&match->rule->links, weir_waf_link, 0);
    const weir_waf_target *first = head->targets.items;

    if (match->score > 0) {
        return true;
    }
    return match->decides && !head->is_unconditional && first->variable != WEIR_WAF_VAR_TX;
}

bool weir_waf_exclusions(weir_waf_transaction *tx, weir_pool *pool, weir_str *text)
{
    weir_builder builder;
    uint32_t rules = 0;

    weir_builder_open(&builder, pool, EXCLUSIONS_MAX);
    for (const weir_waf_match *match = tx->first_match; match != NULL && !builder.failed;
         match = match->next) {
        if (is_reason(match) && ++rules <= EXCLUSION_RULES_MAX) {
            add_exclusions(&builder, match);
        }
    }
    return rules <= EXCLUSION_RULES_MAX && weir_builder_close(&builder, text);
}

/* ---- the line */

static void add_find(weir_waf_transaction *tx, weir_waf_json *json, const weir_waf_find *find,
                     size_t most)
{
    weir_waf_json_open(json, NULL, '{');
    weir_waf_json_text(json, "variable", weir_str_slice(weir_waf_find_name(tx, find), 0, most));
    weir_waf_json_text(json, "matched", weir_str_slice(find->matched, 0, most));
    weir_waf_json_text(json, "value", weir_str_slice(find->value, 0, most));
    weir_waf_json_close(json, '}');
}

static void add_rule(weir_waf_transaction *tx, weir_waf_json *json, const weir_waf_match *match)
{
    bool is_roomy = weir_builder_text(json->to).len < ROOMY_BYTES;
    uint32_t matches = is_roomy ? MATCHES_SHOWN : MATCHES_SHOWN_LATER;
    size_t most = is_roomy ? SHOWN_MAX : SHOWN_MAX_LATER;

    weir_waf_json_open(json, NULL, '{');
    weir_waf_json_number(json, "id", (int64_t) match->rule->id);
    weir_waf_json_text(json, "msg", weir_str_slice(match->message, 0, most));
    weir_waf_json_text(json, "data", weir_str_slice(match->data, 0, most));
    weir_waf_json_text(json, "file", match->rule->file);
    weir_waf_json_number(json, "line", match->rule->line);
    weir_waf_json_number(json, "score", match->score);
    weir_waf_json_number(json, "sum", match->sum);
    weir_waf_json_open(json, "matches", '[');
    for (uint32_t i = 0; i < match->find_count && i < matches; i++) {
        add_find(tx, json, &match->finds[i], most);
    }
    weir_waf_json_close(json, ']');
    weir_waf_json_close(json, '}');
}

static void add_rules(weir_waf_transaction *tx, weir_waf_json *json)
{
    weir_waf_selection selection = weir_waf_select(tx);

    weir_waf_json_open(json, "rules", '[');
    for (const weir_waf_match *match = tx->first_match; match != NULL; match = match->next) {
        if (weir_waf_selects(&selection, match)) {
            add_rule(tx, json, match);
        }
    }
    weir_waf_json_close(json, ']');
    if (selection.left_out != 0) {
        weir_waf_json_number(json, "rules_left_out", selection.left_out);
    }
}

static int64_t threshold(const weir_waf_transaction *tx)
{
    uintptr_t slot =
        (uintptr_t) weir_map_find(tx->library->slots, WEIR_STR("inbound_anomaly_score_threshold"));

    return slot == 0 ? 0 : weir_waf_slot_number(tx, (uint32_t) slot - 1);
}

static weir_str outcome(const weir_waf_transaction *tx)
{
    if (tx->intervention.deed != WEIR_WAF_DO_NOTHING) {
        return WEIR_STR("blocked");
    }
    return tx->would_be_blocked ? WEIR_STR("would be blocked") : WEIR_STR("passed");
}

bool weir_waf_verdict_line(weir_waf_transaction *tx, weir_pool *pool, weir_str *line)
{
    weir_builder builder;
    weir_waf_json json = {.to = &builder};
    weir_str exclusions = WEIR_STR_EMPTY;
    bool has_exclusions = weir_waf_exclusions(tx, pool, &exclusions);

    weir_builder_open(&builder, pool, LINE_MAX_BYTES);
    weir_waf_json_open(&json, NULL, '{');
    weir_waf_json_text(&json, "time", weir_clock_iso8601_text());
    weir_waf_json_text(&json, "id", tx->options.unique_id);
    weir_waf_json_text(&json, "verdict", outcome(tx));
    weir_waf_json_number(&json, "status", tx->intervention.status);
    weir_waf_json_number(&json, "phase", tx->disrupted_in);
    weir_waf_json_number(&json, "rule", (int64_t) tx->intervention.rule_id);
    weir_waf_json_text(&json, "client", tx->connection.client_addr);
    weir_waf_json_text(&json, "host", weir_waf_scalar(tx, WEIR_WAF_VAR_SERVER_NAME));
    weir_waf_json_text(&json, "method", tx->request.method);
    weir_waf_json_text(&json, "uri", weir_str_slice(tx->request.target, 0, SHOWN_MAX * 4));
    weir_waf_json_number(&json, "score", tx->score_sum);
    weir_waf_json_number(&json, "threshold", threshold(tx));
    weir_waf_json_number(&json, "time_us", (int64_t) tx->spent_us);
    weir_waf_json_number(&json, "work", (int64_t) tx->work);
    add_rules(tx, &json);
    weir_waf_json_text(&json, "exclusion", exclusions);
    if (!has_exclusions) {
        weir_waf_json_word(&json, "exclusion_is_left_out", WEIR_STR("true"));
    }
    weir_waf_json_close(&json, '}');
    weir_builder_add_byte(&builder, '\n');
    return weir_builder_close(&builder, line);
}
