"""TLS towards clients: which certificate, which settings, which session, which client."""

import os
import re
import shutil
import ssl
import urllib.parse
from ssl import TLSVersion

import pytest

from harness import request_bytes, tls_context, wait_until
from harness.tools import curl, s_client
from harness.upstream import answer, body_of, digest, site

V12 = {"maximum": TLSVersion.TLSv1_2}
V13 = {"minimum": TLSVersion.TLSv1_3}


def tls(name="localhost", more="", options=""):
    """The directives of a server with TLS."""
    return f"""listen 127.0.0.1:@tls_port@ ssl {options};
        ssl_certificate @certs@/{name}.crt; ssl_certificate_key @certs@/{name}.key;
        ssl_protocols TLSv1.2 TLSv1.3; {more}"""


def server(name, cert=None, more="", options="", says=None):
    """A server of that name, which answers with it."""
    return (f"server {{ server_name {name}; {tls(cert or name.partition('.')[0], more, options)} "
            f"location / {{ return 200 '{says or name}'; }} }}\n")


SAY = "location / { return 200 $ssl_protocol; }"


def common_name(connection):
    """Of the certificate that the server showed."""
    return dict(pair for part in connection.sock.getpeercert()["subject"] for pair in part)[
        "commonName"]


@pytest.fixture
def ca(certs):
    return certs.path("ca.crt")


# Serving

def test_serves_https(weir, ca):
    response = weir(tls() + "location / { return 200 '$scheme $https'; }").get("/", tls=True, ca=ca)
    assert response.text == "https on"


def test_curl_verifies_and_is_served(weir, ca):
    running = weir(tls() + SAY)
    done = curl("--cacert", ca, "--resolve", f"localhost:{running.tls_port}:127.0.0.1",
                f"https://localhost:{running.tls_port}/")
    assert done.stdout == b"TLSv1.3"


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_a_connection_is_kept_and_pipelined(weir, version):
    running = weir(tls() + "location / { return 200 $connection_requests; }")
    connection = running.tls_connect(**version)
    connection.send(request_bytes("/") * 5)
    assert [connection.read_response().text for _ in range(5)] == list("12345")


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
@pytest.mark.parametrize("size", [0, 1, 16384, 16385, 5_000_000])
def test_bodies_of_any_size_pass_both_ways(weir, upstream, version, size):
    upstream.answers(lambda peer: answer(peer.request.body))
    running = weir(tls(more="client_max_body_size 0;")
                   + "location / { proxy_pass http://@upstream@; }")
    body = body_of(size)
    response = running.request("/", "POST", body=body, tls=True, **version)
    assert digest(response.body) == digest(body)


def test_a_slow_reader_gets_the_whole_response(weir, upstream):
    upstream.answers(site)
    connection = weir(tls() + "location / { proxy_pass http://@upstream@; }").tls_connect()
    connection.send(request_bytes("/b/8000000"))
    head = connection.read_head()
    got = bytearray()
    while len(got) < int(head.headers["Content-Length"]):
        got += connection.read_some()[:]
    assert digest(bytes(got)) == digest(body_of(8_000_000))


def test_a_close_is_announced(weir):
    connection = weir(tls() + SAY).tls_connect()
    connection.request("/", headers={"Connection": "close"})
    assert connection.is_closed() and connection.close_was_notified


def test_a_handshake_may_come_byte_by_byte(weir):
    running = weir(tls() + SAY)
    with running.connect("tls_port") as plain:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = tls_context().wrap_bio(incoming, outgoing, server_hostname="localhost")

        def step(action):
            while True:
                try:
                    done = action()
                except ssl.SSLWantReadError:
                    done = None
                wire = outgoing.read()
                plain.send(*[wire[n:n + 1] for n in range(len(wire))] or [b""])
                if done is not None:
                    return done
                incoming.write(plain.read_some())

        step(lambda: client.do_handshake() or True)
        client.write(request_bytes("/"))
        assert step(lambda: client.read(1000)).startswith(b"HTTP/1.1 200 ")


