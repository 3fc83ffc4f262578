"""Each wrong configuration gives one clear line that names the problem and its place."""

import os
import re

import pytest


SERVER = "[34]"


def main(text):
    return text, 1


def events(text):
    return f"events {{\n{text}\n}}\n", 2


def http(text):
    return f"events {{}}\nhttp {{\n{text}\n}}\n", 3


def server(text):
    return f"events {{}}\nhttp {{\nserver {{ listen 127.0.0.1:@port@;\n{text}\n}}\n}}\n", 4


def location(text):
    return server(f"location / {{ {text} }}")


TO = "proxy_pass http://127.0.0.1:1;"
PAIR = "ssl_certificate @certs@/a.crt; ssl_certificate_key @certs@/a.key;"


def tls(text):
    """A server with TLS.  What it lacks is told at its line, or the directive's."""
    return server(f"listen 127.0.0.1:@tls_port@ ssl; {text}")[0], SERVER


def upstream(text):
    return http(f"upstream u {{ {text} }}")


ANY = r"\d+"        # the line may be named by where it starts or where it shows


def at(line, case):
    return case[0], line


UNKNOWN = 'unknown directive "%s"'
COUNT = 'invalid number of arguments in "%s" directive'
PLACE = '"%s" directive is not allowed here'
TWICE = '"%s" directive is duplicate'

