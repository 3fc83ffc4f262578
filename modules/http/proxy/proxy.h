#ifndef WEIR_HTTP_PROXY_PROXY_H
#define WEIR_HTTP_PROXY_PROXY_H

#include "modules/http/engine/module.h"

/* upstream { }, and proxy_pass with all that belongs to it. */
extern const weir_http_module weir_http_upstream;
extern const weir_http_module weir_http_proxy;
/* grpc_pass, the same over HTTP/2 for gRPC. */
extern const weir_http_module weir_http_grpc;
/* tunnel_pass, for CONNECT. */
extern const weir_http_module weir_http_tunnel;

#endif