def hello(**options):
    """A ClientHello, as it goes over the wire."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls_context(**options).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_a_spoilt_hello_ends_the_connection_and_nothing_else(weir):
    running = weir(tls() + SAY)
    whole = hello()
    for place in range(0, len(whole), 7):
        with running.connect("tls_port") as connection:
            connection.send(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1:])
            connection.finish_sending()
            connection.read_until_close()
    for end in range(0, len(whole), 50):
        with running.connect("tls_port") as connection:
            connection.send(whole[:end])
            connection.finish_sending()
            connection.read_until_close()
    assert running.get("/", tls=True).status == 200


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\xff\xff" + bytes(70000), b"\x80\x2e\x01" * 99,
                                     b"SSH-2.0-x\r\n", bytes(1000), b"\xff" * 1000],
                         ids=["a long record", "SSL 2", "SSH", "zeros", "ones"])
def test_garbage_on_a_tls_port_ends_the_connection(weir, garbage):
    running = weir(tls() + SAY)
    with running.connect("tls_port") as connection:
        connection.send_what_fits(garbage)
        connection.finish_sending()
        connection.read_until_close()
    assert running.get("/", tls=True).status == 200


@pytest.mark.weir_only("nginx names it client_header_timeout in http")
def test_a_handshake_that_does_not_come_is_ended_by_ssl_handshake_timeout(weir):
    server = weir(tls(more="ssl_handshake_timeout 300ms;") + SAY)
    connection = server.connect("tls_port")
    connection.send(b"\x16")
    assert connection.is_closed()
    server.wait_log(r"client timed out \(110: .*\) while SSL handshaking, client: 127.0.0.1, server: ")


def test_a_handshake_that_does_not_come_is_ended_by_client_header_timeout(weir):
    running = weir(tls(more="client_header_timeout 300ms;") + SAY)
    assert running.connect("tls_port").is_closed()


def test_renegotiation_is_refused(weir):
    running = weir(tls() + SAY)
    text = s_client(f"127.0.0.1:{running.tls_port}", "-tls1_2", "-servername", "localhost",
                    send="R\nGET / HTTP/1.0\r\n\r\n")
    assert "200 OK" not in text
    assert running.get("/", tls=True).status == 200


# Versions, ciphers, curves

@pytest.mark.weir_only("nginx takes 1.0 and 1.1, too, and Debian's not 1.3")
def test_tls_1_2_and_1_3_are_spoken_unless_said(weir):
    running = weir(tls().replace("ssl_protocols TLSv1.2 TLSv1.3;", "") + SAY)
    assert running.get("/", tls=True, **V12).text == "TLSv1.2"
    assert running.get("/", tls=True, **V13).text == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        running.tls_connect(minimum=TLSVersion.TLSv1, maximum=TLSVersion.TLSv1_1,
                            ciphers="ALL:@SECLEVEL=0")


@pytest.mark.parametrize("said, spoken, refused", [("TLSv1.2", V12, V13), ("TLSv1.3", V13, V12)])
def test_ssl_protocols_names_what_is_spoken(weir, said, spoken, refused):
    running = weir(tls().replace("TLSv1.2 TLSv1.3", said) + SAY)
    assert running.get("/", tls=True, **spoken).text == said
    with pytest.raises(ssl.SSLError):
        running.tls_connect(**refused)


def test_ssl_ciphers_names_what_is_taken(weir):
    running = weir(tls(more="ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384;")
                   + "location / { return 200 $ssl_cipher; }")
    assert running.get("/", tls=True, **V12).text == "ECDHE-ECDSA-AES256-GCM-SHA384"
    with pytest.raises(ssl.SSLError):
        running.tls_connect(ciphers="ECDHE-ECDSA-AES128-GCM-SHA256", **V12)


@pytest.mark.parametrize("prefer, chosen", [
    ("on", "ECDHE-ECDSA-AES256-GCM-SHA384"), ("off", "ECDHE-ECDSA-AES128-GCM-SHA256")])
def test_ssl_prefer_server_ciphers_decides_whose_order_counts(weir, prefer, chosen):
    running = weir(tls(more=f"""ssl_prefer_server_ciphers {prefer};
        ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256;""")
                   + "location / { return 200 $ssl_cipher; }")
    assert running.get("/", tls=True, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256:"
                       "ECDHE-ECDSA-AES256-GCM-SHA384", **V12).text == chosen


@pytest.mark.parametrize("word", ["HIGH:!aNULL:!MD5", "ECDHE+AESGCM", "ALL:!RC4:!EXPORT56:!kEDH",
                                  "EECDH+AESGCM:EDH+AESGCM", "HIGH:!NO-SUCH-CIPHER"])
def test_cipher_lists_of_real_configurations_are_understood(weir, word):
    running = weir(tls(more=f"ssl_ciphers {word};") + SAY)
    assert running.get("/", tls=True, **V12).text == "TLSv1.2"


def test_ssl_ecdh_curve_names_the_groups(weir):
    running = weir(tls(more="ssl_ecdh_curve secp384r1;") + SAY)
    text = s_client(f"127.0.0.1:{running.tls_port}", "-groups", "P-384:X25519")
    assert "secp384r1" in text
    assert "handshake failure" in s_client(f"127.0.0.1:{running.tls_port}", "-groups", "X25519")


def test_alpn_says_http_1_1(weir):
    connection = weir(tls() + "location / { return 200 $ssl_alpn_protocol; }").tls_connect(
        alpn=["odd", "http/1.1"])
    assert connection.sock.selected_alpn_protocol() == "http/1.1"
    assert connection.request("/").text == "http/1.1"


@pytest.mark.parametrize("directive", ["ssl_dhparam @dir@/dh.pem;", "ssl_buffer_size 4k;",
                                       "ssl_conf_command MinProtocol TLSv1.2;"])
def test_directives_that_need_a_file_or_a_library_are_taken(weir, folder, certs, directive):
    folder.write("dh.pem", DHPARAM)
    assert weir(tls(more=directive) + SAY).get("/", tls=True).status == 200


DHPARAM = """-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""


