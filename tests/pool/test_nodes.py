"""A node that fails is left alone for a while, then tried once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from greenimi.config.secret import Secret
from greenimi.pool import Node, nodes


class Clock:
    """Time as the test wants it."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def available(node: Node) -> bool:
    return node.available


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(nodes, "monotonic", made)
    return made


def test_a_node_that_failed_is_ejected_for_growing_times(clock: Clock) -> None:
    node = Node("db1", eject=1.0, eject_limit=10.0)
    assert available(node)
    seconds = []
    for _ in range(6):
        node.failed(OSError("refused"))
        assert not available(node)
        seconds.append(node.ejected)
        clock.now += node.ejected
        assert available(node)
    for found, most in zip(seconds, [1, 2, 4, 8, 10, 10], strict=True):
        assert 0.75 * most - 1e-6 <= found <= most + 1e-6
    node.worked()
    assert available(node)
    node.failed("again")
    assert node.ejected <= 1.0


def test_times_differ(clock: Clock) -> None:
    found = set()
    for _ in range(20):
        node = Node("db1")
        node.failed("refused")
        found.add(node.ejected)
    assert len(found) > 10


def test_failures_at_the_same_moment_count_once(clock: Clock) -> None:
    node = Node("db1", eject=1.0)
    for _ in range(10):
        node.failed("refused")
    assert node.ejected <= 1.0
    assert node.failures == 10


def test_attempts_while_it_is_ejected_make_that_no_longer(clock: Clock) -> None:
    """They are made when no other node is left, by each who wants something."""
    node = Node("db1", eject=1.0)
    for _ in range(100):
        node.tried()
        node.failed("refused")
    assert node.ejected <= 1.0


def test_one_attempt_decides(clock: Clock) -> None:
    node = Node("db1")
    node.failed("refused")
    clock.now += 1.0
    assert available(node)
    node.tried()
    assert not available(node)  # for the others
    node.untried()
    assert available(node)
    node.tried()
    node.failed("refused")
    assert 1.0 < node.ejected <= 2.0
    clock.now += 2.0
    node.tried()
    node.worked()
    assert available(node)
    assert node.problem == ""


def test_set_aside(clock: Clock) -> None:
    node = Node("db1")
    node.set_aside(5.0, "it lags 12 seconds behind")
    assert not available(node)
    assert repr(node) == "<Node db1, it lags 12 seconds behind>"
    node.worked()  # which is not the point
    assert not available(node)
    clock.now += 5.0
    assert available(node)
    node.worked()
    assert repr(node) == "<Node db1>"


@dataclass
class Account:
    name: str
    password: str
    more: Any = None


@pytest.mark.parametrize(
    "settings",
    [
        Account("ann", Secret("hush")),
        {"password": Secret("hush")},
        [Account("ann", "", {"token": [Secret("hush")]})],
        Secret("hush"),
    ],
)
def test_passwords_are_not_told(settings: object) -> None:
    node = Node("db1", settings=settings)
    node.failed(OSError("no access for ann\nwith hush"))
    assert node.problem == "OSError: no access for ann with ***"


def test_texts_are_bounded() -> None:
    node = Node("db1")
    node.failed("x" * 10_000)
    assert len(node.problem) == 300


def test_an_empty_secret_hides_nothing() -> None:
    node = Node("db1", settings=Secret(""))
    node.failed("refused")
    assert node.problem == "refused"


def test_numbers() -> None:
    node = Node("db1")
    node.failed("refused")
    assert node.numbers() == {"open": 0, "ejected": 1, "connects_total": 0, "failures_total": 1}


def test_a_node_that_was_set_aside_is_taken_back() -> None:
    node = Node("db1")
    node.set_aside(60.0, "it lags behind")
    assert not available(node)
    node.taken_back()
    assert available(node)
    assert node.problem == ""
