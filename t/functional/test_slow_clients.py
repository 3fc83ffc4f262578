"""client_min_rate: who sends heads and bodies more slowly than that is not waited for."""

import pytest

from harness import request_bytes
from harness.h2 import CONTINUATION, END_STREAM, HEADERS, H2, block, frame_bytes, post
from harness.upstream import body_of
from harness.wire import chunked

pytestmark = pytest.mark.weir_only("nginx has no client_min_rate")

RATE = "client_min_rate 2k after=200ms; client_max_body_size 0; http2 on;"
PROXY = RATE + "location / { proxy_pass http://@upstream@; }"
UNBUFFERED = RATE + "location / { proxy_pass http://@upstream@; proxy_request_buffering off; }"


def drip(connection, piece):
    """Some 100 bytes a second, until the other side says something or ends."""
    sent = 0
    while connection.is_quiet(0.1):
        connection.send_what_fits(piece)
        sent += 1
        assert sent < 100, "who drips is never ended"


def test_a_head_that_drips_is_not_waited_for(weir):
    server = weir(RATE + "location / { return 200; }")
    connection = server.connect()
    connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
    drip(connection, b"X-A: 1234\r\n")
    assert '"GET / HTTP/1.1" 408' in server.access_log()[0]


def test_an_http2_head_that_drips_ends_its_connection(weir):
    server = weir(RATE + "location / { return 200; }")
    client = H2(server.connect())
    client.sync()
    client.send(HEADERS, END_STREAM, 1, block([(":method", "GET")]))
    drip(client.connection, frame_bytes(CONTINUATION, 0, 1))
    assert server.access_log()[0].split('"')[2].startswith(" 408")


@pytest.mark.parametrize("config", [PROXY, UNBUFFERED])
@pytest.mark.parametrize("framing, piece", [("Content-Length: 100000", b"123456789"),
                                            ("Transfer-Encoding: chunked", b"4\r\n1234\r\n")])
def test_a_body_that_drips_is_refused_with_408(weir, upstream, config, framing, piece):
    server = weir(config)
    upstream.answers(lambda peer: peer.wait_gone())
    connection = server.connect()
    connection.send(f"POST / HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode())
    drip(connection, piece)
    assert connection.read_response().status == 408
    server.wait_log("client sent its body too slowly")


@pytest.mark.parametrize("config", [PROXY, UNBUFFERED])
def test_so_is_a_body_of_http2(weir, upstream, config):
    server = weir(config)
    upstream.answers(lambda peer: peer.wait_gone())
    client = H2(server.connect())
    stream = client.headers(post(), end=False)
    client.sync()
    drip(client.connection, frame_bytes(0, 0, stream, b"123456789"))
    assert client.read_response(stream).status == 408
    server.wait_log("client sent its body too slowly")


def test_a_body_that_stops_is_not_waited_for_longer_than_its_rate_allows(weir, upstream):
    server = weir("client_min_rate 1m after=300ms; client_body_timeout 60s;"
                  "location / { proxy_pass http://@upstream@; }")
    connection = server.connect()
    connection.send(request_bytes("/", "POST", headers=[("Content-Length", "100")]) + b"half")
    assert connection.read_response().status == 408
    assert upstream.requests == []


def test_who_sends_fast_enough_is_served(weir, upstream):
    server = weir("client_min_rate 100 after=10s; client_max_body_size 0;"
                  "location / { proxy_pass http://@upstream@; }")
    connection = server.connect()
    connection.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransf")
    assert connection.is_quiet(0.1)
    connection.send(b"er-Encoding: chunked\r\n\r\n", chunked(body_of(200_000))[:100_000])
    assert connection.is_quiet(0.1)
    connection.send(chunked(body_of(200_000))[100_000:])
    assert connection.read_response().status == 200
    assert upstream.last.body == body_of(200_000)


@pytest.mark.parametrize("value", ["0", "fast", "1k after=x", "1k 5s", "off 5s"])
def test_what_is_no_rate_is_refused(check, value):
    done = check(f"events {{}} http {{ client_min_rate {value}; }}")
    assert done.code == 1 and "client_min_rate" in done.err
