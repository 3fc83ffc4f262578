"""
Origins, or who can make them say something, that try to slip a response of their own into the answers to others: whatever
one answer looks like, the next request on the same connections gets its own.
"""

import pytest

from harness import request_bytes
from harness.upstream import answer

pytestmark = pytest.mark.weir_only("stricter than nginx")

POISON = answer("poison")
OK = b"HTTP/1.1 200 OK\r\n"
TE = b"Transfer-Encoding: chunked\r\n"
BAD, CUT = 502, None

# What the first answer is, and what becomes of it: a status, or cut; the text where it is as meant.
FRAMING = {
    "a length and more": (OK + b"Content-Length: 2\r\n\r\nok", 200),
    "a length with a sign": (OK + b"Content-Length: +2\r\n\r\nok", BAD),
    "a length below zero": (OK + b"Content-Length: -1\r\n\r\n", BAD),
    "a length in hexadecimal": (OK + b"Content-Length: 0x2\r\n\r\nok", BAD),
    "a length with a fraction": (OK + b"Content-Length: 2.0\r\n\r\nok", BAD),
    "a list of lengths": (OK + b"Content-Length: 2, 2\r\n\r\nok", BAD),
    "two words of length": (OK + b"Content-Length: 2 7\r\n\r\nok", BAD),
    "an empty length": (OK + b"Content-Length:\r\n\r\n", BAD),
    "a length past 64 bits": (OK + b"Content-Length: 18446744073709551618\r\n\r\nok", BAD),
    "two lengths that agree": (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", BAD),
    "two lengths that differ": (OK + b"Content-Length: 2\r\nContent-Length: 80\r\n\r\nok", BAD),
    "a length after chunked": (OK + TE + b"Content-Length: 2\r\n\r\n0\r\n\r\n", BAD),
    "a length before chunked": (OK + b"Content-Length: 5\r\n" + TE + b"\r\n0\r\n\r\n", BAD),
    "chunked twice": (OK + TE + TE + b"\r\n0\r\n\r\n", BAD),
    "chunked in a list": (OK + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n", BAD),
    "chunked misspelt": (OK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", BAD),
    "chunked in quotes": (OK + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', BAD),
    "chunked with a vertical tab": (OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", BAD),
    "chunked, then nothing": (OK + TE + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n", BAD),
    "chunked in HTTP/1.0": (b"HTTP/1.0 200 OK\r\n" + TE + b"\r\n0\r\n\r\n", BAD),
    "a space before the colon of chunked": (OK + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", BAD),
    "a space before the colon of a length": (OK + b"Content-Length : 2\r\n\r\nok", BAD),
    "a folded chunked": (OK + b"X: y\r\n " + TE + b"\r\n0\r\n\r\n", BAD),
    "a field split by CR": (OK + b"X: y\rTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nok", BAD),
    "a NUL in the head": (OK + b"X\0: y\r\nContent-Length: 2\r\n\r\nok", BAD),
    "a status line without a space": (b"HTTP/1.1 200OK\r\nContent-Length: 2\r\n\r\nok", BAD),
    "a lower-case protocol": (b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", BAD),
    "HTTP/2.0": (b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok", BAD),
    "a status of four digits": (b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok", BAD),
    "a body with 204": (b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nok", 204),
    "chunks with 304": (b"HTTP/1.1 304 Not\r\n" + TE + b"\r\n2\r\nok\r\n0\r\n\r\n", 304),
    "an interim response with a length": (b"HTTP/1.1 100 Continue\r\nContent-Length: 4\r\n\r\nHTTP", BAD),
    "chunks and more": (OK + TE + b"\r\n2\r\nok\r\n0\r\n\r\n", 200),
    "a chunk extension": (OK + TE + b"\r\n2;a=b\r\nok\r\n0\r\n\r\n", 200),
    "a quoted line end in an extension": (OK + TE + b'\r\n2;a="\r\n"\r\nok\r\n0\r\n\r\n', CUT),
    "a bare LF in an extension": (OK + TE + b"\r\n2;a\nok\r\n0\r\n\r\n", CUT),
    "a bare LF after a size": (OK + TE + b"\r\n2\nok\r\n0\r\n\r\n", CUT),
    "a bare LF after a chunk": (OK + TE + b"\r\n2\r\nok\n0\r\n\r\n", CUT),
    "a bare CR after a size": (OK + TE + b"\r\n2\rXok\r\n0\r\n\r\n", CUT),
    "a size with a sign": (OK + TE + b"\r\n+2\r\nok\r\n0\r\n\r\n", CUT),
    "a size with a prefix": (OK + TE + b"\r\n0x2\r\nok\r\n0\r\n\r\n", CUT),
    "a size past 64 bits": (OK + TE + b"\r\n10000000000000002\r\nok\r\n0\r\n\r\n", CUT),
    "an empty size": (OK + TE + b"\r\n\r\nok\r\n0\r\n\r\n", CUT),
    "a size in front of a space": (OK + TE + b"\r\n 2\r\nok\r\n0\r\n\r\n", CUT),
    "a chunk longer than its size": (OK + TE + b"\r\n1\r\nok\r\n0\r\n\r\n", CUT),
    "trailers that frame": (
        OK + TE + b"\r\n2\r\nok\r\n0\r\nContent-Length: 80\r\nTransfer-Encoding: x\r\n\r\n", 200),
    "a trailer that is no field": (OK + TE + b"\r\n2\r\nok\r\n0\r\nno colon\r\n\r\n", CUT),
    "a trailer with a bare LF": (OK + TE + b"\r\n2\r\nok\r\n0\r\nX: y\n\r\n\r\n", CUT),
}


@pytest.mark.parametrize("name", FRAMING)
@pytest.mark.parametrize("settings", ["", "proxy_pass_trailers on; proxy_buffering off;"],
                         ids=["buffered", "unbuffered"])
def test_the_next_request_gets_its_own_answer(weir, upstream, name, settings):
    text, becomes = FRAMING[name]
    poisoned = []

    def serve(peer):
        if not poisoned:
            poisoned.append(peer)
            peer.send(text + POISON)
            return None
        return answer("honest")

    upstream.answers(serve)
    server = weir(f"{settings} location / {{ proxy_pass http://back; proxy_next_upstream off; }}",
                  http="upstream back { server @upstream@; keepalive 4; }")
    connection = server.connect()
    connection.send(request_bytes("/"))
    if becomes is CUT:
        seen = connection.read_until_close()
        assert b"poison" not in seen.partition(b"\r\n\r\n")[0]
        assert not seen.endswith(b"0\r\n\r\n"), "the client would take it for the whole"
    else:
        first = connection.read_response()
        assert first.status == becomes
        assert b"poison" not in first.body and not first.trailers.pairs
        if first.headers.get("Connection") == "close":
            connection = server.connect()
        assert connection.request("/").text == "honest"
    assert server.get("/").text == "honest"
    assert len({id(peer) for peer in upstream.connections}) >= 2
