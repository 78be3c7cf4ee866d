"""Structured logs, as JSON lines or for people: a message is an event name, its facts go in ``extra``.

    logger.info("book_live", extra={"venue": "binance", "symbol": "BTC-USDT"})

A fact ``routine=True`` marks a line that people need not follow: it is left out of the console at INFO.

A record becomes a dict, a chain of pure functions turns it into the line. Whatever a fact holds, the
record is one line (of the console: one, and indented ones below), and no text becomes a line or a field.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, tzinfo
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeAlias

import msgspec

from broker.terminal import CANNOT_RUN
from libs.common.printable import LONGEST, printable, printable_json, printable_lines
from libs.common.settings import PermanentError
from libs.common.time_units import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from libs.common.settings import ServiceSettings

Facts: TypeAlias = dict[str, Any]

RATE_LIMITED: Final = ("aiokafka",)  # writes several lines per 100 ms while a broker is away
RATE_LIMIT_S: Final = 5.0
MOST_PATTERNS: Final = 1000  # that are told apart; some hold text from outside
TRACEBACK_CHARS: Final = 16_384

# Of each first start, while Kafka makes its own topics, and whenever it is busy: clients ask again. And of a
# stop in the midst of that.
ROUTINE: Final = (
    "Unclosed AIOKafkaConnection",
    "Group Coordinator Request failed: [Error 15]",
    "Marking the coordinator dead",
    "No broker metadata found in MetadataResponse",
    "Unable connect to node with id None",
    "retrying. Error: <class 'aiokafka.errors.NotLeaderForPartitionError'>",
)

written: Final[Counter[str]] = Counter()  # lines of this process, by level, for its metrics

correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "routine"}
_FIXED: Final = ("ts", "level", "service", "logger", "event", "correlation_id", "suppressed", "traceback")


def configure(service: str, settings: ServiceSettings, stream: TextIO | None = None) -> None:
    """Send every log record, warning and uncaught exception of this process to `stream` (default stderr)."""
    handler = create_handler(service, settings.log_format, stream or sys.stderr)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    _leave_out_what_no_line_says()
    logging.captureWarnings(capture=True)
    for name in RATE_LIMITED:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    sys.excepthook = _log_uncaught


def _leave_out_what_no_line_says() -> None:
    """Let no record ask for its place in the code, its thread and its process: a third of what a line costs.

    References
    ----------
    Logging HOWTO, "Optimization", https://docs.python.org/3/howto/logging.html#optimization.
    """
    logging._srcfile = None  # noqa: SLF001 -- as the HOWTO says
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def create_handler(service: str, log_format: str, stream: TextIO) -> logging.Handler:
    """Return a handler that writes ``json`` or ``console`` lines of this service to `stream`."""
    handler = logging.StreamHandler(stream)
    render = render_json if log_format == "json" else render_console
    handler.setFormatter(_ChainFormatter(service, render))
    if log_format == "console":
        handler.addFilter(_is_worth_reading)
    handler.addFilter(RateLimit(RATE_LIMITED, RATE_LIMIT_S))
    return handler


def line(service: str, level: str, event: str, log_format: str) -> str:
    """Return a line as this process would log it, for one that has no log yet."""
    record = logging.makeLogRecord({"levelname": level, "name": __name__, "msg": event})
    return create_handler(service, log_format, sys.stderr).format(record)


@contextmanager
def correlated(identifier: str) -> Iterator[None]:
    """Add `identifier` as ``correlation_id`` to every line written inside."""
    token = correlation_id.set(identifier)
    try:
        yield
    finally:
        correlation_id.reset(token)


def tell(
    logger: logging.Logger, event: str, facts: Mapping[str, Any], ts: int, level: int = logging.INFO
) -> None:
    """Write a line that bears the time of what it tells (ns UTC), not of its being written.

    What is told once it is committed may be told after what it caused elsewhere; by their times lines are in
    causal order.
    """
    if logger.isEnabledFor(level):
        record = logger.makeRecord(logger.name, level, "", 0, event, (), None, extra=dict(facts))
        record.created = ts / NS_PER_S
        logger.handle(record)


def _is_worth_reading(record: logging.LogRecord) -> bool:
    """Whether a person at a console should see the record; with LOG_LEVEL=DEBUG every one."""
    if logging.getLogger().level <= logging.DEBUG:
        return True
    return not (getattr(record, "routine", False) and record.levelno <= logging.INFO)


class RateLimit(logging.Filter):
    """Pass one line per message pattern and interval of some loggers; the next says how many it hid."""

    def __init__(self, loggers: tuple[str, ...], interval_s: float) -> None:
        super().__init__()
        self._loggers = loggers
        self._interval_s = interval_s
        self._patterns: dict[tuple[str, int, str], tuple[float, int]] = {}  # when last passed, hidden since

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write the record; its own time is the clock."""
        owner = record.name.partition(".")[0]
        if owner in {"aiokafka", "asyncio"} and any(part in record.getMessage() for part in ROUTINE):
            return logging.getLogger().level <= logging.DEBUG
        if owner not in self._loggers:
            return True
        pattern = (record.name, record.levelno, str(record.msg))
        if len(self._patterns) >= MOST_PATTERNS and pattern not in self._patterns:
            self._patterns.clear()
        passed, hidden = self._patterns.get(pattern, (float("-inf"), 0))
        if record.created - passed < self._interval_s:
            self._patterns[pattern] = (passed, hidden + 1)
            return False
        self._patterns[pattern] = (record.created, 0)
        if hidden:
            record.suppressed = hidden
        return True


