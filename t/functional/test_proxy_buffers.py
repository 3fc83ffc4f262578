"""Responses between a fast origin and a slow client, and the X-Accel fields."""

import os
import re
import threading
import time

import pytest

from harness import kernel, request_bytes, wait_until
from harness.upstream import answer, body_of, digest, site
from harness.wait import TIMEOUT

PROXY = "location / { proxy_pass http://@upstream@; }"
SIZE = 40_000_000


def pour(sent, more=b""):
    """Answers with SIZE bytes, and says when all of them have gone out."""
    def send(peer):
        peer.send(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n" % (more, SIZE) + body_of(SIZE))
        sent.set()
    return send


YES, NO = b"X-Accel-Buffering: yes\r\n", b"X-Accel-Buffering: no\r\n"


@pytest.mark.parametrize("told, said", [
    ("", b""), ("proxy_buffering off;", YES), ("proxy_ignore_headers X-Accel-Buffering;", NO)])
def test_a_slow_client_does_not_hold_the_origin(weir, upstream, told, said):
    sent = threading.Event()
    upstream.answers(pour(sent, said))
    server = weir(told + PROXY)
    connection = server.connect()
    connection.send(request_bytes("/"))
    assert sent.wait(TIMEOUT)
    response = connection.read_response()
    assert digest(response.body) == digest(body_of(SIZE))
    server.wait_log(r"\[warn\] .*an upstream response is buffered to a temporary file")


def test_what_was_buffered_in_a_file_goes_through_filters(weir, upstream):
    sent = threading.Event()

    def send(peer):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                  b"Content-Length: %d\r\n\r\n" % SIZE + body_of(SIZE))
        sent.set()

    upstream.answers(send)
    server = weir("sub_filter_types text/plain; sub_filter_once off; sub_filter 0000042 answer;"
                  + PROXY)
    connection = server.connect()
    connection.send(request_bytes("/"))
    assert sent.wait(20)
    body = connection.read_response().body
    assert digest(body) == digest(body_of(SIZE).replace(b"0000042", b"answer"))
    assert b"answer" in body
    server.wait_log(r"\[warn\] .*an upstream response is buffered to a temporary file")


@pytest.mark.parametrize("told, said", [
    ("proxy_max_temp_file_size 0;", b""), ("proxy_buffering off;", b""), ("", NO)])
def test_without_a_file_the_origin_waits(weir, upstream, told, said):
    sent = threading.Event()
    upstream.answers(pour(sent, said))
    server = weir(told + PROXY)
    connection = server.connect()
    connection.send(request_bytes("/"))
    assert b"X-Accel" not in connection.read_until(b"\r\n\r\n")
    assert not sent.wait(1)
    connection.read_exactly(SIZE)
    assert sent.wait(TIMEOUT)
    assert "temporary file" not in server.log()


@pytest.mark.weir_only("nginx breaks such responses off")
def test_a_file_that_cannot_be_had_makes_the_origin_wait_and_loses_nothing(weir, upstream):
    sent = threading.Event()
    upstream.answers(pour(sent))
    server = weir("proxy_temp_path @dir@/temp;" + PROXY)
    os.rmdir(server.folder.file("temp"))
    connection = server.connect()
    connection.send(request_bytes("/"))
    server.wait_log(r"\[crit\] .*temporary file")
    assert digest(connection.read_response().body) == digest(body_of(SIZE))
    assert server.get("/").status == 200


def test_slow_clients_of_chunked_and_unframed_responses_get_all(weir, upstream):
    upstream.answers(site)
    server = weir(PROXY)
    for kind in ("chunked", "close"):
        connection = server.connect()
        connection.send(request_bytes(f"/{kind}/{SIZE}"))
        wait_until(lambda: "buffered to a temporary file" in server.log(), "the file")
        assert digest(connection.read_response().body) == digest(body_of(SIZE))


