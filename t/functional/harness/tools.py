"""Real clients, each as one call that returns what it printed."""

import re
import shutil
import subprocess

import pytest

from .wait import TIMEOUT


def _need(name):
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")


def curl(*arguments, check=True):
    """Runs curl, silent but for errors; returns the finished process."""
    _need("curl")
    done = subprocess.run(["curl", "-q", "-sS", "--max-time", str(int(TIMEOUT)), *map(str, arguments)],
                          capture_output=True, check=False, timeout=TIMEOUT * 2)
    assert not check or done.returncode == 0, done.stderr.decode()
    return done


def ss(*arguments):
    """What the kernel shows of TCP sockets."""
    _need("ss")
    return subprocess.run(["ss", *map(str, arguments)], capture_output=True, text=True, check=True, timeout=TIMEOUT).stdout


def s_client(address, *arguments, send=""):
    """Runs openssl s_client until the server ends or the input does; returns
    its standard output and error as one text."""
    done = subprocess.run(["openssl", "s_client", "-connect", address, *map(str, arguments)],
                          input=send.encode(), capture_output=True, check=False,
                          timeout=TIMEOUT * 2)
    return (done.stdout + done.stderr).decode("utf-8", "replace")


class Load:
    """wrk running in the background."""

    def __init__(self, url, connections=8, threads=1, seconds=600, headers=()):
        _need("wrk")
        more = [part for header in headers for part in ("-H", header)]
        self._process = subprocess.Popen(
            ["wrk", "-c", str(connections), "-t", str(threads), "-d", f"{seconds}s",
             "--timeout", f"{int(TIMEOUT)}s", *more, url],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def stop(self):
        """Ends it as Ctrl-C does; returns its counts."""
        if self._process.poll() is None:
            self._process.send_signal(2)
        text, _ = self._process.communicate(timeout=TIMEOUT * 2)
        return LoadResult(text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate(timeout=TIMEOUT)


class LoadResult:
    def __init__(self, text):
        self.text = text
        found = re.search(r"(\d+) requests in", text)
        assert found, text
        self.requests = int(found.group(1))
        found = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        self.refused = int(found.group(1)) if found else 0
        found = re.search(
            r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
        self.connect_errors, self.read_errors, self.write_errors, self.timeouts = (
            map(int, found.groups()) if found else (0, 0, 0, 0))

    @property
    def failed(self):
        return (self.refused + self.connect_errors + self.read_errors + self.write_errors
                + self.timeouts)

