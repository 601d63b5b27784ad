"""Relays without a wire: ``none``, for a process that is alone, and ``memory``, for several hubs in one process, as tests have them.

What all relays are made of stands here too: who wants what, and calls under way.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from weakref import WeakValueDictionary

from zope.interface import implementer

from greenimi.errors import StartError
from greenimi.green import Event, run_soon
from greenimi.hub.ids import PROCESSES, process_number
from greenimi.hub.settings import HubSettings
from greenimi.interfaces import ICalls, IRelay, IRelayReceiver

log = logging.getLogger("greenimi.hub")

ANSWER_TIME = 60.0
"""Seconds after which an answer is not taken any more."""

_MOST_CALLS = 1 << 18
"""Calls of one process to one other that may be without answer; the oldest ends for another one."""


@implementer(ICalls)
class Calls:
    """See ICalls."""

    __slots__ = ("_answers", "_done", "_left", "number", "since")

    def __init__(self, since: float = 0.0) -> None:
        self.number = 0
        self.since = since  # in the clock of who made it
        self._left = 0  # answers that may still come
        self._answers: list[tuple[int, bytes]] = []
        self._done: Event | None = None  # somebody waits

    def handed(self) -> None:
        """To one process more."""
        self.number += 1
        self._left += 1

    def answered(self, process: int, answer: bytes) -> None:
        self._answers.append((process, answer))
        self.ended()

    def ended(self) -> None:
        """One process answered, or will not."""
        self._left -= 1
        if not self._left and self._done is not None:
            self._done.set()

    def wait(self, seconds: float) -> Sequence[tuple[int, bytes]]:
        if self._left and seconds > 0:
            if self._done is None:
                self._done = Event()
            self._done.wait(seconds)
        return list(self._answers)


class OpenCalls:
    """The calls that one other process has not answered."""

    __slots__ = ("_calls", "_process")

    def __init__(self, process: int) -> None:
        self._process = process
        self._calls: dict[int, Calls] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, number: int, calls: Calls) -> None:
        if len(self._calls) >= _MOST_CALLS:
            self._end_first()
        calls.handed()
        self._calls[number] = calls

    def answered(self, number: int, answer: bytes) -> None:
        """Does nothing when that call is over."""
        calls = self._calls.pop(number, None)
        if calls is not None:
            calls.answered(self._process, answer)

    def end_older(self, since: float) -> None:
        """End those that were made before."""
        while self._calls and self._calls[next(iter(self._calls))].since < since:
            self._end_first()

    def end(self) -> None:
        """There will be no answer to any."""
        while self._calls:
            self._end_first()

    def _end_first(self) -> None:
        self._calls.pop(next(iter(self._calls))).ended()


class Interests:
    """Which other processes want packets for a target."""

    def __init__(self) -> None:
        self._processes: dict[str, tuple[int, ...]] = {}

    def of(self, target: str) -> Sequence[int]:
        return self._processes.get(target, ())

    def set(self, process: int, target: str, wanted: bool) -> None:
        known = self._processes.get(target, ())
        if wanted:
            if process not in known:
                self._processes[target] = (*known, process)
        elif process in known:
            rest = tuple(other for other in known if other != process)
            if rest:
                self._processes[target] = rest
            else:
                del self._processes[target]

    def forget(self, process: int) -> None:
        """It wants nothing any more."""
        for target in [target for target, processes in self._processes.items() if process in processes]:
            self.set(process, target, wanted=False)

    def clear(self) -> None:
        self._processes.clear()


@implementer(IRelay)
class NoRelay:
    """For one process that is alone: there are no others."""

    healthy = True
    dropped = 0

    def __init__(self, settings: HubSettings) -> None:
        self.process = process_number(settings.node, secrets.randbelow(PROCESSES))

    def start(self, receiver: IRelayReceiver) -> None: ...

    def stop(self) -> None: ...

    def processes(self) -> Sequence[int]:
        return ()

    def lives(self, process: int) -> bool:
        return False

    def interest(self, target: str, here: bool) -> None: ...

    def interested(self, target: str) -> Sequence[int]:
        return ()

    def tell(self, processes: Sequence[int], packet: bytes) -> int:
        return 0

    def call(self, processes: Sequence[int], packet: bytes) -> Calls:
        return Calls()


class Exchange:
    """Where memory relays meet.  What one says reaches the others in a later callback, all in the order in which it was said."""

    def __init__(self) -> None:
        self.relays: dict[int, MemoryRelay] = {}
        self._numbers = count(1)
        self._waiting: list[Callable[[], object]] = []

    def next_process(self, node: int) -> int:
        return process_number(node, next(self._numbers) % PROCESSES)

    def post(self, delivery: Callable[[], object]) -> None:
        if not self._waiting:
            run_soon(self._deliver)
        self._waiting.append(delivery)

    def _deliver(self) -> None:
        waiting, self._waiting = self._waiting, []
        for delivery in waiting:
            try:
                delivery()
            except Exception:
                log.exception("a packet could not be taken")


_exchanges: WeakValueDictionary[str, Exchange] = WeakValueDictionary()


def exchange(name: str) -> Exchange:
    """The one of that name, for as long as somebody has it."""
    found = _exchanges.get(name)
    if found is None:
        _exchanges[name] = found = Exchange()
    return found


@implementer(IRelay)
class MemoryRelay:
    """Joins hubs of this process; those with the same ``[hub] folder``, which is but a name here, meet."""

    healthy = True

    def __init__(self, settings: HubSettings) -> None:
        self._exchange = exchange(settings.folder)
        self._limit = settings.queue
        self.process = self._exchange.next_process(settings.node)
        self.dropped = 0
        self._receiver: IRelayReceiver | None = None  # None: it is not there
        self._wanted: set[str] = set()
        self._interests = Interests()
        self._open: dict[int, OpenCalls] = {}  # by the process that is to answer; the keys are those who are there
        self._coming = 0  # bytes on their way to this one
        self._numbers = count(1)

    def start(self, receiver: IRelayReceiver) -> None:
        if self._receiver is not None:
            raise StartError("the relay runs already")
        self._receiver = receiver
        others = list(self._exchange.relays.values())
        self._exchange.relays[self.process] = self
        for other in others:
            for one, two in ((self, other), (other, self)):
                one._open[two.process] = OpenCalls(two.process)
                for target in two._wanted:
                    one._interests.set(two.process, target, wanted=True)
                self._exchange.post(partial(one._joined, two.process))

    def stop(self) -> None:
        if self._receiver is None:
            return
        del self._exchange.relays[self.process]
        for other in self._exchange.relays.values():
            self._exchange.post(partial(other._lost, self.process))
        self._receiver = None
        for calls in self._open.values():
            calls.end()
        self._open.clear()
        self._interests.clear()

    def _joined(self, process: int) -> None:
        if self._receiver is not None:
            self._receiver.joined(process)

    def _lost(self, process: int) -> None:
        self._interests.forget(process)
        calls = self._open.pop(process, None)
        if calls is not None:
            calls.end()
        if self._receiver is not None:
            self._receiver.lost(process)

    def processes(self) -> Sequence[int]:
        return tuple(self._open)

    def lives(self, process: int) -> bool:
        return process in self._exchange.relays

    def interest(self, target: str, here: bool) -> None:
        (self._wanted.add if here else self._wanted.discard)(target)
        for process in self._open:
            other = self._exchange.relays.get(process)
            if other is not None:
                other._interests.set(self.process, target, wanted=here)

    def interested(self, target: str) -> Sequence[int]:
        return self._interests.of(target)

    def tell(self, processes: Sequence[int], packet: bytes) -> int:
        return sum(self._hand(process, packet, None) for process in processes)

    def call(self, processes: Sequence[int], packet: bytes) -> Calls:
        now = time.monotonic()
        calls = Calls(now)
        for process in processes:
            number = next(self._numbers)
            if self._hand(process, packet, number):
                self._open[process].end_older(now - ANSWER_TIME)
                self._open[process].add(number, calls)
        return calls

    def _hand(self, process: int, packet: bytes, number: int | None) -> bool:
        other = self._exchange.relays.get(process)
        if other is None or process not in self._open:
            return False
        if other._coming + len(packet) > self._limit:
            self.dropped += 1
            return False
        other._coming += len(packet)
        self._exchange.post(partial(other._take, self, packet, number))
        return True

    def _take(self, sender: MemoryRelay, packet: bytes, number: int | None) -> None:
        self._coming -= len(packet)
        if self._receiver is None:
            return
        if number is None:
            self._receiver.told(packet, sender.process)
        else:
            self._receiver.called(packet, sender.process, partial(self._answer, sender, number))

    def _answer(self, asker: MemoryRelay, number: int, answer: bytes) -> None:
        if self._receiver is not None:
            self._exchange.post(partial(asker._answered, self.process, number, answer))

    def _answered(self, process: int, number: int, answer: bytes) -> None:
        calls = self._open.get(process)
        if calls is not None:
            calls.answered(number, answer)
