#include "modules/common/bind.h"

#include "core/process/worker.h"

/* With a port, or without. */
static bool bind_parse(weir_str text, weir_addr *addr)
{
    return weir_addr_parse_ip(text, addr) || weir_addr_parse(text, 0, addr);
}

bool weir_bind_call(weir_conf *conf, weir_bind *bind, const char *space,
                    const weir_statement *statement)
{
    weir_str text = statement->args[1];
    weir_addr addr;

    bind->addr = NULL;
    bind->is_transparent = statement->count == 3;
    if (statement->count == 3 && !weir_str_eq(statement->args[2], WEIR_STR("transparent"))) {
        return weir_conf_refuse_arg(conf, statement, 2, "invalid parameter \"%.*s\"",
                                    WEIR_STR_ARG(statement->args[2]));
    }
    if (weir_str_eq(text, WEIR_STR("off"))) {
        return true;
    }
    if (weir_str_find_byte(text, '$') == NULL && !bind_parse(text, &addr)) {
        return weir_conf_refuse_arg(conf, statement, 1, "invalid address \"%.*s\"",
                                    WEIR_STR_ARG(text));
    }
    if (bind->is_transparent && !weir_worker_needs_transparent(weir_conf_cycle(conf))) {
        return weir_conf_refuse(conf, "no memory for \"%.*s\"", WEIR_STR_ARG(statement->args[0]));
    }
    bind->addr = weir_template_new(conf, weir_space_of(conf, space), text);
    return bind->addr != NULL;
}

void weir_bind_apply(const weir_bind *bind, weir_str text, weir_connect_options *options,
                     const weir_log *log)
{
    if (text.len == 0) {
        return;
    }
    if (!bind_parse(text, &options->bind_addr)) {
        weir_log_line(log, WEIR_LOG_ERR, 0, "invalid local address \"%.*s\"", WEIR_STR_ARG(text));
        return;
    }
    options->transparent = bind->is_transparent;
}
