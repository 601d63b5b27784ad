"""Locks of an application's conf."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from greenimi import around, bean, get, http, locked
from greenimi.container.aspect import Call
from greenimi.errors import ConfigError, MissingBean
from greenimi.facades import Lock as TheLock
from greenimi.interfaces import ILockStore
from greenimi.lock import Lock, LockSettings
from greenimi.lock.machine import MachineStore
from greenimi.lock.memory import MemoryStore
from greenimi.lock.settings import VARIABLE
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import wait_until

seen: list[str] = []


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def test_there_is_one_without_conf(app_factory: AppFactory) -> None:
    app = app_factory()
    lock = app.container.get(Lock)
    assert lock.settings == LockSettings()
    with TheLock.hold("a") as held:
        assert lock.mine("a") is held
        assert isinstance(lock.store, MemoryStore)


def test_each_table_is_one(app_factory: AppFactory, tmp_path: Path) -> None:
    conf = {"reports": {"driver": "machine", "folder": str(tmp_path / "locks"), "wait": 1}, "default": {"lease": 20}}
    app = app_factory(conf={"servers": {"web": {"kind": "http"}}, "lock": conf})
    reports = app.container.get(Lock, "reports")
    assert reports is not app.container.get(Lock)
    assert app.container.get(Lock).settings.lease == 20
    with reports.hold("a"):
        assert isinstance(reports.store, MachineStore)
        assert (tmp_path / "locks" / "reports").is_dir()
        assert not app.container.get(Lock, "default").held("a")


def test_workers_of_a_master_have_them_in_common(app_factory: AppFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    app = app_factory()
    with app.container.get(Lock).hold("a"):
        assert (tmp_path / "locks" / "default").is_dir()


def test_machine_without_a_folder(app_factory: AppFactory) -> None:
    app = app_factory(conf={"servers": {"web": {"kind": "http"}}, "lock": {"default": {"driver": "machine"}}})
    with pytest.raises(ConfigError, match="the machine driver of locks needs a folder"), app.container.get(Lock).hold("a"):
        pass


@pytest.mark.parametrize(
    ("conf", "problem"),
    [
        ({"default": {"driver": "memry"}}, "did you mean memory"),
        ({"default": {"leese": 3}}, "did you mean lease"),
        ({"jobs": {"driver": "redis", "redis": "locks"}}, r"lock\.jobs\.driver: redis needs the table \[redis\.locks\]"),
        ({"default": {"lease": 0}}, r"lock\.default\.lease"),
    ],
)
def test_what_cannot_be_is_found_at_start(app_factory: AppFactory, conf: dict[str, Any], problem: str) -> None:
    with pytest.raises((ConfigError, MissingBean), match=problem):
        app_factory(conf={"servers": {"web": {"kind": "http"}}, "lock": conf})


def test_in_a_redis_and_in_a_database(app_factory: AppFactory, redis_url: str, mysql_url: str) -> None:
    conf = {
        "servers": {"web": {"kind": "http"}},
        "redis": {"main": {"url": redis_url}},
        "database": {"main": {"url": mysql_url}},
        "lock": {"default": {"driver": "redis", "redis": "main"}, "rows": {"driver": "database", "database": "main"}},
    }
    app, other = app_factory(conf=conf), app_factory(conf=conf)
    for name in ("default", "rows"):
        with app.container.get(Lock, name).hold("a") as held, other.container.get(Lock, name).try_hold("a") as too:
            assert held.fencing
            assert too is None
        assert not other.container.get(Lock, name).held("a")


@bean(driver="mine", provides=ILockStore)
class Mine(MemoryStore):
    def __init__(self, settings: LockSettings) -> None:
        super().__init__()
        seen.append(settings.prefix)


def test_a_driver_of_ones_own(app_factory: AppFactory) -> None:
    seen.clear()
    app = app_factory([Mine], {"servers": {"web": {"kind": "http"}}, "lock": {"jobs": {"driver": "mine"}}})
    with app.container.get(Lock, "jobs").hold("a"):
        assert seen == ["lock:jobs:"]


@bean
class Shop:
    @locked("stock:{sku}")
    def sell(self, sku: str) -> bool:
        return TheLock.held(f"stock:{sku}")


@around("@locked")
def audit(call: Call, proceed: Any) -> Any:
    seen.append(call.name)
    return proceed(call)


def test_decorated_methods_of_beans(app_factory: AppFactory) -> None:
    seen.clear()
    app = app_factory([Shop, audit])
    assert app.container.get(Shop).sell("tea")
    assert seen == ["sell"]


@http
class Forgetful:
    @get("/")
    def take(self) -> None:
        TheLock.hold("a", lease=0.15).__enter__()


def test_a_handler_that_never_ends_its_block(app_factory: AppFactory) -> None:
    app = app_factory([Forgetful])
    lock = app.container.get(Lock)
    with HttpClient(app) as client:
        assert client.get("/").status == 204
        assert lock.held("a")
        wait_until(lambda: not lock.held("a"))
        assert not lock._mine


def test_stop_gives_back(app_factory: AppFactory) -> None:
    app = app_factory()
    lock = app.container.get(Lock)
    lock.hold("a").__enter__()
    store = lock.store
    app.stop()
    assert not store.held("a")


def test_an_application_without_locks_pays_nothing() -> None:
    """What drivers need is imported when one is made."""
    code = """
import greenimi
import sys
assert not any(name.startswith("gevent") for name in sys.modules), "greenimi itself"
from greenimi import green
green.patch()
from greenimi.testing.support import make_app, running
with running(make_app({"servers": {"web": {"kind": "http"}}})) as app:
    pass
heavy = {"redis", "pymysql", "peewee", "psycopg", "greenimi.lock.redis", "greenimi.lock.machine", "greenimi.lock.memory"}
print(sorted(heavy & set(sys.modules)))
"""
    found = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=50, cwd=Path(__file__).parents[2]
    )
    assert found.stderr == ""
    assert found.stdout == "[]\n"
