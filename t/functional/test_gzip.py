"""gzip: what is compressed, and for whom."""

import gzip

import pytest

from harness.upstream import answer

TEXT = b"a line that comes again and again\n" * 2000
CONFIG = """gzip on; root @dir@/www;
    types { text/html html; text/plain txt; image/png png; }"""
ASKED = {"Accept-Encoding": "gzip"}


@pytest.fixture
def www(folder):
    for name in ("page.html", "a.txt", "a.png"):
        folder.write(f"www/{name}", TEXT)
    folder.write("www/tiny.html", b"tiny")
    return folder


def is_compressed(response):
    if response.headers.get("Content-Encoding") != "gzip":
        return False
    assert gzip.decompress(response.body) == TEXT
    return True


@pytest.mark.parametrize("sendfile", ["on", "off"])
def test_what_is_listed_is_compressed(weir, www, sendfile):
    connection = weir(CONFIG + f"sendfile {sendfile}; gzip_types text/plain;").connect()
    for _ in range(2):
        for name, compressed in (("page.html", True), ("a.txt", True), ("a.png", False)):
            response = connection.request(f"/{name}", headers=ASKED)
            assert is_compressed(response) == compressed
            assert compressed or response.body == TEXT


@pytest.mark.parametrize("said, compressed", [
    (None, False), ("gzip", True), ("deflate, gzip;q=0.5", True), ("gzip;q=0", False),
    ("gzip;q=0.0", False), ("GZIP", True), ("br", False), ("x-gzip-not", False)])
def test_the_client_says_whether_it_takes_it(weir, www, said, compressed):
    headers = {"Accept-Encoding": said} if said else {}
    assert is_compressed(weir(CONFIG).get("/page.html", headers=headers)) == compressed


def test_what_is_small_is_left_alone(weir, www):
    assert weir(CONFIG).get("/tiny.html", headers=ASKED).body == b"tiny"


def test_the_validator_becomes_weak_and_ranges_go(weir, www):
    headers = weir(CONFIG).get("/page.html", headers=ASKED).headers
    assert headers["ETag"].startswith('W/"')
    assert "Accept-Ranges" not in headers and "Content-Length" not in headers


@pytest.mark.parametrize("said, sent", [('"a"', 'W/"a"'), ('W/"a"', 'W/"a"'), ("a", None)])
def test_what_is_no_validator_does_not_become_one(weir, upstream, said, sent):
    upstream.answers(answer(b"x" * 1000, headers={"Content-Type": "text/html", "ETag": said}))
    server = weir("gzip on; location / { proxy_pass http://@upstream@; }")
    assert server.get("/", headers=ASKED).headers.get("ETag") == sent


def test_vary_tells_caches_of_both_forms(weir, www):
    server = weir(CONFIG + "gzip_vary on;")
    assert server.get("/page.html", headers=ASKED).headers["Vary"] == "Accept-Encoding"
    assert server.get("/page.html").headers["Vary"] == "Accept-Encoding"
    assert "Vary" not in server.get("/a.png", headers=ASKED).headers


@pytest.mark.parametrize("said, compressed", [("", False), ("gzip_proxied any;", True),
                                              ("gzip_proxied no_etag;", False),
                                              ("gzip_proxied auth;", True)])
def test_for_proxies_it_is_said_apart(weir, www, said, compressed):
    headers = {**ASKED, "Via": "1.1 x", "Authorization": "Basic eDp5"}
    assert is_compressed(weir(CONFIG + said).get("/page.html", headers=headers)) == compressed


def test_for_proxies_the_fields_tell_who_may_keep_it(weir, upstream):
    past, future = "Thu, 01 Jan 1970 00:00:01 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
    said = "no_last_modified", "no_etag", "expired", "no-cache", "no-store", "private"
    server = weir("gzip on; gzip_min_length 1;" + "".join(f"""
        location /{word}/ {{ gzip_proxied {word}; proxy_pass http://@upstream@; }}""" for word in said))
    for fields, compressed in (
            ({}, said), ({"ETag": '"a"'}, set(said) - {"no_etag"}),
            ({"Last-Modified": past}, set(said) - {"no_last_modified"}),
            ({"Expires": past}, {"expired"}), ({"Expires": future, "Cache-Control": "no-cache"}, set()),
            ({"Cache-Control": "private, no-store"}, {"private", "no-store"}),
            ({"Cache-Control": "no-cache"}, {"no-cache"}), ({"Cache-Control": "max-age=1"}, set())):
        upstream.answers(answer(TEXT, headers={"Content-Type": "text/html", **fields}))
        assert {word for word in said if is_compressed(
            server.get(f"/{word}/", headers={**ASKED, "Via": "1.1 x"}))} == set(compressed), fields


def test_what_is_compressed_has_no_ranges(weir, upstream):
    upstream.answers(answer("x" * 100, headers={"Content-Type": "text/html", "Accept-Ranges": "bytes"}))
    server = weir("gzip on; location / { proxy_pass http://@upstream@; }")
    assert "Accept-Ranges" in server.get("/").headers
    assert "Accept-Ranges" not in server.get("/", headers=ASKED).headers


def test_agents_may_be_left_out(weir, www):
    server = weir(CONFIG + "gzip_disable msie6 ^old;")
    for agent, compressed in (("Mozilla/4.0 (compatible; MSIE 6.0)", False), ("older", False),
                              ("Mozilla/5.0", True)):
        headers = {**ASKED, "User-Agent": agent}
        assert is_compressed(server.get("/page.html", headers=headers)) == compressed


def test_what_is_encoded_already_stays(weir, upstream):
    upstream.answers(answer("x" * 100, headers={"Content-Type": "text/html",
                                                "Content-Encoding": "br"}))
    server = weir("gzip on; location / { proxy_pass http://@upstream@; }")
    assert server.get("/", headers=ASKED).body == b"x" * 100


def test_head_has_the_same_fields(weir, www):
    connection = weir(CONFIG).connect()
    head = connection.request("/page.html", "HEAD", headers=ASKED).headers
    assert head["Content-Encoding"] == "gzip" and "Content-Length" not in head


def test_the_ratio_is_logged(weir, www):
    server = weir(CONFIG, http="log_format r $gzip_ratio; access_log @dir@/r.log r;")
    server.get("/page.html", headers=ASKED)
    assert float(server.access_log(name="r.log")[0]) > 10
