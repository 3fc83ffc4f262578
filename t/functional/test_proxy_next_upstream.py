"""proxy_next_upstream: which failures make a request go on to the next server, how often, and for how long."""

import pytest

from harness import request_bytes, wait_until
from harness.upstream import answer, body_of

# What the first server does, by the word that stands for it, and what the client sees of it where the word is not said.
CONDITIONS = {
    "error": (lambda peer: peer.close(), 502),
    "timeout": (lambda peer: peer.wait_gone(), 504),
    "invalid_header": (b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n", 502),
    "http_500": (answer("first", "500 Oops"), 500),
    "http_502": (answer("first", "502 Bad Gateway"), 502),
    "http_503": (answer("first", "503 Busy"), 503),
    "http_504": (answer("first", "504 Late"), 504),
    "http_403": (answer("first", "403 No"), 403),
    "http_404": (answer("first", "404 Nothing"), 404),
    "http_429": (answer("first", "429 Too Many"), 429),
}
ALL = " ".join(CONDITIONS)
GROUP = "upstream back { server @first@ %s; server @second@ backup; }"


@pytest.fixture
def two(weir, new_upstream):
    """Starts the program before two servers, the first of which behaves so."""
    def start(behaviour, settings="", parameters="max_fails=0", **more):
        start.first = new_upstream().answers(behaviour)
        start.second = new_upstream().answers(answer("second"))
        impatient = "proxy_read_timeout 1s;" if behaviour is CONDITIONS["timeout"][0] else ""
        return weir(f"location / {{ proxy_pass http://back; {settings} {impatient} }}",
                    http=GROUP % parameters + more.pop("http", ""), first=start.first, second=start.second, **more)
    return start


def asked(two):
    return len(two.first.requests), len(two.second.requests)


# Which

@pytest.mark.parametrize("word", CONDITIONS)
def test_a_request_goes_on_where_the_condition_is_named(two, word):
    server = two(CONDITIONS[word][0], f"proxy_next_upstream {word};")
    assert server.get("/").text == "second"
    assert asked(two) == (1, 1)


@pytest.mark.parametrize("word", CONDITIONS)
def test_it_does_not_where_all_others_are_named(two, word):
    behaviour, status = CONDITIONS[word]
    server = two(behaviour, f"proxy_next_upstream {ALL.replace(word, '')} non_idempotent;")
    response = server.get("/")
    assert response.status == status
    assert word.startswith("http_") == (response.text == "first")
    assert asked(two) == (1, 0)


@pytest.mark.parametrize("word", CONDITIONS)
def test_without_a_word_it_goes_on_at_errors_and_timeouts(two, word):
    behaviour, status = CONDITIONS[word]
    server = two(behaviour)
    assert server.get("/").status == (200 if word in ("error", "timeout") else status)


@pytest.mark.parametrize("word", CONDITIONS)
@pytest.mark.parametrize("beside", ["", ALL])
def test_off_goes_on_never(two, word, beside):
    behaviour, status = CONDITIONS[word]
    server = two(behaviour, f"proxy_next_upstream {beside} off;")
    assert server.get("/").status == status
    assert asked(two) == (1, 0)


@pytest.mark.weir_only("since nginx 1.29.3")
@pytest.mark.parametrize("named, status", [("denied", 200), (ALL, 403), ("off", 403)])
def test_a_server_that_may_not_be_asked_is_denied(two, named, status):
    server = two(answer("first"), f"proxy_allow_upstream 1 $allowed; proxy_next_upstream {named};",
                 http="map $upstream_last_addr $allowed { volatile; default 0; @second@ 1; }")
    assert server.get("/").status == status
    assert asked(two) == (0, 1 if status == 200 else 0)


@pytest.mark.weir_only("since nginx 1.29.3")
@pytest.mark.parametrize("conditions, status", [("1", 200), ("1 yes", 200), ("0", 403), ('""', 403), ("1 $arg_none", 403)])
def test_a_server_is_asked_where_no_string_is_empty_or_0(weir, upstream, conditions, status):
    server = weir(f"""proxy_allow_upstream {conditions}; location / {{ proxy_pass http://@upstream@; }}
                      location /own {{ proxy_pass http://@upstream@; proxy_allow_upstream 1; }}""")
    assert server.get("/").status == status
    assert len(upstream.requests) == (status == 200)
    assert server.get("/own").status == 200


def test_the_last_servers_answer_is_the_answer(two):
    server = two(CONDITIONS["http_503"][0], "proxy_next_upstream http_503 http_404;")
    two.second.answers(answer("none of mine", "404 Nothing"))
    response = server.get("/")
    assert (response.status, response.text) == (404, "none of mine")


# What may be sent twice

@pytest.mark.parametrize("word", ["error", "http_503"])
@pytest.mark.parametrize("method, goes_on", [
    ("GET", True), ("HEAD", True), ("OPTIONS", True), ("PUT", True), ("DELETE", True),
    ("POST", False), ("LOCK", False), ("PATCH", False)])
def test_what_is_not_idempotent_is_sent_once(two, word, method, goes_on):
    behaviour, status = CONDITIONS[word]
    server = two(behaviour, f"proxy_next_upstream {word};")
    assert server.request("/", method).status == (200 if goes_on else status)
    assert asked(two) == (1, int(goes_on))


@pytest.mark.parametrize("word", ["error", "timeout", "http_503"])
@pytest.mark.parametrize("method", ["POST", "LOCK", "PATCH"])
def test_non_idempotent_lets_it_go_on_too(two, word, method):
    server = two(CONDITIONS[word][0], f"proxy_next_upstream {word} non_idempotent;")
    assert server.request("/", method, body=body_of(1000)).text == "second"
    assert two.second.last.body == body_of(1000)


def test_a_body_that_is_sent_as_it_comes_is_sent_once(two):
    server = two(CONDITIONS["http_503"][0], "proxy_next_upstream http_503; proxy_request_buffering off;")
    connection = server.connect()
    connection.send(request_bytes("/", "PUT", headers={"Content-Length": "10"}), b"begun")
    wait_until(lambda: two.first.connections, "the first server to be asked")
    connection.send(b"ended")
    assert connection.read_response().text == "first"
    assert asked(two) == (1, 0)


# What counts as a failure of the server

@pytest.mark.parametrize("named", ["named", "not named"])
@pytest.mark.parametrize("word", CONDITIONS)
def test_a_failure_puts_the_server_aside(two, word, named):
    """Errors, timeouts and invalid headers always; 403 and 404 never; the rest where they are named."""
    others = ALL.replace(word, "")
    server = two(CONDITIONS[word][0], f"proxy_next_upstream {word if named == 'named' else others};",
                 "max_fails=1 fail_timeout=60s")
    for _ in range(2):
        server.get("/")
    is_failure = (word in ("error", "timeout", "invalid_header")
                  or (named == "named" and word not in ("http_403", "http_404")))
    assert len(two.first.requests) == (1 if is_failure else 2)


# How often, and for how long

def down(count):
    return " ".join(f"server 127.0.0.1:@closed{number}@ max_fails=0;" for number in range(count))


@pytest.mark.parametrize("tries, status", [("", 200), ("proxy_next_upstream_tries 0;", 200),
                                           ("proxy_next_upstream_tries 3;", 200),
                                           ("proxy_next_upstream_tries 2;", 502),
                                           ("proxy_next_upstream_tries 1;", 502)])
def test_no_more_servers_are_tried_than_said(weir, upstream, tries, status):
    server = weir(f"{tries} location / {{ proxy_pass http://back; }}",
                  http=f"upstream back {{ {down(2)} server @upstream@ backup; }}")
    assert server.get("/").status == status


@pytest.mark.parametrize("time, status", [("", 200), ("proxy_next_upstream_timeout 0;", 200),
                                          ("proxy_next_upstream_timeout 1m;", 200),
                                          ("proxy_next_upstream_timeout 100ms;", 504)])
def test_no_server_is_tried_when_the_time_is_over(two, time, status):
    server = two(CONDITIONS["timeout"][0], time)
    assert server.get("/").status == status
    assert asked(two) == (1, 1 if status == 200 else 0)


# Where it is said

@pytest.mark.parametrize("level", ["http", "server"])
@pytest.mark.parametrize("said, other", [
    ("proxy_next_upstream off;", "proxy_next_upstream timeout;"),
    ("proxy_next_upstream_tries 1;", "proxy_next_upstream_tries 2;"),
    ("proxy_next_upstream_timeout 100ms;", "proxy_next_upstream_timeout 1m;")])
def test_a_location_takes_the_word_around_it_unless_it_has_its_own(weir, new_upstream, said, other, level):
    server = weir(f"""{said if level == "server" else ""} proxy_read_timeout 1s;
                      location / {{ proxy_pass http://back; }}
                      location /own {{ proxy_pass http://back; {other} location /own/within {{ proxy_pass http://back; }} }}""",
                  http=GROUP % "max_fails=0" + (said if level == "http" else other),
                  first=new_upstream().answers(CONDITIONS["timeout"][0]), second=new_upstream())
    assert [server.get(path).status for path in ("/", "/own", "/own/within")] == [504, 200, 200]


def test_who_takes_over_takes_nobodys_turn(weir, new_upstream):
    """Of two servers the one that fails is the first for every other request, and not for each."""
    first, second = (new_upstream().answers(answer(status=status)) for status in ("500 Oops", "200 OK"))
    server = weir("location / { proxy_pass http://back; proxy_next_upstream http_500; }",
                  http="upstream back { server @first@ max_fails=0; server @second@ max_fails=0; }",
                  first=first, second=second)
    assert all(server.get().status == 200 for _ in range(10))
    assert (len(first.requests), len(second.requests)) == (5, 10)


def test_a_server_that_is_down_is_no_next_one(weir):
    server = weir("location / { proxy_pass http://back; add_header X-Asked $upstream_addr always; }",
                  http="upstream back { server 127.0.0.1:@closed@ max_fails=0; server 127.0.0.1:1 down; }")
    for _ in range(3):
        response = server.get()
        assert response.status == 502 and response.headers["X-Asked"] == server.folder.fill("127.0.0.1:@closed@")
    assert "no live upstreams" not in server.log()
