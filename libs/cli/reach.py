"""The network as far as installing needs it: proxies, certificates, the package index that pip is set to."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed

from libs.cli.findings import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

CERTIFICATES: Final = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
ASKED_FOR: Final = "packaging"  # small, and among what is locked
PATIENCE_S: Final = 30.0
_WHEELS: Final = "/usr/share/python-wheels"  # where Debian keeps the pip of its venv module


def proxies_finding(environment: Mapping[str, str]) -> Finding:
    """Judge the proxy variables; their values may hold passwords and are not shown."""
    named = sorted(
        name
        for name in environment
        if name.lower() in {"http_proxy", "https_proxy", "all_proxy"}
        if environment[name]
    )
    if not named:
        return Finding(Verdict.OK, "proxies", "none is set")
    spared = {"no": environment.get("no_proxy") or environment.get("NO_PROXY") or ""}
    says = f"{', '.join(named)} set"
    if not all(proxy_bypass_environment(host, spared) for host in ("localhost", "127.0.0.1")):
        return Finding(
            Verdict.WARN,
            "proxies",
            f"{says}, and NO_PROXY does not name this machine: curl may ask the proxy for localhost",
            "export NO_PROXY=localhost,127.0.0.1 no_proxy=localhost,127.0.0.1",
        )
    return Finding(Verdict.OK, "proxies", says)


def certificates_finding(environment: Mapping[str, str]) -> Finding:
    """Judge the variables that name certificates, as behind a proxy that inspects TLS."""
    named = {name: environment[name] for name in CERTIFICATES if environment.get(name)}
    absent = [f"{name}={file}" for name, file in named.items() if not Path(file).exists()]
    if absent:
        return Finding(
            Verdict.FAIL, "certificates", f"no such file: {', '.join(absent)}", "correct it, or unset it"
        )
    return Finding(Verdict.OK, "certificates", f"{', '.join(named)} set" if named else "those of the system")


def index_finding(*, installed: bool) -> Finding:
    """Ask the package index for a small package, by pip as it is configured; needed only to install."""
    wheels = [] if importlib.util.find_spec("pip") else _bundled()
    if not wheels and importlib.util.find_spec("pip") is None:
        return Finding(Verdict.OK, "index", "not asked: there is no pip here that could install anything")
    question = [sys.executable, "-m", "pip", "index", "versions", ASKED_FOR, "--no-color", "--no-input"]
    options = ["--disable-pip-version-check", "--retries=1", "--timeout=10"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(wheels)} if wheels else dict(os.environ)
    try:
        done = subprocess.run(  # noqa: S603 -- pip
            [*question, *options],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            env=environment,
        )
        said, answered = done.stdout + done.stderr, done.returncode == 0
    except subprocess.TimeoutExpired:
        said, answered = "timed out", False
    return judge_index(said, answered=answered, installed=installed)


def judge_index(said: str, *, answered: bool, installed: bool) -> Finding:
    """Judge by what pip said; without the index what is installed works, and nothing more can be."""
    if answered:
        return Finding(Verdict.OK, "index", "pip reaches the package index")
    from install.failures import explanation  # noqa: PLC0415 -- a container's image may come without

    advice = explanation(said)
    return Finding(Verdict.WARN if installed else Verdict.FAIL, "index", "pip does not get an answer", advice)


def _bundled() -> list[str]:
    """Return the pip with which Python fills a new venv."""
    ensurepip = importlib.util.find_spec("ensurepip")
    folders = [Path(_WHEELS)]
    if ensurepip is not None and ensurepip.origin:
        folders.append(Path(ensurepip.origin).parent / "_bundled")
    return [str(wheel) for folder in folders for wheel in sorted(folder.glob("pip-*.whl"))][:1]