# Names

NAMES = (server("localhost", options="default_server") + server("a.test") + server("b.test")
         + server("*.wild.test", "wildcard")
         + server(r"~^r\d+\.re\.test$", "c", says="c.test"))


@pytest.mark.parametrize("sni, shown", [
    ("a.test", "a.test"), ("b.test", "b.test"), ("A.TEST", "a.test"),
    ("x.wild.test", "*.wild.test"), ("y.x.wild.test", "*.wild.test"), ("r42.re.test", "c.test"),
    ("wild.test", "localhost"), ("rx.re.test", "localhost"), ("other.test", "localhost"),
    (None, "localhost")])
def test_the_name_chooses_the_certificate_and_the_server(weir, ca, sni, shown):
    running = weir(None, http=NAMES)
    connection = running.tls_connect(sni, ca=ca, check_hostname=False)
    assert common_name(connection) == shown
    assert connection.request("/", host=sni or "localhost").text == shown


def test_host_chooses_the_server_once_the_connection_stands(weir):
    connection = weir(None, http=NAMES).tls_connect("a.test")
    assert connection.request("/", host="a.test").text == "a.test"
    assert connection.request("/", host="b.test").text == "b.test"
    assert connection.request("/", host="none.test").text == "localhost"


def test_the_first_server_is_the_default_unless_said(weir, ca):
    running = weir(None, http=server("a.test") + server("b.test"))
    assert common_name(running.tls_connect("none.test", ca=ca, check_hostname=False)) == "a.test"


def test_each_port_has_its_default(weir, ca):
    other = server("b.test").replace("@tls_port@", "@tls_port2@")
    running = weir(None, http=server("a.test") + other)
    for port, shown in (("tls_port", "a.test"), ("tls_port2", "b.test")):
        connection = running.tls_connect("x.test", port, ca=ca, check_hostname=False)
        assert common_name(connection) == shown


def test_hundreds_of_names_each_have_their_certificate(weir, ca, folder, certs):
    pairs = ["a", "b", "c"]
    http = "".join(server(f"n{n}.many.test", pairs[n % 3]) for n in range(300))
    running = weir(None, http="server_names_hash_max_size 2048;" + http)
    for n in (0, 1, 2, 150, 299):
        connection = running.tls_connect(f"n{n}.many.test", ca=ca, check_hostname=False)
        assert common_name(connection) == pairs[n % 3] + ".test"
        assert connection.request("/", host=f"n{n}.many.test").text == f"n{n}.many.test"


@pytest.mark.weir_only("in nginx 1.22 the default server's count")
def test_versions_of_the_named_server_count(weir):
    running = weir(None, http=server("localhost")
                   + server("a.test").replace("TLSv1.2 TLSv1.3", "TLSv1.2"))
    assert running.tls_connect("a.test").sock.version() == "TLSv1.2"
    assert running.tls_connect("localhost").sock.version() == "TLSv1.3"


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_ssl_reject_handshake_refuses_the_names_that_nobody_has(weir, version):
    reject = """ssl_protocols TLSv1.2 TLSv1.3;
        server { listen 127.0.0.1:@tls_port@ ssl default_server; ssl_reject_handshake on; }"""
    running = weir(None, http=reject + server("a.test"))
    for name in ("none.test", None):
        with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
            running.tls_connect(name, **version)
    running.wait_log(r"\[info\] .*handshake rejected while SSL handshaking, client: ")
    assert running.get("/", tls=True, host="a.test", **version).text == "a.test"


