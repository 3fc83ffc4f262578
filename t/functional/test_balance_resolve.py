"""Upstream servers whose names are looked up while weir runs."""

import re
import threading
import time

import pytest

from harness import wait_until
from harness.upstream import answer

pytestmark = pytest.mark.weir_only("newer than nginx 1.22")

PASS = "location / { proxy_pass http://back; }"


def origins_at_one_port(new_upstream, *hosts):
    """Origins of one port and several addresses, which say their last number."""
    made = [new_upstream(host=hosts[0])]
    for host in hosts[1:]:
        made.append(new_upstream(host=host, port=made[0].port))
    for host, origin in zip(hosts, made):
        origin.answers(answer(host.rpartition(".")[2]))
    return made


def seen(server, count=6):
    return {server.get("/").text for _ in range(count)}


def group(text, dns):
    return f"upstream back {{ resolver {dns} valid=1s; {text} }}"


def test_peers_follow_the_answers_of_dns(weir, new_upstream, dns):
    first = origins_at_one_port(new_upstream, "127.0.0.1", "127.0.0.2", "127.0.0.3")[0]
    dns.has("back.test", "127.0.0.1", "127.0.0.2")
    server = weir(PASS, main="worker_processes 2;",
                  http=group(f"server back.test:{first.port} resolve;", dns))
    wait_until(lambda: seen(server) == {"1", "2"}, "both addresses")
    dns.has("back.test", "127.0.0.2", "127.0.0.3")
    wait_until(lambda: seen(server) == {"2", "3"}, "the new addresses")
    server.wait_log(r"\[notice\] .*back.test has 2 addresses, 1 of them new, and 1 no more")


def test_a_name_that_is_not_there_yet_is_a_warning(weir, upstream, dns):
    server = weir(PASS, http=group(f"server late.test:{upstream.port} resolve;", dns))
    assert "host not found in upstream" in server.stderr() + server.log()
    assert server.get("/").status == 502
    dns.has("late.test", "127.0.0.1")
    wait_until(lambda: server.get("/").status == 200, "the name to be found")


def test_a_name_that_is_gone_takes_its_peers_along_and_a_silent_server_does_not(
        weir, upstream, new_upstream, dns):
    spare = new_upstream().answers(answer("spare"))
    dns.has("back.test", "127.0.0.1")
    server = weir(PASS, http="resolver_timeout 100ms; " + group(
        f"server back.test:{upstream.port} resolve; server {spare} backup;", dns))
    wait_until(lambda: server.get("/").text == "ok", "the address")
    dns.silent = True
    server.wait_log("could not be resolved \\(110")
    assert server.get("/").text == "ok"
    dns.silent = False
    dns.forgets("back.test")
    wait_until(lambda: server.get("/").text == "spare", "the backup")


def test_what_a_service_says_goes(weir, new_upstream, dns):
    one, two, spare = new_upstream(), new_upstream(), new_upstream()
    for name, origin in zip(("one", "two", "spare"), (one, two, spare)):
        origin.answers(answer(name))
    dns.has("here.test", "127.0.0.1")
    dns.has("_http._tcp.back.test", f"SRV 1 30 {one.port} here.test",
            f"SRV 1 10 {two.port} here.test", f"SRV 2 10 {spare.port} here.test")
    server = weir(PASS, http=group("server back.test service=http resolve;", dns))
    wait_until(lambda: server.get("/").status == 200, "the service")
    counts = [server.get("/").text for _ in range(40)]
    assert counts.count("one") == 30 and counts.count("two") == 10
    one.stop()
    two.stop()
    assert server.get("/").text == "spare"


def test_the_resolver_of_http_does_and_a_reload_keeps_the_addresses(weir, new_upstream, dns):
    first = origins_at_one_port(new_upstream, "127.0.0.1", "127.0.0.2")[0]
    dns.has("back.test", "127.0.0.2")
    server = weir(PASS, http=f"resolver {dns}; upstream back {{ zone back 64k; "
                             f"server back.test:{first.port} resolve; }}")
    wait_until(lambda: server.get("/").status == 200, "the address")
    dns.silent = True
    server.reload()
    assert seen(server) == {"2"}


