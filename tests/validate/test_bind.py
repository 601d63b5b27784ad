from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType, Optional, Union
from uuid import UUID

import pytest

from greenimi.errors import Invalid
from greenimi.validate import BindError, Text, bind, binder

UserId = NewType("UserId", int)
SOME_ID = UUID("12345678-1234-5678-1234-567812345678")


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Grade(enum.IntEnum):
    ONE = 1


@dataclass(frozen=True)
class Address:
    street: str
    number: int = 1


@dataclass(frozen=True)
class Person:
    name: str
    home: Address
    tags: list[str] = field(default_factory=list)
    more: dict[str, Address] = field(default_factory=dict)
    boss: Person | None = None

    def __post_init__(self) -> None:
        if self.name == "nobody":
            raise ValueError("nobody has no name")


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (str, "a", "a"),
        (int, 3, 3),
        (float, 3, 3.0),
        (float, 1.5, 1.5),
        (bool, True, True),
        (Decimal, "1.50", Decimal("1.50")),
        (Decimal, 1.1, Decimal("1.1")),
        (datetime, "2026-03-01T12:00:00+00:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        (date, "2026-03-01", date(2026, 3, 1)),
        (UUID, str(SOME_ID), SOME_ID),
        (Size, "s", Size.SMALL),
        (Size, Size.LARGE, Size.LARGE),
        (Grade, 1, Grade.ONE),
        (Literal["a", 1], 1, 1),
        (Optional[int], None, None),  # noqa: UP045 - the old spelling binds too
        (Union[int, str], "5", "5"),  # noqa: UP007
        (int | float, 2, 2),
        (list[int], [1, 2], [1, 2]),
        (list, [1, "a"], [1, "a"]),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[int, str], [1, "a"], (1, "a")),
        (set[int], [1, 1], {1}),
        (frozenset[str], ["a"], frozenset("a")),
        (Sequence[int], [1], (1,)),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (dict[int, str], {"1": "a"}, {1: "a"}),
        (Mapping[str, Any], {"a": [1]}, {"a": [1]}),
        (Annotated[int, ["a rule without a hash"]], 4, 4),
        (UserId, 7, 7),
        (Any, {"x": 1}, {"x": 1}),
        (None, None, None),
    ],
)
def test_a_value_that_fits(kind: Any, value: object, expected: object) -> None:
    found: object = bind(kind, value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (str, 1, "expected str, got int 1"),
        (int, "1", "expected int, got str '1'"),
        (int, True, "expected int, got bool True"),
        (int, 1.0, "expected int, got float 1.0"),
        (float, "1", "expected float, got str '1'"),
        (float, 10**400, "expected float, got int \\(a long number\\)$"),
        (bool, 1, "expected bool, got int 1"),
        (Decimal, "nan", "expected Decimal, got str 'nan'"),
        (Decimal, True, "expected Decimal, got bool True"),
        (datetime, "yesterday", "expected datetime, got str 'yesterday'"),
        (date, datetime(2026, 3, 1, tzinfo=UTC), "expected date, got datetime"),
        (UUID, "x", "expected UUID, got str 'x'"),
        (Size, "m", "expected one of 's', 'l', got str 'm'"),
        (Grade, True, "expected one of 1, got bool True"),
        (Literal["a", 1], True, "expected one of 'a', 1, got bool True"),
        (int | None, "x", "expected int or null, got str 'x'"),
        (list[int], "1,2", "expected list\\[int\\], got str '1,2'"),
        (set[Any], [[1]], "expected set\\[Any\\], got a list"),
        (tuple[int, str], [1], "expected 2 values, got 1"),
        (dict[str, int], [1], "expected dict\\[str, int\\], got a list"),
        (Address, "x", "expected a table, got str 'x'"),
        (None, 0, "expected null, got int 0"),
        (str, None, "expected str, got null"),
        (int, "9" * 5000, "expected int, got str '9{39}\\.\\.\\.$"),
    ],
)
def test_a_value_that_does_not_fit(kind: Any, value: object, said: str) -> None:
    with pytest.raises(BindError, match=f"^at: {said}"):
        bind(kind, value, "at")


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (str, "5", "5"),
        (int, "-5", -5),
        (float, "1e3", 1000.0),
        (bool, "Yes", True),
        (bool, "off", False),
        (Grade, "1", Grade.ONE),
        (Literal[1, True], "true", True),
        (int | str, "x", "x"),
        (int | str, "5", 5),
        (str | int, "5", "5"),
        (int | None, "5", 5),
        (list[int], "1, 2", [1, 2]),
        (list[int], "[1, 2]", [1, 2]),
        (list[int], "", []),
        (tuple[int, str], "1,a", (1, "a")),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Address, '{"street": "x"}', Address("x")),
    ],
)
def test_text_is_converted_only_where_the_source_is_text(kind: Any, text: str, expected: object) -> None:
    assert bind(kind, text, text=True) == expected
    assert bind(kind, Text(text)) == expected


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (int, "1.0"),
        (int, " 1"),
        (int, "+-1"),
        (int, "1_0"),
        (int, ""),
        (int, "٣"),
        (float, "nan"),
        (float, "inf"),
        (float, "1_0"),
        (bool, "maybe"),
        (int, "9" * 5000),
        (dict[str, int], "{"),
        (dict[str, int], "[" * 100_000),
    ],
)
def test_text_that_cannot_be_converted(kind: Any, text: str) -> None:
    with pytest.raises(BindError):
        bind(kind, text, text=True)


