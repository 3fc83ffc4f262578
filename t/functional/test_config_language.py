"""The language of the configuration, and the options of the command line."""

import os
import re

import pytest

from harness import kernel

OK = "events {}\nhttp { access_log off; server { listen 127.0.0.1:@port@; } }\npid @dir@/pid;\n"


def said(weir, text):
    """What an argument of return comes to."""
    return weir(f"location / {{ return 200 {text}; }}").get("/").text


# Words

@pytest.mark.parametrize("text, value", [
    ("plain", "plain"),
    ('"two words"', "two words"),
    ("'two words'", "two words"),
    ('"it\'s"', "it's"),
    ("'say \"hi\"'", 'say "hi"'),
    ('"a \\"b\\" c"', 'a "b" c'),
    ("'a \\'b\\' c'", "a 'b' c"),
    (r'"a\tb\nc\rd"', "a\tb\nc\rd"),
    (r'"a\\b"', r"a\b"),
    (r'"a\qb"', r"a\qb"),
    (r"a\ b", r"a\ b"),
    (r"a\;b", r"a\;b"),
    ('"semi;colon { } # no comment"', "semi;colon { } # no comment"),
    ("a#b", "a#b"),
    ('a"b"c', 'a"b"c'),
    ("a'b", "a'b"),
    ('"over\nlines"', "over\nlines"),
    ('""', ""),
    ("ünï", "ünï"),
    ('"$request_method"', "GET"),
    ("'$request_method'", "GET"),
    ("x${request_method}y", "xGETy"),
    ("$request_method-y", "GET-y"),
    ('"${scheme}://$host$request_uri"', "http://localhost/"),
])
def test_a_word_comes_out_as(weir, text, value):
    assert said(weir, text) == value


def test_comments_end_with_their_line(weir):
    config = """# first { ; "
    location / { # here 'too
        return 200 # and in the middle of a directive ;
            yes;   #}
    }"""
    assert weir(config).get("/").text == "yes"


def test_white_space_of_any_kind_separates(weir):
    assert weir("location\t/\r\n{\r\n\treturn\t200\n\n  yes ;\n}").get("/").text == "yes"


def test_braces_need_no_space(check):
    text = "events{}http{access_log off;server{listen 127.0.0.1:@port@;}}pid @dir@/pid;"
    assert check(text).code == 0


def test_a_file_need_not_end_with_a_line_end(check):
    assert check("pid @dir@/pid; events {}").code == 0


def test_an_empty_directive_list_is_a_configuration(check):
    assert check("events {}\nhttp {}\npid @dir@/pid;\n").code == 0


def test_a_word_may_be_long(weir):
    assert said(weir, '"' + "x" * 3000 + '"') == "x" * 3000


def test_regular_expressions_keep_their_backslashes(weir):
    config = r"location ~ ^/(\d+)\.(x|y)$ { return 200 $1-$2; }"
    assert weir(config).get("/42.x").text == "42-x"


def test_a_regular_expression_with_braces_is_quoted(weir):
    assert weir('location ~ "^/[a-f]{2}$" { return 200 yes; }').get("/fe").text == "yes"


# Sizes and times

@pytest.mark.parametrize("size, count", [("100", 100), ("1k", 1024), ("1K", 1024),
                                         ("1m", 1 << 20), ("1M", 1 << 20)])
def test_a_size_has_units(weir, upstream, size, count):
    server = weir(f"client_max_body_size {size}; location / {{ proxy_pass http://@upstream@; }}")
    assert server.request("/", "POST", body=bytes(count)).status == 200
    assert server.request("/", "POST", body=bytes(count + 1)).status == 413


@pytest.mark.parametrize("time", ["0", "5", "5s", "500ms", "1m", "1h", "1d", "1w",
                                  "1h30m", '"1h 30m"', "1d12h", "1m30s500ms"])
def test_a_time_has_units(check, time):
    assert check(OK.replace("http {", f"http {{ send_timeout {time};")).code == 0


@pytest.mark.parametrize("time", ["30d", "1M", "1y", "1y6M"])
def test_a_time_in_seconds_has_months_and_years(check, time):
    assert check(OK.replace("http {", f"http {{ ssl_session_timeout {time};")).code == 0


