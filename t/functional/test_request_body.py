"""Bodies of requests: where they are kept."""

import os
import stat
import subprocess

import pytest

from harness import kernel, wait_until
from harness.upstream import body_of


def proxied(directives):
    return ("location / { %s proxy_set_header X-File $request_body_file; proxy_pass http://@upstream@; }"
            % directives)


@pytest.mark.parametrize("size", [1, 5000, 300000])
def test_a_body_may_be_left_in_a_file(weir, upstream, size):
    server = weir(proxied("client_body_in_file_only on;"))
    assert server.request("/", "POST", body=body_of(size)).status == 200
    path = upstream.last.headers["X-File"]
    assert os.path.dirname(path) == server.folder.file("body")
    with open(path, "rb") as file:
        assert file.read() == body_of(size) == upstream.last.body
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


@pytest.mark.weir_only("nginx makes the last folder alone")
def test_the_folders_to_where_bodies_are_kept_are_made(weir, upstream):
    server = weir(proxied("client_body_in_file_only on; client_body_temp_path not/there/yet 1;"))
    assert server.request("/", "POST", body=b"12345").status == 200
    assert upstream.last.headers["X-File"].startswith(server.folder.file("not/there/yet/"))


def test_content_length_is_that_of_a_chunked_body_once_it_is_here(weir, upstream):
    weir("""location / { proxy_pass http://@upstream@; proxy_set_header X-Length "$content_length"; }""").exchange(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    assert upstream.last.headers["X-Length"] == "5"


def test_or_in_a_file_that_goes_with_the_request(weir, upstream):
    server = weir(proxied("client_body_in_file_only clean;"))
    assert server.request("/", "POST", body=b"12345").status == 200
    assert upstream.last.body == b"12345" and upstream.last.headers["X-File"]
    wait_until(lambda: not os.listdir(server.folder.file("body")), "the file to go")


def test_without_a_body_there_is_no_file(weir, upstream):
    server = weir(proxied("client_body_in_file_only on;"))
    assert server.get("/").status == 200
    assert "X-File" not in upstream.last.headers and not os.listdir(server.folder.file("body"))


def test_a_body_in_one_buffer_is_the_same(weir, upstream):
    server = weir(proxied("client_body_in_single_buffer on; client_body_buffer_size 1m;"))
    assert server.request("/", "POST", body=body_of(300000)).status == 200
    assert upstream.last.body == body_of(300000)


@pytest.fixture
def full_disk(folder):
    """A folder on a disk that takes 64 KiB."""
    path = folder.file("small")
    os.mkdir(path)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=777", "tmpfs", path],
                                           capture_output=True, check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize("kept", ["", "client_body_in_file_only on;"])
def test_where_a_body_could_not_be_written_is_in_the_log(weir, upstream, full_disk, kept):
    server = weir(proxied(f"{kept} client_body_temp_path {full_disk};"))
    assert server.request("/", "POST", body=body_of(300000)).status == 500
    server.wait_log(rf'\[crit\] .*write\w*\(\) .*"{full_disk}.*" failed \(28: No space left on device\)')
    server.stop()


@pytest.mark.weir_only("nginx 1.22 does not have them")
@pytest.mark.parametrize("host, port", [("a", ""), ("a:81", "81"), ("[::1]", ""), ("[::1]:8080", "8080")])
def test_the_port_that_was_asked_for(weir, host, port):
    server = weir('location / { return 200 "$request_port|$is_request_port"; }')
    assert server.get("/", host=host).text == f"{port}|{':' if port else ''}"


@pytest.mark.weir_only("nginx has one buffer for it")
def test_a_body_in_chunks_of_a_byte_takes_no_more_memory_than_one_in_large_chunks(weir, upstream):
    server = weir(proxied(""))
    server.request("/", "POST", body=body_of(16000))
    worker = server.wait_workers()[0]
    before = kernel.rss_kib(worker)
    connections = [server.connect() for _ in range(20)]
    for connection in connections:
        connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 16000)
    wait_until(lambda: kernel.unread_bytes([(server.port, c.sock.getsockname()[1]) for c in connections]) == 0,
               "all of it to be read")
    each = (kernel.rss_kib(worker) - before) / len(connections)
    assert each < (1000 if server.binary.is_sanitized else 200), f"{each} KiB a connection"
