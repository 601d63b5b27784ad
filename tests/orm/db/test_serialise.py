from __future__ import annotations

import datetime as dt
import decimal
import uuid
from typing import Any

import peewee
import pytest

from greenimi.enums import Enum
from greenimi.orm import Model, Serialise, Virtual, to_dict, to_dicts
from greenimi.orm.db.serialise import camel, plain


class Owner(Model):
    first_name = peewee.CharField()
    password = peewee.CharField(null=True)

    class Meta:
        serialise = Serialise(deny=["password"], camel=True, nulls=False)


class House(Model):
    owner = peewee.ForeignKeyField(Owner, null=True)
    size = peewee.IntegerField(default=2)
    place = peewee.TextField(null=True)
    twice = Virtual(lambda house: house.size * 2)

    class Meta:
        serialise = Serialise(extract={"city": "place.city", "owner_name": "owner.first_name"})

    @property
    def label(self) -> str:
        return f"house {self.id}"


def house() -> Any:
    return House(id=1, owner=Owner(id=2, first_name="Ann", password="secret"), place={"city": "Rome"})


def test_a_row_and_what_is_loaded_with_it() -> None:
    told = to_dict(house())
    assert told == {
        "id": 1,
        "owner": 2,
        "size": 2,
        "place": {"city": "Rome"},
        "twice": None,
        "city": "Rome",
        "owner_name": "Ann",
    }
    assert to_dict(house(), depth=2)["owner"] == {"id": 2, "firstName": "Ann"}


def test_only_some_fields_and_properties() -> None:
    assert to_dict(house(), ["label", "size"]) == {"label": "house 1", "size": 2}
    assert to_dicts([house(), house()], ["city"]) == [{"city": "Rome"}] * 2
    with pytest.raises(TypeError, match="House has no field or property labl"):
        to_dict(house(), ["labl"])


def test_what_is_denied_stays_out_however_it_is_asked_for() -> None:
    assert to_dict(Owner(id=1, first_name="Ann", password="secret"), ["first_name", "password"]) == {"firstName": "Ann"}


def test_nothing_is_read_for_it() -> None:
    assert to_dict(House(id=1, owner=7))["owner"] == 7


class Colour(Enum):
    RED = 1, "Red"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC), "2026-01-02T03:04:00+00:00"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Colour.RED, 1),
        (b"abc", "abc"),
        ({"b", "a"}, ["a", "b"]),
        ((1, [None, {"a": Colour.RED}]), [1, [None, {"a": 1}]]),
        (Owner(id=3), 3),
        (1 + 2j, "(1+2j)"),
    ],
)
def test_values_that_json_can_tell(value: Any, told: Any) -> None:
    assert plain(value) == told


def test_names_in_camel_case() -> None:
    assert [camel(name) for name in ("shop_id", "id", "a_b_c", "x_")] == ["shopId", "id", "aBC", "x"]


@pytest.mark.parametrize("rules", [Serialise(allow=["nmae"]), Serialise(deny=["nmae"]), Serialise(extract={"a": "nmae.x"})])
def test_rules_that_name_what_is_not_there(rules: Serialise) -> None:
    with pytest.raises(TypeError, match=r"Wrong: Meta\.serialise names nmae, which it has not"):
        type("Wrong", (Model,), {"name": peewee.CharField(), "Meta": type("Meta", (), {"serialise": rules})})
