"""What slips in with time: missing docstrings, words that do not belong, code without tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.floors.tree import ROOT, functions, ignored, parse, project_files, python_files, shown

# Put together here, so that this file does not hold them.
FORBIDDEN_WORDS = [
    r"\b" + "".join(pieces) + r"\b"
    for pieces in (
        ("TO", "DO"),
        ("FIX", "ME"),
        ("XX", "X"),
        (r"pypi\.", "org"),
        (r"python", r"hosted\.org"),
        (r"registry\.", r"npmjs\.org"),
        (r"proxy\.", r"golang\.org"),
        (r"registry-1\.", r"docker\.io"),
    )
] + [r"(?<![\w.])/" + "work" + "/"]

# Modules with code that no tests file of their own mirrors, and why.  An entry that is no longer needed fails.
WITHOUT_MIRROR: dict[str, str] = {}

# Shared suites are tests themselves; the tests of each driver run them.
SUITES = "greenimi/testing/contracts/"


def words_in(text: str) -> list[tuple[int, str]]:
    """Forbidden words in a text, each with its line."""
    pattern = re.compile("|".join(FORBIDDEN_WORDS))
    return [(number, match.group()) for number, line in enumerate(text.splitlines(), 1) for match in pattern.finditer(line)]


def has_code(tree: ast.Module) -> bool:
    """Whether a module has a function that does something: more than a docstring, ``...`` or ``pass``."""
    return any(
        not isinstance(statement, ast.Pass) and not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for _, node in functions(tree)
        for statement in node.body
    )


def mirrors(module: str) -> list[str]:
    """Patterns of a module's tests files: ``test_beans.py``, or in parts ``test_beans_lazy.py``; a room's face: any of its tests."""
    path = Path(module)
    folder = Path("tests", *path.parts[1:-1])
    if path.name == "__init__.py":
        return [f"{folder}/test_*.py"]
    stem = path.stem.strip("_")
    return [f"{folder}/test_{stem}.py", f"{folder}/test_{stem}_*.py"]


def unmirrored() -> set[str]:
    return {
        shown(path)
        for path in python_files("greenimi")
        if has_code(parse(path))
        and not shown(path).startswith(SUITES)
        and not any(any(ROOT.glob(pattern)) for pattern in mirrors(shown(path)))
    }


def test_modules_say_what_they_are() -> None:
    silent = [shown(path) for path in python_files("greenimi") if not ast.get_docstring(parse(path))]
    assert not silent, "no docstring:\n" + "\n".join(silent)


def test_annotations_are_never_evaluated_at_import() -> None:
    """Every module that holds anything but its docstring starts with the future import."""
    late = [
        shown(path)
        for path in python_files("greenimi")
        if len(parse(path).body) > 1 and "from __future__ import annotations" not in map(ast.unparse, parse(path).body)
    ]
    assert not late, "no `from __future__ import annotations`:\n" + "\n".join(late)


def test_no_forbidden_words() -> None:
    found = []
    for path in project_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{shown(path)}, line {number}: {word}" for number, word in words_in(text)]
    assert not found, "\n".join(found)


def test_code_has_a_tests_file() -> None:
    missing = [f"{module}: expected {mirrors(module)[0]}" for module in sorted(unmirrored() - WITHOUT_MIRROR.keys())]
    assert not missing, "modules without tests of their own:\n" + "\n".join(missing)


def test_list_of_modules_without_mirror_is_current() -> None:
    stale = sorted(WITHOUT_MIRROR.keys() - unmirrored())
    assert not stale, f"tested by now, or gone; take out of WITHOUT_MIRROR: {stale}"


def test_forbidden_words_are_recognised() -> None:
    text = "fine\nx = 1  # TO" + "DO later\nhttps://pypi." + "org/simple\nsee /wo" + "rk/notes\na frame/work/b todo"
    assert [number for number, _ in words_in(text)] == [2, 3, 4]


def test_code_is_told_from_declarations() -> None:
    assert not has_code(ast.parse('class I:\n    def f():\n        """Contract."""\n    def g(): ...\n'))
    assert has_code(ast.parse("class A:\n    def f(self):\n        return 1\n"))


def test_mirrors_follow_the_tree() -> None:
    assert mirrors("greenimi/container/beans.py") == ["tests/container/test_beans.py", "tests/container/test_beans_*.py"]
    assert mirrors("greenimi/__main__.py")[0] == "tests/test_main.py"
    assert mirrors("greenimi/config/__init__.py") == ["tests/config/test_*.py"]


def test_ignored_files_are_not_the_project() -> None:
    patterns = [".venv/", "*.log", "/run/", "bench/.build/"]
    assert all(ignored(path, patterns) for path in (".venv/", "a/.venv/", "a/b.log", "run/", "bench/.build/"))
    assert not any(ignored(path, patterns) for path in ("scripts/run", "a/run/", "a/log.py", ".venv.py"))
