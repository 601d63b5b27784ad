"""What ``[table]`` of conf brings, and what two real workers share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import msgspec
import pytest

from greenimi.errors import ConfigError, GreenimiError
from greenimi.lock.settings import VARIABLE
from greenimi.orm import Counter
from greenimi.orm.table.lmdb import LmdbRows
from greenimi.orm.table.sqlite import SqliteRows
from greenimi.orm.table.tables import Tables
from greenimi.testing.plugin import AppFactory, ServeGunicorn


def test_an_application_has_them_without_conf(app_factory: AppFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    app = app_factory()
    assert not (tmp_path / "tables").exists()
    assert Counter("a").add() == 1
    tables = app.container.get(Tables)
    assert isinstance(tables.rows, SqliteRows)
    assert list((tmp_path / "tables").glob("rows-1*.sqlite3"))


def test_conf_names_the_driver(app_factory: AppFactory, tmp_path: Path) -> None:
    app = app_factory(conf={"servers": {"web": {"kind": "http"}}, "table": {"driver": "lmdb", "folder": str(tmp_path / "mine")}})
    assert Counter("a").add() == 1
    assert isinstance(app.container.get(Tables).rows, LmdbRows)
    assert list((tmp_path / "mine").glob("rows-1*.lmdb"))


def test_what_cannot_be_is_found_at_commit(app_factory: AppFactory) -> None:
    for table, problem in (({"driver": "sqlit"}, "sqlit"), ({"size": 5}, r"table\.size: 5 is below 1048576")):
        with pytest.raises((ConfigError, GreenimiError), match=problem):
            app_factory(conf={"servers": {"web": {"kind": "http"}}, "table": table})


def test_an_application_that_uses_none_of_it_imports_no_library() -> None:
    code = """
import sys
from greenimi.app import App
from greenimi.config import Config
App(Config({"servers": {"web": {"kind": "http"}}})).commit()
print([name for name in ("lmdb", "peewee", "redis", "greenimi.orm.records") if name in sys.modules])
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


APP = """
import os
from greenimi import get, http
from greenimi.orm import Counter, SharedModel

class Seen(SharedModel):
    process: int
    times: int = 0
    class Meta:
        key = "process"

@http
class Web:
    @get("/")
    def index(self):
        Counter("all").add()
        Seen.increment(os.getpid(), times=1)
        return {"all": Counter("all").get(), "seen": {row.process: row.times for row in Seen.each()}, "count": Seen.count()}
"""


@pytest.mark.live
def test_a_row_of_one_worker_is_found_in_another(serve_gunicorn: ServeGunicorn, tmp_path: Path) -> None:
    (tmp_path / "sharing_app.py").write_text(APP)
    (tmp_path / "app.toml").write_text('include = ["sharing_app"]\n[servers.web]\nkind = "http"\n')
    gunicorn = serve_gunicorn(tmp_path / "app.toml", workers=2)
    host, port = gunicorn.addresses["web"]
    for number in range(1, 500):
        with urlopen(f"http://{host}:{port}/", timeout=10) as answer:
            told = msgspec.json.decode(answer.read())
        assert told["all"] == number
        assert sum(told["seen"].values()) == number
        assert len(told["seen"]) == told["count"]
        if told["count"] == 2:
            return
    pytest.fail("one of two workers had every request")
