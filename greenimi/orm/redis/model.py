"""The base of models whose rows are values in a Redis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar, Self

from greenimi.container.registry import current_container
from greenimi.orm.records import Record, read_options
from greenimi.orm.redis.keys import KeyRule
from greenimi.orm.redis.storage import STORAGES, Place, Storage
from greenimi.pool.redis.client import Redis

__all__ = ["RedisModel", "RedisOptions"]

_TOGETHER = 500
"""Records of one round trip."""


@dataclass(frozen=True)
class RedisOptions:
    """``class Meta`` of a model.

    key      the key of a record, with the names of fields in braces: ``"basket:{user}"``
    storage  ``"string"``: JSON under that key; ``"hash_object"``: a hash of the fields; ``"hash"``: JSON in a field of a hash, which
             many records share
    member   with ``"hash"``: the field of a record, like ``key``
    ttl      seconds after which a record is gone, from its last ``save`` on; not with ``"hash"``
    redis    a name in conf
    """

    key: str
    storage: str = "string"
    member: str = ""
    ttl: float | None = None
    redis: str = "default"


class RedisModel(Record):
    """A record in Redis: a dataclass, with ``class Meta: key = "basket:{user}"``; see :class:`RedisOptions`."""

    options: ClassVar[RedisOptions]
    _rules: ClassVar[tuple[KeyRule, KeyRule]]
    _names: ClassVar[list[str]]
    _storage: ClassVar[Storage]
    _stored: ClassVar[Any] = None  # what of an object was read or written last; in the object itself then

    @classmethod
    def _set_up(cls, meta: type) -> None:
        options = read_options(cls, meta, RedisOptions)
        if options.storage not in STORAGES:
            raise TypeError(f"{cls.__name__}: Meta.storage {options.storage!r} is none of {', '.join(STORAGES)}")
        if (options.storage == "hash") != bool(options.member):
            raise TypeError(f'{cls.__name__}: Meta.member and storage = "hash" belong together')
        if options.ttl is not None and (options.ttl <= 0 or options.storage == "hash"):
            raise TypeError(f"{cls.__name__}: Meta.ttl is above 0, and not of records that share a hash")
        try:
            rules = KeyRule(options.key), KeyRule(options.member)
        except ValueError as error:
            raise TypeError(f"{cls.__name__}: {error}") from None
        names = list(dict.fromkeys((*rules[0].fields, *rules[1].fields)))
        for name in names:
            if name not in cls._field_names():
                raise TypeError(f"{cls.__name__}: its key names {name}, which is no field of it")
        if not (rules[1] if options.member else rules[0]).fields:
            raise TypeError(f"{cls.__name__}: all records would have the same key; name a field in braces")
        cls.options, cls._rules, cls._names, cls._storage = options, rules, names, STORAGES[options.storage]

    # -- reading -----------------------------------------------------------------------------------------------------
    @classmethod
    def find(cls, *key: Any, **values: Any) -> Self | None:
        """The record of a key: the values of its fields, in the order in which the key names them, or by name.  None without one.

        UnreadableRecord when what is there is something else.
        """
        if key and values:
            raise TypeError(f"say the key of a {cls.__name__} by its values or by their names, not both")
        place = cls._place(values or key)
        return cls._loaded(place, cls._storage.read(cls._client(), place))

    @classmethod
    def find_many(cls, keys: Iterable[Any]) -> list[Self | None]:
        """The records of many keys (values, tuples or mappings), in their order; one round trip for each 500."""
        found: list[Self | None] = []
        for some in _some(keys):
            places = [cls._place(key) for key in some]
            pipeline = cls._client().pipeline(transaction=False)
            for place in places:
                cls._storage.read(pipeline, place)
            found += map(cls._loaded, places, pipeline.execute())
        return found

    # -- writing -----------------------------------------------------------------------------------------------------
    def save(self, ttl: float | None = None) -> None:
        """Write it in place of what is there.  ``ttl``: seconds, in place of those of the model."""
        self.save_many([self], ttl)

    @classmethod
    def save_many(cls, rows: Iterable[Self], ttl: float | None = None) -> None:
        """Write many, 500 in a round trip.  After an error some may have been written."""
        seconds = cls.options.ttl if ttl is None else ttl
        if ttl is not None and (ttl <= 0 or cls.options.storage == "hash"):
            raise ValueError(f"ttl is above 0, and not of records that share a hash, as those of {cls.__name__} may")
        until = None if seconds is None else max(1, round(seconds * 1000))
        for some in _some(rows):
            packed = [(row._own_place(), cls._storage.pack(row)) for row in some]
            client = cls._client()
            target = client.pipeline(transaction=False) if len(some) > 1 else client
            for place, data in packed:
                cls._storage.write(target, place, data, until)
            if target is not client:
                target.execute()
            for row, (_, data) in zip(some, packed, strict=True):
                vars(row)["_stored"] = data

    def delete(self) -> bool:
        """Whether it was there."""
        return bool(self._storage.delete(self._client(), self._own_place()))

    def safe_delete(self) -> bool:
        """Delete it unless it was changed since this object was read or saved; in one step.  False: it was changed, or is gone.

        An object that was neither read nor saved is compared as ``save`` would write it.
        """
        data = self._storage.pack(self) if self._stored is None else self._stored
        return self._storage.delete_same(self._client(), self._own_place(), data)

    @classmethod
    def delete_many(cls, keys: Iterable[Any]) -> int:
        """Delete records, or those of keys as for ``find_many``, 500 in a round trip.  How many were there."""
        done = 0
        for some in _some(keys):
            pipeline = cls._client().pipeline(transaction=False)
            for key in some:
                cls._storage.delete(pipeline, key._own_place() if isinstance(key, cls) else cls._place(key))
            done += sum(map(int, pipeline.execute()))
        return done

    # -- where it is -------------------------------------------------------------------------------------------------
    @classmethod
    def _client(cls) -> Any:
        return current_container().get(Redis, cls.options.redis)

    def _own_place(self) -> Place:
        return self._place({name: getattr(self, name) for name in self._names})

    @classmethod
    def _place(cls, key: Any) -> Place:
        if not hasattr(cls, "options"):
            raise TypeError(f"{cls.__name__} has no class Meta, which would say the key")
        names = cls._names
        if not isinstance(key, Mapping):
            parts = key if isinstance(key, tuple) else (key,)
            if len(parts) != len(names):
                raise TypeError(f"the key of {cls.__name__} is ({', '.join(names)}), not {len(parts)} values")
            key = dict(zip(names, parts, strict=True))
        elif set(key) != set(names):
            raise TypeError(f"the key of {cls.__name__} is ({', '.join(names)}), not ({', '.join(key)})")
        try:
            return cls._rules[0].key(key), cls._rules[1].key(key)
        except TypeError as error:
            raise TypeError(f"{cls.__name__}: {error}") from None

    @classmethod
    def _loaded(cls, place: Place, reply: Any) -> Self | None:
        data = cls._storage.data(reply)
        if data is None:
            return None
        row: Self = cls._storage.unpack(cls, data, f"what Redis has under {' '.join(filter(None, place))}")
        vars(row)["_stored"] = data
        return row


def _some(items: Iterable[Any]) -> Iterator[list[Any]]:
    source = iter(items)
    while found := list(islice(source, _TOGETHER)):
        yield found
