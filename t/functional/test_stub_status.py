"""stub_status: how many connections and requests there are."""

import os
import re
from signal import SIGKILL

import pytest

from harness import kernel, wait_until

STATUS = "location = /status { stub_status; }"
PAGE = re.compile(r"Active connections: (\d+) \nserver accepts handled requests\n (\d+) (\d+) (\d+) \n"
                  r"Reading: (\d+) Writing: (\d+) Waiting: (\d+) \n")


def told(connection):
    """active, accepts, handled, requests, reading, writing, waiting"""
    return [int(number) for number in PAGE.fullmatch(connection.request("/status").text).groups()]


def test_the_page_counts_itself(weir):
    connection = weir(STATUS).connect()
    assert told(connection) == [1, 1, 1, 1, 0, 1, 0]
    assert told(connection) == [1, 1, 1, 2, 0, 1, 0]


def test_its_type_is_plain_text_and_other_methods_are_refused(weir):
    server = weir(STATUS)
    assert server.get("/status").headers["Content-Type"] == "text/plain"
    assert server.connect().request("/status", "HEAD").status == 200
    assert server.request("/status", "POST").status == 405


def test_each_connection_is_counted_as_what_it_does(weir, upstream):
    server = weir(STATUS + "location / { proxy_pass http://@upstream@; }")
    upstream.answers(lambda peer: peer.wait_gone())
    idle, reading, writing = server.connect(), server.connect(), server.connect()
    idle.request("/status")
    reading.send(b"GET / HTTP/1.1\r\nHo")
    writing.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    connection = server.connect()
    wait_until(lambda: told(connection)[4:] == [1, 2, 1], "a connection in each state")
    assert told(connection)[:2] == [4, 4]
    for one in (idle, reading, writing):
        one.close()
    wait_until(lambda: told(connection)[:1] + told(connection)[4:] == [1, 0, 1, 0], "them to end")


def test_variables_say_the_same(weir):
    server = weir("""location / { return 200 "$connections_active $connections_reading
                     $connections_writing $connections_waiting"; }""")
    idle = server.connect()
    idle.request("/")
    assert server.get("/").text.split() == ["2", "0", "1", "1"]


def test_all_workers_count_together(weir):
    server = weir("listen 127.0.0.1:@port@ reuseport;" + STATUS, main="worker_processes 3;")
    for _ in range(20):
        server.get("/status")
    connection = server.connect()
    wait_until(lambda: told(connection)[0] == 1, "the others to end")
    assert told(connection)[1] == 21


@pytest.mark.weir_only("nginx 1.22 keeps idle connections of old workers no longer")
def test_counts_go_on_over_a_reload(weir):
    server = weir(STATUS)
    told(server.connect())
    server.reload()
    with server.connect() as connection:
        assert told(connection)[1:4] == [2, 2, 2]


@pytest.mark.weir_only("nginx counts the connections of a killed worker for ever")
def test_what_a_killed_worker_had_open_is_taken_back(weir):
    server = weir(STATUS, alerts=["exited on signal 9"])
    told(server.connect())
    old = server.wait_workers()
    os.kill(old[0], SIGKILL)
    new = server.wait_new_workers(old)
    wait_until(lambda: kernel.holds_listener(new[0]), "that it listens")
    assert told(server.connect()) == [1, 2, 2, 2, 0, 1, 0]
