"""Fixtures of the tests of pools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import pytest

from greenimi.pool import Node, Pool
from tests.pool.things import Thing, Things, settings


class MakePool(Protocol):
    def __call__(self, *, nodes: Sequence[Node] = ..., name: str = ..., **changed: Any) -> Pool[Thing]: ...


@pytest.fixture
def things() -> Things:
    return Things()


@pytest.fixture
def make_pool(things: Things) -> Iterator[MakePool]:
    """``make_pool(max=2)``: a pool of the things; it is stopped at the end, and whatever is open then was leaked."""
    made: list[Pool[Thing]] = []

    def make(*, nodes: Sequence[Node] = (), name: str = "orders", **changed: Any) -> Pool[Thing]:
        made.append(Pool(name, things, nodes or [Node("db1")], settings(**changed)))
        return made[-1]

    yield make
    for pool in made:
        pool.stop()
        assert pool.size == 0
    assert things.open == []
