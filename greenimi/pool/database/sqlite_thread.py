"""A native thread that works for greenlets: one for each connection to a SQLite file, so that no disk ever stops the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from greenimi import green


class Done(NamedTuple):
    """What became of a call."""

    result: Any
    error: BaseException | None


class Worker:
    """Does one thing at a time, in the order it is asked to.  Made and used in one operating-system thread, by one greenlet at a time."""

    __slots__ = ("_done", "_hub", "_jobs", "_over", "_seconds", "_signal", "_timer", "busy")

    def __init__(self, seconds: float) -> None:
        """``seconds``: how long a call is waited for at most; 0: any time."""
        self.busy = False
        """It is at work, also for a caller who does not wait any more."""
        self._over = False
        self._seconds = seconds
        self._jobs = green.native_queue()
        self._done: Done | None = None
        self._hub = green.current_hub()
        self._signal = green.thread_signal()
        self._timer = green.timer(seconds)
        green.native_thread_start(self._work)

    def call(self, function: Callable[..., Any], *args: Any) -> Done | None:
        """Run it in the thread; other greenlets go on meanwhile.  None when it takes too long.

        Then, and after an exception, which only comes from who kills the greenlet or limits its time, the thread is at it yet: nothing
        may follow but :meth:`end`.
        """
        switch = green.current_greenlet().switch
        self._signal.start(switch, True)
        try:
            if self._seconds:
                self._timer.again(switch, False)
            self.busy = True
            self._jobs.put((function, args))
            return self._done if self._hub.switch() else None
        finally:
            self._signal.stop()
            self._timer.stop()
            self._done = None

    def end(self, last: Callable[[], object], then: Callable[[], object]) -> None:
        """Once what it is at is done, run ``last`` in the thread and end it; ``then`` is called in the hub.  Does not wait."""
        self._signal.start(self._ended, then)
        self._jobs.put((last, None))

    def _ended(self, then: Callable[[], object]) -> None:
        if self._over:  # else it is the end of what it was at
            self._signal.close()
            self._timer.close()
            then()

    def _work(self) -> None:
        """In the thread."""
        while True:
            function, args = self._jobs.get()
            if args is None:
                break
            try:
                self._done = Done(function(*args), None)
            except BaseException as error:
                self._done = Done(None, error)
            del function, args  # it is for whoever asked to keep them alive
            self.busy = False
            self._signal.send()
        try:
            function()
        finally:
            self._over = True
            self._signal.send()
