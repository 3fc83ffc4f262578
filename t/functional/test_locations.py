"""Which server and which location takes a request, and return."""

import pytest

from harness import request_bytes


def test_answers_with_the_text_and_status_that_return_names(weir):
    response = weir("location / { return 202 'héllo\\n'; }").get("/")
    assert (response.status, response.text) == (202, "héllo\n")


def test_an_unset_location_is_the_static_root(weir):
    assert weir("").get("/none").status == 404
