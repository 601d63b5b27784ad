"""Tables of the configuration as frozen dataclasses, strictly: an unknown key is an error with a suggestion."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Iterable
from dataclasses import MISSING, field, is_dataclass
from typing import Any, TypeVar

from greenimi import validate
from greenimi.errors import ConfigError

T = TypeVar("T")
DOC = "doc"


def option(default: Any = MISSING, doc: str = "") -> Any:
    """A field of a settings dataclass with its one sentence, shown in ``conf/reference.toml``.  Without a default the key is required.

    A list, dict or set as the default is copied for each object.
    """
    metadata = {DOC: doc}
    if isinstance(default, list | dict | set):
        return field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def bind(kind: type[T], value: Any, path: str, place: Callable[[str], str], known: dict[Any, validate.Binder] | None = None) -> T:
    """``value`` as a ``kind``.  ``place(path)`` says where a value was set: ``conf/app.toml:12``; ``""`` for nowhere.

    ``known`` keeps what was made of a kind for the next time: of settings with many tables that is most of the work.
    Raises ConfigError with a line for each problem; TypeError when ``kind`` is a dataclass that is not frozen.
    """
    if is_dataclass(kind) and not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise TypeError(f"{kind.__name__} must be a frozen dataclass to hold settings")
    binders = {} if known is None else known
    if kind not in binders:
        binders[kind] = validate.binder(kind)
    try:
        return binders[kind](value, path, False)  # type: ignore[no-any-return]
    except validate.BindError as error:
        raise ConfigError("\n".join(_line(problem, place) for problem in error.problems)) from None


def _line(problem: validate.Problem, place: Callable[[str], str]) -> str:
    where = place(problem.path)
    prefix = f"{where}: " if where else ""
    if not problem.unknown:
        return f"{prefix}{problem}"
    table = problem.path[: -len(problem.unknown) - 1]
    return f"{prefix}unknown key {problem.unknown} in [{table}]{did_you_mean(problem.unknown, problem.known)}"


def did_you_mean(name: str, known: Iterable[str], form: str = "{}") -> str:
    """``"; did you mean driver?"`` where one of the ``known`` is close."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {form.format(close[0])}?" if close else ""
