/*
 * secure_link: whether a link is one that was given out, and for how long it holds.
 *
 *     secure_link     $arg_md5,$arg_expires;
 *     secure_link_md5 "$secure_link_expires$uri$remote_addr secret";
 *     if ($secure_link = "")  { return 403; }
 *     if ($secure_link = "0") { return 410; }
 *
 *     secure_link_secret word;     /prefix/MD5/link, of the link and the word: $secure_link is the link
 */

#include <openssl/md5.h>
#include <openssl/mem.h>

#include "core/base/base64.h"
#include "core/base/clock.h"
#include "core/base/number.h"
#include "modules/http/engine/module.h"

typedef struct {
    const weir_template *link, *md5;
    weir_str secret; /* empty: none */
} secure_conf;

extern const weir_http_module weir_http_secure_link;

static const weir_directive secure_directives[] = {
    {
        .name = "secure_link",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_TEMPLATE(secure_conf, link),
        .syntax = "expression",
        .doc = "The checksum of a link (base64url), and, after a comma, when it ends to hold.",
    },
    {
        .name = "secure_link_md5",
        .where = WEIR_HTTP_ANYWHERE,
        .slot = WEIR_SLOT_TEMPLATE(secure_conf, md5),
        .syntax = "expression",
        .doc = "What that is the MD5 of: parts of the link, and a secret.",
    },
    {
        .name = "secure_link_secret",
        .where = WEIR_HTTP_LOCATION,
        .slot = WEIR_SLOT_STR(secure_conf, secret),
        .syntax = "word",
        .doc = "A word that links of the form /prefix/MD5/link are checked with.",
    },
    {0},
};

static bool secure_check(weir_conf *conf, const void *settings)
{
    const secure_conf *secure = settings;

    return secure->secret.len == 0 || (secure->link == NULL && secure->md5 == NULL)
           || weir_conf_refuse(conf, "\"secure_link_secret\" cannot be mixed with \"secure_link\" "
                                     "and \"secure_link_md5\"");
}

/* "MD5[,expires]". */
typedef struct {
    weir_str sum;
    weir_str expires; /* as it is written; empty: it has none, or one that is no time */
    uint64_t until_s; /* 0: for ever */
    bool is_broken;   /* a comma, and no time behind it */
} secure_text;

/* False: no memory. */
static bool link_split(weir_script *script, const secure_conf *secure, secure_text *link)
{
    const char *comma;
    weir_str text;

    if (!weir_template_text(secure->link, script, &text)) {
        return false;
    }
    *link = (secure_text){.sum = text, .expires = WEIR_STR_EMPTY};
    comma = weir_str_find_byte(text, ',');
    if (comma == NULL) {
        return true;
    }
    link->sum = weir_str_slice(text, 0, (size_t) (comma - text.data));
    text = weir_str_from(text, link->sum.len + 1);
    link->is_broken = !weir_parse_uint(text, INT64_MAX, &link->until_s) || link->until_s == 0;
    link->expires = link->is_broken ? WEIR_STR_EMPTY : text;
    return true;
}

/* base64url (RFC 4648, 5) of 16 bytes, with whatever padding. */
static bool sum_decode(weir_pool *pool, weir_str text, weir_str *bytes)
{
    weir_builder builder;
    weir_str plain;

    while (text.len != 0 && text.data[text.len - 1] == '=') {
        text.len--;
    }
    weir_builder_open(&builder, pool, 24);
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.data[i];

        if (byte == '+' || byte == '/') {
            return false;
        }
        weir_builder_add_byte(&builder, byte == '-' ? '+' : byte == '_' ? '/' : byte);
    }
    return weir_builder_close(&builder, &plain) && weir_base64_decode(pool, plain, bytes)
           && bytes->len == MD5_DIGEST_LENGTH;
}

static bool get_by_expression(weir_script *script, const secure_conf *secure, weir_value *value)
{
    uint8_t digest[MD5_DIGEST_LENGTH];
    secure_text link;
    weir_str text;
    weir_str bytes;

    if (!link_split(script, secure, &link) || !weir_template_text(secure->md5, script, &text)) {
        return false;
    }
    if (link.is_broken) {
        return true;
    }
    MD5((const uint8_t *) text.data, text.len, digest);
    if (!sum_decode(script->pool, link.sum, &bytes)
        || CRYPTO_memcmp(bytes.data, digest, sizeof(digest)) != 0) {
        return true;
    }
    value->found = true;
    value->text = link.until_s != 0 && (int64_t) link.until_s < weir_clock_now()->wall_s
                      ? WEIR_STR("0")
                      : WEIR_STR("1");
    return true;
}

/* "/prefix/MD5/link", the MD5 in hexadecimal digits of either case. */
static bool get_by_secret(weir_script *script, const secure_conf *secure, weir_value *value)
{
    const weir_http_exchange *ex = script->subject;
    weir_str link = ex->request.path;
    uint8_t digest[MD5_DIGEST_LENGTH];
    weir_builder builder;
    weir_str part;
    weir_str text;

    /* The first piece is empty, the second the prefix. */
    for (unsigned i = 0; i < 3; i++) {
        if (!weir_str_split(&link, '/', &part)) {
            return true;
        }
    }
    if (link.len == 0) {
        return true;
    }
    weir_builder_open(&builder, script->pool, SIZE_MAX);
    weir_builder_add(&builder, link);
    weir_builder_add(&builder, secure->secret);
    if (!weir_builder_close(&builder, &text)) {
        return false;
    }
    MD5((const uint8_t *) text.data, text.len, digest);
    weir_builder_open(&builder, script->pool, SIZE_MAX);
    weir_builder_add_hexdump(&builder, weir_str_of((const char *) digest, sizeof(digest)));
    if (!weir_builder_close(&builder, &text)) {
        return false;
    }
    value->found = weir_str_eq_nocase(text, part);
    value->text = value->found ? link : WEIR_STR_EMPTY;
    return true;
}

static bool get_secure_link(weir_script *script, uintptr_t arg, weir_value *value)
{
    const secure_conf *secure = weir_http_settings(script->subject, &weir_http_secure_link);

    (void) arg;
    if (secure->secret.len != 0) {
        return get_by_secret(script, secure, value);
    }
    return secure->link == NULL || secure->md5 == NULL || get_by_expression(script, secure, value);
}

static bool get_expires(weir_script *script, uintptr_t arg, weir_value *value)
{
    const secure_conf *secure = weir_http_settings(script->subject, &weir_http_secure_link);
    secure_text link;

    (void) arg;
    if (secure->link == NULL) {
        return true;
    }
    if (!link_split(script, secure, &link)) {
        return false;
    }
    value->text = link.expires;
    value->found = value->text.len != 0;
    return true;
}

static const weir_variable secure_variables[] = {
    {.name = "secure_link", .get = get_secure_link},
    {.name = "secure_link_expires", .get = get_expires},
    {0},
};

const weir_http_module weir_http_secure_link = {
    .name = "http_secure_link",
    .directives = secure_directives,
    .conf_size = sizeof(secure_conf),
    .check = secure_check,
    .variables = secure_variables,
};
