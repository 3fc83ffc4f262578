#ifndef WEIR_TLS_CLIENT_HELLO_H
#define WEIR_TLS_CLIENT_HELLO_H

#include <stdint.h>

#include "core/base/pool.h"
#include "core/base/result.h"
#include "core/base/str.h"

/*
 * Reads a ClientHello (RFC 8446, 4.1.2) without answering it: for who decides by it where a connection goes.  It may
 * be cut anywhere, into any number of records; also one of SSL 3 to TLS 1.2, or in the manner of SSL 2.
 */

/* The most that RFC 8446 allows is a little over 128 KiB; OpenSSL stops there, BoringSSL at 16 KiB. */
#define WEIR_CLIENT_HELLO_MAX (132 * 1024)

/* Slices of the bytes that were read, or of the pool. */
typedef struct {
    weir_str
        server_name;  /* as sent (RFC 6066, 3; of a hello with ECH the outer one); empty: none */
    weir_str alpn;    /* names, each with its length in a byte before it (RFC 7301, 3.1) */
    uint16_t version; /* the highest that is offered: 0x0304 is TLS 1.3; GREASE left out */
} weir_client_hello;

/* How far it got; zeroed before the first call. */
typedef struct {
    size_t next;     /* where the first record begins that is not complete yet */
    size_t gathered; /* bytes of the message in the records before */
    uint8_t head[4]; /* of the message: type and length, as they come */
} weir_client_hello_reader;

/*
 * Given all bytes so far.  OK: there is a whole hello.  WAIT: this may become one.  FAIL: it never does, as is said
 * at the first byte that shows it: it is another protocol, or malformed.  Nothing is logged.  What lies in several
 * records is put together in the pool; without memory for that it fails.
 */
weir_result weir_client_hello_read(weir_client_hello_reader *reader, weir_str bytes,
                                   weir_pool *pool, weir_client_hello *hello) WEIR_MUST_USE;

/* "TLSv1.3" ... "SSLv3", "SSLv2"; empty: none of them. */
weir_str weir_tls_version_name(uint16_t version);

#endif
