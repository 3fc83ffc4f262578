/* What settings make of a connection, whatever its certificate. */

#include "core/tls/tls_internal.h"

#include <openssl/err.h>
#include <unistd.h>

#include "core/base/log_sink.h"
#include "core/base/number.h"
#include "core/process/cycle.h"

#define KEY_MAX_BYTES 65536
#define TICKETS_MAX 16 /* BoringSSL's own bound */
#define TICKETS_DEFAULT 2

/* ---- versions */

static const struct {
    unsigned bit;
    uint16_t version;
    uint32_t option;
} versions[] = {
    {WEIR_TLS_VERSION_10, TLS1_VERSION, SSL_OP_NO_TLSv1},
    {WEIR_TLS_VERSION_11, TLS1_1_VERSION, SSL_OP_NO_TLSv1_1},
    {WEIR_TLS_VERSION_12, TLS1_2_VERSION, SSL_OP_NO_TLSv1_2},
    {WEIR_TLS_VERSION_13, TLS1_3_VERSION, SSL_OP_NO_TLSv1_3},
};

static bool set_versions(weir_conf *conf, weir_tls_profile *profile, const char *prefix,
                         unsigned protocols)
{
    profile->min_version = profile->max_version = 0;
    for (size_t i = 0; i < WEIR_COUNT(versions); i++) {
        if (protocols & versions[i].bit) {
            profile->max_version = versions[i].version;
            if (profile->min_version == 0) {
                profile->min_version = versions[i].version;
            }
        } else {
            profile->options |= versions[i].option;
        }
    }
    if (profile->max_version == 0) {
        return weir_conf_refuse(conf,
                                "\"%sprotocols\" leaves no version: there are TLSv1, TLSv1.1, "
                                "TLSv1.2 and TLSv1.3",
                                prefix);
    }
    if (protocols & WEIR_TLS_VERSION_SSL) {
        weir_conf_warn(conf, "\"%sprotocols\": SSLv2 and SSLv3 are not spoken, dropped", prefix);
    }
    return true;
}

/* ---- lists */

static bool set_ciphers(weir_conf *conf, weir_tls_profile *profile, const char *prefix,
                        weir_str words)
{
    weir_str dropped;

    if (!weir_tls_cipher_list(weir_conf_pool(conf), words, &profile->ciphers, &dropped)) {
        return weir_conf_refuse(conf, "\"%sciphers\": no memory, or over 4 KiB", prefix);
    }
    if (dropped.len != 0) {
        weir_conf_warn(conf, "\"%sciphers\": BoringSSL does not have, dropped: %.*s", prefix,
                       WEIR_STR_ARG(dropped));
    }
    if (profile->ciphers[0] == '\0' && profile->min_version < TLS1_3_VERSION) {
        return weir_conf_refuse(conf, "\"%sciphers %.*s\" leaves no cipher suite", prefix,
                                WEIR_STR_ARG(words));
    }
    return true;
}

static bool set_groups(weir_conf *conf, weir_tls_profile *profile, const char *prefix,
                       weir_str words)
{
    weir_str dropped;

    if (!weir_tls_group_list(weir_conf_pool(conf), words, &profile->groups, &dropped)) {
        return weir_conf_refuse(conf, "\"%secdh_curve\": no memory, or over 4 KiB", prefix);
    }
    if (dropped.len != 0) {
        weir_conf_warn(conf, "\"%secdh_curve\": BoringSSL does not have, dropped: %.*s", prefix,
                       WEIR_STR_ARG(dropped));
    }
    if (profile->groups[0] == '\0') {
        return weir_conf_refuse(conf, "\"%secdh_curve %.*s\" leaves no group", prefix,
                                WEIR_STR_ARG(words));
    }
    return true;
}

/* ---- conf_command: OpenSSL's SSL_CONF_cmd(3) */

typedef struct {
    weir_conf *conf;
    weir_tls_profile *profile;
    const weir_tls_profile_words *words;
    unsigned protocols; /* as they are by now */
    weir_str ciphers, curves;
} commands;

static bool command_ciphers(commands *c, weir_str value)
{
    c->ciphers = value;
    return true;
}

static bool command_groups(commands *c, weir_str value)
{
    c->curves = value;
    return true;
}

