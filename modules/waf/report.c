#include "modules/waf/transaction_internal.h"

/* What the error log is told, in the words of ModSecurity v3, which tools read. */

#define VALUE_MAX 256
#define NAME_MAX_SHOWN 512
#define TEXT_MAX 2048 /* what a client wrote is not to push out of the line what stands behind it */

void weir_waf_add_escaped_where(weir_builder *line, weir_str text,
                                bool (*is_escaped)(weir_str text, size_t at))
{
    size_t from = 0;

    for (size_t i = 0; i < text.len && !line->failed; i++) {
        if (is_escaped(text, i)) {
            weir_builder_add(line, weir_str_slice(text, from, i));
            weir_builder_add(line, WEIR_STR("\\x"));
            weir_builder_add_hexdump(line, weir_str_of(text.data + i, 1));
            from = i + 1;
        }
    }
    weir_builder_add(line, weir_str_from(text, from));
}

static bool is_not_plain(weir_str text, size_t at)
{
    char c = text.data[at];

    return c < ' ' || c > '~' || c == '"' || c == '\\';
}

void weir_waf_add_escaped(weir_builder *line, weir_str text)
{
    weir_waf_add_escaped_where(line, text, is_not_plain);
}

static void add_part(weir_builder *line, const char *name, weir_str value)
{
    weir_builder_printf(line, " [%s \"", name);
    weir_waf_add_escaped(line, value);
    weir_builder_add_byte(line, '"');
    weir_builder_add_byte(line, ']');
}

static void add_number(weir_builder *line, const char *name, uint64_t number)
{
    weir_builder_printf(line, " [%s \"%llu\"]", name, (unsigned long long) number);
}

/* The operator's name as ModSecurity writes it: "Rx", "DetectSQLi". */
static void add_operator(weir_builder *line, const weir_waf_link *link)
{
    weir_str name = link->test.name;

    if (name.len > 0) {
        char first = name.data[0];

        weir_builder_add_byte(line, first >= 'a' && first <= 'z' ? (char) (first - 32) : first);
        weir_builder_add(line, weir_str_from(name, 1));
    }
}

void weir_waf_add_matched(weir_waf_transaction *tx, weir_builder *line, const weir_waf_match *match)
{
    const weir_waf_find *find =
        match->find_count == 0 ? NULL : &match->finds[match->find_count - 1];
    const weir_waf_link *link = find != NULL ? find->link
                                             : WEIR_ARRAY_AT(&match->rule->links, weir_waf_link,
                                                             match->rule->links.count - 1);

    /* A SecAction has matched nothing. */
    if (link->is_unconditional) {
        return;
    }
    weir_builder_add(line, WEIR_STR("Matched \"Operator `"));
    add_operator(line, link);
    weir_builder_add(line, WEIR_STR("' with parameter `"));
    if (link->test.parameter.is_constant) {
        weir_builder_add(line, weir_str_slice(link->test.parameter.text, 0, VALUE_MAX));
    } else {
        weir_waf_add_escaped(
            line, weir_str_slice(weir_waf_expand(tx, &link->test.parameter), 0, VALUE_MAX));
    }
    weir_builder_add(line, WEIR_STR("' against variable `"));
    if (find != NULL) {
        weir_waf_add_escaped(line, weir_str_slice(weir_waf_find_name(tx, find), 0, NAME_MAX_SHOWN));
    }
    weir_builder_add(line, WEIR_STR("' (Value: `"));
    if (find != NULL) {
        weir_waf_add_escaped(line, weir_str_slice(find->value, 0, VALUE_MAX));
    }
    weir_builder_add(line, WEIR_STR("' )"));
}

/* [hostname …] [uri …] [unique_id …] */
static void add_request(const weir_waf_transaction *tx, weir_builder *line, size_t most)
{
    add_part(line, "hostname", weir_waf_scalar(tx, WEIR_WAF_VAR_SERVER_ADDR));
    add_part(line, "uri", weir_str_slice(tx->uri, 0, most));
    add_part(line, "unique_id", tx->options.unique_id);
}

/* In the same words whatever the deed: fail2ban's filters look for them, and for the client in front. */
static void add_deed(const weir_waf_transaction *tx, weir_builder *line)
{
    weir_builder_printf(line, "Access denied with code %u (phase %u). ",
                        tx->intervention.deed == WEIR_WAF_DO_DROP ? 403 : tx->intervention.status,
                        tx->disrupted_in);
}

static void begin_line(weir_waf_transaction *tx, weir_builder *line, bool is_disruptive)
{
    weir_builder_over(line, tx->worker->line, WEIR_WAF_LINE_MAX);
    if (is_disruptive) {
        weir_builder_add(line, WEIR_STR("[client "));
        weir_builder_add(line, tx->connection.client_addr);
        weir_builder_add(line, WEIR_STR("] "));
    }
    weir_builder_add(line, WEIR_STR("ModSecurity: "));
}

