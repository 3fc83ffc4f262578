/*
 * access: who may, by address.
 *
 *     allow 10.0.0.0/8;
 *     deny  all;
 */

#include "modules/common/access_list.h"
#include "modules/stream/engine/core_conf.h"

typedef struct {
    weir_array *rules; /* NULL: none */
} access_conf;

static bool rule_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return weir_access_list_call(conf, &((access_conf *) settings)->rules, statement);
}

#define RULE(name_, doc_)                                                                          \
    {                                                                                              \
        .name = name_, .where = WEIR_STREAM_ANYWHERE, .takes = WEIR_TAKES(1, 1),                   \
        .syntax = "address | CIDR | unix: | all",                                                  \
        .slot = WEIR_SLOT_CALL(access_conf, rules, rule_call), .repeatable = true, .doc = doc_     \
    }

static const weir_directive access_directives[] = {
    RULE("allow", "Lets these addresses by; the first rule that matches decides."),
    RULE("deny", "Refuses these addresses."),
    {0},
};

static weir_stream_verdict access_judge(weir_stream_session *session, const void *server)
{
    const access_conf *access = server;

    switch (weir_access_list_decide(access->rules, &session->client->peer)) {
    case WEIR_ACCESS_NO_RULE:
        return WEIR_STREAM_PASS;
    case WEIR_ACCESS_ALLOWED:
        return WEIR_STREAM_SETTLED;
    case WEIR_ACCESS_DENIED:
        break;
    }
    weir_log_line(weir_stream_log(session), WEIR_LOG_ERR, 0, "access forbidden by rule");
    session->status = WEIR_STREAM_FORBIDDEN;
    return WEIR_STREAM_REFUSED;
}

static bool access_applies(const void *server)
{
    return ((const access_conf *) server)->rules != NULL;
}

const weir_stream_module weir_stream_access = {
    .name = "stream_access",
    .directives = access_directives,
    .conf_size = sizeof(access_conf),
    .phases = 1u << WEIR_STREAM_PHASE_ACCESS,
    .judge = access_judge,
    .applies = access_applies,
};
