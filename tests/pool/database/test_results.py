"""Rows in memory."""

from __future__ import annotations

from greenimi.pool.database.results import Rows


def rows() -> Rows:
    return Rows(((1, "a"), (2, "b"), (3, "c")), (("id",), ("name",)), 3, None)


def test_rows_are_fetched_once() -> None:
    found = rows()
    assert found.fetchone() == (1, "a")
    assert found.fetchmany(1) == [(2, "b")]
    assert found.fetchall() == [(3, "c")]
    assert found.fetchone() is None
    assert found.fetchall() == []
    assert len(found) == 3


def test_rows_are_iterated_on() -> None:
    found = rows()
    assert [row[0] for row in found] == [1, 2, 3]
    assert list(found) == []


def test_rows_by_the_names_of_columns() -> None:
    assert rows().columns == ["id", "name"]
    assert rows().dicts()[1] == {"id": 2, "name": "b"}
    assert Rows((), None, 0, 7).dicts() == []


def test_closed_rows_are_none() -> None:
    found = rows()
    found.fetchone()
    found.close()
    assert found.fetchall() == []
