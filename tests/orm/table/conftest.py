"""Tables as an application would have them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from greenimi.container.registry import set_default_container
from greenimi.orm.table.tables import Tables
from tests.orm.table.stores import application


@pytest.fixture(params=["sqlite", "lmdb"])
def driver(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tables"


@pytest.fixture
def running(driver: str, folder: Path) -> Iterator[Tables]:
    """The tables of a container, as models find them."""
    with application(driver, folder) as container:
        before = set_default_container(container)
        yield container.get(Tables)
        set_default_container(before)
