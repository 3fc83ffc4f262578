"""allow, deny, auth_basic, limit_except, satisfy."""

import base64
import hashlib
import subprocess
import time
from signal import SIGTERM

import pytest

from harness import succeeds_once
from harness.upstream import answer

PASSWORDS = r"""
# a comment
plain:{PLAIN}secret
sha:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=
md5:@md5@
sha512:@sha512@:a comment
broken:nothing
twice:{PLAIN}other
twice:{PLAIN}secret
locked:
locked:{PLAIN}secret
"""


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def passwords(folder):
    def crypted(kind):
        return subprocess.run(["openssl", "passwd", kind, "-salt", "saltsalt", "secret"],
                              capture_output=True, text=True, check=True).stdout.strip()
    text = PASSWORDS.replace("@md5@", crypted("-1")).replace("@sha512@", crypted("-6"))
    ssha = base64.b64encode(hashlib.sha1(b"secretsalt").digest() + b"salt").decode()
    text += f"apr1:{crypted('-apr1')}\nssha:{{SSHA}}{ssha}\n"
    folder.write("passwords", text.encode(), mode=0o644)
    return folder


CLOSED = "auth_basic closed; auth_basic_user_file @dir@/passwords;"
ROOT = "location / { try_files /none /ok; } location = /ok { auth_basic off; return 200 $remote_user; }"


# Addresses

@pytest.mark.parametrize("rules, status", [
    ("allow 127.0.0.1; deny all;", 200), ("deny 127.0.0.1;", 403), ("deny all;", 403),
    ("allow 127.0.0.0/8; deny all;", 200), ("deny 127.0.0.2; allow all;", 200),
    ("allow 10.0.0.0/8; deny all;", 403), ("deny ::1;", 200), ("deny 10.0.0.0/8;", 200),
    ("allow 127.0.0.1; deny 127.0.0.1;", 200), ("deny unix:;", 200)])
def test_the_first_rule_that_matches_decides(weir, rules, status):
    server = weir(f"location / {{ {rules} try_files /none /ok; }} location = /ok {{ return 200; }}")
    assert server.get("/").status == status


def test_a_refusal_is_told_in_the_log(weir):
    server = weir("location / { deny all; }")
    server.get("/")
    assert server.wait_log(r"\[error\] .*access forbidden by rule, client: 127.0.0.1")


def test_a_location_has_its_own_rules_or_the_outer(weir):
    server = weir("""deny all; location /in/ { try_files /none =404; }
                     location /own/ { allow all; try_files /none =404; }""")
    assert (server.get("/in/").status, server.get("/own/").status) == (403, 404)


# Passwords

@pytest.mark.parametrize("user", ["plain", "sha", "ssha", "apr1", "md5", "sha512"])
def test_each_kind_of_hash_is_checked(weir, passwords, user):
    connection = weir(CLOSED + ROOT).connect()
    for password, status in (("secret", 200), ("Secret", 401), ("", 401)):
        response = connection.request("/", headers=basic(user, password))
        assert response.status == status
        assert status != 200 or response.text == user


@pytest.mark.parametrize("user", ["twice", "locked"])
def test_the_first_line_of_a_name_counts(weir, passwords, user):
    assert weir(CLOSED + ROOT).get("/", headers=basic(user, "secret")).status in (401, 500)


@pytest.mark.weir_only("nginx takes what stands before the NUL")
@pytest.mark.parametrize("user", ["plain", "md5"])
def test_a_nul_is_part_of_a_password(weir, passwords, user):
    assert weir(CLOSED + ROOT).get("/", headers=basic(user, "secret\0x")).status == 401


def test_who_says_nothing_is_asked(weir, passwords):
    server = weir(CLOSED + ROOT)
    response = server.get("/")
    assert (response.status, response.headers["WWW-Authenticate"]) == (401, 'Basic realm="closed"')
    assert "401 Authorization Required" in response.text
    assert server.wait_log(r"\[info\] .*no user/password was provided for basic authentication")


@pytest.mark.parametrize("value", ["Basic", "Basic !!", "Bearer abc", "Basic " + "QQ=="])
def test_what_is_no_credentials_is_asked_again(weir, passwords, value):
    assert weir(CLOSED + ROOT).get("/", headers={"Authorization": value}).status == 401


@pytest.mark.parametrize("user, message", [
    ("sha512", 'user "sha512": password mismatch'), ("broken", 'user "broken": password mismatch'),
    ("nobody", 'user "nobody" was not found in ".*/passwords"')])
def test_a_wrong_one_is_told_in_the_log(weir, passwords, user, message):
    server = weir(CLOSED + ROOT)
    assert server.get("/", headers=basic(user, "x")).status == 401
    assert server.wait_log(r"\[error\] .*" + message)


def test_the_realm_may_be_off_by_a_variable(weir, passwords):
    server = weir("auth_basic $arg_realm; auth_basic_user_file @dir@/passwords;" + ROOT)
    assert server.get("/?realm=off").status == 200
    assert server.get("/?realm=on").status == 401


def test_a_missing_file_is_403(weir):
    server = weir("auth_basic x; auth_basic_user_file @dir@/missing;" + ROOT)
    assert server.get("/", headers=basic("a", "b")).status == 403
    assert server.wait_log(r'open\(\) ".*/missing" failed \(2: No such file or directory\)')


def test_a_client_that_leaves_during_a_check_does_no_harm(weir, passwords):
    server = weir(CLOSED + ROOT)
    data = b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: " + basic("sha512", "x")[
        "Authorization"].encode() + b"\r\n\r\n"
    for _ in range(20):
        connection = server.connect()
        connection.send(data)
        connection.reset()
    assert server.get("/", headers=basic("sha512", "secret")).status == 200


