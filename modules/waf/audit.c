#include <openssl/sha.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/map.h"
#include "core/base/random.h"
#include "modules/waf/audit.h"
#include "modules/waf/json.h"
#include "modules/waf/transaction_internal.h"

/* The audit log: what a request and its response were, and which rules matched; in ModSecurity's two forms. */

/*
 * An entry is written at once, while others wait: it has a share of each body, and of each text of the rules that matched;
 * from ROOMY_BYTES on less of those.  An attack is not to hide its entry by making it too long.
 */
#define ENTRY_MAX ((size_t) 32 * 1024 * 1024)
#define BODY_MAX ((size_t) 1024 * 1024)
#define ROOMY_BYTES ((size_t) 4 * 1024 * 1024)
#define TEXT_MAX 4096
#define TEXT_MAX_LATER 256

static size_t text_max(const weir_builder *entry)
{
    return weir_builder_text(entry).len < ROOMY_BYTES ? TEXT_MAX : TEXT_MAX_LATER;
}

static weir_str body_share(weir_str body)
{
    return weir_str_slice(body, 0, BODY_MAX);
}

static size_t left_out(weir_str body)
{
    return body.len - body_share(body).len;
}

void weir_waf_change_parts(weir_waf_transaction *tx, weir_str change)
{
    weir_builder parts;
    weir_str text;

    weir_builder_open(&parts, tx->pool, 64);
    if (change.len == 0 || (change.data[0] != '+' && change.data[0] != '-')) {
        weir_builder_add(&parts, change);
    } else {
        weir_str named = weir_str_from(change, 1);

        for (size_t i = 0; i < tx->audit_parts.len; i++) {
            if (weir_str_find_byte(named, tx->audit_parts.data[i]) == NULL) {
                weir_builder_add_byte(&parts, tx->audit_parts.data[i]);
            }
        }
        if (change.data[0] == '+') {
            weir_builder_add(&parts, named);
        }
    }
    if (weir_builder_close(&parts, &text)) {
        tx->audit_parts = text;
    }
}

static bool has_part(const weir_waf_transaction *tx, char part)
{
    return weir_str_find_byte(tx->audit_parts, part) != NULL;
}

bool weir_waf_audit_is_due(weir_waf_transaction *tx)
{
    const weir_waf_operator *status = tx->settings->audit.relevant_status;

    switch (tx->audit_mode) {
    case WEIR_WAF_AUDIT_OFF:
        return false;
    case WEIR_WAF_AUDIT_ON:
        return true;
    case WEIR_WAF_AUDIT_RELEVANT:
        break;
    }
    if (tx->is_relevant) {
        return true;
    }
    return status != NULL
           && weir_waf_pattern_matches(tx->worker->matcher, status,
                                       weir_waf_number_text(tx, tx->response_status));
}

/* ---- native */

/* Of one entry; nobody who writes a body can know it. */
typedef struct {
    char mark[8];
} boundary;

static boundary boundary_make(void)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ab";
    uint8_t random[sizeof(boundary)];
    boundary made;

    weir_random_bytes(random, sizeof(random));
    for (size_t i = 0; i < sizeof(made.mark); i++) {
        made.mark[i] = letters[random[i] & 63];
    }
    return made;
}

static void add_boundary(weir_builder *entry, const boundary *between, char part)
{
    weir_builder_printf(entry, "---%.*s---%c--\n", (int) sizeof(between->mark), between->mark,
                        part);
}

/* I is C, but without files. */
static bool has_request_body(const weir_waf_transaction *tx)
{
    return tx->has_request_body
           && (has_part(tx, 'C')
               || (has_part(tx, 'I')
                   && !weir_str_eq(weir_waf_scalar(tx, WEIR_WAF_VAR_REQBODY_PROCESSOR),
                                   WEIR_STR("MULTIPART"))));
}

static bool is_visible(char c)
{
    return c > ' ' && c <= '~';
}

