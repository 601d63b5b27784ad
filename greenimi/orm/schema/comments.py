"""What peewee does not read of a schema: comments, which defaults are expressions, which texts hold JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import peewee

_MYSQL_TABLES = "SELECT table_name, table_comment FROM information_schema.tables WHERE table_schema = DATABASE()"

_MYSQL_COLUMNS = "SELECT table_name, column_name, column_comment, extra FROM information_schema.columns WHERE table_schema = DATABASE()"

_MARIADB_CHECKS = "SELECT table_name, check_clause FROM information_schema.check_constraints WHERE constraint_schema = DATABASE()"

_POSTGRES = """
SELECT t.relname, c.attname, d.description
FROM pg_catalog.pg_description AS d
INNER JOIN pg_catalog.pg_class AS t ON t.oid = d.objoid AND d.classoid = 'pg_catalog.pg_class'::regclass
INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
LEFT JOIN pg_catalog.pg_attribute AS c ON c.attrelid = t.oid AND c.attnum = d.objsubid AND d.objsubid > 0
WHERE n.nspname = current_schema()"""

_JSON = re.compile(r"json_valid\(`(.+)`\)", re.IGNORECASE)


@dataclass(slots=True)
class More:
    """``tables`` by name, the others by table and column."""

    tables: dict[str, str] = field(default_factory=dict)
    columns: dict[tuple[str, str], str] = field(default_factory=dict)
    computed: set[tuple[str, str]] = field(default_factory=set)
    """Columns whose default MySQL computes; others' defaults it shows as they are, without quotes."""
    json: set[tuple[str, str]] = field(default_factory=set)
    """Columns of MariaDB that are longtext, and checked to be JSON."""


def read_more(database: Any) -> More:
    """In one or a few statements for all tables; SQLite has no comments."""
    more = More()
    kind = type(database)
    if issubclass(kind, peewee.MySQLDatabase):
        _read_mysql(database, more)
    elif issubclass(kind, peewee.PostgresqlDatabase):
        for table, column, text in database.execute_sql(_POSTGRES).fetchall():
            if column is None:
                more.tables[table] = text
            else:
                more.columns[table, column] = text
    return more


def _read_mysql(database: Any, more: More) -> None:
    more.tables.update((table, text) for table, text in database.execute_sql(_MYSQL_TABLES).fetchall() if text and text != "VIEW")
    for table, column, text, extra in database.execute_sql(_MYSQL_COLUMNS).fetchall():
        if text:
            more.columns[table, column] = text
        if "DEFAULT_GENERATED" in (extra or "").upper():
            more.computed.add((table, column))
    if database.mariadb:
        for table, clause in database.execute_sql(_MARIADB_CHECKS).fetchall():
            if found := _JSON.fullmatch(clause.strip()):
                more.json.add((table, found[1]))
