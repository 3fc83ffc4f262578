"""HTTP/2 toward clients: what is carried, and that nothing but its version tells."""

import re
import subprocess
import threading
import time

import pytest

from harness import kernel, tls_context, wait_until
from harness.h2 import (
    DATA,
    ENABLE_PUSH,
    END_HEADERS,
    END_STREAM,
    GET,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    NO_ERROR,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Ended,
    H2,
    block,
    frame_bytes,
    post,
    with_fields,
)
from harness.tools import curl
from harness.upstream import answer, body_of
from harness.wait import TIMEOUT
from harness.wire import Connection, Truncated

pytestmark = pytest.mark.weir_only("nginx 1.22 has no http2 directive")

ON = "http2 on;"
TLS = """listen 127.0.0.1:@tls_port@ ssl; ssl_certificate @certs@/localhost-rsa.crt;
         ssl_certificate_key @certs@/localhost-rsa.key;"""
PROXY = ON + "location / { proxy_pass http://@upstream@; }"
PROXY_UNBUFFERED = ON + """client_max_body_size 0;
    location / { proxy_pass http://@upstream@; proxy_request_buffering off; proxy_http_version 1.1; }"""


def speak(server, **more):
    return H2(server.connect(), **more)


def speak_tls(server, sni="localhost", **more):
    return H2(server.tls_connect(sni, context=tls_context(alpn=["h2", "http/1.1"])), **more)


# ---- who gets it

def test_http2_on_offers_it_by_alpn(weir):
    running = weir("listen 127.0.0.1:@port@;" + TLS + ON + "location / { return 200 $http2-$server_protocol; }")
    client = speak_tls(running)
    assert client.connection.sock.selected_alpn_protocol() == "h2"
    assert client.get().text == "h2-HTTP/2.0"
    plain = running.tls_connect(alpn=["http/1.1"])
    assert plain.get("/").text == "-HTTP/1.1"


def test_without_http2_it_is_not_offered(weir):
    running = weir("listen 127.0.0.1:@port@;" + TLS + "location / { return 200 $http2-$server_protocol; }")
    connection = running.tls_connect(alpn=["h2", "http/1.1"])
    assert connection.sock.selected_alpn_protocol() == "http/1.1"
    assert connection.get("/").text == "-HTTP/1.1"


def test_each_server_of_an_address_decides_for_itself(weir):
    running = weir(None, http="server { listen 127.0.0.1:@port@;" + TLS + ON
                   + "server_name a.test; location / { return 200 $server_name; } }"
                   + "server { " + TLS + "http2 off; server_name b.test; }")
    context = tls_context(alpn=["h2", "http/1.1"])
    assert running.tls_connect("a.test", context=context).sock.selected_alpn_protocol() == "h2"
    assert running.tls_connect("b.test", context=context).sock.selected_alpn_protocol() == "http/1.1"


def test_the_listen_parameter_means_all_servers_of_the_address_and_is_deprecated(weir):
    running = weir("listen 127.0.0.1:@port@;" + TLS.replace(" ssl;", " ssl http2;")
                   + "location / { return 200 $http2; }")
    assert speak_tls(running).get().text == "h2"
    assert 'the "listen ... http2" directive is deprecated, use the "http2" directive' in running.stderr()


def test_both_versions_are_spoken_on_a_port_without_tls(weir):
    running = weir(ON + "location / { return 200 $http2-$server_protocol; }")
    assert speak(running).get().text == "h2c-HTTP/2.0"
    assert running.get("/").text == "-HTTP/1.1"


@pytest.mark.parametrize("at", [1, 3, 4, 23, 24, 25])
def test_a_preface_or_request_may_come_in_two_parts(weir, at):
    running = weir(ON + "location / { return 200 $http2-$server_protocol; }")
    for data, mark in ((b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"-HTTP/1.1"),
                       (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + H2.settings_frame({}), b"\x04\x01")):
        connection = running.connect()
        connection.send(data[:at])
        assert mark[:1] != b"-" or connection.is_quiet(0.05)
        connection.send(data[at:])
        connection.read_until(mark)


def test_settings_and_the_connections_window_are_sent_before_the_client_speaks(weir):
    running = weir("listen 127.0.0.1:@port@;" + TLS + ON + "http2_max_concurrent_streams 7; http2_body_preread_size 20k;")
    client = H2(running.tls_connect(context=tls_context(alpn=["h2"])), preface=False)
    frame = client.read_frame()
    assert frame.kind == SETTINGS
    assert frame.settings[MAX_CONCURRENT_STREAMS] == 7
    assert frame.settings[INITIAL_WINDOW_SIZE] == 20 * 1024
    frame = client.read_frame()
    assert (frame.kind, frame.stream) == (WINDOW_UPDATE, 0)


