"""What nginx.conf files in the wild are made of: each idiom does here what it does in nginx."""

import re

import pytest

from harness.upstream import answer

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


def echo(peer):
    request = peer.request
    return answer(f"{request.method} {request.target} {request.headers.get('X-User', '-')}".encode())


def site(peer):
    """Statuses by path, and who is let in by a field."""
    status = re.search(r"/st/(\d+)", peer.request.target)
    if peer.request.target == "/auth":
        return answer(b"", {"good": "200 OK", "bad": "403 No"}.get(peer.request.headers.get("X-Token"), "401 Who"),
                      [("X-User", "joe"), ("WWW-Authenticate", "Bearer")])
    return answer(b"origin", f"{status.group(1)} Said") if status else echo(peer)


def test_a_file_given_by_x_accel_redirect_has_the_origins_type(weir, upstream, folder):
    folder.write("files/secret.bin", b"secret")
    upstream.answers(answer(b"", headers=[
        ("X-Accel-Redirect", "/protected/secret.bin"), ("Content-Type", "application/x-foo"),
        ("Content-Disposition", "attachment"), ("Set-Cookie", "a=b"), ("X-Custom", "c"),
        ("Last-Modified", DATE), ("ETag", '"origin"')]))
    server = weir("""location / { proxy_pass http://@upstream@; add_header X-Outer o; }
                     location /protected/ { internal; alias @dir@/files/; add_header X-Inner i; }""")
    said = server.get("/")
    assert said.body == b"secret" and said.headers["Content-Type"] == "application/x-foo"
    assert said.headers["Content-Disposition"] == "attachment" and said.headers["Set-Cookie"] == "a=b"
    assert said.headers["X-Inner"] == "i" and "X-Outer" not in said.headers and "X-Custom" not in said.headers
    assert said.headers["Last-Modified"] != DATE and said.headers["ETag"] != '"origin"'
    assert server.get("/protected/secret.bin").status == 404


def test_an_error_page_has_no_time_of_its_own(weir, folder):
    folder.write("www/50x.html", b"sorry")
    server = weir("root @dir@/www; error_page 503 /50x.html; error_page 404 =200 /50x.html;"
                  "location /a { return 503; } location = /50x.html { internal; }")
    page = server.get("/a")
    assert page.status == 503 and page.body == b"sorry" and "Last-Modified" not in page.headers
    assert "Last-Modified" in server.get("/nothing").headers


def test_maintenance_by_a_file(weir, folder):
    folder.write("www/maint.html", b"later")
    server = weir("""root @dir@/www; error_page 503 @maint; location @maint { rewrite ^ /maint.html break; }
                     location / { if (-f $document_root/maint.html) { return 503; } return 200 up; }""")
    assert (server.get("/x").status, server.get("/x").text) == (503, "later")
    assert server.request("/x", "POST", body=b"d").status == 405


def test_statuses_of_origins_become_pages_redirects_and_answers(weir, upstream, folder):
    upstream.answers(site)
    folder.write("www/a.txt", b"a file")
    server = weir("""root @dir@/www;
        location /in/ { proxy_pass http://@upstream@/; proxy_intercept_errors on;
            error_page 404 = @nf; error_page 403 =200 /a.txt;
            error_page 410 https://gone.test/x; }
        location /out/ { proxy_pass http://@upstream@/; error_page 404 /a.txt; }
        location @nf { return 404 "$uri $request_uri $upstream_status"; }""")
    assert server.get("/in/st/404?q").text == "/in/st/404 /in/st/404?q 404"
    assert server.request("/in/st/404", "POST", body=b"x").status == 404
    assert (server.get("/in/st/403").status, server.get("/in/st/403").text) == (200, "a file")
    assert server.get("/in/st/410").headers["Location"] == "https://gone.test/x"
    assert server.get("/in/st/418").text == server.get("/out/st/404").text == "origin"