# Certificates

def test_rsa_and_ecdsa_stand_side_by_side(weir, ca):
    both = """ssl_certificate @certs@/localhost-rsa.crt;
              ssl_certificate_key @certs@/localhost-rsa.key;"""
    running = weir(tls(more=both) + SAY)
    for kind in ("ECDSA", "RSA"):
        connection = running.tls_connect(ca=ca, ciphers=f"ECDHE-{kind}-AES128-GCM-SHA256", **V12)
        assert connection.sock.cipher()[0] == f"ECDHE-{kind}-AES128-GCM-SHA256"
    address = f"127.0.0.1:{running.tls_port}"
    assert "Peer signature type: RSA" in s_client(address, "-tls1_3", "-sigalgs", "RSA-PSS+SHA256")
    assert "Peer signature type: ECDSA" in s_client(address, "-tls1_3", "-sigalgs",
                                                    "ECDSA+SHA256:RSA-PSS+SHA256")


def test_an_encrypted_key_opens_with_the_password_file(weir, ca):
    config = tls().replace("localhost.key", "encrypted.key")
    running = weir("ssl_password_file @certs@/password.txt;" + config + SAY)
    assert running.get("/", tls=True, ca=ca).status == 200


@pytest.mark.weir_only("OpenSSL finds no PEM behind one")
def test_a_byte_order_mark_in_front_of_pem_is_passed_over(weir, certs, ca, folder):
    for name in ("localhost.crt", "localhost.key", "ca.crt", "ca.crl"):
        folder.write(f"marked/{name}", "\ufeff" + certs.read(name))
    running = weir(tls(more="""ssl_verify_client optional; ssl_client_certificate @dir@/marked/ca.crt;
                               ssl_crl @dir@/marked/ca.crl;""").replace("@certs@", "@dir@/marked") + SAY)
    assert running.get("/", tls=True, ca=ca).status == 200


def test_a_certificate_may_be_named_by_a_variable(weir, ca, certs, folder):
    for name in ("a", "b"):
        for kind in ("crt", "key"):
            folder.write(f"{name}.test.{kind}", certs.read(f"{name}.{kind}"))
    running = weir("""listen 127.0.0.1:@tls_port@ ssl; ssl_certificate @dir@/$ssl_server_name.crt;
                      ssl_certificate_key @dir@/$ssl_server_name.key;""")
    for name in ("a.test", "b.test"):
        assert common_name(running.tls_connect(name, ca=ca)) == name
    with pytest.raises(ssl.SSLError):
        running.tls_connect("none.test")
    assert running.wait_log(r"\[error\] .*cannot load certificate \"[^\"]*/none.test.crt\"")


def test_a_certificate_may_stand_in_the_configuration(weir, ca, certs):
    config = tls().replace("@certs@/localhost.crt", f'"data:{certs.read("localhost.crt")}"')
    config = config.replace("@certs@/localhost.key", f'"data:{certs.read("localhost.key")}"')
    assert weir(config + SAY).get("/", tls=True, ca=ca).status == 200


def test_passwords_may_stand_in_the_configuration(weir, ca, certs):
    passwords = f'ssl_password_file "data:{certs.read("password.txt")}";'
    running = weir(passwords + tls().replace("localhost.key", "encrypted.key") + SAY)
    assert running.get("/", tls=True, ca=ca).status == 200


@pytest.fixture
def own(folder, certs):
    """Copies a pair to the test's own folder: own("a") makes own.crt and own.key."""
    def put(name, key=None):
        for kind, source in (("crt", name), ("key", key or name)):
            path = folder.file(f"own.{kind}")
            shutil.copy(certs.path(f"{source}.{kind}"), path + ".new")
            os.chmod(path + ".new", 0o600)      # the master alone can read it
            os.rename(path + ".new", path)
    put("b")
    return put


OWN = """listen 127.0.0.1:@tls_port@ ssl;
         ssl_certificate @dir@/own.crt; ssl_certificate_key @dir@/own.key;"""


def shown(running):
    """The certificate that the server shows."""
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", running.tls_port)))


def der(certs, name):
    return ssl.PEM_cert_to_DER_cert(certs.read(name + ".crt"))


def test_a_reload_brings_a_renewed_certificate(weir, certs, own):
    running = weir(OWN + SAY)
    own("b-renewed")
    running.reload()
    assert shown(running) == der(certs, "b-renewed")


