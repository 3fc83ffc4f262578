#ifndef WEIR_TLS_SETTINGS_H
#define WEIR_TLS_SETTINGS_H

#include "core/conf/conf.h"

/*
 * What the directives say.  A module puts one of these structures into its own settings, and the rows of
 * its family into its table:
 *
 *     static const weir_directive  ssl_directives[] = {
 *         WEIR_TLS_SERVER_DIRECTIVES(http_ssl_conf, tls, WEIR_HTTP_MAIN | WEIR_HTTP_SERVER),
 *         { 0 }
 *     };
 */

enum {
    WEIR_TLS_VERSION_10 = 1u << 0,
    WEIR_TLS_VERSION_11 = 1u << 1,
    WEIR_TLS_VERSION_12 = 1u << 2,
    WEIR_TLS_VERSION_13 = 1u << 3,
    WEIR_TLS_VERSION_SSL = 1u << 4, /* SSLv2, SSLv3: taken and dropped */
};

typedef enum {
    WEIR_TLS_VERIFY_OFF,
    WEIR_TLS_VERIFY_ON,
    WEIR_TLS_VERIFY_OPTIONAL,
    WEIR_TLS_VERIFY_OPTIONAL_NO_CA,
} weir_tls_verify_mode;

/* ssl_session_cache */
typedef enum {
    WEIR_TLS_CACHE_NONE, /* also "off" and "builtin" */
    WEIR_TLS_CACHE_SHARED,
} weir_tls_cache_kind;

typedef struct {
    weir_tls_cache_kind kind;
    struct weir_tls_sessions *sessions; /* SHARED */
} weir_tls_session_cache;

/* ssl_certificate_cache: for paths with variables */
typedef struct {
    uint64_t max; /* 0: off */
    uint64_t inactive_ms, valid_ms;
} weir_tls_certificate_cache;

typedef struct {
    weir_array certificates, keys; /* of weir_str; the same number */
    weir_str password_file;
    weir_tls_certificate_cache certificate_cache;
    unsigned protocols; /* WEIR_TLS_VERSION_... */
    weir_str ciphers;
    weir_str curves; /* "auto" */
    bool prefer_server_ciphers;
    weir_array commands; /* of weir_str: name, value, name, value ... */
    weir_tls_session_cache session_cache;
    uint64_t session_timeout_s;
    bool session_tickets;
    weir_array ticket_keys; /* of weir_str: files */
    size_t buffer_size;
    unsigned verify_client; /* weir_tls_verify_mode */
    uint64_t verify_depth;
    weir_str client_certificate, trusted_certificate, crl;
    bool early_data, reject_handshake;
    uint64_t handshake_timeout_ms;
    weir_str key_log; /* empty: off */
} weir_tls_server_conf;

typedef struct {
    weir_str certificate, key;
    weir_str password_file;
    weir_tls_certificate_cache certificate_cache;
    unsigned protocols;
    weir_str ciphers;
    weir_array commands;
    bool verify;
    uint64_t verify_depth;
    weir_str trusted_certificate, crl;
    const struct weir_template *name; /* NULL: the host of the origin */
    bool server_name;                 /* send SNI */
    bool session_reuse;
    weir_str key_log;
} weir_tls_client_conf;

extern const weir_choice weir_tls_protocol_choices[];
extern const weir_choice weir_tls_verify_choices[];

/* Each stores into the member that its row names. */
bool weir_tls_set_session_cache(weir_conf *conf, void *settings, const weir_statement *statement);
bool weir_tls_set_certificate_cache(weir_conf *conf, void *settings,
                                    const weir_statement *statement);
/* Names of protocols (weir_str) as they go over the wire (RFC 7301, 3.1).  False: refused. */
bool weir_tls_alpn_make(weir_conf *conf, const weir_array *names, weir_str *wire) WEIR_MUST_USE;
/* "off" is what it is; anything else is refused with the reason. */
bool weir_tls_refuse_unless_off(weir_conf *conf, void *settings, const weir_statement *statement);

#define WEIR_TLS_ROW(NAME, WHERE, SLOT, DOC, ...)                                                  \
    {                                                                                              \
        .name = NAME, .where = WHERE, .slot = SLOT, .doc = DOC, __VA_ARGS__                        \
    }
/* A directive of nginx's that means nothing here. */
#define WEIR_TLS_ROW_WITHOUT_EFFECT(NAME, WHERE, DOC, WARNING)                                     \
    {                                                                                              \
        .name = NAME, .where = WHERE, .slot = {.kind = WEIR_KIND_NONE}, .takes = WEIR_TAKES(1, 1), \
        .doc = DOC, .warning = WARNING                                                             \
    }
