import gc
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from broker.errors import JarsUnavailableError
from broker.jar_lock import KAFKA, LOCK_FILE, JarLock, LockedJar, read_lock
from broker.jars import complete

CONTENT = b"PK not really a jar" * 1000


def a_locked_jar(content: bytes = CONTENT, coordinate: str = "org.example:thing:1.0") -> LockedJar:
    return LockedJar(hashlib.sha256(content).hexdigest(), len(content), coordinate)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve a folder as the Maven repository that jgo is configured to use."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        configuration = tmp_path / "jgo.conf"
        configuration.write_text(f"[repositories]\nlocal = http://127.0.0.1:{server.server_port}\n")
        monkeypatch.setenv("JGO_CONFIG_FILE", str(configuration))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield folder
        server.shutdown()
        thread.join()


@contextmanager
def refused(match: str) -> Iterator[None]:
    with pytest.raises(JarsUnavailableError, match=match):
        yield


def put(folder: Path, jar: LockedJar, content: bytes) -> Path:
    path = jar.path_in(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_the_committed_lock_names_kafka_and_its_logging_binding_once_each() -> None:
    coordinates = [jar.coordinate for jar in read_lock(LOCK_FILE.read_text(encoding="utf-8"))]
    assert len(coordinates) == len(set(coordinates))
    assert "org.apache.kafka:kafka_2.13:4.3.0" in coordinates
    assert any(coordinate.startswith("org.slf4j:slf4j-simple:") for coordinate in coordinates)


def test_a_missing_jar_is_fetched_and_progress_is_told(mirror: Path, tmp_path: Path) -> None:
    jar, cache, told = a_locked_jar(), tmp_path / "cache", list[str]()
    put(mirror, jar, CONTENT)
    complete(KAFKA, [jar], cache, told.append)
    assert jar.path_in(cache).read_bytes() == CONTENT
    assert told[-1] == "fetching Kafka 4.3.0, once: 0.0 of 0.0 MB"


def test_what_is_fetched_is_said_by_the_words_of_its_own_lock(mirror: Path, tmp_path: Path) -> None:
    jar, told = a_locked_jar(), list[str]()
    lock = JarLock(tmp_path / "own.lock", "the things")
    put(mirror, jar, CONTENT)
    complete(lock, [jar], tmp_path / "cache", told.append)
    assert told[-1].startswith("fetching the things, once: ")
    put(mirror, jar, b"else")
    with refused(r"those locked in own\.lock"):
        complete(lock, [jar], tmp_path / "another", told.append)


def test_a_full_cache_needs_no_network_and_says_nothing(tmp_path: Path) -> None:
    jar, told = a_locked_jar(), list[str]()
    put(tmp_path, jar, CONTENT)
    complete(KAFKA, [jar], tmp_path, told.append)
    assert told == []


@pytest.mark.parametrize("damage", [CONTENT[:-1], b"", b"X" + CONTENT[1:]])
def test_a_damaged_jar_is_fetched_again(mirror: Path, tmp_path: Path, damage: bytes) -> None:
    jar = a_locked_jar()
    put(mirror, jar, CONTENT)
    path = put(tmp_path / "cache", jar, damage)
    complete(KAFKA, [jar], tmp_path / "cache", lambda _line: None)
    assert path.read_bytes() == CONTENT


def test_other_bytes_than_locked_are_refused_and_not_kept(mirror: Path, tmp_path: Path) -> None:
    jar = a_locked_jar()
    put(mirror, jar, b"something else")
    with refused("other bytes than those locked"):
        complete(KAFKA, [jar], tmp_path / "cache", lambda _line: None)
    assert not jar.path_in(tmp_path / "cache").exists()


@pytest.mark.usefixtures("mirror")
# jgo leaves the connection of a 404 to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_jar_that_no_repository_has_is_named(tmp_path: Path) -> None:
    with refused("org.example:thing:1.0 cannot be fetched"):
        complete(KAFKA, [a_locked_jar()], tmp_path / "cache", lambda _line: None)
    gc.collect()


def test_without_network_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = tmp_path / "jgo.conf"
    configuration.write_text("[repositories]\nnowhere = http://127.0.0.1:9\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with refused("cannot be reached .*Connection refused.*connect to the network"):
        complete(KAFKA, [a_locked_jar()], tmp_path / "cache", lambda _line: None)


def test_a_cache_that_cannot_be_written_names_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with refused("set KAFKA_JARS_DIR to another folder"):
        complete(KAFKA, [a_locked_jar()], tmp_path / "file" / "cache", lambda _line: None)
