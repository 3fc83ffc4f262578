#include "core/conf/conf_internal.h"

#define NEAR_NAME_MAX 64 /* bytes; longer names are near nothing */

static unsigned near_least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned weir_conf_distance(weir_str a, weir_str b, unsigned max)
{
    /* Rows of the table for the first i - 2, i - 1 and i bytes of `a`. */
    unsigned rows[3][NEAR_NAME_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];

    if (a.len > NEAR_NAME_MAX || b.len > NEAR_NAME_MAX || a.len > b.len + max
        || b.len > a.len + max) {
        return max + 1;
    }

    for (size_t j = 0; j <= b.len; j++) {
        row[j] = (unsigned) j;
    }

    for (size_t i = 1; i <= a.len; i++) {
        unsigned *oldest = before;

        before = last;
        last = row;
        row = oldest;
        row[0] = (unsigned) i;

        for (size_t j = 1; j <= b.len; j++) {
            unsigned changed = weir_byte_lower(a.data[i - 1]) != weir_byte_lower(b.data[j - 1]);

            row[j] = near_least(near_least(last[j], row[j - 1]) + 1, last[j - 1] + changed);

            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2]
                && a.data[i - 2] == b.data[j - 1]) {
                row[j] = near_least(row[j], before[j - 2] + 1);
            }
        }
    }

    return near_least(row[b.len], max + 1);
}

unsigned weir_conf_slips(weir_str name)
{
    /* One, and one more in a long name; in one of two letters any slip leads to another name. */
    return name.len < 3 ? 0 : name.len < 8 ? 1 : name.len < 14 ? 2 : 3;
}

weir_str weir_conf_near_name(const weir_modules *modules, weir_str name, uint32_t context)
{
    unsigned max = weir_conf_slips(name);
    unsigned best_cost = 2 * max + 2;
    weir_str best = WEIR_STR_EMPTY, near;
    size_t position = 0;
    void *value;

    while (max > 0 && weir_map_next(modules->rows, &position, &near, &value)) {
        unsigned distance = weir_conf_distance(name, near, max);
        unsigned cost = 2 * distance + 1;

        if (distance > max) {
            continue;
        }

        for (const weir_conf_row *row = value; row != NULL; row = row->next) {
            cost = row->directive->where & context ? 2 * distance : cost;
        }

        if (cost < best_cost || (cost == best_cost && weir_str_compare(near, best) < 0)) {
            best_cost = cost;
            best = near;
        }
    }

    return best;
}
