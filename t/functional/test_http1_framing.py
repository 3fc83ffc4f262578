"""Where a request ends: what is doubtful is refused, what is right passes, however cut."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import kernel, request_bytes, split_exchange, wait_until
from harness.upstream import answer, body_of, digest, json_answer, site
from harness.wire import chunked

PROXY = "location / { proxy_pass http://@upstream@; }"
MANY = "worker_connections 4096;"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(*fields, body=b"", line="POST / HTTP/1.1"):
    return "\r\n".join([line, "Host: localhost", *fields, "", ""]).encode("latin-1") + body


def get(*lines):
    return "\r\n".join(["GET / HTTP/1.1", *lines, "", ""]).encode("latin-1")


# Heads that two recipients could read differently, or that are no HTTP.
BAD_HEADS = {
    "content-length beside chunked":
        post("Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunked beside content-length":
        post("Transfer-Encoding: chunked", "Content-Length: 5", body=b"0\r\n\r\n"),
    "two content-lengths that differ": post("Content-Length: 0", "Content-Length: 43"),
    "two content-lengths that agree": post("Content-Length: 0", "Content-Length: 0"),
    "a list of content-lengths that agree": post("Content-Length: 0, 0"),
    "a list of content-lengths that differ": post("Content-Length: 0, 43"),
    "a content-length with a plus": post("Content-Length: +0"),
    "a content-length with a minus": post("Content-Length: -0"),
    "a negative content-length": post("Content-Length: -1"),
    "a content-length in hex": post("Content-Length: 0x0"),
    "a content-length with a space inside": post("Content-Length: 0 0"),
    "a content-length with letters": post("Content-Length: 0a"),
    "an empty content-length": post("Content-Length:"),
    "a content-length over 2^63": post("Content-Length: 9223372036854775808"),
    "a content-length over 2^64": post("Content-Length: 18446744073709551616"),
    "a content-length that wraps to 0": post("Content-Length: 36893488147419103232"),
    "two transfer-encodings":
        post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "two transfer-encodings, the last not chunked":
        post("Transfer-Encoding: chunked", "Transfer-Encoding: identity", body=b"0\r\n\r\n"),
    "chunked with HTTP/1.0":
        post("Transfer-Encoding: chunked", body=b"0\r\n\r\n", line="POST / HTTP/1.0"),
    "a space before the colon": post("Content-Length : 0"),
    "a tab before the colon": post("Content-Length\t: 0"),
    "a space before the colon of transfer-encoding":
        post("Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
    "a folded field": post("X-Long: one", " two"),
    "a field folded by a tab": post("X-Long: one", "\ttwo"),
    "a folded transfer-encoding": post("Transfer-Encoding:", " chunked", body=b"0\r\n\r\n"),
    "a first field that starts with a space": b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n",
    "a field without a name": post(": value"),
    "a NUL in a value": post("X-Nul: a\0b"),
    "a NUL in a name": post("X-N\0l: a"),
    "a CR alone in a value": post("X-Cr: a\rTransfer-Encoding: chunked"),
    "a CR alone before the end of a value": post("X-Cr: a\r"),
    "a control byte in a value": post("X-Bell: a\x07b"),
    "a control byte in a name": post("X-B\x07ll: a"),
    "DEL in a value": post("X-Del: a\x7fb"),
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": get("Host: localhost", "Host: localhost"),
    "two hosts that differ": get("Host: localhost", "Host: other"),
    "an empty host": get("Host:"),
    "an empty host beside the target's": b"GET http://localhost/ HTTP/1.1\r\nHost: \r\n\r\n",
    "an empty host in HTTP/1.0": b"GET / HTTP/1.0\r\nHost:\r\n\r\n",
    "a host that is a port": get("Host: :80"),
    "a host that is a dot": get("Host: ."),
    "a host with two dots": get("Host: local..host"),
    "a host with a slash": get("Host: local/host"),
    "a host with a space": get("Host: local host"),
    "letters behind an address in host": get("Host: [::1]x"),
    **{f"two of {name}": get("Host: localhost", f"{name}: {value}", f"{name}: {value}")
       for name, value in [("Authorization", "Basic YTpi"), ("Expect", "100-continue"),
                           ("Content-Range", "bytes 0-1/2"), ("If-Match", '"a"'),
                           ("If-None-Match", '"a"'), ("If-Range", '"a"'),
                           ("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT"),
                           ("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")]},
    "a NUL in the target": b"GET /a\0b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a control byte in the target": b"GET /a\x01b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a CR in the target": b"GET /a\rb HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a tab after the method": b"GET\t/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a target that starts with no slash": b"GET path HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a target with a broken percent": b"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a target with %00": b"GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a target above the root": b"GET /../../etc HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a target above the root, encoded": b"GET /%2e%2e/etc HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a method in lower case": b"get / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a method with a digit": b"GET1 / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a method with a colon": b"G:T / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a method with a control byte": b"G\x01T / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a space before the method": b" GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no method": b"/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a version with letters": b"GET / HTTP/1.x\r\nHost: localhost\r\n\r\n",
    "another protocol": b"GET / HTTX/1.1\r\nHost: localhost\r\n\r\n",
    "a protocol in lower case": b"GET / http/1.1\r\nHost: localhost\r\n\r\n",
    "words after the version": b"GET / HTTP/1.1 x\r\nHost: localhost\r\n\r\n",
    "TLS on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "no HTTP at all": b"\xff\xfe\xfd\xfc\r\n\r\n",
}

# What nginx 1.22 lets pass, or answers in another way; weir is stricter.
NGINX_TAKES = {
    "a control byte in a value", "DEL in a value", "a CR alone before the end of a value",
    "letters behind an address in host",
}


def cases(table, nginx_takes):
    return [pytest.param(data, id=name, marks=[pytest.mark.weir_only("nginx takes it")]
                         if name in nginx_takes else [])
            for name, data in table.items()]


@pytest.mark.parametrize("head", cases(BAD_HEADS, NGINX_TAKES))
def test_refuses_a_doubtful_head_and_closes(weir, upstream, head):
    server = weir(PROXY)
    connection = server.connect()
    connection.send_what_fits(head + SMUGGLED)
    assert connection.read_response().status == 400
    assert connection.is_closed()
    assert upstream.received == []
    assert server.wait_log(r"\[info\] .*client sent .*, client: 127.0.0.1, server: ")


BAD_CHUNKS = {
    "a bare LF after the size": b"5\nhello\r\n0\r\n\r\n",
    "a bare LF after the data": b"5\r\nhello\n0\r\n\r\n",
    "a bare LF after the last size": b"5\r\nhello\r\n0\n\r\n",
    "a bare LF at the end": b"5\r\nhello\r\n0\r\n\n",
    "a bare CR after the size": b"5\rhello\r\n0\r\n\r\n",
    "no line end after the data": b"5\r\nhello0\r\n\r\n",
    "data longer than its size": b"3\r\nhello\r\n0\r\n\r\n",
    "a size that is not hex": b"g\r\nhello\r\n0\r\n\r\n",
    "a size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a size with a plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "a size with a minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "an empty size": b"\r\nhello\r\n0\r\n\r\n",
    "a space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "a size over 2^64": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a size over 2^63": b"8000000000000005\r\nhello\r\n0\r\n\r\n",
    "a bare LF in an extension": b"5;a\nhello\r\n0\r\n\r\n",
    "a bare CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "a NUL in an extension": b"5;a\0b\r\nhello\r\n0\r\n\r\n",
    "a second size in the line": b"5 5\r\nhello\r\n0\r\n\r\n",
    "a bare LF in a trailer": b"5\r\nhello\r\n0\r\nA: b\n\r\n",
}
NGINX_TAKES_CHUNKS = {
    "a bare LF after the size", "a bare LF after the data", "a bare LF after the last size",
    "a bare LF at the end", "a bare LF in an extension", "a NUL in an extension",
    "a second size in the line", "a bare LF in a trailer",
}


@pytest.mark.parametrize("body", cases(BAD_CHUNKS, NGINX_TAKES_CHUNKS))
def test_refuses_a_doubtful_chunk_and_closes(weir, upstream, body):
    connection = weir(PROXY).connect()
    connection.send_what_fits(post("Transfer-Encoding: chunked", body=body) + SMUGGLED)
    assert connection.read_response().status == 400
    assert connection.is_closed()
    assert upstream.requests == []
    assert not any(b"smuggled" in data for data in upstream.received)


@pytest.mark.parametrize("coding", [
    "identity", "gzip", "gzip, chunked", "chunked, chunked", "xchunked", "chunkedx",
    "chunked;q=1", '"chunked"', "", ",", "chunked,", "\x0bchunked"])
def test_refuses_transfer_codings_other_than_chunked(weir, upstream, coding):
    connection = weir(PROXY).connect()
    connection.send(post(f"Transfer-Encoding: {coding}", body=b"0\r\n\r\n") + SMUGGLED)
    assert connection.read_response().status in (400, 501)
    assert connection.is_closed()
    assert upstream.received == []


@pytest.mark.parametrize("coding", ["chunked", "Chunked", "CHUNKED", "  chunked  "])
def test_takes_chunked_in_any_case(weir, upstream, coding):
    request = post(f"Transfer-Encoding:{coding}", body=b"2\r\nhi\r\n0\r\n\r\n")
    assert weir(PROXY).exchange(request).status == 200
    assert upstream.last.body == b"hi"


@pytest.mark.parametrize("version, status", [
    ("HTTP/2.0", 505), ("HTTP/3.0", 505), ("HTTP/1.", 400), ("HTTP/1", 400), ("HTTP/", 400),
    ("HTTP/1.1111", 400), ("HTTP/-1.1", 400)])
def test_refuses_versions_it_does_not_speak(weir, upstream, version, status):
    connection = weir(PROXY).connect()
    connection.send(request_bytes(version=version) + SMUGGLED)
    assert connection.read_response().status == status
    assert connection.is_closed()
    assert upstream.received == []


@pytest.mark.parametrize("request_", [
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/0.9\r\nHost: a\r\n\r\n"],
    ids=["HTTP/2's preface", "HTTP/0.9 with a version"])
def test_other_http_is_refused(weir, upstream, request_):
    connection = weir(PROXY).connect()
    connection.send_what_fits(request_)
    assert connection.read_response().status in (400, 505)
    assert connection.is_closed()
    assert upstream.received == []


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_refuses_methods_that_a_reverse_proxy_has_no_use_for(weir, upstream, method):
    assert weir(PROXY).request("/", method).status == 405
    assert upstream.received == []


@pytest.mark.parametrize("method", ["OPTIONS", "DELETE", "PATCH", "PROPFIND", "M-SEARCH", "QUERY",
                                    "VERSION_CONTROL"])
def test_passes_on_methods_it_does_not_know(weir, upstream, method):
    assert weir(PROXY).request("/x", method).status == 200
    assert upstream.last.line.startswith(f"{method} /x HTTP/1.")


def test_an_http_0_9_request_is_one_request(weir, upstream):
    connection = weir(PROXY).connect()
    connection.send_what_fits(b"GET /\r\n" + SMUGGLED)
    connection.read_until_close()
    assert len(upstream.requests) <= 1
    assert not any(b"smuggled" in data for data in upstream.received)


# What is right

def test_a_bare_lf_ends_a_line_of_the_head(weir, upstream):
    request = b"POST / HTTP/1.1\nHost: localhost\nContent-Length: 2\n\nhi"
    assert weir(PROXY).exchange(request).status == 200
    assert upstream.last.body == b"hi"


def test_an_empty_line_before_a_request_is_skipped(weir, upstream):
    assert weir(PROXY).exchange(b"\r\n" + request_bytes()).status == 200
    assert len(upstream.requests) == 1


def test_an_empty_value_and_white_space_around_values_pass(weir, upstream):
    weir(PROXY).exchange(get("Host: localhost", "X-Empty:", "X-Wide: \t two words \t"))
    assert upstream.last.headers["X-Empty"] == ""
    assert upstream.last.headers["X-Wide"] == "two words"


def test_high_bytes_in_values_pass_unchanged(weir, upstream):
    weir(PROXY).exchange(get("Host: localhost", "X-High: \xe9\xff"))
    assert b"X-High: \xe9\xff\r\n" in upstream.last.raw_head


@pytest.mark.parametrize("target", [
    "/a?b=c&d", "/a//b/./c", "/%41%20%2f", "/~user;v=1", "/?", "/a?b?c", "/'\"<>", "/\xe9",
    "/a%25b"])
def test_the_target_goes_out_byte_for_byte(weir, upstream, target):
    assert weir(PROXY).get(target).status == 200
    assert upstream.last.raw_head.startswith(f"GET {target} HTTP/1.".encode("latin-1"))


def test_an_absolute_target_names_the_host(weir, upstream):
    config = """location / { proxy_pass http://@upstream@; proxy_set_header X-Host $host;
                             proxy_set_header X-Uri $uri; }"""
    request = b"GET http://Real.test:81/p?q HTTP/1.1\r\nHost: other.test\r\n\r\n"
    assert weir(config).exchange(request).status == 200
    assert upstream.last.headers["X-Host"] == "real.test"
    assert upstream.last.headers["X-Uri"] == "/p"
    assert upstream.last.target == "/p?q"


def test_an_absolute_target_without_path_is_the_root(weir, upstream):
    assert weir(PROXY).exchange(b"GET http://a.test HTTP/1.1\r\nHost: b\r\n\r\n").status == 200
    assert upstream.last.target == "/"


def test_arguments_of_an_absolute_target_without_path_are_those_of_the_root(weir, upstream):
    assert weir(PROXY).exchange(b"GET http://a.test?q HTTP/1.1\r\nHost: b\r\n\r\n").status == 200
    assert upstream.last.target == "/?q"


@pytest.mark.weir_only("nginx leaves the Host that the client sent beside")
def test_the_host_field_beside_an_absolute_target_is_not_what_counts(weir, upstream):
    config = """location / { proxy_pass http://@upstream@; proxy_set_header Host $http_host; }"""
    request = b"GET http://real.test:81/ HTTP/1.1\r\nHost: other.test\r\n\r\n"
    assert weir(config).exchange(request).status == 200
    assert upstream.last.headers["Host"] == "real.test:81"


@pytest.mark.parametrize("line", ["X(y): a", "X.y: a", "X@y: a", "X\"y: a", "X-\xe9: a"])
def test_fields_whose_names_are_not_letters_digits_and_hyphens_are_dropped(weir, upstream, line):
    assert weir(PROXY).exchange(get("Host: localhost", line, "X-Next: b")).status == 200
    assert line.partition(":")[0] not in upstream.last.headers
    assert upstream.last.headers["X-Next"] == "b"


@pytest.mark.parametrize("line", ["X(y): a", "X@y: a", "X_y: a"])
def test_ignore_invalid_headers_off_refuses_or_passes_them(weir, upstream, line):
    status = weir("ignore_invalid_headers off;" + PROXY).exchange(get("Host: a", line)).status
    assert status == 400 or line in upstream.last.raw_head.decode()


@pytest.mark.parametrize("line", ["Nothing", "X Y: a"])
def test_a_line_that_is_no_field_reaches_no_origin(weir, upstream, line):
    status = weir(PROXY).exchange(get("Host: localhost", line)).status
    assert status in (200, 400)
    assert f"\r\n{line}\r\n".encode() not in b"".join(upstream.received)


def test_fields_with_underscores_are_dropped(weir, upstream):
    weir(PROXY).get("/", headers={"X_Under": "1", "X-Dash": "2"})
    assert "X_Under" not in upstream.last.headers
    assert upstream.last.headers["X-Dash"] == "2"


@pytest.mark.parametrize("said", ["underscores_in_headers on;", "ignore_invalid_headers off;"])
def test_the_server_that_host_names_judges_names_of_fields(weir, said):
    server = weir("""listen 127.0.0.1:@port@; return 200 "first $http_x_a"; } server { listen 127.0.0.1:@port@; server_name b.test;
                     return 200 "second $http_x_a";""" + said)
    assert server.exchange(get("Host: b.test", "X_A: a")).text == "second a"
    assert server.exchange(get("Host: a.test", "X_A: a")).text == "first "


def test_fields_with_underscores_pass_where_the_configuration_says(weir, upstream):
    weir("underscores_in_headers on;" + PROXY).get("/", headers={"X_Under": "1"})
    assert upstream.last.headers["X_Under"] == "1"


# Cut at any byte

WHOLE = {
    "a GET with fields": request_bytes(
        "/a%20b?c=d&e", headers={"User-Agent": "x/1", "Accept": "*/*", "X-Empty": ""}),
    "a GET ended by bare LFs": b"GET /x HTTP/1.1\nHost: localhost\nX-A: b\n\n",
    "an absolute target": b"GET http://a.test:8080/x HTTP/1.1\r\nHost: a.test:8080\r\n\r\n",
    "a POST with a length": request_bytes("/u", "POST", body=b"name=value&other=1"),
    "a POST in chunks": post("Transfer-Encoding: chunked",
                             body=b"4\r\nname\r\n1;ext=\"q\"\r\n=\r\n05\r\nvalue\r\n0\r\n\r\n"),
    "a POST in chunks with trailers": post(
        "Transfer-Encoding: chunked", "Trailer: X-Sum",
        body=b"A\r\n0123456789\r\n00;last\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n"),
    "HTTP/1.0": b"GET / HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n",
}


@pytest.mark.parametrize("request_", WHOLE.values(), ids=WHOLE.keys())
def test_a_request_cut_in_two_anywhere_is_the_same_request(weir, upstream, request_):
    upstream.answers(lambda peer: json_answer([peer.request.line, peer.request.body.decode()]))
    server = weir(PROXY, events=MANY)
    whole = server.exchange(request_).json
    for response in split_exchange(server.connect, request_, range(1, len(request_))):
        assert response.json == whole


@pytest.mark.parametrize("request_", WHOLE.values(), ids=WHOLE.keys())
def test_a_request_may_come_byte_by_byte(weir, upstream, request_):
    connection = weir(PROXY).connect()
    connection.send(*[request_[n:n + 1] for n in range(len(request_))])
    assert connection.read_response().status == 200
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("name", ["content-length beside chunked", "a NUL in a value",
                                  "a space before the colon", "two hosts"])
def test_what_is_refused_whole_is_refused_however_cut(weir, upstream, name):
    head = BAD_HEADS[name]
    end = head.index(b"\r\n\r\n") + 4
    for response in split_exchange(weir(PROXY, events=MANY).connect, head, range(1, end)):
        assert response.status == 400
    assert upstream.received == []


@settings(max_examples=30, deadline=None, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=8), data=st.data())
def test_any_chunking_of_a_body_cut_anywhere_is_the_same_body(running, chunks, data):
    server, upstream = running
    wire = post("Transfer-Encoding: chunked", body=chunked(*chunks))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(wire) - 1), max_size=4)))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)])]
    with server.connect() as connection:
        connection.send(*pieces)
        assert connection.read_response().status == 200
    assert upstream.last.body == b"".join(chunks)


