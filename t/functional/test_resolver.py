"""Names known at request time: the resolver of `resolver`, and proxy_pass with variables."""

import threading

import pytest

from harness import request_bytes, wait_until
from harness.dns import SERVER_FAILURE
from harness.upstream import answer

# The port is the origin's; the name is whatever the argument "to" says.
PROXY = """
    resolver @dns@ @more@;
    resolver_timeout 30s;
    location / { proxy_pass http://$arg_to:@origin_port@; @inside@ }
"""


@pytest.fixture
def start(weir, upstream, dns):
    def run(more="", inside="", text=PROXY, **options):
        return weir(text, dns=dns, more=more, inside=inside, origin_port=upstream.port, **options)
    return run


def test_passes_to_the_address_of_the_name(start, upstream, dns):
    dns.has("back.test", "127.0.0.1")
    server = start()
    assert server.get("/path?to=back.test").status == 200
    assert upstream.last.headers["Host"] == f"back.test:{upstream.port}"
    assert upstream.last.target == "/path?to=back.test"


def test_a_body_goes_along(start, upstream, dns):
    dns.has("back.test", "127.0.0.1")
    upstream.answers(lambda peer: answer(peer.request.body))
    response = start().request("/?to=back.test", "POST", body=b"x" * 100_000)
    assert response.body == b"x" * 100_000


def test_a_name_that_is_not_there_is_502(start, dns):
    server = start()
    assert server.get("/?to=nowhere.test").status == 502
    server.wait_log(r"\[error\] .*nowhere\.test could not be resolved \(3: Host not found\)"
                    r", client: 127\.0\.0\.1, server: .*, request: \"GET /\?to=nowhere\.test HTTP")


def test_a_server_that_fails_is_502(start, dns):
    dns.code = SERVER_FAILURE
    server = start()
    assert server.get("/?to=back.test").status == 502
    server.wait_log(r"back\.test could not be resolved \(2: Server failure\)")


def test_silence_is_502_after_resolver_timeout(start, dns):
    dns.silent = True
    server = start(inside="resolver_timeout 1s;")
    assert server.get("/?to=back.test").status == 502
    server.wait_log(r"back\.test could not be resolved \(110: Operation timed out\)")


def test_without_a_resolver_a_name_is_502(weir):
    server = weir("location / { proxy_pass http://$arg_to; }")
    assert server.get("/?to=back.test").status == 502
    server.wait_log("no resolver defined to resolve back.test")


def test_all_addresses_are_tried(start, upstream, dns):
    """Nobody listens on the other two: each request finds the one that answers."""
    dns.has("back.test", "127.0.0.2", "127.0.0.1", "127.0.0.3")
    server = start()
    for _ in range(12):
        assert server.get("/?to=back.test").status == 200
    wait_until(lambda: "connect() failed (111: Connection refused)" in server.log(), "a refusal")


def test_requests_begin_with_one_address_or_another(weir, new_upstream, dns):
    upstream = new_upstream(host="0.0.0.0").answers(answer("x"))
    dns.has("back.test", "127.0.0.2", "127.0.0.3")
    server = weir("""resolver @dns@; access_log @dir@/to.log to;
                     location / { proxy_pass http://$arg_to:@origin_port@; }""",
                  http="log_format to $upstream_addr;", dns=dns, origin_port=upstream.port)
    for _ in range(40):
        assert server.get("/?to=back.test").status == 200
    used = set(server.access_log(40, "to.log"))
    assert used == {f"127.0.0.2:{upstream.port}", f"127.0.0.3:{upstream.port}"}


@pytest.mark.weir_only("nginx has no stream module built in")
def test_sessions_begin_with_one_address_or_another(weir, new_upstream, dns):
    origin = new_upstream(host="0.0.0.0")
    origin.speaks(lambda peer: peer.send(peer.sock.getsockname()[0].encode()))
    dns.has("back.test", "127.0.0.2", "127.0.0.3")
    server = weir(None, main=f"""stream {{ resolver {dns}; server {{ listen 127.0.0.1:@port@;
        set $to back.test:{origin.port}; proxy_pass $to; }} }}""")
    used = {server.connect().read_exactly(9) for _ in range(40)}
    assert used == {b"127.0.0.2", b"127.0.0.3"}


