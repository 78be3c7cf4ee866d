"""Ports of this machine: is one free, and which are."""

import errno
import os
import socket

from broker.errors import MisconfiguredError, PortTakenError


def check_free(host: str, port: int, setting: str) -> None:
    """
    Make sure that `port` can be bound; 0 always can.

    Raises
    ------
    MisconfiguredError
        If it cannot; the message names `setting`.
    """
    try:
        socket.create_server((host, port), family=_family(host)).close()
    except OSError as error:
        raise refusal(error.errno or 0, host, port, setting) from error


def refusal(code: int, host: str, port: int, setting: str) -> MisconfiguredError:
    """Return what an errno of bind(2), or a code of getaddrinfo(3), means for who chose the port."""
    if code == errno.EADDRINUSE:
        return PortTakenError(host, port, setting)
    if code in {errno.EACCES, errno.EPERM}:
        return MisconfiguredError(
            f"port {port} is not permitted to this user: set {setting} to one from 1024 on, as {port + 8000}"
        )
    reason = os.strerror(code) if code >= 0 else "nobody knows that name"  # getaddrinfo's are negative
    return MisconfiguredError(
        f"{setting.replace('PORT', 'HOST')}={host} is no address of this machine ({reason})"
    )


def draw(host: str, count: int) -> list[int]:
    """Return different free ports."""
    servers = [socket.create_server((host, 0), family=_family(host)) for _ in range(count)]
    ports = [int(server.getsockname()[1]) for server in servers]
    for server in servers:
        server.close()
    return ports


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
