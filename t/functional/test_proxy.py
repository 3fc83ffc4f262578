"""proxy_pass: what the origin is sent, what the client gets, and what goes wrong between."""

import os
import re
import shutil
import socket
import ssl
import threading
import time

import pytest

from harness import kernel, request_bytes, wait_until
from harness.upstream import answer, body_of, digest, site
from harness.wait import TIMEOUT
from harness.wire import Truncated, chunked

PROXY = "location / { proxy_pass http://@upstream@; }"
KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'


# The target

@pytest.mark.parametrize("location, passed, asked, sent", [
    ("/", "", "/a/b?c", "/a/b?c"),
    ("/a/", "", "/a/b?c", "/a/b?c"),
    ("/a/", "", "/x/../a/%62//c", "/x/../a/%62//c"),
    ("/a/", "/", "/a/b?c", "/b?c"),
    ("/a/", "/z/", "/a/b?c", "/z/b?c"),
    ("/a/", "/z", "/a/b", "/zb"),
    ("/a", "/z/", "/a/b", "/z//b"),
    ("/a/", "/z/", "/a/", "/z/"),
    ("= /a", "/z", "/a?b", "/z?b"),
    ("/a/", "/z/", "/a/b/../%63", "/z/c"),
    ("/a/", "/z/", "/a//b", "/z/b"),
    ("/a/", "/z/", "/a/%20%3F%23%25x", "/z/%20%3F%23%25x"),
    ("/a/", "/z/", "/a/\xc3\xa9", "/z/\xc3\xa9"),
    ("/a/", "/z/?fixed=1&", "/a/b", "/z/?fixed=1&b"),
    ("~ ^/a/", "", "/a/%62", "/a/%62"),
    ("~ ^/a/(.*)$", "/z/$1$is_args$args", "/a/b?c", "/z/b?c"),
    ("/a/", "$request_uri", "/a/%62?c", "/a/%62?c"),
    ("/a/", "/fixed$is_args$args", "/a/b?c", "/fixed?c"),
])
def test_the_target_follows_the_rules_of_proxy_pass(weir, upstream, location, passed, asked, sent):
    server = weir(f"location {location} {{ proxy_pass http://@upstream@{passed}; }}")
    assert server.get(asked).status == 200
    assert upstream.last.raw_head.split(b" ")[1] == sent.encode("latin-1")


@pytest.mark.weir_only("nginx lets such arguments end the request line")
@pytest.mark.parametrize("rule,sent", [
    ('set $args "p=$uri";', "/%0D%0AX-Smuggled:%20y?p=/%0D%0AX-Smuggled:%20y"),
    ("rewrite ^ /a?p=$http_x? break;", "/a?p=b%20HTTP/1.0"),
    ("rewrite ^ /a/$http_x? break;", "/a/b%20HTTP/1.0")])
def test_no_variable_ends_the_request_line(weir, upstream, rule, sent):
    server = weir(f"location / {{ {rule} proxy_pass http://@upstream@; }}")
    response = server.get("/%0d%0aX-Smuggled:%20y", headers={"X": "b HTTP/1.0"})
    assert response.status == 200
    assert upstream.last.target == sent
    assert "X-Smuggled" not in upstream.last.headers


def test_a_unix_socket_is_an_origin(weir, new_upstream):
    origin = new_upstream(unix=True)
    config = """location /   { proxy_pass http://@origin@; }
                location /a/ { proxy_pass http://@origin@:/b/; }"""
    server = weir(config, origin=origin)
    assert server.get("/x").status == 200
    assert origin.last.target == "/x"
    assert origin.last.headers["Host"] == "localhost"
    server.get("/a/x")
    assert origin.last.target == "/b/x"


def test_an_upstream_group_may_hold_a_unix_socket(weir, new_upstream):
    origin = new_upstream(unix=True)
    server = weir("location / { proxy_pass http://back; }",
                  http="upstream back { server @origin@; }", origin=origin)
    assert server.get("/x").status == 200
    assert origin.last.headers["Host"] == "back"


# The head that goes out

def test_host_is_that_of_proxy_pass_unless_said(weir, upstream):
    weir(PROXY).get("/", host="client.test")
    assert upstream.last.headers["Host"] == str(upstream)


def test_a_default_port_is_left_out_of_host(weir, upstream):
    weir("location / { proxy_pass http://back; }",
         http="upstream back { server @upstream@; }").get("/")
    assert upstream.last.headers["Host"] == "back"


def test_proxy_set_header_sets_replaces_and_removes(weir, upstream):
    config = """location / {
        proxy_pass http://@upstream@;
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Accept-Encoding "";
        proxy_set_header X-Text "a ${scheme}b";
    }"""
    weir(config).get("/", host="client.test", headers={
        "Accept-Encoding": "gzip", "X-Real-IP": "6.6.6.6", "X-Forwarded-For": "1.2.3.4"})
    headers = upstream.last.headers
    assert headers.all("Host") == ["client.test"]
    assert headers.all("X-Real-IP") == ["127.0.0.1"]
    assert headers.all("X-Forwarded-For") == ["1.2.3.4, 127.0.0.1"]
    assert headers["X-Forwarded-Proto"] == "http"
    assert "Accept-Encoding" not in headers
    assert headers["X-Text"] == "a httpb"


def test_proxy_set_header_is_inherited_only_where_none_is_said(weir, upstream):
    config = """proxy_set_header X-Outer outer;
                location /   { proxy_pass http://@upstream@; }
                location /a/ { proxy_pass http://@upstream@; proxy_set_header X-Inner inner; }"""
    server = weir(config)
    server.get("/")
    assert upstream.last.headers["X-Outer"] == "outer"
    server.get("/a/")
    assert upstream.last.headers["X-Inner"] == "inner"
    assert "X-Outer" not in upstream.last.headers


def test_fields_of_the_client_pass_in_order(weir, upstream):
    fields = [("X-A", "1"), ("Cookie", "a=b"), ("X-B", "2"), ("X-A", "3"), ("Accept", "*/*")]
    weir(PROXY).get("/", headers=fields)
    assert [pair for pair in upstream.last.headers if pair in fields] == fields


@pytest.mark.parametrize("field", ["Keep-Alive: timeout=5", "Proxy-Connection: keep-alive",
                                   "TE: trailers", "Upgrade: h2c", "Expect: 100-continue"])
