#include "core/conf/conf_internal.h"

/* Whose statement it is, and whether it is written as its row says. */

#define LOOKUP_NAMES_MAX 1024 /* bytes */

/* "it is allowed in: http, server; this is location, which began in line 5": a "}" may be missing there. */
static weir_str lookup_where_hint(weir_conf *conf, const weir_conf_row *rows, uint32_t context,
                                  const weir_statement *block)
{
    const weir_context *here = weir_modules_context(conf->home.modules, context);
    weir_builder names;
    uint32_t where = 0;

    for (const weir_conf_row *row = rows; row != NULL; row = row->next) {
        where |= row->directive->where;
    }

    weir_builder_open(&names, conf->temp_pool, LOOKUP_NAMES_MAX);
    weir_conf_add_contexts(&names, conf->home.modules, where);

    if (block == NULL) {
        return weir_conf_hint(conf, "it is allowed in: %.*s; this is %s",
                              WEIR_STR_ARG(weir_builder_cut(&names)), here->name);
    }
    return weir_conf_hint(conf, "it is allowed in: %.*s; this is %s, which began in line %u",
                          WEIR_STR_ARG(weir_builder_cut(&names)), here->name, block->line);
}

static bool lookup_unknown(weir_conf *conf, const weir_statement *statement, uint32_t context)
{
    weir_str name = statement->args[0];
    const weir_conf_nginx_name *of_nginx = weir_conf_nginx_find(name);
    weir_str hint = WEIR_STR_EMPTY;

    if (of_nginx != NULL) {
        hint = weir_conf_hint(conf, "nginx has it (%s), weir does not: %s", of_nginx->modules,
                              weir_conf_nginx_reason(of_nginx));
    } else {
        weir_str near = weir_conf_near_name(conf->home.modules, name, context);

        if (!weir_str_is_empty(near)) {
            hint = weir_conf_hint(conf, "did you mean \"%.*s\"?", WEIR_STR_ARG(near));
        }
    }

    return weir_conf_refuse_hint(conf, statement, 0, hint, "unknown directive \"%.*s\"",
                                 WEIR_STR_ARG(name));
}

const weir_conf_row *weir_conf_look_up(weir_conf *conf, const weir_statement *statement,
                                       uint32_t context, const weir_statement *block)
{
    weir_str name = statement->args[0];
    const weir_conf_row *rows = weir_modules_rows(conf->home.modules, name);

    for (const weir_conf_row *row = rows; row != NULL; row = row->next) {
        if (row->directive->where & context) {
            return row;
        }
    }

    if (rows == NULL) {
        lookup_unknown(conf, statement, context);
    } else {
        weir_conf_refuse_hint(conf, statement, 0, lookup_where_hint(conf, rows, context, block),
                              "\"%.*s\" directive is not allowed here", WEIR_STR_ARG(name));
    }

    return NULL;
}

static bool lookup_check_count(weir_conf *conf, const weir_statement *statement)
{
    weir_takes takes = weir_conf_takes(statement->directive);
    size_t given = statement->count - 1;

    if (given >= takes.min && (given <= takes.max || takes.max == UINT8_MAX)) {
        return true;
    }

    return weir_conf_refuse_hint(
        conf, statement, 0,
        weir_conf_hint(conf, "it is written as: %.*s",
                       WEIR_STR_ARG(weir_conf_usage(conf->temp_pool, statement->directive))),
        "invalid number of arguments in \"%s\" directive", statement->directive->name);
}

static bool lookup_check_block(weir_conf *conf, const weir_statement *statement)
{
    const weir_directive *directive = statement->directive;
    bool wants_block = directive->block != WEIR_BLOCK_NONE;

    if (wants_block && !statement->has_block) {
        return weir_conf_refuse_arg(conf, statement, 0, "directive \"%s\" has no opening \"{\"",
                                    directive->name);
    }

    if (!wants_block && statement->has_block) {
        return weir_conf_refuse_arg(conf, statement, 0,
                                    "directive \"%s\" is not terminated by \";\"", directive->name);
    }

    return true;
}

bool weir_conf_check_form(weir_conf *conf, const weir_statement *statement)
{
    return lookup_check_block(conf, statement) && lookup_check_count(conf, statement);
}
