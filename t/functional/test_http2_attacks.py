"""What a client may not do to an HTTP/2 server: memory, time and work are bounded, whatever it sends.

Each attack is carried on until the server ends the connection, or for a bounded number of frames; then its worker may
have no more than 1 MiB beyond what it had, and others are served as before.
"""

import struct
import time

import pytest

from harness import TIMEOUT, h2, kernel, wait_until
from harness.h2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GET,
    GOAWAY,
    H2,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PADDED,
    PING,
    PRIORITIZED,
    PRIORITY,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Ended,
    block,
    frame_bytes,
    integer,
    literal,
    post,
    with_fields,
)
from harness.wire import Truncated

pytestmark = pytest.mark.weir_only("nginx bears other amounts of these")

CONFIG = """http2 on; client_max_body_size 0;
    location / { return 200 hello; }
    location /file { alias @dir@/file; }
    location /slow { proxy_pass http://@deaf@; }
    location /hang { proxy_pass http://@deaf@; proxy_request_buffering off; }"""
KEEPS = "keepalive_requests 1000000;"


def u32(number):
    return struct.pack(">I", number)


class Attack:
    """A client that sends without end, reads what comes now and then, and watches the worker."""

    def __init__(self, server, settings=None, window=False):
        self.server = server
        self.pid, = server.workers()
        self.before = self.memory()
        self.peak = 0
        self.used_ns = kernel.cpu_ns(self.pid)
        self.client = H2(server.connect(), settings=settings, window=window)
        self.client.sync()

    def memory(self):
        return kernel.private_kib(self.pid)

    def go_on(self, make, batch=200, waits=False):
        """Sends make(number) until the server ends the connection; True if it did.  waits: until each batch was looked at."""
        number = 0
        looked = 0
        give_up = time.monotonic() + TIMEOUT
        while time.monotonic() < give_up:
            frames = []
            for _ in range(batch):
                frames.append(make(number))
                number += 1
            try:
                if not self.client.try_send(*frames):
                    return True
                if waits:
                    self.client.sync()
            except (Ended, Truncated, ConnectionError):
                return True
            # To look takes longer than to send, and who sends slowly is no attacker.
            if not self.server.binary.is_sanitized and time.monotonic() > looked + 0.02:
                self.peak, looked = max(self.peak, self.memory()), time.monotonic()
        return False

    def expect_end(self, code="ENHANCE_YOUR_CALM"):
        self.client.read_goaway()
        for frame in self.client.frames:    # where the end overtook it the log tells
            assert frame.kind != GOAWAY or frame.error_code == getattr(h2, code), frame
        self.server.wait_log(f"http2 connection ends: {code}")
        self.expect_calm()

    def expect_calm(self):
        assert self.server.get("/").text == "hello"
        grown = max(self.peak, self.memory()) - self.before
        used_ms = (kernel.cpu_ns(self.pid) - self.used_ns) / 1e6
        assert self.server.binary.is_sanitized or grown <= 1024, f"{grown} KiB more"
        # Not even the first second is used, of a processor that serves ordinary requests in some 30 us each.
        most_ms = max(1000, 30_000 * self.server.ordinary_ms)
        assert self.server.binary.is_sanitized or used_ms < most_ms, f"{used_ms} ms of a core"
        # Also while the client is there still.
        wait_until(lambda: kernel.is_calm(self.pid, 0.3), "the worker to be calm")


@pytest.fixture
def server(weir, deaf, folder):
    folder.write("file", bytes(1_000_000))
    running = weir(CONFIG + KEEPS, deaf=deaf)
    # What a worker allocates once is there before it is measured.
    client = H2(running.connect())
    for _ in range(3):
        client.get()
        client.get("/file")
    used_ns = kernel.cpu_ns(running.workers()[0])
    for _ in range(100):
        client.get()
    running.ordinary_ms = (kernel.cpu_ns(running.workers()[0]) - used_ns) / 1e6 / 100
    client.connection.close()
    return running


def stream_of(number):
    return 101 + 2 * number


def asks(n, fields=GET, flags=END_STREAM, more=b""):
    return frame_bytes(HEADERS, END_HEADERS | flags, stream_of(n), more + block(fields))


HANGS = with_fields((":path", "/hang"))
BODY_HANGS = post((":path", "/hang"))

