#ifndef WEIR_HTTP_WIRE_H2_OPTION_H
#define WEIR_HTTP_WIRE_H2_OPTION_H

#include <nghttp2/nghttp2.h>

/* How nghttp2 is to behave, toward clients and origins alike.  The caller deletes it; NULL: no memory. */
nghttp2_option *h2_option_new(void);

#endif
