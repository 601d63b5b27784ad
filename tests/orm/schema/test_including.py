from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from greenimi.app import App
from greenimi.cli.commands import commands_of
from greenimi.config import Config

WEB = {"servers": {"web": {"kind": "http", "bind": "127.0.0.1:0"}}}
DATABASE = {**WEB, "database": {"default": {"url": "sqlite:///:memory:"}}}


def test_an_application_with_a_database_has_the_commands(folder: Path) -> None:
    app = App(Config(DATABASE)).commit()
    try:
        found = commands_of(app)
    finally:
        app.stop()
    assert [name for name in found if " " in name] == [
        *(f"migrate {action}" for action in ("new", "up", "down", "status", "diff")),
        "generate model",
    ]
    assert found["migrate up"].sentence == "Do the migrations that were not done yet."


@pytest.mark.parametrize(("conf", "many", "imported"), [(WEB, 0, []), (DATABASE, 6, ["peewee"])])
def test_who_only_serves_pays_nothing(conf: dict[str, object], many: int, imported: list[str]) -> None:
    code = f"""
import sys
from greenimi import green
green.patch()
from greenimi.app import App
from greenimi.cli.commands import commands_of
from greenimi.config import Config
app = App(Config({conf!r})).commit()
names = ("peewee", "playhouse.migrations", "playhouse.reflection", "greenimi.orm.db.model")
print(len(commands_of(app)), [name for name in names if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == f"{many} {imported}\n"
