/* BoringSSL's contexts: one for each certificate and profile, shared by servers that are alike. */

#include "core/tls/tls_internal.h"

#include <openssl/sha.h>
#include <stdio.h>

static void digest_name(SHA256_CTX *sha, weir_str name)
{
    SHA256_Update(sha, name.data, name.len);
    SHA256_Update(sha, "", 1);
}

/*
 * Beside what they hold, the names of files count: of two that are equal now one may be renewed, and its
 * context is then no longer the other's.
 */
void weir_tls_context_digest(weir_tls_context *context)
{
    const uint8_t flags[2] = {context->early_data, context->of_client};
    SHA256_CTX sha;

    SHA256_Init(&sha);
    SHA256_Update(&sha, context->profile->key.data, context->profile->key.len);
    SHA256_Update(&sha, context->verify_digest, sizeof(context->verify_digest));
    SHA256_Update(&sha, flags, sizeof(flags));
    if (context->pair != NULL) {
        SHA256_Update(&sha, context->pair->digest, sizeof(context->pair->digest));
        digest_name(&sha, context->pair->certificate);
        digest_name(&sha, context->pair->key);
    }
    if (context->trust != NULL) {
        digest_name(&sha, context->trust->named);
        digest_name(&sha, context->trust->trusted);
        digest_name(&sha, context->trust->crl);
    }
    SHA256_Final(context->digest, &sha);
}

static bool context_fill(const weir_tls_context *context, SSL_CTX *ctx)
{
    if (context->pair != NULL && !weir_tls_pair_use(context->pair, ctx)) {
        return false;
    }
    if (context->of_client) {
        weir_tls_connect_prepare(ctx);
        return true;
    }
    SSL_CTX_set_early_data_enabled(ctx, context->early_data);
    weir_tls_accept_prepare(ctx);
    return SSL_CTX_set_session_id_context(ctx, context->verify_digest,
                                          sizeof(context->verify_digest));
}

bool weir_tls_context_make(weir_tls_context *context, char why[static WEIR_TLS_WHY_BYTES])
{
    SSL_CTX *ctx = weir_tls_profile_context(context->profile);
    char error[160];

    if (ctx == NULL || !context_fill(context, ctx)) {
        weir_tls_error_text(error, sizeof(error));
        snprintf(why, WEIR_TLS_WHY_BYTES, "SSL_CTX_new() failed (SSL: %s)", error);
        SSL_CTX_free(ctx);
        return false;
    }
    SSL_CTX_free(context->ctx);
    context->ctx = ctx;
    return true;
}
