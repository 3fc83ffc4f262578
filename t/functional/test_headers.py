"""add_header and add_trailer: fields that this proxy adds to responses."""

import pytest

from harness.upstream import answer


def test_add_header_adds_in_order(weir):
    headers = weir("add_header X-A 1; add_header X-B 'two words'; add_header X-A 3;"
                   "location / { return 200 x; }").get("/").headers
    assert [pair for pair in headers if pair[0].startswith("X-")] == [
        ("X-A", "1"), ("X-B", "two words"), ("X-A", "3")]


@pytest.mark.parametrize("name, count", [("Server", 2), ("Date", 2)])
def test_add_header_adds_to_the_proxys_own_fields(weir, upstream, name, count):
    server = weir(f"""add_header {name} mine; location / {{ return 200 x; }}
        location /up {{ proxy_pass http://@upstream@; }}""")
    for path in ("/", "/up"):
        values = server.get(path).headers.all(name)
        assert len(values) == count and values[-1] == "mine"


def test_add_header_may_hold_variables(weir):
    server = weir('add_header X-A "$request_method ${uri}!"; location / { return 200 x; }')
    assert server.get("/b?c").headers["X-A"] == "GET /b!"


def test_a_field_whose_value_comes_out_empty_is_not_added(weir):
    server = weir("add_header X-A $arg_a; location / { return 200 x; }")
    assert "X-A" not in server.get("/").headers
    assert server.get("/?a=1").headers["X-A"] == "1"


@pytest.mark.parametrize("status, added", [
    (200, True), (201, True), (204, True), (301, True), (302, True), (307, True), (308, True),
    (400, False), (403, False), (404, False), (500, False), (503, False)])
def test_add_header_is_for_successes_and_redirects(weir, status, added):
    target = " /x" if 300 < status < 400 else ""
    server = weir(f"add_header X-A 1; location / {{ return {status}{target}; }}")
    assert ("X-A" in server.get("/").headers) == added


@pytest.mark.parametrize("status", [200, 304, 404, 500, 502])
def test_always_adds_to_every_status(weir, upstream, status):
    upstream.answers(answer("", f"{status} X"))
    server = weir("add_header X-A 1 always; location / { proxy_pass http://@upstream@; }")
    assert server.get("/").headers["X-A"] == "1"


def test_always_adds_to_what_the_parser_refuses(weir):
    server = weir("add_header X-A 1 always; location / { return 200 x; }")
    assert server.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").headers["X-A"] == "1"


def test_a_level_that_adds_its_own_forgets_the_outer(weir):
    server = weir("""add_header X-A 1; location / { return 200 x; }
                     location /b { add_header X-B 2; return 200 x; }""")
    assert "X-A" in server.get("/").headers
    headers = server.get("/b").headers
    assert ("X-A" in headers, headers["X-B"]) == (False, "2")


@pytest.mark.weir_only("since nginx 1.29.3")
def test_add_header_inherit_merge_keeps_the_outer(weir):
    server = weir("""add_header X-A 1; add_header_inherit merge;
                     location / { add_header X-B 2; return 200 x; }""")
    headers = server.get("/").headers
    assert (headers["X-A"], headers["X-B"]) == ("1", "2")


def test_add_header_stands_beside_the_origins(weir, upstream):
    upstream.answers(answer(headers={"X-A": "theirs"}))
    server = weir("add_header X-A ours; location / { proxy_pass http://@upstream@; }")
    assert server.get("/").headers.all("X-A") == ["theirs", "ours"]


@pytest.mark.weir_only("nginx adds it as it is")
@pytest.mark.parametrize("value", ["a%0D%0AX-Evil:%201", "a%0AX-Evil:%201"])
def test_a_value_cannot_start_another_field(weir, value):
    server = weir("location / { add_header X-A $uri; return 200 x; }")
    assert "X-Evil" not in server.get("/" + value).headers


def test_date_and_server_are_always_there(weir, binary):
    headers = weir("return 200 x;").get("/").headers
    assert headers["Server"].startswith(f"{binary.name}/")
    assert len(headers["Date"]) == len("Sat, 21 Nov 2026 10:00:00 GMT")


# Trailers

def test_add_trailer_adds_behind_the_body(weir):
    response = weir("add_trailer X-A $request_method; location / { return 200 x; }").get("/")
    assert response.framing == "chunked" and response.body == b"x"
    assert response.trailers["X-A"] == "GET" and "Content-Length" not in response.headers


@pytest.mark.parametrize("more, request_", [
    ("", {"version": "HTTP/1.0"}), ("", {"method": "HEAD"}),
    ("chunked_transfer_encoding off;", {})], ids=["HTTP/1.0", "HEAD", "no chunks"])
def test_where_no_trailers_can_be_the_length_stays(weir, more, request_):
    server = weir(f"add_trailer X-A 1; {more} location / {{ return 200 text; }}")
    response = server.request(**request_)
    assert response.headers["Content-Length"] == "4" and not list(response.trailers)


@pytest.mark.parametrize("said, status, body, trailers", [
    ("bytes=2-4", 206, b"234", ["1"]), ("bytes=0-0,8-9", 206, None, ["1"]), ("bytes=99-", 416, None, [])],
    ids=["one range", "two ranges", "no range"])
def test_trailers_and_ranges_go_together(weir, folder, said, status, body, trailers):
    folder.write("a.txt", b"0123456789")
    response = weir("root @dir@; add_trailer X-A 1;").get("/a.txt", headers={"Range": said})
    assert response.status == status and body in (None, response.body)
    assert response.trailers.all("X-A") == trailers


def test_a_short_text_is_not_compressed_because_of_trailers(weir):
    server = weir("gzip on; gzip_types *; gzip_min_length 100; add_trailer X-A 1; location / { return 200 short; }")
    response = server.get("/", headers={"Accept-Encoding": "gzip"})
    assert response.body == b"short" and response.trailers["X-A"] == "1"
