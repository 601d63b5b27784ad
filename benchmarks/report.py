"""Tables out of a report: for the terminal and for docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.goals import GOALS
from benchmarks.paths import DOCS
from benchmarks.results import Outcome, Report, RowResult

PAGE, CHART = DOCS / "benchmarks.md", DOCS / "benchmarks.svg"

Table = list[list[str]]


@dataclass(frozen=True)
class Column:
    figure: str
    heading: str
    form: str
    scale: float = 1.0


RATES = (
    Column("rate", "requests/s", ",.0f"),
    Column("p50_us", "p50 ms", ",.2f", 1e-3),
    Column("p99_us", "p99 ms", ",.2f", 1e-3),
    Column("cpu_us", "CPU µs/request", ",.1f"),
    Column("rss_mib", "RSS MiB", ",.0f"),
    Column("errors", "errors", ",.0f"),
)
MEMORY = (Column("worker_mib", "worker MiB", ",.1f"), Column("connection_kib", "KiB/WebSocket", ",.2f"))


def columns(row: RowResult) -> tuple[Column, ...]:
    return MEMORY if row.row == "memory" else RATES


def row_table(row: RowResult) -> Table:
    shown = columns(row)
    ratios = row.row != "memory"
    table = [["server", *(column.heading for column in shown), *(["greenimi is"] if ratios else [])]]
    for outcome in row.outcomes:
        line = [outcome.server, *(cell(outcome, column) for column in shown)]
        if ratios:
            times = row.times(outcome.server)
            line.append(f"{times:.2f} x" if times else "-")
        table.append(line)
    return table


def cell(outcome: Outcome, column: Column) -> str:
    value = outcome.figures.get(column.figure)
    return "-" if value is None else format(value * column.scale, column.form)


def goals_table(report: Report) -> Table:
    return [["row", "goal", "found", "verdict"]] + [[goal.row, goal.text, *goal.verdict(report)] for goal in GOALS]


def failures(report: Report) -> list[str]:
    """A sentence for each server that is missing, and why; one for all the rows it is missing from for the same reason."""
    rows: dict[tuple[str, str], list[str]] = {}
    for row in report.rows:
        for outcome in row.outcomes:
            if outcome.failed:
                rows.setdefault((outcome.server, outcome.failed), []).append(row.row)
    return [f"{server} is left out of {', '.join(names)}: {why}" for (server, why), names in rows.items()]


# -- for the terminal ----------------------------------------------------------------------------------------------


def as_text(report: Report) -> str:
    parts = [f"{row.title}\n{aligned(row_table(row))}" for row in report.rows]
    parts.append(f"goals\n{aligned(goals_table(report))}")
    if left_out := failures(report):
        parts.append("\n".join(left_out))
    return "\n\n".join(parts)


def aligned(table: Table) -> str:
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    left = text_columns(table)

    def padded(line: Sequence[str]) -> str:
        return "  ".join(value.ljust(widths[i]) if i in left else value.rjust(widths[i]) for i, value in enumerate(line)).rstrip()

    return "\n".join([padded(table[0]), "  ".join("-" * width for width in widths), *map(padded, table[1:])])


def text_columns(table: Table) -> set[int]:
    """The columns with words rather than figures: the first, and all of the goals'."""
    return {0, 1, 3} if table[0][0] == "row" else {0}


# -- for the documentation -----------------------------------------------------------------------------------------


def as_markdown(report: Report) -> str:
    parts = [
        "# Benchmarks",
        "This page and its chart are written by `scripts/bench`; do not edit them.",
        f"![bars for each row and server: requests a second, and memory]({CHART.name})",
        "## Goals\n\n" + markdown_table(goals_table(report)),
        "## Figures",
        *(f"### {row.title}\n\n{markdown_table(row_table(row))}" for row in report.rows),
        "\n".join(f"- {line}" for line in failures(report)),
        "## The servers\n\n" + servers_list(report),
        "## How it is measured\n\n" + method(report),
        "## The machine\n\n" + "\n".join(f"- {name}: {value}" for name, value in report.machine.items()),
        "## Run it again\n\n" + RERUN,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_table(table: Table) -> str:
    left = text_columns(table)
    rule = [":--" if i in left else "--:" for i in range(len(table[0]))]
    return "\n".join(f"| {' | '.join(line)} |" for line in [table[0], rule, *table[1:]])


def servers_list(report: Report) -> str:
    about = {outcome.server: outcome.about for row in report.rows for outcome in row.outcomes}
    return "\n".join(f"- **{server}**: {text}" for server, text in about.items())


def method(report: Report) -> str:
    return METHOD.format(rounds=report.rounds, seconds=report.seconds)


METHOD = """\
Every server runs as one worker process (and its master, where it has one) on one CPU, the load on another. The servers of a row run
side by side and take turns after a warm-up (rounds: {rounds}; seconds of load in each: {seconds}); the figures are medians over the rounds.
*CPU µs/request* is user and system time of all of a server's processes, the sturdiest column; *RSS* is the worker's after the load.
*greenimi is* tells how many times as many requests greenimi answers. Only figures of one table compare: they serve for ratios and are
not absolute claims.

wrk makes the load of HTTP without pipelining; `benchmarks/load.c` makes the others, numbers each request and compares each answer byte
by byte. A server that answers wrongly is left out. Starlette and FastAPI carry three pass-through middlewares in pure ASGI, the
cheapest kind; the bare ones and the others carry none.

*Worker* is the resident memory of the process that serves, just after its start. *KiB/WebSocket* is its growth over 10 000
connections, each of which had one message answered and then stays idle."""

RERUN = """\
`scripts/bench` measures everything and rewrites this page (about seven minutes); `scripts/bench --quick` takes one short round and
leaves the page alone; `scripts/bench --only ws-echo,memory --json FILE` measures some rows and keeps the figures. The first run makes
a virtual environment for the peers below `benchmarks/.build`, compiles the load client and needs gcc and wrk. Linux and two idle CPUs
are needed; `scripts/bench --help` tells the rest."""
