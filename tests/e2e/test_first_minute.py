"""The first minute: at "bookrunner is ready" the ten proof commands hold; a death is named, and heals."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.proof import CONTEXT, ORDER, PORTFOLIO, ask, failures
from tests.e2e.test_make_run import Run, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(600)

NAMED_S = 6.0  # within which a death must be told
COMMANDS = {
    "router": ("/api/router/choose", {"context": CONTEXT}),
    "venues": ("/api/venues/score", ORDER),
    "portfolio": ("/api/portfolio/optimize", PORTFOLIO),
    "execution": ("/api/exec/simulate", ORDER),
    "l2": ("/api/l2/subscriptions", {"venue": "kraken", "symbol": "BTCUSD"}),
}
OPTIONAL = ("policies", "context")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with Run(tmp_path_factory.mktemp("first-minute") / "run") as started:
        yield started


def gateway_of(run: Run) -> str:
    return f"127.0.0.1:{run.port}"


def is_well(gateway: str) -> bool:
    """Whether nothing is missing, and no book is away."""
    status, answer = ask(gateway, "/readyz")
    return status == 200 and answer["status"] == "ready"


def test_the_ten_commands_hold_at_once_on_the_first_start(run: Run) -> None:
    wait_for("the line", run.ready, 240)
    assert failures(gateway_of(run)) == []
    status, ready = ask(gateway_of(run), "/readyz")
    assert (status, ready["status"], ready["degraded"]) == (200, "ready", [])
    assert {each["service"] for each in ready["services"]} >= COMMANDS.keys() | {
        *OPTIONAL,
        "gateway",
    }


@pytest.mark.parametrize("service", COMMANDS)
def test_a_killed_service_is_named_refuses_at_once_and_is_back_by_itself(run: Run, service: str) -> None:
    gateway = gateway_of(run)
    wait_for("all is well", lambda: is_well(gateway))
    (pid,) = run.processes(f"services.{service}")
    os.kill(pid, signal.SIGKILL)
    killed_s = time.monotonic()

    def named() -> Any:
        status, answer = ask(gateway, "/readyz")
        return status == 503 and any(said.startswith(f"{service} ") for said in answer["missing"])

    wait_for(f"{service} is named", named, NAMED_S)
    asked_s = time.monotonic()
    status, problem = ask(gateway, *COMMANDS[service])
    if status in {200, 201}:  # it was back between the two requests
        ask(gateway, "/api/l2/subscriptions/kraken/BTCUSD", method="DELETE")
    else:
        assert status == 503, problem
        assert problem["detail"].startswith(f"Not sent: {service} ")
        assert time.monotonic() - asked_s < 1.0
    wait_for("it is back", lambda: is_well(gateway))
    assert failures(gateway) == []
    assert time.monotonic() - killed_s < 120


@pytest.mark.parametrize("service", OPTIONAL)
def test_a_killed_service_that_no_answer_needs_is_back_by_itself(run: Run, service: str) -> None:
    gateway = gateway_of(run)
    wait_for("all is well", lambda: is_well(gateway))
    (pid,) = run.processes(f"services.{service}")
    killed_ms = time.time() * 1e3
    os.kill(pid, signal.SIGKILL)
    assert failures(gateway) == []

    def back() -> bool:
        _, ready = ask(gateway, "/readyz")
        own = [each for each in ready["services"] if each["service"] == service]
        return [each["state"] for each in own if each["sinceTs"] > killed_ms] == ["ready"]

    wait_for("it is back", back)
    wait_for("all is well", lambda: is_well(gateway))


def test_a_lost_broker_is_named_and_all_is_back_by_itself(run: Run) -> None:
    gateway = gateway_of(run)
    wait_for("all is well", lambda: is_well(gateway))
    for pid in run.processes("kafka.Kafka"):
        os.kill(pid, signal.SIGKILL)

    def named() -> Any:
        status, answer = ask(gateway, "/readyz")
        return status == 503 and any(said.startswith("Kafka at ") for said in answer["missing"])

    wait_for("Kafka is named", named, NAMED_S)
    wait_for("it is back", lambda: is_well(gateway))
    assert failures(gateway) == []


def test_the_ten_commands_hold_at_once_on_the_second_start(run: Run) -> None:
    run.interrupt()
    run.log.write_text("")
    with run:
        wait_for("the line", run.ready, 240)
        assert failures(gateway_of(run)) == []
        run.interrupt()
        assert run.processes() == []
