/* The connections of a loop: how many there may be, which are idle, and memory for new ones. */

#include "core/net/connection_internal.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "weir_auto_config.h"

#define TABLE_LIMIT_PRESET 512
/* Idle connections that are closed at a time to make room. */
#define TABLE_IDLE_CLOSED 32

/* Under the sanitizers each connection is a malloc of its own, so that late uses are seen. */
#define TABLE_FREE_KEPT (WEIR_POOL_SEPARATE ? 0 : 512)

/* ---- memory */

static void table_free_connection(weir_connection *connection)
{
    weir_pool_free(connection->pool);
    free(connection);
}

static void table_recycle(weir_task *task)
{
    weir_connection_table *table = WEIR_OWNER(task, weir_connection_table, recycle);
    weir_connection *connection;

    while ((connection = table->closed) != NULL) {
        table->closed = connection->next;

        if (table->free_count == TABLE_FREE_KEPT) {
            table_free_connection(connection);
        } else {
            weir_pool_reset(connection->pool);
            connection->next = table->free;
            table->free = connection;
            table->free_count++;
        }
    }
}

static weir_connection *table_get_memory(weir_connection_table *table, size_t pool_bytes)
{
    weir_connection *connection = table->free;
    weir_pool *pool = NULL;

    if (connection != NULL) {
        table->free = connection->next;
        table->free_count--;
        pool = connection->pool;
        if (connection->pool_bytes != pool_bytes) {
            weir_pool_free(pool);
            pool = NULL;
        }
        memset(connection, 0, sizeof(*connection));
    } else {
        connection = calloc(1, sizeof(*connection));
    }

    if (connection != NULL && pool == NULL) {
        pool = weir_pool_new(pool_bytes, 0);
        if (pool == NULL) {
            free(connection);
            connection = NULL;
        }
    }

    if (connection == NULL) {
        weir_log_line(weir_loop_log(table->loop), WEIR_LOG_CRIT, 0, "no memory for a connection");
        return NULL;
    }
    connection->pool = pool;
    connection->pool_bytes = pool_bytes;
    return connection;
}

/* ---- the table */

static void table_done(void *attached)
{
    weir_connection_table *table = attached;
    weir_connection *connection;

    weir_resolvers_free(table->resolvers);
    table_recycle(&table->recycle);
    while ((connection = table->free) != NULL) {
        table->free = connection->next;
        table_free_connection(connection);
    }
    weir_pipes_free(table->pipes);
    free(table);
}

weir_connection_table *weir_connection_table_of(weir_loop *loop)
{
    weir_connection_table *table = weir_loop_attached(loop);

    if (WEIR_LIKELY(table != NULL)) {
        return table;
    }

    table = calloc(1, sizeof(*table));
    if (table == NULL) {
        weir_log_line(weir_loop_log(loop), WEIR_LOG_EMERG, 0, "no memory for connections");
        return NULL;
    }

    table->loop = loop;
    table->limit = TABLE_LIMIT_PRESET;
    weir_list_init(&table->idle);
    table->recycle.name = "recycle connections";
    table->recycle.run = table_recycle;
    weir_loop_attach(loop, table, table_done);
    return table;
}

size_t weir_connections_open(const weir_loop *loop)
{
    const weir_connection_table *table = weir_loop_attached(loop);

    return table == NULL ? 0 : table->open;
}

void weir_connections_set_limit(weir_loop *loop, size_t limit)
{
    weir_connection_table *table = weir_connection_table_of(loop);

    if (table != NULL) {
        table->limit = limit;
    }
}

void weir_connections_share_counter(weir_loop *loop, _Atomic uint64_t *counter)
{
    weir_connection_table *table = weir_connection_table_of(loop);

    if (table != NULL) {
        table->counter = counter;
    }
}

/* ---- idle connections */

static void table_resume_listeners(weir_connection_table *table)
{
    if (table->listeners != NULL) {
        weir_listeners_resume(table->listeners);
    }
}

