"""WebSockets over HTTP/2: extended CONNECT (RFC 8441) to an origin that upgrades in HTTP/1.1."""

import signal
import struct
import threading

import pytest

from harness import wait_until
from harness.h2 import (
    CANCEL,
    CONTINUATION,
    DATA,
    END_STREAM,
    H2,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PROTOCOL_ERROR,
    RST_STREAM,
    SETTINGS,
    ENABLE_CONNECT_PROTOCOL,
    Ended,
    with_fields,
)
from harness.h2_origin import speaks_h2
from harness.upstream import answer

pytestmark = pytest.mark.weir_only("nginx has no extended CONNECT")

UPGRADE = """http2 on; location / {
    proxy_pass http://@upstream@;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
}
location /plain { return 200 plain; }"""
SWITCH = (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
          b"Sec-WebSocket-Accept: x\r\nX-A: b\r\n\r\n")
ASKED = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/ws?a=b"),
         (":authority", "localhost"), ("sec-websocket-version", "13"), ("origin", "http://localhost")]


def echo(peer):
    peer.send(SWITCH + b"hello")
    while True:
        peer.send(peer.read_some().upper())


def opened(server, fields=ASKED):
    client = H2(server.connect())
    client.read_until(SETTINGS)
    stream = client.headers(fields, end=False)
    return client, stream


def read_text(client, stream, text):
    got = b""
    while len(got) < len(text):
        frame = client.read_frame()
        assert frame.kind != RST_STREAM, frame
        got += frame.payload if frame.kind == DATA and frame.stream == stream else b""
    assert got == text


def test_it_is_offered(weir, upstream):
    client = H2(weir(UPGRADE).connect())
    assert client.read_until(SETTINGS).settings[ENABLE_CONNECT_PROTOCOL] == 1


def test_bytes_pass_both_ways(weir, upstream):
    upstream.answers(echo)
    client, stream = opened(weir(UPGRADE))
    head = client.read_until(HEADERS, stream)
    assert head.fields[0] == (":status", "200") and not head.flags & END_STREAM
    names = [name for name, _ in head.fields]
    assert "x-a" in names and not {"upgrade", "connection", "sec-websocket-accept"} & set(names)
    read_text(client, stream, b"hello")
    for text in (b"first", b"x" * 60_000, b"last"):
        for at in range(0, len(text), 16384):
            client.data(stream, text[at:at + 16384])
        read_text(client, stream, text.upper())
    headers = upstream.last.headers
    assert upstream.last.target == "/ws?a=b" and upstream.last.method == "GET"
    assert headers["Upgrade"] == "websocket" and headers["Connection"] == "upgrade"
    assert len(headers["Sec-WebSocket-Key"]) == 24 and headers["Sec-WebSocket-Version"] == "13"
    assert client.get("/plain").body == b"plain"


def test_tunnels_and_requests_that_the_shutdown_timeout_cuts_off_are_logged_once(weir, upstream, new_upstream):
    upstream.answers(echo)
    over = threading.Event()
    slow = new_upstream().answers(lambda peer: (peer.wait(over), answer("slow"))[1])
    server = weir(UPGRADE + "location /slow { proxy_pass http://@slow@; }", main="worker_shutdown_timeout 100ms;",
                  http="log_format s '$request_uri $status'; access_log @dir@/s.log s;", slow=slow)
    client, stream = opened(server)
    read_text(client, stream, b"hello")
    client.headers([(":method", "GET"), (":scheme", "http"), (":path", "/slow"), (":authority", "a")])
    slow.wait_requests(1)
    assert server.stop(signal.SIGQUIT) == 0
    assert sorted(server.access_log(2, name="s.log")) == ["/slow 000", "/ws?a=b 200"]
    over.set()


def test_rules_see_the_get_that_it_is_elsewhere(weir, upstream):
    upstream.answers(echo)
    client, stream = opened(weir(UPGRADE, http="""modsecurity on; modsecurity_rules 'SecRuleEngine On
        SecRule REQUEST_METHOD "!@streq GET" "id:1,phase:1,deny"
        SecRule REQUEST_URI_RAW "!@streq /ws?a=b" "id:2,phase:1,deny"';"""))
    assert client.read_until(HEADERS, stream).fields[0] == (":status", "200")


def test_what_the_client_sends_before_the_answer_passes_too(weir, upstream):
    upstream.answers(echo)
    client, stream = opened(weir(UPGRADE))
    client.data(stream, b"early")
    read_text(client, stream, b"helloEARLY")


def test_the_end_of_the_origin_ends_the_stream_after_its_last_byte(weir, upstream):
    upstream.answers(lambda peer: (peer.send(SWITCH + b"z" * 200_000), peer.close()))
    server = weir(UPGRADE, http="log_format s '$status $upstream_status'; access_log @dir@/s.log s;")
    client, stream = opened(server)
    read_text(client, stream, b"z" * 200_000)
    while not client.frames[-1].flags & END_STREAM or client.frames[-1].stream != stream:
        client.read_frame()
    assert client.get("/plain").body == b"plain"
    assert server.access_log(1, name="s.log")[0] == "200 101"


