from __future__ import annotations

import builtins
import json
from typing import Any

import pytest
import yaml

from greenimi.components.openapi.output import has_yaml, read_yaml, to_json, to_yaml
from greenimi.errors import StartError

DOCUMENT = {"b": {"200": {"type": "string"}}, "a": ["yes", "1", "1.5", None, True, "ä", "2026-01-01", "- x: y\n  z", ""]}


def test_json_and_yaml_agree_and_keep_the_order() -> None:
    assert json.loads(to_json(DOCUMENT)) == yaml.safe_load(to_yaml(DOCUMENT)) == DOCUMENT
    assert list(json.loads(to_json(DOCUMENT))) == list(yaml.safe_load(to_yaml(DOCUMENT))) == ["b", "a"]


def test_yaml_that_cannot_be_read() -> None:
    assert read_yaml(b"a: [1, 2]") == {"a": [1, 2]}
    with pytest.raises(ValueError, match="line 1"):
        read_yaml(b"a: [1")
    with pytest.raises(ValueError, match="constructor"):
        read_yaml(b"a: !!python/object/apply:os.getcwd []")


def test_without_pyyaml_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def imports(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "yaml":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    assert has_yaml()
    monkeypatch.setattr(builtins, "__import__", imports)
    assert not has_yaml()
    for call in (lambda: to_yaml({}), lambda: read_yaml(b"")):
        with pytest.raises(StartError, match="YAML needs PyYAML") as caught:
            call()
        assert caught.value.hint == 'pip install "greenimi[openapi]"'
