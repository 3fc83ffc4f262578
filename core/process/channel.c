/* The line between the master and a child: a pair of sequenced-packet sockets. */

#include "core/process/channel_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>


#define CHANNEL_INLINE_MAX 16384 /* what is larger goes in a memfd */
#define CHANNEL_KIND_MAX 64
#define CHANNEL_WAITING_MAX ((size_t) 64 << 20)

/* Before the kind, and the bytes if they are not in a descriptor. */
typedef struct {
    uint32_t kind_len, bytes_len;
} channel_head;

#define CHANNEL_PACKET_MAX (sizeof(channel_head) + CHANNEL_KIND_MAX + CHANNEL_INLINE_MAX)

typedef struct channel_packet {
    struct channel_packet *next;
    int fd; /* -1: none */
    size_t len;
    size_t counted; /* in `waiting` */
    char data[];
} channel_packet;

struct weir_channel {
    weir_event event;
    weir_loop *loop;
    weir_channel_owner owner;
    channel_packet *first, **end; /* not yet sent */
    size_t waiting;
    bool in_callback, is_freed;
};

static void channel_ready(weir_event *event, unsigned what);

bool weir_channel_pair(int fds[static 2], const weir_log *log)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == -1) {
        weir_log_line(log, WEIR_LOG_ALERT, errno, "socketpair() failed");
        return false;
    }

    return true;
}

weir_channel *weir_channel_new(weir_loop *loop, int fd, const weir_channel_owner *owner)
{
    weir_channel *channel = calloc(1, sizeof(*channel));

    if (channel == NULL) {
        weir_log_line(weir_loop_log(loop), WEIR_LOG_ALERT, 0, "no memory for a channel");
        close(fd);
        return NULL;
    }

    channel->loop = loop;
    channel->owner = *owner;
    channel->end = &channel->first;
    channel->event = (weir_event){.fd = fd, .name = "channel", .ready = channel_ready};

    if (!weir_event_add(loop, &channel->event)) {
        close(fd);
        free(channel);
        return NULL;
    }

    return channel;
}

/* ---- sending */

static void channel_packet_free(channel_packet *packet)
{
    if (packet->fd != -1) {
        close(packet->fd);
    }
    free(packet);
}

static void channel_drop_first(weir_channel *channel)
{
    channel_packet *packet = channel->first;

    channel->first = packet->next;
    if (channel->first == NULL) {
        channel->end = &channel->first;
    }
    channel->waiting -= packet->counted;
    channel_packet_free(packet);
}

/* A memfd with the bytes; -1, errno set. */
static int channel_store(weir_str bytes)
{
    int fd = memfd_create("weir message", MFD_CLOEXEC);
    size_t written = 0;

    while (fd != -1 && written < bytes.len) {
        ssize_t len = write(fd, bytes.data + written, bytes.len - written);

        if (len == -1 && errno != EINTR) {
            int error = errno;

            close(fd);
            errno = error;
            return -1;
        }
        written += len == -1 ? 0 : (size_t) len;
    }

    return fd;
}

static channel_packet *channel_make_packet(weir_str kind, weir_str bytes)
{
    bool is_inline = bytes.len <= CHANNEL_INLINE_MAX;
    const channel_head head = {(uint32_t) kind.len, (uint32_t) bytes.len};
    size_t len = sizeof(head) + kind.len + (is_inline ? bytes.len : 0);
    channel_packet *packet = malloc(sizeof(*packet) + len);
    weir_builder text;

    if (packet == NULL) {
        return NULL;
    }

    *packet = (channel_packet){.fd = -1, .len = len, .counted = kind.len + bytes.len};

    if (!is_inline && (packet->fd = channel_store(bytes)) == -1) {
        free(packet);
        return NULL;
    }

    weir_builder_over(&text, packet->data, len);
    weir_builder_add(&text, weir_str_of((const char *) &head, sizeof(head)));
    weir_builder_add(&text, kind);
    weir_builder_add(&text, is_inline ? bytes : WEIR_STR_EMPTY);
    return packet;
}

static bool channel_write(const weir_channel *channel, const channel_packet *packet)
{
    struct iovec vector = {.iov_base = (void *) packet->data, .iov_len = packet->len};
    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    ssize_t sent;

    if (packet->fd != -1) {
        struct cmsghdr *header;

        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &packet->fd, sizeof(int));
    }

    do {
        sent = sendmsg(channel->event.fd, &message, MSG_NOSIGNAL);
    } while (sent == -1 && errno == EINTR);

    return sent != -1;
}

/* Until the kernel takes no more; a broken line is noticed by reading. */
static void channel_flush(weir_channel *channel)
{
    while (channel->first != NULL && channel_write(channel, channel->first)) {
        channel_drop_first(channel);
    }
}

