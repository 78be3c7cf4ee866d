import socket
import struct
import threading

import pytest

from broker.after import wait_for


def test_it_returns_only_when_kafka_answers() -> None:
    answers = [
        b"",
        struct.pack(">iiii", 12, 7, 0, 0),
        struct.pack(">iiii", 12, 7, 0, 1),
    ]  # gone, fenced, ready
    with socket.create_server(("127.0.0.1", 0)) as server:
        waiter = threading.Thread(target=wait_for, args=(f"127.0.0.1:{server.getsockname()[1]},other:1",))
        waiter.start()
        for answer in answers:
            connection, _ = server.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(answer)
        waiter.join(30)
    assert not waiter.is_alive()


@pytest.mark.parametrize("server", ["", "localhost", ":9092", "localhost:kafka"])
def test_what_is_no_address_is_refused(server: str) -> None:
    with pytest.raises(ValueError, match="must be host:port"):
        wait_for(server)
