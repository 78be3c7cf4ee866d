from __future__ import annotations

import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from install.platforms import OLDEST_GLIBC as LOCKED_GLIBC
from install.platforms import OLDEST_MACOS as LOCKED_MACOS
from install.platforms import PYTHONS
from libs.cli.container_limits import Limits, limits
from libs.cli.findings import GIB, Finding, Verdict, failed, space_finding
from libs.cli.machine import (
    OLDEST_GLIBC,
    OLDEST_MACOS,
    PORTS,
    platform_finding,
    port_findings,
    processors_finding,
    python_finding,
    tools_finding,
)
from libs.cli.reach import certificates_finding, judge_index, proxies_finding

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[4]


def test_only_supported_pythons_pass() -> None:
    verdicts = {minor: python_finding((3, minor, 0)).verdict for minor in (10, 11, 13, 14, 15)}
    assert verdicts == {10: "fail", 11: "ok", 13: "ok", 14: "ok", 15: "fail"}
    assert "nothing was tested" in python_finding((3, 14, 0)).says


def test_the_bounds_of_the_doctor_are_those_of_the_locks_and_of_the_project() -> None:
    assert (OLDEST_GLIBC, OLDEST_MACOS) == ((2, LOCKED_GLIBC), (LOCKED_MACOS, 0))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ">=3.11,<3.15"
    assert tuple((3, minor) for minor in range(11, 15)) == PYTHONS


@pytest.mark.parametrize(
    ("system", "machine", "libc", "macos", "verdict"),
    [
        ("linux", "x86_64", (2, 28), None, Verdict.OK),
        ("linux", "aarch64", (2, 36), None, Verdict.OK),
        ("linux", "x86_64", (2, 17), None, Verdict.FAIL),
        ("linux", "x86_64", None, None, Verdict.FAIL),  # musl
        ("linux", "riscv64", (2, 39), None, Verdict.FAIL),
        ("darwin", "arm64", None, (12, 0), Verdict.OK),
        ("darwin", "x86_64", None, (11, 7), Verdict.FAIL),
        ("win32", "AMD64", None, None, Verdict.FAIL),
    ],
)
def test_a_platform_passes_where_what_is_locked_has_wheels(
    system: str, machine: str, libc: tuple[int, int] | None, macos: tuple[int, int] | None, verdict: Verdict
) -> None:
    assert platform_finding(system, machine, libc, macos).verdict is verdict


def test_windows_is_sent_to_wsl2() -> None:
    assert "WSL2" in platform_finding("win32", "AMD64", None, None).mend


def test_space_fails_warns_and_passes_by_its_bounds() -> None:
    verdicts = [
        space_finding("disk", free * GIB, 1 * GIB, 6 * GIB, "free some").verdict for free in (0, 1, 6)
    ]
    assert verdicts == ["fail", "warn", "ok"]


def test_only_a_failure_fails() -> None:
    assert not failed([Finding(Verdict.OK, "a", "b"), Finding(Verdict.WARN, "a", "b")])
    assert failed([Finding(Verdict.OK, "a", "b"), Finding(Verdict.FAIL, "a", "b")])


def groups(folder: Path, membership: str, files: Mapping[str, str]) -> Limits:
    for name, text in files.items():
        file = folder / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (folder / "membership").write_text(membership)
    return limits(folder / "membership", folder / "cgroup")


def test_the_tightest_group_above_limits_memory_and_processors(tmp_path: Path) -> None:
    found = groups(
        tmp_path,
        "0::/outer/inner\n",
        {
            "outer/memory.max": "1000\n",
            "outer/memory.current": "700\n",
            "outer/memory.stat": "anon 500\ninactive_file 150\n",
            "outer/inner/memory.max": "max\n",
            "outer/inner/cpu.max": "150000 100000\n",
            "outer/cpu.max": "max 100000\n",
        },
    )
    assert found == Limits(450, 1.5)  # files that would be given back count as free