bool weir_channel_send(weir_channel *channel, weir_str kind, weir_str bytes)
{
    channel_packet *packet;

    if (kind.len > CHANNEL_KIND_MAX || bytes.len > WEIR_CHANNEL_MESSAGE_MAX
        || channel->waiting + bytes.len > CHANNEL_WAITING_MAX) {
        weir_log_line(weir_loop_log(channel->loop), WEIR_LOG_ERR, 0,
                      "a message \"%.*s\" of %zu bytes was not sent: %zu bytes wait",
                      WEIR_STR_ARG(kind), bytes.len, channel->waiting);
        return false;
    }

    packet = channel_make_packet(kind, bytes);
    if (packet == NULL) {
        weir_log_line(weir_loop_log(channel->loop), WEIR_LOG_ERR, errno,
                      "no memory for a message \"%.*s\"", WEIR_STR_ARG(kind));
        return false;
    }

    *channel->end = packet;
    channel->end = &packet->next;
    channel->waiting += packet->counted;
    channel_flush(channel);
    return true;
}

/* ---- receiving */

/* The descriptor that came along, -1: none. */
static int channel_take_fd(struct msghdr *message)
{
    const struct cmsghdr *header = CMSG_FIRSTHDR(message);
    int fd = -1;

    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS
        && header->cmsg_len == CMSG_LEN(sizeof(int))) {
        memcpy(&fd, CMSG_DATA(header), sizeof(int));
    }

    return fd;
}

static void channel_broken(const weir_channel *channel, int error, const char *what)
{
    weir_log_line(weir_loop_log(channel->loop), WEIR_LOG_ALERT, error,
                  "a message on the channel was lost: %s", what);
}

static void channel_deliver_stored(weir_channel *channel, weir_str kind, size_t len, int fd)
{
    struct stat stat;
    void *bytes;

    if (fstat(fd, &stat) == -1 || (size_t) stat.st_size != len) {
        channel_broken(channel, 0, "its descriptor has another size");
        return;
    }

    bytes = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) {
        channel_broken(channel, errno, "mmap() failed");
        return;
    }

    channel->owner.received(channel, kind, weir_str_of(bytes, len), channel->owner.subject);
    munmap(bytes, len);
}

static void channel_deliver(weir_channel *channel, weir_str packet, int fd)
{
    channel_head head;
    weir_str kind, bytes;

    if (packet.len < sizeof(head)) {
        channel_broken(channel, 0, "it is cut short");
        return;
    }

    memcpy(&head, packet.data, sizeof(head));
    kind = weir_str_slice(packet, sizeof(head), sizeof(head) + head.kind_len);
    bytes = weir_str_from(packet, sizeof(head) + kind.len);

    if (kind.len != head.kind_len || (fd == -1 && bytes.len != head.bytes_len)) {
        channel_broken(channel, 0, "it is cut short");
    } else if (fd != -1) {
        channel_deliver_stored(channel, kind, head.bytes_len, fd);
    } else {
        channel->owner.received(channel, kind, bytes, channel->owner.subject);
    }
}

/* False: nothing is there now. */
static bool channel_read(weir_channel *channel)
{
    char data[CHANNEL_PACKET_MAX] __attribute__((aligned(8)));
    struct iovec vector = {.iov_base = data, .iov_len = sizeof(data)};
    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    ssize_t len = recvmsg(channel->event.fd, &message, MSG_CMSG_CLOEXEC);
    int fd;

    if (len == -1 && errno == EINTR) {
        return true;
    }

    if (len == -1 && errno == EAGAIN) {
        return false;
    }

    if (len <= 0) {
        weir_event_remove(channel->loop, &channel->event);
        channel->owner.ended(channel, channel->owner.subject);
        return false;
    }

    fd = channel_take_fd(&message);
    channel_deliver(channel, weir_str_of(data, (size_t) len), fd);
    if (fd != -1) {
        close(fd);
    }

    return true;
}

static void channel_ready(weir_event *event, unsigned what)
{
    weir_channel *channel = WEIR_OWNER(event, weir_channel, event);

    if (what & WEIR_WRITABLE) {
        channel_flush(channel);
    }

    channel->in_callback = true;
    while (!channel->is_freed && channel_read(channel)) {
    }
    channel->in_callback = false;

    if (channel->is_freed) {
        weir_channel_free(channel);
    }
}

/* ---- the end */

static void channel_drop_all(weir_channel *channel)
{
    while (channel->first != NULL) {
        channel_drop_first(channel);
    }
}

void weir_channel_free(weir_channel *channel)
{
    if (channel == NULL) {
        return;
    }

    /* A child that was just forked may still share it: closing alone would leave it in epoll. */
    weir_event_remove(channel->loop, &channel->event);
    if (channel->event.fd != -1) {
        close(channel->event.fd);
        channel->event.fd = -1;
    }

    if (channel->in_callback) {
        channel->is_freed = true;
        return;
    }

    channel_drop_all(channel);
    free(channel);
}

void weir_channel_let_go(weir_channel *channel)
{
    close(channel->event.fd);
    channel_drop_all(channel);
    free(channel);
}
