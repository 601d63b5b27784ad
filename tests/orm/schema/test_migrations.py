from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peewee
import pytest

from greenimi import green
from greenimi.container.registry import Container
from greenimi.orm import JSONField, ListField, Model
from greenimi.orm.schema.migrations import MigrationError, Migrations
from greenimi.orm.schema.settings import MigrationSettings
from greenimi.pool.database.database import Database
from greenimi.pool.database.databases import make_database
from greenimi.pool.database.settings import DatabaseSettings
from greenimi.testing.support import wait_until
from tests.orm.conftest import every_kind


class Shop(Model):
    name = peewee.CharField(unique=True)


class Sale(Model):
    shop = peewee.ForeignKeyField(Shop, on_delete="CASCADE")
    amount = peewee.IntegerField(default=1)
    more = JSONField(null=True)
    tags = ListField(default=list)

    class Meta:
        indexes = ((("shop", "amount"), False),)


ONE = "def up(migrator, db):\n    db.execute('CREATE TABLE one (a INTEGER)')\n\ndef down(migrator, db):\n    db.execute('DROP TABLE one')\n"
ADDED = """
from peewee import *

def up(migrator, db):
    migrator.migrate(migrator.add_column('one', 'b', IntegerField(default=7)))

def down(migrator, db):
    migrator.migrate(migrator.drop_column('one', 'b'))
"""


@pytest.fixture
def database(running: Container) -> Any:
    return running.get(Database, "default")


@pytest.fixture
def migrations(database: Any, folder: Path) -> Migrations:
    (folder / "migrations").mkdir()
    return Migrations(database, MigrationSettings())


def put(migrations: Migrations, **files: str) -> None:
    for name, text in files.items():
        (migrations.folder / f"{name.strip('_')}.py").write_text(text)


@every_kind
def test_up_and_down(migrations: Migrations, database: Any) -> None:
    put(migrations, _0001_one=ONE, _0002_more=ADDED)
    told: list[str] = []
    assert migrations.up(to="1".zfill(4), tell=told.append) == ["0001_one"] == told
    database.execute("INSERT INTO one VALUES (1)")
    assert migrations.up() == ["0002_more"]
    assert database.row("SELECT a, b FROM one") == {"a": 1, "b": 7}
    assert migrations.up() == []
    assert [(name, when is not None, has_file) for name, when, has_file in migrations.status()] == [
        ("0001_one", True, True),
        ("0002_more", True, True),
    ]
    assert migrations.down() == ["0002_more"]
    assert database.row("SELECT * FROM one") == {"a": 1}
    assert migrations.up() == ["0002_more"]
    assert migrations.down(to="0001_one") == ["0002_more", "0001_one"]
    assert database.get_tables() == ["schema_migration"]
    assert migrations.down() == []


@every_kind
def test_from_the_difference_to_the_models(migrations: Migrations, database: Any) -> None:
    difference = migrations.difference([Sale, Shop])
    assert str(difference) == "create table shop\ncreate table sale"
    path = migrations.new("The first", difference)
    assert path.name == "0001_the_first.py"
    assert "from greenimi.orm import JSONField" in path.read_text()
    migrations.up()
    assert not migrations.difference([Sale, Shop])
    Sale.create(shop=Shop.create(name="Tea"), more={"a": [1]}, tags=["x"])
    assert (Sale.get().more, Sale.get().tags) == ({"a": [1]}, ["x"])

    class Changed(Sale):
        note = peewee.CharField(null=True, index=True)

        class Meta:
            table_name = "sale"
            indexes = ()

    assert str(migrations.difference([Changed, Shop])) == (
        "add column sale.note\nadd index sale (note)\ndrop index sale.sale_shop_id_amount (shop_id, amount)"
    )
    migrations.new("second", migrations.difference([Changed, Shop]))
    migrations.up()
    assert not migrations.difference([Changed, Shop])
    assert [row.tags for row in Changed.select()] == [["x"]]
    migrations.down()
    assert not migrations.difference([Sale, Shop])
    migrations.down()
    assert database.get_tables() == ["schema_migration"]


@every_kind
def test_one_that_fails(migrations: Migrations, database: Any, kind: str) -> None:
    broken = "def up(migrator, db):\n    db.execute('CREATE TABLE two (a INTEGER)')\n    db.execute('nonsense')\n"
    put(migrations, _0001_one=ONE, _0002_broken=broken)
    with pytest.raises(MigrationError, match=r"0002_broken failed: .*nonsense") as caught:
        migrations.up()
    assert ("takes nothing back" in str(caught.value)) == (kind == "mysql")
    assert sorted(database.get_tables()) == ["one", "schema_migration", *(["two"] if kind == "mysql" else [])]
    assert [when is not None for _, when, _ in migrations.status()] == [True, False]
    database.execute("DROP TABLE IF EXISTS two")
    put(migrations, _0002_broken="def up(migrator, db): ...\n")
    assert migrations.up() == ["0002_broken"]