/* "--…-X--", alone as far as a reader of lines may see it. */
static bool is_like_boundary(weir_str text, size_t at)
{
    size_t end = at;

    if ((at > 0 && is_visible(text.data[at - 1]))
        || !weir_str_starts(weir_str_from(text, at), WEIR_STR("--"))) {
        return false;
    }
    while (end < text.len && is_visible(text.data[end])) {
        end++;
    }
    return end - at >= 6 && text.data[end - 1] == '-' && text.data[end - 2] == '-'
           && text.data[end - 3] >= 'A' && text.data[end - 3] <= 'Z' && text.data[end - 4] == '-';
}

/* ---- what of a text is written as \xHH: in each, what could be taken for a boundary by a reader who does not compare marks */

static bool breaks_entry(weir_str text, size_t at)
{
    return text.data[at] == '-' && is_like_boundary(text, at);
}

static bool breaks_line(weir_str text, size_t at)
{
    unsigned char c = (unsigned char) text.data[at];

    return c < ' ' || c == 0x7f || breaks_entry(text, at);
}

static bool is_no_ascii(weir_str text, size_t at)
{
    return (unsigned char) text.data[at] > 0x7f || breaks_line(text, at);
}

static void add_headers(weir_builder *entry, const weir_waf_values *headers)
{
    for (uint32_t i = 0; i < headers->count; i++) {
        weir_waf_add_escaped_where(entry, headers->items[i].name, breaks_line);
        weir_builder_add(entry, WEIR_STR(": "));
        weir_waf_add_escaped_where(entry, headers->items[i].text, breaks_line);
        weir_builder_add_byte(entry, '\n');
    }
    weir_builder_add_byte(entry, '\n');
}

static void add_head_part(const weir_waf_transaction *tx, weir_builder *entry,
                          const boundary *between)
{
    add_boundary(entry, between, 'A');
    weir_builder_add_byte(entry, '[');
    weir_builder_add(entry, weir_clock_access_text());
    weir_builder_add(entry, WEIR_STR("] "));
    weir_builder_add(entry, tx->options.unique_id);
    weir_builder_add_byte(entry, ' ');
    weir_builder_add(entry, tx->connection.client_addr);
    weir_builder_printf(entry, " %u ", tx->connection.client_port);
    weir_builder_add(entry, tx->connection.server_addr);
    weir_builder_printf(entry, " %u\n", tx->connection.server_port);
}

static bool has_response_body(const weir_waf_transaction *tx)
{
    return has_part(tx, 'E') && tx->has_response_body;
}

/* Of what is in other parts, too: nothing in them could be told from what a client wrote. */
static void add_left_out(const weir_waf_transaction *tx, weir_builder *entry, uint32_t rules)
{
    size_t request = has_request_body(tx) ? left_out(tx->request_body) : 0;
    size_t response = has_response_body(tx) ? left_out(tx->response_body) : 0;

    if (rules != 0 || request != 0 || response != 0) {
        weir_builder_printf(entry,
                            "Left out: %u rules, %zu bytes of the request's body, %zu bytes of "
                            "the response's body\n",
                            rules, request, response);
    }
}

static void add_messages(weir_waf_transaction *tx, weir_builder *entry)
{
    weir_waf_selection selection = weir_waf_select(tx);

    for (const weir_waf_match *match = tx->first_match; match != NULL; match = match->next) {
        if (match->is_audited && weir_waf_selects(&selection, match)) {
            weir_builder_add(entry, WEIR_STR("ModSecurity: "));
            weir_waf_add_rule(tx, entry, match, text_max(entry));
            weir_builder_add_byte(entry, '\n');
        }
    }
    add_left_out(tx, entry, selection.left_out);
}

