"""The image that the containers of these tests run, built once from this checkout."""

from __future__ import annotations

import subprocess

import pytest

from tests.compose.stack import ROOT, images_at_hand

BUILD_S = 900


@pytest.fixture(scope="session")
def image() -> str:
    """Build the image, with the layers of the last build where nothing changed, and return its id."""
    bases = [
        f"--build-arg={name}={image}" for name, image in images_at_hand().items() if name == "PYTHON_IMAGE"
    ]
    done = subprocess.run(
        ["docker", "build", "--quiet", *bases, "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    assert done.returncode == 0, f"docker build failed (is a Docker engine running?): {done.stderr[-3000:]}"
    return done.stdout.strip()