def test_who_is_not_let_in_is_sent_to_log_in(weir, upstream):
    upstream.answers(site)
    server = weir("""
        location / { auth_request /authz; auth_request_set $user $upstream_http_x_user;
            error_page 401 = @login; proxy_set_header X-User $user; add_header X-U $user;
            proxy_pass http://@upstream@; }
        location @login { return 302 /login?to=$request_uri; }
        location = /authz { internal; proxy_pass http://@upstream@/auth; proxy_pass_request_body off;
            proxy_set_header Content-Length ""; proxy_set_header X-Token $http_x_token; }""")
    sent = server.get("/page?x")
    assert sent.status == 302 and sent.headers["Location"].endswith("/login?to=/page?x")
    assert server.get("/page", headers=[("X-Token", "bad")]).status == 403
    inside = server.request("/page", "POST", headers=[("X-Token", "good")], body=b"x")
    assert inside.text == "POST /page joe" and inside.headers["X-U"] == "joe"


@pytest.mark.parametrize("path, said", [
    ("/old/a/b?old=1&z=2", "GET /new/a/b"), ("/old/a/b?z=2", "GET /old/a/b?z=2"),
    ("/m/v2/users?a=b", "GET /v2-api/users?a=b"), ("/m/x", "GET /none?"),
    ("/fixed/foo?x=1", "GET /at"), ("/caught/a/b?z=1", "GET /a/b?z=1"),
])
def test_where_requests_go_is_worked_out(weir, upstream, path, said):
    upstream.answers(echo)
    server = weir("""
        set $back @upstream@;
        location /old/ { if ($arg_old) { rewrite ^/old/(.*)$ /new/$1? break; } proxy_pass http://@upstream@; }
        location /m/ { proxy_pass http://$back$mapped?$args; }
        location /fixed/ { proxy_pass http://$back/at; }
        location ~ ^/caught/(.*)$ { proxy_pass http://$back/$1$is_args$args; }""",
        http=r'map $uri $mapped { ~^/m/(?<ver>v\d+)/(?<rest>.*)$ /$ver-api/$rest; default /none; }')
    assert server.get(path).text == said + " -"


def test_an_error_page_goes_before_a_redirect_inside(weir, upstream):
    upstream.answers(answer(b"", "500 Oops", [("X-Accel-Redirect", "/x"), ("Content-Type", "a/b")]))
    server = weir("""location / { proxy_pass http://@upstream@; proxy_intercept_errors on; error_page 500 /page; }
                     location /accel/ { proxy_pass http://@upstream@/; }
                     location /x { return 200 inside; } location /page { return 200 page; }""")
    assert (server.get("/").status, server.get("/").text) == (500, "page")
    inside = server.get("/accel/")
    assert (inside.status, inside.text, inside.headers["Content-Type"]) == (200, "inside", "a/b")


@pytest.mark.parametrize("target, location", [
    ("/dir", "/dir/"), ("/dir?q=1", "/dir/?q=1"), ("/dir/sub", "/dir/sub/"), ("/empty", "/empty/"),
    ("/alias", "/alias/"), ("/alias/sub", "/alias/sub/")])
def test_a_folder_that_try_files_finds_is_redirected_to_with_its_slash(weir, folder, target, location):
    """Else links of its index would lead elsewhere."""
    folder.write("www/dir/index.html", b"index")
    folder.write("www/dir/sub/index.html", b"sub")
    folder.write("www/empty/a", b"a")
    server = weir("""root @dir@/www; absolute_redirect off;
                     location / { try_files $uri $uri/ /index.php?$args; }
                     location /alias { alias @dir@/www/dir; try_files $uri $uri/ =404; }""")
    said = server.get(target)
    assert (said.status, said.headers["Location"]) == (301, location)
    assert server.get(location).text == {"/empty/": server.get("/empty/").text}.get(
        location, "sub" if "sub" in location else "index")


@pytest.mark.parametrize("target, status, seen", [
    ("/app/a.txt", 200, "a"), ("/app/sub/b.txt", 200, "b"), ("/app/none", 200, "front"), ("/app/sub", 200, "front"),
    ("/left/a.txt", 200, "a"), ("/left/sub", 301, "/left/sub/"), ("/left/none", 404, None), ("/uri/a.txt", 404, None)])
