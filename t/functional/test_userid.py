"""userid: a cookie that a client is known again by."""

import base64
import re
import struct
import time

import pytest

ID = bytes.fromhex("7f0000016a2af33300003b7503030202")
COOKIE = base64.b64encode(ID).decode()
HEX = "0100007F33F32A6A753B000002020303"     # its words, as this machine reads them


def given(response):
    """The Set-Cookie of a response: its name, the identifier with its mark, and the rest."""
    name, value, mark, rest = re.fullmatch(
        r"(\w+)=([A-Za-z0-9+/]{22})(.=)(;.*)?", response.headers["Set-Cookie"]).groups()
    return name, base64.b64decode(value + "=="), mark, rest


def with_cookie(server, path="/", cookie=f"uid={COOKIE}"):
    return server.get(path, headers={"Cookie": cookie})


def test_a_client_gets_an_identifier_of_its_own(weir):
    server = weir("userid on; location / { return 200; }")
    before = int(time.time())
    first, second = given(server.get()), given(server.get())
    assert first[0] == "uid" and first[2:] == ("==", "; path=/")
    assert first[1] != second[1]
    address, when = struct.unpack(">4sI", first[1][:8])
    assert address == bytes([127, 0, 0, 1]) and before <= when <= time.time()
    assert first[1][15] == 2        # the version


def test_a_client_that_has_one_keeps_it(weir):
    server = weir('userid on; location / { return 200 "$uid_got $uid_set"; }')
    response = with_cookie(server)
    assert "Set-Cookie" not in response.headers
    assert response.text == f"uid={HEX} "


def test_what_is_set_is_known_while_the_request_is_served(weir, upstream):
    server = weir("userid on; location / { proxy_pass http://@upstream@; proxy_set_header X-Id $uid_got$uid_set; }")
    sent = given(server.get())[1]
    words = struct.unpack("=4I", sent)
    assert upstream.last.headers["X-Id"] == "uid=" + "".join(f"{word:08X}" for word in words)
    with_cookie(server)
    assert upstream.last.headers["X-Id"] == f"uid={HEX}"


def test_it_is_the_same_after_an_internal_redirect(weir):
    server = weir("""userid on; location / { set $was $uid_set; error_page 404 /page; return 404; }
        location /page { return 200 "$was $uid_set"; }""")
    was, now = server.get().text.split()
    assert was == now


def test_parameters_of_the_cookie(weir):
    server = weir("""userid on; userid_name who; userid_domain .a.test; userid_path /p; userid_expires 365d;
        userid_flags secure httponly samesite=strict; userid_service 5; userid_p3p 'CP="NOI"';
        location / { return 404; }""")
    response = server.get()
    name, id, _, rest = given(response)
    assert name == "who" and id[:4] == b"\0\0\0\5"
    assert re.fullmatch(r"; expires=\w{3}, \d\d-\w{3}-\d\d \d\d:\d\d:\d\d GMT; domain=.a.test; path=/p; secure; "
                        r"httponly; samesite=strict", rest)
    assert response.headers["P3P"] == 'CP="NOI"'


@pytest.mark.parametrize("expires, said", [
    ("off", ""), ("max", "; expires=Thu, 31-Dec-37 23:55:55 GMT"), ("20y", r"; expires=\w+, \d\d-\w+-20\d\d .* GMT")])
def test_expires(weir, expires, said):
    server = weir(f"userid on; userid_expires {expires}; location / {{ return 200; }}")
    assert re.fullmatch(said + "; path=/", given(server.get())[3])


def test_version_1_has_no_service_and_its_words_as_the_machine_has_them(weir):
    server = weir("userid v1; location / { return 200; } location /s { userid_service 257; return 200; }")
    first = given(server.get())[1]
    assert first[:4] == bytes(4) and struct.unpack("=I", first[12:])[0] & 0xff == 1
    assert struct.unpack("=I", given(server.get("/s"))[1][:4])[0] == 257


def test_cookies_may_only_be_logged_or_not_looked_at(weir):
    server = weir("""location /log { userid log; return 200 "$uid_got,$uid_set"; }
        location /off { return 200 "$uid_got,$uid_set"; }""")
    assert with_cookie(server, "/log").text == f"uid={HEX},"
    assert with_cookie(server, "/off").text == ","
    assert "Set-Cookie" not in server.get("/log").headers


@pytest.mark.parametrize("came, sent", [("A=", None), ("==", "A="), ("", "A="), ("AA", "A="), ("B=", "A=")])
def test_a_cookie_without_the_mark_is_sent_anew_with_the_same_identifier(weir, came, sent):
    server = weir("userid on; userid_mark A; location / { return 200 $uid_set; }")
    response = with_cookie(server, cookie=f"uid={COOKIE[:22]}{came}")
    if sent is None:
        assert "Set-Cookie" not in response.headers
    else:
        assert given(response)[:3] == ("uid", ID, sent) and response.text == f"uid={HEX}"


@pytest.mark.parametrize("reset, is_new", [("", False), ("0", False), ("1", True), ("log", True)])
def test_identifiers_are_reset(weir, reset, is_new):
    server = weir("userid on; set $uid_reset $arg_r; location / { return 200 $uid_got; }")
    response = with_cookie(server, f"/?r={reset}")
    assert response.text == f"uid={HEX}"
    assert ("Set-Cookie" in response.headers) == is_new
    if reset == "log":
        server.wait_log(rf'\[notice\] .*userid cookie "uid={HEX}" was reset')


@pytest.mark.parametrize("cookie, said", [
    ("uid=abc", "client sent too short userid cookie"), (f"uid={COOKIE[:21]}", "client sent too short userid cookie"),
    (f"uid={COOKIE[:21]}!==", "client sent invalid userid cookie"), ("uid=" + "A" * 22 + "==", None)])
def test_what_is_no_identifier_is_replaced(weir, cookie, said):
    server = weir("userid on; location / { return 200 [$uid_got]; }")
    response = with_cookie(server, cookie=cookie)
    assert response.text == "[]" and given(response)[0] == "uid"
    if said:
        server.wait_log(rf"\[error\] .*{said}")


def test_locations_inherit(weir):
    server = weir("""userid on; userid_name outer; location / { return 200; }
        location /own { userid_name own; return 200; } location /off { userid off; return 200; }""")
    assert given(server.get())[0] == "outer" and given(server.get("/own"))[0] == "own"
    assert "Set-Cookie" not in server.get("/off").headers


@pytest.mark.parametrize("wrong", ["userid yes;", "userid_mark ab;", "userid_mark !;", "userid_expires -1;",
                                   "userid_service x;", "userid_flags x;"])
def test_wrong_values_are_refused(check, wrong):
    done = check(f"events {{}} http {{ {wrong} }}")
    assert done.code == 1 and "[emerg]" in done.err
