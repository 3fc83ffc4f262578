#include "modules/http/engine/core_conf.h"

#include <stdlib.h>

#include "core/process/cycle.h"

/*
 * `location` blocks and the choice among them: "=" at once, else the longest prefix, unless a regex
 * matches (in the order of the file) and the prefix was not "^~"; within the prefix's own locations first.
 */

typedef struct {
    weir_http_location *location;
    size_t parent; /* 1-based place of the longest other prefix that begins this one; 0: none */
} prefix_entry;

struct weir_http_location_tree {
    weir_map *exact;
    prefix_entry *prefixes; /* sorted by name */
    size_t prefix_count;
    weir_map *redirects; /* "/dir" for "/dir/" whose content answers it with a redirect */
    weir_array regexes;  /* weir_http_location * */
    weir_map *named;
};

/* ---- reading */

weir_http_location *weir_http_location_new(weir_conf *conf, weir_http_server *server,
                                           weir_http_location *outer, weir_level *level)
{
    weir_http_location *location = WEIR_NEW(weir_conf_pool(conf), weir_http_location);

    if (location == NULL) {
        weir_conf_refuse(conf, "no memory for a location");
        return NULL;
    }
    location->level = level;
    location->server = server;
    location->outer = outer;
    location->kind = outer == NULL ? WEIR_HTTP_LOCATION_ROOT : WEIR_HTTP_LOCATION_UNNAMED;
    weir_array_init(&location->inner, weir_conf_pool(conf), sizeof(weir_http_location *), 4);
    return location;
}

/* The modifier may stand apart or be glued to the name: "= /x", "=/x". */
static bool location_name(const weir_statement *statement, weir_http_location_kind *kind,
                          weir_str *name, bool *nocase)
{
    static const struct {
        weir_str text;
        weir_http_location_kind kind;
        bool nocase;
    } modifiers[] = {
        {WEIR_STR_INIT("="), WEIR_HTTP_LOCATION_EXACT, false},
        {WEIR_STR_INIT("^~"), WEIR_HTTP_LOCATION_PREFIX_FINAL, false},
        {WEIR_STR_INIT("~*"), WEIR_HTTP_LOCATION_REGEX, true},
        {WEIR_STR_INIT("~"), WEIR_HTTP_LOCATION_REGEX, false},
    };
    weir_str first = statement->args[1];

    *kind = WEIR_HTTP_LOCATION_PREFIX;
    *nocase = false;
    for (size_t i = 0; i < WEIR_COUNT(modifiers); i++) {
        if (statement->count == 3 ? weir_str_eq(first, modifiers[i].text)
                                  : weir_str_starts(first, modifiers[i].text)) {
            *kind = modifiers[i].kind;
            *nocase = modifiers[i].nocase;
            *name = statement->count == 3 ? statement->args[2]
                                          : weir_str_from(first, modifiers[i].text.len);
            return true;
        }
    }

    *name = first;
    if (first.len > 0 && first.data[0] == '@') {
        *kind = WEIR_HTTP_LOCATION_NAMED;
    }
    return statement->count == 2;
}

static bool location_fits(weir_conf *conf, const weir_http_location *outer,
                          const weir_http_location *inner)
{
    if (inner->kind == WEIR_HTTP_LOCATION_NAMED && outer->kind != WEIR_HTTP_LOCATION_ROOT) {
        return weir_conf_refuse(conf, "named location \"%.*s\" can be on the server level only",
                                WEIR_STR_ARG(inner->name));
    }
    if (outer->kind == WEIR_HTTP_LOCATION_EXACT) {
        return weir_conf_refuse(conf,
                                "location \"%.*s\" cannot be inside the exact location \"%.*s\"",
                                WEIR_STR_ARG(inner->name), WEIR_STR_ARG(outer->name));
    }
    if (outer->kind == WEIR_HTTP_LOCATION_NAMED) {
        return weir_conf_refuse(conf,
                                "location \"%.*s\" cannot be inside the named location \"%.*s\"",
                                WEIR_STR_ARG(inner->name), WEIR_STR_ARG(outer->name));
    }
    if ((outer->kind == WEIR_HTTP_LOCATION_PREFIX || outer->kind == WEIR_HTTP_LOCATION_PREFIX_FINAL)
        && inner->kind != WEIR_HTTP_LOCATION_REGEX && !weir_str_starts(inner->name, outer->name)) {
        return weir_conf_refuse(conf, "location \"%.*s\" is outside location \"%.*s\"",
                                WEIR_STR_ARG(inner->name), WEIR_STR_ARG(outer->name));
    }
    return true;
}

