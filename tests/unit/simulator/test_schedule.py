from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.schedule import Schedule


@settings(max_examples=500)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5), st.integers(0, 6)), min_size=4))
def test_it_takes_what_a_dict_of_the_earliest_times_would(steps: list[tuple[str, int, int]]) -> None:
    schedule, due = Schedule[str](), dict[str, int]()
    for key, at_ns, now_ns in steps:
        schedule.add(key, at_ns)
        due[key] = min(due.get(key, at_ns), at_ns)
        ready = {each for each, at in due.items() if at <= now_ns}
        taken = schedule.take(now_ns)
        assert [due[each] for each in taken] == sorted(due.pop(each) for each in ready)
        assert set(taken) == ready
        assert len(taken) == len(ready)


def test_keys_of_one_time_come_in_the_order_in_which_they_were_added() -> None:
    schedule = Schedule[object]()
    keys = [object() for _ in range(20)]  # cannot be compared
    for key in keys:
        schedule.add(key, 5)
    assert schedule.take(4) == []
    assert schedule.take(5) == keys
