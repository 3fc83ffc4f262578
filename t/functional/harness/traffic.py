"""Clients that ask again and again in the background, and count."""

import threading
import time

from .wait import wait_until
from .wire import Connection


class Traffic:
    """threads clients, each with a connection a request, or one kept for all.

    ask is called with a connection and fails, or not; by default a GET / must
    be answered with 200.
    """

    def __init__(self, connect, threads=2, kept=False, ask=None):
        self.count = 0
        self.failures = []
        self.rounds = [0] * threads     # of each client, whatever came of them
        self.slowest_s = 0      # from before the connection to the end of an answer
        self._connect = connect
        self._kept = kept
        self._ask = ask or _get_root
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True)
                         for number in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def goes_on(self, count=20):
        """Waits for count more requests to succeed."""
        until = self.count + count
        wait_until(lambda: self.count >= until or self.failures, "more requests")
        assert not self.failures, self.failures[:3]

    def wait_round(self):
        """Waits until whatever each client had under way has come to an end, good or bad."""
        before = list(self.rounds)
        wait_until(lambda: all(now > was for now, was in zip(self.rounds, before)), "each client to go on")

    def _run(self, number):
        connection = None
        while not self._over.is_set():
            began = time.monotonic()
            try:
                if connection is None:
                    connection = self._connect()
                said_close = self._ask(connection)
                with self._lock:
                    self.count += 1
                    self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                if not self._kept or said_close:
                    connection.close()
                    connection = None
            except Exception as failure:    # each is counted, whatever it is
                with self._lock:
                    self.failures.append(repr(failure))
                if isinstance(connection, Connection):
                    connection.close()
                connection = None
                if len(self.failures) > 1000:
                    return
            self.rounds[number] += 1


def _get_root(connection):
    response = connection.request("/")
    assert response.status == 200, response
    return response.headers.get("Connection") == "close"
