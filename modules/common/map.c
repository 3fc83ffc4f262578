#include "modules/common/map.h"

typedef struct {
    const weir_regex *regex;
    const weir_template *value;
} map_regex;

typedef struct {
    const weir_template *source;
    bool has_hostnames, is_volatile;
    weir_map *exact, *leading, *trailing; /* of const weir_template * */
    weir_array regexes;                   /* map_regex */
    const weir_template *fallback;        /* NULL: empty */
} map_block;

/* ---- reading */

static bool map_put(weir_conf *conf, const weir_statement *row, weir_map *map, weir_str key,
                    const weir_template *value)
{
    if (weir_map_find(map, key) != NULL) {
        return weir_conf_refuse_arg(conf, row, 0, "conflicting parameter \"%.*s\"",
                                    WEIR_STR_ARG(row->args[0]));
    }
    return weir_map_put(map, key, (void *) (uintptr_t) value)
           || weir_conf_refuse(conf, "no memory for \"map\"");
}

static bool map_add_regex(weir_conf *conf, weir_space *space, map_block *block, weir_str key,
                          const weir_template *value)
{
    bool nocase = weir_str_starts(key, WEIR_STR("~*"));
    map_regex *added = weir_array_push(&block->regexes);

    if (added == NULL) {
        return weir_conf_refuse(conf, "no memory for \"map\"");
    }
    added->value = value;
    added->regex = weir_regex_new(conf, space, weir_str_from(key, nocase ? 2 : 1), nocase);
    return added->regex != NULL;
}

static bool map_add(weir_conf *conf, weir_space *space, map_block *block, const weir_statement *row)
{
    weir_str key = row->args[0];
    const weir_template *value = weir_template_new(conf, space, row->args[1]);

    if (value == NULL) {
        return false;
    }
    if (weir_str_eq(key, WEIR_STR("default"))) {
        if (block->fallback != NULL) {
            return weir_conf_refuse_arg(conf, row, 0, "duplicate default map parameter");
        }
        block->fallback = value;
        return true;
    }
    if (key.len > 1 && key.data[0] == '~') {
        return map_add_regex(conf, space, block, key, value);
    }
    if (key.len > 0 && key.data[0] == '\\') {
        key = weir_str_from(key, 1);
    }
    if (block->has_hostnames) {
        if (weir_str_starts(key, WEIR_STR("*."))) {
            return map_put(conf, row, block->leading, weir_str_from(key, 2), value);
        }
        if (key.len > 1 && key.data[0] == '.') {
            return map_put(conf, row, block->exact, weir_str_from(key, 1), value)
                   && map_put(conf, row, block->leading, weir_str_from(key, 1), value);
        }
        if (weir_str_ends(key, WEIR_STR(".*"))) {
            return map_put(conf, row, block->trailing, weir_str_slice(key, 0, key.len - 2), value);
        }
    }
    return map_put(conf, row, block->exact, key, value);
}

/* Words of their own, without a value. */
static bool map_read_word(weir_conf *conf, map_block *block, const weir_statement *row)
{
    if (weir_str_eq(row->args[0], WEIR_STR("hostnames"))) {
        block->has_hostnames = true;
        return true;
    }
    if (weir_str_eq(row->args[0], WEIR_STR("volatile"))) {
        block->is_volatile = true;
        return true;
    }
    return weir_conf_refuse_arg(conf, row, 0, "invalid number of the map parameters");
}

/* ---- evaluating */

static const weir_template *find_leading(const weir_map *map, weir_str host)
{
    for (size_t i = 0; i + 1 < host.len; i++) {
        const weir_template *value =
            host.data[i] == '.' ? weir_map_find(map, weir_str_from(host, i + 1)) : NULL;

        if (value != NULL) {
            return value;
        }
    }
    return NULL;
}

static const weir_template *find_trailing(const weir_map *map, weir_str host)
{
    for (size_t i = host.len; i > 1; i--) {
        const weir_template *value =
            host.data[i - 1] == '.' ? weir_map_find(map, weir_str_slice(host, 0, i - 1)) : NULL;

        if (value != NULL) {
            return value;
        }
    }
    return NULL;
}

static const weir_template *map_find(const map_block *block, weir_script *script, weir_str text)
{
    const weir_template *value;

    if (block->has_hostnames && text.len > 0 && text.data[text.len - 1] == '.') {
        text.len--;
    }
    value = weir_map_find(block->exact, text);
    if (value == NULL && block->has_hostnames) {
        value = find_leading(block->leading, text);
    }
    if (value == NULL && block->has_hostnames) {
        value = find_trailing(block->trailing, text);
    }
    if (value != NULL) {
        return value;
    }
    for (WEIR_ARRAY_EACH(&block->regexes, const map_regex, regex)) {
        if (weir_regex_match(regex->regex, script, text) == WEIR_REGEX_MATCH) {
            return regex->value;
        }
    }
    return block->fallback;
}

static bool map_get(weir_script *script, uintptr_t arg, weir_value *value)
{
    const map_block *block = (const map_block *) arg;
    const weir_template *found;
    weir_str text;

    if (!weir_template_text(block->source, script, &text)) {
        return false;
    }
    found = map_find(block, script, text);
    value->found = true;
    return found == NULL || weir_template_text(found, script, &value->text);
}

/* ---- the directive */

bool weir_map_block_call(weir_conf *conf, weir_space *space, const weir_statement *statement)
{
    weir_pool *pool = weir_conf_pool(conf);
    map_block *block = WEIR_NEW(pool, map_block);
    weir_variable definition = {.get = map_get, .may_be_redefined = true};
    weir_str name;

    if (block == NULL || (block->exact = weir_map_new(pool, true, 16)) == NULL
        || (block->leading = weir_map_new(pool, true, 0)) == NULL
        || (block->trailing = weir_map_new(pool, true, 0)) == NULL) {
        return weir_conf_refuse(conf, "no memory for \"map\"");
    }
    weir_array_init(&block->regexes, pool, sizeof(map_regex), 4);
    block->source = weir_template_new(conf, space, statement->args[1]);
    if (block->source == NULL || !weir_variable_name(conf, statement->args[2], &name)) {
        return false;
    }

    /* Words first: they hold for all rows, wherever they stand. */
    for (const weir_statement *row = statement->first_child; row != NULL; row = row->next) {
        if (row->count == 1 && !map_read_word(conf, block, row)) {
            return false;
        }
    }
    for (const weir_statement *row = statement->first_child; row != NULL; row = row->next) {
        if (row->has_block || row->count > 2) {
            return weir_conf_refuse_arg(conf, row, 0, "invalid number of the map parameters");
        }
        if (row->count == 2 && !map_add(conf, space, block, row)) {
            return false;
        }
    }

    definition.arg = (uintptr_t) block;
    definition.is_volatile = block->is_volatile;
    return weir_space_define(conf, space, name, &definition);
}
