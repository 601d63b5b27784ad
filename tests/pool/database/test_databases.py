"""The databases of conf."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from zope.interface import providedBy

from greenimi import bean
from greenimi.container.service import Services
from greenimi.errors import ConfigError, MissingBean
from greenimi.facades import DB
from greenimi.interfaces import IResources, IService
from greenimi.pool import Pools
from greenimi.pool.database import Database
from greenimi.pool.database.databases import answers
from greenimi.pool.database.mysql import MySQL
from greenimi.pool.database.settings import DatabaseSettings
from greenimi.servers.watch.health import Health
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import wait_until


def conf(**tables: Any) -> dict[str, Any]:
    return {"servers": {"web": {"kind": "http", "bind": "127.0.0.1:0"}}, "database": tables}


def test_each_is_a_bean_and_a_service_and_its_pools_are_known(app_factory: AppFactory, mysql_url: str) -> None:
    tables = {"default": {"url": mysql_url, "replicas": [mysql_url]}, "reports": {"url": mysql_url, "driver": "mysqlclient"}}
    app = app_factory(conf=conf(**tables))
    default, reports = app.container.get(Database, "default"), app.container.get(Database, "reports")
    assert app.container.get(Database) is default
    assert {"database.default", "database.default.replicas", "database.reports"} <= app.container.get(Pools).all().keys()
    assert {"database.default", "database.reports"} <= app.container.get(Services).all().keys()
    for found in (default, reports):
        assert IService in providedBy(found)
        assert IResources in providedBy(found.resources)
        assert found.value("SELECT 1") == 1
        assert answers(found)
        found.drain()
        assert found.value("SELECT 1") == 1


def test_one_whose_connections_are_all_at_work_is_not_taken_for_gone(app_factory: AppFactory, mysql_url: str) -> None:
    app = app_factory(conf=conf(default={"url": mysql_url, "pool": {"min": 0, "max": 1, "wait": 0.01}}))
    database = app.container.get(Database)
    with database.hold():
        assert answers(database)


def test_the_facade_is_the_default_one(app_factory: AppFactory, mysql_url: str) -> None:
    app_factory(conf=conf(default={"url": mysql_url}, reports={"url": mysql_url}))
    assert DB.name == "default"
    assert isinstance(DB, MySQL)
    with DB.hold():
        assert DB.value("SELECT 1") == 1


def test_a_driver_of_the_application(app_factory: AppFactory, mysql_url: str) -> None:
    @bean(driver="mine", provides=Database)
    class Mine(MySQL):
        def __init__(self, name: str, settings: DatabaseSettings, events: Any, make_pool: Any) -> None:
            super().__init__(name, settings, events=events, make_pool=make_pool)

    app = app_factory([Mine], conf(default={"url": mysql_url, "driver": "mine"}))
    assert isinstance(app.container.get(Database), Mine)


def test_a_worker_is_not_ready_without_its_database(app_factory: AppFactory, mysql_url: str) -> None:
    app = app_factory(conf=conf(default={"url": mysql_url, "ready": True}, other={"url": mysql_url}))
    health = app.container.get(Health)
    assert list(health._checks) == ["database.default"]
    assert wait_until(lambda: health._checks["database.default"].problem == "")


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"url": "oracle://db1/shop"}, "database.default: there is no driver oracle"),
        ({"url": "mysql://db1", "driver": "mysqlclint"}, "did you mean mysqlclient"),
        ({}, "nothing says which kind"),
        ({"url": "mysql://db1", "slow": -1.0}, r"database\.default\.slow: -1 is below 0"),
        ({"url": "mysql://db1", "pool": {"max": 0}}, r"database\.default\.pool\.max: it must be above 0"),
        ({"url": "mysql://db1", "usr": "me"}, "unknown key usr"),
        ({"url": "mysql://db1", "replicas": ["mysql://db2?weight=x"]}, r"database\.default\.replicas"),
    ],
)
def test_what_cannot_be_is_refused(app_factory: AppFactory, table: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        app_factory(conf=conf(default=table))


def test_without_tables_one_in_memory_stands_in(app_factory: AppFactory) -> None:
    app = app_factory(conf=conf())
    with pytest.raises(MissingBean):
        app.container.get(Database, "reports")
    assert app.container.get(Database).value("SELECT sqlite_version()")


def test_an_application_without_databases_imports_no_driver() -> None:
    code = """
from greenimi import green
green.patch()
import sys
from greenimi.testing import support
support.make_app({"servers": {"web": {"kind": "http", "bind": "127.0.0.1:0"}}}, []).commit()
print(sorted({name.partition(".")[0] for name in sys.modules} & {"peewee", "pymysql", "MySQLdb", "psycopg"}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "[]\n"
