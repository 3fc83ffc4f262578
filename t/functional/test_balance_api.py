"""The API: upstream groups are shown and changed while they work."""

import json
import os
import re
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from signal import SIGKILL

import pytest

from harness import wait_until
from harness.upstream import answer
from harness.traffic import Traffic

pytestmark = pytest.mark.weir_only("nginx has it in NGINX Plus")

CONFIG = "location / { proxy_pass http://back; } location /api { api write=on; }"
SERVERS = "/api/9/http/upstreams/back/servers"
JSON = {"Content-Type": "application/json"}


def named(new_upstream, count):
    made = [new_upstream() for _ in range(count)]
    for number, origin in enumerate(made):
        origin.answers(answer(str(number)))
    return made


def group(*servers, more="zone back 64k;"):
    return f"upstream back {{ {more} {''.join(f'server {server};' for server in servers)} }}"


def post(program, headers=JSON, **members):
    return program.request(SERVERS, "POST", headers=headers, body=json.dumps(members).encode())


def patch(program, number, **members):
    return program.request(f"{SERVERS}/{number}", "PATCH", headers=JSON,
                          body=json.dumps(members).encode())


def seen(server, count=6):
    return {server.get("/").text for _ in range(count)}


def test_groups_and_servers_are_shown(weir, new_upstream):
    one, two = named(new_upstream, 2)
    server = weir(CONFIG, http=group(f"{one} weight=3 max_conns=9 slow_start=5s route=r1",
                                     f"{two} backup"))
    assert server.get("/").text == "0"
    assert server.get("/api").json == list(range(1, 10))
    assert server.get("/api/9/").json == ["http", "stream", "resolvers"]
    assert server.get("/api/9/http").json == ["upstreams"]
    assert server.get(SERVERS).json == [
        {"id": 0, "server": str(one), "weight": 3, "max_conns": 9, "max_fails": 1,
         "fail_timeout": "10s", "slow_start": "5s", "route": "r1", "backup": False, "down": False},
        {"id": 1, "server": str(two), "weight": 1, "max_conns": 0, "max_fails": 1,
         "fail_timeout": "10s", "slow_start": "0s", "route": "", "backup": True, "down": False}]
    assert server.get(f"{SERVERS}/1").json["server"] == str(two)
    shown = server.get("/api/9/http/upstreams").json["back"]
    assert shown["zone"] == "back"
    first = shown["peers"][0]
    assert (first["server"], first["state"], first["requests"], first["active"]) == (
        str(one), "up", 1, 0)
    assert server.get("/api/9/http/upstreams/back").json["peers"][1]["backup"] is True


def test_a_change_is_seen_by_all_workers_once_it_is_answered(weir, new_upstream):
    one, two, three = named(new_upstream, 3)
    server = weir(CONFIG, main="worker_processes 3;", http=group(one, two))
    added = post(server, server=str(three), weight=1)
    assert added.status == 201
    assert re.fullmatch(rf"{SERVERS}/\d+", added.headers["Location"])
    assert added.json["server"] == str(three)
    assert seen(server, 12) == {"0", "1", "2"}

    assert server.request(f"{SERVERS}/0", "DELETE").status == 200
    assert seen(server, 12) == {"1", "2"}
    assert patch(server, 1, down=True).json["down"] is True
    assert seen(server, 12) == {"2"}
    assert patch(server, 1, down=False, weight=3).json["weight"] == 3
    counts = [server.get("/").text for _ in range(40)]
    assert counts.count("1") == 30


def test_changes_outlive_a_reload_until_the_configuration_says_otherwise(weir, new_upstream):
    one, two, three = named(new_upstream, 3)
    server = weir(CONFIG, http=group(one, two))
    post(server, server=str(three))
    server.request(f"{SERVERS}/0", "DELETE")
    patch(server, 1, weight=3)
    for _ in range(3):
        server.reload()
        counts = [server.get("/").text for _ in range(40)]
        assert (counts.count("0"), counts.count("1"), counts.count("2")) == (0, 30, 10)
    config = server.config.replace(f"server {one};", f"server {one} max_fails=2;")
    server.reload(config.replace(f"server {two};", f"server {two} max_fails=2;"))
    counts = [server.get("/").text for _ in range(30)]
    assert (counts.count("0"), counts.count("1"), counts.count("2")) == (10, 10, 10)


def test_the_state_is_kept_in_a_file(weir, folder, new_upstream):
    one, two = named(new_upstream, 2)
    os.mkdir(folder.file("state"))
    os.chmod(folder.file("state"), 0o777)
    config = "upstream back { zone back 64k; state @dir@/state/back; }"
    server = weir(CONFIG, http=config)
    assert server.get("/").status == 502
    assert post(server, server=str(one), weight=2, route="a").status == 201
    assert post(server, server=str(two), backup=True).status == 201
    text = server.read("state/back")
    assert f"server {one} weight=2 route=a;\n" in text and f"server {two} backup;\n" in text
    assert seen(server) == {"0"}
    server.reload()
    assert seen(server) == {"0"}
    assert len(server.get(SERVERS).json) == 2
    server.stop()
    server = weir(CONFIG, http=config)
    assert seen(server) == {"0"}
    shown = server.get(SERVERS).json
    assert [(one["weight"], one["backup"]) for one in shown] == [(2, False), (1, True)]
    assert server.request(f"{SERVERS}/{shown[0]['id']}", "DELETE").status == 200
    assert seen(server) == {"1"}
    server.stop()


