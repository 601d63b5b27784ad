"""What became of a push."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greenimi.interfaces import ICalls


class Delivery:
    """The answer of every send.  A send waits for nobody; who asks for ``delivered`` or ``unknown`` waits for the other processes, once
    and not longer than ``[hub] wait``.

    published  other processes that the push was handed to, because they have connections that it is for
    """

    __slots__ = ("_calls", "_here", "_others", "_silent", "_there", "_wait", "published")

    def __init__(self, here: int = 0, calls: ICalls | None = None, wait: float = 0.0) -> None:
        self._here = here
        self._there = 0
        self._silent = 0
        self._calls = calls
        self._others: Sequence[Delivery] = ()
        self._wait = wait
        self.published = 0 if calls is None else calls.number

    @property
    def delivered(self) -> int:
        """Connections that it was queued for.  May block the calling greenlet."""
        self._settle()
        return self._here + self._there

    @property
    def unknown(self) -> int:
        """Processes that did not tell how many they reached.  May block the calling greenlet."""
        self._settle()
        return self._silent

    @classmethod
    def joined(cls, here: int, others: Sequence[Delivery]) -> Delivery:
        """Of several as one."""
        delivery = cls(here)
        delivery._others = others
        delivery.published = sum(other.published for other in others)
        return delivery

    def _settle(self) -> None:
        if self._calls is not None:
            answers = self._calls.wait(self._wait)
            self._there = sum(int.from_bytes(answer, "big") for _, answer in answers)
            self._silent = self.published - len(answers)
            self._calls = None
        elif self._others:
            self._there = sum(other.delivered for other in self._others)
            self._silent = sum(other.unknown for other in self._others)
            self._others = ()

    def __repr__(self) -> str:
        if self._calls is not None:
            return f"<Delivery here={self._here} published={self.published}>"
        return f"<Delivery delivered={self._here + self._there} published={self.published} unknown={self._silent}>"
