/*
 * PROXY headers: whatever the bytes, no byte too many is read; what was decided on a prefix is not
 * decided otherwise on more; and what was read can be written and read again.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/net/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static bool same(const weir_proxy_header *a, const weir_proxy_header *b)
{
    return a->len == b->len && weir_addr_eq(&a->peer, &b->peer)
           && weir_addr_eq(&a->local, &b->local) && weir_str_eq(a->tlvs, b->tlvs);
}

static void check_written(const weir_proxy_header *header)
{
    char text[WEIR_PROXY_V1_MAX];
    weir_builder builder;
    weir_proxy_header again;
    weir_str line;

    weir_builder_over(&builder, text, sizeof(text));
    weir_proxy_protocol_write_v1(&builder, &header->peer, &header->local);
    check(weir_builder_close(&builder, &line));
    check(weir_proxy_protocol_parse(line, &again) == WEIR_OK);
    check(again.len == line.len);
    if (again.peer.len != 0) {
        check(weir_addr_eq(&again.peer, &header->peer));
        check(weir_addr_eq(&again.local, &header->local));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_str bytes = weir_str_of((const char *) data, size);
    weir_proxy_header whole, part;
    weir_result result = weir_proxy_protocol_parse(bytes, &whole);
    size_t step = size > 512 ? size / 256 : 1;

    for (size_t len = 0; len < size; len += step) {
        weir_result before = weir_proxy_protocol_parse(weir_str_slice(bytes, 0, len), &part);

        switch (before) {
        case WEIR_FAIL:
            check(result == WEIR_FAIL);
            break;
        case WEIR_OK:
            check(result == WEIR_OK && same(&whole, &part));
            break;
        case WEIR_WAIT:
            check(result != WEIR_OK || len < whole.len);
            break;
        }
    }

    if (result == WEIR_OK) {
        check(whole.len <= size && whole.len <= WEIR_PROXY_HEADER_MAX);
        check_written(&whole);
    }
    check(result != WEIR_WAIT || size < WEIR_PROXY_HEADER_MAX);
    return 0;
}
