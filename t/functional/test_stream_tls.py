"""stream and TLS: passed through by name, ended here, spoken to upstreams; one port for several of these."""

import socket
import ssl

import pytest

from harness import request_bytes, tls_context
from harness.tools import curl, s_client

MODULE = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;"


@pytest.fixture
def stream(weir, binary):
    """Starts the program on the content of a stream block."""
    def start(servers, server=None, main="", **more):
        module = MODULE if binary.is_nginx else ""
        return weir(server, main=f"{module}\n{main}\nstream {{\n{servers}\n}}", **more)
    return start


def client_hello(name=None, alpn=(), filling=0, maximum=None):
    """The bytes that a client begins with."""
    context = tls_context(alpn=alpn, maximum=maximum)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    hello = outgoing.read()
    return hello if not filling else with_extension(hello, 0xfafa, bytes(filling))


def with_extension(hello, kind, body):
    """Adds an extension at the end of a hello in one record, and cuts it into records again."""
    message = hello[5:]
    at = 4 + 2 + 32
    at += 1 + message[at]
    at += 2 + int.from_bytes(message[at:at + 2], "big")
    at += 1 + message[at]
    extensions = (message[at + 2:] + kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body)
    message = message[4:at] + len(extensions).to_bytes(2, "big") + extensions
    return in_records(b"\x01" + len(message).to_bytes(3, "big") + message)


def in_records(message, size=16384):
    return b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part
                    for part in (message[n:n + size] for n in range(0, len(message), size)))


SHOW = """preread_buffer_size 64k; server { listen 127.0.0.1:@port@; ssl_preread on;
    return "$ssl_preread_server_name $ssl_preread_protocol $ssl_preread_alpn_protocols\\n"; }"""


# ssl_preread

@pytest.mark.parametrize("options, said", [
    (dict(name="www.example.org"), "www.example.org TLSv1.3 "),
    (dict(name="a.test", alpn=("h2", "http/1.1")), "a.test TLSv1.3 h2,http/1.1"),
    (dict(name="a.test", maximum=ssl.TLSVersion.TLSv1_2), "a.test TLSv1.2 "),
    (dict(), " TLSv1.3 "),
], ids=["name", "ALPN", "TLS 1.2", "nothing"])
def test_what_a_hello_says(stream, options, said):
    connection = stream(SHOW).connect()
    connection.send(client_hello(**options))
    assert connection.read_until(b"\n").decode() == said + "\n"


def test_a_hello_may_come_byte_by_byte(stream):
    connection = stream(SHOW).connect()
    connection.send(*(bytes([byte]) for byte in client_hello("a.test")))
    assert connection.read_until(b"\n").startswith(b"a.test ")


@pytest.mark.weir_only("nginx wants the name in the first record")
@pytest.mark.parametrize("size", [1, 7, 50, 300])
def test_a_hello_may_lie_in_many_records(stream, size):
    connection = stream(SHOW).connect()
    connection.send(in_records(client_hello("a.test")[5:], size))
    assert connection.read_until(b"\n").startswith(b"a.test TLSv1.3")


@pytest.mark.parametrize("filling", [1500, 8000, pytest.param(40000, marks=pytest.mark.weir_only(
    "over several records"))])
def test_a_hello_may_be_large(stream, filling):
    connection = stream(SHOW).connect()
    connection.send(client_hello("a.test", filling=filling))
    assert connection.read_until(b"\n").startswith(b"a.test TLSv1.3")


def test_a_hello_with_ech_is_known_by_its_outer_name(stream):
    hello = with_extension(client_hello("outer.test"), 0xfe0d, b"\0\0\x01\0\x01\x05\0\0\0\x20" + bytes(32))
    connection = stream(SHOW).connect()
    connection.send(hello)
    assert connection.read_until(b"\n").startswith(b"outer.test ")


@pytest.mark.weir_only("nginx waits for some bytes more")
@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n", b"S", b"\0", b"\x16\x02",
                                   b"\x16\x03\x01\x00\x05\x02"])
def test_what_is_no_tls_goes_on_at_once(stream, first):
    connection = stream(SHOW).connect()
    connection.send(first)
    assert connection.read_until(b"\n") == b"  \n"


def test_a_hello_that_does_not_come_is_ended_in_time(stream):
    server = stream(SHOW.replace("ssl_preread on", "preread_timeout 200ms; ssl_preread on"))
    connection = server.connect()
    connection.send(client_hello("a.test")[:100])
    assert connection.read_until_close() == b""


