from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenimi import get, http
from greenimi.components.openapi.parts import Part
from greenimi.errors import ConfigError, StartError
from tests.components.openapi.conftest import Describe

JSON = '{"info": {"title": "By hand"}, "paths": {"/more": {"get": {"responses": {"200": {"description": "more"}}}}}}'
YAML = """
info: {title: By hand}
paths:
  /more:
    get:
      responses:
        200: {description: more}
"""


@http
class Shop:
    @get("/tea")
    def tea(self) -> dict[str, int]:
        """Sells tea."""
        return {}


@pytest.mark.parametrize(("name", "text"), [("api.json", JSON), ("api.yaml", YAML), ("api.yml", YAML)])
def test_a_file_wins(describe: Describe, tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    document = describe(Shop, conf={"files": {"web": str(file)}})
    assert document["info"] == {"title": "By hand", "version": "0.1.0"}
    assert document["paths"]["/more"]["get"] == {"responses": {"200": {"description": "more"}}}
    assert document["paths"]["/tea"]["get"]["summary"] == "Sells tea"


def test_a_file_may_take_out_all_paths(describe: Describe, tmp_path: Path) -> None:
    file = tmp_path / "api.yaml"
    file.write_text("paths: null\ntags: null")
    assert list(describe(Shop, conf={"files": {"web": str(file)}})) == ["openapi", "info", "components"]


def test_a_file_changes_what_is_generated(describe: Describe, tmp_path: Path) -> None:
    file = tmp_path / "api.yaml"
    file.write_text(
        """
paths:
  /tea:
    get:
      summary: Tea, now
      responses:
        "200": {content: {application/json: {example: {pieces: 3}}}}
        "503": {$ref: "#/components/responses/Closed"}
components:
  responses:
    Closed: {description: not before noon}
tags:
  - {name: Shop, description: the shop}
"""
    )
    document = describe(Shop, conf={"files": {"web": str(file)}})
    operation = document["paths"]["/tea"]["get"]
    assert operation["summary"] == "Tea, now"
    assert operation["operationId"] == "Shop_tea"
    assert operation["responses"]["200"]["content"]["application/json"]["example"] == {"pieces": 3}
    assert operation["responses"]["200"]["content"]["application/json"]["schema"]["type"] == "object"
    assert document["components"]["responses"]["Closed"] == {"description": "not before noon"}
    assert "BadRequest" in document["components"]["responses"]
    assert document["tags"] == [{"name": "Shop", "description": "the shop"}]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("paths: {/tea: {get: {responses: []}}}", "paths./tea.get.responses: expected an object, got a list"),
        ("paths: {tea: {}}", "paths.tea: a path begins with /"),
        ("openapi: 3", "openapi: expected a string, got 3"),
        ("openapi: null", "openapi is missing"),
        ("- 1", ": expected an object, got a list"),
        ("pathes: {}", "pathes: there is no such field; did you mean paths?"),
    ],
)
def test_a_file_that_breaks_the_shape_is_named(describe: Describe, tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "api.yaml"
    file.write_text(text)
    with pytest.raises(StartError) as caught:
        describe(Shop, conf={"files": {"web": str(file)}})
    assert str(caught.value).startswith(f"{file}: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize(("name", "text"), [("api.json", "{"), ("api.yaml", "a: ["), ("nothing.yaml", None)])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, text: str | None) -> None:
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        Part.from_file(file)
    assert str(caught.value).startswith(f"{file}: ")


def test_what_means_nothing_in_a_document_is_named() -> None:
    part: Any = Part("shop.py:3: @operation", {"example": object()})
    with pytest.raises(StartError, match=r"shop\.py:3: @operation: .*unsupported"):
        part.resolved(None)
