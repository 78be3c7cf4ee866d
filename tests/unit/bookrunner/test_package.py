"""The package gives what it lists, typed, and imports of it only what is used."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from datetime import datetime
from pathlib import Path

import pytest

import bookrunner
from bookrunner import subscribe
from libs.common import events, order_book, policy

ROOT = Path(__file__).parents[3]
HEAVY = ("aiokafka", "aiohttp", "pydantic", "rich", "typer", "asyncio", "ssl", "socket", "libs.cli")


def test_it_gives_each_name_it_lists_and_copies_nothing() -> None:
    assert all(getattr(bookrunner, name) is not None for name in bookrunner.__all__)
    assert dir(bookrunner) == bookrunner.__all__
    assert bookrunner.Policy is policy.Policy
    assert bookrunner.Market is policy.Market
    assert bookrunner.OrderBook is order_book.OrderBook
    assert bookrunner.events is events


def test_a_name_it_has_not_is_told_with_those_it_has() -> None:
    with pytest.raises(AttributeError, match="bookrunner has no 'Polícy'; it has Book, "):
        _ = getattr(bookrunner, "Polícy")  # noqa: B009 -- mypy knows that it is none


def test_what_a_policy_imports_brings_neither_kafka_nor_http_with_it() -> None:
    code = (
        "import sys\n"
        "from bookrunner import Book, Market, OrderBook, Policy, Signal, events\n"
        f"print(*[name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_it_is_installed_with_its_marker_of_types_and_stands_in_the_image() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "bookrunner*" in setuptools["packages"]["find"]["include"]
    assert setuptools["package-data"]["bookrunner"] == ["py.typed"]
    assert (ROOT / "bookrunner" / "py.typed").is_file()
    assert "\nCOPY bookrunner bookrunner\n" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"since": datetime(2026, 11, 30)}, "since has no time zone"),  # noqa: DTZ001 -- as said
        ({"until": datetime(2026, 11, 30)}, "until has no time zone"),  # noqa: DTZ001 -- as said
        ({"since": 1_788_000_000}, "since=1788000000 is no time: write a datetime, or ns"),
        ({"until": 1_788_000_000_000}, "until=1788000000000 is no time"),
        ({"since": "yesterday"}, "since='yesterday' is no time"),
        ({"until": "beginning"}, "until='beginning' is no time"),
    ],
)
def test_a_time_that_is_none_is_a_clear_error(choices: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        subscribe("trades", servers="127.0.0.1:1", **choices)  # type: ignore[arg-type]  # what mypy would refuse


@pytest.mark.parametrize(
    ("topics", "said"),
    [
        ((), "name one topic or more"),
        (("trads",), "no topic is called 'trads'; nearest: l2.trades.v1"),
        (("l2",), "'l2' may be any of l2.subscriptions.v1"),
    ],
)
def test_a_topic_that_is_none_is_a_clear_error(topics: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        subscribe(*topics, servers="127.0.0.1:1")


def test_a_server_that_is_none_is_a_clear_error() -> None:
    with pytest.raises(ValueError, match="place 1 is not host:port"):
        subscribe("trades", servers="http://nowhere")
