"""weir ctl: upstream groups are shown and changed over the control socket."""

import json
import os
import re
import socket
import stat
from signal import SIGKILL, SIGQUIT, SIGUSR2

import pytest

from harness import kernel, wait_until
from harness.wait import TIMEOUT
from harness.upstream import answer

pytestmark = pytest.mark.weir_only("the tool and the directive are weir's own")

CONTROL = "control unix:@dir@/ctl;"
STREAM = "stream { upstream lines { zone lines 64k; server 127.0.0.1:9 weight=4; } }"


def group(*servers):
    return f"upstream back {{ zone back 64k; {''.join(f'server {one};' for one in servers)} }}"


@pytest.fixture
def ctl(folder, binary):
    """Runs weir ctl; words that do not begin with a dash are the command."""
    def run(*words, fails=False):
        done = binary.run("ctl", "-p", folder.path + "/", "-e", folder.file("ctl.log"),
                          "-c", folder.file("weir.conf"), *map(str, words))
        assert (done.code != 0) == fails, done
        return done.err if fails else done.out
    return run


@pytest.fixture
def served(weir, new_upstream):
    """A server with two of three origins in its group."""
    origins = [new_upstream() for _ in range(3)]
    for number, origin in enumerate(origins):
        origin.answers(answer(str(number)))
    server = weir("location / { proxy_pass http://back; }", http=group(*origins[:2]),
                  main=f"worker_processes 2; {CONTROL} {STREAM}")
    return server, origins


def seen(server):
    return {server.get("/").text for _ in range(12)}


def test_groups_are_shown_as_tables(served, ctl):
    server, (one, two, _) = served
    assert server.get("/").text in "01"
    wait_until(lambda: sorted(re.findall(r"up +1 +0 +([01]) ", ctl("upstreams", "back"))) == ["0", "1"], "it to be counted")
    text = ctl("upstreams")
    assert "http upstream back, zone back\n" in text
    assert "stream upstream lines, zone lines\n" in text
    for origin in one, two:
        assert re.search(rf"^ +\d+  {re.escape(str(origin))} +up +1 +0 +[01] ", text, re.M)
    assert re.search(r"127\.0\.0\.1:9 +up +4 ", text)
    assert ctl("upstreams", "back").count("\n") == 4
    assert "lines" not in ctl("--http", "upstreams")
    assert re.search(r"^ +0  127\.0\.0\.1:9 +4 +0 +1 +10s +0s", ctl("--stream", "servers", "lines"),
                     re.M)


def test_groups_are_shown_as_the_api_shows_them(served, ctl):
    server, (one, _, _) = served
    shown = json.loads(ctl("--json", "upstreams"))
    assert shown["stream"]["lines"]["peers"][0]["weight"] == 4
    assert shown["http"]["back"]["peers"][0]["server"] == str(one)
    assert json.loads(ctl("--json", "servers", "back"))[0]["server"] == str(one)
    assert seen(server) == {"0", "1"}


def test_a_change_is_seen_by_all_workers_once_the_tool_ends(served, ctl):
    server, (one, two, three) = served
    assert str(three) in ctl("add", "back", three, "weight=2", "slow_start=0")
    assert seen(server) == {"0", "1", "2"}
    assert re.search(r" down$", ctl("set", "back", two, "down"), re.M)
    assert seen(server) == {"0", "2"}
    ctl("set", "back", 1, "down=off")
    assert str(one) not in ctl("remove", "back", one)
    assert seen(server) == {"1", "2"}
    ctl("--stream", "set", "lines", "0", "weight=7", "max_conns=3")
    shown = json.loads(ctl("--json", "--stream", "servers", "lines"))[0]
    assert (shown["weight"], shown["max_conns"]) == (7, 3)
    assert "control: \"DELETE\" of http/upstreams/back/servers/" in server.log()


@pytest.mark.parametrize("words, message", [
    (["upstreams", "none"], "refused: upstream not found"),
    (["set", "back", "127.0.0.1:7", "weight=2"], "refused: upstream server not found"),
    (["set", "back", "0", "weight=0"], 'refused: invalid value of "weight"'),
    (["set", "back", "0", "weight"], "this takes a value: weight"),
    (["set", "back", "0", "down=maybe"], 'it is "on" or "off": down=maybe'),
    (["set", "back", "0"], "wrong number of words for set"),
    (["sing"], "it takes upstreams, servers, add, set or remove, not sing"),
    ([], "not nothing"),
    (["--xml", "upstreams"], "invalid option --xml"),
])
def test_what_is_wrong_is_told(weir, ctl, words, message):
    weir("", http=group("127.0.0.1:9"), main=CONTROL)
    told = ctl(*words, fails=True)
    assert message in told and "\\x0A" not in told