WRONG = [
    # The language
    (main("evnts {}"), UNKNOWN % "evnts"),
    (http("servr {}"), UNKNOWN % "servr"),
    (server("proxy_passs http://a;"), UNKNOWN % "proxy_passs"),
    (main("pid a"), 'unexpected end of file, expecting ";" or "}"'),
    (at(2, main("events {\n")), 'unexpected end of file, expecting "}"'),
    (main("events {} }"), 'unexpected "}"'),
    (at(3, main("events {}\nhttp { server { listen 1\n}\n}\n")), 'unexpected "}"'),
    (at(ANY, main('events {}\nhttp { default_type "text/plain;\n}')),
     "unexpected end of file|quoted string"),
    (main("events;"), 'directive "events" has no opening "{"'),
    (main("events {} pid {"), 'directive "pid" is not terminated by ";"|unexpected "{"'),
    (main("events {} ;"), 'unexpected ";"'),
    (main("events {} {"), 'unexpected "{"'),
    (main('events {} pid "a"b;'), 'unexpected "b"'),
    (at(2, main("events {}\ninclude @dir@/none.conf;\n")),
     r'open\(\) ".*/none.conf" failed \(2: No such file or directory\)'),

    # Number of arguments and places
    (main("events x {}"), COUNT % "events"),
    (main("events {} worker_processes;"), COUNT % "worker_processes"),
    (main("events {} worker_processes 1 2;"), COUNT % "worker_processes"),
    (main("events {} daemon on off;"), COUNT % "daemon"),
    (main("events {} user a b c;"), COUNT % "user"),
    (http("server x {}"), COUNT % "server"),
    (http("root;"), COUNT % "root"),
    (http("root a b;"), COUNT % "root"),
    (http("keepalive_timeout 1 2 3;"), COUNT % "keepalive_timeout"),
    (server("listen;"), COUNT % "listen"),
    (server("location {}"), COUNT % "location"),
    (server("location ~ a b {}"), COUNT % "location"),
    (server("return;"), COUNT % "return"),
    (server("error_page 404;"), COUNT % "error_page"),
    (location("proxy_pass;"), COUNT % "proxy_pass"),
    (location("proxy_set_header Host;"), COUNT % "proxy_set_header"),
    (location("add_header X;"), COUNT % "add_header"),
    (main("listen 80; events {}"), PLACE % "listen"),
    (main("server {} events {}"), PLACE % "server"),
    (http("listen 80;"), PLACE % "listen"),
    (http("location / {}"), PLACE % "location"),
    (http("worker_connections 5;"), PLACE % "worker_connections"),
    (http("events {}"), PLACE % "events"),
    (events("root /;"), PLACE % "root"),
    (events("sendfile on;"), PLACE % "sendfile"),
    (server("http {}"), PLACE % "http"),
    (server("proxy_pass http://127.0.0.1:1;"), PLACE % "proxy_pass"),
    (server("daemon on;"), PLACE % "daemon"),
    (server("upstream u {}"), PLACE % "upstream"),
    (location("server_name a;"), PLACE % "server_name"),
    (location("ssl_certificate a;"), PLACE % "ssl_certificate"),
    (location("log_format a b;"), PLACE % "log_format"),

    # Said twice
    (main("worker_processes 1; worker_processes 2; events {}"), TWICE % "worker_processes"),
    (main("pid a; pid b; events {}"), TWICE % "pid"),
    (main("daemon on; daemon off; events {}"), TWICE % "daemon"),
    (main("events {} events {}"), TWICE % "events"),
    (at(5, main("events {}\nhttp {\n}\n\nhttp {\n}\n")), TWICE % "http"),
    (http("root a; root b;"), TWICE % "root"),
    (http("keepalive_timeout 1; keepalive_timeout 2;"), TWICE % "keepalive_timeout"),
    (server("ssl_session_timeout 1m; ssl_session_timeout 2m;"), TWICE % "ssl_session_timeout"),
    (location("proxy_pass http://127.0.0.1:1; proxy_pass http://127.0.0.1:2;"),
     TWICE % "proxy_pass"),
    (server("location /a { } location /a { }"), 'duplicate location "/a"'),
    (server("listen 127.0.0.1:@port@;"), r'a duplicate listen 127.0.0.1:\d+'),
    (http("server { listen 127.0.0.1:@port@ default_server; }"
          "server { listen 127.0.0.1:@port@ default_server; }"),
     r"a duplicate default server for 127.0.0.1:\d+"),
    (http("log_format a x; log_format a y;"), 'duplicate "log_format" name "a"'),
    (http("upstream a { server 127.0.0.1; } upstream a { server 127.0.0.1; }"),
     'duplicate upstream "a"'),

    # Values
    (http("sendfile yes;"),
     'invalid value "yes" in "sendfile" directive, it must be "on" or "off"'),
    (main("events {} daemon 1;"), 'invalid value "1" in "daemon" directive'),
    (main("events {} worker_processes x;"),
     '"worker_processes" directive invalid value|invalid (value|number)'),
    (events("worker_connections x;"), 'invalid (number|value) "x"|invalid number'),
    (events("worker_connections -1;"), "invalid (number|value)"),
    (events("worker_connections 99999999999999999999;"), "invalid (number|value)"),
    (events("use kqueue;"), 'invalid event type "kqueue"'),
    (http("keepalive_timeout 1x;"), '"?keepalive_timeout"? directive invalid value|invalid value'),
    (http("keepalive_timeout 99999999999999999999s;"),
     '"?keepalive_timeout"? directive invalid value|invalid value'),
    (server("root $document_root/x;"),
     r'the \$document_root variable cannot be used in the "root" directive'),
    (location("alias ${realpath_root};"),
     r'the \$realpath_root variable cannot be used in the "alias" directive'),
    (http("upstream u { server 127.0.0.1; } server { location / { proxy_pass http://u:80; } }"),
     'upstream "u" may not have port 80'),
    (upstream("server 127.0.0.1/x;"), 'invalid host in upstream "127.0.0.1/x"'),
    (server("listen 127.0.0.1:@port2@ so_keepalive=::;"), "invalid .*so_keepalive.*::"),
    (http("proxy_limit_rate 1x;"), '"proxy_limit_rate" directive invalid value'),
    (http("limit_rate off;"), '"limit_rate" directive invalid value'),
    (http("proxy_temp_path a 1 0;"), "invalid value"),
    (http("client_max_body_size 10q;"), '"client_max_body_size" directive invalid value'),
    (http("client_max_body_size -1;"), '"client_max_body_size" directive invalid value'),
    (http("send_timeout 1m1h;"), '"send_timeout" directive invalid value'),
    (http("large_client_header_buffers 0 8k;"), "large_client_header_buffers"),
    (http("large_client_header_buffers 4 x;"), "large_client_header_buffers"),
    (main("events {} error_log @dir@/e.log loud;"), 'invalid log level "loud"'),
    (main("events {} worker_cpu_affinity 012;"), 'worker_cpu_affinity|invalid character "2"'),
    (server("listen 127.0.0.1:99999;"),
     'invalid port in "127.0.0.1:99999" of the "listen" directive'),
    (server("listen 127.0.0.1:0;"), 'invalid port in "127.0.0.1:0" of the "listen" directive'),
    (server("listen 70000;"), 'invalid port in "70000" of the "listen" directive'),
    (server("listen 0;"), 'invalid port in "0" of the "listen" directive'),
    (server("listen unix:;"),
     'no path in the unix domain socket in "unix:" of the "listen" directive'),
    (server("listen unix:/%s;" % ("a" * 120)), 'too long path in the unix domain socket in "unix:/a'),
    (server("listen 127.0.0.1:18003-18001;"),
     'invalid port range in "127.0.0.1:18003-18001" of the "listen" directive'),
    (server("listen 127.0.0.1:18001-70000;"),
     'invalid port in "127.0.0.1:18001-70000" of the "listen" directive'),
    (server("listen 127.0.0.1:@port2@ sll;"), 'invalid parameter "sll"'),
    (server("listen 127.0.0.1:@port2@ backlog=x;"), 'invalid (backlog|parameter) "backlog=x"'),
    (server("listen 127.0.0.1:@port2@ backlog=0;"), 'invalid (backlog|parameter) "backlog=0"'),
    (server("listen [::1:80;"), 'invalid .*"\\[::1:80" of the "listen" directive'),
    (server("listen no.such.name.invalid:80;"), "host not found"),
    (server("server_name ~[;"), r"pcre2?_compile\(\) failed|missing terminating \]"),
    (server("server_name *a.b;"), 'server name (or wildcard )?"\\*a.b"( is invalid)?'),
    (server("location ~ ( { }"), r"pcre2?_compile\(\) failed|missing closing parenthesis"),
    (server("location ~~ a { }"), 'invalid location modifier "~~"'),
    (server("return abc;"), 'invalid return code "abc"'),
    (server("return 1000;"), 'invalid return code "1000"'),
    (server("error_page 1000 /x;"), 'value "1000" must be between 300 and 599'),
    (server("error_page x /x;"), '(invalid )?value "x"'),
    # The ";" was forgotten: what follows is not to be taken for parameters.
    (location("proxy_hide_header X-A add_header X-B b;"), 'invalid number of arguments in "proxy_hide_header"'),
    (location("proxy_pass_header Server proxy_pass http://127.0.0.1;"),
     'invalid number of arguments in "proxy_pass_header"'),
    (server("ssl_certificate_key k.pem ssl_verify_client on;"),
     'invalid number of arguments in "ssl_certificate_key"'),
    (server("ssl_certificate c.pem ssl_certificate_key k.pem;"),
     'invalid number of arguments in "ssl_certificate"'),
    (server("ssl_session_ticket_key t.key ssl_verify_client on;"),
     'invalid number of arguments in "ssl_session_ticket_key"'),
    (server("ssl_stapling on ssl_verify_client on;"), 'invalid number of arguments in "ssl_stapling"'),
    (server("ssl_dhparam dh.pem ssl_verify_client on;"), 'invalid number of arguments in "ssl_dhparam"'),
    (location("proxy_pass 127.0.0.1;"), "invalid URL prefix"),
    (location("proxy_pass ftp://127.0.0.1;"), "invalid URL prefix"),
    (location("proxy_pass http://127.0.0.1:99999;"),
     'invalid (port in upstream|URL) "(http://)?127.0.0.1:99999'),
    (location("proxy_pass http://;"), "no host in upstream|invalid URL"),
    (server("location ~ a { proxy_pass http://127.0.0.1/x; }"),
     '"proxy_pass" cannot have URI part in location given by regular expression'),
    (server("location @a { proxy_pass http://127.0.0.1/x; }"),
     '"proxy_pass" cannot have URI part in .*named location'),
    (at(ANY, location(f"{TO} proxy_buffers 1 4k;")), 'there must be at least 2 "proxy_buffers"'),
    (at(ANY, location(f"{TO} proxy_busy_buffers_size 2k;")), '"proxy_busy_buffers_size" must be equal to or greater than'),
    (at(ANY, location(f"{TO} proxy_busy_buffers_size 32k;")), '"proxy_busy_buffers_size" must be less than'),
    (at(ANY, location(f"{TO} proxy_buffer_size 32k;")), '"proxy_busy_buffers_size" must be less than'),
    (at(ANY, location(f"{TO} proxy_temp_file_write_size 2k;")), '"proxy_temp_file_write_size" must be equal to or greater than'),
    (at(ANY, location(f"{TO} proxy_max_temp_file_size 2k;")), '"proxy_max_temp_file_size" must be equal to zero'),
    (location(f"{TO} proxy_http_version 1.2;"), 'invalid value "1.2"'),
    (location(f"{TO} proxy_next_upstream http_501;"), 'invalid value "http_501"'),
    (location(f"{TO} proxy_ignore_headers X-Odd;"), 'invalid value "X-Odd"'),
    (location(f"{TO} proxy_store_access user:rx;"), 'invalid value "user:rx"'),
    (location(f"{TO} proxy_ssl_protocols TLSv2;"), 'invalid value "TLSv2"'),
    (location(f"{TO} proxy_ssl_verify_depth x;"), 'invalid number|invalid value'),
    (server("location / { location @a { } }"),
     'named location "@a" can be on the server level only'),
    (server("location /a { location /b { } }"), 'location "/b" is outside location "/a"'),
    (server("location = /a { location /a { } }"),
     'location "/a" cannot be inside the exact location "/a"'),
    (location("return 200 $no_such_variable;"), 'unknown "no_such_variable" variable'),
    (location("add_header X ${unclosed;"), 'closing bracket in "unclosed" variable is missing'),
    (location("add_header X $;"), "invalid variable name"),
    (http("access_log @dir@/a.log none;"), 'unknown log format "none"'),
    (http("access_log off x;"), 'invalid parameter "x"|unknown log format|invalid value'),
    (http("log_format a escape=odd x;"), 'unknown log format escaping "odd"'),
    (upstream(""), "no servers are inside upstream"),
    (upstream("server;"), COUNT % "server"),
    (upstream("server 127.0.0.1 weight=x;"), 'invalid parameter "weight=x"'),
    (upstream("server 127.0.0.1 weight=0;"), 'invalid parameter "weight=0"'),
    (upstream("server 127.0.0.1 odd;"), 'invalid parameter "odd"'),
    (upstream("server 127.0.0.1:99999;"), 'invalid port in upstream "127.0.0.1:99999"'),
    (upstream("server 127.0.0.1; keepalive -1;"), 'invalid value "-1" in "keepalive" directive'),

    # TLS
    (at(ANY, server("listen 127.0.0.1:@tls_port@ ssl;")),
     'no "ssl_certificate" is defined for the "listen ... ssl"'),
    (tls("ssl_certificate @certs@/localhost.crt;"), 'no "ssl_certificate_key" is defined'),
    (tls("ssl_certificate @dir@/none.crt; ssl_certificate_key @dir@/none.key;"),
     'cannot load certificate "[^"]*/none.crt"'),
    (tls("ssl_certificate @certs@/localhost.crt; ssl_certificate_key @dir@/none.key;"),
     'cannot load certificate key "[^"]*/none.key"'),
    (tls("ssl_certificate @certs@/a.crt; ssl_certificate_key @certs@/b.key;"),
     "(?i)key values mismatch"),
    (tls("ssl_certificate @certs@/openssl.cnf; ssl_certificate_key @certs@/b.key;"),
     'cannot load certificate "[^"]*/openssl.cnf"'),
    (tls("ssl_password_file @certs@/made; ssl_certificate @certs@/localhost.crt;"
         "ssl_certificate_key @certs@/encrypted.key;"),
     "cannot load certificate key|SSL_CTX_use_PrivateKey_file"),
    (tls(PAIR + "ssl_verify_client on;"), "no ssl_client_certificate for ssl_verify_client"),
    (tls(PAIR + "ssl_ciphers NOTHING;"), "(?i)no.cipher.match|NOTHING"),
    (server("ssl_protocols TLSv1.4;"), 'invalid value "TLSv1.4"'),
    (server("ssl_verify_client perhaps;"), 'invalid value "perhaps"'),
    (server("ssl_session_cache shared:x;"), 'invalid session cache "shared:x"'),
    (server("ssl_session_cache shared:x:1;"), 'session cache "(shared:)?x(:1)?" is too small'),
]

