"""What `make sbom` writes, beside the locks that it is made of."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from broker.jar_lock import KAFKA
from install.components import MAVEN, NPM, PYPI, components, swagger_ui
from install.images import LOCK as IMAGES
from install.images import read_images
from install.pins import LOCKS, read
from install.sbom import sbom
from install.webjars import LIBRARIES, WEBJARS


@cache
def text() -> str:
    return sbom()


def parts() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text())["components"]
    return found


def test_it_is_what_the_schema_of_cyclonedx_1_6_says() -> None:
    assert json.loads(text())["specVersion"] == "1.6"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text()) is None


def test_the_validator_would_have_found_a_fault() -> None:
    assert (
        JsonStrictValidator(SchemaVersion.V1_6).validate_str(text().replace('"purl"', '"pearl"', 1))
        is not None
    )


def test_another_process_writes_the_same_bytes() -> None:
    again = subprocess.run([sys.executable, "-m", "install.sbom"], capture_output=True, check=True, text=True)
    assert again.stdout == text()


def test_each_locked_package_is_there_with_its_files_and_their_hashes() -> None:
    found = {part["purl"]: part for part in parts()}
    runs = {pin.name for lock in ("services", "native") for pin in read(lock)}
    for lock in LOCKS:
        for pin in read(lock):
            part = found[f"pkg:pypi/{pin.name}@{pin.version}"]
            hashes = {each["content"] for file in part["components"] for each in file["hashes"]}
            assert hashes >= set(pin.hashes), pin.name
            assert (part["scope"] == "required") == (pin.name in runs), pin.name


def test_each_jar_of_kafka_and_of_the_page_is_there_with_its_hash() -> None:
    found = {part["purl"]: part for part in parts()}
    for jar in (*KAFKA.jars(), *WEBJARS.jars()):
        group, artifact, version = jar.coordinate.split(":")
        part = found[f"pkg:maven/{group}/{artifact}@{version}"]
        assert part["hashes"] == [{"alg": "SHA-256", "content": jar.sha256}]
        assert part["scope"] == "required"


def test_the_images_and_the_javascript_of_the_page_are_there() -> None:
    found = {(part["type"], part.get("group", ""), part["name"], part["version"]) for part in parts()}
    for image in read_images(IMAGES.read_text(encoding="utf-8")):
        group, _, name = image.name.rpartition("/")
        assert ("container", group, name, image.tag) in found
    assert ("library", "", "swagger-ui-dist", swagger_ui().version) in found
    for library in LIBRARIES:
        assert ("library", "", library.name, library.version) in found


def test_nothing_else_is_there() -> None:
    images = read_images(IMAGES.read_text(encoding="utf-8"))
    assert len(parts()) == len(components()) + len(images)
    assert {each.ecosystem for each in components()} == {PYPI, MAVEN, NPM}


def test_what_states_its_licence_is_told_with_it() -> None:
    told = {part["name"] for part in parts() if part.get("licenses")}
    assert {"aiokafka", "aiohttp", "fastapi", "uvicorn"} <= told
    page = {part["purl"]: part["licenses"] for part in parts() if part["name"] in {"lit-html", "uplot"}}
    assert {purl: each["license"]["id"] for purl, (each,) in page.items()} == {
        "pkg:maven/org.webjars.npm/lit-html@3.1.0": "BSD-3-Clause",
        "pkg:maven/org.webjars.npm/uplot@1.6.30": "MIT",
        "pkg:npm/lit-html@3.1.0": "BSD-3-Clause",
        "pkg:npm/uplot@1.6.30": "MIT",
    }
