/* ClientHellos as weir reads them: whole, cut anywhere, of any age; and compared with BoringSSL. */

#include "t/unit/unit.h"

#include "t/unit/hello_unit.h"

#define NAME "www.example.org"

typedef struct {
    char data[HELLO_MAX];
    size_t len;
} hello_text;

typedef struct {
    weir_pool *pool;
    SSL_CTX *client, *server;
    hello_text text, cut;
    hello_seen seen;
} hello_unit;

static int set_up(void **state)
{
    hello_unit *unit = calloc(1, sizeof(*unit));

    unit->pool = weir_pool_new(4096, 0);
    unit->client = SSL_CTX_new(TLS_method());
    unit->server = hello_server();
    *state = unit;
    return 0;
}

static int tear_down(void **state)
{
    hello_unit *unit = *state;

    weir_pool_free(unit->pool);
    SSL_CTX_free(unit->client);
    SSL_CTX_free(unit->server);
    free(unit);
    return 0;
}

/* ---- hellos */

/* What BoringSSL's client sends; NULL: no name, no ALPN. */
static weir_str new_hello(hello_unit *unit, const char *name, const char *alpn)
{
    SSL *ssl = SSL_new(unit->client);
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    const uint8_t *data;
    size_t len;

    assert_non_null(ssl);
    SSL_set_bio(ssl, in, out);
    if (name != NULL) {
        assert_int_equal(SSL_set_tlsext_host_name(ssl, name), 1);
    }
    if (alpn != NULL) {
        assert_int_equal(SSL_set_alpn_protos(ssl, (const uint8_t *) alpn, (unsigned) strlen(alpn)),
                         0);
    }
    (void) SSL_connect(ssl);
    assert_int_equal(BIO_mem_contents(out, &data, &len), 1);
    assert_true(len <= sizeof(unit->text.data));
    memcpy(unit->text.data, data, len);
    unit->text.len = len;
    SSL_free(ssl);
    return weir_str_of(unit->text.data, len);
}

static void put(hello_text *text, const void *data, size_t len)
{
    assert_true(len <= sizeof(text->data) - text->len);
    memcpy(text->data + text->len, data, len);
    text->len += len;
}

static void put_u16(hello_text *text, size_t number)
{
    const uint8_t bytes[] = {(uint8_t) (number >> 8), (uint8_t) number};

    put(text, bytes, sizeof(bytes));
}

/* The same message in records of `size` bytes. */
static weir_str in_records_of(hello_unit *unit, weir_str hello, size_t size)
{
    weir_str rest = weir_str_from(hello, HELLO_HEADER);

    unit->cut.len = 0;
    while (rest.len != 0) {
        size_t len = rest.len < size ? rest.len : size;

        put(&unit->cut, "\x16\x03\x01", 3);
        put_u16(&unit->cut, len);
        put(&unit->cut, rest.data, len);
        rest = weir_str_from(rest, len);
    }
    return weir_str_of(unit->cut.data, unit->cut.len);
}

/* One by hand, in records of up to 16 KiB: of `version`, with an extension of `filling` bytes, or without any (-1). */
static weir_str old_hello(hello_unit *unit, unsigned version, int filling)
{
    size_t extensions = filling < 0 ? 0 : (size_t) filling + 6;
    size_t body = 2 + 32 + 1 + 4 + 2 + extensions;
    hello_text *text = &unit->text;

    text->len = 0;
    put(text, "\x16\x03\x00\x00\x00\x01", 6);
    put(text, (const uint8_t[]){(uint8_t) (body >> 16)}, 1);
    put_u16(text, body & 0xffff);
    put_u16(text, version);
    put(text, "0123456789abcdef0123456789abcdef", 32);
    put(text, "\0\0\x02\xc0\x2f\x01\0", 7);
    if (filling >= 0) {
        put_u16(text, (size_t) filling + 4);
        put_u16(text, 21); /* padding (RFC 7685) */
        put_u16(text, (size_t) filling);
        memset(text->data + text->len, 0, (size_t) filling);
        text->len += (size_t) filling;
    }
    return in_records_of(unit, weir_str_of(text->data, text->len), 16384);
}

static weir_result read_all(hello_unit *unit, weir_str bytes, weir_client_hello *hello)
{
    weir_client_hello_reader reader = {.next = 0};

    memset(hello, 0, sizeof(*hello));
    return weir_client_hello_read(&reader, bytes, unit->pool, hello);
}

#define assert_str(text, expected)                                                                 \
    do {                                                                                           \
        weir_str text_ = (text);                                                                   \
        assert_int_equal(text_.len, strlen(expected));                                             \
        assert_memory_equal(text_.data, expected, text_.len);                                      \
    } while (0)

