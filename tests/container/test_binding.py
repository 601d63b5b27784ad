from __future__ import annotations

import threading
from typing import Any

import pytest

from greenimi.container import Binding, Container, Scope


class Shop:
    pass


def test_many_threads_get_one_instance(commit: Any) -> None:
    made: list[Slow] = []
    inside, others = threading.Event(), threading.Barrier(7)

    class Slow:
        def __init__(self) -> None:
            inside.set()
            others.wait(10)  # the other threads are about to ask while this one is being made
            made.append(self)

    container = commit(Slow)
    found: list[Slow] = []

    def ask(wait: bool) -> None:
        if wait:
            inside.wait(10)
            others.wait(10)
        found.append(container.get(Slow))

    threads = [threading.Thread(target=ask, args=(n > 0,)) for n in range(7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(made) == 1
    assert found == made * 7


def test_greenlets_that_share_a_message_get_what_was_stored_first() -> None:
    container = Container("app")

    class Racing(Binding):
        __slots__ = ()

        def make(self, args: Any = (), kwargs: Any = None) -> Any:
            assert scope.beans is not None
            scope.beans[self] = "the other's"  # another greenlet was faster
            return "mine", None

    binding = Racing(container, (Shop,), lifetime="message")
    container.bind(binding)
    key: Any = Shop
    with Scope(container) as scope:
        assert container.get(key) == "the other's"


def test_a_failed_first_creation_is_tried_again() -> None:
    container = Container("app")
    tries: list[int] = []

    class Failing(Binding):
        __slots__ = ()

        def make(self, args: Any = (), kwargs: Any = None) -> Any:
            tries.append(1)
            if len(tries) == 1:
                raise ValueError("not yet")
            return "made", None

    container.bind(Failing(container, (Shop,)))
    key: Any = Shop
    with pytest.raises(ValueError, match="not yet"):
        container.get(key)
    assert container.get(key) == "made"
    assert container.get(key) == "made"
    assert len(tries) == 2


def test_what_was_added_ready_made_cannot_be_created() -> None:
    container = Container("app")
    container.add(Shop, Shop(), "main")
    with pytest.raises(TypeError, match=r"Shop 'main' \(test_binding\.py:\d+\) was added ready made"):
        container.create(Shop)
