#include "modules/waf/automaton.h"

#include <stdlib.h>

/*
 * States are numbered by breadth: those near the root, where nearly all bytes of a text are read, have a
 * full row each; the others have the edges of the trie and the state to fall back to.
 *
 * What leads to a state is a place: where its row begins, or its number if it has none.  A bit says which; another that phrases
 * end there, so that nothing else of it is read when none does.
 */
#define TELLS ((uint32_t) 1 << 31)
#define SPARSE ((uint32_t) 1 << 30)
#define NO_CLASS 0xff /* there are fewer, as upper-case letters have none */

/* Of the states without a row, this is all that the walk reads, most have one edge. */
typedef struct {
    uint32_t fallback; /* the place of the longest suffix that is a state */
    uint32_t to;       /* the first edge's */
    uint32_t more;     /* the second edge, and those behind it */
    uint8_t class;     /* the first edge's; NO_CLASS: there is none */
    uint8_t more_count;
} automaton_state;

typedef struct {
    uint32_t to; /* a place */
    uint8_t class;
} automaton_edge;

/* The numbers of the phrases that end in a state, suffixes included. */
typedef struct {
    uint32_t first, count;
} automaton_ends;

struct weir_waf_automaton {
    uint8_t class_of[256]; /* 0: in no phrase */
    uint32_t class_count, state_count, dense_count;
    size_t bytes;
    uint32_t *rows; /* dense_count of class_count places, and the state's number behind them */
    automaton_state *states;
    automaton_edge *edges;
    automaton_ends *ends;
    uint32_t *numbers;
};

/* ---- the trie, in memory that goes when the automaton is built */

typedef struct {
    uint32_t first_child, next_sibling, parent; /* 0: none, as nothing leads to the root */
    uint32_t first_number;                      /* 1 + its index in the list of ends; 0: none */
    uint8_t class;
} trie_node;

typedef struct {
    const weir_waf_phrase *phrases;
    uint32_t *next_end; /* by phrase: 1 + the next that ends in the same node */
    trie_node *nodes;
    uint32_t *order;    /* by breadth: nodes */
    uint32_t *place;    /* of a node in `order`: its state */
    uint32_t *fallback; /* by state */
    uint32_t node_count;
} trie;

static uint8_t folded(char c)
{
    return (uint8_t) weir_byte_lower(c);
}

static void classes_of(weir_waf_automaton *automaton, const weir_waf_phrase *phrases, size_t count)
{
    bool occurs[256] = {false};

    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < phrases[i].text.len; at++) {
            occurs[folded(phrases[i].text.data[at])] = true;
        }
    }

    automaton->class_count = 1;
    for (unsigned byte = 0; byte < 256; byte++) {
        /* They fit: upper-case letters have no class of their own. */
        automaton->class_of[byte] = occurs[byte] ? (uint8_t) automaton->class_count++ : 0;
    }
    for (unsigned byte = 'A'; byte <= 'Z'; byte++) {
        automaton->class_of[byte] = automaton->class_of[byte | 0x20];
    }
}

static uint32_t trie_child(const trie *t, uint32_t node, uint8_t class)
{
    uint32_t child = t->nodes[node].first_child;

    while (child != 0 && t->nodes[child].class != class) {
        child = t->nodes[child].next_sibling;
    }

    return child;
}

static void trie_add(trie *t, const uint8_t *class_of, uint32_t phrase)
{
    weir_str text = t->phrases[phrase].text;
    uint32_t node = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t class = class_of[(uint8_t) text.data[i]];
        uint32_t child = trie_child(t, node, class);

        if (child == 0) {
            child = t->node_count++;
            t->nodes[child] = (trie_node){
                .class = class, .parent = node, .next_sibling = t->nodes[node].first_child};
            t->nodes[node].first_child = child;
        }
        node = child;
    }

    t->next_end[phrase] = t->nodes[node].first_number;
    t->nodes[node].first_number = phrase + 1;
}

static void trie_free(trie *t)
{
    free(t->next_end);
    free(t->nodes);
    free(t->order);
    free(t->place);
    free(t->fallback);
}

static bool trie_make(trie *t, const weir_waf_automaton *automaton, const weir_waf_phrase *phrases,
                      size_t count)
{
    size_t nodes_max = 1;

    for (size_t i = 0; i < count; i++) {
        nodes_max += phrases[i].text.len;
    }
    if (nodes_max >= SPARSE) {
        return false;
    }

    t->phrases = phrases;
    t->nodes = calloc(nodes_max, sizeof(*t->nodes));
    t->next_end = calloc(count + 1, sizeof(*t->next_end));
    if (t->nodes == NULL || t->next_end == NULL) {
        return false;
    }

    t->node_count = 1;
    for (size_t i = count; i-- > 0;) {
        trie_add(t, automaton->class_of, (uint32_t) i);
    }

    t->order = calloc(t->node_count, sizeof(*t->order));
    t->place = calloc(t->node_count, sizeof(*t->place));
    t->fallback = calloc(t->node_count, sizeof(*t->fallback));
    return t->order != NULL && t->place != NULL && t->fallback != NULL;
}

