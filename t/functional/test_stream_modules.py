"""The small modules of stream: logs, limits, who the client is; names that are resolved."""

import re
import signal
import socket
import struct
import threading

import pytest

from harness import kernel, wait_until

MODULE = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;"


@pytest.fixture
def stream(weir, binary):
    """Starts the program on the content of a stream block."""
    def start(servers, server=None, main="", **more):
        module = MODULE if binary.is_nginx else ""
        return weir(server, main=f"{module}\n{main}\nstream {{\n{servers}\n}}", **more)
    return start


def echo(peer):
    while True:
        peer.send(peer.read_some())


# access_log

def test_a_session_is_logged_at_its_end(stream, upstream):
    upstream.speaks(echo)
    server = stream("""
        log_format all '$remote_addr $protocol $status $bytes_sent $bytes_received $session_time '
            '$upstream_addr $upstream_bytes_sent $upstream_bytes_received $upstream_connect_time '
            '$upstream_first_byte_time $upstream_session_time';
        upstream u { server 127.0.0.1:@closed@; server @upstream@; }
        server { listen 127.0.0.1:@port@; proxy_pass u; access_log @dir@/sessions.log all; }""")
    connection = server.connect()
    connection.send(b"hello")
    connection.read_exactly(5)
    assert server.read("sessions.log") == ""
    connection.close()
    line, = server.access_log(name="sessions.log")
    time = r"\d+\.\d{3}"
    assert re.fullmatch(rf"127.0.0.1 TCP 200 5 5 {time} 127.0.0.1:{server.folder.port('closed')}, "
                        rf"{upstream} 0, 5 0, 5 -, {time} -, {time} {time}, {time}", line), line


@pytest.mark.weir_only("nginx waits for preread_timeout")
def test_sessions_that_a_worker_ends_with_are_logged(stream, upstream):
    upstream.speaks(echo)
    server = stream("""log_format s '$status $bytes_received $upstream_bytes_received $upstream_session_time';
        access_log @dir@/s.log s; preread_timeout 1h;
        server { listen 127.0.0.1:@port@; proxy_pass @upstream@; }
        server { listen 127.0.0.1:@port2@; ssl_preread on; return x; }""",
                    main="worker_shutdown_timeout 100ms;")
    asks, proxied = server.connect("port2"), server.connect()
    asks.send(b"\x16")
    proxied.send(b"hello")
    assert proxied.read_exactly(5) == b"hello"
    server.stop(signal.SIGQUIT)
    assert proxied.read_until_close() == b"" and asks.read_until_close() == b""
    proxying, asking = sorted(server.access_log(2, name="s.log"), reverse=True)
    assert re.fullmatch(r"200 5 5 \d\.\d{3}", proxying), proxying
    assert asking == "200 0 - -"        # what was only looked at is not received


@pytest.mark.parametrize("server, status", [
    ("return x;", "200"), ("deny all; return x;", "403"), ("proxy_pass 127.0.0.1:@closed@;", "502"),
    ("ssl_preread on; preread_buffer_size 3; return x;", "400"),
    ("set $to no.such:1; proxy_pass $to;", "500"),
    ("set $to no.such:1; proxy_pass $to; resolver 127.0.0.1:@closed@; resolver_timeout 10ms;", "500"),
])
def test_the_status_says_how_it_ended(stream, server, status):
    running = stream(f"""log_format s '$status'; access_log @dir@/s.log s;
        server {{ listen 127.0.0.1:@port@; {server} }}""")
    connection = running.connect()
    connection.send_what_fits(b"\x16\x03\x01\x01")
    connection.read_until_close()
    assert running.access_log(name="s.log") == [status]


def test_a_variable_that_another_server_sets_is_empty(stream):
    server = stream("""log_format s '[$x]'; access_log @dir@/s.log s;
        server { listen 127.0.0.1:@port@; return x; }
        server { listen unix:@dir@/other; set $x value; return x; }""")
    server.connect().read_until_close()
    assert server.access_log(name="s.log") == ["[]"]


