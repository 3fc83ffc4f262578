"""empty_gif: a transparent picture of one pixel."""

import struct

import pytest

GIF = "location = /pixel.gif { empty_gif; } location / { return 200 other; }"


def test_the_picture_is_one_transparent_pixel(weir):
    response = weir(GIF).get("/pixel.gif")
    body = response.body
    assert (response.status, response.headers["Content-Type"], len(body)) == (200, "image/gif", 43)
    assert body[:6] == b"GIF89a" and body[-1:] == b";"
    assert struct.unpack("<HH", body[6:10]) == (1, 1)
    assert body[19:22] == b"\x21\xf9\x04" and body[22] & 1      # a transparent colour
    assert "ETag" not in response.headers and "Accept-Ranges" not in response.headers


def test_it_never_changes(weir):
    server = weir(GIF)
    since = server.get("/pixel.gif").headers["Last-Modified"]
    assert since == "Mon, 28 Sep 1970 06:00:00 GMT"
    assert server.get("/pixel.gif", headers={"If-Modified-Since": since}).status == 304


def test_it_has_a_head_and_is_read_only(weir):
    server = weir(GIF)
    head = server.request("/pixel.gif", "HEAD")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "43", b"")
    assert server.request("/pixel.gif", "POST", body=b"x").status == 405


@pytest.mark.parametrize("directive, there", [("empty_gif", "GIF89a"), ("stub_status", "Active")])
def test_it_holds_in_blocks_without_a_name_and_in_no_other_location(weir, directive, there):
    """As stub_status does."""
    server = weir(f"""location /outer/ {{ {directive}; if ($arg_x) {{ set $y 1; }}
        location /outer/inner {{ }} }}""")
    assert server.get("/outer/").text.startswith(there)
    assert server.get("/outer/?x=1").text.startswith(there)
    assert server.get("/outer/inner").status == 404
