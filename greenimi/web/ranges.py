"""Ranges of bytes (RFC 9110 section 14)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MOST = 16
"""Ranges that one request may ask for."""

_GAP = 128
"""Bytes between two ranges that are cheaper to send than another part's head."""

_SPEC = re.compile(r"bytes[ \t]*=(.*)", re.IGNORECASE)
_ONE = re.compile(r"(\d{1,18})-(\d{1,18})?|-(\d{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Span:
    """``length`` bytes from ``start``; there is at least one."""

    start: int
    length: int

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.start + self.length

    def content_range(self, size: int) -> str:
        return f"bytes {self.start}-{self.end - 1}/{size}"


def parse_range(field: str, size: int) -> Sequence[Span] | None:
    """What a Range field asks of ``size`` bytes; ``()`` when none of it is there (416), None when the field is to be ignored.

    Ignored are other units, bad syntax, more than :data:`MOST` ranges, and ranges that overlap so much that they ask for more bytes than
    there are.  Ranges that overlap or nearly touch become one, and stand in order then.
    """
    match = _SPEC.fullmatch(field.strip(" \t"))
    if match is None:
        return None
    spans = []
    texts = [text.strip(" \t") for text in match[1].split(",")]
    texts = [text for text in texts if text]
    if not 0 < len(texts) <= MOST:
        return None
    for text in texts:
        one = _ONE.fullmatch(text)
        if one is None:
            return None
        first, last, suffix = one.groups()
        if first is not None and last is not None and int(last) < int(first):
            return None
        span = _resolve(first, last, suffix, size)
        if span is not None:
            spans.append(span)
    if sum(span.length for span in spans) > size:
        return None
    return _coalesced(spans)


def _resolve(first: str | None, last: str | None, suffix: str | None, size: int) -> Span | None:
    """One range, cut to what is there; None when nothing is."""
    if suffix is not None:
        length = min(int(suffix), size)
        return Span(size - length, length) if length else None
    start = int(first or 0)
    if start >= size:
        return None
    end = size if last is None else min(int(last) + 1, size)
    return Span(start, end - start)


def _coalesced(spans: list[Span]) -> list[Span]:
    ordered = sorted(spans, key=lambda span: span.start)
    merged: list[Span] = []
    for span in ordered:
        if merged and span.start <= merged[-1].end + _GAP:
            before = merged.pop()
            span = Span(before.start, max(before.end, span.end) - before.start)  # noqa: PLW2901 - the two are one now
        merged.append(span)
    return spans if len(merged) == len(spans) else merged
