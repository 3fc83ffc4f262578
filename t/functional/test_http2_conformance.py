"""What RFC 9113 and RFC 7541 ask of a server, frame by frame; each name is the clause.

A stream error may be answered with an error of the connection (RFC 9113, 5.4.2), never the other way
round.  A malformed request may have a response of status 400 (8.1.1).
"""

import struct

import pytest

from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

from harness.h2 import (
    ACK,
    CANCEL,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    ENABLE_PUSH,
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    H2,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    NO_ERROR,
    PADDED,
    PING,
    PREFACE,
    PRIORITIZED,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    Ended,
    GET,
    block,
    frame_bytes,
    integer,
    literal,
    post,
    with_fields,
)

pytestmark = pytest.mark.weir_only("nginx 1.22 has no http2 directive, and misses some of these")

CONFIG = """http2 on; client_header_timeout 5s;
    location / { return 200 hello; }
    location /echo { return 200 $http_user_agent; }
    location /body { proxy_pass http://@upstream@; proxy_request_buffering off; proxy_http_version 1.1; }"""


@pytest.fixture
def server(weir, upstream):
    return weir(CONFIG)


@pytest.fixture
def client(server):
    return H2(server.connect())


HUFFMAN = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


def f(kind, flags=0, stream=0, payload=b"", length=None):
    return frame_bytes(kind, flags, stream, payload, length)


def u32(number):
    return struct.pack(">I", number)


def head(fields=GET, stream=1, end=True, flags=END_HEADERS, kind=HEADERS):
    return f(kind, flags | (END_STREAM if end and kind == HEADERS else 0), stream,
             fields if isinstance(fields, bytes) else block(fields))


def reset(stream=1, code=CANCEL):
    return f(RST_STREAM, 0, stream, u32(code))


def indexed(name, value):
    """A field that is put into the table (RFC 7541, 6.2.1)."""
    return b"\x40" + literal(name, value)[1:]


# What is sent on stream 1:
OPEN = head(post((":path", "/body")), end=False)        # its body is to come
HALF_CLOSED = head(with_fields((":path", "/body")))     # its end was said, the answer is to come
CLOSED = head()                                         # answered at once


class Answered(bytes):
    """The frames of a request on stream 1, whose response is read before more is sent."""

    def __add__(self, more):
        return [self, more]


ANSWERED = Answered(CLOSED)
INDEXED = Answered(head(block(GET) + indexed("user-agent", "kept")))     # the entry is the first of the table


def by_section(cases):
    """The cases of each section of the RFC, which one program is enough for."""
    sections = {}
    for name, case in cases.items():
        sections.setdefault(name.split(":")[0], {})[name] = case
    return pytest.mark.parametrize("cases", sections.values(), ids=sections)


def each(server, cases, show):
    """show(client, case) for each of them, on a connection of its own; tells all that went wrong."""
    wrong = []
    for name, case in cases.items():
        client = H2(server.connect())
        try:
            show(client, case)
        except Exception as error:
            wrong.append(f"{name}: {error!r} after {client.frames}")
        client.connection.close()
    assert not wrong, "\n".join(wrong)
    assert server.request().status == 200


def send(client, sent):
    if isinstance(sent, list):
        first, sent = sent
        client.connection.send(first)
        client.read_response(1)
    client.try_send(sent)


def expect_connection_error(client, *codes):
    """The connection ends, with one of the codes where a GOAWAY says why."""
    goaway = client.read_goaway()
    assert goaway is None or goaway.error_code in codes, goaway.error_code
    return goaway


def expect_stream_error(client, stream, *codes, may_be_400=False):
    while True:
        frame = client.read_frame()
        if frame.kind == GOAWAY and frame.error_code in codes:
            return
        if frame.kind == RST_STREAM and frame.stream == stream:
            assert frame.error_code in codes, frame
            return
        if frame.kind == HEADERS and frame.stream == stream and may_be_400:
            assert frame.fields[0] == (":status", "400"), frame.fields
            return
        assert not (frame.kind in (HEADERS, DATA) and frame.stream == stream), frame


def expect_service(client, stream=None):
    """The connection serves on."""
    if stream is None:
        stream = client.headers(GET, stream=101)
    assert client.read_response(stream).body == b"hello"


# ---- what ends a connection

