"""What hostile or odd clients, and bad luck in timing, must not bring about."""

import os
import signal
import socket
import struct
import threading

import pytest

from harness import kernel, request_bytes, wait_until
from harness.upstream import answer
from harness.wire import chunked

RETURN = 'location / { return 200 "$request_method $uri"; }'


class Stopped:
    """Holds a worker while its events pile up, so that they come in one batch, in the order they happened."""

    def __init__(self, server):
        self.pid = server.workers()[0]

    def state(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0]

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)
        wait_until(lambda: self.state() == "T", "the worker to stop")

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)


def wait_answered(upstream):
    """Waits for the answer of the origin to lie in the worker's socket."""
    sock = upstream.connections[0].sock
    pair = [(sock.getpeername()[1], sock.getsockname()[1])]
    wait_until(lambda: kernel.unread_bytes(pair) > 0, "the answer to arrive")


def reset(connection):
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.sock.close()


# Heads

def test_a_large_head_may_have_much_behind_it(weir):
    server = weir("large_client_header_buffers 4 64k; client_max_body_size 1m;" + RETURN)
    fields = [("X-Large", "a" * 34000)]
    with server.connect() as client:
        with Stopped(server):
            client.send(request_bytes("/a", "POST", headers=fields, body=b"b" * 40000)
                        + request_bytes("/b"))
        assert client.read_response().text == "POST /a"
        assert client.read_response().text == "GET /b"


@pytest.mark.parametrize("length, status", [(2046, 200), (2047, 400), (2048, 400)])
def test_a_line_of_the_head_fits_into_a_large_buffer_with_its_end(weir, length, status):
    server = weir("large_client_header_buffers 2 2k;" + RETURN)
    head = request_bytes(headers=[("X", "a" * (length - 3))])
    assert server.exchange(head).status == status


def test_a_line_may_fill_a_first_buffer_that_is_larger_than_the_others(weir):
    server = weir("client_header_buffer_size 16k; large_client_header_buffers 2 2k;" + RETURN)
    assert server.exchange(request_bytes(headers=[("X", "a" * 9000)])).status == 200


# Pipelining

def test_more_may_come_before_a_pipelined_request_had_its_turn(weir, upstream):
    """The body of the second request and the answer to the first are seen in one turn of the loop."""
    go = threading.Event()

    def late(peer):
        if peer.request.target == "/a":
            peer.wait(go)
        return answer(peer.request.target.encode() + b" " + (peer.request.body or b""))

    upstream.answers(late)
    server = weir("location / { proxy_pass http://@upstream@; }")
    second = request_bytes("/b", "POST", headers=[("Content-Length", 39)])
    with server.connect() as client:
        client.send(request_bytes("/a") + second)
        upstream.wait_requests(1)
        with Stopped(server):
            go.set()
            wait_answered(upstream)
            client.sock.sendall(b"X: y\r\n\r\nGET /c HTTP/1.1\r\nHost: x\r\n\r\n...")
        assert client.read_response().text.startswith("/a")
        assert client.read_response().text == "/b X: y\r\n\r\nGET /c HTTP/1.1\r\nHost: x\r\n\r\n..."


# Bodies nobody wants

