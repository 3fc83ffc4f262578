"""Free TCP ports that no other test run on this machine takes meanwhile."""

import os
import random
import socket

# So many at least, so that tests side by side find some.
_ENOUGH = 4000


def _range():
    """Outside of the kernel's ephemeral range, so that no outgoing connection sits there."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        first, last = map(int, file.read().split())
    if first - 12000 >= _ENOUGH:
        return 12000, min(first, 32000)
    return max([(2000, first), (last + 1, 65536)], key=lambda span: span[1] - span[0])


class Ports:
    """Each port taken is locked by an abstract unix socket of its name, which
    the kernel frees when this process ends, however it ends."""

    def __init__(self):
        self._locks = []
        self._random = random.Random(os.urandom(8))
        self._first, self._last = _range()
        if self._last - self._first < _ENOUGH:
            self._first, self._last = 12000, 32000      # the kernel's range is all there is

    def take(self):
        for _ in range(2000):
            port = self._random.randrange(self._first, self._last)
            lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                lock.bind(f"\0weir-test-port-{port}")
            except OSError:
                lock.close()
                continue
            if _is_free(port):
                self._locks.append(lock)
                return port
            lock.close()
        raise RuntimeError("no free port")

    def release(self):
        for lock in self._locks:
            lock.close()
        self._locks.clear()


def _is_free(port):
    """Of TCP and UDP, at any address."""
    for family, host, kind in ((socket.AF_INET, "0.0.0.0", socket.SOCK_STREAM), (socket.AF_INET, "0.0.0.0", socket.SOCK_DGRAM),
                               (socket.AF_INET6, "::", socket.SOCK_STREAM)):
        try:
            with socket.socket(family, kind) as probe:
                if kind == socket.SOCK_STREAM:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((host, port))
        except OSError:
            if family == socket.AF_INET:
                return False        # no IPv6 here is no obstacle
    return True
