"""Values in a Redis as fields of hashes, which take less memory than keys of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from zope.interface import implementer

from greenimi.cache.redis import chunks, keys_below, milliseconds
from greenimi.interfaces import ICacheStore
from greenimi.pool.redis.scripts import Script

__all__ = ["RedisHashStore"]

SEPARATOR = "->"

_BEGIN = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local hash = KEYS[1]

local function dated(value, lifetime)
    return (lifetime == '' and '' or string.format('%.0f', now + tonumber(lifetime))) .. ':' .. value
end

local function live(field)  -- the value, and the text of its end
    local kept = redis.call('HGET', hash, field)
    if not kept then
        return nil
    end
    local colon = string.find(kept, ':', 1, true)
    local ends = string.sub(kept, 1, colon - 1)
    if ends ~= '' and tonumber(ends) <= now then
        return nil
    end
    return string.sub(kept, colon + 1), ends
end
"""

_GET = Script(
    _BEGIN
    + """
local found = {}
for i, field in ipairs(ARGV) do
    found[i] = live(field) or false
end
return found
"""
)

_SET = Script(
    _BEGIN
    + """
for i = 2, #ARGV, 2 do
    redis.call('HSET', hash, ARGV[i], dated(ARGV[i + 1], ARGV[1]))
end
"""
)

_ADD = Script(
    _BEGIN
    + """
if live(ARGV[2]) then
    return 0
end
redis.call('HSET', hash, ARGV[2], dated(ARGV[3], ARGV[1]))
return 1
"""
)

_TOUCH = Script(
    _BEGIN
    + """
local value = live(ARGV[2])
if not value then
    return 0
end
redis.call('HSET', hash, ARGV[2], dated(value, ARGV[1]))
return 1
"""
)

_DELETE = Script(
    _BEGIN
    + """
local count = 0
for _, field in ipairs(ARGV) do
    if live(field) then
        count = count + 1
    end
    redis.call('HDEL', hash, field)
end
return count
"""
)

_INCREMENT = Script(
    _BEGIN
    + """
local value, ends = live(ARGV[2])
if value == nil then
    value = '0'
    ends = ARGV[1] == '' and '' or string.format('%.0f', now + tonumber(ARGV[1]))
end
redis.call('HSET', hash, ARGV[2], value)
local number = redis.pcall('HINCRBY', hash, ARGV[2], ARGV[3])
local failed = type(number) == 'table'
if not failed then
    value = redis.call('HGET', hash, ARGV[2])
end
redis.call('HSET', hash, ARGV[2], ends .. ':' .. value)
return not failed and value
"""
)

_COLLECT = Script(
    _BEGIN
    + """
local limit, count = tonumber(ARGV[2]), 0
local page = redis.call('HSCAN', hash, ARGV[1], 'COUNT', limit)
for i = 1, #page[2], 2 do
    if count < limit and not live(page[2][i]) then
        count = count + redis.call('HDEL', hash, page[2][i])
    end
end
return {page[1], count}
"""
)
"""Each is one step, by the clock of the server.  What is kept is the end in milliseconds, empty without one, a colon, the value."""


@implementer(ICacheStore)
class RedisHashStore:
    """``cart->42`` is the field ``42`` of the hash ``cart``; keys without ``->`` are in a hash together.  On a Cluster each is on one node.

    The fields of a Redis do not end by themselves: those that are over are not given out, and removed little by little.
    ``client``: with the commands of redis.Redis, giving bytes.  It is not this store's own, and stays open.
    """

    def __init__(self, client: Any, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._hashes: Iterator[bytes] = iter(())
        self._hash: bytes | None = None  # that is being looked through for what is over
        self._cursor: Any = 0

    def _place(self, key: str) -> tuple[str, str]:
        head, separator, field = key.partition(SEPARATOR)
        return (self._prefix + head, field) if separator and head else (self._prefix, key)

    def _run(self, script: Script, key: str, *args: object) -> Any:
        """On one field, which follows the first of ``args``."""
        name, field = self._place(key)
        return script([name], [args[0], field, *args[1:]], self._client)

    def _by_hash(self, keys: Iterable[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for key in keys:
            found.setdefault(self._place(key)[0], []).append(key)
        return found

    def get(self, key: str) -> bytes | None:
        return self.get_many([key])[0]

    def get_many(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        values: dict[str, bytes | None] = {}
        for name, inside in self._by_hash(keys).items():
            for some in chunks(inside):
                values.update(zip(some, _GET([name], [self._place(key)[1] for key in some], self._client), strict=True))
        return [values[key] for key in keys]

    def set(self, key: str, value: bytes, lifetime: float | None) -> None:
        self.set_many({key: value}, lifetime)

    def set_many(self, values: Mapping[str, bytes], lifetime: float | None) -> None:
        for name, inside in self._by_hash(values).items():
            for some in chunks(inside):
                pairs = [part for key in some for part in (self._place(key)[1], values[key])]
                _SET([name], [milliseconds(lifetime) or "", *pairs], self._client)

    def add(self, key: str, value: bytes, lifetime: float | None) -> bool:
        return bool(self._run(_ADD, key, milliseconds(lifetime) or "", value))

    def touch(self, key: str, lifetime: float | None) -> bool:
        return bool(self._run(_TOUCH, key, milliseconds(lifetime) or ""))

    def delete(self, key: str) -> bool:
        return self.delete_many([key]) > 0

    def delete_many(self, keys: Sequence[str]) -> int:
        count = 0
        for name, inside in self._by_hash(keys).items():
            for some in chunks(inside):
                count += int(_DELETE([name], [self._place(key)[1] for key in some], self._client))
        return count

    def clear(self) -> None:
        for name in keys_below(self._client, self._prefix):
            self._client.unlink(name)

    def increment(self, key: str, by: int, lifetime: float | None) -> int:
        found = self._run(_INCREMENT, key, milliseconds(lifetime) or "", by)
        if found is None:
            raise ValueError("the value is no number that can be added to, or would have more than 64 bits")
        return int(found)

    def collect(self, limit: int) -> int:
        """One page of one hash."""
        if limit < 1:
            return 0
        if self._hash is None:
            self._hash = next(self._hashes, None)
            if self._hash is None:
                self._hashes = iter(keys_below(self._client, self._prefix))
                self._hash = next(self._hashes, None)
            if self._hash is None:
                return 0
        self._cursor, removed = _COLLECT([self._hash], [self._cursor, limit], self._client)
        if int(self._cursor) == 0:
            self._hash = None
        return int(removed)

    def close(self) -> None:
        """There is nothing to give back."""
