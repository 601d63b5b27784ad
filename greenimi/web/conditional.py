"""Conditional requests: validators and preconditions (RFC 9110 sections 8.8 and 13).

An entity tag is written as it stands in its field: ``'"v7"'``, weak ``'W/"v7"'``.  Times are seconds since the epoch; fields have no
fractions of them, so fractions are left off.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache

from greenimi.errors import Refusal
from greenimi.message import Request, Response

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_ONE_TAG = re.compile(_TAG)
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")

_OF_THE_BODY = frozenset(
    {"accept-ranges", "content-disposition", "content-encoding", "content-language", "content-length", "content-range", "content-type"}
)
"""Fields of a 200 that its 304 does not repeat (RFC 9110 section 15.4.5): the client has them with the body that it keeps."""


def entity_tag(value: str, *, weak: bool = False) -> str:
    """The entity tag that says ``value``.  ValueError for what cannot stand in one."""
    tag = f'W/"{value}"' if weak else f'"{value}"'
    if not _ONE_TAG.fullmatch(tag):
        raise ValueError(f"{value!r} cannot be an entity tag: it takes visible characters without quotes")
    return tag


def weakened(tag: str) -> str:
    """The weak form of an entity tag."""
    return tag if tag.startswith("W/") else f"W/{tag}"


def strongly_equal(one: str, other: str) -> bool:
    """RFC 9110 section 8.8.3.2: the same, and neither weak."""
    return one == other and not one.startswith("W/")


def weakly_equal(one: str, other: str) -> bool:
    """RFC 9110 section 8.8.3.2: the same, weak or not."""
    return one.removeprefix("W/") == other.removeprefix("W/")


def tags_of(field: str) -> list[str] | None:
    """The entity tags in If-Match or If-None-Match; None when it cannot be read.  ``*`` gives ``["*"]``."""
    if field.strip() == "*":
        return ["*"]
    return _ONE_TAG.findall(field) if _TAGS.fullmatch(field) else None


def http_date(seconds: float) -> str:
    """As it stands in Last-Modified."""
    return _date(int(seconds))


@lru_cache(256)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def parse_http_date(field: str) -> int | None:
    """Seconds since the epoch; None for what is no date.  All three forms of RFC 9110 section 5.6.7."""
    try:
        found = parsedate_to_datetime(field)
    except (ValueError, OverflowError, IndexError):
        return None
    return int((found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp())


def status_for(request: Request, tag: str | None, modified: float | None, *, exists: bool = True) -> int:
    """What the preconditions of a request come to: 200 (go on), 304 or 412, in the order of RFC 9110 section 13.2.2.

    ``tag`` and ``modified`` are those of the current representation, None where it has none; ``exists``: there is one at all.
    """
    headers = request.headers
    if "if-match" in headers:
        if not _matches(headers["if-match"], tag, exists=exists, strongly=True):
            return 412
    elif "if-unmodified-since" in headers and modified is not None:
        since = parse_http_date(headers["if-unmodified-since"])
        if since is not None and int(modified) > since:
            return 412
    reads = request.method in ("GET", "HEAD")
    if "if-none-match" in headers:
        if _matches(headers["if-none-match"], tag, exists=exists, strongly=False):
            return 304 if reads else 412
    elif reads and modified is not None and "if-modified-since" in headers:
        since = parse_http_date(headers["if-modified-since"])
        if since is not None and int(modified) <= since:
            return 304
    return 200


def _matches(field: str, tag: str | None, *, exists: bool, strongly: bool) -> bool:
    found = tags_of(field)
    if found is None:
        return False
    if found == ["*"]:
        return exists
    equal = strongly_equal if strongly else weakly_equal
    return tag is not None and any(equal(each, tag) for each in found)


def range_is_current(headers: Mapping[str, str], tag: str | None, modified: float | None) -> bool:
    """Whether If-Range lets a Range count (RFC 9110 section 13.1.5): there is none, or it names just this representation."""
    field = headers.get("if-range")
    if field is None:
        return True
    if '"' in field:
        return tag is not None and strongly_equal(field.strip(), tag)
    if modified is None or time.time() - modified < 1:  # it may change within its second, unseen: the date is a weak validator still
        return False
    return parse_http_date(field) == int(modified)


def validators(tag: str | None = None, modified: float | None = None) -> list[tuple[str, str]]:
    """The fields that say them."""
    fields = []
    if tag is not None:
        fields.append(("ETag", tag))
    if modified is not None:
        fields.append(("Last-Modified", http_date(modified)))
    return fields


def not_modified(fields: Iterable[tuple[str, str]] = ()) -> Response:
    """A 304.  Of the ``fields`` of the 200 it stands for, those that tell of its body are left out."""
    return Response(b"", 304, "", [field for field in fields if field[0].lower() not in _OF_THE_BODY])


def check_conditions(
    request: Request, tag: str | None = None, modified: float | None = None, *, headers: Iterable[tuple[str, str]] = (), exists: bool = True
) -> Response | None:
    """The 304 that the preconditions of a request ask for; None: go on, and send the :func:`validators` with the answer.

    For handlers that know the version of a thing before they make it, and for those that change one: with If-Match a client says which
    version it means to change.  ``exists=False``: there is nothing yet.  ``headers`` are further fields of the 304, such as Vary.  Raises
    Refusal (412) when a precondition fails.
    """
    status = status_for(request, tag, modified, exists=exists)
    if status == 412:
        raise Refusal("this is not the version that the request is meant for", status=412)
    return not_modified([*validators(tag, modified), *headers]) if status == 304 else None
