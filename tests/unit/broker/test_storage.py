from pathlib import Path

from broker.storage import format_once


def identity(log_dir: Path) -> dict[str, str]:
    lines = (log_dir / "meta.properties").read_text(encoding="ascii").splitlines()
    return dict(line.split("=") for line in lines)


def test_a_formatted_storage_keeps_its_identity(tmp_path: Path) -> None:
    format_once(tmp_path / "logs")
    drawn = identity(tmp_path / "logs")
    format_once(tmp_path / "logs")
    assert identity(tmp_path / "logs") == drawn
    assert len(drawn["cluster.id"]) == len(drawn["directory.id"]) == 22  # 16 bytes in base64


def test_two_clusters_differ(tmp_path: Path) -> None:
    format_once(tmp_path / "a")
    format_once(tmp_path / "b")
    of_a, of_b = identity(tmp_path / "a"), identity(tmp_path / "b")
    assert of_a["cluster.id"] != of_b["cluster.id"]
    assert of_a["directory.id"] != of_b["directory.id"]


def test_a_format_that_was_broken_off_is_done_again(tmp_path: Path) -> None:
    (tmp_path / "bootstrap.checkpoint").write_bytes(b"half")
    format_once(tmp_path)
    assert len((tmp_path / "bootstrap.checkpoint").read_bytes()) > len(b"half")
    assert (tmp_path / "meta.properties").exists()
