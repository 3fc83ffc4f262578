/* Kinds of messages and who hears them. */

#include "core/process/worker_internal.h"

typedef struct {
    void (*received)(weir_worker *worker, weir_str bytes, void *subject);
    void *subject;
} message_hearer;

struct weir_messages {
    weir_pool *pool;
    weir_map *hearers; /* message_hearer by kind */
};

weir_messages *weir_messages_new(weir_pool *pool)
{
    weir_messages *messages = WEIR_NEW(pool, weir_messages);

    if (messages == NULL || (messages->hearers = weir_map_new(pool, false, 8)) == NULL) {
        return NULL;
    }

    messages->pool = pool;
    return messages;
}

bool weir_message_register(weir_cycle *cycle, const char *kind,
                           void (*received)(weir_worker *worker, weir_str bytes, void *subject),
                           void *subject)
{
    weir_messages *messages = cycle->messages;
    message_hearer *hearer = WEIR_NEW(messages->pool, message_hearer);

    if (hearer == NULL) {
        return false;
    }

    *hearer = (message_hearer){received, subject};
    return weir_map_put(messages->hearers, weir_str_from_z(kind), hearer);
}

void weir_messages_deliver(const weir_messages *messages, weir_worker *worker, weir_str kind,
                           weir_str bytes)
{
    const message_hearer *hearer = weir_map_find(messages->hearers, kind);

    if (hearer != NULL) {
        hearer->received(worker, bytes, hearer->subject);
    }
}
