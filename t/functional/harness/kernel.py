"""What the kernel knows of processes and sockets, read from /proc."""

import os
import socket
import struct
import time


def processes():
    """Yields (pid, parent, session, state) of each process."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        stat = _read(f"/proc/{name}/stat")
        if stat:
            fields = stat.rpartition(")")[2].split()
            yield int(name), int(fields[1]), int(fields[3]), fields[0]


def children(pid):
    return [p for p, parent, _, state in processes() if parent == pid and state != "Z"]


def is_alive(pid):
    stat = _read(f"/proc/{pid}/stat")
    return bool(stat) and stat.rpartition(")")[2].split()[0] != "Z"


def bytes_between(hops):
    """The most that the buffers of so many TCP connections in a row take, as far as they may grow."""
    return hops * sum(int(_read(f"/proc/sys/net/ipv4/{name}").split()[2])
                      for name in ("tcp_rmem", "tcp_wmem"))


def processors(all_of_them=False):
    """How many a process may use, or there are."""
    return os.cpu_count() if all_of_them else len(os.sched_getaffinity(0))


def has_ipv6():
    """Whether there is an address ::1 to listen on."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def is_calm(pid, seconds=0.5):
    """Whether the process uses less than 2 % of a processor: one that spins has more, among however many others."""
    begun, used = time.monotonic(), cpu_ns(pid)
    time.sleep(seconds)
    return (cpu_ns(pid) - used) / 1e9 < (time.monotonic() - begun) / 50


def title(pid):
    """The command line, as ps shows it."""
    return _read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()


def cwd(pid):
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def status(pid, field):
    """A field of /proc/PID/status, such as "Uid" or "VmRSS"."""
    for line in _read(f"/proc/{pid}/status").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return value.strip()
    return ""


def rss_kib(pid):
    return int((status(pid, "VmRSS") or "0").split()[0])


def private_kib(pid):
    """Memory that the process does not share with its parent."""
    total = 0
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(("Private_Dirty:", "Private_Clean:")):
            total += int(line.split()[1])
    return total


def cpu_ticks(pid):
    stat = _read(f"/proc/{pid}/stat")
    fields = stat.rpartition(")")[2].split() if stat else ["0"] * 20
    return int(fields[11]) + int(fields[12])


def cpu_ns(pid):
    """What the threads that the process has now have used, finer than in ticks."""
    return sum(int(_read(f"/proc/{pid}/task/{thread}/schedstat").split()[0])
               for thread in os.listdir(f"/proc/{pid}/task"))


def descriptors(pid):
    """The targets of the process's descriptors, such as "socket:[123]"."""
    found = []
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
            except OSError:
                pass
    except OSError:
        pass
    return found


def listening_inodes(port):
    """Inodes of the sockets that listen on the port."""
    return {row.inode for row in _tcp_rows(f":{port:04X} ") if row.is_listening
            and row.local_port == port}


def holds_listener(pid):
    """Whether the process has a descriptor of a listening TCP socket."""
    inodes = {f"socket:[{row.inode}]" for row in _tcp_rows(" 0A ") if row.is_listening}
    return any(target in inodes for target in descriptors(pid))


def unread_bytes(pairs):
    """Bytes that wait, received but unread, in the loopback sockets named by
    pairs of (local port, remote port)."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as asked:
        return sum(_unread(asked, *pair) for pair in pairs)


_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_LOOPBACK = socket.inet_aton("127.0.0.1") + bytes(12)


def _unread(asked, local_port, remote_port):
    """Asks sock_diag(7) for one socket: /proc/net/tcp takes a hundred times longer."""
    body = (struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF)
            + struct.pack("!HH", local_port, remote_port) + _LOOPBACK + _LOOPBACK
            + struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF))
    head = struct.pack("=IHHII", 16 + len(body), _SOCK_DIAG_BY_FAMILY, 1, 0, 0)
    asked.send(head + body)
    answer = asked.recv(4096)
    kind, = struct.unpack_from("=H", answer, 4)
    if kind != _SOCK_DIAG_BY_FAMILY:
        return 0                            # no such socket any more
    return struct.unpack_from("=I", answer, 72)[0]


class _TcpRow:
    __slots__ = ("local_port", "is_listening", "inode")


def _tcp_rows(mark):
    """The rows that contain the mark; the table may have thousands."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in _read(table).splitlines()[1:]:
            if mark not in line:
                continue
            fields = line.split()
            row = _TcpRow()
            row.local_port = int(fields[1].rpartition(":")[2], 16)
            row.is_listening = fields[3] == "0A"
            row.inode = int(fields[9])
            yield row


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
