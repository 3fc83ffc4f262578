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

bool weir_http_name_is_plain(weir_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = weir_byte_lower(name.data[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')) {
            return false;
        }
    }
    return true;
}
