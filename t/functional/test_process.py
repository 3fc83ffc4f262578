"""Master and workers: start, signals, reload, upgrade, deaths, privileges, the error log."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time
from signal import SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH

import pytest

from harness import Binary, Server, StartFailed, Traffic, kernel, request_bytes, succeeds_once, wait_until
from harness.server import compose
from harness.upstream import answer, body_of, site
from harness.wait import TIMEOUT
from harness.wire import Truncated

PAGE = "location / { return 200 $pid; }"
KILLED = r"worker process \d+ exited on signal 9"
DAEMON = "daemon on;"
NGINX = "/usr/sbin/nginx"


def slow(event):
    """An origin's answer that waits for the event."""
    return lambda peer: (peer.wait(event), answer("slow"))[1]


# Start

def test_the_started_process_is_the_master(weir):
    server = weir(PAGE)
    assert server.master_pid == server.process.pid
    assert all(pid != server.master_pid for pid in server.workers())


def test_when_the_pid_file_is_there_everything_listens(weir):
    server = weir(PAGE + "listen 127.0.0.1:@port@; listen 127.0.0.1:@port2@;", wait=False)
    while not server.master_pid:
        assert server.process.poll() is None
    for port in ("port", "port2"):
        assert server.connect(port).request("/").status == 200


def test_a_range_of_ports_is_listened_on(weir):
    # Its own address, and ports that the kernel gives nobody, are not in use.
    address = f"127.57.{os.getpid() >> 8 & 255}.{os.getpid() % 254 + 1}"
    weir(f"listen 127.0.0.1:@port@; listen {address}:18001-18003;"
         "location / { return 200 $server_port; }")
    for port in (18001, 18002, 18003):
        with socket.create_connection((address, port), TIMEOUT) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert connection.makefile("rb").read().endswith(str(port).encode())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, 18004), TIMEOUT)


def test_the_pid_file_goes_at_exit(weir):
    server = weir(PAGE)
    assert os.path.exists(server.pid_file)
    assert server.stop() == 0
    assert not os.path.exists(server.pid_file)


def test_a_port_in_use_ends_the_start_with_its_reason(weir, folder):
    with socket.create_server(("127.0.0.1", folder.port())):
        with pytest.raises(StartFailed) as failed:
            weir(PAGE, alerts=["bind"], exit_code=1)
    assert re.search(r"\[emerg\] .*bind\(\) to 127.0.0.1:\d+ failed "
                     r"\(98: (Unknown error|Address already in use)\)", str(failed.value))
    assert not os.path.exists(folder.file("weir.pid"))


@pytest.mark.parametrize("arguments", [("-t",), ("-q",)])
def test_a_pid_file_that_cannot_be_is_told_at_once(check, folder, arguments):
    os.mkdir(folder.file("folder"))
    for name, why in [("gone/weir.pid", "2: No such file or directory"),
                      ("folder", "21: Is a directory")]:
        result = check("pid @dir@/%s; events {}" % name, *arguments)
        assert result.code == 1
        assert f'[emerg] open() "{folder.file(name)}" failed ({why})' in result.err


@pytest.mark.weir_only("nginx makes the file")
def test_a_test_leaves_no_pid_file(check, folder):
    assert check("pid @dir@/weir.pid; events {}", "-t").code == 0
    assert not os.path.exists(folder.file("weir.pid"))


@pytest.mark.weir_only("nginx listens before its workers do")
def test_a_start_that_fails_in_the_background_is_told_in_front(check, folder):
    result = check("pid /dev/full; error_log @dir@/error.log; events {}", "-q")
    assert result.code == 1
    assert "[emerg] could not start, the error log says why" in result.err
    with open(folder.file("error.log"), encoding="utf-8") as log:
        assert 'write() "/dev/full" failed (28: No space left on device)' in log.read()


def test_a_quiet_start_says_nothing(weir):
    assert weir(PAGE).stderr() == ""


def test_standard_error_goes_to_the_error_log(weir):
    server = weir(PAGE, main=DAEMON)
    for pid in [server.master_pid, *server.wait_workers()]:
        assert os.readlink(f"/proc/{pid}/fd/2") == f"{server.dir}/error.log"


@pytest.mark.weir_only("nginx opens files of its own as those")
@pytest.mark.parametrize("closed", [(0,), (1, 2), (0, 1, 2)])
def test_standard_files_may_be_closed_at_the_start(weir, closed):
    server = weir(PAGE, closed=closed)
    for pid in [server.master_pid, *server.wait_workers()]:
        opened = [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)]
        assert opened[2] == f"{server.dir}/error.log"
        assert all(opened[number] == "/dev/null" for number in closed if number != 2)


def test_processes_have_titles(weir, binary):
    server = weir(PAGE)
    assert kernel.title(server.master_pid).startswith(f"{binary.name}: master process ")
    worker, = server.wait_workers()
    assert kernel.title(worker) == f"{binary.name}: worker process"


@pytest.mark.parametrize("said, count", [("1", 1), ("3", 3), ("auto", None)])
def test_worker_processes_sets_their_number(weir, binary, said, count):
    weir(PAGE, main=f"worker_processes {said};").wait_workers(count or kernel.processors(binary.is_nginx))


