"""mirror: requests are sent to other locations as well."""

import threading

import pytest

from harness import wait_until
from harness.h2 import H2
from harness.upstream import answer, body_of

MIRROR = """location / {{ mirror /mirror; {more} proxy_pass http://@upstream@; }}
            location = /mirror {{ internal; proxy_pass http://{to}$request_uri; }}"""


@pytest.fixture
def copies(new_upstream):
    return new_upstream()


def config(copies, more=""):
    return MIRROR.format(more=more, to=copies)


def test_the_mirror_gets_the_request_and_the_client_the_answer(weir, upstream, copies):
    upstream.answers(answer(b"real"))
    copies.answers(answer(b"copy", status="500 Oh"))
    assert weir(config(copies)).get("/a?b=c", headers={"X-A": "1"}).text == "real"
    copies.wait_requests(1)
    assert (copies.last.method, copies.last.target) == ("GET", "/a?b=c")
    assert copies.last.headers["X-A"] == "1"


@pytest.mark.parametrize("size", [5, 100000])
def test_bodies_are_sent_along(weir, upstream, copies, size):
    server = weir(config(copies))
    assert server.request("/", "POST", body=body_of(size)).status == 200
    copies.wait_requests(1)
    for origin in (upstream, copies):
        wait_until(lambda o=origin: o.last.body == body_of(size), "the body")
        assert origin.last.method == "POST"


def test_or_are_not(weir, upstream, copies):
    server = weir(f"""location / {{ mirror /mirror; mirror_request_body off; proxy_pass http://@upstream@; }}
        location = /mirror {{ internal; proxy_pass http://{copies}; proxy_pass_request_body off;
                              proxy_set_header Content-Length ""; }}""")
    assert server.request("/", "POST", body=b"12345").status == 200
    copies.wait_requests(1)
    assert copies.last.body == b"" and upstream.last.body == b"12345"


def test_there_may_be_several(weir, upstream, copies, new_upstream):
    third = new_upstream()
    server = weir(config(copies, "mirror /third;") + f"location = /third {{ proxy_pass http://{third}; }}")
    assert server.get("/").status == 200
    copies.wait_requests(1)
    third.wait_requests(1)


def test_the_response_does_not_wait_but_the_next_request_does(weir, upstream, copies):
    go = threading.Event()

    def late(peer):
        peer.wait(go)
        peer.send(answer(b""))
    copies.answers(late)
    connection = weir(config(copies)).connect()
    assert connection.request("/").status == 200
    connection.send(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    assert connection.is_quiet()
    go.set()
    assert connection.read_response().status == 200


def test_a_client_may_leave_once_it_has_its_answer(weir, upstream, copies):
    go = threading.Event()

    def late(peer):
        peer.wait(go)
        peer.send(answer(b""))
    copies.answers(late)
    server = weir(config(copies))
    with server.connect() as connection:
        assert connection.request("/").status == 200
        copies.wait_requests(1)
    go.set()
    assert server.access_log()[0].split()[8] == "200"


@pytest.mark.weir_only("nginx 1.22 has no http2 directive")
@pytest.mark.parametrize("leaves", [False, True])
def test_a_mirror_goes_on_when_a_client_of_http_2_has_its_answer(weir, upstream, copies, leaves):
    go = threading.Event()

    def late(peer):
        peer.wait(go)
        peer.send(answer(b""))
    copies.answers(late)
    server = weir("http2 on; log_subrequest on; location = /other { access_log off; return 204; }" + config(copies))
    client = H2(server.connect())
    assert client.get("/").status == 200
    copies.wait_requests(1)
    if leaves:
        client.connection.close()
    assert server.get("/other").status == 204       # the worker has seen the stream's end
    go.set()
    assert [line.split()[8] for line in server.access_log(2)] == ["200", "200"]


def test_a_mirror_that_cannot_be_reached_is_only_logged(weir, upstream):
    server = weir("""location / { mirror /mirror; proxy_pass http://@upstream@; }
                     location = /mirror { proxy_pass http://127.0.0.1:@closed@; }""")
    assert server.get("/").status == 200
    server.wait_log(r'\[error\] .*Connection refused.*subrequest: "/mirror"')


def test_off_is_for_one_location(weir, upstream, copies):
    server = weir(f"""mirror /mirror; location = /mirror {{ proxy_pass http://{copies}; }}
                      location /off {{ mirror off; proxy_pass http://@upstream@; }}
                      location / {{ proxy_pass http://@upstream@; }}""")
    server.get("/off")
    server.get("/on")
    copies.wait_requests(1)
    assert len(copies.received) == 1


def test_off_goes_with_nothing_else(check):
    for said in ("mirror off; mirror /a;", "mirror /a; mirror off;"):
        done = check("events {} http { server { listen 127.0.0.1:@port@; location / { %s } } }" % said)
        assert done.code == 1 and "is duplicate" in done.err
