"""add_before_body, add_after_body."""

import gzip
import threading

import pytest

from harness.h2 import H2
from harness.upstream import answer, body_of
from harness.wait import TIMEOUT, wait_until

HTML = """default_type text/html;
    location = /before { return 200 "<before $uri>"; }
    location = /after { proxy_pass http://@upstream@; }
    location / { add_before_body /before; add_after_body /after; root @dir@;
        location /plain/ { default_type text/plain; types { } }
        location /any/ { default_type x/y; types { } addition_types x/y; }
        location /less/ { add_before_body ""; }
        location /made { return 200 made; }
        location /moved { return 301 /; }
        location /gone { return 404; }
        location /missing { add_before_body /nowhere; add_after_body ""; }
        location /denied { return 200 x; add_before_body /forbidden; add_after_body ""; }
        location /ours { proxy_pass http://@upstream@; } }
    location = /forbidden { return 403; }
"""


@pytest.fixture
def site(folder):
    for name in "index.html", "plain/a", "any/a", "less/a", "missing":
        folder.write(name, b"[text]", mode=0o644)


@pytest.mark.parametrize("target, text", [
    ("/", "<before /before>[text]ok"), ("/plain/a", "[text]"), ("/any/a", "<before /before>[text]ok"),
    ("/less/a", "[text]ok"), ("/made", "<before /before>madeok"),
    ("/ours", "<before /before>okok")])
def test_texts_stand_around_responses(weir, upstream, site, target, text):
    upstream.answers(answer(b"ok", headers=[("Content-Type", "text/html")]))
    assert weir(HTML).get(target).text == text


def test_only_200_is_added_to(weir, upstream, site):
    server = weir(HTML)
    assert "before" not in server.get("/moved").text and "before" not in server.get("/gone").text
    assert not upstream.requests


def test_pages_of_what_failed_are_texts_too(weir, upstream, site):
    server = weir(HTML)
    assert "404 Not Found" in server.get("/missing").text
    assert server.get("/missing").text.endswith("[text]")
    assert "403 Forbidden" in server.get("/denied").text


def test_what_the_length_was_is_not_said(weir, upstream, site):
    server = weir(HTML)
    for method in "GET", "HEAD":
        response = server.request("/", method)
        assert response.status == 200 and "Content-Length" not in response.headers
        assert "Accept-Ranges" not in response.headers
        assert response.headers["ETag"].startswith("W/")
    assert server.get("/", headers={"Range": "bytes=0-1"}).text == "<before /before>[text]ok"
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("directives, changed", [
    ("addition_types *; add_after_body /after;", b"text after"), ("add_after_body /after;", b"text"),
    ("sub_filter_types *; sub_filter t T;", b"Text"), ("sub_filter t T;", b"text")])
def test_of_any_type_is_what_has_none_too(weir, upstream, directives, changed):
    upstream.answers(answer(b"text"))
    server = weir(f"location /after {{ return 200 ' after'; }} location / {{ {directives} proxy_pass http://@upstream@; }}")
    response = server.get("/")
    assert ("Content-Type" in response.headers, response.body) == (False, changed)


def test_what_is_added_is_filtered_where_it_comes_from_and_compressed_with_the_rest(weir, upstream):
    upstream.answers(answer(b"text", headers=[("Content-Type", "text/html")]))
    server = weir("""gzip on; gzip_min_length 1; default_type text/html;
                     location /before { sub_filter text one; return 200 "text "; }
                     location /after { return 200 " text"; }
                     location / { sub_filter text two; add_before_body /before;
                                  add_after_body /after; proxy_pass http://@upstream@; }""")
    response = server.get("/", headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(response.body) == b"one two text"


@pytest.mark.parametrize("more", ["", "sendfile on;", "proxy_buffering off;", "proxy_buffers 3 4k;"])
def test_large_texts(weir, upstream, folder, more):
    folder.write("large", body_of(500_000), mode=0o644)
    upstream.answers(answer(body_of(700_000)))
    server = weir(more + """default_type text/html; root @dir@; location /large { }
        location /ours { proxy_pass http://@upstream@; proxy_set_header Connection close; }
        location /both { alias @dir@/large; add_before_body /large; add_after_body /ours; }""")
    assert server.get("/both").body == body_of(500_000) * 2 + body_of(700_000)


@pytest.mark.weir_only("nginx ends the response as if it were whole")
def test_an_origin_that_breaks_off_breaks_the_response_off(weir, upstream, site):
    upstream.answers(lambda peer: (
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), peer.close()))
    server = weir(HTML)
    connection = server.connect()
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert not connection.read_until_close().endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("more", ["", "gzip on; gzip_comp_level 1;"])
def test_texts_may_be_of_any_size(weir, upstream, folder, more):
    folder.write("large", body_of(5_000_000), mode=0o644)
    upstream.answers(answer(body_of(3_000_000)) if more else answer(
        gzip.compress(body_of(3_000_000)), headers=[("Content-Encoding", "gzip")]))
    server = weir(more + """default_type text/html; root @dir@;
        location = /before { gzip off; gunzip on; proxy_pass http://@upstream@; }
        location = /large { gzip off; }
        location /both { alias @dir@/large; add_before_body /before; add_after_body /large; }""")
    response = server.get("/both", headers={"Accept-Encoding": "gzip"} if more else {})
    body = gzip.decompress(response.body) if more else response.body
    assert body == body_of(3_000_000) + body_of(5_000_000) * 2


@pytest.mark.weir_only("nginx collects subrequests in its buffers of 4k")
def test_a_text_goes_out_as_it_comes(weir, upstream):
    got = threading.Semaphore(0)

    def piecemeal(peer):
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n<one>")
        assert got.acquire(timeout=TIMEOUT)
        peer.send(b"<two>")
        peer.close()

    upstream.answers(piecemeal)
    server = weir("""default_type text/html; proxy_buffering off;
        location = /before { proxy_pass http://@upstream@; }
        location / { add_before_body /before; add_after_body /before; return 200 "<text>"; }""")
    connection = server.connect()
    connection.send(b"GET / HTTP/1.0\r\n\r\n")
    for piece in b"<one>", b"<two><text><one>":
        connection.read_until(piece)
        got.release()
    assert connection.read_until_close() == b"<two>"


def test_a_client_that_goes_away_meanwhile_leaves_nothing_behind(weir, upstream, site):
    upstream.answers(lambda peer: peer.wait_gone())
    server = weir(HTML)
    connection = server.connect()
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    upstream.wait_requests(1)
    connection.close()
    wait_until(lambda: not upstream.open_connections())


@pytest.mark.weir_only("nginx 1.22 has no http2 directive")
def test_texts_are_there_until_a_client_of_http_2_has_taken_them(weir, upstream, site):
    upstream.answers(answer(b"ok", headers=[("Content-Type", "text/html")]))
    response = H2(weir("http2 on;" + HTML).connect()).get("/ours")
    assert response.body == b"<before /before>okok"


def test_the_page_of_a_text_that_could_not_be_had_is_a_text(weir, upstream):
    upstream.answers(lambda peer: (peer.send(b"nothing that is HTTP"), peer.close()))
    server = weir("""default_type text/html;
        location = /before { proxy_pass http://@upstream@; }
        location / { add_before_body /before; add_after_body /before; return 200 "<text>"; }""")
    page, _, rest = server.get("/").text.partition("<text>")
    assert "502 Bad Gateway" in page and rest == page