def test_daemon_on_leaves_the_terminal(weir):
    server = weir(PAGE, main=DAEMON)
    assert server.process.wait(TIMEOUT) == 0
    assert server.master_pid != server.process.pid
    wait_until(lambda: os.getsid(server.master_pid) == server.master_pid, "a session of its own")
    assert server.get("/").status == 200


def test_master_process_off_is_one_process(weir):
    server = weir(PAGE, main="master_process off;")
    assert server.get("/").text == str(server.process.pid)
    assert server.processes() == [server.process.pid]
    for name, said in ((SIGHUP, "loaded again"), (SIGUSR2, "upgraded"),
                       (SIGWINCH, "no workers to be ended")):
        server.process.send_signal(name)
        assert server.wait_log(r"\[warn\] .*without a master process .*" + said)
    assert server.get("/").text == str(server.process.pid)


# Privileges and limits

@pytest.mark.needs_root
def test_workers_run_as_the_user_that_is_named(weir):
    server = weir(PAGE, main="user daemon games;")
    worker, = server.wait_workers()
    server.get("/")
    assert set(kernel.status(worker, "Uid").split()) == {"1"}
    assert set(kernel.status(worker, "Gid").split()) == {"60"}
    assert kernel.status(server.master_pid, "Uid").split()[0] == "0"


@pytest.mark.needs_root
def test_workers_give_up_root_unless_told(weir):
    server = weir(PAGE)
    server.get("/")
    for pid in server.wait_workers():
        assert "0" not in kernel.status(pid, "Uid").split()
        assert int(kernel.status(pid, "CapEff"), 16) == 0


def test_worker_rlimits_are_set(weir):
    server = weir(PAGE, main="worker_rlimit_nofile 777; worker_rlimit_core 0;")
    worker, = server.wait_workers()
    server.get("/")
    with open(f"/proc/{worker}/limits", encoding="ascii") as limits:
        text = limits.read()
    assert re.search(r"^Max open files +777 +777 ", text, re.M)
    assert re.search(r"^Max core file size +0 +0 ", text, re.M)


def test_worker_priority_is_set(weir):
    server = weir(PAGE, main="worker_priority 5;")
    server.get("/")
    assert os.getpriority(os.PRIO_PROCESS, server.wait_workers()[0]) == 5


@pytest.mark.skipif(not {0, 1} <= os.sched_getaffinity(0), reason="needs the first two processors")
@pytest.mark.parametrize("said, sets", [
    ("01 10", [{0}, {1}]), ("10 01", [{0}, {1}]), ("11", [{0, 1}, {0, 1}]),
    ("auto", [{0}, {1}]), ("auto 10", [{1}, {1}])])
def test_worker_cpu_affinity_binds_workers(weir, said, sets):
    server = weir(PAGE, main=f"worker_processes 2; worker_cpu_affinity {said};")
    server.get("/")
    pids = server.wait_workers()
    wait_until(lambda: sorted(map(sorted, map(os.sched_getaffinity, pids)))
               == sorted(map(sorted, sets)), "the processors")


def test_working_directory_is_entered(weir, folder):
    os.mkdir(folder.file("here"))
    server = weir(PAGE, main="working_directory @dir@/here;")
    server.get("/")
    assert kernel.cwd(server.wait_workers()[0]) == folder.file("here")


# The end

@pytest.mark.parametrize("number", [SIGTERM, SIGINT], ids=["TERM", "INT"])
def test_term_and_int_end_at_once(weir, upstream, number):
    over = threading.Event()
    upstream.answers(slow(over))
    server = weir("location / { proxy_pass http://@upstream@; }")
    connection = server.connect()
    connection.send(request_bytes("/"))
    upstream.wait_requests(1)
    assert server.stop(number) == 0
    assert connection.is_closed()
    over.set()


def test_quit_lets_running_requests_finish(weir, upstream):
    over = threading.Event()
    upstream.answers(slow(over))
    server = weir("location / { proxy_pass http://@upstream@; }")
    connection = server.connect()
    connection.send(request_bytes("/"))
    upstream.wait_requests(1)
    server.signal(SIGQUIT)
    wait_until(lambda: refused(server), "the port to close")
    over.set()
    response = connection.read_response()
    assert (response.text, response.headers["Connection"]) == ("slow", "close")
    assert server.wait_exit() == 0


def refused(server, port="port"):
    try:
        server.connect(port).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass                    # it was closing just then
    return False


def test_quit_closes_idle_connections_at_once(weir):
    server = weir(PAGE + "keepalive_timeout 1h;")
    connection = server.connect()
    assert connection.request("/").headers["Connection"] == "keep-alive"
    assert server.stop(SIGQUIT) == 0
    assert connection.is_closed()


def test_worker_shutdown_timeout_bounds_quit(weir, upstream):
    over = threading.Event()
    upstream.answers(slow(over))
    server = weir("location / { proxy_pass http://@upstream@; }",
                  main="worker_shutdown_timeout 300ms;")
    connection = server.connect()
    connection.send(request_bytes("/"))
    upstream.wait_requests(1)
    assert server.stop(SIGQUIT) == 0
    assert connection.read_until_close() == b""
    over.set()


