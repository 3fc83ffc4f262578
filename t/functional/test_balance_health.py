"""Active health checks: who is asked what, and what follows."""

import re

import pytest

from harness import wait_until
from harness.upstream import answer

pytestmark = pytest.mark.weir_only("nginx has it in NGINX Plus")

QUICK = "health_check interval=50ms {};"


def location(check="", more=""):
    return f"location / {{ proxy_pass http://back; {QUICK.format(check)} {more} }}"


def sick(peer):
    """Well to clients, and not to checks."""
    if peer.request.headers.get("User-Agent", "").startswith("weir health check"):
        return answer("no", "500 Sick")
    return answer("ok")


def checks(origin):
    return [request for request in origin.requests
            if request.headers.get("User-Agent", "").startswith("weir health check")]


def test_a_server_that_fails_its_check_gets_no_requests_until_it_passes(weir, new_upstream):
    one, two = new_upstream(), new_upstream()
    one.answers(sick)
    two.answers(answer("two"))
    server = weir(location(), http=f"upstream back {{ server {one}; server {two}; }}")
    server.wait_log(rf"\[warn\] .*upstream server {one} of \"back\" is unhealthy: "
                    "the status is not good")
    wait_until(lambda: {server.get("/").text for _ in range(4)} == {"two"}, "only the healthy one")
    one.answers(answer("one"))
    server.wait_log(rf"\[notice\] .*upstream server {one} of \"back\" is healthy again")
    wait_until(lambda: {server.get("/").text for _ in range(4)} == {"one", "two"}, "both")


def test_it_falls_after_fails_and_rises_after_passes(weir, upstream):
    upstream.answers(answer("", "503 No"), answer("", "503 No"), answer(), answer("", "503 No"),
                     answer("", "503 No"), answer("", "503 No"), answer(), answer(), answer())
    server = weir(location("fails=3 passes=3"), http="upstream back { server @upstream@; }")
    server.wait_log("is healthy again")
    log = server.log()
    before, between = log.split("is unhealthy")[0], log.split("is unhealthy")[1]
    assert before.count("health check of upstream server") == 5
    assert between.split("is healthy again")[0].count("health check of upstream server") == 0
    assert log.count("is unhealthy") == 1


def test_a_mandatory_check_comes_before_the_first_request(weir, upstream):
    gate = []

    def slow(peer):
        wait_until(lambda: gate, "the test to go on")
        return answer("ok")
    upstream.answers(slow)
    server = weir(location("mandatory"), http="upstream back { server @upstream@; }")
    assert server.get("/").status == 502
    gate.append(True)
    wait_until(lambda: server.get("/").status == 200, "the first check to pass")


@pytest.mark.parametrize("check, status", [("mandatory", 502), ("mandatory persistent", 200)])
def test_what_is_known_outlives_a_reload_if_it_is_persistent(weir, upstream, check, status):
    gate = [True]

    def slow(peer):
        if peer.request.headers.get("User-Agent", "").startswith("weir health check"):
            wait_until(lambda: gate, "the test to go on")
        return answer("ok")
    upstream.answers(slow)
    server = weir(location(check), http="upstream back { server @upstream@; }")
    wait_until(lambda: server.get("/").status == 200, "the first check to pass")
    gate.clear()
    server.reload()
    assert server.get("/").status == status
    gate.append(True)
    wait_until(lambda: server.get("/").status == 200, "the first check after the reload")


def test_the_request_is_as_the_location_says(weir, upstream):
    weir(location("uri=/well?q=1", "proxy_set_header Host my.host;"),
         http="upstream back { server @upstream@; }")
    request = upstream.wait_requests(1)[0]
    assert request.line == "GET /well?q=1 HTTP/1.0"
    assert request.headers["Host"] == "my.host"


def test_another_port_may_be_asked(weir, new_upstream):
    one, other = new_upstream(), new_upstream()
    one.answers(answer("one"))
    server = weir(location(f"port={other.port}"), http=f"upstream back {{ server {one}; }}")
    other.wait_requests(1)
    assert server.get("/").text == "one"
    assert not checks(one)


