"""The project's files and what their syntax trees say: the ground that the floors tests stand on."""

from __future__ import annotations

import ast
import configparser
import fnmatch
import os
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def ignored_names() -> list[str]:
    """The patterns of .gitignore: what matches is not the project's.  Only plain names and ``/name`` of the root are in use there."""
    lines = (ROOT / ".gitignore").read_text().splitlines()
    return [".git/", *(line.strip() for line in lines if line.strip() and not line.startswith("#"))]


def project_files() -> list[Path]:
    """Every file of the project, whether or not it is a git checkout."""
    patterns = ignored_names()
    found = []
    for folder, folders, files in os.walk(ROOT):
        here = Path(folder).relative_to(ROOT)
        folders[:] = sorted(name for name in folders if not ignored(f"{(here / name).as_posix()}/", patterns))
        found += [ROOT / here / name for name in files if not ignored((here / name).as_posix(), patterns)]
    return sorted(found)


def ignored(path: str, patterns: list[str]) -> bool:
    """Whether a path below the root (a folder's ends with a slash) matches one of the patterns."""
    folder = path.endswith("/")
    for pattern in patterns:
        name = path if "/" in pattern.rstrip("/") else path.rstrip("/").rsplit("/", 1)[-1] + "/" * folder
        if fnmatch.fnmatch(name, pattern.lstrip("/")) or (folder and fnmatch.fnmatch(name.rstrip("/"), pattern.lstrip("/"))):
            return True
    return False


def python_files(*folders: str) -> list[Path]:
    """The Python files below the folders of the root that are named."""
    return [path for path in project_files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in folders]


def shown(path: Path) -> str:
    """The path as messages and lists in the tests name it."""
    return path.relative_to(ROOT).as_posix()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    """Every function with its dotted name inside the module, methods and inner functions too."""
    for node in ast.iter_child_nodes(tree):
        name = prefix
        if isinstance(node, Function | ast.ClassDef):
            name = f"{prefix}{node.name}."
        if isinstance(node, Function):
            yield name[:-1], node
        yield from functions(node, name)


def imports(tree: ast.AST, package: str = "") -> Iterator[tuple[str, int]]:
    """Every import that runs, as (dotted name, line).  ``from a import b`` gives ``a.b``; imports under TYPE_CHECKING do not count.

    ``package`` is the dotted package of the module, to which relative imports are resolved.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for other in node.orelse:
                yield from imports(ast.Module([other], []), package)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [base])])
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)
        else:
            yield from imports(node, package)


def module_name(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def module_imports(path: Path) -> list[tuple[str, int]]:
    name = module_name(path)
    return list(imports(parse(path), name if path.name == "__init__.py" else name.rpartition(".")[0]))


def belongs(name: str, *rooms: str) -> bool:
    """Whether a dotted name is one of the rooms or lies inside one."""
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def import_names(*options: tuple[str, str]) -> set[str]:
    """The top-level names that the distributions in these options of setup.cfg (section, key) let one import."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = "\n".join(config.get(*option) for option in options).splitlines()
    wanted = {canonicalize_name(Requirement(line).name) for line in lines if line.strip()}
    return {name for name, owners in packages_distributions().items() if wanted & {canonicalize_name(owner) for owner in owners}}
