from __future__ import annotations

from typing import Any

import pytest

from greenimi.container import Scope, Setup
from greenimi.errors import StartError
from greenimi.event import Events


def test_marked_functions_and_methods_hear(setup: Setup, module: Any) -> None:
    shop = module("""
        from __future__ import annotations
        from dataclasses import dataclass
        from greenimi.marks import bean, listener
        seen = []

        @listener(priority=-1)
        def by_type(event: Placed): seen.append("type")

        @listener(name="order.placed", once=True)
        def by_name(event): seen.append(event.data)

        @listener
        def equal(event: Placed): seen.append("equal")

        @bean
        class Stock:
            def __init__(self): self.count = 3
            @listener(priority=9)
            def less(self, event: Placed): self.count -= 1; seen.append("bean")
            @staticmethod
            @listener
            def static(event: Placed): seen.append("static")
            @classmethod
            @listener
            def of_class(cls, event: Placed): seen.append(cls.__name__)

        @dataclass
        class Placed:
            sku: str
    """)
    setup.include(shop)
    container = setup.commit()
    events = container.get(Events)
    events.emit(shop.Placed("x"))
    assert shop.seen == ["bean", "equal", "static", "Stock", "type"]
    assert container.get(shop.Stock).count == 2
    shop.seen.clear()
    events.emit("order.placed", data=3)
    events.emit("order.placed", data=4)
    assert shop.seen == [3]


def test_the_bean_is_asked_for_when_the_event_happens(setup: Setup, module: Any) -> None:
    shop = module("""
        from greenimi.marks import bean, listener
        made = []
        @bean(lifetime="message")
        class Stock:
            def __init__(self): made.append(self); self.heard = 0
            @listener(name="sold")
            def less(self, event): self.heard += 1
    """)
    setup.include(shop)
    container = setup.commit()
    assert shop.made == []
    for _ in range(2):
        with Scope(container):
            container.get(Events).emit("sold")
            container.get(Events).emit("sold")
    assert [stock.heard for stock in shop.made] == [2, 2]
    double = shop.Stock()
    with container.override(shop.Stock, double):
        container.get(Events).emit("sold")
    assert double.heard == 1


def test_listeners_of_a_servers_bean_hear_that_server_only(setup: Setup, module: Any) -> None:
    shop = module("""
        from greenimi.marks import bean, listener
        seen = []
        @bean(server=("web", "till"))
        class Door:
            @listener(name="opened")
            def hear(self, event): seen.append(("door", event.data))
        @bean
        class App:
            @listener(name="opened")
            def hear(self, event): seen.append(("app", event.data))
    """)
    setup.include(shop)
    setup.server_container("other")
    setup.on_commit(lambda: setup.server_container("late"))
    container = setup.commit()
    found = {name: child.get(Events) for name, child in container.children.items()}
    assert sorted(found) == ["late", "other", "till", "web"]
    assert len({*map(id, found.values()), id(container.get(Events))}) == 5
    for name in ("web", "other", "late"):
        found[name].emit("opened", data=name)
    container.get(Events).emit("opened", data="app")
    assert shop.seen == [("door", "web"), ("app", "web"), ("app", "other"), ("app", "late"), ("app", "app")]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("@listener\ndef hear(event): ...", "hear: it says neither"),
        ("@listener\ndef hear(): ...", "hear: it says neither"),
        ("@listener\ndef hear(event: int | str): ...", r"hear: events are heard by class, and event is annotated with int \| str"),
        ("@listener\ndef hear(event: 'Nowhere'): ...", "hear: the annotation of event cannot be read: .*Nowhere"),
        ("@listener(name='Bad')\ndef hear(event): ...", "hear: the event name 'Bad' must be"),
        ("@listener\nclass Hear: ...", "Hear: @listener is for functions and methods"),
    ],
)
def test_a_listener_that_does_not_say_what_it_hears_names_its_line(setup: Setup, module: Any, source: str, text: str) -> None:
    setup.include(module(f"from greenimi.marks import listener\n{source}"))
    with pytest.raises(StartError, match=rf"shop\.py:2: the listener {text}") as caught:
        setup.commit()
    assert "name=" in caught.value.hint


def test_a_method_of_no_bean(setup: Setup, module: Any) -> None:
    setup.include(module("from greenimi.marks import listener\nclass Stock:\n    @listener(name='a')\n    def hear(self, event): ..."))
    with pytest.raises(StartError, match=r"shop\.py:3: @listener stands on Stock\.hear, and Stock is no bean"):
        setup.commit()


def test_a_bean_that_the_environment_leaves_out_hears_nothing(setup: Setup, module: Any) -> None:
    shop = module("""
        from greenimi.marks import bean, listener
        @bean(env="production")
        class Stock:
            @listener(name="sold")
            def hear(self, event): raise AssertionError
        seen = []
        @listener(name="sold")
        def hear(event): seen.append(event)
    """)
    setup.include(shop)
    event = setup.commit().get(Events).emit("sold")
    assert shop.seen == [event]
