"""Fixtures of the Hub's tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from greenimi import green
from greenimi.hub import Hub
from greenimi.hub.settings import HubSettings
from tests.hub.joined import Make, make_hubs


@pytest.fixture
def hubs() -> Iterator[Make]:
    """``hubs(2, HubSettings(...))`` are started hubs that know each other; they are stopped at the end."""
    made: list[Hub] = []

    def make(number: int = 2, settings: HubSettings | None = None, store: Any = None) -> list[Hub]:
        found = make_hubs(number, settings or HubSettings(), store)
        made.extend(found)
        green.sleep(0)
        green.sleep(0)
        return found

    yield make
    for hub in made:
        hub.stop()
