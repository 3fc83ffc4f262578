"""stream: sessions over TCP, from a client to an upstream and back."""

import re
import socket
import threading
import time

import pytest

from harness import succeeds_once, wait_until
from harness.upstream import Gone, body_of, digest

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


def silent(peer):
    """Reads to the end, and may still write."""
    try:
        while True:
            peer.read_some()
    except Gone:
        pass


def says(text):
    def protocol(peer):
        peer.send(text)
        silent(peer)
    return protocol


PASS = "server { listen 127.0.0.1:@port@; proxy_pass @upstream@; }"


def test_bytes_go_both_ways(stream, upstream):
    upstream.speaks(echo)
    connection = stream(PASS).connect()
    for text in (b"one", b"two", b"three" * 1000):
        connection.send(text)
        assert connection.read_exactly(len(text)) == text


def test_the_server_may_speak_first(stream, upstream):
    upstream.speaks(says(b"220 hello\r\n"))
    assert stream(PASS).connect().read_until(b"\r\n") == b"220 hello\r\n"


@pytest.mark.parametrize("target", ["upstream", "variable", "unix"])
def test_where_a_session_may_go(stream, new_upstream, target):
    origin = new_upstream(unix=target == "unix").speaks(says(b"here"))
    blocks = {"upstream": "upstream u { server @origin@; }" + PASS.replace("@upstream@", "u"),
              "variable": 'map "" $to { default @origin@; }' + PASS.replace("@upstream@", "$to"),
              "unix": PASS.replace("@upstream@", "@origin@")}
    assert stream(blocks[target], origin=origin).connect().read_exactly(4) == b"here"


def test_it_may_listen_on_a_unix_socket(stream, upstream, folder):
    upstream.speaks(says(b"here"))
    stream("server { listen unix:@dir@/in; proxy_pass @upstream@; }")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(folder.file("in"))
        assert sock.recv(4) == b"here"


def test_much_goes_through_whole(stream, upstream):
    body = body_of(24 * 1024 * 1024)
    seen = []

    def download_and_upload(peer):
        thread = threading.Thread(target=peer.send, args=(body,))
        thread.start()
        got = b""
        while len(got) < len(body):
            got += peer.sock.recv(1 << 20)
        seen.append(digest(got))
        thread.join()
    upstream.speaks(download_and_upload)
    connection = stream(PASS).connect()
    sender = threading.Thread(target=connection.sock.sendall, args=(body,))
    sender.start()
    assert digest(connection.read_exactly(len(body))) == digest(body)
    sender.join()
    wait_until(lambda: seen == [digest(body)])


def test_without_half_close_the_end_of_one_side_ends_the_session(stream, upstream):
    upstream.speaks(silent)
    connection = stream(PASS).connect()
    connection.send(b"bye")
    connection.finish_sending()
    assert connection.read_until_close() == b""
    wait_until(lambda: upstream.connections and upstream.connections[0].closed)
    assert upstream.connections[0].received == b"bye"


def test_with_half_close_the_other_side_goes_on(stream, upstream):
    def answers_at_the_end(peer):
        silent(peer)
        peer.send(b"got " + peer.received)
    upstream.speaks(answers_at_the_end)
    connection = stream(PASS.replace("proxy_pass", "proxy_half_close on; proxy_pass")).connect()
    connection.send(b"all")
    connection.finish_sending()
    assert connection.read_until_close() == b"got all"


def test_the_log_tells_of_a_session(stream, upstream):
    upstream.speaks(echo)
    server = stream(PASS)
    connection = server.connect()
    connection.send(b"hello")
    connection.read_exactly(5)
    connection.close()
    server.wait_log(rf"\[info\] .*\*1 client 127.0.0.1:\d+ connected to 127.0.0.1:{server.port}\n")
    server.wait_log(rf"\[info\] .*\*1 proxy 127.0.0.1:\d+ connected to {upstream}\n")
    server.wait_log(r"\[info\] .*\*1 client disconnected, bytes from/to client:5/5, "
                    r"bytes from/to upstream:5/5\n")


# Upstreams that fail

TWO = "upstream u { server 127.0.0.1:@closed@; server @upstream@; }" + PASS.replace(
    "@upstream@", "u")


