#ifndef WEIR_HTTP_GZIP_INTERNAL_H
#define WEIR_HTTP_GZIP_INTERNAL_H

#include "modules/http/engine/module.h"

/* What gzip, gzip_static and gunzip say to one another: what clients take is decided by gzip's directives for all. */

/* Whether the client takes gzip, and gzip_http_version, gzip_disable and gzip_proxied let it have it. */
bool weir_http_gzip_is_welcome(const weir_http_exchange *ex);

/* Tells caches by Vary that there is more than one form, where gzip_vary is on. False: no memory. */
bool weir_http_gzip_vary(weir_http_exchange *ex) WEIR_MUST_USE;

#endif