@pytest.fixture
def running(weir, upstream):
    return weir(PROXY), upstream


# Many requests on a connection

def test_pipelined_requests_are_answered_in_order(weir, upstream):
    upstream.answers(lambda peer: answer(peer.request.target))
    connection = weir(PROXY).connect()
    connection.send(b"".join(request_bytes(f"/{n}") for n in range(20)))
    assert [connection.read_response().text for _ in range(20)] == [f"/{n}" for n in range(20)]


def test_pipelined_requests_with_bodies_are_told_apart(weir, upstream):
    upstream.answers(lambda peer: answer(peer.request.body))
    connection = weir(PROXY).connect()
    connection.send(request_bytes("/", "POST", body=b"first")
                    + post("Transfer-Encoding: chunked", body=chunked(b"sec", b"ond"))
                    + request_bytes("/", "POST", body=b"third") + request_bytes("/"))
    assert [connection.read_response().text for _ in range(4)] == ["first", "second", "third", ""]


def test_two_pipelined_requests_cut_anywhere_are_two(weir, upstream):
    upstream.answers(lambda peer: answer(peer.request.target + str(len(peer.request.body))))
    server = weir(PROXY, events=MANY)
    wire = request_bytes("/a", "POST", body=b"hello") + request_bytes("/b")
    for cut in range(1, len(wire)):
        with server.connect() as connection:
            connection.send(wire[:cut], wire[cut:])
            assert connection.read_response().text == "/a5"
            assert connection.read_response().text == "/b0"