# Here nginx 1.22 names no line.
NGINX_NAMES_NO_LINE = re.compile(
    r'unknown "no_such_variable"|no "ssl_certificate_key"|no "events"|host not found|'
    r'cannot load certificate|key values mismatch|ssl_client_certificate for|cipher|SSL_CTX')


def named(text, line):
    """The wrong line itself is the case's name."""
    lines = text.splitlines()
    if line in (ANY, SERVER):
        line = {ANY: len(lines), SERVER: 4}[line]
    return lines[min(line, len(lines)) - 1][:70].replace("::", "..")


@pytest.mark.parametrize(
    "config, line, message", [(*case, message) for case, message in WRONG],
    ids=[named(*case) for case, _ in WRONG])
def test_a_wrong_configuration_is_one_clear_line(check, binary, folder, config, line, message):
    result = check(config)
    assert result.code == 1
    said = [text for text in result.err.splitlines() if "[emerg]" in text]
    assert len(said) == 1, result
    assert re.search(message, said[0])
    if not (binary.is_nginx and NGINX_NAMES_NO_LINE.search(said[0])):
        assert re.search(rf" in {folder.path}/weir.conf:{line}$", said[0])
    assert f"configuration file {folder.path}/weir.conf test failed" in result.err


def test_there_are_more_than_sixty_of_them():
    assert len(WRONG) >= 60


