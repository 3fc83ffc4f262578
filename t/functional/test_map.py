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


@pytest.mark.parametrize("rows, taken", [
    ("10% a; .5% b; * c;", True), ("* a; * b;", True), ("100% a; * b;", True),
    ("* a; 5% b;", False), ("10% a; * b; 5% c;", False), ("60% a; 40.1% b;", False)])
def test_split_clients_has_no_share_behind_the_rest(check, rows, taken):
    done = check(f"events {{}} http {{ split_clients $remote_addr $s {{ {rows} }} }}")
    assert (done.code == 0) == taken
    assert taken or "percent total is greater than 100%" in done.err


# geo

@pytest.mark.parametrize("addr, value", [
    ("10.1.2.3", "ten"), ("10.1.9.9", "ten one"), ("10.1.2.9", "host"), ("192.0.2.1", "none"),
    ("2001:db8::1", "six"), ("2001:db9::1", "none"), ("::ffff:10.1.2.3", "ten"), ("nonsense", "last"),
    ("255.255.255.255", "last"), ("172.16.0.1", "none")])
def test_geo_takes_the_smallest_network(weir, addr, value):
    server = weir("location / { return 200 $g; }", http="""geo $arg_a $g { default none;
        10.0.0.0/8 ten; 10.1.9.0/24 "ten one"; 10.1.2.9 host; 2001:db8::/32 six;
        255.255.255.255 last; 172.16.0.0/12 gone; delete 172.16.0.0/12; }""")
    assert server.get(f"/?a={addr}").text == value


@pytest.mark.parametrize("addr, value", [
    ("10.0.0.0", "none"), ("10.0.0.1", "a"), ("10.0.0.9", "a"), ("10.0.0.10", "none"),
    ("10.0.0.20", "b"), ("192.0.3.255", "c"), ("192.0.4.0", "none")])
def test_geo_takes_ranges(weir, addr, value):
    server = weir("location / { return 200 $g; }", http="""geo $arg_a $g { ranges; default none;
        10.0.0.1-10.0.0.9 a; 10.0.0.20-10.0.0.20 b; 192.0.2.0-192.0.3.255 c; }""")
    assert server.get(f"/?a={addr}").text == value


@pytest.mark.parametrize("forwarded, value", [
    (None, "here"), ("192.0.2.1", "there"), ("198.51.100.1, 192.0.2.1", "there"),
    ("192.0.2.1, 127.0.0.1", "there"), ("nonsense", "here")])
def test_geo_believes_its_proxies(weir, forwarded, value):
    server = weir("location / { return 200 $g; }", http="""geo $g { default none; proxy 127.0.0.1;
        proxy_recursive; 127.0.0.0/8 here; 192.0.2.0/24 there; }""")
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    assert server.get("/", headers=headers).text == value


def test_a_large_geo_is_read_and_searched(weir, folder):
    rows = "".join(f"{a}.{b}.0.0/16 {a}-{b};\n" for a in range(1, 200) for b in range(0, 256, 2))
    folder.write("geo", rows)
    server = weir("location / { return 200 $g; }",
                  http="geo $arg_a $g { default none; include @dir@/geo; }")
    connection = server.connect()
    for addr, value in (("77.10.3.4", "77-10"), ("77.11.3.4", "none"), ("1.0.0.1", "1-0")):
        assert connection.request(f"/?a={addr}").text == value