def test_nothing_is_pushed(weir, upstream):
    upstream.answers(b"HTTP/1.1 200 OK\r\nLink: </a.css>; rel=preload; as=style\r\nContent-Length: 2\r\n\r\nok")
    client = speak(weir(PROXY + "http2_push /b; http2_push_preload on;"), settings={ENABLE_PUSH: 1})
    response = client.get()
    assert response.body == b"ok" and response.headers["link"] == "</a.css>; rel=preload; as=style"
    client.sync()
    assert not any(frame.kind == PUSH_PROMISE for frame in client.frames) and len(upstream.requests) == 1


@pytest.mark.parametrize("said, warned", [
    ("http2_max_field_size 4k", 'use the "large_client_header_buffers" directive'),
    ("http2_max_header_size 16k", 'use the "large_client_header_buffers" directive'),
    ("http2_max_requests 10", 'use the "keepalive_requests" directive'),
    ("http2_idle_timeout 10s", 'use the "keepalive_timeout" directive'),
    ("http2_recv_timeout 10s", 'use the "client_header_timeout" directive'),
    ("http2_push /a", "obsolete"), ("http2_push_preload on", "obsolete"),
    ("http2_max_concurrent_pushes 10", "obsolete"), ("http2_pool_size 4k", "obsolete"),
    ("http2_streams_index_size 32", "obsolete"),
])
def test_directives_of_earlier_times_are_taken_with_a_warning(check, said, warned):
    done = check(f"error_log stderr warn; events {{ }} http {{ server {{ {said}; }} }}")
    assert done.code == 0 and warned in done.err


# ---- exchanges

def test_a_request_is_logged_as_nginx_does(weir):
    running = weir(ON + "location / { return 200 hello; }",
                   http="""log_format t '"$request" $status $body_bytes_sent $http2 $request_completion';
                           access_log @dir@/t.log t;""")
    speak(running).get("/x?y=z")
    assert running.access_log(1, "t.log")[0] == '"GET /x?y=z HTTP/2.0" 200 5 h2c OK'


def test_the_authority_is_the_host(weir):
    running = weir(ON + "server_name _; location / { return 200 $host-$http_host; }")
    assert speak(running).get("/", (":authority", "Example.ORG:8080")).text == "example.org-Example.ORG:8080"
    fields = [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "other.test")]
    assert speak(running).request(fields).text == "other.test-other.test"


def test_many_requests_run_at_the_same_time_on_one_connection(weir, upstream):
    gate = threading.Barrier(10)
    upstream.answers(lambda peer: (gate.wait(), answer(peer.request.target.encode()))[1])
    client = speak(weir(PROXY))
    streams = [client.headers(with_fields((":path", f"/{i}"))) for i in range(10)]
    texts = {}
    while len(texts) < 10:
        frame = client.read_frame()
        if frame.kind == DATA and frame.payload:
            texts[frame.stream] = frame.payload
    assert texts == {stream: b"/%d" % i for i, stream in enumerate(streams)}


@pytest.mark.parametrize("size", [0, 1, 8191, 8192, 8193, 65535, 65536, 1_000_000])
def test_bodies_of_responses_arrive_whole(weir, folder, size):
    folder.write("body", body_of(size))
    running = weir(ON + "root @dir@; location /on/ { sendfile on; alias @dir@/; }")
    client = speak(running)
    for path in ("/body", "/on/body"):
        response = client.get(path)
        assert response.body == body_of(size)
        assert response.headers["content-length"] == str(size)


def test_a_response_waits_for_the_clients_window(weir, folder):
    folder.write("body", body_of(100_000))
    client = speak(weir(ON + "root @dir@;"), settings={INITIAL_WINDOW_SIZE: 10}, window=False)
    stream = client.headers(with_fields((":path", "/body")))
    got = b""
    while len(got) < 10:
        frame = client.read_frame()
        got += frame.payload if frame.kind == DATA else b""
    assert client.connection.is_quiet()
    client.window_update(stream, 5)
    got += client.read_until(DATA).payload
    assert got == body_of(100_000)[:15]


