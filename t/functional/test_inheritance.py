"""Defaults, and which level's word counts: http, server, location, and locations within.

A default is what the reference says it is: a preset is read as if it had been written (t/unit/conf_levels_test.c), and
the reference is made of the same rows.  Below, what directives do is looked at, not what was read.
"""

import json
import os
import re

import pytest

from harness.upstream import answer

REFERENCE = os.path.join(os.path.dirname(__file__), "..", "..", "doc", "directives.md")

# As nginx 1.31 documents them, by value; of "4k|8k", what a page of 4 KiB gives.
DEFAULTS = {
    "text/html": """addition_types gzip_types sub_filter_types""",
    "off": """auth_basic auth_request autoindex autoindex_localtime charset aio
        client_body_in_file_only client_body_in_single_buffer directio disable_symlinks
        log_subrequest open_file_cache open_file_cache_errors recursive_error_pages
        reset_timedout_connection sendfile server_name_in_redirect tcp_nopush
        underscores_in_headers gunzip gzip gzip_proxied gzip_vary gzip_static expires
        limit_conn_dry_run limit_req_dry_run mirror proxy_bind_dynamic proxy_force_ranges
        proxy_ignore_client_abort proxy_intercept_errors proxy_pass_trailers
        proxy_socket_keepalive proxy_ssl_server_name proxy_ssl_verify proxy_store
        real_ip_recursive rewrite_log sub_filter_last_modified tunnel_bind_dynamic
        tunnel_socket_keepalive access_log grpc_bind_dynamic grpc_intercept_errors
        grpc_socket_keepalive grpc_ssl_server_name grpc_ssl_verify http2 multi_accept
        proxy_cookie_domain proxy_cookie_flags proxy_cookie_path proxy_half_close
        proxy_protocol proxy_ssl ssl_early_data ssl_prefer_server_ciphers ssl_preread
        ssl_reject_handshake ssl_verify_client""",
    "on": """autoindex_exact_size absolute_redirect chunked_transfer_encoding etag ignore_invalid_headers
        lingering_close log_not_found merge_slashes port_in_redirect server_tokens
        tcp_nodelay add_header_inherit add_trailer_inherit mirror_request_body
        proxy_buffering proxy_pass_request_body proxy_pass_request_headers
        proxy_request_buffering proxy_ssl_session_reuse uninitialized_variable_warn
        sub_filter_once daemon grpc_ssl_session_reuse master_process proxy_next_upstream
        ssl_object_cache_inheritable ssl_session_tickets""",
    "html": """autoindex_format root""",
    "text/html text/xml text/plain text/vnd.wap.wml application/javascript application/rss+xml":
        """charset_types""",
    "0s": """auth_delay""",
    "16k": """client_body_buffer_size tunnel_buffer_size preread_buffer_size proxy_buffer_size
        ssl_buffer_size""",
    "client_body_temp": """client_body_temp_path""",
    "60s": """client_body_timeout client_header_timeout open_file_cache_valid send_timeout
        proxy_connect_timeout proxy_read_timeout proxy_send_timeout tunnel_connect_timeout
        tunnel_read_timeout grpc_connect_timeout grpc_read_timeout grpc_send_timeout
        ssl_handshake_timeout""",
    "1k": """client_header_buffer_size""",
    "1m": """client_max_body_size""",
    "512": """connection_pool_size directio_alignment worker_connections""",
    "text/plain": """default_type""",
    "exact": """if_modified_since""",
    "msie6": """keepalive_disable""",
    "1000": """keepalive_requests max_headers""",
    "1h": """keepalive_time""",
    "75s": """keepalive_timeout""",
    "4 8k": """large_client_header_buffers""",
    "0": """limit_rate limit_rate_after read_ahead proxy_next_upstream_timeout proxy_next_upstream_tries
        tunnel_next_upstream_timeout tunnel_next_upstream_tries grpc_next_upstream_timeout
        grpc_next_upstream_tries proxy_download_rate proxy_upload_rate worker_priority""",
    "30s": """lingering_time resolver_timeout preread_timeout proxy_protocol_timeout""",
    "5s": """lingering_timeout health_check_timeout""",
    "1": """open_file_cache_min_uses gzip_comp_level proxy_ssl_verify_depth grpc_ssl_verify_depth
        ssl_verify_depth worker_processes""",
    "2 32k": """output_buffers""",
    "4k": """request_pool_size proxy_buffer_size grpc_buffer_size""",
    "all": """satisfy""",
    "2m": """sendfile_max_chunk""",
    "32 4k": """gunzip_buffers gzip_buffers""",
    "1.1": """gzip_http_version proxy_http_version""",
    "20": """gzip_min_length""",
    "index.html": """index""",
    "error": """limit_conn_log_level limit_req_log_level""",
    "503": """limit_conn_status limit_req_status""",
    "8 4k": """proxy_buffers""",
    "1024m": """proxy_max_temp_file_size""",
    "error timeout": """proxy_next_upstream tunnel_next_upstream grpc_next_upstream""",
    "DEFAULT": """proxy_ssl_ciphers grpc_ssl_ciphers""",
    "TLSv1.2 TLSv1.3": """proxy_ssl_protocols grpc_ssl_protocols ssl_protocols""",
    "user:rw": """proxy_store_access""",
    "proxy_temp": """proxy_temp_path""",
    "X-Real-IP": """real_ip_header""",
    "64k": """http2_body_preread_size""",
    "8k": """http2_chunk_size""",
    "128": """http2_max_concurrent_streams""",
    "256k": """http2_recv_buffer_size""",
    "10m": """proxy_timeout""",
    "HIGH:!aNULL:!MD5": """ssl_ciphers""",
    "auto": """ssl_ecdh_curve""",
    "none": """ssl_session_cache""",
    "5m": """ssl_session_timeout""",
}


