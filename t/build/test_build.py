"""configure, the checks and the installation, each in a copy of the tree."""

import os
import re
import shutil
import subprocess

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

HELLO = """
#include "core/conf/module.h"

extern const weir_module weir_hello;
const weir_module weir_hello = {.name = "hello"};
"""


class Tree:
    """A copy of the sources, with the BoringSSL that is built already."""

    def __init__(self, folder):
        self.folder = folder
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=TOP,
                                check=True, capture_output=True, text=True).stdout
        for path in filter(None, listed.split("\0")):
            if os.path.exists(os.path.join(TOP, path)):
                os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
                shutil.copy2(os.path.join(TOP, path), self.path(path))
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def run(self, *command):
        env = dict(os.environ, WEIR_CACHE=os.path.join(TOP, "objs"))
        for name in ("MAKEFLAGS", "MFLAGS", "CC"):
            env.pop(name, None)
        return subprocess.run(command, cwd=self.folder, env=env, text=True, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=1500)

    def configure(self, *arguments):
        return self.run("./configure", *arguments)


@pytest.fixture
def tree(tmp_path):
    return Tree(str(tmp_path))


# configure

@pytest.mark.parametrize("option", ["--prefxi=/usr", "--with-mail", "--with-openssl=/usr/src",
                                    "--without-http_nothing_module", "install",
                                    "--with-http_perl_module"])
def test_refuses_an_option_it_does_not_have_by_name(tree, option):
    done = tree.configure(option)
    assert done.returncode == 1
    assert option in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("option", ["--with-http_ssl_module", "--with-threads", "--with-compat",
                                    "--with-file-aio", "--with-pcre-jit"])
def test_takes_what_nginx_has_behind_an_option_and_weir_always(tree, option):
    done = tree.configure(option)
    assert done.returncode == 0, done.stdout
    assert f"configure: {option}: always there\n" in done.stdout


def test_records_its_arguments_as_one_would_type_them(tree):
    done = tree.configure("--prefix=/opt/weir", "--with-cc-opt=-g -O1")
    assert done.returncode == 0, done.stdout
    config = tree.read("objs/weir_auto_config.h")
    assert '#define WEIR_CONFIGURE "--prefix=/opt/weir --with-cc-opt=\'-g -O1\'"\n' in config
    assert '#define WEIR_PREFIX "/opt/weir/"\n' in config


def test_the_program_alone_is_optimised_as_a_whole(tree):
    assert tree.configure("--with-lto", "--with-cc=gcc").returncode == 0

    def commands(what):
        done = tree.run("make", "-n", "-f", "objs/Makefile", what)
        return done.stdout.replace("\\\n", " ").splitlines()

    program = commands("program")
    assert any("-flto=auto" in line for line in program if "--dynamic-list" in line)
    assert any("-ffat-lto-objects -c -o objs/core/base/map.o" in line for line in program)
    links = [line for line in commands("objs/t/unit/base_map_test") if "-lcmocka" in line]
    assert links and all("-fno-lto" in line and "-flto=" not in line for line in links)


def test_clang_is_not_asked_for_it(tree):
    done = tree.configure("--with-lto", "--with-cc=clang")
    assert done.returncode != 0
    assert "configure: error: --with-lto takes gcc" in done.stdout


def test_a_second_run_that_finds_the_same_rebuilds_nothing(tree):
    assert tree.configure().returncode == 0
    before = os.stat(tree.path("objs/weir_auto_config.h")).st_mtime_ns
    assert tree.configure().returncode == 0
    assert os.stat(tree.path("objs/weir_auto_config.h")).st_mtime_ns == before


NGHTTP2_OPTIONS = {
    "max_continuations": "size_t",
    "stream_reset_rate_limit": "uint64_t, uint64_t",
    "glitch_rate_limit": "uint64_t, uint64_t",
}


@pytest.mark.parametrize("has", [[], list(NGHTTP2_OPTIONS)], ids=["none of them", "all of them"])
def test_an_nghttp2_is_told_of_the_bounds_that_it_has(tree, has):
    """Of each version: its header declares an option or does not, and the program asks for those alone."""
    with open("/usr/include/nghttp2/nghttp2.h", encoding="utf-8") as file:
        header = file.read()
    stubs = ""
    for name, takes in NGHTTP2_OPTIONS.items():
        function = f"nghttp2_option_set_{name}"
        header = re.sub(r"NGHTTP2_EXTERN void\s+" + function + r"\([^;]*;", "", header)
        if name in has:
            declared = f"void {function}(nghttp2_option *option, {takes});"
            header = header.replace("NGHTTP2_EXTERN int nghttp2_option_new(", declared + "\nNGHTTP2_EXTERN int nghttp2_option_new(")
            stubs += f"void {function}(void) {{ }}\n"
    tree.write("other/nghttp2/nghttp2.h", header)
    shutil.copy2("/usr/include/nghttp2/nghttp2ver.h", tree.path("other/nghttp2"))
    tree.write("other/stubs.c", stubs)
    assert tree.run("gcc", "-c", "-o", "other/stubs.o", "other/stubs.c").returncode == 0
    done = tree.configure("--with-cc=gcc", "--with-werror", f"--with-cc-opt=-I{tree.path('other')}",
                          f"--with-ld-opt={tree.path('other/stubs.o')}")
    assert done.returncode == 0, done.stdout
    done = tree.run("make", "-f", "objs/Makefile", "objs/modules/http/wire/h2_option.o")
    assert done.returncode == 0, done.stdout
    asked = tree.run("nm", "-u", "objs/modules/http/wire/h2_option.o").stdout
    assert {name for name in NGHTTP2_OPTIONS if f"nghttp2_option_set_{name}\n" in asked} == set(has)


