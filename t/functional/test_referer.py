"""valid_referers."""

import pytest

CONFIG = r"""server_name own.test *.wild.test .both.test trail.* ~^re\d;
    location / { valid_referers none blocked server_names *.example.com example.* www.a.org/galleries/
                                a.b.test ~\.google\. ~^x/Y;
                 return 200 "[$invalid_referer]"; }
    location /all { return 200 "[$invalid_referer]"; }
    location /only { valid_referers *.example.com; valid_referers x.test/Ab;
                     if ($invalid_referer) { return 403; } return 200;
                     location /only/those { valid_referers y.test; return 200 "[$invalid_referer]"; } }
"""


def judged(server, target, referer):
    headers = {} if referer is None else {"Referer": referer}
    return server.get(target, headers=headers)


@pytest.mark.parametrize("referer, is_valid", [
    (None, True), ("", True), ("xx", True), ("foo/bar", True), ("ftp://own.test/", True),
    ("http://own.test/x", True), ("https://OWN.test:80/x", True), ("HTTP://own.test/", True),
    ("http://a.wild.test", True), ("http://re5.test/", True), ("http://both.test/", True),
    ("http://a.both.test/", True), ("http://trail.any/", True),
    ("http://a.example.com/x", True), ("http://example.com", True), ("http://example.net/", True),
    ("http://www.a.org/galleries/1", True), ("http://www.a.org:80/galleries/1", True),
    ("http://www.a.org/other", False), ("http://www.a.org", False), ("http://a.b.test", True),
    ("http://a.b.test?q", False), ("http://x.test/a.google.b", True), ("http://x/y.long", True),
    ("http://user@own.test/", False), ("http://evil.test/own.test", False),
    ("http://own.test.evil.test/", False), ("http://evil.test/http://own.test/", False),
    ("http://wild.test.evil/", False), ("http://notown.test/", False)])
def test_a_referer_is_valid_or_not(weir, referer, is_valid):
    server = weir(CONFIG)
    assert judged(server, "/", referer).text == ("[]" if is_valid else "[1]")
    assert judged(server, "/all", referer).text == "[]"


@pytest.mark.parametrize("referer, status", [
    (None, 403), ("", 403), ("xx", 403), ("http://a.example.com", 200), ("http://example.com", 403),
    ("http://X.test/Abc", 200), ("http://x.test/abc", 403), ("http://x.test/A", 403)])
def test_only_what_is_listed_is_valid(weir, referer, status):
    assert judged(weir(CONFIG), "/only", referer).status == status


def test_a_level_has_a_list_of_its_own(weir):
    server = weir(CONFIG)
    assert judged(server, "/only/those", "http://y.test/").text == "[]"
    assert judged(server, "/only/those", "http://a.example.com/").text == "[1]"


@pytest.mark.parametrize("words, error", [("", "invalid number of arguments"), ("~(", "missing"),
                                          ("~", "empty regex")])
def test_wrong_lists_are_refused(check, ports, words, error):
    result = check("events {} http { server { listen 127.0.0.1:%d; valid_referers %s; } }"
                   % (ports.take(), words))
    assert result.code != 0 and error in result.err


@pytest.mark.weir_only("nginx does not tell")
@pytest.mark.parametrize("word", ["http://a.test", "/x"])
def test_what_allows_nothing_is_told(check, ports, word):
    result = check("events {} http { server { listen 127.0.0.1:%d; valid_referers %s; } }"
                   % (ports.take(), word))
    assert result.code == 0 and "allows no referer" in result.err
