/*
 * map, geo and split_clients: variables that depend on others; see the headers in modules/common.
 *
 *     map $ssl_preread_server_name $backend { a.example.org one; default two; }
 *     geo $is_near { default no; 10.0.0.0/8 yes; }
 *     split_clients $remote_addr $backend { 10% new; * old; }
 */

#include "modules/common/geo.h"
#include "modules/common/map.h"
#include "modules/common/split_clients.h"
#include "modules/stream/engine/core_conf.h"

static bool map_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    return weir_map_block_call(conf, weir_space_of(conf, "stream"), statement);
}

static bool geo_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    return weir_geo_block_call(conf, weir_space_of(conf, "stream"), WEIR_STR("remote_addr"),
                               WEIR_STR_EMPTY, statement);
}

static bool split_clients_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    (void) settings;
    return weir_split_clients_call(conf, weir_space_of(conf, "stream"), statement);
}

#define BLOCK(name_, min_, syntax_, call_, doc_)                                                   \
    {                                                                                              \
        .name = name_, .where = WEIR_STREAM_MAIN, .takes = WEIR_TAKES(min_, 2), .syntax = syntax_, \
        .block = WEIR_BLOCK_RAW, .slot = WEIR_SLOT_ONLY_CALL(call_), .doc = doc_                   \
    }
#define WITHOUT_EFFECT(name_)                                                                      \
    {                                                                                              \
        .name = name_, .where = WEIR_STREAM_MAIN, .doc = "Accepted: tables grow by themselves."    \
    }

static const weir_directive map_directives[] = {
    BLOCK("map", 2, "string $variable", map_call, "A variable whose value depends on a text."),
    BLOCK("geo", 1, "[$address] $variable", geo_call,
          "A variable whose value depends on an IP address."),
    BLOCK("split_clients", 2, "string $variable", split_clients_call,
          "A variable that takes its values by shares."),
    WITHOUT_EFFECT("map_hash_max_size"),
    WITHOUT_EFFECT("map_hash_bucket_size"),
    {0},
};

const weir_stream_module weir_stream_map = {
    .name = "stream_map",
    .directives = map_directives,
};
