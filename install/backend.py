"""What builds the wheel: setuptools, once the libraries of the page are there to go into it.

An editable installation is of this folder, and takes what `make setup` brings into it later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403 -- the other hooks of PEP 517 and 660

from install.page_files import FOLDER, PAGE, lacking

if TYPE_CHECKING:
    from pathlib import Path


class PageIncompleteError(Exception):
    """The libraries of the page would be missing in what is built."""


def build_wheel(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Build a wheel; see `check_page`."""
    check_page()
    name: str = build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
    return name


def build_sdist(sdist_directory: str, config_settings: dict[str, Any] | None = None) -> str:
    """Build a source distribution, from which a wheel can be built; see `check_page`."""
    check_page()
    name: str = build_meta.build_sdist(sdist_directory, config_settings)
    return name


def check_page(page: Path = PAGE) -> None:
    """
    Build nothing whose page would not work.

    Raises
    ------
    PageIncompleteError
        If a library of the page is missing or damaged.
    """
    if names := lacking(page):
        raise PageIncompleteError(
            f"the page's libraries are not whole: {', '.join(names)} of services/gateway/page/{FOLDER} "
            f"{'is' if len(names) == 1 else 'are'} missing or damaged; run `make setup`, which fetches them, "
            "and build again"
        )