@pytest.mark.weir_only("nginx 1.22 does not end where a subrequest is under way")
def test_requests_that_the_shutdown_timeout_cuts_off_are_in_the_access_log(weir, upstream):
    over = threading.Event()
    upstream.answers(slow(over))
    server = weir("location / { proxy_pass http://@upstream@; } location /waits { auth_request /; }",
                  main="worker_shutdown_timeout 300ms;",
                  http="log_format s '$request_uri $status $request_time'; access_log @dir@/s.log s;")
    connections = [server.connect() for _ in range(4)]
    for number, connection in enumerate(connections[:3]):
        connection.send(request_bytes("/waits" if number == 2 else f"/{number}"))
    connections[3].send(b"GET / HT")
    upstream.wait_requests(3)
    assert server.stop(SIGQUIT) == 0
    lines = sorted(server.access_log(3, name="s.log"))
    assert len(lines) == 3
    for line, path in zip(lines, ("/0", "/1", "/waits")):
        said = re.fullmatch(rf"{path} 000 (\d+\.\d\d\d)", line)
        assert said and float(said.group(1)) >= 0.299, line
    for connection in connections:
        assert connection.read_until_close() == b""
    over.set()


def test_hup_does_not_start_workers_again_that_quit_ends(weir, upstream):
    over = threading.Event()
    upstream.answers(slow(over))
    server = weir("location / { proxy_pass http://@upstream@; }", main=DAEMON)
    master = server.master_pid
    connection = server.connect()
    connection.send(request_bytes("/"))
    upstream.wait_requests(1)
    for number, name in ((SIGWINCH, "SIGWINCH"), (SIGQUIT, "SIGQUIT"), (SIGHUP, "SIGHUP")):
        server.signal(number, master)
        server.wait_log(rf"signal {number} \({name}\) received")
    over.set()
    assert connection.read_response().text == "slow"
    wait_until(lambda: not kernel.is_alive(master), "the master to end")
    assert server.log().count("start worker processes") == 1


@pytest.mark.needs_root
@pytest.mark.weir_only("how long it waits for new workers is its own")
def test_a_reload_that_waits_for_another_is_forgotten_at_quit(weir, upstream, folder):
    """It takes the ten seconds that a master waits for workers of a new configuration."""
    over = threading.Event()
    upstream.answers(slow(over))
    server = weir("location / { proxy_pass http://@upstream@; }", alerts=[r"chdir\(|exited with code 2"])
    connection = server.connect()
    connection.send(request_bytes("/"))
    upstream.wait_requests(1)
    os.mkdir(folder.file("closed"), mode=0o700)         # to workers, which are not root
    server.write_config("working_directory @dir@/closed;\n" + server.config)
    server.signal(SIGHUP)
    server.wait_log(r"chdir\(.*failed")
    server.signal(SIGHUP)
    wait_until(lambda: server.log().count("(SIGHUP)") == 2, "the second to be heard")
    server.signal(SIGQUIT)
    server.wait_log(r"\(SIGQUIT\) received")
    quit_at = time.monotonic()
    wait_until(lambda: time.monotonic() > quit_at + 10.5, "the time to be over")
    over.set()
    assert connection.read_response().text == "slow"
    assert server.wait_exit() == 0
    assert server.log().count("start worker processes") == 2


@pytest.mark.weir_only("nginx does it with alerts about open sockets")
def test_term_overtakes_quit(weir, upstream):
    over = threading.Event()
    upstream.answers(slow(over))
    server = weir("location / { proxy_pass http://@upstream@; }")
    server.connect().send(request_bytes("/"))
    upstream.wait_requests(1)
    server.signal(SIGQUIT)
    wait_until(lambda: refused(server), "the port to close")
    assert server.stop(SIGTERM) == 0
    over.set()


@pytest.mark.parametrize("word, number", [("stop", 15), ("quit", 3)])
def test_s_sends_the_signal(weir, binary, word, number):
    server = weir(PAGE)
    assert binary.run("-p", server.dir, "-c", server.conf, "-s", word).code == 0
    assert server.wait_exit() == 0
    assert server.wait_log(rf"\[notice\] .*signal {number} \(SIG\w+\) received.*")


def test_s_reload_reloads(weir, binary):
    server = weir(PAGE)
    old = server.wait_workers()
    assert binary.run("-p", server.dir, "-c", server.conf, "-s", "reload").code == 0
    server.wait_new_workers(old)


def test_s_without_a_running_program_says_so(check, binary):
    result = check("events {}\npid @dir@/none.pid;\n", "-s", "stop")
    assert result.code == 1
    assert re.search(rf'{binary.name}: \[error\] open\(\) ".*/none.pid" failed \(2: No such',
                     result.err)


def test_the_ends_of_workers_are_told_at_notice(weir):
    server = weir(PAGE)
    worker, = server.wait_workers()
    server.stop()
    assert server.wait_log(rf"\[notice\] {server.process.pid}#{server.process.pid}: "
                           rf"worker process {worker} exited with code 0")
    assert server.wait_log(r"\[notice\] .*: exit")


# Reload

