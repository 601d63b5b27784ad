"""What each way of storage puts into Redis, as other programs see it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from greenimi.orm.records import Record
from greenimi.orm.redis.storage import STORAGES
from greenimi.pool.redis.client import Redis


class Thing(Record):
    name: str
    size: int = 1


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    made = Redis.from_url(redis_url)
    yield made
    made.close()


@pytest.mark.parametrize("name", STORAGES)
def test_what_is_written_is_in_the_place_of_what_was_there(client: Any, name: str) -> None:
    storage = STORAGES[name]
    for row in (Thing("a"), Thing("b", 2)):
        storage.write(client, ("key", "member"), storage.pack(row), None)
        data = storage.data(storage.read(client, ("key", "member")))
        assert storage.unpack(Thing, data, "here") == row
    if name == "string":
        assert client.get("key") == b'{"name":"b","size":2}'
    elif name == "hash":
        assert client.hgetall("key") == {b"member": b'{"name":"b","size":2}'}
    else:
        assert client.hgetall("key") == {b"name": b'"b"', b"size": b"2"}


@pytest.mark.parametrize("name", STORAGES)
def test_only_the_same_is_deleted(client: Any, name: str) -> None:
    storage = STORAGES[name]
    data = storage.pack(Thing("a"))
    assert not storage.delete_same(client, ("key", "member"), data)
    storage.write(client, ("key", "member"), data, None)
    assert not storage.delete_same(client, ("key", "member"), storage.pack(Thing("a", 2)))
    assert storage.delete_same(client, ("key", "member"), data)
    assert not client.exists("key")


def test_an_older_life_ends_with_what_was_there(client: Any) -> None:
    for name in ("string", "hash_object"):
        storage = STORAGES[name]
        storage.write(client, (name, ""), storage.pack(Thing("a")), 5000)
        assert 0 < client.pttl(name) <= 5000
        storage.write(client, (name, ""), storage.pack(Thing("a")), None)
        assert client.pttl(name) == -1


def test_a_hash_of_other_things_shows_what_is_not_understood(client: Any) -> None:
    storage = STORAGES["hash_object"]
    client.hset("key", mapping={"name": '"a"', b"\xff": "1"})
    assert storage.unpack(Thing, storage.data(storage.read(client, ("key", ""))), "here") == Thing("a")
