from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from broker.secret_variables import SECRETS, environment_of
from libs.cli.preflight import SETTINGS
from libs.cli.run import secrets_in

COMPOSE = Path(__file__).parents[3] / "docker-compose.yml"


def programs() -> dict[str, set[str]]:
    """Return the secrets that the settings of each program have, by its name in supervisord.conf."""
    found = {}
    for module, name in SETTINGS.items():
        kind = getattr(import_module(module), name)
        program = {"broker": "kafka"}.get(module.split(".")[0], module.split(".")[-2])
        program = "autopilot" if name == "AutopilotSettings" else program
        found[program] = {
            kind.variable(field)
            for field, info in kind.model_fields.items()
            if "SecretStr" in repr(info.annotation)
        }
    return found


def test_a_program_gets_the_secrets_that_it_has_a_setting_for_and_no_other() -> None:
    given = dict.fromkeys(SECRETS, "x") | {"KAFKA_PORT": "1"}
    needs = programs()
    assert needs["gateway"] == {
        *("ALERT_WEBHOOK_URL", "GATEWAY_TOKEN", "GATEWAY_WEBHOOK_SECRET", "KAFKA_SASL_PASSWORD")
    }
    assert set().union(*needs.values()) == set(SECRETS)
    for program, secrets in {**needs, "java": set(), "ready": set()}.items():
        assert set(environment_of(program, given)) == {"KAFKA_PORT", *secrets}, program


def test_a_secret_among_the_arguments_of_make_is_found() -> None:
    assert secrets_in(" -- KAFKA_PORT=1 GATEWAY_TOKEN=abc") == "GATEWAY_TOKEN"
    assert secrets_in("KAFKA_SASL_PASSWORD=x") == "KAFKA_SASL_PASSWORD"
    assert secrets_in(" -- GATEWAY_TOKEN=auto KAFKA_PORT=1") is None
    assert secrets_in("") is None


def test_of_the_containers_only_the_gateway_gets_the_token() -> None:
    services = re.split(r"^  (?=[a-z0-9-]+:$)", COMPOSE.read_text(), flags=re.MULTILINE)
    holding = [text.partition(":")[0] for text in services if any(name in text for name in SECRETS)]
    assert holding == ["gateway"]