/* The order by breadth, and where each state falls back to. */
static void trie_walk(trie *t)
{
    uint32_t count = 1;

    for (uint32_t state = 0; state < count; state++) {
        uint32_t node = t->order[state];

        for (uint32_t child = t->nodes[node].first_child; child != 0;
             child = t->nodes[child].next_sibling) {
            t->place[child] = count;
            t->order[count++] = child;
        }
    }

    for (uint32_t state = 1; state < count; state++) {
        uint32_t node = t->order[state], parent = t->place[t->nodes[node].parent];
        uint8_t class = t->nodes[node].class;
        uint32_t suffix = parent, child = 0;

        while (suffix != 0 && child == 0) {
            suffix = t->fallback[suffix];
            child = trie_child(t, t->order[suffix], class);
        }
        t->fallback[state] = child == 0 ? 0 : t->place[child];
    }
}

/* ---- from the trie to the automaton */

static uint32_t own_number_count(const trie *t, uint32_t node)
{
    uint32_t count = 0;

    for (uint32_t end = t->nodes[node].first_number; end != 0; end = t->next_end[end - 1]) {
        count++;
    }

    return count;
}

/* How many numbers each state has, its suffixes' included; the sum of all. */
static size_t count_numbers(const trie *t, weir_waf_automaton *automaton)
{
    size_t sum = 0;

    for (uint32_t state = 0; state < t->node_count; state++) {
        uint32_t count = own_number_count(t, t->order[state]);

        if (state != 0) {
            count += automaton->ends[t->fallback[state]].count;
        }
        automaton->ends[state].count = count;
        sum += count;
    }

    return sum;
}

static uint32_t row_width(const weir_waf_automaton *automaton)
{
    return automaton->class_count + 1;
}

static uint32_t place_of(const weir_waf_automaton *automaton, uint32_t state)
{
    return state < automaton->dense_count ? state * row_width(automaton) : state | SPARSE;
}

/* Edges lie side by side: the first of a state that has no row is in the state, too. */
static void fill_edges(const trie *t, weir_waf_automaton *automaton, uint32_t state,
                       uint32_t *next_edge)
{
    automaton_state *s = &automaton->states[state];
    uint32_t first = *next_edge;

    for (uint32_t child = t->nodes[t->order[state]].first_child; child != 0;
         child = t->nodes[child].next_sibling) {
        uint32_t to = t->place[child];

        automaton->edges[(*next_edge)++] = (automaton_edge){
            .to = place_of(automaton, to) | (automaton->ends[to].count != 0 ? TELLS : 0),
            .class = t->nodes[child].class};
    }
    s->class = NO_CLASS;
    s->more = first;
    if (*next_edge > first) {
        s->class = automaton->edges[first].class;
        s->to = automaton->edges[first].to;
        s->more = first + 1;
        s->more_count = (uint8_t) (*next_edge - first - 1);
    }
}

/* Own numbers come first: they are of the longest phrase. */
static void fill_state(const trie *t, weir_waf_automaton *automaton, uint32_t state,
                       uint32_t *next_edge, uint32_t *next_number)
{
    automaton_ends *ends = &automaton->ends[state];
    const automaton_ends *suffix = &automaton->ends[t->fallback[state]];
    const trie_node *node = &t->nodes[t->order[state]];
    uint32_t *numbers = automaton->numbers + *next_number;
    uint32_t filled = 0;

    automaton->states[state].fallback = place_of(automaton, t->fallback[state]);
    ends->first = *next_number;
    for (uint32_t end = node->first_number; end != 0 && filled < ends->count;
         end = t->next_end[end - 1]) {
        numbers[filled++] = t->phrases[end - 1].number;
    }
    for (uint32_t i = 0; state != 0 && i < suffix->count && filled < ends->count; i++) {
        numbers[filled++] = automaton->numbers[suffix->first + i];
    }
    *next_number += filled;

    fill_edges(t, automaton, state, next_edge);
}

static void fill_row(const trie *t, weir_waf_automaton *automaton, uint32_t state)
{
    size_t width = row_width(automaton);
    uint32_t *row = automaton->rows + state * width;
    const automaton_state *s = &automaton->states[state];

    if (state != 0) {
        /* By breadth, the suffix's row is there. */
        memcpy(row, automaton->rows + t->fallback[state] * width, width * sizeof(*row));
    }
    if (s->class != NO_CLASS) {
        row[s->class] = s->to;
    }
    for (uint32_t i = s->more; i < s->more + s->more_count; i++) {
        row[automaton->edges[i].class] = automaton->edges[i].to;
    }
    row[automaton->class_count] = state;
}

static void *automaton_memory(weir_waf_automaton *automaton, weir_pool *pool, size_t count,
                              size_t bytes)
{
    automaton->bytes += count * bytes;
    return weir_pool_calloc(pool, count == 0 ? 1 : count, bytes);
}