def test_a_dataclass_with_what_is_in_it() -> None:
    value = {
        "name": "a",
        "home": {"street": "s"},
        "more": {"x": {"street": "t", "number": 2}},
        "boss": {"name": "b", "home": {"street": "u"}},
    }
    assert bind(Person, value) == Person("a", Address("s"), [], {"x": Address("t", 2)}, Person("b", Address("u")))


def test_every_bad_field_is_named_by_its_path() -> None:
    value = {"home": {"number": "x", "stret": 1}, "tags": ["a", 1], "more": {"x": {}}, "boss": {"name": 1, "home": {"street": "u"}}}
    with pytest.raises(Invalid) as caught:
        bind(Person, value, "person")
    assert {error["field"]: error["text"] for error in caught.value.details["errors"]} == {  # type: ignore[attr-defined]
        "person.name": "is missing",
        "person.home.street": "is missing",
        "person.home.number": "expected int, got str 'x'",
        "person.home.stret": "unknown key",
        "person.tags.1": "expected str, got int 1",
        "person.more.x.street": "is missing",
        "person.boss.name": "expected str, got int 1",
    }


def test_a_refusal_of_the_class_itself_is_told() -> None:
    with pytest.raises(BindError, match=r"^person: nobody has no name$"):
        bind(Person, {"name": "nobody", "home": {"street": "s"}}, "person")


def test_problems_are_bounded() -> None:
    for value in (["x"] * 1000, {f"k{i}": "x" for i in range(1000)}):
        kind: Any = list[int] if isinstance(value, list) else dict[str, int]
        with pytest.raises(BindError) as caught:
            bind(kind, value)
        assert len(caught.value.problems) == 50
    with pytest.raises(BindError) as caught:
        bind(Address, {"street": "s", **{f"k{i}": 1 for i in range(1000)}})
    assert len(caught.value.problems) == 50


def test_a_type_that_cannot_be_bound_is_found_when_compiled() -> None:
    with pytest.raises(TypeError, match="cannot bind a value to bytes"):
        binder(bytes)


def test_no_class_is_kept_alive() -> None:
    import gc
    import weakref

    @dataclass
    class Local:
        pass

    bind(Local, {})
    seen = weakref.ref(Local)
    del Local
    gc.collect()
    assert seen() is None
