/*
 * userid: gives clients a cookie, and knows them again by it.
 *
 *     userid         on;
 *     userid_expires 365d;
 *     proxy_set_header X-Client-Id $uid_got$uid_set;
 *
 * An identifier is 16 bytes, four words as Apache's mod_uid has them: who gave it (userid_service), when, and two that make
 * it unique, of which the last byte is the version.  Here they are random: nobody guesses another's.
 */

#include "modules/http/engine/core_conf.h"

#include <arpa/inet.h>
#include <openssl/base64.h>

#include "core/base/base64.h"
#include "core/base/clock.h"
#include "core/base/number.h"
#include "core/base/random.h"

#define ID_BYTES 16
#define ID_DIGITS 22    /* in base64, without its padding */
#define COOKIE_VALUE 24 /* with it, of which the first sign may be a mark */
#define YEAR_2038 2145916800
#define LAST_SECOND 2145916555 /* Thu, 31 Dec 2037 23:55:55 GMT: "max", as nginx says it */

enum { USERID_OFF, USERID_LOG, USERID_V1, USERID_ON };
enum {
    FLAG_SECURE = 1,
    FLAG_HTTPONLY = 2,
    FLAG_STRICT = 4,
    FLAG_LAX = 8,
    FLAG_NONE = 16,
};

typedef struct {
    struct {
        unsigned kind;
        const weir_template *reset; /* $uid_reset */
    } mode;
    weir_str name, path, domain, p3p; /* the last two: empty, none */
    struct {
        bool is_given, is_max;
        uint64_t time_s;
    } expires;
    unsigned flags;
    char mark; /* '\0': off */
    struct {
        bool is_given;
        uint32_t number;
    } service;
} userid_conf;

/* Of a whole request, as long as the same settings hold. */
typedef struct {
    const userid_conf *of;
    bool is_known; /* what follows is */
    bool has_got, is_reset;
    bool has_set; /* `set` goes to the client */
    uint8_t got[ID_BYTES], set[ID_BYTES];
    weir_str padding; /* what was behind the digits that came */
} userid_state;

extern const weir_http_module weir_http_userid;

/* ---- reading */

static bool userid_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    static const weir_choice choices[] = {
        {"off", USERID_OFF}, {"log", USERID_LOG}, {"v1", USERID_V1}, {"on", USERID_ON}, {NULL, 0},
    };
    userid_conf *userid = settings;
    const weir_choice *choice = choices;

    while (choice->name != NULL
           && !weir_str_eq_nocase(statement->args[1], weir_str_from_z(choice->name))) {
        choice++;
    }
    if (choice->name == NULL) {
        return weir_conf_refuse_arg(conf, statement, 1, "invalid value \"%.*s\"",
                                    WEIR_STR_ARG(statement->args[1]));
    }
    userid->mode.kind = choice->value;
    userid->mode.reset =
        weir_template_new(conf, weir_space_of(conf, "http"), WEIR_STR("$uid_reset"));
    return userid->mode.reset != NULL;
}

/* "none" is nothing. */
static void text_or_none(weir_str *text, const weir_statement *statement)
{
    bool is_none = weir_str_eq(statement->args[1], WEIR_STR("none"));

    *text = is_none ? WEIR_STR_EMPTY : statement->args[1];
}

static bool domain_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) conf;
    text_or_none(&((userid_conf *) settings)->domain, statement);
    return true;
}

static bool p3p_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) conf;
    text_or_none(&((userid_conf *) settings)->p3p, statement);
    return true;
}

static bool expires_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    userid_conf *userid = settings;
    weir_str text = statement->args[1];

    userid->expires.is_given = !weir_str_eq(text, WEIR_STR("off"));
    userid->expires.is_max = weir_str_eq(text, WEIR_STR("max"));
    return !userid->expires.is_given || userid->expires.is_max
           || weir_parse_time_s(text, INT32_MAX, &userid->expires.time_s)
           || weir_conf_refuse_arg(conf, statement, 1, "invalid value \"%.*s\"",
                                   WEIR_STR_ARG(text));
}

