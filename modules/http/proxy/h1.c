#include "modules/http/proxy/proxy_internal.h"

/* HTTP/1 toward origins: the head as text, framing put around bodies, and taken off them. */

/* ---- the request */

static bool make_head(proxy_state *proxy)
{
    const proxy_conf *conf = proxy->conf;
    const proxy_headers *headers = conf->headers;
    bool keeps = conf->http_version == WEIR_HTTP_11 && proxy->group != NULL
                 && weir_balance_keeps_idle(proxy->group);
    bool upgrades = proxy_passes_upgrade(proxy);
    weir_builder head;
    weir_str method;

    proxy->stay = conf->http_version == WEIR_HTTP_10 ? PROXY_STAY_REFUSED : PROXY_STAY_UNSAID;
    weir_builder_open(&head, proxy->ex->pool, SIZE_MAX);
    /* Most heads fit, and are then written without being moved. */
    (void) weir_builder_room(&head, proxy->ex->request.head_bytes + proxy->target.len + 256);
    if (!proxy_method_settle(proxy, &method)) {
        return false;
    }
    weir_builder_add(&head, method);
    weir_builder_add_byte(&head, ' ');
    weir_builder_add(&head, proxy->target);
    weir_builder_add(&head, conf->http_version == WEIR_HTTP_10 ? WEIR_STR(" HTTP/1.0\r\n")
                                                               : WEIR_STR(" HTTP/1.1\r\n"));
    if (!headers->sets_host) {
        proxy_add_line(&head, WEIR_STR("Host"), proxy->url.name);
    }
    if (upgrades) {
        proxy_add_upgrade(proxy, &head);
    } else if (!headers->sets_connection && !keeps) {
        weir_builder_add(&head, WEIR_STR("Connection: close\r\n"));
        proxy->stay = PROXY_STAY_REFUSED;
    }
    if (!proxy_add_lines(proxy, upgrades, &head)) {
        return false;
    }
    weir_builder_add(&head, WEIR_STR("\r\n"));
    return weir_builder_close(&head, &proxy->head);
}

static bool begin(proxy_state *proxy)
{
    return weir_chain_add_memory(&proxy->out, proxy->head);
}

/* The last chunk, and what the client says behind its body. */
static bool end_chunks(proxy_state *proxy)
{
    weir_str trailers;

    return proxy_trailers_make(proxy, &trailers)
           && weir_chain_add_memory(&proxy->out, WEIR_STR("0\r\n"))
           && (trailers.len == 0 || weir_chain_add_memory(&proxy->out, trailers))
           && weir_chain_add_memory(&proxy->out, WEIR_STR("\r\n"));
}

static bool add_body(proxy_state *proxy, weir_chain *body, bool ended)
{
    char text[32];
    weir_builder line;

    if (!proxy->body_is_chunked) {
        weir_chain_append(&proxy->out, body);
        return true;
    }
    if (!weir_chain_is_empty(body)) {
        weir_builder_over(&line, text, sizeof(text));
        weir_builder_add_hex(&line, body->len);
        weir_builder_add(&line, WEIR_STR("\r\n"));
        if (!weir_chain_add_copy(&proxy->out, weir_builder_cut(&line))) {
            return false;
        }
        weir_chain_append(&proxy->out, body);
        if (!weir_chain_add_memory(&proxy->out, WEIR_STR("\r\n"))) {
            return false;
        }
    }
    return !ended || end_chunks(proxy);
}

/* ---- the answer's head */

/* What was said to an HTTP/1.0 client the origin need not mean for longer than it says (RFC 9112, 9.3). */
static bool connection_stays(const proxy_state *proxy)
{
    switch (proxy->stay) {
    case PROXY_STAY_UNSAID:
        return proxy->answer.keeps;
    case PROXY_STAY_ASKED_FOR:
        return proxy->answer.keeps
               && weir_http_fields_have_token(&proxy->answer.fields, WEIR_HTTP_CONNECTION,
                                              WEIR_STR("keep-alive"));
    case PROXY_STAY_REFUSED:
        break;
    }
    return false;
}

