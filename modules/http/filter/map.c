/*
 * map, geo and split_clients: variables that depend on others; see the headers in modules/common.
 *
 *     map $http_upgrade $connection_upgrade { default upgrade; "" close; }
 *     geo $is_near { default no; 10.0.0.0/8 yes; }
 *     split_clients $remote_addr $variant { 10% new; * old; }
 */

#include "modules/common/geo.h"
#include "modules/common/map.h"
#include "modules/common/split_clients.h"
#include "modules/http/engine/module.h"

static bool map_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    return weir_map_block_call(conf, weir_space_of(conf, "http"), statement);
}

static bool geo_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    return weir_geo_block_call(conf, weir_space_of(conf, "http"), WEIR_STR("remote_addr"),
                               WEIR_STR("http_x_forwarded_for"), statement);
}

static bool split_clients_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    return weir_split_clients_call(conf, weir_space_of(conf, "http"), statement);
}

static const weir_directive map_directives[] = {
    {
        .name = "map",
        .where = WEIR_HTTP_MAIN,
        .takes = WEIR_TAKES(2, 2),
        .syntax = "string $variable",
        .block = WEIR_BLOCK_RAW,
        .slot = WEIR_SLOT_ONLY_CALL(map_call),
        .doc = "A variable whose value depends on a text.",
    },
    {
        .name = "geo",
        .where = WEIR_HTTP_MAIN,
        .takes = WEIR_TAKES(1, 2),
        .syntax = "[$address] $variable",
        .block = WEIR_BLOCK_RAW,
        .slot = WEIR_SLOT_ONLY_CALL(geo_call),
        .doc = "A variable whose value depends on an IP address.",
    },
    {
        .name = "split_clients",
        .where = WEIR_HTTP_MAIN,
        .takes = WEIR_TAKES(2, 2),
        .syntax = "string $variable",
        .block = WEIR_BLOCK_RAW,
        .slot = WEIR_SLOT_ONLY_CALL(split_clients_call),
        .doc = "A variable that takes its values by shares.",
    },
    {
        .name = "map_hash_max_size",
        .where = WEIR_HTTP_MAIN,
        .doc = "Accepted: tables grow by themselves.",
    },
    {
        .name = "map_hash_bucket_size",
        .where = WEIR_HTTP_MAIN,
        .doc = "Accepted: tables grow by themselves.",
    },
    {0},
};

const weir_http_module weir_http_map = {
    .name = "http_map",
    .directives = map_directives,
};
