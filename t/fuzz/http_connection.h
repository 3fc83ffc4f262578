#ifndef FUZZ_HTTP_CONNECTION_H
#define FUZZ_HTTP_CONNECTION_H

/*
 * A whole connection of an http server in process: engine, phases and wire, over a socket pair.  The input's first byte
 * seeds where it is cut.
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/number.h"
#include "core/net/connection.h"
#include "core/process/cycle.h"
#include "core/script/script.h"
#include "modules/http/engine/core_conf.h"

static weir_loop *loop;
static const weir_server_port *port;
static weir_log quiet;

/* What the server has said. */
static char output[1 << 20];
static size_t output_len;

static void must(bool is_so)
{
    if (!is_so) {
        abort();
    }
}

static void set_up(const char *config)
{
    int fd = memfd_create("conf", 0);
    char path[64];
    weir_conf_options options = {.prefix = WEIR_STR(P_tmpdir "/"),
                                 .make_template = weir_template_make};
    weir_cycle *cycle;

    must(write(fd, config, strlen(config)) == (ssize_t) strlen(config));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    options.conf_file = weir_str_from_z(path);
    weir_clock_update();
    must((cycle = weir_cycle_read(&options)) != NULL);
    must((loop = weir_loop_new(&quiet)) != NULL);
    weir_connections_set_limit(loop, 8);
    port = *WEIR_ARRAY_AT(&weir_http_of_cycle(cycle)->servers.ports, weir_server_port *, 0);
}

static void turn(int client)
{
    for (int i = 0; i < 4; i++) {
        ssize_t got;

        weir_loop_turn(loop, 0);
        while (
            client != -1 && output_len < sizeof(output)
            && (got = recv(client, output + output_len, sizeof(output) - output_len, MSG_DONTWAIT))
                   > 0) {
            output_len += (size_t) got;
        }
    }
}

/* A connection that sends `before` and the input, cut as its first byte says, and ends; `output` is what came back. */
static void converse(weir_str before, const uint8_t *data, size_t len)
{
    int fds[2];
    weir_connection *connection;
    uint32_t seed = data[0];
    size_t at = 1;

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    connection = weir_connection_adopt(loop, fds[0], 512, &quiet);
    must(connection != NULL);
    connection->listener = port->listener;
    weir_http_accepted(connection, (void *) (uintptr_t) port);

    output_len = 0;
    must(send(fds[1], before.data, before.len, MSG_NOSIGNAL) == (ssize_t) before.len);
    while (at < len) {
        size_t piece;

        seed = seed * 1664525u + 1013904223u;
        piece = data[0] == 0 ? len : 1 + (seed >> 16) % (data[0] * 4u);
        piece = piece < len - at ? piece : len - at;
        if (send(fds[1], data + at, piece, MSG_NOSIGNAL) <= 0) {
            break;
        }
        at += piece;
        turn(fds[1]);
    }
    (void) shutdown(fds[1], SHUT_WR);
    turn(fds[1]);
    close(fds[1]);
    for (int i = 0; i < 100 && weir_connections_open(loop) != 0; i++) {
        turn(-1);
    }
    must(weir_connections_open(loop) == 0);
    turn(-1);
    must(weir_blocks_in_use() == 0);
}

#endif
