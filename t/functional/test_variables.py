"""What each variable says."""

import os
import re
import socket

import pytest

from harness import request_bytes
from harness.wire import chunked

CHUNKED = {"Transfer-Encoding": "chunked"}


def told(weir, text, target="/", **request):
    return weir(f"location / {{ return 200 \"{text}\"; }}").get(target, **request).text


@pytest.mark.parametrize("name, target, request_, value", [
    ("request_method", "/", {}, "GET"),
    ("request_uri", "/a%20b?c=d", {}, "/a%20b?c=d"),
    ("uri", "/a%20b//c/../d?e", {}, "/a b/d"),
    ("document_uri", "/a?b", {}, "/a"),
    ("args", "/a?b=c&d", {}, "b=c&d"),
    ("query_string", "/a?b=c&d", {}, "b=c&d"),
    ("is_args", "/a?b", {}, "?"),
    ("is_args", "/a", {}, ""),
    ("is_args", "/a?", {}, ""),
    ("arg_one", "/?one=1&two=2", {}, "1"),
    ("arg_two", "/?one=1&two=2", {}, "2"),
    ("arg_ONE", "/?one=1", {}, "1"),
    ("arg_one", "/?xone=1", {}, ""),
    ("arg_one", "/?one=%41+b", {}, "%41+b"),
    ("request", "/a?b", {}, "GET /a?b HTTP/1.1"),
    ("server_protocol", "/", {}, "HTTP/1.1"),
    ("scheme", "/", {}, "http"),
    ("https", "/", {}, ""),
    ("host", "/", {"host": "A.test:81"}, "a.test"),
    ("http_host", "/", {"host": "A.test:81"}, "A.test:81"),
    ("server_name", "/", {"host": "x"}, ""),
    ("remote_addr", "/", {}, "127.0.0.1"),
    ("server_addr", "/", {}, "127.0.0.1"),
    ("http_x_some_field", "/", {"headers": {"X-Some-Field": "v"}}, "v"),
    ("http_user_agent", "/", {"headers": {"User-Agent": "me/1"}}, "me/1"),
    ("http_x_none", "/", {}, ""),
    ("http_cookie", "/", {"headers": [("Cookie", "a=1"), ("Cookie", "b=2")]}, "a=1; b=2"),
    ("cookie_a", "/", {"headers": {"Cookie": "x=0; a=1; b=2"}}, "1"),
    ("cookie_c", "/", {"headers": {"Cookie": "a=1"}}, ""),
    ("cookie_a", "/", {"headers": {"Cookie": "a=1 2  ; b=3"}}, "1 2  "),
    ("cookie_a", "/", {"headers": {"Cookie": "a  =  1; b=3"}}, "1"),
    ("cookie_b", "/", {"headers": {"Cookie": "a=1,b=3"}}, "3"),
    ("cookie_a", "/", {"headers": {"Cookie": "aa=1; b a=2; A=3"}}, "3"),
    ("http_x_forwarded_for", "/", {"headers": [("X-Forwarded-For", "1"), ("X-Forwarded-For", "2")]},
     "1, 2"),
    ("content_type", "/", {"headers": {"Content-Type": "x/y"}}, "x/y"),
    ("content_length", "/", {"body": b"four", "method": "POST"}, "4"),
    ("remote_user", "/", {"headers": {"Authorization": "Basic bWU6c2VjcmV0"}}, "me"),
    ("connection_requests", "/", {}, "1"),
    ("request_completion", "/", {}, ""),
    ("pipe", "/", {}, "."),
    ("proxy_add_x_forwarded_for", "/", {}, "127.0.0.1"),
    ("limit_rate", "/", {}, "0"),
    ("status", "/", {}, "200"),
    ("document_root", "/", {}, "@dir@"),
    ("request_filename", "/a", {}, "@dir@/a"),
])
def test_a_variable_says(weir, folder, name, target, request_, value):
    server = weir(f"root @dir@; location / {{ return 200 \"${name}\"; }}")
    assert server.request(target, **request_).text == value.replace("@dir@", folder.path)


