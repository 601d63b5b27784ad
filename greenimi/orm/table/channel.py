"""A bounded channel between the workers of a machine."""

from __future__ import annotations

import math
from typing import Any, Generic, TypeVar

import msgspec

from greenimi.errors import GreenimiError
from greenimi.orm.records import UnreadableRecord
from greenimi.orm.table.names import check_name
from greenimi.orm.table.tables import current_tables

T = TypeVar("T")


class ChannelTimeout(GreenimiError, TimeoutError):
    """A channel was full, or empty, for as long as the call waited."""

    status = 503


class Channel(Generic[T]):
    """``jobs = Channel("jobs", Job, size=100)``: what one worker pushes, one worker pops, in the order of pushing.

    A constant: which channel of the name that is, is asked of the running application at each call.  All who push should say the same
    ``size``.  Values travel as JSON, and are checked by ``kind`` when they are popped.

    A value is popped once: it is lost when the worker that popped it ends before it is done with it, or when the application ends.
    """

    def __init__(self, name: str, kind: Any = Any, *, size: int = 1000) -> None:
        check_name("channel", name)
        if size < 1:
            raise ValueError(f"the channel {name} has room for at least one value, not {size}")
        self.name = name
        self.size = size
        self._kind = kind
        self._decoder: Any = None

    def __repr__(self) -> str:
        return f"<Channel {self.name}>"

    def push(self, value: T, wait: float | None = None) -> None:
        """Put it at the end, as soon as there is room.  ``wait``: seconds; None: any time; 0: one try.  ChannelTimeout after it."""
        done = current_tables().channels.push(self.name, msgspec.json.encode(value), self.size, math.inf if wait is None else wait)
        if not done:
            raise ChannelTimeout(f"the channel {self.name} was full, {self.size} values, for {wait} seconds")

    def pop(self, wait: float | None = None) -> T:
        """Take the first one, as soon as there is one.  ChannelTimeout when there was none in ``wait`` seconds.

        UnreadableRecord when it is not of the ``kind``; it is gone then.
        """
        data = current_tables().channels.pop(self.name, math.inf if wait is None else wait)
        if data is None:
            raise ChannelTimeout(f"the channel {self.name} was empty for {wait} seconds")
        if self._decoder is None:
            self._decoder = msgspec.json.Decoder(self._kind)
        try:
            value: T = self._decoder.decode(data)
        except msgspec.DecodeError as error:
            raise UnreadableRecord(f"what the channel {self.name} had is no {self._kind}: {error}") from error
        return value

    def __len__(self) -> int:
        return current_tables().channels.count(self.name)

    def __bool__(self) -> bool:
        """A channel is there, also when nothing is in it."""
        return True
