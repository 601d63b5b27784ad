"""Stacks for people."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from greenimi.container.onion import compose
from greenimi.servers.watch.stacks import describe, frames_of, in_debugger


def here() -> tuple[str, str]:
    return describe(frames_of(sys._getframe()))


def function(file: str, name: str = "module", code: str = "def call(inner):\n    return inner()\n") -> Callable[..., Any]:
    """A function that calls what it is given, said to come from ``file``."""
    names: dict[str, Any] = {"__name__": name}
    exec(compile(code, file, "exec"), names)
    found: Callable[..., Any] = names["call"]
    return found


def test_the_innermost_line_of_the_application_comes_first() -> None:
    where, stack = here()
    assert where.startswith(f"{__file__}:")
    assert where.endswith(" in here")
    first, second = stack.splitlines()[:2]
    assert first == f"> {where}: return describe(frames_of(sys._getframe()))"
    assert "in test_the_innermost_line" in second
    assert second.startswith("  ")


def stdlib() -> str:
    return types.__file__


@pytest.mark.parametrize(
    ("file", "guilty"),
    [
        ("/srv/shop/orders.py", True),
        (types.__file__, False),
        ("<frozen importlib._bootstrap>", False),
        (compose.__code__.co_filename, False),
        (sys.modules["gevent"].__file__, False),
        ("/usr/lib/python3/site-packages/driver.py", False),
    ],
)
def test_whose_line_it_is(file: str, guilty: bool) -> None:
    where, stack = function(file)(lambda: describe(frames_of(sys._getframe(1))))
    assert where.startswith(f"{file}:2 in call" if guilty else __file__)
    assert f"{'>' if guilty else ' '} {file}:2 in call" in stack


def test_without_an_application_a_library_is_named() -> None:
    frames = frames_of(function("/x/site-packages/driver.py")(lambda: sys._getframe(1)))[:1]
    python = frames_of(function(types.__file__)(lambda: sys._getframe(1)))[:1]
    assert describe([*python, *frames])[0] == "/x/site-packages/driver.py:2 in call"
    assert describe(python)[0] == f"{types.__file__}:2 in call"


def test_without_a_frame_there_is_nothing_to_say() -> None:
    assert describe(frames_of(None)) == ("", "")


def test_a_deep_stack_is_cut() -> None:
    def deep(left: int) -> str:
        return deep(left - 1) if left else here()[1]

    assert len(deep(500).splitlines()) == 60


@pytest.mark.parametrize(("module", "debugs"), [("pdb", True), ("bdb", True), ("IPython.terminal.debugger", True), ("pdbs", False)])
def test_the_prompt_of_a_debugger(module: str, debugs: bool) -> None:
    assert function("debugger.py", module)(lambda: in_debugger(sys._getframe())) is debugs
    assert not in_debugger(None)
