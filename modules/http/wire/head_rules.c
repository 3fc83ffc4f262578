#include "modules/http/wire/head_rules.h"

size_t weir_http_head_limit(const weir_http_core_conf *core)
{
    return core->client_header_buffer_size
           + core->large_client_header_buffers.count * core->large_client_header_buffers.size;
}

size_t weir_http_line_limit(const weir_http_core_conf *core)
{
    return core->client_header_buffer_size > core->large_client_header_buffers.size
               ? core->client_header_buffer_size
               : core->large_client_header_buffers.size;
}
