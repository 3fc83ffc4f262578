"""health_check type=grpc: gRPC's health checking protocol."""

import pytest

from harness import wait_until
from harness.h2 import H2, post
from harness.h2_origin import FINE, GRPC, speaks_h2

pytestmark = pytest.mark.weir_only("nginx has it in NGINX Plus")

SERVING, NOT_SERVING = b"\0\0\0\0\2\x08\1", b"\0\0\0\0\2\x08\2"
CHECK = "/grpc.health.v1.Health/Check"


def location(more=""):
    return ("listen 127.0.0.1:@port@ http2; location / { grpc_pass grpc://back; "
            f"health_check interval=50ms type=grpc {more}; }}")


def service(message, trailers=FINE):
    def answer(call):
        body = call.read_body()
        call.respond(message if call.path == CHECK else b"<" + body + b">", trailers=trailers)
    return answer


def checks(origin):
    return [call for call in origin.requests if call.path == CHECK]


def test_a_service_that_does_not_serve_gets_no_calls_until_it_does(weir, new_upstream):
    says = [NOT_SERVING]
    one = speaks_h2(new_upstream(), lambda call: service(says[-1])(call))
    two = speaks_h2(new_upstream(), service(SERVING))
    server = weir(location(), http=f"upstream back {{ server {one}; server {two}; }}")
    server.wait_log(rf"upstream server {one} of \"back\" is unhealthy: it does not serve")
    client = H2(server.connect())
    called = len(two.requests) - len(checks(two))
    for _ in range(4):
        assert client.request(post(), b"x").body == b"<x>"
    assert len(one.requests) == len(checks(one)) and len(two.requests) - len(checks(two)) == called + 4
    says.append(SERVING)
    server.wait_log(rf"upstream server {one} of \"back\" is healthy again")


def test_the_call_asks_about_the_service_that_is_named(weir, upstream):
    speaks_h2(upstream, service(SERVING))
    weir(location("grpc_service=pkg.Service"), http="upstream back { server @upstream@; }")
    wait_until(lambda: len(checks(upstream)) >= 2)
    call = checks(upstream)[0]
    assert (call.method, call.authority) == ("POST", "back")
    assert call.headers["content-type"] == "application/grpc" and call.headers["te"] == "trailers"
    assert call.body == b"\0\0\0\0\x0d\x0a\x0bpkg.Service"


def test_a_status_may_be_what_is_expected(weir, upstream):
    """Of servers that do not know the protocol."""
    speaks_h2(upstream, lambda call: call.head(GRPC + [("grpc-status", "12")], end=True))
    server = weir(location("mandatory grpc_status=12"), http="upstream back { zone back 64k; server @upstream@; }")
    wait_until(lambda: len(checks(upstream)) >= 3)
    assert "unhealthy" not in server.log()


@pytest.mark.parametrize("answer, why", [
    (lambda call: call.head(GRPC + [("grpc-status", "12")], end=True), "the status of gRPC is not good"),
    (lambda call: call.respond(SERVING, trailers=[("grpc-status", "2")]), "the status of gRPC is not good"),
    (lambda call: call.respond(SERVING, trailers=[("x", "y")]), "the status of gRPC is not good"),
    (lambda call: call.respond(SERVING, fields=[(":status", "503")]), "the status is not good"),
    (lambda call: call.respond(b""), "it does not serve"),
    (lambda call: call.reset(), "it answered with no valid HTTP/2"),
    (lambda call: call.origin.connection.send(b"HTTP/1.1 200 OK\r\n\r\n"), "it answered with no valid HTTP/2"),
    (lambda call: call.origin.peer.close(), "it closed the connection without an answer"),
], ids=["trailers alone", "status 2", "no status", "503", "no message", "reset", "HTTP/1", "closed"])
def test_what_is_no_good_answer_is_said_in_the_log(weir, upstream, answer, why):
    speaks_h2(upstream, answer)
    server = weir(location(), http="upstream back { server @upstream@; }")
    server.wait_log(f"is unhealthy: {why}")


def test_over_tls_http2_is_asked_for(weir, new_upstream, certs):
    import ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certs.pair("localhost-rsa"))
    context.set_alpn_protocols(["h2"])
    origin = speaks_h2(new_upstream(tls=context), service(SERVING))
    weir(location().replace("grpc://", "grpcs://"), http="upstream back { server @origin@; }", origin=origin)
    wait_until(lambda: len(checks(origin)) >= 2)
    assert checks(origin)[0].headers[":scheme"] == "https"
    assert origin.connections[0].sock.selected_alpn_protocol() == "h2" or origin.connections[0].closed
