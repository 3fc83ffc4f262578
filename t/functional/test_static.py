"""Files: root, index, types, conditions and ranges."""

import os
import re
from email.utils import formatdate

import pytest

from harness import request_bytes
from harness.upstream import answer, body_of, digest

OLD = 1_600_000_000     # a moment that file times are set to


@pytest.fixture
def www(folder):
    """A tree of files under @dir@/www."""
    for name, content in {
            "page.html": b"<p>page", "a.txt": b"0123456789", "empty.txt": b"", "none": b"no type",
            "b.xyz": b"odd", "dir/index.html": b"index of dir", "dir2/main.htm": b"main",
            "bare/x.txt": b"x", "sp ace.txt": b"space", "per%cent.txt": b"percent",
            "ünï.txt": b"unicode", ".hidden": b"hidden", "UPPER.TXT": b"upper"}.items():
        path = folder.write(f"www/{name}", content)
        os.utime(path, (OLD, OLD))
    return folder


CONFIG = "root @dir@/www; types { text/html html htm; text/plain txt; } default_type x/default;"


def test_a_file_is_served_whole(weir, www):
    response = weir(CONFIG).get("/a.txt")
    assert (response.status, response.body) == (200, b"0123456789")
    assert response.headers["Content-Length"] == "10"
    assert response.headers["Last-Modified"] == "Sun, 13 Sep 2020 12:26:40 GMT"
    assert response.headers["ETag"] == f'"{OLD:x}-a"'
    assert response.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("target, kind", [
    ("/page.html", "text/html"), ("/a.txt", "text/plain"), ("/UPPER.TXT", "text/plain"),
    ("/b.xyz", "x/default"), ("/none", "x/default"), ("/dir/", "text/html")])
def test_the_ending_gives_the_type(weir, www, target, kind):
    assert weir(CONFIG).get(target).headers["Content-Type"] == kind


def test_types_of_a_location_replace_the_outer(weir, www):
    server = weir(CONFIG + "location /b { types { } default_type x/none; }"
                  " location /a { types { x/text txt; } }")
    assert server.get("/b.xyz").headers["Content-Type"] == "x/none"
    assert server.get("/a.txt").headers["Content-Type"] == "x/text"


@pytest.mark.parametrize("target, status, text", [
    ("/sp%20ace.txt", 200, "space"), ("/per%25cent.txt", 200, "percent"),
    ("/%C3%BCn%C3%AF.txt", 200, "unicode"), ("/%61.txt", 200, "0123456789"),
    ("/x/../a.txt", 200, "0123456789"), ("/dir/../a.txt?x=1", 200, "0123456789"),
    ("/.hidden", 200, "hidden"), ("/empty.txt", 200, ""),
    ("/missing", 404, None), ("/a.txt/", 404, None), ("/a.txt/x", 404, None),
    ("/bare/", 403, None), ("/" + "a" * 300, 404, None)])
def test_a_target_finds_its_file_or_not(weir, www, target, status, text):
    response = weir(CONFIG).get(target)
    assert response.status == status
    if text is not None:
        assert response.text == text


@pytest.mark.weir_only("nginx serves what lies above")
@pytest.mark.parametrize("target", ["/part../a.txt", "/part..", "/part..%2fa.txt", "/part%2e%2e/a.txt",
                                    "/part../dir/index.html"])
def test_an_alias_whose_location_ends_without_slash_leads_nowhere_else(weir, www, target):
    server = weir("location /part { alias @dir@/www/dir/; } location = /x { alias @dir@/www/a.txt; }")
    assert server.get(target).status == 404
    server.wait_log(r"\[error\] .*would leave the folder of \"alias\"")
    assert server.get("/part/index.html").text == "index of dir"
    assert server.get("/x").text == "0123456789"


NESTED = """location /st/ { alias @dir@/www/;
        location ~ [.]txt$ { add_header X-In regex; } location /st/dir/ { add_header X-In prefix; }
        location = /st/exact.html { add_header X-In exact; }
        if ($arg_x) { add_header X-In if; } }"""


@pytest.mark.parametrize("target, text, within", [
    ("/st/a.txt", "a", "regex"), ("/st/dir/file.html", "in dir", "prefix"), ("/st/exact.html", "exact", "exact"),
    ("/st/dir/b.txt", "b", "regex"), ("/st/exact.html?x=1", "exact", "exact")])
def test_an_alias_holds_in_locations_inside_of_its_own(weir, folder, target, text, within):
    """It stands for the name of the location that says it, wherever it is inherited."""
    for name, content in (("a.txt", "a"), ("dir/file.html", "in dir"), ("dir/b.txt", "b"), ("exact.html", "exact")):
        folder.write(f"nested/www/{name}", content)
    response = weir(NESTED.replace("@dir@", "@dir@/nested")).get(target)
    assert (response.status, response.text, response.headers.get("X-In")) == (200, text, within)