def test_a_hello_larger_than_the_buffer_is_refused(stream):
    server = stream(SHOW.replace("64k", "200"))
    connection = server.connect()
    connection.send_what_fits(client_hello("a.test"))
    assert connection.read_until_close() == b""
    server.wait_log(r"\[error\] .*preread buffer full while prereading client data, client: "
                    rf"127.0.0.1, server: 127.0.0.1:{server.port}\n")


BY_NAME = """
    map $ssl_preread_server_name $to { hostnames; a.test @a@; *.wild.test @b@; default @c@; }
    server { listen 127.0.0.1:@port@; ssl_preread on; proxy_pass $to; }"""


def test_tls_is_passed_through_by_name(stream, new_upstream, certs):
    origins = {name: new_upstream(tls=certs.pair(cert))
               for name, cert in (("a", "a"), ("b", "wildcard"), ("c", "c"))}
    server = stream(BY_NAME, **origins)
    for name, origin in (("a.test", "a"), ("x.wild.test", "b"), ("c.test", "c")):
        with server.tls_connect(name, port="port", ca=certs.path("ca.crt")) as connection:
            assert connection.request("/", host=name).text == "ok"
        assert origins[origin].last.headers["Host"] == name


@pytest.mark.parametrize("method", ["hash $ssl_preread_server_name;", "hash $ssl_preread_server_name consistent;"])
def test_all_connections_for_a_name_go_to_one_server(stream, new_upstream, method):
    origins = [new_upstream().speaks(lambda peer, number=number: peer.send(b"%d" % number)) for number in range(3)]
    server = stream(f"""upstream u {{ {method} server @a@; server @b@; server @c@; }}
        server {{ listen 127.0.0.1:@port@; ssl_preread on; proxy_pass u; }}""", **dict(zip("abc", origins)))

    def asked(name):
        connection = server.connect()
        connection.send(client_hello(name))
        return connection.read_exactly(1)
    names = [f"n{number}.test" for number in range(20)]
    first = [asked(name) for name in names]
    assert set(first) == {b"0", b"1", b"2"}
    assert [asked(name) for name in names] == first


def test_what_is_no_tls_is_passed_to_the_default(stream, new_upstream):
    plain = new_upstream()
    server = stream(BY_NAME, a=plain, b=plain, c=plain)
    assert server.get("/x").text == "ok"
    assert plain.last.target == "/x"


@pytest.mark.weir_only("since nginx 1.25.5")
def test_server_name_chooses_by_the_preread_name(stream):
    server = stream("""ssl_preread on;
        server { listen 127.0.0.1:@port@; return default; }
        server { listen 127.0.0.1:@port@; server_name a.test *.wild.test; return "a $server_name"; }
        server { listen 127.0.0.1:@port@; server_name ~^(?<first>b+)[.]; return "b $first"; }""")
    for name, said in (("A.test", b"a a.test"), ("x.wild.test", b"a a.test"),
                       ("bbb.test", b"b bbb"), ("d.test", b"default")):
        connection = server.connect()
        connection.send(client_hello(name))
        assert connection.read_until_close().startswith(said)


@pytest.mark.parametrize("sent, timeout, logged", [
    (b"", "200ms", "0 [-]"), (client_hello("a.test")[:40], "2s", "0 []"), (b"GET / HTTP/1.0\r\n\r\n", "1h", "0 [-]"),
    (client_hello("a.test"), "1h", "0 [a.test]")], ids=["nothing", "a part", "no hello", "a hello"])
def test_what_was_only_looked_at_is_not_received(stream, sent, timeout, logged):
    server = stream("""log_format s '$bytes_received [$ssl_preread_server_name]'; access_log @dir@/s.log s;
        server { listen 127.0.0.1:@port@; ssl_preread on; preread_timeout @timeout@; return x; }""", timeout=timeout)
    server.connect().send_what_fits(sent)
    assert server.access_log(name="s.log") == [logged]


# One port for both

ONE_PORT = """
    server { listen 127.0.0.1:@port@; server_name a.test; ssl_preread on; proxy_pass @origin@;
             proxy_protocol v2; }
    server { listen 127.0.0.1:@port@ default_server; ssl_preread on; pass 127.0.0.1:@tls_port@; }"""
INNER = """listen 127.0.0.1:@tls_port@ ssl; server_name b.test;
    ssl_certificate @certs@/b.crt; ssl_certificate_key @certs@/b.key;
    location / { proxy_pass http://@upstream@; proxy_set_header X-Forwarded-For $remote_addr:$remote_port;
                 proxy_set_header X-Scheme $scheme; }"""


