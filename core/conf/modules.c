#include "core/conf/module.h"

#include <dlfcn.h>

#include "core/conf/conf_internal.h"
#include "weir_abi.h"
#include "weir_auto_config.h"

#define MODULES_EXPECTED_ROWS 512

static const weir_context modules_core_contexts[] = {
    {WEIR_MAIN, "main", NULL},
    {WEIR_EVENTS, "events", NULL},
    {0, NULL, NULL},
};

/* ---- finding */

static weir_str modules_key(const weir_module *const *module)
{
    return weir_str_of((const char *) module, sizeof(*module));
}

const weir_conf_plan *weir_modules_plan(const weir_modules *modules, const weir_module *module)
{
    return weir_map_find(modules->plans, modules_key(&module));
}

weir_conf_family *weir_modules_family(const weir_modules *modules, const char *name)
{
    weir_conf_family *family = modules->families;

    while (family != NULL && strcmp(family->name, name) != 0) {
        family = family->next;
    }

    return family;
}

const weir_conf_row *weir_modules_rows(const weir_modules *modules, weir_str name)
{
    return weir_map_find(modules->rows, name);
}

const weir_context *weir_modules_context(const weir_modules *modules, uint32_t bit)
{
    for (WEIR_ARRAY_EACH(&modules->contexts, weir_context, context)) {
        if (context->bit == bit) {
            return context;
        }
    }

    return NULL;
}

const weir_module *const *weir_modules_of(const weir_modules *modules, const char *family,
                                          size_t *count)
{
    const weir_conf_family *found = weir_modules_family(modules, family);

    *count = found == NULL ? 0 : found->modules.count;
    return found == NULL ? NULL : found->modules.items;
}

size_t weir_modules_index(const weir_modules *modules, const weir_module *module)
{
    const weir_conf_plan *plan = weir_modules_plan(modules, module);

    return plan == NULL ? SIZE_MAX : plan->index;
}

const weir_module_entry *weir_modules_all(const weir_modules *modules, size_t i)
{
    return i < modules->entries.count ? WEIR_ARRAY_AT(&modules->entries, weir_module_entry, i)
                                      : NULL;
}

/* ---- adding.  These return what is wrong, or NULL. */

static const char modules_no_memory[] = "there is no memory for it";

static weir_conf_family *modules_get_family(weir_modules *modules, const char *name)
{
    weir_conf_family *family = weir_modules_family(modules, name);

    if (family == NULL) {
        family = WEIR_NEW(modules->pool, weir_conf_family);
        if (family != NULL) {
            family->name = name;
            weir_array_init(&family->plans, modules->pool, sizeof(weir_conf_plan *), 16);
            weir_array_init(&family->modules, modules->pool, sizeof(const weir_module *), 16);
            family->next = modules->families;
            modules->families = family;
        }
    }

    return family;
}

static const char *modules_add_context(weir_modules *modules, const weir_context *context,
                                       const char *family)
{
    const weir_context *known = weir_modules_context(modules, context->bit);
    weir_context *added;

    family = context->family == NULL ? family : context->family;

    if (known != NULL) {
        return "its context has the bit of another one";
    }

    added = weir_array_push(&modules->contexts);
    if (added == NULL || modules_get_family(modules, family) == NULL) {
        return modules_no_memory;
    }

    *added = (weir_context){context->bit, context->name, family};
    return NULL;
}

static const char *modules_add_contexts(weir_modules *modules, const weir_context *contexts,
                                        const char *family)
{
    const char *fault = NULL;

    for (; contexts != NULL && contexts->bit != 0 && fault == NULL; contexts++) {
        fault = modules_add_context(modules, contexts, family);
    }

    return fault;
}

/* The member that the row's slot fills, in `*index`. */
static const char *modules_add_member(weir_conf_plan *plan, const weir_directive *row,
                                      size_t *index)
{
    const weir_slot *slot = &row->slot;
    weir_conf_member *member;

    *index = WEIR_CONF_NO_MEMBER;
    if (slot->bytes == 0) {
        return row->preset == NULL ? NULL : "a directive without a member has a preset";
    }

    if (slot->bytes > plan->module->conf_size
        || slot->offset > plan->module->conf_size - slot->bytes) {
        return "a directive's member is outside of its settings";
    }

    if (row->inherit == WEIR_INHERIT_APPEND && slot->kind != WEIR_KIND_LIST) {
        return "a directive appends to what is no list";
    }

    for (size_t i = 0; i < plan->members.count; i++) {
        member = WEIR_ARRAY_AT(&plan->members, weir_conf_member, i);

        if (slot->offset == member->offset && slot->bytes == member->bytes) {
            if (row->inherit != member->inherit) {
                return "directives of one member inherit it differently";
            }

            member->preset = member->preset == NULL && row->preset != NULL ? row : member->preset;
            *index = i;
            return NULL;
        }

        if (slot->offset < member->offset + member->bytes
            && member->offset < slot->offset + slot->bytes) {
            return "members of directives overlap";
        }
    }

    member = weir_array_push(&plan->members);
    if (member == NULL) {
        return modules_no_memory;
    }

    *member = (weir_conf_member){
        .offset = slot->offset,
        .bytes = slot->bytes,
        .inherit = row->inherit,
        .row = row,
        .preset = row->preset == NULL ? NULL : row,
    };
    *index = plan->members.count - 1;
    return NULL;
}

