"""limit_req: how many requests a client may make in a time."""

import os
import re
from signal import SIGKILL

import pytest

from harness import kernel, request_bytes, wait_until

# One a minute: no test is so slow that a second one would pass by itself.
SLOW = "limit_req_zone $arg_key zone=one:1m rate=1r/m;"


def statuses(server, count, path="/?key=a"):
    connection = server.connect()
    return [connection.request(path).status for _ in range(count)]


def served(limits, more=""):
    return f"location / {{ {limits} try_files /none /ok; }} location = /ok {{ {more} return 200 $limit_req_status; }}"


def test_what_is_above_the_rate_is_refused(weir):
    server = weir(served("limit_req zone=one;"), http=SLOW)
    assert statuses(server, 3) == [200, 503, 503]
    assert server.wait_log(r'\[error\] .*limiting requests, excess: (1\.000|0\.\d\d\d) by zone "one", client: 127')


def test_a_burst_is_let_by_at_once_with_nodelay(weir):
    server = weir(served("limit_req zone=one burst=2 nodelay;"), http=SLOW)
    assert statuses(server, 5) == [200, 200, 200, 503, 503]
    assert server.wait_log(r"limiting requests, excess: (2\.\d\d\d|3\.000)")


def test_each_key_has_its_own_bucket_and_an_empty_one_none(weir):
    server = weir(served("limit_req zone=one;"), http=SLOW)
    assert statuses(server, 2, "/?key=a") == [200, 503]
    assert statuses(server, 2, "/?key=b") == [200, 503]
    assert statuses(server, 3, "/") == [200, 200, 200]


def test_within_the_burst_a_request_waits_its_turn(weir):
    server = weir(served("limit_req zone=one burst=5;"),
                  http="limit_req_zone $arg_key zone=one:1m rate=1r/s; "
                       "log_format t '$request_time $limit_req_status'; access_log @dir@/t.log t;")
    with server.connect() as connection:
        connection.send(request_bytes("/?key=a") * 3)
        assert [connection.read_response().status for _ in range(3)] == [200, 200, 200]
    assert server.wait_log(r'\[warn\] .*delaying request, excess: (0\.\d\d\d|1\.000), by zone "one", client')
    lines = [line.split() for line in server.access_log(3, "t.log")]
    assert [line[1] for line in lines] == ["PASSED", "DELAYED", "DELAYED"]
    # One a second: a thousandth of a request stands for a millisecond.
    excesses = [float(excess) for excess in re.findall(r"delaying request, excess: (\d\.\d\d\d)", server.log())]
    assert len(excesses) == 2
    assert all(float(line[0]) >= excess - 0.002 for line, excess in zip(lines[1:], excesses))


def test_delay_says_how_much_of_the_burst_goes_at_once(weir):
    server = weir(served("limit_req zone=one burst=3 delay=2;"), http=SLOW)
    with server.connect() as connection:
        assert [connection.request("/?key=a").text for _ in range(3)] == ["PASSED"] * 3
        assert "delaying request" not in server.log()
        connection.send(request_bytes("/?key=a"))
        server.wait_log("delaying request")


def test_a_client_that_leaves_while_it_waits_is_forgotten(weir):
    server = weir(served("limit_req zone=one burst=2;"), http=SLOW)
    assert statuses(server, 1) == [200]
    connection = server.connect()
    connection.send(b"GET /?key=a HTTP/1.1\r\nHost: a\r\n\r\n")
    server.wait_log("delaying request")
    connection.close()
    assert " 499 " in server.access_log(2)[1]


def test_of_several_limits_one_that_refuses_leaves_the_others_uncounted(weir):
    server = weir(served("limit_req zone=wide burst=1 nodelay; limit_req zone=narrow;"),
                  http="limit_req_zone $arg_a zone=wide:1m rate=1r/m;"
                       "limit_req_zone $arg_b zone=narrow:1m rate=1r/m;")
    assert statuses(server, 3, "/?a=1&b=1") == [200, 503, 503]
    assert statuses(server, 1, "/?a=1&b=2") == [200]
    assert statuses(server, 1, "/?a=1&b=3") == [503]


def test_a_dry_run_only_tells(weir):
    server = weir(served("limit_req zone=one; limit_req_dry_run on;"), http=SLOW)
    connection = server.connect()
    assert [connection.request("/?key=a").text for _ in range(2)] == ["PASSED", "REJECTED_DRY_RUN"]
    assert server.wait_log(r'limiting requests, dry run, excess: \d\.\d\d\d by zone "one"')