class _ChainFormatter(logging.Formatter):
    def __init__(self, service: str, render: Callable[[Facts], str]) -> None:
        super().__init__()
        self._service = service
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        written[record.levelname] += 1
        traceback = self.formatException(record.exc_info) if record.exc_info else None
        fixed = {
            "ts": record.created,
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "event": record.getMessage(),
            "correlation_id": correlation_id.get(),
            "suppressed": getattr(record, "suppressed", None),
            "traceback": traceback,
        }
        facts = merged(fixed, {k: v for k, v in vars(record).items() if k not in _STANDARD})
        return self._render(reduce(lambda value, step: step(value), CHAIN, facts))


def merged(fixed: Mapping[str, Any], extra: Mapping[str, Any]) -> Facts:
    """Return the fixed facts, then the extra ones; an extra that bears a fixed name gets an underscore."""
    renamed = {
        f"{key}_" if key in _FIXED else key: value for key, value in extra.items() if key != "suppressed"
    }
    return {**fixed, **renamed}


def without_absent(facts: Facts) -> Facts:
    """Drop the fixed facts that this line does not have."""
    return {key: value for key, value in facts.items() if value is not None or key not in _FIXED}


def without_own_logger(facts: Facts) -> Facts:
    """Drop the logger's name where it is this project's own: the event's name says as much."""
    ours = str(facts.get("logger", "")).partition(".")[0] in {"libs", "services", "simulator", "broker"}
    return {key: value for key, value in facts.items() if not (ours and key == "logger")}


def with_plain_values(facts: Facts) -> Facts:
    """Replace bytes, which keys are, by their text, and cut what is too long: a traceback in its middle."""
    return {key: _middle_cut(value) if key == "traceback" else _plain(value) for key, value in facts.items()}


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return _text(value.decode("utf-8", "backslashreplace"))
    return _text(value) if type(value) is str else value


def _text(value: object) -> str:
    """Return what a value says, without surrogates and not longer than is shown of one."""
    text = str(value)
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}… ({len(text)} characters)"
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _middle_cut(text: str) -> str:
    text = text.encode("utf-8", "backslashreplace").decode()
    half = TRACEBACK_CHARS // 2
    return (
        text if len(text) <= TRACEBACK_CHARS else f"{text[:half]}\n… ({len(text)} characters)\n{text[-half:]}"
    )


CHAIN: Final[tuple[Callable[[Facts], Facts], ...]] = (without_absent, without_own_logger, with_plain_values)


def render_json(facts: Facts) -> str:
    """Return one JSON object; the time is RFC 3339 UTC with milliseconds."""
    moment = datetime.fromtimestamp(facts["ts"], UTC)
    line = facts | {"ts": moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"}
    try:
        encoded = msgspec.json.encode(line, enc_hook=_text)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        encoded = msgspec.json.encode({key: _text(value) for key, value in line.items()})
    return printable_json(encoded.decode())


def render_console(facts: Facts, zone: tzinfo | None = None) -> str:
    """Return ``12:03:04.123 l2       book_live venue=binance``, in `zone` (default the machine's)."""
    moment = datetime.fromtimestamp(facts["ts"], UTC).astimezone(zone)
    head = [f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}", f"{facts['service']:<8}"]
    if logging.getLevelNamesMapping().get(facts["level"], 0) >= logging.WARNING:
        head.append(facts["level"])
    if "logger" in facts:
        head.append(f"{facts['logger']}:")
    shown = [f"{k}={_quoted(v)}" for k, v in facts.items() if k not in {*_FIXED[:5], "traceback"}]
    event = str(facts["event"])
    foreign = "logger" in facts and "=" in event  # it may hold anything, and could be taken for facts
    first, *more = [_quoted(event)] if foreign else printable_lines(event).split("\n")
    traceback = printable_lines(facts["traceback"]).split("\n") if "traceback" in facts else []
    return "\n".join([" ".join([*head, first, *shown]), *(f"    {line}" for line in [*more, *traceback])])


def _quoted(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else _text(value)
    if text and not any(c.isspace() or c in '"=' for c in text):
        return printable(text, None)
    inside = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(inside, None)}"'


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    if (sentence := permanent_cause(error)) is not None:
        logging.getLogger(__name__).critical("%s%s", CANNOT_RUN, sentence)
        logging.shutdown()
        os._exit(os.EX_CONFIG)  # an exception hook cannot choose the exit code in another way
    logging.getLogger(__name__).critical("crashed", exc_info=(kind, error, traceback))


def permanent_cause(error: BaseException) -> str | None:
    """Return what a person must change where an error, or one of a group, is a `PermanentError`."""
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(permanent_cause, error.exceptions)), None)
    return str(error) if isinstance(error, PermanentError) else None