def test_hop_by_hop_fields_stay_here(weir, upstream, field):
    name, _, value = field.partition(": ")
    weir(PROXY).request("/", "POST", headers={name: value}, body=b"x")
    if name not in ("Proxy-Connection", "TE"):      # those two nginx knows nothing of
        assert name not in upstream.last.headers
    assert upstream.last.body == b"x"


def test_a_client_cannot_remove_what_the_proxy_sets(weir, upstream):
    config = PROXY.replace("}", "proxy_set_header X-Real-IP $remote_addr; }")
    weir(config).get("/", headers={"Connection": "close, X-Real-IP", "X-Real-IP": "6.6.6.6"})
    assert upstream.last.headers.all("X-Real-IP") == ["127.0.0.1"]


def test_a_client_cannot_remove_the_framing(weir, upstream):
    connection = weir(PROXY).connect()
    connection.send(request_bytes("/", "POST", body=b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
                                  headers={"Connection": "close, Content-Length"}))
    connection.read_response()
    assert [r.target for r in upstream.requests] == ["/"]


def test_a_chunked_body_goes_out_framed_once(weir, upstream):
    weir(PROXY).exchange(request_bytes("/", "POST", headers={"Transfer-Encoding": "chunked"},
                                       body=chunked(b"hello")), "POST")
    headers = upstream.last.headers
    assert upstream.last.body == b"hello"
    assert ("Content-Length" in headers) != ("Transfer-Encoding" in headers)


@pytest.mark.weir_only("since nginx 1.29.7")
def test_speaks_http_1_1_and_keeps_connections_unless_told_otherwise(weir, upstream):
    server = weir("location / { proxy_pass http://back; }",
                  http="upstream back { server @upstream@; }")
    for _ in range(5):
        assert server.get("/").status == 200
    assert upstream.last.version == "HTTP/1.1"
    assert "Connection" not in upstream.last.headers
    assert len(upstream.connections) == 1


def test_speaks_http_1_0_where_told(weir, upstream):
    weir("proxy_http_version 1.0;" + PROXY).get("/")
    assert upstream.last.version == "HTTP/1.0"
    assert upstream.last.headers["Connection"] == "close"


# The head that comes back

def test_status_reason_and_fields_pass(weir, upstream):
    upstream.answers(b"HTTP/1.1 299 Very Odd\r\nX-A: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
                     b"Content-Type: text/odd\r\nContent-Length: 2\r\n\r\nhi")
    response = weir(PROXY).get("/")
    assert (response.status, response.reason, response.text) == (299, "Very Odd", "hi")
    assert response.headers.all("Set-Cookie") == ["a=1", "b=2"]
    assert response.headers["Content-Type"] == "text/odd"


@pytest.mark.weir_only("nginx passes the line as it is")
@pytest.mark.parametrize("line", [b"HTTP/1.1 299 ", b"HTTP/1.1 299"])
def test_a_status_without_a_reason_keeps_its_space(weir, upstream, line):
    """RFC 9112, 4."""
    upstream.answers(line + b"\r\nContent-Length: 0\r\n\r\n")
    connection = weir("location / { proxy_pass http://@upstream@; }").connect()
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert connection.read_until(b"\r\n").startswith(b"HTTP/1.1 299 \r\n")


@pytest.mark.parametrize("status", [200, 201, 203, 206, 301, 302, 400, 401, 403, 404, 410, 418,
                                    429, 444, 499, 500, 503, 507])
def test_any_status_of_the_origin_passes(weir, upstream, status):
    upstream.answers(answer("body", f"{status} Some Reason"))
    response = weir(PROXY).get("/")
    assert (response.status, response.reason, response.text) == (status, "Some Reason", "body")


def test_server_and_date_are_this_proxys(weir, upstream, binary):
    upstream.answers(answer(headers={"Server": "origin", "Date": "Mon, 01 Jan 2001 00:00:00 GMT"}))
    headers = weir(PROXY).get("/").headers
    assert headers.all("Server") != ["origin"] and len(headers.all("Server")) == 1
    assert binary.name in headers["Server"]
    assert len(headers.all("Date")) == 1 and "2001" not in headers["Date"]


def test_hop_by_hop_fields_of_the_origin_stay_here(weir, upstream):
    upstream.answers(answer(headers={"Connection": "keep-alive", "Keep-Alive": "timeout=5",
                                     "X-Accel-Limit-Rate": "0"}))
    headers = weir(PROXY).get("/").headers
    assert "Keep-Alive" not in headers
    assert headers.all("Connection") == ["keep-alive"]
    assert "X-Accel-Limit-Rate" not in headers


def test_a_redirect_of_the_origin_to_itself_is_made_ours(weir, upstream):
    upstream.answers(lambda peer: answer("", "302 Found",
                                         {"Location": f"http://{upstream}/new?x"}))
    server = weir(PROXY)
    assert server.get("/old").headers["Location"] == f"http://localhost:{server.port}/new?x"


# Bodies

@pytest.mark.parametrize("kind", ["b", "chunked", "close"])
@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 16384, 65537, 3_000_000])
def test_bodies_of_any_size_and_framing_arrive_whole(weir, upstream, kind, size):
    upstream.answers(site)
    connection = weir(PROXY).connect()
    response = connection.request(f"/{kind}/{size}")
    assert (len(response.body), digest(response.body)) == (size, digest(body_of(size)))
    assert response.framing == ("length" if kind == "b" else "chunked")
    assert connection.request("/echo").status == 200


def test_a_response_cut_anywhere_is_the_same_response(weir, upstream):
    whole = (b"HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nTransfer-Encoding: chunked\r\n"
             b"X-A:  b \r\n\r\n4\r\nfour\r\n0A;x=\"y\"\r\n0123456789\r\n000\r\n\r\n")
    server = weir(PROXY)
    connection = server.connect()
    for cut in range(1, len(whole)):
        upstream.answers([whole[:cut], whole[cut:]])
        response = connection.request("/")
        assert (response.body, response.headers["X-A"]) == (b"four0123456789", "b")


def test_a_response_may_come_byte_by_byte(weir, upstream):
    whole = answer("hello", headers={"X-A": "b"})
    upstream.answers([whole[n:n + 1] for n in range(len(whole))])
    assert weir(PROXY).get("/").text == "hello"


