"""max_conns of upstream servers: what is counted, over all workers and beyond their end."""

from signal import SIGKILL

import pytest

from harness import request_bytes, wait_until
from harness.upstream import answer

CONFIG = """location /    { proxy_pass http://back; }
            location /pid { return 200 $pid; }"""
KILLED = "exited on signal 9"


@pytest.mark.weir_only("nginx counts on for what a killed worker had open")
@pytest.mark.parametrize("zone", ["", "zone back 64k;"])
@pytest.mark.parametrize("count", [1, 2])
def test_what_a_killed_worker_had_open_is_not_counted(weir, upstream, zone, count):
    upstream.answers(lambda peer: peer.wait_gone(), answer("next"))
    server = weir(CONFIG, main=f"worker_processes {count};", alerts=[KILLED],
                  http=f"upstream back {{ {zone} server @upstream@ max_conns=1; }}")
    server.wait_workers(count)
    connection = server.connect()
    owner = int(connection.request("/pid").text)
    connection.send(request_bytes("/"))
    upstream.wait_requests(1)
    for _ in range(4):
        assert server.get("/").status == 502
    assert len(upstream.requests) == 1

    server.signal(SIGKILL, owner)
    wait_until(lambda: owner not in server.workers(), "the worker to be gone")
    server.wait_workers(count)
    assert server.get("/").text == "next"