@pytest.mark.weir_only("nginx needs a reload")
def test_a_renewed_certificate_is_taken_without_a_reload(weir, certs, own):
    running = weir(OWN + SAY, main="worker_processes 2;")
    workers = running.wait_workers()
    kept = running.tls_connect("b.test")
    assert kept.request("/").status == 200
    own("b-renewed")
    for _ in range(5):
        wait_until(lambda: shown(running) == der(certs, "b-renewed"), "the new certificate")
    assert kept.request("/").status == 200
    assert running.workers() == workers


@pytest.mark.weir_only("nginx needs a reload")
def test_a_worker_that_comes_later_has_the_renewed_certificate(weir, certs, own):
    running = weir(OWN + SAY, alerts=["exited on signal 9"])
    own("b-renewed")
    wait_until(lambda: shown(running) == der(certs, "b-renewed"), "the new certificate")
    old, = running.wait_workers()
    running.signal(9, old)
    running.wait_new_workers([old])
    assert shown(running) == der(certs, "b-renewed")


@pytest.mark.weir_only("nginx needs a reload")
@pytest.mark.parametrize("pair", [("b-renewed", "a"), ("expired", "expired")])
def test_a_bad_pair_keeps_the_old_and_is_logged(weir, certs, own, pair):
    running = weir(OWN + SAY)
    own(*pair)
    running.wait_log(r"\[(error|warn)\] .*own\.(crt|key)")
    assert shown(running) == der(certs, "b")
    own("b-renewed")
    wait_until(lambda: shown(running) == der(certs, "b-renewed"), "the new certificate")


@pytest.mark.weir_only("nginx needs a reload")
def test_a_renewed_crl_is_taken_without_a_reload(weir, certs, folder):
    shutil.copy(certs.path("empty.crl"), folder.file("own.crl"))
    running = weir(tls(more="ssl_verify_client on; ssl_client_certificate @certs@/ca.crt;"
                            "ssl_crl @dir@/own.crl;") + SAY)
    revoked = {"tls": True, "cert": certs.pair("client-revoked")}
    assert running.get("/", **revoked).status == 200
    shutil.copy(certs.path("ca.crl"), folder.file("new.crl"))
    os.rename(folder.file("new.crl"), folder.file("own.crl"))
    wait_until(lambda: running.get("/", **revoked).status == 400, "the new CRL")


# Client certificates

def verifying(mode="on", more="", ca_file="ca.crt"):
    return tls(more=f"ssl_verify_client {mode}; ssl_client_certificate @certs@/{ca_file}; {more}")


VERIFY = 'location / { return 200 "$ssl_client_verify"; }'
NO_CERT = "No required SSL certificate was sent"
BAD_CERT = "The SSL certificate error"


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
@pytest.mark.parametrize("mode, cert, status, said", [
    ("on", "client", 200, "SUCCESS"),
    ("on", None, 400, NO_CERT),
    ("on", "client-other", 400, BAD_CERT),
    ("on", "client-expired", 400, BAD_CERT),
    ("optional", "client", 200, "SUCCESS"),
    ("optional", None, 200, "NONE"),
    ("optional", "client-other", 400, BAD_CERT),
    ("optional", "client-expired", 400, BAD_CERT),
    ("optional_no_ca", "client", 200, "SUCCESS"),
    ("optional_no_ca", None, 200, "NONE"),
    ("optional_no_ca", "client-other", 200, "FAILED:unable to"),
    ("optional_no_ca", "client-expired", 400, BAD_CERT),
    ("off", "client", 200, "NONE"),
])
def test_a_client_certificate_is_judged(weir, certs, version, mode, cert, status, said):
    running = weir(verifying(mode) + VERIFY)
    response = running.get("/", tls=True, cert=cert and certs.pair(cert), **version)
    assert response.status == status
    assert said in response.text


@pytest.mark.parametrize("cert, code, line", [
    (None, 496, r"client sent no required SSL certificate while reading client request headers"),
    ("client-other", 495,
     r"client SSL certificate verify error: \(\d+:unable to .*\) while reading client request"),
    ("client-expired", 495, r"client SSL certificate verify error: \(10:certificate has expired\)"),
])
def test_each_failure_has_its_code_and_one_line(weir, certs, cert, code, line):
    running = weir(verifying(more=f"error_page {code} =403 /page;") + VERIFY
                   + "location = /page { return 200 page; }")
    response = running.get("/", tls=True, cert=cert and certs.pair(cert))
    assert (response.status, response.text) == (403, "page")
    assert running.wait_log(rf"\[info\] .*{line}.*, client: 127.0.0.1, server: ")
    assert len(re.findall("SSL certificate", running.log())) == 1


