"""SecAuditLog: whatever a client or an origin writes, the log has one entry for each request, and no line or member of theirs."""

import json
import os
import re
import threading
import time

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


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\0", "\v", "\x1e", "\x85", "\u2028", " \n "])
def test_no_body_forges_a_boundary_of_the_audit_log(weir, upstream, end):
    forged = end.join(["", FORGED, "", "---abcdefgh---A--", "--abcdef01-B--", "GET /forged HTTP/1.1", ""])
    body = forged.encode()
    upstream.answers(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    server = weir(audited() + "location / { proxy_pass http://@upstream@; }")
    assert server.request("/", "POST", FORM, body).status == 200
    wait_until(lambda: "-Z--\n\n" in server.read("audit.log"))
    with open(server.folder.file("audit.log"), "rb") as file:
        text = file.read().decode()
    assert boundaries(text) == list("ABCEFHZ")
    assert "\\x2d--abcdefgh---Z--" in text


def test_part_e_is_one_line_of_ascii(weir, upstream):
    server = weir(audited() + "location / { proxy_pass http://@upstream@; }")
    upstream.answers(b'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\na\r\n\0\xff"\\')
    server.get("/")
    wait_until(lambda: "-Z--\n\n" in server.read("audit.log"))
    assert '---E--\na\\x0d\\x0a\\x00\\xff"\\\n\n' in server.read("audit.log")


def test_no_header_forges_a_line_of_the_audit_log(weir):
    server = weir(audited() + FINE)
    value = ("a\u0085" + FORGED + "\u2028" + FORGED).encode().decode("latin-1")
    server.request("/", "GET", [("X", value), ("X" + FORGED, FORGED)])
    wait_until(lambda: "-Z--\n\n" in server.read("audit.log"))
    assert boundaries(server.read("audit.log")) == list("ABEFHZ")


def test_lines_of_one_name_are_one_member_of_json(weir):
    server = weir(audited("SecAuditLogFormat JSON") + FINE)
    server.request("/", "GET", [("User-Agent", "evil"), ("X", "1"), ("user-agent", "good")])
    headers = entries(server)[0]["request"]["headers"]
    assert headers["User-Agent"] == "evil, good" and headers["X"] == "1" and "user-agent" not in headers


@pytest.mark.parametrize("body", [bytes(range(256)), b"\xed\xa0\x80\xf4\x90\x80\x80\xc0\x80", "\u0085\u009b\u2028\u2029é\U0001f600".encode()])
def test_any_body_is_json_in_one_line(weir, body):
    server = weir(audited("SecAuditLogFormat JSON", 'SecRule REQUEST_BODY "@rx ." "id:1,phase:2,pass,log,logdata:\'%{MATCHED_VAR}\'"')
                  + FINE)
    server.request("/", "POST", FORM, body)
    entry = entries(server)[0]
    with open(server.folder.file("audit.log"), "rb") as file:
        text = file.read().decode()
    assert len(text.splitlines()) == 1 and not re.search("[\0-\x09\x0b-\x1f\x7f-\x9f]", text)
    try:
        sent = body.decode()
    except UnicodeDecodeError:
        sent = body.decode("latin-1")
    assert entry["request"]["body"] == sent and entry["messages"][0]["details"]["data"] == sent


@pytest.mark.parametrize("form", ["Native", "JSON"])
def test_no_body_is_too_long_for_an_entry(weir, form):
    server = weir(audited("SecAuditLogFormat " + form, "SecRequestBodyLimit 67108864", "SecRequestBodyNoFilesLimit 67108864",
                          'SecRule REQUEST_HEADERS:X "@streq evil" "id:1,phase:1,pass,log"', engine="RelevantOnly")
                  + "client_max_body_size 64m; location / { return 200 fine; }")
    size = 33 << 20 if form == "Native" else 6 << 20
    assert server.request("/", "POST", [("X", "evil"), ("Content-Type", "text/plain")], b"\0" * size).status == 200
    wait_until(lambda: server.read("audit.log").endswith("\n" if form == "JSON" else "-Z--\n\n"))
    text = server.read("audit.log")
    assert len(text) < 32 << 20
    if form == "JSON":
        entry = json.loads(text)["transaction"]
        assert len(entry["request"]["body"]) == 1 << 20 and entry["request"]["body_bytes_left_out"] == size - (1 << 20)
        assert entry["messages"][0]["details"]["ruleId"] == "1" and entry["request"]["body"].startswith("\0\0")
    else:
        assert boundaries(text) == list("ABCEFHZ") and '[id "1"]' in text
        assert f"\nLeft out: 0 rules, {size - (1 << 20)} bytes of the request's body, 0 bytes of the response's body\n" in text


def test_who_uses_up_the_budget_is_in_the_audit_log(weir):
    server = weir(audited("SecAuditLogFormat JSON", 'SecRule ARGS "@contains evil" "id:1,phase:2,pass,nolog"', engine="RelevantOnly")
                  + "modsecurity_work_limit 100k; " + FINE)
    many = b"&".join(b"a%d=harmless+%%61" % i for i in range(900))
    assert server.request("/", "POST", FORM, many * 3).status == 403
    assert entries(server)[0]["response"]["http_code"] == 403


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


@pytest.mark.parametrize("parts, members, request_members, response_members", [
    ("AZ", set(), set(), set()),
    ("ABZ", set(), {"headers"}, set()),
    ("ACZ", set(), {"body"}, set()),
    ("AEFZ", set(), set(), {"body", "headers"}),
    ("AHZ", {"producer", "messages"}, set(), set()),
])
def test_parts_say_which_members_json_has(weir, parts, members, request_members, response_members):
    server = weir(audited("SecAuditLogFormat JSON", parts=parts) + FINE)
    server.get("/")
    entry = entries(server)[0]
    assert entry["request"].keys() == {"method", "http_version", "uri"} | request_members
    assert entry["response"].keys() == {"http_code"} | response_members
    assert entry.keys() & {"producer", "messages"} == members


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


def test_long_names_and_values_do_not_push_the_rule_out_of_its_line(weir):
    server = weir(audited('SecRule ARGS|ARGS_NAMES "@contains evil" "id:1,phase:2,pass,log,msg:\'%{MATCHED_VAR}\',logdata:\'%{MATCHED_VAR}\'"')
                  + FINE)
    server.request("/", "POST", FORM, b"\1" * 20000 + b"=evil" + b"\1" * 100000)
    assert re.search(r'\[id "1"\] .* \[hostname "127.0.0.1"\] \[uri "/"\] \[unique_id "\w+"\] \[ref ""\], client', server.log())


def test_the_error_log_says_that_the_disk_of_the_others_is_full(weir):
    server = weir(audited().replace("@dir@/audit.log", "/dev/full")
                  + "modsecurity_verdict_log /dev/full; modsecurity_rules 'SecAction \"id:1,phase:1,deny\"'; " + FINE)
    began = time.monotonic()
    for _ in range(20):
        assert server.get("/").status == 403
    server.wait_log(r'write\(\) to')
    told = re.findall(r'write\(\) to "/dev/full" failed \(28: ', server.log())
    # Forty lines were lost, of two logs; each is tried once a second.
    assert len(told) <= 2 * (time.monotonic() - began + 1)


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
