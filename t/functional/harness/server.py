"""The program under test: started in a folder of its own, watched, cleaned up."""

import glob
import os
import re
import shutil
import socket
import subprocess
import tempfile
from signal import SIGHUP, SIGKILL, SIGQUIT, SIGTERM

from . import kernel
from .wait import TIMEOUT, wait_until
from .wire import Connection, request_bytes, tls_context

# What a test does not say.  A directive that the test gives at the same level
# replaces ours.
_MAIN = """
daemon off;
worker_processes 1;
error_log @dir@/error.log info;
pid @dir@/weir.pid;
"""
_EVENTS = "worker_connections 512;"
_HTTP = """
access_log @dir@/access.log;
client_body_temp_path @dir@/body;
"""
_HTTP_OF_NGINX = "proxy_temp_path @dir@/proxy;"     # it would have it in the system's folders
_SERVER = "listen 127.0.0.1:@port@;"

# What no test may leave in the error log undeclared; the second is a sanitizer's.
_UNEXPECTED = re.compile(r"\[(alert|emerg)\]|: runtime error: |exited with code [^0]")
_LOG_LINE = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(\w+)\] (\d+)#(\d+): (?:\*(\d+) )?(.*)$")


class StartFailed(AssertionError):
    """The program ended instead of serving; the text is what it said."""


class Binary:
    """The program's file.  WEIR_BIN names it."""

    def __init__(self, path):
        self.path = os.path.abspath(path)
        self.is_nginx = "nginx" in os.path.basename(self.path)
        self.name = "nginx" if self.is_nginx else "weir"
        with open(self.path, "rb") as file:
            self.is_sanitized = b"__asan_init" in file.read()

    def run(self, *arguments, cwd=None, env=None, stdin=b""):
        done = subprocess.run([self.path, *map(str, arguments)], cwd=cwd, env=env,
                              input=stdin, capture_output=True, timeout=TIMEOUT * 2,
                              check=False)
        return Checked(done.returncode, done.stdout.decode("utf-8", "replace"),
                       done.stderr.decode("utf-8", "replace"))


class Checked:
    """What a run of the program left: code, out, err."""

    def __init__(self, code, out, err):
        self.code = code
        self.out = out
        self.err = err

    def __repr__(self):
        return f"<exit {self.code}\n{self.out}{self.err}>"


class LogLine:
    """A line of the error log, in nginx's format."""

    def __init__(self, text, level, pid, thread, connection, message):
        self.text = text
        self.level = level
        self.pid = int(pid)
        self.thread = int(thread)
        self.connection = connection and int(connection)
        self.message = message

    def __repr__(self):
        return self.text


class Folder:
    """A test's own folder, which any user may enter, with names to fill in."""

    def __init__(self, ports, certs):
        self.path = tempfile.mkdtemp(prefix="weir-test-")
        os.chmod(self.path, 0o755)
        for name in ("logs", "sanitizer"):
            os.mkdir(self.file(name))
            os.chmod(self.file(name), 0o777)
        self.ports = {}
        self._ports = ports
        self._certs = certs

    def file(self, *names):
        return os.path.join(self.path, *names)

    def write(self, name, content, mode=0o644):
        """Writes a file, making its folders; returns its path."""
        path = self.file(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        data = content if isinstance(content, bytes) else self.fill(content).encode()
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, mode)
        return path

    def fill(self, text, **names):
        """Replaces @dir@, @certs@, @port…@, @tls_port…@, @closed…@ (a port that
        nobody listens on) and the names given."""
        def value(match):
            name = match.group(1)
            if name in names:
                return str(names[name])
            if name == "dir":
                return self.path
            if name == "certs":
                return str(self._certs())
            if re.fullmatch(r"(tls_)?port\w*|closed\w*", name):
                return str(self.port(name))
            return match.group(0)
        return re.sub(r"@(\w+)@", value, text)

    def port(self, name="port"):
        if name not in self.ports:
            self.ports[name] = self._ports.take()
        return self.ports[name]

    def remove(self):
        if os.environ.get("WEIR_TEST_KEEP"):
            print("kept:", self.path)
        else:
            shutil.rmtree(self.path, ignore_errors=True)


