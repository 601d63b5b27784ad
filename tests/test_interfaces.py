"""Two files declare the joints: one for zope, one for type checkers.  They must say the same."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from greenimi import interfaces

SOURCE = Path(interfaces.__file__)


def declared(path: Path) -> dict[str, dict[str, str]]:
    """By interface and member: the arguments with their defaults and annotations and what is returned; ``""`` for an attribute."""
    return {
        node.name: dict(map(member, node.body[docstring(node) :]))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    }


def docstring(node: ast.ClassDef) -> int:
    return ast.get_docstring(node) is not None


def member(node: ast.stmt) -> tuple[str, str]:
    match node:
        case ast.FunctionDef(name=name, decorator_list=[ast.Name(id="property")]):
            return name, ""
        case ast.FunctionDef(name=name, decorator_list=[ast.Attribute(attr="setter")]):
            return name, ""
        case ast.FunctionDef(name=name, args=arguments, returns=returns):
            if arguments.args and arguments.args[0].arg == "self":
                del arguments.args[0]
            text = f"({ast.unparse(arguments)}) -> {ast.unparse(returns) if returns else None}"
            return name, re.sub(r"\b_(?=[A-Z]\b)", "", text)  # type variables of a stub are private
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return name, ""
    raise AssertionError(f"line {node.lineno}: neither a method nor an attribute")


ZOPE, TYPED = declared(SOURCE), declared(SOURCE.with_suffix(".pyi"))


def test_the_same_interfaces() -> None:
    assert ZOPE.keys() == TYPED.keys()
    assert "IConnection" in ZOPE


@pytest.mark.parametrize("name", ZOPE)
def test_the_same_members_with_the_same_arguments(name: str) -> None:
    assert ZOPE[name] == TYPED[name]
    assert set(ZOPE[name]) == set(getattr(interfaces, name).names())


def test_a_difference_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("class I:\n  x = Attribute('')\n  def f(a: int, b: str = ...) -> None:\n    'doc'\n")
    (tmp_path / "b.pyi").write_text("class I:\n  @property\n  def x(self) -> int: ...\n  def f(self, a: int) -> None: ...\n")
    assert declared(tmp_path / "a.py") == {"I": {"x": "", "f": "(a: int, b: str=...) -> None"}}
    assert declared(tmp_path / "b.pyi") == {"I": {"x": "", "f": "(a: int) -> None"}}