@pytest.mark.weir_only("nginx leaves the folder")
def test_nor_does_an_alias_lead_out_of_locations_inside(weir, folder):
    folder.write("nested/www/a.txt", "a")
    folder.write("nested/secret.txt", "secret")
    server = weir("location /st { alias @dir@/nested/www/; location ~ [.]txt$ { expires 1h; } location /st.. { } }")
    for path in ("/st../secret.txt", "/st../secret"):
        assert server.get(path).status == 404
    server.wait_log(r"would leave the folder of \"alias\"")


def test_a_file_that_is_missing_is_told_in_the_log(weir, www):
    server = weir(CONFIG)
    server.get("/missing")
    assert server.wait_log(r'\[error\] .*open\(\) ".*/www/missing" failed '
                           r"\(2: No such file or directory\), client: 127.0.0.1")


@pytest.mark.needs_root
def test_a_file_that_may_not_be_read_is_403(weir, www):
    os.chmod(www.file("www", "a.txt"), 0o600)
    server = weir(CONFIG)
    assert server.get("/a.txt").status == 403
    assert server.wait_log(r'open\(\) ".*/a.txt" failed \(13: Permission denied\)')


def test_a_folder_without_index_is_told_in_the_log(weir, www):
    server = weir(CONFIG)
    server.get("/bare/")
    assert server.wait_log(r'\[error\] .*directory index of ".*/www/bare/" is forbidden')


def test_a_folder_redirects_to_its_slash(weir, www):
    server = weir(CONFIG)
    response = server.get("/dir?x=1")
    assert response.status == 301
    assert response.headers["Location"] == f"http://localhost:{server.port}/dir/?x=1"


def test_index_is_index_html_unless_said(weir, www):
    server = weir(CONFIG)
    assert server.get("/dir/").text == "index of dir"
    assert server.get("/dir2/").status == 403


def test_index_names_files_in_order(weir, www):
    server = weir(CONFIG + "index none.html main.htm index.html;")
    assert server.get("/dir/").text == "index of dir"
    assert server.get("/dir2/").text == "main"


def test_index_may_end_in_another_location(weir, www):
    server = weir(CONFIG + "index none /fallback; location = /fallback { return 200 other; }")
    assert server.get("/bare/").text == "other"


def test_index_is_looked_for_in_the_location_that_it_leads_to(weir, www):
    server = weir(CONFIG + r"location ~ \.html$ { return 200 $uri; }")
    assert server.get("/dir/").text == "/dir/index.html"


def test_root_may_hold_variables(weir, folder):
    folder.write("sites/a.test/x", "of a")
    folder.write("sites/b.test/x", "of b")
    server = weir("root @dir@/sites/$host;")
    assert [server.get("/x", host=host).text for host in ("a.test", "b.test")] == ["of a", "of b"]


def test_a_location_may_have_a_root_of_its_own(weir, folder):
    folder.write("one/x", "one")
    folder.write("two/in/x", "two")
    server = weir("root @dir@/one; location /in/ { root @dir@/two; }")
    assert [server.get(target).text for target in ("/x", "/in/x")] == ["one", "two"]


@pytest.mark.parametrize("method, status", [("HEAD", 200), ("POST", 405), ("PUT", 405),
                                            ("DELETE", 405), ("OPTIONS", 405)])
def test_files_are_got_and_not_posted_to(weir, www, method, status):
    response = weir(CONFIG).request("/a.txt", method, body=None if method == "HEAD" else b"")
    assert response.status == status


def test_head_has_the_fields_of_get(weir, www):
    connection = weir(CONFIG).connect()
    got, head = connection.request("/a.txt"), connection.request("/a.txt", "HEAD")
    assert [pair for pair in got.headers if pair[0] != "Date"] == [
        pair for pair in head.headers if pair[0] != "Date"]
    assert connection.request("/a.txt").status == 200


# Conditions

@pytest.mark.parametrize("field, value, status", [
    ("If-Modified-Since", formatdate(OLD, usegmt=True), 304),
    ("If-Modified-Since", formatdate(OLD - 1, usegmt=True), 200),
    ("If-Modified-Since", "nonsense", 200),
    ("If-Unmodified-Since", formatdate(OLD - 1, usegmt=True), 412),
    ("If-Unmodified-Since", formatdate(OLD, usegmt=True), 200),
    ("If-None-Match", f'"{OLD:x}-a"', 304),
    ("If-None-Match", f'W/"{OLD:x}-a"', 304),
    ("If-None-Match", f'"x", "{OLD:x}-a"', 304),
    ("If-None-Match", "*", 304),
    ("If-None-Match", '"x"', 200),
    ("If-Match", f'"{OLD:x}-a"', 200),
    ("If-Match", "*", 200),
    ("If-Match", '"x"', 412),
])
def test_conditions_are_judged(weir, www, field, value, status):
    assert weir(CONFIG).get("/a.txt", headers={field: value}).status == status