void weir_connection_set_idle(weir_connection *connection, bool is_idle)
{
    weir_connection_table *table = weir_loop_attached(connection->loop);

    if (connection->is_idle == is_idle) {
        return;
    }
    connection->is_idle = is_idle;
    if (is_idle) {
        weir_list_append(&table->idle, &connection->idle_link);
        table_resume_listeners(table);
    } else {
        weir_list_remove(&connection->idle_link);
    }
}

/* The first of the list; its owner closes it now, or soon. */
static void table_end_idle(weir_list *idle)
{
    weir_connection *connection = WEIR_OWNER(weir_list_first(idle), weir_connection, idle_link);

    weir_connection_set_idle(connection, false);
    weir_connection_clear_timeout(connection);
    if (connection->state->on_timeout != NULL) {
        connection->state->on_timeout(connection);
    } else {
        weir_connection_close(connection);
    }
}

void weir_connections_close_idle(weir_loop *loop)
{
    weir_connection_table *table = weir_loop_attached(loop);

    weir_list ending;

    if (table == NULL || weir_list_is_empty(&table->idle)) {
        return;
    }

    /* They change over to a list of this call: one whose owner goes on to leave it idle is asked but once. */
    ending = table->idle;
    ending.next->previous = ending.previous->next = &ending;
    weir_list_init(&table->idle);
    while (!weir_list_is_empty(&ending)) {
        table_end_idle(&ending);
    }
}

bool weir_connections_may_open(const weir_connection_table *table)
{
    return table->open < table->limit || !weir_list_is_empty(&table->idle);
}

bool weir_connections_make_room(weir_connection_table *table)
{
    uint64_t now_ms = weir_clock_now()->monotonic_ms;
    size_t had_idle = 0;

    if (WEIR_LIKELY(table->open < table->limit)) {
        return true;
    }

    while (had_idle < TABLE_IDLE_CLOSED && !weir_list_is_empty(&table->idle)) {
        table_end_idle(&table->idle);
        had_idle++;
    }

    if (table->last_shortage_ms == 0 || now_ms - table->last_shortage_ms >= 1000) {
        table->last_shortage_ms = now_ms;
        weir_log_line(weir_loop_log(table->loop), had_idle != 0 ? WEIR_LOG_WARN : WEIR_LOG_ALERT, 0,
                      "%zu worker_connections are not enough%s", table->limit,
                      had_idle != 0 ? ", reusing connections" : "");
    }
    return table->open < table->limit;
}

/* ---- opening and closing */

static void connection_ready(weir_event *event, unsigned what)
{
    weir_connection *connection = WEIR_OWNER(event, weir_connection, event);
    const weir_connection_state *state = connection->state;
    bool was_writable = connection->writable;

    connection->readable = connection->readable || (what & WEIR_READABLE);
    connection->writable = connection->writable || (what & WEIR_WRITABLE);
    connection->hangup = connection->hangup || (what & WEIR_HANGUP);

    /* Nobody waits for it: the next time that a write does, it is asked for again. */
    if (what == WEIR_WRITABLE && was_writable
        && !weir_event_hear_writable(connection->loop, event, false)) {
        connection->failed = true;
    }

    if (what & WEIR_READABLE) {
        if (state->on_readable != NULL) {
            state->on_readable(connection);
        } else if ((what & WEIR_HANGUP) && state->on_hangup != NULL) {
            state->on_hangup(connection);
        }
        if (connection->event.fd == -1) {
            return;
        }
    }

    /*
     * Each event says writable again while the socket is: of interest is only what could not be written before, and
     * only if the handler above has not tried itself and found the socket full again.
     */
    if (was_writable || !connection->writable) {
        return;
    }
    if (connection->transport->send_rest != NULL
        && connection->transport->send_rest(connection) == WEIR_WAIT) {
        return;
    }
    /* What failed, the owner's next call is told. */
    if (connection->state->on_writable != NULL) {
        connection->state->on_writable(connection);
    }
}

