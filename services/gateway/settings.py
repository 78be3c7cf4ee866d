"""What the gateway can be told from outside."""

from __future__ import annotations

import re
from typing import Any, Final, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from libs.common.context_fields import features_of
from libs.common.events import DeclaredFeature  # noqa: TC001 -- pydantic reads annotations at run time
from libs.common.feed_settings import FeedSettings
from libs.common.loopback import exposed, is_loopback
from libs.common.settings import ServiceSettings
from libs.common.time_units import DAY_S
from libs.common.web_pages import names_of, served_names
from services.gateway.alerts.settings import AlertSettings
from services.gateway.http.callers import networks_of
from services.gateway.http.guard import ANY, origins_of
from services.gateway.http.webhook_mapping import Webhook, mapping_of

MIB: Final = 1024 * 1024
_OF_ADDRESS_429: Final = "of these, of one address; more is 429"
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # b64token of RFC 6750 section 2.1
_LEAST_SIGNS: Final = 16  # 96 bits, where they are drawn from 64
_LEAST_KINDS: Final = 8  # of signs: 16 random ones of 64 have fewer once in 10^10


def _count(default: int, description: str, least: int = 1) -> Any:  # noqa: ANN401 -- as pydantic's Field
    return Field(default, ge=least, description=description)


def _seconds(default: float, description: str, most: float | None = None) -> Any:  # noqa: ANN401 -- as above
    return Field(default, gt=0, le=most, description=f"{description}, seconds")