@pytest.mark.weir_only("nginx reads on")
def test_framing_without_content_is_refused(weir, upstream):
    """Else the limits on bodies say nothing of what is read for them."""
    server = weir("client_max_body_size 1k; location / { proxy_pass http://@upstream@; }")
    chunks = (b"1;" + b"x" * 4000 + b"\r\na\r\n") * 20 + b"0\r\n\r\n"
    response = server.exchange(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    assert response.status == 400
    assert server.wait_log("client sent invalid chunked body")
    assert not upstream.requests


def test_a_chunked_body_that_nobody_wants_is_not_read_for_ever(weir):
    server = weir(RETURN)
    with server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert client.read_response().status == 200
        chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
        client.send_what_fits(chunk * 32 + chunked())
        assert client.is_closed()


def test_trailer_fields_that_nobody_wants_end_the_connection(weir):
    server = weir(RETURN)
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with server.connect() as client:
        client.send(head)
        assert client.read_response().status == 200
        client.send(b"1\r\na\r\n0\r\nX: y\r\n\r\n" + request_bytes("/smuggled"))
        assert client.read_until_close() == b""


@pytest.mark.parametrize("first, rest", [
    (b"X: a", b"\r\n"), (b"X: a\r", b"\n"), (b"X: a\r\n", b"\r\n"), (b"X: a", b"b\r\n\r\n")])
def test_a_trailer_section_that_had_begun_is_none_of_the_next_request(weir, upstream, first, rest):
    """The answer comes in the middle of it."""
    upstream.answers_early(answer("early"))
    server = weir("""location / { proxy_http_version 1.1; proxy_request_buffering off; proxy_pass http://@upstream@; }
                     location /smuggled { return 200 smuggled; }""")
    with server.connect() as client:
        client.send(request_bytes("/", "POST", {"Transfer-Encoding": "chunked"}) + b"5\r\nhello\r\n0\r\n" + first)
        assert client.read_response().text == "early"
        client.send(rest + request_bytes("/smuggled"))
        assert b"smuggled" not in client.read_until_close()


def test_a_body_behind_an_answer_to_head_is_no_answer_to_the_next(weir, upstream):
    """Both come to a kept connection in one turn of the loop, in either order."""
    more = threading.Event()

    def careless(peer):
        if peer.request.method == "GET":
            return answer("mine")
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n")
        peer.wait(more)
        return answer("poison")

    upstream.answers(careless)
    server = weir("location / { proxy_pass http://@upstream@; }", http="upstream u { server @upstream@; keepalive 4; }")
    with server.connect() as client:
        assert client.request("/", "HEAD").status == 200
        with Stopped(server):
            client.send(request_bytes("/"))
            more.set()
            wait_answered(upstream)
        assert client.read_response().text == "mine"


@pytest.mark.parametrize("body,status", [
    (b"3\r\nabc\r\nX", 400), (chunked(b"a" * 1500, b"a" * 1500), 413)], ids=["broken", "too large"])
def test_a_streamed_body_that_fails_is_answered_on_a_kept_origin_connection(weir, upstream, body, status):
    server = weir("""client_max_body_size 2k; proxy_http_version 1.1; proxy_set_header Connection "";
                     location / { proxy_pass http://@upstream@; proxy_request_buffering off; }""")
    assert server.get("/").status == 200
    head = request_bytes("/", "POST", {"Transfer-Encoding": "chunked"})
    assert server.exchange(head + body).status == status


def test_no_request_is_looked_for_behind_a_body_that_was_never_asked_for(weir):
    server = weir(RETURN)
    with server.connect() as client:
        client.send(request_bytes("/", "POST", headers=[("Content-Length", 3),
                                                        ("Expect", "100-continue")]))
        response = client.read_response()
        assert (response.status, response.headers["Connection"]) == (200, "close")


# Error pages

@pytest.mark.parametrize("said, status, text", [
    ("error_page 500 /gone; return 500;", 404, "404 Not Found"),
    ("error_page 500 =418 /gone; return 500;", 404, "404 Not Found"),
    ("error_page 500 /busy; return 500;", 503, "503 Service Temporarily Unavailable"),
])
def test_an_error_page_that_fails_is_not_sent_under_the_first_status(weir, said, status, text):
    server = weir("location / { root @dir@/none; } location = /busy { return 503; }"
                  "location /x { %s }" % said)
    response = server.get("/x")
    assert (response.status, f"<h1>{text}</h1>" in response.text) == (status, True)


def test_a_body_too_large_has_its_error_page(weir):
    server = weir("client_max_body_size 2; error_page 413 /big;"
                  "location = /big { return 200 big; }" + RETURN)
    response = server.request("/", "POST", body=b"too large")
    assert (response.status, response.text) == (413, "big")


@pytest.mark.parametrize("page", ["@page", "/page"])
@pytest.mark.parametrize("headers, body", [
    ({"Content-Length": 44}, b"x" * 44), ({"Transfer-Encoding": "chunked"}, chunked(b"x" * 44)),
    ({"Transfer-Encoding": "chunked"}, chunked(b"GET /", b"x" * 44))], ids=["length", "chunk", "chunks"])
def test_a_body_too_large_does_not_go_to_its_error_pages_origin(weir, upstream, page, headers, body):
    upstream.answers(answer("page"))
    server = weir("""client_max_body_size 0; error_page 413 %s; proxy_http_version 1.1;
                     location / { client_max_body_size 10; proxy_pass http://@upstream@; }
                     location /page { proxy_pass http://@upstream@; }
                     location @page { proxy_pass http://@upstream@; }""" % page)
    response = server.exchange(request_bytes("/", "POST", headers) + body)
    assert (response.status, response.text) == (413, "page")
    assert b"".join(upstream.received).partition(b"\r\n\r\n")[2] == b""


def test_an_error_page_knows_its_status(weir):
    server = weir('error_page 502 /page; location = /page { return 200 "$status"; }'
                  "location / { return 502; }")
    assert server.get("/").text == "502"


def test_a_head_that_could_not_be_read_reaches_no_named_location(weir):
    server = weir('error_page 400 @named; location @named { return 200 "named $uri"; }' + RETURN)
    assert server.exchange(b"NONSENSE\r\n\r\n").status == 500
    assert server.exchange(b"GET /a HTTP/1.1\r\n\r\n").text == "named /a"


def test_the_error_page_of_a_bad_request_reaches_a_client_that_has_shut_its_side(weir):
    server = weir("error_page 405 /no; location = /no { return 200 no; }" + RETURN)
    with server.connect() as client:
        with Stopped(server):
            client.send(b"TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            client.sock.shutdown(socket.SHUT_WR)
        assert client.read_response().text == "no"


# Internal locations

def test_an_internal_location_has_error_pages_of_its_own(weir):
    server = weir("location /in { internal; error_page 404 =200 /page; return 200 in; }"
                  "location = /page { return 200 page; }")
    assert server.get("/in").text == "page"


@pytest.mark.parametrize("target", ["/location/x", "/server/x"])
def test_a_rewritten_request_enters_an_internal_location(weir, target):
    server = weir("rewrite ^/server/ /in;"
                  "location /location/ { rewrite ^ /in last; }"
                  "location = /in { internal; return 200 in; }")
    assert server.get(target).text == "in"


# Upgrades

def test_a_client_that_resets_while_it_is_upgraded_leaves_nothing_behind(weir, upstream):
    go = threading.Event()

    def late(peer):
        peer.wait(go)
        return b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"

    upstream.answers(late)
    server = weir("location / { proxy_pass http://@upstream@; proxy_http_version 1.1;"
                  'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }'
                  "location = /x { return 200 x; }")
    with server.connect() as client:
        client.send(request_bytes(headers=[("Upgrade", "x"), ("Connection", "upgrade")]))
        upstream.wait_requests(1)
        with Stopped(server):
            go.set()
            wait_answered(upstream)
            reset(client)
        assert server.get("/x").text == "x"
    wait_until(lambda: not upstream.open_connections(), "the origin's connection to end")


def test_keepalive_disable_closes_after_a_post_of_an_old_browser(weir):
    server = weir("location / { return 200 x; }")
    head = b" / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Mozilla/4.0 (compatible; MSIE 6.0)\r\n"
    answer = server.exchange(b"POST" + head + b"Content-Length: 0\r\n\r\n")
    assert answer.headers["connection"] == "close"
    connection = server.connect()
    connection.send(b"GET" + head + b"\r\n")
    assert connection.read_response().headers["connection"] == "keep-alive"


def test_an_upload_does_not_undo_the_time_out_of_a_response_that_nobody_reads(weir, upstream):
    upstream.answers_early(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 50000000)
    server = weir("""
        send_timeout 2s; client_body_timeout 60s; client_max_body_size 0; proxy_request_buffering off;
        proxy_buffering off;
        location / { proxy_pass http://@upstream@; }
    """)
    connection = server.connect()
    connection.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nabc")
    server.wait_log("client timed out while sending to client|client timed out .*while sending")
