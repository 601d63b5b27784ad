"""Records in Redis, in each way in which they are kept, by each kind of client."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterator
from dataclasses import field
from typing import Any

import pytest

from greenimi.container.registry import Container, set_default_container
from greenimi.orm import RedisModel, UnreadableRecord
from greenimi.pool.redis.client import Redis
from greenimi.pool.redis.clients import make_client
from greenimi.pool.redis.settings import RedisSettings


class Kind(enum.Enum):
    GIFT = "gift"
    PLAIN = "plain"


class Value(RedisModel):
    shop: int
    name: str
    lines: list[str] = field(default_factory=list)
    kind: Kind = Kind.PLAIN
    when: dt.datetime | None = None
    seats: dict[int, str] = field(default_factory=dict)

    class Meta:
        key = "value:{shop}-{name}"


class Member(Value):
    class Meta:
        key = "members:{shop}"
        storage = "hash"
        member = "{name}"


class Hashed(Value):
    class Meta:
        key = "hashed:{shop}-{name}"
        storage = "hash_object"


@pytest.fixture(params=["shared", "decode", "cluster"])
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "cluster":
        settings = RedisSettings(cluster=request.getfixturevalue("redis_cluster").addresses)
    else:
        more: dict[str, Any] = {"decode": request.param == "decode"}
        settings = RedisSettings(url=request.getfixturevalue("redis_url"), **more)
    made: Any = make_client(settings)
    made.flushall()
    container = Container("app")
    container.add(Redis, made, "default")
    before = set_default_container(container)
    yield made
    set_default_container(before)
    made.close()


every_storage = pytest.mark.parametrize("model", [Value, Member, Hashed])

WHEN = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


@every_storage
def test_records_come_back_as_they_were(client: Any, model: type[Value]) -> None:
    row = model(1, "ä-%:b", ["x", "é"], Kind.GIFT, WHEN, {5: "Ann"})
    assert model.find(1, "ä-%:b") is None
    row.save()
    assert model.find(1, "ä-%:b") == row
    assert model.find(shop=1, name="ä-%:b") == row
    assert model.find(2, "ä-%:b") is None
    row.lines, row.when = [], None
    row.save()
    assert model.find(1, "ä-%:b") == row
    assert row.delete()
    assert not row.delete()
    assert model.find(1, "ä-%:b") is None


@every_storage
def test_many_at_once(client: Any, model: type[Value]) -> None:
    rows = [model(number, "n") for number in range(510)]
    model.save_many(rows)
    keys: list[Any] = [(509, "n"), (5000, "n"), {"shop": 3, "name": "n"}, (509, "n")]
    assert model.find_many(keys) == [rows[509], None, rows[3], rows[509]]
    assert model.find_many(()) == []
    assert model.delete_many([rows[0], (1, "n"), (5000, "n")]) == 2
    assert model.delete_many([(number, "n") for number in range(510)]) == 508


@every_storage
def test_safe_delete_leaves_what_was_changed(client: Any, model: type[Value]) -> None:
    model(1, "a").save()
    mine, yours = model.find(1, "a"), model.find(1, "a")
    assert mine is not None
    assert yours is not None
    yours.lines.append("more")
    yours.save()
    assert not mine.safe_delete()
    assert model.find(1, "a") == yours
    yours.lines.append("in memory only")
    assert yours.safe_delete()
    assert not yours.safe_delete()
    assert model.find(1, "a") is None


@every_storage
def test_safe_delete_of_a_record_that_was_not_read(client: Any, model: type[Value]) -> None:
    model(1, "a", ["x"]).save()
    assert not model(1, "a").safe_delete()
    assert model(1, "a", ["x"]).safe_delete()


def test_safe_delete_sees_fields_of_others(client: Any) -> None:
    row = Hashed(1, "a")
    row.save()
    client.hset("hashed:1-a", "more", "1")
    assert not row.safe_delete()
    row.save()
    assert client.hlen("hashed:1-a") == 6
    assert row.safe_delete()


@pytest.mark.parametrize("kind", ["string", "hash_object"])
def test_records_end(client: Any, kind: str) -> None:
    class Session(RedisModel):
        token: str
        user: int = 0

        class Meta:
            key = "session:{token}"
            storage = kind
            ttl = 100.0

    row = Session("a")
    row.save()
    assert 99_000 < client.pttl("session:a") <= 100_000
    row.save(ttl=0.5)
    assert 0 < client.pttl("session:a") <= 500
    with pytest.raises(ValueError, match="ttl is above 0"):
        row.save(ttl=0)


@every_storage
@pytest.mark.parametrize("stored", ['{"shop": "one", "name": "a"}', "nonsense", "\xff"])
def test_what_is_stored_is_something_else(client: Any, model: type[Value], stored: str) -> None:
    if model is Value:
        client.set("value:1-a", stored)
    else:
        client.hset("members:1" if model is Member else "hashed:1-a", "a" if model is Member else "shop", stored)
    with pytest.raises(UnreadableRecord, match=rf"what Redis has under \S+:1.* is no {model.__name__}: "):
        model.find(1, "a")


def test_keys_that_cannot_be(client: Any) -> None:
    with pytest.raises(TypeError, match=r"the key of Value is \(shop, name\), not 1 values"):
        Value.find(1)
    with pytest.raises(TypeError, match=r"the key of Value is \(shop, name\), not \(shop\)"):
        Value.find(shop=1)
    with pytest.raises(TypeError, match="not both"):
        Value.find(1, name="a")
    with pytest.raises(TypeError, match=r"Value: .*keys are made of texts"):
        Value.find(1, None)
    with pytest.raises(TypeError, match="RedisModel has no class Meta"):
        RedisModel.find(1)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"key": "a:{id}", "sorage": "hash"}, "Wrong: Meta has no option sorage; it has key, storage, member, ttl, redis"),
        ({"key": "a:{id}", "storage": "list"}, "Meta.storage 'list' is none of string, hash, hash_object"),
        ({"key": "a", "storage": "hash"}, "belong together"),
        ({"key": "a:{id}", "member": "{id}"}, "belong together"),
        ({"key": "a:{id}", "ttl": 0}, "Meta.ttl is above 0"),
        ({"key": "a", "storage": "hash", "member": "{id}", "ttl": 1.0}, "not of records that share a hash"),
        ({"key": "a:{ip}"}, "its key names ip, which is no field of it"),
        ({"key": "a"}, "all records would have the same key"),
        ({"key": "a:{shop}", "storage": "hash", "member": "b"}, "all records would have the same key"),
        ({"key": "{id}{shop}"}, "between id and shop must be a punctuation mark"),
    ],
)
def test_models_that_cannot_be(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(TypeError) as caught:
        type("Wrong", (RedisModel,), {"__annotations__": {"id": "int", "shop": "int"}, "Meta": type("Meta", (), options)})
    assert problem in str(caught.value)