static const char *modules_check_row(const weir_directive *row)
{
    bool has_level = row->block == WEIR_BLOCK_LEVEL;

    if (has_level != (row->enter != NULL) || has_level != (row->opens != 0)) {
        return "LEVEL blocks, and no others, have \"enter\" and \"opens\"";
    }

    if (row->block == WEIR_BLOCK_RAW && row->slot.kind != WEIR_KIND_CALL) {
        return "a RAW block has no call";
    }

    if (row->slot.kind == WEIR_KIND_CALL && row->slot.call == NULL) {
        return "a directive's call is missing";
    }

    if (row->at_once && (has_level || row->where != WEIR_MAIN)) {
        return "what is applied at once is no block, and in the main context";
    }

    return NULL;
}

static const char *modules_add_row(weir_modules *modules, weir_conf_plan *plan,
                                   const weir_directive *directive)
{
    weir_str name = weir_str_from_z(directive->name);
    weir_conf_row *row = WEIR_NEW(modules->pool, weir_conf_row);
    weir_conf_row *last = weir_map_find(modules->rows, name);
    const char *fault = modules_check_row(directive);

    if (row == NULL) {
        return modules_no_memory;
    }

    row->directive = directive;
    row->plan = plan;

    if (fault == NULL) {
        fault = modules_add_member(plan, directive, &row->member);
    }

    if (fault != NULL) {
        return fault;
    }

    for (const weir_conf_row *other = last; other != NULL; other = other->next) {
        if (other->directive->where & directive->where) {
            return "a directive of that name is there already";
        }
    }

    /* The first one stays at the head: where a name is asked for, its module answers first. */
    if (last == NULL) {
        return weir_map_put(modules->rows, name, row) ? NULL : modules_no_memory;
    }

    row->next = last->next;
    last->next = row;
    return NULL;
}

static const char *modules_add_plan(weir_modules *modules, const char *family_name,
                                    const weir_module *module)
{
    weir_conf_family *family = modules_get_family(modules, family_name);
    weir_conf_plan *plan = WEIR_NEW(modules->pool, weir_conf_plan);
    weir_conf_plan **listed;
    const weir_module **listed_module;
    const char *fault = NULL;

    if (family == NULL || plan == NULL || (listed = weir_array_push(&family->plans)) == NULL
        || (listed_module = weir_array_push(&family->modules)) == NULL) {
        return modules_no_memory;
    }

    *listed = plan;
    *listed_module = module;
    plan->module = module;
    plan->family = family;
    plan->index = family->plans.count - 1;
    weir_array_init(&plan->members, modules->pool, sizeof(weir_conf_member), 8);

    if (!weir_map_put(modules->plans, modules_key(&plan->module), plan)) {
        return modules_no_memory;
    }

    for (const weir_directive *row = module->directives;
         row != NULL && row->name != NULL && fault == NULL; row++) {
        fault = modules_add_row(modules, plan, row);
    }

    return fault;
}

static const char *modules_add(weir_modules *modules, const weir_module_entry *entry)
{
    weir_module_entry *added;
    const char *fault;

    for (WEIR_ARRAY_EACH(&modules->entries, weir_module_entry, other)) {
        if (strcmp(other->family, entry->family) == 0
            && strcmp(other->module->name, entry->module->name) == 0) {
            return "it is loaded already";
        }
    }

    added = weir_array_push(&modules->entries);
    if (added == NULL) {
        return modules_no_memory;
    }

    *added = *entry;
    fault = modules_add_contexts(modules, entry->module->contexts, entry->family);
    return fault == NULL ? modules_add_plan(modules, entry->family, entry->module) : fault;
}

weir_modules *weir_modules_new_of(weir_pool *pool, const weir_module_entry *entries)
{
    weir_modules *modules = WEIR_NEW(pool, weir_modules);
    const char *fault;

    if (modules == NULL) {
        return NULL;
    }

    modules->pool = pool;
    modules->rows = weir_map_new(pool, false, MODULES_EXPECTED_ROWS);
    modules->plans = weir_map_new(pool, false, 64);
    weir_array_init(&modules->entries, pool, sizeof(weir_module_entry), 64);
    weir_array_init(&modules->contexts, pool, sizeof(weir_context), 16);

    if (modules->rows == NULL || modules->plans == NULL
        || modules_add_contexts(modules, modules_core_contexts, "core") != NULL) {
        return NULL;
    }

    for (; entries->module != NULL; entries++) {
        fault = modules_add(modules, entries);
        if (fault != NULL) {
            weir_log_line(NULL, WEIR_LOG_EMERG, 0, "module \"%s\" cannot be used: %s",
                          entries->module->name, fault);
            return NULL;
        }
    }

    return modules;
}