@pytest.fixture(scope="module")
def said():
    """What the reference says: (directive, default)."""
    with open(REFERENCE, encoding="utf-8") as file:
        return set(re.findall(r"^- default: `(\w+) (.*);`$", file.read(), re.M))


@pytest.mark.parametrize("default", DEFAULTS, ids=lambda default: default[:20])
def test_defaults_are_those_of_nginx(said, default):
    assert not [name for name in DEFAULTS[default].split() if (name, default) not in said]


# Each directive with its words at three levels, and what is seen: without it, at http, server, location.

def field(path, name):
    return lambda server, at: server.get(at + path).headers.get(name)


def origin(key):
    return lambda server, at: json.loads(server.get(at + "/p").text).get(key)


def status(path, **request):
    return lambda server, at: server.request(at + path, **request).status


def largest_body(server, at):
    """How many bytes of a body pass."""
    return next((size for size in range(4, 0, -1)
                 if server.request(at + "/p", "POST", body=b"x" * size).status == 200), 0)


SEEN = [
    ("default_type", "t/1", "t/2", "t/3", field("/r", "Content-Type"),
     ["text/plain", "t/1", "t/2", "t/3"]),
    ("add_header", "X-V 1", "X-V 2", "X-V 3", field("/r", "X-V"), [None, "1", "2", "3"]),
    ("expires", "1", "2", "3", field("/r", "Cache-Control"),
     [None, "max-age=1", "max-age=2", "max-age=3"]),
    ("proxy_set_header", "X-A 1", "X-A 2", "X-B 3", origin("x-a"), [None, "1", "2", None]),
    ("proxy_method", "GET1", "GET2", "GET3", origin("method"), ["GET", "GET1", "GET2", "GET3"]),
    ("proxy_set_body", "1", "2", "3", origin("body"), ["", "1", "2", "3"]),
    ("proxy_http_version", "1.0", "1.1", "1.0", origin("version"),
     ["HTTP/1.1", "HTTP/1.0", "HTTP/1.1", "HTTP/1.0"]),
    ("proxy_hide_header", "X-H1", "X-H2", "X-H3",
     lambda server, at: [n for n in "123" if "X-H" + n in server.get(at + "/p").headers],
     [["1", "2", "3"], ["2", "3"], ["1", "3"], ["1", "2"]]),
    ("proxy_cookie_path", "/c /1", "/c /2", "/c /3", field("/p", "Set-Cookie"),
     ["a=b; path=/c", "a=b; path=/1", "a=b; path=/2", "a=b; path=/3"]),
    ("proxy_force_ranges", "on", "off", "on", status("/p", headers={"Range": "bytes=0-0"}), [200, 206, 200, 206]),
    ("proxy_redirect", "http://o/ http://1/", "http://o/ http://2/", "off", field("/p", "Location"),
     ["http://o/x", "http://1/x", "http://2/x", "http://o/x"]),
    ("error_page", "404 =201 /ok", "404 =202 /ok", "404 =203 /ok", status("/m"),
     [404, 201, 202, 203]),
    ("client_max_body_size", "1", "2", "3", largest_body, [4, 1, 2, 3]),
    ("absolute_redirect", "off", "on", "off",
     lambda server, at: server.get(at + "/d").headers["Location"][:4], ["http", "/x", "http", "/x"]),
    ("root", "@dir@/1", "@dir@/2", "@dir@/3", lambda server, at: server.get(at + "/f").text[:1],
     ["<", "1", "2", "3"]),
    ("keepalive_timeout", "60 11", "60 12", "60 13", field("/r", "Keep-Alive"),
     [None, "timeout=11", "timeout=12", "timeout=13"]),
    ("sub_filter", "sent one", "sent two", "sent three",
     lambda server, at: server.get(at + "/h").text, ["sent", "one", "two", "three"]),
    ("gzip", "on", "off", "on",
     lambda server, at: server.get(at + "/g", headers={"Accept-Encoding": "gzip"}).headers.get(
         "Content-Encoding"), [None, "gzip", None, "gzip"]),
    ("auth_basic", "one", "off", "three", lambda server, at: server.get(at + "/a").headers.get(
        "WWW-Authenticate"), [None, 'Basic realm="one"', None, 'Basic realm="three"']),
    ("index", "i1", "i2", "i3", lambda server, at: server.get(at + "/i/").text[-2:],
     ["\r\n", "i1", "i2", "i3"]),
]
PLACES = """
    location @at@/p { proxy_pass http://@upstream@; }
    location @at@/r { return 200 r; }
    location @at@/m { return 404; }
    location @at@/d { return 301 /x; }
    location @at@/f { }
    location @at@/i/ { root @dir@/i; }
    location @at@/h { default_type text/html; return 200 sent; }
    location @at@/g { default_type text/html; return 200 "%s"; }
    location @at@/a { auth_basic_user_file @dir@/none; try_files /none /ok; }
""" % ("long enough " * 3)
SERVER = "listen 127.0.0.1:@%s@; location = /ok { auth_basic off; return 200 ok; }\n"


