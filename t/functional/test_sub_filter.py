"""sub_filter: texts in responses are replaced, however they are cut."""

import gzip
import random

import pytest

from harness.upstream import answer

HTML = {"Content-Type": "text/html"}


def page(text, **headers):
    return answer(text.encode(), headers={**HTML, **headers})


def chunked_in(pieces):
    """An origin's answer that comes in these pieces, each a segment and a chunk of its own."""
    def send(peer):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n",
                  *[b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces], b"0\r\n\r\n")
    return send


def substituted(weir, upstream, directives, text):
    upstream.answers(page(text))
    return weir(f"location / {{ {directives} proxy_pass http://@upstream@; }}").get("/").text


@pytest.mark.parametrize("directives, text, expected", [
    ("sub_filter b X;", "abba", "aXba"),
    ("sub_filter b X; sub_filter_once off;", "abba", "aXXa"),
    ("sub_filter Needle found;", "a nEEDLE", "a found"),
    ("sub_filter aa X; sub_filter_once off;", "aaaaa", "XXa"),
    ("sub_filter aaab X;", "aaaaab", "aaX"),
    ("sub_filter b '';", "abc", "ac"),
    ("sub_filter a b; sub_filter b c; sub_filter_once off;", "ab", "bc"),
    ("sub_filter none X;", "text", "text"),
    ("sub_filter longer X;", "long", "long"),
    ("sub_filter x Y;", "", ""),
])
def test_a_text_is_replaced(weir, upstream, directives, text, expected):
    assert substituted(weir, upstream, directives, text) == expected


@pytest.mark.parametrize("texts, text, expected", [
    (["ab", "abc"], "xabcx xabcx", "x[0]cx x[1]x"), (["abc", "ab"], "xabcx xabcx", "x[0]x x[1]cx"),
    (["bc", "abcd"], "abcdx abcdx", "[1]x a[0]dx"), (["b", "ab"], "ab b ab", "[1] [0] ab"),
    (["cd", "abcde"], "abcdf abcde abcdf", "ab[0]f [1] abcdf"),
])
def test_of_several_the_one_that_begins_first_is_taken_and_else_the_first(weir, upstream, texts,
                                                                          text, expected):
    subs = "".join(f"sub_filter '{one}' '[{n}]';" for n, one in enumerate(texts))
    assert substituted(weir, upstream, subs, text) == expected


def test_both_may_have_variables(weir, upstream):
    assert substituted(weir, upstream, "sub_filter 'http://$host/' '$scheme://new/$uri';",
                       "see HTTP://LOCALHOST/a") == "see http://new//a"


def test_a_text_that_comes_out_empty_matches_nothing(weir, upstream):
    assert substituted(weir, upstream, "sub_filter $arg_none X; sub_filter b Y;", "abc") == "aYc"


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_where_the_response_is_cut_does_not_matter(weir, upstream, size):
    text = b"<a href=http://backend/x>http://backen http://backend/</a>http://backend"
    upstream.answers(chunked_in([text[i:i + size] for i in range(0, len(text), size)]))
    server = weir("""location / { sub_filter http://backend/ /; sub_filter_once off;
                                  proxy_pass http://@upstream@; }""")
    assert server.get("/").body == text.replace(b"http://backend/", b"/")


def test_random_cuts_and_texts(weir, upstream):
    chance = random.Random(4711)
    server = weir("""location / { sub_filter abc 1; sub_filter ca 22; sub_filter bb '';
                                  sub_filter_once off; proxy_pass http://@upstream@; }""")
    connection = server.connect()
    for _ in range(60):
        text = bytes(chance.choice(b"abcABC") for _ in range(chance.randrange(1, 60)))
        cuts = sorted(chance.randrange(len(text) + 1) for _ in range(chance.randrange(6)))
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)]) if a != b]
        upstream.answers(chunked_in(pieces))
        assert connection.request("/").body == replaced(text), (text, pieces)


def replaced(text):
    out, i = b"", 0
    while i < len(text):
        for match, put in ((b"abc", b"1"), (b"ca", b"22"), (b"bb", b"")):
            if text[i:i + len(match)].lower() == match:
                out, i = out + put, i + len(match)
                break
        else:
            out, i = out + text[i:i + 1], i + 1
    return out


def test_a_large_file_is_gone_through_as_a_whole(weir, folder):
    text = b"".join(b"line %d needle\n" % i for i in range(20000))
    folder.write("www/a.html", text)
    server = weir("root @dir@/www; types { text/html html; } sub_filter needle pin; sub_filter_once off;")
    assert server.get("/a.html").body == text.replace(b"needle", b"pin")


def test_validators_and_length_go(weir, folder):
    folder.write("www/a.html", b"abc")
    server = weir("""root @dir@/www; types { text/html html; } sub_filter b X;
                     location /kept { alias @dir@/www; sub_filter_last_modified on; }""")
    headers = server.get("/a.html").headers
    assert not {"Content-Length", "ETag", "Last-Modified", "Accept-Ranges"} & set(headers)
    headers = server.get("/kept/a.html").headers
    assert "Last-Modified" in headers and headers["ETag"].startswith('W/"')


def test_only_listed_types_are_looked_at(weir, folder):
    for name in ("a.html", "a.txt", "a.css"):
        folder.write(f"www/{name}", b"abc")
    types = "types { text/html html; text/plain txt; text/css css; }"
    server = weir(f"""root @dir@/www; {types} sub_filter b X; sub_filter_types text/plain;
                      location /all {{ alias @dir@/www; sub_filter_types *; }}""")
    assert [server.get(path).text for path in ("/a.html", "/a.txt", "/a.css", "/all/a.css")] == [
        "aXc", "aXc", "abc", "aXc"]


def test_a_location_has_its_own_texts_or_the_outer(weir, folder):
    folder.write("www/a.html", b"abc")
    server = weir("""root @dir@/www; types { text/html html; } sub_filter b X;
        location /own { alias @dir@/www; sub_filter c Y; } location /off { alias @dir@/www; sub_filter @ @; }""")
    assert [server.get(path + "/a.html").text for path in ("", "/own", "/off")] == ["aXc", "abY", "abc"]


def test_what_is_replaced_is_compressed_after_it(weir, folder):
    folder.write("www/a.html", b"needle " * 100)
    server = weir("root @dir@/www; types { text/html html; } gzip on; sub_filter needle pin; sub_filter_once off;")
    body = server.get("/a.html", headers={"Accept-Encoding": "gzip"}).body
    assert gzip.decompress(body) == b"pin " * 100


def test_head_has_the_same_fields(weir, folder):
    folder.write("www/a.html", b"abc")
    server = weir("root @dir@/www; types { text/html html; } sub_filter b X;")
    assert "Content-Length" not in server.connect().request("/a.html", "HEAD").headers


def test_an_empty_text_is_refused(check):
    done = check("events {} http { sub_filter '' x; server { listen 127.0.0.1:@port@; } }")
    assert done.code == 1 and "empty search pattern" in done.err
