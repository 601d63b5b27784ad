from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import greenimi.container
import greenimi.event
from greenimi.config import Config
from greenimi.container import Setup


@pytest.fixture
def setup() -> Setup:
    setup = Setup(Config({}))
    setup.include(greenimi.container)
    setup.include(greenimi.event)
    return setup


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Write the module ``shop`` and import it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(source: str) -> ModuleType:
        (tmp_path / "shop.py").write_text(textwrap.dedent(source))
        importlib.invalidate_caches()
        return importlib.import_module("shop")

    yield write
    sys.modules.pop("shop", None)
