from __future__ import annotations

import peewee
import pytest

from greenimi.container.registry import Container, set_default_container
from greenimi.errors import MissingBean, NoScope
from greenimi.orm import Model
from greenimi.orm.db.named import named
from greenimi.pool.database.database import Database
from tests.orm.db.conftest import Tables, every_kind
from tests.orm.db.shop import Shop


def test_outside_of_an_application_there_is_none() -> None:
    before = set_default_container(None)
    try:
        assert named("default").obj is None
        with pytest.raises(NoScope):
            Shop.select().count()
        assert repr(named("default")) == "<the database default of the running application>"
    finally:
        set_default_container(before)


def test_a_name_that_conf_has_not(running: Container) -> None:
    assert running is not None
    assert named("nowhere").obj is None
    with pytest.raises(MissingBean):
        named("nowhere").execute_sql("SELECT 1")


def test_it_is_bound_to_no_other() -> None:
    with pytest.raises(TypeError, match="is found by its name"):
        named("default").initialize(peewee.SqliteDatabase(":memory:"))


@every_kind
def test_transactions_of_the_database_behind_it(tables: Tables, running: Container) -> None:
    tables(Shop)
    database = named("default")

    def fail() -> None:
        with database.atomic():
            Shop.create(name="one")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert Shop.select().count() == 0
    with database.atomic():
        Shop.create(name="two")
    assert Shop.select().count() == 1
    assert database.obj is running.get(Database, "default")
    assert named("default") is database


@every_kind
def test_bytes_in_any_database(tables: Tables) -> None:
    class Picture(Model):
        data = peewee.BlobField()

    tables(Picture)
    Picture.create(data=b"\x00\xff")
    assert bytes(Picture.get().data) == b"\x00\xff"