FLOODS = {
    "PING": lambda n: frame_bytes(PING, 0, 0, bytes(8)),
    "SETTINGS": lambda n: frame_bytes(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, 1000 + n % 7)),
    "empty SETTINGS": lambda n: frame_bytes(SETTINGS),
    "PRIORITY": lambda n: frame_bytes(PRIORITY, 0, stream_of(n), u32(0) + b"\x10"),
    "WINDOW_UPDATE": lambda n: frame_bytes(WINDOW_UPDATE, 0, 0, u32(1)),
    "RST_STREAM of nothing": lambda n: asks(n) + frame_bytes(RST_STREAM, 0, stream_of(n), u32(8)) * 10,
    "unknown frames": lambda n: frame_bytes(0x42, 0, 0, bytes(1000)),
    "rapid reset (CVE-2023-44487)": lambda n: asks(n, HANGS) + frame_bytes(RST_STREAM, 0, stream_of(n), u32(8)),
}

# By which a client has the server reset streams, one after the other (CVE-2025-8671).
RESETS = {
    "empty HEADERS": lambda n: frame_bytes(HEADERS, END_HEADERS | END_STREAM, stream_of(n)),
    "empty HEADERS that go on": lambda n: frame_bytes(HEADERS, 0, stream_of(n)) + frame_bytes(CONTINUATION, END_HEADERS, stream_of(n)),
    "windows that overflow":
        lambda n: asks(n, HANGS) + frame_bytes(WINDOW_UPDATE, 0, stream_of(n), u32((1 << 31) - 1)),
    "malformed requests": lambda n: asks(n, with_fields(("connection", "x"))),
    "more content than was said":
        lambda n: asks(n, [*BODY_HANGS, ("content-length", "1")], flags=0) + frame_bytes(DATA, 0, stream_of(n), b"xx"),
    "trailers that do not end":
        lambda n: asks(n, BODY_HANGS, flags=0) + asks(n, [("x-a", "b")], flags=0),
}


@pytest.mark.parametrize("make", FLOODS.values(), ids=FLOODS)
def test_a_flood_ends_the_connection(server, make):
    attack = Attack(server)
    assert attack.go_on(make), "it was borne for ever"
    attack.expect_end()


@pytest.mark.parametrize("make", RESETS.values(), ids=RESETS)
def test_who_has_streams_reset_for_ever_is_sent_away(server, make):
    attack = Attack(server)
    assert attack.go_on(make, batch=50, waits=True), "it was borne for ever"
    attack.expect_end()
    assert sum(frame.kind == RST_STREAM for frame in attack.client.frames) > 50


# What nghttp2 takes for an error of the connection, as it may (RFC 9113, 5.4.2), makes no second reset.
AT_ONCE = {
    "a window's increment of 0": (lambda n: asks(n, HANGS) + frame_bytes(WINDOW_UPDATE, 0, stream_of(n), u32(0)), "PROTOCOL_ERROR"),
    "DATA behind the end": (lambda n: asks(n, HANGS) + frame_bytes(DATA, 0, stream_of(n), b"x"), "STREAM_CLOSED"),
    "DATA that is too large":
        (lambda n: asks(n, BODY_HANGS, flags=0) + frame_bytes(DATA, 0, stream_of(n), bytes(16385)), "FRAME_SIZE_ERROR"),
    "a stream that depends on itself":
        (lambda n: asks(n, HANGS, END_STREAM | PRIORITIZED, u32(stream_of(n)) + b"\x10"), "PROTOCOL_ERROR"),
    "more streams than may be": (lambda n: asks(n, post((":path", "/slow")), flags=0), "PROTOCOL_ERROR"),
}


@pytest.mark.parametrize("make, code", AT_ONCE.values(), ids=AT_ONCE)
def test_what_could_be_a_flood_of_resets_is_an_error_of_the_connection(server, make, code):
    attack = Attack(server)
    assert attack.go_on(make)
    attack.expect_end(code)


@pytest.mark.parametrize("make", [FLOODS["PING"], FLOODS["empty SETTINGS"], FLOODS["rapid reset (CVE-2023-44487)"]],
                         ids=["PING", "SETTINGS", "reset"])
def test_a_flood_in_small_packets_ends_the_connection(server, make):
    attack = Attack(server)
    assert attack.go_on(make, batch=3)
    attack.expect_end()


