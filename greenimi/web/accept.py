"""What a client prefers: the fields Accept, Accept-Encoding and their like (RFC 9110 section 12)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

_MOST = 64
"""Entries of a field that count."""

_QUALITY = re.compile(r"[qQ][ \t]*=[ \t]*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")


@lru_cache(256)
def qualities(field: str) -> Mapping[str, float]:
    """Each entry of a field, in lower case and without its parameters, with its quality from 0 (not that) to 1.

    Of an entry that comes several times the first counts.  A quality that cannot be read counts as 0.
    """
    found: dict[str, float] = {}
    for entry in field.split(",")[:_MOST]:
        name, *parameters = (part.strip(" \t") for part in entry.split(";"))
        if name:
            found.setdefault(name.lower(), _quality(parameters))
    return MappingProxyType(found)


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter[:1] in ("q", "Q") and parameter[1:].lstrip().startswith("="):
            match = _QUALITY.fullmatch(parameter)
            return float(match[1]) if match else 0.0
    return 1.0


def best_type(field: str, kinds: Sequence[str]) -> str | None:
    """Which of the media types ``kinds`` a client with this Accept field likes best, among equals the first; None when it takes none.

    A kind is ``type/subtype`` in lower case.  What an entry says more exactly counts more: ``text/html`` before ``text/*`` before ``*/*``.
    """
    if not field:
        return kinds[0]
    wanted = qualities(field)
    best, found = 0.0, None
    for kind in kinds:
        quality = wanted.get(kind)
        if quality is None:
            quality = wanted.get(f"{kind.partition('/')[0]}/*")
        if quality is None:
            quality = wanted.get("*/*", 0.0)
        if quality > best:
            best, found = quality, kind
    return found


def best_coding(field: str, codings: Sequence[str]) -> str | None:
    """Which of the content ``codings`` a client with this Accept-Encoding field likes best; None: the body as it is."""
    wanted = qualities(field)
    others = wanted.get("*", 0.0)
    best, found = wanted.get("identity", 0.0), None
    for coding in codings:
        quality = wanted.get(coding, others)
        if quality > best or (quality == best and found is None and quality > 0):
            best, found = quality, coding
    return found
