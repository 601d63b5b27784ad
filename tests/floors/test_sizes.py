"""Small rooms: no module over 450 lines, no function over 60."""

from __future__ import annotations

import ast

from tests.floors.tree import functions, parse, python_files, shown

MODULE_LINES = 450
FUNCTION_LINES = 60

# "path": why it is one file.  An entry that is no longer needed fails.
LONG_MODULES = {"greenimi/interfaces.py": "all joints of the core, to be read by name; there is no code in it"}

# "path:Class.function": why it reads better in one piece.  Keep it short; an entry that is no longer needed fails.
LONG_FUNCTIONS: dict[str, str] = {}


def measured(tree: ast.AST) -> dict[str, int]:
    """Lines of each function, from its def (decorators apart) to its end."""
    return {name: (node.end_lineno or node.lineno) - node.lineno + 1 for name, node in functions(tree)}


def long_functions() -> dict[str, int]:
    return {
        f"{shown(path)}:{name}": lines
        for path in python_files("greenimi", "examples", "conf", "scripts", "benchmarks")
        for name, lines in measured(parse(path)).items()
        if lines > FUNCTION_LINES
    }


def test_modules_are_small() -> None:
    sizes = {
        shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files("greenimi", "examples", "conf", "scripts")
    }
    long = [
        f"{path}: {lines} lines, {MODULE_LINES} at most; split it where a reader would look"
        for path, lines in sizes.items()
        if lines > MODULE_LINES and path not in LONG_MODULES
    ]
    assert not long, "\n".join(long)
    stale = [path for path in LONG_MODULES if sizes.get(path, 0) <= MODULE_LINES]
    assert not stale, f"short by now, or gone; take out of LONG_MODULES: {stale}"


def test_functions_are_short() -> None:
    long = [f"{name}: {lines} lines, {FUNCTION_LINES} at most" for name, lines in long_functions().items() if name not in LONG_FUNCTIONS]
    assert not long, "\n".join(long)


def test_list_of_long_functions_is_current() -> None:
    stale = sorted(LONG_FUNCTIONS.keys() - long_functions().keys())
    assert not stale, f"short by now, or gone; take out of LONG_FUNCTIONS: {stale}"


def test_measure_sees_methods_and_inner_functions() -> None:
    tree = ast.parse("class A:\n    @x\n    def m(self):\n        def inner():\n            pass\n        return inner\n")
    assert measured(tree) == {"A.m": 4, "A.m.inner": 2}