static bool automaton_fill(weir_waf_automaton *automaton, weir_pool *pool, const trie *t,
                           uint32_t rows_max)
{
    uint32_t next_edge = 0, next_number = 0;
    size_t numbers;

    automaton->state_count = t->node_count;
    automaton->dense_count = t->node_count < rows_max ? t->node_count : rows_max;
    automaton->states =
        automaton_memory(automaton, pool, t->node_count, sizeof(*automaton->states));
    automaton->edges = automaton_memory(automaton, pool, t->node_count, sizeof(*automaton->edges));
    automaton->ends = automaton_memory(automaton, pool, t->node_count, sizeof(*automaton->ends));
    automaton->rows = automaton_memory(
        automaton, pool, (size_t) automaton->dense_count * row_width(automaton), sizeof(uint32_t));
    if (automaton->states == NULL || automaton->edges == NULL || automaton->ends == NULL
        || automaton->rows == NULL) {
        return false;
    }

    numbers = count_numbers(t, automaton);
    automaton->numbers =
        numbers >= UINT32_MAX ? NULL : automaton_memory(automaton, pool, numbers, sizeof(uint32_t));
    if (automaton->numbers == NULL) {
        return false;
    }

    for (uint32_t state = 0; state < t->node_count; state++) {
        fill_state(t, automaton, state, &next_edge, &next_number);
    }
    for (uint32_t state = 0; state < automaton->dense_count; state++) {
        fill_row(t, automaton, state);
    }

    return true;
}

const weir_waf_automaton *weir_waf_automaton_new(weir_pool *pool, const weir_waf_phrase *phrases,
                                                 size_t count, uint32_t rows_max)
{
    weir_waf_automaton *automaton = WEIR_NEW(pool, weir_waf_automaton);
    trie t = {0};
    bool is_made;

    if (automaton == NULL) {
        return NULL;
    }

    classes_of(automaton, phrases, count);
    is_made = trie_make(&t, automaton, phrases, count);
    if (is_made) {
        trie_walk(&t);
        is_made = automaton_fill(automaton, pool, &t, rows_max);
    }

    trie_free(&t);
    return is_made ? automaton : NULL;
}

/* ---- the walk */

/* From the place of a state without a row, without TELLS, to the next, with it. */
static uint32_t sparse_step(const weir_waf_automaton *automaton, uint32_t place, uint8_t class)
{
    const automaton_edge *edges = automaton->edges;

    while ((place & SPARSE) != 0) {
        const automaton_state *s = &automaton->states[place & ~SPARSE];

        if (s->class == class) {
            return s->to;
        }
        for (uint32_t i = s->more; i < s->more + s->more_count; i++) {
            if (edges[i].class == class) {
                return edges[i].to;
            }
        }
        place = s->fallback;
    }
    return automaton->rows[place + class];
}

/* One test for what most bytes do not lead to. */
static bool is_plain(uint32_t place)
{
    return place < SPARSE;
}

static const automaton_ends *ends_of(const weir_waf_automaton *automaton, uint32_t place)
{
    return &automaton
                ->ends[(place & SPARSE) != 0 ? place & ~SPARSE
                                             : automaton->rows[place + automaton->class_count]];
}

bool weir_waf_automaton_find(const weir_waf_automaton *automaton, weir_str text, uint32_t *number)
{
    uint32_t place = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t class = automaton->class_of[(uint8_t) text.data[i]];

        place =
            is_plain(place) ? automaton->rows[place + class] : sparse_step(automaton, place, class);
        if ((place & TELLS) != 0) {
            *number = automaton->numbers[ends_of(automaton, place & ~TELLS)->first];
            return true;
        }
    }

    return false;
}

static void mark_ends(const weir_waf_automaton *automaton, uint32_t place, uint64_t *bits)
{
    const automaton_ends *ends = ends_of(automaton, place);

    for (uint32_t i = ends->first; i < ends->first + ends->count; i++) {
        bits[automaton->numbers[i] >> 6] |= (uint64_t) 1 << (automaton->numbers[i] & 63);
    }
}

void weir_waf_automaton_mark(const weir_waf_automaton *automaton, weir_str text, uint64_t *bits)
{
    const uint8_t *bytes = (const uint8_t *) text.data;
    const uint8_t *class_of = automaton->class_of;
    const uint32_t *rows = automaton->rows;
    uint32_t place = 0;
    size_t i = 0;

    while (i < text.len) {
        place = rows[place + class_of[bytes[i++]]];
        while (WEIR_UNLIKELY(!is_plain(place))) {
            if ((place & TELLS) != 0) {
                place &= ~TELLS;
                mark_ends(automaton, place, bits);
                continue;
            }
            if (i == text.len) {
                return;
            }
            place = sparse_step(automaton, place, class_of[bytes[i++]]);
        }
    }
}

size_t weir_waf_automaton_state_count(const weir_waf_automaton *automaton)
{
    return automaton->state_count;
}

size_t weir_waf_automaton_bytes(const weir_waf_automaton *automaton)
{
    return automaton->bytes;
}
