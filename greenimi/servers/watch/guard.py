"""Finds code that lets nobody else run: a handler that computes, or waits in a way gevent does not know of.

A real thread looks at the loop now and then, so a turn of the loop costs nothing more: twenty times a second while something runs, five
times while nothing does (measured: 0.07 % of a core).  The thread uses no gevent and takes no lock that others hold.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

from gevent import get_hub, monkey

from greenimi import green
from greenimi.log.handlers import SinkHandler
from greenimi.servers.watch.stacks import describe, frames_of, in_debugger

log = logging.getLogger("greenimi.servers.watch.guard")

_STDERR = 2
_JUMP = 0.01
"""Seconds by which the system's time differs from the monotonic clock when it was changed."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """One time that the loop stood still.

    when     Unix time at which it began
    seconds  how long; so far, as long as it still stands
    where    ``file:line in function``: the application's innermost line
    stack    a line for each frame, innermost first, that of ``where`` marked with ``>``
    """

    when: float
    seconds: float
    where: str
    stack: str


class Guard:
    """Watches the loop of the thread that calls ``start``.

    When a turn of the loop takes more than ``blocked`` seconds (0: never), a warning tells where it stands, another one how long it took
    in the end, and ``on_blocked`` is called then, in a greenlet of the hub.  After ``fatal`` seconds (0: never) an error tells where it
    stands: whoever supervises the process is about to kill it.  At most ``per_minute`` are logged a minute; all are counted.

    A prompt of a debugger is no standstill: whoever called ``breakpoint()`` knows that nothing else runs.

    reports   the last fifty, the latest last
    count     how many times the loop stood still
    seconds   how long altogether, those times that are over
    lag       seconds by which the timer that calls ``tick`` was late the last time
    lag_max   and at the worst
    """

    def __init__(
        self, blocked: float = 0.1, fatal: float = 0.0, on_blocked: Callable[[Blocked], object] | None = None, *, per_minute: int = 10
    ) -> None:
        self.blocked = blocked
        self.fatal = fatal
        self.reports: deque[Blocked] = deque(maxlen=50)
        self.count = 0
        self.seconds = 0.0
        self.lag = 0.0
        self.lag_max = 0.0
        self._due: float | None = None
        self._on_blocked = on_blocked
        self._per_minute = per_minute
        self._minute = 0
        self._logged = 0  # in that minute
        self._silent = 0  # not logged since the last that was
        self._watch: _Watch | None = None

    def start(self) -> None:
        """In the thread of the loop, and in the process: a thread does not survive a fork.  Does nothing when it watches already."""
        if self._watch is None and self.blocked > 0:
            self._watch = _Watch(self)

    def stop(self) -> None:
        """Returns when the thread has ended.  Idempotent."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.stop()

    def tick(self, now: float) -> None:
        """Called by a timer of the loop each second, with the monotonic clock: how late was that?"""
        if self._due is None:
            self._due = now
        self.lag = max(0.0, now - self._due)
        self.lag_max = max(self.lag_max, self.lag)
        self._due = max(self._due + 1.0, now) if self.lag else now + 1.0  # as the loop reckons it

    # -- in the thread -----------------------------------------------------------------------------------------------
    def begun(self, report: Blocked) -> bool:
        """Whether it was logged."""
        self.count += 1
        self.reports.append(report)
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._logged = minute, 0
        self._logged += 1
        if self._logged > self._per_minute:
            self._silent += 1
            return False
        more = f" ({self._silent} more times were not told)" if self._silent else ""
        self._silent = 0
        _say(logging.WARNING, f"nothing else could run for {report.seconds:.2f} s so far: {report.where}{more}", report.stack)
        return True

    def dying(self, report: Blocked) -> None:
        self.reports[-1] = report
        text = f"nothing else could run for {report.seconds:.1f} s, this process will be killed if that goes on: {report.where}"
        _say(logging.ERROR, text, report.stack)

    def ended(self, report: Blocked) -> None:
        self.reports[-1] = report
        self.seconds += report.seconds

    # -- in a greenlet -------------------------------------------------------------------------------------------------
    def tell(self, report: Blocked, logged: bool) -> None:
        if logged:
            log.warning("nothing else could run for %.2f s: %s", report.seconds, report.where)
        if self._on_blocked is not None:
            try:
                self._on_blocked(report)
            except Exception:
                log.exception("a listener of blocked loops failed")


