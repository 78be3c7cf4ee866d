from __future__ import annotations

from uuid import UUID

from libs.common.cloudevents import CloudEvent, caused_id
from libs.common.codec import decode
from libs.common.events import CommandRejected, Refusal, ScoreVenues
from libs.common.topics import DEAD_LETTERS, VENUES_SCORES
from services.venues.replies import letter, reply

COMMAND = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
FALLBACK = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")
HEADERS = CloudEvent(COMMAND, "ScoreVenues", "/tests", 5, "talk", causation_id=None).headers()


def place(key: bytes) -> int:
    return {b"BTC-USDT": 3, b"elsewhere": 5, b"key": 6}[key]


def a_command(reply_key: str | None = None) -> ScoreVenues:
    return ScoreVenues(command_id=str(COMMAND), symbol="BTC-USDT", size=1.0, reply_key=reply_key)


def an_answer() -> CommandRejected:
    return CommandRejected(
        command="ScoreVenues",
        command_id=str(COMMAND),
        key="BTC-USDT",
        refusal=Refusal.UNAVAILABLE,
        detail="none",
        ts=7,
    )


def test_an_answer_goes_on_with_its_commands_conversation_under_an_id_that_follows_from_it() -> None:
    sent = reply(a_command(), an_answer(), HEADERS, FALLBACK, place)
    assert (sent.topic, sent.partition, sent.key) == (VENUES_SCORES, 3, b"BTC-USDT")
    assert decode(VENUES_SCORES, sent.value or b"") == an_answer()
    told = dict(sent.headers)
    assert told["ce_correlationid"] == b"talk"
    assert told["ce_causationid"] == str(COMMAND).encode()
    assert told["ce_id"] == str(caused_id(COMMAND, "CommandRejected")).encode()
    assert sent == reply(a_command(), an_answer(), HEADERS, FALLBACK, place), "told again, it is the same"


def test_an_answer_goes_where_it_is_awaited_and_a_command_without_an_id_has_that_of_its_place() -> None:
    sent = reply(a_command("elsewhere"), an_answer(), (), FALLBACK, place)
    assert (sent.partition, sent.key) == (5, b"BTC-USDT")
    assert dict(sent.headers)["ce_causationid"] == str(FALLBACK).encode()


def test_a_dead_letter_says_what_was_raised_on_its_message_and_where() -> None:
    try:
        _ = 1 // 0
    except ZeroDivisionError as error:
        kept = letter(b"key", b"raw", "", "t/1/2", HEADERS, place, error)
    told = dict(kept.headers)
    assert (kept.topic, kept.partition, kept.key, kept.value) == (DEAD_LETTERS, 6, b"key", b"raw")
    assert told["reason"] == b"t/1/2: ZeroDivisionError: integer division or modulo by zero"
    assert b"_ = 1 // 0" in told["traceback"]
    assert told["ce_id"] == str(COMMAND).encode()
    assert dict(letter(b"key", b"raw", "no map", "t/1/2", (), place).headers)["reason"] == b"no map"
