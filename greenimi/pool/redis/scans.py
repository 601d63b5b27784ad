"""Everything a cursor leads to, as generators: all keys, all fields, members and scores, with no more in memory than one page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from redis.exceptions import ConnectionError as LostConnection

__all__ = ["Scans", "each_item"]

ROUNDS = 16
"""Times that a scan begins anew where servers change under it, before it gives up."""

Match = str | bytes | None


class Scans:
    """``scan_each`` and its kin; the other base class is one of redis-py's clients.

    What is there from the beginning to the end of a scan comes at least once; it may come twice, and what is added or removed meanwhile
    may come or not.  Nothing is held between two pages: a scan may be left at any time.  A cursor means nothing to another server, nor to
    the same one after a restart: when the connection was lost the scan begins anew.  Raises ConnectionError when that happens all the time.
    """

    def connection_to(self: Any, name: Any) -> object:
        """Something that changes when another server answers for the key ``name``, or the same one after a lost connection."""
        raise NotImplementedError

    def scan_each(self: Any, match: Match = None, count: int | None = None, type: str | None = None) -> Iterator[Any]:
        """All keys, those that match, or those of a type (``"hash"``).  ``count``: about how many are asked for at a time."""
        return each_item(partial(self.scan, match=match, count=count, _type=type), partial(self.connection_to, ""))

    def hscan_each(self: Any, name: Any, match: Match = None, count: int | None = None) -> Iterator[tuple[Any, Any]]:
        """All fields of a hash with their values."""
        for page in _pages(partial(self.hscan, name, match=match, count=count), partial(self.connection_to, name)):
            yield from page.items()

    def sscan_each(self: Any, name: Any, match: Match = None, count: int | None = None) -> Iterator[Any]:
        """All members of a set."""
        return each_item(partial(self.sscan, name, match=match, count=count), partial(self.connection_to, name))

    def zscan_each(self: Any, name: Any, match: Match = None, count: int | None = None) -> Iterator[tuple[Any, float]]:
        """All members of a sorted set with their scores."""
        return each_item(partial(self.zscan, name, match=match, count=count), partial(self.connection_to, name))


def each_item(scan: Callable[..., tuple[Any, Any]], connection: Callable[[], object]) -> Iterator[Any]:
    """What is on all pages of ``scan(cursor=...)``."""
    for page in _pages(scan, connection):
        yield from page


def _pages(scan: Callable[..., tuple[Any, Any]], connection: Callable[[], object]) -> Iterator[Any]:
    for _ in range(ROUNDS):
        cursor: int | str = 0
        began = connection()
        while True:
            cursor, page = scan(cursor=cursor)
            yield page
            if connection() != began:
                break
            if int(cursor) == 0:
                return
    raise LostConnection(f"the connection was lost {ROUNDS} times during one scan")
