"""grpc_pass: requests over HTTP/2 to an origin, each way as it comes."""

import threading

import pytest

from harness import TIMEOUT, wait_until
from harness.h2 import (CANCEL, DATA, GOAWAY, H2, HEADERS, INITIAL_WINDOW_SIZE, NO_ERROR, PING,
                        REFUSED_STREAM, RST_STREAM, Ended, frame_bytes, post)
from harness.h2_origin import FINE, GRPC, speaks_h2

LISTEN = "listen 127.0.0.1:@port@ http2; "
PASS = LISTEN + "location / { grpc_pass grpc://@upstream@; }"
KEPT = "upstream back { server @upstream@; keepalive 4; }"
CALL = post((":path", "/pkg.Service/Method"), ("te", "trailers"), ("content-type", "application/grpc"))


def echo(call):
    call.respond(b"<" + call.read_body() + b">")


@pytest.fixture
def origin(upstream):
    return speaks_h2(upstream, echo)


# ---- a call

def test_a_call_goes_to_the_origin_as_it_came_and_its_trailers_come_back(weir, origin):
    client = H2(weir(PASS).connect())
    answer = client.request(CALL + [("x-meta-bin", "AAEC"), ("grpc-timeout", "3S")], b"question")
    assert (answer.status, answer.body) == (200, b"<question>")
    assert answer.headers["content-type"] == "application/grpc"
    assert answer.trailers["grpc-status"] == "0"
    call = origin.last
    assert (call.method, call.path, call.authority) == ("POST", "/pkg.Service/Method", str(origin))
    assert call.headers[":scheme"] == "http" and call.headers["te"] == "trailers"
    assert call.headers["x-meta-bin"] == "AAEC" and call.headers["grpc-timeout"] == "3S"


@pytest.mark.parametrize("location, path, expected", [
    ("location /", "/a%20b/%2F?x=%20y", "/a%20b/%2F?x=%20y"),
    ("location /a/", "/a/./b//c", "/a/./b//c"),
    ("rewrite ^/old/(.*) /new/$1 break; location /", "/old/q%20r?z=1", "/new/q%20r?z=1"),
])
def test_the_path_is_the_clients_unless_it_was_rewritten(weir, origin, location, path, expected):
    server = weir(LISTEN + location + " { grpc_pass @upstream@; }")
    assert H2(server.connect()).request(post((":path", path)), b"x").status == 200
    assert origin.last.path == expected


def test_te_is_passed_on_only_as_far_as_it_names_trailers(weir, origin):
    server = weir(PASS)
    client = H2(server.connect())
    client.request(post(), b"")
    assert "te" not in origin.last.headers
    with server.connect() as plain:
        plain.sock.close()


def test_an_answer_of_trailers_alone_ends_with_its_head(weir, origin):
    speaks_h2(origin, lambda call: call.head(GRPC + [("grpc-status", "5"), ("grpc-message", "no such")], end=True))
    client = H2(weir(PASS).connect())
    stream = client.headers(CALL, end=True)
    answer = client.read_response(stream)
    assert answer.headers["grpc-status"] == "5" and answer.headers["grpc-message"] == "no such"
    assert [frame.kind for frame in client.frames if frame.stream == stream] == [HEADERS]


@pytest.mark.weir_only("nginx loses the trailers")
def test_trailers_behind_a_body_of_length_nothing_are_not_lost(weir, origin):
    speaks_h2(origin, lambda call: call.respond(fields=GRPC + [("content-length", "0")]))
    assert H2(weir(PASS).connect()).request(CALL, b"x").trailers["grpc-status"] == "0"


# ---- streams

def test_both_sides_speak_at_once(weir, origin):
    def chat(call):
        call.head()
        for number in range(1, 6):
            call.read(number)
            call.data(b"%d" % number)
        call.read_body()
        call.end()

    speaks_h2(origin, chat)
    client = H2(weir(PASS).connect())
    stream = client.headers(CALL, end=False)
    for number in range(1, 6):
        client.data(stream, b"q")
        assert client.read_until(DATA, stream).payload == b"%d" % number
    client.data(stream, b"", end=True)
    assert client.read_response(stream).trailers["grpc-status"] == "0"


def test_the_origin_is_asked_before_the_client_has_said_anything_and_may_answer_first(weir, origin):
    speaks_h2(origin, lambda call: (call.head(), call.data(b"early")))
    client = H2(weir(PASS).connect())
    stream = client.headers(CALL, end=False)
    assert client.read_until(DATA, stream).payload == b"early"
    assert origin.last.body == b""