def test_an_unread_body_is_not_the_next_request(weir):
    connection = weir("location / { return 200 $request_method; }").connect()
    connection.send(request_bytes("/", "POST", body=SMUGGLED) + request_bytes("/", "PUT", body=b""))
    assert connection.read_response().text == "POST"
    assert connection.read_response().text == "PUT"


def test_an_unread_chunked_body_is_not_the_next_request(weir):
    connection = weir("location / { return 200 $request_method; }").connect()
    connection.send(post("Transfer-Encoding: chunked", body=chunked(SMUGGLED, SMUGGLED))
                    + request_bytes("/", "PUT", body=b""))
    assert connection.read_response().text == "POST"
    assert connection.read_response().text == "PUT"


def test_a_connection_is_kept_for_the_next_request(weir):
    connection = weir("return 200 x;").connect()
    for _ in range(3):
        response = connection.request("/")
        assert response.text == "x" and response.headers["Connection"] == "keep-alive"


@pytest.mark.parametrize("value", ["close", "Close", "close, x", "x, close"])
def test_connection_close_closes(weir, value):
    connection = weir("return 200 x;").connect()
    response = connection.request("/", headers={"Connection": value})
    assert response.headers["Connection"] == "close"
    assert connection.is_closed()


def test_http_1_0_closes(weir):
    connection = weir("return 200 x;").connect()
    response = connection.request("/", version="HTTP/1.0", host=None)
    assert response.text == "x" and response.headers["Connection"] == "close"
    assert connection.is_closed()