@pytest.mark.needs_root
@pytest.mark.parametrize("said, message", [
    ("no-such-user-here", r'getpwnam\("no-such-user-here"\) failed'),
    ("root no-such-group-here", r'getgrnam\("no-such-group-here"\) failed')])
def test_a_user_that_is_not_there_is_refused(check, said, message):
    assert re.search(rf"\[emerg\] {message}.* in .*/weir.conf:1$",
                     check(f"user {said}; events {{}}").err, re.M)


def test_a_configuration_without_events_is_refused(check):
    result = check("pid @dir@/pid;\n")
    assert result.code == 1
    assert '[emerg] no "events" section in configuration' in result.err


def test_a_configuration_that_is_not_there_is_refused(binary, folder):
    result = binary.run("-p", folder.path + "/", "-e", folder.file("error.log"), "-t",
                        "-c", folder.file("none.conf"))
    assert result.code == 1
    assert re.search(r'\[emerg\] open\(\) ".*/none.conf" failed \(2: No such file', result.err)


def test_an_error_in_an_included_file_names_that_file(check, folder):
    folder.write("inner.conf", "\n\nbogus on;\n")
    result = check("events {}\ninclude inner.conf;\n")
    assert f'unknown directive "bogus" in {folder.path}/inner.conf:3' in result.err


