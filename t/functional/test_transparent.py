"""proxy_bind ... transparent: origins see the client's own address, in a network made for the test."""

import ctypes
import os
import socket
import subprocess
import threading

import pytest

from harness import kernel
from harness.wait import TIMEOUT

CLONE_NEWNET = 0x40000000
HAS_IPV6 = kernel.has_ipv6()     # here, where the test begins
IPV6_TRANSPARENT = 75       # of linux/in6.h; the socket module does not name it
IP_TRANSPARENT = 19
# The client's addresses lead here, as over a gateway, and are nobody's own.
NETWORK = """
ip link set lo up
ip address add 10.9.8.1/32 dev lo
ip route add local 10.9.9.0/24 dev lo table 100
ip rule add lookup 100
"""
NETWORK_6 = """
ip address add fd00:8::1/128 dev lo nodad
ip -6 route add local fd00:9::/64 dev lo table 100
ip -6 rule add lookup 100
"""


@pytest.fixture
def in_a_network_of_its_own():
    """Runs a function in a thread, whose network that of its threads and processes is."""
    def run(body):
        outcome = []

        def inside():
            try:
                if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
                    pytest.skip(f"no network of its own: {os.strerror(ctypes.get_errno())}")
                subprocess.run(["sh", "-ec", NETWORK + (NETWORK_6 if HAS_IPV6 else "")], check=True)
                body()
            except BaseException as failure:        # a skip is one, too
                outcome.append(failure)

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if outcome:
            raise outcome[0]
    return run


def client_of(family, address):
    sock = socket.socket(family)
    sock.settimeout(TIMEOUT)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
    sock.bind((address, 0))
    return sock


@pytest.mark.needs_root
@pytest.mark.parametrize("kind", ["http", "stream"])
@pytest.mark.parametrize("ours, theirs", [
    ("10.9.8.1", "10.9.9.9"),
    pytest.param("fd00:8::1", "fd00:9::9", marks=pytest.mark.skipif(not HAS_IPV6, reason="no IPv6 here"))],
    ids=["IPv4", "IPv6"])
def test_origins_see_the_address_of_the_client(weir, binary, in_a_network_of_its_own, kind, ours,
                                               theirs):
    family = socket.AF_INET6 if ":" in ours else socket.AF_INET
    host = f"[{ours}]" if ":" in ours else ours
    module = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;" if binary.is_nginx else ""

    def body():
        with socket.create_server((ours, 0), family=family) as origin, \
                client_of(family, theirs) as client:
            origin.settimeout(TIMEOUT)
            to = f"{host}:{origin.getsockname()[1]}"
            bind = "proxy_bind $remote_addr transparent;"
            if kind == "http":
                server = weir(f"listen {host}:@port@; location / {{ {bind} proxy_pass http://{to}; }}")
            else:
                server = weir(None, main=module + f"""
                    stream {{ server {{ listen {host}:@port@; {bind} proxy_pass {to}; }} }}""")
            client.connect((ours, server.port))
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            peer, address = origin.accept()
            with peer:
                assert address[0] == theirs
                assert peer.recv(100).startswith(b"GET / HTTP/1.")
                peer.sendall(b"HTTP/1.0 200 OK\r\n\r\nhere")
            with client.makefile("rb") as answer:
                assert answer.read().endswith(b"here")
    in_a_network_of_its_own(body)
