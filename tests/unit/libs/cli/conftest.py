"""What a command leaves in the environment for the programs it starts ends with its test."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _environment_of_its_own() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
