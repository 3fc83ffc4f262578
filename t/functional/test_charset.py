"""charset, charset_map, source_charset, override_charset: texts change their encoding on their way."""

import gzip
import os
import random

import pytest

from harness.upstream import answer

CONF = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf")
TABLES = "".join(f"include {os.path.abspath(CONF)}/{name};" for name in ("koi-utf", "koi-win", "win-utf"))
TEXT = "Съешь ещё этих мягких французских булок, да выпей же чаю. ABC 123 <b>&amp;</b>\n"
CODECS = {"koi8-r": "koi8-r", "windows-1251": "cp1251", "utf-8": "utf-8"}
WAYS = [(a, b) for a in CODECS for b in CODECS if a != b]


def converting(source, to, more=""):
    return f"location / {{ source_charset {source}; charset {to}; {more} proxy_pass http://@upstream@; }}"


def text_in(charset, text=TEXT, kind="text/html", **headers):
    return answer(text.encode(CODECS[charset]), headers={"Content-Type": kind, **headers})


@pytest.fixture
def all_ways(weir):
    """A server that converts each into each: /koi8-r/utf-8."""
    return weir("".join(f"location /{a}/{b} {{ source_charset {a}; charset {b}; proxy_pass http://@upstream@; }}"
                        for a, b in WAYS), http=TABLES)


def test_a_text_is_converted_between_any_two_by_the_tables_that_are_shipped(all_ways, upstream):
    for source, to in WAYS:
        upstream.answers(text_in(source))
        response = all_ways.get(f"/{source}/{to}")
        assert response.body == TEXT.encode(CODECS[to])
        assert response.headers["Content-Type"] == f"text/html; charset={to}"


def test_the_tables_have_every_character_of_their_encodings(all_ways, upstream):
    for source, to in WAYS:
        characters = "".join(bytes([byte]).decode(CODECS[one], "ignore")
                             for one in {source, to} - {"utf-8"} for byte in range(0x80, 0x100))
        body = characters.encode(CODECS[source], "ignore") + b"."
        upstream.answers(answer(body, headers={"Content-Type": "text/html"}))
        missing = "xmlcharrefreplace" if source == "utf-8" else "replace"
        assert (all_ways.get(f"/{source}/{to}").body
                == body.decode(CODECS[source]).encode(CODECS[to], missing)), (source, to)


def in_pieces(pieces):
    """An origin's answer that comes in these pieces, each a segment and a chunk of its own."""
    def send(peer):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n",
                  *[b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces], b"0\r\n\r\n")
    return send


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_where_the_text_is_cut_does_not_matter(weir, upstream, buffering):
    chance = random.Random(4711)
    server = weir(converting("utf-8", "koi8-r", f"proxy_buffering {buffering};"), http=TABLES)
    text = "aж€中😀я" * 3
    body, wanted = text.encode(), text.encode("koi8-r", "xmlcharrefreplace")
    connection = server.connect()
    for _ in range(20):
        cuts = sorted(chance.randrange(1, len(body)) for _ in range(chance.randrange(12)))
        pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)]) if a != b]
        upstream.answers(in_pieces(pieces))
        assert connection.request("/").body == wanted, pieces


def test_long_texts_grow_and_shrink(weir, folder):
    text = TEXT * 4000
    folder.write("www/koi.html", text.encode("koi8-r"))
    folder.write("www/utf.html", text.encode())
    server = weir("""root @dir@/www; types { text/html html; }
                     location /koi { source_charset koi8-r; charset utf-8; }
                     location /utf { source_charset utf-8; charset koi8-r; }""", http=TABLES)
    assert server.get("/koi.html").body == text.encode()
    assert server.get("/utf.html").body == text.encode("koi8-r")


def test_a_text_of_nothing_but_numbers_is_several_times_as_long(weir, folder):
    folder.write("www/a.html", ("中" * 100000).encode())
    server = weir("root @dir@/www; types { text/html html; } source_charset utf-8; charset koi8-r;", http=TABLES)
    assert server.get("/a.html").body == b"&#20013;" * 100000


@pytest.mark.weir_only("nginx takes bytes behind one that begins a character for its rest, and drops a rest at the end")
def test_what_is_no_utf_8_is_marked_and_swallows_nothing(weir, upstream):
    upstream.answers(answer(b"a\xd1<b>\xe2\x82</b>\xff\xed\xa0\x80.\xd0", headers={"Content-Type": "text/html"}))
    assert weir(converting("utf-8", "koi8-r"), http=TABLES).get("/").body == b"a?<b>?</b>????.?"