def test_the_time_to_connect_ends_with_the_handshake(stream, upstream):
    """The upstream speaks no TLS: it is connected to, and no more."""
    upstream.speaks(lambda peer: peer.send(b"no TLS at all\n"))
    server = stream("""log_format s '$upstream_connect_time'; access_log @dir@/s.log s;
        server { listen 127.0.0.1:@port@; proxy_pass @upstream@; proxy_ssl on; }""")
    server.connect().read_until_close()
    assert server.access_log(name="s.log") == ["-"]
    assert server.log().count("[error]") == 1       # though the alert meets a socket that was reset


@pytest.mark.weir_only("nginx has them since 1.29.3 and 1.29.8")
def test_a_log_knows_the_last_peer_and_milliseconds(stream, upstream):
    server = stream("""log_format last '$upstream_last_addr $time_iso8601_ms';
        upstream u { server 127.0.0.1:@closed@; server @upstream@; }
        server { listen 127.0.0.1:@port@; proxy_pass u; access_log @dir@/s.log last; }""")
    server.connect().close()
    line, = server.access_log(name="s.log")
    assert re.fullmatch(rf"{upstream} [\d-]{{10}}T[\d:]{{8}}\.\d{{3}}[+-]\d\d:\d\d", line), line


def test_a_log_may_have_a_condition_a_buffer_and_be_off(stream):
    server = stream("""log_format f '$server_port'; map $remote_addr $never { default 0; }
        access_log @dir@/s.log f buffer=4k;
        server { listen 127.0.0.1:@port@; return a; }
        server { listen 127.0.0.1:@port2@; return b; access_log off; }
        server { listen 127.0.0.1:@port3@; return c; access_log @dir@/s.log f buffer=4k if=$never; }
        """)
    for port in ("port", "port2", "port3"):
        server.connect(port).read_until_close()
    assert server.read("s.log") == ""
    server.stop()
    assert server.read("s.log") == f"{server.port}\n"


def test_a_log_without_a_format_is_refused(check, binary):
    module = MODULE if binary.is_nginx else ""
    done = check(f"{module} events {{ }} stream {{ server {{ listen 127.0.0.1:@port@; return x; "
                 "access_log @dir@/a; } }")
    assert done.code == 1 and "log format is not specified" in done.err


# limit_conn

def test_sessions_of_a_key_are_limited(stream, upstream):
    upstream.speaks(echo)
    server = stream("""limit_conn_zone $binary_remote_addr zone=z:64k; log_format l '$limit_conn_status';
        server { listen 127.0.0.1:@port@; limit_conn z 1; proxy_pass @upstream@;
                 access_log @dir@/l.log l; }""")
    first = server.connect()
    first.send(b"x")
    assert first.read_exactly(1) == b"x"
    assert server.connect().read_until_close() == b""
    server.wait_log(r'\[error\] .*limiting connections by zone "z"')
    first.close()
    assert server.access_log(2, "l.log") == ["REJECTED", "PASSED"]
    again = server.connect()
    again.send(b"y")
    assert again.read_exactly(1) == b"y"


# PROXY protocol

def v2(body, kind=0x11, command=0x21, length=None, signature=b"\r\n\r\n\0\r\nQUIT\n"):
    return signature + struct.pack("!BBH", command, kind,
                                   len(body) if length is None else length) + body


V4 = socket.inet_aton("203.0.113.7") + socket.inet_aton("198.51.100.1") + struct.pack("!HH", 5, 6)
HEADED = """server { listen 127.0.0.1:@port@ proxy_protocol; set_real_ip_from 127.0.0.0/8;
    return "$remote_addr $remote_port $proxy_protocol_addr $proxy_protocol_port \
$proxy_protocol_server_addr $proxy_protocol_server_port $realip_remote_addr\\n"; }"""


