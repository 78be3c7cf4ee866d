"""Faust as the venues service has it: tables in memory, a static member, the credentials of all clients."""

from __future__ import annotations

import logging
import os
import signal
import threading
from typing import TYPE_CHECKING, Final

import faust

from libs.common.kafka_connection import mend_connections
from libs.common.kafka_records import mend_records
from libs.common.kafka_security import tls
from libs.common.membership import static_member
from libs.common.settings import SASL
from libs.common.topics import DEAD_LETTERS
from services.venues.faust_recovery import PromptTables
from services.venues.tables import changelogs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from libs.common.topics import Topic
    from services.venues.settings import VenuesSettings

SESSION_S: Final = 6.0  # the broker's minimum
HEARTBEAT_S: Final = 1.0
COMMIT_S: Final = 0.5
STOP_S: Final = 10.0


class PromptWorker(faust.Worker):
    """Ends at once when told to before the app is at work: Faust's own end waits for what never began."""

    def __init__(self, app: faust.App, at_work: Callable[[], bool]) -> None:
        super().__init__(app, override_logging=False, redirect_stdouts=False, quiet=True)
        self._at_work = at_work

    def install_signal_handlers(self) -> None:
        """Heed SIGINT and SIGTERM alike, and the others as Faust does."""
        super().install_signal_handlers()
        for number in (signal.SIGINT, signal.SIGTERM):
            self.loop.add_signal_handler(number, self._end)

    def _end(self) -> None:
        if self._at_work() or self._signal_stop_time is not None:
            self._on_sigterm()
        else:  # nothing is acknowledged that is not in the log
            logging.shutdown()
            os._exit(os.EX_OK)


def faust_app(settings: VenuesSettings, inputs: Iterable[Topic]) -> faust.App:
    """Return an app without agents, a member of the service's group that reads `inputs`."""
    mend_connections()
    mend_records()
    app = faust.App(
        settings.group,
        broker=[f"kafka://{server}" for server in settings.kafka_bootstrap_servers.split(",")],
        broker_credentials=_credentials(settings),
        store="memory://",
        TableManager=PromptTables,
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.topic_partitions,
        table_standby_replicas=0,  # one would be read anew when it takes over
        key_serializer="raw",
        value_serializer="raw",
        processing_guarantee="at_least_once",
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=static_member(
            settings.group,
            settings.group_instance_id,
            (*inputs, *changelogs(settings.group)),
            settings.topic_partitions,
        ),
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=HEARTBEAT_S,
        broker_commit_interval=COMMIT_S,
        stream_wait_empty=False,
        producer_acks=-1,
        producer_max_request_size=DEAD_LETTERS.max_message_bytes,
        producer_linger=0.0,
    )
    # With tables in memory Faust would make folders, and leave them empty.
    app._create_directories = lambda: None  # type: ignore[method-assign]  # noqa: SLF001 -- no setting has it
    app.on_before_shutdown.connect(_end_in_time)
    return app


def _end_in_time(*_sender: object, **_signal: object) -> None:
    """Bound the stop, which hangs while Kafka is away; the log makes a hard end safe."""
    watchdog = threading.Timer(STOP_S, os._exit, (1,))
    watchdog.daemon = True
    watchdog.start()


def _credentials(settings: VenuesSettings) -> faust.SASLCredentials | faust.SSLCredentials | None:
    """Return as Faust takes it what `client_arguments` gives to all other clients."""
    context = tls(settings)
    if settings.kafka_security_protocol in SASL:
        assert settings.kafka_sasl_password is not None  # noqa: S101 -- the settings have looked
        return faust.SASLCredentials(
            mechanism=settings.kafka_sasl_mechanism,
            username=settings.kafka_sasl_username,
            password=settings.kafka_sasl_password.get_secret_value(),
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)
