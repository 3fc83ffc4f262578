"""tunnel_pass: CONNECT (RFC 9110, 9.3.6; RFC 9113, 8.5)."""

import base64
import socket
import threading

import pytest

from harness import TIMEOUT, wait_until
from harness.h2 import DATA, END_STREAM, H2, HEADERS, RST_STREAM
from harness.upstream import Gone

pytestmark = pytest.mark.weir_only("nginx 1.22 has no tunnel_pass")

OPEN = "tunnel_pass;"


def echo(peer):
    while True:
        peer.send(peer.read_some().upper())


def greets(peer):
    peer.send(b"hello")
    echo(peer)


def answers_the_end(peer):
    """Says how much came, once the other side has said that it is all."""
    count = 0
    try:
        while True:
            count += len(peer.read_some())
    except Gone:
        peer.send(b"%d" % count)


def connect(target, version="HTTP/1.1", headers=b"", method=b"CONNECT"):
    return method + f" {target} {version}\r\nHost: localhost\r\n".encode() + headers + b"\r\n"


def asked(server, target, **more):
    connection = server.connect()
    connection.send(connect(target, **more))
    return connection


def opened(server, target, **more):
    connection = asked(server, target, **more)
    head = connection.read_until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    return connection, head


def refused(server, request):
    """The status; the connection has to end, as what follows could be meant for the tunnel."""
    connection = server.connect()
    connection.send(request + b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n")
    response = connection.read_response()
    assert response.headers["Connection"] == "close" and connection.is_closed()
    return response


def test_bytes_pass_both_ways(weir, upstream):
    upstream.speaks(greets)
    connection, head = opened(weir(OPEN), upstream)
    fields = head.lower()
    assert not any(name in fields for name in
                   (b"content-length", b"transfer-encoding", b"connection:", b"content-type"))
    connection.read_until(b"hello")
    for text in (b"first", b"x" * 300_000, b"last"):
        connection.send(text)
        connection.read_until(text.upper())
    assert upstream.received[0].startswith(b"first")


def test_what_the_client_sends_early_waits_for_the_tunnel(weir, upstream):
    upstream.speaks(echo)
    connection = weir(OPEN).connect()
    connection.send(connect(upstream) + b"get / http/1.1\r\n\r\n")
    connection.read_until(b"\r\n\r\n")
    connection.read_until(b"GET / HTTP/1.1\r\n\r\n")


def test_http_1_0_may_ask_too(weir, upstream):
    upstream.speaks(greets)
    opened(weir(OPEN), upstream, version="HTTP/1.0")[0].read_until(b"hello")


def test_the_client_may_end_its_half_first(weir, upstream):
    upstream.speaks(answers_the_end)
    connection, _ = opened(weir(OPEN), upstream)
    connection.send(b"x" * 100_000)
    connection.sock.shutdown(socket.SHUT_WR)
    assert connection.read_until_close() == b"100000"
    wait_until(lambda: not upstream.open_connections(), "the origin to be let go")


def test_the_server_may_end_its_half_first(weir, upstream):
    upstream.speaks(lambda peer: (peer.send(b"bye"), peer.sock.shutdown(socket.SHUT_WR),
                                  peer.wait_gone()))
    connection, _ = opened(weir(OPEN), upstream)
    assert connection.read_until_close() == b"bye"
    connection.send(b"still here")
    wait_until(lambda: upstream.received == [b"still here"], "the other half to be open")


def test_a_success_that_makes_no_tunnel_is_none(weir, upstream):
    """Else the client would take the page for what its tunnel brings."""
    server = weir("error_page 405 =200 /page; if ($request_port = 1) { return 200 no; } location / { return 405; }"
                  "location /page { return 200 page; } location /never { tunnel_pass; }")
    assert [refused(server, connect(target)).status for target in ("a.test:1", "a.test:2")] == [501, 501]


def test_names_are_resolved(weir, upstream, dns):
    dns.has("back.test", "127.0.0.1")
    upstream.speaks(greets)
    server = weir("resolver @dns@; access_log @dir@/t.log t; tunnel_pass;", dns=dns,
                  http="log_format t '$request_method $host $request_port $uri $status "
                       "$upstream_addr $upstream_status';")
    connection, _ = opened(server, f"BACK.test:{upstream.port}")
    connection.read_until(b"hello")
    connection.close()
    assert server.access_log(name="t.log") == [
        f"CONNECT back.test {upstream.port} / 200 127.0.0.1:{upstream.port} 200"]
    assert asked(server, "nowhere.test:1").read_response().status == 502


def test_the_address_may_be_given(weir, new_upstream):
    one, two, path = (new_upstream(unix=number == 2).speaks(greets) for number in range(3))
    server = weir("""listen 127.0.0.1:@port@; location / { tunnel_pass @one@; }
                     server_name a.test; }
                     server { listen 127.0.0.1:@port@; server_name b.test; tunnel_pass group; }
                     server { listen 127.0.0.1:@port@; server_name c.test; tunnel_pass @path@; }
                     server { listen 127.0.0.1:@port@; server_name d.test; set $to @two@;
                              tunnel_pass $to;""",
                  http="upstream group { server @two@; }", one=one, two=two, path=path)
    for name, origin in ("a", one), ("b", two), ("c", path), ("d", two):
        before = len(origin.connections)
        opened(server, f"{name}.test:443")[0].read_until(b"hello")
        assert len(origin.connections) == before + 1


def test_a_server_that_does_not_answer_is_gone_by(weir, ports, new_upstream):
    origin = new_upstream().speaks(greets)
    server = weir("tunnel_pass group; access_log @dir@/t.log t;",
                  http="upstream group { server 127.0.0.1:@dead@; server @origin@ backup; }"
                       "log_format t '$upstream_addr $upstream_status $bytes_sent';",
                  dead=ports.take(), origin=origin)
    connection, head = opened(server, "any.test:443")
    connection.read_until(b"hello")
    connection.close()
    assert server.access_log(name="t.log")[0].split(", ")[1].startswith(f"{origin} ")


def test_who_cannot_be_reached_is_502(weir, ports):
    server = weir(OPEN)
    dead = ports.take()
    assert refused(server, connect(f"127.0.0.1:{dead}")).status == 502
    server.wait_log(rf'connect\(\) failed .*, request: "CONNECT 127.0.0.1:{dead} HTTP/1.1", '
                    rf'upstream: "127.0.0.1:{dead}"')


@pytest.mark.parametrize("target", [
    "/", "*", "localhost", "localhost:", "localhost:0", "localhost:65536", "localhost:x", ":80",
    "user@localhost:80", "http://localhost:80/", "localhost:80/", "localhost:80:80", "unix:/x:80"])
def test_a_target_is_a_host_and_a_port(weir, target):
    server = weir("resolver 127.0.0.1:1; tunnel_pass;")
    assert refused(server, connect(target)).status == 400


@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_connect_has_no_body(weir, upstream, framing):
    assert refused(weir(OPEN), connect(upstream, headers=framing)).status == 400
    assert not upstream.connections


def test_rules_hold_before_there_is_a_tunnel(weir, upstream):
    server = weir("""listen 127.0.0.1:@port@; set $ok 0; if ($request_port = @origin@) { set $ok 1; }
                     if ($ok = 0) { return 403; }
                     location / { deny 127.0.0.1; tunnel_pass; }
                     server_name a.test; }
                     server { listen 127.0.0.1:@port@; server_name 127.0.0.1;
                         if ($request_port = @origin@) { return 403; } tunnel_pass; """,
                  origin=upstream.port)
    assert refused(server, connect(f"a.test:{upstream.port}")).status == 403
    assert refused(server, connect("a.test:1")).status == 403
    assert refused(server, connect(f"127.0.0.1:{upstream.port}")).status == 403
    assert not upstream.connections


def test_only_servers_with_tunnel_pass_take_connect(weir, upstream):
    """And of those, only its locations: no other content could be told from a tunnel."""
    server = weir("""listen 127.0.0.1:@port@; tunnel_pass; server_name a.test;
                     location / { proxy_pass http://@upstream@; }
                     location /static { root @dir@; } }
                     server { listen 127.0.0.1:@port@ default_server; server_name b.test; location / {
                         proxy_pass http://@upstream@; }""")
    assert refused(server, connect("a.test:443")).status == 405
    assert refused(server, connect("b.test:443")).status == 405
    assert refused(server, connect("/")).status in (400, 405)
    assert not upstream.connections


def test_other_methods_are_405(weir, upstream):
    server = weir(OPEN)
    for method in "GET", "POST", "OPTIONS":
        assert server.request("/", method, body=b"" if method == "POST" else None).status == 405


@pytest.mark.parametrize("said, sizes", [("", range(1001, 16385)), ("tunnel_buffer_size 1000;", range(1, 1001))])
def test_bytes_that_are_copied_are_read_by_tunnel_buffer_size(weir, upstream, said, sizes):
    """A record has what was read at once."""
    upstream.speaks(lambda peer: (peer.read_some(), peer.send(bytes(60_000)), peer.wait_gone()))
    server = weir(f"""listen 127.0.0.1:@tls_port@ ssl; {said} tunnel_pass @upstream@;
                      ssl_certificate @certs@/localhost.crt; ssl_certificate_key @certs@/localhost.key;""")
    with server.tls_connect() as connection:
        connection.send(connect("a.test:443"))
        connection.read_until(b"\r\n\r\n")
        connection.send(b"go")
        parts = []
        while sum(parts) < 60_000:
            parts.append(len(connection.sock.recv(65536)))
        assert max(parts) in sizes


def test_a_server_that_takes_no_connection_is_504(weir, deaf):
    server = weir("tunnel_connect_timeout 200ms; tunnel_pass @deaf@;", deaf=deaf)
    assert refused(server, connect("a.test:443")).status == 504


@pytest.mark.parametrize("said, first, status", [
    ("", "closed", 200), ("", "deaf", 200),
    ("tunnel_next_upstream error;", "closed", 200), ("tunnel_next_upstream error;", "deaf", 504),
    ("tunnel_next_upstream timeout;", "closed", 502), ("tunnel_next_upstream timeout;", "deaf", 200),
    ("tunnel_next_upstream off;", "closed", 502), ("tunnel_next_upstream off;", "deaf", 504),
    ("tunnel_next_upstream_tries 1;", "closed", 502), ("tunnel_next_upstream_tries 2;", "closed", 200),
    ("tunnel_next_upstream_timeout 100ms;", "deaf", 504), ("tunnel_next_upstream_timeout 1m;", "deaf", 200)])
def test_a_tunnel_goes_to_the_next_server_as_said(weir, upstream, deaf, ports, said, first, status):
    upstream.speaks(greets)
    server = weir(f"tunnel_connect_timeout 200ms; {said} tunnel_pass back;",
                  http="upstream back { server @first@ max_fails=0; server @upstream@ backup; }",
                  first=deaf if first == "deaf" else f"127.0.0.1:{ports.take()}")
    if status == 200:
        opened(server, "a.test:443")[0].read_until(b"hello")
    else:
        assert refused(server, connect("a.test:443")).status == status
        assert not upstream.connections


def test_tunnel_allow_upstream_is_asked_for_each_server(weir, new_upstream):
    denied, allowed = new_upstream().speaks(greets), new_upstream().speaks(greets)
    server = weir("""listen 127.0.0.1:@port@; server_name a.test; tunnel_allow_upstream 1 $allowed;
                     tunnel_next_upstream denied; tunnel_pass both; }
                     server { listen 127.0.0.1:@port@; server_name b.test;
                              tunnel_allow_upstream $allowed; tunnel_pass both;""",
                  http="""map $upstream_last_addr $allowed { volatile; default 0; @allowed@ 1; }
                          upstream both { server @denied@; server @allowed@ backup; }""",
                  denied=denied, allowed=allowed)
    opened(server, "a.test:443")[0].read_until(b"hello")
    assert refused(server, connect("b.test:443")).status == 403
    server.wait_log("access to upstream is not allowed")
    assert not denied.connections and len(allowed.connections) == 1


def test_proxies_passwords_are_asked_for(weir, upstream, folder):
    folder.write("passwords", b"user:{PLAIN}secret\n")
    upstream.speaks(greets)
    server = weir("""auth_basic here; auth_basic_user_file @dir@/passwords;
                     location / { tunnel_pass; } location /web { try_files /none =404; }""")
    response = refused(server, connect(upstream))
    assert response.status == 407
    assert response.headers["Proxy-Authenticate"] == 'Basic realm="here"'
    assert "WWW-Authenticate" not in response.headers
    secret = base64.b64encode(b"user:secret")
    assert refused(server, connect(upstream, headers=b"Authorization: Basic " + secret
                                   + b"\r\n")).status == 407
    assert not upstream.connections
    opened(server, upstream, headers=b"Proxy-Authorization: Basic " + secret + b"\r\n")[0] \
        .read_until(b"hello")
    assert server.get("/web").headers["WWW-Authenticate"] == 'Basic realm="here"'


def test_an_idle_tunnel_ends_after_tunnel_read_timeout(weir, upstream):
    upstream.speaks(greets)
    connection, _ = opened(weir("tunnel_read_timeout 300ms;" + OPEN), upstream)
    connection.read_until(b"hello")
    assert connection.is_closed()


def test_a_server_that_takes_nothing_ends_its_tunnel_after_tunnel_send_timeout(weir, upstream):
    upstream.speaks(lambda peer: peer.send(b"hello") or time_is_up.wait(TIMEOUT))
    time_is_up = threading.Event()
    server = weir("tunnel_send_timeout 300ms;" + OPEN)
    connection, _ = opened(server, upstream)
    connection.read_until(b"hello")
    with pytest.raises(ConnectionError):
        for _ in range(1000):
            connection.send(bytes(1 << 20))
    time_is_up.set()
    server.wait_log("upstream timed out .* while proxying upgraded connection")


def test_a_client_that_takes_nothing_ends_its_tunnel_after_send_timeout(weir, upstream):
    def pours(peer):
        try:
            for _ in range(1000):
                peer.send(bytes(1 << 20))
        finally:
            ended.set()

    ended = threading.Event()
    upstream.speaks(pours)
    server = weir("send_timeout 300ms;" + OPEN)
    connection, _ = opened(server, upstream)
    assert ended.wait(TIMEOUT)
    server.wait_log("client timed out .* while proxying upgraded connection")
    connection.close()


def test_a_client_that_goes_leaves_nothing_behind(weir, upstream, deaf):
    upstream.speaks(echo)
    server = weir(OPEN)
    connection, _ = opened(server, upstream)
    connection.close()
    wait_until(lambda: not upstream.open_connections(), "the origin to be let go")
    connection = asked(server, deaf)
    connection.close()
    server.wait_log("client prematurely closed connection")


def test_http_2_asks_on_a_stream(weir, upstream):
    upstream.speaks(greets)
    server = weir("http2 on; tunnel_pass; location /plain { return 200 plain; }")
    client = H2(server.connect())
    stream = client.headers([(":method", "CONNECT"), (":authority", str(upstream))], end=False)
    head = client.read_until(HEADERS, stream)
    assert head.fields[0] == (":status", "200") and not head.flags & END_STREAM
    got = b""
    client.data(stream, b"first")
    while len(got) < 10:
        frame = client.read_frame()
        assert frame.kind != RST_STREAM, frame
        got += frame.payload if frame.kind == DATA and frame.stream == stream else b""
    assert sorted(got) == sorted(b"helloFIRST")
    client.data(stream, b"", end=True)
    wait_until(lambda: not upstream.open_connections(), "the origin to be let go")
    assert client.get("/plain").body == b"plain"


@pytest.mark.parametrize("fields, end, status", [
    ([(":authority", "127.0.0.1")], False, 400), ([(":authority", "127.0.0.1:1")], False, 502),
    ([(":authority", "127.0.0.1:1")], True, 400),
    ([(":authority", "127.0.0.1:1"), ("content-length", "5")], False, 400)])
def test_http_2_is_refused_as_http_1_is(weir, fields, end, status):
    client = H2(weir("http2 on;" + OPEN).connect())
    stream = client.headers([(":method", "CONNECT")] + fields, end=end)
    assert client.read_response(stream).status == status


@pytest.mark.parametrize("directive, error", [
    ("tunnel_pass 127.0.0.1;", "no port"), ("tunnel_pass 127.0.0.1:x;", "invalid URL"),
    ("tunnel_next_upstream http_500;", "invalid value"),
    ("location / { proxy_pass http://127.0.0.1:1; tunnel_pass 127.0.0.1:2; tunnel_pass; }",
     "is duplicate")])
def test_wrong_settings_are_refused(check, ports, directive, error):
    result = check("events {} http { server { listen 127.0.0.1:%d; %s } }"
                   % (ports.take(), directive))
    assert result.code != 0 and error in result.err
