/*
 * mirror: sends each request to other locations as well, whose answers are not looked at.
 *
 *     location / { mirror /mirror; proxy_pass http://backend; }
 *     location = /mirror { internal; proxy_pass http://test$request_uri; }
 *
 * The response does not wait for them; the next request of the connection does.
 */

#include "modules/http/engine/module.h"

typedef struct {
    struct {
        weir_array *paths; /* weir_str; NULL: off */
        bool is_off;
    } mirrors;
    bool has_body;
} mirror_conf;

typedef struct {
    const mirror_conf *sent; /* whose mirrors have been sent to */
} mirror_state;

extern const weir_http_module weir_http_mirror;

static bool mirror_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    mirror_conf *mirror = settings;
    weir_pool *pool = weir_conf_pool(conf);
    weir_str *path;

    if (weir_str_eq(statement->args[1], WEIR_STR("off"))) {
        if (mirror->mirrors.paths != NULL || mirror->mirrors.is_off) {
            return weir_conf_refuse(conf, "\"mirror\" directive is duplicate");
        }
        mirror->mirrors.is_off = true;
        return true;
    }
    if (mirror->mirrors.is_off) {
        return weir_conf_refuse(conf, "\"mirror\" directive is duplicate");
    }
    if (mirror->mirrors.paths == NULL) {
        mirror->mirrors.paths = WEIR_NEW(pool, weir_array);
        if (mirror->mirrors.paths == NULL) {
            return weir_conf_refuse(conf, "no memory for \"mirror\"");
        }
        weir_array_init(mirror->mirrors.paths, pool, sizeof(weir_str), 2);
    }
    path = weir_array_push(mirror->mirrors.paths);
    if (path == NULL) {
        return weir_conf_refuse(conf, "no memory for \"mirror\"");
    }
    *path = statement->args[1];
    return true;
}

static const weir_directive mirror_directives[] = {
    {
        .name = "mirror",
        .where = WEIR_HTTP_ANYWHERE,
        .takes = WEIR_TAKES(1, 1),
        .syntax = "uri | off",
        .slot = WEIR_SLOT_CALL(mirror_conf, mirrors, mirror_call),
        .repeatable = true,
        .preset = "off",
        .doc = "Sends requests to this location as well, and ignores its answer.",
    },
    {
        .name = "mirror_request_body",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_FLAG(mirror_conf, has_body),
        .preset = "on",
        .doc = "Sends bodies along, for which they are read before anything else is done.",
    },
    {0},
};

static weir_http_verdict mirror_send(weir_http_exchange *ex, const mirror_conf *conf)
{
    for (WEIR_ARRAY_EACH(conf->mirrors.paths, const weir_str, path)) {
        weir_http_exchange *child = weir_http_child_new(
            ex, *path, ex->request.args,
            WEIR_HTTP_CHILD_HEAD_ONLY | WEIR_HTTP_CHILD_IN_BACKGROUND | WEIR_HTTP_CHILD_WITH_BODY,
            NULL, NULL);

        if (child == NULL) {
            return WEIR_HTTP_FAILED;
        }
        weir_http_child_start(child);
    }
    return WEIR_HTTP_PASS;
}

/* A client's own requests are mirrored, and not what they ask for in their turn. */
static weir_http_verdict mirror_judge(weir_http_exchange *ex, const void *location)
{
    const mirror_conf *conf = location;
    mirror_state *state;

    if (ex->parent != NULL) {
        return WEIR_HTTP_PASS;
    }
    state = weir_http_state(ex, &weir_http_mirror, sizeof(*state));
    if (state == NULL) {
        return WEIR_HTTP_FAILED;
    }
    if (state->sent == conf) {
        return WEIR_HTTP_PASS;
    }
    if (conf->has_body && ex->request.has_body) {
        switch (weir_http_collect_body(ex, weir_http_resume)) {
        case WEIR_OK:
            break;
        case WEIR_WAIT:
            return WEIR_HTTP_WAITING;
        case WEIR_FAIL:
            return WEIR_HTTP_ANSWERED;
        }
    }
    state->sent = conf;
    return mirror_send(ex, conf);
}

static bool mirror_applies(const void *location)
{
    return ((const mirror_conf *) location)->mirrors.paths != NULL;
}

const weir_http_module weir_http_mirror = {
    .name = "http_mirror",
    .directives = mirror_directives,
    .conf_size = sizeof(mirror_conf),
    .phases = 1u << WEIR_HTTP_PHASE_PRECONTENT,
    .takes_body = true,
    .judge = mirror_judge,
    .applies = mirror_applies,
};
