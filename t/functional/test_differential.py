"""
The same requests through nginx and through weir, with the same configuration: what the origin saw, and what the client got.
A difference that EXPLAINED does not name fails the test, and so does an explanation that nothing needs.
"""

import os
import random
import re

import pytest

from harness import Binary, Server
from harness.server import Folder, compose
from harness.upstream import answer
from harness.wire import Truncated

NGINX = "/usr/sbin/nginx"
REQUESTS = 500

HTTP = """
    upstream back { server @upstream@; keepalive 8; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    large_client_header_buffers 4 8k;
    merge_slashes on;
"""
SERVER = """
    location / { proxy_pass http://back; }
    location /uri/ { proxy_pass http://back/base/; }
    location /noslash { proxy_pass http://back/other; }
    location /var/ { proxy_pass http://back$request_uri; }
    location /norm/ { proxy_pass http://back$uri$is_args$args; }
    location ~ ^/re/(.*)$ { proxy_pass http://back/x/$1?$args; }
    location /rw/ { rewrite ^/rw/(.*)$ /w/$1 break; proxy_pass http://back; }
    location /rwq/ { rewrite ^/rwq/(.*)$ /w/$1?y=1 break; proxy_pass http://back; }
    location /set/ { set $x $arg_a; add_header X-Arg "$x"; proxy_pass http://back; }
    location /deny/ { deny all; }
    location /moved/ { return 301 /there$uri; }
    location /text/ { return 200 "$uri|$args|$request_method"; }
    location /put/ { limit_except GET HEAD { deny all; } proxy_pass http://back; }
    location /cookie/ { add_header X-Cookie "$cookie_a|$http_x_one" always; proxy_pass http://back; }
    location /raw/ { proxy_pass_request_headers off; proxy_pass http://back; }
    location /nobody/ { proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_pass http://back; }
"""
LOCATIONS = ["/", "/uri/", "/noslash", "/var/", "/norm/", "/re/", "/rw/", "/rwq/", "/set/", "/deny/", "/moved/",
             "/text/", "/put/", "/cookie/", "/raw/", "/nobody/"]
SEGMENTS = ["a", "b.html", "%20", "%2F", "%2f", "%41", "%7E", "~", "..", ".", "", "...", "a+b", "a;b=c", "a%3Bb",
            "caf\u00e9", "%C3%A9", "%c3%a9", ":", "@", "a&b", "a=b", "'", "%27", "!", "$", "*", "(x)", "[x]", "%5B",
            "{x}", "|", "^", "\\", "%5C", "\"", "<", ">", "`", "%25", "%", "%4", "%zz", "%00", "%0a", "%3F", "%23",
            "index.php", "a" * 200]
QUERIES = ["", "?", "?a=1", "?a=1&b=2", "?a=%20x", "?a=/../", "??", "?a=\u00e9", "?a=%zz", "?a=%00", "?a=<>", "?#x", "#x"]
METHODS = ["GET"] * 8 + ["HEAD", "POST", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "LOCK", "TRACE",
                         "BREW", "get", "CONNECT"]
FIELDS = [("Accept", "*/*"), ("Accept-Encoding", "gzip, br"), ("Cookie", "a=1"), ("Cookie", "a=2; b=3"),
          ("X-One", "1"), ("x-one", "2"), ("X-Empty", ""), ("X_Under", "x"), ("X-Forwarded-For", "192.0.2.1"),
          ("X-Forwarded-For", "unknown"), ("TE", "trailers"), ("Referer", "http://x/?a b"), ("X-Long", "y" * 3000),
          ("User-Agent", "test/1.0 (x; y)"), ("If-Modified-Since", "Sat, 21 Nov 2026 10:00:00 GMT"),
          ("Range", "bytes=0-1"), ("Connection", "close"), ("Connection", "keep-alive"), ("Keep-Alive", "5"),
          ("Upgrade", "h2c"), ("Proxy-Connection", "close"), ("Authorization", "Basic eDp5"), ("X-Spaces", "a  b\tc"),
          ("X-Utf", "caf\u00e9"), ("Origin", "null"), ("Via", "1.1 x"), ("Expect", "nothing"), ("X.Dot", "d"),
          ("Trailer", "X-T"), ("Proxy", "http://evil/"), ("Max-Forwards", "0")]


