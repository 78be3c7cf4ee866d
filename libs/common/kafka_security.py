"""How this system speaks to Kafka: one set of arguments for every client, and why Kafka turns it away.

To aiokafka a wrong password and a certificate that nobody vouches for look like a broker that is away, which
is worth waiting for. `refusal` asks once more, on a connection of its own, and says which it is.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from libs.common.kafka_connection import mend_connections
from libs.common.kafka_records import mend_records
from libs.common.settings import SASL, TLS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from aiokafka import AIOKafkaConsumer

    from libs.common.settings import ServiceSettings

ASK_TIMEOUT_MS: Final = 5_000
GOODBYE_S: Final = 0.5


class KafkaAccessError(KafkaError):  # type: ignore[misc]  # aiokafka.errors carries no types
    """Kafka is there and turns us away, or is not whom we trust; waiting mends neither."""

    def __str__(self) -> str:
        """Return the reason alone; it is a whole sentence."""
        return str(self.args[0])


class TlsFileError(Exception):
    """A file of the TLS settings is not what its name says."""


def client_arguments(settings: ServiceSettings) -> dict[str, Any]:
    """Return where Kafka is and how it is spoken to, as every client of aiokafka takes it.

    From then on, what aiokafka lacks is mended, in all of this process: its connections (`kafka_connection`)
    and how it reads records (`kafka_records`).

    Raises
    ------
    TlsFileError
        If a certificate or key cannot be used.
    """
    mend_connections()
    mend_records()
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": settings.kafka_security_protocol,
        "ssl_context": tls(settings),
    }
    if settings.kafka_security_protocol in SASL:
        assert settings.kafka_sasl_password is not None  # noqa: S101 -- the settings have looked
        arguments |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": settings.kafka_sasl_password.get_secret_value(),
        }
    return arguments


def tls(settings: ServiceSettings) -> ssl.SSLContext | None:
    """Return whom we trust and who we are, None where Kafka is spoken to in the clear.

    Raises
    ------
    TlsFileError
        If a certificate or key cannot be used.
    """
    if settings.kafka_security_protocol not in TLS:
        return None
    return _context(settings.kafka_ssl_cafile, settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile)


@lru_cache(maxsize=8)  # tens of ms each, and the gateway asks every second whether Kafka is there
def _context(cafile: Path | None, certfile: Path | None, keyfile: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=cafile)  # checks the certificate and the host's name
    except (ssl.SSLError, OSError) as error:
        raise TlsFileError(f"KAFKA_SSL_CAFILE={cafile} must hold certificates in PEM: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certfile is not None:
        try:
            context.load_cert_chain(
                certfile, keyfile, password=""
            )  # a passphrase would be asked for on the terminal
        except (ssl.SSLError, OSError) as error:
            raise TlsFileError(
                f"KAFKA_SSL_CERTFILE={certfile} and KAFKA_SSL_KEYFILE={keyfile} must be a certificate in PEM "
                f"and its key without a passphrase: {error}"
            ) from error
    return context


async def refusal(settings: ServiceSettings) -> KafkaAccessError | None:
    """Return why Kafka turns us away, None if it does not or is not there."""
    arguments = client_arguments(settings)
    servers = arguments.pop("bootstrap_servers")
    for host, port, _ in collect_hosts(servers, randomize=False):
        try:
            connection = await create_conn(host, port, request_timeout_ms=ASK_TIMEOUT_MS, **arguments)
        except (KafkaError, OSError, TimeoutError) as error:
            because = _because(settings, error)
            if because is not None:
                return KafkaAccessError(f"Kafka at {host}:{port} {because}")
        else:
            await connection.close()
            return None
    return None


def _because(settings: ServiceSettings, error: BaseException) -> str | None:
    who = f"{settings.kafka_sasl_username!r} by {settings.kafka_sasl_mechanism}"
    protocol = settings.kafka_security_protocol
    match error:
        case SaslAuthenticationFailed():
            return (
                f"does not accept {who}: set KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and "
                "KAFKA_SASL_MECHANISM to what it knows"
            )
        case UnsupportedSaslMechanismError():
            return f"does not know KAFKA_SASL_MECHANISM={settings.kafka_sasl_mechanism}: take one it offers"
        case IllegalSaslStateError():
            return (
                f"asks for no password there: set KAFKA_SECURITY_PROTOCOL to its listener's, not {protocol}"
            )
        case ssl.SSLCertVerificationError():
            return (
                f"shows a certificate that is not trusted ({error.verify_message}): set KAFKA_SSL_CAFILE to "
                "the certificate of who issued it, and use the host's name that stands in it"
            )
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return None  # it went away, as a broker does that starts or stops
        case ssl.SSLError():
            return (
                f"ended the TLS handshake ({error.reason}): where it asks for a certificate of its clients, "
                "set KAFKA_SSL_CERTFILE and KAFKA_SSL_KEYFILE; else see that it speaks TLS on this port"
            )
        case _:
            return None if error.__cause__ is None else _because(settings, error.__cause__)


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer; over TLS, end its connections after `GOODBYE_S` at the latest.

    A broker that still holds a fetch does not answer the goodbye of TLS, and Python waits 30 s for it.
    """
    found = consumer._client._conns.values()  # noqa: SLF001 -- aiokafka offers no other way to them
    connections = [connection._writer for connection in found]  # noqa: SLF001 -- as above
    encrypted = [each.transport for each in connections if each and each.get_extra_info("ssl_object")]
    hang_up = asyncio.get_running_loop().call_later(GOODBYE_S, _abort, encrypted)
    try:
        try:
            await asyncio.sleep(0)  # a consumer is not stopped cleanly before its tasks have had a turn
        finally:
            await consumer.stop()
    finally:
        hang_up.cancel()
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError  # one that came meanwhile: aiokafka swallows it (`AIOKafkaClient.close`)


def _abort(transports: Iterable[asyncio.WriteTransport]) -> None:
    for transport in transports:
        transport.abort()
