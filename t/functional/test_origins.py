"""The table of doc/origins.md: what the client sees of each way in which an origin can fail."""

import os
import re
import socket
import struct
import threading

import pytest

from harness import request_bytes
from harness.upstream import answer
from harness.wire import Truncated

_DOC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "doc", "origins.md")

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKS = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def rows():
    with open(_DOC, encoding="ascii") as doc:
        for line in doc:
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if line.startswith("| ") and cells[0] != "the origin" and not cells[0].startswith("---"):
                yield cells


def then_close(*texts):
    def run(peer):
        peer.send(*texts)
        peer.close()
    return run


def then_reset(*texts):
    def run(peer):
        peer.send(*texts)
        peer.reset()
    return run


def then_nothing(*texts):
    def run(peer):
        peer.send(*texts)
        peer.wait_gone()
    return run


def raw(run):
    """Instead of TLS, whatever it is."""
    def speak(peer):
        peer._fill()
        run(peer)
    return speak


def cut_tls(peer):
    """The end of the TCP connection, and no close_notify before."""
    peer.send(OK + b"\r\nfirst part")
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
    sock = socket.socket(fileno=peer.sock.detach())
    sock.shutdown(socket.SHUT_RDWR)
    sock.close()
    peer.sock = socket.socket()
    peer.close()