def test_an_answer_that_is_over_ends_the_call_though_the_client_would_say_more(weir, origin):
    speaks_h2(origin, lambda call: (call.read(1), call.respond(b"enough")))
    client = H2(weir(PASS).connect())
    stream = client.headers(CALL, end=False)
    client.data(stream, b"1")
    answer = client.read_response(stream)
    assert answer.body == b"enough" and answer.trailers["grpc-status"] == "0"


def test_a_client_that_cancels_cancels_at_the_origin(weir, origin):
    gone = threading.Event()

    def wait(call):
        call.head()
        try:
            call.wait_reset()
        finally:
            gone.set()

    speaks_h2(origin, wait)
    client = H2(weir(PASS).connect())
    stream = client.headers(CALL, end=False)
    client.read_until(HEADERS, stream)
    client.reset(stream)
    assert gone.wait(TIMEOUT)


@pytest.mark.parametrize("size", [1, 70_000, 3_000_000])
def test_bodies_of_any_size_come_through_both_ways(weir, origin, size):
    server = weir(LISTEN + "client_max_body_size 0; location / { grpc_pass grpc://@upstream@; }")
    body = bytes(range(251)) * (size // 251 + 1)
    client = H2(server.connect())
    stream = client.headers(CALL, end=False)
    client.body(stream, body[:size], end=True)
    assert client.read_response(stream).body == b"<" + body[:size] + b">"


@pytest.mark.parametrize("size", [1, 5])
def test_small_messages_may_come_from_an_origin_all_at_once(weir, origin, size):
    """5 bytes are one without content; they may have waited for a slow client."""
    def pour(call):
        call.read_body()
        call.head()
        call.origin.connection.send(frame_bytes(DATA, 0, call.stream, bytes(size)) * 9000)
        call.end()

    speaks_h2(origin, pour)
    answer = H2(weir(PASS).connect()).request(CALL, b"x")
    assert len(answer.body) == 9000 * size and answer.trailers["grpc-status"] == "0"


def test_small_messages_may_come_from_a_client_all_at_once(weir, origin):
    client = H2(weir(PASS).connect())
    stream = client.headers(CALL, end=False)
    client.connection.send(frame_bytes(DATA, 0, stream, bytes(5)) * 9000)
    client.data(stream, b"", end=True)
    assert len(client.read_response(stream).body) == 9000 * 5 + 2


# ---- connections

def test_a_call_goes_on_while_the_configuration_is_loaded_anew(weir, origin):
    def chat(call):
        call.head()
        for number in range(1, 4):
            call.read(number)
            call.data(b"%d" % number)
        call.read_body()
        call.end()

    speaks_h2(origin, chat)
    server = weir(LISTEN + "location / { grpc_pass back; }", http=KEPT)
    client = H2(server.connect())
    stream = client.headers(CALL, end=False)
    for number in range(1, 4):
        client.data(stream, b"q")
        assert client.read_until(DATA, stream).payload == b"%d" % number
        if number == 1:
            server.reload()
    client.data(stream, b"", end=True)
    assert client.read_response(stream).trailers["grpc-status"] == "0"


@pytest.mark.weir_only("nginx loses a race against the frames that end the call before")
def test_a_kept_connection_serves_one_call_after_the_other(weir, origin):
    server = weir(LISTEN + "location / { grpc_pass back; }", http=KEPT)
    for number in range(3):
        assert H2(server.connect()).request(CALL, b"%d" % number).body == b"<%d>" % number
    assert len(origin.connections) == 1 and [call.stream for call in origin.requests] == [1, 3, 5]
    assert origin.last.authority == "back"


@pytest.mark.weir_only("nginx closes the connection")
def test_a_kept_connection_answers_pings_and_is_used_again(weir, origin):
    server = weir(LISTEN + "location / { grpc_pass back; }", http=KEPT)
    answered = threading.Event()

    def ping_later(call):
        echo(call)
        if call.stream == 1:
            call.origin.ping(b"are here")
            call.origin.read_until(PING, flags=1)
            answered.set()

    speaks_h2(origin, ping_later)
    client = H2(server.connect())
    client.request(CALL, b"1")
    assert answered.wait(TIMEOUT)
    assert client.request(CALL, b"2").body == b"<2>"
    assert len(origin.connections) == 1


def goaway(call, last, code=NO_ERROR):
    call.origin.send(GOAWAY, payload=last.to_bytes(4, "big") + code.to_bytes(4, "big"))


def test_a_connection_whose_origin_leaves_finishes_its_call_and_is_not_used_again(weir, origin):
    speaks_h2(origin, lambda call: (goaway(call, call.stream), echo(call)))
    server = weir(LISTEN + "location / { grpc_pass back; }", http=KEPT)
    client = H2(server.connect())
    for number in range(2):
        assert client.request(CALL, b"%d" % number).body == b"<%d>" % number
    assert len(origin.connections) == 2


@pytest.mark.weir_only("nginx says 502")
@pytest.mark.parametrize("leave", [lambda call: goaway(call, call.stream - 2),
                                   lambda call: call.reset(REFUSED_STREAM)], ids=["GOAWAY", "REFUSED_STREAM"])
def test_a_call_that_the_origin_has_not_looked_at_is_made_again(weir, origin, leave):
    """Even a POST, and though some of it was sent: nothing has happened (RFC 9113, 8.7)."""
    speaks_h2(origin, lambda call: leave(call) if call.stream == 3 else echo(call))
    server = weir(LISTEN + "location / { grpc_pass back; }", http=KEPT)
    client = H2(server.connect())
    client.request(CALL, b"1")
    stream = client.headers(CALL, end=False)
    client.data(stream, b"2")
    wait_until(lambda: len(origin.requests) == 3, "the call to be made again")
    client.data(stream, b"3", end=True)
    answer = client.read_response(stream)
    assert answer.body == b"<23>"
    assert len(origin.connections) == 2


@pytest.mark.weir_only("nginx says 502")
def test_a_call_that_one_origin_refuses_goes_to_the_next(weir, new_upstream):
    busy = speaks_h2(new_upstream(), lambda call: call.reset(REFUSED_STREAM))
    free = speaks_h2(new_upstream(), echo)
    server = weir(LISTEN + "location / { grpc_pass back; }",
                  http="upstream back { server @busy@; server @free@ backup; }", busy=busy, free=free)
    assert H2(server.connect()).request(CALL, b"x").body == b"<x>"
    assert len(busy.requests) == 1 and len(free.requests) == 1


# ---- the next server, and who may be asked at all

# What the first server does, and what the client sees where the word for it is not said.
CONDITIONS = {
    "error": (lambda call: call.reset(CANCEL), 502),
    "timeout": (lambda call: call.wait_reset(), 504),
    "invalid_header": (lambda call: call.respond(fields=GRPC + [("Upper", "x")]), 502),
    **{f"http_{status}": (lambda call, status=status: call.respond(fields=[(":status", str(status))]), status)
       for status in (500, 502, 503, 504, 403, 404, 429)},
}


@pytest.fixture
def two(weir, new_upstream):
    """Calls the first of two servers, which behaves so, and has the second one beside."""
    def start(behaviour, said):
        first, second = speaks_h2(new_upstream(), behaviour), speaks_h2(new_upstream(), echo)
        impatient = "grpc_read_timeout 1s;" if behaviour is CONDITIONS["timeout"][0] else ""
        server = weir(LISTEN + said + impatient + "location / { grpc_pass back; }",
                      http="upstream back { server @first@ max_fails=0; server @second@ backup; }", first=first, second=second)
        start.asked = lambda: (len(first.requests), len(second.requests))
        return H2(server.connect()).request(CALL, b"x")
    return start


@pytest.mark.weir_only("nginx sends no call again")
@pytest.mark.parametrize("word", CONDITIONS)
def test_a_call_goes_on_where_that_and_non_idempotent_are_named(two, word):
    assert two(CONDITIONS[word][0], f"grpc_next_upstream {word} non_idempotent;").body == b"<x>"
    assert two.asked() == (1, 1)


@pytest.mark.parametrize("word", CONDITIONS)
@pytest.mark.parametrize("said", ["grpc_next_upstream @word@;", "grpc_next_upstream @others@ non_idempotent;",
                                  "grpc_next_upstream @word@ non_idempotent off;",
                                  "grpc_next_upstream @word@ non_idempotent; grpc_next_upstream_tries 1;"])
def test_it_does_not_otherwise(two, word, said):
    behaviour, status = CONDITIONS[word]
    others = " ".join(CONDITIONS).replace(word, "")
    assert two(behaviour, said.replace("@word@", word).replace("@others@", others)).status == status
    assert two.asked() == (1, 0)


@pytest.mark.weir_only("nginx sends no call again")
@pytest.mark.parametrize("when", ["at once", "before its end"])
def test_the_next_server_gets_the_whole_of_a_call_that_the_first_one_answered(weir, new_upstream, when):
    busy = speaks_h2(new_upstream(), lambda call: (call.read_body() if when == "at once" else call.read(5),
                                                   call.respond(fields=[(":status", "503")])))
    free = speaks_h2(new_upstream(), echo)
    server = weir(LISTEN + "location / { grpc_next_upstream http_503 non_idempotent; grpc_pass back; }",
                  http="upstream back { server @busy@; server @free@ backup; }", busy=busy, free=free)
    client = H2(server.connect())
    stream = client.headers(CALL, end=False)
    client.data(stream, b"first", end=when == "at once")
    wait_until(lambda: len(free.requests) == 1, "the next server to be asked")
    if when != "at once":
        client.data(stream, b" rest", end=True)
    assert client.read_response(stream).body == (b"<first>" if when == "at once" else b"<first rest>")


@pytest.mark.weir_only("nginx sends no call again")
@pytest.mark.parametrize("time, status", [("0", 200), ("100ms", 504)])
def test_it_goes_on_as_long_as_said(two, time, status):
    said = f"grpc_next_upstream timeout non_idempotent; grpc_next_upstream_timeout {time};"
    assert two(CONDITIONS["timeout"][0], said).status == status


@pytest.mark.weir_only("since nginx 1.29.3")
@pytest.mark.parametrize("word, status, asked", [("denied", 200, (0, 1)), ("error", 403, (0, 0))])
def test_a_server_may_be_denied(weir, new_upstream, word, status, asked):
    first, second = speaks_h2(new_upstream(), echo), speaks_h2(new_upstream(), echo)
    server = weir(LISTEN + f"grpc_allow_upstream $may; grpc_next_upstream {word}; location / {{ grpc_pass back; }}",
                  http="""map $upstream_last_addr $may { volatile; default 0; @second@ 1; }
                          upstream back { server @first@; server @second@ backup; }""", first=first, second=second)
    assert H2(server.connect()).request(CALL, b"x").status == status
    assert (len(first.requests), len(second.requests)) == asked


@pytest.mark.weir_only("nginx has it in NGINX Plus")
@pytest.mark.parametrize("dynamic, names", [("off", ["-", "-"]), ("on", ["a.test", "b.test"])])
def test_a_call_may_be_made_anew_for_each_server(weir, new_upstream, dynamic, names):
    first, second = speaks_h2(new_upstream(), CONDITIONS["http_503"][0]), speaks_h2(new_upstream(), echo)
    server = weir(LISTEN + f"""grpc_request_dynamic {dynamic};
                               location / {{ grpc_next_upstream http_503 non_idempotent;
                                             grpc_set_header X-Name $name; grpc_pass back; }}""",
                  http="""map $upstream_last_addr $name { volatile; default -; @first@ a.test; @second@ b.test; }
                          upstream back { server @first@; server @second@ backup; }""", first=first, second=second)
    assert H2(server.connect()).request(CALL, b"x").status == 200
    assert [one.last.headers["x-name"] for one in (first, second)] == names


# ---- failures

def test_an_origin_that_takes_no_connection_is_504(weir, deaf):
    server = weir(LISTEN + "grpc_connect_timeout 200ms; location / { grpc_pass @deaf@; }", deaf=deaf)
    assert H2(server.connect()).request(CALL, b"x").status == 504


@pytest.mark.weir_only("nginx limits no head by it")
@pytest.mark.parametrize("said, status", [("", 200), ("grpc_buffer_size 1k;", 502)])
def test_a_head_over_grpc_buffer_size_is_502(weir, origin, said, status):
    speaks_h2(origin, lambda call: call.respond(fields=GRPC + [("x-large", "a" * 3000)]))
    assert H2(weir(said + PASS).connect()).request(CALL, b"x").status == status


@pytest.mark.parametrize("said, body", [("", b"inside"), ("grpc_ignore_headers X-Accel-Redirect;", b"shown")])
def test_x_accel_redirect_may_be_ignored(weir, origin, said, body):
    speaks_h2(origin, lambda call: call.respond(b"shown", fields=GRPC + [("x-accel-redirect", "/inside")]))
    server = weir(said + PASS + "location /inside { internal; return 200 inside; }")
    assert H2(server.connect()).request([(":method", "GET"), *CALL[1:]]).body == body

def test_an_origin_that_is_down_is_told_in_grpcs_words(weir, deaf, ports):
    server = weir(LISTEN + """
        location / { grpc_pass grpc://127.0.0.1:%d; error_page 502 = /error502grpc; }
        location = /error502grpc { internal; default_type application/grpc;
            add_header grpc-status 14; add_header grpc-message "unavailable"; return 204; }
        """ % ports.take())
    answer = H2(server.connect()).request(CALL, b"x")
    assert answer.status == 204
    assert answer.headers["grpc-status"] == "14" and answer.headers["grpc-message"] == "unavailable"


def test_a_call_that_is_reset_before_its_answer_is_502(weir, origin):
    speaks_h2(origin, lambda call: call.reset(CANCEL))
    server = weir(PASS)
    assert H2(server.connect()).request(CALL, b"x").status == 502
    server.wait_log("re(set|jected)")


def test_an_answer_that_is_reset_is_seen_to_be_so(weir, origin):
    def half(call):
        call.head()
        call.data(b"half")
        call.reset(CANCEL)

    speaks_h2(origin, half)
    client = H2(weir(PASS).connect())
    with pytest.raises(Ended) as ended:
        client.request(CALL, b"x")
    assert ended.value.frame.kind == RST_STREAM


def test_an_origin_that_says_nothing_is_504(weir, origin):
    speaks_h2(origin, lambda call: call.wait_reset())
    server = weir(LISTEN + "location / { grpc_read_timeout 200ms; grpc_pass @upstream@; }")
    assert H2(server.connect()).request(CALL, b"x").status == 504


def test_an_origin_that_opens_no_window_is_504(weir, upstream):
    speaks_h2(upstream, lambda call: call.wait_reset(), window=False)
    server = weir(LISTEN + "location / { grpc_send_timeout 200ms; grpc_pass @upstream@; }")
    client = H2(server.connect())
    stream = client.headers(CALL, end=False)
    client.body(stream, bytes(80_000), end=True)
    assert client.read_response(stream).status == 504


# ---- configuration

@pytest.mark.parametrize("url", ["grpc://@upstream@", "GRPC://@upstream@", "@upstream@", "back", "grpc://back"])
def test_an_origin_is_named_in_many_ways(weir, origin, url):
    server = weir(LISTEN + "location / { grpc_pass " + url + "; }", http="upstream back { server @upstream@; }")
    assert H2(server.connect()).request(CALL, b"x").body == b"<x>"


@pytest.mark.parametrize("url", ["$arg_to", "grpc://$arg_to", "grpc://127.0.0.1:$arg_port"])
def test_an_origin_may_be_named_by_variables(weir, origin, url):
    server = weir(LISTEN + "location / { grpc_pass " + url + "; }")
    path = f"/?to={origin}&port={origin.port}"
    assert H2(server.connect()).request(post((":path", path)), b"x").body == b"<x>"


@pytest.mark.parametrize("url", ["$arg_to", "grpc://$arg_to"])
def test_an_address_of_variables_without_a_port_is_said_in_the_log(weir, origin, url):
    server = weir(LISTEN + "location / { resolver 127.0.0.1:1; grpc_pass " + url + "; }")
    assert H2(server.connect()).request(post((":path", "/?to=back.test")), b"x").status == 500
    server.wait_log('no port in upstream "back.test"')


@pytest.mark.parametrize("url", ["@socket@", "grpc://@socket@"])
def test_an_origin_may_listen_on_a_unix_socket(weir, new_upstream, url):
    origin = speaks_h2(new_upstream(unix=True), echo)
    server = weir(LISTEN + "location / { grpc_pass " + url + "; }", socket=origin)
    assert H2(server.connect()).request(CALL, b"x").body == b"<x>"


@pytest.mark.parametrize("url, message", [
    ("127.0.0.1", "no port in upstream"),
    ("grpc://nowhere.test", "no port in upstream"),
    ("127.0.0.1:1/path", "inval"),
    ("http://127.0.0.1:1", "inval"),
    ("grpc://", ""),
    ("''", ""),
])
def test_an_address_that_is_none_is_refused(check, url, message):
    done = check("events {} http { server { location / { grpc_pass " + url + "; } } }")
    assert done.code != 0 and message in done.err


def test_of_proxy_pass_and_grpc_pass_in_one_location_the_last_counts(weir, origin, new_upstream):
    plain = new_upstream()
    server = weir(LISTEN + """
        location /grpc { proxy_pass http://@plain@; grpc_pass @upstream@; }
        location /http { grpc_pass @upstream@; proxy_pass http://@plain@; }
        location /if { proxy_pass http://@plain@; if ($arg_grpc) { grpc_pass @upstream@; } }
        """, plain=plain)
    client = H2(server.connect())
    assert client.request(post((":path", "/grpc")), b"x").body == b"<x>"
    assert client.request(post((":path", "/http")), b"x").body == b"ok"
    assert client.request(post((":path", "/if")), b"x").body == b"ok"
    assert client.request(post((":path", "/if?grpc=1")), b"x").body == b"<x>"


def test_fields_are_set_hidden_and_passed_as_the_settings_say(weir, origin):
    speaks_h2(origin, lambda call: call.respond(
        call.read_body(), fields=GRPC + [("server", "origin"), ("x-secret", "1"), ("x-open", "2")]))
    server = weir(LISTEN + """
        grpc_set_header X-Outer outer;
        location / { grpc_pass @upstream@; }
        location /set {
            grpc_set_header X-Path $uri;
            grpc_set_header User-Agent "";
            grpc_hide_header X-Secret;
            grpc_pass_header Server;
            grpc_pass @upstream@;
        }""")
    client = H2(server.connect())
    client.request(CALL + [("user-agent", "a")], b"x")
    assert origin.last.headers["x-outer"] == "outer" and origin.last.headers["user-agent"] == "a"
    answer = client.request(post((":path", "/set"), ("user-agent", "a")), b"x")
    assert origin.last.headers["x-path"] == "/set"
    assert "user-agent" not in origin.last.headers and "x-outer" not in origin.last.headers
    assert answer.headers["server"] == "origin" and answer.headers["x-open"] == "2"
    assert "x-secret" not in answer.headers


@pytest.mark.parametrize("value, sent", [("trailers", "trailers"), ('""', None), ("$http_x_none", None)])
def test_te_may_be_set_and_left_out(weir, origin, value, sent):
    server = weir(LISTEN + f"location / {{ grpc_set_header TE {value}; grpc_pass @upstream@; }}")
    client = H2(server.connect())
    for call in CALL, post():
        client.request(call, b"x")
        assert origin.last.headers.get("te") == sent


@pytest.mark.weir_only("HTTP/2 has no place for these (RFC 9113, 8.2.2)")
@pytest.mark.parametrize("field", ["Connection close", "Upgrade x", "Keep-Alive 5", "TE gzip", "Transfer-Encoding chunked"])
def test_what_is_a_connections_is_not_set(weir, origin, field):
    server = weir(LISTEN + f"location / {{ grpc_set_header {field}; grpc_pass @upstream@; }}")
    assert H2(server.connect()).request(post(), b"x").body == b"<x>"
    assert field.split()[0].lower() not in origin.last.headers


@pytest.mark.parametrize("settings, sent", [("", "1"), ('grpc_set_header Content-Length "";', None)])
def test_a_length_may_be_left_out(weir, origin, settings, sent):
    server = weir(LISTEN + f"location / {{ {settings} grpc_pass @upstream@; }}")
    assert H2(server.connect()).request(CALL + [("content-length", "1")], b"x").body == b"<x>"
    assert origin.last.headers.get("content-length") == sent


@pytest.mark.weir_only("nginx sends Host as it was set, and no :authority")
def test_a_host_that_is_set_is_the_authority(weir, origin):
    server = weir(LISTEN + "location / { grpc_set_header Host $host; grpc_pass @upstream@; }")
    H2(server.connect()).request(CALL, b"x")
    assert origin.last.authority == "localhost" and "host" not in origin.last.headers


def test_variables_tell_of_the_origin_and_its_trailers(weir, origin):
    server = weir(LISTEN + "location / { grpc_pass @upstream@; access_log @dir@/t.log t; }",
                  http="log_format t '$upstream_addr $upstream_status $upstream_http_content_type "
                       "$upstream_trailer_grpc_status';")
    H2(server.connect()).request(CALL, b"x")
    assert server.access_log(1, "t.log")[-1].startswith(f"{origin} 200 application/grpc")
