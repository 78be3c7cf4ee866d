"""What the gateway can be told from outside."""

from __future__ import annotations

import re
from typing import Final

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from libs.common.settings import ServiceSettings
from services.gateway.cross_origin import ANY, origins_of
from services.gateway.forwarded import networks_of

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # b64token of RFC 6750 section 2.1


class GatewaySettings(ServiceSettings):
    """Addresses, patience and limits."""

    gateway_host: str = Field("127.0.0.1", description="address to listen on; loopback unless told otherwise")
    gateway_port: int = Field(5000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    gateway_token: SecretStr | None = Field(
        None, description="if set, changes need `Authorization: Bearer` and this; without it everybody may"
    )
    gateway_trusted_proxies: str = Field(
        "",
        description="addresses or networks, separated by commas, whose X-Forwarded-For is believed; none "
        "unless told otherwise",
    )
    gateway_cors_origins: str = Field(
        "",
        description="origins, separated by commas, whose web pages may ask from a browser, like "
        "https://desk.example; none unless told otherwise. * is all, and needs a token",
    )
    request_timeout_s: float = Field(
        10.0, gt=0, description="how long head and body of a request may take to come before 408, seconds"
    )
    write_rate_per_s: int = Field(2_000, ge=1, description="changes one address may ask for, 1/s; then 429")
    write_burst: int = Field(5_000, ge=1, description="changes one address may ask for at once")
    write_total_rate_per_s: int = Field(
        4_000, ge=1, description="changes all addresses together may ask for, 1/s; then 429"
    )
    write_total_burst: int = Field(
        10_000, ge=1, description="changes all addresses together may ask for at once"
    )
    write_max_addresses: int = Field(
        10_000,
        ge=1,
        description="addresses remembered; one more, and the one that asked longest ago is forgotten",
    )
    l2_silence_s: float = Field(
        5.0,
        gt=0,
        description="a book whose heartbeat is older is shown as STALE, seconds; l2 repeats it every second",
    )
    command_timeout_s: float = Field(
        5.0, gt=0, le=60, description="how long a command may wait for its answer before 504, seconds"
    )
    max_commands: int = Field(
        10_000, ge=1, description="commands that may wait for answers at once; more is 503"
    )
    kafka_silence_s: float = Field(
        5.0,
        gt=0,
        description="/readyz is 503 once Kafka, if anybody is there at all, is silent for this long, seconds",
    )
    idempotency_ttl_s: int = Field(
        86_400, ge=1, description="how long a reply is kept under its Idempotency-Key, seconds"
    )
    idempotency_max_keys: int = Field(
        100_000, ge=1, description="replies kept at once; more is 503, never a forgotten reply"
    )
    as_of_look_back_s: float = Field(
        25.0,
        gt=0,
        description="how far before a past moment its keyframe is looked for first, and after it the next "
        "message, seconds; l2 repeats keyframes every 10 s",
    )
    as_of_max_rebuilds: int = Field(2, ge=1, description="past books rebuilt at once; one more is 503")
    as_of_max_records: int = Field(
        500_000, ge=1, description="records of the log that one past book may take; more is 503"
    )
    as_of_timeout_s: float = Field(
        5.0, gt=0, le=60, description="how long one past book may take before 503, seconds"
    )
    audit_max_reads: int = Field(4, ge=1, description="audits read from the log at once; one more is 503")
    audit_timeout_s: float = Field(
        30.0, gt=0, le=300, description="how long reading one audit may take before 503, seconds"
    )
    stream_max_clients: int = Field(64, ge=1, description="open streams; one more is 503")
    stream_backlog_messages: int = Field(1_000, ge=1, description="messages waiting for one slow client")
    stream_backlog_bytes: int = Field(
        8 * 1024 * 1024, ge=1024, description="bytes waiting for one slow client; then messages drop, counted"
    )
    stream_history_bytes: int = Field(
        16 * 1024 * 1024,
        ge=0,
        description="recent messages kept for Last-Event-ID, bytes, all topics together",
    )
    stream_keep_alive_s: float = Field(
        15.0, gt=0, description="comment sent on a quiet stream this often, seconds"
    )
    stream_linger_s: float = Field(
        30.0, ge=0, description="how long a topic is still read after its last client left, seconds"
    )
    stream_write_timeout_s: float = Field(
        30.0, gt=0, description="a client that takes no byte for this long is closed, seconds"
    )

    @field_validator("gateway_token")
    @classmethod
    def _check_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and value.get_secret_value() == "auto":
            raise ValueError("GATEWAY_TOKEN=auto is for `make run`, which makes a token: give a token here")
        if value is not None and not _TOKEN.fullmatch(value.get_secret_value()):
            raise ValueError(
                "GATEWAY_TOKEN must be letters, digits and -._~+/ with = at its end only, as `openssl rand "
                "-base64 32` prints, and not empty: unset it if everybody may change things"
            )
        return value

    @field_validator("gateway_trusted_proxies")
    @classmethod
    def _check_proxies(cls, value: str) -> str:
        for place, part in enumerate(value.split(","), 1):
            try:
                networks_of(part)
            except ValueError:
                raise ValueError(
                    "GATEWAY_TRUSTED_PROXIES must be addresses or networks like 10.0.0.0/8, with no bit set "
                    f"behind the mask: place {place} is none"
                ) from None
        return value

    @field_validator("gateway_cors_origins")
    @classmethod
    def _check_origins(cls, value: str, info: ValidationInfo) -> str:
        try:
            origins = origins_of(value)
        except ValueError as error:
            raise ValueError(f"GATEWAY_CORS_ORIGINS: {error}") from error
        if ANY in origins and info.data.get("gateway_token") is None:
            raise ValueError(
                "GATEWAY_CORS_ORIGINS=* needs a GATEWAY_TOKEN: without one, every web page that is opened in "
                "a browser near this gateway could trade and end books; set a token, or name the origins"
            )
        return value
