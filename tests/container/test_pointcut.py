from __future__ import annotations

from functools import cached_property
from typing import Any

import pytest

from greenimi.container.pointcut import Pointcut, methods_of
from greenimi.marks import inherit, marker


class Shop:
    def __init__(self) -> None: ...

    def place(self) -> None: ...

    def twice(self) -> None: ...

    def _stock(self) -> None: ...

    @staticmethod
    def tax() -> None: ...

    @classmethod
    def kind(cls) -> None: ...

    @property
    def total(self) -> int:
        return 1

    @cached_property
    def sum(self) -> int:
        return 1

    def __len__(self) -> int:
        return 1

    class Inner:
        def place(self) -> None: ...


class SmallShop(Shop):
    def place(self) -> None: ...


HERE = Shop.__module__
LAST = HERE.rpartition(".")[2]


def test_methods_are_functions_static_and_class_methods() -> None:
    assert set(methods_of(SmallShop)) == {"__init__", "place", "twice", "_stock", "tax", "kind", "__len__"}
    assert methods_of(SmallShop)["place"] is SmallShop.place


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        (f"{HERE}:Shop.place", {"place"}),
        (f"{LAST}:Shop.place", {"place"}),
        (f"{LAST}:Shop.*", {"place", "twice", "_stock", "tax", "kind"}),
        ("*:Shop.t*", {"twice", "tax"}),
        ("*:*.place", {"place"}),
        ("*:Sh?p.*", {"place", "twice", "_stock", "tax", "kind"}),
        (f"{LAST}:Shop.__*__", {"__init__", "__len__"}),
        ("elsewhere:Shop.*", set()),
        ("*:SmallShop.place", set()),
        ("*:*.Shop.place", set()),
        ("*:Shop.Inner.*", set()),
    ],
)
def test_patterns(pattern: str, matched: set[str]) -> None:
    pointcut = Pointcut(pattern)
    assert {name for name in methods_of(Shop) if pointcut.matches(Shop, name)} == matched


def test_nested_classes_go_by_their_path() -> None:
    assert Pointcut("*:Shop.Inner.place").matches(Shop.Inner, "place")
    assert not Pointcut("*:Inner.place").matches(Shop.Inner, "place")


@pytest.mark.parametrize("what", [Shop.place, Shop.tax, Shop.kind])
def test_methods_as_pointcuts(what: Any) -> None:
    pointcut = Pointcut(what)
    assert {name for name in methods_of(Shop) if pointcut.matches(Shop, name)} == {what.__name__}
    assert pointcut.matches(SmallShop, what.__name__)
    assert str(pointcut) == f"{HERE}:Shop.{what.__name__}"


def test_a_subclass_inherits_advised_methods_and_its_siblings_do_not() -> None:
    assert Pointcut("*:SmallShop.twice").matches(SmallShop, "twice")
    assert not Pointcut("*:SmallShop.twice").matches(Shop, "twice")
    assert not Pointcut(SmallShop.place).matches(Shop, "place")


def test_a_class_has_no_part_in_what_its_subclasses_add() -> None:
    class Larger(Shop):
        def more(self) -> None: ...

    assert Pointcut("*:*Larger.more").matches(Larger, "more")
    assert not Pointcut("*:Shop.*").matches(Larger, "more")


def test_a_method_is_found_by_itself_where_its_name_was_lost() -> None:
    def unnamed(function: Any) -> Any:
        return lambda self: [function(self)]

    class Wrapped:
        one = unnamed(Shop.place)
        two = unnamed(Shop.place)

    assert Pointcut(Wrapped.one).matches(Wrapped, "one")
    assert not Pointcut(Wrapped.one).matches(Wrapped, "two")


def test_a_method_is_found_by_its_name_where_the_function_was_replaced() -> None:
    def place(self: Any) -> str:
        return ""

    place.__module__, place.__qualname__ = HERE, "Shop.place"
    assert Pointcut(place).matches(Shop, "place")
    assert not Pointcut(place).matches(Shop, "twice")


def logged(function: Any) -> Any:
    return marker("logged")(function)


class Base:
    @logged
    def one(self) -> None: ...

    @logged
    def two(self) -> None: ...

    @logged
    def three(self) -> None: ...


class Derived(Base):
    def one(self) -> None: ...

    @inherit("logged")  # type: ignore[type-var]  # methods may carry it, too
    def two(self) -> None: ...

    @staticmethod
    @logged
    def four() -> None: ...

    def five(self) -> None: ...

    class Inner:
        @logged
        def five(self) -> None: ...


def test_pointcut_by_mark_takes_inherited_marks_where_inherit_says_so() -> None:
    pointcut = Pointcut("@logged")
    assert {name for name in methods_of(Derived) if pointcut.matches(Derived, name)} == {"two", "three", "four"}


@pytest.mark.parametrize("what", ["place", "shop:place", ":Shop.place", "shop:.place", "shop:Shop.", "", Shop, Shop.total, 3, None])
def test_anything_else_is_refused(what: Any) -> None:
    with pytest.raises(TypeError):
        Pointcut(what)