def test_events_are_never_held_back(weir, upstream):
    more = threading.Event()

    def events(peer):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        peer.wait(more)
        peer.send(b"data: 2\n\n")
        peer.close()

    upstream.answers(events)
    connection = weir(PROXY).connect()
    connection.send(request_bytes("/"))
    connection.read_until(b"data: 1\n\n")
    more.set()
    connection.read_until(b"data: 2\n\n")


def test_x_accel_redirect_is_answered_from_another_location(weir, upstream):
    upstream.answers(answer("hidden", headers={"X-Accel-Redirect": "/inside/a%20b?c=d",
                                               "Set-Cookie": "a=b", "X-Other": "gone"}))
    server = weir(PROXY + "location /inside/ { internal; return 200 \"in $uri $args\"; }")
    response = server.get("/x")
    assert (response.status, response.text) == (200, "in /inside/a b c=d")
    assert response.headers["Set-Cookie"] == "a=b"
    assert "X-Other" not in response.headers and "X-Accel-Redirect" not in response.headers
    assert server.get("/inside/x").status == 404


def test_x_accel_limit_rate_holds_beside_x_accel_redirect(weir, upstream):
    upstream.answers(answer("", headers={"X-Accel-Redirect": "/in", "X-Accel-Limit-Rate": "20000"}))
    server = weir("location / { proxy_pass http://@upstream@; } location /in { internal; return 200 $limit_rate; }")
    assert server.get("/").text == "20000"


@pytest.mark.parametrize("told, rate", [("", "20000"), ("proxy_ignore_headers X-Accel-Limit-Rate;", "7000"),
                                        ("proxy_ignore_headers X-Accel-Charset;", "20000")])
def test_x_accel_limit_rate_holds_unless_it_is_ignored(weir, upstream, told, rate):
    upstream.answers(answer(headers={"X-Accel-Limit-Rate": "20000"}))
    server = weir("limit_rate 7000;" + told + PROXY, http="log_format rate $limit_rate; access_log @dir@/rate.log rate;")
    assert "X-Accel-Limit-Rate" not in server.get("/").headers
    assert server.access_log(name="rate.log") == [rate]


@pytest.mark.parametrize("told, type_", [("", "text/plain; charset=koi8-r"),
                                         ("proxy_ignore_headers X-Accel-Charset;", "text/plain; charset=utf-8"),
                                         ("proxy_ignore_headers X-Accel-Limit-Rate;", "text/plain; charset=koi8-r")])
def test_x_accel_charset_holds_unless_it_is_ignored(weir, upstream, told, type_):
    upstream.answers(answer(headers={"Content-Type": "text/plain", "X-Accel-Charset": "koi8-r"}))
    server = weir("charset utf-8;" + told + PROXY, http="charset_map koi8-r utf-8 { C0 D18E; }")
    headers = server.get("/").headers
    assert headers["Content-Type"] == type_ and "X-Accel-Charset" not in headers


def test_x_accel_redirect_may_be_ignored(weir, upstream):
    upstream.answers(answer("shown", headers={"X-Accel-Redirect": "/inside/"}))
    server = weir("proxy_ignore_headers X-Accel-Redirect;" + PROXY)
    assert server.get("/x").text == "shown"


def test_statuses_of_the_origin_may_be_intercepted(weir, upstream):
    upstream.answers(answer("their page", "503 Busy"))
    server = weir("""error_page 503 /sorry; proxy_intercept_errors on;
                     location = /sorry { return 200 "our page"; }""" + PROXY)
    response = server.get("/")
    assert (response.status, response.text) == (503, "our page")
    upstream.answers(answer("their page", "404 Not Found"))
    assert server.get("/").text == "their page"


def test_an_error_page_may_be_another_origin(weir, upstream, new_upstream):
    other = new_upstream().answers(answer("other"))
    http = """log_format t '$upstream_addr|$upstream_status'; access_log @dir@/t.log t;"""
    server = weir("""location / { proxy_pass http://127.0.0.1:@closed@; error_page 502 = @other; }
                     location @other { proxy_pass http://@upstream2@; }""",
                  http=http, upstream2=other)
    response = server.get("/x")
    assert (response.status, response.text) == (200, "other")
    assert other.last.target == "/x"
    addresses, statuses = server.access_log(name="t.log")[0].split("|")
    assert addresses.split(" : ")[1] == str(other)
    assert statuses == "502 : 200"