static void add_native(weir_waf_transaction *tx, weir_builder *entry)
{
    boundary between = boundary_make();

    add_head_part(tx, entry, &between);
    if (has_part(tx, 'B')) {
        add_boundary(entry, &between, 'B');
        weir_waf_add_escaped_where(entry, tx->request.line, breaks_line);
        weir_builder_add_byte(entry, '\n');
        add_headers(entry, &tx->values[WEIR_WAF_VAR_REQUEST_HEADERS]);
    }
    if (has_request_body(tx)) {
        add_boundary(entry, &between, has_part(tx, 'C') ? 'C' : 'I');
        weir_waf_add_escaped_where(entry, body_share(tx->request_body), breaks_entry);
        weir_builder_add(entry, WEIR_STR("\n\n"));
    }
    if (has_response_body(tx)) {
        add_boundary(entry, &between, 'E');
        weir_waf_add_escaped_where(entry, body_share(tx->response_body), is_no_ascii);
        weir_builder_add(entry, WEIR_STR("\n\n"));
    }
    if (has_part(tx, 'F')) {
        add_boundary(entry, &between, 'F');
        weir_waf_add_escaped_where(entry, weir_waf_scalar(tx, WEIR_WAF_VAR_STATUS_LINE),
                                   breaks_line);
        weir_builder_add_byte(entry, '\n');
        add_headers(entry, &tx->values[WEIR_WAF_VAR_RESPONSE_HEADERS]);
    }
    if (has_part(tx, 'H')) {
        add_boundary(entry, &between, 'H');
        add_messages(tx, entry);
        weir_builder_add_byte(entry, '\n');
    }
    add_boundary(entry, &between, 'Z');
    weir_builder_add_byte(entry, '\n');
}

/* ---- JSON */

typedef struct header_line {
    struct header_line *next; /* of the same name */
    struct header_line *last; /* of the first one: the last of that name */
    weir_str text;
} header_line;

/* The lines by name, in either case; those that are the first of theirs have a `last`.  NULL: no memory. */
static const header_line *headers_by_name(const weir_waf_values *headers, weir_pool *pool)
{
    header_line *lines = WEIR_NEW_ARRAY(pool, header_line, headers->count);
    weir_map *firsts = weir_map_new(pool, true, headers->count);

    if (lines == NULL || firsts == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < headers->count; i++) {
        header_line *first = weir_map_find(firsts, headers->items[i].name);

        lines[i].text = headers->items[i].text;
        if (first != NULL) {
            first->last->next = &lines[i];
            first->last = &lines[i];
        } else if (weir_map_put(firsts, headers->items[i].name, &lines[i])) {
            lines[i].last = &lines[i];
        } else {
            return NULL;
        }
    }
    return lines;
}

static weir_str joined(const header_line *line, weir_pool *pool)
{
    weir_builder builder;
    weir_str text;

    if (line->next == NULL) {
        return line->text;
    }
    weir_builder_open(&builder, pool, ENTRY_MAX);
    weir_builder_add(&builder, line->text);
    for (const header_line *next = line->next; next != NULL; next = next->next) {
        weir_builder_add(&builder, WEIR_STR(", "));
        weir_builder_add(&builder, next->text);
    }
    return weir_builder_close(&builder, &text) ? text : line->text;
}

/* Lines of one name are one member: of equal names, readers of JSON keep one (RFC 8259, 4), which a client would choose. */
static void add_json_headers(weir_waf_json *json, const weir_waf_values *headers, weir_pool *pool)
{
    const header_line *lines = headers_by_name(headers, pool);

    weir_waf_json_open(json, "headers", '{');
    for (uint32_t i = 0; lines != NULL && i < headers->count; i++) {
        if (lines[i].last != NULL) {
            weir_waf_json_member(json, headers->items[i].name, joined(&lines[i], pool));
        }
    }
    weir_waf_json_close(json, '}');
}

/* 1.1 */
static bool is_decimal(weir_str text)
{
    return text.len == 3 && text.data[0] >= '0' && text.data[0] <= '9' && text.data[1] == '.'
           && text.data[2] >= '0' && text.data[2] <= '9';
}