def read_proxy_v2(sock):
    """The addresses of a header of version 2: ("127.0.0.1", 1, "127.0.0.1", 2)."""
    head = b""
    while len(head) < 16 + 12:
        head += sock.recv(16 + 12 - len(head))
    assert head[:12] == b"\r\n\r\n\0\r\nQUIT\n" and head[12:16] == b"\x21\x11\0\x0c"
    return (socket.inet_ntoa(head[16:20]), int.from_bytes(head[24:26], "big"),
            socket.inet_ntoa(head[20:24]), int.from_bytes(head[26:28], "big"))


@pytest.mark.weir_only("since nginx 1.25.5; version 2 is weir's")
def test_one_port_passes_one_name_through_and_ends_the_tls_of_another(
        stream, new_upstream, upstream, certs):
    seen = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certs.pair("a"))

    def origin_with_its_own_certificate(peer):
        seen.append(read_proxy_v2(peer.sock))
        peer.sock = context.wrap_socket(peer.sock, server_side=True)
        peer.sock.recv(1000)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nthrough")
    origin = new_upstream().speaks(origin_with_its_own_certificate)
    server = stream(ONE_PORT, server=INNER, origin=origin)

    with server.tls_connect("a.test", port="port", ca=certs.path("ca.crt")) as connection:
        ours = connection.sock.getsockname()
        assert connection.request("/", host="a.test").text == "through"
    assert seen == [(*ours, "127.0.0.1", server.port)]

    with server.tls_connect("b.test", port="port", ca=certs.path("ca.crt")) as connection:
        ours = connection.sock.getsockname()
        assert connection.request("/", host="b.test").text == "ok"
        assert connection.request("/again", host="b.test").text == "ok"
    assert upstream.last.headers["X-Forwarded-For"] == f"{ours[0]}:{ours[1]}"
    assert upstream.last.headers["X-Scheme"] == "https"


@pytest.mark.weir_only("since nginx 1.25.5")
def test_tls_that_ends_in_stream_is_https_to_http(stream):
    server = stream("""server { listen 127.0.0.1:@tls_port@ ssl; pass 127.0.0.1:@port@;
        ssl_certificate @certs@/localhost.crt; ssl_certificate_key @certs@/localhost.key; }""",
                    server='location / { return 200 "$scheme $ssl_protocol $remote_addr"; }')
    assert server.get(tls=True).text == "https TLSv1.3 127.0.0.1"
    assert server.get().text == "http  127.0.0.1"


@pytest.mark.weir_only("since nginx 1.25.5")
@pytest.mark.parametrize("to", ["127.0.0.1:@port2@", "$to"])
def test_a_connection_is_passed_to_the_servers_of_the_address_that_is_named(stream, to):
    """Where a wildcard's socket stands for an address of its own, too."""
    server = stream(f"""server {{ listen 127.0.0.1:@port@; set $to 127.0.0.1:@port2@; pass {to}; }}
        server {{ listen 127.0.0.1:@tls_port@; pass 127.0.0.2:@port2@; }}
        server {{ listen @port2@; return all; }}
        server {{ listen 127.0.0.1:@port2@; return one; }}""")
    assert server.connect().read_until_close() == b"one"
    assert server.connect("tls_port").read_until_close() == b"all"


@pytest.mark.weir_only("since nginx 1.25.5")
def test_a_passed_connection_came_in_at_the_address_that_is_named(stream):
    server = stream("""server { listen 127.0.0.1:@tls_port@; pass 127.0.0.1:@port@; }
        server { listen 127.0.0.1:@port3@; pass 127.0.0.1:@port2@; }
        server { listen @port2@; return "$server_addr:$server_port"; }""",
                    server='location / { return 200 "$server_addr:$server_port"; }')
    assert server.get(port="tls_port").text == f"127.0.0.1:{server.port}"
    assert server.connect("port3").read_until_close() == b"127.0.0.1:%d" % server.folder.port("port2")


@pytest.mark.weir_only("since nginx 1.25.5")
def test_a_connection_is_not_passed_in_a_circle(stream):
    server = stream("server { listen 127.0.0.1:@port@; pass 127.0.0.1:@port@; }")
    assert server.connect().read_until_close() == b""
    server.wait_log("was passed from listener to listener 10 times")


@pytest.mark.weir_only("a socket of weir's own")
def test_the_control_socket_is_no_listener_to_pass_to(stream):
    server = stream("server { listen 127.0.0.1:@port@; set $to unix:@dir@/ctl; pass $to; }",
                    main="control unix:@dir@/ctl;")
    assert server.connect().read_until_close() == b""
    server.wait_log('nothing listens on "unix:')


