#include "modules/common/split_clients.h"

#include "core/base/number.h"

/* Hundredths of a percent. */
#define WHOLE 10000

typedef struct {
    uint32_t end; /* the first hash that is not in this share; 0: all that are left */
    const weir_template *value;
} split_part;

typedef struct {
    const weir_template *source;
    weir_array parts; /* split_part */
} split_block;

/* MurmurHash2 by Austin Appleby, 32 bits, seed 0 xor the length. */
static uint32_t murmur2(weir_str text)
{
    const uint32_t multiplier = 0x5bd1e995;
    const unsigned char *bytes = (const unsigned char *) text.data;
    uint32_t hash = (uint32_t) text.len;
    size_t len = text.len;
    size_t at = 0;

    for (; len >= 4; at += 4, len -= 4) {
        uint32_t word = (uint32_t) bytes[at] | (uint32_t) bytes[at + 1] << 8
                        | (uint32_t) bytes[at + 2] << 16 | (uint32_t) bytes[at + 3] << 24;

        word *= multiplier;
        word ^= word >> 24;
        word *= multiplier;
        hash = hash * multiplier ^ word;
    }
    if (len == 3) {
        hash ^= (uint32_t) bytes[at + 2] << 16;
    }
    if (len >= 2) {
        hash ^= (uint32_t) bytes[at + 1] << 8;
    }
    if (len >= 1) {
        hash = (hash ^ bytes[at]) * multiplier;
    }
    hash = (hash ^ hash >> 13) * multiplier;
    return hash ^ hash >> 15;
}

static bool split_get(weir_script *script, uintptr_t arg, weir_value *value)
{
    const split_block *block = (const split_block *) arg;
    weir_str text;
    uint32_t hash;

    if (!weir_template_text(block->source, script, &text)) {
        return false;
    }
    hash = murmur2(text);
    for (WEIR_ARRAY_EACH(&block->parts, const split_part, part)) {
        if (hash < part->end || part->end == 0) {
            value->found = true;
            return weir_template_text(part->value, script, &value->text);
        }
    }
    return true;
}

static bool split_add(weir_conf *conf, weir_space *space, split_block *block,
                      const weir_statement *row, uint64_t *sum)
{
    split_part *part = weir_array_push(&block->parts);
    weir_str share = row->args[0];
    uint64_t hundredths;

    if (part == NULL) {
        return weir_conf_refuse(conf, "no memory for \"split_clients\"");
    }
    if (row->count != 2 || row->has_block) {
        return weir_conf_refuse_arg(conf, row, 0, "invalid number of the parameters");
    }
    part->value = weir_template_new(conf, space, row->args[1]);
    if (part->value == NULL) {
        return false;
    }
    if (weir_str_eq(share, WEIR_STR("*"))) {
        *sum = WHOLE;
        return true;
    }
    if (!weir_str_ends(share, WEIR_STR("%"))
        || !weir_parse_fixed(weir_str_slice(share, 0, share.len - 1), 2, WHOLE, &hundredths)
        || hundredths == 0) {
        return weir_conf_refuse_arg(conf, row, 0, "invalid percent value \"%.*s\"",
                                    WEIR_STR_ARG(share));
    }
    *sum += hundredths;
    if (*sum > WHOLE) {
        return weir_conf_refuse_arg(conf, row, 0, "percent total is greater than 100%%");
    }
    part->end = *sum == WHOLE ? 0 : (uint32_t) (UINT32_MAX * *sum / WHOLE);
    return true;
}

bool weir_split_clients_call(weir_conf *conf, weir_space *space, const weir_statement *statement)
{
    weir_pool *pool = weir_conf_pool(conf);
    split_block *block = WEIR_NEW(pool, split_block);
    weir_variable definition = {.get = split_get, .may_be_redefined = true};
    uint64_t sum = 0;
    weir_str name;

    if (block == NULL) {
        return weir_conf_refuse(conf, "no memory for \"split_clients\"");
    }
    weir_array_init(&block->parts, pool, sizeof(split_part), 4);
    block->source = weir_template_new(conf, space, statement->args[1]);
    if (block->source == NULL || !weir_variable_name(conf, statement->args[2], &name)) {
        return false;
    }
    for (const weir_statement *row = statement->first_child; row != NULL; row = row->next) {
        if (!split_add(conf, space, block, row, &sum)) {
            return false;
        }
    }
    definition.arg = (uintptr_t) block;
    return weir_space_define(conf, space, name, &definition);
}