class _Watch:
    """The thread."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._often = min(max(guard.blocked / 2, 0.01), 0.5)
        self._seldom = 4 * self._often
        self._pause = self._often
        self._loop: Any = get_hub().loop
        self._thread: int = monkey.get_original("_thread", "get_ident")()
        self._post = green.poster()
        self._turn = self._loop.iteration
        self._looked = time.monotonic()
        self._offset = time.time() - self._looked  # of the system's time
        self._began: float | None = None  # when the turn began that is under way; None: the loop waits, or nobody knows yet
        self._report: Blocked | None = None  # of this turn
        self._logged = False
        self._dying = False
        self._stop = green.native_event()
        self._ended = green.native_event()
        green.native_thread_start(self._run)

    def stop(self) -> None:
        self._stop.set()
        self._ended.wait(1.0)

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._pause):
                self._look(time.monotonic())
                self._pause = self._often if self._began is not None else min(2 * self._pause, self._seldom)
        finally:
            self._ended.set()

    def _look(self, now: float) -> None:
        turn = self._loop.iteration
        if turn != self._turn:
            if self._report is not None:
                self._over(self._report, now)
            self._turn = turn
            self._began = None
        if self._began is None:
            self._began = self._turned(now)
        frame = sys._current_frames().get(self._thread)
        if _waits(frame):
            self._began = None
        elif now - self._began >= self._guard.blocked:
            self._blocked(frame, now - self._began)
        self._looked = now

    def _turned(self, now: float) -> float:
        """When the turn began, on the monotonic clock: what the loop's own clock says, which stands still in a turn.

        It is the system's time, so when that was changed since the last look nobody knows.
        """
        offset = time.time() - time.monotonic()
        changed = abs(offset - self._offset) > _JUMP
        self._offset = offset
        return now if changed else min(max(self._loop.now() - offset, self._looked), now)

    def _blocked(self, frame: FrameType | None, seconds: float) -> None:
        guard = self._guard
        first = self._report is None
        dying = 0 < guard.fatal <= seconds and not self._dying
        if not first and not dying:
            return
        if in_debugger(frame):
            self._began = None
            return
        frames = frames_of(frame)
        if self._loop.iteration != self._turn:
            return  # it went on meanwhile: this may be the stack of something else
        where, stack = describe(frames)
        self._report = report = Blocked(time.time() - seconds, seconds, where, stack)
        if first:
            self._logged = guard.begun(report)
        if dying:
            self._dying = True
            guard.dying(report)

    def _over(self, report: Blocked, now: float) -> None:
        """The turn of ``report`` ended: when the loop began the present one, or one in between."""
        seconds = report.seconds if self._began is None else max(report.seconds, self._turned(now) - self._began)
        final = replace(report, seconds=seconds)
        logged = self._logged
        self._report = None
        self._dying = False
        self._guard.ended(final)
        self._post(lambda: self._guard.tell(final, logged))


def _waits(frame: FrameType | None) -> bool:
    """Whether this is the hub in the loop itself, where it waits for events."""
    return frame is None or (frame.f_code.co_name == "run" and frame.f_globals.get("__name__", "").startswith("gevent."))


def _say(level: int, text: str, stack: str) -> None:
    """Log from the thread: to the handlers that take no lock; to standard error where there are none."""
    handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, SinkHandler)]
    if not handlers:
        with suppress(OSError):
            os.write(_STDERR, f"{text}\n{stack}\n".encode("utf-8", "backslashreplace"))
    elif level >= log.getEffectiveLevel():
        record = logging.LogRecord(log.name, level, "", 0, text, (), None, None, stack)
        for handler in handlers:
            if level >= handler.level:
                handler.handle(record)