def test_304_has_the_validators_and_no_length(weir, www):
    headers = weir(CONFIG).get("/a.txt", headers={"If-None-Match": "*"}).headers
    assert "ETag" in headers and "Last-Modified" in headers
    assert "Content-Length" not in headers and "Content-Type" not in headers


# Ranges

@pytest.mark.parametrize("said, status, body, span", [
    ("bytes=0-0", 206, b"0", "0-0/10"), ("bytes=2-4", 206, b"234", "2-4/10"),
    ("bytes=5-", 206, b"56789", "5-9/10"), ("bytes=-3", 206, b"789", "7-9/10"),
    ("bytes=0-99", 206, b"0123456789", "0-9/10"), ("bytes=-99", 206, b"0123456789", "0-9/10"),
    ("bytes=10-", 416, None, "*/10"), ("bytes=4-2", 416, None, "*/10"),
    ("bytes=x", 416, None, "*/10"), ("lines=1-2", 200, b"0123456789", None),
    ("bytes=", 200, b"0123456789", None),
    ("bytes=18446744073709551615-", 416, None, "*/10"),
    ("bytes=5-2,0-1", 206, b"01", "0-1/10"),
])
def test_a_range_is_cut_out(weir, www, said, status, body, span):
    response = weir(CONFIG).get("/a.txt", headers={"Range": said})
    assert response.status == status
    if body is not None:
        assert response.body == body
    assert response.headers.get("Content-Range") == (span and f"bytes {span}")


def test_a_range_of_an_origins_response_offers_no_more_of_them(weir, upstream):
    upstream.answers(answer("0123456789", headers={"Accept-Ranges": "bytes"}))
    server = weir("location / { proxy_pass http://@upstream@; proxy_force_ranges on; }")
    response = server.get("/", headers={"Range": "bytes=2-4"})
    assert response.status == 206 and response.body == b"234"
    assert "Accept-Ranges" not in response.headers


def test_several_ranges_come_in_parts(weir, www):
    response = weir(CONFIG).get("/a.txt", headers={"Range": "bytes=0-1,-2"})
    assert response.status == 206
    mark = re.fullmatch("multipart/byteranges; boundary=(.+)", response.headers["Content-Type"])
    parts = response.body.split(b"--" + mark.group(1).encode())
    assert len(parts) == 4 and parts[3].strip() == b"--"
    assert b"Content-Range: bytes 0-1/10\r\n\r\n01\r\n" in parts[1]
    assert b"Content-Range: bytes 8-9/10\r\n\r\n89\r\n" in parts[2]


def test_many_overlapping_ranges_do_not_multiply_the_file(weir, www):
    said = "bytes=" + ",".join(["0-"] * 50)
    response = weir(CONFIG).get("/a.txt", headers={"Range": said})
    assert len(response.body) <= 10 + 200


@pytest.mark.parametrize("validator, status", [
    (f'"{OLD:x}-a"', 206), ('"x"', 200), (formatdate(OLD, usegmt=True), 206),
    (formatdate(OLD - 5, usegmt=True), 200)])
def test_if_range_guards_the_range(weir, www, validator, status):
    headers = {"Range": "bytes=0-1", "If-Range": validator}
    assert weir(CONFIG).get("/a.txt", headers=headers).status == status


# Sizes

@pytest.mark.parametrize("sendfile", ["on", "off"])
@pytest.mark.parametrize("size", [1, 4096, 65536, 10_000_001])
def test_files_of_any_size_arrive_whole(weir, folder, sendfile, size):
    folder.write("www/big", body_of(size))
    connection = weir(f"sendfile {sendfile};" + CONFIG).connect()
    for _ in range(2):
        assert digest(connection.request("/big").body) == digest(body_of(size))


def test_a_file_arrives_whole_over_tls(weir, folder, certs):
    folder.write("www/big", body_of(5_000_000))
    server = weir(CONFIG + """listen 127.0.0.1:@tls_port@ ssl; ssl_certificate @certs@/a.crt;
                              ssl_certificate_key @certs@/a.key; sendfile on;""")
    assert digest(server.get("/big", tls=True).body) == digest(body_of(5_000_000))


def test_pipelined_files_come_in_order(weir, www):
    connection = weir(CONFIG).connect()
    connection.send(request_bytes("/a.txt") + request_bytes("/empty.txt") + request_bytes("/none"))
    assert [connection.read_response().text for _ in range(3)] == ["0123456789", "", "no type"]