def test_trailers_of_the_origin_do_not_pass_unless_asked(weir, upstream):
    upstream.answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                     b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n")
    connection = weir(PROXY).connect()
    for _ in range(2):
        response = connection.request("/")
        assert (response.body, "X-Sum" in response.trailers) == (b"hi", False)


@pytest.mark.weir_only("since nginx 1.27.2")
def test_trailers_of_the_origin_pass_where_it_is_said_or_around(weir, upstream):
    upstream.answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n")
    server = weir("proxy_pass_trailers on;" + PROXY + "location /own { proxy_pass http://@upstream@; proxy_pass_trailers off; }")
    for path, passes in ("/", True), ("/own", False):
        response = server.get(path, headers={"TE": "trailers", "Connection": "TE"})
        assert (response.body, "X-Sum" in response.trailers) == (b"hi", passes)


@pytest.mark.weir_only("since nginx 1.27.2")
def test_trailers_that_a_head_would_not_pass_are_kept_back(weir, upstream):
    upstream.answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\nX-Secret: 1\r\n"
                     b"Server: back\r\nX-Accel-Redirect: /x\r\nConnection: close\r\nUpgrade: x\r\n\r\n")
    server = weir("proxy_pass_trailers on; proxy_hide_header X-Secret;" + PROXY,
                  http="log_format t '$upstream_trailer_x_secret'; access_log @dir@/t.log t;")
    response = server.get("/", headers={"TE": "trailers", "Connection": "TE"})
    assert (response.body, list(response.trailers)) == (b"hi", [("X-Sum", "1")])
    assert server.access_log(1, name="t.log") == ["1"]


# Behind the body of a request: what passes, and what would mean something in its head.
TRAILERS = """X-Sum: 1\r\nX-Sum: 2\r\nContent-Digest: sha-256=:aa=:\r\n"""
NO_TRAILERS = """Host: evil\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nAuthorization: Basic x\r\nCookie: a=b
Connection: close\r\nX-Forwarded-For: 1.1.1.1\r\nx-forwarded-proto: https\r\nX_Forwarded_For: 1.1.1.1\r\nX-Set: no
X-Unset: no\r\nX-Listed: no\r\nX-In-Head: no\r\nX-HTTP-Method-Override: PUT\r\nContent-Type: a/b\r\nTrailer: x
""".replace("\r\n", "\n").replace("\n", "\r\n")
WITH_TRAILERS = (b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: x-listed\r\nX-In-Head: yes\r\n"
                 b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
                 + (TRAILERS + NO_TRAILERS).encode() + b"\r\n")


@pytest.mark.weir_only("a directive of weir's own")
@pytest.mark.parametrize("way", ["proxy_request_buffering on;", "proxy_request_buffering off;"])
def test_trailers_of_the_client_pass_where_asked_but_for_those_of_heads(weir, upstream, way):
    upstream.takes_trailers = True
    config = way + 'proxy_pass_request_trailers on; proxy_set_header X-Set yes; proxy_set_header X-Unset "";'
    connection = weir(config + PROXY).connect()
    for _ in range(2):
        connection.send(WITH_TRAILERS)
        assert connection.read_response().status == 200
        request = upstream.requests[-1]
        assert request.body == b"hello" and "Content-Length" not in request.headers
        assert request.raw.endswith(b"\r\n0\r\n" + TRAILERS.encode() + b"\r\n")
        assert (request.headers["X-In-Head"], request.headers["X-Set"]) == ("yes", "yes")


@pytest.mark.weir_only("a directive of weir's own")
@pytest.mark.parametrize("way", ["", "proxy_request_buffering off;", "proxy_pass_request_trailers on; proxy_http_version 1.0;",
                                 "proxy_pass_request_trailers on; proxy_pass_request_headers off;",
                                 "proxy_pass_request_trailers on; proxy_set_body other;",
                                 "proxy_pass_request_trailers on; proxy_pass_request_body off;"])
def test_trailers_of_the_client_do_not_pass_otherwise(weir, upstream, way):
    connection = weir(way + PROXY).connect()
    connection.send(WITH_TRAILERS)
    assert connection.read_response().status == 200
    assert b"X-Sum" not in upstream.requests[-1].raw


@pytest.mark.weir_only("a directive of weir's own")
def test_trailers_of_the_client_go_to_the_next_server_too(weir, three):
    for origin in three:
        origin.takes_trailers = True
    three[0].answers(lambda peer: peer.close())
    connection = weir("proxy_next_upstream error non_idempotent; proxy_pass_request_trailers on;" + BACK,
                      http=group(three[0], f"{three[1]} backup")).connect()
    connection.send(WITH_TRAILERS)
    assert connection.read_response().status == 200
    for origin in three[:2]:
        request = origin.requests[-1]
        assert request.body == b"hello" and request.trailers["X-Sum"]


def test_large_bodies_pass_both_ways_at_once(weir, upstream):
    upstream.answers(lambda peer: answer(peer.request.body))
    body = body_of(4_000_000)
    connection = weir("client_max_body_size 0;" + PROXY).connect()
    sender = threading.Thread(target=connection.sock.sendall,
                              args=(request_bytes("/", "POST", body=body),))
    sender.start()
    response = connection.read_response()
    sender.join()
    assert digest(response.body) == digest(body)


def test_a_response_reaches_the_client_as_it_comes(weir, upstream):
    more = threading.Event()

    def slowly(peer):
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        peer.wait(more)
        return b"6\r\nsecond\r\n0\r\n\r\n"

    upstream.answers(slowly)
    connection = weir("proxy_buffering off;" + PROXY).connect()
    connection.send(request_bytes("/"))
    connection.read_until(b"first")
    more.set()
    connection.read_until(b"second")


def test_a_client_that_reads_slowly_slows_the_origin(weir, upstream):
    sent = []

    def pour(peer):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        block = body_of(100_000)
        while True:
            peer.send(block)
            sent.append(len(block))

    upstream.answers(pour)
    connection = weir("proxy_buffering off;" + PROXY).connect()
    connection.send(request_bytes("/"))
    connection.read_until(b"\r\n\r\n")
    wait_stable(lambda: len(sent))
    assert sum(sent) < kernel.bytes_between(hops=2) + 1_000_000


