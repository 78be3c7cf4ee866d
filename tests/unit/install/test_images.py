"""The images that containers are made of: one lock, and the files that take them from it."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from install.images import (
    LOCK,
    ROOT,
    USERS,
    VARIABLES,
    Image,
    UnresolvedError,
    main,
    read_images,
    renewed,
    resolve,
    written,
)
from tests.kafka_cluster import IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

DIGEST = f"sha256:{'ab' * 32}"
PYTHON = Image("python", "3.11-slim-bookworm", "-")


def locked() -> list[Image]:
    return read_images(LOCK.read_text(encoding="utf-8"))


class Registry(BaseHTTPRequestHandler):
    """A stand-in for a registry that wants a token, and tells one digest."""

    asked: list[str]
    digest = DIGEST

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = b'{"token": "let-me-in"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.asked.append(self.path)
        if self.headers.get("Authorization") != "Bearer let-me-in":
            host = self.headers["Host"]
            self.send_response(401)
            self.send_header(
                "WWW-Authenticate",
                f'Bearer realm="http://{host}/token",service="registry",scope="repository:x:pull"',
            )
        else:
            self.send_response(200)
            self.send_header("Docker-Content-Digest", self.digest)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def registry(digest: str = DIGEST) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    kind = type("Told", (Registry,), {"asked": asked, "digest": digest})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("name", USERS)
def test_each_file_takes_its_images_from_the_lock(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert renewed(text, locked()) == text
    assert renewed(text, [image._replace(tag="another") for image in locked()]) != text


def test_no_file_names_an_image_beside_its_variable() -> None:
    for path in (ROOT / "Dockerfile", *ROOT.glob("docker-compose*.yml")):
        text = path.read_text(encoding="utf-8")
        stages = re.findall(r"(?m)^FROM \S+ AS (\S+)$", text)
        for line in text.splitlines():
            if line.startswith("FROM ") and line.split()[1] in stages:
                continue  # what another stage has made of an image
            if line.startswith("FROM ") or line.strip().startswith("image:"):
                assert "${" in line, f"{path.name}: {line}"
    assert {image.name for image in locked()} == VARIABLES.keys()


def test_the_tests_run_on_the_kafka_that_is_locked() -> None:
    assert IMAGE in {f"{image.name}:{image.tag}" for image in locked()}


def test_a_digest_is_asked_for_with_a_token_and_stands_behind_the_tag_wherever_the_image_does() -> None:
    with registry() as (address, asked):
        digest = resolve(address, PYTHON)
    assert digest == DIGEST
    manifest = "/v2/library/python/manifests/3.11-slim-bookworm"
    assert asked == [manifest, "/token?service=registry&scope=repository%3Ax%3Apull", manifest]
    resolved = [image._replace(digest=digest) for image in locked()]
    dockerfile, compose = (renewed((ROOT / name).read_text(encoding="utf-8"), resolved) for name in USERS)
    assert f"ARG PYTHON_IMAGE=python:3.11-slim-bookworm@{DIGEST}\n" in dockerfile
    assert f"image: ${{KAFKA_IMAGE:-apache/kafka:4.3.0@{DIGEST}}}" in compose
    assert f"PYTHON_IMAGE: ${{PYTHON_IMAGE:-python:3.11-slim-bookworm@{DIGEST}}}" in compose
    assert read_images(written(resolved)) == resolved
    assert renewed(compose, locked()) == (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


def test_what_is_no_digest_is_refused_from_the_registry_and_in_the_lock() -> None:
    with (
        registry("latest") as (address, _),
        pytest.raises(UnresolvedError, match="tells no digest of python"),
    ):
        resolve(address, PYTHON)
    with pytest.raises(ValueError, match="'sha256:12' of python is no digest"):
        read_images("python 3.11-slim-bookworm sha256:12\n")


def test_without_a_registry_all_stays_as_it_is_and_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with registry() as (address, _):
        pass  # nobody listens there any more
    before = [(ROOT / name).read_bytes() for name in USERS] + [LOCK.read_bytes()]
    assert main([address]) == 0
    assert "cannot be reached from here: the images stay as they are" in capsys.readouterr().err
    assert [(ROOT / name).read_bytes() for name in USERS] + [LOCK.read_bytes()] == before