@pytest.mark.parametrize("place", ["file", "proxied"])
def test_a_large_response_holds_up_no_others(weir, upstream, folder, place):
    """The client's windows are wide, and its connection slow: what is asked for later comes in between."""
    size = 4 << 20
    folder.write("file", bytes(size))
    upstream.answers(answer(bytes(size)))
    server = weir(f"listen 127.0.0.1:@port@ sndbuf=64k; {ON} location /file {{ alias @dir@/file; }} location / {{ return 200 ok; }}"
                  "location /proxied { proxy_pass http://@upstream@; }")
    client = H2(server.connect(receive_buffer=65536), settings={INITIAL_WINDOW_SIZE: 1 << 30}, window=False)
    client.window_update(0, 1 << 30)
    large = client.headers(with_fields((":path", "/" + place)))
    client.read_until(DATA, large)
    small = client.headers(with_fields((":path", "/")))
    assert client.read_response(small).body == b"ok"
    assert not any(frame.stream == large and frame.flags & END_STREAM for frame in client.frames if frame.kind == DATA)


def test_urgent_responses_come_first(weir, folder):
    """RFC 9218: u=0 before u=5, which was there first."""
    size = 4 << 20
    folder.write("file", bytes(size))
    server = weir(f"listen 127.0.0.1:@port@ sndbuf=64k; {ON} root @dir@;")
    client = H2(server.connect(receive_buffer=65536), settings={INITIAL_WINDOW_SIZE: 1 << 30}, window=False)
    client.window_update(0, 1 << 30)
    late = client.headers(with_fields((":path", "/file"), ("priority", "u=5, i")))
    client.read_until(DATA, late)
    soon = client.headers(with_fields((":path", "/file"), ("priority", "u=0")))
    ended = []
    while len(ended) < 2:
        frame = client.read_frame()
        ended += [frame.stream] if frame.flags & END_STREAM and frame.kind == DATA else []
    assert ended == [soon, late]


def test_http2_chunk_size_bounds_the_frames(weir, folder):
    folder.write("body", body_of(100_000))
    client = speak(weir(ON + "root @dir@; http2_chunk_size 1000;"))
    assert client.get("/body").body == body_of(100_000)
    assert max(len(f.payload) for f in client.frames if f.kind == DATA) == 1000


def test_a_head_request_has_no_body(weir):
    client = speak(weir(ON + "location / { return 200 hello; }"))
    response = client.get("/", (":method", "HEAD"))
    assert response.body == b"" and response.headers["content-length"] == "5"
    assert client.get().body == b"hello"


@pytest.mark.parametrize("size", [0, 1, 1000, 65536, 300_000, 3_000_000])
@pytest.mark.parametrize("config", [PROXY + "client_max_body_size 0;", PROXY_UNBUFFERED],
                         ids=["buffered", "streamed"])
def test_bodies_of_requests_arrive_whole(weir, upstream, config, size):
    seen = []
    upstream.answers(lambda peer: (seen.append(peer.request.body), answer(b"took"))[1])
    done = curl("--http2-prior-knowledge", "--data-binary", "@-", weir(config).url("/"), check=False) \
        if size == 0 else subprocess.run(
            ["curl", "-q", "-sS", "--http2-prior-knowledge", "--data-binary", "@-", weir(config).url("/")],
            input=body_of(size), capture_output=True, check=False)
    assert done.stdout == b"took"
    assert seen == [body_of(size)]


def test_a_body_without_a_length_is_passed_on(weir, upstream):
    upstream.answers(lambda peer: answer(peer.request.body))
    client = speak(weir(PROXY))
    stream = client.headers(post(), end=False)
    client.data(stream, b"first ")
    client.data(stream, b"second", end=True)
    assert client.read_response(stream).body == b"first second"


def test_a_slow_origin_slows_the_client(weir, upstream):
    """What the origin does not take, the client is not allowed to send: no more than a window of it is here."""
    enough = threading.Event()
    upstream.answers_early(lambda peer: peer.wait(enough))
    client = speak(weir(PROXY_UNBUFFERED))
    stream = client.headers(post(("content-length", str(1 << 30))), end=False)
    window = {0: 65535, stream: 65536}
    sent = 0
    chunk = bytes(16384)
    kept = kernel.bytes_between(hops=2)
    client.connection.sock.settimeout(1)
    while sent < kept + (32 << 20):
        while min(window.values()) < len(chunk):
            try:
                frame = client.read_frame()
            except (TimeoutError, OSError):
                break
            if frame.kind == WINDOW_UPDATE:
                window[frame.stream] += int.from_bytes(frame.payload, "big")
        if min(window.values()) < len(chunk):
            break
        client.data(stream, chunk)
        sent += len(chunk)
        window = {key: left - len(chunk) for key, left in window.items()}
    enough.set()
    assert sent < kept + (16 << 20), "the client was never held up"