def test_frames_of_a_body_without_content_end_the_connection(server):
    attack = Attack(server)
    stream = attack.client.headers(post((":path", "/hang")), end=False)
    assert attack.go_on(lambda n: frame_bytes(DATA, 0, stream))
    attack.expect_end()


def test_frames_of_a_body_with_only_padding_end_the_connection(server):
    attack = Attack(server)
    stream = attack.client.headers(post((":path", "/hang")), end=False)
    assert attack.go_on(lambda n: frame_bytes(DATA, PADDED, stream, b"\xff" + bytes(255)))
    attack.expect_end()


def test_a_body_of_one_byte_frames_ends_the_connection(server):
    attack = Attack(server)
    stream = attack.client.headers(post((":path", "/hang")), end=False)
    assert attack.go_on(lambda n: frame_bytes(DATA, 0, stream, b"x"))
    attack.expect_end()


def test_a_body_in_small_but_useful_frames_is_taken(server, upstream):
    attack = Attack(server)
    for _ in range(20):
        stream = attack.client.headers(post(), end=False)
        attack.client.connection.send(b"".join(frame_bytes(DATA, 0, stream, bytes(20)) for _ in range(500)))
        try:
            attack.client.read_response(stream)
        except Exception:
            raise AssertionError(f"{attack.client.frames[-3:]}")
    assert attack.client.get().text == "hello"


# ---- field sections

def test_continuation_without_end_ends_the_connection(server):
    attack = Attack(server)
    attack.client.send(HEADERS, END_STREAM, 101, block(GET))
    field = literal("x-a", "b" * 100)
    assert attack.go_on(lambda n: frame_bytes(CONTINUATION, 0, 101, field))
    attack.expect_end()


def test_continuation_without_content_ends_the_connection(server):
    attack = Attack(server)
    attack.client.send(HEADERS, END_STREAM, 101, block(GET))
    assert attack.go_on(lambda n: frame_bytes(CONTINUATION, 0, 101))
    attack.expect_end()


def test_a_head_that_does_not_go_on_is_timed_out(weir):
    server = weir("http2 on; client_header_timeout 300ms; location / { return 200 hello; }")
    client = H2(server.connect())
    client.send(HEADERS, END_STREAM, 1, block(GET))
    client.connection.read_until_close()
    server.wait_log("client timed out while reading client request headers")
    assert '" 408 ' in server.access_log(1)[0]


def indexed_bomb(value, count):
    """An entry of the table with a long value, and one byte for each time that it is meant."""
    entry = b"\x40" + literal("x-bomb", value)[1:]
    return block(GET) + entry + b"\xbe" * count


BOMBS = {
    "long fields": indexed_bomb("v" * 3900, 10_000),
    "short fields": indexed_bomb("v" * 100, 16_000),
    "empty fields": indexed_bomb("", 16_000),
    "crumbs of a cookie": block(GET) + b"\x40" + literal("cookie", "a=b")[1:] + b"\xbe" * 16_000,
}


@pytest.mark.parametrize("fields", BOMBS.values(), ids=BOMBS)
def test_fields_of_one_byte_are_bounded_in_their_sum(server, fields):
    attack = Attack(server)
    # For each request ...
    for number in range(3):
        response = attack.client.read_response(attack.client.headers(fields, stream=stream_of(number)))
        assert response.status == 400 and b"Request Header Or Cookie Too Large" in response.body
        attack.peak = max(attack.peak, attack.memory())
    # ... and for the connection.
    assert attack.go_on(lambda n: frame_bytes(HEADERS, END_HEADERS | END_STREAM, stream_of(n + 3), fields), batch=2)
    attack.expect_end()


@pytest.mark.parametrize("fields", [indexed_bomb("", 15_000) + literal("connection", "x"),
                                    literal("connection", "x") + indexed_bomb("", 15_000)], ids=["behind", "before"])
def test_fields_of_malformed_requests_are_bounded_in_their_sum(server, fields):
    attack = Attack(server)
    assert attack.go_on(lambda n: frame_bytes(HEADERS, END_HEADERS | END_STREAM, stream_of(n), fields), batch=2)
    attack.expect_end()


