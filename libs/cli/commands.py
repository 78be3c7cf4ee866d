"""The `bookrunner` command."""

from __future__ import annotations

import importlib.util
import os
import sys
from enum import StrEnum
from pathlib import Path  # noqa: TC003 -- typer resolves annotations at run time
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

import typer
from typer.exceptions import TyperException

from libs.cli import acls as access
from libs.cli import control_commands, history, policy
from libs.cli import router as router_view
from libs.cli.ask import ask
from libs.cli.book import show_book
from libs.cli.checks import lines_of
from libs.cli.errors import FAILED, INTERRUPTED, USAGE, CommandError, UsageError
from libs.cli.executions import show_executions
from libs.cli.executions_by_id import execution_named
from libs.cli.findings import failed
from libs.cli.frontier import frontier, plot
from libs.cli.names import book_named, key_named, symbol_named, topic_named
from libs.cli.parquet import check_parquet
from libs.cli.pictures import check_drawing
from libs.cli.portfolio import show_portfolio
from libs.cli.report import report_command
from libs.cli.screen import complain, screen
from libs.cli.starts import parse_start
from libs.cli.tail import now_ms, tail
from libs.cli.topic_fields import fields_table
from libs.cli.topics import count_books, find_topics, table
from libs.cli.venues import show_venues
from libs.cli.work import let_go_of_stdout, run_on_kafka, settings_here
from libs.common.acls import USERS
from libs.common.kafka import create_topics
from libs.common.printable import printable_json
from libs.common.topics import TOPICS, Key

if TYPE_CHECKING:
    from collections.abc import Sequence

OnlySymbol: TypeAlias = Annotated[str | None, typer.Argument(help="Only this one, like BTC-USDT or BTCUSDT.")]
Once: TypeAlias = Annotated[
    bool, typer.Option("--once", help="Print the table once; so it is without a terminal.")
]

RECORDER: Final = "services.l2.record"
ALERT_TRIAL: Final = "services.gateway.alerts.trial"
VERIFIER: Final = "services.execution.audit.verify"
BACKTEST: Final = "backtest"

