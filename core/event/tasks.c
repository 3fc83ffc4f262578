/* Posted tasks: work that must not run inside of a callback. */

#include "core/event/loop_internal.h"

void weir_task_post(weir_loop *loop, weir_task *task)
{
    if (!task->posted) {
        task->posted = true;
        weir_list_append(&loop->posted, &task->link);
    }
}

bool weir_loop_has_tasks(const weir_loop *loop)
{
    return !weir_list_is_empty(&loop->posted);
}

void weir_task_cancel(weir_task *task)
{
    if (task->posted) {
        task->posted = false;
        weir_list_remove(&task->link);
    }
}

void weir_tasks_run(weir_loop *loop)
{
    weir_list due;

    if (weir_list_is_empty(&loop->posted)) {
        return;
    }

    /*
     * The tasks change over to a list of this turn, so that those which they post wait for the next, and those which
     * they cancel leave whichever list they are in.
     */
    due = loop->posted;
    due.next->previous = due.previous->next = &due;
    weir_list_init(&loop->posted);

    while (!weir_list_is_empty(&due)) {
        weir_task *task = WEIR_OWNER(weir_list_first(&due), weir_task, link);
        const char *name = task->name;
        uint64_t begin_us;

        weir_task_cancel(task);
        begin_us = weir_slow_begin(loop);
        task->run(task);
        weir_slow_end(loop, "task", name, begin_us);
    }
}