def test_the_next_peer_takes_over_in_the_same_session(stream, upstream):
    upstream.speaks(echo)
    server = stream(TWO)
    connection = server.connect()
    connection.send(b"x")
    assert connection.read_exactly(1) == b"x"
    second = server.connect()
    second.send(b"y")
    assert second.read_exactly(1) == b"y"
    assert len(server.log_lines("error")) == 1
    server.wait_log(r"connect\(\) failed \(111: Connection refused\) while connecting to upstream, "
                    rf"client: 127.0.0.1, server: 127.0.0.1:{server.port}, upstream: "
                    rf'"127.0.0.1:{server.folder.port("closed")}", bytes from/to client:0/0, '
                    r"bytes from/to upstream:0/0\n")
    server.wait_log(r'upstream server temporarily disabled while connecting to upstream, .*upstream'
                    rf': "127.0.0.1:{server.folder.port("closed")}"')


def test_next_upstream_off_tries_one(stream, upstream):
    upstream.speaks(echo)
    server = stream(TWO.replace("listen", "proxy_next_upstream off; listen"))
    assert server.connect().read_until_close() == b""
    assert upstream.connections == []


def test_the_number_of_tries_is_limited(stream, upstream):
    upstream.speaks(echo)
    server = stream("""upstream u { server 127.0.0.1:@closed@; server 127.0.0.1:@closed2@;
        server @upstream@ backup; }
        server { listen 127.0.0.1:@port@; proxy_pass u; proxy_next_upstream_tries 2; }""")
    assert server.connect().read_until_close() == b""
    assert upstream.connections == []


@pytest.mark.parametrize("time, goes_on", [("0", True), ("1m", True), ("100ms", False)])
def test_the_time_of_tries_is_limited(stream, deaf, upstream, time, goes_on):
    upstream.speaks(says(b"here"))
    server = stream(f"""upstream u {{ server @deaf@; server @upstream@ backup; }}
        server {{ listen 127.0.0.1:@port@; proxy_pass u; proxy_connect_timeout 200ms; proxy_next_upstream_timeout {time}; }}""",
                    deaf=deaf)
    connection = server.connect()
    assert (connection.read_exactly(4) if goes_on else connection.read_until_close()) == (b"here" if goes_on else b"")


@pytest.mark.parametrize("around, own", [
    ("proxy_next_upstream off;", "proxy_next_upstream on;"), ("proxy_next_upstream_tries 1;", "proxy_next_upstream_tries 2;"),
    ("proxy_next_upstream_timeout 100ms;", "proxy_next_upstream_timeout 1m;")])
def test_a_server_takes_the_word_around_it_unless_it_has_its_own(stream, deaf, upstream, around, own):
    upstream.speaks(says(b"here"))
    server = stream(f"""{around} proxy_connect_timeout 200ms; upstream u {{ server @deaf@; server @upstream@ backup; }}
        server {{ listen 127.0.0.1:@port@; proxy_pass u; }}
        server {{ listen 127.0.0.1:@port2@; proxy_pass u; {own} }}""", deaf=deaf)
    assert server.connect().read_until_close() == b""
    assert server.connect("port2").read_exactly(4) == b"here"


@pytest.mark.parametrize("around, own", [("proxy_half_close on;", "proxy_half_close off;"),
                                         ("proxy_half_close off;", "proxy_half_close on;")])
def test_half_close_may_be_said_around(stream, upstream, around, own):
    upstream.speaks(lambda peer: (silent(peer), peer.send(b"got " + peer.received)))
    server = stream(f"""{around} server {{ listen 127.0.0.1:@port@; proxy_pass @upstream@; }}
        server {{ listen 127.0.0.1:@port2@; proxy_pass @upstream@; {own} }}""")
    for port, said in ("port", around), ("port2", own):
        connection = server.connect(port)
        connection.send(b"all")
        connection.finish_sending()
        assert connection.read_until_close() == (b"got all" if "on" in said.split()[1] else b"")


@pytest.mark.parametrize("around, own", [("proxy_protocol on;", "proxy_protocol off;"),
                                         ("proxy_protocol off;", "proxy_protocol on;")])