def requests():
    """The same ones each time."""
    chance = random.Random(20261127)
    for number in range(REQUESTS):
        method = chance.choice(METHODS)
        path = chance.choice(LOCATIONS)
        path += "/".join(chance.choice(SEGMENTS) for _ in range(chance.randrange(4)))
        target = path + chance.choice(QUERIES)
        fields = [("Host", chance.choice(["localhost", "LocalHost", "localhost:80", "a.test", "localhost."]))]
        fields += chance.sample(FIELDS, chance.randrange(5))
        body = b""
        if method in ("POST", "PUT", "PATCH", "DELETE") and chance.random() < 0.8:
            body = b"b" * chance.choice([0, 1, 100, 20000])
            if chance.random() < 0.3:
                fields.append(("Transfer-Encoding", "chunked"))
                body = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
            else:
                fields.append(("Content-Length", str(len(body))))
        lines = [f"{method} {target} HTTP/1.1"] + [f"{name}: {value}" for name, value in fields]
        yield number, method, "\r\n".join(lines + ["", ""]).encode("utf-8", "replace") + body


OURS = {"server", "date", "connection", "keep-alive"}


def seen_by_origin(request):
    """Its line, its fields in no order but that of equal names, its body."""
    fields = sorted(((name.lower(), value) for name, value in request.headers), key=lambda field: field[0])
    return request.line, fields, request.body


def seen_by_client(response):
    if response is None:
        return None
    if response.status >= 300:
        return response.status, response.headers.get("Location"), None
    fields = sorted((name.lower(), value) for name, value in response.headers if name.lower() not in OURS)
    return response.status, fields, response.body


def ask(server, upstream, method, data):
    before = len(upstream.requests)
    with server.connect() as connection:
        connection.send_what_fits(data)
        try:
            response = connection.read_response(method)
        except Truncated:
            response = None
    passed = upstream.requests[before:]
    got = seen_by_client(response)
    if got is not None:
        got = got[0], same_port(got[1], server), got[2]
    return (seen_by_origin(passed[0]) if passed else None), got


def same_port(what, server):
    """The port of absolute redirects is each server's own."""
    if isinstance(what, list):
        return [(name, same_port(value, server)) for name, value in what]
    return re.sub(rf":{server.port}\b", ":PORT", what) if isinstance(what, str) else what


@pytest.fixture
def start_both(binary, folder, ports, new_upstream):
    """Starts nginx and weir, each with an origin of its own that answers so."""
    if binary.is_nginx or not os.access(NGINX, os.X_OK):
        pytest.skip("takes weir and nginx")
    second = Folder(ports, None)
    started = []

    def start(server, answers):
        for program, place in ((Binary(NGINX), second), (binary, folder)):
            upstream = new_upstream().answers(answers)
            config = compose(server, HTTP, is_nginx=program.is_nginx)
            started.append((Server(program, place, config, (), (), None, 0, True, {"upstream": upstream}), upstream))
        return started

    yield start
    problems = [problem for server, _ in started for problem in server.finish()]
    second.remove()
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


def text_of(data):
    return data.split(b"\r\n\r\n")[0].decode("utf-8", "replace")[:400]


# Fields of one connection: they end here (RFC 9110, 7.6.1), and weir keeps connections where nginx 1.22 was not told to.
HOP_BY_HOP = {"connection", "proxy-connection", "trailer"}


def but_for_hop_by_hop(outcome):
    seen, got = outcome
    return seen and (seen[0], [field for field in seen[1] if field[0] not in HOP_BY_HOP], seen[2]), got


