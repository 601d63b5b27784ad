"""Docstrings, taken apart: a sentence, the rest, and what is said of each parameter."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field

_SENTENCE = re.compile(r"(.+?[.!?])(?=\s|$)", re.DOTALL)
_FIELD = re.compile(r":(param|parameter|arg|argument|type|returns?|rtype|raises?|yields?)(?:\s+([^:]*))?:\s*(.*)")  # :param int name: text
_SECTION = re.compile(r"(Args|Arguments|Parameters|Returns|Return|Yields|Raises|Example|Examples|Note|Notes):\s*")
_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)")  # name (type): text
_NAMED = re.compile(r"``(\w+)``\s+(.*)")
_ROLE = re.compile(r":\w+:`~?([^`]+)`")  # :class:`Order`
_DROPPED = {"Yields", "Raises"}


@dataclass(slots=True)
class Docstring:
    """``text`` is the prose; ``summary`` its first sentence without the full stop, ``description`` what follows that.

    ``parameters`` is by name, from any of the three usual ways: ``:param name: text``, a section ``Args:`` with lines ``name: text``, or
    lines that begin with the name between double backquotes.  ``returns`` is said of the result, by ``:return:`` or ``Returns:``.
    """

    text: str = ""
    summary: str = ""
    description: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    returns: str = ""


def parse_docstring(text: str | None, names: frozenset[str] = frozenset()) -> Docstring:
    """``names``: the parameters; lines between double backquotes that name something else stay in the description."""
    found = Docstring()
    rest: list[str] = []
    for block in _blocks(inspect.cleandoc(_ROLE.sub(r"`\1`", text or "")).splitlines()):
        if not _take(block, names, found):
            rest += block
    found.text = re.sub(r"\n{3,}", "\n\n", "\n".join(rest)).strip()
    first = found.text.partition("\n\n")[0]
    if sentence := _SENTENCE.match(first):
        first = sentence.group()
    found.summary = _joined(first).removesuffix(".")
    found.description = found.text[len(first) :].strip()
    return found


def _blocks(lines: list[str]) -> list[list[str]]:
    """The lines, those that are indented (and empty ones between them) together with the line they belong to."""
    blocks: list[list[str]] = []
    for line in lines:
        if blocks and (line[:1].isspace() or not line):
            blocks[-1].append(line)
        else:
            blocks.append([line])
    return blocks


def _take(block: list[str], names: frozenset[str], found: Docstring) -> bool:
    """Put what a block says of parameters or the result where it belongs.  False: it is prose."""
    head, body = block[0], block[1:]
    if section := _SECTION.fullmatch(head):
        return _take_section(section[1], body, found)
    if field_ := _FIELD.fullmatch(head):
        kind, argument, text = field_[1], (field_[2] or "").split(), _joined(" ".join([field_[3], *body]))
        if kind in ("param", "parameter", "arg", "argument") and argument:
            found.parameters[argument[-1].lstrip("*")] = text
        elif kind in ("return", "returns"):
            found.returns = text
        return True
    named = _NAMED.match(head)
    if named and named[1] in names:
        found.parameters[named[1]] = _joined(" ".join([named[2], *body]))
        return True
    return False


def _take_section(title: str, body: list[str], found: Docstring) -> bool:
    """A section with its indented lines.  False: one that is read as prose."""
    if not any(body):
        return False
    if title in ("Args", "Arguments", "Parameters"):
        for block in _blocks(inspect.cleandoc("\n".join(body)).splitlines()):
            if entry := _ENTRY.fullmatch(block[0]):
                found.parameters[entry[1]] = _joined(" ".join([entry[2], *block[1:]]))
        return True
    if title in ("Returns", "Return"):
        found.returns = _joined(" ".join(body))
        return True
    return title in _DROPPED


def _joined(text: str) -> str:
    return " ".join(text.split())
