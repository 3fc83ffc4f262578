#include "modules/common/geo.h"

#include <stdlib.h>

#include "core/net/networks.h"
#include "modules/common/forwarded.h"

/* From `first` to `last`, in the order of the network; IPv4 takes the first four bytes. */
typedef struct {
    uint8_t first[16], last[16];
    size_t parent; /* 1-based place of the smallest range around this one; 0: none */
    weir_str value;
    const weir_statement *row;
} geo_range;

typedef struct {
    int address; /* slots */
    int forwarded;
    bool is_recursive, is_volatile, has_ranges;
    weir_array proxies;          /* weir_network */
    weir_array ranges4, ranges6; /* geo_range */
    weir_str fallback;
} geo_block;

/* ---- reading */

static int range_order(const void *a, const void *b)
{
    const geo_range *first = a;
    const geo_range *second = b;
    int order = memcmp(first->first, second->first, sizeof(first->first));

    /* What is around comes before what is inside. */
    return order != 0 ? order : memcmp(second->last, first->last, sizeof(first->last));
}

static weir_array *ranges_of(geo_block *block, sa_family_t family)
{
    return family == AF_INET ? &block->ranges4 : &block->ranges6;
}

static void range_of_network(const weir_network *network, geo_range *range)
{
    unsigned bytes = network->family == AF_INET ? 4 : 16;

    memset(range, 0, sizeof(*range));
    memcpy(range->first, network->bytes, bytes);
    memcpy(range->last, network->bytes, bytes);
    for (unsigned bit = network->prefix_bits; bit < bytes * 8; bit++) {
        range->last[bit / 8] = (uint8_t) (range->last[bit / 8] | 0x80u >> bit % 8);
    }
}

static void addr_bytes(const weir_addr *addr, uint8_t bytes[static 16])
{
    memset(bytes, 0, 16);
    if (addr->sa.sa_family == AF_INET) {
        memcpy(bytes, &addr->in.sin_addr, 4);
    } else {
        memcpy(bytes, &addr->in6.sin6_addr, 16);
    }
}

/* "10.0.0.1-10.0.0.9" */
static bool range_parse(weir_str text, geo_range *range, sa_family_t *family)
{
    weir_str rest = text;
    weir_str start;
    weir_addr first, last;

    if (!weir_str_split(&rest, '-', &start) || !weir_addr_parse_ip(start, &first)
        || !weir_addr_parse_ip(rest, &last) || first.sa.sa_family != last.sa.sa_family) {
        return false;
    }
    memset(range, 0, sizeof(*range));
    addr_bytes(&first, range->first);
    addr_bytes(&last, range->last);
    *family = first.sa.sa_family;
    return memcmp(range->first, range->last, sizeof(range->first)) <= 0;
}

static bool key_parse(weir_conf *conf, const weir_statement *row, size_t arg, bool has_ranges,
                      geo_range *range, sa_family_t *family)
{
    weir_str text = row->args[arg];
    weir_network network;

    if (has_ranges) {
        return range_parse(text, range, family)
               || weir_conf_refuse_arg(conf, row, arg, "invalid range \"%.*s\"",
                                       WEIR_STR_ARG(text));
    }
    if (!weir_network_parse(text, &network) || network.family == AF_UNIX) {
        return weir_conf_refuse_arg(conf, row, arg, "invalid network \"%.*s\"", WEIR_STR_ARG(text));
    }
    if (network.has_host_bits) {
        weir_conf_warn(conf, "low address bits of %.*s are meaningless", WEIR_STR_ARG(text));
    }
    range_of_network(&network, range);
    *family = network.family;
    return true;
}

static bool proxy_add(weir_conf *conf, geo_block *block, const weir_statement *row)
{
    weir_network *network = weir_array_push(&block->proxies);

    if (network == NULL) {
        return weir_conf_refuse(conf, "no memory for \"geo\"");
    }
    return weir_network_parse(row->args[1], network)
           || weir_conf_refuse_arg(conf, row, 1, "invalid network \"%.*s\"",
                                   WEIR_STR_ARG(row->args[1]));
}

