"""Fields that several models have, or that are generated from a table, without being a model of their own."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, ClassVar

import peewee


class Fields:
    """A class of fields that models take over: ``class Order(Dated, Model)`` has those of ``class Dated(Fields)`` beside its own.

    It has no table, and nothing refers to it.  What the model says itself counts.
    """

    indexes: ClassVar[Sequence[Any]] = ()
    """Those of several fields, which the model gets beside its own; written as in ``class Meta`` of a model."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for mixin in _mixins(cls):  # peewee looks at what the class has right after this
            for name, field in vars(mixin).items():
                if isinstance(field, peewee.Field) and name not in vars(cls):
                    setattr(cls, name, deepcopy(field))

    @classmethod
    def validate_model(cls) -> None:
        """Called by peewee when the class of a model is made."""
        indexes: list[Any] = cls._meta.indexes  # type: ignore[attr-defined]  # of the model that it is a part of
        for mixin in _mixins(cls):
            indexes.extend(vars(mixin).get("indexes", ()))
        super().validate_model()  # type: ignore[misc]


def _mixins(cls: type) -> list[type]:
    """What a model takes over, first what counts; what the model took that it is derived from is a part of that one."""
    if not isinstance(cls, peewee.ModelBase):
        return []
    models = [base for base in cls.__mro__[1:] if isinstance(base, peewee.ModelBase)]
    return [
        base
        for base in cls.__mro__
        if issubclass(base, Fields) and not isinstance(base, peewee.ModelBase) and not any(issubclass(model, base) for model in models)
    ]
