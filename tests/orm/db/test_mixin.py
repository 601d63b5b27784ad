from __future__ import annotations

import peewee

from greenimi.orm import Fields, Model, created_at
from tests.orm.conftest import Tables


class Named(Fields):
    name = peewee.CharField(max_length=10)
    made = created_at(peewee.DateTimeField())


class Owned(Named):
    owner = peewee.ForeignKeyField("self", null=True, backref="owned")
    code = peewee.IntegerField(primary_key=True)

    indexes = ((("name", "owner"), True),)


class Thing(Owned, Model):
    name = peewee.TextField()


class Other(Owned, Model):
    pass


class Special(Thing):
    more = peewee.IntegerField(default=1)


def test_each_model_has_the_fields_for_itself() -> None:
    assert Thing._meta.sorted_field_names == ["code", "made", "owner", "name"]
    assert (type(Thing.name), type(Other.name)) == (peewee.TextField, peewee.CharField)
    assert Thing.owner.rel_model is Thing
    assert Other.owner.rel_model is Other
    assert Thing.code.model is Thing
    assert Thing._meta.primary_key is Thing.code
    assert isinstance(vars(Owned)["code"], peewee.IntegerField)
    assert not hasattr(vars(Owned)["code"], "model")


def test_indexes() -> None:
    assert Thing._meta.indexes == Other._meta.indexes == [(("name", "owner"), True)]
    assert Model._meta.indexes == []


def test_models_that_are_derived_from_such_a_model() -> None:
    assert type(Special.name) is peewee.TextField
    assert Special._meta.sorted_field_names == ["code", "made", "owner", "name", "more"]
    assert Special._meta.indexes == [(("name", "owner"), True)]
    assert Special.fork("special_2")._meta.table_name == "special_2"


def test_rows(tables: Tables) -> None:
    tables(Thing)
    first = Thing(code=1, name="a" * 20)
    first.save()
    Thing(code=2, name="b", owner=first).save()
    found = Thing.find(2)
    assert found is not None
    assert found.owner.name == "a" * 20
    assert found.made is not None
    assert [each.code for each in found.owner.owned] == [2]