# Modules

def test_a_module_is_its_line_and_its_file(tree):
    tree.write("modules/http/filter/hello.c", HELLO)
    tree.write("auto/modules", "http weir_http_hello modules/http/filter/hello.c # first\n")
    sources = tree.run("auto/module-list", "sources").stdout.split()
    array = tree.run("auto/module-list", "array").stdout
    assert sources == ["modules/http/filter/hello.c"]
    assert '    {"http", (const weir_module *) &weir_http_hello},\n    {NULL, NULL},\n' in array


def test_a_module_that_is_left_out_is_neither_built_nor_listed(tree):
    tree.write("modules/http/filter/hello.c", HELLO)
    tree.write("auto/modules", "http weir_http_hello modules/http/filter/hello.c\n")
    assert tree.configure("--without-http_hello_module").returncode == 0
    assert "LEFT_OUT :=  http_hello\n" in tree.read("objs/Makefile")
    assert tree.run("auto/module-list", "sources", "http_hello").stdout == ""
    assert "weir_http_hello" not in tree.run("auto/module-list", "array", "http_hello").stdout


def test_a_module_whose_file_is_gone_is_named(tree):
    tree.write("auto/modules", "http weir_http_hello modules/http/filter/gone.c\n")
    done = tree.configure()
    assert done.returncode == 1
    assert "no file modules/http/filter/gone.c" in done.stdout


def test_a_dynamic_module_is_built_with_what_load_module_looks_for(tree):
    tree.write("hello/config", "weir_module_kind=core\nweir_module_name=weir_hello\n"
                               "weir_module_srcs=hello.c\n")
    tree.write("hello/hello.c", HELLO)
    done = tree.configure("--add-dynamic-module=hello")
    assert done.returncode == 0, done.stdout
    made = tree.run("make", "-f", "objs/Makefile", "dynamic")
    assert made.returncode == 0, made.stdout
    symbols = tree.run("nm", "-D", "--defined-only", "objs/weir_hello.so").stdout
    assert " weir_dynamic\n" in symbols


def test_a_folder_without_config_is_no_module(tree):
    tree.write("hello/hello.c", HELLO)
    done = tree.configure("--add-module=hello")
    assert done.returncode == 1
    assert "hello has no file \"config\"" in done.stdout


# The checks

@pytest.mark.parametrize("path, line, fault", [
    ("core/base/odd.c", '#include "modules/balance/odd.h"', "is of balance: core may include"),
    ("core/base/odd.c", '#include "odd.h"', "is not named from the root"),
    ("core/base/odd.c", '#include "core/conf/odd_internal.h"', "is internal to its folder"),
    ("modules/balance/odd.c", '#include "modules/waf/odd.h"', "is of waf: balance may include"),
    ("modules/balance/odd.c", '#include "modules/api/odd.h"', "is of api: balance may include"),
    ("modules/control/odd.c", '#include "modules/balance/odd.h"', "is of balance: control may include"),
    ("modules/http/engine/odd.c", '#include "modules/http/wire/odd.h"', "is of http wire"),
    ("modules/http/filter/odd.c", '#include "modules/http/access/odd.h"', "is another module's"),
    ("modules/http/filter/odd.c", '#  include "modules/http/wire/odd.h"', "is of http wire"),
    ("core/odd/odd.c", '#include "core/even/odd.h"', "a circle of folders: core/even, core/odd"),
])
def test_an_include_against_the_layers_is_found(tree, path, line, fault):
    for header in ("modules/balance/odd.h", "modules/waf/odd.h", "modules/api/odd.h", "modules/http/wire/odd.h",
                   "modules/http/access/odd.h", "core/conf/odd_internal.h", "core/odd/odd.h"):
        tree.write(header, "")
    tree.write("core/even/odd.h", '#include "core/odd/odd.h"\n')
    assert tree.run("auto/check-layers").stdout == ""
    tree.write(path, "\n" + line + "\n")
    done = tree.run("auto/check-layers")
    assert done.returncode == 1
    assert fault in done.stdout
    assert f"{path}:2: " in done.stdout