/* ---- tests */

static void reads_what_a_client_asks_for(void **state)
{
    weir_client_hello hello;
    weir_str bytes = new_hello(*state, NAME, "\x02h2\x08http/1.1");

    assert_int_equal(read_all(*state, bytes, &hello), WEIR_OK);
    assert_str(hello.server_name, NAME);
    assert_str(hello.alpn, "\x02h2\x08http/1.1");
    assert_str(weir_tls_version_name(hello.version), "TLSv1.3");
}

static void a_client_may_ask_for_nothing(void **state)
{
    weir_client_hello hello;

    assert_int_equal(read_all(*state, new_hello(*state, NULL, NULL), &hello), WEIR_OK);
    assert_int_equal(hello.server_name.len, 0);
    assert_int_equal(hello.alpn.len, 0);
}

static void each_prefix_waits_for_more(void **state)
{
    hello_unit *unit = *state;
    weir_str bytes = new_hello(unit, NAME, NULL);

    for (size_t size = 1; size <= bytes.len; size = size < 8 ? size + 1 : size * 3) {
        weir_str cut = in_records_of(unit, bytes, size);
        weir_client_hello_reader reader = {.next = 0};
        weir_client_hello hello;

        /* One reader sees it grow, byte by byte; others see each prefix at once. */
        for (size_t len = 0; len < cut.len; len++) {
            weir_str prefix = weir_str_slice(cut, 0, len);

            assert_int_equal(weir_client_hello_read(&reader, prefix, unit->pool, &hello),
                             WEIR_WAIT);
            assert_int_equal(read_all(unit, prefix, &hello), WEIR_WAIT);
        }
        assert_int_equal(weir_client_hello_read(&reader, cut, unit->pool, &hello), WEIR_OK);
        assert_str(hello.server_name, NAME);
    }
}

static void each_split_in_two_is_the_same_hello(void **state)
{
    hello_unit *unit = *state;
    weir_str cut = in_records_of(unit, new_hello(unit, NAME, NULL), 100);

    for (size_t at = 0; at <= cut.len; at++) {
        weir_client_hello_reader reader = {.next = 0};
        weir_client_hello hello;

        if (at != cut.len) {
            assert_int_equal(
                weir_client_hello_read(&reader, weir_str_slice(cut, 0, at), unit->pool, &hello),
                WEIR_WAIT);
        }
        assert_int_equal(weir_client_hello_read(&reader, cut, unit->pool, &hello), WEIR_OK);
        assert_str(hello.server_name, NAME);
    }
}

static void old_versions_are_told(void **state)
{
    static const struct {
        unsigned version;
        const char *name;
    } versions[] = {
        {0x0300, "SSLv3"},   {0x0301, "TLSv1"},   {0x0302, "TLSv1.1"},
        {0x0303, "TLSv1.2"}, {0x0304, "TLSv1.2"},
    };

    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        weir_client_hello hello;

        assert_int_equal(read_all(*state, old_hello(*state, versions[i].version, -1), &hello),
                         WEIR_OK);
        assert_str(weir_tls_version_name(hello.version), versions[i].name);
        assert_int_equal(read_all(*state, old_hello(*state, versions[i].version, 0), &hello),
                         WEIR_OK);
    }
}

static void a_hello_in_the_manner_of_ssl_2_says_its_version(void **state)
{
    const weir_str bytes = WEIR_STR("\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10");
    weir_client_hello hello;

    for (size_t len = 1; len < 5; len++) {
        assert_int_equal(read_all(*state, weir_str_slice(bytes, 0, len), &hello), WEIR_WAIT);
    }
    assert_int_equal(read_all(*state, bytes, &hello), WEIR_OK);
    assert_str(weir_tls_version_name(hello.version), "TLSv1");
    assert_int_equal(hello.server_name.len, 0);
}

static void a_hello_may_be_as_large_as_is_legal(void **state)
{
    static const int sizes[] = {1000, 5000, 16384, 60000, 65530};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        weir_client_hello hello;

        assert_int_equal(read_all(*state, old_hello(*state, 0x0303, sizes[i]), &hello), WEIR_OK);
    }
}

