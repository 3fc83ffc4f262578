"""doc/directives.md is what weir says of itself: make reference."""

import os
import re
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NGINX = "/usr/sbin/nginx"


def states(binary):
    """What the table says of each of nginx's directives: its module, and what becomes of it."""
    return {name: (module, state) for name, module, state in re.findall(
        r"(?m)^\| `(\w+)` \| (.*?) \| (.*?) \|$", binary.run("-h", "all").out)}


def entries(text):
    """Each directive's entry without its default, which configure may change."""
    return {part.split("\n")[0]: re.sub(r"(?m)^- default: .*\n", "", part)
            for part in re.split(r"(?m)^(?=##)", text)}


@pytest.mark.weir_only("nginx prints no reference")
def test_the_reference_is_current(binary):
    with open(os.path.join(ROOT, "doc", "directives.md"), encoding="utf-8") as file:
        written = entries(file.read())
    said = entries(binary.run("-h", "all").out)
    assert said.keys() == written.keys()
    assert said == written


@pytest.mark.weir_only("nginx prints no reference")
def test_the_table_of_nginx_directives_is_true_of_those_that_are_refused(binary, check):
    """One of each module, and one for each reason."""
    refused = {}
    for name, (module, state) in states(binary).items():
        if state.startswith("refused") and module.startswith("http_"):
            refused.setdefault((module, state), name)
    assert len(refused) > 20
    for name in refused.values():
        done = check(f"events {{}} http {{ {name} a b; }}")
        assert done.code == 1 and f'"{name}"' in done.err, (name, done.err)


@pytest.mark.weir_only("nginx prints no reference")
def test_the_table_of_nginx_directives_is_true_of_those_that_only_warn(binary, check):
    """With one argument in http{}, where it takes that, each says that it has no effect."""
    warns = [name for name, (module, state) in states(binary).items()
             if state.startswith("accepted with a warning") and "http_" in module]
    assert warns
    for name in warns:
        entry = binary.run("-h", name).out
        if "http" not in re.search(r"Context: *(.*)", entry).group(1).split(", "):
            continue
        done = check(f"events {{}} http {{ {name} on; server {{ listen 127.0.0.1:@port@; }} }}")
        assert done.code != 0 or "[warn]" in done.err, (name, done.err)


@pytest.mark.weir_only("nginx prints no reference")
def test_why_a_directive_has_no_effect_is_said_once(binary):
    assert not re.search(r"without effect: .*no effect", binary.run("-h", "all").out)


@pytest.mark.weir_only("nginx prints no reference")
def test_the_table_knows_every_directive_of_the_tables(binary):
    """What works is in the tables of the modules, and what is not there is refused."""
    said = states(binary)
    for name in ("limit_req", "sub_filter", "proxy_pass", "gzip", "listen"):
        assert said[name][1] == "works"
    with_entry = set(re.findall(r"(?m)^### (\w+)$", binary.run("-h", "all").out))
    for name, (_, state) in said.items():
        assert (name in with_entry) or state.startswith("refused"), name


# ---- contexts, beside nginx

CONTEXTS = {
    "main": "%s events {}",
    "http": "events {} http { %s }",
    "server": "events {} http { server { %s } }",
    "location": "events {} http { server { location / { %s } } }",
    "if in location": "events {} http { server { location / { if ($uri) { %s } } } }",
    "if in server": "events {} http { server { if ($uri) { %s } } }",
    "limit_except": "events {} http { server { location / { limit_except GET { %s } } } }",
    "upstream": "events {} http { upstream u { server 127.0.0.1:1; %s } }",
}
# nginx runs once for each: of some 2500 cases one in this many, but all with WEIR_TEST_ALL=1 (90 s).
SHARE = 1 if os.environ.get("WEIR_TEST_ALL") else 120
LATER_IN_NGINX = {("resolver", "upstream"), ("resolver_timeout", "upstream")}


def declared(binary):
    """The contexts of each directive outside of stream, as the reference has them."""
    found = {}
    for part in re.split(r"(?m)^(?=## )", binary.run("-h", "all").out):
        if not part.startswith("## stream:"):
            for name, contexts in re.findall(r"(?ms)^### (\w+)$.*?^- context: (.*?)$", part):
                found.setdefault(name, set()).update(contexts.split(", "))
    return found


@pytest.mark.weir_only("nginx is what weir is compared with")
@pytest.mark.skipif(not os.path.exists(NGINX), reason="there is no nginx here")
def test_directives_are_allowed_where_nginx_allows_them(binary, folder):
    known = declared(binary)
    assert len(known) > 250
    cases = [(name, context) for name in sorted(known) for context in CONTEXTS]
    wrong = []
    for name, context in cases[::SHARE]:
        # No directive takes so many words: where it stands is looked at first.
        folder.write("nginx.conf", (CONTEXTS[context] % (name + " no" * 20 + ";")).encode())
        said = subprocess.run([NGINX, "-t", "-e", "/dev/null", "-c", folder.file("nginx.conf")],
                              capture_output=True, text=True, check=False, timeout=30).stderr
        if f'unknown directive "{name}"' in said or (name, context) in LATER_IN_NGINX:
            continue
        if ("is not allowed here" in said) == (context in known[name]):
            wrong.append((name, context, said))
    assert not wrong
