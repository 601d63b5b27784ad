from __future__ import annotations

from typing import Any

import pytest

from greenimi.components.openapi.shape import OBJECTS, dangling, doubled, problems

WHOLE: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "shop", "version": "1", "x-own": 1},
    "servers": [{"url": "/"}],
    "paths": {
        "/orders/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {
                "tags": ["orders"],
                "security": [{"key": []}],
                "responses": {"200": {"$ref": "#/components/responses/Order"}, "4XX": {"description": ""}, "default": {"description": ""}},
            },
        },
        "x-own": None,
    },
    "components": {
        "schemas": {"Order": {"type": ["object", "null"], "properties": {"id": True}, "x-own": 1, "oddity": 1}},
        "responses": {"Order": {"description": "one", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}}},
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}},
    },
}


def test_a_whole_document_is_right() -> None:
    assert list(problems(WHOLE)) == []
    assert list(dangling(WHOLE)) == []


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("OpenAPI", {"openapi": "3.1.0"}, "info is missing"),
        ("OpenAPI", [], ": expected an object, got a list"),
        ("OpenAPI", {**WHOLE, "paths": {"orders": {}}}, "paths.orders: a path begins with /"),
        ("OpenAPI", {**WHOLE, "tags": [{}]}, "tags.0.name is missing"),
        ("PathItem", {"gett": {}}, "gett: there is no such field; did you mean get?"),
        ("Operation", {"summary": 1}, "summary: expected a string, got 1"),
        ("Operation", {"deprecated": "yes"}, "deprecated: expected true or false, got 'yes'"),
        ("Operation", {"tags": "orders"}, "tags: expected a list, got 'orders'"),
        ("Operation", {"responses": {"200": {}}}, "responses.200.description is missing"),
        ("Operation", {"responses": {"ok": {"description": ""}}}, "responses.ok: expected a status such as 200, 4XX or default"),
        ("Operation", {"responses": []}, "responses: expected an object, got a list"),
        ("Operation", {"parameters": [{"name": "a", "in": "body", "schema": {}}]}, "parameters.0.in: expected one of query, header"),
        ("Operation", {"parameters": [{"name": "a", "in": "path", "schema": {}}]}, "parameters.0.required: what is in the path is"),
        ("Operation", {"parameters": [{"name": "a", "in": "query"}]}, "parameters.0: expected schema or content, one of the two"),
        ("Operation", {"requestBody": {"content": {"text/plain": {"schema": {"minimum": "1"}}}}}, "schema.minimum: expected a number"),
        ("Operation", {"requestBody": {"$ref": 1}}, "requestBody.$ref: expected a string, got 1"),
        ("Schema", {"properties": {"a": {"items": {"enum": 1}}}}, "properties.a.items.enum: expected a list, got 1"),
        ("Schema", {"maxLength": True}, "maxLength: expected a number, got True"),
        ("Schema", {"title": None}, "title: expected a string, got null"),
        ("SecurityScheme", {"type": "basic"}, "type: expected one of apiKey, http"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(kind: str, value: Any, text: str) -> None:
    found = list(problems(value, kind))
    assert len(found) == 1, found
    assert text in found[0]


@pytest.mark.parametrize("value", [True, {}, {"anything": 1}, {"$ref": "#/x", "description": "y"}])
def test_schemas_are_open(value: Any) -> None:
    assert list(problems(value, "Schema")) == []


def test_every_kind_that_is_named_exists() -> None:
    words = {inner.strip("[]{}") for fields in OBJECTS.values() for inner in fields.values()}
    assert words <= OBJECTS.keys() | {"string", "boolean", "number", "any"}


def test_references_to_nothing_are_found() -> None:
    document = {
        "paths": {"/a": {"get": {"responses": {"200": {"$ref": "#/components/responses/No"}}}}},
        "components": {"examples": {"a": {"value": 1}}, "schemas": {"a/b~c": {}, "d": {"$ref": "#/components/schemas/a~1b~0c"}}},
        "list": [{"$ref": "https://example.com/other.json#/a"}, {"$ref": "#/components/x"}],
        "example": {"$ref": "#/not/a/reference"},
    }
    assert list(dangling(document)) == [
        "paths./a.get.responses.200: the document has no #/components/responses/No",
        "list.1: the document has no #/components/x",
    ]


def test_operations_of_one_id_are_found() -> None:
    paths = {"/a": {"get": {"operationId": "a"}, "post": {"operationId": "b"}}, "/b": {"parameters": [], "get": {"operationId": "a"}}}
    assert list(doubled({"paths": paths})) == ["paths./b.get.operationId: a is that of paths./a.get"]
