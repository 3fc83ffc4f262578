"""doc/directives.md is what weir says of itself: make reference."""

import os
import re

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


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