/* "delete" takes back what an include before it has added: it is left without a place among the others. */
static bool range_delete(weir_conf *conf, geo_block *block, const weir_statement *row)
{
    geo_range wanted;
    sa_family_t family;
    weir_array *ranges;

    if (!key_parse(conf, row, 1, block->has_ranges, &wanted, &family)) {
        return false;
    }
    ranges = ranges_of(block, family);
    for (size_t i = 0; i < ranges->count; i++) {
        geo_range *range = WEIR_ARRAY_AT(ranges, geo_range, i);

        if (range_order(range, &wanted) == 0) {
            *range = *WEIR_ARRAY_AT(ranges, geo_range, ranges->count - 1);
            ranges->count--;
            i--;
        }
    }
    return true;
}

static bool row_read(weir_conf *conf, geo_block *block, const weir_statement *row)
{
    weir_str key = row->args[0];
    geo_range range, *added;
    sa_family_t family = AF_UNSPEC;

    if (row->has_block || row->count > 2) {
        return weir_conf_refuse_arg(conf, row, 0, "invalid number of the geo parameters");
    }
    if (row->count == 1) {
        /* "ranges" was looked for before all others. */
        block->is_recursive |= weir_str_eq(key, WEIR_STR("proxy_recursive"));
        block->is_volatile |= weir_str_eq(key, WEIR_STR("volatile"));
        return weir_str_eq(key, WEIR_STR("proxy_recursive")) || weir_str_eq(key, WEIR_STR("ranges"))
               || weir_str_eq(key, WEIR_STR("volatile"))
               || weir_conf_refuse_arg(conf, row, 0, "invalid number of the geo parameters");
    }
    if (weir_str_eq(key, WEIR_STR("default"))) {
        block->fallback = row->args[1];
        return true;
    }
    if (weir_str_eq(key, WEIR_STR("proxy"))) {
        return proxy_add(conf, block, row);
    }
    if (weir_str_eq(key, WEIR_STR("delete"))) {
        return range_delete(conf, block, row);
    }
    if (!key_parse(conf, row, 0, block->has_ranges, &range, &family)) {
        return false;
    }
    added = weir_array_push(ranges_of(block, family));
    if (added == NULL) {
        return weir_conf_refuse(conf, "no memory for \"geo\"");
    }
    *added = range;
    added->value = row->args[1];
    added->row = row;
    return true;
}

/* Sorted, each range finds the one around it on the chain of the one before it. */
static bool ranges_link(weir_conf *conf, weir_array *ranges)
{
    geo_range *items = ranges->items;

    if (ranges->count == 0) {
        return true;
    }
    qsort(items, ranges->count, sizeof(geo_range), range_order);
    for (size_t i = 1; i < ranges->count; i++) {
        size_t candidate = i;

        while (candidate != 0
               && memcmp(items[candidate - 1].last, items[i].first, sizeof(items[i].first)) < 0) {
            candidate = items[candidate - 1].parent;
        }
        if (candidate != 0
            && memcmp(items[candidate - 1].last, items[i].last, sizeof(items[i].last)) < 0) {
            return weir_conf_refuse_arg(conf, items[i].row, 0, "range \"%.*s\" overlaps \"%.*s\"",
                                        WEIR_STR_ARG(items[i].row->args[0]),
                                        WEIR_STR_ARG(items[candidate - 1].row->args[0]));
        }
        if (range_order(&items[i - 1], &items[i]) == 0
            && !weir_str_eq(items[i - 1].value, items[i].value)) {
            weir_conf_warn(conf,
                           "duplicate network \"%.*s\", value: \"%.*s\", other value: \"%.*s\"",
                           WEIR_STR_ARG(items[i].row->args[0]), WEIR_STR_ARG(items[i].value),
                           WEIR_STR_ARG(items[i - 1].value));
        }
        items[i].parent = candidate;
    }
    return true;
}

