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


@pytest.mark.parametrize("fails", ["its checks", "requests"])
def test_who_rises_gets_its_share_little_by_little(weir, new_upstream, fails):
    one, two = new_upstream().answers(answer("one")), new_upstream().answers(answer("two"))
    server = weir(location() if fails == "its checks" else "location / { proxy_pass http://back; }",
                  http=f"upstream back {{ server {one} slow_start=1h fail_timeout=1s; server {two}; }}")

    def shares():
        texts = [server.get("/").text for _ in range(40)]
        return texts.count("one"), texts.count("two")
    assert shares() == (20, 20)
    one.answers(sick if fails == "its checks" else lambda peer: peer.reset())
    wait_until(lambda: shares() == (0, 40), "it to fall")
    one.answers(answer("one"))
    wait_until(lambda: 0 < shares()[0] < 4, "it to rise")
    assert shares()[0] < 4


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


def test_a_reload_that_fails_changes_nothing_of_what_is_known(weir, upstream):
    upstream.answers(answer("ok"))
    server = weir("location / { proxy_pass http://back; health_check interval=1h mandatory; }",
                  http="upstream back { server @upstream@; }")
    wait_until(lambda: server.get("/").status == 200, "the first check to pass")
    # An address of documentation (RFC 5737): no machine has it.
    server.reload(server.config.replace("location /", "listen 203.0.113.9:@port2@; location /", 1),
                  fails=True)
    assert server.get("/").status == 200
    assert len(checks(upstream)) == 1


def test_the_request_is_as_the_location_says(weir, upstream):
    weir(location("uri=/well?q=1", "proxy_set_header Host my.host;"),
         http="upstream back { server @upstream@; }")
    request = upstream.wait_requests(1)[0]
    assert request.line == "GET /well?q=1 HTTP/1.0"
    assert request.headers["Host"] == "my.host"


def test_jitter_puts_checks_off_by_chance(weir, new_upstream):
    one, other = new_upstream(), new_upstream()
    weir(location() + " location /other { proxy_pass http://other; health_check interval=50ms jitter=20d; }",
         http=f"upstream back {{ server {one}; }} upstream other {{ server {other}; }}")
    one.wait_requests(6)
    assert not other.requests       # in 20 days at the latest


def test_another_port_may_be_asked(weir, new_upstream):
    one, other = new_upstream(), new_upstream()
    one.answers(answer("one"))
    server = weir(location(f"port={other.port}"), http=f"upstream back {{ server {one}; }}")
    other.wait_requests(1)
    assert server.get("/").text == "one"
    assert not checks(one)


STATE = "X-State"


@pytest.mark.parametrize("conditions, good, bad", [
    ("status 200;", [answer()], [answer("", "201 Made")]),
    ("status 200 300-303;", [answer("", "302 There"), answer()],
     [answer("", "404 No"), answer("", "304 Same")]),
    ("status ! 500-599 404;", [answer("", "403 No")], [answer("", "503 No"), answer("", "404 No")]),
    ("status 200-399; status ! 301 302;", [answer()],
     [answer("", "302 There"), answer("", "404 No")]),
    ("header X-State = ready;", [answer(headers={STATE: "ready"}), answer(headers={"x-state": "ready"})],
     [answer(), answer(headers={STATE: "Ready"})]),
    ("header X-State != down;", [answer(headers={STATE: "up"})],
     [answer(headers={STATE: "down"}), answer()]),
    ("header X-State ~ ^re;", [answer(headers={STATE: "ready"})],
     [answer(headers={STATE: "unready"}), answer()]),
    ("header X-State !~ ^un;", [answer(headers={STATE: "ready"})],
     [answer(headers={STATE: "unready"}), answer()]),
    ("header X-State;", [answer(headers={STATE: ""})], [answer()]),
    ("header ! X-State;", [answer()], [answer(headers={STATE: "x"})]),
    ('header X-State = "";', [answer(headers={STATE: ""})], [answer(headers={STATE: "x"})]),
    ('status 200; body ~ "all is (well|good)";', [answer("yes, all is well")], [answer("all is lost")]),
    ("body !~ maintenance;", [answer("ok"), answer("ok", "503 No")], [answer("under maintenance")]),
    ("body ~ end$;", [answer("x" * 200000 + "end")], [answer("x" * 262144 + "end")]),
    ("require $upstream_http_x_state;", [answer(headers={STATE: "1"})],
     [answer(), answer(headers={STATE: "0"}), answer(headers={STATE: ""})]),
    ("require $is_ready $upstream_http_x_more;", [answer(headers={STATE: "ready", "X-More": "y"})],
     [answer(headers={STATE: "ready"}), answer(headers={STATE: "no", "X-More": "y"})]),
    ("status 200; require $upstream_http_x_state;", [answer(headers={STATE: "1"})],
     [answer("", "500 No", headers={STATE: "1"})]),
])
def test_an_answer_is_held_against_the_conditions(weir, upstream, conditions, good, bad):
    upstream.answers(bad[0])
    server = weir(location("match=m"), http=f"""
        map $upstream_http_x_state $is_ready {{ ready 1; }}
        match m {{ {conditions} }} upstream back {{ server @upstream@; }}""")
    for number in range(max(len(good), len(bad))):
        upstream.answers(bad[min(number, len(bad) - 1)])
        wait_until(lambda n=number: server.log().count("is unhealthy") == n + 1, "it to fall")
        upstream.answers(good[min(number, len(good) - 1)])
        wait_until(lambda n=number: server.log().count("is healthy again") == n + 1, "it to rise")


