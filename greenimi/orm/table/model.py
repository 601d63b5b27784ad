"""The base of models whose rows the workers of a machine share."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Self

from greenimi.container.registry import current_container
from greenimi.errors import GreenimiError
from greenimi.lock import Lock
from greenimi.orm.records import Record, read_options
from greenimi.orm.table.names import check_key, check_name
from greenimi.orm.table.tables import Tables, current_tables

_PAGE = 200
"""Rows of one step of reading many."""


class RowError(GreenimiError):
    """A row is not there, or was changed meanwhile."""


@dataclass(frozen=True)
class SharedOptions:
    """``class Meta`` of a model.

    key    the name of the field that is the key, a text or a whole number
    table  the name of the table; by default that of the class.  Two classes with the same table have the same rows.
    rows   how many there may be; beyond it Overloaded (503)
    size   bytes of a row, as JSON
    lock   a name in conf, of the locks that ``lock`` takes
    """

    key: str
    table: str = ""
    rows: int = 10_000
    size: int = 8192
    lock: str = "default"


class SharedModel(Record):
    """A row that all workers of a machine see: a dataclass, with ``class Meta: key = "address"``; see :class:`SharedOptions`.

    Each call is one step for all workers.  Rows are there until they are deleted, or the application ends.
    """

    options: ClassVar[SharedOptions]
    _table: ClassVar[str]
    _hints: ClassVar[dict[str, Any]]

    @classmethod
    def _set_up(cls, meta: type) -> None:
        options = read_options(cls, meta, SharedOptions)
        if options.key not in cls._field_names():
            raise TypeError(f"{cls.__name__}: Meta.key names {options.key}, which is no field of it")
        for name in ("rows", "size"):
            if getattr(options, name) < 1:
                raise TypeError(f"{cls.__name__}: Meta.{name} is at least 1, not {getattr(options, name)}")
        cls.options, cls._table, cls._hints = options, options.table or cls.__name__, {}
        try:
            check_name("table", cls._table)
        except ValueError as error:
            raise TypeError(f"{cls.__name__}: {error}") from None

    # -- reading -----------------------------------------------------------------------------------------------------
    @classmethod
    def find(cls, key: str | int) -> Self | None:
        """The row of a key; None without one."""
        data = cls._tables().rows.get(cls._table, cls._text(key))
        return None if data is None else cls._decode(data, cls._where(key))

    @classmethod
    def each(cls) -> Iterator[Self]:
        """All rows, in the order of their keys as texts.  Rows that come or go meanwhile may be among them or not."""
        last = ""
        while page := cls._tables().rows.page(cls._table, last, _PAGE):
            for key, data in page:
                yield cls._decode(data, cls._where(key))
            last = page[-1][0]

    @classmethod
    def count(cls) -> int:
        return cls._tables().rows.count(cls._table)

    # -- writing -----------------------------------------------------------------------------------------------------
    def save(self) -> None:
        """Write it in place of the row that is there, whoever wrote that.  Overloaded when the table is full."""
        data = self._packed()
        self._change(self._key(), lambda _: data)

    def delete(self) -> bool:
        """Whether it was there."""
        return self.delete_many([self]) == 1

    @classmethod
    def delete_many(cls, keys: Iterable[Any]) -> int:
        """Delete rows, or those of keys, each in a step; how many were there."""
        done = 0
        for key in keys:
            there: list[bool] = []

            def drop(old: bytes | None, there: list[bool] = there) -> None:
                there.append(old is not None)

            cls._change(key._key() if isinstance(key, SharedModel) else key, drop)
            done += there[0]
        return done

    @classmethod
    def clear(cls) -> int:
        """Delete all rows; how many there were."""
        return cls._tables().rows.clear(cls._table)

    @classmethod
    def increment(cls, key: str | int, /, **by: float) -> Self:
        """Add to columns of numbers, in one step: ``Visitor.increment("::1", visits=1).visits``; what the row is then.

        A row that is not there is made of the fields' defaults; RowError where they have none.
        """
        for name, number in by.items():
            cls._check_number(name, number)

        def add(old: bytes | None) -> bytes:
            row = cls._fresh(key) if old is None else cls._decode(old, cls._where(key))
            for name, number in by.items():
                setattr(row, name, getattr(row, name) + number)
            return row._packed()

        row: Self = cls._decode(cls._change(key, add) or b"", cls._where(key))
        return row

    @classmethod
    @contextmanager
    def lock(cls, key: str | int, wait: float | None = None) -> Iterator[Self]:
        """``with Visitor.lock("::1") as row:`` no other worker is in such a block for this row; at its end the row is saved.

        LockTimeout after ``wait`` seconds, by default those of the locks.  A row that is not there is made of the fields' defaults.  Others
        may change the row without this lock: what they did to other columns stays, and RowError is raised where both changed the same one.
        When the block raises, nothing is saved.
        """
        locks: Any = current_container().get(Lock, cls.options.lock)
        with locks.hold(f"table:{cls._table}:{cls._text(key)}", **({} if wait is None else {"wait": wait})):
            data = cls._tables().rows.get(cls._table, cls._text(key))
            before = cls._fresh(key) if data is None else cls._decode(data, cls._where(key))
            row = cls._decode(before._packed(), cls._where(key))
            yield row
            cls._merge(key, before, row, there=data is not None)

    @classmethod
    def _merge(cls, key: str | int, before: Self, row: Self, *, there: bool) -> None:
        """Write what was changed, unless others have changed it as well."""
        changed = [name for name in cls._field_names() if getattr(row, name) != getattr(before, name)]
        if cls.options.key in changed:
            raise ValueError(f"{cls.__name__}.{cls.options.key} is the key of the row, which stays as it is")
        if there and not changed:
            return

        def write(old: bytes | None) -> bytes:
            if old is None and there:
                raise RowError(f"{cls._where(key)} was deleted while it was locked")
            now = cls._fresh(key) if old is None else cls._decode(old, cls._where(key))
            for name in changed:
                if getattr(now, name) != getattr(before, name):
                    raise RowError(f"{cls._where(key)} was changed while it was locked, by somebody without the lock: {name}")
                setattr(now, name, getattr(row, name))
            return now._packed()

        cls._change(key, write)

    # -- what others need --------------------------------------------------------------------------------------------
    @classmethod
    def _tables(cls) -> Tables:
        if not hasattr(cls, "options"):
            raise TypeError(f"{cls.__name__} has no class Meta, which would say the key")
        return current_tables()

    @classmethod
    def _change(cls, key: str | int, change: Any) -> bytes | None:
        return cls._tables().rows.change(cls._table, cls._text(key), change, cls.options.rows)

    def _key(self) -> Any:
        return getattr(self, self.options.key)

    @classmethod
    def _text(cls, key: Any) -> str:
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise TypeError(f"the key of {cls.__name__} is a text or a whole number, not {key!r}")
        return check_key(cls.__name__, str(key))

    @classmethod
    def _where(cls, key: Any) -> str:
        return f"the row {str(key)[:100]!r} of {cls._table}"

    def _packed(self) -> bytes:
        data = self._encode()
        if len(data) > self.options.size:
            raise ValueError(f"{self._where(self._key())} would have {len(data)} bytes; Meta.size is {self.options.size}")
        return data

    @classmethod
    def _fresh(cls, key: str | int) -> Self:
        made: Any = fields(cls)
        missing = [f.name for f in made if f.name != cls.options.key and f.init and f.default is MISSING and f.default_factory is MISSING]
        if missing:
            raise RowError(f"{cls._where(key)} is not there, and cannot be made: {', '.join(missing)} have no defaults")
        return cls(**{cls.options.key: key})

    @classmethod
    def _check_number(cls, name: str, by: Any) -> None:
        if not cls._hints:
            cls._hints = typing.get_type_hints(cls)
        kind = cls._hints.get(name) if name in cls._field_names() else None
        if kind not in (int, float) or name == cls.options.key:
            raise TypeError(f"{cls.__name__}.{name} is no column of whole numbers (int) or numbers (float)")
        if isinstance(by, bool) or not isinstance(by, int if kind is int else int | float):
            raise TypeError(f"{cls.__name__}.{name} is {kind.__name__}, to which {by!r} cannot be added")