def test_stream_does_the_same_and_the_api_changes_its_groups(weir, new_upstream, dns):
    first, second = origins_at_one_port(new_upstream, "127.0.0.1", "127.0.0.2")
    dns.has("back.test", "127.0.0.1")
    server = weir("location /api { api write=on; }", main=f"""stream {{
        resolver {dns} valid=1s;
        upstream back {{ zone back 64k; server back.test:{first.port} resolve; }}
        server {{ listen 127.0.0.1:@port_stream@; proxy_pass back; }} }}""")

    def answer_of_stream():
        with server.connect("port_stream") as connection:
            return connection.request("/").text
    assert server.get("/api/9/http/upstreams").json == {}
    wait_until(lambda: server.get("/api/9/stream/upstreams/back").json["peers"], "the address")
    assert answer_of_stream() == "1"
    path = "/api/9/stream/upstreams/back/servers"
    json = {"Content-Type": "application/json"}
    added = server.request(path, "POST", headers=json, body=b'{"server":"%s"}' % str(second).encode())
    assert added.status == 201
    assert {answer_of_stream() for _ in range(4)} == {"1", "2"}
    assert server.request(f"{path}/0", "DELETE").status == 200
    wait_until(lambda: {answer_of_stream() for _ in range(4)} == {"2"}, "the name to be gone")


def test_an_answer_that_holds_for_no_time_is_asked_for_again_and_again_but_not_at_once(weir, new_upstream, dns):
    first = origins_at_one_port(new_upstream, "127.0.0.1", "127.0.0.2")[0]
    dns.has("back.test", "127.0.0.1", ttl=0)
    server = weir(PASS, http=f"upstream back {{ resolver {dns}; server back.test:{first.port} resolve; }}")
    wait_until(lambda: seen(server) == {"1"}, "the address")
    began, before = time.monotonic(), len(dns.asked("back.test", "A"))
    dns.has("back.test", "127.0.0.2", ttl=0)
    wait_until(lambda: seen(server) == {"2"}, "the new address")
    assert len(dns.asked("back.test", "A")) - before <= 2 + 2 * (time.monotonic() - began)


def test_addresses_that_there_is_no_room_for_are_told_once(weir, dns):
    dns.has("big.test", *[f"127.1.0.{number + 1}" for number in range(100)])
    server = weir("location / { proxy_pass http://back; } location /api { api; }",
                  http=f"upstream back {{ zone back 32k; resolver {dns} valid=1s; server big.test:9 resolve; }}")
    told = r'zone "back" has no room for (\d+) of the 100 addresses that big.test has in upstream "back"'
    left_out = int(server.wait_log(told)[1])
    dns.wait_asked("big.test", len(dns.asked("big.test")) + 6)
    assert len(re.findall(told, server.log())) == 1
    wait_until(lambda: len(server.get("/api/9/http/upstreams/back").json["peers"]) == 100 - left_out, "the others")
    dns.has("big.test", "127.1.0.1")
    wait_until(lambda: len(server.get("/api/9/http/upstreams/back").json["peers"]) == 1, "one to be left")


def test_an_answer_that_is_cut_short_comes_by_tcp(weir, new_upstream, dns):
    first = origins_at_one_port(new_upstream, "127.0.0.1", "127.0.0.2")[0]
    dns.has("back.test", "127.0.0.1", "127.0.0.2")
    dns.truncates = True
    server = weir(PASS, http=group(f"server back.test:{first.port} resolve;", dns))
    wait_until(lambda: seen(server) == {"1", "2"}, "both addresses")
    assert any(query.by_tcp for query in dns.asked("back.test", "A"))


def test_connections_to_servers_that_remain_are_left_alone(weir, new_upstream, dns):
    origins = origins_at_one_port(new_upstream, "127.0.0.1", "127.0.0.2", "127.0.0.3")
    go_on = threading.Event()

    def long_answer(peer):
        if peer.request.target == "/long":
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nlong")
            go_on.wait(30)
            peer.send(b"last")
        else:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")
    origins[0].answers(long_answer)
    dns.has("back.test", "127.0.0.1", "127.0.0.2")
    server = weir(PASS, http=group(f"server back.test:{origins[0].port} resolve; keepalive 8;", dns))
    wait_until(lambda: seen(server) == {"1", "2"}, "both addresses")
    while not any(request.target == "/long" for request in origins[0].requests):
        connection = server.connect()
        connection.send(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: not connection.is_quiet(0.01), "an answer")
    used = {peer.number for peer in origins[0].open_connections()}
    dns.has("back.test", "127.0.0.1", "127.0.0.3")
    wait_until(lambda: seen(server) == {"1", "3"}, "the new address")
    assert used <= {peer.number for peer in origins[0].open_connections()}
    go_on.set()
    assert connection.read_response().text == "longlast"