/* A member of its own says that the body is longer. */
static void add_json_body(weir_waf_json *json, weir_str body)
{
    weir_waf_json_text(json, "body", body_share(body));
    if (left_out(body) != 0) {
        weir_waf_json_number(json, "body_bytes_left_out", (int64_t) left_out(body));
    }
}

static void add_json_request(const weir_waf_transaction *tx, weir_waf_json *json, weir_pool *pool)
{
    weir_str version = tx->request.protocol;
    weir_str name;

    weir_waf_json_open(json, "request", '{');
    weir_waf_json_text(json, "method", tx->request.method);
    if (weir_str_split(&version, '/', &name) && is_decimal(version)) {
        weir_waf_json_word(json, "http_version", version);
    }
    weir_waf_json_text(json, "uri", tx->request.target);
    if (has_request_body(tx) || has_part(tx, 'C')) {
        add_json_body(json, tx->request_body);
    }
    if (has_part(tx, 'B')) {
        add_json_headers(json, &tx->values[WEIR_WAF_VAR_REQUEST_HEADERS], pool);
    }
    weir_waf_json_close(json, '}');
}

static void add_json_response(const weir_waf_transaction *tx, weir_waf_json *json, weir_pool *pool)
{
    weir_waf_json_open(json, "response", '{');
    if (has_part(tx, 'E')) {
        add_json_body(json, tx->response_body);
    }
    weir_waf_json_number(json, "http_code", tx->response_status);
    if (has_part(tx, 'F')) {
        add_json_headers(json, &tx->values[WEIR_WAF_VAR_RESPONSE_HEADERS], pool);
    }
    weir_waf_json_close(json, '}');
}

static void add_json_number_text(weir_waf_transaction *tx, weir_waf_json *json, const char *name,
                                 int64_t number)
{
    weir_waf_json_text(json, name, weir_waf_number_text(tx, number));
}

static void add_json_message(weir_waf_transaction *tx, weir_waf_json *json,
                             const weir_waf_match *match)
{
    const weir_waf_rule *rule = match->rule;
    size_t most = text_max(json->to);
    char line[WEIR_WAF_MATCHED_MAX];
    weir_builder matched;

    weir_builder_over(&matched, line, sizeof(line));
    weir_waf_add_matched(tx, &matched, match);
    weir_waf_json_open(json, NULL, '{');
    weir_waf_json_text(json, "message", weir_str_slice(match->message, 0, most));
    weir_waf_json_open(json, "details", '{');
    weir_waf_json_text(json, "match", weir_builder_cut(&matched));
    weir_waf_json_text(json, "reference", WEIR_STR_EMPTY);
    add_json_number_text(tx, json, "ruleId", (int64_t) rule->id);
    weir_waf_json_text(json, "file", rule->file);
    add_json_number_text(tx, json, "lineNumber", rule->line);
    weir_waf_json_text(json, "data", weir_str_slice(match->data, 0, most));
    add_json_number_text(tx, json, "severity", rule->severity < 0 ? 0 : rule->severity);
    weir_waf_json_text(json, "ver", rule->version);
    weir_waf_json_text(json, "rev", rule->revision);
    weir_waf_json_open(json, "tags", '[');
    for (WEIR_ARRAY_EACH(&rule->tags, const weir_waf_macro, tag)) {
        weir_waf_json_text(json, NULL, weir_str_slice(weir_waf_expand(tx, tag), 0, most));
    }
    weir_waf_json_close(json, ']');
    weir_waf_json_text(json, "maturity", rule->maturity.len == 0 ? WEIR_STR("0") : rule->maturity);
    weir_waf_json_text(json, "accuracy", rule->accuracy.len == 0 ? WEIR_STR("0") : rule->accuracy);
    weir_waf_json_close(json, '}');
    weir_waf_json_close(json, '}');
}

