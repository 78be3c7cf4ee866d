"""What the gateway can be told from outside."""

from __future__ import annotations

from pydantic import Field

from libs.common.settings import ServiceSettings


class GatewaySettings(ServiceSettings):
    """Addresses, patience and limits."""

    gateway_host: str = Field("127.0.0.1", description="address to listen on; loopback unless told otherwise")
    gateway_port: int = Field(5000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
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
        5.0, gt=0, description="without an answer of Kafka for this long, /readyz is 503, seconds"
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