SECRET = ["location ~ ^/re(.*)$ { alias @dir@/www/dir/$1; autoindex on; }",
          "location /var { root @dir@/www/dir/$arg_f; autoindex on; }",
          "location /set { set $f $arg_f; alias @dir@/www/dir/$f; autoindex on; }",
          "location /tries { root @dir@/www/dir; try_files /$arg_f =404; }",
          "location /named { root @dir@/www/dir; rewrite ^/named-(.*)$ /$1 break; }",
          "location /bare { root @dir@/www/dir; rewrite ^/bare/(.*)$ $1 break; }",
          "location /again { rewrite ^/again-(.*)$ /to/$1 last; } location /to { root @dir@/www/dir; }"]


@pytest.mark.weir_only("nginx serves what lies above")
@pytest.mark.parametrize("target", [
    "/re../a.txt", "/re../", "/re..", "/re%2e%2e%2fa.txt", "/re../../passwords", "/var/a.txt?f=..",
    "/var/?f=../../www", "/set?f=../a.txt", "/set/?f=../", "/tries?f=../a.txt", "/tries?f=x/../../a.txt",
    "/named-../a.txt", "/named-..", "/again-../a.txt", "/bare/2/main.htm"])
@pytest.mark.parametrize("more", ["", "gzip_static on; open_file_cache max=10;"])
def test_no_value_leads_out_of_a_folder(weir, www, target, more):
    server = weir(more + "\n".join(SECRET))
    response = server.get(target)
    assert response.status == 404 and b"0123456789" not in response.body and b"main" not in response.body
    if target in ("/re../a.txt", "/var/a.txt?f=..", "/named-..", "/again-../a.txt"):
        server.wait_log(r'\[error\] .*"\.\." came with a value')


def test_a_request_is_logged_where_its_file_has_no_name(weir, www, upstream):
    server = weir("""location /x/ { alias @dir@/www/; rewrite ^ /b break; }
        location /q/ { alias @dir@/www/; rewrite ^ /b; break; proxy_pass http://@upstream@/p/; }""",
        http="log_format s '$uri $status $request_filename'; access_log @dir@/s.log s;", alerts=["alias"])
    assert server.get("/x/f").status == 500
    assert server.get("/q/f").status == 200 and upstream.last.target == "/b"
    assert server.access_log(2, name="s.log") == ["/b 500 -", "/b 200 -"]


@pytest.mark.weir_only("nginx looks for @dir@/wwwa.txt")
def test_a_path_that_lost_its_slash_is_still_below_root(weir, www):
    server = weir("location /bare { root @dir@/www; rewrite ^/bare/(.*)$ $1 break; }")
    assert server.get("/bare/a.txt").text == "0123456789"


@pytest.mark.parametrize("location, target", [
    ("location /bare/ { alias @dir@/ww; rewrite ^/bare/(.*)$ $1 break; }", "/bare/012345w/a.txt"),
    ("location /img/ { alias @dir@/www/; rewrite ^/img/(.*)$ /$1 break; }", "/img/1234a.txt"),
    ("location /y { alias @dir@/ww; rewrite ^/y/(.*)$ $1; break; }", "/y/XXw/a.txt"),
    ("location ~ ^/re/ { alias @dir@/www/a.txt; rewrite ^ /b break; }", "/re/x"),
])
def test_alias_stands_for_no_path_that_was_rewritten(weir, www, location, target):
    server = weir(location, alerts=["alias"])  # nginx's is one
    assert server.get(target).status == 500
    server.wait_log(r'"alias" cannot be used in location "[^"]*" where URI was rewritten')


def test_dots_that_the_configuration_wrote_are_followed(weir, www):
    server = weir("""location ~ ^/re/(.*)$ { alias @dir@/www/dir/../$1; }
                     location /dir { root @dir@/www/dir/..; }
                     location /a.txt { set $www www; root @dir@/$www/dir/../; }
                     location /dots { alias @dir@/www/dir/index..html; }""")
    os.link(www.file("www", "a.txt"), www.file("www", "dir", "index..html"))
    assert server.get("/re/a.txt").text == "0123456789"
    assert server.get("/dir/index.html").text == "index of dir"
    assert server.get("/a.txt").text == "0123456789"
    assert server.get("/dots").text == "0123456789"


def test_types_may_be_given_in_several_blocks(weir, folder):
    """As after `include mime.types;`. A level that has some has none of the outer ones."""
    for name in ("a.x", "a.y", "a.z"):
        folder.write("www/" + name, "1")
    server = weir("""root @dir@/www; types { t/x x; } types { t/y y; }
                     location /in/ { alias @dir@/www/; types { t/z z; } types { t/xx x; } }""",
                  http="default_type t/default; types { t/outer z; }")
    def kinds(prefix):
        return [server.get(f"{prefix}a.{end}").headers["Content-Type"] for end in "xyz"]
    assert kinds("/") == ["t/x", "t/y", "t/default"]
    assert kinds("/in/") == ["t/xx", "t/default", "t/z"]