static void add_json_producer(const weir_waf_transaction *tx, weir_waf_json *json)
{
    weir_str rest = tx->settings->components;
    weir_str component;

    weir_waf_json_open(json, "producer", '{');
    weir_waf_json_text(json, "modsecurity", WEIR_STR("weir (SecLang v3)"));
    weir_waf_json_text(json, "connector", WEIR_STR("weir"));
    weir_waf_json_text(json, "secrules_engine",
                       tx->engine == WEIR_WAF_ENGINE_ON ? WEIR_STR("Enabled")
                                                        : WEIR_STR("DetectionOnly"));
    weir_waf_json_open(json, "components", '[');
    while (weir_str_split(&rest, ',', &component)) {
        weir_waf_json_text(json, NULL, weir_str_trim(component));
    }
    weir_waf_json_close(json, ']');
    weir_waf_json_close(json, '}');
}

/* The same for all entries of this machine: a digest of its name, made once.  Empty: it has none. */
static weir_str server_id(weir_waf_worker *worker)
{
    uint8_t digest[SHA_DIGEST_LENGTH];
    char name[256];
    weir_builder hex;

    if (worker->server_id.len == 0 && gethostname(name, sizeof(name)) == 0) {
        name[sizeof(name) - 1] = '\0';
        SHA1((const uint8_t *) name, strlen(name), digest);
        weir_builder_open(&hex, worker->pool, 2 * sizeof(digest));
        weir_builder_add_hexdump(&hex, weir_str_of((const char *) digest, sizeof(digest)));
        if (!weir_builder_close(&hex, &worker->server_id)) {
            return WEIR_STR_EMPTY;
        }
    }
    return worker->server_id;
}

static void add_json_messages(weir_waf_transaction *tx, weir_waf_json *json)
{
    weir_waf_selection selection = weir_waf_select(tx);

    weir_waf_json_open(json, "messages", '[');
    for (const weir_waf_match *match = tx->first_match; match != NULL; match = match->next) {
        if (match->is_audited && weir_waf_selects(&selection, match)) {
            add_json_message(tx, json, match);
        }
    }
    weir_waf_json_close(json, ']');
    if (selection.left_out != 0) {
        weir_waf_json_number(json, "messages_left_out", selection.left_out);
    }
}

static void add_json(weir_waf_transaction *tx, weir_builder *entry, weir_pool *pool)
{
    weir_waf_json json = {.to = entry};
    weir_str server = server_id(tx->worker);
    time_t now = weir_clock_now()->wall_s;
    struct tm local;
    char stamp[64];
    size_t len;

    (void) localtime_r(&now, &local);
    len = strftime(stamp, sizeof(stamp), "%a %b %e %H:%M:%S %Y", &local);
    weir_waf_json_open(&json, NULL, '{');
    weir_waf_json_open(&json, "transaction", '{');
    weir_waf_json_text(&json, "client_ip", tx->connection.client_addr);
    weir_waf_json_text(&json, "time_stamp", weir_str_of(stamp, len));
    if (server.len != 0) {
        weir_waf_json_text(&json, "server_id", server);
    }
    weir_waf_json_number(&json, "client_port", tx->connection.client_port);
    weir_waf_json_text(&json, "host_ip", tx->connection.server_addr);
    weir_waf_json_number(&json, "host_port", tx->connection.server_port);
    weir_waf_json_text(&json, "unique_id", tx->options.unique_id);
    add_json_request(tx, &json, pool);
    add_json_response(tx, &json, pool);
    if (has_part(tx, 'H')) {
        add_json_producer(tx, &json);
        add_json_messages(tx, &json);
    }
    weir_waf_json_close(&json, '}');
    weir_waf_json_close(&json, '}');
    weir_builder_add_byte(entry, '\n');
}

bool weir_waf_audit_entry(weir_waf_transaction *tx, weir_pool *pool, weir_str *text)
{
    weir_builder entry;

    weir_builder_open(&entry, pool, ENTRY_MAX);
    if (tx->settings->audit.is_json) {
        add_json(tx, &entry, pool);
    } else {
        add_native(tx, &entry);
    }
    return weir_builder_close(&entry, text);
}