@pytest.fixture
def stalling(weir, folder):
    """A group with a state file, whose keeper does all of the next change but write that, until `stall` is removed or read."""
    os.mkdir(folder.file("state"))
    os.chmod(folder.file("state"), 0o777)
    server = weir(CONFIG, http="upstream back { zone back 64k; state @dir@/state/back; }", alerts=["exited on signal 9", "cannot be written"])
    server.stall = folder.file("state/back.new")

    def stalls():
        os.mkfifo(server.stall)
        os.chmod(server.stall, 0o666)
    server.stalls = stalls
    server.servers = lambda: [one["server"] for one in server.get(SERVERS).json]
    return server


def test_a_change_that_a_killed_keeper_had_begun_is_kept_by_the_next(stalling):
    server = stalling
    assert [post(server, server=f"127.0.0.1:{port}").status for port in (1, 2)] == [201, 201]
    number = server.get(SERVERS).json[0]["id"]
    server.stalls()
    with ThreadPoolExecutor(1) as pool:
        removed = pool.submit(server.request, f"{SERVERS}/{number}", "DELETE")
        wait_until(lambda: server.servers() == ["127.0.0.1:2"], "the change")
        os.unlink(server.stall)
        for pid in set(server.processes()) - set(server.workers()) - {server.master_pid}:
            server.signal(SIGKILL, pid)
        assert removed.result().status == 200
    assert "127.0.0.1:1" not in server.read("state/back")
    assert "server 127.0.0.1:2;" in server.read("state/back")


def test_who_goes_away_takes_nobody_elses_answer_along(stalling):
    server = stalling
    server.stalls()
    os.link(server.stall, server.stall + ".too")

    def asks(port):
        body = b'{"server":"127.0.0.1:%d"}' % port
        connection = server.connect()
        connection.send(b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                        % (SERVERS.encode(), len(body), body))
        return connection
    gone = asks(1)
    wait_until(lambda: server.servers() == ["127.0.0.1:1"], "the change")
    gone.close()
    stays = asks(2)
    assert server.servers() == ["127.0.0.1:1"]
    os.unlink(server.stall)
    os.close(os.open(server.stall + ".too", os.O_RDONLY | os.O_NONBLOCK))
    added = stays.read_response()
    assert (added.status, added.json["server"]) == (201, "127.0.0.1:2")
    assert server.servers() == ["127.0.0.1:1", "127.0.0.1:2"]


def test_a_name_that_is_added_is_looked_up(weir, upstream, dns):
    dns.has("new.test", "127.0.0.1")
    server = weir(CONFIG, http=f"resolver {dns}; " + group("127.0.0.1:1 down"))
    assert post(server, server=f"new.test:{upstream.port}").status == 201
    wait_until(lambda: server.get("/").status == 200, "the address of the new name")
    number = server.get(SERVERS).json[1]["id"]
    assert server.request(f"{SERVERS}/{number}", "DELETE").status == 200
    assert server.get("/").status == 502


def test_what_went_to_a_server_and_came_back_is_counted(weir, new_upstream):
    origin = new_upstream()
    origin.answers(lambda peer: answer("x" * 1000, peer.request.target[1:].replace("-", " ")))
    server = weir(CONFIG, main="worker_processes 3;", http=f"upstream back {{ zone back 64k; server {origin}; }}")
    for status in ["200-Fine"] * 5 + ["204-None", "302-There", "404-No", "404-No", "500-Sick"]:
        assert server.get("/" + status).status == int(status[:3])
    # A worker counts once it has sent the answer: another may be asked before.
    wait_until(lambda: server.get("/api/9/http/upstreams/back").json["peers"][0]["responses"]["total"] == 10, "all to be counted")
    shown = server.get("/api/9/http/upstreams/back").json
    peer, = shown["peers"]
    assert peer["requests"] == 10
    assert peer["responses"] == {
        "1xx": 0, "2xx": 6, "3xx": 1, "4xx": 2, "5xx": 1, "total": 10,
        "codes": {"200": 5, "204": 1, "302": 1, "404": 2, "500": 1}}
    assert peer["sent"] == sum(len(request.raw) for request in origin.requests)
    assert 9000 < peer["received"] < 20000
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", peer["selected"])
    assert peer["header_time"] <= peer["response_time"]
    assert "max_conns" not in peer and "connections" not in peer
    assert (shown["zombies"], peer["downtime"]) == (0, 0)


