"""The sockets of connections to origins: proxy_socket_..., proxy_bind, and these of grpc_pass, tunnel_pass and stream."""

import re

import pytest

from harness import request_bytes, wait_until
from harness.tools import ss
from harness.upstream import answer

MODULE = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;"
CONNECT = b"CONNECT a.test:80 HTTP/1.1\r\nHost: a.test\r\n\r\nhello"
KINDS = ["proxy_", "grpc_", "tunnel_", "stream"]


def shown(peer):
    """What the kernel shows of the other end of a connection; others, to elsewhere, may have the same port."""
    ends = ["%s:%d" % end for end in (peer.sock.getpeername(), peer.sock.getsockname())]
    return ss("-Htnmo", "src", ends[0], "dst", ends[1])


def keeps_alive(peer):
    wait_until(lambda: "timer:(on," not in shown(peer), "all to be acknowledged")
    return "timer:(keepalive," in shown(peer)


def buffer_bytes(name):
    """As asked for: the kernel doubles it; None: as the kernel would have it."""
    def see(peer):
        said = int(re.search(rf"\b{name}(\d+)", shown(peer)).group(1))
        return said // 2 if said in (40000, 60000) else None
    return see


def address(peer):
    return peer.sock.getpeername()[0]


# What is seen, at first, of a word around, and of another within.
SEEN = {
    "socket_keepalive": (keeps_alive, False, "on", True, "off", False),
    "socket_rcvbuf": (buffer_bytes("rb"), None, "20000", 20000, "30000", 30000),
    "socket_sndbuf": (buffer_bytes("tb"), None, "20000", 20000, "30000", 30000),
    "bind": (address, "127.0.0.1", "127.0.0.2", "127.0.0.2", "off", "127.0.0.1"),
}
CASES = [pytest.param(kind, name, marks=pytest.mark.weir_only("since nginx 1.31")
                      if name.endswith("buf") or kind == "tunnel_" else ()) for name in SEEN for kind in KINDS]


@pytest.fixture
def seen(weir, binary, upstream):
    """What an origin sees where nothing is said; of a word around; and of another that a server or location says itself."""
    def start(kind, name, around="", own=""):
        prefix = "proxy_" if kind == "stream" else kind
        around, own = (f"{prefix}{name} {value};" if value else "" for value in (around, own))
        looked = []

        def look(peer):
            peer.read_some()
            looked.append(SEEN[name][0](peer))
            peer.send(answer(headers={"Connection": "close"}))
        upstream.speaks(look)
        if kind == "stream":
            server = weir(None, main=f"""{MODULE if binary.is_nginx else ""} stream {{ {around}
                server {{ listen 127.0.0.1:@port@; proxy_pass @upstream@; }}
                server {{ listen 127.0.0.1:@port2@; proxy_pass @upstream@; {own} }} }}""")
        elif kind == "tunnel_":
            server = weir(f"""listen 127.0.0.1:@port@; tunnel_pass @upstream@; }}
                server {{ listen 127.0.0.1:@port2@; tunnel_pass @upstream@; {own}""", http=around)
        else:
            to = f"{kind}pass {'http' if kind == 'proxy_' else 'grpc'}://@upstream@;"
            server = weir(f"location / {{ {to} }} location /own {{ {to} {own} location /own/within {{ {to} }} }}", http=around)

        def ask(path):
            looked.clear()
            has_paths = kind in ("proxy_", "grpc_")
            with server.connect("port" if has_paths or path == "/" else "port2") as connection:
                connection.send_what_fits(CONNECT if kind == "tunnel_" else request_bytes(path, version="HTTP/1.0"))
                connection.read_until_close()
            return looked[-1]
        return ask
    return start


@pytest.mark.parametrize("kind, name", CASES)
def test_without_a_word_the_default_counts(seen, kind, name):
    assert seen(kind, name)("/") == SEEN[name][1]


@pytest.mark.parametrize("kind, name", CASES)
def test_a_word_holds_within_unless_there_is_another(seen, kind, name):
    _, _, word, said, another, said_then = SEEN[name]
    ask = seen(kind, name, word, another)
    assert [ask(path) for path in ("/", "/own", "/own/within")] == [said, said_then, said_then]


@pytest.mark.weir_only("since nginx 1.29.3")
@pytest.mark.parametrize("kind", ["proxy_", "grpc_"])
@pytest.mark.parametrize("dynamic, seen_from", [("", ["127.0.0.4"] * 2), ("off", ["127.0.0.4"] * 2),
                                                ("on", ["127.0.0.2", "127.0.0.3"])])
def test_the_local_address_may_be_asked_for_at_each_try(weir, new_upstream, kind, dynamic, seen_from):
    def look(peer):
        looked.append(address(peer))
    looked = []
    server = weir(f"""{kind}bind $from; {f"{kind}bind_dynamic {dynamic};" if dynamic else ""}
                      location / {{ {kind}pass {'http' if kind == 'proxy_' else 'grpc'}://back; }}""",
                  http="""upstream back { server @first@; server @second@ backup; }
                          map $upstream_last_addr $from { volatile; default 127.0.0.4; @first@ 127.0.0.2; @second@ 127.0.0.3; }""",
                  first=new_upstream().speaks(look), second=new_upstream().speaks(look))
    assert server.get("/").status == 502
    assert looked == seen_from


@pytest.mark.weir_only("since nginx 1.31.0")
@pytest.mark.parametrize("dynamic, seen_from", [("off", "127.0.0.4"), ("on", "127.0.0.2")])
def test_that_of_a_tunnel_may_be_that_for_its_server(weir, upstream, dynamic, seen_from):
    looked = []
    upstream.speaks(lambda peer: (looked.append(address(peer)), peer.send(b"hello")))
    server = weir(f"tunnel_bind $from; tunnel_bind_dynamic {dynamic}; tunnel_pass @upstream@;",
                  http="map $upstream_last_addr $from { volatile; default 127.0.0.4; @upstream@ 127.0.0.2; }")
    connection = server.connect()
    connection.send(CONNECT)
    connection.read_until(b"hello")
    assert looked == [seen_from]
