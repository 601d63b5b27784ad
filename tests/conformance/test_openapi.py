"""The documents of the examples, judged by others."""

from __future__ import annotations

from pathlib import Path

from tests.conformance import openapi


def test_all_documents_are_valid(tmp_path: Path) -> None:
    assert openapi.run(tmp_path) == 0
    assert sorted(file.name for file in (tmp_path / "openapi").iterdir() if file.suffix != ".toml") == [
        "everything.json",
        "everything.yaml",
        "shop.json",
        "shop.yaml",
    ]


def test_a_document_that_is_not_valid_is_found(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"openapi": "3.1.0", "info": {"title": "shop"}, "paths": {}}')
    assert not openapi.is_valid(tmp_path / "bad.json")
