"""HTTP/1.1 as bytes on a connection, seen from the client's side."""

import json
import socket
import ssl
import struct

from . import kernel
from .wait import TIMEOUT, wait_until


class Headers:
    """The fields of a message: names without regard to case, in order."""

    def __init__(self, pairs=()):
        self.pairs = list(pairs)

    def all(self, name):
        return [value for key, value in self.pairs if key.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return ", ".join(values) if values else default

    def __getitem__(self, name):
        value = self.get(name)
        if value is None:
            raise KeyError(f"no field {name!r} among {self.pairs}")
        return value

    def __contains__(self, name):
        return bool(self.all(name))

    def __iter__(self):
        return iter(self.pairs)

    def __repr__(self):
        return repr(self.pairs)


class Response:
    """A response as it arrived.

    framing is "length", "chunked", "close" or "none": what ended the body.
    interim holds the 1xx responses that came before it.
    """

    def __init__(self, version, status, reason, headers):
        self.version = version
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = b""
        self.framing = "none"
        self.complete = True
        self.trailers = Headers()
        self.interim = []
        self.raw = b""

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<Response {self.status} {self.headers} {self.body[:80]!r}>"


class Truncated(AssertionError):
    """The peer closed before the message was complete."""


def parse_head(head):
    """Splits a head (with its empty line) into its first line and Headers."""
    lines = head.decode("latin-1").split("\r\n")
    pairs = []
    for line in lines[1:]:
        if line:
            name, _, value = line.partition(":")
            pairs.append((name, value.strip(" \t")))
    return lines[0], Headers(pairs)


def request_bytes(target="/", method="GET", headers=(), body=None, host="localhost",
                  version="HTTP/1.1"):
    """A request.  headers is a dict or a list of pairs; a body brings its
    Content-Length unless headers says how it is framed."""
    pairs = list(headers.items() if isinstance(headers, dict) else headers)
    names = {name.lower() for name, _ in pairs}
    lines = [f"{method} {target} {version}"]
    if host is not None and "host" not in names:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in pairs]
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join(lines + ["", ""]).encode("latin-1")
    return head + (body or b"")


def chunked(*chunks):
    """The chunks in the chunked coding, ended."""
    return b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks if c) + b"0\r\n\r\n"


