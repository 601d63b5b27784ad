"""A test that asserts nothing cannot fail."""

from __future__ import annotations

import ast

from tests.floors.tree import Function, functions, parse, python_files, shown

RAISING = {"raises", "warns", "fail", "deprecated_call"}
CHECKING = ("assert", "check", "expect")


def called(node: ast.Call) -> str:
    """The last word of what is called: ``pytest.raises`` gives ``raises``."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def asserts(function: Function, helpers: set[str]) -> bool:
    """Whether the function asserts: itself, by a helper named for it, or by one of the functions that are known to."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant):
            return True
        if isinstance(node, ast.Call):
            name = called(node)
            if name in RAISING or name in helpers or name.lstrip("_").startswith(CHECKING):
                return True
    return False


def empty_tests(tree: ast.Module) -> list[tuple[str, int]]:
    """The tests of a module that assert nothing, as (name, line)."""
    found = list(functions(tree))
    helpers: set[str] = set()
    while more := {node.name for _, node in found if node.name not in helpers and asserts(node, helpers)}:
        helpers |= more
    return [(name, node.lineno) for name, node in found if node.name.startswith("test_") and not asserts(node, helpers)]


def test_every_test_asserts() -> None:
    empty = [
        f"{shown(path)}:{line} {name}"
        for path in python_files("tests")
        if path.name.startswith("test_")
        for name, line in empty_tests(parse(path))
    ]
    assert not empty, "tests that assert nothing:\n" + "\n".join(empty)


def test_empty_tests_are_recognised() -> None:
    source = """
def helper(): deeper()
def deeper(): assert answer() == 42
def test_by_helper(): helper()
def test_by_raises():
    with pytest.raises(ValueError): f()
def test_by_name(): check_order(1)
def test_empty(): f()
class TestRoom:
    def test_constant(self):
        assert True
"""
    assert [name for name, _ in empty_tests(ast.parse(source))] == ["test_empty", "TestRoom.test_constant"]
