"""Fields that peewee has not: lists, sets, JSON that any database takes, members of enums, columns that are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakKeyDictionary

import peewee
from playhouse.fields import EnumField, IntEnumField

__all__ = ["EnumField", "IntEnumField", "JSONField", "ListField", "SetField", "Virtual"]


_Kind = tuple[Any, Any, Any]
_kinds: WeakKeyDictionary[Any, dict[Any, _Kind]] = WeakKeyDictionary()  # not in the fields, which are copied for subclasses


class JSONField(peewee.JSONField):
    """peewee's own, which asks the database that is used now how it holds JSON, instead of the one that the model was made with."""

    _dumps: Callable[[Any], str]
    _loads: Callable[[str], Any]

    def _db_hook(self, database: Any) -> None:
        """Nothing: see ``_kind``."""

    def _kind(self) -> _Kind:
        """How values are compared, written and read there."""
        database = self.model._meta.get_database_instance()
        if database is None:
            return None, None, None
        known = _kinds.setdefault(database, {})
        found = known.get((self._dumps, self._loads))
        if found is None:
            helper = database.json_methods(database)
            found = known[self._dumps, self._loads] = helper, helper.make_value_wrapper(self._dumps), helper.make_value_reader(self._loads)
        return found

    @property
    def _helper(self) -> Any:
        return self._kind()[0]

    @_helper.setter
    def _helper(self, value: object) -> None:
        """peewee's constructor clears it."""

    @property
    def _wrap(self) -> Any:
        return self._kind()[1]

    @_wrap.setter
    def _wrap(self, value: object) -> None:
        """peewee's constructor clears it."""

    @property
    def _read(self) -> Any:
        return self._kind()[2]

    @_read.setter
    def _read(self, value: object) -> None:
        """peewee's constructor clears it."""


class ListField(peewee.TextField):
    """A list of texts in one column, joined by ``separator``, which none of them may contain; the empty list is an empty text."""

    def __init__(self, separator: str = ",", **options: Any) -> None:
        self.separator = separator
        super().__init__(**options)

    def db_value(self, value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value
        return self._joined(value)

    def _joined(self, value: Iterable[Any]) -> str:
        texts = list(value)
        for text in texts:
            if not isinstance(text, str) or self.separator in text or (not text and len(texts) == 1):
                raise ValueError(f"{self.model.__name__}.{self.name} holds texts without {self.separator!r}, not {text!r}")
        return self.separator.join(texts)

    def python_value(self, value: Any) -> Any:
        return None if value is None else value.split(self.separator) if value else []


class SetField(ListField):
    """A set of texts in one column, in the order of the alphabet."""

    def _joined(self, value: Iterable[str]) -> str:
        return super()._joined(sorted(set(value)))

    def python_value(self, value: Any) -> Any:
        found = super().python_value(value)
        return None if found is None else set(found)


class Virtual:
    """A column that the database computes for each row that is read: ``total = Virtual(lambda order: order.price * order.amount)``.

    It is part of what ``select()`` without fields gives, and is never written.  In conditions use the expression itself.
    """

    def __init__(self, expression: Callable[[Any], Any]) -> None:
        self._expression = expression
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def column(self, source: Any) -> Any:
        """The expression for a model or its alias, under its name."""
        return self._expression(source).alias(self._name)

    def __get__(self, row: Any, owner: type) -> Any:
        """Of a row what was read, None for one that was not read; of the class the expression."""
        return self._expression(owner) if row is None else row.__dict__.get(self._name)

    def __set__(self, row: Any, value: Any) -> None:
        row.__dict__[self._name] = value