def test_http_1_0_with_keep_alive_is_kept(weir):
    connection = weir("return 200 x;").connect()
    for _ in range(2):
        response = connection.request("/", version="HTTP/1.0",
                                      headers={"Connection": "keep-alive"})
        assert response.headers["Connection"] == "keep-alive"


def test_http_1_0_gets_no_chunks(weir, upstream):
    upstream.answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                     + chunked(b"one", b"two"))
    response = weir(PROXY).get("/", version="HTTP/1.0")
    assert (response.framing, response.body) == ("close", b"onetwo")


def test_keepalive_requests_bounds_the_requests_of_a_connection(weir):
    connection = weir("keepalive_requests 3; location / { return 200 x; }").connect()
    said = [connection.request("/").headers["Connection"] for _ in range(3)]
    assert said == ["keep-alive", "keep-alive", "close"]
    assert connection.is_closed()


def test_keepalive_timeout_0_closes_after_each_request(weir):
    connection = weir("keepalive_timeout 0; location / { return 200 x; }").connect()
    assert connection.request("/").headers["Connection"] == "close"
    assert connection.is_closed()


def test_keepalive_timeout_ends_an_idle_connection(weir):
    connection = weir("keepalive_timeout 300ms; return 200 x;").connect()
    connection.request("/")
    assert connection.is_closed()