# Each: what the origin does (as Upstream.answers takes it), and what the test does besides.
TLS, RAW_TLS, EARLY = "tls", "raw tls", "early"
ORIGINS = {
    "refuses the connection": (None, "closed"),
    "is a unix socket that is not there": (None, "no socket"),
    "does not take the connection in proxy_connect_timeout": (None, "deaf"),
    "has a name that is not found": (None, "no name"),
    "is one of a group whose servers all failed lately": (None, "no live"),
    "speaks no TLS where https:// was said": (raw(then_close(answer())), RAW_TLS),
    "says nothing in the TLS handshake for proxy_connect_timeout": (raw(then_nothing()), RAW_TLS),
    "closes in the TLS handshake": (raw(then_close()), RAW_TLS),
    "shows a certificate that proxy_ssl_verify refuses": (answer(), "verified tls"),

    "does not read the request for proxy_send_timeout": (then_nothing, "unread"),
    "closes without a word": (then_close(), None),
    "resets the connection": (then_reset(), None),
    "says nothing for proxy_read_timeout": (then_nothing(), None),
    "closes within the head": (then_close(OK + b"Content-Le"), None),
    "stops within the head": (then_nothing(OK + b"Content-Le"), None),
    "answers with something that is no HTTP": (then_close(b"220 smtp.test ESMTP\r\n\r\n"), None),
    "sends a head over proxy_buffer_size": (then_close(OK + b"X: " + b"a" * 70000 + b"\r\n\r\n"), None),
    "sends more than 2000 field lines": (
        then_close(OK + b"X: a\r\n" * 2001 + b"Content-Length: 0\r\n\r\n"), None),
    "sends a field line that is none": (then_close(OK + b"no colon\r\nContent-Length: 0\r\n\r\n"), None),
    "sends a NUL in a field": (then_close(OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n"), None),
    "sends two lengths": (then_close(OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok"), None),
    "sends a length that is no number": (then_close(OK + b"Content-Length: 0x2\r\n\r\nok"), None),
    "sends a length beside chunks": (
        then_close(OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), None),
    "sends a transfer coding other than chunked": (
        then_close(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), None),
    "sends chunks with HTTP/1.0": (
        then_close(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), None),
    "switches protocols without being asked": (
        then_close(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), None),
    "sends more than 64 interim responses": (
        then_close(b"HTTP/1.1 102 Processing\r\n\r\n" * 65 + answer("real")), None),
    "sends interim responses and then the answer": (
        b"HTTP/1.1 102 Processing\r\nX: a\r\n\r\n" * 64 + answer("real"), None),
    "closed a kept connection before the request came": (None, "kept"),
    "answers before it has read the request": (answer("real"), EARLY),
    "answers with a status that proxy_next_upstream names": (answer("real", "503 Busy"), None),

    "closes before its length": (then_close(OK + b"Content-Length: 100\r\n\r\nonly this"), None),
    "closes between chunks": (then_close(CHUNKS + b"9\r\nonly this\r\n"), None),
    "closes within a chunk": (then_close(CHUNKS + b"64\r\nonly this"), None),
    "sends a chunk size that is none": (then_nothing(CHUNKS + b"9\r\nonly this\r\nzz\r\n"), None),
    "sends a chunk longer than its size": (then_nothing(CHUNKS + b"4\r\nonly this\r\n0\r\n\r\n"), None),
    "resets the connection within the body": (then_reset(OK + b"Content-Length: 100\r\n\r\n", b"only"), None),
    "says nothing within the body for proxy_read_timeout": (
        then_nothing(OK + b"Content-Length: 100\r\n\r\nonly this"), None),
    "ends a TLS body without length and close_notify": (cut_tls, TLS),
    "sends trailers over proxy_buffer_size": (
        then_nothing(CHUNKS + b"4\r\nreal\r\n0\r\n" + b"X-Long: " + b"a" * 70000 + b"\r\n\r\n"), None),
    "ends a body without length by closing": (then_close(OK + b"\r\nreal"), None),
    "sends more than its length": (then_nothing(OK + b"Content-Length: 4\r\n\r\nreal" + answer("poison")), None),
    "sends a body to HEAD": (then_nothing(OK + b"Content-Length: 6\r\n\r\npoison"), "HEAD"),
    "sends a body with 204": (then_nothing(b"HTTP/1.1 204 No\r\n\r\npoison"), None),
}
WORDS = {"error", "timeout", "invalid_header", "http_503"}


def test_each_row_has_an_origin_and_each_origin_a_row():
    assert [row[0] for row in rows()] == list(dict.fromkeys(row[0] for row in rows()))
    assert {row[0] for row in rows()} == set(ORIGINS)


SETTINGS = """
    client_max_body_size 0;
    proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k; proxy_temp_file_write_size 64k;
    proxy_connect_timeout @connect@; proxy_send_timeout @send@; proxy_read_timeout @read@;
    proxy_ssl_trusted_certificate @certs@/ca.crt; proxy_ssl_name a.test; proxy_ssl_session_reuse off; @more@
    location / { proxy_pass @scheme@://one; proxy_next_upstream off; }
    location /next/ { proxy_pass @scheme@://both; proxy_next_upstream error timeout invalid_header http_503; }
    location /all/ { proxy_pass http://one; }
    location /name/ { resolver @dns@; proxy_pass http://$arg_name; }
"""
GROUPS = "upstream one { server %s; keepalive 4; } upstream both { server %s; server %s backup; }"


class Case:
    """One row: its origin, and a weir before it."""

    def __init__(self, name, fixtures):
        self.behaviour, self.special = ORIGINS[name]
        self.name = name
        self.fixtures = fixtures
        self.tls = self.special in (TLS, RAW_TLS, "verified tls")
        self.origin = self.make_origin()
        self.server = self.start()

    def make_origin(self):
        new_upstream, certs = self.fixtures["new_upstream"], self.fixtures["certs"]
        if self.special in ("closed", "no live"):
            return "127.0.0.1:@closed@"
        if self.special == "no socket":
            return "unix:@dir@/none"
        if self.special == "deaf":
            return str(self.fixtures["deaf"])
        if self.special in (TLS, "verified tls"):
            return new_upstream(tls=certs.pair("a" if self.special == TLS else "b")).answers(self.behaviour)
        one = new_upstream()
        if self.special == RAW_TLS:
            return one.speaks(self.behaviour)
        if self.special == EARLY:
            return one.answers_early(self.behaviour)
        if self.special == "unread":
            self.stop = threading.Event()
            return one.answers_early(lambda peer: peer.wait(self.stop))
        if self.special == "kept":
            return one.answers(lambda peer: (peer.send(answer("real")), peer.close()))
        if self.special != "no name":
            one.answers(self.behaviour)
        return one

    def start(self):
        new_upstream, certs = self.fixtures["new_upstream"], self.fixtures["certs"]
        self.next = new_upstream(tls=certs.pair("a") if self.tls else None).answers(answer("next"))
        groups = GROUPS % (self.origin, self.origin, self.next)
        if self.special == "no live":
            groups = groups.replace("keepalive 4;", "server 127.0.0.1:@closed2@;")
        slow = self.name.split("proxy_")[-1].split("_")[0] if "_timeout" in self.name else "read"
        times = {key: "1s" if key == slow else "60s" for key in ("connect", "send", "read")}
        if self.name == "stops within the head":
            times["read"] = "1s"
        elif "proxy_read" not in self.name:
            times["read"] = "60s"
        more = "proxy_ssl_verify on;" if self.special == "verified tls" else ""
        return self.fixtures["weir"](SETTINGS, http=groups, scheme="https" if self.tls else "http",
                                     more=more, dns=self.fixtures["dns"], **times)

    def ask(self, path="/"):
        """The response, or None: cut."""
        connection = self.server.connect()
        method = "HEAD" if self.special == "HEAD" else "GET"
        if self.special in ("unread", EARLY):
            method = "POST" if self.special == EARLY else "PUT"
            size = 12_000_000 if self.special == "unread" else 100_000
            connection.send(request_bytes(path, method, headers={"Content-Length": str(size)}))
            connection.send_what_fits(bytes(size))
        else:
            connection.send(request_bytes(path, method))
        try:
            response = connection.read_response(method, partial=True)
        except Truncated:
            return None
        return response if response.complete else None


@pytest.mark.parametrize("name", [row[0] for row in rows()])
def test_the_client_sees_what_the_table_says(name, request):
    fixtures = {fixture: request.getfixturevalue(fixture)
                for fixture in ("weir", "new_upstream", "certs", "dns")}
    if ORIGINS[name][1] == "deaf":
        fixtures["deaf"] = request.getfixturevalue("deaf")
    client, following, log = next(row[1:] for row in rows() if row[0] == name)
    case = Case(name, fixtures)
    path = {"no name": "/name/?name=nowhere.test", "no live": "/all/"}.get(case.special, "/")

    if case.special == "no live":
        case.ask(path)
    response = case.ask(path)
    if client == "cut":
        assert response is None
    elif client == "answer":
        assert response is not None and response.text in ("real", "")
        assert case.ask().text in ("real", "")      # and nothing is left for the next
    else:
        assert response is not None and response.status == int(client)

    if log:
        level, text = ("warn", log[6:]) if log.startswith("warn: ") else (r"\w+", log)
        case.server.wait_log(rf"\[{level}\] .*" + re.escape(text))
    if following:
        assert following in WORDS
        assert case.ask("/next/").text == "next"
    elif case.special is None and client != "answer":
        response = case.ask("/next/")
        assert response is None or response.text != "next"
    if case.special == "unread":
        case.stop.set()
