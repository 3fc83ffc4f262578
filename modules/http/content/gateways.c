/*
 * The temporary folders of protocols that weir does not speak: every packaged nginx.conf may name them.
 *
 *     fastcgi_temp_path /var/lib/nginx/fastcgi;
 */

#include "modules/http/engine/core_conf.h"

static bool temp_path_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    weir_str path;

    (void) settings;
    /* The folder is made, as nginx makes it, since other tools may rely on that. */
    return weir_http_temp_path(conf, statement, &path);
}

#define TEMP_PATH(name_)                                                                           \
    {                                                                                              \
        .name = name_, .where = WEIR_HTTP_ANYWHERE, .takes = WEIR_TAKES(1, 4),                     \
        .syntax = "path [level1 [level2 [level3]]]", .slot = WEIR_SLOT_ONLY_CALL(temp_path_call),  \
        .doc = "Accepted: weir does not speak this protocol. The folder is made.",                 \
    }

static const weir_directive gateways_directives[] = {
    TEMP_PATH("fastcgi_temp_path"),
    TEMP_PATH("uwsgi_temp_path"),
    TEMP_PATH("scgi_temp_path"),
    {0},
};

const weir_http_module weir_http_gateways = {
    .name = "http_gateways",
    .directives = gateways_directives,
};