def test_the_end_of_the_client_ends_the_origins_connection(weir, upstream):
    upstream.answers(echo)
    server = weir(UPGRADE)
    for end in (lambda client, stream: client.data(stream, b"", end=True),
                lambda client, stream: client.reset(stream),
                lambda client, stream: client.connection.close()):
        client, stream = opened(server)
        read_text(client, stream, b"hello")
        end(client, stream)
        wait_until(lambda: not upstream.open_connections(), "the origin to be let go")
    assert server.get("/plain").text == "plain"


def test_a_client_that_does_not_take_the_last_bytes_is_not_waited_for_without_end(weir, upstream):
    """The origin is gone, and its exchange over: what is left for the client is thrown away after send_timeout."""
    upstream.answers(lambda peer: (peer.send(SWITCH + b"z" * 50_000), peer.close()))
    server = weir(UPGRADE + "send_timeout 2s;")
    client = H2(server.connect(), settings={INITIAL_WINDOW_SIZE: 1000}, window=False)
    stream = client.headers(ASKED, end=False)
    got = len(client.read_until(DATA, stream).payload)
    assert server.access_log(1)
    # As long as it takes some, it has its time.
    for _ in range(3):
        client.window_update(stream, 1000)
        got += len(client.read_until(DATA, stream).payload)
    assert client.read_until(RST_STREAM, stream).error_code == CANCEL and got == 4000
    server.wait_log("client timed out while a tunnel's last bytes were sent to it")
    assert client.get("/plain").body == b"plain"


@pytest.mark.parametrize("end", [True, False], ids=["that ends the stream", "that does not"])
@pytest.mark.parametrize("origin", ["agrees", "says nothing", "has left"])
def test_a_header_on_the_stream_of_a_tunnel_resets_it(weir, upstream, origin, end):
    """Nothing but DATA has a place there (RFC 9113, 8.5)."""
    upstream.answers({"agrees": echo, "says nothing": lambda peer: peer.wait_gone(),
                      "has left": lambda peer: (peer.send(SWITCH + b"hello" * 1000), peer.close())}[origin])
    server = weir(UPGRADE)
    client = H2(server.connect(), settings={INITIAL_WINDOW_SIZE: 5}, window=False)
    stream = client.headers(ASKED, end=False)
    upstream.wait_requests(1)
    if origin != "says nothing":
        read_text(client, stream, b"hello")
    if origin == "has left":
        assert server.access_log(1)
    client.headers([("x-trailer", "b")], stream=stream, end=end)
    assert client.read_until(RST_STREAM, stream).error_code == PROTOCOL_ERROR
    wait_until(lambda: not upstream.open_connections(), "the origin to be let go")
    client.send(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, 1000))
    assert client.get("/plain").body == b"plain"


def test_an_origin_that_does_not_agree_answers_as_ever(weir, upstream):
    upstream.answers(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    client, stream = opened(weir(UPGRADE))
    response = client.read_response(stream)
    assert (response.status, response.body) == (403, b"no")


@pytest.mark.parametrize("path, body", [("/", b"a page"), ("/plain", b"plain")])
def test_a_success_that_makes_no_tunnel_is_none(weir, upstream, path, body):
    """In HTTP/1 a 200 says that an upgrade was ignored; here it would say that what follows are a WebSocket's bytes."""
    upstream.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\na page")
    client, stream = opened(weir(UPGRADE), with_fields((":path", path), base=ASKED))
    response = client.read_response(stream)
    assert (response.status, response.body) == (501, body)


def test_an_origin_of_http_2_is_not_asked(weir, upstream):
    speaks_h2(upstream, lambda call: call.respond(b"a page"))
    server = weir("http2 on; location / { proxy_http_version 2; proxy_pass http://@upstream@; proxy_upgrade on; }")
    client, stream = opened(server)
    assert client.read_response(stream).status == 501
    assert not upstream.requests
    server.wait_log('an origin of HTTP/2 is not asked for a websocket: that needs "proxy_http_version 1.1"')


def test_other_protocols_are_501(weir, upstream):
    client, stream = opened(weir(UPGRADE), with_fields((":protocol", "connect-udp"), base=ASKED))
    assert client.read_response(stream).status == 501
    assert not upstream.requests


def test_connect_without_a_protocol_is_405(weir, upstream):
    client, stream = opened(weir(UPGRADE), [(":method", "CONNECT"), (":authority", "localhost:80")])
    assert client.read_response(stream).status == 405
    assert not upstream.requests


def test_a_get_cannot_ask_for_a_protocol(weir, upstream):
    client, stream = opened(weir(UPGRADE), with_fields((":method", "GET"), base=ASKED))
    with pytest.raises(Ended) as ended:
        client.read_response(stream)
    assert ended.value.frame.error_code == PROTOCOL_ERROR


def test_many_tunnels_share_a_connection(weir, upstream):
    upstream.answers(echo)
    client = H2(weir(UPGRADE).connect())
    client.read_until(SETTINGS)
    streams = [client.headers(ASKED, end=False) for _ in range(20)]
    for stream in streams:
        client.data(stream, b"to %d" % stream)
    got = {stream: b"" for stream in streams}
    while any(got[stream] != b"helloTO %d" % stream for stream in streams):
        frame = client.read_frame()
        assert frame.kind not in (RST_STREAM, CONTINUATION)
        if frame.kind == DATA:
            got[frame.stream] += frame.payload
