#include <openssl/sha.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/random.h"
#include "modules/waf/audit.h"
#include "modules/waf/json.h"
#include "modules/waf/transaction_internal.h"

/* The audit log: what a request and its response were, and which rules matched; in ModSecurity's two forms. */

#define ENTRY_MAX ((size_t) 32 * 1024 * 1024)

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

static void add_headers(weir_builder *entry, const weir_waf_values *headers)
{
    for (uint32_t i = 0; i < headers->count; i++) {
        weir_builder_add(entry, headers->items[i].name);
        weir_builder_add(entry, WEIR_STR(": "));
        weir_builder_add(entry, headers->items[i].text);
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

static void add_native(weir_waf_transaction *tx, weir_builder *entry)
{
    boundary between = boundary_make();

    add_head_part(tx, entry, &between);
    if (has_part(tx, 'B')) {
        add_boundary(entry, &between, 'B');
        weir_builder_add(entry, tx->request.line);
        weir_builder_add_byte(entry, '\n');
        add_headers(entry, &tx->values[WEIR_WAF_VAR_REQUEST_HEADERS]);
    }
    if (has_request_body(tx)) {
        add_boundary(entry, &between, has_part(tx, 'C') ? 'C' : 'I');
        weir_builder_add(entry, tx->request_body);
        weir_builder_add(entry, WEIR_STR("\n\n"));
    }
    if (has_part(tx, 'E') && tx->has_response_body) {
        add_boundary(entry, &between, 'E');
        weir_builder_add(entry, tx->response_body);
        weir_builder_add(entry, WEIR_STR("\n\n"));
    }
    if (has_part(tx, 'F')) {
        add_boundary(entry, &between, 'F');
        weir_builder_add(entry, weir_waf_scalar(tx, WEIR_WAF_VAR_STATUS_LINE));
        weir_builder_add_byte(entry, '\n');
        add_headers(entry, &tx->values[WEIR_WAF_VAR_RESPONSE_HEADERS]);
    }
    if (has_part(tx, 'H')) {
        add_boundary(entry, &between, 'H');
        for (const weir_waf_match *match = tx->first_match; match != NULL; match = match->next) {
            if (match->is_audited) {
                weir_builder_add(entry, WEIR_STR("ModSecurity: "));
                weir_waf_add_rule(tx, entry, match);
                weir_builder_add_byte(entry, '\n');
            }
        }
        weir_builder_add_byte(entry, '\n');
    }
    add_boundary(entry, &between, 'Z');
    weir_builder_add_byte(entry, '\n');
}

/* ---- JSON */

static void add_json_headers(weir_waf_json *json, const weir_waf_values *headers)
{
    weir_waf_json_open(json, "headers", '{');
    for (uint32_t i = 0; i < headers->count; i++) {
        weir_waf_json_member(json, headers->items[i].name, headers->items[i].text);
    }
    weir_waf_json_close(json, '}');
}

/* 1.1 */
static bool is_decimal(weir_str text)
{
    return text.len == 3 && text.data[0] >= '0' && text.data[0] <= '9' && text.data[1] == '.'
           && text.data[2] >= '0' && text.data[2] <= '9';
}

static void add_json_request(const weir_waf_transaction *tx, weir_waf_json *json)
{
    weir_str version = tx->request.protocol;
    weir_str name;

    weir_waf_json_open(json, "request", '{');
    weir_waf_json_text(json, "method", tx->request.method);
    if (weir_str_split(&version, '/', &name) && is_decimal(version)) {
        weir_waf_json_word(json, "http_version", version);
    }
    weir_waf_json_text(json, "uri", tx->request.target);
    if (has_request_body(tx)) {
        weir_waf_json_text(json, "body", tx->request_body);
    }
    if (has_part(tx, 'B')) {
        add_json_headers(json, &tx->values[WEIR_WAF_VAR_REQUEST_HEADERS]);
    }
    weir_waf_json_close(json, '}');
}

static void add_json_response(const weir_waf_transaction *tx, weir_waf_json *json)
{
    weir_waf_json_open(json, "response", '{');
    if (has_part(tx, 'E')) {
        weir_waf_json_text(json, "body",
                           tx->has_response_body ? tx->response_body : WEIR_STR_EMPTY);
    }
    weir_waf_json_number(json, "http_code", tx->response_status);
    if (has_part(tx, 'F')) {
        add_json_headers(json, &tx->values[WEIR_WAF_VAR_RESPONSE_HEADERS]);
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
    char line[4096];
    weir_builder matched;

    weir_builder_over(&matched, line, sizeof(line));
    weir_waf_add_matched(tx, &matched, match);
    weir_waf_json_open(json, NULL, '{');
    weir_waf_json_text(json, "message", match->message);
    weir_waf_json_open(json, "details", '{');
    weir_waf_json_text(json, "match", weir_builder_cut(&matched));
    weir_waf_json_text(json, "reference", WEIR_STR_EMPTY);
    add_json_number_text(tx, json, "ruleId", (int64_t) rule->id);
    weir_waf_json_text(json, "file", rule->file);
    add_json_number_text(tx, json, "lineNumber", rule->line);
    weir_waf_json_text(json, "data", match->data);
    add_json_number_text(tx, json, "severity", rule->severity < 0 ? 0 : rule->severity);
    weir_waf_json_text(json, "ver", rule->version);
    weir_waf_json_text(json, "rev", rule->revision);
    weir_waf_json_open(json, "tags", '[');
    for (WEIR_ARRAY_EACH(&rule->tags, const weir_waf_macro, tag)) {
        weir_waf_json_text(json, NULL, weir_waf_expand(tx, tag));
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

static void add_json(weir_waf_transaction *tx, weir_builder *entry)
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
    add_json_request(tx, &json);
    add_json_response(tx, &json);
    add_json_producer(tx, &json);
    weir_waf_json_open(&json, "messages", '[');
    for (const weir_waf_match *match = tx->first_match; match != NULL && has_part(tx, 'H');
         match = match->next) {
        if (match->is_audited) {
            add_json_message(tx, &json, match);
        }
    }
    weir_waf_json_close(&json, ']');
    weir_waf_json_close(&json, '}');
    weir_waf_json_close(&json, '}');
    weir_builder_add_byte(entry, '\n');
}

bool weir_waf_audit_entry(weir_waf_transaction *tx, weir_pool *pool, weir_str *text)
{
    weir_builder entry;

    weir_builder_open(&entry, pool, ENTRY_MAX);
    if (tx->settings->audit.is_json) {
        add_json(tx, &entry);
    } else {
        add_native(tx, &entry);
    }
    return weir_builder_close(&entry, text);
}