@pytest.mark.parametrize("head", [b"PROXY TCP4 203.0.113.7 198.51.100.1 5 6\r\n", v2(V4)],
                         ids=["1", "2"])
def test_a_trusted_proxy_says_who_the_client_is(stream, head):
    connection = stream(HEADED).connect()
    connection.send(head)
    assert connection.read_until(b"\n") == b"203.0.113.7 5 203.0.113.7 5 198.51.100.1 6 127.0.0.1\n"


def test_a_port_that_is_not_known_is_empty(stream):
    connection = stream(HEADED).connect()
    connection.send(b"PROXY TCP4 203.0.113.7 198.51.100.1 0 0\r\n")
    assert connection.read_until(b"\n") == b"203.0.113.7  203.0.113.7  198.51.100.1  127.0.0.1\n"


def test_one_that_is_not_trusted_is_the_client(stream):
    connection = stream(HEADED.replace("127.0.0.0/8", "10.0.0.0/8")).connect()
    connection.send(v2(V4))
    said = connection.read_until(b"\n").split()
    assert said[0] == said[-1] == b"127.0.0.1" and said[2] == b"203.0.113.7"


@pytest.mark.parametrize("head", [
    b"PROXY TCP5 203.0.113.7 198.51.100.1 5 6\r\n", b"PROXY TCP4 203.0.113 198.51.100.1 5 6\r\n",
    b"PROXY TCP4 203.0.113.7 x 5 6\r\n", b"PROXY TCP4 203.0.113.7 198.51.100.1 x 6\r\n",
    b"PROXY TCP4 203.0.113.7 198.51.100.1 5 65536\r\n", b"PROXY TCP4 203.0.113.7 198.51.100.1 5 6\n",
    b"PROXY TCP6 203.0.113.7 198.51.100.1 5 6\r\n", b"PROXY " + b"x" * 200 + b"\r\n", b"GET / HTTP",
    v2(V4, command=0x31), v2(V4, command=0x22), v2(V4, kind=0x41), v2(V4, length=4),
    v2(V4 + b"\x01\x00\x09ab"), v2(V4, length=65535) + bytes(66000),
    v2(V4, signature=b"\r\n\r\n\0\r\nQUIX\n"),
], ids=["family", "source", "destination", "port of letters", "port too large", "bare LF",
        "IPv4 for TCP6", "too long", "none", "version", "command", "unknown family", "too short",
        "TLV too long", "2 too long", "signature"])
@pytest.mark.weir_only("nginx does not look so closely")
def test_a_malformed_header_ends_the_session(stream, head):
    server = stream(HEADED)
    connection = server.connect()
    connection.send_what_fits(head + b"hello\r\n")
    connection.finish_sending()
    assert connection.read_until_close() == b""
    server.wait_log(r"\[error\] .*broken header")


def test_a_header_that_does_not_come_is_ended_in_time(stream):
    server = stream("proxy_protocol_timeout 200ms;" + HEADED)
    connection = server.connect()
    connection.send(b"PROXY TC")
    assert connection.read_until_close() == b""


@pytest.mark.parametrize("head, status", [(b"GET / HTTP/1.0\r\n\r\n", "400"), (b"", "200")],
                         ids=["malformed", "none in time"])
def test_a_session_that_has_no_header_is_logged(stream, head, status):
    server = stream("""log_format s '$status $bytes_received $remote_addr "$proxy_protocol_addr"';
        access_log @dir@/s.log s; proxy_protocol_timeout 200ms;""" + HEADED)
    connection = server.connect()
    connection.send_what_fits(head)
    assert connection.read_until_close() == b""
    assert server.access_log(name="s.log") == [f'{status} 0 127.0.0.1 "-"']