static void other_protocols_are_told_at_the_first_byte_that_shows_it(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } others[] = {
        {"G", 1},                              /* HTTP */
        {"S", 1},                              /* SSH */
        {"\0", 1},                             /* many binary ones */
        {"\x15", 1},                           /* an alert */
        {"\x16\x02", 2},                       /* a version that never was */
        {"\x16\x03\x01\0\0", 5},               /* an empty record */
        {"\x16\x03\x01\x40\x01", 5},           /* over 16 KiB */
        {"\x16\x03\x01\0\x05\x02", 6},         /* a ServerHello */
        {"\x16\x03\x01\0\x05\x01\x7f\0\0", 9}, /* a message of 8 MiB */
        {"\x80\x2e\x04", 3},                   /* SSL 2, but no hello */
        {"\x80\x2e\x01\x05", 4},               /* of no known version */
    };

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        weir_str bytes = weir_str_of(others[i].bytes, others[i].len);
        weir_client_hello hello;

        for (size_t len = 0; len < bytes.len; len++) {
            assert_int_equal(read_all(*state, weir_str_slice(bytes, 0, len), &hello), WEIR_WAIT);
        }
        assert_int_equal(read_all(*state, bytes, &hello), WEIR_FAIL);
    }
}

static void bytes_behind_the_hello_do_not_matter(void **state)
{
    hello_unit *unit = *state;
    weir_client_hello hello;

    (void) new_hello(unit, NAME, NULL);
    put(&unit->text, "\x16\x03\x03garbage", 10);
    assert_int_equal(read_all(unit, weir_str_of(unit->text.data, unit->text.len), &hello), WEIR_OK);
    assert_str(hello.server_name, NAME);
}

static void boringssl_sees_the_same_in_whatever_records(void **state)
{
    static const char *const names[] = {NULL,
                                        "a",
                                        "www.example.org",
                                        "xn--bcher-kva.example",
                                        "UPPER.Example",
                                        "trailing.dot.",
                                        "10.0.0.1"};
    hello_unit *unit = *state;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (size_t size = 1; size < 600; size = size * 2 + 1) {
            weir_str bytes = new_hello(unit, names[i], i % 2 == 0 ? "\x02h2" : NULL);

            hello_compare(unit->server, bytes, &unit->seen);
            hello_compare(unit->server, in_records_of(unit, bytes, size), &unit->seen);
        }
    }
}

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static void boringssl_sees_the_same_in_mutated_hellos(void **state)
{
    hello_unit *unit = *state;
    uint32_t seed = 2463534242;

    for (int i = 0; i < 20000; i++) {
        weir_str bytes;

        if (i % 50 == 0) {
            bytes = in_records_of(unit, new_hello(unit, NAME, "\x02h2"),
                                  i % 100 == 0 ? 16384 : 1 + next_random(&seed) % 300);
        }
        bytes = weir_str_of(unit->cut.data, unit->cut.len);
        for (uint32_t changes = 1 + next_random(&seed) % 3; changes != 0; changes--) {
            size_t at = next_random(&seed) % bytes.len;

            unit->cut.data[at] =
                (char) (next_random(&seed) % 3 == 0 ? next_random(&seed)
                                                    : (uint32_t) unit->cut.data[at] + 1);
        }
        hello_compare(unit->server,
                      weir_str_slice(bytes, 0,
                                     next_random(&seed) % 8 == 0 ? next_random(&seed) % bytes.len
                                                                 : bytes.len),
                      &unit->seen);
        /* Most changes are undone by a new one; some stay, so that faults meet. */
        if (i % 5 == 4) {
            (void) in_records_of(unit, new_hello(unit, NAME, "\x02h2"),
                                 1 + next_random(&seed) % 600);
        }
    }
}

/* ---- hellos made of parts that are each well-formed or not, with lengths that fit */

static uint32_t below(uint32_t *seed, uint32_t limit)
{
    return next_random(seed) % limit;
}

/* One of the words, each a text and its length. */
static void put_one_of(hello_text *text, uint32_t *seed, const weir_str *words, size_t count)
{
    weir_str word = words[below(seed, (uint32_t) count)];

    put(text, word.data, word.len);
}

/* Begins a vector whose length takes `bytes` bytes; what follows until close_vector() is in it. */
static size_t open_vector(hello_text *text, size_t bytes)
{
    put(text, "\0\0", bytes);
    return text->len;
}

static void close_vector(hello_text *text, size_t begin, size_t bytes)
{
    size_t len = text->len - begin;

    for (size_t i = 1; i <= bytes; i++, len >>= 8) {
        text->data[begin - i] = (char) len;
    }
}

static void put_filling(hello_text *text, char byte, size_t len)
{
    assert_true(len <= sizeof(text->data) - text->len);
    memset(text->data + text->len, byte, len);
    text->len += len;
}

/* What seldom happens: about once in 12. */
static bool seldom(uint32_t *seed)
{
    return below(seed, 12) == 0;
}