def test_hup_brings_the_new_configuration(weir):
    server = weir("location / { return 200 old; }")
    master = server.master_pid
    old = server.wait_workers()
    new = server.reload(server.config.replace("200 old", "200 new"))
    assert server.get("/").text == "new"
    assert server.master_pid == master
    assert not set(old) & set(new)
    wait_until(lambda: not any(map(kernel.is_alive, old)), "the old workers to end")
    assert server.wait_log(r"\[notice\] .*signal 1 \(SIGHUP\) received.*, reconfiguring")


@pytest.mark.parametrize("broken, message", [
    ("bogus;", 'unknown directive "bogus"'), ("pid a", "unexpected end of file"),
    ("error_log @dir@/no/such/folder/log;", r"open\(\) .* failed")])
def test_hup_with_a_broken_configuration_keeps_the_old_and_says_why(weir, broken, message):
    server = weir(PAGE)
    old = server.wait_workers()
    assert re.search(message, server.reload(server.config + broken, fails=True).group())
    assert server.workers() == old
    assert server.get("/").text == str(old[0])


def test_hup_with_a_port_in_use_keeps_the_old(weir, folder):
    server = weir(PAGE, alerts=["bind"])
    old = server.wait_workers()
    with socket.create_server(("127.0.0.1", folder.port("port2"))):
        server.reload(server.config.replace("location /", "listen 127.0.0.1:@port2@; location /"),
                      fails=True)
        server.get("/")
        wait_until(lambda: "still could not bind" in server.log() or not server.binary.is_nginx,
                   "it to give up")
    assert server.workers() == old


def test_a_repaired_configuration_loads_after_a_broken_one(weir):
    server = weir("location / { return 200 old; }")
    good = server.config.replace("200 old", "200 new")
    server.reload(server.config + "bogus;", fails=True)
    server.reload(good)
    assert server.get("/").text == "new"


def test_hup_lets_running_requests_finish_with_the_old_configuration(weir, upstream):
    over = threading.Event()
    upstream.answers(slow(over))
    server = weir("add_header X-Config old; location / { proxy_pass http://@upstream@; }")
    connection = server.connect()
    connection.send(request_bytes("/"))
    upstream.wait_requests(1)
    server.reload(server.config.replace("X-Config old", "X-Config new"))
    over.set()
    assert connection.read_response().headers["X-Config"] == "old"
    assert server.get("/").headers["X-Config"] == "new"


def test_hup_opens_what_is_added_and_closes_what_is_removed(weir):
    server = weir(PAGE)
    one = server.config
    two = one.replace("location /", "listen 127.0.0.1:@port2@; location /")
    server.reload(two)
    assert server.get("/", port="port2").status == 200
    server.reload(one)
    wait_until(lambda: refused(server, "port2"), "the port to close")
    assert server.get("/").status == 200


def test_hup_keeps_the_sockets_that_stay(weir):
    server = weir("listen 127.0.0.1:@port@; listen 127.0.0.1:@port2@;" + PAGE)
    before = kernel.listening_inodes(server.port)
    server.reload(server.config.replace(f"listen 127.0.0.1:{server.folder.port('port2')};", ""))
    server.reload()
    assert kernel.listening_inodes(server.port) == before


def backlog(port):
    done = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True,
                          check=True)
    return int(done.stdout.split()[2])


def test_hup_applies_a_changed_backlog(weir):
    server = weir("listen 127.0.0.1:@port@ backlog=100;" + PAGE)
    assert backlog(server.port) == 100
    before = kernel.listening_inodes(server.port)
    server.reload(server.config.replace("backlog=100", "backlog=50"))
    assert backlog(server.port) == 50
    assert kernel.listening_inodes(server.port) == before


def test_hup_applies_proxy_protocol_and_ssl_of_listen(weir, certs):
    server = weir("""listen 127.0.0.1:@port@; ssl_certificate @certs@/localhost.crt;
                     ssl_certificate_key @certs@/localhost.key; return 200 "$scheme";""")
    assert server.get("/").text == "http"
    server.reload(server.config.replace(f"listen 127.0.0.1:{server.port};",
                                        f"listen 127.0.0.1:{server.port} ssl;"))
    assert server.get("/", tls=True, port="port").text == "https"


def test_hup_changes_the_number_of_workers(weir):
    server = weir(PAGE)
    server.reload(server.config.replace("worker_processes 1", "worker_processes 3"))
    server.reload(server.config.replace("worker_processes 3", "worker_processes 2"))


def test_many_hups_at_once_end_well(weir):
    server = weir(PAGE)
    for _ in range(20):
        server.signal(SIGHUP)
    wait_until(lambda: len(server.workers()) == 1
               and len(kernel.children(server.master_pid)) - 1 <= extra(server), "calm")
    assert server.get("/").status == 200


def extra(server):
    """Children that are no workers."""
    return len([pid for pid in kernel.children(server.master_pid)
                if "worker process" not in kernel.title(pid)])


def test_no_request_of_its_own_connection_is_lost_over_reloads(weir):
    server = weir(PAGE, main="worker_processes 2;")
    with Traffic(server.connect, threads=4) as traffic:
        for _ in range(5):
            server.reload()
            traffic.goes_on()


