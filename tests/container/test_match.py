from __future__ import annotations

import gc
import weakref
from typing import Any, Generic, Protocol, TypeVar

import pytest

from greenimi.container.match import interface_of, is_protocol, matches, members_of

T = TypeVar("T")


class Reader(Protocol):
    size: int

    @property
    def name(self) -> str: ...

    def read(self, key: str, *, fresh: bool) -> str: ...


class Closing(Reader, Protocol):
    def __exit__(self, *details: object) -> None: ...


class Whole:
    size: int

    @property
    def name(self) -> str:
        return ""

    def read(self, key: str, default: str = "", *, fresh: bool = False) -> str:
        return default


class StaticReader(Whole):
    @staticmethod
    def read(key: str, **options: Any) -> str:  # type: ignore[override]
        return key


class ClassReader(Whole):
    @classmethod
    def read(cls, key: str, **options: Any) -> str:  # type: ignore[override]
        return key


class NoKeyword(Whole):
    def read(self, key: str) -> str:  # type: ignore[override]
        return key


class NeedsMore(Whole):
    def read(self, key: str, more: str, *, fresh: bool) -> str:  # type: ignore[override]
        return key


class NotCallable(Whole):
    read = None  # type: ignore[assignment]


class OnlyAnnotated:
    size: int
    name: str
    read: Any


class Lacking:
    def read(self, key: str, *, fresh: bool) -> str:
        return key


class Empty(Protocol):
    pass


class Measured(Protocol):
    def __len__(self) -> int: ...


@pytest.mark.parametrize("candidate", [Whole, StaticReader, ClassReader])
def test_a_class_of_the_shape_matches(candidate: type) -> None:
    assert matches(Reader, candidate)


@pytest.mark.parametrize("candidate", [NoKeyword, NeedsMore, NotCallable, OnlyAnnotated, Lacking, object])
def test_another_shape_does_not(candidate: type) -> None:
    assert not matches(Reader, candidate)


def test_members_come_from_protocols_only() -> None:
    assert members_of(Reader) == {"size", "name", "read"}
    assert members_of(Closing) == {"size", "name", "read", "__exit__"}
    assert not matches(Closing, Whole)
    assert not matches(Empty, Whole)
    assert matches(Measured, list)
    assert (is_protocol(Reader), is_protocol(Whole)) == (True, False)


def test_a_mirror_has_the_bases_of_its_class() -> None:
    class Base(Generic[T]):
        pass

    class Child(Base[int], Whole):
        pass

    assert interface_of(Child).isOrExtends(interface_of(Base))
    assert interface_of(Child).isOrExtends(interface_of(Whole))
    assert not interface_of(Base).isOrExtends(interface_of(Child))
    assert interface_of(Child) is interface_of(Child)


def test_classes_of_one_name_have_mirrors_of_their_own_that_go_with_them() -> None:
    def make() -> type:
        class Twin:
            pass

        return Twin

    one, two = make(), make()
    assert interface_of(one) != interface_of(two)
    gone = weakref.ref(one), weakref.ref(interface_of(one))
    del one
    gc.collect()  # the class goes first, then the circle inside its mirror
    gc.collect()
    assert [ref() for ref in gone] == [None, None]
