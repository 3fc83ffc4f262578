"""proxy_store: whole responses are left in files."""

import os
import stat

import pytest

from harness import wait_until
from harness.upstream import answer, body_of
from harness.wire import Truncated

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
MIRROR = """
    location /www/ { root @dir@; error_page 404 = /fetch$uri; log_not_found off; }
    location /fetch/ { internal; proxy_pass http://@upstream@/; proxy_store on;
                       proxy_store_access group:rw all:r; alias @dir@/; }"""
STORE = "location / { proxy_pass http://@upstream@; %s }"


@pytest.fixture(autouse=True)
def writable(folder):
    """Workers may write there, whoever they are."""
    for name in ("www", "kept"):
        os.mkdir(folder.file(name))
        os.chmod(folder.file(name), 0o777)


def content(path):
    wait_until(lambda: os.path.exists(path), "the file")
    with open(path, "rb") as file:
        return file.read()


def test_what_was_fetched_once_is_served_from_then_on(weir, upstream):
    upstream.answers(answer(body_of(200_000), headers=[("Last-Modified", DATE)]))
    server = weir(MIRROR)
    assert server.get("/www/a/b/c").body == body_of(200_000)
    path = server.folder.file("www", "a", "b", "c")
    assert content(path) == body_of(200_000)
    again = server.get("/www/a/b/c")
    assert again.body == body_of(200_000) and again.headers["Last-Modified"] == DATE
    assert len(upstream.requests) == 1
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o664
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) & 0o755 == 0o755


@pytest.mark.parametrize("framing", [
    b"Content-Length: 5\r\n\r\nhello",
    b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    b"Connection: close\r\n\r\nhello",
    b"Content-Length: 0\r\n\r\n",
])
def test_whatever_its_framing(weir, upstream, framing):
    upstream.answers(b"HTTP/1.1 200 OK\r\n" + framing)
    server = weir(STORE % "proxy_store @dir@/kept/$arg_name; proxy_http_version 1.1;")
    said = server.get("/?name=it").body
    assert content(server.folder.file("kept", "it")) == said in (b"hello", b"")
    assert stat.S_IMODE(os.stat(server.folder.file("kept", "it")).st_mode) == 0o600


@pytest.mark.parametrize("said, mode", [("user:r", 0o400), ("user:rw", 0o600), ("group:r", 0o640), ("group:rw", 0o660),
                                        ("all:r", 0o604), ("all:rw", 0o606), ("user:r group:r all:r", 0o444)])
def test_who_may_use_them_is_said_here_or_around(weir, upstream, said, mode):
    server = weir(f"proxy_store @dir@/kept$uri; proxy_store_access {said};" + STORE % "" + """
        location /own { proxy_pass http://@upstream@; proxy_store_access user:rw; }
        location /off { proxy_pass http://@upstream@; proxy_store off; }""")
    for name in "it", "off", "own":
        server.get("/" + name)
    for name, its in ("it", mode), ("own", 0o600):
        content(server.folder.file("kept", name))
        assert stat.S_IMODE(os.stat(server.folder.file("kept", name)).st_mode) == its
    assert not os.path.exists(server.folder.file("kept", "off"))


def test_a_newer_one_takes_its_place(weir, upstream):
    server = weir(STORE % "proxy_store @dir@/kept/x;")
    for body in (b"first and long", b"second"):
        upstream.answers(answer(body))
        server.get("/")
        wait_until(lambda: content(server.folder.file("kept", "x")) == body, "the newer one")
    assert not [name for name in os.listdir(server.folder.file("kept")) if name != "x"]


@pytest.mark.parametrize("status", ["404 Not Found", "206 Partial Content", "301 Moved"])
def test_other_answers_are_not_stored(weir, upstream, status):
    upstream.answers(answer(b"x", status))
    server = weir(STORE % "proxy_store @dir@/kept/x;")
    server.get("/")
    upstream.answers(answer(b"y"))
    server.get("/")
    assert content(server.folder.file("kept", "x")) == b"y"


def test_nor_is_half_of_one(weir, upstream):
    upstream.answers(lambda peer: (peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), peer.close()))
    server = weir(STORE % "proxy_store @dir@/kept/x;")
    with pytest.raises(Truncated):
        server.get("/")
    upstream.answers(lambda peer: (peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny"), peer.close()))
    assert server.get("/").body == b"y"
    assert content(server.folder.file("kept", "x")) == b"y"


@pytest.mark.weir_only("nginx logs it otherwise")
def test_what_cannot_be_stored_is_said_and_served(weir, upstream):
    upstream.answers(answer(b"x"))
    server = weir(STORE % "proxy_store @dir@/nginx.conf/kept;")
    assert server.get("/").body == b"x"
    server.wait_log("the response is not stored")


@pytest.mark.weir_only("nginx writes where the client says")
@pytest.mark.parametrize("store", ["@dir@/www/$arg_f", "@dir@/www$arg_f"])
def test_no_value_leads_out_of_the_folder(weir, upstream, store):
    upstream.answers(answer(b"evil"))
    server = weir(STORE % f"proxy_store {store};")
    assert server.get("/?f=/../kept/x").body == b"evil"
    server.wait_log(r'the response is not stored as ".*/\.\./kept/x"')
    assert not os.listdir(server.folder.file("kept"))
    assert server.get("/?f=/x..y").body == b"evil"
    assert content(server.folder.file("www", "x..y")) == b"evil"