def test_an_origin_that_reads_slowly_slows_the_client(weir, upstream):
    done = threading.Event()
    upstream.answers_early(lambda peer: (peer.wait(done), answer("done"))[1])
    config = "client_max_body_size 0; proxy_request_buffering off; proxy_http_version 1.1;" + PROXY
    connection = weir(config).connect()
    connection.send(request_bytes("/", "POST", headers={"Content-Length": "500000000"}))
    sent = connection.send_until_blocked(bytes(500_000_000))
    assert sent < kernel.bytes_between(hops=2) + 1_000_000
    done.set()


def wait_stable(value, seconds=0.3):
    """Waits until the value has not changed for so long."""
    seen = [value(), time.monotonic()]

    def stable():
        now = value()
        if now != seen[0]:
            seen[:] = [now, time.monotonic()]
        return time.monotonic() - seen[1] >= seconds

    wait_until(stable, "it to stand still")


@pytest.mark.parametrize("protocol", ["plain", "tls"])
@pytest.mark.parametrize("way", ["another try", "error page"])
def test_a_body_that_comes_while_the_next_origin_is_opened_follows_the_head(weir, new_upstream, ports, certs, way,
                                                                            protocol):
    """The second origin's connection is not open yet when the client goes on with its body."""
    body_is_sent = threading.Event()
    got = []

    def open_late():
        if protocol == "plain":
            body_is_sent.wait(TIMEOUT)
            for filler in fillers:
                filler.close()
        while not got:
            sock = listener.accept()[0]
            sock.settimeout(TIMEOUT)
            if protocol == "tls":
                body_is_sent.wait(TIMEOUT)
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*certs.pair("origin"))
                sock = context.wrap_socket(sock, server_side=True)
            request = b""
            while not request.endswith(b"GET / HTTP"):
                more = sock.recv(65536)
                if not more:
                    break
                request += more
            if request:
                got.append(request)
                sock.sendall(answer("second"))
            sock.close()

    listener = socket.create_server(("127.0.0.1", ports.take()), backlog=0 if protocol == "plain" else 8)
    fillers = []
    if protocol == "plain":
        # The queue is full: a connection is not complete before it has been emptied.
        for _ in range(4):
            fillers.append(socket.socket())
            fillers[-1].setblocking(False)
            fillers[-1].connect_ex(listener.getsockname())
    scheme = "https" if protocol == "tls" else "http"
    first = new_upstream(tls=certs.pair("origin") if protocol == "tls" else None)
    first.answers_early(lambda peer: peer.close())
    listener.settimeout(TIMEOUT)
    origin = threading.Thread(target=open_late, daemon=True)
    origin.start()

    late = "127.0.0.1:%d" % listener.getsockname()[1]
    common = "proxy_request_buffering off; proxy_http_version 1.1;"
    if way == "another try":
        server = weir(common + f"location / {{ proxy_pass {scheme}://g; }}",
                      http=f"upstream g {{ server @first@; server {late} backup; }}", first=first)
    else:
        server = weir(common + f"location / {{ proxy_pass {scheme}://@first@; error_page 502 = @late; }}"
                      f"location @late {{ proxy_pass {scheme}://{late}; }}", first=first)
    connection = server.connect()
    connection.send(request_bytes("/", "PUT", headers={"Content-Length": "10"}))
    server.wait_log("prematurely closed")
    connection.send(b"GET / HTTP")
    body_is_sent.set()
    assert connection.read_response().text == "second"
    origin.join()
    listener.close()
    assert got[0].startswith(b"PUT / HTTP/1.1\r\n") and got[0].endswith(b"\r\n\r\nGET / HTTP")


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("buffering", ["on", "off"])
def test_a_body_that_one_origin_was_sent_is_none_for_its_error_page(weir, new_upstream, framing, buffering):
    """Of what was not kept the rest is no body: announced as one, it would swallow the next request to that origin."""
    def refuse(peer):
        peer.read_some()
        return answer("no", status="404 Not Found")

    first = new_upstream().answers_early(refuse)
    second = new_upstream().answers(lambda peer: answer(f"{peer.request.target} {len(peer.request.body or b'')}"))
    server = weir(f"""proxy_http_version 1.1;
        location / {{ proxy_pass http://second; proxy_request_buffering {buffering}; }}
        location /first {{ proxy_pass http://@first@; proxy_request_buffering off; proxy_intercept_errors on; error_page 404 = @second; }}
        location @second {{ proxy_pass http://second; proxy_request_buffering {buffering}; }}""",
                  http="upstream second { server @second@; keepalive 4; }", first=first, second=second)
    connection = server.connect()
    if framing == "length":
        connection.send(request_bytes("/first", "POST", headers={"Content-Length": "40"}) + b"A" * 40)
    else:
        connection.send(request_bytes("/first", "POST", headers={"Transfer-Encoding": "chunked"}) + chunked(b"A" * 40))
    assert connection.read_response().text == "/first 0"
    assert server.connect().request("/victim").text == "/victim 0"


def test_a_client_is_not_timed_out_while_its_next_origin_is_opened(weir, new_upstream, certs):
    """Who waited for the body has gone; the next one has not asked for it yet."""
    may_shake = threading.Event()
    late = socket.create_server(("127.0.0.1", 0))
    late.settimeout(TIMEOUT)

    def open_late():
        sock = late.accept()[0]
        sock.settimeout(TIMEOUT)
        may_shake.wait(TIMEOUT)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certs.pair("origin"))
        with context.wrap_socket(sock, server_side=True) as peer:
            while not peer.recv(65536).endswith(b"0123456789"):
                pass
            peer.sendall(answer("second"))

    threading.Thread(target=open_late, daemon=True).start()
    first = new_upstream(tls=certs.pair("origin")).answers_early(lambda peer: peer.close())
    patience_s = TIMEOUT / 7
    server = weir("""client_body_timeout @patience@ms; proxy_request_buffering off; proxy_http_version 1.1;
                     location / { proxy_pass https://g; }""",
                  http="upstream g { server @first@; server @late@ backup; }", first=first,
                  patience=int(patience_s * 1000),
                  late="127.0.0.1:%d" % late.getsockname()[1])
    connection = server.connect()
    connection.send(request_bytes("/", "PUT", headers={"Content-Length": "10"}))
    server.wait_log("prematurely closed")
    connection.send(b"0123456789")
    began = time.monotonic()
    wait_until(lambda: time.monotonic() > began + patience_s + 0.2, "what had been the client's time to be over")
    may_shake.set()
    assert connection.read_response().text == "second"
    late.close()