static bool command_suites(commands *c, weir_str value)
{
    (void) value;

    weir_conf_warn(c->conf,
                   "\"%sconf_command Ciphersuites\" has no effect: the suites of TLS 1.3 "
                   "are all strong, BoringSSL chooses by the hardware",
                   c->words->prefix);
    return true;
}

static bool command_signatures(commands *c, weir_str value)
{
    SSL_CTX *scratch = SSL_CTX_new(TLS_with_buffers_method());
    const char *z = weir_str_z(weir_conf_pool(c->conf), value);
    bool known = scratch != NULL && z != NULL && SSL_CTX_set1_sigalgs_list(scratch, z);

    SSL_CTX_free(scratch);
    ERR_clear_error();
    if (!known) {
        return weir_conf_refuse(c->conf,
                                "BoringSSL does not take the signature algorithms \"%.*s\"",
                                WEIR_STR_ARG(value));
    }
    c->profile->signatures = z;
    return true;
}

static bool command_tickets(commands *c, weir_str value)
{
    return weir_parse_uint(value, TICKETS_MAX, &c->profile->tickets)
           || weir_conf_refuse(c->conf, "\"NumTickets\" takes 0 to 16");
}

/* The versions from the bit on, or up to it. */
static bool command_bound(commands *c, weir_str value, bool is_min)
{
    unsigned bit = weir_tls_version_bit(value);
    unsigned below = bit - 1;

    if (weir_str_eq_nocase(value, WEIR_STR("None"))) {
        return true;
    }
    if (bit == 0) {
        return weir_conf_refuse(c->conf, "\"%.*s\" is no version of TLS that BoringSSL has",
                                WEIR_STR_ARG(value));
    }
    c->protocols &= is_min ? ~below : below | bit;
    return true;
}

static bool command_min(commands *c, weir_str value)
{
    return command_bound(c, value, true);
}

static bool command_max(commands *c, weir_str value)
{
    return command_bound(c, value, false);
}

/* "ALL, -TLSv1" */
static bool command_protocol(commands *c, weir_str value)
{
    weir_str word;

    while (weir_str_split(&value, ',', &word)) {
        bool removes;
        unsigned bits;

        word = weir_str_trim(word);
        removes = weir_str_starts(word, WEIR_STR("-"));
        if (removes || weir_str_starts(word, WEIR_STR("+"))) {
            word = weir_str_from(word, 1);
        }
        bits = weir_str_eq_nocase(word, WEIR_STR("ALL")) ? 0xfu : weir_tls_version_bit(word);
        if (bits == 0 && !removes) {
            return weir_conf_refuse(c->conf, "\"%.*s\" is no version of TLS that BoringSSL has",
                                    WEIR_STR_ARG(word));
        }
        c->protocols = removes ? c->protocols & ~bits : c->protocols | bits;
    }
    return true;
}

static void option_set(weir_tls_profile *profile, uint32_t option, bool on)
{
    profile->options = on ? profile->options | option : profile->options & ~option;
}

/* "ServerPreference,-SessionTicket" */
static bool command_options(commands *c, weir_str value)
{
    static const char *const without_effect[] = {
        "PrioritizeChaCha",
        "NoResumptionOnRenegotiation",
        "NoRenegotiation",
        "Bugs",
        "Compression",
        "AntiReplay",
        "EncryptThenMac",
        "MiddleboxCompat",
        "KTLS",
        "ExtendedMasterSecret",
        "EmptyFragments",
        "ECDHSingle",
        "DHSingle",
        "AllowNoDHEKEX",
        "UnsafeLegacyRenegotiation",
        "UnsafeLegacyServerConnect",
        "CANames",
        "TxCertificateCompression",
        "RxCertificateCompression",
        "StrictCertCheck",
    };
    weir_str word;

    while (weir_str_split(&value, ',', &word)) {
        bool on = !weir_str_starts(word = weir_str_trim(word), WEIR_STR("-"));
        bool known = false;

        if (!on || weir_str_starts(word, WEIR_STR("+"))) {
            word = weir_str_from(word, 1);
        }
        if (weir_str_eq_nocase(word, WEIR_STR("ServerPreference"))) {
            option_set(c->profile, SSL_OP_CIPHER_SERVER_PREFERENCE, on);
            continue;
        }
        if (weir_str_eq_nocase(word, WEIR_STR("SessionTicket"))) {
            option_set(c->profile, SSL_OP_NO_TICKET, !on);
            continue;
        }
        for (size_t i = 0; i < WEIR_COUNT(without_effect); i++) {
            known = known || weir_str_eq_nocase(word, weir_str_from_z(without_effect[i]));
        }
        if (!known) {
            return weir_conf_refuse(c->conf,
                                    "\"%.*s\" is no option of OpenSSL's that is known here",
                                    WEIR_STR_ARG(word));
        }
        weir_conf_warn(c->conf, "\"%sconf_command Options %.*s\" has no effect with BoringSSL",
                       c->words->prefix, WEIR_STR_ARG(word));
    }
    return true;
}

