#ifndef WEIR_HTTP_WIRE_H2_TEXT_H
#define WEIR_HTTP_WIRE_H2_TEXT_H

#include <nghttp2/nghttp2.h>

#include "core/base/str.h"

/* The name or value of a field, as nghttp2 has it: for as long as the callback runs. */
static inline weir_str h2_text(nghttp2_rcbuf *buffer)
{
    nghttp2_vec bytes = nghttp2_rcbuf_get_buf(buffer);

    return weir_str_of((const char *) bytes.base, bytes.len);
}

#endif