def test_who_asks_again_for_what_was_put_off_is_no_attacker(server):
    attack = Attack(server)
    heavy = block(post((":path", "/slow"), ("x-a", "v" * 8000), ("x-b", "v" * 8000)))
    for number in range(500):
        attack.client.headers(heavy, stream=stream_of(number), end=False)
    attack.client.sync(b"all sent")
    assert sum(frame.kind == RST_STREAM for frame in attack.client.frames) > 400


HEAVY = {
    "many fields": block(post((":path", "/slow"))) + b"\x40" + literal("x-bomb", "")[1:] + b"\xbe" * 900,
    "large fields": block(post((":path", "/slow"), ("x-a", "v" * 8000), ("x-b", "v" * 8000))),
}


@pytest.mark.parametrize("fields", HEAVY.values(), ids=HEAVY)
def test_heads_of_requests_that_wait_are_bounded_in_their_sum(server, fields):
    attack = Attack(server)
    # Their bodies do not come.
    streams = [attack.client.headers(fields, stream=stream_of(number), end=False) for number in range(100)]
    attack.client.sync(b"all sent")
    attack.peak = attack.memory()
    refused = [frame.stream for frame in attack.client.frames if frame.kind == RST_STREAM]
    assert refused and all(frame.error_code == REFUSED_STREAM for frame in attack.client.frames if frame.kind == RST_STREAM)
    # Those may come again when there is room.
    for stream in streams:
        if stream not in refused:
            attack.client.reset(stream)
    again = attack.client.headers(block(with_fields(("x-a", "v" * 8000))), stream=stream_of(200))
    assert attack.client.read_response(again).text == "hello"
    attack.expect_calm()


def test_trailers_that_nobody_takes_are_bounded_in_their_sum(server):
    attack = Attack(server)
    trailers = b"\x40" + literal("x-bomb", "")[1:] + b"\xbe" * 16_000
    assert attack.go_on(lambda n: frame_bytes(HEADERS, END_HEADERS, stream_of(n), block(post((":path", "/hang"))))
                        + frame_bytes(HEADERS, END_HEADERS | END_STREAM, stream_of(n), trailers), batch=2)
    attack.expect_end()


def test_large_heads_that_are_taken_cost_nothing(server):
    """As with tokens and cookies of some KiB, on a connection that many clients share."""
    client = H2(server.connect())
    fields = block(with_fields(("authorization", "t" * 6000), ("cookie", "c" * 6000)))
    for _ in range(40):
        streams = [client.headers(fields) for _ in range(20)]
        assert all(client.read_response(stream).status == 200 for stream in streams)


def test_a_client_that_cancels_as_many_requests_as_it_lets_finish_is_served(server):
    client = H2(server.connect())
    for _ in range(30):
        streams = [client.headers(with_fields((":path", "/hang"))) for _ in range(50)]
        for stream in streams:
            client.reset(stream)
        for _ in range(50):
            assert client.get().text == "hello"


def test_a_head_as_large_as_http_1_takes_is_taken(server):
    client = H2(server.connect())
    assert client.get("/", *[(f"x-{i}", "v" * 1000) for i in range(28)]).status == 200
    assert client.get("/", *[(f"x-{i}", "v" * 1000) for i in range(40)]).status == 400
    assert client.get("/", ("x-long", "v" * 9000)).status == 400
    assert client.get("/" + "p" * 9000).status == 414
    for lines, status in ((999, 200), (1000, 400)):
        assert client.request(block(GET) + literal("x-a", "") * lines).status == status
    server.wait_log("client sent too many header lines")
    assert client.get().status == 200


def test_a_head_as_large_as_the_configuration_says_is_taken(weir):
    client = H2(weir(CONFIG + "large_client_header_buffers 4 128k;", deaf="127.0.0.1:1").connect())
    fields = block(GET) + b"".join(literal(f"x-{i}", "v" * 1000) for i in range(400))
    for _ in range(10):
        assert client.read_response(client.headers(fields)).status == 200


def test_a_head_that_is_much_too_large_is_answered_on_its_stream(server):
    attack = Attack(server)
    fields = block(GET) + b"".join(literal(f"x-{i}", "v" * 1000) for i in range(120))
    waiting = attack.client.headers(with_fields((":path", "/hang")))
    stream = attack.client.headers(fields)
    assert attack.client.read_response(stream).status == 400
    assert attack.client.get().text == "hello"
    attack.client.reset(waiting)
    attack.expect_calm()