static bool mark_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    userid_conf *userid = settings;
    weir_str text = statement->args[1];
    char mark = text.len == 1 ? text.data[0] : '\0';

    userid->mark = '\0';
    if (weir_str_eq(text, WEIR_STR("off"))) {
        return true;
    }
    if (!((mark >= 'A' && mark <= 'Z') || (mark >= 'a' && mark <= 'z')
          || (mark >= '0' && mark <= '9') || mark == '=')) {
        return weir_conf_refuse_arg(conf, statement, 1,
                                    "\"userid_mark\" takes a letter, a digit or \"=\"");
    }
    userid->mark = mark;
    return true;
}

static bool service_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    userid_conf *userid = settings;
    uint64_t number;

    if (!weir_parse_uint(statement->args[1], UINT32_MAX, &number)) {
        return weir_conf_refuse_arg(conf, statement, 1, "invalid number");
    }
    userid->service.is_given = true;
    userid->service.number = (uint32_t) number;
    return true;
}

static const weir_choice flag_choices[] = {
    {"off", 0},
    {"secure", FLAG_SECURE},
    {"httponly", FLAG_HTTPONLY},
    {"samesite=strict", FLAG_STRICT},
    {"samesite=lax", FLAG_LAX},
    {"samesite=none", FLAG_NONE},
    {NULL, 0},
};

#define ROW(name_, syntax_, slot_, preset_, doc_)                                                  \
    {                                                                                              \
        .name = name_, .where = WEIR_HTTP_ANYWHERE, .takes = WEIR_TAKES(1, 1), .syntax = syntax_,  \
        .slot = slot_, .preset = preset_, .doc = doc_                                              \
    }

static const weir_directive userid_directives[] = {
    ROW("userid", "on | v1 | log | off", WEIR_SLOT_CALL(userid_conf, mode, userid_call), "off",
        "Whether clients get a cookie to be known by, or only what they have is looked at."),
    ROW("userid_domain", "name | none", WEIR_SLOT_CALL(userid_conf, domain, domain_call), "none",
        "The cookie's domain."),
    ROW("userid_expires", "time | max | off", WEIR_SLOT_CALL(userid_conf, expires, expires_call),
        "off", "How long browsers keep the cookie; off: until they end."),
    {
        .name = "userid_flags",
        .where = WEIR_HTTP_ANYWHERE,
        .syntax = "off | flag ...",
        .slot = WEIR_SLOT_BITS(userid_conf, flags, flag_choices),
        .preset = "off",
        .doc = "Further parameters of the cookie.",
    },
    ROW("userid_mark", "letter | digit | = | off", WEIR_SLOT_CALL(userid_conf, mark, mark_call),
        "off", "A cookie without this mark is sent anew, with the same identifier."),
    ROW("userid_name", "name", WEIR_SLOT_STR(userid_conf, name), "uid", "The cookie's name."),
    ROW("userid_p3p", "string | none", WEIR_SLOT_CALL(userid_conf, p3p, p3p_call), "none",
        "The field P3P that is sent with the cookie."),
    ROW("userid_path", "path", WEIR_SLOT_STR(userid_conf, path), "/", "The cookie's path."),
    ROW("userid_service", "number", WEIR_SLOT_CALL(userid_conf, service, service_call), NULL,
        "Who gives identifiers; the server's address, unless it is said."),
    {0},
};

/* ---- identifiers */

/* "NAME=0100007F..." */
static bool id_write(weir_pool *pool, weir_str name, const uint8_t id[static ID_BYTES],
                     weir_str *text)
{
    uint32_t words[4];
    weir_builder builder;

    memcpy(words, id, ID_BYTES);
    weir_builder_open(&builder, pool, SIZE_MAX);
    weir_builder_add(&builder, name);
    weir_builder_printf(&builder, "=%08X%08X%08X%08X", words[0], words[1], words[2], words[3]);
    return weir_builder_close(&builder, text);
}

/* The last four bytes of the address that the client has reached. */
static uint32_t server_number(weir_http_exchange *ex)
{
    const weir_addr *local = weir_connection_local(weir_http_client_connection(ex));
    uint32_t number = 0;

    if (local->sa.sa_family == AF_INET) {
        number = local->in.sin_addr.s_addr;
    } else if (local->sa.sa_family == AF_INET6) {
        memcpy(&number, local->in6.sin6_addr.s6_addr + 12, sizeof(number));
    }
    return ntohl(number);
}