@pytest.mark.parametrize("time", ["x", "1x", "s", "-1", "1s1m", "1.5s", "5 s", '""'])
def test_a_wrong_time_is_refused(check, time):
    assert check(OK.replace("http {", f"http {{ send_timeout {time};")).code == 1


@pytest.mark.parametrize("size", ["x", "1x", "k", "-1", "1.5k", "1kk", "99999999999999999999",
                                  '""'])
def test_a_wrong_size_is_refused(check, size):
    assert check(OK.replace("http {", f"http {{ client_max_body_size {size};")).code == 1


# Files

def test_include_takes_files_relative_to_the_configuration_file(weir, folder):
    folder.write("sites/one.inc", "location /one { return 200 one; }")
    assert weir("include sites/one.inc;").get("/one").text == "one"


def test_include_takes_globs_in_order(weir, folder):
    for name in ("b", "a", "c"):
        folder.write(f"sites/{name}.inc", f"add_header X-Order {name};")
    folder.write("sites/other.txt", "nonsense {")
    headers = weir("include sites/*.inc; location / { return 200 x; }").get("/").headers
    assert headers.all("X-Order") == ["a", "b", "c"]


@pytest.mark.parametrize("mask", ["none/*.conf", "sites/?.conf", "sites/[0-9].conf"])
def test_a_glob_that_matches_nothing_is_fine(check, mask):
    assert check(OK + f"include {mask};").code == 0


def test_an_included_file_may_include_relative_to_the_first(weir, folder):
    folder.write("deep/er/one.inc", "include deep/two.inc;")
    folder.write("deep/two.inc", "return 200 deep;")
    assert weir("include deep/er/one.inc;").get("/").text == "deep"


def test_include_takes_absolute_paths_and_quotes(weir, folder):
    folder.write("with space/one.inc", "return 200 yes;")
    assert weir('include "@dir@/with space/*.inc";').get("/").text == "yes"


def test_an_included_file_must_close_its_blocks(check, folder):
    folder.write("half.conf", "http {")
    result = check("events {}\ninclude half.conf;\n}\n")
    assert result.code == 1
    assert f'unexpected end of file, expecting "}}" in {folder.path}/half.conf:1' in result.err


def test_prefix_is_where_relative_paths_start(weir, folder):
    folder.write("www/page.txt", "here")
    assert weir("root www;").get("/page.txt").text == "here"


# -t and -T

def test_t_says_that_the_syntax_is_ok_and_the_test_successful(check, binary, folder):
    result = check(OK)
    conf = f"{folder.path}/weir.conf"
    assert result.code == 0
    assert result.err == (f"{binary.name}: the configuration file {conf} syntax is ok\n"
                          f"{binary.name}: configuration file {conf} test is successful\n")


def test_t_leaves_the_pid_file_empty_or_alone(check, folder):
    check(OK)
    path = folder.file("pid")
    assert not os.path.exists(path) or os.path.getsize(path) == 0


def test_t_with_q_says_nothing_when_all_is_well(check):
    result = check(OK, "-t", "-q")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_t_with_q_says_what_is_wrong(check):
    result = check("bogus;", "-t", "-q")
    assert result.code == 1
    assert 'unknown directive "bogus"' in result.err


def test_t_with_q_says_what_is_doubtful(check):
    server = "server { listen 127.0.0.1:@port@; server_name a; }"
    result = check(f"pid @dir@/pid; events {{}} http {{ access_log off; {server} {server} }}", "-t", "-q")
    assert result.code == 0
    assert 'conflicting server name "a"' in result.err and "is ok" not in result.err


def test_capital_t_prints_each_file_once_under_its_name(check, folder):
    folder.write("inc/a.conf", "# a of its own\n")
    text = OK + "include inc/*.conf;\ninclude inc/a.conf;"
    result = check(text, "-T")
    conf = folder.path
    assert result.code == 0
    assert result.out == (f"# configuration file {conf}/weir.conf:\n{folder.fill(text)}\n"
                          f"# configuration file {conf}/inc/a.conf:\n# a of its own\n\n")
    assert "test is successful" in result.err


def test_capital_t_of_a_wrong_configuration_prints_none(check):
    result = check("bogus;", "-T")
    assert (result.code, "# configuration file" in result.out) == (1, False)


# Other options

def test_v_prints_the_version(binary):
    result = binary.run("-v")
    assert result.code == 0
    assert re.fullmatch(rf"{binary.name} version: {binary.name}/\d+\.\d+(\.\d+)?\S*\n", result.err)