#define WEIR_TLS_ROW_ONLY_OFF(NAME, WHERE, DOC)                                                    \
    {                                                                                              \
        .name = NAME, .where = WHERE, .slot = WEIR_SLOT_ONLY_CALL(weir_tls_refuse_unless_off),     \
        .takes = WEIR_TAKES_SOME, .doc = DOC                                                       \
    }

/* Beside the next, where replays can be told apart: HTTP has 425 and idempotent methods (RFC 8470). */
#define WEIR_TLS_EARLY_DATA_DIRECTIVE(TYPE, MEMBER, WHERE)                                         \
    WEIR_TLS_ROW("ssl_early_data", WHERE, WEIR_SLOT_FLAG(TYPE, MEMBER.early_data),                 \
                 "Takes requests before the handshake is complete (0-RTT), which may be replays.", \
                 .preset = "off")

#define WEIR_TLS_SERVER_DIRECTIVES(TYPE, MEMBER, WHERE)                                            \
    WEIR_TLS_ROW("ssl_certificate", WHERE, WEIR_SLOT_LIST(TYPE, MEMBER.certificates),              \
                 "A PEM file with the certificate and its chain, or \"data:\" and the PEM; may "   \
                 "be repeated for keys of other kinds, and hold variables.",                       \
                 .takes = WEIR_TAKES(1, 1), .syntax = "file"),                                     \
        WEIR_TLS_ROW("ssl_certificate_key", WHERE, WEIR_SLOT_LIST(TYPE, MEMBER.keys),              \
                     "The secret key of each ssl_certificate, in the same order.",                 \
                     .takes = WEIR_TAKES(1, 1), .syntax = "file"),                                 \
        WEIR_TLS_ROW("ssl_password_file", WHERE, WEIR_SLOT_STR(TYPE, MEMBER.password_file),        \
                     "Passphrases for secret keys, one on a line, tried in turn."),                \
        WEIR_TLS_ROW(                                                                              \
            "ssl_certificate_cache", WHERE,                                                        \
            WEIR_SLOT_CALL(TYPE, MEMBER.certificate_cache, weir_tls_set_certificate_cache),        \
            "Keeps certificates whose paths have variables.", .takes = WEIR_TAKES(1, 3),           \
            .syntax = "off | max=N [inactive=time] [valid=time]"),                                 \
        WEIR_TLS_ROW("ssl_protocols", WHERE,                                                       \
                     WEIR_SLOT_BITS(TYPE, MEMBER.protocols, weir_tls_protocol_choices),            \
                     "The versions of TLS that are spoken.", .takes = WEIR_TAKES_SOME,             \
                     .preset = "TLSv1.2 TLSv1.3"),                                                 \
        WEIR_TLS_ROW("ssl_ciphers", WHERE, WEIR_SLOT_STR(TYPE, MEMBER.ciphers),                    \
                     "Cipher suites of TLS 1.2 and older, in OpenSSL's notation; unknown words "   \
                     "are dropped.",                                                               \
                     .preset = "HIGH:!aNULL:!MD5"),                                                \
        WEIR_TLS_ROW("ssl_prefer_server_ciphers", WHERE,                                           \
                     WEIR_SLOT_FLAG(TYPE, MEMBER.prefer_server_ciphers),                           \
                     "Goes by the order of ssl_ciphers, not by the client's.", .preset = "off"),   \
        WEIR_TLS_ROW("ssl_ecdh_curve", WHERE, WEIR_SLOT_STR(TYPE, MEMBER.curves),                  \
                     "Groups for the key exchange, best first.", .preset = "auto"),                \
        WEIR_TLS_ROW("ssl_conf_command", WHERE, WEIR_SLOT_LIST(TYPE, MEMBER.commands),             \
                     "A command of OpenSSL's configuration; those that BoringSSL has.",            \
                     .takes = WEIR_TAKES(2, 2)),                                                   \
        WEIR_TLS_ROW("ssl_session_cache", WHERE,                                                   \
                     WEIR_SLOT_CALL(TYPE, MEMBER.session_cache, weir_tls_set_session_cache),       \
                     "Where sessions are kept for clients that do not take tickets.",              \
                     .takes = WEIR_TAKES(1, 2), .preset = "none",                                  \
                     .syntax = "off | none | [builtin[:size]] [shared:name:size]"),                \
        WEIR_TLS_ROW("ssl_session_timeout", WHERE,                                                 \
                     WEIR_SLOT_SECONDS(TYPE, MEMBER.session_timeout_s),                            \
                     "How long a session may be resumed.", .preset = "5m"),                        \
        WEIR_TLS_ROW("ssl_session_tickets", WHERE, WEIR_SLOT_FLAG(TYPE, MEMBER.session_tickets),   \
                     "Gives clients their sessions to keep, encrypted.", .preset = "on"),          \
        WEIR_TLS_ROW("ssl_session_ticket_key", WHERE, WEIR_SLOT_LIST(TYPE, MEMBER.ticket_keys),    \
                     "A file of 48 or 80 random bytes to encrypt tickets with; the first "         \
                     "encrypts, all decrypt.",                                                     \
                     .takes = WEIR_TAKES(1, 1), .syntax = "file"),                                 \
        WEIR_TLS_ROW("ssl_buffer_size", WHERE, WEIR_SLOT_SIZE(TYPE, MEMBER.buffer_size),           \
                     "The most data in one record.", .preset = "16k"),                             \
        WEIR_TLS_ROW("ssl_verify_client", WHERE,                                                   \
                     WEIR_SLOT_ENUM(TYPE, MEMBER.verify_client, weir_tls_verify_choices),          \
                     "Asks clients for a certificate.", .preset = "off"),                          \
        WEIR_TLS_ROW("ssl_verify_depth", WHERE, WEIR_SLOT_UINT(TYPE, MEMBER.verify_depth, 0, 100), \
                     "How many certificates may stand between the client's and the root's.",       \
                     .preset = "1"),                                                               \
        WEIR_TLS_ROW("ssl_client_certificate", WHERE,                                              \
                     WEIR_SLOT_STR(TYPE, MEMBER.client_certificate),                               \
                     "A PEM file of certificate authorities, trusted and named to clients."),      \
        WEIR_TLS_ROW("ssl_trusted_certificate", WHERE,                                             \
                     WEIR_SLOT_STR(TYPE, MEMBER.trusted_certificate),                              \
                     "A PEM file of certificate authorities, trusted but not named to clients."),  \
        WEIR_TLS_ROW("ssl_crl", WHERE, WEIR_SLOT_STR(TYPE, MEMBER.crl),                            \
                     "A PEM file of revocation lists for client certificates."),                   \
        WEIR_TLS_ROW("ssl_reject_handshake", WHERE, WEIR_SLOT_FLAG(TYPE, MEMBER.reject_handshake), \
                     "Refuses all handshakes for this server.", .preset = "off"),                  \
        WEIR_TLS_ROW("ssl_handshake_timeout", WHERE,                                               \
                     WEIR_SLOT_MS(TYPE, MEMBER.handshake_timeout_ms),                              \
                     "How long a handshake may take.", .preset = "60s"),                           \
        WEIR_TLS_ROW("ssl_key_log", WHERE, WEIR_SLOT_STR_OR_OFF(TYPE, MEMBER.key_log),             \
                     "A file that the secrets of connections are written to, for debugging."),     \
        WEIR_TLS_ROW_WITHOUT_EFFECT("ssl_dhparam", WHERE,                                          \
                                    "Parameters for DHE; BoringSSL has no DHE.",                   \
                                    "there is no DHE here, clients use ECDHE"),                    \
        WEIR_TLS_ROW_WITHOUT_EFFECT("ssl_stapling", WHERE, "OCSP stapling.",                       \
                                    "weir does not staple yet"),                                   \
        WEIR_TLS_ROW_WITHOUT_EFFECT("ssl_stapling_file", WHERE, "OCSP stapling.",                  \
                                    "weir does not staple yet"),                                   \
        WEIR_TLS_ROW_WITHOUT_EFFECT("ssl_stapling_responder", WHERE, "OCSP stapling.",             \
                                    "weir does not staple yet"),                                   \
        WEIR_TLS_ROW_WITHOUT_EFFECT("ssl_stapling_verify", WHERE, "OCSP stapling.",                \
                                    "weir does not staple yet"),                                   \
        WEIR_TLS_ROW_WITHOUT_EFFECT("ssl_certificate_compression", WHERE,                          \
                                    "Compresses certificates (RFC 8879).",                         \
                                    "certificates are sent as they are"),                          \
        WEIR_TLS_ROW_ONLY_OFF("ssl_ocsp", WHERE, "Asks responders about client certificates."),    \
        WEIR_TLS_ROW_ONLY_OFF("ssl_ocsp_cache", WHERE, "Keeps what OCSP responders say."),         \
        WEIR_TLS_ROW_ONLY_OFF("ssl_ocsp_responder", WHERE, "The OCSP responder to ask."),          \
        WEIR_TLS_ROW_ONLY_OFF("ssl_ech_file", WHERE, "Keys for Encrypted Client Hello.")