# Why they may differ: a name, and whether it is so, of nginx's outcome and weir's.
EXPLAINED = {
    "fields of one connection":
        lambda theirs, ours: but_for_hop_by_hop(theirs) == but_for_hop_by_hop(ours),
    "a space out of a variable, which nginx sends as it is":
        lambda theirs, ours: theirs[0] and theirs[0][0].count(" ") > 2 and "%20" in ours[0][0],
    "CONNECT is a method that is not allowed":
        lambda theirs, ours: (theirs, ours) == ((None, (400, None, None)), (None, (405, None, None))),
}


def compare(both, cases, explained):
    """Of cases (name, method, request, what to show), those that differ without a reason fail the test."""
    (nginx, origin_of_nginx), (weir, origin_of_weir) = both
    unexplained, used = [], set()
    for number, method, data, shown in cases:
        theirs = ask(nginx, origin_of_nginx, method, data)
        ours = ask(weir, origin_of_weir, method, data)
        if theirs == ours:
            continue
        why = next((word for word, holds in explained.items() if holds(theirs, ours)), None)
        if why is None:
            unexplained.append(f"--- {number}\n{shown}\n  nginx {str(theirs)[:600]}\n  weir  {str(ours)[:600]}")
        else:
            used.add(why)
    assert not unexplained, f"{len(unexplained)} differences\n" + "\n".join(unexplained)
    assert used == set(explained)


def test_requests_pass_as_with_nginx_but_for_what_is_explained(start_both):
    both = start_both(SERVER, lambda peer: answer(
        b"body of " + peer.request.target.encode("latin-1"),
        headers={"X-Method": peer.request.method, "Set-Cookie": "c=d"}))
    compare(both, ((number, method, data, text_of(data)) for number, method, data in requests()), EXPLAINED)


# ---- the other way: what origins answer

RESPONSES = 300
SERVER_OF_RESPONSES = """
    # The origin closes after each answer: a connection that is kept could be met dying.
    proxy_http_version 1.0;
    error_page 404 500 503 /page;
    location = /page { return 200 "a page"; }
    location /buf/ { proxy_pass http://@upstream@/; }
    location /nobuf/ { proxy_pass http://@upstream@/; proxy_buffering off; }
    location /show/ { proxy_pass http://@upstream@/; proxy_intercept_errors on; }
    location /hide/ { proxy_pass http://@upstream@/; proxy_hide_header X-One; proxy_pass_header Server;
                      proxy_ignore_headers X-Accel-Redirect; }
    location /change/ { proxy_pass http://@upstream@/; proxy_redirect http://origin.test/ /moved/;
                        proxy_redirect ~^(/deep)(.*) http://$host$1$2; proxy_cookie_path /a /b;
                        proxy_cookie_domain origin.test client.test; }
    location /x/ { return 200 "inside"; }
"""
STATUSES = ["200 OK"] * 8 + ["200", "200 ", "201 Made", "204 No Content", "206 Partial Content", "301 Moved", "302 Found",
                             "304 Not Modified", "400 Bad", "401 Who", "404 Not Found", "418 Tea pot", "500 Oops",
                             "503 Busy", "599 X", "299 Y"]
