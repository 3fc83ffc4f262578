"""What is under way through a proxy lasts over reloads, however many."""

import threading

from harness import request_bytes
from harness.upstream import body_of, digest, json_answer

RELOADS = 50

CONFIG = """
    client_max_body_size 0;
    location /ws/ { proxy_pass http://@socket@; proxy_http_version 1.1;
                    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }
    location /up/ { proxy_pass http://@upstream@; proxy_request_buffering off; proxy_http_version 1.1; }
    location /kept/ { proxy_pass http://@upstream@; }
    location /down/ { proxy_pass http://@large@; }
"""
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
PIECE = 20_000


def echo(peer):
    peer.send(SWITCH)
    while True:
        peer.send(peer.read_some())


def test_a_tunnel_an_upload_and_a_download_last_over_fifty_reloads(weir, upstream, new_upstream):
    go_on = [threading.Event() for _ in range(RELOADS)]
    text = body_of(PIECE * RELOADS)

    def download(peer):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text))
        for n, event in enumerate(go_on):
            peer.wait(event)
            peer.send(text[n * PIECE:(n + 1) * PIECE])

    upstream.answers(lambda peer: json_answer(
        {"length": len(peer.request.body), "digest": digest(peer.request.body)}))
    server = weir(CONFIG, socket=new_upstream().answers(echo),
                  large=new_upstream().answers(download))
    tunnel, upload, loaded = server.connect(), server.connect(), server.connect()
    tunnel.send(request_bytes("/ws/", headers={"Connection": "Upgrade", "Upgrade": "websocket"}))
    assert tunnel.read_head().status == 101
    upload.send(request_bytes("/up/", "POST", headers={"Content-Length": str(len(text))}))
    loaded.send(request_bytes("/down/"))
    assert loaded.read_head().status == 200

    received = b""
    for n in range(RELOADS):
        server.reload()
        tunnel.send(b"message %d;" % n)
        assert tunnel.read_until(b";") == b"message %d;" % n
        upload.send(text[n * PIECE:(n + 1) * PIECE])
        go_on[n].set()
        received += loaded.read_exactly(PIECE)
        assert server.get("/kept/").json["length"] == 0

    assert upload.read_response().json == {"length": len(text), "digest": digest(text)}
    assert digest(received) == digest(text)
    tunnel.close()