@pytest.mark.weir_only("nginx closes them, since 1.27.4 after keepalive_min_timeout")
def test_no_request_of_a_kept_connection_is_lost_over_reloads(weir):
    server = weir(PAGE, main="worker_processes 2;")
    with Traffic(server.connect, threads=4, kept=True) as traffic:
        for _ in range(5):
            server.reload()
            traffic.goes_on()


@pytest.mark.weir_only("nginx closes it, since 1.27.4 after keepalive_min_timeout")
def test_a_kept_connection_is_told_to_close_after_a_reload(weir):
    server = weir(PAGE)
    connection = server.connect()
    assert connection.request("/").headers["Connection"] == "keep-alive"
    server.reload()
    assert connection.request("/").headers["Connection"] == "close"
    assert connection.is_closed()


# Logs reopened

def test_usr1_reopens_the_logs(weir):
    server = weir(PAGE)
    server.get("/before")
    server.access_log()
    for name in ("access.log", "error.log"):
        os.rename(server.folder.file(name), server.folder.file(name + ".1"))
    server.signal(SIGUSR1)
    wait_until(lambda: all(os.path.exists(server.folder.file(name))
                           for name in ("access.log", "error.log")), "the logs")

    def written():
        server.get("/after")
        return "/after" in server.read("access.log")
    wait_until(written, "a line in the new log")
    assert "/before" in server.read("access.log.1")


# Deaths

def test_a_dead_worker_is_replaced_within_a_second(weir):
    server = weir(PAGE, alerts=[KILLED])

    def is_quick():
        old, = server.wait_workers()
        server.get("/")
        server.signal(SIGKILL, old)
        killed = time.monotonic()
        server.wait_new_workers([old])
        assert server.get("/").status == 200
        took_s = time.monotonic() - killed
        assert server.wait_log(rf"\[alert\] .*worker process {old} exited on signal 9")
        return took_s < 1
    succeeds_once(is_quick)


def test_a_dead_worker_takes_only_its_own_connections_along(weir):
    server = weir(PAGE + "keepalive_timeout 1h;", main="worker_processes 2;", alerts=[KILLED])
    connections = [server.connect() for _ in range(40)]
    owners = [int(connection.request("/").text) for connection in connections]
    victim = owners[0]
    server.signal(SIGKILL, victim)
    for connection, owner in zip(connections, owners):
        if owner == victim:
            assert connection.is_closed()
        else:
            assert connection.request("/").text == str(owner)
    server.wait_workers()


def test_killing_every_worker_again_and_again_ends_well(weir):
    server = weir(PAGE, main="worker_processes 2;", alerts=[KILLED])
    for _ in range(5):
        old = server.wait_workers()
        for pid in old:
            server.signal(SIGKILL, pid)
        server.wait_new_workers(old)
    server.wait_workers()
    assert server.get("/").status == 200


@pytest.mark.weir_only("nginx starts the next at once, however often")
def test_workers_that_die_at_once_are_not_replaced_in_a_tight_loop(weir):
    server = weir(PAGE, alerts=[KILLED])
    end = time.monotonic() + 1.5
    killed = set()
    while time.monotonic() < end:
        for pid in server.workers():
            killed.add(pid)
            with contextlib.suppress(ProcessLookupError):  # it was listed before it was reaped
                server.signal(SIGKILL, pid)
    assert len(killed) < 40
    server.wait_workers()
    assert server.get("/").status == 200


@pytest.mark.weir_only("its own")
def test_a_dead_keeper_is_replaced(weir):
    server = weir(PAGE, alerts=[r"keeper.*exited on signal 9|process \d+ exited on signal 9"])
    old, = wait_until(lambda: keepers(server), "the keeper")
    server.signal(SIGKILL, old)
    wait_until(lambda: keepers(server) and keepers(server) != [old], "a new keeper")
    assert server.get("/").status == 200


@pytest.mark.weir_only("its own")
def test_one_keeper_is_left_after_a_reload(weir):
    server = weir(PAGE)
    old = wait_until(lambda: keepers(server), "the keeper")
    server.reload()
    wait_until(lambda: len(keepers(server)) == 1 and keepers(server) != old, "the next keeper")


def keepers(server):
    return [pid for pid in kernel.children(server.master_pid) if "keeper" in kernel.title(pid)]


# Upgrade

def upgraded(server):
    """Sends USR2 and waits for the new master; returns (old, new)."""
    old = server.master_pid
    server.signal(SIGUSR2)
    wait_until(lambda: server.master_pid not in (0, old)
               and os.path.exists(server.pid_file + ".oldbin"), "a new master")
    wait_until(lambda: server.workers(), "its workers")
    return old, server.master_pid


def test_usr2_starts_a_new_master_beside_the_old(weir):
    server = weir(PAGE, main=DAEMON)
    sockets = kernel.listening_inodes(server.port)
    old, new = upgraded(server)
    with open(server.pid_file + ".oldbin", encoding="ascii") as file:
        assert int(file.read()) == old
    assert kernel.listening_inodes(server.port) == sockets
    both = set(server.workers(old)) | set(server.workers(new))
    seen = set()

    def all_serve():
        at_once = [server.connect() for _ in range(8)]      # more than one that is idle takes
        for connection in at_once:
            with connection:
                seen.add(int(connection.get("/").text))
        return seen == both
    wait_until(all_serve, "old and new to serve")


