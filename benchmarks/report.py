"""Tables out of a report: for the terminal and for docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks import goals
from benchmarks.churn import SAMPLES
from benchmarks.paths import DOCS
from benchmarks.results import Outcome, Report, RowResult
from benchmarks.servers import CROWD_IDLE, RATES, Load

PAGE, CHART = DOCS / "benchmarks.md", DOCS / "benchmarks.svg"

Table = list[list[str]]


@dataclass(frozen=True)
class Column:
    figure: str
    heading: str
    form: str
    scale: float = 1.0


REQUESTS = (
    Column("rate", "requests/s", ",.0f"),
    Column("p50_us", "p50 ms", ",.2f", 1e-3),
    Column("p99_us", "p99 ms", ",.2f", 1e-3),
    Column("cpu_us", "CPU µs/request", ",.1f"),
    Column("rss_mib", "RSS MiB", ",.0f"),
    Column("errors", "errors", ",.0f"),
)
VISITS = (
    Column("rate", "connections/s", ",.0f"),
    Column("p50_us", "p50 ms", ",.2f", 1e-3),
    Column("p99_us", "p99 ms", ",.2f", 1e-3),
    Column("cpu_us", "CPU µs/connection", ",.1f"),
    Column("rss_mib", "RSS MiB", ",.0f"),
    Column("busy_percent", "load side busy %", ",.0f"),
)
FAN = (
    Column("rate", "deliveries/s", ",.0f"),
    Column("p50_us", "p50 ms", ",.2f", 1e-3),
    Column("p99_us", "p99 ms", ",.2f", 1e-3),
    Column("cpu_us", "CPU µs/delivery", ",.2f"),
    Column("per_cpu", "deliveries/CPU s", ",.0f"),
    Column("rss_mib", "RSS MiB", ",.0f"),
)
CROWD = (
    Column("connection_kib", "KiB/connection", ",.2f"),
    Column("cpu_percent", "% of a core", ",.1f"),
    Column("pings", "pings/s", ",.0f"),
    Column("opened", "opened/s", ",.0f"),
    Column("broadcast_ms", "message to all, ms", ",.0f"),
    Column("missing", "missing", ",.0f"),
    Column("lost_workers", "lost workers", ",.0f"),
    Column("blocked", "stood still", ",.0f"),
    Column("blocked_ms", "ms at most", ",.0f"),
)
CALLS = (Column("rate", "calls/s", ",.0f"), Column("cpu_us", "CPU µs/call", ",.2f"), Column("rss_mib", "RSS MiB", ",.0f"))
COLUMNS: Mapping[Load, tuple[Column, ...]] = {
    "wrk": REQUESTS,
    "h2load": REQUESTS,
    "client": REQUESTS,
    "visits": VISITS,
    "fan": FAN,
    "calls": CALLS,
    "push": (
        Column("local_p50_us", "same worker p50 µs", ",.0f"),
        Column("local_p99_us", "p99 µs", ",.0f"),
        Column("remote_p50_us", "other worker p50 µs", ",.0f"),
        Column("remote_p99_us", "p99 µs", ",.0f"),
        Column("times", "times", ",.2f"),
    ),
    "crowd": CROWD,
    "memory": (Column("worker_mib", "worker MiB", ",.1f"), Column("connection_kib", "KiB/connection", ",.2f")),
    "idle": (Column("cpu_percent", "% of a core", ",.2f"), Column("worker_mib", "worker MiB", ",.1f")),
    "reload": (
        Column("rate", "requests/s", ",.0f"),
        Column("answered", "answered", ",.0f"),
        Column("failed", "failed", ",.0f"),
        Column("reopened", "reopened", ",.0f"),
        Column("roll_seconds", "roll s", ",.1f"),
        Column("before_p99_us", "p99 ms before", ",.2f", 1e-3),
        Column("roll_p99_us", "p99 ms in the roll", ",.2f", 1e-3),
        Column("roll_max_us", "max ms in the roll", ",.2f", 1e-3),
        Column("p99_times", "times", ",.2f"),
    ),
    "upload": (
        Column("mib_s", "MiB/s", ",.0f"),
        Column("grown_mib", "grown MiB", ",.1f"),
        Column("before_p99_us", "p99 ms of others before", ",.2f", 1e-3),
        Column("upload_p99_us", "p99 ms meanwhile", ",.2f", 1e-3),
        Column("upload_max_us", "max ms meanwhile", ",.2f", 1e-3),
    ),
    "churn": (
        Column("visits", "connections", ",.0f"),
        Column("slope_kib", "KiB/1000 connections", ",.2f"),
        Column("grown_kib", "grown KiB", ",.0f"),
        Column("files_left", "descriptors left", ",.0f"),
        Column("worker_mib", "worker MiB", ",.1f"),
    ),
}


def row_table(row: RowResult) -> Table:
    shown = COLUMNS[row.load]
    ratios = row.load in RATES
    table = [["server", *(column.heading for column in shown), *(["greenimi is"] if ratios else [])]]
    for outcome in row.outcomes:
        line = [outcome.server, *(cell(outcome, column) for column in shown)]
        if ratios:
            times = row.times(outcome.server)
            line.append(f"{times:.2f} x" if times else "-")
        table.append(line)
    return table


def heading(row: RowResult) -> str:
    return f"{row.title} ({row.tls})" if row.tls else row.title


def cell(outcome: Outcome, column: Column) -> str:
    value = outcome.figures.get(column.figure)
    return "-" if value is None else format(value * column.scale, column.form)


def goals_table(report: Report) -> Table:
    return [["row", "goal", "found", "verdict"]] + [[goal.row, goal.sentence, *goal.verdict(report)] for goal in goals.GOALS]


def verdict(report: Report) -> str:
    """One sentence on the whole run."""
    missed = goals.missed(report)
    if missed:
        return f"goals not reached: {'; '.join(f'{goal.row} {goal.text}' for goal in missed)}"
    return "every goal that was measured is reached"


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
    parts = [f"{heading(row)}\n{aligned(row_table(row))}" for row in report.rows]
    parts.append(f"goals\n{aligned(goals_table(report))}")
    if left_out := failures(report):
        parts.append("\n".join(left_out))
    parts.append(verdict(report))
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
        f"## Goals\n\n{markdown_table(goals_table(report))}\n\nThe verdict: {verdict(report)}. An aim is told only.",
        "## Figures",
        *(f"### {heading(row)}\n\n{markdown_table(row_table(row))}" for row in report.rows),
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
    about: dict[str, dict[str, list[str]]] = {}
    for row in report.rows:
        for outcome in row.outcomes:
            about.setdefault(outcome.server, {}).setdefault(outcome.about, []).append(row.row)
    return "\n".join(f"- **{server}**: {abouts(texts)}" for server, texts in about.items())


def abouts(texts: Mapping[str, Sequence[str]]) -> str:
    """What a server is; where it is not the same in all rows, in which rows it is what."""
    first, *others = texts
    return ". ".join([first, *(f"In {', '.join(texts[text])}: {text}" for text in others)])


def method(report: Report) -> str:
    return METHOD.format(rounds=report.rounds, seconds=report.seconds, samples=SAMPLES, crowd_idle=CROWD_IDLE)


METHOD = """\
Every server runs as one worker process (and its master, where it has one) on one CPU, the load on another. The servers of a row run
side by side and take turns after a warm-up (rounds: {rounds}; seconds of load in each: {seconds}); the figures are medians over the rounds.
*CPU µs/request* is user and system time of all of a server's processes, the sturdiest column; *RSS* is the worker's after the load.
*greenimi is* tells how many times as many requests greenimi answers. Only figures of one table compare: they serve for ratios and are
not absolute claims.

