"""`make audit` against a stand-in for the database at osv.dev, and where there is none."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from install import audit
from install.audit import CLEAN, KNOWN, NOT_AUDITED, main, read_record
from install.components import components

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

KAFKA = "org.apache.kafka:kafka-clients"


class Osv(BaseHTTPRequestHandler):
    """Answers as https://google.github.io/osv.dev/api/ says."""

    vulnerable: ClassVar[Mapping[str, list[list[str]]]] = {}  # pages of ids by name
    details: ClassVar[Mapping[str, dict[str, Any]]] = {}
    asked: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        self.asked.extend(queries)
        self._answer({"results": [self._result(query) for query in queries]})

    def _result(self, query: dict[str, Any]) -> dict[str, Any]:
        pages = self.vulnerable.get(query["package"]["name"], [])
        page = int(query.get("page_token", 0))
        if page >= len(pages):
            return {}
        result: dict[str, Any] = {"vulns": [{"id": each} for each in pages[page]]}
        return result | ({"next_page_token": str(page + 1)} if page + 1 < len(pages) else {})

    def do_GET(self) -> None:
        told = self.details.get(self.path.removeprefix("/v1/vulns/"))
        self._answer(told or {"code": 5}, 200 if told else 404)

    def _answer(self, answer: object, status: int = 200) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


class Broken(Osv):
    """Answers for fewer than were asked for."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer({"results": []})


@contextmanager
def database(kind: type[Osv] = Osv, **told: Any) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    asked: list[dict[str, Any]] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Told", (kind,), {"asked": asked, **told})) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "audited.json"


@pytest.fixture
def nowhere() -> str:
    with database() as (address, _):
        return address  # nobody listens there any more


def test_all_that_is_locked_is_asked_for_in_its_ecosystem(record: Path) -> None:
    with database() as (address, asked):
        assert main([address], record) == CLEAN
    told = {(q["package"]["ecosystem"], q["package"]["name"], q["version"]) for q in asked}
    assert told == {(each.ecosystem, each.name, each.version) for each in components()}
    assert {("npm", "swagger-ui-dist"), ("Maven", KAFKA), ("PyPI", "aiokafka")} <= {each[:2] for each in told}


def test_what_is_known_is_told_with_its_aliases_over_all_pages_and_fails(
    record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    details = {
        "GHSA-1": {"id": "GHSA-1", "aliases": ["CVE-2026-1"], "summary": "Reads\n what it\tmay not"},
        "GHSA-3": {"id": "GHSA-3", "withdrawn": "2026-01-01T00:00:00Z"},
    }
    vulnerable = {KAFKA: [["GHSA-1"], ["GHSA-2"]], "aiokafka": [["GHSA-3"]]}
    with database(vulnerable=vulnerable, details=details) as (address, _):
        assert main([address], record) == KNOWN
    told = capsys.readouterr().out
    assert f"{KAFKA} 4.3.0: GHSA-1 (CVE-2026-1 Reads what it may not)\n" in told
    assert f"{KAFKA} 4.3.0: GHSA-2\n" in told  # known, though nothing is told of it
    assert "GHSA-3" not in told
    assert "vulnerabilities: 2 known" in told


def test_without_the_database_it_says_when_it_last_could_and_what_it_found(
    record: Path, nowhere: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([nowhere], record) == NOT_AUDITED
    told = capsys.readouterr().err
    assert f"{nowhere} cannot be reached from here: nothing was audited. No audit is on record" in told
    assert not record.exists()
    with database(vulnerable={"aiokafka": [["GHSA-1"]]}) as (address, _):
        main([address], record)
    known = read_record(record)
    assert known is not None
    assert main([nowhere], record) == NOT_AUDITED
    told = capsys.readouterr().err
    assert (
        f"The last audit was on {known.at}, of {len(components())} packages: 1 vulnerabilities were known"
        in told
    )
    assert "the locks are the same since" in told
    assert "GHSA-1" in told
    assert read_record(record) == known  # a failure is no audit


def test_locks_that_have_changed_since_are_named(
    record: Path, nowhere: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with database() as (address, _):
        main([address], record)
    changed = audit.digests() | {"broker/jars.lock": "another"}
    monkeypatch.setattr(audit, "digests", lambda: changed)
    assert main([nowhere], record) == NOT_AUDITED
    told = capsys.readouterr().err
    assert "nothing was known; since then changed: broker/jars.lock" in told


def test_an_answer_that_is_not_for_each_package_is_no_audit(
    record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with database(Broken) as (address, _):
        assert main([address], record) == NOT_AUDITED
    assert "did not answer for each package: nothing was audited" in capsys.readouterr().err
    assert not record.exists()


@pytest.mark.parametrize(
    "result",
    [[], {"vulns": {}}, {"vulns": [1]}, {"vulns": [{}]}, {"vulns": [{"id": "../x"}]}, {"next_page_token": 1}],
)
def test_an_answer_in_another_form_is_no_audit(
    record: Path, result: object, capsys: pytest.CaptureFixture[str]
) -> None:
    with database(_result=lambda _self, _query: result) as (address, _):
        assert main([address], record) == NOT_AUDITED
    assert "answered in another form than osv.dev does: nothing was audited" in capsys.readouterr().err
    assert not record.exists()


def test_what_a_stranger_writes_of_a_vulnerability_commands_no_terminal(
    record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    details = {"GHSA-1": {"summary": "\x1b[2Jall\u202eis well\x07", "aliases": 7}}
    with database(vulnerable={"aiokafka": [["GHSA-1"]]}, details=details) as (address, _):
        assert main([address], record) == KNOWN
    assert "GHSA-1 (�[2Jall�is well�)\n" in capsys.readouterr().out


@pytest.mark.parametrize("rubbish", ["", "{}", "[]", '{"at": 1, "findings": [["a"]]}'])
def test_a_record_that_cannot_be_read_is_none(record: Path, rubbish: str) -> None:
    record.write_text(rubbish)
    assert read_record(record) is None