def test_an_early_answer_resets_the_rest_of_the_request_without_an_error(weir):
    client = speak(weir(ON + "location / { return 403; }"))
    stream = client.headers(post(("content-length", "1000000")), end=False)
    assert client.read_response(stream).status == 403
    assert client.read_until(RST_STREAM, stream).error_code == NO_ERROR
    assert client.get().status == 403


def test_an_answer_to_a_request_that_proves_malformed_is_not_missed(weir):
    """It is reset before its answer is out: the fault is the client's, and nothing for the log of errors."""
    running = weir(ON + "location / { return 403; }")
    client = speak(running)
    stream = client.take_stream()
    client.connection.send(frame_bytes(HEADERS, END_HEADERS, stream, block(post(("content-length", "1"))))
                           + frame_bytes(DATA, 0, stream, b"two"))
    assert client.read_until(RST_STREAM, stream).error_code == PROTOCOL_ERROR
    assert client.get().status == 403
    assert not running.log_lines("error")


def test_a_body_that_is_too_large_is_refused(weir):
    running = weir(ON + "client_max_body_size 10; location / { proxy_pass http://127.0.0.1:@closed@; }")
    client = speak(running)
    stream = client.headers(post(("content-length", "11")), end=False)
    assert client.read_response(stream).status == 413
    stream = client.headers(post(), end=False)
    client.data(stream, b"12345678901")
    assert client.read_response(stream).status == 413


def test_crumbs_of_a_cookie_are_joined(weir, upstream):
    upstream.answers(answer(b"ok"))
    client = speak(weir(PROXY))
    client.get("/", ("cookie", "a=1"), ("x-a", "b"), ("cookie", "b=2"), ("cookie", "c=3"))
    assert upstream.last.headers.all("cookie") == ["a=1; b=2; c=3"]
    assert upstream.last.headers["x-a"] == "b"


def test_fields_of_a_connection_do_not_go_out(weir, upstream):
    upstream.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n"
                     b"Proxy-Connection: x\r\nUpgrade: h2c\r\nX-Kept: Yes\r\n\r\nok")
    response = speak(weir(PROXY)).get()
    assert response.headers["x-kept"] == "Yes"
    for name in ("connection", "keep-alive", "proxy-connection", "upgrade", "transfer-encoding"):
        assert name not in response.headers


def test_100_continue_is_said_when_the_body_is_wanted(weir, upstream):
    upstream.answers(lambda peer: answer(peer.request.body))
    client = speak(weir(PROXY))
    stream = client.headers(post(("expect", "100-continue")), end=False)
    frame = client.read_until(HEADERS, stream)
    assert frame.fields == [(":status", "100")] and not frame.flags & END_STREAM
    client.data(stream, b"body", end=True)
    assert client.read_response(stream).body == b"body"


def test_a_client_that_resets_a_stream_is_gone_from_it_only(weir, upstream):
    upstream.answers(lambda peer: peer.wait_gone())
    running = weir(PROXY + "location /other { return 200 other; }")
    client = speak(running)
    stream = client.headers(with_fields())
    upstream.wait_requests(1)
    client.reset(stream)
    assert client.get("/other").body == b"other"
    wait_until(lambda: not upstream.open_connections(), "the origin to be let go")
    assert '" 499 ' in running.access_log(2)[0] or '" 499 ' in running.access_log(2)[1]


@pytest.mark.parametrize("is_tls", [False, True])
def test_what_goes_on_without_its_client_ends_where_it_needs_one(weir, upstream, is_tls):
    """The rest of a body comes from nobody, the rest of a response goes to nobody."""
    upstream.answers(lambda peer: (peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), peer.wait_gone())[0])
    running = weir((TLS if is_tls else "") + PROXY + "proxy_ignore_client_abort on;")
    client = speak_tls(running) if is_tls else speak(running)
    client.headers(post(), end=False)
    stream = client.headers(with_fields())
    client.read_until(HEADERS, stream)
    client.connection.reset()
    statuses = [line.split('" ')[1].split()[0] for line in running.access_log(2)]
    assert sorted(statuses) == ["200", "499"]
    wait_until(lambda: not upstream.open_connections(), "the origin to be let go")


