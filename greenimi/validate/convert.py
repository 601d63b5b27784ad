"""From decoded or textual values to declared types: msgspec does it; where it refuses, every bad field is looked for.

The good case costs a call of msgspec and, for types that carry rules, their check.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any

import msgspec

from greenimi.validate import foreign
from greenimi.validate.checks import Check, check_of, join
from greenimi.validate.defaults import Fill, filler_of
from greenimi.validate.problems import MOST_PROBLEMS, BindError, Problem, refusal
from greenimi.validate.shapes import Shape, reaches, shape_of
from greenimi.validate.texts import sent_as

_MOST_LOOKS = 10_000
_PLACE = re.compile(r" - at `(?:key` in `)?\$?(.*)`$", re.DOTALL)


def ensure_convertible(annotation: Any) -> None:
    """Raises TypeError, naming the class, for a type that no value can be converted to."""
    msgspec.inspect.type_info(annotation)  # what msgspec itself refuses, such as two records in a union
    reaches(annotation, _ensure)
    check_of(annotation)


def _ensure(shape: Shape) -> bool:
    if shape.form == "value" and shape.bare is not object:
        info = msgspec.inspect.type_info(shape.bare)
        if isinstance(info, msgspec.inspect.CustomType):
            raise TypeError(f"{shape.bare!r} is no data")
    return False


class Converter:
    """Converts values to ``annotation``.

    ``text``: they came as text, so that ``"3"`` is an int, and a value may be the list of all that were sent under one name: a collection
    takes them all, everything else the last.  ``path`` and ``source`` are what errors call the value and the place it came from.

    Raises BindError with every bad field, or what a broken rule wants raised.
    """

    __slots__ = ("_annotation", "_finish", "_path", "_sent", "_source", "_strict")

    def __init__(self, annotation: Any, *, text: bool = False, path: str = "", source: str = "") -> None:
        self._annotation = annotation
        self._strict = not text
        self._path = path
        self._source = source
        self._finish = self._finisher(filler_of(annotation), check_of(annotation))
        self._sent = sent_as(annotation) if text else None

    def __call__(self, value: Any) -> Any:
        if self._sent is not None:
            value = self._sent(value)
        try:
            found = msgspec.convert(value, self._annotation, strict=self._strict, str_keys=True, dec_hook=_foreign)
        except (msgspec.ValidationError, RecursionError) as error:
            raise self._refusal(explain(value, self._annotation, error, path=self._path, strict=self._strict)) from None
        return found if self._finish is None else self._finish(found)

    def json_decoder(self) -> Callable[[bytes], Any]:
        """From bytes of JSON at once.  Raises what msgspec raises where JSON or type are wrong; then decode, and convert to be told why."""
        decode = msgspec.json.Decoder(self._annotation, dec_hook=_foreign).decode
        finish = self._finish
        return decode if finish is None else lambda raw: finish(decode(raw))

    def _finisher(self, fill: Fill | None, check: Check | None) -> Callable[[Any], Any] | None:
        """What is left to do when msgspec made a value; None for most types."""
        if fill is None and check is None:
            return None

        def finish(found: Any) -> Any:
            if fill is not None:
                fill(found)
            if check is not None:
                problems: list[Problem] = []
                check(found, self._path, problems, found)
                if problems:
                    raise self._refusal(problems)
            return found

        return finish

    def _refusal(self, problems: list[Problem]) -> Exception:
        return refusal([replace(each, source=self._source) for each in problems])


def _foreign(kind: Any, value: Any) -> Any:
    """What msgspec leaves to others: models of pydantic, and `object`, which is anything."""
    return value if kind is object else kind.model_validate(value)


# -- where msgspec refused ----------------------------------------------------------------------------------------------


def explain(value: Any, annotation: Any, error: Exception, *, path: str, strict: bool) -> list[Problem]:
    """What is wrong with ``value``, at most 50 problems; ``error`` is what msgspec said, of the first.

    Takes a bounded time: of a value with tens of thousands of parts only the first are looked at.
    """
    search = _Search(strict)
    try:
        search.look(value, annotation, path)
    except RecursionError:
        return [Problem(path, "nested too deeply")]
    return search.problems or [_as_told(error, path)]


def _as_told(error: Exception, path: str) -> Problem:
    """What msgspec said, with the place in our words: ``$.lines[0].sku`` is ``lines.0.sku``."""
    if isinstance(error, RecursionError):
        return Problem(path, "nested too deeply")
    text = str(error)
    found = _PLACE.search(text)
    if found is None:
        return Problem(path, text)
    inner = found[1].replace("[...]", "").replace("[", ".").replace("]", "").strip(".")
    return Problem(join(path, inner) if inner else path, text[: found.start()])


class _Search:
    """Goes through a value field by field, and has msgspec convert what has no fields of its own."""

    def __init__(self, strict: bool) -> None:
        self.problems: list[Problem] = []
        self._strict = strict
        self._left = _MOST_LOOKS
        self._shapes: dict[int, tuple[Shape, Check | None]] = {}  # by the id of an annotation, which need not have a hash

    def look(self, value: Any, annotation: Any, path: str) -> None:
        self._left -= 1
        shape, check = self._known(annotation)
        if shape.form == "union" and value is not None:
            named = [part for part in shape.parts if part is not type(None)]
            if len(named) == 1:  # of "X or null" it is X that names the part that is wrong
                annotation = named[0]
                shape, check = self._known(annotation)
        if shape.form == "record" and isinstance(value, Mapping):
            self._record(value, shape, path)
        elif shape.form == "list" and isinstance(value, list | tuple | set | frozenset):
            self._whole(value, shape, list, path)
            self._each(((join(path, number), item) for number, item in enumerate(value)), shape.parts[0])
        elif shape.form == "map" and isinstance(value, Mapping):
            self._whole(value, shape, dict, path)
            self._each(((join(path, str(key)[:100]), key) for key in value), shape.parts[0], strict=False)
            self._each(((join(path, str(key)[:100]), item) for key, item in value.items()), shape.parts[1])
        elif shape.form == "foreign":
            self._model(value, shape, path)
        else:
            self._leaf(value, annotation, check, path)

    def _known(self, annotation: Any) -> tuple[Shape, Check | None]:
        known = self._shapes.get(id(annotation))
        if known is None:
            known = self._shapes[id(annotation)] = shape_of(annotation), check_of(annotation)
        return known

    def _done(self) -> bool:
        return self._left <= 0 or len(self.problems) >= MOST_PROBLEMS

    def _record(self, value: Mapping[Any, Any], shape: Shape, path: str) -> None:
        for field in shape.fields:
            if self._done():
                return
            if field.key in value:
                self.look(value[field.key], field.annotation, join(path, field.key))
            elif field.required:
                self.problems.append(Problem(join(path, field.key), "is missing", code="missing"))
        config = getattr(shape.bare, "__struct_config__", None)
        if config is not None and config.forbid_unknown_fields:
            known = {field.key for field in shape.fields} | {config.tag_field}
            unknown = [key for key in value if key not in known][:MOST_PROBLEMS]
            self.problems += [Problem(join(path, str(key)[:100]), "is not known here", code="unknown") for key in unknown]

    def _each(self, items: Iterable[tuple[str, Any]], annotation: Any, strict: bool | None = None) -> None:
        before, self._strict = self._strict, self._strict if strict is None else strict
        for path, item in items:
            if self._done():
                break
            self.look(item, annotation, path)
        self._strict = before

    def _whole(self, value: Any, shape: Shape, kind: Any, path: str) -> None:
        """The bounds of a list or a map as such."""
        for bound in shape.metadata:
            if isinstance(bound, msgspec.Meta):
                self._leaf(value, Annotated[kind, bound], None, path)

    def _model(self, value: Any, shape: Shape, path: str) -> None:
        try:
            foreign.read(shape.bare, value)
        except BindError as error:
            self.problems += [replace(each, path=join(path, each.path) if each.path else path) for each in error.problems]

    def _leaf(self, value: Any, annotation: Any, check: Check | None, path: str) -> None:
        try:
            found = msgspec.convert(value, annotation, strict=self._strict, str_keys=True, dec_hook=_foreign)
        except msgspec.ValidationError as error:
            self.problems.append(_as_told(error, path))
            return
        if check is not None:
            check(found, path, self.problems, None)  # what is beside it may be wrong itself: rules that look there are not asked
