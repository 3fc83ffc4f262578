"""SecAuditLog: whatever a client or an origin writes, the log has one entry for each request, and no line or member of theirs."""

import json
import os
import re
import threading

import pytest

from harness import wait_until

pytestmark = pytest.mark.weir_only("nginx has no WAF of its own")

FINE = "location / { return 200 fine; }"
FORM = [("Content-Type", "application/x-www-form-urlencoded")]


def audited(*lines, engine="On", parts="ABCEFHIJKZ"):
    text = "\n".join(("SecRuleEngine On", "SecRequestBodyAccess On", "SecResponseBodyAccess On", "SecAuditEngine " + engine,
                      "SecAuditLogParts " + parts, "SecAuditLog @dir@/audit.log") + lines)
    return "modsecurity on; modsecurity_rules '%s';" % text.replace("'", "\\'")


def entries(server, count=1):
    """Those of a log in JSON."""
    wait_until(lambda: server.read("audit.log").count("\n") >= count)
    text = server.read("audit.log")
    assert text.endswith("\n")
    return [json.loads(line)["transaction"] for line in text[:-1].split("\n")]


def boundaries(text):
    """What a reader could take for a boundary who does not look at the mark, and has lines end as Python does."""
    return [line.strip()[-3] for line in text.splitlines() if re.fullmatch(r"\s*--.*-[A-Z]--\s*", line)]


FORGED = "---abcdefgh---Z--"


def test_a_rule_turns_on_the_audit_log_that_is_off(weir):
    server = weir(audited("SecAuditLogFormat JSON", 'SecRule ARGS:q "@streq on" "id:1,phase:1,pass,nolog,ctl:auditEngine=On"',
                          engine="Off") + FINE)
    server.get("/?q=off")
    server.get("/?q=on")
    assert [entry["request"]["uri"] for entry in entries(server)] == ["/?q=on"]


def test_the_last_word_says_whether_a_match_is_audited(weir):
    server = weir(audited("SecAuditLogFormat JSON", 'SecRule ARGS:q "@streq 1" "id:1,phase:1,pass,auditlog,nolog"',
                          'SecRule ARGS:q "@streq 2" "id:2,phase:1,pass,nolog,auditlog"', engine="RelevantOnly") + FINE)
    for number in "12":
        server.get("/?q=" + number)
    assert [entry["messages"][0]["details"]["ruleId"] for entry in entries(server)] == ["2"]


def test_an_id_of_a_client_hides_no_entry(weir):
    server = weir(audited("SecAuditLogType Concurrent", "SecAuditLogStorageDir @dir@")
                  + "modsecurity_transaction_id $http_x_id; " + FINE, main="user root;")
    for identity in ("same", "same", 'a b"../\\' + "c" * 1000):
        server.request("/", "GET", [("X-Id", identity)])
    wait_until(lambda: server.read("audit.log").count("\n") == 3)
    index = re.findall(r'" (\S+) - (/\S+) 0 \d+\.0+ md5:\w+$', server.read("audit.log"), re.M)
    assert len({path for _, path in index}) == 3
    assert [identity for identity, _ in index] == ["same", "same", 'a_b_../_' + "c" * 120]
    for identity, path in index:
        with open(path) as file:
            assert " %s 127.0.0.1 " % identity in file.read()


def test_entries_of_two_workers_stay_whole_in_a_pipe(weir, tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)

    def read():
        with open(pipe, "rb") as file:
            while data := file.read1(1024):
                got.append(data)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    server = weir(audited("SecAuditLogFormat JSON").replace("@dir@/audit.log", str(pipe)) + FINE, main="worker_processes 2;")
    senders = [threading.Thread(target=lambda: [server.request("/", "POST", FORM, b"q=" + b"a" * 100000) for _ in range(20)])
               for _ in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    server.stop()
    reader.join()
    assert len([json.loads(line) for line in b"".join(got).splitlines()]) == 80
