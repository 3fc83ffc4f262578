#ifndef WEIR_STREAM_ENGINE_INTERNAL_H
#define WEIR_STREAM_ENGINE_INTERNAL_H

#include "modules/stream/engine/core_conf.h"

/* What the files of this folder say to one another. */

/* Of a connection's memory: a session with what its proxy needs. */
#define WEIR_STREAM_POOL_BYTES 2048

extern const weir_server_family weir_stream_servers;

/* The hooks of a listener: `subject` is the port. */
void weir_stream_accepted(weir_connection *connection, void *subject);
void weir_stream_unannounced(weir_connection *connection, bool is_malformed, void *subject);
/* Logs the sessions that a worker leaves behind when it ends; `subject` is the weir_stream_cycle. */
void weir_stream_cut(weir_worker *worker, void *subject);
/* For handshakes: name, script. */
void weir_stream_settle_acceptor(const weir_server_address *address, weir_tls_acceptor *acceptor);

/* Runs phases from where the session is, until it waits, is taken over, or has ended: it may be gone then. */
void weir_stream_run(weir_stream_session *session);

/* A module wants more bytes: reads them, now or once they come, and runs the phases again.  The session may be gone. */
void weir_stream_preread_more(weir_stream_session *session);
/* The phase is over: whoever reads from the connection next gets the bytes again.  False: no memory. */
bool weir_stream_preread_end(weir_stream_session *session) WEIR_MUST_USE;
/* Gives back what the bytes lie in. */
void weir_stream_preread_release(weir_stream_session *session);

extern const weir_variable weir_stream_core_variables[];

#endif
