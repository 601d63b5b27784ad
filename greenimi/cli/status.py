"""``greenimi status``"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, cast

from greenimi.cli.masters import add_master, find_master
from greenimi.cli.options import add_json
from greenimi.cli.output import say, table
from greenimi.servers.master.calling import ask
from greenimi.servers.watch.totals import nothing, summed

if TYPE_CHECKING:
    from greenimi.servers.watch.status_types import BookedWorker, MasterStatus, Status, WorkerStatus

EXAMPLES = """
greenimi status                                  of the service of this folder's conf
greenimi status --json                           for programs
"""

_STALE = 5.0
"""Seconds without a word from a worker, after which its numbers are marked."""

_RED, _YELLOW, _BOLD, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[1m", "\x1b[0m"


def arguments(parser: ArgumentParser) -> None:
    add_master(parser)
    add_json(parser)


def run(options: Namespace) -> int:
    status = cast("Status", ask(find_master(options), {"do": "status"})["status"])
    say(as_json(status) if options.json else render(status))
    return 0


def as_json(status: Status) -> str:
    """Everything that is known, for programs."""
    return json.dumps(status, indent=2, ensure_ascii=False)


def render(status: Status, *, now: float | None = None, width: int | None = None, color: bool | None = None) -> str:
    """For people: the master, its workers, the servers, what other rooms count, and where the loop was blocked.

    ``width``: columns of the terminal, longer lines are cut; by default those of ours, and any where the output is no terminal.
    """
    now = time.time() if now is None else now
    terminal = sys.stdout.isatty()
    color = terminal and "NO_COLOR" not in os.environ if color is None else color
    if width is None and terminal:
        width = shutil.get_terminal_size().columns
    workers = [cast("WorkerStatus", worker) for worker in status["workers"] if "at" in worker]
    parts = [
        _master(status["master"], now),
        *_workers(status["workers"], now),
        *_servers(status, workers),
        *_sources(workers),
        *_blocked(workers, now),
    ]
    lines = "\n\n".join(parts).splitlines()
    if width is not None:
        lines = [line if len(line) <= width else line[: width - 1] + "…" for line in lines]
    return "\n".join(_painted(line) for line in lines) if color else "\n".join(lines)


# -- sections ----------------------------------------------------------------------------------------------------------


def _master(master: MasterStatus, now: float) -> str:
    reloads = f", {_counted(master['reloads'], 'reload')}" if master["reloads"] else ""
    lines = [
        f"master {master['pid']}, up {duration(now - master['since'])}, generation {master['generation']}{reloads}",
        f"conf   {master['conf']}",
    ]
    last = master["last_reload"]
    if last is not None:
        text = last["text"].partition("\n")[0]
        lines.append(f"reload {'ok' if last['ok'] else 'failed'} {duration(now - last['when'])} ago: {text}".rstrip(": "))
    return "\n".join(lines)


def _workers(workers: Sequence[BookedWorker | WorkerStatus], now: float) -> Iterator[str]:
    if not workers:
        yield "there is no worker"
        return
    heads = ["worker", "pid", "gen", "state", "age", "connections", "busy", "waiting", "lag", "memory", "cpu"]
    yield table(heads, [_worker(worker, now) for worker in workers])


def _worker(worker: BookedWorker | WorkerStatus, now: float) -> list[object]:
    row: list[object] = [worker["place"], worker["pid"], worker["generation"], worker["state"]]
    if "at" not in worker:  # it has not written anything yet
        return [*row, *["-"] * 7]
    found = cast("WorkerStatus", worker)
    handlers = found["handlers"]
    if handlers["overloaded"]:
        row[3] = f"{row[3]}, overloaded"
    if now - found["at"] > _STALE:
        row[3] = f"{row[3]}, silent for {duration(now - found['at'])}"
    age = max(now - found["since"], 0.001)
    return [
        *row,
        duration(age),
        sum(server["connections"] for server in found["servers"].values()),
        f"{handlers['busy']}/{handlers['limit']}",
        handlers["waiting"],
        f"{short(found['loop']['lag'])} (max {short(found['loop']['max_lag'])})",
        size(found["memory"]),
        f"{found['cpu'] / age:.1%}",
    ]


def _servers(status: Status, workers: Sequence[WorkerStatus]) -> Iterator[str]:
    """What each server did in the workers that run now."""
    totals = summed(nothing(), workers)["servers"]
    addresses: dict[str, list[str]] = {}
    kinds = {name: server["kind"] for name, server in totals.items()}
    for listener in status["listeners"]:
        kinds.setdefault(listener["server"], listener["kind"])
        known = addresses.setdefault(listener["server"], [])
        if listener["address"] not in known:  # a UDP address has several sockets
            known.append(listener["address"])
    rows: list[list[object]] = []
    for name, kind in kinds.items():
        row: list[object] = [name, kind, ", ".join(addresses.get(name, ["-"]))]
        if name in totals:
            server = totals[name]
            buckets = server["latency"]["buckets"]
            times = [quantile(buckets, part) for part in (0.5, 0.99)]
            row += [server["connections"], server["accepted"], server["refused"], server["handled"]]
            row += ["-" if found is None else short(found) for found in times]
        else:
            row += ["-"] * 6
        rows.append(row)
    if rows:
        yield table(["server", "kind", "address", "connections", "accepted", "refused", "messages", "p50", "p99"], rows)


def _sources(workers: Sequence[WorkerStatus]) -> Iterator[str]:
    """The Hub, pools and what else counts something, as far as there is something."""
    sources = summed(nothing(), workers)["sources"]
    told = {name: [f"{key.removesuffix('_total')} {value:g}" for key, value in own.items() if value] for name, own in sources.items()}
    if any(told.values()):
        yield table(["counts of", ""], [[name, ", ".join(own)] for name, own in told.items() if own])


def _blocked(workers: Sequence[WorkerStatus], now: float) -> Iterator[str]:
    reports = [(report, worker) for worker in workers for report in worker["blocked"]["reports"]]
    if not reports:
        return
    count = sum(worker["blocked"]["count"] for worker in workers)
    reports.sort(key=lambda pair: pair[0]["when"])
    heads = ["blocked", "worker", "for", "at"]
    rows = [[f"{duration(now - one['when'])} ago", worker["place"], short(one["seconds"]), one["where"]] for one, worker in reports[-10:]]
    yield f"nothing else could run, {_counted(count, 'time')}; the last:\n{table(heads, rows)}"


# -- words -------------------------------------------------------------------------------------------------------------


def quantile(buckets: Sequence[int], part: float) -> float | None:
    """Seconds within which ``part`` of the messages were handled, as exact as buckets of powers of two are; None without any."""
    counts = list(accumulate(buckets))
    if not counts or not counts[-1]:
        return None
    wanted = part * counts[-1]
    power = next(number for number, count in enumerate(counts) if count >= wanted)
    low = 2.0 ** (power - 1) if power else 0.0
    before = counts[power - 1] if power else 0
    share = (wanted - before) / buckets[power] if buckets[power] else 1.0
    return (low + (2.0**power - low) * share) / 1e6


def duration(seconds: float) -> str:
    """Two units at most: ``45s``, ``12m 5s``, ``3h 20m``, ``5d 2h``."""
    whole = max(0, int(seconds))
    for unit, larger, smaller in ((86400, "d", "h"), (3600, "h", "m"), (60, "m", "s")):
        if whole >= unit:
            rest = whole % unit // {"h": 3600, "m": 60, "s": 1}[smaller]
            return f"{whole // unit}{larger}" + (f" {rest}{smaller}" if rest else "")
    return f"{whole}s"


def short(seconds: float) -> str:
    """``28µs``, ``3.4ms``, ``45ms``, ``1.2s``"""
    if seconds >= 1:
        return f"{seconds:.1f}s"
    if seconds >= 0.01:
        return f"{seconds * 1e3:.0f}ms"
    return f"{seconds * 1e3:.1f}ms" if seconds >= 0.001 else f"{seconds * 1e6:.0f}µs"


def size(found: float) -> str:
    """``512K``, ``48M``, ``1.5G``"""
    for unit in ("B", "K", "M"):
        if found < 1000:
            return f"{found:.0f}{unit}"
        found /= 1024
    return f"{found:.1f}G"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"


def _painted(line: str) -> str:
    """With the color that what it says deserves."""
    if line.startswith(("worker ", "server ", "blocked ", "master ")):
        return f"{_BOLD}{line}{_PLAIN}"
    if line.startswith(("reload failed", "there is no worker")) or "silent for" in line or "overloaded" in line:
        return f"{_RED}{line}{_PLAIN}"
    if line.startswith("nothing else could run") or " leaving " in line or " draining " in line or " booting " in line:
        return f"{_YELLOW}{line}{_PLAIN}"
    return line
