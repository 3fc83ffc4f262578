"""PROXY protocol, version 1 and 2, on listen."""

import ipaddress
import socket
import struct

import pytest

from harness import Connection, request_bytes, split_exchange, tls_context

SAID = ("$proxy_protocol_addr $proxy_protocol_port"
        " $proxy_protocol_server_addr $proxy_protocol_server_port")
CONFIG = f"""listen 127.0.0.1:@port@ proxy_protocol; location / {{ return 200 "{SAID}"; }}"""
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


LEGAL = {
    "1 over IPv4": (v1(), "203.0.113.7 56324 198.51.100.1 443"),
    "1 over IPv6": (v1("TCP6", **V6), "2001:db8::7 56324 2001:db8::1 443"),
    "1 with the longest line": (
        v1("TCP6", source="ffff:" * 7 + "ffff", to="ffff:" * 7 + "fffe", ports="65535 65535"),
        "ffff:" * 7 + "ffff 65535 " + "ffff:" * 7 + "fffe 65535"),
    "1 with ports of 0": (v1(ports="0 0"), "203.0.113.7 198.51.100.1"),
    "1 unknown": (b"PROXY UNKNOWN\r\n", ""),
    "1 unknown with words": (b"PROXY UNKNOWN ignored words\r\n", ""),
    "1 unknown, of 107 bytes": (b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n", ""),
    "2 over IPv4": (v2(), "203.0.113.7 56324 198.51.100.1 443"),
    "2 over IPv6": (v2(**V6), "2001:db8::7 56324 2001:db8::1 443"),
    "2 with a TLV": (v2(more=b"\x04\0\x03abc"), "203.0.113.7 56324 198.51.100.1 443"),
    "2 with an empty TLV": (v2(more=b"\x04\0\0"), "203.0.113.7 56324 198.51.100.1 443"),
    "2 with all that it may hold": (v2(more=b"\x04" + struct.pack("!H", 4096 - 15) + bytes(4096 - 15)),
                                    "203.0.113.7 56324 198.51.100.1 443"),
    "2 local": (SIGNATURE + b"\x20\0\0\0", ""),
    "2 local with addresses": (v2(command=0x20), ""),
    "2 local with anything": (SIGNATURE + b"\x20\xff\0\3abc", ""),
    "2 unspecified": (SIGNATURE + b"\x21\0\0\0", ""),
    "2 unspecified with bytes": (SIGNATURE + b"\x21\0\0\4abcd", ""),
    "2 from a unix socket": (SIGNATURE + b"\x21\x31\0\xd8" + b"/a".ljust(108, b"\0")
                             + b"/b".ljust(108, b"\0"), "unix:/a unix:/b"),
    "2 from a unix socket without a name": (SIGNATURE + b"\x21\x31\0\xd8" + bytes(216),
                                            "unix: unix:"),
}
NGINX_DIFFERS = {
    "2 with all that it may hold",      # since nginx 1.23
    "2 local with addresses", "2 from a unix socket", "2 from a unix socket without a name",
}


@pytest.fixture
def both(weir, binary):
    """Starts the program with a listener of http, @port@, and one of stream, @port2@, that say the same."""
    module = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;" if binary.is_nginx else ""

    def start(**more):
        return weir(f"""listen 127.0.0.1:@port@ proxy_protocol;
            location / {{ return 200 "{SAID} $remote_addr"; }}""", main=module + f"""
            stream {{ server {{ listen 127.0.0.1:@port2@ proxy_protocol;
            return "HTTP/1.0 200 OK\r\n\r\n{SAID} $remote_addr"; }} }}""", **more)
    return start


@pytest.mark.parametrize("port", ["port", "port2"], ids=["http", "stream"])
def test_each_legal_head_is_taken_with_its_addresses(both, binary, port):
    server = both()
    for name, (head, said) in LEGAL.items():
        if binary.is_nginx and name in NGINX_DIFFERS:
            continue
        text = server.exchange(head + request_bytes("/"), port=port).text
        assert text.split() == said.split() + ["127.0.0.1"], name


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
    "1 in small letters": b"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    "1 without anything": b"PROXY\r\n",
    "1 with another family": v1("TCP5"),
    "1 without a family": v1(""),
    "1 over datagrams": v1("UDP4"),
    "1 with a word too much for UNKNOWN": b"PROXY UNKNOWNS\r\n",
    "1 with a broken source": v1(source="203.0.113"),
    "1 with a source of letters": v1(source="x.y.z.w"),
    "1 with a source too large": v1(source="203.0.113.256"),
    "1 without a source": v1(source=""),
    "1 with a broken IPv6 source": v1("TCP6", source="2001:db8:::7", to="2001:db8::1"),
    "1 with a broken destination": v1(to="198.51.100"),
    "1 with an IPv4 address for TCP6": v1("TCP6"),
    "1 with an IPv6 address for TCP4": v1("TCP4", **V6),
    "1 with no port": b"PROXY TCP4 203.0.113.7 198.51.100.1\r\n",
    "1 with one port": b"PROXY TCP4 203.0.113.7 198.51.100.1 5\r\n",
    "1 with a port of letters": v1(ports="x 443"),
    "1 with a port too large": v1(ports="65536 443"),
    "1 with a negative port": v1(ports="-1 443"),
    "1 with a second port of letters": v1(ports="443 x"),
    "1 with a second port too large": v1(ports="443 65536"),
    "1 with a port that begins with 0": v1(ports="0443 443"),
    "1 with two spaces": v1("TCP4 "),
    "1 with a tab": b"PROXY TCP4\t203.0.113.7 198.51.100.1 5 6\r\n",
    "1 with a word too much": v1(ports="5 6 7"),
    "1 with a bare LF": b"PROXY TCP4 203.0.113.7 198.51.100.1 5 6\n",
    "1 with a bare CR": b"PROXY TCP4 203.0.113.7 198.51.100.1 5 6\rx\r\n",
    "1 with a NUL": v1(ports="5 6\0"),
    "1 too long": b"PROXY UNKNOWN " + b"x" * 120 + b"\r\n",
    "2 of version 3": v2(command=0x31),
    "2 of version 1": v2(command=0x11),
    "2 of version 0": v2(command=0x01),
    "2 with an unknown command": v2(command=0x22),
    "2 of an unknown family": v2(kind=0x41),
    "2 over datagrams": v2(kind=0x12),
    "2 over an unknown transport": v2(kind=0x13),
    "2 too short for its addresses": v2(length=4),
    "2 too short for IPv6": v2(kind=0x21),
    "2 too short for paths": v2(kind=0x31),
    "2 with half a TLV": v2(more=b"\x04\0"),
    "2 with a TLV that is cut": v2(more=b"\x04\0\x04abc"),
    "2 with a broken signature": b"\r\n\r\n\0\r\nQUIX\n" + v2()[12:],
    "2 too long": v2(length=65535) + bytes(66000),
}
NGINX_TAKES = {     # as it does not look so closely
    "1 with a broken source", "1 without a source", "1 with a source of letters",
    "1 with a source too large",
    "1 with a broken IPv6 source", "1 with a broken destination", "1 with an IPv4 address for TCP6",
    "1 with an IPv6 address for TCP4", "1 with a port that begins with 0", "1 with a word too much",
    "1 with a word too much for UNKNOWN", "1 with a NUL", "1 too long", "1 with a bare CR",
    "2 with an unknown command", "2 of an unknown family", "2 over datagrams",
    "2 over an unknown transport", "2 too short for its addresses", "2 too short for IPv6",
    "2 too short for paths", "2 with half a TLV", "2 with a TLV that is cut",
}