void weir_waf_add_rule(weir_waf_transaction *tx, weir_builder *line, const weir_waf_match *match,
                       size_t most)
{
    const weir_waf_rule *rule = match->rule;

    if (match->is_disruptive) {
        add_deed(tx, line);
    } else {
        weir_builder_add(line, WEIR_STR("Warning. "));
    }
    weir_waf_add_matched(tx, line, match);
    add_part(line, "file", rule->file);
    add_number(line, "line", rule->line);
    add_number(line, "id", rule->id);
    add_part(line, "rev", rule->revision);
    add_part(line, "msg", weir_str_slice(match->message, 0, most));
    add_part(line, "data", weir_str_slice(match->data, 0, most));
    add_number(line, "severity", rule->severity < 0 ? 0 : (uint64_t) rule->severity);
    add_part(line, "ver", rule->version);
    add_part(line, "maturity", rule->maturity.len == 0 ? WEIR_STR("0") : rule->maturity);
    add_part(line, "accuracy", rule->accuracy.len == 0 ? WEIR_STR("0") : rule->accuracy);
    for (WEIR_ARRAY_EACH(&rule->tags, const weir_waf_macro, tag)) {
        add_part(line, "tag", weir_str_slice(weir_waf_expand(tx, tag), 0, most));
    }
    add_request(tx, line, most);
    /* Where in the request v3 found it: weir says it by name and value. */
    add_part(line, "ref", WEIR_STR_EMPTY);
}

weir_waf_selection weir_waf_select(const weir_waf_transaction *tx)
{
    weir_waf_selection selection = {.deciding = NULL};

    for (const weir_waf_match *match = tx->first_match; match != NULL; match = match->next) {
        if (match->is_disruptive) {
            selection.deciding = match;
            break;
        }
        if (match->decides) {
            selection.deciding = match;
        }
    }
    return selection;
}

bool weir_waf_selects(weir_waf_selection *selection, const weir_waf_match *match)
{
    if (selection->shown == WEIR_WAF_SHOWN_MAX && match != selection->deciding) {
        selection->left_out++;
        return false;
    }
    selection->shown += match != selection->deciding;
    return true;
}

static void tell(weir_waf_transaction *tx, weir_builder *line, bool is_disruptive)
{
    tx->options.log(tx->options.subject, weir_builder_cut(line), is_disruptive);
}

void weir_waf_report(weir_waf_transaction *tx, const weir_waf_match *match)
{
    weir_builder line;

    if (tx->options.log == NULL) {
        return;
    }
    begin_line(tx, &line, match->is_disruptive);
    weir_waf_add_rule(tx, &line, match, TEXT_MAX);
    tell(tx, &line, match->is_disruptive);
}

/* The rules see it as TX:MSC_PCRE_LIMITS_EXCEEDED, which 200005 of ModSecurity's own rules asks for. */
void weir_waf_limit_was_hit(weir_waf_transaction *tx)
{
    uintptr_t slot =
        (uintptr_t) weir_map_find(tx->library->slots, WEIR_STR("MSC_PCRE_LIMITS_EXCEEDED"));
    weir_builder line;

    if (slot != 0) {
        weir_waf_slot_set_number(tx, (uint32_t) slot - 1, 1);
    }
    tx->gave_up = true;
    if (tx->pcre_limit_was_hit) {
        return;
    }
    tx->pcre_limit_was_hit = true;
    if (tx->options.log != NULL) {
        weir_builder_over(&line, tx->worker->line, WEIR_WAF_LINE_MAX);
        weir_builder_add(&line, WEIR_STR("ModSecurity: Rule error: the regex gave up at its match "
                                         "limit"));
        if (tx->rule != NULL) {
            add_part(&line, "file", tx->rule->file);
            add_number(&line, "line", tx->rule->line);
            /* Not "id": the rule has not matched. */
            add_number(&line, "rule", tx->rule->id);
        }
        add_request(tx, &line, TEXT_MAX);
        tell(tx, &line, false);
    }
}

void weir_waf_exhausted(weir_waf_transaction *tx, const char *what)
{
    weir_builder line;

    if (tx->is_exhausted) {
        return;
    }
    tx->is_exhausted = true;
    tx->would_be_blocked = true;
    tx->is_relevant = true;
    if (tx->engine == WEIR_WAF_ENGINE_ON && tx->disrupted_in == 0
        && tx->at.phase != WEIR_WAF_PHASE_LOGGING) {
        tx->disrupted_in = tx->at.phase == 0 ? 1 : tx->at.phase;
        tx->intervention = (weir_waf_intervention){.deed = WEIR_WAF_DO_DENY, .status = 403};
    }
    if (tx->options.log == NULL) {
        return;
    }
    begin_line(tx, &line, tx->intervention.deed != WEIR_WAF_DO_NOTHING);
    if (tx->intervention.deed == WEIR_WAF_DO_NOTHING) {
        weir_builder_add(&line, WEIR_STR("Warning. "));
    } else {
        add_deed(tx, &line);
    }
    weir_builder_printf(&line, "The request's budget of %s is used up in phase %u", what,
                        tx->at.phase);
    add_request(tx, &line, TEXT_MAX);
    tell(tx, &line, tx->intervention.deed != WEIR_WAF_DO_NOTHING);
}
