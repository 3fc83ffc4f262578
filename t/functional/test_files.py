"""How files are opened and read: open_file_cache, disable_symlinks, aio, directio."""

import os

import pytest

from harness import kernel, wait_until
from harness.upstream import body_of

WWW = "root @dir@/www;"


@pytest.fixture
def www(folder):
    folder.write("www/a", b"first")
    folder.write("www/sub/index.html", b"index")
    folder.write("www/large", body_of(3000001))
    return folder


def replace(folder, name, content):
    """Another file under the same name, as editors write them."""
    folder.write(name + ".new", content)
    os.rename(folder.file(name + ".new"), folder.file(name))


# open_file_cache

CACHE = WWW + "open_file_cache max=100 inactive=1h; open_file_cache_valid 1h;"


def test_what_is_cached_is_served_as_it_was(weir, www):
    server = weir(CACHE)
    assert server.get("/a").text == "first"
    replace(www, "www/a", b"second")
    os.unlink(www.file("www/a"))
    assert server.get("/a").text == "first"


def test_after_its_time_it_is_looked_at_again(weir, www):
    server = weir(WWW + "open_file_cache max=100; open_file_cache_valid 1s;")
    assert server.get("/a").text == "first"
    replace(www, "www/a", b"second")
    wait_until(lambda: server.get("/a").text == "second", "the new file")
    os.unlink(www.file("www/a"))
    wait_until(lambda: server.get("/a").status == 404, "that it is gone")


def test_a_file_that_stays_keeps_its_descriptor(weir, www):
    server = weir(WWW + "open_file_cache max=100; open_file_cache_valid 1s;")
    for _ in range(50):
        assert server.get("/a").text == "first"
    assert len(open_files(server, "www/a")) == 1


def open_files(server, name):
    worker = server.workers()[0]
    folder = f"/proc/{worker}/fd"
    found = []
    for fd in os.listdir(folder):
        try:
            found.append(os.readlink(f"{folder}/{fd}"))
        except OSError:
            pass
    return [path for path in found if path.endswith(name)]


def test_descriptors_are_kept_for_those_that_are_used_enough(weir, www):
    server = weir(CACHE + "open_file_cache_min_uses 3;")
    for count, kept in ((1, 0), (2, 0), (3, 1), (4, 1)):
        assert server.get("/a").text == "first"
        wait_until(lambda k=kept: len(open_files(server, "www/a")) == k, f"{kept} after {count}")


def test_there_are_no_more_than_max(weir, www):
    for i in range(10):
        www.write(f"www/{i}", b"x")
    server = weir(WWW + "open_file_cache max=3 inactive=1h; open_file_cache_valid 1h;")
    for i in range(10):
        server.get(f"/{i}")
    wait_until(lambda: len(open_files(server, "")) and
               sum(len(open_files(server, f"www/{i}")) for i in range(10)) <= 3, "three at most")


def test_errors_are_kept_where_that_is_said(weir, www):
    server = weir(CACHE + "location /errors/ { alias @dir@/www/; open_file_cache_errors on; }")
    for path, late in (("/late", 200), ("/errors/later", 404)):
        assert server.get(path).status == 404
        www.write("www/" + path.rsplit("/", 1)[1], b"now")
        assert server.get(path).status == late


def test_folders_and_try_files_go_by_the_cache(weir, www):
    server = weir(CACHE + "location /try { try_files /a =404; }")
    assert server.get("/sub/").text == "index"
    assert server.get("/sub").status == 301
    assert server.get("/try").text == "first"
    os.unlink(www.file("www/a"))
    assert server.get("/try").text == "first"


def test_a_download_keeps_its_file_when_the_cache_takes_another(weir, www):
    server = weir(WWW + "open_file_cache max=10; open_file_cache_valid 1s;")
    slow = server.connect()
    slow.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    slow.read_head()
    replace(www, "www/large", b"small")
    wait_until(lambda: server.get("/large").text == "small", "the new file")
    assert slow.read_exactly(3000001) == body_of(3000001)


@pytest.mark.parametrize("said", ["open_file_cache max=0;", "open_file_cache inactive=5s;",
                                  "open_file_cache max=5 other=1;"])
def test_a_cache_needs_a_size(check, said):
    done = check("events {} http { %s server { listen 127.0.0.1:@port@; } }" % said)
    assert done.code == 1 and "open_file_cache" in done.err