def test_counts_outlive_workers_and_reloads_until_they_are_reset(weir, new_upstream):
    one, two = named(new_upstream, 2)
    server = weir(CONFIG, main="worker_processes 2;", http=group(one, two), alerts=["exited on signal 9"])
    path = "/api/9/http/upstreams/back"

    def counted():
        return [peer["responses"]["codes"].get("200", 0) for peer in server.get(path).json["peers"]]
    assert [server.get("/").status for _ in range(10)] == [200] * 10
    wait_until(lambda: counted() == [5, 5], "all to be counted")
    server.reload()
    assert [server.get("/").status for _ in range(4)] == [200] * 4
    wait_until(lambda: counted() == [7, 7], "all to be counted")
    server.signal(SIGKILL, server.wait_workers(2)[0])
    server.wait_workers(2)
    assert counted() == [7, 7]
    assert server.request(path, "DELETE").status == 204
    assert counted() == [0, 0]
    assert len(server.get(SERVERS).json) == 2


def test_times_that_a_killed_worker_took_are_forgotten(weir, new_upstream):
    def slow(peer):
        time.sleep(0.05)
        return answer("slow")
    origin = new_upstream()
    origin.answers(slow)
    server = weir(CONFIG, http=group(origin), alerts=["exited on signal 9"])

    def peer():
        return server.get("/api/9/http/upstreams/back").json["peers"][0]
    assert server.get("/").text == "slow"
    assert peer()["header_time"] >= 40 and peer()["response_time"] >= 40
    server.signal(SIGKILL, server.wait_workers(1)[0])
    server.wait_workers(1)
    wait_until(lambda: peer()["response_time"] == 0, "the times to be forgotten")
    assert (peer()["header_time"], peer()["requests"]) == (0, 1)


