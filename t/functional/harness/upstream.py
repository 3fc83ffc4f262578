"""Origins to stand behind the proxy: scripted, or serving like a real one."""

import hashlib
import json
import os
import re
import socket
import ssl
import struct
import tempfile
import threading

from .wait import TIMEOUT, wait_until
from .wire import Headers, parse_head

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Gone(Exception):
    """The proxy ended the connection."""


class Request:
    """A request as the origin received it; raw is its every byte."""

    def __init__(self, raw_head, connection):
        line, self.headers = parse_head(raw_head)
        self.line = line
        self.method, self.target, self.version = (line.split(" ") + ["", ""])[:3]
        self.raw_head = raw_head
        self.raw = raw_head
        self.body = b""
        self.trailers = Headers()
        self.connection = connection

    def __repr__(self):
        return f"<Request {self.line!r} {self.headers}>"


class Peer:
    """One connection, seen from the origin.  A callable answer is given it."""

    def __init__(self, upstream, sock, number):
        self.upstream = upstream
        self.sock = sock
        self.number = number
        self._received = bytearray()
        self.request = None         # the one being answered
        self.closed = False         # by either side
        self._buffer = bytearray()

    # What an answer may do

    def send(self, *pieces):
        """Sends the pieces, each as a segment of its own."""
        try:
            for piece in pieces:
                self.sock.sendall(piece)
        except (OSError, ssl.SSLError) as error:
            raise Gone() from error

    def close(self):
        """Ends the connection in order."""
        raise _Close()

    def reset(self):
        """Ends the connection with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise _Close()

    def wait(self, event):
        """Waits for a threading.Event that the test sets."""
        assert event.wait(TIMEOUT), "the test never set the event"

    def wait_gone(self):
        """Waits for the proxy to end this connection."""
        while True:
            self._fill()

    def read_body(self):
        """The rest of the request's body, unless it was read already."""
        head = self.request.headers
        if "Transfer-Encoding" in head:
            self.request.body = self._read_chunks()
        elif "Content-Length" in head:
            length = int(head["Content-Length"])
            body = self._take(length)
            self.request.raw += body
            self.request.body = body
        return self.request.body

    def read_some(self):
        """Whatever has come of the body; waits for at least a byte."""
        if not self._buffer:
            self._fill()
        return self._cut(len(self._buffer))

    @property
    def received(self):
        """All the bytes that ever came."""
        return bytes(self._received)

    # Reading

    def _cut(self, count):
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _fill(self):
        try:
            data = self.sock.recv(65536)
        except (OSError, ssl.SSLError) as error:
            raise Gone() from error
        if not data:
            raise Gone()
        self._received += data
        self._buffer += data

    def _take(self, count):
        parts = []
        while count > 0:
            if not self._buffer:
                self._fill()
            parts.append(self._cut(count))
            count -= len(parts[-1])
        return b"".join(parts)

    def _take_until(self, mark):
        while mark not in self._buffer:
            self._fill()
        return self._cut(self._buffer.index(mark) + len(mark))

    def _read_chunks(self):
        parts = []
        while True:
            line = self._take_until(b"\r\n")
            self.request.raw += line
            assert re.fullmatch(rb"[0-9A-Fa-f]+\r\n", line), f"chunk line {line!r}"
            size = int(line, 16)
            data = self._take(size + 2) if size else self._take_trailers()
            self.request.raw += data
            assert data.endswith(b"\r\n"), "a chunk must end with CR LF"
            if size == 0:
                _, self.request.trailers = parse_head(b"\r\n" + data)
                assert self.upstream.takes_trailers or data == b"\r\n", f"no trailers were expected, got {data!r}"
                return b"".join(parts)
            parts.append(data[:-2])

    def _take_trailers(self):
        section = self._take_until(b"\r\n")
        while section != b"\r\n" and not section.endswith(b"\r\n\r\n"):
            section += self._take_until(b"\r\n")
        return section

    def _read_request(self):
        head = self._take_until(b"\r\n\r\n")
        self.request = Request(head, self.number)


class _Close(Exception):
    pass


