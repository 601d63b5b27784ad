"""A lease: one resource of a pool for one taker, until it is given back.  And the lines of the application that took and gave back."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path
from types import CodeType, TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from greenimi.green import interrupts, thread_id
from greenimi.pool.errors import LeaseError

if TYPE_CHECKING:
    from greenimi.pool.nodes import Node
    from greenimi.pool.pool import Pool

R = TypeVar("R")

Spot = tuple[CodeType, int]
"""A line of code as cheaply as it can be noted: made readable by :func:`line_of`."""

_ROOM = str(Path(__file__).parent.parent) + "/"
_CHECKS = _ROOM + "testing/"
_THROUGH = re.compile(re.escape(contextlib.__file__) + r"|.*/(site|dist)-packages/(peewee\.py|playhouse/.*|redis/.*)")
_MOST_FILES = 10_000


class _Inside(dict[str, bool]):
    """By file: whether its code takes resources for others, so that their lines are of interest and not its own."""

    def __missing__(self, file: str) -> bool:
        if len(self) >= _MOST_FILES:
            self.clear()
        found = self[file] = (file.startswith(_ROOM) and not file.startswith(_CHECKS)) or _THROUGH.fullmatch(file) is not None
        return found


_inside = _Inside()


def spot() -> Spot:
    """The innermost line outside of the framework that led here."""
    frame = sys._getframe(1)
    code = frame.f_code
    while _inside[code.co_filename]:
        outer = frame.f_back
        if outer is None:
            break
        frame = outer
        code = frame.f_code
    return code, frame.f_lasti


def line_of(place: Spot) -> str:
    """``shop.py:41 in buy``"""
    code, instruction = place
    lines = (line for start, end, line in code.co_lines() if start <= instruction < end and line is not None)
    return f"{code.co_filename.rsplit('/', 1)[-1]}:{next(lines, code.co_firstlineno)} in {code.co_qualname}"


class Slot:
    """What a pool knows of one of its resources.

    since      when it was taken or, while it is free, given back; on the monotonic clock
    ends       when it is old enough to be closed
    sure_until when it must be checked before it is given out
    gone       why it does not belong to the pool any more; "" while it does
    """

    __slots__ = ("ends", "gone", "node", "reported", "resource", "since", "sure_until", "uses")

    def __init__(self, resource: Any, node: Node, since: float, ends: float) -> None:
        self.resource = resource
        self.node = node
        self.since = since
        self.ends = ends
        self.sure_until = since
        self.uses = 0
        self.reported = False
        self.gone = ""


class Lease(Generic[R]):
    """One resource for one taker.  ``with lease as resource:`` gives it back at the end.

    A lease that is garbage collected frees its place: the resource is closed, as somebody may use it yet, and the line that took it is
    logged.
    """

    __slots__ = ("_ended", "_pool", "_slot", "_taken")

    _ended: Spot

    def __init__(self, pool: Pool[R], slot: Slot, taken: Spot) -> None:
        self._pool = pool
        self._slot: Slot | None = slot
        self._taken = taken

    @property
    def resource(self) -> R:
        """Raises LeaseError when it was given back, or closed for being held too long."""
        slot = self._slot
        if slot is None:
            raise self._over("it cannot be used any more")
        if slot.gone:
            raise LeaseError(f"pool {self._pool.name}: the resource that {self.taken} took was closed: {slot.gone}")
        return slot.resource  # type: ignore[no-any-return]

    @property
    def taken(self) -> str:
        """The line that took it."""
        return line_of(self._taken)

    @property
    def active(self) -> bool:
        """It was not given back yet."""
        return self._slot is not None

    @property
    def closed(self) -> str:
        """Why the pool closed what was taken, although it is in use; "" when it did not."""
        return self._slot.gone if self._slot is not None else ""

    def release(self) -> None:
        """Give it back: it is reset and goes to whoever waits longest.  May wait for the peer.  LeaseError when that was done before.

        While a kill or a timeout of the greenlet passes by it is discarded: it may be in the middle of something.
        """
        self._finish(sys.exception())

    def _finish(self, passing: BaseException | None) -> None:
        slot = self._slot
        pool = self._pool
        if slot is None:
            raise self._over("it cannot be given back again")
        if thread_id() != pool._owner and not slot.gone:
            raise pool._foreign()
        self._slot = None
        self._ended = spot()
        if passing is not None and interrupts(passing):
            pool._discard(slot, f"{type(passing).__name__} passed by")
        else:
            pool._give_back(slot)

    def discard(self) -> None:
        """Have it closed; its place is free.  LeaseError when it was given back before."""
        slot = self._slot
        if slot is None:
            raise self._over("it cannot be discarded")
        if thread_id() != self._pool._owner and not slot.gone:
            raise self._pool._foreign()
        self._slot = None
        self._ended = spot()
        self._pool._discard(slot, "it was discarded")

    def _over(self, text: str) -> LeaseError:
        return LeaseError(f"pool {self._pool.name}: {text}; it was taken at {self.taken} and given back at {line_of(self._ended)}")

    def __enter__(self) -> R:
        return self.resource

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._slot is not None:  # it was not given back in the block
            self._finish(error)

    def __del__(self) -> None:
        slot = self._slot
        if slot is not None:
            self._pool._lost(slot, self._taken)

    def __repr__(self) -> str:
        return f"<Lease of {self._pool.name}, taken at {self.taken}{'' if self._slot is not None else ', given back'}>"