def test_heads_that_are_much_too_large_end_the_connection_in_the_end(server):
    attack = Attack(server)
    fields = block(GET) + b"".join(literal(f"x-{i}", "v" * 1000) for i in range(120))
    parts = [fields[n:n + 16384] for n in range(0, len(fields), 16384)]

    def head(n):
        return frame_bytes(HEADERS, END_STREAM, stream_of(n), parts[0]) + b"".join(
            frame_bytes(CONTINUATION, END_HEADERS if part is parts[-1] else 0, stream_of(n), part) for part in parts[1:])
    assert attack.go_on(head, batch=2)
    attack.expect_end()


def test_the_table_of_fields_does_not_grow(server):
    attack = Attack(server)
    for number in range(3000):
        fields = block(GET) + b"\x40" + literal(f"x-{number}", "v" * 3000)[1:]
        attack.client.headers(fields, stream=stream_of(number))
        attack.client.read_response(stream_of(number))
        if number % 100 == 0:
            attack.peak = max(attack.peak, attack.memory())
    attack.expect_calm()


def test_a_client_cannot_make_our_table_grow(server):
    attack = Attack(server, settings={1: 1 << 30})
    for _ in range(500):
        attack.client.get("/nothing")
    attack.peak = attack.memory()
    attack.expect_calm()


def test_changes_of_a_table_size_are_no_endless_loop(server):
    attack = Attack(server)
    attack.client.try_send(frame_bytes(HEADERS, END_HEADERS | END_STREAM, 101,
                                       (b"\x20" + integer(4096, 5, 0x20)) * 4000 + block(GET)))
    attack.client.sync(b"was done")
    attack.expect_calm()


# ---- windows

def test_a_window_that_stays_shut_keeps_no_bodies(server):
    attack = Attack(server, settings={INITIAL_WINDOW_SIZE: 0})
    for number in range(120):
        attack.client.headers(with_fields((":path", "/file")), stream=stream_of(number))
    attack.client.sync(b"all sent")
    attack.peak = attack.memory()
    attack.expect_calm()


def test_windows_of_one_byte_end_the_connection(server):
    attack = Attack(server, settings={INITIAL_WINDOW_SIZE: 1})
    for number in range(120):
        attack.client.headers(with_fields((":path", "/file")), stream=stream_of(number))
    attack.client.sync(b"all sent")
    attack.peak = attack.memory()
    assert attack.go_on(lambda n: frame_bytes(WINDOW_UPDATE, 0, stream_of(n % 120), u32(1)))
    attack.expect_end()


def test_a_client_that_does_not_read_is_not_read_from(server):
    """Answers that nobody takes do not gather here."""
    attack = Attack(server, settings={INITIAL_WINDOW_SIZE: (1 << 31) - 1})
    attack.client.window_update(0, 1 << 30)
    for number in range(120):
        attack.client.headers(with_fields((":path", "/file")), stream=stream_of(number))
    attack.client.connection.sock.settimeout(1)
    assert attack.go_on(lambda n: frame_bytes(0x42, 0, 0, bytes(10_000))), "all of it was read"
    attack.peak = max(attack.peak, attack.memory())
    attack.client.connection.close()
    attack.expect_calm()


def test_a_body_that_nobody_reads_is_bounded(server):
    attack = Attack(server)
    for number in range(50):
        try:
            attack.client.headers(post((":path", "/hang")), stream=stream_of(number), end=False)
        except ConnectionError:
            break
        attack.client.try_send(*[frame_bytes(DATA, 0, stream_of(number), bytes(16384)) for _ in range(4)])
        attack.peak = max(attack.peak, attack.memory())
    attack.expect_calm()


def test_slow_but_honest_clients_are_served(server):
    """A window of an ordinary client, acknowledged for each frame, for a long response."""
    client = H2(server.connect(), settings={INITIAL_WINDOW_SIZE: 65535}, window=False)
    for _ in range(3):
        stream = client.headers(with_fields((":path", "/file")))
        got = 0
        while got < 1_000_000:
            frame = client.read_frame()
            if frame.kind == DATA and frame.payload:
                got += len(frame.payload)
                client.window_update(0, len(frame.payload))
                client.window_update(stream, len(frame.payload))
        assert got == 1_000_000