def test_a_service_follows_its_priorities_and_weights(weir, new_upstream, dns):
    one, two = new_upstream(), new_upstream()
    one.answers(answer("one"))
    two.answers(answer("two"))
    dns.has("here.test", "127.0.0.1")

    def has(*records):
        dns.has("_http._tcp.back.test", *records, ttl=1)

    def counts():
        texts = [server.get("/").text for _ in range(40)]
        return texts.count("one"), texts.count("two")
    has(f"SRV 1 30 {one.port} here.test", f"SRV 1 10 {two.port} here.test")
    server = weir(PASS, main="worker_processes 2;", http=group("server back.test service=http resolve;", dns))
    wait_until(lambda: server.get("/").status == 200 and counts() == (30, 10), "the service")
    has(f"SRV 1 10 {one.port} here.test", f"SRV 1 30 {two.port} here.test")
    wait_until(lambda: counts() == (10, 30), "the new weights")
    has(f"SRV 2 10 {one.port} here.test", f"SRV 1 30 {two.port} here.test")
    wait_until(lambda: counts() == (0, 40), "the new priorities")
    has(f"SRV 2 10 {one.port} here.test", f"SRV 3 30 {two.port} here.test")
    wait_until(lambda: counts() == (40, 0), "the priorities to be turned round")


def test_an_address_that_is_new_starts_slowly(weir, new_upstream, dns):
    first = origins_at_one_port(new_upstream, "127.0.0.1", "127.0.0.2")[0]
    dns.has("back.test", "127.0.0.1")
    server = weir(PASS, http=group(f"zone back 64k; server back.test:{first.port} resolve slow_start=1h;", dns))

    def shares():
        texts = [server.get("/").text for _ in range(40)]
        return texts.count("1"), texts.count("2")
    wait_until(lambda: seen(server) == {"1"}, "the first address")
    server.reload()
    dns.has("back.test", "127.0.0.1", "127.0.0.2")
    server.wait_log("back.test has 2 addresses, 1 of them new")
    assert shares()[1] <= 4
    dns.has("back.test", "127.0.0.2")
    wait_until(lambda: seen(server) == {"2"}, "the first one to go")
    dns.has("back.test", "127.0.0.1", "127.0.0.2")
    wait_until(lambda: 10 < shares()[1] < 30, "it to come back as new as the other")


def test_two_targets_with_one_address_are_one_server(weir, new_upstream, dns):
    one = new_upstream()
    dns.has("a.test", "127.0.0.1")
    dns.has("b.test", "127.0.0.1")
    dns.has("_http._tcp.back.test", f"SRV 1 30 {one.port} a.test", f"SRV 1 10 {one.port} b.test", ttl=1)
    server = weir(PASS + " location /api { api; }", http=group("server back.test service=http resolve;", dns))
    wait_until(lambda: server.get("/").status == 200, "the service")
    dns.wait_asked("_http._tcp.back.test", len(dns.asked("_http._tcp.back.test")) + 2)
    assert len(server.get("/api/9/http/upstreams/back").json["peers"]) == 1
    assert len(re.findall(r"has \d+ addresses", server.log())) == 1


def test_addresses_of_a_kind_that_no_server_would_tell_of_stay(weir, dns):
    dns.has("back.test", "127.0.0.1", "127.0.0.2", "::1")
    server = weir("location / { proxy_pass http://back; } location /api { api; }",
                  http=group("zone back 64k; server back.test:9 resolve;", dns))

    def peers():
        return {peer["server"] for peer in server.get("/api/9/http/upstreams/back").json["peers"]}
    wait_until(lambda: peers() == {"127.0.0.1:9", "127.0.0.2:9", "[::1]:9"}, "all addresses")
    dns.failing = {"AAAA"}
    dns.has("back.test", "127.0.0.2", "127.0.0.3")
    wait_until(lambda: peers() == {"127.0.0.2:9", "127.0.0.3:9", "[::1]:9"}, "what is known")
    dns.failing = set()
    wait_until(lambda: peers() == {"127.0.0.2:9", "127.0.0.3:9"}, "the other one to go")


