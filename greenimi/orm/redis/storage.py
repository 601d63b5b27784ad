"""How a record is kept in Redis: as one value, as a field of a hash that many records share, or as a hash of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from greenimi.orm.records import Record, UnreadableRecord
from greenimi.pool.redis.scripts import Script

Place = tuple[str, str]
"""Key and, where several records share it, member."""

_DELETE_VALUE = Script("return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0")

_DELETE_MEMBER = Script("return redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] and redis.call('HDEL', KEYS[1], ARGV[1]) or 0")

_DELETE_HASH = Script("""
if redis.call('HLEN', KEYS[1]) ~= #ARGV / 2 then
    return 0
end
for i = 1, #ARGV, 2 do
    if redis.call('HGET', KEYS[1], ARGV[i]) ~= ARGV[i + 1] then
        return 0
    end
end
return redis.call('DEL', KEYS[1])
""")

_WRITE_HASH = Script("""
redis.call('DEL', KEYS[1])
for i = 2, #ARGV, 2 do
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
if ARGV[1] ~= '' then
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
""")


class Storage(Protocol):
    """``client`` may be a pipeline, too, except for ``delete_same``.  ``data`` is what was written, or None for nothing."""

    def pack(self, row: Record) -> Any:
        """The data of a record."""
        ...

    def read(self, client: Any, place: Place) -> Any:
        """Ask for what is there; ``data`` makes the data of the reply."""
        ...

    def data(self, reply: Any) -> Any: ...

    def unpack(self, model: type[Record], data: Any, where: str) -> Any: ...

    def write(self, client: Any, place: Place, data: Any, ttl: int | None) -> None:
        """In place of what was there; ``ttl`` is in milliseconds."""
        ...

    def delete(self, client: Any, place: Place) -> Any: ...

    def delete_same(self, client: Any, place: Place, data: Any) -> bool:
        """Delete it unless something else is there by now."""
        ...


class _OneValue:
    def pack(self, row: Record) -> bytes:
        return row._encode()

    def data(self, reply: Any) -> bytes | None:
        return reply.encode() if isinstance(reply, str) else reply  # text comes of clients that decode

    def unpack(self, model: type[Record], data: Any, where: str) -> Any:
        return model._decode(data, where)


class StringStorage(_OneValue):
    """JSON under a key."""

    def read(self, client: Any, place: Place) -> Any:
        return client.get(place[0])

    def write(self, client: Any, place: Place, data: bytes, ttl: int | None) -> None:
        client.set(place[0], data, px=ttl)

    def delete(self, client: Any, place: Place) -> Any:
        return client.delete(place[0])

    def delete_same(self, client: Any, place: Place, data: bytes) -> bool:
        return bool(_DELETE_VALUE([place[0]], [data], client))


class HashStorage(_OneValue):
    """JSON in a field of a hash."""

    def read(self, client: Any, place: Place) -> Any:
        return client.hget(*place)

    def write(self, client: Any, place: Place, data: bytes, ttl: int | None) -> None:
        client.hset(*place, data)

    def delete(self, client: Any, place: Place) -> Any:
        return client.hdel(*place)

    def delete_same(self, client: Any, place: Place, data: bytes) -> bool:
        return bool(_DELETE_MEMBER([place[0]], [place[1], data], client))


class HashObjectStorage:
    """A hash with a field, in JSON, for each of the record's."""

    def pack(self, row: Record) -> dict[str, bytes]:
        row._encode()  # which refuses what could not be read back
        return {name: msgspec.json.encode(getattr(row, name)) for name in row._field_names()}

    def read(self, client: Any, place: Place) -> Any:
        return client.hgetall(place[0])

    def data(self, reply: Mapping[Any, Any]) -> dict[str, bytes] | None:
        return {_text(name): value.encode() if isinstance(value, str) else value for name, value in reply.items()} or None

    def unpack(self, model: type[Record], data: Mapping[str, bytes], where: str) -> Any:
        try:
            return msgspec.convert({name: msgspec.json.decode(value) for name, value in data.items()}, model, str_keys=True)
        except msgspec.DecodeError as error:
            raise UnreadableRecord(f"{where} is no {model.__name__}: {error}") from error

    def write(self, client: Any, place: Place, data: Mapping[str, bytes], ttl: int | None) -> None:
        _WRITE_HASH([place[0]], ["" if ttl is None else ttl, *_flat(data)], client)

    def delete(self, client: Any, place: Place) -> Any:
        return client.delete(place[0])

    def delete_same(self, client: Any, place: Place, data: Mapping[str, bytes]) -> bool:
        return bool(_DELETE_HASH([place[0]], _flat(data), client))


def _flat(data: Mapping[str, bytes]) -> list[str | bytes]:
    return [part for pair in data.items() for part in pair]


def _text(name: bytes | str) -> str:
    return name if isinstance(name, str) else name.decode("utf-8", "replace")


STORAGES: dict[str, Storage] = {"string": StringStorage(), "hash": HashStorage(), "hash_object": HashObjectStorage()}