def test_a_wrong_configuration_starts_nothing(check, folder):
    result = check("pid @dir@/pid;\nevents {}\nbogus;\n", "-g", "daemon off;")
    assert result.code == 1
    assert 'unknown directive "bogus"' in result.err
    assert not os.path.exists(folder.file("pid"))


# What weir adds to nginx's line

def helped(check, config, **names):
    result = check(config, **names)
    assert result.code == 1
    return result.err


@pytest.mark.weir_only("nginx gives the last line only")
@pytest.mark.parametrize("rest, block, line", [
    ("", "location", 4), ("}", "server", 3), ("} }", "http", 2)])
def test_what_is_not_closed_is_named(check, folder, rest, block, line):
    said = helped(check, f"events {{}}\nhttp {{\nserver {{\nlocation / {{\nroot /;\n{rest}\n")
    assert f'unexpected end of file, expecting "}}" in {folder.path}/weir.conf:7' in said
    assert f'the "{{" of "{block}" in line {line} is not closed' in said


@pytest.mark.weir_only("nginx gives the line only")
def test_where_the_block_began_that_something_does_not_belong_to(check):
    said = helped(check, "events {}\nhttp {\nserver {\nlocation / {\nroot /;\n}\nserver { }\n}\n}\n")
    assert "this is server, which began in line 3" in said