def test_names_and_hidden_fields(weir, upstream):
    upstream.answers(answer(headers={"X-Pad": "1", "X-Powered-By": "php", "Date": "x"}))
    server = weir("proxy_hide_header X-Powered-By; proxy_pass_header Date;" + PROXY)
    headers = server.get("/").headers
    assert "X-Pad" not in headers and "X-Powered-By" not in headers
    assert headers.all("Date") == ["x"]


def test_who_passes_server_and_date_adds_none_where_the_origin_has_none(weir, upstream):
    upstream.answers(answer(b"x"))
    server = weir("""location / { proxy_pass http://@upstream@; proxy_pass_header Server; proxy_pass_header Date; }
                     location /ours/ { proxy_pass http://@upstream@; }
                     location /none/ { return 404; proxy_pass_header Server; }""")
    theirs = server.get("/").headers
    assert "Server" not in theirs and "Date" not in theirs
    for path in "/ours/", "/none/":
        assert "Server" in server.get(path).headers and "Date" in server.get(path).headers


def test_cookies_are_made_ours(weir, upstream):
    upstream.answers(answer(headers=[("Set-Cookie", "a=b; Domain=.origin.test; Path=/two/x"),
                                     ("Set-Cookie", "c=d; path=/other; Secure")]))
    server = weir("""proxy_cookie_domain origin.test example.test;
                     proxy_cookie_path /two/ /one/; """ + PROXY)
    assert server.get("/").headers.all("Set-Cookie") == [
        "a=b; Domain=.example.test; Path=/one/x", "c=d; path=/other; Secure"]


def test_redirects_follow_the_rules_in_order(weir, upstream):
    server = weir("""location /one/ { proxy_pass http://@upstream@/two/;
                         proxy_redirect default;
                         proxy_redirect ~^http://(\\w+)\\.test/(.*)$ https://$1.example/$2;
                         proxy_redirect http://fixed.other/ /f/; }""")
    for said, seen in [(f"http://{upstream}/two/x", f"http://localhost:{server.port}/one/x"),
                       ("http://a.test/b", "https://a.example/b"),
                       ("http://fixed.other/y", f"http://localhost:{server.port}/f/y"),
                       ("http://else.where/", "http://else.where/"),
                       ("/relative", "/relative")]:
        upstream.answers(answer("", "302 Found", {"Location": said}))
        assert server.get("/one/").headers["Location"] == seen


def test_method_and_body_may_be_replaced(weir, upstream):
    server = weir("""location / { proxy_pass http://@upstream@; proxy_method PUT;
                     proxy_set_body "was $request_method"; }""")
    server.request("/", "POST", body=b"secret")
    assert (upstream.last.method, upstream.last.body) == ("PUT", b"was POST")


@pytest.mark.parametrize("how", ["", "proxy_request_buffering off;", "proxy_pass_request_body off;"])
def test_a_body_may_be_made_of_the_one_that_came(weir, upstream, how):
    server = weir(how + """location / { proxy_pass http://@upstream@; proxy_set_body "user=x&$request_body"; }""")
    server.request("/", "POST", body=b"a=b")
    assert (upstream.last.headers["Content-Length"], upstream.last.body) == ("10", b"user=x&a=b")
    server.request("/", "POST", [("Transfer-Encoding", "chunked")], b"3\r\na=c\r\n0\r\n\r\n")
    assert upstream.last.body == b"user=x&a=c"


def test_the_body_may_stay_here(weir, upstream):
    server = weir("""proxy_pass_request_body off; proxy_set_header Content-Length "";""" + PROXY)
    assert server.request("/", "POST", body=b"secret").status == 200
    assert upstream.last.body == b"" and "Content-Length" not in upstream.last.headers


