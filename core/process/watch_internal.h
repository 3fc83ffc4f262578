#ifndef WEIR_PROCESS_WATCH_INTERNAL_H
#define WEIR_PROCESS_WATCH_INTERNAL_H

#include "core/event/loop.h"
#include "core/process/worker.h"

weir_watches *weir_watches_new(weir_pool *pool);

/* Looks at the cycle's files from now on, in this loop.  Without inotify it looks every few seconds. */
typedef struct weir_watcher weir_watcher;
weir_watcher *weir_watcher_start(weir_cycle *cycle, weir_loop *loop);
void weir_watcher_stop(weir_watcher *watcher); /* NULL is ignored */
/* In a forked child: closes what only the master needs. */
void weir_watcher_let_go(weir_watcher *watcher);

#endif
