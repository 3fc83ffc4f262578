/*
 * A whole HTTP/2 connection, behind the client's preface.  Whatever comes in: each frame that goes out has the form that
 * RFC 9113 gives it, fields can be decoded and are well-formed, a stream has one response, which ends, and the
 * content that Content-Length says; the connection ends with its client, and no block is left behind.
 */

#include "t/fuzz/http_connection.h"

#include <nghttp2/nghttp2.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char config[] =
    "error_log stderr emerg;\n"
    "events { }\n"
    "http {\n"
    "  access_log off;\n"
    "  tcp_nodelay off;\n"
    "  keepalive_requests 20;\n"
    "  lingering_close off;\n"
    "  large_client_header_buffers 2 1k;\n"
    "  client_max_body_size 100;\n"
    "  http2 on;\n"
    "  http2_max_concurrent_streams 10;\n"
    "  http2_body_preread_size 1k;\n"
    "  http2_chunk_size 10;\n"
    "  add_header X-Method $request_method always;\n"
    "  server {\n"
    "    listen 127.0.0.1:1;\n"
    "    error_page 404 /page;\n"
    "    error_page 400 413 = /page;\n"
    "    location / { return 200 v:ok; }\n"
    "    location /page { return 200 v:page; }\n"
    "    location /long { return 200 v:0123456789012345678901234567890123456789; }\n"
    "    location /redirect { return 302 $uri?$args; }\n"
    "    location /header { add_header X-Uri $uri; add_header X-Agent $http_user_agent; return "
    "204; }\n"
    "    location /trailer { add_trailer X-Cookie $http_cookie; return 200 v:trailer; }\n"
    "    location /close { return 444; }\n"
    "    location /not-modified { return 304; }\n"
    "  }\n"
    "}\n";

/* ---- what a client sees */

#define STREAMS 1024

typedef struct {
    bool has_head, is_head_request, has_length, is_over;
    uint64_t length, seen;
} stream_seen;

static stream_seen streams[STREAMS];

static stream_seen *stream_at(uint32_t id)
{
    must(id % 2 == 1);
    return id / 2 < STREAMS ? &streams[id / 2] : NULL;
}

static void look_at_field(stream_seen *stream, size_t place, weir_str name, weir_str value)
{
    must(weir_http_is_field_value(value));
    if (name.len != 0 && name.data[0] == ':') {
        must(place == 0 && weir_str_eq(name, WEIR_STR(":status")) && value.len == 3);
        return;
    }
    must(place != 0 || stream->has_head);
    must(weir_http_is_token(name));
    for (size_t i = 0; i < name.len; i++) {
        must(name.data[i] < 'A' || name.data[i] > 'Z');
    }
    must(!weir_str_eq(name, WEIR_STR("connection")) && !weir_str_eq(name, WEIR_STR("set-cookie"))
         && !weir_str_eq(name, WEIR_STR("transfer-encoding")));
    if (weir_str_eq(name, WEIR_STR("content-length"))) {
        must(!stream->has_length && weir_parse_uint(value, 1 << 20, &stream->length));
        stream->has_length = true;
    }
    if (weir_str_eq(name, WEIR_STR("x-method"))) {
        stream->is_head_request = weir_str_eq(value, WEIR_STR("HEAD"));
    }
}

static void look_at_head(nghttp2_hd_inflater *inflater, stream_seen *stream, weir_str block)
{
    size_t place = 0;

    for (;;) {
        nghttp2_nv field;
        int flags = 0;
        ssize_t taken = nghttp2_hd_inflate_hd2(inflater, &field, &flags,
                                               (const uint8_t *) block.data, block.len, 1);

        must(taken >= 0);
        block = weir_str_from(block, (size_t) taken);
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            look_at_field(stream, place++, weir_str_of((const char *) field.name, field.namelen),
                          weir_str_of((const char *) field.value, field.valuelen));
        }
        if (flags & NGHTTP2_HD_INFLATE_FINAL) {
            break;
        }
    }
    must(nghttp2_hd_inflate_end_headers(inflater) == 0 && place != 0);
}

static void look_at_frame(nghttp2_hd_inflater *inflater, unsigned type, unsigned flags, uint32_t id,
                          weir_str payload)
{
    stream_seen *stream = id == 0 ? NULL : stream_at(id);

    switch (type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        if (stream == NULL) {
            must(id != 0);
            stream = &streams[STREAMS - 1];
            /* One for all of them: what came before is not known. */
            memset(stream, 0, sizeof(*stream));
            stream->has_head = true;
        }
        must(!stream->is_over);
        if (type == NGHTTP2_HEADERS) {
            must((flags & NGHTTP2_FLAG_END_HEADERS) != 0);
            look_at_head(inflater, stream, payload);
            stream->has_head = true;
        } else {
            must(stream->has_head);
            stream->seen += payload.len;
        }
        if (flags & NGHTTP2_FLAG_END_STREAM) {
            stream->is_over = true;
            must(!stream->has_length || stream->seen == stream->length
                 || (stream->is_head_request && stream->seen == 0));
        }
        break;
    case NGHTTP2_RST_STREAM:
        must(id != 0 && payload.len == 4);
        if (stream != NULL) {
            stream->is_over = true;
        }
        break;
    case NGHTTP2_SETTINGS:
        must(id == 0 && payload.len % 6 == 0);
        break;
    case NGHTTP2_PING:
        must(id == 0 && payload.len == 8);
        break;
    case NGHTTP2_GOAWAY:
        must(id == 0 && payload.len >= 8);
        break;
    case NGHTTP2_WINDOW_UPDATE:
        must(payload.len == 4);
        break;
    default:
        must(false);
    }
}

static void look_at(weir_str out)
{
    nghttp2_hd_inflater *inflater;

    memset(streams, 0, sizeof(streams));
    must(nghttp2_hd_inflate_new(&inflater) == 0);
    while (out.len != 0) {
        const uint8_t *head = (const uint8_t *) out.data;
        size_t len;

        if (out.len < 9) {
            break; /* its client was gone: the rest was not sent */
        }
        len = (size_t) head[0] << 16 | (size_t) head[1] << 8 | head[2];
        must(len <= 16384 && (head[5] & 0x80) == 0);
        if (out.len < 9 + len) {
            break;
        }
        look_at_frame(inflater, head[3], head[4],
                      (uint32_t) head[5] << 24 | (uint32_t) head[6] << 16 | (uint32_t) head[7] << 8
                          | head[8],
                      weir_str_slice(out, 9, 9 + len));
        out = weir_str_from(out, 9 + len);
    }
    nghttp2_hd_inflate_del(inflater);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (loop == NULL) {
        set_up(config);
    }
    if (len < 2 || len > 60000) {
        return 0;
    }

    converse(weir_str_from_z(NGHTTP2_CLIENT_MAGIC), data, len);
    if (output_len < sizeof(output)) {
        look_at(weir_str_of(output, output_len));
    }
    return 0;
}
