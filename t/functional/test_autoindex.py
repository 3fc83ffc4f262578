"""autoindex and charset."""

import json
import os
import re
import xml.etree.ElementTree

import pytest

from harness.upstream import answer

OLD = 1_600_000_000
CONFIG = "root @dir@/www; autoindex on;"


@pytest.fixture
def www(folder):
    for name in ("b.txt", "a.txt", "sub/x", "<&>.txt", "a:b", ".hidden", "x" * 60):
        folder.write(f"www/{name}", b"12345")
    for name in os.listdir(folder.file("www")):
        os.utime(folder.file("www", name), (OLD, OLD))
    return folder


def test_a_folder_is_listed(weir, www):
    lines = weir(CONFIG).get("/").text.split("\r\n")
    assert lines[1] == "<head><title>Index of /</title></head>"
    assert lines[3] == '<h1>Index of /</h1><hr><pre><a href="../">../</a>'
    assert lines[4].startswith('<a href="sub/">sub/</a>   ') and lines[4].endswith("   -")
    assert lines[6] == ('<a href="a.txt">a.txt</a>' + " " * 46
                        + "13-Sep-2020 12:26                   5")
    assert not any("hidden" in line for line in lines)


def test_names_cannot_be_markup_or_schemes(weir, www):
    text = weir(CONFIG).get("/").text
    assert '<a href="%3C%26%3E.txt">&lt;&amp;&gt;.txt</a>' in text
    assert '<a href="a%3Ab">a:b</a>' in text
    assert '">' + "x" * 47 + "..&gt;</a>" in text


def test_json_and_xml(weir, www):
    server = weir(CONFIG + """location /j/ { alias @dir@/www/; autoindex_format json; }
                              location /x/ { alias @dir@/www/; autoindex_format xml; }""")
    response = server.get("/j/")
    assert response.headers["Content-Type"] == "application/json"
    rows = {row["name"]: row for row in json.loads(response.body)}
    assert rows["a.txt"] == {"name": "a.txt", "type": "file", "size": 5,
                             "mtime": "Sun, 13 Sep 2020 12:26:40 GMT"}
    assert rows["sub"]["type"] == "directory" and "size" not in rows["sub"]
    tree = xml.etree.ElementTree.fromstring(server.get("/x/").body)
    assert [item.text for item in tree][0] == "sub"
    assert tree[1].attrib == {"mtime": "2020-09-13T12:26:40Z", "size": "5"}


def test_jsonp_calls_the_function_that_is_asked_for(weir, www):
    server = weir(CONFIG + "autoindex_format jsonp;")
    plain = server.get("/")
    assert plain.headers["Content-Type"] == "application/json" and plain.text.endswith("}\r\n]")
    called = server.get("/?x=1&callback=my.list_1")
    assert called.headers["Content-Type"] == "application/javascript"
    assert called.text == f"/* callback */\r\nmy.list_1({plain.text});"
    for name in "a%20b", "alert(1)", "<x>", "a[0]":
        assert server.get("/?callback=" + name).status == 400


def test_rounded_sizes_stand_in_a_narrow_column(weir, www):
    lines = weir(CONFIG + "autoindex_exact_size off;").get("/").text.split("\r\n")
    assert re.search(r"\d\d:\d\d       -$", lines[4])
    assert lines[6].endswith("13-Sep-2020 12:26       5")


@pytest.mark.parametrize("size, shown", [
    (9999, "9999"), (10000, "10K"), (10751, "10K"), (10752, "11K"), (2**20 - 1, "1024K"), (2**20, "1M"),
    (2**20 * 3 // 2, "2M"), (2**30 - 1, "1024M"), (2**30, "1G"), (2**30 * 3 // 2 - 1, "1G")])
def test_sizes_are_rounded_from_10000_bytes_on(weir, www, size, shown):
    with open(www.file("www/sized"), "wb") as file:
        file.truncate(size)
    assert re.search(rf">sized</a> .* {shown}\r\n", weir(CONFIG + "autoindex_exact_size off;").get("/").text)


def test_index_comes_first_and_missing_is_404(weir, www):
    server = weir(CONFIG + "index a.txt;")
    assert server.get("/").text == "12345"
    assert server.get("/none/").status == 404


@pytest.mark.parametrize("config, kind", [
    ("charset utf-8;", "text/plain; charset=utf-8"), ("", "text/plain"),
    ("charset utf-8; default_type image/png;", "image/png"),
    ("charset koi8-r; charset_types image/png; default_type image/png;", "image/png; charset=koi8-r"),
    ("charset utf-8; default_type 'text/html; charset=x';", "text/html; charset=x"),
    ("charset off;", "text/plain")])
def test_charset_is_named(weir, config, kind):
    server = weir(config + "location / { return 200 x; }")
    assert server.get("/").headers["Content-Type"] == kind


def test_charset_is_named_of_what_is_compressed(weir, folder):
    folder.write("a.txt.gz", b"gz")
    server = weir("charset utf-8; gzip_static always; root @dir@;")
    assert server.get("/a.txt").headers["Content-Type"] == "text/plain; charset=utf-8"
