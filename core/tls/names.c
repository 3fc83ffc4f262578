/* OpenSSL's words for ciphers, groups and versions, as BoringSSL takes them. */

#include "core/tls/tls_internal.h"

#include <openssl/err.h>

#define LIST_MAX_BYTES 4096
#define WORD_MAX_BYTES 80

/* Best first; those that the library does not have are left out. */
#define GROUPS_AUTO "X25519MLKEM768:X25519:P-256:P-384:P-521"

static bool is_one_of(char byte, const char *set)
{
    return byte != '\0' && strchr(set, byte) != NULL;
}

/* The next word between separators. */
static bool next_word(weir_str *rest, const char *separators, weir_str *word)
{
    size_t begin = 0, end;

    while (begin < rest->len && is_one_of(rest->data[begin], separators)) {
        begin++;
    }
    end = begin;
    while (end < rest->len && !is_one_of(rest->data[end], separators)) {
        end++;
    }
    *word = weir_str_slice(*rest, begin, end);
    *rest = weir_str_from(*rest, end);
    return word->len != 0;
}

static void add_word(weir_builder *builder, const char *separator, weir_str word)
{
    if (weir_builder_text(builder).len != 0) {
        weir_builder_add(builder, weir_str_from_z(separator));
    }
    weir_builder_add(builder, word);
}

/* Whether BoringSSL takes this word alone. */
static bool is_known(SSL_CTX *scratch, weir_str word, int (*set)(SSL_CTX *ctx, const char *words))
{
    char z[WORD_MAX_BYTES];
    bool known;

    if (word.len == 0 || word.len >= sizeof(z)) {
        return false;
    }
    memcpy(z, word.data, word.len);
    z[word.len] = '\0';
    known = set(scratch, z) == 1;
    ERR_clear_error();
    return known;
}

static bool finish(weir_builder *known, weir_builder *unknown, const char **list, weir_str *dropped)
{
    weir_str text;

    weir_builder_add_byte(known, '\0');
    if (!weir_builder_close(known, &text) || !weir_builder_close(unknown, dropped)) {
        return false;
    }
    *list = text.data;
    return true;
}

/* ---- ciphers */

static bool is_tls13_suite(weir_str word)
{
    return weir_str_starts(word, WEIR_STR("TLS_AES_"))
           || weir_str_starts(word, WEIR_STR("TLS_CHACHA20_"));
}

static void add_cipher(SSL_CTX *scratch, weir_str word, weir_builder *known, weir_builder *unknown)
{
    bool is_operation = is_one_of(word.data[0], "!-+");
    weir_str name = weir_str_from(word, is_operation ? 1 : 0);

    if (word.data[0] == '@') { /* @STRENGTH, @SECLEVEL=n */
        if (weir_str_eq(word, WEIR_STR("@STRENGTH"))) {
            add_word(known, ":", word);
        }
        return;
    }
    if (is_known(scratch, name, SSL_CTX_set_strict_cipher_list)) {
        add_word(known, ":", word);
    } else if (!is_operation && !is_tls13_suite(word)) {
        add_word(unknown, ", ", word);
    }
}

bool weir_tls_cipher_list(weir_pool *pool, weir_str words, const char **list, weir_str *dropped)
{
    SSL_CTX *scratch = SSL_CTX_new(TLS_with_buffers_method());
    bool names_3des = weir_str_find(words, WEIR_STR("3DES")) != NULL
                      || weir_str_find(words, WEIR_STR("CBC3")) != NULL;
    weir_builder known, unknown;
    weir_str word;

    if (scratch == NULL) {
        return false;
    }
    weir_builder_open(&known, pool, LIST_MAX_BYTES);
    weir_builder_open(&unknown, pool, LIST_MAX_BYTES);
    while (next_word(&words, ":, ;", &word)) {
        add_cipher(scratch, word, &known, &unknown);
    }
    SSL_CTX_free(scratch);

    /* OpenSSL counts it as weak, and not under "HIGH", since 2016. */
    if (weir_builder_text(&known).len != 0 && !names_3des) {
        add_word(&known, ":", WEIR_STR("!3DES"));
    }
    return finish(&known, &unknown, list, dropped);
}

/* ---- groups */

bool weir_tls_group_list(weir_pool *pool, weir_str words, const char **list, weir_str *dropped)
{
    SSL_CTX *scratch = SSL_CTX_new(TLS_with_buffers_method());
    bool is_auto = weir_str_eq(words, WEIR_STR("auto"));
    weir_builder known, unknown;
    weir_str word;

    if (scratch == NULL) {
        return false;
    }
    if (is_auto) {
        words = WEIR_STR(GROUPS_AUTO);
    }
    weir_builder_open(&known, pool, LIST_MAX_BYTES);
    weir_builder_open(&unknown, pool, LIST_MAX_BYTES);
    /* OpenSSL 3.5 has tuples ("/"), marks for optional groups ("?") and for key shares ("*"). */
    while (next_word(&words, ":/?*", &word)) {
        if (is_known(scratch, word, SSL_CTX_set1_curves_list)) {
            add_word(&known, ":", word);
        } else if (!is_auto) {
            add_word(&unknown, ", ", word);
        }
    }
    SSL_CTX_free(scratch);
    return finish(&known, &unknown, list, dropped);
}

/* ---- versions */

unsigned weir_tls_version_bit(weir_str word)
{
    static const struct {
        weir_str name;
        unsigned bit;
    } versions[] = {
        {WEIR_STR_INIT("TLSv1"), WEIR_TLS_VERSION_10},
        {WEIR_STR_INIT("TLSv1.0"), WEIR_TLS_VERSION_10},
        {WEIR_STR_INIT("TLSv1.1"), WEIR_TLS_VERSION_11},
        {WEIR_STR_INIT("TLSv1.2"), WEIR_TLS_VERSION_12},
        {WEIR_STR_INIT("TLSv1.3"), WEIR_TLS_VERSION_13},
    };

    for (size_t i = 0; i < WEIR_COUNT(versions); i++) {
        if (weir_str_eq_nocase(versions[i].name, word)) {
            return versions[i].bit;
        }
    }
    return 0;
}
