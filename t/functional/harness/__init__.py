"""What the functional tests are written with: see README.md beside this folder."""

from .certs import Certs
from .ports import Ports
from .server import Binary, Checked, Server, StartFailed
from .traffic import Traffic
from .upstream import Peer, Upstream, body_of
from .wait import TIMEOUT, succeeds_once, wait_until
from .wire import (
    Connection,
    Headers,
    Response,
    request_bytes,
    split_exchange,
    tls_context,
)

__all__ = [
    "Binary", "Certs", "Checked", "Connection", "Headers", "Peer", "Ports",
    "Response", "Server", "StartFailed", "TIMEOUT", "Traffic", "Upstream", "body_of",
    "request_bytes", "split_exchange", "succeeds_once", "tls_context", "wait_until",
]