class Connection:
    """A client's connection, plain or TLS."""

    def __init__(self, sock):
        self.sock = sock
        self.was_reset = False
        self.close_was_notified = None      # TLS only: known once closed
        self._buffer = bytearray()          # grows in place: bodies of many MB come through
        self._eof = False
        self.sock.settimeout(TIMEOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # Sending

    def send(self, *pieces):
        """Sends the pieces, each only after the server has read the last."""
        for number, piece in enumerate(pieces):
            if number:
                self.wait_read()
            self.sock.sendall(piece)
        return self

    def send_what_fits(self, data):
        """Sends until done or the server ends the connection; returns the count."""
        sent = 0
        try:
            while sent < len(data):
                sent += self.sock.send(data[sent:sent + 65536])
        except (ConnectionError, ssl.SSLError):
            pass
        return sent

    def send_until_blocked(self, data, quiet=0.5):
        """Sends until the connection takes no more for quiet seconds; returns
        the count.  For tests of back-pressure."""
        sent = 0
        self.sock.settimeout(quiet)
        try:
            while sent < len(data):
                sent += self.sock.send(data[sent:sent + 65536])
        except (socket.timeout, TimeoutError):
            pass
        finally:
            self.sock.settimeout(TIMEOUT)
        return sent

    def wait_read(self):
        """Waits until the server has read all that was sent."""
        pair = [(self.sock.getpeername()[1], self.sock.getsockname()[1])]
        wait_until(lambda: kernel.unread_bytes(pair) == 0, "the server to read")

    def request(self, target="/", method="GET", **more):
        """Sends a request and returns its response."""
        self.send(request_bytes(target, method, **more))
        return self.read_response(method)

    get = request

    # Receiving

    def _fill(self):
        """Takes more bytes in; False at the end of the connection."""
        if self._eof:
            return False
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            self.was_reset = True
            data = b""
        except ssl.SSLEOFError:
            self.close_was_notified = False
            data = b""
        else:
            if not data and isinstance(self.sock, ssl.SSLSocket):
                self.close_was_notified = True
        if not data:
            self._eof = True
            return False
        self._buffer += data
        return True

    def read_some(self):
        """What has arrived, after waiting for at least a byte; b"" at the end."""
        if not self._buffer:
            self._fill()
        return self._take(len(self._buffer))

    def _take(self, count):
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _shown(self):
        """What came, for a message: of a long text the beginning and the end."""
        if len(self._buffer) <= 2000:
            return repr(bytes(self._buffer))
        return (f"{len(self._buffer)} bytes: {bytes(self._buffer[:1000])!r}"
                f" ... {bytes(self._buffer[-200:])!r}")

    def read_exactly(self, count):
        while len(self._buffer) < count:
            if not self._fill():
                raise Truncated(f"wanted {count} bytes, got {self._shown()}")
        return self._take(count)

    def read_until(self, mark):
        while mark not in self._buffer:
            if not self._fill():
                raise Truncated(f"no {mark!r} in {self._shown()}")
        return self._take(self._buffer.index(mark) + len(mark))

    def read_until_close(self):
        while self._fill():
            pass
        return self._take(len(self._buffer))

    def is_closed(self):
        """Waits for the server to close, and tells that nothing came before."""
        return not self._buffer and not self._fill()

    def is_quiet(self, seconds=0.2):
        """True if nothing arrives and nothing ends within the seconds."""
        if self._buffer:
            return False
        self.sock.settimeout(seconds)
        try:
            self._fill()
        except (socket.timeout, TimeoutError):
            return True
        finally:
            self.sock.settimeout(TIMEOUT)
        return False

    def read_head(self):
        """Reads a response's head: what is left is its body."""
        raw = self.read_until(b"\r\n\r\n")
        line, headers = parse_head(raw)
        version, _, rest = line.partition(" ")
        status, _, reason = rest.partition(" ")
        assert version.startswith("HTTP/1.") and len(status) == 3, f"not a status line: {line!r}"
        response = Response(version, int(status), reason, headers)
        response.raw = raw
        return response

    def read_response(self, method="GET", partial=False):
        """Reads one final response by its framing.

        With partial, a body that the close cuts short is no error: the
        response then says complete = False.
        """
        interim = []
        response = self.read_head()
        while 100 <= response.status < 200 and response.status != 101:
            interim.append(response)
            response = self.read_head()
        response.interim = interim

        if method == "HEAD" or response.status in (101, 204, 304):
            return response
        try:
            self._read_body(response)
        except Truncated:
            if not partial:
                raise
            response.complete = False
            response.body = self._take(len(self._buffer))
        return response

    def _read_body(self, response):
        coding = response.headers.get("Transfer-Encoding")
        if coding is not None:
            assert coding.lower() == "chunked", f"Transfer-Encoding: {coding}"
            assert "Content-Length" not in response.headers
            response.framing = "chunked"
            self._read_chunks(response)
        elif "Content-Length" in response.headers:
            response.framing = "length"
            response.body = self.read_exactly(int(response.headers["Content-Length"]))
        else:
            response.framing = "close"
            response.body = self.read_until_close()

    def _read_chunks(self, response):
        parts = []
        while True:
            size = int(self.read_until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                break
            parts.append(self.read_exactly(size))
            assert self.read_exactly(2) == b"\r\n", "a chunk must end with CR LF"
        response.body = b"".join(parts)
        trailer = b""
        while not trailer.endswith(b"\r\n\r\n") and trailer != b"\r\n":
            trailer += self.read_until(b"\r\n")
        _, response.trailers = parse_head(b"\r\n" + trailer)

    # Ending

    def finish_sending(self):
        """Half-closes: the server sees the end of what is sent."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass                # the server was faster

    def reset(self):
        """Closes with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self._eof = True
        try:
            self.sock.close()
        except OSError:
            pass


def tls_context(ca=None, cert=None, minimum=None, maximum=None, ciphers=None, alpn=(),
                check_hostname=True):
    """A client's context.  ca: the file that the server must chain to, None to
    take any certificate.  cert: a (certificate, key) pair to present."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = bool(ca) and check_hostname
    if ca:
        context.load_verify_locations(str(ca))
    else:
        context.verify_mode = ssl.CERT_NONE
    if minimum:
        context.minimum_version = minimum
    if maximum:
        context.maximum_version = maximum
    if ciphers:
        context.set_ciphers(ciphers)
    if cert:
        context.load_cert_chain(*[str(part) for part in cert])
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def split_exchange(connect, data, at, method="GET"):
    """Sends data on one connection per place in at, cut there, each second part
    only once the first was read; returns the responses, in order."""
    at = list(at)
    connections = [connect() for _ in at]
    try:
        for connection, place in zip(connections, at):
            connection.send(data[:place])
        pairs = [(c.sock.getpeername()[1], c.sock.getsockname()[1]) for c in connections]
        wait_until(lambda: kernel.unread_bytes(pairs) == 0, "the server to read the first parts")
        for connection, place in zip(connections, at):
            connection.send(data[place:])
        return [connection.read_response(method) for connection in connections]
    finally:
        for connection in connections:
            connection.close()