def test_an_upgrade_ends_when_the_old_master_quits(weir):
    server = weir(PAGE, main=DAEMON)
    with Traffic(server.connect) as traffic:
        old, new = upgraded(server)
        traffic.goes_on()
        server.signal(SIGWINCH, old)
        wait_until(lambda: not server.workers(old), "the old workers to end")
        traffic.goes_on()
        server.signal(SIGQUIT, old)
        wait_until(lambda: not kernel.is_alive(old), "the old master to end")
        traffic.goes_on()
    assert server.master_pid == new
    assert not os.path.exists(server.pid_file + ".oldbin")
    server.reload()
    assert server.get("/").status == 200


def test_an_upgrade_can_be_taken_back(weir):
    server = weir(PAGE, main=DAEMON)
    with Traffic(server.connect) as traffic:
        old, new = upgraded(server)
        server.signal(SIGWINCH, old)
        wait_until(lambda: not server.workers(old), "the old workers to end")
        server.signal(SIGHUP, old)
        wait_until(lambda: server.workers(old), "the old master's workers")
        server.signal(SIGQUIT, new)
        wait_until(lambda: not kernel.is_alive(new), "the new master to end")
        wait_until(lambda: server.master_pid == old, "the pid file")
        traffic.goes_on()
    assert not os.path.exists(server.pid_file + ".oldbin")
    server.reload()
    assert server.get("/").status == 200


@pytest.mark.needs_root
@pytest.mark.weir_only("how long it waits for new workers is its own")
@pytest.mark.parametrize("is_resting", (True, False))
def test_a_reload_that_waits_for_another_waits_for_an_upgrade_that_is_taken_back(weir, folder,
                                                                                 is_resting):
    server = weir("location / { return 200 old; }", main=DAEMON,
                  alerts=[r"chdir\(|exited with code 2"])
    good = server.config
    os.mkdir(folder.file("closed"), mode=0o700)         # to workers, which are not root
    server.write_config("working_directory @dir@/closed;\n" + good)
    server.signal(SIGHUP)
    server.wait_log(r"chdir\(.*failed")
    server.write_config(good.replace("200 old", "200 new"))
    server.signal(SIGHUP)
    wait_until(lambda: server.log().count("(SIGHUP)") == 2, "the second to be heard")
    old, new = upgraded(server)
    if is_resting:
        server.signal(SIGWINCH, old)
        wait_until(lambda: not server.workers(old), "the old workers to end")
    else:
        os.chmod(folder.file("closed"), 0o755)
    server.signal(SIGQUIT, new)
    wait_until(lambda: not kernel.is_alive(new), "the new master to end")
    wait_until(lambda: server.log().count(": reconfiguring") == 2, "the reload")
    wait_until(lambda: server.get("/").text == "new", "its workers")


@pytest.mark.needs_root
@pytest.mark.weir_only("how long it waits for new workers is its own")
def test_hup_after_winch_is_obeyed_once_with_one_that_waited(weir, folder):
    server = weir("location / { return 200 old; }", main=DAEMON + "error_log @dir@/error.log debug;",
                  alerts=[r"chdir\(|exited with code 2"])
    good = server.config
    os.mkdir(folder.file("closed"), mode=0o700)         # to workers, which are not root
    server.write_config("working_directory @dir@/closed;\n" + good)
    server.signal(SIGHUP)
    server.wait_log(r"chdir\(.*failed")
    server.write_config(good.replace("200 old", "200 new"))
    server.signal(SIGHUP)
    wait_until(lambda: server.log().count("(SIGHUP)") == 2, "the second to be heard")
    server.signal(SIGWINCH)
    wait_until(lambda: not server.workers(), "the workers to end")
    resting = len(server.log())
    server.signal(SIGHUP)
    server.wait_log("the new workers serve", since=resting)
    assert server.get("/").text == "new"
    server.signal(SIGUSR1)
    server.wait_log("reopening logs")
    assert server.log().count(": reconfiguring") == 2


def test_hup_after_winch_reads_the_configuration(weir):
    server = weir("location / { return 200 old; }", main=DAEMON)
    server.signal(SIGWINCH)
    wait_until(lambda: not server.workers(), "the workers to end")
    server.write_config(server.config.replace("200 old", "200 new"))
    server.signal(SIGHUP)
    wait_until(server.workers, "workers again")
    assert server.get("/").text == "new"


def test_hup_after_winch_wakes_what_was_where_the_configuration_is_broken(weir):
    server = weir("location / { return 200 old; }", main=DAEMON)
    server.signal(SIGWINCH)
    wait_until(lambda: not server.workers(), "the workers to end")
    server.write_config(server.config.replace("200 old", "200 old; nonsense"))
    server.alerts.append(r"\[emerg\]")
    server.signal(SIGHUP)
    wait_until(server.workers, "workers again")
    assert server.get("/").text == "old"


