"""The command line of `scripts/bench`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from benchmarks import chart, report
from benchmarks.goals import missed
from benchmarks.machine import Steal, describe
from benchmarks.measure import measure
from benchmarks.outcomes import say
from benchmarks.paths import BenchError
from benchmarks.prepare import prepare
from benchmarks.process import cpus, free_ports
from benchmarks.results import Report
from benchmarks.servers import OURS, ROWS, Row

BUSY = 0.5  # processes at work before we begin: more is worth a warning
STOLEN = 0.02  # of the CPU time, by other machines: more is worth a warning

ABOUT = """\
Compare greenimi with other Python servers on this machine.

Each server runs on one CPU, the load on another. The servers of a row run side by side and take turns, round by round; the
figures are medians. Printed: requests a second, latency, CPU time a request, memory, and how many times as many requests
greenimi answers. Other rows look at messages to many connections, idle connections, an idle server, a reload under load, and
what many short connections leave behind. Then the goals are judged: a missed one fails the run, an aim does not. A server that
does not start or answers wrongly is left out and named.
"""

EXAMPLES = """\
examples:
  scripts/bench                                   everything, about seventeen minutes; rewrites docs/benchmarks.md and .svg
  scripts/bench --quick                           one round of one second, a look at the trend; leaves docs/ alone
  scripts/bench --only guest,tls                  the row guest and all rows that begin with tls (names: --list)
  scripts/bench --only churn --full               a million connections instead of fifty thousand
  scripts/bench --only tcp-line --servers greenimi,uvloop-streams --rounds 5 --seconds 4
  scripts/bench --json before.json                keep the figures; --from before.json prints them again

The first run makes a virtual environment for the peers and a certificate, compiles the load clients with gcc and, as root on Debian,
installs wrk, nginx and libssl-dev; later runs begin at once. greenimi is taken from .venv, or from the environment variable
GREENIMI_VENV. What a server said stands in benchmarks/.build/logs. Ctrl-C ends every process.
exit status: 0 measured · 1 something is missing · 2 wrong use · 3 measured, a goal is missed · 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    if options.list:
        with contextlib.suppress(BrokenPipeError):  # `--list | head`
            print(listing(), flush=True)
        return 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        found = read(options.source) if options.source else take(options)
        show(found, options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted, all servers are ended", file=sys.stderr)
        return 130
    return 3 if missed(found) else 0


def interrupt(number: int, frame: object) -> None:
    """Leave through every `finally`, so that all servers are ended."""
    raise KeyboardInterrupt


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("bench", description=ABOUT, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", metavar="ROW,...", type=row_names, default=ROWS, help="measure these rows; a first word such as tls means all of its rows"
    )
    parser.add_argument("--servers", metavar="NAME,...", type=server_names, default=(), help="measure these servers")
    parser.add_argument("--rounds", metavar="N", type=between(1, 99), default=3, help="rounds (default 3)")
    parser.add_argument("--seconds", metavar="S", type=between(1, 60), default=2, help="load for each server in each round (default 2)")
    parser.add_argument("--full", action="store_true", help="churn with a million connections, and 200 000 with TLS")
    parser.add_argument("--quick", action="store_true", help="one round of one second")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures there, each round too")
    parser.add_argument("--from", metavar="FILE", type=Path, dest="source", help="measure nothing; take the figures of an earlier --json")
    parser.add_argument(
        "--docs", action="store_true", help="write docs/benchmarks.md and .svg also from a partial or quick run, or one without greenimi"
    )
    parser.add_argument("--list", action="store_true", help="name the rows and their servers")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds = options.seconds = 1
    return options


def row_names(text: str) -> tuple[Row, ...]:
    asked = known(text, [name for row in ROWS for name in (row.group, row.name)], "row")
    return tuple(row for row in ROWS if row.name in asked or row.group in asked)


def server_names(text: str) -> tuple[str, ...]:
    return known(text, [server.name for row in ROWS for server in row.servers], "server")


def known(text: str, names: Collection[str], noun: str) -> tuple[str, ...]:
    asked = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    wrong = [name for name in asked if name not in names]
    if wrong or not asked:
        raise argparse.ArgumentTypeError(f"no {noun} {', '.join(wrong) or 'named'}; there are {', '.join(dict.fromkeys(names))}")
    return asked


def between(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}, not {text!r}")
        return int(text)

    return number


def listing() -> str:
    lines = []
    for row in ROWS:
        lines.append(f"{row.name:<16} {row.title}")
        lines += [f"    {server.name:<18} {server.about}" for server in row.servers]
    return "\n".join(lines)


def take(options: argparse.Namespace) -> Report:
    cpus()
    busy = os.getloadavg()[0]
    if busy > BUSY:
        say(f"this machine is busy (load average {busy:.1f}): rates will be low and uneven; CPU time a request suffers least")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the servers inherit it
    prepare(options.only)
    ports, steal = free_ports(), Steal()
    rows = [measure(row, options.servers, options.rounds, options.seconds, ports, full=options.full) for row in options.only]
    if steal.part() > STOLEN:
        say(f"other machines on this hardware took {steal.part():.0%} of the CPU time: figures are uneven, better run it again")
    return Report(describe(), options.rounds, options.seconds, [row for row in rows if row.outcomes])


def is_whole(found: Report) -> bool:
    """Whether greenimi was measured in every row."""
    return len(found.rows) == len(ROWS) and all(outcome.figures for row in found.rows for outcome in row.outcomes if outcome.server == OURS)


def read(path: Path) -> Report:
    try:
        return Report.from_json(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{path} does not hold the figures of a run: {error!r}") from error


def show(found: Report, options: argparse.Namespace) -> None:
    print(report.as_text(found))
    if options.json:
        options.json.write_text(json.dumps(found.as_json(), indent=1, ensure_ascii=False) + "\n")
    full_length = not (options.quick or options.servers or options.source)
    if options.docs or (full_length and is_whole(found)):
        report.PAGE.write_text(report.as_markdown(found))
        report.CHART.write_text(chart.draw(found))
        say("written: docs/benchmarks.md, docs/benchmarks.svg")
