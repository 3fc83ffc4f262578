"""auth_request: another location, often an origin of its own, is asked whether a request may pass."""

import pytest

@pytest.mark.parametrize("answer, status", [
    ("return 200;", 200),
    ("return 204;", 200),
    ("return 401;", 401),
    ("return 403;", 403),
    ("return 404;", 500),
    ("return 500;", 500),
    ("return 302 /x;", 500),
])
def test_the_answer_decides(weir, answer, status):
    # "return" runs before access: the content is a file, so that there is something to let by.
    server = weir("""
        root @dir@;
        location /     { auth_request /auth; }
        location /auth { internal; %s }
    """ % answer)
    server.folder.write("page", "content")
    response = server.get("/page")
    assert response.status == status
    assert (response.text == "content") == (status == 200)


def test_the_subrequest_has_the_head_and_no_body(weir, upstream):
    upstream.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    server = weir("""
        location /     { auth_request /auth; proxy_pass http://@upstream@; }
        location /auth { internal; proxy_pass http://@upstream@; }
    """)
    assert server.request("/page?a=b", "POST", [("X-Token", "t")], b"12345").status == 200
    asked, passed = upstream.requests
    assert asked.line == "GET /auth HTTP/1.1"
    assert asked.headers["x-token"] == "t"
    assert "content-length" not in asked.headers
    assert passed.line == "POST /page?a=b HTTP/1.1"
    assert passed.body == b"12345"


def test_the_challenge_of_who_was_asked_reaches_the_client(weir, upstream):
    upstream.answers(b'HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm="r"\r\nContent-Length: 2\r\n\r\nno')
    server = weir("""
        location /     { auth_request /auth; root @dir@; }
        location /auth { internal; proxy_pass http://@upstream@; }
    """)
    response = server.get("/page")
    assert response.status == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="r"'


def test_a_variable_of_the_answer_goes_to_the_origin(weir, upstream):
    upstream.answers(b"HTTP/1.1 200 OK\r\nX-User: me\r\nContent-Length: 0\r\n\r\n")
    server = weir("""
        location / {
            auth_request     /auth;
            auth_request_set $user $upstream_http_x_user;
            proxy_set_header X-Seen $user;
            proxy_pass       http://@upstream@;
        }
        location /auth { internal; proxy_pass http://@upstream@; }
    """)
    assert server.get("/page").status == 200
    assert upstream.requests[1].headers["x-seen"] == "me"


def test_the_connection_is_kept_and_each_request_is_asked_for(weir, upstream):
    upstream.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    server = weir("""
        location /     { auth_request /auth; proxy_pass http://@upstream@; }
        location /auth { internal; proxy_pass http://@upstream@; }
    """)
    connection = server.connect()
    for _ in range(5):
        connection.send(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.read_response().status == 200
    assert len(upstream.requests) == 10


def test_a_client_that_leaves_while_it_is_asked_leaves_nothing_behind(weir, upstream):
    upstream.answers(lambda peer: peer.wait_gone())
    server = weir("""
        location /     { auth_request /auth; proxy_pass http://@upstream@; }
        location /auth { internal; proxy_pass http://@upstream@; }
    """)
    connection = server.connect()
    connection.send(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
    upstream.wait_requests(1)
    connection.close()
    server.wait_log("client prematurely closed connection")
    upstream.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert server.get("/page").status == 200


def test_a_dead_origin_is_500(weir):
    server = weir("""
        location /     { auth_request /auth; root @dir@; }
        location /auth { internal; proxy_pass http://127.0.0.1:1; }
    """)
    assert server.get("/page").status == 500
    server.wait_log("auth request unexpected status: 502")


def test_off_in_an_inner_location(weir):
    server = weir("""
        auth_request /auth;
        root @dir@;
        location /     { }
        location /open { auth_request off; }
        location /auth { internal; return 403; }
    """)
    server.folder.write("open", "content")
    assert server.get("/open").text == "content"
    assert server.get("/page").status == 403