@pytest.mark.weir_only("since nginx 1.23.2")
def test_values_of_the_header_are_variables(stream):
    tlvs = (b"\x01\0\x02h2" + b"\x02\0\x06a.test" + b"\xe0\0\x01x"
            + b"\x20\0\x11" + b"\x01\0\0\0\x07" + b"\x21\0\x09TLSv1.3xx")
    server = stream("""server { listen 127.0.0.1:@port@ proxy_protocol;
        return "$proxy_protocol_tlv_alpn $proxy_protocol_tlv_authority $proxy_protocol_tlv_0xe0 \
$proxy_protocol_tlv_ssl_version $proxy_protocol_tlv_ssl_verify $proxy_protocol_tlv_netns.\\n"; }""")
    connection = server.connect()
    connection.send(v2(V4 + tlvs))
    assert connection.read_until(b"\n") == b"h2 a.test x TLSv1.3xx 7 .\n"


@pytest.mark.parametrize("version, header", [
    ("on", "1"), pytest.param("v2", "2", marks=pytest.mark.weir_only("nginx writes version 1"))])
def test_servers_are_told_of_the_client(stream, upstream, version, header):
    upstream.speaks(echo)
    server = stream(f"""server {{ listen 127.0.0.1:@port@ proxy_protocol; proxy_pass @upstream@;
        set_real_ip_from 127.0.0.1; proxy_protocol {version}; }}""")
    connection = server.connect()
    connection.send(v2(V4) + b"!")
    if header == "1":
        assert connection.read_until(b"!") == (
            f"PROXY TCP4 203.0.113.7 127.0.0.1 5 {server.port}\r\n!".encode())
    else:
        assert connection.read_exactly(29) == v2(
            socket.inet_aton("203.0.113.7") + socket.inet_aton("127.0.0.1")
            + struct.pack("!HH", 5, server.port)) + b"!"


# Addresses of our own, and names

def test_the_local_address_may_be_chosen(stream, upstream):
    seen = []

    def protocol(peer):
        seen.append(peer.sock.getpeername()[0])
        peer.send(b"ok")
    upstream.speaks(protocol)
    server = stream("""server { listen 127.0.0.1:@port@; proxy_pass @upstream@; set $from 127.0.0.2;
        proxy_bind $from; proxy_socket_keepalive on; }""")
    assert server.connect().read_exactly(2) == b"ok"
    assert seen == ["127.0.0.2"]


class Dns:
    """Answers every question for an A record with 127.0.0.1, but for names that begin with "no"."""

    def __init__(self, port):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", port))
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            try:
                query, peer = self.sock.recvfrom(600)
            except OSError:
                return
            end = query.index(b"\0", 12) + 5
            question, kind = query[12:end], query[end - 4:end - 2]
            is_known = kind == b"\0\x01" and not query[13:15].lower() == b"no"
            code = 0 if is_known or kind == b"\0\x1c" else 3
            answer = (b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04" + socket.inet_aton("127.0.0.1")
                      if is_known else b"")
            self.sock.sendto(query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, int(is_known), 0, 0)
                             + question + answer, peer)

    def stop(self):
        self.sock.close()


@pytest.fixture
def dns(ports):
    made = []

    def start():
        port = ports.take()
        made.append(Dns(port))
        return f"127.0.0.1:{port}"
    yield start
    for one in made:
        one.stop()


RESOLVED = """resolver @dns@ ipv6=off; resolver_timeout 5s;
    server { listen 127.0.0.1:@port@; set $to %s; proxy_pass $to; }"""


def test_a_name_is_resolved_when_a_session_comes(stream, upstream, dns):
    upstream.speaks(echo)
    server = stream(RESOLVED % f"origin.test:{upstream.port}", dns=dns())
    for _ in range(2):
        connection = server.connect()
        connection.send(b"x")
        assert connection.read_exactly(1) == b"x"


def test_a_name_that_is_not_there_ends_the_session(stream, dns):
    server = stream(RESOLVED % "no.test:1", dns=dns())
    assert server.connect().read_until_close() == b""
    server.wait_log(r"\[error\] .*no.test could not be resolved \(3: Host not found\)")