/* PREFIX is "proxy_ssl_", say. */
#define WEIR_TLS_CLIENT_DIRECTIVES(PREFIX, TYPE, MEMBER, WHERE)                                    \
    WEIR_TLS_ROW(PREFIX "certificate", WHERE, WEIR_SLOT_STR(TYPE, MEMBER.certificate),             \
                 "A PEM file with the certificate to show to origins, or \"data:\" and the PEM; "  \
                 "may hold variables."),                                                           \
        WEIR_TLS_ROW(PREFIX "certificate_key", WHERE, WEIR_SLOT_STR(TYPE, MEMBER.key),             \
                     "Its secret key."),                                                           \
        WEIR_TLS_ROW(PREFIX "password_file", WHERE, WEIR_SLOT_STR(TYPE, MEMBER.password_file),     \
                     "Passphrases for the secret key, one on a line, tried in turn."),             \
        WEIR_TLS_ROW(                                                                              \
            PREFIX "certificate_cache", WHERE,                                                     \
            WEIR_SLOT_CALL(TYPE, MEMBER.certificate_cache, weir_tls_set_certificate_cache),        \
            "Keeps certificates whose paths have variables.", .takes = WEIR_TAKES(1, 3),           \
            .syntax = "off | max=N [inactive=time] [valid=time]"),                                 \
        WEIR_TLS_ROW(PREFIX "protocols", WHERE,                                                    \
                     WEIR_SLOT_BITS(TYPE, MEMBER.protocols, weir_tls_protocol_choices),            \
                     "The versions of TLS that are spoken to origins.", .takes = WEIR_TAKES_SOME,  \
                     .preset = "TLSv1.2 TLSv1.3"),                                                 \
        WEIR_TLS_ROW(PREFIX "ciphers", WHERE, WEIR_SLOT_STR(TYPE, MEMBER.ciphers),                 \
                     "Cipher suites of TLS 1.2 and older, in OpenSSL's notation.",                 \
                     .preset = "DEFAULT"),                                                         \
        WEIR_TLS_ROW(PREFIX "conf_command", WHERE, WEIR_SLOT_LIST(TYPE, MEMBER.commands),          \
                     "A command of OpenSSL's configuration; those that BoringSSL has.",            \
                     .takes = WEIR_TAKES(2, 2)),                                                   \
        WEIR_TLS_ROW(PREFIX "verify", WHERE, WEIR_SLOT_FLAG(TYPE, MEMBER.verify),                  \
                     "Verifies the certificates of origins.", .preset = "off"),                    \
        WEIR_TLS_ROW(                                                                              \
            PREFIX "verify_depth", WHERE, WEIR_SLOT_UINT(TYPE, MEMBER.verify_depth, 0, 100),       \
            "How many certificates may stand between an origin's and the root's.", .preset = "1"), \
        WEIR_TLS_ROW(PREFIX "trusted_certificate", WHERE,                                          \
                     WEIR_SLOT_STR(TYPE, MEMBER.trusted_certificate),                              \
                     "A PEM file of certificate authorities to verify origins with."),             \
        WEIR_TLS_ROW(PREFIX "crl", WHERE, WEIR_SLOT_STR(TYPE, MEMBER.crl),                         \
                     "A PEM file of revocation lists to verify origins with."),                    \
        WEIR_TLS_ROW(PREFIX "name", WHERE, WEIR_SLOT_TEMPLATE(TYPE, MEMBER.name),                  \
                     "The name to verify an origin's certificate for, and to send by SNI."),       \
        WEIR_TLS_ROW(PREFIX "server_name", WHERE, WEIR_SLOT_FLAG(TYPE, MEMBER.server_name),        \
                     "Sends the origin's name by SNI.", .preset = "off"),                          \
        WEIR_TLS_ROW(PREFIX "session_reuse", WHERE, WEIR_SLOT_FLAG(TYPE, MEMBER.session_reuse),    \
                     "Resumes sessions with origins.", .preset = "on"),                            \
        WEIR_TLS_ROW(PREFIX "key_log", WHERE, WEIR_SLOT_STR_OR_OFF(TYPE, MEMBER.key_log),          \
                     "A file that the secrets of connections are written to, for debugging.")

#endif