@pytest.mark.weir_only("nginx leaves a buffer as it is that has no other bytes but ASCII")
def test_bytes_without_a_row_are_question_marks(weir, upstream):
    upstream.answers(answer(b"a\x98", headers={"Content-Type": "text/html"}))
    assert weir(converting("windows-1251", "utf-8"), http=TABLES).get("/").body == b"a?"


# ---- what is told of it

def test_the_length_stays_between_bytes_and_goes_with_utf_8(weir, upstream):
    upstream.answers(text_in("koi8-r", **{"Accept-Ranges": "bytes"}))
    to = "map $arg_to $to { default $arg_to; }"
    server = weir("location / { source_charset koi8-r; charset $to; proxy_pass http://@upstream@; }", http=TABLES + to)
    for method in ("GET", "HEAD"):
        kept = server.connect().request("/?to=windows-1251", method).headers
        assert (kept["Content-Length"], kept["Accept-Ranges"]) == (str(len(TEXT)), "bytes")
        assert "Content-Length" not in server.connect().request("/?to=utf-8", method).headers


@pytest.mark.weir_only("nginx passes the origin's Accept-Ranges on, whose bytes are others")
def test_no_parts_are_offered_of_what_changes_its_length(weir, upstream):
    upstream.answers(text_in("koi8-r", **{"Accept-Ranges": "bytes"}))
    assert "Accept-Ranges" not in weir(converting("koi8-r", "utf-8"), http=TABLES).get("/").headers


def test_parts_of_a_file_are_cut_where_lengths_stay(weir, folder):
    folder.write("www/a.html", TEXT.encode("koi8-r"))
    server = weir("""root @dir@/www; types { text/html html; } source_charset koi8-r; charset windows-1251;
                     location /utf { alias @dir@/www; charset utf-8; }""", http=TABLES)
    part = server.get("/a.html", headers={"Range": "bytes=3-6"})
    assert (part.status, part.body) == (206, TEXT[3:7].encode("cp1251"))
    parts = server.get("/a.html", headers={"Range": "bytes=0-1,3-4"})
    assert parts.status == 206
    assert b"\r\n\r\n%s\r\n--" % TEXT[3:5].encode("cp1251") in parts.body
    assert server.get("/utf/a.html", headers={"Range": "bytes=3-6"}).body == TEXT.encode()


def test_validators_stay(weir, folder):
    folder.write("www/a.html", TEXT.encode("koi8-r"))
    server = weir("root @dir@/www; types { text/html html; } source_charset koi8-r; charset utf-8;", http=TABLES)
    headers = server.get("/a.html").headers
    assert headers["ETag"] and headers["Last-Modified"]
    assert server.get("/a.html", headers={"If-None-Match": headers["ETag"]}).status == 304


def test_what_is_compressed_is_left_alone_and_not_named(weir, upstream):
    upstream.answers(text_in("koi8-r", **{"Content-Encoding": "gzip"}))
    response = weir(converting("koi8-r", "utf-8"), http=TABLES).get("/")
    assert response.body == TEXT.encode("koi8-r")
    assert response.headers["Content-Type"] == "text/html"


def test_it_is_converted_between_gunzip_and_gzip(weir, upstream):
    plain = text_in("koi8-r")
    packed = answer(gzip.compress(TEXT.encode("koi8-r")),
                    headers={"Content-Type": "text/html", "Content-Encoding": "gzip"})
    upstream.answers(lambda peer: packed if peer.request.target == "/packed" else plain)
    server = weir(converting("koi8-r", "utf-8", "gunzip on; gzip on; gzip_http_version 1.0;"), http=TABLES)
    assert server.get("/packed").body == TEXT.encode()
    assert gzip.decompress(server.get("/", headers={"Accept-Encoding": "gzip"}).body) == TEXT.encode()


def test_sub_filter_sees_the_text_as_it_came(weir, upstream, folder):
    folder.write("sub.conf", "sub_filter чаю tea;".encode("koi8-r"))
    upstream.answers(text_in("koi8-r"))
    server = weir(converting("koi8-r", "utf-8", "include @dir@/sub.conf;"), http=TABLES)
    assert server.get("/").body == TEXT.replace("чаю", "tea").encode()


# ---- when

@pytest.mark.parametrize("kind, is_converted", [
    ("text/html", True), ("text/plain", True), ("text/css", False), ("text/html; charset=koi8-r", False)])
def test_only_listed_types_that_name_no_encoding_are_converted(weir, upstream, kind, is_converted):
    upstream.answers(text_in("koi8-r", kind=kind))
    response = weir(converting("koi8-r", "utf-8"), http=TABLES).get("/")
    assert response.body == TEXT.encode("utf-8" if is_converted else "koi8-r")
    assert response.headers["Content-Type"] == kind + ("; charset=utf-8" if is_converted else "")


