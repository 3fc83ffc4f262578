#include <errno.h>
#include <unistd.h>

#include "core/conf/conf_internal.h"

/* What the directive tables say, in Markdown and for a terminal. */

#define REFERENCE_MAX ((size_t) 16 << 20) /* bytes */

static void reference_add_choices(weir_builder *text, const weir_choice *choices,
                                  const char *between)
{
    for (const weir_choice *choice = choices; choice->name != NULL; choice++) {
        weir_builder_printf(text, "%s%s", choice == choices ? "" : between, choice->name);
    }
}

static void reference_add_syntax(weir_builder *text, const weir_directive *directive)
{
    if (directive->syntax != NULL) {
        weir_builder_add(text, weir_str_from_z(directive->syntax));
        return;
    }

    if (weir_conf_takes(directive).max == 0) {
        return;
    }

    switch (directive->slot.kind) {
    case WEIR_KIND_FLAG:
        weir_builder_add(text, WEIR_STR("on | off"));
        break;
    case WEIR_KIND_UINT:
        weir_builder_add(text, WEIR_STR("number"));
        break;
    case WEIR_KIND_SIZE:
    case WEIR_KIND_OFFSET:
        weir_builder_add(text, WEIR_STR("size"));
        break;
    case WEIR_KIND_MS:
    case WEIR_KIND_SECONDS:
        weir_builder_add(text, WEIR_STR("time"));
        break;
    case WEIR_KIND_STR_OR_OFF:
        weir_builder_add(text, WEIR_STR("text | off"));
        break;
    case WEIR_KIND_ENUM:
        reference_add_choices(text, directive->slot.choices, " | ");
        break;
    case WEIR_KIND_BITS:
        reference_add_choices(text, directive->slot.choices, " | ");
        weir_builder_add(text, WEIR_STR(" ..."));
        break;
    case WEIR_KIND_LIST:
        weir_builder_add(text, WEIR_STR("text ..."));
        break;
    case WEIR_KIND_SIZES:
        weir_builder_add(text, WEIR_STR("number size"));
        break;
    case WEIR_KIND_PATH:
        weir_builder_add(text, WEIR_STR("path"));
        break;
    case WEIR_KIND_STR:
    case WEIR_KIND_TEMPLATE:
        weir_builder_add(text, WEIR_STR("text"));
        break;
    case WEIR_KIND_NONE:
    case WEIR_KIND_CALL:
        weir_builder_add(text, WEIR_STR("..."));
        break;
    }
}

static void reference_add_usage(weir_builder *text, const weir_directive *directive)
{
    size_t before;

    weir_builder_add(text, weir_str_from_z(directive->name));
    weir_builder_add_byte(text, ' ');
    before = weir_builder_text(text).len;
    reference_add_syntax(text, directive);

    if (directive->block != WEIR_BLOCK_NONE) {
        bool has_arguments = weir_builder_text(text).len > before;

        weir_builder_add(text, has_arguments ? WEIR_STR(" { ... }") : WEIR_STR("{ ... }"));
    } else {
        weir_builder_add_byte(text, ';');
    }
}

weir_str weir_conf_usage(weir_pool *pool, const weir_directive *directive)
{
    weir_builder text;

    weir_builder_open(&text, pool, 4096);
    reference_add_usage(&text, directive);
    return weir_builder_cut(&text);
}

void weir_conf_add_contexts(weir_builder *text, const weir_modules *modules, uint32_t contexts)
{
    const char *before = "";

    for (WEIR_ARRAY_EACH(&modules->contexts, weir_context, context)) {
        if (contexts & context->bit) {
            weir_builder_printf(text, "%s%s", before, context->name);
            before = ", ";
        }
    }
}

/* ---- one directive, for a terminal */

static void reference_add_row(weir_builder *text, const weir_modules *modules,
                              const weir_conf_row *row)
{
    const weir_directive *directive = row->directive;

    weir_builder_add(text, WEIR_STR("Syntax:   "));
    reference_add_usage(text, directive);

    weir_builder_printf(text, "\nDefault:  %s\n",
                        directive->preset == NULL ? "-" : directive->preset);
    weir_builder_add(text, WEIR_STR("Context:  "));
    weir_conf_add_contexts(text, modules, directive->where);
    weir_builder_printf(text, "\nModule:   %s (%s)\n", row->plan->module->name,
                        row->plan->family->name);

    if (directive->doc != NULL) {
        weir_builder_printf(text, "\n%s\n", directive->doc);
    }

    if (directive->warning != NULL) {
        weir_builder_printf(text, "\nIt has no effect: %s\n", directive->warning);
    }
}

