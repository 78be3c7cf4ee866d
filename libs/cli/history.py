"""`bookrunner history`: markets and topics as Parquet days, from files of any origin and from Kafka."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path  # noqa: TC003 -- typer resolves annotations at run time
from typing import Annotated, Final

import typer

from libs.cli.errors import CommandError, UsageError
from libs.cli.names import topic_named
from libs.cli.parquet import check_parquet
from libs.cli.screen import screen
from libs.cli.starts import parse_start
from libs.cli.tail import now_ms
from libs.cli.work import run_on_kafka, settings_here
from libs.common.topics import TOPICS

IMPORTER: Final = "backtest.importing"
Out: Final = typer.Option(help="The folder of history.")
Force: Final = typer.Option("--force", help="Write days that are there anew.")

app = typer.Typer(help="History as Parquet: import it, or export it from Kafka.", no_args_is_help=True)


@app.command("import")
def import_command(
    *,
    sources: Annotated[
        list[Path], typer.Argument(help="Files, or folders of them: archives, recordings, history.")
    ],
    out: Annotated[Path, Out],
    named: Annotated[
        str | None, typer.Option("--format", help="Of the files, where their names do not tell.")
    ] = None,
    force: Annotated[bool, Force] = False,
) -> None:
    """Bring files of other systems, recordings and folders of history into days of one layout."""
    check_parquet("history")
    if importlib.util.find_spec(IMPORTER.partition(".")[0]) is None:
        raise CommandError(f"the importer is not installed ({IMPORTER}): run `make setup`")
    arguments = [*map(str, sources), "--out", str(out)]
    if named is not None:
        arguments += ["--format", named]
    if force:
        arguments.append("--force")
    # Recordings are read by l2's feeds, which libs may not import: the importer takes this process over.
    os.execv(sys.executable, [sys.executable, "-m", IMPORTER, *arguments])  # noqa: S606 -- no shell, own interpreter


@app.command("export")
def export_command(
    *,
    topic: Annotated[str | None, typer.Argument(help="A topic, or a part of its name.")] = None,
    out: Annotated[Path, Out],
    everything: Annotated[
        bool, typer.Option("--all", help="Every topic but what services keep for themselves.")
    ] = False,
    start: Annotated[
        str, typer.Option("--from", help="beginning, -10m, an ISO time (UTC), or an offset.")
    ] = "beginning",
    end: Annotated[str, typer.Option("--to", help="The same; by default what is there now.")] = "end",
    force: Annotated[bool, Force] = False,
) -> None:
    """Write what Kafka has of a topic, or of all, as Parquet, while the system runs."""
    check_parquet("history")
    from libs.cli.history_export import Stretch, export  # noqa: PLC0415 -- it needs pyarrow

    if (topic is None) is not everything:
        raise UsageError("name one topic, or give --all")
    topics = [topic_named(topic)] if topic else [each for each in TOPICS.values() if not each.private]
    now = now_ms()
    stretch = Stretch(parse_start(start, now), parse_start(end, now, "--to"))
    settings = settings_here()
    run_on_kafka(settings, export(settings, topics, stretch, out, screen(), overwrite=force))
