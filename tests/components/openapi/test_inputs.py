from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import pytest

from greenimi import get, http, patch, post, put
from greenimi.validate import rules
from greenimi.web import Field, FromSession, UploadedFile
from tests.components.openapi import everything
from tests.components.openapi.conftest import Describe

PATTERN = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


@pytest.fixture
def everywhere(describe: Describe) -> Any:
    return describe(everything)


def test_parameters_say_where_they_stand_and_what_they_take(everywhere: Any) -> None:
    assert everywhere["paths"]["/orders"]["get"]["parameters"] == [
        {
            "name": "page-size",
            "in": "query",
            "description": "how many at most",
            "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10, "description": "how many at most"},
        },
        {
            "name": "colours",
            "in": "query",
            "description": "only of these",
            "schema": {"type": "array", "items": {"$ref": "#/components/schemas/Colour"}, "default": []},
        },
        {"name": "since", "in": "query", "schema": {"type": "string", "format": "date-time"}},
        {"name": "price", "in": "query", "schema": {"type": "string", "format": "decimal", "pattern": PATTERN}},
        {"name": "order", "in": "query", "schema": {"enum": ["down", "up"], "default": "up"}},
        {"name": "X-Token", "in": "header", "schema": {"type": "string"}},
        {"name": "seen", "in": "cookie", "schema": {"type": "boolean", "default": False}},
    ]


@pytest.mark.parametrize(
    ("rule", "kind", "schema"),
    [
        ("", str, {"type": "string"}),
        ("", int, {"type": "integer"}),
        ("", Any, {"type": "string"}),
        (":int", int, {"type": "integer", "minimum": -(10**18 - 1), "maximum": 10**18 - 1}),
        (":int", Any, {"type": "integer", "minimum": -(10**18 - 1), "maximum": 10**18 - 1}),
        (":int", str, {"type": "string", "pattern": "^-?[0-9]{1,18}$"}),
        (":int", Annotated[int, rules.Integer(min=5)], {"type": "integer", "minimum": 5, "maximum": 10**18 - 1}),
        (":float", float, {"type": "number", "minimum": -(10**18 - 1), "maximum": 10**18 - 1}),
        (":uuid", str, {"type": "string", "format": "uuid"}),
        (":path", str, {"type": "string"}),
        (":[a-z]+", str, {"type": "string", "pattern": "^(?:[a-z]+)$"}),
        (":(?i:a)", str, {"type": "string"}),
        (":[0-9]{4}", int, {"type": "integer"}),
    ],
)
def test_placeholders(describe: Describe, rule: str, kind: Any, schema: dict[str, Any]) -> None:
    @http
    class Paths:
        @get(f"/{{key{rule}}}")
        def show(self, key: kind) -> str:
            return ""

    Paths.show.__annotations__["key"] = kind
    (operation,) = (item["get"] for item in describe(Paths)["paths"].values())
    assert operation["parameters"] == [{"name": "key", "in": "path", "required": True, "schema": schema}]
    assert {"400", "404", "422"} <= operation["responses"].keys()


def body(document: Any, path: str, method: str = "post") -> tuple[list[str], Any]:
    """The media types of a body and the schema behind its first."""
    found = document["paths"][path][method]["requestBody"]["content"]
    schema = next(iter(found.values())).get("schema")
    assert all(each.get("schema") == schema for each in found.values())
    if schema and schema.get("$ref", "").endswith("_body"):
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return list(found), schema


@pytest.mark.parametrize(
    ("path", "kinds", "schema"),
    [
        ("/orders", ["application/json"], {"$ref": "#/components/schemas/Wish"}),
        ("/bodies/person", ["application/json"], {"$ref": "#/components/schemas/Person"}),
        ("/bodies/text", ["text/plain"], {"type": "string", "minLength": 1}),
        ("/bodies/bytes", ["application/octet-stream"], {}),
        ("/bodies/stream", ["application/octet-stream"], {}),
    ],
)
def test_whole_bodies(everywhere: Any, path: str, kinds: list[str], schema: Any) -> None:
    assert body(everywhere, path) == (kinds, schema)


