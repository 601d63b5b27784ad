"""HTTP paths: templates, and the tree that finds the route of a path.

At every segment a literal is tried before a placeholder with a type or pattern, that before a plain one, that before ``{rest:path}``; among
equals the order of declaration decides.  A path that exists under another method is told apart from one that does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, TypeVar
from uuid import UUID

from greenimi.errors import StartError

R = TypeVar("R")

_PLACEHOLDER = re.compile(r"\{(?P<name>[A-Za-z_]\w*)(?::(?P<rule>(?:[^{}]|\{[^{}]*\})+))?\}")

_CONVERTERS: dict[str, tuple[str, Callable[[str], Any] | None]] = {
    "str": (r"[^/]+", None),
    "int": (r"-?[0-9]{1,18}", int),
    "float": (r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?", float),
    "uuid": (r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}", UUID),
    "path": (r".+", None),
}


Converter = Callable[[str], Any] | None


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of a template between slashes."""

    literal: str | None
    names: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None  # its groups are called _0, _1, ...; None with one name: any non-empty text
    converters: tuple[Converter, ...] = ()
    rest: bool = False  # takes all the remaining segments
    shape: str = ""  # equal for two segments that match the same texts, whatever their placeholders are called


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed path template, such as ``/orders/{order_id:int}/lines/{a}-{b}``."""

    text: str
    segments: tuple[Segment, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for segment in self.segments for name in segment.names)

    @property
    def converters(self) -> tuple[Converter, ...]:
        return tuple(converter for segment in self.segments for converter in segment.converters)

    @property
    def shape(self) -> str:
        return "/" + "/".join(segment.shape for segment in self.segments)


def parse_template(text: str) -> Template:
    """Parse ``text``.  Raises StartError naming the template and what is wrong with it."""
    if not text.startswith("/"):
        raise StartError(f"the path {text!r} does not start with /")
    pieces = _split(text[1:])
    segments = tuple(_segment(text, piece, last=number == len(pieces) - 1) for number, piece in enumerate(pieces))
    template = Template(text, segments)
    names = template.names
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise StartError(f"the path {text!r} uses the placeholder {sorted(doubled)[0]!r} twice")
    return template


def _split(text: str) -> list[str]:
    """Split at slashes outside of placeholders."""
    pieces = [""]
    depth = 0
    for char in text:
        depth += (char == "{") - (char == "}")
        if char == "/" and not depth:
            pieces.append("")
        else:
            pieces[-1] += char
    return pieces


def _segment(template: str, text: str, *, last: bool) -> Segment:
    found = list(_PLACEHOLDER.finditer(text))
    if not found:
        if "{" in text or "}" in text:
            hint = "write {name}, {name:int} or {name:[a-z]+}"
            raise StartError(f"the path {template!r} has an unreadable placeholder in {text!r}", hint=hint)
        return Segment(text, shape=text)
    names, converters, pattern = [], [], ""
    position = 0
    plain = rest = False
    for number, match in enumerate(found):
        rule = match["rule"] or "str"
        expression, converter = _CONVERTERS.get(rule, (rule, None))
        try:
            re.compile(expression)
        except re.error as error:
            raise StartError(f"the path {template!r}: {rule!r} is neither a type nor a regular expression ({error})") from None
        pattern += _literal(template, text[position : match.start()]) + f"(?P<_{number}>{expression})"
        position = match.end()
        names.append(match["name"])
        converters.append(converter)
        plain = rule == "str"
        rest = rest or rule == "path"
    pattern += _literal(template, text[position:])
    whole = len(found) == 1 and found[0].group() == text
    if rest and not (last and whole):
        raise StartError(f"the path {template!r}: {{name:path}} must be the last segment, alone")
    compiled = None if whole and (plain or rest) else re.compile(pattern)
    shape = _PLACEHOLDER.sub(lambda match: "{}" if match["rule"] in (None, "str") else f"{{{match['rule']}}}", text)
    return Segment(None, tuple(names), compiled, tuple(converters), rest, shape)


def _literal(template: str, text: str) -> str:
    """The text between placeholders, for a pattern."""
    if "{" in text or "}" in text:
        hint = "write {name}, {name:int} or {name:[a-z]+}"
        raise StartError(f"the path {template!r} has an unreadable placeholder in {text!r}", hint=hint)
    return re.escape(text)


class _Node(Generic[R]):
    """One place in the tree.  ``leaf`` has, by method, the route and the names and converters of its placeholders."""

    __slots__ = ("leaf", "literals", "patterns", "plain", "rest")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[R]] = {}
        self.patterns: list[tuple[re.Pattern[str], int, _Node[R]]] = []
        self.plain: _Node[R] | None = None
        self.rest: _Node[R] | None = None
        self.leaf: dict[str, tuple[R, tuple[tuple[str, Converter], ...]]] = {}


_NO_PARAMS: Mapping[str, Any] = MappingProxyType({})


class PathRouter(Generic[R]):
    """Finds the route of a method and a path.  Filled at start, read-only afterwards."""

    __slots__ = ("_root", "_static", "all_methods")

    def __init__(self) -> None:
        self.all_methods: set[str] = set()  # of any template
        self._root: _Node[R] = _Node()
        self._static: dict[tuple[str, str], R] = {}

    def add(self, template: Template, method: str, route: R) -> None:
        self.all_methods.add(method)
        node = self._root
        for segment in template.segments:
            node = self._child(node, segment)
        node.leaf[method] = (route, tuple(zip(template.names, template.converters, strict=True)))
        if not template.names:
            self._static[method, template.text] = route

    @staticmethod
    def _child(node: _Node[R], segment: Segment) -> _Node[R]:
        if segment.literal is not None:
            return node.literals.setdefault(segment.literal, _Node())
        if segment.rest:
            node.rest = node.rest or _Node()
            return node.rest
        if segment.pattern is None:
            node.plain = node.plain or _Node()
            return node.plain
        for pattern, _, child in node.patterns:
            if pattern.pattern == segment.pattern.pattern:
                return child
        child = _Node()
        node.patterns.append((segment.pattern, len(segment.names), child))
        return child

    def find(self, method: str, path: str) -> tuple[R, Mapping[str, Any]] | None:
        """The route and its placeholders' values; None when no template matches, or none has this method."""
        route = self._static.get((method, path))
        if route is not None:
            return route, _NO_PARAMS
        values: list[str] = []
        node = self._walk(self._root, path.split("/"), 1, method, values)
        if node is None:
            return None
        route, placeholders = node.leaf[method]
        params = {}
        for (name, convert), value in zip(placeholders, values, strict=True):
            params[name] = value if convert is None else convert(value)
        return route, params

    def _walk(self, node: _Node[R], parts: list[str], at: int, method: str, values: list[str]) -> _Node[R] | None:
        """The node where the path ends and that has the method; ``values`` gets the texts of the placeholders on the way."""
        if at == len(parts):
            return node if method in node.leaf else None
        part = parts[at]
        mark = len(values)
        child = node.literals.get(part)
        if child is not None and (end := self._walk(child, parts, at + 1, method, values)) is not None:
            return end
        for pattern, groups, child in node.patterns:
            match = pattern.fullmatch(part)
            if match is not None:
                values += [match[f"_{number}"] for number in range(groups)]
                if (end := self._walk(child, parts, at + 1, method, values)) is not None:
                    return end
                del values[mark:]
        if part and node.plain is not None:
            values.append(part)
            if (end := self._walk(node.plain, parts, at + 1, method, values)) is not None:
                return end
            del values[mark:]
        if node.rest is not None and method in node.rest.leaf:
            values.append("/".join(parts[at:]))
            return node.rest
        return None

    def methods(self, path: str) -> set[str]:
        """Every method that some template has for this path.  Empty: there is nothing at the path."""
        return {method for method in self.all_methods if self.find(method, path) is not None}
