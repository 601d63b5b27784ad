"""What every application has without asking."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any

import pytest

import greenimi
from greenimi import standard
from greenimi.config import Config, Env
from greenimi.container import Services, Setup
from greenimi.event import Bridge, Events
from greenimi.log import ErrorHandlers
from greenimi.servers.doors import Doors

CHOSEN = ("greenimi.components.", "greenimi.testing.", "greenimi.standard")
"""What an application asks for by name, and the list itself."""


def core_rooms() -> list[Any]:
    """Every module of greenimi that has an ``includeme`` of its own."""
    names = [found.name for found in pkgutil.walk_packages(greenimi.__path__, "greenimi.") if not found.name.endswith("__main__")]
    modules = [import_module(name) for name in names if not name.startswith(CHOSEN)]
    return [module for module in modules if getattr(getattr(module, "includeme", None), "__module__", "") == module.__name__]


@pytest.fixture
def setup() -> Setup:
    made = Setup(Config({}))
    made.include(standard)
    return made


def test_every_core_room_is_in_the_list(setup: Setup) -> None:
    rooms = core_rooms()
    assert len(rooms) > 5
    assert [room.__name__ for room in rooms if room not in setup._included] == []


def test_it_commits_to_a_container_with_the_core(setup: Setup) -> None:
    container = setup.commit()
    for key in (Events, Bridge, Doors, Services, Config, Env, ErrorHandlers):
        assert isinstance(container.get(key), key)
    assert "doors" in container.get(Services).all()


@pytest.mark.parametrize(
    "kind",
    [
        "bean",
        "partial",
        "controller",
        "route",
        "on",
        "opened",
        "closed",
        "layers",
        "error_handler",
        "missing_handler",
        "listener",
        "advice",
        "command",
    ],
)
def test_every_mark_of_the_core_is_known(setup: Setup, kind: str) -> None:
    assert setup._handlers[kind] is not None
