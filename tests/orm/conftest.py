"""Databases of each kind, and models bound to them as an application would have it: by the name in conf."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greenimi.container.registry import Container, set_default_container
from greenimi.event import Events
from greenimi.pool.database.database import Database
from greenimi.pool.database.databases import make_database
from greenimi.pool.database.settings import DatabaseSettings

KINDS = ("sqlite", "mysql", "postgres")

Tables = Callable[..., None]


every_kind = pytest.mark.parametrize("kind", KINDS)
"""A test that runs on each kind of server."""


@pytest.fixture
def kind() -> str:
    """SQLite, which starts at once, for tests that do not say otherwise."""
    return "sqlite"


@pytest.fixture
def url(request: pytest.FixtureRequest, kind: str) -> str:
    found: str = "sqlite:///:memory:" if kind == "sqlite" else request.getfixturevalue(f"{kind}_url")
    return found


@pytest.fixture
def running(url: str) -> Iterator[Container]:
    """A container with the database ``default``, as the facades find it."""
    container = Container("app")
    database = make_database("default", DatabaseSettings(url=url))
    container.add(Database, database, "default")
    container.add(Events, Events())
    before = set_default_container(container)
    yield container
    set_default_container(before)
    database.stop()


@pytest.fixture
def tables(running: Container) -> Tables:
    """``tables(Shop, Order)`` makes the tables of models."""

    def make(*models: Any) -> None:
        database: Any = running.get(Database, "default")
        database.create_tables(models)

    return make
