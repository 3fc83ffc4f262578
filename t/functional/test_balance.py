"""Upstream groups: who is chosen, and whose sessions stay where they are."""

import hashlib
import re
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from signal import SIGKILL

import pytest

from harness import succeeds_once, wait_until
from harness.upstream import answer

PASS = "location / { proxy_pass http://back; }"
KEYED = """location / { proxy_pass http://back; proxy_next_upstream off;
                        add_header X-Peer $upstream_addr always; }"""

# By number of the key: which server nginx 1.22 gives "key0", "key1" … (nobody listens there).
SERVERS = ("server 127.0.0.1:1 weight=%d max_fails=0; server 127.0.0.2:2 weight=%d max_fails=0; "
           "server 127.0.0.3:3 max_fails=0; server localhost:4 max_fails=0 weight=2; "
           "server 127.0.0.5 max_fails=0;")
HASHED = {
    "127.0.0.2:2": "0 3 5 11 12 14 20",
    "127.0.0.3:3": "1 10",
    "127.0.0.1:4": "2 4 13 15 21",
    "127.0.0.1:1": "6 8 17 19 23",
    "127.0.0.5:80": "7 9 16 18 22",
}
RING = {
    "127.0.0.3:3": "0 15 16 18 21",
    "127.0.0.5:80": "1 7 10 14 23",
    "127.0.0.1:4": "2 3 4 12 17",
    "127.0.0.2:2": "5 8 11 20",
    "127.0.0.1:1": "6 9 13 19 22",
}
RING_OF_ANY = {
    "127.0.0.3:3": "0 2 4 7 8 9 10 11 13 14 15 16 17 20 23",
    "unix:/nonexistent/a": "1 3 5 6 12 18 19 21 22",
}
# As often as its largest weight says.
RING_WITH_ONE_TWICE = {
    "127.0.0.1:1": "0 1 2 3 5 6 9 11 12 13 15 16 17 18 19 23",
    "127.0.0.2:2": "4 7 8 10 14 20 21 22",
}


# Where "localhost" is ::1, too, it is two servers, and keys go elsewhere.
ONE_LOCALHOST = pytest.mark.skipif(
    len({address for *_, address in socket.getaddrinfo("localhost", 4, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)}) > 1,
    reason="localhost has several addresses")


def keys_by_peer(server, numbers):
    found = {}
    with server.connect() as connection:
        for number in numbers:
            response = connection.request("/", headers={"X-Key": f"key{number}"})
            found.setdefault(response.headers["X-Peer"], []).append(str(number))
    return {peer: " ".join(of) for peer, of in found.items()}


@pytest.mark.parametrize("method, servers, wanted", [
    pytest.param("hash $http_x_key;", SERVERS % (1, 3), HASHED, marks=ONE_LOCALHOST),
    pytest.param("hash $http_x_key consistent;", SERVERS % (2, 1), RING, marks=ONE_LOCALHOST),
    ("hash $http_x_key consistent;", "server 127.0.0.1:1 max_fails=0; server 127.0.0.2:2 down; "
     "server 127.0.0.3:3 weight=3 max_fails=0; server unix:/nonexistent/a max_fails=0;",
     RING_OF_ANY),
    ("hash $http_x_key consistent;", "server 127.0.0.1:1 max_fails=0; server 127.0.0.2:2 weight=3 max_fails=0; "
     "server 127.0.0.1:1 weight=5 max_fails=0;", RING_WITH_ONE_TWICE),
])
def test_keys_go_where_nginx_sends_them(weir, method, servers, wanted):
    server = weir(KEYED, http=f"upstream back {{ {method} {servers} }}")
    assert keys_by_peer(server, range(24)) == wanted


# A digest of where nginx 1.22 sends 2,000 keys, or clients.
MIXED = ("server localhost:4 max_fails=0 weight=2; server 127.0.0.5 max_fails=0; server [::1]:3 max_fails=0 weight=3; "
         "server unix:/nonexistent/a max_fails=0; server 127.0.0.6:1 max_fails=0;")
MANY = "".join(f"server 127.0.{number}.1:{1 + number % 7} max_fails=0 weight={1 + number * 7 % 5}"
               f"{' down' if number in (3, 70, 110) else ''}; " for number in range(200))
KEYS = [f"key{number}" for number in range(1500)] + ["x" * (number % 90) + str(number) for number in range(500)]
CLIENTS = ([f"{number % 223 + 1}.{number * 7 % 251}.{number * 13 % 241}.{number % 256}" for number in range(1500)]
           + [f"2001:db8:{number * 31 % 65536:x}::{number:x}" for number in range(500)])


