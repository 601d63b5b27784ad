"""What every IRowTable does."""

from __future__ import annotations

from abc import ABC, abstractmethod

import pytest

from greenimi.errors import Overloaded
from greenimi.interfaces import IRowTable

MANY = 1 << 30


def put(rows: IRowTable, key: str, row: bytes, table: str = "a", limit: int = MANY) -> None:
    rows.change(table, key, lambda _: row, limit)


class RowTableContract(ABC):
    """Rows in tables by name, each changed in one step."""

    @abstractmethod
    def make(self, size: int = 16 << 20) -> IRowTable:
        """An empty one, whose file has ``size`` bytes at most."""

    def test_rows_come_and_go(self) -> None:
        rows = self.make()
        assert rows.get("a", "k") is None
        for row in (b"1", b"", b"\0\xff" * 1000):
            put(rows, "k", row)
            assert rows.get("a", "k") == row
        assert rows.change("a", "k", lambda old: None, MANY) is None
        assert rows.get("a", "k") is None
        assert rows.change("a", "k", lambda old: old, MANY) is None
        assert rows.count("a") == 0

    def test_a_change_sees_what_is_there_and_gives_back_what_is_then(self) -> None:
        rows = self.make()
        seen = []
        for _ in range(3):

            def more(old: bytes | None) -> bytes:
                seen.append(old)
                return (old or b"") + b"x"

            last = rows.change("a", "k", more, MANY)
        assert seen == [None, b"x", b"xx"]
        assert last == b"xxx"

    def test_a_change_that_raises_does_nothing(self) -> None:
        rows = self.make()
        put(rows, "k", b"1")

        def fail(old: bytes | None) -> bytes:
            raise KeyError(old)

        for key in ("k", "other"):
            with pytest.raises(KeyError):
                rows.change("a", key, fail, MANY)
        assert rows.get("a", "k") == b"1"
        assert rows.count("a") == 1
        put(rows, "k", b"2")
        assert rows.get("a", "k") == b"2"

    @pytest.mark.parametrize("key", ["k", "ä:{}", "x" * 400, "a b\n", "%", "é\U0001f600"])
    def test_keys_are_apart(self, key: str) -> None:
        rows = self.make()
        put(rows, key, b"1")
        put(rows, "other", b"2")
        put(rows, key, b"3", table="b")
        assert (rows.get("a", key), rows.get("b", key), rows.get("b", "other")) == (b"1", b"3", None)
        assert rows.page("a", "", 10) == sorted([(key, b"1"), ("other", b"2")], key=lambda row: row[0].encode())

    def test_tables_are_counted_and_bounded(self) -> None:
        rows = self.make()
        for key in "123":
            put(rows, key, b"", limit=3)
        put(rows, "1", b"", table="b", limit=3)
        with pytest.raises(Overloaded, match="the table a has 3 rows already"):
            put(rows, "4", b"", limit=3)
        assert rows.get("a", "4") is None
        put(rows, "3", b"again", limit=3)
        assert (rows.count("a"), rows.count("b"), rows.count("c")) == (3, 1, 0)
        rows.change("a", "1", lambda _: None, 3)
        put(rows, "4", b"", limit=3)
        assert rows.count("a") == 3

    def test_pages_have_every_row_once_in_order(self) -> None:
        rows = self.make()
        keys = sorted(f"{number:o}" for number in range(100))
        for key in keys:
            put(rows, key, key.encode())
            put(rows, key, b"other", table="a:")
            put(rows, key, b"other", table="A")
        found: list[tuple[str, bytes]] = []
        while page := rows.page("a", found[-1][0] if found else "", 7):
            assert len(page) <= 7
            found += page
        assert found == [(key, key.encode()) for key in keys]
        assert rows.page("a", "100x", 1) == [("101", b"101")]
        assert rows.page("none", "", 1) == []

    def test_a_table_is_cleared(self) -> None:
        rows = self.make()
        for number in range(30):
            put(rows, str(number), b"1")
        put(rows, "1", b"2", table="b")
        put(rows, "1", b"3", table="A")
        assert rows.clear("a") == 30
        assert rows.clear("a") == 0
        assert (rows.count("a"), rows.page("a", "", 5), rows.count("b")) == (0, [], 1)
        assert (rows.get("b", "1"), rows.get("A", "1")) == (b"2", b"3")
        put(rows, "1", b"1")
        assert rows.count("a") == 1

    def test_a_file_has_so_many_bytes(self) -> None:
        rows = self.make(size=1 << 20)
        count = 0
        with pytest.raises(Overloaded, match="no room in the file of tables"):
            while count < 1000:
                put(rows, str(count), b"x" * 8192)
                count += 1
        assert 50 < count < 200
        assert rows.count("a") == count
        assert rows.get("a", str(count - 1)) == b"x" * 8192
        rows.change("a", "0", lambda _: None, MANY)
        put(rows, "new", b"x" * 8192)
        assert rows.clear("a") == count
        for number in range(count):
            put(rows, str(number), b"x" * 8192)
