from __future__ import annotations

import uuid

import pytest

from greenimi.orm import Model, made, named_uuid, uuid1, uuid4, uuid7
from tests.orm.db.conftest import Tables
from tests.orm.db.shop import Key


def test_uuids_are_what_they_say() -> None:
    for make, version in ((uuid1, 1), (uuid4, 4), (uuid7, 7)):
        found = [make() for _ in range(1000)]
        assert len(set(found)) == 1000
        assert {uuid.UUID(each).version for each in found} == {version}
        assert {uuid.UUID(each).variant for each in found} == {uuid.RFC_4122}


def test_uuid7_grows_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for milliseconds in range(1000, 1010):
        monkeypatch.setattr("time.time_ns", lambda now=milliseconds: now * 1_000_000)
        found.append(uuid7())
    assert found == sorted(found)
    assert uuid.UUID(found[0]).int >> 80 == 1000


def test_a_key_of_other_values(tables: Tables) -> None:
    tables(Key)
    one, two = Key.create(name="a"), Key.create(name="a")
    assert one.digest == two.digest == str(uuid.uuid5(uuid.NAMESPACE_DNS, "a"))
    assert Key.create(name="b", digest="mine").digest == "mine"
    assert named_uuid(uuid.NAMESPACE_DNS, "name", md5=True)(one) == str(uuid.uuid3(uuid.NAMESPACE_DNS, "a"))


def test_a_key_of_values_that_are_not_there() -> None:
    with pytest.raises(ValueError, match="Key: its key is made of name, which must have values"):
        Key().save()


def test_any_function_makes_a_key(tables: Tables) -> None:
    import peewee

    class Ticket(Model):
        id = made(peewee.CharField(primary_key=True), lambda row: f"T-{row.number}")
        number = peewee.IntegerField()

    tables(Ticket)
    ticket = Ticket(number=5)
    ticket.save()
    assert Ticket.exists("T-5")
