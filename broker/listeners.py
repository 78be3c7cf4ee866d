"""Where the native broker listens, and who can speak there without saying who it is; pure.

References
----------
https://kafka.apache.org/43/configuration/broker-configs/ (listeners, listener.security.protocol.map,
ssl.client.auth)
"""

from collections.abc import Mapping
from typing import NamedTuple

from libs.common.loopback import is_loopback

SASL = frozenset({"SASL_PLAINTEXT", "SASL_SSL"})
TLS = frozenset({"SSL", "SASL_SSL"})
LOOPBACK = "127.0.0.1"


class Listener(NamedTuple):
    """One of ``listeners``."""

    host: str
    asks_who: bool  # a password, or a certificate
    encrypts: bool


def listeners_of(properties: Mapping[str, str]) -> list[Listener]:
    """Return what these ``server.properties`` make the broker listen on."""
    pairs = (pair.partition(":") for pair in properties["listener.security.protocol.map"].split(","))
    protocols = {name.strip().upper(): protocol.strip().upper() for name, _, protocol in pairs}
    found = []
    for listener in properties["listeners"].split(","):
        name, _, address = listener.strip().partition("://")
        protocol = protocols.get(name.upper(), name.upper())
        client = properties.get(
            f"listener.name.{name.lower()}.ssl.client.auth", properties.get("ssl.client.auth")
        )
        found.append(
            Listener(
                host=address.rpartition(":")[0],
                asks_who=protocol in SASL or (protocol in TLS and client == "required"),
                encrypts=protocol in TLS,
            )
        )
    return found


def fault_of(listeners: list[Listener], *, private_network: bool) -> str | None:
    """Return what is wrong with listening so, and what would be right; None if nothing is.

    Parameters
    ----------
    private_network
        Whether whoever can reach this machine at all may be heard in the clear.
    """
    unasked = sum(not listener.asks_who for listener in listeners)
    if 0 < unasked < len(listeners):
        return (
            f"KAFKA_EXTRA_PROPERTIES: {unasked} of {len(listeners)} listeners (one is the controller's) let "
            "in whoever comes, and the others ask for a password or certificate: set KAFKA_SECURITY_PROTOCOL "
            "and no `listeners`, then all ask; or make each SASL, or SSL with ssl.client.auth=required"
        )
    beyond = [each for each in listeners if not is_loopback(each.host)]
    if not private_network and not all(each.asks_who and each.encrypts for each in beyond):
        return (
            "KAFKA_HOST: beyond loopback the broker listens with TLS only, and lets in only who says who it "
            "is: set KAFKA_SECURITY_PROTOCOL=SASL_SSL, KAFKA_SASL_MECHANISM=PLAIN, KAFKA_SASL_USERNAME, "
            "KAFKA_SASL_PASSWORD, and a certificate in KAFKA_EXTRA_PROPERTIES (docs/security.md), or "
            "KAFKA_HOST=127.0.0.1; PRIVATE_NETWORK=true permits it in the clear where nobody else gets in"
        )
    return None
