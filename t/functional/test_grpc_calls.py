"""grpc_pass between a real gRPC client and a real gRPC server: each kind of call, and how each may end."""

import threading
from concurrent import futures

import pytest

from harness import TIMEOUT, wait_until

grpc = pytest.importorskip("grpc")

SERVER = "listen 127.0.0.1:@port@ http2; client_max_body_size 0; location / { grpc_pass grpc://127.0.0.1:@grpc@; }"
IDIOM = """
    error_page 502 = /error502grpc;
    location = /error502grpc { internal; default_type application/grpc;
        add_header grpc-status 14; add_header grpc-message unavailable; return 204; }"""


class Service(grpc.GenericRpcHandler):
    """Messages are bytes."""

    def __init__(self):
        self.waiting = threading.Event()
        self.cancelled = threading.Event()

    def service(self, details):
        kinds = {
            "/t/unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "/t/fails": grpc.unary_unary_rpc_method_handler(self.fails),
            "/t/waits": grpc.unary_unary_rpc_method_handler(self.waits),
            "/t/counts": grpc.unary_stream_rpc_method_handler(self.counts),
            "/t/sums": grpc.stream_unary_rpc_method_handler(self.sums),
            "/t/chat": grpc.stream_stream_rpc_method_handler(self.chat),
        }
        return kinds.get(details.method)

    def unary(self, message, context):
        told = dict(context.invocation_metadata())
        context.send_initial_metadata([("x-told", told.get("x-tell", ""))])
        context.set_trailing_metadata([("x-last-bin", b"\0\1\2")])
        return message

    def fails(self, message, context):
        context.abort(grpc.StatusCode.NOT_FOUND, message.decode())

    def waits(self, message, context):
        self.waiting.set()
        if not context.add_callback(self.cancelled.set):
            self.cancelled.set()        # before anybody could ask to be told
        self.cancelled.wait(TIMEOUT)
        return message

    def counts(self, message, context):
        for number in range(int(message)):
            yield b"%d" % number

    def sums(self, messages, context):
        return b"%d" % sum(int(message) for message in messages)

    def chat(self, messages, context):
        for message in messages:
            if message == b"enough":
                return
            yield b"<" + message + b">"


@pytest.fixture
def service(ports):
    made = Service()
    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[made],
                         options=[("grpc.max_receive_message_length", -1)])
    made.port = server.add_insecure_port(f"127.0.0.1:{ports.take()}")
    server.start()
    yield made
    server.stop(0).wait()


@pytest.fixture
def channel(weir, service):
    server = weir(SERVER, grpc=service.port)
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", options=[
            ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
            ("grpc.enable_http_proxy", 0)]) as made:
        yield made


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_one_message_there_and_one_back(channel, size):
    call = channel.unary_unary("/t/unary")
    answer, state = call.with_call(bytes(size), timeout=TIMEOUT, metadata=[("x-tell", "told")])
    assert answer == bytes(size) and state.code() == grpc.StatusCode.OK
    assert ("x-told", "told") in state.initial_metadata()
    assert ("x-last-bin", b"\0\1\2") in state.trailing_metadata()


def test_a_status_of_the_service_comes_through(channel):
    with pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary("/t/fails")("naïve".encode(), timeout=TIMEOUT)
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.NOT_FOUND, "naïve")


def test_a_method_that_is_not_there_is_unimplemented(channel):
    with pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary("/t/nothing")(b"", timeout=TIMEOUT)
    assert failed.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_many_messages_come_back_for_one(channel):
    answers = channel.unary_stream("/t/counts")(b"2000", timeout=TIMEOUT * 2)
    assert [int(answer) for answer in answers] == list(range(2000))


def test_one_message_comes_back_for_many(channel):
    assert channel.stream_unary("/t/sums")((b"%d" % number for number in range(2000)), timeout=TIMEOUT * 2) == b"1999000"


def test_messages_go_both_ways_one_after_the_other(channel):
    answered = threading.Semaphore(1)

    def ask():
        for number in range(50):
            assert answered.acquire(timeout=TIMEOUT)
            yield b"%d" % number

    answers = channel.stream_stream("/t/chat")(ask(), timeout=TIMEOUT * 2)
    for number in range(50):
        assert next(answers) == b"<%d>" % number
        answered.release()
    assert not list(answers) and answers.code() == grpc.StatusCode.OK


def test_a_service_may_have_enough_before_its_client_has(channel):
    over = threading.Event()

    def ask():
        yield b"1"
        yield b"enough"
        over.wait(TIMEOUT)

    answers = channel.stream_stream("/t/chat")(ask(), timeout=TIMEOUT)
    try:
        assert list(answers) == [b"<1>"] and answers.code() == grpc.StatusCode.OK
    finally:
        over.set()


def test_a_client_that_gives_up_is_heard_by_the_service(channel, service):
    call = channel.unary_unary("/t/waits").future(b"", timeout=TIMEOUT)
    assert service.waiting.wait(TIMEOUT)
    call.cancel()
    assert service.cancelled.wait(TIMEOUT)


def test_a_deadline_that_is_over_is_heard_by_the_service(channel, service):
    def is_over():
        """False: it was over before the service had heard of it."""
        with pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary("/t/waits")(b"", timeout=0.3)
        assert failed.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        return service.waiting.is_set()
    wait_until(is_over, "a call that the service takes up")
    assert service.cancelled.wait(TIMEOUT)


def test_a_service_that_is_down_is_unavailable(weir, ports):
    server = weir(SERVER + IDIOM, grpc=ports.take())
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        with pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary("/t/unary")(b"", timeout=TIMEOUT)
    assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
