from __future__ import annotations

import ast
import asyncio
import contextlib
import ssl
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from libs.common.kafka_security import TlsFileError, client_arguments, stop_consumer
from libs.common.settings import ServiceSettings
from tests.secure_kafka import make_certificates

ROOT = Path(__file__).parents[4]
SASL = {"kafka_sasl_mechanism": "SCRAM-SHA-256", "kafka_sasl_username": "me", "kafka_sasl_password": "secret"}


def arguments_of(**settings: Any) -> dict[str, Any]:
    return client_arguments(ServiceSettings(**settings))


def test_in_the_clear_no_client_gets_anything_but_the_address() -> None:
    assert arguments_of(kafka_bootstrap_servers="k:1") == {
        "bootstrap_servers": "k:1",
        "security_protocol": "PLAINTEXT",
        "ssl_context": None,
    }


def test_a_user_is_told_without_tls_only_if_that_was_asked_for() -> None:
    found = arguments_of(kafka_security_protocol="SASL_PLAINTEXT", **SASL)
    assert found.pop("bootstrap_servers")
    assert found == {
        "security_protocol": "SASL_PLAINTEXT",
        "ssl_context": None,
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "me",
        "sasl_plain_password": "secret",
    }


def test_tls_checks_the_certificate_and_the_name_in_it_and_takes_no_old_version(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    files = {
        "kafka_ssl_cafile": tmp_path / "ca.pem",
        "kafka_ssl_certfile": tmp_path / "client.pem",
        "kafka_ssl_keyfile": tmp_path / "client.key",
    }
    context = arguments_of(kafka_security_protocol="SASL_SSL", **SASL, **files)["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    (trusted,) = context.get_ca_certs()
    assert trusted["subject"] == ((("commonName", "ca"),),)


def test_files_that_are_no_certificate_or_key_are_refused_by_name(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("rubbish")
    with pytest.raises(TlsFileError, match=r"KAFKA_SSL_CAFILE=.*must hold certificates in PEM"):
        arguments_of(kafka_security_protocol="SSL", kafka_ssl_cafile=rubbish)
    certificate = {
        "kafka_ssl_certfile": tmp_path / "client.pem",
        "kafka_ssl_keyfile": tmp_path / "broker.key",
    }
    with pytest.raises(TlsFileError, match=r"KAFKA_SSL_KEYFILE=.*must be a certificate in PEM and its key"):
        arguments_of(kafka_security_protocol="SSL", **certificate)


def test_a_key_with_a_passphrase_is_refused_and_not_asked_for_on_the_terminal(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    subprocess.run(
        ["openssl", "ec", "-aes128", "-passout", "pass:x", "-in", "client.key", "-out", "locked.key"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    files = {"kafka_ssl_certfile": tmp_path / "client.pem", "kafka_ssl_keyfile": tmp_path / "locked.key"}
    with pytest.raises(TlsFileError, match="without a passphrase"):
        arguments_of(kafka_security_protocol="SSL", **files)


def test_every_client_of_kafka_is_made_from_these_arguments() -> None:
    clients, others = 0, []
    for folder in ("libs", "services"):
        for path in (ROOT / folder).rglob("*.py"):
            for call in (
                node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
            ):
                name = call.func.id if isinstance(call.func, ast.Name) else ""
                if name in {"AIOKafkaProducer", "AIOKafkaConsumer", "AIOKafkaAdminClient", "AIOKafkaClient"}:
                    clients += 1
                    spread = [ast.unparse(word.value) for word in call.keywords if word.arg is None]
                    if not any(text.startswith("client_arguments(") for text in spread):
                        others.append(f"{path.relative_to(ROOT)}:{call.lineno}")
                elif "Kafka" in name and any(word.arg == "bootstrap_servers" for word in call.keywords):
                    others.append(f"{path.relative_to(ROOT)}:{call.lineno}")
    assert others == []
    assert clients >= 10


async def test_a_cancellation_that_comes_while_a_consumer_is_stopped_is_not_lost() -> None:
    stopping = asyncio.Event()

    class Swallowing:
        _client = SimpleNamespace(_conns={})

        async def stop(self) -> None:
            stopping.set()
            with contextlib.suppress(asyncio.CancelledError):  # as aiokafka's client does while it closes
                await asyncio.Event().wait()

    async def read_and_go_on() -> None:
        consumer: Any = Swallowing()
        await stop_consumer(consumer)
        pytest.fail("it went on, and nobody cancels it again")

    task = asyncio.create_task(read_and_go_on())
    await stopping.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
