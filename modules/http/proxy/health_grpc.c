#include "core/base/clock.h"
#include "core/base/number.h"
#include "modules/balance/health.h"
#include "modules/http/proxy/proxy_internal.h"
#include "modules/http/wire/h2_client.h"

/*
 * health_check type=grpc: gRPC's health checking protocol, a call of grpc.health.v1.Health/Check.  The bytes that go out are
 * the same each time, and made once; what comes is read by a session that has said the same.
 */

#define WINDOW_BYTES 65535
#define HEAD_MAX 8192
#define LINES_MAX 100
#define ANSWER_MAX ((size_t) 128 * 1024) /* of frames */
/* A message of gRPC has a flag and its length before it. */
#define MESSAGE_HEAD_BYTES 5
#define FIELD_SERVICE 0x0a /* of HealthCheckRequest: field 1, text */
#define FIELD_STATUS 0x08  /* of HealthCheckResponse: field 1, number */
#define SERVING 1

typedef struct {
    weir_http_h2_client *client;
    weir_http_h2_answer answer;
    size_t taken; /* of all that came */
} grpc_talk;

static const proxy_health_check *check_of(const weir_balance_talk *talk)
{
    return WEIR_OWNER(talk->check, const proxy_health_check, check);
}

/* ---- the question */

/* HealthCheckRequest { service }, as a message; a service has fewer than 128 bytes. */
static bool message_add(const proxy_health_grpc *grpc, weir_chain *body)
{
    char text[MESSAGE_HEAD_BYTES + 2 + PROXY_HEALTH_SERVICE_MAX];
    weir_builder message;
    size_t len = grpc->service.len == 0 ? 0 : grpc->service.len + 2;

    weir_builder_over(&message, text, sizeof(text));
    weir_builder_add(&message, WEIR_STR("\0\0\0\0"));
    weir_builder_add_byte(&message, (char) len);
    if (len != 0) {
        weir_builder_add_byte(&message, FIELD_SERVICE);
        weir_builder_add_byte(&message, (char) grpc->service.len);
        weir_builder_add(&message, grpc->service);
    }
    return weir_chain_add_copy(body, weir_builder_cut(&message));
}

/* Begins the call; its bytes are pushed into `out`. */
static bool call_begin(const proxy_health_check *check, weir_pool *pool, const weir_log *log,
                       grpc_talk *call, weir_chain *out)
{
    const weir_http_h2_field fields[] = {
        {WEIR_STR(":method"), WEIR_STR("POST")},
        {WEIR_STR(":scheme"),
         check->check.question.tls != NULL ? WEIR_STR("https") : WEIR_STR("http")},
        {WEIR_STR(":authority"), check->host},
        {WEIR_STR(":path"), WEIR_STR("/grpc.health.v1.Health/Check")},
        {WEIR_STR("content-type"), WEIR_STR("application/grpc")},
        {WEIR_STR("te"), WEIR_STR("trailers")},
        {WEIR_STR("user-agent"), WEIR_STR("weir health check")},
    };
    weir_chain body = {0};
    bool is_begun;

    call->client = weir_http_h2_client_new(pool, WINDOW_BYTES);
    call->answer = (weir_http_h2_answer){
        .pool = pool,
        .log = log,
        .head_max = HEAD_MAX,
        .lines_max = LINES_MAX,
        .wants_trailers = true,
    };
    is_begun =
        call->client != NULL && message_add(&check->grpc, &body)
        && weir_http_h2_client_begin(call->client, &call->answer, fields, WEIR_COUNT(fields), true)
        && weir_http_h2_client_send(call->client, &body, true, NULL, 0)
        && weir_http_h2_client_push(call->client, out) == WEIR_OK;
    weir_chain_clear(&body);
    return is_begun;
}

/* ---- the answer */

static bool talk_begin(weir_balance_talk *talk)
{
    weir_chain out = {0};
    bool is_begun = call_begin(check_of(talk), talk->pool, &talk->log, talk->state, &out);

    /* These bytes are the question's. */
    weir_chain_clear(&out);
    return is_begun;
}

static weir_balance_talk_result over(weir_balance_talk *talk, const char *failure)
{
    grpc_talk *call = talk->state;

    weir_http_h2_client_end(call->client);
    talk->failure = failure;
    return failure == NULL ? WEIR_BALANCE_TALK_OVER : WEIR_BALANCE_TALK_BAD;
}

/* grpc-status stands behind the message, or in the head if there is none. */
static bool status_is(const weir_http_h2_answer *answer, uint64_t expected)
{
    const weir_http_field *field =
        weir_http_fields_find_text(&answer->trailers, WEIR_STR("grpc-status"));
    uint64_t status;

    if (field == NULL) {
        field = weir_http_fields_find_text(&answer->fields, WEIR_STR("grpc-status"));
    }
    return field != NULL && weir_parse_uint(field->value, UINT32_MAX, &status)
           && status == expected;
}

/* HealthCheckResponse { status: SERVING }, and nothing else. */
static bool is_serving(weir_balance_talk *talk, const weir_http_h2_answer *answer)
{
    static const char expected[] = {0, 0, 0, 0, 2, FIELD_STATUS, SERVING};
    weir_str body;

    return answer->body.len == sizeof(expected) && weir_chain_join(&answer->body, talk->pool, &body)
           && weir_str_eq(body, weir_str_of(expected, sizeof(expected)));
}

static const char *judge(weir_balance_talk *talk)
{
    const grpc_talk *call = talk->state;
    const weir_http_h2_answer *answer = &call->answer;
    const proxy_health_grpc *grpc = &check_of(talk)->grpc;

    if (answer->status != 200) {
        return "the status is not good";
    }
    if (!status_is(answer, grpc->status)) {
        return "the status of gRPC is not good";
    }
    return grpc->status != 0 || is_serving(talk, answer) ? NULL : "it does not serve";
}

static weir_balance_talk_result talk_take(weir_balance_talk *talk, weir_str data, bool is_at_end)
{
    grpc_talk *call = talk->state;
    weir_str rest = weir_str_from(data, call->taken);
    bool is_good =
        rest.len == 0
        || weir_http_h2_client_take(call->client, rest, NULL, weir_clock_now()->monotonic_ms);

    call->taken = data.len;
    if (call->answer.is_ended) {
        return over(talk, judge(talk));
    }
    if (call->answer.fault != NULL || !is_good) {
        return over(talk, "it answered with no valid HTTP/2");
    }
    return is_at_end ? over(talk, "it closed the connection without an answer")
                     : WEIR_BALANCE_TALK_MORE;
}

bool proxy_health_grpc_make(weir_conf *conf, proxy_health_check *check)
{
    weir_balance_question *question = &check->check.question;
    weir_pool *pool = weir_pool_new(4096, 0);
    grpc_talk call = {0};
    weir_chain out = {0};
    bool is_made = pool != NULL && call_begin(check, pool, NULL, &call, &out)
                   && weir_chain_join(&out, weir_conf_pool(conf), &question->request);

    weir_chain_clear(&out);
    weir_pool_free(pool);
    question->alpn = proxy_h2.framing->alpn;
    question->answer_max = ANSWER_MAX;
    question->state_bytes = sizeof(grpc_talk);
    question->begin = talk_begin;
    question->take = talk_take;
    return is_made || weir_conf_refuse(conf, "no memory for \"health_check\"");
}
