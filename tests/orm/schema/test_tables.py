from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from greenimi.container.registry import Container
from greenimi.orm.schema.tables import Table, read_tables
from greenimi.pool.database.database import Database
from greenimi.pool.database.databases import make_database
from greenimi.pool.database.settings import DatabaseSettings
from tests.orm.conftest import every_kind

SQL = {
    "sqlite": [
        "CREATE TABLE shop (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL UNIQUE)",
        """CREATE TABLE item (
            id INTEGER PRIMARY KEY, shop_id INTEGER NOT NULL REFERENCES shop (id) ON DELETE CASCADE, "class" TEXT,
            amount INTEGER NOT NULL DEFAULT 3, word VARCHAR(20) NOT NULL DEFAULT 'it''s', made DATETIME DEFAULT CURRENT_TIMESTAMP,
            price DECIMAL(8, 2), more JSON, number UUID, thing GEOMETRY, "select" INTEGER, is_new BOOLEAN NOT NULL DEFAULT 1)""",
    ],
    "mysql": [
        "CREATE TABLE shop (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40) NOT NULL UNIQUE) COMMENT 'a \"shop\"'",
        """CREATE TABLE item (
            id INT AUTO_INCREMENT PRIMARY KEY, shop_id BIGINT NOT NULL COMMENT 'whose it is', `class` TEXT,
            amount INT UNSIGNED NOT NULL DEFAULT 3, word VARCHAR(20) NOT NULL DEFAULT 'it''s', made DATETIME DEFAULT CURRENT_TIMESTAMP,
            price DECIMAL(8, 2), more JSON, number UUID, thing GEOMETRY, `select` INT, is_new BOOLEAN NOT NULL DEFAULT 1,
            FOREIGN KEY (shop_id) REFERENCES shop (id) ON DELETE CASCADE)""",
    ],
    "postgres": [
        "CREATE TABLE shop (id BIGSERIAL PRIMARY KEY, name VARCHAR(40) NOT NULL UNIQUE)",
        """CREATE TABLE item (
            id SERIAL PRIMARY KEY, shop_id BIGINT NOT NULL REFERENCES shop (id) ON DELETE CASCADE, "class" TEXT,
            amount INT NOT NULL DEFAULT 3, word VARCHAR(20) NOT NULL DEFAULT 'it''s', made TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
            price DECIMAL(8, 2), more JSONB, number UUID, thing BOX, "select" INT, is_new BOOLEAN NOT NULL DEFAULT true)""",
        "CREATE INDEX item_shop_id ON item (shop_id)",
        "COMMENT ON TABLE shop IS 'a \"shop\"'",
        "COMMENT ON COLUMN item.shop_id IS 'whose it is'",
    ],
}
INDEXES = ["CREATE INDEX item_made ON item (made)", "CREATE UNIQUE INDEX item_both ON item (amount, word)"]


def read(running: Container, statements: Iterable[str], **options: Any) -> list[Table]:
    database = running.get(Database, "default")
    for statement in statements:
        database.execute(statement)
    return read_tables(database, **{"wanted": lambda name: True, "unwanted": lambda name: False, **options})


@every_kind
def test_columns_as_fields(running: Container, kind: str) -> None:
    item, shop = read(running, SQL[kind] + INDEXES)
    found = {field.name: f"{field.kind.rpartition('.')[2]}({', '.join(field.arguments)})" for field in item.fields}
    more = ", index=False" if kind == "sqlite" else ', help_text="whose it is"'
    amount, now, new = {
        "sqlite": ("3", "CURRENT_TIMESTAMP", "1"),
        "mysql": ("3", "current_timestamp()", "1"),
        "postgres": ("3", "CURRENT_TIMESTAMP", "true"),
    }[kind]
    word = "'it''s'" + ("::character varying" if kind == "postgres" else "")
    assert found == {
        "id": "AutoField()",
        "shop": f'ForeignKeyField(Shop, on_delete="CASCADE"{more})',
        "class_": 'TextField(null=True, column_name="class")',
        "amount": f'IntegerField(default=3, constraints=[peewee.SQL("DEFAULT {amount}")])',
        "word": f'CharField(max_length=20, default="it\'s", constraints=[peewee.SQL("DEFAULT {word}")])',
        "made": f'DateTimeField(null=True, index=True, constraints=[peewee.SQL("DEFAULT {now}")])',
        "price": "DecimalField(max_digits=8, decimal_places=2, null=True)",
        "more": "JSONField(null=True)",
        "number": "UUIDField(null=True)",
        "thing": "BareField(null=True)",
        "select_": 'IntegerField(null=True, column_name="select")',
        "is_new": f'BooleanField(default=True, constraints=[peewee.SQL("DEFAULT {new}")])',
    }
    assert (item.class_name, item.module, item.key, item.refers) == ("Item", "item", ("id",), ("shop",))
    assert item.indexes == ((("amount", "word"), True),)
    assert shop.comment == ("" if kind == "sqlite" else 'a "shop"')
    assert [field.kind for field in shop.fields] == ["peewee.AutoField" if kind == "sqlite" else "peewee.BigAutoField", "peewee.CharField"]
    assert shop.fields[1].arguments == ("max_length=40", "unique=True")
    assert next(field.remark for field in item.fields if field.name == "thing").upper() in ("GEOMETRY", "BOX")