def test_try_files_looks_behind_an_alias_that_a_regex_made(weir, folder, target, status, seen):
    for name, text in (("a.txt", "a"), ("sub/b.txt", "b"), ("front.php", "front")):
        folder.write("www/" + name, text)
    server = weir(r"""absolute_redirect off;
        location ~ ^/app/(.*)$ { alias @dir@/www/$1; try_files "" /front; }
        location ~ ^/left/(.*)$ { alias @dir@/www/; try_files $1 $1/ =404; }
        location ~ ^/uri/(.*)$ { alias @dir@/www/$1; try_files $uri =404; }
        location = /front { alias @dir@/www/front.php; }""")
    response = server.get(target)
    assert response.status == status
    assert seen in (None, response.headers.get("Location"), response.text)


def test_a_variable_of_a_condition_may_have_a_dash(weir):
    """As Go's "?go-get=1" is told from browsers."""
    server = weir("if ($arg_go-get = 1) { return 200 go; } set $a-b.c 1; if ($a-b.c) { return 200 set; }")
    assert [server.get(path).text for path in ("/?go-get=1", "/?go=1")] == ["go", "set"]


def test_error_pages_follow_one_another_as_where_the_first_was_shown_says(weir):
    server = weir("""location /on { recursive_error_pages on; error_page 404 = @a; return 404; }
                     location /off { error_page 404 = @on; return 404; }
                     location @a { error_page 403 = @b; return 403; }
                     location @on { recursive_error_pages on; error_page 403 = @b; return 403; }
                     location @b { return 200 b; }""")
    assert server.get("/on").text == "b"
    assert server.get("/off").status == 403


def test_the_pages_of_old_redirects_name_no_charset(weir):
    server = weir("charset utf-8; location / { return 302 /x; }"
                  + "location /p { return 301 /x; } location /n { return 404; }")
    assert server.get("/").headers["Content-Type"] == "text/html"
    assert server.get("/p").headers["Content-Type"] == "text/html"
    assert server.get("/n").headers["Content-Type"] == "text/html; charset=utf-8"


def test_what_try_files_goes_on_to_may_have_its_arguments_from_a_variable(weir, upstream):
    upstream.answers(echo)
    server = weir("""location / { try_files $uri $uri/ /index.php$request_uri; }
                     location ~ \\.php(?:$|/) { proxy_pass http://@upstream@; }
                     location /said/ { try_files /none /made$request_uri; }
                     location /made/ { return 200 "$uri $args"; }""")
    assert server.get("/foo?a=b&c=%20d").text == "GET /index.php/foo?a=b&c=%20d -"
    assert server.get("/foo").text == "GET /index.php/foo -"
    assert server.get("/said/x?a=b?c").text == "/made/said/x a=b?c"


@pytest.mark.parametrize("target", [
    "/in/../secret/x", "/in/%2e%2e/secret/x", "/in/a/%2e./../b", "/in/a%2F..%2F..%2Fsecret", "/in/..", "/in/a#/../../secret/x",
    "../secret/x", "/in/%00"])
def test_x_accel_redirect_leads_to_no_other_folder_than_it_names(weir, upstream, target):
    upstream.answers(answer(b"", headers=[("X-Accel-Redirect", target)]))
    server = weir("""location / { proxy_pass http://@upstream@; }
                     location /in/ { internal; return 200 in; } location /secret/ { internal; return 200 secret; }
                     location = /b { return 200 b; }""")
    assert server.get("/").status == 404


@pytest.mark.parametrize("target, path", [
    ("/in/..x", "/in/..x "), ("/in/x..", "/in/x.. "), ("/in/a%20b", "/in/a b "), ("/in/a#b", "/in/a#b "),
    ("/in/./a", "/in/a "), ("/in//%2e/a", "/in/a "), ("/in/x?a=/../", "/in/x a=/../"), ("/in/x%3Fy", "/in/x?y ")])
def test_x_accel_redirect_names_a_path_and_arguments(weir, upstream, target, path):
    upstream.answers(answer(b"", headers=[("X-Accel-Redirect", target)]))
    server = weir("""location / { proxy_pass http://@upstream@; }
                     location /in/ { internal; return 200 "$uri $args"; }""")
    assert server.get("/").text == path
