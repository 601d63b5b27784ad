from __future__ import annotations

from pathlib import Path
from types import ModuleType

import peewee

from greenimi.config import Config
from greenimi.container import Setup
from greenimi.container import includeme as include_container
from greenimi.orm import Model, TreeModel
from greenimi.orm.schema.models import Models

FILES = {
    "shop/__init__.py": "",
    "shop/base.py": "from greenimi.orm import Model\nclass Base(Model): ...\n",
    "shop/sales.py": """
from peewee import CharField, SqliteDatabase
from greenimi.orm import Model, TreeModel
from shop.base import Base
import apart

class Sale(Base):
    what = CharField()

class Report(Model):
    name = CharField()
    class Meta:
        database = "reports"

class Aside(Model):
    name = CharField()
    class Meta:
        database = SqliteDatabase(":memory:")

Old = Sale.fork("old_sale")
""",
    "apart.py": "from peewee import CharField\nfrom greenimi.orm import Model\nclass Apart(Model):\n    name = CharField()\n",
    "own.py": "from apart import Apart\ndef includeme(setup): ...\n",
    "unseen.py": "from peewee import CharField\nfrom greenimi.orm import Model\nclass Unseen(Model):\n    name = CharField()\n",
}


def test_what_conf_includes(folder: Path) -> None:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    import unseen  # type: ignore[import-not-found]

    setup = Setup(Config({}))
    setup.include(include_container)
    models = Models(setup)
    assert models.of("default") == []
    setup.include("own")
    assert [model.__name__ for model in models.of("default")] == ["Apart"]
    setup.include("shop")
    assert sorted(model._meta.table_name for model in models.of("default")) == ["apart", "old_sale", "sale"]
    assert [model.__name__ for model in models.of("reports")] == ["Report"]
    assert unseen.Unseen not in models.of("default")


def test_of_two_models_of_a_table_the_first() -> None:
    class One(Model):
        name = peewee.CharField()

    class Two(Model):
        other = peewee.CharField()

        class Meta:
            table_name = "one"

    class Bare(Model): ...

    module = ModuleType("a_module")
    vars(module).update({"One": One, "Two": Two, "Bare": Bare, "TreeModel": TreeModel, "more": [1]})
    setup = Setup(Config({}))
    setup.note("module", module)
    assert Models(setup).of("default") == [One]
