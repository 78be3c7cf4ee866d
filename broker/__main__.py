"""``python -m broker``: run Kafka until Ctrl-C or SIGTERM; ``--fetch``: only make ready for that."""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from pydantic import ValidationError
from pydantic_settings import SettingsError

from broker.errors import BrokerError
from broker.jars import classpath
from broker.native import NativeBroker
from broker.owned_folder import OWNER_ONLY
from broker.setting_errors import sentences
from broker.settings import BrokerSettings, JarSettings
from broker.terminal import CANNOT_RUN, say
from libs.common.printable import indented_lines

_FAILED = 1
_USAGE = 2
_INTERRUPTED = 130  # as a shell reports SIGINT


class _StopAskedFor(BaseException):
    """SIGTERM or SIGINT arrived; not an Exception, so that nothing on the way takes it for a failure."""


def _say(line: str) -> None:
    # under the supervisor every process prefixes its lines; at a terminal of one's own it would be noise
    if os.environ.get("LOG_FORMAT"):
        say("kafka", line)
    else:
        sys.stdout.write(f"{indented_lines(line)}\n")
        sys.stdout.flush()


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    for each in (signal.SIGTERM, signal.SIGINT):  # a second Ctrl-C must not interrupt the clean shutdown
        signal.signal(each, signal.SIG_IGN)
    raise _StopAskedFor


def main(arguments: list[str]) -> int:
    """Return 0 as asked, 1 after a failure, EX_CONFIG if no restart helps, 130 if fetching was broken off."""
    if arguments not in ([], ["--fetch"]):
        _say(f"usage: python -m broker [--fetch]; {' '.join(arguments)!r} is unknown")
        return _USAGE
    only_fetch = bool(arguments)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        return _fetch() if only_fetch else _run()
    except (ValidationError, SettingsError) as error:
        for sentence in sentences(BrokerSettings, error):
            _say(f"{CANNOT_RUN}{sentence}")
        return os.EX_CONFIG
    except BrokerError as error:
        _say(f"{CANNOT_RUN}{error}")
        return os.EX_CONFIG if error.permanent else _FAILED
    except _StopAskedFor:
        _say("kafka stopped")
        return _INTERRUPTED if only_fetch else 0


def _fetch() -> int:
    from broker.training import ensure_class_cache  # noqa: PLC0415 -- a Kafka client, which Kafka does without

    settings = JarSettings()
    ensure_class_cache(classpath(settings.jars_dir, _say), settings.jars_dir, _say)
    return 0


def _run() -> int:
    os.umask(OWNER_ONLY)  # of Java, too
    settings = BrokerSettings()
    with NativeBroker(settings, _say) as broker:
        code = broker.wait()
        log = settings.data_dir / "server.log"
        _say(f"kafka ended by itself with exit code {code}; its log is {log}")
    return _FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
