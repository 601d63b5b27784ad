"""A configuration in memory, and modules written on the fly."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from zope.interface import implementer

import greenimi.container
from greenimi.container import Container, Setup, set_default_container
from greenimi.errors import ConfigError
from greenimi.interfaces import IConfig

_NONE = object()


@implementer(IConfig)
class MemoryConfig:
    env = os.environ

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self.tree = tree

    def get(self, path: str, default: Any = _NONE) -> Any:
        found: Any = self.tree
        for part in path.split("."):
            if not isinstance(found, Mapping) or part not in found:
                if default is _NONE:
                    raise ConfigError(f"{path} is not set")
                return default
            found = found[part]
        return found

    def section(self, path: str) -> Any:
        return self.get(path, {})

    def settings(self, path: str, kind: type) -> Any:
        return kind(**self.section(path))

    def set(self, path: str, value: Any) -> None:
        raise NotImplementedError

    def place(self, path: str) -> str:
        return "app.toml:1"

    def where(self, path: str) -> str:
        return "app.toml"


MakeSetup = Callable[..., Setup]
Commit = Callable[..., Container]
Package = Callable[[Mapping[str, str]], ModuleType]


@pytest.fixture
def make_setup() -> MakeSetup:
    def make(**tree: Any) -> Setup:
        setup = Setup(MemoryConfig(tree))
        setup.include(greenimi.container)
        return setup

    return make


@pytest.fixture
def commit(make_setup: MakeSetup) -> Commit:
    """A committed container that holds these beans."""

    def make(*beans: Any, **tree: Any) -> Container:
        setup = make_setup(**tree)
        for bean in beans:
            target, options = bean if isinstance(bean, tuple) else (bean, {})
            setup.add_bean(target, **options)
        return setup.commit()

    return make


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """Write modules (``{"shop/__init__.py": source}``) and import the first one's top."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(files: Mapping[str, str]) -> ModuleType:
        for name, source in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(source))
        importlib.invalidate_caches()
        return importlib.import_module(next(iter(files)).removesuffix(".py").removesuffix("/__init__").replace("/", "."))

    yield write
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture(autouse=True)
def _no_default_container() -> Iterator[None]:
    before = set_default_container(None)
    yield
    set_default_container(before)
