"""Ten thousand clients that come back: all at once, because their worker was killed, or when they are told to, because of a reload."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from greenimi import green
from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.support import wait_until
from tests.soak.measures import Cpu, descriptors, resident
from tests.soak.places import ROOT, NotRun, Verdict, most_files, serving
from tests.soak.reload_loop import reload

CLIENTS = 10_000
WORKERS = 2
FILES = 12_000
"""Open files that a worker needs when it has all of them, and so do the clients."""

BACK = 10.0
"""Seconds after the kill until all of them are back and answered."""

SLOWEST = 2.0
"""Seconds that an answer of the other worker may take meanwhile."""

WINDOW, GRACEFUL = 5.0, 30.0
RATE = 1000
"""New connections a second and worker, where that is limited."""

CALM = 5.0
"""Seconds that are looked at when all is over."""

MASTER_SHARE, WORKER_SHARE = 0.05, 0.2
"""Of a core, then."""

A_CONNECTION = 4096
"""Bytes of memory for each, about twice of what it takes: taking in thousands at once needs some, which a process keeps."""

GROWTH = 4 << 20
"""Bytes that a worker may have grown by when as many come a second time."""

PATIENCE = 30.0
SETTINGS = {
    "servers.web.connections": "20000",
    "workers.drain_window": str(WINDOW),
    "workers.graceful_timeout": str(int(GRACEFUL)),
}


def most_in_a_second(moments: Iterable[float]) -> int:
    """The largest number of them within any one second."""
    ordered = sorted(moments)
    most = first = 0
    for number, moment in enumerate(ordered):
        while ordered[first] <= moment - 1:
            first += 1
        most = max(most, number + 1 - first)
    return most


class Happened:
    """What a crowd told so far (see ``Crowd.tell``)."""

    def __init__(self) -> None:
        self.whole = 0
        self.waits: list[tuple[float, float]] = []
        self._moments: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, told: Mapping[str, Any]) -> None:
        self.whole = told["whole"]
        self.waits += [(asked, seconds) for asked, seconds in told["waits"]]
        for what, moments in told["happened"].items():
            self._moments[what] += moments

    def since(self, what: str, began: float) -> list[float]:
        """Seconds after ``began`` of everything of that kind."""
        return [moment - began for moment in self._moments[what] if moment >= began]

    def slowest(self, began: float) -> tuple[int, float]:
        """How many who stayed connected were answered since then, and after how many seconds at most."""
        found = [seconds for asked, seconds in self.waits if asked + seconds >= began]
        return len(found), max(found, default=0.0)


class Storm:
    """The crowd, and what happened to it."""

    def __init__(self, port: int, number: int = CLIENTS) -> None:
        self.happened = Happened()
        self._number = number
        self._command = [sys.executable, "-m", "tests.soak.crowd", str(port), str(number)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def _order(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def look(self) -> Happened:
        """What happened until now."""
        assert self._process.stdout is not None
        self._order("tell")
        self.happened.add(json.loads(self._process.stdout.readline()))
        return self.happened

    def ask(self) -> None:
        """Everybody who is connected asks once more."""
        self._order("ask")

    def is_whole(self, lost: int = 0, began: float = 0.0) -> bool:
        """All of them are connected and answered, after so many were lost since ``began``; waits for it, but not for ever."""
        until = time.monotonic() + PATIENCE
        while not (found := self.look().whole == self._number and len(self.happened.since("lost", began)) >= lost):
            if time.monotonic() > until:
                break
            green.sleep(0.1)
        return found


# -- what is looked at -----------------------------------------------------------------------------------------------
def held(service: Gunicorn) -> dict[int, int]:
    """The connections of each worker that is ready, by its process id, when there are as many as clients."""

    def found() -> dict[int, int]:
        workers = service.status().get("workers", ())  # written once a second
        counts = {each["pid"]: each["servers"]["web"]["connections"] for each in workers if "servers" in each}
        return counts if sum(counts.values()) == CLIENTS else {}

    return wait_until(found, PATIENCE)


def judge_kill(happened: Happened, began: float, victims: int, verdict: Verdict) -> None:
    """Those of the killed worker are back and answered in time; nobody else noticed anything."""
    lost, answered, refused = (happened.since(what, began) for what in ("lost", "answered", "refused"))
    verdict.check(len(lost) == victims, f"{len(lost)} lost their connection, {victims} were connected to the killed worker")
    verdict.say(f"{len(refused)} were not let in at first; at most {most_in_a_second(happened.since('opened', began))} within one second")
    text = f"{len(answered)} came back, the last one was answered after {max(answered, default=0):.1f} s (at most {BACK:.0f} s)"
    verdict.check(len(answered) == len(lost) and max(answered, default=BACK) <= BACK, text)
    count, slowest = happened.slowest(began)
    text = f"clients who stayed got {count} answers meanwhile, the slowest after {slowest:.2f} s (at most {SLOWEST:.0f} s)"
    verdict.check(count and slowest <= SLOWEST, text)
    _judge_words(happened, began, 0, verdict)


def judge_reload(happened: Happened, began: float, verdict: Verdict) -> None:
    """Each is told once, and they come back spread over the window, none of them in vain."""
    told, opened, answered, lost, refused = (happened.since(what, began) for what in ("told", "opened", "answered", "lost", "refused"))
    _judge_words(happened, began, CLIENTS, verdict)
    verdict.check(not lost and not refused, f"{len(lost)} were thrown out without a word, {len(refused)} were not let in at first")
    first = min(told, default=0.0)
    verdict.say(f"the goodbyes were said within {max(told, default=0.0) - first:.1f} s (drain_window {WINDOW:.0f} s)")
    took = max(answered, default=GRACEFUL) - first
    text = f"{len(answered)} came back, the last one was answered {took:.1f} s after the first goodbye (at most {GRACEFUL:.0f} s)"
    verdict.check(len(answered) == CLIENTS and took <= GRACEFUL, text)
    most = most_in_a_second(opened)
    verdict.check(opened and most < CLIENTS / 2, f"at most {most} new ones within one second (below {CLIENTS // 2})")


def _judge_words(happened: Happened, began: float, number: int, verdict: Verdict) -> None:
    told, dismissed, wrong = (len(happened.since(what, began)) for what in ("told", "dismissed", "wrong"))
    verdict.check(told == number and not dismissed, f"{told} goodbyes with 1012 (exactly {number}), {dismissed} with another code")
    verdict.check(not wrong, f"{wrong} wrong answers")


def judge_calm(service: Gunicorn, verdict: Verdict) -> None:
    """Nobody spins when all is over."""
    cpus = {pid: Cpu(pid) for pid in (service.pid, *service.ready)}
    green.sleep(CALM)
    master, *workers = [cpu.share for cpu in cpus.values()]
    verdict.check(master < MASTER_SHARE, f"afterwards the master uses {100 * master:.1f} % of a core (below {100 * MASTER_SHARE:.0f} %)")
    text = f"the workers {' and '.join(f'{100 * share:.1f} %' for share in workers)} (below {100 * WORKER_SHARE:.0f} % each)"
    verdict.check(max(workers) < WORKER_SHARE, text)


class Worker:
    """A worker that nobody is connected to yet, and what it holds later."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._bare = descriptors(pid), resident(pid)

    @property
    def files(self) -> int:
        return descriptors(self.pid) - self._bare[0]

    @property
    def memory(self) -> int:
        return resident(self.pid) - self._bare[1]

    def judge_held(self, connections: int, verdict: Verdict) -> None:
        """A descriptor and some memory for each connection, and nothing besides."""
        verdict.check(self.files == connections, f"its {connections} connections have {self.files} descriptors")
        text = f"it grew by {self.memory >> 10} KiB, {self.memory / connections:.0f} bytes for each (at most {A_CONNECTION})"
        verdict.check(self.memory <= connections * A_CONNECTION, text)

    def judge_left(self, verdict: Verdict) -> None:
        """Nobody is connected any more."""
        began = time.monotonic()
        while self.files > 0 and time.monotonic() < began + PATIENCE:
            green.sleep(0.05)
        verdict.check(self.files <= 0, f"when all had left, {self.files} descriptors were left after {time.monotonic() - began:.1f} s")