wrk makes the load of HTTP and HTTPS without pipelining, h2load that of HTTP/2; `benchmarks/load.c` makes the others, numbers each request
and compares each answer byte by byte. A server that answers wrongly is left out. Starlette and FastAPI carry three pass-through middlewares
in pure ASGI, the cheapest kind, and so does Litestar; the bare ones and the others carry none.

*http-json* posts `benchmarks/order.json`: ten fields (numbers, texts, a date, a list, an enum, an inner object) under the same bounds, in
Structs of msgspec or models of pydantic; the handler returns what it got, declared as that type.

*HTTPS*: one certificate, ECDSA on P-256, made for the run. Before the load each server is asked which version and cipher of TLS a client
without wishes gets; one that differs from the others of the row is left out. *New connections*: `benchmarks/visit.c` keeps 64 visits
going: connect, handshake without resumption, one request, its answer, good-bye. A client's handshake costs about as much as a server's,
so a fast server is limited by the load: where *load side busy* is near 100, the rate is the client's, and the CPU time a connection is
the figure that compares.

*Worker* is the resident memory of the process that serves, just after its start. *KiB/connection* is its growth over the connections
of the title, each of which had one message or request answered and then stays idle.

*Fan-out*: `benchmarks/fan.c` opens the connections; what one of them sends must come to all, in order and byte by byte, and a new message
leaves when an earlier one came to all. The latency is that of the last delivery; *deliveries/CPU s* are those for each second of CPU time
of all of a server's processes. Where there are two workers they share the one CPU and have about as many connections each.

