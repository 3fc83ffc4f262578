#include "core/base/number.h"
#include "modules/waf/transaction_internal.h"

/* Values, what transformations make of them, and what the filter says of the results. */

bool weir_waf_push(weir_waf_transaction *tx, weir_waf_values *values, weir_waf_value value)
{
    if (values->count == values->capacity) {
        uint32_t capacity = values->capacity == 0 ? 8 : values->capacity * 2;
        weir_waf_value *items =
            weir_pool_grow(tx->pool, values->items, values->capacity * sizeof(weir_waf_value),
                           capacity * sizeof(weir_waf_value));

        if (items == NULL) {
            weir_waf_exhausted(tx, "memory");
            return false;
        }
        values->items = items;
        values->capacity = capacity;
    }
    values->items[values->count++] = value;
    return true;
}

bool weir_waf_add(weir_waf_transaction *tx, weir_waf_variable variable, weir_str name,
                  weir_str text)
{
    weir_waf_value value = {.name = name, .text = text, .variable = variable};

    tx->sieve.is_stale = true;
    return weir_waf_push(tx, &tx->values[variable], value);
}

void weir_waf_forget(weir_waf_transaction *tx, weir_waf_variable variable)
{
    tx->values[variable].count = 0;
    tx->sieve.seen[variable] = 0;
}

bool weir_waf_set(weir_waf_transaction *tx, weir_waf_variable variable, weir_str text)
{
    weir_waf_forget(tx, variable);
    return weir_waf_add(tx, variable, WEIR_STR_EMPTY, text);
}

weir_str weir_waf_number_text(weir_waf_transaction *tx, int64_t number)
{
    static const char digits[] = "0123456789";
    char buffer[24];
    weir_builder builder;
    weir_str text;

    if (number >= 0 && number <= 9) {
        return weir_str_of(digits + number, 1);
    }
    weir_builder_over(&builder, buffer, sizeof(buffer));
    weir_builder_add_int(&builder, number);
    if (!weir_str_copy(tx->pool, weir_builder_cut(&builder), &text)) {
        weir_waf_exhausted(tx, "memory");
        return WEIR_STR_EMPTY;
    }
    return text;
}

bool weir_waf_set_number(weir_waf_transaction *tx, weir_waf_variable variable, int64_t number)
{
    return weir_waf_set(tx, variable, weir_waf_number_text(tx, number));
}

weir_str weir_waf_scalar(const weir_waf_transaction *tx, weir_waf_variable variable)
{
    const weir_waf_values *values = &tx->values[variable];

    return values->count == 0 ? WEIR_STR_EMPTY : values->items[0].text;
}

/* ---- nodes */

/* Looking further would be quadratic for texts that somebody chose to collide. */
#define LOOK_AT_MAX 16

/* The bytes of what a step made: of some steps, that follows from what was there before. */
static void bytes_after(const weir_waf_node *from, const weir_waf_transform *step, weir_str text,
                        weir_waf_bytes *present)
{
    const weir_waf_bytes *gone;

    if (step == NULL || !weir_waf_transform_takes_away(step)) {
        weir_waf_bytes_of(text, present);
        return;
    }
    gone = weir_waf_transform_triggers(step);
    for (size_t i = 0; i < WEIR_COUNT(present->bits); i++) {
        present->bits[i] = from->present.bits[i] & ~gone->bits[i];
    }
}

/* `from` and `step` say how the text came about; NULL: it is a value. */
static weir_waf_node *node_make(weir_waf_transaction *tx, weir_str text, weir_waf_node *from,
                                const weir_waf_transform *step)
{
    uint64_t hash = weir_str_hash(text);
    weir_waf_node **place = &tx->table[hash & (WEIR_WAF_TABLE_SIZE - 1)];
    weir_waf_node *node = *place;

    for (unsigned i = 0; node != NULL && i < LOOK_AT_MAX; node = node->next, i++) {
        if (node->hash == hash && weir_str_eq(node->text, text)) {
            return node;
        }
    }
    node = WEIR_NEW(tx->pool, weir_waf_node);
    if (node == NULL) {
        weir_waf_exhausted(tx, "memory");
        return NULL;
    }
    node->text = text;
    node->hash = hash;
    node->next = *place;
    *place = node;
    bytes_after(from, step, text, &node->present);
    if (step != NULL && weir_waf_transform_is_case(step)) {
        node->in_other_case = from;
    }
    tx->work += 64 + text.len / 2;
    return node;
}

static weir_waf_node *node_step(weir_waf_transaction *tx, weir_waf_node *from,
                                const weir_waf_transform *step)
{
    weir_str text;

    switch (weir_waf_transform_apply(step, tx->pool, tx->settings->unicode_map, &from->present,
                                     from->text, &text)) {
    case WEIR_WAF_SAME:
        tx->work += 8;
        return from;
    case WEIR_WAF_CHANGED:
        tx->work += 64 + from->text.len * 2;
        return node_make(tx, text, from, step);
    case WEIR_WAF_NO_MEMORY:
        break;
    }
    weir_waf_exhausted(tx, "memory");
    return NULL;
}

static weir_waf_node *node_at(weir_waf_transaction *tx, weir_waf_node *root, uint32_t chain)
{
    const weir_waf_chain *chains = tx->library->chains.items;
    weir_waf_node *from;

    if (chain == 0) {
        return root;
    }
    if (root->at == NULL) {
        root->at = WEIR_NEW_ARRAY(tx->pool, weir_waf_node *, tx->library->chains.count);
        if (root->at == NULL) {
            weir_waf_exhausted(tx, "memory");
            return NULL;
        }
    }
    if (WEIR_LIKELY(root->at[chain] != NULL)) {
        return root->at[chain];
    }
    /* As deep as the longest list of transformations in the rules. */
    from = node_at(tx, root, chains[chain].parent);
    if (from == NULL) {
        return NULL;
    }
    root->at[chain] = node_step(tx, from, chains[chain].step);
    return root->at[chain];
}

weir_waf_node *weir_waf_node_of(weir_waf_transaction *tx, weir_waf_value *value, uint32_t chain)
{
    if (value->node == NULL) {
        value->node = node_make(tx, value->text, NULL, NULL);
        if (value->node == NULL) {
            return NULL;
        }
    }
    return node_at(tx, value->node, chain);
}

weir_waf_scan *weir_waf_node_scan(weir_waf_transaction *tx, weir_waf_node *node)
{
    const weir_waf_prefilter *prefilter = tx->library->prefilter;
    uint64_t *marks;

    if (node->scan.prefilter != NULL) {
        return &node->scan;
    }
    if (node->in_other_case != NULL) {
        weir_waf_scan *other = weir_waf_node_scan(tx, node->in_other_case);

        if (other != NULL) {
            weir_waf_scan_begin_in_other_case(&node->scan, other, node->text, &node->present);
        }
        tx->work += 64;
        return other == NULL ? NULL : &node->scan;
    }
    marks = weir_pool_alloc(tx->pool, weir_waf_prefilter_words(prefilter) * sizeof(uint64_t));
    if (marks == NULL) {
        weir_waf_exhausted(tx, "memory");
        return NULL;
    }
    weir_waf_scan_begin(&node->scan, prefilter, node->text, &node->present, marks);
    tx->work += 64 + node->text.len * 3;
    return &node->scan;
}
