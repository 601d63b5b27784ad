"""Workers are replaced, or killed, again and again while a story is told to clients that come back: they hear all of it, once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from greenimi import green
from greenimi.testing.clients import HttpClient, WebSocketClient
from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.resuming import Heard, ResumingClient
from greenimi.testing.support import wait_until
from tests.soak.bad_workers import replaced
from tests.soak.places import ROOMS, Verdict, serving
from tests.soak.reload_loop import reload

WORKERS = 2
CLIENTS = 30
MESSAGES, AT_ONCE = 10_000, 10
PAUSE = 0.015
"""Seconds between two requests that tell so many messages at once."""

BACK = 2.0
"""Seconds until a client is back."""

STABLE = 1.0
"""Seconds after which a client takes a connection for a good one, and hurries when that is lost: here they are lost every few seconds."""

PATIENCE = 30.0
GOODBYES = (1001, 1012)
SETTINGS = {"workers.drain_window": "1", "workers.graceful_timeout": "10"}


class Reader:
    """A client that notes the offsets and the numbers of the story, in the order in which it hears them."""

    def __init__(self, service: Gunicorn) -> None:
        self.heard: list[tuple[int | None, int]] = []
        address = service.addresses["web"]
        self.client = ResumingClient(lambda: WebSocketClient(address, "/story"), hear=self._hear, stable=STABLE)

    def _hear(self, heard: Heard) -> None:
        if heard.group == "story":
            self.heard.append((heard.offset, heard.data["number"]))


class Teller:
    """Tells the story, by requests over connections of their own, in a greenlet.

    told   the numbers of which it was answered that they are told
    tried  the numbers of which nobody knows, because the request failed
    """

    def __init__(self, service: Gunicorn) -> None:
        self.told: list[int] = []
        self.tried: list[int] = []
        self._address = service.addresses["web"]
        self.greenlet = green.spawn(self._tell)

    @property
    def is_done(self) -> bool:
        return bool(self.greenlet.ready())

    def _tell(self) -> None:
        for first in range(0, MESSAGES, AT_ONCE):
            numbers = range(first, first + AT_ONCE)
            try:
                with HttpClient(self._address) as client:
                    done = client.get(f"/tell/{first}/{AT_ONCE}").status == 200
            except (OSError, EOFError):
                done = False
            (self.told if done else self.tried).extend(numbers)
            green.sleep(PAUSE)


def readers(ends: ExitStack, service: Gunicorn) -> list[Reader]:
    found = [Reader(service) for _ in range(CLIENTS)]
    for number, reader in enumerate(found):
        ends.enter_context(reader.client)
        reader.client.wait_open(PATIENCE)
        reader.client.call("enter", name=f"reader {number}")
    return found


def judge_story(found: Sequence[Reader], teller: Teller, verdict: Verdict) -> None:
    """Everybody heard the same, every offset once and in order, and whatever was told is in it."""
    last = max(len(reader.heard) for reader in found)
    wait_for(lambda: all(len(reader.heard) >= max(last, len(teller.told)) for reader in found))
    first = found[0].heard
    offsets = [offset for offset, _ in first]
    verdict.check(offsets == list(range(1, len(first) + 1)), f"one heard offsets 1 to {len(first)}, each once and in order")
    same = sum(reader.heard == first for reader in found)
    verdict.check(same == CLIENTS, f"{same} of {CLIENTS} heard the same ({len(first)} messages)")
    numbers = [number for _, number in first]
    missing = set(teller.told) - set(numbers)
    verdict.check(not missing, f"{len(missing)} of the {len(teller.told)} that were told are missing")
    strange = set(numbers) - set(teller.told) - set(teller.tried)
    verdict.check(len(set(numbers)) == len(numbers) and not strange, f"{len(numbers) - len(set(numbers))} were heard twice")
    gaps = sum(len(reader.client.gaps) for reader in found)
    problems = [problem for reader in found for problem in reader.client.problems]
    verdict.check(not gaps and not problems, f"no client was told that something is lost ({gaps}), or wrong ({problems[:2]})")


def wait_for(predicate: Callable[[], bool]) -> None:
    """For what is judged afterwards: not for ever."""
    until = time.monotonic() + PATIENCE
    while not predicate() and time.monotonic() < until:
        green.sleep(0.02)


def judge_absences(found: Sequence[Reader], goodbyes: bool, verdict: Verdict) -> None:
    wait_for(lambda: all(reader.client.is_open for reader in found))
    absences = [absence for reader in found for absence in reader.client.absences]
    never = sum(not reader.client.absences for reader in found)
    seconds = [PATIENCE if absence.seconds is None else absence.seconds for absence in absences]
    attempts = sum(absence.attempts for absence in absences)
    verdict.say(f"{len(absences)} times a client lost its connection, and made {attempts} attempts altogether")
    verdict.check(absences and max(seconds) <= BACK, f"it was back after {max(seconds, default=0):.2f} s at most (at most {BACK:.0f} s)")
    if goodbyes:
        verdict.check(not never, f"every client did ({never} never did)")
        codes = sorted({absence.code for absence in absences})
        verdict.check(set(codes) <= set(GOODBYES), f"each with a goodbye: {codes}")
        restored = sum(absence.restored for absence in absences)
        verdict.check(restored == len(absences), f"{restored} of {len(absences)} times everything was restored")


def judge_whole(found: Sequence[Reader], verdict: Verdict) -> None:
    """What they had at the beginning: a group, and data."""
    names = [reader.client.call("name") for reader in found]
    right = sum(name == f"reader {number}" for number, name in enumerate(names))
    verdict.check(right == CLIENTS, f"{right} of {CLIENTS} have their data")
    reached: dict[str, Any] = found[0].client.call("reach", group="hall")
    text = f"{reached['delivered']} of {CLIENTS} are in their group, {reached['unknown']} workers did not tell"
    verdict.check(reached["delivered"] == CLIENTS and not reached["unknown"], text)


def rolled(folder: Path, verdict: Verdict) -> None:
    """One reload after the other."""
    with ExitStack() as ends:
        service = ends.enter_context(serving(folder, SETTINGS, WORKERS, ROOMS))
        found = readers(ends, service)
        teller = Teller(service)
        took = []
        while not teller.is_done:
            took.append(reload(service))
        verdict.say(f"{len(took)} reloads took {sum(took) / len(took):.1f} s on average while the story was told")
        verdict.check(len(teller.told) == MESSAGES, f"{len(teller.told)} messages were told, {len(teller.tried)} requests failed")
        judge_absences(found, True, verdict)
        judge_story(found, teller, verdict)
        judge_whole(found, verdict)
        verdict.check("Traceback" not in service.log, "nothing was reported")


def killed(folder: Path, verdict: Verdict) -> None:
    """One SIGKILL after the other, each when the last one's victim is replaced: nobody says goodbye, and nothing can be kept."""
    with ExitStack() as ends:
        service = ends.enter_context(serving(folder, SETTINGS, WORKERS, ROOMS))
        found = readers(ends, service)
        teller = Teller(service)
        kills = 0
        while not teller.is_done:
            green.sleep(2)
            victim = service.ready[kills % WORKERS]
            os.kill(victim, signal.SIGKILL)
            kills += 1
            wait_until(lambda gone=victim: replaced(service, gone, WORKERS), PATIENCE)  # type: ignore[misc]
        text = f"{kills} workers were killed; {len(teller.told)} messages are told, of {len(teller.tried)} nobody knows"
        verdict.check(kills > 2 and len(teller.tried) <= kills * AT_ONCE, text)
        judge_absences(found, False, verdict)
        judge_story(found, teller, verdict)
        verdict.check("Traceback" not in service.log, "nothing was reported")


def run(folder: Path, verdict: Verdict) -> None:
    parts = {"workers are replaced": rolled, "workers are killed": killed}
    for name, part in parts.items():
        verdict.part(f"{MESSAGES} messages for {CLIENTS} clients, {name}")
        part(folder / part.__name__, verdict)