@every_kind
def test_one_that_is_killed(migrations: Migrations, database: Any, folder: Path, kind: str) -> None:
    slow = ONE.replace("\n\n", "\n    open('begun', 'w').close()\n    green.sleep(60)\n\n", 1)
    put(migrations, _0001_slow=f"from greenimi import green\n\n{slow}")
    running = green.spawn(migrations.up)
    wait_until((folder / "begun").exists)
    running.kill()
    assert ("one" in database.get_tables()) == (kind == "mysql")
    database.execute("DROP TABLE IF EXISTS one")
    put(migrations, _0001_slow=ONE)
    assert migrations.up() == ["0001_slow"]
    assert "one" in database.get_tables()


def test_tables_that_are_made_anew_lose_no_rows(migrations: Migrations, database: Any) -> None:
    put(
        migrations,
        _0001_both="def up(migrator, db):\n"
        "    db.execute('CREATE TABLE shop (id INTEGER PRIMARY KEY, name TEXT)')\n"
        "    db.execute('CREATE TABLE sale (id INTEGER PRIMARY KEY, shop INTEGER REFERENCES shop (id) ON DELETE CASCADE)')\n"
        "    db.execute(\"INSERT INTO shop VALUES (1, 'Tea')\")\n    db.execute('INSERT INTO sale VALUES (1, 1)')\n",
        _0002_not_null="def up(migrator, db):\n    migrator.migrate(migrator.add_not_null('shop', 'name'))\n",
    )
    migrations.up()
    assert database.column("SELECT shop FROM sale") == [1]
    assert database.value("PRAGMA foreign_keys") == 1
    with pytest.raises(peewee.IntegrityError):
        database.execute("INSERT INTO sale VALUES (2, 9)")


def test_nothing_is_done_when_one_of_them_cannot_be_read(migrations: Migrations, database: Any) -> None:
    put(migrations, _0001_one=ONE, _0002_bad="nonsense(")
    with pytest.raises(MigrationError, match=r"0002_bad\.py cannot be read: SyntaxError"):
        migrations.up()
    put(migrations, _0002_bad="x = 1")
    with pytest.raises(MigrationError, match=r"has no function up\(migrator, db\)"):
        migrations.up()
    assert "one" not in database.get_tables()


def test_what_cannot_be_taken_back(migrations: Migrations) -> None:
    put(migrations, _0001_one=ONE, _0002_on="def up(migrator, db): ...\n")
    migrations.up()
    with pytest.raises(MigrationError, match=r"has no function down\(migrator, db\)"):
        migrations.down(to="0001")
    (migrations.folder / "0002_on.py").unlink()
    assert [(name, has_file) for name, _, has_file in migrations.status()] == [("0001_one", True), ("0002_on", False)]
    with pytest.raises(MigrationError, match="its file is gone"):
        migrations.down()


def test_names_that_are_none(migrations: Migrations) -> None:
    put(migrations, _0001_one=ONE, _0001_two=ONE)
    with pytest.raises(MigrationError, match="there is no migration 7"):
        migrations.up(to="7")
    with pytest.raises(MigrationError, match="there are several migrations 0001"):
        migrations.up(to="0001")
    with pytest.raises(MigrationError, match="there is no migration 0001_one"):
        migrations.down(to="0001_one")
    with pytest.raises(MigrationError, match="cannot be the name"):
        migrations.new('x"""')


def test_only_noted(migrations: Migrations, database: Any) -> None:
    put(migrations, _0001_one=ONE)
    assert migrations.up(fake=True) == ["0001_one"]
    assert migrations.up() == []
    assert "one" not in database.get_tables()


def test_an_empty_one(migrations: Migrations) -> None:
    assert migrations.new("add-b to one").read_text().startswith('"""add-b to one"""')
    assert migrations.up() == ["0001_add_b_to_one"]
    assert migrations.new("next").name == "0002_next.py"


def test_each_database_has_its_own() -> None:
    database = make_database("reports", DatabaseSettings(url="sqlite:///:memory:", prefix="app_"))
    found = Migrations(database, MigrationSettings(folder="changes"))
    assert (found.folder, found.table) == (Path("changes/reports"), "app_schema_migration")


@pytest.fixture
def both(url: str) -> Iterator[list[Any]]:
    found = [make_database("default", DatabaseSettings(url=url)) for _ in range(2)]
    yield found
    for database in found:
        database.stop()


@pytest.mark.parametrize("kind", ["mysql", "postgres"])
def test_two_machines_at_once(both: list[Any], folder: Path) -> None:
    (folder / "migrations").mkdir()
    many = [Migrations(database, MigrationSettings()) for database in both]
    for number in range(5):
        text = f"def up(migrator, db):\n    db.execute('CREATE TABLE t{number} (a INTEGER)')\n"
        put(many[0], **{f"_{number:04}_made": text})
    runs = [green.spawn(found.up) for found in many]
    done = [run.get(timeout=30) for run in runs]
    assert sorted(map(len, done)) == [0, 5]
    assert len(both[0].get_tables()) == 6
