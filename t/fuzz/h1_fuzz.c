/*
 * A whole HTTP/1 connection in process: engine, phases and wire, over a socket pair.  The input's first byte seeds where
 * it is cut.  Whatever comes in: every response is well-formed, there are no more of them than requests, the connection
 * ends when the client has gone, and no block is left behind.
 */

#include "t/fuzz/http_connection.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char config[] =
    "error_log stderr emerg;\n"
    "events { }\n"
    "http {\n"
    "  access_log off;\n"
    "  tcp_nodelay off;\n"
    "  keepalive_requests 20;\n"
    "  large_client_header_buffers 2 1k;\n"
    "  client_max_body_size 100;\n"
    "  add_header X-Method $request_method always;\n"
    "  server {\n"
    "    listen 127.0.0.1:1;\n"
    "    error_page 404 /page;\n"
    "    error_page 403 = @named;\n"
    "    error_page 400 413 = /page;\n"
    "    location / { return 200 v:ok; }\n"
    "    location /page { return 200 v:page; }\n"
    "    location @named { return 200 v:named; }\n"
    "    location /redirect { return 302 $uri?$args; }\n"
    "    location /header { add_header X-Uri $uri; add_header X-Agent $http_user_agent; return "
    "204; }\n"
    "    location /rewrite { rewrite ^/rewrite/(.*) /$1; return 404; }\n"
    "    location /away { rewrite ^/away(.*) http://away$1 redirect; }\n"
    "    location /in { internal; return 200 v:in; }\n"
    "    location /close { return 444; }\n"
    "    location /not-modified { return 304; }\n"
    "    location ~ ^/outer/(?<part>.+)$ { location ~ \\.x$ { return 200 v:x; } return 403; }\n"
    "  }\n"
    "}\n";

/* ---- what a client sees */

static weir_str take_line(weir_str *rest)
{
    const char *end = weir_str_find(*rest, WEIR_STR("\r\n"));
    weir_str line;

    must(end != NULL);
    line = weir_str_slice(*rest, 0, (size_t) (end - rest->data));
    *rest = weir_str_from(*rest, line.len + 2);
    must(memchr(line.data, '\n', line.len) == NULL && memchr(line.data, '\r', line.len) == NULL
         && memchr(line.data, '\0', line.len) == NULL);
    return line;
}

/* Takes one response.  False: it was the last. */
static bool take_response(weir_str *rest, bool *is_interim)
{
    weir_str line = take_line(rest);
    uint64_t status;
    uint64_t length = 0;
    bool has_length = false;
    bool is_head = false;
    bool is_last = false;

    must(line.len >= 13 && weir_str_starts(line, WEIR_STR("HTTP/1.1 ")) && line.data[12] == ' ');
    must(weir_parse_uint(weir_str_slice(line, 9, 12), 599, &status) && status >= 100);
    *is_interim = status < 200;

    while ((line = take_line(rest)).len != 0) {
        const char *colon = memchr(line.data, ':', line.len);
        weir_str name;
        weir_str value;

        must(colon != NULL);
        name = weir_str_slice(line, 0, (size_t) (colon - line.data));
        value = weir_str_trim(weir_str_from(line, name.len + 1));
        must(weir_http_is_token(name) && weir_http_is_field_value(value));
        if (weir_str_eq_nocase(name, WEIR_STR("Content-Length"))) {
            must(!has_length && weir_parse_uint(value, 1 << 20, &length));
            has_length = true;
        }
        is_head =
            is_head
            || (weir_str_eq(name, WEIR_STR("X-Method")) && weir_str_eq(value, WEIR_STR("HEAD")));
        is_last =
            is_last
            || (weir_str_eq(name, WEIR_STR("Connection")) && weir_str_eq(value, WEIR_STR("close")));
        must(!weir_str_eq_nocase(name, WEIR_STR("Set-Cookie")));
        must(!weir_str_eq_nocase(name, WEIR_STR("Transfer-Encoding")));
    }
    if (*is_interim || status == 204 || status == 304) {
        return !is_last;
    }
    must(has_length);
    if (!is_head) {
        must(length <= rest->len);
        *rest = weir_str_from(*rest, (size_t) length);
    }
    return !is_last;
}

static size_t count(weir_str text, weir_str what)
{
    size_t found = 0;
    const char *at;

    while ((at = weir_str_find(text, what)) != NULL) {
        found++;
        text = weir_str_from(text, (size_t) (at - text.data) + what.len);
    }
    return found;
}

static void look_at(weir_str in, weir_str out)
{
    size_t responses = 0;

    while (out.len != 0) {
        bool is_interim;
        bool goes_on;

        if (weir_str_starts(out, WEIR_STR("v:")) || weir_str_starts(out, WEIR_STR("<html>"))) {
            /* HTTP/0.9: no head, and the last. */
            must(weir_str_find(out, WEIR_STR("HTTP/1.1")) == NULL);
            responses++;
            break;
        }
        goes_on = take_response(&out, &is_interim);
        responses += is_interim ? 0 : 1;
        must(goes_on || out.len == 0);
    }
    /* Each names its version, but for one that is refused or of HTTP/0.9: the last. */
    must(responses <= count(in, WEIR_STR("HTTP/1.")) + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (loop == NULL) {
        set_up(config);
    }
    if (len < 2 || len > 60000) {
        return 0;
    }

    converse(WEIR_STR_EMPTY, data, len);
    if (output_len < sizeof(output)) {
        look_at(weir_str_of((const char *) data + 1, len - 1), weir_str_of(output, output_len));
    }
    return 0;
}