weir_level *weir_http_location_enter(weir_conf *conf, weir_level *outer_level,
                                     const weir_statement *statement)
{
    weir_http_location *outer = weir_http_conf_location(conf);
    weir_http_location *location =
        weir_http_location_new(conf, weir_http_conf_server(conf), outer, NULL);
    weir_http_location **place = weir_array_push(&outer->inner);
    bool nocase;

    if (location == NULL || place == NULL) {
        return NULL;
    }
    if (!location_name(statement, &location->kind, &location->name, &nocase)) {
        weir_conf_refuse_arg(conf, statement, 1, "invalid location modifier \"%.*s\"",
                             WEIR_STR_ARG(statement->args[1]));
        return NULL;
    }
    if (!location_fits(conf, outer, location)) {
        return NULL;
    }
    if (location->kind == WEIR_HTTP_LOCATION_REGEX) {
        location->regex = weir_regex_new(conf, weir_space_of(conf, "http"), location->name, nocase);
        if (location->regex == NULL) {
            return NULL;
        }
    }
    *place = location;
    location->level = weir_level_new(conf, outer_level, location);
    return location->level;
}

bool weir_http_location_leave(weir_conf *conf, weir_level *level, const weir_statement *statement)
{
    (void) statement;
    return weir_http_location_settle(conf, level->owner)
           && weir_http_location_tree_make(conf, level->owner);
}

bool weir_http_is_content_of(const weir_http_exchange *ex, const weir_http_location *location)
{
    const weir_http_location *here = ex->location;

    while (here->kind == WEIR_HTTP_LOCATION_UNNAMED && here != location) {
        here = here->outer;
    }
    return here == location;
}

/* ---- the hooks that apply */

static const weir_http_hook no_hooks[] = {{NULL, NULL}};

static const weir_http_hook *hooks_copy(weir_pool *pool, const weir_http_hook *hooks, size_t count)
{
    if (count == 0) {
        return no_hooks;
    }

    weir_http_hook *copy = WEIR_NEW_ARRAY(pool, weir_http_hook, count + 1);

    if (copy != NULL) {
        memcpy(copy, hooks, count * sizeof(*copy));
    }
    return copy;
}

/* The settings are all the outer location's: so are its hooks. */
static bool hooks_share(weir_http_location *location, size_t module_count)
{
    const weir_http_location *outer = location->outer;

    if (outer == NULL || outer->filters == NULL
        || memcmp(outer->settings, location->settings, module_count * sizeof(void *)) != 0) {
        return false;
    }
    memcpy(location->phases, outer->phases, sizeof(location->phases));
    location->busy_phases = outer->busy_phases;
    location->takes_body = outer->takes_body;
    location->asks_others = outer->asks_others;
    location->filters = outer->filters;
    return true;
}

static bool applies_in(const weir_http_location *location, const weir_http_module *module,
                       const void *settings)
{
    return (module->applies == NULL || module->applies(settings))
           && (!module->before_asking || location->asks_others);
}

/* What modules that judge here have in common. */
static void traits_find(weir_http_location *location, const weir_http_cycle *http)
{
    for (size_t i = 0; i < http->module_count; i++) {
        const weir_http_module *module = weir_http_module_of(http->modules[i]);

        if (module->phases != 0 && applies_in(location, module, location->settings[i])) {
            location->takes_body |= module->takes_body;
            location->asks_others |= module->asks_others;
        }
    }
}

