import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from broker.readiness import answers, lists_a_broker, metadata_request


def an_answer(*, correlation_id: int = 7, brokers: int = 1) -> bytes:
    return struct.pack(">iii", correlation_id, 0, brokers)


@contextmanager
def a_server_that_sends(reply: bytes) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_the_request_states_its_own_length() -> None:
    request = metadata_request()
    assert struct.unpack(">ihh", request[:8]) == (len(request) - 4, 3, 4)


def test_a_broker_that_lists_itself_is_ready() -> None:
    reply = an_answer()
    with a_server_that_sends(struct.pack(">i", len(reply)) + reply) as port:
        assert answers("127.0.0.1", port)


def test_a_broker_that_is_still_fenced_is_not_ready() -> None:
    reply = an_answer(brokers=0)
    with a_server_that_sends(struct.pack(">i", len(reply)) + reply) as port:
        assert not answers("127.0.0.1", port)


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\x00\x00\x00\x0c\x00", b"\xff" * 64]
)
def test_another_program_on_the_port_is_not_kafka(reply: bytes) -> None:
    with a_server_that_sends(reply) as port:
        assert not answers("127.0.0.1", port)


def test_a_closed_port_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not answers("127.0.0.1", port)


def test_the_answer_to_another_request_is_refused() -> None:
    with pytest.raises(ValueError, match="not the answer"):
        lists_a_broker(an_answer(correlation_id=8))
