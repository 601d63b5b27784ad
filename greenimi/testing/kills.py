"""Work that is broken off at each point at which it can be: wherever it waits for something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import greenlet

from greenimi import green
from greenimi.errors import HandlerTimeout

PATIENCE = 10.0


class Broken:
    """One run of some work.

    ``waits``    how often it had waited when it ended
    ``reached``  it was broken off, or would have been
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
        if not victim.join(PATIENCE) and not victim.ready():
            raise AssertionError(f"it does not end after it was broken off at wait {wait}")
    finally:
        greenlet.settrace(before)
    return found


def break_off_everywhere(work: Callable[[], object], after: Callable[[Broken], object], error: Callable[[], BaseException] = HandlerTimeout) -> int:
    """Break ``work`` off at its first wait, then at its second, until it ends before; ``after`` looks at each run.  How many there were."""
    wait = 0
    while True:
        wait += 1
        found = break_off(work, wait, error())
        after(found)
        if not found.reached:
            return wait - 1
