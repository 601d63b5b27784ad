from __future__ import annotations

from pathlib import Path

import pytest

from greenimi.cli.main import main
from tests.cli.support import Project

CONF = """
include = ["app"]
[servers.web]
kind = "http"
bind = "127.0.0.1:8000"
[database.default]
url = "sqlite:///a.db"
[database.reports]
url = "sqlite:///reports.db"
"""

APP = """
from peewee import CharField, ForeignKeyField
from greenimi.orm import Model

class Shop(Model):
    name = CharField()

class Sale(Model):
    shop = ForeignKeyField(Shop)

class Report(Model):
    name = CharField()
    class Meta:
        database = "reports"
"""


@pytest.fixture
def project(folder: Path) -> Project:
    found = Project(folder)
    found.write("conf/app.toml", CONF)
    found.write("app.py", APP)
    return found


def test_from_models_to_tables_and_back(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> tuple[int, list[str]]:
        status = main(words)
        return status, capsys.readouterr().out.splitlines()

    assert run("migrate", "status") == (0, [])
    assert run("migrate", "diff") == (1, ["create table shop", "create table sale"])
    assert run("migrate", "new", "first", "--diff") == (0, ["migrations/0001_first.py"])
    assert run("migrate", "status") == (1, ["0001_first  to do"])
    assert run("migrate", "up") == (0, ["done: 0001_first"])
    assert run("migrate", "up") == (0, ["nothing to do"])
    assert run("migrate", "diff") == (0, ["the tables are as the models say"])
    assert run("migrate", "new", "second", "--diff") == (0, ["the tables are as the models say: nothing was written"])
    status, (line,) = run("migrate", "status")
    assert (status, line.split()[0]) == (0, "0001_first")
    assert run("migrate", "diff", "-d", "reports") == (1, ["create table report"])
    assert run("migrate", "new", "first", "-d", "reports") == (0, ["migrations/reports/0001_first.py"])
    assert run("migrate", "up", "--fake", "-d", "reports") == (0, ["done: 0001_first"])
    (project.folder / "migrations/reports/0001_first.py").unlink()
    assert run("migrate", "status", "-d", "reports")[1][0].endswith("its file is gone")
    assert run("generate", "model", "sale", "--package", "made") == (
        0,
        [f"wrote made/{name}.py" for name in ("base/sale", "sale", "base/shop", "shop")],
    )
    assert run("generate", "model", "s*", "--exclude", "shop", "--package", "made") == (0, ["wrote made/base/sale.py", "kept made/sale.py"])
    assert run("migrate", "down", "--to", "0001") == (0, ["taken back: 0001_first"])
    assert run("migrate", "down") == (0, ["nothing to take back"])


def test_a_change_may_take_any_time(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.write("migrations/0001_long.py", "def up(migrator, db):\n    print(db, db.settings.read_timeout, migrator.database is db)\n")
    assert main(["migrate", "up"]) == 0
    assert capsys.readouterr().out == "<SQLite default> 0.0 True\ndone: 0001_long\n"


def test_what_goes_wrong_is_told(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "up", "--to", "7"]) == 1
    assert "MigrationError: there is no migration 7" in capsys.readouterr().err
    assert main(["generate", "model", "--package", "made"]) == 1
    assert "GenerateError: <SQLite default> has no such tables" in capsys.readouterr().err
    assert main(["migrate", "up", "-d", "reprots"]) == 1
    assert "MissingBean" in capsys.readouterr().err


def test_a_group_of_commands(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate"]) == 2
    shown = capsys.readouterr().out
    assert "greenimi migrate up " in shown
    assert "generate" not in shown
    assert main(["migrate", "--help"]) == 0
    assert capsys.readouterr().out == shown
    assert main(["migrate", "upp"]) == 2
    assert "there is no command migrate upp; did you mean migrate up?" in capsys.readouterr().err
