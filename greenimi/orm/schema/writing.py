"""Models as files, from the tables of a database: of each table a base, written anew each time, and the model, written once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from greenimi.errors import GreenimiError
from greenimi.orm.schema.naming import BASES
from greenimi.orm.schema.sources import Source, quoted
from greenimi.orm.schema.tables import Table

_PACKAGE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_WIDTH = 100


class GenerateError(GreenimiError):
    """Models cannot be written so."""


@dataclass(frozen=True, slots=True)
class Options:
    """``package``: dotted, where they go.  ``database``: its name in conf.  ``base``: ``module:Class`` that they are derived from."""

    package: str
    database: str = "default"
    base: str = "greenimi.orm:Model"


def write_models(tables: Sequence[Table], options: Options) -> Iterator[tuple[Path, bool]]:
    """Write the files; each with whether it was written.  A model whose file is there is left as it is.  Raises GenerateError."""
    if not _PACKAGE.fullmatch(options.package):
        raise GenerateError(f"{options.package[:100]!r} is no name of a package", hint="such as shop.models")
    module, _, base = options.base.partition(":")
    if not _PACKAGE.fullmatch(module) or not base.isidentifier():
        raise GenerateError(f"{options.base[:100]!r} names no class", hint="such as shop.base:Base")
    folder = _folder(options.package)
    by_name = {table.name: table for table in tables}
    texts = [(table, base_text(table, by_name, options.package), model_text(table, options)) for table in tables]
    _make_packages(folder, len(options.package.split(".")))
    for table, ours, theirs in texts:
        path = folder / BASES / f"{table.module}.py"
        path.write_text(ours, "utf-8")
        yield path, True
        path = folder / f"{table.module}.py"
        is_new = not path.exists()
        if is_new:
            path.write_text(theirs, "utf-8")
        yield path, is_new


def _folder(package: str) -> Path:
    """Beside what can be imported of it already; else below the working directory."""
    first, *rest = package.split(".")
    found = find_spec(first)
    if found is not None and not found.submodule_search_locations:
        raise GenerateError(f"{first} is a module, not a package: {found.origin}", hint="name a package, such as models")
    start = Path(next(iter(found.submodule_search_locations))) if found is not None and found.submodule_search_locations else Path(first)
    return start.joinpath(*rest)


def _make_packages(folder: Path, depth: int) -> None:
    """The package, its bases, and what is above it and not there yet."""
    new = [above for above in (folder, *folder.parents[: depth - 1]) if not above.exists()]
    (folder / BASES).mkdir(parents=True, exist_ok=True)
    for each in {folder, folder / BASES, *new}:
        if not (each / "__init__.py").exists():
            (each / "__init__.py").write_text("", "utf-8")


def base_text(table: Table, tables: dict[str, Table], package: str) -> str:
    """The file of its fields."""
    used = " ".join(f"{field.kind} {' '.join(field.arguments)}" for field in table.fields)
    imports = ["import peewee"] if "peewee." in used else []
    imports += ["from playhouse import postgres_ext"] if "postgres_ext." in used else []
    ours = ["from greenimi import orm"]
    ours += [f"from {package}.{tables[name].module} import {tables[name].class_name}" for name in table.refers]
    lines = [
        f'"""Written from the table {_plain(table.name)}: changes belong into the model, which has these fields."""',
        "",
        "from __future__ import annotations",
        "",
        *([*imports, ""] if imports else []),
        *ours,
        "",
        "",
        f"class {table.class_name}Fields(orm.Fields):",
    ]
    for field in table.fields:
        lines += _field(field)
    if table.indexes:
        lines += ["    indexes = ("]
        lines += [f"        ({_tuple(names)}, {unique})," for names, unique in table.indexes]
        lines += ["    )"]
    lines += [f"    # not written as a field: {_plain(text)}" for text in table.left_out]
    return "\n".join(lines) + "\n"


def model_text(table: Table, options: Options) -> str:
    """The file of the model."""
    module, _, base = options.base.partition(":")
    composite = len(table.key) > 1
    meta = [f"table_name = {quoted(table.name)}"]
    if options.database != "default":
        meta.append(f"database = {quoted(options.database)}")
    if not table.key:
        meta.append("primary_key = False")
    elif composite:
        meta.append(f"primary_key = peewee.CompositeKey({', '.join(map(quoted, table.key))})")
    own = f"from {options.package}.{BASES}.{table.module} import {table.class_name}Fields"
    imported = "from greenimi import orm" if options.base == "greenimi.orm:Model" else f"from {module} import {base}"
    parent = "orm.Model" if options.base == "greenimi.orm:Model" else base
    lines = [
        "from __future__ import annotations",
        "",
        *(["import peewee", ""] if composite else []),
        imported,
        own,
        "",
        "",
        f"class {table.class_name}({table.class_name}Fields, {parent}):",
        *([f"    {_docstring(table.comment)}", ""] if table.comment else []),
        "    class Meta:",
        *(f"        {line}" for line in meta),
    ]
    return "\n".join(lines) + "\n"


def _field(field: Source) -> list[str]:
    remark = f"  # {_plain(field.remark)}" if field.remark else ""
    line = f"    {field.name} = {field.kind}({', '.join(field.arguments)})"
    if len(line) <= _WIDTH:
        return [line + remark]
    return [f"    {field.name} = {field.kind}({remark}", *(f"        {argument}," for argument in field.arguments), "    )"]


def _tuple(names: Sequence[str]) -> str:
    return f"({', '.join(map(quoted, names))})"


def _plain(text: str) -> str:
    """In a comment or between quotes: one line, without what would end it."""
    return "".join(letter if letter.isprintable() and letter not in '"\\' else " " for letter in text)


def _docstring(text: str) -> str:
    plain = text.isprintable() and '"' not in text and "\\" not in text
    return f'"""{text}"""' if plain else quoted(text)