static void begin_body(proxy_state *proxy)
{
    const weir_http_response_head *answer = &proxy->answer;

    proxy->keeps = connection_stays(proxy);
    if (answer->end == WEIR_HTTP_END_LENGTH) {
        proxy->left = (uint64_t) answer->content_length;
    }
    if (answer->end == WEIR_HTTP_END_CHUNKED) {
        memset(&proxy->chunked, 0, sizeof(proxy->chunked));
        proxy->chunked.pool = proxy->ex->pool;
        proxy->chunked.trailer_bytes_max = proxy->conf->buffer_size;
        if (proxy->conf->pass_trailers) {
            weir_http_fields_init(&proxy->trailers, proxy->ex->pool, PROXY_FIELDS_MAX);
            proxy->chunked.trailers = &proxy->trailers;
            proxy->takes_trailers = true;
        }
    }
}

static weir_http_head_result take_head(proxy_state *proxy, const char **why)
{
    size_t scanned = proxy->scanned - proxy->start;
    size_t taken;
    weir_http_head_result result = weir_http_response_head_take(
        &proxy->answer, weir_str_of(proxy->data + proxy->start, proxy->end - proxy->start),
        &scanned, &taken, why);

    proxy->scanned = proxy->start + scanned;
    proxy->start += taken;

    /* A head that is too big is so, even if it came at once. */
    if (result != WEIR_HTTP_HEAD_INVALID
        && proxy->answer.bytes + (result == WEIR_HTTP_HEAD_MORE ? proxy->end - proxy->start : 0)
               > proxy->conf->buffer_size) {
        *why = "upstream sent too big header";
        return WEIR_HTTP_HEAD_INVALID;
    }
    if (result == WEIR_HTTP_HEAD_COMPLETE) {
        begin_body(proxy);
    }
    return result;
}

/* ---- its body */

static bool take_chunks(proxy_state *proxy, weir_chain *out)
{
    while (proxy->start < proxy->end || proxy->chunked.is_complete) {
        size_t framing;
        size_t content;
        weir_result result = weir_http_chunked_next(
            &proxy->chunked, weir_str_of(proxy->data + proxy->start, proxy->end - proxy->start),
            &framing, &content);

        if (result == WEIR_FAIL) {
            weir_log_line(&proxy->ex->log, WEIR_LOG_ERR, 0,
                          "upstream sent invalid chunked response while %s", proxy->doing);
            return false;
        }
        proxy->start += framing;
        if (result == WEIR_WAIT) {
            return true;
        }
        if (content == 0) {
            proxy_body_end(proxy);
            return true;
        }
        if (!proxy_body_give(proxy, out, content)) {
            return false;
        }
    }
    return true;
}

static bool take_body(proxy_state *proxy, weir_chain *out)
{
    size_t here = proxy->end - proxy->start;

    switch (proxy->answer.end) {
    case WEIR_HTTP_END_NONE:
        proxy_body_end(proxy);
        return true;
    case WEIR_HTTP_END_LENGTH:
        if (here > proxy->left) {
            here = (size_t) proxy->left;
        }
        if (here != 0 && !proxy_body_give(proxy, out, here)) {
            return false;
        }
        proxy->left -= here;
        if (proxy->left == 0) {
            proxy_body_end(proxy);
        }
        return true;
    case WEIR_HTTP_END_CHUNKED:
        return take_chunks(proxy, out);
    case WEIR_HTTP_END_CLOSE:
        return here == 0 || proxy_body_give(proxy, out, here);
    case WEIR_HTTP_END_STREAM:
        break;
    }
    return false;
}

const proxy_wire proxy_h1 = {
    .make_head = make_head,
    .begin = begin,
    .add_body = add_body,
    .take_head = take_head,
    .take_body = take_body,
};