def test_hup_leaves_the_old_master_its_place_while_a_new_binary_runs(weir, folder):
    server = weir("listen 127.0.0.1:@port@; listen unix:@dir@/socket;" + PAGE, main=DAEMON)
    old, new = upgraded(server)
    server.signal(SIGHUP, old)
    server.wait_log(rf"{old}#{old}: signal 1 \(SIGHUP\) received")
    server.signal(SIGQUIT, old)
    wait_until(lambda: not kernel.is_alive(old), "the old master to end")
    assert server.master_pid == new
    assert not os.path.exists(server.pid_file + ".oldbin")
    assert os.path.exists(folder.file("socket"))
    server.reload()


@pytest.mark.weir_only("its zones outlive an upgrade")
def test_max_conns_holds_over_an_upgrade(weir, upstream):
    over = threading.Event()
    upstream.answers(slow(over))
    server = weir("location / { proxy_pass http://back; }", main=DAEMON,
                  http="upstream back { zone back 64k; server @upstream@ max_conns=1; }")
    connection = server.connect()
    connection.send(request_bytes("/"))
    upstream.wait_requests(1)
    old, _ = upgraded(server)
    server.signal(SIGWINCH, old)
    wait_until(lambda: not server.workers(old), "the old workers to drain")
    assert server.get("/").status == 502
    over.set()
    assert connection.read_response().text == "slow"
    wait_until(lambda: server.get("/").status == 200, "the server to be free")


def test_an_upgrade_into_a_broken_configuration_leaves_the_old(weir):
    server = weir(PAGE, main=DAEMON, alerts=["bogus", "exited with code 1"])
    old = server.master_pid
    good = server.config
    server.write_config(good + "bogus;")
    server.signal(SIGUSR2)
    server.wait_log("bogus")
    wait_until(lambda: server.master_pid == old, "the pid file")
    assert server.get("/").status == 200
    server.write_config(good)
    upgraded(server)


def test_an_upgrade_may_follow_an_upgrade(weir):
    server = weir(PAGE, main=DAEMON)
    for _ in range(2):
        old, new = upgraded(server)
        server.signal(SIGQUIT, old)
        wait_until(lambda: not kernel.is_alive(old), "the old master to end")
        wait_until(lambda: not os.path.exists(server.pid_file + ".oldbin"), "one pid file")
        assert server.master_pid == new
    assert server.get("/").status == 200


@pytest.mark.skipif(not os.access(NGINX, os.X_OK), reason="takes nginx")
@pytest.mark.weir_only("it is about both")
def test_an_upgrade_may_lead_from_nginx_to_weir_and_back(binary, folder):
    program = folder.file("program")
    os.symlink(NGINX, program)
    running = Binary(program)
    running.is_nginx = True
    server = Server(running, folder, compose(PAGE, main=DAEMON, is_nginx=True))
    with Traffic(server.connect) as traffic:
        for path in (binary.path, NGINX):
            os.remove(program)
            os.symlink(path, program)
            running.is_nginx = path == NGINX
            old, new = upgraded(server)
            traffic.goes_on()
            server.signal(SIGQUIT, old)
            wait_until(lambda: not kernel.is_alive(old), "the old master to end")
            traffic.goes_on()
            assert server.master_pid == new
    assert server.finish() == []


@pytest.mark.weir_only("nginx has none")
def test_one_keeper_works_during_an_upgrade(weir):
    server = weir(PAGE, main=DAEMON)
    old, new = upgraded(server)
    server.signal(SIGQUIT, old)
    wait_until(lambda: not kernel.is_alive(old), "the old master to end")
    wait_until(lambda: len(keepers(server)) == 1, "one keeper")


# The error log

LINE = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[\w+\] \d+#\d+: .+")


def test_every_line_has_nginxs_shape(weir):
    server = weir("location / { proxy_pass http://127.0.0.1:@closed@; }",
                  main="worker_processes 2;")
    server.get("/")
    server.reload()
    server.stop()
    lines = server.log().splitlines()
    assert len(lines) > 5
    assert [line for line in lines if not LINE.fullmatch(line)] == []


def test_a_line_about_a_request_tells_whose(weir, folder):
    server = weir("server_name a.test; root @dir@/www;")
    server.get("/none?x", host="A.test:81")
    line = server.wait_log(r".*/www/none.*").group()
    assert re.fullmatch(
        r'\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[error\] \d+#\d+: \*\d+ open\(\) "' + folder.path
        + r'/www/none" failed \(2: No such file or directory\), client: 127.0.0.1, '
        r'server: a.test, request: "GET /none\?x HTTP/1.1", host: "A.test:81"', line)


def test_levels_hold_back_what_is_less(weir):
    server = weir("root @dir@/www;", main="""error_log @dir@/error.log info;
        error_log @dir@/errors error; error_log @dir@/crit crit;""")
    server.get("/none")
    server.stop()
    assert "[notice]" in server.log() and "/www/none" in server.log()
    assert "[notice]" not in server.read("errors") and "/www/none" in server.read("errors")
    assert server.read("crit") == ""


def test_error_is_the_level_unless_said(weir):
    server = weir("root @dir@/www;", main="error_log @dir@/error.log;")
    server.get("/none")
    server.wait_log("/www/none")
    assert {line.level for line in server.log_lines()} == {"error"}