class Accepting:
    """How many connections each worker accepts in a second of its own, which is when it writes that number: looked at in a greenlet."""

    def __init__(self, service: Gunicorn) -> None:
        self._service = service
        self._records: dict[int, dict[float, int]] = {}

    def __enter__(self) -> Self:
        self._greenlet = green.spawn(self._go_on)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._greenlet.kill()

    def _go_on(self) -> None:
        while True:
            self.add(self._service.status().get("workers", ()))
            green.sleep(0.2)

    def add(self, workers: Sequence[Mapping[str, Any]]) -> None:
        for each in workers:
            if "servers" in each:
                self._records.setdefault(each["pid"], {})[each["at"]] = each["servers"]["web"]["accepted"]

    @property
    def most(self) -> int:
        """Of one worker, from one record to the next; fewer when a record in between was not seen."""
        found = [0]
        for records in self._records.values():
            for (before, first), (after, then) in pairwise(sorted(records.items())):
                found.append((then - first) // max(1, round(after - before)))
        return max(found)


# -- what happens ----------------------------------------------------------------------------------------------------
def kill_one(service: Gunicorn, storm: Storm, verdict: Verdict) -> int:
    """One worker; the other one's process id."""
    verdict.check(storm.is_whole(), f"{storm.happened.whole} of {CLIENTS} clients are connected and answered")
    counts = held(service)
    victim, other = service.ready
    storm.look()
    began = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    storm.is_whole(counts[victim], began)
    judge_kill(storm.happened, began, counts[victim], verdict)
    storm.ask()
    verdict.check(storm.is_whole(), f"{storm.happened.whole} of {CLIENTS} are answered when all ask again")
    return other


def killed(folder: Path, verdict: Verdict) -> None:
    """SIGKILL, and nothing that slows the clients down."""
    with serving(folder, SETTINGS, WORKERS) as service:
        port = service.addresses["web"][1]
        workers = {pid: Worker(pid) for pid in service.ready}
        with Storm(port) as storm:
            other = workers[kill_one(service, storm, verdict)]
            wait_until(lambda: len(service.ready) == WORKERS, PATIENCE)
            judge_calm(service, verdict)
            now = held(service)
            verdict.say(f"the other worker has {now[other.pid]} of them now")
            other.judge_held(now[other.pid], verdict)
            memory = other.memory
        other.judge_left(verdict)
        with Storm(port) as storm:
            verdict.check(storm.is_whole(), f"{storm.happened.whole} of {CLIENTS} came anew")
            grown = other.memory - memory
            verdict.check(grown <= GROWTH, f"the other worker grew by {grown >> 10} KiB more by that (at most {GROWTH >> 10} KiB)")
        verdict.check("Traceback" not in service.log, "nothing was reported")


def reloaded(folder: Path, verdict: Verdict) -> None:
    """The goodbyes are spread over ``workers.drain_window``."""
    with serving(folder, SETTINGS, WORKERS) as service:
        with Storm(service.addresses["web"][1]) as storm:
            verdict.check(storm.is_whole(), f"{storm.happened.whole} of {CLIENTS} clients are connected and answered")
            began = time.monotonic()
            verdict.say(f"the reload took {reload(service):.1f} s")
            storm.is_whole()
            judge_reload(storm.happened, began, verdict)
            storm.ask()
            verdict.check(storm.is_whole(), f"{storm.happened.whole} of {CLIENTS} are answered when all ask again")
            judge_calm(service, verdict)
        verdict.check("Traceback" not in service.log, "nothing was reported")


def limited(folder: Path, verdict: Verdict) -> None:
    """SIGKILL where ``accept_rate`` is set: whoever is too many waits in the kernel."""
    with serving(folder, {**SETTINGS, "servers.web.accept_rate": str(RATE)}, WORKERS) as service:
        with Accepting(service) as accepting, Storm(service.addresses["web"][1]) as storm:
            kill_one(service, storm, verdict)
            held(service)
        most = accepting.most
        verdict.check(RATE / 2 < most <= RATE, f"at most {most} connections were accepted in a second by one worker (at most {RATE})")


def run(folder: Path, verdict: Verdict) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < FILES:
        raise NotRun(f"a process may not have {FILES} files open here (ulimit -Hn)")
    parts = {"a worker is killed": killed, "a reload": reloaded, f"a worker is killed, accept_rate = {RATE}": limited}
    for name, part in parts.items():
        verdict.part(f"{CLIENTS} clients, {name}")
        with most_files(FILES):
            part(folder / part.__name__, verdict)