const weir_tool *weir_tools_at(const weir_module_entry *entries, size_t i)
{
    for (const weir_module_entry *entry = entries; entry->module != NULL; entry++) {
        const weir_tool *tool = entry->module->tools;

        for (; tool != NULL && tool->name != NULL; tool++) {
            if (i-- == 0) {
                return tool;
            }
        }
    }

    return NULL;
}

weir_modules *weir_modules_new(weir_pool *pool)
{
    return weir_modules_new_of(pool, weir_static_modules);
}

/* ---- load_module */

static void modules_close(void *handle)
{
    dlclose(handle);
}

static bool modules_add_dynamic(weir_conf *conf, weir_str path, const weir_dynamic_module *dynamic)
{
    if (dynamic == NULL) {
        return weir_conf_refuse(conf, "\"%.*s\" is no module of weir", WEIR_STR_ARG(path));
    }

    if (strcmp(dynamic->abi, WEIR_ABI_SIGNATURE) != 0) {
        return weir_conf_refuse(
            conf, "module \"%.*s\" is not binary compatible: it was built for %s, this is %s",
            WEIR_STR_ARG(path), dynamic->abi, WEIR_ABI_SIGNATURE);
    }

    for (const weir_module_entry *entry = dynamic->modules; entry->module != NULL; entry++) {
        const char *fault = modules_add(conf->home.modules, entry);

        if (fault != NULL) {
            return weir_conf_refuse(conf, "module \"%s\" of \"%.*s\" cannot be used: %s",
                                    entry->module->name, WEIR_STR_ARG(path), fault);
        }

        if (entry->module->prepare != NULL && !entry->module->prepare(conf)) {
            return false;
        }
    }

    return true;
}

/* "ngx_http_geoip_module" of ".../ngx_http_geoip_module.so"; false for other files. */
static bool modules_is_of_nginx(weir_str path, weir_str *name)
{
    /* nginx's development kit, which others of its modules load before themselves. */
    static const weir_str kit = WEIR_STR_INIT("ndk_http_module.so");

    while (weir_str_find_byte(path, '/') != NULL) {
        path = weir_str_from(path, (size_t) (weir_str_find_byte(path, '/') - path.data) + 1);
    }

    if (!weir_str_eq(path, kit)
        && (!weir_str_starts(path, WEIR_STR("ngx_"))
            || !weir_str_ends(path, WEIR_STR("_module.so")))) {
        return false;
    }

    *name = weir_str_slice(path, 0, path.len - strlen(".so"));
    return true;
}

/* Whether weir has a directive that this module of nginx alone brings. */
static bool modules_is_built_in(const weir_modules *modules, weir_str name)
{
    size_t position = 0;
    weir_str directive;

    name = weir_str_from(name, weir_str_starts(name, WEIR_STR("ngx_")) ? strlen("ngx_") : 0);
    /* The module that holds a whole family has its directives documented under another name. */
    if (weir_str_eq(name, WEIR_STR("stream_module"))) {
        name = WEIR_STR("stream_core_module");
    }

    while (weir_conf_nginx_next_of(name, &position, &directive)) {
        if (weir_modules_rows(modules, directive) != NULL) {
            return true;
        }
    }

    return false;
}

/*
 * Packaged configurations load what nginx's packages install.  What is not here does nothing by itself: its directives
 * are refused where they stand.
 */
static void modules_skip_of_nginx(weir_conf *conf, weir_str name)
{
    if (modules_is_built_in(conf->home.modules, name)) {
        weir_conf_notice(conf, "nginx's module \"%.*s\" is built in, and not loaded",
                         WEIR_STR_ARG(name));
    } else {
        weir_conf_warn(
            conf,
            "nginx's module \"%.*s\" is not loaded: weir is without it, and without its directives",
            WEIR_STR_ARG(name));
    }
}

bool weir_modules_load(weir_conf *conf, weir_str path)
{
    weir_str full, name;
    void *handle;

    if (modules_is_of_nginx(path, &name)) {
        modules_skip_of_nginx(conf, name);
        return true;
    }

    if (!weir_conf_prefix_path(conf, path, &full)) {
        return false;
    }

    handle = dlopen(full.data, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        return weir_conf_refuse(conf, "dlopen() \"%.*s\" failed (%s)", WEIR_STR_ARG(full),
                                dlerror());
    }

    if (weir_pool_on_free(conf->home.pool, modules_close, handle) == NULL) {
        dlclose(handle);
        return weir_conf_refuse_memory(conf);
    }

    return modules_add_dynamic(conf, full, dlsym(handle, "weir_dynamic"));
}
