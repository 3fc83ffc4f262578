#include "core/tls/client_hello.h"

#include "core/base/builder.h"
#include "core/base/cursor.h"

#define RECORD_HEADER_BYTES 5
#define RECORD_MAX 16384 /* RFC 8446, 5.1 */
#define RECORD_HANDSHAKE 22
#define MESSAGE_CLIENT_HELLO 1
#define MESSAGE_HEADER_BYTES 4
#define SESSION_ID_MAX 32
#define HOST_NAME_MAX 255 /* of a name in the DNS; BoringSSL takes no longer one either */

#define EXTENSION_SERVER_NAME 0
#define EXTENSION_ALPN 16
#define EXTENSION_SUPPORTED_VERSIONS 43

/* A hello in the manner of SSL 2 (RFC 5246, E.2): length with the first bit set, type, version. */
#define V2_HEADER_BYTES 5

weir_str weir_tls_version_name(uint16_t version)
{
    switch (version) {
    case 0x0002:
        return WEIR_STR("SSLv2");
    case 0x0300:
        return WEIR_STR("SSLv3");
    case 0x0301:
        return WEIR_STR("TLSv1");
    case 0x0302:
        return WEIR_STR("TLSv1.1");
    case 0x0303:
        return WEIR_STR("TLSv1.2");
    case 0x0304:
        return WEIR_STR("TLSv1.3");
    default:
        return WEIR_STR_EMPTY;
    }
}

/* ---- pieces */

static bool take_vector8(weir_cursor *cursor, weir_str *taken)
{
    uint8_t len;

    return weir_cursor_take_u8(cursor, &len) && weir_cursor_take(cursor, len, taken);
}

static bool take_vector16(weir_cursor *cursor, weir_str *taken)
{
    uint16_t len;

    return weir_cursor_take_u16(cursor, &len) && weir_cursor_take(cursor, len, taken);
}

/* ---- extensions */

/* One host_name and nothing else: what readers could take in different ways is no name (RFC 6066, 3). */
static bool read_server_name(weir_str body, weir_str *name)
{
    weir_cursor cursor = weir_cursor_of(body);
    weir_str list;
    uint8_t type;

    if (!take_vector16(&cursor, &list) || weir_cursor_left(&cursor) != 0) {
        return false;
    }
    cursor = weir_cursor_of(list);
    return weir_cursor_take_u8(&cursor, &type) && type == 0 && take_vector16(&cursor, name)
           && weir_cursor_left(&cursor) == 0 && name->len != 0 && name->len <= HOST_NAME_MAX
           && weir_str_find_byte(*name, '\0') == NULL;
}

/* A list that is not well-formed is none: the name is still the name. */
static void read_alpn(weir_str body, weir_str *alpn)
{
    weir_cursor cursor = weir_cursor_of(body);
    weir_str list, name;

    if (!take_vector16(&cursor, &list) || weir_cursor_left(&cursor) != 0) {
        return;
    }
    cursor = weir_cursor_of(list);
    while (weir_cursor_left(&cursor) != 0) {
        if (!take_vector8(&cursor, &name) || name.len == 0) {
            return;
        }
    }
    *alpn = list;
}

/* What stands there counts, and not the version of the hello itself (RFC 8446, 4.2.1). */
static void read_versions(weir_str body, uint16_t *highest)
{
    weir_cursor cursor = weir_cursor_of(body);
    uint16_t version, found = 0;
    weir_str list;

    if (!take_vector8(&cursor, &list) || weir_cursor_left(&cursor) != 0) {
        return;
    }
    cursor = weir_cursor_of(list);
    while (weir_cursor_take_u16(&cursor, &version)) {
        if (version > found && weir_tls_version_name(version).len != 0) {
            found = version;
        }
    }
    if (found != 0) {
        *highest = found;
    }
}

/* None may be there twice (RFC 8446, 4.2): readers could take one or the other. */
static bool read_extensions(weir_str extensions, weir_client_hello *hello)
{
    weir_cursor cursor = weir_cursor_of(extensions);
    uint8_t seen[(UINT16_MAX + 1) / 8] = {0};
    uint16_t type;
    weir_str body;

    while (weir_cursor_left(&cursor) != 0) {
        if (!weir_cursor_take_u16(&cursor, &type) || !take_vector16(&cursor, &body)
            || (seen[type / 8] >> type % 8 & 1) != 0) {
            return false;
        }
        seen[type / 8] |= (uint8_t) (1 << type % 8);
        switch (type) {
        case EXTENSION_SERVER_NAME:
            if (!read_server_name(body, &hello->server_name)) {
                return false;
            }
            break;
        case EXTENSION_ALPN:
            read_alpn(body, &hello->alpn);
            break;
        case EXTENSION_SUPPORTED_VERSIONS:
            read_versions(body, &hello->version);
            break;
        default:
            break;
        }
    }
    return true;
}

/* ---- the message */

static bool read_message(weir_str message, weir_client_hello *hello)
{
    weir_client_hello read = {.version = 0};
    weir_cursor cursor = weir_cursor_of(weir_str_from(message, MESSAGE_HEADER_BYTES));
    weir_str random, session_id, ciphers, compressions, extensions;

    if (!weir_cursor_take_u16(&cursor, &read.version) || !weir_cursor_take(&cursor, 32, &random)
        || !take_vector8(&cursor, &session_id) || session_id.len > SESSION_ID_MAX
        || !take_vector16(&cursor, &ciphers) || ciphers.len < 2 || ciphers.len % 2 != 0
        || !take_vector8(&cursor, &compressions) || compressions.len == 0) {
        return false;
    }
    /* TLS 1.3 is said by an extension only; what says it here is taken as TLS 1.2 (RFC 8446, 4.1.2). */
    if (read.version > 0x0303) {
        read.version = 0x0303;
    }
    /* Hellos of old end here. */
    if (weir_cursor_left(&cursor) != 0
        && (!take_vector16(&cursor, &extensions) || weir_cursor_left(&cursor) != 0
            || !read_extensions(extensions, &read))) {
        return false;
    }
    *hello = read;
    return true;
}

