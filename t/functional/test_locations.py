"""Which server and which location takes a request, and where it may be sent on."""

import errno
import socket

import pytest

from harness import Connection, kernel, request_bytes
from harness.upstream import answer

IPPROTO_MPTCP, SOL_MPTCP, MPTCP_INFO = 262, 284, 1 # of the kernel's headers


def says(name):
    return f"{{ return 200 '{name}'; }}"


# Locations

PREFIXES = f"""
    location /            {says("root")}
    location = /          {says("exact root")}
    location /doc/        {says("doc")}
    location /doc/deep/   {says("deep")}
    location = /doc/exact {says("exact")}
    location ^~ /img/     {says("img")}
    location ~ \\.gif$    {says("gif")}
    location ~* \\.(jpg|png)$ {says("picture")}
    location ~ ^/doc/re   {says("first regex")}
    location ~ ^/doc/reg  {says("second regex")}
    location "/sp ace"    {says("space")}
"""


@pytest.mark.parametrize("target, name", [
    ("/", "exact root"), ("/x", "root"), ("/?x", "exact root"), ("/doc/", "doc"), ("/doc", "root"),
    ("/doc/x", "doc"), ("/doc/deep/x", "deep"), ("/doc/deep", "doc"), ("/doc/exact", "exact"),
    ("/doc/exact/", "doc"), ("/doc/exact?x", "exact"), ("/img/a.gif", "img"), ("/a.gif", "gif"),
    ("/doc/a.gif", "gif"), ("/a.GIF", "root"), ("/a.JPG", "picture"), ("/doc/regex", "first regex"),
    ("/sp%20ace", "space"), ("/doc%2Fdeep/x", "deep"), ("/x/../doc/y", "doc"),
    ("/./doc//deep/", "deep"),
    ("/%64oc/x", "doc"), ("/DOC/x", "root"), ("/doc/deep/../x", "doc"), ("/doc/..", "exact root"),
])
def test_the_location_is_chosen_by_nginxs_rules(weir, target, name):
    assert weir(PREFIXES).get(target).text == name


def test_locations_nest(weir):
    server = weir(f"""location /a/ {{
        location /a/b/ {says("b")}
        location ~ \\.x$ {says("x in a")}
        return 200 a; }}
        location ~ \\.x$ {says("x")}""")
    assert [server.get(t).text for t in ("/a/", "/a/b/c", "/a/c.x", "/c.x")] == [
        "a", "b", "x in a", "x"]


def test_merge_slashes_off_keeps_them_apart(weir):
    server = weir(f"merge_slashes off; location /a/b {says('one')} location / {says('other')}")
    assert [server.get(t).text for t in ("/a/b", "/a//b")] == ["one", "other"]


def test_captures_of_the_regex_are_variables(weir):
    server = weir(r"""location ~ "^/(?<year>\d{4})/(\w+)$" { return 200 "$year,$1,$2"; }""")
    assert server.get("/2026/nov").text == "2026,2026,nov"


def test_a_prefix_with_a_slash_that_proxies_redirects_to_itself(weir, upstream):
    server = weir("location /app/ { proxy_pass http://@upstream@; }")
    response = server.get("/app?x=1")
    assert response.status == 301
    assert response.headers["Location"] == f"http://localhost:{server.port}/app/?x=1"


def test_an_internal_location_is_404_from_outside(weir):
    server = weir("""location /in/ { internal; return 200 inside; }
                     error_page 403 /in/x; location /out { return 403; }""")
    assert server.get("/in/x").status == 404
    assert server.get("/out").text == "inside"


def test_what_is_inside_of_an_internal_location_is_internal(weir):
    server = weir("""location /in/ { internal; return 200 inside;
                         location /in/deep/ { return 200 deep; location ~ x$ { return 200 deeper; } } }
                     location /out { error_page 403 $arg_to; return 403; }""")
    for path, text in (("/in/deep/y", "deep"), ("/in/deep/x", "deeper")):
        assert server.get(path).status == 404
        assert server.get(f"/out?to={path}").text == text


def test_hundreds_of_locations_are_told_apart(weir):
    server = weir("".join(f"location /n{n}/ {says(n)}\n" for n in range(500)))
    for n in (0, 1, 42, 499):
        assert server.get(f"/n{n}/x").text == str(n)


# Servers