def test_a_revoked_certificate_is_refused(weir, certs):
    running = weir(verifying(more="ssl_crl @certs@/ca.crl;") + VERIFY)
    assert running.get("/", tls=True, cert=certs.pair("client")).status == 200
    assert running.get("/", tls=True, cert=certs.pair("client-revoked")).status == 400
    assert running.wait_log(r"\(23:certificate revoked\)")


@pytest.mark.parametrize("name, depth, status", [
    ("client", 0, 200), ("client-deep-chain", 0, 400), ("client-deep-chain", 1, 200)])
def test_ssl_verify_depth_counts_the_authorities_between(weir, certs, name, depth, status):
    running = weir(verifying(more=f"ssl_verify_depth {depth};") + VERIFY)
    pair = certs.path(f"{name}.crt"), certs.path(f"{name.removesuffix('-chain')}.key")
    assert running.get("/", tls=True, cert=pair).status == status


def test_a_trusted_certificate_verifies_and_is_not_announced(weir, certs):
    running = weir(verifying("optional", "ssl_trusted_certificate @certs@/other-ca.crt;") + VERIFY)
    assert running.get("/", tls=True, cert=certs.pair("client-other")).text == "SUCCESS"
    text = s_client(f"127.0.0.1:{running.tls_port}", "-tls1_2")
    assert "CN = weir test authority" in text.partition("Acceptable client")[2]
    assert "CN = another authority" not in text.partition("Acceptable client")[2]


def test_several_authorities_are_trusted(weir, certs):
    running = weir(verifying(ca_file="both-ca.crt") + VERIFY)
    for name in ("client", "client-other"):
        assert running.get("/", tls=True, cert=certs.pair(name)).text == "SUCCESS"


# Servers that differ in how they verify

STRICT = "ssl_verify_client on; ssl_client_certificate @certs@/ca.crt;"
STRICT_OTHER = "ssl_verify_client on; ssl_client_certificate @certs@/other-ca.crt;"
MIXED = server("localhost") + server("a.test", more=STRICT) + server("b.test", more=STRICT_OTHER)


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
@pytest.mark.parametrize("name, cert, status", [
    ("localhost", None, 200), ("a.test", None, 400), ("a.test", "client", 200),
    ("a.test", "client-other", 400), ("b.test", "client-other", 200), ("b.test", "client", 400)])
def test_each_server_verifies_in_its_own_way(weir, certs, version, name, cert, status):
    running = weir(None, http=MIXED)
    response = running.get("/", tls=True, host=name, cert=cert and certs.pair(cert), **version)
    assert response.status == status


@pytest.mark.parametrize("sni, host, cert", [
    ("localhost", "a.test", None), ("a.test", "b.test", "client"),
    ("b.test", "a.test", "client-other"),
    pytest.param("a.test", "localhost", "client",
                 marks=pytest.mark.weir_only("nginx looks at the host's server only"))])
def test_a_host_that_verifies_in_another_way_than_the_name_is_421(weir, certs, sni, host, cert):
    connection = weir(None, http=MIXED).tls_connect(sni, cert=cert and certs.pair(cert))
    assert connection.request("/", host=host).status == 421


@pytest.mark.weir_only("in nginx any other verifying server is 421")
def test_a_host_that_verifies_in_the_same_way_is_served(weir, certs):
    running = weir(None, http=server("a.test", more=STRICT) + server("c.test", more=STRICT))
    connection = running.tls_connect("a.test", cert=certs.pair("client"))
    assert connection.request("/", host="c.test").text == "c.test"


# Sessions

def visit(running, context, sni="localhost", session=None, host=None):
    """Connects and asks once; returns (whether resumed, the session, the response)."""
    with running.tls_connect(sni, context=context, session=session) as connection:
        response = connection.request("/", host=host or sni)
        return connection.sock.session_reused, connection.sock.session, response


def is_resumed(running, context, session, times=6):
    return [visit(running, context, session=session)[0] for _ in range(times)]


REUSED = 'location / { return 200 "$ssl_session_reused"; }'


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_a_ticket_is_good_with_any_worker(weir, version):
    running = weir(tls() + REUSED, main="worker_processes 2;")
    context = tls_context(**version)
    first, session, response = visit(running, context)
    assert (first, response.text) == (False, ".")
    assert is_resumed(running, context, session) == [True] * 6
    assert visit(running, context, session=session)[2].text == "r"


