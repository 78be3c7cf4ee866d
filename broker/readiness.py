"""
Whether a Kafka broker answers: one round trip on a socket.

An open port is not enough: Kafka accepts connections before it serves, and another program may own
the port. The answer to Metadata counts once the broker lists itself, that is, once its controller has
unfenced it. Before a password Kafka answers ApiVersions only, so there that has to do.

References
----------
https://kafka.apache.org/43/design/protocol/ (Metadata, version 4; ApiVersions, version 0)
"""

import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

_API_VERSIONS = 18
_METADATA = 3
_VERSION = 4  # the oldest that lists the cluster id and needs no tagged fields
_CORRELATION_ID = 7
_CLIENT_ID = b"readiness"
_LARGEST_ANSWER = 1 << 20  # bytes


class Access(NamedTuple):
    """How a broker is asked: through TLS or not, and whether it wants a password before it says more."""

    tls: ssl.SSLContext | None = None
    sasl: bool = False


IN_THE_CLEAR = Access()


def access(protocol: str, certfile: Path | None = None, keyfile: Path | None = None) -> Access:
    """
    Return how a broker with this ``security.protocol`` is asked.

    Raises
    ------
    OSError
        If certificate and key, shown to a broker that asks for them, cannot be used.
    """
    tls = None
    if protocol in {"SSL", "SASL_SSL"}:
        # Who answers is left to the clients to check, for they can say what is wrong; no secret is sent here.
        tls = ssl.create_default_context()
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
        if certfile is not None:
            tls.load_cert_chain(certfile, keyfile, password="")
    return Access(tls, sasl=protocol.startswith("SASL_"))


def metadata_request() -> bytes:
    """Frame a request for the brokers and no topics."""
    body = struct.pack(">i?", 0, False)  # no topics; do not create any  # noqa: FBT003 - a wire field
    return _framed(_METADATA, _VERSION, body)


def versions_request() -> bytes:
    """Frame a request for the versions of the protocol."""
    return _framed(_API_VERSIONS, 0, b"")


def _framed(api: int, version: int, body: bytes) -> bytes:
    header = struct.pack(
        f">hhih{len(_CLIENT_ID)}s", api, version, _CORRELATION_ID, len(_CLIENT_ID), _CLIENT_ID
    )
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


def tells_versions(answer: bytes) -> bool:
    """
    Tell whether an unframed ApiVersions answer is a good one.

    Raises
    ------
    ValueError
        If it is not the answer to `versions_request`.
    """
    if len(answer) < struct.calcsize(">ihi"):
        raise ValueError("too short for an ApiVersions answer")
    correlation_id, error, versions = struct.unpack_from(">ihi", answer)
    if correlation_id != _CORRELATION_ID:
        raise ValueError("not the answer to the request")
    return bool(error == 0 and versions > 0)


def answers(host: str, port: int, timeout_s: float = 2.0, how: Access = IN_THE_CLEAR) -> bool:
    """Do one round trip; false when nobody answers, or not as a ready Kafka does."""
    request, is_good = (
        (versions_request(), tells_versions) if how.sasl else (metadata_request(), lists_a_broker)
    )
    try:
        with ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection((host, port), timeout_s))
            connection.settimeout(timeout_s)
            if how.tls is not None:
                connection = stack.enter_context(how.tls.wrap_socket(connection, server_hostname=host))
            connection.sendall(request)
            (size,) = struct.unpack(">i", _exactly(connection, 4))
            if not 0 < size <= _LARGEST_ANSWER:
                return False
            return is_good(_exactly(connection, size))
    except (OSError, ValueError):
        return False


def wait_until_answering(
    host: str,
    port: int,
    give_up: Callable[[], bool],
    interval_s: float = 0.05,
    how: Access = IN_THE_CLEAR,
) -> bool:
    """Ask again and again until the broker answers (true) or `give_up` says so (false)."""
    while not answers(host, port, how=how):
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