def test_who_the_client_is_may_be_told_around(stream, upstream, around, own):
    upstream.speaks(echo)
    server = stream(f"""{around} server {{ listen 127.0.0.1:@port@; proxy_pass @upstream@; }}
        server {{ listen 127.0.0.1:@port2@; proxy_pass @upstream@; {own} }}""")
    for port, said in ("port", around), ("port2", own):
        connection = server.connect(port)
        connection.send(b"hello\n")
        assert connection.read_until(b"\n").startswith(b"PROXY TCP4 " if "on" in said.split()[1] else b"hello")


def test_when_all_are_down_the_client_is_closed_at_once_and_a_line_says_so(stream):
    server = stream("""upstream u { server 127.0.0.1:@closed@; server 127.0.0.1:@closed2@; }
        server { listen 127.0.0.1:@port@; proxy_pass u; }""")
    assert server.connect().read_until_close() == b""
    before = len(server.log_lines("error"))
    assert server.connect().read_until_close() == b""
    server.wait_log(r'no live upstreams while connecting to upstream, client: 127.0.0.1, server: '
                    rf'127.0.0.1:{server.port}, upstream: "u", bytes')
    assert len(server.log_lines("error")) == before + 1


def test_a_connection_that_is_not_made_in_time_is_given_up(stream, deaf, upstream):
    upstream.speaks(says(b"here"))
    server = stream("""upstream u { server @deaf@; server @upstream@; }
        server { listen 127.0.0.1:@port@; proxy_pass u; proxy_connect_timeout 200ms; }""",
                    deaf=deaf)
    assert server.connect().read_exactly(4) == b"here"
    server.wait_log(r"\[error\] .*upstream timed out \(110: Connection timed out\) while connecting "
                    rf'to upstream, .*upstream: "{deaf}"')


def test_silence_ends_a_session(stream, upstream):
    upstream.speaks(silent)
    server = stream("proxy_timeout 200ms;" + PASS)
    assert server.connect().read_until_close() == b""
    server.wait_log(r"\[info\] .*connection timed out \(110: Connection timed out\) while proxying "
                    rf'connection, client: 127.0.0.1, .*upstream: "{upstream}"')


def test_max_conns_bounds_what_a_peer_gets(stream, upstream):
    upstream.speaks(echo)
    server = stream("upstream u { zone z 64k; server @upstream@ max_conns=1; }"
                    + PASS.replace("@upstream@", "u"))
    first = server.connect()
    first.send(b"x")
    assert first.read_exactly(1) == b"x"
    assert server.connect().read_until_close() == b""
    first.close()

    def is_served():
        connection = server.connect()
        connection.send_what_fits(b"y")
        return _first_byte(connection) == b"y"
    wait_until(is_served)


def _first_byte(connection):
    try:
        return connection.sock.recv(1)
    except OSError:
        return b""


# Rates

@pytest.mark.parametrize("direction", ["upload", "download"])
def test_a_rate_is_kept(stream, upstream, direction):
    upstream.speaks(silent if direction == "upload" else says(bytes(3000)))
    server = stream(f"proxy_{direction}_rate 1000;" + PASS)
    begun = time.monotonic()
    connection = server.connect()
    if direction == "upload":
        connection.send(bytes(3000))
        wait_until(lambda: upstream.connections and len(upstream.connections[0].received) == 3000)
    else:
        connection.read_exactly(3000)
    # A second's worth at once, and one more each second.
    assert time.monotonic() - begun > 1.5


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_a_rate_that_is_used_up_is_no_silence(stream, upstream, direction):
    upstream.speaks(silent if direction == "upload" else lambda peer: (peer.send(bytes(2500)), silent(peer)))
    server = stream(f"proxy_timeout 300ms; proxy_{direction}_rate 1000;" + PASS)

    def all_came():
        connection = server.connect()
        if direction == "upload":
            connection.send_what_fits(bytes(2500))
        got = connection.read_until_close()
        wait_until(lambda: upstream.connections and upstream.connections[-1].closed)
        return len(got if direction == "download" else upstream.connections[-1].received) == 2500
    succeeds_once(all_came)
    server.wait_log("connection timed out")


# Small modules