class Upstream:
    """A threaded origin.  str() of it is its address, as proxy_pass takes it.

    Unless told otherwise it answers every request with 200 and "ok".
    tls: a (certificate, key) pair to speak TLS with, or an SSLContext.
    """

    def __init__(self, ports=None, tls=None, unix=False, port=None, host="127.0.0.1"):
        self.connections = []       # of Peer
        self.requests = []          # of Request, by arrival
        self.failures = []          # of our own threads
        self._answers = [OK]
        self._early = False
        self.takes_trailers = False     # a test that expects some says so
        self._protocol = None
        self._lock = threading.Lock()
        self._threads = []
        self._folder = None
        self._tls = _server_context(tls) if tls else None
        if unix:
            self._folder = tempfile.mkdtemp(prefix="weir-origin-")
            os.chmod(self._folder, 0o755)
            path = os.path.join(self._folder, "sock")
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(path)
            os.chmod(path, 0o777)
            self.address = f"unix:{path}"
            self.port = None
        else:
            self.port = port or ports.take()
            self._listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET,
                                           socket.SOCK_STREAM)
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((host, self.port))
            self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self._listener.listen(512)
        self._start(self._accept)

    def __str__(self):
        return self.address

    def answers(self, *answers):
        """Sets the answers to the requests to come, in turn; the last one stays.

        An answer is bytes, a list of bytes (sent as one segment each), or a
        callable that is given the Peer and returns either, or None when it has
        sent all itself.  The connection is closed after an answer that says so
        or has no other end; a callable may end it with peer.close() or .reset().
        """
        with self._lock:
            self._answers = list(answers)
            self._early = False
        return self

    def answers_early(self, *answers):
        """As answers(), but each is called before the request's body is read."""
        self.answers(*answers)
        self._early = True
        return self

    def speaks(self, protocol):
        """Makes it an origin of another protocol: protocol(peer) has each new
        connection to itself."""
        self._protocol = protocol
        return self

    def takes_at_most(self, count):
        """Makes the kernel hold no more bytes, or twice as many, of each connection to come while nobody reads them."""
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, count)

    @property
    def received(self):
        """The raw bytes of every connection, in order of connecting."""
        return [peer.received for peer in self.connections]

    @property
    def last(self):
        assert self.requests, "the origin got no request"
        return self.requests[-1]

    def wait_requests(self, count):
        wait_until(lambda: len(self.requests) >= count, f"{count} requests at the origin")
        return self.requests

    def open_connections(self):
        return [peer for peer in self.connections if not peer.closed]

    def stop(self):
        """Stops listening and ends the connections."""
        for sock in [self._listener] + [peer.sock for peer in self.connections]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            if sock is self._listener:
                sock.close()
        for thread in self._threads:
            thread.join(TIMEOUT)
        if self._folder:
            for name in os.listdir(self._folder):
                os.unlink(os.path.join(self._folder, name))
            os.rmdir(self._folder)
            self._folder = None

    # Threads

    def _start(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, sock)

    def _serve(self, sock):
        peer = Peer(self, sock, len(self.connections))
        try:
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                peer.number = len(self.connections)
                self.connections.append(peer)
            if self._tls:
                peer.sock = self._tls.wrap_socket(sock, server_side=True)
            if self._protocol:
                self._protocol(peer)
                return
            while True:
                peer._read_request()
                self._answer(peer)
        except (Gone, _Close, OSError, ssl.SSLError):
            pass
        except Exception as failure:        # shown at the test's end
            self.failures.append(failure)
        finally:
            peer.closed = True
            if self._early:
                _drain(sock)
            try:
                if self._tls and isinstance(peer.sock, ssl.SSLSocket):
                    peer.sock.settimeout(1)
                    peer.sock.unwrap()
            except (OSError, ssl.SSLError, ValueError):
                pass
            peer.sock.close()

    def _answer(self, peer):
        request = peer.request
        if not self._early:
            peer.read_body()
        with self._lock:
            self.requests.append(request)
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if callable(answer):
            answer = answer(peer)
        if answer is None:
            return
        pieces = answer if isinstance(answer, list) else [answer]
        peer.send(*pieces)
        if _ends_connection(b"".join(pieces), request):
            peer.close()


def _drain(sock):
    """Half-closes and reads the rest, so that no RST overtakes the answer."""
    try:
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass
    except OSError:
        pass


def _ends_connection(answer, request):
    head = answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    line, headers = parse_head(head)
    if headers.get("Connection", "").lower() == "close":
        return True
    if request.method == "HEAD" or re.match(r"HTTP/1.\d (1..|204|304)", line):
        return False
    return "Content-Length" not in headers and "Transfer-Encoding" not in headers


def _server_context(tls):
    if isinstance(tls, ssl.SSLContext):
        return tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*[str(part) for part in tls])
    return context


class Deaf:
    """An address that completes no connection: its accept queue is full."""

    def __init__(self, ports):
        self.port = ports.take()
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(0)
        self._fillers = []
        for _ in range(4):
            filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)

    def __str__(self):
        return f"127.0.0.1:{self.port}"

    def stop(self):
        for sock in self._fillers + [self._listener]:
            sock.close()


def body_of(size):
    """size bytes that show a lost, doubled or swapped block in their digest."""
    block = b"".join(b"%07d\n" % number for number in range(512))
    count = size // len(block) + 1
    return b"".join(b"%015d\n" % n + block[16:] for n in range(count))[:size]


def digest(data):
    return hashlib.sha256(data).hexdigest()


def site(peer):
    """Answers like a real origin: /b/N (N bytes), /chunked/N, /echo (the head,
    as JSON), /upload (the body's length and digest, as JSON), /close/N."""
    kind, _, size = peer.request.target.split("?")[0].strip("/").partition("/")
    if kind == "b":
        body = body_of(int(size))
        return [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body]
    if kind == "close":
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body_of(int(size))
    if kind == "chunked":
        body = body_of(int(size))
        chunks = [body[n:n + 5000] for n in range(0, len(body), 5000)]
        return [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                + b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"]
    if kind == "upload":
        return json_answer({"length": len(peer.request.body), "digest": digest(peer.request.body)})
    return json_answer({"line": peer.request.line, "headers": list(peer.request.headers)})


def json_answer(value):
    body = json.dumps(value).encode()
    return (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % len(body) + body)


def answer(body=b"ok", status="200 OK", headers=()):
    """A response with a Content-Length, as bytes."""
    pairs = list(headers.items() if isinstance(headers, dict) else headers)
    if isinstance(body, str):
        body = body.encode()
    lines = [f"HTTP/1.1 {status}"] + [f"{n}: {v}" for n, v in pairs]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


__all__ = ["Deaf", "Headers", "Peer", "Request", "Upstream", "answer", "body_of", "digest",
           "json_answer", "site"]