static void put_server_name(hello_text *text, uint32_t *seed)
{
    static const weir_str names[] = {
        WEIR_STR_INIT("www.example.org"),
        WEIR_STR_INIT("UPPER.Example"),
        WEIR_STR_INIT("dot.example."),
        WEIR_STR_INIT("10.0.0.1"),
        WEIR_STR_INIT("a"),
        WEIR_STR_INIT("with space"),
        WEIR_STR_INIT("b\xc3\xbc.example"),
    };
    size_t list = open_vector(text, 2);
    size_t name;

    put(text, seldom(seed) ? "\1" : "\0", 1);
    name = open_vector(text, 2);
    if (seldom(seed)) {
        static const size_t sizes[] = {0, 254, 255, 256, 300};

        put_filling(text, 'n', sizes[below(seed, 5)]);
    } else {
        put_one_of(text, seed, names, WEIR_COUNT(names));
    }
    if (seldom(seed)) {
        put(text, "\0.test", 6);
    }
    close_vector(text, name, 2);
    if (seldom(seed)) {
        put(text, "\0\0\6second", 9);
    }
    close_vector(text, list, 2);
}

static void put_alpn(hello_text *text, uint32_t *seed)
{
    static const weir_str names[] = {
        WEIR_STR_INIT("\2h2"),     WEIR_STR_INIT("\10http/1.1"),   WEIR_STR_INIT("\10http/1.0"),
        WEIR_STR_INIT("\3foo"),    WEIR_STR_INIT("\12acme-tls/1"), WEIR_STR_INIT("\2\x0a\x0a"),
        WEIR_STR_INIT("\4a\0,\""), WEIR_STR_INIT("\1,"),
    };
    size_t list = open_vector(text, 2);

    for (uint32_t count = seldom(seed) ? below(seed, 30) : 1 + below(seed, 3); count != 0;
         count--) {
        put_one_of(text, seed, names, WEIR_COUNT(names));
    }
    if (seldom(seed)) {
        put(text, below(seed, 2) == 0 ? "\0" : "\xff", 1);
    }
    close_vector(text, list, 2);
}

static void put_versions(hello_text *text, uint32_t *seed)
{
    static const weir_str versions[] = {
        WEIR_STR_INIT("\3\4"),     WEIR_STR_INIT("\3\3"), WEIR_STR_INIT("\3\2"),
        WEIR_STR_INIT("\3\1"),     WEIR_STR_INIT("\3\0"), WEIR_STR_INIT("\x1a\x1a"),
        WEIR_STR_INIT("\x7f\x1c"), WEIR_STR_INIT("\3\5"), WEIR_STR_INIT("\0\2"),
        WEIR_STR_INIT("\xfe\xfd"),
    };
    size_t list = open_vector(text, 1);

    for (uint32_t count = seldom(seed) ? below(seed, 40) : 1 + below(seed, 4); count != 0;
         count--) {
        put_one_of(text, seed, versions, WEIR_COUNT(versions));
    }
    if (seldom(seed)) {
        put(text, "\3", 1);
    }
    close_vector(text, list, 1);
}

static void put_key_share(hello_text *text, uint32_t *seed)
{
    size_t list = open_vector(text, 2);

    (void) seed;
    put(text, "\0\x1d\0\x20", 4);
    put_filling(text, '\x09', 32);
    close_vector(text, list, 2);
}

/* The extensions; those without a function have this body and no other. */
static const struct {
    uint16_t type;
    void (*put)(hello_text *text, uint32_t *seed);
    weir_str body;
} parts[] = {
    {0, put_server_name, WEIR_STR_INIT("")},
    {16, put_alpn, WEIR_STR_INIT("")},
    {43, put_versions, WEIR_STR_INIT("")},
    {51, put_key_share, WEIR_STR_INIT("")},
    {10, NULL, WEIR_STR_INIT("\0\4\0\x1d\0\x17")},
    {13, NULL, WEIR_STR_INIT("\0\6\4\3\2\3\4\1")},
    {45, NULL, WEIR_STR_INIT("\1\1")},
    {11, NULL, WEIR_STR_INIT("\1\0")},
    {0xff01, NULL, WEIR_STR_INIT("\0")},
    {23, NULL, WEIR_STR_INIT("")},
    {21, NULL, WEIR_STR_INIT("\0\0\0\0\0\0\0\0")},
    {0x2a2a, NULL, WEIR_STR_INIT("")},
    {0x1234, NULL, WEIR_STR_INIT("whatever it is")},
};