def test_a_text_is_returned(stream):
    server = stream('server { listen 127.0.0.1:@port@; return "$remote_addr $protocol $status\\n"; }')
    assert server.connect().read_until_close() == b"127.0.0.1 TCP 000\n"


def test_who_is_denied_is_closed(stream):
    server = stream("server { listen 127.0.0.1:@port@; allow 10.0.0.0/8; deny all; return x; }")
    assert server.connect().read_until_close() == b""
    server.wait_log(r"\[error\] .*access forbidden by rule while initializing session, client: "
                    rf"127.0.0.1, server: 127.0.0.1:{server.port}\n")


def test_who_is_allowed_goes_on(stream):
    server = stream("deny all; server { listen 127.0.0.1:@port@; allow 127.0.0.1; deny all; return x; }")
    assert server.connect().read_until_close() == b"x"


def test_variables_are_set_and_mapped(stream):
    server = stream("""
        map $given $mapped { default no; "~^a(.)" yes-$1; }
        geo $near { default far; 127.0.0.0/8 near; }
        split_clients $remote_addr $share { 100% all; }
        server { listen 127.0.0.1:@port@; set $given ab; return "$mapped $near $share"; }""")
    assert server.connect().read_until_close() == b"yes-b near all"


def test_variables_of_a_session(stream, upstream):
    server = stream("""server { listen 127.0.0.1:@port@;
        return "$connection $server_addr $server_port $hostname $bytes_received $bytes_sent $pid"; }""")
    said = server.connect().read_until_close().decode().split()
    assert said[:3] == ["1", "127.0.0.1", str(server.port)]
    assert said[3] == socket.gethostname() and said[4:6] == ["0", "0"]
    assert int(said[6]) in server.workers()


def test_a_session_lives_on_over_a_reload(stream, upstream):
    upstream.speaks(echo)
    server = stream(PASS)
    connection = server.connect()
    connection.send(b"before")
    assert connection.read_exactly(6) == b"before"
    server.reload()
    connection.send(b"after")
    assert connection.read_exactly(5) == b"after"
    other = server.connect()
    other.send(b"new")
    assert other.read_exactly(3) == b"new"


# Configurations

@pytest.mark.parametrize("config, message", [
    ("server { listen 127.0.0.1:@port@; }", "no handler for server"),
    ("server { return x; }", 'no "listen" is defined for server'),
    ("server { listen 127.0.0.1:@port@; proxy_pass 127.0.0.1; }", "no port in upstream"),
    ("server { listen 127.0.0.1:@port@; proxy_pass off; }", "no port in upstream"),
    ("upstream u { server a.test; }", "no port in upstream|host not found"),
    ("proxy_upload_rate 1x;", "\"proxy_upload_rate\" directive invalid value"),
    ("server { proxy_download_rate off; }", "\"proxy_download_rate\" directive invalid value"),
    ("server { listen 127.0.0.1:@port@; proxy_pass @closed@; }", "no port in upstream|not found"),
    ("server { listen 127.0.0.1:@port@; location / { } return x; }",
     '"location" directive is not allowed here'),
    ("server { listen 127.0.0.1:@port@; return x; ssl_early_data on; }",
     '"ssl_early_data" directive is not allowed here'),
    ("server { listen 127.0.0.1:@port@; return $no_such; }", 'unknown "no_such" variable'),
    ("server { listen 127.0.0.1:@port@ ssl; return x; }", 'no "ssl_certificate" is defined'),
])
def test_what_cannot_be_is_refused(check, binary, config, message):
    module = MODULE if binary.is_nginx else ""
    done = check(f"{module} events {{ }} stream {{ {config} }}")
    assert done.code == 1
    if not binary.is_nginx:
        assert re.search(message, done.err), done.err


@pytest.mark.weir_only("there it works")
@pytest.mark.parametrize("config, message", [
    ("server { listen 127.0.0.1; return x; }", "no port"),
    ("server { listen 127.0.0.1:@port@ udp; return x; }", "weir proxies TCP only"),
    ("server { listen 127.0.0.1:@port@; pass 127.0.0.1:@closed@; }", "nothing listens on"),
])
def test_what_is_not_there_is_refused_with_the_reason(check, config, message):
    done = check(f"events {{ }} stream {{ {config} }}")
    assert done.code == 1 and message in done.err
