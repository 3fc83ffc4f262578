"""conf/balanced.conf, the sample, does what its comments say."""

import os
import re

import pytest

from harness import wait_until
from harness.upstream import answer

_SAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf", "balanced.conf")

pytestmark = pytest.mark.weir_only("nginx has it in NGINX Plus")


@pytest.fixture
def sample(weir, new_upstream):
    """The file with the test's addresses and certificates; its two servers and their backup."""
    origins = [new_upstream() for _ in range(3)]
    for number, origin in enumerate(origins):
        origin.answers(lambda peer, number=number: answer(
            '{"status": "ok"}' if peer.request.target == "/health" else str(number),
            headers={"Content-Type": "application/json"}))
    with open(_SAMPLE, encoding="ascii") as file:
        text = file.read()
    for pattern, by in [
            (r"listen( +)443 ssl", r"listen\g<1>127.0.0.1:@tls_port@ ssl"),
            (r"listen( +)127\.0\.0\.1:8081", r"listen\g<1>127.0.0.1:@port@"),
            (r"10\.0\.0\.11:8080 slow_start=30s", str(origins[0])),
            (r"10\.0\.0\.12:8080 slow_start=30s", str(origins[1])),
            (r"10\.0\.0\.13:8080", str(origins[2])),
            (r"interval=2s jitter=500ms", "interval=50ms"),
            (r"ssl/www\.example\.org", "@certs@/a"),
            (r"www\.example\.org", "a.test"),
            (r"unix:/run/weir\.ctl", "unix:@dir@/ctl"),
            (r"worker_processes +auto;", "worker_processes 2; pid @dir@/weir.pid; error_log @dir@/error.log info;")]:
        assert re.search(pattern, text), pattern
        text = re.sub(pattern, by, text)
    return weir(full=text), origins


def ask(server, cookie=None):
    return server.request("/", host="a.test", tls=True, sni="a.test",
                          headers={"Cookie": cookie} if cookie else {})


def test_a_session_stays_until_its_server_is_not_well(sample):
    server, origins = sample
    first = ask(server)
    cookie = first.headers["Set-Cookie"].split(";")[0]
    assert {"httponly", "secure", "samesite=lax"} <= set(first.headers["Set-Cookie"].split("; "))
    assert [ask(server, cookie).text for _ in range(4)] == [first.text] * 4
    assert {ask(server).text for _ in range(4)} == {"0", "1"}
    origins[int(first.text)].answers(answer("no", "503 No"))
    server.wait_log("is unhealthy: the status does not match")
    moved = ask(server, cookie)
    assert moved.status == 200 and moved.text in "01" and moved.text != first.text
    origins[int(moved.text)].answers(answer('{"status": "lost"}', headers={"Content-Type": "application/json"}))
    server.wait_log("is unhealthy: the body does not match")
    wait_until(lambda: ask(server).text == "2", "the backup")


def test_servers_are_drained_by_the_api(sample):
    server, _ = sample
    servers = server.get("/api/9/http/upstreams/shop/servers").json
    assert [one["backup"] for one in servers] == [False, False, True]
    changed = server.request(f"/api/9/http/upstreams/shop/servers/{servers[0]['id']}", "PATCH",
                             headers={"Content-Type": "application/json"}, body=b'{"drain":true}')
    assert changed.status == 200
    assert {ask(server).text for _ in range(6)} == {"1"}
