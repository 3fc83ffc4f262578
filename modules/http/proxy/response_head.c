#include "modules/http/proxy/response_head.h"

#include "modules/http/wire/h1_parse.h"

void weir_http_response_head_init(weir_http_response_head *head, weir_pool *pool, uint16_t lines)
{
    memset(head, 0, sizeof(*head));
    weir_http_fields_init(&head->fields, pool, lines);
    head->content_length = -1;
}

void weir_http_response_head_reset(weir_http_response_head *head)
{
    head->has_status_line = head->keeps = head->is_interim = false;
    head->status = 0;
    head->bytes = 0;
    head->content_length = -1;
    head->fields.count = 0;
    memset(head->fields.first, 0, sizeof(head->fields.first));
}

void weir_http_response_head_move(weir_http_response_head *head, const char *from, size_t len,
                                  const char *to)
{
    weir_str_move(&head->status_text, from, len, to);
    weir_http_fields_move(&head->fields, from, len, to);
}

/* Whether the connection may stay (RFC 9112, 9.3). */
static bool wants_to_stay(const weir_http_response_head *head)
{
    if (weir_http_fields_have_token(&head->fields, WEIR_HTTP_CONNECTION, WEIR_STR("close"))) {
        return false;
    }
    return head->version == WEIR_HTTP_11
           || weir_http_fields_have_token(&head->fields, WEIR_HTTP_CONNECTION,
                                          WEIR_STR("keep-alive"));
}

/* NULL: the fields agree on one framing. */
static const char *framing_fault(weir_http_response_head *head, const weir_http_field *length,
                                 const weir_http_field *coding)
{
    if (coding != NULL) {
        if (length != NULL) {
            return "upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the "
                   "same time";
        }
        if (coding->next_same != 0) {
            return "upstream sent duplicate header line: \"Transfer-Encoding\"";
        }
        if (!weir_str_eq_nocase(coding->value, WEIR_STR("chunked"))) {
            return "upstream sent unknown \"Transfer-Encoding\"";
        }
        if (head->version != WEIR_HTTP_11) {
            return "upstream sent \"Transfer-Encoding\" header in a HTTP/1.0 response";
        }
    }
    if (length != NULL) {
        if (length->next_same != 0) {
            return "upstream sent duplicate header line: \"Content-Length\"";
        }
        if (!weir_http_parse_content_length(length->value, &head->content_length)) {
            return "upstream sent invalid \"Content-Length\" header";
        }
    }
    return NULL;
}

static const char *choose_end(weir_http_response_head *head)
{
    const weir_http_field *length = weir_http_fields_find(&head->fields, WEIR_HTTP_CONTENT_LENGTH);
    const weir_http_field *coding =
        weir_http_fields_find(&head->fields, WEIR_HTTP_TRANSFER_ENCODING);
    const char *why = framing_fault(head, length, coding);

    if (why != NULL) {
        return why;
    }
    if (head->answers_head || head->status == 204 || head->status == 304 || head->status < 200) {
        head->end = WEIR_HTTP_END_NONE;
    } else if (coding != NULL) {
        head->end = WEIR_HTTP_END_CHUNKED;
    } else if (length != NULL) {
        head->end = WEIR_HTTP_END_LENGTH;
    } else {
        head->end = WEIR_HTTP_END_CLOSE;
    }
    head->keeps = head->end != WEIR_HTTP_END_CLOSE && head->status != 101 && wants_to_stay(head);
    return NULL;
}

/* NULL: good. */
static const char *take_status_line(weir_http_response_head *head, weir_str line)
{
    weir_http_status_line parsed;

    if (!weir_http_parse_status_line(line, &parsed)) {
        return "upstream sent no valid HTTP/1.0 header";
    }
    head->status = parsed.status;
    head->status_text = parsed.status_text;
    head->version = parsed.version;
    head->has_status_line = true;
    return NULL;
}

static const char *take_field(weir_http_response_head *head, weir_str line)
{
    weir_http_field_line parsed;

    switch (weir_http_parse_field_line(line, &parsed)) {
    case WEIR_HTTP_FIELD_MALFORMED:
        return "upstream sent invalid header";
    case WEIR_HTTP_FIELD_ODD_NAME:
        /* Nobody could ask for it: it is left out. */
        return NULL;
    case WEIR_HTTP_FIELD_VALID:
        break;
    }
    return weir_http_fields_add_parsed(&head->fields, parsed.known, parsed.name, parsed.value)
               ? NULL
               : "upstream sent too many header lines";
}

weir_http_head_result weir_http_response_head_take(weir_http_response_head *head, weir_str bytes,
                                                   size_t *scanned, size_t *taken, const char **why)
{
    size_t start = 0;
    const char *mark;

    *taken = 0;
    if (head->is_interim) {
        weir_http_response_head_reset(head);
    }
    while (*scanned < bytes.len
           && (mark = memchr(bytes.data + *scanned, '\n', bytes.len - *scanned)) != NULL) {
        weir_str line = weir_str_slice(bytes, start, (size_t) (mark - bytes.data));

        head->bytes += line.len + 1;
        start += line.len + 1;
        *scanned = *taken = start;
        /* A bare LF ends a line of a head, too (RFC 9112, 2.2). */
        if (line.len > 0 && line.data[line.len - 1] == '\r') {
            line.len--;
        }

        if (!head->has_status_line || line.len != 0) {
            *why = head->has_status_line ? take_field(head, line) : take_status_line(head, line);
            if (*why != NULL) {
                return WEIR_HTTP_HEAD_INVALID;
            }
            continue;
        }
        if (head->status < 200 && head->status != 101) {
            head->is_interim = true;
            return WEIR_HTTP_HEAD_INTERIM;
        }
        *why = choose_end(head);
        return *why == NULL ? WEIR_HTTP_HEAD_COMPLETE : WEIR_HTTP_HEAD_INVALID;
    }
    *scanned = bytes.len;
    *taken = start;
    return WEIR_HTTP_HEAD_MORE;
}
