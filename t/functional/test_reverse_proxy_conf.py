"""conf/reverse-proxy.conf, the sample, does what its comments say."""

import os
import re

import pytest

from harness import request_bytes
from harness.upstream import answer

_SAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf", "reverse-proxy.conf")
_TYPES = os.path.join(os.path.dirname(_SAMPLE), "mime.types")

pytestmark = pytest.mark.weir_only("has directives of weir's own")


@pytest.fixture
def sample(weir, new_upstream, certs):
    """The file with the test's addresses, names and certificates; and its origin."""
    origin = new_upstream(tls=certs.pair("origin"))
    with open(_SAMPLE, encoding="ascii") as file:
        text = file.read()
    for pattern, by in [
            (r"include +mime\.types", f"include {_TYPES}"),
            (r"listen( +)80\b", r"listen\g<1>127.0.0.1:@port@"),
            (r"listen( +)443\b", r"listen\g<1>127.0.0.1:@tls_port@"),
            (r"server +10\.0\.0\.11:8443", f"server {origin}"),
            (r"server +10\.0\.0\.12:8443 [^;]*;", ""),
            (r"/etc/ssl/(private/)?www\.example\.org", "@certs@/a"),
            (r"www\.example\.org", "a.test"),
            (r"/etc/ssl/origins-ca\.crt", "@certs@/ca.crt"),
            (r"app\.internal", "origin.test"),
            (r"worker_processes +auto;", "worker_processes 1; pid @dir@/weir.pid; error_log @dir@/error.log info;"),
            (r"logs/access\.log", "@dir@/access.log")]:
        assert re.search(pattern, text), pattern
        text = re.sub(pattern, by, text)
    server = weir(full=text)
    return server, origin


def test_requests_reach_the_origin_with_what_is_true_of_them(sample):
    server, origin = sample
    claims = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9", "X-Forwarded-Proto": "ftp",
              "Forwarded": "for=203.0.113.9", "X-Request-ID": "forged"}
    response = server.request("/x?y", headers=claims, host="a.test", tls=True, sni="a.test")
    assert response.status == 200
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert response.headers["Server"] == "weir"
    headers = origin.last.headers
    assert headers.all("X-Forwarded-For") == ["127.0.0.1"]
    assert headers.all("X-Real-IP") == ["127.0.0.1"]
    assert headers.all("X-Forwarded-Proto") == ["https"]
    assert "Forwarded" not in headers
    assert re.fullmatch(r"[0-9a-f]{32}", headers["X-Request-ID"])
    assert headers["Host"] == "a.test"


def test_plain_http_is_sent_to_https(sample):
    server, _ = sample
    response = server.request("/x?y", host="a.test")
    assert (response.status, response.headers["Location"]) == (301, "https://a.test/x?y")


def test_a_switch_passes_where_it_may(sample):
    server, origin = sample
    origin.answers(lambda peer: (peer.send(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\n"
                                           b"Upgrade: websocket\r\n\r\nhello"), peer.wait_gone()))
    connection = server.tls_connect("a.test")
    connection.send(request_bytes("/ws/", headers={"Connection": "Upgrade", "Upgrade": "websocket"},
                                  host="a.test"))
    connection.read_until(b"hello")


def test_large_bodies_pass_only_where_uploads_go(sample):
    server, origin = sample
    origin.answers(lambda peer: answer(str(len(peer.request.body))))
    body = bytes(3_000_000)
    assert server.request("/upload/", "POST", body=body, host="a.test", tls=True,
                          sni="a.test").text == "3000000"
    assert server.request("/", "POST", body=body, host="a.test", tls=True, sni="a.test").status == 413