def test_the_local_address_may_be_chosen(weir, upstream):
    server = weir("proxy_bind 127.0.0.9;" + PROXY)
    server.get("/")
    assert upstream.connections[0].sock.getpeername()[0] == "127.0.0.9"


@pytest.mark.needs_root
@pytest.mark.parametrize("how, capabilities", [("", 0), ("transparent", 1 << 13)])
def test_an_address_that_is_not_ours_takes_one_capability(weir, upstream, how, capabilities):
    """CAP_NET_RAW, in the workers; of root's others none is left."""
    server = weir(f"proxy_bind $arg_from {how};" + PROXY, main="user nobody;")
    assert server.get("/?from=127.0.0.9").status == 200
    assert upstream.connections[0].sock.getpeername()[0] == "127.0.0.9"
    for pid in server.workers():
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            assert int(re.search(r"CapEff:\s*(\w+)", status.read()).group(1), 16) == capabilities


def test_a_host_from_a_variable_needs_a_group_or_an_address(weir, upstream):
    server = weir("""location /a/ { set $to back; proxy_pass http://$to; }
                     location /b/ { set $to @upstream@; proxy_pass http://$to; }
                     location /c/ { set $to nowhere.invalid; proxy_pass http://$to; }""",
                  http="upstream back { server @upstream@; }")
    assert server.get("/a/x").status == 200
    assert upstream.last.headers["Host"] == "back"
    assert server.get("/b/x").status == 200
    assert server.get("/c/x").status == 502
    server.wait_log("no resolver defined to resolve nowhere.invalid")


def test_max_conns_bounds_the_connections_to_a_server(weir, new_upstream):
    hold = threading.Event()
    one = new_upstream().answers(lambda peer: (peer.wait(hold), answer("one"))[1])
    two = new_upstream().answers(answer("two"))
    server = weir("location / { proxy_pass http://back; }",
                  http=f"upstream back {{ server {one} max_conns=1; server {two} backup; }}")
    first = server.connect()
    first.send(request_bytes("/"))
    one.wait_requests(1)
    assert server.get("/").text == "two"
    hold.set()
    assert first.read_response().text == "one"
    assert server.get("/").text == "one"


def test_a_client_that_goes_away_ends_the_request_to_the_origin(weir, upstream):
    upstream.answers(lambda peer: peer.wait_gone())
    server = weir(PROXY)
    connection = server.connect()
    connection.send(request_bytes("/"))
    upstream.wait_requests(1)
    connection.sock.close()
    wait_until(lambda: not upstream.open_connections(), "the origin to be let go")


def ignored(weir, upstream):
    """A client whose origin answers once `go` is set, whether or not it is still there."""
    go = threading.Event()
    upstream.answers(lambda peer: (peer.wait(go), answer("x"))[1])
    http = "log_format t '$status $upstream_status'; access_log @dir@/t.log t;"
    server = weir("location /other { access_log off; return 204; } proxy_ignore_client_abort on;" + PROXY, http=http)
    connection = server.connect()
    connection.send(request_bytes("/"))
    upstream.wait_requests(1)
    return server, connection, go


def test_a_client_that_goes_away_may_be_ignored(weir, upstream):
    server, connection, go = ignored(weir, upstream)
    connection.sock.close()
    go.set()
    wait_until(lambda: server.access_log(name="t.log"), "the log line")
    assert server.access_log(name="t.log")[0].endswith(" 200")


def test_a_client_that_is_ignored_may_end_its_data_before_it_resets(weir, upstream):
    server, connection, go = ignored(weir, upstream)
    for goes in connection.finish_sending, connection.reset:
        goes()
        assert server.get("/other").status == 204       # the worker has seen it
    go.set()
    assert server.access_log(name="t.log")[0].endswith(" 200")


@pytest.mark.parametrize("framing", ["b", "chunked"])
def test_an_origin_may_be_read_from_slowly(weir, upstream, framing):
    """150 kB at 100 kB a second: a second at least, however the client reads."""
    upstream.answers(site)
    server = weir("proxy_limit_rate 100k;" + PROXY)
    begun = time.monotonic()
    response = server.get(f"/{framing}/150000")
    assert digest(response.body) == digest(body_of(150_000))
    assert time.monotonic() - begun > 0.9


