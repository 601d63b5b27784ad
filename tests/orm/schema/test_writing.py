from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from greenimi.container.registry import Container
from greenimi.orm.schema.sources import Source
from greenimi.orm.schema.tables import Table, read_tables
from greenimi.orm.schema.writing import GenerateError, Options, base_text, model_text, write_models
from greenimi.pool.database.database import Database
from tests.orm.conftest import every_kind
from tests.orm.schema.test_tables import INDEXES, SQL


def write(running: Container, package: str = "made.models", **options: Any) -> list[tuple[Path, bool]]:
    tables = read_tables(running.get(Database, "default"), lambda name: True, lambda name: False)
    return list(write_models(tables, Options(package, **options)))


def table(**changes: Any) -> Table:
    usual = {
        "name": "part",
        "class_name": "Part",
        "module": "part",
        "comment": "",
        "key": ("id",),
        "fields": (Source("id", "peewee.AutoField", ()),),
        "indexes": (),
        "left_out": (),
        "refers": (),
    }
    return Table(**{**usual, **changes})


@every_kind
def test_what_is_written_can_be_imported_and_used(running: Container, kind: str, folder: Path) -> None:
    database: Any = running.get(Database, "default")
    for statement in [*SQL[kind], *INDEXES]:
        database.execute(statement)
    assert [(str(path), is_new) for path, is_new in write(running)] == [
        (f"made/models/{name}.py", True) for name in ("base/item", "item", "base/shop", "shop")
    ]
    item, shop = (importlib.import_module(f"made.models.{name}") for name in ("item", "shop"))
    tea = shop.Shop.create(name="Tea")
    made = item.Item.create(shop=tea, select_=1)
    assert (made.amount, made.word, made.is_new) == (3, "it's", True)
    found = item.Item.select().join(shop.Shop).where(shop.Shop.name == "Tea").get()
    assert (found.shop.name, found.amount, found.word, found.is_new, found.select_, found.class_) == ("Tea", 3, "it's", True, 1, None)
    assert found.made is not None
    assert [other.id for other in tea.item_set] == [found.id]
    assert shop.Shop.__doc__ == ('a "shop"' if kind != "sqlite" else shop.Shop.__mro__[1].__doc__)
    if kind == "sqlite":  # others make no column of the unknown type of one
        database.drop_tables([item.Item, shop.Shop])
        database.create_tables([item.Item, shop.Shop])
        assert {tuple(index.columns) for index in database.get_indexes("item")} == {("made",), ("amount", "word")}
        item.Item.insert(shop=shop.Shop.create(name="Tea")).execute()
        assert item.Item.get().word == "it's"


def test_a_second_time_the_models_are_left_as_they_are(running: Container, folder: Path) -> None:
    database = running.get(Database, "default")
    database.execute("CREATE TABLE part (id INTEGER PRIMARY KEY)")
    write(running)
    model, base = folder / "made/models/part.py", folder / "made/models/base/part.py"
    model.write_text(f"{model.read_text()}\n    more = 1\n")
    before = model.read_text()
    database.execute("ALTER TABLE part ADD COLUMN name TEXT")
    assert [is_written for _, is_written in write(running)] == [True, False]
    assert model.read_text() == before
    assert "name = peewee.TextField" in base.read_text()


def test_keys_of_several_columns_and_none(running: Container, folder: Path) -> None:
    database = running.get(Database, "default")
    database.execute("CREATE TABLE keyed (a INTEGER NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (b, a))")
    database.execute("CREATE TABLE loose (a INTEGER NOT NULL)")
    write(running, "models")
    keyed, loose = importlib.import_module("models.keyed").Keyed, importlib.import_module("models.loose").Loose
    keyed(a=1, b=2).save()
    assert keyed.find(2, 1).a == 1
    loose.insert(a=5).execute()
    assert [row.a for row in loose.select()] == [5]


def test_beside_a_package_that_is_there_already(running: Container, folder: Path) -> None:
    running.get(Database, "default").execute("CREATE TABLE part (id INTEGER PRIMARY KEY)")
    (folder / "src/shop").mkdir(parents=True)
    (folder / "src/shop/__init__.py").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder / "src"))
        write(running, "shop.data.models")
    assert (folder / "src/shop/data/models/part.py").is_file()
    assert (folder / "src/shop/data/__init__.py").is_file()


@pytest.mark.parametrize("package", ["", "a-b", "a..b", "../x", "a.b\n"])
def test_names_that_no_package_can_have(package: str, folder: Path) -> None:
    with pytest.raises(GenerateError, match="no name of a package"):
        list(write_models([table()], Options(package)))
    assert list(folder.iterdir()) == []


def test_a_module_is_no_package(folder: Path) -> None:
    (folder / "plain_module.py").write_text("")
    with pytest.raises(GenerateError, match="is a module, not a package"):
        list(write_models([table()], Options("plain_module.models")))


@pytest.mark.parametrize("base", ["shop.base", "shop base:Base", "shop:Ba se"])
def test_names_that_no_class_can_have(base: str, folder: Path) -> None:
    with pytest.raises(GenerateError, match="names no class"):
        list(write_models([table()], Options("models", base=base)))


def test_a_base_class_of_ones_own_and_another_database() -> None:
    assert model_text(table(comment='say "it"'), Options("shop.models", "reports", "shop.base:Base")) == (
        "from __future__ import annotations\n\n"
        "from shop.base import Base\nfrom shop.models.base.part import PartFields\n\n\n"
        'class Part(PartFields, Base):\n    "say \\"it\\""\n\n'
        '    class Meta:\n        table_name = "part"\n        database = "reports"\n'
    )


def test_long_lines_and_remarks() -> None:
    long = Source("word", "peewee.CharField", (f'help_text="{"x" * 100}"', "null=True"), 'a\n"b"')
    text = base_text(table(fields=(long,), left_out=("CREATE\nINDEX",)), {}, "models")
    assert f'    word = peewee.CharField(  # a  b \n        help_text="{"x" * 100}",\n        null=True,\n    )\n' in text
    assert "    # not written as a field: CREATE INDEX\n" in text
    compile(text, "base.py", "exec")
