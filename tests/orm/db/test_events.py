from __future__ import annotations

from typing import Any

import pytest

from greenimi.container.registry import Container
from greenimi.event import Events
from greenimi.orm import AfterDelete, AfterInsert, AfterSave, AfterUpdate, BeforeDelete, BeforeInsert, BeforeSave, BeforeUpdate, ModelEvent
from tests.orm.db.conftest import Tables
from tests.orm.db.shop import Shop


def test_each_event_once_and_in_order(running: Container, tables: Tables) -> None:
    tables(Shop)
    heard: list[Any] = []
    running.get(Events).on(ModelEvent, heard.append)
    shop = Shop.create(name="one")
    assert [type(event) for event in heard] == [BeforeSave, BeforeInsert, AfterInsert, AfterSave]
    assert all(event.row is shop for event in heard)
    heard.clear()
    shop.save()
    assert [type(event) for event in heard] == [BeforeSave, BeforeUpdate, AfterUpdate, AfterSave]
    heard.clear()
    shop.delete_instance()
    assert [type(event) for event in heard] == [BeforeDelete, AfterDelete]


def test_listeners_change_what_is_saved_and_may_refuse(running: Container, tables: Tables) -> None:
    tables(Shop)

    def upper(event: BeforeSave) -> None:
        event.row.name = event.row.name.upper()

    def refuse(event: BeforeInsert) -> None:
        if event.row.name == "BAD":
            raise ValueError("no")

    running.get(Events).on(BeforeSave, upper)
    running.get(Events).on(BeforeInsert, refuse)
    Shop.create(name="one")
    with pytest.raises(ValueError, match="no"):
        Shop.create(name="bad")
    assert [shop.name for shop in Shop.select()] == ["ONE"]