/* ---- evaluating */

static const geo_range *range_find(const weir_array *ranges, const uint8_t bytes[static 16])
{
    const geo_range *items = ranges->items;
    size_t low = 0;
    size_t high = ranges->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(items[middle].first, bytes, 16) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    while (low != 0 && memcmp(items[low - 1].last, bytes, 16) < 0) {
        low = items[low - 1].parent;
    }
    return low == 0 ? NULL : &items[low - 1];
}

/* What is no address stands for 255.255.255.255, as nginx documents. */
static bool geo_addr(const geo_block *block, weir_script *script, weir_addr *addr)
{
    weir_value value;

    if (!weir_script_get(script, block->address, &value)) {
        return false;
    }
    if (!weir_addr_parse_ip(value.text, addr)) {
        return weir_addr_parse_ip(WEIR_STR("255.255.255.255"), addr);
    }
    if (block->proxies.count == 0 || block->forwarded < 0
        || !weir_networks_have(&block->proxies, addr)) {
        return true;
    }
    if (!weir_script_get(script, block->forwarded, &value)) {
        return false;
    }
    (void) weir_forwarded_addr(value.text, &block->proxies, block->is_recursive, addr);
    return true;
}

static bool geo_get(weir_script *script, uintptr_t arg, weir_value *value)
{
    const geo_block *block = (const geo_block *) arg;
    const geo_range *range;
    weir_addr addr;
    uint8_t bytes[16];
    bool is_mapped;

    if (!geo_addr(block, script, &addr)) {
        return false;
    }
    is_mapped = addr.sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&addr.in6.sin6_addr);
    addr_bytes(&addr, bytes);
    if (is_mapped) {
        memmove(bytes, bytes + 12, 4);
        memset(bytes + 4, 0, 12);
    }
    range = range_find(
        addr.sa.sa_family == AF_INET || is_mapped ? &block->ranges4 : &block->ranges6, bytes);
    value->text = range != NULL ? range->value : block->fallback;
    value->found = true;
    return true;
}

/* ---- the directive */

bool weir_geo_block_call(weir_conf *conf, weir_space *space, weir_str address, weir_str forwarded,
                         const weir_statement *statement)
{
    weir_pool *pool = weir_conf_pool(conf);
    geo_block *block = WEIR_NEW(pool, geo_block);
    weir_variable definition = {.get = geo_get, .may_be_redefined = true};
    weir_str name;

    if (block == NULL) {
        return weir_conf_refuse(conf, "no memory for \"geo\"");
    }
    weir_array_init(&block->proxies, pool, sizeof(weir_network), 4);
    weir_array_init(&block->ranges4, pool, sizeof(geo_range), 64);
    weir_array_init(&block->ranges6, pool, sizeof(geo_range), 16);
    if (statement->count == 3 && !weir_variable_name(conf, statement->args[1], &address)) {
        return false;
    }
    block->address = weir_space_slot(conf, space, address);
    block->forwarded = forwarded.len == 0 ? -1 : weir_space_slot(conf, space, forwarded);
    if (block->address < 0
        || !weir_variable_name(conf, statement->args[statement->count - 1], &name)) {
        return false;
    }

    for (const weir_statement *row = statement->first_child; row != NULL; row = row->next) {
        block->has_ranges |= row->count == 1 && weir_str_eq(row->args[0], WEIR_STR("ranges"));
    }
    for (const weir_statement *row = statement->first_child; row != NULL; row = row->next) {
        if (!row_read(conf, block, row)) {
            return false;
        }
    }
    if (!ranges_link(conf, &block->ranges4) || !ranges_link(conf, &block->ranges6)) {
        return false;
    }
    definition.arg = (uintptr_t) block;
    definition.is_volatile = block->is_volatile;
    return weir_space_define(conf, space, name, &definition);
}
