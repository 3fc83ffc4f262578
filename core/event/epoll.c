/* Descriptors: epoll. */

#include "core/event/loop_internal.h"

#include <errno.h>
#include <unistd.h>

bool weir_epoll_open(weir_loop *loop)
{
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd == -1) {
        weir_log_line(loop->log, WEIR_LOG_EMERG, errno, "epoll_create1() failed");
        return false;
    }
    return true;
}

void weir_epoll_close(weir_loop *loop)
{
    close(loop->epoll_fd);
}

#define EPOLL_READS (EPOLLIN | EPOLLRDHUP | EPOLLET)

static bool epoll_add(weir_loop *loop, weir_event *event, uint32_t mask)
{
    struct epoll_event change = {.events = mask, .data.ptr = event};

    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, event->fd, &change) == -1) {
        weir_log_line(loop->log, WEIR_LOG_ALERT, errno, "epoll_ctl(ADD, %d) failed", event->fd);
        return false;
    }

    event->added = true;
    event->hears_writable = mask & EPOLLOUT;
    event->pending = 0;
    return true;
}

bool weir_event_add(weir_loop *loop, weir_event *event)
{
    return epoll_add(loop, event, EPOLL_READS | EPOLLOUT);
}

bool weir_event_add_reader(weir_loop *loop, weir_event *event)
{
    return epoll_add(loop, event, EPOLL_READS);
}

bool weir_event_hear_writable(weir_loop *loop, weir_event *event, bool hears)
{
    struct epoll_event change = {.events = EPOLL_READS | (hears ? EPOLLOUT : 0), .data.ptr = event};

    if (event->hears_writable == hears) {
        return true;
    }
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, event->fd, &change) == -1) {
        weir_log_line(loop->log, WEIR_LOG_ALERT, errno, "epoll_ctl(MOD, %d) failed", event->fd);
        return false;
    }
    event->hears_writable = hears;
    return true;
}

bool weir_event_add_level(weir_loop *loop, weir_event *event, bool exclusive)
{
    return epoll_add(loop, event, EPOLLIN | (exclusive ? EPOLLEXCLUSIVE : 0));
}

static void epoll_drop_pending(weir_loop *loop, weir_event *event)
{
    if (event->pending != 0) {
        loop->batch[event->pending - 1].data.ptr = NULL;
        event->pending = 0;
    }
}

void weir_event_remove(weir_loop *loop, weir_event *event)
{
    if (!event->added) {
        return;
    }

    epoll_drop_pending(loop, event);
    event->added = false;
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, event->fd, NULL) == -1) {
        weir_log_line(loop->log, WEIR_LOG_ALERT, errno, "epoll_ctl(DEL, %d) failed", event->fd);
    }
}

void weir_event_close(weir_loop *loop, weir_event *event)
{
    if (event->added) {
        epoll_drop_pending(loop, event);
        event->added = false;
    }

    if (close(event->fd) == -1) {
        weir_log_line(loop->log, WEIR_LOG_ALERT, errno, "close(%d) failed", event->fd);
    }
    event->fd = -1;
}

/* An error says nothing of its direction: whatever is tried next will tell. */
static unsigned epoll_what(uint32_t mask)
{
    unsigned what = 0;

    if (mask & (EPOLLERR | EPOLLHUP)) {
        return WEIR_READABLE | WEIR_WRITABLE | WEIR_HANGUP;
    }
    if (mask & (EPOLLIN | EPOLLRDHUP)) {
        what |= WEIR_READABLE;
    }
    if (mask & EPOLLOUT) {
        what |= WEIR_WRITABLE;
    }
    if (mask & EPOLLRDHUP) {
        what |= WEIR_HANGUP;
    }
    return what;
}

static unsigned epoll_wait_for_batch(weir_loop *loop, int wait_ms)
{
    int ready = epoll_wait(loop->epoll_fd, loop->batch, WEIR_LOOP_BATCH, wait_ms);

    if (ready == -1 && errno != EINTR) {
        weir_log_line(loop->log, WEIR_LOG_ALERT, errno, "epoll_wait() failed");
    }
    return ready == -1 ? 0 : (unsigned) ready;
}

void weir_epoll_turn(weir_loop *loop, int wait_ms)
{
    unsigned i;

    loop->batch_count = epoll_wait_for_batch(loop, wait_ms);
    weir_clock_update();

    /* So that whoever is removed by a handler finds, and empties, its own place. */
    for (i = 0; i < loop->batch_count; i++) {
        ((weir_event *) loop->batch[i].data.ptr)->pending = i + 1;
    }

    for (i = 0; i < loop->batch_count; i++) {
        weir_event *event = loop->batch[i].data.ptr;
        const char *name;
        uint64_t begin_us;

        if (event == NULL) {
            continue;
        }
        event->pending = 0;

        /* The handler may free the event. */
        name = event->name;
        begin_us = weir_slow_begin(loop);
        event->ready(event, epoll_what(loop->batch[i].events));
        weir_slow_end(loop, "handler", name, begin_us);
    }
}