def test_the_socket_is_its_owners_alone_and_goes_with_weir(weir, folder, ctl):
    server = weir("location / { return 204; }", main=CONTROL)
    found = os.stat(folder.file("ctl"))
    assert stat.S_ISSOCK(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o600
    server.reload()
    assert os.stat(folder.file("ctl")).st_ino == found.st_ino
    assert ctl("upstreams") == ""
    server.reload(server.config.replace("/ctl;", "/other;"))
    wait_until(lambda: not os.path.exists(folder.file("ctl")), "the old socket to go")
    assert ctl("upstreams") == ""
    server.stop()
    assert not os.path.exists(folder.file("other"))


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def status_at(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(TIMEOUT)
        client.connect(path)
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return client.makefile("rb").readline().split()[1]


def test_a_socket_for_everybody_and_that_for_control_are_never_one(weir, folder, ctl):
    """Nor is the old one's file gone before all is had for the new configuration."""
    path = folder.file("ctl")
    listen = f"server {{ listen unix:{path}; return 204; }}"
    served = f"{group('127.0.0.1:9')} {listen}"
    server = weir("", http=served, alerts=["203.0.113.9"])
    served = server.config
    control = CONTROL.replace("@dir@", folder.path) + served.replace(listen, "")
    unbindable = "server { listen 203.0.113.9:80; }"

    assert mode_of(path) == 0o666 and status_at(path) == b"204"
    server.reload(control.replace("http {", f"http {{ {unbindable}"), fails=True)
    assert mode_of(path) == 0o666 and status_at(path) == b"204"
    server.reload(control)
    assert mode_of(path) == 0o600
    assert "127.0.0.1:9" in ctl("upstreams")
    server.reload(served.replace("http {", f"http {{ {unbindable}"), fails=True)
    assert mode_of(path) == 0o600
    server.reload(served)
    assert mode_of(path) == 0o666 and status_at(path) == b"204"


def test_what_a_dead_process_left_is_replaced_and_a_file_is_not(weir, folder, ctl):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(folder.file("ctl"))
    server = weir("location / { return 204; }", http=group("127.0.0.1:9"), main=CONTROL)
    assert "127.0.0.1:9" in ctl("upstreams")
    folder.write("file", b"precious")
    server.reload(server.config.replace("/ctl;", "/file;"), fails=True)
    assert "is there, and is no socket" in server.log()
    assert server.read("file") == "precious"


def test_without_the_directive_there_is_no_socket(weir, ctl):
    weir("location / { return 204; }")
    assert 'the configuration has no "control" socket' in ctl("upstreams", fails=True)


def test_an_address_of_a_name_is_called_by_its_address(weir, ctl, dns):
    dns.has("back.test", "127.0.0.1", "127.0.0.2")
    weir("", http=f"resolver {dns}; " + group("back.test:9 resolve"), main=CONTROL)
    wait_until(lambda: ctl("servers", "back").count(" of 0\n") == 2, "the addresses")
    assert re.search(r"^ +\d+  127\.0\.0\.2:9 +1 .* drain of 0$", ctl("set", "back", "127.0.0.2:9", "drain"), re.M)
    assert re.search(r"127\.0\.0\.2:9 +draining ", ctl("upstreams", "back"))
    assert "removed by DNS" in ctl("remove", "back", "127.0.0.2:9", fails=True)


def test_a_keeper_that_is_killed_is_followed_by_one_that_answers(weir, ctl):
    server = weir("", http=group("127.0.0.1:9"), main=CONTROL, alerts=["exited on signal 9"])
    for pid in server.processes():
        if pid not in server.workers() and pid != server.master_pid:
            server.signal(SIGKILL, pid)
    assert "127.0.0.1:9" in ctl("upstreams")


def test_one_process_without_a_master_answers_too(weir, ctl):
    weir("", http=group("127.0.0.1:9"), main=f"master_process off; {CONTROL}")
    assert "127.0.0.1:8" in ctl("add", "back", "127.0.0.1:8")


def upgraded(server):
    """Sends USR2 and waits for the new master; returns (old, new)."""
    old = server.master_pid
    server.signal(SIGUSR2)
    wait_until(lambda: server.master_pid not in (0, old) and server.workers(), "a new master")
    return old, server.master_pid


def test_somebody_answers_at_any_time_of_an_upgrade(weir, folder, ctl):
    server = weir("", http=group("127.0.0.1:9"), main=f"daemon on; {CONTROL}")
    inode = os.stat(folder.file("ctl")).st_ino
    old, new = upgraded(server)
    assert "127.0.0.1:8" in ctl("add", "back", "127.0.0.1:8")
    server.signal(SIGQUIT, old)
    assert "127.0.0.1:7" in ctl("add", "back", "127.0.0.1:7")
    wait_until(lambda: not kernel.is_alive(old), "the old master to end")
    assert os.stat(folder.file("ctl")).st_ino == inode
    assert {"127.0.0.1:9", "127.0.0.1:8", "127.0.0.1:7"} == {
        one["server"] for one in json.loads(ctl("--json", "servers", "back"))}
    server.reload()
    assert "127.0.0.1:7" in ctl("upstreams")


def test_what_was_for_everybody_is_not_for_control_after_an_upgrade(weir, folder, ctl):
    path = folder.file("ctl")
    listen = f"server {{ listen unix:{path}; return 204; }}"
    server = weir("", http=f"{group('127.0.0.1:9')} {listen}", main="daemon on;")
    server.write_config(CONTROL + server.config.replace(listen, ""))
    old, new = upgraded(server)
    server.signal(SIGQUIT, old)
    wait_until(lambda: not kernel.is_alive(old), "the old master to end")
    assert mode_of(path) == 0o600
    assert "127.0.0.1:9" in ctl("upstreams")
    server.stop()
    assert not os.path.exists(path)


@pytest.mark.parametrize("how", ["the new one quits", "it does not load"])
def test_an_upgrade_that_is_taken_back_leaves_the_socket(weir, folder, ctl, how):
    server = weir("", http=group("127.0.0.1:9"), main=f"daemon on; {CONTROL}",
                  alerts=["bogus", "exited with code 1"])
    if how == "it does not load":
        server.write_config(server.config + "bogus;")
        old = server.master_pid
        server.signal(SIGUSR2)
        server.wait_log("new binary process .* exited with code 1")
        server.write_config(server.config.replace("bogus;", ""))
    else:
        old, new = upgraded(server)
        server.signal(SIGQUIT, new)
        wait_until(lambda: not kernel.is_alive(new), "the new master to end")
    wait_until(lambda: server.master_pid == old, "the pid file")
    assert "127.0.0.1:8" in ctl("add", "back", "127.0.0.1:8")
    server.stop()
    assert not os.path.exists(folder.file("ctl"))


def test_a_file_that_was_taken_away_comes_with_a_reload(weir, folder, ctl):
    server = weir("", http=group("127.0.0.1:9"), main=CONTROL)
    os.remove(folder.file("ctl"))
    server.reload()
    assert "127.0.0.1:9" in ctl("upstreams")


def test_who_was_followed_by_another_leaves_its_file_alone(weir, folder, ctl):
    server = weir("", http=group("127.0.0.1:9"), main=CONTROL)
    os.remove(folder.file("ctl"))
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(folder.file("ctl"))
        server.stop()
        assert os.path.exists(folder.file("ctl"))


def test_a_test_of_the_configuration_leaves_the_socket(weir, folder, binary, ctl):
    weir("", http=group("127.0.0.1:9"), main=CONTROL)
    inode = os.stat(folder.file("ctl")).st_ino
    done = binary.run("-t", "-p", folder.path + "/", "-c", folder.file("weir.conf"))
    assert done.code == 0, done
    assert os.stat(folder.file("ctl")).st_ino == inode
    assert "127.0.0.1:9" in ctl("upstreams")


def test_it_listens_apart_from_servers(check):
    done = check("control unix:@dir@/both; events { } http { server { listen unix:@dir@/both; } }")
    assert done.code == 1 and "is listened at already" in done.err


@pytest.mark.parametrize("value, message", [
    ("/run/x", 'takes "unix:PATH" or "off"'),
    ("unix:", 'takes "unix:PATH" or "off"'),
    ("unix:/" + "x" * 120, "is too long"),
])
def test_what_is_no_socket_is_refused(check, value, message):
    done = check(f"control {value}; events {{ }}")
    assert done.code == 1 and message in done.err