SERVERS = "".join(
    f"server {{ listen 127.0.0.1:@port@ {more}; server_name {names}; location / {says(label)} }}\n"
    for names, label, more in [
        ("_", "default", "default_server"),
        ("one.test www.one.test", "one", ""),
        ("*.wild.test", "head wildcard", ""),
        ("*.deep.wild.test", "longer wildcard", ""),
        ("tail.*", "tail wildcard", ""),
        (".both.test", "both", ""),
        ("exact.wild.test", "exact", ""),
        (r"~^r\d+\.test$", "regex", ""),
        (r"~^(?<sub>\w+)\.captured\.test$", "captured $sub", ""),
        ('""', "no name", ""),
    ])


@pytest.mark.parametrize("host, name", [
    ("one.test", "one"), ("www.one.test", "one"), ("ONE.test", "one"), ("one.test:8080", "one"),
    ("one.test.", "one"), ("x.wild.test", "head wildcard"), ("y.x.wild.test", "head wildcard"),
    ("wild.test", "default"), ("a.deep.wild.test", "longer wildcard"),
    ("tail.org", "tail wildcard"),
    ("tail.co.uk", "tail wildcard"), ("both.test", "both"), ("x.both.test", "both"),
    ("exact.wild.test", "exact"), ("r12.test", "regex"), ("rx.test", "default"),
    ("me.captured.test", "captured me"), ("other.test", "default"), ("127.0.0.1", "default"),
    ("[::1]", "default")])
def test_the_name_chooses_the_server(weir, host, name):
    assert weir(None, http=SERVERS).get("/", host=host).text == name


def test_no_host_at_all_is_the_empty_name(weir):
    assert weir(None, http=SERVERS).get("/", host=None, version="HTTP/1.0").text == "no name"


def test_the_address_chooses_before_the_name(weir):
    server = weir(None, http="""
        server { listen 127.0.0.1:@port@; server_name a.test; return 200 one; }
        server { listen 127.0.0.1:@port2@; server_name a.test; return 200 two; }
        server { listen 127.0.0.1:@port2@; server_name b.test; return 200 three; }""")
    assert server.get("/", host="a.test").text == "one"
    assert server.get("/", host="b.test").text == "one"
    assert server.get("/", host="a.test", port="port2").text == "two"
    assert server.get("/", host="b.test", port="port2").text == "three"


def test_a_wildcard_address_takes_what_no_other_has(weir):
    server = weir(None, http="""
        server { listen *:@port@; return 200 any; }
        server { listen 127.0.0.1:@port@; return 200 one; }""")
    assert server.get("/").text == "one"


@pytest.mark.parametrize("said", [
    "127.0.0.1:@port@", "*:@port@", "@port@", "0.0.0.0:@port@", "localhost:@port@",
    pytest.param("[::]:@port@ ipv6only=off", marks=pytest.mark.skipif(not kernel.has_ipv6(), reason="no IPv6 here"))])
def test_listen_takes_addresses_of_many_forms(weir, said):
    assert weir(f"listen {said}; return 200 x;").get("/").text == "x"


def test_listen_takes_a_unix_socket(weir, folder):
    weir("listen unix:@dir@/sock; return 200 $remote_addr;")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(folder.file("sock"))
        assert Connection(sock).request("/").text == "unix:"


def test_listen_options_are_taken(weir):
    server = weir("""listen 127.0.0.1:@port@ default_server reuseport backlog=1024 rcvbuf=64k
        sndbuf=64k deferred so_keepalive=30m::10 fastopen=16; listen 127.0.0.1:@port2@ so_keepalive=30m; return 200 x;""",
                  main="worker_processes 2;")
    assert all(server.get("/").status == 200 for _ in range(10))


def is_multipath(port):
    """Whether a client that offers Multipath TCP gets it, and an answer either way."""
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
    client.connect(("127.0.0.1", port))
    with Connection(client) as connection:
        assert connection.request("/").status == 200
        try:
            client.getsockopt(SOL_MPTCP, MPTCP_INFO, 8)
        except OSError as error:
            assert error.errno == errno.EOPNOTSUPP
            return False
        return True


@pytest.mark.weir_only("nginx has it from 1.29.7 on")
def test_multipath_is_for_those_who_want_it(check, weir):
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP).close()
    except OSError:
        pytest.skip("no Multipath TCP here")
    server = weir("listen 127.0.0.1:@port@ multipath; return 200 x;")
    assert is_multipath(server.port)
    assert server.get("/").status == 200
    server.reload()
    assert is_multipath(server.port)
    server.reload(server.config.replace(" multipath", ""))
    assert not is_multipath(server.port)
    server.reload(server.config.replace(f":{server.port};", f":{server.port} multipath;"))
    assert is_multipath(server.port)

    shared = "events {} http { server { listen unix:@dir@/shared multipath; } }"
    assert '"multipath" has no effect' in check(shared).err


