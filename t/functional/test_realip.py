"""realip: whose word about the client's address is taken."""

import pytest

SAYS = "location / { return 200 '$remote_addr $realip_remote_addr'; }"
TRUSTED = "set_real_ip_from 127.0.0.1;" + SAYS


@pytest.mark.parametrize("config, headers, addr", [
    ("", {"X-Real-IP": "192.0.2.1"}, "192.0.2.1"),
    ("", {"X-Real-IP": "2001:db8::1"}, "2001:db8::1"),
    ("", {"X-Real-IP": "nonsense"}, "127.0.0.1"),
    ("", {}, "127.0.0.1"),
    ("", {"X-Forwarded-For": "192.0.2.1"}, "127.0.0.1"),
    ("real_ip_header X-Forwarded-For;", {"X-Forwarded-For": "192.0.2.1, 192.0.2.2"}, "192.0.2.2"),
    ("real_ip_header X-Forwarded-For;",
     [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-For", "192.0.2.2")], "192.0.2.2"),
    ("real_ip_header X-Forwarded-For; real_ip_recursive on; set_real_ip_from 192.0.2.0/24;",
     {"X-Forwarded-For": "198.51.100.1, 198.51.100.2, 192.0.2.2"}, "198.51.100.2"),
    ("real_ip_header X-Forwarded-For; real_ip_recursive on;",
     {"X-Forwarded-For": "198.51.100.1, nonsense, 127.0.0.1"}, "127.0.0.1"),
    ("real_ip_header X-Forwarded-For;", {"X-Forwarded-For": "192.0.2.1:4711"}, "192.0.2.1"),
    ("real_ip_header X-Forwarded-For;", {"X-Forwarded-For": "192.0.2.1, 192.0.2.2, ,"}, "192.0.2.2"),
    ("real_ip_header X-Forwarded-For;", {"X-Forwarded-For": " ,"}, "127.0.0.1"),
    ("real_ip_header X-Forwarded-For;", {"X-Forwarded-For": "[2001:db8::1]:80"}, "2001:db8::1"),
    ("real_ip_header X-Own;", {"X-Own": "192.0.2.9"}, "192.0.2.9"),
])
def test_a_trusted_proxy_says_who_the_client_is(weir, config, headers, addr):
    response = weir(config + TRUSTED).get("/", headers=headers)
    assert response.text == f"{addr} 127.0.0.1"


def test_a_strangers_word_is_nothing(weir):
    server = weir("set_real_ip_from 10.0.0.0/8;" + SAYS)
    assert server.get("/", headers={"X-Real-IP": "192.0.2.1"}).text == "127.0.0.1 127.0.0.1"


@pytest.mark.parametrize("said, port", [("192.0.2.1", ""), ("192.0.2.1:4711", "4711")])
def test_who_names_no_port_has_none(weir, said, port):
    server = weir("""set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;
                     location / { return 200 '[$remote_port]'; }""")
    assert server.get("/", headers={"X-Forwarded-For": said}).text == f"[{port}]"


def test_each_request_of_a_connection_has_its_own(weir):
    connection = weir(TRUSTED).connect()
    for addr in ("192.0.2.1", "192.0.2.2", None):
        headers = {"X-Real-IP": addr} if addr else {}
        said = connection.request("/", headers=headers).text
        assert said == f"{addr or '127.0.0.1'} 127.0.0.1"


def test_rules_and_logs_know_the_client(weir):
    server = weir("set_real_ip_from 127.0.0.1; location / { deny 192.0.2.1; }")
    assert server.get("/", headers={"X-Real-IP": "192.0.2.1"}).status == 403
    assert server.access_log()[0].startswith("192.0.2.1 - ")
    assert server.wait_log("access forbidden by rule, client: 192.0.2.1")


def test_the_proxy_protocol_says_it_too(weir):
    server = weir("""listen 127.0.0.1:@port@ proxy_protocol; set_real_ip_from 127.0.0.1;
                     real_ip_header proxy_protocol;""" + SAYS)
    connection = server.connect()
    connection.send(b"PROXY TCP4 203.0.113.7 127.0.0.1 1234 80\r\n")
    assert connection.request("/").text == "203.0.113.7 127.0.0.1"