def written(level):
    return "\n".join(f"{row[0]} {row[level]};" for row in SEEN)


def tell(peer):
    request = peer.request
    told = {name.lower(): value for name, value in request.headers}
    told.update(method=request.method, body=request.body.decode(), version=request.version)
    return answer(json.dumps(told).encode(), headers=[
        ("X-H1", "1"), ("X-H2", "2"), ("X-H3", "3"), ("Set-Cookie", "a=b; path=/c"),
        ("Location", "http://o/x")])


@pytest.fixture
def levels(weir, upstream, folder):
    """A server for each of: nothing said, said at http, there and at the server and in locations."""
    for name in "123":
        for at in "", "location/", "location/within/":
            folder.write(f"{name}/{at}f", name.encode())
            folder.write(f"i/{at}i/i{name}", b"i" + name.encode())
    upstream.answers(tell)
    inner = (PLACES.replace("@at@", "/location")
             + "location /location/within { " + PLACES.replace("@at@", "/location/within") + "}")

    def start(says):
        outer = written(1) if says else ""
        return weir(SERVER % "port" + PLACES.replace("@at@", "") + ("""}
            server { """ + SERVER % "port2" + written(2) + PLACES.replace("@at@", "")
            + "location /location { " + written(3) + inner + "}" if says else ""), http=outer)
    return start


@pytest.mark.weir_only("nginx speaks HTTP/1.1 to origins since 1.29.7")
def test_without_a_word_the_default_counts(levels):
    server = levels(says=False)
    for row in SEEN:
        assert row[4](server, "") == row[5][0], row[0]


def test_a_level_takes_the_word_of_the_one_around_it_unless_it_has_its_own(levels):
    server = levels(says=True)

    class Second:
        """The same, at the other server's port."""
        def request(self, path="/", method="GET", **more):
            return server.request(path, method, port="port2", **more)

        get = request

    for row in SEEN:
        assert row[4](server, "") == row[5][1], row[0]
        assert row[4](Second(), "") == row[5][2], row[0]
        assert row[4](Second(), "/location") == row[5][3], row[0]
        assert row[4](Second(), "/location/within") == row[5][3], row[0]
