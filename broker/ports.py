"""Ports of this machine: is one free, and which are."""

import errno
import socket

from broker.errors import PortTakenError


def check_free(host: str, port: int, setting: str) -> None:
    """
    Make sure that `port` can be bound; 0 always can.

    Raises
    ------
    PortTakenError
        If it cannot; the message names `setting`.
    OSError
        If `host` is not an address of this machine.
    """
    try:
        socket.create_server((host, port), family=_family(host)).close()
    except OSError as error:
        if error.errno in {errno.EADDRINUSE, errno.EACCES}:
            raise PortTakenError(host, port, setting) from error
        raise OSError(f"KAFKA_HOST={host} is no address of this machine ({error.strerror})") from error


def draw(host: str, count: int) -> list[int]:
    """Return different free ports."""
    servers = [socket.create_server((host, 0), family=_family(host)) for _ in range(count)]
    ports = [int(server.getsockname()[1]) for server in servers]
    for server in servers:
        server.close()
    return ports


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
