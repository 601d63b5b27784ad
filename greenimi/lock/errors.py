"""What may go wrong with a lock."""

from __future__ import annotations

from greenimi.errors import GreenimiError


class LockError(GreenimiError):
    """A lock was used in a way that cannot work."""


class LockTimeout(LockError, TimeoutError):
    """Others held the lock for as long as somebody was willing to wait for it.  ``name`` is the lock's."""

    status = 503

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text)
        self.name = name


class LockFailed(LockError):
    """Where locks are kept cannot be reached, or failed; its own error is the cause.  Whether the lock is free is not known."""

    status = 503


class LockLost(LockError):
    """The lock ended before the work under it did: somebody else may hold it by now.  ``name`` is the lock's.

    What was done under it must not be relied on, unless whoever took the results compares fencing numbers.
    """

    status = 503

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text)
        self.name = name
