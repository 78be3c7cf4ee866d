"""Which addresses only this machine can reach; pure, standard library only."""

from __future__ import annotations

from ipaddress import ip_address

TLS_ADVICE = (
    "what is sent can be read on the way, so let others in through a proxy that speaks TLS and listen on "
    "127.0.0.1 behind it"
)


def is_loopback(host: str) -> bool:
    """Tell whether a host to listen on is this machine's own; a name other than localhost may be anything."""
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def exposed(variable: str, what: str, remedy: str = "") -> str:
    """Return the sentence that refuses to listen on what `variable` says.

    Parameters
    ----------
    what
        What anybody who reaches it could do.
    remedy
        What else would be right, beside loopback and PRIVATE_NETWORK.
    """
    return (
        f"{variable} is an address that other machines can reach, where anybody could {what}: "
        f"set it to 127.0.0.1{remedy}, or set PRIVATE_NETWORK=true if it is an address of a network that "
        f"only these processes share, as in docker-compose.yml; {TLS_ADVICE}"
    )
