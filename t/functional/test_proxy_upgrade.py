"""Tunnels: what goes on after 101 Switching Protocols."""

import contextlib
import signal
import socket
import threading

import pytest

from harness import TIMEOUT, request_bytes, wait_until
from harness.upstream import answer
from harness.wire import Truncated

UPGRADE = """location / {
    proxy_pass http://@upstream@;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
}"""
ASKED = request_bytes("/ws", headers={"Connection": "Upgrade", "Upgrade": "websocket"})
SWITCH = (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
          b"X-A: b\r\n\r\n")


def echo(peer):
    """Switches, greets, and sends back whatever comes."""
    peer.send(SWITCH + b"hello")
    while True:
        peer.send(peer.read_some().upper())


def test_tunnels_that_the_shutdown_timeout_cuts_off_are_logged_once(weir, upstream):
    upstream.answers(echo)
    server = weir(UPGRADE, main="worker_shutdown_timeout 100ms;",
                  http="log_format s '$request_uri $status'; access_log @dir@/s.log s;")
    connections = [server.connect() for _ in range(3)]
    for connection in connections:
        connection.send(ASKED)
        connection.read_until(b"hello")
    assert server.stop(signal.SIGQUIT) == 0
    assert server.access_log(3, name="s.log") == ["/ws 101"] * 3
    for connection in connections:
        assert connection.read_until_close() == b""


def test_bytes_pass_both_ways_after_a_switch(weir, upstream):
    upstream.answers(echo)
    connection = weir(UPGRADE).connect()
    connection.send(ASKED)
    head = connection.read_until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"\r\nUpgrade: websocket\r\n" in head and b"\r\nConnection: upgrade\r\n" in head
    assert b"\r\nX-A: b\r\n" in head
    connection.read_until(b"hello")
    for text in (b"first", b"x" * 100_000, b"last"):
        connection.send(text)
        connection.read_until(text.upper())
    assert upstream.last.headers["Upgrade"] == "websocket"
    assert upstream.last.headers["Connection"] == "upgrade"


