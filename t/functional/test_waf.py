"""modsecurity: SecLang rules look at requests and responses; what they decide is done, and logged as ModSecurity does."""

import hashlib
import json
import re
import time

import pytest

from harness import succeeds_once, wait_until
from harness.h2 import H2, post
from harness.upstream import answer

pytestmark = pytest.mark.weir_only("nginx has no WAF of its own")

ON = "modsecurity on; modsecurity_rules 'SecRuleEngine On\nSecRequestBodyAccess On\n%s';"


def rules(*lines):
    return ON % "\n".join(lines).replace("'", "\\'")


DENY_EVIL = 'SecRule ARGS "@contains evil" "id:1,phase:2,deny,log,msg:\'no evil\'"'


@pytest.mark.parametrize("rule", [
    'SecRule &REQUEST_HEADERS:Content-Type "@gt 1" "id:1,phase:1,deny,status:403"',
    'SecRule REQUEST_HEADERS:Content-Type "@contains evil" "id:1,phase:1,deny,status:403"'])
@pytest.mark.parametrize("types", [("text/plain", "text/evil"), ("text/evil", "text/plain")])
def test_each_of_two_types_of_a_body_is_seen(weir, upstream, rule, types):
    server = weir(rules(rule) + "location / { proxy_pass http://@upstream@; }")
    assert server.request("/", "POST", body=b"a",
                          headers=[("Content-Type", one) for one in types]).status == 403
    assert not upstream.requests


def written(server, name):
    """A log of the WAF, which is written once the response is out."""
    wait_until(lambda: server.read(name).endswith("\n"))
    return server.read(name)


def matched(server):
    return [int(number) for number in re.findall(r'\[id "(\d+)"\]', server.log())]


def test_a_request_that_a_rule_denies_is_answered_403(weir):
    server = weir(rules(DENY_EVIL) + "location / { return 200 fine; }")
    assert server.get("/?q=good").text == "fine"
    assert server.get("/?q=evil").status == 403


def test_the_body_of_a_request_is_looked_at(weir):
    server = weir(rules(DENY_EVIL) + "location / { return 200 fine; }")
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    assert server.request("/", "POST", form, b"a=1&b=good").status == 200
    assert server.request("/", "POST", form, b"a=1&b=an+evil+thing").status == 403


def test_detection_lets_by_what_it_logs(weir):
    server = weir(rules(DENY_EVIL).replace("modsecurity on", "modsecurity detection")
                  + "location / { return 200 fine; }")
    assert server.get("/?q=evil").text == "fine"
    assert matched(server) == [1]
    assert "ModSecurity: Warning. Matched" in server.log()


def test_off_is_off(weir):
    server = weir(rules(DENY_EVIL) + "location / { return 200 fine; } "
                  "location /free { modsecurity off; return 200 free; }")
    assert server.get("/free?q=evil").text == "free"
    assert server.get("/?q=evil").status == 403


def test_a_location_adds_to_the_rules_of_its_server(weir):
    server = weir(rules(DENY_EVIL) + """
        location /a { modsecurity_rules 'SecRuleRemoveById 1'; return 200 a; }
        location /b { modsecurity_rules 'SecRule ARGS "@streq bad" "id:2,phase:1,deny,status:406"'; return 200 b; }
    """)
    assert server.get("/a?q=evil").text == "a"
    assert server.get("/b?q=evil").status == 403
    assert server.get("/b?q=bad").status == 406


def test_a_static_file_and_an_error_page_are_looked_at_once(weir):
    server = weir(rules('SecAction "id:7,phase:1,pass,log,msg:\'seen\'"') + """
        root @dir@;
        error_page 404 /missing;
        location = /missing { return 200 gone; }
    """)
    server.folder.write("page", "content")
    assert server.get("/page").text == "content"
    assert matched(server) == [7]
    assert server.get("/nothing").status == 404
    assert matched(server) == [7, 7]


@pytest.mark.parametrize("page", ["/sorry", "@sorry", "/sorry.html"])
@pytest.mark.parametrize("rule", ['SecRule RESPONSE_STATUS "@streq 200" "id:1,phase:3,deny"',
                                  'SecRule RESPONSE_BODY "@contains SECRET" "id:1,phase:4,deny"'])
