"""
HTTP/2 toward origins, proxy_http_version 2 and what grpc_pass shares with it: bodies, windows, and origins that break the rules.
Whatever one of them sends, what is malformed goes to no client, and memory has a bound.
"""

import threading

import pytest

from harness import TIMEOUT, body_of, wait_until
from harness.h2 import (CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, H2, HEADERS,
                        INITIAL_WINDOW_SIZE, INTERNAL_ERROR, PING, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS,
                        WINDOW_UPDATE, Ended, block, frame_bytes, literal, post, with_fields)
from harness.h2_origin import GRPC, speaks_h2

pytestmark = pytest.mark.weir_only("nginx 1.22 has no proxy_http_version 2, and is less strict")

PLAIN = [(":status", "200"), ("content-type", "text/plain")]
LISTEN = "listen 127.0.0.1:@port@ http2; "
PASS = "proxy_http_version 2; proxy_pass http://@upstream@;"


def echo(call):
    body = call.read_body()
    call.head(PLAIN, end=not body)
    if body:
        call.data(body, end=True)


def serve(body, *fields):
    def answer(call):
        call.read_body()
        call.head(PLAIN + list(fields))
        call.data(body, end=True)
    return answer


# ---- what it is for

def test_a_client_of_http1_is_served_by_an_origin_of_http2(weir, upstream):
    speaks_h2(upstream, serve(b"hello", ("content-length", "5"), ("x-field", "y")))
    server = weir("location /a/ { proxy_http_version 2; proxy_pass http://@upstream@/b/; }")
    answer = server.get("/a/c%20d?e", headers={"X-Sent": "1", "Connection": "close, X-Gone", "X-Gone": "1"})
    assert (answer.status, answer.body, answer.framing) == (200, b"hello", "length")
    assert answer.headers["x-field"] == "y"
    call = upstream.last
    assert (call.method, call.path, call.authority) == ("GET", "/b/c%20d?e", str(upstream))
    assert call.headers["x-sent"] == "1"
    assert not {"connection", "x-gone", "host", "transfer-encoding"} & {name for name, _ in call.fields}


@pytest.mark.parametrize("settings", ["", "proxy_buffering off;", "proxy_max_temp_file_size 0;"],
                         ids=["buffered", "unbuffered", "in memory"])
@pytest.mark.parametrize("size", [0, 1, 100_000, 5_000_000])
def test_a_response_of_any_size_comes_through(weir, upstream, settings, size):
    body = body_of(size)
    speaks_h2(upstream, serve(body))
    assert weir(f"location / {{ {settings} {PASS} }}").get("/").body == body