static bool command_apply(commands *c, weir_str name, weir_str value)
{
    static const struct {
        const char *name;
        bool (*apply)(commands *c, weir_str value);
    } known[] = {
        {"CipherString", command_ciphers}, {"Ciphersuites", command_suites},
        {"Curves", command_groups},        {"Groups", command_groups},
        {"MinProtocol", command_min},      {"MaxProtocol", command_max},
        {"Protocol", command_protocol},    {"SignatureAlgorithms", command_signatures},
        {"NumTickets", command_tickets},   {"Options", command_options},
    };

    for (size_t i = 0; i < WEIR_COUNT(known); i++) {
        if (weir_str_eq_nocase(name, weir_str_from_z(known[i].name))) {
            return known[i].apply(c, value);
        }
    }
    return weir_conf_refuse(c->conf, "\"%sconf_command %.*s\": BoringSSL has no such command",
                            c->words->prefix, WEIR_STR_ARG(name));
}

static bool commands_apply(commands *c)
{
    const weir_array *list = c->words->commands;

    for (size_t i = 0; list != NULL && i + 1 < list->count; i += 2) {
        if (!command_apply(c, *WEIR_ARRAY_AT(list, weir_str, i),
                           *WEIR_ARRAY_AT(list, weir_str, i + 1))) {
            return false;
        }
    }
    return true;
}

/* ---- a profile */

static bool profile_fill(weir_conf *conf, const weir_tls_profile_words *words,
                         weir_tls_profile *profile)
{
    commands c = {
        .conf = conf,
        .profile = profile,
        .words = words,
        .protocols = words->protocols,
        .ciphers = words->ciphers,
        .curves = words->curves,
    };

    profile->tickets = TICKETS_DEFAULT;
    profile->session_timeout_s =
        words->session_timeout_s > UINT32_MAX ? UINT32_MAX : (uint32_t) words->session_timeout_s;
    profile->record_bytes = (uint16_t) words->record_bytes;
    option_set(profile, SSL_OP_CIPHER_SERVER_PREFERENCE, words->prefer_server_ciphers);
    option_set(profile, SSL_OP_NO_TICKET, words->no_tickets);

    if (words->key_log.len != 0) {
        profile->key_log = weir_log_files_get(weir_conf_cycle(conf)->log_files, words->key_log);
        if (profile->key_log == NULL) {
            return weir_conf_refuse(conf, "no memory");
        }
        weir_conf_warn(conf,
                       "\"%skey_log\" makes the secrets of connections readable for whoever "
                       "can read \"%.*s\"",
                       words->prefix, WEIR_STR_ARG(words->key_log));
    }

    return commands_apply(&c) && set_versions(conf, profile, words->prefix, c.protocols)
           && set_ciphers(conf, profile, words->prefix, c.ciphers)
           && set_groups(conf, profile, words->prefix, c.curves);
}

/* All words in one string. */
static bool profile_key(weir_pool *pool, const weir_tls_profile_words *words, weir_str *key)
{
    weir_builder builder;

    weir_builder_open(&builder, pool, KEY_MAX_BYTES);
    weir_builder_printf(&builder, "%s\n%x %d %d %zu %llu\n%.*s\n%.*s\n%.*s\n", words->prefix,
                        words->protocols, words->prefer_server_ciphers, words->no_tickets,
                        words->record_bytes, (unsigned long long) words->session_timeout_s,
                        WEIR_STR_ARG(words->ciphers), WEIR_STR_ARG(words->curves),
                        WEIR_STR_ARG(words->key_log));
    for (size_t i = 0; words->commands != NULL && i < words->commands->count; i++) {
        weir_builder_add(&builder, *WEIR_ARRAY_AT(words->commands, weir_str, i));
        weir_builder_add_byte(&builder, '\n');
    }
    return weir_builder_close(&builder, key);
}

