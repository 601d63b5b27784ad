"""What the pools of these tests hold: things that know whether they are used by two at once, at nodes that can fail."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from greenimi import green
from greenimi.pool import Node, Pool, PoolSettings


class Thing:
    """A resource."""

    def __init__(self, number: int, node: Node) -> None:
        self.number = number
        self.node = node
        self.open = True
        self.lost = False  # known to be, without asking
        self.dead = False  # found out by asking
        self.stale = False  # cannot be reset
        self.users = 0
        self.checks = 0

    def __repr__(self) -> str:
        return f"<Thing {self.number} of {self.node.name}>"

    @contextmanager
    def used(self) -> Any:
        """Use it.  Two at once is what a pool must prevent."""
        assert self.open, f"{self!r} is used after it was closed"
        assert not self.users, f"{self!r} is used by two"
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1


class Things:
    """IResources.  ``pause(what)`` is called where a driver would wait for its server; what it raises goes wrong there."""

    def __init__(self) -> None:
        self.made: list[Thing] = []
        self.pause: Callable[[str], object] = lambda what: None
        self.failing: dict[str, Exception] = {}  # by node
        self.resets = 0

    @property
    def open(self) -> list[Thing]:
        return [thing for thing in self.made if thing.open]

    def connect(self, node: Node) -> Thing:
        self.pause("connect")
        if node.name in self.failing:
            raise self.failing[node.name]
        thing = Thing(len(self.made) + 1, node)
        self.made.append(thing)
        return thing

    def close(self, resource: Thing) -> None:
        assert resource.open, f"{resource!r} is closed twice"
        resource.open = False

    def is_open(self, resource: Thing) -> bool:
        return resource.open and not resource.lost

    def check(self, resource: Thing) -> bool:
        with resource.used():
            self.pause("check")
        resource.checks += 1
        return not resource.dead

    def reset(self, resource: Thing) -> bool:
        with resource.used():
            self.pause("reset")
        self.resets += 1
        return not resource.stale


def settings(**changed: Any) -> PoolSettings:
    """A small pool in which nothing happens by itself."""
    quiet: dict[str, Any] = {"max": 3, "min": 0, "wait": 5.0, "idle": 0.0, "idle_check": 1000.0, "report_after": 0.0}
    return PoolSettings(**{**quiet, **changed})


def assert_sound(pool: Pool[Thing], things: Things) -> None:
    """Everything that a pool in which nobody holds or waits for anything says of itself is so."""
    assert pool.statistics().busy == 0, pool.statistics().held
    assert pool.statistics().waiting == 0
    assert pool.statistics().connecting == 0
    assert pool.size == len(pool._idle) == len(things.open) <= pool.settings.max
    assert {id(slot.resource) for slot in pool._idle} == {id(thing) for thing in things.open}
    assert sum(node.open for node in pool.nodes) == pool.size
    assert not any(thing.users for thing in things.made)
    counts = pool.counts
    assert counts.connects - counts.closed == pool.size


def turn(times: int = 1) -> None:
    """Let all others run that can."""
    for _ in range(times):
        green.sleep(0)