def test_an_origin_that_breaks_off_resets_the_stream(weir, upstream):
    upstream.answers(lambda peer: (peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), peer.close())[0])
    client = speak(weir(PROXY + "location /other { return 200 other; }"))
    stream = client.headers(with_fields())
    with pytest.raises(Ended) as ended:
        client.read_response(stream)
    assert ended.value.frame.kind == RST_STREAM and ended.value.frame.error_code != NO_ERROR
    assert client.get("/other").body == b"other"


def test_trailers_of_a_response_are_sent(weir, upstream):
    running = weir(ON + "location / { add_trailer X-After $request_id; return 200 hello; }")
    response = speak(running).get()
    assert response.body == b"hello" and re.fullmatch("[0-9a-f]{32}", response.trailers["x-after"])


def test_a_response_may_have_a_head_of_many_frames(weir, upstream):
    fields = b"".join(b"X-%d: %s\r\n" % (i, b"~" * 1000) for i in range(200))
    upstream.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + fields + b"\r\nok")
    client = speak(weir(PROXY + "proxy_buffer_size 256k; proxy_buffers 4 256k; proxy_busy_buffers_size 256k;"))
    client.decoder.max_header_list_size = 1 << 20
    for _ in range(2):
        response = client.get()
        assert response.body == b"ok" and response.headers["x-199"] == "~" * 1000


@pytest.mark.parametrize("status", [204, 304, 404, 500])
def test_statuses_pass(weir, status):
    response = speak(weir(ON + f"location / {{ return {status}; }}")).get()
    assert response.status == status and (status >= 400) == bool(response.body)


def test_limit_rate_holds_a_response_back(weir, folder):
    folder.write("body", body_of(30_000))
    client = speak(weir(ON + "root @dir@; limit_rate 10k;"))
    begun = time.monotonic()
    assert client.get("/body").body == body_of(30_000)
    assert time.monotonic() - begun > 1.5


def test_444_resets_the_stream(weir):
    client = speak(weir(ON + "location / { return 444; } location /other { return 200 other; }"))
    stream = client.headers(with_fields())
    assert client.read_until(RST_STREAM, stream)
    assert client.get("/other").body == b"other"


# ---- connections

def test_keepalive_requests_ends_the_connection_and_no_request_is_lost(weir):
    client = speak(weir(ON + "keepalive_requests 3; location / { return 200 ok; }"))
    client.connection.send(b"".join(frame_bytes(HEADERS, END_STREAM | END_HEADERS, 1 + 2 * i, block(with_fields()))
                                    for i in range(5)))
    streams = range(1, 10, 2)
    assert [client.read_response(stream).body for stream in streams] == [b"ok"] * 5
    goaways = [frame for frame in client.frames if frame.kind == GOAWAY]
    assert goaways and goaways[0].error_code == NO_ERROR
    assert goaways[0].payload[:4] == b"\x7f\xff\xff\xff", "requests under way were given up"


def test_a_client_that_does_not_heed_a_goaway_is_not_served_for_ever(weir):
    client = speak(weir(ON + "keepalive_requests 2; lingering_timeout 300ms; location / { return 200 ok; }"))
    with pytest.raises((Ended, Truncated, ConnectionError, OSError)):
        while True:                         # its PINGs are not answered
            client.get()
    last = [frame for frame in client.frames if frame.kind == GOAWAY][-1]
    assert last.payload[:4] != b"\x7f\xff\xff\xff" and last.error_code == NO_ERROR


def test_keepalive_timeout_0_ends_a_connection_after_its_first_request(weir):
    client = speak(weir(ON + "keepalive_timeout 0; location / { return 200 ok; }"))
    client.sync()
    assert not any(frame.kind == GOAWAY for frame in client.frames)
    assert client.get().body == b"ok"
    assert client.read_goaway().error_code == NO_ERROR


def test_early_hints_and_trailers_of_an_origin_pass(weir, upstream):
    upstream.answers(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-After\r\n\r\n"
                     b"2\r\nok\r\n0\r\nX-After: all\r\n\r\n")
    response = speak(weir(PROXY.replace("proxy_pass", "early_hints 1; proxy_pass_trailers on; proxy_pass"))).get()
    assert response.body == b"ok" and response.trailers.get("x-after") == "all"
    assert [hint.headers["link"] for hint in response.interim] == ["</a.css>; rel=preload"]


@pytest.mark.parametrize("content", [b"2\r\nok\r\n", b""], ids=["content", "no content"])
def test_trailers_that_have_no_place_here_leave_no_empty_section(weir, upstream, content):
    upstream.answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + content
                     + b"0\r\nConnection: close\r\nContent-Length: 5\r\n\r\n")
    client = speak(weir(PROXY.replace("proxy_pass", "proxy_pass_trailers on; proxy_pass")))
    assert client.get().body == content[3:5]
    assert sum(frame.kind == HEADERS for frame in client.frames) == 1