def test_addresses_of_a_kind_that_no_server_would_tell_of_stay_with_their_target(weir, dns):
    dns.has("one.test", "127.0.0.1", "::1")
    dns.has("two.test", "127.0.0.2", "::1")
    dns.has("_http._tcp.back.test", "SRV 1 1 81 one.test", "SRV 1 1 82 two.test")
    server = weir("location / { proxy_pass http://back; } location /api { api; }",
                  http=group("zone back 64k; server back.test service=http resolve;", dns))

    def peers():
        return {peer["server"] for peer in server.get("/api/9/http/upstreams/back").json["peers"]}
    wait_until(lambda: peers() == {"127.0.0.1:81", "[::1]:81", "127.0.0.2:82", "[::1]:82"}, "all addresses")
    dns.failing = {"AAAA"}
    dns.wait_asked("one.test", len(dns.asked("one.test")) + 6)
    dns.has("_http._tcp.back.test", "SRV 1 1 81 one.test")
    wait_until(lambda: peers() == {"127.0.0.1:81", "[::1]:81"}, "the other target to go")
    dns.has("one.test", "127.0.0.1")
    dns.failing = set()
    wait_until(lambda: peers() == {"127.0.0.1:81"}, "the other address to go")


def test_a_target_that_no_server_would_tell_of_keeps_its_servers_while_the_service_names_it(weir, dns):
    dns.has("one.test", "127.0.0.1", "::1")
    dns.has("two.test", "127.0.0.2")
    dns.has("_http._tcp.back.test", "SRV 1 1 81 one.test", "SRV 2 1 82 two.test", "SRV 1 1 83 one.test")
    server = weir("location / { proxy_pass http://back; } location /api { api; }",
                  http=group("zone back 64k; server back.test service=http resolve;", dns))

    def peers():
        peers = server.get("/api/9/http/upstreams/back").json["peers"]
        return {peer["server"]: (peer["id"], peer["backup"]) for peer in peers}
    wait_until(lambda: len(peers()) == 5, "all addresses")
    before = peers()
    dns.failing = {"one.test"}
    dns.wait_asked("one.test", len(dns.asked("one.test")) + 6)
    dns.has("two.test", "127.0.0.3")
    wait_until(lambda: "127.0.0.3:82" in peers(), "what is known")
    after = peers()
    assert after.pop("127.0.0.3:82")[1]
    assert before.pop("127.0.0.2:82")[1]
    assert after == before
    dns.has("_http._tcp.back.test", "SRV 1 1 81 one.test", "SRV 2 1 82 two.test")
    wait_until(lambda: set(peers()) == {"127.0.0.1:81", "[::1]:81", "127.0.0.3:82"}, "those of a port to go")
    dns.forgets("one.test")
    dns.failing = set()
    wait_until(lambda: set(peers()) == {"127.0.0.3:82"}, "those of a name that is no more to go")


def test_a_target_that_is_not_there_yet_is_asked_for_again_before_the_service_is_old(weir, dns):
    dns.has("one.test", "127.0.0.1")
    dns.has("_http._tcp.back.test", "SRV 1 1 81 one.test", "SRV 1 1 82 two.test")
    server = weir("location / { proxy_pass http://back; } location /api { api; }",
                  http=f"upstream back {{ resolver {dns}; zone back 64k; server back.test service=http resolve; }}")

    def peers():
        return {peer["server"] for peer in server.get("/api/9/http/upstreams/back").json["peers"]}
    wait_until(lambda: peers() == {"127.0.0.1:81"}, "what is there")
    dns.has("two.test", "127.0.0.2")
    wait_until(lambda: peers() == {"127.0.0.1:81", "127.0.0.2:82"}, "the other one, before 300 seconds are over")
    assert len(re.findall(r"\[warn\].*two\.test could not be resolved", server.log())) == 1


@pytest.mark.parametrize("family, wanted", [("", {"4", "6"}), ("ipv6=off", {"4"}), ("ipv4=off", {"6"})])
def test_addresses_of_both_kinds_are_servers_unless_one_is_off(weir, new_upstream, dns, family, wanted):
    four = new_upstream().answers(answer("4"))
    try:
        new_upstream(host="::1", port=four.port).answers(answer("6"))
    except OSError:
        pytest.skip("no IPv6 here")
    dns.has("back.test", "127.0.0.1", "::1")
    server = weir(PASS, http=f"upstream back {{ resolver {dns} {family}; server back.test:{four.port} resolve; }}")
    wait_until(lambda: seen(server) == wanted, "the addresses")
