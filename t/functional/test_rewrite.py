"""rewrite, set, if, break, return."""

import pytest

OUT = 'location /out { return 200 "$uri?$args"; }'


@pytest.mark.parametrize("rule, target, said", [
    ("rewrite ^/in/(.*)$ /out/$1;", "/in/a?b", "/out/a?b"),
    ("rewrite ^/in/(.*)$ /out/$1 last;", "/in/a%20b", "/out/a b?"),
    ("rewrite ^/in/(.*)$ /out?y=$1;", "/in/a?b", "/out?y=a&b"),
    ("rewrite ^/in/(.*)$ /out?y=$1?;", "/in/a?b", "/out?y=a"),
    ("rewrite ^/in/(.*)$ /out?;", "/in/a?b", "/out?"),
    ("rewrite ^/in/(.*)$ /out?y=$1;", "/in/a%26b", "/out?y=a%26b"),
    ("rewrite ^/in/(?<name>.*)$ /out/$name;", "/in/x", "/out/x?"),
    ("rewrite ^/in/ /mid/; rewrite ^/mid/ /out/; rewrite ^/in/ /never;", "/in/", "/out/?"),
    ("rewrite ^/in/ /out/1 last; rewrite ^ /out/2;", "/in/", "/out/1?"),
    ("rewrite ^/other /x; rewrite ^ /out/$arg_a;", "/in/?a=1", "/out/1?a=1"),
    ("set $args z=1; rewrite ^ /out;", "/in/?a", "/out?z=1"),
])
@pytest.mark.parametrize("where", ["location", "server"])
def test_rewrite_changes_path_and_arguments(weir, where, rule, target, said):
    config = f"location /in/ {{ {rule} }}" if where == "location" else rule
    if where == "server" and ("/mid/" in rule or "^ " in rule):
        config = f"if ($uri ~ ^/in/) {{ {rule} }}"
    assert weir(config + OUT).get(target).text == said


@pytest.mark.parametrize("rule, target, status, location", [
    ("rewrite ^/in/(.*)$ /x/$1 redirect;", "/in/a%20b?q=1", 302, "http://localhost:@port@/x/a%20b?q=1"),
    ("rewrite ^/in/(.*)$ /x/$1 permanent;", "/in/a", 301, "http://localhost:@port@/x/a"),
    ("rewrite ^/in/(.*)$ https://h.test/$1;", "/in/a?b", 302, "https://h.test/a?b"),
    ("rewrite ^/in/(.*)$ https://h.test/$1? permanent;", "/in/a?b", 301, "https://h.test/a"),
    ("rewrite ^/in/(.*)$ $scheme://h.test/y?z=$1;", "/in/a", 302, "http://h.test/y?z=a"),
    ("rewrite ^/in/(.*)$ /x?a=$1 redirect;", "/in/a%20b%26c", 302,
     "http://localhost:@port@/x?a=a%20b%26c"),
])
def test_rewrite_redirects(weir, rule, target, status, location):
    server = weir(f"location /in/ {{ {rule} }}")
    response = server.get(target)
    assert response.status == status
    assert response.headers["Location"] == location.replace("@port@", str(server.port))


@pytest.mark.weir_only("nginx begins the arguments at an escaped question mark")
def test_an_escaped_question_mark_stays_in_the_path(weir):
    server = weir("location /in/ { rewrite ^/in/(.*)$ https://h.test/$1 redirect; }")
    assert server.get("/in/a%3Fb").headers["Location"] == "https://h.test/a%3Fb"


def test_break_stays_in_the_location(weir, folder):
    folder.write("www/out/x", "file")
    server = weir("root @dir@/www; location /in/ { rewrite ^/in/(.*)$ /out/$1 break; }"
                  "location /two/ { rewrite ^/two/(.*)$ /out/$1; break; rewrite ^ /never; }" + OUT)
    assert [server.get(target).text for target in ("/in/x", "/two/x")] == ["file", "file"]


def test_rewriting_in_a_circle_ends(weir):
    server = weir("location / { rewrite ^ /again last; }")
    assert server.get("/").status == 500
    assert server.wait_log(r"\[error\] .*rewrite or internal redirection cycle while processing")