const weir_tls_profile *weir_tls_profile_get(weir_conf *conf, const weir_tls_profile_words *words)
{
    weir_tls_store *store = weir_tls_store_of(conf);
    weir_tls_profile *profile;
    weir_str key, kept;

    if (store == NULL) {
        return NULL;
    }
    if (!profile_key(weir_conf_temp_pool(conf), words, &key)) {
        (void) weir_conf_refuse(conf, "the settings of TLS are over 64 KiB");
        return NULL;
    }
    profile = weir_map_find(store->profiles, key);
    if (profile != NULL) {
        return profile;
    }

    profile = WEIR_NEW(store->pool, weir_tls_profile);
    if (profile == NULL || !weir_str_copy(store->pool, key, &kept)
        || !weir_map_put(store->profiles, kept, profile)) {
        (void) weir_conf_refuse(conf, "no memory");
        return NULL;
    }
    profile->key = kept;
    return profile_fill(conf, words, profile) ? profile : NULL;
}

/* ---- in BoringSSL */

static void log_key(const SSL *ssl, const char *line)
{
    const weir_tls *tls = weir_tls_of(ssl);
    const weir_tls_profile *profile = weir_tls_profile_of(tls);
    char text[512];
    int len = snprintf(text, sizeof(text), "%s\n", line);

    if (profile->key_log != NULL && len > 0 && (size_t) len < sizeof(text)
        && write(weir_log_file_fd(profile->key_log), text, (size_t) len) != len) {
        weir_log_debug(&tls->connection->log, "TLS: a secret could not be logged");
    }
}

/* As BoringSSL's own, with Ed25519, which OpenSSL takes too. */
static const uint16_t peer_signatures[] = {
    SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_RSA_PSS_RSAE_SHA256,
    SSL_SIGN_RSA_PKCS1_SHA256,       SSL_SIGN_ECDSA_SECP384R1_SHA384,
    SSL_SIGN_RSA_PSS_RSAE_SHA384,    SSL_SIGN_RSA_PKCS1_SHA384,
    SSL_SIGN_ECDSA_SECP521R1_SHA512, SSL_SIGN_ED25519,
    SSL_SIGN_RSA_PSS_RSAE_SHA512,    SSL_SIGN_RSA_PKCS1_SHA512,
    SSL_SIGN_RSA_PKCS1_SHA1,
};

static bool context_fill(SSL_CTX *ctx, const weir_tls_profile *profile)
{
    SSL_CTX_set_options(ctx, profile->options);
    SSL_CTX_set_timeout(ctx, profile->session_timeout_s);
    SSL_CTX_set_session_psk_dhe_timeout(ctx, profile->session_timeout_s);
    SSL_CTX_set_num_tickets(ctx, profile->tickets);
    if (profile->key_log != NULL) {
        SSL_CTX_set_keylog_callback(ctx, log_key);
    }
    return SSL_CTX_set_min_proto_version(ctx, profile->min_version)
           && SSL_CTX_set_max_proto_version(ctx, profile->max_version)
           && SSL_CTX_set1_curves_list(ctx, profile->groups)
           && (profile->ciphers[0] == '\0' || SSL_CTX_set_cipher_list(ctx, profile->ciphers))
           && SSL_CTX_set_verify_algorithm_prefs(ctx, peer_signatures, WEIR_COUNT(peer_signatures))
           && (profile->signatures == NULL || SSL_CTX_set1_sigalgs_list(ctx, profile->signatures));
}

SSL_CTX *weir_tls_profile_context(const weir_tls_profile *profile)
{
    /* With buffers, BoringSSL parses no certificates: we do, where one is to be verified. */
    SSL_CTX *ctx = SSL_CTX_new(TLS_with_buffers_method());

    if (ctx != NULL && !context_fill(ctx, profile)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

bool weir_tls_profile_apply(const weir_tls_profile *profile, SSL *ssl)
{
    SSL_clear_options(ssl, WEIR_TLS_OPTIONS & ~profile->options);
    SSL_set_options(ssl, profile->options);
    return SSL_set_min_proto_version(ssl, profile->min_version)
           && SSL_set_max_proto_version(ssl, profile->max_version)
           && SSL_set1_curves_list(ssl, profile->groups)
           && SSL_set_max_send_fragment(ssl, profile->record_bytes);
}