@pytest.mark.weir_only("since nginx 1.23.2, with a shared cache")
@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_a_ticket_is_good_after_a_reload(weir, version):
    running = weir(tls() + REUSED)
    context = tls_context(**version)
    session = visit(running, context)[1]
    running.reload()
    assert all(is_resumed(running, context, session))


def test_ssl_session_ticket_key_keeps_tickets_good(weir, folder):
    folder.write("ticket.key", os.urandom(80))
    folder.write("next.key", os.urandom(80))
    running = weir(tls(more="ssl_session_ticket_key @dir@/ticket.key;") + REUSED)
    context = tls_context(**V12)
    session = visit(running, context)[1]
    one = f"ssl_session_ticket_key {running.dir}/ticket.key;"
    running.reload(running.config.replace(
        one, f"ssl_session_ticket_key {running.dir}/next.key;" + one))
    assert all(is_resumed(running, context, session))


def test_ssl_session_tickets_off_gives_none(weir):
    running = weir(tls(more="ssl_session_tickets off;") + REUSED)
    for version in (V12, V13):
        context = tls_context(**version)
        session = visit(running, context)[1]
        assert not any(is_resumed(running, context, session, 2))


@pytest.mark.parametrize("cache, resumed", [("shared:x:1m", True), ("none", False), ("off", False)])
def test_a_session_cache_serves_tls_1_2_without_tickets(weir, cache, resumed):
    running = weir(tls(more=f"ssl_session_cache {cache}; ssl_session_tickets off;") + REUSED,
                   main="worker_processes 2;")
    context = tls_context(**V12)
    context.options |= ssl.OP_NO_TICKET
    session = visit(running, context)[1]
    assert is_resumed(running, context, session) == [resumed] * 6


def test_a_shared_session_cache_outlives_a_reload(weir):
    running = weir(tls(more="ssl_session_cache shared:x:1m; ssl_session_tickets off;") + REUSED)
    context = tls_context(**V12)
    context.options |= ssl.OP_NO_TICKET
    session = visit(running, context)[1]
    running.reload()
    assert all(is_resumed(running, context, session))


@pytest.mark.weir_only("nginx 1.22 resumes it, or ends the handshake")
@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
@pytest.mark.parametrize("one, other, cert", [
    ("localhost", "a.test", None), ("a.test", "localhost", "client"),
    ("a.test", "b.test", "client"), ("b.test", "a.test", "client-other")])
def test_a_session_is_not_resumed_where_clients_are_verified_in_another_way(
        weir, certs, version, one, other, cert):
    more = "ssl_session_cache shared:x:1m; ssl_session_timeout 1h;"
    running = weir(None, http=more + MIXED)
    context = tls_context(cert=cert and certs.pair(cert), **version)
    session = visit(running, context, one)[1]
    assert visit(running, context, one, session)[0]
    resumed, _, response = visit(running, context, other, session)
    assert not resumed
    assert response.status == (200 if other == "localhost" else 400)


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_a_resumed_session_remembers_the_client_certificate(weir, certs, version):
    running = weir(verifying() + 'location / { return 200 "$ssl_client_verify $ssl_client_s_dn"; }')
    context = tls_context(cert=certs.pair("client"), **version)
    _, session, first = visit(running, context)
    resumed, _, second = visit(running, context, session=session)
    assert resumed and second.text == first.text
    assert first.text.startswith("SUCCESS ")


# Early data

EARLY = 'location / { return 200 "early=$ssl_early_data."; }'


def early(running, folder):
    """Asks with early data in a resumed session; returns what s_client printed."""
    request = "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"
    folder.write("request", request.encode())
    options = (f"127.0.0.1:{running.tls_port}", "-tls1_3", "-servername", "localhost", "-ign_eof")
    # The session arrives with the response.
    s_client(*options, "-sess_out", folder.file("session"), send=request)
    return s_client(*options, "-sess_in", folder.file("session"),
                    "-early_data", folder.file("request"), send=request)


def test_early_data_is_taken_where_asked(weir, folder):
    text = early(weir(tls(more="ssl_early_data on;") + EARLY), folder)
    assert "Early data was accepted" in text
    assert re.search(r"early=1?\.", text)       # empty once the handshake is complete


def test_early_data_is_not_taken_unless_asked(weir, folder):
    text = early(weir(tls() + EARLY), folder)
    assert "Early data was accepted" not in text
    assert "early=." in text


# Plain HTTP on a TLS port

