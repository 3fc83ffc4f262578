#ifndef WEIR_TLS_INTERNAL_H
#define WEIR_TLS_INTERNAL_H

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "core/base/file_stamp.h"
#include "core/base/map.h"
#include "core/net/transport.h"
#include "core/tls/tls.h"

/* ---- one connection */

/* Bytes that did not fit or were not wanted yet; malloc()ed, and only while there are any. */
typedef struct {
    char *data;
    size_t at, len;
} weir_tls_bytes;

typedef struct {
    weir_str ciphers, groups, signatures; /* of the ClientHello, as they were sent */
} weir_tls_client_lists;

/* An origin's certificate was verified; holds for resumed sessions. */
typedef struct {
    uint64_t until_ms; /* 0: it was not */
    uint64_t forgettings;
} weir_tls_belief;

struct weir_tls {
    SSL *ssl;
    weir_connection *connection;

    const weir_tls_acceptor *acceptor; /* NULL: we connected */
    weir_tls_server *server;
    weir_tls_client *client;           /* NULL: we accepted */
    weir_str session_key, verify_name; /* in the connection's pool */
    void (*done)(weir_connection *connection, weir_tls_outcome outcome);

    weir_tls_bytes unread; /* ciphertext from the socket */
    weir_tls_bytes unsent; /* ciphertext for it */
    size_t flight;         /* how much ciphertext is made before the socket is asked */

    const weir_tls_client_lists *lists; /* NULL: not kept */
    weir_tls_belief belief;             /* toward an origin: of its session */
    long verify_error;                  /* X509_V_...; of this handshake */
    long ticket_error;                  /* the same, of the session that the client came with */
    bool ended;                         /* the socket gave the end of data */
    bool end_waits; /* data was read together with its end, which the next read tells */
    bool truncated;
    bool shut;                /* close_notify was made */
    bool told;                /* why the handshake fails is in the log */
    weir_tls_refusal refusal; /* toward an origin */
};

/* ---- transport.c */

extern const weir_transport weir_tls_transport;

/* Puts TLS over the connection; there is no SSL yet. NULL: logged. */
weir_tls *weir_tls_begin(weir_connection *connection);
/* Makes the SSL, and connects it to the worker's buffers. False: logged. */
bool weir_tls_attach(weir_tls *tls, SSL_CTX *ctx);
/* The connection is plain again. */
void weir_tls_detach(weir_connection *connection);

typedef enum {
    WEIR_TLS_STEP_DONE,
    WEIR_TLS_STEP_WAIT,
    WEIR_TLS_STEP_FAILED, /* logged */
} weir_tls_step;
/* As far as the handshake gets; what it has to send is sent. */
weir_tls_step weir_tls_handshake(weir_tls *tls);
/* For accept: reads what the socket has; the bytes stay unread for the handshake. WAIT, FAIL as usual. */
weir_result weir_tls_peek(weir_tls *tls, weir_str *bytes);

/* Before its error is taken: why a handshake with an origin fails, unless that is known. */
void weir_tls_refusal_note(weir_tls *tls);
/* "error:10000070:SSL routines:…", of the error that was put last; clears the queue. */
void weir_tls_error_text(char *text, size_t size);

/* ---- pair.c: a certificate with its chain and secret key */

#define WEIR_TLS_DIGEST_BYTES 32
#define WEIR_TLS_WHY_BYTES 512

/*
 * What two configurations hold at once, while the second is loaded: the one that stays keeps it.
 *
 * It is written to when the next one takes over, in memory that is shared with workers until then: each page of it has
 * to be copied. So they stand beside each other, and not in what they speak of.
 */
typedef struct weir_tls_loan {
    struct weir_tls_loan *lender, *heir; /* NULL: there is none, or it is gone */
} weir_tls_loan;

typedef enum {
    WEIR_TLS_PAIR_CERTIFICATE,
    WEIR_TLS_PAIR_KEY,
    WEIR_TLS_PAIR_PASSWORDS,
} weir_tls_pair_file;

typedef struct weir_tls_pair {
    weir_str certificate, key, passwords;         /* absolute paths, or "data:…" */
    weir_file_stamp certificate_stamp, key_stamp; /* zero for "data:" */
    CRYPTO_BUFFER **chain;                        /* the leaf first */
    size_t chain_count;
    EVP_PKEY *private_key;
    uint16_t signature;                    /* what it signs with in TLS 1.3; RSA: 0x0804 */
    int64_t not_after;                     /* seconds since 1970 */
    uint8_t digest[WEIR_TLS_DIGEST_BYTES]; /* of the chain */
    size_t index;                          /* in the store */
    weir_tls_pair_file at_fault;           /* after it could not be loaded */
    weir_tls_loan *loan;
} weir_tls_pair;

