/*
 * limit_except: settings for all methods but some.
 *
 *     limit_except GET {
 *         allow 10.0.0.0/8;
 *         deny  all;
 *     }
 */

#include "modules/http/engine/core_conf.h"

static bool read_methods(weir_conf *conf, const weir_statement *statement, uint32_t *methods)
{
    *methods = 0;
    for (size_t i = 1; i < statement->count; i++) {
        weir_http_method method = weir_http_method_find(statement->args[i]);

        if (method == WEIR_HTTP_METHOD_OTHER) {
            return weir_conf_refuse_arg(conf, statement, i, "invalid method \"%.*s\"",
                                        WEIR_STR_ARG(statement->args[i]));
        }
        *methods |= 1u << method;
        if (method == WEIR_HTTP_GET) {
            *methods |= 1u << WEIR_HTTP_HEAD;
        }
    }
    return true;
}

static weir_level *limit_enter(weir_conf *conf, weir_level *outer, const weir_statement *statement)
{
    weir_http_location *location = weir_http_conf_location(conf);
    weir_http_location *limited =
        weir_http_location_new(conf, weir_http_conf_server(conf), location, NULL);

    if (limited == NULL || !read_methods(conf, statement, &location->limited_methods)) {
        return NULL;
    }
    limited->level = weir_level_new(conf, outer, limited);
    location->limited = limited;
    return limited->level;
}

static bool limit_leave(weir_conf *conf, weir_level *level, const weir_statement *statement)
{
    (void) statement;
    return weir_http_location_settle(conf, level->owner);
}

static const weir_directive limit_directives[] = {
    {
        .name = "limit_except",
        .where = WEIR_HTTP_LOCATION,
        .takes = WEIR_TAKES_SOME,
        .syntax = "method ...",
        .block = WEIR_BLOCK_LEVEL,
        .opens = WEIR_HTTP_LIMIT_EXCEPT,
        .enter = limit_enter,
        .leave = limit_leave,
        .doc = "Settings for requests with other methods than these.",
    },
    {0},
};

const weir_http_module weir_http_limit_except = {
    .name = "http_limit_except",
    .directives = limit_directives,
};