def test_plain_http_on_a_tls_port_is_400(weir):
    connection = weir(tls() + SAY).connect("tls_port")
    response = connection.request("/")
    assert response.status == 400
    assert "The plain HTTP request was sent to HTTPS port" in response.text
    assert connection.is_closed()


def test_error_page_497_sends_plain_http_to_https(weir):
    running = weir(tls(more="error_page 497 =301 https://$host:$server_port$request_uri;") + SAY)
    response = running.get("/a?b", port="tls_port")
    assert response.status == 301
    assert response.headers["Location"] == f"https://localhost:{running.tls_port}/a?b"


def test_error_page_497_is_that_of_the_server_of_the_host(weir):
    running = weir(None, http=server("a.test") + server("b.test", more="error_page 497 =307 https://$host/b;"))
    assert running.get("/x", port="tls_port", host="a.test").status == 400
    assert running.get("/x", port="tls_port", host="b.test").headers["Location"] == "https://b.test/b"


def test_tls_on_a_plain_port_is_400(weir):
    running = weir("return 200 x;")
    connection = running.connect()
    connection.send(hello())
    assert connection.read_response().status == 400


# What it tells

def variables(running, *names, **options):
    text = running.get("/", tls=True, **options).text
    return dict(zip(names, text.split("|")))


def telling(*names):
    return "location / { return 200 '" + "|".join(f"${name}" for name in names) + "'; }"


def test_variables_tell_of_the_connection(weir):
    names = ("ssl_protocol", "ssl_cipher", "ssl_server_name", "ssl_session_reused",
             "ssl_early_data", "ssl_client_verify", "ssl_curve")
    told = variables(weir(tls() + telling(*names)), *names, **V13)
    assert told["ssl_protocol"] == "TLSv1.3"
    assert told["ssl_cipher"].startswith("TLS_")
    assert told["ssl_server_name"] == "localhost"
    assert (told["ssl_session_reused"], told["ssl_early_data"]) == (".", "")
    assert told["ssl_client_verify"] == "NONE"
    assert told["ssl_curve"].upper() == "X25519"


def test_variables_tell_of_the_session(weir):
    names = ("ssl_session_id", "ssl_ciphers", "ssl_curves")
    running = weir(tls() + telling(*names))
    told = variables(running, *names, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256", **V12)
    assert re.fullmatch("[0-9a-f]*", told["ssl_session_id"])
    assert "ECDHE-ECDSA-AES128-GCM-SHA256" in told["ssl_ciphers"]
    assert "x25519" in told["ssl_curves"].lower()


CLIENT = ("ssl_client_s_dn", "ssl_client_i_dn", "ssl_client_serial", "ssl_client_fingerprint",
          "ssl_client_v_start", "ssl_client_v_end", "ssl_client_v_remain",
          "ssl_client_escaped_cert", "ssl_client_s_dn_legacy")


def test_variables_tell_of_the_client_certificate(weir, certs):
    told = variables(weir(verifying() + telling(*CLIENT)), *CLIENT, cert=certs.pair("client"))
    assert told["ssl_client_s_dn"] == "O=weir tests,CN=client"
    assert told["ssl_client_i_dn"] == "CN=weir test authority"
    assert told["ssl_client_serial"] == certs.serial("client")
    assert told["ssl_client_fingerprint"] == certs.fingerprint("client")
    assert told["ssl_client_v_start"] == "Jan  1 00:00:00 2020 GMT"
    assert told["ssl_client_v_end"] == "Dec 31 00:00:00 2049 GMT"
    assert int(told["ssl_client_v_remain"]) > 365
    assert told["ssl_client_escaped_cert"].startswith("-----BEGIN%20CERTIFICATE-----%0A")
    assert told["ssl_client_s_dn_legacy"] == "/CN=client/O=weir tests"


def test_the_client_certificate_reaches_the_origin(weir, upstream, certs):
    running = weir(verifying() + """location / { proxy_pass http://@upstream@;
        proxy_set_header X-Cert $ssl_client_escaped_cert; }""")
    assert running.get("/", tls=True, cert=certs.pair("client")).status == 200

    sent = urllib.parse.unquote(upstream.last.headers["X-Cert"])
    assert sent.strip() == certs.read("client.crt").strip()


def test_variables_are_empty_without_tls(weir):
    names = ("ssl_protocol", "ssl_cipher", "ssl_client_verify", "ssl_client_s_dn",
             "ssl_server_name")
    assert weir(telling(*names)).get("/").text == "||||"