@pytest.mark.parametrize("method, servers, wanted", [
    pytest.param("hash $http_x_key;", MIXED, "e2249a66e1a70f54", marks=ONE_LOCALHOST),
    ("hash $http_x_key;", MANY, "a31ef3bdd740cb5c"),
    pytest.param("hash $http_x_key consistent;", MIXED, "8624d714d0f6fc48", marks=ONE_LOCALHOST),
    ("hash $http_x_key consistent;", MANY, "52b1dcbf47573f2f"),
    ("ip_hash;", MANY, "4a562487da1145d2"),
], ids=["hash mixed", "hash many", "ring mixed", "ring many", "ip_hash"])
def test_2000_keys_go_where_nginx_sends_them(weir, method, servers, wanted):
    keys = CLIENTS if method == "ip_hash;" else KEYS
    server = weir("set_real_ip_from 127.0.0.1; real_ip_header X-Key; keepalive_requests 10000;" + KEYED,
                  http=f"upstream back {{ {method} {servers} }}")
    went = []
    with server.connect() as connection:
        for first in range(0, len(keys), 40):
            for key in keys[first:first + 40]:
                connection.send(f"GET / HTTP/1.1\r\nHost: a\r\nX-Key: {key}\r\n\r\n".encode())
            went += [connection.read_response().headers["X-Peer"] for _ in range(40)]
    assert len(went) == 2000
    assert len(set(went)) > 4
    assert hashlib.sha256(" ".join(went).encode()).hexdigest()[:16] == wanted


def named(new_upstream, count):
    """Origins that say their number."""
    made = [new_upstream() for _ in range(count)]
    for number, origin in enumerate(made):
        origin.answers(answer(str(number)))
    return made


def group(origins, method="", parameters=()):
    more = dict(enumerate(parameters))
    servers = "".join(f"server {origin} {more.get(number, '')}; "
                      for number, origin in enumerate(origins))
    return f"upstream back {{ {method} {servers} }}"


def hold(server, origin, cookie=""):
    """A request that stays open at the origin."""
    seen = len(origin.requests)
    connection = server.connect()
    connection.send(f"GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n".encode())
    origin.wait_requests(seen + 1)
    return connection


# ---- weights

@pytest.mark.weir_only("nginx without a zone counts by worker")
def test_weights_hold_over_all_workers(weir, new_upstream):
    origins = named(new_upstream, 4)
    server = weir(PASS, main="worker_processes 4;",
                  http=group(origins, "", ["weight=4", "weight=3", "weight=2", "weight=1"]))
    server.wait_workers(4)

    def ask(_):
        with server.connect() as connection:
            return [connection.request("/").text for _ in range(10)]
    with ThreadPoolExecutor(8) as pool:
        counts = Counter(text for texts in pool.map(ask, range(100)) for text in texts)
    for number, wanted in enumerate((400, 300, 200, 100)):
        assert abs(counts[str(number)] - wanted) <= wanted // 100, counts


def test_least_conn_avoids_the_busy_one(weir, new_upstream):
    origins = named(new_upstream, 2)
    server = weir(PASS, http=group(origins, "least_conn;"))
    first = server.get("/").text
    busy, idle = (origins[0], "1") if first == "1" else (origins[1], "0")
    busy.answers(lambda peer: peer.wait_gone())
    hold(server, busy)
    assert [server.get("/").text for _ in range(5)] == [idle] * 5


# ---- queue

@pytest.mark.weir_only("nginx has it in NGINX Plus")
def test_requests_wait_in_the_queue_for_a_free_server(weir, upstream):
    doors = []

    def slow(peer):
        door = threading.Event()
        doors.append(door)
        peer.wait(door)
        return answer("done")
    upstream.answers(slow)
    server = weir(PASS, main="worker_processes 2;",
                  http="upstream back { server @upstream@ max_conns=1; queue 2 timeout=60s; }")
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(server.get, "/") for _ in range(4)]
        wait_until(lambda: any(one.done() for one in asked), "one that finds the queue full")
        wait_until(lambda: len(doors) == 1, "the one that is passed on")
        for number in range(3):
            wait_until(lambda: len(doors) > number, f"request {number} at the origin")
            doors[number].set()
        assert sorted(one.result().status for one in asked) == [200, 200, 200, 502]


@pytest.mark.weir_only("nginx has it in NGINX Plus")
def test_waiting_in_the_queue_ends(weir, upstream):
    upstream.answers(lambda peer: peer.wait_gone())
    server = weir(PASS, http="upstream back { server @upstream@ max_conns=1; "
                             "queue 2 timeout=100ms; }")
    hold(server, upstream)
    # Who has waited leaves the queue: there is room again.
    for _ in range(4):
        assert server.get("/").status == 502
    assert len(upstream.requests) == 1


