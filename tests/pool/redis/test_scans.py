"""Scans whose server changes under them."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ConnectionError as LostConnection

from greenimi.pool.redis.scans import Scans, each_item


class Server(Scans):
    """Keys on pages of three; ``moves``: after which pages another server answers."""

    def __init__(self, keys: list[str], moves: set[int]) -> None:
        self.keys = keys
        self.moves = moves
        self.pages = 0
        self.server = 0
        self.asked: list[Any] = []

    def connection_to(self, name: Any) -> object:
        return self.server

    def scan(self, cursor: int = 0, **options: Any) -> tuple[int, list[str]]:
        self.asked.append(options)
        page, end = self.keys[cursor : cursor + 3], cursor + 3
        self.pages += 1
        if self.pages in self.moves:
            self.server += 1
        return (end if end < len(self.keys) else 0), page

    sscan = scan

    def hscan(self, name: str, cursor: int = 0, **options: Any) -> tuple[int, dict[str, str]]:
        cursor, page = self.scan(cursor, **options)
        return cursor, {key: key.upper() for key in page}


KEYS = [f"key{number}" for number in range(10)]


def test_page_by_page() -> None:
    server = Server(KEYS, set())
    scan = server.scan_each(match="key*", count=3, type="hash")
    assert [next(scan) for _ in range(4)] == KEYS[:4]
    assert server.pages == 2  # no more than is asked for
    assert list(scan) == KEYS[4:]
    assert server.asked[0] == {"match": "key*", "count": 3, "_type": "hash"}


def test_another_server_begins_anew() -> None:
    server = Server(KEYS, {2})
    assert list(server.scan_each()) == [*KEYS[:6], *KEYS]
    server = Server(KEYS, {4})  # with the last page: it may be from another order
    assert list(server.scan_each()) == [*KEYS, *KEYS]


def test_pairs() -> None:
    server = Server(KEYS, {1})
    assert dict(server.hscan_each("hash")) == {key: key.upper() for key in KEYS}


def test_not_for_ever() -> None:
    server = Server(KEYS, set(range(1000)))
    with pytest.raises(LostConnection, match="lost 16 times during one scan"):
        list(server.scan_each())
    assert server.pages == 16


def test_a_cursor_may_be_text() -> None:
    pages = iter([("1", ["a"]), ("0", ["b"])])
    assert list(each_item(lambda cursor: next(pages), lambda: 0)) == ["a", "b"]
