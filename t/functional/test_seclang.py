"""doc/seclang.md tells of all SecLang that does nothing here or is refused, and weir does as it says."""

import os
import re

import pytest

pytestmark = pytest.mark.weir_only("nginx reads no rules")

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def documented():
    """Each word of the page: "a warning" or "an error"."""
    return {name: becomes.split(":")[0]
            for name, becomes in re.findall(r"(?m)^\| `([^`]+)` \| ([^|]+) \|", read("doc", "seclang.md"))}


def written():
    """The same, as the tables of the source have it."""
    found = {}
    for name, reads in re.findall(r'\{"(\w+)", \d, \d, (ignore|refuse), 0,', read("modules", "waf", "seclang_directives.c")):
        found[name] = "a warning" if reads == "ignore" else "an error"
    actions = read("modules", "waf", "seclang_actions.c")
    for name, reads in re.findall(r'\{"(\w+)", TAKES_\w+, read_(without_effect|unsupported), 0\}', actions):
        found[name] = "a warning" if reads == "without_effect" else "an error"
    for name in re.findall(r'weir_str_eq_nocase\(option, WEIR_STR\("(\w+)"\)\)', actions):
        found["ctl:" + name] = "a warning"
    for name in re.findall(r'REFUSED\("(\w+)"', read("modules", "waf", "operator.c")):
        found["@" + name] = "an error"
    for name in re.findall(r'weir_str_eq\(name, WEIR_STR\("(\w+)"\)\)', read("modules", "waf", "seclang_test.c")):
        found["@" + name] = "a warning"
    targets = read("modules", "waf", "seclang_targets.c")
    for name in re.findall(r"\{WEIR_WAF_VAR_(\w+), ", targets):
        found[name] = "a warning"
    for name in re.search(r"absent\[\] = \{(.*?)\}", targets).group(1).replace('"', "").split(", "):
        found[name] = "an error"
    return found


def used(name):
    """A line with it."""
    if name.startswith("Sec"):
        return f"{name} 1"
    if name.startswith("@"):
        return f'SecRule ARGS "{name} x" "id:1,phase:2,pass"'
    if name.isupper():
        return f'SecRule {name} "@rx x" "id:1,phase:2,pass"'
    if name in ("sanitiseMatched", "sanitiseMatchedBytes"):
        return f'SecAction "id:1,phase:2,pass,{name}"'
    return f'SecAction "id:1,phase:2,pass,{name}{"=" if name.startswith("ctl:") else ":"}x"'


def test_the_page_has_what_the_source_has():
    assert documented() == written()


def test_each_word_does_what_the_page_says(check, tmp_path):
    words = documented()
    assert len(words) > 50
    path = tmp_path / "rules.conf"

    def load(*names):
        path.write_text("".join(used(name).replace("id:1", f"id:{i}") + "\n" for i, name in enumerate(names, 1)))
        return check(f"events {{}} http {{ modsecurity_rules_file {path}; server {{ listen 127.0.0.1:@port@; }} }}")

    accepted = [name for name, becomes in words.items() if becomes == "a warning"]
    result = load(*accepted)
    assert result.code == 0, result.err
    warnings = [line for line in result.err.splitlines() if "[warn]" in line]
    for name in accepted:
        assert any(re.search(re.escape(name) + r"\W", line) for line in warnings), name
    for name in words.keys() - set(accepted):
        result = load(name)
        assert result.code == 1 and name.lstrip("@") in result.err, name
