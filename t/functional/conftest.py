"""The fixtures.  Each test gets its own folder, ports and processes."""

import ctypes
import os
import resource
import shutil
import tempfile

import pytest

from harness import Binary, Certs, Ports, Server, Upstream
from harness.dns import Dns
from harness.server import Folder, compose
from harness.upstream import Deaf

_TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


_PR_SET_THP_DISABLE = 41


def _same_everywhere():
    """What the programs that are started inherit, and what is not to depend on who runs the tests, and where."""
    os.umask(0o022)
    for name in list(os.environ):
        if name.lower() in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") or name == "SSLKEYLOGFILE":
            del os.environ[name]
    # A name that is nowhere is asked for in vain: not for long, where the machine's name server is out of reach.
    os.environ.setdefault("RES_OPTIONS", "timeout:2 attempts:1")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 16384 if hard == resource.RLIM_INFINITY else min(hard, 16384)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    # Memory is measured in pages of one size: a huge one would look like 2 MiB that the program asked for.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)


def pytest_configure(config):
    _same_everywhere()
    config.addinivalue_line(
        "markers", "weir_only(reason): nginx 1.22 is not expected to pass, for the reason given")
    config.addinivalue_line("markers", "needs_root: starts as root to give up privileges")
    path = os.environ.get("WEIR_BIN", os.path.join(_TOP, "objs", "weir"))
    if not os.access(path, os.X_OK):
        raise pytest.UsageError(f"no program at {path}: run make, or set WEIR_BIN")
    config.weir_binary = Binary(path)


def pytest_collection_modifyitems(config, items):
    for item in items:
        only = item.get_closest_marker("weir_only")
        if only and config.weir_binary.is_nginx:
            item.add_marker(pytest.mark.skip(reason=f"weir only: {only.args[0]}"))
        if item.get_closest_marker("needs_root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))


def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        shutil.rmtree(_certs_folder(getattr(config, "weir_run_id", None)), ignore_errors=True)


def pytest_configure_node(node):
    node.config.weir_run_id = node.workerinput["testrunuid"]


def _certs_folder(run_id):
    return os.path.join(tempfile.gettempdir(), f"weir-certs-{run_id or os.getpid()}")


@pytest.fixture(scope="session")
def binary(request):
    return request.config.weir_binary


@pytest.fixture(scope="session")
def certs(request):
    """The certificates, made once and shared by all of xdist's workers."""
    workerinput = getattr(request.config, "workerinput", {})
    made = Certs(_certs_folder(workerinput.get("testrunuid")))
    made.make()
    return made


@pytest.fixture
def ports():
    taken = Ports()
    yield taken
    taken.release()


@pytest.fixture
def folder(request, ports):
    """The test's folder: write() files here, name them as @dir@/…"""
    made = Folder(ports, lambda: request.getfixturevalue("certs"))
    yield made
    made.remove()


@pytest.fixture
def new_upstream(ports):
    """Makes origins: new_upstream(tls=…, unix=True)."""
    made = []

    def make(**options):
        made.append(Upstream(ports, **options))
        return made[-1]

    yield make
    for one in made:
        one.stop()
    failures = [repr(failure) for one in made for failure in one.failures]
    if failures:
        pytest.fail("in the origin: " + "; ".join(failures), pytrace=False)


@pytest.fixture
def upstream(new_upstream):
    """An origin; the configuration names it @upstream@."""
    return new_upstream()


@pytest.fixture
def new_dns(ports):
    """Makes DNS servers."""
    made = []

    def make():
        made.append(Dns(ports))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def dns(new_dns):
    """A DNS server, empty as yet: dns.has(name, address); a configuration may say `resolver @dns@`."""
    return new_dns()


@pytest.fixture
def deaf(ports):
    """An address that never completes a connection."""
    made = Deaf(ports)
    yield made
    made.stop()


@pytest.fixture
def weir(request, binary, folder):
    """Starts the program: weir("location / { … }"), and stops it at the end.

    The text goes into a server block (None: there is none); http=, main= and events= add to the
    blocks around it; full= is a whole configuration.  Other names fill in
    @name@ in the text.  See Server for alerts=, exit_code= and closed=.
    """
    started = []

    def start(server="", full=None, http="", main="", events="", arguments=(), alerts=(),
              env=None, exit_code=0, wait=True, closed=(), **names):
        assert all(one.stopped for one in started), "stop the one that runs first"
        config = full if full is not None else compose(server, http, main, events, binary.is_nginx)
        if "@upstream@" in config and "upstream" not in names:
            names["upstream"] = request.getfixturevalue("upstream")
        one = Server(binary, folder, config, arguments, alerts, env, exit_code, wait, names,
                     closed)
        started.append(one)
        return one

    yield start
    problems = [problem for one in started for problem in one.finish()]
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture
def check(binary, folder):
    """Runs the program on a whole configuration, with -t unless told otherwise."""
    def run(config, *arguments, stdin=b"", **names):
        path = folder.file("weir.conf")
        folder.write("weir.conf", folder.fill(config, **names).encode())
        return binary.run("-p", folder.path + "/", "-e", folder.file("error.log"), "-c", path,
                          *(arguments or ("-t",)), stdin=stdin)
    return run
