import json
import os
import signal
import socket
import threading
from types import SimpleNamespace

import pytest
from supervisor.options import ServerOptions

from libs.cli import ready, supervision

NOT_READY = {"status": 503, "detail": "Not ready: a; b.", "missing": ["a", "b"]}
DEGRADED = {"status": "degraded", "degraded": ["a book is away"]}


def a_gateway(server: socket.socket, *answers: tuple[int, object]) -> threading.Thread:
    """Answer one request after the other."""

    def answer() -> None:
        for status, said in answers:
            connection, _ = server.accept()
            with connection:
                connection.recv(1024)
                body = json.dumps(said).encode()
                connection.sendall(
                    b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body
                )

    thread = threading.Thread(target=answer)
    thread.start()
    return thread


def test_ready_waits_through_what_is_missing_and_tells_what_is_degraded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        gateway = a_gateway(server, (503, NOT_READY), (503, "rubbish"), (200, DEGRADED))
        assert ready.wait("127.0.0.1", port) == ["a book is away"]
        gateway.join()


def test_what_is_missing_is_told_by_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        gateway = a_gateway(server, (503, NOT_READY), (503, {"detail": "Still reading."}))
        assert ready.ask("127.0.0.1", port) == (False, ["a", "b"])
        assert ready.ask("127.0.0.1", port) == (False, ["Still reading."])
        gateway.join()


def test_ready_says_addresses_of_ipv6_hosts_as_a_client_takes_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: list[OSError | tuple[bool, list[str]]] = [OSError(), (True, [])]

    def ask(_host: str, _port: int) -> tuple[bool, list[str]]:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(ready, "ask", ask)
    monkeypatch.setattr(ready, "_PATIENCE_S", -1.0)
    monkeypatch.setenv("GATEWAY_HOST", "::1")
    monkeypatch.setenv("GATEWAY_PORT", "5010")
    assert ready.main() == 0
    waiting, is_ready = capsys.readouterr().out.splitlines()
    assert "the gateway on [::1]:5010 does not answer yet" in waiting
    assert "bookrunner is ready: http://[::1]:5010 " in is_ready


def test_a_death_is_news_and_an_asked_for_stop_is_not() -> None:
    assert supervision.is_news("exited: l2 (terminated by SIGKILL; not expected)")
    assert not supervision.is_news("stopped: l2 (exit status 0)")
    assert not supervision.is_news("received SIGINT indicating exit request")


class Programs:
    """A supervisor's programs by process id, and the ends of which it hears."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ends: list[tuple[int, int]] = []
        monkeypatch.setattr(ServerOptions, "waitpid", lambda _options: self.ends.pop(0))
        self.options = supervision.Options()
        self.options.pidhistory = {
            pid: SimpleNamespace(config=SimpleNamespace(name=name)) for pid, name in ((1, "l2"), (2, "kafka"))
        }

    def end(self, pid: int, status: int) -> bool:
        """Let a program end; return whether all is to end with it."""
        self.ends.append((pid, status))
        self.options.waitpid()
        return self.options.refused is not None


REFUSAL = os.EX_CONFIG << 8


def test_a_program_that_refuses_its_first_start_ends_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Programs(monkeypatch).end(1, REFUSAL)


def test_one_that_ran_before_may_refuse_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    programs = Programs(monkeypatch)
    assert not programs.end(2, signal.SIGKILL)
    assert not any(programs.end(2, REFUSAL) for _ in range(4))
    assert not programs.end(2, 1 << 8)  # it came up again
    assert not any(programs.end(2, REFUSAL) for _ in range(4))
    assert programs.end(2, REFUSAL)
    assert programs.options.refused == "kafka"
