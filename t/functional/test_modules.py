"""A module built outside the tree, as doc/modules.md tells an author to."""

import glob
import os
import shutil
import subprocess

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SAMPLE = os.path.join(TOP, "doc", "sample-module")

pytestmark = [
    pytest.mark.weir_only("it is about weir's own modules"),
    pytest.mark.skipif(not os.path.isdir(SAMPLE), reason="doc/sample-module is not there yet"),
]


def run(*command, cwd):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False,
                          timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sample as a shared object, built in a folder outside the tree."""
    folder = tmp_path_factory.mktemp("module")
    source = folder / "sample-module"
    shutil.copytree(SAMPLE, source)
    run("make", f"WEIR={TOP}", cwd=source)
    objects = glob.glob(str(source / "*.so"))
    assert len(objects) == 1
    return objects[0]


def test_the_documented_sample_filters_and_judges(weir, folder, built):
    shutil.copy(built, folder.file("sample.so"))
    with open(os.path.join(SAMPLE, "sample.conf"), encoding="utf-8") as file:
        server = weir(file.read(), main="load_module @dir@/sample.so;")
    assert server.get("/").headers["X-Sample"]
    assert server.get("/", headers={"X-Forbidden": "yes"}).status == 403


def test_a_module_of_another_abi_is_refused(check, folder, built):
    with open(built, "rb") as file:
        spoilt = file.read().replace(b"weir-abi-", b"weir-abj-")
    folder.write("sample.so", spoilt)
    result = check("load_module @dir@/sample.so;\nevents {}\n")
    assert result.code == 1
    assert "[emerg]" in result.err and "sample.so" in result.err


def test_what_is_no_module_is_refused(check, folder):
    folder.write("none.so", b"not ELF")
    result = check("load_module @dir@/none.so;\nevents {}\n")
    assert result.code == 1
    assert "none.so" in result.err