@every_kind
def test_keys_of_several_columns_and_none(running: Container) -> None:
    both, none = read(
        running, ["CREATE TABLE keyed (a INT NOT NULL, b INT NOT NULL, PRIMARY KEY (b, a))", "CREATE TABLE loose (a INT NOT NULL)"]
    )
    assert (both.key, both.indexes, none.key) == (("b", "a"), (), ())
    assert [field.arguments for field in both.fields] == [(), ()]


@every_kind
def test_a_key_of_one_column_that_nobody_counts(running: Container) -> None:
    (found,) = read(running, ["CREATE TABLE word (word VARCHAR(20) NOT NULL PRIMARY KEY)"])
    assert [(field.kind, field.arguments) for field in found.fields] == [("peewee.CharField", ("max_length=20", "primary_key=True"))]


REFERRING = [
    "CREATE TABLE town (id INTEGER PRIMARY KEY, code VARCHAR(9) NOT NULL UNIQUE, above_id INTEGER REFERENCES town (id))",
    "CREATE TABLE road (id INTEGER PRIMARY KEY, start INTEGER REFERENCES town (id), goal VARCHAR(9) REFERENCES town (code))",
]


def test_references_to_itself_and_several_to_one(running: Container) -> None:
    road, town = read(running, REFERRING)
    assert [f"{field.name} {', '.join(field.arguments)}" for field in road.fields[1:]] == [
        'start Town, null=True, index=False, column_name="start"',
        'goal Town, field="code", backref="road_goal_set", null=True, index=False, column_name="goal"',
    ]
    assert town.fields[2].arguments == ('"self"', "null=True", "index=False")
    assert (road.refers, town.refers) == (("town",), ())


def test_tables_that_are_wanted_bring_those_they_refer_to(running: Container) -> None:
    more = [*REFERRING, "CREATE TABLE other (id INTEGER PRIMARY KEY)"]
    assert [table.name for table in read(running, more, wanted=lambda name: name == "road")] == ["road", "town"]


def test_a_reference_to_what_is_left_out_is_a_plain_column(running: Container) -> None:
    (road,) = read(running, REFERRING, unwanted=lambda name: name == "town")
    assert [field.kind for field in road.fields] == ["peewee.AutoField", "peewee.IntegerField", "peewee.CharField"]


def test_no_circles(running: Container) -> None:
    statements = [
        "CREATE TABLE person (id INTEGER PRIMARY KEY, team_id INTEGER REFERENCES team (id))",
        "CREATE TABLE team (id INTEGER PRIMARY KEY, boss_id INTEGER REFERENCES person (id))",
    ]
    person, team = read(running, statements)
    assert (person.refers, team.refers) == (("team",), ())
    assert [(field.name, field.kind, field.remark) for field in team.fields[1:]] == [
        ("boss_id", "peewee.IntegerField", "refers to person.id")
    ]


def test_a_reference_of_two_columns_is_none_of_one(running: Container) -> None:
    statements = [
        "CREATE TABLE pair (a INTEGER NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (a, b))",
        "CREATE TABLE user (x INTEGER, y INTEGER, FOREIGN KEY (x, y) REFERENCES pair (a, b))",
    ]
    _, user = read(running, statements)
    assert [field.kind for field in user.fields] == ["peewee.IntegerField", "peewee.IntegerField"]


def test_indexes_that_fields_cannot_express(running: Container) -> None:
    (found,) = read(running, ["CREATE TABLE part (a INTEGER)", "CREATE INDEX some ON part (a) WHERE a > 1"])
    assert found.left_out == ("CREATE INDEX some ON part (a) WHERE a > 1",)


def test_names_that_clash(running: Container) -> None:
    statements = [
        'CREATE TABLE "order" (id INTEGER PRIMARY KEY, "Name" TEXT, "name " TEXT, shop INTEGER, shop_id INTEGER REFERENCES "Base" (id))',
        "CREATE TABLE order_fields (id INTEGER PRIMARY KEY)",
        'CREATE TABLE "Base" (id INTEGER PRIMARY KEY)',
    ]
    base, order, fields = read(running, statements)
    assert (base.class_name, base.module) == ("Base", "base_")
    assert (order.class_name, fields.class_name) == ("Order", "OrderFields_2")
    assert [field.name for field in order.fields] == ["id", "name", "name_2", "shop", "shop_id"]


def test_the_prefix_of_the_database_and_what_names_leave_out() -> None:
    database = make_database("default", DatabaseSettings(url="sqlite:///:memory:", prefix="app_"))
    try:
        for name in ("app_t_shop", "other", "app_t_item"):
            database.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY)")
        found = read_tables(database, lambda name: name.startswith("t_s"), lambda name: False, "t_")
    finally:
        database.stop()
    assert [(table.name, table.class_name, table.module) for table in found] == [("t_shop", "Shop", "shop")]


@pytest.mark.parametrize("default", ["'100%'", "'a\\b'", "'two\nlines'", "(1 + 1)"])
def test_defaults_that_are_hard_to_write(running: Container, default: str) -> None:
    (found,) = read(running, [f"CREATE TABLE part (a VARCHAR(20) DEFAULT {default})"])
    source = next(argument for argument in found.fields[0].arguments if argument.startswith("constraints="))
    assert eval(source.removeprefix("constraints=[peewee.SQL(").removesuffix(")]")) == f"DEFAULT {default.strip('()')}"
