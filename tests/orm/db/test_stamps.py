from __future__ import annotations

import datetime as dt
import time

import peewee
import pytest

from greenimi.orm import Model, created_at, updated_at
from tests.orm.db.conftest import Tables, every_kind


class Event(Model):
    name = peewee.CharField(default="")
    made = created_at(peewee.DateTimeField())
    day = created_at(peewee.DateField())
    seconds = created_at(peewee.IntegerField())
    changed = updated_at(peewee.BigIntegerField())


@every_kind
def test_rows_say_when_they_were_made_and_changed(tables: Tables) -> None:
    tables(Event)
    before = time.time()
    event = Event.create()
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    found = Event.get()
    assert abs((now - found.made).total_seconds()) < 60
    assert found.day in (now.date(), (now - dt.timedelta(minutes=1)).date())
    assert int(before) <= found.seconds <= time.time()
    assert int(before * 1000) <= found.changed <= time.time() * 1000
    event.changed = event.seconds = 1
    event.save()
    found = Event.get()
    assert found.seconds == 1  # set by hand
    assert found.changed > 1


def test_queries_say_it_as_well(tables: Tables) -> None:
    tables(Event)
    Event.create()
    Event.update(changed=1).execute()
    assert Event.get().changed == 1  # said by hand
    Event.update(name="x").execute()
    assert Event.get().changed > 1


def test_a_time_of_creation_that_is_known_stays(tables: Tables) -> None:
    tables(Event)
    Event.create(seconds=7)
    assert Event.get().seconds == 7


def test_fields_that_hold_no_time() -> None:
    with pytest.raises(TypeError, match="Wrong: a CharField holds no time"):
        type("Wrong", (Model,), {"made": created_at(peewee.CharField())})
