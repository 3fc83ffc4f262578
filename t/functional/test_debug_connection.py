"""debug_connection: the lines of some clients' connections, all of them, in a log that takes no more than errors."""

import pytest

FULL = """
error_log @dir@/error.log error;
pid @dir@/weir.pid;
daemon off;
events {{ debug_connection {network}; }}
http {{
    access_log off;
    client_body_temp_path @dir@/body;
    server {{ listen 127.0.0.1:@port@; location / {{ return 204; }} }}
}}
"""


@pytest.mark.weir_only("Debian's nginx is built without --with-debug")
@pytest.mark.parametrize("network", ["127.0.0.0/8", "localhost"])
def test_the_connections_of_a_client_are_logged_whole(weir, network):
    server = weir(full=FULL.format(network=network))
    assert server.get("/").status == 204
    server.wait_log(r"\[debug\] .*\*\d+ .*, client: 127.0.0.1")


def test_those_of_others_are_not(weir):
    server = weir(full=FULL.format(network="192.0.2.0/24"))
    assert server.get("/").status == 204
    server.stop()
    assert "[debug]" not in server.log()