@pytest.mark.parametrize("line", ["strcpy(to, from);", "    n = atoi (text);", "x = sprintf(to, y);",
                                  "/* here: */ strtok(text, sep);"])
def test_a_banned_function_is_found(tree, line):
    tree.write("core/base/odd.c", "int x;\n" + line + "\n")
    done = tree.run("auto/check-banned")
    assert done.returncode == 1
    assert f"core/base/odd.c:2: {line}\n" in done.stdout


@pytest.mark.parametrize("text", ["/* strcpy(to, from) */", "/*\n * strcpy(to, from)\n */",
                                  'log("strcpy(to, from)");', "weir_atoi(text);", "x->gets(y);"])
def test_a_name_that_is_no_call_is_not_banned(tree, text):
    tree.write("core/base/odd.c", text + "\n")
    done = tree.run("auto/check-banned")
    assert done.returncode == 0, done.stdout


# Installation

def test_a_configuration_that_is_there_is_kept(tree):
    shutil.rmtree(tree.path("conf"), ignore_errors=True)
    tree.write("conf/weir.conf", "new\n")
    tree.write("conf/mime.types", "types\n")
    tree.write("conf/demo.conf", "demo\n")
    tree.write("etc/weir.conf", "old\n")
    done = tree.run("auto/install-conf", "etc", "etc/weir.conf")
    assert done.returncode == 0, done.stdout
    assert tree.read("etc/weir.conf") == "old\n"
    assert tree.read("etc/weir.conf.default") == "new\n"
    assert sorted(os.listdir(tree.path("etc"))) == ["mime.types", "weir.conf", "weir.conf.default"]


def test_a_module_may_include_every_header_that_is_installed(tree):
    assert tree.configure().returncode == 0
    assert tree.run("make", "-f", "objs/Makefile", "objs/weir_abi.h").returncode == 0
    assert tree.run("auto/install-headers", "objs", tree.path("include")).returncode == 0
    headers = tree.run("auto/public-headers").stdout.split()
    assert "core/conf/module.h" in headers
    assert not [header for header in headers if header.endswith("_internal.h")]
    boringssl = os.path.join(TOP, "objs", "boringssl", "include")
    for header in headers:
        tree.write("elsewhere/one.c", f'#include "{header}"\n')
        done = tree.run("gcc", "-std=c11", "-D_GNU_SOURCE", "-fsyntax-only", "-Iinclude",
                        "-I", boringssl, "elsewhere/one.c")
        assert done.returncode == 0, done.stdout


def test_a_fuzz_target_fails_for_what_it_finds_and_not_for_a_machine_that_stood_still(tree):
    """libFuzzer counts a timeout by the wall's clock, and memory over all inputs: the one at fault is run once more, alone."""
    target = """#!/bin/sh
        prefix= input=
        for argument; do
            case $argument in
                -artifact_prefix=*) prefix=${argument#*=} ;;
                *-timeout-*|*-oom-*) input=$argument ;;
            esac
        done
        if [ "$input" ]; then exit %s; fi
        echo "stat::number_of_executed_units: 17"
        for kind in %s; do : > ${prefix}$kind-abc; done
        exit %s
    """
    cases = {
        # name: how the input at fault fares alone, what it is found for, how the run ends
        "well": (0, "", 0), "crashed": (0, "", 77), "hung": (70, "timeout", 70), "stood": (0, "timeout", 70),
        "large": (71, "oom", 71), "grew": (0, "oom", 71)}
    os.makedirs(tree.path("objs/fuzz-logs"))
    os.makedirs(tree.path("objs/fuzz-findings"))
    said = {}
    for name, how in cases.items():
        tree.write(f"objs/test-fuzz/t/fuzz/{name}_fuzz", target % how)
        os.chmod(tree.path(f"objs/test-fuzz/t/fuzz/{name}_fuzz"), 0o755)
        run = tree.run("auto/fuzz-one", name)
        said[name] = (run.returncode, run.stdout.splitlines()[-1])
    assert said == {
        "well": (0, "fuzz well: no finding, 17 runs"),
        "crashed": (1, "fuzz crashed: FAILED"),
        "hung": (1, "fuzz hung: FAILED"),
        "stood": (0, "fuzz stood: no finding; ended early by an input that is all right when it runs alone: "
                     "objs/fuzz-findings/stood-timeout-abc"),
        "large": (1, "fuzz large: FAILED"),
        "grew": (0, "fuzz grew: no finding; ended early by an input that is all right when it runs alone: "
                    "objs/fuzz-findings/grew-oom-abc")}