bool weir_http_location_settle(weir_conf *conf, weir_http_location *location)
{
    const weir_http_cycle *http = weir_http_of_cycle(weir_conf_cycle(conf));
    size_t count = http->module_count;
    weir_http_hook *found = WEIR_NEW_ARRAY(weir_conf_temp_pool(conf), weir_http_hook, count + 1);
    weir_pool *pool = weir_conf_pool(conf);

    location->settings = location->level->settings;
    location->core = weir_level_settings(location->level, &weir_http_core.base);
    if (found == NULL) {
        return weir_conf_refuse(conf, "no memory for a location");
    }
    if (hooks_share(location, count)) {
        return true;
    }

    traits_find(location, http);
    location->busy_phases = 1u << WEIR_HTTP_PHASE_FIND_CONFIG | 1u << WEIR_HTTP_PHASE_POST_REWRITE
                            | 1u << WEIR_HTTP_PHASE_CONTENT;
    for (unsigned phase = 0; phase < WEIR_HTTP_PHASE_COUNT; phase++) {
        size_t hooks = 0;

        for (size_t i = 0; i < count; i++) {
            const weir_http_module *module = weir_http_module_of(http->modules[i]);
            const void *settings = location->settings[i];

            if ((module->phases & 1u << phase) && applies_in(location, module, settings)) {
                found[hooks++] = (weir_http_hook){module, settings};
            }
        }
        location->phases[phase] = hooks_copy(pool, found, hooks);
        if (hooks != 0) {
            location->busy_phases |= 1u << phase;
        }
    }

    size_t filters = 0;

    for (unsigned stage = WEIR_HTTP_STAGE_NONE + 1; stage < WEIR_HTTP_STAGE_COUNT; stage++) {
        for (size_t i = 0; i < count; i++) {
            const weir_http_module *module = weir_http_module_of(http->modules[i]);
            const void *settings = location->settings[i];

            if (module->stage == stage && applies_in(location, module, settings)) {
                found[filters++] = (weir_http_hook){module, settings};
            }
        }
    }
    location->filters = hooks_copy(pool, found, filters);
    return location->filters != NULL || weir_conf_refuse(conf, "no memory for a location");
}

/* ---- the tree */

static int prefix_order(const void *a, const void *b)
{
    return weir_str_compare(((const prefix_entry *) a)->location->name,
                            ((const prefix_entry *) b)->location->name);
}

/* In sorted order an entry's parent is on the chain of the one before it. */
static void prefixes_link(struct weir_http_location_tree *tree)
{
    for (size_t i = 1; i < tree->prefix_count; i++) {
        size_t candidate = i;

        while (candidate != 0
               && !weir_str_starts(tree->prefixes[i].location->name,
                                   tree->prefixes[candidate - 1].location->name)) {
            candidate = tree->prefixes[candidate - 1].parent;
        }
        tree->prefixes[i].parent = candidate;
    }
}

static bool tree_refuse_duplicate(weir_conf *conf, const weir_http_location *location)
{
    return weir_conf_refuse_arg(conf, location->level->statement,
                                location->level->statement->count - 1,
                                "duplicate location \"%.*s\"", WEIR_STR_ARG(location->name));
}

static bool tree_put(weir_conf *conf, struct weir_http_location_tree *tree,
                     weir_http_location *location)
{
    weir_http_location **place;
    weir_map *map = NULL;

    switch (location->kind) {
    case WEIR_HTTP_LOCATION_EXACT:
        map = tree->exact;
        break;
    case WEIR_HTTP_LOCATION_NAMED:
        map = tree->named;
        break;
    case WEIR_HTTP_LOCATION_REGEX:
        place = weir_array_push(&tree->regexes);
        if (place == NULL) {
            return weir_conf_refuse(conf, "no memory for locations");
        }
        *place = location;
        return true;
    case WEIR_HTTP_LOCATION_PREFIX:
    case WEIR_HTTP_LOCATION_PREFIX_FINAL:
        tree->prefixes[tree->prefix_count++].location = location;
        break;
    case WEIR_HTTP_LOCATION_ROOT:
    case WEIR_HTTP_LOCATION_UNNAMED:
        return true;
    }

    if (map != NULL) {
        if (weir_map_find(map, location->name) != NULL) {
            return tree_refuse_duplicate(conf, location);
        }
        if (!weir_map_put(map, location->name, location)) {
            return weir_conf_refuse(conf, "no memory for locations");
        }
    }
    if (location->auto_redirect && location->name.len > 1
        && location->name.data[location->name.len - 1] == '/'
        && !weir_map_put(tree->redirects, weir_str_slice(location->name, 0, location->name.len - 1),
                         location)) {
        return weir_conf_refuse(conf, "no memory for locations");
    }
    return true;
}

