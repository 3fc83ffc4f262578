"""A DNS server of the test's own, over UDP and TCP, with answers that may change."""

import errno
import ipaddress
import socket
import struct
import threading

from .wait import wait_until

A, CNAME, AAAA, SRV = 1, 5, 28, 33
_TYPES = {"A": A, "CNAME": CNAME, "AAAA": AAAA, "SRV": SRV}
REFUSED, NO_SUCH_NAME, SERVER_FAILURE = 5, 3, 2


def _name(text):
    labels = [label.encode() for label in text.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


class Query:
    def __init__(self, message, by_tcp, source):
        self.by_tcp, self.source = by_tcp, source
        self.id = message[:2]
        labels, at = [], 12
        while message[at]:
            labels.append(message[at + 1:at + 1 + message[at]].decode())
            at += 1 + message[at]
        self.question = message[12:at + 5]
        self.written = ".".join(labels)         # in the case of the query
        self.name = self.written.lower()
        self.type = struct.unpack(">H", message[at + 1:at + 3])[0]

    def __repr__(self):
        return f"<Query {self.name} {self.type}{' TCP' if self.by_tcp else ''}>"


class Dns:
    """
    dns.has("back.test", "192.0.2.1", "2001:db8::1", ttl=300), dns.has("_http._tcp.x", "SRV 10 5 8080 back.test"),
    dns.has("www.test", "CNAME back.test"); dns.forgets("back.test").  In a configuration: resolver {dns}.

    What it may be told, for all of its answers: silent, truncates (over UDP), code (of an error), failing (kinds of question, and
    names, that have SERVFAIL), wrong_id and wrong_name (before the right answer), lowers (the case of the question), follows (aliases, which it does).
    """

    def __init__(self, ports):
        self.zone = {}
        self.queries = []
        self.silent = self.truncates = self.wrong_id = self.wrong_name = self.lowers = False
        self.follows = True
        self.code = 0
        self.failing = set()
        while not self._listens(ports.take()):
            pass
        self._stopped = False
        self._threads = [threading.Thread(target=run, daemon=True)
                         for run in (self._serve_udp, self._serve_tcp)]
        for thread in self._threads:
            thread.start()

    def _listens(self, port):
        """On both kinds of socket; of UDP somebody else's may have the number."""
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.port = port
        try:
            self._udp.bind(("127.0.0.1", port))
            self._tcp.bind(("127.0.0.1", port))
        except OSError as error:
            self._udp.close()
            self._tcp.close()
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        self._tcp.listen(16)
        return True

    def __str__(self):
        return f"127.0.0.1:{self.port}"

    # The zone

    def has(self, name, *values, ttl=300):
        records = []
        for value in values:
            kind, _, rest = value.partition(" ")
            if kind in _TYPES:
                records.append((_TYPES[kind], rest, ttl))
            else:
                records.append((A if ipaddress.ip_address(value).version == 4 else AAAA, value, ttl))
        self.zone = {**self.zone, name.lower(): records}
        return self

    def forgets(self, name):
        self.zone = {key: records for key, records in self.zone.items() if key != name.lower()}

    def asked(self, name, kind=None):
        return [q for q in list(self.queries)
                if q.name == name.lower() and (kind is None or q.type == _TYPES[kind])]

    def wait_asked(self, name, count=1):
        wait_until(lambda: len(self.asked(name)) >= count, f"{count} queries for {name}")

    def stop(self):
        self._stopped = True
        self._udp.close()
        try:
            self._tcp.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._tcp.close()

    # Answers

    @staticmethod
    def _data(kind, value):
        if kind in (A, AAAA):
            return ipaddress.ip_address(value).packed
        if kind == SRV:
            priority, weight, port, target = value.split()
            return struct.pack(">HHH", int(priority), int(weight), int(port)) + _name(target)
        return _name(value)

    def _records(self, name, kind):
        records = []
        for _ in range(20):
            following = None
            for its, value, ttl in self.zone.get(name, []):
                if its in (kind, CNAME):
                    data = self._data(its, value)
                    records.append(_name(name) + struct.pack(">HHIH", its, 1, ttl, len(data)) + data)
                if its == CNAME:
                    following = value.lower()
            if following is None or not self.follows:
                break
            name = following
        return records

    def _answer(self, query):
        is_failing = query.name in self.failing or query.type in {_TYPES.get(kind) for kind in self.failing}
        failed = SERVER_FAILURE if is_failing else 0
        code = self.code or failed or (0 if query.name in self.zone else NO_SUCH_NAME)
        cut = self.truncates and not query.by_tcp
        records = [] if code or cut else self._records(query.name, query.type)
        question = query.question.lower() if self.lowers else query.question
        return (query.id + struct.pack(">HHHHH", 0x8180 | code | (0x0200 if cut else 0),
                                       1, len(records), 0, 0) + question + b"".join(records))

    def _serve_udp(self):
        while not self._stopped:
            try:
                message, source = self._udp.recvfrom(4096)
                query = Query(message, False, source)
                self.queries.append(query)
                if self.silent:
                    continue
                answer = self._answer(query)
                if self.wrong_id:
                    self._udp.sendto(bytes([answer[0] ^ 1]) + answer[1:-1] + b"\x63", source)
                if self.wrong_name:
                    self._udp.sendto(answer[:13] + bytes([answer[13] ^ 1]) + answer[14:-1] + b"\x63",
                                     source)
                self._udp.sendto(answer, source)
            except OSError:
                if self._stopped:
                    return

    def _serve_tcp(self):
        while not self._stopped:
            try:
                connection, source = self._tcp.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.settimeout(10)
                    size = struct.unpack(">H", self._exactly(connection, 2))[0]
                    query = Query(self._exactly(connection, size), True, source)
                    self.queries.append(query)
                    if self.silent:
                        continue
                    answer = self._answer(query)
                    connection.sendall(struct.pack(">H", len(answer)) + answer)
                except OSError:
                    pass

    @staticmethod
    def _exactly(connection, count):
        data = b""
        while len(data) < count:
            more = connection.recv(count - len(data))
            if not more:
                raise OSError("closed")
            data += more
        return data