ANSWERED = ["Content-Type: text/html", "Content-Type: text/html; charset=utf-8", "content-type: a/b", "X-One: 1",
            "x-one: 2", "X-Empty:", "X-Spaces:   a  b  ", "X_Under: x", "X.Dot: d", "Server: origin/1", "X-Powered-By: y",
            "Date: Sat, 21 Nov 2026 10:00:00 GMT", "Last-Modified: Sat, 21 Nov 2026 10:00:00 GMT", 'ETag: "e"', "ETag: W/\"e\"",
            "Expires: 0", "Cache-Control: no-cache", "Cache-Control: private", "Vary: Accept", "Set-Cookie: a=b; Path=/a/x",
            "Set-Cookie: c=d; domain=.origin.test; HttpOnly", "Set-Cookie: e", "Location: http://origin.test/there?x",
            "Location: /deep/er", "Location: relative", "Refresh: 3; url=http://origin.test/r", "Accept-Ranges: bytes",
            "Content-Range: bytes 0-3/9", "Content-Language: en", "Content-Encoding: br", "Connection: close",
            "Connection: X-One", "Keep-Alive: timeout=5", "Upgrade: h2c", "Via: 1.1 x", "Link: </a>; rel=preload",
            "X-Accel-Expires: 5", "X-Accel-Buffering: no", "X-Accel-Limit-Rate: 100000", "X-Accel-Redirect: /x/y",
            "X-Long: " + "y" * 3000, "X-Utf: caf\u00e9", "WWW-Authenticate: Basic realm=x", "Age: 5", "Trailer: X-T"]


def responses():
    """Path, method, and the origin's bytes; it closes after them.  The same ones each time."""
    chance = random.Random(20261128)
    for number in range(RESPONSES):
        status = chance.choice(STATUSES)
        lines = [f"HTTP/1.{chance.choice('1110')} {status}"] + chance.sample(ANSWERED, chance.randrange(6))
        body = b"0123456789" * chance.choice([0, 1, 1, 3000])
        if status[:3] in ("204", "304"):
            body = b""
        framing = chance.choice(["length"] * 3 + ["chunked"] * 3 + ["close", "short", "long", "half chunk"])
        if framing in ("length", "short", "long"):
            lines.append(f"Content-Length: {len(body) + {'length': 0, 'short': 7, 'long': -3}[framing] * bool(body)}")
        elif framing != "close" and lines[0].startswith("HTTP/1.1"):
            lines.append("Transfer-Encoding: chunked")
            body = (b"%x;ext=1\r\n%s\r\n" % (len(body), body) if body else b"") + (
                b"0\r\nX-T: t\r\n\r\n" if framing == "chunked" else b"a\r\nhalf")
        end = chance.choice(["\r\n"] * 5 + ["\n"])
        head = end.join(lines + ["", ""]).encode("utf-8")
        place = chance.choice(["/buf/", "/buf/", "/nobuf/", "/show/", "/hide/", "/change/"])
        yield f"{place}{number}", chance.choice(["GET"] * 4 + ["HEAD", "POST"]), head, body


def test_responses_pass_as_with_nginx_but_for_what_is_explained(start_both):
    said = {path.rsplit("/", 1)[1]: (head, body) for path, _, head, body in responses()}

    def answers(peer):
        head, body = said[peer.request.target.strip("/")]
        peer.send(head + (b"" if peer.request.method == "HEAD" else body))
        peer.close()

    compare(start_both(SERVER_OF_RESPONSES, answers),
            ((path, method, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode(),
              f"{method} {head[:500]!r} {body[:40]!r}") for path, method, head, body in responses()),
            EXPLAINED_OF_RESPONSES)


def without(outcome, *names):
    """What the client got but for these fields."""
    status, fields, body = outcome[1] or (None, None, None)
    return outcome[0], (status, fields and [field for field in fields if field[0] not in names], body)


EXPLAINED_OF_RESPONSES = {
    "204 has no Content-Length (RFC 9110, 8.6)":
        lambda theirs, ours: ours[1][0] == 204
        and without(theirs, "content-length", "trailer", "upgrade") == without(ours, "trailer", "upgrade"),
    "of two Content-Types the last, without the charset of the first":
        lambda theirs, ours: without(theirs, "content-type", "trailer") == without(ours, "content-type", "trailer")
        and theirs[1][1] and "charset" in dict(theirs[1][1]).get("content-type", ""),
    "fields of one connection":
        lambda theirs, ours: without(theirs, "trailer", "upgrade") == without(ours, "trailer", "upgrade"),
}