bool weir_http_location_tree_make(weir_conf *conf, weir_http_location *outer)
{
    weir_pool *pool = weir_conf_pool(conf);
    struct weir_http_location_tree *tree;

    if (outer->inner.count == 0) {
        return true;
    }

    tree = WEIR_NEW(pool, struct weir_http_location_tree);
    if (tree == NULL) {
        return weir_conf_refuse(conf, "no memory for locations");
    }
    tree->exact = weir_map_new(pool, false, 0);
    tree->named = weir_map_new(pool, false, 0);
    tree->redirects = weir_map_new(pool, false, 0);
    tree->prefixes = WEIR_NEW_ARRAY(pool, prefix_entry, outer->inner.count);
    weir_array_init(&tree->regexes, pool, sizeof(weir_http_location *), 4);
    if (tree->exact == NULL || tree->named == NULL || tree->redirects == NULL
        || tree->prefixes == NULL) {
        return weir_conf_refuse(conf, "no memory for locations");
    }

    for (WEIR_ARRAY_EACH(&outer->inner, weir_http_location *, inner)) {
        if (!tree_put(conf, tree, *inner)) {
            return false;
        }
    }
    qsort(tree->prefixes, tree->prefix_count, sizeof(prefix_entry), prefix_order);
    for (size_t i = 1; i < tree->prefix_count; i++) {
        if (prefix_order(&tree->prefixes[i - 1], &tree->prefixes[i]) == 0) {
            return tree_refuse_duplicate(conf, tree->prefixes[i].location);
        }
    }
    prefixes_link(tree);
    outer->tree = tree;
    return true;
}

/* ---- look-up */

/* The longest prefix of the path: it, or one on whose chain it is, is the last not after the path. */
static weir_http_location *find_prefix(const struct weir_http_location_tree *tree, weir_str path)
{
    size_t low = 0;
    size_t high = tree->prefix_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (weir_str_compare(tree->prefixes[middle].location->name, path) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    while (low != 0 && !weir_str_starts(path, tree->prefixes[low - 1].location->name)) {
        low = tree->prefixes[low - 1].parent;
    }
    return low == 0 ? NULL : tree->prefixes[low - 1].location;
}

typedef enum {
    FOUND_FINAL,  /* exact or regex: nothing beats it */
    FOUND_PREFIX, /* a regex further out may still win */
    FOUND_REDIRECT,
    FOUND_ERROR,
} find_result;

static find_result find_within(weir_http_exchange *ex, weir_http_location *outer,
                               weir_http_location **found)
{
    const struct weir_http_location_tree *tree = outer->tree;
    weir_str path = ex->request.path;
    weir_http_location *location;
    bool is_final = false;
    find_result result;

    *found = outer;
    if (tree == NULL) {
        return FOUND_PREFIX;
    }

    location = weir_map_count(tree->exact) == 0 ? NULL : weir_map_find(tree->exact, path);
    if (location != NULL) {
        *found = location;
        return FOUND_FINAL;
    }
    if (weir_map_count(tree->redirects) != 0) {
        location = weir_map_find(tree->redirects, path);
        if (location != NULL) {
            *found = location;
            return FOUND_REDIRECT;
        }
    }

    location = find_prefix(tree, path);
    if (location != NULL) {
        is_final = location->kind == WEIR_HTTP_LOCATION_PREFIX_FINAL;
        result = find_within(ex, location, found);
        if (result != FOUND_PREFIX) {
            return result;
        }
    }
    if (is_final) {
        return FOUND_PREFIX;
    }

    for (WEIR_ARRAY_EACH(&tree->regexes, weir_http_location *, regex)) {
        switch (weir_regex_match((*regex)->regex, &ex->script, path)) {
        case WEIR_REGEX_MATCH:
            result = find_within(ex, *regex, found);
            return result == FOUND_PREFIX ? FOUND_FINAL : result;
        case WEIR_REGEX_NO_MATCH:
            break;
        case WEIR_REGEX_ERROR:
            return FOUND_ERROR;
        }
    }
    return FOUND_PREFIX;
}

weir_http_location *weir_http_location_find(weir_http_exchange *ex, bool *needs_slash)
{
    weir_http_location *found;

    *needs_slash = false;
    switch (find_within(ex, ex->server->root, &found)) {
    case FOUND_REDIRECT:
        *needs_slash = true;
        return found;
    case FOUND_FINAL:
    case FOUND_PREFIX:
        return found;
    case FOUND_ERROR:
        return NULL;
    }
    return NULL;
}

weir_http_location *weir_http_location_named(const weir_http_server *server, weir_str name)
{
    const struct weir_http_location_tree *tree = server->root->tree;

    return tree == NULL ? NULL : weir_map_find(tree->named, name);
}