/* Writes all of it; false, logged, when that fails. */
static bool reference_write(weir_builder *text, int fd)
{
    weir_str rest;

    if (!weir_builder_close(text, &rest)) {
        weir_log_line(NULL, WEIR_LOG_EMERG, 0, "no memory for the reference");
        return false;
    }

    while (rest.len > 0) {
        ssize_t written = write(fd, rest.data, rest.len);

        if (written < 0 && errno == EINTR) {
            continue;
        }

        if (written < 0) {
            weir_log_line(NULL, WEIR_LOG_EMERG, errno, "write() failed");
            return false;
        }

        rest = weir_str_from(rest, (size_t) written);
    }

    return true;
}

bool weir_conf_print_directive(const weir_modules *modules, weir_str name, int fd)
{
    const weir_conf_row *row = weir_modules_rows(modules, name);
    weir_pool *pool;
    weir_builder text;
    bool is_written;

    if (row == NULL || (pool = weir_pool_new(4096, 0)) == NULL) {
        return false;
    }

    weir_builder_open(&text, pool, REFERENCE_MAX);
    for (; row != NULL; row = row->next) {
        reference_add_row(&text, modules, row);
        if (row->next != NULL) {
            weir_builder_add_byte(&text, '\n');
        }
    }

    is_written = reference_write(&text, fd);
    weir_pool_free(pool);
    return is_written;
}

/* ---- all of them, in Markdown */

static void reference_add_markdown(weir_builder *text, const weir_modules *modules,
                                   const weir_directive *directive)
{
    weir_builder_printf(text, "### %s\n\n", directive->name);

    if (directive->doc != NULL) {
        weir_builder_printf(text, "%s\n\n", directive->doc);
    }

    if (directive->warning != NULL) {
        weir_builder_printf(text, "Accepted without effect: %s.\n\n", directive->warning);
    }

    weir_builder_add(text, WEIR_STR("- syntax: `"));
    reference_add_usage(text, directive);
    weir_builder_add(text, WEIR_STR("`\n"));

    if (directive->preset != NULL) {
        weir_builder_printf(text, "- default: `%s %s;`\n", directive->name, directive->preset);
    }

    weir_builder_add(text, WEIR_STR("- context: "));
    weir_conf_add_contexts(text, modules, directive->where);
    weir_builder_add(text, WEIR_STR("\n\n"));
}

/* ---- what has become of nginx's */

/* By convention the sentence of a row that only accepts, or only refuses, begins with that word. */
static void reference_add_state(weir_builder *text, const weir_conf_nginx_name *name,
                                const weir_conf_row *row)
{
    weir_str doc;

    if (row == NULL) {
        weir_builder_printf(text, "refused: %s", weir_conf_nginx_reason(name));
        return;
    }
    doc = weir_str_from_z(row->directive->doc);
    if (row->directive->warning != NULL) {
        weir_builder_printf(text, "accepted with a warning: %s", row->directive->warning);
    } else if (weir_str_starts(doc, WEIR_STR("Accepted: "))) {
        weir_builder_printf(text, "accepted: %s", row->directive->doc + sizeof("Accepted: ") - 1);
    } else if (weir_str_starts(doc, WEIR_STR("Refused: "))) {
        weir_builder_printf(text, "refused: %s", row->directive->doc + sizeof("Refused: ") - 1);
    } else {
        weir_builder_add(text, WEIR_STR("works"));
    }
}

static void reference_add_nginx(weir_builder *text, const weir_modules *modules)
{
    const weir_conf_nginx_name *name;

    weir_builder_add(text,
                     WEIR_STR("## Directives of nginx, and what becomes of them\n\n"
                              "| directive | nginx's module | here |\n| --- | --- | --- |\n"));
    for (size_t i = 0; (name = weir_conf_nginx_at(i)) != NULL; i++) {
        weir_builder_printf(text, "| `%s` | %s | ", name->name, name->modules);
        reference_add_state(text, name, weir_modules_rows(modules, weir_str_from_z(name->name)));
        weir_builder_add(text, WEIR_STR(" |\n"));
    }
}

bool weir_conf_print_reference(const weir_modules *modules, int fd)
{
    const weir_module_entry *entry;
    weir_pool *pool = weir_pool_new(65536, 0);
    weir_builder text;
    bool is_written;

    if (pool == NULL) {
        return false;
    }

    weir_builder_open(&text, pool, REFERENCE_MAX);
    weir_builder_add(&text,
                     WEIR_STR("# Directives\n\nMade from the tables in the modules, by module."
                              "  Names, syntax and defaults are nginx's where\nnginx has the"
                              " directive.\n\n"));

    for (size_t i = 0; (entry = weir_modules_all(modules, i)) != NULL; i++) {
        const weir_directive *row = entry->module->directives;

        if (row == NULL || row->name == NULL) {
            continue;
        }

        weir_builder_printf(&text, "## %s: %s\n\n", entry->family, entry->module->name);
        for (; row->name != NULL; row++) {
            reference_add_markdown(&text, modules, row);
        }
    }

    reference_add_nginx(&text, modules);
    is_written = reference_write(&text, fd);
    weir_pool_free(pool);
    return is_written;
}
