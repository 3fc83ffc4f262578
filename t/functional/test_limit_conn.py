"""limit_conn: how many requests of a client there may be at a time."""

import os
import threading
from signal import SIGKILL

import pytest

from harness import kernel, wait_until

ZONE = "limit_conn_zone $arg_key zone=one:1m;"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Held:
    """An origin that keeps requests for /held until it is told to let go."""

    def __init__(self, upstream):
        self.go = threading.Event()
        self.upstream = upstream
        upstream.answers(self.answer)

    def answer(self, peer):
        if "held" in peer.request.target:
            peer.wait(self.go)
        peer.send(OK)


@pytest.fixture
def held(upstream):
    holder = Held(upstream)
    yield holder
    holder.go.set()


def proxied(limits):
    return f"location / {{ {limits} proxy_pass http://@upstream@; }}"


def hold(server, held, key="a"):
    """A request in progress."""
    before = len(held.upstream.received)
    connection = server.connect()
    connection.send(f"GET /held?key={key} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    wait_until(lambda: len(held.upstream.received) > before, "the request at the origin")
    return connection


def test_one_too_many_is_refused_and_another_key_is_not(weir, held):
    server = weir(proxied("limit_conn one 2;"), http=ZONE)
    first, _ = hold(server, held), hold(server, held)
    assert server.get("/?key=a").status == 503
    assert server.wait_log(r'\[error\] .*limiting connections by zone "one", client: 127')
    assert server.get("/?key=b").status == 200
    assert server.get("/").status == 200                 # an empty key is not counted
    held.go.set()
    assert first.read_response().status == 200
    assert server.get("/?key=a").status == 200


def test_requests_of_one_connection_do_not_add_up(weir, held):
    server = weir(proxied("limit_conn one 1;"), http=ZONE)
    connection = server.connect()
    assert [connection.request("/?key=a").status for _ in range(5)] == [200] * 5


def test_who_is_refused_counts_in_no_zone(weir, held):
    server = weir(proxied("limit_conn wide 2; limit_conn one 1;"),
                  http=ZONE + "limit_conn_zone $server_port zone=wide:1m;")
    with hold(server, held):
        assert [server.get("/?key=a").status for _ in range(3)] == [503] * 3
        assert server.get("/?key=b").status == 200


def test_a_client_that_leaves_is_counted_down(weir, held):
    server = weir(proxied("limit_conn one 1;"), http=ZONE)
    hold(server, held).close()
    assert " 499 " in server.access_log()[0]
    assert server.get("/?key=a").status == 200


def test_a_dry_run_only_tells(weir, held):
    server = weir(proxied("limit_conn one 1; limit_conn_dry_run on; add_header X $limit_conn_status;"),
                  http=ZONE)
    with hold(server, held):
        assert server.get("/?key=a").headers["X"] == "REJECTED_DRY_RUN"
        assert server.get("/?key=b").headers["X"] == "PASSED"
        assert "X" not in server.get("/").headers
    assert server.wait_log(r'limiting connections, dry run, by zone "one"')


def test_status_and_level_may_be_said(weir, held):
    server = weir(proxied("limit_conn one 1; limit_conn_status 429; limit_conn_log_level info;"),
                  http=ZONE + "log_format s '$limit_conn_status'; access_log @dir@/s.log s;")
    with hold(server, held):
        assert server.get("/?key=a").status == 429
        server.wait_log(r"\[info\] .*limiting connections by")
        assert server.access_log(1, "s.log") == ["REJECTED"]


def test_limit_req_is_asked_first(weir, held):
    server = weir(proxied("limit_conn one 1; limit_req zone=two;"),
                  http=ZONE + "limit_req_zone $arg_key zone=two:1m rate=1r/m;")
    with hold(server, held):
        assert server.get("/?key=a").status == 503
    server.wait_log("limiting requests")
    assert "limiting connections" not in server.log()


def test_workers_count_together(weir, held):
    server = weir("listen 127.0.0.1:@port@ reuseport;" + proxied("limit_conn one 1;"), http=ZONE,
                  main="worker_processes 4;")
    with hold(server, held):
        assert [server.get("/?key=a").status for _ in range(8)] == [503] * 8
    held.go.set()
    wait_until(lambda: server.get("/?key=a").status == 200, "the count to fall")


def test_counts_outlive_a_reload(weir, held):
    server = weir(proxied("limit_conn one 1;"), http=ZONE)
    with hold(server, held) as connection:
        server.reload()
        assert server.get("/?key=a").status == 503
        held.go.set()
        assert connection.read_response().status == 200
    wait_until(lambda: server.get("/?key=a").status == 200, "the count to fall")


@pytest.mark.weir_only("nginx never takes back what a killed worker had counted")
def test_what_a_killed_worker_had_counted_is_taken_back(weir, held):
    server = weir(proxied("limit_conn one 1;"), http=ZONE, alerts=["exited on signal 9"])
    hold(server, held)
    assert server.get("/?key=a").status == 503
    old = server.wait_workers()
    os.kill(old[0], SIGKILL)
    new = server.wait_new_workers(old)
    wait_until(lambda: kernel.holds_listener(new[0]), "that it listens")
    assert server.get("/?key=a").status == 200


@pytest.mark.parametrize("http, said", [
    ("limit_conn_zone $uri zone=one:1k;", 'zone "zone=one:1k" is too small'),
    ("limit_conn_zone $uri rate=1r/s;", 'invalid parameter "rate=1r/s"'),
    ("limit_conn none 1;", 'zero size shared memory zone "none"'),
    ("limit_conn one 0;", 'invalid number of connections "0"'),
    ("limit_conn one 65536;", "connection limit must be less 65536"),
    ("limit_conn one 1; limit_conn one 2;", "is duplicate"),
    ("limit_conn_zone $uri zone=one:1m; limit_req_zone $uri zone=one:1m rate=1r/s;",
     'zone "one" is already declared for a different use'),
])
def test_what_makes_no_sense_is_refused(check, http, said):
    done = check("events {} http { %s server { listen 127.0.0.1:@port@; } }" % http)
    assert done.code == 1 and said in done.err
