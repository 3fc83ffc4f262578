"""early_hints: an origin's 103 for those who can use it (RFC 8297)."""

import threading

import pytest

from harness import request_bytes
from harness.upstream import answer

pytestmark = pytest.mark.weir_only("nginx has early_hints since 1.29")

HINT = (b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nConnection: x\r\n"
        b"Server: origin\r\nX-Secret: y\r\n\r\n")
PASS = "proxy_hide_header X-Secret; location / { proxy_pass http://@upstream@; }"


def test_a_hint_passes_before_the_answer(weir, upstream):
    go_on = threading.Event()
    upstream.answers(lambda peer: (peer.send(HINT), peer.wait(go_on), answer("real"))[2])
    connection = weir("early_hints 1;" + PASS).connect()
    connection.send(request_bytes("/"))
    hint = connection.read_until(b"\r\n\r\n")
    assert hint == b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
    go_on.set()
    assert connection.read_response().text == "real"
    assert connection.request("/").text == "real"


def test_several_hints_pass(weir, upstream):
    upstream.answers(HINT + HINT + b"HTTP/1.1 102 Processing\r\n\r\n" + answer("real"))
    response = weir("early_hints 1;" + PASS).get("/")
    assert response.text == "real"
    assert [interim.status for interim in response.interim] == [103, 103]


def test_a_hint_may_come_in_any_pieces(weir, upstream):
    text = HINT + answer("real")
    upstream.answers([text[n:n + 1] for n in range(len(text))])
    response = weir("early_hints 1;" + PASS).get("/")
    assert (response.text, len(response.interim)) == ("real", 1)


@pytest.mark.parametrize("said, header, count", [
    ("", "document", 0),
    ("early_hints $for;", "document", 1),
    ("early_hints $for;", "image", 0),
    ("early_hints 0 $for;", "document", 1),
    ("early_hints 0 '';", "document", 0),
])
def test_conditions_decide(weir, upstream, said, header, count):
    upstream.answers(HINT + answer("real"))
    server = weir(said + PASS,
                  http="map $http_sec_fetch_dest $for { default 0; document yes; }")
    response = server.request("/", headers={"Sec-Fetch-Dest": header})
    assert (response.text, len(response.interim)) == ("real", count)


def test_a_client_of_http_1_0_is_sent_none(weir, upstream):
    upstream.answers(HINT + answer("real"))
    response = weir("early_hints 1;" + PASS).request("/", version="HTTP/1.0")
    assert (response.text, response.interim) == ("real", [])


def test_hints_of_a_failed_origin_stay_before_the_answer_of_the_next(weir, new_upstream):
    one = new_upstream().answers(lambda peer: (peer.send(HINT), peer.reset()))
    two = new_upstream().answers(answer("two"))
    server = weir("early_hints 1; location / { proxy_pass http://back; }",
                  http=f"upstream back {{ server {one}; server {two} backup; }}")
    response = server.get("/")
    assert (response.text, len(response.interim)) == ("two", 1)


def test_a_flood_of_hints_is_502(weir, upstream):
    upstream.answers(HINT * 100 + answer("real"))
    server = weir("early_hints 1;" + PASS)
    assert server.get("/").status == 502
    server.wait_log("upstream sent too many interim responses")