def test_keepalive_timeout_is_that_of_the_last_requests_location(weir):
    server = weir("keepalive_timeout 1h; location / { return 200 x; }"
                  "location /soon { keepalive_timeout 100ms; return 200 x; }")
    connection = server.connect()
    connection.request("/soon")
    assert connection.is_closed()
    connection = server.connect()
    connection.request("/soon")
    connection.request("/")
    assert connection.is_quiet()


def test_keepalive_timeout_tells_its_second_value(weir):
    response = weir("keepalive_timeout 75s 60s; return 200 x;").get("/")
    assert response.headers["Keep-Alive"] == "timeout=60"


def test_keepalive_time_bounds_the_life_of_a_connection(weir):
    connection = weir("keepalive_time 1ms; location / { return 200 x; }").connect()
    responses = [connection.request("/")]
    while responses[-1].headers["Connection"] != "close":
        responses.append(connection.request("/"))
        assert len(responses) < 1000
    assert connection.is_closed()


# HEAD and statuses without a body

def test_head_has_the_fields_and_no_body(weir, upstream):
    upstream.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    connection = weir(PROXY).connect()
    for _ in range(2):
        assert connection.request("/", "HEAD").headers["Content-Length"] == "5"


def test_head_of_a_chunked_answer_has_no_body(weir, upstream):
    upstream.answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection = weir(PROXY).connect()
    for _ in range(2):
        assert connection.request("/", "HEAD").status == 200


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_that_have_no_body_get_none(weir, upstream, status):
    upstream.answers(f"HTTP/1.1 {status}\r\nETag: \"x\"\r\n\r\n".encode())
    connection = weir(PROXY).connect()
    for _ in range(2):
        response = connection.request("/")
        assert response.headers["ETag"] == '"x"'
        assert "Transfer-Encoding" not in response.headers


