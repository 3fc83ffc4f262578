"""Free TCP ports that no other test run on this machine takes meanwhile."""

import os
import random
import socket

# Below the kernel's ephemeral range, so that no outgoing connection sits there.
_FIRST, _LAST = 12000, 32000


class Ports:
    """Each port taken is locked by an abstract unix socket of its name, which
    the kernel frees when this process ends, however it ends."""

    def __init__(self):
        self._locks = []
        self._random = random.Random(os.urandom(8))

    def take(self):
        for _ in range(2000):
            port = self._random.randrange(_FIRST, _LAST)
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
    for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((host, port))
        except OSError:
            if family == socket.AF_INET:
                return False        # no IPv6 here is no obstacle
    return True
