"""The head of an HTTP/1.1 response: status line and fields, with the common ones kept ready for a second."""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus

_REASONS = {status.value: status.phrase for status in HTTPStatus}
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_UNSAFE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_KEEP = 256  # different (status, content type) pairs kept ready

FRAMING_FIELDS = frozenset({"content-length", "transfer-encoding"})
"""Fields that the codec decides itself; a response must not carry them as ordinary fields."""


class ResponseHeads:
    """Ready-made beginnings of responses.  The owner calls :meth:`tick` once a second with the time; nothing here reads a clock.

    ``begin[(status, content_type)]`` is everything up to and including ``Content-Length: ``.
    ``blocks`` has the same key and room for what HTTP/2 keeps ready; ``seconds`` counts the ticks.
    """

    __slots__ = ("_date", "begin", "blocks", "seconds")

    def __init__(self, now: float) -> None:
        self.begin: dict[tuple[int, str], bytes] = {}
        self.blocks: dict[tuple[int, str], bytes] = {}
        self.seconds = 0
        self._date = ""
        self.tick(now)

    @property
    def date(self) -> str:
        """The Date of responses made now."""
        return self._date

    def tick(self, now: float) -> None:
        """Take over the date of ``now`` (seconds since the epoch)."""
        self.seconds += 1
        date = formatdate(now, usegmt=True)
        if date != self._date:
            self._date = date
            self.begin.clear()
            self.blocks.clear()

    def make(self, status: int, content_type: str) -> bytes:
        """Make and keep ``begin[(status, content_type)]``."""
        head = b"%bContent-Length: " % self.start(status, content_type)
        if len(self.begin) < _KEEP:
            self.begin[status, content_type] = head
        return head

    def keep_block(self, status: int, content_type: str, block: bytes) -> None:
        """Keep ``blocks[(status, content_type)]``, while there is room."""
        if len(self.blocks) < _KEEP:
            self.blocks[status, content_type] = block

    def start(self, status: int, content_type: str) -> bytes:
        """Status line, date and content type.  Raises ValueError like ``check_status`` and ``check_value``."""
        check_status(status)
        check_value("content-type", content_type)
        kind = f"Content-Type: {content_type}\r\n" if content_type else ""
        return f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\nDate: {self._date}\r\n{kind}".encode("latin-1")


def check_status(status: int) -> None:
    """Raise ValueError for what is no final status: behind a 1xx a client waits for another, and takes the body for that."""
    if not 200 <= status <= 599:
        raise ValueError(f"{status} is not the status of a response")


def check_name(name: str) -> None:
    """Raise ValueError for what is not the name of a field."""
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a response field")


def check_value(name: str, value: str) -> None:
    """Raise ValueError for a value that would break out of its line."""
    if _UNSAFE.search(value):
        raise ValueError(f"the response field {name} holds a control character")


def render_fields(fields: Iterable[tuple[str, str]]) -> bytes:
    """The fields as lines.  Raises ValueError for names and values that would break out of their line."""
    lines = []
    for name, value in fields:
        check_name(name)
        check_value(name, value)
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1")