@pytest.mark.parametrize("asks, connections", [
    ("", 1), ('proxy_set_header Connection "";', 1), ("proxy_set_header Connection x-one;", 1),
    ("proxy_http_version 1.0;", 3), ('proxy_http_version 1.0; proxy_set_header Connection "";', 3),
    ("proxy_set_header Connection close;", 3), ("set $how Close; proxy_set_header Connection $how;", 3)])
@pytest.mark.weir_only("nginx takes the origin's word alone, and meets it closing")
def test_a_connection_that_the_origin_was_asked_to_close_is_not_kept(weir, upstream, asks, connections):
    """An origin that closes it, as asked, may have said nothing of that in its answer (RFC 9112, 9.6)."""
    server = weir(f"location / {{ proxy_pass http://back; proxy_http_version 1.1; {asks} }}".replace(
        "proxy_http_version 1.1; proxy_http_version 1.0", "proxy_http_version 1.0"),
        http="upstream back { server @upstream@; keepalive 4; }", upstream=upstream)
    for _ in range(3):
        assert server.get("/").status == 200
    assert len(upstream.connections) == connections


KEEP_ALIVE_1_0 = "proxy_http_version 1.0; proxy_set_header Connection Keep-Alive;"


@pytest.mark.parametrize("says, connections", [
    (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", 1),
    (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", 1),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 3),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 3),
    (b"HTTP/1.1 200 OK\r\nConnection: keep-alive, close\r\nContent-Length: 2\r\n\r\nhi", 3)])
@pytest.mark.weir_only("nginx keeps what answers in 1.1, whether it says so or not, and nothing that answers in 1.0")
def test_a_connection_that_1_0_asked_to_keep_is_kept_where_the_origin_says_so(weir, upstream, says, connections):
    """As RFC 9112, 9.3, has it of an HTTP/1.0 client."""
    upstream.answers(says)
    server = weir(f"location / {{ proxy_pass http://back; {KEEP_ALIVE_1_0} }}",
                  http="upstream back { server @upstream@; keepalive 4; }", upstream=upstream)
    for _ in range(3):
        assert server.get("/").text == "hi"
    assert len(upstream.connections) == connections
    assert upstream.requests[-1].headers["connection"] == "Keep-Alive"


def test_an_early_response_to_an_upload_reaches_the_client(weir, upstream):
    upstream.answers_early(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n"
                           b"Connection: close\r\n\r\nno")
    config = "client_max_body_size 0; proxy_request_buffering off; proxy_http_version 1.1;" + PROXY
    connection = weir(config).connect()
    connection.send(request_bytes("/", "POST", headers={"Content-Length": "50000000"}))
    sender = threading.Thread(target=connection.send_what_fits, args=(bytes(50_000_000),))
    sender.start()
    response = connection.read_response()
    connection.sock.shutdown(socket.SHUT_RDWR)
    sender.join()
    assert (response.status, response.text) == (401, "no")


# Origins that break

def silent_close(peer):
    peer.close()


def reset(peer):
    peer.reset()


def after(text):
    """Sends the text, then closes."""
    def send_and_close(peer):
        peer.send(text)
        peer.close()
    return send_and_close


BROKEN = {
    "closes without a word": (silent_close, "prematurely closed"),
    "resets": (reset, "."),
    "closes in the status line": (after(b"HTTP/1.1 20"), "."),
    "closes in the head": (after(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"),
                           "prematurely closed"),
    "sends a head too large": (after(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20000 + b"\r\n\r\n"),
                               "too big header"),
    "sends a field with NUL": (after(b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n"),
                               "invalid header"),
    "sends a length below zero": (after(b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nhi"), "."),
    "sends two lengths": (
        after(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi"), "."),
    "sends a length beside chunks": (
        after(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
              b"0\r\n\r\n"), "."),
    "sends an unknown coding": (
        after(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: odd\r\n\r\nhi"), "."),
    "sends no HTTP": (after(b"220 smtp.test ESMTP\r\n\r\n"), "."),
    "sends a status of two digits": (after(b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"), "."),
    "sends a folded field": (
        after(b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"), "."),
    "sends a space before a colon": (
        after(b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"), "."),
}
NGINX_TAKES = {
    "sends a length below zero", "sends two lengths", "sends a length beside chunks",
    "sends an unknown coding", "sends no HTTP", "sends a status of two digits",
}


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.weir_only("nginx 1.22 takes it"))
    if name in NGINX_TAKES else name for name in BROKEN])
def test_a_broken_answer_is_502_and_is_told_in_the_log(weir, upstream, name):
    broken, message = BROKEN[name]
    upstream.answers(broken)
    server = weir("location / { proxy_pass http://@upstream@; }")
    assert server.get("/x?y").status == 502
    line = server.wait_log(rf"\[error\] .*{message}.*").group()
    assert "client: 127.0.0.1, server: " in line
    assert 'request: "GET /x?y HTTP/1.1"' in line
    assert f'upstream: "http://{upstream}/x?y"' in line
    assert 'host: "localhost"' in line


def test_an_origin_that_is_not_there_is_502(weir, ports):
    server = weir("location / { proxy_pass http://127.0.0.1:@closed@; }")
    assert server.get("/").status == 502
    assert server.wait_log(r"\[error\] .*connect\(\) failed \(111: Connection refused\) "
                           r"while connecting to upstream, client: 127.0.0.1")


def test_a_unix_socket_that_is_not_there_is_502(weir):
    server = weir("location / { proxy_pass http://unix:@dir@/none; }")
    assert server.get("/").status == 502
    assert server.wait_log(r"\[crit\] .*connect\(\) to unix:.*/none failed "
                           r"\(2: No such file or directory\)")


def test_an_origin_that_takes_no_connection_is_504(weir, deaf):
    server = weir("proxy_connect_timeout 300ms; location / { proxy_pass http://@deaf@; }",
                  deaf=deaf)
    assert server.get("/").status == 504
    assert server.wait_log(r"upstream timed out \(110: Connection timed out\) "
                           r"while connecting to upstream")


def test_an_origin_that_does_not_answer_is_504(weir, upstream):
    upstream.answers(lambda peer: peer.wait_gone())
    server = weir("proxy_read_timeout 300ms;" + PROXY)
    assert server.get("/").status == 504
    assert server.wait_log(r"upstream timed out \(110: Connection timed out\) "
                           r"while reading response header from upstream")
    wait_until(lambda: not upstream.open_connections(), "the connection to end")


def test_an_origin_that_stops_reading_is_504(weir, upstream):
    upstream.answers_early(lambda peer: peer.wait(stop))
    stop = threading.Event()
    server = weir("client_max_body_size 0; proxy_send_timeout 300ms;" + PROXY)
    connection = server.connect()
    connection.send(request_bytes("/", "POST", headers={"Content-Length": "30000000"}))
    connection.send_what_fits(bytes(30_000_000))
    assert connection.read_response().status == 504
    stop.set()


@pytest.mark.parametrize("text", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly this",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\nzz\r\n",
], ids=["length", "in a chunk", "between chunks", "a bad chunk"])
def test_a_body_that_breaks_off_is_never_whole_for_the_client(weir, upstream, text):
    upstream.answers(after(text))
    connection = weir(PROXY).connect()
    connection.send(request_bytes("/"))
    try:
        response = connection.read_response(partial=True)
    except Truncated:
        return
    assert response.status == 502 or not response.complete
    assert connection.is_closed()


def test_a_body_longer_than_its_length_is_cut_and_the_connection_dropped(weir, upstream):
    upstream.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
                     b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    server = weir(f"location / {{ proxy_pass http://back; {KEPT} }}",
                  http="upstream back { server @upstream@; keepalive 4; }")
    connection = server.connect()
    assert [connection.request("/").text for _ in range(3)] == ["hi"] * 3
    assert len(upstream.connections) == 3


@pytest.mark.weir_only("nginx 1.22 passes them on as final")
@pytest.mark.parametrize("interim", ["100 Continue", "102 Processing", "103 Early Hints"])
def test_interim_responses_of_the_origin_are_not_the_answer(weir, upstream, interim):
    upstream.answers(f"HTTP/1.1 {interim}\r\nX-A: b\r\n\r\n".encode() + answer("real"))
    response = weir(PROXY).get("/")
    assert (response.status, response.text) == (200, "real")
    assert "X-A" not in response.headers


# Sizes

def test_heads_as_large_as_proxy_buffer_size_pass(weir, upstream):
    upstream.answers(answer(headers={"X-Large": "a" * 100_000}))
    server = weir("""proxy_buffer_size 128k; proxy_buffers 4 256k; proxy_busy_buffers_size 256k;"""
                  + PROXY)
    assert len(server.get("/").headers["X-Large"]) == 100_000


def test_a_head_over_proxy_buffer_size_is_502(weir, upstream):
    server = weir("proxy_buffer_size 4k;" + PROXY)
    upstream.answers(answer(headers={"X-Large": "a" * 3000}))
    assert server.get("/").status == 200
    upstream.answers(answer(headers={"X-Large": "a" * 5000}))
    assert server.get("/").status == 502
    assert server.wait_log("upstream sent too big header while reading response header")


# Groups

def group(*servers, more=""):
    return "upstream back { " + "".join(f"server {s}; " for s in servers) + more + "}"


BACK = "location / { proxy_pass http://back; }"


@pytest.fixture
def three(new_upstream):
    """Three origins that answer with their number."""
    origins = [new_upstream() for _ in range(3)]
    for number, origin in enumerate(origins):
        origin.answers(answer(str(number)))
    return origins


def answered_by(server, count):
    return [server.get("/").text for _ in range(count)]


def test_origins_take_turns(weir, three):
    assert answered_by(weir(BACK, http=group(*three)), 6) == list("012012")


def test_weights_share_the_turns(weir, three):
    server = weir(BACK, http=group(f"{three[0]} weight=3", three[1]))
    said = answered_by(server, 8)
    assert (said.count("0"), said.count("1")) == (6, 2)
    assert said[:4] == list("0010")


def test_a_server_marked_down_gets_nothing(weir, three):
    assert answered_by(weir(BACK, http=group(f"{three[0]} down", three[1])), 4) == list("1111")


def test_a_backup_waits_while_another_serves(weir, three):
    assert answered_by(weir(BACK, http=group(three[0], f"{three[1]} backup")), 3) == list("000")


def test_a_backup_serves_when_no_other_does(weir, three, ports):
    dead = f"127.0.0.1:{ports.take()}"
    assert answered_by(weir(BACK, http=group(dead, f"{three[1]} backup")), 3) == list("111")


def test_a_request_goes_on_to_the_next_origin_when_one_is_dead(weir, three, ports):
    dead = f"127.0.0.1:{ports.take()}"
    server = weir(BACK, http=group(dead, three[0]))
    assert answered_by(server, 5) == list("00000")
    # After one failure (max_fails=1) it is left alone for fail_timeout.
    assert server.log().count("Connection refused") == 1


@pytest.mark.parametrize("broken", [silent_close, reset, after(b"HTTP/1.1 200 OK\r\nX: y\r\n")])
def test_a_request_goes_on_to_the_next_origin_when_one_breaks(weir, three, broken):
    three[0].answers(broken)
    server = weir(BACK, http=group(three[0], three[1]))
    assert answered_by(server, 4) == list("1111")


def test_a_body_goes_on_to_the_next_origin_too(weir, three, ports):
    three[0].answers(lambda peer: answer(peer.request.body))
    server = weir(BACK, http=group(f"127.0.0.1:{ports.take()}", three[0]))
    for _ in range(2):
        assert server.request("/", "PUT", body=body_of(100_000)).body == body_of(100_000)


def test_a_post_that_was_sent_is_not_sent_again(weir, three):
    three[0].answers(silent_close)
    server = weir(BACK, http=group(three[0], three[1]))
    assert server.request("/", "POST", body=b"pay once").status == 502
    assert (len(three[0].requests), len(three[1].requests)) == (1, 0)


def test_a_post_that_could_not_be_sent_goes_on_to_the_next_origin(weir, three, ports):
    server = weir(BACK, http=group(f"127.0.0.1:{ports.take()}", three[1]))
    for _ in range(2):
        assert server.request("/", "POST", body=b"x").text == "1"


def test_proxy_next_upstream_names_statuses_to_go_on_at(weir, three):
    three[0].answers(answer("", "503 Busy"))
    server = weir("proxy_next_upstream error http_503;" + BACK, http=group(three[0], three[1]))
    assert answered_by(server, 4) == list("1111")


@pytest.mark.parametrize("answered", [
    b"HTTP/1.1 500 x\r\nContent-Length: 100000\r\n\r\n" + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil" * 9,
    b"HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"])
def test_a_connection_whose_answer_was_not_wanted_is_never_used_again(weir, new_upstream, answered):
    """What is left of the answer would be taken for the next one."""
    bad, good = new_upstream().answers([answered]), new_upstream()
    server = weir("""location / { proxy_pass http://both; proxy_next_upstream http_500;
                                  proxy_http_version 1.1; proxy_set_header Connection ""; }""",
                  http="upstream both { server @bad@ max_fails=0; server @good@ backup; keepalive 8; }",
                  bad=bad, good=good)
    for _ in range(3):
        assert server.get("/").text == "ok"
    assert len(bad.connections) == 3
    wait_until(lambda: not bad.open_connections(), "the connections to be closed")


def test_proxy_next_upstream_off_keeps_the_first_failure(weir, three):
    three[0].answers(silent_close)
    server = weir("proxy_next_upstream off;" + BACK, http=group(three[0], three[1]))
    assert sorted(server.get("/").status for _ in range(2)) == [200, 502]


def test_all_dead_is_502_with_no_live_upstreams(weir, ports):
    server = weir(BACK, http=group(f"127.0.0.1:{ports.take()}", f"127.0.0.1:{ports.take()}"))
    assert server.get("/").status == 502
    assert server.get("/").status == 502
    assert server.wait_log(r"\[error\] .*no live upstreams while connecting to upstream, client: 127.0.0.1, "
                           r'server: .*, request: "GET / HTTP/1.1", upstream: "http://back/", host: ".*"')


# Kept connections

def kept(weir, origin, count=4):
    return weir(f"location / {{ proxy_pass http://back; {KEPT} }}",
                http=group(origin, more=f"keepalive {count}; "))


def test_connections_to_the_origin_are_kept_and_used_again(weir, upstream):
    server = kept(weir, upstream)
    for _ in range(10):
        assert server.get("/").status == 200
    assert len(upstream.connections) == 1


def test_keepalive_0_has_a_connection_for_each_request(weir, upstream):
    server = weir(PROXY.replace("http://@upstream@", "http://back"),
                  http="upstream back { server @upstream@; keepalive 0; }", upstream=upstream)
    for _ in range(3):
        assert server.get("/").status == 200
        assert upstream.last.headers["Connection"] == "close"
    assert len(upstream.connections) == 3


def test_a_kept_connection_that_the_origin_closed_is_not_used(weir, upstream):
    upstream.answers(answer(), lambda peer: (peer.send(answer()), peer.close()), answer())
    server = kept(weir, upstream)
    for _ in range(4):
        assert server.get("/").status == 200
    assert len(upstream.connections) == 2


def test_a_kept_connection_that_turns_out_dead_is_tried_again_on_a_fresh_one(weir, upstream):
    upstream.answers(answer(), silent_close, answer("again"))
    server = kept(weir, upstream)
    assert [server.get("/").text for _ in range(2)] == ["ok", "again"]


def test_the_answer_to_connection_close_ends_the_kept_connection(weir, upstream):
    upstream.answers(answer(headers={"Connection": "close"}))
    server = kept(weir, upstream)
    for _ in range(3):
        assert server.get("/").status == 200
    assert len(upstream.connections) == 3


def test_a_response_of_head_204_and_304_leaves_the_connection_usable(weir, upstream):
    upstream.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                     b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\n\r\n",
                     answer())
    server = kept(weir, upstream)
    said = [server.request("/", method).status for method in ("HEAD", "GET", "GET", "GET")]
    assert said == [200, 204, 304, 200]
    assert len(upstream.connections) == 1


def test_no_more_connections_are_kept_than_said(weir, upstream):
    together = threading.Barrier(5)
    upstream.answers(lambda peer: (together.wait(TIMEOUT), answer())[1])
    server = kept(weir, upstream, 2)
    clients = [server.connect() for _ in range(5)]
    for client in clients:
        client.send(request_bytes("/"))
    assert all(client.read_response().status == 200 for client in clients)
    wait_until(lambda: len(upstream.open_connections()) == 2, "two to be kept")


def test_an_idle_kept_connection_ends_after_keepalive_timeout(weir, upstream):
    server = weir(f"location / {{ proxy_pass http://back; {KEPT} }}",
                  http=group(upstream, more="keepalive 4; keepalive_timeout 200ms; "))
    server.get("/")
    wait_until(lambda: not upstream.open_connections(), "the idle connection to end")


def test_keepalive_requests_bounds_the_use_of_a_kept_connection(weir, upstream):
    server = weir(f"location / {{ proxy_pass http://back; {KEPT} }}",
                  http=group(upstream, more="keepalive 4; keepalive_requests 2; "))
    for _ in range(6):
        server.get("/")
    assert len(upstream.connections) == 3


# TLS to the origin

def test_https_reaches_the_origin_through_tls(weir, new_upstream, certs):
    origin = new_upstream(tls=certs.pair("origin"))
    server = weir("location / { proxy_pass https://@origin@; }", origin=origin)
    assert server.get("/x").status == 200
    assert origin.last.headers["Host"] == str(origin)


VERIFIED = """location / { proxy_pass https://@origin@; proxy_ssl_verify on;
    proxy_ssl_trusted_certificate @certs@/@ca@.crt; proxy_ssl_name @name@;
    proxy_ssl_server_name on; }"""


@pytest.mark.parametrize("ca, name, status", [
    ("ca", "origin.test", 200), ("other-ca", "origin.test", 502), ("ca", "wrong.test", 502)])
def test_the_origins_certificate_is_verified(weir, new_upstream, certs, ca, name, status):
    origin = new_upstream(tls=certs.pair("origin"))
    server = weir(VERIFIED, origin=origin, ca=ca, name=name)
    assert server.get("/").status == status
    if status == 502:
        assert server.wait_log(r"\[error\] .*upstream SSL certificate (verify|does not match)")
        assert origin.requests == []


def test_an_expired_certificate_of_the_origin_is_refused(weir, new_upstream, certs):
    origin = new_upstream(tls=certs.pair("expired"))
    server = weir(VERIFIED, origin=origin, ca="ca", name="localhost")
    assert server.get("/").status == 502
    assert server.wait_log(r"upstream SSL certificate verify error: \(10:")


@pytest.mark.parametrize("told, name", [
    ("proxy_ssl_server_name on; proxy_ssl_name sni.test;", "sni.test"),
    ("proxy_ssl_name sni.test;", None), ("", None)])
def test_the_name_is_sent_to_the_origin_where_told(weir, new_upstream, certs, told, name):
    names = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certs.pair("origin"))
    context.sni_callback = lambda sock, name, ctx: names.append(name)
    origin = new_upstream(tls=context)
    weir(told + "location / { proxy_pass https://@origin@; }", origin=origin).get("/")
    assert names == [name]


def test_a_client_certificate_is_shown_to_the_origin(weir, new_upstream, certs):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certs.pair("origin"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certs.path("ca.crt"))
    origin = new_upstream(tls=context)
    server = weir("""location /a/ { proxy_pass https://@origin@;
                         proxy_ssl_certificate @certs@/client.crt;
                         proxy_ssl_certificate_key @certs@/client.key; }
                     location /b/ { proxy_pass https://@origin@; }""", origin=origin)
    assert server.get("/b/").status in (400, 502)
    assert server.get("/a/").status == 200


@pytest.mark.weir_only("nginx uses a connection that was made with another certificate")
def test_who_shows_another_certificate_gets_no_connection_of_others(weir, new_upstream, certs):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certs.pair("origin"))
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(certs.path("ca.crt"))
    origin = new_upstream(tls=context).answers(lambda peer: answer(str(peer.sock.getpeercert()["serialNumber"])))
    server = weir("""location / { proxy_pass https://u; proxy_http_version 1.1; proxy_set_header Connection "";
                         proxy_ssl_certificate @certs@/$arg_who.crt; proxy_ssl_certificate_key @certs@/$arg_who.key; }""",
                  http="upstream u { server @origin@; keepalive 4; }", origin=origin)
    for who in ("client", "client-revoked", "client"):
        assert int(server.get(f"/?who={who}").text, 16) == int(certs.serial(who), 16)


def test_sessions_with_the_origin_are_resumed(weir, new_upstream, certs):
    reused = []

    def tell(peer):
        reused.append(peer.sock.session_reused)
        return answer(headers={"Connection": "close"})

    origin = new_upstream(tls=certs.pair("origin")).answers(tell)
    server = weir("location / { proxy_pass https://@origin@; }", origin=origin)
    for _ in range(4):
        assert server.get("/").status == 200
    assert reused[0] is False and any(reused[1:])


def test_a_session_is_no_proof_for_another_name(weir, new_upstream, certs):
    reused = []

    def tell(peer):
        reused.append(peer.sock.session_reused)
        return answer(headers={"Connection": "close"})

    origin = new_upstream(tls=certs.pair("origin")).answers(tell)
    server = weir("""location / { proxy_pass https://@origin@; proxy_ssl_name $arg_n; proxy_ssl_verify on;
                         proxy_ssl_trusted_certificate @certs@/ca.crt; }""", origin=origin)
    for _ in range(3):
        assert server.get("/?n=origin.test").status == 200
        assert server.get("/?n=bad.example").status == 502
    assert any(reused)


@pytest.mark.weir_only("nginx does not watch files")
@pytest.mark.parametrize("protocol", ["TLSv1.2", "TLSv1.3"])
def test_a_session_is_no_proof_once_authorities_have_changed(weir, new_upstream, certs, folder, protocol):
    reused = []

    def tell(peer):
        reused.append(peer.sock.session_reused)
        return answer(headers={"Connection": "close"})

    origin = new_upstream(tls=certs.pair("origin")).answers(tell)
    shutil.copy(certs.path("ca.crt"), folder.file("trusted.crt"))
    server = weir(f"""location / {{ proxy_pass https://@origin@; proxy_ssl_name origin.test; proxy_ssl_verify on;
                         proxy_ssl_protocols {protocol}; proxy_ssl_trusted_certificate @dir@/trusted.crt; }}""", origin=origin)
    for _ in range(4):
        assert server.get("/").status == 200
    assert any(reused)
    shutil.copy(certs.path("other-ca.crt"), folder.file("new.crt"))
    os.rename(folder.file("new.crt"), folder.file("trusted.crt"))
    wait_until(lambda: server.get("/").status == 502, "the other authorities")


def test_an_origin_that_speaks_no_tls_is_502(weir, upstream):
    upstream.speaks(lambda peer: (peer.read_some(), peer.send(b"220 no tls here\r\n")))
    server = weir("location / { proxy_pass https://@upstream@; }")
    assert server.get("/").status == 502
    assert server.wait_log(r"SSL_do_handshake\(\) failed \(SSL: [^()]*\)"
                           " while SSL handshaking to upstream, client: ")


def test_large_bodies_pass_both_ways_through_tls(weir, new_upstream, certs):
    origin = new_upstream(tls=certs.pair("origin"))
    origin.answers(lambda peer: answer(peer.request.body))
    body = body_of(1_500_000)
    server = weir("client_max_body_size 0; location / { proxy_pass https://@origin@; }",
                  origin=origin)
    assert digest(server.request("/", "POST", body=body).body) == digest(body)


# What it tells

def test_upstream_variables_tell_the_whole_way(weir, three, ports):
    dead = f"127.0.0.1:{ports.take()}"
    http = group(dead, three[0]) + """
        log_format way '$upstream_addr|$upstream_status|$upstream_response_time|'
                       '$upstream_http_x_a|$upstream_bytes_received|$upstream_response_length';
        access_log @dir@/way.log way;"""
    three[0].answers(answer("four", headers={"X-A": "b"}))
    server = weir(BACK, http=http)
    server.get("/")
    line = server.access_log(name="way.log")[0]
    address, status, times, field, received, length = line.split("|")
    assert address == f"{dead}, {three[0]}"
    assert status == "502, 200"
    assert len(times.split(", ")) == 2
    assert (field, length) == ("b", "0, 4")
    assert int(received.split(", ")[1]) == len(answer("four", headers={"X-A": "b"}))


@pytest.mark.weir_only("nginx refuses the configuration")
def test_a_name_that_is_not_found_at_start_is_a_warning_and_a_dead_origin(weir):
    server = weir("location / { proxy_pass http://no-such-host.invalid; } "
                  "location /x { return 200 x; }")
    assert re.search(r"\[warn\] .*no-such-host.invalid", server.stderr() + server.log())
    assert server.get("/").status == 502
    assert server.get("/x").status == 200
