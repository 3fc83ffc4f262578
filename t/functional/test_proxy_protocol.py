"""PROXY protocol, version 1 and 2, on listen."""

import ipaddress
import socket
import struct

import pytest

from harness import Connection, request_bytes, split_exchange, tls_context

CONFIG = """listen 127.0.0.1:@port@ proxy_protocol;
    location / { return 200 "$proxy_protocol_addr $proxy_protocol_port \
$proxy_protocol_server_addr $proxy_protocol_server_port $remote_addr"; }"""
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(family="TCP4", source="203.0.113.7", to="198.51.100.1", ports="56324 443"):
    return f"PROXY {family} {source} {to} {ports}\r\n".encode()


def v2(source="203.0.113.7", to="198.51.100.1", ports=(56324, 443), command=0x21, kind=None,
       more=b"", length=None):
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(to).packed
    kind = kind if kind is not None else (0x11 if len(addresses) == 8 else 0x21)
    body = addresses + struct.pack("!HH", *ports) + more
    return SIGNATURE + struct.pack("!BBH", command, kind, len(body) if length is None else length
                                   ) + body


V6 = {"source": "2001:db8::7", "to": "2001:db8::1"}


@pytest.mark.parametrize("head, said", [
    (v1(), "203.0.113.7 56324 198.51.100.1 443"),
    (v1("TCP6", **V6), "2001:db8::7 56324 2001:db8::1 443"),
    (v2(), "203.0.113.7 56324 198.51.100.1 443"),
    (v2(**V6), "2001:db8::7 56324 2001:db8::1 443"),
    (v2(more=b"\x04\0\x03abc"), "203.0.113.7 56324 198.51.100.1 443"),
    pytest.param(v2(more=b"\x04\x0f\x00" + bytes(3840)), "203.0.113.7 56324 198.51.100.1 443",
                 marks=pytest.mark.weir_only("since nginx 1.23")),
], ids=["1 over IPv4", "1 over IPv6", "2 over IPv4", "2 over IPv6", "2 with a TLV",
        "2 with a long TLV"])
def test_the_addresses_are_told(weir, head, said):
    response = weir(CONFIG).exchange(head + request_bytes("/"))
    assert response.text == said + " 127.0.0.1"


@pytest.mark.parametrize("head", [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ignored words\r\n",
                                  SIGNATURE + b"\x20\x00\x00\x00",
                                  SIGNATURE + b"\x21\x00\x00\x00"],
                         ids=["1", "1 with words", "2 local", "2 unspecified"])
def test_an_unknown_sender_is_served_without_addresses(weir, head):
    assert weir(CONFIG).exchange(head + request_bytes("/")).text.split() == ["127.0.0.1"]


def test_each_address_of_a_port_says_for_itself_whether_there_is_one(weir):
    server = weir(None, http="""
        server { listen @port@ proxy_protocol; return 200 "behind $proxy_protocol_addr"; }
        server { listen 127.0.0.1:@port@; return 200 "plain $proxy_protocol_addr"; }""")
    assert server.get("/").text == "plain "
    assert server.exchange(v1() + request_bytes("/")).status == 400
    with socket.create_connection(("127.0.0.2", server.port)) as sock:
        connection = Connection(sock)
        connection.send(v1() + request_bytes("/"))
        assert connection.read_response("GET").text == "behind 203.0.113.7"


MALFORMED = {
    "no head at all": request_bytes("/"),
    "1 with another word": b"PROXIES TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    "1 with another family": v1("TCP5"),
    "1 with a broken source": v1(source="203.0.113"),
    "1 with a source of letters": v1(source="x.y.z.w"),
    "1 with no port": b"PROXY TCP4 203.0.113.7 198.51.100.1\r\n",
    "1 with one port": b"PROXY TCP4 203.0.113.7 198.51.100.1 5\r\n",
    "1 with a port of letters": v1(ports="x 443"),
    "1 with a port too large": v1(ports="65536 443"),
    "1 with a negative port": v1(ports="-1 443"),
    "1 with a bare LF": b"PROXY TCP4 203.0.113.7 198.51.100.1 5 6\n",
    "1 too long": b"PROXY UNKNOWN " + b"x" * 120 + b"\r\n",
    "1 with an IPv6 address for TCP4": v1("TCP4", **V6),
    "2 of version 3": v2(command=0x31),
    "2 of version 0": v2(command=0x01),
    "2 too short for its addresses": v2(length=4),
    "2 with a broken signature": b"\r\n\r\n\0\r\nQUIX\n" + v2()[12:],
    "2 too long": v2(length=65535) + bytes(66000),
}
NGINX_TAKES = {
    "1 with a broken source", "1 too long", "1 with an IPv6 address for TCP4",
    "2 too short for its addresses",
}


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.weir_only("nginx does not look so closely"))
    if name in NGINX_TAKES else name for name in MALFORMED])
def test_a_malformed_head_ends_the_connection(weir, name):
    server = weir(CONFIG)
    connection = server.connect()
    connection.send_what_fits(MALFORMED[name] + request_bytes("/"))
    connection.finish_sending()
    assert b" 200 " not in connection.read_until_close()
    assert server.wait_log(r"\[error\] .*(broken header|PROXY|too large)")
    assert server.exchange(v1() + request_bytes("/")).status == 200


@pytest.mark.weir_only("nginx wants it in one piece")
@pytest.mark.parametrize("head", [v1(), v2()], ids=["1", "2"])
def test_a_head_cut_anywhere_is_the_same_head(weir, head):
    server = weir(CONFIG, events="worker_connections 1024;")
    data = head + request_bytes("/")
    for response in split_exchange(server.connect, data, range(1, len(head) + 3)):
        assert response.text.startswith("203.0.113.7 56324 ")


def test_a_head_that_does_not_come_is_ended_in_time(weir):
    server = weir("client_header_timeout 300ms;" + CONFIG)
    connection = server.connect()
    connection.send(v1()[:10])
    assert connection.read_until_close() == b""


def test_tls_follows_the_head(weir, certs):
    server = weir("""listen 127.0.0.1:@tls_port@ ssl proxy_protocol;
        ssl_certificate @certs@/localhost.crt; ssl_certificate_key @certs@/localhost.key;
        location / { return 200 "$proxy_protocol_addr $https"; }""")
    with socket.create_connection(("127.0.0.1", server.tls_port), 10) as sock:
        sock.sendall(v1())
        with tls_context().wrap_socket(sock, server_hostname="localhost") as wrapped:
            assert Connection(wrapped).request("/").text == "203.0.113.7 on"


def test_the_address_reaches_the_origin(weir, upstream):
    server = weir("""listen 127.0.0.1:@port@ proxy_protocol; location / {
        proxy_pass http://@upstream@; proxy_set_header X-Real-IP $proxy_protocol_addr; }""")
    server.exchange(v2() + request_bytes("/"))
    assert upstream.last.headers["X-Real-IP"] == "203.0.113.7"


def test_a_port_without_it_takes_no_head(weir):
    server = weir("return 200 x;")
    assert server.exchange(v1() + request_bytes("/")).status == 400