/* What the files hold; the strings are borrowed. */
typedef struct {
    weir_str certificate_name, key_name; /* for messages */
    weir_str certificate_pem, key_pem, passwords;
} weir_tls_pair_text;

/* Fills digest, signature and not_after from chain and key, which must belong together. */
bool weir_tls_pair_check(weir_tls_pair *pair, const weir_tls_pair_text *text,
                         char why[static WEIR_TLS_WHY_BYTES]);
/* Reads the files and parses them. */
bool weir_tls_pair_load(weir_tls_pair *pair, char why[static WEIR_TLS_WHY_BYTES]);
/* What `from` holds, without references of its own. */
void weir_tls_pair_borrow(weir_tls_pair *pair, const weir_tls_pair *from);
void weir_tls_pair_release(weir_tls_pair *pair);
/* Puts chain and key into the context. */
bool weir_tls_pair_use(const weir_tls_pair *pair, SSL_CTX *context);

/* ---- file.c: small files, whole */

/* malloc()ed, with a NUL after it. False: errno; ERANGE when it is over `max_bytes`. */
bool weir_tls_file_read(weir_str path, size_t max_bytes, weir_str *text, weir_file_stamp *stamp);
/* Whether a file is as it was when it had that stamp; "data:…" and no name at all always are. */
bool weir_tls_file_is_unchanged(weir_str name, const weir_file_stamp *stamp);
/* Whether a name is itself what the file would hold. */
bool weir_tls_name_is_data(weir_str name);
/* Whether there is a name, and that of a file. */
bool weir_tls_name_is_file(weir_str name);
/* free(), after the bytes were wiped: they may be secret. */
void weir_tls_file_free(weir_str text);
/*
 * To read PEM from, which is borrowed; a byte order mark in front, which editors leave there, is
 * passed over.  NULL: no memory.
 */
BIO *weir_tls_pem_open(weir_str pem);

#define WEIR_TLS_PEM_MAX (16u << 20)

/* ---- settings.c */

/* Absolute, from the folder of the configuration file; "data:" and empty ones as they are. False: refused. */
bool weir_tls_path(weir_conf *conf, weir_str name, weir_str *path);

/* ---- trust.c: whose certificates are believed */

typedef struct weir_tls_trust {
    weir_str named, trusted, crl; /* absolute paths; empty: none */
    weir_file_stamp stamps[3];
    unsigned at_fault; /* after it could not be loaded: which of the three */
    X509_STORE *store;
    STACK_OF(CRYPTO_BUFFER) * names;       /* DER, of the authorities in `named`; may be NULL */
    uint8_t digest[WEIR_TLS_DIGEST_BYTES]; /* of the certificates and revocation lists */
    size_t index;                          /* in the store */
    weir_tls_loan *loan;
} weir_tls_trust;

typedef struct {
    weir_str named_pem, trusted_pem, crl_pem;
} weir_tls_trust_text;

bool weir_tls_trust_parse(weir_tls_trust *trust, const weir_tls_trust_text *text,
                          char why[static WEIR_TLS_WHY_BYTES]);
/* Reads the files: the texts, and their stamps in `trust`; to be freed also when it fails. */
bool weir_tls_trust_read(weir_tls_trust *trust, weir_tls_trust_text *text,
                         char why[static WEIR_TLS_WHY_BYTES]);
void weir_tls_trust_text_free(const weir_tls_trust_text *text);
bool weir_tls_trust_load(weir_tls_trust *trust, char why[static WEIR_TLS_WHY_BYTES]);
/* What `from` holds, without references of its own. */
void weir_tls_trust_borrow(weir_tls_trust *trust, const weir_tls_trust *from);
void weir_tls_trust_release(weir_tls_trust *trust);
/*
 * Verifies the peer's chain, as it stands in the handshake. X509_V_OK, or why not; a client
 * without a certificate is not asked about.  `trust` NULL: nobody is believed.
 */
long weir_tls_trust_verify(const weir_tls_trust *trust, const SSL *ssl, unsigned depth,
                           bool of_client);