# disable_symlinks

@pytest.fixture
def links(www):
    os.symlink("a", www.file("www/link"))
    os.symlink("sub", www.file("www/folder"))
    os.symlink("www", www.file("other"))
    return www


def refusals(server, *paths):
    """Statuses; nginx says 404 of a path through the link to a folder."""
    return [403 if server.get(path).status == 404 else server.get(path).status for path in paths]


@pytest.mark.parametrize("cache", ["", "open_file_cache max=10;"])
@pytest.mark.parametrize("said, statuses", [
    ("off", [200, 200, 200, 200]), ("on", [200, 403, 403, 200]),
    ("if_not_owner", [200, 200, 200, 200]), ("on from=@dir@/www", [200, 403, 403, 200]),
    ("on from=$document_root", [200, 403, 403, 200]), ("on from=@dir@/www/folder", [200, 403, 200, 200]),
])
def test_links_are_refused_where_that_is_said(weir, links, said, statuses, cache):
    server = weir(WWW + f"disable_symlinks {said};" + cache)
    for _ in range(2):
        assert refusals(server, "/a", "/link", "/folder/index.html", "/sub/index.html") == statuses


def test_the_trusted_part_may_have_links(weir, links):
    server = weir("""location /part/ { alias @dir@/other/; disable_symlinks on from=@dir@/other/; }
                     location /all/ { alias @dir@/other/; disable_symlinks on; }""")
    assert refusals(server, "/part/a", "/part/link", "/all/a") == [200, 403, 403]


@pytest.mark.needs_root
def test_links_of_others_are_refused(weir, links):
    os.lchown(links.file("www/link"), 12345, 12345)
    server = weir(WWW + "disable_symlinks if_not_owner;")
    assert [server.get(path).status for path in ("/a", "/link", "/folder/index.html")] == [200, 403, 200]


def test_indexes_and_try_files_see_no_links_either(weir, links):
    os.symlink("index.html", links.file("www/sub/home"))
    server = weir(WWW + """disable_symlinks on; location /try { try_files /link /a; }
                           location /sub/ { index home; }""")
    assert server.get("/try").text == "first"
    assert server.get("/sub/").status == 403


@pytest.mark.parametrize("said", ["disable_symlinks yes;", "disable_symlinks from=/;",
                                  "disable_symlinks off from=/;"])
def test_what_makes_no_sense_is_refused(check, said):
    assert check("events {} http { %s server { listen 127.0.0.1:@port@; } }" % said).code == 1


# How they are read

@pytest.mark.parametrize("said", [
    "aio threads;", "aio threads; sendfile on;", "directio 1m;", "directio 1m; aio threads;",
    "directio 4k; directio_alignment 4k; output_buffers 1 8k;", "output_buffers 1 1k;",
    "read_ahead 1m;", "sendfile on; sendfile_max_chunk 100k;", "aio threads; gzip on; gzip_types *;"])
def test_files_come_whole_however_they_are_read(weir, www, said):
    connection = weir(WWW + said).connect()
    for _ in range(2):
        assert connection.request("/large").body == body_of(3000001)
        assert connection.request("/a").text == "first"
        part = connection.request("/large", headers={"Range": "bytes=1000001-2500000"})
        assert (part.status, part.body) == (206, body_of(3000001)[1000001:2500001])
        parts = connection.request("/large", headers={"Range": "bytes=0-5,2000001-2000010"})
        assert parts.status == 206 and body_of(3000001)[2000001:2000011] in parts.body


def test_a_client_that_leaves_while_a_thread_reads(weir, www):
    server = weir(WWW + "directio 1; aio threads;", main="thread_pool default threads=2;")
    for _ in range(20):
        connection = server.connect()
        connection.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        connection.close()
    assert server.get("/large").body == body_of(3000001)
    wait_until(lambda: not open_files(server, "www/large"), "descriptors to be closed")


@pytest.mark.parametrize("said", ["aio maybe;", "directio big;", "output_buffers 0 4k;"])
def test_wrong_words_are_refused(check, said):
    assert check("events {} http { %s server { listen 127.0.0.1:@port@; } }" % said).code == 1


@pytest.mark.weir_only("reads past the page cache with whatever alignment is said")
def test_an_alignment_is_a_power_of_two(check):
    assert check("events {} http { directio_alignment 1000; server { listen 127.0.0.1:@port@; } }").code == 1
