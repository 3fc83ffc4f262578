"""access_log and log_format."""

import json
import os
import re
import socket

import pytest

from harness import wait_until
from harness.upstream import answer
from harness.wait import TIMEOUT


def logged(weir, text, target="/", escape="", **request):
    """The line that a log_format of the text gives."""
    server = weir("location / { return 200 x; }",
                  http=f"log_format own {escape} {text}; access_log @dir@/own.log own;")
    server.get(target, **request)
    return server.access_log(name="own.log")[0]


def test_combined_is_the_format_unless_said(weir):
    server = weir("location / { return 200 text; }")
    server.get("/a?b", headers={"User-Agent": "me/1", "Referer": "http://r.test/"})
    assert re.fullmatch(
        r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] '
        r'"GET /a\?b HTTP/1\.1" 200 4 "http://r\.test/" "me/1"', server.access_log()[0])


def test_what_is_missing_is_a_hyphen(weir):
    assert logged(weir, "'$remote_user|$http_referer|$upstream_addr|$cookie_x'") == "-|-|-|-"


def test_counts_and_times(weir):
    line = logged(weir, "'$status|$body_bytes_sent|$bytes_sent|$request_length|$request_time'")
    status, body, sent, length, time = line.split("|")
    assert (status, body) == ("200", "1")
    assert int(sent) > 100 and int(length) == len("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert re.fullmatch(r"\d+\.\d{3}", time)


@pytest.mark.parametrize("escape, value, shown", [
    ("", 'a"b\\c', r"a\x22b\x5Cc"), ("escape=default", 'a"b\\c', r"a\x22b\x5Cc"),
    ("escape=json", 'a"b\\c', r'a\"b\\c'), ("escape=none", 'a"b\\c', 'a"b\\c'),
    ("", "tab\there", r"tab\x09here"), ("escape=json", "tab\there", r"tab\there"),
    ("", "caf\xe9", r"caf\xE9"), ("", "", "-"), ("escape=json", "", ""), ("escape=none", "", "")])
def test_values_are_escaped(weir, escape, value, shown):
    line = logged(weir, "'[$http_x_v]'", escape=escape, headers={"X-V": value} if value else {})
    assert line == f"[{shown}]"


def test_json_lines_parse(weir):
    line = logged(weir, """'{"uri":"$request_uri","agent":"$http_user_agent"}'""",
                  "/a?%22", escape="escape=json", headers={"User-Agent": 'x"\\\t{}'})
    assert json.loads(line) == {"uri": "/a?%22", "agent": 'x"\\\t{}'}


def test_a_request_cannot_forge_a_line(weir):
    server = weir("location / { return 200 x; }")
    server.exchange(b"GET /%0a1.2.3.4 HTTP/1.1\r\nHost: a\r\nUser-Agent: x\" 200 0\r\n\r\n")
    lines = server.access_log()
    assert len(lines) == 1 and r"x\x22 200 0" in lines[0]


def test_access_log_off_is_silent(weir):
    server = weir("""location / { return 200 x; }
                     location /quiet { access_log off; return 200 x; }""")
    server.get("/quiet")
    server.get("/loud")
    assert "/loud" in server.access_log()[0]


def test_several_logs_each_get_the_line(weir):
    server = weir("""location / { access_log @dir@/one.log; access_log @dir@/two.log short;
                     return 200 x; }""", http="log_format short $status;")
    server.get("/")
    assert '"GET / ' in server.access_log(name="one.log")[0]
    assert server.access_log(name="two.log") == ["200"]


def test_if_chooses_what_is_logged(weir):
    server = weir("location / { access_log @dir@/some.log combined if=$arg_log; return 200 x; }")
    for target in ("/?log=1&a", "/?log=0&b", "/?log=&c", "/?d", "/?log=yes&e"):
        server.get(target)
    lines = server.access_log(2, name="some.log")
    assert [re.search("&(.)", line).group(1) for line in lines] == ["a", "e"]


def test_a_buffered_log_is_written_in_time(weir):
    server = weir("""location / { access_log @dir@/b.log combined buffer=32k flush=200ms;
                                  return 200 x; }""")
    server.get("/one")
    assert "/one" in server.access_log(name="b.log")[0]


def test_a_buffered_log_is_written_at_the_end(weir):
    server = weir("location / { access_log @dir@/b.log combined buffer=32k; return 200 x; }")
    server.get("/one")
    server.stop()
    assert "/one" in server.access_log(name="b.log")[0]


@pytest.mark.parametrize("how", ["", "buffer=4k flush=10ms"])
def test_the_error_log_says_that_lines_are_lost(weir, how):
    server = weir(f"location / {{ access_log /dev/full combined {how}; return 200 x; }}",
                  alerts=[r'write\(\) to "/dev/full" failed'])
    server.get("/")
    server.wait_log(r'\[alert\] .*write\(\) to "/dev/full" failed \(28: No space left on device\)')


def test_a_log_may_be_named_by_a_variable(weir, folder):
    os.mkdir(folder.file("by-host"))
    os.chmod(folder.file("by-host"), 0o777)
    # Such a log is written only where the request's root is a folder.
    server = weir("root @dir@; location / { access_log @dir@/by-host/$host.log; return 200 x; }")
    for host in ("a.test", "b.test"):
        server.get("/", host=host)
        assert len(server.access_log(name=f"by-host/{host}.log")) == 1


def test_syslog_is_an_access_log(weir, folder, binary):
    path = folder.file("syslog")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(path)
        os.chmod(path, 0o777)
        log.settimeout(TIMEOUT)
        server = weir(f"location / {{ access_log syslog:server=unix:{path},nohostname,tag=t own; "
                      "return 200 x; }", http="log_format own 'said $uri';")
        server.get("/a")
        text = log.recv(4096).decode()
    assert re.fullmatch(r"<190>\w\w\w [ \d]\d \d\d:\d\d:\d\d t: said /a", text)


@pytest.mark.parametrize("request_, status, line", [
    (b"nonsense\r\n\r\n", 400, "nonsense"), (b"GET / HTTP/1.1\r\n\r\n", 400, "GET / HTTP/1.1"),
    (b"GET / HTTP/9.9\r\n\r\n", 505, "GET / HTTP/9.9"), (b"\x16\x03\x01\0\xa5", 400, r"\x16\x03\x01\x00\xA5"),
    (b"GET /\x1b[2J HTTP/1.1\r\n\r\n", 400, r"GET /\x1B[2J HTTP/1.1"),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414, None)])
