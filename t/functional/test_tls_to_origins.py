"""proxy_ssl_... of http and of stream, and grpc_ssl_...: what an origin sees of the connections that they are about."""

import os
import re
import shutil
import ssl

import pytest

from harness import request_bytes
from harness.server import compose
from harness.upstream import answer

MODULE = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;"
KINDS = ["proxy_", "grpc_", "stream"]
WITHIN = 'map "" $who { default client; } upstream origin.test { server @origin@; } '


class Handshake:
    """One that a request came after."""

    def __init__(self, sock, name):
        shown = sock.getpeercert()
        self.is_whole = True
        self.version = sock.version()
        self.cipher = sock.cipher()[0]
        self.name = name
        self.reused = sock.session_reused
        self.subject = dict(part[0] for part in shown["subject"])["commonName"] if shown else None
        self.protocol = sock.selected_alpn_protocol()


@pytest.fixture
def origin(new_upstream, certs):
    """Makes an origin that asks for a certificate, and has a list of its handshakes."""
    def make(certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certs.path(f"{certificate}.crt"),
                                certs.path(f"{certificate.replace('-chain', '')}.key"))
        context.load_verify_locations(certs.path("ca.crt"))
        context.verify_mode = ssl.CERT_OPTIONAL
        context.set_alpn_protocols(["one", "two"])
        context.sni_callback = lambda sock, name, _: names.append(name)
        names, made = [], new_upstream(tls=context)
        made.handshakes = []

        def protocol(peer):
            peer.read_some()        # nginx looks at certificates when handshakes are over
            made.handshakes.append(Handshake(peer.sock, names[-1]))
            peer.send(answer(headers={"Connection": "close"}))
        return made.speaks(protocol)
    return make


def settings(kind, said):
    prefix = "grpc_ssl_" if kind == "grpc_" else "proxy_ssl_"
    return " ".join(f"{prefix}{one.strip()};" for one in said.split(";") if one.strip())


def parts(kind, around, own, is_nginx):
    """
    A configuration, as weir() takes it: what is said around all passes to an origin, and what one of its servers or
    locations says itself.
    """
    around, own = settings(kind, around), settings(kind, own)
    if kind == "stream":
        return {"server": None, "main": f"""{MODULE if is_nginx else ""} stream {{ {WITHIN} proxy_ssl on; {around}
            server {{ listen 127.0.0.1:@port@; proxy_pass origin.test; }}
            server {{ listen 127.0.0.1:@port2@; proxy_pass origin.test; {own} }} }}"""}
    to = f"{kind}pass {'grpcs' if kind == 'grpc_' else 'https'}://origin.test;"
    return {"server": f"location / {{ {to} }} location /own {{ {to} {own} location /own/within {{ {to} }} }}",
            "http": WITHIN + around}


@pytest.fixture
def passing(weir, binary, origin):
    """Starts the program.  ask() is what the origin sees of the second of two requests: the first may have left a session."""
    def start(kind, around, own="", certificate="origin"):
        behind = origin(certificate)
        server = weir(**parts(kind, around, own, binary.is_nginx), origin=behind)

        def ask(where="around"):
            behind.handshakes.clear()
            path = {"around": "/", "own": "/own", "within": "/own/within"}[where]
            for _ in range(2):
                with server.connect("port2" if kind == "stream" and where != "around" else "port") as connection:
                    connection.send_what_fits(request_bytes(path, version="HTTP/1.0"))
                    connection.read_until_close()
            return behind.handshakes[-1] if behind.handshakes else None
        server.ask = ask
        return server
    return start


REFUSED, WRONG = None, "a wrong configuration"
AES128, AES256 = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"
CHACHA = "ECDHE-ECDSA-CHACHA20-POLY1305"
VERIFY = "verify on; trusted_certificate @certs@/ca.crt; "

# What else is said, what is seen then, a word and another, each with what is seen.
SEEN = {
    "protocols": ("version", "", "TLSv1.3", "protocols TLSv1.2", "TLSv1.2", "protocols TLSv1.3", "TLSv1.3"),
    "ciphers": ("cipher", "protocols TLSv1.2", AES256, f"ciphers {AES128}", AES128, f"ciphers {CHACHA}", CHACHA),
    "conf_command": ("version", "protocols TLSv1.2 TLSv1.3", "TLSv1.3", "conf_command MaxProtocol TLSv1.2", "TLSv1.2",
                     "conf_command MinProtocol TLSv1.2", "TLSv1.3"),
    "server_name": ("name", "", None, "server_name on", "origin.test", "server_name off", None),
    "name": ("name", "server_name on", "origin.test", "name one.test", "one.test", "name $who.test", "client.test"),
    "session_reuse": ("reused", "", True, "session_reuse off", False, "session_reuse on", True),
    "certificate": ("subject", "", None, "certificate @certs@/client.crt; certificate_key @certs@/client.key", "client",
                    "certificate @certs@/localhost.crt; certificate_key @certs@/localhost.key", "localhost"),
    "certificate by a variable": (
        "subject", "", None, "certificate @certs@/$who.crt; certificate_key @certs@/$who.key", "client",
        "certificate @certs@/localhost.crt; certificate_key @certs@/localhost.key", "localhost"),
    "verify": ("is_whole", "trusted_certificate @certs@/other-ca.crt", True, "verify on", REFUSED,
               "verify off", True),
    "name to verify": ("is_whole", VERIFY, True, "name other.test", REFUSED, "name origin.test", True),
    "trusted_certificate": ("is_whole", "verify on", WRONG, "trusted_certificate @certs@/other-ca.crt", REFUSED,
                            "trusted_certificate @certs@/ca.crt", True),
    "password_file": ("subject", "certificate @certs@/localhost.crt; certificate_key @certs@/encrypted.key", WRONG,
                      "password_file @certs@/password.txt", "localhost",
                      "certificate @certs@/client.crt; certificate_key @certs@/client.key", "client"),
    "alpn": ("protocol", "", None, "alpn three two", "two", "alpn two one", "one"),
    "verify_depth": ("is_whole", VERIFY, REFUSED, "verify_depth 2", True, "verify_depth 0", REFUSED),
    "crl": ("is_whole", VERIFY, True, "crl @certs@/ca.crl", REFUSED, "crl @certs@/empty.crl", True),
}
CERTIFICATES = {"verify_depth": "origin-deeper-chain", "crl": "origin-revoked"}


