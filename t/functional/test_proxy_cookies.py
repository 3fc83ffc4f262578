"""proxy_cookie_flags: what becomes of the flags of an origin's cookies."""

import pytest

from harness.upstream import answer

PASS = "location / { @said@ proxy_pass http://@upstream@; }"


def cookies(weir, upstream, said, *sent):
    upstream.answers(answer(headers=[("Set-Cookie", cookie) for cookie in sent]))
    return weir(PASS, said=said).get("/?f=secure&g=nonsense").headers.all("Set-Cookie")


@pytest.mark.parametrize("flags, sent, seen", [
    ("secure", "one=1", "one=1; Secure"),
    ("httponly", "one=1; Path=/x", "one=1; Path=/x; HttpOnly"),
    ("samesite=strict", "one=1", "one=1; SameSite=Strict"),
    ("samesite=lax secure httponly", "one=1", "one=1; Secure; HttpOnly; SameSite=Lax"),
    ("samesite=none", "one=1; samesite=lax; Path=/", "one=1; SameSite=None; Path=/"),
    ("secure", "one=1; secure", "one=1; secure"),
    ("httponly secure", "one=1; HttpOnly", "one=1; HttpOnly; Secure"),
    ("nosecure", "one=1; Secure; HttpOnly", "one=1; HttpOnly"),
    ("nosecure", "one=1; SecureX", "one=1; SecureX"),
    ("nohttponly nosamesite", "one=1;SameSite=Lax;httponly; Path=/", "one=1; Path=/"),
    ("secure", "ONE=1", "ONE=1; Secure"),
    ("secure", "other=1", "other=1"),
    ("secure", "one", "one"),
    ("$arg_f", "one=1", "one=1; Secure"),
    ("$arg_g httponly", "one=1", "one=1; HttpOnly"),
    ("$arg_none", "one=1", "one=1"),
])
def test_flags_are_set_and_taken_away(weir, upstream, flags, sent, seen):
    assert cookies(weir, upstream, f"proxy_cookie_flags one {flags};", sent) == [seen]


def test_the_first_rule_for_a_cookie_counts(weir, upstream):
    said = """proxy_cookie_flags ~^tw secure; proxy_cookie_flags two httponly;
              proxy_cookie_flags ~^T samesite=lax;"""
    assert cookies(weir, upstream, said, "two=2", "TWO=2", "three=3", "one=1") == [
        "two=2; Secure", "TWO=2; Secure", "three=3; SameSite=Lax", "one=1"]


def test_domain_path_and_flags_go_together(weir, upstream):
    said = """proxy_cookie_flags ~ secure; proxy_cookie_path /two/ /one/;
              proxy_cookie_domain origin.test example.test;"""
    assert cookies(weir, upstream, said, "a=b; Domain=.origin.test; Path=/two/x") == [
        "a=b; Domain=.example.test; Path=/one/x; Secure"]


def test_a_location_may_switch_them_off(weir, upstream):
    upstream.answers(answer(headers={"Set-Cookie": "one=1"}))
    server = weir("""proxy_cookie_flags one secure;
                     location / { proxy_pass http://@upstream@; }
                     location /off/ { proxy_cookie_flags off; proxy_pass http://@upstream@; }""")
    assert server.get("/").headers["Set-Cookie"] == "one=1; Secure"
    assert server.get("/off/").headers["Set-Cookie"] == "one=1"


@pytest.mark.weir_only("nginx takes any word")
def test_what_is_no_flag_is_refused(check):
    result = check("events { } http { proxy_cookie_flags one sekure; }")
    assert result.code == 1 and 'invalid parameter "sekure"' in result.err
