from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from services.venues.app import INPUTS
from services.venues.faust_app import faust_app
from services.venues.settings import VenuesSettings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_faust_makes_no_folder_whose_name_another_user_could_guess(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    app = faust_app(VenuesSettings(), INPUTS)
    app._create_directories()  # noqa: SLF001 -- what its start calls
    assert list(tmp_path.iterdir()) == []
