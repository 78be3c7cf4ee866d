from __future__ import annotations

from typing import TYPE_CHECKING

from libs.common.settings import ServiceSettings
from services.gateway.settings import GatewaySettings

if TYPE_CHECKING:
    import pytest

# What operators have written into their environments.
VARIABLES = """
    GATEWAY_HOST GATEWAY_PORT GATEWAY_TOKEN GATEWAY_SERVED_AS GATEWAY_TRUSTED_PROXIES
    GATEWAY_CORS_ORIGINS GATEWAY_SIGNAL_WEBHOOK GATEWAY_WEBHOOK_SECRET ROUTER_FEATURES
    NEW_POLICIES_PER_HOUR NEW_POLICIES_BURST SIGNAL_RATE_PER_S SIGNAL_BURST ALERT_WEBHOOK_URL
    REQUEST_TIMEOUT_S WRITE_TIMEOUT_S WRITE_RATE_PER_S WRITE_BURST WRITE_TOTAL_RATE_PER_S
    WRITE_TOTAL_BURST WRITE_MAX_ADDRESSES L2_SILENCE_S COMMAND_TIMEOUT_S MAX_COMMANDS
    MAX_COMMANDS_PER_ADDRESS MAX_WAITERS MAX_WAITERS_PER_ADDRESS SCOPES_PER_HOUR SCOPES_BURST
    KAFKA_SILENCE_S IDEMPOTENCY_TTL_S IDEMPOTENCY_MAX_KEYS IDEMPOTENCY_MAX_KEYS_PER_ADDRESS
    IDEMPOTENCY_MAX_BYTES IDEMPOTENCY_MAX_BYTES_PER_ADDRESS AS_OF_LOOK_BACK_S AS_OF_MAX_REBUILDS
    AS_OF_MAX_REBUILDS_PER_ADDRESS AS_OF_MAX_BYTES AS_OF_MAX_RECORDS AS_OF_TIMEOUT_S AUDIT_MAX_READS
    AT_MAX_READS AT_MAX_READS_PER_ADDRESS AT_MAX_BYTES AT_MAX_RECORDS AT_TIMEOUT_S
    AUDIT_MAX_READS_PER_ADDRESS AUDIT_MAX_BYTES AUDIT_TIMEOUT_S STREAM_MAX_CLIENTS
    PERFORMANCE_MAX_READS PERFORMANCE_MAX_READS_PER_ADDRESS PERFORMANCE_MAX_BYTES PERFORMANCE_TIMEOUT_S
    STREAM_MAX_CLIENTS_PER_ADDRESS STREAM_BACKLOG_MESSAGES STREAM_BACKLOG_BYTES
    STREAM_BACKLOGS_BYTES STREAM_BACKLOGS_BYTES_PER_ADDRESS STREAM_HISTORY_BYTES STREAM_KEEP_ALIVE_S
    STREAM_LINGER_S REPLAY_MAX_STREAMS REPLAY_MAX_STREAMS_PER_ADDRESS REPLAY_BYTES_PER_S
    REPLAY_BUFFER_BYTES RECORDS_MAX_READS RECORDS_MAX_READS_PER_ADDRESS RECORDS_MAX_BYTES
    RECORDS_HELD_BYTES RECORDS_TIMEOUT_S
    WHY_MAX_READS WHY_MAX_READS_PER_ADDRESS LINEAGE_MAX_BYTES LINEAGE_TIMEOUT_S
    FEED SIMULATOR_URL
"""


def test_every_setting_is_read_from_the_variable_that_it_always_had_and_from_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fields = GatewaySettings.model_fields.keys() - ServiceSettings.model_fields.keys()
    assert {GatewaySettings.variable(field) for field in fields} == set(VARIABLES.split())
    for name in VARIABLES.split():
        monkeypatch.setenv(name, {"TOKEN": "c2VjcmV0LXRva2VuLXNl", "HOST": "127.0.0.2"}.get(name[8:], "7"))
    monkeypatch.setenv("ALERT_WEBHOOK_URL", "https://hooks.example/T0/B0")
    monkeypatch.setenv("GATEWAY_SERVED_AS", "a.example")
    monkeypatch.setenv("GATEWAY_SIGNAL_WEBHOOK", "policyId=p symbol=s value=v ttlS=60 secret=key")
    monkeypatch.setenv("GATEWAY_WEBHOOK_SECRET", "c2VjcmV0LW9mLWhvb2tz")
    monkeypatch.setenv("ROUTER_FEATURES", "vix:5..150")
    monkeypatch.setenv("GATEWAY_TRUSTED_PROXIES", "10.0.0.0/8")
    monkeypatch.setenv("GATEWAY_CORS_ORIGINS", "https://a.example")
    for name in ("STREAM_BACKLOG_BYTES", "REPLAY_BYTES_PER_S", "REPLAY_BUFFER_BYTES"):
        monkeypatch.setenv(name, "70000")
    monkeypatch.setenv("KAFKA_SILENCE_S", "7")
    monkeypatch.setenv("HOST", "0.0.0.0")  # noqa: S104 -- of another program
    read = GatewaySettings()
    assert read.model_fields_set == fields
    assert read.host == "127.0.0.2"