NEW = {"protocols": "TLSv1.3 by default since nginx 1.23.4", "alpn": "since nginx 1.31.0"}
CASES = [pytest.param(kind, name, marks=pytest.mark.weir_only(NEW[name]) if name in NEW else ())
         for name in SEEN for kind in KINDS if name != "alpn" or kind == "stream"]


def started(passing, kind, name, around="", own=""):
    # An earlier session would have a part in what is seen.
    beside = "" if name == "session_reuse" else "session_reuse off; "
    return passing(kind, f"{beside}{SEEN[name][1]}; {around}", own, CERTIFICATES.get(name, "origin"))


def seen(server, name, where="around"):
    handshake = server.ask(where)
    return REFUSED if handshake is None else getattr(handshake, SEEN[name][0])


@pytest.mark.parametrize("kind, name", [case for case in CASES if SEEN[case.values[1]][2] != WRONG])
def test_without_a_word_the_default_counts(passing, kind, name):
    assert seen(started(passing, kind, name), name) == SEEN[name][2]


@pytest.mark.parametrize("kind, name", CASES)
def test_a_word_holds_within_unless_there_is_another(passing, kind, name):
    _, _, _, word, said, another, said_then = SEEN[name]
    server = started(passing, kind, name, word, another)
    assert seen(server, name) == said
    assert seen(server, name, "own") == said_then
    assert seen(server, name, "within") == said_then


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("said, message", [
    ("verify on", "no {}trusted_certificate for {}verify"),
    ("certificate @certs@/client.crt", 'no "{}certificate_key" is defined for certificate ".*/client.crt"'),
    ("certificate @certs@/localhost.crt; certificate_key @certs@/encrypted.key", "encrypted.key"),
    ("certificate @certs@/client.crt; certificate_key @certs@/localhost.key", "localhost.key"),
    ("verify on; trusted_certificate @certs@/ca.crt; crl @certs@/none", "/none"), ("conf_command Nothing x", '"{}conf_command Nothing'),
    ("ciphers NOTHING", '"{}ciphers')])
def test_what_cannot_be_is_refused(check, binary, kind, said, message):
    prefix = settings(kind, "x")[:-2]
    done = check(compose(**parts(kind, said, "", binary.is_nginx), is_nginx=binary.is_nginx), origin="127.0.0.1:1")
    assert done.code == 1
    if not binary.is_nginx:
        assert re.search(message.replace("{}", prefix), done.err), done.err


@pytest.mark.weir_only("since nginx 1.27.2")
@pytest.mark.parametrize("kind", KINDS)
def test_secrets_are_written_where_a_key_log_is_named(passing, kind):
    server = passing(kind, "key_log @dir@/around", "key_log @dir@/own")
    for where, other in ("around", "own"), ("own", "around"):
        before = server.read(other)
        server.ask(where)
        assert re.search(r"^CLIENT_TRAFFIC_SECRET_0 \w{64} \w+$", server.read(where), re.M)
        assert server.read(other) == before


@pytest.mark.weir_only("since nginx 1.27.4")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("said, shown", [("", "localhost"), ("certificate_cache off", "localhost"),
                                         ("certificate_cache max=10", "client"),
                                         ("certificate_cache max=10 valid=1ms", "localhost")])
def test_certificates_by_variables_are_kept_where_a_cache_is_named(passing, folder, certs, kind, said, shown):
    def renew(name):
        for ending in "crt", "key":
            shutil.copy(certs.path(f"{name}.{ending}"), folder.file(f"new.{ending}"))
            os.rename(folder.file(f"new.{ending}"), folder.file(f"client.{ending}"))
    renew("client")
    server = passing(kind, f"certificate @dir@/$who.crt; certificate_key @dir@/$who.key; {said}")
    assert server.ask().subject == "client"
    renew("localhost")
    assert server.ask().subject == shown