*Push*: the same client asks one connection's worker to send a text to another connection, by turns to one of the same worker and to one of
the other worker; the time is from asking to the arrival. Both workers share one CPU.

*Crowd*: each connection is a member of the group that the messages go to. Memory is the proportional set size (PSS) of all workers,
before and after. A client is pinged after {crowd_idle} s of silence, and CPU time is that of all processes of the server in a minute of
such pings. *Message to all* is the median of three, from sending to the last delivery; *missing* counts deliveries that did not come and
connections that ended; *lost workers* were replaced; *stood still* is how often, once all were connected, a worker's loop let nobody run
for 0.1 s or more. Here servers and load are not kept apart either.

*Idle*: CPU time of all processes of a server that nobody asks anything; all of the row idle at the same time.

*Reload*: `benchmarks/paced.c` asks at half of the rate that wrk reached just before, over 64 keep-alive connections, whatever the server
does; a latency counts from when the request was due. Five seconds later workers are replaced; the roll lasts until the last old one is
gone. Here servers and load are not kept apart: workers and master may use both CPUs, as in life, and the client sits on the second. A
connection that was announced to end, or ended between two requests, is opened again; every request without a right answer has failed.

*Upload*: curl sends a sparse file; the handler gets it as a temporary file on the system's own. *Grown* is the worker's highest resident
memory meanwhile less that before, after a first upload of 8 MiB. Others ask 200 times a second all the while, from the CPU of the load.

*Calls*: a program makes the same call again and again in one process, on the CPU of the load; the programs of a row take turns.

*Churn*: visits as above, but by turns one is whole, one is reset before its answer is read, one says nothing, one is reset in the middle
of its request or handshake. Memory is looked at {samples} times between them, after a warm-up; the slope is the line through these samples
by least squares. The smallest object of Python, left behind by each connection, would be 16 KiB per 1000. OpenSSL's memory takes a
few more steps before it stays as it is, so HTTPS is judged less strictly. `--full` takes a million connections, and 200 000 with TLS."""

RERUN = """\
`scripts/bench` measures everything and rewrites this page (about seventeen minutes); `scripts/bench --quick` takes one short round and
leaves the page alone; `scripts/bench --only ws-echo,tls --json FILE` measures some rows (`tls`: all that begin so) and keeps the figures.
The first run makes a virtual environment for the peers below `benchmarks/.build` and a certificate, compiles the load clients and needs
gcc, openssl with libssl-dev, wrk, h2load (nghttp2-client) and nginx. Linux and two idle CPUs are needed; `scripts/bench --help` tells
the rest."""
