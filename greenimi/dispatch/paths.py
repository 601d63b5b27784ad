"""HTTP paths: templates, and the tree that finds the route of a path.

At every segment a literal is tried before one that ignores case, that before a placeholder with a type or pattern, that before a plain one,
that before ``{rest:path}``; among equals the order of declaration decides.  A path that exists under another method is told apart from one
that does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import Any, Generic, TypeVar
from urllib.parse import quote
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
Placeholders = tuple[tuple[str, Converter], ...]

NO_PARAMS: Mapping[str, Any] = MappingProxyType({})

_SAFE = "!$&'()*+,;=:@"
"""What may stand in a segment of a URL as it is, besides letters, digits and ``-._~`` (RFC 3986 section 3.3)."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of a template between slashes."""

    literal: str | None  # of a template that ignores case: casefolded
    names: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None  # its groups are called _0, _1, ...; None with one name: any non-empty text
    converters: tuple[Converter, ...] = ()
    rest: bool = False  # takes all the remaining segments
    shape: str = ""  # equal for two segments that match the same texts, whatever their placeholders are called
    rules: tuple[str, ...] = ()  # of each placeholder, as written behind its colon; str where there is none
    pieces: tuple[str, ...] = ()  # the texts before, between and behind the placeholders, or the literal as written

    def match(self, text: str) -> Mapping[str, Any] | None:
        """The values of the placeholders in ``text``; None when it does not fit."""
        if self.pattern is None:
            return NO_PARAMS if text == self.literal else None
        found = self.pattern.fullmatch(text)
        return None if found is None else _params(self.placeholders, [found[f"_{number}"] for number in range(len(self.names))])

    @property
    def placeholders(self) -> Placeholders:
        return tuple(zip(self.names, self.converters, strict=True))

    def render(self, values: Mapping[str, Any], template: str) -> str:
        """The text with these values in its placeholders, percent-encoded.  ValueError names ``template`` and what does not fit."""
        try:
            texts = [_as_text(values[name]) for name in self.names]
        except KeyError as error:
            raise ValueError(f"{template!r} needs a value for {error.args[0]}") from None
        text = self.pieces[0] + "".join(value + piece for value, piece in zip(texts, self.pieces[1:], strict=True))
        if self.names and not self._fits(text, texts):
            given = ", ".join(f"{name}={values[name]!r}" for name in self.names)
            raise ValueError(f"{given} cannot stand in {template!r}")
        return quote(text, safe=f"{_SAFE}/" if self.rest else _SAFE)

    def _fits(self, text: str, texts: list[str]) -> bool:
        """Whether ``text`` would be taken apart into ``texts`` again."""
        if any(part in (".", "..") for part in text.split("/")):  # browsers would go up the path
            return False
        if self.pattern is None:
            return self.rest or (bool(text) and "/" not in text)
        match = self.pattern.fullmatch(text)
        return match is not None and [match[f"_{number}"] for number in range(len(texts))] == texts


