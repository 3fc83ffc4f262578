#include "modules/http/wire/chunked.h"

#include "modules/http/wire/h1_parse.h"

/* Bytes of extensions that one chunk may have. */
#define EXTENSION_MAX 4096
/* Framing that each byte of content allows, enough for chunks of one; and what is let pass beyond that in all. */
#define OVERHEAD_PER_BYTE 16
#define OVERHEAD_MAX 65536

enum {
    CHUNK_SIZE,      /* digits */
    CHUNK_SPACE,     /* after the size: an extension or the line's end follows */
    CHUNK_EXTENSION, /* after ";" */
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER, /* up to and with the empty line */
};

static bool take_size(weir_http_chunked *chunked, char c)
{
    int digit = weir_byte_hex(c);

    if (digit >= 0) {
        /* 15 digits hold more than anyone sends, and never overflow. */
        if (++chunked->digits > 15) {
            return false;
        }
        chunked->left = chunked->left * 16 + (uint64_t) digit;
        return true;
    }
    if (chunked->digits == 0) {
        return false;
    }
    chunked->line_bytes = 0;
    switch (c) {
    case '\r':
        chunked->state = CHUNK_SIZE_LF;
        return true;
    case ';':
        chunked->state = CHUNK_EXTENSION;
        return true;
    case ' ':
    case '\t':
        chunked->state = CHUNK_SPACE;
        return true;
    default:
        return false;
    }
}

/* White space is let pass before ";" alone (RFC 9112, 7.1.1), and before the end, where some senders pad. */
static bool take_space(weir_http_chunked *chunked, char c)
{
    switch (c) {
    case '\r':
        chunked->state = CHUNK_SIZE_LF;
        return true;
    case ';':
        chunked->state = CHUNK_EXTENSION;
        return true;
    case ' ':
    case '\t':
        return ++chunked->line_bytes <= EXTENSION_MAX;
    default:
        return false;
    }
}

static bool take_extension(weir_http_chunked *chunked, char c)
{
    if (c == '\r') {
        chunked->state = CHUNK_SIZE_LF;
        return true;
    }
    return ++chunked->line_bytes <= EXTENSION_MAX && ((unsigned char) c >= 0x20 || c == '\t')
           && c != 0x7f;
}

static void begin_chunk(weir_http_chunked *chunked)
{
    chunked->state = CHUNK_SIZE;
    chunked->left = 0;
    chunked->digits = 0;
}

/* The trailer section is kept until it is whole: it is small, or refused. */
static bool trailer_line(weir_http_chunked *chunked, weir_str line)
{
    weir_http_field_line parsed;

    switch (weir_http_parse_field_line(line, &parsed)) {
    case WEIR_HTTP_FIELD_MALFORMED:
        return false;
    case WEIR_HTTP_FIELD_ODD_NAME:
        return true;
    case WEIR_HTTP_FIELD_VALID:
        break;
    }
    return chunked->trailers == NULL
           || weir_http_fields_add_parsed(chunked->trailers, parsed.known, parsed.name,
                                          parsed.value);
}

/* True; `is_complete` once the empty line came. */
static bool take_trailer(weir_http_chunked *chunked, char c)
{
    char *text = chunked->trailer;

    if (text == NULL) {
        text = chunked->trailer = weir_pool_bytes(chunked->pool, chunked->trailer_bytes_max);
        if (text == NULL) {
            return false;
        }
    }
    if (chunked->trailer_len == chunked->trailer_bytes_max) {
        return false;
    }

    text[chunked->trailer_len++] = c;
    if (c != '\n') {
        /* A CR is the first half of a line's end, or an attack. */
        return chunked->trailer_len < 2 || text[chunked->trailer_len - 2] != '\r';
    }
    if (chunked->trailer_len < 2 || text[chunked->trailer_len - 2] != '\r') {
        return false;
    }

    size_t end = chunked->trailer_len - 2;
    size_t start = end;

    while (start > 0 && text[start - 1] != '\n') {
        start--;
    }
    if (start == end) {
        chunked->is_complete = true;
        return true;
    }
    return trailer_line(chunked, weir_str_of(text + start, end - start));
}

static bool take(weir_http_chunked *chunked, char c)
{
    switch (chunked->state) {
    case CHUNK_SIZE:
        return take_size(chunked, c);
    case CHUNK_SPACE:
        return take_space(chunked, c);
    case CHUNK_EXTENSION:
        return take_extension(chunked, c);
    case CHUNK_SIZE_LF:
        chunked->state = chunked->left == 0 ? CHUNK_TRAILER : CHUNK_DATA;
        return c == '\n';
    case CHUNK_DATA_CR:
        chunked->state = CHUNK_DATA_LF;
        return c == '\r';
    case CHUNK_DATA_LF:
        begin_chunk(chunked);
        return c == '\n';
    case CHUNK_TRAILER:
        return take_trailer(chunked, c);
    default:
        return false;
    }
}

/* False: there is too much framing. */
static bool account(weir_http_chunked *chunked, uint64_t framing, uint64_t content)
{
    uint64_t made_up = content * OVERHEAD_PER_BYTE;

    chunked->overhead += framing;
    if (chunked->overhead > OVERHEAD_MAX) {
        return false;
    }
    chunked->overhead -= made_up < chunked->overhead ? made_up : chunked->overhead;
    return true;
}

weir_result weir_http_chunked_next(weir_http_chunked *chunked, weir_str bytes, size_t *framing,
                                   size_t *content)
{
    size_t used = 0;

    *content = 0;
    while (!chunked->is_complete) {
        if (chunked->state == CHUNK_DATA) {
            if (used == bytes.len) {
                break;
            }

            uint64_t here = bytes.len - used;

            if (here >= chunked->left) {
                here = chunked->left;
                chunked->state = CHUNK_DATA_CR;
            }
            chunked->left -= here;
            *framing = used;
            *content = (size_t) here;
            return account(chunked, used, here) ? WEIR_OK : WEIR_FAIL;
        }
        if (used == bytes.len) {
            break;
        }
        if (!take(chunked, bytes.data[used++])) {
            return WEIR_FAIL;
        }
    }
    *framing = used;
    if (!account(chunked, used, 0)) {
        return WEIR_FAIL;
    }
    return chunked->is_complete ? WEIR_OK : WEIR_WAIT;
}

bool weir_http_chunked_forget(weir_http_chunked *chunked)
{
    if (chunked->trailer_len != 0) {
        return false;
    }
    chunked->pool = NULL;
    chunked->trailers = NULL;
    chunked->trailer = chunked->no_trailer;
    chunked->trailer_bytes_max = sizeof(chunked->no_trailer);
    return true;
}