def compose(server="", http="", main="", events="", is_nginx=False):
    """A whole configuration around the parts that a test gives."""
    defaults = _HTTP + (_HTTP_OF_NGINX if is_nginx else "")
    server_block = ""
    if server is not None:
        listen = "" if re.search(r"(^|[;{}])\s*listen\s", server, re.M) else _SERVER
        server_block = f"server {{\n{listen}\n{server}\n}}\n"
    return (f"{_defaults(_MAIN, main)}\n{main}\n"
            f"events {{\n{_defaults(_EVENTS, events)}\n{events}\n}}\n"
            f"http {{\n{_defaults(defaults, http)}\n{http}\n{server_block}}}\n")


def _defaults(defaults, given):
    def is_given(line):
        return re.search(rf"(^|;|\n)\s*{line.split()[0]}\s", given)
    return "\n".join(line for line in defaults.strip().splitlines() if not is_given(line))


class Server:
    """A running program; the fixture `weir` makes them.

    alerts: patterns of [alert] and [emerg] lines that the test expects.
    closed: which of descriptors 0, 1 and 2 it does not get.
    """

    def __init__(self, binary, folder, config, arguments=(), alerts=(), env=None,
                 exit_code=0, wait=True, names=None, closed=()):
        self.binary = binary
        self.folder = folder
        self.dir = folder.path
        self.conf = folder.file("weir.conf")
        self.pid_file = folder.file("weir.pid")
        self.alerts = list(alerts)
        self.exit_code = exit_code
        self._names = names or {}
        self._connections = []
        self.stopped = False
        self.write_config(config)
        pid_path = re.search(r"^\s*pid\s+([^;]+);", self.config, re.M)
        if pid_path:
            self.pid_file = os.path.join(self.dir, pid_path.group(1).strip())
        self._stderr = open(folder.file("stderr"), "wb")
        command = [binary.path, "-p", self.dir + "/", "-c", self.conf, *arguments]
        if closed:
            without = " ".join(f"{number}>&-" for number in closed)
            command = ["sh", "-c", f'exec "$0" "$@" {without}', *command]
        self.process = subprocess.Popen(
            command, cwd=self.dir, env=self._environment(env), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=self._stderr, stderr=self._stderr)
        self._session = self.process.pid
        if wait:
            self.wait_started()

    def write_config(self, config):
        self.config = self.folder.fill(config, **self._names)
        with open(self.conf, "w", encoding="utf-8") as file:
            file.write(self.config)

    def _environment(self, more):
        report = self.folder.file("sanitizer", "report")
        env = dict(os.environ)
        for name, options in (("ASAN", "detect_leaks=1"), ("UBSAN", "print_stacktrace=1"),
                              ("TSAN", "halt_on_error=0"), ("LSAN", "")):
            parts = [env.get(f"{name}_OPTIONS", ""), options, f"log_path={report}"]
            env[f"{name}_OPTIONS"] = ":".join(part for part in parts if part)
        env.update(more or {})
        return env

    def wait_started(self):
        """Waits for the pid file, which is there once everything listens."""
        daemon = re.search(r"^\s*daemon\s+on", self.config, re.M)

        def started():
            if self._pid_in_file():
                return not daemon or self.process.poll() == 0
            if self.process.poll() not in (None, 0):
                raise StartFailed(self.stderr() + self.log())
            return False
        wait_until(started, "the pid file")
        if self.binary.is_nginx and not re.search(r"^\s*master_process\s+off", self.config, re.M):
            wait_until(self.workers, "workers")     # before, it may sleep over a signal

    # Who it is

    def _pid_in_file(self):
        try:
            with open(self.pid_file, encoding="ascii") as file:
                return int(file.read() or 0)
        except (OSError, ValueError):
            return 0

    @property
    def master_pid(self):
        return self._pid_in_file()

    def processes(self):
        """Every living process that came of this start."""
        table = {pid: (parent, session) for pid, parent, session, state in kernel.processes()
                 if state != "Z"}
        mine = {pid for pid, (_, session) in table.items()
                if session == self._session or kernel.cwd(pid) == self.dir
                or self.conf in kernel.title(pid)}
        more = True
        while more:
            more = {pid for pid, (parent, _) in table.items()
                    if parent in mine and pid not in mine}
            mine |= more
        return sorted(mine - {os.getpid()})

    def workers(self, master=None):
        """The workers that take connections, not those that shut down."""
        return [pid for pid in kernel.children(master or self.master_pid)
                if "worker process" in kernel.title(pid)
                and "shutting down" not in kernel.title(pid)]

    def worker_count(self):
        """The number that the configuration asks for."""
        said = re.search(r"^\s*worker_processes\s+(\w+)", self.config, re.M).group(1)
        return kernel.processors(self.binary.is_nginx) if said == "auto" else int(said)

    def wait_workers(self, count=None, master=None):
        count = count or self.worker_count()

        def there():
            pids = self.workers(master)
            return pids if len(pids) == count else None
        return wait_until(there, f"{count} workers")

    def wait_new_workers(self, old):
        """Those that take connections in place of all the old ones."""
        def there():
            pids = self.workers()
            return pids if len(pids) == self.worker_count() and not set(pids) & set(old) else None
        return wait_until(there, "new workers")

    # Requests

    @property
    def port(self):
        return self.folder.port("port")

    @property
    def tls_port(self):
        return self.folder.port("tls_port")

    def url(self, path="/", tls=False, host="127.0.0.1"):
        return f"http{'s' if tls else ''}://{host}:{self.tls_port if tls else self.port}{path}"

    def connect(self, port=None, receive_buffer=None):
        """A plain connection.  port may be a number or a name such as "port2".

        receive_buffer: as many bytes, or twice, as the kernel takes for who does not read, whatever its settings.
        """
        return self._keep(Connection(self._socket(port or "port", receive_buffer)))

    def tls_connect(self, sni="localhost", port="tls_port", session=None, context=None, receive_buffer=None, **more):
        """A TLS connection; more is for tls_context()."""
        context = context or tls_context(**more)
        plain = self._socket(port, receive_buffer)
        plain.settimeout(TIMEOUT)
        try:
            sock = context.wrap_socket(plain, server_hostname=sni, session=session,
                                       suppress_ragged_eofs=False)
        except BaseException:
            plain.close()
            raise
        return self._keep(Connection(sock))

    def _socket(self, port, receive_buffer=None):
        number = self.folder.port(port) if isinstance(port, str) else port
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(TIMEOUT)
        try:
            sock.connect(("127.0.0.1", number))
        except BaseException:
            sock.close()
            raise
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _keep(self, connection):
        self._connections.append(connection)
        return connection

    def get(self, path="/", **more):
        return self.request(path, "GET", **more)

    def request(self, path="/", method="GET", headers=(), body=None, host="localhost",
                version="HTTP/1.1", port=None, tls=False, sni=None, **tls_options):
        """A request on a connection of its own."""
        data = request_bytes(path, method, headers, body, host, version)
        return self.exchange(data, method, port, tls, sni or host, **tls_options)

    def exchange(self, data, method="GET", port=None, tls=False, sni="localhost", **tls_options):
        """Sends the bytes on a connection of their own; returns the response."""
        connection = (self.tls_connect(sni, port or "tls_port", **tls_options) if tls
                      else self.connect(port))
        with connection:
            connection.send_what_fits(data)
            return connection.read_response(method)

    # Signals

    def signal(self, number, pid=None):
        os.kill(pid or self.master_pid, number)

    def reload(self, config=None, fails=False):
        """Sends HUP, after writing the new configuration if there is one, and
        waits: for the old workers to take no more and the new ones to be there,
        or, with fails, for an error; returns the new workers, or the error."""
        old = self.wait_workers()
        if config is not None:
            self.write_config(config)
        seen = len(self.log())
        self.signal(SIGHUP)
        if fails:
            self.alerts.append(r"\[emerg\]")
            return self.wait_log(r"\[emerg\].*", since=seen)

        def renewed():
            now = [pid for pid in self.workers() if pid not in old]
            if len(now) != self.worker_count() or any(map(_takes_connections, old)):
                return None
            return now
        return wait_until(renewed, "a new generation of workers")

    # What it wrote

    def read(self, name):
        try:
            with open(self.folder.file(name), encoding="utf-8", errors="surrogateescape") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def log(self):
        """The error log."""
        return self.read("error.log")

    def log_lines(self, level=None):
        lines = [_parse_line(text) for text in self.log().splitlines()]
        return [line for line in lines if line and (level is None or line.level == level)]

    def wait_log(self, pattern, since=0):
        """Waits for a match in the error log; returns it."""
        return wait_until(lambda: re.search(pattern, self.log()[since:]),
                          f"{pattern!r} in the error log")

    def access_log(self, count=1, name="access.log"):
        """The access log's lines, after waiting for that many."""
        def complete():
            lines = self.read(name).splitlines()
            return lines if len(lines) >= count else None
        return wait_until(complete, f"{count} lines in {name}") if count else self.read(
            name).splitlines()

    def stderr(self):
        return self.read("stderr")

    # The end

    def stop(self, number=SIGQUIT):
        """Ends it; returns the exit code once all its processes are gone."""
        self.signal(number)
        return self.wait_exit()

    def wait_exit(self):
        self._wait_gone("all processes to end")
        self.stopped = True
        return self.process.wait(TIMEOUT)

    def finish(self):
        """Ends what is left; returns a list of what was wrong."""
        problems = []
        for connection in self._connections:
            connection.close()
        self._end_all(problems)
        self._stderr.close()
        code = self.process.wait(TIMEOUT)
        if code != self.exit_code:
            problems.append(f"exit code {code}\n{self.stderr()}")
        problems += self._unexpected_alerts()
        for report in glob.glob(self.folder.file("sanitizer", "report*")):
            with open(report, encoding="utf-8", errors="replace") as file:
                text = file.read()
            # LeakSanitizer may only remark that it could not stop a thread: it found nothing.
            if re.search(r"ERROR: |WARNING: |runtime error: ", text):
                problems.append(text)
        problems += [f"a core file: {core}" for core in glob.glob(self.folder.file("core*"))]
        return problems

    def _end_all(self, problems):
        if not self.stopped:
            for pid in self._masters():
                _send(pid, SIGTERM)
        try:
            self._wait_gone("processes to end")
        except AssertionError:
            for pid in self.processes():
                problems.append(f"leaked process {pid}: {kernel.title(pid)}")
                _send(pid, SIGKILL)

    def _wait_gone(self, what):
        """Waits for processes() to be empty.  As looking at all of them costs, those that are known are looked at first."""
        known = []

        def gone():
            known[:] = [pid for pid in known if kernel.is_alive(pid)] or self.processes()
            return not known
        wait_until(gone, what)

    def _masters(self):
        mine = set(self.processes())
        parents = {pid: parent for pid, parent, _, _ in kernel.processes()}
        return [pid for pid in mine if parents.get(pid) not in mine
                or "master process" in kernel.title(pid)]

    def _unexpected_alerts(self):
        lines = [line for line in (self.log() + self.stderr()).splitlines()
                 if _UNEXPECTED.search(line)]
        expected = list(self.alerts)
        if self.binary.is_sanitized:
            # To look for leaks takes longer than a master waits for the end on a busy machine.
            expected += [rf"process {pid} exited on signal 9"
                         for pid in re.findall(r"process (\d+) does not end, and is killed", self.log())]
        return [line for line in dict.fromkeys(lines)
                if not any(re.search(pattern, line) for pattern in expected)]


def _takes_connections(pid):
    return (kernel.is_alive(pid) and "shutting down" not in kernel.title(pid)
            and kernel.holds_listener(pid))


def _parse_line(text):
    found = _LOG_LINE.match(text)
    return LogLine(text, *found.groups()) if found else None


def _send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
