"""An origin that speaks HTTP/2, frame by frame: whatever a test wants it to answer, right or wrong."""

from .h2 import CANCEL, DATA, END_STREAM, H2, PREFACE, RST_STREAM
from .wire import Headers

GRPC = [(":status", "200"), ("content-type", "application/grpc")]
FINE = [("grpc-status", "0")]


class _Wire:
    """A Peer as harness.h2 wants a connection."""

    def __init__(self, peer):
        self.send = peer.send
        self.read_exactly = peer._take


class Call:
    """A request as the origin has it so far."""

    def __init__(self, origin, stream, fields):
        self.origin, self.stream = origin, stream
        self.fields = fields
        self.headers = Headers(fields)
        self.method, self.path = self.headers.get(":method"), self.headers.get(":path")
        self.authority = self.headers.get(":authority")
        self.body = b""
        self.trailers = Headers()
        self.ended = False
        self.reset_with = None          # the client's code

    def read(self, count):
        """Until so many bytes of the body are there."""
        while len(self.body) < count and not self.ended and self.reset_with is None:
            self.origin.read_frame()
        return self.body

    def read_body(self):
        while not self.ended and self.reset_with is None:
            self.origin.read_frame()
        return self.body

    def wait_reset(self):
        while self.reset_with is None:
            self.origin.read_frame()
        return self.reset_with

    def head(self, fields=GRPC, end=False):
        self.origin.headers(fields, self.stream, end=end)

    def data(self, data, end=False):
        """As the client's windows let it go."""
        self.origin.body(self.stream, data, end=end)

    def end(self, trailers=FINE):
        self.origin.headers(trailers, self.stream, end=True)

    def respond(self, body=b"", fields=GRPC, trailers=FINE):
        self.head(fields)
        if body:
            self.data(body)
        self.end(trailers)

    def reset(self, code=CANCEL):
        self.origin.reset(self.stream, code)


class Origin(H2):
    """A connection, from the origin's end."""

    def __init__(self, peer, settings=None, window=True):
        super().__init__(_Wire(peer), preface=False, window=window)
        self.peer = peer
        self.calls = {}
        self.new_calls = []
        assert self.connection.read_exactly(len(PREFACE)) == PREFACE
        self.connection.send(self.settings_frame(settings or {}))
        if window:
            self.window_update(0, 1 << 30)

    def read_frame(self):
        frame = super().read_frame()
        call = self.calls.get(frame.stream)
        if call and frame.kind == RST_STREAM:
            call.reset_with = frame.error_code
        return frame

    def read_call(self):
        """The next request, whose head is there."""
        while not self.new_calls:
            self.read_frame()
        return self.new_calls.pop(0)

    def _take_fields(self, frame, data):
        frame.fields = self.decoder.decode(data)
        call = self.calls.get(frame.stream)
        if call:
            call.trailers = Headers(frame.fields)
        else:
            call = self.calls[frame.stream] = Call(self, frame.stream, frame.fields)
            self.new_calls.append(call)
        call.ended = bool(frame.flags & END_STREAM)

    def _take_data(self, frame):
        call = self.calls[frame.stream]
        call.body += frame.payload
        call.ended = bool(frame.flags & END_STREAM)
        if self._updates and frame.payload and not call.ended:
            self.window_update(frame.stream, len(frame.payload))


def speaks_h2(upstream, answer, settings=None, window=True):
    """Makes an Upstream of the harness an origin of HTTP/2: answer(call) is called for each request.

    upstream.requests has the calls, upstream.h2 the connections.
    """
    upstream.h2 = []

    def protocol(peer):
        origin = Origin(peer, settings, window)
        upstream.h2.append(origin)
        while True:
            call = origin.read_call()
            upstream.requests.append(call)
            answer(call)

    return upstream.speaks(protocol)


__all__ = ["Call", "DATA", "FINE", "GRPC", "Origin", "speaks_h2"]