def test_without_a_resolver_a_name_is_an_error(stream):
    server = stream('server { listen 127.0.0.1:@port@; set $to origin.test:1; proxy_pass $to; }')
    assert server.connect().read_until_close() == b""
    server.wait_log("no resolver defined to resolve origin.test")


def test_a_variable_without_a_value_is_no_host(stream):
    server = stream('server { listen 127.0.0.1:@port@; set $to ""; proxy_pass $to; }')
    assert server.connect().read_until_close() == b""
    server.wait_log(r'\[error\] .*no host in upstream "".*, client: ')


# Bounds

@pytest.mark.weir_only("a bound of weir's own")
def test_a_thousand_stalled_sessions_hold_little_memory(stream, upstream):
    """Nobody reads at the other end, and clients send what the kernels on the way take: little, as all sockets share its memory."""
    over = threading.Event()
    upstream.speaks(lambda peer: over.wait())
    upstream.takes_at_most(8192)
    server = stream("server { listen 127.0.0.1:@port@ rcvbuf=8k; proxy_pass @upstream@; proxy_socket_sndbuf 8k; }",
                    events="worker_connections 4096;", main="worker_rlimit_nofile 8192;")
    worker, = server.workers()
    before = kernel.rss_kib(worker)
    try:
        connections = [server.connect() for _ in range(1000)]
        for connection in connections:
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
            connection.sock.setblocking(False)
            _send_what_fits(connection.sock)
        wait_until(lambda: len(upstream.connections) == 1000)
        each = (kernel.rss_kib(worker) - before) / 1000
        # A block and two connections; the sanitizer's allocator keeps more.
        assert each < (400 if server.binary.is_sanitized else 40), f"{each} KiB a session"
        other = server.connect()
        other.finish_sending()
        assert other.read_until_close() == b""
    finally:
        over.set()


def _send_what_fits(sock):
    try:
        for _ in range(64):
            sock.send(bytes(65536))
    except BlockingIOError:
        pass


# Methods of groups

@pytest.mark.parametrize("method", ["least_conn;", "hash $remote_addr;", "hash $remote_addr consistent;",
                                    "random;", "random two least_conn;"])
def test_methods_choose_among_peers(stream, new_upstream, method):
    origins = [new_upstream().speaks(echo) for _ in range(2)]
    server = stream(f"""upstream u {{ {method} zone z 128k; server @a@; server @b@; }}
        server {{ listen 127.0.0.1:@port@; proxy_pass u; }}""", a=origins[0], b=origins[1])
    connections = [server.connect() for _ in range(6)]
    for connection in connections:
        connection.send(b"x")
        assert connection.read_exactly(1) == b"x"
    shares = sorted(len(origin.connections) for origin in origins)
    assert sum(shares) == 6
    if method.startswith("hash"):
        assert shares == [0, 6]
    if method == "least_conn;":
        assert shares == [3, 3]


@pytest.mark.weir_only("nginx has it for subscribers")
@pytest.mark.parametrize("until", ["connect", "first_byte", "last_byte inflight"])
def test_least_time_measures(stream, upstream, until):
    upstream.speaks(echo)
    server = stream(f"""upstream u {{ least_time {until}; server @upstream@; server 127.0.0.1:@closed@; }}
        server {{ listen 127.0.0.1:@port@; proxy_pass u; }}""")
    for _ in range(4):
        connection = server.connect()
        connection.send(b"x")
        assert connection.read_exactly(1) == b"x"


def test_a_zone_of_http_is_no_zone_of_stream(check, binary):
    module = MODULE if binary.is_nginx else ""
    done = check(f"""{module} events {{ }}
        http {{ upstream u {{ zone z 64k; server 127.0.0.1:1; }} }}
        stream {{ upstream u {{ zone z 64k; server 127.0.0.1:1; }} }}""")
    assert done.code == 1
    assert 'the shared memory zone "z" is already declared for a different use' in done.err