static void id_new(weir_http_exchange *ex, const userid_conf *userid, uint8_t id[static ID_BYTES])
{
    bool is_first_version = userid->mode.kind == USERID_V1;
    uint32_t words[4] = {0, (uint32_t) weir_clock_now()->wall_s, 0, 0};

    weir_random_bytes(&words[2], 2 * sizeof(words[2]));
    words[3] = (words[3] & ~0xffu) | (is_first_version ? 1 : 2);
    if (userid->service.is_given) {
        words[0] = userid->service.number;
    } else if (!is_first_version) {
        words[0] = server_number(ex);
    }
    for (size_t i = 0; !is_first_version && i < WEIR_COUNT(words); i++) {
        words[i] = htonl(words[i]);
    }
    memcpy(id, words, ID_BYTES);
}

static void got_read(weir_http_exchange *ex, const userid_conf *userid, userid_state *state)
{
    weir_str value, bytes;

    if (!weir_http_cookie_find(ex, userid->name, &value)) {
        return;
    }
    if (value.len < ID_DIGITS) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "client sent too short userid cookie \"%.*s\"",
                      WEIR_STR_ARG(value));
        return;
    }
    if (!weir_base64_decode(ex->pool, weir_str_slice(value, 0, ID_DIGITS), &bytes)
        || bytes.len != ID_BYTES) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "client sent invalid userid cookie \"%.*s\"",
                      WEIR_STR_ARG(value));
        return;
    }
    memcpy(state->got, bytes.data, ID_BYTES);
    state->padding = weir_str_from(value, ID_DIGITS);
    /* The last word has the version: without one it is none of ours. */
    state->has_got = memcmp(state->got + 12, "\0\0\0\0", 4) != 0;
}

/* What $uid_reset says. */
static bool reset_read(weir_http_exchange *ex, const userid_conf *userid, userid_state *state)
{
    weir_str text, id;

    if (!weir_template_text(userid->mode.reset, &ex->script, &text)) {
        return false;
    }
    state->is_reset = text.len != 0 && !weir_str_eq(text, WEIR_STR("0"));
    if (state->is_reset && state->has_got && weir_str_eq(text, WEIR_STR("log"))) {
        if (!id_write(ex->pool, userid->name, state->got, &id)) {
            return false;
        }
        weir_log_line(&ex->log, WEIR_LOG_NOTICE, 0, "userid cookie \"%.*s\" was reset",
                      WEIR_STR_ARG(id));
    }
    return true;
}

static bool is_marked(const userid_conf *userid, const userid_state *state)
{
    return userid->mark == '\0'
           || (state->padding.len >= 2 && state->padding.data[0] == userid->mark
               && state->padding.data[1] == '=');
}

/* Once a request: what the client has, and what it gets.  NULL: no memory. */
static const userid_state *state_of(weir_http_exchange *ex, const userid_conf *userid)
{
    userid_state *state = weir_http_whole_state(ex, &weir_http_userid, sizeof(*state));

    if (state == NULL || (state->is_known && state->of == userid)) {
        return state;
    }
    *state = (userid_state){.of = userid};
    got_read(ex, userid, state);
    if (!reset_read(ex, userid, state)) {
        return NULL;
    }
    if (userid->mode.kind >= USERID_V1) {
        if (!state->has_got || state->is_reset) {
            id_new(ex, userid, state->set);
            state->has_set = true;
        } else if (!is_marked(userid, state)) {
            memcpy(state->set, state->got, ID_BYTES);
            state->has_set = true;
        }
    }
    state->is_known = true;
    return state;
}

/* ---- the response */

/* "; expires=Thu, 31-Dec-37 23:55:55 GMT": of a year up to 2037 two digits are enough, and all that old clients know. */
static void add_expires(weir_builder *builder, const userid_conf *userid)
{
    int64_t when = userid->expires.is_max
                       ? LAST_SECOND
                       : weir_clock_now()->wall_s + (int64_t) userid->expires.time_s;
    char text[30];
    weir_str date;

    weir_clock_format_http(when, text);
    date = weir_str_of(text, 29);
    weir_builder_add(builder, WEIR_STR("; expires="));
    weir_builder_add(builder, weir_str_slice(date, 0, 7));
    weir_builder_add_byte(builder, '-');
    weir_builder_add(builder, weir_str_slice(date, 8, 11));
    weir_builder_add_byte(builder, '-');
    weir_builder_add(builder, weir_str_slice(date, when < YEAR_2038 ? 14 : 12, 16));
    weir_builder_add(builder, weir_str_from(date, 16));
}