@pytest.mark.parametrize("conditions, good, bad", [
    ("status 200 300-303;", answer("", "302 There"), answer("", "404 No")),
    ("status ! 500-599;", answer("", "404 No"), answer("", "503 No")),
    ("header X-State = ready;", answer(headers={"X-State": "ready"}), answer()),
    ("header X-State ~ ^re;", answer(headers={"X-State": "ready"}),
     answer(headers={"X-State": "unready"})),
    ("header X-State != down;", answer(), answer(headers={"X-State": "down"})),
    ("header X-State;", answer(headers={"X-State": "x"}), answer()),
    ("header ! X-State;", answer(), answer(headers={"X-State": "x"})),
    ('status 200; body ~ "all is (well|good)";', answer("yes, all is well"), answer("all is lost")),
    ("body !~ maintenance;", answer("ok"), answer("under maintenance")),
])
def test_an_answer_is_held_against_the_conditions(weir, upstream, conditions, good, bad):
    upstream.answers(bad)
    server = weir(location("match=m"),
                  http=f"match m {{ {conditions} }} upstream back {{ server @upstream@; }}")
    server.wait_log("is unhealthy")
    upstream.answers(good)
    server.wait_log("is healthy again")


@pytest.mark.parametrize("failure", ["closed", "silent", "no http", "reset"])
def test_whatever_is_no_answer_is_a_failure(weir, new_upstream, failure):
    origin = new_upstream()
    if failure == "closed":
        origin.stop()
    elif failure == "silent":
        origin.answers(lambda peer: peer.wait_gone())
    elif failure == "no http":
        origin.answers(b"220 ready\r\n\r\n")
    else:
        origin.answers(lambda peer: peer.reset())
    server = weir(location("", "proxy_read_timeout 100ms;"),
                  http=f"upstream back {{ server {origin}; }}")
    server.wait_log("is unhealthy")


def test_an_origin_with_tls_is_asked_by_tls(weir, new_upstream, certs):
    origin = new_upstream(tls=certs.pair("origin"))
    origin.answers(sick)
    server = weir(location().replace("http://", "https://"),
                  http=f"upstream back {{ server {origin}; }}")
    server.wait_log("is unhealthy: the status is not good")


def test_only_one_process_asks(weir, upstream):
    server = weir(location(), main="worker_processes 4;",
                  http="upstream back { server @upstream@; }")
    upstream.wait_requests(8)
    assert server.get("/").status == 200
    assert len({peer.number for peer in upstream.connections}) >= 8
    assert len(upstream.open_connections()) <= 2


def test_a_check_may_keep_its_connection(weir, upstream):
    upstream.answers(answer("ok", headers={"Connection": "keep-alive"}))
    server = weir(location("keepalive_time=1h"), http="upstream back { server @upstream@; }")
    upstream.wait_requests(6)
    assert len({request.connection for request in checks(upstream)}) == 1
    assert "is unhealthy" not in server.log()


@pytest.mark.parametrize("goes", ["at the end of each answer", "while it is idle", "with time"])
def test_a_kept_connection_that_goes_is_replaced_and_is_no_failure(weir, upstream, goes):
    def ends(peer):
        peer.send(answer("ok", headers={"Connection": "keep-alive"}))
        peer.close()
    kept = {"at the end of each answer": answer("ok", headers={"Connection": "close"}), "while it is idle": ends,
            "with time": answer("ok", headers={"Connection": "keep-alive"})}
    upstream.answers(kept[goes])
    server = weir(location(f"keepalive_time={'100ms' if goes == 'with time' else '1h'}"),
                  http="upstream back { server @upstream@; }")
    wait_until(lambda: len({request.connection for request in checks(upstream)}) >= 4,
               "several connections")
    assert "is unhealthy" not in server.log()


@pytest.mark.parametrize("text, why", [
    ("location / { health_check; }", 'takes a location with "proxy_pass"'),
    ("location / { proxy_pass http://back; health_check match=none; }", 'match "none" not found'),
    ("location / { proxy_pass http://back; health_check type=grpc; }", "is not supported"),
    ("location / { proxy_pass http://back; health_check interval=0; }", '"interval=0"'),
    ("location / { proxy_pass http://back; health_check uri=x; }", '"uri=x"'),
    ("location / { proxy_pass http://back; health_check persistent; }", 'takes "mandatory"'),
])
def test_wrong_settings_are_refused(check, text, why):
    done = check(f"events {{}} http {{ upstream back {{ server 127.0.0.1:1; }} "
                 f"server {{ listen 127.0.0.1:@port@; {text} }} }}")
    assert done.code == 1 and why in done.err, done


@pytest.mark.parametrize("text, why", [
    ("status 2xx;", 'invalid status "2xx"'),
    ("header X = a b;", "invalid number of arguments"),
    ("header X < a;", 'invalid condition "<"'),
    ("body = x;", 'invalid condition "="'),
    ("color red;", 'unknown condition "color"'),
    ("require $x;", '"require" in "match" is not supported'),
])
def test_wrong_conditions_are_refused(check, text, why):
    done = check(f"events {{}} http {{ match m {{ {text} }} }}")
    assert done.code == 1 and re.search(re.escape(why), done.err), done
