"""What can be emitted: any object; these know more."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


class StopPropagation(Exception):
    """A listener raises it to keep the event from the listeners after it.  It never reaches the emitter."""


class Event:
    """A base for events that a listener can stop.  Frozen dataclasses may inherit from it."""

    stopped = False

    def stop(self) -> None:
        """No listener after the one that runs hears the event.  An event that is stopped stays so: emitted again, nobody hears it."""
        object.__setattr__(self, "stopped", True)  # also where a frozen dataclass forbids it


@dataclass(eq=False)
class NamedEvent(Event):
    """An event told apart by its name.  ValueError for a name that is not made of lower-case words and dots."""

    name: str
    data: Any = None

    def __post_init__(self) -> None:
        check_name(self.name)


def check_name(name: str) -> None:
    """Raise ValueError unless ``name`` is made of lower-case letters, digits, ``_`` and ``-``, with single dots between."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"the event name {name!r} must be lower-case words with dots between: order.placed")