# Expect: 100-continue

def test_expect_100_continue_is_answered_before_the_body(weir, upstream):
    connection = weir(PROXY).connect()
    connection.send(post("Expect: 100-continue", "Content-Length: 5"))
    assert connection.read_head().status == 100
    connection.send(b"hello")
    assert connection.read_response().status == 200
    assert upstream.last.body == b"hello"
    assert "Expect" not in upstream.last.headers


def test_expect_100_continue_of_a_body_too_large_gets_the_refusal(weir, upstream):
    connection = weir("client_max_body_size 1k;" + PROXY).connect()
    connection.send(post("Expect: 100-continue", "Content-Length: 5000"))
    response = connection.read_response()
    assert (response.status, response.interim) == (413, [])


def test_expect_100_continue_of_http_1_0_is_ignored(weir, upstream):
    connection = weir(PROXY).connect()
    connection.send(post("Expect: 100-continue", "Content-Length: 5",
                         line="POST / HTTP/1.0", body=b"hello"))
    response = connection.read_response()
    assert (response.status, response.interim) == (200, [])


# Bodies

@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 16385, 1 << 20, 5_000_001])
def test_bodies_of_any_size_arrive_whole(weir, upstream, size):
    upstream.answers(site)
    body = body_of(size)
    server = weir("client_max_body_size 0;" + PROXY)
    assert server.request("/upload", "POST", body=body).json == {
        "length": size, "digest": digest(body)}
    wire = post("Transfer-Encoding: chunked", line="POST /upload HTTP/1.1",
                body=chunked(*[body[n:n + 3000] for n in range(0, size, 3000)]))
    assert server.exchange(wire, "POST").json["digest"] == digest(body)


def test_a_body_of_tiny_chunks_arrives_whole(weir, upstream):
    upstream.answers(site)
    body = body_of(20_000)
    wire = post("Transfer-Encoding: chunked", line="POST /upload HTTP/1.1",
                body=chunked(*[body[n:n + 1] for n in range(len(body))]))
    assert weir(PROXY).exchange(wire, "POST").json["digest"] == digest(body)


def test_trailers_do_not_reach_the_origin(weir, upstream):
    request = post("Transfer-Encoding: chunked",
                   body=b"2\r\nhi\r\n0\r\nX-Admin: 1\r\nContent-Length: 9\r\n\r\n")
    assert weir(PROXY).exchange(request).status == 200
    assert b"X-Admin" not in b"".join(upstream.received)
    assert upstream.last.body == b"hi"


def test_a_body_cut_short_reaches_no_origin_as_whole(weir, upstream):
    server = weir(PROXY)
    connection = server.connect()
    connection.send(post("Content-Length: 100", body=b"only this"))
    connection.wait_read()
    connection.close()
    assert server.get("/after").status == 200
    assert [request.target for request in upstream.requests] == ["/after"]


def test_an_early_answer_reaches_a_client_that_still_sends(weir, upstream):
    config = """client_max_body_size 0; client_body_buffer_size 64k;
                location / { return 403 no; }"""
    connection = weir(config).connect()
    connection.send(post("Content-Length: 100000000"))
    connection.send_what_fits(body_of(200_000))
    response = connection.read_response()
    assert (response.status, response.text) == (403, "no")


def test_a_refused_upload_lingers_so_that_the_client_reads_the_answer(weir):
    connection = weir("client_max_body_size 1k; location / { root /none; }").connect()
    connection.send(post("Content-Length: 3000000"))
    connection.send_what_fits(body_of(3_000_000))
    assert connection.read_response().status == 413
    assert not connection.was_reset


