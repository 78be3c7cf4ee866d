"""
Whether a Kafka broker answers: one Metadata round trip on a plain socket.

An open port is not enough: Kafka accepts connections before it serves, and another program may own
the port. The answer counts once the broker lists itself, that is, once its controller has unfenced it.

References
----------
https://kafka.apache.org/43/design/protocol/ (Metadata request and response, version 4)
"""

import socket
import struct
import time
from collections.abc import Callable

_METADATA = 3
_VERSION = 4  # the oldest that lists the cluster id and needs no tagged fields
_CORRELATION_ID = 7
_CLIENT_ID = b"readiness"
_LARGEST_ANSWER = 1 << 20  # bytes


def metadata_request() -> bytes:
    """Frame a request for the brokers and no topics."""
    header = struct.pack(
        f">hhih{len(_CLIENT_ID)}s", _METADATA, _VERSION, _CORRELATION_ID, len(_CLIENT_ID), _CLIENT_ID
    )
    body = struct.pack(">i?", 0, False)  # no topics; do not create any  # noqa: FBT003 - a wire field
    return struct.pack(">i", len(header) + len(body)) + header + body


def lists_a_broker(answer: bytes) -> bool:
    """
    Tell whether an unframed Metadata answer names at least one broker.

    Raises
    ------
    ValueError
        If it is not the answer to `metadata_request`.
    """
    if len(answer) < struct.calcsize(">iii"):
        raise ValueError("too short for a Metadata answer")
    correlation_id, _throttle_ms, brokers = struct.unpack_from(">iii", answer)
    if correlation_id != _CORRELATION_ID:
        raise ValueError("not the answer to the request")
    return bool(brokers > 0)


def answers(host: str, port: int, timeout_s: float = 2.0) -> bool:
    """Do one round trip; false when nobody answers, or not as a ready Kafka does."""
    try:
        with socket.create_connection((host, port), timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(metadata_request())
            (size,) = struct.unpack(">i", _exactly(connection, 4))
            if not 0 < size <= _LARGEST_ANSWER:
                return False
            return lists_a_broker(_exactly(connection, size))
    except (OSError, ValueError):
        return False


def wait_until_answering(host: str, port: int, give_up: Callable[[], bool], interval_s: float = 0.05) -> bool:
    """Ask again and again until the broker answers (true) or `give_up` says so (false)."""
    while not answers(host, port):
        if give_up():
            return False
        time.sleep(interval_s)
    return True


def _exactly(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        chunk = connection.recv(size - len(received))
        if not chunk:
            raise OSError("the connection ended early")
        received += chunk
    return received