@pytest.mark.parametrize("condition, target, holds", [
    ("($arg_a)", "/?a=1", True), ("($arg_a)", "/?a=0", False), ("($arg_a)", "/", False),
    ("($arg_a = b)", "/?a=b", True), ("($arg_a = b)", "/?a=c", False), ("($arg_a = $arg_b)", "/?a=1&b=1", True),
    ("($arg_a != b)", "/?a=c", True), ('($arg_a = "")', "/", True), ('($arg_a = "b c")', "/?a=b", False),
    ("($arg_a ~ ^b)", "/?a=bc", True), ("($arg_a ~ ^b)", "/?a=BC", False), ("($arg_a ~* ^b)", "/?a=BC", True),
    ("($arg_a !~ ^b)", "/?a=bc", False), ("($arg_a !~* ^b)", "/?a=c", True), ("( $arg_a )", "/?a=1", True),
    ("($request_method = POST)", "/", False), ("(-f @dir@/file)", "/", True), ("(!-f @dir@/file)", "/", False),
    ("(-d @dir@/folder)", "/", True), ("(-f @dir@/folder)", "/", False), ("(-e @dir@/folder)", "/", True),
    ("(!-e @dir@/none)", "/", True), ("(-x @dir@/file)", "/", False), ("(-f @dir@$uri)", "/file", True),
])
@pytest.mark.parametrize("where", ["location", "server"])
def test_conditions(weir, folder, where, condition, target, holds):
    folder.write("file", "x")
    folder.write("folder/x", "x")
    inner = f"if {condition} {{ return 200 yes; }} return 200 no;"
    config = f"location / {{ {inner} }}" if where == "location" else inner
    assert weir(config).get(target).text == ("yes" if holds else "no")


@pytest.mark.parametrize("condition", ["$arg_a", "(a = b)", "($arg_a == b)", "($arg_a ~)", "()",
                                       "(-q x)", "($a b c d)", "($arg_a"])
def test_wrong_conditions_are_refused(check, condition):
    result = check(f"events {{}} http {{ server {{ if {condition} {{ return 200; }} }} }}")
    assert result.code == 1 and "[emerg]" in result.err


def test_captures_of_a_condition_are_for_what_follows(weir):
    server = weir("""location / { if ($arg_a ~ "(.)(.)") { set $b "$2$1"; } return 200 "$b"; }""")
    assert server.get("/?a=xy").text == "yx"


def test_settings_of_the_last_if_that_held_apply(weir):
    server = weir("""location / { add_header X-Out 1; if ($arg_a) { add_header X-A 1; }
        if ($arg_b) { add_header X-B 1; } try_files /none /ok; } location = /ok { return 200; }
        location /set { set $v 1; if ($arg_a) { set $v 2; } add_header X-V $v; return 200 $v; }""")
    assert server.get("/set?a=1").text == "2"
    server2 = server.get("/set")
    assert (server2.text, server2.headers["X-V"]) == ("1", "1")


def test_an_if_has_what_the_location_has(weir, folder):
    folder.write("www/x.txt", "file")
    server = weir("""location /files/ { alias @dir@/www/; types { x/y txt; }
        if ($arg_a) { add_header X-A 1; } }""")
    for target, added in (("/files/x.txt", False), ("/files/x.txt?a=1", True)):
        response = server.get(target)
        assert (response.text, response.headers["Content-Type"]) == ("file", "x/y")
        assert ("X-A" in response.headers) == added


def test_rewrite_log_tells(weir):
    server = weir("error_log @dir@/error.log notice; rewrite_log on; location /in/ {"
                  "rewrite ^/no /x; rewrite ^/in/(.*)$ /out/$1?a=$1 last; }" + OUT)
    server.get("/in/b")
    assert server.wait_log(r'\[notice\] .*"\^/no" does not match "/in/b"')
    assert server.wait_log(r'\[notice\] .*"\^/in/\(\.\*\)\$" matches "/in/b"')
    assert server.wait_log(r'\[notice\] .*rewritten data: "/out/b", args: "a=b"')


def test_the_warning_of_unset_variables_may_be_off(weir):
    server = weir("""uninitialized_variable_warn off; location / { return 200 "[$a]"; }
                     location /b { set $a x; }""")
    assert server.get("/").text == "[]"
    assert "uninitialized" not in server.log()


def test_the_servers_program_runs_before_the_locations(weir):
    server = weir("""set $a server; location / { set $b "$a, location"; return 200 $b; }
                     location /in/ { return 200 $a; }""")
    assert [server.get(target).text for target in ("/", "/in/")] == ["server, location", "server"]


@pytest.mark.parametrize("status, has_body", [(204, False), (304, False), (200, False)])
def test_return_of_a_code_alone(weir, status, has_body):
    connection = weir(f"location / {{ return {status}; }}").connect()
    for _ in range(2):
        response = connection.request("/")
        assert (response.status, response.body) == (status, b"")


def test_a_text_keeps_error_pages_away(weir):
    server = weir("""error_page 403 /page; location / { return 403 "text"; } location /made { return 403 $arg_none; }
                     location /bare { return 403; } location /empty { return 403 ""; } location = /page { return 200 page; }""")
    assert [server.get(path).text for path in ("/made", "/empty")] == ["", "page"]
    assert (server.get("/").status, server.get("/").text) == (403, "text")
    assert (server.get("/bare").status, server.get("/bare").text) == (403, "page")
