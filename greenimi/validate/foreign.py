"""pydantic models, driven without importing pydantic: a model brings all that is needed along."""

from __future__ import annotations

from typing import Any

from greenimi.validate.problems import BindError, Problem


def read(kind: Any, value: Any) -> Any:
    """``value`` as a model of ``kind``.  Raises BindError naming each bad field."""
    try:
        return kind.model_validate(value)
    except ValueError as error:
        raise BindError(_problems(error)) from None


def told(kind: Any, value: Any) -> Any:
    """The fields of a model of ``kind`` as JSON knows them, of a model, a mapping or an object with such attributes.

    Raises ValueError for a value that does not fit.
    """
    return kind.model_validate(value, from_attributes=True).model_dump(mode="json", by_alias=True)


def _problems(error: Any) -> list[Problem]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [Problem(".".join(map(str, each["loc"])), each["msg"], code=each["type"]) for each in found]