def test_status_and_level_may_be_said(weir):
    server = weir(served("limit_req zone=one burst=1; limit_req_status 429; limit_req_log_level notice;"),
                  http=SLOW)
    with server.connect() as waiting:
        assert statuses(server, 1) == [200]
        waiting.send(b"GET /?key=a HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_log(r"\[info\] .*delaying request")
        assert statuses(server, 1) == [429]
        server.wait_log(r"\[notice\] .*limiting requests")


def test_a_location_has_its_own_limits_or_the_outer(weir):
    server = weir("""limit_req zone=one;
        location /in { try_files /none /ok; }
        location /own { limit_req zone=other; try_files /none /ok; }
        location = /ok { return 200; }""",
                  http=SLOW + "limit_req_zone $arg_key zone=other:1m rate=1r/m;")
    assert statuses(server, 2, "/in?key=a") == [200, 503]
    assert statuses(server, 2, "/own?key=a") == [200, 503]


def test_a_request_counts_once_however_often_it_is_redirected(weir):
    server = weir("""limit_req zone=one burst=1 nodelay; error_page 404 /missing;
        location / { try_files /none =404; } location = /missing { try_files /none /ok; }
        location = /ok { return 200; }""", http=SLOW)
    assert statuses(server, 3) == [404, 404, 503]


def test_the_refusal_is_seen_in_the_log(weir):
    server = weir(served("limit_req zone=one;"),
                  http=SLOW + "log_format s $limit_req_status; access_log @dir@/s.log s;")
    statuses(server, 2)
    assert server.access_log(2, "s.log") == ["PASSED", "REJECTED"]


def test_buckets_outlive_a_reload(weir):
    server = weir(served("limit_req zone=one;"), http=SLOW)
    assert statuses(server, 2) == [200, 503]
    server.reload()
    assert statuses(server, 1) == [503]


def test_buckets_outlive_a_worker_that_is_killed(weir):
    server = weir(served("limit_req zone=one;"), http=SLOW, alerts=["exited on signal 9"])
    assert statuses(server, 2) == [200, 503]
    old = server.wait_workers()
    os.kill(old[0], SIGKILL)
    new = server.wait_new_workers(old)
    wait_until(lambda: kernel.holds_listener(new[0]), "that it listens")
    assert statuses(server, 1) == [503]


@pytest.mark.weir_only("nginx refuses the reload")
def test_another_key_begins_with_empty_buckets(weir):
    server = weir(served("limit_req zone=one;"), http=SLOW)
    assert statuses(server, 2) == [200, 503]
    server.reload(server.config.replace("$arg_key", "x$arg_key"))
    assert statuses(server, 2) == [200, 503]
    server.wait_log('shared memory zone "one" begins empty')


@pytest.mark.parametrize("http, said", [
    ("limit_req_zone $a zone=one:1k rate=1r/s;", 'zone "zone=one:1k" is too small'),
    ("limit_req_zone $a zone=one rate=1r/s;", 'invalid zone size "zone=one"'),
    ("limit_req_zone $a zone=one:1m rate=0r/s;", 'invalid rate "rate=0r/s"'),
    ("limit_req_zone $a rate=1r/s rate=2r/s;", '"limit_req_zone" must have "zone" parameter'),
    ("limit_req_zone $a zone=one:1m rat=1r/s;", 'invalid parameter "rat=1r/s"'),
    ("limit_req_zone $a zone=one:1m rate=1r/s; limit_req_zone $b zone=one:1m rate=1r/s;",
     'limit_req_zone "one" is already bound to key "$a"'),
    ("limit_req zone=none;", 'zero size shared memory zone "none"'),
    ("limit_req burst=5;", '"limit_req" must have "zone" parameter'),
    ("limit_req zone=one burst=0;", 'invalid burst value "burst=0"'),
    ("limit_req zone=one delay=x;", 'invalid delay value "delay=x"'),
    ("limit_req zone=one; limit_req zone=one;", "is duplicate"),
    ("limit_req_status 399;", "value must be"),
])
def test_what_makes_no_sense_is_refused(check, http, said):
    done = check("events {} http { map $uri $a { default 1; } map $uri $b { default 1; } %s"
                 " server { listen 127.0.0.1:@port@; } }" % http)
    assert done.code == 1 and said in done.err


def test_a_zone_may_be_declared_behind_its_use(check):
    assert check("events {} http { limit_req zone=one; limit_req_zone $uri zone=one:1m rate=1r/s;"
                 " server { listen 127.0.0.1:@port@; } }").code == 0