# return

@pytest.mark.parametrize("said, status, text, location", [
    ("204", 204, "", None),
    ("404", 404, None, None),
    ("418", 418, "", None),
    ("200 text", 200, "text", None),
    ("201 'a\\nb'", 201, "a\nb", None),
    ("301 /x", 301, None, "http://localhost:@port@/x"),
    ("302 https://other.test$request_uri", 302, None, "https://other.test/a?b"),
    ("307 /y", 307, None, "http://localhost:@port@/y"),
    ("308 http://$host/z", 308, None, "http://localhost/z"),
    ("https://other.test/w", 302, None, "https://other.test/w"),
    ("http://other.test/w", 302, None, "http://other.test/w"),
])
def test_return_answers(weir, said, status, text, location):
    server = weir(f"location / {{ return {said}; }}")
    response = server.get("/a?b")
    assert response.status == status
    if text is not None:
        assert response.text == text
    if location:
        assert response.headers["Location"] == location.replace("@port@", str(server.port))


@pytest.mark.parametrize("status", [400, 413, 500, 501])
def test_what_ends_the_connection_does_so_behind_an_error_page(weir, status):
    server = weir(f"""error_page {status} /page; location = /page {{ return 200 page; }}
                      location / {{ return {status}; }}""")
    connection = server.connect()
    response = connection.request("/")
    assert response.status == status and response.text == "page"
    assert connection.is_closed()


def test_return_499_closes_without_a_word(weir):
    connection = weir("return 499;").connect()
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert connection.read_until_close() == b""


def test_return_444_closes_without_a_word(weir):
    connection = weir("return 444;").connect()
    connection.send(request_bytes("/"))
    assert connection.read_until_close() == b""


def test_return_takes_the_default_type(weir):
    server = weir("""location / { default_type application/json; return 200 '{}'; }
                     location /plain { return 200 x; }""")
    assert server.get("/").headers["Content-Type"] == "application/json"
    assert server.get("/plain").headers["Content-Type"] == "text/plain"


def test_the_text_of_a_return_is_not_sent_to_head(weir):
    connection = weir("location / { return 200 text; }").connect()
    for _ in range(2):
        assert connection.request("/", "HEAD").headers["Content-Length"] == "4"


@pytest.mark.parametrize("directive, location", [
    ("", "http://localhost:@port@/x"), ("port_in_redirect off;", "http://localhost/x"),
    ("server_name_in_redirect on; server_name named.test;", "http://named.test:@port@/x"),
    ("absolute_redirect off;", "/x")])
def test_redirects_name_this_server(weir, directive, location):
    server = weir(directive + "location / { return 301 /x; }")
    assert server.get("/").headers["Location"] == location.replace("@port@", str(server.port))


# Pages of errors

@pytest.mark.parametrize("status, words", [
    (400, "400 Bad Request"), (401, "401 Authorization Required"), (403, "403 Forbidden"),
    (404, "404 Not Found"), (405, "405 Not Allowed"), (413, "413 Request Entity Too Large"),
    (414, "414 Request-URI Too Large"), (429, "429 Too Many Requests"),
    (500, "500 Internal Server Error"), (501, "501 Not Implemented"), (502, "502 Bad Gateway"),
    (503, "503 Service Temporarily Unavailable"), (504, "504 Gateway Time-out"),
    (301, "301 Moved Permanently"), (302, "302 Found"), (308, "308 Permanent Redirect")])
def test_a_status_without_text_has_a_page(weir, binary, status, words):
    target = " /x" if status in (301, 302, 308) else ""
    response = weir(f"location / {{ return {status}{target}; }}").get("/")
    assert f"<title>{words}</title>" in response.text
    assert f"<h1>{words}</h1>" in response.text
    assert response.headers["Content-Type"] == "text/html"


def test_server_tokens_off_hides_the_version(weir, binary):
    response = weir("server_tokens off; location / { return 404; }").get("/")
    assert response.headers["Server"] == binary.name
    assert f"<center>{binary.name}</center>" in response.text


