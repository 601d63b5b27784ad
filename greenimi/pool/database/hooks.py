"""What is to be done after a transaction: gathered level by level, done once, from the inside out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

log = logging.getLogger("greenimi.pool")

Hook = Callable[[], object]


class Hooks:
    """Those of one level: for its commit, or for its rollback.  What inner levels left stands before its own."""

    __slots__ = ("_inner", "_own")

    def __init__(self) -> None:
        self._inner: list[Hook] = []
        self._own: list[Hook] = []

    def __len__(self) -> int:
        return len(self._inner) + len(self._own)

    def add(self, hook: Hook) -> None:
        """One of its own."""
        self._own.append(hook)

    def absorb(self, inner: Hooks) -> None:
        """Those of an inner level that is over, and whose fate is now that of this one."""
        self._inner += inner.take()

    def take(self) -> list[Hook]:
        """All, from the inside out; none is left."""
        found = self._inner + self._own
        self._inner, self._own = [], []
        return found


def run_hooks(hooks: Sequence[Hook]) -> None:
    """Call them.  What is done in the database is done: an error of one is logged, and the next one is called."""
    for number, hook in enumerate(hooks):
        try:
            hook()
        except Exception:
            log.exception("what was to be done after a transaction failed: %r", hook)
        except BaseException:
            if hooks[number + 1 :]:
                log.error("%d things to be done after a transaction were not begun: it was broken off", len(hooks) - number - 1)
            raise
