"""Models for the tests."""

from __future__ import annotations

from peewee import (
    BigIntegerField,
    CharField,
    CompositeKey,
    DateTimeField,
    ForeignKeyField,
    IntegerField,
)

from greenimi.orm import (
    JSONField,
    ListField,
    Model,
    Serialise,
    SetField,
    Virtual,
    created_at,
    made,
    named_uuid,
    updated_at,
    uuid7,
)


class Shop(Model):
    name = CharField()
    gone = BigIntegerField(default=0)

    class Meta:
        soft_delete = "gone"


class Order(Model):
    shop = ForeignKeyField(Shop, backref="orders")
    price = IntegerField(default=2)
    amount = IntegerField(default=3)
    tags = ListField(default=list)
    marks = SetField(null=True)
    more = JSONField(null=True)
    created = created_at(DateTimeField())
    changed = updated_at(BigIntegerField())
    total = Virtual(lambda order: order.price * order.amount)


class Seat(Model):
    row = IntegerField()
    number = IntegerField()
    who = CharField(null=True)

    class Meta:
        primary_key = CompositeKey("row", "number")


class Key(Model):
    id = CharField(primary_key=True, default=uuid7)
    name = CharField()
    digest = made(CharField(null=True), named_uuid("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "name"))

    class Meta:
        serialise = Serialise(deny=["digest"])
        shard = lambda key: f"key_{key % 2}"  # noqa: E731 - as a user would write it
