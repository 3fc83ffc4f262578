"""Origins that are replaced, stopped and killed under load, and workers that are."""

import json
from signal import SIGKILL

import pytest

from harness import wait_until
from harness.traffic import Traffic
from harness.upstream import answer

pytestmark = pytest.mark.weir_only("nginx has it in NGINX Plus")

CONFIG = "location / { proxy_pass http://back; } location /api { api write=on; }"
SERVERS = "/api/9/http/upstreams/back/servers"


def patch(program, number, **members):
    response = program.request(f"{SERVERS}/{number}", "PATCH",
                               headers={"Content-Type": "application/json"},
                               body=json.dumps(members).encode())
    assert response.status == 200, response.text


def peers(program):
    return program.get("/api/9/http/upstreams/back").json["peers"]


def ask_with_cookie(connection):
    """A client that keeps its session; it counts how often that moves."""
    held = getattr(connection, "cookie", None)
    response = connection.request("/", headers={"Cookie": held} if held else {})
    assert response.status == 200, response
    if "Set-Cookie" in response.headers:
        connection.cookie = response.headers["Set-Cookie"].split(";")[0]


def start(new_upstream, number, port=None):
    origin = new_upstream(port=port) if port else new_upstream()
    origin.answers(answer(str(number)))
    return origin


@pytest.mark.parametrize("how", ["drained", "stopped"])
def test_a_rolling_deploy_fails_no_request(weir, new_upstream, how):
    origins = [start(new_upstream, number) for number in range(4)]
    servers = "".join(f"server {origin} fail_timeout=1s; " for origin in origins)
    server = weir(CONFIG, main="worker_processes 2;",
                  http="keepalive_requests 100000; upstream back { zone back 64k; "
                       f"sticky cookie srv secret=s; {servers} }}")
    with Traffic(server.connect, threads=4, kept=True, ask=ask_with_cookie) as traffic:
        traffic.goes_on()
        for number, origin in enumerate(origins):
            if how == "drained":
                patch(server, number, drain=True)
                traffic.goes_on()
                patch(server, number, down=True)
                wait_until(lambda n=number: peers(server)[n]["active"] == 0, "its last request")
            origin.stop()
            traffic.goes_on()
            origins[number] = start(new_upstream, number, origin.port)
            if how == "drained":
                patch(server, number, down=False, drain=False)
            wait_until(lambda n=number: peers(server)[n]["state"] == "up", "it to be used again")
            traffic.goes_on()
    assert traffic.failures == []
    wait_until(lambda: all(peer["active"] == 0 for peer in peers(server)), "all to be counted out")


@pytest.mark.parametrize("method", [
    "", "least_conn;", "sticky learn create=$upstream_cookie_s lookup=$cookie_s zone=s:64k;"])
def test_killed_workers_leave_everything_in_order(weir, new_upstream, method):
    origins = [start(new_upstream, number) for number in range(3)]
    for number, origin in enumerate(origins):
        origin.answers(answer(str(number), headers={"Set-Cookie": f"s={number}"}))
    servers = "".join(f"server {origin} max_conns=50; " for origin in origins)
    server = weir(CONFIG, main="worker_processes 2;", alerts=["exited on signal 9"],
                  http=f"upstream back {{ zone back 64k; {method} {servers} }}")

    def ask(connection):
        try:
            connection.request("/", headers={"Cookie": "s=1"})
        except (AssertionError, OSError):
            connection.close()      # its worker was killed
    with Traffic(server.connect, threads=4, ask=ask) as traffic:
        for _ in range(6):
            traffic.goes_on(10)
            server.signal(SIGKILL, server.wait_workers(2)[0])
    server.wait_workers(2)
    wait_until(lambda: all(peer["active"] == 0 for peer in peers(server)), "all to be counted out")
    assert len({server.get("/").text for _ in range(12)}) == 3