@pytest.mark.weir_only("nginx takes variables since 1.27")
def test_the_rate_may_be_a_variable(weir, upstream):
    upstream.answers(site)
    server = weir("proxy_limit_rate $arg_rate;" + PROXY)
    begun = time.monotonic()
    assert len(server.get("/b/150000?rate=100k").body) == 150_000
    assert time.monotonic() - begun > 0.9
    assert len(server.get("/b/150000?rate=0").body) == 150_000
    assert len(server.get("/b/150000?rate=x").body) == 150_000
    server.wait_log('invalid value "x" of "proxy_limit_rate"')


def test_a_client_may_go_away_while_the_origin_is_read_from_slowly(weir, upstream):
    upstream.answers(site)
    server = weir("proxy_limit_rate 1k;" + PROXY)
    connection = server.connect()
    connection.send(request_bytes("/b/100000"))
    connection.read_until(b"\r\n\r\n")
    connection.close()
    wait_until(lambda: not upstream.open_connections(), "the origin's connection to end")


@pytest.mark.parametrize("type_, charset, seen", [
    ("text/plain", "koi8-r", "text/plain; charset=koi8-r"),
    ("application/json", "koi8-r", "application/json; charset=koi8-r"),
    ("text/html; charset=latin1", "koi8-r", "text/html; charset=latin1"),
    ("text/plain", "off", "text/plain"),
])
def test_x_accel_charset_names_the_encoding(weir, upstream, type_, charset, seen):
    upstream.answers(answer(headers={"Content-Type": type_, "X-Accel-Charset": charset}))
    server = weir("charset utf-8;" + PROXY, http="charset_map koi8-r utf-8 { C0 D18E; }")
    response = server.get("/")
    assert response.headers["Content-Type"] == seen
    assert "X-Accel-Charset" not in response.headers


@pytest.mark.weir_only("nginx closes them")
@pytest.mark.parametrize("headers, settings", [
    ({"X-Accel-Redirect": "/inside"}, ""),
    ({}, "proxy_intercept_errors on; error_page 404 /inside;"),
])
def test_an_answer_that_is_not_shown_leaves_its_connection_usable(weir, upstream, headers, settings):
    upstream.answers(answer("x" * 5000, "404 Not Found", headers))
    server = weir(settings + PROXY + "location = /inside { internal; return 200 inside; }")
    for _ in range(3):
        assert server.get("/").text == "inside"
    assert len(upstream.connections) == 1


def test_an_answer_that_is_not_shown_and_never_ends_holds_nobody(weir, upstream):
    upstream.answers(lambda peer: (peer.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 9999999\r\n\r\n"
                                             + b"x" * 100_000), peer.wait_gone()))
    server = weir("proxy_intercept_errors on; error_page 404 /inside;" + PROXY
                  + "location = /inside { internal; return 200 inside; }")
    assert server.get("/").text == "inside"
    wait_until(lambda: not upstream.open_connections(), "the origin's connection to end")


@pytest.mark.weir_only("nginx copies all into buffers of one size")
def test_chunks_of_a_byte_take_no_more_memory_than_large_ones(weir, upstream):
    upstream.answers(lambda peer: peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 3_000_000))
    server = weir("listen 127.0.0.1:@port@ sndbuf=8k; proxy_max_temp_file_size 0;" + PROXY)
    worker = server.wait_workers()[0]
    before = kernel.rss_kib(worker)
    connections = [server.connect(receive_buffer=4096) for _ in range(5)]
    for connection in connections:
        connection.send(request_bytes("/"))
    upstream.wait_requests(len(connections))
    wait_until(lambda: kernel.is_calm(worker, 0.3), "the worker to take no more")
    each = (kernel.rss_kib(worker) - before) / len(connections)
    assert each < (6000 if server.binary.is_sanitized else 1500), f"{each} KiB a connection"