def test_what_the_parser_refuses_is_logged_too(weir, request_, status, line):
    server = weir("location / { return 200 x; }")
    server.exchange(request_)
    logged = server.access_log()[0]
    assert f'" {status} ' in logged
    assert (f'] "{line}" {status}' if line else '] "GET /aaaa') in logged


def test_a_connection_without_a_request_is_not_logged(weir):
    server = weir("location / { return 200 x; }")
    server.connect().close()
    server.get("/")
    assert len(server.access_log()) == 1


def test_each_request_of_a_connection_is_logged(weir):
    server = weir("location / { return 200 x; }")
    connection = server.connect()
    for n in range(5):
        connection.request(f"/{n}")
    asked = [re.search(r"GET (/\d)", line).group(1) for line in server.access_log(5)]
    assert asked == ["/0", "/1", "/2", "/3", "/4"]


def test_the_time_counts_the_origins(weir, upstream):
    upstream.answers(answer("x"))
    server = weir("location / { proxy_pass http://@upstream@; }",
                  http="""log_format t '$request_time $upstream_response_time '
                                        '$upstream_connect_time $upstream_header_time';
                          access_log @dir@/t.log t;""")
    server.get("/")
    assert re.fullmatch(r"(\d+\.\d{3} ){3}\d+\.\d{3}", server.access_log(name="t.log")[0])


def test_a_client_that_leaves_is_499(weir, upstream):
    upstream.answers(lambda peer: peer.wait_gone())
    server = weir("location / { proxy_pass http://@upstream@; }")
    connection = server.connect()
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    upstream.wait_requests(1)
    connection.reset()
    wait_until(lambda: '" 499 ' in server.read("access.log"), "the line")
