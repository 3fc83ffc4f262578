#ifndef WEIR_HTTP_ENGINE_SSL_H
#define WEIR_HTTP_ENGINE_SSL_H

#include "core/tls/settings.h"
#include "modules/http/engine/module.h"

/* The ssl_ directives of http servers, and the variables that go with them. */
typedef struct {
    weir_tls_server_conf tls;
} weir_http_ssl_conf;

extern const weir_http_module weir_http_ssl;

#endif
