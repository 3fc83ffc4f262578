"""secure_link: links that were given out, and for how long they hold."""

import base64
import hashlib

import pytest

SECRET = "enigma"
BY_TIME = """
    location / { secure_link $arg_md5,$arg_expires; secure_link_md5 "$secure_link_expires$uri enigma";
                 return 200 "[$secure_link|$secure_link_expires]"; }
    location /plain { secure_link $arg_md5; secure_link_md5 "$uri enigma"; return 200 "[$secure_link]"; }
    location /no { secure_link_md5 x; return 200 "[$secure_link]"; }"""
FUTURE, PAST = 99999999999, 1000000000


def sum_of(text):
    return base64.urlsafe_b64encode(hashlib.md5(text.encode()).digest()).decode().rstrip("=")


@pytest.mark.parametrize("until, said", [(FUTURE, "1"), (PAST, "0")])
def test_a_link_holds_until_its_time(weir, until, said):
    server = weir(BY_TIME)
    for padding in ("", "=", "=="):
        link = f"/a/b?md5={sum_of(f'{until}/a/b {SECRET}')}{padding}&expires={until}"
        assert server.get(link).text == f"[{said}|{until}]"


def test_all_digits_of_the_alphabet_are_known(weir):
    """Sums with - and _ in them: what has + or / is another alphabet's."""
    server = weir(BY_TIME)
    paths = [f"/plain{n}" for n in range(40)]
    assert any(set("-_") & set(sum_of(f"{path} {SECRET}")) for path in paths)
    for path in paths:
        text = sum_of(f"{path} {SECRET}")
        assert server.get(f"{path}?md5={text}").text == "[1]"
        other = text.replace("-", "+").replace("_", "/")
        assert server.get(f"{path}?md5={other}").text == ("[1]" if other == text else "[]")


@pytest.mark.parametrize("query", [
    "", "?md5=", "?md5=x", "?md5=" + "A" * 22, "?md5=" + "A" * 5000,
    f"?md5={sum_of(f'{PAST}/a {SECRET}')}&expires={FUTURE}",
    f"?md5={sum_of(f'x/a {SECRET}')}&expires=x", f"?md5={sum_of(f'0/a {SECRET}')}&expires=0",
    f"?md5={sum_of(f'-1/a {SECRET}')}&expires=-1", f"?md5={sum_of(f'/a {SECRET}')}", f"?md5={sum_of(f'/a {SECRET}')}&expires=",
])
def test_others_are_empty(weir, query):
    assert weir(BY_TIME).get("/a" + query).text.startswith("[|")


def test_a_time_that_is_none_is_not_told(weir):
    server = weir(BY_TIME)
    assert [server.get(f"/a?md5=x&expires={until}").text for until in ("5", "0", "x", "5x")] == ["[|5]"] + 3 * ["[|]"]


def test_without_both_directives_there_is_nothing(weir):
    assert weir(BY_TIME).get("/no?md5=x").text == "[]"


@pytest.mark.parametrize("path, said", [
    ("/p/@/top/secret.html", "top/secret.html"), ("/p/@/other", ""), ("/p/0/top/secret.html", ""),
    ("/p/@/", ""), ("/p/@", ""), ("/p/", ""),
])
def test_a_link_after_its_own_sum(weir, path, said):
    server = weir('location /p/ { secure_link_secret enigma; return 200 "[$secure_link]"; }')
    digest = hashlib.md5(b"top/secret.htmlenigma").hexdigest()
    assert server.get(path.replace("@", digest)).text == f"[{said}]"


def test_the_two_forms_do_not_mix(check):
    done = check("events {} http { server { location / { secure_link a; secure_link_secret b; } } }")
    assert done.code == 1 and "cannot be mixed" in done.err