def test_capital_v_prints_version_library_and_arguments(binary):
    result = binary.run("-V")
    assert result.code == 0
    assert re.match(rf"{binary.name} version: {binary.name}/", result.err)
    assert re.search(r"^built with .*SSL", result.err, re.M)
    assert "TLS SNI support enabled\n" in result.err
    assert re.search(r"^configure arguments:", result.err, re.M)


@pytest.mark.parametrize("option", ["-h", "-?"])
def test_h_prints_the_usage(binary, option):
    result = binary.run(option)
    assert result.code == 0
    for letter in "vVtTqspecg":
        assert re.search(rf"^  -{letter}\b", result.out + result.err, re.M)


@pytest.mark.parametrize("arguments, message", [
    (["-z"], 'invalid option: "z"'), (["bogus"], 'invalid option: "bogus"'),
    (["-s", "foo"], 'invalid option: "-s foo"'), (["-c"], 'option "-c" requires file name'),
    (["-p"], 'option "-p" requires directory name'),
    (["-g"], 'option "-g" requires parameter'), (["-s"], 'option "-s" requires parameter'),
])
def test_a_wrong_option_is_refused(binary, arguments, message):
    result = binary.run(*arguments)
    assert result.code == 1
    assert f"{binary.name}: {message}" in result.err


def test_options_may_be_joined(check):
    assert check(OK, "-tq").err == ""


def test_g_adds_directives(check, folder):
    assert check("events {}", "-t", "-g", f"pid {folder.path}/pid;").code == 0


def test_an_error_in_g_says_so(check, folder):
    result = check(OK, "-t", "-g", "bogus on;")
    assert result.code == 1
    assert 'unknown directive "bogus" in command line' in result.err


def test_g_must_end_its_directive(check):
    assert check("events {}", "-t", "-g", "daemon off").code == 1


def test_p_sets_the_prefix_and_c_is_relative_to_it(binary, folder):
    folder.write("conf/mine.conf", OK)
    result = binary.run("-p", folder.path, "-c", "conf/mine.conf", "-t")
    assert result.code == 0
    assert f"configuration file {folder.path}/conf/mine.conf test is successful" in result.err


@pytest.mark.weir_only("its own extension")
def test_h_of_a_directive_explains_it(binary):
    result = binary.run("-h", "proxy_pass")
    assert result.code == 0
    assert "proxy_pass" in result.out and "location" in result.out


# What packaged configurations carry

BOILERPLATE = """
user @user@;
worker_processes auto;
error_log @dir@/error.log notice;
pid @dir@/pid;
worker_rlimit_nofile 1024;
worker_cpu_affinity auto;
worker_priority 0;
worker_shutdown_timeout 10s;
working_directory @dir@;
lock_file @dir@/lock;
pcre_jit on;
timer_resolution 100ms;
thread_pool default threads=4 max_queue=100;
env PATH;
env OTHER=value;
events {
    worker_connections 768;
    multi_accept on;
    accept_mutex on;
    use epoll;
    debug_connection 127.0.0.1;
}
http {
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    types_hash_max_size 2048;
    server_names_hash_bucket_size 64;
    server_tokens off;
    include mime.types;
    default_type application/octet-stream;
    log_format main '$remote_addr - $remote_user [$time_local] "$request" '
                    '$status $body_bytes_sent "$http_referer" '
                    '"$http_user_agent" "$http_x_forwarded_for"';
    access_log @dir@/access.log main;
    keepalive_timeout 65;
    client_body_temp_path @dir@/client_temp;
    proxy_temp_path @dir@/proxy_temp;
    fastcgi_temp_path @dir@/fastcgi_temp;
    uwsgi_temp_path @dir@/uwsgi_temp;
    scgi_temp_path @dir@/scgi_temp;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers on;
    ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256;
    include conf.d/*.conf;
    server {
        listen 127.0.0.1:@port@ default_server;
        listen [::1]:@port@ ipv6only=on;
        server_name _;
        root /usr/share/nginx/html;
        index index.html index.htm;
        error_page 404 /404.html;
        error_page 500 502 503 504 /50x.html;
        location = /50x.html { root html; }
    }
}
"""


