"""Which variables of the environment are secret, and which programs of a running system need them."""

from collections.abc import Mapping

_SPEAK_TO_KAFKA = frozenset(
    {
        *("kafka", "l2", "venues", "portfolio", "router", "execution", "context", "policies", "gateway"),
        "autopilot",
    }
)
SECRETS: Mapping[str, frozenset[str]] = {
    "ALERT_WEBHOOK_URL": frozenset({"gateway"}),
    "GATEWAY_TOKEN": frozenset({"gateway"}),
    "GATEWAY_WEBHOOK_SECRET": frozenset({"gateway"}),
    "KAFKA_SASL_PASSWORD": _SPEAK_TO_KAFKA,
    "KAFKA_EXTRA_PROPERTIES": frozenset({"kafka"}),
}


def environment_of(program: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the secrets that this program does not need."""
    return {
        name: value
        for name, value in environment.items()
        if program in SECRETS.get(name.upper(), frozenset({program}))
    }