@pytest.mark.weir_only("nginx answers at once")
def test_how_long_an_answer_takes_does_not_tell_who_has_a_line(weir, folder):
    folder.write("passwords", b"slow:$6$rounds=300000$saltsalt$x\nlocked:\n")
    server = weir(CLOSED + ROOT)
    for user in ("slow", "nobody", "locked"):
        began = time.monotonic()
        assert server.get("/", headers=basic(user, "x")).status == 401
        assert time.monotonic() - began > 0.02, user


@pytest.mark.parametrize("text", ["", "# a comment", "nobody:", "no colon"])
def test_a_file_that_names_nobody_lets_nobody_by(weir, folder, text):
    folder.write("passwords", text.encode())
    assert weir(CLOSED + ROOT).get("/", headers=basic("nobody", "")).status == 401


def test_the_password_of_another_line_is_none_for_who_has_no_line(weir, folder):
    folder.write("passwords", b"one:{PLAIN}secret\n")
    connection = weir(CLOSED + ROOT).connect()
    assert connection.request("/", headers=basic("two", "secret")).status == 401
    assert connection.request("/", headers=basic("one", "secret")).status == 200


def test_a_worker_may_end_while_checks_run(weir, folder):
    folder.write("passwords", b"slow:$6$rounds=300000$saltsalt$x\n")
    server = weir(CLOSED + ROOT)
    data = b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: " + basic("slow", "x")[
        "Authorization"].encode() + b"\r\n\r\n"
    for _ in range(10):
        server.connect().send(data)
    server.wait_log(r'user "slow": password mismatch')
    server.stop(SIGTERM)


# Both

@pytest.mark.parametrize("rule, user, status", [
    ("allow 127.0.0.1; deny all;", None, 200), ("deny all;", "plain", 200), ("deny all;", None, 401),
    ("allow 10.0.0.0/8; deny all;", "plain", 200)])
def test_satisfy_any_asks_for_one_of_them(weir, passwords, rule, user, status):
    server = weir("location / { satisfy any; " + rule + CLOSED + " try_files /none /ok; }"
                  "location = /ok { return 200; }")
    headers = basic(user, "secret") if user else {}
    assert server.get("/", headers=headers).status == status


def test_satisfy_any_asks_nothing_of_who_is_let_by(weir, passwords):
    server = weir("location / { satisfy any; auth_request /ok; " + CLOSED + " try_files /none /ok; }"
                  "location = /ok { return 200; }")
    for headers in ({}, basic("plain", "wrong")):
        response = server.get("/", headers=headers)
        assert response.status == 200
        assert "www-authenticate" not in response.headers


@pytest.mark.parametrize("rule, user, status", [
    ("allow 127.0.0.1; deny all;", None, 401), ("deny all;", "plain", 403),
    ("allow 127.0.0.1; deny all;", "plain", 200)])
def test_satisfy_all_asks_for_all(weir, passwords, rule, user, status):
    server = weir("location / { " + rule + CLOSED + " try_files /none /ok; }"
                  "location = /ok { return 200; }")
    headers = basic(user, "secret") if user else {}
    assert server.get("/", headers=headers).status == status


@pytest.mark.parametrize("method, status", [("GET", 404), ("HEAD", 404), ("POST", 403),
                                            ("DELETE", 403)])
def test_limit_except_is_for_the_other_methods(weir, method, status):
    server = weir("location / { limit_except GET { deny all; } root @dir@/none; }")
    body = None if method in ("GET", "HEAD") else b""
    assert server.request("/x", method, body=body).status == status


# auth_delay

def test_a_refusal_may_be_delayed(weir, passwords):
    """And nothing else: who is let by does not wait for an hour."""
    server = weir(CLOSED + "location / { auth_delay 300ms; root @dir@; } location = /ok { auth_delay 1h; root @dir@; }",
                  http="log_format t '$status $request_time'; access_log @dir@/t.log t;")
    passwords.write("ok", b"ok")
    assert server.get("/", headers=basic("plain", "wrong")).status == 401
    assert server.get("/ok", headers=basic("plain", "secret")).status == 200
    refused = server.access_log(2, "t.log")[0].split()
    assert refused[0] == "401" and float(refused[1]) >= 0.299


def test_the_delay_begins_before_who_refuses_has_looked(weir, upstream):
    """So a check that takes time does not show in how long the refusal takes."""
    def slow(peer):
        time.sleep(2)
        return answer("", "401 Unauthorized")

    upstream.answers(slow)
    server = weir("location / { auth_request /auth; auth_delay 2500ms; } location /auth { proxy_pass http://@upstream@; }",
                  http="log_format t '$request_time'; access_log @dir@/t.log t;")
    seen = []

    def is_one_delay():
        assert server.get("/").status == 401
        seen.append(float(server.access_log(len(seen) + 1, "t.log")[-1]))
        assert seen[-1] >= 2.499
        return seen[-1] < 4.4
    succeeds_once(is_one_delay, "both times at once")


def test_the_delayed_refusal_is_as_it_would_have_been(weir, passwords):
    server = weir(CLOSED + "auth_delay 1ms; error_page 401 /sorry; location = /sorry { auth_basic off; return 200 sorry; }" + ROOT)
    response = server.get("/")
    assert (response.status, response.text) == (401, "sorry")
    assert response.headers["WWW-Authenticate"] == 'Basic realm="closed"'


def test_a_client_that_does_not_wait_for_its_refusal(weir, passwords):
    server = weir(CLOSED + "auth_delay 1h;" + ROOT)
    connection = server.connect()
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert connection.is_quiet()
    connection.close()
    assert " 499 " in server.access_log()[0]


def test_a_refusal_by_address_is_not_delayed(weir):
    assert weir("location / { auth_delay 1h; deny all; }").get("/").status == 403