static void put_part(hello_text *text, uint32_t *seed, size_t part)
{
    size_t body;

    put_u16(text, parts[part].type);
    body = open_vector(text, 2);
    if (parts[part].put != NULL) {
        parts[part].put(text, seed);
    } else {
        put(text, parts[part].body.data, parts[part].body.len);
    }
    if (text->len != body && below(seed, 24) == 0) {
        text->data[body + below(seed, (uint32_t) (text->len - body))] = (char) next_random(seed);
    }
    if (text->len != body && below(seed, 48) == 0) {
        text->len--;
    }
    if (below(seed, 48) == 0) {
        put(text, "\0", 1);
    }
    close_vector(text, body, 2);
}

static void put_parts(hello_text *text, uint32_t *seed)
{
    size_t order[WEIR_COUNT(parts)];
    size_t extensions = open_vector(text, 2);

    for (size_t i = 0; i < WEIR_COUNT(parts); i++) {
        size_t other = below(seed, (uint32_t) i + 1);

        order[i] = order[other];
        order[other] = i;
    }
    for (size_t i = 0; i < WEIR_COUNT(parts); i++) {
        if (below(seed, 10) != 0) {
            put_part(text, seed, order[i]);
        }
    }
    if (seldom(seed)) {
        put_part(text, seed, below(seed, WEIR_COUNT(parts)));
    }
    close_vector(text, extensions, 2);
}

static weir_str made_hello(hello_unit *unit, uint32_t *seed)
{
    static const weir_str versions[] = {
        WEIR_STR_INIT("\3\3"), WEIR_STR_INIT("\3\3"), WEIR_STR_INIT("\3\3"), WEIR_STR_INIT("\3\1"),
        WEIR_STR_INIT("\3\2"), WEIR_STR_INIT("\3\0"), WEIR_STR_INIT("\3\4"), WEIR_STR_INIT("\4\0"),
    };
    static const weir_str ciphers = WEIR_STR_INIT("\x1a\x1a\x13\1\xc0\x2b\xc0\x2f\xc0\x09\0\xff");
    hello_text *text = &unit->text;
    size_t message, vector;

    text->len = 0;
    put(text, "\x16\3\1\0\0\1\0\0\0", 9);
    message = text->len;
    put_one_of(text, seed, versions, WEIR_COUNT(versions));
    put_filling(text, 'r', 32);
    vector = open_vector(text, 1);
    put_filling(text, 's', seldom(seed) ? below(seed, 34) : 32 * below(seed, 2));
    close_vector(text, vector, 1);
    vector = open_vector(text, 2);
    put(text, ciphers.data, seldom(seed) ? below(seed, (uint32_t) ciphers.len) : ciphers.len);
    close_vector(text, vector, 2);
    put(text, seldom(seed) ? "\2\1\0" : "\1\0\0", 2);
    if (text->data[text->len - 2] == '\2') {
        put(text, "\0", 1);
    }
    if (!seldom(seed)) {
        put_parts(text, seed);
    }
    if (below(seed, 48) == 0) {
        put(text, "\0", 1);
    }
    close_vector(text, message, 2);
    return in_records_of(unit, weir_str_of(text->data, text->len),
                         below(seed, 3) == 0 ? 1 + below(seed, 400) : 16384);
}

static void boringssl_sees_the_same_in_hellos_of_odd_parts(void **state)
{
    hello_unit *unit = *state;
    uint32_t seed = 88675123;
    int named = 0, of_13 = 0, of_old = 0, with_alpn = 0, without_alpn = 0, refused = 0;

    for (int i = 0; i < 20000; i++) {
        hello_compare(unit->server, made_hello(unit, &seed), &unit->seen);
        named += unit->seen.name[0] != '\0';
        of_13 += unit->seen.version == TLS1_3_VERSION;
        of_old += unit->seen.version != 0 && unit->seen.version < TLS1_2_VERSION;
        with_alpn += unit->seen.has_alpn;
        without_alpn += unit->seen.is_past_alpn;
        refused += !unit->seen.was_asked;
    }
    /* They are worth comparing only as long as BoringSSL takes many of each kind. */
    assert_true(named > 2000 && of_13 > 1000 && of_old > 200);
    assert_true(with_alpn > 1000 && without_alpn > 100 && refused > 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_what_a_client_asks_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_may_ask_for_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_prefix_waits_for_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_split_in_two_is_the_same_hello, set_up, tear_down),
        cmocka_unit_test_setup_teardown(old_versions_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_hello_in_the_manner_of_ssl_2_says_its_version, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_hello_may_be_as_large_as_is_legal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_protocols_are_told_at_the_first_byte_that_shows_it,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_behind_the_hello_do_not_matter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(boringssl_sees_the_same_in_whatever_records, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(boringssl_sees_the_same_in_mutated_hellos, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(boringssl_sees_the_same_in_hellos_of_odd_parts, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