def test_lingering_ends_in_time(weir):
    config = """lingering_timeout 200ms; lingering_time 1s; client_max_body_size 1k;
                location / { root /none; }"""
    connection = weir(config).connect()
    connection.send(post("Content-Length: 3000000", body=b"some"))
    assert connection.read_response().status == 413
    assert connection.is_closed()


# Limits

def test_a_body_over_client_max_body_size_is_413(weir, upstream):
    server = weir("client_max_body_size 10;" + PROXY)
    assert server.request("/", "POST", body=b"0123456789").status == 200
    assert server.request("/", "POST", body=b"0123456789a").status == 413
    assert len(upstream.requests) == 1


def test_a_chunked_body_over_client_max_body_size_is_413(weir, upstream):
    server = weir("client_max_body_size 10;" + PROXY)
    wire = post("Transfer-Encoding: chunked", body=chunked(b"01234", b"56789"))
    assert server.exchange(wire).status == 200
    wire = post("Transfer-Encoding: chunked", body=chunked(b"01234", b"56789", b"a"))
    assert server.exchange(wire).status == 413
    assert len(upstream.requests) == 1


def test_client_max_body_size_is_1m_unless_said(weir, upstream):
    server = weir(PROXY)
    assert server.request("/", "POST", body=bytes(1 << 20)).status == 200
    assert server.request("/", "POST", body=bytes((1 << 20) + 1)).status == 413


def test_a_location_may_take_larger_bodies(weir, upstream):
    config = PROXY + "location /big/ { client_max_body_size 2m; proxy_pass http://@upstream@; }"
    server = weir("client_max_body_size 1k;" + config)
    assert server.request("/big/", "POST", body=bytes(1 << 20)).status == 200
    assert server.request("/", "POST", body=bytes(1 << 20)).status == 413


def test_a_request_line_over_a_large_buffer_is_414(weir, upstream):
    server = weir("large_client_header_buffers 4 2k;" + PROXY)
    assert server.get("/" + "a" * 1900).status == 200
    connection = server.connect()
    connection.send(request_bytes("/" + "a" * 2100))
    assert connection.read_response().status == 414
    assert connection.is_closed()


def test_a_field_over_a_large_buffer_is_400(weir, upstream):
    server = weir("large_client_header_buffers 4 2k;" + PROXY)
    assert server.get("/", headers={"X": "a" * 1900}).status == 200
    response = server.get("/", headers={"X": "a" * 2100})
    assert (response.status, "Request Header Or Cookie Too Large" in response.text) == (400, True)


def test_error_page_sees_a_head_too_large_as_494(weir, upstream):
    config = """large_client_header_buffers 4 2k; error_page 494 =431 /large;
                location = /large { return 431 large; }"""
    response = weir(config + PROXY).get("/", headers={"X": "a" * 2100})
    assert (response.status, response.text) == (431, "large")


def test_a_head_over_all_its_buffers_is_400(weir, upstream):
    server = weir("client_header_buffer_size 1k; large_client_header_buffers 2 2k;" + PROXY)
    headers = [(f"X-{n}", "a" * 500) for n in range(20)]
    assert server.get("/", headers=headers).status == 400


def test_heads_as_large_as_real_configurations_allow_pass(weir, upstream):
    server = weir("large_client_header_buffers 4 64k;" + PROXY)
    headers = [(f"X-{n}", "a" * 60_000) for n in range(3)]
    assert server.get("/" + "u" * 30_000, headers=headers).status == 200
    assert len(upstream.last.headers["X-2"]) == 60_000


def test_many_fields_pass(weir, upstream):
    headers = [(f"X-{n}", str(n)) for n in range(200)]
    assert weir(PROXY).get("/", headers=headers).status == 200
    assert upstream.last.headers["X-199"] == "199"


# Slowness

def test_a_slow_head_is_ended_by_client_header_timeout(weir):
    server = weir("client_header_timeout 300ms; return 200 x;")
    connection = server.connect()
    connection.send(b"GET / HTTP/1.1\r\nHost: local")
    said = connection.read_until_close()
    assert said == b"" or b" 408 " in said.splitlines()[0]
    assert '" 408 ' in server.access_log()[0]


def test_client_header_timeout_bounds_the_whole_head(weir):
    server = weir("client_header_timeout 500ms; return 200 x;")
    connection = server.connect()
    connection.send(b"GET / HTTP/1.1\r\n")
    sent = 0
    while connection.is_quiet(0.1):
        connection.send_what_fits(b"X-%d: y\r\n" % sent)
        sent += 1
        assert sent < 100, "a head that drips is never ended"


def test_a_connection_that_says_nothing_is_ended_by_client_header_timeout(weir):
    connection = weir("client_header_timeout 300ms; return 200 x;").connect()
    assert connection.is_closed()