def test_fields_of_bodies(everywhere: Any) -> None:
    kinds, schema = body(everywhere, "/orders/{number}", "put")
    assert kinds == ["application/json"]
    assert schema == {
        "type": "object",
        "properties": {
            "pieces": {"type": "integer"},
            "note": {"type": "string", "default": "", "description": "a few words"},
            "to": {"type": "object", "properties": {"city": {"type": "string", "default": ""}}},
        },
        "required": ["pieces"],
    }
    assert everywhere["paths"]["/orders/{number}"]["put"]["requestBody"]["required"]
    assert body(everywhere, "/bodies/typed", "patch")[0] == ["application/json", "application/msgpack"]


def test_forms_and_files(everywhere: Any) -> None:
    kinds, schema = body(everywhere, "/bodies/form")
    assert kinds == ["application/x-www-form-urlencoded", "multipart/form-data"]
    assert schema["properties"] == {"name": {"type": "string"}, "years": {"type": "integer", "default": 0}}
    kinds, schema = body(everywhere, "/bodies/files")
    assert kinds == ["multipart/form-data"]
    one = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
    assert schema["properties"] == {
        "picture": one,
        "others": {"type": "array", "items": one, "minItems": 1},
        "title": {"type": "string", "default": ""},
    }
    assert schema["required"] == ["picture", "others"]


def test_fields_that_a_form_can_tell_may_come_as_one(describe: Describe) -> None:
    @http
    class Flat:
        @post("/flat")
        def flat(self, name: str, sizes: list[int], when: dt.date | None = None) -> None: ...

        @put("/optional")
        def optional(self, name: str = "") -> None: ...

        @patch("/deep")
        def deep(self, name: Annotated[str, Field("a.b")], other: Annotated[int, Field("a.c")]) -> None: ...

        @post("/file")
        def file(self, picture: UploadedFile | None = None) -> None: ...

    document = describe(Flat)
    assert body(document, "/flat")[0] == ["application/json", "application/x-www-form-urlencoded"]
    assert "required" not in document["paths"]["/optional"]["put"]["requestBody"]
    kinds, schema = body(document, "/deep", "patch")
    assert kinds == ["application/json"]
    assert schema["required"] == ["a"]
    assert schema["properties"]["a"]["required"] == ["b", "c"]
    assert body(document, "/file")[1]["properties"]["picture"]["format"] == "binary"
    assert {"413", "415"} <= document["paths"]["/flat"]["post"]["responses"].keys()


def test_what_no_client_sends_is_no_parameter(describe: Describe) -> None:
    @http
    class Inside:
        @get("/inside")
        def inside(self, cart: Annotated[str, FromSession("cart")] = "") -> str:
            return cart

    operation = describe(Inside)["paths"]["/inside"]["get"]
    assert "parameters" not in operation


def test_conditions_that_a_client_must_meet_are_parameters(describe: Describe) -> None:
    @http
    class Asking:
        @get("/asking", header=("X-Version=2", "!X-Old"), query={"key": "[a-z]+"}, domain="{tenant}.example.org")
        def asking(self, tenant: str, key: str) -> str:
            return key

        @get("/asking")
        def other(self, key: str = "") -> str:
            return key

        @get("/only", header=("X-Version=2", "X-There", {"X-Like": "[0-9]+"}))
        def only(self) -> str:
            return ""

    document = describe(Asking)
    assert document["paths"]["/asking"]["get"]["operationId"] == "Asking_other"
    assert document["paths"]["/only"]["get"]["parameters"] == [
        {"name": "x-version", "in": "header", "required": True, "schema": {"type": "string", "const": "2"}},
        {"name": "x-there", "in": "header", "required": True, "schema": {"type": "string"}},
        {"name": "x-like", "in": "header", "required": True, "schema": {"type": "string", "pattern": "^(?:[0-9]+)$"}},
    ]
