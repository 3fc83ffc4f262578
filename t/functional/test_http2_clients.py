"""HTTP/2 as it is used: over reloads, and by a browser."""

import shutil
import subprocess
import threading
from signal import SIGHUP, SIGQUIT

import pytest

from harness import TIMEOUT, wait_until
from harness.h2 import DATA, GOAWAY, H2, INITIAL_WINDOW_SIZE, with_fields

pytestmark = pytest.mark.weir_only("nginx 1.22 has no http2 directive")

TLS = """listen 127.0.0.1:@port@; listen 127.0.0.1:@tls_port@ ssl; http2 on;
         ssl_certificate @certs@/localhost-rsa.crt; ssl_certificate_key @certs@/localhost-rsa.key;"""


class Asker(threading.Thread):
    """Asks without pause, eight requests at a time; where it is told to leave, it goes on with another connection."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.stopped = server, threading.Event()
        self.answered, self.connections, self.problem = 0, 0, None

    def run(self):
        try:
            while not self.stopped.is_set():
                self.connections += 1
                self.ask(H2(self.server.connect()))
        except Exception as problem:        # whatever it is, the test is told
            self.problem = problem

    def ask(self, client):
        last = None
        while last is None and not self.stopped.is_set():
            streams = [client.headers(with_fields()) for _ in range(8)]
            for stream in streams:
                goaways = [frame for frame in client.frames if frame.kind == GOAWAY]
                last = int.from_bytes(goaways[-1].payload[:4], "big") if goaways else None
                if last is None or stream <= last:
                    assert client.read_response(stream).body == b"ok"
                    self.answered += 1
            del client.frames[:-20]
        client.connection.close()


def test_no_request_is_lost_over_50_reloads(weir):
    server = weir(TLS + "location / { return 200 ok; }")
    askers = [Asker(server) for _ in range(2)]
    for asker in askers:
        asker.start()
    for _ in range(50):
        answered = [asker.answered for asker in askers]
        server.reload()
        wait_until(lambda: all(asker.problem or asker.answered > before + 8
                               for asker, before in zip(askers, answered)), "requests to go on")
    for asker in askers:
        asker.stopped.set()
        asker.join(TIMEOUT)
        assert asker.problem is None, repr(asker.problem)
        assert asker.connections > 2


def test_a_reload_serves_what_is_under_way_and_what_comes_before_the_client_has_heard(weir):
    """One connection that is never quiet, over a reload: the client is told in time, and each request is answered."""
    server = weir(TLS + "location / { return 200 ok; }")
    client = H2(server.connect())
    client.get()
    server.reload()
    while not any(frame.kind == GOAWAY for frame in client.frames):
        assert client.get().body == b"ok"
    # It was told not to begin more, but those that were on their way are served still.
    streams = [client.headers([(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")])
               for _ in range(5)]
    goaways = [frame for frame in client.frames if frame.kind == GOAWAY]
    if int.from_bytes(goaways[-1].payload[:4], "big") == 0x7FFFFFFF:
        assert [client.read_response(stream).body for stream in streams] == [b"ok"] * 5


def test_a_response_under_way_is_finished_over_a_reload_and_at_quit(weir, folder):
    folder.write("body", bytes(200_000))
    server = weir(TLS + "root @dir@;")
    for number in (SIGHUP, SIGQUIT):
        client = H2(server.connect(), settings={INITIAL_WINDOW_SIZE: 1000}, window=False)
        stream = client.headers(with_fields((":path", "/body")))
        got = len(client.read_until(DATA, stream).payload)
        server.signal(number)
        client.window_update(0, 1 << 20)
        client.window_update(stream, 1 << 20)
        while got < 200_000:
            got += len(client.read_until(DATA, stream).payload)
        client.read_goaway()


def test_a_page_of_200_resources_loads_in_chromium_over_one_connection(weir, folder):
    browser = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if not browser:
        pytest.skip("chromium is not installed")
    for i in range(200):
        folder.write(f"part{i}.js", f"window.parts = (window.parts || 0) + {1};")
    scripts = "".join(f'<script src="/part{i}.js"></script>' for i in range(200))
    folder.write("page.html", f"<html><body>{scripts}<script>document.title = 'parts: ' + window.parts;"
                              "document.write('<p>loaded ' + window.parts + ' parts</p>');</script></body></html>")
    server = weir(TLS + "root @dir@; types { text/html html; text/javascript js; }",
                  http="log_format t '$connection $http2 $status $uri'; access_log @dir@/t.log t;")
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--ignore-certificate-errors",
         "--disable-dev-shm-usage", f"--user-data-dir={folder.file('profile')}", "--virtual-time-budget=20000",
         "--dump-dom", server.url("/page.html", tls=True, host="localhost")],
        capture_output=True, text=True, check=False, timeout=TIMEOUT * 4)
    assert "loaded 200 parts" in done.stdout, done.stderr[-2000:]
    lines = wait_until(lambda: [line for line in server.access_log(201, "t.log") if "/part" in line])
    assert len(lines) == 200
    assert {line.split()[1] for line in lines} == {"h2"} and {line.split()[2] for line in lines} == {"200"}
    assert len({line.split()[0] for line in lines}) == 1, "more than one connection"
