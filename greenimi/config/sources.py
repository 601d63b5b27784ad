"""Where configuration comes from: TOML files, ``.env``, environment variables, the command line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenimi.config.tree import Keys, Source, split
from greenimi.errors import ConfigError
from greenimi.validate import Text

PREFIX = "GREENIMI__"
MOST_NESTED_FILES = 8
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


def read_toml(path: Path, at: Keys = (), depth: int = 0) -> Iterator[tuple[dict[str, Any], Source]]:
    """The file's table, then those of the files its top-level ``configs`` names: they win over what stands inline.

    ``configs = { cache = "cache.toml" }`` puts that file's table under ``cache``; names are relative to the file that says them.
    """
    if depth > MOST_NESTED_FILES:
        raise ConfigError(f"{path}: `configs` nest more than {MOST_NESTED_FILES} files deep; do they name each other?")
    text = _read(path)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from None
    source = Source(str(path), text, at)
    configs = table.pop("configs", {})
    yield table, source
    if not isinstance(configs, dict) or not all(isinstance(file, str) for file in configs.values()):
        raise ConfigError(f"{source.place((*at, 'configs'))}: configs: expected a table of file names")
    for name, file in configs.items():
        yield from read_toml(path.parent / file, (*at, *split(name)), depth + 1)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None


@dataclass(frozen=True, slots=True)
class Dotenv:
    """What a ``.env`` file says: ``variables`` (KEY=VALUE) and ``values`` injected into the tree (``@app.a.0.id=1``)."""

    variables: Mapping[str, str]
    values: Sequence[tuple[Keys, Text]]


def read_dotenv(path: Path) -> Dotenv:
    """Read ``.env``.  A value may be quoted; ``#`` after a blank starts a comment; ConfigError names the line that is neither form."""
    variables: dict[str, str] = {}
    values: list[tuple[Keys, Text]] = []
    for number, raw in enumerate(_read(path).splitlines(), 1):
        line = raw.strip().removeprefix("export ").lstrip()
        if not line or line.startswith("#"):
            continue
        place = f"{path}:{number}"
        name, equals, rest = line.partition("=")
        name = name.strip()
        if not equals:
            raise ConfigError(f"{place}: expected KEY=VALUE or @app.path=VALUE")
        value = _unquote(rest.strip(), place)
        if name.startswith("@"):
            values.append((_injected(name, place), Text(value)))
        elif _NAME.fullmatch(name):
            variables[name] = value
        else:
            raise ConfigError(f"{place}: {name[:100]!r} is not the name of a variable")
    return Dotenv(variables, values)


def _injected(name: str, place: str) -> Keys:
    kind, _, path = name.partition(".")
    if path and kind == "@app":
        return split(path)
    if "." in path and kind == "@server":
        return split(f"servers.{path}")
    raise ConfigError(f"{place}: expected @app.path or @server.name.path, got {name[:100]}")


def _unquote(value: str, place: str) -> str:
    quote = value[:1]
    if quote not in ("'", '"') or not value:
        return re.sub(r"(^|\s+)#.*$", "", value)
    pattern = r"'([^']*)'\s*(#.*)?" if quote == "'" else r'"((?:[^"\\]|\\.)*)"\s*(#.*)?'
    found = re.fullmatch(pattern, value)
    if found is None:
        raise ConfigError(f"{place}: the quoted value does not end")
    if quote == "'":
        return found[1]
    return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[0]), found[1])


def from_variables(variables: Mapping[str, str]) -> list[tuple[Keys, Text]]:
    """Those called ``GREENIMI__A__B``, as paths ``a.b``, items of a list in order."""
    found = [(tuple(name[len(PREFIX) :].lower().split("__")), Text(value)) for name, value in variables.items() if name.startswith(PREFIX)]
    return sorted(found, key=lambda pair: [(int(part), part) if part.isdecimal() else (-1, part) for part in pair[0]])


def from_argv(argv: Iterable[str]) -> list[tuple[Keys, Text]]:
    """Every ``--set a.b=value`` or ``--set=a.b=value``; other arguments are somebody else's."""
    found = []
    arguments = iter(argv)
    for argument in arguments:
        if argument == "--set":
            assignment = next(arguments, "")
        elif argument.startswith("--set="):
            assignment = argument[len("--set=") :]
        else:
            continue
        path, equals, value = assignment.partition("=")
        if not equals or not path:
            raise ConfigError(f"command line: expected --set path=value, got --set {assignment[:100]}".rstrip())
        found.append((split(path), Text(value)))
    return found
