from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from greenimi import Response, get, http, view
from greenimi.components.openapi.responses import PROBLEM, Views, answers, error_components, errors
from greenimi.components.openapi.schemas import Schemas
from greenimi.web.sse import Event, EventStream
from tests.components.openapi.conftest import Describe


@dataclass
class Wish:
    sku: str


@dataclass
class Order:
    number: int


WISH = {"$ref": "#/components/schemas/Wish"}
ORDER = {"$ref": "#/components/schemas/Order"}
TEXT = {"type": "string"}


def told(returns: Any, views: Views = Views()) -> dict[str, dict[str, Any]]:  # noqa: B008 - it never changes
    """The schemas of what is answered, by status and media type."""
    schemas = Schemas()
    found = answers(returns, schemas, "", views)
    schemas.finish()
    return {status: {kind: each["schema"] for kind, each in one.get("content", {}).items()} for status, one in found.items()}


@pytest.mark.parametrize(
    ("returns", "found"),
    [
        (type(None), {"204": {}}),
        (None, {"default": {}}),
        (Any, {"default": {}}),
        (object, {"default": {}}),
        (Response, {"default": {}}),
        (Iterable[str], {"default": {}}),
        (str, {"200": {"text/plain": TEXT}}),
        (bytes, {"200": {"application/octet-stream": {}}}),
        (Iterator[str], {"200": {"text/plain": TEXT}}),
        (Generator[bytes, None, None], {"200": {"text/plain": TEXT}}),
        (EventStream, {"200": {"text/event-stream": TEXT}}),
        (Wish, {"200": {"application/json": WISH}}),
        (list[Wish], {"200": {"application/json": {"type": "array", "items": WISH}}}),
        (Wish | None, {"200": {"application/json": WISH}, "204": {}}),
        (Wish | str, {"200": {"application/json": WISH, "text/plain": TEXT}}),
        (Wish | Response, {"200": {"application/json": WISH}, "default": {}}),
        (Wish | Order, {"200": {"application/json": {"anyOf": [WISH, ORDER]}}}),
    ],
)
def test_what_is_answered(returns: Any, found: dict[str, Any]) -> None:
    assert told(returns) == found


@pytest.mark.parametrize(
    ("returns", "views", "found"),
    [
        (Wish, Views(("json", "xml")), {"application/json": WISH, "application/xml": {}}),
        (str, Views(("json", "xml")), {"text/plain": TEXT}),
        (str, Views(("html",), every=True), {"text/html": TEXT}),
        (Wish, Views(("msgpack", "text"), every=True), {"application/vnd.msgpack": WISH, "text/plain": TEXT}),
        (Iterator[Event], Views(("events",), every=True), {"text/event-stream": TEXT}),
        (None, Views(("json",), every=True), {"application/json": {}}),
    ],
)
def test_views(returns: Any, views: Views, found: dict[str, Any]) -> None:
    assert told(returns, views) == {"200": found}


def test_views_of_marks_and_of_conf(describe: Describe) -> None:
    @http
    @view("xml")
    class Shown:
        @get("/here")
        @view("json", "xml")
        def here(self) -> dict[str, int]:
            """Shows it.

            :return: the thing
            """
            return {}

        @get("/there")
        def there(self) -> dict[str, int]:
            return {}

    @http
    class Plain:
        @get("/plain")
        def plain(self) -> Sequence[int]:
            return []

    paths = describe(Shown, Plain, web={"views": {"kinds": ["msgpack", "json"]}})["paths"]
    found = {path: list(item["get"]["responses"]["200"]["content"]) for path, item in paths.items()}
    assert found == {
        "/here": ["application/json", "application/xml"],
        "/there": ["application/xml"],
        "/plain": ["application/vnd.msgpack", "application/json"],
    }
    assert {path: "406" in item["get"]["responses"] for path, item in paths.items()} == {"/here": True, "/there": False, "/plain": True}
    assert paths["/here"]["get"]["responses"]["200"]["description"] == "the thing"


def test_errors_are_shared_and_told_as_problems() -> None:
    found = errors([422, 400])
    assert found == {"400": {"$ref": "#/components/responses/BadRequest"}, "422": {"$ref": "#/components/responses/UnprocessableContent"}}
    components = error_components({one["$ref"] for one in found.values()})
    assert sorted(components) == ["BadRequest", "UnprocessableContent"]
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    assert all(one["content"] == {"application/problem+json": {"schema": schema}} for one in components.values())
    assert PROBLEM["required"] == ["title", "status"]
