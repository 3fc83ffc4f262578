"""gzip_static and gunzip: responses that were compressed before."""

import gzip

import pytest

from harness.upstream import answer

TEXT = b"a line that comes again and again\n" * 2000
PACKED = gzip.compress(TEXT, mtime=0)
ASKED = {"Accept-Encoding": "gzip"}
TYPES = "root @dir@/www; types { text/html html; text/plain txt; }"


@pytest.fixture
def www(folder):
    folder.write("www/a.html", b"plain")
    folder.write("www/a.html.gz", PACKED)
    folder.write("www/only.txt", b"only plain")
    folder.write("www/only.html.gz", PACKED)
    folder.write("www/sub/x.html.gz", PACKED)
    return folder


# gzip_static

def test_the_compressed_file_is_for_clients_that_take_it(weir, www):
    server = weir(TYPES + "gzip_static on;")
    response = server.get("/a.html", headers=ASKED)
    assert response.body == PACKED and response.headers["Content-Type"] == "text/html"
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Content-Length"] == str(len(PACKED))
    assert server.get("/a.html").text == "plain"
    assert server.get("/only.txt", headers=ASKED).text == "only plain"


def test_always_is_for_all(weir, www):
    server = weir(TYPES + "gzip_static always;")
    assert server.get("/a.html").body == PACKED
    assert server.get("/only.html").headers["Content-Encoding"] == "gzip"


def test_ranges_are_not_made_of_compressed_files(weir, www):
    response = weir(TYPES + "gzip_static on;").get("/a.html", headers={**ASKED, "Range": "bytes=0-1"})
    assert (response.status, response.body) == (200, PACKED)


def test_validators_are_those_of_the_compressed_file(weir, www):
    server = weir(TYPES + "gzip_static on;")
    packed, plain = server.get("/a.html", headers=ASKED).headers, server.get("/a.html").headers
    assert packed["ETag"] != plain["ETag"]
    again = server.get("/a.html", headers={**ASKED, "If-None-Match": packed["ETag"]})
    assert again.status == 304


def test_vary_tells_caches_of_both_forms(weir, www):
    server = weir(TYPES + "gzip_static on; gzip_vary on;")
    assert server.get("/a.html", headers=ASKED).headers["Vary"] == "Accept-Encoding"
    assert server.get("/a.html").headers["Vary"] == "Accept-Encoding"
    assert "Vary" not in server.get("/only.txt", headers=ASKED).headers


@pytest.mark.parametrize("said, headers, packed", [
    ("gzip_http_version 1.0;", {}, True), ("gzip_disable test;", {"User-Agent": "a test"}, False),
    ("", {"Via": "1.1 x"}, False), ("gzip_proxied any;", {"Via": "1.1 x"}, True)])
def test_what_gzip_says_of_clients_holds(weir, www, said, headers, packed):
    response = weir(TYPES + "gzip_static on;" + said).get("/a.html", headers={**ASKED, **headers})
    assert (response.body == PACKED) == packed


def test_folders_and_other_methods_are_left_to_others(weir, www):
    server = weir(TYPES + "gzip_static on;")
    assert server.get("/sub", headers=ASKED).status == 301
    assert server.request("/a.html", "POST", headers=ASKED).status == 405


# gunzip

def packed_answer(body=PACKED, encoding="gzip"):
    return answer(body, headers={"Content-Type": "text/html", "Content-Encoding": encoding,
                                 "ETag": '"abc"'})


PROXY = "location / { gunzip on; proxy_pass http://@upstream@; }"


def test_clients_that_take_no_gzip_get_plain_bytes(weir, upstream):
    upstream.answers(packed_answer(), packed_answer())
    server = weir(PROXY)
    response = server.get("/")
    assert response.body == TEXT and response.headers["ETag"] == 'W/"abc"'
    assert "Content-Encoding" not in response.headers and "Content-Length" not in response.headers
    assert server.get("/", headers=ASKED).body == PACKED


def test_what_is_not_gzip_stays(weir, upstream):
    upstream.answers(packed_answer(b"br", "br"))
    response = weir(PROXY).get("/")
    assert response.body == b"br" and response.headers["Content-Encoding"] == "br"


def test_a_file_of_zeros_becomes_large_bit_by_bit(weir, upstream):
    zeros = bytes(20 * 1024 * 1024)
    upstream.answers(packed_answer(gzip.compress(zeros)))
    assert weir(PROXY).get("/").body == zeros


def test_members_follow_one_another(weir, upstream):
    upstream.answers(packed_answer(gzip.compress(b"one ") + gzip.compress(b"two")))
    assert weir(PROXY).get("/").body == b"one two"


@pytest.mark.weir_only("nginx ends a response that is cut short as if it were whole")
@pytest.mark.parametrize("body", [PACKED[:-20], b"no gzip at all", b"\x1f\x8b"],
                         ids=["cut", "other", "short"])
def test_what_is_broken_is_not_taken_for_the_whole(weir, upstream, body):
    upstream.answers(packed_answer(body))
    server = weir(PROXY)
    connection = server.connect()
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert not connection.read_until_close().endswith(b"\r\n0\r\n\r\n")
    server.wait_log("inflate\\(\\) failed")


def test_head_has_the_same_fields(weir, upstream):
    upstream.answers(answer(b"", headers={"Content-Encoding": "gzip", "Content-Type": "text/html"}))
    headers = weir(PROXY).connect().request("/", "HEAD").headers
    assert "Content-Encoding" not in headers


def test_texts_in_what_was_packed_can_be_replaced(weir, www):
    server = weir(TYPES + "gzip_static always; gunzip on; sub_filter line X; sub_filter_once off;")
    assert server.get("/a.html").body.replace(b"X", b"line") == TEXT
