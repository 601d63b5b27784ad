"""Who waits for replies on a shared connection: each is called in the hub with what came, be it an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

Waiting: TypeAlias = Callable[[Any], object]
"""For one command: the ``switch`` of the greenlet that waits.  For several: their :class:`Replies`, once for each of them."""


class Replies:
    """Takes the replies to several commands that were sent in one piece, and wakes who waits when all are there."""

    __slots__ = ("missing", "replies", "switch")

    def __init__(self, switch: Callable[[Any], object], count: int) -> None:
        self.switch: Callable[[Any], object] | None = switch
        self.missing = count
        self.replies: list[Any] = []

    def __call__(self, reply: Any) -> None:
        self.replies.append(reply)
        self.missing -= 1
        if not self.missing:
            self.wake(self.replies)

    def wake(self, outcome: Any) -> None:
        """Only once; what comes later is thrown away."""
        switch, self.switch = self.switch, None
        if switch is not None:
            switch(outcome)


def nobody(_: Any) -> None:
    """In the place of a greenlet that does not wait any more."""
