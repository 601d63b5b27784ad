"""What leaves the server is what the handler declared."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from types import SimpleNamespace
from typing import Annotated, Any, Generic, NamedTuple, TypedDict, TypeVar

import msgspec
import pytest
from pydantic import BaseModel

from greenimi import Reply, Response
from greenimi.dispatch.returns import answer_for
from greenimi.errors import StartError

T = TypeVar("T")


class Kind(enum.Enum):
    ADMIN = "admin"


@dataclass
class Home:
    city: str


@dataclass
class RichHome(Home):
    alarm_code: str = "1234"


@dataclass
class User:
    name: str
    kind: Kind = Kind.ADMIN
    homes: list[Home] = field(default_factory=list)
    boss: User | None = None


@dataclass
class Account(User):
    password: str = "secret"


class Wire(msgspec.Struct, rename="camel"):
    the_name: str
    size: int | msgspec.UnsetType = msgspec.UNSET


class Keys(TypedDict):
    name: str


class Point(NamedTuple):
    x: int
    home: Home


class Row(msgspec.Struct, array_like=True):
    home: Home


class Model(BaseModel):
    name: str
    born: date


@dataclass
class Page(Generic[T]):
    items: list[T]


def answer(annotation: Any, value: Any) -> Any:
    found = answer_for(annotation, "Shop.show")
    assert found is not None
    return found(value)


@pytest.mark.parametrize(
    "annotation",
    [
        None,
        Any,
        object,
        bytes,
        dict,
        dict[str, int],
        list[Any],
        tuple[int, str],
        Response,
        Iterator[User],
        Iterable[User],
        Kind,
        int | None,
        str | Response,
        Annotated[int, "words"],
    ],
)
def test_types_without_records_cost_nothing(annotation: Any) -> None:
    assert answer_for(annotation, "Shop.show") is None


def test_what_is_exactly_of_the_class_stays_as_it_is() -> None:
    user = User("ann", homes=[Home("Rome")], boss=User("bob"))
    wire, page = Wire("a"), Page([Home("Rome")])
    assert answer(User, user) is user
    assert answer(Wire, wire) is wire
    assert answer(Page[Home], page) is page
    for annotation, value in ((list[User], [user]), (dict[str, User], {"a": user}), (list[User | None], [user, None])):
        assert answer(annotation, value) is value


@pytest.mark.parametrize(
    "value",
    [
        Account("ann", homes=[RichHome("Rome")]),
        User("ann", homes=[RichHome("Rome")]),
        {"name": "ann", "kind": "admin", "homes": [{"city": "Rome", "alarm_code": "1"}], "password": "secret"},
        SimpleNamespace(name="ann", homes=(RichHome("Rome"),), password="secret", boss=None),
    ],
)
def test_only_declared_fields_leave(value: Any) -> None:
    found = answer(User, value)
    assert found == User("ann", Kind.ADMIN, [Home("Rome")])
    assert type(found) is User
    assert type(found.homes[0]) is Home


@pytest.mark.parametrize(
    ("annotation", "value", "found"),
    [
        (list[User], (Account("a"), {"name": "b"}), [User("a"), User("b")]),
        (list[Home], {RichHome("x").city: 1}.keys(), None),
        (dict[str, Home], {"k": RichHome("Rome")}, {"k": Home("Rome")}),
        (User | None, Account("a"), User("a")),
        (User | Response, Account("a"), User("a")),
        (User | Home, RichHome("Rome"), Home("Rome")),
        (User | Home, {"city": "Rome", "x": 1}, Home("Rome")),
        (Wire, {"theName": "a", "x": 1}, Wire("a")),
        (Wire, {"the_name": "a"}, Wire("a")),
        (Wire, SimpleNamespace(the_name="a", size=3), Wire("a", 3)),
        (Keys, {"name": "a", "secret": 1}, {"name": "a"}),
        (Keys, SimpleNamespace(name="a", secret=1), {"name": "a"}),
        (Point, Point(1, RichHome("Rome")), Point(1, Home("Rome"))),
        (Point, (1, {"city": "Rome", "x": 1}), Point(1, Home("Rome"))),
        (Row, SimpleNamespace(home=RichHome("Rome")), Row(Home("Rome"))),
        (tuple[Home, int], (RichHome("Rome"), 1), (Home("Rome"), 1)),
        (Page[Home], {"items": [RichHome("Rome")]}, Page([Home("Rome")])),
        (Annotated[Home, "words"], RichHome("Rome"), Home("Rome")),
        (Model, SimpleNamespace(name="a", born=date(2000, 1, 2), secret=1), {"name": "a", "born": "2000-01-02"}),
        (list[Model], [Model(name="a", born=date(2000, 1, 2))], [{"name": "a", "born": "2000-01-02"}]),
    ],
)
def test_conversions(annotation: Any, value: Any, found: Any) -> None:
    if found is None:
        with pytest.raises(TypeError):
            answer(annotation, value)
        return
    made = answer(annotation, value)
    assert made == found
    assert type(made) is type(found)


@pytest.mark.parametrize("value", [None, "text", b"bytes", Response("x"), Reply("x"), iter([1])])
def test_what_is_never_touched(value: Any) -> None:
    assert answer(User, value) is value


def test_a_generator_is_never_touched() -> None:
    parts = (part for part in "ab")
    assert answer(list[User], parts) is parts


@pytest.mark.parametrize(
    ("annotation", "value", "said"),
    [
        (User, {}, "a dict that is not what it declares: Object missing required field `name`"),
        (User, {"name": 5}, "Expected `str`, got `int` - at `\\$.name`"),
        (User, 5, "a int that is not"),
        (list[User], 5, "Expected `array`"),
        (User, {"name": "a", "kind": "king"}, "Invalid enum value 'king'"),
        (User | Home, {}, "Object missing required field `name`"),
        (Model, {"name": "a"}, "born"),
        (Point, (1, Home("a"), 2), "."),
    ],
)
def test_what_does_not_fit_is_the_fault_of_the_server(annotation: Any, value: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said) as caught:
        answer(annotation, value)
    assert str(caught.value).startswith("Shop.show returned ")


def test_a_circle_is_no_answer() -> None:
    user = Account("a")
    user.boss = user
    with pytest.raises(TypeError, match="recursion"):
        answer(User, user)


@dataclass
class Mixed:
    one: Home | User


def test_what_nothing_can_be_converted_to_stops_the_start() -> None:
    with pytest.raises(StartError, match=r"Shop.show: nothing can be converted to what it declares"):
        answer_for(Mixed, "Shop.show")
