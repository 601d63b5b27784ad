"""Workers that die or stand still while others send to their connections, and a run folder without room."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path

from greenimi import green
from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.support import wait_until
from tests.soak.bad_machines import tiny_disk
from tests.soak.bad_workers import replaced
from tests.soak.listeners import PATIENCE, Listener, Speaker, heard, judge_stalls, listeners, of_worker, refusal, room_client
from tests.soak.measures import resident
from tests.soak.places import ROOMS, Verdict, serving

WORKERS = 3
WAIT = 1.0
"""``hub.wait``: seconds that a caller waits for other workers."""

SLACK = 0.5
"""Seconds that a busy machine may add to that."""

LISTENERS = 60
MESSAGES = 2000
PAUSE = 0.002
TIMEOUT = 8
"""Seconds after which a worker that stands still is killed."""

QUEUE = 1 << 20
"""``hub.queue``: bytes that wait for a worker that stands still."""

LARGE = 2000
"""Bytes of a message, where many of them are to be more than the queue takes."""

GROWTH = 16 << 20
"""Bytes that the sending worker may grow by meanwhile."""

DISK = "4m"
EVEN = {"servers.web.connections": "28"}
"""Connections that a worker takes: that spreads them over all."""


def everybody_is_reached(speaker: Speaker, number: int) -> bool:
    """Once all workers answer, and all connections of the group get what is sent; waits for it, but not for ever."""
    until = time.monotonic() + PATIENCE
    while True:
        found = speaker.ask("reach", group="hall")
        if found["delivered"] == number and not found["unknown"]:
            return True
        if time.monotonic() > until:
            return False
        green.sleep(0.1)


def victim_of(found: list[Listener], speaker: Speaker) -> int:
    """A worker that has listeners, and not the speaker's."""
    return next(each.pid for each in found if each.pid != speaker.pid)


