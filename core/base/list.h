#ifndef WEIR_BASE_LIST_H
#define WEIR_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/result.h"

/* A circular, doubly linked list; links lie inside of what is listed (WEIR_OWNER finds it). */
typedef struct weir_list {
    struct weir_list *next, *previous;
} weir_list;

static inline void weir_list_init(weir_list *list)
{
    list->next = list->previous = list;
}

static inline bool weir_list_is_empty(const weir_list *list)
{
    return list->next == list;
}

static inline void weir_list_insert_after(weir_list *where, weir_list *link)
{
    link->previous = where;
    link->next = where->next;
    where->next->previous = link;
    where->next = link;
}

static inline void weir_list_prepend(weir_list *list, weir_list *link)
{
    weir_list_insert_after(list, link);
}

static inline void weir_list_append(weir_list *list, weir_list *link)
{
    weir_list_insert_after(list->previous, link);
}

/* Leaves the link alone in a list of its own, so that removing twice is harmless. */
static inline void weir_list_remove(weir_list *link)
{
    link->next->previous = link->previous;
    link->previous->next = link->next;
    weir_list_init(link);
}

static inline weir_list *weir_list_first(const weir_list *list)
{
    return weir_list_is_empty(list) ? NULL : list->next;
}

#endif
