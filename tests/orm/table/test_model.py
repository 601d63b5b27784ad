from __future__ import annotations

import math
from dataclasses import field
from typing import Annotated, Any

import msgspec
import pytest

from greenimi import green
from greenimi.errors import Overloaded
from greenimi.lock import LockTimeout
from greenimi.orm import RowError, SharedModel, UnreadableRecord
from greenimi.orm.table.tables import Tables


class Visitor(SharedModel):
    address: Annotated[str, msgspec.Meta(max_length=45)]
    visits: int = 0
    seconds: float = 0.0
    pages: list[str] = field(default_factory=list)

    class Meta:
        key = "address"
        rows = 300
        size = 1000


class Seat(SharedModel):
    number: int
    who: str

    class Meta:
        key = "number"
        table = "seats"


def test_rows_come_and_go(running: Tables) -> None:
    row = Visitor("::1", 1, 2.5, ["a"])
    assert Visitor.find("::1") is None
    row.save()
    assert Visitor.find("::1") == row
    row.visits = 2
    row.save()
    assert Visitor.find("::1") == row
    assert Visitor.count() == 1
    assert row.delete()
    assert not row.delete()
    assert Visitor.count() == 0


def test_keys_are_texts_or_numbers(running: Tables) -> None:
    Seat(7, "Ann").save()
    assert Seat.find(7) == Seat(7, "Ann")
    for key in (True, 1.5, None, ("a",)):
        wrong: Any = key
        with pytest.raises(TypeError, match="the key of Seat is a text or a whole number"):
            Seat.find(wrong)
    for text in ("", "a\0b", "x" * 401):
        with pytest.raises(ValueError, match="a key of Visitor has 1 to 400 bytes"):
            Visitor.find(text)


def test_rows_are_counted_told_and_deleted(running: Tables) -> None:
    for number in range(250):
        Visitor(f"{number:03}").save()
    Seat(1, "Ann").save()
    assert [row.address for row in Visitor.each()] == [f"{number:03}" for number in range(250)]
    assert Visitor.delete_many(["000", Visitor("001"), "none"]) == 2
    assert Visitor.count() == 248
    assert Visitor.clear() == 248
    assert list(Visitor.each()) == []
    assert Seat.count() == 1


def test_a_table_has_so_many_rows_and_a_row_so_many_bytes(running: Tables) -> None:
    for number in range(300):
        Visitor(str(number)).save()
    with pytest.raises(Overloaded, match="the table Visitor has 300 rows already"):
        Visitor("more").save()
    with pytest.raises(Overloaded, match="has 300 rows already"):
        Visitor.increment("more", visits=1)
    Visitor("5", 7).save()
    with pytest.raises(ValueError, match=r"the row '5' of Visitor would have \d+ bytes; Meta.size is 1000"):
        Visitor("5", 7, pages=["x" * 1000]).save()


@pytest.mark.parametrize(
    "values", [{"visits": "one"}, {"visits": 1.5}, {"seconds": math.nan}, {"address": "x" * 46}, {"pages": [1]}], ids=str
)
def test_what_is_not_of_its_type_is_not_written(running: Tables, values: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="Visitor cannot be written: "):
        Visitor(**{"address": "a", **values}).save()
    assert Visitor.count() == 0


def test_a_row_of_another_class(running: Tables) -> None:
    class Old(SharedModel):
        address: str
        visits: str

        class Meta:
            key = "address"
            table = "Visitor"

    Old("a", "many").save()
    with pytest.raises(UnreadableRecord, match="the row 'a' of Visitor is no Visitor: "):
        Visitor.find("a")


def test_columns_are_incremented(running: Tables) -> None:
    assert Visitor.increment("a", visits=2, seconds=0.5) == Visitor("a", 2, 0.5)
    assert Visitor.increment("a", visits=-5, seconds=1) == Visitor("a", -3, 1.5)
    assert Visitor.find("a") == Visitor("a", -3, 1.5)
    with pytest.raises(RowError, match="the row '1' of seats is not there, and cannot be made: who have no defaults"):
        Seat.increment(1)
    for wrong in ({"visits": 0.5}, {"visits": True}, {"pages": 1}, {"vists": 1}, {"address": 1}):
        by: Any = wrong
        with pytest.raises(TypeError, match=r"Visitor\.\w+ is (no column of|int, to which)"):
            Visitor.increment("a", **by)
    with pytest.raises(TypeError, match="cannot be written"):
        Visitor.increment("a", seconds=math.inf)
    assert Visitor.find("a") == Visitor("a", -3, 1.5)


def test_a_locked_row_is_saved_at_the_end(running: Tables) -> None:
    with Visitor.lock("a") as row:
        row.pages.append("/")
        row.visits += 1
    assert Visitor.find("a") == Visitor("a", 1, 0.0, ["/"])

    def fail() -> None:
        with Visitor.lock("a") as row:
            row.visits += 1
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with Visitor.lock("a"):
        pass
    with Visitor.lock("b"):
        pass
    assert [row.visits for row in Visitor.each()] == [1, 0]


def test_a_locked_row_is_of_one_at_a_time(running: Tables) -> None:
    def add() -> None:
        for _ in range(10):
            with Visitor.lock("a", wait=10.0) as row:
                found = row.visits
                green.sleep(0)
                row.visits = found + 1

    for greenlet in [green.spawn(add) for _ in range(5)]:
        greenlet.get()
    assert Visitor.increment("a").visits == 50
    with Visitor.lock("a"):
        other = green.spawn(lambda: Visitor.lock("a", wait=0.0).__enter__())
        with pytest.raises(LockTimeout):
            other.get()


def test_what_others_do_to_a_locked_row_is_not_lost(running: Tables) -> None:
    with Visitor.lock("a") as row:
        Visitor.increment("a", visits=3)
        row.seconds = 1.5
    assert Visitor.find("a") == Visitor("a", 3, 1.5)

    def both() -> None:
        with Visitor.lock("a") as row:
            row.visits += 1
            Visitor.increment("a", visits=1)

    with pytest.raises(RowError, match="the row 'a' of Visitor was changed while it was locked, by somebody without the lock: visits"):
        both()
    assert Visitor.increment("a").visits == 4

    def gone() -> None:
        with Visitor.lock("a") as row:
            row.visits += 1
            row.delete()

    with pytest.raises(RowError, match="was deleted while it was locked"):
        gone()

    def moved() -> None:
        with Visitor.lock("a") as row:
            row.address = "b"

    with pytest.raises(ValueError, match=r"Visitor\.address is the key"):
        moved()
    assert Visitor.count() == 0


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"key": "ip"}, "Wrong: Meta.key names ip, which is no field of it"),
        ({"key": "id", "row": 1}, "Meta has no option row; it has key, table, rows, size, lock"),
        ({"key": "id", "rows": 0}, "Meta.rows is at least 1, not 0"),
        ({"key": "id", "table": "/a"}, "the name of a table has up to 64 letters"),
    ],
)
def test_models_that_cannot_be(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(TypeError) as caught:
        type("Wrong", (SharedModel,), {"__annotations__": {"id": "int"}, "Meta": type("Meta", (), options)})
    assert problem in str(caught.value)


def test_a_model_without_meta() -> None:
    with pytest.raises(TypeError, match="SharedModel has no class Meta"):
        SharedModel.find("a")
