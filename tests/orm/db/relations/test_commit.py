from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from greenimi import orm
from greenimi.config import Config
from greenimi.container.setup import Setup
from greenimi.errors import StartError
from greenimi.orm.db.relations import commit


def module_of(source: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    found = ModuleType("library_of_one_test")
    monkeypatch.setitem(sys.modules, found.__name__, found)
    exec(compile(source, "library.py", "exec"), vars(found))
    return found


SOURCE = """
from greenimi.orm import Model, OneToMany

class Shelf(Model):
    books = OneToMany(lambda: {name}, on="id")

class Book(Model):
    pass
"""


def setup_of(source: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    setup = Setup(Config({}))
    setup.include(orm)
    setup.scan(module_of(source, monkeypatch))
    return setup


def test_relations_are_checked_with_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = setup_of(SOURCE.format(name="Book"), monkeypatch)
    assert setup.commit().frozen
    assert [found.name for found in setup.marked(commit.MARK)] == ["Shelf"]


def test_a_relation_to_a_class_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = setup_of(SOURCE.format(name="Bok"), monkeypatch)
    with pytest.raises(StartError, match=r"library.py:4: Shelf\.books: its model cannot be found: NameError: name 'Bok' is not defined"):
        setup.commit()
