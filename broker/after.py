"""
``python -m broker.after -m services.l2``: become that Python command once Kafka answers.

A client that starts before its broker writes an error every 100 ms; under the supervisor nobody should
read those at each start.
"""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from broker import readiness
from broker.terminal import own_name, say

_PATIENCE_S = 10.0  # between two reports of waiting


def access_of(environment: Mapping[str, str]) -> readiness.Access:
    """
    Return how the settings of the services say that Kafka is spoken to.

    Raises
    ------
    ValueError
        If their certificate or key cannot be used.
    """
    protocol = environment.get("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    certfile, keyfile = (environment.get(name) for name in ("KAFKA_SSL_CERTFILE", "KAFKA_SSL_KEYFILE"))
    try:
        return readiness.access(
            protocol, Path(certfile) if certfile else None, Path(keyfile) if keyfile else None
        )
    except OSError as error:
        raise ValueError(
            f"KAFKA_SSL_CERTFILE={certfile} and KAFKA_SSL_KEYFILE={keyfile} must be a certificate in PEM and "
            f"its key without a passphrase: {error}"
        ) from error


def wait_for(server: str, how: readiness.Access = readiness.IN_THE_CLEAR) -> None:
    """
    Return once the first of the bootstrap servers answers.

    Raises
    ------
    ValueError
        If it is not host:port.
    """
    host, _, port = server.partition(",")[0].rpartition(":")
    if not (host and port.isdecimal()):
        raise ValueError(f"KAFKA_BOOTSTRAP_SERVERS must be host:port[,host:port], not {server!r}")
    host = host.strip("[]")
    began = time.monotonic()
    while not _answers_within(host, int(port), _PATIENCE_S, how):
        say(own_name("run"), f"waiting for Kafka on {server} for {time.monotonic() - began:.0f} s")


def _answers_within(host: str, port: int, patience_s: float, how: readiness.Access) -> bool:
    deadline = time.monotonic() + patience_s
    return readiness.wait_until_answering(host, port, lambda: time.monotonic() > deadline, how=how)


if __name__ == "__main__":
    wait_for(os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:19092"), access_of(os.environ))
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])  # noqa: S606 - becoming the command is the purpose