# -- SIGKILL ---------------------------------------------------------------------------------------------------------
def killed(folder: Path, verdict: Verdict) -> None:
    """In the middle of a fan-out: who is connected elsewhere gets everything; who was connected there got everything until then."""
    with ExitStack() as ends:
        service = ends.enter_context(serving(folder, EVEN, WORKERS, ROOMS))
        speaker = ends.enter_context(Speaker(service))
        found = listeners(ends, service, LISTENERS, "hall")
        verdict.check(everybody_is_reached(speaker, LISTENERS), f"{LISTENERS} clients in {WORKERS} workers are reached")
        victim = victim_of(found, speaker)
        victims = of_worker(found, victim)
        others = [each for each in found if each.pid != victim]
        shouting = speaker.shout("hall", MESSAGES, PAUSE)
        wait_until(lambda: all(len(each.numbers) > MESSAGES // 4 for each in found), PATIENCE)
        os.kill(victim, signal.SIGKILL)
        slowest = shouting.get()
        heard(others, MESSAGES)
        judge_stalls("a send", slowest, WAIT, verdict)
        whole = sum(each.is_whole(0, MESSAGES) for each in others)
        verdict.check(whole == len(others), f"{whole} of the {len(others)} clients of other workers have all {MESSAGES} messages, in order")
        cut = [len(each.numbers) for each in victims if each.ended and each.is_whole(0, len(each.numbers))]
        text = f"{len(cut)} of its {len(victims)} clients had all until their connection ended, {min(cut, default=0)} messages and more"
        verdict.check(len(cut) == len(victims), text)
        wait_until(lambda: replaced(service, victim, WORKERS), PATIENCE)
        listeners(ends, service, len(victims), "hall")
        verdict.check(everybody_is_reached(speaker, LISTENERS), f"as many are reached when {len(victims)} came anew")
        verdict.check("Traceback" not in service.log, "nothing was reported")


# -- SIGSTOP ---------------------------------------------------------------------------------------------------------
def stopped(folder: Path, verdict: Verdict) -> None:
    """For a moment, and for good: nobody waits for it, and what waits for it is bounded."""
    settings = {**EVEN, "workers.timeout": str(TIMEOUT), "hub.queue": str(QUEUE), "hub.wait": str(WAIT)}
    with ExitStack() as ends:
        service = ends.enter_context(serving(folder, settings, WORKERS, ROOMS))
        speaker = ends.enter_context(Speaker(service))
        found = listeners(ends, service, LISTENERS, "hall")
        verdict.check(everybody_is_reached(speaker, LISTENERS), f"{LISTENERS} clients in {WORKERS} workers are reached")
        victim = victim_of(found, speaker)
        victims = of_worker(found, victim)
        others = [each for each in found if each.pid != victim]
        for moment in (True, False):
            verdict.say("a moment" if moment else "for good")
            os.kill(victim, signal.SIGSTOP)
            first, memory = speaker.sent, resident(speaker.pid)
            shouting = speaker.shout("hall", MESSAGES, PAUSE / 2, LARGE)
            _ask_meanwhile(speaker, len(victims), verdict)
            judge_stalls("a send", shouting.get(), WAIT, verdict)
            heard(others, speaker.sent)
            whole = sum(each.is_whole(0, speaker.sent) for each in others)
            text = f"{whole} of the {len(others)} clients of other workers have messages {first} to {speaker.sent - 1}, in order"
            verdict.check(whole == len(others), text)
            grown = resident(speaker.pid) - memory
            text = f"{MESSAGES * LARGE >> 10} KiB were sent, the worker grew by {grown >> 10} KiB (at most {GROWTH >> 10})"
            verdict.check(grown <= GROWTH, text)
            if moment:
                os.kill(victim, signal.SIGCONT)
                _goes_on(speaker, found, victims, first, verdict)
        wait_until(lambda: replaced(service, victim, WORKERS), TIMEOUT + PATIENCE)
        wait_until(lambda: all(each.ended for each in victims), PATIENCE)
        verdict.check(everybody_is_reached(speaker, len(others)), "once it was replaced nobody is waited for")
        verdict.check("Traceback" not in service.log, "nothing was reported")


def _ask_meanwhile(speaker: Speaker, away: int, verdict: Verdict) -> None:
    """Who wants to know waits, and no longer than it is allowed to."""
    reached = speaker.ask("reach", group="hall")
    text = f"{reached['delivered']} were reached, {reached['unknown']} worker did not tell ({LISTENERS - away} and 1)"
    verdict.check(reached["delivered"] == LISTENERS - away and reached["unknown"] == 1, text)
    judge_stalls("the answer", reached["seconds"], WAIT + SLACK, verdict)
    counted = speaker.ask("count", group="hall")
    verdict.check(counted["count"] == LISTENERS - away, f"{counted['count']} were counted")
    judge_stalls("counting", counted["seconds"], WAIT + SLACK, verdict)


def _goes_on(speaker: Speaker, found: list[Listener], victims: list[Listener], first: int, verdict: Verdict) -> None:
    """It runs again: of what was sent meanwhile some is missing there, and nothing else."""
    verdict.check(everybody_is_reached(speaker, LISTENERS), "as soon as it goes on all are reached")
    last = speaker.sent
    speaker.shout("hall", 100, PAUSE).get()
    verdict.check(heard(found, speaker.sent), "all have what is sent then")
    missed = [last - first - sum(first <= number < last for number in each.numbers) for each in victims]
    verdict.say(f"its clients missed {min(missed)} to {max(missed)} of the {last - first} messages of that time")
    fine = sum(each.is_in_order and each.numbers[-100:] == list(range(last, speaker.sent)) for each in victims)
    verdict.check(fine == len(victims), f"{fine} of its {len(victims)} clients have none twice, none too late, and all that came later")
    for each in victims:  # from here on all have the same
        each.numbers[:] = range(speaker.sent)


# -- no room ---------------------------------------------------------------------------------------------------------
def full_folder(folder: Path, verdict: Verdict) -> None:
    """Nothing can be written there: pushes go on, what has to be stored is refused at once, and with room again all is well."""
    with ExitStack() as ends:
        disk = ends.enter_context(tiny_disk(folder / "disk", DISK))
        settings = {**EVEN, "hub.folder": str(disk / "hub"), "hub.wait": str(WAIT), "hub.keep": "5"}
        service = ends.enter_context(serving(folder, settings, WORKERS, ROOMS))
        speaker = ends.enter_context(Speaker(service))
        found = listeners(ends, service, LISTENERS, "hall")
        verdict.check(everybody_is_reached(speaker, LISTENERS), f"{LISTENERS} clients in {WORKERS} workers are reached")
        reader = ends.enter_context(Listener(service, "story"))
        speaker.shout("story", 10, 0).get()
        wait_until(lambda: len(reader.numbers) == 10, PATIENCE)
        _fill(disk / "rubbish")
        verdict.say(f"{os.statvfs(disk).f_bavail} blocks are left")
        _without_room(service, speaker, verdict)
        victim = next(pid for pid in service.ready if pid not in (speaker.pid, reader.pid))
        os.kill(victim, signal.SIGKILL)
        left = LISTENERS - len(of_worker(found, victim))
        verdict.check(everybody_is_reached(speaker, left), f"when another worker was killed, the {left} clients that are left are reached")
        green.sleep(3)
        verdict.say(f"{len(service.ready)} workers are ready, {os.statvfs(disk).f_bavail} blocks are left")
        (disk / "rubbish").unlink()
        wait_until(lambda: replaced(service, victim, WORKERS), 2 * PATIENCE)
        verdict.check(len(service.ready) == WORKERS, "with room again there is another worker")
        _with_room(speaker, reader, verdict)
        size = len(service.log)
        verdict.check(size < 1 << 20, f"the log has {size >> 10} KiB (below 1024)")


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


def _without_room(service: Gunicorn, speaker: Speaker, verdict: Verdict) -> None:
    reached = speaker.ask("reach", group="hall")
    text = f"{reached['delivered']} of {LISTENERS} are reached, {reached['unknown']} workers did not tell"
    verdict.check(reached["delivered"] == LISTENERS and not reached["unknown"], text)
    judge_stalls("the answer", reached["seconds"], WAIT + SLACK, verdict)
    began = time.monotonic()
    codes = {refusal(speaker.client, "shout", group="story", first=10 + number, times=1, pause=0, size=LARGE) for number in range(5)}
    seconds = (time.monotonic() - began) / 5
    verdict.say(f"five messages that had to be stored were answered with {sorted(codes)}")
    judge_stalls("each", seconds, WAIT + SLACK, verdict)
    for _ in range(10):
        with room_client(service) as client:
            client.request("$hello")
    judge_stalls("a push after ten clients left who may come back", speaker.ask("reach", group="hall")["seconds"], WAIT + SLACK, verdict)


def _with_room(speaker: Speaker, reader: Listener, verdict: Verdict) -> None:
    until = time.monotonic() + PATIENCE
    while code := refusal(speaker.client, "shout", group="story", first=9000, times=1, pause=0):
        if time.monotonic() > until:
            break
        green.sleep(0.2)
    verdict.check(not code, "messages are stored again")
    heard([reader], 9001)
    text = f"the reader of the history got {len(reader.numbers)} messages, in order"
    verdict.check(reader.is_in_order and reader.numbers[-1:] == [9000], text)
