/*
 * ClientHellos: whatever the bytes, none too many is read; what was decided on a prefix is not decided otherwise on more;
 * and BoringSSL's server sees the same name, version and protocols.
 */

#include <stddef.h>
#include <stdint.h>

#include "t/unit/hello_unit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static SSL_CTX *server;
static hello_seen seen;

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_str bytes = weir_str_of((const char *) data, size);
    weir_client_hello_reader at_once = {.next = 0}, growing = {.next = 0};
    weir_client_hello whole, part;
    weir_pool *pool = weir_pool_new(4096, 0);
    weir_result result = weir_client_hello_read(&at_once, bytes, pool, &whole);
    weir_result before = WEIR_WAIT;
    size_t step = size > 512 ? size / 256 : 1;

    if (server == NULL) {
        server = hello_server();
    }
    for (size_t len = 0; len < size && before == WEIR_WAIT; len += step) {
        before = weir_client_hello_read(&growing, weir_str_slice(bytes, 0, len), pool, &part);
    }
    if (before != WEIR_WAIT) {
        check(before == result);
    }
    if (before == WEIR_OK) {
        check(weir_str_eq(part.server_name, whole.server_name) && weir_str_eq(part.alpn, whole.alpn)
              && part.version == whole.version);
    }
    hello_compare(server, bytes, &seen);
    weir_pool_free(pool);
    return 0;
}
