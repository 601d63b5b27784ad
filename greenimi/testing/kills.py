"""Work that is broken off at each point at which it can be: wherever it waits for something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import greenlet

from greenimi import green
from greenimi.errors import HandlerTimeout

_PATIENCE = 10.0
_TRIES = 4


class Broken:
    """One run of some work.

    ``waits``    how often it had waited when it ended
    ``reached``  it was broken off, unless what it waited for came at that very moment
    ``error``    what left it, None when nothing did
    """

    def __init__(self) -> None:
        self.waits = 0
        self.reached = False
        self.error: BaseException | None = None


def break_off(work: Callable[[], object], wait: int, error: BaseException | None = None) -> Broken:
    """Run ``work`` in a greenlet, and throw ``error`` (by default a HandlerTimeout) into it when it waits for the ``wait``-th time."""
    found = Broken()
    hub = green.current_hub()

    def run() -> None:
        try:
            work()
        except BaseException as passing:
            found.error = passing

    def trace(event: str, args: Any) -> None:
        if args[0] is victim and args[1] is hub and not victim.ready():
            found.waits += 1
            if found.waits == wait:
                found.reached = True
                victim.kill(HandlerTimeout("broken off") if error is None else error, block=False)

    before = greenlet.settrace(None)
    victim = green.spawn(run)
    greenlet.settrace(trace)
    try:
        if not victim.join(_PATIENCE) and not victim.ready():
            raise AssertionError(f"it does not end after it was broken off at wait {wait}")
    finally:
        greenlet.settrace(before)
    return found


def break_off_everywhere(
    work: Callable[[], object], look: Callable[[Broken], object], error: Callable[[], BaseException] = HandlerTimeout
) -> int:
    """Break ``work`` off at its first wait, then at its second, until it ends before; ``look`` at each run.  How many were broken off.

    An answer that is there at once is not waited for, so the last waits are tried for several times.
    """
    wait, missed, count = 1, 0, 0
    while missed < _TRIES:
        run = break_off(work, wait, error())
        look(run)
        if run.reached:
            wait, missed, count = wait + 1, 0, count + 1
        else:
            missed += 1
    return count
