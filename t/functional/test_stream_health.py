"""Active health checks in stream: connecting, sending, expecting."""

import re

import pytest

from harness import wait_until
from harness.upstream import Gone

pytestmark = pytest.mark.weir_only("nginx has it in NGINX Plus")


@pytest.fixture
def checked(weir):
    """Starts weir in front of some origins, with these parameters, and lines of match m."""
    def start(origins, parameters="", match="", more="", main=""):
        servers = "".join(f"server {origin} max_fails=0; " for origin in origins)
        return weir(None, main=f"""{main}
            stream {{
                {f'match m {{ {match} }}' if match else ''}
                upstream back {{ {servers} }}
                server {{ listen 127.0.0.1:@port@; proxy_pass back; {more}
                          health_check interval=50ms {parameters} {'match=m' if match else ''}; }}
            }}""")
    return start


def says(text):
    """A server that says its name at once."""
    def protocol(peer):
        peer.send(text)
        peer.wait_gone()
    return protocol


def replies(replies_by_question):
    """A server that answers what it knows, and says no to the rest."""
    def protocol(peer):
        try:
            while True:
                peer.send(replies_by_question.get(bytes(peer.read_some()), b"no"))
        except Gone:
            pass
    return protocol


def asked(server):
    return bytes(server.connect().read_exactly(1))


def test_a_server_that_cannot_be_connected_to_gets_no_sessions_until_it_can(checked, new_upstream):
    one, two = new_upstream(), new_upstream()
    one.speaks(says(b"1"))
    two.speaks(says(b"2"))
    server = checked([one, two], "passes=2")
    assert {asked(server) for _ in range(4)} == {b"1", b"2"}
    one.stop()
    server.wait_log(rf"\[warn\] .*upstream server {one} of \"back\" is unhealthy: ")
    assert {asked(server) for _ in range(4)} == {b"2"}
    again = new_upstream(port=one.port)
    again.speaks(says(b"1"))
    server.wait_log(rf"\[notice\] .*upstream server {one} of \"back\" is healthy again")
    wait_until(lambda: {asked(server) for _ in range(4)} == {b"1", b"2"}, "both")


@pytest.mark.parametrize("match, good, bad", [
    ("expect 220;", says(b"220 ready\r\n"), says(b"421 busy\r\n")),
    ("expect 220;", says(b"220"), says(b"22")),
    ('expect ~ "^220 .*ready";', says(b"220 all ready\r\n"), says(b"220 not yet\r\n")),
    ("expect ~* READY;", says(b"well, ready\r\n"), says(b"no\r\n")),
    (r'send "PING\r\n"; expect "+PONG";', replies({b"PING\r\n": b"+PONG\r\n"}), replies({})),
    (r'send "\x01\xffa"; expect "\x80\x00";', replies({b"\x01\xffa": b"\x80\x00"}), replies({})),
])
def test_an_answer_is_held_against_the_match(checked, upstream, match, good, bad):
    upstream.speaks(bad)
    server = checked([upstream], match=match, more="health_check_timeout 200ms;")
    server.wait_log("is unhealthy: ")
    upstream.speaks(good)
    server.wait_log("is healthy again")


def test_an_answer_may_come_in_pieces(checked, upstream):
    def protocol(peer):
        for piece in (b"2", b"2", b"0"):
            peer.send(piece)
        peer.wait_gone()
    upstream.speaks(protocol)
    server = checked([upstream], "mandatory", match="expect 220;")
    wait_until(lambda: upstream.connections, "a check")
    wait_until(lambda: server.connect().read_some(), "a session")
    assert "is unhealthy" not in server.log()


def test_only_as_much_as_the_buffer_holds_is_looked_at(checked, upstream):
    upstream.speaks(says(b"x" * 1000 + b"ready"))
    server = checked([upstream], match="expect ~ ready;", more="proxy_buffer_size 1000;")
    server.wait_log("is unhealthy: the answer does not match")


