"""Documents as JSON and YAML."""

from __future__ import annotations

from typing import Any

import msgspec

from greenimi.errors import StartError


def to_json(document: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def to_yaml(document: Any) -> bytes:
    """Raises StartError without PyYAML."""
    text: str = _yaml().safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    return text.encode()


def read_yaml(data: bytes) -> Any:
    """Raises ValueError for what is no YAML, StartError without PyYAML."""
    yaml = _yaml()
    try:
        return yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def has_yaml() -> bool:
    try:
        _yaml()
    except StartError:
        return False
    return True


def _yaml() -> Any:
    try:
        import yaml
    except ImportError:
        raise StartError("YAML needs PyYAML", hint='pip install "greenimi[openapi]"') from None
    return yaml
