"""The tables of a live database, with the names that they and their columns get in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import peewee
from playhouse.reflection import Introspector

from greenimi.orm.schema import naming
from greenimi.orm.schema.comments import More, read_more
from greenimi.orm.schema.sources import Source, source_of

ForeignKeys = Mapping[str, list[Any]]
"""Of each table peewee's ForeignKeyMetadata."""


@dataclass(frozen=True, slots=True)
class Table:
    """``key``: names of the fields of its primary key.  ``left_out``: indexes that fields cannot express.  ``refers``: other tables."""

    name: str
    class_name: str
    module: str
    comment: str
    key: tuple[str, ...]
    fields: tuple[Source, ...]
    indexes: tuple[tuple[tuple[str, ...], bool], ...]
    left_out: tuple[str, ...]
    refers: tuple[str, ...]


def read_tables(database: Any, wanted: Callable[[str], bool], unwanted: Callable[[str], bool], strip: str = "") -> list[Table]:
    """Those that are wanted, by their names without the prefix of the database, and those that they refer to, by name.

    ``unwanted`` ones do not come along either; columns that refer to them are plain ones.  ``strip``: what the names in Python leave out at
    their beginning.
    """
    prefix = database.settings.prefix
    with database.hold():
        usable = {
            name for name in database.get_tables() if name.startswith(prefix) and name != prefix and not unwanted(name.removeprefix(prefix))
        }
        keys, circular = _foreign_keys(database, usable)
        introspector = Introspector.from_database(database)
        introspector.metadata = _Narrow(introspector.metadata, keys)
        found = introspector.introspect(table_names=[name for name in usable if wanted(name.removeprefix(prefix))])
        more = read_more(database)
    return _Reader(database, found, more, circular, prefix).tables(strip)


class _Narrow:
    """peewee's way to read a kind of database, for which only certain foreign keys are there."""

    def __init__(self, metadata: Any, keys: ForeignKeys) -> None:
        self._metadata = metadata
        self._keys = keys

    def __getattr__(self, name: str) -> Any:
        return getattr(self._metadata, name)

    def get_foreign_keys(self, table: str, schema: str | None = None) -> list[Any]:
        return self._keys[table]


def _foreign_keys(database: Any, tables: Iterable[str]) -> tuple[ForeignKeys, dict[tuple[str, str], str]]:
    """Those of one column to one that says which row it is; apart from them, by table and column, those that would close a circle."""
    keys = {
        table: [key for key in database.get_foreign_keys(table) if key.dest_table in tables and _says_which(database, key)]
        for table in sorted(tables)
    }
    closing = _closing({table: [key.dest_table for key in found] for table, found in keys.items()})
    circular = {
        (table, key.column): f"{key.dest_table}.{key.dest_column}"
        for table, found in keys.items()
        for key in found
        if (table, key.dest_table) in closing
    }
    return {table: [key for key in found if (table, key.column) not in circular] for table, found in keys.items()}, circular


def _says_which(database: Any, key: Any) -> bool:
    column = [key.dest_column]
    return database.get_primary_keys(key.dest_table) == column or any(
        index.unique and index.columns == column for index in database.get_indexes(key.dest_table)
    )


def _closing(graph: Mapping[str, list[str]]) -> set[tuple[str, str]]:
    """Edges without which there are no circles; those of a table to itself are none."""
    done: set[str] = set()
    found: set[tuple[str, str]] = set()
    for start in graph:
        path = [(start, iter(graph[start]))] if start not in done else []
        open_ = {start}
        while path:
            table, rest = path[-1]
            target = next(rest, None)
            if target is None:
                path.pop()
                open_.discard(table)
                done.add(table)
            elif target in open_:
                if target != table:
                    found.add((table, target))
            elif target not in done:
                open_.add(target)
                path.append((target, iter(graph[target])))
    return found