@pytest.mark.parametrize("said, status, text", [
    ("error_page 404 /page;", 404, "page"),
    ("error_page 404 =200 /page;", 200, "page"),
    ("error_page 404 = /page;", 200, "page"),
    ("error_page 403 404 500 /page;", 404, "page"),
    ("error_page 403 /page;", 404, None),
    ("error_page 404 @named;", 404, "named"),
    ("error_page 404 =203 @named;", 203, "named"),
    ("error_page 404 /page$uri;", 404, "page"),
])
def test_error_page_sends_on_inside(weir, said, status, text):
    server = weir(said + """location / { root @dir@/none; }
        location /page { return 200 page; } location @named { return 200 named; }""")
    response = server.get("/x")
    assert response.status == status
    if text:
        assert response.text == text


@pytest.mark.parametrize("said, status, location", [
    ("error_page 404 https://other.test/;", 302, "https://other.test/"),
    ("error_page 404 =301 https://other.test$uri;", 301, "https://other.test/x")])
def test_error_page_sends_on_outside(weir, said, status, location):
    response = weir(said + "location / { root @dir@/none; }").get("/x")
    assert (response.status, response.headers["Location"]) == (status, location)


def test_error_page_of_an_outer_level_is_replaced_not_added(weir):
    server = weir("""error_page 404 /outer; location / { root @dir@/none; }
        location /a { root @dir@/none; error_page 403 /inner; }
        location = /outer { return 200 outer; }""")
    assert server.get("/x").text == "outer"
    assert "404 Not Found" in server.get("/a").text


def test_error_page_that_fails_itself_ends(weir):
    server = weir("error_page 404 /missing; location / { root @dir@/none; }")
    assert server.get("/x").status == 404


def test_error_pages_that_send_each_other_on_end_in_500(weir):
    server = weir("""recursive_error_pages on; error_page 404 /a; error_page 403 /b;
        location /a { return 403; } location /b { return 404; }""")
    assert server.get("/a").status == 500
    assert server.wait_log(r"\[error\] .*rewrite or internal redirection cycle")


def test_error_page_asks_with_get(weir, upstream):
    server = weir("""error_page 404 /page; location / { root @dir@/none; }
                     location /page { proxy_pass http://@upstream@; }""")
    server.request("/x", "POST", body=b"")
    assert upstream.last.method == "GET"


def test_an_answer_of_the_origin_keeps_its_page_unless_intercepted(weir, upstream):
    upstream.answers(answer("theirs", "404 No"))
    server = weir("""error_page 404 /page; location = /page { return 200 ours; }
        location / { proxy_pass http://@upstream@; }
        location /i/ { proxy_pass http://@upstream@; proxy_intercept_errors on; }""")
    assert server.get("/").text == "theirs"
    assert (server.get("/i/").status, server.get("/i/").text) == (404, "ours")


def test_a_dead_origin_may_be_answered_by_another_location(weir, upstream):
    server = weir("""location / { proxy_pass http://127.0.0.1:@closed@; error_page 502 = @other; }
                     location @other { proxy_pass http://@upstream@; }""")
    response = server.get("/x?y")
    assert (response.status, response.text) == (200, "ok")
    assert upstream.last.target == "/x?y"


# Addresses of one port

BESIDE = "events {{}} http {{ server {{ listen @port@ {}; }} server {{ listen 127.0.0.1:@port@ {}; }} }}"


@pytest.mark.weir_only("nginx does not start where the kernel refuses the second socket")
@pytest.mark.parametrize("options", ["backlog=5", "bind", "reuseport", "so_keepalive=on"])
def test_options_that_a_wildcards_socket_overrides_are_warned_of(check, options):
    done = check(BESIDE.format("", options))
    assert done.code == 0 and 'socket options of "listen" 127.0.0.1:' in done.err


@pytest.mark.weir_only("nginx does not start where the kernel has no such option for it")
def test_workers_share_a_unix_socket_with_reuseport_too(check, weir, folder):
    shared = "server { listen unix:@dir@/shared reuseport; return 200 shared; }"
    assert '"reuseport" has no effect' in check(f"events {{}} http {{ {shared} }}").err
    weir("", http=shared, main="worker_processes 2;")
    client = socket.socket(socket.AF_UNIX)
    client.connect(folder.file("shared"))
    with Connection(client) as connection:
        assert connection.request("/").text == "shared"


def test_with_reuseport_both_have_sockets_of_their_own(check, weir):
    assert "socket options" not in check(BESIDE.format("reuseport", "reuseport")).err
    server = weir(http="server { listen @port@ reuseport; return 200 all; }"
                       "server { listen 127.0.0.1:@port@ reuseport; return 200 one; }", server=None)
    assert server.get("/").text == "one"
    with Connection(socket.create_connection(("127.0.0.2", server.port))) as elsewhere:
        assert elsewhere.request("/").text == "all"
