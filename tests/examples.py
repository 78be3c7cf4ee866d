"""``make examples``: what the running system answers, as the examples of its OpenAPI document.

Every operation is asked as the document's own examples ask it. Of each answer a list keeps `SCALARS` numbers
or texts or `OTHERS` of anything else, and the answer's own list one; what an audit hashes stays whole.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import requests

from services.gateway.http.problems import PROBLEM_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = Path(__file__).parents[1] / "services/gateway/http/examples"
PORT: Final = os.environ.get("GATEWAY_PORT", "5000")
GATEWAY: Final = f"http://127.0.0.1:{PORT}"
ANSWER_S: Final = 60.0
SCALARS: Final = 3
OTHERS: Final = 2
RETRY_S: Final = 0.5
LINES: Final = 3  # of a text
HASHED: Final = "payload"
ATTEMPTS: Final = 40  # until an execution trades
JSON: Final = {"Content-Type": "application/json"}

# What is refused with each kind of problem, where that is easy to provoke: method, path, headers, body.
REFUSED: Final[Mapping[str, tuple[str, str, dict[str, str], str]]] = {
    "not-json": ("POST", "/api/venues/score", JSON, '{"symbol": '),
    "unknown-route": ("GET", "/api/l3", {}, ""),
    "unknown-venue": ("GET", "/api/l2/binanse/BTCUSDT", {}, ""),
    "unknown-symbol": ("GET", "/api/l2/binance/BITCOIN", {}, ""),
    "not-subscribed": ("GET", "/api/l2/okx/ADAUSDT", {}, ""),
    "not-known-then": ("GET", "/api/l2/binance/BTCUSDT?at=1767000000000", {}, ""),
    "unknown-topic": ("GET", "/api/stream?topics=l2.trade.v1", {}, ""),
    "no-record": ("GET", "/api/records/l2.trades.v1/0/9007199254740991", {}, ""),
    "unknown-name": ("GET", "/api/exec/6f1b0a52-0000-5000-8000-000000000000", {}, ""),
    "foreign-page": (
        "GET",
        "/api/l2",
        {"Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-site"},
        "",
    ),
    "misdirected": ("GET", "/api/l2", {"Host": "desk.example:5000"}, ""),
    "method-not-allowed": ("PATCH", "/api/l2", JSON, "{}"),
    "idempotency-key-reused": (
        "POST",
        "/api/venues/score",
        JSON | {"Idempotency-Key": "order-17"},
        '{"symbol": "BTCUSDT", "size": 0.03}',
    ),
    "too-large": ("POST", "/api/venues/score", JSON, " " * 70_000),
    "uri-too-long": ("GET", f"/api/l2?{'a' * 9_000}", {}, ""),
    "headers-too-large": ("GET", "/api/l2", {"X-Much": "a" * 40_000}, ""),
    "wrong-media-type": ("POST", "/api/venues/score", {"Content-Type": "text/plain"}, "{}"),
    "invalid": ("POST", "/api/venues/score", JSON, '{"symbol": "BTCUSDT", "size": 0, "color": "red"}'),
}


def short(value: Any) -> Any:
    """Return the JSON with its lists cut."""
    if isinstance(value, dict):
        return {name: part if name == HASHED else short(part) for name, part in value.items()}
    if isinstance(value, list):
        scalars = all(not isinstance(part, dict | list) for part in value)
        return [short(part) for part in value[: SCALARS if scalars else OTHERS]]
    return value


class Capture:
    """One pass over a running system."""

    def __init__(self) -> None:
        self.session = requests.Session()
        paths = self.session.get(f"{GATEWAY}/openapi.json", timeout=ANSWER_S).json()["paths"]
        self.operations = {
            operation["operationId"]: (method.upper(), path, operation)
            for path, methods in paths.items()
            for method, operation in methods.items()
        }

    def ask(self, name: str, body: Any = None, query: str = "", **given: str) -> requests.Response:
        """Ask as the document's examples do, but for `body` and what is `given` for parameters."""
        method, path, operation = self.operations[name]
        required = {p["name"]: p.get("example") for p in operation.get("parameters", ()) if p["required"]}
        in_path = {name: given.get(name, example) for name, example in required.items()}
        asked = {
            p["name"]: in_path[p["name"]]
            for p in operation.get("parameters", ())
            if p["in"] == "query" and p["required"]
        }
        if body is None and "requestBody" in operation:
            body = operation["requestBody"]["content"]["application/json"]["example"]
        url = GATEWAY + path.format(**in_path) + query
        answer = self.session.request(method, url, params=asked, json=body, timeout=ANSWER_S, stream=True)
        if not answer.ok:
            raise SystemExit(f"{method} {url} was answered {answer.status_code}: {answer.text[:500]}")
        return answer

    def keep(self, name: str, *answers: requests.Response, file: str | None = None) -> Any:
        """Write what was answered, by status, and return the last answer, whole."""
        told = {str(answer.status_code): answer.json() for answer in answers}
        cut = {status: short(each[:1] if isinstance(each, list) else each) for status, each in told.items()}
        write(file or name, cut)
        return answers[-1].json()

    def decide(self) -> None:
        """Ask for everything that a service decides."""
        for name in ("choose", "update", "optimize", "score", "simulate"):
            self.keep(name, self.ask(name))
        self.keep("retire_policy", self.ask("retire_policy", policy_id="p_obi"))
        self.keep("add_policy", self.ask("add_policy"))
        self.keep("paper_order", self.ask("paper_order"))
        limit = {"symbol": "BTCUSDT", "side": "buy", "size": "0.02", "ordType": "limit", "limit": "1000"}
        resting = self.ask("paper_order", limit).json()["order"]["orderId"]
        self.keep("cancel_order", self.ask("cancel_order", order_id=resting))

    def tell(self) -> None:
        """Tell what an outsider may; the webhook's example stays as it is: a system as it is has none."""
        for name in ("signal", "context_input", "declare_features"):
            self.ask(name)
        while not (answer := self.ask("signal")).json()["registered"]:
            time.sleep(RETRY_S)
        self.keep("signal", answer)
        for name in ("context_input", "declare_features"):
            self.keep(name, self.ask(name))
        self.keep("get_signals", self.ask("get_signals", query="?policyId=x_trend"))
        self.keep("get_context", self.ask("get_context"))

    def control(self) -> None:
        """Halt a venue and resume it, and set limits as they are."""
        for name in ("halt", "resume", "set_limits"):
            self.keep(name, self.ask(name))

    def let_go_wrong(self) -> None:
        """Ask the simulated exchanges for two faults, and end one and then all; they strike hardly ever."""
        self.ask("add_fault")
        number = str(self.keep("add_fault", self.ask("add_fault"))["id"])
        self.keep("get_simulation", self.ask("get_simulation"))
        self.keep("end_fault", self.ask("end_fault", number=number))
        self.keep("end_faults", self.ask("end_faults"))
        self.keep("get_system", self.ask("get_system"))

    def execute(self) -> str:
        """Execute until something is traded, and return its id."""
        for _ in range(ATTEMPTS):
            answer = self.ask("plan_and_execute", query="?wait=final&timeoutS=50")
            told = answer.json()
            if told["fills"] and told["status"] == "completed":
                self.keep("plan_and_execute", answer)
                self.keep("cancel", self.ask("cancel", execution_id=told["executionId"]))
                return str(told["executionId"])
        raise SystemExit(f"nothing was traded in {ATTEMPTS} executions")

    def read_a_book(self) -> int:
        """Return the moment of the book that was read, ms since 1970 UTC."""
        return int(self.keep("get_book", self.ask("get_book"))["receivedTs"])

    def read_it_again(self, at_ms: int) -> None:
        """Ask for the book as it was, when that is in the log for sure."""
        self.keep("get_book", self.ask("get_book", query=f"?at={at_ms}"), file="get_book_at")

    def read(self, execution_id: str) -> None:
        """Ask for everything that is read."""
        for name in ("execution", "audit", "lineage"):
            self.keep(name, self.ask(name, execution_id=execution_id))
        for name in (
            *("list_books", "registry", "get_policies", "get_snapshot", "records", "last_sizing"),
            *("positions", "risk", "performance", "get_limits", "why", "healthz", "readyz"),
        ):
            self.keep(name, self.ask(name))
        document = self.ask("asyncapi_document").json()
        write("asyncapi_document", {"200": {name: document[name] for name in ("asyncapi", "info")}})
        text = [
            line for line in self.ask("metrics").text.splitlines(keepends=True) if "view_lag_messages" in line
        ]
        write("metrics", {"200": "".join(text[:LINES])})
        with self.ask("stream") as stream:
            lines = (line.decode() for line in stream.iter_lines(chunk_size=1))
            event = next(line for line in lines if line.startswith("event: l2."))
            told = [event, next(lines), next(lines), "", ""]
            write("stream", {"200": "\n".join(told)})
        topic, partition, offset = told[1].removeprefix("id: ").split(":")
        place = {"topic": topic, "partition": partition, "offset": offset}
        self.keep("topic_record", self.ask("topic_record", **place))
        self.keep("topic_history", self.ask("topic_history", query="?limit=1", topic=topic))

    def be_refused(self) -> None:
        """Ask for what is refused."""
        self.session.post(
            f"{GATEWAY}/api/venues/score",
            '{"symbol": "BTCUSDT", "size": 0.02}',
            headers=REFUSED["idempotency-key-reused"][2],
            timeout=ANSWER_S,
        )
        told = {}
        uris = {problem.slug: problem.uri for problem in PROBLEM_TYPES}
        for slug, (method, path, headers, body) in REFUSED.items():
            answer = self.session.request(
                method, GATEWAY + path, headers=headers, data=body, timeout=ANSWER_S
            ).json()
            if answer["type"] != uris[slug]:
                raise SystemExit(f"{method} {path[:80]} should be refused as {slug}: {answer}")
            told[slug] = answer
        write("problems", told)

    def resubscribe(self) -> None:
        """End a book, and start it twice."""
        self.keep("unsubscribe", self.ask("unsubscribe"))
        self.keep("subscribe", self.ask("subscribe"), self.ask("subscribe"))


def write(name: str, told: Any) -> None:
    """Write one file."""
    text = json.dumps(told, indent=1, ensure_ascii=False)
    text = text.replace(f"{socket.gethostname()}-{PORT}", "gateway-5000")  # nobody's machine
    (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(f"{name}: {', '.join(told)}\n")


def main() -> None:
    """Capture every example; the book that ends comes last."""
    capture = Capture()
    capture.be_refused()
    moment_ms = capture.read_a_book()
    capture.decide()
    capture.control()
    capture.let_go_wrong()
    capture.tell()
    capture.read(capture.execute())
    capture.read_it_again(moment_ms)
    capture.resubscribe()


if __name__ == "__main__":
    main()