@pytest.mark.parametrize("port", ["port", "port2"], ids=["http", "stream"])
def test_each_malformed_head_ends_the_connection_with_one_line(both, binary, port):
    server = both()
    for name, head in MALFORMED.items():
        if binary.is_nginx and name in NGINX_TAKES:
            continue
        since = len(server.log())
        connection = server.connect(port)
        connection.send_what_fits(head + request_bytes("/"))
        connection.finish_sending()
        assert connection.read_until_close() == b"", name
        found = server.wait_log(r"\[error\] .*\*(\d+) .*(broken header|PROXY|too large)", since)
        said = [line for line in server.log_lines() if line.connection == int(found.group(1))]
        assert len(said) == 1 or binary.is_nginx, name
    assert server.exchange(v1() + request_bytes("/"), port=port).text.startswith("203.0.113.7 ")


@pytest.mark.weir_only("nginx wants it in one piece")
@pytest.mark.parametrize("port", ["port", "port2"], ids=["http", "stream"])
@pytest.mark.parametrize("head", [v1(), v2(more=b"\x04\0\x03abc")], ids=["1", "2"])
def test_a_head_cut_anywhere_is_the_same_head(both, head, port):
    server = both(events="worker_connections 1024;")
    data = head + request_bytes("/")
    for response in split_exchange(lambda: server.connect(port), data, range(1, len(head) + 3)):
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
