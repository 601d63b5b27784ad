"""What a route asks of a request besides method and path: its host, its fields, the media type of its body.

Taken from the options of the marks when routes are collected, compared there for conflicts, and compiled once when the pipeline is built.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from greenimi.dispatch.fields import ABSENT, dig
from greenimi.dispatch.paths import Segment, parse_segment
from greenimi.errors import StartError
from greenimi.located import is_host
from greenimi.message import Request
from greenimi.route_options import Rules
from greenimi.web.request import payload_of

SOURCES = ("query", "header", "form", "body")

_RULE = re.compile(r"(?P<name>[^\s=!<>]+)(?:(?P<operation>=|!=|<>)(?P<value>.*))?", re.DOTALL)
_RANGE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+|[\w!#$&^.+-]+/\*(?:\+[\w.-]+)?|\*/\*")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")

Test = Callable[[Request], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of one field.  ``operation``: ``there``, ``absent``, ``=``, ``!=`` or ``~`` (the whole value fits a regular expression)."""

    source: str
    name: str
    operation: str
    value: str = ""

    def __str__(self) -> str:
        told = {"there": self.name, "absent": f"!{self.name}"}
        return f"{self.source} {told.get(self.operation, f'{self.name}{self.operation}{self.value}')}"


class Domain:
    """The host of a request: its labels, with placeholders, each within one label unless it is a regular expression."""

    def __init__(self, text: str) -> None:
        """Raises StartError for what is no host."""
        if not text.isascii() or not text or any(mark in re.sub(r"\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}", "x", text) for mark in "/:@ "):
            hint = "write it as clients send it, without a port: shop.example.org, {tenant}.example.org, xn--bcher-kva.example"
            raise StartError(f"the domain {text!r} is none", hint=hint)
        self.text = text
        self.segment: Segment = parse_segment(text, text, plain="[A-Za-z0-9_-]+", ignore_case=True)

    @property
    def names(self) -> tuple[str, ...]:
        return self.segment.names

    def match(self, host: str) -> Mapping[str, Any] | None:
        """The values of the placeholders; None for another host.  ``host`` may end with a port, which does not count."""
        name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
        return self.segment.match(name.removesuffix(".").lower())

    def render(self, values: Mapping[str, Any]) -> str:
        """The host with these values in its placeholders.  Raises ValueError for those that do not fit."""
        host = self.segment.render(values, self.text)
        if not is_host(host):
            raise ValueError(f"{host!r} is no host")
        return host


@dataclass(frozen=True)
class Conditions:
    """All of them hold, or the route does not take the request.  Empty ones are False."""

    domain: str = ""
    rules: tuple[Rule, ...] = ()
    consumes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.domain or self.rules or self.consumes)

    @cached_property
    def host(self) -> Domain | None:
        """The domain taken apart.  Raises StartError."""
        return Domain(self.domain) if self.domain else None

    @property
    def shape(self) -> tuple[str, frozenset[Rule], frozenset[str]]:
        """Equal for conditions that hold for the same requests, however they are written."""
        return (self.host.segment.shape if self.host else "", frozenset(self.rules), frozenset(self.consumes))

    def covers(self, other: Conditions) -> bool:
        """Whether it is certain that these hold wherever ``other`` holds."""
        domain, rules, consumes = self.shape
        if domain not in ("", other.shape[0]) or not rules <= other.shape[1]:
            return False
        return not consumes or (bool(other.consumes) and all(_fits_any(kind, self.consumes) for kind in other.consumes))

    def described(self) -> list[str]:
        """Each in a few words, for listings."""
        domain = [f"domain {self.domain}"] if self.domain else []
        return [*domain, *map(str, self.rules), *([f"consumes {' or '.join(self.consumes)}"] if self.consumes else [])]


NO_CONDITIONS = Conditions()


def conditions_from(options: Mapping[str, Any]) -> Conditions:
    """From the options of a mark.  Raises StartError for those that cannot be read."""
    rules = [rule for source in SOURCES for rule in _rules(source, options.get(source, ()))]
    kinds = options.get("consumes", ())
    consumes = tuple(_media_range(kind) for kind in ((kinds,) if isinstance(kinds, str) else kinds))
    found = Conditions(options.get("domain", ""), tuple(dict.fromkeys(rules)), consumes)
    found.host  # noqa: B018  # so that a bad one is found here
    return found