def test_time_that_a_server_is_down_is_told(weir, new_upstream):
    one, two = named(new_upstream, 2)
    two.stop()
    server = weir(CONFIG, http=group(one, f"{two} fail_timeout=1h"))
    assert seen(server) == {"0"}
    path = "/api/9/http/upstreams/back"

    def peer():
        return server.get(path).json["peers"][1]
    assert (peer()["state"], peer()["fails"], peer()["unavail"]) == ("unavail", 1, 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", peer()["downstart"])
    wait_until(lambda: peer()["downtime"] > 20, "it to be down for some time")
    assert "last_passed" not in peer()["health_checks"]
    patch(server, 1, fail_timeout="0")
    wait_until(lambda: peer()["state"] == "up", "its time to be over")
    assert "downstart" not in peer()
    assert peer()["downtime"] == peer()["downtime"]


def test_checks_are_told(weir, new_upstream):
    one, two = named(new_upstream, 2)
    two.answers(answer("", "500 Sick"))
    server = weir(CONFIG.replace("back; }", "back; health_check interval=20ms; }"), http=group(one, two))
    path = "/api/9/http/upstreams/back"

    def told():
        return [peer["health_checks"] for peer in server.get(path).json["peers"]]
    wait_until(lambda: all(checks["checks"] >= 2 for checks in told()), "some checks")
    assert (told()[0]["last_passed"], told()[0]["fails"]) == (True, 0)
    assert (told()[1]["last_passed"], told()[1]["unhealthy"]) == (False, 1)
    sick = server.get(path).json["peers"][1]
    assert sick["state"] == "unhealthy" and sick["downstart"]


def test_idle_connections_the_queue_and_zombies_are_told(weir, new_upstream):
    one, two = named(new_upstream, 2)
    two.answers(lambda peer: peer.wait_gone())
    server = weir(CONFIG, main="worker_processes 2;", http=f"""upstream back {{ zone back 64k; keepalive 4;
        server {one} max_conns=1; server {two} max_conns=1; queue 1 timeout=100ms; }}""")
    path = "/api/9/http/upstreams/back"
    assert server.get("/").text == "0"
    wait_until(lambda: server.get(path).json["keepalive"] == 1, "the idle connection")
    assert server.get(path).json["queue"] == {"size": 0, "max_size": 1, "overflows": 0}
    with server.connect() as held:
        held.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        two.wait_requests(1)
        assert server.request(f"{SERVERS}/1", "DELETE").status == 200
        assert server.get(path).json["zombies"] == 1
    wait_until(lambda: server.get(path).json["zombies"] == 0, "the last request")


def test_stream_tells_sessions(weir, folder, new_upstream):
    origin = new_upstream()

    def speak(peer):
        peer.send(bytes(peer.read_some()) + b"world")
    origin.speaks(speak)
    server = weir("location /api { api; }", main=f"""stream {{
        upstream lines {{ zone lines 64k; server {origin}; }}
        server {{ listen unix:@dir@/lines; proxy_pass lines; }} }}""")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(folder.file("lines"))
        client.sendall(b"hello")
        assert client.recv(100, socket.MSG_WAITALL) == b"helloworld"
    path = "/api/9/stream/upstreams/lines"
    wait_until(lambda: server.get(path).json["peers"][0]["sent"] and not server.get(path).json["peers"][0]["active"],
               "the session to be counted")
    peer, = server.get(path).json["peers"]
    assert (peer["connections"], peer["sent"], peer["received"], peer["active"]) == (1, 5, 10, 0)
    assert {"connect_time", "first_byte_time", "response_time", "selected"} <= set(peer)
    assert "ssl" not in peer
    assert not {"requests", "responses", "header_time"} & set(peer)


def test_a_servers_route_and_address_may_be_changed(weir, new_upstream):
    one, two, three = named(new_upstream, 3)
    server = weir(CONFIG, main="worker_processes 2;", http=group(f"{one} route=a weight=7", f"{two} route=b",
                                       more="zone back 64k; sticky route $arg_r;"))
    assert [server.get(f"/?r={route}").text for route in "abab"] == ["0", "1", "0", "1"]
    changed = patch(server, 0, route="c")
    assert changed.status == 200 and changed.json["route"] == "c" and changed.json["weight"] == 7
    assert [server.get("/?r=c").text for _ in range(4)] == ["0"] * 4
    patch(server, 1, route="")
    assert server.get(SERVERS).json[1]["route"] == ""

    moved = patch(server, 0, server=str(three))
    assert moved.status == 200
    assert (moved.json["id"], moved.json["server"], moved.json["route"], moved.json["weight"]) == (
        0, str(three), "c", 7)
    assert [server.get("/?r=c").text for _ in range(4)] == ["2"] * 4
    server.reload()
    assert {one["id"]: one["server"] for one in server.get(SERVERS).json} == {0: str(three), 1: str(two)}
    assert patch(server, 0, server=str(two)).status == 409
    assert patch(server, 0, route="d", weight=2).json["route"] == "d"
    assert [server.get("/?r=d").text for _ in range(4)] == ["2"] * 4


def test_a_server_that_comes_back_is_a_new_one(weir, new_upstream):
    one, two = named(new_upstream, 2)
    two.stop()
    server = weir(CONFIG, http=group(one, f"{two} fail_timeout=1h"))
    assert seen(server) == {"0"}
    assert server.get("/api/9/http/upstreams/back").json["peers"][1]["state"] == "unavail"
    assert server.request(f"{SERVERS}/1", "DELETE").status == 200
    new_upstream(port=two.port).answers(answer("new"))
    for _ in range(2):
        added = post(server, server=str(two), fail_timeout="1h")
        assert (added.status, added.json["id"] > 1) == (201, True)
        peer = server.get("/api/9/http/upstreams/back").json["peers"][1]
        assert [peer[of] for of in ("id", "state", "fails", "unavail", "downtime", "requests", "active")] == [
            added.json["id"], "up", 0, 0, 0, 0, 0]
        assert seen(server) == {"0", "new"}
        assert server.request(added.headers["Location"], "DELETE").status == 200


def test_a_server_that_was_added_or_down_starts_slowly(weir, new_upstream):
    one, two = named(new_upstream, 2)
    server = weir(CONFIG, main="worker_processes 2;", http=group(one))

    def share():
        return [server.get("/").text for _ in range(40)].count("1")
    added = post(server, server=str(two), slow_start="1h")
    assert added.status == 201
    assert share() <= 4
    assert patch(server, added.json["id"], slow_start="0").status == 200
    assert share() == 20
    assert patch(server, added.json["id"], slow_start="1h", down=True).status == 200
    assert share() == 0
    assert patch(server, added.json["id"], down=False).status == 200
    assert share() <= 4


def test_the_addresses_of_a_name_are_shown_with_it(weir, dns):
    dns.has("name.test", "127.0.0.1", "127.0.0.2")
    dns.has("_web._tcp.service.test", "SRV 1 7 81 name.test")
    server = weir(CONFIG, http=f"resolver {dns}; " + group(
        "name.test:80 resolve max_conns=4", "service.test service=web resolve backup"))
    wait_until(lambda: len(server.get(SERVERS).json) == 6, "the addresses")
    shown = server.get(SERVERS).json
    assert [one["server"] for one in shown[:2]] == ["name.test:80", "service.test"]
    assert sorted((one["server"], one["parent"], one["host"], one["weight"], one["max_conns"], one.get("service"))
                  for one in shown[2:]) == [
        ("127.0.0.1:80", 0, "name.test", 1, 4, None), ("127.0.0.1:81", 1, "service.test", 7, 0, "web"),
        ("127.0.0.2:80", 0, "name.test", 1, 4, None), ("127.0.0.2:81", 1, "service.test", 7, 0, "web")]
    assert server.get(f"{SERVERS}/{shown[2]['id']}").json == shown[2]
    peers = server.get("/api/9/http/upstreams/back").json["peers"]
    assert {(peer["name"], peer.get("service")) for peer in peers} == {
        ("name.test:80", None), ("service.test", "web")}
    ids = {one["server"]: one["id"] for one in shown}
    for refused, what in ((patch(server, 0, server="127.0.0.1:1"), "Server"),
                          (patch(server, ids["127.0.0.1:80"], server="127.0.0.1:1"), "Server"),
                          (patch(server, ids["127.0.0.1:81"], weight=2), "ServerWeight"),
                          (server.request(f"{SERVERS}/{ids['127.0.0.1:80']}", "DELETE"), "Server")):
        assert (refused.status, refused.json["error"]["code"]) == (400, f"Upstream{what}Immutable")
    assert patch(server, ids["127.0.0.1:81"], server="127.0.0.1:81", weight=7, max_conns=3).json["max_conns"] == 3


def addresses(server):
    """Of names: by address."""
    return {one["server"].split(":")[0]: one for one in server.get(SERVERS).json if "parent" in one}


def test_an_address_of_a_name_is_changed_by_itself(weir, new_upstream, dns):
    first = named(new_upstream, 1)[0]
    new_upstream(host="127.0.0.2", port=first.port).answers(answer("1"))
    dns.has("back.test", "127.0.0.1", "127.0.0.2")
    server = weir(CONFIG, main="worker_processes 2;", http=f"resolver {dns} valid=1s; " + group(
        f"back.test:{first.port} resolve", more="zone back 64k; sticky route $arg_r;"))
    wait_until(lambda: len(addresses(server)) == 2, "the addresses")
    one, two = (addresses(server)[f"127.0.0.{number}"]["id"] for number in (1, 2))

    assert patch(server, one, weight=3).json["weight"] == 3
    assert [server.get("/").text for _ in range(40)].count("0") == 30
    assert patch(server, one, drain=True, route="a", max_conns=9).json["drain"] is True
    assert seen(server) == {"1"} and server.get("/?r=a").text == "0"
    server.reload()
    dns.wait_asked("back.test", len(dns.asked("back.test")) + 4)
    assert seen(server) == {"1"} and server.get("/?r=a").text == "0"

    # What its name is told counts for all of its addresses, as the last word.
    assert patch(server, 0, drain=False, max_fails=7).status == 200
    changed = addresses(server)["127.0.0.1"]
    assert (changed["weight"], changed["max_conns"], changed["max_fails"], changed["route"], changed.get("drain")) == (
        3, 9, 7, "a", None)
    assert patch(server, two, down=True).json["down"] is True
    assert seen(server) == {"0"}
    assert patch(server, 0, down=False).status == 200
    assert seen(server) == {"0", "1"}

    server.reload(server.config.replace("resolve;", "resolve max_conns=5;"))
    assert {(one["weight"], one["max_conns"], one["route"]) for one in addresses(server).values()} == {(1, 5, "")}


def test_an_address_that_dns_takes_away_comes_back_as_its_server_says(weir, dns):
    dns.has("back.test", "127.0.0.1", "127.0.0.2")
    server = weir(CONFIG, http=f"resolver {dns} valid=1s; " + group("back.test:9 resolve"))
    wait_until(lambda: len(addresses(server)) == 2, "the addresses")
    before = addresses(server)["127.0.0.1"]["id"]
    assert patch(server, before, drain=True, weight=5).status == 200
    dns.has("back.test", "127.0.0.2")
    wait_until(lambda: len(addresses(server)) == 1, "one to go")
    dns.has("back.test", "127.0.0.1", "127.0.0.2")
    wait_until(lambda: len(addresses(server)) == 2, "it to come back")
    back = addresses(server)["127.0.0.1"]
    assert (back["weight"], back.get("drain")) == (1, None)
    assert back["id"] != before


def test_the_weight_of_a_service_s_address_is_that_of_dns_even_if_repeated(weir, dns):
    dns.has("name.test", "127.0.0.1")
    dns.has("_web._tcp.service.test", "SRV 1 7 81 name.test")
    server = weir(CONFIG, http=f"resolver {dns} valid=1s; " + group("service.test service=web resolve"))
    wait_until(lambda: addresses(server), "the address")
    one = addresses(server)["127.0.0.1"]["id"]
    assert patch(server, one, weight=7, max_conns=3).status == 200
    dns.has("_web._tcp.service.test", "SRV 1 9 81 name.test")
    wait_until(lambda: addresses(server)["127.0.0.1"]["weight"] == 9, "the new weight")
    assert patch(server, one, weight=9, max_fails=2).json["max_conns"] == 3


def test_nothing_is_known_of_the_addresses_of_a_name_that_was_taken_away(weir, new_upstream, dns):
    first, other = named(new_upstream, 2)
    dns.has("back.test", "127.0.0.1")
    server = weir(CONFIG, http=f"resolver {dns}; " + group(other, more="zone back 64k;"))

    def add():
        assert post(server, server=f"back.test:{first.port}").status == 201
        wait_until(lambda: addresses(server), "the address")
        return addresses(server)["127.0.0.1"]["id"]

    was = add()
    patch(server, was, down=True)
    assert server.request(f"{SERVERS}/{addresses(server)['127.0.0.1']['parent']}", "DELETE").status == 200
    assert not addresses(server)
    assert add() != was and not addresses(server)["127.0.0.1"]["down"]
    assert seen(server) == {"0", "1"}


def test_addresses_of_an_added_name_are_changed_and_kept_over_a_reload(weir, folder, dns):
    os.mkdir(folder.file("state"))
    os.chmod(folder.file("state"), 0o777)
    dns.has("back.test", "127.0.0.1", "127.0.0.2")
    server = weir(CONFIG, http=f"upstream back {{ zone back 64k; resolver {dns}; state @dir@/state/back; }}")
    added = post(server, server="back.test:9")
    wait_until(lambda: len(addresses(server)) == 2, "the addresses")
    assert patch(server, addresses(server)["127.0.0.2"]["id"], down=True).status == 200
    assert patch(server, added.json["id"], weight=4).status == 200      # and with it, the line in the file
    for _ in range(2):
        assert [(one["down"], one["weight"]) for _, one in sorted(addresses(server).items())] == [
            (False, 4), (True, 4)]
        server.reload()


def test_fields_that_are_asked_for_are_shown(weir):
    server = weir(CONFIG, http=group("127.0.0.1:9") + "upstream other { server 127.0.0.1:9; }")
    path = "/api/9/http/upstreams"
    assert server.get(f"{path}?fields=").json == ["back", "other"]
    assert server.get(f"{path}?fields=zone").json == {"back": {"zone": "back"}, "other": {"zone": ""}}
    assert list(server.get(f"{path}/back?fields=zombies,peers").json) == ["peers", "zombies"]
    assert server.get("/api/9/stream/upstreams?fields=").json == []


VERIFY = "proxy_ssl_verify on; proxy_ssl_trusted_certificate @certs@/%s.crt; proxy_ssl_name %s; "


def test_handshakes_with_servers_are_counted(weir, new_upstream, certs):
    def origin(name="origin", client_ca=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = ssl.TLSVersion.TLSv1_2       # its tickets come with the handshake
        context.load_cert_chain(*certs.pair(name))
        if client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(certs.path(client_ca))
        return new_upstream(tls=context).answers(answer(headers={"Connection": "close"}))
    silent = new_upstream()
    silent.speaks(lambda peer: peer.wait_gone())
    cases = {
        "well": (origin(), VERIFY % ("ca", "origin.test"), {}),
        "expired": (origin("expired"), VERIFY % ("ca", "localhost"), {"expired_cert": 2}),
        "named": (origin(), VERIFY % ("ca", "other.test"), {"hostname_mismatch": 2}),
        "strange": (origin(), VERIFY % ("other-ca", "origin.test"), {"other": 2}),
        "newer": (origin(), "proxy_ssl_protocols TLSv1.3;", {"no_common_protocol": 2}),
        "shy": (origin(client_ca="ca.crt"), "proxy_ssl_certificate @certs@/client-other.crt; "
                "proxy_ssl_certificate_key @certs@/client-other.key;", {"peer_rejected_cert": 2}),
        "silent": (silent, "proxy_connect_timeout 100ms;", {"handshake_timeout": 2}),
    }
    server = weir("location /api { api; }" + "".join(
        f"location /{name} {{ proxy_pass https://{name}; {more} }}" for name, (_, more, _) in cases.items()),
        http="".join(f"upstream {name} {{ server {made}; }}" for name, (made, _, _) in cases.items()))
    for name, (_, _, failed) in cases.items():
        for _ in range(2):
            assert (server.get(f"/{name}").status == 200) == (not failed), name
        shown = server.get(f"/api/9/http/upstreams/{name}").json["peers"][0]["ssl"]
        told = {**shown, **shown["verify_failures"]}
        del told["verify_failures"]
        wanted = {"handshakes": 2, "session_reuses": 1} if not failed else {"handshakes_failed": 2, **failed}
        assert {key: count for key, count in told.items() if count} == wanted, name


def test_a_zone_that_is_full_says_so(weir):
    server = weir(CONFIG, http=group("127.0.0.1:9", more="zone back 32k;"))
    for port in range(1, 200):
        answered = post(server, server=f"127.0.0.2:{port}")
        if answered.status != 201:
            break
    assert (answered.status, answered.json["error"]["code"]) == (400, "UpstreamOutOfMemory")
    assert answered.json["error"]["text"] == 'upstream "back" memory exhausted'
    assert len(server.get(SERVERS).json) == port


@pytest.mark.parametrize("method, path, body, status, code", [
    ("POST", SERVERS, '{"weight":1}', 400, "UpstreamConfFormatError"),
    ("POST", SERVERS, '{"server":"127.0.0.1:1","weight":0}', 400, "UpstreamBadWeight"),
    ("POST", SERVERS, '{"server":"127.0.0.1:1","weight":-1}', 400, "UpstreamBadWeight"),
    ("POST", SERVERS, '{"server":"127.0.0.1:1","weight":1.5}', 400, "UpstreamBadWeight"),
    ("POST", SERVERS, '{"server":"127.0.0.1:1","weight":null}', 400, "UpstreamBadWeight"),
    ("POST", SERVERS, '{"server":"127.0.0.1:1","weight":[1]}', 400, "UpstreamConfFormatError"),
    ("POST", SERVERS, '{"server":{"a":[1]}}', 400, "UpstreamConfFormatError"),
    ("POST", SERVERS, '{"server":"127.0.0.1:1","weight":-}', 415, "JsonError"),
    ("POST", SERVERS, '{"server":"127.0.0.1:1","max_conns":"-1"}', 400, "UpstreamBadMaxConns"),
    ("POST", SERVERS, '{"server":"127.0.0.1:1","max_fails":"x"}', 400, "UpstreamBadMaxFails"),
    ("POST", SERVERS, '{"server":"127.0.0.1:1","fail_timeout":"1x"}', 400, "UpstreamBadFailTimeout"),
    ("POST", SERVERS, '{"server":"127.0.0.1:1","slow_start":true}', 400, "UpstreamBadSlowStart"),
    ("POST", SERVERS, '{"server":"127.0.0.1:1","route":"%s"}' % ("x" * 33), 400, "UpstreamBadRoute"),
    ("POST", SERVERS, '{"server":"127.0.0.1:1","route":"a;b"}', 400, "UpstreamBadRoute"),
    ("POST", SERVERS, '{"server":"a.test","service":""}', 400, "UpstreamBadService"),
    ("POST", SERVERS, '{"server":"127.0.0.1:1","color":"red"}', 400, "UpstreamConfFormatError"),
    ("POST", SERVERS, '{"server":"127.0.0.1:1","down":1}', 400, "UpstreamConfFormatError"),
    ("POST", SERVERS, '{"server":"a b"}', 400, "UpstreamBadAddress"),
    ("POST", SERVERS, '{"server":"a;b"}', 400, "UpstreamBadAddress"),
    ("POST", SERVERS, '{"server":"x:y:z"}', 400, "UpstreamBadAddress"),
    ("POST", SERVERS, '{"server":"127.0.0.1:1","service":"http"}', 400, "UpstreamBadAddress"),
    ("POST", SERVERS, '{"server":"127.0.0.1:9"}', 409, "EntryExists"),
    ("POST", SERVERS, '["server"]', 415, "JsonError"),
    ("POST", SERVERS, "", 415, "JsonError"),
    ("PATCH", SERVERS + "/0", '{"server":"name.test:1"}', 400, "UpstreamBadAddress"),
    ("PATCH", SERVERS + "/0", '{"backup":true}', 400, "UpstreamConfFormatError"),
    ("PATCH", SERVERS + "/0", '{"service":"x"}', 400, "UpstreamConfFormatError"),
    ("PATCH", SERVERS + "/0", '{"id":7}', 400, "UpstreamConfFormatError"),
    ("POST", SERVERS.replace("back", "hashed"), '{"server":"127.0.0.1:1","backup":true}', 400,
     "UpstreamNoBackup"),
    ("PATCH", SERVERS + "/77", '{"weight":2}', 404, "UpstreamServerNotFound"),
    ("DELETE", SERVERS + "/77", None, 404, "UpstreamServerNotFound"),
    ("DELETE", SERVERS + "/x", None, 400, "UpstreamBadServerId"),
    ("DELETE", SERVERS, None, 405, "MethodDisabled"),
    ("PUT", SERVERS + "/0", None, 405, "MethodDisabled"),
    ("GET", "/api/9/http/upstreams/none", None, 404, "UpstreamNotFound"),
    ("GET", "/api/9/http/caches", None, 404, "PathNotFound"),
    ("GET", SERVERS + "/0/x", None, 404, "PathNotFound"),
    ("GET", "/api/10/http", None, 404, "UnknownVersion"),
])
def test_what_is_wrong_is_told(weir, method, path, body, status, code):
    server = weir(CONFIG.replace("api write=on;", "api write=on; add_header X-Id $request_id always;"),
                  http=group("127.0.0.1:9") + "upstream hashed { hash $uri; server 127.0.0.1:9; }")
    response = server.request(path, method, headers=JSON if body is not None else (),
                              body=body and body.encode())
    assert response.status == status
    told = response.json
    assert told["error"]["code"] == code
    assert told["error"]["status"] == status
    assert told["error"]["text"]
    assert told["request_id"] == response.headers["X-Id"]
    assert told["href"].startswith("https://")


def test_what_is_too_long_for_its_place_is_told(weir):
    server = weir(CONFIG, http=group("127.0.0.1:9"))
    refused = post(server, server=f"{'a' * 60}.{'b' * 60}.test", service=f"_{'c' * 60}._tcp.{'d' * 40}")
    assert (refused.status, refused.json["error"]["code"]) == (400, "UpstreamConfFormatError")


@pytest.mark.parametrize("path, allowed", [
    ("/api/9/http", "GET, HEAD"),
    ("/api/9/stream/upstreams/", "GET, HEAD"),
    ("/api/9/http/upstreams/back", "GET, HEAD, DELETE"),
    (SERVERS, "GET, HEAD, POST"),
    (SERVERS + "/0/", "GET, HEAD, PATCH, DELETE"),
])
def test_a_method_that_a_path_does_not_take_is_told_with_those_it_does(weir, path, allowed):
    server = weir(CONFIG + " location /shown/ { api; }", http=group("127.0.0.1:9"))
    refused = server.request(path, "PUT")
    assert (refused.status, refused.headers["Allow"]) == (405, allowed)
    refused = server.request(path.replace("/api", "/shown"), "DELETE")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")


RESOLVERS = "/api/9/resolvers"


def test_what_resolvers_asked_for_and_heard_is_counted(weir, upstream, dns):
    dns.has("back.test", "127.0.0.1")
    dns.has("_http._tcp.serve.test", f"SRV 1 1 {upstream.port} back.test")
    server = weir(f"""resolver {dns} status_zone=names valid=1h;
                      location /to/ {{ proxy_pass http://$arg_n:{upstream.port};
                          location /to/late {{ resolver_timeout 300ms; proxy_pass http://$arg_n:{upstream.port}; }} }}
                      location /api {{ api write=on; }}""",
                  main="worker_processes 1;", http=f"upstream back {{ zone back 64k; resolver {dns} valid=1h status_zone=services; "
                  "server serve.test service=http resolve; }")

    def counts(zone="names"):
        shown = server.get(f"{RESOLVERS}/{zone}").json
        assert list(shown["requests"]) == ["name", "srv", "addr"]
        return ([*shown["requests"].values()], {name: count for name, count in shown["responses"].items() if count})
    assert [server.get("/to/?n=back.test").status for _ in range(3)] == [200] * 3
    assert counts() == ([1, 0, 0], {"noerror": 1})
    assert server.get("/to/?n=none.test").status == 502
    dns.failing = {"sick.test"}
    assert server.get("/to/?n=sick.test").status == 502
    dns.silent = True
    assert server.get("/to/late?n=late.test").status == 502
    assert counts() == ([4, 0, 0], {"noerror": 1, "nxdomain": 1, "servfail": 1, "timedout": 1})
    assert counts("services") == ([1, 1, 0], {"noerror": 2})

    assert set(server.get(RESOLVERS).json) == {"names", "services"}
    assert set(server.get(f"{RESOLVERS}?fields=").json) == {"names", "services"}
    assert list(server.get(f"{RESOLVERS}/names?fields=requests").json) == ["requests"]
    server.reload()
    assert counts()[0] == [4, 0, 0]
    assert server.request(f"{RESOLVERS}/names", "DELETE").status == 204
    assert counts() == ([0, 0, 0], {})
    refused = server.get(f"{RESOLVERS}/none")
    assert (refused.status, refused.json["error"]["code"]) == (404, "ResolverZoneNotFound")
    assert server.request(RESOLVERS, "DELETE").headers["Allow"] == "GET, HEAD"


def test_it_only_shows_unless_writing_is_on(weir):
    server = weir("location / { return 200 off; } location /api { api; }",
                  http=group("127.0.0.1:9"))
    assert server.get(SERVERS).status == 200
    assert post(server, server="127.0.0.1:8").status == 405
    assert server.request(f"{SERVERS}/0", "DELETE").status == 405
    assert server.get("/elsewhere").text == "off"


@pytest.mark.parametrize("headers, status", [
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, 201),
    ({"Origin": "https://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": "http://localhost"}, 201),
    ({}, 201),
])
def test_pages_of_other_sites_cannot_use_it(weir, headers, status):
    server = weir(CONFIG, http=group("127.0.0.1:9"))
    assert post(server, headers={**JSON, **headers}, server="127.0.0.1:8").status == status


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", None])
def test_a_form_cannot_change_anything(weir, media):
    server = weir(CONFIG, http=group("127.0.0.1:9"))
    headers = {"Content-Type": media} if media else {}
    assert post(server, headers=headers, server="127.0.0.1:8").status == 415
    assert len(server.get(SERVERS).json) == 1


def test_2000_changes_under_load_fail_no_request(weir, new_upstream):
    origins = named(new_upstream, 4)
    server = weir(CONFIG, main="worker_processes 2;",
                  http="keepalive_requests 100000; " + group(origins[0], origins[1]))
    with Traffic(server.connect, threads=2, kept=True) as traffic, server.connect() as api:
        for _ in range(500):
            for change in ((origins[2], 0), (origins[3], 1)):
                added = api.request(SERVERS, "POST", headers=JSON, body=json.dumps(
                    {"server": str(change[0])}).encode())
                assert added.status == 201, added.text
                gone = api.request(added.headers["Location"], "DELETE")
                assert gone.status == 200, gone.text
    assert traffic.failures == []
    assert traffic.count > 0
    assert len(server.get(SERVERS).json) == 2


def test_a_worker_of_an_earlier_generation_is_answered_too(weir, new_upstream):
    one, two = named(new_upstream, 2)
    server = weir(CONFIG, main="worker_shutdown_timeout 60s;",
                  http="keepalive_min_timeout 60s; " + group(one, two))
    with server.connect() as api:
        assert api.request(SERVERS).status == 200
        before = server.processes()
        server.reload()
        wait_until(lambda: len(set(before) & set(server.processes())) == 2, "the old keeper to leave")
        changed = api.request(f"{SERVERS}/0", "PATCH", headers=JSON, body=b'{"weight":3}')
        assert (changed.status, changed.json["weight"]) == (200, 3)
    assert server.get(f"{SERVERS}/0").json["weight"] == 3


def test_a_keeper_that_is_killed_is_followed_by_one_that_answers(weir, new_upstream):
    one, two = named(new_upstream, 2)
    server = weir(CONFIG, http=group(one), alerts=["exited on signal 9"])
    keeper = [pid for pid in server.processes() if pid not in server.workers()
              and pid != server.master_pid]
    for pid in keeper:
        server.signal(SIGKILL, pid)
    assert post(server, server=str(two)).status == 201
    assert seen(server) == {"0", "1"}
