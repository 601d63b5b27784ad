"""How long messages take, counted in buckets: no sample is kept."""

from __future__ import annotations

_BUCKETS = 48  # the last one begins at four years


class Latency:
    """``buckets[n]`` of the times were less than 2**n microseconds, and not less than half of that."""

    __slots__ = ("buckets", "nanoseconds")

    def __init__(self) -> None:
        self.buckets = [0] * _BUCKETS
        self.nanoseconds = 0  # of all together

    def add(self, nanoseconds: int) -> None:
        self.buckets[(nanoseconds // 1000).bit_length()] += 1
        self.nanoseconds += nanoseconds

    @property
    def sum(self) -> float:
        """All together, in seconds."""
        return self.nanoseconds / 1e9

    @property
    def count(self) -> int:
        return sum(self.buckets)
