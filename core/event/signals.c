/* Signals, through signalfd. */

#include "core/event/loop_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct weir_signals {
    weir_event event;
    weir_loop *loop;
    void (*received)(int signal, int sender, void *subject);
    void *subject;
};

/* SIGCHLD tells of a process, though the kernel sends it; a terminal's signals are nobody's. */
static int signals_sender(const struct signalfd_siginfo *info)
{
    return info->ssi_code == SI_KERNEL ? 0 : (int) info->ssi_pid;
}

static void signals_ready(weir_event *event, unsigned what)
{
    weir_signals *signals = WEIR_OWNER(event, weir_signals, event);
    struct signalfd_siginfo next;
    ssize_t len;

    (void) what;

    /* One a read, as a handler may free the loop's signals by asking for others. */
    while ((len = read(event->fd, &next, sizeof(next))) == (ssize_t) sizeof(next)) {
        weir_loop *loop = signals->loop;

        signals->received((int) next.ssi_signo, signals_sender(&next), signals->subject);
        if (loop->signals != signals) {
            return;
        }
    }

    if (len == -1 && errno != EAGAIN && errno != EINTR) {
        weir_log_line(signals->loop->log, WEIR_LOG_ALERT, errno, "read() from signalfd failed");
    }
}

bool weir_loop_on_signals(weir_loop *loop, const int *signals, size_t count,
                          void (*received)(int signal, int sender, void *subject), void *subject)
{
    weir_signals *made = calloc(1, sizeof(*made));
    sigset_t mask;

    if (made == NULL) {
        weir_log_line(loop->log, WEIR_LOG_EMERG, 0, "no memory for the signals");
        return false;
    }

    sigemptyset(&mask);
    for (size_t i = 0; i < count; i++) {
        sigaddset(&mask, signals[i]);
    }

    made->loop = loop;
    made->received = received;
    made->subject = subject;
    made->event.name = "signals";
    made->event.ready = signals_ready;

    /* Blocked first: one that comes in between waits for the descriptor. */
    if (sigprocmask(SIG_BLOCK, &mask, NULL) == -1) {
        weir_log_line(loop->log, WEIR_LOG_EMERG, errno, "sigprocmask() failed");
        free(made);
        return false;
    }

    made->event.fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
    if (made->event.fd == -1) {
        weir_log_line(loop->log, WEIR_LOG_EMERG, errno, "signalfd() failed");
        free(made);
        return false;
    }

    if (!weir_event_add(loop, &made->event)) {
        close(made->event.fd);
        free(made);
        return false;
    }

    weir_signals_free(loop->signals, loop);
    loop->signals = made;
    return true;
}

void weir_signals_free(weir_signals *signals, weir_loop *loop)
{
    if (signals != NULL) {
        weir_event_close(loop, &signals->event);
        free(signals);
    }
}