class Limits(ServiceSettings):
    """Patience and limits."""

    request_timeout_s: float = _seconds(
        10.0, "how long head and body of a request may take to come before 408"
    )
    write_timeout_s: float = _seconds(
        30.0,
        "how long a client may take no byte of its answer before it is cut, and a stream's may not make room "
        "for the next messages",
    )
    write_rate_per_s: int = _count(2_000, "changes one address may ask for, 1/s; then 429")
    write_burst: int = _count(5_000, "changes one address may ask for at once")
    write_total_rate_per_s: int = _count(4_000, "changes all addresses together may ask for, 1/s; then 429")
    write_total_burst: int = _count(10_000, "changes all addresses together may ask for at once")
    write_max_addresses: int = _count(
        10_000, "addresses remembered; one more, and the one that asked longest ago is forgotten"
    )
    l2_silence_s: float = _seconds(
        5.0, "age of its heartbeat after which a book is shown as STALE; l2 repeats it every second"
    )
    command_timeout_s: float = _seconds(5.0, "how long a command may wait for its answer before 504", 60)
    max_commands: int = _count(10_000, "commands that may wait for answers at once; more is 503")
    max_commands_per_address: int = _count(5_000, _OF_ADDRESS_429)
    max_waiters: int = _count(512, "requests that may wait for the end of an execution at once; more is 503")
    max_waiters_per_address: int = _count(256, _OF_ADDRESS_429)
    scopes_per_hour: int = _count(120, "router scopes that one address may name first, 1/h; then 429")
    scopes_burst: int = _count(500, "router scopes that one address may name first at once")
    new_policies_per_hour: int = _count(
        120, "policies from outside that one address may name first, 1/h; then 429"
    )
    new_policies_burst: int = _count(100, "policies from outside that one address may name first at once")
    signal_rate_per_s: int = _count(
        50, "signals of one policy, and context inputs of one name, that may be told, 1/s; then 429"
    )
    signal_burst: int = _count(100, "of these, at once")
    router_features: str = Field(
        "", description="as of the router: features that a new scope has beside those of all"
    )
    kafka_silence_s: float = _seconds(
        5.0, "how long Kafka, if anybody is there at all, may be silent before /readyz is 503"
    )
    idempotency_ttl_s: int = _count(DAY_S, "how long a reply is kept under its Idempotency-Key, seconds")
    idempotency_max_keys: int = _count(100_000, "replies kept at once; more is 503, never a forgotten reply")
    idempotency_max_keys_per_address: int = _count(50_000, _OF_ADDRESS_429)
    idempotency_max_bytes: int = _count(128 * MIB, "bytes of the replies kept at once; then 503")
    idempotency_max_bytes_per_address: int = _count(64 * MIB, _OF_ADDRESS_429)
    as_of_look_back_s: float = _seconds(
        25.0,
        "how far before a past moment its keyframe is looked for first, and after it the next message; l2 "
        "repeats keyframes every 10 s",
    )
    as_of_max_rebuilds: int = _count(3, "past books rebuilt at once; one more is 503")
    as_of_max_rebuilds_per_address: int = _count(2, _OF_ADDRESS_429)
    as_of_max_bytes: int = _count(
        8 * MIB, "bytes of a book's own records that one past book may keep; more is 503"
    )
    as_of_max_records: int = _count(500_000, "records of the log that one past book may take; more is 503")
    as_of_timeout_s: float = _seconds(5.0, "how long one past book may take before 503", 60)
    at_max_reads: int = _count(6, "moments (`/api/at`) read at once; one more is 503")
    at_max_reads_per_address: int = _count(4, _OF_ADDRESS_429)
    at_max_bytes: int = _count(128 * MIB, "bytes of records that one moment may take; more is 503")
    at_max_records: int = _count(500_000, "records of the log that one moment may take; more is 503")
    at_timeout_s: float = _seconds(5.0, "how long one moment may take before 503", 60)
    audit_max_reads: int = _count(4, "audits read from the log at once; one more is 503")
    audit_max_reads_per_address: int = _count(2, _OF_ADDRESS_429)
    audit_max_bytes: int = _count(4 * MIB, "bytes of the entries that one audit may have; more is 503")
    audit_timeout_s: float = _seconds(30.0, "how long reading one audit may take before 503", 300)
    why_max_reads: int = _count(
        8, "explanations of decisions (/api/why, lineages) made at once; one more is 503"
    )
    why_max_reads_per_address: int = _count(4, _OF_ADDRESS_429)
    lineage_max_bytes: int = _count(64 * MIB, "bytes of the logs that one lineage may take; more is 503")
    lineage_timeout_s: float = _seconds(15.0, "how long reading one lineage may take before 503", 300)
    performance_max_reads: int = _count(2, "performances read from the log at once; one more is 503")
    performance_max_reads_per_address: int = _count(1, _OF_ADDRESS_429)
    performance_max_bytes: int = _count(
        512 * MIB, "bytes of the log that one performance may take; more is 503"
    )
    performance_timeout_s: float = _seconds(60.0, "how long reading one performance may take before 503", 600)
    records_max_reads: int = _count(8, "readings of old records (/api/records) at once; one more is 503")
    records_max_reads_per_address: int = _count(6, _OF_ADDRESS_429)
    records_max_bytes: int = _count(128 * MIB, "bytes of the log that one of them may take; more is 503")
    records_held_bytes: int = _count(16 * MIB, "bytes of records that one of them may hold; more is 503")
    records_timeout_s: float = _seconds(10.0, "how long one of them may take before 503", 300)
    stream_max_clients: int = _count(64, "open streams of new messages; one more is 503")
    stream_max_clients_per_address: int = _count(32, _OF_ADDRESS_429)
    stream_backlog_messages: int = _count(1_000, "messages waiting for one slow client")
    stream_backlog_bytes: int = _count(
        8 * MIB, "bytes waiting for one slow client; then messages drop, counted", 1024
    )
    stream_backlogs_bytes: int = _count(
        64 * MIB, "bytes waiting for all slow clients together; then messages drop, counted"
    )
    stream_backlogs_bytes_per_address: int = _count(32 * MIB, "of these, for those of one address")
    stream_history_bytes: int = _count(
        16 * MIB, "recent messages kept for Last-Event-ID, bytes, all topics together", 0
    )
    stream_keep_alive_s: float = _seconds(15.0, "how long a stream is quiet before a comment is sent")
    stream_linger_s: float = Field(
        30.0, ge=0, description="how long a topic is still read after its last client left, seconds"
    )
    replay_max_streams: int = _count(16, "open streams of old messages (`from=`); one more is 503")
    replay_max_streams_per_address: int = _count(8, _OF_ADDRESS_429)
    replay_bytes_per_s: int = _count(4 * MIB, "what all streams of old messages read together, bytes/s", 1024)
    replay_buffer_bytes: int = _count(
        2 * MIB, "what one of them may have fetched and not sent, bytes, about", 64 * 1024
    )

    @field_validator("router_features")
    @classmethod
    def _check_features(cls, value: str) -> str:
        try:
            features_of(value)
        except ValueError as error:
            raise ValueError(f"ROUTER_FEATURES: {error}") from None
        return value


