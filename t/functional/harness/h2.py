"""HTTP/2 as frames on a connection, seen from the client's side: whatever a test wants to send, right or wrong."""

import struct

from hpack import Decoder, Encoder

from .wire import Headers, Response, Truncated

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, \
    CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 0x1, 0x1, 0x4, 0x8, 0x20

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, \
    MAX_HEADER_LIST_SIZE = range(1, 7)
ENABLE_CONNECT_PROTOCOL, NO_RFC7540_PRIORITIES = 8, 9

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, \
    FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, \
    ENHANCE_YOUR_CALM, INADEQUATE_SECURITY, HTTP_1_1_REQUIRED = range(14)

GET = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "localhost")]


def with_fields(*pairs, base=GET):
    """GET's fields with these in the place of those of the same name, or behind them."""
    names = {name for name, _ in pairs}
    kept = [next((p for p in pairs if p[0] == name), (name, value)) for name, value in base]
    return kept + [p for p in pairs if p[0] not in {name for name, _ in base}] if names else kept


def post(*pairs):
    return with_fields((":method", "POST"), *pairs)


def literal(name, value):
    """A field as HPACK writes it without a table and without Huffman: any bytes at all."""
    def text(of):
        data = of.encode("latin-1") if isinstance(of, str) else of
        return integer(len(data), 7) + data
    return b"\x00" + text(name) + text(value)


def integer(number, bits, flags=0):
    """RFC 7541, 5.1."""
    most = (1 << bits) - 1
    if number < most:
        return bytes([flags | number])
    out = [flags | most]
    number -= most
    while number >= 128:
        out.append(number % 128 + 128)
        number //= 128
    return bytes(out + [number])


def block(fields):
    return b"".join(literal(name, value) for name, value in fields)


class Frame:
    def __init__(self, kind, flags, stream, payload):
        self.kind, self.flags, self.stream, self.payload = kind, flags, stream, payload
        self.fields = None                  # of HEADERS

    def __repr__(self):
        return f"<Frame {self.kind} flags {self.flags:#x} stream {self.stream} {self.payload[:40]!r}>"

    @property
    def error_code(self):
        return struct.unpack(">I", self.payload[4:8] if self.kind == GOAWAY else self.payload[:4])[0]

    @property
    def settings(self):
        return dict(struct.iter_unpack(">HI", self.payload))


def frame_bytes(kind, flags=0, stream=0, payload=b"", length=None):
    length = len(payload) if length is None else length
    return struct.pack(">I", length)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Coming:
    """A response as far as it has come."""

    def __init__(self):
        self.response = None
        self.interim = []
        self.ended_by = None


class Ended(Exception):
    """The stream or the connection ended in another way than with a response."""

    def __init__(self, frame):
        super().__init__(repr(frame))
        self.frame = frame