def test_silence_is_a_failure_when_the_time_is_over(checked, upstream):
    upstream.speaks(lambda peer: peer.wait_gone())
    server = checked([upstream], match="expect x;", more="health_check_timeout 100ms;")
    server.wait_log("is unhealthy: it timed out")


def test_another_port_may_be_asked(checked, new_upstream):
    one, other = new_upstream(), new_upstream()
    one.speaks(says(b"1"))
    other.speaks(says(b"well"))
    server = checked([one], f"mandatory port={other.port}", match="expect well;")
    wait_until(lambda: other.connections, "a check")
    wait_until(lambda: server.connect().read_some() == b"1", "a session")


def test_a_mandatory_check_comes_before_the_first_session(checked, upstream):
    upstream.speaks(lambda peer: peer.wait_gone())
    server = checked([upstream], "mandatory", match="expect 2;")
    assert server.connect().is_closed()
    upstream.speaks(says(b"2"))
    server.reload()
    wait_until(lambda: server.connect().read_some() == b"2", "the first check to pass")


@pytest.mark.parametrize("more, first", [
    ("proxy_protocol on;", b"PROXY UNKNOWN\r\n"),
    ("proxy_protocol v2;", b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"),
])
def test_a_check_says_that_it_is_no_clients(checked, upstream, more, first):
    got = []

    def protocol(peer):
        got.append(bytes(peer.read_some()))
        peer.wait_gone()
    upstream.speaks(protocol)
    checked([upstream], match="send hello; expect x;", more=more)
    wait_until(lambda: got, "a check")
    assert got[0] in (first, first + b"hello")


def test_a_server_with_tls_is_asked_by_tls(checked, new_upstream, certs):
    origin = new_upstream(tls=certs.pair("origin"))
    origin.speaks(replies({b"PING": b"PONG"}))
    server = checked([origin], "mandatory", match="send PING; expect PONG;", more="proxy_ssl on;")

    def session():
        connection = server.connect()
        connection.send(b"PING")
        return connection.read_some() == b"PONG"
    wait_until(session, "a session after the first check")
    assert "is unhealthy" not in server.log()


def test_silence_after_the_handshake_is_a_failure_when_the_time_is_over(checked, new_upstream,
                                                                         certs):
    origin = new_upstream(tls=certs.pair("origin"))
    origin.speaks(lambda peer: peer.wait_gone())
    server = checked([origin], match="send PING; expect PONG;",
                     more="proxy_ssl on; health_check_timeout 300ms;")
    server.wait_log("is unhealthy: it timed out")


@pytest.mark.parametrize("text, why", [
    ("server { listen 127.0.0.1:@port@; return x; health_check; }", 'a server with "proxy_pass"'),
    ("server { listen 127.0.0.1:@port@; proxy_pass back; health_check udp; }",
     "weir does not proxy UDP"),
    ("server { listen 127.0.0.1:@port@; proxy_pass back; health_check match=n; }",
     'match "n" not found'),
    ("server { listen 127.0.0.1:@port@; proxy_pass back; health_check uri=/; }",
     'invalid parameter "uri=/"'),
    ("server { listen 127.0.0.1:@port@; proxy_pass back; health_check persistent; }",
     'takes "mandatory"'),
    ("match m { expect a b c; }", '"expect" takes a text, or "~" and a regex'),
    ("match m { send a; send b; }", '"send" directive is duplicate'),
    ("match m { send; }", 'invalid number of arguments in "send"'),
    (r"match m { send \xg1; }", "two hexadecimal digits"),
    ("match m { status 200; }", 'unknown condition "status"'),
    ("match m { send a; } match m { send a; }", 'duplicate match "m"'),
])
def test_wrong_settings_are_refused(check, text, why):
    done = check(f"events {{}} stream {{ upstream back {{ server 127.0.0.1:1; }} {text} }}")
    assert done.code == 1 and re.search(re.escape(why), done.err), done
