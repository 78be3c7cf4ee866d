"""What every command begins with: its settings, and its work on Kafka, whose failures are sentences."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING, TypeVar

import typer
from aiokafka.errors import KafkaConnectionError, KafkaError
from pydantic import ValidationError

from broker.setting_errors import sentences
from libs.cli.errors import CommandError
from libs.cli.reader import not_reachable
from libs.cli.settings import CliSettings
from libs.common.kafka import KafkaAwayError, MissingTopicError, TopicCreationError
from libs.common.kafka_security import KafkaAccessError, TlsFileError
from libs.common.settings import PermanentError

if TYPE_CHECKING:
    from collections.abc import Coroutine

Result = TypeVar("Result")


def settings_here() -> CliSettings:
    """Return the settings, with the addresses of the running system that fits them.

    Raises
    ------
    CommandError
        If one is wrong, or several systems fit.
    """
    try:
        return CliSettings.of_running_system()
    except ValidationError as error:
        raise CommandError("; ".join(sentences(CliSettings, error))) from error


def run_on_kafka(settings: CliSettings, work: Coroutine[object, object, Result]) -> Result:
    """Run work that reads or writes Kafka.

    Raises
    ------
    CommandError
        If Kafka does not answer, turns us away or lacks what is asked of it.
    """
    # A terminal command says in its own words what a Kafka that is away means.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        return asyncio.run(work)
    except BrokenPipeError:  # typer would make it a failure, but the pipe's reader just has enough
        let_go_of_stdout()
        raise typer.Exit(0) from None
    except (KafkaAccessError, TlsFileError, TopicCreationError, PermanentError) as error:
        raise CommandError(str(error)) from error
    except MissingTopicError as error:
        raise CommandError(f"{error}: start the services with `make run`") from error
    except (KafkaConnectionError, KafkaAwayError, TimeoutError) as error:
        raise not_reachable(settings, error) from error
    except KafkaError as error:  # Kafka went away meanwhile, or will not answer this
        raise CommandError(f"Kafka refused or went away: {type(error).__name__}: {error}") from error


def let_go_of_stdout() -> None:
    """Send the rest nowhere, so that Python's flush at the end does not meet the closed pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