def test_an_answer_is_remembered_as_long_as_it_says(start, upstream, dns):
    dns.has("back.test", "127.0.0.1", ttl=3600)
    server = start()
    for _ in range(5):
        assert server.get("/?to=back.test").status == 200
    assert len(dns.asked("back.test", "A")) == 1


def test_valid_overrides_that(start, upstream, dns):
    dns.has("back.test", "127.0.0.1", ttl=3600)
    server = start("valid=1s")
    assert server.get("/?to=back.test").status == 200
    wait_until(lambda: server.get("/?to=back.test").status == 200
               and len(dns.asked("back.test", "A")) >= 2, "a second query")


def test_follows_changes(start, upstream, dns):
    dns.has("back.test", "127.0.0.2", ttl=1)
    server = start()
    assert server.get("/?to=back.test").status == 502
    dns.has("back.test", "127.0.0.1", ttl=1)
    wait_until(lambda: server.get("/?to=back.test").status == 200, "the new address")


def test_follows_aliases(start, upstream, dns):
    dns.has("back.test", "127.0.0.1").has("b.test", "CNAME back.test").has("a.test", "CNAME b.test")
    server = start()
    assert server.get("/?to=a.test").status == 200
    dns.follows = False
    assert server.get("/?to=b.test").status == 200


def test_truncated_answers_come_by_tcp(start, upstream, dns):
    dns.has("back.test", "127.0.0.1")
    dns.truncates = True
    assert start().get("/?to=back.test").status == 200
    assert any(query.by_tcp for query in dns.queries)


@pytest.mark.parametrize("lie", ["wrong_id", "wrong_name"])
def test_answers_that_nobody_asked_for_are_ignored(start, upstream, dns, lie):
    """They say 127.0.0.99, where nobody listens."""
    dns.has("back.test", "127.0.0.1")
    setattr(dns, lie, True)
    assert start("ipv6=off").get("/?to=back.test").status == 200


@pytest.mark.weir_only("nginx writes names as they are")
def test_the_case_of_letters_is_mixed_but_not_insisted_on(start, upstream, dns):
    dns.has("abcdefghijklmnop.test", "127.0.0.1").has("b.test", "127.0.0.1")
    dns.lowers = True
    server = start("ipv6=off")
    assert server.get("/?to=abcdefghijklmnop.test").status == 200
    assert dns.queries[0].written != dns.queries[0].name
    server.wait_log("the case of letters was changed while resolving abcdefghijklmnop.test")
    assert server.get("/?to=b.test").status == 200


@pytest.mark.weir_only("nginx keeps one socket a server")
def test_each_question_has_its_port_and_id(start, upstream, dns):
    for i in range(8):
        dns.has(f"n{i}.test", "127.0.0.1")
    server = start("ipv6=off")
    for i in range(8):
        assert server.get(f"/?to=n{i}.test").status == 200
    assert len({query.source for query in dns.queries}) > 4
    assert len({query.id for query in dns.queries}) == 8


def test_ipv6_may_be_left_out(start, upstream, dns):
    dns.has("back.test", "127.0.0.1")
    assert start("ipv6=off").get("/?to=back.test").status == 200
    assert not dns.asked("back.test", "AAAA")


@pytest.mark.weir_only("nginx has ipv4= since 1.23.1")
def test_ipv4_may_be_left_out(start, dns):
    dns.has("back.test", "127.0.0.1")
    server = start("ipv4=off")
    assert server.get("/?to=back.test").status == 502
    assert not dns.asked("back.test", "A")
    server.wait_log(r"back\.test could not be resolved \(3: Host not found\)")


def test_the_next_server_is_asked_when_one_is_silent(weir, upstream, new_dns):
    silent, good = new_dns(), new_dns().has("a.test", "127.0.0.1").has("b.test", "127.0.0.1")
    silent.silent = True
    server = weir(PROXY, dns=f"{silent} {good}", more="", inside="", origin_port=upstream.port)
    assert server.get("/?to=a.test").status == 200
    assert server.get("/?to=b.test").status == 200
    assert silent.queries