@pytest.mark.parametrize("name, pattern", [
    ("remote_port", r"\d{4,5}"), ("server_port", r"\d{4,5}"), ("connection", r"\d+"),
    ("connection_time", r"\d+\.\d{3}"), ("request_time", r"\d+\.\d{3}"), ("msec", r"\d{10}\.\d{3}"),
    ("pid", r"\d+"), ("request_id", r"[0-9a-f]{32}"),
    ("time_local", r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}"),
    ("time_iso8601", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d"),
    pytest.param("time_iso8601_ms", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d",
                 marks=pytest.mark.weir_only("nginx has it since 1.29.8")),
    ("nginx_version", r"\d+\.\d+\.\d+.*"), ("request_length", r"\d+"), ("tcpinfo_rtt", r"\d+"),
])
def test_a_variable_looks_like(weir, name, pattern):
    assert re.fullmatch(pattern, told(weir, f"${name}"))


def test_hostname_is_this_machines(weir):
    assert told(weir, "$hostname") == socket.gethostname()


def test_server_name_is_the_first_that_is_said(weir):
    server = weir("server_name one.test two.test; location / { return 200 $server_name; }")
    assert server.get("/", host="two.test").text == "one.test"


def test_host_is_the_server_name_where_none_is_sent(weir):
    server = weir("server_name one.test; location / { return 200 $host; }")
    assert server.get("/", host=None, version="HTTP/1.0").text == "one.test"


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("headers, body", [
    ({}, bytes(5000)), (CHUNKED, chunked(bytes(5000), b"more")), (CHUNKED, chunked()),
    (CHUNKED, b"0005;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n")], ids=["length", "chunks", "no chunk", "odd chunks"])
def test_request_length_counts_head_and_body_as_they_came(weir, upstream, headers, body, buffering):
    server = weir(f"location / {{ proxy_pass http://@upstream@; proxy_request_buffering {buffering}; }}",
                  http="log_format n '$request_length'; access_log @dir@/n.log n;")
    server.request("/", "POST", headers=headers, body=body)
    assert server.access_log(name="n.log") == [
        str(len(request_bytes("/", "POST", headers=headers, body=body)))]


def test_request_id_differs_by_request(weir):
    connection = weir("location / { return 200 $request_id; }").connect()
    assert len({connection.request("/").text for _ in range(10)}) == 10


def test_request_id_is_one_within_a_request(weir):
    one, two = told(weir, "$request_id $request_id").split()
    assert one == two


def test_connection_numbers_connections(weir):
    server = weir("location / { return 200 $connection.$connection_requests; }")
    first, second = server.connect(), server.connect()
    said = [c.request("/").text.split(".") for c in (first, first, second)]
    assert said[0][0] == said[1][0] != said[2][0]
    assert [requests for _, requests in said] == ["1", "2", "1"]


def test_pipe_tells_of_pipelining(weir):
    connection = weir("location / { return 200 $pipe; }").connect()
    connection.send(request_bytes("/") * 3)
    assert "".join(connection.read_response().text for _ in range(3)) == ".pp"


def test_set_assigns(weir):
    server = weir("""set $a one; set $b "$a-$request_method"; set $a two;
                     location / { return 200 "$a $b"; }""")
    assert server.get("/").text == "two one-GET"


def test_a_variable_of_another_location_is_empty_and_warned_of(weir):
    server = weir("location / { return 200 \"[$a]\"; } location /b { set $a x; return 200 $a; }")
    assert server.get("/").text == "[]"
    assert server.wait_log(r'\[warn\] .*using uninitialized "a" variable')


def test_a_long_value_is_whole(weir):
    assert told(weir, "$request_uri$request_uri", "/" + "x" * 3000) == ("/" + "x" * 3000) * 2


def test_pid_is_a_worker(weir):
    server = weir("location / { return 200 $pid; }")
    assert int(server.get("/").text) in server.wait_workers()


def test_the_environment_is_not_shown(weir):
    os.environ.setdefault("WEIR_TEST_SECRET", "x")
    with pytest.raises(AssertionError, match='unknown "env_path" variable'):
        weir("return 200 $env_path;", alerts=["unknown"], exit_code=1)