app = typer.Typer(
    help="Verified order books on Kafka, seen from a terminal.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class RecordedFeed(StrEnum):
    """Where a recording is taken from."""

    LIVE = "live"
    SIMULATOR = "simulator"


class AlertsAction(StrEnum):
    """What can be done with alerts from a terminal."""

    TEST = "test"


@app.command("topics")
def topics_command(
    *,
    topic: Annotated[
        str | None, typer.Argument(help="Show this one's messages: a topic, or a part of its name.")
    ] = None,
    create: Annotated[bool, typer.Option("--create", help="Create what is missing.")] = False,
) -> None:
    """List the topics beside what Kafka has, or a topic's messages and what each of their fields means."""
    if topic is not None:
        if create:
            raise UsageError("--create goes with the list of all topics: name none")
        screen().print(fields_table(topic_named(topic)))
        return
    settings = settings_here()
    found, others = run_on_kafka(settings, find_topics(settings))
    if create and TOPICS.keys() - found.keys():
        run_on_kafka(settings, create_topics(settings))
        found, others = run_on_kafka(settings, find_topics(settings))
    screen().print(table(found, others, settings.topic_partitions, count_books(settings)))


@app.command("acls")
def acls_command(
    *,
    apply: Annotated[
        bool, typer.Option("--apply", help="Give them to Kafka, as one of its super.users.")
    ] = False,
    users: Annotated[str, typer.Option(help="How the users are named.")] = USERS,
) -> None:
    """Print what each service's user needs on a Kafka with ACLs, as commands of Kafka's own tool."""
    acls = access.rights(users)
    if apply:
        settings = settings_here()
        told = run_on_kafka(settings, access.apply(settings, acls, users))
    else:
        told = access.lines(acls, users)
    sys.stdout.writelines(f"{line}\n" for line in told)


@app.command("tail")
def tail_command(
    *,
    topic: Annotated[
        str, typer.Argument(help="A topic, or a part of its name that no other has: book-tops.")
    ],
    key: Annotated[str | None, typer.Option(help="Only this key, like binance:BTC-USDT.")] = None,
    start: Annotated[
        str, typer.Option("--from", help="beginning, end, -10m, an ISO time (UTC), or an offset.")
    ] = "end",
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many messages.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    follow: Annotated[bool, typer.Option(help="Wait for more at the end, or stop there.")] = True,
) -> None:
    """Print the messages of a topic, decoded, one a line."""
    named = topic_named(topic)
    only = key_named(named, key) if key is not None else None
    begin = parse_start(start, now_ms())
    settings = settings_here()
    if key is not None and named.key in (Key.EXECUTION, Key.EXECUTION_OR_CHILD):
        only = run_on_kafka(settings, execution_named(settings, key)).encode()
    run_on_kafka(
        settings, tail(settings, named, only, begin, screen(), limit=limit, follow=follow, as_json=as_json)
    )


@app.command("book")
def book_command(
    *,
    venue: Annotated[str, typer.Argument(help="Like binance.")],
    symbol: Annotated[str, typer.Argument(help="Like BTC-USDT, BTCUSDT or btc/usdt.")],
    depth: Annotated[int, typer.Option(min=1, max=1000, help="Levels a side.")] = 15,
    once: Annotated[
        bool, typer.Option("--once", help="Print one ladder; so it is without a terminal.")
    ] = False,
) -> None:
    """Show a live ladder, rebuilt from the book's deltas on Kafka."""
    console = screen()
    book_id = book_named(venue, symbol)
    settings = settings_here()
    run_on_kafka(settings, show_book(settings, book_id, depth, console, once=once or not console.is_terminal))


@app.command("venues")
def venues_command(
    *,
    symbol: OnlySymbol = None,
    once: Once = False,
) -> None:
    """Show what is measured of each venue, live: cost, spread, depth, latency, reliability, rate limit."""
    console = screen()
    only = symbol_named(symbol) if symbol is not None else None
    settings = settings_here()
    run_on_kafka(settings, show_venues(settings, only, console, once=once or not console.is_terminal))


@app.command("executions")
def executions_command(
    *,
    symbol: OnlySymbol = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many, the newest.")] = 20,
    once: Once = False,
) -> None:
    """Follow the newest executions live, with a progress bar each."""
    console = screen()
    only = symbol_named(symbol) if symbol is not None else None
    settings = settings_here()
    run_on_kafka(
        settings, show_executions(settings, only, limit, console, once=once or not console.is_terminal)
    )


@app.command("verify")
def verify_command(
    *,
    execution_id: Annotated[str, typer.Argument(help="Its id, or a beginning that no other has: d585da82.")],
    folder: Annotated[
        Path | None, typer.Option("--in", help="The folder of a backtest, rather than Kafka.")
    ] = None,
) -> None:
    """Recompute an execution's audit chain, and make its decisions again from their logged inputs."""
    if importlib.util.find_spec(VERIFIER) is None:
        raise CommandError(f"the verifier is not installed ({VERIFIER}): run `make setup`")
    if folder is not None:
        check_parquet("--in")
        arguments = [execution_id, "--in", str(folder)]
    else:
        settings = settings_here()
        arguments = [run_on_kafka(settings, execution_named(settings, execution_id))]
        settings.export()
    # Decisions belong to execution, which libs may not import: the verifier takes this process over.
    os.execv(sys.executable, [sys.executable, "-m", VERIFIER, *arguments])  # noqa: S606 -- no shell, own interpreter


@app.command("record")
def record_command(
    *,
    venue: Annotated[str, typer.Argument(help="Like binance.")],
    symbols: Annotated[list[str], typer.Argument(help="One or more, like BTC-USDT.")],
    out: Annotated[Path, typer.Option(help="The file; a name in .zst is compressed.")],
    seconds: Annotated[float | None, typer.Option(min=0.1, help="How long; else until Ctrl-C.")] = None,
    feed: Annotated[RecordedFeed | None, typer.Option(help="Default: FEED, else the simulator.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Record raw frames of a venue into a file that FEED=replay:FILE plays."""
    books = [book_named(venue, symbol) for symbol in symbols]
    if importlib.util.find_spec(RECORDER) is None:
        raise CommandError(f"the recorder is not installed ({RECORDER}): run `make setup`")
    settings = settings_here()
    arguments = [books[0].venue, *(book.symbol for book in books), "--out", str(out)]
    if seconds is not None:
        arguments += ["--seconds", str(seconds)]
    if feed is not None:
        arguments += ["--feed", feed.value]
    if force:
        arguments.append("--force")
    settings.export()
    # Feeds belong to l2, which libs may not import: the recorder takes this process over, exit code too.
    os.execv(sys.executable, [sys.executable, "-m", RECORDER, *arguments])  # noqa: S606 -- no shell, own interpreter


@app.command("portfolio")
def portfolio_command() -> None:
    """Show positions, and what they use of the CVaR budget."""
    settings = settings_here()
    run_on_kafka(settings, show_portfolio(settings, screen()))


@app.command("frontier")
def frontier_command(
    *,
    picture: Annotated[Path, typer.Option("--plot", help="The picture, a PNG.")],
    symbols: Annotated[str, typer.Option(help="Separated by commas.")] = "BTC-USDT,ETH-USDT,SOL-USDT",
    cvar_budget: Annotated[float, typer.Option(min=0, help="Fraction per day.")] = 0.05,
    max_vol: Annotated[float, typer.Option(min=0.0002, help="Last ceiling, fraction per day.")] = 0.05,
    own_cvar: Annotated[
        bool, typer.Option("--own-cvar", help="Budget the portfolio's own CVaR, not the sum of CVaRs.")
    ] = False,
) -> None:
    """Draw the efficient frontier and its weights, by asking the portfolio over a range of ceilings."""
    check_drawing()
    named = [symbol_named(text) for text in symbols.split(",")]
    mode: Literal["sum_cvar", "portfolio_cvar"] = "portfolio_cvar" if own_cvar else "sum_cvar"
    settings = settings_here()
    answers = run_on_kafka(settings, frontier(settings, named, cvar_budget, max_vol, mode))
    plot(answers, picture)
    screen().print(f"{picture}: {len(answers)} portfolios from {answers[-1].observations} days")


@app.command("router")
def router_command(
    *,
    scope: Annotated[str, typer.Option(help="Whose router.")] = "default",
    png: Annotated[Path | None, typer.Option("--plot", help="Draw it over time into this PNG.")] = None,
) -> None:
    """Show a scope's policies: posterior means and intervals, choice shares, regret proxy."""
    if png is not None:
        check_drawing()
    settings = settings_here()
    snapshot, history = run_on_kafka(settings, router_view.router_state(settings, scope))
    screen().print(router_view.table_of(snapshot, history))
    if png is not None:
        router_view.plot(history, scope, png)
        screen().print(f"drawn: {png}")


@app.command("ask")
def ask_command(
    *,
    route: Annotated[
        str, typer.Argument(help="Like venues/registry or /api/exec/plan-and-execute?wait=final.")
    ],
    body: Annotated[str | None, typer.Argument(help="JSON; with it the request is a POST.")] = None,
) -> None:
    """Ask the gateway, wherever it listens, with its token where one is needed; print the answer."""
    sys.stdout.write(f"{printable_json(ask(settings_here(), route, body))}\n")


@app.command("doctor")
def doctor_command() -> None:
    """Say what is missing on this machine or in what runs on it, and how to mend it."""
    from libs.cli.doctor import examine  # noqa: PLC0415 -- what it looks at takes as long to import as all the rest

    settings = settings_here()
    findings = run_on_kafka(settings, examine(settings))
    console = screen()
    for finding in findings:
        for line in lines_of(finding):
            console.print(line, soft_wrap=True)
    if failed(findings):
        raise typer.Exit(FAILED)


@app.command("alerts")
def alerts_command(
    *,
    _action: Annotated[AlertsAction, typer.Argument(metavar="test", help="Send one test message.")],
) -> None:
    """Send a test message to the webhook of ALERT_WEBHOOK_URL, and print what came back."""
    if importlib.util.find_spec(ALERT_TRIAL) is None:
        raise CommandError(f"alerts are not installed ({ALERT_TRIAL}): run `make setup`")
    # Alerts belong to the gateway, which libs may not import: the trial takes this process over.
    os.execv(sys.executable, [sys.executable, "-m", ALERT_TRIAL])  # noqa: S606 -- no shell, own interpreter


@app.command(
    "backtest",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def backtest_command(context: typer.Context) -> None:
    """Run all services on a market of the past, in simulated time; write a report and every topic."""
    if importlib.util.find_spec(f"{BACKTEST}.__main__") is None:
        raise CommandError(f"the backtest is not installed ({BACKTEST}): run `make setup`")
    # Services belong to the backtest, which libs may not import: it takes this process over, options too.
    os.execv(sys.executable, [sys.executable, "-m", BACKTEST, *context.args])  # noqa: S606 -- no shell, own interpreter


app.command("report")(report_command)
control_commands.register(app)
app.add_typer(policy.app, name="policy")
app.add_typer(history.app, name="history")


def run(arguments: Sequence[str] | None) -> int:
    """Run the command; return 0, 1 for a failure, 2 for a wrong command line, 130 after Ctrl-C."""
    try:
        result = app(arguments, prog_name="bookrunner", standalone_mode=False)
        sys.stdout.flush()
    except typer.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        let_go_of_stdout()
        return 0
    except CommandError as error:
        return _failed(str(error), error.exit_code)
    except TyperException as error:  # empty without arguments: the help was printed, and is enough
        text = str(getattr(error, "format_message", error.__str__)())
        return _failed(f"{text} (see `bookrunner --help`)", USAGE) if text else USAGE
    return result if isinstance(result, int) else 0


def _failed(text: str, code: int) -> int:
    complain("bookrunner", text)
    return code