@pytest.mark.weir_only("nginx begins the tunnel in the middle of the request")
def test_a_switch_before_the_request_is_whole_is_no_answer(weir, upstream):
    upstream.answers_early(SWITCH)
    server = weir("proxy_request_buffering off;" + UPGRADE)
    connection = server.connect()
    connection.send(b"POST /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    b"Content-Length: 10\r\n\r\nhello")
    assert connection.read_response().status == 502
    server.wait_log("upstream switched protocols before it had the request")


def test_limit_rate_does_not_break_the_head_of_a_switch(weir, upstream):
    upstream.answers(echo)
    connection = weir("limit_rate 16;" + UPGRADE).connect()
    connection.send(ASKED)
    connection.read_until(b"X-A: b\r\n\r\n")
    connection.read_until(b"hello")


@pytest.mark.parametrize("client_speaks_tls", [False, True])
@pytest.mark.parametrize("origin_speaks_tls", [False, True])
def test_what_came_behind_a_head_passes_through_tls_too(weir, new_upstream, certs, client_speaks_tls,
                                                        origin_speaks_tls):
    origin = new_upstream(tls=certs.pair("origin") if origin_speaks_tls else None).answers(echo)
    server = weir("""listen 127.0.0.1:@port@; listen 127.0.0.1:@tls_port@ ssl;
                     ssl_certificate @certs@/a.crt; ssl_certificate_key @certs@/a.key;"""
                  + UPGRADE.replace("http://@upstream@", "@scheme@://@origin@"),
                  scheme="https" if origin_speaks_tls else "http", origin=origin)
    connection = server.tls_connect("a.test") if client_speaks_tls else server.connect()
    connection.send(ASKED + b"early")
    connection.read_until(b"hello")
    connection.read_until(b"EARLY")
    connection.send(b"x" * 100_000)
    connection.read_until(b"X" * 100_000)


def test_what_the_client_sent_behind_its_head_passes_too(weir, upstream):
    upstream.answers(echo)
    connection = weir(UPGRADE).connect()
    connection.send(ASKED + b"early")
    connection.read_until(b"EARLY")


def test_the_tunnel_ends_with_either_side(weir, upstream):
    upstream.answers(lambda peer: (peer.send(SWITCH + b"bye"), peer.close()))
    server = weir(UPGRADE)
    connection = server.connect()
    connection.send(ASKED)
    connection.read_until(b"bye")
    assert connection.is_closed()

    upstream.answers(echo)
    connection = server.connect()
    connection.send(ASKED)
    connection.read_until(b"hello")
    connection.sock.close()
    wait_until(lambda: not upstream.open_connections(), "the origin to be let go")


def test_an_idle_tunnel_ends_after_proxy_read_timeout(weir, upstream):
    upstream.answers(echo)
    connection = weir("proxy_read_timeout 300ms;" + UPGRADE).connect()
    connection.send(ASKED)
    connection.read_until(b"hello")
    assert connection.is_closed()


def test_the_tunnel_is_logged_with_what_it_carried(weir, upstream):
    upstream.answers(lambda peer: (peer.send(SWITCH + b"12345"), peer.close()))
    server = weir(UPGRADE, http="""log_format t '$status $body_bytes_sent $upstream_status';
                                  access_log @dir@/t.log t;""")
    connection = server.connect()
    connection.send(ASKED)
    connection.read_until(b"12345")
    wait_until(lambda: server.access_log(name="t.log"), "the log line")
    assert server.access_log(name="t.log")[0] == "101 5 101"


@pytest.mark.weir_only("nginx passes it on")
def test_a_switch_that_nobody_asked_for_is_502(weir, upstream):
    upstream.answers(SWITCH)
    server = weir("location / { proxy_pass http://@upstream@; }")
    assert server.get("/").status == 502


@pytest.mark.weir_only("nginx lets requests that it never sees pass through such a tunnel")
@pytest.mark.parametrize("config", [
    UPGRADE, "location / { proxy_pass http://@upstream@; proxy_upgrade on; }"], ids=["set", "on"])
@pytest.mark.parametrize("protocols", ["h2c", "websocket, H2C"])
def test_no_tunnel_is_made_for_http_2(weir, upstream, config, protocols):
    wish = request_bytes(headers={"Connection": "Upgrade, HTTP2-Settings", "Upgrade": protocols,
                                  "HTTP2-Settings": "AAMAAABkAARAAAAAAAIAAAAA"})
    server = weir(config)
    assert server.exchange(wish).status == 200
    assert "Upgrade" not in upstream.last.headers and "HTTP2-Settings" not in upstream.last.headers
    upstream.answers(SWITCH.replace(b"websocket", b"h2c"))
    assert server.exchange(wish).status == 502


def test_an_origin_that_refuses_to_switch_is_answered_as_usual(weir, upstream):
    upstream.answers(answer("no", "426 Upgrade Required", {"Upgrade": "websocket"}))
    connection = weir(UPGRADE).connect()
    for _ in range(2):
        connection.send(ASKED)
        response = connection.read_response()
        assert (response.status, response.text) == (426, "no")


@pytest.mark.weir_only("proxy_upgrade is weir's own")
def test_proxy_upgrade_passes_a_clients_wish_on(weir, upstream):
    upstream.answers(echo)
    server = weir("""location / { proxy_pass http://@upstream@; proxy_upgrade on;
                     proxy_set_header Connection ""; proxy_set_header X-Own yes; }""")
    connection = server.connect()
    connection.send(ASKED)
    connection.read_until(b"hello")
    connection.send(b"more")
    connection.read_until(b"MORE")
    assert upstream.last.headers.all("Upgrade") == ["websocket"]
    assert upstream.last.headers.all("Connection") == ["upgrade"]
    assert upstream.last.headers["X-Own"] == "yes"


@pytest.mark.weir_only("proxy_upgrade is weir's own")
def test_with_proxy_upgrade_other_requests_keep_their_connections(weir, upstream):
    server = weir("location / { proxy_pass http://@upstream@; proxy_upgrade on; }")
    for headers in ({}, {"Upgrade": "websocket"}, {"Connection": "upgrade"}):
        assert server.request("/", headers=headers).status == 200
        assert "Upgrade" not in upstream.last.headers
        assert "Connection" not in upstream.last.headers
    assert len(upstream.connections) == 1


@pytest.mark.weir_only("proxy_upgrade is weir's own")
def test_with_proxy_upgrade_a_switch_that_nobody_asked_for_is_502(weir, upstream):
    upstream.answers(SWITCH)
    server = weir("location / { proxy_pass http://@upstream@; proxy_upgrade on; }")
    assert server.get("/").status == 502


@pytest.mark.weir_only("nginx 1.22 has no firewall")
@pytest.mark.parametrize("method", [b"GET", b"CONNECT"])
def test_the_firewall_may_refuse_a_tunnel(weir, upstream, method):
    """What it answers is a response like others, and no tunnel is made."""
    upstream.answers(echo) if method == b"GET" else upstream.speaks(lambda peer: peer.wait_gone())
    server = weir("""modsecurity on; modsecurity_rules 'SecRuleEngine On
                     SecRule RESPONSE_STATUS "@rx ^(101|200)$" "id:1,phase:3,deny,status:403"';"""
                  + ("tunnel_pass;" if method == b"CONNECT" else UPGRADE))
    connection = server.connect()
    connection.send(ASKED if method == b"GET" else
                    f"CONNECT {upstream} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert connection.read_response().status == 403
    wait_until(lambda: not upstream.open_connections(), "the origin to be let go")


def test_an_origin_that_takes_nothing_ends_its_tunnel_after_proxy_send_timeout(weir, upstream):
    """Whatever it says meanwhile, and however long it may be silent."""
    def switches_and_waits(peer):
        peer.send(SWITCH + b"hello")
        time_is_up.wait(TIMEOUT)

    time_is_up = threading.Event()
    upstream.answers(switches_and_waits)
    server = weir("proxy_send_timeout 300ms; proxy_read_timeout 1h;" + UPGRADE)
    connection = server.connect()
    connection.send(ASKED)
    connection.read_until(b"hello")
    with contextlib.suppress(ConnectionError):
        connection.send_until_blocked(bytes(64 << 20))
    server.wait_log("upstream timed out .* while proxying upgraded connection")
    time_is_up.set()
    connection.close()
