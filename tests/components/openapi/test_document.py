from __future__ import annotations

from typing import Any

import pytest
from openapi_spec_validator import validate

from greenimi import get, http, post
from greenimi.components.openapi import operation
from greenimi.components.openapi.output import to_yaml
from greenimi.errors import StartError
from tests.components.openapi import everything
from tests.components.openapi.conftest import Describe


def test_a_document_of_everything_is_valid_and_lists_every_action(describe: Describe) -> None:
    document = describe(everything)
    validate(document)
    assert document["openapi"] == "3.1.0"
    found = {f"{method.upper()} {path}": operation for path, item in document["paths"].items() for method, operation in item.items()}
    assert sorted(found) == [
        "DELETE /orders/{number}",
        "GET /orders",
        "GET /orders/both",
        "GET /orders/{number}",
        "GET /people",
        "GET /people/open",
        "GET /things/{kind}/{key}",
        "GET /things/{kind}/{share}/{rest}",
        "PATCH /bodies/typed",
        "POST /bodies/bytes",
        "POST /bodies/files",
        "POST /bodies/form",
        "POST /bodies/person",
        "POST /bodies/stream",
        "POST /bodies/text",
        "POST /orders",
        "POST /orders/both",
        "PUT /orders/{number}",
    ]
    numbers = [operation["operationId"] for operation in found.values()]
    assert len(set(numbers)) == len(numbers)
    assert {"Orders_list", "Orders_both_get", "Orders_both_post", "people"} <= set(numbers)


def test_tags_are_controllers_with_their_docstrings(describe: Describe) -> None:
    tags = describe(everything)["tags"]
    assert tags[0] == {"name": "Orders", "description": "All about orders.  And of nothing else."}
    assert [tag["name"] for tag in tags] == ["Orders", "buying", "Bodies", "Things", "people"]


def test_templates_of_one_shape_share_a_path_and_its_names(describe: Describe) -> None:
    item = describe(everything)["paths"]["/orders/{number}"]
    assert set(item) == {"get", "put", "delete"}
    assert [parameter["name"] for parameter in item["put"]["parameters"]] == ["number"]


def test_what_a_document_cannot_tell_apart_is_one_operation(describe: Describe) -> None:
    operation = describe(everything)["paths"]["/things/{kind}/{key}"]["get"]
    assert operation["operationId"] == "Things_by_key"
    assert "Things.by_code`, answers what this one does not take." in operation["description"]
    assert "Things.by_number`, answers what this one does not take." in operation["description"]


def test_what_conf_says_of_the_api(describe: Describe) -> None:
    conf = {"title": "Shop", "version": "2.1", "description": "*Buy*.", "addresses": ["https://api.example.com/v2"]}
    document = describe(everything, conf=conf)
    assert document["info"] == {"title": "Shop", "version": "2.1", "description": "*Buy*."}
    assert document["servers"] == [{"url": "https://api.example.com/v2"}]


def test_marks_win_and_types_in_them_become_schemas(describe: Describe) -> None:
    operation = describe(everything)["paths"]["/people"]["get"]
    assert operation["tags"] == ["people"]
    assert operation["summary"] == "By hand"
    assert operation["parameters"] == [
        {"name": "page", "in": "query", "schema": {"type": "integer", "default": 1}, "description": "which", "example": 2}
    ]
    answers = operation["responses"]
    assert answers["401"] == {"description": "who are you?"}
    assert "400" not in answers
    assert answers["200"]["content"]["application/json"] == {
        "schema": {"type": "array", "items": {"$ref": "#/components/schemas/Wish"}},
        "example": [{"sku": "tea", "colour": "r", "pieces": 1}],
    }


def test_only_what_is_used_is_a_component(describe: Describe) -> None:
    @http
    class Small:
        @get("/small")
        def small(self) -> str:
            return ""

    document = describe(Small)
    assert list(document["components"]) == ["schemas", "responses"]
    assert list(document["components"]["schemas"]) == ["ProblemDetails"]
    assert list(document["components"]["responses"]) == ["BadRequest"]


def test_nothing_is_shared_so_yaml_needs_no_anchors(describe: Describe) -> None:
    text = to_yaml(describe(everything))
    assert b"&id" not in text
    assert b": *" not in text


def test_an_application_without_routes_has_a_document(describe: Describe) -> None:
    document = describe()
    validate(document)
    assert document["paths"] == {}


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ({"summary": 7}, "summary: expected a string, got 7"),
        ({"respones": {}}, "respones: there is no such field; did you mean responses?"),
        ({"responses": {"200": {"description": None}}}, "responses.200.description is missing"),
        ({"responses": {"2000": {"description": ""}}}, "responses.2000: expected a status"),
        ({"parameters": [{"name": "a", "in": "query"}]}, "parameters.0: expected schema or content"),
        ({"requestBody": {"content": {"a/b": {"schema": 3}}}}, "requestBody.content.a/b.schema: expected an object, got 3"),
        ({"summary": object()}, "unsupported"),
    ],
)
def test_a_mark_that_breaks_the_shape_is_named(describe: Describe, part: dict[str, Any], text: str) -> None:
    @http
    class Broken:
        @post("/broken")
        @operation(part)
        def broken(self) -> str:
            return ""

    with pytest.raises(StartError, match=r"test_document\.py:\d+: @operation: ") as caught:
        describe(Broken)
    assert text in str(caught.value)


def test_a_reference_to_nothing_is_named(describe: Describe) -> None:
    @http
    class Dangling:
        @get("/dangling")
        @operation(responses={"200": {"description": "", "content": {"a/b": {"schema": {"$ref": "#/components/schemas/No"}}}}})
        def dangling(self) -> str:
            return ""

    text = r"the server web: paths\./dangling\.get\.responses\.200\.content\.a/b\.schema: the document has no #/components/schemas/No"
    with pytest.raises(StartError, match=text):
        describe(Dangling)


def test_the_mark_needs_the_component_and_a_controller(describe: Describe) -> None:
    @operation(summary="lost")
    def lost() -> None: ...

    with pytest.raises(StartError, match=r"@operation on .*lost, which is not a method of a controller"):
        describe(lost)
