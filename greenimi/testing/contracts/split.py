"""Ways to cut a stream of bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator

_ALL_CUTS = 2000
"""Streams up to this size are cut at every place."""


def splits(data: bytes, times: int = 50) -> Iterator[list[bytes]]:
    """``data`` in pieces: whole, byte by byte, in two at every place, and ``times`` at random places.  The same at every run."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, min(len(data), _ALL_CUTS)):
        yield [data[:at], data[at:]]
    chance = random.Random(len(data))  # noqa: S311 - not for secrets
    for _ in range(times):
        cuts = sorted(chance.sample(range(1, len(data)), min(len(data) - 1, chance.randint(1, 8)))) if len(data) > 1 else []
        yield [data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def noise(times: int = 300, size: int = 200) -> Iterator[bytes]:
    """Random bytes.  The same at every run."""
    chance = random.Random(times)  # noqa: S311 - not for secrets
    for _ in range(times):
        yield chance.randbytes(chance.randint(1, size))