class H2:
    """A client over a harness Connection, whose frames are sent and read one by one.

    The windows that it gives are wide open, unless a test sends its own settings.
    """

    def __init__(self, connection, settings=None, preface=True, window=True):
        self.connection = connection
        self.encoder, self.decoder = Encoder(), Decoder()
        self.next_stream = 1
        self.frames = []                    # all that were read
        self._head = self._block = None     # a field section, as far as it has come
        self._streams = {}                  # what came on each
        self._updates = window
        self._room = {0: 65535}             # what the other side's windows let us send
        self._initial_room = 65535
        if preface:
            connection.send(PREFACE + self.settings_frame(settings or {INITIAL_WINDOW_SIZE: 1 << 20}))
            if window:
                self.window_update(0, 1 << 30)

    # ---- sending

    @staticmethod
    def settings_frame(settings):
        return frame_bytes(SETTINGS, payload=b"".join(struct.pack(">HI", *p) for p in settings.items()))

    def send(self, kind, flags=0, stream=0, payload=b"", length=None):
        self.connection.send(frame_bytes(kind, flags, stream, payload, length))

    def try_send(self, *frames):
        """Sends what a server may refuse by closing. False: it has closed."""
        try:
            self.connection.send(b"".join(frames))
            return True
        except (BrokenPipeError, ConnectionError, OSError):
            return False

    def headers(self, fields, stream=None, end=True, flags=END_HEADERS, raw=False):
        """Opens a stream. raw: fields is a block, or is written as it is."""
        stream = self.take_stream() if stream is None else stream
        if isinstance(fields, bytes):
            data = fields
        else:
            data = block(fields) if raw else self.encoder.encode(fields)
        first, rest = data[:16384], data[16384:]
        ends = END_STREAM if end else 0
        frames = [frame_bytes(HEADERS, ends | (0 if rest else flags), stream, first)]
        while rest:
            part, rest = rest[:16384], rest[16384:]
            frames.append(frame_bytes(CONTINUATION, 0 if rest else flags, stream, part))
        self.connection.send(b"".join(frames))
        return stream

    def take_stream(self):
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        return stream

    def data(self, stream, data=b"", end=False):
        self.send(DATA, END_STREAM if end else 0, stream, data)

    def body(self, stream, data, end=False):
        """DATA frames as the other side's windows let them go."""
        while data or end:
            room = min(16384, len(data), self._room[0], self._room.setdefault(stream, self._initial_room))
            if data and room <= 0:
                self.read_frame()
                continue
            part, data = data[:room], data[room:]
            self.data(stream, part, end and not data)
            self._room[0] -= room
            self._room[stream] -= room
            if not data:
                return

    def window_update(self, stream, increment):
        self.send(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))

    def reset(self, stream, code=CANCEL):
        self.send(RST_STREAM, 0, stream, struct.pack(">I", code))

    def ping(self, payload=b"12345678", flags=0):
        self.send(PING, flags, 0, payload)

    # ---- reading

    def read_frame(self):
        """The next frame; settings are acknowledged, and what belongs to a response is kept for it."""
        head = self.connection.read_exactly(9)
        length = int.from_bytes(head[:3], "big")
        stream = int.from_bytes(head[5:], "big") & 0x7FFFFFFF
        frame = Frame(head[3], head[4], stream, self.connection.read_exactly(length))
        self.frames.append(frame)
        if frame.kind == SETTINGS and not frame.flags & ACK:
            self.try_send(frame_bytes(SETTINGS, ACK))
            self._take_settings(frame.settings)
        elif frame.kind == WINDOW_UPDATE:
            self._room[stream] = self._room.get(stream, self._initial_room) + int.from_bytes(frame.payload, "big")
        elif frame.kind in (HEADERS, CONTINUATION):
            self._take_block(frame)
        elif frame.kind == DATA:
            self._take_data(frame)
        elif frame.kind == RST_STREAM:
            self._coming(stream).ended_by = frame
        if frame.kind in (HEADERS, DATA) and frame.flags & END_STREAM:
            self._coming(stream).ended_by = frame
        return frame

    def _take_settings(self, settings):
        more = settings.get(INITIAL_WINDOW_SIZE, self._initial_room) - self._initial_room
        self._initial_room += more
        for stream in self._room:
            self._room[stream] += more if stream else 0

    def _coming(self, stream):
        return self._streams.setdefault(stream, Coming())

    def _take_block(self, frame):
        if frame.kind == HEADERS:
            self._head, self._block = frame, b""
        self._block += frame.payload
        if frame.flags & END_HEADERS:
            self._take_fields(self._head, self._block)

    def _take_fields(self, frame, data):
        frame.fields = self.decoder.decode(data)
        coming = self._coming(frame.stream)
        if frame.fields[0][0] != ":status":
            coming.response.trailers = Headers(frame.fields)
            return
        made = Response("HTTP/2", int(frame.fields[0][1]), "", Headers(frame.fields[1:]))
        if made.status < 200:
            coming.interim.append(made)
        else:
            made.interim = coming.interim
            coming.response = made

    def _take_data(self, frame):
        self._coming(frame.stream).response.body += frame.payload
        if self._updates and frame.payload and not frame.flags & END_STREAM:
            self.try_send(frame_bytes(WINDOW_UPDATE, 0, frame.stream,
                                      struct.pack(">I", len(frame.payload))))

    def read_until(self, kind, stream=None, flags=0):
        while True:
            frame = self.read_frame()
            if frame.kind == kind and (stream is None or frame.stream == stream) \
                    and frame.flags & flags == flags:
                return frame

    def sync(self, payload=b"are here"):
        """Until the server has seen all that was sent."""
        self.ping(payload)
        while True:
            frame = self.read_frame()
            if frame.kind == PING and frame.flags & ACK and frame.payload == payload:
                return
            if frame.kind == GOAWAY:
                raise Ended(frame)

    def read_response(self, stream):
        """The response on a stream; Ended if it is reset or the connection ends with an error."""
        coming = self._coming(stream)
        while coming.ended_by is None:
            frame = self.read_frame()
            if frame.kind == GOAWAY and frame.error_code != NO_ERROR:
                raise Ended(frame)
        if coming.ended_by.kind == RST_STREAM:
            raise Ended(coming.ended_by)
        return coming.response

    def request(self, fields=None, body=None):
        stream = self.headers(fields or GET, end=body is None)
        if body is not None:
            self.data(stream, body, end=True)
        return self.read_response(stream)

    def get(self, path="/", *pairs):
        return self.request(with_fields((":path", path), *pairs))

    def read_goaway(self):
        """The GOAWAY that ends the connection, whose end is waited for; None: it just ended."""
        found = None
        try:
            while True:
                frame = self.read_frame()
                if frame.kind == GOAWAY:
                    found = frame
        except (Truncated, ConnectionError):
            return found
