"""Reloads and deaths under load: no request is lost, no memory is kept.

Short by default; WEIR_TEST_RELOADS=1000 makes it the long form.
"""

import os
import threading
from signal import SIGKILL

import pytest

from harness import Traffic, kernel, request_bytes, wait_until
from harness.tools import Load, curl
from harness.upstream import body_of, digest, site
from harness.wait import TIMEOUT

RELOADS = int(os.environ.get("WEIR_TEST_RELOADS", "50"))
OTHERS_CLOSE = "nginx closes idle kept connections at a reload"

CONFIG = """listen 127.0.0.1:@port@; listen 127.0.0.1:@tls_port@ ssl;
    ssl_certificate @certs@/localhost.crt; ssl_certificate_key @certs@/localhost.key;
    client_max_body_size 0; keepalive_requests 1000000;
    location / { return 200 page; }
    location /b/ { proxy_pass http://@upstream@; proxy_max_temp_file_size 0; }
    location /upload { proxy_pass http://@upstream@; }"""


def start(weir, upstream, workers=2):
    upstream.answers(site)
    return weir(CONFIG, main=f"worker_processes {workers};", events="worker_connections 1024;",
                alerts=["exited on signal 9"])


@pytest.mark.weir_only(OTHERS_CLOSE)
def test_fifty_reloads_under_kept_tls_connections_lose_no_request(weir, upstream):
    server = start(weir, upstream)
    with Load(server.url("/", tls=True), connections=16) as load:
        memory = []
        for _ in range(RELOADS):
            workers = server.reload()
            memory.append((kernel.rss_kib(server.master_pid),
                           max(kernel.rss_kib(pid) for pid in workers)))
        result = load.stop()
    assert result.requests > RELOADS
    assert result.failed == 0, result.text
    assert_flat(server.binary, memory)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_reloads_lose_no_connection_that_asks_once(weir, upstream, tls):
    server = start(weir, upstream)
    with Traffic(server.tls_connect if tls else server.connect, threads=3) as traffic:
        for _ in range(15):
            server.reload()
            traffic.goes_on(10)
    # A connection that nobody takes, or a first packet that is lost, waits for seconds until it is sent again.
    assert traffic.slowest_s < TIMEOUT / 3


def test_memory_stays_flat_over_reloads(weir, upstream):
    server = start(weir, upstream)
    memory = []
    for _ in range(30):
        workers = server.reload()
        assert server.get("/").status == 200
        memory.append((kernel.rss_kib(server.master_pid),
                       max(kernel.rss_kib(pid) for pid in workers)))
    assert_flat(server.binary, memory)


def assert_flat(binary, memory):
    """memory: after each reload, KiB of the master and of a new worker.  What a worker
    has depends on what it has served so far: the largest of ten are compared."""
    if binary.is_sanitized:
        return                  # AddressSanitizer keeps what is freed
    for sizes in zip(*memory):
        assert max(sizes[-10:]) <= max(sizes[5:15]) * 1.02 + 64, memory


def test_descriptors_stay_few_over_reloads(weir, upstream):
    server = start(weir, upstream)
    server.reload()
    counts = []
    for _ in range(10):
        server.reload()
        wait_until(lambda: len(kernel.children(server.master_pid)) <= 3, "the old workers to end")
        counts.append(len(kernel.descriptors(server.master_pid)))
    assert counts[0] == counts[-1], counts


def test_a_running_upload_ends_well(weir, upstream):
    server = start(weir, upstream)
    body = body_of(3_000_000)
    data = request_bytes("/upload", "POST", body=body)
    connection = server.tls_connect()
    parts = [data[n:n + 600_000] for n in range(0, len(data), 600_000)]
    for part in parts:
        connection.send(part)
        server.reload()
    response = connection.read_response()
    assert response.json == {"length": len(body), "digest": digest(body)}


def test_a_slow_download_ends_well(weir, upstream):
    server = start(weir, upstream)
    size = 40_000_000
    connection = server.tls_connect()
    connection.send(request_bytes(f"/b/{size}"))
    head = connection.read_head()
    got = bytearray()
    while len(got) < size:
        got += connection.read_exactly(min(10_000_000, size - len(got)))
        server.reload()
    assert head.status == 200
    assert digest(bytes(got)) == digest(body_of(size))


def test_curl_downloads_over_a_reload(weir, upstream, folder):
    server = start(weir, upstream)
    done = []
    size = 20_000_000

    def download():
        done.append(curl("-k", "--limit-rate", "20M", "-o", folder.file("got"),
                         server.url(f"/b/{size}", tls=True)))
    thread = threading.Thread(target=download)
    thread.start()
    upstream.wait_requests(1)
    server.reload()
    thread.join()
    with open(folder.file("got"), "rb") as got:
        assert digest(got.read()) == digest(body_of(size))


def test_a_worker_killed_under_load_costs_its_own_connections_alone(weir, upstream):
    server = start(weir, upstream)
    with Traffic(server.connect, threads=4) as traffic:
        traffic.goes_on()
        victim = server.wait_workers()[0]
        server.signal(SIGKILL, victim)
        wait_until(lambda: victim not in server.workers(), "its end")
        server.wait_workers()
        traffic.wait_round()
        before = len(traffic.failures)
        until = traffic.count + 50
        wait_until(lambda: traffic.count >= until, "more requests")
        assert before <= 4
        assert len(traffic.failures) == before, traffic.failures


def test_old_generations_end_when_their_last_request_has(weir, upstream):
    over = threading.Event()
    server = start(weir, upstream)
    upstream.answers(lambda peer: (peer.wait(over), site(peer))[1])
    connections = []
    for _ in range(3):
        connections.append(server.connect())
        connections[-1].send(request_bytes("/b/10"))
        upstream.wait_requests(len(connections))
        server.reload()
    def leaving():
        return [pid for pid in kernel.children(server.master_pid) if "shutting down" in kernel.title(pid)]
    wait_until(lambda: len(leaving()) >= 3, "three generations that have requests")
    old = leaving()
    over.set()
    assert all(len(connection.read_response().body) == 10 for connection in connections)
    wait_until(lambda: not any(map(kernel.is_alive, old)), "the old workers to end")