@pytest.mark.parametrize("settings", ["", "proxy_request_buffering off;"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("size", [0, 1, 100_000, 5_000_000])
def test_a_request_of_any_size_comes_through(weir, upstream, settings, size):
    seen = []

    def take(call):
        seen.append(call.read_body())
        call.head(PLAIN, end=True)

    speaks_h2(upstream, take)
    server = weir(f"client_max_body_size 0; location / {{ {settings} {PASS} }}")
    assert server.request("/", method="POST", body=body_of(size)).status == 200
    assert seen == [body_of(size)]
    assert upstream.last.headers["content-length"] == str(size)


def test_head_and_answers_without_content_have_none(weir, upstream):
    def answer(call):
        _, status, length = call.path.split("/")
        call.head([(":status", status)] + ([("content-length", length)] if length else []), end=True)

    speaks_h2(upstream, answer)
    server = weir(f"location / {{ {PASS} }}")
    with server.connect() as client:
        head = client.request("/200/5", method="HEAD")
        assert (head.status, head.headers["content-length"], head.body) == (200, "5", b"")
        assert client.request("/304/5").status == 304
        assert client.request("/200/").headers["content-length"] == "0"
        for status in (204, 304):
            response = client.request(f"/{status}/")
            assert response.status == status and "content-length" not in response.headers


def test_trailers_pass_both_ways_where_they_are_asked_for(weir, upstream):
    def answer(call):
        call.read_body()
        call.head(PLAIN)
        call.data(b"body")
        call.end([("x-sum", "answer")])

    speaks_h2(upstream, answer)
    server = weir(LISTEN + f"""location / {{ proxy_pass_request_trailers on; {PASS} }}
                               location /on {{ proxy_pass_request_trailers on; proxy_pass_trailers on; {PASS} }}""")
    client = H2(server.connect())
    for path, expected in ("/", None), ("/on", "answer"):
        stream = client.headers(post((":path", path)), end=False)
        client.data(stream, b"body")
        client.headers([("x-sum", "request")], stream, end=True)
        assert client.read_response(stream).trailers.get("x-sum") == expected
        assert upstream.last.trailers["x-sum"] == "request"


def test_hints_pass_and_other_interim_responses_do_not(weir, upstream):
    def answer(call):
        call.head([(":status", "100")])
        call.head([(":status", "103"), ("link", "</a.css>; rel=preload")])
        call.head(PLAIN, end=True)

    speaks_h2(upstream, answer)
    server = weir(LISTEN + f"early_hints 1; location / {{ {PASS} }}")
    answer = H2(server.connect()).get()
    assert answer.status == 200
    assert [(one.status, one.headers["link"]) for one in answer.interim] == [(103, "</a.css>; rel=preload")]


def test_an_error_page_may_take_the_place_of_an_answer(weir, upstream):
    def refuse(call):
        call.head([(":status", "503")])
        call.data(b"never shown", end=True)

    speaks_h2(upstream, refuse)
    server = weir(f"location / {{ proxy_intercept_errors on; error_page 503 = @sorry; {PASS} }} "
                  "location @sorry { return 200 sorry; }")
    assert server.get("/").body == b"sorry"


def test_versions_do_not_share_connections(weir, new_upstream):
    """Even where locations do."""
    plain = new_upstream()
    server = weir("location /1 { proxy_pass http://back; } "
                  "location /2 { proxy_http_version 2; proxy_pass http://back; }",
                  http="upstream back { server @plain@; keepalive 4; }", plain=plain)
    assert server.get("/1").body == b"ok"
    assert server.get("/2").status == 502
    assert server.get("/1").body == b"ok"


# ---- TLS

@pytest.mark.parametrize("passing", ["proxy_http_version 2; proxy_pass https://@upstream@; proxy_", "grpc_pass grpcs://@upstream@; grpc_"])
def test_over_tls_http2_is_asked_for_by_alpn_and_the_origin_is_verified(weir, new_upstream, certs, passing):
    import ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certs.pair("localhost-rsa"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    origin = speaks_h2(new_upstream(tls=context), echo)
    prefix = passing.rsplit(" ", 1)[1]
    server = weir(f"""
        location /trusted {{ {passing}ssl_verify on; {prefix}ssl_name localhost; {prefix}ssl_server_name on;
                             {prefix}ssl_trusted_certificate @certs@/ca.crt; }}
        location /other {{ {passing}ssl_verify on; {prefix}ssl_name other.test;
                           {prefix}ssl_trusted_certificate @certs@/ca.crt; }}""", upstream=origin)
    assert server.request("/trusted", method="POST", body=b"x").body == b"x"
    assert origin.last.headers[":scheme"] == "https"
    assert origin.connections[0].sock.selected_alpn_protocol() == "h2"
    assert server.request("/other", method="POST", body=b"x").status == 502


# ---- windows

@pytest.mark.parametrize("settings", ["grpc_pass @upstream@;", "proxy_max_temp_file_size 0; " + PASS],
                         ids=["streamed", "buffered"])
def test_a_client_that_takes_nothing_stops_its_origin(weir, upstream, settings):
    """And what the origin could send until then is less than 2 MiB, kernel's buffers and all: it is held by its window."""
    room = []

    def pour(call):
        call.head(PLAIN)
        piece = bytes(16384)
        while sum(room) < 1 << 21 and call.reset_with is None:
            origin = call.origin
            if min(origin._room[0], origin._room.setdefault(call.stream, origin._initial_room)) < len(piece):
                origin.read_frame()
                continue
            call.data(piece)
            room.append(len(piece))

    speaks_h2(upstream, pour)
    server = weir(LISTEN + f"location / {{ {settings} }}")
    client = H2(server.connect(), settings={INITIAL_WINDOW_SIZE: 0}, window=False)
    stream = client.headers(with_fields())
    client.read_until(HEADERS, stream)
    wait_until(lambda: sum(room) >= 1 << 17, "the origin to begin")
    held = sum(room)
    client.sync()
    wait_until(lambda: upstream.h2[0]._room[0] < 16384, "the window to be used up")
    assert held <= sum(room) < 1 << 20
    client.window_update(0, 1 << 20)
    client.window_update(stream, 1 << 20)
    wait_until(lambda: sum(room) > 1 << 20, "the origin to go on")
    client.reset(stream)


def test_a_request_goes_on_while_its_answer_is_not_taken(weir, upstream):
    """The word of the origin's window stands behind as much of the answer as there is room for."""
    def answer_first(call):
        call.head(PLAIN)
        origin = call.origin
        room = min(origin._room[0], origin._room.setdefault(call.stream, origin._initial_room))
        call.data(bytes(room))
        call.read(200_000)
        call.read_body()
        done.set()

    done = threading.Event()
    speaks_h2(upstream, answer_first)
    server = weir(LISTEN + "client_max_body_size 0; location / { grpc_pass @upstream@; }")
    client = H2(server.connect(), settings={INITIAL_WINDOW_SIZE: 0}, window=False)
    stream = client.headers(post(), end=False)
    client.read_until(HEADERS, stream)
    client.body(stream, bytes(200_000), end=True)
    assert done.wait(TIMEOUT)


# ---- origins that break the rules

def head(*fields, end=True):
    return lambda stream: frame_bytes(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(fields))


OK = (":status", "200")
MALFORMED = {
    "no status": head(("x", "y")),
    "an empty status": head((":status", "")),
    "a status of two digits": head((":status", "20")),
    "a status that is no number": head((":status", "2x0")),
    "two statuses": head(OK, (":status", "201")),
    "a status below 100": head((":status", "099")),
    "101": head((":status", "101"), end=False),
    "a status behind a field": head(("x", "y"), OK),
    "a request's pseudo-header": head(OK, (":path", "/")),
    "an unknown pseudo-header": head(OK, (":x", "y")),
    "a name with capitals": head(OK, ("X-Name", "y")),
    "an empty name": head(OK, ("", "y")),
    "a name with a space": head(OK, ("x y", "y")),
    "a name with a colon": head(OK, ("x:y", "y")),
    "a name with CR LF": head(OK, ("x\r\ny", "y")),
    "a value with CR LF": head(OK, ("x", "y\r\nset-cookie: z")),
    "a value with LF": head(OK, ("x", "y\nz")),
    "a value with NUL": head(OK, ("x", "y\0z")),
    "a value that begins with a space": head(OK, ("x", " y")),
    "Connection": head(OK, ("connection", "close")),
    "Transfer-Encoding": head(OK, ("transfer-encoding", "chunked")),
    "Keep-Alive": head(OK, ("keep-alive", "timeout=5")),
    "Upgrade": head(OK, ("upgrade", "websocket")),
    "a length that is no number": head(OK, ("content-length", "1x")),
    "a length with a sign": head(OK, ("content-length", "+1")),
    "a length past 64 bits": head(OK, ("content-length", "18446744073709551617")),
    "two lengths": head(OK, ("content-length", "0"), ("content-length", "0")),
    "an end before the length": head(OK, ("content-length", "5")),
    "an interim response that ends": head((":status", "100")),
    "DATA before a head": lambda stream: frame_bytes(DATA, END_STREAM, stream, b"x"),
    "too many interim responses": lambda stream: head((":status", "100"), end=False)(stream) * 70,
    "a head that is too large": head(OK, ("x", "y" * 20_000)),
    "a head of many small lines": head(OK, *[("x", "")] * 3000),
    "half a head and DATA": lambda stream: frame_bytes(HEADERS, 0, stream, block([OK]))
    + frame_bytes(DATA, END_STREAM, stream, b"x"),
    "HPACK that is broken": lambda stream: frame_bytes(HEADERS, END_HEADERS, stream, b"\xff\xff\xff\xff\xff\xff"),
    "a push": lambda stream: frame_bytes(PUSH_PROMISE, END_HEADERS, stream, b"\0\0\0\x02" + block([OK])),
    "a frame that is too large": lambda stream: frame_bytes(DATA, 0, stream, bytes(16385)),
    "a window of nothing more": lambda stream: frame_bytes(WINDOW_UPDATE, 0, stream, bytes(4)),
    "a window past 31 bits": lambda stream: frame_bytes(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 2,
    "a stream of the origin's own": lambda stream: head(OK)(2),
    "a flood of CONTINUATION": lambda stream: frame_bytes(HEADERS, 0, stream, block([OK]))
    + frame_bytes(CONTINUATION, 0, stream, b"") * 5000,
    "a large flood of CONTINUATION": lambda stream: frame_bytes(HEADERS, 0, stream, block([OK]))
    + frame_bytes(CONTINUATION, 0, stream, literal("x", "y" * 16000)) * 20,
    "a flood of PING": lambda stream: frame_bytes(PING, 0, 0, bytes(8)) * 5000,
    "a flood of SETTINGS": lambda stream: frame_bytes(SETTINGS) * 5000,
    "a flood of PRIORITY": lambda stream: frame_bytes(PRIORITY, 0, stream, b"\0\0\0\0\1") * 5000,
    "a flood of RST_STREAM": lambda stream: frame_bytes(RST_STREAM, 0, stream, b"\0\0\0\x08") * 5000,
    "HTTP/1": lambda stream: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("passing", ["grpc_pass back;", "proxy_http_version 2; proxy_pass http://back;"],
                         ids=["grpc_pass", "proxy_pass"])
def test_an_answer_that_is_none_is_502_and_the_next_gets_its_own(weir, upstream, passing):
    sent = []

    def answer(call):
        call.read_body()
        name = call.headers.get("x-case")
        if name:
            sent.append(name)
            call.origin.connection.send(MALFORMED[name](call.stream))
            while True:
                call.origin.connection.read_exactly(1)
        echo(call)

    speaks_h2(upstream, answer)
    server = weir(LISTEN + f"location / {{ {passing} }}",
                  http="upstream back { server @upstream@ max_fails=0; keepalive 4; }")
    client = H2(server.connect())
    for name in MALFORMED:
        assert client.request(post(("x-case", name)), b"x").status == 502, name
        assert client.request(post(), name.encode()).body == name.encode(), name
    assert sent == list(MALFORMED)


LATE = {
    "DATA over the length": (PLAIN + [("content-length", "3")], lambda stream: frame_bytes(DATA, END_STREAM, stream, b"four")),
    "DATA short of the length": (PLAIN + [("content-length", "5")], lambda stream: frame_bytes(DATA, END_STREAM, stream, b"four")),
    "a second head": (PLAIN, head(OK)),
    "trailers that do not end it": (PLAIN, head(("x", "y"), end=False)),
    "trailers with a pseudo-header": (PLAIN, head((":x", "y"))),
    "trailers with CR LF": (PLAIN, head(("x", "y\r\nz"))),
    "trailers that are too large": (PLAIN, head(("x", "y" * 20_000))),
    "empty DATA without end": (PLAIN, lambda stream: frame_bytes(DATA, 0, stream, b"") * 5000),
    "RST_STREAM": (PLAIN, lambda stream: frame_bytes(RST_STREAM, 0, stream, INTERNAL_ERROR.to_bytes(4, "big"))),
    "GOAWAY with an error, and the end": (PLAIN, lambda stream: frame_bytes(
        GOAWAY, 0, 0, stream.to_bytes(4, "big") + INTERNAL_ERROR.to_bytes(4, "big"))),
}


@pytest.mark.parametrize("passing", ["grpc_pass back;", "proxy_http_version 2; proxy_pass http://back;"],
                         ids=["grpc_pass", "proxy_pass"])
def test_an_answer_that_breaks_off_is_seen_to_be_so_and_the_next_gets_its_own(weir, upstream, passing):
    def answer(call):
        call.read_body()
        name = call.headers.get("x-case")
        if not name:
            echo(call)
            return
        fields, frames = LATE[name]
        call.head(fields)
        call.origin.connection.send(frames(call.stream))
        if "GOAWAY" in name:
            call.origin.peer.close()
        if name != "RST_STREAM":
            call.wait_reset()

    speaks_h2(upstream, answer)
    server = weir(LISTEN + f"location / {{ {passing} }}",
                  http="upstream back { server @upstream@ max_fails=0; keepalive 4; }")
    for name in LATE:
        client = H2(server.connect())
        try:
            status = client.request(post(("x-case", name)), b"x").status
        except Ended as ended:
            assert ended.frame.kind == RST_STREAM, name
        else:
            assert status == 502, name          # it was all there before the head had gone out
        assert client.request(post(), name.encode()).body == name.encode(), name


def test_what_comes_on_an_idle_connection_is_no_answer_to_the_next(weir, upstream):
    def answer(call):
        echo(call)
        if call.stream == 1:
            call.origin.connection.send(head(OK, ("x-poison", "1"))(3))
        said.set()

    said = threading.Event()
    speaks_h2(upstream, answer)
    server = weir(LISTEN + "location / { grpc_pass back; }",
                  http="upstream back { server @upstream@; keepalive 4; }")
    client = H2(server.connect())
    client.request(post(), b"1")
    assert said.wait(TIMEOUT)
    answer = client.request(post(), b"2")
    assert answer.body == b"2" and "x-poison" not in answer.headers


def test_a_client_that_goes_leaves_the_connection_to_others(weir, upstream):
    """The call alone is cancelled; what the origin still sends of it is nobody's."""
    def answer(call):
        if call.path == "/wait":
            call.head(PLAIN)
            call.data(b"begun")
            assert call.wait_reset() == CANCEL
            call.origin.connection.send(frame_bytes(DATA, END_STREAM, call.stream, b"late"))
            gone.set()
        else:
            echo(call)

    gone = threading.Event()
    speaks_h2(upstream, answer)
    server = weir(LISTEN + "location / { grpc_pass back; }",
                  http="upstream back { server @upstream@; keepalive 4; }")
    client = H2(server.connect())
    stream = client.headers(post((":path", "/wait")), end=False)
    client.read_until(DATA, stream)
    client.reset(stream)
    assert gone.wait(TIMEOUT)
    assert client.request(post(), b"next").body == b"next"
    assert len(upstream.connections) == 1


# ---- answers that are not passed on

@pytest.mark.parametrize("passing", ["grpc_pass back; grpc_", "proxy_http_version 2; proxy_pass_trailers on; proxy_pass http://back; proxy_"],
                         ids=["grpc_pass", "proxy_pass"])
@pytest.mark.parametrize("fields", [[(":status", "404")], [(":status", "200"), ("x-accel-redirect", "/other")]],
                         ids=["error_page", "X-Accel-Redirect"])
def test_trailers_of_an_answer_that_is_dropped_are_dropped_too(weir, upstream, folder, passing, fields):
    folder.write("other", b"a file")
    speaks_h2(upstream, lambda call: (call.read_body(), call.respond(b"never shown", fields, [("x-sum", "of the origin")])))
    server = weir(LISTEN + f"""location / {{ {passing}intercept_errors on; error_page 404 /other; }}
                               location /other {{ root @dir@; }}""",
                  http="upstream back { server @upstream@; keepalive 4; }")
    client = H2(server.connect())
    for _ in range(2):
        answer = client.get()
        assert answer.body == b"a file" and "x-sum" not in answer.trailers
    assert len(upstream.connections) == 1


# ---- origins that fall silent, or refuse

def test_the_connection_of_an_origin_that_fell_silent_is_not_used_again(weir, upstream):
    def answer(call):
        if call.path == "/silent":
            call.head(PLAIN)
            call.data(b"begun")
            call.wait_reset()
        else:
            echo(call)

    speaks_h2(upstream, answer)
    server = weir(LISTEN + "location / { grpc_pass back; } location /silent { grpc_read_timeout 200ms; grpc_pass back; }",
                  http="upstream back { server @upstream@; keepalive 4; }")
    client = H2(server.connect())
    with pytest.raises(Ended):
        client.get("/silent")
    server.wait_log("upstream timed out")
    assert client.request(post(), b"next").body == b"next"
    assert len(upstream.connections) == 2


@pytest.mark.parametrize("settings, method, expected, asked", [
    ("", "GET", 200, 1),
    ("", "POST", 502, 0),
    ("proxy_next_upstream off;", "GET", 502, 0),
    ("proxy_next_upstream error non_idempotent;", "POST", 200, 1),
])
def test_a_reset_on_a_kept_connection_is_the_word_of_its_origin(weir, new_upstream, settings, method, expected, asked):
    """Not a connection that had died: proxy_next_upstream says what comes of it."""
    resets, other = new_upstream(), speaks_h2(new_upstream(), echo)
    speaks_h2(resets, lambda call: call.reset(INTERNAL_ERROR) if call.stream == 3 else echo(call))
    server = weir(LISTEN + f"location / {{ {settings} {PASS.replace('@upstream@', 'back')} }}",
                  http="upstream back { server @resets@; server @other@ backup; keepalive 4; }", resets=resets, other=other)
    client = H2(server.connect())
    request = [(":method", method)] + [field for field in post() if field[0] != ":method"]
    assert [client.request(request, b"x").status for _ in range(2)] == [200, expected]
    assert [call.stream for call in resets.requests] == [1, 3] and len(other.requests) == asked


# ---- what HTTP/2 has no place for

@pytest.mark.parametrize("asks", ["proxy_upgrade on;", "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"])
def test_a_location_that_would_upgrade_is_warned_of_and_does_not(weir, upstream, asks):
    speaks_h2(upstream, echo)
    server = weir(f"location / {{ {asks} {PASS} }}")
    answer = server.get("/", headers={"Connection": "Upgrade", "Upgrade": "websocket"})
    assert answer.status == 200 and not {"upgrade", "connection"} & {name for name, _ in upstream.last.fields}
    assert "an origin of HTTP/2 is not asked to upgrade" in server.stderr()