class GatewaySettings(Limits, AlertSettings, FeedSettings):
    """Addresses, and who may ask what."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    host: str = Field("127.0.0.1", description="address to listen on; loopback unless told otherwise")
    port: int = Field(5000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    token: SecretStr | None = Field(
        None, description="if set, changes need `Authorization: Bearer` and this; without it everybody may"
    )
    signal_webhook: str = Field(
        "",
        description="what POST /api/signals/webhook makes of a body that charts send, as policyId=strategy "
        "symbol=ticker value=action{buy:1,sell:-1,flat:0} ttlS=900 secret=key; without it that route is off",
    )
    webhook_secret: SecretStr | None = Field(
        None,
        description="what each such body holds where `secret=` says; needed where a GATEWAY_TOKEN is set, as "
        "who calls a webhook cannot send one",
    )
    served_as: str = Field(
        "",
        description="names of hosts, separated by commas, by which this gateway is asked beside addresses "
        "and localhost, like desk.example; any other is 421, so that no foreign page passes for ours",
    )
    trusted_proxies: str = Field(
        "",
        description="addresses or networks, separated by commas, whose X-Forwarded-For is believed; none "
        "unless told otherwise",
    )
    cors_origins: str = Field(
        "",
        description="origins, separated by commas, whose web pages may ask from a browser, like "
        "https://desk.example; none unless told otherwise. * is all, and needs a token",
    )

    @field_validator("token")
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

    @field_validator("token", "webhook_secret")
    @classmethod
    def _is_hard_to_guess(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and _is_weak(value.get_secret_value().rstrip("=")):
            raise ValueError(
                f"{cls.variable(str(info.field_name))} can be guessed: take {_LEAST_SIGNS} signs or more, of "
                f"{_LEAST_KINDS} kinds or more, that repeat no part; best random ones, as `openssl rand "
                "-base64 32` prints"
            )
        return value

    @field_validator("signal_webhook")
    @classmethod
    def _check_mapping(cls, value: str) -> str:
        try:
            mapping_of(value)
        except ValueError as error:
            raise ValueError(f"GATEWAY_SIGNAL_WEBHOOK: {error}") from None
        return value

    @field_validator("trusted_proxies")
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

    @field_validator("served_as", "cors_origins")
    @classmethod
    def _check_list(cls, value: str, info: ValidationInfo) -> str:
        field = str(info.field_name)
        try:
            listed = names_of(value) if field == "served_as" else origins_of(value)
        except ValueError as error:
            raise ValueError(f"{cls.variable(field)}: {error}") from error
        if ANY in listed and info.data.get("token") is None:
            raise ValueError(
                "GATEWAY_CORS_ORIGINS=* needs a GATEWAY_TOKEN: without one, every web page that is opened in "
                "a browser near this gateway could trade and end books; set a token, or name the origins"
            )
        return value

    @model_validator(mode="after")
    def _keep_to_this_machine(self) -> Self:
        if self.token is None and not self.private_network and not is_loopback(self.host):
            what = "trade and end books, as no GATEWAY_TOKEN is set"
            remedy = ", or set a GATEWAY_TOKEN, as `openssl rand -base64 32` prints"
            raise ValueError(exposed("GATEWAY_HOST", what, remedy))
        return self

    @model_validator(mode="after")
    def _webhook_shows_a_secret(self) -> Self:
        mapping, secret = mapping_of(self.signal_webhook), self.webhook_secret
        if mapping is not None and secret is None and (self.token is not None or mapping.has_secret):
            raise ValueError(
                "GATEWAY_SIGNAL_WEBHOOK needs a GATEWAY_WEBHOOK_SECRET where a GATEWAY_TOKEN is set, or "
                "where it says `secret=`: set one, as `openssl rand -base64 32` prints"
            )
        if secret is not None and (mapping is None or not mapping.has_secret):
            raise ValueError(
                "GATEWAY_WEBHOOK_SECRET is set, so GATEWAY_SIGNAL_WEBHOOK must say where a body holds it: "
                "add secret=key there, or unset the secret"
            )
        return self

    @property
    def webhook(self) -> Webhook | None:
        """What takes signals from who sends only bodies of its own form; None if nothing does."""
        mapping, secret = mapping_of(self.signal_webhook), self.webhook_secret
        if mapping is None:
            return None
        return Webhook(mapping, None if secret is None else secret.get_secret_value().encode())

    @property
    def new_features(self) -> tuple[DeclaredFeature, ...]:
        """The features that a new scope has beside those of all."""
        return features_of(self.router_features)

    @property
    def served_names(self) -> frozenset[str]:
        """The names by which this gateway is asked, that of GATEWAY_HOST too if it is one."""
        return served_names(self.served_as, self.host)


def _is_weak(token: str) -> bool:
    repeated = token in (token + token)[1:-1]
    return len(token) < _LEAST_SIGNS or len(set(token)) < _LEAST_KINDS or repeated
