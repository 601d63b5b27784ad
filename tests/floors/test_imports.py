"""Who may import whom, read from the syntax alone; the order of the floors themselves is checked by import-linter."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict

from tests.floors.tree import belongs, import_names, imports, module_imports, module_name, python_files

TEST_ROOMS = ("greenimi.testing",)


def offences(forbidden: str, *allowed: str) -> list[str]:
    """Imports of ``forbidden`` from outside the rooms that may."""
    return [
        f"{module_name(path)}, line {line}: imports {name}"
        for path in python_files("greenimi")
        if not belongs(module_name(path), *allowed)
        for name, line in module_imports(path)
        if belongs(name, forbidden)
    ]


def test_gevent_has_two_doors() -> None:
    found = offences("gevent", "greenimi.green", "greenimi.servers")
    assert not found, "only green and servers import gevent; others use greenimi.green:\n" + "\n".join(found)


def test_nobody_inside_imports_facades() -> None:
    found = offences("greenimi.facades", "greenimi.facades")
    assert not found, "facades are for applications; ask the container, or let the constructor be given it:\n" + "\n".join(found)


def test_the_core_never_imports_components() -> None:
    found = offences("greenimi.components", "greenimi.components")
    assert not found, "components plug in through includeme:\n" + "\n".join(found)


def test_an_optional_library_has_one_driver() -> None:
    """Optional is every library that a plain install does not bring.  greenimi.testing may use what the extra test brings."""
    required = import_names(("options", "install_requires"))
    for_tests = import_names(("options.extras_require", "test"))
    users = defaultdict(set)
    for path in python_files("greenimi"):
        module = module_name(path)
        present = required | for_tests if belongs(module, *TEST_ROOMS) else required
        for name, _ in module_imports(path):
            library = name.partition(".")[0]
            if library not in present and library != "greenimi" and library not in sys.stdlib_module_names:
                users[library].add(module)
    shared = [f"{library}: {', '.join(sorted(modules))}" for library, modules in users.items() if len(modules) > 1]
    assert not shared, "an optional library is imported by the one module that drives it:\n" + "\n".join(shared)


def test_required_libraries_are_recognised() -> None:
    assert {"gevent", "geventwebsocket", "paho", "zope"} <= import_names(("options", "install_requires"))


def test_imports_are_seen_wherever_they_run() -> None:
    source = """
import a.b, c as d
if TYPE_CHECKING:
    import unseen
else:
    import e
def f():
    from g import h
from . import i
from ..j import k
"""
    names = [name for name, _ in imports(ast.parse(source), "top.room")]
    assert names == ["a.b", "c", "e", "g.h", "top.room.i", "top.j.k"]