@pytest.mark.weir_only("since nginx 1.25.5")
def test_the_address_of_the_proxy_header_goes_along(stream):
    server = stream("server { listen 127.0.0.1:@port2@ proxy_protocol; pass 127.0.0.1:@port@; }",
                    server='location / { return 200 "$proxy_protocol_addr $remote_addr"; }')
    response = server.exchange(b"PROXY TCP4 203.0.113.7 198.51.100.1 1 2\r\n" + request_bytes("/"),
                               port="port2")
    assert response.text == "203.0.113.7 127.0.0.1"


# TLS that ends here

TERMINATE = """server { listen 127.0.0.1:@tls_port@ ssl; proxy_pass @upstream@;
    ssl_certificate @certs@/localhost.crt; ssl_certificate_key @certs@/localhost.key; %s }"""


def test_tls_ends_here(stream, upstream):
    server = stream(TERMINATE % "")
    assert server.get("/x", tls=True).text == "ok"
    assert upstream.last.target == "/x"


def test_the_end_of_data_is_told_both_ways(stream, upstream):
    upstream.answers(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it")
    server = stream(TERMINATE % "")
    with server.tls_connect() as connection:
        connection.send(request_bytes("/"))
        assert connection.read_until_close().endswith(b"all of it")
        assert connection.close_was_notified


def test_clients_may_be_verified(stream, certs):
    server = stream("""server { listen 127.0.0.1:@tls_port@ ssl; ssl_verify_client on;
        ssl_client_certificate @certs@/ca.crt; ssl_protocols TLSv1.3;
        ssl_certificate @certs@/localhost.crt; ssl_certificate_key @certs@/localhost.key;
        return "$ssl_client_verify $ssl_client_s_dn $ssl_server_name $ssl_protocol"; }""")
    with server.tls_connect(cert=certs.pair("client")) as connection:
        said = connection.read_until_close().decode()
    assert said.startswith("SUCCESS ") and "CN=client" in said and said.endswith(" localhost TLSv1.3")
    with server.tls_connect() as connection:
        assert connection.read_until_close() == b""
    server.wait_log("client sent no required SSL certificate while SSL handshaking, client: ")


@pytest.mark.weir_only("since nginx 1.25.5")
def test_sni_chooses_the_server_and_a_handshake_may_be_rejected(stream, certs):
    server = stream("""
        server { listen 127.0.0.1:@tls_port@ ssl default_server; ssl_reject_handshake on; return x; }
        server { listen 127.0.0.1:@tls_port@ ssl; server_name b.test; return "b $ssl_server_name";
            ssl_certificate @certs@/b.crt; ssl_certificate_key @certs@/b.key; }""")
    with server.tls_connect("b.test", ca=certs.path("ca.crt")) as connection:
        assert connection.read_until_close() == b"b b.test"
    with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
        server.tls_connect("other.test")


def test_plain_data_on_a_tls_port_ends_the_session(stream):
    server = stream("""server { listen 127.0.0.1:@tls_port@ ssl; return x;
        ssl_certificate @certs@/localhost.crt; ssl_certificate_key @certs@/localhost.key; }""")
    connection = server.connect("tls_port")
    connection.send_what_fits(b"hello\r\n" * 10)
    assert b"x" not in connection.read_until_close()
    server.wait_log("client sent plain data to a TLS port while SSL handshaking, client: ")


def test_curl_and_openssl_are_served(stream, upstream, certs):
    server = stream(TERMINATE % "")
    curled = curl("--cacert", certs.path("ca.crt"), f"https://localhost:{server.tls_port}/c")
    assert curled.stdout == b"ok"
    upstream.answers(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok")
    said = s_client(f"127.0.0.1:{server.tls_port}", "-ign_eof", send="GET / HTTP/1.0\r\n\r\n")
    assert "HTTP/1.1 200" in said


# TLS to upstreams

def re_encrypt(more=""):
    return f"server {{ listen 127.0.0.1:@port@; proxy_ssl on; proxy_pass @origin@; {more} }}"


def test_tls_is_spoken_to_upstreams(stream, new_upstream, certs):
    origin = new_upstream(tls=certs.pair("origin"))
    assert stream(re_encrypt(), origin=origin).get("/").text == "ok"


def test_upstreams_are_verified_by_name(stream, new_upstream, certs):
    origin = new_upstream(tls=certs.pair("origin"))
    verify = "proxy_ssl_verify on; proxy_ssl_trusted_certificate @certs@/ca.crt; "
    server = stream(re_encrypt(verify + "proxy_ssl_name origin.test; proxy_ssl_server_name on;"),
                    origin=origin)
    assert server.get("/").text == "ok"


def test_an_upstream_of_another_name_is_not_spoken_to(stream, new_upstream, certs):
    origin = new_upstream(tls=certs.pair("origin"))
    server = stream(re_encrypt("proxy_ssl_verify on; proxy_ssl_trusted_certificate @certs@/ca.crt; "
                               "proxy_ssl_name other.test;"), origin=origin)
    connection = server.connect()
    connection.send_what_fits(request_bytes("/"))
    assert connection.read_until_close() == b""
    assert origin.requests == []


@pytest.mark.parametrize("said, sizes", [("", range(1001, 16385)), ("proxy_buffer_size 1000;", range(1, 1001))])
def test_bytes_that_are_copied_are_read_by_proxy_buffer_size(stream, new_upstream, certs, said, sizes):
    """A record has what was read at once."""
    parts = []

    def protocol(peer):
        while sum(parts) < 60_000:
            parts.append(len(peer.sock.recv(65536)))
        peer.send(b"ok")
    server = stream(said + re_encrypt(), origin=new_upstream(tls=certs.pair("origin")).speaks(protocol))
    connection = server.connect()
    connection.send(bytes(60_000))
    assert connection.read_exactly(2) == b"ok"
    assert max(parts) in sizes


@pytest.mark.weir_only("nginx has the API in NGINX Plus")
def test_handshakes_with_upstreams_are_counted(stream, new_upstream, certs):
    origin = new_upstream(tls=certs.pair("origin"))
    server = stream(f"upstream back {{ server {origin}; }} server {{ listen 127.0.0.1:@port_lines@; "
                    "proxy_ssl on; proxy_pass back; }", server="location /api { api; }")
    with server.connect("port_lines") as connection:
        assert connection.request("/").text == "ok"
    shown = server.get("/api/9/stream/upstreams/back").json["peers"][0]["ssl"]
    assert (shown["handshakes"], shown["handshakes_failed"]) == (1, 0)


def test_the_client_is_introduced_before_tls_begins(stream, new_upstream, certs):
    seen = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certs.pair("origin"))

    def origin(peer):
        line = b""
        while not line.endswith(b"\r\n"):
            line += peer.sock.recv(1)
        seen.append(line)
        peer.sock = context.wrap_socket(peer.sock, server_side=True)
        peer.send(b"hello")
    server = stream(re_encrypt("proxy_protocol on;"), origin=new_upstream().speaks(origin))
    connection = server.connect()
    assert connection.read_exactly(5) == b"hello"
    port = connection.sock.getsockname()[1]
    assert seen == [f"PROXY TCP4 127.0.0.1 127.0.0.1 {port} {server.port}\r\n".encode()]


def test_the_sample_configuration_is_good(binary, folder, certs):
    with open("conf/passthrough.conf", encoding="utf-8") as file:
        sample = file.read()
    assert "pass " in sample and "server_name     mail.example.org" in sample
    for name in ("crt", "key"):
        folder.write(f"ssl/www.example.org.{name}", certs.read(f"localhost.{name}").encode())
    folder.write("weir.conf", sample.encode())
    done = binary.run("-p", folder.path + "/", "-e", folder.file("error.log"),
                      "-c", folder.file("weir.conf"), "-t")
    assert done.code == 0, done


@pytest.mark.weir_only("since nginx 1.25.5")
def test_the_sample_configuration_serves_both(weir, new_upstream, upstream, certs, folder):
    """With its ports and certificates filled in."""
    with open("conf/passthrough.conf", encoding="utf-8") as file:
        sample = file.read()
    origin = new_upstream(tls=certs.pair("a"))
    for old, new in (("listen          443", "listen 127.0.0.1:@port@"),
                     ("listen  443", "listen 127.0.0.1:@port@"),
                     ("mail.example.org *.internal.example.org", "a.test"),
                     ("127.0.0.1:9443;", "@origin@;"), ("127.0.0.1:8443", "127.0.0.1:@tls_port@"),
                     ("127.0.0.1:8080", "@upstream@"), ("auto", "1"),
                     ("ssl/www.example.org.crt", "@certs@/b.crt"),
                     ("ssl/www.example.org.key", "@certs@/b.key")):
        assert old in sample, old
        sample = sample.replace(old, new)
    server = weir(full="daemon off; error_log @dir@/error.log info; pid @dir@/weir.pid;\n" + sample,
                  origin=origin)
    for name, who in (("a.test", origin), ("b.test", upstream)):
        with server.tls_connect(name, port="port", ca=certs.path("ca.crt")) as connection:
            assert connection.request("/", host=name).text == "ok"
        assert len(who.requests) == 1
    assert upstream.last.headers["X-Forwarded-Proto"] == "https"
