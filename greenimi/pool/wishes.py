"""How transactions are wished for: plain data, which decorators make before any driver is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

Propagation = Literal["required", "nested", "mandatory", "new"]
Rollback = Literal["", "all", "part"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a transaction is begun.

    ``isolation``  in capital letters; "": as the database has it
    """

    isolation: str = ""
    read_only: bool = False

    @classmethod
    def of(cls, isolation: str, *, read_only: bool) -> Self:
        """``isolation`` as people write it: ``read committed``, ``READ_COMMITTED``."""
        if not isolation:
            return cls("", read_only)
        return cls(" ".join(isolation.upper().replace("_", " ").split()), read_only)


@dataclass(frozen=True, slots=True)
class Wish:
    """What ``@transactional`` was given."""

    propagation: Propagation
    retry: int
    rollback: Rollback
    levels: int
    options: Options