def test_required_variables_are_those_of_the_check(weir, upstream):
    upstream.answers(answer("body", headers={"Set-Cookie": "c=crumb"}))
    seen = "$request|$uri|$args|$host|$status|$upstream_addr|$upstream_status|" \
           "$upstream_response_length|$upstream_cookie_c|$sent_http_set_cookie|$proxy_host"
    wanted = "GET /well?q=1 HTTP/1.0|/well|q=1|my.host|200|@upstream@|200|4|crumb|c=crumb|back"
    server = weir(location("uri=/well?q=1 mandatory match=m", "proxy_set_header Host my.host;"),
                  http=f"""map "{seen}" $is_seen {{ "{wanted}" 1; }}
                  match m {{ require $is_seen; body ~ body; }} upstream back {{ server @upstream@; }}""")
    wait_until(lambda: server.get("/").status == 200, "the first check to pass")


def test_required_variables_that_only_a_client_has_are_empty(weir, upstream):
    names = """remote_addr remote_port binary_remote_addr server_addr server_port connection_requests
        pipe tcpinfo_rtt proxy_protocol_addr proxy_protocol_tlv_ssl ssl_protocol ssl_client_s_dn
        ssl_server_name ssl_session_id https request_body request_body_file request_completion
        request_filename document_root realpath_root remote_user realip_remote_addr http_user_agent
        cookie_a arg_a bytes_sent body_bytes_sent gzip_ratio http2 limit_rate request_id request_time
        proxy_add_x_forwarded_for upstream_trailer_a upstream_queue_time upstream_last_server_name
        limit_conn_status limit_req_status end_reason secure_link secure_link_expires content_length
        time_local connection connection_time request_length server_name hostname nginx_version
        """.split()
    server = weir(location("match=m"), http=f"""
        map "{'|'.join(f'${name}' for name in names)}" $any {{ default 1; }}
        match m {{ require $any $remote_user; }} upstream back {{ server @upstream@; }}""")
    server.wait_log("is unhealthy: a required variable is empty or 0")
    assert upstream.wait_requests(3)


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


def test_only_one_process_asks(weir, new_upstream):
    """Of a server that does not answer each would wait for an answer of its own."""
    one, silent = new_upstream(), new_upstream()
    silent.answers(lambda peer: peer.wait_gone())
    server = weir(location() + " location /silent { proxy_pass http://silent; health_check interval=50ms; }",
                  main="worker_processes 4;", http=f"upstream back {{ server {one}; }} upstream silent {{ server {silent}; }}")
    silent.wait_requests(1)
    one.wait_requests(len(one.requests) + 8)
    assert server.get("/").status == 200
    assert len(checks(silent)) == 1
    assert len({request.connection for request in checks(one)}) >= 8


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
    ("location / { proxy_pass http://back; health_check type=grpc; }", 'takes a location with "grpc_pass"'),
    ("location / { grpc_pass grpc://back; health_check; }", 'takes a location with "proxy_pass"'),
    ("location / { proxy_pass http://back; health_check grpc_status=12; }", 'take "type=grpc"'),
    ("location / { grpc_pass grpc://back; health_check type=grpc uri=/; }", 'takes no "uri"'),
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
    ("require;", 'invalid number of arguments in "require"'),
    ("require x;", 'invalid variable name "x"'),
    ("require $no_such;", 'unknown "no_such" variable'),
    ("status;", 'invalid number of arguments in "status"'),
    ("status 200-;", 'invalid status "200-"'),
    ("status 99;", 'invalid status "99"'),
    ("status 300-200;", 'invalid status "300-200"'),
    ("status 200 ! 404;", 'invalid status "!"'),
    ("header;", 'invalid number of arguments in "header"'),
    ("header !;", 'invalid number of arguments in "header"'),
    ("body x;", 'invalid number of arguments in "body"'),
    ("body ~ (;", "missing"),
    ("status 200; } match m { status 200;", 'duplicate match "m"'),
])
def test_wrong_conditions_are_refused(check, text, why):
    done = check(f"events {{}} http {{ match m {{ {text} }} }}")
    assert done.code == 1 and re.search(re.escape(why), done.err), done
