"""The base of models: a peewee model whose database is a name in conf."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

import peewee

from greenimi.orm.db import deleting, events, ids, serialise, shards, stamps
from greenimi.orm.db.fields import Virtual
from greenimi.orm.db.named import NamedDatabase, named
from greenimi.orm.db.relations import attach, lazy, writing
from greenimi.orm.db.select import Alias, Select

if TYPE_CHECKING:
    from greenimi.orm.db.relations.base import Relation


_SET = ("through",)
"""What any object may be made with beside its fields: the row of the middle, where it is related to many through one."""


class Metadata(peewee.Metadata):
    """What ``class Meta`` of a model says, in its ``_meta``.

    database     a name in conf (``"default"``), or a Database object.  The prefix of its settings stands before the name of the table.
    serialise    how its rows look to clients: :class:`greenimi.orm.db.serialise.Serialise`
    shard        a function that names the table, or database and table, of a key: see ``Model.shard``
    soft_delete  name of the field that says when a row was deleted: such rows are kept, and hidden from every normal query
    """

    _table: Any
    serialise = serialise.PLAIN
    shard: Callable[[Any], str | tuple[str, str]] | None = None
    soft_delete = ""

    def __init__(self, model: type[peewee.Model], database: Any = None, **options: Any) -> None:
        super().__init__(model, named(database) if isinstance(database, str) else database, **options)
        self.virtuals: dict[str, Virtual] = {}
        self.relations: dict[str, Relation[Any]] = {}

    @property
    def prefix(self) -> str:
        """That of the database, as far as it is known at this moment."""
        database = self.database.obj if isinstance(self.database, NamedDatabase) else self.database
        settings = getattr(database, "settings", None)
        return "" if settings is None else settings.prefix

    @property
    def table_name(self) -> str:
        """With the prefix of the database that is used now: applications of one process may have different ones."""
        return self.prefix + self._table_name

    @table_name.setter
    def table_name(self, name: str) -> None:
        self._table_name = name

    @property
    def table(self) -> peewee.Table:
        known: Any = self._table
        if known is not None and known.__name__ != self.table_name:
            self._table = None
        return super().table

    @table.deleter
    def table(self) -> None:
        self._table = None

    def add_field(self, field_name: str, field: peewee.Field, set_attribute: bool = True) -> None:
        stamps.check(self.model, field)
        lazy.watch(field)
        super().add_field(field_name, field, set_attribute)


class Model(peewee.Model):
    """A table.  Fields and queries are peewee's own.

    ``class Meta: database = "reports"`` names the database; without it that is ``[database.default]``.

    ``before_save``, ``after_save``, ``before_insert``, ``after_insert``, ``before_update``, ``after_update``, ``before_delete`` and
    ``after_delete`` may be overridden, and are told to listeners of the events of the same names (:mod:`greenimi.orm.db.events`).  They
    concern objects: queries that change many rows at once tell nothing.
    """

    class Meta:
        database = named("default")
        model_metadata_class = Metadata
        legacy_table_names = False

    if TYPE_CHECKING:  # what peewee adds to each class
        id: Any
        _meta: Any

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self, *args: Any, **values: Any) -> None:
        self._stored = "__no_default__" in values
        """It came out of the database, or went there."""
        if not self._stored:
            for name in values.keys() - self._meta.combined.keys():
                if name not in _SET and not hasattr(type(self), name):  # a property is fine
                    raise _unknown(type(self), name)
        super().__init__(*args, **values)

    @classmethod
    def validate_model(cls) -> None:
        """Called when the class is made.  Raises TypeError for options that cannot be."""
        cls._meta.virtuals = {
            name: found for base in reversed(cls.__mro__) for name, found in vars(base).items() if isinstance(found, Virtual)
        }
        attach.attach(cls)
        deleting.check(cls)
        serialise.check(cls)

    @classmethod
    def fork(cls, table: str, database: str | None = None) -> type[Self]:
        """This model on another table, in another database of conf perhaps; the same class each time."""
        return shards.fork(cls, table, database)

    @classmethod
    def shard(cls, key: Any) -> type[Self]:
        """This model on the table that ``Meta.shard`` names for a key."""
        return shards.shard(cls, key)

    # -- queries -----------------------------------------------------------------------------------------------------
    @classmethod
    def alias(cls, alias: str | None = None) -> Any:
        return Alias(cls, alias)

    @classmethod
    def select(cls, *fields: Any) -> Any:
        """Rows that are not deleted."""
        return deleting.only_living(cls.select_with_deleted(*fields), cls)

    @classmethod
    def select_with_deleted(cls, *fields: Any) -> Any:
        """All rows, also those that are deleted softly."""
        chosen = fields or (*cls._meta.sorted_fields, *(found.column(cls) for found in cls._meta.virtuals.values()))
        return Select(cls, chosen, is_default=not fields)

    @classmethod
    def select_deleted(cls, *fields: Any) -> Any:
        """Only rows that are deleted softly."""
        return cls.select_with_deleted(*fields).where(deleting.deleted(cls))

    @classmethod
    def update(cls, data: Any = None, /, **values: Any) -> Any:
        """Of rows that are not deleted; says when, where the model has a field for that."""
        return deleting.only_living(cls.update_with_deleted(data, **values), cls)

    @classmethod
    def update_with_deleted(cls, data: Any = None, /, **values: Any) -> Any:
        """Of all rows, also those that are deleted softly."""
        values_of: Any = cls._normalize_data  # type: ignore[attr-defined]  # its type hints leave it out
        return super().update({**stamps.of_update(cls), **values_of(data, values)})

    delete: Any = peewee.classmethod_only(deleting.query)
    """``Order.delete().where(...)`` deletes rows: softly where the model says so."""

    @classmethod
    def restore(cls) -> Any:
        """A query that brings rows back which were deleted softly: ``Order.restore().where(...).execute()``."""
        field = deleting.field_of(cls)
        return cls.update_with_deleted({field: field.default}).where(deleting.deleted(cls))

    # -- one row -----------------------------------------------------------------------------------------------------
    @classmethod
    def find(cls, *key: Any, **values: Any) -> Self | None:
        """The row of a primary key, one value for each of its fields (or the only one with these values); None without one."""
        return cls.select().where(*_conditions(cls, key, values)).first()  # type: ignore[no-any-return]

    @classmethod
    def exists(cls, *key: Any, **values: Any) -> bool:
        """Whether there is such a row, as for ``find``."""
        return bool(cls.select(peewee.SQL("1")).where(*_conditions(cls, key, values)).exists())

    def save(self, force_insert: bool = False, only: Iterable[Any] | None = None) -> int:
        """Insert or update it; how many rows that were.

        A row whose key the database counts is inserted when it has no key yet; one of another key when it was not read or saved before.
        With ``class Meta: only_save_dirty = True`` an update writes only what was set since; values that are changed in place (a list of a
        JSON column) are not seen then.

        Related rows are written with it where their relation says so, unless ``only`` some fields are.
        """
        inserting = force_insert or (self._pk is None if self._meta.auto_increment else not self._stored)
        if only is None and writing.writes(self):
            return writing.save(self, inserting=inserting, write=lambda: self._save(None, inserting=inserting))
        return self._save(only, inserting=inserting)

    def _save(self, only: Iterable[Any] | None, *, inserting: bool) -> int:
        names = set() if only is None else {each if isinstance(each, str) else each.name for each in only}
        if inserting:
            ids.fill(self)
        stamps.stamp(self, inserting=inserting, names=names if only is not None else None)
        events.before(self, inserting=inserting)
        done: int = super().save(force_insert=inserting and self._meta.primary_key is not False, only=None if only is None else names)
        self._stored = True
        events.after(self, inserting=inserting)
        return done

    def delete_instance(self, recursive: bool = False, delete_nullable: bool = False) -> int:
        """Delete its row; how many that were.  Softly where the model says so.

        ``recursive``: also the rows whose foreign keys name it, each as its own model says.
        """
        return writing.delete_with_related(self, lambda: self._delete(recursive, delete_nullable), hard=False)

    def _delete(self, recursive: bool, delete_nullable: bool) -> int:
        events.tell(self, "delete", events.BeforeDelete)
        done: int = super().delete_instance(recursive, delete_nullable)
        field = deleting.field_or_none(type(self))
        if field is None:
            self._stored = False
        else:
            setattr(self, field.name, stamps.moment(field))
            self._dirty.discard(field.name)
        events.tell(self, "delete", events.AfterDelete)
        return done

    def delete_for_good(self) -> int:
        """Delete its row, also where the model deletes softly."""
        return writing.delete_with_related(self, self._delete_for_good, hard=True)

    def _delete_for_good(self) -> int:
        events.tell(self, "delete", events.BeforeDelete)
        done: int = peewee.ModelDelete(type(self)).where(self._pk_expr()).execute()
        self._stored = False
        events.tell(self, "delete", events.AfterDelete)
        return done

    def undelete(self) -> int:
        """Bring its row back after it was deleted softly."""
        field = deleting.field_of(type(self))
        setattr(self, field.name, field.default)
        return int(type(self).restore().where(self._pk_expr()).execute())

    # -- what may be overridden --------------------------------------------------------------------------------------
    def before_save(self) -> None:
        """It is about to be written; may change its values, or raise."""

    def after_save(self) -> None:
        """It was written; the transaction may be open yet."""

    def before_insert(self) -> None: ...

    def after_insert(self) -> None: ...

    def before_update(self) -> None: ...

    def after_update(self) -> None: ...

    def before_delete(self) -> None: ...

    def after_delete(self) -> None: ...


def _conditions(model: type[Model], key: tuple[Any, ...], values: Mapping[str, Any]) -> list[Any]:
    if bool(key) == bool(values):
        raise TypeError(f"say the key of a {model.__name__}, or the values of fields by their names")
    if key:
        keys = model._meta.get_primary_keys()
        if len(key) != len(keys):
            names = ", ".join(field.name for field in keys)
            raise TypeError(f"the key of {model.__name__} is ({names}), not {len(key)} values")
        return [field == value for field, value in zip(keys, key, strict=True)]
    fields = model._meta.combined
    for name in values:
        if name not in fields:
            raise _unknown(model, name)
    return [fields[name] == value if value is not None else fields[name].is_null() for name, value in values.items()]


def _unknown(model: Any, name: str) -> TypeError:
    return TypeError(f"{model.__name__} has no field {name}; it has {', '.join(model._meta.fields)}")
