from pathlib import Path

import pytest

from broker import training


def test_what_a_killed_training_left_is_removed_though_nothing_is_to_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "kafka-0123456789abcdef.aot"
    cache.touch()
    (tmp_path / ".kafka-abc" / "kafka").mkdir(parents=True)
    (tmp_path / ".kafka-abc" / "draft.aot").touch()
    monkeypatch.setattr(training, "cache_file", lambda _jars: cache)
    told = list[str]()
    training.ensure_class_cache([], tmp_path, told.append)
    assert list(tmp_path.iterdir()) == [cache]
    assert told == []
