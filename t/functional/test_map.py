"""map and split_clients."""

import pytest


def mapped(weir, rows, target="/", source="$arg_k", **request):
    server = weir("location / { return 200 \"$m\"; }", http=f"map {source} $m {{ {rows} }}")
    return server.get(target, **request).text


@pytest.mark.parametrize("target, value", [
    ("/?k=one", "1"), ("/?k=ONE", "1"), ("/?k=two", "2"), ("/?k=three", "none"), ("/", "empty"),
    ("/?k=default", "word"), ("/?k=abc7", "digit 7"), ("/?k=ABC", "any case"), ("/?k=xyz", "/"),
    ("/?k=first-second", "first")])
def test_the_key_gives_the_value(weir, target, value):
    rows = r"""default none; one 1; two 2; "" empty; \default word; ~[a-z](?<d>\d)$ "digit $d";
               ~*^abc "any case"; xyz $uri; ~^first first; ~second$ second;"""
    assert mapped(weir, rows, target) == value


@pytest.mark.parametrize("host, value", [
    ("a.test", "exact"), ("x.a.test", "any of a"), ("x.b.a.test", "deeper"), ("b.test", "dot"),
    ("x.b.test", "dot"), ("mail.org", "mail"), ("mail.co.uk", "mail"), ("r1.test", "regex"),
    ("other", "none"), ("A.TEST", "exact"), ("a.test.", "exact")])
def test_hostnames_match_as_server_names_do(weir, host, value):
    rows = r"""hostnames; default none; a.test exact; *.a.test "any of a"; *.b.a.test deeper;
               .b.test dot; mail.* mail; ~^r\d regex;"""
    assert mapped(weir, rows, host=host, source="$http_host") == value


def test_without_default_it_is_empty(weir):
    assert mapped(weir, "one 1;", "/?k=x") == ""


def test_rows_may_come_from_a_file(weir, folder):
    folder.write("rows", "one 1;\ntwo 2;\n")
    assert mapped(weir, "include @dir@/rows;", "/?k=two") == "2"


def test_a_map_may_feed_on_another(weir):
    server = weir("location / { return 200 $b; }", http="""
        map $arg_k $a { one two; } map $a $b { two three; }""")
    assert server.get("/?k=one").text == "three"


def test_the_usual_map_for_websockets(weir):
    server = weir("location / { return 200 $c; }",
                  http="map $http_upgrade $c { default upgrade; '' close; }")
    assert server.get("/").text == "close"
    assert server.get("/", headers={"Upgrade": "websocket"}).text == "upgrade"


@pytest.mark.parametrize("rows, message", [
    ("a 1; a 2;", 'conflicting parameter "a"'), ("default 1; default 2;", "duplicate default"),
    ("a 1 2;", "invalid number of the map parameters"), ("a;", "invalid number of the map")])
def test_wrong_rows_are_refused(check, rows, message):
    result = check(f"events {{}} http {{ map $uri $m {{ {rows} }} }}")
    assert result.code == 1 and message in result.err


def murmur2(data):
    mask, multiplier = 0xFFFFFFFF, 0x5BD1E995
    value = len(data)
    while len(data) >= 4:
        word = int.from_bytes(data[:4], "little") * multiplier & mask
        word = (word ^ word >> 24) * multiplier & mask
        value = value * multiplier & mask ^ word
        data = data[4:]
    for i in range(len(data) - 1, -1, -1):
        value ^= data[i] << 8 * i
    if data:
        value = value * multiplier & mask
    value = (value ^ value >> 13) * multiplier & mask
    return value ^ value >> 15


def test_split_clients_has_nginxs_shares(weir):
    server = weir("location / { return 200 $s; }",
                  http="split_clients $arg_k $s { 10% a; 20.5% b; * c; }")
    connection = server.connect()
    for n in range(200):
        key = f"client{n}" + "x" * (n % 5)
        share = murmur2(key.encode()) / 0xFFFFFFFF
        expected = "a" if share < 0.1 else "b" if share < 0.305 else "c"
        assert connection.request(f"/?k={key}").text == expected