@pytest.mark.parametrize("origin", ["proxy_pass http://@upstream@;", "root @dir@; index secret.txt;"])
def test_the_error_page_of_a_refused_response_is_sent_instead_of_it(weir, upstream, folder, rule, page, origin):
    upstream.answers(answer("SECRET", headers={"Content-Type": "text/plain", "X-Debug": "SECRET", "Set-Cookie": "a=b",
                                               "X-Accel-Charset": "SECRET", "Cache-Control": "max-age=60"}))
    folder.write("secret.txt", "SECRET")
    folder.write("sorry.html", "sorry")
    server = weir(f"""default_type text/plain; error_page 403 {page}; modsecurity on;
        modsecurity_rules 'SecRuleEngine On
            SecResponseBodyAccess On
            SecResponseBodyMimeType text/plain
            {rule}';
        location / {{ {origin} }} location /sorry {{ return 403 sorry; }} location @sorry {{ return 403 sorry; }}
        location = /sorry.html {{ root @dir@; }}""", upstream=upstream)
    connection = server.connect()
    for _ in range(2):
        response = connection.request("/")
        assert (response.status, response.text) == (403, "sorry")
        assert {"x-debug", "set-cookie", "cache-control"}.isdisjoint(response.headers)
        assert "SECRET" not in response.headers.get("Content-Type", "")


def test_what_was_refused_is_looked_at_as_it_was_asked_for_where_its_error_page_has_rules(weir):
    server = weir("""error_page 405 /page;
        location / { modsecurity off; return 405; }
        location /page { return 200 page; modsecurity on;
            modsecurity_rules 'SecRuleEngine On
                SecRule REQUEST_METHOD "!@streq DELETE" "id:1,phase:1,deny,status:501"
                SecRule REQUEST_URI_RAW "!@rx ^/x$" "id:2,phase:1,deny,status:502"'; }""")
    assert server.request("/x", "DELETE").text == "page"


def test_the_error_page_of_a_refusal_can_be_set(weir):
    server = weir(rules(DENY_EVIL) + """
        error_page 403 /sorry;
        location / { return 200 fine; }
        location = /sorry { return 200 sorry; }
    """)
    response = server.get("/?q=evil")
    assert (response.status, response.text) == (403, "sorry")


def test_the_page_has_the_id_that_the_log_has(weir):
    server = weir(rules(DENY_EVIL) + "add_header X-Id $modsecurity_id always; location / { return 200 fine; }")
    response = server.get("/?q=evil")
    number = response.headers["x-id"]
    assert "Request id: " + number in response.text
    assert '[unique_id "%s"]' % number in server.log()


def test_a_redirect_and_a_dropped_connection(weir):
    server = weir(rules('SecRule ARGS "@streq move" "id:1,phase:1,redirect:http://other.test/"',
                        'SecRule ARGS "@streq drop" "id:2,phase:1,drop"')
                  + "location / { return 200 fine; }")
    response = server.get("/?q=move")
    assert (response.status, response.headers["location"]) == (302, "http://other.test/")
    connection = server.connect()
    connection.send(b"GET /?q=drop HTTP/1.1\r\nHost: a\r\n\r\n")
    assert connection.read_until_close() == b""


def test_a_response_that_says_too_much_is_withheld(weir, upstream):
    secret = b"x" * 100000 + b"SECRET" + b"y" * 100000
    upstream.answers(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(secret) + secret)
    server = weir(rules('SecResponseBodyAccess On',
                        'SecRule RESPONSE_BODY "@contains SECRET" "id:1,phase:4,deny,status:502"')
                  + "location / { proxy_pass http://@upstream@; }")
    response = server.request("/", "GET", [("Accept-Encoding", "gzip")])
    assert response.status == 502
    assert "SECRET" not in response.text
    assert "accept-encoding" not in upstream.requests[0].headers


