from __future__ import annotations

from broker.masking import MASK, Mask

JAAS = 'org.apache.PlainLoginModule required user_me="p\\"a\\\\ss" user_you="other-one";'


def test_a_value_is_hidden_wherever_it_stands() -> None:
    mask = Mask([JAAS, "hunter2"])
    assert mask(f"[ERROR] bad entry {JAAS} and hunter2!") == f"[ERROR] bad entry {MASK} and {MASK}!"


def test_what_is_quoted_inside_of_a_value_is_hidden_alone_too_escaped_and_as_it_is_meant() -> None:
    mask = Mask([JAAS])
    assert mask('got p"a\\ss, p\\"a\\\\ss, other-one') == f"got {MASK}, {MASK}, {MASK}"


def test_what_kafka_calls_invalid_is_hidden_however_short_it_is() -> None:
    line = "ConfigException: Invalid value x for configuration num.io.threads: Not a number of type INT"
    assert Mask([])(line) == line.replace(" x ", f" {MASK} ")


def test_what_says_nothing_is_left_so_that_the_log_can_be_read() -> None:
    line = "2026-01-31 12:00:00.000 [WARN] LogManager - 2 of 3 logs: true"
    assert Mask(["2", "true", ""])(line) == line
    assert Mask([])(line) == line