/* The peer's certificates, the leaf first, to be freed; NULL: none, or they are broken. */
STACK_OF(X509) * weir_tls_peer_chain(const SSL *ssl);
/* Whether the peer's certificate is for this name or IP address. */
bool weir_tls_certificate_is_for(const SSL *ssl, weir_str name);
/* Errors that "optional_no_ca" lets pass: the chain leads to no authority that we know. */
bool weir_tls_error_is_optional(long error);

/* ---- names.c: OpenSSL's words for ciphers, groups and versions, as BoringSSL takes them */

/*
 * The words that BoringSSL knows, in its notation; the others are named in `dropped` (words that only
 * exclude what is not there, and suites of TLS 1.3, which cannot be chosen, are left out in silence). The
 * list is empty if nothing is left.  False: no memory.
 */
bool weir_tls_cipher_list(weir_pool *pool, weir_str words, const char **list, weir_str *dropped);
/* The same for groups; "auto" is our own order. */
bool weir_tls_group_list(weir_pool *pool, weir_str words, const char **list, weir_str *dropped);
/* "TLSv1.2" as one of WEIR_TLS_VERSION_...; 0: none. */
unsigned weir_tls_version_bit(weir_str word);

/* ---- profile.c: what settings make of a connection, whatever its certificate */

typedef struct weir_tls_profile {
    weir_str key; /* the words that it was made from */
    uint16_t min_version, max_version;
    uint32_t options; /* SSL_OP_... that are set; the others of WEIR_TLS_OPTIONS are cleared */
    const char *ciphers;
    const char *groups;
    const char *signatures; /* NULL: the library's */
    uint64_t tickets;       /* in TLS 1.3 */
    uint16_t record_bytes;
    uint32_t session_timeout_s;
    struct weir_log_file *key_log; /* NULL: none */
} weir_tls_profile;

#define WEIR_TLS_OPTIONS                                                                           \
    (SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_2 | SSL_OP_NO_TLSv1_3                   \
     | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET)

typedef struct {
    const char *prefix; /* of the directives, for messages: "ssl_" */
    unsigned protocols;
    weir_str ciphers, curves;
    const weir_array *commands;
    bool prefer_server_ciphers;
    bool no_tickets;
    size_t record_bytes;
    uint64_t session_timeout_s;
    weir_str key_log;
} weir_tls_profile_words;

/* Equal words give the same profile. NULL: refused. */
const weir_tls_profile *weir_tls_profile_get(weir_conf *conf, const weir_tls_profile_words *words);
/* A context with all of it. NULL: why is in BoringSSL's queue. */
SSL_CTX *weir_tls_profile_context(const weir_tls_profile *profile);
/* Sets on a connection what SSL_set_SSL_CTX() leaves as it was. */
bool weir_tls_profile_apply(const weir_tls_profile *profile, SSL *ssl);

#define WEIR_TLS_PAIRS_MAX 8 /* of one server: RSA, ECDSA with each curve, Ed25519 */

/* ---- store.c: what one configuration has of pairs, trusts, contexts, profiles */

typedef struct weir_tls_context weir_tls_context;

typedef struct {
    weir_cycle *cycle;
    weir_pool *pool;
    weir_map *profiles; /* by their words */
    weir_map *pairs;    /* by their names */
    weir_map *trusts;
    weir_map *contexts; /* by digest */
    weir_map *sessions; /* of ssl_session_cache, by zone */
    /* Of pointers; pairs and trusts are numbered alike in the master and in workers. */
    weir_array pair_list, trust_list, context_list, server_list;
    struct weir_zone *ticket_zone; /* NULL: nobody asked for it yet */
    uint64_t longest_session_s;
    weir_pool *loans; /* close together, for what is said at weir_tls_loan */
} weir_tls_store;

/* Made at first use; NULL, refused, without memory. */
weir_tls_store *weir_tls_store_of(weir_conf *conf);
/*
 * Loaded, or taken over unchanged from the cycle before; files as the configuration names them.
 * NULL: refused, at the name of the file that was at fault.
 */
weir_tls_pair *weir_tls_store_pair(weir_conf *conf, weir_str certificate, weir_str key,
                                   weir_str passwords);
weir_tls_trust *weir_tls_store_trust(weir_conf *conf, weir_str named, weir_str trusted,
                                     weir_str crl);
/* One like `wanted`, whose ctx is yet to be made. */
weir_tls_context *weir_tls_store_context(weir_conf *conf, const weir_tls_context *wanted);

/* ---- context.c: BoringSSL's contexts, shared by servers that are alike */