/* Puts a message together that lies in several records, all there. */
static bool gather(weir_str bytes, weir_pool *pool, size_t wanted, weir_str *message)
{
    weir_cursor cursor = weir_cursor_of(bytes);
    weir_builder builder;
    weir_str header, payload;

    weir_builder_open(&builder, pool, wanted);
    while (builder.len < wanted && weir_cursor_take(&cursor, 3, &header)) {
        uint16_t len;
        size_t left = wanted - builder.len;

        if (!weir_cursor_take_u16(&cursor, &len)
            || !weir_cursor_take(&cursor, len < left ? len : left, &payload)) {
            return false;
        }
        weir_builder_add(&builder, payload);
    }
    return weir_builder_close(&builder, message) && message->len == wanted;
}

/* ---- records */

static uint8_t byte_at(weir_str bytes, size_t i)
{
    return (uint8_t) bytes.data[i];
}

/* As far as the header is there: a record of the handshake. */
static bool may_be_record(weir_str rest)
{
    return (rest.len < 1 || byte_at(rest, 0) == RECORD_HANDSHAKE)
           && (rest.len < 2 || byte_at(rest, 1) == 3);
}

/* Takes of the message's header what a payload, which begins at byte `at` of the message, has of it. */
static void take_head(weir_client_hello_reader *reader, weir_str payload)
{
    for (size_t i = 0; i < payload.len && reader->gathered + i < MESSAGE_HEADER_BYTES; i++) {
        reader->head[reader->gathered + i] = byte_at(payload, i);
    }
}

static weir_result finish(const weir_client_hello_reader *reader, weir_str bytes, weir_str payload,
                          size_t wanted, weir_pool *pool, weir_client_hello *hello)
{
    weir_str message;

    if (reader->gathered == 0) {
        message = weir_str_slice(payload, 0, wanted);
    } else if (!gather(bytes, pool, wanted, &message)) {
        return WEIR_FAIL;
    }
    return read_message(message, hello) ? WEIR_OK : WEIR_FAIL;
}

static weir_result read_records(weir_client_hello_reader *reader, weir_str bytes, weir_pool *pool,
                                weir_client_hello *hello)
{
    for (;;) {
        weir_str rest = weir_str_from(bytes, reader->next);
        size_t len, have, wanted = SIZE_MAX;
        weir_str payload;

        if (!may_be_record(rest)) {
            return WEIR_FAIL;
        }
        if (rest.len < RECORD_HEADER_BYTES) {
            return WEIR_WAIT;
        }
        len = (size_t) byte_at(rest, 3) << 8 | byte_at(rest, 4);
        /* None of a handshake may be empty (RFC 8446, 5.1). */
        if (len == 0 || len > RECORD_MAX) {
            return WEIR_FAIL;
        }
        payload = weir_str_slice(weir_str_from(rest, RECORD_HEADER_BYTES), 0, len);
        have = reader->gathered + payload.len;
        take_head(reader, payload);
        if (have >= 1 && reader->head[0] != MESSAGE_CLIENT_HELLO) {
            return WEIR_FAIL;
        }
        if (have >= MESSAGE_HEADER_BYTES) {
            wanted = MESSAGE_HEADER_BYTES
                     + ((size_t) reader->head[1] << 16 | (size_t) reader->head[2] << 8
                        | reader->head[3]);
            if (wanted > WEIR_CLIENT_HELLO_MAX) {
                return WEIR_FAIL;
            }
        }
        /* Nobody looks into a record before all of it is there. */
        if (payload.len < len) {
            return WEIR_WAIT;
        }
        if (have >= wanted) {
            return finish(reader, bytes, payload, wanted, pool, hello);
        }
        reader->next += RECORD_HEADER_BYTES + len;
        reader->gathered = have;
    }
}

/* Says a version, and has no extensions; the rest of it need not be waited for. */
static weir_result read_v2(weir_str bytes, weir_client_hello *hello)
{
    if ((bytes.len >= 3 && byte_at(bytes, 2) != MESSAGE_CLIENT_HELLO)
        || (bytes.len >= 4 && byte_at(bytes, 3) != 3 && byte_at(bytes, 3) != 0)) {
        return WEIR_FAIL;
    }
    if (bytes.len < V2_HEADER_BYTES) {
        return WEIR_WAIT;
    }
    *hello = (weir_client_hello){
        .version = (uint16_t) (byte_at(bytes, 3) << 8 | byte_at(bytes, 4)),
    };
    return weir_tls_version_name(hello->version).len != 0 ? WEIR_OK : WEIR_FAIL;
}

weir_result weir_client_hello_read(weir_client_hello_reader *reader, weir_str bytes,
                                   weir_pool *pool, weir_client_hello *hello)
{
    if (bytes.len != 0 && (byte_at(bytes, 0) & 0x80) != 0) {
        return read_v2(bytes, hello);
    }
    return read_records(reader, bytes, pool, hello);
}
