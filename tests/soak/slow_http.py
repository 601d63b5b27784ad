"""Slow HTTP clients by the thousand: slowhttptest's slow heads, slow bodies and slow readers.

Every connection that it holds has to be cut at its deadline, the service has to be available all the time, and other clients may hardly
notice.
"""

from __future__ import annotations

import csv
import os
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from greenimi import green
from greenimi.testing.gunicorn import Gunicorn
from tests.soak import networks
from tests.soak.clients import KeptHttp, NewHttp, Steady
from tests.soak.measures import in_ms, percentile
from tests.soak.places import NotRun, Verdict, need, serving

CLIENTS = 1000
RATE = 250
"""New ones a second."""

DEADLINE = 5.0
SLACK = 3.0
"""Seconds beyond it: a sweep looks once a second, what is late by then is cut at the next look."""

LENGTH = 20
"""Seconds after which slowhttptest gives up."""

OFTEN = 0.5
"""Seconds between two looks at how many connections there are."""

OTHERS = 8
"""Connections of clients that behave, at most, those that are about to end included."""

CALM = 5.0
"""Seconds that other clients are measured without an attack."""

SLOWER, LATER = 3.0, 0.005
"""What an attack may do to the 99th percentile of others: so many times, or so many seconds more."""

ATTACKS: dict[str, tuple[str, ...]] = {
    "slow heads": ("-H", "-u", "/hello", "-i", "2"),
    "slow bodies": ("-B", "-u", "/size", "-t", "POST", "-s", "8192", "-x", "16", "-i", "2"),
    "slow readers": ("-X", "-u", "/big", "-n", "1", "-z", "5", "-w", "512", "-y", "1024"),
    "slow readers of a stream": ("-X", "-u", "/stream", "-n", "1", "-z", "5", "-w", "512", "-y", "1024"),
}

SETTINGS = {
    **{f"servers.web.{name}": str(DEADLINE) for name in ("first_byte", "head_time", "body_time", "write_time")},
    "log.level": "warning",
}


@dataclass(frozen=True)
class Row:
    """One second of slowhttptest's own statistics."""

    second: int
    closed: int
    connected: int
    available: bool


def rows_of(text: str) -> list[Row]:
    """What ``slowhttptest -g`` wrote.  ValueError for anything else."""
    table = list(csv.DictReader(text.splitlines()))
    try:
        return [Row(int(each["Seconds"]), int(each["Closed"]), int(each["Connected"]), each["Service Available"] != "0") for each in table]
    except KeyError as error:
        raise ValueError(f"no column {error}") from None


class Watch:
    """How many connections to the service there are: in every state, those that the kernel still has to end included.

    One process counts them again and again: to start one for each look would keep the clients of this process, whose times are measured,
    from their answers.
    """

    def __init__(self, service: Gunicorn) -> None:
        count = f"while :; do ss -Htn sport = :{service.addresses['web'][1]} | wc -l; sleep {OFTEN}; done"
        self._process = subprocess.Popen(["sh", "-c", count], stdout=subprocess.PIPE, text=True)
        self._began = time.monotonic()
        self.held: list[tuple[float, int]] = []
        """Seconds since the beginning, and the number then."""
        self.full = 0.0
        """When there were most of them."""

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()

    def look(self) -> int:
        """The next number."""
        assert self._process.stdout is not None
        found = int(self._process.stdout.readline())
        now = time.monotonic() - self._began
        if found > max((number for _, number in self.held), default=0):
            self.full = now
        self.held.append((now, found))
        return found

    @property
    def is_over(self) -> bool:
        """Whether the last connection should have been cut by now."""
        return time.monotonic() - self._began > self.full + DEADLINE + SLACK

    def left_after(self, second: float) -> int:
        """The number at the first look after that."""
        return next((number for at, number in self.held if at >= second), self.held[-1][1])


def judge(rows: list[Row], watch: Watch, verdict: Verdict) -> None:
    """All connections were opened, the last one was cut soon after its deadline, and slowhttptest's own probes were answered."""
    opened = max(row.connected + row.closed for row in rows)
    verdict.check(opened >= CLIENTS, f"{opened} of {CLIENTS} connections were opened")
    most = max(number for _, number in watch.held)
    left = watch.left_after(watch.full + DEADLINE + SLACK)
    verdict.check(left <= OTHERS, f"{most} at the same time in second {watch.full:.0f}, {left} were left {DEADLINE + SLACK:.0f} s later")
    away = [row.second for row in rows if not row.available]
    verdict.check(not away, f"slowhttptest found the service available all the time{f', but not in seconds {away}' if away else ''}")


def attack(name: str, service: Gunicorn, folder: Path, watch: Watch) -> list[Row]:
    """Run one of them to its end."""
    mode, _, path, *more = ATTACKS[name]
    report = folder / name.replace(" ", "-")
    command = ["slowhttptest", mode, "-u", "http://{}:{}{}".format(*service.addresses["web"], path), *more]
    command += ["-c", str(CLIENTS), "-r", str(RATE), "-l", str(LENGTH), "-p", "2", "-g", "-o", str(report), "-v", "0"]
    with report.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "TERM": "dumb"})
        try:
            while process.poll() is None:
                watch.look()
        finally:
            process.kill()
            process.wait()
    while watch.look() > OTHERS and not watch.is_over:
        pass
    return rows_of(report.with_suffix(".csv").read_text())


def others(service: Gunicorn, ends: ExitStack) -> list[Steady]:
    """Clients that behave."""
    return [ends.enter_context(Steady(kind(service.addresses["web"]), 0.01)) for kind in (KeptHttp, NewHttp)]


def calm(service: Gunicorn) -> list[float]:
    """The 99th percentile of each kind of client without an attack."""
    with ExitStack() as ends:
        ends.enter_context(Watch(service))
        clients = others(service, ends)
        green.sleep(CALM)
    return [percentile(client.latencies, 0.99) for client in clients]


def run(folder: Path, verdict: Verdict) -> None:
    need("slowhttptest", "ss")
    try:
        networks.leave()
    except NotRun as error:
        verdict.say(f"over the machine's own loopback interface, where more of an answer fits into the kernel: {error}")
    with serving(folder, SETTINGS) as service:
        for name in ATTACKS:
            verdict.part(f"{CLIENTS} {name}")
            before = calm(service)
            with ExitStack() as ends:
                clients = others(service, ends)
                watch = ends.enter_context(Watch(service))
                rows = attack(name, service, folder, watch)
            judge(rows, watch, verdict)
            for client, was in zip(clients, before, strict=True):
                verdict.check(not client.failures and client.latencies, client.told)
                found = percentile(client.latencies, 0.99)
                verdict.check(
                    found <= max(SLOWER * was, was + LATER),
                    f"{getattr(client.asking, 'name', '')}: 99 % answered within {in_ms(found)}, {in_ms(was)} without an attack",
                )
        verdict.check(len(service.booted) == 1, "one worker served all of it")