struct weir_tls_context {
    SSL_CTX *ctx;
    uint8_t digest[WEIR_TLS_DIGEST_BYTES]; /* of all that it was made from */
    const weir_tls_profile *profile;
    weir_tls_pair *pair;                          /* NULL: a bare one, without a certificate */
    uint8_t verify_digest[WEIR_TLS_DIGEST_BYTES]; /* the session id context */
    const weir_tls_trust *trust;                  /* that it is of; NULL: none */
    bool early_data;
    bool of_client;
    weir_tls_loan *loan;
};

/* Fills the digest from the rest. */
void weir_tls_context_digest(weir_tls_context *context);
/* (Re)makes ctx from the rest; the old one goes on where connections use it. */
bool weir_tls_context_make(weir_tls_context *context, char why[static WEIR_TLS_WHY_BYTES]);

/* ---- renew.c: files that change while we run */

/* Hears of it in workers. */
bool weir_tls_renew_prepare(weir_tls_store *store) WEIR_MUST_USE;
/* The master watches their files. */
bool weir_tls_renew_pair(weir_tls_store *store, weir_tls_pair *pair) WEIR_MUST_USE;
bool weir_tls_renew_trust(weir_tls_store *store, weir_tls_trust *trust) WEIR_MUST_USE;

/* ---- server.c */

struct weir_tls_server {
    weir_tls_context *contexts[WEIR_TLS_PAIRS_MAX]; /* one for each certificate */
    size_t context_count;
    bool has_certificate; /* else the only context is a bare one */
    const weir_tls_profile *profile;
    weir_tls_verify_mode verify;
    unsigned verify_depth;
    weir_tls_trust *trust; /* NULL: none */
    uint8_t verify_digest[WEIR_TLS_DIGEST_BYTES];
    bool early_data, rejects;
    const struct weir_tls_dynamic *dynamic;          /* paths with variables; NULL: none */
    const struct weir_tls_ticket_files *ticket_keys; /* NULL: the shared ones */
    const struct weir_zone *ticket_zone;             /* of those; NULL: no tickets */
    struct weir_tls_sessions *session_cache;         /* NULL: none */
    bool keeps_sessions_only_here; /* no tickets that hold sessions, but a cache */
};

/* Digests what decides about clients: mode, authorities, depth, revocation lists. */
void weir_tls_server_digest(weir_tls_server *server);
/* The context whose key the client can use. */
weir_tls_context *weir_tls_server_context(const weir_tls_server *server,
                                          const SSL_CLIENT_HELLO *hello);

/* ---- client.c */

struct weir_tls_client {
    const weir_tls_profile *profile;
    weir_tls_context *context;
    weir_tls_trust *trust; /* NULL: none */
    bool verify;
    unsigned verify_depth;
    bool session_reuse, sends_name;
    const struct weir_tls_dynamic *dynamic; /* NULL: none */
};

/* Sessions are forgotten: what was believed may no longer be. */
void weir_tls_client_forget(void);

/* ---- accept.c, client.c: the callbacks that a context has */

void weir_tls_accept_prepare(SSL_CTX *ctx);
void weir_tls_connect_prepare(SSL_CTX *ctx);

const weir_tls_profile *weir_tls_profile_of(const weir_tls *tls);

/* ---- dynamic.c: certificates whose paths have variables */

typedef struct weir_tls_dynamic weir_tls_dynamic;
/* NULL: refused. */
const weir_tls_dynamic *weir_tls_dynamic_new(weir_conf *conf, const char *family,
                                             const weir_array *certificates, const weir_array *keys,
                                             weir_str password_file,
                                             const weir_tls_certificate_cache *cache);
/* Loads the certificate, or has it, and shows it in this handshake. False: logged. */
bool weir_tls_dynamic_use(weir_tls *tls, const weir_tls_dynamic *dynamic, weir_script *script);

/* ---- ticket.c: sessions that clients keep, encrypted */

typedef struct weir_tls_ticket_files weir_tls_ticket_files;

extern const SSL_TICKET_AEAD_METHOD weir_tls_ticket_method;
/* The keys of ssl_session_ticket_key. NULL: refused. */
const weir_tls_ticket_files *weir_tls_ticket_files_load(weir_conf *conf, const weir_array *paths);
/* The keys that all workers share, and the chore that changes them. */
bool weir_tls_ticket_share(weir_conf *conf);

static inline weir_tls *weir_tls_of(const SSL *ssl)
{
    return SSL_get_app_data((SSL *) (uintptr_t) ssl);
}

#endif
