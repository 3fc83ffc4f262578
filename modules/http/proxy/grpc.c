#include "modules/http/proxy/directives.h"

/*
 * grpc_pass: requests over HTTP/2 to an origin of gRPC, each way as it comes, with the trailers that gRPC puts its
 * status into.  It is proxy_pass with settings of its own, some of which have no directive.
 */

static const proxy_kind grpc_kind = {
    .module = &weir_http_grpc,
    .pass = "grpc_pass",
    .plain = WEIR_STR_INIT("grpc"),
    .tls = WEIR_STR_INIT("grpcs"),
    .tls_prefix = "grpc_ssl_",
};

static bool pass_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return proxy_pass_call(conf, settings, statement, &grpc_kind);
}

static bool set_header_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    return proxy_set_header_call(conf, settings, statement, &weir_http_grpc);
}

static const weir_directive grpc_directives[] = {
    {
        .name = "grpc_pass",
        .where = WEIR_HTTP_LOCATION | WEIR_HTTP_LOCATION_IF,
        .slot = WEIR_SLOT_CALL(proxy_conf, pass, pass_call),
        .takes = WEIR_TAKES(1, 1),
        .syntax = "address",
        .doc = "Passes requests on over HTTP/2, as gRPC wants it: to [grpc:// | grpcs://] and a "
               "group of servers, a host with its port, or a unix socket.",
    },
    PROXY_SHARED_DIRECTIVES("grpc_", set_header_call),
    {0},
};

static bool grpc_check(weir_conf *conf, const void *settings)
{
    /* These settings are not shared yet: what is made of them is kept with them. */
    proxy_conf *grpc = (proxy_conf *) (uintptr_t) settings;

    grpc->http_version = WEIR_HTTP_20;
    grpc->pass_request_headers = grpc->pass_request_body = grpc->pass_trailers = true;
    grpc->redirects.is_off = true;
    return grpc->pass.location == NULL || proxy_settle(conf, grpc, &grpc_kind);
}

const weir_http_module weir_http_grpc = {
    .name = "http_grpc",
    .directives = grpc_directives,
    .conf_size = sizeof(proxy_conf),
    .check = grpc_check,
    .phases = 1u << WEIR_HTTP_PHASE_CONTENT,
    .judge = proxy_judge,
    .applies = proxy_applies,
    .takes_body = true,
};