@pytest.mark.parametrize("way", ["on", "off"])
def test_trailers_of_a_request_pass_to_the_origin_where_asked(weir, upstream, way):
    upstream.takes_trailers = True
    client = speak(weir(f"proxy_pass_request_trailers on; proxy_request_buffering {way};" + PROXY))
    stream = client.headers(post(("te", "trailers")), end=False)
    client.data(stream, b"hello")
    client.headers([("x-sum", "1"), ("x-forwarded-for", "1.1.1.1"), ("cookie", "a=b"), ("x_under", "1")], stream=stream)
    assert client.read_response(stream).status == 200
    request = upstream.requests[-1]
    assert request.body == b"hello" and request.raw.endswith(b"\r\n0\r\nx-sum: 1\r\n\r\n")


def test_an_idle_connection_ends_after_keepalive_timeout(weir):
    client = speak(weir(ON + "keepalive_timeout 300ms; location / { return 200 ok; }"))
    client.get()
    assert client.read_goaway().error_code == NO_ERROR


def test_a_client_that_never_asks_ends_after_client_header_timeout(weir):
    running = weir(ON + "client_header_timeout 300ms; location / { return 200 ok; }")
    client = speak(running)
    assert client.read_goaway().error_code == NO_ERROR
    assert running.connect().is_closed()


def test_a_body_that_does_not_come_is_408(weir, upstream):
    client = speak(weir(PROXY + "client_body_timeout 300ms;"))
    stream = client.headers(post(), end=False)
    assert client.read_response(stream).status == 408


def test_a_window_that_stays_shut_ends_the_stream_after_send_timeout(weir, folder):
    folder.write("body", body_of(1000))
    running = weir(ON + "root @dir@; send_timeout 300ms;")
    client = speak(running, settings={INITIAL_WINDOW_SIZE: 0}, window=False)
    stream = client.headers(with_fields((":path", "/body")))
    client.read_until(RST_STREAM, stream)
    running.wait_log("client timed out while sending to client")


def test_a_client_that_takes_no_more_is_not_waited_for_without_end(weir):
    """By then all of its responses are with TLS, and no stream is left."""
    running = weir(ON + TLS.replace("ssl;", "ssl sndbuf=4k;")
                   + "send_timeout 300ms; location / { return 200 %s; }" % ("x" * 1000))
    client = H2(running.tls_connect(context=tls_context(alpn=["h2"]), receive_buffer=4096))
    client.connection.send(b"".join(
        frame_bytes(HEADERS, END_HEADERS | END_STREAM, client.take_stream(), block(GET)) for _ in range(40)))
    running.access_log(40)
    running.wait_log("client timed out while sending to client")


def test_curl_and_nghttp_are_content(weir, folder):
    folder.write("body", body_of(200_000))
    running = weir("listen 127.0.0.1:@port@;" + TLS + ON + "root @dir@;")
    done = curl("-k", "--http2", "-w", "%{http_version}", running.url("/body", tls=True))
    assert done.stdout == body_of(200_000) + b"2"
    done = subprocess.run(["nghttp", "-n", "-s", running.url("/body")], capture_output=True, check=False,
                          timeout=TIMEOUT * 2)
    assert b" 200 " in done.stdout and done.returncode == 0, done


def test_python_h2_is_content(weir):
    import h2.connection
    import h2.events
    running = weir(ON + "location / { return 200 hello; }")
    connection = running.connect()
    assert isinstance(connection, Connection)
    state = h2.connection.H2Connection()
    state.initiate_connection()
    for stream in (1, 3, 5):
        state.send_headers(stream, [(":method", "GET"), (":path", "/"), (":scheme", "http"),
                                    (":authority", "localhost")], end_stream=True)
    connection.send(state.data_to_send())
    bodies, ended = {}, 0
    while ended < 3:
        for event in state.receive_data(connection.read_some()):
            if isinstance(event, h2.events.DataReceived):
                bodies[event.stream_id] = event.data
            elif isinstance(event, h2.events.StreamEnded):
                ended += 1
            assert not isinstance(event, (h2.events.ConnectionTerminated, h2.events.StreamReset))
        connection.send(state.data_to_send())
    assert bodies == {1: b"hello", 3: b"hello", 5: b"hello"}
