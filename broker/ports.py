"""Ports of this machine: is one free, and which are."""

import errno
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
        raise refusal(error, host, port, setting) from error


def refusal(error: OSError, host: str, port: int, setting: str) -> MisconfiguredError:
    """Return what an error of bind(2), or of looking the host up, means for who chose the port."""
    if error.errno == errno.EADDRINUSE:
        return PortTakenError(host, port, setting)
    if error.errno in {errno.EACCES, errno.EPERM}:
        return MisconfiguredError(
            f"port {port} is not permitted to this user: set {setting} to one from 1024 on, as {port + 8000}"
        )
    reason = str(error.strerror).partition(" (while attempting")[0]  # Python adds the address
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