def test_a_location_may_have_its_own_resolver(weir, upstream, new_dns):
    outer, inner = new_dns(), new_dns().has("back.test", "127.0.0.1")
    server = weir("""resolver @outer@;
                     location / { proxy_pass http://$arg_to:@origin_port@; }
                     location /in/ { resolver @inner@; proxy_pass http://$arg_to:@origin_port@; }""",
                  outer=outer, inner=inner, origin_port=upstream.port)
    assert server.get("/?to=back.test").status == 502
    assert server.get("/in/?to=back.test").status == 200


def test_who_waits_for_a_name_may_go_away(start, upstream, dns):
    dns.has("back.test", "127.0.0.1")
    dns.silent = True
    server = start()
    leaving, staying = server.connect(), server.connect()
    leaving.send(request_bytes("/leaving?to=back.test"))
    dns.wait_asked("back.test")
    staying.send(request_bytes("/staying?to=back.test"))
    leaving.close()
    wait_until(lambda: any("/leaving" in line and '" 499 ' in line
                           for line in server.read("access.log").splitlines()), "its line")
    dns.silent = False
    assert staying.read_response().status == 200
    assert [request.target for request in upstream.requests] == ["/staying?to=back.test"]


def test_many_that_wait_share_a_query(start, upstream, dns):
    dns.has("back.test", "127.0.0.1")
    dns.silent = True
    server = start("ipv6=off")
    clients = [server.connect() for _ in range(20)]
    for client in clients:
        client.send(request_bytes("/?to=back.test"))
    dns.wait_asked("back.test")
    dns.silent = False
    for client in clients:
        assert client.read_response().status == 200
    assert len(dns.asked("back.test")) <= 4


def test_names_are_found_after_a_reload(start, upstream, dns):
    dns.has("back.test", "127.0.0.1")
    server = start()
    assert server.get("/?to=back.test").status == 200
    server.reload()
    assert server.get("/?to=back.test").status == 200


@pytest.mark.parametrize("args, message", [
    ("", "invalid number of arguments in \"resolver\" directive"),
    ("valid=1s", "no name servers defined"),
    ("127.0.0.1 valid=x", "invalid parameter: valid=x"),
    ("127.0.0.1 ipv6=maybe", "invalid parameter: ipv6=maybe"),
    ("nowhere.invalid", "host not found in resolver \"nowhere.invalid\""),
])
def test_wrong_settings_are_refused(check, args, message):
    result = check(f"events {{ }} http {{ resolver {args}; }}")
    assert result.code == 1
    assert message in result.err


@pytest.mark.weir_only("nginx has ipv4= since 1.23.1, status_zone= in its commercial version")
def test_newer_settings_are_checked(check):
    result = check("events { } http { resolver 127.0.0.1 ipv4=off ipv6=off; }")
    assert '"ipv4" and "ipv6" cannot both be "off"' in result.err
    result = check("events { } http { resolver 127.0.0.1 status_zone=; }")
    assert "invalid parameter: status_zone=" in result.err
    result = check("events { } http { resolver 127.0.0.1 status_zone=z; server { resolver 127.0.0.2 status_zone=z; } }")
    assert (result.code, "[warn]" in result.err) == (0, False), result.err


@pytest.mark.weir_only("nginx keeps none without an upstream block")
def test_connections_to_such_names_are_kept_by_address(start, upstream, new_upstream, dns):
    other = new_upstream(host="127.0.0.2", port=upstream.port)
    dns.has("back.test", "127.0.0.1")
    dns.has("same.test", "127.0.0.1")
    dns.has("other.test", "127.0.0.2")
    server = start()
    for name in ("back.test", "same.test", "other.test", "127.0.0.1", "back.test"):
        assert server.get(f"/?to={name}").status == 200
    assert [request.connection for request in upstream.requests] == [0, 0, 0, 0]
    assert "close" not in [request.headers.get("Connection") for request in upstream.requests]
    assert len(other.requests) == 1


@pytest.mark.weir_only("nginx keeps none without an upstream block")
def test_a_kept_connection_to_such_a_name_that_died_is_replaced(start, upstream, dns):
    dns.has("back.test", "127.0.0.1")
    upstream.answers(lambda peer: (peer.send(answer()), peer.close()))
    server = start()
    for _ in range(3):
        assert server.get("/?to=back.test").status == 200
