from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, NewType, TypedDict, TypeVar

import msgspec
import pydantic
import pytest

from greenimi import enums
from greenimi.components.openapi.schemas import Schemas
from greenimi.validate import rules

T = TypeVar("T")


def other_wish() -> type:
    @dataclass
    class Wish:
        name: Annotated[str, rules.Text(max=3)]

    return Wish


Sku = NewType("Sku", str)


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Colour(enums.Enum):
    RED = 1, "Red"
    GREEN = 2, "Deep green"


@dataclass
class Wish:
    """What somebody wants.

    ``sku``  what it is
    """

    sku: Annotated[str, rules.Text(min=1, max=20)]
    at: dt.datetime
    sizes: list[Annotated[Size, rules.InList([Size.SMALL])]]
    pieces: Annotated[int, msgspec.Meta(ge=1, description="how many", examples=[3])] = 1
    next: Wish | None = None


class Order(msgspec.Struct, rename="camel"):
    order_id: Annotated[int, rules.Integer(min=1)]
    placed_at: dt.datetime | None = None


class Place(TypedDict):
    street: Annotated[str, rules.Text(max=100)]


class Pair(msgspec.Struct, array_like=True):
    at: dt.datetime
    count: Annotated[int, rules.Integer(max=9)]


@dataclass
class PageOf(Generic[T]):
    items: list[T]


class Model(pydantic.BaseModel):
    """A model."""

    name: str = pydantic.Field(max_length=5, alias="fullName")
    inner: Inner


class Inner(pydantic.BaseModel):
    size: Size


def schema(annotation: Any, **own: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    schemas = Schemas()
    found = schemas.add(annotation, **own)
    return found, schemas.finish()


@pytest.mark.parametrize(
    ("annotation", "found"),
    [
        (int, {"type": "integer"}),
        (str | None, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        (bytes, {"type": "string", "contentEncoding": "base64"}),
        (dt.datetime, {"type": "string", "format": "date-time"}),
        (dt.datetime | None, {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}),
        (dt.date, {"type": "string", "format": "date"}),
        (list[dt.time], {"type": "array", "items": {"type": "string", "format": "time"}}),
        (dict[str, dt.datetime], {"type": "object", "additionalProperties": {"type": "string", "format": "date-time"}}),
        (decimal.Decimal, {"type": "string", "format": "decimal", "pattern": r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"}),
        (uuid.UUID, {"type": "string", "format": "uuid"}),
        (Literal["a", "b"], {"enum": ["a", "b"]}),
        (Sku, {"type": "string"}),
        (Any, {}),
        (object, {}),
        (Mapping[str, object], {"type": "object", "additionalProperties": {}}),
        (list[object], {"type": "array", "items": {}}),
        (Annotated[int, rules.Integer(min=1), rules.Compare("!=", 13)], {"type": "integer", "minimum": 1, "not": {"const": 13}}),
        (tuple[str, dt.time], {"type": "array", "minItems": 2, "maxItems": 2, "items": False}),
        (type("Opaque", (), {}), {"title": "Opaque"}),
    ],
)
def test_types(annotation: Any, found: dict[str, Any]) -> None:
    made, components = schema(annotation)
    made.pop("prefixItems", None)
    assert made == found
    assert components == {}


def test_a_dataclass_with_what_its_docstring_and_rules_say() -> None:
    found, components = schema(Wish, description="own")
    assert found == {"$ref": "#/components/schemas/Wish", "description": "own"}
    wish = components["Wish"]
    assert wish["description"] == "What somebody wants."
    assert wish["required"] == ["sku", "at", "sizes"]
    assert wish["properties"] == {
        "sku": {"type": "string", "minLength": 1, "maxLength": 20, "description": "what it is"},
        "at": {"type": "string", "format": "date-time"},
        "sizes": {"type": "array", "items": {"$ref": "#/components/schemas/Size", "enum": ["small"]}},
        "pieces": {"type": "integer", "minimum": 1, "description": "how many", "examples": [3], "default": 1},
        "next": {"anyOf": [{"$ref": "#/components/schemas/Wish"}, {"type": "null"}], "default": None},
    }
    assert sorted(components["Size"]["enum"]) == ["large", "small"]


def test_structs_have_their_names_on_the_wire() -> None:
    _, components = schema(Order)
    assert components["Order"]["properties"] == {
        "orderId": {"type": "integer", "minimum": 1},
        "placedAt": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}], "default": None},
    }


def test_typed_dicts_arrays_and_generics() -> None:
    _, components = schema(tuple[Place, Pair, PageOf[Place]])
    assert components["Place"]["properties"]["street"] == {"type": "string", "maxLength": 100}
    assert components["Pair"]["prefixItems"] == [{"type": "string", "format": "date-time"}, {"type": "integer", "maximum": 9}]
    assert components["PageOf_Place_"]["properties"]["items"] == {"type": "array", "items": {"$ref": "#/components/schemas/Place"}}


def test_labels_of_enums_are_told() -> None:
    _, components = schema(Colour)
    assert components["Colour"]["enum"] == [1, 2]
    assert components["Colour"]["description"] == "- `1`: Red\n- `2`: Deep green"


def test_two_classes_of_one_name_are_told_apart() -> None:
    schemas = Schemas()
    found = [schemas.add(kind) for kind in (Wish, other_wish())]
    components = schemas.finish()
    references = {one["$ref"].rpartition("/")[2] for one in found}
    assert len(references) == 2
    assert components[found[0]["$ref"].rpartition("/")[2]]["properties"]["sku"]["maxLength"] == 20
    assert components[found[1]["$ref"].rpartition("/")[2]]["properties"]["name"]["maxLength"] == 3


def test_classes_that_could_not_be_told_apart_are_alternatives() -> None:
    found, components = schema(Wish | Order | None)
    assert found == {"anyOf": [{"$ref": "#/components/schemas/Wish"}, {"$ref": "#/components/schemas/Order"}, {"type": "null"}]}
    assert components["Wish"]["properties"]["sku"]["maxLength"] == 20


def test_a_pydantic_model_tells_itself() -> None:
    found, components = schema(list[Model])
    assert found == {"type": "array", "items": {"$ref": "#/components/schemas/Model"}}
    assert components["Model"]["properties"] == {
        "fullName": {"maxLength": 5, "title": "Fullname", "type": "string"},
        "inner": {"$ref": "#/components/schemas/Inner"},
    }
    assert components["Inner"]["properties"] == {"size": {"$ref": "#/components/schemas/Size"}}
    assert components["Size"]["enum"] == ["small", "large"]


def test_a_named_schema_is_a_component() -> None:
    schemas = Schemas()
    assert schemas.named("place_body", {"type": "object", "properties": {"a": schemas.add(int)}}) == {
        "$ref": "#/components/schemas/place_body"
    }
    assert schemas.finish() == {"place_body": {"type": "object", "properties": {"a": {"type": "integer"}}}}
