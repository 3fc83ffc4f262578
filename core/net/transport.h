#ifndef WEIR_NET_TRANSPORT_H
#define WEIR_NET_TRANSPORT_H

#include <sys/uio.h>

#include "core/net/connection.h"

/*
 * The socket under a connection, for those who write a transport; everyone else uses the verbs.
 */

extern const weir_transport weir_plain_transport;

/*
 * One recv() or sendmsg(), or none when the kernel last said that it would block.  These keep
 * `readable`, `writable`, `hangup` and `failed`, and log failures; they know nothing of `early`, which whoever
 * replaces the plain transport takes over, and do not count `received` and `sent`, as what TLS reads is no payload.
 *
 * recv: OK with *len 0 is the end of data.
 */
weir_result weir_socket_recv(weir_connection *connection, char *buffer, size_t size, size_t *len);
/*
 * OK: all of the vectors went out.  WAIT: `*len` bytes did (may be 0), and on_writable will come.
 * `more` follows at once: the kernel may wait for it with a packet that is not full.
 */
weir_result weir_socket_send(weir_connection *connection, const struct iovec *vectors, int count,
                             size_t bytes, bool more, size_t *len);
/* FIN, after what was sent. */
weir_result weir_socket_shut(weir_connection *connection);

#endif