class _Reader:
    """Names and sources for what peewee read."""

    def __init__(self, database: Any, found: Any, more: More, circular: Mapping[tuple[str, str], str], prefix: str) -> None:
        self._database = database
        self._found = found
        self._more = more
        self._circular = circular
        self._prefix = prefix
        self._classes: dict[str, str] = {}
        self._modules: dict[str, str] = {}

    def tables(self, strip: str) -> list[Table]:
        taken: set[str] = set()
        # short names first: one that ends in Fields must not be that of another's base
        for table in sorted(self._found.columns, key=lambda name: (len(name), name)):
            plain = table.removeprefix(self._prefix)
            plain = plain.removeprefix(strip) or plain
            self._classes[table] = name = naming.class_name(plain, taken)
            taken |= {name, f"{name}Fields"}
            self._modules[table] = naming.module_name(plain, set(self._modules.values()))
            self._name_fields(table)
        return [self._table(table) for table in sorted(self._found.columns)]

    def _name_fields(self, table: str) -> None:
        taken: set[str] = set()
        columns = self._found.columns[table]
        for name, column in columns.items():
            if not column.is_foreign_key():
                column.name = naming.field_name(name, taken)
                taken.add(column.name)
        for name, column in columns.items():
            if column.is_foreign_key():
                short = naming.field_name(name, (), refers=True)
                column.name = short if short not in taken else naming.field_name(name, taken)
                taken |= {column.name, name}  # peewee has the key itself under the name of the column

    def _table(self, table: str) -> Table:
        found, columns = self._found, self._found.columns[table]
        key = tuple(columns[name].name for name in found.primary_keys[table])
        targets: list[str] = []
        sources = []
        details = {each.name: each for each in self._database.get_columns(table)}
        for name, column in columns.items():
            target = column.foreign_key.dest_table if column.is_foreign_key() else ""
            sources.append(
                source_of(
                    column,
                    details[name],
                    target=self._classes.get(target, "") if target != table else "self",
                    target_field=self._target_field(column) if target else "",
                    backref=f"{self._modules[table]}_{column.name}_set" if target in targets else "",
                    alone=len(key) == 1,
                    unique=any(index.unique and index.columns == [name] for index in found.indexes[table]),
                    comment=self._more.columns.get((table, name), ""),
                    literal=self._is_literal(table, name),
                    holds_json=(table, name) in self._more.json,
                    remark=f"refers to {self._circular[table, name]}" if (table, name) in self._circular else "",
                    doubled=self._database.param == "%s",
                )
            )
            if target:
                targets.append(target)
        return Table(
            name=table.removeprefix(self._prefix),
            class_name=self._classes[table],
            module=self._modules[table],
            comment=self._more.tables.get(table, ""),
            key=key,
            fields=tuple(sources),
            indexes=self._indexes(table, key),
            left_out=tuple(index.sql or index.name for index in found.unhandled_indexes(table)),
            refers=tuple(sorted({target.removeprefix(self._prefix) for target in targets if target != table})),
        )

    def _indexes(self, table: str, key: tuple[str, ...]) -> tuple[tuple[tuple[str, ...], bool], ...]:
        """Of several fields, without that of the primary key."""
        found = ((tuple(names), bool(unique)) for names, unique in self._found.multi_column_indexes(table))
        return tuple(sorted((names, unique) for names, unique in found if not (unique and names == key)))

    def _target_field(self, column: Any) -> str:
        """The field that a foreign key refers to, empty for the primary key."""
        key = column.foreign_key
        if self._found.primary_keys[key.dest_table] == [key.dest_column]:
            return ""
        return str(self._found.columns[key.dest_table][key.dest_column].name)

    def _is_literal(self, table: str, column: str) -> bool:
        """Whether its default is shown as it is, without quotes: so does MySQL, and MariaDB does not."""
        database = self._database
        return isinstance(database, peewee.MySQLDatabase) and not database.mariadb and (table, column) not in self._more.computed