@pytest.mark.weir_only("nginx has it in NGINX Plus")
def test_the_last_server_is_named(weir, new_upstream):
    one, two = named(new_upstream, 2)
    two.stop()
    server = weir("""location / { proxy_pass http://back;
                      add_header X-Name "$upstream_last_server_name $upstream_last_addr" always; }""",
                  http=f"upstream back {{ server localhost:{two.port}; "
                       f"server localhost:{one.port} backup; }}")
    response = server.get("/")
    assert response.text == "0"
    assert response.headers["X-Name"] == f"localhost {one}"


@pytest.mark.weir_only("nginx has it in NGINX Plus")
@pytest.mark.parametrize("dynamic, expected", [("off", ["-", "-"]), ("on", ["a.test", "b.test"])])
def test_a_request_may_be_made_anew_for_each_server(weir, new_upstream, dynamic, expected):
    one, two = new_upstream(), new_upstream()
    one.answers(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    server = weir("""proxy_request_dynamic %s;
                     location / { proxy_pass http://back; proxy_next_upstream http_503 non_idempotent;
                      proxy_set_body "to $upstream_last_addr";
                      proxy_set_header X-Server $name; }""" % dynamic,
                  http=f"""map $upstream_last_addr $name {{ volatile; default -; {one} a.test; {two} b.test; }}
                           upstream back {{ server {one} max_fails=0; server {two} backup; }}""")
    for _ in range(2):
        one.requests.clear(), two.requests.clear()
        assert server.request("/", method="POST", body=b"x").status == 200
        assert [origin.last.headers["X-Server"] for origin in (one, two)] == expected
        if dynamic == "on":
            assert [origin.last.body for origin in (one, two)] == [b"to %s" % str(origin).encode() for origin in (one, two)]


@pytest.mark.weir_only("nginx has it in NGINX Plus")
def test_the_time_in_the_queue_is_told(weir, upstream):
    upstream.answers(lambda peer: peer.wait_gone())
    server = weir("""location / { proxy_pass http://back;
                      add_header X-Waited "$upstream_queue_time" always; }""",
                  http="upstream back { server @upstream@ max_conns=1; queue 2 timeout=100ms; }")
    hold(server, upstream)
    assert re.fullmatch(r"[0-9]+\.[0-9]{3}", server.get("/").headers["X-Waited"])


# ---- sticky sessions

def cookie_of(response, name="srv"):
    return re.match(rf"{name}=([^;]*)", response.headers["Set-Cookie"]).group(1)


@pytest.mark.weir_only("newer than nginx 1.22")
def test_a_cookie_keeps_a_client_at_its_server(weir, new_upstream):
    origins = named(new_upstream, 3)
    server = weir(PASS, http=group(origins, "sticky cookie srv secret=s;"))
    seen = set()
    for _ in range(3):
        first = server.get("/")
        cookie = cookie_of(first)
        assert re.fullmatch("[0-9a-f]{32}", cookie)
        seen.add(cookie)
        for _ in range(4):
            again = server.get("/", headers={"Cookie": f"a=b; srv={cookie}"})
            assert again.text == first.text
            assert "set-cookie" not in again.headers
    assert len(seen) == 3


@pytest.mark.weir_only("newer than nginx 1.22")
def test_the_cookie_has_the_attributes_that_are_asked_for(weir, upstream):
    server = weir(PASS, http="upstream back { server @upstream@; sticky cookie srv secret=s "
                  "expires=1h domain=.example.com path=/app httponly secure samesite=lax; }")
    text = server.get("/").headers["Set-Cookie"]
    assert re.fullmatch(r"srv=\w+; expires=\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT; max-age=3600; "
                        r"domain=\.example\.com; path=/app; httponly; secure; samesite=lax", text)


@pytest.mark.weir_only("newer than nginx 1.22")
@pytest.mark.parametrize("parameters, query, wanted", [
    ("", "", ""),
    ("expires=max", "", "; expires=Thu, 31 Dec 2037 23:55:55 GMT; max-age=315360000"),
    ("domain=.$arg_d.test samesite=$arg_s secure", "d=shop&s=Lax", "; secure; domain=.shop.test; samesite=lax"),
    ("domain=$arg_d samesite=$arg_s", "d=&s=", ""),
    ("domain=$arg_d samesite=$arg_s", "d=a;path=/x&s=none;secure", ""),
    ("domain=$arg_d", "d=a%20b", "; domain=a%20b"),
])
def test_attributes_may_be_those_of_variables(weir, upstream, parameters, query, wanted):
    server = weir(PASS, http=f"upstream back {{ server @upstream@; sticky cookie srv secret=s {parameters}; }}")
    text = server.get(f"/?{query}").headers["Set-Cookie"]
    assert re.fullmatch(r"srv=\w{32}", text[:36]) and text[36:] == wanted


@pytest.mark.weir_only("newer than nginx 1.22")
def test_a_forged_or_stale_cookie_is_as_good_as_none(weir, new_upstream):
    origins = named(new_upstream, 2)
    server = weir(PASS, http=group(origins, "sticky cookie srv secret=s;"))
    for value in ("", "0", "0" * 32, "zz", "f" * 2000, str(origins[0])):
        response = server.get("/", headers={"Cookie": f"srv={value}"})
        assert response.status == 200
        assert cookie_of(response)


@pytest.mark.weir_only("newer than nginx 1.22")
def test_a_node_with_the_same_secret_reads_the_cookie_and_others_do_not(weir, new_upstream):
    origins = named(new_upstream, 8)
    server = weir(PASS, http=group(origins, "sticky cookie srv secret=s;"))
    first = server.get("/")
    held = {"Cookie": f"srv={cookie_of(first)}"}
    server.stop()
    server = weir(PASS, http=group(origins[::-1], "sticky cookie srv secret=s;"))
    assert server.get("/", headers=held).text == first.text
    server.stop()
    server = weir(PASS, http=group(origins, "sticky cookie srv secret=t;"))
    assert "set-cookie" in server.get("/", headers=held).headers
    server.stop()


@pytest.mark.weir_only("newer than nginx 1.22")
def test_a_session_moves_when_its_server_is_down(weir, new_upstream):
    origins = named(new_upstream, 3)
    server = weir(PASS, http=group(origins, "sticky cookie srv secret=s;"))
    first = server.get("/")
    held = {"Cookie": f"srv={cookie_of(first)}"}
    origins[int(first.text)].stop()
    moved = server.get("/", headers=held)
    assert moved.status == 200 and moved.text != first.text
    again = server.get("/", headers={"Cookie": f"srv={cookie_of(moved)}"})
    assert again.text == moved.text and "set-cookie" not in again.headers
    assert len(re.findall(r"\[info\].* a sticky session moves from upstream server "
                          rf"{origins[int(first.text)]} to {origins[int(moved.text)]}",
                          server.log())) == 1
    # While it is known to be down, it is not even tried.
    assert server.get("/", headers=held).status == 200


@pytest.mark.weir_only("newer than nginx 1.22")
def test_a_draining_server_keeps_its_sessions_and_gets_no_new_ones(weir, new_upstream):
    origins = named(new_upstream, 2)
    method = "sticky cookie srv secret=s;"
    server = weir(PASS, http=group(origins, method))
    cookies = {}
    while len(cookies) < 2:
        response = server.get("/")
        cookies[response.text] = cookie_of(response)
    server.reload(server.config.replace(f"server {origins[0]} ", f"server {origins[0]} drain"))
    for _ in range(4):
        assert server.get("/").text == "1"
        assert server.get("/", headers={"Cookie": f"srv={cookies['0']}"}).text == "0"


@pytest.mark.weir_only("newer than nginx 1.22")
def test_a_full_server_gives_its_sessions_away(weir, new_upstream):
    origins = named(new_upstream, 2)
    server = weir(PASS, http=group(origins, "sticky cookie srv secret=s;",
                                   ["max_conns=1", "max_conns=1"]))
    first = server.get("/")
    held = f"srv={cookie_of(first)}"
    owner = origins[int(first.text)]
    owner.answers(lambda peer: peer.wait_gone())
    hold(server, owner, held)
    moved = server.get("/", headers={"Cookie": held})
    assert moved.text != first.text and f"srv={cookie_of(moved)}" != held


@pytest.mark.weir_only("newer than nginx 1.22")
def test_a_route_names_its_server(weir, new_upstream):
    origins = named(new_upstream, 3)
    server = weir(PASS, http=group(
        origins, "sticky route $cookie_r $arg_r;", ["route=a", "route=b", "route=b"]))
    for _ in range(3):
        assert server.get("/", headers={"Cookie": "r=a"}).text == "0"
        assert server.get("/?r=a").text == "0"
        assert server.get("/", headers={"Cookie": "r=b"}).text in "12"
    assert {server.get("/?r=unknown").text for _ in range(6)} == {"0", "1", "2"}


@pytest.mark.weir_only("newer than nginx 1.22")
@pytest.mark.parametrize("when", ["", "header"])
def test_sessions_are_learned_from_answers(weir, new_upstream, when):
    origins = named(new_upstream, 3)
    for number, origin in enumerate(origins):
        origin.answers(lambda peer, number=number: answer(str(number), headers={
            "Set-Cookie": f"session=of{peer.request.target[1:]}"}))
    server = weir(PASS, main="worker_processes 2;", http=group(
        origins, "sticky learn create=$upstream_cookie_session lookup=$cookie_session "
        f"zone=sessions:64k timeout=1h {when};"))
    begun = {name: server.get(f"/{name}").text for name in "abcdef"}
    for name, number in begun.items():
        for _ in range(3):
            assert server.get(f"/{name}", headers={"Cookie": f"session=of{name}"}).text == number
    origins[int(begun["a"])].stop()
    held = {"Cookie": "session=ofa"}
    moved = server.get("/a", headers=held).text
    assert moved != begun["a"]
    assert [server.get("/a", headers=held).text for _ in range(3)] == [moved] * 3


# ---- what holds over all workers, and over reloads

@pytest.mark.weir_only("nginx without a zone counts by worker")
def test_max_conns_holds_over_all_workers(weir, upstream):
    upstream.answers(lambda peer: peer.wait_gone())
    server = weir(PASS, main="worker_processes 4;", http=group([upstream], "", ["max_conns=3"]))
    server.wait_workers(4)
    asked = [server.connect() for _ in range(12)]
    for connection in asked:
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    upstream.wait_requests(3)
    wait_until(lambda: [connection.is_quiet(0.01) for connection in asked].count(False) == 9, "nine to be refused")
    assert [connection.read_response().status for connection in asked if not connection.is_quiet(0.01)] == [502] * 9
    assert len(upstream.requests) == 3


@pytest.mark.weir_only("nginx has it in NGINX Plus")
def test_learned_sessions_outlive_reloads_and_workers(weir, new_upstream):
    origins = named(new_upstream, 3)
    for number, origin in enumerate(origins):
        origin.answers(lambda peer, number=number: answer(
            str(number), headers={"Set-Cookie": f"session=of{peer.request.target[1:]}"}))
    server = weir(PASS, main="worker_processes 2;", alerts=["exited on signal 9"], http=group(
        origins, "sticky learn create=$upstream_cookie_session lookup=$cookie_session zone=sessions:64k;"))
    begun = {name: server.get(f"/{name}").text for name in "abcdefgh"}
    assert len(set(begun.values())) == 3

    def assert_kept():
        for name, number in begun.items():
            assert server.get(f"/{name}", headers={"Cookie": f"session=of{name}"}).text == number
    assert_kept()
    server.reload()
    assert_kept()
    for worker in server.wait_workers(2):
        server.signal(SIGKILL, worker)
    server.wait_workers(2)
    assert_kept()


# ---- by time

def slowly(text, before=0, within=0):
    """An origin's answer that takes its time for the head, or between head and body."""
    def speak(peer):
        time.sleep(before)
        peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n".encode())
        time.sleep(within)
        peer.send(text.encode())
    return speak


@pytest.mark.weir_only("nginx has it in NGINX Plus")
@pytest.mark.parametrize("method, slow", [
    ("least_time header;", {"before": 0.2}),
    ("least_time last_byte;", {"within": 0.2}),
    ("least_time last_byte inflight;", {"before": 0.2}),
    ("random two least_time=header;", {"before": 0.2}),
    ("random two least_time=last_byte;", {"within": 0.2}),
])
def test_the_quick_server_gets_nearly_all(weir, new_upstream, method, slow):
    one, two = named(new_upstream, 2)
    one.answers(slowly("0", **slow))
    server = weir(PASS, main="worker_processes 2;", http=group([one, two], method))
    assert "0" in [server.get("/").text for _ in range(4)]

    def gets_nearly_all():
        return [server.get("/").text for _ in range(30)].count("1") >= 27
    succeeds_once(gets_nearly_all)


@pytest.mark.weir_only("nginx has it in NGINX Plus")
def test_a_server_that_is_silent_now_counts_as_slow_with_inflight(weir, new_upstream):
    one, two = named(new_upstream, 2)
    two.answers(slowly("1", before=0.2))
    server = weir(PASS, http=group([one, two], "least_time header inflight;"))
    succeeds_once(lambda: [server.get("/").text for _ in range(10)].count("0") >= 8, "the quick one to have most")
    one.answers(lambda peer: peer.wait_gone())
    for _ in range(20):
        connection = server.connect()
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        if not connection.is_quiet(0.3):
            break
    assert connection.read_response().text == "1"
    assert [server.get("/").text for _ in range(5)] == ["1"] * 5