def test_a_response_that_was_looked_at_arrives_whole(weir, upstream):
    text = b"".join(b"line %d\n" % i for i in range(60000))
    upstream.answers(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
    server = weir(rules('SecResponseBodyAccess On', 'SecResponseBodyLimit 100000',
                        'SecRule RESPONSE_BODY "@contains SECRET" "id:1,phase:4,deny"')
                  + "location / { proxy_pass http://@upstream@; }")
    assert server.get("/").body == text


def test_a_body_over_the_limit_is_refused_or_looked_at_in_part(weir):
    server = weir("""
        location /reject { %s return 200 fine; }
        location /partial { %s return 200 fine; }
    """ % (rules("SecRequestBodyLimit 100", DENY_EVIL),
           rules("SecRequestBodyLimit 100", "SecRequestBodyLimitAction ProcessPartial", DENY_EVIL)))
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    assert server.request("/reject", "POST", form, b"a=" + b"x" * 200).status == 413
    assert server.request("/partial", "POST", form, b"a=" + b"x" * 200 + b"evil").status == 200
    assert server.request("/partial", "POST", form, b"a=evil" + b"x" * 200).status == 403


def test_a_mistake_names_file_line_rule_and_place(check, tmp_path):
    (tmp_path / "bad.conf").write_text('\nSecRule ARGS "@rx (" \\\n    "id:77,phase:1,deny"\n')
    result = check("events {} http { modsecurity on; modsecurity_rules_file %s/*.conf; server { } }"
                   % tmp_path)
    assert result.code == 1
    assert "rule id 77" in result.err
    assert "bad.conf:2" in result.err
    assert re.search(r'SecRule ARGS "@rx \(".*\n +\^', result.err)


@pytest.mark.parametrize("prefilter", ["on", "off"])
def test_the_core_rule_set_of_debian_stops_attacks_and_lets_browsers_by(weir, prefilter):
    server = weir(http="modsecurity_prefilter %s;" % prefilter, server="""
        modsecurity on;
        modsecurity_rules 'SecRuleEngine On\nSecRequestBodyAccess On
            Include /etc/modsecurity/crs/crs-setup.conf
            Include /usr/share/modsecurity-crs/rules/*.conf';
        location / { return 200 fine; }
    """)
    browser = [("Host", "shop.test"), ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"), ("Accept", "*/*")]
    assert server.request("/?q=a+book&page=2", "GET", browser).text == "fine"
    for attack in ("/?q=../../../etc/passwd", "/?q=1%27%20UNION%20SELECT%20password%20FROM%20users--",
                   "/?q=%3Cscript%3Ealert(1)%3C/script%3E", "/?q=;cat%20/etc/shadow"):
        assert server.request(attack, "GET", browser).status == 403, attack


def test_the_verdict_says_why_and_what_would_let_the_request_pass(weir):
    scored = ('SecAction "id:1,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=5"',
              'SecRule ARGS "@rx ev(il)" "id:2,phase:2,pass,log,capture,msg:\'no\',setvar:tx.anomaly_score_pl1=+5"',
              'SecAction "id:4,phase:2,pass,nolog,setvar:tx.anomaly_score=+%{tx.anomaly_score_pl1}"',
              'SecRule TX:anomaly_score "@ge %{tx.inbound_anomaly_score_threshold}" "id:3,phase:2,deny"')
    server = weir(rules(*scored) + "modsecurity_verdict_log verdict.json; location / { return 200 fine; }")
    assert server.get("/?q=good").text == "fine"
    assert server.get("/?q=an+evil+thing&r=2").status == 403
    lines = written(server, "verdict.json").splitlines()
    assert len(lines) == 1
    verdict = json.loads(lines[0])
    assert verdict["verdict"] == "blocked" and verdict["status"] == 403 and verdict["rule"] == 3
    assert verdict["score"] == 5 and verdict["threshold"] == 5
    first = verdict["rules"][0]
    assert (first["id"], first["score"], first["sum"]) == (2, 5, 5)
    assert first["matches"] == [{"variable": "ARGS:q", "matched": "evil", "value": "an evil thing"}]
    assert verdict["exclusion"] == 'SecRuleUpdateTargetById 2 "!ARGS:q"\n'


def test_what_was_learnt_lets_the_same_requests_pass_at_paranoia_level_2(weir, tmp_path):
    crs = """
        modsecurity on;
        modsecurity_rules 'SecRuleEngine On\nSecRequestBodyAccess On
            Include /etc/modsecurity/crs/crs-setup.conf
            SecAction "id:900000,phase:1,nolog,pass,t:none,setvar:tx.paranoia_level=2"
            Include /usr/share/modsecurity-crs/rules/*.conf';
        location / { return 200 fine; }
    """
    browser = [("Host", "127.0.0.1"), ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"), ("Accept", "*/*")]
    traffic = ["/?html=%3Cscript%3Ealert(1)%3C/script%3E", "/?filter=1%27%20OR%20%271%27=%271&odd%20name|x=%3Csvg/onload=a()%3E",
               "/?file=../../etc/passwd", "/?cmd=;cat%20/etc/shadow"]
    learner = weir(crs + "modsecurity_learn learnt.conf;")
    for target in traffic:
        assert learner.request(target, "GET", browser).text == "fine"
    wait_until(lambda: learner.read("learnt.conf").count("# 20") == len(traffic))
    learnt = learner.read("learnt.conf")
    learner.reload(learner.config.replace("modsecurity_learn learnt.conf;", ""))
    assert [learner.request(target, "GET", browser).status for target in traffic] == [403] * len(traffic)
    (tmp_path / "learnt.conf").write_text(learnt)
    learner.reload(learner.config.replace(
        "location / {", "modsecurity_rules_file %s/learnt.conf; location / {" % tmp_path))
    for target in traffic:
        assert learner.request(target, "GET", browser).text == "fine", target
    # What was not part of it is still blocked.
    assert learner.request("/?other=%3Cscript%3Ealert(1)%3C/script%3E", "GET", browser).status == 403


INDEX = re.compile(r'(?P<host>\S+) (?P<client>\S+) (?P<user>\S+) \[[^]]+\] "(?P<line>[^"]*)" (?P<status>\d+) (?P<bytes>\d+) '
                   r'(?P<referer>\S+) "(?P<agent>[^"]*)" (?P<id>\S+) \S+ (?P<path>/\S+) 0 (?P<size>\d+)\.0+ md5:(?P<md5>\w{32})\n')


def entry_of(line):
    """What a line of a concurrent audit log's index names."""
    index = INDEX.fullmatch(line)
    with open(index["path"], "rb") as file:
        content = file.read()
    assert len(content) == int(index["size"]) and hashlib.md5(content).hexdigest() == index["md5"]
    assert (index["client"], index["status"], index["line"]) == ("127.0.0.1", "403", "POST /page HTTP/1.1")
    return content.decode()


@pytest.mark.parametrize("form", ["Native", "JSON"])
@pytest.mark.parametrize("kind", ["Serial", "Concurrent"])
def test_the_audit_log_has_what_is_relevant(weir, form, kind):
    server = weir(rules(
        "SecAuditEngine RelevantOnly", 'SecAuditLogRelevantStatus "^4(?!04)"', "SecAuditLogParts ABCFHZ",
        "SecAuditLogFormat " + form, "SecAuditLogType " + kind, "SecAuditLogStorageDir DIR",
        "SecAuditLog DIR/audit.log", DENY_EVIL).replace("DIR", "@dir@") + "location / { return 200 fine; }",
        # Whoever runs the workers must be able to write where each entry is a file.
        main="user root;")
    form_type = [("Content-Type", "application/x-www-form-urlencoded")]
    assert server.get("/?q=good").status == 200
    assert server.request("/page", "POST", form_type, b"q=evil").status == 403
    text = written(server, "audit.log")
    if kind == "Concurrent":
        assert len(text.splitlines()) == 1
        text = entry_of(text)
    if form == "JSON":
        entry = json.loads(text)["transaction"]
        assert entry["request"]["uri"] == "/page" and entry["request"]["http_version"] == 1.1
        assert entry["request"]["body"] == "q=evil"
        assert entry["response"]["http_code"] == 403
        assert entry["messages"][0]["details"]["ruleId"] == "1"
    else:
        parts = re.findall(r"^---[0-9a-zA-Z]{8}---([A-Z])--$", text, re.M)
        assert parts == list("ABCFHZ")
        assert "POST /page HTTP/1.1" in text and "q=evil" in text
        assert 'ModSecurity: Access denied with code 403 (phase 2). Matched' in text


def test_fail2ban_finds_the_client_in_front_of_what_was_denied(weir):
    server = weir(rules('SecRule ARGS:q "@streq evil" "id:1,phase:1,deny"',
                        'SecRule ARGS:q "@streq move" "id:2,phase:1,redirect:http://other.test/"',
                        'SecRule ARGS:q "@streq drop" "id:3,phase:1,drop"',
                        'SecRule ARGS:q "@streq look" "id:4,phase:1,pass,log"')
                  + "location / { return 200 fine; }")
    for word in ("evil", "move", "look"):
        server.get("/?q=" + word)
    connection = server.connect()
    connection.send(b"GET /?q=drop HTTP/1.1\r\nHost: a\r\n\r\n")
    connection.read_until_close()
    server.wait_log('[id "3"]')
    found = re.findall(r'\[error\] \d+#\d+: \*\d+ \[client ([\d.]+)\] ModSecurity: Access denied with code (\d+) .*\[id "(\d)"\]',
                       server.log())
    assert found == [("127.0.0.1", "403", "1"), ("127.0.0.1", "302", "2"), ("127.0.0.1", "403", "3")]
    assert re.search(r'\*\d+ ModSecurity: Warning\. .*\[id "4"\]', server.log())


def test_lines_of_the_error_log_have_the_words_of_modsecurity(weir):
    server = weir(rules('SecAction "id:1,phase:1,pass,log,setvar:tx.limit=5,msg:\'all\'"',
                        'SecRule ARGS:n "@gt %{tx.limit}" "id:2,phase:1,pass,log"',
                        'SecRule ARGS:n "@streq 9" "id:3,phase:1,pass,log"') + "location / { return 200 fine; }")
    server.get("/a%20b?n=9")
    log = server.log()
    assert re.search(r'ModSecurity: Warning\.  \[file "[^"]+"\] \[line "\d+"\] \[id "1"\]', log)
    assert "Matched \"Operator `Gt' with parameter `5' against variable `ARGS:n' (Value: `9' )" in log
    assert "Matched \"Operator `StrEq' with parameter `9'" in log
    assert re.search(r'\[hostname "127.0.0.1"\] \[uri "/a b"\] \[unique_id "\w+"\] \[ref ""\]', log)


def test_the_audit_log_tells_how_a_withheld_response_was_answered_and_leaves_files_out(weir, upstream):
    upstream.answers(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nSECRET")
    server = weir(rules("SecResponseBodyAccess On", "SecAuditEngine On", "SecAuditLogParts ABEFIHZ", "SecAuditLogFormat JSON",
                        "SecAuditLog @dir@/audit.log", 'SecRule RESPONSE_BODY "@contains SECRET" "id:1,phase:4,deny,status:502"')
                  + "location / { proxy_pass http://@upstream@; }")
    body = (b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\nprivate\r\n--b--\r\n')
    assert server.request("/", "POST", [("Content-Type", "multipart/form-data; boundary=b")], body).status == 502
    entry = json.loads(written(server, "audit.log"))["transaction"]
    assert entry["response"]["http_code"] == 502 and entry["response"]["body"] == "SECRET"
    assert "private" not in json.dumps(entry)
    assert re.fullmatch("[0-9a-f]{40}", entry["server_id"])


# ---- weir waf explain

EXPLAINED = """
    events {}
    http {
        server { listen 127.0.0.1:8080; return 301 https://$host$request_uri; }
        server { listen 127.0.0.1:8081; server_name other.test; return 204; }
        server {
            listen 127.0.0.1:8081; server_name shop.test;
            %s
            modsecurity_rules 'SecRule REMOTE_ADDR "@ipMatch 192.0.2.0/24" "id:5,phase:1,deny,status:406"';
            auth_request /nobody;
            location / { proxy_pass http://127.0.0.1:1; }
            location /form { modsecurity_rules 'SecRuleRemoveById 1'; proxy_pass http://127.0.0.1:1; }
            location /off { modsecurity off; proxy_pass http://127.0.0.1:1; }
        }
    }
"""


@pytest.fixture
def explain(check):
    def run(request, *options):
        return check(EXPLAINED % rules(DENY_EVIL), "waf", "explain", "--port=8081", *options,
                     stdin=request.replace("\n", "\r\n").encode())
    return run


def explained(result):
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_explain_tells_off_line_what_the_rules_make_of_a_request(explain):
    verdict = explained(explain("GET /?q=evil HTTP/1.1\nHost: shop.test\n\n"))
    assert (verdict["verdict"], verdict["status"], verdict["rule"]) == ("blocked", 403, 1)
    first = verdict["rules"][0]["matches"][0]
    assert (first["variable"], first["value"]) == ("ARGS:q", "evil")
    assert verdict["exclusion"] == 'SecRuleUpdateTargetById 1 "!ARGS:q"\n'


def test_explain_looks_at_bodies_and_at_the_location_that_the_request_would_reach(explain):
    form = ("POST %s HTTP/1.1\nHost: shop.test\nContent-Length: 6\n"
            "Content-Type: application/x-www-form-urlencoded\n\nq=evil")
    assert explained(explain(form % "/"))["phase"] == 2
    let_by = explain(form % "/form")
    assert explained(let_by)["verdict"] == "passed"
    assert 'location "/form"' in let_by.err


def test_explain_can_be_told_the_client(explain):
    get = "GET / HTTP/1.1\nHost: shop.test\n\n"
    assert explained(explain(get))["verdict"] == "passed"
    assert explained(explain(get, "--client=192.0.2.7"))["rule"] == 5


def test_explain_tells_scripts_by_its_status_where_asked(explain):
    good, evil = ("GET /?q=%s HTTP/1.1\nHost: shop.test\n\n" % word for word in ("good", "evil"))
    assert (explain(good).code, explain(evil).code) == (0, 0)
    assert explain(good, "--exit-code").code == 0
    refused = explain(evil, "--exit-code", "--json")
    assert refused.code == 1 and json.loads(refused.out)["rule"] == 1
    assert explain(evil, "--exit-code=1").code == 2
    assert "invalid option --no" in explain(evil, "--no").err


def test_explain_tells_what_detection_would_have_blocked(check):
    config = (EXPLAINED % rules(DENY_EVIL)).replace("modsecurity on", "modsecurity detection")
    result = check(config, "waf", "explain", "--port=8081", "--exit-code",
                   stdin=b"GET /?q=evil HTTP/1.1\r\nHost: shop.test\r\n\r\n")
    assert result.code == 1 and json.loads(result.out)["verdict"] == "would be blocked"


@pytest.mark.parametrize("request_text, why", [
    ("GET /off HTTP/1.1\nHost: shop.test\n\n", "no rules are on in location /off"),
    ("GET / HTTP/1.1\nHost: other.test\n\n", "no rules judged the request"),
    ("NO REQUEST\n\n", "no rules judged the request"),
    ("", "there is no request on stdin"),
    ("GET / HTTP/1.1\nHost: shop.test\n", "the request is truncated: its head has no end"),
    ("POST / HTTP/1.1\nHost: shop.test\nContent-Length: 6\n\nq=ev", "the request is truncated: 4 of 6 bytes of its body came"),
    ("POST / HTTP/1.1\nHost: shop.test\nTransfer-Encoding: chunked\n\n6\nq=evil\n",
     "the request is truncated: the last chunk of its body did not come"),
])
def test_explain_says_at_once_why_there_is_nothing_to_explain(explain, request_text, why):
    def is_at_once():
        began = time.monotonic()
        result = explain(request_text)
        assert result.code == 2 and result.out == ""
        assert why in result.err
        return time.monotonic() - began < 5
    succeeds_once(is_at_once)


@pytest.mark.parametrize("config, why", [
    ("events {}", "the configuration has no http block"),
    ("events {} http { server { listen 127.0.0.1:8080; } }", "the configuration has no rules"),
])
def test_explain_needs_rules(check, config, why):
    result = check(config, "waf", "explain", stdin=b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert result.code == 2 and why in result.err


HELD = """
    http2 on; modsecurity on; modsecurity_rules 'SecRuleEngine On\nSecRequestBodyAccess Off
        SecResponseBodyAccess On\nSecResponseBodyMimeType text/plain text/html
        SecAuditEngine On\nSecAuditLogFormat JSON\nSecAuditLogParts ABFHZ\nSecAuditLog @dir@/audit.log
        SecRule RESPONSE_HEADERS:X-Of "origin" "id:1,phase:3,pass,log"
        SecAction "id:2,phase:3,pass,log"\nSecAction "id:3,phase:4,pass,log"
        SecRule RESPONSE_STATUS "@unconditionalMatch" "id:4,phase:5,pass,log,logdata:\\'it was %%{RESPONSE_STATUS}\\'"';
    client_max_body_size 10; client_body_timeout %s; %s
    location / { proxy_pass http://@upstream@; proxy_request_buffering off; }
    location = /sorry { return 200 sorry; }
"""


def http1_body(server, more):
    client = server.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
    server.wait_log(r'\[id "2"\]')
    client.send(more)
    return client.read_response()


def http2_body(server, more):
    client = H2(server.connect())
    stream = client.headers(post(), end=False)
    client.data(stream, b"ab")
    server.wait_log(r'\[id "2"\]')
    if more:
        client.data(stream, more)
    return client.read_response(stream)


@pytest.mark.parametrize("page", ["", "error_page 400 408 413 /sorry;"], ids=["", "error_page"])
@pytest.mark.parametrize("wire, more, timeout, status", [
    (http1_body, b"xyz\r\n", "60s", 400), (http1_body, b"c\r\nover the top\r\n", "60s", 413), (http1_body, b"", "2s", 408),
    (http2_body, b"over the top", "60s", 413), (http2_body, b"", "2s", 408)],
    ids=["invalid", "too large", "too slow", "too large, HTTP/2", "too slow, HTTP/2"])
def test_a_body_that_fails_while_the_answer_is_held_back_is_told_of(weir, upstream, wire, more, timeout, status, page):
    def begin(peer):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Of: origin\r\nContent-Length: 9\r\n\r\nhalf")
        peer.wait_gone()

    upstream.answers_early(begin)
    server = weir(HELD % (timeout, page))
    response = wire(server, more)
    assert response.status == status
    assert "X-Of" not in response.headers and b"half" not in response.body
    assert (response.text == "sorry") == (page != "")
    assert json.loads(written(server, "audit.log"))["transaction"]["response"]["http_code"] == status
    assert matched(server) == [1, 2, 2, 3, 4]       # the page is a response, too
    assert f"it was {status}" in server.log()


@pytest.mark.parametrize("phase, target", [(3, "RESPONSE_HEADERS:X-Of"), (4, "RESPONSE_BODY")])
def test_the_page_of_a_body_that_failed_is_looked_at_where_it_comes_from_an_origin(weir, upstream, new_upstream, phase, target):
    upstream.answers_early(lambda peer: (peer.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nhalf"), peer.wait_gone()))
    pages = new_upstream().answers(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Of: secret\r\n"
                                   b"Content-Length: 6\r\n\r\nsecret")
    more = (f'modsecurity_rules \'SecRule {target} "@contains secret" "id:9,phase:{phase},deny"\'; error_page 413 = /page; '
            f"location = /page {{ proxy_pass http://127.0.0.1:{pages.port}; }}")
    server = weir(HELD % ("60s", more))
    response = http1_body(server, b"c\r\nover the top\r\n")
    assert response.status == 403 and "secret" not in response.text and "X-Of" not in response.headers
    assert len(pages.requests) == 1