def test_a_location_may_have_a_log_of_its_own(weir):
    server = weir("""root @dir@/www; error_log @dir@/server.log;
                     location /a/ { error_log @dir@/a.log; }
                     location /b/ { error_log /dev/null crit; }""")
    for path in ("/x", "/a/x", "/b/x"):
        server.get(path)
    wait_until(lambda: "/www/x" in server.read("server.log"), "the server's log")
    assert "/www/a/x" in server.read("a.log") and "/www/a/x" not in server.read("server.log")
    assert "/www/b/x" not in server.read("server.log") + server.read("a.log") + server.log()


def test_stderr_is_a_log(weir):
    server = weir("root @dir@/www;", main="error_log stderr notice;")
    server.get("/none")
    wait_until(lambda: "/www/none" in server.stderr(), "the line on stderr")
    assert "[notice]" in server.stderr()


@pytest.mark.parametrize("options, priority, tag", [
    ("", 23 * 8 + 3, None), (",facility=local1", 17 * 8 + 3, None),
    (",tag=mine", 23 * 8 + 3, "mine"), (",nohostname", 23 * 8 + 3, None)])
def test_syslog_is_a_log(weir, folder, binary, options, priority, tag):
    path = folder.file("syslog")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(path)
        os.chmod(path, 0o777)
        log.settimeout(TIMEOUT)
        server = weir("root @dir@/www;",
                      main=f"error_log syslog:server=unix:{path}{options} error;")
        server.get("/none")
        text = log.recv(4096).decode()
    host = "" if "nohostname" in options else socket.gethostname() + " "
    assert re.match(rf"<{priority}>\w\w\w [ \d]\d \d\d:\d\d:\d\d {re.escape(host)}"
                    rf"{tag or binary.name}: \d{{4}}/\d\d/\d\d .*\[error\] .*/www/none", text)


def test_syslog_over_udp_is_a_log(weir, binary):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as log:
        log.bind(("127.0.0.1", 0))
        log.settimeout(TIMEOUT)
        port = log.getsockname()[1]
        server = weir("root @dir@/www;",
                      main=f"error_log syslog:server=127.0.0.1:{port} error;")
        server.get("/none")
        assert "/www/none" in log.recv(4096).decode()


@pytest.mark.parametrize("server, why", [
    ("127.0.0.1:0", "invalid port"), ("127.0.0.1:65536", "invalid port"), ("[::1]x", "invalid port"),
    ("[::1", "invalid port"), (":514", "no host")])
@pytest.mark.weir_only("the words are weir's")
def test_a_syslog_server_that_is_no_address_is_refused(check, server, why):
    done = check(f"error_log syslog:server={server}; events {{}}")
    assert done.code == 1 and f'{why} in syslog server "{server}"' in done.err


@pytest.mark.weir_only("nginx refuses it")
def test_a_syslog_server_that_is_not_found_is_warned_of(check):
    done = check("events {} http { access_log syslog:server=log.invalid:5140,tag=t; }")
    assert done.code == 0
    assert re.search(r'\[warn\] .* in syslog server "log.invalid:5140": .*is lost', done.err)


def test_debug_is_a_level_of_any_build(weir):
    server = weir(PAGE, main="error_log @dir@/error.log debug;")
    server.get("/")
    assert server.wait_log(r"\[debug\] ")


def test_a_log_in_no_folder_ends_the_start(weir):
    with pytest.raises(StartFailed, match=r'\[emerg\].*open\(\) ".*/no/log" failed \(2: No such'):
        weir(PAGE, main="error_log @dir@/no/log;", alerts=["open"], exit_code=1)


# Everything at once

def _cut_head(server):
    with server.connect() as client:
        client.send(request_bytes("/b/10")[:20])


def _garbage(server):
    with server.connect() as client:
        client.send_what_fits(bytes(range(256)) * 20)


def _cut_body(server):
    with server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")


def _reset_in_a_response(server):
    with server.connect() as client:
        client.send(request_bytes("/b/3000000"))
        client.read_until(b"\r\n\r\n")
        client.reset()


def _pipeline(server):
    with server.connect() as client:
        client.send_what_fits(request_bytes("/b/1") * 50)


def _two_lengths(server):
    with server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")


def test_kills_and_reloads_under_hostile_traffic(weir, upstream):
    upstream.answers(site)
    server = weir("location / { proxy_pass http://@upstream@; }", main="worker_processes 2;",
                  alerts=[KILLED])
    attacks = [_cut_head, _garbage, _cut_body, _reset_in_a_response, _pipeline, _two_lengths]
    done = threading.Event()

    def attack(first):
        for number in range(first, first + 2000):
            if done.is_set():
                return
            try:
                attacks[number % len(attacks)](server)
            except (OSError, Truncated):
                pass

    threads = [threading.Thread(target=attack, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            victim = server.wait_workers()[0]
            server.signal(SIGKILL, victim)
            wait_until(lambda: not kernel.is_alive(victim), "the worker to die")
            server.wait_workers()
            server.reload()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    for _ in range(20):
        assert server.get("/b/1000").body == body_of(1000)