static void connection_timer_expired(weir_timer *timer)
{
    weir_connection *connection = WEIR_OWNER(timer, weir_connection, timer);

    if (connection->state->on_timeout != NULL) {
        connection->state->on_timeout(connection);
    }
}

/* What is there already when a state is entered, or in buffers of the transport. */
static void connection_wake(weir_task *task)
{
    weir_connection *connection = WEIR_OWNER(task, weir_connection, wake);
    const weir_connection_state *state = connection->state;

    if (state->on_readable != NULL) {
        if (connection->readable || weir_connection_holds_unread(connection)) {
            state->on_readable(connection);
        }
    } else if (connection->hangup && state->on_hangup != NULL) {
        state->on_hangup(connection);
    }
}

/* ", client: 192.0.2.1, server: 0.0.0.0:443": until the owner knows better. */
void weir_connection_describe(weir_builder *line, const void *subject)
{
    const weir_connection *connection = subject;
    char text[WEIR_ADDR_TEXT_MAX];

    if (connection->listener == NULL) {
        weir_builder_add(line, WEIR_STR(", upstream: "));
        weir_builder_add(line, weir_addr_text(&connection->peer, true, text));
        return;
    }
    weir_builder_add(line, WEIR_STR(", client: "));
    weir_builder_add(line, weir_addr_text(&connection->peer, false, text));
    weir_builder_add(line, WEIR_STR(", server: "));
    weir_builder_add(line, weir_addr_text(&connection->listener->addr, true, text));
}

/* new -> what its owner enters */
const weir_connection_state weir_connection_new = {
    .name = "new",
};

static uint64_t table_next_number(weir_connection_table *table)
{
    if (table->counter == NULL) {
        return ++table->own_counter;
    }
    return atomic_fetch_add_explicit(table->counter, 1, memory_order_relaxed) + 1;
}

weir_connection *weir_connection_open(weir_connection_table *table, int fd, bool connects,
                                      size_t pool_bytes, const weir_log *log)
{
    weir_connection *connection = table_get_memory(table, pool_bytes);
    bool is_added;

    if (connection == NULL) {
        return NULL;
    }

    connection->loop = table->loop;
    connection->state = &weir_connection_new;
    connection->transport = &weir_plain_transport;
    connection->started_ms = weir_clock_now()->monotonic_ms;
    connection->number = table_next_number(table);
    connection->log = *log;
    connection->log.connection = connection->number;
    connection->log.describe = weir_connection_describe;
    connection->log.subject = connection;

    connection->writable = !connects;
    connection->event.fd = fd;
    connection->event.name = "connection";
    connection->event.ready = connection_ready;
    connection->timer.name = "connection";
    connection->timer.expired = connection_timer_expired;
    connection->wake.name = "connection";
    connection->wake.run = connection_wake;
    weir_list_init(&connection->idle_link);

    is_added = connects ? weir_event_add(table->loop, &connection->event)
                        : weir_event_add_reader(table->loop, &connection->event);
    if (!is_added) {
        table_free_connection(connection);
        return NULL;
    }
    table->open++;
    return connection;
}

void weir_connection_close(weir_connection *connection)
{
    weir_connection_table *table = weir_loop_attached(connection->loop);

    connection->transport->close(connection);
    weir_event_close(connection->loop, &connection->event);
    weir_timer_clear(connection->loop, &connection->timer);
    weir_task_cancel(&connection->wake);
    weir_connection_set_idle(connection, false);
    weir_pool_clean(connection->pool);

    /* Its memory, the pool's included, is used again only when nothing on the stack can look at it. */
    connection->next = table->closed;
    table->closed = connection;
    weir_task_post(connection->loop, &table->recycle);

    table->open--;
    table_resume_listeners(table);
}
