"""Lines on their way to a sink, written by a real thread, so that no greenlet waits for a disk."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from itertools import count

from greenimi import green
from greenimi.log.sinks import Sink

Entry = tuple[int, Sink, bytes]
_BATCH = 1000


class WriteQueue:
    """Bounded: ``capacity`` lines of debug and info, as many that are ``urgent`` (warning and above).

    ``push`` takes no lock, so it may be called from the hub, from a signal handler and from any thread.  When full, the oldest line that
    is not urgent makes room and is counted; ``tell(count)`` gives the lines that report it.  An urgent line that finds no room is
    written at once by the caller.  Order is kept, but an urgent line may overtake others while the queue is full.

    The thread starts with the first line, in every process anew: what a parent had waiting is the parent's to write.
    """

    def __init__(self, capacity: int, tell: Callable[[int], list[tuple[Sink, bytes]]]) -> None:
        self._capacity = capacity
        self._tell = tell
        self._numbers = count()
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lines: deque[Entry] = deque()
        self._urgent: deque[Entry] = deque()
        self._wake = green.native_event()
        self._finished = green.native_event()
        self._running = False
        self.dropped = 0
        self._reported = 0

    def push(self, sink: Sink, data: bytes, *, urgent: bool) -> None:
        """Take one line.  Never blocks unless the line is urgent and the queue is full of such; never raises for a sink that fails."""
        if os.getpid() != self._process:
            self._begin()
        entry = (next(self._numbers), sink, data)
        if not urgent:
            self._lines.append(entry)
            if len(self._lines) > self._capacity:
                self._drop_oldest()
        elif len(self._urgent) < self._capacity:
            self._urgent.append(entry)
        else:
            self._write(sink, [data])
            return
        if self._closed:
            self._drain()
            return
        if not self._running:
            self._start()
        self._wake.set()

    def stop(self, seconds: float = 10.0) -> None:
        """Write everything that waits, and from now on each line at once.  Blocks up to ``seconds`` for a write under way."""
        if os.getpid() != self._process:
            self._begin()
        if self._closed:
            return
        self._closed = True
        if self._running:
            self._wake.set()
            self._finished.wait(seconds)
        self._drain()

    def _start(self) -> None:
        self._running = True
        try:
            green.native_thread_start(self._run)
        except RuntimeError:  # the system gives no more threads, or Python is ending
            self._running = False
            self._drain()

    def _run(self) -> None:
        wake, finished = self._wake, self._finished
        while not self._closed:
            wake.wait()
            wake.clear()
            self._drain()
        finished.set()

    def _drop_oldest(self) -> None:
        try:
            self._lines.popleft()
        except IndexError:  # the thread was faster
            return
        self.dropped += 1

    def _drain(self) -> None:
        """Write what waits.  Two threads may do so at once: each line is taken by one of them."""
        while batch := self._take():
            sinks: dict[Sink, list[bytes]] = {}
            for _, sink, data in batch:
                sinks.setdefault(sink, []).append(data)
            for sink, lines in sinks.items():
                self._write(sink, lines)
        lost = self.dropped - self._reported
        if lost:
            told = [self._written(sink, data) for sink, data in self._tell(lost)]
            if any(told):
                self._reported += lost

    def _take(self) -> list[Entry]:
        batch: list[Entry] = []
        for waiting in (self._urgent, self._lines):
            for _ in range(min(len(waiting), _BATCH)):
                try:
                    batch.append(waiting.popleft())
                except IndexError:  # dropped, or taken by another thread, in between
                    break
        batch.sort(key=lambda entry: entry[0])
        return batch

    def _write(self, sink: Sink, lines: list[bytes]) -> None:
        if not self._written(sink, b"".join(lines)):
            self.dropped += len(lines)

    def _written(self, sink: Sink, data: bytes) -> bool:
        try:
            sink.write(data)
        except OSError:  # a full disk, a closed pipe: told in the count of lost lines, once something can be written again
            return False
        return True