@pytest.mark.needs_root
def test_the_boilerplate_of_packaged_configurations_loads(check, folder):
    folder.write("mime.types", "types { text/html html htm shtml; image/png png; }")
    text = BOILERPLATE if kernel.has_ipv6() else BOILERPLATE.replace("listen [::1]:@port@ ipv6only=on;", "")
    result = check(text, user="root")
    assert result.code == 0, result
    assert "[emerg]" not in result.err


@pytest.mark.weir_only("nginx has no module of that name here")
@pytest.mark.parametrize("module, said", [
    ("modules/ngx_stream_module.so", ""),
    ("modules/ngx_http_modsecurity_module.so", ""),
    ("/usr/lib/nginx/modules/ngx_http_geoip_module.so",
     r'\[warn\] .*"ngx_http_geoip_module" is not loaded: weir is without it'),
    ("modules/ndk_http_module.so", r'\[warn\] .*"ndk_http_module" is not loaded'),
])
def test_load_module_of_what_nginx_has_stops_nobody(check, module, said):
    result = check(f"load_module {module};\n" + OK)
    assert result.code == 0
    assert re.search(said, result.err) if said else "[warn]" not in result.err


@pytest.mark.weir_only("nginx has the module")
def test_a_directive_of_a_module_that_is_not_here_is_refused(check):
    result = check("load_module modules/ngx_http_geoip_module.so;\n"
                   + OK.replace("http {", "http { geoip_country x.dat;"))
    assert result.code == 1 and "geoip_country" in result.err


@pytest.mark.parametrize("directive, warning", [
    ("proxy_headers_hash_max_size 1024;", None), ("proxy_headers_hash_bucket_size 128;", None),
    ("proxy_send_lowat 0;", "Linux knows no low-water mark")])
def test_what_needs_no_setting_here_may_be_set(check, binary, directive, warning):
    result = check(OK.replace("http {", f"http {{ {directive}"))
    assert result.code == 0
    if not binary.is_nginx:
        assert warning in result.err if warning else "[warn]" not in result.err


@pytest.mark.weir_only("nginx passes UDP, too")
@pytest.mark.parametrize("directive", ["proxy_requests 1;", "proxy_responses 1;"])
def test_what_is_about_udp_is_a_warning(check, directive):
    result = check(f"events {{ }} stream {{ server {{ listen 127.0.0.1:@port@; proxy_pass 127.0.0.1:1; {directive} }} }}")
    assert result.code == 0 and "which weir does not proxy" in result.err


@pytest.mark.weir_only("nginx staples")
def test_ssl_stapling_is_a_warning_for_now(check):
    result = check(OK.replace("http {", "http { ssl_stapling on;"))
    assert result.code == 0
    assert re.search(r"\[warn\] .*ssl_stapling", result.err)


@pytest.mark.parametrize("directive", ["accept_mutex off;", "accept_mutex_delay 500ms;",
                                       "multi_accept off;", "use epoll;"])
def test_event_directives_of_nginx_are_accepted(check, directive):
    assert check(OK.replace("events {", f"events {{ {directive}")).code == 0


# if

@pytest.mark.parametrize("condition, asked, hit", [
    ("($request_method = POST)", "/", False),
    ("($request_method = GET)", "/", True),
    ("($request_method != GET)", "/", False),
    ("($arg_a)", "/?a=1", True),
    ("($arg_a)", "/?a=0", False),
    ("($arg_a)", "/", False),
    ('($uri ~ "^/x")', "/x", True),
    ('($uri ~ "^/X")', "/x", False),
    ('($uri ~* "^/X")', "/x", True),
    ('($uri !~ "^/x")', "/x", False),
    ('($uri !~* "^/X")', "/y", True),
    ("(-f @dir@/file)", "/", True),
    ("(!-f @dir@/file)", "/", False),
    ("(-d @dir@)", "/", True),
    ("(-e @dir@/none)", "/", False),
])
def test_if_asks(weir, folder, condition, asked, hit):
    folder.write("file", "x")
    server = weir(f"if {condition} {{ return 200 yes; }} return 200 no;")
    assert server.get(asked).text == ("yes" if hit else "no")


def test_a_server_name_that_no_host_can_be_is_warned_of(check):
    done = check("events {} http { server { listen 127.0.0.1:@port@; server_name http://a.test b.test; } }", "-t")
    assert done.code == 0 and 'server name "http://a.test" has suspicious symbols in' in done.err