def _as_text(value: Any) -> str:
    return str(value.value if isinstance(value, Enum) else value)


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed path template, such as ``/orders/{order_id:int}/lines/{a}-{b}``."""

    text: str
    segments: tuple[Segment, ...]
    ignore_case: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for segment in self.segments for name in segment.names)

    @property
    def converters(self) -> tuple[Converter, ...]:
        return tuple(converter for segment in self.segments for converter in segment.converters)

    @property
    def shape(self) -> str:
        """Equal for two templates that match the same paths."""
        return "/" + "/".join(segment.shape for segment in self.segments) + (" in any case" if self.ignore_case else "")

    @property
    def rules(self) -> tuple[str, ...]:
        """Of each placeholder, in the order of ``names``: str, int, float, uuid, path or a regular expression."""
        return tuple(rule for segment in self.segments for rule in segment.rules)

    @property
    def plain(self) -> str:
        """The text without the rules: ``/orders/{order_id}``."""
        return _PLACEHOLDER.sub(lambda match: f"{{{match['name']}}}", self.text)

    def with_other_end(self) -> Template | None:
        """The same with a slash at its end, or without where it has one; None for ``/`` and for what takes every end."""
        last = self.segments[-1]
        if last.literal == "":
            return replace(self, text=self.text[:-1], segments=self.segments[:-1]) if len(self.segments) > 1 else None
        return None if last.rest else replace(self, text=f"{self.text}/", segments=(*self.segments, Segment("", pieces=("",))))

    def render(self, values: Mapping[str, Any]) -> str:
        """The path with these values in its placeholders, percent-encoded.  Matched, it gives the same texts again.

        Raises ValueError for a value that is missing or does not fit, and for what browsers would take for something else (``..``).
        """
        path = "".join(f"/{segment.render(values, self.text)}" for segment in self.segments)
        if path.startswith("//"):
            raise ValueError(f"{self.text!r} would become {path!r}, which names a host")
        return path


def parse_template(text: str, *, ignore_case: bool = False) -> Template:
    """Parse ``text``.  Raises StartError naming the template and what is wrong with it."""
    if not text.startswith("/"):
        raise StartError(f"the path {text!r} does not start with /")
    pieces = _split(text[1:])
    segments = tuple(
        parse_segment(text, piece, last=number == len(pieces) - 1, ignore_case=ignore_case) for number, piece in enumerate(pieces)
    )
    template = Template(text, segments, ignore_case)
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


def parse_segment(template: str, text: str, *, last: bool = False, ignore_case: bool = False, plain: str | None = None) -> Segment:
    """Parse one piece of ``template``.  ``plain``: the pattern of placeholders without a rule.  Raises StartError."""
    found = list(_PLACEHOLDER.finditer(text))
    if not found:
        _literal(template, text)
        literal = text.casefold() if ignore_case else text
        return Segment(literal, shape=literal, pieces=(text,))
    names, converters, rules, pieces, pattern = [], [], [], [], ""
    position = 0
    for number, match in enumerate(found):
        rule = match["rule"] or "str"
        _check_rule(template, rule)
        expression, converter = (plain, None) if plain and rule == "str" else _CONVERTERS.get(rule, (rule, None))
        try:
            re.compile(expression)
        except re.error as error:
            raise StartError(f"the path {template!r}: {rule!r} is neither a type nor a regular expression ({error})") from None
        pieces.append(_literal(template, text[position : match.start()]))
        pattern += re.escape(pieces[-1]) + f"(?P<_{number}>{expression})"
        position = match.end()
        names.append(match["name"])
        converters.append(converter)
        rules.append(rule)
    pieces.append(_literal(template, text[position:]))
    pattern += re.escape(pieces[-1])
    whole = len(found) == 1 and found[0].group() == text
    rest = "path" in rules
    if rest and not (last and whole):
        raise StartError(f"the path {template!r}: {{name:path}} must be the last segment, alone")
    compiled = None if rest or (whole and rules == ["str"] and plain is None) else re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    ways = ["{}" if rule == "str" else f"{{{rule}}}" for rule in rules]
    literals = [piece.casefold() for piece in pieces] if ignore_case else pieces
    shape = literals[0] + "".join(way + literal for way, literal in zip(ways, literals[1:], strict=True))
    return Segment(None, tuple(names), compiled, tuple(converters), rest, shape, tuple(rules), tuple(pieces))


def _check_rule(template: str, rule: str) -> None:
    """A plain word that is no type would take that very word and nothing else.  Raises StartError."""
    if rule.isidentifier() and rule not in _CONVERTERS:
        hint = f"types are {', '.join(_CONVERTERS)}; everything else is a regular expression, such as [a-z]+ or csv|json"
        raise StartError(f"the path {template!r}: there is no type {rule!r}", hint=hint)


def _literal(template: str, text: str) -> str:
    """The text outside of placeholders.  Raises StartError when it looks like one, also as other frameworks write them."""
    if any(bracket in text for bracket in "{}<>"):
        hint = "write {name}, {name:int} or {name:[a-z]+}"
        raise StartError(f"the path {template!r} has an unreadable placeholder in {text!r}", hint=hint)
    return text


class _Node(Generic[R]):
    """One place in the tree.  ``leaf`` has, by method, the routes in order of declaration, each with its placeholders and whether
    it stands back behind the others."""

    __slots__ = ("folded", "forks", "leaf", "literals", "patterns", "plain", "rest")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[R]] = {}
        self.folded: dict[str, _Node[R]] = {}  # literals that ignore case
        self.patterns: list[tuple[re.Pattern[str], int, _Node[R]]] = []
        self.plain: _Node[R] | None = None
        self.rest: _Node[R] | None = None
        self.forks = False  # there are ways on besides literals
        self.leaf: dict[str, list[tuple[R, Placeholders, bool]]] = {}


Accept = Callable[[list[tuple[R, Placeholders, bool]], list[str]], bool]


class PathRouter(Generic[R]):
    """Finds the route of a method and a path.  Filled at start, read-only afterwards."""

    __slots__ = ("_root", "_static", "all_methods")

    def __init__(self) -> None:
        self.all_methods: set[str] = set()  # of any template
        self._root: _Node[R] = _Node()
        self._static: dict[tuple[str, str], R] = {}

    def add(self, template: Template, method: str, route: R, *, spare: bool = False) -> None:
        """Several routes of one method and shape are found in the order they were added, ``spare`` ones after all others."""
        self.all_methods.add(method)
        node = self._root
        for segment in template.segments:
            node = self._child(node, segment, template.ignore_case)
        leaf = node.leaf.setdefault(method, [])
        leaf.append((route, tuple(zip(template.names, template.converters, strict=True)), spare))
        leaf.sort(key=lambda entry: entry[2])
        if not template.names and not template.ignore_case:
            self._static[method, template.text] = leaf[0][0]

    @staticmethod
    def _child(node: _Node[R], segment: Segment, ignore_case: bool) -> _Node[R]:
        if segment.literal is not None and not ignore_case:
            return node.literals.setdefault(segment.literal, _Node())
        node.forks = True
        if segment.literal is not None:
            return node.folded.setdefault(segment.literal, _Node())
        if segment.rest:
            node.rest = node.rest or _Node()
            return node.rest
        if segment.pattern is None:
            node.plain = node.plain or _Node()
            return node.plain
        for pattern, _, child in node.patterns:
            if pattern == segment.pattern:
                return child
        child = _Node()
        node.patterns.append((segment.pattern, len(segment.names), child))
        return child

    def find(self, method: str, path: str) -> tuple[R, Mapping[str, Any]] | None:
        """The first route and its placeholders' values; None when no template matches, or none has this method."""
        route = self._static.get((method, path))
        if route is not None:
            return route, NO_PARAMS
        values: list[str] = []
        node = self._walk(self._root, path.split("/"), 1, method, values, None)
        if node is None:
            return None
        route, placeholders, _ = node.leaf[method][0]
        return route, _params(placeholders, values)

    def choose(self, method: str, path: str, holds: Callable[[R, Mapping[str, Any]], bool]) -> tuple[R, Mapping[str, Any]] | None:
        """The first route that fits and for which ``holds(route, params)``."""
        chosen: list[tuple[R, Mapping[str, Any]]] = []

        def accept(leaf: list[tuple[R, Placeholders, bool]], values: list[str]) -> bool:
            for route, placeholders, _ in leaf:
                params = _params(placeholders, values)
                if holds(route, params):
                    chosen.append((route, params))
                    return True
            return False

        self._walk(self._root, path.split("/"), 1, method, [], accept)
        return chosen[0] if chosen else None

    def _walk(self, node: _Node[R], parts: list[str], at: int, method: str, values: list[str], accept: Accept[R] | None) -> _Node[R] | None:
        """The node where the path ends and that has the method (and is accepted); ``values`` gets the placeholders' texts on the way."""
        length = len(parts)
        while at < length and not node.forks:  # one way only, if any
            child = node.literals.get(parts[at])
            if child is None:
                return None
            node = child
            at += 1
        if at == length:
            return node if method in node.leaf and (accept is None or accept(node.leaf[method], values)) else None
        part = parts[at]
        mark = len(values)
        child = node.literals.get(part)
        if child is not None and (end := self._walk(child, parts, at + 1, method, values, accept)) is not None:
            return end
        if node.folded:
            child = node.folded.get(part.casefold())
            if child is not None and (end := self._walk(child, parts, at + 1, method, values, accept)) is not None:
                return end
        for pattern, groups, child in node.patterns:
            match = pattern.fullmatch(part)
            if match is not None:
                values += [match[f"_{number}"] for number in range(groups)]
                if (end := self._walk(child, parts, at + 1, method, values, accept)) is not None:
                    return end
                del values[mark:]
        if part and node.plain is not None:
            values.append(part)
            if (end := self._walk(node.plain, parts, at + 1, method, values, accept)) is not None:
                return end
            del values[mark:]
        if node.rest is not None and method in node.rest.leaf:
            values.append("/".join(parts[at:]))
            if accept is None or accept(node.rest.leaf[method], values):
                return node.rest
            del values[mark:]
        return None

    def methods(self, path: str, holds: Callable[[R, Mapping[str, Any]], bool] = lambda route, params: True) -> set[str]:
        """Every method that some template has for this path, counting the routes that hold.  Empty: there is nothing at the path."""
        return {method for method in self.all_methods if self.choose(method, path, holds) is not None}


def _params(placeholders: Placeholders, values: list[str]) -> Mapping[str, Any]:
    params = {}
    for (name, convert), value in zip(placeholders, values):  # noqa: B905  # as many of each; strict costs a tenth of this
        params[name] = value if convert is None else convert(value)
    return params
