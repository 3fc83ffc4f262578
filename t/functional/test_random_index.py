"""random_index: any of a folder's files stands for it."""

import os

import pytest

CONFIG = """root @dir@/www; location / { random_index on; }
    location /deep/ { random_index on; autoindex on; location /deep/off/ { random_index off; } }"""


@pytest.fixture
def www(folder):
    for name in ("many/a", "many/b", "many/c", "many/.hidden", "many/sub/x", "none/.hidden", "none/index.html",
                 "none/sub/x", "deep/one", "deep/off/index.html"):
        folder.write(f"www/{name}", name)
    os.remove(folder.file("www/none/index.html"))
    os.symlink("nowhere", folder.file("www/none/link"))
    os.symlink("../many/a", folder.file("www/many/link"))
    return folder


def test_each_file_comes_and_no_other(weir, www):
    connection = weir(CONFIG).connect()
    seen = {connection.request("/many/").text for _ in range(80)}
    assert seen == {"many/a", "many/b", "many/c"}


def test_arguments_go_along(weir, www):
    server = weir(CONFIG + "location = /deep/one { return 200 $args; }")
    assert server.get("/deep/?a=b").text == "a=b"


def test_where_there_is_none_others_answer(weir, www):
    """Hidden files, folders, and links to nothing are none."""
    server = weir(CONFIG)
    assert server.get("/none/").status == 403
    www.write("www/none/index.html", "index")
    assert server.get("/none/").text == "index"


def test_what_is_no_folder_is_not_its_business(weir, www):
    server = weir(CONFIG)
    assert server.get("/many/a").text == "many/a"
    assert server.get("/missing/").status == 404
    server.wait_log(r'\[error\] .*opendir\(\) ".*/www/missing/?" failed \(2: No such file')


def test_it_is_for_reading(weir, www):
    server = weir(CONFIG)
    assert server.request("/many/", "HEAD").status == 200
    assert server.request("/many/", "POST", body=b"x").status == 405
    assert server.request("/many/", "PUT", body=b"x").status == 405


def test_an_inner_location_may_switch_it_off(weir, www):
    server = weir(CONFIG)
    assert server.get("/deep/").text == "deep/one"
    www.write("www/deep/off/other", "other")
    assert {server.get("/deep/off/").text for _ in range(10)} == {"deep/off/index.html"}
