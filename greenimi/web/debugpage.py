"""What a developer is shown of an unexpected error: its stack with source and variables, and the request.

Nothing here may reach a client but while debugging.  Even so secrets are masked, by the names of what holds them and by their type, and
everything is text: the page has no scripts, and what it shows is escaped.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from reprlib import Repr
from traceback import walk_tb
from types import FrameType
from typing import Any

from greenimi.log.records import MASK, mask
from greenimi.message import Request

_MOST_FRAMES = 50
_MOST_VARIABLES = 40
_MOST_ERRORS = 8
_AROUND = 4
_LONGEST = 400
_LONGEST_TEXT = 4000

_WORDS = r"passw|passphrase|secret|token|authorization|cookie|credential|session|signature|api[_-]?key"
_is_secret = re.compile(rf"{_WORDS}|(^|[_-])key$", re.IGNORECASE).search
_NAME = rf"""(?P<name>(?<![\w-])[\w-]*(?:{_WORDS})[\w-]*["']?\s*[=:]\s*)"""
_VALUE = r"""(?:b?'(?:[^'\\]|\\.)*'?|b?"(?:[^"\\]|\\.)*"?|[^\s,;&)}\]]+)"""
_NAMED = re.compile(_NAME + _VALUE, re.IGNORECASE)
_PASSWORD = re.compile(r"(?<=://)[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class Frame:
    """One place of a stack.  ``source``: some lines with their numbers."""

    file: str
    line: int
    function: str
    source: tuple[tuple[int, str], ...]
    variables: Mapping[str, str]


# -- what there is to be shown -------------------------------------------------------------------------------------


def chain_of(error: BaseException) -> list[BaseException]:
    """The error, and what led to it behind it."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and len(found) < _MOST_ERRORS and not any(current is known for known in found):
        found.append(current)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return found


def frames_of(error: BaseException) -> list[Frame]:
    """Its stack, where it happened first."""
    found = [_frame(frame, line) for frame, line in list(walk_tb(error.__traceback__))[-_MOST_FRAMES:]]
    return found[::-1]


def _frame(frame: FrameType, line: int) -> Frame:
    code = frame.f_code
    lines = linecache.getlines(code.co_filename, frame.f_globals)
    first = max(1, line - _AROUND)
    source = tuple((number, lines[number - 1].rstrip()) for number in range(first, min(line + _AROUND, len(lines)) + 1))
    names = [name for name in frame.f_locals if not name.startswith("__")][:_MOST_VARIABLES]
    return Frame(code.co_filename, line, code.co_qualname, source, {name: shown(name, frame.f_locals[name]) for name in names})


def shown(name: str, value: Any) -> str:
    """A value as text, short, without secrets."""
    if _is_secret(name):
        return MASK
    try:
        text = _REPR.repr(mask(value))
    except Exception as error:  # the repr of a thing that is half made may do anything
        return f"<{type(value).__name__}: {type(error).__name__} while it was shown>"
    return hidden(text)[:_LONGEST]


def hidden(text: str) -> str:
    """``text``, short, with what looks like a secret masked: behind the name of one, or the password of an address."""
    return _PASSWORD.sub(f"{MASK}@", _NAMED.sub(rf"\g<name>{MASK}", text[:_LONGEST_TEXT]))


def _short_repr() -> Repr:
    made = Repr()
    made.maxlevel = 4
    made.maxdict = made.maxlist = made.maxtuple = made.maxset = 20
    made.maxstring = made.maxother = _LONGEST
    return made


_REPR = _short_repr()


def _says(error: BaseException) -> str:
    try:
        return hidden(str(error))
    except Exception:
        return ""


def request_facts(request: Request) -> dict[str, str]:
    """A request without its secrets."""
    facts = {"method": request.method, "target": hidden(request.target), "client": request.client, "id": request.id}
    if request.known_identity is not None:
        facts["identity"] = request.known_identity.id
    facts |= {f"{{{name}}}": shown(name, value) for name, value in request.params.items()}
    return facts | {name: MASK if _is_secret(name) else hidden(value) for name, value in request.headers.items()}


# -- as JSON -------------------------------------------------------------------------------------------------------


def as_details(error: BaseException, request: Request) -> dict[str, Any]:
    """For problem+json."""
    return {
        "errors": [
            {
                "type": type(found).__qualname__,
                "text": _says(found),
                "stack": [
                    {
                        "file": frame.file,
                        "line": frame.line,
                        "function": frame.function,
                        "source": _the_line(frame),
                        "locals": frame.variables,
                    }
                    for frame in frames_of(found)
                ],
            }
            for found in chain_of(error)
        ],
        "request": request_facts(request),
    }


def _the_line(frame: Frame) -> str:
    return next((text.strip() for number, text in frame.source if number == frame.line), "")


# -- as a page -----------------------------------------------------------------------------------------------------

_STYLE = """
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; color: #1d2430; background: #f6f7f9 }
header { padding: 1.5rem 2rem; background: #7a1f2b; color: #fff }
header p { margin: 0; opacity: .85 }
main { padding: 1rem 2rem; max-width: 75rem }
h1 { margin: .2rem 0; font-size: 1.4rem; overflow-wrap: anywhere; white-space: pre-wrap }
h2 { margin: 1.5rem 0 .5rem; font-size: 1.1rem; overflow-wrap: anywhere; white-space: pre-wrap }
details { margin: .3rem 0; background: #fff; border: 1px solid #d9dde3; border-radius: 4px }
summary { padding: .4rem .8rem; cursor: pointer; overflow-wrap: anywhere }
summary span { color: #667085 }
pre { margin: 0; padding: .5rem .8rem; overflow-x: auto; background: #f0f2f5; font: 13px/1.5 ui-monospace, monospace }
mark { display: block; background: #fbe3a2; color: inherit }
table { width: 100%; border-collapse: collapse; font: 13px/1.5 ui-monospace, monospace }
td { padding: .15rem .8rem; vertical-align: top; border-top: 1px solid #eceff3; overflow-wrap: anywhere; white-space: pre-wrap }
td:first-child { width: 14rem; color: #475467 }
"""


def as_page(error: BaseException, request: Request, status: int, title: str) -> str:
    """A whole HTML document."""
    name = f"{type(error).__qualname__}: {_says(error)}"
    return "".join(
        [
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{status} {escape(name[:200])}</title>',
            f"<style>{_STYLE}</style></head><body>",
            f"<header><p>{status} {escape(title)} &middot; {escape(request.method)} {escape(hidden(request.target))}</p>",
            f"<h1>{escape(name)}</h1></header><main>",
            *_errors(error),
            f"<h2>Request</h2><details open><summary>What the client sent</summary>{_table(request_facts(request).items())}</details>",
            "</main></body></html>",
        ]
    )


def _errors(error: BaseException) -> Iterator[str]:
    for number, found in enumerate(chain_of(error)):
        if number:
            yield f"<h2>It came of {escape(type(found).__qualname__)}: {escape(_says(found))}</h2>"
        for place, frame in enumerate(frames_of(found)):
            yield _frame_part(frame, opened=not number and not place)


def _frame_part(frame: Frame, *, opened: bool) -> str:
    lines = []
    for number, text in frame.source:
        line = f"{number:5} {escape(text)}"
        lines.append(f"<mark>{line}</mark>" if number == frame.line else f"{line}\n")
    return (
        f"<details{' open' if opened else ''}><summary>{escape(frame.function)} <span>{escape(frame.file)}:{frame.line}</span></summary>"
        f"<pre>{''.join(lines)}</pre>{_table(frame.variables.items())}</details>"
    )


def _table(rows: Iterable[tuple[str, str]]) -> str:
    found = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{found}</table>" if found else ""
