"""What the gateway can be told from outside."""

from __future__ import annotations

import re
from typing import Final, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from libs.common.loopback import exposed, is_loopback
from libs.common.settings import ServiceSettings
from libs.common.web_pages import names_of, served_names
from services.gateway.http.cross_origin import ANY, origins_of
from services.gateway.http.forwarded import networks_of

MIB: Final = 1024 * 1024
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # b64token of RFC 6750 section 2.1
_LEAST_SIGNS: Final = 16  # 96 bits, where they are drawn from 64
_LEAST_KINDS: Final = 8  # of signs: 16 random ones of 64 have fewer once in 10^10


class GatewaySettings(ServiceSettings):
    """Addresses, patience and limits."""

    gateway_host: str = Field("127.0.0.1", description="address to listen on; loopback unless told otherwise")
    gateway_port: int = Field(5000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    gateway_token: SecretStr | None = Field(
        None, description="if set, changes need `Authorization: Bearer` and this; without it everybody may"
    )
    gateway_served_as: str = Field(
        "",
        description="names of hosts, separated by commas, by which this gateway is asked beside addresses "
        "and localhost, like desk.example; any other is 421, so that no foreign page passes for ours",
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
    write_timeout_s: float = Field(
        30.0,
        gt=0,
        description="a client that takes no byte of its answer for this long is cut, seconds; so is a "
        "stream's that does not make room for the next messages",
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
    max_commands_per_address: int = Field(5_000, ge=1, description="of these, of one address; more is 429")
    max_waiters: int = Field(
        512, ge=1, description="requests that may wait for the end of an execution at once; more is 503"
    )
    max_waiters_per_address: int = Field(256, ge=1, description="of these, of one address; more is 429")
    scopes_per_hour: int = Field(
        120, ge=1, description="router scopes that one address may name first, 1/h; then 429"
    )
    scopes_burst: int = Field(500, ge=1, description="router scopes that one address may name first at once")
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
    idempotency_max_keys_per_address: int = Field(
        50_000, ge=1, description="of these, of one address; more is 429"
    )
    idempotency_max_bytes: int = Field(
        128 * MIB, ge=1, description="bytes of the replies kept at once; then 503"
    )
    idempotency_max_bytes_per_address: int = Field(
        64 * MIB, ge=1, description="of these, of one address; then 429"
    )
    as_of_look_back_s: float = Field(
        25.0,
        gt=0,
        description="how far before a past moment its keyframe is looked for first, and after it the next "
        "message, seconds; l2 repeats keyframes every 10 s",
    )
    as_of_max_rebuilds: int = Field(3, ge=1, description="past books rebuilt at once; one more is 503")
    as_of_max_rebuilds_per_address: int = Field(
        2, ge=1, description="of these, of one address; one more is 429"
    )
    as_of_max_bytes: int = Field(
        8 * MIB, ge=1, description="bytes of a book's own records that one past book may keep; more is 503"
    )
    as_of_max_records: int = Field(
        500_000, ge=1, description="records of the log that one past book may take; more is 503"
    )
    as_of_timeout_s: float = Field(
        5.0, gt=0, le=60, description="how long one past book may take before 503, seconds"
    )
    audit_max_reads: int = Field(4, ge=1, description="audits read from the log at once; one more is 503")
    audit_max_reads_per_address: int = Field(2, ge=1, description="of these, of one address; one more is 429")
    audit_max_bytes: int = Field(
        4 * MIB, ge=1, description="bytes of the entries that one audit may have; more is 503"
    )
    audit_timeout_s: float = Field(
        30.0, gt=0, le=300, description="how long reading one audit may take before 503, seconds"
    )
    stream_max_clients: int = Field(64, ge=1, description="open streams of new messages; one more is 503")
    stream_max_clients_per_address: int = Field(
        32, ge=1, description="of these, of one address; one more is 429"
    )
    stream_backlog_messages: int = Field(1_000, ge=1, description="messages waiting for one slow client")
    stream_backlog_bytes: int = Field(
        8 * 1024 * 1024, ge=1024, description="bytes waiting for one slow client; then messages drop, counted"
    )
    stream_backlogs_bytes: int = Field(
        64 * MIB, ge=1, description="bytes waiting for all slow clients together; then messages drop, counted"
    )
    stream_backlogs_bytes_per_address: int = Field(
        32 * MIB, ge=1, description="of these, for those of one address"
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
    replay_max_streams: int = Field(
        16, ge=1, description="open streams of old messages (`from=`); one more is 503"
    )
    replay_max_streams_per_address: int = Field(
        8, ge=1, description="of these, of one address; one more is 429"
    )
    replay_bytes_per_s: int = Field(
        4 * MIB, ge=1024, description="what all streams of old messages read together, bytes/s"
    )
    replay_buffer_bytes: int = Field(
        2 * MIB, ge=64 * 1024, description="what one of them may have fetched and not sent, bytes, about"
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
        if value is not None and _is_weak(value.get_secret_value().rstrip("=")):
            raise ValueError(
                f"GATEWAY_TOKEN can be guessed: take {_LEAST_SIGNS} signs or more, of {_LEAST_KINDS} kinds "
                "or more, that repeat no part; best random ones, as `openssl rand -base64 32` prints"
            )
        return value

    @field_validator("gateway_served_as")
    @classmethod
    def _check_names(cls, value: str) -> str:
        try:
            names_of(value)
        except ValueError as error:
            raise ValueError(f"GATEWAY_SERVED_AS: {error}") from error
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

    @model_validator(mode="after")
    def _keep_to_this_machine(self) -> Self:
        if self.gateway_token is None and not self.private_network and not is_loopback(self.gateway_host):
            what = "trade and end books, as no GATEWAY_TOKEN is set"
            remedy = ", or set a GATEWAY_TOKEN, as `openssl rand -base64 32` prints"
            raise ValueError(exposed("GATEWAY_HOST", what, remedy))
        return self

    @property
    def served_as(self) -> frozenset[str]:
        """The names by which this gateway is asked, that of GATEWAY_HOST too if it is one."""
        return served_names(self.gateway_served_as, self.gateway_host)


def _is_weak(token: str) -> bool:
    repeated = token in (token + token)[1:-1]
    return len(token) < _LEAST_SIGNS or len(set(token)) < _LEAST_KINDS or repeated