static void add_flags(weir_builder *builder, unsigned flags)
{
    static const struct {
        unsigned flag;
        weir_str text;
    } texts[] = {
        {FLAG_SECURE, WEIR_STR_INIT("; secure")},
        {FLAG_HTTPONLY, WEIR_STR_INIT("; httponly")},
        {FLAG_STRICT, WEIR_STR_INIT("; samesite=strict")},
        {FLAG_LAX, WEIR_STR_INIT("; samesite=lax")},
        {FLAG_NONE, WEIR_STR_INIT("; samesite=none")},
    };

    for (size_t i = 0; i < WEIR_COUNT(texts); i++) {
        if ((flags & texts[i].flag) != 0) {
            weir_builder_add(builder, texts[i].text);
        }
    }
}

static bool cookie_write(weir_pool *pool, const userid_conf *userid, const userid_state *state,
                         weir_str *text)
{
    uint8_t value[COOKIE_VALUE + 1];
    weir_builder builder;

    EVP_EncodeBlock(value, state->set, ID_BYTES);
    if (userid->mark != '\0') {
        value[ID_DIGITS] = (uint8_t) userid->mark;
    }
    weir_builder_open(&builder, pool, SIZE_MAX);
    weir_builder_add(&builder, userid->name);
    weir_builder_add_byte(&builder, '=');
    weir_builder_add(&builder, weir_str_of((const char *) value, COOKIE_VALUE));
    if (userid->expires.is_given) {
        add_expires(&builder, userid);
    }
    if (userid->domain.len != 0) {
        weir_builder_add(&builder, WEIR_STR("; domain="));
        weir_builder_add(&builder, userid->domain);
    }
    weir_builder_add(&builder, WEIR_STR("; path="));
    weir_builder_add(&builder, userid->path);
    add_flags(&builder, userid->flags);
    return weir_builder_close(&builder, text);
}

static weir_result userid_head(weir_http_exchange *ex, const void *location)
{
    const userid_conf *userid = location;
    const userid_state *state;
    weir_str cookie;

    if (ex->parent != NULL || userid->mode.kind < USERID_V1) {
        return WEIR_OK;
    }
    state = state_of(ex, userid);
    if (state == NULL) {
        return WEIR_FAIL;
    }
    if (!state->has_set) {
        return WEIR_OK;
    }
    return cookie_write(ex->pool, userid, state, &cookie)
                   && weir_http_fields_add(&ex->response.fields, WEIR_HTTP_SET_COOKIE, cookie)
                   && (userid->p3p.len == 0
                       || weir_http_fields_add_text(&ex->response.fields, WEIR_STR("P3P"),
                                                    userid->p3p))
               ? WEIR_OK
               : WEIR_FAIL;
}

static bool userid_applies(const void *location)
{
    return ((const userid_conf *) location)->mode.kind >= USERID_V1;
}

/* ---- variables: of the client's request, also to what serves it inside */

enum { ID_GOT, ID_SET };

static bool get_id(weir_script *script, uintptr_t arg, weir_value *value)
{
    weir_http_exchange *ex = ((weir_http_exchange *) script->subject)->main;
    const userid_conf *userid = weir_http_settings(ex, &weir_http_userid);
    const userid_state *state;

    if (userid->mode.kind == USERID_OFF) {
        return true;
    }
    state = state_of(ex, userid);
    if (state == NULL) {
        return false;
    }
    value->found = arg == ID_GOT ? state->has_got : state->has_set;
    return !value->found
           || id_write(script->pool, userid->name, arg == ID_GOT ? state->got : state->set,
                       &value->text);
}

static const weir_variable userid_variables[] = {
    {.name = "uid_got", .get = get_id, .arg = ID_GOT, .is_volatile = true},
    {.name = "uid_set", .get = get_id, .arg = ID_SET, .is_volatile = true},
    {.name = "uid_reset", .may_be_redefined = true},
    {0},
};

const weir_http_module weir_http_userid = {
    .name = "http_userid",
    .directives = userid_directives,
    .conf_size = sizeof(userid_conf),
    .applies = userid_applies,
    .stage = WEIR_HTTP_STAGE_ANNOTATE,
    .response_head = userid_head,
    .variables = userid_variables,
};
