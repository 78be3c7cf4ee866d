from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from libs.cli.errors import CommandError
from libs.cli.router import History, history_of, plot, table_of
from libs.cli.screen import Screen
from libs.common.events import OffPolicyEstimate, RouterMemory
from tests.router_world import World, choose, reward

if TYPE_CHECKING:
    from pathlib import Path

    from libs.common.events import Event


def _story(world: World, rounds: int = 60) -> list[Event]:
    said: list[Event] = []
    for n in range(rounds):
        chosen = world.choose(choose(n))
        r = 0.004 if chosen.policy_id == "p_sma" else -0.002
        said += [chosen, world.reward(reward(f"r{n}", chosen.policy_id, r, decision=n))]
    return said


def test_a_repeated_answer_counts_once_and_other_scopes_not_at_all() -> None:
    world = World()
    said = _story(world, 5)
    other = world.choose(choose("x", scope="other"))
    history = history_of([*said, *said, other, None], "s")
    assert len(history.chosen) == len(history.rewarded) == 5


def test_the_regret_proxy_is_the_gap_to_the_best_posterior_mean_summed() -> None:
    history = history_of(_story(World()), "s")
    gaps = [max(c.means.values()) - c.means[c.policy_id] for c in history.chosen]
    assert history.regret_proxy[-1] == pytest.approx(sum(gaps))
    assert history.regret_proxy == sorted(history.regret_proxy)


def test_the_table_shows_every_policy_best_first_in_bps() -> None:
    world = World()
    history = history_of(_story(world), "s")
    assert world.snapshot is not None
    console = Screen(width=200, record=True)
    console.print(table_of(world.snapshot, history))
    text = console.export_text()
    assert text.index("p_sma") < min(text.index("p_flat"), text.index("p_breakout"))
    assert "40.00" in text  # the mean reward of p_sma
    assert "60 choices" in text


def test_the_table_says_what_no_interval_is_given_for_and_whether_a_best_policy_is_proven() -> None:
    world = World()
    history = history_of(_story(world), "s")
    assert world.snapshot is not None
    console = Screen(width=300, record=True)
    console.print(table_of(world.snapshot, history))
    text = console.export_text()
    assert "best policy so far: not proven; p_sma leads; against " in text
    assert "no interval for p_flat: " in text
    proven = replace(world.snapshot, best="p_sma", best_why="earns at least 1.00 bps")
    console.print(table_of(proven, history))
    assert "best policy so far: p_sma; earns at least 1.00 bps" in console.export_text()


def test_the_table_shows_the_off_policy_value_with_its_interval_and_overlap() -> None:
    world = World()
    history = history_of(_story(world, 3), "s")
    assert world.snapshot is not None
    first, *others = world.snapshot.policies
    known = OffPolicyEstimate(value=0.0004, low=0.0001, high=0.0007, overlap=0.31)
    console = Screen(width=300, record=True)
    console.print(table_of(replace(world.snapshot, policies=(replace(first, dr=known), *others)), history))
    assert "4.00 [1.00, 7.00]" in (text := console.export_text())
    assert "31%" in text


def test_the_table_says_which_policy_nobody_has_registered() -> None:
    world = World()
    history = history_of(_story(world, 3), "s")
    world.unregister("p_flat")
    world.choose(choose("last"))
    assert world.snapshot is not None
    console = Screen(width=200, record=True)
    console.print(table_of(world.snapshot, history))
    assert console.export_text().count("not registered") == 1


def test_the_table_says_which_memories_are_trusted_and_what_was_expected_of_a_policy() -> None:
    world = World(priors={"p_flat": (0.0005, 50.0)})
    history = history_of(_story(world), "s")
    assert world.snapshot is not None
    memories = (RouterMemory(name="all", weight=0.25), RouterMemory(name="0.99", weight=0.75))
    console = Screen(width=200, record=True)
    console.print(table_of(replace(world.snapshot, memories=memories), history))
    text = console.export_text()
    assert "trusted memories: 0.99 75%, all 25%" in text
    assert "expected 5.00, worth 50" in text


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    path = tmp_path / "router.png"
    plot(history_of(_story(World()), "s"), "s", path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_without_choices_there_is_nothing_to_draw_and_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="nothing was chosen"):
        plot(History(), "s", tmp_path / "router.png")


def test_a_file_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be written"):
        plot(history_of(_story(World(), 3), "s"), "s", tmp_path / "absent" / "router.png")