def _rules(source: str, written: Rules) -> Iterable[Rule]:
    if isinstance(written, str):
        yield _rule(source, written)
    elif isinstance(written, Mapping):
        for name, pattern in written.items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise StartError(f"{source} {name}: {pattern!r} is no regular expression ({error})") from None
            yield Rule(source, _name(source, name), "~", pattern)
    else:
        for each in written:
            yield from _rules(source, each)


def _rule(source: str, text: str) -> Rule:
    match = _RULE.fullmatch(text.removeprefix("!"))
    if match is None or (text.startswith("!") and match["operation"]):
        raise StartError(f"the {source} rule {text!r} cannot be read", hint='write "id", "!id", "id=100", "id!=100" or {"id": "[0-9]+"}')
    name = _name(source, match["name"])
    if match["operation"]:
        return Rule(source, name, "=" if match["operation"] == "=" else "!=", match["value"])
    return Rule(source, name, "absent" if text.startswith("!") else "there")


def _name(source: str, name: str) -> str:
    return name.lower() if source == "header" else name


def _media_range(text: str) -> str:
    if not _RANGE.fullmatch(text):
        hint = 'write "application/json", "image/*", "application/*+json" or "*/*", without parameters'
        raise StartError(f"{text!r} is no media type", hint=hint)
    return text.lower()


def _fits_any(kind: str, ranges: Iterable[str]) -> bool:
    """Whether a media type (or all that a range takes) is taken by one of the ranges."""
    return any(_fits(kind, each) for each in ranges)


def _fits(kind: str, taken: str) -> bool:
    if taken in (kind, "*/*"):
        return True
    family, _, rest = taken.partition("/*")
    return taken.startswith(f"{family}/*") and kind.startswith(f"{family}/") and kind.endswith(rest)


def media_type(request: Request) -> str:
    """Of the request's body, in small letters, without parameters; "" when it names none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


# -- asking a request ----------------------------------------------------------------------------------------------


def rule_tests(rules: Iterable[Rule]) -> tuple[list[Test], list[Test]]:
    """The tests of the rules: those of query and head, then those that read the body."""
    light: list[Test] = []
    heavy: list[Test] = []
    for rule in rules:
        (heavy if rule.source in ("form", "body") else light).append(_test(_VALUES[rule.source](rule.name), rule))
    return light, heavy


def takes(consumes: tuple[str, ...]) -> Test:
    """Whether the request's body is of one of these media types."""
    exact = frozenset(kind for kind in consumes if "*" not in kind)
    ranges = [kind for kind in consumes if "*" in kind]

    def test(request: Request) -> bool:
        kind = media_type(request)
        return kind in exact or (bool(kind) and _fits_any(kind, ranges))

    return test


def _test(value_in: Callable[[Request], Any], rule: Rule) -> Test:
    """``value_in`` gives a text, ABSENT, or something that is neither: there, and equal to no text."""
    wanted = rule.value
    if rule.operation == "there":
        return lambda request: value_in(request) is not ABSENT
    if rule.operation == "absent":
        return lambda request: value_in(request) is ABSENT
    if rule.operation == "=":
        return lambda request: bool(value_in(request) == wanted)
    if rule.operation == "!=":
        return lambda request: bool(value_in(request) != wanted)
    pattern = re.compile(wanted)

    def fits(request: Request) -> bool:
        value = value_in(request)
        return isinstance(value, str) and pattern.fullmatch(value) is not None

    return fits


def _in_query(name: str) -> Callable[[Request], Any]:
    def value(request: Request) -> Any:
        values = request.query.get(name) if request.query_string else None
        return values[-1] if values else ABSENT  # as arguments take it

    return value


def _in_header(name: str) -> Callable[[Request], Any]:
    return lambda request: request.headers.get(name, ABSENT)


def _in_form(name: str) -> Callable[[Request], Any]:
    def value(request: Request) -> Any:
        if media_type(request) not in _FORMS or not _has_body(request):
            return ABSENT
        found = payload_of(request).get(name, ABSENT)
        return found[-1] if isinstance(found, list) else found

    return value


def _in_body(name: str) -> Callable[[Request], Any]:
    def value(request: Request) -> Any:
        if media_type(request) in _FORMS or not _has_body(request):
            return ABSENT
        found = dig(payload_of(request), name)
        if found is None or isinstance(found, bool | int | float):
            return msgspec.json.encode(found).decode()  # as it is written in JSON
        return found

    return value


def _has_body(request: Request) -> bool:
    return request.stream is not None or bool(request.raw) or request.data is not None


_VALUES: dict[str, Callable[[str], Callable[[Request], Any]]] = {
    "query": _in_query,
    "header": _in_header,
    "form": _in_form,
    "body": _in_body,
}