CONNECTION_ERRORS = {
    # 3.4, the preface is checked by hand below
    # 4.2 frame size
    "4.2: a frame larger than SETTINGS_MAX_FRAME_SIZE that has a field section":
        (head(b"\x00" * 16385), [FRAME_SIZE_ERROR]),
    "4.2: SETTINGS larger than SETTINGS_MAX_FRAME_SIZE":
        (f(SETTINGS, 0, 0, b"\0\x03\0\0\0\x64" * 2731), [FRAME_SIZE_ERROR]),
    "4.2: a continuation larger than SETTINGS_MAX_FRAME_SIZE":
        (head(flags=0) + f(CONTINUATION, END_HEADERS, 1, bytes(16385)), [FRAME_SIZE_ERROR]),
    "4.2: a frame of unknown type larger than SETTINGS_MAX_FRAME_SIZE": (f(0x20, 0, 0, bytes(16385)), [FRAME_SIZE_ERROR]),
    "4.2: GOAWAY larger than SETTINGS_MAX_FRAME_SIZE": (f(GOAWAY, 0, 0, bytes(16385)), [FRAME_SIZE_ERROR]),
    # 4.3 compression
    "4.3: a field block that cannot be decoded": (head(b"\x00\x00"), [COMPRESSION_ERROR]),
    "4.3: a field block cut short": (head(block(GET)[:-1]), [COMPRESSION_ERROR]),
    "4.3: another frame of the stream between HEADERS and CONTINUATION":
        (head(flags=0) + f(DATA, 0, 1, b"x"), [PROTOCOL_ERROR]),
    "4.3: a frame of another stream between HEADERS and CONTINUATION":
        (head(flags=0) + f(PRIORITY, 0, 3, u32(0) + b"\x10"), [PROTOCOL_ERROR]),
    "4.3: HEADERS between HEADERS and CONTINUATION":
        (head(flags=0) + head(stream=3), [PROTOCOL_ERROR]),
    "4.3: PING between HEADERS and CONTINUATION":
        (head(flags=0) + f(PING, 0, 0, bytes(8)), [PROTOCOL_ERROR]),
    "4.3: WINDOW_UPDATE between HEADERS and CONTINUATION":
        (head(flags=0) + f(WINDOW_UPDATE, 0, 0, u32(1)), [PROTOCOL_ERROR]),
    # 5.1 states
    "5.1: DATA on an idle stream": (f(DATA, END_STREAM, 1, b"x"), [PROTOCOL_ERROR, STREAM_CLOSED]),
    "5.1: RST_STREAM on an idle stream": (f(RST_STREAM, 0, 1, u32(8)), [PROTOCOL_ERROR]),
    "5.1: WINDOW_UPDATE on an idle stream": (f(WINDOW_UPDATE, 0, 1, u32(1)), [PROTOCOL_ERROR]),
    "5.1: CONTINUATION on an idle stream": (f(CONTINUATION, END_HEADERS, 1, block(GET)), [PROTOCOL_ERROR]),
    "5.1: DATA on a stream that the client has reset": (OPEN + reset() + f(DATA, END_STREAM, 1, b"x"), [STREAM_CLOSED]),
    "5.1: HEADERS on a stream that the client has reset": (OPEN + reset() + head(), [STREAM_CLOSED]),
    "5.1: CONTINUATION on a stream that the client has reset":
        (OPEN + reset() + f(CONTINUATION, END_HEADERS, 1, b""), [PROTOCOL_ERROR, STREAM_CLOSED]),
    "5.1: DATA on a closed stream": (ANSWERED + f(DATA, END_STREAM, 1, b"x"), [STREAM_CLOSED]),
    "5.1: HEADERS on a closed stream": (ANSWERED + head(), [STREAM_CLOSED]),
    "5.1: CONTINUATION on a closed stream":
        (ANSWERED + f(CONTINUATION, END_HEADERS, 1, b""), [PROTOCOL_ERROR, STREAM_CLOSED]),
    "5.1: CONTINUATION after END_HEADERS":
        (CLOSED + f(CONTINUATION, END_HEADERS, 1, b""), [PROTOCOL_ERROR, STREAM_CLOSED]),
    # 5.1.1 identifiers
    "5.1.1: a stream with an even number": (head(stream=2), [PROTOCOL_ERROR]),
    "5.1.1: a number that is lower than one before":
        (head(stream=5) + head(stream=3), [PROTOCOL_ERROR, STREAM_CLOSED]),
    "5.1.1: HEADERS on stream 0": (head(stream=0), [PROTOCOL_ERROR]),
    "5.3.1 of RFC 7540: a stream that depends on itself, in PRIORITY":
        (f(PRIORITY, 0, 1, u32(1) + b"\x10"), [PROTOCOL_ERROR]),
    "5.3.1 of RFC 7540: an open stream that depends on itself, exclusively":
        (OPEN + f(PRIORITY, 0, 1, u32(1 << 31 | 1) + b"\x10"), [PROTOCOL_ERROR]),
    # 6.1 DATA
    "6.1: DATA on stream 0": (f(DATA, 0, 0, b"x"), [PROTOCOL_ERROR]),
    "6.1: padding as long as the payload": (OPEN + f(DATA, PADDED, 1, b"\x05abcd"), [PROTOCOL_ERROR]),
    "6.1: padded DATA without a pad length": (OPEN + f(DATA, PADDED, 1, b""), [FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
    # 6.2 HEADERS
    "6.2: HEADERS with more padding than payload":
        (f(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\xff" + block(GET)), [PROTOCOL_ERROR]),
    "6.2: padded HEADERS without a pad length":
        (f(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b""), [FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
    "6.2: HEADERS with a priority that is cut short":
        (f(HEADERS, END_HEADERS | END_STREAM | PRIORITIZED, 1, b"\0\0\0"), [FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
    # 6.3 PRIORITY
    "6.3: PRIORITY on stream 0": (f(PRIORITY, 0, 0, u32(1) + b"\x10"), [PROTOCOL_ERROR]),
    # 6.4 RST_STREAM
    "6.4: RST_STREAM on stream 0": (f(RST_STREAM, 0, 0, u32(8)), [PROTOCOL_ERROR]),
    "6.4: RST_STREAM of 3 bytes": (OPEN + f(RST_STREAM, 0, 1, b"\0\0\0"), [FRAME_SIZE_ERROR]),
    "6.4: RST_STREAM of 5 bytes": (OPEN + f(RST_STREAM, 0, 1, b"\0\0\0\0\0"), [FRAME_SIZE_ERROR]),
    # 6.5 SETTINGS
    "6.5: an acknowledgement with a payload": (f(SETTINGS, ACK, 0, b"\0\x03\0\0\0\x64"), [FRAME_SIZE_ERROR]),
    "6.5: SETTINGS on a stream": (f(SETTINGS, 0, 1, b""), [PROTOCOL_ERROR]),
    "6.5: SETTINGS whose length is no multiple of 6": (f(SETTINGS, 0, 0, b"\0\x03\0"), [FRAME_SIZE_ERROR]),
    "6.5.2: ENABLE_PUSH of 2": (H2.settings_frame({ENABLE_PUSH: 2}), [PROTOCOL_ERROR]),
    "6.5.2: a window over 2^31-1": (H2.settings_frame({INITIAL_WINDOW_SIZE: 1 << 31}), [FLOW_CONTROL_ERROR]),
    "6.5.2: MAX_FRAME_SIZE below 2^14": (H2.settings_frame({MAX_FRAME_SIZE: 16383}), [PROTOCOL_ERROR]),
    "6.5.2: MAX_FRAME_SIZE over 2^24-1": (H2.settings_frame({MAX_FRAME_SIZE: 1 << 24}), [PROTOCOL_ERROR]),
    "8441, 3: ENABLE_CONNECT_PROTOCOL of 2": (H2.settings_frame({8: 2}), [PROTOCOL_ERROR]),
    "2.1 of RFC 9218: NO_RFC7540_PRIORITIES of 2": (H2.settings_frame({9: 2}), [PROTOCOL_ERROR]),
    "2.1 of RFC 9218: NO_RFC7540_PRIORITIES that changes": (H2.settings_frame({9: 1}), [PROTOCOL_ERROR]),
    # 6.6 PUSH_PROMISE
    "6.6, 8.4: PUSH_PROMISE from a client":
        (OPEN + f(PUSH_PROMISE, END_HEADERS, 1, u32(2) + block(GET)), [PROTOCOL_ERROR]),
    # 6.7 PING
    "6.7: PING on a stream": (f(PING, 0, 1, bytes(8)), [PROTOCOL_ERROR]),
    "6.7: PING of 6 bytes": (f(PING, 0, 0, bytes(6)), [FRAME_SIZE_ERROR]),
    "6.7: PING of 9 bytes": (f(PING, 0, 0, bytes(9)), [FRAME_SIZE_ERROR]),
    # 6.8 GOAWAY
    "6.8: GOAWAY on a stream": (f(GOAWAY, 0, 1, bytes(8)), [PROTOCOL_ERROR]),
    "4.2: GOAWAY that is cut short": (f(GOAWAY, 0, 0, bytes(7)), [FRAME_SIZE_ERROR]),
    # 6.9 WINDOW_UPDATE
    "6.9: an increment of 0 for the connection": (f(WINDOW_UPDATE, 0, 0, u32(0)), [PROTOCOL_ERROR]),
    "6.9: WINDOW_UPDATE of 3 bytes": (f(WINDOW_UPDATE, 0, 0, b"\0\0\x01"), [FRAME_SIZE_ERROR]),
    "6.9: WINDOW_UPDATE of 5 bytes": (f(WINDOW_UPDATE, 0, 0, b"\0\0\0\x01\0"), [FRAME_SIZE_ERROR]),
    "6.9.1: a window of the connection over 2^31-1": (f(WINDOW_UPDATE, 0, 0, u32((1 << 31) - 1)), [FLOW_CONTROL_ERROR]),
    # 6.10 CONTINUATION
    "6.10: CONTINUATION on stream 0": (head(flags=0) + f(CONTINUATION, END_HEADERS, 0, b""), [PROTOCOL_ERROR]),
    "6.10: CONTINUATION of another stream": (head(flags=0) + f(CONTINUATION, END_HEADERS, 3, b""), [PROTOCOL_ERROR]),
    "6.10: CONTINUATION behind DATA": (OPEN + f(DATA, 0, 1, b"x") + f(CONTINUATION, END_HEADERS, 1, b""),
                                       [PROTOCOL_ERROR]),
    "6.10: CONTINUATION behind CONTINUATION with END_HEADERS":
        (f(HEADERS, 0, 1, block(post((":path", "/body")))) + f(CONTINUATION, END_HEADERS, 1, b"")
         + f(CONTINUATION, END_HEADERS, 1, b""), [PROTOCOL_ERROR]),
    "6.10: an unknown frame before CONTINUATION": (head(flags=0) + f(0x20, 0, 0, b"x"), [PROTOCOL_ERROR]),
    # RFC 7541
    "7541, 2.3.3: index 0": (head(block(GET) + b"\x80"), [COMPRESSION_ERROR]),
    "7541, 2.3.3: an index beyond both tables": (head(block(GET) + integer(62 + 60, 7, 0x80)), [COMPRESSION_ERROR]),
    "7541, 2.3.3: a name's index beyond both tables":
        (head(block(GET) + integer(200, 4, 0) + b"\x01x"), [COMPRESSION_ERROR]),
    "7541, 4.2: a table size over SETTINGS_HEADER_TABLE_SIZE":
        (head(integer(4097, 5, 0x20) + block(GET)), [COMPRESSION_ERROR]),
    "7541, 4.2: a table size behind a field": (head(block(GET) + integer(100, 5, 0x20)), [COMPRESSION_ERROR]),
    "7541, 4.3: an entry that a smaller table has no room for":
        (INDEXED + head(b"\x20" + block(GET) + b"\xbe", stream=3), [COMPRESSION_ERROR]),
    "7541, 4.3: an entry that a smaller table had no room for, in one that is large again":
        (INDEXED + head(b"\x20" + integer(4096, 5, 0x20) + block(GET) + b"\xbe", stream=3), [COMPRESSION_ERROR]),
    "7541, 4.4: an entry from before one that was larger than the table":
        (INDEXED + head(block(GET) + indexed("x-a", "v" * 5000) + b"\xbe", stream=3), [COMPRESSION_ERROR]),
    "7541, 5.1: an integer that does not end": (head(block(GET) + b"\xff" * 12), [COMPRESSION_ERROR]),
    "7541, 5.1: an integer over all bounds":
        (head(block(GET) + b"\xff\xff\xff\xff\xff\xff\x7f"), [COMPRESSION_ERROR]),
    "7541, 5.2: Huffman padding of more than 7 bits": (head(block(GET) + b"\x00\x01a\x82\x1f\xff"), [COMPRESSION_ERROR]),
    "7541, 5.2: Huffman padding that is no prefix of EOS": (head(block(GET) + b"\x00\x01a\x81\x18"), [COMPRESSION_ERROR]),
    "7541, 5.2: Huffman text with EOS": (head(block(GET) + b"\x00\x01a\x84\xff\xff\xff\xff"), [COMPRESSION_ERROR]),
    "7541, 5.2: a text longer than the block": (head(block(GET) + b"\x00\x7fa"), [COMPRESSION_ERROR]),
}


@by_section(CONNECTION_ERRORS)
def test_errors_of_the_connection(server, cases):
    def show(client, case):
        sent, codes = case
        send(client, sent)
        assert expect_connection_error(client, *codes) is not None, "the connection ended without a word"
    each(server, cases, show)


# ---- what ends a stream

STREAM_ERRORS = {
    "4.2: DATA larger than SETTINGS_MAX_FRAME_SIZE": (OPEN + f(DATA, 0, 1, bytes(16385)), [FRAME_SIZE_ERROR]),
    "5.1: DATA on a stream whose end was said":
        (HALF_CLOSED + f(DATA, END_STREAM, 1, b"x"), [STREAM_CLOSED]),
    "5.1: HEADERS on a stream whose end was said":
        (HALF_CLOSED + head(), [STREAM_CLOSED]),
    "5.1: HEADERS behind trailers": (OPEN + head([("x-a", "b")]) + head([("x-a", "b")]), [STREAM_CLOSED]),
    "5.3.1: a stream that depends on itself, in HEADERS":
        (f(HEADERS, END_HEADERS | END_STREAM | PRIORITIZED, 1, u32(1) + b"\x10" + block(with_fields((":path", "/body")))),
         [PROTOCOL_ERROR]),
    "6.3: PRIORITY of 4 bytes": (OPEN + f(PRIORITY, 0, 1, bytes(4)), [FRAME_SIZE_ERROR]),
    "6.9: an increment of 0 for a stream": (OPEN + f(WINDOW_UPDATE, 0, 1, u32(0)), [PROTOCOL_ERROR]),
    "6.9.1: a window of a stream over 2^31-1": (OPEN + f(WINDOW_UPDATE, 0, 1, u32((1 << 31) - 1)), [FLOW_CONTROL_ERROR]),
    "8.1: trailers without END_STREAM": (OPEN + f(DATA, 0, 1, b"x") + head([("x-a", "b")], end=False), [PROTOCOL_ERROR]),
    "8.1.1: more content than content-length":
        (head(post((":path", "/body"), ("content-length", "1")), end=False) + f(DATA, END_STREAM, 1, b"xx"),
         [PROTOCOL_ERROR]),
    "8.1.1: less content than content-length":
        (head(post((":path", "/body"), ("content-length", "3")), end=False) + f(DATA, END_STREAM, 1, b"xx"),
         [PROTOCOL_ERROR]),
    "8.1.1: content of several frames that is longer than content-length":
        (head(post((":path", "/body"), ("content-length", "3")), end=False) + f(DATA, 0, 1, b"xx")
         + f(DATA, END_STREAM, 1, b"xx"), [PROTOCOL_ERROR]),
    "8.3: a pseudo-header field among the trailers":
        (OPEN + head([(":path", "/")]), [PROTOCOL_ERROR]),
    "8.2.1: a trailer with a capital": (OPEN + head([("X-A", "b")]), [PROTOCOL_ERROR]),
    "8.2.1: a trailer with LF in its value": (OPEN + head([("x-a", "b\nc")]), [PROTOCOL_ERROR]),
    "8.2.2: connection among the trailers": (OPEN + head([("connection", "close")]), [PROTOCOL_ERROR]),
    "8.2.2: transfer-encoding among the trailers": (OPEN + head([("transfer-encoding", "chunked")]), [PROTOCOL_ERROR]),
    "8.1.1: content-length among the trailers": (OPEN + head([("content-length", "5")]), [PROTOCOL_ERROR]),
}

CONNECT = [(":method", "CONNECT"), (":authority", "localhost:80")]
WEBSOCKET = [*CONNECT, (":protocol", "websocket"), (":scheme", "http"), (":path", "/")]

MALFORMED = {
    "8.2.1: a name with a capital": with_fields(("X-A", "b")),
    "8.2.1: a name with a capital in the middle": with_fields(("x-aBc", "b")),
    "8.2.1: an empty name": with_fields(("", "b")),
    "8.2.1: a name with a colon": with_fields(("x:a", "b")),
    "8.2.1: a name with a space": with_fields(("x a", "b")),
    "8.2.1: a name with a NUL": with_fields(("x\0a", "b")),
    "8.2.1: a name with CR": with_fields(("x\ra", "b")),
    "8.2.1: a name with LF": with_fields(("x\na", "b")),
    "8.2.1: a name with DEL": with_fields(("x\x7fa", "b")),
    "8.2.1: a name with a byte over 127": with_fields(("x\xe9a", "b")),
    "8.2.1: a value with a NUL": with_fields(("x-a", "b\0c")),
    "8.2.1: a value with CR": with_fields(("x-a", "b\rc")),
    "8.2.1: a value with LF": with_fields(("x-a", "b\nc")),
    "8.2.1: a value with CR LF and a field": with_fields(("x-a", "b\r\nx-smuggled: yes")),
    "8.2.1: a value that begins with a space": with_fields(("x-a", " b")),
    "8.2.1: a value that ends with a space": with_fields(("x-a", "b ")),
    "8.2.1: a value that begins with a tab": with_fields(("x-a", "\tb")),
    "8.2.1: a value that ends with a tab": with_fields(("x-a", "b\t")),
    "8.2.1: a value with DEL": with_fields(("x-a", "b\x7fc")),
    "8.2.1: a value with a control byte": with_fields(("x-a", "b\x01c")),
    "8.2.1: a known name with LF in its value": with_fields(("user-agent", "a\nb")),
    "8.2.2: connection": with_fields(("connection", "keep-alive")),
    "8.2.2: connection: close": with_fields(("connection", "close")),
    "8.2.2: keep-alive": with_fields(("keep-alive", "timeout=5")),
    "8.2.2: proxy-connection": with_fields(("proxy-connection", "keep-alive")),
    "8.2.2: transfer-encoding": with_fields(("transfer-encoding", "chunked")),
    "8.2.2: upgrade": with_fields(("upgrade", "websocket")),
    "8.2.2: te: gzip": with_fields(("te", "gzip")),
    "8.2.2: te without a value": with_fields(("te", "")),
    "8.2.2: te: trailers, gzip": with_fields(("te", "trailers, gzip")),
    "8.3: an unknown pseudo-header field": with_fields((":unknown", "x")),
    "8.3: a pseudo-header field of responses": with_fields((":status", "200")),
    "8.3: a pseudo-header field behind another field":
        [GET[0], GET[1], GET[3], ("x-a", "b"), GET[2]],
    "8.3: :protocol without CONNECT": with_fields((":protocol", "websocket")),
    "8.3.1: two :method": [GET[0], *GET],
    "8.3.1: two :scheme": [*GET, GET[1]],
    "8.3.1: two :path": [*GET, GET[2]],
    "8.3.1: two :authority": [*GET, GET[3]],
    "8.3.1: no :method": GET[1:],
    "8.3.1: no :scheme": [GET[0], *GET[2:]],
    "8.3.1: no :path": [*GET[:2], GET[3]],
    "8.3.1: an empty :path": with_fields((":path", "")),
    "8.3.1: an empty :method": with_fields((":method", "")),
    "8.3.1: an empty :scheme": with_fields((":scheme", "")),
    "8.3.1: a :path without a slash": with_fields((":path", "index.html")),
    "8.3.1: a :path of absolute form": with_fields((":path", "http://other.test/")),
    "8.3.1: a :path with a space": with_fields((":path", "/ HTTP/1.1")),
    "8.3.1: a :path with CR LF": with_fields((":path", "/ HTTP/1.1\r\nx-smuggled: yes\r\n\r\n")),
    "8.3.1: a :path with LF": with_fields((":path", "/a\nb")),
    "8.3.1: a :path with a NUL": with_fields((":path", "/a\0b")),
    "8.3.1: an asterisk without OPTIONS": with_fields((":path", "*")),
    "8.3.1: a :method with a space": with_fields((":method", "GET /admin")),
    "8.3.1: a :method with CR LF": with_fields((":method", "GET / HTTP/1.1\r\nx: y\r\n\r\nGET")),
    "8.3.1: a :scheme with LF": with_fields((":scheme", "http\n")),
    "8.3.1: a :scheme of another kind": with_fields((":scheme", "gopher")),
    "8.3.1: an :authority with a slash": with_fields((":authority", "local/host")),
    "8.3.1: an :authority with user information": with_fields((":authority", "user@localhost")),
    "8.3.1: an :authority with a space": with_fields((":authority", "local host")),
    "8.3.1: an :authority with CR LF": with_fields((":authority", "localhost\r\nx-smuggled: yes")),
    "8.3.1: an :authority that differs from host": with_fields(("host", "other.test")),
    "8.3.1: an :authority with a query": with_fields((":authority", "localhost?a")),
    "8.3.1: an :authority with a fragment": with_fields((":authority", "localhost#a")),
    "8.3.1: an :authority with a byte over 127": with_fields((":authority", "localh\xf6st")),
    "8.3.1: an :authority without an end of its IPv6 address": with_fields((":authority", "[::1")),
    "8.3.1: an :authority of a port alone": with_fields((":authority", ":80")),
    "8.3.1: an empty :authority": with_fields((":authority", "")),
    "8.3.1: an empty :authority, and host": with_fields((":authority", ""), ("host", "localhost")),
    "8.3.1: an empty host": [*GET[:3], ("host", "")],
    "8.3.1: an empty host, and :authority": with_fields(("host", "")),
    "8.3.1: two host that differ, without :authority": [*GET[:3], ("host", "a"), ("host", "b")],
    "8.3.1: no field at all": [],
    "8.3.1: two host": with_fields(("host", "localhost"), ("host", "localhost")),
    "8.3.1: neither :authority nor host": GET[:3],
    "8.1.1: two content-length": post(("content-length", "0"), ("content-length", "0")),
    "8.1.1: a content-length that is no number": post(("content-length", "+0")),
    "8.1.1: a content-length of two numbers": post(("content-length", "0, 0")),
    "8.1.1: content-length without content": post(("content-length", "5")),
    "8.5: CONNECT with a :path": [*CONNECT, (":path", "/")],
    "8.5: CONNECT with a :scheme": [*CONNECT, (":scheme", "http")],
    "8.5: CONNECT without :authority": CONNECT[:1],
    "8.5: CONNECT with content-length": [*CONNECT, ("content-length", "0")],
    "4 of RFC 8441: extended CONNECT without :path": WEBSOCKET[:-1],
    "4 of RFC 8441: extended CONNECT without :scheme": [*WEBSOCKET[:3], WEBSOCKET[4]],
    "4 of RFC 8441: extended CONNECT without :authority": [WEBSOCKET[0], *WEBSOCKET[2:]],
    "4 of RFC 8441: two :protocol": [*WEBSOCKET, WEBSOCKET[2]],
    "4 of RFC 8441: an empty :protocol": with_fields((":protocol", ""), base=WEBSOCKET),
    "4 of RFC 8441: extended CONNECT with content-length": [*WEBSOCKET, ("content-length", "3")],
}


@by_section(STREAM_ERRORS)
def test_errors_of_a_stream(server, cases):
    def show(client, case):
        sent, codes = case
        client.try_send(sent)
        expect_stream_error(client, 1, *codes)
    each(server, cases, show)


@by_section(MALFORMED)
def test_a_malformed_request_is_refused_and_reaches_no_origin(server, upstream, cases):
    def show(client, fields):
        fields = [(name, "/body" if (name, value) == (":path", "/") else value) for name, value in fields]
        client.headers(fields, stream=1, raw=True, end=fields[:1] != CONNECT[:1])
        expect_stream_error(client, 1, PROTOCOL_ERROR, may_be_400=True)
        expect_service(client)
        assert not upstream.requests and not upstream.connections
    each(server, cases, show)


# ---- what must be borne

BORNE = {
    "4.1: a frame of unknown type": f(0x16, 0, 0, b"unknown"),
    "4.1: a frame of unknown type on a stream": f(0x16, 0xFF, 1, b"unknown"),
    "4.1: undefined flags of a PING": f(PING, 0xFE, 0, bytes(8)),
    "4.1: the reserved bit of a stream's number": f(PING, 0, 1 << 31, bytes(8)),
    "5.1: PRIORITY on an idle stream": f(PRIORITY, 0, 1, u32(3) + b"\x10"),
    "5.1: PRIORITY on a closed stream": CLOSED + f(PRIORITY, 0, 1, u32(0) + b"\x10"),
    "5.1: WINDOW_UPDATE on a stream whose end was said": HALF_CLOSED + f(WINDOW_UPDATE, 0, 1, u32(1)),
    "5.1: PRIORITY on a stream whose end was said": HALF_CLOSED + f(PRIORITY, 0, 1, u32(3) + b"\x10"),
    "5.1: RST_STREAM on a stream whose end was said": HALF_CLOSED + reset(),
    "5.1: WINDOW_UPDATE on a closed stream": CLOSED + f(WINDOW_UPDATE, 0, 1, u32(1)),
    "5.1: RST_STREAM on a closed stream": CLOSED + f(RST_STREAM, 0, 1, u32(8)),
    "6.1: DATA as large as SETTINGS_MAX_FRAME_SIZE": OPEN + f(DATA, END_STREAM, 1, bytes(16384)),
    "6.1: several DATA": OPEN + f(DATA, 0, 1, b"x") * 5 + f(DATA, END_STREAM, 1, b"x"),
    "6.1: padded DATA": OPEN + f(DATA, PADDED, 1, b"\x03abc\0\0\0"),
    "6.1: DATA without content": OPEN + f(DATA, 0, 1, b""),
    "6.2: padded HEADERS with a priority":
        f(HEADERS, END_HEADERS | END_STREAM | PADDED | PRIORITIZED, 1, b"\x02" + u32(0) + b"\x10" + block(GET) + b"\0\0"),
    "6.3: PRIORITY of the smallest and the largest weight, and exclusive":
        f(PRIORITY, 0, 1, u32(0) + b"\0") + f(PRIORITY, 0, 1, u32(0) + b"\xff") + f(PRIORITY, 0, 5, u32(1 << 31 | 3) + b"\1"),
    "6.3: PRIORITY on an idle stream opens none, and lower ones may be": f(PRIORITY, 0, 5, u32(3) + b"\x10") + head(stream=3),
    "7: an unknown code in RST_STREAM": OPEN + reset(code=0xff),
    "7.1 of RFC 9218: PRIORITY_UPDATE": f(0x10, 0, 0, u32(1) + b"u=1"),
    "6.5: a setting that nobody knows": H2.settings_frame({0x99: 7}),
    "6.5: SETTINGS without settings": f(SETTINGS),
    "6.5.3: the same setting twice": f(SETTINGS, 0, 0, b"\0\x04\0\0\0\x01\0\x04\0\x10\0\0"),
    "6.10: a head in several frames":
        f(HEADERS, END_STREAM, 1, block(GET)[:10]) + f(CONTINUATION, 0, 1, block(GET)[10:11])
        + f(CONTINUATION, 0, 1, b"") + f(CONTINUATION, END_HEADERS, 1, block(GET)[11:]),
    "6.10: a head in a frame for each byte":
        f(HEADERS, END_STREAM, 1, b"") + b"".join(f(CONTINUATION, 0, 1, bytes([byte])) for byte in block(GET))
        + f(CONTINUATION, END_HEADERS, 1, b""),
    "7541, 4.2: the table made smaller, and larger": head(b"\x20" + integer(4096, 5, 0x20) + block(GET)),
    "7541, 4.4: an entry larger than the table": head(block(GET) + indexed("x-a", "v" * 5000)),
    "8.2.2: te: trailers": head(with_fields(("te", "trailers"))),
    "8.2.1: a value with a tab inside": head(with_fields(("x-a", "b\tc"))),
    "8.2.1: an empty value": head(with_fields(("x-a", ""))),
    "8.3.1: OPTIONS of the whole": head(with_fields((":method", "OPTIONS"), (":path", "*"))),
    "8.3.1: host instead of :authority": head([*GET[:3], ("host", "localhost")]),
    "8.3.1: host that says the same": head(with_fields(("host", "localhost"))),
    "8.1: trailers": OPEN + f(DATA, 0, 1, b"x") + head([("x-a", "b")]),
}


@by_section(BORNE)
def test_what_is_borne(server, cases):
    def show(client, sent):
        client.connection.send(sent)
        client.sync()
        expect_service(client)
        assert not any(frame.kind == GOAWAY for frame in client.frames)
    each(server, cases, show)


ODD = [("connection", "x")]
TOO_LONG = literal("x-a", "v" * 9000)
KEPT = indexed("user-agent", "kept")
IN_STEP = {
    "of a malformed request": head(block(with_fields(*ODD)) + KEPT),
    "before what makes a request malformed": head(block(GET) + KEPT + block(ODD)),
    "of a request that is too large": head(block(GET) + TOO_LONG + KEPT),
    "before what makes a request too large": head(block(GET) + KEPT + TOO_LONG),
    "of trailers that nobody takes": head(post(), end=False) + head(KEPT),
    "of malformed trailers": OPEN + head(block(ODD) + KEPT),
}


def test_4_3_the_table_has_the_fields_of_what_was_refused_too(server):
    def show(client, sent):
        client.connection.send(sent)
        again = client.headers(block(with_fields((":path", "/echo"))) + b"\xbe", stream=3)
        assert client.read_response(again).text == "kept"
    each(server, IN_STEP, show)


def test_3_4_a_preface_that_is_none_ends_the_connection(server):
    connection = server.connect()
    connection.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + bytes(20))
    connection.read_until_close()


def test_3_4_the_first_frame_must_be_settings(server):
    client = H2(server.connect(), preface=False)
    client.connection.send(PREFACE + f(PING, 0, 0, bytes(8)))
    expect_connection_error(client, PROTOCOL_ERROR)


def test_3_4_the_servers_first_frame_is_settings(client):
    assert client.read_frame().kind == SETTINGS


def test_6_5_3_settings_are_acknowledged(client):
    assert client.read_until(SETTINGS, flags=ACK).payload == b""


def test_6_5_3_of_a_setting_that_is_said_twice_the_last_counts(weir, folder):
    folder.write("file", bytes(100))
    client = H2(weir("http2 on; root @dir@;").connect(), window=False)
    client.connection.send(f(SETTINGS, 0, 0, b"\0\x04\0\0\0\x32\0\x04\0\0\0\x07"))
    stream = client.headers(with_fields((":path", "/file")))
    assert len(client.read_until(DATA, stream).payload) == 7


def test_6_7_a_ping_is_answered_with_what_it_carried(client):
    client.ping(b"\x01\x02\x03\x04\x05\x06\x07\x08")
    assert client.read_until(PING, flags=ACK).payload == b"\x01\x02\x03\x04\x05\x06\x07\x08"


def test_6_7_an_answer_to_a_ping_is_not_answered(client):
    client.ping(b"no reply", flags=ACK)
    client.sync()
    assert not any(frame.payload == b"no reply" for frame in client.frames)


@pytest.mark.parametrize("code", [NO_ERROR, 0xff], ids=["no error", "a code that nobody knows"])
def test_6_8_after_a_goaway_what_was_asked_before_is_served(client, code):
    stream = client.headers(GET)
    client.send(GOAWAY, 0, 0, u32(0) + u32(code) + b"debug")
    assert client.read_response(stream).body == b"hello"


def test_6_9_1_more_than_the_window_lets_in_is_refused(weir, deaf):
    client = H2(weir("http2 on; location / { proxy_pass http://@deaf@; proxy_request_buffering off; }",
                     deaf=deaf).connect())
    stream = client.headers(post(), end=False)
    client.try_send(*[f(DATA, 0, stream, bytes(16384)) for _ in range(100)])
    expect_stream_error(client, stream, FLOW_CONTROL_ERROR)


def test_6_9_1_more_than_the_connections_window_lets_in_ends_the_connection(weir, deaf):
    client = H2(weir("http2 on; location / { proxy_pass http://@deaf@; proxy_request_buffering off; }",
                     deaf=deaf).connect())
    client.sync()
    streams = [client.headers(post(), end=False) for _ in range(10)]
    client.try_send(*[f(DATA, 0, stream, bytes(16384)) for stream in streams for _ in range(4)])
    assert client.read_goaway().error_code == FLOW_CONTROL_ERROR


def windows_given(client):
    """What the connection's window was opened by."""
    return sum(int.from_bytes(frame.payload, "big") for frame in client.frames
               if frame.kind == WINDOW_UPDATE and frame.stream == 0)


def test_6_9_1_what_comes_late_on_a_closed_stream_does_not_use_up_the_connections_window(client):
    client.sync()
    before, sent = windows_given(client), 0
    for _ in range(20):
        stream = client.headers(post(), end=False)
        client.read_until(RST_STREAM, stream)
        client.connection.send(f(DATA, 0, stream, bytes(16384)) * 4)
        client.sync()
        sent += 4 * 16384
    assert windows_given(client) - before > sent / 2


def test_6_1_padding_does_not_use_up_windows(weir, upstream):
    client = H2(weir(CONFIG + "client_max_body_size 0;").connect())
    stream = client.headers(post((":path", "/body")), end=False)
    client.sync()
    before, sent = windows_given(client), 0
    for _ in range(100):
        client.connection.send(f(DATA, PADDED, stream, b"\xff" + b"a" * 20 + bytes(255)) * 40)
        client.sync()
        sent += 276 * 40
    assert windows_given(client) - before > sent / 2
    client.data(stream, b"", end=True)
    assert client.read_response(stream).status == 200
    assert upstream.last.body == b"a" * 80_000


def test_5_4_2_a_reset_is_not_answered(client):
    client.connection.send(HALF_CLOSED + reset())
    expect_service(client)
    assert not any(frame.kind == RST_STREAM for frame in client.frames)


def test_6_9_2_a_window_may_become_negative(weir, folder):
    folder.write("file", bytes(100))
    client = H2(weir("http2 on; root @dir@;").connect(), settings={INITIAL_WINDOW_SIZE: 10}, window=False)
    stream = client.headers(with_fields((":path", "/file")))
    assert len(client.read_until(DATA, stream).payload) == 10
    client.connection.send(client.settings_frame({INITIAL_WINDOW_SIZE: 5}))
    client.window_update(stream, 5)
    client.sync()
    client.window_update(stream, 1)
    assert len(client.read_until(DATA, stream).payload) == 1


def test_6_9_2_a_window_that_grows_lets_more_out(weir, folder):
    folder.write("file", bytes(100))
    client = H2(weir("http2 on; root @dir@;").connect(), settings={INITIAL_WINDOW_SIZE: 0}, window=False)
    stream = client.headers(with_fields((":path", "/file")))
    client.sync()
    client.connection.send(client.settings_frame({INITIAL_WINDOW_SIZE: 7}))
    assert len(client.read_until(DATA, stream).payload) == 7


def test_6_9_2_a_window_that_overflows_ends_the_connection(client):
    client.connection.send(OPEN + f(WINDOW_UPDATE, 0, 1, u32((1 << 31) - 1 - (1 << 20)))
                           + H2.settings_frame({INITIAL_WINDOW_SIZE: (1 << 31) - 1}))
    expect_stream_error(client, 1, FLOW_CONTROL_ERROR)


def test_6_5_2_frames_are_no_larger_than_the_client_takes(weir, folder):
    folder.write("file", bytes(200_000))
    client = H2(weir("http2 on; root @dir@; http2_chunk_size 1m;").connect())
    assert len(client.get("/file").body) == 200_000
    assert max(len(frame.payload) for frame in client.frames) <= 16384


def test_5_1_2_more_streams_than_allowed_are_refused(weir, upstream):
    client = H2(weir(CONFIG + "http2_max_concurrent_streams 2;").connect())
    client.read_until(SETTINGS)
    client.sync()
    for _ in range(2):
        client.headers(post((":path", "/body")), end=False)
    third = client.headers(GET)
    expect_stream_error(client, third, REFUSED_STREAM, PROTOCOL_ERROR)


def test_5_1_2_streams_beyond_what_the_client_has_not_read_of_yet_are_refused_alone(weir, upstream):
    client = H2(weir(CONFIG + "http2_max_concurrent_streams 1;").connect())
    client.connection.send(OPEN + head(block(GET) + KEPT, stream=3))
    assert client.read_until(RST_STREAM, 3).error_code == REFUSED_STREAM
    client.connection.send(reset())
    again = client.headers(block(with_fields((":path", "/echo"))) + b"\xbe", stream=5)
    assert client.read_response(again).text == "kept"


def test_8_1_a_response_to_head_says_its_length_and_has_no_content(client):
    response = client.get("/", (":method", "HEAD"))
    assert response.headers["content-length"] == "5" and not response.body


def test_8_1_a_response_ends_the_stream(client):
    stream = client.headers(GET)
    client.read_response(stream)
    assert client.frames[-1].flags & END_STREAM


def test_7541_the_table_of_the_client_bounds_that_of_the_server(server):
    """SETTINGS_HEADER_TABLE_SIZE 0: nothing may be put into it, and the change is said."""
    client = H2(server.connect(), settings={1: 0})
    client.decoder.max_allowed_table_size = 0
    for _ in range(3):
        assert client.get().body == b"hello"
    assert client.decoder.header_table_size == 0


def test_7541_a_table_that_the_client_makes_smaller_is_smaller(client):
    for _ in range(2):
        client.get()
    assert client.decoder.header_table_size != 0
    for size in (0, 100):
        client.connection.send(client.settings_frame({1: size}))
        client.decoder.max_allowed_table_size = size
        client.sync()
        assert client.get().body == b"hello"
        assert client.decoder.header_table_size <= size


def test_7541_dynamic_table_entries_are_found_again(client):
    for _ in range(3):                      # hpack's encoder indexes what it sends
        response = client.get("/", ("x-long", "v" * 300), ("cookie", "a=b"))
        assert response.status == 200


def test_7541_huffman_text_is_read(client):
    stream = client.headers(client.encoder.encode(with_fields(("x-a", "a text that is shorter with Huffman")),
                                                  huffman=True))
    assert client.read_response(stream).status == 200


@pytest.mark.parametrize("coded", [False, True], ids=["plain", "Huffman"])
@pytest.mark.parametrize("named", [True, False], ids=["indexed name", "new name"])
@pytest.mark.parametrize("kind, bits", [(0x40, 6), (0x00, 4), (0x10, 4)], ids=["indexed", "not indexed", "never indexed"])
def test_7541_6_2_a_literal_may_be_written_in_each_way(client, kind, bits, named, coded):
    def text(of):
        data = HUFFMAN.encode(of) if coded else of
        return integer(len(data), 7, 0x80 if coded else 0) + data
    name = integer(58 if named else 0, bits, kind) + (b"" if named else text(b"user-agent"))
    target = block(with_fields((":path", "/echo")))
    assert client.read_response(client.headers(target + name + text(b"Value 1.2"))).text == "Value 1.2"
    if kind == 0x40:                        # it is in the table now
        assert client.read_response(client.headers(target + b"\xbe")).text == "Value 1.2"


def test_5_1_frames_that_were_on_their_way_to_streams_that_the_server_reset_are_borne(client):
    """However many: each early answer resets what is left of its request."""
    for _ in range(3):
        streams = [client.headers(post(), end=False) for _ in range(60)]
        for stream in streams:
            client.read_until(RST_STREAM, stream)
        for stream in streams:
            client.connection.send(f(DATA, 0, stream, b"late" * 3) + head([("x-a", "b")], stream=stream))
    streams = range(1, client.next_stream, 2)
    client.connection.send(b"".join(f(DATA, 0, stream, b"later" * 3) for stream in streams))
    client.sync()
    assert client.get().body == b"hello"


def test_a_stream_error_leaves_other_streams_alone(client):
    first = client.headers(post((":path", "/body")), end=False)
    bad = client.headers(with_fields(("connection", "close")))
    expect_stream_error(client, bad, PROTOCOL_ERROR, may_be_400=True)
    assert client.get().body == b"hello"
    client.reset(first)
    with pytest.raises(Ended):
        bad2 = client.headers(with_fields((":path", "")))
        client.read_response(bad2)
