"""HTTP paths: templates, and the tree that finds the route of a path.

At every segment a literal is tried before a placeholder with a type or pattern, that before a plain one, that before ``{rest:path}``; among
equals the order of declaration decides.  A path that exists under another method is told apart from one that does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of a template between slashes."""

    literal: str | None
    names: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None  # None with one name: any non-empty text
    converters: tuple[Callable[[str], Any] | None, ...] = ()
    rest: bool = False  # takes all the remaining segments

    @property
    def shape(self) -> str:
        """Equal for two segments that match the same texts, whatever their placeholders are called."""
        if self.literal is not None:
            return self.literal
        return "{rest}" if self.rest else "{" + (re.sub(r"\?P<\w+>", "", self.pattern.pattern) if self.pattern else "") + "}"


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed path template, such as ``/orders/{order_id:int}/lines/{a}-{b}``."""

    text: str
    segments: tuple[Segment, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for segment in self.segments for name in segment.names)

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
        return Segment(text)
    names, converters, pattern = [], [], ""
    position = 0
    plain = rest = False
    for match in found:
        rule = match["rule"] or "str"
        expression, converter = _CONVERTERS.get(rule, (rule, None))
        try:
            re.compile(expression)
        except re.error as error:
            raise StartError(f"the path {template!r}: {rule!r} is neither a type nor a regular expression ({error})") from None
        pattern += re.escape(text[position : match.start()]) + f"(?P<{match['name']}>{expression})"
        position = match.end()
        names.append(match["name"])
        converters.append(converter)
        plain = rule == "str"
        rest = rest or rule == "path"
    pattern += re.escape(text[position:])
    whole = len(found) == 1 and found[0].group() == text
    if rest and not (last and whole):
        raise StartError(f"the path {template!r}: {{name:path}} must be the last segment, alone")
    compiled = None if whole and (plain or rest) else re.compile(pattern)
    return Segment(None, tuple(names), compiled, tuple(converters), rest)


class _Node(Generic[R]):
    """One place in the tree."""

    __slots__ = ("leaf", "literals", "patterns", "plain", "rest")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[R]] = {}
        self.patterns: list[tuple[Segment, _Node[R]]] = []
        self.plain: list[tuple[Segment, _Node[R]]] = []
        self.rest: list[tuple[Segment, _Node[R]]] = []
        self.leaf: dict[str, R] = {}


_NO_PARAMS: dict[str, Any] = {}


class PathRouter(Generic[R]):
    """Finds ``(leaf, params)`` for a path: ``leaf`` maps a method to its route.  Filled at start, read-only afterwards."""

    __slots__ = ("_root", "_static")

    def __init__(self) -> None:
        self._root: _Node[R] = _Node()
        self._static: dict[str, tuple[dict[str, R], dict[str, Any]]] = {}

    def add(self, template: Template, method: str, route: R) -> None:
        node = self._root
        for segment in template.segments:
            node = self._child(node, segment)
        node.leaf[method] = route
        if not template.names:
            self._static[template.text] = (node.leaf, _NO_PARAMS)

    @staticmethod
    def _child(node: _Node[R], segment: Segment) -> _Node[R]:
        if segment.literal is not None:
            return node.literals.setdefault(segment.literal, _Node())
        kind = node.rest if segment.rest else node.patterns if segment.pattern else node.plain
        for known, child in kind:
            if known.names == segment.names and known.shape == segment.shape:
                return child
        child = _Node()
        kind.append((segment, child))
        return child

    def find(self, path: str) -> tuple[dict[str, R], dict[str, Any]] | None:
        """The routes of a path by method, and its placeholders' values; None when no template matches."""
        found = self._static.get(path)
        if found is not None:
            return found
        params: dict[str, Any] = {}
        leaf = self._walk(self._root, path.split("/"), 1, params)
        return None if leaf is None else (leaf, params)

    def _walk(self, node: _Node[R], parts: list[str], at: int, params: dict[str, Any]) -> dict[str, R] | None:
        if at == len(parts):
            return node.leaf or None
        part = parts[at]
        child = node.literals.get(part)
        if child is not None:
            leaf = self._walk(child, parts, at + 1, params)
            if leaf is not None:
                return leaf
        for segment, child in node.patterns:
            match = segment.pattern.fullmatch(part)  # type: ignore[union-attr]  # this list holds those with a pattern
            if match is not None:
                leaf = self._walk(child, parts, at + 1, params)
                if leaf is not None:
                    for name, convert in zip(segment.names, segment.converters, strict=True):
                        params[name] = convert(match[name]) if convert else match[name]
                    return leaf
        if part:
            for segment, child in node.plain:
                leaf = self._walk(child, parts, at + 1, params)
                if leaf is not None:
                    params[segment.names[0]] = part
                    return leaf
        for segment, child in node.rest:
            params[segment.names[0]] = "/".join(parts[at:])
            return child.leaf
        return None
