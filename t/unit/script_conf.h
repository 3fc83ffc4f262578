/*
 * A configuration that is made of nothing but a pool, for the tests of core/script: statements are
 * given by hand, refusals are kept to be looked at.
 *
 * Defines what core/conf would, so a program may include it once, and links nothing of core/conf.
 */

#ifndef WEIR_UNIT_SCRIPT_CONF_H
#define WEIR_UNIT_SCRIPT_CONF_H

#include <stdarg.h>
#include <stdio.h>

#include "core/conf/conf.h"

struct weir_conf {
    weir_pool *pool;
    const weir_statement *statement;
    char message[512]; /* of the last refusal; empty */
    char hint[128];
    const weir_statement *refused_statement;
    size_t refused_arg;
    unsigned notices;
    struct {
        const void *key;
        void *what;
    } kept[4];
    size_t kept_count;
};

weir_pool *weir_conf_pool(weir_conf *conf)
{
    return conf->pool;
}

const weir_statement *weir_conf_statement(weir_conf *conf)
{
    return conf->statement;
}

void *weir_conf_kept(const weir_conf *conf, const void *key)
{
    for (size_t i = 0; i < conf->kept_count; i++) {
        if (conf->kept[i].key == key) {
            return conf->kept[i].what;
        }
    }

    return NULL;
}

bool weir_conf_keep(weir_conf *conf, const void *key, void *what)
{
    if (conf->kept_count == WEIR_COUNT(conf->kept)) {
        return false;
    }

    conf->kept[conf->kept_count].key = key;
    conf->kept[conf->kept_count++].what = what;
    return true;
}

bool weir_conf_refuse(weir_conf *conf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(conf->message, sizeof(conf->message), format, args);
    va_end(args);
    conf->refused_statement = conf->statement;
    conf->refused_arg = 0;
    return false;
}

bool weir_conf_refuse_hint(weir_conf *conf, const weir_statement *statement, size_t arg,
                           weir_str hint, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(conf->message, sizeof(conf->message), format, args);
    va_end(args);
    snprintf(conf->hint, sizeof(conf->hint), "%.*s", WEIR_STR_ARG(hint));
    conf->refused_statement = statement;
    conf->refused_arg = arg;
    return false;
}

void weir_conf_notice(weir_conf *conf, const char *format, ...)
{
    (void) format;
    conf->notices++;
}

#endif