def test_groups_of_the_first_version_limit_too(tmp_path: Path) -> None:
    found = groups(
        tmp_path,
        "5:memory:/box\n4:cpu,cpuacct:/box\n1:name=systemd:/box\n",
        {
            "memory/box/memory.limit_in_bytes": "2000\n",
            "memory/box/memory.usage_in_bytes": "500\n",
            "memory/memory.limit_in_bytes": "9223372036854771712\n",  # no limit
            "cpu,cpuacct/box/cpu.cfs_quota_us": "50000\n",
            "cpu,cpuacct/box/cpu.cfs_period_us": "100000\n",
            "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        },
    )
    assert found == Limits(1500, 0.5)


def test_a_container_that_sees_its_group_as_the_root_is_limited(tmp_path: Path) -> None:
    files = {"memory.max": "1000\n", "memory.current": "400\n", "cpu.max": "200000 100000\n"}
    assert groups(tmp_path, "0::/\n", files) == Limits(600, 2.0)


def test_without_control_groups_nothing_limits(tmp_path: Path) -> None:
    assert limits(tmp_path / "none", tmp_path) == Limits(None, None)


def test_processors_are_those_that_a_container_may_use() -> None:
    assert processors_finding(8, None).verdict is Verdict.OK
    limited = processors_finding(8, 1.5)
    assert (limited.verdict, limited.says) == (Verdict.WARN, "1.5 of 8, by this container's limit")


def test_programs_that_are_absent_are_named() -> None:
    assert tools_finding({"make": True, "jq": False}).says == "without jq"
    assert tools_finding({"make": True}).verdict is Verdict.OK


def ports(**moved: str) -> dict[str, str]:
    free = {}
    for name in PORTS:
        with socket.create_server(("127.0.0.1", 0)) as server:
            free[name] = str(server.getsockname()[1])
    return free | moved


def test_free_ports_are_one_line() -> None:
    (finding,) = port_findings(ports())
    assert finding.verdict is Verdict.OK


def test_a_taken_port_is_named_with_the_variable_that_moves_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        environment = ports(KAFKA_PORT=port)
        (finding,) = port_findings(environment)
        assert finding.verdict is Verdict.WARN
        assert finding.says == f"KAFKA_PORT {port} is taken"
        assert "make run KAFKA_PORT=" in finding.mend
        assert [each.verdict for each in port_findings(environment, taken_is_told=True)] == [Verdict.OK]


@pytest.mark.parametrize("text", ["99999", "0", "-1", "kafka"])
def test_what_is_no_port_fails(text: str) -> None:
    (finding,) = port_findings(ports(GATEWAY_PORT=text))
    assert (finding.verdict, finding.says) == (Verdict.FAIL, f"GATEWAY_PORT={text} is no port")


def test_a_proxy_that_is_asked_for_this_machine_warns_and_no_password_is_shown() -> None:
    proxied = {"HTTPS_PROXY": "http://user:secret@proxy.example:3128"}
    finding = proxies_finding(proxied)
    assert finding.verdict is Verdict.WARN
    assert "NO_PROXY" in finding.mend
    assert "secret" not in f"{finding}"
    assert proxies_finding(proxied | {"NO_PROXY": "localhost,127.0.0.1"}).verdict is Verdict.OK
    assert proxies_finding({}).says == "none is set"


def test_a_certificate_that_is_not_there_fails(tmp_path: Path) -> None:
    assert certificates_finding({"PIP_CERT": str(tmp_path / "none.pem")}).verdict is Verdict.FAIL
    assert certificates_finding({"PIP_CERT": __file__}).verdict is Verdict.OK


def test_an_index_out_of_reach_fails_only_while_something_is_to_be_installed() -> None:
    said = (
        "connection broken by 'NewConnectionError(...)'\nERROR: No matching distribution found for packaging"
    )
    before = judge_index(said, answered=False, installed=False)
    assert before.verdict is Verdict.FAIL
    assert "HTTPS_PROXY" in before.mend
    assert judge_index(said, answered=False, installed=True).verdict is Verdict.WARN
    assert judge_index("packaging (26.3)", answered=True, installed=False).verdict is Verdict.OK


def test_it_needs_nothing_but_the_standard_library() -> None:
    told = subprocess.run(
        [sys.executable, "-S", "-E", "-X", "importtime", "-c", "import libs.cli.machine, install.failures"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.splitlines()}
    assert {name for name in imported if not name.startswith("_")} - sys.stdlib_module_names <= {
        "imported package",
        "install",
        "libs",
        "encodings",
    }