def test_a_slow_body_is_ended_by_client_body_timeout(weir, upstream):
    server = weir("client_body_timeout 300ms;" + PROXY)
    connection = server.connect()
    connection.send(post("Content-Length: 100", body=b"part"))
    said = connection.read_until_close()
    assert said == b"" or b" 408 " in said.splitlines()[0]
    assert '" 408 ' in server.access_log()[0]
    assert upstream.requests == []


def test_a_client_that_reads_nothing_is_ended_by_send_timeout(weir, upstream):
    upstream.answers(site)
    server = weir("send_timeout 300ms;" + PROXY)
    connection = server.connect()
    size = kernel.bytes_between(hops=1) + 10_000_000
    connection.send(request_bytes(f"/b/{size}"))
    line = server.access_log()[0]
    assert f'"GET /b/{size} HTTP/1.1" 200' in line
    assert len(connection.read_until_close()) < size


def test_a_client_that_leaves_ends_the_origins_work(weir, upstream):
    upstream.answers(lambda peer: peer.wait_gone())
    server = weir(PROXY)
    connection = server.connect()
    connection.send(request_bytes("/"))
    upstream.wait_requests(1)
    connection.close()
    assert '" 499 ' in server.access_log()[0]


@settings(max_examples=60, deadline=None, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(noise=st.binary(max_size=300), head=st.sampled_from(sorted(WHOLE)),
       place=st.integers(0, 120))
def test_noise_anywhere_hurts_nobody_else(running, noise, head, place):
    server, _ = running
    whole = WHOLE[head]
    with server.connect() as connection:
        connection.send_what_fits(whole[:place] + noise + whole[place:])
        connection.finish_sending()
        connection.read_until_close()
    assert server.get("/").status == 200


# Nothing leaks, nothing spins

def test_connections_that_wait_cost_no_processor_time(weir, upstream):
    upstream.answers(lambda peer: peer.wait_gone() if peer.request.target == "/hang"
                     else site(peer))
    server = weir(PROXY + "location /b/ { proxy_pass http://@upstream@; proxy_buffering off; }")
    waiting = [server.connect() for _ in range(6)]
    waiting[1].send(b"GET / HTT")
    waiting[2].send(request_bytes("/hang"))
    waiting[3].send(request_bytes("/b/50000000"))
    waiting[4].send(post("Content-Length: 1000", body=b"part"))
    waiting[5].send(request_bytes("/hang"))
    waiting[5].finish_sending()
    upstream.wait_requests(2)
    worker, = server.wait_workers()
    wait_until(lambda: kernel.is_calm(worker), "the worker to be calm")


def test_aborted_requests_leave_no_descriptor_behind(weir, upstream):
    upstream.answers(site)
    server = weir(PROXY)
    worker, = server.wait_workers()
    server.get("/echo")

    def count():
        return len(kernel.descriptors(worker))
    baseline = count()
    for n in range(120):
        connection = server.connect()
        connection.send_what_fits([b"GET / HT", request_bytes("/b/3000000"), b"\0\r\n\r\n",
                                   post("Content-Length: 99", body=b"x")][n % 4])
        connection.reset() if n % 3 else connection.close()
    wait_until(lambda: count() <= baseline + 1, "the descriptors to be closed")
    assert server.get("/echo").status == 200


# Whose answer a request gets that is refused

OWN_PAGES = """log_format who '$server_name $status $request_method $server_protocol'; access_log @dir@/who.log who;
    server { listen 127.0.0.1:@port@; server_name a.test; }
    server { listen 127.0.0.1:@port@; server_name b.test; error_page 400 494 =200 /own;
             location /own { return 200 "b $http_x"; } }"""
TOO_LARGE = b"Large: " + b"x" * 9000 + b"\r\n\r\n"


@pytest.mark.parametrize("head, text, logged", [
    (b"GET / HTTP/1.1\r\nHost: b.test\r\nX: 1\r\n" + TOO_LARGE, "b 1", "b.test 200 GET HTTP/1.1"),
    (b"POST / HTTP/1.1\r\nHost: b.test\r\nContent-Length: x\r\n\r\n", "b ", "b.test 200 GET HTTP/1.1"),
    (b"GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n" + TOO_LARGE, "b ", "b.test 200 GET HTTP/1.1"),
    (b"GET / HTTP/1.1\r\n" + TOO_LARGE, None, "a.test 400 GET HTTP/1.1"),
    (b"\x16\x03\x01\r\n", None, "a.test 400 - -")],
    ids=["too large", "malformed length", "host in the target", "too large before Host", "no request line"])
def test_a_head_that_is_refused_is_its_hosts(weir, head, text, logged):
    server = weir(None, http=OWN_PAGES)
    response = server.exchange(head)
    assert response.status == (400 if text is None else 200)
    assert text is None or response.text == text
    assert server.access_log(name="who.log") == [logged]