@pytest.mark.weir_only("nginx names no line")
@pytest.mark.parametrize("changed, line", [
    (("a.crt", "none.crt"), 6), (("a.key", "none.key"), 9), (("b.key", "a.key"), 10), (("ca.crt", "none.crt"), 11),
    (("ca.crl", "none.crl"), 12), (("b.crt", "b.key"), 8)])
def test_the_file_that_is_wrong_is_pointed_at(check, certs, changed, line):
    lines = ["events {}", "http {", "server {", "listen 127.0.0.1:@port@ ssl;", "ssl_verify_client on;",
             "ssl_certificate @certs@/a.crt;", "server_name a.test;", "ssl_certificate @certs@/b.crt;",
             "ssl_certificate_key @certs@/a.key;", "ssl_certificate_key @certs@/b.key;",
             "ssl_client_certificate @certs@/ca.crt;", "ssl_crl @certs@/ca.crl;", "} }"]
    assert check("\n".join(lines)).code == 0
    lines[line - 1] = lines[line - 1].replace(*changed)
    said = helped(check, "\n".join(lines)).splitlines()
    assert said[0].endswith(f"weir.conf:{line}"), said
    assert said[2].index("^") == said[1].index(str(certs))


@pytest.mark.weir_only("nginx gives the line only")
def test_the_source_line_is_shown_with_a_caret(check):
    lines = helped(check, "events {}\nhttp {\n    sendfile yes;\n}\n").splitlines()
    shown = next(n for n, text in enumerate(lines) if "sendfile yes;" in text)
    assert lines[shown + 1].index("^") == lines[shown].index("yes")


@pytest.mark.weir_only("nginx gives the line only")
@pytest.mark.parametrize("wrong, meant", [
    ("proxy_passs", "proxy_pass"), ("sever_name", "server_name"), ("Listen", "listen"),
    ("access-log", "access_log")])
def test_the_name_that_was_meant_is_offered(check, wrong, meant):
    said = helped(check, f"events {{}}\nhttp {{ server {{\n{wrong} x;\n}} }}\n")
    assert re.search(rf'did you mean .?"?{meant}', said, re.I)


@pytest.mark.weir_only("nginx gives the line only")
def test_no_name_is_offered_for_one_that_is_like_no_other(check):
    assert "did you mean" not in helped(check, "events {}\nqqqqqqqqqq on;\n")


@pytest.mark.weir_only("nginx gives the line only")
def test_the_places_where_a_directive_is_allowed_are_named(check):
    said = helped(check, "events {}\nhttp { proxy_pass http://127.0.0.1; }\n")
    assert re.search(r"\blocation\b", said.partition("not allowed here")[2])


@pytest.mark.weir_only("nginx gives the line only")
def test_the_chain_of_includes_is_shown(check, folder):
    folder.write("a.conf", "\ninclude b.conf;\n")
    folder.write("b.conf", "bogus on;\n")
    said = helped(check, "events {}\ninclude a.conf;\n")
    assert f"{folder.path}/b.conf:1" in said
    assert f"{folder.path}/a.conf:2" in said
    assert f"{folder.path}/weir.conf:2" in said


@pytest.mark.weir_only("nginx calls it critical, without a line")
def test_an_include_of_a_folder_is_refused(check):
    assert re.search(r"\[emerg\] .*in .*weir.conf:2", helped(check, "events {}\ninclude @dir@;\n"))


@pytest.mark.weir_only("nginx opens it only for ssl_verify_client")
def test_every_file_that_is_named_is_opened(check):
    text = PAIR + "ssl_client_certificate @dir@/none.crt;"
    assert re.search(r"\[emerg\] .*none.crt", helped(check, tls(text)[0]))


@pytest.mark.weir_only("nginx runs out of descriptors, or memory")
def test_a_file_that_includes_itself_is_refused(check):
    assert re.search(r"\[emerg\].*include", helped(check, "events {}\ninclude weir.conf;\n"))


@pytest.mark.weir_only("nginx has it")
def test_a_directive_of_nginx_that_is_missing_here_is_refused_by_name(check):
    said = helped(check, location("fastcgi_pass 127.0.0.1:9000;")[0])
    assert re.search(r'\[emerg\].*"fastcgi_pass"', said)
    assert "did you mean" not in said
