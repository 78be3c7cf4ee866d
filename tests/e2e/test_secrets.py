"""Every process with marked secrets, at work and failing: nothing that others can see has one of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self

import pytest

from broker.settings import JarSettings
from libs.common.settings import ServiceSettings
from tests.e2e.secret_marks import (
    HOOKS,
    MARKS,
    PASSWORD,
    PROPERTY,
    TOKEN,
    WEBHOOK,
    arguments,
    descendants,
    environments,
    files_with_secrets,
    found_in,
    get,
    metrics_of,
    open_to_others,
    own_environment,
    topics_with_secrets,
)
from tests.e2e.system import folder_of_policies, free_port
from tests.secure_kafka import LOGIN, make_certificates

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    pytest.mark.timeout(900),  # a whole system, beside other work
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by /proc"),
]
USER = "bookrunner"
SERVICES = (
    "l2",
    "venues",
    "portfolio",
    "router",
    "execution",
    "context",
    "policies",
    "gateway",
    "execution.autopilot",
)


def secrets_of(folder: Path) -> dict[str, str]:
    """Return the settings of a system whose Kafka asks for a password, over TLS."""
    make_certificates(folder)
    quoted = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    users = f'user_{USER}="{quoted}" user_other="{PROPERTY}"'
    return {
        "ALERT_WEBHOOK_URL": WEBHOOK,
        "GATEWAY_TOKEN": TOKEN,
        "GATEWAY_SIGNAL_WEBHOOK": "policyId=id symbol=ticker value=value ttlS=60 secret=key",
        "GATEWAY_WEBHOOK_SECRET": HOOKS,
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": USER,
        "KAFKA_SASL_PASSWORD": PASSWORD,
        "KAFKA_SSL_CAFILE": str(folder / "ca.pem"),
        "KAFKA_EXTRA_PROPERTIES": json.dumps(
            {
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(folder / "broker-chain.pem"),
                "listener.name.client.plain.sasl.jaas.config": (
                    f"{LOGIN}.plain.PlainLoginModule required {users};"
                ),
            }
        ),
    }


class Run:
    """`python -m libs.cli.run` with a folder and ports of its own, and commands beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "run"
        self.gateway = f"127.0.0.1:{free_port()}"
        self.kafka = f"127.0.0.1:{free_port()}"
        self.log = folder / "run.log"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.environment = own_environment() | {
            "RUN_DIR": str(self.folder),
            "GATEWAY_PORT": self.gateway.rpartition(":")[2],
            "KAFKA_PORT": self.kafka.rpartition(":")[2],
            "SIMULATOR_PORT": str(free_port()),
            "SIMULATOR_RATE": "150",
            "TOPIC_PARTITIONS": "2",
            "AUTOPILOT": "1",
            "LOG_LEVEL": "DEBUG",
            "TMPDIR": str(self.temporary),
            "POLICIES_DIR": folder_of_policies(folder),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "KAFKA_JARS_DIR": str(JarSettings().jars_dir),
            **secrets_of(folder),
        }

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "libs.cli.run"], env=self.environment, stdout=log, stderr=log
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)

    def type(self, *command: str, **changes: str) -> str:
        """Run a command with these changes of the environment, and return all that it says."""
        ended = subprocess.run(
            [sys.executable, "-m", *command],
            env=self.environment | changes,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return f"{ended.stdout}{ended.stderr}"

    def until(self, what: str, holds: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 240
        while not holds():
            told = self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, f"{what} did not come:\n{told}"
            assert self.process.poll() is None, told
            time.sleep(0.2)


async def test_a_running_system_shows_no_secret_to_anybody_who_does_not_need_it(tmp_path: Path) -> None:
    os.umask(0o022)  # the widest that is usual
    run = Run(tmp_path)
    with run:
        run.until("a ready system", lambda: "bookrunner is ready" in run.log.read_text())
        supervisor = run.process.pid
        run.until(
            "a policy that runs", lambda: b'"usable":true' in get(run.gateway, "api/signals?policyId=mine")
        )
        (l2,) = [pid for pid in descendants(supervisor) if b"services.l2" in arguments([pid])]
        os.kill(l2, signal.SIGKILL)
        run.until(
            "l2 again", lambda: run.log.read_text().count("spawned: 'l2'") or "l2 (" in run.log.read_text()
        )

        shown = run.log.read_text()
        body = json.dumps({"venue": "binance", "symbol": "BTC-USDT"})
        said = {
            "ask": run.type("libs.cli", "ask", "l2/subscriptions", body),
            "wrong token": run.type("libs.cli", "ask", "l2/subscriptions", body, GATEWAY_TOKEN=f"{TOKEN}0"),
            "topics": run.type("libs.cli", "topics"),
            "doctor": run.type("libs.cli", "doctor"),
            "alerts": run.type("libs.cli", "alerts", "test"),
            "wrong password": run.type("libs.cli", "topics", KAFKA_SASL_PASSWORD=f"{PASSWORD}0"),
            "l2 with a wrong password": run.type(
                "services.l2", KAFKA_BOOTSTRAP_SERVERS=run.kafka, KAFKA_SASL_PASSWORD=f"{PASSWORD}0"
            ),
            "second": run.type("libs.cli.run"),
        }
        assert "does not accept 'bookrunner' by PLAIN" in said["l2 with a wrong password"]
        assert "401" in said["wrong token"]
        assert "the webhook did not take it: cannot be reached" in said["alerts"]
        assert {name: found_in(text) for name, text in said.items() if found_in(text)} == {}

        pids = list(descendants(supervisor))
        assert found_in(arguments(pids)) == set()
        kafka = {"KAFKA_SASL_PASSWORD"}
        assert environments(pids) == {
            "libs.cli.supervision": set(MARKS),  # hands them on
            "broker": {"KAFKA_SASL_PASSWORD", "KAFKA_EXTRA_PROPERTIES"},
            "java": set(),
            "simulator": set(),
            **{f"services.{name}": kafka for name in SERVICES},
            "libs.policies.zygote": set(),  # and all policies, which it forks
            "services.gateway": set(MARKS) - {"KAFKA_EXTRA_PROPERTIES"},
        }

        paths = (
            "openapi.json",
            "asyncapi.json",
            "readyz",
            "docs",
            "healthz",
            "api/l2",
            "api/executions",
            "nowhere",
        )
        answers = [get(run.gateway, path) for path in paths]
        answers.append(get(run.gateway, "readyz", Authorization=f"Bearer {TOKEN}"))
        answers.append(metrics_of(run.folder / "metrics"))
        assert all(answers)
        assert found_in(b"".join(answers)) == set()

        settings = ServiceSettings(
            kafka_bootstrap_servers=run.kafka,
            kafka_security_protocol="SASL_SSL",
            kafka_sasl_mechanism="PLAIN",
            kafka_sasl_username=USER,
            kafka_sasl_password=PASSWORD,
            kafka_ssl_cafile=tmp_path / "ca.pem",
        )
        assert await topics_with_secrets(settings) == {}
        assert open_to_others(run.folder) == []
        assert files_with_secrets(run.folder) == {
            "kafka/server.properties": {"KAFKA_SASL_PASSWORD", "KAFKA_EXTRA_PROPERTIES"} & set(MARKS)
        }
        assert open_to_others(run.temporary) == [str(run.temporary)]  # nothing in it but what is closed
    assert found_in(shown) == set()
    assert found_in(run.log.read_text()) == set()
    assert files_with_secrets(run.temporary) == {}
    assert files_with_secrets(tmp_path / "cache") == {}


@pytest.mark.parametrize(
    ("module", "changes", "named"),
    [
        ("broker", {"KAFKA_EXTRA_PROPERTIES": json.dumps({"ssl.key.password": [PROPERTY]})}, "KAFKA_EXTRA"),
        ("broker", {"KAFKA_EXTRA_PROPERTIES": f'{{"ssl.key.password": "{PROPERTY}"'}, "KAFKA_EXTRA"),
        ("broker", {"KAFKA_EXTRA_PROPERTIES": json.dumps({"num.io.threads": PROPERTY})}, "server.log"),
        ("broker", {"KAFKA_SASL_USERNAME": "a b", "KAFKA_SASL_PASSWORD": PASSWORD}, "KAFKA_SASL_USERNAME"),
        ("libs.cli.run", {"GATEWAY_TOKEN": f"{TOKEN} {TOKEN}"}, "GATEWAY_TOKEN"),
        ("libs.cli.run", {"KAFKA_EXTRA_PROPERTIES": json.dumps([PROPERTY])}, "KAFKA_EXTRA_PROPERTIES"),
        (
            "libs.cli.run",
            {"MAKEFLAGS": f" -- GATEWAY_TOKEN={TOKEN}", "GATEWAY_TOKEN": TOKEN},
            "GATEWAY_TOKEN",
        ),
        ("libs.cli", {"KAFKA_SASL_PASSWORD": PASSWORD}, "KAFKA_SASL_PASSWORD"),
        ("services.gateway", {"GATEWAY_TOKEN": f"{TOKEN} {TOKEN}"}, "GATEWAY_TOKEN"),
        ("services.gateway", {"ALERT_WEBHOOK_URL": f"{WEBHOOK} {WEBHOOK}"}, "ALERT_WEBHOOK_URL"),
        ("services.gateway.alerts.trial", {"ALERT_WEBHOOK_URL": f"ftp{WEBHOOK}"}, "ALERT_WEBHOOK_URL"),
        ("services.execution", {"KAFKA_SASL_PASSWORD": PASSWORD}, "KAFKA_SASL_PASSWORD"),
        ("services.execution.autopilot", {"KAFKA_SASL_PASSWORD": PASSWORD}, "KAFKA_SASL_PASSWORD"),
        ("services.l2", {"KAFKA_BOOTSTRAP_SERVERS": f"me:{PASSWORD}@kafka:1"}, "KAFKA_BOOTSTRAP_SERVERS"),
        ("services.context", {"KAFKA_SASL_PASSWORD": PASSWORD}, "KAFKA_SASL_PASSWORD"),
        ("services.context", {"CONTEXT_HOSTS": f"okx={PASSWORD}"}, "CONTEXT_HOSTS"),
        ("services.policies", {"KAFKA_SASL_PASSWORD": PASSWORD}, "KAFKA_SASL_PASSWORD"),
        ("services.portfolio", {"KAFKA_SASL_PASSWORD": PASSWORD}, "KAFKA_SASL_PASSWORD"),
        ("services.router", {"KAFKA_SASL_PASSWORD": PASSWORD}, "KAFKA_SASL_PASSWORD"),
        ("services.venues", {"KAFKA_SASL_PASSWORD": PASSWORD}, "KAFKA_SASL_PASSWORD"),
        ("simulator", {"SIMULATOR_SYMBOLS": f"BTC-USDT,{PROPERTY}"}, "SIMULATOR_SYMBOLS"),
    ],
)
def test_a_process_that_cannot_start_names_the_setting_and_not_its_value(
    module: str, changes: dict[str, str], named: str, tmp_path: Path
) -> None:
    ports = {name: str(free_port()) for name in ("GATEWAY_PORT", "KAFKA_PORT", "SIMULATOR_PORT")}
    own = {"RUN_DIR": str(tmp_path / "run"), "KAFKA_JARS_DIR": str(JarSettings().jars_dir), **ports}
    ended = subprocess.run(
        [sys.executable, "-m", module, *(["topics"] if module == "libs.cli" else [])],
        env=own_environment() | own | changes,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode != 0
    shown = ended.stdout + ended.stderr
    assert named.encode() in shown
    assert found_in(shown) == set()
    kept = files_with_secrets(tmp_path)
    assert set(kept) <= {"run/kafka/server.properties"}