@pytest.mark.parametrize("kind, seen", [
    ("text/html; charset=windows-1251", "text/html; charset=utf-8"),
    ("text/css; charset=\"windows-1251\"", "text/css; charset=utf-8"),
    ("text/html; a=b; charset=WINDOWS-1251", "text/html; a=b; charset=utf-8"),
    ("text/html; charset=utf-8", None), ("text/html; charset=latin1", None)])
def test_override_charset_converts_from_what_an_origin_has_named(weir, upstream, kind, seen):
    upstream.answers(text_in("windows-1251", kind=kind))
    response = weir(converting("koi8-r", "utf-8", "override_charset on;"), http=TABLES).get("/")
    assert response.headers["Content-Type"] == (seen or kind)
    assert response.body == TEXT.encode("utf-8" if seen else "cp1251")


@pytest.mark.parametrize("named, kind, seen, codec", [
    ("windows-1251", "text/html", "text/html; charset=windows-1251", "cp1251"),
    ("utf-8", "text/css", "text/css; charset=utf-8", "utf-8"),
    ("utf-8", "text/html; charset=koi8-r", "text/html; charset=utf-8", "utf-8"),
    ("koi8-r", "text/html", "text/html; charset=koi8-r", "koi8-r"),
    ("off", "text/html", "text/html", "koi8-r"),
    ("none-such", "text/html", "text/html", "koi8-r")])
def test_x_accel_charset_says_what_it_is_converted_to(weir, upstream, named, kind, seen, codec):
    upstream.answers(text_in("koi8-r", kind=kind, **{"X-Accel-Charset": named}))
    server = weir("location / { source_charset koi8-r; proxy_pass http://@upstream@; }", http=TABLES)
    response = server.get("/")
    assert (response.headers["Content-Type"], response.body) == (seen, TEXT.encode(codec))


def test_both_may_be_variables(weir, upstream):
    upstream.answers(text_in("koi8-r"))
    server = weir("""location / { charset $arg_to; source_charset $arg_from; proxy_pass http://@upstream@; }
                     location /if { source_charset koi8-r; if ($arg_u) { charset utf-8; } proxy_pass http://@upstream@; }
                  """, http=TABLES)
    def codec(path):
        response = server.get(path)
        return response.headers["Content-Type"], response.body
    plain = "text/html", TEXT.encode("koi8-r")
    as_utf_8 = "text/html; charset=utf-8", TEXT.encode()
    assert codec("/?to=utf-8&from=koi8-r") == as_utf_8
    assert codec("/?to=koi8-r&from=koi8-r")[1] == TEXT.encode("koi8-r")
    assert codec("/?to=&from=koi8-r") == plain
    assert codec("/?to=latin1&from=koi8-r") == plain
    server.wait_log('no "charset_map" between the charsets "koi8-r" and "latin1"')
    assert codec("/if") == plain and codec("/if?u=1") == as_utf_8


def test_error_pages_are_converted_too(weir, folder):
    folder.write("www/404.html", TEXT.encode("koi8-r"))
    server = weir("""root @dir@/www; types { text/html html; } error_page 404 /404.html;
                     source_charset koi8-r; charset utf-8;""", http=TABLES)
    response = server.get("/none")
    assert (response.status, response.body) == (404, TEXT.encode())


# ---- configurations

HTTP = "events {{}} http {{ {} server {{ listen 127.0.0.1:@port@; {} }} }}"


@pytest.mark.parametrize("http, server, message", [
    ("charset_map a a { }", "", '"charset_map" between the same charsets "a" and "a"'),
    ("charset_map a b { } charset_map B A { }", "", 'duplicate "charset_map" between "B" and "A"'),
    ("charset_map a utf-8 { C0; }", "", "invalid parameters number"),
    ("charset_map a utf-8 { C0 D18E2; }", "", 'invalid value "D18E2"'),
    ("charset_map a b { 100 C0; }", "", 'invalid value "100"'),
    ("", "charset a; source_charset b;", 'no "charset_map" between the charsets "b" and "a"'),
    ("charset a;", "location / { source_charset b; }", 'no "charset_map" between the charsets "b" and "a"'),
])
def test_a_wrong_table_or_none_is_refused(check, http, server, message):
    done = check(HTTP.format(http, server))
    assert done.code == 1 and message in done.err


@pytest.mark.parametrize("http, server", [
    ("charset a; source_charset A;", ""), ("charset_map a _ { }", "charset a;"), ("", "source_charset a;"),
    ("source_charset a; charset b; charset_map b a { }", "")])
def test_what_needs_no_table_or_has_one_is_taken(check, http, server):
    done = check(HTTP.format(http, server))
    assert done.code == 0, done.err
